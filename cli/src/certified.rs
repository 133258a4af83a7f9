//! The certificate of a run whose model has a density: computed, in JSON, and as the report shows it.

use crate::files::json::real;
use crate::model::Model;
use crate::record::{CertificateCard, Field};
use pushforward::density::Density;
use pushforward::error::Result;
use pushforward::linalg::Matrix;
use pushforward::metric::{Certificate, Estimate, KlBound, Verdict, resample, weighted_means};
use pushforward::model::{AgainstSearch, GeneratorCertificate};
use pushforward::num::{exp, log_sum_exp};
use pushforward::search::Disagreement;
use serde_json::{Value, json};
use std::sync::Arc;

/// A certificate and the log-weights behind it.
pub struct Certified {
    certificate: Certificate,
    /// log p~ - log q at the run's samples and at exact ones.
    log_weights: Vec<f64>,
    exact_log_weights: Vec<f64>,
    /// E_p x by reweighting, a number for each coordinate; empty where no weight is positive.
    means: Vec<Estimate>,
    /// What a generator says beside it.
    generator: Option<GeneratorCertificate>,
    /// A flow beside the search that it came from.
    search: Option<AgainstSearch>,
    /// What KL(q‖p) does not exceed, where the target's log-concavity is known.
    kl_bound: Option<KlBound>,
}

/// What two populations of a search disagree on, for summary.json.
pub fn disagreement(d: &Disagreement) -> Value {
    json!({ "quantity": d.quantity.to_string(), "values": d.values.map(real), "error": real(d.error) })
}

/// Samples behind the bound on KL: each costs a score of the model, which a generator sums over its centres.
const SCORED: usize = 1_000;

/// log p~ - log q at the rows of x.
fn log_weights(target: &dyn Density, model: &dyn Density, x: &Matrix) -> Vec<f64> {
    target.log_density(x).iter().zip(model.log_density(x)).map(|(p, q)| p - q).collect()
}

impl Certified {
    /// From the first samples of the model under `seed`, and as many exact ones where the target has them. None for a model or a
    /// target without a density.
    pub fn of(target: &Arc<dyn Density>, model: &Model, samples: &Matrix, seed: u64) -> Result<Option<Self>> {
        if !target.is_known() {
            return Ok(None);
        }
        let n = samples.rows();
        let generator = match model {
            Model::F32(g) if g.noise > 0.0 => Some(g.certify(target, n, seed)?),
            Model::F64(g) if g.noise > 0.0 => Some(g.certify(target, n, seed)?),
            _ => None,
        };
        let (own, law): (&dyn Density, &dyn Density) = match (&generator, model.density()) {
            (Some(GeneratorCertificate { densities: [plain, law], .. }), _) => (plain, law),
            (None, Some(q)) => (q, q),
            (None, None) => return Ok(None),
        };
        let before = model.before_turning(target, n, seed)?;
        let (aim, points) = before.as_ref().map_or((target, samples), |(aim, points)| (aim, points));
        let kl_bound = KlBound::of(own, &**aim, &points.slice_rows(0..n.min(SCORED)))?;
        let own = log_weights(&**aim, own, points);
        let exact = aim.sample(n, seed ^ 0x5eed).map(|x| log_weights(&**aim, law, &x));
        let certificate = Certificate::of(&own, exact.as_deref())?;
        let means = weighted_means(&own, samples).unwrap_or_default();
        let exact_log_weights = exact.unwrap_or_default();
        let search = match model {
            Model::Flow(flow) => {
                let weighed: (&dyn Density, &[f64]) = (&**flow, &own);
                let against = |found| AgainstSearch::of(found, target, &**flow, weighed, &flow.frame);
                let search = flow.search.as_ref().map(against).transpose()?;
                // a tail that the flow visits is no mode that it misses
                search.map(|s| if s.is_seen(samples, &own) { AgainstSearch { region: None, ..s } } else { s })
            }
            _ => None,
        };
        let beside = search.as_ref().or(generator.as_ref().and_then(|beside| beside.search.as_ref()));
        let certificate = beside.iter().fold(certificate, |c, s| c.beside(&s.bridge));
        Ok(Some(Self { certificate, log_weights: own, exact_log_weights, means, generator, search, kl_bound }))
    }

    /// The model beside the search that it came from.
    pub fn against_search(&self) -> Option<&AgainstSearch> {
        self.search.as_ref().or(self.generator.as_ref().and_then(|beside| beside.search.as_ref()))
    }

    /// log p~ - log q at the samples.
    pub fn log_weights(&self) -> &[f64] {
        &self.log_weights
    }

