//! T19: log-variance flows: what a third density does to the masses of modes, to rates, and to a soft region.

use crate::density::{Density, GaussianMixture};
use crate::linalg::Matrix;
use crate::num::{GaussLegendre, cos, exp, ln, ln_1p};
use crate::verify::t05::SoftStep;
use crate::verify::{Budget, Claim, Comparison, Grid, Hypothesis, Ladder, Nodes, Outcome, Pair, Takes};

mod rate;

pub(super) const CLAIM: Claim = Claim {
    id: "T19",
    title: "the log-variance flow of a fixed reference is silent on separated modes, hardly faster than m = p, and controls no distance",
    takes: Takes::NoPair,
    hypotheses: &[
        Hypothesis::variant("(b) on every A_k m is a multiple of p_k, or δ_k = 0", "every m is silent"),
        Hypothesis::instance("(c) E_p K = 0", rate::uncentred),
        Hypothesis::not_run("(c) q near p", "the flow is linear there alone; nothing is claimed elsewhere"),
        Hypothesis::not_run(
            "(a) the coefficients are frozen at a point",
            "the page claims growth of the linearised equation, not of the flow",
        ),
    ],
    check,
};

fn check(budget: &Budget) -> Vec<Outcome> {
    vec![waves(), silence(), rate::chains(budget), rate::figures(), no_pinsker(), response()]
}

/// p, q and m of (e), the window e^(-x²/8), and s with κ = 0.8, τ = 0.3.
struct Third {
    pair: Pair,
    m: GaussianMixture,
    grid: Grid,
    nodes: Nodes,
    /// m at the nodes.
    log_m: Vec<f64>,
    score_m: Vec<f64>,
}

const SOFT: SoftStep = SoftStep { level: 0.3, width: 0.8 };

/// χ and χ'.
fn window(x: f64) -> (f64, f64) {
    let chi = exp(-0.125 * x * x);
    (chi, -0.25 * x * chi)
}

#[derive(Clone, Copy, PartialEq)]
enum Reference {
    Fixed,
    MovingModel,
}

impl Third {
    fn new() -> Self {
        let pair = Pair::on_the_line(&[[0.5, -1.5, 0.8], [0.5, 1.5, 0.8]], &[[1.0, -0.6, 1.3]]);
        let m = Pair::on_the_line(&[[1.0, 0.4, 1.1]], &[[1.0, 0.4, 1.1]]).p;
        let m = (*m).clone();
        let grid = Grid::covering(&[(-14.0, 14.0)], 0.02);
        let nodes = pair.at(&grid.nodes);
        let n = grid.nodes.rows();
        let (mut log_m, mut score) = (vec![0.0; n], Matrix::zeros(n, 1));
        m.evaluate_into(&grid.nodes, &mut log_m, &mut score);
        let score_m = (0..n).map(|i| score[(i, 0)]).collect();
        Self { pair, m, grid, nodes, log_m, score_m }
    }

    /// m/q and δ at one point, for a fixed m, or m = q where there is none.
    fn reference(&self, law: Option<&GaussianMixture>, x: f64) -> (f64, f64) {
        let log_m = |x: &Matrix| law.unwrap_or(&self.pair.q).log_density(x);
        let on_grid = log_m(&self.grid.nodes);
        let mean = self.grid.integrate(|i| exp(on_grid[i]) * self.nodes.l(i));
        let point = Matrix::filled(1, 1, x);
        let at = self.pair.at(&point);
        (exp(log_m(&point)[0] - at.log_q[0]), at.l(0) - mean)
    }

