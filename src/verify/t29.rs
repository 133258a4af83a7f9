//! T29: saddle-free Newton steps of a cloud: descent, multipliers, an exact recursion, saddles of any depth, and the second-order certificate.

use super::cloud::{moved, pull};
use super::{Budget, Claim, Comparison, Hypothesis, Ladder, Outcome, Size, Takes};
use crate::linalg::{Lanczos, Matrix};
use crate::num::{cos, sin};
use crate::rng::{Purpose, normal_matrix};
use crate::velocity::{Functional, Mmd, Newton, NewtonSettings, Pull, QuarticQuadratic, Solver, VarianceCosine};
use std::f64::consts::PI;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T29",
    title: "x - η(H² + ε)^(-1/2)v leaves saddles of any depth alike; λ_min ≥ α bounds F from below nearby",
    takes: Takes::NoPair,
    hypotheses: &[
        Hypothesis::variant("(a) the cubic term is counted, or η is small", "descent without the cubic term"),
        Hypothesis::variant("(d) H ≥ α > 0", "the bound at the saddle"),
        Hypothesis::variant("(d) off the symmetries of F", "the degenerate direction kept"),
        Hypothesis::not_run(
            "F is three times differentiable, H bounded and symmetric",
            "Taylor's formula of the proof is not defined otherwise",
        ),
    ],
    check,
};

/// Particles.
const COUNT: usize = 20;

fn check(budget: &Budget) -> Vec<Outcome> {
    let many = if budget.size == Size::Quick { 1000 } else { 10_000 };
    vec![descent(budget.seed), multipliers(), recursion(), depth(), spectra(), certificate(budget.seed, many)]
}

fn newton(functional: impl Functional + 'static, eta: f64, epsilon: f64) -> Newton {
    let settings = NewtonSettings { eta, epsilon, ..Default::default() };
    Newton { functional: Arc::new(functional), settings, solver: Solver::Dense, guarded: false }
}

/// The displacement of one step.
fn step(v: &Newton, x: &Matrix) -> Matrix {
    match pull(v, x) {
        Pull::Displacement { by, .. } => by,
        other => unreachable!("{:?} where a step was asked for", other.kind()),
    }
}

/// (1/N) Σ a_i·b_i.
fn inner(a: &Matrix, b: &Matrix) -> f64 {
    a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| a * b).sum::<f64>() / a.rows() as f64
}

/// Normal particles on the line with mean exactly m.
fn cloud(seed: u64, unit: u64, m: f64) -> Matrix {
    let z: Matrix = normal_matrix(seed, Purpose::Check, (29 << 50) | unit, COUNT, 1);
    let mean = z.column_means()[0];
    z.map(|z| z - mean + m)
}

/// Two atoms at ±½, the minimum of the quartic-quadratic interaction.
fn atoms() -> Matrix {
    Matrix::from_fn(COUNT, 1, |i, _| if i % 2 == 0 { 0.5 } else { -0.5 })
}

/// (a) on F = (a/2) Var + β cos πm, whose third derivative is at most L = βπ³.
fn descent(seed: u64) -> Outcome {
    let mut out = Outcome::default();
    let (beta, epsilon) = (1.0, 0.01);
    let functional = VarianceCosine { a: 1.0, beta };
    for k in 0..24 {
        for eta in [0.5, 1.0] {
            let m = 0.618 + 0.137 * f64::from(k);
            let x = cloud(seed, u64::from(k as u32), m);
            let by = step(&newton(functional, eta, epsilon), &x);
            let gained = -inner(&functional.gradient(&x), &by) / eta;
            let plain = functional.value(&x) - eta * (1.0 - 0.5 * eta) * gained;
            let cubic = beta * PI.powi(3) * eta.powi(3) / 6.0 * gained.powi(3).sqrt() / epsilon.sqrt().powi(3).sqrt();
            let after = functional.value(&moved(&x, 1.0, &by));
            let name = |what: &str| format!("mean {m:.3}, η = {eta}, {what}");
            out.comparisons.push(Comparison::decision(name("descent"), after <= plain + cubic + 1e-12));
            // past the inflection a whole step goes over the minimum
            if k == 0 && eta == 1.0 {
                let always = Comparison::at_most(name("F after the step and its bound"), after, plain, 1.0, 0.0);
                out.mutants.push(("descent without the cubic term", always));
            }
        }
    }
    out
}

