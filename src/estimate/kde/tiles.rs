//! Many dimensions: energies and moments of a block of samples as two matrix products, the exponentials between them in cache.
//!
//! The queries of a task are the columns of both products, so that every number of a query stays in its lane: no sum runs across lanes, and
//! the samples are read where they are, by rows in the one product and by columns in the other.

use super::task::{Task, Values};
use crate::linalg::{Matrix, View, affine, gemm};
use crate::num::{Kernel, Real, dispatch, sum_of_squares};

/// Queries of a task: eight vectors of 256 bits in f64, four in f32.
pub(super) const LANES: usize = 32;

/// Bytes of a row of samples' kernel values: a tile of 16 kB stays in the first-level cache.
const BLOCK_BYTES: usize = 512;

/// By how many bits a sample may be nearer than the nearest of the blocks before it was, until the sums are scaled anew.
const MARGIN: f64 = 20.0;

/// One number for each query.
type Lanes<T> = [T; LANES];

/// -s² |y|² of the rows y of `samples`, in f64 but for the last rounding.
pub(super) struct Squares<'a, T> {
    pub samples: &'a [T],
    pub d: usize,
    pub scale: f64,
}

impl<T: Real> Kernel for Squares<'_, T> {
    type Output = Vec<T>;
    #[inline(always)]
    fn run<const FMA: bool>(self) -> Vec<T> {
        let factor = -self.scale.powi(2);
        self.samples.chunks_exact(self.d).map(|y| T::from_f64(factor * sum_of_squares(y))).collect()
    }
}

/// A tile, row by row a sample: 2 s² x·y_j - top comes in, e_j = |x|² s² - |x - y_j|² s² - top goes out, and the largest of each column.
struct Energies<'a, T> {
    tile: &'a mut [T],
    /// -s² |y_j|².
    squares: &'a [T],
    highest: &'a mut Lanes<T>,
}

impl<T: Real> Kernel for Energies<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let mut highest = [T::NEG_INFINITY; LANES];
        for (e, &square) in self.tile.as_chunks_mut::<LANES>().0.iter_mut().zip(self.squares) {
            for l in 0..LANES {
                e[l] += square;
                highest[l] = if e[l] > highest[l] { e[l] } else { highest[l] };
            }
        }
        *self.highest = highest;
    }
}

/// e ← 2^e, or e² if `square`, and the sum of each column of the tile.
struct Powers<'a, T> {
    tile: &'a mut [T],
    square: bool,
    sum: &'a mut Lanes<T>,
}

impl<T: Real> Kernel for Powers<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        // no rows in these loops: the coefficients of the polynomial stay in registers
        if self.square {
            for e in &mut *self.tile {
                *e = *e * *e;
            }
        } else {
            for e in &mut *self.tile {
                *e = e.exp2_body::<FMA>();
            }
        }
        let mut sum = [T::ZERO; LANES];
        for e in self.tile.as_chunks::<LANES>().0 {
            for l in 0..LANES {
                sum[l] += e[l];
            }
        }
        *self.sum = sum;
    }
}

/// Sums over the samples, k relative to 2^top or k² to 2^2top.
struct Moment<T> {
    mass: Lanes<f64>,
    /// Σ k y, d×LANES.
    shift: Vec<Lanes<f64>>,
    /// The sums over one block, in working precision.
    part_mass: Lanes<T>,
    part_shift: Matrix<T>,
}

impl<T: Real> Moment<T> {
    fn new(d: usize) -> Self {
        let (part_mass, part_shift) = ([T::ZERO; LANES], Matrix::zeros(d, LANES));
        Self { mass: [0.0; LANES], shift: vec![[0.0; LANES]; d], part_mass, part_shift }
    }

    /// Adds a block: its samples as columns, and its tile, of which the powers are taken first.
    fn add(&mut self, transposed: View<'_, T>, tile: &mut Matrix<T>, square: bool) {
        dispatch(Powers { tile: tile.as_mut_slice(), square, sum: &mut self.part_mass });
        gemm(T::ONE, transposed, tile.view(), T::ZERO, &mut self.part_shift);
        dispatch(Add { part: &self.part_mass, sum: &mut self.mass });
        dispatch(Add { part: self.part_shift.as_slice(), sum: self.shift.as_flattened_mut() });
    }

