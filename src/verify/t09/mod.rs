//! T9: the training gradient of the shipped generator with cotangent -V is the gradient of D_f(p‖G_θ#N).

use crate::autodiff::Tape;
use crate::density::{Density, GaussianMixture};
use crate::divergence::Divergence;
use crate::linalg::Matrix;
use crate::model::{Generator, LatentBatch};
use crate::num::{exp, ln};
use crate::verify::pair::vector;
use crate::verify::{
    Budget, Claim, Comparison, Draw, Grid, Hypothesis, Ladder, Nodes, Outcome, Pair, Takes, dot, integrability, resolve,
};
pub(super) use generators::Kind;
use generators::{image, normals, preimage, random_generator, tails};
use rayon::prelude::*;
use std::f64::consts::PI;
use std::sync::Arc;

mod generators;

pub(super) const CLAIM: Claim = Claim {
    id: "T09",
    title: "the stop-gradient loss has the gradient of η D_f(p‖G_θ#N)",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::variant("V counts as a constant in the loss", "V differentiated too"),
        Hypothesis::variant("V is taken at the image of the same z", "V in another order than z"),
        Hypothesis::instance("F(θ) < ∞, and the bounds 2 and 3 on the tails", crate::verify::t01::infinite),
        Hypothesis::not_run("q_θ has a positive density (1)", "a singular law has no ratio r: neither side is defined"),
    ],
    check,
};

type Case = Arc<dyn Divergence>;

/// Standard deviations that grids cover around each Gaussian that bounds an integrand: e^(-9²/2) = 3e-18.
const REACH: f64 = 9.0;
/// Standard deviation of each image, 1, over that of the target's widest component: inside the range of T7 for every divergence.
const SPREAD: f64 = 1.05;
/// The first step of the central differences in θ.
pub(super) const STEP: f64 = 0.02;
/// Largest latent at which a rule has a weight: e^(-37²/2) = 5e-298 is still a normal number.
const FAR: f64 = 37.0;
/// Least slope of a network that is taken to be increasing.
const RISING: f64 = 0.1;

fn check(budget: &Budget) -> Vec<Outcome> {
    let divergences = budget.divergences();
    let draws = budget.draws(9, [2, 1], [60, 6]);
    let jobs: Vec<(&Draw, Kind)> = draws.iter().flat_map(|d| Kind::ALL.map(|kind| (d, kind))).collect();
    // the density of a curved generator is known here on the line only
    let possible = jobs.par_iter().filter(|(draw, kind)| *kind == Kind::Codes || draw.pair.dim() == 1);
    possible.map(|(draw, kind)| one(draw, *kind, &divergences)).collect()
}

fn one(draw: &Draw, kind: Kind, divergences: &[Case]) -> Outcome {
    let first = Setting::new(draw, kind, 0, divergences);
    let (infinite, finite): (Vec<Case>, Vec<Case>) =
        divergences.iter().cloned().partition(|f| first.refusal(f).is_some());
    let left = first.left(&finite);
    let mut comparisons = resolve(&finite, |cases, attempt| match attempt {
        0 => first.compare(cases, &left),
        _ => Setting::new(draw, kind, attempt, cases).redrawn(cases),
    });
    comparisons.extend(infinite.iter().map(|f| {
        let reason = first.refusal(f).unwrap_or_default();
        Comparison::refused(format!("{}, {}, {kind:?}", draw.label, f.name()), reason)
    }));
    Outcome { comparisons, mutants: first.mutants(&finite, &left) }
}

/// A target, a generator, a direction of its parameters, and a rule for the mean over its latent.
pub(super) struct Setting<'a> {
    draw: &'a Draw,
    kind: Kind,
    pub target: GaussianMixture,
    pub generator: Generator<f64>,
    pub direction: Vec<Matrix>,
    pub latent: LatentBatch<f64>,
    /// Probability of each row of the latent.
    pub probability: Vec<f64>,
    /// Densities and scores at the images of the latent's rule.
    pub nodes: Nodes,
    /// For codes: a grid of x around p and q, and log p there.
    cover: Option<(Grid, Vec<f64>)>,
    /// Whether the network is increasing at θ and a step to either side.
    rising: bool,
}

