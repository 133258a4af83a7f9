//! T5: what one windowed step χV does to E_p[s(l)], to E_q[s(l)] and to the mass of a frozen soft region.

use super::hypothesis::{integral, normal};
use super::window::{Scene, Window};
use super::{Budget, Claim, Comparison, Draw, Hypothesis, Ladder, Outcome, Push, Takes, dot, integrability, resolve};
use crate::density::GaussianMixture;
use crate::divergence::Divergence;
use crate::num::{exp, ln};
use crate::rng::uniform;
use rayon::prelude::*;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T05",
    title: "one step changes the soft under-coverage E_p[s(l)] at the rate -E_p[w (s'+s'')(l) |β|²]",
    takes: Takes::AnyDensity,
    hypotheses: &[
        Hypothesis::instance("s ∈ C³ with bounded derivatives", sharp),
        Hypothesis::variant("κ ≥ 1, where U is to fall (4)", "U falls for every κ"),
        Hypothesis::elsewhere("the drift is not smoothed (4)", "T21", "U_h falls along every drift where κ ≥ 1"),
        Hypothesis::variant("the region of (3) is fixed before the step", "live region treated as frozen"),
    ],
    check,
};

type Case = Arc<dyn Divergence>;

fn check(budget: &Budget) -> Vec<Outcome> {
    let divergences = budget.divergences();
    let draws = budget.draws(5, [4, 1], [60, 6]);
    let jobs: Vec<(&Draw, &Case)> = draws.iter().flat_map(|d| divergences.iter().map(move |f| (d, f))).collect();
    jobs.par_iter()
        .map(|(draw, f)| {
            if let Some(refused) = refused(draw, f) {
                return refused;
            }
            let first = Setting::new(draw, f, 0);
            let ladders = first.ladders();
            let comparisons = resolve(&Response::ALL, |cases, attempt| match attempt {
                0 => first.compare(cases, &ladders),
                _ => {
                    let other = Setting::new(draw, f, attempt);
                    other.compare(cases, &other.ladders())
                }
            });
            Outcome { comparisons, mutants: first.mutants(&ladders) }
        })
        .collect()
}

/// Without a finite energy E_q|V|² (T7) a step of the whole drift has no first-order response: refused with the reason.
pub(super) fn refused(draw: &Draw, f: &Case) -> Option<Outcome> {
    // the step is windowed; of other tails than Gaussian ones T7 says nothing here
    if !draw.pair.is_of_mixtures() {
        return None;
    }
    let energy = integrability::dissipation(f.as_ref(), f.as_ref(), &draw.pair.p, &draw.pair.q);
    let reason = energy.refusal()?;
    let refused = Comparison::refused(format!("{}, {}", draw.label, f.name()), reason);
    Some(Outcome { comparisons: vec![refused], mutants: Vec::new() })
}

/// The logistic step s(l) = 1/(1 + e^(-(l-τ)/κ)).
#[derive(Debug, Clone, Copy)]
pub(super) struct SoftStep {
    /// τ.
    pub level: f64,
    /// κ.
    pub width: f64,
}

impl SoftStep {
    /// s.
    pub fn value(&self, l: f64) -> f64 {
        1.0 / (1.0 + exp((self.level - l) / self.width))
    }

    /// s' = s(1-s)/κ.
    pub fn slope(&self, l: f64) -> f64 {
        let s = self.value(l);
        s * (1.0 - s) / self.width
    }

    /// s'' = s'(1-2s)/κ.
    pub fn bend(&self, l: f64) -> f64 {
        self.slope(l) * (1.0 - 2.0 * self.value(l)) / self.width
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Response {
    /// d/dη E_p[s(l)].
    Target,
    /// d/dη E_q[s(l)].
    Model,
    /// d/dη E_qη[s(l₀)].
    Frozen,
    /// E_p[s(l)] less its tangent, of order η².
    Remainder,
    /// The middle member of statement 1 against the last.
    ByParts,
}

impl Response {
    const ALL: [Self; 5] = [Self::Target, Self::Model, Self::Frozen, Self::Remainder, Self::ByParts];
}

/// The largest trace of an inverse covariance of a component.
fn precision(p: &GaussianMixture) -> f64 {
    let d = p.means().cols();
    let unit = |j: usize| (0..d).map(|i| if i == j { 1.0 } else { 0.0 }).collect::<Vec<f64>>();
    let trace = |k: usize| (0..d).map(|j| p.factors()[k].inverse_quadratic_form(&unit(j))).sum::<f64>();
    (0..p.components()).map(trace).fold(0.0, f64::max)
}

struct Setting<'a> {
    draw: &'a Draw,
    f: &'a Case,
    scene: Scene,
    push: Push,
    s: SoftStep,
}

impl<'a> Setting<'a> {
    fn new(draw: &'a Draw, f: &'a Case, attempt: usize) -> Self {
        let mut rng = draw.stream(attempt);
        let scene = Scene::new(&draw.pair, Window::attempt(&mut rng, &draw.pair, attempt));
        // κ on both sides of one, where the sign of the response changes its nature
        let s = SoftStep { level: 2.0 * uniform(&mut rng) - 1.0, width: 0.5 + uniform(&mut rng) };
        let push = scene.drift(f.as_ref());
        Self { draw, f, scene, push, s }
    }

