//! The density of a generator with noise: a mixture over centres.

use crate::density::{Affine, Density, GaussianMixture, rows};
use crate::linalg::Matrix;
use crate::num::{exp, exp_slice, ln};
use crate::rng::{fill_normal, pick, uniform};

/// Responsibility below which a piece is left out at a point.
const NEGLIGIBLE: f64 = 1e-18;
/// The least controlled estimate, in the smaller one of the plain one and the piece's Gaussian: differences of sums can be negative.
const LEAST: f64 = 0.2;

/// ψ(y) = Σ_k π_k ψ_k(y), the density of y = m_k + A_k (c + hξ) with c among the centres of piece k, ξ ~ N(0, I), in units of the frame.
///
/// - plain: ψ_k is the mixture of N(m_k + A_k c_i, h² A_k A_kᵀ) over the centres c_i, i < n_k: the law of what is drawn from them, exactly;
/// - controlled: N(m_k, A_k A_kᵀ) is added and the mixture over the points b_i taken away that the centres would be if the network were 0.
///   That mixture has this Gaussian for its mean, so the estimate stays unbiased for the law of the generator, and it is exact where the
///   network is 0. At least a fifth of the plain estimate or of the Gaussian is kept.
///
/// Cost of n points: n K d² and n n_k d for each piece near by.   Source: semi-implicit laws, Yin and Zhou (2018); control variates.
#[derive(Debug, Clone)]
pub struct CentreDensity {
    /// Σ_k π_k N(m_k, A_k A_kᵀ).
    pieces: GaussianMixture,
    /// Centres of each piece, coordinate by coordinate: d·n_k.
    centres: Vec<Vec<f64>>,
    /// b_i; empty where plain.
    base: Vec<Vec<f64>>,
    noise: f64,
    /// The units of the points, where they are not those of the pieces.
    frame: Option<Affine>,
}

/// A mixture over centres at one local point v: the logarithm of Σ_i N(v; c_i, h² I)/n, relative to N(v; 0, I), and its gradient in v.
struct Kernel {
    log_mass: f64,
    score: Vec<f64>,
}

impl CentreDensity {
    /// From local `centres` (n×d) with their pieces `codes` (n), those of a zero network in `base` (n×d) where it is to be controlled,
    /// and the noise level 0 < h ≤ 1. A piece without a centre is its Gaussian where controlled, and nothing where plain.
    pub(crate) fn new(
        pieces: GaussianMixture,
        codes: &[usize],
        centres: &Matrix,
        base: Option<&Matrix>,
        noise: f64,
    ) -> Self {
        let d = centres.cols();
        let mut index = vec![Vec::new(); pieces.components()];
        codes.iter().enumerate().for_each(|(i, &k)| index[k].push(i));
        let columns = |m: &Matrix| -> Vec<Vec<f64>> {
            let one = |rows: &Vec<usize>| (0..d).flat_map(|j| rows.iter().map(move |&i| m[(i, j)])).collect();
            index.iter().map(one).collect()
        };
        Self { centres: columns(centres), base: base.map_or(Vec::new(), columns), pieces, noise, frame: None }
    }

    /// The density of x in the units of the target, y in those of `frame`.
    pub(crate) fn restored(self, frame: Affine) -> Self {
        Self { frame: Some(frame), ..self }
    }

