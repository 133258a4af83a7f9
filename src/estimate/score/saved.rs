//! What a learnt score keeps from step to step.

use crate::error::{Error, Result};
use crate::estimate::ScoreNet;
use crate::estimate::score::whitening::Moments;
use crate::num::Real;
use crate::state::{State, Stateful};

impl<T: Real> Stateful for ScoreNet<T> {
    fn save(&self, to: &mut State) {
        let dim = self.moments.as_ref().map_or(0, |m| m.mean.len());
        to.counters.insert("dim".into(), dim as u64);
        to.counters.insert("trained".into(), u64::from(self.residual.is_some()));
        if let Some(moments) = &self.moments {
            to.put_row("weight", &[moments.weight]);
            to.put_row("mean", &moments.mean);
            to.put("square", &moments.square);
        }
        to.counters.insert("towards".into(), u64::from(self.rest.is_some()));
        if let Some(rest) = &self.rest {
            to.put("rest", rest);
        }
        if let Some(residual) = &self.residual {
            to.put_part("network", residual);
            // one normaliser at least, as in files of before there were levels
            let normalisers = if self.normalisers.is_empty() { &[0.0][..] } else { &self.normalisers };
            to.put_row("held_out", &[&[self.held_out], normalisers].concat());
        }
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        let (d, trained) = (from.counter("dim")? as usize, from.counter("trained")? > 0);
        let moments = match d {
            0 => None,
            _ => Some(Moments {
                weight: from.matrix::<f64>("weight", (1, 1))?[(0, 0)],
                mean: from.matrix::<f64>("mean", (1, d))?.row(0).to_vec(),
                square: from.matrix::<f64>("square", (d, d))?.clone(),
            }),
        };
        let mut residual = None;
        let (mut held_out, mut normalisers) = (0.0, Vec::new());
        if trained {
            let mut network = self.untrained(d, 0);
            network.restore(&from.part("network"))?;
            let levels = if self.is_potential() { self.settings.levels.max(1) } else { 1 };
            let numbers = from.matrix::<f64>("held_out", (1, 1 + levels))?.row(0);
            (held_out, normalisers) = (numbers[0], numbers[1..].to_vec());
            residual = Some(network);
        }
        // states of before there was any have no such counter
        let towards = from.counters.get("towards").is_some_and(|towards| *towards > 0);
        self.rest = towards.then(|| Ok::<_, Error>(from.matrix::<f64>("rest", (d + 1, d))?.clone())).transpose()?;
        (self.moments, self.residual, self.held_out, self.normalisers) = (moments, residual, held_out, normalisers);
        Ok(())
    }
}
