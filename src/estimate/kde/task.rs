//! One task: its queries against all samples, a panel of queries at a time.

use super::sweep::{BLOCK, LANES, Lanes, MASS, MASS2, SHIFT, Tile, nearest, sweep};
use super::{FEW, Kde};
use crate::num::{Kernel, Real, dispatch};

/// A portion of the queries and where their values go.
pub(super) struct Task<'a, T: Real> {
    pub kde: &'a Kde<T>,
    pub queries: &'a [T],
    pub log_density: &'a mut [T],
    pub score: &'a mut [T],
    /// Neighbours and score correction, where they are asked for.
    pub second: Option<(&'a mut [T], &'a mut [T])>,
}

/// Sums of one query, k relative to 2^-offset; the moments come beside it.
pub(super) struct Values {
    pub offset: f64,
    pub mass: f64,
    pub mass2: f64,
    /// The length in which the moments come.
    pub unit: f64,
}

/// The queries of a task by [`sweep`].
struct Panels<'t, 'a, T: Real>(&'t mut Task<'a, T>);

impl<T: Real> Kernel for Panels<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let task = self.0;
        let kde = task.kde;
        let d = kde.d;
        let mut x = [Lanes([T::ZERO; LANES]); FEW];
        let mut totals = [Lanes([0.0; LANES]); SHIFT + 2 * FEW];
        let x = &mut x[..d];
        let mut tile = Tile::zeros();
        let blocks = kde.n.div_ceil(BLOCK);
        let (mut gaps, mut near) = (vec![T::ZERO; blocks], Vec::with_capacity(blocks));
        for first in (0..task.log_density.len()).step_by(LANES) {
            task.load(first, x);
            kde.boxes.gaps(x, &mut gaps);
            let closest = (1..blocks).fold(0, |best, b| if gaps[b] < gaps[best] { b } else { best });
            // k = 2^(offset - |x - y|²) must neither overflow nor vanish at the nearest sample: any bound in range will do
            let mut offset = nearest::<FMA, T>(&kde.scaled, &[closest as u32], x, &mut tile);
            if !in_range(&offset) {
                within(&gaps, largest(&offset), &mut near);
                offset = nearest::<FMA, T>(&kde.scaled, &near, x, &mut tile);
            }
            within(&gaps, largest(&offset) + cut::<T>(kde.n), &mut near);
            totals.fill(Lanes([0.0; LANES]));
            if task.second.is_some() {
                sweep::<FMA, true, T>(&kde.scaled, &near, x, &offset, &mut tile, &mut totals);
            } else {
                sweep::<FMA, false, T>(&kde.scaled, &near, x, &offset, &mut tile, &mut totals);
            }
            for l in 0..LANES.min(task.log_density.len() - first) {
                let (offset, mass, mass2) = (offset.0[l].to_f64(), totals[MASS].0[l], totals[MASS2].0[l]);
                let shift = |c: usize| totals[SHIFT + c].0[l];
                let shift2 = |c: usize| totals[SHIFT + d + c].0[l];
                let values = Values { offset, mass, mass2, unit: kde.scale().recip() };
                task.store(first + l, values, shift, shift2);
            }
        }
    }
}

impl<T: Real> Task<'_, T> {
    /// Fills the outputs, in few dimensions.
    pub(super) fn run(mut self) {
        dispatch(Panels(&mut self));
    }

    /// Scaled queries, coordinate by coordinate; lanes beyond the last query repeat it.
    #[inline(always)]
    fn load(&self, first: usize, x: &mut [Lanes<T>]) {
        let (d, last, scale) = (x.len(), self.log_density.len() - 1, self.kde.scale());
        for l in 0..LANES {
            let row = (first + l).min(last) * d;
            for c in 0..d {
                x[c].0[l] = T::from_f64((self.queries[row + c].to_f64() - self.kde.centre[c]) * scale);
            }
        }
    }

    /// Outputs of query i from its sums, in f64: `shift(c)` = Σ k (y - x)_c, `shift2(c)` = Σ k² (y - x)_c.
    #[inline(always)]
    pub(super) fn store(&mut self, i: usize, v: Values, shift: impl Fn(usize) -> f64, shift2: impl Fn(usize) -> f64) {
        let (d, h) = (self.kde.d, self.kde.bandwidth);
        // the score is the ratio of the mean shift to h²
        let unit = h.powi(2) / v.unit;
        let mut finite = true;
        let inverse = (v.mass * unit).recip();
        for (c, s) in self.score[i * d..(i + 1) * d].iter_mut().enumerate() {
            let mean = shift(c) * inverse;
            (*s, finite) = (T::from_f64(mean), finite && mean.is_finite());
        }
        let log = v.mass.ln() - v.offset * std::f64::consts::LN_2 - self.kde.log_norm;
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

/// Whether 2^offset, its square and N of those are far from overflow, for any N: then the distance of some near sample does for that of the nearest.
#[inline(always)]
fn in_range<T: Real>(offset: &Lanes<T>) -> bool {
    let limit = T::from_f64(if size_of::<T>() == 4 { 30.0 } else { 400.0 });
    offset.0.iter().all(|&e| e < limit)
}

/// Bits by which a kernel value may fall below the largest one before it is left out: N of them are below ε/8.
#[inline(always)]
fn cut<T: Real>(n: usize) -> T {
    let mantissa = if size_of::<T>() == 4 { 23.0 } else { 52.0 };
    T::from_f64(mantissa + 3.0 + (n as f64).log2())
}

/// The largest number of the lanes that are numbers.
#[inline(always)]
fn largest<T: Real>(x: &Lanes<T>) -> T {
    x.0.iter().fold(T::NEG_INFINITY, |m, &x| if x > m { x } else { m })
}

/// The blocks that are not known to be further than `limit`.
#[inline(always)]
fn within<T: Real>(gaps: &[T], limit: T, out: &mut Vec<u32>) {
    out.clear();
    for (b, &gap) in gaps.iter().enumerate() {
        if gap <= limit || gap.is_nan() {
            out.push(b as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::Matrix;
    use crate::num::{Shell, dispatch_on, shells};
    use crate::rng::{Purpose, normal_matrix};

    /// Proves that the vector shells agree bit for bit, and the portable one up to the rounding of fused and separate multiply-adds:
    /// the exponent is at most 30 + 40 bits where k counts, so k is right to 70 ε, and a mean of lengths below 10 units to 700 ε.
    #[test]
    fn shells_agree() {
        let draw = |unit, n| normal_matrix::<f64>(1, Purpose::Check, unit, n, 3);
        let (kde, x) = (Kde::new(&draw(1, 200), 0.4).unwrap(), draw(2, 50));
        let on = |shell: Shell| {
            let (mut log_density, mut score) = (vec![0.0; 50], Matrix::zeros(50, 3));
            let (queries, score_out) = (x.as_slice(), score.as_mut_slice());
            let mut task = Task { kde: &kde, queries, log_density: &mut log_density, score: score_out, second: None };
            dispatch_on(shell, Panels(&mut task));
            [log_density, score.into_vec()].concat()
        };
        let portable = on(Shell::Portable);
        let vector: Vec<Vec<f64>> = shells()[1..].iter().map(|&s| on(s)).collect();
        assert!(vector.windows(2).all(|w| w[0] == w[1]));
        for v in &vector {
            let worst = v.iter().zip(&portable).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 700.0 * f64::EPSILON / 0.4, "{worst:e}");
        }
    }
}
