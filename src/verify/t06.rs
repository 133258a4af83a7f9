//! T6: every first-order response is an integral over levels against one G_χ(λ) = ∮ χ q|β| dS; inflow through a level is w(e^λ) G_χ(λ).

use super::hypothesis::{integral, normal};
use super::level_sets::{LevelSets, branches, density, log_ratio, root};
use super::t05::SoftStep;
use super::window::{Scene, Window};
use super::{Budget, Claim, Comparison, Draw, Hypothesis, Ladder, Outcome, Takes, integrability, resolve};
use crate::divergence::{Divergence, ReverseKl};
use crate::linalg::Matrix;
use crate::num::{GaussLegendre, exp, ln};
use crate::rng::uniform;
use rayon::prelude::*;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T06",
    title: "mass flows into {l > λ} at w(e^λ) G(λ), with one G for all divergences",
    takes: Takes::AnyDensity,
    hypotheses: &[
        Hypothesis::instance("p, q ∈ C³, so that V is smooth across the level (2)", kink),
        Hypothesis::elsewhere("Ω_λ is fixed before the step (2)", "T05", "live region treated as frozen"),
        Hypothesis::not_run(
            "λ is a regular value on the window (2)",
            "sufficient: on the line both sides are 0 at an extremum of l, and we know no counter-example",
        ),
        Hypothesis::not_run("G > 0 (3)", "where G = 0 both inflows are 0 and have no ratio"),
    ],
    check,
};

type Case = Arc<dyn Divergence>;

fn check(budget: &Budget) -> Vec<Outcome> {
    let divergences = budget.divergences();
    let run = |draw: &Draw| {
        let energy = |f: &Case| integrability::dissipation(f.as_ref(), f.as_ref(), &draw.pair.p, &draw.pair.q);
        let (finite, infinite) = match draw.pair.is_of_mixtures() {
            true => integrability::finite(&divergences, energy),
            // the windowed step has a finite energy, whatever the tails
            false => (divergences.clone(), Vec::new()),
        };
        let mut out = if draw.pair.dim() == 1 { line(draw, &finite) } else { plane(draw, &finite) };
        let refuse = |(f, reason): (Case, String)| Comparison::refused(format!("{}, {}", draw.label, f.name()), reason);
        out.comparisons.extend(infinite.into_iter().map(refuse));
        out
    };
    budget.draws(6, [4, 1], [60, 8]).par_iter().map(run).collect()
}

fn setting(draw: &Draw, attempt: usize) -> (Scene, SoftStep, f64) {
    let mut rng = draw.stream(attempt);
    let scene = Scene::new(&draw.pair, Window::attempt(&mut rng, &draw.pair, attempt));
    let s = SoftStep { level: 2.0 * uniform(&mut rng) - 1.0, width: 0.5 + uniform(&mut rng) };
    let inside = scene.window.centre[0] + scene.window.radius * (uniform(&mut rng) - 0.5);
    (scene, s, inside)
}

/// Statements 1 and 4 with roots of l = λ, 2 with the moved boundary, 3 with the measured inflows.
fn line(draw: &Draw, divergences: &[Case]) -> Outcome {
    let (scene, s, x) = setting(draw, 0);
    let sets = LevelSets::on_the_line(&scene);
    let mut out = Outcome::default();
    for f in divergences {
        let gain = |l: f64| s.slope(l) * f.weight(l);
        let name = |what: &str| format!("{}, {}, {what}", draw.label, f.name());
        let volume = scene.mean(gain);
        let compare = |right: f64| Comparison::exact(name("soft gain"), volume, right, volume, 1e-8);
        out.comparisons.push(compare(sets.integrate(gain)));
        let wrong = |right: f64| compare(right).unless_true(volume);
        out.mutants.push(("∮ p|β| dS for ∮ q|β| dS", wrong(sets.integrate(|l| gain(l) * exp(l)))));
        // true for reverse KL
        if f.weight(1.0) != f.weight(-1.0) {
            let mirrored = |l: f64| s.slope(l) * f.weight(-l);
            out.mutants.push(("w(e^(-λ)) for w(e^λ)", wrong(sets.integrate(mirrored))));
        }
    }
    let inflow = |cases: &[Case], attempt: usize| -> Vec<Comparison> {
        let (scene, _, x) = setting(draw, attempt);
        cases.iter().map(|f| sharp(draw, &scene, f, x, true)).collect()
    };
    out.comparisons.extend(resolve(divergences, inflow));
    for f in divergences {
        let truth = sharp(draw, &scene, f, x, true).right;
        out.mutants.push(("G without |β|", sharp(draw, &scene, f, x, false).unless_true(truth)));
        if f.name() != ReverseKl.name() {
            out.comparisons.push(slope(draw, &scene, f, x, 1.0));
            let truth = slope(draw, &scene, f, x, 1.0).right;
            out.mutants.push(("slope e_g - e_f", slope(draw, &scene, f, x, -1.0).unless_true(truth)));
        }
    }
    out
}

