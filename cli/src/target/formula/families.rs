//! Densities and functions that are written in the language of formulas itself.

use crate::target::formula::build::{Builder, Built};
use crate::target::formula::lexer::tokens;
use crate::target::formula::parser::Parser;
use crate::target::formula::program::Pair;
use crate::target::formula::value::{Axis, COMPONENTS, Data, ROWS, Value};
use pushforward::linalg::{Cholesky, Matrix};
use pushforward::num::ln;

/// What an argument must be. Known numbers are checked when the formula is read; where a variable of a density leaves its support, the density
/// is 0; other numbers that do not fit give NaN, and so a rejected point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Needs {
    Any,
    Positive,
    NonNegative,
    /// (0, 1)
    Unit,
    /// A whole number from 0, and data.
    Count,
    /// 0 or 1, and data.
    Binary,
}

impl Needs {
    /// The first entry that does not fit, and what it should be.
    fn violated(self, entries: &[f64]) -> Option<(f64, &'static str)> {
        let (fits, words): (fn(f64) -> bool, _) = match self {
            Needs::Any => (|_| true, ""),
            Needs::Positive => (|v| v > 0.0, "must be positive"),
            Needs::NonNegative => (|v| v >= 0.0, "must not be negative"),
            Needs::Unit => (|v| 0.0 < v && v < 1.0, "must be between 0 and 1"),
            Needs::Count => (|v| v >= 0.0 && v.fract() == 0.0, "must be a whole number from 0"),
            Needs::Binary => (|v| v == 0.0 || v == 1.0, "must be 0 or 1"),
        };
        entries.iter().find(|v| !fits(**v)).map(|v| (*v, words))
    }

