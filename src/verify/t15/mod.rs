//! T15: reaction repairs what transport cannot: dissipation, exact laws of the masses, local rates, and the code step that ships.

use crate::divergence::Divergence;
use crate::num::{exp, exp_m1, ln, ln_1p, sum};
use crate::velocity::{LogRatioClip, growth};
use crate::verify::t05::refused;
use crate::verify::window::{Scene, Window};
use crate::verify::{Budget, Claim, Comparison, Draw, Grid, Hypothesis, Ladder, Outcome, Push, Takes, resolve};
use rayon::prelude::*;
use std::sync::Arc;

mod codes;
mod masses;

pub(super) const CLAIM: Claim = Claim {
    id: "T15",
    title: "reaction repairs the masses that transport cannot, at the local rate w(1)",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::instance("(c) all a_k > 0", masses::extinct),
        Hypothesis::variant("(c) the images are disjoint", "Var_q(φ) as the dissipation of the code step"),
        Hypothesis::not_run(
            "(a) ∂_t q is dominated, and no flux at infinity",
            "sufficient: the derivative passes under the integral; checked within windows, where nothing is needed",
        ),
    ],
    check,
};

pub(super) type Case = Arc<dyn Divergence>;

fn check(budget: &Budget) -> Vec<Outcome> {
    let divergences = budget.divergences();
    let draws = budget.draws(15, [4, 1], [60, 6]);
    let jobs: Vec<(&Draw, &Case)> = draws.iter().flat_map(|d| divergences.iter().map(move |f| (d, f))).collect();
    let mut out: Vec<Outcome> = jobs
        .par_iter()
        .map(|(draw, f)| {
            if let Some(refused) = refused(draw, f) {
                return refused;
            }
            let comparisons = resolve(&[()], |_, attempt| vec![Setting::new(draw, f, attempt).dissipation()]);
            Outcome { comparisons, mutants: Setting::new(draw, f, 0).mutants() }
        })
        .collect();
    out.par_extend(draws.par_iter().map(reaction_alone));
    out.par_extend(jobs.par_iter().filter(|(d, _)| d.pair.dim() == 1).map(|(draw, f)| masses::one(draw, f)));
    out.par_extend(jobs.par_iter().filter(|(d, _)| d.pair.dim() == 1).map(|(draw, f)| codes::one(draw, f)));
    out.push(masses::table(&divergences));
    out
}

/// A windowed step: transport along χV and growth at the rate χ(g - its mean), so that the mass stays exactly.
struct Setting<'a> {
    draw: &'a Draw,
    f: &'a Case,
    scene: Scene,
    push: Push,
    growth: Vec<f64>,
}

impl<'a> Setting<'a> {
    fn new(draw: &'a Draw, f: &'a Case, attempt: usize) -> Self {
        let scene = Scene::new(&draw.pair, Window::attempt(&mut draw.stream(attempt), &draw.pair, attempt));
        let (push, raw) = (scene.drift(f.as_ref()), growth(f.as_ref(), LogRatioClip::NONE, &scene.nodes.log_ratio()));
        let mean = windowed_mean(&scene, &raw);
        let growth = raw.iter().zip(&scene.chi).map(|(g, chi)| chi * (g - mean)).collect();
        Self { draw, f, scene, push, growth }
    }

    /// Central differences of D_f along (id+εχV)#(q(1+εg)): the density at Tx is q(x)(1+εg(x))/det.
    fn left(&self, growth: &[f64]) -> Ladder {
        let nodes = &self.scene.nodes;
        let largest = growth.iter().fold(0.0f64, |m, g| m.max(g.abs()));
        let first = if largest > 0.0 { self.push.first_step().min(0.25 / largest) } else { self.push.first_step() };
        let q: Vec<f64> = (0..growth.len()).map(|i| nodes.q(i)).collect();
        let noise = self.scene.grid.noise(|i| q[i] * self.f.u_df(nodes.l(i)) * nodes.log_size(i));
        Ladder::central(first, |step| {
            let l = self.push.log_ratio(&self.scene.pair, &nodes.log_q, step);
            let gained = |i: usize| q[i] * (1.0 + step * growth[i]) * self.f.f(l[i] - ln_1p(step * growth[i]));
            let (value, size) = self.scene.grid.integrate_with_size(gained);
            vec![(value, size + noise)]
        })
        .swap_remove(0)
    }

    /// -E_q[χ|V|²] - E_q[χ(φ - mean)²].
    fn right(&self) -> f64 {
        let scene = &self.scene;
        let phi: Vec<f64> = (0..scene.chi.len()).map(|i| self.f.first_variation(scene.nodes.l(i))).collect();
        let mean = windowed_mean(scene, &phi);
        let variance = scene.grid.integrate(|i| scene.nodes.q(i) * scene.chi[i] * (phi[i] - mean).powi(2));
        -scene.mean(|l| exp(2.0 * self.f.log_weight(l))) - variance
    }

    fn against(&self, left: &Ladder, right: f64) -> Comparison {
        let instance = format!("{}, {}, dissipation", self.draw.label, self.f.name());
        Comparison::of_ladder(instance, left, right, right.abs(), self.draw.tolerance())
    }

    /// Whether the mean of φ is known too coarsely: the growth then makes mass at the rate u E_q[χ|φ|], and D_f rises or falls by φ
    /// times that, more than the tolerance of the rate.
    fn drowned(&self) -> bool {
        let scene = &self.scene;
        let phi: Vec<f64> = (0..scene.chi.len()).map(|i| self.f.first_variation(scene.nodes.l(i))).collect();
        let square = scene.grid.integrate(|i| scene.nodes.q(i) * scene.chi[i] * phi[i] * phi[i]);
        f64::EPSILON * square > self.draw.tolerance() * self.right().abs()
    }

