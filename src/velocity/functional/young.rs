//! Young functions: what a field costs, and the field that a gradient asks for.

use crate::num::powf;
use crate::{Error, Result};

/// g(f) = (1/p) Σ_k |f_k|^p/m_k^{p-1}, p > 1, with conjugate g*(s) = (1/q) Σ_k m_k |s_k|^q, 1/p + 1/q = 1. For p = 2 it is the
/// metric ½ Σ f_k²/m_k.
#[derive(Debug, Clone, PartialEq)]
pub struct Young {
    p: f64,
    /// m; all 1 where empty.
    scale: Vec<f64>,
}

impl Young {
    /// With exponent p > 1 and m = `scale` (empty for 1). `Error::Parameter` where p ≤ 1 or an m_k is not positive.
    pub fn new(p: f64, scale: Vec<f64>) -> Result<Self> {
        if !(p > 1.0 && p.is_finite()) {
            return Err(Error::Parameter { name: "p".into(), value: p, expected: "a number above 1" });
        }
        if let Some(&value) = scale.iter().find(|m| !(**m > 0.0 && m.is_finite())) {
            return Err(Error::Parameter { name: "precondition".into(), value, expected: "positive finite numbers" });
        }
        Ok(Self { p, scale })
    }

    /// p.
    pub fn p(&self) -> f64 {
        self.p
    }

    /// q = p/(p - 1).
    pub fn q(&self) -> f64 {
        self.p / (self.p - 1.0)
    }

    /// m_k.
    pub(super) fn scale(&self, k: usize) -> f64 {
        self.scale.get(k).copied().unwrap_or(1.0)
    }

    pub(super) fn coordinates(&self) -> usize {
        self.scale.len()
    }

    /// ∇g*(s)_k = m_k sign(s_k) |s_k|^{q-1}.
    pub fn velocity(&self, s: f64, k: usize) -> f64 {
        self.scale(k) * powf(s.abs(), self.q() - mutant!("young-exponent", 0.0, 1.0)).copysign(s)
    }

    /// ∇g(f)_k = sign(f_k) |f_k/m_k|^{p-1}: the inverse of [`Young::velocity`].
    pub fn gradient(&self, f: f64, k: usize) -> f64 {
        powf(f.abs() / self.scale(k), self.p - 1.0).copysign(f)
    }

    /// g(f)_k.
    pub(super) fn cost(&self, f: f64, k: usize) -> f64 {
        powf(f.abs(), self.p) / (self.p * powf(self.scale(k), self.p - 1.0))
    }
}
