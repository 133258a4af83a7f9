//! The posterior in numbers: what a user reads, in the user's coordinates, from the raw samples and from the reweighted ones.

use crate::certified::Certified;
use crate::failure::Outcome;
use crate::files::json::{as_real, real};
use crate::style::{count, number};
use crate::verdict::Verdict;
use pushforward::linalg::Matrix;
use pushforward::metric::Verdict as Weights;
use pushforward::model::Searched;
use pushforward::num::log10;
use serde_json::{Map, Value, json};

/// Mean, standard deviation, quantiles and standard error of one quantity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// Σ w_i x_i, w normalised.
    pub mean: f64,
    /// √(Σ w_i (x_i - mean)²).
    pub sd: f64,
    /// Least values below which 5, 50 and 95 % of the weight lie.
    pub quantiles: [f64; 3],
    /// Monte Carlo standard error of the mean: √(Σ w_i² (x_i - mean)²); without weights sd/√n.
    pub mcse: f64,
}

/// The quantiles, in the order of [`Moments::quantiles`].
const QUANTILES: [f64; 3] = [0.05, 0.5, 0.95];
/// Their names in files.
const KEYS: [&str; 6] = ["mean", "sd", "q5", "q50", "q95", "mcse"];

impl Moments {
    /// Of n numbers with n weights that add to 1.
    fn of(x: &[f64], weights: &[f64]) -> Self {
        let mean = x.iter().zip(weights).map(|(x, w)| w * x).sum::<f64>();
        let square = |x: f64| (x - mean) * (x - mean);
        let variance = x.iter().zip(weights).map(|(x, w)| w * square(*x)).sum::<f64>();
        let error = x.iter().zip(weights).map(|(x, w)| w * w * square(*x)).sum::<f64>();
        let mut order: Vec<usize> = (0..x.len()).collect();
        order.sort_unstable_by(|&a, &b| x[a].total_cmp(&x[b]));
        let quantile = |q: f64| {
            let mut sum = 0.0;
            let at = order.iter().find(|&&i| {
                sum += weights[i];
                sum >= q
            });
            at.or(order.last()).map_or(f64::NAN, |&i| x[i])
        };
        Self { mean, sd: variance.sqrt(), quantiles: QUANTILES.map(quantile), mcse: error.sqrt() }
    }

    fn values(&self) -> [f64; 6] {
        let [low, middle, high] = self.quantiles;
        [self.mean, self.sd, low, middle, high, self.mcse]
    }

    /// Digits that a mean or a quantile needs: four, and as many as its size has before those of the deviation; at most 12.
    fn digits(&self, v: f64) -> usize {
        let before = log10(v.abs() / self.sd);
        if before.is_finite() && v.abs() > self.sd { 4 + before.min(8.0) as usize } else { 4 }
    }

    fn to_json(self) -> Value {
        KEYS.iter().zip(self.values()).map(|(key, v)| (key.to_string(), real(v))).collect::<Map<_, _>>().into()
    }

    fn of_json(value: &Value) -> Option<Self> {
        let at = |key: &str| as_real(&value[key]);
        let quantiles = [at("q5")?, at("q50")?, at("q95")?];
        Some(Self { mean: at("mean")?, sd: at("sd")?, quantiles, mcse: at("mcse")? })
    }
}

/// Which file of samples to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// samples.npy: independent draws of the model.
    Raw,
    /// resampled.npy: the same, drawn again by their weights.
    Resampled,
    /// No file.
    Neither,
}

impl Choice {
    /// The file's name, or "none".
    pub fn file(self) -> &'static str {
        match self {
            Choice::Raw => "samples.npy",
            Choice::Resampled => "resampled.npy",
            Choice::Neither => "none",
        }
    }
}

/// The posterior of a run, or of a file of samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    names: Vec<String>,
    raw: Vec<Moments>,
    weighted: Option<Vec<Moments>>,
    samples: usize,
    /// Which file to use, and why; none for a file.
    pub choice: Option<(Choice, String)>,
    /// What the search behind the model cannot have seen, in a sentence; none without a search.
    pub unresolved: Option<String>,
}

