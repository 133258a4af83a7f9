//! Modes with disjoint supports: the ordinary differential equation of the masses.

use super::Case;
use crate::divergence::{Divergence, ForwardKl, ReverseKl};
use crate::num::{GaussLegendre, exp, ln};
use crate::rng::fill_uniform;
use crate::velocity::{LogRatioClip, growth};
use crate::verify::{Comparison, Draw, Ladder, Outcome};

/// ȧ_k = a_k g_k with the shipped growth at l_k = log(m_k/a_k), centred under a.
fn rate(f: &dyn Divergence, target: &[f64], a: &[f64]) -> Vec<f64> {
    let l: Vec<f64> = target.iter().zip(a).map(|(m, a)| ln(m / a)).collect();
    let g = growth(f, LogRatioClip::NONE, &l);
    let mean: f64 = a.iter().zip(&g).map(|(a, g)| a * g).sum();
    a.iter().zip(&g).map(|(a, g)| a * (g - mean)).collect()
}

/// Heun's method over [0, t], order 2.
fn integrate(f: &dyn Divergence, target: &[f64], start: &[f64], t: f64, steps: usize) -> Vec<f64> {
    let (h, mut a) = (t / steps as f64, start.to_vec());
    for _ in 0..steps {
        let first = rate(f, target, &a);
        let ahead: Vec<f64> = a.iter().zip(&first).map(|(a, k)| a + h * k).collect();
        let second = rate(f, target, &ahead);
        (0..a.len()).for_each(|k| a[k] += 0.5 * h * (first[k] + second[k]));
    }
    a
}

/// K positive masses, none below a tenth of the mean before they are normalised.
fn random_masses(draw: &Draw, attempt: usize, count: usize) -> Vec<f64> {
    let mut m = vec![0.0f64; count];
    fill_uniform(&mut draw.stream(attempt), &mut m);
    m.iter_mut().for_each(|m| *m += 0.1);
    let total: f64 = m.iter().sum();
    m.iter().map(|m| m / total).collect()
}

/// The laws that hold for any two mass vectors, and the local rate of one divergence.
pub(super) fn one(draw: &Draw, f: &Case) -> Outcome {
    let (target, start) = (random_masses(draw, 1, 3), random_masses(draw, 2, 3));
    let mut out = Outcome::default();
    let local = |wanted: &dyn Fn(usize) -> f64| local_rate(draw, f, &target, wanted);
    out.comparisons.push(local(&|_| -f.weight(0.0)));
    out.mutants.push(("local rate w(1)/m_k", local(&|k| -f.weight(0.0) / target[k])));
    if f.name() == "reverse-kl" {
        let contrast = |a: &[f64]| ln(a[0] / target[0]) - ln(a[1] / target[1]);
        let (left, first) = (flow(&ReverseKl, &target, &start, contrast), contrast(&start));
        let law = |factor: f64| {
            Comparison::of_ladder(
                format!("{}, log-ratio of two of three modes", draw.label),
                &left,
                factor * first,
                first.abs(),
                1e-8,
            )
        };
        out.comparisons.push(law(exp(-1.0f64)));
        out.mutants.push(("masses decay at twice the rate", law(exp(-2.0f64))));
    }
    if f.name() == "forward-kl" {
        let left = flow(&ForwardKl, &target, &start, |a| a[0] - target[0]);
        let right = exp(-1.0f64) * (start[0] - target[0]);
        out.comparisons.push(Comparison::of_ladder(
            format!("{}, mass error, forward KL", draw.label),
            &left,
            right,
            right.abs(),
            1e-8,
        ));
    }
    out
}

/// A function of the masses at time 1 by Heun's method at steps that halve: order 2.
fn flow(f: &dyn Divergence, target: &[f64], start: &[f64], value: impl Fn(&[f64]) -> f64) -> Ladder {
    Ladder::quotients(0.125, 2.0, |h| {
        // one rounding of a mass for each step
        let steps = (1.0 / h).round() as usize;
        vec![(value(&integrate(f, target, start, 1.0, steps)), 0.0625 / h)]
    })
    .swap_remove(0)
}

