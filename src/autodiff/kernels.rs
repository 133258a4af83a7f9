//! The inner loops that call elementary functions, compiled for each instruction set.
//!
//! Accuracy is that of the bodies in [`crate::num::Real`], within 3 ulp each: an entry of a softmax over d columns is within
//! (10 + d/16 + |x - max|) ε of itself.

use crate::linalg::Matrix;
use crate::num::{Elementwise, Kernel, Real, Silu, SiluSlope, dispatch};

/// out_i ← f(x_i).
pub(super) fn map<T: Real>(f: impl Elementwise, x: &Matrix<T>, out: &mut Matrix<T>) {
    dispatch(Map(f, x.as_slice(), out.as_mut_slice()));
}

struct Map<'a, F, T>(F, &'a [T], &'a mut [T]);

impl<F: Elementwise, T: Real> Kernel for Map<'_, F, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (out, &x) in self.2.iter_mut().zip(self.1) {
            *out = self.0.apply::<FMA, T>(x);
        }
    }
}

/// slope_i ← silu'(x_i), x_i ← silu(x_i).
pub(super) fn silu_with_slope<T: Real>(x: &mut Matrix<T>, slope: &mut Matrix<T>) {
    dispatch(SiluWithSlope(x.as_mut_slice(), slope.as_mut_slice()));
}

struct SiluWithSlope<'a, T>(&'a mut [T], &'a mut [T]);

impl<T: Real> Kernel for SiluWithSlope<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (x, slope) in self.0.iter_mut().zip(self.1) {
            (*x, *slope) = (Silu.apply::<FMA, T>(*x), SiluSlope.apply::<FMA, T>(*x));
        }
    }
}

/// out_i ← log Σⱼ exp(xᵢⱼ).   x: n×d, out: n×1.
pub(super) fn log_sum_exp_rows<T: Real>(x: &Matrix<T>, out: &mut Matrix<T>) {
    dispatch(LogSumExpRows(x, out));
}

struct LogSumExpRows<'a, T>(&'a Matrix<T>, &'a mut Matrix<T>);

impl<T: Real> Kernel for LogSumExpRows<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for i in 0..self.0.rows() {
            let row = self.0.row(i);
            let shift = largest(row);
            let mut sum = [T::ZERO; LANES];
            for start in (0..row.len()).step_by(LANES) {
                add(&mut sum, &exponentials::<FMA, T>(row, start, shift));
            }
            self.1.row_mut(i)[0] = shift + total(sum).ln();
        }
    }
}

/// out_ij ← exp(xᵢⱼ) / Σⱼ exp(xᵢⱼ).   x, out: n×d.
pub(super) fn softmax_rows<T: Real>(x: &Matrix<T>, out: &mut Matrix<T>) {
    dispatch(SoftmaxRows(x, out));
}

struct SoftmaxRows<'a, T>(&'a Matrix<T>, &'a mut Matrix<T>);

impl<T: Real> Kernel for SoftmaxRows<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for i in 0..self.0.rows() {
            let (row, out) = (self.0.row(i), self.1.row_mut(i));
            let shift = largest(row);
            let mut sum = [T::ZERO; LANES];
            for start in (0..row.len()).step_by(LANES) {
                let e = exponentials::<FMA, T>(row, start, shift);
                add(&mut sum, &e);
                let end = row.len().min(start + LANES);
                out[start..end].copy_from_slice(&e[..end - start]);
            }
            let total = total(sum);
            for out in out {
                *out /= total;
            }
        }
    }
}

/// Rows are taken in pieces of this length, the last one filled up: no slow remainders of short rows; and an order of summation
/// that does not depend on the vector width.
const LANES: usize = 16;

/// How the lanes are folded into one.
const HALVES: [usize; 4] = [8, 4, 2, 1];

/// The LANES entries of x from `start`, filled up with -∞.
#[inline(always)]
fn piece<T: Real>(x: &[T], start: usize) -> [T; LANES] {
    if let Some(whole) = x[start..].first_chunk() {
        return *whole;
    }
    let mut last = [T::NEG_INFINITY; LANES];
    last[..x.len() - start].copy_from_slice(&x[start..]);
    last
}

/// exp(x - shift) of one piece; 0 where it is filled up.
#[inline(always)]
fn exponentials<const FMA: bool, T: Real>(x: &[T], start: usize, shift: T) -> [T; LANES] {
    let mut e = piece(x, start);
    for e in &mut e {
        *e = (*e - shift).exp_body::<FMA>();
    }
    e
}

/// The largest entry, which keeps the exponentials from overflowing; 0 where nothing is finite or something is infinite, because
/// the sum without a shift is then already right. NaN is left out here, and comes through in the sum.
#[inline(always)]
fn largest<T: Real>(x: &[T]) -> T {
    let mut max = [T::NEG_INFINITY; LANES];
    for start in (0..x.len()).step_by(LANES) {
        let x = piece(x, start);
        for lane in 0..LANES {
            max[lane] = if x[lane] > max[lane] { x[lane] } else { max[lane] };
        }
    }
    for half in HALVES {
        for lane in 0..half {
            let other = max[lane + half];
            max[lane] = if other > max[lane] { other } else { max[lane] };
        }
    }
    let top = max[0];
    if top.is_finite() { top } else { T::ZERO }
}

#[inline(always)]
fn add<T: Real>(sum: &mut [T; LANES], x: &[T; LANES]) {
    for lane in 0..LANES {
        sum[lane] += x[lane];
    }
}

/// Σ of the lanes, by halves.
#[inline(always)]
fn total<T: Real>(mut sum: [T; LANES]) -> T {
    for half in HALVES {
        for lane in 0..half {
            let other = sum[lane + half];
            sum[lane] += other;
        }
    }
    sum[0]
}
