//! T23: the time to repair wrong masses of far wells for every weight.

use super::chain::Chain;
use super::t14::Line;
use super::{Budget, Claim, Comparison, Hypothesis, Outcome, Size, Takes};
use crate::divergence::{Divergence, ForwardKl, Hellinger, LeCam, Neyman, Pearson, ReverseKl};
use crate::num::{GaussLegendre, cosh, exp, ln};
use rayon::prelude::*;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T23",
    title: "far wells exchange mass as a chain of states, so that one integral of the weight gives the time to repair",
    takes: Takes::NoPair,
    hypotheses: &[
        Hypothesis::variant("the wells are far apart", "exact at finite L"),
        Hypothesis::instance("the two wells have equal masses (T_½)", unequal),
    ],
    check,
};

type Case = Arc<dyn Divergence>;

fn check(budget: &Budget) -> Vec<Outcome> {
    let divergences = budget.divergences();
    let mut out: Vec<Outcome> = divergences.par_iter().map(states).collect();
    out.push(ratios());
    out.push(wells(budget));
    out.push(three_wells());
    out
}

/// T_½ C = ½ ∫ du/(W(2-u) - W(u)) from u₀ to (1+u₀)/2, W(u) = -f'(1/u).
fn time(f: &dyn Divergence, start: f64) -> f64 {
    let w = |u: f64| -u * f.u_df(-ln(u));
    // in log u, where the integrand is smooth for small starts
    let end = 0.5 * (1.0 + start);
    GaussLegendre::new(16).integrate(ln(start), ln(end), 24, |x| {
        let u = exp(x);
        0.5 * u / (w(2.0 - u) - w(u))
    })
}

/// Two states of mass ½ with C = 1: u after the formula's time is (1+u₀)/2.
fn states(f: &Case) -> Outcome {
    let f = f.as_ref();
    let chain = Chain { p: vec![0.5, 0.5], conductance: vec![1.0] };
    let mut out = Outcome::default();
    for start in [0.4, 0.1] {
        let u = chain.within_reach(f, &[start, 2.0 - start]);
        let start = u[0];
        let span = time(f, start);
        // the imbalance after (short of) the time; the step resolves the fastest rate
        let after = |span: f64| 1.0 - chain.after(f, &u, span, 0.02 * chain.stable_step(f, &u), false)[0];
        let name = format!("{}, two states from u = {start}", f.name());
        let half = 0.5 * (1.0 - start);
        out.comparisons.push(Comparison::exact(name.clone(), after(span), half, half, 1e-7));
        let linear = ln(2f64) / (4.0 * f.weight(0.0));
        let wrong = Comparison::exact(name, after(linear), half, half, 1e-7);
        // reverse KL's time in the unit 1/w(1): true where the formula says so
        out.mutants.push(("log 2/(4C w(1)) for every weight", wrong.unless((span / linear - 1.0).abs() < 1e-6)));
    }
    out
}

/// Halving times over that of reverse KL, in units w(1) = 1, from u₀ = 0.4, 0.1, 0.02 and 0.002.
fn ratios() -> Outcome {
    let rows: [(Case, [f64; 4]); 4] = [
        (Arc::new(Pearson), [0.805, 0.562, 0.480, 0.461]),
        (Arc::new(ForwardKl), [0.931, 0.824, 0.776, 0.762]),
        (Arc::new(LeCam), [1.003, 1.020, 1.030, 1.033]),
        (Arc::new(Neyman), [1.0; 4]),
    ];
    let mut out = Outcome::default();
    for (f, printed) in rows {
        for (start, printed) in [0.4, 0.1, 0.02, 0.002].into_iter().zip(printed) {
            let found = time(f.as_ref(), start) * f.weight(0.0) / (0.25 * ln(2f64));
            let name = format!("{}, time over that of reverse KL from u = {start}", f.name());
            out.comparisons.push(Comparison::exact(name, found, printed, 1.0, 5.1e-4));
        }
    }
    out
}

/// The capacity of the gap of two unit Gaussians L apart (T14).
fn capacity(l: f64) -> f64 {
    let inverse = |x: f64| exp(0.5 * x * x + l * l / 8.0) * std::f64::consts::TAU.sqrt() / cosh(0.5 * l * x);
    GaussLegendre::new(16).integrate(-0.5 * l, 0.5 * l, 16, inverse).recip()
}

/// Values of u in three wells.
const THREE: [f64; 3] = [0.4, 1.0, 1.6];
/// Distances L of three wells, and between what their time over the chain's lies.
const ROWS: [(f64, f64, f64); 2] = [(5.0, 0.935, 0.95), (7.0, 0.990, 0.995)];

