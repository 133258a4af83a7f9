//! Gaussian kernel density estimates: log-density and score in one pass, without an N×N matrix.

mod expansion;
mod grid;
mod order;
mod sweep;
mod task;
mod tiles;

use crate::error::{Error, Result};
use crate::linalg::{Matrix, shape_mismatch};
use crate::num::{Kernel, Real, dispatch, exp2, ln, log2};
use order::{Boxes, gather, scatter, tree_order};
use rayon::prelude::*;
use std::sync::{Arc, Mutex};
use task::Task;
use tiles::Workspace;

pub use grid::{KdeGrid, Tolerance};

/// Most queries that are one task however few there are, in few dimensions and in many.
const TOGETHER: [usize; 2] = [sweep::LANES, 2 * tiles::LANES];

/// Most dimensions that [`sweep`] does; from here on the matrix products of [`tiles`] are faster.
const FEW: usize = 11;

/// Fewest samples that are put in order: with fewer, most blocks are in reach anyway.
const ORDERED: usize = 2048;

/// Queries that [`Kde::evaluate`] takes at once at best, in d dimensions.
pub(crate) fn panel_rows(d: usize) -> usize {
    TOGETHER[usize::from(d > FEW)]
}

/// The rows of `x` in an order in which each panel of [`panel_rows`] stands close together, where that helps.
pub(crate) fn near_order<T: Real>(x: &Matrix<T>) -> Vec<usize> {
    let (n, d) = x.shape();
    if d > FEW {
        return (0..n).collect();
    }
    tree_order(x.as_slice(), d, sweep::LANES).into_iter().map(|i| i as usize).collect()
}

/// The kernel density estimate q̂_h(x) = (1/N) Σ_j φ_h(x - y_j), φ_h the density of N(0, h² I).
///
/// It estimates `q ∗ φ_h` without bias (T10), not q; match it against a target smoothed by the same h (T11). Leaving the own
/// point out makes isolated particles explode: give an independent batch instead.
///
/// The values are those of samples and queries moved by one rounding of (y - centre)/h, up to a few units in the last place of
/// the energy ½|x - y|²/h²: nothing is lost at any distance, because the largest kernel value of a query is kept in range.
///
/// In few dimensions (up to 11), many samples and their queries are put in an order that keeps neighbours together, and blocks of samples are
/// left out for a panel of queries where their kernel values, all together, are below ε/8 of the sum: most pairs, where h is small against
/// the spread of the samples.
#[derive(Debug, Clone)]
pub struct Kde<T: Real = f64> {
    /// The samples: in few dimensions as given, N×d, where it pays in the order of a k-d tree; in many as [`tiles::prepared`].
    points: Arc<[T]>,
    /// In few dimensions the samples about their centre, N×d, in units in which the kernel is 2^-|x - y|².
    scaled: Vec<T>,
    /// Boxes around the blocks of [`sweep`], in few dimensions: of the points, and in units of `scaled`.
    point_boxes: Arc<Boxes<T>>,
    boxes: Boxes<T>,
    /// Mean of the samples, d: subtracted so that samples far from the origin keep their digits.
    centre: Vec<f64>,
    /// The unit of length of `points`: in many dimensions the power of two next to the first bandwidth, so that squares are in range.
    unit: f64,
    /// log of N (√(2π) h)^d.
    log_norm: f64,
    n: usize,
    d: usize,
    bandwidth: f64,
}

