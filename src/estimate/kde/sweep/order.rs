//! Points in an order that puts near ones beside each other, and boxes around blocks of them: what is far away is left out block by block.

use super::lanes::{Lanes, greatest, least};
use crate::estimate::kde::FEW;
use crate::num::Real;

/// Points below which two halves are not worth two threads.
const PARALLEL: usize = 256;

/// Most points whose extent decides along which axis a cell is cut.
const WIDTH_POINTS: usize = 32;

/// A permutation of the rows of `points` (d columns) in which each block of `block` rows, a power of two, is a cell of a k-d tree:
/// halves at the median of the widest axis, as far as some points tell it.
pub(in crate::estimate::kde) fn tree_order<T: Real>(points: &[T], d: usize, block: usize) -> Vec<u32> {
    let mut rows: Vec<u64> = (0..(points.len() / d) as u64).collect();
    split(points, d, block, &mut rows);
    rows.into_iter().map(|row| row as u32).collect()
}

/// Splits the cell of the rows whose numbers are the low halves of `rows`.
fn split<T: Real>(points: &[T], d: usize, block: usize, rows: &mut [u64]) {
    if rows.len() <= block {
        return;
    }
    let coordinate = |row: u64, c: usize| points[row as u32 as usize * d + c];
    let (mut low, mut high) = ([T::INFINITY; FEW], [T::NEG_INFINITY; FEW]);
    // some points tell which axis is the widest
    for &row in rows.iter().step_by(rows.len().div_ceil(WIDTH_POINTS)) {
        for (c, &x) in points[row as u32 as usize * d..][..d].iter().enumerate() {
            low[c] = if x < low[c] { x } else { low[c] };
            high[c] = if x > high[c] { x } else { high[c] };
        }
    }
    let width = |c: usize| (high[c] - low[c]).to_f64();
    let axis = (1..d).fold(0, |best, c| if width(c) > width(best) { c } else { best });
    let middle = (rows.len() / 2).next_multiple_of(block);
    // one number to compare, not an address to follow
    for row in &mut *rows {
        *row = rank(coordinate(*row, axis)) << 32 | u64::from(*row as u32);
    }
    rows.select_nth_unstable(middle);
    let (left, right) = rows.split_at_mut(middle);
    if right.len() < PARALLEL {
        split(points, d, block, left);
        split(points, d, block, right);
    } else {
        rayon::join(|| split(points, d, block, left), || split(points, d, block, right));
    }
}

/// 32 bits in the order of the numbers: the sign, the exponent and 20 bits of the mantissa, enough to tell near from far.
fn rank<T: Real>(x: T) -> u64 {
    let bits = x.to_f64().to_bits();
    let ascending = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
    ascending >> 32
}

/// Rows of `data` in the given order.
pub(super) fn gather<T: Copy>(data: &[T], d: usize, order: &[u32]) -> Vec<T> {
    order.iter().flat_map(|&i| &data[i as usize * d..][..d]).copied().collect()
}

/// Rows of `data` put back where [`gather`] took them from.
pub(super) fn scatter<T: Real>(data: &[T], d: usize, order: &[u32]) -> Vec<T> {
    let mut out = vec![T::ZERO; data.len()];
    for (row, &i) in data.chunks_exact(d).zip(order) {
        out[i as usize * d..][..d].copy_from_slice(row);
    }
    out
}

/// The smallest boxes around blocks of points. NaN in a block is NaN in its box.
#[derive(Debug, Clone, Default)]
pub(super) struct Boxes<T> {
    /// Corners, d numbers for each box.
    low: Vec<T>,
    high: Vec<T>,
}

impl<T: Real> Boxes<T> {
    pub fn new(points: &[T], d: usize, block: usize) -> Self {
        let mut this = Self { low: Vec::new(), high: Vec::new() };
        for block in points.chunks(block * d) {
            let (mut low, mut high) = ([T::INFINITY; FEW], [T::NEG_INFINITY; FEW]);
            for y in block.chunks_exact(d) {
                for c in 0..d {
                    (low[c], high[c]) = (least(low[c], y[c]), greatest(high[c], y[c]));
                }
            }
            this.low.extend(&low[..d]);
            this.high.extend(&high[..d]);
        }
        this
    }

    /// The boxes with their corners moved by a monotone function.
    pub fn map(&self, f: impl Fn(&[T]) -> Vec<T>) -> Self {
        Self { low: f(&self.low), high: f(&self.high) }
    }

