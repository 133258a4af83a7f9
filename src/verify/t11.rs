//! T11: the smoothed velocity φ_h ∗ (w(r_h)β_h) is the gradient of D_f(p_h‖q_h); what the shipped estimate makes of it.

use super::atoms::{Estimate, POWERS, TwoAtoms};
use super::pair::vector;
use super::{Budget, Claim, Comparison, Draw, Grid, Hypothesis, Ladder, Outcome, Takes, Vector, dot, resolve};
use crate::density::{Density, GaussianMixture};
use crate::divergence::{Divergence, ForwardKl, LeCam, ReverseKl};
use crate::estimate::Kde;
use crate::estimate::KernelSettings;
use crate::linalg::Matrix;
use crate::num::{Summary, exp, ln};
use crate::rng::{Purpose, fill_normal, fill_uniform, normal_matrix, uniform};
use crate::velocity::{Clock, LogRatioClip, Pull, Reference, Scene, UniversalDrift, Velocity, drift_into};
use rayon::prelude::*;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T11",
    title: "the smoothed universal velocity is φ_h * (w(r_h)β_h), the gradient of D_f(p_h‖q_h)",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::variant("the field is smoothed once more by φ_h", "raw field for V_h"),
        Hypothesis::variant("p is blurred as q is", "p not blurred as q is"),
        Hypothesis::elsewhere(
            "(b) q has an absolutely continuous part, where V_h = 0 on its support is to be enough",
            "T14",
            "V = 0 on the particles, hence q = p",
        ),
        Hypothesis::elsewhere(
            "(c) the estimate is asked at an independent point",
            "T16",
            "corrected as for an independent sample",
        ),
        Hypothesis::instance("(M), on the tails of p_h and q_h", super::t01::infinite),
    ],
    check,
};

type Case = Arc<dyn Divergence>;

/// Particles of q and point masses of p.
const ATOMS: usize = 5;

fn check(budget: &Budget) -> Vec<Outcome> {
    let divergences = budget.divergences();
    let draws = budget.draws(11, [3, 1], [60, 6]);
    let mut out: Vec<Outcome> = draws
        .par_iter()
        .map(|draw| {
            let comparisons = resolve(&divergences, |cases, attempt| Setting::new(draw, attempt).compare(cases));
            Outcome { comparisons, mutants: Setting::new(draw, 0).mutants(&divergences) }
        })
        .collect();
    out.par_extend(draws.par_iter().map(powers));
    let drifts: [Case; 3] = [Arc::new(ReverseKl), Arc::new(ForwardKl), Arc::new(LeCam)];
    out.par_extend(drifts.par_iter().map(|f| shipped(budget.seed, f)));
    out.push(fixed_cloud(budget.seed));
    out
}

/// Two sets of point masses, h, and a displacement of each particle.
struct Setting<'a> {
    draw: &'a Draw,
    p: GaussianMixture,
    particles: Matrix,
    displacement: Matrix,
    h: f64,
    grid: Grid,
}

impl<'a> Setting<'a> {
    fn new(draw: &'a Draw, attempt: usize) -> Self {
        let (mut rng, d) = (draw.stream(attempt), draw.pair.dim());
        let h = 0.5 + 0.3 * uniform(&mut rng);
        let mut cloud = || {
            let mut u = vec![0.0f64; ATOMS * d];
            fill_uniform(&mut rng, &mut u);
            Matrix::from_vec(ATOMS, d, u).map(|u| 2.0 * u - 1.0)
        };
        let (means, particles) = (cloud(), cloud());
        let mut displacement = Matrix::zeros(ATOMS, d);
        fill_normal(&mut rng, displacement.as_mut_slice());
        let weights: Vec<f64> = (0..ATOMS).map(|_| 0.2 + uniform(&mut rng)).collect();
        let p = GaussianMixture::isotropic(&weights, means, h).expect("five point masses, blurred");
        // p_h^(k+1)/q_h^k is a Gaussian about a point at most 2k+1 away, k ≤ 2 (T11, M)
        let grid = Grid::covering(&vec![(-6.0 - 9.0 * h, 6.0 + 9.0 * h); d], h / if d == 1 { 12.0 } else { 5.0 });
        Self { draw, p, particles, displacement, h, grid }
    }

