//! T16: finite particles. Two or three atoms, every sample of N of them counted: expectations are finite sums.

use crate::density::{Density, GaussianMixture};
use crate::divergence::{Alpha, Divergence, ForwardKl, Hellinger, Neyman, Pearson, ReverseKl};
use crate::estimate::Kde;
use crate::linalg::Matrix;
use crate::num::{exp, ln, log2, powf};
use crate::verify::{Budget, Claim, Comparison, Hypothesis, Ladder, Outcome, Takes};
use rayon::prelude::*;
use std::sync::Arc;

mod expected;

pub(super) const CLAIM: Claim = Claim {
    id: "T16",
    title: "finite particles: at its own blurred point a kernel estimate has an exact score and a logarithm that is high",
    takes: Takes::NoPair,
    hypotheses: &[
        Hypothesis::variant(
            "the estimate is asked at the own blurred point",
            "y independent of the sample, and the same identity",
        ),
        Hypothesis::variant("the own term is kept", "no own term, and the score unbiased"),
        Hypothesis::variant("(b), (c) independent particles, for these τ_N", "τ of independent particles for an urn"),
        Hypothesis::instance("(d) E_{q_h} τ_1 < ∞, where the bound is to say something", expected::laplace),
        Hypothesis::not_run(
            "(b), (c) bounded support; (d) a finite KL(q_h‖p_h)",
            "sufficient for the expansions and the derivatives under the mean",
        ),
    ],
    check,
};

/// Where particles can be, with their probabilities.
const PLACES: [f64; 3] = [-1.0, 0.2, 1.5];
const MASSES: [f64; 3] = [0.2, 0.5, 0.3];
const BANDWIDTH: f64 = 0.5;
/// Numbers of particles.
const SIZES: [usize; 4] = [1, 2, 5, 12];
/// Numbers of particles from which the order in 1/N is read.
const MANY: [usize; 2] = [2000, 4000];
/// Points y.
const POINTS: [f64; 4] = [-1.3, -0.2, 0.6, 1.9];
/// The law of two atoms, for large N.
const TWO: [f64; 3] = [0.4, 0.0, 0.6];

fn check(budget: &Budget) -> Vec<Outcome> {
    let divergences = budget.divergences();
    let mut out: Vec<Outcome> = SIZES.par_iter().map(|&n| scores(n)).collect();
    out.par_extend(SIZES.par_iter().map(|&n| drifts(n)));
    out.push(logarithm());
    out.par_extend(divergences.par_iter().map(|f| bias_of_the_drift(f.as_ref())));
    out.par_extend(divergences.par_iter().map(|f| expected::divergence(f.as_ref())));
    out.push(expected::bound());
    out.push(expected::gaussians());
    out
}

/// How particles hang together; each of them has the law [`MASSES`].
#[derive(Debug, Clone, Copy, PartialEq)]
enum Law {
    Independent,
    /// Pólya's urn of two balls: each particle drawn is put back with another of its place. Exchangeable, and never independent.
    Urn,
}

/// A sample of N of the atoms by its counts, and its probability.
fn samples(law: Law, n: usize) -> Vec<([usize; 3], f64)> {
    let log_factorial = |k: usize| (1..=k).map(|i| ln(i as f64)).sum::<f64>();
    let log_odds = |mass: f64, earlier: usize| match law {
        Law::Independent => ln(mass),
        Law::Urn => ln(2.0 * mass + earlier as f64),
    };
    let log_all = if law == Law::Urn { (0..n).map(|i| ln(2.0 + i as f64)).sum::<f64>() } else { 0.0 };
    let mut out = Vec::new();
    for a in 0..=n {
        for b in 0..=n - a {
            let counts = [a, b, n - a - b];
            let each =
                |k: usize| (0..counts[k]).map(|i| log_odds(MASSES[k], i)).sum::<f64>() - log_factorial(counts[k]);
            out.push((counts, exp(log_factorial(n) - log_all + (0..3).map(each).sum::<f64>())));
        }
    }
    out
}