/// Values at n queries.
#[derive(Debug, Clone)]
pub struct KdeValues<T: Real = f64> {
    /// log q̂_h(x_i), n.
    pub log_density: Vec<T>,
    /// ∇ log q̂_h(x_i), n×d.
    pub score: Matrix<T>,
    /// m_i = (Σ_j k_ij)² / Σ_j k_ij², the effective number of samples behind the estimate at x_i, n.
    pub neighbours: Vec<T>,
    /// ∇ (1/2m)(x_i), n×d: what [`KdeValues::debiased`] adds to the score.
    pub score_correction: Matrix<T>,
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

impl<T: Real> KdeValues<T> {
    /// (log q̂_h + ½(1/m - 1/N), its gradient): free of the bias of the logarithm to first order in 1/m (T10).
    ///
    /// q̂_h is unbiased for q ∗ φ_h, its logarithm is low by half its relative variance, which is 1/m - 1/N: most where samples are
    /// rare, so that the plain score pushes outwards there. N is the number of samples.
    pub fn debiased(mut self, samples: usize) -> (Vec<T>, Matrix<T>) {
        let half = T::from_f64(0.5);
        let rest = T::from_f64(1.0 / samples as f64);
        for (l, &m) in self.log_density.iter_mut().zip(&self.neighbours) {
            *l += mutant!("debias-sign", -half * (T::ONE / m - rest), half * (T::ONE / m - rest));
        }
        let corrections = self.score_correction.as_slice();
        self.score.as_mut_slice().iter_mut().zip(corrections).for_each(|(s, &c)| *s += mutant!("debias-score", -c, c));
        (self.log_density, self.score)
    }
}

impl<T: Real> Kde<T> {
    /// The estimate from `samples` (N×d, N ≥ 1) with bandwidth h > 0. Cost O(N d).
    pub fn new(samples: &Matrix<T>, bandwidth: f64) -> Result<Self> {
        let (n, d) = samples.shape();
        if !(bandwidth > 0.0 && bandwidth.is_finite()) {
            let name = "bandwidth".to_string();
            return Err(Error::Parameter { name, value: bandwidth, expected: "a positive finite number" });
        }
        if n == 0 || d == 0 {
            let what = "the sample of a kernel density estimate".to_string();
            return Err(Error::Dimension { what, expected: 1, found: 0 });
        }
        let centre = samples.column_means().iter().map(|m| m.to_f64()).collect();
        let (points, point_boxes, boxes) = (Arc::default(), Arc::default(), Boxes::default());
        let unit = if d > FEW { exp2(log2(bandwidth).round()) } else { 1.0 };
        let mut this =
            Self { points, scaled: vec![], point_boxes, boxes, centre, unit, log_norm: 0.0, n, d, bandwidth };
        let given = samples.as_slice();
        this.points = if d > FEW {
            tiles::prepared(given, &this.centre, unit).into()
        } else if this.is_ordered() {
            gather(given, d, &tree_order(given, d, sweep::BLOCK)).into()
        } else {
            given.into()
        };
        if d <= FEW {
            this.point_boxes = Arc::new(Boxes::new(&this.points, d, sweep::BLOCK));
        }
        Ok(this.with_bandwidth(bandwidth))
    }

    /// The estimate from the same samples with another bandwidth h > 0, finite; cheaper than a new one.
    #[track_caller]
    pub fn with_bandwidth(&self, bandwidth: f64) -> Self {
        assert!(
            bandwidth > 0.0 && bandwidth.is_finite(),
            "Kde::with_bandwidth: {bandwidth} is not positive and finite"
        );
        let (points, point_boxes, centre) =
            (Arc::clone(&self.points), Arc::clone(&self.point_boxes), self.centre.clone());
        let boxes = Boxes::default();
        let log_norm = ln(self.n as f64)
            + self.d as f64 * ln((mutant!("kernel-normaliser", 1.0, 2.0) * std::f64::consts::PI).sqrt() * bandwidth);
        let mut kde = Self { points, scaled: vec![], point_boxes, boxes, centre, log_norm, bandwidth, ..*self };
        if kde.d <= FEW {
            let scale = kde.scale();
            kde.scaled = kde.about_centre(&kde.points, scale);
            // rounding is monotone: corners of boxes are corners of scaled boxes
            kde.boxes = kde.point_boxes.map(|corners| kde.about_centre(corners, scale));
        }
        kde
    }

    fn is_ordered(&self) -> bool {
        self.d <= FEW && self.n >= ORDERED
    }

