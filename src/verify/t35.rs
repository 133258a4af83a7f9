//! T35: the dissipation of score-based transport: with a score that is wrong by e, along another target, and Euler's steps on Gaussians.

use super::pair::vector;
use super::{
    Budget, Bumps, Claim, Comparison, Draw, Grid, Hypothesis, Jacobian, Ladder, Outcome, Pair, Push, Takes, Vector,
    dot, hessian_of_log,
};
use crate::linalg::Matrix;
use crate::num::exp;
use rayon::prelude::*;

pub(super) const CLAIM: Claim = Claim {
    id: "T35",
    title: "along ∇log p - s, KL(q‖p) falls at the rate E|δ|² - E⟨e, δ⟩, δ = s - ∇log p, e = s - ∇log q",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::variant(
            "(a) s is the exact score, for the rate E|V|²",
            "a wrong score called exact: the rate E|δ|²",
        ),
        Hypothesis::variant(
            "(b) the target does not change on the way, where KL is to fall at a square",
            "E|s - ∇log p|² along another target",
        ),
        Hypothesis::variant("(c) the steps have no noise, for rest at Q", "Langevin's steps have the variance Q"),
        Hypothesis::not_run(
            "C is positive definite, n > d (c); E|e|² and I are finite (a)",
            "the affine score, or the rate, is not defined otherwise",
        ),
    ],
    check,
};

fn check(budget: &Budget) -> Vec<Outcome> {
    let draws = budget.draws(35, [6, 1], [40, 4]);
    let mut out: Vec<Outcome> = draws.par_iter().map(dissipation).collect();
    out.push(euler());
    out
}

/// The size of e beside the bumps' own.
const ERROR: f64 = 0.5;
/// Standard deviations at which the box of quadrature ends.
const REACH: f64 = 9.0;

/// A vector field with its derivative.
struct Field(Vec<Vector>, Vec<Jacobian>);

impl Field {
    fn at(nodes: &Matrix, f: impl Fn(usize, &[f64]) -> (Vector, Jacobian)) -> Self {
        let (value, derivative) = nodes.iter_rows().enumerate().map(|(i, x)| f(i, x)).unzip();
        Self(value, derivative)
    }

    fn plus(&self, factor: f64, other: &Self) -> Self {
        let add = |a: &[f64; 2], b: &[f64; 2]| [a[0] + factor * b[0], a[1] + factor * b[1]];
        Self(
            self.0.iter().zip(&other.0).map(|(a, b)| add(a, b)).collect(),
            self.1.iter().zip(&other.1).map(|(a, b)| [add(&a[0], &b[0]), add(&a[1], &b[1])]).collect(),
        )
    }
}

