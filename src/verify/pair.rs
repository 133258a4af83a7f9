use super::{Grid, Jacobian, Law, Vector};
use crate::density::{Affine, Density, GaussianMixture};
use crate::divergence::Divergence;
use crate::linalg::{Cholesky, Matrix};
use crate::num::{atan2, exp, exp_m1, hypot, ln, sin_cos};
use crate::rng::{Stream, fill_normal, uniform};
use crate::velocity::{LogRatioClip, drift_into};
use crate::{Error, Result};

/// Most nodes of a grid that covers an admitted pair, on the line and in the plane.
pub(super) const NODES_OF_LINE: f64 = 1e5;
pub(super) const NODES_OF_PLANE: f64 = 4e5;

/// Largest |log(p/q)| near the components: the divergences of the table take its exponential to powers between -2 and 4.
const LOG_RATIO: f64 = 40.0;

/// KL(q‖p) below which l is rounding: a derivative of size KL against differences of terms of size one, 1e-16/1e-10.
const NEAREST: f64 = 1e-10;

/// Two densities, the target p and the model q, on the line or in the plane; random ones are Gaussian mixtures.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Target.
    pub p: Law,
    /// Model.
    pub q: Law,
}

impl Pair {
    /// [`Error::Dimension`] unless both live in the same dimension, 1 or 2.
    pub fn new(p: impl Into<Law>, q: impl Into<Law>) -> Result<Self> {
        let (p, q) = (p.into(), q.into());
        if p.dim() > 2 {
            return Err(Error::Dimension {
                what: "dimension of p (1 or 2 for quadrature)".into(),
                expected: 2,
                found: p.dim(),
            });
        }
        if p.dim() != q.dim() {
            return Err(Error::Dimension { what: "dimension of q".into(), expected: p.dim(), found: q.dim() });
        }
        Ok(Self { p, q })
    }

    /// Mixtures on the line from rows (mass, mean, standard deviation).
    pub(super) fn on_the_line(p: &[[f64; 3]], q: &[[f64; 3]]) -> Self {
        let mixture = |rows: &[[f64; 3]]| {
            let masses: Vec<f64> = rows.iter().map(|r| r[0]).collect();
            let means = Matrix::from_fn(rows.len(), 1, |i, _| rows[i][1]);
            let covariances = rows.iter().map(|r| Matrix::filled(1, 1, r[2] * r[2])).collect();
            GaussianMixture::new(&masses, means, covariances).expect("positive masses and deviations")
        };
        Self { p: mixture(p).into(), q: mixture(q).into() }
    }

    /// The pages' two modes, of which q starves one.
    pub(super) fn two_modes() -> Self {
        Self::on_the_line(&[[0.5, -2.0, 0.8], [0.5, 2.0, 0.8]], &[[0.9, -2.0, 0.9], [0.1, 2.0, 0.9]])
    }

    /// The same pair after x ↦ L⁻¹(x - E_p x), Cov_p = LLᵀ: p then has mean 0 and covariance I, whatever the units of the user.
    ///
    /// Every theorem is invariant under affine maps of x, or its two sides carry the same factor, and r = p/q does not change: so
    /// what holds here holds for the given pair. [`Error::NotPositiveDefinite`] where rounding hides the covariance.
    pub fn standardised(&self) -> Result<Self> {
        let factor = Cholesky::factor(&self.p.covariance(), "covariance of p")?;
        let frame = Affine::from_parts(self.p.mean(), factor.lower().clone())?;
        Self::new(self.p.standardised(&frame)?, self.q.standardised(&frame)?)
    }

    /// Whether both are Gaussian mixtures.
    pub fn is_of_mixtures(&self) -> bool {
        self.p.is_mixture() && self.q.is_mixture()
    }

