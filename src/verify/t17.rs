//! T17: which elasticity repairs a level: the p-mass and the q-mass above it after one windowed step, and the reaction.

use super::hypothesis::integral;
use super::level_sets::{branches, log_ratio, root};
use super::t05::{SoftStep, refused};
use super::window::{Scene, Window};
use super::{Budget, Claim, Comparison, Draw, Grid, Hypothesis, Ladder, Nodes, Outcome, Pair, Takes, resolve};
use crate::divergence::{Alpha, Divergence, ForwardKl, Neyman, ReverseKl};
use crate::linalg::Matrix;
use crate::num::{GaussLegendre, exp, ln, ln_1p};
use crate::rng::uniform;
use rayon::prelude::*;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T17",
    title: "a drift repairs the level τ where its elasticity is below e_c(τ) = -(log G)'(τ), whatever the size of its weight",
    takes: Takes::AnyDensity,
    hypotheses: &[
        Hypothesis::variant("e(e^τ) < e_c(τ), where the p-mass is to fall (b)", "every drift lowers P(l > τ)"),
        Hypothesis::instance("τ is a regular value", critical),
        Hypothesis::elsewhere(
            "the field of (a) to (c) is not smoothed",
            "T21",
            "U_h falls along every drift where κ ≥ 1",
        ),
        Hypothesis::not_run(
            "χ vanishes at infinity faster than the field grows",
            "sufficient: no boundary terms; checked within windows",
        ),
    ],
    check,
};

type Case = Arc<dyn Divergence>;

fn check(budget: &Budget) -> Vec<Outcome> {
    let divergences = budget.divergences();
    let draws = budget.draws(17, [3, 1], [40, 6]);
    let jobs: Vec<(&Draw, &Case)> = draws.iter().flat_map(|d| divergences.iter().map(move |f| (d, f))).collect();
    let mut out: Vec<Outcome> = jobs.par_iter().map(|(draw, f)| one(draw, f)).collect();
    out.push(running_example());
    out
}

fn one(draw: &Draw, f: &Case) -> Outcome {
    if let Some(refused) = refused(draw, f) {
        return refused;
    }
    let mut out = reaction(draw, f);
    out.comparisons.push(weak_form(draw, f));
    if draw.pair.dim() == 1 {
        let first = Level::random(draw, 0);
        let ladders = first.as_ref().map(|level| level.ladders(f.as_ref()));
        let sharp = |cases: &[Mass], attempt: usize| -> Vec<Comparison> {
            Level::random(draw, attempt).map_or_else(
                || {
                    cases
                        .iter()
                        .map(|_| Comparison::refused(draw.label.clone(), "l is constant here, or flat at the level"))
                        .collect()
                },
                |level| match (attempt, &ladders) {
                    (0, Some(ladders)) => level.compare(draw, f, ladders, cases, |e, _| e),
                    _ => level.compare(draw, f, &level.ladders(f.as_ref()), cases, |e, _| e),
                },
            )
        };
        out.comparisons.extend(resolve(&[Mass::Target, Mass::Model], sharp));
        if let Some((level, ladders)) = first.as_ref().zip(ladders.as_ref()) {
            let truth = level.compare(draw, f, ladders, &[Mass::Target, Mass::Model], |e, _| e);
            let mut reject = |what, case: Mass, elasticity: fn(f64, Mass) -> f64| {
                let wrong = level.compare(draw, f, ladders, &[case], elasticity).swap_remove(0);
                out.mutants.push((what, wrong.unless_true(truth[case as usize].right)));
            };
            reject("e_c for e_c - 1 in the q-mass", Mass::Model, |e, _| e - 1.0);
            reject("the sign of the elasticity", Mass::Target, |e, _| -e);
        }
    }
    out
}

/// Whose mass above the level.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mass {
    Target,
    Model,
}

/// Least |β| at a level, over the finest length of the pair, that is not flat.
const FLAT: f64 = 0.01;

/// A window, or none, and a level that l crosses well inside of it.
struct Level {
    pair: Pair,
    window: Option<Window>,
    tau: f64,
    /// (root of l = τ, sign of β there).
    roots: Vec<(f64, f64)>,
    /// Half of the distance to the nearest critical point of l or to the end of the window, which steps must not reach.
    room: f64,
}

