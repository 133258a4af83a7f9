//! Which integrals of T1, T3 and T5 are finite, decided from the tails alone (T7).
//!
//! With the limits a₀, a_∞ of the elasticity at r → 0 and r → ∞, `D_f < ∞` needs `E_q[r^a₀] < ∞` where a₀ < 0 and
//! `E_q[r^a_∞] < ∞` where a_∞ > 1; the dissipation of f along V_g needs the same of the sums of exponents, times |β|².
//! For Gaussian mixtures both are bounds on ρ(θ) = κ_p(θ)/κ_q(θ), the ratio of the widest variances in each direction.

use crate::density::{Density, GaussianMixture};
use crate::divergence::Divergence;
use crate::linalg::{Matrix, SymmetricEigen};
use crate::num::{cos, sin};
use crate::{Error, Result};
use std::sync::Arc;

/// Whether an integral is finite.
#[derive(Debug, Clone, PartialEq)]
pub enum Integral {
    /// It is.
    Finite,
    /// It is not, for this reason: the moment, the direction, the numbers.
    Infinite(String),
    /// The criterion does not decide, for this reason.
    Undecided(String),
}

impl Integral {
    /// The reason why a check must refuse, if it must.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Integral::Finite => None,
            Integral::Infinite(reason) | Integral::Undecided(reason) => Some(reason),
        }
    }
}

/// The powers of r that decide at r → 0 and at r → ∞.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exponents {
    /// At r → 0: a condition where it is negative.
    pub at_zero: f64,
    /// At r → ∞: a condition where it is above 1.
    pub at_infinity: f64,
}

impl Exponents {
    /// a₀ = e(0⁺) and a_∞ = e(∞), read at |l| = 60; [`Error::Unsupported`] where log w - a l has not settled between 30 and 60.
    pub fn of(divergence: &dyn Divergence) -> Result<Self> {
        let limit = |sign: f64| {
            let a = divergence.elasticity(60.0 * sign);
            let rest = |l: f64| divergence.log_weight(sign * l) - a * sign * l;
            if (rest(60.0) - rest(30.0)).abs() < 1e-6 {
                return Ok(a);
            }
            Err(Error::Unsupported {
                what: format!(
                    "the weight of {} has no power-law limit at l = {}60",
                    divergence.name(),
                    if sign > 0.0 { "+" } else { "-" }
                ),
                remedy: "T7 decides for weights between c r^a and C r^a at both ends",
            })
        };
        Ok(Self { at_zero: limit(-1.0)?, at_infinity: limit(1.0)? })
    }

    /// [b, b'] ∋ 0, 1 such that q f(r), q w(r) and what is between are sums of p^a q^(1-a) with a in it; [0, 1] where there is no limit.
    pub fn span(divergence: &dyn Divergence) -> (f64, f64) {
        Self::of(divergence).map_or((0.0, 1.0), |e| (e.at_zero.min(0.0), e.at_infinity.max(1.0)))
    }

    /// Of the product of two weights.
    pub fn plus(self, other: Self) -> Self {
        Self { at_zero: self.at_zero + other.at_zero, at_infinity: self.at_infinity + other.at_infinity }
    }
}

/// Whether D_f(p‖q) is finite.
pub fn value(f: &dyn Divergence, p: &GaussianMixture, q: &GaussianMixture) -> Integral {
    decided(Exponents::of(f), |b| gaussian(b, p, q))
}

/// Whether E_q[w_f w_g |β|²] is finite; E_q|V|² for f = g.
pub fn dissipation(f: &dyn Divergence, g: &dyn Divergence, p: &GaussianMixture, q: &GaussianMixture) -> Integral {
    decided(Exponents::of(f).and_then(|a| Ok(a.plus(Exponents::of(g)?))), |b| gaussian(b, p, q))
}