/// (b): what one step makes of a small deviation along an eigenvector.
fn multipliers() -> Outcome {
    let mut out = Outcome::default();
    let small = 1e-5;
    let wave = |i: usize| if i % 4 < 2 { 1.0 } else { -1.0 };
    let flat = Matrix::zeros(COUNT, 1);
    for epsilon in [0.1f64, 0.01] {
        for eta in [0.5, 1.0] {
            let cases: [(&str, Newton, &Matrix, f64); 3] = [
                ("saddle of the interaction", newton(QuarticQuadratic, eta, epsilon), &flat, -1.0),
                ("minimum of the interaction", newton(QuarticQuadratic, eta, epsilon), &atoms(), 0.5),
                ("variance", newton(VarianceCosine { a: 0.7, beta: 1.0 }, eta, epsilon), &flat, 0.7),
            ];
            for (what, newton, rest, curvature) in cases {
                let away = Matrix::from_fn(COUNT, 1, |i, _| rest[(i, 0)] + small * wave(i));
                let by = step(&newton, &away);
                let left = 1.0 + (0..COUNT).map(|i| wave(i) * by[(i, 0)]).sum::<f64>() / (small * COUNT as f64);
                let truth = 1.0 - eta * curvature / (curvature * curvature + epsilon).sqrt();
                let against = |right: f64| {
                    let name = format!("{what}, η = {eta}, ε = {epsilon}, multiplier");
                    Comparison::exact(name, left, right, 1.0, 1e-6)
                };
                out.comparisons.push(against(truth));
                out.mutants.push(("Newton's 1 - η at saddles too", against(1.0 - eta).unless_true(truth)));
                let descent = against(1.0 - eta * curvature).unless_true(truth);
                out.mutants.push(("the multiplier of gradient descent", descent));
            }
        }
    }
    out
}

/// The mean after a step of (c); `count` divides H and v in a false variant.
fn scalar(m: f64, beta: f64, eta: f64, epsilon: f64, count: f64) -> f64 {
    let (slope, curvature) = (beta * PI * sin(PI * m) / count, beta * PI * PI * cos(PI * m) / count);
    m + eta * slope / (curvature * curvature + epsilon).sqrt()
}

/// (c): every particle over 30 steps.
fn recursion() -> Outcome {
    let mut out = Outcome::default();
    for (a, beta, eta, epsilon) in [(1.0, 1.0, 0.5, 1e-2), (0.7, 0.4, 0.3, 0.1)] {
        let v = newton(VarianceCosine { a, beta }, eta, epsilon);
        let start = cloud(1, 1 << 20, 1e-3);
        let end = (0..30).fold(start.clone(), |x, _| moved(&x, 1.0, &step(&v, &x)));
        let law = |count: f64| {
            let m = (0..30).fold(1e-3, |m, _| scalar(m, beta, eta, epsilon, count));
            let curvature: f64 = a / count;
            m + (1.0 - eta * curvature / (curvature * curvature + epsilon).sqrt()).powi(30) * (start[(0, 0)] - 1e-3)
        };
        let truth = law(1.0);
        let against = |right: f64| {
            Comparison::exact(format!("a = {a}, β = {beta}, particle 1 after 30 steps"), end[(0, 0)], right, 1.0, 1e-9)
        };
        out.comparisons.push(against(truth));
        let euclidean = against(law(COUNT as f64)).unless_true(truth);
        out.mutants.push(("the Hessian of F_N without its factor N", euclidean));
    }
    out
}

/// (b): ε = δ²/100, δ = βπ²: the same number of steps from m = 1e-3 to |m - 1| < 0.1 at every depth β.
fn depth() -> Outcome {
    let count = |newtonian: bool, beta: f64| {
        let functional = VarianceCosine { a: 1.0, beta };
        let v = newton(functional, 0.5, (beta * PI * PI / 10.0).powi(2));
        let (mut x, mut steps) = (cloud(1, 1 << 21, 1e-3).slice_rows(0..4), 0);
        let shift = x.column_means()[0] - 1e-3;
        x.as_mut_slice().iter_mut().for_each(|x| *x -= shift);
        while (x.column_means()[0] - 1.0).abs() >= 0.1 && steps < 2000 {
            let by = if newtonian { step(&v, &x) } else { functional.gradient(&x).map(|v| -0.1 * v) };
            (x, steps) = (moved(&x, 1.0, &by), steps + 1);
        }
        f64::from(steps)
    };
    let mut out = Outcome::default();
    let first = count(true, 1.0);
    for beta in [0.1, 0.01] {
        let against =
            |left: f64, right: f64| Comparison::exact(format!("steps at β = {beta} and at 1"), left, right, right, 0.0);
        out.comparisons.push(against(count(true, beta), first));
        out.mutants.push(("gradient descent leaves at one rate", against(count(false, beta), count(false, 1.0))));
    }
    out
}