/// Three Gaussians in a chain, L apart, by the flow on cells: the time in which the first well has half of what it lacks, over that of the
/// chain of three states, tends to 1 as L grows.
fn three_wells() -> Outcome {
    let divergences: [Case; 3] = [Arc::new(ReverseKl), Arc::new(Hellinger), Arc::new(Pearson)];
    let jobs: Vec<(&Case, &(f64, f64, f64))> =
        divergences.iter().flat_map(|f| ROWS.iter().map(move |row| (f, row))).collect();
    let one = |(f, (l, low, high)): &(&Case, &(f64, f64, f64))| {
        let f = f.as_ref();
        let line = Line::wells(3, *l, 0.045);
        // one gap between two of the three: ⅔ of the p of two wells, up to the third's tail
        let c = capacity(*l) * 2.0 / 3.0;
        let half = 0.5 * (1.0 + THREE[0]);
        let run = line.until(f, line.mixture(&THREE), (-0.5 * l, half / 3.0), |_| ());
        let found = run.map_or(f64::NAN, |(time, _)| time * c);
        let states = Chain { p: vec![1.0 / 3.0; 3], conductance: vec![1.0; 2] };
        let reached = |span: f64| states.after(f, &THREE, span, 0.02 * states.stable_step(f, &THREE), false)[0] >= half;
        let (mut before, mut after) = (0.0, 4.0 / f.weight(0.0));
        for _ in 0..40 {
            let middle = 0.5 * (before + after);
            *(if reached(middle) { &mut after } else { &mut before }) = middle;
        }
        let name = |what: &str| format!("{}, three wells, L = {l}, {what}", f.name());
        let over = |what: &str, other: f64| {
            Comparison::exact(name(what), found / other, 0.5 * (low + high), 1.0, 0.5 * (high - low))
        };
        let mut comparisons = vec![over("time over that of three states", after)];
        if f.name() == ReverseKl.name() {
            // the middle well stays at 1 and ⅓ du/dt = C (1 - u)
            comparisons.push(Comparison::exact(name("three states"), after, ln(2f64) / 3.0, 1.0, 1e-7));
        }
        let two = over("time over that of two", time(f, THREE[0]));
        Outcome { comparisons, mutants: vec![("three wells take the time of two", two)] }
    };
    let all: Vec<Outcome> = jobs.par_iter().map(one).collect();
    all.into_iter().fold(Outcome::default(), |mut sum, one| {
        sum.comparisons.extend(one.comparisons);
        sum.mutants.extend(one.mutants);
        sum
    })
}

/// Two Gaussians L apart, u₀ = 0.4, by the flow on cells: the time over the formula's tends to 1 as L grows.
fn wells(budget: &Budget) -> Outcome {
    let mut rows: Vec<(f64, f64, f64)> = vec![(4.0, 0.75, 0.88), (6.0, 0.955, 0.970)];
    if budget.size == Size::Full {
        rows.push((8.0, 0.995, 0.999));
    }
    let divergences: [Case; 3] = [Arc::new(ReverseKl), Arc::new(Hellinger), Arc::new(Pearson)];
    let jobs: Vec<(&Case, &(f64, f64, f64))> =
        divergences.iter().flat_map(|f| rows.iter().map(move |row| (f, row))).collect();
    let found: Vec<(String, f64, f64, f64, f64)> = jobs
        .par_iter()
        .map(|(f, (l, low, high))| {
            let line = Line::new(*l, 0.045);
            let ratio = line.halving(f.as_ref()).time / (time(f.as_ref(), 0.4) / capacity(*l));
            (format!("{}, L = {l}", f.name()), *l, ratio, *low, *high)
        })
        .collect();
    let mut out = Outcome::default();
    for (name, l, ratio, low, high) in found {
        let (middle, half) = (0.5 * (low + high), 0.5 * (high - low));
        out.comparisons.push(Comparison::exact(format!("{name}, time over the formula"), ratio, middle, 1.0, half));
        if l < 5.0 {
            out.mutants.push(("exact at finite L", Comparison::exact(name, ratio, 1.0, 1.0, 0.05)));
        }
    }
    out
}

/// Two states of masses 0.3 and 0.7: after the time of equal masses the imbalance is not half.
fn unequal() -> Comparison {
    let chain = Chain { p: vec![0.3, 0.7], conductance: vec![1.0] };
    let u = [0.4, (1.0 - 0.3 * 0.4) / 0.7];
    let span = time(&ReverseKl, u[0]);
    let left = 1.0 - chain.after(&ReverseKl, &u, span, 0.02 * chain.stable_step(&ReverseKl, &u), false)[0];
    Comparison::exact("masses 0.3 and 0.7, reverse KL, after T_½: imbalance", left, 0.3, 0.3, 1e-7)
}
