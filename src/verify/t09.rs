//! T9: the training gradient of the shipped generator with cotangent -V is the gradient of D_f(p‖G_θ#N).

use super::pair::vector;
use super::{Budget, Claim, Comparison, Draw, Grid, Ladder, Nodes, Outcome, Pair, dot, resolve};
use crate::autodiff::Tape;
use crate::density::{Density, GaussianMixture};
use crate::divergence::Divergence;
use crate::linalg::{Matrix, matmul};
use crate::num::log_sum_exp;
use crate::rng::{Stream, fill_normal};
use crate::sampler::{Frame, Generator, Latent, LatentBatch};
use rayon::prelude::*;
use std::sync::Arc;

pub(super) const CLAIM: Claim =
    Claim { id: "T09", title: "the stop-gradient loss has the gradient of η D_f(p‖G_θ#N)", check };

type Case = Arc<dyn Divergence>;

/// Codes of the folding generator.
const CODES: usize = 3;
/// Hidden units of the curved one.
const HIDDEN: usize = 5;
/// Standard deviations that grids cover.
const REACH: f64 = 10.0;
/// Standard deviation of each image, 1, over that of the target's widest component: inside the range of T7 for every divergence.
const SPREAD: f64 = 1.05;

fn check(budget: &Budget) -> Vec<Outcome> {
    let divergences = budget.divergences();
    let draws = budget.draws(9, [2, 1], [60, 6]);
    let jobs: Vec<(&Draw, Kind)> = draws.iter().flat_map(|d| Kind::ALL.map(|kind| (d, kind))).collect();
    // the density of a curved generator is known here on the line only
    let possible = jobs.par_iter().filter(|(draw, kind)| *kind == Kind::Codes || draw.pair.dim() == 1);
    possible.map(|(draw, kind)| one(draw, *kind, &divergences)).collect()
}

fn one(draw: &Draw, kind: Kind, divergences: &[Case]) -> Outcome {
    let comparisons = resolve(divergences, |cases, attempt| {
        let setting = Setting::new(draw, kind, attempt);
        let left = setting.left(cases);
        cases.iter().zip(&left).map(|(f, left)| setting.against(f, left, setting.right(f, |_| 1.0))).collect()
    });
    Outcome { comparisons, mutants: Setting::new(draw, kind, 0).mutants(divergences) }
}

/// Which generator.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Codes with affine images of one covariance: not injective, and q is a Gaussian mixture in closed form.
    Codes,
    /// A small network on the line, increasing: q by change of variables.
    Curved,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Codes, Self::Curved];
}

/// A target, a generator, a direction of its parameters, and a rule for the mean over its latent.
struct Setting<'a> {
    draw: &'a Draw,
    kind: Kind,
    target: GaussianMixture,
    generator: Generator<f64>,
    direction: Vec<Matrix>,
    latent: LatentBatch<f64>,
    /// Probability of each row of the latent.
    probability: Vec<f64>,
    /// For codes: a grid of x around p and q, and log p there.
    cover: Option<(Grid, Vec<f64>)>,
}

impl<'a> Setting<'a> {
    fn new(draw: &'a Draw, kind: Kind, attempt: usize) -> Self {
        let (mut rng, d) = (draw.stream(attempt), draw.pair.dim());
        let widest = draw.pair.p.covariances().iter().map(|c| (0..d).map(|i| c[(i, i)]).fold(0.0, f64::max));
        let scale = 1.0 / SPREAD / widest.fold(0.0, f64::max).sqrt();
        let target = draw.pair.p.affine_image(&vec![0.0; d], scale).expect("a positive scale");
        let generator = random_generator(&mut rng, kind, d);
        let direction = generator.parameters.iter().map(|p| normals(&mut rng, p.rows(), p.cols())).collect();
        // latent: the trapezoidal rule for N(0, I), for every code
        let grid = Grid::covering(&vec![(-REACH, REACH); d], if d == 1 { 0.04 } else { 0.3 });
        let (n, codes) = (grid.nodes.rows(), generator.latent.codes());
        let copies = codes.max(1);
        let noise = Matrix::from_fn(n * copies, d, |i, j| grid.nodes[(i % n, j)]);
        let pi = probabilities(&generator.latent);
        let probability = (0..n * copies).map(|i| pi[i / n] * grid.cell * log_normal(noise.row(i)).exp()).collect();
        let latent = LatentBatch { noise, codes: (codes > 0).then(|| (0..n * codes).map(|i| i / n).collect()) };
        let cover = (kind == Kind::Codes).then(|| {
            let pair = Pair { p: target.clone(), q: image(&generator) };
            let spacing = pair.finest() / if d == 1 { 16.0 } else { 6.0 };
            let grid = Grid::covering(&pair.ends(REACH), spacing);
            let log_p = target.log_density(&grid.nodes);
            (grid, log_p)
        });
        Self { draw, kind, target, generator, direction, latent, probability, cover }
    }

