use super::Ladder;
use crate::num::Order;
use std::fmt;

/// Half-width of the band around the expected order.
const ORDER_SLACK: f64 = 0.1;

/// What a comparison says.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The sides agree within the tolerance, and the error has the expected order.
    Holds,
    /// They do not agree.
    Fails,
    /// They agree within tolerance or rounding, but the order cannot be seen: the leading error coefficient nearly vanishes, or the
    /// functional is so large beside its derivative that rounding hides it.
    Unresolved,
    /// Of a false variant: its formula and the theorem's coincide on this instance, within the tolerance.
    TrueHere,
    /// An assumption of the theorem is not met, or rounding hides both sides, for this reason.
    Refused(String),
}

/// One assumption and the number that decided it.
#[derive(Debug, Clone, PartialEq)]
pub struct Assumption {
    /// In words.
    pub what: &'static str,
    /// The number that was looked at.
    pub value: f64,
    /// Its largest allowed value.
    pub limit: f64,
}

impl Assumption {
    /// value ≤ limit.
    pub fn met(&self) -> bool {
        self.value <= self.limit
    }
}

/// A number that a page takes from the evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measurement {
    /// T14 (a): the time in which reverse KL halves an imbalance of two unit Gaussians at this distance.
    HalvingTime {
        /// L.
        distance: f64,
    },
}

/// The two sides of a theorem on one instance.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// "T05.7", or "T05.v2.7" of the second false variant: the same for the same budget, seed and pair. Given by [`Claim::run`](super::Claim::run).
    pub id: String,
    /// What `left` measures, where a page asks for it.
    pub measures: Option<Measurement>,
    /// Pair, divergence, field: enough to find the instance again.
    pub instance: String,
    /// The side without the theorem, at the best step where there are steps.
    pub left: f64,
    /// The side of the formula.
    pub right: f64,
    /// What errors are relative to: |right|, or the size of its terms where these cancel.
    pub scale: f64,
    /// |left - right|/scale.
    pub relative_error: f64,
    /// Its largest allowed value.
    pub tolerance: f64,
    /// Step sizes, from large to small; empty where nothing is differentiated.
    pub steps: Vec<f64>,
    /// |left - right|/scale at each step.
    pub errors: Vec<f64>,
    /// The error of the limit that the steps foretell, whatever the right side ([`Ladder::limit`]); 0 without steps.
    pub resolution: f64,
    /// The order that the theorem promises.
    pub expected_order: Option<f64>,
    /// The fitted one with its standard error.
    pub observed_order: Option<Order>,
    /// (left - right)/standard error, where the left side is a Monte Carlo mean.
    pub z: Option<f64>,
    /// What was checked about the instance.
    pub assumptions: Vec<Assumption>,
    /// How many fields were drawn before this one and left the order unresolved.
    pub redrawn: usize,
    /// What follows.
    pub verdict: Verdict,
}

impl Comparison {
    fn new(instance: String, left: f64, right: f64, scale: f64, tolerance: f64) -> Self {
        let relative_error = relative((left - right).abs(), scale);
        let verdict = if relative_error <= tolerance { Verdict::Holds } else { Verdict::Fails };
        Self {
            id: String::new(),
            measures: None,
            instance,
            left,
            right,
            scale,
            relative_error,
            tolerance,
            steps: Vec::new(),
            errors: Vec::new(),
            resolution: 0.0,
            expected_order: None,
            observed_order: None,
            z: None,
            assumptions: Vec::new(),
            redrawn: 0,
            verdict,
        }
    }

    /// Two numbers without a step: |left - right| ≤ tolerance·scale.
    pub fn exact(instance: impl Into<String>, left: f64, right: f64, scale: f64, tolerance: f64) -> Self {
        Self::new(instance.into(), left, right, scale, tolerance)
    }

    /// With what `left` measures.
    pub fn measuring(self, what: Measurement) -> Self {
        Self { measures: Some(what), ..self }
    }

    /// A statement without numbers of its own: 1 for what was found against 1 for what must be.
    pub fn decision(instance: impl Into<String>, holds: bool) -> Self {
        Self::new(instance.into(), if holds { 1.0 } else { 0.0 }, 1.0, 1.0, 0.0)
    }

    /// An inequality: `left` exceeds `bound` by at most tolerance·scale.
    pub fn at_most(instance: impl Into<String>, left: f64, bound: f64, scale: f64, tolerance: f64) -> Self {
        // a side that is no number is no smaller one
        let reached = if left <= bound { left } else { bound };
        let excess = Self::new(instance.into(), left - reached, 0.0, scale, tolerance);
        Self { left, right: bound, ..excess }
    }

    /// Whether this is a [`Comparison::decision`], in which the numbers only say yes or no.
    pub fn is_decision(&self) -> bool {
        self.tolerance == 0.0 && self.right == 1.0 && self.steps.is_empty() && self.z.is_none()
    }

