//! Sums over samples that carry a vector, weighted by a Gaussian kernel: what Stein's velocity averages.

use super::about_centre;
use super::lanes::{BLOCK, LANES, Lanes, Tile, exponents, shift};
use crate::estimate::kde::{FEW, Setup};
use crate::linalg::{Matrix, shape_mismatch};
use crate::num::{InstructionSet, Kernel, Real, dispatch, instruction_set};
use crate::parallel;

/// (Σ_j k(x_i, y_j) b_j, Σ_j k(x_i, y_j) (y_j - x_i)), k(x, y) = exp(-|x - y|²/w), at the rows of `x` (n×d): two n×d.
///
/// y is N×d and b N×d, d at most [`FEW`], w > 0. In blocks of 64 samples the sums are in the working precision, over blocks in f64. A
/// kernel value is right to a few ε |x - y|²/w; below the smallest normal number it is that number. O(n N d), memory O((n + N) d).
#[track_caller]
pub(crate) fn kernel_sums<T: Real>(x: &Matrix<T>, y: &Matrix<T>, b: &Matrix<T>, w: f64) -> (Matrix<T>, Matrix<T>) {
    let (n, d) = x.shape();
    if y.cols() != d || b.shape() != y.shape() {
        shape_mismatch("kernel_sums", y.shape(), b.shape());
    }
    let centre = y.column_means().iter().map(|m| m.to_f64()).collect();
    // φ_h of the estimates is exp(-|x - y|²/2h²)
    let setup = Setup::new(y.rows(), centre, (0.5 * w).sqrt());
    let (places, samples) = (about_centre(x.as_slice(), &setup), about_centre(y.as_slice(), &setup));
    let (mut carried, mut moved) = (Matrix::zeros(n, d), Matrix::zeros(n, d));
    let out = carried.as_mut_slice().chunks_mut(LANES * d).zip(moved.as_mut_slice().chunks_mut(LANES * d));
    let unit = setup.scale().recip();
    parallel::for_each(places.chunks(LANES * d).zip(out), |(x, (carried, moved))| {
        let (samples, set) = (&samples[..], instruction_set());
        dispatch(Sums { x, samples, b: b.as_slice(), d, unit, carried, moved, set });
    });
    (carried, moved)
}

/// The sums of at most [`LANES`] queries.
struct Sums<'a, T> {
    /// Queries and samples in units in which the kernel is 2^-|x - y|².
    x: &'a [T],
    samples: &'a [T],
    b: &'a [T],
    d: usize,
    /// That unit.
    unit: f64,
    carried: &'a mut [T],
    moved: &'a mut [T],
    /// Where the task runs.
    set: InstructionSet,
}

impl<T: Real> Kernel for Sums<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { x, samples, b, d, unit, carried, moved, set } = self;
        let (last, mut places) = (x.len() / d - 1, [Lanes([T::ZERO; LANES]); FEW]);
        for l in 0..LANES {
            for c in 0..d {
                places[c].0[l] = x[l.min(last) * d + c];
            }
        }
        // rows of Σ k b, then those of Σ k (y - x)
        let (places, mut totals) = (&places[..d], [Lanes([0.0; LANES]); 2 * FEW]);
        add::<FMA, T>(set, samples, b, places, &mut totals[..2 * d]);
        let rows = carried.chunks_exact_mut(d).zip(moved.chunks_exact_mut(d));
        for (l, (carried, moved)) in rows.enumerate() {
            for c in 0..d {
                carried[c] = T::from_f64(totals[c].0[l]);
                moved[c] = T::from_f64(totals[d + c].0[l] * unit);
            }
        }
    }
}

