//! T22: from the error of a score to the law: at rest, along the flow, and for a kernel estimate.

use super::{Budget, Claim, Comparison, Grid, Hypothesis, Outcome, Pair, Takes, integrability};
use crate::divergence::{Divergence, ForwardKl, ReverseKl};
use crate::num::{GaussLegendre, exp, hypot, ln, powf};
use rayon::prelude::*;
use std::f64::consts::{PI, TAU};
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T22",
    title: "a score with error ε leaves KL(q‖p) at most ε²/(2ρ) where p has a logarithmic Sobolev inequality ρ",
    takes: Takes::NoPair,
    hypotheses: &[
        Hypothesis::variant("p and q are positive and C¹ on the whole space", "(a) for densities with jumps"),
        Hypothesis::instance("p has a logarithmic Sobolev inequality with ρ", two_wells),
        Hypothesis::instance("w ≥ c on the range of r", vanishing_weight),
        Hypothesis::not_run(
            "(c) B ≠ 0, and h → 0 while N h^(d+2) → ∞",
            "without a bias the best bandwidth is infinite",
        ),
    ],
    check,
};

type Case = Arc<dyn Divergence>;

fn check(budget: &Budget) -> Vec<Outcome> {
    let mut out: Vec<Outcome> = budget.divergences().par_iter().map(at_rest).collect();
    out.push(translated());
    out.push(jumps());
    out.push(along_the_flow());
    out.push(kernel());
    out
}

/// ρ of p = N(0, 1/ρ).
const RHO: [f64; 2] = [1.0, 2.5];

/// A Gaussian or a mixture at rest under V̂ = wβ + ϱ, so that ε² = E_q|wβ|².
struct Rest {
    error: f64,
    kl: f64,
    total_variation: f64,
}

impl Rest {
    fn new(pair: &Pair, f: &dyn Divergence) -> (Self, f64) {
        let grid = Grid::covering(&pair.ends(9.0), pair.finest() / 20.0);
        let nodes = pair.at(&grid.nodes);
        let drift = nodes.drift(f);
        let error = grid.integrate(|i| nodes.q(i) * drift[(i, 0)].powi(2)).sqrt();
        let total_variation = 0.5 * grid.integrate(|i| (nodes.q(i) - nodes.p(i)).abs());
        // c over the grid, beyond which neither law has mass above e^-40
        let c = (0..grid.nodes.rows()).map(|i| f.weight(nodes.l(i))).fold(f64::INFINITY, f64::min);
        (Self { error, kl: pair.kl(), total_variation }, c)
    }
}

/// (a) for Gaussian p and three q for each divergence whose energy is finite and whose weight stays away from 0.
fn at_rest(f: &Case) -> Outcome {
    let mut out = Outcome::default();
    for rho in RHO {
        let s = rho.sqrt().recip();
        let models = [
            vec![[1.0, 0.4 * s, 0.9 * s]],
            vec![[1.0, -0.3 * s, 1.1 * s]],
            vec![[0.6, -0.5 * s, 0.9 * s], [0.4, 0.6 * s, 0.7 * s]],
        ];
        for (k, q) in models.iter().enumerate() {
            let pair = Pair::on_the_line(&[[1.0, 0.0, s]], q);
            let name = |what: &str| format!("ρ = {rho}, model {k}, {}, {what}", f.name());
            let energy = integrability::dissipation(f.as_ref(), f.as_ref(), &pair.p, &pair.q);
            if let Some(reason) = energy.refusal() {
                out.comparisons.push(Comparison::refused(name("at rest"), reason));
                continue;
            }
            let (rest, c) = Rest::new(&pair, f.as_ref());
            let ratio = rest.error / c;
            out.comparisons.push(Comparison::decision(name("KL"), rest.kl <= ratio * ratio / (2.0 * rho)));
            let close = rest.total_variation <= ratio / (2.0 * rho.sqrt());
            out.comparisons.push(Comparison::decision(name("total variation"), close));
            if let [[_, mean, std]] = q.as_slice() {
                let distance = hypot(*mean, std - s);
                out.comparisons.push(Comparison::decision(name("W₂"), distance <= ratio / rho));
            }
        }
    }
    out
}

/// Equality in (a) for translated Gaussians, w = 1; half of the bound is false there.
fn translated() -> Outcome {
    let mut out = Outcome::default();
    for rho in RHO {
        let s = rho.sqrt().recip();
        for m in [0.2, 1.0] {
            let pair = Pair::on_the_line(&[[1.0, 0.0, s]], &[[1.0, m, s]]);
            let rest = Rest::new(&pair, &ReverseKl).0;
            let bound = rest.error.powi(2) / (2.0 * rho);
            let name = |what: &str| format!("ρ = {rho}, shifted by {m}, {what}");
            out.comparisons.push(Comparison::exact(name("KL attains its bound"), rest.kl, bound, bound, 1e-9));
            out.comparisons.push(Comparison::exact(name("W₂ attains its bound"), m, rest.error / rho, m, 1e-9));
            out.mutants.push(("KL ≤ ε²/(4ρ)", Comparison::decision(name("half"), rest.kl <= 0.5 * bound)));
            out.mutants.push(("W₂ ≤ ε/(2ρ)", Comparison::decision(name("half"), m <= 0.5 * rest.error / rho)));
        }
    }
    out
}