    fn blurred(&self, step: f64, h: f64) -> GaussianMixture {
        let mut means = self.particles.clone();
        means.add_scaled(step, &self.displacement);
        GaussianMixture::isotropic(&[1.0; ATOMS], means, h).expect("particles, blurred")
    }

    /// Central differences of F_h = D_f(p_h‖q_h), q_h the particles' mixture, by quadrature.
    fn left(&self, cases: &[Case]) -> Vec<Ladder> {
        let log_p = self.p.log_density(&self.grid.nodes);
        Ladder::central(0.1 * self.h, |step| {
            let log_q = self.blurred(step, self.h).log_density(&self.grid.nodes);
            let one = |f: &Case| self.grid.integrate_with_size(|i| exp(log_q[i]) * f.f(log_p[i] - log_q[i]));
            cases.iter().map(one).collect()
        })
    }

    /// w(r_h)β_h at the nodes through the shipped estimate and drift: q_h by [`Kde`] at bandwidth `h`, p_h as given.
    fn raw(&self, f: &Case, p: &GaussianMixture, h: f64, x: &Matrix) -> Matrix {
        let (mut log, mut beta) = (vec![0.0; x.rows()], Matrix::zeros(x.rows(), x.cols()));
        p.evaluate_into(x, &mut log, &mut beta);
        let q = Kde::new(&self.particles, h).expect("a positive bandwidth").evaluate(x);
        log.iter_mut().zip(&q.log_density).for_each(|(l, q)| *l -= q);
        beta.add_scaled(-1.0, &q.score);
        let mut v = Matrix::zeros(x.rows(), x.cols());
        drift_into(f.as_ref(), LogRatioClip::NONE, &log, &beta, &mut v);
        v
    }

    /// V_h at the particles, the outer smoothing by quadrature.
    fn smoothed(&self, raw: &Matrix) -> Vec<Vector> {
        let one = |x: &[f64]| {
            let centre = Matrix::from_vec(1, x.len(), x.to_vec());
            let kernel = GaussianMixture::isotropic(&[1.0], centre, self.h).expect("a positive bandwidth");
            let log = kernel.log_density(&self.grid.nodes);
            std::array::from_fn(|j| self.grid.integrate(|i| exp(log[i]) * vector(raw.row(i))[j]))
        };
        self.particles.iter_rows().map(one).collect()
    }

    /// -E_q[ξ·V], and the size of its terms.
    fn right(&self, v: &[Vector]) -> (f64, f64) {
        let terms = || v.iter().zip(self.displacement.iter_rows()).map(|(v, xi)| -dot(*v, vector(xi)) / ATOMS as f64);
        (terms().sum(), terms().map(f64::abs).sum())
    }

    fn against(&self, f: &Case, left: &Ladder, (right, scale): (f64, f64)) -> Comparison {
        let instance = format!("{}, {}, h = {:.2}", self.draw.label, f.name(), self.h);
        Comparison::of_ladder(instance, left, right, scale, self.draw.tolerance())
    }

    /// The derivative, and Jensen's inequality E_q|V_h|² ≤ E_{q_h}|w β_h|² as an assumption that must be met.
    fn compare(&self, cases: &[Case]) -> Vec<Comparison> {
        let left = self.left(cases);
        let log_q = self.blurred(0.0, self.h).log_density(&self.grid.nodes);
        let one = |(f, left): (&Case, &Ladder)| {
            let raw = self.raw(f, &self.p, self.h, &self.grid.nodes);
            let v = self.smoothed(&raw);
            let energy = v.iter().map(|v| dot(*v, *v)).sum::<f64>() / ATOMS as f64;
            let size = self.grid.integrate(|i| exp(log_q[i]) * dot(vector(raw.row(i)), vector(raw.row(i))));
            self.against(f, left, self.right(&v)).assuming("E_q|V_h|² over E_qh|wβ_h|²", energy / size, 1.0)
        };
        cases.iter().zip(&left).map(one).collect()
    }