    /// The generator at θ + ε·direction.
    fn moved(&self, step: f64) -> Generator<f64> {
        let mut out = self.generator.clone();
        for (p, v) in out.parameters.iter_mut().zip(&self.direction) {
            Arc::make_mut(p).add_scaled(step, v);
        }
        out
    }

    /// Weights of a rule for E_q and log-ratios at its nodes: a grid of x for the mixture, the images of the latent's rule for the network.
    fn log_ratios(&self, generator: &Generator<f64>) -> (Vec<f64>, Vec<f64>) {
        match &self.cover {
            Some((grid, log_p)) => {
                let log_q = image(generator).log_density(&grid.nodes);
                let l = log_p.iter().zip(&log_q).map(|(p, q)| p - q).collect();
                (log_q.iter().map(|q| q.exp() * grid.cell).collect(), l)
            }
            None => (self.probability.clone(), self.curved(generator).log_ratio()),
        }
    }

    /// At y = G(z): log q(y) = log N(z) - log G'(z), ∇ log q(y) = (-z - G''/G')/G' (T12).
    fn curved(&self, generator: &Generator<f64>) -> Nodes {
        let tape = Tape::new();
        let parameters: Vec<_> = generator.parameters.iter().map(|p| tape.shared(p)).collect();
        let z = tape.leaf(&self.latent.noise);
        let y = generator.forward(&parameters, z, None);
        let slope = tape.gradient(y, &[z])[0];
        let bend = tape.gradient(slope, &[z])[0];
        let (y, slope, bend, z) = (y.value(), slope.value(), bend.value(), &self.latent.noise);
        assert!(slope.as_slice().iter().all(|s| *s > 0.1), "the random network is increasing by its small weights");
        let n = y.rows();
        let (mut log_p, mut score_p) = (vec![0.0; n], Matrix::zeros(n, 1));
        self.target.evaluate_into(&y, &mut log_p, &mut score_p);
        let score = |i: usize| (-z[(i, 0)] - bend[(i, 0)] / slope[(i, 0)]) / slope[(i, 0)];
        let log_q = (0..n).map(|i| log_normal(z.row(i)) - slope[(i, 0)].ln()).collect();
        Nodes { log_p, log_q, score_p, score_q: Matrix::from_fn(n, 1, |i, _| score(i)) }
    }

    /// Central differences of D_f(p‖q_θ) in θ; no velocity enters.
    fn left(&self, cases: &[Case]) -> Vec<Ladder> {
        Ladder::central(0.02, |step| {
            let (weight, l) = self.log_ratios(&self.moved(step));
            let one = |f: &Case| {
                let terms = || weight.iter().zip(&l).map(|(w, l)| w * f.f(*l));
                (crate::num::sum(&terms().collect::<Vec<_>>()), terms().map(f64::abs).sum())
            };
            cases.iter().map(one).collect()
        })
    }

    /// Densities and scores at the images of the latent's rule.
    fn nodes(&self, generator: &Generator<f64>) -> Nodes {
        match self.kind {
            Kind::Codes => Pair { p: self.target.clone(), q: image(generator) }.at(&generator.map(&self.latent)),
            Kind::Curved => self.curved(generator),
        }
    }

    /// The derivative along the direction from the generator's own training gradient, with cotangent -k(l) V times probabilities; and
    /// the size of its terms.
    fn right(&self, f: &Case, k: impl Fn(f64) -> f64) -> (f64, f64) {
        self.pulled(f, |i, _| i, k)
    }

    /// The same with V taken from row `row(i, n)`.
    fn pulled(&self, f: &Case, row: impl Fn(usize, usize) -> usize, k: impl Fn(f64) -> f64) -> (f64, f64) {
        let nodes = self.nodes(&self.generator);
        let v = nodes.drift(f.as_ref());
        let (n, d) = v.shape();
        let entry = |i: usize, j: usize| -self.probability[i] * k(nodes.l(row(i, n))) * v[(row(i, n), j)];
        let gradient = self.generator.gradient(&self.latent, &Matrix::from_fn(n, d, entry));
        let products = gradient.iter().zip(&self.direction).flat_map(|(g, v)| g.as_slice().iter().zip(v.as_slice()));
        let size: f64 = (0..n).map(|i| self.probability[i] * dot(vector(v.row(i)), vector(v.row(i))).sqrt()).sum();
        (products.map(|(g, v)| g * v).sum(), size)
    }

    fn against(&self, f: &Case, left: &Ladder, (right, scale): (f64, f64)) -> Comparison {
        let instance = format!("{}, {}, {:?}", self.draw.label, f.name(), self.kind);
        Comparison::of_ladder(instance, left, right, scale, self.draw.tolerance())
    }