/// q = p on a half-line: ε = 0 where q has mass, KL(q‖p) = log 2. The density has a jump, and (a) is false.
fn jumps() -> Outcome {
    let pair = Pair::on_the_line(&[[1.0, 0.0, 1.0]], &[[1.0, 0.0, 1.0]]);
    let rule = GaussLegendre::new(16);
    let at = |x: f64| pair.at(&crate::linalg::Matrix::filled(1, 1, x));
    // q = 2p on x > 0, so that s_q = s_p there
    let kl = rule.integrate(0.0, 10.0, 40, |x| 2.0 * at(x).p(0) * ln(2.0 * at(x).p(0) / at(x).p(0)));
    let error = rule.integrate(0.0, 10.0, 40, |x| 2.0 * at(x).q(0) * at(x).beta2(0));
    Outcome {
        comparisons: vec![Comparison::exact("half of N(0, 1), KL", kl, ln(2f64), 1.0, 1e-12)],
        mutants: vec![(
            "(a) for densities with jumps",
            Comparison::at_most("half of N(0, 1): KL and ε²/2", kl, 0.5 * error, 1.0, 0.0),
        )],
    }
}

/// A Gaussian under V = β + a + b x with p = N(0, 1/ρ): its mean, variance and KL(q‖p).
#[derive(Clone, Copy)]
struct Moments {
    mean: f64,
    variance: f64,
}

impl Moments {
    fn kl(self, rho: f64) -> f64 {
        0.5 * (rho * self.variance + rho * self.mean * self.mean - 1.0 - ln(rho * self.variance))
    }

    /// E_q|a + b x|².
    fn error(self, a: f64, b: f64) -> f64 {
        (a + b * self.mean).powi(2) + b * b * self.variance
    }

    /// One step of the classical Runge–Kutta method.
    fn step(self, rho: f64, a: f64, b: f64, h: f64) -> Self {
        let rate = |m: Self| (a + (b - rho) * m.mean, 2.0 + 2.0 * (b - rho) * m.variance);
        let ahead = |k: (f64, f64), h: f64| Self { mean: self.mean + h * k.0, variance: self.variance + h * k.1 };
        let k1 = rate(self);
        let k2 = rate(ahead(k1, 0.5 * h));
        let k3 = rate(ahead(k2, 0.5 * h));
        let k4 = rate(ahead(k3, h));
        let sum = |f: fn((f64, f64)) -> f64| (f(k1) + 2.0 * f(k2) + 2.0 * f(k3) + f(k4)) / 6.0;
        ahead((sum(|k| k.0), sum(|k| k.1)), h)
    }
}

/// (b): √KL_t ≤ a + e^(-ρt)(√KL₀ - a) while KL_t ≥ a²/4, and KL_t ≤ e^(-ρt) KL₀ + ε²/(2ρ) (1 - e^(-ρt)).
fn along_the_flow() -> Outcome {
    let mut out = Outcome::default();
    for (rho, m, v, a, b) in [
        (1.0, 2.0, 1.0, 0.5, 0.0),
        (2.0, -1.5, 0.5, 0.3, 0.0),
        (1.0, 1.0, 0.4, -0.4, 0.2),
        (2.0, 0.3, 1.2, 0.2, -0.3),
        (1.0, 0.0, 1.0, 0.6, 0.0),
    ] {
        let (steps, h) = (400, 0.01);
        let mut path = vec![Moments { mean: m, variance: v }];
        (0..steps).for_each(|k| path.push(path[k].step(rho, a, b, h)));
        // ε bounds the error all along
        let error = path.iter().map(|q| q.error(a, b)).fold(0.0, f64::max).sqrt();
        let (start, limit) = (path[0].kl(rho).sqrt(), error / (2.0 * rho).sqrt());
        let decay = |k: usize, rate: f64| exp(-rate * h * k as f64);
        let root = |k: usize| limit + decay(k, rho) * (start - limit);
        let simple = |k: usize, rate: f64, bound: f64| decay(k, rate) * start * start + bound * (1.0 - decay(k, rate));
        let below = |bound: &dyn Fn(usize) -> f64| (0..=steps).all(|k| path[k].kl(rho) <= bound(k) + 1e-9);
        let mut above = (0..=steps).take_while(|&k| path[k].kl(rho) >= 0.25 * limit * limit);
        let holds = above.all(|k| path[k].kl(rho).sqrt() <= root(k) + 1e-9);
        let name = |what: &str| format!("ρ = {rho}, from N({m}, {v}), ϱ = {a} + {b} x, {what}");
        out.comparisons.push(Comparison::decision(name("√KL"), holds));
        let bound = limit * limit;
        out.comparisons.push(Comparison::decision(name("KL"), below(&|k| simple(k, rho, bound))));
        // translated Gaussians attain the first, if they start on the side to which ϱ pushes
        if v * rho == 1.0 && b == 0.0 && m * a > 0.0 {
            let last = path[steps].kl(rho).sqrt();
            out.comparisons.push(Comparison::exact(name("equality"), last, root(steps), last, 1e-8));
            out.mutants.push(("rate 2ρ", Comparison::decision(name("2ρ"), below(&|k| simple(k, 2.0 * rho, bound)))));
            let half = below(&|k| simple(k, rho, 0.5 * bound));
            out.mutants.push(("limit ε²/(4ρ)", Comparison::decision(name("half of the limit"), half)));
        }
    }
    out
}

