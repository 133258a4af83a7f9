//! All tests that apply to a target, in the order in which they should be read: masses first, scores last.

use super::{Test, mmd_test, mode_mass_test, stein_scale, stein_test};
use crate::density::{Density, evaluate};
use crate::linalg::Matrix;
use crate::metric::{ModeTruth, Options};

/// Most samples in the test of mode masses.
const MASSES: usize = 10_000;
/// The true masses must come from this many times more.
const TRUTH_RATIO: usize = 20;

/// What the tests need.
pub(in crate::metric) struct Battery<'a> {
    pub target: &'a dyn Density,
    /// In random order.
    pub samples: &'a Matrix,
    pub truth: Option<&'a ModeTruth>,
    /// `size` exact samples.
    pub exact: Option<Matrix>,
    pub size: usize,
    pub options: &'a Options,
}

impl Battery<'_> {
    /// Mode masses for a mixture, MMD with an exact sampler, KSD with a density.
    pub fn tests(&self) -> Vec<Test> {
        let masses = self.truth.map(|truth| self.masses(truth));
        let mmd = self.exact.as_ref().map(|exact| self.mmd(exact));
        let stein = self.target.is_known().then(|| self.stein());
        masses.into_iter().chain(mmd).chain(stein).collect()
    }

    fn masses(&self, truth: &ModeTruth) -> Test {
        let size = self.samples.rows().min(MASSES).min((truth.size() / TRUTH_RATIO).max(2));
        let report = truth.report(&self.samples.slice_rows(0..size));
        Test {
            name: "mode masses".into(),
            statistic: report.total_variation,
            p_value: mode_mass_test(&report, size, self.options.resamples, self.options.seed),
            size,
            note: "Pearson's X² of the cells among simulated counts; the statistic shown is the total variation".into(),
        }
    }

    fn mmd(&self, exact: &Matrix) -> Test {
        let samples = self.samples.slice_rows(0..self.size);
        match mmd_test(&samples, exact, self.options.resamples, self.options.seed) {
            Err(error) => self.not_done("MMD", &error.to_string()),
            Ok(test) => Test {
                name: "MMD".into(),
                statistic: test.mmd2,
                p_value: test.p_value,
                size: self.size,
                note: format!(
                    "permutations against as many exact samples; h = {:.4}: differences much finer are invisible",
                    test.bandwidth
                ),
            },
        }
    }

    fn stein(&self) -> Test {
        let samples = self.samples.slice_rows(0..self.size);
        let evaluation = match evaluate(self.target, &samples) {
            Err(error) => return self.not_done("KSD", &error.to_string()),
            Ok(evaluation) => evaluation,
        };
        let inside: Vec<usize> = (0..self.size).filter(|&i| evaluation.log_density[i].is_finite()).collect();
        let (points, scores) = (samples.gather_rows(&inside), evaluation.score.gather_rows(&inside));
        let Some(scale) = (inside.len() > 1).then(|| stein_scale(&scores)).flatten() else {
            return self.not_done("KSD", "the scores give no length");
        };
        let (resamples, seed) = (self.options.resamples, self.options.seed);
        match stein_test(&points, &scores, scale, resamples, seed) {
            Err(error) => self.not_done("KSD", &error.to_string()),
            Ok(test) => Test {
                name: "KSD".into(),
                statistic: test.discrepancy.biased.max(0.0).sqrt(),
                p_value: test.p_value,
                size: inside.len(),
                note: self.stein_note(scale, inside.len()),
            },
        }
    }

    fn stein_note(&self, scale: f64, inside: usize) -> String {
        let other = match (self.truth, &self.exact) {
            (Some(_), _) => "the mode masses",
            (None, Some(_)) => "MMD",
            (None, None) => "nothing here: the target has neither named modes nor an exact sampler",
        };
        let left_out = match self.size - inside {
            0 => String::new(),
            k => format!("; {k} of {} samples are outside the support and left out", self.size),
        };
        format!(
            "wild bootstrap, kernel (c² + |x-y|²)^-½, c = {scale:.4}; blind to wrong masses of far modes, for which look at {other}{left_out}"
        )
    }

    fn not_done(&self, name: &str, why: &str) -> Test {
        let note = format!("not done: {why}");
        Test { name: name.into(), statistic: f64::NAN, p_value: f64::NAN, size: self.size, note }
    }
}
