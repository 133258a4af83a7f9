//! What a model keeps of the search that it came from.

use crate::error::Result;
use crate::linalg::Matrix;
use crate::search::Found;
use crate::state::State;

/// Every such particle of a search is kept.
const KEPT: usize = 4;
/// A share v of the volume is met by none of N evaluations with probability (1 - v)^N = 0.05 where v = 3/N.
const UNSEEN: f64 = 3.0;

/// What is kept of a search: a sample of its particles (N×d, in the units of the target), log Z with its error, and its calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Searched {
    /// N×d.
    pub particles: Matrix,
    /// log Z.
    pub log_z: f64,
    /// Its standard error.
    pub log_z_error: f64,
    /// Evaluations of log p~.
    pub calls: u64,
}

impl Searched {
    /// Of a search: every fourth particle.
    pub(crate) fn of(found: &Found) -> Self {
        let kept: Vec<usize> = (0..found.particles.rows()).step_by(KEPT).collect();
        let (log_z, log_z_error, calls) = (found.log_z, found.log_z_error, found.calls);
        Self { particles: found.particles.gather_rows(&kept), log_z, log_z_error, calls }
    }

    /// 3/N of N evaluations: the share of the volume below which a mode is missed with probability 0.05 or more, if no slope leads to it.
    pub fn resolution(calls: u64) -> f64 {
        UNSEEN / calls.max(1) as f64
    }

    /// Into a state.
    pub(crate) fn put(&self, to: &mut State) {
        to.put("search.particles", &self.particles);
        to.put_row("search.log_z", &[self.log_z, self.log_z_error]);
        to.counters.insert("search.calls".into(), self.calls);
    }

    /// Out of a state of particles in R^d; None where it holds none.
    pub(crate) fn of_state(from: &State, d: usize) -> Result<Option<Self>> {
        let Some(&calls) = from.counters.get("search.calls") else { return Ok(None) };
        let held = from.tensors.get("search.particles").map_or(0, |m| m.shape().0);
        let particles = from.matrix::<f64>("search.particles", (held, d))?.clone();
        let log_z = from.matrix::<f64>("search.log_z", (1, 2))?;
        Ok(Some(Self { particles, log_z: log_z[(0, 0)], log_z_error: log_z[(0, 1)], calls }))
    }
}
