//! T3: along χV_g every D_f falls at the rate E_q[χ w_f w_g |β|²]; along an exact flow, by the integral of that rate.

use super::hypothesis::{settles, within};
use super::integrability::{Exponents, dissipation, finite};
use super::window::{Scene, Window};
use super::{Budget, Claim, Comparison, Draw, Grid, Hypothesis, Ladder, Nodes, Outcome, Pair, Takes, resolve};
use crate::density::GaussianMixture;
use crate::divergence::{Divergence, ForwardKl, ReverseKl, all_divergences};
use crate::linalg::Matrix;
use crate::num::{GaussLegendre, exp};
use crate::rng::fill_uniform;
use rayon::prelude::*;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T03",
    title: "without smoothing every drift is a descent direction of every divergence, at the rate E_q[w_f w_g |β|²]",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::elsewhere("the drift is not smoothed", "T21", "every smoothed drift lowers every divergence"),
        Hypothesis::elsewhere(
            "the weight of the drift is not negative (3)",
            "T08",
            "the moving reference lowers KL(q‖p)",
        ),
        Hypothesis::instance("the flux condition, and with it a finite rate (2)", infinite_rate),
    ],
    check,
};

type Case = Arc<dyn Divergence>;

fn check(budget: &Budget) -> Vec<Outcome> {
    let (fs, gs) = (all_divergences(), budget.divergences());
    let draws = budget.draws(3, [2, 1], [30, 3]);
    let jobs: Vec<(&Draw, &Case)> = draws.iter().flat_map(|draw| gs.iter().map(move |g| (draw, g))).collect();
    let mut out: Vec<Outcome> = jobs.par_iter().map(|(draw, g)| one_drift(draw, g, &fs)).collect();
    let line = draws.par_iter().filter(|draw| draw.pair.dim() == 1);
    out.par_extend(line.map(|draw| along_the_flow(draw, &gs)));
    out
}

/// Statement 2 where the flow is known: by reverse KL N(m, v) goes to N(0, 1) as N(m e^-t, 1 + (v-1)e^-2t). Both sides by quadrature:
/// D_f at the ends of [0, 1] against its rate in between, 32 Gauss–Legendre points in t (error below 1e-12 for rates e^(-at), a ≤ 8).
fn along_the_flow(draw: &Draw, fs: &[Case]) -> Outcome {
    let mut u = [0.0f64; 2];
    fill_uniform(&mut draw.stream(0), &mut u);
    let (mean, variance) = (2.0 * u[0] - 1.0, 0.8 + 0.5 * u[1]);
    let gaussian = |m: f64, v: f64| GaussianMixture::gaussian(&[m], Matrix::filled(1, 1, v)).expect("a variance");
    let pair = |t: f64| Pair {
        p: gaussian(0.0, 1.0).into(),
        q: gaussian(mean * exp(-t), 1.0 + (variance - 1.0) * exp(-2.0 * t)).into(),
    };
    let start = pair(0.0);
    let mut out = Outcome::default();
    for f in fs {
        let name = format!("{}, {} along the flow of reverse KL", draw.label, f.name());
        let infinite = dissipation(f.as_ref(), &ReverseKl, &start.p, &start.q).refusal().map(str::to_owned);
        let ends = || start.ends_of_powers(Exponents::span(f.as_ref()), 9.0);
        let grid = match infinite.map_or_else(|| Grid::affordable(&ends(), start.finest() / 16.0), Err) {
            Ok(grid) => grid,
            Err(reason) => {
                out.comparisons.push(Comparison::refused(name, reason));
                continue;
            }
        };
        let mean_at = |t: f64, g: &dyn Fn(&Nodes, usize) -> f64| {
            let nodes = pair(t).at(&grid.nodes);
            grid.integrate(|i| nodes.q(i) * g(&nodes, i))
        };
        let value = |t: f64| mean_at(t, &|n, i| f.f(n.l(i)));
        // r is farthest from 1 at the start
        let nodes = start.at(&grid.nodes);
        let cut = grid.cut(|i| nodes.q(i) * f.weight(nodes.l(i)) * nodes.beta2(i));
        let rate = |t: f64| mean_at(t, &|n, i| f.weight(n.l(i)) * n.beta2(i));
        let left = value(1.0) - value(0.0);
        let over_time = |panels| -GaussLegendre::new(16).integrate(0.0, 1.0, panels, rate);
        let right = over_time(2);
        let in_time = (over_time(1) - right).abs() / left.abs();
        let against = |right: f64| {
            let compared = Comparison::exact(name.clone(), left, right, left.abs(), 1e-9);
            let compared = compared.resolving("beyond the ends of the grid", cut, 1e-9);
            compared.resolving("half as many points in time", in_time, f64::INFINITY)
        };
        out.comparisons.push(against(right));
        out.mutants.push(("the rate at the start for all times", against(-rate(0.0))));
    }
    out
}

