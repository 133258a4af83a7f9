//! The exact law of a generator or a flow beside the target: D_f by quadrature on a grid, and what a step of its samples lowers (T3, T9).

use crate::failure::{Failure, Outcome};
use crate::lab::levels::{Inflow, Levels, View, soft};
use crate::lab::smoothed::lowered;
use pushforward::density::{Density, evaluate};
use pushforward::linalg::Matrix;
use pushforward::metric::{Certificate, Estimate};
use pushforward::num::{exp, ln, mean};
use pushforward::velocity::{LogRatioClip, drift_into};
use std::sync::Arc;

/// Cells along a side.
const SIDE: usize = 120;
/// The grid reaches beyond the picture and the samples of the start by this share of their side.
const BEYOND: f64 = 0.25;
/// Mass of q that may lie outside the grid, or between its points.
const LOST: f64 = 5e-3;
/// Log-densities below this are those of no mass.
const LEAST: f64 = -700.0;

/// p on a grid, with mass 1 there, ready to be compared with laws.
pub struct Beside {
    target: Arc<dyn Density>,
    grid: Matrix,
    /// Sides of a cell, and their product.
    steps: (f64, f64),
    cell: f64,
    log_p: Vec<f64>,
    /// log of the mass of p~ on the grid.
    log_z: f64,
    /// Exact samples and log p~ at them, where the target has any.
    exact: Option<(Matrix, Vec<f64>)>,
}

/// The densities of n samples of a model: that from which exactly they came, and that of the model's law, which may be another estimate.
pub type Densities = [Arc<dyn Density>; 2];

/// A law beside p, and its field at its samples.
pub struct Known {
    densities: Densities,
    points: Matrix,
    /// log p there, as p has mass 1 on the grid.
    log_p: Vec<f64>,
    /// l = log r at the samples and on the grid, r = p/q, and q and w(r) on the grid.
    log_ratio: Vec<f64>,
    on_grid: [Vec<f64>; 3],
    /// V = w(r) ∇ log r at the samples, N×2.
    velocity: Matrix,
    /// r (s' + s'')(l) ∇l there, l = log r.
    response: Matrix,
    /// U = E_p s(l), s = 1/(1 + e^{-(l - τ)}): the share of p that q under-covers by more than e^τ (T5); NaN as `value`.
    pub under: f64,
    /// D_f(p‖q), with w held constant beyond the clip; NaN where mass of q is not on the grid.
    pub value: f64,
}

/// What a step did to the samples of a law.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Taken {
    /// E_q|V|² before it.
    pub square: f64,
    /// E_q V·x', x' the step as taken and V the mean of that before and that after it: -ΔD up to the third order of the step.
    pub chain: Estimate,
    /// E_p (s' + s'')(l) ∇l·x', likewise: -ΔU.
    pub response: Estimate,
    /// The same along V before the step, in a unit of time (T5).
    pub along: f64,
}

impl Beside {
    /// p over the box [x.0, x.1] × [y.0, y.1] and that of the samples `start`, and more on each side, and as many exact samples under `seed`.
    /// Fails where p is nowhere finite there.
    pub fn new(
        target: &Arc<dyn Density>,
        (x, y): ((f64, f64), (f64, f64)),
        start: &Matrix,
        seed: u64,
    ) -> Outcome<Self> {
        let wide = |(low, high): (f64, f64), j: usize| {
            let column = || start.iter_rows().map(|r| r[j]);
            let (low, high) = (column().fold(low, f64::min), column().fold(high, f64::max));
            let more = BEYOND * (high - low);
            (low - more, (high - low + 2.0 * more) / SIDE as f64)
        };
        let (x, y) = (wide(x, 0), wide(y, 1));
        let at = |(low, step): (f64, f64), k: usize| low + step * (k as f64 + 0.5);
        let grid = Matrix::from_fn(SIDE * SIDE, 2, |i, j| if j == 0 { at(x, i % SIDE) } else { at(y, i / SIDE) });
        let (cell, mut log_p) = (x.1 * y.1, target.log_density(&grid));
        log_p.iter_mut().filter(|l| !l.is_finite()).for_each(|l| *l = f64::NEG_INFINITY);
        let top = log_p.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_z = top + ln(log_p.iter().map(|l| exp(l - top)).sum::<f64>() * cell);
        if !log_z.is_finite() {
            return Err(Failure::input("D is not shown: the target has no finite density in the picture"));
        }
        log_p.iter_mut().for_each(|l| *l = (*l - log_z).max(LEAST));
        let exact = target.sample(start.rows(), seed).map(|x| {
            let log_p = target.log_density(&x);
            (x, log_p)
        });
        Ok(Self { target: Arc::clone(target), grid, steps: (x.1, y.1), cell, log_p, log_z, exact })
    }

