//! A certificate in plain words.

use super::{Certificate, Estimate, Verdict};
use crate::num::{hypot, log10};
use std::fmt;

impl Verdict {
    /// The verdict as a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Reliable => "the weights can be used where the model has samples",
            Verdict::Incomplete => {
                "means can be reweighted, with care: log Z lacks a part of the target that the search found and the model hardly visits"
            }
            Verdict::Unreliable => "the weights are heavy-tailed: error bars are too small, more samples help slowly",
            Verdict::Useless => "a few weights decide everything: do not use log Z, ESS or reweighted averages",
        }
    }
}

impl Certificate {
    /// What no number here can say, for the foot of every table.
    pub const CAVEAT: &'static str = "No certificate proves that no mode was missed: figures from the model's samples say nothing about places \
                                      where the model has none; exact samples of the target see what they visit.";

    /// The verdict as a sentence, by what decides it.
    pub fn words(&self) -> &'static str {
        match self.verdict() {
            Verdict::Unreliable | Verdict::Useless if self.loss.missing > self.loss.unseen => {
                "the model hardly visits a part of the target that the search found, so error bars are too small"
            }
            verdict => verdict.words(),
        }
    }

    /// What the verdict and the figures from exact samples add up to, one sentence each.
    pub fn findings(&self) -> Vec<String> {
        let mut found = vec![format!(
            "reweighting errs by about {:.2} posterior sd in a mean and {:.2} in log Z: {}",
            self.loss.mean(),
            self.loss.log_z(),
            self.words()
        )];
        let [least, most] = self.loss.batches;
        if least < 0.5 * most {
            found.push(format!(
                "ESS is {least:.3} to {most:.3} over ten parts of the sample: a few weights decide it, and it is not to be read to two digits"
            ));
        }
        if self.outside > 0 {
            let (k, n) = (self.outside, self.samples);
            found.push(format!("{k} of {n} samples of the model are outside the target's support; they have weight 0"));
        }
        if let Some(exact) = self.exact.as_ref().filter(|exact| exact.unreached > 0) {
            let (k, n) = (exact.unreached, exact.samples);
            found.push(format!("at {k} of {n} exact samples the model's density is 0"));
        }
        if let Some(exact) = &self.exact {
            let gap = exact.log_z.value - self.log_z.value;
            let error = hypot(exact.log_z.standard_error, self.log_z.standard_error);
            if gap.is_nan() || gap > 4.0 * error.max(1e-12) {
                found.push(format!(
                    "log Z from exact samples is {gap:.3} above log Z from the model: the model misses part of the target"
                ));
            }
            if exact.missed.value > 0.0 {
                found.push(format!(
                    "at {:.2} % of the target the model's density is below a tenth of the target's",
                    100.0 * exact.missed.value
                ));
            }
        }
        found
    }

    /// (name, value, meaning) of each figure, in the order of the table.
    pub fn rows(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut rows = vec![
            ("log Z", shown(self.log_z), "importance sampling from the model"),
            ("ELBO", shown(self.elbo), "log Z - KL(q‖p), a lower bound"),
        ];
        if self.loss.missing > 0.0 {
            let above = format!("{:.2e}", self.log_z_error_above());
            rows.insert(1, ("log Z, error upwards", above, "with the part that particles saw and the weights lack"));
        }
        if let Some(exact) = &self.exact {
            rows.push(("EUBO", shown(exact.eubo), "log Z + KL(p‖q), an upper bound, from exact samples"));
            rows.push(("log Z from exact samples", shown(exact.log_z), "higher where the model misses a mode"));
        }
        rows.push(("ESS, reverse", format!("{:.4}", self.reverse_ess), "of 1, at samples of the model"));
        if let Some(exact) = &self.exact {
            rows.push(("ESS, forward", format!("{:.4}", exact.forward_ess), "of 1, at exact samples"));
            rows.push(("missed", shown(exact.missed), "fraction of the target where q < p/10"));
        }
        rows.push(("Pareto k-hat", format!("{:.3}", self.pareto_k), "tail of the weights: light below 0.7"));
        rows.push(("largest weight", format!("{:.2e}", self.loss.largest), "share of the sum of all"));
        rows.push(("unseen", format!("{:.1e}", self.loss.unseen), "part of Z beyond the largest weight, by the tail"));
        rows
    }
}

impl fmt::Display for Certificate {
    /// A table, the findings and the caveat.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.exact.as_ref().map_or(String::new(), |e| format!(" and {} exact samples", e.samples));
        writeln!(f, "certificate from {} samples of the model{exact}", self.samples)?;
        for (name, value, meaning) in self.rows() {
            writeln!(f, "  {name:<26}{value:>22}   {meaning}")?;
        }
        for sentence in self.findings() {
            writeln!(f, "  {sentence}")?;
        }
        write!(f, "{}", Self::CAVEAT)
    }
}

/// value ± error, with two digits of the error.
/// value ± standard error, with the digits that the error leaves.
pub(crate) fn shown(e: Estimate) -> String {
    if !(e.standard_error > 0.0 && e.standard_error.is_finite()) {
        return format!("{:.4}", e.value);
    }
    let digits = (1.0 - log10(e.standard_error).floor()).clamp(0.0, 9.0) as usize;
    format!("{:.digits$} ± {:.digits$}", e.value, e.standard_error)
}
