//! Few dimensions: each query against the samples that are near enough to matter, a panel of queries at a time.
//!
//! Many samples and their queries are put in an order that keeps neighbours together, and blocks of samples are left out for a panel of queries
//! where their kernel values, all together, are below ε/8 of the sum: most pairs, where h is small against the spread of the samples.

mod lanes;
mod order;
mod panel;
mod place;
mod weighted;
#[cfg(target_arch = "x86_64")]
mod wide;

use crate::estimate::kde::{KdeValues, Setup};
use crate::linalg::Matrix;
use crate::num::{Kernel, Real, dispatch, instruction_set};
use lanes::BLOCK;
use order::{Boxes, gather, scatter};
use panel::{Scratch, Task};
use place::in_blocks;
use rayon::prelude::*;
use std::sync::Arc;

pub(in crate::estimate::kde) use lanes::LANES;
pub(in crate::estimate::kde) use order::tree_order;
pub(crate) use weighted::kernel_sums;

/// Fewest samples that are put in order: with fewer, most blocks are in reach anyway.
const ORDERED: usize = 2048;

/// Fewest samples for which queries are put in order, so that panels are small.
const CLUSTERED: usize = 512;

/// The samples with boxes around their blocks.
#[derive(Debug, Clone)]
pub(super) struct Sweep<T: Real> {
    /// N×d as given, where it pays in the order of a k-d tree.
    points: Arc<[T]>,
    point_boxes: Arc<Boxes<T>>,
    /// The same about their centre, in units in which the kernel is 2^-|x - y|² and in blocks.
    scaled: Vec<T>,
    boxes: Boxes<T>,
}

impl<T: Real> Sweep<T> {
    pub fn new(samples: &Matrix<T>, setup: &Setup) -> Self {
        let (given, d) = (samples.as_slice(), setup.d);
        let points: Arc<[T]> =
            if setup.n >= ORDERED { gather(given, d, &tree_order(given, d, BLOCK)).into() } else { given.into() };
        let point_boxes = Arc::new(Boxes::new(&points, d, BLOCK));
        Self { points, point_boxes, scaled: vec![], boxes: Boxes::default() }.rescaled(setup)
    }

    /// The same samples for another bandwidth.
    pub fn rescaled(&self, setup: &Setup) -> Self {
        let scaled = in_blocks(&about_centre(&self.points, setup), setup.d);
        // rounding is monotone: corners of boxes are corners of scaled boxes
        let boxes = self.point_boxes.map(|corners| about_centre(corners, setup));
        Self { points: Arc::clone(&self.points), point_boxes: Arc::clone(&self.point_boxes), scaled, boxes }
    }

    /// The values at the rows of `x`, those of the moments of k² only where `second`.
    pub fn values(&self, setup: &Setup, x: &Matrix<T>, second: bool) -> KdeValues<T> {
        let (n, d) = x.shape();
        let order = (setup.n >= CLUSTERED && n > LANES).then(|| tree_order(x.as_slice(), d, LANES));
        let sorted = order.as_ref().map(|order| gather(x.as_slice(), d, order));
        let queries = sorted.as_deref().unwrap_or(x.as_slice()).chunks(LANES * d);
        let mut values = KdeValues::zeros(n, d, second);
        let tasks: Vec<_> = values.portions(LANES).zip(queries).collect();
        tasks.into_par_iter().for_each_init(Scratch::new, |scratch, (out, queries)| {
            dispatch(Task { sweep: self, setup, queries, out, scratch, set: instruction_set() });
        });
        let Some(order) = order else { return values };
        let rows = |rows: &Matrix<T>| Matrix::from_vec(rows.rows(), d, scatter(rows.as_slice(), d, &order));
        values.log_density = scatter(&values.log_density, 1, &order);
        values.score = rows(&values.score);
        if second {
            values.neighbours = scatter(&values.neighbours, 1, &order);
            values.score_correction = rows(&values.score_correction);
        }
        values
    }
}

/// (y - centre) scale for rows y.
fn about_centre<T: Real>(y: &[T], setup: &Setup) -> Vec<T> {
    let mut out = vec![T::ZERO; y.len()];
    // several rows at a time, or the inner loop is too short for vectors
    let centre = setup.centre.repeat(64usize.div_ceil(setup.d));
    dispatch(Scaled { y, centre: &centre, scale: setup.scale(), out: &mut out });
    out
}

/// out ← (y - centre) scale, the centre repeated.
struct Scaled<'a, T> {
    y: &'a [T],
    centre: &'a [f64],
    scale: f64,
    out: &'a mut [T],
}

impl<T: Real> Kernel for Scaled<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let length = self.centre.len();
        for (out, y) in self.out.chunks_mut(length).zip(self.y.chunks(length)) {
            for ((out, y), c) in out.iter_mut().zip(y).zip(self.centre) {
                *out = T::from_f64((y.to_f64() - c) * self.scale);
            }
        }
    }
}
