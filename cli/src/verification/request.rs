//! What is to be checked: theorems, and the user's pair.

use crate::discontinuities::discontinuities;
use crate::failure::{Failure, Outcome};
use crate::style::number;
use crate::target;
use pushforward::density::Density;
use pushforward::search::frame_of;
use pushforward::verify::{Budget, Claim, Law, Pair, Size, claim, registry};

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
            Some((p, q)) => {
                let seed = budget.seed;
                with_pair(budget, law("--p", p, seed, note)?, law("--q", q, seed, note)?, (p, q))?
            }
            None => budget,
        };
        Ok(Self { claims, budget, pair: names })
    }

    /// "quick" or "full".
    pub fn size(&self) -> &'static str {
        if self.budget.size == Size::Quick { "quick" } else { "full" }
    }
}

fn with_pair(budget: Budget, a: Law, b: Law, (p, q): (&str, &str)) -> Outcome<Budget> {
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
    let pair = Pair::new(a, b)?;
    budget.with_pair(&pair).map_err(|e| Failure::input(format!("--p {p} and --q {q}: {e}")))
}

/// The density that --p or --q names, with the outline that a search finds where it is no Gaussian mixture.
fn law(option: &str, name: &str, seed: u64, note: &mut dyn FnMut(String)) -> Outcome<Law> {
    let target = target::load(name, note)?;
    target.known(option)?;
    let density = target.density;
    if density.dim() > 2 {
        return Err(Failure::input(format!(
            "{option} {name} has {} dimensions; quadrature covers 1 and 2",
            density.dim()
        )));
    }
    smooth(&*density, option, name, seed)?;
    Law::of(density, seed).map_err(|e| Failure::input(format!("{option} {name}: {e}")))
}

/// The theorems want log p in C²: a jump or a kink of it is refused with its place.
fn smooth(p: &dyn Density, option: &str, name: &str, seed: u64) -> Outcome<()> {
    if p.mixture().is_some() {
        return Ok(());
    }
    let frame = frame_of(p, seed).map_err(|e| Failure::input(format!("{option} {name}: {e}")))?;
    let Some(first) = discontinuities(p, &frame, seed).into_iter().next() else { return Ok(()) };
    let what = if first.is_jump() { "jumps" } else { "has a kink" };
    let x: Vec<String> = first.x.iter().map(|v| number(*v, 4)).collect();
    Err(Failure::input(format!(
        "{option} {name}: log p~ {what} near x = ({}), and the theorems assume two continuous derivatives; give a density that has them",
        x.join(", ")
    )))
}
