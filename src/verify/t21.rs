//! T21: what smoothing destroys. One and two particles under the smoothed fields of two divergences.

use super::integrability::Exponents;
use super::t05::SoftStep;
use super::{Budget, Claim, Comparison, Grid, Hypothesis, Ladder, Nodes, Outcome, Pair, Takes};
use crate::divergence::{Divergence, ForwardKl, LeCam, ReverseKl};
use crate::num::exp;
use rayon::prelude::*;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T21",
    title: "smoothed fields of two divergences can point opposite ways: along one the other's divergence rises",
    takes: Takes::NoPair,
    hypotheses: &[
        Hypothesis::variant("f = g, where a divergence is to fall", "every smoothed drift lowers every divergence"),
        Hypothesis::variant(
            "q is one particle (the formula of forward KL)",
            "forward KL's field at two particles by the formula for one",
        ),
        Hypothesis::not_run(
            "the derivative passes under the integral",
            "atoms in a bounded set and a Gaussian kernel suffice; we know no counter-example",
        ),
    ],
    check,
};

/// p = 0.6 δ₁ + 0.4 δ₋₃.
const TARGET: [[f64; 2]; 2] = [[0.6, 1.0], [0.4, -3.0]];
const BANDWIDTH: f64 = 0.5;
/// Of grids.
const SPACING: f64 = BANDWIDTH / 20.0;
/// U_h of T5 with κ = 1, τ = 0.
const SOFT: SoftStep = SoftStep { level: 0.0, width: 1.0 };

type Case = Arc<dyn Divergence>;

fn check(budget: &Budget) -> Vec<Outcome> {
    let divergences = budget.divergences();
    let clouds: [&[f64]; 2] = [&[0.0], &[-1.1, 0.4]];
    let jobs: Vec<(&[f64], &Case)> = clouds.iter().flat_map(|c| divergences.iter().map(move |g| (*c, g))).collect();
    let mut out: Vec<Outcome> = jobs.par_iter().map(|(cloud, g)| along(cloud, g, &divergences)).collect();
    out.push(digits());
    out
}

/// p_h and q_h = mean of N(x_i, h²) on a grid that holds p_h²/q_h and q_h²/p_h, which reach to -6.
struct Cloud {
    particles: Vec<f64>,
    powers: (f64, f64),
    grid: Grid,
    nodes: Nodes,
}

impl Cloud {
    /// On a grid that holds p_h^b q_h^(1-b) for b between `powers` too.
    fn new(particles: Vec<f64>, powers: (f64, f64)) -> Self {
        let (pair, ends) = Self::bounds(&particles, powers);
        let grid = Grid::covering(&ends, SPACING);
        let nodes = pair.at(&grid.nodes);
        Self { particles, powers, grid, nodes }
    }

    /// p_h, q_h and the ends of that grid.
    fn bounds(particles: &[f64], powers: (f64, f64)) -> (Pair, [(f64, f64); 1]) {
        let p = TARGET.map(|[mass, mean]| [mass, mean, BANDWIDTH]);
        let q: Vec<[f64; 3]> = particles.iter().map(|x| [1.0 / particles.len() as f64, *x, BANDWIDTH]).collect();
        let pair = Pair::on_the_line(&p, &q);
        let (low, high) = pair.ends_of_powers(powers, 9.0)[0];
        (pair, [(low.min(-14.0), high.max(10.0))])
    }

    /// ∫ φ_h(y - x_i) v(y) dy for each particle.
    fn smoothed(&self, v: impl Fn(usize) -> f64) -> Vec<f64> {
        let kernel = |y: f64| exp(-0.5 * (y / BANDWIDTH).powi(2)) / (BANDWIDTH * std::f64::consts::TAU.sqrt());
        let at = |x: &f64| self.grid.integrate(|i| kernel(self.grid.nodes[(i, 0)] - x) * v(i));
        self.particles.iter().map(at).collect()
    }

    /// V_h = φ_h ∗ (w β_h), the integrand by the code that moves particles.
    fn field(&self, f: &dyn Divergence) -> Vec<f64> {
        let drift = self.nodes.drift(f);
        self.smoothed(|i| drift[(i, 0)])
    }

    /// φ_h ∗ (r (s'+s'')(l_h) β_h), the descent direction of U_h.
    fn field_of_coverage(&self) -> Vec<f64> {
        let weight = |l: f64| exp(l) * (SOFT.slope(l) + SOFT.bend(l));
        self.smoothed(|i| weight(self.nodes.l(i)) * self.nodes.beta(i)[0])
    }

    fn divergence(&self, f: &dyn Divergence) -> (f64, f64) {
        self.grid.integrate_with_size(|i| self.nodes.q(i) * f.f(self.nodes.l(i)))
    }

