//! What `pushforward verify` says about evidence: a table for people, JSON for programs.

mod evidence_json;
mod request;
pub mod table;

pub use evidence_json::json;
pub use request::Request;
pub use table::table;

use crate::style::{count, number};
use pushforward::verify::{Comparison, Dropped, Evidence, Mutant, Verdict, Without};

/// How a whole claim ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Every instance that meets the assumptions holds.
    Holds,
    /// Some instance fails.
    Fails,
    /// None fails, but the order of some could not be seen.
    Unresolved,
    /// Of a false variant: it happens to be true on the instance.
    TrueHere,
    /// No instance meets the assumptions.
    Refused,
}

impl Status {
    /// As in the table and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Status::Holds => "holds",
            Status::Fails => "FAILS",
            Status::Unresolved => "unresolved",
            Status::TrueHere => "true here",
            Status::Refused => "refused",
        }
    }
}

/// The status of a claim.
pub fn status(evidence: &Evidence) -> Status {
    match (evidence.count(&Verdict::Fails), evidence.count(&Verdict::Unresolved), evidence.count(&Verdict::Holds)) {
        (1.., _, _) => Status::Fails,
        (0, 1.., _) => Status::Unresolved,
        (0, 0, 1..) => Status::Holds,
        (0, 0, 0) => Status::Refused,
    }
}

/// A verdict in one word.
pub fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => Status::Holds,
        Verdict::Fails => Status::Fails,
        Verdict::Unresolved => Status::Unresolved,
        Verdict::TrueHere => Status::TrueHere,
        Verdict::Refused(_) => Status::Refused,
    }
    .word()
}

/// The different reasons for refusals, with the first instance of each.
pub fn refusals(evidence: &Evidence) -> Vec<String> {
    let mut seen: Vec<&str> = Vec::new();
    let mut out = Vec::new();
    for c in &evidence.comparisons {
        if let Verdict::Refused(reason) = &c.verdict
            && !seen.contains(&reason.as_str())
        {
            seen.push(reason);
            out.push(format!("{}: {reason}", c.instance));
        }
    }
    out
}

/// What is run without a hypothesis, the false variant and its instance, or why nothing is.
pub fn without(dropped: &Dropped, found: Option<&Comparison>) -> String {
    match (dropped.hypothesis.without, found) {
        (Without::Variant(name) | Without::Elsewhere(_, name), Some(c)) => format!("{name} ({})", c.instance),
        (Without::Instance(_), Some(c)) => c.instance.clone(),
        (Without::NotRun(reason), _) => format!("not run: {reason}"),
        (Without::Elsewhere(claim, name), None) => format!("{name}: 'verify {claim}' runs it"),
        (Without::Variant(_) | Without::Instance(_), None) => "not run for what was asked".into(),
    }
}

/// Both sides, their difference and how large it may be; of a mean z and its limit.
pub fn sides(c: &Comparison) -> [String; 4] {
    let (difference, allowed) = match c.z {
        Some(z) => (format!("z = {z:.0}"), "–".into()),
        None => (number(c.left - c.right, 2), number(c.tolerance * c.scale.abs(), 2)),
    };
    [number(c.left, 5), number(c.right, 5), difference, allowed]
}

/// Sums over claims.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Claims of which every instance that meets the assumptions holds.
    pub claims: usize,
    /// Instances that hold.
    pub held: usize,
    /// Instances that fail.
    pub failed: usize,
    /// Instances whose order could not be seen.
    pub unresolved: usize,
    /// Instances outside the assumptions.
    pub refused: usize,
    /// (False variant, instance) pairs, and counter-examples to claims without a hypothesis.
    pub tried: usize,
    /// Those that were rejected.
    pub caught: usize,
    /// Pairs on which the variant happens to be true, which are not tried.
    pub true_here: usize,
}

impl Tally {
    /// Of these claims.
    pub fn of(evidence: &[Evidence]) -> Self {
        let sum = |f: &dyn Fn(&Evidence) -> usize| evidence.iter().map(f).sum::<usize>();
        let count = |verdict: Verdict| sum(&|e| e.count(&verdict));
        Self {
            claims: sum(&|e| usize::from(status(e) == Status::Holds)),
            held: count(Verdict::Holds),
            failed: count(Verdict::Fails),
            unresolved: count(Verdict::Unresolved),
            refused: count(Verdict::Refused(String::new())),
            tried: sum(&Evidence::tried),
            caught: sum(&Evidence::caught),
            true_here: sum(&|e| e.mutants.iter().map(Mutant::true_here).sum()),
        }
    }

    /// In one sentence.
    pub fn sentence(&self, claims: usize) -> String {
        let mut text = format!("{} of {claims} claims hold on {} instances", self.claims, count(self.held));
        for (n, what) in [(self.failed, "fail"), (self.unresolved, "unresolved"), (self.refused, "refused")] {
            if n > 0 {
                text += &format!(", {} {what}", count(n));
            }
        }
        text += &format!("; false variants: {} of {} instances caught", count(self.caught), count(self.tried));
        if self.true_here > 0 {
            text += &format!(", {} are true here", count(self.true_here));
        }
        text
    }
}

/// How near a comparison came to its limit: above 1 it fails.
fn strain(c: &Comparison) -> f64 {
    match c.z {
        Some(z) => z.abs() / 4.0,
        None if c.tolerance > 0.0 => c.relative_error / c.tolerance,
        None => 0.0,
    }
}

/// What is shown of a claim: everything bad (at most 20), then `n` that came nearest to their limits, with and without an order.
/// A yes or no has no distance from its limit, and is only counted.
pub fn shown(evidence: &Evidence, n: usize) -> Vec<&Comparison> {
    let bad = |c: &&Comparison| matches!(c.verdict, Verdict::Fails | Verdict::Unresolved);
    let mut out: Vec<&Comparison> = evidence.comparisons.iter().filter(bad).take(20).collect();
    let holds = |c: &&Comparison| c.verdict == Verdict::Holds && !c.is_decision();
    let mut good: Vec<&Comparison> = evidence.comparisons.iter().filter(holds).collect();
    good.sort_by(|a, b| strain(b).total_cmp(&strain(a)));
    let (with, without): (Vec<_>, Vec<_>) = good.into_iter().partition(|c| c.observed_order.is_some());
    let few = without.len().min(n - n.min(with.len()).min(n.div_ceil(2)));
    let many = n - few;
    out.extend(with.into_iter().take(many));
    out.extend(without.into_iter().take(few));
    out
}
