//! Half the squared kernel Stein discrepancy to a Gaussian mixture, with its second variation.

use super::functionals::Functional;
use super::pairs::rows;
use crate::density::GaussianMixture;
use crate::linalg::{Matrix, dot, matmul};
use crate::num::{exp, softmax};
use crate::parallel;

/// F = ½ KSD²(μ, p) = ½ E u_p(x, x'), u_p = k s·s' + s·∇'k + s'·∇k + tr ∇∇'k with s = ∇ log p and k = exp(-|x - x'|²/(2σ²)).
///
/// It asks for no samples of p. Gradient and Hessian take the first and second derivatives of s, which a Gaussian mixture has in closed form.
#[derive(Debug, Clone)]
pub struct Ksd {
    target: GaussianMixture,
    /// C_k⁻¹.
    precisions: Vec<Matrix>,
    sigma: f64,
}

/// s at x, its derivative J, and what both change by as x moves along u.
struct Jet {
    score: Vec<f64>,
    slope: Matrix,
    /// J u.
    score_change: Vec<f64>,
    slope_change: Matrix,
}

/// m v.
fn applied(m: &Matrix, v: &[f64]) -> Vec<f64> {
    m.iter_rows().map(|row| dot(row, v)).collect()
}

impl Ksd {
    /// To `target` with the width σ > 0.
    pub fn new(target: GaussianMixture, sigma: f64) -> Self {
        let precisions = target.whiteners().iter().map(|w| matmul(&w.transpose(), w)).collect();
        Self { target, precisions, sigma }
    }

    /// κ and its first four derivatives at t = |x - x'|².
    fn orders(&self, t: f64) -> [f64; 5] {
        let slope = -0.5 / (self.sigma * self.sigma);
        let k = exp(slope * t);
        [0, 1, 2, 3, 4].map(|order| slope.powi(order) * k)
    }

    /// With responsibilities γ_k of the components, s_k = -P_k(x - m_k) and δ_k = s_k - s: s = Σ γ_k s_k, J = Σ γ_k (δ_k δ_kᵀ - P_k),
    /// dγ_k = γ_k δ_k·u, dδ_k = -P_k u - J u.
    fn jet(&self, x: &[f64], u: &[f64]) -> Jet {
        let d = x.len();
        let parts: Vec<Vec<f64>> = (0..self.precisions.len())
            .map(|k| {
                let away: Vec<f64> = x.iter().zip(self.target.means().row(k)).map(|(x, m)| m - x).collect();
                applied(&self.precisions[k], &away)
            })
            .collect();
        let level = |(k, s): (usize, &Vec<f64>)| {
            let away = x.iter().zip(self.target.means().row(k)).map(|(x, m)| x - m);
            self.target.log_constants[k] + 0.5 * away.zip(s).map(|(a, s)| a * s).sum::<f64>()
        };
        let shares = softmax(&parts.iter().enumerate().map(level).collect::<Vec<f64>>());
        let score: Vec<f64> = (0..d).map(|e| shares.iter().zip(&parts).map(|(w, s)| w * s[e]).sum()).collect();
        let gap = |k: usize| parts[k].iter().zip(&score).map(|(a, b)| a - b).collect::<Vec<f64>>();
        let gaps: Vec<Vec<f64>> = (0..parts.len()).map(gap).collect();
        let (mut slope, mut slope_change) = (Matrix::zeros(d, d), Matrix::zeros(d, d));
        let outer = |a: &[f64], b: &[f64]| Matrix::from_fn(d, d, |i, j| a[i] * b[j]);
        for (k, w) in shares.iter().enumerate() {
            slope.add_scaled(*w, &outer(&gaps[k], &gaps[k]));
            slope.add_scaled(-*w, &self.precisions[k]);
        }
        let score_change = applied(&slope, u);
        for (k, w) in shares.iter().enumerate() {
            let share = w * dot(&gaps[k], u);
            slope_change.add_scaled(share, &outer(&gaps[k], &gaps[k]));
            slope_change.add_scaled(-share, &self.precisions[k]);
            let pulled = applied(&self.precisions[k], u);
            let change: Vec<f64> = pulled.iter().zip(&score_change).map(|(a, b)| -a - b).collect();
            slope_change.add_scaled(*w, &outer(&change, &gaps[k]));
            slope_change.add_scaled(*w, &outer(&gaps[k], &change));
        }
        Jet { score, slope, score_change, slope_change }
    }

    fn jets(&self, x: &Matrix, u: &Matrix) -> Vec<Jet> {
        parallel::collect(x.iter_rows().zip(u.iter_rows()).collect::<Vec<_>>().into_iter(), |(x, u)| self.jet(x, u))
    }

