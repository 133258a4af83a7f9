//! Peaks of a density by Newton's method from many points, each with the Gaussian that touches it there.

use crate::error::Result;
use crate::linalg::{Cholesky, Matrix, solve_lower};
use crate::num::ln;
use crate::parallel;
use crate::rng::{Purpose, fill_normal, stream};
use crate::search::probe::{Probe, Tally};
use std::f64::consts::TAU;

/// A maximum x* of log p~ with its curvature: near it p~ ≈ p~(x*) exp(-½ |A⁻¹(x - x*)|²).
#[derive(Debug, Clone)]
pub(crate) struct Peak {
    /// x*.
    pub x: Vec<f64>,
    /// A, any square root of the covariance A Aᵀ.
    pub factor: Matrix,
    /// log p~(x*) + (d/2) log 2π + log |det A|: Laplace's approximation of the mass.
    pub log_mass: f64,
}

/// Peaks that a start holds at most.
pub(crate) const PEAKS: usize = 24;
/// Newton steps from one point, at most.
const ITERATIONS: usize = 60;
/// Distance of the score differences, in units of A.
const DIFFERENCE: f64 = 1e-3;
/// Smallest curvature that one step believes, in units of A and relative to the largest: an iteration widens A by 1000 at most, and
/// what lies below the rounding of a score difference waits for a better A.
const FLATTEST: f64 = 1e-6;
const NOISE: f64 = 1e-9;
/// Lengths of a step that are tried: the whole, and quarters of it.
const LENGTHS: usize = 10;
/// Longest move along one axis in the careful family of steps, in units of the new A.
const LONGEST: f64 = 3.0;
/// Steps without progress before a point is given up.
const PATIENCE: usize = 6;
/// Rows of a batch of score differences, at most: bounds time and memory in many dimensions.
const ROWS: usize = 4096;
/// Radii from which a search without a better idea begins, in units of the frame.
const FROM: [f64; 12] = [1e-3, 1e-2, 0.1, 1.0, 10.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];

/// One climb.
struct Climber {
    x: Vec<f64>,
    /// A.
    factor: Matrix,
    log_det: f64,
    log_density: f64,
    failures: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Climbing,
    /// At a maximum, with A its curvature.
    Arrived,
    GivenUp,
}

/// Where to climb from: a point, and a first length.
pub(crate) type From = (Vec<f64>, f64);

/// Points on spheres around the centre of the frame, from 1e-3 to 1e8 of its units: `each` on every radius.
pub(crate) fn spheres(d: usize, each: usize, seed: u64) -> Vec<From> {
    let mut rng = stream(seed, Purpose::Probe, 2);
    let mut out = Vec::new();
    for radius in FROM {
        for _ in 0..each {
            let mut x = vec![0.0; d];
            fill_normal(&mut rng, &mut x);
            x.iter_mut().for_each(|v| *v *= radius);
            out.push((x, radius));
        }
    }
    out
}

/// Points around a peak, at 2 to 128 times its own widths.
pub(crate) fn around(peak: &Peak, each: usize, seed: u64) -> Vec<From> {
    let d = peak.x.len();
    let mut rng = stream(seed, Purpose::Probe, 3);
    let length = (peak.factor.as_slice().iter().map(|v| v * v).sum::<f64>() / d as f64).sqrt();
    let mut out = Vec::new();
    for radius in [2.0, 8.0, 32.0, 128.0] {
        for _ in 0..each {
            let mut z = vec![0.0; d];
            fill_normal(&mut rng, &mut z);
            let shift = product(&peak.factor, &z);
            out.push((peak.x.iter().zip(shift).map(|(x, s)| x + radius * s).collect(), length));
        }
    }
    out
}

/// How many climbs the budget allows in d dimensions; none beyond 2,048.
pub(crate) fn affordable(d: usize) -> usize {
    ROWS / (2 * d)
}