    /// The derivative in ε of ∂_t log q = φ'' + s_q φ' at the crest of q(1 + ε cos k(x - x₀)), φ the first variation of Var_m(l): -2(m/q)δ
    /// for a fixed m, δ² - Var - 2δ for m = q (T8). Differences of order 6 in x, of order 2 in ε.
    fn growth(&self, law: Option<&GaussianMixture>, crest: f64, k: f64) -> f64 {
        let step = 0.05 / k;
        let near = Matrix::from_fn(7, 1, |i, _| crest + (i as f64 - 3.0) * step);
        let at = self.pair.at(&near);
        let (on_grid, here) =
            law.map_or_else(Default::default, |m| (m.log_density(&self.grid.nodes), m.log_density(&near)));
        let rate = |size: f64| {
            let wave = |x: f64| ln_1p(size * cos(k * (x - crest)));
            let node = |i: usize| wave(self.grid.nodes[(i, 0)]);
            let weight = |i: usize| if law.is_some() { exp(on_grid[i]) } else { exp(self.nodes.log_q[i] + node(i)) };
            let mass = self.grid.integrate(weight);
            let mean = self.grid.integrate(|i| weight(i) * (self.nodes.l(i) - node(i))) / mass;
            let phi = |i: usize| {
                let log_q = at.log_q[i] + wave(near[(i, 0)]);
                let delta = at.log_p[i] - log_q - mean;
                if law.is_some() { -2.0 * exp(here[i] - log_q) * delta } else { delta * (delta - 2.0) }
            };
            let f: [f64; 7] = std::array::from_fn(phi);
            let slope = (45.0 * (f[4] - f[2]) - 9.0 * (f[5] - f[1]) + f[6] - f[0]) / (60.0 * step);
            let bend = (2.0 * (f[6] + f[0]) - 27.0 * (f[5] + f[1]) + 270.0 * (f[4] + f[2]) - 490.0 * f[3])
                / (180.0 * step * step);
            bend + at.score_q[(3, 0)] * slope
        };
        (rate(1e-4) - rate(-1e-4)) / 2e-4
    }

    /// (χV, its derivative) at the nodes; `cross` scales the term 2β·∇(m/q) of div V.
    fn field(&self, reference: Reference, cross: f64) -> Vec<(f64, f64)> {
        let nodes = &self.nodes;
        let law = |i: usize| if reference == Reference::Fixed { exp(self.log_m[i]) } else { nodes.q(i) };
        let mean = self.grid.integrate(|i| law(i) * nodes.l(i));
        // -1/1.1², of log m
        let bend_m = -1.0 / self.m.covariances()[0][(0, 0)];
        let at = |i: usize| {
            let x = self.grid.nodes[(i, 0)];
            let (l, beta, bend) = (nodes.l(i), nodes.beta(i)[0], self.pair.hessian(&[x])[0][0]);
            let delta = l - mean;
            let (v, div) = match reference {
                Reference::Fixed => {
                    // ρ = m/q, its first and second derivative over ρ
                    let rho = exp(self.log_m[i] - nodes.log_q[i]);
                    let g = self.score_m[i] - nodes.score_q[(i, 0)];
                    let g2 = g * g + bend_m - crate::verify::hessian_of_log(&self.pair.q, &[x])[0][0];
                    (2.0 * rho * (beta + delta * g), 2.0 * rho * (bend + cross * 2.0 * beta * g + delta * g2))
                }
                Reference::MovingModel => {
                    (2.0 * (1.0 - delta) * beta, 2.0 * ((1.0 - delta) * bend - cross * beta * beta))
                }
            };
            let (chi, slope) = window(x);
            (chi * v, chi * div + slope * v)
        };
        (0..nodes.log_q.len()).map(at).collect()
    }
}