    /// A law with these `densities` of its samples `points` (N×2).
    pub fn at(&self, densities: Densities, points: Matrix, view: View) -> pushforward::Result<Known> {
        let View { divergence, clip, level } = view;
        let log_q = densities[1].log_density(&self.grid);
        let q: Vec<f64> = log_q.iter().map(|l| exp(*l)).collect();
        let mass = q.iter().sum::<f64>() * self.cell;
        let l: Vec<f64> = self.log_p.iter().zip(&log_q).map(|(p, q)| p - q.max(LEAST)).collect();
        let centre = (0..q.len()).map(|k| l[k] * q[k] * self.cell).sum::<f64>();
        let own = divergence.centred(centre);
        let f = own.as_deref().unwrap_or(divergence);
        let part = |k: usize| lowered(f, clip, l[k], exp(self.log_p[k]), q[k]);
        let inside = (mass - 1.0).abs() < LOST;
        let over = |part: &dyn Fn(usize) -> f64| {
            if inside { (0..q.len()).map(part).sum::<f64>() * self.cell } else { f64::NAN }
        };
        let (value, under) = (over(&part), over(&|k| exp(self.log_p[k]) * soft(level, l[k]).0));
        let weights = l.iter().map(|l| f.weight(l.clamp(-clip, clip))).collect();

        let (p, at_points) = (evaluate(&*self.target, &points)?, evaluate(&*densities[1], &points)?);
        let log_p: Vec<f64> = p.log_density.iter().map(|p| p - self.log_z).collect();
        let log_ratio: Vec<f64> = log_p.iter().zip(&at_points.log_density).map(|(p, q)| p - q).collect();
        let (mut beta, mut velocity) = (p.score, Matrix::zeros(points.rows(), 2));
        beta.add_scaled(-1.0, &at_points.score);
        drift_into(f, LogRatioClip { low: -clip, high: clip }, &log_ratio, &beta, &mut velocity);
        let mut response = beta;
        for (row, &l) in response.as_mut_slice().chunks_exact_mut(2).zip(&log_ratio) {
            row.iter_mut().for_each(|b| *b *= soft(level, l).1);
        }
        let on_grid = [l, q, weights];
        Ok(Known { densities, points, log_p, log_ratio, on_grid, velocity, response, value, under })
    }

    /// What flows through `levels` in the step from `before` to `after`, which along V is worth the time ΔD/E_q|V|².
    pub fn inflow(&self, levels: Levels, (before, after): (&Known, &Known)) -> Inflow {
        let [l, q, weights] = &before.on_grid;
        let n = before.points.rows() as f64;
        // |∇l|² by central differences: exact where l is quadratic
        let square = |k: usize| {
            let (i, j) = (k % SIDE, k / SIDE);
            let slope = |at: usize, by: usize, step: f64| {
                let (low, high) = (if at > 0 { k - by } else { k }, if at + 1 < SIDE { k + by } else { k });
                (l[high] - l[low]) / (((high - low) / by) as f64 * step)
            };
            q[k] * (slope(i, 1, self.steps.0).powi(2) + slope(j, SIDE, self.steps.1).powi(2))
        };
        let density = |m: &dyn Fn(usize) -> f64| levels.density(l.iter().enumerate().map(|(k, &l)| (l, m(k))));
        let squares: Vec<f64> = (0..q.len()).map(|k| square(k) * self.cell).collect();
        let time = (before.value - after.value) / (0..q.len()).map(|k| weights[k].powi(2) * squares[k]).sum::<f64>();
        let change = l.iter().enumerate().map(|(k, &l)| (l, (after.on_grid[1][k] - q[k]) * self.cell));
        // l as it was, where the samples are after the step
        let log_q = before.densities[1].log_density(&after.points);
        let there = after.log_p.iter().zip(&log_q).map(|(p, q)| p - q);
        let (mut sum, mut squared) = (levels.above(std::iter::empty()), levels.above(std::iter::empty()));
        for (here, there) in before.log_ratio.iter().zip(there) {
            levels.risen(*here, there, |k, by| {
                sum[k] += by / n;
                squared[k] += by * by / n;
            });
        }
        let error = |(s, mean): (&f64, &f64)| ((s - mean * mean).max(0.0) / (n - 1.0)).sqrt();
        Inflow {
            measured: levels.above(change),
            beside: squared.iter().zip(&sum).map(error).collect(),
            taken: sum,
            stated: density(&|k| time * weights[k] * squares[k]),
            threshold: levels.threshold(&density(&|k| squares[k]), &density(&|_| levels.width())),
        }
    }

    /// The certificate (T25) of the samples of a law.
    pub fn certificate(&self, law: &Known) -> Option<Certificate> {
        let weights = |log_p: &[f64], q: &dyn Density, x: &Matrix| -> Vec<f64> {
            log_p.iter().zip(q.log_density(x)).map(|(p, q)| p - q).collect()
        };
        let [plain, q] = &law.densities;
        let own = weights(&self.target.log_density(&law.points), &**plain, &law.points);
        let exact = self.exact.as_ref().map(|(x, log_p)| weights(log_p, &**q, x));
        Certificate::of(&own, exact.as_deref()).ok()
    }
}

impl Known {
    /// What the step from this law to the `next` one did to its samples.
    pub fn taken(&self, next: &Self) -> Taken {
        let mut steps = next.points.clone();
        steps.add_scaled(-1.0, &self.points);
        let n = steps.rows() as f64;
        let along = |a: &Matrix, b: &Matrix| {
            let fields = a.iter_rows().zip(b.iter_rows()).zip(steps.iter_rows());
            let each = fields.map(|((a, b), x)| (0..2).map(|j| 0.5 * (a[j] + b[j]) * x[j]).sum::<f64>());
            let each: Vec<f64> = each.collect();
            let value = mean(&each);
            let variance = each.iter().map(|e| (e - value).powi(2)).sum::<f64>() / (n - 1.0);
            Estimate { value, standard_error: (variance / n).sqrt() }
        };
        let (chain, response) = (along(&self.velocity, &next.velocity), along(&self.response, &next.response));
        let with = |a: &Matrix| a.as_slice().iter().zip(self.velocity.as_slice()).map(|(a, v)| a * v).sum::<f64>() / n;
        Taken { square: with(&self.velocity), chain, response, along: with(&self.response) }
    }
}
