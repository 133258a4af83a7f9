//! T28: generalised Wasserstein gradients: dissipation for every divergence, length in L2, translations, chatter of Euler's steps, slow tails.

use super::cloud::{moved, runge_kutta, velocity};
use super::hypothesis::within;
use super::pair::vector;
use super::window::{Scene, Window};
use super::{Budget, Claim, Comparison, Draw, Hypothesis, Ladder, Outcome, Pair, Push, Takes, Vector, dot, resolve};
use crate::density::{Density, GaussianMixture};
use crate::divergence::Divergence;
use crate::linalg::Matrix;
use crate::num::{exp, powf};
use crate::velocity::{FunctionalGradient, Young};
use rayon::prelude::*;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T28",
    title: "along ∇g*(s), g = |·|^p/p, D_f falls at E|s|_q^q; per unit of L2 length no p beats p = 2",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::instance("(b) the length is that of L²", other_length),
        Hypothesis::instance("(e) q ≥ 2", small_exponent),
        Hypothesis::not_run(
            "(a) V ∈ C¹, or faded out near the zeros of s",
            "sufficient: for q < 2 the slope of ∇g* is infinite there and the order of the differences is lost",
        ),
    ],
    check,
};

/// Exponents q on the line and in the plane. Where q is even, ∇g* is smooth.
const EXPONENTS: [&[f64]; 2] = [&[1.5, 2.0, 3.0], &[4.0]];
/// Below so much of its root mean square s is faded out, where q is not even.
const FADE: f64 = 0.7;
/// So much finer is the grid there.
const FINER: f64 = 10.0;

fn check(budget: &Budget) -> Vec<Outcome> {
    let draws = budget.draws(28, [2, 1], [20, 2]);
    let jobs = draws.iter().flat_map(|draw| EXPONENTS[draw.pair.dim() - 1].iter().map(move |q| (draw, *q)));
    let fs = budget.divergences();
    let jobs: Vec<(&Draw, f64)> = jobs.collect();
    let mut out: Vec<Outcome> = jobs.par_iter().map(|&(draw, q)| dissipation(draw, q, &fs)).collect();
    out.extend(draws.iter().map(|draw| length(draw, &fs)));
    out.extend([translations(), chatter(), slow_tails()]);
    out
}

fn young(q: f64) -> Young {
    Young::new(q / (q - 1.0), Vec::new()).expect("p above 1")
}

/// s = w(r)β at node i.
fn pull(scene: &Scene, f: &dyn Divergence, i: usize) -> Vector {
    scene.nodes.beta(i).map(|b| f.weight(scene.nodes.l(i)) * b)
}

