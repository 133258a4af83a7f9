//! The density of a generator with noise: a mixture over centres.

use crate::density::{Affine, Density, GaussianMixture, rows};
use crate::estimate::Kde;
use crate::linalg::Matrix;
use crate::num::{exp, ln};
use crate::parallel;
use crate::rng::{fill_normal, pick, uniform};
use std::f64::consts::PI;
use std::ops::Range;

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
/// A mixture over centres is a kernel estimate with bandwidth h in local coordinates v, y = m_k + A_k v.
///
/// Cost of n points: n K d² and n n_k d for each piece near by.   Source: semi-implicit laws, Yin and Zhou (2018); control variates.
#[derive(Debug, Clone)]
pub struct CentreDensity {
    /// Σ_k π_k N(m_k, A_k A_kᵀ).
    pieces: GaussianMixture,
    /// Centres of each piece, n_k×d.
    centres: Vec<Matrix>,
    /// The mixtures over them, Σ_i N(v; c_i, h² I)/n_k; None without a centre.
    plain: Vec<Option<Kde>>,
    /// Those over b_i; empty where plain.
    base: Vec<Option<Kde>>,
    noise: f64,
    /// The units of the points, where they are not those of the pieces.
    frame: Option<Affine>,
}

/// Mixtures over centres at local points v: logarithms relative to N(v; 0, I), n, and gradients in v, n×d.
type Kernels = (Vec<f64>, Matrix);

/// What a piece says of the points near it.
struct Near {
    /// For each point its row below, where it is near.
    row: Vec<Option<usize>>,
    /// Local coordinates.
    v: Matrix,
    plain: Option<Kernels>,
    /// None where plain; without a centre where there is none.
    base: Option<Option<Kernels>>,
}

