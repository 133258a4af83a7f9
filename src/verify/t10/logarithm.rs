//! The bias of log q̂ and of its gradient, and its removal to first order, by exact expectations over two atoms.

use crate::linalg::Matrix;
use crate::num::{cos, sin};
use crate::rng::fill_uniform;
use crate::verify::atoms::{Estimate, TwoAtoms};
use crate::verify::{Comparison, Draw, Ladder, Outcome, Vector, dot, resolve};

/// Fewest draws; seven doublings make the ladder.
const FEWEST: usize = 32;
const RUNGS: usize = 7;

/// Two atoms, a query between or beside them, and a direction.
fn instance(draw: &Draw, attempt: usize) -> (TwoAtoms, Vector) {
    let d = draw.pair.dim();
    let mut u = [0.0f64; 8];
    fill_uniform(&mut draw.stream(attempt), &mut u);
    let atoms = Matrix::from_fn(2, d, |i, j| if j == 0 { 2.0 * i as f64 - 1.0 } else { u[i] });
    let query = Matrix::from_fn(1, d, |_, j| 1.6 * u[2 + j] - 0.8);
    let angle = u[4];
    let direction = if d == 1 { [1.0, 0.0] } else { [cos(angle), sin(angle)] };
    (TwoAtoms { atoms, mass: 0.3 + 0.4 * u[5], bandwidth: 0.8 + 0.4 * u[6], query }, direction)
}

/// A function of the expectation on the ladder 1/N; `size` is that of its terms before they cancel.
fn ladder(found: &[(usize, Estimate)], order: f64, value: impl Fn(f64, &Estimate) -> (f64, f64)) -> Ladder {
    let rungs: Vec<(f64, f64)> = found.iter().map(|(n, e)| value(*n as f64, e)).collect();
    Ladder {
        steps: found.iter().map(|(n, _)| 1.0 / *n as f64).collect(),
        values: rungs.iter().map(|r| r.0).collect(),
        rounding: rungs.iter().map(|r| 16.0 * f64::EPSILON * r.1).collect(),
        order,
    }
}

/// N(E log q̂ - log q_h) → -½Nτ_N and its gradient, error of order 1 in 1/N; and the corrected ones, whose bias has order 2.
pub(super) fn bias(draw: &Draw) -> Outcome {
    let all = |attempt: usize| {
        let (atoms, direction) = instance(draw, attempt);
        let found: Vec<(usize, Estimate)> =
            (0..RUNGS).map(|k| FEWEST << k).map(|n| (n, atoms.expectation(n))).collect();
        let exact = atoms.exact();
        let along = |v: Vector| dot(v, direction);
        let (first, slope) = (-0.5 * exact.variance, -0.5 * along(exact.variance_gradient));
        let size = 0.5 * (exact.variance.abs() + dot(exact.variance_gradient, exact.variance_gradient).sqrt());
        let plain_log = ladder(&found, 1.0, |n, e| (n * (e.log - exact.log), 4.0 * n));
        let plain_score = ladder(&found, 1.0, |n, e| (n * (along(e.score) - along(exact.score)), 4.0 * n));
        let rest = |value: &dyn Fn(f64, &Estimate) -> f64| ladder(&found, 2.0, |n, e| (value(n, e), 4.0));
        let name = |what: &str| format!("{}, {what}", draw.label);
        let still = |what: &str, left: &Ladder| Comparison::of_ladder(name(what), left, 0.0, size, 1e-4);
        let holds = vec![
            Comparison::of_ladder(name("bias of log q̂"), &plain_log, first, size, 2e-2),
            Comparison::of_ladder(name("bias of its gradient"), &plain_score, slope, size, 2e-2),
            still("corrected log q̂", &rest(&|_, e| e.log_debiased - exact.log)),
            still("corrected gradient", &rest(&|_, e| along(e.score_debiased) - along(exact.score))),
        ];
        let fails = vec![
            ("log q̂ has no bias of first order", still("log q̂", &rest(&|_, e| e.log - exact.log))),
            ("½/m without 1/N", still("log", &rest(&|n, e| e.log_debiased + 0.5 / n - exact.log))),
            ("½τ subtracted", still("log", &rest(&|_, e| 2.0 * e.log - e.log_debiased - exact.log))),
            (
                "m1 - m2 for m2 - m1",
                still("score", &rest(&|_, e| along(e.score) * 2.0 - along(e.score_debiased) - along(exact.score))),
            ),
        ];
        (holds, fails)
    };
    let comparisons = resolve(&[0, 1, 2, 3], |cases, attempt| {
        let (holds, _) = all(attempt);
        cases.iter().map(|&k| holds[k].clone()).collect()
    });
    Outcome { comparisons, mutants: all(0).1 }
}
