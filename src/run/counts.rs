//! The counts of evaluations in the state of a run.

use crate::density::{Count, Counter, Counts, Phase};
use crate::error::Result;
use crate::state::{State, Stateful};

impl Stateful for Counter {
    fn save(&self, to: &mut State) {
        let counts = self.counts();
        for phase in Phase::ALL {
            let Count { log_density, score } = counts.of(phase);
            let mut put = |kind, n| to.counters.insert(format!("{}.{kind}", phase.name()), n);
            put("log_density", log_density);
            put("score", score);
        }
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        read(from).map(|counts| self.set(counts))
    }
}

/// The counts in a state that a [`Counter`] saved; `Error::State` where one is missing.
pub(super) fn read(from: &State) -> Result<Counts> {
    let mut counts = Counts::default();
    for phase in Phase::ALL {
        let number = |kind| from.counter(&format!("{}.{kind}", phase.name()));
        counts.add(phase, Count { log_density: number("log_density")?, score: number("score")? });
    }
    Ok(counts)
}
