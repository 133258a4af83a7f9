//! Sweeps over all pairs: the soft minimum behind Sinkhorn's iteration, and conditional means under a plan.
//!
//! In units of ε log 2: φ = f/(ε log 2), h_j = log₂ b_j + g_j/(ε log 2), κ = 1/(ε log 2), so that P_ij/a_i = 2^(φ_i + h_j - κ c_ij).

#[cfg(target_arch = "x86_64")]
mod wide;

use crate::linalg::Matrix;
use crate::num::{InstructionSet, Kernel, Real, dispatch, exp2, instruction_set};
use crate::parallel;
use crate::transport::blocks::{Groups, Kept};
use crate::transport::{Cloud, Cost};

/// Columns that are computed side by side; fixed, so that sums do not depend on the vector width.
pub(super) const LANES: usize = 16;
/// Rows of one task; fixed, so that tasks do not depend on the number of threads.
pub(super) const ROWS: usize = 16;
/// Exponents above are cut: 2^x is not checked there. The row is then done again with its own maximum.
const CUT: f64 = 100.0;
/// Sums beyond this or its inverse are computed again with their own maximum: terms may have been lost at either end.
const SAFE: f64 = (1u64 << 40) as f64;

/// What a sweep takes from the columns.
#[derive(Clone, Copy)]
pub(super) struct Side<'a, T> {
    /// y.
    pub y: &'a Cloud<T>,
    /// h, padded.
    pub h: &'a [T],
    /// κ.
    pub kappa: f64,
    /// c.
    pub cost: Cost,
    /// Whether the pair (i, i) is left out.
    pub masked: bool,
    /// The columns that each row reads; all where None.
    pub kept: Option<&'a Kept>,
}

/// Which mean under P(·|x_i) a sweep takes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mean {
    /// E[x_i - Y].
    Displacement,
    /// E[∇₁c(x_i, Y)]; 0 in place of the gradient of |x - y| at y = x.
    Gradient,
}

/// Σ_j P_ij/a_i under the potentials φ: n.
pub(super) fn row_sums<T: Real>(x: &Matrix<T>, side: Side<T>, phi: &[T]) -> Vec<Sum<T>> {
    let mut out = vec![Sum { shift: T::ZERO, sum: T::ZERO }; x.rows()];
    let d = x.cols();
    let tasks = out.chunks_mut(ROWS).zip(phi.chunks(ROWS)).zip(x.as_slice().chunks(ROWS * d)).enumerate();
    parallel::for_each(tasks, |(k, ((out, phi), x))| {
        dispatch(Rows { x, first: k * ROWS, side, phi, out, mean: None, set: instruction_set() });
    });
    out
}

/// The mean under P(·|x_i) for each row, n×d; the potentials of the rows need not be exact.
pub(super) fn means<T: Real>(x: &Matrix<T>, side: Side<T>, phi: &[T], what: Mean) -> Matrix<T> {
    let (n, d) = x.shape();
    let mut out = Matrix::zeros(n, d);
    let rows = out.as_mut_slice().chunks_mut(ROWS * d);
    let tasks = rows.zip(phi.chunks(ROWS)).zip(x.as_slice().chunks(ROWS * d)).enumerate();
    parallel::for_each(tasks, |(k, ((mean, phi), x))| {
        let mut sums = [Sum { shift: T::ZERO, sum: T::ZERO }; ROWS];
        let out = &mut sums[..phi.len()];
        dispatch(Rows { x, first: k * ROWS, side, phi, out, mean: Some((mean, what)), set: instruction_set() });
    });
    out
}

