//! A panel of queries and the samples of a block, moved so that their distances are cheap.

use super::lanes::{BLOCK, LANES, Lanes, greatest, least};
use super::order::Boxes;
use crate::estimate::kde::FEW;
use crate::num::Real;

/// Largest squared distance of a query from the middle of its panel for which squares may cancel: exponents are right to a few ε of it.
const NEAR: f64 = 48.0;

/// Samples in units in which the kernel is 2^-|x - y|², with what they carry.
pub(super) struct Samples<'a, T> {
    pub n: usize,
    pub d: usize,
    /// [`in_blocks`].
    pub y: &'a [T],
    /// Those of the blocks.
    pub boxes: &'a Boxes<T>,
    /// (b in blocks, s), where a sample carries b_j - s y'_j and not its place y'_j about the middle of the panel.
    pub carried: Option<(&'a [T], T)>,
}

/// Rows in blocks of [`BLOCK`], each of them coordinate by coordinate, with zeros behind the last row.
pub(super) fn in_blocks<T: Real>(rows: &[T], d: usize) -> Vec<T> {
    let mut out = vec![T::ZERO; rows.len().next_multiple_of(BLOCK * d)];
    for (out, rows) in out.chunks_mut(BLOCK * d).zip(rows.chunks(BLOCK * d)) {
        for (j, row) in rows.chunks_exact(d).enumerate() {
            for c in 0..d {
                out[c * BLOCK + j] = row[c];
            }
        }
    }
    out
}

/// A panel of queries, and what their kernel values are relative to: k = 2^(offset - |x - y|²).
///
/// Where the panel is small, |x - y|² = |x'|² - 2 x'·y' + |y'|² about its middle: |x'|² is left to the offset, and an exponent takes one
/// multiply-add for each coordinate.
pub(super) struct Place<T> {
    pub d: usize,
    middle: [T; FEW],
    /// No |x'_c| is above, with room for its rounding.
    half: [T; FEW],
    /// x', coordinate by coordinate.
    pub x: [Lanes<T>; FEW],
    /// 2 x'.
    pub twice: [Lanes<T>; FEW],
    /// Where the panel is small, the offset without |x'|², so low that no exponent is above -½.
    pub start: Option<T>,
    /// Elsewhere the offsets; the middle is 0 then.
    pub offset: Lanes<T>,
    /// Where exponents are cut.
    pub low: T,
}

impl<T: Real> Place<T> {
    /// Queries where they are, with those offsets.
    #[inline(always)]
    pub fn unmoved(x: &[Lanes<T>], offset: Lanes<T>, low: T) -> Self {
        let (zero, none) = ([Lanes([T::ZERO; LANES]); FEW], [T::ZERO; FEW]);
        let mut this = Self { d: x.len(), middle: none, half: none, x: zero, twice: zero, start: None, offset, low };
        this.x[..x.len()].copy_from_slice(x);
        this
    }

    /// For queries x, given the squared distance of each to a near sample, and where to cut exponents.
    #[inline(always)]
    pub fn new(x: &[Lanes<T>], nearest: &Lanes<T>, low: T) -> Self {
        let mut this = Self::unmoved(x, *nearest, low);
        let mut squares = Lanes([T::ZERO; LANES]);
        for c in 0..this.d {
            let (low, high) = (x[c].fold(least), x[c].fold(greatest));
            this.middle[c] = T::from_f64(0.5) * low + T::from_f64(0.5) * high;
            this.half[c] = high - low;
            for l in 0..LANES {
                let moved = x[c].0[l] - this.middle[c];
                squares.0[l] += moved * moved;
                (this.x[c].0[l], this.twice[c].0[l]) = (moved, moved + moved);
            }
        }
        // where one is no number, the panel is not small
        let largest = squares.fold(greatest);
        let start = -(largest + T::ONE);
        // so far above that no sum notices what is cut
        let lowest = low + T::from_f64(if size_of::<T>() == 4 { 42.5 } else { 85.0 });
        let mut small = true;
        for l in 0..LANES {
            small &= (squares.0[l] <= T::from_f64(NEAR)) & (squares.0[l] + start - nearest.0[l] >= lowest);
        }
        if small {
            this.start = Some(start);
        } else {
            this.middle = [T::ZERO; FEW];
            this.x[..x.len()].copy_from_slice(x);
        }
        this
    }

    /// The offset of query l.
    #[inline(always)]
    pub fn offset(&self, l: usize) -> f64 {
        let Some(start) = self.start else { return self.offset.0[l].to_f64() };
        let mut sum = start.to_f64();
        for c in 0..self.d {
            sum += self.x[c].0[l].to_f64() * self.x[c].0[l].to_f64();
        }
        sum
    }

    /// Whether no exponent of block b can be as low as the cut, where the panel is small; d coordinates.
    #[inline(always)]
    pub fn stays_above(&self, samples: &Samples<'_, T>, d: usize, b: u32) -> bool {
        let span = samples.boxes.span(b as usize, &self.middle[..d], &self.half);
        self.start.is_some_and(|start| start - span - T::ONE > self.low)
    }

    /// x'_c of query l.
    #[inline(always)]
    pub fn moved(&self, l: usize, c: usize) -> f64 {
        self.x[c].0[l].to_f64()
    }
}

/// The samples of a block about the middle of a panel, coordinate by coordinate.
pub(super) struct Rows<T> {
    /// How many there are.
    pub n: usize,
    /// y'.
    pub y: [[T; BLOCK]; FEW],
    /// start - |y'|².
    pub start: [T; BLOCK],
    carried: Option<[[T; BLOCK]; FEW]>,
}

impl<T: Real> Rows<T> {
    #[inline(always)]
    pub fn new() -> Self {
        Self { n: 0, y: [[T::ZERO; BLOCK]; FEW], start: [T::ZERO; BLOCK], carried: None }
    }

    /// What the samples carry.
    #[inline(always)]
    pub fn carried(&self) -> &[[T; BLOCK]; FEW] {
        self.carried.as_ref().unwrap_or(&self.y)
    }

    /// Takes block b of samples of d coordinates.
    #[inline(always)]
    pub fn take<const FMA: bool>(&mut self, samples: &Samples<'_, T>, d: usize, b: u32, place: &Place<T>) {
        let b = b as usize;
        let columns = |data| <[T]>::as_chunks::<BLOCK>(data).0[b * d..].iter();
        self.n = BLOCK.min(samples.n - b * BLOCK);
        self.start = [place.start.unwrap_or(T::ZERO); BLOCK];
        for ((moved, y), middle) in self.y.iter_mut().zip(columns(samples.y)).zip(&place.middle[..d]) {
            for j in 0..BLOCK {
                moved[j] = y[j] - *middle;
                self.start[j] = (-moved[j]).fused::<FMA>(moved[j], self.start[j]);
            }
        }
        if let Some((b, slope)) = samples.carried {
            let carried = self.carried.get_or_insert([[T::ZERO; BLOCK]; FEW]);
            for ((v, b), y) in carried[..d].iter_mut().zip(columns(b)).zip(&self.y) {
                for j in 0..BLOCK {
                    v[j] = (-slope).fused::<FMA>(y[j], b[j]);
                }
            }
        }
    }
}
