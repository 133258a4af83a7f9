//! The inner loops of [`gemm`](super::gemm): a tile of some rows of C and one panel of B, its sums in registers while k runs.
//!
//! Each entry of C is summed over k in order, one fused multiply-add after the other, so that the bits do not depend on the shape of the
//! tile nor on the width of the vectors.

use crate::num::Real;
use std::any::TypeId;

/// Rows of A that share an address: as many as one register and a scale reach.
const GROUP: usize = 3;

/// What C is made of.
pub(super) struct Factors<T> {
    /// A, entry (i, p) at `i row_stride + p col_stride`.
    pub a: *const T,
    pub row_stride: usize,
    pub col_stride: usize,
    /// B in panels of two vectors: entry (p, j) of the panel at column q at `q column_step + p row_step + j`.
    pub panels: *const T,
    pub column_step: usize,
    pub row_step: usize,
    /// Rows and columns of B.
    pub k: usize,
    pub n: usize,
    /// C ← α A B + β C, or A B + row where `row` is not null.
    pub alpha: T,
    pub beta: T,
    pub row: *const T,
}

impl<T: Real> Factors<T> {
    /// The same as numbers of type U, which T must be.
    pub fn cast<U: Real>(&self) -> Factors<U> {
        assert_eq!(TypeId::of::<T>(), TypeId::of::<U>(), "Factors::cast: another precision");
        let Self { a, row_stride, col_stride, panels, column_step, row_step, k, n, alpha, beta, row } = *self;
        let (a, panels, row) = (a.cast(), panels.cast(), row.cast());
        let (alpha, beta) = (U::from_f64(alpha.to_f64()), U::from_f64(beta.to_f64()));
        Factors { a, row_stride, col_stride, panels, column_step, row_step, k, n, alpha, beta, row }
    }
}