/// (a): a wave cos k(x - x₀) on q grows at its crest at -ω(x₀)k², with a relative error of order k⁻², for three references.
fn waves() -> Outcome {
    let third = Third::new();
    let mut out = Outcome::default();
    let numbers: Vec<f64> = (0..7).map(|j| f64::from(8 << j)).collect();
    for (name, law) in [("fixed m", Some(&third.m)), ("m = p", Some(&*third.pair.p)), ("moving q", None)] {
        for place in [-1.4, 0.1, 1.2] {
            let ladder = Ladder {
                steps: numbers.iter().map(|k| 1.0 / k).collect(),
                values: numbers.iter().map(|k| third.growth(law, place, *k) / (k * k)).collect(),
                rounding: vec![0.0; numbers.len()],
                order: 2.0,
            };
            let (ratio, delta) = third.reference(law, place);
            let (right, bare) = match law {
                Some(_) => (-2.0 * ratio * (1.0 + delta), -2.0 * ratio),
                None => (-2.0 * (1.0 - delta), -2.0),
            };
            // the square of the shortest length over that of the modes
            let against = |right: f64| {
                Comparison::of_ladder(
                    format!("{name}, crest at {place}"),
                    &ladder,
                    right,
                    bare.abs() + right.abs(),
                    1e-3,
                )
            };
            out.comparisons.push(against(right));
            out.mutants.push(("ω without δ", against(bare).unless_true(right)));
        }
    }
    out
}

/// (e): dU/dη = -E_p[(s'+s'') β·χV] = E_p[s' (div(χV) + χV·s_q)], against the pushed density, order 2, and the page's figures.
fn response() -> Outcome {
    let third = Third::new();
    let (grid, nodes) = (&third.grid, &third.nodes);
    let mut out = Outcome::default();
    for (name, reference, printed) in
        [("fixed m", Reference::Fixed, -0.8208217), ("moving q", Reference::MovingModel, -0.4091508)]
    {
        let field = third.field(reference, 1.0);
        let steepest = field.iter().fold(0.0f64, |m, v| m.max(v.1.abs()));
        let ladder = Ladder::central(0.2 / steepest, |step| {
            let moved = Matrix::from_fn(field.len(), 1, |i, _| grid.nodes[(i, 0)] + step * field[i].0);
            let log_p = third.pair.p.log_density(&moved);
            let live = |i: usize| {
                let log_det = ln_1p(step * field[i].1);
                (exp(log_p[i] + log_det), log_p[i] - nodes.log_q[i] + log_det)
            };
            vec![grid.integrate_with_size(|i| live(i).0 * SOFT.value(live(i).1))]
        })
        .swap_remove(0);
        let parts = |field: &[(f64, f64)]| {
            let slope = |i: usize| nodes.p(i) * SOFT.slope(nodes.l(i));
            grid.integrate_with_size(|i| slope(i) * (field[i].1 + field[i].0 * nodes.score_q[(i, 0)]))
        };
        let weight = |l: f64| SOFT.slope(l) + SOFT.bend(l);
        let direct = |i: usize| -nodes.p(i) * weight(nodes.l(i)) * nodes.beta(i)[0] * field[i].0;
        let (right, scale) = grid.integrate_with_size(direct);
        let instance = |what: &str| format!("{name}, {what}");
        out.comparisons.push(Comparison::of_ladder(instance("one step"), &ladder, right, scale, 1e-8));
        out.comparisons.push(Comparison::exact(instance("by parts"), parts(&field).0, right, scale, 1e-9));
        out.comparisons.push(Comparison::exact(instance("the page's figure"), right, printed, 1.0, 6e-8));
        let wrong = parts(&third.field(reference, 0.0)).0;
        out.mutants.push((
            "div V without its cross term",
            Comparison::of_ladder(instance("one step"), &ladder, wrong, scale, 1e-8),
        ));
    }
    out
}

