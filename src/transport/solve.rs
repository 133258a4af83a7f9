//! Sinkhorn's iteration in the log domain, from large ε to small.

use crate::error::{Error, Result};
use crate::num::{Real, exp_m1, exp2, ln, ln_1p, log2};
use crate::transport::blocks::{Groups, Kept, bounds};
use crate::transport::relaxation::Relaxation;
use crate::transport::sweep::{Side, Sum, group_sums, row_sums};
use crate::transport::{Cloud, Coupling, Sinkhorn, truncated};
use std::f64::consts::LN_2;

/// Factor between one ε and the next.
const SCALING: f64 = 0.25;
/// Iterations at an ε on the way, at most, and the error from which the next one is taken.
const ON_THE_WAY: usize = 10;
const ROUGH: f64 = 0.05;

/// What is coupled, at one ε.
#[derive(Clone, Copy)]
pub(super) struct Problem<'a, T> {
    pub a: &'a Cloud<T>,
    pub b: &'a Cloud<T>,
    pub settings: &'a Sinkhorn,
    pub epsilon: f64,
    pub masked: bool,
    /// What rows and columns read; all where None.
    pub kept: Option<(&'a Kept, &'a Kept)>,
}

/// An iteration after its step over rows.
pub(super) struct Half<'a, T> {
    /// φ.
    pub phi: &'a [T],
    /// γ.
    pub gamma: &'a [T],
    /// What each column lacks.
    pub lacking: &'a [f64],
    /// γ after Sinkhorn's step.
    pub image: &'a [T],
    /// The dual, and the size of its terms.
    pub value: f64,
    pub scale: f64,
}

/// Where the iteration at an ε ends.
#[derive(Clone, Copy)]
pub(super) struct Until {
    pub most: usize,
    pub enough: f64,
    /// Whether steps over-relax.
    pub last: bool,
}

impl Until {
    /// At an ε on the way.
    pub const ROUGH: Self = Self { most: ON_THE_WAY, enough: ROUGH, last: false };

    /// At the last ε on a coarse level.
    pub const COARSE: Self = Self { most: 2000, enough: 1e-4, last: true };

    /// At the last ε.
    pub fn converged<T: Real>(settings: &Sinkhorn) -> Self {
        Self { most: settings.max_iterations, enough: reachable::<T>(settings), last: true }
    }
}