/// One drift against every functional.
fn one_drift(draw: &Draw, g: &Case, fs: &[Case]) -> Outcome {
    let scene = |attempt| Scene::new(&draw.pair, Window::attempt(&mut draw.stream(attempt), &draw.pair, attempt));
    let first = scene(0);
    let (fs, infinite) = finite(fs, |f| dissipation(f.as_ref(), g.as_ref(), &draw.pair.p, &draw.pair.q));
    let fs = &fs[..];
    let ladders = falls(&first, g.as_ref(), fs);
    let mut comparisons = resolve(fs, |cases, attempt| match attempt {
        0 => compare(draw, &first, g, cases, &ladders),
        _ => {
            let other = scene(attempt);
            compare(draw, &other, g, cases, &falls(&other, g.as_ref(), cases))
        }
    });
    comparisons.extend(
        infinite
            .into_iter()
            .map(|(f, reason)| Comparison::refused(format!("{}, {} along {}", draw.label, f.name(), g.name()), reason)),
    );
    Outcome { comparisons, mutants: mutants(draw, &first, g, fs, &ladders) }
}

/// Central differences of D_f(p‖(id+εχV_g)#q), exactly pushed, for each f.
pub(super) fn falls(scene: &Scene, g: &dyn Divergence, fs: &[Case]) -> Vec<Ladder> {
    let push = scene.drift(g);
    let q: Vec<f64> = (0..scene.chi.len()).map(|i| scene.nodes.q(i)).collect();
    let noise = |f: &Case| scene.grid.noise(|i| q[i] * f.u_df(scene.nodes.l(i)) * scene.nodes.log_size(i));
    let noise: Vec<f64> = fs.iter().map(noise).collect();
    Ladder::central(push.first_step(), |step| {
        let l = push.log_ratio(&scene.pair, &scene.nodes.log_q, step);
        let value = |(f, noise): (&Case, &f64)| {
            let (value, size) = scene.grid.integrate_with_size(|i| q[i] * f.f(l[i]));
            (value, size + noise)
        };
        fs.iter().zip(&noise).map(value).collect()
    })
}

fn compare(draw: &Draw, scene: &Scene, g: &Case, fs: &[Case], ladders: &[Ladder]) -> Vec<Comparison> {
    let one = |(f, left): (&Case, &Ladder)| {
        let rate = |l: f64| exp(f.log_weight(l) + g.log_weight(l));
        against(draw, f, g, left, -scene.mean(rate)).resolving(
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
        let rate = |l: f64| exp(f.log_weight(l) + g.log_weight(l));
        let truth = -scene.mean(rate);
        let mut wrong = |what, right: f64| out.push((what, against(draw, f, g, left, right).unless_true(truth)));
        if f.name() != g.name() {
            wrong("rate w_f² for w_f w_g", -scene.mean(|l| exp(2.0 * f.log_weight(l))));
        }
        wrong("mean under p for q", -scene.mean(|l| rate(l) * exp(l)));
        let unsquared =
            |i: usize| scene.nodes.q(i) * scene.chi[i] * rate(scene.nodes.l(i)) * scene.nodes.beta2(i).sqrt();
        wrong("|β| for |β|²", -scene.grid.integrate(unsquared));
    }
    out
}

/// Forward KL along its own drift between N(0, 1) and N(0, 0.45): D_f is finite, and its rate E_q[r²β²] is not.
fn infinite_rate() -> Comparison {
    let pair = Pair::on_the_line(&[[1.0, 0.0, 1.0]], &[[1.0, 0.0, 0.45f64.sqrt()]]);
    let rate = |n: &Nodes, i: usize| ForwardKl.weight(n.l(i)).powi(2) * n.beta2(i);
    settles("forward KL, N(0, 1) and N(0, 0.45): the rate", 8.0, |radius| within(&pair, radius, rate))
}