impl<'a> Setting<'a> {
    pub fn new(draw: &'a Draw, kind: Kind, attempt: usize, cases: &[Case]) -> Self {
        let (mut rng, d) = (draw.stream(attempt), draw.pair.dim());
        let widest = draw.pair.p.covariances().iter().map(|c| (0..d).map(|i| c[(i, i)]).fold(0.0, f64::max));
        let scale = 1.0 / SPREAD / widest.fold(0.0, f64::max).sqrt();
        let target = draw.pair.p.affine_image(&vec![0.0; d], scale).expect("a positive scale");
        let generator = random_generator(&mut rng, kind, d);
        let direction: Vec<Matrix> =
            generator.parameters.iter().map(|p| normals(&mut rng, p.rows(), p.cols())).collect();
        let steps = [-STEP, 0.0, STEP].map(|e| moved(&generator, &direction, e));
        let within = |f: &&Case| beyond(&target, &steps[1], f).is_none();
        let ends = ends(&target, &steps, &cases.iter().filter(within).cloned().collect::<Vec<_>>());
        // latent: the trapezoidal rule for N(0, I), for every code
        let spacing = spacing(&Pair { p: target.clone().into(), q: tails(&generator).swap_remove(0).into() });
        let grid = Grid::covering(&preimage(&generator, &ends), if d == 1 { 0.04 } else { spacing });
        let (n, codes) = (grid.nodes.rows(), generator.latent.codes());
        let copies = codes.max(1);
        let noise = Matrix::from_fn(n * copies, d, |i, j| grid.nodes[(i % n, j)]);
        let pi = generator.latent.probabilities();
        let probability = (0..n * copies).map(|i| pi[i / n] * grid.cell * exp(log_normal(noise.row(i)))).collect();
        let latent = LatentBatch {
            noise,
            jitter: None,
            codes: (codes > 0).then(|| (0..n * codes).map(|i| i / n).collect()),
            guidance: 0.0,
        };
        let cover = (kind == Kind::Codes).then(|| {
            let grid = Grid::covering(&ends, spacing);
            let log_p = target.log_density(&grid.nodes);
            (grid, log_p)
        });
        let nodes = nodes(kind, &target, &generator, &latent);
        let out = Self { draw, kind, target, generator, direction, latent, probability, nodes, cover, rising: true };
        out.along(None)
    }

    /// The same with differences along another direction of θ, or the one it has.
    pub fn along(mut self, direction: Option<Vec<Matrix>>) -> Self {
        self.direction = direction.unwrap_or(self.direction);
        let least = |step: f64| slopes(&moved(&self.generator, &self.direction, step), &self.latent).1;
        let increasing = |step: &f64| least(*step).as_slice().iter().all(|slope| *slope > RISING);
        self.rising = self.kind == Kind::Codes || [-STEP, 0.0, STEP].iter().all(increasing);
        self
    }

    /// Why D_f is infinite or out of reach, if it is: the tails of q against those of p by T7.
    pub fn refusal(&self, f: &Case) -> Option<String> {
        let one = |q: GaussianMixture| integrability::value(f.as_ref(), &self.target, &q).refusal().map(str::to_owned);
        let steep = || (!self.rising).then(|| "this random network is not increasing".to_owned());
        tails(&self.generator)
            .into_iter()
            .find_map(one)
            .or_else(|| beyond(&self.target, &self.generator, f))
            .or_else(steep)
    }

    /// Why E_q|V|² is infinite, if it is.
    pub fn energy_refusal(&self, f: &Case) -> Option<String> {
        let energy = |q: GaussianMixture| integrability::dissipation(f.as_ref(), f.as_ref(), &self.target, &q);
        tails(&self.generator).into_iter().find_map(|q| energy(q).refusal().map(str::to_owned))
    }

    /// Weights of a rule for E_q and log-ratios at its nodes: a grid of x for the mixture, the images of the latent's rule for the network.
    fn log_ratios(&self, generator: &Generator<f64>) -> (Vec<f64>, Vec<f64>) {
        match &self.cover {
            Some((grid, log_p)) => {
                let log_q = image(generator).log_density(&grid.nodes);
                let l = log_p.iter().zip(&log_q).map(|(p, q)| p - q).collect();
                (log_q.iter().map(|q| exp(*q) * grid.cell).collect(), l)
            }
            None => (self.probability.clone(), curved(&self.target, generator, &self.latent).log_ratio()),
        }
    }

    /// Central differences of D_f(p‖q_θ) in θ; no velocity enters.
    pub fn left(&self, cases: &[Case]) -> Vec<Ladder> {
        Ladder::central(STEP, |step| {
            let (weight, l) = self.log_ratios(&moved(&self.generator, &self.direction, step));
            let one = |f: &Case| {
                let terms = || weight.iter().zip(&l).map(|(w, l)| w * f.f(*l));
                (crate::num::sum(&terms().collect::<Vec<_>>()), terms().map(f64::abs).sum())
            };
            cases.iter().map(one).collect()
        })
    }