/// Whether D_f(p‖q) is finite for tails |x|^(-d-ν), such as Student-t with ν degrees of freedom.
pub fn value_of_powers(f: &dyn Divergence, nu_p: f64, nu_q: f64) -> Integral {
    decided(Exponents::of(f), |b| powers(b, nu_p, nu_q, 0.0))
}

/// Whether E_q[w_f w_g |β|²] is finite for such tails.
pub fn dissipation_of_powers(f: &dyn Divergence, g: &dyn Divergence, nu_p: f64, nu_q: f64) -> Integral {
    decided(Exponents::of(f).and_then(|a| Ok(a.plus(Exponents::of(g)?))), |b| powers(b, nu_p, nu_q, 2.0))
}

/// Divergences that are left out, each with the reason.
pub(super) type Refused = Vec<(Arc<dyn Divergence>, String)>;

/// The divergences whose integral is finite, and the others with the reason.
pub(super) fn finite(
    all: &[Arc<dyn Divergence>],
    decide: impl Fn(&Arc<dyn Divergence>) -> Integral,
) -> (Vec<Arc<dyn Divergence>>, Refused) {
    let (mut finite, mut infinite) = (Vec::new(), Vec::new());
    for f in all {
        match decide(f).refusal() {
            None => finite.push(Arc::clone(f)),
            Some(reason) => infinite.push((Arc::clone(f), reason.to_owned())),
        }
    }
    (finite, infinite)
}

/// Whether E_q[r^b] is finite for one power b, positive or negative.
pub(super) fn moment(power: f64, p: &GaussianMixture, q: &GaussianMixture) -> Integral {
    gaussian(Exponents { at_zero: power, at_infinity: power }, p, q)
}

fn decided(exponents: Result<Exponents>, decide: impl Fn(Exponents) -> Integral) -> Integral {
    exponents.map_or_else(|error| Integral::Undecided(error.to_string()), decide)
}

/// T7, part 4: bν_p + (1-b)ν_q + 2k > 0 at the end where r goes; `gain` = 2k. Where b asks for nothing the integral is bounded.
pub(super) fn powers(b: Exponents, nu_p: f64, nu_q: f64, gain: f64) -> Integral {
    let (power, asks) = if nu_p > nu_q { (b.at_zero, b.at_zero < 0.0) } else { (b.at_infinity, b.at_infinity > 1.0) };
    let sum = power * nu_p + (1.0 - power) * nu_q + gain;
    if nu_p == nu_q || !asks || sum > 0.0 {
        return Integral::Finite;
    }
    Integral::Infinite(format!(
        "E_q[r^{power:.3}] diverges: {power:.3}·{nu_p} + (1 - {power:.3})·{nu_q} + {gain} = {sum:.3} ≤ 0"
    ))
}

/// T7, parts 2 and 3.
fn gaussian(b: Exponents, p: &GaussianMixture, q: &GaussianMixture) -> Integral {
    let zero = (b.at_zero < 0.0).then(|| end(b.at_zero, 1.0 - 1.0 / b.at_zero, true, p, q));
    let infinity = (b.at_infinity > 1.0).then(|| end(b.at_infinity, 1.0 - 1.0 / b.at_infinity, false, p, q));
    let mut answers = [zero, infinity].into_iter().flatten().filter(|a| *a != Integral::Finite).collect::<Vec<_>>();
    answers.sort_by_key(|a| matches!(a, Integral::Undecided(_)));
    answers.into_iter().next().unwrap_or(Integral::Finite)
}

