use super::unit::in_units;
use super::{Draw, Pair};
use crate::Result;
use crate::divergence::{Divergence, all_divergences};
use crate::rng::{Purpose, stream};
use std::sync::Arc;

/// How many instances a claim draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Seconds for all claims together.
    Quick,
    /// Minutes.
    Full,
}

/// What a claim may use, and what the user gave.
#[derive(Clone)]
pub struct Budget {
    /// Quick or full.
    pub size: Size,
    /// Of all random draws.
    pub seed: u64,
    /// The user's own divergence instead of the whole table.
    pub divergence: Option<Arc<dyn Divergence>>,
    /// The user's own (p, q) instead of random ones; set by [`Budget::with_pair`].
    pub pair: Option<Pair>,
    /// 1 or 2 instead of both. Where a pair is given, its dimension counts.
    pub dim: Option<usize>,
}

impl Budget {
    /// Every divergence, a few pairs in one and two dimensions, seed 1.
    pub fn quick() -> Self {
        Self { size: Size::Quick, seed: 1, divergence: None, pair: None, dim: None }
    }

    /// Every divergence, hundreds of pairs in one and two dimensions, seed 1.
    pub fn full() -> Self {
        Self { size: Size::Full, ..Self::quick() }
    }

    /// With another seed.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// With one divergence instead of the table; one of the user's own is divided by w(1).
    pub fn with_divergence(self, divergence: Arc<dyn Divergence>) -> Self {
        Self { divergence: Some(in_units(divergence)), ..self }
    }

    /// With one pair (p, q) instead of random ones, standardised ([`Pair::standardised`]).
    /// [`Error::Unsupported`](crate::Error::Unsupported) where no claim could be decided on it, with the reason ([`Pair::admitted`]).
    pub fn with_pair(self, pair: &Pair) -> Result<Self> {
        Ok(Self { pair: Some(pair.admitted()?), ..self })
    }

    /// In one dimension only, 1 or 2.
    pub fn with_dim(self, dim: usize) -> Self {
        Self { dim: Some(dim), ..self }
    }

    /// The user's divergence, or the table.
    pub fn divergences(&self) -> Vec<Arc<dyn Divergence>> {
        self.divergence.clone().map_or_else(all_divergences, |d| vec![d])
    }

    /// The instances of a claim: `quick` or `full` = [how many on the line, how many in the plane].
    /// With the user's pair: that pair, with at most ten draws of everything else. Streams are keyed by the theorem's number.
    pub fn draws(&self, theorem: u64, quick: [usize; 2], full: [usize; 2]) -> Vec<Draw> {
        let counts = if self.size == Size::Quick { quick } else { full };
        let dim = self.pair.as_ref().map(Pair::dim).or(self.dim);
        let dims = (1..=2).filter(|d| dim.is_none_or(|wanted| wanted == *d));
        dims.flat_map(|d| {
            let count = if self.pair.is_some() { counts[d - 1].min(10) } else { counts[d - 1] };
            (0..count as u64).map(move |k| (d, k))
        })
        .map(|(d, k)| {
            // 2^40 draws a theorem, 2^8 attempts a draw
            let unit = (theorem << 50) | ((d as u64) << 48) | (k << 8);
            let random = || Pair::random(&mut stream(self.seed, Purpose::Check, unit), d);
            let pair = self.pair.clone().unwrap_or_else(random);
            Draw { label: format!("d={d} draw {k}"), pair, seed: self.seed, unit }
        })
        .collect()
    }
}