    /// The pair as the claims take it: standardised, or [`Error::Unsupported`] in a sentence where double precision or the work
    /// of quadrature forbids it. The bounds are on numbers of nodes and on l, not on time, so that the answer is always the same.
    pub fn admitted(&self) -> Result<Self> {
        let pair = self.standardised()?;
        let refuse = |what: String, remedy| Err(Error::Unsupported { what, remedy });
        let (ends, d) = (pair.ends(8.0), pair.dim());
        let mixtures = pair.is_of_mixtures();
        let width = ends.iter().map(|(low, high)| high - low).fold(0.0, f64::max);
        let (per_width, most) = if d == 1 { (20.0, NODES_OF_LINE) } else { (7.0, NODES_OF_PLANE) };
        let nodes = (width / pair.finest() * per_width).powi(d as i32);
        if mixtures && (nodes.is_nan() || nodes > most) {
            let what = format!(
                "quadrature needs {nodes:.1e} nodes, more than {most:.0e}: with p at mean 0 and covariance I, the narrowest component \
                 is {:.3e} wide in a box of {width:.3e}",
                pair.finest()
            );
            return refuse(what, "bring the widths nearer to each other");
        }
        let reach = pair.log_ratio_reach();
        if reach.is_nan() || reach > LOG_RATIO {
            let what = format!(
                "log(p/q) reaches {reach:.0} within 3 widths of a component, more than {LOG_RATIO}: the two sides would be lost in \
                 rounding"
            );
            return refuse(what, "bring p and q nearer to each other");
        }
        let kl = if mixtures { pair.kl() } else { pair.excess_at_the_outline() };
        if kl < NEAREST {
            let what = format!(
                "p and q are the same density to rounding, KL(q‖p) = {kl:.1e} is below {NEAREST:.0e}: every side is a difference of \
                 equal numbers"
            );
            return refuse(what, "give two that differ");
        }
        Ok(pair)
    }

    /// KL(q‖p) = E_q[r - 1 - log r], whose integrand is never negative.
    pub fn kl(&self) -> f64 {
        let grid = Grid::covering(&self.ends(9.0), self.finest() / if self.dim() == 1 { 16.0 } else { 5.0 });
        let nodes = self.at(&grid.nodes);
        grid.integrate(|i| nodes.q(i) * excess(nodes.l(i).min(700.0)))
    }

    /// E[r - 1 - log r] over draws from the outline of q, for densities of which no grid covers all.
    fn excess_at_the_outline(&self) -> f64 {
        let x = self.q.sample(256, 1).expect("a mixture has an exact sampler");
        let l = self.at(&x).log_ratio();
        l.iter().map(|l| excess(*l)).sum::<f64>() / l.len() as f64
    }

    /// The largest |l| within 3 standard deviations of a component of either, along the axes; of q alone where one is no mixture, since
    /// the claims that take any density ask for l near q.
    fn log_ratio_reach(&self) -> f64 {
        let d = self.dim();
        let mut points = Vec::new();
        let sides = if self.is_of_mixtures() { vec![&self.p, &self.q] } else { vec![&self.q] };
        for m in sides {
            for (mean, c) in m.means().iter_rows().zip(m.covariances()) {
                for (j, s) in (0..d).flat_map(|j| [-3.0, 0.0, 3.0].map(|s| (j, s))) {
                    points.extend((0..d).map(|i| mean[i] + if i == j { s * c[(j, j)].sqrt() } else { 0.0 }));
                }
            }
        }
        let points = Matrix::from_vec(points.len() / d, d, points);
        self.at(&points).log_ratio().into_iter().map(f64::abs).fold(0.0, f64::max)
    }

    /// A pair for which D_f and all energies E_q[w_f w_g |β|²] of the table are finite (T7): one to three components with means in
    /// [-1.5, 1.5]ᵈ; the widest is isotropic on each side, with var(q)/var(p) in [0.85, 1.35] ⊂ (3/4, 3/2), the others are narrower.
    pub fn random(rng: &mut Stream, dim: usize) -> Self {
        let between = |rng: &mut Stream, a: f64, b: f64| a + (b - a) * uniform(rng);
        let std_p = between(rng, 0.8, 1.2);
        let std_q = std_p * between(rng, 0.85, 1.35).sqrt();
        let (p, q) = (random_mixture(rng, dim, std_p), random_mixture(rng, dim, std_q));
        Self { p: p.into(), q: q.into() }
    }

    /// d.
    pub fn dim(&self) -> usize {
        self.p.dim()
    }

    /// The smallest standard deviation of a component in any direction: what a grid has to resolve.
    pub fn finest(&self) -> f64 {
        let of = |m: &GaussianMixture| m.covariances().iter().map(smallest_std).fold(f64::INFINITY, f64::min);
        of(&self.p).min(of(&self.q))
    }