/// Adds the sums over all samples to the totals.
#[inline(always)]
fn add<const FMA: bool, T: Real>(
    set: InstructionSet,
    samples: &[T],
    b: &[T],
    x: &[Lanes<T>],
    totals: &mut [Lanes<f64>],
) {
    let d = x.len();
    #[cfg(target_arch = "x86_64")]
    if let (Some(machine), true) = (set.wide(), d <= super::wide::MOST) {
        return super::wide::weighted(machine, samples, b, x, totals);
    }
    let (none, mut k) = (Lanes([T::ZERO; LANES]), Tile::zeros());
    let mut part = [Lanes([T::ZERO; LANES]); 2 * FEW];
    for (samples, b) in samples.chunks(BLOCK * d).zip(b.chunks(BLOCK * d)) {
        let k = k.first(samples.len() / d);
        exponents::<FMA, T>(samples, x, &none, k);
        for k in k.as_flattened_mut() {
            *k = k.exp2_body::<FMA>();
        }
        carry::<FMA, T>(b, d, k, &mut part[..d]);
        shift::<FMA, T>(samples, x, k, &mut part[d..2 * d]);
        for (total, part) in totals.iter_mut().zip(&part) {
            for l in 0..LANES {
                total.0[l] += part.0[l].to_f64();
            }
        }
    }
}

/// out_c ← Σ_j k_j b_jc.
#[inline(always)]
fn carry<const FMA: bool, T: Real>(b: &[T], d: usize, k: &[[T; LANES]], out: &mut [Lanes<T>]) {
    for c in 0..d {
        let mut sum = [T::ZERO; LANES];
        for (b, k) in b.chunks_exact(d).zip(k) {
            let b = b[c];
            for l in 0..LANES {
                sum[l] = k[l].fused::<FMA>(b, sum[l]);
            }
        }
        out[c].0 = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::instruction_sets;
    use crate::rng::{Purpose, normal_matrix};

    fn draw<T: Real>(unit: u64, n: usize, d: usize) -> Matrix<T> {
        normal_matrix(1, Purpose::Check, unit, n, d)
    }

    /// Checks the sums against those pair by pair, in each number of dimensions and for sizes that do not fill panels or blocks: kernel values
    /// to 40 ε (an exponent of at most 30), sums of 150 terms of size 3.
    #[test]
    fn sums_are_those_of_the_pairs() {
        for d in 1..=FEW {
            let (x, y, b) = (draw::<f64>(1, 41, d), draw(2, 150, d), draw(3, 150, d));
            let (carried, moved) = kernel_sums(&x, &y, &b, 1.7);
            let mut worst: f64 = 0.0;
            for i in 0..x.rows() {
                let (mut sums, mut shifts) = (vec![0.0; d], vec![0.0; d]);
                for j in 0..y.rows() {
                    let square: f64 = (0..d).map(|c| (x[(i, c)] - y[(j, c)]).powi(2)).sum();
                    let k = crate::num::exp(-square / 1.7);
                    for c in 0..d {
                        sums[c] += k * b[(j, c)];
                        shifts[c] += k * (y[(j, c)] - x[(i, c)]);
                    }
                }
                for c in 0..d {
                    worst = worst.max((carried[(i, c)] - sums[c]).abs()).max((moved[(i, c)] - shifts[c]).abs());
                }
            }
            assert!(worst < 40.0 * f64::EPSILON * 150.0, "{worst:e} in {d} dimensions");
        }
    }

    /// Checks that the sets with fused multiply-add agree bit for bit, whether the sums stay in registers (up to 4 coordinates) or not.
    #[test]
    fn sets_agree() {
        fn same<T: Real>(d: usize) {
            let (x, y, b) = (draw::<T>(1, LANES, d), draw::<T>(2, 150, d), draw::<T>(3, 150, d));
            let on = |set: InstructionSet| {
                let (mut carried, mut moved) = (vec![T::ZERO; LANES * d], vec![T::ZERO; LANES * d]);
                let (x, samples, b) = (x.as_slice(), y.as_slice(), b.as_slice());
                let sums = Sums { x, samples, b, d, unit: 1.0, carried: &mut carried, moved: &mut moved, set };
                crate::num::dispatch_on(set, sums);
                [carried, moved].concat()
            };
            let all: Vec<_> = instruction_sets()[1..].iter().map(|&set| on(set)).collect();
            assert!(all.windows(2).all(|w| w[0] == w[1]), "{} in {d} dimensions", T::NAME);
        }
        for d in 1..=5 {
            same::<f32>(d);
            same::<f64>(d);
        }
    }
}
