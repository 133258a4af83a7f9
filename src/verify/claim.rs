use super::hypothesis::{Dropped, Hypothesis};
use super::integrability::Exponents;
use super::{Budget, Comparison, Pair, Verdict, registry};
use crate::divergence::Divergence;
use crate::{Error, Result};
use std::fmt;

/// What a claim makes of a pair (p, q) that the user gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing: its instances are chains, clouds, generators or fixed pairs of its own.
    NoPair,
    /// It needs closed forms of p and q: tails, blur or exact samples.
    Mixtures,
    /// Both sides are local, by quadrature over a window or at points: any smooth density will do.
    AnyDensity,
}

/// A theorem that the machine can check.
#[derive(Clone, Copy)]
pub struct Claim {
    /// "T01".
    pub id: &'static str,
    /// The statement in one line.
    pub title: &'static str,
    /// What it makes of a pair that the user gives.
    pub takes: Takes,
    /// What it assumes, each with its counter-example.
    pub hypotheses: &'static [Hypothesis],
    /// Draws instances and compares the two sides.
    pub check: fn(&Budget) -> Vec<Outcome>,
}

impl Claim {
    /// All comparisons and false variants within the budget. The same for any number of threads.
    ///
    /// On the user's own pair, and for a weight steeper than those of the table, for which random pairs are not made, what rounding hides
    /// is refused in words, never failed and never left open.
    pub fn run(&self, budget: &Budget) -> Evidence {
        let mut evidence = Evidence {
            id: self.id,
            title: self.title,
            comparisons: Vec::new(),
            mutants: Vec::<Mutant>::new(),
            hypotheses: Vec::new(),
        };
        if let Some(reason) = budget.pair.as_ref().and_then(|pair| self.no_use_of(pair)) {
            let refused = Comparison { id: format!("{}.1", self.id), ..Comparison::refused("your pair", reason) };
            evidence.comparisons.push(refused);
            return evidence;
        }
        let steep = |f: &dyn Divergence| Exponents::of(f).map_or(true, |e| e.at_zero < -1.001 || e.at_infinity > 2.001);
        let own = budget.pair.is_some() || budget.divergence.as_deref().is_some_and(steep);
        let judged = |c: Comparison| if own { c.on_own_pair() } else { c };
        for outcome in (self.check)(budget) {
            evidence.comparisons.extend(outcome.comparisons.into_iter().map(judged));
            for (what, comparison) in outcome.mutants {
                let comparison = judged(comparison);
                match evidence.mutants.iter_mut().find(|m| m.what == what) {
                    Some(mutant) => mutant.comparisons.push(comparison),
                    None => evidence.mutants.push(Mutant { what, comparisons: vec![comparison] }),
                }
            }
        }
        let number = |comparisons: &mut [Comparison], group: &str| {
            comparisons.iter_mut().enumerate().for_each(|(k, c)| c.id = format!("{group}.{}", k + 1));
        };
        number(&mut evidence.comparisons, self.id);
        for (v, mutant) in evidence.mutants.iter_mut().enumerate() {
            number(&mut mutant.comparisons, &format!("{}.v{}", self.id, v + 1));
        }
        let dropped = |(k, h): (usize, &Hypothesis)| {
            Dropped::new(*h, format!("{}.h{}", self.id, k + 1), &evidence.mutants, budget.pair.is_some())
        };
        evidence.hypotheses = self.hypotheses.iter().enumerate().map(dropped).collect();
        evidence
    }

    /// Why the user's pair cannot be looked at, if it cannot.
    fn no_use_of(&self, pair: &Pair) -> Option<String> {
        match self.takes {
            Takes::NoPair => Some("its instances are its own, and no pair enters; leave --p and --q out".into()),
            Takes::Mixtures if !pair.is_of_mixtures() => {
                let any: Vec<&str> = registry().iter().filter(|c| c.takes == Takes::AnyDensity).map(|c| c.id).collect();
                let any = any.join(", ");
                Some(format!("it needs closed forms of p and q (tails, blur or exact samples); {any} take any density"))
            }
            _ => None,
        }
    }
}

/// What one draw gave.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The theorem's two sides.
    pub comparisons: Vec<Comparison>,
    /// The same with something made wrong; the name says what.
    pub mutants: Vec<(&'static str, Comparison)>,
}

/// A statement that is false, through the same machinery.
#[derive(Debug, Clone)]
pub struct Mutant {
    /// Which hypothesis was dropped or what was made wrong.
    pub what: &'static str,
    /// One for each instance on which the variant is false.
    pub comparisons: Vec<Comparison>,
}

impl Mutant {
    /// How many instances rejected the variant.
    pub fn caught(&self) -> usize {
        self.comparisons.iter().filter(|c| c.verdict == Verdict::Fails).count()
    }

    /// How many instances could reject it: all but those on which it is true, or rounding hides it.
    pub fn tried(&self) -> usize {
        self.comparisons.iter().filter(|c| !matches!(c.verdict, Verdict::TrueHere | Verdict::Refused(_))).count()
    }

