//! T27: Riesz kernels on the circle: dissipation, Coulomb particles, rates of modes, the spectrum at p, and the exponents of slow decay.

use super::cloud::{runge_kutta, velocity};
use super::{Budget, Claim, Comparison, Hypothesis, Outcome, Size, Takes};
use crate::density::{Density, Domain, Harmonic, TorusDensity};
use crate::linalg::{Lu, Matrix, SymmetricEigen, matmul};
use crate::num::{cos, exp, ln, ln_1p, powf, sin, sin_cos};
use crate::rng::{Purpose, fill_uniform, stream};
use crate::velocity::Riesz;
use rayon::prelude::*;
use std::f64::consts::{PI, TAU};
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T27",
    title: "with Riesz kernels KL falls at KSD²; Coulomb at the lowest eigenvalue, which is at most min p; smooth kernels slowly",
    takes: Takes::NoPair,
    hypotheses: &[
        Hypothesis::variant("(c) p is uniform, for its rate", "the slowest rate is that of the uniform law"),
        Hypothesis::variant(
            "(c) infinitely many particles, for the rates of the wave equation",
            "the rate of the continuum at N particles",
        ),
        Hypothesis::not_run("p is positive and smooth", "the field contains ∇log p, which does not exist where p = 0"),
        Hypothesis::not_run(
            "(b) all particles within one turn",
            "on the circle the order of the numbers means nothing otherwise",
        ),
    ],
    check,
};

/// Nodes of the circle.
const NODES: usize = 256;
/// Largest stretch of a step of the differences.
const STRETCH: f64 = 0.02;
/// Waves of a basis.
const WAVES: usize = 32;

fn check(budget: &Budget) -> Vec<Outcome> {
    let draws = if budget.size == Size::Quick { 2 } else { 20 };
    let jobs: Vec<(u64, u32)> = (0..draws).flat_map(|draw| [1, 2, 3].map(|order| (draw, order))).collect();
    let mut out: Vec<Outcome> = jobs.par_iter().map(|&(draw, order)| dissipation(budget.seed, draw, order)).collect();
    out.par_extend([0.3, 0.5, 0.7].par_iter().map(|&height| spectrum(height)));
    out.extend([coulomb(), modes(), slow_decay()]);
    out
}

/// log p~ = a cos 2πx + b sin 4πx.
fn target(a: f64, b: f64) -> Arc<TorusDensity> {
    let term = |n, cosine, sine| Harmonic { frequency: vec![n], cosine, sine };
    let p = TorusDensity::new(vec![1.0], vec![term(1, a, 0.0), term(2, 0.0, b)]);
    Arc::new(p.expect("finite coefficients"))
}

fn riesz(p: Arc<TorusDensity>, order: u32) -> Riesz {
    Riesz::new(p, &Domain::Torus(vec![1.0]), f64::from(order), 1).expect("an order with a closed kernel")
}

fn column(x: Vec<f64>) -> Matrix {
    Matrix::from_vec(x.len(), 1, x)
}

fn mean(n: usize, g: impl Fn(usize) -> f64) -> f64 {
    (0..n).map(g).sum::<f64>() / n as f64
}

/// The derivative of a periodic function on equidistant nodes of [0, 1), or the antiderivative of its part of mean 0.
fn spectral(g: &[f64], derivative: bool) -> Vec<f64> {
    let n = g.len();
    let wave: Vec<(f64, f64)> = (0..n).map(|i| sin_cos(TAU * i as f64 / n as f64)).collect();
    let mut out = vec![0.0; n];
    for k in 1..n / 2 {
        let (s, c) = (0..n).fold((0.0, 0.0), |(s, c), i| {
            let (sin, cos) = wave[i * k % n];
            (s + g[i] * sin, c + g[i] * cos)
        });
        let frequency = TAU * k as f64;
        let factor = 2.0 / n as f64 * if derivative { frequency } else { -1.0 / frequency };
        out.iter_mut().enumerate().for_each(|(i, o)| {
            let (sin, cos) = wave[i * k % n];
            *o += factor * (s * cos - c * sin);
        });
    }
    out
}