/// (a): V_k = χ e^{-(τ/s_k)²} ∇g*(s)_k; the factor is smooth and keeps V so where ∇g* has a corner. τ = 0 where it has none.
fn dissipation(draw: &Draw, q: f64, fs: &[Arc<dyn Divergence>]) -> Outcome {
    let smooth = q % 2.0 == 0.0;
    let scene = |attempt| {
        let window = Window::attempt(&mut draw.stream(attempt), &draw.pair, attempt);
        Scene::on(&draw.pair, window, window.finer_grid(&draw.pair, if smooth { 1.0 } else { FINER }))
    };
    let young = young(q);
    let compare = |scene: &Scene, f: &dyn Divergence| -> (Ladder, [f64; 3], [f64; 2]) {
        let dim = draw.pair.dim();
        let weighted = |g: &dyn Fn(f64) -> f64| {
            scene.grid.integrate(|i| {
                let s = pull(scene, f, i);
                scene.nodes.q(i) * scene.chi[i] * s[..dim].iter().map(|s| g(*s)).sum::<f64>()
            })
        };
        let mass = scene.grid.integrate(|i| scene.nodes.q(i) * scene.chi[i]) * dim as f64;
        let fade = if smooth { 0.0 } else { FADE * (weighted(&|s| s * s) / mass).sqrt() };
        let factor = |s: f64| if smooth { 1.0 } else { exp(-(fade / s).powi(2)) };
        let (left, resolution_of_left) = fall(scene, f, &young, fade);
        let rate = |power: f64| -weighted(&|s| factor(s) * powf(s.abs(), power));
        let resolution = scene.grid.resolution(|i| {
            let s = pull(scene, f, i);
            scene.nodes.q(i) * scene.chi[i] * s[..dim].iter().map(|s| factor(*s) * powf(s.abs(), q)).sum::<f64>()
        });
        let conjugate = q / (q - 1.0);
        (left, [rate(q), rate(2.0), rate(conjugate)], [resolution, resolution_of_left])
    };
    let against = |f: &dyn Divergence, (left, rates, resolutions): &(Ladder, [f64; 3], [f64; 2]), right: f64| {
        let name = format!("{}, {}, q = {q}", draw.label, f.name());
        let [right_side, left_side] = resolutions.map(|resolution| resolution / rates[0].abs());
        let limit = if smooth { 1e-4 } else { 1e-6 };
        Comparison::of_ladder(name, left, right, rates[0].abs(), 1e-6)
            .resolving("trapezoid on half of the nodes", right_side, limit)
            .resolving("trapezoid of the left side on half of the nodes", left_side, f64::INFINITY)
    };
    let first = scene(0);
    let sides: Vec<_> = fs.iter().map(|f| compare(&first, f.as_ref())).collect();
    let cases: Vec<usize> = (0..fs.len()).collect();
    let comparisons = resolve(&cases, |cases, attempt| {
        let other = (attempt > 0).then(|| scene(attempt));
        let one = |&k: &usize| match &other {
            None => against(fs[k].as_ref(), &sides[k], sides[k].1[0]),
            Some(other) => {
                let found = compare(other, fs[k].as_ref());
                against(fs[k].as_ref(), &found, found.1[0])
            }
        };
        cases.iter().map(one).collect()
    });
    let mut out = Outcome { comparisons, ..Default::default() };
    for (f, found) in fs.iter().zip(&sides).filter(|_| q != 2.0) {
        let truth = found.1[0];
        let mut wrong = |what, right: f64| out.mutants.push((what, against(&**f, found, right).unless_true(truth)));
        wrong("the rate E|s|² of p = 2", found.1[1]);
        wrong("p for q in the rate", found.1[2]);
    }
    out
}

/// Central differences of D_f along the faded field, exactly pushed; and the resolution of their limit, E_q[u f'(u) (s_p·V + div V)].
fn fall(scene: &Scene, f: &dyn Divergence, young: &Young, fade: f64) -> (Ladder, f64) {
    let q = young.q().expect("a power");
    let push = Push::new(&scene.grid.nodes, |i, _| {
        let (s, beta, l, h) = (pull(scene, f, i), scene.nodes.beta(i), scene.nodes.l(i), scene.hessian[i]);
        let (chi, grad, w) = (scene.chi[i], scene.chi_gradient[i], f.weight(l));
        let mut v = [0.0; 2];
        let mut derivative = [[0.0; 2]; 2];
        for a in 0..scene.pair.dim() {
            let ratio = if fade == 0.0 { 0.0 } else { (fade / s[a]).powi(2) };
            let factor = exp(-ratio);
            if factor == 0.0 {
                continue;
            }
            let psi = factor * young.velocity(s[a], a);
            let slope = factor * powf(s[a].abs(), q - 2.0) * (q - 1.0 + 2.0 * ratio);
            v[a] = chi * psi;
            for b in 0..2 {
                // ∂_b s_a = w (∂_a ∂_b l + e β_a β_b)
                derivative[a][b] = psi * grad[b] + chi * slope * w * (h[a][b] + f.elasticity(l) * beta[a] * beta[b]);
            }
        }
        (v, derivative)
    });
    let density: Vec<f64> = (0..scene.chi.len()).map(|i| scene.nodes.q(i)).collect();
    let ladder =
        Ladder::central(push.first_step(), |step| {
            let l = push.log_ratio(&scene.pair, &scene.nodes.log_q, step);
            vec![scene.grid.integrate_with_noise(
                |i| density[i] * f.f(l[i]),
                |i| density[i] * f.u_df(l[i]) * scene.nodes.log_size(i),
            )]
        });
    let resolution = scene.grid.resolution(|i| {
        let score = vector(scene.nodes.score_p.row(i));
        let [[a, _], [_, d]] = push.jacobian[i];
        density[i] * f.u_df(scene.nodes.l(i)) * (dot(score, push.displacement[i]) + a + d)
    });
    (ladder.into_iter().next().expect("one functional"), resolution)
}

