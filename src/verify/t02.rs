//! T2: V ≡ 0 iff q = p, and all velocities are collinear.

use super::pair::vector;
use super::window::{Scene, Window};
use super::{Budget, Claim, Comparison, Draw, Hypothesis, Ladder, Nodes, Outcome, Pair, Takes, dot, resolve};
use crate::density::{Density, GaussianMixture};
use crate::divergence::{Divergence, all_divergences};
use crate::linalg::Matrix;
use crate::num::{exp, exp_m1, ln, sinh};
use crate::rng::fill_normal;
use rayon::prelude::*;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T02",
    title: "for positive weights V ≡ 0 iff q = p; all velocities are collinear",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::variant("w > 0, or zeros of w that contain no interval", "a weight that vanishes on an interval"),
        Hypothesis::variant(
            "q is positive wherever p is, a connected set (1 to 3)",
            "V = 0 on the support of q suffices",
        ),
        Hypothesis::elsewhere("the velocities are not smoothed (3)", "T21", "smoothed fields are collinear"),
    ],
    check,
};

type Case = Arc<dyn Divergence>;

/// Points at which velocities are compared.
const POINTS: usize = 16;

fn check(budget: &Budget) -> Vec<Outcome> {
    let (fs, gs) = (budget.divergences(), all_divergences());
    budget.draws(2, [6, 3], [60, 30]).par_iter().map(|draw| one_draw(draw, &fs, &gs)).collect()
}

fn one_draw(draw: &Draw, fs: &[Case], gs: &[Case]) -> Outcome {
    let mut out = Outcome::default();
    let scene = Scene::new(&draw.pair, Window::random(&mut draw.stream(0), &draw.pair));
    for f in fs {
        out.comparisons.push(fixed_point(draw, f));
        out.comparisons.push(only_fixed_point(draw, &scene, f));
        let others: Vec<Case> = gs.iter().filter(|g| g.name() != f.name()).cloned().collect();
        let collinear = |cases: &[Case], attempt| {
            let points = Points::new(draw, attempt);
            cases.iter().map(|g| points.ratio(f, g, |_| 0.0).0).collect()
        };
        out.comparisons.extend(resolve(&others, collinear));
        let points = Points::new(draw, 0);
        let inverted = |g: &Case| {
            let (wrong, truth) = points.ratio(f, g, |l| 2.0 * (g.log_weight(l) - f.log_weight(l)));
            wrong.unless_true(truth)
        };
        out.mutants.extend(others.iter().map(|g| ("ratio of the weights inverted", inverted(g))));
    }
    out.mutants.push(("V = 0 on the support of q suffices", truncated(draw, &scene)));
    out.mutants.push(("a weight that vanishes on an interval", vanishing_weight(draw, &scene)));
    out
}

/// q = p written as another mixture, one component split in two: V is rounding of the terms in the two scores.
fn fixed_point(draw: &Draw, f: &Case) -> Comparison {
    let twin = Pair { p: draw.pair.p.clone(), q: split(&draw.pair.p).into() };
    let points = Points::new(draw, 0).x;
    let nodes = twin.at(&points);
    let velocity = nodes.drift(f.as_ref());
    let largest = (0..POINTS).map(|i| dot(vector(velocity.row(i)), vector(velocity.row(i))).sqrt()).fold(0.0, f64::max);
    // one term of the score is at most |x - m|/σ²; some tens of roundings of it, times w = w(1)
    let reach = twin.ends(1.0).iter().map(|(a, b)| b - a).fold(4.0 * twin.finest(), f64::max);
    let scale = f.weight(0.0) * reach / twin.finest().powi(2);
    Comparison::exact(format!("{}, {}, q = p", draw.label, f.name()), largest, 0.0, scale, 256.0 * f64::EPSILON)
}

/// The same law with its last component as two halves.
fn split(m: &GaussianMixture) -> GaussianMixture {
    let last = m.components() - 1;
    let mut weights = m.weights().to_vec();
    weights[last] *= 0.5;
    weights.push(weights[last]);
    let means = Matrix::from_fn(last + 2, m.dim(), |k, j| m.means()[(k.min(last), j)]);
    let covariances = (0..last + 2).map(|k| m.covariances()[k.min(last)].clone()).collect();
    GaussianMixture::new(&weights, means, covariances).expect("a mixture with one component split")
}

/// E_q[χ|V|²] > 0 where q ≠ p, with D_f > 0 over the same box from the tangent form of f.
fn only_fixed_point(draw: &Draw, scene: &Scene, f: &Case) -> Comparison {
    let velocity = scene.nodes.drift(f.as_ref());
    let energy = scene.grid.integrate(|i| {
        let v = vector(velocity.row(i));
        scene.nodes.q(i) * scene.chi[i] * dot(v, v)
    });
    let slope = f.u_df(0.0);
    let divergence = scene.grid.integrate(|i| {
        let l = scene.nodes.l(i);
        scene.nodes.q(i) * (f.f(l) - slope * exp_m1(l))
    });
    // both are sums of squares or of non-negative terms, of second order in l: beside the rounding of l they are its squares
    let rounding = scene.grid.integrate(|i| {
        let n = &scene.nodes;
        n.q(i) * f.weight(n.l(i)) * (64.0 * f64::EPSILON * n.log_size(i)).powi(2)
    });
    Comparison::decision(format!("{}, {}, q ≠ p", draw.label, f.name()), energy > 0.0 && divergence > rounding)
}

/// Points, densities there, and random directions times random coefficients.
struct Points<'a> {
    draw: &'a Draw,
    x: Matrix,
    nodes: Nodes,
    directions: Matrix,
}