    /// The derivative along the direction from the generator's own training gradient, with cotangent -k(l) V times probabilities; and
    /// the size of its terms.
    fn right(&self, f: &Case, k: impl Fn(f64) -> f64) -> (f64, f64) {
        self.pulled(f, |i, _| i, k)
    }

    /// The same with V taken from row `row(i, n)`.
    fn pulled(&self, f: &Case, row: impl Fn(usize, usize) -> usize, k: impl Fn(f64) -> f64) -> (f64, f64) {
        let nodes = &self.nodes;
        let v = nodes.drift(f.as_ref());
        let (n, d) = v.shape();
        let entry = |i: usize, j: usize| -self.probability[i] * k(nodes.l(row(i, n))) * v[(row(i, n), j)];
        let gradient = self.generator.gradient(&self.latent, &Matrix::from_fn(n, d, entry));
        let products = gradient.iter().zip(&self.direction).flat_map(|(g, v)| g.as_slice().iter().zip(v.as_slice()));
        let size: f64 = (0..n).map(|i| self.probability[i] * dot(vector(v.row(i)), vector(v.row(i))).sqrt()).sum();
        (products.map(|(g, v)| g * v).sum(), size)
    }

    fn compare(&self, cases: &[Case], left: &[Ladder]) -> Vec<Comparison> {
        cases.iter().zip(left).map(|(f, left)| self.against(f, left, self.right(f, |_| 1.0))).collect()
    }

    /// The same for a setting that was drawn again.
    fn redrawn(&self, cases: &[Case]) -> Vec<Comparison> {
        let answer = |f: &Case| match self.refusal(f) {
            Some(reason) => Comparison::refused(self.instance(f), reason),
            None => {
                let left = self.left(std::slice::from_ref(f));
                self.against(f, &left[0], self.right(f, |_| 1.0))
            }
        };
        cases.iter().map(answer).collect()
    }

    fn instance(&self, f: &Case) -> String {
        format!("{}, {}, {:?}", self.draw.label, f.name(), self.kind)
    }

    fn against(&self, f: &Case, left: &Ladder, (right, scale): (f64, f64)) -> Comparison {
        Comparison::of_ladder(self.instance(f), left, right, scale, self.draw.tolerance())
    }

    /// d/dθ ½E_q|V|² along the direction: the loss over η² without its stop. The mean is over the latent.
    fn unstopped(&self, f: &Case) -> f64 {
        let energy = |step: f64| {
            let generator = moved(&self.generator, &self.direction, step);
            let v = nodes(self.kind, &self.target, &generator, &self.latent).drift(f.as_ref());
            (0..v.rows()).map(|i| 0.5 * self.probability[i] * dot(vector(v.row(i)), vector(v.row(i)))).sum::<f64>()
        };
        (energy(1e-3) - energy(-1e-3)) / 2e-3
    }

    fn mutants(&self, cases: &[Case], ladders: &[Ladder]) -> Vec<(&'static str, Comparison)> {
        let mut out = Vec::new();
        for (f, left) in cases.iter().zip(ladders) {
            let (right, scale) = self.right(f, |_| 1.0);
            let mut wrong = |what, value: f64| out.push((what, self.against(f, left, (value, scale))));
            wrong("the other sign", -right);
            wrong("2η: no one half in the loss", 2.0 * right);
            wrong("weight r f'' for r² f''", self.right(f, |l| exp(-l)).0);
            wrong("V in another order than z", self.pulled(f, |i, n| n - 1 - i, |_| 1.0).0);
            wrong("V differentiated too", self.unstopped(f));
        }
        out
    }
}

/// The generator at θ + ε·direction.
pub(super) fn moved(generator: &Generator<f64>, direction: &[Matrix], step: f64) -> Generator<f64> {
    let mut out = generator.clone();
    for (p, v) in out.parameters.iter_mut().zip(direction) {
        Arc::make_mut(p).update(|p| p.add_scaled(step, v));
    }
    out
}

