//! The table of elementary functions: each on the tape and on a number.

use crate::target::formula::families;
use pushforward::autodiff::{Scalar, Var};
use pushforward::num::{Special, atan, cos, cosh, exp, exp_m1, ln, ln_1p, sin, sinh, tan, tanh};

/// A function of one number.
pub(super) struct Elementary {
    pub name: &'static str,
    pub tape: for<'t> fn(Var<'t>) -> Var<'t>,
    pub number: fn(f64) -> f64,
}

const fn elementary(name: &'static str, tape: for<'t> fn(Var<'t>) -> Var<'t>, number: fn(f64) -> f64) -> Elementary {
    Elementary { name, tape, number }
}

/// Every function of one number; `square` and `negate` are also what the parser makes of `^ 2` and of a sign.
pub(super) const TABLE: &[Elementary] = &[
    elementary("exp", |x| x.exp(), exp),
    elementary("log", |x| x.ln(), ln),
    elementary("log1p", |x| x.ln_1p(), ln_1p),
    elementary("expm1", |x| x.exp_m1(), exp_m1),
    elementary("sqrt", |x| x.sqrt(), f64::sqrt),
    elementary("square", |x| x.square(), |x| x * x),
    elementary("abs", |x| x.abs(), f64::abs),
    elementary("sign", |x| x.sign(), Scalar::sign),
    elementary("step", |x| x.step(), Scalar::step),
    elementary("sin", |x| x.sin(), sin),
    elementary("cos", |x| x.cos(), cos),
    elementary("tan", |x| x.sin() / x.cos(), tan),
    elementary("sinh", |x| (x.exp_m1() - (-x).exp_m1()) * 0.5, sinh),
    elementary("cosh", |x| (x.exp() + (-x).exp()) * 0.5, cosh),
    elementary("atan", |x| x.special(Special::Atan), atan),
    elementary("lgamma", |x| x.special(Special::LogGamma), |x| Special::LogGamma.value(x)),
    elementary("digamma", |x| x.special(Special::Polygamma(0)), |x| Special::Polygamma(0).value(x)),
    elementary("erf", |x| x.special(Special::Erf), |x| Special::Erf.value(x)),
    elementary("Phi", |x| x.special(Special::NormalCdf), |x| Special::NormalCdf.value(x)),
    elementary("log_Phi", |x| x.special(Special::LogNormalCdf), |x| Special::LogNormalCdf.value(x)),
    // 0 x is 0 for finite numbers alone
    elementary("isfinite", |x| (x * 0.0 + 1.0).step(), |x| f64::from(u8::from(x.is_finite()))),
    elementary("tanh", |x| x.tanh(), tanh),
    // 1/(1 + e^-x), its logarithm, and log(1 + e^x), none of which overflows
    elementary("sigmoid", |x| x.sigmoid(), Scalar::sigmoid),
    elementary("inv_logit", |x| x.sigmoid(), Scalar::sigmoid),
    elementary("log_sigmoid", |x| -(-x).softplus(), |x| -Scalar::softplus(-x)),
    elementary("softplus", |x| x.softplus(), Scalar::softplus),
    elementary("negate", |x| -x, |x| -x),
];

/// Everything else that can be called; known to the parser.
pub(super) const SPECIAL: &[&str] = &[
    "sum",
    "prod",
    "logsumexp",
    "vector",
    "mean",
    "dot",
    "max",
    "min",
    "length",
    "where",
    "logaddexp",
    "multi_normal_lpdf",
];

/// The place of `name` in the table.
pub(super) fn find(name: &str) -> Option<usize> {
    TABLE.iter().position(|f| f.name == name)
}

/// All names that can be called, for messages.
pub(super) fn names() -> Vec<String> {
    let own = TABLE.iter().map(|f| f.name).chain(SPECIAL.iter().copied()).map(str::to_string);
    own.chain(families::names()).collect()
}

/// Whether `name` can be called.
pub(super) fn is_known(name: &str) -> bool {
    find(name).is_some() || SPECIAL.contains(&name) || families::find(name).is_some()
}