/// By how much the raw samples may differ from the reweighted ones to be used: means in posterior standard deviations, deviations as a
/// ratio.
const MOVED: f64 = 0.05;

impl Summary {
    /// Of samples (n×d) with a name for each column.
    pub fn of_samples(names: Vec<String>, samples: &Matrix) -> Self {
        let raw = moments(samples, &vec![1.0 / samples.rows() as f64; samples.rows()]);
        Self { names, raw, weighted: None, samples: samples.rows(), choice: None, unresolved: None }
    }

    /// Of a run: `samples` in the user's coordinates, what is said of the weights behind them, and the search that the model came from.
    pub fn of_run(
        names: Vec<String>,
        samples: &Matrix,
        certified: Option<&Certified>,
        verdict: &Verdict,
        search: Option<&Searched>,
    ) -> Self {
        let mut summary = Self::of_samples(names, samples);
        summary.unresolved = search.map(|search| unresolved(search.calls));
        summary.weighted = certified.and_then(Certified::weights).map(|weights| moments(samples, &weights));
        summary.choice = Some(summary.choose(samples.rows(), certified, verdict));
        summary
    }

    /// Which file to use, of n samples, and why.
    fn choose(&self, n: usize, certified: Option<&Certified>, verdict: &Verdict) -> (Choice, String) {
        if let Verdict::NotToBeTrusted(reasons) = verdict {
            return (Choice::Neither, reasons.join("; "));
        }
        let (Some(certified), Some(weighted)) = (certified, &self.weighted) else {
            let why = "these samples have no weights: the density of the model or of the target is not known";
            return (Choice::Raw, why.into());
        };
        let apart = |(raw, own): (&Moments, &Moments)| {
            // a generated quantity that has no mean says nothing of the weights
            if !raw.mean.is_finite() {
                return 0.0;
            }
            let gap = (raw.mean - own.mean).abs();
            // a column that is one number differs between the two by the rounding of n sums
            let rounding = n as f64 * f64::EPSILON * raw.mean.abs().max(own.mean.abs());
            if gap.max(raw.sd).max(own.sd) <= rounding {
                return 0.0;
            }
            let (shift, ratio) = if own.sd > 0.0 { (gap / own.sd, raw.sd / own.sd - 1.0) } else { (gap, raw.sd) };
            shift.max(ratio.abs())
        };
        let most = self.raw.iter().zip(weighted).map(apart).fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a });
        let words = number(most, 2);
        let certificate = certified.certificate();
        let care = match certificate.verdict() {
            Weights::Incomplete => format!(
                "; with care: {} % of the target, which the search found, has hardly a sample",
                number(100.0 * certificate.loss.missing, 2)
            ),
            _ => String::new(),
        };
        if most <= MOVED {
            (
                Choice::Raw,
                format!(
                    "its draws are independent, and weights move no mean or deviation by more than {words} sd{care}"
                ),
            )
        } else {
            (
                Choice::Resampled,
                format!("weights move a mean or a deviation by {words} sd, and they can be trusted{care}"),
            )
        }
    }

    /// For summary.json: `use`, `use_reason`, `unresolved` and `posterior`.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut out = Map::new();
        if let Some((choice, why)) = &self.choice {
            out.insert("use".into(), choice.file().into());
            out.insert("use_reason".into(), why.as_str().into());
        }
        out.extend(self.unresolved.iter().map(|what| ("unresolved".into(), what.as_str().into())));
        let one = |j: usize| {
            let weighted = self.weighted.as_ref().map(|w| w[j].to_json());
            json!({ "raw": self.raw[j].to_json(), "reweighted": weighted })
        };
        let columns: Map<String, Value> =
            self.names.iter().enumerate().map(|(j, name)| (name.clone(), one(j))).collect();
        out.insert("posterior".into(), columns.into());
        out
    }

    /// What [`to_json`](Self::to_json) wrote into the summary of a run; None for one without.
    pub fn of_json(summary: &Value) -> Option<Self> {
        let columns = summary["posterior"].as_object()?;
        let names = columns.keys().cloned().collect();
        let raw = columns.values().map(|c| Moments::of_json(&c["raw"])).collect::<Option<_>>()?;
        let weighted = columns.values().map(|c| Moments::of_json(&c["reweighted"])).collect::<Option<_>>();
        let choice = [Choice::Raw, Choice::Resampled, Choice::Neither];
        let choice = choice.into_iter().find(|c| summary["use"] == c.file());
        let why = summary["use_reason"].as_str().unwrap_or_default().to_owned();
        let samples = summary["samples"].as_u64().unwrap_or_default() as usize;
        let unresolved = summary["unresolved"].as_str().map(str::to_owned);
        Some(Self { names, raw, weighted, samples, choice: choice.map(|c| (c, why)), unresolved })
    }

    /// Names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The columns whose names are among `shown`, or begin with one of them and '['.
    pub fn columns(&self, shown: &[String]) -> Outcome<Vec<usize>> {
        let is_shown = |name: &str| {
            shown.iter().any(|s| name == s || name.strip_prefix(s.as_str()).is_some_and(|rest| rest.starts_with('[')))
        };
        let missing = shown.iter().find(|s| !self.names.iter().any(|n| n == *s || n.starts_with(&format!("{s}["))));
        if let Some(missing) = missing {
            let known: Vec<&str> = self.names.iter().map(String::as_str).collect();
            return Err(pushforward::Error::unknown_name("parameter", missing, &known).into());
        }
        Ok((0..self.names.len()).filter(|&j| is_shown(&self.names[j])).collect())
    }

    /// These [`columns`](Self::columns) alone.
    pub fn only(self, shown: &[String]) -> Outcome<Self> {
        let columns = self.columns(shown)?;
        let of = |all: &[Moments]| columns.iter().map(|&j| all[j]).collect::<Vec<_>>();
        let (raw, weighted) = (of(&self.raw), self.weighted.as_deref().map(of));
        Ok(Self { raw, weighted, names: columns.iter().map(|&j| self.names[j].clone()).collect(), ..self })
    }

    /// Generated quantities that are not finite in some samples.
    fn unfinite(&self) -> impl Iterator<Item = &str> {
        self.names.iter().zip(&self.raw).filter(|(_, m)| !m.mean.is_finite()).map(|(name, _)| name.as_str())
    }

    /// As the terminal shows it, at most `most` rows.
    pub fn text(&self, most: usize) -> String {
        let width = self.names.iter().take(most).map(|n| n.chars().count()).max().unwrap_or(0).clamp(4, 24);
        let titles = ["mean", "sd", "5 %", "50 %", "95 %", "mcse"];
        let line = |cells: &[String]| cells.iter().map(|c| format!(" {c:>11}")).collect::<String>();
        let title = line(&titles.map(str::to_string));
        let beside = if self.weighted.is_some() { "   |" } else { "" };
        let mut out = String::new();
        if self.weighted.is_some() {
            out += &format!("{:<width$}{:>72}{beside}{:>72}\n", "", "raw", "reweighted");
        }
        let second = if self.weighted.is_some() { title.clone() } else { String::new() };
        out += &format!("{:<width$}{title}{beside}{second}\n", "name");
        let show = |m: &Moments| line(&m.values().map(|v| number(v, m.digits(v))));
        for (j, name) in self.names.iter().enumerate().take(most) {
            let second = self.weighted.as_ref().map_or(String::new(), |w| show(&w[j]));
            out += &format!("{name:<width$}{}{beside}{second}\n", show(&self.raw[j]));
        }
        if self.names.len() > most {
            out += &format!("… and {} more: 'pushforward summary RUN' shows all\n", self.names.len() - most);
        }
        let unfinite: Vec<&str> = self.unfinite().collect();
        if !unfinite.is_empty() {
            out += &format!("not finite in some samples, as their formulas give them: {}\n", unfinite.join(", "));
        }
        if let Some((choice, why)) = &self.choice {
            out += &format!("use {}: {why}\n", choice.file());
        }
        if let Some(what) = &self.unresolved {
            out += &format!("not resolved: {what}\n");
        }
        out
    }

    /// Names and values of the rows of the report's table: raw, then reweighted where there are weights.
    pub fn rows(&self) -> Vec<(String, Vec<f64>)> {
        let both = |j: usize| {
            let second = self.weighted.as_ref().map(|w| w[j].values().to_vec()).unwrap_or_default();
            [self.raw[j].values().to_vec(), second].concat()
        };
        self.names.iter().enumerate().map(|(j, name)| (name.clone(), both(j))).collect()
    }

    /// n.
    pub fn samples(&self) -> usize {
        self.samples
    }
}

