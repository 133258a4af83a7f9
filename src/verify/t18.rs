//! T18: every f-flow is one nonlinear diffusion, p ∂_t u = div(p ∇W(u)): order, contraction, rates; near p all are alike.

use super::chain::Chain;
use super::{Budget, Claim, Comparison, Hypothesis, Outcome, Size, Takes};
use crate::divergence::{Divergence, Hellinger, ReverseKl};
use crate::num::{exp, ln, observed_order, sin};
use crate::rng::{Purpose, stream};
use rayon::prelude::*;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T18",
    title: "every f-flow is one nonlinear diffusion of q/p: it keeps order, contracts total variation, and has the rate min w",
    takes: Takes::NoPair,
    hypotheses: &[
        Hypothesis::instance("w > 0 (a)", backward),
        Hypothesis::instance("Poincaré's inequality for p (b)", disconnected),
        Hypothesis::variant("c is the least weight on the range of u (b)", "the rate 2 w(1) λ₁ from the start"),
        Hypothesis::not_run("no flux at infinity", "what a solver computes has none; we know no counter-example"),
    ],
    check,
};

const CELLS: usize = 12;
/// Times at which a flow is looked at.
const TIMES: usize = 10;
/// Rounding of a sum over the cells and of a few hundred steps.
const SLACK: f64 = 1e-11;

/// χ² that rounding of u, some hundred times 1e-16, leaves where the flow has ended.
const REST: f64 = 1e-28;

type Case = Arc<dyn Divergence>;

fn check(budget: &Budget) -> Vec<Outcome> {
    let divergences = budget.divergences();
    let mut rng = stream(budget.seed, Purpose::Check, 18_000);
    let chains: Vec<(Chain, Vec<f64>, Vec<f64>)> = (0..if budget.size == Size::Quick { 2 } else { 12 })
        .map(|_| {
            let chain = Chain::random(&mut rng, CELLS);
            let (u, v) = (chain.start(&mut rng, 0.3, 3.0), chain.start(&mut rng, 0.3, 3.0));
            (chain, u, v)
        })
        .collect();
    let jobs: Vec<(usize, &Case)> = (0..chains.len()).flat_map(|k| divergences.iter().map(move |f| (k, f))).collect();
    let mut out: Vec<Outcome> = jobs
        .par_iter()
        .map(|(k, f)| {
            let (chain, u, v) = &chains[*k];
            let (u, v) = (chain.within_reach(f.as_ref(), u), chain.within_reach(f.as_ref(), v));
            let mut out = order(*k, chain, f, &u, &v);
            out.comparisons.push(poincare(*k, chain, f, &u));
            out
        })
        .collect();
    out.par_extend(divergences.par_iter().map(sobolev));
    out.push(linear(&chains[0].0, &divergences));
    out.push(second_order(&chains[0].0, &divergences));
    out
}

/// Pieces of the grid on which a least weight is looked for; it is missed by their square.
const GRID: usize = 1000;

fn range(u: &[f64]) -> (f64, f64) {
    u.iter().fold((f64::INFINITY, 0.0), |m, u| (m.0.min(*u), m.1.max(*u)))
}

/// min of w(1/u) over [u₋, u₊], on a grid with both ends: a weight of the user's own may have it inside.
fn slowest(f: &dyn Divergence, u: &[f64]) -> f64 {
    let (low, high) = range(u);
    let (from, to) = (-ln(high), -ln(low));
    let at = |k: usize| f.weight(from + (to - from) * k as f64 / GRID as f64);
    (0..=GRID).map(at).fold(f64::INFINITY, f64::min)
}