    fn coverage(&self) -> (f64, f64) {
        self.grid.integrate_with_size(|i| self.nodes.p(i) * SOFT.value(self.nodes.l(i)))
    }

    fn moved(&self, step: f64, v: &[f64]) -> Self {
        Self::new(self.particles.iter().zip(v).map(|(x, v)| x + step * v).collect(), self.powers)
    }
}

/// E_q[a·b].
fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / a.len() as f64
}

/// Along V_h^g every D_f(p_h‖q_h) and U_h change at -E_q[V_h^f·V_h^g].
fn along(particles: &[f64], g: &Case, divergences: &[Case]) -> Outcome {
    let spans = divergences.iter().map(|f| Exponents::span(f.as_ref()));
    let powers = spans.fold((0.0f64, 1.0f64), |all, one| (all.0.min(one.0), all.1.max(one.1)));
    let refused = |reason: String| {
        let refused = Comparison::refused(format!("N = {}, along {}", particles.len(), g.name()), reason);
        Outcome { comparisons: vec![refused], ..Outcome::default() }
    };
    if let Err(reason) = Grid::affordable(&Cloud::bounds(particles, powers).1, SPACING) {
        return refused(reason);
    }
    let cloud = Cloud::new(particles.to_vec(), powers);
    let v = cloud.field(g.as_ref());
    if !v.iter().map(|v| v.abs()).sum::<f64>().is_finite() {
        return refused("the weight overflows double precision where the smoothed field needs it".into());
    }
    let fastest = v.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let ladders = Ladder::central(0.1 * BANDWIDTH / fastest, |step| {
        let moved = cloud.moved(step, &v);
        let mut values: Vec<(f64, f64)> = divergences.iter().map(|f| moved.divergence(f.as_ref())).collect();
        values.push(moved.coverage());
        values
    });
    let mut out = Outcome::default();
    let mut add = |what: &str, ladder: &Ladder, direction: Vec<f64>, falls: &'static str| {
        let right = -product(&direction, &v);
        let scale = (product(&direction, &direction) * product(&v, &v)).sqrt();
        let name = format!("N = {}, {what} along {}", particles.len(), g.name());
        out.comparisons.push(Comparison::of_ladder(name.clone(), ladder, right, scale, 1e-7));
        let rung = ladder.finest_rung(1e-3 * scale);
        out.mutants.push((
            falls,
            Comparison::at_most(format!("{name}, rate"), ladder.values[rung], 0.0, scale, 0.0).unless(right <= 0.0),
        ));
        // the product of the sizes: what the rate would be if the two fields were collinear
        let collinear = Comparison::of_ladder(name, ladder, -scale, scale, 1e-7);
        out.mutants.push(("smoothed fields are collinear", collinear.unless_true(right)));
    };
    for (f, ladder) in divergences.iter().zip(&ladders) {
        add(f.name(), ladder, cloud.field(f.as_ref()), "every smoothed drift lowers every divergence");
    }
    let coverage = &ladders[divergences.len()];
    add("U", coverage, cloud.field_of_coverage(), "U_h falls along every drift where κ ≥ 1");
    out
}

/// The page's figures, and the field of forward KL at one particle, which sees the mean of p alone.
fn digits() -> Outcome {
    let mut out = Outcome::default();
    let one = Cloud::new(vec![0.0], (0.0, 1.0));
    let (reverse, forward) = (one.field(&ReverseKl)[0], one.field(&ForwardKl)[0]);
    let rate = |v: f64, f: &dyn Divergence| -v * one.field(f)[0];
    let rise = -forward * one.field_of_coverage()[0];
    for (what, found, printed, half) in [
        ("reverse KL's field", reverse, 3.63574, 6e-6),
        ("forward KL's field", forward, -2.4, 1e-10),
        ("forward KL along reverse KL", rate(reverse, &ForwardKl), 8.72578, 6e-6),
        ("Le Cam's field", one.field(&LeCam)[0], 0.94154, 6e-6),
        ("U_h along forward KL", rise, 0.56492, 6e-6),
    ] {
        out.comparisons.push(Comparison::exact(what, found, printed, 1.0, half));
    }
    let mean: f64 = TARGET.iter().map(|[mass, x]| mass * x).sum();
    let formula = |x: f64| (mean - x) / BANDWIDTH.powi(2);
    for x in [-2.0, -0.3, 0.9] {
        let single = Cloud::new(vec![x], (0.0, 1.0)).field(&ForwardKl)[0];
        let compare = |found: f64| Comparison::exact(format!("x = {x}"), found, formula(x), formula(x).abs(), 1e-9);
        out.comparisons.push(compare(single));
        let double = Cloud::new(vec![x, x + 0.7], (0.0, 1.0)).field(&ForwardKl)[0];
        out.mutants.push(("forward KL's field at two particles by the formula for one", compare(double)));
    }
    out
}
