//! A panel of queries against all samples.

use super::Sweep;
use super::lanes::{BLOCK, LANES, Lanes, MASS, MASS2, SHIFT, Tile, greatest, least, nearest, sweep};
use super::place::{Place, Rows, Samples};
#[cfg(target_arch = "x86_64")]
use super::wide;
use crate::estimate::kde::output::{Output, Sums};
use crate::estimate::kde::{FEW, Setup};
use crate::num::{InstructionSet, Kernel, Real, log2};

/// At most [`LANES`] queries and where their values go.
pub(super) struct Task<'a, T: Real> {
    pub sweep: &'a Sweep<T>,
    pub setup: &'a Setup,
    pub queries: &'a [T],
    pub out: Output<'a, T>,
    pub scratch: &'a mut Scratch<T>,
    /// Where the task runs.
    pub set: InstructionSet,
}

/// What a panel needs, kept for the next.
pub(super) struct Scratch<T: Real> {
    /// Lower bounds of the squared distances from the panel to the blocks.
    gaps: Vec<T>,
    /// Blocks of the pass at hand.
    near: Vec<u32>,
    tile: Tile<T>,
    rows: Rows<T>,
}

impl<T: Real> Scratch<T> {
    pub fn new() -> Self {
        Self { gaps: vec![], near: vec![], tile: Tile::zeros(), rows: Rows::new() }
    }
}

/// A panel of queries against the blocks of the samples.
struct Panel<'a, T: Real> {
    samples: Samples<'a, T>,
    /// Scaled queries, coordinate by coordinate.
    x: &'a [Lanes<T>],
    scratch: &'a mut Scratch<T>,
    /// Where the task runs.
    set: InstructionSet,
}

impl<'a, T: Real> Panel<'a, T> {
    /// The squared distance of each query to a near sample: k must neither overflow nor vanish there, and any bound in range will do.
    #[inline(always)]
    fn nearest<const FMA: bool>(&mut self) -> Lanes<T> {
        let (samples, x) = (&self.samples, self.x);
        let Scratch { gaps, near, tile, rows } = &mut *self.scratch;
        let closest = (1..gaps.len()).fold(0, |best, b| if gaps[b] < gaps[best] { b } else { best });
        let found = nearest::<FMA, T>(samples, &[closest as u32], x, rows, tile);
        if in_range(&found) {
            return found;
        }
        between(gaps, T::NEG_INFINITY, largest(&found), near);
        nearest::<FMA, T>(samples, near, x, rows, tile)
    }

    /// Sums over all samples, those of blocks left out bounded by ε/8 of the smallest; `nearest` as in [`Place::new`].
    #[inline(always)]
    fn sum<const FMA: bool, const SECOND: bool>(
        &mut self,
        setup: &Setup,
        nearest: &Lanes<T>,
        place: &Place<T>,
        totals: &mut [Lanes<f64>],
    ) {
        let (mut reached, farthest) = (T::NEG_INFINITY, largest(nearest));
        // no offset is above
        let offset = if place.start.is_some() { -T::ONE } else { farthest };
        for bits in stages::<T>(setup.n) {
            let limit = farthest + bits;
            between(&self.scratch.gaps, reached, limit, &mut self.scratch.near);
            self.sweep::<FMA, SECOND>(place, totals);
            let enough = 0.125 * T::EPSILON.to_f64() * smallest(&totals[MASS]);
            if left_out::<FMA, T>(&self.scratch.gaps, limit, offset) <= enough {
                break;
            }
            reached = limit;
        }
    }

    /// Adds the sums over the blocks of the pass at hand.
    #[inline(always)]
    fn sweep<const FMA: bool, const SECOND: bool>(&mut self, place: &Place<T>, totals: &mut [Lanes<f64>]) {
        let Scratch { near, tile, rows, .. } = &mut *self.scratch;
        #[cfg(target_arch = "x86_64")]
        if let (Some(machine), true) = (self.set.wide(), place.d <= wide::MOST) {
            return wide::sweep::<SECOND, T>(machine, &self.samples, near, place, rows, totals);
        }
        sweep::<FMA, SECOND, T>(&self.samples, near, place, rows, tile, totals);
    }
}