/// What a search of so many evaluations cannot have seen ([`Searched::resolution`]).
fn unresolved(calls: u64) -> String {
    format!(
        "a mode in less than {:.1e} of the volume that no slope leads to, whatever its mass; the search looked at {} points",
        Searched::resolution(calls),
        count(calls as usize)
    )
}

/// The moments of each column.
fn moments(samples: &Matrix, weights: &[f64]) -> Vec<Moments> {
    let column = |j: usize| samples.iter_rows().map(|row| row[j]).collect::<Vec<f64>>();
    (0..samples.cols()).map(|j| Moments::of(&column(j), weights)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks moments of five numbers by hand, with equal weights and with others: quantiles are numbers of the sample, and the error of
    /// equal weights is sd/√n.
    #[test]
    fn moments_by_hand() {
        let x = [3.0, 1.0, 5.0, 2.0, 4.0];
        let equal = Moments::of(&x, &[0.2; 5]);
        assert!((equal.mean - 3.0).abs() < 1e-15 && (equal.sd - 2f64.sqrt()).abs() < 1e-15);
        assert_eq!(equal.quantiles, [1.0, 3.0, 5.0]);
        assert!((equal.mcse - (2.0f64 / 5.0).sqrt()).abs() < 1e-15);
        let own = Moments::of(&x, &[0.5, 0.5, 0.0, 0.0, 0.0]);
        assert_eq!((own.mean, own.sd, own.quantiles), (2.0, 1.0, [1.0, 1.0, 3.0]));
        assert!((own.mcse - 0.5f64.sqrt()).abs() < 1e-15);
    }

    /// Checks that a summary comes back from its JSON, that rows are chosen by names and by vectors, and that others are refused.
    #[test]
    fn json_and_names() {
        let x = Matrix::from_rows(&[[1.0, 2.0, f64::INFINITY], [3.0, 4.0, 1.0]]);
        let names = ["a", "b[1]", "b[2]"].map(str::to_string).to_vec();
        let (choice, unresolved) = (Some((Choice::Raw, "why".into())), Some(unresolved(1_500)));
        let summary = Summary { choice, unresolved, ..Summary::of_samples(names, &x) };
        let text = crate::files::json::text(&Value::Object(summary.to_json()));
        let mut back = crate::files::json::parse(&text).unwrap();
        back["samples"] = 2.into();
        let back = Summary::of_json(&back).unwrap();
        assert_eq!((&back.names, &back.choice, &back.raw[..2]), (&summary.names, &summary.choice, &summary.raw[..2]));
        assert_eq!(back.clone().only(&["b".into()]).unwrap().names, ["b[1]", "b[2]"]);
        assert_eq!(back.clone().only(&["a".into(), "b[2]".into()]).unwrap().names, ["a", "b[2]"]);
        assert!(back.clone().only(&["c".into()]).is_err());
        assert!(summary.text(1).contains("and 2 more") && summary.text(9).contains("use samples.npy: why"));
        let end = "not resolved: a mode in less than 2.0e-3 of the volume that no slope leads to, whatever its mass; the search looked at 1,500 points\n";
        assert!(back.unresolved == summary.unresolved && back.text(9).ends_with(end), "{}", back.text(9));
        assert_eq!(summary.rows().len(), 3);
    }
}