impl Level {
    /// None where l has no crossing inside the window, or is flat at one.
    fn random(draw: &Draw, attempt: usize) -> Option<Self> {
        let mut rng = draw.stream(attempt);
        let window = Window::attempt(&mut rng, &draw.pair, attempt);
        let scene = Scene::new(&draw.pair, window);
        let x = window.centre[0] + window.radius * (uniform(&mut rng) - 0.5);
        let tau = log_ratio(&draw.pair, x);
        let mut room = 0.3 * window.radius;
        let mut roots = Vec::new();
        for (a, b) in branches(&scene) {
            let (la, lb) = (log_ratio(&draw.pair, a) - tau, log_ratio(&draw.pair, b) - tau);
            if la * lb < 0.0 {
                let at = root(&draw.pair, tau, a, b);
                // where l is flat a level says nothing about where its mass is
                if draw.pair.at(&Matrix::filled(1, 1, at)).beta2(0).sqrt() * draw.pair.finest() < FLAT {
                    return None;
                }
                room = room.min(0.5 * (at - a).min(b - at));
                roots.push((at, (lb - la).signum()));
            }
        }
        (!roots.is_empty()).then(|| Self { pair: draw.pair.clone(), window: Some(window), tau, roots, room })
    }

    fn at(&self, x: f64) -> Nodes {
        self.pair.at(&Matrix::filled(1, 1, x))
    }

    fn chi(&self, x: f64) -> (f64, f64) {
        self.window.map_or((1.0, 0.0), |w| {
            let (chi, slope) = w.at(&[x]);
            (chi, slope[0])
        })
    }

    /// ξ = χV by the code that moves particles.
    fn field(&self, f: &dyn Divergence, x: f64) -> f64 {
        self.chi(x).0 * self.at(x).drift(f)[(0, 0)]
    }

    /// ξ' by differences of order 6, so that neither the elasticity nor T4 enters: relative error 1e-11.
    fn slope(&self, f: &dyn Divergence, x: f64) -> f64 {
        let h = 0.004 * self.pair.finest();
        let pair = |k: f64| self.field(f, x + k * h) - self.field(f, x - k * h);
        (45.0 * pair(1.0) - 9.0 * pair(2.0) + pair(3.0)) / (60.0 * h)
    }

    /// (G, G') by their surface formulas, and the size of the terms of G'.
    fn surface(&self) -> (f64, f64, f64) {
        self.roots.iter().fold((0.0, 0.0, 0.0), |sum, &(x, _)| {
            let (nodes, (chi, slope)) = (self.at(x), self.chi(x));
            let (beta, score) = (nodes.beta(0)[0], nodes.score_q[(0, 0)]);
            let density = nodes.q(0) / beta.abs();
            let terms = [chi * self.pair.hessian(&[x])[0][0], chi * beta * score, slope * beta];
            let size: f64 = terms.iter().map(|t| t.abs()).sum();
            (sum.0 + chi * density * beta * beta, sum.1 + density * terms.iter().sum::<f64>(), sum.2 + density * size)
        })
    }

    /// The p- and the q-mass that a step of size η brings above the level: the new boundary is T(x), log p(Tx) - log q(x) +
    /// log(1 + ηξ'(x)) = τ, and {l_η ∘ T > τ} is bounded by x itself.
    fn masses(&self, f: &dyn Divergence, step: f64) -> Vec<(f64, f64)> {
        let rule = GaussLegendre::new(16);
        let mut out = vec![(0.0, 0.0); 2];
        for &(root, direction) in &self.roots {
            let moved = |x: f64| x + step * self.field(f, x);
            let excess = |x: f64| {
                let log_p = self.at(moved(x)).log_p[0];
                log_p - self.at(x).log_q[0] + ln_1p(step * self.slope(f, x)) - self.tau
            };
            let (mut a, mut b) = (root - self.room, root + self.room);
            for _ in 0..52 {
                let middle = 0.5 * (a + b);
                if excess(middle) * direction < 0.0 { a = middle } else { b = middle }
            }
            let x = 0.5 * (a + b);
            let masses = [
                rule.integrate(moved(x), root, 1, |y| self.at(y).p(0)),
                rule.integrate(x, root, 1, |y| self.at(y).q(0)),
            ];
            let densities = [self.at(root).p(0), self.at(root).q(0)];
            // the root is known where l is: to some roundings of its terms over |β|
            let nodes = self.at(root);
            let unsure = (1.0 + nodes.log_size(0)) / nodes.beta2(0).sqrt() + root.abs();
            for k in 0..2 {
                out[k].0 += direction * masses[k];
                out[k].1 += masses[k].abs() + 8.0 * unsure * densities[k];
            }
        }
        out
    }

    /// Central differences of both masses.
    fn ladders(&self, f: &dyn Divergence) -> Vec<Ladder> {
        let fastest = self
            .roots
            .iter()
            .fold(0.0f64, |m, &(x, _)| m.max(self.field(f, x).abs() / self.room).max(self.slope(f, x).abs()));
        Ladder::central(0.05 / fastest, |step| self.masses(f, step))
    }