/// The mass that a step of size η brings into {l₀ > λ}: at a root ρ of l = λ, the particles between T⁻¹ρ and ρ cross.
fn inflow(scene: &Scene, f: &dyn Divergence, level: f64) -> Ladder {
    let rule = GaussLegendre::new(16);
    let field = |x: f64| scene.window.at(&[x]).0 * scene.pair.at(&Matrix::filled(1, 1, x)).drift(f)[(0, 0)];
    let mass = |a: f64, b: f64| rule.integrate(a, b, 1, |x| scene.pair.at(&Matrix::filled(1, 1, x)).q(0));
    let crossings = crossings(scene, level);
    Ladder::central(scene.drift(f).first_step(), |step| {
        let (mut sum, mut size) = (0.0, 0.0);
        for &(root, direction) in &crossings {
            let mut x = root;
            // a contraction of factor at most 1/4
            (0..30).for_each(|_| x = root - step * field(x));
            let moved = direction * mass(x, root);
            sum += moved;
            // a root is known to its last bit, and that much mass with it
            size += moved.abs() + root.abs() * scene.pair.at(&Matrix::filled(1, 1, root)).q(0);
        }
        vec![(sum, size)]
    })
    .swap_remove(0)
}

/// The roots of l = λ in the window with the sign of β.
fn crossings(scene: &Scene, level: f64) -> Vec<(f64, f64)> {
    let ends = |(a, b): (f64, f64)| (a, b, log_ratio(&scene.pair, a), log_ratio(&scene.pair, b));
    let cut = branches(scene).into_iter().map(ends).filter(|(_, _, la, lb)| (la - level) * (lb - level) < 0.0);
    cut.map(|(a, b, la, lb)| (root(&scene.pair, level, a, b), (lb - la).signum())).collect()
}

/// Statement 2 at the level of x.
fn sharp(draw: &Draw, scene: &Scene, f: &Case, x: f64, with_beta: bool) -> Comparison {
    let level = log_ratio(&scene.pair, x);
    let term = |(root, _): &(f64, f64)| {
        let beta = scene.pair.at(&Matrix::filled(1, 1, *root)).beta2(0).sqrt();
        density(scene, &[*root]) / if with_beta { 1.0 } else { beta }
    };
    let right = f.weight(level) * crossings(scene, level).iter().map(term).sum::<f64>();
    let instance = format!("{}, {}, inflow at λ = {level:.3}", draw.label, f.name());
    Comparison::of_ladder(instance, &inflow(scene, f.as_ref(), level), right, right.abs(), draw.tolerance())
}

