//! T31: the flow of the Sinkhorn divergence: its velocity is the gradient, Gaussians, the collapsed start, and both limits of ε.

use super::cloud::moved;
use super::{Budget, Claim, Comparison, Hypothesis, Ladder, Outcome, Size, Takes};
use crate::linalg::Matrix;
use crate::num::ln;
use crate::rng::{Purpose, normal_matrix, stream, uniform};
use crate::transport::{Cloud, Sinkhorn, couple, divergence};
use rayon::prelude::*;

pub(super) const CLAIM: Claim = Claim {
    id: "T31",
    title: "T_qp - T_qq is minus the gradient of the Sinkhorn divergence; Gaussians stay Gaussian along its flow",
    takes: Takes::NoPair,
    hypotheses: &[
        Hypothesis::variant("S_ε is debiased by the plans of p and q with themselves", "OT_ε, not debiased"),
        Hypothesis::instance("(b) the laws are Gaussian", two_points),
        Hypothesis::variant("(c) ε > 0, for a rate below 1", "the rate 1 of ε = 0"),
        Hypothesis::not_run(
            "bounded support, or Gaussians",
            "sufficient for smooth potentials; we know no counter-example with finite second moments",
        ),
    ],
    check,
};

/// Points of random clouds.
const POINTS: (usize, usize) = (10, 13);
/// Nodes of a Gaussian, and where they end in standard deviations: e^(-7.5²/2) = 6e-13.
const NODES: usize = 121;
const REACH: f64 = 7.5;
/// ε of Gaussians of deviations around 1.
const EPSILONS: [f64; 3] = [0.25, 1.0, 5.0];
/// The deviation of a start that has nearly collapsed.
const COLLAPSED: f64 = 1e-3;
/// First step of differences in the points, in units of their spread.
const STEP: f64 = 0.1;
/// ε beside which all costs are small.
const WIDE: f64 = 1e6;
/// Largest 1/ε of the limit of large ε.
const LARGE: f64 = 0.02;

fn check(budget: &Budget) -> Vec<Outcome> {
    let instances = if budget.size == Size::Quick { 3 } else { 30 };
    let mut out: Vec<Outcome> =
        (0..instances).into_par_iter().map(|k| random_clouds(budget.seed.wrapping_add(k))).collect();
    out.extend(EPSILONS.par_iter().map(|e| gaussians(*e)).collect::<Vec<_>>());
    out
}

fn settings(epsilon: f64) -> Sinkhorn {
    Sinkhorn { tolerance: 1e-12, max_iterations: 100_000, ..Sinkhorn::new(epsilon) }
}

fn cloud(points: &Matrix, log_weights: &[f64]) -> Cloud {
    Cloud::new(points, Some(log_weights)).expect("finite points")
}

/// The gradient by differences, and both limits, on weighted clouds in the plane.
fn random_clouds(seed: u64) -> Outcome {
    let mut out = Outcome::default();
    let mut rng = stream(seed, Purpose::Check, 31);
    let (n, m) = POINTS;
    let (x, y): (Matrix, Matrix) =
        (normal_matrix(seed, Purpose::Check, 310, n, 2), normal_matrix(seed, Purpose::Check, 311, m, 2));
    let y = y.map(|v| 0.8 * v + 0.7);
    let mut weights = |n: usize| (0..n).map(|_| ln(0.3 + uniform(&mut rng))).collect::<Vec<f64>>();
    let (wx, wy) = (weights(n), weights(m));
    let way: Matrix = normal_matrix(seed, Purpose::Check, 312, n, 2);
    let (a, b) = (cloud(&x, &wx), cloud(&y, &wy));
    for epsilon in [0.3, 2.0] {
        let label = format!("clouds of seed {seed}, ε = {epsilon}");
        let value =
            |step: f64| divergence(&cloud(&moved(&x, step, &way), &wx), &b, &settings(epsilon)).expect("clouds").value;
        let ladder = Ladder::central(STEP, |step| {
            let v = value(step);
            // plans stop at marginals of 1e-12, and the value is right to their square times the potentials
            vec![(v, v.abs() + 10.0)]
        });
        let left = ladder.into_iter().next().expect("one functional");
        let plans = divergence(&a, &b, &settings(epsilon)).expect("clouds");
        let along = |g: &Matrix| -> f64 {
            let row = |i: usize| g.row(i).iter().zip(way.row(i)).map(|(g, w)| g * w).sum::<f64>();
            (0..n).map(|i| a.weights()[i] * row(i)).sum()
        };
        let (cross, own) = (plans.cross.gradient(&a, &b), plans.first.gradient(&a, &a));
        let right = along(&plans.gradient(&a, &b));
        let scale = along(&cross).abs() + along(&own).abs();
        let against = |right: f64| Comparison::of_ladder(format!("{label}, gradient"), &left, right, scale, 1e-7);
        out.comparisons.push(against(right));
        for (what, wrong) in [
            ("the plan to p alone", along(&cross)),
            ("half of the plan with itself", along(&cross) - 0.5 * along(&own)),
            ("the plan with itself added", along(&cross) + along(&own)),
        ] {
            out.mutants.push((what, against(wrong).unless_true(right)));
        }
    }
    out.comparisons.extend(limits(seed, &a, &b, &mut out.mutants));
    collapsed(seed, &b, way.row(0), &mut out);
    wide(seed, &a, &b, &mut out);
    out
}