/// (b): E|s|_q^q/(E|V|²)^{1/2} ≤ (E|s|²)^{1/2} within a window, for V of the shipped Young functions; equal where |s_k| is constant, as it is
/// on the line for two Gaussians of one width.
fn length(draw: &Draw, fs: &[Arc<dyn Divergence>]) -> Outcome {
    let scene = Scene::new(&draw.pair, Window::random(&mut draw.stream(0), &draw.pair));
    let mut out = Outcome::default();
    for f in fs {
        let mean = |g: &dyn Fn(Vector) -> f64| {
            scene.grid.integrate(|i| scene.nodes.q(i) * scene.chi[i] * g(pull(&scene, f.as_ref(), i)))
        };
        let steepest = mean(&|s| super::dot(s, s)).sqrt();
        for q in [1.5, 3.0, 4.0] {
            let young = young(q);
            let field = |s: Vector| [young.velocity(s[0], 0), young.velocity(s[1], 1)];
            let per_length = mean(&|s| super::dot(s, field(s))) / mean(&|s| super::dot(field(s), field(s))).sqrt();
            let name = |what: &str| format!("{}, {}, q = {q}, {what}", draw.label, f.name());
            // sums of positive terms, each a few roundings off
            let attained = steepest * (1.0 + 64.0 * f64::EPSILON);
            out.comparisons.push(Comparison::decision(name("not faster than q = 2"), per_length <= attained));
            let beats = Comparison::decision(name("faster than q = 2"), per_length > attained);
            out.mutants.push(("some p falls faster per unit of L2 length", beats));
        }
    }
    out
}

/// Standard Gaussians from five particles of mean exactly m.
fn cloud(m: [f64; 2]) -> Matrix {
    let shape = [[0.5, 0.0], [-0.5, 0.25], [0.0, -0.25], [0.25, 0.5], [-0.25, -0.5]];
    Matrix::from_fn(5, 2, |i, k| m[k] + shape[i][k])
}

fn standard() -> Arc<dyn Density> {
    let identity = Matrix::from_rows(&[[1.0, 0.0], [0.0, 1.0]]);
    Arc::new(GaussianMixture::gaussian(&[0.0, 0.0], identity).expect("a covariance"))
}

/// |m| at time t of |m|' = -|m|^{q-1}; `rate` is 2 - q but in false variants.
fn law(m: f64, q: f64, rate: f64, t: f64) -> f64 {
    if q == 2.0 { m * exp(-t) } else { powf((powf(m, 2.0 - q) - rate * t).max(0.0), 1.0 / (2.0 - q)) }
}

/// (c): the shipped field of constants.
fn translations() -> Outcome {
    let mut out = Outcome::default();
    let start = [0.7, -1.3];
    for q in [1.2, 1.5, 2.0, 3.0] {
        let v = FunctionalGradient::constants(standard(), young(q));
        // most of the way to the first extinction
        let end = if q < 2.0 { 0.8 * powf(0.7, 2.0 - q) / (2.0 - q) } else { 2.0 };
        let steps = 1000;
        let means = runge_kutta(&v, &cloud(start), end / steps as f64, steps).column_means();
        for (k, m0) in start.into_iter().enumerate() {
            let truth = law(m0.abs(), q, 2.0 - q, end).copysign(m0);
            let against = |what: &str, right: f64| {
                Comparison::exact(format!("q = {q}, from {m0}, {what}"), means[k], right, m0.abs(), 1e-8)
            };
            out.comparisons.push(against("translation", truth));
            let exponential = (m0.abs() * exp(-end)).copysign(m0);
            let early = law(m0.abs(), q, 1.0, end).copysign(m0);
            out.mutants.push(("e^-t for every q", against("e^-t", exponential).unless_true(truth)));
            out.mutants.push(("extinction at |m|^(2-q)", against("early", early).unless_true(truth)));
        }
    }
    out
}