/// Σ_i w_i P_ij/a_i over each group of rows and of columns, where it is not 0.
pub(super) fn group_sums<T: Real>(
    x: &Matrix<T>,
    side: Side<T>,
    phi: &[T],
    weights: &[f64],
    groups: &Groups,
) -> Vec<Vec<(usize, f64)>> {
    let all = [(0, side.y.padded())];
    parallel::collect(groups.rows.iter(), |run| {
        let mut sums = vec![0.0; groups.count];
        let mut terms = vec![T::ZERO; side.y.padded()];
        for i in run.clone() {
            let ranges = side.kept.map_or(&all[..], |kept| kept.of(i));
            let row = Row::of(x.row(i), side, ranges, i, side.cost == Cost::Distance);
            dispatch(Terms { row, shift: phi[i], cost: side.cost, out: &mut terms });
            for &(from, to) in ranges {
                let to = to.min(groups.columns.len());
                let pairs = groups.columns[from..to].iter().zip(&terms[from..to]);
                pairs.for_each(|(&group, p)| sums[group] += weights[i] * p.to_f64());
            }
        }
        sums.into_iter().enumerate().filter(|(_, sum)| *sum > 0.0).collect()
    })
}

/// Σ_j 2^(h_j - κ c_ij) = 2^-shift · sum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum<T> {
    pub shift: T,
    pub sum: T,
}

impl<T: Real> Sum<T> {
    /// -log₂ of it: the φ for which the row is exact.
    pub fn potential(self) -> T {
        self.shift - self.sum.ln() * T::from_f64(std::f64::consts::LOG2_E)
    }

    /// Σ_j P_ij/a_i under φ: 1 where the row is exact.
    pub fn mass(self, phi: T) -> f64 {
        if self.shift == phi { self.sum.to_f64() } else { exp2(phi.to_f64() - self.potential().to_f64()) }
    }
}

struct Rows<'a, T> {
    x: &'a [T],
    first: usize,
    side: Side<'a, T>,
    phi: &'a [T],
    out: &'a mut [Sum<T>],
    mean: Option<(&'a mut [T], Mean)>,
    /// Where the task runs.
    set: InstructionSet,
}

impl<T: Real> Kernel for Rows<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        match (self.side.y.dim(), self.side.cost) {
            (1, Cost::HalfSquare) => self.rows::<FMA, 1, false>(),
            (2, Cost::HalfSquare) => self.rows::<FMA, 2, false>(),
            (3, Cost::HalfSquare) => self.rows::<FMA, 3, false>(),
            (_, Cost::HalfSquare) => self.rows::<FMA, 0, false>(),
            (_, Cost::Distance) => self.rows::<FMA, 0, true>(),
        }
    }
}

/// The terms of one row, at the columns that it reads.
struct Terms<'a, T> {
    row: Row<'a, T>,
    shift: T,
    cost: Cost,
    out: &'a mut [T],
}

impl<T: Real> Kernel for Terms<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for &(from, to) in self.row.ranges {
            let mut at = from;
            while at < to {
                let c = match self.cost {
                    Cost::HalfSquare => self.row.costs::<FMA, 0, false>(at),
                    Cost::Distance => self.row.costs::<FMA, 0, true>(at),
                };
                self.out[at..at + LANES].copy_from_slice(&self.row.terms::<FMA>(at, &c, self.shift));
                at += LANES;
            }
        }
    }
}

/// Whether no term of a sum was lost.
#[inline(always)]
fn safe<T: Real>(sum: T) -> bool {
    let limit = T::from_f64(SAFE);
    sum < limit && sum * limit > T::ONE
}

impl<T: Real> Rows<'_, T> {
    /// D is the dimension, 0 for any.
    #[inline(always)]
    fn rows<const FMA: bool, const D: usize, const DISTANCE: bool>(self) {
        let Rows { x, first, side, phi, out, mut mean, set } = self;
        let d = side.y.dim();
        let mut lanes = vec![[T::ZERO; LANES]; if mean.is_some() { d } else { 0 }];
        let all = [(0, side.y.padded())];
        let ranges = side.kept.map_or(&all[..], |kept| kept.of(first));
        let row = |i: usize| Row::of(&x[i * d..(i + 1) * d], side, ranges, first + i, DISTANCE);
        let mut sums = [T::ZERO; ROWS];
        let together = sums_together::<D, DISTANCE, T>(set, &row(0), x, phi, &mut sums);
        for (i, out) in out.iter_mut().enumerate() {
            let row = row(i);
            let mut shift = phi[i];
            let mut sum = if together { sums[i] } else { row.sum::<FMA, D, DISTANCE>(shift) };
            if !safe(sum) {
                shift = T::ZERO - row.maximum::<FMA, D, DISTANCE>();
                sum = row.sum::<FMA, D, DISTANCE>(shift);
            }
            *out = Sum { shift, sum };
            if let Some((mean, what)) = &mut mean {
                let target = &mut mean[i * d..(i + 1) * d];
                row.mean::<FMA, D, DISTANCE>(shift, *what == Mean::Gradient, &mut lanes);
                target.iter_mut().zip(&lanes).for_each(|(m, l)| *m = total(l) / sum);
            }
        }
    }
}

