//! What the estimate does to particles: the fixed points of the unmatched and of the matched drift, and isolated particles.

use crate::estimate::Kde;
use crate::linalg::Matrix;
use crate::num::variance;
use crate::rng::{Purpose, fill_uniform, normal_matrix};
use crate::verify::{Comparison, Draw, Outcome};

/// Particles, Euler steps and their size: to time 8, four times the slowest relaxation of the variance, (1+h²)²/2.
const PARTICLES: usize = 400;
const STEPS: usize = 160;
const STEP: f64 = 0.05;
/// Finite N moves the variance by up to 0.010 on the page's runs with 400 particles; twice that.
const FINITE: f64 = 0.02;

/// The variance at the end for p = N(0, 1): V = -x/σ² - ∇log q̂_h, own term kept; σ² = 1 is unmatched, 1 + h² matched.
fn settle(seed: u64, h: f64, target: f64) -> f64 {
    let mut x: Matrix = normal_matrix(seed, Purpose::Check, 10, PARTICLES, 1);
    for _ in 0..STEPS {
        let score = Kde::new(&x, h).expect("a positive bandwidth").evaluate(&x).score;
        let drift = Matrix::from_fn(PARTICLES, 1, |i, _| -x[(i, 0)] / target - score[(i, 0)]);
        x.add_scaled(STEP, &drift);
    }
    variance(x.as_slice())
}

/// (c): the unmatched drift rests at the variance 1 - h², the matched one at 1.
pub(super) fn fixed_point(seed: u64, h: f64) -> Outcome {
    let (unmatched, matched) = (settle(seed, h, 1.0), settle(seed, h, 1.0 + h * h));
    let rests = |what: &str, found: f64, at: f64| {
        Comparison::exact(format!("{what} drift at h = {h}, resting variance"), found, at, 1.0, FINITE)
    };
    Outcome {
        comparisons: vec![rests("unmatched", unmatched, 1.0 - h * h), rests("matched", matched, 1.0)],
        mutants: vec![
            ("the unmatched drift rests at p", rests("unmatched", unmatched, 1.0)),
            ("the unmatched drift rests at 1 + h²", rests("unmatched", unmatched, 1.0 + h * h)),
        ],
    }
}

/// (d): beyond the threshold a particle without its own term is pushed outwards by any others in {y·e ≤ M}; with it, it returns.
pub(super) fn isolated(draw: &Draw) -> Outcome {
    let (d, others, m) = (draw.pair.dim(), 50, 1.5);
    let mut u = vec![0.0f64; others * d + 1];
    fill_uniform(&mut draw.stream(1), &mut u);
    let h = 0.3 + 0.3 * u[others * d];
    let y =
        Matrix::from_fn(others, d, |i, j| if j == 0 { m * (2.0 * u[i * d] - 1.0) } else { 2.0 * u[i * d + j] - 1.0 });
    // beyond both thresholds, and eight bandwidths from the others: there the own term's bound is 50·8h e^-32/h² < 1e-10
    let place = (m / (1.0 - h * h)).max(m * (1.0 + h * h)).max(m + 8.0 * h) + 0.1;
    let x = Matrix::from_fn(1, d, |_, j| if j == 0 { place } else { 0.0 });
    let with_own = Matrix::from_fn(others + 1, d, |i, j| if i < others { y[(i, j)] } else { x[(0, j)] });
    let outward = |samples: &Matrix, variance: f64| {
        let score = Kde::new(samples, h).expect("a positive bandwidth").evaluate(&x).score[(0, 0)];
        -place / variance - score
    };
    let name = |what: &str| format!("{}, {what}, h = {h:.2}", draw.label);
    let (unmatched, matched) = (outward(&y, 1.0), outward(&y, 1.0 + h * h));
    Outcome {
        comparisons: vec![
            Comparison::decision(name("unmatched, own term left out: outwards"), unmatched > 0.0),
            Comparison::decision(name("matched, own term left out: outwards"), matched > 0.0),
            Comparison::decision(
                name("own term kept: back"),
                outward(&with_own, 1.0).max(outward(&with_own, 1.0 + h * h)) <= 0.0,
            ),
        ],
        mutants: vec![(
            "matching alone brings an isolated particle back",
            Comparison::at_most(name("matched, speed outwards"), matched, 0.0, 1.0, 0.0),
        )],
    }
}