/// (a): the range shrinks, u₀ ≤ v₀ stays, and the distance of two solutions in total variation never grows.
fn order(k: usize, chain: &Chain, f: &Case, u: &[f64], v: &[f64]) -> Outcome {
    let f = f.as_ref();
    // a common lower start, and its distance from both in one direction
    let below: Vec<f64> = u.iter().zip(v).map(|(u, v)| u.min(*v)).collect();
    let distance = |a: &[f64], b: &[f64]| 0.5 * chain.mean(|i| (a[i] - b[i]).abs());
    let step = [u, v, below.as_slice()].map(|u| chain.stable_step(f, u)).into_iter().fold(f64::INFINITY, f64::min);
    let span = 0.2 / (chain.gap().0 * slowest(f, &below));
    let mut state = [u.to_vec(), v.to_vec(), below];
    let (mut inside, mut ordered, mut contracts) = (true, true, true);
    for _ in 0..TIMES {
        let next = state.clone().map(|s| chain.after(f, &s, span / TIMES as f64, step, false));
        for (old, new) in state.iter().zip(&next) {
            let ((a, b), (c, d)) = (range(old), range(new));
            inside &= c >= a - SLACK && d <= b + SLACK;
        }
        ordered &= (0..CELLS).all(|i| next[2][i] <= next[0][i].min(next[1][i]) + SLACK);
        contracts &= distance(&next[0], &next[1]) <= distance(&state[0], &state[1]) + SLACK;
        state = next;
    }
    let name = |what: &str| format!("flow {k}, {}, {what}", f.name());
    let comparisons = vec![
        Comparison::decision(name("the range shrinks"), inside),
        Comparison::decision(name("order is kept"), ordered),
        Comparison::decision(name("total variation contracts"), contracts),
    ];
    Outcome { comparisons, mutants: vec![nearby(f)] }
}

/// Two solutions that differ little on a steep background: in L²(p) their distance may grow, for all but a constant weight.
///
/// d/dt E_p(u-v)² = -2 Σ c Δδ Δ(w δ) with w = w(1/u), negative for constant w only: on two cells of equal mass with δ = (1, a),
/// Δδ Δ(wδ) = (a - 1)(a w₂ - w₁) < 0 for a between 1 and w₁/w₂.
fn nearby(f: &dyn Divergence) -> (&'static str, Comparison) {
    let pair = Chain { p: vec![0.5, 0.5], conductance: vec![1.0] };
    let u = [0.5, 2.0];
    let (w, eps) = (u.map(|u| f.weight(-ln(u))), 1e-5);
    let a = 0.5 * (1.0 + w[0] / w[1]);
    let v = [u[0] + eps, u[1] + a * eps];
    let (du, dv) = (pair.rate(f, &u, false), pair.rate(f, &v, false));
    let growth = pair.mean(|i| 2.0 * (u[i] - v[i]) * (du[i] - dv[i])) / (eps * eps);
    let falls = Comparison::decision(format!("{}, rate {growth:.3e} of E_p(u-v)²", f.name()), growth <= 0.0);
    ("two solutions contract in L²(p)", falls.unless((w[0] / w[1] - 1.0).abs() < 1e-3))
}

/// (b): χ²(q_t‖p) ≤ e^(-2cλ₁t) χ²(q₀‖p), c anew on each piece.
fn poincare(k: usize, chain: &Chain, f: &Case, u: &[f64]) -> Comparison {
    let f = f.as_ref();
    let chi2 = |u: &[f64]| chain.mean(|i| (u[i] - 1.0).powi(2));
    let (lambda, span) = (chain.gap().0, 0.5 / (chain.gap().0 * slowest(f, u)) / TIMES as f64);
    let (mut state, mut bound, mut holds) = (u.to_vec(), chi2(u), true);
    for _ in 0..TIMES {
        bound *= exp(-2.0 * slowest(f, &state) * lambda * span);
        state = chain.after(f, &state, span, chain.stable_step(f, &state), false);
        holds &= chi2(&state) <= bound * (1.0 + SLACK) + REST;
    }
    Comparison::decision(format!("flow {k}, {}, Poincaré's rate", f.name()), holds)
}