    /// The shift about the queries and not the centre.
    fn about(&mut self, x: &Matrix<T>) {
        for (shift, x) in self.shift.iter_mut().zip(x.iter_rows()) {
            for l in 0..LANES {
                shift[l] -= self.mass[l] * x[l].to_f64();
            }
        }
    }

    fn scale(&mut self, factor: &Lanes<f64>) {
        for sum in self.shift.iter_mut().chain([&mut self.mass]) {
            for l in 0..LANES {
                sum[l] *= factor[l];
            }
        }
    }
}

/// sum ← sum + part.
struct Add<'a, T> {
    part: &'a [T],
    sum: &'a mut [f64],
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

/// All queries of the task.
pub(super) fn run<T: Real>(task: &mut Task<'_, T>) {
    let (kde, d) = (task.kde, task.kde.d);
    let x = kde.about_centre(task.queries, 1.0);
    let twice = columns(&kde.about_centre(task.queries, 2.0 * kde.scale().powi(2)), d);
    let mut top = [T::ZERO; LANES];
    let mut moments: Vec<Moment<T>> = (0..1 + usize::from(task.second.is_some())).map(|_| Moment::new(d)).collect();
    let (mut tile, block) = (Matrix::zeros(0, 0), BLOCK_BYTES / size_of::<T>());
    for (b, (y, squares)) in kde.points.chunks(block * d).zip(kde.scaled.chunks(block)).enumerate() {
        let samples = View { data: y, rows: squares.len(), cols: d, row_stride: d, col_stride: 1 };
        tile.reshape_reuse(samples.rows, LANES);
        affine(samples, twice.view(), &top.map(|top| -top), &mut tile);
        let mut highest = top;
        dispatch(Energies { tile: tile.as_mut_slice(), squares, highest: &mut highest });
        let margin = if b == 0 { T::NEG_INFINITY } else { T::from_f64(MARGIN) };
        if highest.iter().any(|&e| e > margin) {
            let rise = highest.map(|e| if e > margin { e } else { T::ZERO });
            // before the first block there is nothing to scale, and by what may be out of range
            let before = if b == 0 { &mut [] } else { &mut moments[..] };
            raise(&rise, &mut top, &mut tile, before);
        }
        for (m, moment) in moments.iter_mut().enumerate() {
            moment.add(samples.t(), &mut tile, m == 1);
        }
    }
    let places = columns(&x, d);
    moments.iter_mut().for_each(|moment| moment.about(&places));
    let (first, last) = (&moments[0], &moments[moments.len() - 1]);
    for (i, x) in x.chunks_exact(d).enumerate() {
        let offset = kde.scale().powi(2) * sum_of_squares(x) - top[i].to_f64();
        let values = Values { offset, mass: first.mass[i], mass2: last.mass[i], unit: 1.0 };
        task.store(i, values, |c| first.shift[c][i], |c| last.shift[c][i]);
    }
}

/// Up to LANES rows of d numbers as columns; those beyond the last repeat it.
fn columns<T: Real>(x: &[T], d: usize) -> Matrix<T> {
    let mut out = Matrix::zeros(d, LANES);
    for l in 0..LANES {
        let row = &x[(l * d).min(x.len() - d)..][..d];
        out.as_mut_slice()[l..].iter_mut().step_by(LANES).zip(row).for_each(|(out, &x)| *out = x);
    }
    out
}

/// Brings tops up, and the energies of a tile and the sums with them.
fn raise<T: Real>(rise: &Lanes<T>, top: &mut Lanes<T>, tile: &mut Matrix<T>, moments: &mut [Moment<T>]) {
    for e in tile.as_mut_slice().as_chunks_mut::<LANES>().0 {
        for l in 0..LANES {
            e[l] -= rise[l];
        }
    }
    for l in 0..LANES {
        top[l] += rise[l];
    }
    let factor = rise.map(|rise| (-rise.to_f64()).exp2());
    for (m, moment) in moments.iter_mut().enumerate() {
        moment.scale(&factor.map(|f| if m == 0 { f } else { f * f }));
    }
}
