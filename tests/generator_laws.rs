//! Generators with noise: where they start, their density, and their certificate (T25).

use pushforward::density::{Affine, BlackBox, Density, GaussianMixture, Target, by_name};
use pushforward::linalg::Matrix;
use pushforward::metric::{Certificate, ModeTruth, Verdict};
use pushforward::model::{Generator, GeneratorModel, LatentBatch, Searched};
use pushforward::num::Summary;
use pushforward::rng::{Purpose, fill_normal, normal_matrix, stream};
use pushforward::run::Method;
use pushforward::search::{SearchSettings, fit_mixture, follow, refine, search};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Three components in the plane of unequal masses, widths and directions.
fn mixture() -> GaussianMixture {
    let covariances = [[1.0, 0.6, 0.5], [0.01, 0.0, 0.04], [0.3, -0.1, 0.2]];
    let covariances = covariances.map(|[a, b, c]| Matrix::from_rows(&[[a, b], [b, c]])).to_vec();
    let means = Matrix::from_rows(&[[-1.0, 0.5], [1.5, -1.0], [0.5, 1.5]]);
    GaussianMixture::new(&[0.5, 0.2, 0.3], means, covariances).unwrap()
}

/// A generator at that mixture whose shifts and network are drawn at random.
fn moved(noise: f64) -> Generator<f64> {
    let mut g = Generator::at_mixture(Affine::new(vec![3.0, -2.0], 5.0).unwrap(), &mixture(), &[8], noise, 1);
    let mut rng = stream(2, Purpose::Check, 0);
    for p in &mut g.parameters[1..] {
        let mut m = Matrix::zeros(p.rows(), p.cols());
        fill_normal(&mut rng, m.as_mut_slice());
        *p = Arc::new(m.map(|v: f64| 0.3 * v).into());
    }
    g
}

/// Checks that a generator at a mixture has the mixture's law: its controlled density is that of the mixture to rounding, score too, with
/// any centres and at every noise level; and that a network that moves the centres changes it.
#[test]
fn the_start_is_the_mixture() {
    let p = mixture();
    let y: Matrix = normal_matrix(3, Purpose::Check, 0, 200, 2).map(|v: f64| 2.0 * v);
    let exact = pushforward::density::evaluate(&p, &y).unwrap();
    for noise in [0.2, 0.6, 0.95] {
        let g: Generator<f64> = Generator::at_mixture(Affine::identity(2), &p, &[8], noise, 1);
        let q = g.density(&g.draw(30, true, (5, Purpose::Check, 0)), true).unwrap();
        let at = pushforward::density::evaluate(&q, &y).unwrap();
        for (a, b) in at.log_density.iter().zip(&exact.log_density) {
            assert!((a - b).abs() < 1e-10, "noise {noise}: {a} and {b}");
        }
        let size = exact.score.as_slice().iter().fold(0.0f64, |m, v| m.max(v.abs()));
        assert!(at.score.as_slice().iter().zip(exact.score.as_slice()).all(|(a, b)| (a - b).abs() < 1e-10 * size));
        let other = moved(noise);
        let q = other.density(&other.draw(30, true, (5, Purpose::Check, 0)), true).unwrap();
        assert!(q.log_density(&y).iter().zip(&exact.log_density).any(|(a, b)| (a - b).abs() > 0.1));
    }
}

