//! [`Strategy::InnerProducts`](super::Strategy): products with few columns, of which own tiles would compute a whole vector: the ends of a network with few inputs and outputs.

use super::Start;
use crate::linalg::matrix::View;
use crate::num::{Kernel, Real, dispatch};

/// Most columns.
pub(super) const FEW: usize = 4;

/// Partial sums of an inner product.
const LANES: usize = 8;

/// C ← α A B + start, where A has contiguous rows and B comes as its columns, one after the other: an inner product for each entry.
pub(super) fn few_columns<T: Real>(
    alpha: T,
    a: View<'_, T>,
    columns: &[T],
    n: usize,
    start: Start<'_, T>,
    c: &mut [T],
) {
    assert_eq!(a.col_stride, 1, "few_columns: rows of A must be contiguous");
    dispatch(FewColumns { alpha, a, columns, n, start, c });
}

struct FewColumns<'a, T> {
    alpha: T,
    a: View<'a, T>,
    columns: &'a [T],
    n: usize,
    start: Start<'a, T>,
    c: &'a mut [T],
}

impl<T: Real> Kernel for FewColumns<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let k = self.a.cols;
        for (i, out) in self.c.chunks_exact_mut(self.n.max(1)).enumerate() {
            let row = &self.a.data[i * self.a.row_stride..][..k];
            for (j, out) in out.iter_mut().enumerate() {
                let sum = self.alpha * dot::<FMA, T>(row, &self.columns[j * k..][..k]);
                *out = self.start.add::<FMA>(j, *out, sum);
            }
        }
    }
}

/// ⟨x, y⟩ in a fixed order: by lanes, then over the lanes, then the rest.
#[inline(always)]
fn dot<const FMA: bool, T: Real>(x: &[T], y: &[T]) -> T {
    let (x, rest_x) = x.as_chunks::<LANES>();
    let (y, rest_y) = y.as_chunks::<LANES>();
    let mut sums = [T::ZERO; LANES];
    for (x, y) in x.iter().zip(y) {
        for lane in 0..LANES {
            sums[lane] = x[lane].fused::<FMA>(y[lane], sums[lane]);
        }
    }
    // one after the other: for halves of halves the compiler would split the lanes from the start
    let sum = sums.iter().copied().sum();
    rest_x.iter().zip(rest_y).fold(sum, |sum: T, (&x, &y)| x.fused::<FMA>(y, sum))
}