/// Σ_i w_i x_i.
fn mean(c: &Cloud) -> [f64; 2] {
    [0, 1].map(|j| (0..c.len()).map(|i| c.weights()[i] * c.points()[(i, j)]).sum())
}

/// Two points at m ± δu, m the mean of p: they part at the rate Cov(p) u/ε, whatever p.
fn collapsed(seed: u64, b: &Cloud, u: &[f64], out: &mut Outcome) {
    let (m, epsilon) = (mean(b), 0.8);
    let side = [COLLAPSED, -COLLAPSED];
    let a = cloud(&Matrix::from_fn(2, 2, |i, j| m[j] + side[i] * u[j]), &[0.0; 2]);
    let g = divergence(&a, b, &settings(epsilon)).expect("clouds").gradient(&a, b);
    for j in 0..2 {
        let found = (g[(1, j)] - g[(0, j)]) / (2.0 * COLLAPSED);
        let from = |i: usize, j: usize| b.points()[(i, j)] - m[j];
        let right: f64 =
            (0..b.len()).map(|i| b.weights()[i] * from(i, j) * (from(i, 0) * u[0] + from(i, 1) * u[1])).sum::<f64>()
                / epsilon;
        let size = (u[0].abs() + u[1].abs()) / epsilon;
        // the error is of second order in δ, with fourth moments over ε³ before it
        let against = |right: f64| {
            Comparison::exact(format!("clouds of seed {seed}, collapsed, coordinate {j}"), found, right, size, 1e-4)
        };
        out.comparisons.push(against(right));
        out.mutants.push(("a collapsed start is pulled together", against(-right).unless_true(right)));
        out.mutants.push(("a collapsed start that stays", against(0.0).unless_true(right)));
    }
}

/// ε → ∞: every point moves by the difference of the means, up to costs over ε.
fn wide(seed: u64, a: &Cloud, b: &Cloud, out: &mut Outcome) {
    let g = divergence(a, b, &settings(WIDE)).expect("clouds").gradient(a, b);
    let right = mean(b)[0] - mean(a)[0];
    for (i, row) in g.iter_rows().enumerate() {
        let name = format!("clouds of seed {seed}, velocity as ε → ∞, point {i}");
        let against = |right: f64| Comparison::exact(name.clone(), -row[0], right, 1.0, 100.0 / WIDE);
        out.comparisons.push(against(right));
        let towards = mean(b)[0] - a.points()[(i, 0)];
        out.mutants.push(("each point goes to the mean of p", against(towards).unless_true(right)));
    }
}

