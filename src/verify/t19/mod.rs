//! T19: log-variance flows: what a third density does to the masses of modes, to rates, and to a soft region.

use crate::density::{Density, GaussianMixture};
use crate::linalg::Matrix;
use crate::num::{GaussLegendre, cos, exp, ln, ln_1p};
use crate::verify::{Budget, Claim, Comparison, Grid, Hypothesis, Ladder, Nodes, Outcome, Pair, Takes};

mod rate;
mod shipped;

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
    vec![waves(), shipped::silence(), rate::chains(budget), rate::figures(), no_pinsker(), shipped::response()]
}

/// p, q and m of (a) and (e), and the window e^(-x²/8).
struct Third {
    pair: Pair,
    m: GaussianMixture,
    grid: Grid,
    nodes: Nodes,
    /// m at the nodes.
    log_m: Vec<f64>,
    score_m: Vec<f64>,
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

    /// χ and χ' at a node.
    fn window(&self, i: usize) -> (f64, f64) {
        let x = self.grid.nodes[(i, 0)];
        let chi = exp(-0.125 * x * x);
        (chi, -0.25 * x * chi)
    }

    /// l'' at a node.
    fn bend(&self, i: usize) -> f64 {
        self.pair.hessian(self.grid.nodes.row(i))[0][0]
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