    /// √(½ log₂ e)/h: in this unit of length the kernel is 2^-|x - y|².
    fn scale(&self) -> f64 {
        (mutant!("kernel-width", 0.45, 0.5) * std::f64::consts::LOG2_E).sqrt() / self.bandwidth
    }

    /// (y - centre) scale for rows y.
    fn about_centre(&self, y: &[T], scale: f64) -> Vec<T> {
        let mut out = vec![T::ZERO; y.len()];
        // several rows at a time, or the inner loop is too short for vectors
        let centre = self.centre.repeat(64usize.div_ceil(self.d));
        dispatch(Scaled { y, centre: &centre, scale, out: &mut out });
        out
    }

    /// h.
    pub fn bandwidth(&self) -> f64 {
        self.bandwidth
    }

    /// log q̂_h, its gradient and the effective number of neighbours at the rows of `x` (n×d). Cost O(n N d), memory O(n d + N d).
    #[track_caller]
    pub fn evaluate(&self, x: &Matrix<T>) -> KdeValues<T> {
        self.values(x, true)
    }

    /// (log q̂_h, its gradient) at the rows of `x` (n×d), as [`Kde::evaluate`] but without the moments of k²: about 2/3 of its cost.
    #[track_caller]
    pub fn log_density_and_score(&self, x: &Matrix<T>) -> (Vec<T>, Matrix<T>) {
        let values = self.values(x, false);
        (values.log_density, values.score)
    }

    /// The values, those of the moments of k² only where `second`.
    #[track_caller]
    fn values(&self, x: &Matrix<T>, second: bool) -> KdeValues<T> {
        let (n, d) = x.shape();
        if d != self.d {
            shape_mismatch("Kde::evaluate", x.shape(), (self.n, self.d));
        }
        let order = (self.is_ordered() && n > sweep::LANES).then(|| tree_order(x.as_slice(), d, sweep::LANES));
        let sorted = order.as_ref().map(|order| gather(x.as_slice(), d, order));
        let (mut log_density, mut score) = (vec![T::ZERO; n], vec![T::ZERO; n * d]);
        let extra = if second { n } else { 0 };
        let (mut neighbours, mut correction) = (vec![T::ZERO; extra], vec![T::ZERO; extra * d]);
        let panels = if d > FEW { tiles::panels(n) } else { 1 };
        let portion = if d > FEW { panels * tiles::LANES } else { sweep::LANES };
        let rows = portion * d;
        let mut seconds = neighbours.chunks_mut(portion).zip(correction.chunks_mut(rows));
        let outputs = log_density.chunks_mut(portion).zip(score.chunks_mut(rows));
        let queries = sorted.as_deref().unwrap_or(x.as_slice()).chunks(rows);
        let tasks: Vec<_> = outputs
            .zip(queries)
            .map(|((log_density, score), queries)| Task {
                kde: self,
                queries,
                log_density,
                score,
                second: seconds.next(),
            })
            .collect();
        if d > FEW {
            // one task at a time, so that a thread that comes late finds some left, and no more workspaces than threads
            let spare = Mutex::new(Vec::new());
            tasks.into_par_iter().with_max_len(1).for_each(|task| {
                let old = spare.lock().expect("no task panicked").pop();
                let mut workspace = old.unwrap_or_else(|| Workspace::new(panels, d, second));
                workspace.run(task);
                spare.lock().expect("no task panicked").push(workspace);
            });
        } else {
            tasks.into_par_iter().for_each(Task::run);
        }
        if let Some(order) = order {
            (log_density, score) = (scatter(&log_density, 1, &order), scatter(&score, d, &order));
            if second {
                (neighbours, correction) = (scatter(&neighbours, 1, &order), scatter(&correction, d, &order));
            }
        }
        let score_correction = Matrix::from_vec(extra, d, correction);
        KdeValues { log_density, score: Matrix::from_vec(n, d, score), neighbours, score_correction }
    }
}