    /// What a grid over the box `centre` ± `reach` has to resolve: [`Pair::finest`], or the sharpest curvature there.
    pub(super) fn finest_within(&self, centre: Vector, reach: f64) -> f64 {
        let of = |m: &Law| if m.is_mixture() { f64::INFINITY } else { m.width_within(centre, reach) };
        self.finest().min(of(&self.p)).min(of(&self.q))
    }

    /// The box of all components, `reach` standard deviations to either side: d intervals.
    pub fn ends(&self, reach: f64) -> Vec<(f64, f64)> {
        let interval = |j: usize| {
            let of = |m: &GaussianMixture| {
                let parts = m.means().iter_rows().zip(m.covariances());
                parts.map(|(mean, c)| (mean[j], reach * c[(j, j)].sqrt())).collect::<Vec<_>>()
            };
            let all = [of(&self.p), of(&self.q)].concat();
            let low = all.iter().map(|(m, r)| m - r).fold(f64::INFINITY, f64::min);
            (low, all.iter().map(|(m, r)| m + r).fold(f64::NEG_INFINITY, f64::max))
        };
        (0..self.dim()).map(interval).collect()
    }

    /// The box of all p^b q^(1-b) with b in [low, high], `reach` standard deviations to either side of each Gaussian in it.
    ///
    /// For b < 0, q^(1-b) ≤ C Σ_j q_j^(1-b) and p ≥ a_k p_k for any k, so that Gaussians p_k^b q_j^(1-b), with the best k for each j,
    /// bound it; they have precision (1-b)Q_j + bP_k, and lie far outside of p and q where q's means lie outside p's. Above 1 the
    /// other way round; between, in the box of p and q. Where no precision is positive the integral diverges (T7, part 2), and
    /// nothing is added.
    pub fn ends_of_powers(&self, (low, high): (f64, f64), reach: f64) -> Vec<(f64, f64)> {
        let mut ends = self.ends(reach);
        let mut cover = |outer: &GaussianMixture, b: f64, inner: &GaussianMixture| {
            for j in 0..outer.components() {
                let boxes = (0..inner.components()).filter_map(|k| quotient((outer, j, 1.0 - b), (inner, k, b), reach));
                let width = |e: &Vec<(f64, f64)>| e.iter().map(|(a, b)| b - a).fold(0.0, f64::max);
                for (end, (a, b)) in
                    ends.iter_mut().zip(boxes.min_by(|a, b| width(a).total_cmp(&width(b))).unwrap_or_default())
                {
                    *end = (end.0.min(a), end.1.max(b));
                }
            }
        };
        if low < 0.0 {
            cover(&self.q, low, &self.p);
        }
        if high > 1.0 {
            cover(&self.p, 1.0 - high, &self.q);
        }
        ends
    }

    /// Everything about p and q at n points (n×d).
    pub fn at(&self, x: &Matrix) -> Nodes {
        let evaluate = |m: &Law| {
            let (mut log, mut score) = (vec![0.0; x.rows()], Matrix::zeros(x.rows(), x.cols()));
            m.evaluate_into(x, &mut log, &mut score);
            (log, score)
        };
        let ((log_p, score_p), (log_q, score_q)) = (evaluate(&self.p), evaluate(&self.q));
        Nodes { log_p, log_q, score_p, score_q }
    }

    /// ∇²l = ∇² log p - ∇² log q at one point.
    pub fn hessian(&self, x: &[f64]) -> Jacobian {
        let (a, b) = (self.p.hessian(x, || self.finest()), self.q.hessian(x, || self.finest()));
        [[a[0][0] - b[0][0], a[0][1] - b[0][1]], [a[1][0] - b[1][0], a[1][1] - b[1][1]]]
    }
}

/// Values and scores of a pair at n points.
#[derive(Debug, Clone)]
pub struct Nodes {
    /// log p: n.
    pub log_p: Vec<f64>,
    /// log q: n.
    pub log_q: Vec<f64>,
    /// ∇ log p: n×d.
    pub score_p: Matrix,
    /// ∇ log q: n×d.
    pub score_q: Matrix,
}

impl Nodes {
    /// l = log p - log q.
    pub fn l(&self, i: usize) -> f64 {
        self.log_p[i] - self.log_q[i]
    }