    /// Ends of the support of a variable; the formula is -inf outside.
    fn ends(self) -> (f64, f64) {
        match self {
            Needs::Positive | Needs::NonNegative => (0.0, f64::INFINITY),
            Needs::Unit => (0.0, 1.0),
            _ => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    fn is_discrete(self) -> bool {
        matches!(self, Needs::Count | Needs::Binary)
    }
}

/// How a text of the table is called.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// By its name, entry by entry.
    Function,
    /// By NAME_lpdf, the sum over the entries, NAME_lpdf_each, entry by entry, and y ~ NAME(…); for counts _lpmf.
    Density,
    /// The same for a whole vector, without _each.
    Whole,
}

/// A formula of named arguments.
#[derive(Debug)]
pub(super) struct Family {
    pub name: &'static str,
    pub kind: Kind,
    /// Name in the text, words for the user, and what it must be; of a density the variable first.
    pub arguments: &'static [(&'static str, &'static str, Needs)],
    text: &'static str,
}

use Kind::{Density, Function, Whole};
use Needs::{Any, Binary, Count, NonNegative, Positive, Unit};

type Argument = (&'static str, &'static str, Needs);
const Y: Argument = ("y", "y", Any);
const ABOVE: Argument = ("y", "y", Positive);
const FROM_ZERO: Argument = ("y", "y", NonNegative);
const COUNT: Argument = ("y", "y", Count);
const MEAN: Argument = ("m", "location", Any);
const SCALE: Argument = ("s", "scale", Positive);
const SHAPE: Argument = ("a", "shape", Positive);

const fn family(name: &'static str, kind: Kind, arguments: &'static [Argument], text: &'static str) -> Family {
    Family { name, kind, arguments, text }
}

/// Every one; arguments in Stan's order, normalised.
pub(super) const FAMILIES: &[Family] = &[
    family("normal", Density, &[Y, MEAN, SCALE], "-0.5*((y - m)/s)^2 - log(s) - 0.5*log(2*pi)"),
    family(
        "student_t",
        Density,
        &[Y, ("n", "degrees of freedom", Positive), MEAN, SCALE],
        "lgamma((n + 1)/2) - lgamma(n/2) - 0.5*log(n*pi) - log(s) - (n + 1)/2*log1p(((y - m)/s)^2/n)",
    ),
    family("cauchy", Density, &[Y, MEAN, SCALE], "-log1p(((y - m)/s)^2) - log(s) - log(pi)"),
    family("laplace", Density, &[Y, MEAN, SCALE], "-abs(y - m)/s - log(2*s)"),
    family("logistic", Density, &[Y, MEAN, SCALE], "-(y - m)/s - log(s) - 2*softplus(-(y - m)/s)"),
    family("half_normal", Density, &[FROM_ZERO, SCALE], "-0.5*(y/s)^2 - log(s) + 0.5*log(2/pi)"),
    family("half_cauchy", Density, &[FROM_ZERO, SCALE], "-log1p((y/s)^2) - log(s) + log(2/pi)"),
    family(
        "half_student_t",
        Density,
        &[FROM_ZERO, ("n", "degrees of freedom", Positive), SCALE],
        "student_t_lpdf_each(y, n, 0, s) + log(2)",
    ),
    family("exponential", Density, &[FROM_ZERO, ("b", "rate", Positive)], "log(b) - b*y"),
    family("gamma", Density, &[ABOVE, SHAPE, ("b", "rate", Positive)], "a*log(b) - lgamma(a) + (a - 1)*log(y) - b*y"),
    family("inv_gamma", Density, &[ABOVE, SHAPE, SCALE], "a*log(s) - lgamma(a) - (a + 1)*log(y) - s/y"),
    family("weibull", Density, &[ABOVE, SHAPE, SCALE], "log(a) - log(s) + (a - 1)*log(y/s) - (y/s)^a"),
    family("chi_square", Density, &[ABOVE, ("n", "degrees of freedom", Positive)], "gamma_lpdf_each(y, n/2, 0.5)"),
    family("lognormal", Density, &[ABOVE, MEAN, SCALE], "normal_lpdf_each(log(y), m, s) - log(y)"),
    family(
        "beta",
        Density,
        &[("y", "y", Unit), SHAPE, ("b", "second shape", Positive)],
        "(a - 1)*log(y) + (b - 1)*log1p(-y) - lbeta(a, b)",
    ),
    family(
        "uniform",
        Density,
        &[Y, ("a", "lower end", Any), ("b", "upper end", Any)],
        "where(y >= a && y <= b, -log(b - a), -inf)",
    ),
    family("poisson", Density, &[COUNT, ("l", "rate", Positive)], "y*log(l) - l - lgamma(y + 1)"),
    family("poisson_log", Density, &[COUNT, ("e", "log rate", Any)], "y*e - exp(e) - lgamma(y + 1)"),
    family(
        "neg_binomial_2",
        Density,
        &[COUNT, ("l", "mean", Positive), ("k", "precision", Positive)],
        "neg_binomial_2_log_lpmf_each(y, log(l), k)",
    ),
    family(
        "neg_binomial_2_log",
        Density,
        &[COUNT, ("e", "log mean", Any), ("k", "precision", Positive)],
        "lgamma(y + k) - lgamma(k) - lgamma(y + 1) - k*softplus(e - log(k)) - y*softplus(log(k) - e)",
    ),
    family(
        "binomial",
        Density,
        &[COUNT, ("n", "trials", Count), ("p", "probability", Unit)],
        "lchoose(n, y) + y*log(p) + (n - y)*log1p(-p)",
    ),
    family(
        "binomial_logit",
        Density,
        &[COUNT, ("n", "trials", Count), ("e", "log odds", Any)],
        "lchoose(n, y) - y*softplus(-e) - (n - y)*softplus(e)",
    ),
    family("bernoulli", Density, &[("y", "y", Binary), ("p", "probability", Unit)], "y*log(p) + (1 - y)*log1p(-p)"),
    family("bernoulli_logit", Density, &[("y", "y", Binary), ("e", "log odds", Any)], "y*e - softplus(e)"),
    family("bernoulli_probit", Density, &[("y", "y", Binary), ("e", "probit", Any)], "log_Phi((2*y - 1)*e)"),
    family(
        "dirichlet",
        Whole,
        &[("y", "y", Unit), ("a", "concentrations", Positive)],
        "sum((a - 1)*log(y)) + lgamma(sum(a)) - sum(lgamma(a))",
    ),
    family("log1m", Function, &[("y", "x", Any)], "log1p(-y)"),
    family("log1m_exp", Function, &[("y", "x", Any)], "log(-expm1(y))"),
    family("logit", Function, &[("y", "p", Any)], "log(y) - log1p(-y)"),
    family("logdiffexp", Function, &[("a", "a", Any), ("b", "b", Any)], "a + log1m_exp(b - a)"),
    family(
        "log_mix",
        Function,
        &[("p", "weight", Any), ("a", "a", Any), ("b", "b", Any)],
        "logaddexp(log(p) + a, log1p(-p) + b)",
    ),
    family("lbeta", Function, &[("a", "a", Any), ("b", "b", Any)], "lgamma(a) + lgamma(b) - lgamma(a + b)"),
    family(
        "lchoose",
        Function,
        &[("n", "n", Any), ("k", "k", Any)],
        "lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)",
    ),
];

/// What a name calls: a family, and whether its entries are summed.
pub(super) fn find(name: &str) -> Option<(&'static Family, bool)> {
    let by = |name: &str, density: bool| FAMILIES.iter().find(|f| f.name == name && (f.kind != Function) == density);
    let (stem, each) = name.strip_suffix("_each").map_or((name, false), |stem| (stem, true));
    match stem.strip_suffix("_lpdf").map(|s| (s, false)).or(stem.strip_suffix("_lpmf").map(|s| (s, true))) {
        Some((stem, counts)) => by(stem, true)
            .filter(|f| f.arguments[0].2.is_discrete() == counts && !(each && f.kind == Whole))
            .map(|f| (f, !each && f.kind == Density)),
        None => by(name, false).map(|f| (f, false)),
    }
}

/// The family of y ~ NAME(…).
pub(super) fn by_name(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|f| f.name == name && f.kind != Function)
}

