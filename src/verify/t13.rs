//! T13: the fastest repair of a frozen soft region moves along s'(l)β, which is itself an f-drift; efficiency of the others.

use super::hypothesis::{integral, normal};
use super::pair::vector;
use super::t05::SoftStep;
use super::{
    Budget, Bumps, Claim, Comparison, Draw, Grid, Hypothesis, Ladder, Nodes, Outcome, Push, Takes, dot, resolve,
};
use crate::divergence::{Custom, Divergence, LeCam};
use crate::linalg::Matrix;
use crate::num::{exp, exp_m1, ln, ln_1p};
use crate::rng::uniform;
use crate::velocity::{LogRatioClip, drift_into};
use rayon::prelude::*;
use std::f64::consts::LN_2;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T13",
    title: "the fastest repair of a soft region is itself an f-drift, V = s'(l)β",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::instance("s does not decrease (b)", decreasing),
        Hypothesis::variant("V is a multiple of s'(l)β, for equality (a)", "every drift is fastest"),
        Hypothesis::elsewhere("the region is fixed before the step (a)", "T05", "live region treated as frozen"),
        Hypothesis::not_run(
            "E_q[s'²|β|²] and E_q|V|² are finite",
            "without them the bound of (a) is infinite and says nothing",
        ),
    ],
    check,
};

type Case = Arc<dyn Divergence>;

/// Random fields against the bound, for each draw.
const FIELDS: usize = 20;

fn check(budget: &Budget) -> Vec<Outcome> {
    let divergences = budget.divergences();
    budget.draws(13, [5, 1], [150, 10]).par_iter().map(|draw| one_draw(draw, &divergences)).collect()
}

fn one_draw(draw: &Draw, divergences: &[Case]) -> Outcome {
    let mut out = Outcome::default();
    out.comparisons.extend(resolve(&[()], |_, attempt| vec![random_gain(draw, attempt)]));
    out.comparisons.extend(resolve(&[()], |_, attempt| vec![live_region(draw, attempt)]));
    let setting = Setting::new(draw, 0);
    out.comparisons.push(setting.bound());
    out.comparisons.extend(setting.skewed_forward_kl());
    let star = setting.star();
    out.comparisons.push(setting.equality("V = s'β", star.as_ref()));
    let opposite = setting.divergence_value(-setting.s.level);
    let same = (opposite.left - setting.skewed_kl()).abs() <= opposite.tolerance * opposite.scale;
    out.mutants.push(("f* with e^τ for e^-τ", opposite.unless(same)));
    // equality would make every drift of the table proportional to s'(l)
    let fastest = |f: &Case| setting.equality(f.name(), f.as_ref()).unless(setting.proportional(f));
    out.mutants.extend(divergences.iter().map(|f| ("every drift is fastest", fastest(f))));
    // in the plane ten ladders over the whole space take too long
    if draw.pair.dim() == 1 {
        let ladders: Vec<Ladder> = divergences.iter().map(|f| setting.gain(f.as_ref())).collect();
        out.comparisons.extend(efficiencies(draw, divergences, (&setting, &ladders)));
        for (f, ladder) in divergences.iter().zip(&ladders) {
            // 0 at a zero of β, where the measure has no mass
            let without = |i: usize| Some(1.0 / setting.nodes.beta2(i)).filter(|v| v.is_finite()).unwrap_or(0.0);
            let truth = setting.efficiency(f, ladder, |_| 1.0).right;
            let wrong = |k: &dyn Fn(usize) -> f64| setting.efficiency(f, ladder, k).unless_true(truth);
            out.mutants.push(("efficiency without |β|² in the measure", wrong(&without)));
            let under_p = |i: usize| exp(setting.nodes.l(i));
            out.mutants.push(("efficiency with p for q", wrong(&under_p)));
        }
    }
    out
}