/// One end: ρ must stay below (above) the threshold in every direction. The bound on the safe side certifies "finite", one
/// direction on the wrong side "infinite"; on the line equality is decided by the means.
fn end(power: f64, threshold: f64, below: bool, p: &GaussianMixture, q: &GaussianMixture) -> Integral {
    let (bound, directions) = ratio_bound(p, q, below);
    let beyond = |rho: f64| if below { rho > threshold } else { rho < threshold };
    let apart = |rho: f64| (rho - threshold).abs() > 1e-9 * threshold;
    if apart(bound) && !beyond(bound) {
        return Integral::Finite;
    }
    let numbers = |rho: f64| format!("var(q)/var(p) = {rho:.4}, the limit is {threshold:.4}");
    let tail = if below { "q's tail is too heavy" } else { "q's tail is too light" };
    for theta in &directions {
        let rho = tail_precision(p, theta) / tail_precision(q, theta);
        if apart(rho) && beyond(rho) {
            return Integral::Infinite(format!(
                "E_q[r^{power:.3}] diverges, {tail}: along {theta:.3?} {}",
                numbers(rho)
            ));
        }
    }
    if p.dim() == 1 {
        at_equality(power, p, q)
    } else {
        Integral::Undecided(format!("too near the threshold: {}", numbers(bound)))
    }
}

/// κ(θ) = min_k θᵀ P_k θ: the precision of the widest component along θ.
fn tail_precision(m: &GaussianMixture, theta: &[f64]) -> f64 {
    m.factors().iter().map(|c| c.inverse_quadratic_form(theta)).fold(f64::INFINITY, f64::min)
}

/// A bound on the extreme ρ over all directions, max_j min_k Λ_max(P_k, Q_j) or min_k max_j Λ_min(P_k, Q_j), and directions to try.
fn ratio_bound(p: &GaussianMixture, q: &GaussianMixture, below: bool) -> (f64, Vec<Vec<f64>>) {
    let d = p.dim();
    let mut directions: Vec<Vec<f64>> = match d {
        1 => vec![vec![1.0]],
        2 => (0..360).map(|k| std::f64::consts::PI * f64::from(k) / 360.0).map(|t| vec![cos(t), sin(t)]).collect(),
        _ => (0..d).map(|j| (0..d).map(|i| if i == j { 1.0 } else { 0.0 }).collect()).collect(),
    };
    let mut extreme = Matrix::zeros(p.components(), q.components());
    for k in 0..p.components() {
        for j in 0..q.components() {
            let (least, most) = generalised(&p.factors()[k].inverse(), q.factors()[j].lower(), &mut directions);
            extreme[(k, j)] = if below { most } else { least };
        }
    }
    let (rows, columns) = extreme.shape();
    let fold = |it: &mut dyn Iterator<Item = f64>, max: bool| {
        it.fold(if max { f64::NEG_INFINITY } else { f64::INFINITY }, |a, b| if max { a.max(b) } else { a.min(b) })
    };
    let bound = if below {
        fold(&mut (0..columns).map(|j| fold(&mut (0..rows).map(|k| extreme[(k, j)]), false)), true)
    } else {
        fold(&mut (0..rows).map(|k| fold(&mut (0..columns).map(|j| extreme[(k, j)]), true)), false)
    };
    (bound, directions)
}

/// Extreme Λ of P x = Λ Q x, as eigenvalues of LᵀPL with Q⁻¹ = LLᵀ; the eigenvectors L v are added to the directions.
fn generalised(precision: &Matrix, lower: &Matrix, directions: &mut Vec<Vec<f64>>) -> (f64, f64) {
    let d = lower.rows();
    let sandwich = Matrix::from_fn(d, d, |a, b| {
        let term = |i: usize, j: usize| lower[(i, a)] * precision[(i, j)] * lower[(j, b)];
        (0..d).flat_map(|i| (0..d).map(move |j| (i, j))).map(|(i, j)| term(i, j)).sum::<f64>()
    });
    let symmetric = Matrix::from_fn(d, d, |a, b| 0.5 * (sandwich[(a, b)] + sandwich[(b, a)]));
    let eigen = SymmetricEigen::of(&symmetric, "whitened precision").expect("a symmetric matrix");
    for v in 0..d {
        directions.push((0..d).map(|i| (0..d).map(|a| lower[(i, a)] * eigen.vectors[(v, a)]).sum()).collect());
    }
    let fold = |f: fn(f64, f64) -> f64, start| eigen.values.iter().copied().fold(start, f);
    (fold(f64::min, f64::INFINITY), fold(f64::max, f64::NEG_INFINITY))
}

