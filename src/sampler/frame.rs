//! The units in which a network works, found from the target.

use crate::density::{Density, GaussianMixture, evaluate_log_density};
use crate::error::{Error, Result};
use crate::linalg::{Cholesky, Matrix};
use crate::num::{Real, log_sum_exp};
use crate::rng::{Purpose, Stream, fill_normal, stream, uniform};

/// The units in which a network works: x = centre + scale · y.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Centre of the target, d.
    pub centre: Vec<f64>,
    /// Its overall scale: root mean square of the coordinates' standard deviations, > 0.
    pub scale: f64,
}

/// Particles of the search.
const PARTICLES: usize = 2048;
/// Radii of the Gaussians around the origin in which the search begins; a target further out needs its frame given.
const RADII: [f64; 5] = [0.1, 1.0, 10.0, 100.0, 1000.0];
/// Smallest fraction of particles that a reweighting leaves effective (Del Moral, Doucet and Jasra, 2006, section 3.5).
const ESS_FRACTION: f64 = 0.5;
/// Metropolis sweeps after each reweighting, and after the last.
const SWEEPS: usize = 6;
const LAST_SWEEPS: usize = 30;
/// Sweeps of moves of some coordinates, for each dimension, at the same places.
const PARTIAL: usize = 1;
const LAST_PARTIAL: usize = 4;
/// Most reweightings; a target that needs more is left at the tempering that was reached.
const MAX_STAGES: usize = 200;

impl Frame {
    /// The frame of `target`: its exact mean and variance where it is a Gaussian mixture, else those of the particles of a
    /// sequential Monte Carlo search from wide Gaussians around the origin.
    ///
    /// `Error::NonFinite` where the target returns NaN or +inf, `Error::Unsupported` where no particle finds its support.
    pub fn of(target: &dyn Density, seed: u64) -> Result<Self> {
        match target.mixture() {
            Some(p) => Ok(Self::of_mixture(p)),
            None => Self::of_particles(&search(target, seed)?),
        }
    }

    /// x_i = centre + scale · y_i.   y: n×d → n×d.
    pub fn restore<T: Real>(&self, y: &Matrix<T>) -> Matrix {
        let mut x: Matrix = y.cast();
        for row in x.as_mut_slice().chunks_exact_mut(self.centre.len()) {
            row.iter_mut().zip(&self.centre).for_each(|(x, c)| *x = c + self.scale * *x);
        }
        x
    }

    /// y_i = (x_i - centre)/scale, the inverse of [`Frame::restore`].   x: n×d → n×d.
    pub fn standardise(&self, x: &Matrix) -> Matrix {
        Matrix::from_fn(x.rows(), x.cols(), |i, j| (x[(i, j)] - self.centre[j]) / self.scale)
    }

    fn of_mixture(p: &GaussianMixture) -> Self {
        let covariance = p.covariance();
        let d = covariance.rows();
        let trace: f64 = (0..d).map(|i| covariance[(i, i)]).sum();
        Self { centre: p.mean(), scale: (trace / d as f64).sqrt() }
    }

    /// Mean and scale of particles (n×d); `Error::Unsupported` where they are one point or not finite.
    pub(crate) fn of_particles(x: &Matrix) -> Result<Self> {
        let centre = x.column_means();
        let square = |row: &[f64]| row.iter().zip(&centre).map(|(x, c)| (x - c) * (x - c)).sum::<f64>();
        let scale = (x.iter_rows().map(square).sum::<f64>() / x.as_slice().len() as f64).sqrt();
        if scale > 0.0 && scale.is_finite() {
            return Ok(Self { centre, scale });
        }
        Err(Error::Unsupported {
            what: format!("the search for the target's scale ended at {scale}"),
            remedy: "give its centre and scale",
        })
    }
}

/// Which coordinates the moves of a sweep change.
#[derive(Clone, Copy, PartialEq)]
enum Moves {
    /// All.
    Whole,
    /// Some (crossover; Vrugt et al., 2009): where p is nearly a product, no jump of all coordinates at once would be accepted.
    Partial,
}

/// Fraction of the moves that are jumps between modes.
const JUMPS: [f64; 2] = [0.3, 0.5];

/// Particles of the annealed law q₀^{1-β} p~^β, β from 0 to 1.
struct Population<'a> {
    target: &'a dyn Density,
    x: Matrix,
    /// log q₀ and log p~ at x.
    log_start: Vec<f64>,
    log_target: Vec<f64>,
    beta: f64,
}

