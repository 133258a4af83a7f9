//! What a model keeps of the search that it came from.

use crate::error::{Error, Result};
use crate::linalg::Matrix;
use crate::search::{Disagreement, Found};
use crate::state::State;
use std::collections::BTreeMap;

/// Every such particle of a search is kept; as many of the second population.
const KEPT: usize = 4;
/// A share v of the volume is met by none of N evaluations with probability (1 - v)^N = 0.05 where v = 3/N.
const UNSEEN: f64 = 3.0;

/// What is kept of a search: samples of the particles of its two populations (in the units of the target), log Z with its error, its calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Searched {
    /// Of the first population, N×d.
    pub particles: Matrix,
    /// Of the second one, which no training follows, M×d; none where it did not reach the target.
    pub second: Matrix,
    /// Which of them descend from one particle of a start: a number below N + M for each, equal for relatives. Empty where all are independent.
    pub families: Vec<usize>,
    /// log Z.
    pub log_z: f64,
    /// Its standard error.
    pub log_z_error: f64,
    /// Evaluations of log p~.
    pub calls: u64,
    /// What the populations do not agree on by more than their errors.
    pub disagreement: Option<Disagreement>,
}

impl Searched {
    /// Of a search: every fourth particle of the first population, and at most as many of the second.
    pub fn of(found: &Found) -> Self {
        let kept: Vec<usize> = (0..found.particles.rows()).step_by(KEPT).collect();
        let step = found.second.rows().div_ceil(kept.len().max(1)).max(1);
        let others: Vec<usize> = (0..found.second.rows()).step_by(step).collect();
        let n = found.particles.rows();
        let mut number = BTreeMap::new();
        let ancestors = kept.iter().copied().chain(others.iter().map(|i| n + i)).map(|i| found.families[i]);
        let families = ancestors
            .map(|a| {
                let next = number.len();
                *number.entry(a).or_insert(next)
            })
            .collect();
        Self {
            particles: found.particles.gather_rows(&kept),
            second: found.second.gather_rows(&others),
            families,
            log_z: found.log_z,
            log_z_error: found.log_z_error,
            calls: found.calls,
            disagreement: found.disagreement.clone(),
        }
    }

    /// From numbers of a file, with the counts of particles and the families checked; else what is wrong with them.
    pub fn of_numbers(
        (particles, second): (Matrix, Matrix),
        families: &[f64],
        [log_z, log_z_error, calls]: [f64; 3],
        disagreement: Option<[f64; 4]>,
    ) -> std::result::Result<Self, String> {
        let count = particles.rows() + second.rows();
        let is_number = |a: &f64| *a >= 0.0 && *a < count as f64 && a.fract() == 0.0;
        if !(families.is_empty() || families.len() == count && families.iter().all(is_number)) {
            return Err(format!("search.families are not {count} whole numbers below {count}"));
        }
        let disagreement = match disagreement {
            None => None,
            Some(numbers) => Some(
                Disagreement::of_numbers(numbers)
                    .ok_or_else(|| format!("search.disagreement is about {}, which is nothing known", numbers[0]))?,
            ),
        };
        let families = families.iter().map(|a| *a as usize).collect();
        Ok(Self { particles, second, families, log_z, log_z_error, calls: calls as u64, disagreement })
    }

    /// 3/N of N evaluations: the share of the volume below which a mode is missed with probability 0.05 or more, if no slope leads to it.
    pub fn resolution(calls: u64) -> f64 {
        UNSEEN / calls.max(1) as f64
    }

    /// Into a state.
    pub(crate) fn put(&self, to: &mut State) {
        to.put("search.particles", &self.particles);
        to.counters.insert("search.second".into(), self.second.rows() as u64);
        if self.second.rows() > 0 {
            to.put("search.second", &self.second);
        }
        to.put_row("search.families", &self.family_numbers());
        to.put_row("search.log_z", &[self.log_z, self.log_z_error]);
        if let Some(disagreement) = &self.disagreement {
            to.put_row("search.disagreement", &disagreement.numbers());
        }
        to.counters.insert("search.calls".into(), self.calls);
    }

    /// The families as numbers for a file.
    pub fn family_numbers(&self) -> Vec<f64> {
        self.families.iter().map(|a| *a as f64).collect()
    }

    /// Out of a state of particles in R^d; None where it holds none.
    pub(crate) fn of_state(from: &State, d: usize) -> Result<Option<Self>> {
        let Some(&calls) = from.counters.get("search.calls") else { return Ok(None) };
        let rows = from.tensors.get("search.particles").map_or(0, |m| m.shape().0);
        let particles = from.matrix::<f64>("search.particles", (rows, d))?.clone();
        let second = match from.counter("search.second")? as usize {
            0 => Matrix::zeros(0, d),
            held => from.matrix::<f64>("search.second", (held, d))?.clone(),
        };
        let families = from.any_shape::<f64>("search.families")?;
        let log_z = from.matrix::<f64>("search.log_z", (1, 2))?;
        let disagreement = match from.tensors.contains_key("search.disagreement") {
            true => Some(from.matrix::<f64>("search.disagreement", (1, 4))?),
            false => None,
        };
        let disagreement = disagreement.map(|m| [0, 1, 2, 3].map(|j| m[(0, j)]));
        let numbers = [log_z[(0, 0)], log_z[(0, 1)], calls as f64];
        let all = Self::of_numbers((particles, second), families.as_slice(), numbers, disagreement);
        all.map(|found| Some(Self { calls, ..found })).map_err(|what| Error::State { what })
    }
}
