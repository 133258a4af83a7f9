//! The debiased divergence and its gradient.

use crate::error::Result;
use crate::linalg::Matrix;
use crate::num::Real;
use crate::transport::{Cloud, Coupling, Sinkhorn, couple, couple_with_itself};
use std::cmp::Ordering;

/// S_ε(a, b) with the three plans that it is made of.
#[derive(Debug, Clone)]
pub struct Divergence<T = f64> {
    /// S_ε(a, b) = OT_ε(a, b) - ½ OT_ε(a, a) - ½ OT_ε(b, b) + ½ ε (Σ a - Σ b)², in units of the cost; ½ W₂² in the limit ε → 0 of ½ |x - y|².
    pub value: f64,
    /// The plan between a and b.
    pub cross: Coupling<T>,
    /// That between a and itself.
    pub first: Coupling<T>,
    /// That between b and itself.
    pub second: Coupling<T>,
}

/// S_ε(a, b).
///
/// Symmetric to the last bit: of two clouds the lesser in a fixed order begins. S_ε(a, a) is 0 to the square of the tolerance. Errors are
/// those of [`couple`].
pub fn divergence<T: Real>(a: &Cloud<T>, b: &Cloud<T>, settings: &Sinkhorn) -> Result<Divergence<T>> {
    let cross = || match a.compare(b) {
        Ordering::Greater => couple(b, a, settings).map(Coupling::transposed),
        _ => couple(a, b, settings),
    };
    let own = |cloud| move || couple_with_itself(cloud, settings, false);
    // side by side, so that threads need not meet at the end of each sweep
    let (cross, (first, second)) = rayon::join(cross, || rayon::join(own(a), own(b)));
    let (cross, first, second) = (cross?, first?, second?);
    // x + y = y + x to the last bit, x - y - z not
    let transport = cross.value - mutant!("sinkhorn-value", 1.0, 0.5) * (first.value + second.value);
    let value = transport + 0.5 * settings.epsilon * (a.mass() - b.mass()).powi(2);
    Ok(Divergence { value, cross, first, second })
}

impl<T: Real> Divergence<T> {
    /// The gradient of S_ε(a, b) in the points of a, each over its weight: n×d.
    ///
    /// For ½ |x - y|² it is T_aa(x_i) - T_ab(x_i), the difference of the barycentric projections. By the envelope theorem, so no
    /// iteration is differentiated; exact to the error of the marginals.
    pub fn gradient(&self, a: &Cloud<T>, b: &Cloud<T>) -> Matrix<T> {
        let mut out = self.cross.gradient(a, b);
        out.add_scaled(mutant!("own-plan-dropped", T::ZERO, -T::ONE), &self.first.gradient(a, a));
        out
    }

    /// S_ε(a, b) is within this of the value, wherever iterations stopped and whatever was left out; to rounding.
    ///
    /// Each OT_ε lies between its dual, less ε times the mass that was left out, and the cost of a plan with the right marginals
    /// ([`Coupling::above`]).
    pub fn error_bound(&self) -> f64 {
        let epsilon = self.cross.settings.epsilon;
        let over = |c: &Coupling<T>| epsilon * c.skipped;
        let under = |c: &Coupling<T>| (c.above - c.value).max(0.0);
        let own = |f: &dyn Fn(&Coupling<T>) -> f64| 0.5 * (f(&self.first) + f(&self.second));
        (under(&self.cross) + own(&over)).max(over(&self.cross) + own(&under))
    }

    /// The largest of the three marginal errors.
    pub fn marginal_error(&self) -> f64 {
        self.cross.marginal_error.max(self.first.marginal_error).max(self.second.marginal_error)
    }

    /// Whether all three plans reached the tolerance.
    pub fn converged(&self) -> bool {
        [&self.cross, &self.first, &self.second].iter().all(|c| c.converged())
    }
}
