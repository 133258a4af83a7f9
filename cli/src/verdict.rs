//! What a run that took all its steps says of its samples.

use crate::certified::Certified;
use crate::failure::{ExitCode, Failure, Outcome};
use pushforward::metric::{Report, Verdict as Weights, Virial};

/// Whether the samples of a run are to be trusted as far as the library can see. No verdict proves that no mode was missed.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Nothing speaks against them.
    Sound,
    /// They are not samples of the target, for these reasons.
    NotToBeTrusted(Vec<String>),
}

/// The share of samples, or of the target, from which something is no blemish but a failure.
const MOST: f64 = 0.5;

/// Median of -(x - m)·∇ log p/d, whose mean is 1 under p, from which particles are not at rest; by Markov's inequality at most 4 % of samples
/// of one mode are there.
const RESTLESS: f64 = 25.0;

/// Its mean below which they are less than half as wide as p.
const NARROW: f64 = 0.25;

impl Verdict {
    /// From the figures of the final samples, each beside its floor, the certificate where there is one, and for particles their virial: weights
    /// vouch for the samples, or nothing does. What is merely poor (a missed tail, distances above their floors) is for the reader of the
    /// figures to judge.
    pub fn of(report: &Report, certified: Option<&Certified>, virial: Option<&Virial>) -> Self {
        let excess = |key: &str| {
            let metric = report.metric(key)?;
            let excess = metric.value - metric.floor.as_ref().map_or(0.0, |f| f.mean);
            (excess > MOST).then_some(100.0 * metric.value)
        };
        let exact = certified.and_then(|c| c.certificate().exact.as_ref());
        let missed = exact.map(|e| e.missed.value).filter(|share| *share > MOST);
        let region = certified.and_then(|c| c.against_search()).and_then(|s| s.missed_region());
        let weights = certified.map(Certified::certificate).and_then(|c| {
            let what = match c.verdict() {
                Weights::Reliable | Weights::Incomplete => return None,
                Weights::Unreliable => "the weights are heavy-tailed",
                Weights::Useless => "a few weights decide everything",
            };
            let error = crate::style::number(c.loss.mean(), 2);
            let hardly = "the model hardly visits a part of the target that the search found";
            let why = if c.loss.missing > c.loss.unseen { hardly } else { what };
            Some(format!("{why}: reweighting may err by {error} posterior sd, and nothing vouches for the samples"))
        });
        let restless = virial.filter(|v| v.median > RESTLESS).map(|v| {
            let times = crate::style::number(v.median, 2);
            format!("the score pulls half of the particles {times} times as hard as samples of the target: give a smaller --dt, or a later --time")
        });
        let narrow = virial.filter(|v| v.mean + 4.0 * v.standard_error < NARROW).map(|v| {
            let share = crate::style::number(100.0 * v.mean.max(0.0).sqrt(), 2);
            format!("the particles have about {share} % of the target's width: give a later --time, or --start wide")
        });
        let reasons = [
            restless,
            narrow,
            region,
            weights,
            excess("outside_support").map(|p| format!("{p:.0} % of the samples are outside the target's support")),
            excess("beyond_4_sigma").map(|p| format!("{p:.0} % of the samples are beyond 4 sigma of every mode")),
            missed.map(|share| {
                format!("at {:.0} % of the target the model's density is below a tenth of the target's", 100.0 * share)
            }),
        ];
        let reasons: Vec<String> = reasons.into_iter().flatten().collect();
        if reasons.is_empty() { Verdict::Sound } else { Verdict::NotToBeTrusted(reasons) }
    }

    /// The exit code of a run with this verdict.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Verdict::Sound => ExitCode::Done,
            Verdict::NotToBeTrusted(_) => ExitCode::NotToBeTrusted,
        }
    }

    /// The reasons against the samples.
    pub fn reasons(&self) -> &[String] {
        match self {
            Verdict::Sound => &[],
            Verdict::NotToBeTrusted(reasons) => reasons,
        }
    }

    /// The end of a run whose files are in `place`: a failure with the reasons, where there are any.
    pub fn outcome(&self, place: &str) -> Outcome<()> {
        match self {
            Verdict::Sound => Ok(()),
            Verdict::NotToBeTrusted(reasons) => Err(Failure::NotToBeTrusted(format!(
                "the run ended, but its samples are not to be trusted: {}; {place}/report.html shows them; give the target's centre and \
                 scale, another method, or more steps",
                reasons.join("; ")
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pushforward::metric::{Floor, Judge, Kind, Metric};

    /// Checks the exit code for figures on both sides of each limit, with and without a floor.
    #[test]
    fn limits() {
        let report = |key: &'static str, value: f64, floor: Option<f64>| {
            let floor = floor.map(|mean| Floor { mean, spread: 0.01, repeats: 4 });
            let kind = Box::leak(Box::new(Kind { key, name: key, meaning: "", judge: Judge::Ratio, sized: false }));
            let metric = Metric { kind, value, floor, size: 10, blocks: 1, note: String::new() };
            Report { metrics: vec![metric], modes: None, tests: Vec::new() }
        };
        for (name, value, floor, code) in [
            ("beyond_4_sigma", 0.51, Some(0.0), 3),
            ("beyond_4_sigma", 0.5, Some(0.0), 0),
            // overlapping exact samples of a mixture in many dimensions are there themselves
            ("beyond_4_sigma", 0.9, Some(0.8), 0),
            ("outside_support", 0.75, None, 3),
            ("outside_support", 0.25, None, 0),
            ("mean_log_density", f64::NEG_INFINITY, Some(-2.0), 0),
            ("beyond_4_sigma", f64::NAN, Some(0.0), 0),
        ] {
            let verdict = Verdict::of(&report(name, value, floor), None, None);
            assert_eq!(verdict.exit_code() as u8, code, "{name}: {value}");
            assert_eq!(verdict.outcome("run").map_err(|e| e.exit_code()), if code == 0 { Ok(()) } else { Err(code) });
        }
    }
}
