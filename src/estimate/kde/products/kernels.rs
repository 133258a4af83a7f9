//! The plain loops beside the products.

use super::{LANES, Lanes};
use crate::num::{Kernel, Real, sum_of_squares};

/// Rows (-|y|², y, 1) of y = (sample - centre) scale, each of d + 2 numbers.
pub(super) struct Prepare<'a, T> {
    pub samples: &'a [T],
    pub centre: &'a [f64],
    pub scale: f64,
    pub out: &'a mut [T],
}

impl<T: Real> Kernel for Prepare<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let d = self.centre.len();
        for (out, sample) in self.out.chunks_exact_mut(d + 2).zip(self.samples.chunks_exact(d)) {
            let y = &mut out[1..=d];
            for c in 0..d {
                y[c] = T::from_f64((sample[c].to_f64() - self.centre[c]) * self.scale);
            }
            let square = sum_of_squares(y);
            (out[0], out[d + 1]) = (T::from_f64(-square), T::ONE);
        }
    }
}

/// The same of queries x, at most LANES: rows x, rows (s², 2 s² x), and s² |x|².
pub(super) struct Places<'a, T> {
    pub queries: &'a [T],
    pub centre: &'a [f64],
    pub scale: f64,
    /// s².
    pub square: f64,
    pub x: &'a mut [T],
    pub factor: &'a mut [T],
    pub reach: &'a mut Lanes<f64>,
}

impl<T: Real> Kernel for Places<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let d = self.centre.len();
        let out = self.x.chunks_exact_mut(d).zip(self.factor.chunks_exact_mut(d + 1)).zip(self.reach);
        for (query, ((x, factor), reach)) in self.queries.chunks_exact(d).zip(out) {
            let (first, factor) = factor.split_at_mut(1);
            first[0] = T::from_f64(self.square);
            for c in 0..d {
                let place = (query[c].to_f64() - self.centre[c]) * self.scale;
                x[c] = T::from_f64(place);
                factor[c] = T::from_f64(2.0 * self.square * place);
            }
            *reach = self.square * sum_of_squares(x);
        }
    }
}

/// The largest number of each column of a tile; those that are no numbers are passed over.
pub(super) struct Highest<'a, T>(pub &'a [T]);

impl<T: Real> Kernel for Highest<'_, T> {
    type Output = Lanes<T>;
    #[inline(always)]
    fn run<const FMA: bool>(self) -> Lanes<T> {
        let mut highest = [T::NEG_INFINITY; LANES];
        for e in self.0.as_chunks::<LANES>().0 {
            for l in 0..LANES {
                highest[l] = if e[l] > highest[l] { e[l] } else { highest[l] };
            }
        }
        highest
    }
}

/// e ← 2^e, or e² if `square`.
pub(super) struct Powers<'a, T> {
    pub tile: &'a mut [T],
    pub square: bool,
}

impl<T: Real> Kernel for Powers<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        // no rows in these loops: the coefficients of the polynomial stay in registers
        if self.square {
            for e in self.tile {
                *e = *e * *e;
            }
        } else {
            for e in self.tile {
                *e = e.exp2_body::<FMA>();
            }
        }
    }
}

/// sum ← sum + part.
pub(super) struct Add<'a, T> {
    pub part: &'a [T],
    pub sum: &'a mut [f64],
}

impl<T: Real> Kernel for Add<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (sum, part) in self.sum.iter_mut().zip(self.part) {
            *sum += part.to_f64();
        }
    }
}