/// (b): KL(q_t‖p) ≤ e^(-2cρt) KL(q₀‖p) for p = N(0, 1), ρ = 1; and the false rate 2 w(1) λ₁ of χ² from the start.
fn sobolev(f: &Case) -> Outcome {
    let f = f.as_ref();
    let chain = Chain::gaussian(0.25, 5.0);
    let from = |raw: &dyn Fn(f64) -> f64| -> Vec<f64> {
        let at = |i: usize| raw(0.25 * i as f64 - 5.0);
        let total = chain.mean(at);
        (0..chain.p.len()).map(|i| at(i) / total).collect()
    };
    let kl = |u: &[f64]| chain.mean(|i| u[i] * ln(u[i]));
    let chi2 = |u: &[f64]| chain.mean(|i| (u[i] - 1.0).powi(2));
    let (span, pieces) = (0.05 / f.weight(0.0), 8);
    let path = |u: Vec<f64>| -> Vec<Vec<f64>> {
        let mut path = vec![u];
        for k in 0..pieces {
            path.push(chain.after(f, &path[k], span, chain.stable_step(f, &path[k]), false));
        }
        path
    };
    let name = |what: &str| format!("N(0, 1), {}, {what}", f.name());
    let first = path(chain.within_reach(f, &from(&|x| exp(2.0 * x.clamp(-0.5, 1.5)))));
    let mut bound = kl(&first[0]);
    let holds = (1..=pieces).all(|k| {
        bound *= exp(-2.0 * slowest(f, &first[k - 1]) * span);
        kl(&first[k]) <= bound
    });
    let mut out = Outcome::default();
    out.comparisons.push(Comparison::decision(name("rate of log-Sobolev"), holds));
    // steep where u is large: there the weights of elasticity one and more are small
    let steep = from(&|x| 0.05 + (x - 0.5).clamp(0.0, 2.5).powi(2));
    if f.elasticity(0.0) > 0.9 && chain.within_reach(f, &steep) == steep {
        let second = path(steep);
        let log = |k: usize| ln(chi2(&second[k]) / chi2(&second[0])) + 0.1 * k as f64;
        let excess = (1..=pieces).map(log).fold(f64::NEG_INFINITY, f64::max);
        let wrong = Comparison::at_most(name("log of χ² over its bound"), excess, 0.0, 1.0, 0.0);
        out.mutants.push(("the rate 2 w(1) λ₁ from the start", wrong));
    }
    out
}

/// (c), first order: from 1 + εh with the slowest h every flow falls at w(1)λ₁.
fn linear(chain: &Chain, divergences: &[Case]) -> Outcome {
    let (lambda, h) = chain.gap();
    let eps = 1e-6;
    let u: Vec<f64> = h.iter().map(|h| 1.0 + eps * h).collect();
    let one = |f: &Case| {
        let time = 1.0 / (f.weight(0.0) * lambda);
        let end = chain.after(f.as_ref(), &u, time, chain.stable_step(f.as_ref(), &u), false);
        let left = -ln(chain.mean(|i| h[i] * (end[i] - 1.0) / eps));
        Comparison::exact(format!("{}, rate near p", f.name()), left, 1.0, 1.0, 1e-5)
    };
    Outcome { comparisons: divergences.iter().map(one).collect(), mutants: Vec::new() }
}

