use super::{Comparison, Evidence, Grid, Mutant, Nodes, Pair, Verdict};
use crate::num::{GaussLegendre, exp};
use std::f64::consts::TAU;

/// What a theorem assumes, and what shows that it is needed.
#[derive(Debug, Clone, Copy)]
pub struct Hypothesis {
    /// In words, as on the theorem's page.
    pub what: &'static str,
    /// What the machine runs when it is dropped.
    pub without: Without,
}

/// The counter-example to a theorem without one of its hypotheses.
#[derive(Debug, Clone, Copy)]
pub enum Without {
    /// A false variant of the claim, by its name.
    Variant(&'static str),
    /// A false variant of another claim: its id and its name.
    Elsewhere(&'static str, &'static str),
    /// The theorem's two sides on an instance without the hypothesis, where they differ.
    Instance(fn() -> Comparison),
    /// Nothing, for this reason.
    NotRun(&'static str),
}

impl Hypothesis {
    /// Without it the claim is its own false variant of this name.
    pub const fn variant(what: &'static str, variant: &'static str) -> Self {
        Self { what, without: Without::Variant(variant) }
    }

    /// Without it the claim is a false variant of another claim.
    pub const fn elsewhere(what: &'static str, claim: &'static str, variant: &'static str) -> Self {
        Self { what, without: Without::Elsewhere(claim, variant) }
    }

    /// Without it the two sides differ on this instance.
    pub const fn instance(what: &'static str, instance: fn() -> Comparison) -> Self {
        Self { what, without: Without::Instance(instance) }
    }

    /// Nothing is run without it.
    pub const fn not_run(what: &'static str, reason: &'static str) -> Self {
        Self { what, without: Without::NotRun(reason) }
    }
}

/// A hypothesis, and what was found without it.
#[derive(Debug, Clone)]
pub struct Dropped {
    /// What was dropped.
    pub hypothesis: Hypothesis,
    /// Both sides on the first instance that rejects the statement; none where another claim runs it, nothing does, or the user's pair
    /// takes the place of the claim's instances.
    pub found: Option<Comparison>,
}

impl Dropped {
    pub(super) fn new(hypothesis: Hypothesis, number: String, mutants: &[Mutant], own_pair: bool) -> Self {
        let found = match hypothesis.without {
            Without::Variant(name) => mutants.iter().find(|m| m.what == name).and_then(Mutant::first_caught).cloned(),
            Without::Instance(run) if !own_pair => Some(Comparison { id: number, ..run() }),
            _ => None,
        };
        Self { hypothesis, found }
    }

    /// Whether an instance was run: its statement is a false variant that must be rejected.
    pub fn is_tried(&self) -> bool {
        matches!(self.hypothesis.without, Without::Instance(_)) && self.found.is_some()
    }

    /// Whether both sides were found, and differ by more than the tolerance.
    pub fn is_caught(&self) -> bool {
        self.found.as_ref().is_some_and(|c| c.verdict == Verdict::Fails)
    }

    /// The counter-example, also where it is one of another claim of which there is evidence.
    pub fn counter_example<'a>(&'a self, all: &'a [Evidence]) -> Option<&'a Comparison> {
        let Without::Elsewhere(claim, name) = self.hypothesis.without else { return self.found.as_ref() };
        let mutants = &all.iter().find(|e| e.id == claim)?.mutants;
        mutants.iter().find(|m| m.what == name).and_then(Mutant::first_caught)
    }
}

/// Whether what `within` gives for |x| < R is what it gives for |x| < 2R, as it is where the whole integral is finite and R is large.
pub(super) fn settles(what: &str, radius: f64, within: impl Fn(f64) -> f64) -> Comparison {
    let (near, far) = (within(radius), within(2.0 * radius));
    let instance = format!("{what}, over |x| < {radius} against |x| < {}", 2.0 * radius);
    Comparison::exact(instance, near, far, far.abs(), 1e-6)
}

/// ∫ q k over |x| < `radius`, on the line.
pub(super) fn within(pair: &Pair, radius: f64, k: impl Fn(&Nodes, usize) -> f64) -> f64 {
    let grid = Grid::covering(&[(-radius, radius)], 0.01);
    let nodes = pair.at(&grid.nodes);
    grid.integrate(|i| nodes.q(i) * k(&nodes, i))
}

/// ∫_a^b g for a smooth g.
pub(super) fn integral(a: f64, b: f64, g: impl Fn(f64) -> f64) -> f64 {
    GaussLegendre::new(16).integrate(a, b, 40, g)
}

/// φ(x), the density of N(0, 1).
pub(super) fn normal(x: f64) -> f64 {
    exp(-0.5 * x * x) / TAU.sqrt()
}