    /// An upper bound of the squared distance from what lies within `half` of `middle` to the points of block b, up to rounding; NaN where there
    /// is NaN.
    #[inline(always)]
    pub fn span(&self, b: usize, middle: &[T], half: &[T]) -> T {
        let (from, mut sum) = (b * middle.len(), T::ZERO);
        let (low, high) = (&self.low[from..from + middle.len()], &self.high[from..]);
        for c in 0..middle.len() {
            let (below, above) = (middle[c] - low[c], high[c] - middle[c]);
            let reach = (if below > above { below } else { above }) + half[c];
            sum += reach * reach;
        }
        sum
    }

    /// out_b ← a lower bound of the squared distance from a panel of queries to the points of block b; NaN where there is NaN.
    #[inline(always)]
    pub fn gaps(&self, x: &[Lanes<T>], out: &mut [T]) {
        let d = x.len();
        let (mut low, mut high) = ([T::ZERO; FEW], [T::ZERO; FEW]);
        for c in 0..d {
            (low[c], high[c]) = (x[c].fold(least), x[c].fold(greatest));
        }
        // a sum of d ≤ 11 rounded squares of rounded differences, here and in the sweep
        let safety = T::ONE - T::from_f64(32.0) * T::EPSILON;
        for ((out, bl), bh) in out.iter_mut().zip(self.low.chunks_exact(d)).zip(self.high.chunks_exact(d)) {
            let mut sum = T::ZERO;
            for c in 0..d {
                let (below, above) = (bl[c] - high[c], low[c] - bh[c]);
                let gap = if below > above { below } else { above };
                let gap = if gap < T::ZERO { T::ZERO } else { gap };
                sum += gap * gap;
            }
            *out = sum * safety;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::kde::sweep::LANES;
    use crate::rng::{Purpose, normal_matrix};

    /// Checks that the order is a permutation, also with equal points, infinities and NaN, that scatter undoes gather, and that the boxes of
    /// 64 blocks of 4096 normal points in the plane are small: a square of 1/64 of the unit normal's mass has side 0.31 in the middle.
    #[test]
    fn order_is_a_permutation_with_small_boxes() {
        let mut points = normal_matrix::<f64>(1, Purpose::Check, 1, 4096, 2).into_vec();
        let order = tree_order(&points, 2, 64);
        let sorted = gather(&points, 2, &order);
        assert_eq!(scatter(&sorted, 2, &order), points);
        let boxes = Boxes::new(&sorted, 2, 64);
        let mut widths: Vec<f64> = boxes.low.iter().zip(&boxes.high).map(|(l, h)| h - l).collect();
        widths.sort_by(f64::total_cmp);
        assert!(widths[widths.len() / 2] < 0.6, "{}", widths[widths.len() / 2]);
        points[10] = f64::NAN;
        points[100] = f64::INFINITY;
        points[200..400].fill(0.0);
        let mut order = tree_order(&points, 2, 64);
        order.sort_unstable();
        assert!(order.iter().enumerate().all(|(k, &i)| k == i as usize));
    }

    /// Checks that ranks are in the order of the numbers, and tell two apart that differ by 2 in a million.
    #[test]
    fn ranks_ascend() {
        let ascending =
            [f64::NEG_INFINITY, -1e300, -2.0, -1.000_002, -1.0, -1e-300, 0.0, 1e-300, 1.0, 1.000_002, f64::INFINITY];
        assert!(ascending.map(rank).is_sorted_by(|a, b| a < b));
    }

    /// Checks that a gap is a lower bound of the distances, close to the smallest one for blocks far away, and NaN for a block with NaN.
    #[test]
    fn gaps_are_lower_bounds() {
        let mut points = normal_matrix::<f64>(1, Purpose::Check, 1, 640, 3).into_vec();
        points[7] = f64::NAN;
        let boxes = Boxes::new(&points, 3, 64);
        let x = normal_matrix::<f64>(1, Purpose::Check, 2, LANES, 3).map(|v| 0.1 * v + 20.0);
        let lanes: Vec<_> = (0..3).map(|c| Lanes(std::array::from_fn(|l| x[(l, c)]))).collect();
        let mut gaps = vec![0.0; 10];
        boxes.gaps(&lanes, &mut gaps);
        assert!(gaps[0].is_nan());
        for (b, block) in points.chunks(64 * 3).enumerate().skip(1) {
            let square = |y: &[f64], x: &[f64]| y.iter().zip(x).map(|(y, x)| (y - x).powi(2)).sum::<f64>();
            let pairs = block.chunks_exact(3).flat_map(|y| x.iter_rows().map(move |x| square(y, x)));
            let nearest = pairs.fold(f64::INFINITY, f64::min);
            assert!(gaps[b] <= nearest && gaps[b] > 0.7 * nearest, "{} of {nearest}", gaps[b]);
        }
    }
}
