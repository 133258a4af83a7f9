//! Many dimensions: energies and moments of a block of samples as two matrix products, the exponentials between them in cache.
//!
//! The queries of a panel are the columns of both products, so that every number of a query stays in its lane. A sample is a row
//! (-|y|², y, 1), in the estimate's unit of length: with (s², 2 s² x) it makes the energy |x|² s² - |x - y|² s², and the weighted sum of the
//! (y, 1) is the moments. So all sums over dimensions and samples are those of the products.

mod kernels;

use crate::estimate::kde::output::{Output, Sums};
use crate::estimate::kde::{KdeValues, Setup};
use crate::linalg::{Matrix, Packed, Start, View, gemm};
use crate::num::{Kernel, Real, dispatch, exp2, log2};
use kernels::{Add, Highest, Places, Powers, Prepare};
use rayon::prelude::*;
use std::sync::{Arc, Mutex};

/// Queries of a panel: two vectors of 512 bits in f32, four in f64.
pub(super) const LANES: usize = 32;

/// Bytes of a column of a block's kernel values: a tile of 16 kB and samples of 32 dimensions (17 kB) stay in the first-level cache.
const BLOCK_BYTES: usize = 512;

/// Samples from which the largest kernel value of a query is first estimated.
const FIRST: usize = 32;

/// By how many bits k may exceed 1, or k² where that is summed too: in f32, sums over a block stay in range.
const RANGE: f64 = 100.0;

/// Energies of this many bits are right to a bit in f32, so that [`RANGE`] can be judged beforehand.
const CERTAIN: f64 = 1e5;

/// Elsewhere, by how many bits a sample may be nearer than the nearest so far was, until the sums are scaled anew.
const MARGIN: f64 = 20.0;

/// Samples that are prepared at a time.
const PORTION: usize = 128;

/// One number for each query.
type Lanes<T> = [T; LANES];

/// Panels of a task for n queries: several go against a block of samples while it is in cache, but there are tasks for all threads, as
/// long as there are enough for more than one. What comes out does not depend on it.
pub(super) fn panels(n: usize) -> usize {
    if n <= 2 * LANES { 2 } else { n.div_ceil(128 * LANES).min(4) }
}

/// The samples as left factors.
#[derive(Debug, Clone)]
pub(super) struct Products<T> {
    /// Rows (-|y|², y, 1) of y = (sample - centre)/unit, N×(d + 2).
    rows: Arc<[T]>,
    /// The unit of length: the power of two next to the first bandwidth, so that squares are in range.
    unit: f64,
}

impl<T: Real> Products<T> {
    pub fn new(samples: &Matrix<T>, setup: &Setup) -> Self {
        let (d, centre, unit) = (setup.d, &setup.centre, exp2(log2(setup.bandwidth).round()));
        let mut rows = vec![T::ZERO; setup.n * (d + 2)];
        let portions = rows.par_chunks_mut(PORTION * (d + 2)).zip(samples.as_slice().par_chunks(PORTION * d));
        portions.for_each(|(out, samples)| dispatch(Prepare { samples, centre, scale: unit.recip(), out }));
        Self { rows: rows.into(), unit }
    }

    /// The values at the rows of `x`, those of the moments of k² only where `second`.
    pub fn values(&self, setup: &Setup, x: &Matrix<T>, second: bool) -> KdeValues<T> {
        let (n, d) = x.shape();
        let panels = panels(n);
        let mut values = KdeValues::zeros(n, d, second);
        let queries = x.as_slice().chunks(panels * LANES * d);
        let tasks: Vec<_> = values.portions(panels * LANES).zip(queries).collect();
        // one task at a time, so that a thread that comes late finds some left, and no more workspaces than threads
        let spare = Mutex::new(Vec::new());
        tasks.into_par_iter().with_max_len(1).for_each(|(out, queries)| {
            let old = spare.lock().expect("no task panicked").pop();
            let mut workspace = old.unwrap_or_else(|| Workspace::new(panels, d, second));
            workspace.run(self, setup, queries, out);
            spare.lock().expect("no task panicked").push(workspace);
        });
        values
    }
}