/// The peaks above the points `from`, each once, the largest mass first: damped Newton steps with the Hessian by differences of the score
/// along the columns of A, A replaced by A L⁻ᵀ, L Lᵀ the Hessian in its units, at each step. So the steps do not depend on units, and
/// conditions beyond the precision of one Hessian are reached in a few.
pub(crate) fn peaks(probe: &Probe, from: &[From], tally: &mut Tally) -> Result<Vec<Peak>> {
    let d = probe.frame.dim();
    if from.is_empty() {
        return Ok(Vec::new());
    }
    let points = Matrix::from_vec(from.len(), d, from.iter().flat_map(|(x, _)| x.iter().copied()).collect());
    let (log_density, asked) = probe.log_density(&points)?;
    tally.add(&asked);
    let begin = |((x, length), log_density): (&From, f64)| Climber {
        x: x.clone(),
        factor: Matrix::from_fn(d, d, |i, j| if i == j { *length } else { 0.0 }),
        log_det: d as f64 * ln(*length),
        log_density,
        failures: 0,
        state: if log_density > f64::NEG_INFINITY { State::Climbing } else { State::GivenUp },
    };
    let mut climbers: Vec<Climber> = from.iter().zip(log_density).map(begin).collect();
    for _ in 0..ITERATIONS {
        let active: Vec<&mut Climber> = climbers.iter_mut().filter(|c| c.state == State::Climbing).collect();
        if active.is_empty() {
            break;
        }
        climb(probe, active, tally)?;
    }
    let arrived = climbers.into_iter().filter(|c| c.state == State::Arrived);
    Ok(merged(arrived.map(Climber::peak).collect(), Vec::new()))
}

/// The peaks of two lists, each once, the largest mass first.
pub(crate) fn merged(mut found: Vec<Peak>, more: Vec<Peak>) -> Vec<Peak> {
    found.extend(more);
    found.sort_by(|a, b| b.log_mass.total_cmp(&a.log_mass));
    distinct(found)
}

/// One Newton step of every climber.
fn climb(probe: &Probe, mut active: Vec<&mut Climber>, tally: &mut Tally) -> Result<()> {
    let d = probe.frame.dim();
    let ends: Vec<f64> = active.iter().flat_map(|c| c.differences()).collect();
    let (log_density, score, asked) = probe.evaluate(&Matrix::from_vec(ends.len() / d, d, ends))?;
    tally.add(&asked);
    let rows = 2 * d + 1;
    let items: Vec<(usize, &mut &mut Climber)> = active.iter_mut().enumerate().collect();
    let steps: Vec<Vec<f64>> = parallel::collect(items.into_iter(), |(k, c)| {
        let at = k * rows..(k + 1) * rows;
        if log_density[at.clone()].contains(&f64::NEG_INFINITY) {
            c.fail();
            return Vec::new();
        }
        c.turn(&score.as_slice()[at.start * d..at.end * d])
    });
    let points: Vec<f64> = steps.iter().flatten().copied().collect();
    if points.is_empty() {
        return Ok(());
    }
    let (log_density, asked) = probe.log_density(&Matrix::from_vec(points.len() / d, d, points))?;
    tally.add(&asked);
    let mut first = 0;
    for (c, points) in active.iter_mut().zip(&steps) {
        let count = points.len() / d;
        c.step(points, &log_density[first..first + count]);
        first += count;
    }
    Ok(())
}

impl Climber {
    /// x, and x ± δ A e_k for every k: 2d + 1 rows.
    fn differences(&self) -> Vec<f64> {
        let d = self.x.len();
        let mut out = self.x.clone();
        for k in 0..d {
            for sign in [DIFFERENCE, -DIFFERENCE] {
                out.extend((0..d).map(|i| self.x[i] + sign * self.factor[(i, k)]));
            }
        }
        out
    }

    /// A bad model of p: nearer next time.
    fn fail(&mut self) {
        let d = self.x.len() as f64;
        self.factor.as_mut_slice().iter_mut().for_each(|a| *a *= 0.1);
        self.log_det += d * ln(0.1f64);
        self.failures += 1;
        if self.failures >= PATIENCE {
            self.state = State::GivenUp;
        }
    }