/// Puts Σ_j 2^(φ_i + h_j - κ c_ij) of all rows into `sums` and says so, where there are vectors for it and no pair is left out.
#[inline(always)]
fn sums_together<const D: usize, const DISTANCE: bool, T: Real>(
    set: InstructionSet,
    row: &Row<T>,
    x: &[T],
    phi: &[T],
    sums: &mut [T],
) -> bool {
    #[cfg(target_arch = "x86_64")]
    if let (Some(machine), 1.., false, usize::MAX) = (set.wide(), D, DISTANCE, row.own) {
        wide::sums::<D, T>(machine, row, x, phi, &mut sums[..phi.len()]);
        return true;
    }
    false
}

/// One row against all columns.
struct Row<'a, T> {
    x: &'a [T],
    columns: &'a [T],
    padded: usize,
    /// From, to; whole lanes.
    ranges: &'a [(usize, usize)],
    h: &'a [T],
    factor: T,
    own: usize,
}

impl<'a, T: Real> Row<'a, T> {
    #[inline(always)]
    fn of(x: &'a [T], side: Side<'a, T>, ranges: &'a [(usize, usize)], own: usize, distance: bool) -> Self {
        let factor = T::from_f64(if distance { -side.kappa } else { -0.5 * side.kappa });
        let own = if side.masked { own } else { usize::MAX };
        Self { x, columns: side.y.columns(), padded: side.y.padded(), ranges, h: side.h, factor, own }
    }

    /// |x - y|² or |x - y| for the columns from `at` on.
    #[inline(always)]
    fn costs<const FMA: bool, const D: usize, const DISTANCE: bool>(&self, at: usize) -> [T; LANES] {
        let mut c = [T::ZERO; LANES];
        let d = if D > 0 { D } else { self.x.len() };
        for j in 0..d {
            let y = &self.columns[j * self.padded + at..j * self.padded + at + LANES];
            for l in 0..LANES {
                let gap = self.x[j] - y[l];
                c[l] = gap.fused::<FMA>(gap, c[l]);
            }
        }
        if DISTANCE {
            for c in &mut c {
                *c = c.sqrt();
            }
        }
        c
    }

    /// 2^(shift + h - κc) for the columns from `at` on; 0 for the own one.
    #[inline(always)]
    fn terms<const FMA: bool>(&self, at: usize, c: &[T; LANES], shift: T) -> [T; LANES] {
        let h = &self.h[at..at + LANES];
        let cut = T::from_f64(CUT);
        let mut w = [T::ZERO; LANES];
        for l in 0..LANES {
            let s = self.factor.fused::<FMA>(c[l], h[l] + shift);
            let s = if s > cut { cut } else { s };
            w[l] = s.exp2_body::<FMA>();
        }
        if self.own.wrapping_sub(at) < LANES {
            w[self.own - at] = T::ZERO;
        }
        w
    }

    #[inline(always)]
    fn sum<const FMA: bool, const D: usize, const DISTANCE: bool>(&self, shift: T) -> T {
        let mut sums = [T::ZERO; LANES];
        for &(from, to) in self.ranges {
            let mut at = from;
            while at < to {
                let c = self.costs::<FMA, D, DISTANCE>(at);
                let w = self.terms::<FMA>(at, &c, shift);
                for l in 0..LANES {
                    sums[l] += w[l];
                }
                at += LANES;
            }
        }
        total(&sums)
    }

