//! A correction of potentials that is constant on runs of points: what iterations over points would take long to learn.

use crate::num::powf;
use crate::transport::blocks::BLOCK;
use crate::transport::relaxation::Relaxation;
use crate::transport::sweep::ROWS;

/// Steps at most, and the share of the first error from which on the answer is good enough.
const MOST: usize = 1000;
const SHARE: f64 = 1e-3;
/// Runs of points on a side, at least, where there are as many points.
const RUNS: usize = 1024;

/// Masses K_IJ of a plan between runs of points, with the masses that its rows and columns should have.
pub(super) struct Aggregate<'a> {
    size: usize,
    /// J for each block of rows, in order.
    near: &'a [Vec<usize>],
    /// K_IJ.
    mass: Vec<Vec<f64>>,
    /// Σ_(i in I) of the wanted masses.
    rows: Vec<f64>,
    /// The same of columns.
    columns: Vec<f64>,
    /// ε/ρ.
    leak: f64,
}

impl<'a> Aggregate<'a> {
    /// Points of a run among n, a power of 2 up to [`BLOCK`].
    pub fn size(n: usize) -> usize {
        let share = (n / RUNS).clamp(1, BLOCK);
        1 << share.ilog2()
    }

    /// From the masses of each task of rows.
    pub fn new(
        size: usize,
        near: &'a [Vec<usize>],
        tasks: Vec<Vec<f64>>,
        (rows, columns): (Vec<f64>, Vec<f64>),
        leak: f64,
    ) -> Self {
        let mut mass: Vec<Vec<f64>> = Vec::with_capacity(rows.len());
        for (k, task) in tasks.into_iter().enumerate() {
            let width = near[k * ROWS / BLOCK].len();
            if (k * ROWS).is_multiple_of(size) {
                mass.extend(task.chunks(width).map(<[f64]>::to_vec));
            } else if let Some(last) = mass.last_mut() {
                last.iter_mut().zip(task).for_each(|(m, t)| *m += t);
            }
        }
        Self { size, near, mass, rows, columns, leak }
    }

    /// log₂ u and log₂ v with u_I (K v)_I = rows_I u_I^(-ε/ρ), and the same for columns: Sinkhorn's iteration between runs, which maximises the
    /// dual over potentials that move by the same on all points of a run.
    pub fn solve(&self) -> (Vec<f64>, Vec<f64>) {
        let (mut u, mut v) = (vec![1.0; self.rows.len()], vec![1.0; self.columns.len()]);
        let mut relaxation = Relaxation::new();
        let mut first = None;
        for _ in 0..MOST {
            let omega = relaxation.factor();
            let pairs = |i: usize| self.near[i * self.size / BLOCK].iter().zip(&self.mass[i]);
            let mut of_rows = vec![0.0; u.len()];
            for (i, of) in of_rows.iter_mut().enumerate().take(self.mass.len()) {
                *of = pairs(i).map(|(&j, k)| k * v[j]).sum();
            }
            let rows = self.step(&mut u, &of_rows, &self.rows, omega);
            let mut of_columns = vec![0.0; v.len()];
            for (i, u) in u.iter().enumerate().take(self.mass.len()) {
                pairs(i).for_each(|(&j, k)| of_columns[j] += u * k);
            }
            let error = rows.max(self.step(&mut v, &of_columns, &self.columns, omega));
            let first = *first.get_or_insert(error);
            // also where there is nothing to correct
            if error <= SHARE * first {
                break;
            }
            relaxation.observe(error);
        }
        let log2 = |x: f64| if x > 0.0 && x.is_finite() { crate::num::log2(x) } else { 0.0 };
        (u.into_iter().map(log2).collect(), v.into_iter().map(log2).collect())
    }

    /// Moves the factors of one side; the error of its masses before.
    fn step(&self, u: &mut [f64], sums: &[f64], wanted: &[f64], omega: f64) -> f64 {
        let mut error = 0.0;
        for ((u, sum), wanted) in u.iter_mut().zip(sums).zip(wanted) {
            if !(*sum > 0.0 && *wanted > 0.0) {
                continue;
            }
            let leaked = if self.leak == 0.0 { *wanted } else { wanted * powf(*u, -self.leak) };
            error += (*u * sum - leaked).abs();
            let best = if self.leak == 0.0 { wanted / sum } else { powf(wanted / sum, 1.0 / (1.0 + self.leak)) };
            *u = if omega == 1.0 { best } else { *u * powf(best / *u, omega) };
        }
        error
    }
}