/// T7, part 3: on the line, with bκ_p + (1-b)κ_q = 0, the linear terms bκ_pμ_p + (1-b)κ_qμ_q of the outermost widest components
/// must be negative at +∞ and positive at -∞.
fn at_equality(b: f64, p: &GaussianMixture, q: &GaussianMixture) -> Integral {
    let widest = |m: &GaussianMixture, right: bool| {
        let kappa = tail_precision(m, &[1.0]);
        let means = (0..m.components()).filter(|&k| (m.covariances()[k][(0, 0)] * kappa - 1.0).abs() < 1e-9);
        let means = means.map(|k| m.means()[(k, 0)]);
        kappa * if right { means.fold(f64::NEG_INFINITY, f64::max) } else { means.fold(f64::INFINITY, f64::min) }
    };
    let slope = |right: bool| b * widest(p, right) + (1.0 - b) * widest(q, right);
    let (right, left) = (slope(true), slope(false));
    if right < 0.0 && left > 0.0 {
        return Integral::Finite;
    }
    Integral::Infinite(format!(
        "E_q[r^{b:.3}] diverges at equal exponents: linear terms {right:.3} at +∞ (must be < 0) and {left:.3} at -∞ (must be > 0)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::divergence::{ForwardKl, Neyman, Pearson, ReverseKl};

    fn line(mean: f64, variance: f64) -> GaussianMixture {
        GaussianMixture::new(&[1.0], Matrix::from_rows(&[[mean]]), vec![Matrix::from_rows(&[[variance]])]).unwrap()
    }

    /// Checks the thresholds of T7's table on single Gaussians, 1% to either side, with the moment in the reason.
    #[test]
    fn thresholds_of_the_table() {
        let p = line(0.0, 1.0);
        let finite = |f: &dyn Divergence, rho: f64| value(f, &p, &line(0.3, rho)) == Integral::Finite;
        let energy = |f: &dyn Divergence, rho: f64| dissipation(f, f, &p, &line(0.3, rho)) == Integral::Finite;
        assert!(finite(&Pearson, 0.505) && !finite(&Pearson, 0.495) && finite(&Neyman, 1.98) && !finite(&Neyman, 2.02));
        assert!(
            energy(&Pearson, 0.7575) && !energy(&Pearson, 0.7425) && energy(&Neyman, 1.485) && !energy(&Neyman, 1.515)
        );
        assert!(finite(&ForwardKl, 0.1) && energy(&ForwardKl, 0.505) && !energy(&ForwardKl, 0.495));
        assert!(finite(&ReverseKl, 100.0) && energy(&ReverseKl, 100.0) && energy(&ReverseKl, 0.01));
        let reason = value(&Neyman, &p, &line(0.0, 3.0));
        assert!(reason.refusal().unwrap().contains("E_q[r^-1.000] diverges, q's tail is too heavy"), "{reason:?}");
    }

    /// Checks part 3: at ρ = 1/2 exactly, q = N(0, 1/2) and p = N(m, 1), Pearson's r² q = p²/q has the linear term 2m at both ends,
    /// which is never negative at one and positive at the other.
    #[test]
    fn equality_on_the_line() {
        for m in [-1.0, 0.0, 1.0] {
            assert!(matches!(value(&Pearson, &line(m, 1.0), &line(0.0, 0.5)), Integral::Infinite(_)));
        }
        let two = |a: f64, b: f64, v: f64| {
            let c = Matrix::from_rows(&[[v]]);
            GaussianMixture::new(&[0.5, 0.5], Matrix::from_rows(&[[a], [b]]), vec![c.clone(), c]).unwrap()
        };
        // q's outer means lie outside p's: 2 μ_p - 2 μ_q < 0 at +∞ and > 0 at -∞
        assert_eq!(value(&Pearson, &line(0.0, 1.0), &two(-1.0, 1.0, 0.5)), Integral::Finite);
    }
}