    /// (a) with e replaced by `elasticity(e, whose mass)`.
    fn compare(
        &self,
        draw: &Draw,
        f: &Case,
        ladders: &[Ladder],
        cases: &[Mass],
        elasticity: impl Fn(f64, Mass) -> f64,
    ) -> Vec<Comparison> {
        let (g, slope, size) = self.surface();
        let one = |case: &Mass| {
            let (w, e) = (f.weight(self.tau), elasticity(f.elasticity(self.tau), *case));
            let (right, scale) = match case {
                Mass::Target => (exp(self.tau) * w * (e * g + slope), exp(self.tau) * w * (e.abs() * g + size)),
                Mass::Model => (w * ((1.0 + e) * g + slope), w * ((1.0 + e.abs()) * g + size)),
            };
            let instance = format!("{}, {}, {case:?} above τ = {:.3}", draw.label, f.name(), self.tau);
            Comparison::of_ladder(instance, &ladders[*case as usize], right, scale, 10.0 * draw.tolerance())
        };
        cases.iter().map(one).collect()
    }
}

/// (c): ∫ s' e^λ w [e G + G'] dλ, as a volume integral, against T5's -E_p[χ w (s'+s'') |β|²].
fn weak_form(draw: &Draw, f: &Case) -> Comparison {
    let mut rng = draw.stream(0);
    let scene = Scene::new(&draw.pair, Window::attempt(&mut rng, &draw.pair, 0));
    let s = SoftStep { level: 2.0 * uniform(&mut rng) - 1.0, width: 0.5 + uniform(&mut rng) };
    let nodes = &scene.nodes;
    let term = |i: usize| {
        let (l, beta, hessian) = (nodes.l(i), nodes.beta(i), scene.hessian[i]);
        let score = super::pair::vector(nodes.score_q.row(i));
        let surface = scene.chi[i] * (hessian[0][0] + hessian[1][1] + super::dot(beta, score))
            + super::dot(scene.chi_gradient[i], beta);
        let whole = f.elasticity(l) * scene.chi[i] * nodes.beta2(i) + surface;
        nodes.p(i) * s.slope(l) * f.weight(l) * whole
    };
    let (left, size) = scene.grid.integrate_with_size(term);
    let (right, scale) = scene.mean_with_size(|l| -exp(l) * f.weight(l) * (s.slope(l) + s.bend(l)));
    let resolution = scene.resolution(|l| exp(l) * f.weight(l) * s.slope(l));
    let instance = format!("{}, {}, average over the levels", draw.label, f.name());
    let tolerance = 1e-8f64.max(4.0 * resolution * resolution);
    Comparison::exact(instance, left, right, scale.max(size), tolerance).resolving(
        "trapezoid on half of the nodes",
        resolution,
        1e-3,
    )
}

/// (e): under the reaction g = -(φ - E_qφ) the soft under-coverage changes at E_p[s'(l)(φ - E_qφ)], and a frozen region gains
/// -Cov_q(s(l), φ) ≥ 0.
fn reaction(draw: &Draw, f: &Case) -> Outcome {
    let mut rng = draw.stream(1);
    let window = Window::attempt(&mut rng, &draw.pair, 0);
    // the laws of p and q inside of the window's box, each normalised there: (e) holds for any pair of positive measures
    let grid: Grid = window.grid(&draw.pair);
    let nodes = draw.pair.at(&grid.nodes);
    let s = SoftStep { level: 2.0 * uniform(&mut rng) - 1.0, width: 1.0 + uniform(&mut rng) };
    let cut: Vec<f64> = grid.nodes.iter_rows().map(|x| window.at(x).0).collect();
    let mass = |v: &dyn Fn(usize) -> f64| grid.integrate(|i| cut[i] * v(i));
    let (zp, zq) = (mass(&|i| nodes.p(i)), mass(&|i| nodes.q(i)));
    let (p, q) = (|i: usize| cut[i] * nodes.p(i) / zp, |i: usize| cut[i] * nodes.q(i) / zq);
    let l = |i: usize| nodes.l(i) - ln(zp) + ln(zq);
    let phi: Vec<f64> = (0..cut.len()).map(|i| f.first_variation(l(i))).collect();
    let mean = grid.integrate(|i| q(i) * phi[i]);
    let growth = |i: usize| mean - phi[i];
    let fastest = (0..cut.len()).filter(|&i| cut[i] > 1e-12).map(|i| growth(i).abs()).fold(0.0, f64::max);
    let ladders = Ladder::central(0.05 / fastest, |step| {
        // beyond the part of the window that has mass the growth may be larger than any step allows
        let live = |i: usize| l(i) - ln_1p((step * growth(i)).max(-0.5));
        vec![
            grid.integrate_with_size(|i| p(i) * s.value(live(i))),
            grid.integrate_with_size(|i| q(i) * (1.0 + step * growth(i)) * s.value(l(i))),
        ]
    });
    let (right, scale) = grid.integrate_with_size(|i| p(i) * s.slope(l(i)) * (phi[i] - mean));
    let (gain, size) = grid.integrate_with_size(|i| q(i) * s.value(l(i)) * growth(i));
    let name = |what: &str| format!("{}, {}, reaction, {what}", draw.label, f.name());
    let tolerance = 10.0 * draw.tolerance();
    let comparisons = vec![
        Comparison::of_ladder(name("under-coverage"), &ladders[0], right, scale, tolerance),
        Comparison::of_ladder(name("frozen region"), &ladders[1], gain, size, tolerance),
        Comparison::decision(name("under-coverage falls at κ ≥ 1"), right <= 1e-12 * scale),
        Comparison::decision(name("a frozen region gains"), gain >= -1e-12 * size),
    ];
    let wrong = grid.integrate(|i| q(i) * s.slope(l(i)) * (phi[i] - mean));
    let wrong = Comparison::of_ladder(name("under-coverage"), &ladders[0], wrong, scale, tolerance).unless_true(right);
    Outcome { comparisons, mutants: vec![("E_q for E_p in the reaction's response", wrong)] }
}