/// Statement 3 between two levels: the log-ratio of measured inflows of f and reverse KL changes by ∫ (e_f - e_g) dλ, e_g = 0.
fn slope(draw: &Draw, scene: &Scene, f: &Case, x: f64, sign: f64) -> Comparison {
    let (a, b) = (log_ratio(&scene.pair, x), log_ratio(&scene.pair, x + 0.2 * scene.window.radius));
    let instance = format!("{}, {}, slope of the inflow", draw.label, f.name());
    // the smallest step at which rounding is below 1e-6, where truncation is the least
    let measured = |f: &dyn Divergence, level: f64| {
        let ladder = inflow(scene, f, level);
        let rung = ladder.finest_rung(1e-6 * ladder.values[ladder.values.len() / 2].abs());
        (ladder.rounding[rung] <= 2e-6 * ladder.values[rung].abs()).then_some(ladder.values[rung])
    };
    let log_ratio = |level: f64| Some(ln(measured(f.as_ref(), level)? / measured(&ReverseKl, level)?));
    let Some((at_a, at_b)) = log_ratio(a).zip(log_ratio(b)) else {
        return Comparison::refused(
            instance,
            "no step moves the boundary by more than rounding and less than the window",
        );
    };
    let right = sign * GaussLegendre::new(16).integrate(a, b, 1, |l| f.elasticity(l));
    Comparison::exact(instance, at_b - at_a, right, right.abs().max(1e-2), 1e-4)
}

/// Level sets of one window on six grids.
struct Plane {
    scene: Scene,
    s: SoftStep,
    cells: Vec<usize>,
    sets: Vec<LevelSets>,
}

impl Plane {
    fn new(draw: &Draw, attempt: usize) -> Self {
        let (scene, s, _) = setting(draw, attempt);
        let inside = (0..scene.chi.len()).filter(|&i| scene.chi[i] > 1e-9).map(|i| scene.nodes.l(i));
        let (low, high) = inside.fold((f64::INFINITY, f64::NEG_INFINITY), |m, l| (m.0.min(l), m.1.max(l)));
        let levels: Vec<f64> = (0..=1500).map(|k| low + (high - low) * f64::from(k) / 1500.0).collect();
        let cells: Vec<usize> = (0..6).map(|k| 36 << k).collect();
        let sets = cells.iter().map(|&n| LevelSets::in_the_plane(&scene, n, &levels)).collect();
        Self { scene, s, cells, sets }
    }

    /// Statement 1: ∫ k G_χ on n×n cells, n doubling, against the volume integral; order 2 in 1/n. `factor` spoils k.
    fn compare(&self, draw: &Draw, f: &Case, factor: impl Fn(f64) -> f64) -> Comparison {
        let gain = |l: f64| self.s.slope(l) * f.weight(l);
        let ladder = Ladder {
            steps: self.cells.iter().map(|n| 1.0 / *n as f64).collect(),
            values: self.sets.iter().map(|set| set.integrate(|l| gain(l) * factor(l))).collect(),
            rounding: vec![0.0; self.cells.len()],
            order: 2.0,
        };
        let volume = self.scene.mean(gain);
        let instance = format!("{}, {}, soft gain", draw.label, f.name());
        Comparison::of_ladder(instance, &ladder, volume, volume, 5e-4)
    }
}

fn plane(draw: &Draw, divergences: &[Case]) -> Outcome {
    let first = Plane::new(draw, 0);
    let comparisons = resolve(divergences, |cases, attempt| {
        let other = (attempt > 0).then(|| Plane::new(draw, attempt));
        cases.iter().map(|f| other.as_ref().unwrap_or(&first).compare(draw, f, |_| 1.0)).collect()
    });
    // the volume form of the variant tells where it is true
    let volume = |f: &Case| first.scene.mean(|l| first.s.slope(l) * f.weight(l) * exp(l));
    let wrong = |f: &Case| {
        let wrong = first.compare(draw, f, exp);
        let same = (volume(f) - wrong.right).abs() <= wrong.tolerance * wrong.scale;
        ("∮ p|β| dS for ∮ q|β| dS", wrong.unless(same))
    };
    Outcome { comparisons, mutants: divergences.iter().map(wrong).collect() }
}

/// l = x left of 0 and 2x right of it, q = N(0, 1), reverse KL: what flows in during a step comes from the left, with half of β on the right.
fn kink() -> Comparison {
    let step = 1e-4;
    let left = integral(-step * ReverseKl.weight(0.0), 0.0, normal) / step;
    let right = ReverseKl.weight(0.0) * normal(0.0) * 2.0;
    Comparison::exact("l = x and 2x on the sides of the level, reverse KL: inflow of a step", left, right, right, 1e-3)
}