/// One pair: a bump for e, a tenth of the score for e, and another pair's target on the way.
fn dissipation(draw: &Draw) -> Outcome {
    let (pair, mut rng) = (&draw.pair, draw.stream(0));
    let bumps = Bumps::random(&mut rng, pair);
    let spacing = pair.finest() / if pair.dim() == 1 { 20.0 } else { 6.0 };
    let grid = Grid::covering(&pair.ends(REACH), spacing);
    let nodes = pair.at(&grid.nodes);
    let row = |m: &Matrix, i: usize| vector(m.row(i));
    let score_q = Field::at(&grid.nodes, |i, x| (row(&nodes.score_q, i), hessian_of_log(&pair.q, x)));
    let score_p = Field::at(&grid.nodes, |i, x| (row(&nodes.score_p, i), hessian_of_log(&pair.p, x)));
    let zero = score_q.plus(-1.0, &score_q);
    let bump = zero.plus(ERROR, &Field::at(&grid.nodes, |_, x| bumps.at(x)));
    let tenth = zero.plus(0.1, &score_q);
    let mean = |g: &dyn Fn(usize) -> f64| grid.integrate(|i| nodes.q(i) * g(i));
    let inner = |a: &Field, b: &Field| mean(&|i| dot(a.0[i], b.0[i]));
    let resolution =
        grid.resolution(|i| nodes.q(i) * nodes.beta2(i)) / mean(&|i| nodes.beta2(i)).max(f64::MIN_POSITIVE);
    let information = mean(&|i| nodes.beta2(i));
    let mut out = Outcome::default();
    for (what, e) in [("exact score", &zero), ("error of bumps", &bump), ("score too long by a tenth", &tenth)] {
        let delta = score_q.plus(1.0, e).plus(-1.0, &score_p);
        let left = fall(pair, &grid, &nodes.log_q, &score_p.plus(-1.0, &score_q).plus(-1.0, e));
        let (square, mixed, error) = (inner(&delta, &delta), inner(e, &delta), inner(e, e));
        let right = mixed - square;
        let scale = square.max(information);
        let against =
            |right: f64| {
                Comparison::of_ladder(format!("{}, {what}", draw.label), &left, right, scale, draw.tolerance())
                    .resolving("trapezoid on half of the nodes", resolution, 1e-4)
            };
        let truth = against(right);
        let bound = |name: &str, limit: f64| {
            Comparison::decision(format!("{}, {what}, {name}", draw.label), right <= limit + 1e-12 * scale)
        };
        out.comparisons.push(truth);
        out.comparisons.push(bound("at most -E|δ|²/2 + E|e|²/2", 0.5 * (error - square)));
        out.comparisons.push(bound("at most -I/2 + E|e|²/2", 0.5 * (error - information)));
        for (name, wrong) in [
            ("a wrong score called exact: the rate E|δ|²", -square),
            ("the error with the other sign", -square - mixed),
            ("the rate I, whatever the score", -information),
        ] {
            out.mutants.push((name, against(wrong).unless_true(right)));
        }
    }
    // the score of p^½ q^½ and a bump, so that it is no multiple of β
    let on_the_way = bump.plus(0.5, &score_p).plus(0.5, &score_q);
    let left = fall(pair, &grid, &nodes.log_q, &on_the_way.plus(-1.0, &score_q));
    let (here, there) = (score_q.plus(-1.0, &score_p), score_q.plus(-1.0, &on_the_way));
    let right = -inner(&here, &there);
    let scale = inner(&here, &here).max(inner(&there, &there));
    let against = |right: f64| {
        Comparison::of_ladder(format!("{}, another target", draw.label), &left, right, scale, draw.tolerance())
            .resolving("trapezoid on half of the nodes", resolution, 1e-4)
    };
    out.comparisons.push(against(right));
    out.mutants.push(("E|s - ∇log p|² along another target", against(-inner(&here, &here)).unless_true(right)));
    out.mutants.push(("E|s - ∇log p_t|² along another target", against(-inner(&there, &there)).unless_true(right)));
    out
}

/// Central differences of KL((id + εV)#q‖p), exactly pushed.
fn fall(pair: &Pair, grid: &Grid, log_q: &[f64], v: &Field) -> Ladder {
    let push = Push::new(&grid.nodes, |i, _| (v.0[i], v.1[i]));
    let q: Vec<f64> = log_q.iter().map(|l| exp(*l)).collect();
    let ladder = Ladder::central(push.first_step(), |step| {
        let l = push.log_ratio(pair, log_q, step);
        vec![grid.integrate_with_noise(|i| -q[i] * l[i], |i| q[i] * log_q[i].abs())]
    });
    ladder.into_iter().next().expect("one functional")
}

/// Variances of p and of the start, and steps.
const TARGETS: [f64; 3] = [0.5, 1.0, 3.0];
const STEPS: [f64; 3] = [0.01, 0.1, 0.3];

/// (c): Euler's steps with the affine score leave N(b, Q) exactly at rest, at every step length; those of Langevin do not.
fn euler() -> Outcome {
    let mut out = Outcome::default();
    for q in TARGETS {
        for h in STEPS {
            let name = |what: &str| format!("Q = {q}, h = {h}, {what}");
            // C' = C (1 + h (1/C - 1/Q))²
            let transport = |c: f64| c * (1.0 + h * (1.0 / c - 1.0 / q)).powi(2);
            let langevin = |c: f64| c * (1.0 - h / q).powi(2) + 2.0 * h;
            let rest = |step: &dyn Fn(f64) -> f64| (0..20_000).fold(1.3 * q, |c, _| step(c));
            let stationary = q / (1.0 - 0.5 * h / q);
            out.comparisons.push(Comparison::exact(name("transport at rest"), rest(&transport), q, q, 1e-12));
            out.comparisons.push(Comparison::exact(name("Langevin at rest"), rest(&langevin), stationary, q, 1e-10));
            let rate = (transport(q * (1.0 + 1e-6)) / q - 1.0) / 1e-6;
            out.comparisons.push(Comparison::exact(name("contraction"), rate, 1.0 - 2.0 * h / q, 1.0, 1e-5));
            out.mutants.push((
                "Langevin's steps have the variance Q",
                Comparison::exact(name("Q"), rest(&langevin), q, q, 1e-4),
            ));
            out.mutants.push((
                "transport has Langevin's bias",
                Comparison::exact(name("Q/(1 - h/2Q)"), rest(&transport), stationary, q, 1e-4),
            ));
        }
    }
    out
}
