//! Sinkhorn's iteration in the log domain, from large ε to small.

use crate::error::{Error, Result};
use crate::linalg::Matrix;
use crate::num::{Real, exp2};
use crate::transport::relaxation::Relaxation;
use crate::transport::sweep::{Mean, Side, Sum, means, row_sums};
use crate::transport::{Cloud, Cost, Sinkhorn};
use std::f64::consts::LN_2;

/// Factor between one ε and the next.
const SCALING: f64 = 0.25;
/// Iterations at an ε on the way, at most, and the error from which the next one is taken.
const ON_THE_WAY: usize = 10;
const ROUGH: f64 = 0.05;

/// A plan P between a and b by its potentials: P_ij = a_i b_j exp((f_i + g_j - c_ij)/ε).
#[derive(Debug, Clone)]
pub struct Coupling<T = f64> {
    /// OT_ε(a, b) by its dual, at most the optimum; its error is of second order in that of the marginals.
    pub value: f64,
    /// Iterations at the last ε; each reads all pairs twice (once where a is coupled with itself).
    pub iterations: usize,
    /// The larger of Σ_i |Σ_j P_ij - a_i| and Σ_j |Σ_i P_ij - b_j| of this plan.
    pub marginal_error: f64,
    settings: Sinkhorn,
    masked: bool,
    /// f and g in units of ε log 2.
    phi: Vec<T>,
    gamma: Vec<T>,
}

/// The plan between a and b.
///
/// Rows and columns in turn, over-relaxed by the observed rate of convergence; ε falls from the largest cost by 4 to its value. Stops where
/// both marginals are within [`Sinkhorn::tolerance`] or after [`Sinkhorn::max_iterations`]. The last step is a plain one over rows, so that
/// these are exact to rounding. `Error::Dimension` where a and b have different dimensions; otherwise [`Sinkhorn::check`].
pub fn couple<T: Real>(a: &Cloud<T>, b: &Cloud<T>, settings: &Sinkhorn) -> Result<Coupling<T>> {
    settings.check()?;
    if a.dim() != b.dim() {
        return Err(Error::Dimension { what: "the second set of points".into(), expected: a.dim(), found: b.dim() });
    }
    let (mut phi, mut gamma) = (vec![T::ZERO; a.len()], vec![T::ZERO; b.len()]);
    let tolerance = reachable::<T>(settings);
    let (mut iterations, mut before) = (0, None);
    for epsilon in schedule(a, b, settings) {
        rescale(&mut phi, before, epsilon);
        rescale(&mut gamma, before, epsilon);
        before = Some(epsilon);
        let last = epsilon == settings.epsilon;
        let (most, enough) = if last { (settings.max_iterations, tolerance) } else { (ON_THE_WAY, ROUGH) };
        let mut relaxation = Relaxation::new();
        iterations = 0;
        while iterations < most {
            let omega = if last { relaxation.factor() } else { 1.0 };
            let rows = half(a, b, epsilon, settings.cost, &mut phi, &gamma, omega);
            let columns = half(b, a, epsilon, settings.cost, &mut gamma, &phi, omega);
            iterations += 1;
            // after a plain step over columns at this ε these are exact and the rows say all
            let error = if omega == 1.0 && iterations > 1 { rows } else { rows.max(columns) };
            if error <= enough {
                break;
            }
            relaxation.observe(error);
        }
    }
    let epsilon = settings.epsilon;
    half(a, b, epsilon, settings.cost, &mut phi, &gamma, 1.0);
    let sums = row_sums(b.points(), side(a, &weighted(a, &phi), epsilon, settings.cost, false), &gamma);
    let marginal_error = excess(b, &sums, &gamma);
    let value = epsilon * LN_2 * (mean(a, &phi) + mean(b, &gamma));
    Ok(Coupling { value, iterations, marginal_error, settings: *settings, masked: false, phi, gamma })
}

