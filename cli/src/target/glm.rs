//! Generalised linear models with the usual priors, as formulas over a table of data: eta = X b + offsets of groups + log exposure.

use crate::target::coordinates::{Coordinates, Named};
use crate::target::formula::value::Value;
use crate::target::formula::{self, Parameters};
use crate::target::{Described, Reason};
use pushforward::linalg::Matrix;
use pushforward::num::ln;
use std::sync::Arc;

/// How a response follows from eta.
pub(super) struct Family {
    /// The kind of the target file.
    pub kind: &'static str,
    /// Parameters beside the coefficients, all positive, with their priors; `noise_scale` stands for the key.
    pub positive: &'static [(&'static str, &'static str)],
    likelihood: &'static str,
}

/// Every family; the first two have densities of their own in the library where there are no groups.
pub(super) const FAMILIES: &[Family] = &[
    Family { kind: "logistic-regression", positive: &[], likelihood: "y ~ bernoulli_logit(eta)" },
    Family { kind: "linear-regression", positive: &[NOISE], likelihood: "y ~ normal(eta, sigma)" },
    Family { kind: "probit-regression", positive: &[], likelihood: "y ~ bernoulli_probit(eta)" },
    Family { kind: "poisson-regression", positive: &[], likelihood: "y ~ poisson_log(eta)" },
    Family {
        kind: "negative-binomial-regression",
        positive: &[("phi", "exponential(1)")],
        likelihood: "y ~ neg_binomial_2_log(eta, phi)",
    },
    // the prior of the degrees of freedom is that of Juárez and Steel (2010)
    Family {
        kind: "student-t-regression",
        positive: &[NOISE, ("nu", "gamma(2, 0.1)")],
        likelihood: "y ~ student_t(nu, eta, sigma)",
    },
];

const NOISE: (&str, &str) = ("sigma", "half_normal(noise_scale)");

impl Family {
    /// Whether the noise has a scale.
    pub fn has_noise(&self) -> bool {
        self.positive.contains(&NOISE)
    }

    /// Whether the response counts or says yes and no.
    pub fn is_discrete(&self) -> bool {
        !self.has_noise()
    }
}

/// What a model is made of.
pub(super) struct Data {
    /// N×k, with a name for each column.
    pub design: Matrix,
    pub names: Vec<String>,
    /// N numbers.
    pub response: Vec<f64>,
    pub prior_scale: f64,
    pub noise_scale: f64,
    /// The name of the column of groups, the group of each row, and what the prior of their spread is.
    pub groups: Option<(String, Vec<f64>, f64)>,
    /// N positive numbers.
    pub exposure: Option<Vec<f64>>,
}

/// The posterior of `data` in a `family`, and its formula.
pub(super) fn describe(family: &Family, data: Data) -> Result<Described, Reason> {
    let (n, k) = data.design.shape();
    let mut table = toml::Table::new();
    let mut parameter = |name: &str, size: Option<usize>, positive: bool| {
        let mut keys = toml::Table::new();
        size.map(|size| keys.insert("size".into(), toml::Value::Integer(size as i64)));
        positive.then(|| keys.insert("support".into(), "positive".into()));
        table.insert(name.into(), toml::Value::Table(keys));
    };
    parameter("b", Some(k), false);
    family.positive.iter().for_each(|(name, _)| parameter(name, None, true));
    let mut constants = vec![
        ("X".to_string(), Value::matrix(n, data.design.into_vec())),
        ("y".to_string(), Value::vector(data.response)),
        ("prior_scale".to_string(), Value::number(data.prior_scale)),
        ("noise_scale".to_string(), Value::number(data.noise_scale)),
    ];
    let mut names = data.names;
    names.extend(family.positive.iter().map(|(name, _)| name.to_string()));
    let (mut eta, mut priors) = ("dot(X, b)".to_string(), String::new());
    let mut generated = Vec::new();
    if let Some((column, rows, scale)) = data.groups {
        let mut levels = rows.clone();
        levels.sort_by(f64::total_cmp);
        levels.dedup();
        let place = |v: &f64| levels.iter().position(|level| level == v).map_or(0.0, |k| k as f64 + 1.0);
        constants.push(("g".to_string(), Value::vector(rows.iter().map(place).collect())));
        constants.push(("group_scale".to_string(), Value::number(scale)));
        parameter("tau", None, true);
        parameter("z", Some(levels.len()), false);
        names.push(format!("sd_{column}"));
        names.extend(levels.iter().map(|v| format!("z_{column}[{v}]")));
        names.extend((1..=levels.len()).map(|k| format!("{column}[{k}]")));
        generated.push(("offsets".to_string(), "tau*z".to_string()));
        eta += " + (tau*z)[g]";
        priors += "tau ~ half_normal(group_scale); z ~ normal(0, 1); ";
    }
    if let Some(exposure) = data.exposure {
        constants.push(("log_exposure".to_string(), Value::vector(exposure.iter().map(|v| ln(*v)).collect())));
        eta += " + log_exposure";
    }
    family.positive.iter().for_each(|(name, prior)| priors += &format!("{name} ~ {prior}; "));
    let text = format!("b ~ normal(0, prior_scale); {priors}eta = {eta}; {}", family.likelihood);
    let parameters = Parameters::of(&table, &[])?;
    let (density, program) = formula::of_parts(&text, &parameters, &constants, &generated)?;
    let chart = parameters.chart().clone();
    let named = Named::new(chart.clone(), names, (!generated.is_empty()).then_some(program));
    let described = Described::new(density, text, String::new());
    let described = if chart.is_identity() { described } else { described.on(Some(chart))? };
    Ok(Described { coordinates: Coordinates::Named(Arc::new(named)), ..described })
}
