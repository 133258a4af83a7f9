//! The φ⁴ ring: a chain of coupled double wells, whose log Z the transfer operator gives at any length.

use crate::density::Pointwise;
use crate::linalg::{Matrix, SymmetricEigen};
use crate::num::{exp, ln, log_sum_exp};
use crate::{Error, Result};

/// log p~(x) = -Σ_i 2 (x_i - x_{i+1})² + 2 (x_i² - 1)², i < L, x_L = x_0.
///
/// Two phases, all x_i near 1 and all near -1, with walls between: the correlation length is 23.58 sites, so that short rings are bimodal
/// and long ones a gas of walls. log Z = log tr T^L with the operator of the kernel T(x, y) = exp(-2 (x-y)² - (x²-1)² - (y²-1)²); its
/// integral is a trapezium sum, which converges faster than any power for this analytic kernel.
#[derive(Debug, Clone, Copy)]
pub struct Phi4 {
    sites: usize,
    log_normaliser: f64,
}

/// Half the interval of the sum and its step: T is below e^-64 at ±3, and its width is 0.5.
const REACH: f64 = 3.0;
const STEP: f64 = 0.05;
/// Range of β of [`Pointwise::log_normaliser_of_power`]: T^β is below e^-32 at the ends of the interval, and not narrower than 0.3.
const HOTTEST: f64 = 0.25;
const COLDEST: f64 = 2.0;

impl Phi4 {
    /// The ring of L = `sites` ≥ 3 sites; `Error::Parameter` otherwise.
    pub fn new(sites: usize) -> Result<Self> {
        if sites < 3 {
            let name = "sites of phi4".into();
            return Err(Error::Parameter { name, value: sites as f64, expected: "an integer, at least 3" });
        }
        Ok(Self { sites, log_normaliser: log_trace(sites, 1.0)? })
    }
}

/// log tr T_β^L, T_β(x, y) = T(x, y)^β: log ∫ p~^β for L = `sites`.
fn log_trace(sites: usize, beta: f64) -> Result<f64> {
    let logs: Vec<f64> = levels(beta)?.iter().map(|l| sites as f64 * l).collect();
    Ok(log_sum_exp(&logs))
}

/// log λ of the eigenvalues of T_β, those above rounding.
fn levels(beta: f64) -> Result<Vec<f64>> {
    let n = (2.0 * REACH / STEP).round() as usize + 1;
    let at = |i: usize| STEP * i as f64 - REACH;
    let well = |x: f64| (x * x - 1.0) * (x * x - 1.0);
    let coupling = mutant!("phi4-transfer", 1.9, 2.0);
    let kernel = |x: f64, y: f64| STEP * exp(beta * (-coupling * (x - y) * (x - y) - well(x) - well(y)));
    let operator = Matrix::from_fn(n, n, |i, j| kernel(at(i), at(j)));
    let eigen = SymmetricEigen::of(&operator, "the transfer operator")?;
    Ok(eigen.values.iter().filter(|v| **v > 1e-15).map(|v| ln(*v)).collect())
}

impl Pointwise for Phi4 {
    fn dim(&self) -> usize {
        self.sites
    }

    fn at(&self, x: &[f64], score: &mut [f64]) -> f64 {
        let n = x.len();
        let mut energy = 0.0;
        for (i, score) in score.iter_mut().enumerate() {
            let (before, here, after) = (x[(i + n - 1) % n], x[i], x[(i + 1) % n]);
            let well = here * here - 1.0;
            energy += 2.0 * (here - after) * (here - after) + 2.0 * well * well;
            *score = mutant!("phi4-coupling", 2.0, 4.0) * (before + after - 2.0 * here) - 8.0 * here * well;
        }
        -energy
    }

    fn log_normaliser(&self) -> Option<f64> {
        Some(self.log_normaliser)
    }

    /// For β from 0.25 to 2.
    fn log_normaliser_of_power(&self, beta: f64) -> Option<f64> {
        (HOTTEST..=COLDEST).contains(&beta).then(|| log_trace(self.sites, beta).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks log Z against values computed independently to ten digits, and against a sum over a grid in three dimensions.
    #[test]
    fn normalisers() {
        for (sites, expected) in
            [(8, -4.122517356), (16, -8.910386381), (32, -18.412406801), (64, -37.218708340), (128, -74.561304560)]
        {
            let found = Phi4::new(sites).unwrap().log_normaliser;
            assert!((found - expected).abs() < 1e-9, "{sites}: {found}");
        }
        let (ring, h) = (Phi4::new(3).unwrap(), 0.1);
        let at = |i: i32| h * f64::from(i);
        let mut sum = 0.0;
        for i in -28..=28 {
            for j in -28..=28 {
                for k in -28..=28 {
                    sum += ring.at(&[at(i), at(j), at(k)], &mut [0.0; 3]).exp();
                }
            }
        }
        // the trapezium rule again, in another order and on another grid
        assert!(((sum * h * h * h).ln() - ring.log_normaliser).abs() < 1e-9);
    }

    /// Checks log ∫ p~^β: at β = 1 it is log Z, and in three dimensions a sum over a grid, at the least β too.
    #[test]
    fn normalisers_of_powers() {
        let ring = Phi4::new(8).unwrap();
        assert_eq!(ring.log_normaliser_of_power(1.0), Some(ring.log_normaliser));
        assert_eq!(ring.log_normaliser_of_power(0.2), None);
        let (ring, h) = (Phi4::new(3).unwrap(), 0.1);
        let at = |i: i32| h * f64::from(i);
        let points: Vec<f64> = (-35..=35).map(at).collect();
        let mut values = Vec::new();
        for &x in &points {
            for &y in &points {
                values.extend(points.iter().map(|&z| ring.at(&[x, y, z], &mut [0.0; 3])));
            }
        }
        for beta in [HOTTEST, 0.5] {
            let sum: f64 = values.iter().map(|v| (beta * v).exp()).sum();
            let found = ring.log_normaliser_of_power(beta).unwrap();
            assert!(((sum * h * h * h).ln() - found).abs() < 1e-9, "{beta}: {found}");
        }
    }
}