/// Sequential Monte Carlo from q₀, an equal mixture of N(0, R² I) over [`RADII`], to p (Del Moral, Doucet and Jasra, 2006).
pub(crate) fn search(target: &dyn Density, seed: u64) -> Result<Matrix> {
    let d = target.dim();
    let mut rng = stream(seed, Purpose::Probe, 0);
    let mut x = Matrix::zeros(PARTICLES, d);
    fill_normal(&mut rng, x.as_mut_slice());
    for i in 0..PARTICLES {
        x.row_mut(i).iter_mut().for_each(|v| *v *= RADII[i % RADII.len()]);
    }
    let log_start = log_start(&x);
    let log_target = evaluate_log_density(target, &x)?;
    let mut population = Population { target, x, log_start, log_target, beta: 0.0 };
    for _ in 0..MAX_STAGES {
        population.reweight(&mut rng)?;
        let (whole, partial) = if population.beta < 1.0 { (SWEEPS, PARTIAL) } else { (LAST_SWEEPS, LAST_PARTIAL) };
        (0..whole).try_for_each(|_| population.sweep(Moves::Whole, &mut rng))?;
        (0..if d > 1 { partial * d } else { 0 }).try_for_each(|_| population.sweep(Moves::Partial, &mut rng))?;
        if population.beta >= 1.0 {
            break;
        }
    }
    Ok(population.x)
}

/// log q₀(x_i), up to a constant.
fn log_start(x: &Matrix) -> Vec<f64> {
    let d = x.cols() as f64;
    let one = |row: &[f64]| {
        let r2: f64 = row.iter().map(|v| v * v).sum();
        log_sum_exp(&RADII.map(|r| -0.5 * r2 / (r * r) - d * r.ln()))
    };
    x.iter_rows().map(one).collect()
}

impl Population<'_> {
    /// log of the annealed law, at given log q₀ and log p~.
    fn log_law(&self, start: f64, target: f64) -> f64 {
        (1.0 - self.beta) * start + self.beta * target
    }

    /// Raises β as far as the effective sample size allows, and resamples.
    fn reweight(&mut self, rng: &mut Stream) -> Result<()> {
        let gain: Vec<f64> = self.log_target.iter().zip(&self.log_start).map(|(t, s)| t - s).collect();
        if gain.iter().all(|g| *g == f64::NEG_INFINITY) {
            let what = "no particle of the search lies in the target's support".to_string();
            return Err(Error::Unsupported { what, remedy: "give the target's centre and scale" });
        }
        let alive = gain.iter().filter(|g| **g > f64::NEG_INFINITY).count() as f64;
        let weights = |delta: f64| -> Vec<f64> { gain.iter().map(|g| delta * g).collect() };
        let effective = |delta: f64| {
            let w = weights(delta);
            let double: Vec<f64> = w.iter().map(|l| 2.0 * l).collect();
            (2.0 * log_sum_exp(&w) - log_sum_exp(&double)).exp()
        };
        let mut delta = 1.0 - self.beta;
        if effective(delta) < ESS_FRACTION * alive {
            let (mut low, mut high) = (0.0, delta);
            for _ in 0..50 {
                delta = 0.5 * (low + high);
                *(if effective(delta) < ESS_FRACTION * alive { &mut high } else { &mut low }) = delta;
            }
        }
        self.beta = if delta >= 1.0 - self.beta { 1.0 } else { self.beta + delta };
        self.resample(&weights(delta), rng);
        Ok(())
    }

    /// Systematic resampling (Kitagawa, 1996).
    fn resample(&mut self, log_weights: &[f64], rng: &mut Stream) {
        let total = log_sum_exp(log_weights);
        let (n, u0) = (log_weights.len(), uniform(rng));
        let mut cumulative = 0.0;
        let mut index = Vec::with_capacity(n);
        for (i, w) in log_weights.iter().enumerate() {
            cumulative += (w - total).exp() * n as f64;
            while index.len() < n && index.len() as f64 + u0 < cumulative {
                index.push(i);
            }
        }
        // rounding can leave the last places empty
        let last = index.last().copied().unwrap_or(0);
        index.resize(n, last);
        self.x = self.x.gather_rows(&index);
        self.log_start = index.iter().map(|&i| self.log_start[i]).collect();
        self.log_target = index.iter().map(|&i| self.log_target[i]).collect();
    }

    /// One Metropolis move of each half, with proposals made from the other half, so that they are symmetric.
    fn sweep(&mut self, moves: Moves, rng: &mut Stream) -> Result<()> {
        let half = self.x.rows() / 2;
        for (moved, other) in [(0, half), (half, 0)] {
            let proposal = self.propose((moved, other, half), moves, rng);
            let (start, target) = (log_start(&proposal), evaluate_log_density(self.target, &proposal)?);
            for k in 0..half {
                let i = moved + k;
                let gain = self.log_law(start[k], target[k]) - self.log_law(self.log_start[i], self.log_target[i]);
                if uniform(rng).ln() < gain {
                    self.x.row_mut(i).copy_from_slice(proposal.row(k));
                    (self.log_start[i], self.log_target[i]) = (start[k], target[k]);
                }
            }
        }
        Ok(())
    }

    /// By turns: a random walk of the other half's covariance at a random fraction of its optimal size, and a differential-evolution
    /// jump x + x_a - x_b (ter Braak, 2006), which crosses between modes. Rows [moved, moved + half) with the rows from `other`.
    fn propose(&self, (moved, other, half): (usize, usize, usize), moves: Moves, rng: &mut Stream) -> Matrix {
        let d = self.x.cols();
        let factor = covariance_factor(&self.x, other, half);
        let mut out = self.x.slice_rows(moved..moved + half);
        let mut z = vec![0.0; d];
        for k in 0..half {
            fill_normal(rng, &mut z);
            let jump = uniform(rng) < JUMPS[usize::from(moves == Moves::Partial)];
            let chosen = if moves == Moves::Partial { crossover(d, rng) } else { (0..d).collect() };
            // 2.38/√d: the optimal size on Gaussians (Roberts, Gelman and Gilks, 1997)
            let optimal = 2.38 / (chosen.len() as f64).sqrt();
            let size = if jump { 1e-3 } else { optimal * 10f64.powf(-2.0 * uniform(rng)) };
            let pick = |rng: &mut Stream| other + (uniform(rng) * half as f64) as usize;
            let (a, b) = (pick(rng), pick(rng));
            for &j in &chosen {
                let walk: f64 = (0..=j).map(|m| factor[(j, m)] * z[m]).sum();
                let shift = if jump { self.x[(a, j)] - self.x[(b, j)] } else { 0.0 };
                out[(k, j)] += size * walk + shift;
            }
        }
        out
    }
}