    fn mutants(&self, cases: &[Case]) -> Vec<(&'static str, Comparison)> {
        let left = self.left(cases);
        let mut out = Vec::new();
        for (f, left) in cases.iter().zip(&left) {
            let field = |p: &GaussianMixture, h: f64| self.right(&self.smoothed(&self.raw(f, p, h, &self.grid.nodes)));
            let scale = field(&self.p, self.h).1;
            let mut wrong = |what, right: f64| out.push((what, self.against(f, left, (right, scale))));
            let at_particles = self.raw(f, &self.p, self.h, &self.particles);
            let rows: Vec<Vector> = at_particles.iter_rows().map(vector).collect();
            wrong("raw field for V_h", self.right(&rows).0);
            let sharp = |h: f64| GaussianMixture::isotropic(self.p.weights(), self.p.means().clone(), h);
            wrong("p not blurred as q is", field(&sharp(0.8 * self.h).expect("a positive bandwidth"), self.h).0);
            wrong("another bandwidth for q", field(&self.p, 1.25 * self.h).0);
        }
        out
    }
}

/// (c): N(E[q̂^-α]/q_h^-α - 1) → ½α(α+1) N τ_N with an error of order 1/N, by exact expectations over two atoms. Where the next
/// coefficient nearly vanishes (the atoms nearly as far from the query as each other) other atoms are drawn.
fn powers(draw: &Draw) -> Outcome {
    let exact = |k: usize| 0.5 * POWERS[k] * (POWERS[k] + 1.0);
    let of = |p: &Powers, cases: &[usize]| cases.iter().map(|&k| p.against(k, exact(k))).collect();
    let first = Powers::new(draw, 0);
    let again = |attempt| if attempt == 0 { None } else { Some(Powers::new(draw, attempt)) };
    Outcome {
        comparisons: resolve(&[0, 1, 2], |cases, attempt| of(again(attempt).as_ref().unwrap_or(&first), cases)),
        mutants: (0..3).map(|k| ("E of a power is the power of E", first.against(k, 0.0))).collect(),
    }
}

/// N and the exact mean of an estimate from N draws, for N = 32, …, 2048.
struct Powers<'a> {
    draw: &'a Draw,
    found: Vec<(f64, Estimate)>,
    /// N τ_N.
    variance: f64,
}

impl<'a> Powers<'a> {
    fn new(draw: &'a Draw, attempt: usize) -> Self {
        let mut u = [0.0f64; 4];
        fill_uniform(&mut draw.stream(2 + attempt), &mut u);
        let d = draw.pair.dim();
        let atoms = Matrix::from_fn(2, d, |i, j| if j == 0 { 2.0 * i as f64 - 1.0 } else { u[3] });
        let query = Matrix::from_fn(1, d, |_, _| u[0] - 0.5);
        let atoms = TwoAtoms { atoms, mass: 0.3 + 0.4 * u[1], bandwidth: 0.9 + 0.4 * u[2], query };
        let found = (0..7).map(|k| 32usize << k).map(|n| (n as f64, atoms.expectation(n))).collect();
        Self { draw, found, variance: atoms.exact().variance }
    }

    fn against(&self, k: usize, factor: f64) -> Comparison {
        let left = Ladder {
            steps: self.found.iter().map(|(n, _)| 1.0 / n).collect(),
            values: self.found.iter().map(|(n, e)| n * (e.powers[k] - 1.0)).collect(),
            rounding: self.found.iter().map(|(n, _)| 64.0 * f64::EPSILON * n).collect(),
            order: 1.0,
        };
        let instance = format!("{}, power -{} of the estimate", self.draw.label, POWERS[k]);
        Comparison::of_ladder(instance, &left, factor * self.variance, self.variance, 5e-2)
    }
}

/// Independent scenes, particles and reference points in each.
const SCENES: u64 = 32;
const PARTICLES: usize = 128;
const REFERENCE: usize = 2048;