/// (a): ρ is the law of x(u) = u + Σ c_m sin(2πmu + φ_m)/(2πm), u uniform, so that equidistant u are a quadrature with equal weights: the
/// shipped field of that cloud pushes ρ exactly, and KSD² comes from antiderivatives of ∇ρ - ρ ∇ log p, without Fourier sums of kernels.
fn dissipation(seed: u64, draw: u64, order: u32) -> Outcome {
    let mut random = [0.0f64; 8];
    fill_uniform(&mut stream(seed, Purpose::Check, (27 << 50) | (draw << 8)), &mut random);
    let p = target(0.3 + 0.5 * random[0], 0.4 * (random[1] - 0.5));
    let place = |u: f64| {
        (0..3).fold((u, 1.0), |(x, slope), m| {
            let (sin, cos) = sin_cos(TAU * ((m + 1) as f64 * u + random[2 + m]));
            let c = 0.25 * random[5 + m];
            (x + c * sin / (TAU * (m + 1) as f64), slope + c * cos)
        })
    };
    let (x, stretch): (Vec<f64>, Vec<f64>) = (0..NODES).map(|i| place(i as f64 / NODES as f64)).unzip();
    let v = velocity(&riesz(Arc::clone(&p), order), &column(x.clone())).into_vec();
    let slope = spectral(&v, true);
    let log_p = |x: f64| evaluate(&p, x).0;
    let kl = |h: f64| {
        mean(NODES, |i| -ln(stretch[i]) - ln_1p(h * slope[i] / stretch[i]) - log_p((x[i] + h * v[i]).rem_euclid(1.0)))
    };
    let h = STRETCH / (0..NODES).map(|i| (slope[i] / stretch[i]).abs()).fold(f64::MIN_POSITIVE, f64::max);
    let difference = |h: f64| (kl(h) - kl(-h)) / (2.0 * h);
    let left = (4.0 * difference(0.5 * h) - difference(h)) / 3.0;
    let score: Vec<f64> = x.iter().map(|x| evaluate(&p, x.rem_euclid(1.0)).1).collect();
    // the norm in H^-order of ρ' - ρ s, or of ρ' alone, and with ρ dx = du
    let norm = |order: u32, scored: f64| {
        let lost = mean(NODES, |i| scored * score[i]);
        let mass: Vec<f64> = (0..NODES).map(|i| scored * score[i] - lost * stretch[i]).collect();
        let mut u: Vec<f64> = spectral(&mass, false).iter().zip(&stretch).map(|(m, slope)| 1.0 / slope - m).collect();
        for times in 1..=order {
            let level = mean(NODES, |i| u[i] * stretch[i]);
            u.iter_mut().for_each(|u| *u -= level);
            if times < order {
                let density: Vec<f64> = u.iter().zip(&stretch).map(|(u, slope)| u * slope).collect();
                u = spectral(&density, false);
            }
        }
        mean(NODES, |i| u[i] * u[i] * stretch[i])
    };
    let truth = -norm(order, 1.0);
    // a corner of K costs 1/(12 N²) of its jump; beyond, only the differences count
    let tolerance = if order == 1 { 1e-4 } else { 1e-6 };
    let against = |right: f64| {
        let name = format!("draw {draw}, order {order}, dissipation");
        Comparison::exact(name, left, right, truth.abs(), tolerance)
    };
    let mutants = vec![
        ("KSD² without the score of p", against(-norm(order, 0.0)).unless_true(truth)),
        ("KSD² in the norm of the next order", against(-norm(order + 1, 1.0)).unless_true(truth)),
    ];
    Outcome { comparisons: vec![against(truth)], mutants }
}

/// log p~ and its derivative.
fn evaluate(p: &TorusDensity, x: f64) -> (f64, f64) {
    let at = crate::density::evaluate(p as &dyn Density, &column(vec![x])).expect("one point of the circle");
    (at.log_density[0], at.score[(0, 0)])
}

/// (b): Coulomb particles towards the uniform law, by Runge–Kutta's steps of the shipped field against straight lines.
fn coulomb() -> Outcome {
    let mut out = Outcome::default();
    let v = riesz(target(0.0, 0.0), 1);
    for n in [2usize, 7, 20] {
        let mut x = vec![0.0; n];
        fill_uniform(&mut stream(1, Purpose::Check, (27 << 50) | (1 << 40) | n as u64), &mut x);
        x.iter_mut().for_each(|x| *x = 0.3 + 0.4 * *x);
        x.sort_by(f64::total_cmp);
        let centre = mean(n, |i| x[i]);
        let (h, steps) = (0.02, 100);
        let end = runge_kutta(&v, &column(x.clone()), h, steps);
        let spaced = |i: usize| (2 * i + 1) as f64 / (2 * n) as f64 - 0.5;
        let law = |rate: f64, place: &dyn Fn(usize) -> f64| {
            let rest = centre + place(0);
            rest + (x[0] - rest) * exp(-rate * h * steps as f64)
        };
        let truth = law(1.0, &spaced);
        let against = |what: &str, right: f64| {
            Comparison::exact(format!("N = {n}, Coulomb, {what}"), end[(0, 0)], right, 1.0, 1e-8)
        };
        out.comparisons.push(against("first particle", truth));
        let own = law(1.0 - 1.0 / n as f64, &spaced);
        out.mutants.push(("the own term left out of the rate", against("(N - 1)/N", own).unless_true(truth)));
        let ends = law(1.0, &|i| i as f64 / (n - 1) as f64 - 0.5);
        out.mutants.push(("particles at the ends of equal cells", against("ends", ends).unless_true(truth)));
    }
    out
}