/// Coordinates below d, each with probability d^-u, u uniform, and at least one.
fn crossover(d: usize, rng: &mut Stream) -> Vec<usize> {
    let share = (d as f64).powf(-uniform(rng));
    let sure = ((uniform(rng) * d as f64) as usize).min(d - 1);
    (0..d).filter(|&j| uniform(rng) < share || j == sure).collect()
}

/// Lower factor of the covariance of rows [from, from + n), made regular by a small diagonal.
fn covariance_factor(x: &Matrix, from: usize, n: usize) -> Matrix {
    let mut covariance = x.slice_rows(from..from + n).column_covariance();
    let d = covariance.rows();
    let trace: f64 = (0..d).map(|i| covariance[(i, i)]).sum();
    (0..d).for_each(|i| covariance[(i, i)] += 1e-9 * trace / d as f64 + f64::MIN_POSITIVE);
    match Cholesky::factor(&covariance, "covariance of the search") {
        Ok(c) => c.lower().clone(),
        // only the diagonal: all particles on one line, or numbers too large to square
        Err(_) => Matrix::from_fn(d, d, |i, j| if i == j { covariance[(i, i)].sqrt() } else { 0.0 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::{Standardised, by_name};
    use std::sync::Arc;

    /// The target without its mixture, so that the search is used.
    struct Hidden(Arc<dyn Density>);
    impl Density for Hidden {
        fn dim(&self) -> usize {
            self.0.dim()
        }
        fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
            self.0.log_density_into(x, out)
        }
        fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
            self.0.evaluate_into(x, log_density, score)
        }
    }

    /// Proves that the search finds centre and scale of separated modes to a fifth of the scale, near the origin and
    /// 360 away from it: enough for a frame, whose role is to set units.
    #[test]
    fn search_agrees_with_the_exact_moments() {
        for name in ["gmm9u", "gmm40", "ring8"] {
            for shift in [0.0, 300.0] {
                let inner = by_name(name).unwrap();
                let p: Arc<dyn Density> = Arc::new(Standardised::new(inner, vec![-shift, 0.6 * shift], 1.0).unwrap());
                let exact = Frame::of(&*p, 0).unwrap();
                let found = Frame::of(&Hidden(p), 0).unwrap();
                let distance: f64 = exact.centre.iter().zip(&found.centre).map(|(a, b)| (a - b).powi(2)).sum();
                assert!(distance.sqrt() < 0.2 * exact.scale, "{name}: {exact:?} {found:?}");
                assert!((found.scale / exact.scale).ln().abs() < 0.2, "{name}: {exact:?} {found:?}");
            }
        }
    }

    /// Proves that the search weighs 2^8 modes rightly where they are a product: in each of the eight wells of many-well-16 the particles
    /// with u > 0 are the exact 0.8443 to 0.113, 5 standard errors of 256 independent ones (2,048 particles, each with seven relatives);
    /// jumps of all coordinates alone end with fractions of 0 and 1.
    #[test]
    fn search_weighs_a_product_of_wells() {
        let x = search(&*by_name("many-well-16").unwrap(), 0).unwrap();
        for well in 0..8 {
            let right = x.iter_rows().filter(|row| row[2 * well] > 0.0).count() as f64 / x.rows() as f64;
            assert!((right - 0.844307).abs() < 0.113, "well {well}: {right}");
        }
    }

    /// Proves that a target without mass near the search is an error with a remedy, and NaN one with the point.
    #[test]
    fn targets_without_an_answer() {
        struct Constant(f64);
        impl Density for Constant {
            fn dim(&self) -> usize {
                2
            }
            fn log_density_into(&self, _: &Matrix, out: &mut [f64]) {
                out.fill(self.0)
            }
            fn evaluate_into(&self, _: &Matrix, log_density: &mut [f64], _: &mut Matrix) {
                log_density.fill(self.0)
            }
        }
        assert!(matches!(Frame::of(&Constant(f64::NEG_INFINITY), 0), Err(Error::Unsupported { .. })));
        assert!(matches!(Frame::of(&Constant(f64::NAN), 0), Err(Error::NonFinite { .. })));
    }
}