    /// q.
    pub fn q(&self, i: usize) -> f64 {
        exp(self.log_q[i])
    }

    /// p.
    pub fn p(&self, i: usize) -> f64 {
        exp(self.log_p[i])
    }

    /// β = ∇ log p - ∇ log q.
    pub fn beta(&self, i: usize) -> Vector {
        let (a, b) = (vector(self.score_p.row(i)), vector(self.score_q.row(i)));
        [a[0] - b[0], a[1] - b[1]]
    }

    /// l at every point: n.
    pub fn log_ratio(&self) -> Vec<f64> {
        (0..self.log_p.len()).map(|i| self.l(i)).collect()
    }

    /// V = w(r)β by the code that moves particles, [`drift_into`]: n×d.
    pub fn drift(&self, divergence: &dyn Divergence) -> Matrix {
        let mut v = Matrix::zeros(self.score_p.rows(), self.score_p.cols());
        let mut beta = self.score_p.clone();
        beta.add_scaled(-1.0, &self.score_q);
        drift_into(divergence, LogRatioClip::NONE, &self.log_ratio(), &beta, &mut v);
        v
    }

    /// |log p| + |log q|: what the rounding of l is relative to.
    pub fn log_size(&self, i: usize) -> f64 {
        self.log_p[i].abs() + self.log_q[i].abs()
    }

    /// |β|².
    pub fn beta2(&self, i: usize) -> f64 {
        super::dot(self.beta(i), self.beta(i))
    }
}

/// r - 1 - log r at l = log r, with its own series where the terms cancel.
fn excess(l: f64) -> f64 {
    if l.abs() < 1e-3 { l * l * (0.5 + l / 6.0) } else { exp_m1(l) - l }
}

/// The box of (component j of m)^a (component k of n)^b, a Gaussian; none where its precision a M_j + b N_k is not positive.
fn quotient(
    (m, j, a): (&GaussianMixture, usize, f64),
    (n, k, b): (&GaussianMixture, usize, f64),
    reach: f64,
) -> Option<Vec<(f64, f64)>> {
    let mut precision = m.factors()[j].inverse().map(|v| a * v);
    let linear = |m: &GaussianMixture, j: usize| m.factors()[j].solve(m.means().row(j));
    let (left, right) = (linear(m, j), linear(n, k));
    precision.add_scaled(b, &n.factors()[k].inverse());
    let factor = Cholesky::factor(&precision, "precision of a quotient").ok()?;
    let covariance = factor.inverse();
    let centre = factor.solve(&left.iter().zip(&right).map(|(x, y)| a * x + b * y).collect::<Vec<f64>>());
    let around = |(i, c): (usize, &f64)| (c - reach * covariance[(i, i)].sqrt(), c + reach * covariance[(i, i)].sqrt());
    Some(centre.iter().enumerate().map(around).collect())
}

/// A row as a vector of the plane.
pub(super) fn vector(row: &[f64]) -> Vector {
    [row[0], row.get(1).copied().unwrap_or(0.0)]
}

/// ∇² log m = Σ_k γ_k (a_k a_kᵀ - P_k) - s sᵀ with responsibilities γ_k, a_k = -P_k (x - m_k), s = Σ γ_k a_k; d = 1 or 2.
pub fn hessian_of_log(m: &GaussianMixture, x: &[f64]) -> Jacobian {
    let terms: Vec<(f64, Vector, Jacobian)> = (0..m.components())
        .map(|k| {
            let (precision, mean) = (m.factors()[k].inverse(), m.means().row(k));
            let entry = |i: usize, j: usize| if i < x.len() && j < x.len() { precision[(i, j)] } else { 0.0 };
            let p = [[entry(0, 0), entry(0, 1)], [entry(1, 0), entry(1, 1)]];
            let z = vector(&x.iter().zip(mean).map(|(a, b)| a - b).collect::<Vec<_>>());
            let pz = [super::dot(p[0], z), super::dot(p[1], z)];
            let log = ln(m.weights()[k]) - 0.5 * (super::dot(z, pz) + m.factors()[k].log_det());
            (log, [-pz[0], -pz[1]], p)
        })
        .collect();
    let top = terms.iter().map(|t| t.0).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = terms.iter().map(|t| exp(t.0 - top)).sum();
    let (mut h, mut s) = ([[0.0; 2]; 2], [0.0; 2]);
    for (log, a, p) in &terms {
        let gamma = exp(log - top) / total;
        for i in 0..2 {
            s[i] += gamma * a[i];
            (0..2).for_each(|j| h[i][j] += gamma * (a[i] * a[j] - p[i][j]));
        }
    }
    (0..4).for_each(|k| h[k / 2][k % 2] -= s[k / 2] * s[k % 2]);
    h
}

