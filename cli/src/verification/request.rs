//! What is to be checked: theorems, and the user's pair.

use crate::failure::{Failure, Outcome};
use crate::target;
use pushforward::density::{Density, GaussianMixture};
use pushforward::linalg::Matrix;
use pushforward::verify::{Budget, Claim, Pair, Size, claim, registry};

/// Most nodes of a grid in memory beside ten divergences.
const NODES: f64 = 1e6;

/// Largest |log(p/q)| near the components: the divergences of the table take its exponential to powers between -2 and 4.
const LOG_RATIO: f64 = 40.0;

/// Claims with their budget.
pub struct Request {
    /// In the order of the theorems, each once.
    pub claims: Vec<Claim>,
    /// Size, seed, and what the user gave.
    pub budget: Budget,
    /// The names of p and q as given.
    pub pair: Option<(String, String)>,
}

impl Request {
    /// All theorems where `ids` is empty. Notes on files go to `note`. A bad name, file or pair is an error in one sentence.
    pub fn read(
        ids: &[String],
        budget: Budget,
        pair: Option<(&str, &str)>,
        note: &mut dyn FnMut(String),
    ) -> Outcome<Self> {
        let wanted = ids.iter().map(|id| Ok(claim(id)?.id)).collect::<Outcome<Vec<&str>>>()?;
        let claims = registry().into_iter().filter(|c| wanted.is_empty() || wanted.contains(&c.id)).collect();
        let names = pair.map(|(p, q)| (p.to_owned(), q.to_owned()));
        let budget = match pair {
            Some((p, q)) => with_pair(budget, mixture("--p", p, note)?, mixture("--q", q, note)?, (p, q))?,
            None => budget,
        };
        Ok(Self { claims, budget, pair: names })
    }

    /// "quick" or "full".
    pub fn size(&self) -> &'static str {
        if self.budget.size == Size::Quick { "quick" } else { "full" }
    }
}

fn with_pair(budget: Budget, a: GaussianMixture, b: GaussianMixture, (p, q): (&str, &str)) -> Outcome<Budget> {
    if a.dim() != b.dim() {
        return Err(Failure::input(format!(
            "--p {p} has {} dimensions but --q {q} has {}; both must have the same number, 1 or 2",
            a.dim(),
            b.dim()
        )));
    }
    if let Some(dim) = budget.dim.filter(|d| *d != a.dim()) {
        return Err(Failure::input(format!("--dim {dim} contradicts --p {p}, which has {}; leave --dim out", a.dim())));
    }
    let same = a.weights() == b.weights() && a.means() == b.means() && a.covariances() == b.covariances();
    if same {
        return Err(Failure::input(format!(
            "--p {p} and --q {q} are the same density: every side is zero; give two that differ"
        )));
    }
    let pair = Pair::new(a, b)?;
    let box_width = pair.ends(8.0).iter().map(|(low, high)| high - low).fold(0.0, f64::max);
    let per_width = if pair.dim() == 1 { 20.0 } else { 7.0 };
    let nodes = (box_width / pair.finest() * per_width).powi(pair.dim() as i32);
    if nodes.is_nan() || nodes > NODES {
        return Err(Failure::input(format!(
            "quadrature of --p {p} and --q {q} needs {nodes:.1e} nodes, more than {NODES:.0e}: the narrowest component is {:.3e} \
             wide in a box of {box_width:.3e}; bring the widths nearer to each other",
            pair.finest()
        )));
    }
    let reach = log_ratio_reach(&pair);
    if reach.is_nan() || reach > LOG_RATIO {
        return Err(Failure::input(format!(
            "log(p/q) of --p {p} and --q {q} reaches {reach:.0} within 3 widths of a component, more than {LOG_RATIO}: the two sides \
             would be lost in rounding; bring p and q nearer to each other"
        )));
    }
    Ok(budget.with_pair(pair))
}

/// The largest |log(p/q)| within 3 standard deviations of a component of either.
fn log_ratio_reach(pair: &Pair) -> f64 {
    let corners = |m: &GaussianMixture| -> Vec<f64> {
        let around = |k: usize| {
            let (mean, c) = (m.means().row(k).to_vec(), &m.covariances()[k]);
            let shifted = |j: usize, s: f64| {
                let move_one = |(i, x): (usize, &f64)| if i == j { x + s * c[(j, j)].sqrt() } else { *x };
                mean.iter().enumerate().map(move_one).collect::<Vec<f64>>()
            };
            (0..mean.len())
                .flat_map(|j| [-3.0, 0.0, 3.0].into_iter().flat_map(|s| shifted(j, s)).collect::<Vec<f64>>())
                .collect::<Vec<f64>>()
        };
        (0..m.components()).flat_map(around).collect()
    };
    let points = [corners(&pair.p), corners(&pair.q)].concat();
    let points = Matrix::from_vec(points.len() / pair.dim(), pair.dim(), points);
    pair.at(&points).log_ratio().into_iter().map(f64::abs).fold(0.0, f64::max)
}

fn mixture(option: &str, name: &str, note: &mut dyn FnMut(String)) -> Outcome<GaussianMixture> {
    let density = target::load(name, note)?.density;
    let mixture = density.mixture().cloned().ok_or_else(|| {
        Failure::input(format!(
            "{option} {name} is not a Gaussian mixture; both sides are quadratures of exact densities, so give one of kind \
             gaussian-mixture"
        ))
    })?;
    if mixture.dim() > 2 {
        return Err(Failure::input(format!(
            "{option} {name} has {} dimensions; quadrature covers 1 and 2",
            mixture.dim()
        )));
    }
    Ok(mixture)
}