/// All names that can be called.
pub(super) fn names() -> Vec<String> {
    let calls = |f: &Family| {
        let end = if f.arguments[0].2.is_discrete() { "_lpmf" } else { "_lpdf" };
        match f.kind {
            Function => vec![f.name.to_string()],
            Whole => vec![format!("{}{end}", f.name)],
            Density => vec![format!("{}{end}", f.name), format!("{}{end}_each", f.name)],
        }
    };
    FAMILIES.iter().flat_map(calls).collect()
}

impl Parser<'_> {
    /// `family` of these arguments, called as `name`.
    pub(super) fn family(&mut self, family: &'static Family, sum: bool, name: &str, arguments: &[Value]) -> Built {
        let needed = family.arguments;
        if arguments.len() != needed.len() {
            let words: Vec<&str> = needed.iter().map(|a| a.1).collect();
            let plural = if needed.len() == 1 { "" } else { "s" };
            let (n, found) = (needed.len(), arguments.len());
            return Err(format!("{name} takes {n} argument{plural} ({}), not {found}", words.join(", ")));
        }
        let arguments: Vec<Value> = arguments.iter().map(flat).collect();
        for ((_, words, needs), value) in needed.iter().zip(&arguments) {
            match &value.data {
                Data::Known(entries) => {
                    if let Some((v, must)) = needs.violated(entries) {
                        return Err(format!("{words} of {name} is {v} and {must}"));
                    }
                }
                Data::Computed(_) if needs.is_discrete() => {
                    return Err(format!(
                        "{words} of {name} must be data, not a parameter: counts cannot be learnt; sum over them by logsumexp"
                    ));
                }
                Data::Computed(_) => {}
            }
        }
        let value = self.text(family, &arguments).map_err(|why| format!("{name}: {why}"))?;
        let value = match family.kind {
            Function => value,
            _ => self.builder.inside(&arguments[0], needed[0].2.ends(), &value)?,
        };
        match value.components() {
            Some(len) if sum => self.builder.reduce("sum", &value, Axis { id: COMPONENTS, len }),
            _ => Ok(value),
        }
    }

    /// The text of a family where its names have these values.
    fn text(&mut self, family: &'static Family, arguments: &[Value]) -> Built {
        let tokens = tokens(family.text).map_err(|mistake| mistake.sentence)?;
        let named = family.arguments.iter().zip(arguments).map(|(a, value)| (a.0.to_string(), value.clone()));
        let constants = self.scope.iter().filter(|(name, _)| name == "pi" || name == "inf").cloned();
        let scope = constants.chain(named).collect();
        let outer = (std::mem::replace(&mut self.tokens, tokens), self.at, std::mem::replace(&mut self.scope, scope));
        self.at = 0;
        let value = self.expression();
        (self.tokens, self.at, self.scope) = outer;
        value.map_err(|mistake| mistake.sentence)
    }

    /// log N(y; m, C) of whole vectors with a known covariance matrix C.
    pub(super) fn multi_normal(&mut self, y: &Value, mean: &Value, covariance: &Value) -> Built {
        let d = y.components().filter(|_| y.axes.len() == 1).ok_or("y of multi_normal_lpdf must be a vector")?;
        let Data::Known(entries) = &covariance.data else {
            return Err(format!("the covariance of multi_normal_lpdf must be data; {ELSEWHERE}"));
        };
        if entries.len() != d * d || !covariance.has(ROWS) {
            return Err(format!(
                "y has {d} numbers and the covariance is {}; give a {d}×{d} matrix",
                covariance.words()
            ));
        }
        let c = Matrix::from_vec(d, d, entries.clone());
        let factor = Cholesky::factor(&c, "the covariance").map_err(|e| format!("multi_normal_lpdf: {e}"))?;
        // z = L⁻¹ (y - m), by forward substitution from the unit vectors
        let (lower, mut whitening) = (factor.lower(), Matrix::zeros(d, d));
        for (i, j) in (0..d).flat_map(|i| (0..=i).map(move |j| (i, j))) {
            let before: f64 = (j..i).map(|k| lower[(i, k)] * whitening[(k, j)]).sum();
            whitening[(i, j)] = (f64::from(u8::from(i == j)) - before) / lower[(i, i)];
        }
        let centred = self.builder.pair(Pair::Sub, y, mean)?;
        let z = self.builder.dot(&Value::matrix(d, whitening.into_vec()), &centred)?;
        let square = self.builder.call("square", &z)?;
        let sum = self.builder.reduce("sum", &square, Axis { id: COMPONENTS, len: d })?;
        let half = self.builder.pair(Pair::Mul, &sum, &Value::number(-0.5))?;
        let constant = -0.5 * (factor.log_det() + d as f64 * ln(std::f64::consts::TAU));
        self.builder.pair(Pair::Add, &half, &Value::number(constant))
    }
}

