use super::Pair;
use crate::rng::{Purpose, Stream, stream};

/// One random instance: a pair (p, q), and the key of everything else that is drawn for it.
#[derive(Debug, Clone)]
pub struct Draw {
    /// Dimension and number, for the reader.
    pub label: String,
    /// (p, q).
    pub pair: Pair,
    /// The budget's seed.
    pub seed: u64,
    /// The key of attempt 0 less one; the pair itself was drawn under it.
    pub unit: u64,
}

impl Draw {
    /// The stream of the fields of this attempt (at most 254).
    pub fn stream(&self, attempt: usize) -> Stream {
        stream(self.seed, Purpose::Check, self.unit + 1 + attempt as u64)
    }

    /// The tolerance of the best step: 1e-8 on the line, 1e-6 in the plane.
    pub fn tolerance(&self) -> f64 {
        if self.pair.dim() == 1 { 1e-8 } else { 1e-6 }
    }
}
