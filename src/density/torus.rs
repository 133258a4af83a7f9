//! Densities on the torus by their Fourier coefficients.

use crate::density::Pointwise;
use crate::num::sin_cos;
use crate::{Error, Result};
use std::f64::consts::TAU;

/// A term of [`TorusDensity`]: a cos(k·x) + b sin(k·x), k_j = 2π n_j/L_j.
#[derive(Debug, Clone, PartialEq)]
pub struct Harmonic {
    /// n, d.
    pub frequency: Vec<i64>,
    /// a.
    pub cosine: f64,
    /// b.
    pub sine: f64,
}

/// log p~(x) = Σ_m [a_m cos(k_m·x) + b_m sin(k_m·x)] on the torus with periods L; the uniform law where there is no term.
#[derive(Debug, Clone, PartialEq)]
pub struct TorusDensity {
    period: Vec<f64>,
    terms: Vec<Harmonic>,
}

impl TorusDensity {
    /// Of these terms. `Error::Parameter` where a period is not positive or a coefficient not finite, `Error::Dimension` where a frequency
    /// has another size than the period.
    pub fn new(period: Vec<f64>, terms: Vec<Harmonic>) -> Result<Self> {
        crate::density::Domain::Torus(period.clone()).check(period.len())?;
        for (m, term) in terms.iter().enumerate() {
            if term.frequency.len() != period.len() {
                let what = format!("the frequency of term {m}");
                return Err(Error::Dimension { what, expected: period.len(), found: term.frequency.len() });
            }
            if let Some(value) = [term.cosine, term.sine].into_iter().find(|c| !c.is_finite()) {
                let name = format!("a coefficient of term {m}");
                return Err(Error::Parameter { name, value, expected: "a finite number" });
            }
        }
        Ok(Self { period, terms })
    }

    /// L, d.
    pub fn period(&self) -> &[f64] {
        &self.period
    }
}

impl Pointwise for TorusDensity {
    fn dim(&self) -> usize {
        self.period.len()
    }

    fn at(&self, x: &[f64], score: &mut [f64]) -> f64 {
        score.fill(0.0);
        let mut value = 0.0;
        for term in &self.terms {
            let wave = |j: usize| TAU * term.frequency[j] as f64 / self.period[j];
            let phase: f64 = (0..x.len()).map(|j| wave(j) * x[j]).sum();
            let (sin, cos) = sin_cos(phase);
            value += term.cosine * cos + term.sine * sin;
            let slope = term.sine * cos - term.cosine * sin;
            score.iter_mut().enumerate().for_each(|(j, s)| *s += mutant!("torus-wave", 1.0, wave(j)) * slope);
        }
        value
    }
}
