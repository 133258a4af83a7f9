//! The certificate of a run whose model has a density: computed, in JSON, and as the report shows it.

use crate::failure::Outcome;
use crate::files::json::real;
use crate::report::{CertificateCard, Field};
use pushforward::density::Density;
use pushforward::linalg::Matrix;
use pushforward::metric::{Certificate, Estimate, Verdict, resample, weighted_means};
use serde_json::{Value, json};

/// A certificate and the log-weights behind it.
pub struct Certified {
    certificate: Certificate,
    /// log p~ - log q at the run's samples and at exact ones.
    log_weights: Vec<f64>,
    exact_log_weights: Vec<f64>,
    /// E_p x by reweighting, a number for each coordinate; empty where no weight is positive.
    means: Vec<Estimate>,
}

/// log p~ - log q at the rows of x.
fn log_weights(target: &dyn Density, model: &dyn Density, x: &Matrix) -> Vec<f64> {
    target.log_density(x).iter().zip(model.log_density(x)).map(|(p, q)| p - q).collect()
}

impl Certified {
    /// From samples of the model, and as many exact ones where the target has them.
    pub fn of(target: &dyn Density, model: &dyn Density, samples: &Matrix, seed: u64) -> Outcome<Self> {
        let own = log_weights(target, model, samples);
        let exact = target.sample(samples.rows(), seed ^ 0x5eed).map(|x| log_weights(target, model, &x));
        let certificate = Certificate::of(&own, exact.as_deref())?;
        let means = weighted_means(&own, samples).unwrap_or_default();
        Ok(Self { certificate, log_weights: own, exact_log_weights: exact.unwrap_or_default(), means })
    }

    /// The figures.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Samples of p: those of the model, drawn again by their weights. None where no weight is positive.
    pub fn resampled(&self, samples: &Matrix, seed: u64) -> Option<Matrix> {
        resample(&self.log_weights, samples.rows(), seed).ok().map(|index| samples.gather_rows(&index))
    }

    /// For summary.json; the keys never change.
    pub fn to_json(&self, log_normaliser: Option<f64>) -> Value {
        let c = &self.certificate;
        let estimate = |e: &Estimate| json!({ "value": real(e.value), "standard_error": real(e.standard_error) });
        let verdict = match c.verdict() {
            Verdict::Reliable => "reliable",
            Verdict::Unreliable => "unreliable",
            Verdict::Useless => "useless",
        };
        let exact = c.exact.as_ref().map(|e| {
            json!({
                "samples": e.samples, "eubo": estimate(&e.eubo), "log_z": estimate(&e.log_z), "forward_ess": real(e.forward_ess),
                "missed": estimate(&e.missed),
            })
        });
        json!({
            "samples": c.samples, "log_z": estimate(&c.log_z), "true_log_z": log_normaliser.map(real), "elbo": estimate(&c.elbo),
            "reverse_ess": real(c.reverse_ess), "pareto_k": real(c.pareto_k), "verdict": verdict, "exact": exact,
            "reweighted_means": self.means.iter().map(estimate).collect::<Vec<_>>(),
            "findings": c.findings(), "caveat": Certificate::CAVEAT,
        })
    }

    /// As the terminal shows it.
    pub fn text(&self) -> String {
        self.certificate.to_string()
    }

    /// As the report shows it; the learned density over the box of the target's `field`.
    pub fn card(&self, model: &dyn Density, field: Option<&Field>) -> CertificateCard {
        let centre = self.certificate.log_z.value;
        let centred = |l: &[f64]| l.iter().map(|l| l - centre).filter(|l| l.is_finite()).collect::<Vec<f64>>();
        let row = |(name, value, meaning): (&str, String, &str)| (name.to_string(), value, meaning.to_string());
        CertificateCard {
            rows: self.certificate.rows().into_iter().map(row).collect(),
            findings: self.certificate.findings(),
            caveat: Certificate::CAVEAT.into(),
            log_weights: centred(&self.log_weights),
            exact_log_weights: centred(&self.exact_log_weights),
            field: field.map(|f| f.of(model)),
        }
    }
}
