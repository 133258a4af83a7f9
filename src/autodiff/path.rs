//! Running error analysis: numbers that know how much rounding can have reached them.

use crate::autodiff::dual::{Dual, Scalar};
use crate::num::Special;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A number with its path sum: Σ over the paths from every rounding to this number of |product of the local derivatives|,
/// each rounding of one unit relative to what it rounds.
///
/// To first order, a computation in which each operation is right to c ε differs from the exact one by at most c ε `sum`
/// (running error analysis: Wilkinson 1986; Higham, Accuracy and Stability of Numerical Algorithms, section 3.3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Path {
    /// The value.
    pub value: f64,
    /// The path sum, ≥ 0.
    pub sum: f64,
}

impl Path {
    /// x, itself rounded: sum = |x|. As the seed of a derivative it makes the path sum contain Σ over all paths of |product of the local
    /// derivatives|, which bounds a road that adds the same paths in another order, as reverse mode does.
    pub fn rounded(x: f64) -> Self {
        Self { value: x, sum: x.abs() }
    }

    /// sum(f(x)) = |f'(x)| sum(x) + |f(x)|.
    fn through(self, f: impl Fn(Dual) -> Dual) -> Self {
        let y = f(Dual::variable(self.value));
        // an exact argument brings nothing, even where f' is infinite
        let brought = if self.sum == 0.0 { 0.0 } else { y.slope.abs() * self.sum };
        Self { value: y.value, sum: brought + y.value.abs() }
    }
}

impl Add for Path {
    type Output = Self;
    fn add(self, b: Self) -> Self {
        let value = self.value + b.value;
        Self { value, sum: self.sum + b.sum + value.abs() }
    }
}

impl Sub for Path {
    type Output = Self;
    fn sub(self, b: Self) -> Self {
        self + -b
    }
}

impl Mul for Path {
    type Output = Self;
    fn mul(self, b: Self) -> Self {
        let value = self.value * b.value;
        Self { value, sum: self.sum * b.value.abs() + self.value.abs() * b.sum + value.abs() }
    }
}

impl Div for Path {
    type Output = Self;
    fn div(self, b: Self) -> Self {
        let value = self.value / b.value;
        Self { value, sum: (self.sum + value.abs() * b.sum) / b.value.abs() + value.abs() }
    }
}

impl Neg for Path {
    type Output = Self;
    fn neg(self) -> Self {
        Self { value: -self.value, sum: self.sum }
    }
}

impl Scalar for Path {
    fn constant(x: f64) -> Self {
        Self { value: x, sum: 0.0 }
    }
    fn real(self) -> f64 {
        self.value
    }
    fn exp(self) -> Self {
        self.through(Scalar::exp)
    }
    fn ln(self) -> Self {
        self.through(Scalar::ln)
    }
    fn exp_m1(self) -> Self {
        self.through(Scalar::exp_m1)
    }
    fn ln_1p(self) -> Self {
        self.through(Scalar::ln_1p)
    }
    fn sqrt(self) -> Self {
        self.through(Scalar::sqrt)
    }
    fn sin(self) -> Self {
        self.through(Scalar::sin)
    }
    fn cos(self) -> Self {
        self.through(Scalar::cos)
    }
    fn tanh(self) -> Self {
        self.through(Scalar::tanh)
    }
    fn powf(self, k: f64) -> Self {
        self.through(|x| x.powf(k))
    }
    fn special(self, f: Special) -> Self {
        self.through(|x| x.special(f))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the path sum on a sum of n rounded ones: roundings of sizes 2, …, n, each with one path to the end.
    #[test]
    fn path_sum_of_a_running_sum() {
        let one = Path::constant(1.0);
        let total = (1..10).fold(one, |sum, _| sum + one);
        assert_eq!((total.value, total.sum), (10.0, (2..=10).sum::<i32>() as f64));
    }

    /// Checks the path sum of functions by hand: e² has the rounding of its argument times e², and its own.
    #[test]
    fn path_sum_of_a_function() {
        let x = Path { value: 2.0, sum: 3.0 };
        let e = 2f64.exp();
        assert_eq!(x.exp(), Path { value: e, sum: e * 3.0 + e });
        assert_eq!((x * x).sum, 3.0 * 2.0 + 2.0 * 3.0 + 4.0);
        assert_eq!((Path::constant(6.0) / x).sum, 3.0 * 3.0 / 2.0 + 3.0);
        // an exact argument brings nothing through an infinite derivative
        assert_eq!(Path::constant(0.0).sqrt().sum, 0.0);
    }
}
