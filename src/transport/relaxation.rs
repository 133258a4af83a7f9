//! Over-relaxation: how far beyond Sinkhorn's own step the potentials move.

use crate::num::powf;

/// Iterations over which a rate is measured.
const WINDOW: usize = 8;
/// Largest factor; 2 is the limit of stability.
const LARGEST: f64 = 1.97;

/// The factor ω of φ ← φ - ω log₂(row sum), from the observed rate of convergence.
///
/// Near the solution alternate steps are the Gauss–Seidel iteration of a matrix with the property A, so that Young's relation
/// (ρ + ω - 1)² = ρ ω² θ joins the rate ρ under ω with θ, the rate under ω = 1, and ω = 2/(1 + √(1 - θ)) is best (Young, 1954; for
/// Sinkhorn: Thibault et al., 2017; Lehmann et al., 2022). Where the error grows the factor goes back to 1.
pub(super) struct Relaxation {
    omega: f64,
    largest: f64,
    recent: Vec<f64>,
}

impl Relaxation {
    pub fn new() -> Self {
        Self { omega: 1.0, largest: LARGEST, recent: Vec::new() }
    }

    /// ω.
    pub fn factor(&self) -> f64 {
        self.omega
    }

    /// Takes the error of an iteration into account.
    pub fn observe(&mut self, error: f64) {
        self.recent.push(error);
        if self.recent.len() <= WINDOW {
            return;
        }
        // the first iterations under a new factor still forget the old one
        let (start, end) = (self.recent[WINDOW / 2], self.recent[WINDOW]);
        let rate = powf(end / start, 2.0 / WINDOW as f64);
        let grown = end > 4.0 * self.recent[0];
        self.recent.clear();
        if grown || !rate.is_finite() {
            self.largest = 0.5 * (1.0 + self.omega);
            self.omega = 1.0;
        } else if rate < 1.0 && rate > self.omega - 1.0 {
            let theta = ((rate + self.omega - 1.0).powi(2) / (rate * self.omega * self.omega)).min(1.0);
            let best = 2.0 / (1.0 + (1.0 - theta).sqrt());
            self.omega = best.max(self.omega).min(self.largest);
        }
    }
}
