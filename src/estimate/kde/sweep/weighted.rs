//! Sums over samples that carry a vector, weighted by a Gaussian kernel: what Stein's velocity averages.

use super::lanes::{BLOCK, LANES, Lanes, MASS, SHIFT, Tile, sweep};
use super::order::{Boxes, gather, scatter, tree_order};
use super::place::{Place, Rows, Samples, in_blocks};
use super::{about_centre, dispatch};
use crate::estimate::kde::{FEW, Setup};
use crate::linalg::{Matrix, shape_mismatch};
use crate::num::{InstructionSet, Kernel, Real, exp2, instruction_set};
use crate::parallel;

/// Σ_j k(x_i, y_j) (b_j + c (x_i - y_j)), k(x, y) = exp(-|x - y|²/w), at the rows of `x` (n×d): n×d.
///
/// y is N×d and b N×d, d at most [`FEW`], w > 0. In blocks of 64 samples the sums are in the working precision, over blocks in f64. A
/// kernel value is right to a few ε (|x - y|²/w + 33); below 2^-76, in f64 2^-972, it may be that number. O(n N d), memory O((n + N) d).
#[track_caller]
pub(crate) fn kernel_sums<T: Real>(x: &Matrix<T>, y: &Matrix<T>, b: &Matrix<T>, w: f64, c: f64) -> Matrix<T> {
    let (n, d) = x.shape();
    if y.cols() != d || b.shape() != y.shape() {
        shape_mismatch("kernel_sums", y.shape(), b.shape());
    }
    let centre = y.column_means().iter().map(|m| m.to_f64()).collect();
    // φ_h of the estimates is exp(-|x - y|²/2h²)
    let setup = Setup::new(y.rows(), centre, (0.5 * w).sqrt());
    let order = tree_order(x.as_slice(), d, LANES);
    let places = about_centre(&gather(x.as_slice(), d, &order), &setup);
    let y = about_centre(y.as_slice(), &setup);
    let (boxes, y, b) = (Boxes::new(&y, d, BLOCK), in_blocks(&y, d), in_blocks(b.as_slice(), d));
    let carried = Some((&b[..], T::from_f64(c / setup.scale())));
    let blocks: Vec<u32> = (0..setup.n.div_ceil(BLOCK) as u32).collect();
    let mut out = vec![T::ZERO; n * d];
    parallel::for_each(places.chunks(LANES * d).zip(out.chunks_mut(LANES * d)), |(x, out)| {
        let samples = Samples { n: setup.n, d, y: &y, boxes: &boxes, carried };
        dispatch(Sums { x, samples, blocks: &blocks, out, set: instruction_set() });
    });
    Matrix::from_vec(n, d, scatter(&out, d, &order))
}

/// The sums of at most [`LANES`] queries.
struct Sums<'a, T> {
    x: &'a [T],
    samples: Samples<'a, T>,
    /// All blocks.
    blocks: &'a [u32],
    out: &'a mut [T],
    /// Where the task runs.
    set: InstructionSet,
}

impl<T: Real> Kernel for Sums<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { x, samples, blocks, out, set } = self;
        let (d, zero) = (samples.d, Lanes([T::ZERO; LANES]));
        let (last, mut lanes) = (x.len() / d - 1, [zero; FEW]);
        for l in 0..LANES {
            for c in 0..d {
                lanes[c].0[l] = x[l.min(last) * d + c];
            }
        }
        let mut totals = [Lanes([0.0; LANES]); SHIFT + FEW];
        let place = Place::new(&lanes[..d], &zero, T::EXP2_LOW);
        add::<FMA, T>(set, &samples, blocks, &place, &mut totals[..SHIFT + d]);
        let slope = samples.carried.map_or(0.0, |(_, slope)| slope.to_f64());
        for (l, out) in out.chunks_exact_mut(d).enumerate() {
            let unit = exp2(-place.offset(l));
            for c in 0..d {
                let sum = totals[SHIFT + c].0[l] + slope * place.moved(l, c) * totals[MASS].0[l];
                out[c] = T::from_f64(sum * unit);
            }
        }
    }
}

