//! Noise levels that all count in a step: each particle has one of them.

use crate::estimate::{Noise, Scene};
use crate::num::powf;
use crate::rng::{Purpose, stream, uniform};

/// Levels (a, s) with a² + s² = 1, which leave the variance of a law of unit variance, in ascending order of the bandwidth s/a.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels(Vec<Noise>);

/// The stream of a step's levels, beside those of its jitter.
const CHOICE: u64 = 1 << 60;
/// β of the first step of [`Levels::linear`].
const FIRST: f64 = 1e-4;

impl Levels {
    /// `count` bandwidths in a geometric series from `low` to `high`; a single one is `low`.
    pub fn geometric(count: usize, low: f64, high: f64) -> Self {
        let share = |k: usize| k as f64 / (count.max(2) - 1) as f64;
        Self((0..count.max(1)).map(|k| preserving((low * powf(high / low, share(k))).powi(2))).collect())
    }

    /// `count` levels of a chain x_{k+1} = √(1 - β_k) x_k + √β_k ξ_k of `count` + 1 steps, β_k linear from 1e-4 to `last`, without the first: the
    /// schedule of DiKL (He et al., AISTATS 2025), whose constants are 29 and 0.7 for gmm40.
    pub fn linear(count: usize, last: f64) -> Self {
        let mut kept = 1.0;
        let all = (0..=count).map(|k| {
            kept *= 1.0 - (FIRST + (last - FIRST) * k as f64 / count as f64);
            preserving((1.0 - kept) / kept)
        });
        Self(all.skip(1).collect())
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: there is one at least.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The levels.
    pub fn all(&self) -> &[Noise] {
        &self.0
    }

    /// The number of the level of each of n particles in a step: independent and uniform.
    pub fn choose(&self, n: usize, scene: &Scene) -> Vec<usize> {
        let mut rng = stream(scene.seed, Purpose::Jitter, CHOICE | scene.clock.step);
        (0..n).map(|_| (uniform(&mut rng) * self.len() as f64) as usize).collect()
    }
}

/// a² = 1/(1 + h²) and s² = h²/(1 + h²) for the square of h.
fn preserving(square: f64) -> Noise {
    Noise { a: (1.0 + square).sqrt().recip(), s: (square / (1.0 + square)).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the schedule of DiKL for gmm40 against products by hand of its first two and against its table (a = 0.988, 0.188 and 6.6e-4 at 1, 15
    /// and 29), and that a geometric one has its ends and a constant ratio; a² + s² = 1 to rounding.
    #[test]
    fn schedules() {
        let linear = Levels::linear(29, 0.7);
        let slope = (0.7 - 1e-4) / 29.0;
        let first = (0.9999 * (1.0f64 - 1e-4 - slope)).sqrt();
        assert_eq!(linear.len(), 29);
        assert!((linear.all()[0].a / first - 1.0).abs() < 1e-12);
        for (k, a) in [(1, 0.988), (15, 0.188), (29, 6.6e-4)] {
            let found = linear.all()[k - 1].a;
            assert!((found / a - 1.0).abs() < 0.01, "{k}: {found}");
        }
        let geometric = Levels::geometric(4, 0.1, 2.7);
        let h: Vec<f64> = geometric.all().iter().map(|l| l.s / l.a).collect();
        for (h, expected) in h.iter().zip([0.1, 0.3, 0.9, 2.7]) {
            assert!((h / expected - 1.0).abs() < 1e-12, "{h}");
        }
        assert_eq!(Levels::geometric(1, 0.1, 2.7).len(), 1);
        for l in linear.all().iter().chain(geometric.all()) {
            assert!((l.a * l.a + l.s * l.s - 1.0).abs() < 1e-14);
        }
    }
}