    /// A Monte Carlo mean `left` with its standard error against `right`: |z| ≤ `limit`.
    pub fn monte_carlo(instance: impl Into<String>, left: f64, standard_error: f64, right: f64, limit: f64) -> Self {
        let mut out = Self::new(instance.into(), left, right, right.abs(), f64::INFINITY);
        let z = (left - right) / standard_error;
        out.z = Some(z);
        out.verdict = if z.abs() <= limit { Verdict::Holds } else { Verdict::Fails };
        out
    }

    /// Differences on a ladder of steps against `right`: relative error at the best step ≤ `tolerance`, no more than that and rounding at
    /// any finer one, and the order of
    /// the straight part within 0.1 of the ladder's over at least five halvings. Without a straight part of that order they hold
    /// where every error is rounding, or falls from the first steps on at least as fast as the order promises (see
    /// [`Ladder::falls_as_promised`]): the leading coefficient vanishes, or the first step is below resolution already.
    pub fn of_ladder(instance: impl Into<String>, left: &Ladder, right: f64, scale: f64, tolerance: f64) -> Self {
        let distance = |v: &f64| (v - right).abs();
        let best = (0..left.values.len())
            .min_by(|&i, &j| distance(&left.values[i]).total_cmp(&distance(&left.values[j])))
            .unwrap_or(0);
        let errors: Vec<f64> = left.values.iter().map(|v| relative(distance(v), scale)).collect();
        let mut out = Self::new(instance.into(), left.values[best], right, scale, tolerance);
        out.expected_order = Some(left.order);
        out.observed_order = left.straight_part(right);
        let order = out.observed_order;
        // a wrong right side may lie on one rung by chance: the finer ones miss it by more than rounding, or the limit of the others does
        let steady = (best..left.values.len())
            .all(|i| distance(&left.values[i]) <= tolerance * scale.abs() + 3.0 * left.rounding[i]);
        let (foretold, resolution) = left.limit().unwrap_or((right, 0.0));
        out.resolution = resolution;
        let missed = distance(&foretold) > tolerance * scale.abs() + resolution;
        if out.verdict == Verdict::Holds && (!steady || missed) {
            out.verdict = Verdict::Fails;
        }
        let resolved = left.is_exact(right)
            || order.is_some_and(|o| o.is(left.order, ORDER_SLACK))
            || left.falls_as_promised(right);
        // the ladder ends while the error still falls as it should: its limit is one step of Richardson's extrapolation away. The limit decides
        // against the last rung too, which a wrong right side may meet on the way
        let limit = left.extrapolated();
        let near = relative(distance(&limit), scale) <= tolerance;
        let falling = order.is_some_and(|o| o.is(left.order, 0.1 * ORDER_SLACK));
        let passing = best + 1 == left.values.len() && left.ends_falling();
        let mut judged = left.values[best];
        if (out.verdict == Verdict::Fails && falling && near) || (out.verdict == Verdict::Holds && passing && !near) {
            (out.left, judged) = (limit, limit);
            out.relative_error = relative(distance(&limit), scale);
            out.verdict = if near { Verdict::Holds } else { Verdict::Fails };
        }
        // an error that falls more slowly by a whole order is a wrong right side, however small; one that grows is rounding
        let stagnant = order.is_some_and(|o| {
            o.order <= left.order - 1.0 + ORDER_SLACK && o.order > -0.5 && o.order_error <= ORDER_SLACK
        });
        // rounding may explain an error above the tolerance, where the functional is large beside its derivative
        let lost = distance(&judged) <= left.rounding[best] && out.relative_error > tolerance;
        if lost {
            out.assumptions.push(Assumption {
                what: "rounding of the best difference over the derivative",
                value: relative(left.rounding[best], scale),
                limit: f64::INFINITY,
            });
        }
        // a rung whose rounding is a thousand times the tolerance agrees by chance
        let lucky = left.rounding[best] > 1e3 * tolerance * scale.abs();
        out.verdict = match out.verdict {
            _ if stagnant => Verdict::Fails,
            Verdict::Holds if !resolved || lucky => Verdict::Unresolved,
            Verdict::Fails if lost => Verdict::Unresolved,
            verdict => verdict,
        };
        out.steps = left.steps.clone();
        out.errors = errors;
        out
    }

    /// With the resolution of a quadrature; the instance is refused where it is too coarse, because then its numbers mean nothing, or
    /// where it explains the whole error of a failure. It does not depend on the theorem, so that a false right side gains nothing.
    pub fn resolving(mut self, what: &'static str, value: f64, limit: f64) -> Self {
        let assumption = Assumption { what, value, limit };
        if !assumption.met() {
            self.verdict =
                Verdict::Refused(format!("{what}: {value:.1e} is above {limit:.0e}; the grid is too coarse here"));
        } else if self.verdict == Verdict::Fails && self.relative_error <= value {
            let error = self.relative_error;
            self.verdict = Verdict::Refused(format!(
                "{what}: {value:.1e} is above the error, {error:.1e}; the grid is too coarse here"
            ));
        }
        self.assumptions.push(assumption);
        self
    }