    /// The weights of the samples, with sum 1; None where no weight is positive.
    pub fn weights(&self) -> Option<Vec<f64>> {
        let total = log_sum_exp(&self.log_weights);
        total.is_finite().then(|| self.log_weights.iter().map(|l| exp(l - total)).collect())
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
        let against = |s: &AgainstSearch| {
            json!({
                "log_z": estimate(&s.log_z), "calls": s.calls, "particles": s.particles, "missed": estimate(&s.missed), "together": s.together,
                "bridge": {
                    "cut": s.bridge.cut, "log_z": estimate(&s.bridge.log_z), "above_weights": estimate(&s.bridge.above),
                    "steps": s.steps, "not_excluded": real(s.bridge.not_excluded()),
                    "heavy": { "particles": estimate(&s.bridge.of_particles), "weights": estimate(&s.bridge.of_weights) },
                },
                "disagreement": s.disagreement.as_ref().map(disagreement),
                "region": s.region.as_ref().map(|(centre, spread)| json!({ "centre": centre, "spread": spread })),
            })
        };
        let verdict = match c.verdict() {
            Verdict::Reliable => "reliable",
            Verdict::Incomplete => "incomplete",
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
            "generator": self.generator.as_ref().map(|beside| json!({
                "kl_by_noise_levels": beside.kl.as_ref().map(estimate),
                "elbo_bracket": [estimate(&beside.elbo[0]), estimate(&beside.elbo[1])],
                "defended": {
                    "samples": beside.defended.samples, "log_z": estimate(&beside.defended.log_z),
                    "ess": real(beside.defended.reverse_ess), "pareto_k": real(beside.defended.pareto_k),
                },
                "search": beside.search.as_ref().map(against),
            })),
            "search": self.search.as_ref().map(against),
            "kl_bound": self.kl_bound.map(|bound| json!({ "nats": estimate(&bound.nats), "log_concavity": bound.log_concavity })),
            "loss": {
                "mean": real(c.loss.mean()), "log_z": real(c.loss.log_z()), "noise": real(c.loss.noise), "unseen": real(c.loss.unseen),
                "missing": real(c.loss.missing), "log_z_above": real(c.log_z_error_above()),
                "largest": real(c.loss.largest), "ess_of_parts": c.loss.batches.map(real),
            },
            "findings": self.findings(), "caveat": Certificate::CAVEAT,
        })
    }

    /// What the figures add up to, one sentence each; that a mode may be missing first.
    fn findings(&self) -> Vec<String> {
        let beside = self.generator.as_ref().map(GeneratorCertificate::findings);
        let search = self.search.as_ref().map(|s| s.findings(self.certificate.log_z));
        beside.into_iter().chain(search).flatten().chain(self.certificate.findings()).collect()
    }

    /// Name, value and meaning of each figure.
    fn rows(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut rows = self.certificate.rows();
        rows.extend(self.kl_bound.iter().map(KlBound::row));
        rows.extend(self.generator.iter().flat_map(GeneratorCertificate::rows));
        rows.extend(self.search.iter().flat_map(AgainstSearch::rows));
        rows
    }

    /// As the terminal shows it.
    pub fn text(&self) -> String {
        let exact =
            self.certificate.exact.as_ref().map_or(String::new(), |e| format!(" and {} exact samples", e.samples));
        let mut out = format!("certificate from {} samples of the model{exact}\n", self.certificate.samples);
        for (name, value, meaning) in self.rows() {
            out += &format!("  {name:<26}{value:>22}   {meaning}\n");
        }
        for line in self.findings().iter().map(String::as_str).chain([Certificate::CAVEAT]) {
            out += &format!("  {line}\n");
        }
        out.trim_end().into()
    }

    /// As the report shows it; the learned density over the box of the target's `field`.
    pub fn card(&self, model: &Model, field: Option<&Field>) -> CertificateCard {
        let centre = self.certificate.log_z.value;
        let centred = |l: &[f64]| l.iter().map(|l| l - centre).filter(|l| l.is_finite()).collect::<Vec<f64>>();
        let row = |(name, value, meaning): (&str, String, &str)| (name.to_string(), value, meaning.to_string());
        let law = self.generator.as_ref().map(|beside| &beside.densities[1] as &dyn Density).or(model.density());
        CertificateCard {
            rows: self.rows().into_iter().map(row).collect(),
            findings: self.findings(),
            caveat: Certificate::CAVEAT.into(),
            log_weights: centred(&self.log_weights),
            exact_log_weights: centred(&self.exact_log_weights),
            field: field.zip(law).map(|(f, q)| f.of(q)),
        }
    }
}
