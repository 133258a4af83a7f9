//! T25: the certificate of a generator with noise. Expectations over the noise of given centres, and over few centres, by quadrature.

use crate::density::{Affine, Density, GaussianMixture};
use crate::linalg::Matrix;
use crate::model::{Generator, LatentBatch};
use crate::num::{Summary, exp, ln};
use crate::rng::{Purpose, fill_normal, stream};
use crate::verify::{Budget, Claim, Comparison, Hypothesis, Outcome, Size, Takes};
use rayon::prelude::*;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T25",
    title: "one point per centre, weighed against the mixture of all centres, gives Z without bias",
    takes: Takes::NoPair,
    hypotheses: &[
        Hypothesis::instance("(a) ψ > 0 on the support of p", bounded_kernels),
        Hypothesis::variant("(a) ψ contains the own kernel", "own centre left out"),
        Hypothesis::variant("(a) one point is drawn from each kernel", "points at the centres, without noise"),
        Hypothesis::not_run("(b) χ²(p‖ψ) < ∞; (c) finite expectations", "the formulas read ∞ = ∞ otherwise"),
    ],
    check,
};

/// Pieces of the generator, in one dimension.
const WEIGHTS: [f64; 3] = [0.3, 0.5, 0.2];
const MEANS: [f64; 3] = [-1.5, 0.2, 2.0];
const WIDTHS: [f64; 3] = [0.5, 0.3, 0.8];
const NOISE: f64 = 0.8;
/// Centres.
const COUNTS: [usize; 3] = [1, 2, 8];
/// log Z of p~ = Z (0.6 N(-1, 0.5²) + 0.4 N(1.2, 0.7²)).
const LOG_Z: f64 = 0.3;
/// The line of quadrature: the trapezoidal rule is exact to rounding for functions that are smooth and vanish at both ends.
const ENDS: f64 = 14.0;
const CELLS: usize = 14_000;
/// Draws of the centres behind a mean over them, and z beyond which it has failed.
const REPEATS: u64 = 60;
const FEW: usize = 64;
const LIMIT: f64 = 5.0;

fn check(budget: &Budget) -> Vec<Outcome> {
    let instances = if budget.size == Size::Quick { 3 } else { 12 };
    (0..instances)
        .into_par_iter()
        .map(|k| {
            let seed = budget.seed.wrapping_add(k);
            let g = generator(seed);
            let mut out = unbiased(&g, seed);
            let more = bracket(&g, seed);
            out.comparisons.extend(more.comparisons);
            out.mutants.extend(more.mutants);
            out
        })
        .collect()
}

/// A generator whose network and shifts are drawn at random.
fn generator(seed: u64) -> Generator<f64> {
    let covariances = WIDTHS.map(|w| Matrix::filled(1, 1, w * w)).to_vec();
    let p = GaussianMixture::new(&WEIGHTS, Matrix::from_vec(3, 1, MEANS.to_vec()), covariances).expect("a mixture");
    let mut g = Generator::at_mixture(Affine::identity(1), &p, &[4], NOISE, seed);
    let mut rng = stream(seed, Purpose::Check, 25);
    for p in &mut g.parameters[1..] {
        let mut m = Matrix::zeros(p.rows(), p.cols());
        fill_normal(&mut rng, m.as_mut_slice());
        *p = Arc::new(m.map(|v| 0.4 * v).into());
    }
    g
}

/// p.
fn target() -> GaussianMixture {
    let covariances = [0.25, 0.49].map(|v| Matrix::filled(1, 1, v)).to_vec();
    GaussianMixture::new(&[0.6, 0.4], Matrix::from_rows(&[[-1.0], [1.2]]), covariances).expect("a mixture")
}

/// log p~ = log p + log Z.
fn log_target(y: &Matrix) -> Vec<f64> {
    target().log_density(y).into_iter().map(|l| l + LOG_Z).collect()
}

fn line() -> Matrix {
    Matrix::from_fn(CELLS + 1, 1, |i, _| ENDS * (2.0 * i as f64 / CELLS as f64 - 1.0))
}

/// ∫ over the line of the values at its points.
fn integral(values: impl Iterator<Item = f64>) -> f64 {
    values.sum::<f64>() * 2.0 * ENDS / CELLS as f64
}

/// (place, width) of the kernel of each centre, read off the map without its noise.
fn kernels(g: &Generator<f64>, latent: &LatentBatch<f64>) -> Vec<(f64, f64)> {
    let still = LatentBatch { jitter: None, ..latent.clone() };
    let codes = latent.codes.as_ref().expect("codes");
    g.map(&still).as_slice().iter().zip(codes).map(|(&y, &k)| (y, NOISE * WIDTHS[k])).collect()
}

fn kernel(y: f64, (place, width): (f64, f64)) -> f64 {
    exp(-0.5 * ((y - place) / width).powi(2)) / (width * std::f64::consts::TAU.sqrt())
}