/// Such rows.
fn rows<T>(data: &[T], d: usize) -> View<'_, T> {
    View { data, rows: data.len() / (d + 2), cols: d + 2, row_stride: d + 2, col_stride: 1 }
}

/// Sums over the samples, k relative to 2^top or k² to 2^2top.
struct Moment<T> {
    /// Σ k y and last Σ k, (d + 1)×LANES.
    sums: Vec<Lanes<f64>>,
    /// Those over one block, in working precision.
    part: Matrix<T>,
    /// Σ k y as LANES×d.
    shift: Matrix<f64>,
}

impl<T: Real> Moment<T> {
    fn new(d: usize) -> Self {
        Self { sums: vec![[0.0; LANES]; d + 1], part: Matrix::zeros(d + 1, LANES), shift: Matrix::zeros(LANES, d) }
    }

    /// Adds a block of samples with their k.
    fn add(&mut self, samples: View<'_, T>, tile: &Matrix<T>) {
        let (data, cols) = (&samples.data[1..], samples.cols - 1);
        gemm(T::ONE, View { data, cols, ..samples }.t(), tile.view(), T::ZERO, &mut self.part);
        dispatch(Add { part: self.part.as_slice(), sum: self.sums.as_flattened_mut() });
    }
}

/// A panel of queries.
struct Panel<T: Real> {
    x: Matrix<T>,
    /// (s², 2 s² x), LANES×(d + 1), and the same as a right factor.
    factor: Matrix<T>,
    packed: Packed<T>,
    /// |x|² s²: no energy is above it.
    reach: Lanes<f64>,
    /// What the energies are relative to.
    top: Lanes<T>,
    /// Whether no power can be out of range.
    in_range: bool,
    /// Those of k, and of k² where they are asked for.
    moments: Vec<Moment<T>>,
}

impl<T: Real> Panel<T> {
    fn new(d: usize, second: bool) -> Self {
        let (x, factor) = (Matrix::zeros(LANES, d), Matrix::zeros(LANES, d + 1));
        let moments = (0..1 + usize::from(second)).map(|_| Moment::new(d)).collect();
        let packed = Packed::new(factor.t());
        Self { x, factor, packed, reach: [0.0; LANES], top: [T::ZERO; LANES], in_range: false, moments }
    }

    /// Takes new queries. Lanes beyond the last one keep what was there, and nothing depends on them.
    fn start(&mut self, index: &Products<T>, setup: &Setup, queries: &[T], tile: &mut Matrix<T>) {
        let (scale, square) = (index.unit.recip(), (setup.scale() * index.unit).powi(2));
        let (x, factor, reach) = (self.x.as_mut_slice(), self.factor.as_mut_slice(), &mut self.reach);
        dispatch(Places { queries, centre: &setup.centre, scale, square, x, factor, reach });
        self.packed.refill(self.factor.t());
        self.moments.iter_mut().for_each(|moment| moment.sums.fill([0.0; LANES]));
        self.top = [T::ZERO; LANES];
        self.energies(rows(&index.rows[..setup.n.min(FIRST) * (setup.d + 2)], setup.d), tile);
        self.top = dispatch(Highest(tile.as_slice())).map(|e| if e > T::NEG_INFINITY { e } else { T::ZERO });
        let range = RANGE / self.moments.len() as f64;
        let mut both = self.reach.iter().zip(&self.top).take(queries.len() / setup.d);
        self.in_range = both.all(|(&reach, top)| reach < CERTAIN && reach - top.to_f64() < range);
    }

    /// |x|² s² - |x - y_j|² s² - top: row by row a sample.
    fn energies(&self, samples: View<'_, T>, tile: &mut Matrix<T>) {
        tile.reshape_reuse(samples.rows, LANES);
        let (start, samples) = (self.top.map(|top| -top), View { cols: samples.cols - 1, ..samples });
        self.packed.product(T::ONE, samples, Start::Row(&start), tile.as_mut_slice());
    }