/// p = N(0, 1), q = N(m, 1): G(λ) = |m| φ₁(λ/|m| + |m|/2) and e_c = ½ + τ/|m|², so that alpha repairs iff τ > (α - ½)|m|².
fn running_example() -> Outcome {
    let mut out = Outcome::default();
    for (m, tau) in [(1.0, 0.0), (0.7, 0.6), (1.6, -1.1)] {
        let pair = Pair::on_the_line(&[[1.0, 0.0, 1.0]], &[[1.0, m, 1.0]]);
        let at = 0.5 * m - tau / m;
        let level = Level { pair: pair.clone(), window: None, tau, roots: vec![(at, -1.0)], room: 1.0 };
        let (g, slope, _) = level.surface();
        let z: f64 = tau / m + 0.5 * m;
        let closed = m * exp(-0.5 * z * z) / std::f64::consts::TAU.sqrt();
        let critical = 0.5 + tau / (m * m);
        let name = |what: &str| format!("m = {m}, τ = {tau}, {what}");
        out.comparisons.push(Comparison::exact(name("G"), g, closed, closed, 1e-12));
        out.comparisons.push(Comparison::exact(name("e_c"), -slope / g, critical, 1.0, 1e-12));
        let measured = |f: &dyn Divergence| {
            Ladder::central(0.02, |step| level.masses(f, step)).iter().map(|l| l.values[5]).collect::<Vec<f64>>()
        };
        for alpha in [critical - 0.3, critical + 0.3] {
            let masses = measured(&Alpha::new(alpha));
            let falls =
                Comparison::decision(name(&format!("alpha {alpha:.2}")), (masses[0] < 0.0) == (alpha < critical));
            out.comparisons.push(falls);
            let wrong = Comparison::at_most(name(&format!("alpha {alpha:.2}, rate")), masses[0], 0.0, 1.0, 0.0);
            out.mutants.push(("every drift lowers P(l > τ)", wrong.unless(alpha < critical)));
        }
        if tau == 0.0 {
            let (reverse, forward) = (measured(&ReverseKl), measured(&ForwardKl));
            out.comparisons.push(Comparison::exact(name("reverse KL"), reverse[0], -0.1760, 1.0, 6e-5));
            out.comparisons.push(Comparison::exact(name("forward KL"), forward[0], 0.1760, 1.0, 6e-5));
            // at e_c = ½ Neyman, e = -1, is below e_c - 1: it lowers the q-mass too
            let neyman = measured(&Neyman)[1];
            out.comparisons.push(Comparison::exact(name("Neyman's q-mass"), neyman, -0.3521, 1.0, 6e-5));
        }
    }
    out
}

/// N(0, ½) and N(0, 1), reverse KL, V = -x, at the maximum of l: before the step the mass above it is like the root of η, after it there is
/// none, and no derivative.
fn critical() -> Comparison {
    let quotient = |step: f64| {
        // l_{-η} > l_max where x²(1 - 1/(2(1+η)²)) < log(1+η)
        let (stretch, density) = (1.0 + step, |x: f64| exp(-x * x) / std::f64::consts::PI.sqrt());
        let edge = (ln(stretch) / (1.0 - 0.5 / (stretch * stretch))).sqrt();
        -2.0 * integral(0.0, edge, density) / (2.0 * step)
    };
    let (left, right) = (quotient(1e-2), quotient(1e-4));
    Comparison::exact(
        "N(0, ½) and N(0, 1), τ = max l: dP_p(l > τ)/dη, steps 0.01 and 0.0001",
        left,
        right,
        right.abs(),
        0.1,
    )
}