/// E_q[x V(x)] of the shipped field, one number for each independent scene, for q = N(mean, std²) and p = N(0, variance).
fn virial(seed: u64, f: &Case, (mean, std): (f64, f64), variance: f64, (h, neighbours): (f64, f64)) -> Summary {
    let target = GaussianMixture::gaussian(&[0.0], Matrix::from_rows(&[[variance]])).expect("a positive variance");
    let target: Arc<dyn Density> = Arc::new(target);
    let one = |step: u64| {
        let sample =
            |unit: u64, n: usize| normal_matrix::<f64>(seed, Purpose::Check, unit, n, 1).map(|z| mean + std * z);
        let (particles, reference) =
            (sample(2 * step + (11 << 40), PARTICLES), sample(2 * step + 1 + (11 << 40), REFERENCE));
        let kernel = KernelSettings { bandwidth_start: 1.2, bandwidth_end: h, neighbours, ..KernelSettings::default() };
        let drift = UniversalDrift::smoothed(Arc::clone(&target), Arc::clone(f), kernel);
        let scene = Scene {
            x: &particles,
            reference: Reference::Independent(&reference),
            classes: None,
            at_x: None,
            law: None,
            dt: 0.0,
            // the bandwidth has fallen to its end
            clock: Clock { step: step + 1, steps: 1 },
            seed,
        };
        let Ok(Pull::Points(field)) = drift.evaluate(&scene) else { panic!("T11: a finite target has a velocity") };
        let products = particles.as_slice().iter().zip(field.velocity.as_slice()).map(|(x, v)| x * v);
        products.sum::<f64>() / PARTICLES as f64
    };
    Summary::of(&(0..SCENES).into_par_iter().map(one).collect::<Vec<f64>>())
}

/// The shipped field: at rest in mean at q = p with one bandwidth and with each particle's own, and E_q[x V_h] by quadrature at
/// another q. |z| ≤ 4 on 31 degrees of freedom fails by chance with probability 4e-4.
fn shipped(seed: u64, f: &Case) -> Outcome {
    let compare = |what: &str, found: Summary, right: f64| {
        Comparison::monte_carlo(format!("{}, {what}", f.name()), found.mean, found.standard_error(), right, 4.0)
    };
    let (one, own) = ((0.5, 0.0), (0.15, 40.0));
    let still = |unit: (f64, f64), variance: f64| virial(seed, f, (0.0, 1.0), variance, unit);
    // q wider than p: r is bounded, and forward KL's weight r with it. For a narrower q its mean has a tail that 32 scenes do not see
    let (mean, std, h) = (0.5, 1.2, 0.5);
    let moved = virial(seed, f, (mean, std), 1.0, one);
    let mut out = Outcome {
        comparisons: vec![
            compare("at rest at q = p, one bandwidth", still(one, 1.0), 0.0),
            compare("E_q[x V_h]", moved, exact_virial(f, (mean, std), h)),
        ],
        mutants: vec![
            // p ∗ N(0, -h²) is what the unmatched drift compares with
            ("unmatched drift at rest at q = p", compare("unmatched", still(one, 1.0 - 0.25), 0.0)),
            ("another target at rest", compare("own bandwidths", still(own, 1.5), 0.0)),
        ],
    };
    // with other weights the noise of 40 neighbours leaves a bias of first order in 1/40 (T11, c)
    if f.name() == "reverse-kl" {
        out.comparisons.push(compare("at rest at q = p, own bandwidths", still(own, 1.0), 0.0));
    }
    out
}

/// Points of a cloud in the plane, and the atoms of p that have the width 0.3: so near that h|β_h| stays below 2, where the field is cut.
const CLOUD: [[f64; 2]; 4] = [[0.5, 0.2], [-0.4, 0.6], [-0.1, -0.7], [0.3, -0.2]];
const TARGET: [[f64; 2]; 3] = [[0.9, -0.6], [-0.2, -0.7], [0.6, 0.3]];
/// Copies of each point in a scene, and scenes: 2¹⁶ jitters of each point.
const COPIES: usize = 32;
const CLOUDS: u64 = 2048;

