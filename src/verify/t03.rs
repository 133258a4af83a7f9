//! T3: along χV_g every D_f falls at the rate E_q[χ w_f w_g |β|²].

use super::window::{Scene, Window};
use super::{Budget, Claim, Comparison, Draw, Ladder, Outcome, resolve};
use crate::divergence::{Divergence, all_divergences};
use rayon::prelude::*;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T03",
    title: "every drift is a descent direction of every divergence, at the rate E_q[w_f w_g |β|²]",
    check,
};

type Case = Arc<dyn Divergence>;

fn check(budget: &Budget) -> Vec<Outcome> {
    let (fs, gs) = (all_divergences(), budget.divergences());
    let draws = budget.draws(3, [2, 1], [30, 3]);
    let jobs: Vec<(&Draw, &Case)> = draws.iter().flat_map(|draw| gs.iter().map(move |g| (draw, g))).collect();
    jobs.par_iter().map(|(draw, g)| one_drift(draw, g, &fs)).collect()
}

/// One drift against every functional.
fn one_drift(draw: &Draw, g: &Case, fs: &[Case]) -> Outcome {
    let scene = |attempt| Scene::new(&draw.pair, Window::random(&mut draw.stream(attempt), &draw.pair));
    let first = scene(0);
    let ladders = falls(&first, g.as_ref(), fs);
    let comparisons = resolve(fs, |cases, attempt| match attempt {
        0 => compare(draw, &first, g, cases, &ladders),
        _ => {
            let other = scene(attempt);
            compare(draw, &other, g, cases, &falls(&other, g.as_ref(), cases))
        }
    });
    Outcome { comparisons, mutants: mutants(draw, &first, g, fs, &ladders) }
}

/// Central differences of D_f(p‖(id+εχV_g)#q), exactly pushed, for each f.
pub(super) fn falls(scene: &Scene, g: &dyn Divergence, fs: &[Case]) -> Vec<Ladder> {
    let push = scene.drift(g);
    let q: Vec<f64> = (0..scene.chi.len()).map(|i| scene.nodes.q(i)).collect();
    Ladder::central(push.first_step(), |step| {
        let l = push.log_ratio(&scene.pair, &scene.nodes.log_q, step);
        fs.iter().map(|f| scene.grid.integrate_with_size(|i| q[i] * f.f(l[i]))).collect()
    })
}

fn compare(draw: &Draw, scene: &Scene, g: &Case, fs: &[Case], ladders: &[Ladder]) -> Vec<Comparison> {
    let one = |(f, left): (&Case, &Ladder)| {
        let rate = |l: f64| (f.log_weight(l) + g.log_weight(l)).exp();
        against(draw, f, g, left, -scene.mean(rate)).assuming(
            "trapezoid on half of the nodes",
            scene.resolution(rate),
            1e-4,
        )
    };
    fs.iter().zip(ladders).map(one).collect()
}

fn against(draw: &Draw, f: &Case, g: &Case, left: &Ladder, right: f64) -> Comparison {
    let instance = format!("{}, {} along {}", draw.label, f.name(), g.name());
    Comparison::of_ladder(instance, left, right, right.abs(), draw.tolerance())
}

fn mutants(draw: &Draw, scene: &Scene, g: &Case, fs: &[Case], ladders: &[Ladder]) -> Vec<(&'static str, Comparison)> {
    let mut out = Vec::new();
    for (f, left) in fs.iter().zip(ladders) {
        let mut wrong = |what, right: f64| out.push((what, against(draw, f, g, left, right)));
        let rate = |l: f64| (f.log_weight(l) + g.log_weight(l)).exp();
        if f.name() != g.name() {
            wrong("rate w_f² for w_f w_g", -scene.mean(|l| (2.0 * f.log_weight(l)).exp()));
        }
        wrong("mean under p for q", -scene.mean(|l| rate(l) * l.exp()));
        let unsquared =
            |i: usize| scene.nodes.q(i) * scene.chi[i] * rate(scene.nodes.l(i)) * scene.nodes.beta2(i).sqrt();
        wrong("|β| for |β|²", -scene.grid.integrate(unsquared));
    }
    out
}
