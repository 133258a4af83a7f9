//! T10: bias and variance of the kernel estimate of the score, its fixed points, isolated particles, and the corrected logarithm.

use crate::density::{Density, GaussianMixture};
use crate::estimate::Kde;
use crate::linalg::Matrix;
use crate::num::{Summary, exp};
use crate::rng::fill_normal;
use crate::verify::hypothesis::{integral, normal};
use crate::verify::pair::vector;
use crate::verify::{Budget, Claim, Comparison, Draw, Grid, Hypothesis, Ladder, Outcome, Takes, Vector, dot, resolve};
use rayon::prelude::*;
use std::f64::consts::PI;

mod logarithm;
mod particles;

pub(super) const CLAIM: Claim = Claim {
    id: "T10",
    title: "bias and variance of a kernel estimate of the score, and what they do to particles",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::instance("(a) q ∈ C⁵ near x", glued),
        Hypothesis::instance("(b) N h^d/log N → ∞", lonely),
        Hypothesis::variant(
            "(c) the target is blurred as q is, where p is to be at rest",
            "the unmatched drift rests at p",
        ),
        Hypothesis::variant(
            "(d) the own term is kept, where a particle is to return",
            "matching alone brings an isolated particle back",
        ),
        Hypothesis::elsewhere(
            "(e) the point is independent of the sample",
            "T16",
            "corrected as for an independent sample",
        ),
    ],
    check,
};

/// Independent batches behind a variance, and samples in each.
const BATCHES: usize = 400;
const SAMPLES: usize = 4000;

fn check(budget: &Budget) -> Vec<Outcome> {
    let draws = budget.draws(10, [3, 2], [60, 30]);
    let mut out: Vec<Outcome> = draws.par_iter().map(smoothing).collect();
    out.par_extend(draws.par_iter().map(logarithm::bias));
    out.par_extend(draws.par_iter().map(particles::isolated));
    // 400 batches of 4000 for each
    out.par_extend(budget.draws(10, [2, 1], [20, 10]).par_iter().map(variance));
    out.par_extend([0.3, 0.5].par_iter().map(|&h| particles::fixed_point(budget.seed, h)));
    out
}

/// (∇(Δq/q), ∇Δq/q) at x, from the components: Δφ = φ(|a|² - tr P), ∇Δφ = φ[a(|a|² - tr P) + 2Pa'], a = -P(x-m), a' = -Pa.
fn leading_terms(q: &GaussianMixture, x: &[f64]) -> (Vector, Vector) {
    let (mut total, mut slope, mut laplacian, mut third) = (0.0, [0.0; 2], 0.0, [0.0; 2]);
    for k in 0..q.components() {
        let (precision, mean) = (q.factors()[k].inverse(), q.means().row(k));
        let d = x.len();
        let times =
            |v: &[f64]| (0..d).map(|i| (0..d).map(|j| precision[(i, j)] * v[j]).sum::<f64>()).collect::<Vec<_>>();
        let z: Vec<f64> = x.iter().zip(mean).map(|(x, m)| x - m).collect();
        let pz = times(&z);
        let ppz = times(&pz);
        let exponent: f64 = z.iter().zip(&pz).map(|(z, p)| z * p).sum();
        let phi = q.weights()[k] * exp(-0.5 * (exponent + q.factors()[k].log_det()));
        let bend = pz.iter().map(|v| v * v).sum::<f64>() - (0..d).map(|i| precision[(i, i)]).sum::<f64>();
        total += phi;
        laplacian += phi * bend;
        for j in 0..d {
            slope[j] -= phi * pz[j];
            third[j] += phi * (2.0 * ppz[j] - pz[j] * bend);
        }
    }
    let plain = third.map(|t| t / total);
    (std::array::from_fn(|j| plain[j] - slope[j] * laplacian / (total * total)), plain)
}

fn score_of(density: &dyn Density, x: &[f64]) -> Vector {
    let (mut value, mut score) = ([0.0], Matrix::zeros(1, x.len()));
    density.evaluate_into(&Matrix::from_vec(1, x.len(), x.to_vec()), &mut value, &mut score);
    vector(score.row(0))
}