/// (c): the rate of wave m of N equidistant particles, by differences of the shipped field.
fn modes() -> Outcome {
    let mut out = Outcome::default();
    let n = 9usize;
    for order in [1u32, 2, 3] {
        let v = riesz(target(0.0, 0.0), order);
        for m in [1usize, 2, 4] {
            let wave = |i: usize| sin(TAU * (m * i) as f64 / n as f64);
            let field = |e: f64| {
                velocity(&v, &column((0..n).map(|i| (i as f64 / n as f64 + e * wave(i)).rem_euclid(1.0)).collect()))
            };
            let (e, size) = (2e-6, mean(n, |i| wave(i) * wave(i)));
            let (up, down) = (field(e), field(-e));
            let left = -mean(n, |i| wave(i) * (up[(i, 0)] - down[(i, 0)]) / (2.0 * e)) / size;
            let alias = |shift: i64| {
                let one = |j: i64| (j * n as i64 + shift).unsigned_abs() as f64;
                let terms = (-4000..=4000i64).map(one).filter(|k| *k > 0.0);
                terms.map(|k| powf(TAU * k, 2.0 - 2.0 * f64::from(order))).sum::<f64>()
            };
            let truth = match order {
                // both sums diverge and their difference is that of n = 0
                1 => 1.0,
                2 => (1.0 / sin(PI * m as f64 / n as f64).powi(2) - 1.0 / 3.0) / (4 * n * n) as f64,
                _ => alias(m as i64) - alias(0),
            };
            let against = |right: f64| {
                Comparison::exact(format!("order {order}, N = 9, wave {m}"), left, right, truth.abs(), 1e-7)
            };
            out.comparisons.push(against(truth));
            let continuum = powf(TAU * m as f64, 2.0 - 2.0 * f64::from(order));
            out.mutants.push(("the rate of the continuum at N particles", against(continuum).unless_true(truth)));
        }
    }
    out
}

/// (d) for p ∝ exp(a cos 2πx) and the Coulomb kernel: the slowest rate of particles at rest at p against the smallest eigenvalue by Galerkin's method.
fn spectrum(height: f64) -> Outcome {
    let log_p = |x: f64| height * cos(TAU * x);
    let z = mean(NODES, |i| exp(log_p(i as f64 / NODES as f64)));
    let p: Vec<f64> = (0..NODES).map(|i| exp(log_p(i as f64 / NODES as f64)) / z).collect();
    let least = exp(-height) / z;
    let lowest = galerkin(&p);
    // the error falls like 1/N²
    let (coarse, fine) = (particles(height, &p, 0.8 * least, 48), particles(height, &p, 0.8 * least, 96));
    let left = (4.0 * fine - coarse) / 3.0;
    let against = |what: &str, right: f64| {
        Comparison::exact(format!("p ~ exp({height} cos 2πx), {what}"), left, right, lowest, 2e-3)
    };
    Outcome {
        comparisons: vec![
            against("slowest rate", lowest),
            Comparison::decision(format!("p ~ exp({height} cos 2πx), eigenvalue at most min p"), lowest <= least),
        ],
        mutants: vec![
            ("the slowest rate is min p", against("min p", least).unless_true(lowest)),
            ("the slowest rate is that of the uniform law", against("1", 1.0).unless_true(lowest)),
        ],
    }
}

/// The smallest eigenvalue of h ↦ -(1/p)(p K*(p h'))' in L²(p), E_p h = 0: ‖p h'‖² in H^-1 over ‖h‖² on waves.
fn galerkin(p: &[f64]) -> f64 {
    let n = p.len();
    let point = |i: usize| TAU * i as f64 / n as f64;
    let centred = |h: Vec<f64>| {
        let level = mean(n, |i| p[i] * h[i]);
        h.into_iter().map(|h| h - level).collect::<Vec<f64>>()
    };
    let basis: Vec<Vec<f64>> = (2..2 * WAVES + 2)
        .map(|m| {
            let phase = |i: usize| (m / 2) as f64 * point(i) + if m % 2 == 0 { 0.0 } else { 0.5 * PI };
            centred((0..n).map(|i| sin(phase(i))).collect())
        })
        .collect();
    let image = |h: &Vec<f64>| {
        let flux: Vec<f64> = spectral(h, true).iter().zip(p).map(|(slope, p)| slope * p).collect();
        spectral(&flux, false)
    };
    let images: Vec<Vec<f64>> = basis.iter().map(image).collect();
    let size = basis.len();
    let mass = Matrix::from_fn(size, size, |a, b| mean(n, |i| p[i] * basis[a][i] * basis[b][i]));
    let stiffness = Matrix::from_fn(size, size, |a, b| mean(n, |i| images[a][i] * images[b][i]));
    let root = SymmetricEigen::of(&mass, "mass").expect("a symmetric matrix").map(|m| 1.0 / m.sqrt());
    let reduced = matmul(&matmul(&root, &stiffness), &root);
    let symmetric = Matrix::from_fn(size, size, |i, j| 0.5 * (reduced[(i, j)] + reduced[(j, i)]));
    SymmetricEigen::of(&symmetric, "stiffness").expect("a symmetric matrix").values[0]
}

