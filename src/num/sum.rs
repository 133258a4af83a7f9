//! Sums and moments that do not lose digits.

use super::Real;

/// Σ x with the rounding errors carried along (Neumaier, 1974).
fn compensated(x: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut carry) = (0.0f64, 0.0);
    for x in x {
        let next = sum + x;
        carry += if sum.abs() >= x.abs() { (sum - next) + x } else { (x - next) + sum };
        sum = next;
    }
    // after an overflow the carry is NaN where the sum is rightly infinite
    if sum.is_finite() { sum + carry } else { sum }
}

/// Σ_i x_i, in f64 and compensated: error ≤ ε |Σ x_i| + O(n² ε₆₄²) Σ |x_i|. NaN and infinities come out as in the plain sum.
pub fn sum<T: Real>(x: &[T]) -> T {
    T::from_f64(compensated(x.iter().map(|x| x.to_f64())))
}

/// Σ_i x_i² in f64, plain, by eight partial sums: one sum would wait for itself.
#[inline(always)]
pub(crate) fn sum_of_squares<T: Real>(x: &[T]) -> f64 {
    let mut sums = [0.0; 8];
    for x in x.chunks(8) {
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum += x.to_f64() * x.to_f64();
        }
    }
    sums.iter().sum()
}

/// Size, mean and sample variance of a set of numbers, in f64.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// n.
    pub count: usize,
    /// x̄ = (1/n) Σ x_i; NaN for n = 0, infinite where an x_i is.
    pub mean: f64,
    /// s² = 1/(n - 1) Σ (x_i - x̄)²; NaN for n < 2.
    pub variance: f64,
}

impl Summary {
    /// Of `x`, in two passes, with the correction of Chan, Golub and LeVeque (1983) for the rounding of x̄.
    pub fn of<T: Real>(x: &[T]) -> Self {
        let n = x.len() as f64;
        let numbers = || x.iter().map(|x| x.to_f64());
        let mean = compensated(numbers()) / n;
        // the compensation of an infinite sum is NaN, the plain sum is not
        let mean = if mean.is_nan() { numbers().sum::<f64>() / n } else { mean };
        let difference = || x.iter().map(|x| x.to_f64() - mean);
        let drift = compensated(difference());
        let squares = compensated(difference().map(|d| d * d)) - drift * drift / n;
        let variance = if x.len() < 2 { f64::NAN } else { squares / (n - 1.0) };
        Self { count: x.len(), mean, variance }
    }

    /// s = √variance.
    pub fn standard_deviation(&self) -> f64 {
        self.variance.sqrt()
    }

    /// s/√n, the standard error of the mean of independent numbers.
    pub fn standard_error(&self) -> f64 {
        (self.variance / self.count as f64).sqrt()
    }
}

/// x̄ = (1/n) Σ x_i; NaN for n = 0.
pub fn mean<T: Real>(x: &[T]) -> T {
    T::from_f64(compensated(x.iter().map(|x| x.to_f64())) / x.len() as f64)
}

/// s² = 1/(n - 1) Σ (x_i - x̄)²; NaN for n < 2.
pub fn variance<T: Real>(x: &[T]) -> T {
    T::from_f64(Summary::of(x).variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that an infinite number makes the mean infinite, and infinities of both signs or NaN make it NaN.
    #[test]
    fn infinite_means() {
        let mean = |x: &[f64]| Summary::of(x).mean;
        assert_eq!(
            (mean(&[1.0, f64::NEG_INFINITY, 2.0]), mean(&[f64::INFINITY, 1.0])),
            (f64::NEG_INFINITY, f64::INFINITY)
        );
        assert!(mean(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan() && mean(&[f64::NAN, 1.0]).is_nan());
    }

    /// Checks that cancelled terms leave the small ones exact, in either order of magnitude; the plain sum gives 0.
    #[test]
    fn cancellation() {
        assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]), 2.0);
        let x: Vec<f64> = (0..1000).flat_map(|i| [1e17, f64::from(i), -1e17]).collect();
        assert_eq!(sum(&x), 499_500.0);
        assert_eq!(sum(&vec![0.1f32; 1 << 20]), 0.1f32 * (1 << 20) as f32);
    }

    /// Checks the edges: nothing, one number, infinities, NaN.
    #[test]
    fn edges() {
        assert_eq!(sum::<f64>(&[]), 0.0);
        assert!(mean::<f64>(&[]).is_nan() && variance::<f64>(&[]).is_nan() && variance(&[1.0]).is_nan());
        assert_eq!(mean(&[4.0]), 4.0);
        assert_eq!(sum(&[1.0, f64::INFINITY]), f64::INFINITY);
        assert!(sum(&[1.0, f64::NAN]).is_nan() && sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }

    /// Checks mean and variance of 0, …, n-1 on an offset of 1e9: n(n+1)/12 exactly, where the one-pass formula has lost
    /// all digits; and the standard error.
    #[test]
    fn moments_on_a_large_offset() {
        for n in [2usize, 3, 10, 999] {
            let x: Vec<f64> = (0..n).map(|i| 1e9 + i as f64).collect();
            let summary = Summary::of(&x);
            let exact = (n * (n + 1)) as f64 / 12.0;
            assert_eq!(summary.mean, 1e9 + (n - 1) as f64 / 2.0);
            // x - x̄ is exact, squares and quotient round: 4 ε
            assert!((summary.variance - exact).abs() <= 4.0 * f64::EPSILON * exact, "{} {exact}", summary.variance);
            assert!(
                (summary.standard_error() * (n as f64).sqrt() - summary.standard_deviation()).abs() <= 1e-15 * exact
            );
        }
    }
}