/// (b) on two intervals: p = Σ m_k p_k, q = Σ a_k p_k, V = 2[(m/q)β + δ∇(m/q)] by differences: m = Σ b_k p_k is silent, others are not.
fn silence() -> Outcome {
    let (masses, models) = ([0.5f64, 0.5], [0.2f64, 0.8]);
    // p_k = 30 t²(1-t)² on an interval of length one, t the place in it
    let shape = |t: f64| 30.0 * (t * (1.0 - t)).powi(2);
    let rule = GaussLegendre::new(16);
    // m = b_k p_k (1 + tilt (2t - 1))
    let speed = |b: [f64; 2], tilt: f64| {
        let third = |k: usize, t: f64| b[k] * shape(t) * (1.0 + tilt * (2.0 * t - 1.0));
        let model = |k: usize, t: f64| models[k] * shape(t);
        let l = |k: usize, t: f64| ln(masses[k] * shape(t) / model(k, t));
        let sum = |g: &dyn Fn(usize, f64) -> f64| (0..2).map(|k| rule.integrate(0.0, 1.0, 2, |t| g(k, t))).sum::<f64>();
        let mean = sum(&|k, t| third(k, t) * l(k, t));
        let slope = |g: &dyn Fn(f64) -> f64, t: f64| (g(t + 1e-4) - g(t - 1e-4)) / 2e-4;
        let velocity = |k: usize, t: f64| {
            let ratio = |t: f64| third(k, t) / model(k, t);
            2.0 * (ratio(t) * slope(&|t| l(k, t), t) + (l(k, t) - mean) * slope(&ratio, t))
        };
        sum(&|k, t| model(k, t) * velocity(k, t).powi(2)).sqrt()
    };
    let mut out = Outcome::default();
    for b in [[0.5, 0.5], [0.9, 0.1], [0.3, 0.7]] {
        let name = format!("m = {} p₁ + {} p₂", b[0], b[1]);
        // rounding of l and m/q over a step of 1e-4
        out.comparisons.push(Comparison::exact(name.clone(), speed(b, 0.0), 0.0, 1.0, 1e-10));
        out.mutants.push(("m ≠ p is never silent", Comparison::decision(name.clone(), speed(b, 0.0) > 1e-9)));
        out.mutants.push((
            "every m is silent",
            Comparison::exact(format!("{name}, tilted, speed"), speed(b, 0.4), 0.0, 1.0, 1e-9),
        ));
    }
    out
}

/// (d): m = p = N(0, 1), q = ½p + ½N(0, ς²): Var_m(l) rises, then falls, while total variation tends to ½.
fn no_pinsker() -> Outcome {
    let rule = GaussLegendre::new(16);
    let normal = |x: f64| exp(-0.5 * x * x) / std::f64::consts::TAU.sqrt();
    let moments = |spread: f64| {
        // in log|x|, where both scales are seen
        let mean = |g: &dyn Fn(f64) -> f64| {
            2.0 * rule.integrate(-24.0, ln(12f64), 200, |y| exp(y) * normal(exp(y)) * g(exp(y)))
        };
        let u = |x: f64| 0.5 + 0.5 * normal(x / spread) / (spread * normal(x));
        let first = mean(&|x| -ln(u(x)));
        let variance = mean(&|x| (-ln(u(x)) - first).powi(2));
        (variance, 0.5 * mean(&|x| (u(x) - 1.0).abs()))
    };
    let mut out = Outcome::default();
    let mut last = f64::NAN;
    for (spread, printed) in
        [(0.3, 0.3088), (0.1, 0.4868), (0.03, 0.4180), (0.01, 0.2760), (0.003, 0.1479), (0.001, 0.0759)]
    {
        let (variance, distance) = moments(spread);
        let name = format!("ς = {spread}, TV = {distance:.3}");
        out.comparisons.push(Comparison::exact(name.clone(), variance, printed, 1.0, 6e-5));
        if spread < 0.05 {
            out.comparisons.push(Comparison::decision(format!("{name}, Var falls as TV grows"), variance < last));
        }
        if spread < 0.005 {
            // Pinsker for reverse KL, whose second-order part ½Var is
            let wrong = Comparison::decision(name, 2.0 * distance * distance <= 0.5 * variance);
            out.mutants.push(("2 TV² ≤ ½ Var_m(l)", wrong));
        }
        last = variance;
    }
    out
}