/// The eigenvalue next to `shift` of minus the Jacobian of the shipped field at N quantiles of p, by inverse iteration.
fn particles(height: f64, p: &[f64], shift: f64, n: usize) -> f64 {
    let rest = spectral(p, false);
    let nodes = p.len();
    // P(x) - x is periodic: by its cosines and sines at any x
    let waves: Vec<(f64, f64)> = (1..=WAVES)
        .map(|k| {
            let phase = |i: usize| TAU * (k * i % nodes) as f64 / nodes as f64;
            (2.0 * mean(nodes, |i| rest[i] * sin(phase(i))), 2.0 * mean(nodes, |i| rest[i] * cos(phase(i))))
        })
        .collect();
    let mass = |x: f64| {
        waves.iter().enumerate().fold(x, |sum, (k, (s, c))| {
            let (sin, cos) = sin_cos(TAU * (k + 1) as f64 * x);
            sum + s * sin + c * cos
        })
    };
    let quantile = |u: f64| {
        let (mut low, mut high) = (-0.5, 1.5);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if mass(middle) < u { low = middle } else { high = middle }
        }
        0.5 * (low + high)
    };
    let at_rest: Vec<f64> = (0..n).map(|i| quantile((i as f64 + 0.5) / n as f64)).collect();
    let v = riesz(target(height, 0.0), 1);
    let e = 1e-6;
    let moved = |j: usize, by: f64| {
        let mut x = at_rest.clone();
        x[j] += by;
        velocity(&v, &column(x.iter().map(|x| x.rem_euclid(1.0)).collect()))
    };
    let columns: Vec<(Matrix, Matrix)> = (0..n).map(|j| (moved(j, e), moved(j, -e))).collect();
    let shifted = Matrix::from_fn(n, n, |i, j| {
        (columns[j].1[(i, 0)] - columns[j].0[(i, 0)]) / (2.0 * e) - if i == j { shift } else { 0.0 }
    });
    let lu = Lu::factor(&shifted);
    let mut y: Vec<f64> = (0..n).map(|i| sin(1.0 + 7.3 * i as f64)).collect();
    let mut inverse = 0.0;
    for _ in 0..200 {
        let z = lu.solve(&y).expect("a shift that is no eigenvalue");
        inverse = mean(n, |i| y[i] * z[i]) / mean(n, |i| y[i] * y[i]);
        let size = mean(n, |i| z[i] * z[i]).sqrt();
        y = z.iter().map(|z| z / size).collect();
    }
    shift + 1.0 / inverse
}

/// (e): the exponent of ‖h_t‖ for the uniform law, |ĥ_n| = n^-a, between two late times.
fn slow_decay() -> Outcome {
    let mut out = Outcome::default();
    for (s, a) in [(1.5, 1.5), (1.5, 3.0), (2.0, 1.5), (2.0, 2.0), (3.0, 2.0)] {
        let decay = 2.0 * s - 2.0;
        // waves around 100 of 20,000 are those that matter
        let time = powf(TAU * 100.0, decay);
        let log_norm = |t: f64| {
            let term = |n: f64| powf(n, -2.0 * a) * exp(-2.0 * t * powf(TAU * n, -decay));
            0.5 * ln((1..=20_000).map(|n| term(f64::from(n))).sum::<f64>())
        };
        let left = (log_norm(2.0 * time) - log_norm(time)) / ln(2f64);
        let truth = -(a - 0.5) / decay;
        let against = |right: f64| {
            Comparison::exact(format!("order {s}, |h_n| = n^-{a}, exponent"), left, right, truth.abs(), 1e-2)
        };
        out.comparisons.push(against(truth));
        out.mutants.push(("the exponent over 2s", against(-(a - 0.5) / (2.0 * s)).unless_true(truth)));
        out.mutants.push(("the exponent a for a - 1/2", against(-a / decay).unless_true(truth)));
    }
    out
}