/// Checks the plain density in the units of the target against the sum over centres written out, the score of both densities against
/// differences of order 2, and that the samples are the centres with their noise.
#[test]
fn densities_are_sums_over_centres() {
    let (g, n, seed) = (moved(0.6), 40, 9);
    let latent = g.draw(n, false, (seed, Purpose::Sample, 0));
    let still = LatentBatch { jitter: None, ..latent.clone() };
    let (centres, codes) = (g.frame.restore(&g.map(&still)), latent.codes.clone().unwrap());
    let x = g.sample(n, seed, 0);
    assert_eq!(x, g.frame.restore(&g.map(&latent)));
    let q = g.density_of_samples(n, seed, false).unwrap();
    let (p, scale) = (mixture(), 5.0);
    for (row, found) in x.iter_rows().zip(q.log_density(&x)) {
        let kernel = |i: usize| {
            let factor = &p.factors()[codes[i]];
            let gap: Vec<f64> = row.iter().zip(centres.row(i)).map(|(a, b)| (a - b) / (scale * g.noise)).collect();
            let l = factor.lower();
            let (u, v) = (gap[0] / l[(0, 0)], (gap[1] - l[(1, 0)] * gap[0] / l[(0, 0)]) / l[(1, 1)]);
            (-0.5 * (u * u + v * v)).exp() / (TAU * l[(0, 0)] * l[(1, 1)] * (scale * g.noise).powi(2))
        };
        let right = ((0..n).map(kernel).sum::<f64>() / n as f64).ln();
        assert!((found - right).abs() < 1e-9, "{found} {right}");
    }
    for controlled in [false, true] {
        let q = g.density_of_samples(n, seed, controlled).unwrap();
        let score = pushforward::density::evaluate(&q, &x).unwrap().score;
        let step = 1e-5;
        for j in 0..2 {
            let at = |e: f64| q.log_density(&Matrix::from_fn(n, 2, |i, k| x[(i, k)] + if k == j { e } else { 0.0 }));
            let (up, down) = (at(step), at(-step));
            for i in 0..n {
                let slope = (up[i] - down[i]) / (2.0 * step);
                assert!((slope - score[(i, j)]).abs() < 1e-4 * (1.0 + slope.abs()), "{slope} {}", score[(i, j)]);
            }
        }
    }
}

/// Checks that log Z of the defended certificate has no bias: the mean of Z over 400 repeats with 64 centres is within 4.5 standard errors of
/// the exact one (probability of failing by chance 7e-6), on a Gaussian wider than the generator. Without the noise's share in the density,
/// Z comes out wrong: the centres' own density at half the noise is rejected.
#[test]
fn z_has_no_bias() {
    let narrow = GaussianMixture::isotropic(&[1.0], Matrix::zeros(1, 2), 0.8).unwrap();
    let g: Generator<f64> = Generator::at_mixture(Affine::identity(2), &narrow, &[4], 0.6, 1);
    let p: Arc<dyn Density> = Arc::new(GaussianMixture::standard(2).unwrap());
    let z: Vec<f64> = (0..400).map(|k| g.certify(&p, 64, k).unwrap().defended.log_z.value.exp()).collect();
    let z = Summary::of(&z);
    assert!(((z.mean - 1.0) / z.standard_error()).abs() < 4.5, "{} {}", z.mean, z.standard_error());
    let mut wrong = g.clone();
    wrong.noise = 0.3;
    let bare = |k: u64| {
        let x = g.sample(64, k, 0);
        let q = wrong.density_of_samples(64, k, false).unwrap();
        let log_weights: Vec<f64> = p.log_density(&x).iter().zip(q.log_density(&x)).map(|(p, q)| p - q).collect();
        Certificate::of(&log_weights, None).unwrap().log_z.value
    };
    assert!((0..20).map(bare).sum::<f64>().abs() / 20.0 > 0.05);
}

