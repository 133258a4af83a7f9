//! Searches at several temperatures.

use crate::density::{Density, Node, Temperatures, Tempered};
use crate::error::{Error, Result};
use crate::num::{exp, ln};
use crate::search::{SearchSettings, search};
use std::sync::Arc;

/// Particles of each search: log Z to some per cent, which is the evenness of the law of β and nothing else.
const PARTICLES: usize = 2048;
/// Ratio of β from a node to the next, at most.
const RATIO: f64 = 1.6;

/// p~^β for `from` ≤ β ≤ `to`, with log Z(β) and its slope by a search at nodes that are equally spaced in log β.
///
/// `Error::Parameter` unless 0 < from < to; errors of [`search`] where it fails at a power of p~, such as one that cannot be integrated.
pub fn temperatures(target: &Arc<dyn Density>, from: f64, to: f64, seed: u64) -> Result<Temperatures> {
    if !(from > 0.0 && from < to && to.is_finite()) {
        return Err(Error::Parameter {
            name: "least beta".into(),
            value: from,
            expected: "positive, and below the largest",
        });
    }
    let length = ln(to / from);
    let intervals = ((length / ln(RATIO)).ceil() as usize).max(2);
    let node = |k: usize| -> Result<Node> {
        let beta = if k == intervals { to } else { from * exp(length * k as f64 / intervals as f64) };
        let power = Tempered::new(Arc::clone(target), beta)?;
        let found = search(&power, &SearchSettings { particles: PARTICLES, seed, start: None })?;
        let values = target.log_density(&found.particles);
        let mean_log_density = values.iter().sum::<f64>() / values.len() as f64;
        Ok(Node { beta, log_z: found.log_z, mean_log_density })
    };
    Temperatures::new(Arc::clone(target), (0..=intervals).map(node).collect::<Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::Phi4;

    /// Checks log Z of the searches against the transfer operator's: 0.2, some four errors of a search of 2,048 particles of the ring.
    #[test]
    fn the_ring_at_every_temperature() {
        let ring: Arc<dyn Density> = Arc::new(Phi4::new(4).unwrap());
        let family = temperatures(&ring, 0.25, 1.0, 1).unwrap();
        assert_eq!(family.range(), (0.25, 1.0));
        for beta in [0.25, 0.3, 0.45, 0.7, 0.9, 1.0] {
            let (found, exact) = (family.log_z(beta).0, ring.log_normaliser_of_power(beta).unwrap());
            assert!((found - exact).abs() < 0.2, "{beta}: {found} {exact}");
        }
        assert!([0.0, 1.0, f64::NAN].iter().all(|from| temperatures(&ring, *from, 1.0, 0).is_err()));
    }
}