/// (c) for each divergence; where the leading error coefficient of a gain nearly vanishes, at another level.
fn efficiencies(draw: &Draw, divergences: &[Case], (setting, ladders): (&Setting, &[Ladder])) -> Vec<Comparison> {
    resolve(divergences, |cases, attempt| {
        if attempt == 0 {
            return cases.iter().zip(ladders).map(|(f, gain)| setting.efficiency(f, gain, |_| 1.0)).collect();
        }
        let other = Setting::new(draw, attempt);
        cases.iter().map(|f| other.efficiency(f, &other.gain(f.as_ref()), |_| 1.0)).collect()
    })
}

/// A soft region of width 1 at a random level.
fn region(draw: &Draw, attempt: usize) -> SoftStep {
    SoftStep { level: 0.3 + 1.2 * uniform(&mut draw.stream(attempt)), width: 1.0 }
}

/// (a): d/dη E_q[a(x+ηξ)] = E_q[s'(l) β·ξ] for a random field.
fn random_gain(draw: &Draw, attempt: usize) -> Comparison {
    let (s, bumps) = (region(draw, attempt), Bumps::random(&mut draw.stream(attempt), &draw.pair));
    let grid = bumps.grid(&draw.pair);
    let (push, nodes) = (Push::new(&grid.nodes, |_, x| bumps.at(x)), draw.pair.at(&grid.nodes));
    let left = Ladder::central(push.first_step(), |step| {
        let l = frozen_log_ratio(draw, &push.moved(step));
        vec![grid.integrate_with_size(|i| nodes.q(i) * s.value(l[i]))]
    });
    let (right, scale) =
        grid.integrate_with_size(|i| nodes.q(i) * s.slope(nodes.l(i)) * dot(nodes.beta(i), push.displacement[i]));
    let instance = format!("{}, gain along a random field, τ = {:.2}", draw.label, s.level);
    Comparison::of_ladder(instance, &left[0], right, scale, draw.tolerance())
}

/// (d): at τ = 0 and κ = 1 the live under-coverage E_p[s(l)] falls along ξ at a quarter of E_q[ξ·V_Le Cam].
fn live_region(draw: &Draw, attempt: usize) -> Comparison {
    let (s, bumps) = (SoftStep { level: 0.0, width: 1.0 }, Bumps::random(&mut draw.stream(attempt), &draw.pair));
    let grid = bumps.grid(&draw.pair);
    let (push, nodes) = (Push::new(&grid.nodes, |_, x| bumps.at(x)), draw.pair.at(&grid.nodes));
    let left = Ladder::central(push.first_step(), |step| {
        let l = push.log_ratio(&draw.pair, &nodes.log_q, step);
        // p(Tx) det dx = q(x) e^l dx
        vec![grid.integrate_with_size(|i| nodes.q(i) * exp(l[i]) * s.value(l[i]))]
    });
    let velocity = nodes.drift(&LeCam);
    let integrand = |i: usize| -0.25 * nodes.q(i) * dot(vector(velocity.row(i)), push.displacement[i]);
    let (right, scale) = grid.integrate_with_size(integrand);
    let instance = format!("{}, live region against Le Cam's drift", draw.label);
    Comparison::of_ladder(instance, &left[0], right, scale, draw.tolerance())
}

/// l at the rows of x, p and q where they were.
fn frozen_log_ratio(draw: &Draw, x: &Matrix) -> Vec<f64> {
    let (p, q) = (draw.pair.p.log_density(x), draw.pair.q.log_density(x));
    p.iter().zip(&q).map(|(p, q)| p - q).collect()
}

/// Bounds on log r, as in the shipped sampler. Without them E_q|V|³ is infinite for Pearson and Neyman on many pairs, the gain is
/// differentiable once only, and no order can be seen; at ±4 Pearson's largest steps are 6,000 times the common ones, and its order
/// begins where rounding does.
const CLIP: LogRatioClip = LogRatioClip { low: -3.0, high: 3.0 };

/// A pair on a grid of the whole space, and a soft region.
struct Setting<'a> {
    draw: &'a Draw,
    s: SoftStep,
    grid: Grid,
    nodes: Nodes,
}

