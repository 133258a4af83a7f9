use super::{Alpha, Divergence};
use crate::{Error, Result};
use std::str::FromStr;

/// The weight `w = c r^a` with c > 0: c times the alpha divergence of exponent a.
///
/// Parsed from "c*r^a" (also "r^a", "c*r", "r", "c"), as in `--weight 'r^0.7'`. The factor c only changes the unit of time.
#[derive(Debug, Clone)]
pub struct Power {
    scale: f64,
    unit: Alpha,
    name: String,
}

impl Power {
    /// w = scale · r^exponent; an error unless scale is positive and both are finite.
    pub fn new(scale: f64, exponent: f64) -> Result<Self> {
        let bad = |name: &str, value, expected| Err(Error::Parameter { name: name.into(), value, expected });
        if !(scale > 0.0 && scale.is_finite()) {
            return bad("scale of the weight", scale, "a positive number");
        }
        if !exponent.is_finite() {
            return bad("exponent of the weight", exponent, "a finite number");
        }
        let factor = if scale == 1.0 { String::new() } else { format!("{scale}*") };
        Ok(Self { scale, unit: Alpha::new(exponent), name: format!("{factor}r^{exponent}") })
    }
}

impl FromStr for Power {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unreadable = || Error::Unsupported {
            what: format!("the weight '{text}' is not of the form c*r^a"),
            remedy: "write a positive number c and an exponent a, such as 'r^0.7' or '2*r^-1'",
        };
        let number = |s: &str| s.trim().parse::<f64>().map_err(|_| unreadable());
        let (scale, power) = match text.split_once('*') {
            Some((scale, power)) => (number(scale)?, power.trim()),
            None if text.contains('r') => (1.0, text.trim()),
            None => return Self::new(number(text)?, 0.0),
        };
        let exponent = match power.strip_prefix('r').ok_or_else(unreadable)?.trim() {
            "" => 1.0,
            rest => number(rest.strip_prefix('^').ok_or_else(unreadable)?)?,
        };
        Self::new(scale, exponent)
    }
}

impl Divergence for Power {
    fn name(&self) -> &str {
        &self.name
    }
    fn formula(&self) -> String {
        format!("{} times alpha with α = {}: {}", self.scale, self.unit.alpha(), self.unit.formula())
    }
    fn weight_formula(&self) -> String {
        self.name.clone()
    }
    fn elasticity_formula(&self) -> String {
        self.unit.alpha().to_string()
    }
    fn f(&self, l: f64) -> f64 {
        self.scale * self.unit.f(l)
    }
    fn u_df(&self, l: f64) -> f64 {
        self.scale * self.unit.u_df(l)
    }
    fn first_variation(&self, l: f64) -> f64 {
        self.scale * self.unit.first_variation(l)
    }
    fn log_weight(&self, l: f64) -> f64 {
        self.scale.ln() + self.unit.log_weight(l)
    }
    fn elasticity(&self, l: f64) -> f64 {
        self.unit.elasticity(l)
    }
}
