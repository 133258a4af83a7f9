//! T24: the weight that is best for the worst of several levels is the shortest vector of a convex hull.

use super::t05::SoftStep;
use super::{Budget, Claim, Comparison, Grid, Hypothesis, Nodes, Outcome, Pair, Takes};
use crate::divergence::Divergence;
use crate::num::{exp, ln_1p};
use crate::rng::{Purpose, stream, uniform};
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T24",
    title: "the weight with the best worst-case efficiency over levels is the shortest convex combination of s'/‖s'‖",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::variant("ŝ_τ is divided by its norm", "the sum without norms is best"),
        Hypothesis::variant(
            "⟨ŝ_a + ŝ_c, ŝ_τ⟩ ≥ 1 + ⟨ŝ_a, ŝ_c⟩ on all levels (the ends a and c alone)",
            "the ends are the active levels",
        ),
        Hypothesis::not_run(
            "0 < E_q[s_τ'²|β|²] < ∞, and a compact set of levels",
            "the unit vectors ŝ_τ, or their shortest combination, do not exist otherwise",
        ),
    ],
    check,
};

/// Levels on a range.
const LEVELS: usize = 41;

fn check(budget: &Budget) -> Vec<Outcome> {
    let page = Pair::two_modes();
    let divergences = budget.divergences();
    // the best, reverse KL and the surrogate of T8, as printed
    let mut out: Vec<Outcome> =
        [(-2.0, 3.0, [0.7723, 0.676, 0.651]), (0.0, 3.0, [0.8920, 0.676, 0.861]), (-1.0, 1.0, [0.9310, 0.927, 0.772])]
            .iter()
            .map(|(low, high, [best, reverse, surrogate])| {
                let levels = Levels::new(&page, *low, *high);
                let mut out = levels.compare("the page's pair", &divergences, budget.seed);
                let mut printed = |what: &str, value: f64, figure: f64, digit: f64| {
                    let name = format!("levels {low} to {high}, {what}");
                    out.comparisons.push(Comparison::exact(name, value, figure, 1.0, digit));
                };
                printed("best", levels.best().1, *best, 2e-4);
                printed("reverse KL", levels.efficiency(|_| 1.0), *reverse, 6e-4);
                let mean = levels.grid.integrate(|i| levels.nodes.q(i) * levels.nodes.l(i));
                printed("surrogate", levels.efficiency(|l| 1.0 + ln_1p(exp(l - mean))), *surrogate, 6e-4);
                out
            })
            .collect();
    out.push(running_example(&divergences, budget.seed));
    for draw in budget.draws(24, [3, 0], [60, 0]) {
        for (low, high) in [(-1.5, 2.0), (-4.0, 4.0)] {
            out.push(Levels::new(&draw.pair, low, high).compare(&draw.label, &divergences, budget.seed));
        }
    }
    out
}

/// N(0, 1) and N(2, 1), levels -4 to 4: a third level is active, and the formula of the two ends is too high.
fn running_example(divergences: &[Arc<dyn Divergence>], seed: u64) -> Outcome {
    let levels = Levels::new(&Pair::on_the_line(&[[1.0, 0.0, 1.0]], &[[1.0, 2.0, 1.0]]), -4.0, 4.0);
    let mut out = levels.compare("N(0, 1) and N(2, 1)", divergences, seed);
    for (what, value, figure) in [("best", levels.best().1, 0.4937), ("½(1 + ⟨ŝ_a, ŝ_c⟩)", levels.ends().0, 0.5244)]
    {
        let name = format!("N(0, 1) and N(2, 1), levels -4 to 4, {what}");
        out.comparisons.push(Comparison::exact(name, value, figure, 1.0, 2e-4));
    }
    out
}

/// The Gram matrix of ŝ_τ = s'_τ/‖s'_τ‖ in L²(q|β|²) for levels at equal distances.
struct Levels {
    grid: Grid,
    nodes: Nodes,
    steps: Vec<SoftStep>,
    gram: Vec<Vec<f64>>,
}

impl Levels {
    fn new(pair: &Pair, low: f64, high: f64) -> Self {
        let grid = Grid::covering(&pair.ends(9.0), pair.finest() / 16.0);
        let nodes = pair.at(&grid.nodes);
        let level = |k: usize| low + (high - low) * k as f64 / (LEVELS - 1) as f64;
        let steps: Vec<SoftStep> = (0..LEVELS).map(|k| SoftStep { level: level(k), width: 1.0 }).collect();
        let mut out = Self { grid, nodes, steps, gram: Vec::new() };
        let norms: Vec<f64> = (0..LEVELS).map(|a| out.product(|l| out.steps[a].slope(l).powi(2)).sqrt()).collect();
        let entry =
            |a: usize, b: usize| out.product(|l| out.steps[a].slope(l) * out.steps[b].slope(l)) / (norms[a] * norms[b]);
        out.gram = (0..LEVELS).map(|a| (0..LEVELS).map(|b| entry(a, b)).collect()).collect();
        out
    }

    /// E_q[k(l) |β|²].
    fn product(&self, k: impl Fn(f64) -> f64) -> f64 {
        self.grid.integrate(|i| self.nodes.q(i) * self.nodes.beta2(i) * k(self.nodes.l(i)))
    }

    /// ⟨z, ŝ_a⟩ for z = Σ λ_b ŝ_b.
    fn products(&self, weights: &[f64]) -> Vec<f64> {
        self.gram.iter().map(|row| row.iter().zip(weights).map(|(g, w)| g * w).sum()).collect()
    }