/// A term of ψ at a point, relative to the mixture of the pieces.
struct Term<'a> {
    piece: usize,
    log: f64,
    sign: f64,
    /// Local coordinates.
    v: &'a [f64],
    /// In these; None for that of N(0, I).
    gradient: Option<&'a [f64]>,
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
        let mut index = vec![Vec::new(); pieces.components()];
        codes.iter().enumerate().for_each(|(i, &k)| index[k].push(i));
        let of_pieces = |m: &Matrix| -> Vec<Matrix> { index.iter().map(|rows| m.gather_rows(rows)).collect() };
        let bandwidth = mutant!("generator-kernel", noise.sqrt(), noise);
        let estimate =
            |c: &Matrix| (c.rows() > 0).then(|| Kde::new(c, bandwidth).expect("centres and noise are there"));
        let centres = of_pieces(centres);
        let plain = centres.iter().map(estimate).collect();
        let base = base.map_or(Vec::new(), |base| of_pieces(base).iter().map(estimate).collect());
        Self { pieces, centres, plain, base, noise, frame: None }
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
            let lower = self.pieces.factors()[k].lower();
            for row in c.iter_rows() {
                let mut row = row.to_vec();
                self.pieces.place(k, &mut row);
                means.extend(row);
                weights.push(self.pieces.weights()[k] / c.rows() as f64);
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
        for first in (0..y.rows()).step_by(PORTION) {
            let rows = first..(first + PORTION).min(y.rows());
            let near = parallel::collect(0..self.pieces.components(), |k| self.near(k, y, &gamma, rows.clone()));
            let mut scores = score.as_deref_mut().map(|s| s.as_mut_slice()[rows.start * d..rows.end * d].chunks_mut(d));
            let outputs = log_density[rows.clone()].iter_mut().enumerate();
            let mut points: Vec<_> = outputs.map(|(i, out)| (i, out, scores.as_mut().and_then(|s| s.next()))).collect();
            parallel::for_each(points.chunks_mut(CHUNK), |points| {
                for (i, out, score) in points {
                    let row = rows.start + *i;
                    **out = self.at(&near, *i, gamma.row(row), log_p[row], score.as_deref_mut())
                        - mutant!("generator-jacobian", 0.0, log_jacobian);
                }
            });
        }
        if let (Some(score), Some(frame)) = (score, &self.frame) {
            score.as_mut_slice().chunks_exact_mut(d).for_each(|row| frame.restore_score(row));
        }
    }

    /// Piece k at those of the `rows` of y to which it matters.
    fn near(&self, k: usize, y: &Matrix, gamma: &Matrix, rows: Range<usize>) -> Near {
        let d = self.pieces.dim();
        let (whitener, mean) = (&self.pieces.whiteners()[k], self.pieces.means().row(k));
        let (mut row, mut v) = (vec![None; rows.len()], Vec::new());
        for (i, row) in rows.zip(&mut row) {
            if gamma[(i, k)] > NEGLIGIBLE {
                *row = Some(v.len() / d);
                let x = y.row(i);
                v.extend((0..d).map(|a| (0..=a).map(|b| whitener[(a, b)] * (x[b] - mean[b])).sum::<f64>()));
            }
        }
        let v = Matrix::from_vec(v.len() / d, d, v);
        let kernels = |estimate: &Option<Kde>| estimate.as_ref().map(|estimate| relative(estimate, &v));
        let (plain, base) = (kernels(&self.plain[k]), self.base.get(k).map(kernels));
        Near { row, v, plain, base }
    }

    /// log ψ at point i, and its gradient where `score` is asked for.   `gamma`: responsibilities of the pieces, `log_p` their log-density.
    fn at<'a>(&self, near: &'a [Near], i: usize, gamma: &[f64], log_p: f64, score: Option<&mut [f64]>) -> f64 {
        let mut terms = Vec::new();
        for (k, near) in near.iter().enumerate() {
            let Some(row) = near.row[i] else { continue };
            let (share, v) = (ln(gamma[k]), near.v.row(row));
            let mut term = |log, sign, kernels: Option<&'a Kernels>| {
                terms.push(Term { piece: k, log, sign, v, gradient: kernels.map(|(_, score)| score.row(row)) });
            };
            match (&near.plain, &near.base) {
                (Some(plain), Some(Some(base))) => {
                    // 1 + a - b, at least LEAST min(1, a)
                    let (a, b) = (plain.0[row], base.0[row]);
                    let (top, least) = (a.max(b).max(0.0), ln(LEAST) + a.min(0.0));
                    if exp(a - top) + exp(-top) - exp(b - top) < exp(least - top) {
                        term(share + least, 1.0, Some(plain).filter(|_| a < 0.0));
                    } else {
                        term(share + a, 1.0, Some(plain));
                        term(share, 1.0, None);
                        term(share + b, -1.0, Some(base));
                    }
                }
                (Some(plain), None) => term(share + plain.0[row], 1.0, Some(plain)),
                // no centre: the Gaussian where controlled
                (None, Some(_)) => term(share, 1.0, None),
                _ => {}
            }
        }
        let top = terms.iter().fold(f64::NEG_INFINITY, |m, t| m.max(t.log));
        if top == f64::NEG_INFINITY {
            score.into_iter().for_each(|s| s.fill(0.0));
            return f64::NEG_INFINITY;
        }
        let total: f64 = terms.iter().map(|t| t.sign * exp(t.log - top)).sum();
        if let Some(score) = score {
            score.fill(0.0);
            for t in &terms {
                let (share, whitener) = (t.sign * exp(t.log - top) / total, &self.pieces.whiteners()[t.piece]);
                let gradient = |a: usize| t.gradient.map_or(-t.v[a], |g| g[a]);
                // the gradient in x is Wᵀ times that in v
                for (b, sum) in score.iter_mut().enumerate() {
                    let entry = |a| mutant!("generator-transposed", whitener[(b, a)], whitener[(a, b)]) * gradient(a);
                    *sum += share * (b..t.v.len()).map(entry).sum::<f64>();
                }
            }
        }
        log_p + top + ln(total)
    }
}

/// log q̂_h(v) - log N(v; 0, I) and its first term's gradient at the rows of v.
fn relative(estimate: &Kde, v: &Matrix) -> Kernels {
    let (mut log, score) = estimate.log_density_and_score(v);
    let constant = mutant!("generator-normaliser", 0.0, 0.5 * v.cols() as f64 * ln(2.0 * PI));
    for (log, v) in log.iter_mut().zip(v.iter_rows()) {
        *log += constant + 0.5 * v.iter().map(|v| v * v).sum::<f64>();
    }
    (log, score)
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
            let (c, count) = (&self.centres[k], self.centres[k].rows());
            let i = ((uniform(rng) * count as f64) as usize).min(count - 1);
            fill_normal(rng, row);
            row.iter_mut().zip(c.row(i)).for_each(|(v, c)| *v = c + self.noise * *v);
            self.pieces.place(k, row);
        });
        Some(self.frame.as_ref().map_or(x.clone(), |f| f.restore(&x)))
    }
}

/// Points that are held at once: a piece takes all of them that are near it.
const PORTION: usize = 4096;
/// Points of one task.
const CHUNK: usize = 64;