    /// What changes in the gradient (1/N) Σ_j ∇u_p(x_i, x_j) as x_i moves along own u_i and x_j along u_j; the gradient itself where `first`.
    ///
    /// ∇u_p = J a + 2κ' q + c z, a = κ s' - 2κ' z, z = x - x', t = |z|², q = s' - s, c = 2κ' s·s' + 4κ'' q·z - (4d + 8) κ'' - 8 t κ'''.
    fn derivative(&self, x: &Matrix, u: &Matrix, first: bool, own: f64) -> Matrix {
        let (n, d) = x.shape();
        let jets = self.jets(x, u);
        let trace = 4.0 * d as f64 + 8.0;
        rows(x, |i, out| {
            let here = &jets[i];
            // Σ_j a, and what it changes by
            let (mut pull, mut pull_change) = (vec![0.0; d], vec![0.0; d]);
            for (j, there) in jets.iter().enumerate() {
                let z: Vec<f64> = x.row(i).iter().zip(x.row(j)).map(|(a, b)| a - b).collect();
                let dz: Vec<f64> = (0..d).map(|e| own * u[(i, e)] - u[(j, e)]).collect();
                let q: Vec<f64> = there.score.iter().zip(&here.score).map(|(a, b)| a - b).collect();
                let dq: Vec<f64> = (0..d).map(|e| there.score_change[e] - own * here.score_change[e]).collect();
                let (t, dt) = (dot(&z, &z), 2.0 * dot(&z, &dz));
                let [k, k1, k2, k3, k4] = self.orders(t);
                let (p, along) = (dot(&here.score, &there.score), dot(&q, &z));
                let dp = own * dot(&here.score_change, &there.score) + dot(&here.score, &there.score_change);
                let turned = dot(&dq, &z) + dot(&q, &dz);
                let c = 2.0 * k1 * p + 4.0 * k2 * along - trace * k2 - 8.0 * t * k3;
                let dc = dt * (2.0 * k2 * p + 4.0 * k3 * along - (trace + 8.0) * k3 - 8.0 * t * k4)
                    + 2.0 * k1 * dp
                    + 4.0 * k2 * turned;
                (0..d).for_each(|e| {
                    pull[e] += k * there.score[e] - 2.0 * k1 * z[e];
                    pull_change[e] +=
                        dt * (k1 * there.score[e] - 2.0 * k2 * z[e]) + k * there.score_change[e] - 2.0 * k1 * dz[e];
                    out[e] += if first {
                        2.0 * k1 * q[e] + c * z[e]
                    } else {
                        2.0 * (k2 * dt * q[e] + k1 * dq[e]) + dc * z[e] + c * dz[e]
                    };
                });
            }
            for (e, out) in out.iter_mut().enumerate() {
                *out += if first {
                    dot(here.slope.row(e), &pull)
                } else {
                    own * dot(here.slope_change.row(e), &pull) + dot(here.slope.row(e), &pull_change)
                };
                *out /= n as f64;
            }
        })
    }
}

impl Functional for Ksd {
    fn name(&self) -> &'static str {
        "ksd"
    }
    fn value(&self, x: &Matrix) -> f64 {
        let (n, d) = x.shape();
        let jets = self.jets(x, x);
        let sums = parallel::collect((0..n).collect::<Vec<_>>().into_iter(), |i| {
            let pair = |(j, there): (usize, &Jet)| {
                let z = || x.row(i).iter().zip(x.row(j)).map(|(a, b)| a - b);
                let t: f64 = z().map(|z| z * z).sum();
                let [k, k1, k2, ..] = self.orders(t);
                let here = &jets[i].score;
                let along: f64 = z().zip(there.score.iter().zip(here)).map(|(z, (a, b))| (a - b) * z).sum();
                k * dot(here, &there.score) + 2.0 * k1 * along - 2.0 * d as f64 * k1 - 4.0 * t * k2
            };
            jets.iter().enumerate().map(pair).sum::<f64>()
        });
        0.5 * sums.iter().sum::<f64>() / (n * n) as f64
    }
    fn gradient(&self, x: &Matrix) -> Matrix {
        self.derivative(x, x, true, 0.0)
    }
    fn hessian(&self, x: &Matrix, u: &Matrix) -> Matrix {
        self.derivative(x, u, false, 1.0)
    }
    fn coupling(&self, x: &Matrix, u: &Matrix) -> Matrix {
        self.derivative(x, u, false, 0.0)
    }
}