/// The shipped field of reverse KL of one cloud, its own term kept, over 2¹⁶ jitters of each point: an exact law at finite N (T16(a)), both
/// components against φ_h ∗ β_h by quadrature. |z| ≤ 5 at eight numbers fails by chance with probability 5e-6.
fn fixed_cloud(seed: u64) -> Outcome {
    let (h, n) = (1.0, CLOUD.len());
    let mixture = |means: &[[f64; 2]], std: f64| {
        let means = Matrix::from_fn(means.len(), 2, |i, j| means[i][j]);
        GaussianMixture::isotropic(&vec![1.0; means.rows()], means, std).expect("atoms, blurred")
    };
    let kernel = KernelSettings { bandwidth_start: h, bandwidth_end: h, neighbours: 0.0, ..KernelSettings::default() };
    let drift = UniversalDrift::smoothed(Arc::new(mixture(&TARGET, 0.3)), Arc::new(ReverseKl), kernel);
    let x = Matrix::from_fn(n * COPIES, 2, |i, j| CLOUD[i % n][j]);
    let one = |step: u64| -> Vec<f64> {
        let clock = Clock { step, steps: CLOUDS };
        let scene =
            Scene { x: &x, reference: Reference::Own, classes: None, at_x: None, law: None, dt: 0.0, clock, seed };
        let Ok(Pull::Points(field)) = drift.evaluate(&scene) else { panic!("T11: a finite target has a velocity") };
        let v = field.velocity;
        let mean = |i: usize, j: usize| (0..COPIES).map(|c| v[(n * c + i, j)]).sum::<f64>() / COPIES as f64;
        (0..2 * n).map(|k| mean(k / 2, k % 2)).collect()
    };
    let found: Vec<Vec<f64>> = (0..CLOUDS).into_par_iter().map(one).collect();

    let (p, q) = (mixture(&TARGET, (0.09 + h * h).sqrt()), mixture(&CLOUD, h));
    let beta = |x: &Matrix| {
        let (mut log, mut beta, mut score) = (vec![0.0; x.rows()], x.clone(), x.clone());
        p.evaluate_into(x, &mut log, &mut beta);
        q.evaluate_into(x, &mut log, &mut score);
        beta.add_scaled(-1.0, &score);
        beta
    };
    let grid = Grid::covering(&[(-10.0, 10.0); 2], h / 5.0);
    let at_nodes = beta(&grid.nodes);
    let field = |i: usize, j: usize, h: f64| {
        let log = mixture(&CLOUD[i..=i], h).log_density(&grid.nodes);
        grid.integrate(|k| exp(log[k]) * at_nodes[(k, j)])
    };
    let raw = beta(&Matrix::from_fn(n, 2, |i, j| CLOUD[i][j]));
    let mut out = Outcome::default();
    for (i, j) in (0..n).flat_map(|i| [(i, 0), (i, 1)]) {
        let moments = Summary::of(&found.iter().map(|v| v[2 * i + j]).collect::<Vec<_>>());
        let (truth, error) = (field(i, j, h), moments.standard_error());
        let against = |right: f64| {
            let name = format!("reverse-kl, one cloud, point {}, component {}", i + 1, j + 1);
            Comparison::monte_carlo(name, moments.mean, error, right, 5.0)
        };
        out.comparisons.push(against(truth));
        let mut wrong = |what, right: f64| {
            out.mutants.push((what, against(right).unless((right - truth).abs() <= 10.0 * error)));
        };
        wrong("no jitter: the raw field of one cloud", raw[(i, j)]);
        wrong("a jitter of 0.7 h", field(i, j, 0.7 * h));
        wrong("1.1 times the field of one cloud", 1.1 * truth);
        wrong("the other component", field(i, 1 - j, h));
    }
    out
}

/// E_q[x V_h(x)] = E_{y~q_h}[E[x|y] w(r_h)β_h(y)] for Gaussians, p = N(0, 1): E[x|y] = m + s²(y-m)/(s²+h²).
fn exact_virial(f: &Case, (mean, std): (f64, f64), h: f64) -> f64 {
    let (vp, vq) = (1.0 + h * h, std * std + h * h);
    let grid = Grid::covering(&[(mean - 9.0, mean + 9.0)], 0.02);
    grid.integrate(|i| {
        let y = grid.nodes[(i, 0)];
        let log = |m: f64, v: f64| -0.5 * (y - m) * (y - m) / v - 0.5 * ln(std::f64::consts::TAU * v);
        let (log_p, log_q) = (log(0.0, vp), log(mean, vq));
        let beta = -y / vp + (y - mean) / vq;
        exp(log_q) * (mean + std * std * (y - mean) / vq) * f.weight(log_p - log_q) * beta
    })
}