impl<T: Real> Kernel for Task<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(mut self) {
        let (setup, d) = (self.setup, self.setup.d);
        let (mut x, mut totals) = ([Lanes([T::ZERO; LANES]); FEW], [Lanes([0.0; LANES]); SHIFT + 2 * FEW]);
        self.load(&mut x[..d]);
        self.scratch.gaps.resize(setup.n.div_ceil(BLOCK), T::ZERO);
        self.sweep.boxes.gaps(&x[..d], &mut self.scratch.gaps);
        let (y, boxes) = (&self.sweep.scaled[..], &self.sweep.boxes);
        let samples = Samples { n: setup.n, d, y, boxes, carried: None };
        let mut panel = Panel { samples, x: &x[..d], scratch: &mut *self.scratch, set: self.set };
        let nearest = panel.nearest::<FMA>();
        // k² stays a normal number, and sums of k are the same with and without it
        let place = Place::new(panel.x, &nearest, T::from_f64(0.5) * T::EXP2_LOW);
        if self.out.second.is_some() {
            panel.sum::<FMA, true>(setup, &nearest, &place, &mut totals);
        } else {
            panel.sum::<FMA, false>(setup, &nearest, &place, &mut totals);
        }
        for l in 0..self.out.log_density.len() {
            if is_far(nearest.0[l]) {
                self.far::<FMA>(l);
                continue;
            }
            let (mass, mass2) = (totals[MASS].0[l], totals[MASS2].0[l]);
            let shift = |c: usize| totals[SHIFT + c].0[l] - mass * place.moved(l, c);
            let shift2 = |c: usize| totals[SHIFT + d + c].0[l] - mass2 * place.moved(l, c);
            let sums = Sums { offset: place.offset(l), mass, mass2, unit: setup.scale().recip() };
            self.out.store(setup, l, sums, shift, shift2);
        }
    }
}

impl<T: Real> Task<'_, T> {
    /// Scaled queries, coordinate by coordinate; lanes beyond the last query repeat it.
    #[inline(always)]
    fn load(&self, x: &mut [Lanes<T>]) {
        let (d, last, scale) = (x.len(), self.out.log_density.len() - 1, self.setup.scale());
        for l in 0..LANES {
            let row = l.min(last) * d;
            for c in 0..d {
                x[c].0[l] = T::from_f64((self.queries[row + c].to_f64() - self.setup.centre[c]) * scale);
            }
        }
    }

    /// Outputs of query i against all samples one by one, in f64, energies as differences to the nearest without the
    /// cancellation of the squares: |x - y|² - |x - z|² = (y - z)·((y - x) + (z - x)). For the few queries that
    /// [`is_far`] names.
    fn far<const FMA: bool>(&mut self, i: usize) {
        let (setup, d, scale) = (self.setup, self.setup.d, self.setup.scale());
        let place = |c: usize| (self.queries[i * d + c].to_f64() - setup.centre[c]) * scale;
        let x: [f64; FEW] = std::array::from_fn(|c| if c < d { place(c) } else { 0.0 });
        let sample = |j: usize, c: usize| self.sweep.scaled[(j / BLOCK * d + c) * BLOCK + j % BLOCK].to_f64();
        let shift = |j: usize, c: usize| sample(j, c) - x[c];
        let excess = |j: usize, k: usize| {
            let part = |c: usize| 2.0 * (sample(j, c) - sample(k, c)) * (0.5 * shift(j, c) + 0.5 * shift(k, c));
            (0..d).map(part).sum::<f64>()
        };
        let nearest = (1..setup.n).fold(0, |k, j| if excess(j, k) < 0.0 { j } else { k });
        let offset = (0..d).map(|c| shift(nearest, c) * shift(nearest, c)).sum();
        let (mut mass, mut mass2, mut sums) = (0.0, 0.0, [[0.0; 2]; FEW]);
        for j in 0..setup.n {
            let bits = excess(j, nearest);
            // negative by rounding only
            let k = if bits < 0.0 { 1.0 } else { (-bits).exp2_body::<FMA>() };
            (mass, mass2) = (mass + k, mass2 + k * k);
            for (c, sum) in sums[..d].iter_mut().enumerate() {
                *sum = [sum[0] + k * shift(j, c), sum[1] + k * k * shift(j, c)];
            }
        }
        let values = Sums { offset, mass, mass2, unit: scale.recip() };
        self.out.store(setup, i, values, |c| sums[c][0], |c| sums[c][1]);
    }
}

/// Whether 2^offset, its square and N of those are far from overflow, for any N: then the distance of some near sample does for that of the nearest.
#[inline(always)]
fn in_range<T: Real>(offset: &Lanes<T>) -> bool {
    let limit = T::from_f64(if size_of::<T>() == 4 { 30.0 } else { 400.0 });
    offset.0.iter().all(|&e| e < limit)
}

/// Whether a squared distance is so large that the rounding of energies, some d ε of it, changes kernel values by
/// factors: from 10³ bandwidths in f32 and 3·10⁷ in f64. Infinite where there is no number too.
#[inline(always)]
fn is_far<T: Real>(offset: T) -> bool {
    offset.to_f64() * T::EPSILON.to_f64() > 0.125
}