    /// E_p[s(l)], E_q[s(l)] and the frozen mass after a step, over the window's box, each with the size of its terms.
    fn functionals(&self, step: f64) -> Vec<(f64, f64)> {
        let (nodes, grid) = (&self.scene.nodes, &self.scene.grid);
        let moved = self.push.moved(step);
        let (log_p, log_q) = (self.scene.pair.p.log_density(&moved), self.scene.pair.q.log_density(&moved));
        // l_η(Tx) = log p(Tx) - log q(x) + log det(I + ηDξ), and p(Tx) dTx = p(Tx) det dx
        let log_det: Vec<f64> = (0..log_p.len()).map(|i| self.push.log_det(step, i)).collect();
        let l = |i: usize| log_p[i] - nodes.log_q[i] + log_det[i];
        let p = |i: usize| exp(log_p[i] + log_det[i]);
        let slope = |i: usize| self.s.slope(l(i)) * nodes.log_size(i);
        vec![
            grid.integrate_with_noise(
                |i| p(i) * self.s.value(l(i)),
                |i| p(i) * (slope(i) + self.s.value(l(i)) * nodes.log_p[i].abs()),
            ),
            grid.integrate_with_noise(|i| nodes.q(i) * self.s.value(l(i)), |i| nodes.q(i) * slope(i)),
            grid.integrate_with_noise(|i| nodes.q(i) * self.s.value(log_p[i] - log_q[i]), |i| nodes.q(i) * slope(i)),
        ]
    }

    /// (right side, size of its terms).
    fn right(&self, response: Response) -> (f64, f64) {
        let (s, w) = (self.s, |l: f64| self.f.weight(l));
        match response {
            Response::Model => self.scene.mean_with_size(|l| w(l) * (s.slope(l) - s.bend(l))),
            Response::Frozen => self.scene.mean_with_size(|l| w(l) * s.slope(l)),
            _ => self.scene.mean_with_size(|l| -exp(l) * w(l) * (s.slope(l) + s.bend(l))),
        }
    }

    /// E_p[s'(l) (div ξ + ξ·s_q)], the middle member of statement 1.
    ///
    /// With what its rounding is relative to: the terms, each times the exponents of its factors p, s' and χ; and where p and q nearly
    /// coincide, the scores and curvatures whose differences ξ and div ξ are.
    fn by_parts(&self) -> (f64, f64) {
        let nodes = &self.scene.nodes;
        let score = |i: usize| super::pair::vector(nodes.score_q.row(i));
        let slope = |i: usize| nodes.p(i) * self.s.slope(nodes.l(i));
        let term = |i: usize| {
            let jacobian = self.push.jacobian[i];
            slope(i) * (jacobian[0][0] + jacobian[1][1] + dot(self.push.displacement[i], score(i)))
        };
        let curvature = precision(&self.scene.pair.p) + precision(&self.scene.pair.q);
        let differences = |i: usize| {
            let length = |v: [f64; 2]| dot(v, v).sqrt();
            let (a, b) = (length(super::pair::vector(nodes.score_p.row(i))), length(score(i)));
            slope(i) * self.f.weight(nodes.l(i)) * self.scene.chi[i] * ((a + b) * b + curvature)
        };
        let exponents = |i: usize| 1.0 + nodes.log_size(i) - ln(self.scene.chi[i].max(f64::MIN_POSITIVE));
        let size = self.scene.grid.integrate(|i| term(i).abs() * exponents(i) + differences(i));
        (self.scene.grid.integrate(term), size)
    }

    /// Central differences of the three functionals.
    fn ladders(&self) -> Vec<Ladder> {
        Ladder::central(self.push.first_step(), |step| self.functionals(step))
    }

    fn compare(&self, cases: &[Response], differences: &[Ladder]) -> Vec<Comparison> {
        cases.iter().map(|&case| self.one(case, differences)).collect()
    }