    /// The shortest convex combination, by Frank–Wolfe steps between the worst and the best active level; and its square.
    fn best(&self) -> (Vec<f64>, f64) {
        let mut weights = vec![1.0 / LEVELS as f64; LEVELS];
        for _ in 0..100_000 {
            let products = self.products(&weights);
            let active = (0..LEVELS).filter(|&k| weights[k] > 0.0);
            let worst = (0..LEVELS).min_by(|&a, &b| products[a].total_cmp(&products[b])).unwrap_or(0);
            let from = active.max_by(|&a, &b| products[a].total_cmp(&products[b])).unwrap_or(0);
            let gap = products[from] - products[worst];
            let curvature = self.gram[from][from] + self.gram[worst][worst] - 2.0 * self.gram[from][worst];
            if gap < 1e-12 || curvature <= 0.0 {
                break;
            }
            let step = (gap / curvature).min(weights[from]);
            weights[worst] += step;
            weights[from] -= step;
        }
        let square = self.products(&weights).iter().zip(&weights).map(|(p, w)| p * w).sum();
        (weights, square)
    }

    /// ½(1 + ⟨ŝ_a, ŝ_c⟩) of the two ends, and the least ⟨ŝ_a + ŝ_c, ŝ_τ⟩ - 1 - ⟨ŝ_a, ŝ_c⟩ over the levels: the ends are the active levels where
    /// it is not negative.
    fn ends(&self) -> (f64, f64) {
        let last = LEVELS - 1;
        let cosine = self.gram[0][last];
        let margin = (0..LEVELS).map(|k| self.gram[0][k] + self.gram[last][k] - 1.0 - cosine);
        (0.5 * (1.0 + cosine), margin.fold(f64::INFINITY, f64::min))
    }

    /// The least squared cosine of a weight with ŝ_τ over the levels, by integrals of the weight itself.
    fn efficiency(&self, weight: impl Fn(f64) -> f64) -> f64 {
        let norm = self.product(|l| weight(l).powi(2));
        let cosine = |s: &SoftStep| {
            let inner = self.product(|l| weight(l) * s.slope(l));
            inner.max(0.0).powi(2) / (norm * self.product(|l| s.slope(l).powi(2)))
        };
        self.steps.iter().map(cosine).fold(f64::INFINITY, f64::min)
    }

    /// The weight Σ λ_k ŝ_k.
    fn combination(&self, weights: &[f64]) -> impl Fn(f64) -> f64 + '_ {
        let norms = self.steps.iter().map(|s| self.product(|l| s.slope(l).powi(2)).sqrt());
        let scaled: Vec<(f64, SoftStep)> = weights
            .iter()
            .zip(norms)
            .zip(&self.steps)
            .filter(|((w, _), _)| **w > 0.0)
            .map(|((w, n), s)| (w / n, *s))
            .collect();
        move |l| scaled.iter().map(|(w, s)| w * s.slope(l)).sum()
    }

    fn compare(&self, name: &str, divergences: &[Arc<dyn Divergence>], seed: u64) -> Outcome {
        let (weights, value) = self.best();
        let name =
            |what: &str| format!("{name}, levels {} to {}, {what}", self.steps[0].level, self.steps[LEVELS - 1].level);
        let mut out = Outcome::default();
        let attained = self.efficiency(self.combination(&weights));
        out.comparisons.push(Comparison::exact(name("z attains ‖z‖²"), attained, value, 1.0, 1e-7));
        let least = |w: &[f64]| self.products(w).into_iter().fold(f64::INFINITY, f64::min);
        out.comparisons.push(Comparison::exact(name("least ⟨z, ŝ⟩"), least(&weights), value, 1.0, 1e-7));
        for f in divergences {
            let other = self.efficiency(|l| f.weight(l));
            let name = name(&format!("{} is no better", f.name()));
            out.comparisons.push(match other.is_finite() {
                true => Comparison::decision(name, other <= value + 1e-9),
                false => Comparison::refused(name, "its weight overflows between the levels"),
            });
        }
        // signed combinations of the levels: no better either
        let mut rng = stream(seed, Purpose::Check, 24_000);
        for k in 0..20 {
            let signed: Vec<f64> = weights.iter().map(|w| w + 0.3 * (uniform(&mut rng) - 0.5)).collect();
            let square: f64 = self.products(&signed).iter().zip(&signed).map(|(p, w)| p * w).sum();
            let other = least(&signed).max(0.0).powi(2) / square;
            out.comparisons.push(Comparison::decision(name(&format!("signed weight {k}")), other <= value + 1e-9));
        }
        // ‖z‖² is below the formula by at most -margin (the projection's gap), and by at least an eighth of its square
        let (ends, margin) = self.ends();
        let formula = Comparison::exact(name("½(1 + ⟨ŝ_a, ŝ_c⟩)"), ends, value, 1.0, 1e-7);
        if margin >= -1e-8 {
            out.comparisons.push(formula.clone());
        }
        out.mutants.push(("the ends are the active levels", formula.unless(margin > -2e-3)));
        let uniform = self.efficiency(self.combination(&[1.0 / LEVELS as f64; LEVELS]));
        // where it is as good to 1e-4 it is nearly z, and nothing can be rejected
        let best = |found: f64| {
            let says = Comparison::at_most(name("best worst efficiency"), value, found, 1.0, 1e-6);
            says.unless(value - found < 1e-4)
        };
        out.mutants.push(("the average of the levels is best", best(uniform)));
        // without norms, the sum of s'_τ at the same weights: true only where the norms agree
        let raw: Vec<(f64, SoftStep)> =
            weights.iter().zip(&self.steps).filter(|(w, _)| **w > 0.0).map(|(w, s)| (*w, *s)).collect();
        let raw = self.efficiency(|l| raw.iter().map(|(w, s)| w * s.slope(l)).sum());
        out.mutants.push(("the sum without norms is best", best(raw)));
        out
    }
}