/// One to three components; the first has covariance std² I and the others less, in random directions.
fn random_mixture(rng: &mut Stream, dim: usize, std: f64) -> GaussianMixture {
    let count = 1 + (3.0 * uniform(rng)) as usize;
    let weights: Vec<f64> = (0..count).map(|_| 0.2 + uniform(rng)).collect();
    let means = Matrix::from_fn(count, dim, |_, _| 3.0 * uniform(rng) - 1.5);
    let covariances = (0..count).map(|k| {
        let mut shrink = || if k == 0 { 1.0 } else { 0.6 + 0.4 * uniform(rng) };
        let (a, b) = ((std * shrink()).powi(2), (std * shrink()).powi(2));
        let mut axis = [0.0f64; 2];
        fill_normal(rng, &mut axis);
        let (s, c) = sin_cos(atan2(axis[1], axis[0]));
        let full = [[a * c * c + b * s * s, (a - b) * s * c], [(a - b) * s * c, a * s * s + b * c * c]];
        if dim == 1 { Matrix::from_rows(&[[a]]) } else { Matrix::from_rows(&full) }
    });
    let covariances = covariances.collect();
    GaussianMixture::new(&weights, means, covariances).expect("weights, means and covariances in range")
}

/// The square root of the smallest eigenvalue of a 1×1 or 2×2 covariance.
fn smallest_std(c: &Matrix) -> f64 {
    if c.rows() == 1 {
        return c[(0, 0)].sqrt();
    }
    let (half, spread) = (0.5 * (c[(0, 0)] + c[(1, 1)]), 0.5 * (c[(0, 0)] - c[(1, 1)]));
    (half - hypot(spread, c[(0, 1)])).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    /// Checks the box of q²/p, p²/q on N(0, 1), N(3, 1), which are multiples of N(6, 1) and N(-3, 1), and that a divergent power adds nothing.
    #[test]
    fn box_of_powers() {
        let gaussian = |mean: f64| GaussianMixture::gaussian(&[mean], Matrix::identity(1)).unwrap();
        let pair = Pair { p: gaussian(0.0).into(), q: gaussian(3.0).into() };
        let near = |powers, low: f64, high: f64| {
            let (a, b) = pair.ends_of_powers(powers, 9.0)[0];
            assert!((a - low).abs() < 1e-12 && (b - high).abs() < 1e-12, "{a} {b}");
        };
        near((0.0, 1.0), -9.0, 12.0);
        near((-1.0, 1.0), -9.0, 15.0);
        near((-1.0, 2.0), -12.0, 15.0);
        let wide = GaussianMixture::gaussian(&[3.0], Matrix::from_rows(&[[2.5]])).unwrap();
        let pair = Pair { p: gaussian(0.0).into(), q: wide.into() };
        assert_eq!(pair.ends_of_powers((-1.0, 1.0), 9.0), pair.ends(9.0));
    }

    /// Checks the Hessian against central differences of the score: h² = 1e-8 times third derivatives below 1e2, in both dimensions.
    #[test]
    fn hessian_by_differences() {
        for d in 1..=2usize {
            let pair = Pair::random(&mut stream(3, Purpose::Check, d as u64), d);
            let x = [0.3, -0.4];
            let hessian = pair.hessian(&x[..d]);
            for j in 0..d {
                let beta = |h: f64| {
                    let mut y = x[..d].to_vec();
                    y[j] += h;
                    pair.at(&Matrix::from_vec(1, d, y)).beta(0)
                };
                let (up, down) = (beta(1e-4), beta(-1e-4));
                for i in 0..d {
                    let difference = (up[i] - down[i]) / 2e-4;
                    assert!((difference - hessian[i][j]).abs() < 1e-6, "{difference} {}", hessian[i][j]);
                }
            }
        }
    }
}
