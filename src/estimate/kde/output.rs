//! Where the values of queries go.

use super::{KdeValues, Setup};
use crate::linalg::Matrix;
use crate::num::{Real, ln};

/// The values of some queries that follow each other.
pub(super) struct Output<'a, T: Real> {
    pub log_density: &'a mut [T],
    score: &'a mut [T],
    /// Neighbours and score correction, where they are asked for.
    pub second: Option<(&'a mut [T], &'a mut [T])>,
}

/// Sums of one query, k relative to 2^-offset; the moments come beside it.
pub(super) struct Sums {
    pub offset: f64,
    pub mass: f64,
    pub mass2: f64,
    /// The length in which the moments come.
    pub unit: f64,
}

impl<T: Real> KdeValues<T> {
    /// Room for n queries in d dimensions; for neighbours and the correction only where `second`.
    pub(super) fn zeros(n: usize, d: usize, second: bool) -> Self {
        let extra = if second { n } else { 0 };
        Self {
            log_density: vec![T::ZERO; n],
            score: Matrix::zeros(n, d),
            neighbours: vec![T::ZERO; extra],
            score_correction: Matrix::zeros(extra, d),
        }
    }

    /// Its parts of at most `portion` queries.
    pub(super) fn portions(&mut self, portion: usize) -> impl Iterator<Item = Output<'_, T>> {
        let rows = portion * self.score.cols();
        let corrections = self.score_correction.as_mut_slice().chunks_mut(rows);
        let mut seconds = self.neighbours.chunks_mut(portion).zip(corrections);
        let firsts = self.log_density.chunks_mut(portion).zip(self.score.as_mut_slice().chunks_mut(rows));
        firsts.map(move |(log_density, score)| Output { log_density, score, second: seconds.next() })
    }
}

impl<T: Real> Output<'_, T> {
    /// Outputs of query i from its sums, in f64: `shift(c)` = Σ k (y - x)_c, `shift2(c)` = Σ k² (y - x)_c.
    #[inline(always)]
    pub(super) fn store(
        &mut self,
        setup: &Setup,
        i: usize,
        v: Sums,
        shift: impl Fn(usize) -> f64,
        shift2: impl Fn(usize) -> f64,
    ) {
        let (d, h) = (setup.d, setup.bandwidth);
        // the score is the ratio of the mean shift to h²
        let unit = h.powi(2) / v.unit;
        let mut finite = true;
        let inverse = (v.mass * unit).recip();
        for (c, s) in self.score[i * d..(i + 1) * d].iter_mut().enumerate() {
            let mean = shift(c) * inverse;
            (*s, finite) = (T::from_f64(mean), finite && mean.is_finite());
        }
        let log = ln(v.mass) - v.offset * std::f64::consts::LN_2 - setup.log_norm;
        // a query that is not a number shows in the shift only
        self.log_density[i] = T::from_f64(if finite { log } else { f64::NAN });
        if let Some((neighbours, correction)) = &mut self.second {
            let m = v.mass * v.mass / v.mass2;
            neighbours[i] = T::from_f64(m);
            for (c, out) in correction[i * d..(i + 1) * d].iter_mut().enumerate() {
                *out = T::from_f64((shift2(c) / v.mass2 - shift(c) / v.mass) / (m * unit));
            }
        }
    }
}
