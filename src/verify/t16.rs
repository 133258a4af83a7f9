//! T16: finite particles. Three atoms, every multinomial sample of N of them counted: expectations are finite sums.

use crate::density::{Density, GaussianMixture};
use crate::divergence::{Alpha, Divergence, ForwardKl, Hellinger, Neyman, Pearson, ReverseKl};
use crate::estimate::Kde;
use crate::linalg::Matrix;
use crate::num::{exp, ln, ln_1p, log2, powf};
use crate::verify::{Budget, Claim, Comparison, Ladder, Outcome, Takes};
use rayon::prelude::*;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T16",
    title: "finite particles: at its own blurred point a kernel estimate has an exact score and a logarithm that is high",
    takes: Takes::NoPair,
    check,
};

/// Where particles can be, with their probabilities.
const PLACES: [f64; 3] = [-1.0, 0.2, 1.5];
const MASSES: [f64; 3] = [0.2, 0.5, 0.3];
const BANDWIDTH: f64 = 0.5;
/// Numbers of particles.
const SIZES: [usize; 4] = [1, 2, 5, 12];
/// Points y.
const POINTS: [f64; 4] = [-1.3, -0.2, 0.6, 1.9];

fn check(_: &Budget) -> Vec<Outcome> {
    let mut out: Vec<Outcome> = SIZES.par_iter().map(|&n| scores(n)).collect();
    out.par_extend(SIZES.par_iter().map(|&n| drifts(n)));
    out.push(logarithm());
    out.push(divergence_of_the_estimate());
    out
}

/// A sample of N of the atoms by its counts, and its probability.
fn samples(n: usize) -> Vec<([usize; 3], f64)> {
    let log_factorial = |k: usize| (1..=k).map(|i| ln(i as f64)).sum::<f64>();
    let mut out = Vec::new();
    for a in 0..=n {
        for b in 0..=n - a {
            let counts = [a, b, n - a - b];
            let each = |k: usize| counts[k] as f64 * ln(MASSES[k]) - log_factorial(counts[k]);
            out.push((counts, exp(log_factorial(n) + (0..3).map(each).sum::<f64>())));
        }
    }
    out
}

/// φ_h(y - a) for each atom a.
fn kernels(y: f64) -> [f64; 3] {
    PLACES.map(|a| exp(-0.5 * ((y - a) / BANDWIDTH).powi(2)) / (BANDWIDTH * std::f64::consts::TAU.sqrt()))
}

/// q̂(y) of a sample.
fn estimate(counts: &[usize; 3], y: f64) -> f64 {
    let n: usize = counts.iter().sum();
    counts.iter().zip(kernels(y)).map(|(&c, k)| c as f64 * k).sum::<f64>() / n as f64
}

/// q_h(y).
fn smoothed(y: f64) -> f64 {
    MASSES.iter().zip(kernels(y)).map(|(m, k)| m * k).sum()
}

/// The shipped estimate from a sample.
fn shipped(counts: &[usize; 3]) -> Kde {
    let points: Vec<f64> = (0..3).flat_map(|k| std::iter::repeat_n(PLACES[k], counts[k])).collect();
    Kde::new(&Matrix::from_vec(points.len(), 1, points), BANDWIDTH).expect("a positive bandwidth")
}

/// log p_h and its derivative, p = 0.6 N(-0.4, 0.3²) + 0.4 N(1.1, 0.5²).
fn target(y: f64) -> (f64, f64) {
    let covariances = [0.09, 0.25].map(|v| Matrix::from_rows(&[[v]])).to_vec();
    let p = GaussianMixture::new(&[0.6, 0.4], Matrix::from_rows(&[[-0.4], [1.1]]), covariances).expect("a mixture");
    let p = p.smoothed(BANDWIDTH).expect("a closed form");
    let (mut l, mut s) = ([0.0], Matrix::zeros(1, 1));
    p.evaluate_into(&Matrix::from_rows(&[[y]]), &mut l, &mut s);
    (l[0], s[(0, 0)])
}

/// (a): E[∇log q̂ | y] = ∇log q_h at the own blurred point, for the score that ships, at every N.
fn scores(n: usize) -> Outcome {
    let mut out = Outcome::default();
    for y in POINTS {
        let query = Matrix::from_rows(&[[y]]);
        // with the own term y has density q̂ given the sample; without it y is independent of the sample
        let (mut own, mut independent, mut corrected) = (0.0, 0.0, 0.0);
        for (counts, probability) in samples(n) {
            let values = shipped(&counts).evaluate(&query);
            let (log_q, score) = (values.log_density[0], values.score[(0, 0)]);
            let share = probability * exp(log_q) / smoothed(y);
            own += share * score;
            independent += probability * score;
            corrected += share * values.debiased(n).1[(0, 0)];
        }
        let right = (-(y - PLACES[0]) * MASSES[0] * kernels(y)[0]
            - (y - PLACES[1]) * MASSES[1] * kernels(y)[1]
            - (y - PLACES[2]) * MASSES[2] * kernels(y)[2])
            / (BANDWIDTH * BANDWIDTH * smoothed(y));
        let size = 1.0 / BANDWIDTH;
        let compare =
            |what: &str, left: f64| Comparison::exact(format!("N = {n}, y = {y}, {what}"), left, right, size, 1e-12);
        out.comparisons.push(compare("score", own));
        out.mutants.push(("no own term, and the score unbiased", compare("independent", independent)));
        // a single particle has 1/m = 1 everywhere: nothing to correct
        if n > 1 {
            out.mutants.push(("corrected as for an independent sample", compare("debiased", corrected)));
        }
    }
    out
}

