//! T34: symmetries from the score. Derivatives along affine flows, null spaces of densities whose symmetries are known, averages.

use crate::density::{Affine, Density, GaussianMixture, Pointwise, evaluate, evaluate_log_density};
use crate::divergence::{Divergence, ForwardKl, Hellinger, JensenShannon, ReverseKl};
use crate::linalg::{Matrix, matmul};
use crate::num::{cos, exp, ln, sin, sin_cos};
use crate::rng::{Purpose, normal_matrix};
use crate::symmetry::{AffineField, Settings, find};
use crate::verify::{Budget, Claim, Comparison, Hypothesis, Outcome, Size, Takes};
use rayon::prelude::*;

pub(super) const CLAIM: Claim = Claim {
    id: "T34",
    title: "a one-parameter group of affine maps keeps p iff ⟨∇log p, Ax + b⟩ + tr A = 0; they form a null space",
    takes: Takes::NoPair,
    hypotheses: &[
        Hypothesis::variant("(a) p ∈ W^{1,1}: no jump", "a density with a jump"),
        Hypothesis::variant("(a) for all times t", "one time in place of all"),
        Hypothesis::variant("(d) the group keeps p", "a group that does not keep p"),
        Hypothesis::not_run("(c) second moments", "without a covariance the bound is not defined"),
    ],
    check,
};

/// Points of a search, and of a comparison.
const POINTS: usize = 1200;
const FEW: usize = 20;
/// Steps of the differences in t: short, for the law has a kink where its radius is 0, and a point may be near.
const TIME: f64 = 2e-4;
/// Times at which a symmetry is followed.
const TIMES: [f64; 3] = [0.3, 1.0, 7.0];
/// Cells of a side of the square, and of polar coordinates.
const SIDE: usize = 400;
const RADII: usize = 600;
const ANGLES: usize = 64;

fn check(budget: &Budget) -> Vec<Outcome> {
    let instances = if budget.size == Size::Quick { 2 } else { 8 };
    let random = (0..instances).into_par_iter().map(|k| {
        let seed = budget.seed.wrapping_add(k);
        let mut out = rate(seed);
        for part in [algebra(seed), threefold(seed)] {
            out.comparisons.extend(part.comparisons);
            out.mutants.extend(part.mutants);
        }
        out
    });
    let mut all: Vec<Outcome> = random.collect();
    all.extend([square(), average()]);
    all
}

/// A law that depends on |y| alone, in the first `turning` coordinates of y = L⁻¹(x - c); a quartic in the others.
struct Round {
    frame: Affine,
    turning: usize,
}

impl Pointwise for Round {
    fn dim(&self) -> usize {
        self.frame.dim()
    }

    fn at(&self, x: &[f64], score: &mut [f64]) -> f64 {
        let mut y = x.to_vec();
        self.frame.standardise_rows(&mut y);
        let k = self.turning;
        let r = y[..k].iter().map(|v| v * v).sum::<f64>().sqrt();
        // -(r - 1.5)²/(2 · 0.6²)
        score[..k].iter_mut().zip(&y).for_each(|(s, v)| *s = -(r - 1.5) / 0.36 * v / r);
        let rest: f64 = y[k..].iter().zip(1..).map(|(v, j)| -v.powi(4) / 4.0 + 0.2 * f64::from(j) * v).sum();
        score[k..].iter_mut().zip(&y[k..]).zip(1..).for_each(|((s, v), j)| *s = -v.powi(3) + 0.2 * f64::from(j));
        self.frame.restore_score(score);
        rest - (r - 1.5).powi(2) / 0.72
    }
}

fn frame(seed: u64, d: usize) -> Affine {
    let g: Matrix = normal_matrix(seed, Purpose::Check, 340 + d as u64, d + 1, d);
    let factor = Matrix::from_fn(d, d, |i, j| match i.cmp(&j) {
        std::cmp::Ordering::Equal => exp(0.5 * g[(i, i)]),
        std::cmp::Ordering::Greater => 0.5 * g[(i, j)],
        std::cmp::Ordering::Less => 0.0,
    });
    Affine::from_parts(g.row(d).to_vec(), factor).expect("a triangular factor")
}