/// (c): u_f - u_Hellinger at equal w(1)t is (e_f(1) - ½) K ε² + O(ε³).
fn second_order(chain: &Chain, divergences: &[Case]) -> Outcome {
    let n = chain.p.len();
    let shape: Vec<f64> = (0..n).map(|i| sin(1.3 * i as f64) + 0.3 * (i as f64 / n as f64)).collect();
    let mean = chain.mean(|i| shape[i]);
    let end = |f: &dyn Divergence, eps: f64| -> Vec<f64> {
        let u: Vec<f64> = shape.iter().map(|h| 1.0 + eps * (h - mean)).collect();
        // the same number of steps in the unit 1/w(1), so that the error of the scheme is the same for all
        let time = 0.02 / f.weight(0.0);
        chain.after(f, &u, time, time / 200.0, false)
    };
    let norm = |v: &[f64]| chain.mean(|i| v[i] * v[i]).sqrt();
    let steps: Vec<f64> = (0..5).map(|k| 0.1 * 0.5f64.powi(k)).collect();
    let difference = |f: &dyn Divergence, g: &dyn Divergence, eps: f64| -> Vec<f64> {
        end(f, eps).iter().zip(end(g, eps)).map(|(a, b)| a - b).collect()
    };
    let order = |f: &dyn Divergence, g: &dyn Divergence| {
        let errors: Vec<f64> = steps.iter().map(|e| norm(&difference(f, g, *e))).collect();
        observed_order(&steps, &errors, 0.0).map_or(f64::NAN, |o| o.order)
    };
    // K by reverse KL, e(1) = 0, at ±ε: odd orders cancel
    let coefficient = |f: &dyn Divergence| -> Vec<f64> {
        let (up, down) = (difference(f, &Hellinger, 0.01), difference(f, &Hellinger, -0.01));
        (0..n).map(|i| 0.5 * (up[i] + down[i]) / 1e-4).collect()
    };
    let unit: Vec<f64> = coefficient(&ReverseKl).iter().map(|k| k / -0.5).collect();
    let mut out = Outcome::default();
    for f in divergences {
        let (f, e) = (f.as_ref(), f.elasticity(0.0));
        let symmetric = (e - 0.5).abs() < 1e-12;
        // Hellinger's weight up to a factor, also where a formula says it
        if norm(&difference(f, &Hellinger, 0.1)) < 1e-9 {
            continue;
        }
        let expected = if symmetric { 3.0 } else { 2.0 };
        let found = order(f, &Hellinger);
        let name = |what: &str| format!("{} against Hellinger, {what}", f.name());
        out.comparisons.push(Comparison::exact(name("order"), found, expected, 1.0, 0.15));
        let found = coefficient(f);
        let projected = chain.mean(|i| found[i] * unit[i]) / norm(&unit).powi(2);
        out.comparisons.push(Comparison::exact(name("coefficient"), projected, e - 0.5, 1.0, 5e-3));
        let twisted = Comparison::exact(name("e(1) for e(1) - ½"), projected, e, 1.0, 5e-3);
        out.mutants.push(("coefficient e(1) against Hellinger", twisted));
        let reverse = order(f, &ReverseKl);
        let wrong = Comparison::exact(format!("{} against reverse KL", f.name()), reverse, 3.0, 1.0, 0.15);
        out.mutants.push(("all agree with reverse KL to second order", wrong.unless(e.abs() < 1e-12)));
    }
    out
}

/// Reverse KL with its weight turned negative, a step back in time on three cells: the range of u grows.
fn backward() -> Comparison {
    let chain = Chain { p: vec![1.0 / 3.0; 3], conductance: vec![1.0; 2] };
    let u = [0.7, 1.3, 1.0];
    let highest = range(&chain.step(&ReverseKl, &u, -0.05, false)).1;
    Comparison::at_most("three cells, weight -1: max u_t ≤ max u₀", highest, range(&u).1, 1.0, SLACK)
}

/// Two pairs of cells that do not touch: χ² between the pairs stays, whatever the gap of each.
fn disconnected() -> Comparison {
    let chain = Chain { p: vec![0.25; 4], conductance: vec![1.0, 0.0, 1.0] };
    let half = Chain { p: vec![0.5; 2], conductance: vec![2.0] };
    let (u, time) = ([0.5, 0.5, 1.5, 1.5], 0.1);
    let chi2 = |u: &[f64]| chain.mean(|i| (u[i] - 1.0).powi(2));
    let after = chi2(&chain.after(&ReverseKl, &u, time, 0.01, false));
    let bound = exp(-2.0 * half.gap().0 * time) * chi2(&u);
    Comparison::at_most("two pairs of cells apart, λ₁ of each: χ²(q_t‖p) and its bound", after, bound, 1.0, SLACK)
}