impl<T: Real> Problem<'_, T> {
    /// b and a.
    fn turned(self) -> Self {
        Self { a: self.b, b: self.a, kept: self.kept.map(|(rows, columns)| (columns, rows)), ..self }
    }

    /// ε/ρ: at the optimum the row i has the mass a_i 2^(-φ_i ε/ρ).
    pub fn leak(&self) -> f64 {
        self.settings.relax.map_or(0.0, |rho| self.epsilon / rho)
    }

    /// Σ_j P_ij/a_i for each row.
    fn row_sums(&self, phi: &[T], gamma: &[T]) -> Vec<Sum<T>> {
        row_sums(self.a.points(), self.side(&weighted(self.b, gamma)), phi)
    }

    /// Σ P_ij over groups of rows and of columns, where it is not 0.
    pub fn group_sums(&self, phi: &[T], gamma: &[T], groups: &Groups) -> Vec<Vec<(usize, f64)>> {
        group_sums(self.a.points(), self.side(&weighted(self.b, gamma)), phi, self.a.weights(), groups)
    }

    pub fn side<'b>(&'b self, h: &'b [T]) -> Side<'b, T> {
        let kappa = 1.0 / (self.epsilon * LN_2);
        Side { y: self.b, h, kappa, cost: self.settings.cost, masked: self.masked, kept: self.kept.map(|k| k.0) }
    }

    /// The φ of the rows that is best for γ, whether or not γ is of this problem's b.
    pub fn best(&self, gamma: &[T]) -> Vec<T> {
        let mut phi = vec![T::ZERO; self.a.len()];
        let sums = self.row_sums(&phi, gamma);
        self.move_by(&mut phi, &sums, 1.0);
        phi
    }

    /// Moves the potentials of a's points; the error of their marginal before.
    fn half(&self, phi: &mut [T], gamma: &[T], omega: f64) -> f64 {
        let sums = self.row_sums(phi, gamma);
        let error = self.excess(&sums, phi);
        self.move_by(phi, &sums, omega);
        error
    }

    /// φ moves by ω of the way to where its rows are best: exact, or damped by ρ/(ρ + ε) where marginals are relaxed.
    fn move_by(&self, phi: &mut [T], sums: &[Sum<T>], omega: f64) {
        let omega = T::from_f64(omega);
        let damping = T::from_f64(1.0 / (1.0 + self.leak()));
        for (p, s) in phi.iter_mut().zip(sums) {
            let best = damping * s.potential();
            *p = if omega == T::ONE { best } else { *p + omega * (best - *p) };
        }
    }

    /// Σ_i a_i |Σ_j P_ij/a_i - 2^(-φ_i ε/ρ)| / Σ a.
    fn excess(&self, sums: &[Sum<T>], phi: &[T]) -> f64 {
        self.share(&self.lacking(sums, phi))
    }

    /// Σ_i |x_i| / Σ a.
    fn share(&self, x: &[f64]) -> f64 {
        x.iter().map(|x| x.abs()).sum::<f64>() / self.a.mass()
    }

    /// Σ_i a_i 2^(-φ_i ε/ρ): the mass of the plan by its rows.
    fn mass(&self, phi: &[T]) -> f64 {
        if self.settings.relax.is_none() {
            return self.a.mass();
        }
        let terms: Vec<f64> = self.a.weights().iter().zip(phi).map(|(w, p)| w * self.wanted(p.to_f64())).collect();
        crate::num::sum(&terms)
    }

    /// f + c and g - c with the c that is best: without it the plan's mass goes from rows to columns at the rate ε/ρ alone.
    fn level(&self, phi: &mut [T], gamma: &mut [T]) {
        if self.settings.relax.is_none() {
            return;
        }
        let shift = 0.5 * (log2(self.mass(phi)) - log2(self.turned().mass(gamma))) / self.leak();
        if shift.is_finite() {
            phi.iter_mut().for_each(|p| *p += T::from_f64(shift));
            gamma.iter_mut().for_each(|g| *g += T::from_f64(-shift));
        }
    }

    /// Rows and columns in turn; the number of iterations.
    pub fn alternate(&self, until: Until, phi: &mut [T], gamma: &mut [T]) -> usize {
        let mut relaxation = Relaxation::new();
        let mut iterations = 0;
        while iterations < until.most {
            let omega = if until.last { relaxation.factor() } else { 1.0 };
            let rows = self.half(phi, gamma, omega);
            let columns = self.turned().half(gamma, phi, omega);
            self.level(phi, gamma);
            iterations += 1;
            // after a plain step over columns at this ε these are exact and the rows say all
            let error =
                if omega == 1.0 && iterations > 1 && self.settings.relax.is_none() { rows } else { rows.max(columns) };
            if error <= until.enough {
                break;
            }
            relaxation.observe(error);
        }
        iterations
    }

    /// As [`Problem::alternate`] to where rows are exact; `next` gives the potentials of columns after each of their steps. The number of iterations,
    /// and the columns of the plan.
    pub fn alternate_with(
        &self,
        until: Until,
        phi: &mut [T],
        gamma: &mut [T],
        mut next: impl FnMut(&Half<T>) -> Vec<T>,
    ) -> (usize, Vec<Sum<T>>) {
        let columns = self.turned();
        for iterations in 1.. {
            self.half(phi, gamma, 1.0);
            let sums = columns.row_sums(gamma, phi);
            let lacking = columns.lacking(&sums, gamma);
            if columns.share(&lacking) <= until.enough || iterations >= until.most {
                return (iterations, sums);
            }
            let mut image = gamma.to_vec();
            columns.move_by(&mut image, &sums, 1.0);
            let value = self.value(phi, gamma, self.mass(phi));
            let scale = self.gain(phi).abs() + columns.gain(gamma).abs();
            let moved = next(&Half { phi, gamma, lacking: &lacking, image: &image, value, scale });
            gamma.copy_from_slice(&moved);
            self.level(phi, gamma);
        }
        unreachable!("an iteration is the last")
    }

    /// a_i 2^(-φ_i ε/ρ) - Σ_j P_ij for each row.
    fn lacking(&self, sums: &[Sum<T>], phi: &[T]) -> Vec<f64> {
        let each = self.a.weights().iter().zip(sums).zip(phi);
        each.map(|((w, s), p)| w * (self.wanted(p.to_f64()) - s.mass(*p))).collect()
    }

    /// 2^(-φ ε/ρ), the share of a row's weight that it should have.
    pub fn wanted(&self, phi: f64) -> f64 {
        if self.settings.relax.is_none() { 1.0 } else { exp2(-self.leak() * phi) }
    }

    /// f = g for b = a: f ← f + α (its best - f) + β (f - f before).
    ///
    /// The kernel of the cost is positive (not so where it is masked), hence the derivative of best - f lies in [-2, -1]: Polyak's α and β for
    /// that interval leave (√2-1)/(√2+1) = 0.17 of an error, averages of f and its best ½. Iterations, the error that is left and the rows.
    pub fn average(&self, until: Until, phi: &mut [T]) -> (usize, f64, Vec<Sum<T>>) {
        let root = std::f64::consts::SQRT_2;
        let (alpha, rate) = (4.0 / (1.0 + root).powi(2), (root - 1.0) / (root + 1.0));
        let (beta, mut before) = (T::from_f64(rate * rate), phi.to_vec());
        let mut iterations = 0;
        loop {
            let sums = self.row_sums(phi, phi);
            let error = self.excess(&sums, phi);
            if error <= until.enough || iterations == until.most {
                return (iterations, error, sums);
            }
            let now = phi.to_vec();
            self.move_by(phi, &sums, alpha);
            phi.iter_mut().zip(&now).zip(&before).for_each(|((p, n), b)| *p += beta * (*n - *b));
            before = now;
            iterations += 1;
        }
    }

    /// Σ_i a_i f_i, or Σ_i a_i ρ (1 - exp(-f_i/ρ)) where marginals are relaxed.
    fn gain(&self, phi: &[T]) -> f64 {
        let each = self.a.weights().iter().zip(phi);
        let terms: Vec<f64> = match self.settings.relax {
            None => each.map(|(w, p)| w * p.to_f64()).collect(),
            Some(_) => {
                each.map(|(w, p)| -w * exp_m1(-self.leak() * LN_2 * p.to_f64()) / (self.leak() * LN_2)).collect()
            }
        };
        self.epsilon * LN_2 * crate::num::sum(&terms)
    }

    /// The dual where the plan has the mass `mass`.
    fn value(&self, phi: &[T], gamma: &[T], mass: f64) -> f64 {
        let product = self.a.mass() * self.b.mass();
        self.gain(phi) + self.turned().gain(gamma) + self.epsilon * (product - mass)
    }

    /// The plan after a last step over rows, which makes these exact.
    pub fn coupling(&self, mut phi: Vec<T>, gamma: Vec<T>, iterations: usize) -> Coupling<T> {
        self.half(&mut phi, &gamma, 1.0);
        let sums = self.turned().row_sums(&gamma, &phi);
        self.coupling_of(phi, gamma, iterations, &sums)
    }

    /// The plan of φ and γ where rows are exact and columns have these sums.
    pub fn coupling_of(&self, phi: Vec<T>, gamma: Vec<T>, iterations: usize, sums: &[Sum<T>]) -> Coupling<T> {
        let marginal_error = self.turned().excess(sums, &gamma);
        let value = self.value(&phi, &gamma, self.mass(&phi));
        let above = self.above(&phi, &gamma, sums);
        let settings = *self.settings;
        Coupling { value, above, iterations, marginal_error, skipped: 0.0, settings, masked: false, phi, gamma }
    }

    /// The plan between a and itself.
    pub fn own_coupling(
        &self,
        phi: Vec<T>,
        (iterations, marginal_error, sums): (usize, f64, Vec<Sum<T>>),
    ) -> Coupling<T> {
        let mass = self.a.weights().iter().zip(masses(&sums, &phi)).map(|(w, m)| w * m).sum();
        let value = self.value(&phi, &phi, mass);
        let above = if self.masked { f64::INFINITY } else { self.above(&phi, &phi, &sums) };
        let (settings, gamma) = (*self.settings, phi.clone());
        Coupling { value, above, iterations, marginal_error, skipped: 0.0, settings, masked: self.masked, phi, gamma }
    }

    /// The primal objective of a plan near that of φ and γ, whose columns have these sums.
    ///
    /// Exact marginals: P' is the plan with potentials lowered until no marginal is too large (columns alone, unless a is coupled with itself),
    /// and what is missing, a' in rows and b' in columns of sum δ, is coupled by a'⊗b'/δ. With m = Σ a, the log-sum inequality for the sum of
    /// both plans gives
    ///
    /// OT_ε ≤ Σ f' P'1 + Σ g' P'ᵀ1 + E_{a'⊗b'}[c]/δ + ε (KL(a'‖a) + KL(b'‖b) without masses - δ log δ - (m-δ) log(1-δ/m) - δ log(δ/m) - m + m²).
    ///
    /// Relaxed marginals: any plan counts, so that of φ and γ does.
    fn above(&self, phi: &[T], gamma: &[T], sums: &[Sum<T>]) -> f64 {
        let (a, b, columns) = (self.a, self.b, masses(sums, gamma));
        let scale = self.epsilon * LN_2;
        let along = |potentials: &[T], w: &[f64], share: &[f64]| {
            let terms: Vec<f64> = potentials.iter().zip(w).zip(share).map(|((p, w), s)| w * s * p.to_f64()).collect();
            scale * crate::num::sum(&terms)
        };
        let product = a.mass() * b.mass();
        if let Some(rho) = self.settings.relax {
            let rows = if std::ptr::eq(a, b) { columns.clone() } else { masses(&self.row_sums(phi, gamma), phi) };
            let leak = |w: &[f64], share: &[f64]| -> f64 {
                w.iter().zip(share).map(|(w, s)| if *s > 0.0 { w * (s * ln(*s) - s + 1.0) } else { *w }).sum()
            };
            let mass: f64 = a.weights().iter().zip(&rows).map(|(w, s)| w * s).sum();
            let costs = along(phi, a.weights(), &rows) + along(gamma, b.weights(), &columns);
            let leaks = leak(a.weights(), &rows) + leak(b.weights(), &columns);
            return costs + rho * leaks + self.epsilon * (product - mass);
        }
        let lowered = |p: &[T], share: &[f64]| -> Vec<T> {
            p.iter().zip(share).map(|(p, s)| if *s > 1.0 { *p - T::from_f64(log2(*s)) } else { *p }).collect()
        };
        let down = lowered(gamma, &columns);
        let below = |share: f64| share.min(1.0);
        let (left, rows, columns) = if std::ptr::eq(a, b) {
            let rows: Vec<f64> = masses(&self.row_sums(&down, &down), &down).into_iter().map(below).collect();
            (down.clone(), rows.clone(), rows)
        } else {
            let rows = masses(&self.row_sums(phi, &down), phi).into_iter().map(below).collect();
            (phi.to_vec(), rows, columns.into_iter().map(below).collect())
        };
        let missing =
            |w: &[f64], share: &[f64]| -> Vec<f64> { w.iter().zip(share).map(|(w, s)| w * (1.0 - s)).collect() };
        let (of_rows, of_columns) = (missing(a.weights(), &rows), missing(b.weights(), &columns));
        let (delta, mass) = (crate::num::sum(&of_rows).max(crate::num::sum(&of_columns)), a.mass());
        let mut out =
            along(&left, a.weights(), &rows) + along(&down, b.weights(), &columns) + self.epsilon * (product - mass);
        if delta > 0.0 && delta < mass {
            let relative = |part: &[f64], w: &[f64]| -> f64 {
                part.iter().zip(w).filter(|(p, _)| **p > 0.0).map(|(p, w)| p * ln(p / w)).sum()
            };
            let entropy = relative(&of_rows, a.weights()) + relative(&of_columns, b.weights())
                - delta * ln(delta)
                - (mass - delta) * ln_1p(-delta / mass)
                - delta * ln(delta / mass);
            out += delta * a.mean_cost(&of_rows, b, &of_columns, self.settings.cost) + self.epsilon * entropy;
        }
        out
    }
}