/// Independent draws of the two outer atoms with the masses [`TWO`], by their shares; what has less than 1e-25 is left out.
fn binomial(n: usize) -> Vec<([f64; 3], f64)> {
    let odds = ln(TWO[0] / TWO[2]);
    let mut log = vec![n as f64 * ln(TWO[2])];
    for k in 0..n {
        log.push(log[k] + ln((n - k) as f64 / (k + 1) as f64) + odds);
    }
    let total: f64 = log.iter().map(|l| exp(*l)).sum();
    let share = |k: usize| k as f64 / n as f64;
    let all = log.iter().enumerate().map(|(k, l)| ([share(k), 0.0, 1.0 - share(k)], exp(*l) / total));
    all.filter(|(_, p)| *p > 1e-25).collect()
}

/// φ_h(y - a) for each atom a.
fn kernels(y: f64) -> [f64; 3] {
    kernels_at(&PLACES, y)
}

/// φ_h(y - a) for atoms at these places.
fn kernels_at(places: &[f64; 3], y: f64) -> [f64; 3] {
    places.map(|a| exp(-0.5 * ((y - a) / BANDWIDTH).powi(2)) / (BANDWIDTH * std::f64::consts::TAU.sqrt()))
}

/// Σ m_k φ_h(y - a_k) and its slope: q_h for the masses, q̂ for the shares of a sample.
fn blurred(masses: &[f64; 3], y: f64) -> (f64, f64) {
    let terms = || masses.iter().zip(kernels(y)).zip(PLACES).map(|((m, k), a)| (m * k, (a - y) / BANDWIDTH.powi(2)));
    (terms().map(|(k, _)| k).sum(), terms().map(|(k, slope)| k * slope).sum())
}

/// N τ_N of independent particles and its slope: Σ m_k φ_h² over q_h², less 1.
fn relative_variance(masses: &[f64; 3], y: f64) -> (f64, f64) {
    let (q, dq) = blurred(masses, y);
    let terms =
        || masses.iter().zip(kernels(y)).zip(PLACES).map(|((m, k), a)| (m * k * k, 2.0 * (a - y) / BANDWIDTH.powi(2)));
    let (square, slope): (f64, f64) = (terms().map(|(k, _)| k).sum(), terms().map(|(k, s)| k * s).sum());
    (square / (q * q) - 1.0, slope / (q * q) - 2.0 * square * dq / (q * q * q))
}

/// q̂(y) of a sample.
fn estimate(counts: &[usize; 3], y: f64) -> f64 {
    let n: usize = counts.iter().sum();
    blurred(&counts.map(|c| c as f64 / n as f64), y).0
}

