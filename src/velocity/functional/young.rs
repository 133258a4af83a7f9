//! Young functions: what a field costs, and the field that a gradient asks for.

mod asinh;
mod cosh;
mod power;

use crate::autodiff::Var;
use crate::linalg::Matrix;
use crate::{Error, Result};
use asinh::Asinh;
use cosh::Cosh;
use power::Power;
use std::fmt::Debug;
use std::sync::Arc;

/// A Young function g₀ of one coordinate: even, strictly convex, 0 at 0, finite everywhere as its conjugate is.
trait Shape: Debug + Send + Sync {
    /// Its name in the settings.
    fn name(&self) -> &'static str;
    /// g₀(f).
    fn cost(&self, f: f64) -> f64;
    /// g₀'(f).
    fn gradient(&self, f: f64) -> f64;
    /// g₀''(f), f > 0.
    fn curvature(&self, f: f64) -> f64;
    /// (g₀*)'(s), the inverse of g₀'.
    fn velocity(&self, s: f64) -> f64;
    /// g₀ of each entry; `floor` is what to add to f² where a derivative has no bound at 0.
    fn on_tape<'t>(&self, f: Var<'t>, floor: Var<'t>) -> Var<'t>;
    /// p, where g₀ = |f|^p/p.
    fn exponent(&self) -> Option<f64> {
        None
    }
}

/// All shapes, powers with the exponent p: the line to add for a new one.
fn shapes(p: f64) -> [Arc<dyn Shape>; 3] {
    [Arc::new(Power { p }), Arc::new(Cosh), Arc::new(Asinh)]
}

/// g(f) = Σ_k m_k g₀(f_k/m_k) with conjugate g*(s) = Σ_k m_k g₀*(s_k). For g₀ = |f|^p/p, p > 1, that is (1/p) Σ |f_k|^p/m_k^{p-1} and
/// (1/q) Σ m_k |s_k|^q, 1/p + 1/q = 1; for p = 2 the metric ½ Σ f_k²/m_k.
#[derive(Debug, Clone)]
pub struct Young {
    shape: Arc<dyn Shape>,
    /// m; all 1 where empty.
    scale: Vec<f64>,
}

impl Young {
    /// The power with exponent p > 1, and m = `scale` (empty for 1). `Error::Parameter` where p ≤ 1 or an m_k is not positive.
    pub fn new(p: f64, scale: Vec<f64>) -> Result<Self> {
        Self::named("power", p, scale)
    }

    /// The shape of that name: "power"; "cosh", g₀* = cosh s - 1; or "asinh", g₀ = cosh f - 1. Errors as those of [`Young::new`], and
    /// `Error::UnknownName`.
    pub fn named(name: &str, p: f64, scale: Vec<f64>) -> Result<Self> {
        if !(p > 1.0 && p.is_finite()) {
            return Err(Error::Parameter { name: "p".into(), value: p, expected: "a number above 1" });
        }
        if let Some(&value) = scale.iter().find(|m| !(**m > 0.0 && m.is_finite())) {
            return Err(Error::Parameter { name: "precondition".into(), value, expected: "positive finite numbers" });
        }
        let all = shapes(p);
        let known: Vec<&str> = all.iter().map(|s| s.name()).collect();
        let unknown = Error::unknown_name("Young function", name, &known);
        let shape = all.into_iter().find(|s| s.name() == name).ok_or(unknown)?;
        Ok(Self { shape, scale })
    }

    /// The power with another exponent, p > 1.
    pub(super) fn with_exponent(&self, p: f64) -> Result<Self> {
        Self::new(p, self.scale.clone())
    }

    /// p, of a power.
    pub fn p(&self) -> Option<f64> {
        self.shape.exponent()
    }

    /// q = p/(p - 1), of a power.
    pub fn q(&self) -> Option<f64> {
        self.p().map(|p| p / (p - 1.0))
    }

    /// m_k.
    pub(super) fn scale(&self, k: usize) -> f64 {
        self.scale.get(k).copied().unwrap_or(1.0)
    }

    pub(super) fn coordinates(&self) -> usize {
        self.scale.len()
    }

    /// ∇g*(s)_k; for a power m_k sign(s_k) |s_k|^{q-1}.
    pub fn velocity(&self, s: f64, k: usize) -> f64 {
        self.scale(k) * self.shape.velocity(s)
    }

    /// ∇g(f)_k, the inverse of [`Young::velocity`]; for a power sign(f_k) |f_k/m_k|^{p-1}.
    pub fn gradient(&self, f: f64, k: usize) -> f64 {
        self.shape.gradient(f / self.scale(k))
    }

    /// g(f)_k.
    pub fn cost(&self, f: f64, k: usize) -> f64 {
        self.scale(k) * self.shape.cost(f / self.scale(k))
    }

    /// ∂²g/∂f_k² at f > 0.
    pub(super) fn curvature(&self, f: f64, k: usize) -> f64 {
        self.shape.curvature(f / self.scale(k)) / self.scale(k)
    }

    /// Σ g(f) over the rows of f; `floor`: [`Shape::on_tape`], of the size of f².
    pub(super) fn on_tape<'t>(&self, f: Var<'t>, floor: &Matrix) -> Var<'t> {
        let tape = f.tape();
        if self.scale.is_empty() {
            return self.shape.on_tape(f, tape.leaf(floor)).sum();
        }
        let of = |power: i32| {
            Matrix::from_fn(floor.rows(), floor.cols(), |i, k| match power {
                -2 => floor[(i, k)] / (self.scale[k] * self.scale[k]),
                _ => self.scale[k].powi(power),
            })
        };
        let cost = self.shape.on_tape(f * tape.leaf(&of(-1)), tape.leaf(&of(-2)));
        (cost * tape.leaf(&of(1))).sum()
    }
}