    /// max_j h_j - κ c_j.
    #[inline(always)]
    fn maximum<const FMA: bool, const D: usize, const DISTANCE: bool>(&self) -> T {
        let mut max = [T::NEG_INFINITY; LANES];
        for &(from, to) in self.ranges {
            let mut at = from;
            while at < to {
                let c = self.costs::<FMA, D, DISTANCE>(at);
                let h = &self.h[at..at + LANES];
                for l in 0..LANES {
                    let s = self.factor.fused::<FMA>(c[l], h[l]);
                    max[l] = if s > max[l] && at + l != self.own { s } else { max[l] };
                }
                at += LANES;
            }
        }
        max.iter().fold(T::NEG_INFINITY, |m, &x| if x > m { x } else { m })
    }

    /// Σ_j w_j (x - y_j), each over |x - y_j| where `gradient` and DISTANCE, into lanes.
    #[inline(always)]
    fn mean<const FMA: bool, const D: usize, const DISTANCE: bool>(
        &self,
        shift: T,
        gradient: bool,
        lanes: &mut [[T; LANES]],
    ) {
        lanes.iter_mut().for_each(|l| *l = [T::ZERO; LANES]);
        let d = if D > 0 { D } else { self.x.len() };
        for &(from, to) in self.ranges {
            let mut at = from;
            while at < to {
                let c = self.costs::<FMA, D, DISTANCE>(at);
                let mut w = self.terms::<FMA>(at, &c, shift);
                if DISTANCE && gradient {
                    for l in 0..LANES {
                        w[l] = if c[l] > T::ZERO { w[l] / c[l] } else { T::ZERO };
                    }
                }
                for j in 0..d {
                    let y = &self.columns[j * self.padded + at..j * self.padded + at + LANES];
                    for l in 0..LANES {
                        lanes[j][l] = w[l].fused::<FMA>(self.x[j] - y[l], lanes[j][l]);
                    }
                }
                at += LANES;
            }
        }
    }
}

/// The sum over lanes, by halves.
#[inline(always)]
fn total<T: Real>(lanes: &[T; LANES]) -> T {
    let mut sums = *lanes;
    for half in [8, 4, 2, 1] {
        for l in 0..half {
            let other = sums[l + half];
            sums[l] += other;
        }
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::{dispatch_on, instruction_sets};
    use crate::rng::{Purpose, normal_matrix};

    /// Checks that the sets with fused multiply-add have the same sums bit for bit, whether rows are summed together (half squares in up to 3
    /// coordinates) or one by one, with sums that are safe at once and such that ask for their own maximum.
    #[test]
    fn sets_agree() {
        fn same<T: Real>(d: usize, kappa: f64) {
            let draw = |unit, n| normal_matrix::<T>(1, Purpose::Check, unit, n, d);
            let (x, y) = (draw(1, 11), Cloud::<T>::new(&draw(2, 100).cast(), None).unwrap());
            let mut h = vec![T::ZERO; y.padded()];
            h[100..].fill(T::NEG_INFINITY);
            let phi: Vec<T> = (0..11).map(|i| T::from_f64(f64::from(i) - 5.0)).collect();
            let side = Side { y: &y, h: &h, kappa, cost: Cost::HalfSquare, masked: false, kept: None };
            let on = |set: InstructionSet| {
                let mut out = vec![Sum { shift: T::ZERO, sum: T::ZERO }; 11];
                let x = x.as_slice();
                dispatch_on(set, Rows { x, first: 0, side, phi: &phi, out: &mut out, mean: None, set });
                out.into_iter().map(|s| [s.shift, s.sum]).collect::<Vec<_>>()
            };
            let all: Vec<_> = instruction_sets()[1..].iter().map(|&set| on(set)).collect();
            assert!(all.windows(2).all(|w| w[0] == w[1]), "{} in {d} dimensions", T::NAME);
        }
        for d in 1..=4 {
            for kappa in [1.0, 300.0] {
                same::<f32>(d, kappa);
                same::<f64>(d, kappa);
            }
        }
    }
}