/// The box of x that holds q f(r) and q w(r)|β| for every case and every one of the generators: powers p^b q^(1-b) between the
/// exponents of T7. A case whose integral diverges is refused, and adds nothing.
fn ends(target: &GaussianMixture, generators: &[Generator<f64>], cases: &[Case]) -> Vec<(f64, f64)> {
    let spans = cases.iter().map(|f| integrability::Exponents::span(f.as_ref()));
    let powers = spans.fold((0.0f64, 1.0f64), |m, s| (m.0.min(s.0), m.1.max(s.1)));
    let one = |q: GaussianMixture| Pair { p: target.clone().into(), q: q.into() }.ends_of_powers(powers, REACH);
    let boxes = generators.iter().flat_map(tails).map(one);
    boxes.reduce(|a, b| a.iter().zip(&b).map(|(a, b)| (a.0.min(b.0), a.1.max(b.1))).collect()).unwrap_or_default()
}

/// Why the rule cannot hold the integral of f, if it cannot: so near to divergence it reaches latents whose density underflows.
fn beyond(target: &GaussianMixture, generator: &Generator<f64>, f: &Case) -> Option<String> {
    let ends = preimage(generator, &ends(target, std::slice::from_ref(generator), std::slice::from_ref(f)));
    let far = ends.iter().map(|(a, b)| b.max(-a)).fold(0.0, f64::max);
    (far > FAR)
        .then(|| format!("D_f converges too slowly: its integral reaches {far:.0} standard deviations, beyond {FAR}"))
}

/// The trapezoidal rule errs by e^(-2πa/h) where the integrand is analytic in a strip of half-width a. Two Gaussian terms cancel at
/// a distance π/s from where they are equal, s the slope of their log-ratio there, and s² ≤ (D² + 9σ²)/σ⁴ for means at most D apart,
/// standard deviations between σ and 2σ and weights within a factor of ten: log r has no branch point for a < πσ²/√(D² + 9σ²).
/// h = 2πa/28 makes e^-28 = 7e-13; and not above a sixth of σ, a sixteenth on the line.
fn spacing(pair: &Pair) -> f64 {
    let strip = |m: &GaussianMixture| {
        let alone = Pair { p: m.clone().into(), q: m.clone().into() };
        let variance = alone.finest().powi(2);
        let apart = alone.ends(0.0).iter().map(|(a, b)| (b - a).powi(2)).sum::<f64>();
        PI * variance / (apart + 9.0 * variance).sqrt()
    };
    let widest = pair.finest() / if pair.dim() == 1 { 16.0 } else { 6.0 };
    widest.min(2.0 * PI / 28.0 * strip(&pair.p).min(strip(&pair.q)))
}

/// Densities and scores at the images of the latent's rule.
fn nodes(kind: Kind, target: &GaussianMixture, generator: &Generator<f64>, latent: &LatentBatch<f64>) -> Nodes {
    match kind {
        Kind::Codes => Pair { p: target.clone().into(), q: image(generator).into() }.at(&generator.map(latent)),
        Kind::Curved => curved(target, generator, latent),
    }
}

/// G, G' and G'' of a network on the line.
fn slopes(generator: &Generator<f64>, latent: &LatentBatch<f64>) -> (Matrix, Matrix, Matrix) {
    let tape = Tape::new();
    let parameters: Vec<_> = generator.parameters.iter().map(|p| tape.parameter(p)).collect();
    let z = tape.leaf(&latent.noise);
    let y = generator.forward(&parameters, z, None, 0.0);
    let slope = tape.gradient(y, &[z])[0];
    let bend = tape.gradient(slope, &[z])[0];
    (y.value(), slope.value(), bend.value())
}

/// At y = G(z): log q(y) = log N(z) - log G'(z), ∇ log q(y) = (-z - G''/G')/G' (T12).
fn curved(target: &GaussianMixture, generator: &Generator<f64>, latent: &LatentBatch<f64>) -> Nodes {
    let ((y, slope, bend), z) = (slopes(generator, latent), &latent.noise);
    let n = y.rows();
    let (mut log_p, mut score_p) = (vec![0.0; n], Matrix::zeros(n, 1));
    target.evaluate_into(&y, &mut log_p, &mut score_p);
    let score = |i: usize| (-z[(i, 0)] - bend[(i, 0)] / slope[(i, 0)]) / slope[(i, 0)];
    let log_q = (0..n).map(|i| log_normal(z.row(i)) - ln(slope[(i, 0)])).collect();
    Nodes { log_p, log_q, score_p, score_q: Matrix::from_fn(n, 1, |i, _| score(i)) }
}

/// log N(z; 0, I).
fn log_normal(z: &[f64]) -> f64 {
    z.iter().map(|z| -0.5 * z * z - 0.5 * ln(std::f64::consts::TAU)).sum()
}