/// Points all over the mass of a law of this frame.
fn points(seed: u64, frame: &Affine, n: usize) -> Matrix {
    frame.restore(&normal_matrix::<f64>(seed, Purpose::Check, 341, n, frame.dim()).map(|z| 1.2 * z))
}

fn field(seed: u64, d: usize) -> AffineField {
    let g: Matrix = normal_matrix(seed, Purpose::Check, 342, d + 1, d);
    AffineField { matrix: g.slice_rows(0..d), shift: g.row(d).to_vec() }
}

/// log p at the points after time t.
fn moved(p: &dyn Density, v: &AffineField, t: f64, x: &Matrix) -> Vec<f64> {
    evaluate_log_density(p, &v.flow(t, x)).expect("a density of the check")
}

/// d/dt [log p(Φ_t x) + t tr A] at 0, by differences, against the residual.
fn rate(seed: u64) -> Outcome {
    let mut out = Outcome::default();
    for d in [2, 3] {
        let frame = frame(seed, d);
        // a radius of one coordinate would have its kink on a line
        let p = Round { frame: frame.clone(), turning: 2 };
        let (v, x) = (field(seed, d), points(seed, &frame, FEW));
        let score = evaluate(&p, &x).expect("a density of the check").score;
        let difference = |h: f64| -> Vec<f64> {
            let pairs = moved(&p, &v, h, &x).into_iter().zip(moved(&p, &v, -h, &x));
            pairs.map(|(a, b)| (a - b) / (2.0 * h) + v.trace()).collect()
        };
        let (coarse, fine) = (difference(TIME), difference(0.5 * TIME));
        let finest = difference(0.25 * TIME);
        let right = v.residual(&x, &score);
        let transposed = AffineField { matrix: v.matrix.transpose(), ..v.clone() }.residual(&x, &score);
        for i in 0..FEW {
            // two steps of Richardson's extrapolation
            let (a, b) = ((4.0 * fine[i] - coarse[i]) / 3.0, (4.0 * finest[i] - fine[i]) / 3.0);
            let left = (16.0 * b - a) / 15.0;
            let scale = right[i].abs().max(1.0);
            let compare = |right: f64| Comparison::exact(format!("d = {d}, point {i}"), left, right, scale, 1e-6);
            out.comparisons.push(compare(right[i]));
            out.mutants.push(("no trace", compare(right[i] - v.trace()).unless_true(right[i])));
            out.mutants.push(("A transposed", compare(transposed[i]).unless_true(right[i])));
        }
    }
    out
}