/// Σ_j P_ij/a_i for each row.
fn masses<T: Real>(sums: &[Sum<T>], phi: &[T]) -> Vec<f64> {
    sums.iter().zip(phi).map(|(s, p)| s.mass(*p)).collect()
}

/// The plan between a and b.
///
/// Rows and columns in turn, over-relaxed by the observed rate of convergence; ε falls from the largest cost by 4 to its value. Stops where
/// both marginals are within [`Sinkhorn::tolerance`] or after [`Sinkhorn::max_iterations`]. The last step is a plain one over rows, so that
/// these are exact to rounding. `Error::Dimension` where a and b have different dimensions, `Error::Parameter` where their masses differ and
/// marginals are not relaxed; otherwise [`Sinkhorn::check`].
pub fn couple<T: Real>(a: &Cloud<T>, b: &Cloud<T>, settings: &Sinkhorn) -> Result<Coupling<T>> {
    settings.check()?;
    if a.dim() != b.dim() {
        return Err(Error::Dimension { what: "the second set of points".into(), expected: a.dim(), found: b.dim() });
    }
    if settings.relax.is_none() && a.mass() != b.mass() {
        let name = "the mass of the second set of points".into();
        return Err(Error::Parameter { name, value: b.mass(), expected: "that of the first, or relaxed marginals" });
    }
    if let Some(limit) = settings.truncate {
        return Ok(truncated::couple(a, Some(b), settings, false, limit));
    }
    let (mut phi, mut gamma) = (vec![T::ZERO; a.len()], vec![T::ZERO; b.len()]);
    let mut problem = Problem { a, b, settings, epsilon: settings.epsilon, masked: false, kept: None };
    let (mut iterations, mut before) = (0, None);
    for epsilon in schedule(a, b, settings) {
        rescale(&mut phi, before, epsilon);
        rescale(&mut gamma, before, epsilon);
        before = Some(epsilon);
        let until = if epsilon == settings.epsilon { Until::converged::<T>(settings) } else { Until::ROUGH };
        problem.epsilon = epsilon;
        iterations = problem.alternate(until, &mut phi, &mut gamma);
    }
    Ok(problem.coupling(phi, gamma, iterations))
}