/// The rows of the table whose weight is c rᵅ, with (c, α).
fn powers() -> Vec<(Arc<dyn Divergence>, f64, f64)> {
    vec![
        (Arc::new(ReverseKl), 1.0, 0.0),
        (Arc::new(ForwardKl), 1.0, 1.0),
        (Arc::new(Pearson), 2.0, 2.0),
        (Arc::new(Neyman), 2.0, -1.0),
        (Arc::new(Hellinger), 0.5, 0.5),
        (Arc::new(Alpha::new(0.3)), 1.0, 0.3),
    ]
}

/// (a): ∇E[W(û)] = -(q_h/p_h) E[w β̂ | y], û = q̂/p_h, W' (u) = w(1/u), by differences of a finite sum, order 2.
fn drifts(n: usize) -> Outcome {
    let mut out = Outcome::default();
    let all = samples(n);
    for (f, c, alpha) in powers() {
        let integral = |u: f64| if alpha == 1.0 { c * ln(u) } else { c * powf(u, 1.0 - alpha) / (1.0 - alpha) };
        for y in [POINTS[1], POINTS[2]] {
            let (log_p, score_p) = target(y);
            let query = Matrix::from_rows(&[[y]]);
            let (mut right, mut unweighted, mut size) = (0.0, 0.0, 0.0);
            for (counts, probability) in &all {
                let values = shipped(counts).evaluate(&query);
                let (log_q, beta) = (values.log_density[0], score_p - values.score[(0, 0)]);
                let term = probability * exp(log_q - log_p) * f.weight(log_p - log_q) * beta;
                right -= term;
                size += term.abs();
                unweighted -= probability * smoothed(y) / exp(log_p) * f.weight(log_p - log_q) * beta;
            }
            let ladder = Ladder::central(0.1, |e| {
                let log_p = target(y + e).0;
                let value = |(counts, p): &([usize; 3], f64)| p * integral(estimate(counts, y + e) / exp(log_p));
                let terms: Vec<f64> = all.iter().map(value).collect();
                vec![(terms.iter().sum(), terms.iter().map(|t| t.abs()).sum())]
            })
            .remove(0);
            let name = format!("{}, N = {n}, y = {y}", f.name());
            out.comparisons.push(Comparison::of_ladder(name.clone(), &ladder, right, size, 1e-6));
            if n > 1 && alpha > 0.4 {
                let wrong = Comparison::of_ladder(name, &ladder, unweighted, size, 1e-6);
                out.mutants.push(("y independent of the sample, and the same identity", wrong));
            }
        }
    }
    out
}

/// (b): E[log q̂ | y] = log q_h + ½τ_N + O(N⁻²) at the own point: the rest falls by 4 when N doubles.
fn logarithm() -> Outcome {
    let mut out = Outcome::default();
    for y in POINTS {
        let q = smoothed(y);
        let tau = |n: usize| {
            let square: f64 = MASSES.iter().zip(kernels(y)).map(|(m, k)| m * k * k).sum();
            (square / (q * q) - 1.0) / n as f64
        };
        let rest = |n: usize, sign: f64| -> f64 {
            let mean: f64 = samples(n)
                .iter()
                .map(|(counts, p)| {
                    let value = estimate(counts, y);
                    if value > 0.0 { p * value / q * ln(value) } else { 0.0 }
                })
                .sum();
            mean - ln(q) - sign * 0.5 * tau(n)
        };
        let order = |sign: f64| log2((rest(40, sign) / rest(80, sign)).abs());
        let compare =
            |what: &str, sign: f64| Comparison::exact(format!("y = {y}, {what}"), order(sign), 2.0, 1.0, 0.15);
        out.comparisons.push(compare("order of the rest in 1/N", 1.0));
        out.mutants.push(("log q̂ low by ½τ at the own point", compare("order with the other sign", -1.0)));
    }
    out
}

/// (d): 0 ≤ E KL(q̂‖p_h) - KL(q_h‖p_h) = E KL(q̂‖q_h) ≤ log(1 + E_{q_h} τ_N) ≤ E_{q_h} τ_N at every N, and it falls in N (c).
fn divergence_of_the_estimate() -> Outcome {
    let (low, high, cells) = (-5.0, 5.5, 1050);
    let width = (high - low) / f64::from(cells);
    let grid: Vec<f64> = (0..=cells).map(|i| low + width * f64::from(i)).collect();
    // the integrand vanishes at both ends, so the trapezoidal rule is exact to rounding
    let excess = |n: usize| -> f64 {
        let one = |(counts, p): &([usize; 3], f64)| {
            let term = |y: &f64| {
                let value = estimate(counts, *y);
                if value > 0.0 { value * ln(value / smoothed(*y)) } else { 0.0 }
            };
            p * width * grid.iter().map(term).sum::<f64>()
        };
        samples(n).iter().map(one).sum()
    };
    let mean_tau = |n: usize| -> f64 {
        let square = |y: &f64| MASSES.iter().zip(kernels(*y)).map(|(m, k)| m * k * k).sum::<f64>() / smoothed(*y);
        (width * grid.iter().map(square).sum::<f64>() - 1.0) / n as f64
    };
    let mut out = Outcome::default();
    let mut last = f64::INFINITY;
    for n in SIZES {
        let (found, bound) = (excess(n), mean_tau(n));
        let within = found >= 0.0 && found <= ln_1p(bound) && ln_1p(bound) <= bound;
        out.comparisons.push(Comparison::decision(format!("N = {n}, bound of the excess"), within));
        out.comparisons.push(Comparison::decision(format!("N = {n}, the excess falls"), found < last));
        out.mutants.push((
            "the excess below ½ log(1 + E τ)",
            Comparison::decision(format!("N = {n}"), found < 0.25 * ln_1p(bound)),
        ));
        last = found;
    }
    out
}