/// Spectra by Lanczos' method, as a certificate would find them: from a start without translations at the interaction's minimum.
fn spectra() -> Outcome {
    let start = cloud(1, 1 << 22, 0.0);
    let lowest = |functional: &dyn Functional, x: &Matrix, start: &Matrix| {
        let product = |u: &[f64]| functional.hessian(x, &Matrix::from_vec(x.rows(), x.cols(), u.to_vec())).into_vec();
        Lanczos::new(start.as_slice(), 30, product).expect("a start").values()[0]
    };
    let flat = Matrix::zeros(COUNT, 1);
    let cosine = VarianceCosine { a: 0.7, beta: 0.4 };
    let found = [
        ("interaction, minimum", lowest(&QuarticQuadratic, &atoms(), &start), 0.5),
        ("interaction, saddle", lowest(&QuarticQuadratic, &flat, &start), -1.0),
        ("variance and cosine, saddle", lowest(&cosine, &flat, &cloud(1, 1 << 22, 0.3)), -0.4 * PI * PI),
        ("variance and cosine, minimum", lowest(&cosine, &flat.map(|_| 1.0), &cloud(1, 1 << 22, 0.3)), 0.7),
        // all mass at 0 against atoms at ±1: k''(1) - k''(0) with k'' = (z² - 1)e^{-z²/2}
        (
            "MMD, far from its minimum",
            {
                let samples = Matrix::from_vec(2, 1, vec![-1.0, 1.0]);
                lowest(&Mmd::gaussian(samples, 1.0), &flat, &start)
            },
            -1.0,
        ),
    ];
    let compare = |(name, left, right): (&str, f64, f64)| {
        Comparison::exact(format!("{name}, smallest eigenvalue"), left, right, 1.0, 1e-9)
    };
    Outcome { comparisons: found.map(compare).into(), mutants: Vec::new() }
}

/// A random field u on the cloud with sup|u| = 1, without its mean where `centred`.
fn field(seed: u64, unit: u64, centred: bool) -> Matrix {
    let z: Matrix = normal_matrix(seed, Purpose::Check, (29 << 50) | (1 << 30) | unit, COUNT, 1);
    let mean = if centred { z.column_means()[0] } else { 0.0 };
    let u = z.map(|z| z - mean);
    let largest = u.as_slice().iter().fold(0.0f64, |a, u| a.max(u.abs()));
    u.map(|u| u / largest)
}

/// (d) at the interaction's minimum: α = ½ off translations, C = 3 for r ≤ 1.
fn certificate(seed: u64, many: u64) -> Outcome {
    let (f, alpha, c) = (QuarticQuadratic, 0.5, 3.0);
    let above = |rest: &Matrix, u: &Matrix, r: f64| {
        let gained = f.value(&moved(rest, r, u)) - f.value(rest);
        ((0.5 * alpha - c * r) * r * r * inner(u, u), gained)
    };
    let keeps = |(bound, gained): (f64, f64)| gained >= bound - 1e-15;
    let minimum = atoms();
    let radius = |k: u64| 1e-3 + 0.08 * (k % 97) as f64 / 97.0;
    let kept = (0..many).filter(|&k| keeps(above(&minimum, &field(seed, k, true), radius(k)))).count();
    let mut out = Outcome::default();
    let name = format!("{kept} of {many} maps keep F above (α/2 - Cr)|T - id|²");
    out.comparisons.push(Comparison::decision(name, kept as u64 == many));
    let (flat, shift) = (Matrix::zeros(COUNT, 1), Matrix::filled(COUNT, 1, 1.0));
    for (what, place, rest, u) in [
        ("the bound at the saddle", "at the saddle", &flat, &field(seed, 0, true)),
        ("the degenerate direction kept", "translation", &minimum, &shift),
    ] {
        let (bound, gained) = above(rest, u, 1e-3);
        let name = format!("{place}: (α/2 - Cr)|u|² ≤ F - F₀");
        out.mutants.push((what, Comparison::at_most(name, bound, gained, 1.0, 1e-15)));
    }
    for k in 0..4 {
        let u = field(seed, (1 << 25) | k, true);
        let ladder = Ladder::quotients(0.1, 1.0, |r| {
            let (moved, rest) = (f.value(&moved(&minimum, r, &u)), f.value(&minimum));
            vec![((moved - rest) / (r * r), (moved.abs() + rest.abs()) / (r * r))]
        });
        let half = 0.5 * inner(&u, &f.hessian(&minimum, &u));
        let against = |right: f64| {
            Comparison::of_ladder(format!("field {k}, remainder of order r"), &ladder[0], right, half, 1e-4)
        };
        out.comparisons.push(against(half));
        out.mutants.push(("⟨u, Hu⟩ without its half", against(2.0 * half)));
    }
    out
}