/// (d): Euler's orbit of period 2, its multiplier, and the implicit step.
fn chatter() -> Outcome {
    let mut out = Outcome::default();
    for (q, h) in [(1.2, 0.1), (1.5, 0.1), (1.5, 0.02), (1.8, 0.5)] {
        let v = FunctionalGradient::constants(standard(), young(q));
        let euler = |x: &Matrix| moved(x, h, &velocity(&v, x));
        let name = |what: &str| format!("q = {q}, h = {h}, {what}");
        let amplitude = powf(0.5 * h, 1.0 / (2.0 - q));
        let found = (0..600).fold(cloud([0.7, -1.3]), |x, _| euler(&x)).column_means()[0].abs();
        let against = |right: f64| Comparison::exact(name("amplitude"), found, right, amplitude, 1e-9);
        out.comparisons.push(against(amplitude));
        out.mutants.push(("amplitude h^(1/(2-q))", against(powf(h, 1.0 / (2.0 - q))).unless_true(amplitude)));
        // one step from near the orbit, at ±e
        let after = |e: f64| euler(&cloud([amplitude * (1.0 + e), 1.0])).column_means()[0];
        let multiplier = (after(1e-4) - after(-1e-4)) / (2e-4 * amplitude);
        let expected = 3.0 - 2.0 * q;
        out.comparisons.push(Comparison::exact(name("multiplier"), multiplier, expected, 1.0, 1e-6));
        let linear = Comparison::exact(name("multiplier"), multiplier, 1.0 - h, 1.0, 1e-6).unless_true(expected);
        out.mutants.push(("near the orbit steps contract as for q = 2", linear));
        let mut implicit = 1.3;
        for _ in 0..400 {
            let (mut low, mut high) = (0.0f64, implicit);
            for _ in 0..100 {
                let middle = 0.5 * (low + high);
                if middle + h * powf(middle, q - 1.0) > implicit { high = middle } else { low = middle }
            }
            implicit = low;
        }
        out.comparisons.push(Comparison::decision(name("the implicit step has no orbit"), implicit < 1e-3 * amplitude));
    }
    out
}

/// (e): for q > 2 the bound under a logarithmic Sobolev inequality, which translated Gaussians attain (ρ = 1, one coordinate moved).
fn slow_tails() -> Outcome {
    let mut out = Outcome::default();
    for q in [2.5, 3.0, 4.0] {
        let v = FunctionalGradient::constants(standard(), young(q));
        let (m0, t) = (1.3, 3.0);
        let m = runge_kutta(&v, &cloud([m0, 0.0]), t / 1000.0, 1000).column_means()[0];
        let (left, start) = (0.5 * m * m, 0.5 * m0 * m0);
        let bound = |factor: f64| powf(powf(start, 1.0 - 0.5 * q) + (0.5 * q - 1.0) * factor * t, -2.0 / (q - 2.0));
        let truth = bound(powf(2.0, 0.5 * q));
        let against = |right: f64| Comparison::exact(format!("q = {q}, KL at t = {t}"), left, right, truth, 1e-7);
        out.comparisons.push(against(truth));
        out.mutants.push(("an exponential rate for q > 2", against(start * exp(-2.0 * t)).unless_true(truth)));
        out.mutants.push(("the bound without its 2", against(bound(1.0)).unless_true(truth)));
    }
    out
}

/// q = 3, p = 1.5, N(0, 1) and μ = N(0, ½), s = x: per unit of its own length, that of L^p, V is faster than s.
fn other_length() -> Comparison {
    let pair = Pair::on_the_line(&[[1.0, 0.0, 1.0]], &[[1.0, 0.0, 0.5f64.sqrt()]]);
    let (young, p) = (young(3.0), 1.5);
    let mean = |g: &dyn Fn(f64, f64) -> f64| {
        within(&pair, 8.0, |n, i| {
            let s = n.beta(i)[0];
            g(s, young.velocity(s, 0))
        })
    };
    let per_length = mean(&|s, v| s * v) / powf(mean(&|_, v| powf(v.abs(), p)), 1.0 / p);
    let steepest = mean(&|s, _| s * s).sqrt();
    Comparison::at_most(
        "N(0, 1) and N(0, ½), q = 3, per unit of L^p length: rate and (E s²)^½",
        per_length,
        steepest,
        1.0,
        1e-9,
    )
}

/// q = 1.5 in the plane, N((1, 0), I) towards N(0, I), ρ = 1, KL = ½: s = (1, 0) has all of its length in one coordinate.
fn small_exponent() -> Comparison {
    let (q, young) = (1.5, young(1.5));
    let rate: f64 = [1.0, 0.0].into_iter().enumerate().map(|(k, s)| s * young.velocity(s, k)).sum();
    let bound = powf(2f64, 1.0 - 0.5 * q);
    Comparison::at_most("N((1, 0), I) to N(0, I), q = 1.5: d^(1-q/2)(2ρKL)^(q/2) ≤ E|s|_q^q", bound, rate, 1.0, 1e-12)
}