/// E[(1/N) Σ_i p~(x_i)/ψ(x_i) | centres] = Z, with the density ψ that ships.
fn unbiased(g: &Generator<f64>, seed: u64) -> Outcome {
    let mut out = Outcome::default();
    let points = line();
    let log_p = log_target(&points);
    let z = exp(LOG_Z);
    for n in COUNTS {
        let latent = g.draw(n, false, (seed, Purpose::Check, n as u64));
        let centres = kernels(g, &latent);
        let psi = g.density(&latent, false).expect("noise").log_density(&points);
        let fresh = g.draw(n, false, (seed, Purpose::Check, 100 + n as u64));
        let other = g.density(&fresh, false).expect("noise").log_density(&points);
        let mean = |log_q: &dyn Fn(usize, f64, f64) -> f64| -> f64 {
            let one = |c: &(f64, f64)| {
                integral((0..=CELLS).map(|i| {
                    let own = kernel(points[(i, 0)], *c);
                    // beyond the reach of a kernel both densities can be 0
                    if own > 1e-290 { own * exp(log_p[i] - log_q(i, own, n as f64)) } else { 0.0 }
                }))
            };
            centres.iter().map(one).sum::<f64>() / n as f64
        };
        let compare = |what: &str, left: f64| Comparison::exact(format!("N = {n}, {what}"), left, z, z, 1e-9);
        // p~ beyond the reach of all kernels is lost: with few centres the statement is about what they reach
        let reached = integral((0..=CELLS).map(|i| if psi[i] > -600.0 { exp(log_p[i]) } else { 0.0 }));
        if (reached / z - 1.0).abs() < 1e-12 {
            out.comparisons.push(compare("own centre in", mean(&|i, _, _| psi[i])));
        }
        if n > 1 {
            let without = mean(&|i, own, n| ln(((n * exp(psi[i]) - own) / (n - 1.0)).max(1e-290)));
            out.mutants.push(("own centre left out", compare("own centre out", without)));
            let still = Matrix::from_vec(n, 1, centres.iter().map(|c| c.0).collect());
            let at = g.density(&latent, false).expect("noise").log_density(&still);
            let bare: f64 = log_target(&still).iter().zip(at).map(|(p, q)| exp(p - q)).sum::<f64>() / n as f64;
            out.mutants.push(("points at the centres, without noise", compare("no noise", bare)));
        }
        let apart = mean(&|i, _, _| other[i].max(-650.0));
        out.mutants.push(("the mixture of other centres", compare("fresh centres", apart)));
    }
    out
}

/// log q of the generator's law, its noise integrated over the centres by quadrature in z.
fn law(g: &Generator<f64>, points: &Matrix) -> Vec<f64> {
    const STEPS: usize = 1200;
    let shrink = (1.0 - NOISE * NOISE).sqrt();
    let z: Vec<f64> = (0..=STEPS).map(|i| 9.0 * (2.0 * i as f64 / STEPS as f64 - 1.0)).collect();
    let mut out = vec![0.0; points.rows()];
    for (k, pi) in g.latent.probabilities().into_iter().enumerate() {
        let noise = Matrix::from_vec(z.len(), 1, z.iter().map(|z| shrink * z).collect());
        let latent = LatentBatch { noise, jitter: None, codes: Some(vec![k; z.len()]), guidance: 0.0 };
        let places = g.map(&latent);
        let mass = |z: f64| pi * exp(-0.5 * z * z) / std::f64::consts::TAU.sqrt() * 18.0 / STEPS as f64;
        for (o, &y) in out.iter_mut().zip(points.as_slice()) {
            let each = z.iter().zip(places.as_slice());
            *o += each.map(|(&z, &c)| mass(z) * kernel(y, (c, NOISE * WIDTHS[k]))).sum::<f64>();
        }
    }
    out.into_iter().map(ln).collect()
}

/// E[log p~ - log ψ] with the own centre ≤ ELBO = E[log p~ - log q] ≤ the same without it, from the differences at the same draws.
fn bracket(g: &Generator<f64>, seed: u64) -> Outcome {
    let mut out = Outcome::default();
    // Z is not in the differences
    let p: Arc<dyn Density> = Arc::new(target());
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for repeat in 0..REPEATS {
        let key = seed.wrapping_mul(REPEATS).wrapping_add(repeat);
        let c = g.certify(&p, FEW, key).expect("a density");
        let x = c.points.slice_rows(0..FEW);
        let elbo = p.log_density(&x).iter().zip(law(g, &x)).map(|(p, q)| p - q).sum::<f64>() / FEW as f64;
        with.push(c.elbo[0].value - elbo);
        without.push(c.elbo[1].value - elbo);
    }
    let z = |values: &[f64]| {
        let summary = Summary::of(values);
        summary.mean / summary.standard_error()
    };
    let (with, without) = (z(&with), z(&without));
    let decide = |what: &str, holds: bool| Comparison::decision(format!("N = {FEW}, {what}"), holds);
    out.comparisons.push(decide("own centre in: at most the ELBO", with < LIMIT));
    out.comparisons.push(decide("own centre out: at least the ELBO", without > -LIMIT));
    out.mutants.push(("own centre in, and an upper bound", decide("own centre in", with > -LIMIT)));
    out.mutants.push(("own centre out, and a lower bound", decide("own centre out", without < LIMIT)));
    out
}

/// One centre at 0 with a uniform kernel on [-1, 1]: the mean of p~/ψ is the part of Z that the kernel reaches.
fn bounded_kernels() -> Comparison {
    let log_p = |x: f64| log_target(&Matrix::filled(1, 1, x))[0];
    // ψ = ½, the density of the point that is drawn
    let left = crate::verify::hypothesis::integral(-1.0, 1.0, |x| 0.5 * exp(log_p(x)) / 0.5);
    let z = exp(LOG_Z);
    Comparison::exact("a uniform kernel on [-1, 1]: E[p~/ψ] and Z", left, z, z, 1e-9)
}