    /// Replaces A by the square root of the covariance that the scores at [`Climber::differences`] say; returns the points to try.
    fn turn(&mut self, scores: &[f64]) -> Vec<f64> {
        let d = self.x.len();
        let along =
            |s: &[f64]| -> Vec<f64> { (0..d).map(|j| (0..d).map(|i| self.factor[(i, j)] * s[i]).sum()).collect() };
        let row = |k: usize| along(&scores[k * d..(k + 1) * d]);
        let slope = row(0);
        let differences: Vec<Vec<f64>> = (0..d)
            .map(|k| {
                let (up, down) = (row(1 + 2 * k), row(2 + 2 * k));
                up.iter().zip(&down).map(|(u, v)| (v - u) / (2.0 * DIFFERENCE)).collect()
            })
            .collect();
        let hessian = Matrix::from_fn(d, d, |i, j| 0.5 * (differences[i][j] + differences[j][i]));
        let largest = hessian.as_slice().iter().fold(0.0f64, |m, v| m.max(v.abs()));
        if !largest.is_finite() {
            self.fail();
            return Vec::new();
        }
        let Some((l, lift)) = positive_factor(&hessian, largest) else {
            self.fail();
            return Vec::new();
        };
        // A ← A L⁻ᵀ, whose rows are L⁻¹ of A's; the slope becomes L⁻¹ of the old one, and is the whole step
        self.factor.as_mut_slice().chunks_exact_mut(d).for_each(|row| solve_lower(&l, row));
        self.log_det -= (0..d).map(|i| ln(l[(i, i)])).sum::<f64>();
        let mut whole = slope;
        solve_lower(&l, &mut whole);
        let size = whole.iter().map(|v| v * v).sum::<f64>();
        let turned = (0..d).all(|i| (0.5..2.0).contains(&l[(i, i)]));
        if size < 1e-4 && turned && lift <= FLATTEST.max(2.0 * NOISE * largest) {
            self.state = State::Arrived;
            return Vec::new();
        }
        let careful: Vec<f64> = whole.iter().map(|v| v.clamp(-LONGEST, LONGEST)).collect();
        let mut points = Vec::new();
        for step in [whole, careful] {
            let shift = product(&self.factor, &step);
            for k in 0..LENGTHS {
                points.extend(self.x.iter().zip(&shift).map(|(x, s)| x + s * 0.25f64.powi(k as i32)));
            }
        }
        points
    }

    /// Goes to the best of some points, if it is better.
    fn step(&mut self, points: &[f64], log_density: &[f64]) {
        let d = self.x.len();
        let best = (0..log_density.len()).max_by(|&a, &b| log_density[a].total_cmp(&log_density[b]));
        match best {
            None => {}
            Some(k) if log_density[k] > self.log_density => {
                self.x.copy_from_slice(&points[k * d..(k + 1) * d]);
                self.log_density = log_density[k];
                self.failures = 0;
            }
            // at a maximum to rounding the next turn says so; elsewhere the model is bad
            Some(_) => self.failures += 1,
        }
        if self.failures >= PATIENCE {
            self.state = State::GivenUp;
        }
    }

    fn peak(self) -> Peak {
        let log_mass = self.log_density + 0.5 * self.x.len() as f64 * ln(TAU) + self.log_det;
        Peak { x: self.x, factor: self.factor, log_mass }
    }
}

/// L with L Lᵀ = H + μ I, μ the smallest of a growing sequence for which it exists, and μ.
fn positive_factor(hessian: &Matrix, largest: f64) -> Option<(Matrix, f64)> {
    let d = hessian.rows();
    let mut lift = FLATTEST.max(NOISE * largest);
    // the product may overflow
    while lift.is_finite() && lift <= 100.0 * d as f64 * largest.max(FLATTEST) {
        let lifted = Matrix::from_fn(d, d, |i, j| hessian[(i, j)] + if i == j { lift } else { 0.0 });
        match Cholesky::factor(&lifted, "curvature") {
            Ok(c) => return Some((c.lower().clone(), lift)),
            Err(_) => lift *= 10.0,
        }
    }
    None
}

/// A z.
fn product(a: &Matrix, z: &[f64]) -> Vec<f64> {
    a.iter_rows().map(|row| row.iter().zip(z).map(|(a, z)| a * z).sum()).collect()
}

/// Peaks that lie further than one width, theirs or its, from every earlier one: a needle inside a wide mode is one of its own.
fn distinct(found: Vec<Peak>) -> Vec<Peak> {
    let mut out: Vec<(Peak, Cholesky)> = Vec::new();
    for peak in found {
        let Some(cholesky) = covariance_factor(&peak.factor) else { continue };
        let near = |(other, c): &(Peak, Cholesky)| {
            let gap: Vec<f64> = peak.x.iter().zip(&other.x).map(|(a, b)| a - b).collect();
            c.inverse_quadratic_form(&gap) < 1.0 && cholesky.inverse_quadratic_form(&gap) < 1.0
        };
        if !out.iter().any(near) {
            out.push((peak, cholesky));
        }
    }
    out.into_iter().map(|(peak, _)| peak).collect()
}

/// The Cholesky factor of A Aᵀ.
pub(crate) fn covariance_factor(a: &Matrix) -> Option<Cholesky> {
    let d = a.rows();
    let dot = |i: usize, j: usize| a.row(i).iter().zip(a.row(j)).map(|(x, y)| x * y).sum::<f64>();
    let covariance = Matrix::from_fn(d, d, |i, j| dot(i.max(j), i.min(j)));
    Cholesky::factor(&covariance, "covariance of a peak").ok()
}