/// The same for either precision and width: vectors of `$w` numbers of type `$t`, tiles of at most `$tile` rows. The numbers of
/// the rows are written out, because the compiler leaves a loop over many of them a loop, and the sums then in memory.
macro_rules! tiles {
    ($name:ident, $features:tt, $t:ident, $w:literal, $tile:literal, [$($row:literal)*], $splat:ident, $load:ident, $store:ident, $zero:ident, $fma:ident, $mul:ident) => {
        pub(super) mod $name {
            use super::GROUP;
            use std::arch::x86_64::*;
            use std::hint::black_box;
            use std::ops::Range;

            /// Rows of a tile.
            const TILE: usize = $tile;

            /// Rows of A that go against all panels before the next ones: they stay in the second-level cache.
            const ROWS: usize = 16 * TILE;

            /// Columns of a panel.
            const WIDTH: usize = 2 * $w;

            type Factors = super::Factors<$t>;

            /// Some columns of the first m rows of C.
            ///
            /// # Safety
            /// The machine has the features; A has m rows and k columns; there is a panel of k rows for every WIDTH columns, the last one
            /// of one vector where that is enough for B; `row` is null or has n numbers; C has m·n, and nobody else uses
            /// these columns of it.
            #[target_feature(enable = $features)]
            pub unsafe fn product(x: &Factors, m: usize, columns: Range<usize>, c: *mut $t) {
                for start in (0..m).step_by(ROWS) {
                    let end = (start + ROWS).min(m);
                    for first in columns.clone().step_by(WIDTH) {
                        // SAFETY: rows and panels are in the ranges that the caller vouches for.
                        unsafe {
                            if x.n - first > $w {
                                column::<2>(x, start, end, first, c);
                            } else {
                                column::<1>(x, start, end, first, c);
                            }
                        }
                    }
                }
            }

            /// Rows [i, end) of C at the panel of column `first`, of which V vectors are needed.
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn column<const V: usize>(x: &Factors, mut i: usize, end: usize, first: usize, c: *mut $t) {
                // SAFETY: as in `product`.
                unsafe {
                    while i < end {
                        // the last ones in two even tiles: the sums of two rows are too few for the latency of a multiply-add
                        let left = end - i;
                        let rows = if left > TILE && left < 2 * TILE { left.div_ceil(2) } else { left.min(TILE) };
                        match rows - 1 {
                            $($row => tile::<{ $row + 1 }, V>(x, i, first, c),)*
                            _ => unreachable!("a tile has at most {TILE} rows"),
                        }
                        i += rows;
                    }
                }
            }

            /// The first `width` numbers of `source` at the start of `edge`: the address of the copy.
            #[cold]
            unsafe fn copied(source: *const $t, width: usize, edge: &mut [$t; WIDTH]) -> *const $t {
                // SAFETY: the caller vouches for `width` numbers, at most `WIDTH`.
                unsafe { std::ptr::copy_nonoverlapping(source, edge.as_mut_ptr(), width) };
                edge.as_mut_ptr()
            }

            /// R rows of C from i at the panel of column `first`.
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn tile<const R: usize, const V: usize>(x: &Factors, i: usize, first: usize, c: *mut $t) {
                let width = (V * $w).min(x.n - first);
                let whole = width == V * $w;
                let mut sums = [[$zero(); V]; R];
                // SAFETY: all addresses are those of rows [i, i + R) of A and C, of one panel, and of `width` numbers of the row.
                unsafe {
                    if !x.row.is_null() {
                        let mut edge = [0.0; WIDTH];
                        let row = if whole { x.row.add(first) } else { copied(x.row.add(first), width, &mut edge) };
                        let row = [$load(row), $load(row.add((V - 1) * $w))];
                        $(if $row < R {
                            sums[$row][0] = row[0];
                            sums[$row][V - 1] = row[V - 1];
                        })*
                    }
                    let mut b = x.panels.add(first * x.column_step);
                    // bases of their own, or the compiler would make the addresses of all rows one chain of additions, as long as the products
                    let mut bases = [x.a.wrapping_add(i * x.row_stride); TILE.div_ceil(GROUP)];
                    for g in 1..R.div_ceil(GROUP) {
                        bases[g] = black_box(bases[0].wrapping_add(g * GROUP * x.row_stride));
                    }
                    for _ in 0..x.k {
                        let vectors = [$load(b), $load(b.add((V - 1) * $w))];
                        $(if $row < R {
                            let factor = $splat(*bases[$row / GROUP].add($row % GROUP * x.row_stride));
                            sums[$row][0] = $fma(factor, vectors[0], sums[$row][0]);
                            if V > 1 {
                                sums[$row][1 % V] = $fma(factor, vectors[1], sums[$row][1 % V]);
                            }
                        })*
                        for g in 0..R.div_ceil(GROUP) {
                            bases[g] = bases[g].wrapping_add(x.col_stride);
                        }
                        b = b.wrapping_add(x.row_step);
                    }
                    if whole && x.alpha == 1.0 && x.beta == 0.0 {
                        // from the registers
                        let out = c.add(i * x.n + first);
                        $(if $row < R {
                            $store(out.add($row * x.n), sums[$row][0]);
                            $store(out.add($row * x.n + (V - 1) * $w), sums[$row][V - 1]);
                        })*
                        return;
                    }
                    let (alpha, beta) = ($splat(x.alpha), $splat(x.beta));
                    $(if $row < R {
                        let out = c.add((i + $row) * x.n + first);
                        let mut edge = [0.0; WIDTH];
                        let target = if whole { out } else { copied(out, width, &mut edge).cast_mut() };
                        for v in 0..V {
                            let (sum, target) = ($mul(alpha, sums[$row][v]), target.add(v * $w));
                            $store(target, if x.beta == 0.0 { sum } else { $fma(beta, $load(target), sum) });
                        }
                        if !whole {
                            std::ptr::copy_nonoverlapping(edge.as_ptr(), out, width);
                        }
                    })*
                }
            }
        }
    };
}

// 12 vectors of sums, 2 of B and a broadcast number of A are 15 of the 16 registers.
tiles!(
    single256,
    "avx2,fma",
    f32,
    8,
    6,
    [0 1 2 3 4 5],
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_setzero_ps,
    _mm256_fmadd_ps,
    _mm256_mul_ps
);
tiles!(
    double256,
    "avx2,fma",
    f64,
    4,
    6,
    [0 1 2 3 4 5],
    _mm256_set1_pd,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_setzero_pd,
    _mm256_fmadd_pd,
    _mm256_mul_pd
);
// 28 vectors of sums, 2 of B and a broadcast number of A are 31 of the 32 registers.
tiles!(
    single512,
    "avx512f",
    f32,
    16,
    14,
    [0 1 2 3 4 5 6 7 8 9 10 11 12 13],
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_setzero_ps,
    _mm512_fmadd_ps,
    _mm512_mul_ps
);
tiles!(
    double512,
    "avx512f",
    f64,
    8,
    14,
    [0 1 2 3 4 5 6 7 8 9 10 11 12 13],
    _mm512_set1_pd,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_setzero_pd,
    _mm512_fmadd_pd,
    _mm512_mul_pd
);