/// Adds the sums over some blocks to the totals.
#[inline(always)]
fn add<const FMA: bool, T: Real>(
    set: InstructionSet,
    samples: &Samples<'_, T>,
    blocks: &[u32],
    place: &Place<T>,
    totals: &mut [Lanes<f64>],
) {
    let mut rows = Rows::new();
    #[cfg(target_arch = "x86_64")]
    if let (Some(machine), true) = (set.wide(), place.d <= super::wide::MOST) {
        return super::wide::sweep::<false, T>(machine, samples, blocks, place, &mut rows, totals);
    }
    sweep::<FMA, false, T>(samples, blocks, place, &mut rows, &mut Tile::zeros(), totals);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::instruction_sets;
    use crate::rng::{Purpose, normal_matrix};

    fn draw<T: Real>(unit: u64, n: usize, d: usize) -> Matrix<T> {
        normal_matrix(1, Purpose::Check, unit, n, d)
    }

    /// Checks the sums against those pair by pair, in each number of dimensions, for sizes that do not fill panels or blocks and for widths at
    /// which panels are small and are not: kernel values to 90 ε (exponents of at most 80 bits), sums of 150 terms of size 10.
    #[test]
    fn sums_are_those_of_the_pairs() {
        for (d, w) in (1..=FEW).flat_map(|d| [(d, 1.7), (d, 0.2), (d, 20.0)]) {
            let (x, y, b) = (draw::<f64>(1, 41, d), draw(2, 150, d), draw(3, 150, d));
            let found = kernel_sums(&x, &y, &b, w, 1.5);
            let mut worst: f64 = 0.0;
            for i in 0..x.rows() {
                let mut sums = vec![0.0; d];
                for j in 0..y.rows() {
                    let square: f64 = (0..d).map(|c| (x[(i, c)] - y[(j, c)]).powi(2)).sum();
                    let k = crate::num::exp(-square / w);
                    for c in 0..d {
                        sums[c] += k * (b[(j, c)] + 1.5 * (x[(i, c)] - y[(j, c)]));
                    }
                }
                for c in 0..d {
                    worst = worst.max((found[(i, c)] - sums[c]).abs());
                }
            }
            assert!(worst < 90.0 * f64::EPSILON * 1500.0, "{worst:e} in {d} dimensions, width {w}");
        }
    }

    /// Checks that the sets with fused multiply-add agree bit for bit, whether the sums stay in registers (up to 4 coordinates) or not and the
    /// panel is small or not.
    #[test]
    fn sets_agree() {
        fn same<T: Real>(d: usize, scale: f64) {
            let blocks = |unit| in_blocks(draw::<T>(unit, 150, d).as_slice(), d);
            let (y, b, boxes) = (blocks(2), blocks(3), Boxes::new(draw::<T>(2, 150, d).as_slice(), d, BLOCK));
            let x = draw::<T>(1, LANES, d).map(|x| T::from_f64(scale) * x);
            let on = |set: InstructionSet| {
                let mut out = vec![T::ZERO; LANES * d];
                let samples = Samples { n: 150, d, y: &y, boxes: &boxes, carried: Some((&b, T::from_f64(0.7))) };
                crate::num::dispatch_on(set, Sums { x: x.as_slice(), samples, blocks: &[0, 1, 2], out: &mut out, set });
                out
            };
            let all: Vec<_> = instruction_sets()[1..].iter().map(|&set| on(set)).collect();
            assert!(all.windows(2).all(|w| w[0] == w[1]), "{} in {d} dimensions, scale {scale}", T::NAME);
        }
        for (d, scale) in (1..=5).flat_map(|d| [(d, 1.0), (d, 6.0)]) {
            same::<f32>(d, scale);
            same::<f64>(d, scale);
        }
    }
}
