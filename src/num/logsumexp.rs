//! log Σ exp without overflow.

use super::elementary::exp;
use super::{Kernel, Real, dispatch};

/// Partial sums that run side by side; fixed, so that the order of summation does not depend on the vector width.
const LANES: usize = 16;

/// Elements that are summed before their total joins the grand total: keeps the rounding error of long sums small.
const BLOCK: usize = 1024;

struct LogSumExp<'a, T>(&'a [T]);

impl<T: Real> Kernel for LogSumExp<'_, T> {
    type Output = T;
    #[inline(always)]
    fn run<const FMA: bool>(self) -> T {
        let max = maximum(self.0);
        // where nothing is finite, or something is infinite, the unshifted sum is already right
        let shift = if max.is_finite() { max } else { T::ZERO };
        let mut total = T::ZERO;
        for block in self.0.chunks(BLOCK) {
            total += block_sum::<FMA, T>(block, shift);
        }
        shift + total.ln()
    }
}

/// The largest element, NaN left out; -∞ for none.
#[inline(always)]
fn maximum<T: Real>(x: &[T]) -> T {
    let mut max = [T::NEG_INFINITY; LANES];
    let whole = x.chunks_exact(LANES);
    let rest = whole.remainder();
    for chunk in whole {
        for lane in 0..LANES {
            max[lane] = if chunk[lane] > max[lane] { chunk[lane] } else { max[lane] };
        }
    }
    max.iter().chain(rest).fold(T::NEG_INFINITY, |m, &x| if x > m { x } else { m })
}

/// Σ exp(x_i - shift) over at most [`BLOCK`] elements.
#[inline(always)]
fn block_sum<const FMA: bool, T: Real>(x: &[T], shift: T) -> T {
    let mut terms = [T::ZERO; BLOCK];
    for (term, &x) in terms.iter_mut().zip(x) {
        *term = (x - shift).exp_body::<FMA>();
    }
    let mut sum = [T::ZERO; LANES];
    for chunk in terms[..x.len().next_multiple_of(LANES)].chunks_exact(LANES) {
        for lane in 0..LANES {
            sum[lane] += chunk[lane];
        }
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            let other = sum[lane + half];
            sum[lane] += other;
        }
    }
    sum[0]
}

/// log Σ_i exp(x_i) = m + log Σ_i exp(x_i - m), m = max_i x_i.   x: n.
///
/// -∞ for no elements and for elements that are all -∞; +∞ where one is +∞; NaN where one is NaN. The sum runs in an order
/// that depends on n alone; its relative error is at most about (n/1024 + 70) ε, an absolute error of the logarithm.
pub fn log_sum_exp<T: Real>(x: &[T]) -> T {
    dispatch(LogSumExp(x))
}

/// log (1/n) Σ_i exp(x_i): [`log_sum_exp`] minus log n; NaN for no elements.
pub fn log_mean_exp<T: Real>(x: &[T]) -> T {
    if x.is_empty() {
        return T::NAN;
    }
    log_sum_exp(x) - T::from_usize(x.len()).ln()
}

/// exp(x_i - log Σ_j exp(x_j)): weights of sum 1 from their logarithms; NaN where the sum is 0.
pub fn softmax(x: &[f64]) -> Vec<f64> {
    let total = log_sum_exp(x);
    x.iter().map(|x| exp(x - total)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::{InstructionSet, dispatch_on, instruction_sets};
    use crate::rng::{Purpose, normal_matrix};

    /// Checks agreement with the plain loop in f64 for every length around the lane and block sizes, in every instruction set and both
    /// precisions, within the stated (n/1024 + 70) ε (+ 4 ε max(|m|, 1) for the shift and the last logarithm).
    #[test]
    fn agrees_with_the_plain_loop() {
        fn run<T: Real>(n: usize) {
            let x = normal_matrix::<T>(1, Purpose::Check, n as u64, n, 1).map(|x| x * T::from_f64(5.0));
            let exact = x.as_slice().iter().map(|x| x.to_f64().exp()).sum::<f64>().ln();
            let tolerance = (n as f64 / 1024.0 + 70.0 + 4.0 * exact.abs().max(1.0)) * T::EPSILON.to_f64();
            let mut fused = None;
            for set in instruction_sets() {
                let got = dispatch_on(set, LogSumExp(x.as_slice()));
                assert!((got.to_f64() - exact).abs() <= tolerance, "{set:?} n = {n}: {got} {exact}");
                if set != InstructionSet::Portable {
                    assert_eq!(*fused.get_or_insert(got), got, "the bits must not depend on the vector width");
                }
            }
        }
        for n in (1..40).chain([1023, 1024, 1025, 5000]) {
            run::<f64>(n);
            run::<f32>(n);
        }
    }

    /// Checks log Σ exp(x + c) = c + log Σ exp(x) exactly, where c and the x are integers, far outside exp's range.
    #[test]
    fn shift_invariant() {
        let x: Vec<f64> = (0..50).map(|i| -f64::from(i % 7)).collect();
        let base = log_sum_exp(&x);
        for c in [-1e5, 1e4, 1e6] {
            let moved: Vec<f64> = x.iter().map(|x| x + c).collect();
            assert_eq!(log_sum_exp(&moved), base + c);
        }
        assert!((log_mean_exp(&[-3000.0; 77]) + 3000.0).abs() < 3000.0 * 2.0 * f64::EPSILON);
    }

    /// Checks the edges: nothing, all -∞, one +∞, NaN among anything, in the vector part and in the remainder.
    #[test]
    fn edges() {
        let inf = f64::INFINITY;
        assert_eq!(log_sum_exp::<f64>(&[]), -inf);
        assert!(log_mean_exp::<f64>(&[]).is_nan());
        for n in [1, 17, 2000] {
            for place in [0, n / 2, n - 1] {
                let with = |fill: f64, value: f64| {
                    let mut x = vec![fill; n];
                    x[place] = value;
                    log_sum_exp(&x)
                };
                assert_eq!(with(-inf, -inf), -inf);
                assert_eq!(with(-inf, 3.0), 3.0);
                assert_eq!(with(900.0, inf), inf);
                assert!(
                    with(1.0, f64::NAN).is_nan() && with(-inf, f64::NAN).is_nan() && with(inf, f64::NAN).is_nan()
                        || n == 1
                );
            }
        }
    }
}