impl<'a> Setting<'a> {
    fn new(draw: &'a Draw, attempt: usize) -> Self {
        let pair = &draw.pair;
        let spacing = pair.finest() / if pair.dim() == 1 { 16.0 } else { 6.0 };
        let grid = Grid::covering(&pair.ends(9.0), spacing);
        let nodes = pair.at(&grid.nodes);
        Self { draw, s: region(draw, attempt), grid, nodes }
    }

    fn instance(&self, what: &str) -> String {
        format!("{}, {what}, τ = {:.2}", self.draw.label, self.s.level)
    }

    /// E_q[g |β|²] with g(i).
    fn mean(&self, g: impl Fn(usize) -> f64) -> f64 {
        self.grid.integrate(|i| self.nodes.q(i) * self.nodes.beta2(i) * g(i))
    }

    /// ‖s'‖ in L²(|β|² q): the bound per unit of √E_q|V|².
    fn bound_size(&self) -> f64 {
        self.mean(|i| self.s.slope(self.nodes.l(i)).powi(2)).sqrt()
    }

    /// E_q[s' β·V]/(‖s'β‖ ‖V‖) for any field V at the nodes.
    fn cosine(&self, v: impl Fn(usize) -> [f64; 2]) -> f64 {
        let n = &self.nodes;
        let gain = self.grid.integrate(|i| n.q(i) * self.s.slope(n.l(i)) * dot(n.beta(i), v(i)));
        let energy = self.grid.integrate(|i| n.q(i) * dot(v(i), v(i)));
        gain / (self.bound_size() * energy.sqrt())
    }

    /// (a): no random field beats the bound.
    fn bound(&self) -> Comparison {
        let mut rng = self.draw.stream(1);
        let largest = (0..FIELDS)
            .map(|_| {
                let bumps = Bumps::random(&mut rng, &self.draw.pair);
                self.cosine(|i| bumps.at(self.grid.nodes.row(i)).0).abs()
            })
            .fold(0.0, f64::max);
        Comparison::decision(self.instance("bound on random fields"), true).assuming("largest cosine", largest, 1.0)
    }

    /// The divergence with the weight s'(log r), as a user would write it.
    fn star(&self) -> Case {
        let s = self.s;
        // log s' = -|t| - 2 log(1 + e^-|t|) with t = l - τ, κ = 1
        let log_weight = move |l: f64| -(l - s.level).abs() - 2.0 * ln_1p(exp(-(l - s.level).abs()));
        Arc::new(Custom::from_log_weight("repair", "w = s'(log r)", log_weight).expect("finite for every l"))
    }

    /// "This drift gains the bound": cosine 1 within the rounding of three sums.
    fn equality(&self, what: &str, f: &dyn Divergence) -> Comparison {
        let v = self.nodes.drift(f);
        Comparison::exact(
            self.instance(&format!("{what} is fastest")),
            self.cosine(|i| vector(v.row(i))),
            1.0,
            1.0,
            1e-12,
        )
    }

    /// Whether w_f is s' up to a factor over q's mass, to the square root of the tolerance: 1 - cos is of second order in the
    /// deviation of w_f/s' from its mean.
    fn proportional(&self, f: &Case) -> bool {
        let log = |i: usize| f.log_weight(self.nodes.l(i)) - ln(self.s.slope(self.nodes.l(i)));
        let mass = self.mean(|_| 1.0);
        let mean = self.mean(log) / mass;
        self.mean(|i| (log(i) - mean).powi(2)) / mass <= 4.0 * 1e-12
    }

    /// (b): the three descriptions of f*: its value here, Taylor's integral of the weight, and c KL(p‖(q+cp)/(1+c)) below its bound.
    fn skewed_forward_kl(&self) -> Vec<Comparison> {
        let c = exp(-self.s.level);
        let closed = self.divergence_value(self.s.level).assuming(
            "D over c log(1+1/c)",
            self.skewed_kl() / (c * ln_1p(1.0 / c)),
            1.0,
        );
        let star = self.star();
        let taylor = self.grid.integrate(|i| self.nodes.q(i) * star.f(self.nodes.l(i)));
        vec![
            closed,
            Comparison::exact(self.instance("f* from its weight"), taylor, self.skewed_kl(), self.terms(), 1e-9),
        ]
    }