/// Bits below the kernel value of the nearest sample down to which blocks are summed, one stage after the other: mostly the first will do,
/// because the sum is larger than its largest term; beyond the last, N values are below ε/8 of the largest.
#[inline(always)]
fn stages<T: Real>(n: usize) -> [T; 3] {
    let mantissa = if size_of::<T>() == 4 { 23.0 } else { 52.0 };
    [mantissa, mantissa + 6.0, mantissa + 3.0 + log2(n as f64)].map(T::from_f64)
}

/// A bound on the sum of the kernel values, up to 2^offset, of the blocks further than `limit`.
#[inline(always)]
fn left_out<const FMA: bool, T: Real>(gaps: &[T], limit: T, offset: T) -> f64 {
    let mut sum = T::ZERO;
    for &gap in gaps {
        let k = (offset - gap).exp2_body::<FMA>();
        sum += if gap > limit { k } else { T::ZERO };
    }
    BLOCK as f64 * sum.to_f64()
}

/// The largest number of the lanes that are numbers.
#[inline(always)]
fn largest<T: Real>(x: &Lanes<T>) -> T {
    Lanes(x.0.map(|x| if x > T::NEG_INFINITY { x } else { T::NEG_INFINITY })).fold(greatest)
}

/// The smallest number of the lanes that are numbers.
#[inline(always)]
fn smallest(x: &Lanes<f64>) -> f64 {
    Lanes(x.0.map(|x| if x < f64::INFINITY { x } else { f64::INFINITY })).fold(least)
}

/// The blocks that are further than `reached` and not known to be further than `limit`; of unknown ones those of the first stage only.
#[inline(always)]
fn between<T: Real>(gaps: &[T], reached: T, limit: T, out: &mut Vec<u32>) {
    out.clear();
    for (b, &gap) in gaps.iter().enumerate() {
        if (gap > reached && gap <= limit) || (gap.is_nan() && reached == T::NEG_INFINITY) {
            out.push(b as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::kde::KdeValues;
    use crate::num::{InstructionSet, dispatch_on, instruction_sets};
    use crate::rng::{Purpose, normal_matrix};

    fn values<T: Real>(d: usize, bandwidth: f64, second: bool, set: InstructionSet) -> Vec<T> {
        let draw = |unit, n| normal_matrix::<T>(1, Purpose::Check, unit, n, d);
        let (samples, x) = (draw(1, 200), draw(2, LANES - 3));
        let centre = samples.column_means().iter().map(|m| m.to_f64()).collect();
        let setup = Setup::new(200, centre, bandwidth);
        let index = Sweep::new(&samples, &setup);
        let mut values = KdeValues::zeros(x.rows(), d, second);
        let out = values.portions(LANES).next().unwrap();
        let (queries, scratch) = (x.as_slice(), &mut Scratch::new());
        dispatch_on(set, Task { sweep: &index, setup: &setup, queries, out, scratch, set });
        [values.log_density, values.score.into_vec(), values.neighbours, values.score_correction.into_vec()].concat()
    }

    /// That the sets with fused multiply-add agree bit for bit.
    fn vectors_agree<T: Real>(d: usize, bandwidth: f64, second: bool) {
        let on = |&set: &InstructionSet| values::<T>(d, bandwidth, second, set);
        let vector: Vec<Vec<T>> = instruction_sets()[1..].iter().map(on).collect();
        let all = vector.windows(2).all(|w| w[0] == w[1]);
        assert!(all, "{} in {d} dimensions, bandwidth {bandwidth}, second: {second}", T::NAME);
    }

    /// Checks that the vector instruction sets agree bit for bit, whether the sums stay in registers (up to 4 coordinates) or not and the panel
    /// is small against the bandwidth or not, and the
    /// portable one up to the rounding of fused and separate multiply-adds: the exponent is at most 30 + 40 bits where k counts, so k is
    /// right to 70 ε, and a mean of lengths below 10 units to 700 ε.
    #[test]
    fn shells_agree() {
        for (d, second) in (1..=5).flat_map(|d| [(d, false), (d, true)]) {
            for bandwidth in [0.1, 0.4, 2.0] {
                vectors_agree::<f32>(d, bandwidth, second);
                vectors_agree::<f64>(d, bandwidth, second);
            }
        }
        let portable = values::<f64>(3, 0.4, false, InstructionSet::Portable);
        for set in instruction_sets() {
            let values = values::<f64>(3, 0.4, false, set);
            let worst = values.iter().zip(&portable).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 700.0 * f64::EPSILON / 0.4, "{worst:e}");
        }
    }
}
