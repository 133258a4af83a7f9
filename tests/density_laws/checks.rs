//! The laws as functions of a density: each returns a verdict, so that the tests can also feed it wrong densities.

use crate::members::Grid;
use pushforward::autodiff::{GradientCheck, check_score};
use pushforward::density::*;
use pushforward::linalg::Matrix;
use pushforward::num::Summary;
use pushforward::rng::{Purpose, fill_normal, normal_matrix, stream, uniform};

/// Points where the mass is: exact samples where there is a sampler, else normal points of spread 2.
pub fn points(density: &dyn Density, n: usize) -> Matrix {
    density
        .sample(n, 11)
        .unwrap_or_else(|| normal_matrix(11, Purpose::Check, 1, n, density.dim()).map(|v: f64| 2.0 * v))
}

/// The score against differences of the log-density at 64 points along random directions, in units of `length`; the library's
/// public check on this density.
pub fn check(density: &dyn Density, length: f64) -> GradientCheck {
    let (x, d) = (points(density, 64), density.dim());
    let scaled = |y: &Matrix| y.map(|v| v * length);
    let score = |y: &Matrix| evaluate(density, &scaled(y)).expect("finite at the points").score.map(|s| s * length);
    let direction = normal_matrix(12, Purpose::Check, 2, 64, d);
    check_score(|y| density.log_density(&scaled(y)), score, &x.map(|v| v / length), &direction)
        .expect("finite near the points")
}

/// Bounded test functions g(x) = cos(ω·x/ℓ + b), half with wavelengths near ℓ and half ten times longer.
pub struct Waves {
    omega: Matrix,
    phase: Vec<f64>,
}

impl Waves {
    pub fn new(count: usize, d: usize, length: f64) -> Self {
        let random: Matrix = normal_matrix(13, Purpose::Check, 3, count, d + 1);
        let scale = |m: usize| 1.0 / (length * if m.is_multiple_of(2) { 1.0 } else { 10.0 });
        let omega = Matrix::from_fn(count, d, |m, j| random[(m, j)] * scale(m));
        Self { omega, phase: (0..count).map(|m| random[(m, d)]).collect() }
    }

    fn at(&self, m: usize, x: &[f64]) -> f64 {
        (self.phase[m] + self.omega.row(m).iter().zip(x).map(|(a, b)| a * b).sum::<f64>()).cos()
    }
}

/// The integral of p~/Z and of p~ g_m/Z over the grid, for the claimed log Z.
pub fn integrals(density: &dyn Density, log_z: f64, grid: &Grid, waves: &Waves) -> (f64, Vec<f64>) {
    let d = grid.low.len();
    let counts: Vec<usize> = (0..d).map(|j| ((grid.high[j] - grid.low[j]) / grid.step).round() as usize + 1).collect();
    let total: usize = counts.iter().product();
    let (mut jacobian, mut x) = (Vec::with_capacity(total), Vec::with_capacity(total * d));
    for i in 0..total {
        let index = [i % counts[0], i / counts[0]];
        let u: Vec<f64> = (0..d).map(|j| grid.low[j] + grid.step * index[j] as f64).collect();
        let (point, log_jacobian) = (grid.chart)(&u);
        x.extend(point);
        jacobian.push(log_jacobian);
    }
    let x = Matrix::from_vec(total, d, x);
    let shift = log_z - d as f64 * grid.step.ln();
    let mass: Vec<f64> = density.log_density(&x).iter().zip(&jacobian).map(|(l, j)| (l + j - shift).exp()).collect();
    let weighted = |m: usize| x.iter_rows().zip(&mass).map(|(x, w)| w * waves.at(m, &(grid.inverse)(x))).sum();
    (mass.iter().sum(), (0..waves.phase.len()).map(weighted).collect())
}

/// Largest |z| of the sampler's mean of each wave against quadrature.
pub fn characteristic_z(sampler: &dyn Density, exact: &dyn Density, grid: &Grid, length: f64) -> f64 {
    let waves = Waves::new(16, sampler.dim(), length);
    let (_, means) = integrals(exact, log_z(exact), grid, &waves);
    let x = sampler.sample(20_000, 17).expect("a sampler");
    let z = |m: usize| {
        let values: Vec<f64> = x.iter_rows().map(|row| waves.at(m, &(grid.inverse)(row))).collect();
        let s = Summary::of(&values);
        (s.mean - means[m]) / s.standard_error()
    };
    (0..16).map(z).map(f64::abs).fold(0.0, f64::max)
}

/// Largest |z| of E[ min(1, p(x')/p(x)) (g(x') - g(x)) ] over 16 waves g, for x from the sampler and a symmetric proposal x': 0 by
/// detailed balance exactly where the samples are from p. Proposals move one coordinate or all, over lengths from ℓ/2 to 32 ℓ.
pub fn balance_z(sampler: &dyn Density, judge: &dyn Density, length: f64) -> f64 {
    let (n, d) = (40_000, sampler.dim());
    let x = sampler.sample(n, 19).expect("a sampler");
    let mut rng = stream(20, Purpose::Check, 4);
    let mut moved = x.clone();
    for i in 0..n {
        let reach = length * 2f64.powf(6.0 * uniform(&mut rng) - 1.0);
        let mut noise = vec![0.0; d];
        fill_normal(&mut rng, &mut noise);
        let only = (i % 2 == 0).then(|| (uniform(&mut rng) * d as f64) as usize);
        for j in (0..d).filter(|j| only.is_none_or(|o| o == *j)) {
            moved[(i, j)] += reach * noise[j];
        }
    }
    let (before, after) = (judge.log_density(&x), judge.log_density(&moved));
    let waves = Waves::new(16, d, length);
    let z = |m: usize| {
        let value =
            |i: usize| (after[i] - before[i]).exp().min(1.0) * (waves.at(m, moved.row(i)) - waves.at(m, x.row(i)));
        let s = Summary::of(&(0..n).map(value).collect::<Vec<_>>());
        s.mean / s.standard_error()
    };
    (0..16).map(z).map(f64::abs).fold(0.0, f64::max)
}

/// log Z of a density that has a grid.
pub fn log_z(density: &dyn Density) -> f64 {
    density.log_normaliser().expect("a density with a grid knows its normaliser")
}
