use super::Vector;
use super::pair::vector;
use crate::estimate::Kde;
use crate::linalg::Matrix;
use crate::num::{exp, ln, powf};

/// q = π δ_a + (1-π) δ_b, for which the law of a kernel estimate from N draws is binomial: expectations are sums, without noise.
#[derive(Debug, Clone)]
pub(super) struct TwoAtoms {
    /// a and b in the rows: 2×d.
    pub atoms: Matrix,
    /// π.
    pub mass: f64,
    /// h.
    pub bandwidth: f64,
    /// Where the estimate is asked: 1×d.
    pub query: Matrix,
}

/// One estimate at the query, or its expectation.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Estimate {
    /// log q̂.
    pub log: f64,
    /// ∇ log q̂.
    pub score: Vector,
    /// The same two after `debiased`.
    pub log_debiased: f64,
    /// ∇ of it.
    pub score_debiased: Vector,
    /// (q̂/q_h)^-α for α = ½, 1, 2.
    pub powers: [f64; 3],
}

/// α of [`Estimate::powers`].
pub(super) const POWERS: [f64; 3] = [0.5, 1.0, 2.0];

/// q_h, its score, N τ_N = (φ_h² ∗ q)/q_h² - 1 and its gradient, at the query.
pub(super) struct Exact {
    /// log q_h.
    pub log: f64,
    /// ∇ log q_h.
    pub score: Vector,
    /// N τ_N.
    pub variance: f64,
    /// ∇ N τ_N.
    pub variance_gradient: Vector,
}

impl TwoAtoms {
    /// By plain formulas.
    pub fn exact(&self) -> Exact {
        let (x, h2) = (vector(self.query.row(0)), self.bandwidth.powi(2));
        let d = self.query.cols() as f64;
        let norm = powf(std::f64::consts::TAU * h2, -0.5 * d);
        // A = φ² ∗ q and B = φ ∗ q with their gradients: ∇φ = φ (y - x)/h²
        let (mut a, mut da, mut b, mut db) = (0.0, [0.0; 2], 0.0, [0.0; 2]);
        for (y, mass) in self.atoms.iter_rows().zip([self.mass, 1.0 - self.mass]) {
            let shift = vector(y).iter().zip(x).map(|(y, x)| y - x).collect::<Vec<f64>>();
            let phi = norm * exp(-0.5 * shift.iter().map(|v| v * v).sum::<f64>() / h2);
            a += mass * phi * phi;
            b += mass * phi;
            for j in 0..2 {
                da[j] += mass * 2.0 * phi * phi * shift[j] / h2;
                db[j] += mass * phi * shift[j] / h2;
            }
        }
        Exact {
            log: ln(b),
            score: db.map(|v| v / b),
            variance: a / (b * b) - 1.0,
            variance_gradient: std::array::from_fn(|j| da[j] / (b * b) - 2.0 * a * db[j] / (b * b * b)),
        }
    }

    /// E over N independent draws of what [`Kde`] returns: Σ_k C(N,k) π^k (1-π)^(N-k) (estimate from k copies of a and N-k of b).
    pub fn expectation(&self, n: usize) -> Estimate {
        let log_q = self.exact().log;
        let mut log_choose = 0.0;
        let mut mean = Estimate::default();
        for k in 0..=n {
            if k > 0 {
                log_choose += ln((n - k + 1) as f64 / k as f64);
            }
            let weight = exp(log_choose + k as f64 * ln(self.mass) + (n - k) as f64 * ln(1.0 - self.mass));
            // below the rounding of the sum
            if weight > 1e-25 {
                mean.add(weight, &self.estimate(k, n, log_q));
            }
        }
        mean
    }

    fn estimate(&self, k: usize, n: usize, log_q: f64) -> Estimate {
        let samples = Matrix::from_fn(n, self.atoms.cols(), |i, j| self.atoms[(usize::from(i >= k), j)]);
        let values = Kde::new(&samples, self.bandwidth).expect("a positive bandwidth").evaluate(&self.query);
        let (log, score) = (values.log_density[0], vector(values.score.row(0)));
        let (debiased, score_debiased) = values.debiased(n);
        Estimate {
            log,
            score,
            log_debiased: debiased[0],
            score_debiased: vector(score_debiased.row(0)),
            powers: POWERS.map(|alpha| exp(-alpha * (log - log_q))),
        }
    }
}

impl Estimate {
    fn add(&mut self, weight: f64, other: &Self) {
        self.log += weight * other.log;
        self.log_debiased += weight * other.log_debiased;
        for j in 0..2 {
            self.score[j] += weight * other.score[j];
            self.score_debiased[j] += weight * other.score_debiased[j];
        }
        (0..3).for_each(|j| self.powers[j] += weight * other.powers[j]);
    }
}