/// The plan between a and itself, with f = g; without the pairs (i, i) where `masked`, for which a needs two points.
pub fn couple_with_itself<T: Real>(a: &Cloud<T>, settings: &Sinkhorn, masked: bool) -> Result<Coupling<T>> {
    settings.check()?;
    if masked && a.len() < 2 {
        return Err(Error::Dimension { what: "a set of points without own pairs".into(), expected: 2, found: a.len() });
    }
    if let Some(limit) = settings.truncate {
        return Ok(truncated::couple(a, None, settings, masked, limit));
    }
    let mut phi = vec![T::ZERO; a.len()];
    let mut problem = Problem { a, b: a, settings, epsilon: settings.epsilon, masked, kept: None };
    let (mut end, mut before) = ((0, 0.0, Vec::new()), None);
    for epsilon in schedule(a, a, settings) {
        rescale(&mut phi, before, epsilon);
        before = Some(epsilon);
        let until = if epsilon == settings.epsilon { Until::converged::<T>(settings) } else { Until::ROUGH };
        problem.epsilon = epsilon;
        end = problem.average(until, &mut phi);
    }
    Ok(problem.own_coupling(phi, end))
}

/// The tolerance that the precision allows.
pub(super) fn reachable<T: Real>(settings: &Sinkhorn) -> f64 {
    settings.tolerance.max(400.0 * T::EPSILON.to_f64())
}

/// From the largest cost between the boxes around a and b down to ε.
pub(super) fn schedule<T: Real>(a: &Cloud<T>, b: &Cloud<T>, settings: &Sinkhorn) -> Vec<f64> {
    let around = |c: &Cloud<T>| bounds(c.points(), 0..c.len());
    let ((low, high), (l, h)) = (around(a), around(b));
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
pub(super) fn rescale<T: Real>(phi: &mut [T], before: Option<f64>, epsilon: f64) {
    let Some(before) = before else { return };
    let factor = T::from_f64(before / epsilon);
    phi.iter_mut().for_each(|p| *p *= factor);
}

/// log₂ b + γ, padded.
pub(super) fn weighted<T: Real>(b: &Cloud<T>, gamma: &[T]) -> Vec<T> {
    let mut h = b.log2_weights().to_vec();
    h.iter_mut().zip(gamma).for_each(|(h, g)| *h += *g);
    h
}