/// Checks what is said where a mode of nine is deleted: log Z of the bare certificate falls by log(9/8), the defended one's effective sample
/// size collapses, the particles of the search name the place, and KL by noise levels (T26) still gives log Z, within 5 standard errors (by
/// chance 6e-7); with all nine modes nothing is said.
#[test]
fn a_deleted_mode_is_named() {
    let p = by_name("gmm9u").unwrap();
    let all = p.mixture().unwrap();
    let frame = Affine::of_mixture(all);
    let image = all.standardised(&frame).unwrap();
    let kept: Vec<usize> = (0..9).filter(|k| *k != 4).collect();
    let mass: f64 = kept.iter().map(|&k| image.weights()[k]).sum();
    let of = |rows: &[usize]| {
        let weights: Vec<f64> = rows.iter().map(|&k| image.weights()[k]).collect();
        let covariances = rows.iter().map(|&k| image.covariances()[k].clone()).collect();
        let q = GaussianMixture::new(&weights, image.means().gather_rows(rows), covariances).unwrap();
        let mut g: Generator<f64> = Generator::at_mixture(frame.clone(), &q, &[4], 0.6, 1);
        let particles = p.sample(2048, 3).unwrap();
        let (second, families, disagreement) = (p.sample(2048, 4).unwrap(), Vec::new(), None);
        g.search =
            Some(Searched { particles, second, families, log_z: 0.0, log_z_error: 0.02, calls: 1, disagreement });
        g
    };
    let whole = of(&(0..9).collect::<Vec<_>>()).certify(&p, 10_000, 1).unwrap();
    let by_noise = whole.log_z_by_noise().unwrap();
    assert!(by_noise.z(0.0).abs() < 5.0 && by_noise.standard_error < 0.01, "{by_noise:?}");
    assert!(whole.findings().iter().all(|f| !f.contains("by noise levels")), "{:?}", whole.findings());
    assert!(whole.bare.log_z.value.abs() < 0.02 && whole.defended.reverse_ess > 0.8, "{:?}", whole.defended);
    assert_eq!(whole.bare.verdict(), Verdict::Reliable);
    let beside = whole.search.unwrap();
    assert_eq!((beside.missed_region(), beside.missing_mass()), (None, None));
    let less = of(&kept).certify(&p, 10_000, 1).unwrap();
    assert!((less.bare.log_z.value - mass.ln()).abs() < 0.02, "{:?} {mass}", less.bare.log_z);
    // KL by noise levels sees the mode that no sample is near, and says so
    let by_noise = less.log_z_by_noise().unwrap();
    assert!(by_noise.z(0.0).abs() < 5.0 && by_noise.standard_error < 0.03, "{by_noise:?}");
    assert!(less.findings().iter().any(|f| f.contains("by noise levels puts log Z at")), "{:?}", less.findings());
    assert!(less.defended.reverse_ess < 0.5 * whole.defended.reverse_ess, "{}", less.defended.reverse_ess);
    assert_eq!(less.bare.verdict(), Verdict::Unreliable, "{:?}", less.bare);
    let found = less.search.unwrap();
    // with the particles log Z is that of all nine modes
    assert!(found.bridge.log_z.z(0.0).abs() < 5.0 && found.missing_mass().is_some(), "{:?}", found.bridge);
    // a binomial count of 2,048 particles, 5 standard deviations
    let error = 5.0 * ((1.0 - mass) * mass / 2048.0).sqrt();
    assert!((found.missed.value - (1.0 - mass)).abs() < error, "{} {}", found.missed.value, 1.0 - mass);
    let (centre, _) = found.region.clone().unwrap();
    let gap: f64 = centre.iter().zip(all.means().row(4)).map(|(a, b)| (a - b).powi(2)).sum();
    assert!(gap.sqrt() < 0.5, "{centre:?} {:?}", all.means().row(4));
    assert!(found.missed_region().unwrap().contains("a mode may be missing"));
}

/// Checks that the mixture that a generator starts from follows a density of which only values are known: 1/(1 + χ²) at least 0.95 on modes of
/// equal and of very unequal widths, and no less than that of the fit to the search's particles alone.
#[test]
fn the_fit_follows_the_density() {
    let two = GaussianMixture::new(
        &[0.5, 0.5],
        Matrix::from_rows(&[[0.0, 0.0], [3.0, 3.0]]),
        [25.0, 0.0025].map(|v| Matrix::from_fn(2, 2, |i, j| if i == j { v } else { 0.0 })).to_vec(),
    )
    .unwrap();
    let densities: [Arc<dyn Density>; 2] = [by_name("gmm9").unwrap(), Arc::new(two)];
    for p in densities {
        let p: Arc<dyn Density> = Arc::new(BlackBox(p));
        let found = search(&*p, &SearchSettings { particles: 4096, seed: 1, start: None }).unwrap();
        let frame = found.frame().unwrap();
        let target = Target::of(p).standardised(&frame).unwrap();
        let fitted = fit_mixture(&frame.standardise(&found.particles), 64, 1);
        let (refined, fraction) = refine(fitted.clone(), &*target.densities[0], 8192, 1).unwrap();
        assert!(fraction > 0.95, "{fraction}");
        let of = |q: &GaussianMixture| {
            let x = q.sample(4000, 77).unwrap();
            let log_p = target.densities[0].log_density(&x);
            let l: Vec<f64> = log_p.iter().zip(q.log_density(&x)).map(|(p, q)| p - q).collect();
            pushforward::metric::effective_fraction(&l)
        };
        // the fractions of 4,000 draws have errors below 0.01 here
        assert!(of(&refined) > of(&fitted) - 0.02, "{} {}", of(&refined), of(&fitted));
    }
}