    /// The first instance that rejected it by a number, or by a yes or no.
    pub fn first_caught(&self) -> Option<&Comparison> {
        let caught = || self.comparisons.iter().filter(|c| c.verdict == Verdict::Fails);
        caught().find(|c| !c.is_decision()).or_else(|| caught().next())
    }

    /// On how many instances it happens to be true.
    pub fn true_here(&self) -> usize {
        self.comparisons.iter().filter(|c| c.verdict == Verdict::TrueHere).count()
    }

    /// The instances that should have rejected it and did not.
    pub fn missed(&self) -> impl Iterator<Item = &Comparison> {
        self.comparisons.iter().filter(|c| matches!(c.verdict, Verdict::Holds | Verdict::Unresolved))
    }

    /// Whether every instance on which it is false rejected it, and there was an instance.
    pub fn all_caught(&self) -> bool {
        !self.comparisons.is_empty() && self.missed().next().is_none()
    }
}

/// Everything that one run of a claim found.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// "T01".
    pub id: &'static str,
    /// The statement in one line.
    pub title: &'static str,
    /// One for each instance: pair, divergence, field.
    pub comparisons: Vec<Comparison>,
    /// The false variants.
    pub mutants: Vec<Mutant>,
    /// What the claim assumes, and what was found without it.
    pub hypotheses: Vec<Dropped>,
}

impl Evidence {
    /// How many comparisons ended with this verdict (reasons of refusals are not compared).
    pub fn count(&self, verdict: &Verdict) -> usize {
        let same = |c: &&Comparison| std::mem::discriminant(&c.verdict) == std::mem::discriminant(verdict);
        self.comparisons.iter().filter(same).count()
    }

    /// Whether no comparison fails or stays unresolved, and at least one holds.
    pub fn holds(&self) -> bool {
        let refused = self.comparisons.iter().filter(|c| matches!(c.verdict, Verdict::Refused(_))).count();
        let held = self.count(&Verdict::Holds);
        held > 0 && held + refused == self.comparisons.len()
    }

    /// Whether every false variant was rejected on every instance on which it is false, and every counter-example to the claim without
    /// one of its hypotheses.
    pub fn all_mutants_caught(&self) -> bool {
        self.mutants.iter().all(Mutant::all_caught) && self.tried() == self.caught()
    }

    /// How many (false variant, instance) pairs and counter-examples could be rejected.
    pub fn tried(&self) -> usize {
        let alone = self.hypotheses.iter().filter(|h| h.is_tried()).count();
        self.mutants.iter().map(Mutant::tried).sum::<usize>() + alone
    }

    /// How many of them were rejected.
    pub fn caught(&self) -> usize {
        let alone = self.hypotheses.iter().filter(|h| h.is_tried() && h.is_caught()).count();
        self.mutants.iter().map(Mutant::caught).sum::<usize>() + alone
    }

    /// The share of (false variant, instance) that was rejected; 1 where there is none.
    pub fn share_caught(&self) -> f64 {
        if self.tried() == 0 { 1.0 } else { self.caught() as f64 / self.tried() as f64 }
    }

    /// The comparison with the largest ratio of relative error to tolerance; failures first.
    pub fn worst(&self) -> Option<&Comparison> {
        self.comparisons.iter().max_by(|a, b| a.severity().total_cmp(&b.severity()))
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}: {} of {} hold", self.id, self.title, self.count(&Verdict::Holds), self.comparisons.len())?;
        let bad = self.comparisons.iter().filter(|c| matches!(c.verdict, Verdict::Fails | Verdict::Unresolved));
        bad.take(20).try_for_each(|c| writeln!(f, "  {c}"))?;
        if let Some(worst) = self.worst() {
            writeln!(f, "  worst: {worst}")?;
        }
        for mutant in &self.mutants {
            writeln!(f, "  false variant, {}: caught {} of {}", mutant.what, mutant.caught(), mutant.tried())?;
            mutant.missed().take(3).try_for_each(|c| writeln!(f, "    missed: {c}"))?;
        }
        for missed in self.hypotheses.iter().filter(|h| h.is_tried() && !h.is_caught()) {
            writeln!(f, "  not needed, {}: {}", missed.hypothesis.what, missed.found.as_ref().expect("it was tried"))?;
        }
        Ok(())
    }
}

/// The claim of that number: "T01", "t1" and "1" are the same. [`Error::UnknownName`] with the known ones otherwise.
pub fn claim(id: &str) -> Result<Claim> {
    let digits = id.trim_start_matches(['t', 'T']);
    let number = digits.parse::<usize>().map(|n| format!("T{n:02}"));
    let all = registry();
    let known: Vec<&str> = all.iter().map(|c| c.id).collect();
    let found = number.ok().and_then(|wanted| all.iter().find(|c| c.id == wanted).copied());
    found.ok_or_else(|| Error::unknown_name("theorem", id, &known))
}