impl<'a> Points<'a> {
    fn new(draw: &'a Draw, attempt: usize) -> Self {
        let d = draw.pair.dim();
        let mut rng = draw.stream(attempt);
        let ends = draw.pair.ends(1.0);
        let mut uniforms = vec![0.0f64; POINTS * d];
        crate::rng::fill_uniform(&mut rng, &mut uniforms);
        let x = Matrix::from_fn(POINTS, d, |i, j| ends[j].0 + (ends[j].1 - ends[j].0) * uniforms[i * d + j]);
        let mut normals = vec![0.0; POINTS * d];
        fill_normal(&mut rng, &mut normals);
        let nodes = draw.pair.at(&x);
        Self { draw, x, nodes, directions: Matrix::from_vec(POINTS, d, normals) }
    }

    /// Σ c_j·V_f(x_j) w_g against Σ c_j·V_g(x_j) w_f e^shift, and that sum without the shift, where w_g on the left comes from differences of g alone.
    ///
    /// With G(t) = g(e^(l + sinh t)), w_g = u²g'' = G''(0) - G'(0): by second and first differences, of order 2, exact for none
    /// of the table. They round by |g|/t² at best, which hides w_g where g is nearly affine and large (Neyman's u - 2 + 1/u far
    /// out); so c_j is a random direction over |V_f(x_j)| (w_g + |g| + |u g'|), and no point can hide the others. A point then rounds
    /// by 128 u/t², u = 1.1e-16, and one near r = 1 has size one: the best step is near 1e-3 and its error 2√(128 u C) = 2e-7 √C, C
    /// the constant of order 2, below 100 for weights between r^-2 and r^3.
    fn ratio(&self, f: &Case, g: &Case, shift: impl Fn(f64) -> f64) -> (Comparison, f64) {
        let (vf, vg) = (self.nodes.drift(f.as_ref()), self.nodes.drift(g.as_ref()));
        let coefficient = |i: usize| {
            let (l, v) = (self.nodes.l(i), vector(vf.row(i)));
            let size = dot(v, v).sqrt() * (g.weight(l) + g.f(l).abs() + g.u_df(l).abs());
            // both sides are zero where β is
            if size > 0.0 { 1.0 / size } else { 0.0 }
        };
        let coefficients: Vec<f64> = (0..POINTS).map(coefficient).collect();
        let along = |v: &Matrix, i: usize| coefficients[i] * dot(vector(v.row(i)), vector(self.directions.row(i)));
        let by_differences = |step: f64| {
            let (mut sum, mut size) = (0.0, 0.0);
            for i in 0..POINTS {
                let at = |t: f64| g.f(self.nodes.l(i) + sinh(t));
                let (up, mid, down) = (at(step), at(0.0), at(-step));
                let weight = (up - 2.0 * mid + down) / (step * step) - (up - down) / (2.0 * step);
                sum += along(&vf, i) * weight;
                size += along(&vf, i).abs() * (up.abs() + 2.0 * mid.abs() + down.abs()) / (step * step);
            }
            vec![(sum, size)]
        };
        let left = Ladder::quotients(0.25, 2.0, by_differences).swap_remove(0);
        let terms = |i: usize| {
            let l = self.nodes.l(i);
            along(&vg, i) * exp(f.log_weight(l) + shift(l))
        };
        let right = (0..POINTS).map(terms).sum();
        let scale = (0..POINTS).map(|i| along(&vg, i).abs() * f.weight(self.nodes.l(i))).sum();
        let instance = format!("{}, {} against {}", self.draw.label, f.name(), g.name());
        let truth = (0..POINTS).map(|i| along(&vg, i) * f.weight(self.nodes.l(i))).sum::<f64>();
        (Comparison::of_ladder(instance, &left, right, scale, 1e-5), truth)
    }
}

/// q = p/p(Ω) on a half-space and 0 elsewhere: l is constant on Ω, V = 0 there, and KL(q‖p) = -log p(Ω) > 0.
fn truncated(draw: &Draw, scene: &Scene) -> Comparison {
    let (c, p) = (scene.window.centre[0], &scene.nodes);
    let mass = scene.grid.integrate(|i| if scene.grid.nodes[(i, 0)] > c { p.p(i) } else { 0.0 });
    let inside =
        Nodes { log_q: p.log_p.iter().map(|v| v - ln(mass)).collect(), score_q: p.score_p.clone(), ..p.clone() };
    let still = inside.drift(&crate::divergence::ReverseKl).as_slice().iter().all(|v| *v == 0.0);
    // the variant concludes q = p, that is KL(q‖p) = 0, from V = 0 on Ω
    let kl = if still { -ln(mass) } else { f64::NAN };
    Comparison::exact(format!("{}, p on a half-space", draw.label), kl, 0.0, 1.0, 1e-8).unless_true(-ln(mass))
}

/// The weight max(|l| - L, 0) with L above |l| on the window: E_q[χ|V|²] = 0, from which the variant concludes E_q[χ|β|²] = 0.
fn vanishing_weight(draw: &Draw, scene: &Scene) -> Comparison {
    let largest = (0..scene.chi.len()).map(|i| scene.nodes.l(i).abs()).fold(0.0, f64::max);
    let energy = scene.mean(|l| (l.abs() - largest).max(0.0).powi(2));
    let size = scene.mean(|_| 1.0);
    let found = if energy == 0.0 { size } else { f64::NAN };
    Comparison::exact(format!("{}, w = 0 on the window", draw.label), found, 0.0, size, 1e-8)
}
