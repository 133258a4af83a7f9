//! T20: transport with reaction sees no gap: log sup p/q falls below the solution of one scalar equation.

use super::chain::Chain;
use super::unit::is_row;
use super::{Budget, Claim, Comparison, Hypothesis, Outcome, Size, Takes};
use crate::divergence::{Alpha, Divergence, ForwardKl, Neyman, Pearson, ReverseKl};
use crate::num::{exp, exp_m1, ln, ln_1p};
use crate::rng::{Purpose, stream};
use rayon::prelude::*;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T20",
    title: "with transport and reaction sup p/q falls at a rate of its own, whatever the gap and the dimension",
    takes: Takes::NoPair,
    hypotheses: &[
        Hypothesis::variant("(H)", "the bound for Pearson"),
        Hypothesis::instance("mass is created and destroyed, not only moved", transport_alone),
        Hypothesis::not_run("R(0) < ∞", "the bound is infinite otherwise"),
    ],
    check,
};

const CELLS: usize = 12;
const PIECES: usize = 16;

type Case = Arc<dyn Divergence>;

fn check(budget: &Budget) -> Vec<Outcome> {
    let divergences = budget.divergences();
    let mut rng = stream(budget.seed, Purpose::Check, 20_000);
    let runs: Vec<(Chain, Vec<f64>)> = (0..if budget.size == Size::Quick { 3 } else { 20 })
        .map(|_| {
            let mut chain = Chain::random(&mut rng, CELLS);
            // a gap that lets nothing through
            chain.conductance[CELLS / 2] = 0.0;
            let u = chain.start(&mut rng, 0.05, 3.0);
            (chain, u)
        })
        .collect();
    let jobs: Vec<(usize, &Case)> = (0..runs.len()).flat_map(|k| divergences.iter().map(move |f| (k, f))).collect();
    let mut out: Vec<Outcome> = jobs.par_iter().map(|(k, f)| bound(*k, &runs[*k].0, &runs[*k].1, f)).collect();
    out.extend(divergences.iter().map(convexity));
    out.push(closed_forms());
    out.push(two_states());
    out
}

/// φ(u) - φ(1) + w(1)(u - 1) at u = e^l, which (H) wants to be positive.
fn margin(f: &dyn Divergence, l: f64) -> f64 {
    f.first_variation(l) - f.first_variation(0.0) + f.weight(0.0) * exp_m1(l)
}

/// (H) on a grid of l, to the error of a weight that is interpolated (1e-12).
fn admitted(f: &dyn Divergence) -> bool {
    (-300..=300).map(|k| 0.1 * f64::from(k)).all(|l| {
        let size = f.first_variation(l).abs() + f.weight(0.0) * (1.0 + exp(l));
        margin(f, l) >= -1e-11 * size
    })
}

/// (H) holds for every row of the table but Pearson; alpha with α ≤ 1 alone; e ≤ 1 suffices.
fn convexity(f: &Case) -> Outcome {
    let mut out = Outcome::default();
    let pearson = f.name() == Pearson.name();
    if pearson {
        out.mutants.push(("(H) for Pearson", Comparison::decision(f.name(), admitted(f.as_ref()))));
        return out;
    }
    let tame = (-300..=300).all(|k| f.elasticity(0.1 * f64::from(k)) <= 1.0 + 1e-9);
    // a divergence of the user's own may fail (H); e ≤ 1 excludes that
    let known = tame || is_row(f.as_ref());
    if known {
        out.comparisons.push(Comparison::decision(format!("{}, (H)", f.name()), admitted(f.as_ref())));
    }
    for alpha in [1.2, 1.7, 3.0] {
        let name = format!("alpha {alpha}");
        out.mutants.push(("(H) for alpha > 1", Comparison::decision(name, admitted(&Alpha::new(alpha)))));
    }
    out
}

/// dy/dt = φ(e^y) - φ(1).
fn slope(f: &dyn Divergence, y: f64) -> f64 {
    f.first_variation(y) - f.first_variation(0.0)
}

/// y(t + span), by Runge–Kutta.
fn advance(f: &dyn Divergence, mut y: f64, span: f64) -> f64 {
    let steps = (span * f.weight(y).max(f.weight(0.0)) * 50.0).ceil().max(4.0);
    let h = span / steps;
    for _ in 0..steps as usize {
        let a = slope(f, y);
        let b = slope(f, y + 0.5 * h * a);
        let c = slope(f, y + 0.5 * h * b);
        let d = slope(f, y + h * c);
        y += h / 6.0 * (a + 2.0 * b + 2.0 * c + d);
    }
    y
}

/// R(t) = max p/q.
fn log_sup(u: &[f64]) -> f64 {
    -ln(u.iter().fold(f64::INFINITY, |m: f64, u| m.min(*u)))
}