/// The plan between a and itself, with f = g; without the pairs (i, i) where `masked`, for which a needs two points.
///
/// f ← ½ (f + soft minimum of c - f), which halves each error or better, since the kernel of the cost is positive (not so where it is masked).
pub fn couple_with_itself<T: Real>(a: &Cloud<T>, settings: &Sinkhorn, masked: bool) -> Result<Coupling<T>> {
    settings.check()?;
    if masked && a.len() < 2 {
        return Err(Error::Dimension { what: "a set of points without own pairs".into(), expected: 2, found: a.len() });
    }
    let mut phi = vec![T::ZERO; a.len()];
    let tolerance = reachable::<T>(settings);
    let (mut iterations, mut marginal_error, mut mass, mut before) = (0, 0.0, 1.0, None);
    for epsilon in schedule(a, a, settings) {
        rescale(&mut phi, before, epsilon);
        before = Some(epsilon);
        let last = epsilon == settings.epsilon;
        let (most, enough) = if last { (settings.max_iterations, tolerance) } else { (ON_THE_WAY, ROUGH) };
        iterations = 0;
        loop {
            let sums = row_sums(a.points(), side(a, &weighted(a, &phi), epsilon, settings.cost, masked), &phi);
            marginal_error = excess(a, &sums, &phi);
            mass = a.weights().iter().zip(&sums).zip(&phi).map(|((w, s), p)| w * s.mass(*p)).sum();
            if marginal_error <= enough || iterations == most {
                break;
            }
            move_by(&mut phi, &sums, 0.5);
            iterations += 1;
        }
    }
    let epsilon = settings.epsilon;
    let value = epsilon * (2.0 * LN_2 * mean(a, &phi) + 1.0 - mass);
    let gamma = phi.clone();
    Ok(Coupling { value, iterations, marginal_error, settings: *settings, masked, phi, gamma })
}

impl<T: Real> Coupling<T> {
    /// The plan between b and a.
    pub(super) fn transposed(self) -> Self {
        Self { phi: self.gamma, gamma: self.phi, ..self }
    }

    /// Whether the marginals are within the tolerance.
    pub fn converged(&self) -> bool {
        self.marginal_error <= reachable::<T>(&self.settings)
    }

    /// f, in units of the cost; n.
    pub fn row_potentials(&self) -> Vec<f64> {
        self.phi.iter().map(|p| p.to_f64() * self.settings.epsilon * LN_2).collect()
    }

    /// g, in units of the cost; m.
    pub fn column_potentials(&self) -> Vec<f64> {
        self.gamma.iter().map(|p| p.to_f64() * self.settings.epsilon * LN_2).collect()
    }

    /// T(x_i) = Σ_j P_ij y_j / Σ_j P_ij, the barycentric projection of the plan between `a` and `b`; n×d.
    pub fn projection(&self, a: &Cloud<T>, b: &Cloud<T>) -> Matrix<T> {
        let mut out = self.mean(a, b, Mean::Displacement);
        out.as_mut_slice().iter_mut().zip(a.points().as_slice()).for_each(|(o, x)| *o = *x - *o);
        out
    }

    /// Σ_j P_ij ∇₁c(x_i, y_j) / Σ_j P_ij: the gradient of OT_ε(a, b) in x_i over a_i, by the envelope theorem; x - T(x) for ½ |x - y|². n×d.
    pub fn gradient(&self, a: &Cloud<T>, b: &Cloud<T>) -> Matrix<T> {
        self.mean(a, b, Mean::Gradient)
    }

    fn mean(&self, a: &Cloud<T>, b: &Cloud<T>, what: Mean) -> Matrix<T> {
        let (epsilon, cost) = (self.settings.epsilon, self.settings.cost);
        means(a.points(), side(b, &weighted(b, &self.gamma), epsilon, cost, self.masked), &self.phi, what)
    }