    /// Of a false variant: [`Verdict::TrueHere`] where its side differs from `truth`, the theorem's, by less than twice the tolerance: a measured
    /// side within the tolerance of one may then be so of the other. Both are formulas, so that no measured side can turn a variant that was
    /// missed into one that is true. Where steps resolve less than the tolerance, their own error counts too for a variant that was not refuted.
    pub fn unless_true(self, truth: f64) -> Self {
        let gap = (self.right - truth).abs();
        let tolerance = self.tolerance * self.scale.abs();
        let refuted = self.verdict == Verdict::Fails;
        let blurred = !refuted && gap <= 2.0 * (tolerance + self.resolution);
        self.unless(gap <= 2.0 * tolerance || blurred)
    }

    /// Of a false variant: [`Verdict::TrueHere`] on this condition, which must not look at the measured side.
    pub fn unless(mut self, true_here: bool) -> Self {
        if true_here {
            self.verdict = Verdict::TrueHere;
        }
        self
    }

    /// On a pair that the user gave, what rounding decides is refused in words: it would say nothing for or against the theorem.
    pub(super) fn on_own_pair(mut self) -> Self {
        let finite = self.left.is_finite() && self.right.is_finite() && self.scale.is_finite();
        self.verdict = match self.verdict {
            Verdict::Refused(_) | Verdict::TrueHere => self.verdict,
            _ if !finite => Verdict::Refused("a side is not finite in double precision: p/q is too uneven here".into()),
            Verdict::Unresolved => Verdict::Refused(format!(
                "rounding hides the order of convergence: the best relative error is {:.1e}",
                self.relative_error
            )),
            other => other,
        };
        self
    }

    /// An instance outside the theorem's assumptions.
    pub fn refused(instance: impl Into<String>, reason: impl Into<String>) -> Self {
        let mut out = Self::new(instance.into(), f64::NAN, f64::NAN, 1.0, 0.0);
        out.verdict = Verdict::Refused(reason.into());
        out
    }

    /// With an assumption; the comparison fails where it is not met, because then its numbers mean nothing.
    pub fn assuming(mut self, what: &'static str, value: f64, limit: f64) -> Self {
        let assumption = Assumption { what, value, limit };
        if !assumption.met() {
            self.verdict = Verdict::Fails;
        }
        self.assumptions.push(assumption);
        self
    }

    /// Relative error over tolerance, plus 10¹⁰⁰ where the verdict is bad: for sorting.
    pub(super) fn severity(&self) -> f64 {
        let error = match self.z {
            Some(z) => z.abs(),
            None if self.tolerance > 0.0 => self.relative_error / self.tolerance,
            None => 0.0,
        };
        if matches!(self.verdict, Verdict::Fails | Verdict::Unresolved) { 1e100 + error } else { error }
    }
}

/// An error relative to a scale; 0/0 is 0.
fn relative(error: f64, scale: f64) -> f64 {
    if error == 0.0 { 0.0 } else { error / scale }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Verdict::Refused(reason) = &self.verdict {
            return write!(f, "{}: refused, {reason}", self.instance);
        }
        write!(f, "{}: {:.9e} against {:.9e}, ", self.instance, self.left, self.right)?;
        write!(f, "relative error {:.1e} (allowed {:.0e})", self.relative_error, self.tolerance)?;
        if let Some(expected) = self.expected_order {
            let seen =
                self.observed_order.map_or("not resolved".into(), |o| format!("{:.3} ± {:.3}", o.order, o.order_error));
            write!(f, ", order {seen} (expected {expected})")?;
        }
        if let Some(z) = self.z {
            write!(f, ", z = {z:.2}")?;
        }
        for a in self.assumptions.iter().filter(|a| !a.met()) {
            write!(f, ", {}: {:.1e} above {:.1e}", a.what, a.value, a.limit)?;
        }
        write!(f, ": {:?}", self.verdict)
    }
}

/// Most fields that are drawn for one instance.
const ATTEMPTS: usize = 8;

/// `compare(cases, attempt)` for all cases at attempt 0, and again for each case alone while its order is unresolved.
/// A false statement gains nothing from this: its error stays above the tolerance at every step, which is a failure.
pub fn resolve<T: Clone>(cases: &[T], compare: impl Fn(&[T], usize) -> Vec<Comparison>) -> Vec<Comparison> {
    let mut out = compare(cases, 0);
    for (case, comparison) in cases.iter().zip(&mut out) {
        for attempt in 1..ATTEMPTS {
            if comparison.verdict != Verdict::Unresolved {
                break;
            }
            let again = compare(std::slice::from_ref(case), attempt).swap_remove(0);
            if !matches!(again.verdict, Verdict::Refused(_)) {
                *comparison = Comparison { redrawn: attempt, ..again };
            }
        }
    }
    out
}
