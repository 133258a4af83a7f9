//! One task: its queries against all samples, a panel of queries at a time.

use super::sweep::{BLOCK, LANES, Lanes, MASS, MASS2, SHIFT, Tile, nearest, sweep};
use super::{FEW, Kde};
use crate::num::{Kernel, Real, dispatch, ln, log2};

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

/// A panel of queries against the blocks of the samples.
struct Panel<'a, T: Real> {
    kde: &'a Kde<T>,
    /// Scaled queries, coordinate by coordinate.
    x: [Lanes<T>; FEW],
    /// Lower bounds of the squared distances from the panel to the blocks.
    gaps: Vec<T>,
    /// Blocks of the pass at hand.
    near: Vec<u32>,
    tile: Tile<T>,
}

impl<'a, T: Real> Panel<'a, T> {
    #[inline(always)]
    fn new(kde: &'a Kde<T>) -> Self {
        let blocks = kde.n.div_ceil(BLOCK);
        let (gaps, near) = (vec![T::ZERO; blocks], Vec::with_capacity(blocks));
        Self { kde, x: [Lanes([T::ZERO; LANES]); FEW], gaps, near, tile: Tile::zeros() }
    }

    /// k = 2^(offset - |x - y|²) must neither overflow nor vanish at the nearest sample: any bound in range will do.
    #[inline(always)]
    fn offset<const FMA: bool>(&mut self) -> Lanes<T> {
        let (samples, x, gaps) = (&self.kde.scaled, &self.x[..self.kde.d], &self.gaps);
        let closest = (1..gaps.len()).fold(0, |best, b| if gaps[b] < gaps[best] { b } else { best });
        let offset = nearest::<FMA, T>(samples, &[closest as u32], x, &mut self.tile);
        if in_range(&offset) {
            return offset;
        }
        between(gaps, T::NEG_INFINITY, largest(&offset), &mut self.near);
        nearest::<FMA, T>(samples, &self.near, x, &mut self.tile)
    }

    /// Sums over all samples, those of blocks left out bounded by ε/8 of the smallest.
    #[inline(always)]
    fn sum<const FMA: bool, const SECOND: bool>(&mut self, offset: &Lanes<T>, totals: &mut [Lanes<f64>]) {
        let (samples, x) = (&self.kde.scaled, &self.x[..self.kde.d]);
        totals.fill(Lanes([0.0; LANES]));
        let mut reached = T::NEG_INFINITY;
        for bits in stages::<T>(self.kde.n) {
            let limit = largest(offset) + bits;
            between(&self.gaps, reached, limit, &mut self.near);
            sweep::<FMA, SECOND, T>(samples, &self.near, x, offset, &mut self.tile, totals);
            let enough = 0.125 * T::EPSILON.to_f64() * smallest(&totals[MASS]);
            if left_out::<FMA, T>(&self.gaps, limit, largest(offset)) <= enough {
                break;
            }
            reached = limit;
        }
    }
}

/// The queries of a task by [`sweep`].
struct Panels<'t, 'a, T: Real>(&'t mut Task<'a, T>);