/// q_h(y).
fn smoothed(y: f64) -> f64 {
    blurred(&MASSES, y).0
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
    let size = 1.0 / BANDWIDTH;
    for y in POINTS {
        let query = Matrix::from_rows(&[[y]]);
        // with the own term y has density q̂ given the sample; without it y is independent of the sample
        let (mut own, mut independent, mut corrected) = (0.0, 0.0, 0.0);
        for (counts, probability) in samples(Law::Independent, n) {
            let values = shipped(&counts).evaluate(&query);
            let (log_q, score) = (values.log_density[0], values.score[(0, 0)]);
            let share = probability * exp(log_q) / smoothed(y);
            own += share * score;
            independent += probability * score;
            corrected += share * values.debiased(n).1[(0, 0)];
        }
        let tied = |(counts, probability): &([usize; 3], f64)| {
            let values = shipped(counts).evaluate(&query);
            probability * exp(values.log_density[0]) / smoothed(y) * values.score[(0, 0)]
        };
        let urn: f64 = samples(Law::Urn, n).iter().map(tied).sum();
        let right = blurred(&MASSES, y).1 / smoothed(y);
        let compare =
            |what: &str, left: f64| Comparison::exact(format!("N = {n}, y = {y}, {what}"), left, right, size, 1e-12);
        out.comparisons.push(compare("score", own));
        out.comparisons.push(compare("score, an urn", urn));
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
    let all = samples(Law::Independent, n);
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
        let tau = |n: usize| relative_variance(&MASSES, y).0 / n as f64;
        let rest = |law: Law, n: usize, sign: f64| -> f64 {
            let mean: f64 = samples(law, n)
                .iter()
                .map(|(counts, p)| {
                    let value = estimate(counts, y);
                    if value > 0.0 { p * value / q * ln(value) } else { 0.0 }
                })
                .sum();
            mean - ln(q) - sign * 0.5 * tau(n)
        };
        let compare = |what: &str, law: Law, sign: f64| {
            let order = log2((rest(law, 40, sign) / rest(law, 80, sign)).abs());
            Comparison::exact(format!("y = {y}, {what}"), order, 2.0, 1.0, 0.15)
        };
        out.comparisons.push(compare("order of the rest in 1/N", Law::Independent, 1.0));
        let low = compare("order with the other sign", Law::Independent, -1.0);
        out.mutants.push(("log q̂ low by ½τ at the own point", low));
        out.mutants.push(("τ of independent particles for an urn", compare("order", Law::Urn, 1.0)));
    }
    out
}

/// That what is left after the leading term falls at least by 4 when N doubles, or is rounding of `size` for both N.
fn second_order(name: String, rest: [f64; 2], size: f64) -> Comparison {
    if rest.iter().all(|r| r.abs() <= 1e-10 * size) {
        return Comparison::exact(name, rest[0], 0.0, size, 1e-10);
    }
    Comparison::exact(name, log2((rest[0] / rest[1]).abs()).min(2.0), 2.0, 1.0, 0.05)
}

/// (b): E[w β̂ | y] = wβ_h + ½ r ∇(e w τ_N/r) + O(N⁻²), and ∇(e w τ/r) = (w/r) [(e' + e(e-1)) τ β + e ∇τ] with e' = de/dl.
fn bias_of_the_drift(f: &dyn Divergence) -> Outcome {
    let mut out = Outcome::default();
    let all = MANY.map(binomial);
    for y in [POINTS[1], POINTS[2]] {
        let (log_p, score_p) = target(y);
        let (q, dq) = blurred(&TWO, y);
        let (l, beta) = (log_p - ln(q), score_p - dq / q);
        let (e, bend) = (f.elasticity(l), (f.elasticity(l + 1e-4) - f.elasticity(l - 1e-4)) / 2e-4);
        let (tau, slope) = relative_variance(&TWO, y);
        let leading = 0.5 * f.weight(l) * ((bend + e * (e - 1.0)) * tau * beta + e * slope);
        let excess = all.each_ref().map(|all| {
            let term = |(shares, probability): &([f64; 3], f64)| {
                let (value, slope) = blurred(shares, y);
                probability * value / q * f.weight(log_p - ln(value)) * (score_p - slope / value)
            };
            all.iter().map(term).sum::<f64>() - f.weight(l) * beta
        });
        let rest = |share: f64| std::array::from_fn(|k| excess[k] - share * leading / MANY[k] as f64);
        let name = format!("{}, y = {y}, bias of the drift", f.name());
        let size = f.weight(l) * (beta.abs() + 1.0 / BANDWIDTH);
        let right: [f64; 2] = rest(1.0);
        out.comparisons.push(second_order(name.clone(), right, size));
        let unbiased = leading.abs() / MANY[0] as f64 <= 20.0 * right[0].abs().max(1e-10 * size);
        let wrong = second_order(name, rest(0.0), size).unless(unbiased);
        out.mutants.push(("an unbiased score, hence an unbiased drift", wrong));
    }
    out
}