    /// Adds a block of samples.
    fn add(&mut self, samples: View<'_, T>, tile: &mut Matrix<T>) {
        self.energies(samples, tile);
        if !self.in_range {
            self.raise(tile);
        }
        for (m, moment) in self.moments.iter_mut().enumerate() {
            dispatch(Powers { tile: tile.as_mut_slice(), square: m == 1 });
            moment.add(samples, tile);
        }
    }

    /// Brings up the tops that are exceeded by more than the margin, and the energies of the tile and the sums with them.
    fn raise(&mut self, tile: &mut Matrix<T>) {
        let (highest, margin) = (dispatch(Highest(tile.as_slice())), T::from_f64(MARGIN));
        if !highest.iter().any(|&e| e > margin) {
            return;
        }
        let rise = highest.map(|e| if e > margin { e } else { T::ZERO });
        for e in tile.as_mut_slice().as_chunks_mut::<LANES>().0 {
            for l in 0..LANES {
                e[l] -= rise[l];
            }
        }
        for l in 0..LANES {
            self.top[l] += rise[l];
        }
        let factor = rise.map(|rise| exp2(-rise.to_f64()));
        for (m, moment) in self.moments.iter_mut().enumerate() {
            for sum in &mut moment.sums {
                for l in 0..LANES {
                    sum[l] *= if m == 0 { factor[l] } else { factor[l] * factor[l] };
                }
            }
        }
    }
}

/// Outputs of a panel whose first query is that of this number.
struct Finish<'p, 'a, T: Real> {
    panel: &'p mut Panel<T>,
    unit: f64,
    setup: &'p Setup,
    out: &'p mut Output<'a, T>,
    first: usize,
}

impl<T: Real> Kernel for Finish<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { panel, unit, setup, out, first } = self;
        let d = setup.d;
        for moment in &mut panel.moments {
            let shift = moment.shift.as_mut_slice();
            for (c, sum) in moment.sums[..d].iter().enumerate() {
                for l in 0..LANES {
                    shift[l * d + c] = sum[l];
                }
            }
        }
        let (once, twice) = (&panel.moments[0], &panel.moments[panel.moments.len() - 1]);
        for i in 0..LANES.min(out.log_density.len() - first) {
            let (mass, mass2) = (once.sums[d][i], twice.sums[d][i]);
            let sums = Sums { offset: panel.reach[i] - panel.top[i].to_f64(), mass, mass2, unit };
            // about the query and not the centre
            let (x, shift, shift2) = (panel.x.row(i), once.shift.row(i), twice.shift.row(i));
            let moved = |c: usize| shift[c] - mass * x[c].to_f64();
            out.store(setup, first + i, sums, moved, |c| shift2[c] - mass2 * x[c].to_f64());
        }
    }
}

/// What a thread needs for a task, kept for the next.
struct Workspace<T: Real> {
    /// Energies, then kernel values.
    tile: Matrix<T>,
    panels: Vec<Panel<T>>,
}

impl<T: Real> Workspace<T> {
    fn new(panels: usize, d: usize, second: bool) -> Self {
        Self { tile: Matrix::zeros(0, 0), panels: (0..panels).map(|_| Panel::new(d, second)).collect() }
    }

    /// The values of some queries.
    fn run(&mut self, index: &Products<T>, setup: &Setup, queries: &[T], mut out: Output<'_, T>) {
        let (d, block) = (setup.d, BLOCK_BYTES / size_of::<T>());
        let (tile, count) = (&mut self.tile, out.log_density.len().div_ceil(LANES));
        let panels = &mut self.panels[..count];
        for (panel, queries) in panels.iter_mut().zip(queries.chunks(LANES * d)) {
            panel.start(index, setup, queries, tile);
        }
        for y in index.rows.chunks(block * (d + 2)) {
            panels.iter_mut().for_each(|panel| panel.add(rows(y, d), tile));
        }
        for (p, panel) in panels.iter_mut().enumerate() {
            dispatch(Finish { panel, unit: index.unit, setup, out: &mut out, first: p * LANES });
        }
    }
}