fn bound(k: usize, chain: &Chain, u: &[f64], f: &Case) -> Outcome {
    let f = f.as_ref();
    if !admitted(f) {
        let reason = "(H) of T20 fails: φ(u) < φ(1) - w(1)(u - 1) for some u";
        let refused = Comparison::refused(format!("flow {k}, {}", f.name()), reason);
        return Outcome { comparisons: vec![refused], mutants: Vec::new() };
    }
    let span = 2.0 / f.weight(0.0) / PIECES as f64;
    let mut state = chain.within_reach(f, u);
    let (mut y, mut time) = (log_sup(&state), 0.0);
    let start = y;
    let (mut below, mut kl, mut tv, mut naive) = (true, true, true, true);
    for _ in 0..PIECES {
        let step = chain.stable_step(f, &state).min(0.02 / f.weight(log_sup(&state)).max(f.weight(0.0)));
        state = chain.after(f, &state, span, step, true);
        y = advance(f, y, span);
        time += span;
        let sup = log_sup(&state);
        below &= sup <= y + 1e-9;
        kl &= chain.mean(|i| -ln(state[i])) <= y + 1e-9;
        tv &= 0.5 * chain.mean(|i| (state[i] - 1.0).abs()) <= -exp_m1(-sup) + 1e-9;
        naive &= y <= exp(-f.weight(0.0) * time) * start + 1e-9;
    }
    let name = |what: &str| format!("flow {k}, {}, {what}", f.name());
    let comparisons = vec![
        Comparison::decision(name("sup p/q"), below),
        Comparison::decision(name("KL(p‖q)"), kl),
        Comparison::decision(name("total variation"), tv),
    ];
    // the rate of reverse KL bounds the others where the weight grows with r: e ≥ 0
    let mut mutants = Vec::new();
    if f.name() == Neyman.name() {
        let wrong = Comparison::decision(name("y ≤ e^(-w(1)t) y(0)"), naive);
        mutants.push(("log R falls like e^(-w(1)t) for every row", wrong));
    }
    Outcome { comparisons, mutants }
}

/// Reverse KL: y = e^-t y(0). Forward KL: 1 - e^-y = e^-t (1 - e^-y(0)).
fn closed_forms() -> Outcome {
    let mut out = Outcome::default();
    for (start, time) in [(0.7, 0.4), (2.0, 1.0), (3.5, 2.0)] {
        let (reverse, forward) = (advance(&ReverseKl, start, time), advance(&ForwardKl, start, time));
        let decay = exp(-time);
        let name = |what: &str| format!("{what}, from {start} after {time}");
        let law = -ln_1p(-(-exp_m1(-start)) * decay);
        out.comparisons.push(Comparison::exact(name("reverse KL"), reverse, decay * start, 1.0, 1e-6));
        out.comparisons.push(Comparison::exact(name("forward KL"), forward, law, 1.0, 1e-6));
        let wrong = Comparison::exact(name("forward KL"), forward, decay * start, 1.0, 1e-6);
        out.mutants.push(("forward KL falls as reverse KL", wrong));
    }
    out
}

/// Two states ½, ½ without transport from masses 0.1, 0.9: -d/dt log min u against the bound's slope, at the start.
fn two_states() -> Outcome {
    let chain = Chain { p: vec![0.5, 0.5], conductance: vec![0.0] };
    let u = [0.2, 1.8];
    let start = |f: &dyn Divergence| (-chain.rate(f, &u, true)[0] / u[0], slope(f, ln(5.0f64)));
    let mut out = Outcome::default();
    let (rate, limit) = start(&Pearson);
    out.comparisons.push(Comparison::exact("Pearson, d log R/dt", rate, -200.0 / 9.0, 1.0, 1e-9));
    out.comparisons.push(Comparison::exact("Pearson, the bound's slope", limit, -24.0, 1.0, 1e-9));
    out.mutants.push((
        "the bound for Pearson",
        Comparison::at_most("two states, Pearson: d log R/dt and its bound", rate, limit, 1.0, 0.0),
    ));
    // forward KL has equality in (H), so that its bound is attained
    let (rate, limit) = start(&ForwardKl);
    out.comparisons.push(Comparison::exact("forward KL attains the bound", rate, limit, 1.0, 1e-9));
    out
}

/// The same two states without reaction: nothing passes, and R stays.
fn transport_alone() -> Comparison {
    let chain = Chain { p: vec![0.5, 0.5], conductance: vec![0.0] };
    let after = log_sup(&chain.after(&ReverseKl, &[0.2, 1.8], 1.0, 0.1, false));
    let bound = advance(&ReverseKl, ln(5f64), 1.0);
    Comparison::at_most(
        "two states apart, no reaction, reverse KL, t = 1: log R and its bound",
        after,
        bound,
        1.0,
        1e-9,
    )
}
