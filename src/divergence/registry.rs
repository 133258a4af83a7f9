//! All divergences by name.

use super::*;
use crate::{Error, Result};
use std::sync::Arc;

/// Every row of the table of f-divergences, in its order; alpha stands for its family with α = 0.3.
pub fn all_divergences() -> Vec<Arc<dyn Divergence>> {
    vec![
        Arc::new(ReverseKl),
        Arc::new(ForwardKl),
        Arc::new(Jeffreys),
        Arc::new(Pearson),
        Arc::new(Neyman),
        Arc::new(Hellinger),
        Arc::new(JensenShannon),
        Arc::new(Gan),
        Arc::new(LeCam),
        Arc::new(Alpha::new(0.3)),
    ]
}

/// The divergence of that name, such as "reverse-kl", "le-cam" or "alpha:0.3"; or "lv-surrogate" ([`LvSurrogate`]), which is none of
/// the table; or typed as a formula such as "f(u) = u*log(u)" or "w(u) = u^0.7" ([`parse`]).
///
/// Errors: an unknown name comes back with the near ones; "alpha" without a number with the range; "total-variation" with
/// the reason why it has no drift.
pub fn by_name(name: &str) -> Result<Arc<dyn Divergence>> {
    if name.contains('=') {
        return Ok(Arc::new(parse(name)?));
    }
    if let Some(exponent) = name.strip_prefix("alpha").filter(|rest| rest.is_empty() || rest.starts_with(':')) {
        let value = exponent.strip_prefix(':').and_then(|s| s.parse::<f64>().ok()).unwrap_or(f64::NAN);
        return if value.is_finite() { Ok(Arc::new(Alpha::new(value))) } else { Err(bad_alpha(name)) };
    }
    if name == "total-variation" {
        return Err(Error::Unsupported {
            what:
                "total variation, f(u) = |u-1|/2, has f'' = 0 for u ≠ 1 and none at 1: no weight w = r² f'', no drift"
                    .into(),
            remedy: "use le-cam, between whose D/2 and √(D/2) total variation lies",
        });
    }
    let mut all = all_divergences();
    all.push(Arc::new(LvSurrogate::new(0.0)));
    let known: Vec<&str> =
        all.iter().map(|d| d.name()).filter(|n| !n.starts_with("alpha")).chain(["alpha:0.3"]).collect();
    all.iter().find(|d| d.name() == name).cloned().ok_or_else(|| Error::unknown_name("divergence", name, &known))
}

/// "alpha" with a missing or unreadable number.
fn bad_alpha(name: &str) -> Error {
    Error::Unsupported {
        what: format!("the divergence '{name}' needs a finite number α"),
        remedy: "write it after a colon, such as 'alpha:0.3' (0 is reverse KL, 1 forward KL)",
    }
}