/// (d): central differences of ȧ_k at a = m along a direction δ with Σδ = 0, against `wanted(k)` δ_k, largest deviation.
fn local_rate(draw: &Draw, f: &Case, target: &[f64], wanted: &dyn Fn(usize) -> f64) -> Comparison {
    let smallest = target.iter().copied().fold(1.0, f64::min);
    let direction = [1.0, -0.4, -0.6];
    let at = |e: f64| {
        let a: Vec<f64> = target.iter().zip(direction).map(|(m, d)| m + e * d).collect();
        rate(f.as_ref(), target, &a)
    };
    let left = Ladder::quotients(0.4 * smallest, 2.0, |e| {
        let (up, down) = (at(e), at(-e));
        // one signed number: components weighted so that none cancels another
        let term = |k: usize| (k as f64 + 1.0) * direction[k].signum() * (up[k] - down[k]) / (2.0 * e);
        let size = f.first_variation(0.0).abs() + f.weight(0.0);
        vec![((0..3).map(term).sum(), 6.0 * size / e)]
    });
    let right: f64 = (0..3).map(|k| (k as f64 + 1.0) * direction[k].abs() * wanted(k)).sum();
    Comparison::of_ladder(format!("{}, {}, local rate", draw.label, f.name()), &left[0], right, right.abs(), 1e-7)
}

/// Halving times of the page, to the digits printed there: masses 0.2, 0.8 for 0.5, 0.5 until 0.35.
const HALVING: [(&str, f64); 9] = [
    ("reverse-kl", 0.806),
    ("forward-kl", 0.693),
    ("jeffreys", 0.372),
    ("pearson", 0.279),
    ("neyman", 0.435),
    ("hellinger", 1.509),
    ("jensen-shannon", 3.057),
    ("gan", 1.528),
    ("le-cam", 0.784),
];

/// T = ∫ da/ȧ by Gauss–Legendre against the page's table; for reverse and forward KL against the closed forms.
pub(super) fn table(divergences: &[Case]) -> Outcome {
    let rule = GaussLegendre::new(16);
    let time = |f: &dyn Divergence| rule.integrate(0.2, 0.35, 4, |a| 1.0 / rate(f, &[0.5, 0.5], &[a, 1.0 - a])[0]);
    let mut out = Outcome::default();
    for f in divergences {
        let t = time(f.as_ref());
        if let Some((name, printed)) = HALVING.iter().find(|(name, _)| *name == f.name()) {
            out.comparisons.push(Comparison::exact(format!("{name}, halving time"), t, *printed, 1.0, 5.1e-4));
        }
        let wrong = Comparison::exact(format!("{}, halving time without w(1)", f.name()), t, ln(2.0f64), 1.0, 5.1e-4);
        // true for forward KL, also where a formula says it
        let forward = (-40..=40).all(|k| (f.weight(0.1 * f64::from(k)) * exp(-0.1 * f64::from(k)) - 1.0).abs() < 1e-9);
        if !forward {
            out.mutants.push(("the same halving time for all", wrong));
        }
    }
    let logit = ln(ln(4.0f64) / ln(0.65f64 / 0.35));
    out.comparisons.push(Comparison::exact(
        "reverse KL, log of a ratio of logits",
        time(&ReverseKl),
        logit,
        logit,
        1e-12,
    ));
    out.comparisons.push(Comparison::exact("forward KL, log 2", time(&ForwardKl), ln(2.0f64), 1.0, 1e-12));
    out
}

/// Half of p's mass has no mass of q: the other is at rest, though KL(a‖m) = log 2.
pub(super) fn extinct() -> Comparison {
    let at_rest = rate(&ReverseKl, &[0.5], &[1.0])[0] == 0.0;
    let kl = if at_rest { ln(1.0 / 0.5) } else { f64::NAN };
    Comparison::exact("masses ½, ½ and 0, 1, reverse KL, at rest: KL(a‖m)", kl, 0.0, 1.0, 1e-9)
}