    fn dissipation(&self) -> Comparison {
        if self.drowned() {
            let instance = format!("{}, {}, dissipation", self.draw.label, self.f.name());
            return Comparison::refused(
                instance,
                "φ is so nearly constant on the window that rounding of its mean makes more mass than the growth moves",
            );
        }
        let resolution = self.scene.resolution(|l| exp(2.0 * self.f.log_weight(l)));
        self.against(&self.left(&self.growth), self.right()).resolving(
            "trapezoid on half of the nodes",
            resolution,
            1e-4,
        )
    }

    fn mutants(&self) -> Vec<(&'static str, Comparison)> {
        if self.drowned() {
            return Vec::new();
        }
        let right = self.right();
        // along another growth g the reaction changes D_f at E_q[χ…]: -E_q[φ g], beside the transport's share
        let response = |g: &[f64]| {
            let scene = &self.scene;
            scene.grid.integrate(|i| scene.nodes.q(i) * self.f.first_variation(scene.nodes.l(i)) * g[i])
        };
        let truth = response(&self.growth);
        let with = |g: Vec<f64>| {
            let wrong = self.against(&self.left(&g), right);
            let same = (response(&g) - truth).abs() <= wrong.tolerance * right.abs();
            wrong.unless(same)
        };
        let (nodes, chi) = (&self.scene.nodes, &self.scene.chi);
        let all = |g: &dyn Fn(usize) -> f64| (0..chi.len()).map(g).collect::<Vec<f64>>();
        let slopes = all(&|i| self.f.u_df(nodes.l(i)) * exp(-nodes.l(i)));
        let mean = windowed_mean(&self.scene, &slopes);
        let mut out = vec![
            ("growth with the other sign", with(all(&|i| -self.growth[i]))),
            ("f'(r) for φ", with(all(&|i| -chi[i] * (slopes[i] - mean)))),
        ];
        // it would change the rate by (E_q[χφ])²/E_q[χ]: true where φ happens to be centred
        let phi = all(&|i| self.f.first_variation(nodes.l(i)));
        out.push(("growth that is not centred", with(all(&|i| -chi[i] * phi[i]))));
        out
    }
}

/// E_q[χ g]/E_q[χ].
fn windowed_mean(scene: &Scene, g: &[f64]) -> f64 {
    let weight = |i: usize| scene.nodes.q(i) * scene.chi[i];
    scene.grid.integrate(|i| weight(i) * g[i]) / scene.grid.integrate(weight)
}

/// (b): along the two exact laws of reaction alone, d/dt E_{q_t}[a] = E_{q_t}[a g] for a window a, g by the shipped growth.
fn reaction_alone(draw: &Draw) -> Outcome {
    let window = Window::random(&mut draw.stream(0), &draw.pair);
    let spacing = draw.pair.finest() / if draw.pair.dim() == 1 { 16.0 } else { 6.0 };
    let grid = Grid::covering(&draw.pair.ends(10.0), spacing);
    let nodes = draw.pair.at(&grid.nodes);
    let a: Vec<f64> = grid.nodes.iter_rows().map(|x| window.at(x).0).collect();
    let reverse = |t: f64| {
        let log: Vec<f64> = (0..a.len()).map(|i| nodes.log_p[i] - exp(-t) * nodes.l(i)).collect();
        let mass = sum(&log.iter().map(|l| exp(*l)).collect::<Vec<_>>()) * grid.cell;
        log.into_iter().map(|l| l - ln(mass)).collect::<Vec<f64>>()
    };
    let forward =
        |t: f64| (0..a.len()).map(|i| nodes.log_p[i] + ln_1p(exp(-t) * exp_m1(-nodes.l(i)))).collect::<Vec<f64>>();
    let one = |law: &dyn Fn(f64) -> Vec<f64>, f: &dyn Divergence, what: &str| {
        let t = 0.7;
        let left = Ladder::central(0.25, |step| {
            let log_q = law(t + step);
            vec![grid.integrate_with_size(|i| a[i] * exp(log_q[i]))]
        });
        let log_q = law(t);
        let q: Vec<f64> = log_q.iter().map(|l| exp(*l)).collect();
        let l: Vec<f64> = (0..a.len()).map(|i| nodes.log_p[i] - log_q[i]).collect();
        let g = growth(f, LogRatioClip::NONE, &l);
        let mean = grid.integrate(|i| q[i] * g[i]);
        let (right, scale) = grid.integrate_with_size(|i| a[i] * q[i] * (g[i] - mean));
        Comparison::of_ladder(format!("{}, {what}", draw.label), &left[0], right, scale, draw.tolerance())
    };
    let (kl, lk) = (crate::divergence::ReverseKl, crate::divergence::ForwardKl);
    Outcome {
        comparisons: vec![
            one(&reverse, &kl, "q_t ∝ p^(1-e^-t) q^(e^-t), reverse KL"),
            one(&forward, &lk, "q_t = e^-t q + (1-e^-t) p, forward KL"),
        ],
        mutants: vec![("the law of the other divergence", {
            let truth = one(&reverse, &kl, "").right;
            one(&reverse, &lk, "forward KL along reverse KL's law").unless_true(truth)
        })],
    }
}