    /// ψ as the Gaussian mixture that it is where plain, in units of the pieces: Σ_i w_i N(m_k + A_k c_i, h² A_k A_kᵀ). None where controlled.
    pub(crate) fn mixture_of_centres(&self) -> Option<GaussianMixture> {
        if !self.base.is_empty() {
            return None;
        }
        let (d, mut weights, mut means, mut factors) = (self.pieces.dim(), Vec::new(), Vec::new(), Vec::new());
        for (k, c) in self.centres.iter().enumerate() {
            let count = c.len() / d;
            let lower = self.pieces.factors()[k].lower();
            for i in 0..count {
                let mut row: Vec<f64> = (0..d).map(|j| c[j * count + i]).collect();
                self.pieces.place(k, &mut row);
                means.extend(row);
                weights.push(self.pieces.weights()[k] / count as f64);
                factors.push(lower.map(|l| self.noise * l));
            }
        }
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= total);
        Some(GaussianMixture::of_lower_factors(weights, Matrix::from_vec(factors.len(), d, means), factors))
    }

    /// log ψ at the rows of x, and its gradient where asked for.
    fn values(&self, x: &Matrix, log_density: &mut [f64], mut score: Option<&mut Matrix>) {
        let y = self.frame.as_ref().map(|f| f.standardise(x));
        let y = y.as_ref().unwrap_or(x);
        let (gamma, log_p) = (self.pieces.responsibilities(y), self.pieces.log_density(y));
        let d = self.pieces.dim();
        let log_jacobian = self.frame.as_ref().map_or(0.0, Affine::log_jacobian);
        let mut scores = score.as_deref_mut().map(|s| s.as_mut_slice().chunks_mut(CHUNK * d));
        let tasks: Vec<_> = log_density
            .chunks_mut(CHUNK)
            .zip(y.as_slice().chunks(CHUNK * d))
            .map(|(out, y)| (out, y, scores.as_mut().and_then(|s| s.next())))
            .collect();
        crate::parallel::for_each(tasks.into_iter().enumerate(), |(chunk, (out, y, mut score))| {
            let mut buffer = Vec::new();
            for (i, (o, y)) in out.iter_mut().zip(y.chunks_exact(d)).enumerate() {
                let row = chunk * CHUNK + i;
                let score = score.as_deref_mut().map(|s| &mut s[i * d..(i + 1) * d]);
                *o = self.at(y, gamma.row(row), log_p[row], score, &mut buffer)
                    - mutant!("generator-jacobian", 0.0, log_jacobian);
            }
        });
        if let (Some(score), Some(frame)) = (score, &self.frame) {
            score.as_mut_slice().chunks_exact_mut(d).for_each(|row| frame.restore_score(row));
        }
    }

    /// log ψ at one point, and its gradient where `score` is asked for.   `gamma`: responsibilities of the pieces, `log_p` their log-density.
    fn at(&self, x: &[f64], gamma: &[f64], log_p: f64, score: Option<&mut [f64]>, buffer: &mut Vec<f64>) -> f64 {
        let d = x.len();
        // of each piece near by: terms (log share, sign, gradient in v), all relative to the mixture of the pieces
        let mut terms: Vec<(usize, f64, f64, Vec<f64>)> = Vec::new();
        for (k, &share) in gamma.iter().enumerate().filter(|(_, g)| **g > NEGLIGIBLE) {
            let whitener = &self.pieces.whiteners()[k];
            let mean = self.pieces.means().row(k);
            let v: Vec<f64> =
                (0..d).map(|a| (0..=a).map(|b| whitener[(a, b)] * (x[b] - mean[b])).sum::<f64>()).collect();
            let (share, own) = (ln(share), || v.iter().map(|v| -v).collect());
            let plain = self.kernel(&self.centres[k], &v, buffer);
            let base = self.base.get(k).map(|base| self.kernel(base, &v, buffer));
            match (plain, base) {
                (Some(plain), Some(Some(base))) => {
                    // 1 + a - b, at least LEAST min(1, a)
                    let (a, b) = (plain.log_mass, base.log_mass);
                    let (top, least) = (a.max(b).max(0.0), ln(LEAST) + a.min(0.0));
                    if exp(a - top) + exp(-top) - exp(b - top) < exp(least - top) {
                        terms.push((k, share + least, 1.0, if a < 0.0 { plain.score } else { own() }));
                    } else {
                        terms.push((k, share + a, 1.0, plain.score));
                        terms.push((k, share, 1.0, own()));
                        terms.push((k, share + b, -1.0, base.score));
                    }
                }
                (Some(plain), None) => terms.push((k, share + plain.log_mass, 1.0, plain.score)),
                // no centre: the Gaussian where controlled
                (None, Some(_)) => terms.push((k, share, 1.0, own())),
                _ => {}
            }
        }
        let top = terms.iter().fold(f64::NEG_INFINITY, |m, t| m.max(t.1));
        if top == f64::NEG_INFINITY {
            score.into_iter().for_each(|s| s.fill(0.0));
            return f64::NEG_INFINITY;
        }
        let (mut total, mut sum) = (0.0, vec![0.0; d]);
        for (k, log, sign, gradient) in &terms {
            let (term, whitener) = (sign * exp(log - top), &self.pieces.whiteners()[*k]);
            total += term;
            // the gradient in x is Wᵀ times that in v
            for (b, sum) in sum.iter_mut().enumerate() {
                *sum += term
                    * (b..d)
                        .map(|a| mutant!("generator-transposed", whitener[(b, a)], whitener[(a, b)]) * gradient[a])
                        .sum::<f64>();
            }
        }
        if let Some(score) = score {
            score.iter_mut().zip(&sum).for_each(|(s, g)| *s = g / total);
        }
        log_p + top + ln(total)
    }

    /// The mixture over centres `c` (d·n) at v; None without a centre.
    fn kernel(&self, c: &[f64], v: &[f64], buffer: &mut Vec<f64>) -> Option<Kernel> {
        let (d, h) = (v.len(), self.noise);
        let n = c.len() / d;
        if n == 0 {
            return None;
        }
        buffer.clear();
        buffer.resize(n, 0.0);
        let precision = mutant!("generator-kernel", 0.5 / h, 0.5 / (h * h));
        for (column, v) in c.chunks_exact(n).zip(v) {
            buffer.iter_mut().zip(column).for_each(|(e, c)| *e -= precision * (c - v) * (c - v));
        }
        let top = buffer.iter().fold(f64::NEG_INFINITY, |m, e| m.max(*e));
        buffer.iter_mut().for_each(|e| *e -= top);
        exp_slice(buffer);
        let mass: f64 = buffer.iter().sum();
        let own = 0.5 * v.iter().map(|v| v * v).sum::<f64>();
        let moment = |(column, v): (&[f64], &f64)| {
            buffer.iter().zip(column).map(|(e, c)| e * (c - v)).sum::<f64>() / (mass * h * h)
        };
        let log_mass = own + top + ln(mass / n as f64) - mutant!("generator-normaliser", 0.0, d as f64 * ln(h));
        Some(Kernel { log_mass, score: c.chunks_exact(n).zip(v).map(moment).collect() })
    }
}

impl Density for CentreDensity {
    fn dim(&self) -> usize {
        self.pieces.dim()
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.values(x, out, None);
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.values(x, log_density, Some(score));
    }

    fn log_normaliser(&self) -> Option<f64> {
        Some(0.0)
    }

    /// A piece by its weight, one of its centres, and noise about it; None where controlled: that is no mixture.
    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        if !self.base.is_empty() {
            return None;
        }
        let d = self.dim();
        let x = rows::sample(n, d, seed, |rng, row| {
            let k = pick(rng, self.pieces.weights());
            let (c, count) = (&self.centres[k], self.centres[k].len() / d);
            let i = ((uniform(rng) * count as f64) as usize).min(count - 1);
            fill_normal(rng, row);
            row.iter_mut().enumerate().for_each(|(j, v)| *v = c[j * count + i] + self.noise * *v);
            self.pieces.place(k, row);
        });
        Some(self.frame.as_ref().map_or(x.clone(), |f| f.restore(&x)))
    }
}

/// Points of one task; fixed, so that the bits do not depend on the number of threads.
const CHUNK: usize = 64;