/// Checks that a mode of mass 0.01 to 0.02 is not lost where the fit to the particles covers it by a wide component alone, which becomes narrow as it
/// follows p: the mixture that follows p and looks at the particles again has it, with its mass to a tenth (five standard errors of the
/// weighted draws at 0.01), and without that look it has less than a tenth of it.
#[test]
fn what_the_particles_know_is_regained() {
    let means = Matrix::from_rows(&[[0.0, 8.0], [8.0, 0.0], [0.0, -8.0], [0.0, 0.0]]);
    let p = GaussianMixture::isotropic(&[0.01, 0.02, 0.47, 0.5], means, 1.0).unwrap();
    let y = p.sample(8192, 5).unwrap();
    let wide = GaussianMixture::new(
        &[0.5, 0.5],
        Matrix::from_rows(&[[0.0, -8.0], [0.2, 0.2]]),
        [1.0, 3.0].map(|v| Matrix::from_fn(2, 2, |i, j| if i == j { v } else { 0.0 })).to_vec(),
    )
    .unwrap();
    let masses = |q: &GaussianMixture| {
        let x = q.sample(200_000, 9).unwrap();
        [1, 0].map(|j| x.iter_rows().filter(|row| row[j] > 4.0).count() as f64 / 200_000.0)
    };
    let lost = masses(&refine(wide.clone(), &p, 8192, 1).unwrap().0);
    let (found, fraction) = follow(wide, &y, &p, 64, 8192, 1).unwrap();
    let found = masses(&found);
    println!("{lost:?} {found:?} {fraction}");
    assert!(lost[0] < 0.001 && lost[1] < 0.002, "{lost:?}");
    assert!((found[0] / 0.01 - 1.0).abs() < 0.1 && (found[1] / 0.02 - 1.0).abs() < 0.1, "{found:?}");
}

/// Checks that a short training of a density of which only values are known ends no worse than the search that it came from: all modes, and
/// a total variation of the masses, at 100,000 samples, of at most that of the search's particles and 0.015.
#[test]
fn a_generator_is_no_worse_than_its_search() {
    let inner = by_name("gmm9").unwrap();
    let truth = ModeTruth::new(inner.mixture().unwrap(), 400_000, 5);
    let target = Target::of(Arc::new(BlackBox(inner)));
    let method = Method::preset("generator", &target).unwrap();
    let method = method.with("steps", 60).unwrap().with("batch", 512).unwrap().with("hidden", vec![32, 32]).unwrap();
    let mut run = method.start(&target, None).unwrap();
    run.finish().unwrap();
    let report = truth.report(&run.sample(100_000, 3, 0));
    let g = run.model_as::<GeneratorModel<f32>>().unwrap().generator();
    let particles = truth.report(&g.search.as_ref().unwrap().particles);
    assert_eq!(report.covered, 9);
    assert!(report.total_variation < 0.015, "{}", report.total_variation);
    assert!(
        report.total_variation < particles.total_variation,
        "{} {}",
        report.total_variation,
        particles.total_variation
    );
    assert!((report.variance_ratio - 1.0).abs() < 0.05, "{}", report.variance_ratio);
    let certificate = g.certify(&target.densities[0], 10_000, 1).unwrap();
    assert!(certificate.bare.reverse_ess > 0.95 && certificate.bare.log_z.z(0.0).abs() < 5.0, "{:?}", certificate.bare);
}