    /// P, n×m: for plans that are to be looked at.
    pub fn plan(&self, a: &Cloud<T>, b: &Cloud<T>) -> Matrix {
        let kappa = 1.0 / (self.settings.epsilon * LN_2);
        Matrix::from_fn(a.len(), b.len(), |i, j| {
            if self.masked && i == j {
                return 0.0;
            }
            let pairs = a.points().row(i).iter().zip(b.points().row(j));
            let square: f64 = pairs.map(|(x, y)| (x.to_f64() - y.to_f64()).powi(2)).sum();
            let exponent = self.phi[i].to_f64() + self.gamma[j].to_f64() - kappa * self.settings.cost.at_square(square);
            a.weights()[i] * b.weights()[j] * exp2(exponent)
        })
    }
}

/// The tolerance that the precision allows.
fn reachable<T: Real>(settings: &Sinkhorn) -> f64 {
    settings.tolerance.max(400.0 * T::EPSILON.to_f64())
}

/// From the largest cost between the boxes around a and b down to ε.
fn schedule<T: Real>(a: &Cloud<T>, b: &Cloud<T>, settings: &Sinkhorn) -> Vec<f64> {
    let ((low, high), (l, h)) = (a.bounds(), b.bounds());
    let side = |j: usize| (high[j].max(h[j]) - low[j].min(l[j])).powi(2);
    let largest = settings.cost.at_square((0..low.len()).map(side).sum());
    let mut out = Vec::new();
    let mut epsilon = largest;
    while epsilon > settings.epsilon / SCALING.sqrt() {
        out.push(epsilon);
        epsilon *= SCALING;
    }
    out.push(settings.epsilon);
    out
}

/// Potentials in units of the next ε.
fn rescale<T: Real>(phi: &mut [T], before: Option<f64>, epsilon: f64) {
    let Some(before) = before else { return };
    let factor = T::from_f64(before / epsilon);
    phi.iter_mut().for_each(|p| *p *= factor);
}

/// log₂ b + γ, padded.
fn weighted<T: Real>(b: &Cloud<T>, gamma: &[T]) -> Vec<T> {
    let mut h = b.log2_weights().to_vec();
    h.iter_mut().zip(gamma).for_each(|(h, g)| *h += *g);
    h
}

fn side<'a, T: Real>(y: &'a Cloud<T>, h: &'a [T], epsilon: f64, cost: Cost, masked: bool) -> Side<'a, T> {
    Side { y, h, kappa: 1.0 / (epsilon * LN_2), cost, masked }
}

/// Moves the potentials of a's points; the error of their marginal before.
fn half<T: Real>(a: &Cloud<T>, b: &Cloud<T>, epsilon: f64, cost: Cost, phi: &mut [T], gamma: &[T], omega: f64) -> f64 {
    let sums = row_sums(a.points(), side(b, &weighted(b, gamma), epsilon, cost, false), phi);
    let error = excess(a, &sums, phi);
    move_by(phi, &sums, omega);
    error
}

/// φ moves by ω of the way to where its rows are exact.
fn move_by<T: Real>(phi: &mut [T], sums: &[Sum<T>], omega: f64) {
    let omega = T::from_f64(omega);
    for (p, s) in phi.iter_mut().zip(sums) {
        let exact = s.potential();
        *p = if omega == T::ONE { exact } else { *p + omega * (exact - *p) };
    }
}

/// Σ_i a_i |Σ_j P_ij/a_i - 1|.
fn excess<T: Real>(a: &Cloud<T>, sums: &[Sum<T>], phi: &[T]) -> f64 {
    a.weights().iter().zip(sums).zip(phi).map(|((w, s), p)| w * (s.mass(*p) - 1.0).abs()).sum()
}

/// Σ a φ.
fn mean<T: Real>(a: &Cloud<T>, phi: &[T]) -> f64 {
    let terms: Vec<f64> = a.weights().iter().zip(phi).map(|(w, p)| w * p.to_f64()).collect();
    crate::num::sum(&terms)
}