/// S_ε → |m_a - m_b|²/2 at order 1 in 1/ε, and ½ W₂² as ε → 0.
fn limits(seed: u64, a: &Cloud, b: &Cloud, mutants: &mut Vec<(&'static str, Comparison)>) -> Vec<Comparison> {
    let apart: f64 = mean(a).iter().zip(mean(b)).map(|(a, b)| (a - b).powi(2)).sum();
    let ladder = Ladder::quotients(LARGE, 1.0, |step| {
        let v = divergence(a, b, &settings(1.0 / step)).expect("clouds").value;
        // OT_ε is a difference of terms of size 1/step
        vec![(v, 1.0 / step)]
    });
    let left = ladder.into_iter().next().expect("one functional");
    let large =
        |right: f64| Comparison::of_ladder(format!("clouds of seed {seed}, ε → ∞"), &left, right, 0.5 * apart, 1e-4);
    let mut out = vec![large(0.5 * apart)];
    mutants.push(("0 as ε → ∞", large(0.0)));
    // equal weights on the line: W₂² sorts
    let n = POINTS.0;
    let sorted = |unit: u64, shift: f64| {
        let mut v = normal_matrix::<f64>(seed, Purpose::Check, unit, n, 1).map(|v| v + shift).into_vec();
        v.sort_by(f64::total_cmp);
        v
    };
    let (u, v) = (sorted(313, 0.0), sorted(314, 1.0));
    let half: f64 = u.iter().zip(&v).map(|(u, v)| 0.5 * (u - v).powi(2)).sum::<f64>() / n as f64;
    let line = |v: &[f64]| cloud(&Matrix::from_vec(n, 1, v.to_vec()), &vec![0.0; n]);
    let epsilon = 1e-3;
    let value = divergence(&line(&u), &line(&v), &settings(epsilon)).expect("clouds").value;
    // 0 ≤ OT_ε - OT_0 ≤ ε log n for each of the three plans
    let tolerance = 2.0 * epsilon * ln(n as f64) / half;
    let small =
        |right: f64| Comparison::exact(format!("points of seed {seed}, ε = 0.001"), value, right, half, tolerance);
    out.push(small(half));
    mutants.push(("W₂² without the half", small(2.0 * half)));
    out
}

/// N(m, s²) as a weighted grid.
fn gaussian(m: f64, s: f64) -> (Matrix, Vec<f64>) {
    let z = |i: usize| REACH * (2.0 * i as f64 / (NODES - 1) as f64 - 1.0);
    let log_weights = (0..NODES).map(|i| -0.5 * z(i) * z(i)).collect();
    (Matrix::from_fn(NODES, 1, |i, _| m + s * z(i)), log_weights)
}

/// E[(x - m)V]/s = ds/dt of the shipped velocity at N(m, s²) towards N(0, t²), and S_ε.
fn speed(m: f64, s: f64, t: f64, epsilon: f64) -> (f64, f64, f64) {
    let ((x, wx), (y, wy)) = (gaussian(m, s), gaussian(0.0, t));
    let (a, b) = (cloud(&x, &wx), cloud(&y, &wy));
    let plans = divergence(&a, &b, &settings(epsilon)).expect("clouds");
    let v = plans.gradient(&a, &b).map(|g| -g);
    let mean = |f: &dyn Fn(usize) -> f64| (0..NODES).map(|i| a.weights()[i] * f(i)).sum::<f64>();
    let (drift, widening) = (mean(&|i| v[(i, 0)]), mean(&|i| (x[(i, 0)] - m) * v[(i, 0)]));
    (drift, widening / s, plans.value)
}

/// The closed forms for N(m, s²) towards N(0, t²).
fn gaussians(epsilon: f64) -> Outcome {
    let mut out = Outcome::default();
    let c = |s: f64, t: f64| 0.5 * ((epsilon * epsilon + 4.0 * s * s * t * t).sqrt() - epsilon);
    let ot = |s: f64, t: f64| 0.5 * (s * s + t * t) - c(s, t) - 0.5 * epsilon * ln(1.0 - (c(s, t) / (s * t)).powi(2));
    for (m, s, t) in [(0.8, 0.6, 1.0), (-0.5, 1.7, 0.9)] {
        let label = format!("N({m}, {s}²) to N(0, {t}²), ε = {epsilon}");
        let (drift, widening, value) = speed(m, s, t, epsilon);
        // marginals of 1e-12, and a grid whose spacing is an eighth of the deviations and at most a half of √ε
        let exact =
            |what: &str, left: f64, right: f64| Comparison::exact(format!("{label}, {what}"), left, right, 1.0, 1e-7);
        out.comparisons.push(exact("dm/dt", drift, -m));
        let right = (c(s, t) - c(s, s)) / s;
        out.comparisons.push(exact("ds/dt", widening, right));
        out.mutants.push(("ds/dt = t - s, as for ε = 0", exact("ds/dt", widening, t - s).unless_true(right)));
        out.mutants.push(("ds/dt without the plan with itself", exact("ds/dt", widening, (c(s, t) - s * s) / s)));
        let right = 0.5 * m * m + ot(s, t) - 0.5 * ot(s, s) - 0.5 * ot(t, t);
        out.comparisons.push(exact("S_ε", value, right));
        out.mutants.push(("OT_ε, not debiased", exact("S_ε", value, 0.5 * m * m + ot(s, t))));
        // one plan: T_ab(x) = m_b + c/s² (x - m_a)
        let ((x, wx), (y, wy)) = (gaussian(m, s), gaussian(0.0, t));
        let (a, b) = (cloud(&x, &wx), cloud(&y, &wy));
        let projection = couple(&a, &b, &settings(epsilon)).expect("clouds").projection(&a, &b);
        let k = 5 * NODES / 8;
        let slope = (projection[(k, 0)] - projection[(NODES / 2, 0)]) / (x[(k, 0)] - x[(NODES / 2, 0)]);
        out.comparisons.push(exact("slope of the projection", slope, c(s, t) / (s * s)));
        out.mutants.push(("the slope t/s of optimal transport", exact("slope of the projection", slope, t / s)));
    }
    for t in [0.7f64, 1.0] {
        let rate = 2.0 * t * t / (epsilon * epsilon + 4.0 * t.powi(4)).sqrt();
        // one step of Richardson's extrapolation of central differences: an error of about (0.05)⁴
        let slope =
            |h: f64| (speed(0.0, t + h * t, t, epsilon).1 - speed(0.0, t - h * t, t, epsilon).1) / (2.0 * h * t);
        let left = (4.0 * slope(0.02) - slope(0.04)) / 3.0;
        let against =
            |right: f64| Comparison::exact(format!("rate at s = t = {t}, ε = {epsilon}"), left, right, rate, 1e-5);
        out.comparisons.push(against(-rate));
        out.mutants.push(("the rate 1 of ε = 0", against(-1.0).unless_true(-rate)));
        let growth = speed(0.0, COLLAPSED, t, epsilon).1 / COLLAPSED;
        let right = t * t / epsilon;
        // the next term is (s/t)² t⁴/ε² and s²/ε
        let tolerance =
            COLLAPSED * COLLAPSED * (1.0 / epsilon + t * t / (epsilon * epsilon) + 1.0 / (t * t)) * 10.0 + 1e-6;
        let start = |right: f64| {
            Comparison::exact(
                format!("growth at s = {COLLAPSED}, t = {t}, ε = {epsilon}"),
                growth,
                right,
                t * t / epsilon,
                tolerance,
            )
        };
        out.comparisons.push(start(right));
        out.mutants.push(("a collapsed start that stays", start(0.0)));
    }
    out
}

/// N(0, 1) to two points ±1, which have its mean and variance: the projection is no line.
fn two_points() -> Comparison {
    let (epsilon, (x, wx)) = (1.0, gaussian(0.0, 1.0));
    let (a, b) = (cloud(&x, &wx), cloud(&Matrix::from_rows(&[[-1.0], [1.0]]), &[0.0; 2]));
    let projection = couple(&a, &b, &settings(epsilon)).expect("clouds").projection(&a, &b);
    let k = 5 * NODES / 8;
    let right = 0.5 * ((epsilon * epsilon + 4.0).sqrt() - epsilon) * x[(k, 0)];
    Comparison::exact(format!("N(0, 1) to ±1, ε = 1: T(x) at {}", x[(k, 0)]), projection[(k, 0)], right, 1.0, 1e-6)
}