    /// d/dθ ½E_q|V|² along the direction: the loss over η² without its stop. The mean is over the latent.
    fn unstopped(&self, f: &Case) -> f64 {
        let energy = |step: f64| {
            let v = self.nodes(&self.moved(step)).drift(f.as_ref());
            (0..v.rows()).map(|i| 0.5 * self.probability[i] * dot(vector(v.row(i)), vector(v.row(i)))).sum::<f64>()
        };
        (energy(1e-3) - energy(-1e-3)) / 2e-3
    }

    fn mutants(&self, cases: &[Case]) -> Vec<(&'static str, Comparison)> {
        let ladders = self.left(cases);
        let mut out = Vec::new();
        for (f, left) in cases.iter().zip(&ladders) {
            let (right, scale) = self.right(f, |_| 1.0);
            let mut wrong = |what, value: f64| out.push((what, self.against(f, left, (value, scale))));
            wrong("the other sign", -right);
            wrong("2η: no one half in the loss", 2.0 * right);
            wrong("weight r f'' for r² f''", self.right(f, |l| (-l).exp()).0);
            wrong("V in another order than z", self.pulled(f, |i, n| n - 1 - i, |_| 1.0).0);
            wrong("V differentiated too", self.unstopped(f));
        }
        out
    }
}

fn normals(rng: &mut Stream, rows: usize, cols: usize) -> Matrix {
    let mut out = Matrix::zeros(rows, cols);
    fill_normal(rng, out.as_mut_slice());
    out
}

/// log N(z; 0, I).
fn log_normal(z: &[f64]) -> f64 {
    z.iter().map(|z| -0.5 * z * z - 0.5 * std::f64::consts::TAU.ln()).sum()
}

/// π; one entry for a Gaussian latent.
fn probabilities(latent: &Latent) -> Vec<f64> {
    match latent {
        Latent::Gaussian => vec![1.0],
        Latent::Codes { logits } => logits.iter().map(|l| (l - log_sum_exp(logits)).exp()).collect(),
    }
}

/// A generator whose images have standard deviation 1: turned by a random angle for codes, nearly so for the network.
fn random_generator(rng: &mut Stream, kind: Kind, d: usize) -> Generator<f64> {
    let frame = Frame { centre: vec![0.0; d], scale: 1.0 };
    match kind {
        Kind::Codes => {
            let logits = normals(rng, 1, CODES).map(|l| 0.5 * l).into_vec();
            let mut g = Generator::new(frame, Latent::Codes { logits }, &[], 0);
            let angle = normals(rng, 1, 1)[(0, 0)];
            let turn = [[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]];
            let wanted = Matrix::from_fn(d, d, |i, j| if d == 1 { 1.0 } else { turn[i][j] });
            let (unit, reach) = affine_parts(&g);
            let mut weight = normals(rng, 2 * d, d).map(|w| 0.5 * w);
            for i in 0..d {
                (0..d).for_each(|j| weight[(d + i, j)] = (wanted[(i, j)] - if i == j { unit } else { 0.0 }) / reach);
            }
            g.parameters = vec![normals(rng, CODES, d), weight, normals(rng, 1, d)].into_iter().map(Arc::new).collect();
            g
        }
        Kind::Curved => {
            let mut g = Generator::new(frame, Latent::Gaussian, &[HIDDEN], 0);
            g.parameters =
                g.parameters.iter().map(|p| Arc::new(normals(rng, p.rows(), p.cols()).map(|v| 0.2 * v))).collect();
            g
        }
    }
}

/// (a, b) of y = c_k + a z + b MLP, read off the map itself: with zero parameters but a bias of one.
fn affine_parts(g: &Generator<f64>) -> (f64, f64) {
    let d = g.dim();
    let mut probe = g.clone();
    let shapes = || g.parameters.iter().map(|p| Matrix::zeros(p.rows(), p.cols()));
    let value = |g: &Generator<f64>, z: f64| {
        g.map(&LatentBatch { noise: Matrix::filled(1, d, z), codes: Some(vec![0]) })[(0, 0)]
    };
    probe.parameters = shapes().map(Arc::new).collect();
    let unit = value(&probe, 1.0);
    probe.parameters[2] = Arc::new(Matrix::filled(1, d, 1.0));
    (unit, value(&probe, 0.0))
}

/// q of the affine generator with codes: Σ π_k N(m_k, AᵀA), m_k and the rows of A read off the map at z = 0 and z = e_i.
fn image(g: &Generator<f64>) -> GaussianMixture {
    let d = g.dim();
    let at = |noise: Matrix, code: usize| {
        let codes = Some(vec![code; noise.rows()]);
        g.map(&LatentBatch { noise, codes })
    };
    let means = Matrix::from_fn(CODES, d, |k, j| at(Matrix::zeros(1, d), k)[(0, j)]);
    let shifted = at(Matrix::identity(d), 0);
    let a = Matrix::from_fn(d, d, |i, j| shifted[(i, j)] - means[(0, j)]);
    let covariance = matmul(&a.transpose(), &a);
    GaussianMixture::new(&probabilities(&g.latent), means, vec![covariance; CODES]).expect("a regular matrix")
}