    fn one(&self, case: Response, differences: &[Ladder]) -> Comparison {
        let (right, scale) = self.right(case);
        let left = match case {
            Response::ByParts => {
                let (left, size) = self.by_parts();
                let (s_slope, s_bend) = (|l: f64| self.s.slope(l), |l: f64| self.s.bend(l));
                // the terms of div ξ + ξ·s_q may cancel: some tens of roundings of their size
                let rounding = 16.0 * f64::EPSILON * size / scale;
                // the trapezoid's error is the square of its change on half of the nodes
                let resolution = self.scene.resolution(|l| exp(l) * self.f.weight(l) * (s_slope(l) + s_bend(l).abs()));
                let tolerance = (1e-2 * self.draw.tolerance()).max(rounding).max(4.0 * resolution * resolution);
                return Comparison::exact(self.instance(case), left, right, scale, tolerance);
            }
            Response::Remainder => {
                let start = self.functionals(0.0)[0];
                let remainder = |step| self.functionals(step)[0].0 - start.0 - step * right;
                let first = self.push.first_step();
                let ladder = Ladder::quotients(first, 2.0, |h| vec![(remainder(h), 2.0 * start.1)]);
                // beside the linear term of the first step it is of order one there, and 2^-30 = 1e-9 of that at the last
                return Comparison::of_ladder(self.instance(case), &ladder[0], 0.0, first * scale, 1e-6);
            }
            Response::Target => &differences[0],
            Response::Model => &differences[1],
            Response::Frozen => &differences[2],
        };
        let resolution = self.scene.resolution(|l| self.f.weight(l) * self.s.slope(l));
        Comparison::of_ladder(self.instance(case), left, right, scale, self.draw.tolerance()).resolving(
            "trapezoid on half of the nodes",
            resolution,
            1e-4,
        )
    }

    fn instance(&self, case: Response) -> String {
        let s = self.s;
        format!("{}, {}, {case:?}, τ = {:.2}, κ = {:.2}", self.draw.label, self.f.name(), s.level, s.width)
    }

    fn mutants(&self, ladders: &[Ladder]) -> Vec<(&'static str, Comparison)> {
        let (s, w) = (self.s, |l: f64| self.f.weight(l));
        let mut out = Vec::new();
        let mut wrong = |what, case: Response, k: &dyn Fn(f64) -> f64| {
            let (left, scale) = (&ladders[case as usize], self.right(case).1);
            let right = self.scene.mean(k);
            let wrong = Comparison::of_ladder(self.instance(case), left, right, scale, self.draw.tolerance());
            out.push((what, wrong.unless_true(self.right(case).0)));
        };
        wrong("s'' left out of E_p's response", Response::Target, &|l| -exp(l) * w(l) * s.slope(l));
        wrong("E_q for E_p", Response::Target, &|l| -w(l) * (s.slope(l) + s.bend(l)));
        wrong("s'+s'' for s'-s'' in E_q's response", Response::Model, &|l| w(l) * (s.slope(l) + s.bend(l)));
        wrong("live region treated as frozen", Response::Model, &|l| w(l) * s.slope(l));
        // true for reverse KL, whose weight is one
        if w(1.0) != 1.0 || w(-1.0) != 1.0 {
            wrong("no weight", Response::Frozen, &|l| s.slope(l));
        }
        out.push(("U falls for every κ", self.rising()));
        out
    }

    /// Statement 4: with κ < 1 and the window where s'+s'' < 0, the drift raises U.
    fn rising(&self) -> Comparison {
        let window = Window { radius: 0.25 * self.scene.window.radius, ..self.scene.window };
        let scene = Scene::new(&self.draw.pair, window);
        let lowest = (0..scene.chi.len()).map(|i| scene.nodes.l(i)).fold(f64::INFINITY, f64::min);
        let width = 0.5f64;
        // one unit above the level τ + κ log((1+κ)/(1-κ)) at which s'+s'' changes sign
        let s = SoftStep { level: lowest - 0.1 - width * ln((1.0 + width) / (1.0 - width)), width };
        let push = scene.drift(self.f.as_ref());
        let setting = Setting { draw: self.draw, f: self.f, scene, push, s };
        let ladder = Ladder::central(setting.push.first_step(), |step| vec![setting.functionals(step)[0]]);
        let (rise, scale) = setting.right(Response::Target);
        // where l is constant on the window nothing rises, and where rounding is larger than the rise it cannot be seen
        let rung = ladder[0].finest_rung(rise / 16.0);
        let seen = rise > (1e-4 * scale).max(16.0 * ladder[0].rounding[rung]);
        Comparison::at_most(setting.instance(Response::Target), ladder[0].values[rung], 0.0, scale, 0.0).unless(!seen)
    }
}

/// The step 1{l > 0} between N(0, 1) and N(1, 1) under reverse KL, V = -1: q_η = N(1 - η, 1), and l_η > 0 where x < (1 - η)/2.
fn sharp() -> Comparison {
    let mass = |step: f64| integral(-12.0, 0.5 * (1.0 - step), normal);
    let left = (mass(1e-4) - mass(-1e-4)) / 2e-4;
    // s' = s'' = 0 but at the jump
    Comparison::exact("s = 1{l > 0}, N(0, 1) and N(1, 1), reverse KL: dU/dη", left, 0.0, 1.0, 1e-6)
}