/// (a): the score of the smoothed density, less s_q, over h²/2; and what is left after the leading term, of order 4.
fn smoothing(draw: &Draw) -> Outcome {
    let both = |attempt: usize, factor: f64, plain: bool| {
        let (q, d): (&GaussianMixture, _) = (&draw.pair.q, draw.pair.dim());
        let mut normals = [0.0; 4];
        fill_normal(&mut draw.stream(attempt), &mut normals);
        let scale = draw.pair.finest();
        let x: Vec<f64> = (0..d).map(|j| q.means()[(0, j)] + scale * normals[j]).collect();
        let direction: Vector = std::array::from_fn(|j| if j < d { normals[2 + j] } else { 0.0 });
        let (theirs, other) = leading_terms(q, &x);
        let along = factor * dot(if plain { other } else { theirs }, direction);
        let size = (dot(theirs, theirs) * dot(direction, direction)).sqrt();
        let base = score_of(q, &x);
        let rise = |h: f64| {
            let smoothed = score_of(&*q.smoothed(h).expect("mixtures smooth in closed form"), &x);
            let terms = (dot(smoothed, smoothed).sqrt() + dot(base, base).sqrt() + 2.0 / scale)
                * dot(direction, direction).sqrt();
            (dot(smoothed, direction) - dot(base, direction), terms)
        };
        let quotient = Ladder::quotients(0.4 * scale, 2.0, |h| {
            let (value, terms) = rise(h);
            vec![(2.0 * value / (h * h), 2.0 * terms / (h * h))]
        });
        let rest = Ladder::quotients(0.2 * scale, 4.0, |h| {
            let (value, terms) = rise(h);
            vec![(value - 0.5 * h * h * along, terms)]
        });
        let name = |what: &str| format!("{}, {what}", draw.label);
        [
            Comparison::of_ladder(name("bias over h²/2"), &quotient[0], along, size, 1e-6),
            Comparison::of_ladder(name("bias less its leading term"), &rest[0], 0.0, size * scale * scale, 1e-10),
        ]
    };
    let comparisons = resolve(&[0, 1], |cases, attempt| {
        let pair = both(attempt, 1.0, false);
        cases.iter().map(|&k| pair[k].clone()).collect()
    });
    let mut out = Outcome { comparisons, mutants: Vec::new() };
    out.mutants.extend(both(0, 2.0, false).map(|c| ("h² for h²/2", c)));
    out.mutants.extend(both(0, 1.0, true).map(|c| ("∇Δq/q for ∇(Δq/q)", c)));
    out
}

/// (b): E|∇log q̂ - ∇log q_h|² over independent batches against E|B|²/(N a²); |z| ≤ 4 fails by chance with probability 6e-5.
fn variance(draw: &Draw) -> Outcome {
    let (q, d) = (&draw.pair.q, draw.pair.dim());
    let h = if d == 1 { 0.2 } else { 0.4 };
    let x = q.means().row(0).to_vec();
    let query = Matrix::from_vec(1, d, x.clone());
    let smoothed = q.smoothed_mixture(h).expect("a positive bandwidth");
    let (a, u) = (exp(smoothed.log_density(&query)[0]), score_of(&smoothed, &x));
    let squares: Vec<f64> = (0..BATCHES as u64)
        .into_par_iter()
        .map(|batch| {
            let samples =
                q.sample(SAMPLES, draw.seed.wrapping_add(draw.unit + batch)).expect("mixtures sample exactly");
            let s = vector(Kde::new(&samples, h).expect("a positive bandwidth").evaluate(&query).score.row(0));
            (0..2).map(|j| (s[j] - u[j]).powi(2)).sum()
        })
        .collect();
    let found = Summary::of(&squares);
    // E|B|² = ∫ |(y-x)/h² - u|² φ_h(y-x)² q(y) dy over eight bandwidths
    let ends: Vec<(f64, f64)> = x.iter().map(|x| (x - 8.0 * h, x + 8.0 * h)).collect();
    let grid = Grid::covering(&ends, h / 8.0);
    let log_q = q.log_density(&grid.nodes);
    let kernel = GaussianMixture::isotropic(&[1.0], query, h).expect("a positive bandwidth").log_density(&grid.nodes);
    let integral = |power: i32| {
        grid.integrate(|i| {
            let y = grid.nodes.row(i);
            let square: f64 = (0..d).map(|j| ((y[j] - x[j]) / (h * h) - u[j]).powi(2)).sum();
            square.powi(power) * exp(2.0 * kernel[i] + log_q[i])
        }) / (SAMPLES as f64 * a * a)
    };
    let against = |right: f64| {
        let instance = format!("{}, variance at h = {h}", draw.label);
        Comparison::monte_carlo(instance, found.mean, found.standard_error(), right, 4.0)
    };
    Outcome {
        comparisons: vec![against(integral(1))],
        mutants: vec![("order 1/(N h^d), that of log q̂", against(integral(0)))],
    }
}

/// q ~ e^(-x²/2) left of 0 and e^(-2x²) right of it: q'' jumps at 0, where the bias at h = 0.1 is of order h and not ½h² times a gradient,
/// which is 0 on either side.
fn glued() -> Comparison {
    let h = 0.1;
    let smoothed = |power: i32| {
        let side = |from: f64, to: f64, rate: f64| {
            integral(from, to, |z| normal(z) * (z / h).powi(power) * exp(-rate * h * h * z * z))
        };
        side(-9.0, 0.0, 0.5) + side(0.0, 9.0, 2.0)
    };
    Comparison::exact(
        "halves of two Gaussians, h = 0.1, at 0: bias of the score",
        smoothed(1) / smoothed(0),
        0.0,
        1.0,
        h * h,
    )
}

/// One particle, h = 0.1, q = N(0, 1) at 0, where ∇log q_h = 0: E|∇log q̂|² = 1/h⁴ against the formula of many particles.
fn lonely() -> Comparison {
    let h = 0.1;
    let square = |x: f64| {
        let kde = Kde::new(&Matrix::filled(1, 1, x), h).expect("a positive bandwidth");
        kde.evaluate(&Matrix::filled(1, 1, 0.0)).score[(0, 0)].powi(2)
    };
    let left = integral(-9.0, 9.0, |x| normal(x) * square(x));
    let right = 1.0 / (2.0 * (4.0 * PI).sqrt() * h.powi(3) * normal(0.0));
    Comparison::exact("N = 1, h = 0.1, N(0, 1) at 0: mean square of the score's error", left, right, right, 0.1)
}