    /// c KL(p‖(q+cp)/(1+c)), c = e^-τ.
    fn skewed_kl(&self) -> f64 {
        let c = exp(-self.s.level);
        // p/((q+cp)/(1+c)) = (1+c)/(e^-l + c)
        c * self.grid.integrate(|i| self.nodes.p(i) * ln((1.0 + c) / (exp(-self.nodes.l(i)) + c)))
    }

    /// What errors of the skewed KL are relative to: itself, or where p and q are near the terms that cancel in it, whose rounding is some 4 ε.
    fn terms(&self) -> f64 {
        self.skewed_kl().max(4.0 * f64::EPSILON / 1e-9)
    }

    /// ∫ q f*(p/q) with f* of the page at c = e^-level, against the skewed KL of this setting.
    fn divergence_value(&self, level: f64) -> Comparison {
        let c = exp(-level);
        let f = |l: f64| {
            let u = exp(l);
            c * u * (l + ln(1.0 + c) - ln_1p(c * u)) - c / (1.0 + c) * exp_m1(l)
        };
        let left = self.grid.integrate(|i| self.nodes.q(i) * f(self.nodes.l(i)));
        Comparison::exact(self.instance("D_f* as a skewed KL"), left, self.skewed_kl(), self.terms(), 1e-9)
    }

    /// Central differences of E_q[a(x+ηV_f(x))]/(‖s'‖ ‖V_f‖), V_f by the shipped drift with its clip. No diffeomorphism is needed.
    fn gain(&self, f: &dyn Divergence) -> Ladder {
        let (n, d) = self.grid.nodes.shape();
        let (mut v, mut beta) = (Matrix::zeros(n, d), self.nodes.score_p.clone());
        beta.add_scaled(-1.0, &self.nodes.score_q);
        drift_into(f, CLIP, &self.nodes.log_ratio(), &beta, &mut v);
        let energy = self.grid.integrate(|i| self.nodes.q(i) * dot(vector(v.row(i)), vector(v.row(i))));
        let unit = 1.0 / (self.bound_size() * energy.sqrt());
        Ladder::central(0.1 / energy.sqrt(), |step| {
            let mut moved = self.grid.nodes.clone();
            moved.add_scaled(step, &v);
            let l = frozen_log_ratio(self.draw, &moved);
            let (value, size) = self.grid.integrate_with_size(|i| self.nodes.q(i) * self.s.value(l[i]));
            vec![(unit * value, unit * size)]
        })
        .swap_remove(0)
    }

    /// (c): the normalised gain against ⟨w_f, s'⟩/(‖w_f‖ ‖s'‖) in L²(k |β|² q), k = 1 in the theorem.
    fn efficiency(&self, f: &Case, gain: &Ladder, k: impl Fn(usize) -> f64) -> Comparison {
        let (w, s) =
            (|i: usize| f.weight(self.nodes.l(i).clamp(CLIP.low, CLIP.high)), |i: usize| self.s.slope(self.nodes.l(i)));
        let product = self.mean(|i| k(i) * w(i) * s(i));
        let norms = self.mean(|i| k(i) * w(i) * w(i)) * self.mean(|i| k(i) * s(i) * s(i));
        let cosine = product / norms.sqrt();
        let instance = self.instance(&format!("{}, efficiency {:.4}", f.name(), cosine * cosine));
        Comparison::of_ladder(instance, gain, cosine, 1.0, self.draw.tolerance())
    }
}

/// s falls: w_* = -u/(1+u)² (τ = 0), and what would be its divergence is minus the skewed KL, below 0. N(0, 1) and N(1, 1).
fn decreasing() -> Comparison {
    let value = -integral(-10.0, 11.0, |x| normal(x) * (LN_2 - ln_1p(normal(x - 1.0) / normal(x))));
    Comparison::at_most("s = 1/(1 + e^l), N(0, 1) and N(1, 1): 0 ≤ D_f*(p‖q)", 0.0, value, 1.0, 0.0)
}