/// (c): the mean square of ∇log q̂ - s_q at x = 1, q = N(0, 1): moments of kernel and gradient by quadrature, to first order in
/// 1/N, against the leading form at its best bandwidth.
fn kernel() -> Outcome {
    let x = 1.0f64;
    let q = exp(-0.5 * x * x) / TAU.sqrt();
    // ∇(Δq/q) = 2x
    let b = 2.0 * x;
    let leading = |n: f64, h: f64| h.powi(4) * b * b / 4.0 + 1.0 / (2.0 * (4.0 * PI).sqrt() * n * h.powi(3) * q);
    let best = |n: f64| powf(3.0 / (2.0 * (4.0 * PI).sqrt() * n * q * b * b), 1.0 / 7.0);
    let rule = GaussLegendre::new(16);
    let exact = |n: f64, h: f64| {
        let mean = |g: &dyn Fn(f64, f64) -> f64| {
            rule.integrate(-12.0, 12.0, 48, |z| {
                let kernel = exp(-0.5 * z * z) / (h * TAU.sqrt());
                h * exp(-0.5 * (x - h * z).powi(2)) / TAU.sqrt() * g(kernel, -z / h * kernel)
            })
        };
        let smoothed = mean(&|k, _| k);
        let score = mean(&|_, dk| dk) / smoothed;
        (score + x).powi(2) + mean(&|k, dk| (dk - score * k).powi(2)) / (n * smoothed * smoothed)
    };
    let mut out = Outcome::default();
    for (n, printed) in [(1e4, 0.954), (1e6, 0.987), (1e8, 0.9965), (1e10, 0.9991)] {
        let h = best(n);
        let name = |what: &str| format!("N = {n:.0e}, h = {h:.4}, {what}");
        let closed = b * b * h.powi(4) * 7.0 / 12.0;
        out.comparisons.push(Comparison::exact(name("MSE*"), leading(n, h), closed, closed, 1e-12));
        let least = leading(n, h) <= leading(n, 1.01 * h).min(leading(n, 0.99 * h));
        out.comparisons.push(Comparison::decision(name("the best bandwidth"), least));
        // the next terms are of relative order h²
        let ratio = exact(n, h) / closed;
        out.comparisons.push(Comparison::exact(name("mean square over its leading form"), ratio, 1.0, 1.0, h * h));
        let digit = if n > 1e7 { 6e-5 } else { 6e-4 };
        out.comparisons.push(Comparison::exact(name("the page's figure"), ratio, printed, 1.0, digit));
        let wrong = b * b * h.powi(4) * 5.0 / 8.0;
        out.mutants.push((
            "variance of order 1/(N h^d), MSE* = B²h⁴(d+4)/(4d)",
            Comparison::exact(name("wrong MSE*"), leading(n, h), wrong, closed, 1e-3),
        ));
    }
    out
}

/// Two wells 8 apart with masses ½, ½ and 0.9, 0.1: the score hardly differs, the law does; ρ = 1 is that of each well.
fn two_wells() -> Comparison {
    let at = |mass: f64| [[mass, -4.0, 1.0], [1.0 - mass, 4.0, 1.0]];
    let rest = Rest::new(&Pair::on_the_line(&at(0.5), &at(0.9)), &ReverseKl).0;
    Comparison::at_most("wells at ±4, ρ = 1, reverse KL: KL and ε²/2", rest.kl, 0.5 * rest.error.powi(2), 1.0, 0.0)
}

/// Forward KL's weight r is near 0 on a mode of q far from p: with c = w(1) the bound is far below KL.
fn vanishing_weight() -> Comparison {
    let pair = Pair::on_the_line(&[[1.0, 0.0, 1.0]], &[[0.5, 0.0, 1.0], [0.5, 8.0, 1.0]]);
    let (rest, c) = (Rest::new(&pair, &ForwardKl).0, ForwardKl.weight(0.0));
    let bound = 0.5 * (rest.error / c).powi(2);
    Comparison::at_most(
        "N(0, 1) and a second mode at 8, forward KL, c = w(1): KL and ε²/(2c²)",
        rest.kl,
        bound,
        1.0,
        0.0,
    )
}