impl<T: Real> Kernel for Panels<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let task = self.0;
        let (kde, d) = (task.kde, task.kde.d);
        let mut panel = Panel::new(kde);
        let mut totals = [Lanes([0.0; LANES]); SHIFT + 2 * FEW];
        for first in (0..task.log_density.len()).step_by(LANES) {
            task.load(first, &mut panel.x[..d]);
            kde.boxes.gaps(&panel.x[..d], &mut panel.gaps);
            let offset = panel.offset::<FMA>();
            if task.second.is_some() {
                panel.sum::<FMA, true>(&offset, &mut totals);
            } else {
                panel.sum::<FMA, false>(&offset, &mut totals);
            }
            for l in 0..LANES.min(task.log_density.len() - first) {
                if is_far(offset.0[l]) {
                    task.far::<FMA>(first + l);
                    continue;
                }
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

    /// Outputs of query i against all samples one by one, in f64, energies as differences to the nearest without the
    /// cancellation of the squares: |x - y|² - |x - z|² = (y - z)·((y - x) + (z - x)). For the few queries that
    /// [`is_far`] names.
    fn far<const FMA: bool>(&mut self, i: usize) {
        let (kde, d, scale) = (self.kde, self.kde.d, self.kde.scale());
        let x: [f64; FEW] =
            std::array::from_fn(
                |c| if c < d { (self.queries[i * d + c].to_f64() - kde.centre[c]) * scale } else { 0.0 },
            );
        let shift = |y: &[T], c: usize| y[c].to_f64() - x[c];
        let excess = |y: &[T], z: &[T]| {
            let part = |c: usize| 2.0 * (y[c].to_f64() - z[c].to_f64()) * (0.5 * shift(y, c) + 0.5 * shift(z, c));
            (0..d).map(part).sum::<f64>()
        };
        let samples = || kde.scaled.chunks_exact(d);
        let nearest = samples().fold(&kde.scaled[..d], |z, y| if excess(y, z) < 0.0 { y } else { z });
        let offset = (0..d).map(|c| shift(nearest, c) * shift(nearest, c)).sum();
        let (mut mass, mut mass2, mut sums) = (0.0, 0.0, [[0.0; 2]; FEW]);
        for y in samples() {
            let bits = excess(y, nearest);
            // negative by rounding only
            let k = if bits < 0.0 { 1.0 } else { (-bits).exp2_body::<FMA>() };
            (mass, mass2) = (mass + k, mass2 + k * k);
            for (c, sum) in sums[..d].iter_mut().enumerate() {
                *sum = [sum[0] + k * shift(y, c), sum[1] + k * k * shift(y, c)];
            }
        }
        self.store(i, Values { offset, mass, mass2, unit: scale.recip() }, |c| sums[c][0], |c| sums[c][1]);
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
        let log = ln(v.mass) - v.offset * std::f64::consts::LN_2 - self.kde.log_norm;
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

/// Whether a squared distance is so large that the rounding of energies, some d ε of it, changes kernel values by
/// factors: from 10³ bandwidths in f32 and 3·10⁷ in f64. Infinite where there is no number too.
#[inline(always)]
fn is_far<T: Real>(offset: T) -> bool {
    offset.to_f64() * T::EPSILON.to_f64() > 0.125
}

/// Bits below the kernel value of the nearest sample down to which blocks are summed, one stage after the other: mostly the first will do,
/// because the sum is larger than its largest term; beyond the last, N values are below ε/8 of the largest.
#[inline(always)]
fn stages<T: Real>(n: usize) -> [T; 3] {
    let mantissa = if size_of::<T>() == 4 { 23.0 } else { 52.0 };
    [mantissa, mantissa + 6.0, mantissa + 3.0 + log2(n as f64)].map(T::from_f64)
}

/// A bound on the sum of the kernel values, up to 2^offset, of the blocks further than `limit`.
#[inline(always)]
fn left_out<const FMA: bool, T: Real>(gaps: &[T], limit: T, offset: T) -> f64 {
    let mut sum = T::ZERO;
    for &gap in gaps {
        let k = (offset - gap).exp2_body::<FMA>();
        sum += if gap > limit { k } else { T::ZERO };
    }
    BLOCK as f64 * sum.to_f64()
}

/// The largest number of the lanes that are numbers.
#[inline(always)]
fn largest<T: Real>(x: &Lanes<T>) -> T {
    x.0.iter().fold(T::NEG_INFINITY, |m, &x| if x > m { x } else { m })
}

/// The smallest number of the lanes that are numbers.
#[inline(always)]
fn smallest(x: &Lanes<f64>) -> f64 {
    x.0.iter().fold(f64::INFINITY, |m, &x| if x < m { x } else { m })
}

/// The blocks that are further than `reached` and not known to be further than `limit`; of unknown ones those of the first stage only.
#[inline(always)]
fn between<T: Real>(gaps: &[T], reached: T, limit: T, out: &mut Vec<u32>) {
    out.clear();
    for (b, &gap) in gaps.iter().enumerate() {
        if (gap > reached && gap <= limit) || (gap.is_nan() && reached == T::NEG_INFINITY) {
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

    /// Checks that the vector shells agree bit for bit, and the portable one up to the rounding of fused and separate multiply-adds:
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