/// What formulas leave to others.
pub(super) const ELSEWHERE: &str = "formulas have no loops with state, factorisations or linear solves; write such a model (GARCH, ARMA, \
    hidden Markov, Gaussian process) in Stan (kind = \"stan-library\") or as a function in Python or Rust";

/// Names that others have for what is not here.
pub(super) const MISSING: &[&str] = &[
    "cholesky",
    "cholesky_decompose",
    "cov_exp_quad",
    "cumsum",
    "cumulative_sum",
    "det",
    "determinant",
    "eigenvalues",
    "for",
    "gp_exp_quad_cov",
    "if",
    "inv",
    "inverse",
    "lkj_corr_cholesky_lpdf",
    "lkj_corr_lpdf",
    "log_determinant",
    "mdivide_left",
    "mdivide_left_spd",
    "multi_normal_cholesky_lpdf",
    "ode_rk45",
    "solve",
    "while",
];

/// The vector of all entries of a matrix; other values as they are.
fn flat(value: &Value) -> Value {
    let axes = &value.axes[..];
    match axes {
        [rows, columns] if rows.id == ROWS && columns.id == COMPONENTS => {
            Value { axes: vec![Axis { id: COMPONENTS, len: rows.len * columns.len }], data: value.data.clone() }
        }
        _ => value.clone(),
    }
}

impl Builder {
    /// `value` where y is between `low` and `high`, -inf elsewhere; `value` itself where y is known to be there.
    fn inside(&mut self, y: &Value, (low, high): (f64, f64), value: &Value) -> Built {
        let Data::Computed(id) = y.data else { return Ok(value.clone()) };
        let (from, to) = self.bounds.get(&id).copied().unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        if from >= low && to <= high {
            return Ok(value.clone());
        }
        let mut mask = self.compare('≥', y, &Value::number(low))?;
        if high.is_finite() {
            let below = self.compare('≤', y, &Value::number(high))?;
            mask = self.pair(Pair::Mul, &mask, &below)?;
        }
        if let (Some(len), None) = (mask.components(), value.components()) {
            // of a whole vector: every entry is inside
            mask = self.reduce("prod", &mask, Axis { id: COMPONENTS, len })?;
        }
        self.select(&mask, value, &Value::number(f64::NEG_INFINITY))
    }
}
