//! Steps that were left out.

use crate::error::{Error, Result};
use crate::estimate::Clock;
use crate::state::{State, Stateful};

/// Steps that were left out, and why.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    /// How many.
    pub skipped: u64,
    /// The first reason, with the point in the units of the target.
    pub first: Option<Error>,
}

/// Fraction of steps that may be skipped before the run stops.
const FAULTY_FRACTION: f64 = 0.01;

impl Faults {
    /// One more step was left out; `Error::TooManyFaults` once that is more than 1 % of all.
    pub(crate) fn count(&mut self, error: Error, clock: Clock) -> Result<()> {
        self.skipped += 1;
        let first = self.first.get_or_insert(error).clone();
        if self.skipped as f64 > FAULTY_FRACTION * clock.steps as f64 {
            return Err(Error::TooManyFaults { skipped: self.skipped, steps: clock.step, first: Box::new(first) });
        }
        Ok(())
    }
}

impl Stateful for Faults {
    fn save(&self, to: &mut State) {
        to.counters.insert("skipped".into(), self.skipped);
        match &self.first {
            Some(Error::NonFinite { what, value, point }) => {
                to.words.insert("what".into(), what.clone());
                // as a word: a matrix must be finite
                to.words.insert("value".into(), value.to_string());
                to.put_row("point", point);
            }
            Some(Error::OutsideSupport { particles }) => {
                to.counters.insert("outside".into(), *particles as u64);
            }
            _ => {}
        }
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        let point = from.any_shape::<f64>("point").ok();
        let parts = (from.words.get("what"), from.words.get("value").and_then(|v| v.parse().ok()), point);
        self.first = match parts {
            (Some(what), Some(value), Some(point)) => {
                Some(Error::NonFinite { what: what.clone(), value, point: point.as_slice().to_vec() })
            }
            _ => from.counter("outside").ok().map(|n| Error::OutsideSupport { particles: n as usize }),
        };
        self.skipped = from.counter("skipped")?;
        Ok(())
    }
}