/// Largest |log p(Φ_t x) - log p(x)| over points and times; of p(x|y) too where the field leaves y still.
pub(super) fn drift(p: &dyn Density, v: &AffineField, x: &Matrix) -> f64 {
    let at = moved(p, v, 0.0, x);
    let gaps = TIMES.into_iter().flat_map(|t| moved(p, v, t, x).into_iter().zip(at.clone()));
    gaps.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Dimension, invariance, covariance and brackets of what is found.
fn algebra(seed: u64) -> Outcome {
    let mut out = Outcome::default();
    for (d, turning) in [(2, 2), (3, 3), (4, 4), (3, 2), (5, 3)] {
        let frame = frame(seed, d);
        let (mean, factor) = frame.parts();
        let covariance = matmul(&factor, &factor.transpose());
        let gaussian = GaussianMixture::new(&[1.0], Matrix::from_vec(1, d, mean.to_vec()), vec![covariance.clone()])
            .expect("a Gaussian");
        let round = Round { frame: frame.clone(), turning };
        let laws: [(&str, &dyn Density, usize); 2] = [("Gaussian", &gaussian, d), ("round", &round, turning)];
        let x = points(seed, &frame, POINTS);
        for (name, p, k) in laws {
            let found = find(p, &x, &Settings::default()).expect("enough points");
            let say = |what: &str| format!("{name}, d = {d}, {k} coordinates turn, {what}");
            let count = found.basis.len() as f64;
            let compare = |right: f64| Comparison::exact(say("dimension"), count, right, 1.0, 0.0);
            out.comparisons.push(compare((k * (k - 1) / 2) as f64));
            if k > 1 {
                out.mutants.push(("all of gl(d)", compare((d * d) as f64)));
                let all = (d * (d - 1) / 2) as f64;
                out.mutants.push(("so(d) for every density", compare(all).unless(k == d)));
            }
            let few = x.slice_rows(0..FEW);
            let still = |what: &str, gap: f64| Comparison::exact(say(what), gap, 0.0, 1.0, 1e-8);
            for (v, w) in found.basis.iter().zip(found.basis.iter().cycle().skip(1)) {
                out.comparisons.push(still("log p along the flow", drift(p, v, &few)));
                if name == "Gaussian" {
                    // A C + C Aᵀ = 0 and A μ + b = 0
                    let ac = matmul(&v.matrix, &covariance);
                    let worst = (0..d * d).map(|e| (ac[(e / d, e % d)] + ac[(e % d, e / d)]).abs()).fold(0.0, f64::max);
                    out.comparisons.push(still("A C + C Aᵀ", worst));
                    let at_mean = v.at(&Matrix::from_vec(1, d, mean.to_vec()));
                    out.comparisons.push(still("A μ + b", at_mean.as_slice().iter().fold(0.0, |m, v| v.abs().max(m))));
                    let skew = |i: usize, j: usize| 0.5 * (v.matrix[(i, j)] - v.matrix[(j, i)]);
                    let skew = AffineField { matrix: Matrix::from_fn(d, d, skew), shift: v.shift.clone() };
                    let stretched = (0..d * d)
                        .map(|e| (v.matrix[(e / d, e % d)] + v.matrix[(e % d, e / d)]).abs())
                        .fold(0.0, f64::max)
                        > 1e-3;
                    out.mutants.push((
                        "A skew, without C⁻¹",
                        still("log p along a skew field", drift(p, &skew, &few)).unless(!stretched),
                    ));
                }
                let score = evaluate(p, &few).expect("a density of the check").score;
                let bracket = v.bracket(w).residual(&few, &score).into_iter().fold(0.0f64, |m, r| m.max(r.abs()));
                out.comparisons.push(still("residual of a bracket", bracket));
            }
        }
    }
    out
}

/// Three equal modes on a circle: rotation by 2π/3 keeps them, the group of rotations does not, and the mean residual is 0.
fn threefold(seed: u64) -> Outcome {
    let place = |k: usize| 2.0 * std::f64::consts::TAU * k as f64 / 6.0;
    let means = Matrix::from_fn(3, 2, |k, j| 2.0 * if j == 0 { cos(place(k)) } else { sin(place(k)) });
    let covariances = vec![Matrix::from_rows(&[[0.3, 0.0], [0.0, 0.3]]); 3];
    let p = GaussianMixture::new(&[1.0; 3], means, covariances).expect("a mixture");
    let x = p.sample(POINTS, seed).expect("exact samples");
    let turn = AffineField { matrix: Matrix::from_rows(&[[0.0, -1.0], [1.0, 0.0]]), shift: vec![0.0; 2] };
    let score = evaluate(&p, &x).expect("a mixture").score;
    let residual = turn.residual(&x, &score);
    let square = (residual.iter().map(|r| r * r).sum::<f64>() / POINTS as f64).sqrt();
    let zero = |what: &str, left: f64| Comparison::exact(what, left, 0.0, 1.0, 1e-8);
    let third = moved(&p, &turn, std::f64::consts::TAU / 3.0, &x).into_iter().zip(p.log_density(&x));
    let gap = third.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let count = find(&p, &x, &Settings::default()).expect("enough points").basis.len() as f64;
    let mut out = Outcome::default();
    out.comparisons.push(zero("three modes, rotation by a third", gap));
    out.comparisons.push(zero("three modes, dimension", count));
    out.mutants.push(("one time in place of all", zero("three modes, residual", square)));
    let mean = residual.iter().sum::<f64>() / POINTS as f64;
    let error = square / (POINTS as f64).sqrt();
    out.comparisons.push(Comparison::monte_carlo("three modes, mean residual", mean, error, 0.0, 5.0));
    out.mutants.push(("a mean residual of 0", zero("three modes, log p along the flow", drift(&p, &turn, &x))));
    out
}

/// The uniform law of a square has score 0: the condition holds for a rotation, which does not keep it.
fn square() -> Outcome {
    let t = 0.4f64;
    let cell = |k: usize| (k as f64 + 0.5) / SIDE as f64 - 0.5;
    let inside = |x: f64, y: f64| {
        let (u, v) = (cos(t) * x - sin(t) * y, sin(t) * x + cos(t) * y);
        u.abs() <= 0.5 && v.abs() <= 0.5
    };
    let kept = (0..SIDE * SIDE).filter(|k| inside(cell(k / SIDE), cell(k % SIDE))).count() as f64;
    let kept = kept / (SIDE * SIDE) as f64;
    // the common part of a unit square and itself turned by t is an octagon of area 2/(1 + sin t + cos t); its border of length below 4
    // meets at most 4 · SIDE cells of each side
    let octagon = 2.0 / (1.0 + sin(t) + cos(t));
    let mut out = Outcome::default();
    let compare =
        |right: f64| Comparison::exact("uniform square, mass that stays", kept, right, 1.0, 8.0 / SIDE as f64);
    out.comparisons.push(compare(octagon));
    out.mutants.push(("a density with a jump", compare(1.0)));
    out
}

/// D_f(p‖q̄) ≤ D_f(p‖q) for the average q̄ of q over the group of a round p, by polar quadrature.
fn average() -> Outcome {
    let log_normal = |x: f64, y: f64, (a, b, s): (f64, f64, f64)| {
        -((x - a).powi(2) + (y - b).powi(2)) / (2.0 * s * s) - ln(std::f64::consts::TAU * s * s)
    };
    let (round, off) = ((0.0, 0.0, 1.0), (0.7, -0.4, 0.9));
    let divergences: [&dyn Divergence; 4] = [&ReverseKl, &ForwardKl, &Hellinger, &JensenShannon];
    let mut out = Outcome::default();
    for f in divergences {
        // D(p‖q) and D(p‖q̄): Σ over radii and angles of q f(p/q) r dr dθ
        let both = |p: (f64, f64, f64), q: (f64, f64, f64)| {
            let (mut plain, mut averaged) = (0.0, 0.0);
            for i in 0..RADII {
                let r = (i as f64 + 0.5) * 8.0 / RADII as f64;
                let cell = r * 8.0 / RADII as f64 * std::f64::consts::TAU / ANGLES as f64;
                let at: Vec<(f64, f64)> = (0..ANGLES)
                    .map(|k| {
                        let (s, c) = sin_cos(std::f64::consts::TAU * k as f64 / ANGLES as f64);
                        (log_normal(r * c, r * s, p), log_normal(r * c, r * s, q))
                    })
                    .collect();
                let mean = ln(at.iter().map(|l| exp(l.1)).sum::<f64>() / ANGLES as f64);
                plain += cell * at.iter().map(|(p, q)| exp(*q) * f.f(p - q)).sum::<f64>();
                averaged += cell * at.iter().map(|(p, _)| exp(mean) * f.f(p - mean)).sum::<f64>();
            }
            (plain, averaged)
        };
        let decide = |(plain, averaged): (f64, f64)| {
            Comparison::at_most(format!("{}: the average is no farther", f.name()), averaged, plain, 1.0, 1e-12)
        };
        let (plain, averaged) = both(round, off);
        out.comparisons.push(decide((plain, averaged)));
        // the average of q has only its radial error left, so that the gain is strict here
        out.comparisons.push(Comparison::decision(format!("{}: nearer", f.name()), averaged < 0.9 * plain));
        out.mutants.push(("a group that does not keep p", decide(both(off, off))));
    }
    out
}
