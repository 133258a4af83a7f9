//! All tests that apply to a target, in the order in which they should be read: masses first, scores last.

use super::{Test, TestKind, mmd_test, mode_mass_test, stein_scale, stein_test};
use crate::density::{Density, evaluate};
use crate::linalg::Matrix;
use crate::metric::{ModeTruth, Options};

/// Most samples in the test of mode masses.
const MASSES: usize = 10_000;
/// The true masses must come from this many times more.
const TRUTH_RATIO: usize = 20;

static MODE_MASSES: TestKind =
    TestKind { key: "mode_masses", name: "mode masses", question: "Does every mode have its share?" };
static MMD: TestKind = TestKind { key: "mmd", name: "MMD", question: "Do the samples and exact ones have one law?" };
static KSD: TestKind = TestKind { key: "ksd", name: "KSD", question: "Do the samples fit the score of the target?" };

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
            kind: &MODE_MASSES,
            statistic: report.total_variation,
            p_value: mode_mass_test(&report, size, self.options.resamples, self.options.seed),
            size,
            note: format!(
                "Pearson's X² of the cells among simulated counts; the statistic shown is the total variation{}",
                self.part(size)
            ),
        }
    }

    fn mmd(&self, exact: &Matrix) -> Test {
        let samples = self.samples.slice_rows(0..self.size);
        match mmd_test(&samples, exact, self.options.resamples, self.options.seed) {
            Err(error) => self.not_done(&MMD, &error.to_string()),
            Ok(test) => Test {
                kind: &MMD,
                statistic: test.mmd2,
                p_value: test.p_value,
                size: self.size,
                note: format!(
                    "permutations against as many exact samples; h = {:.4}: differences much finer are invisible{}",
                    test.bandwidth,
                    self.part(self.size)
                ),
            },
        }
    }

    fn stein(&self) -> Test {
        let samples = self.samples.slice_rows(0..self.size);
        let evaluation = match evaluate(self.target, &samples) {
            Err(error) => return self.not_done(&KSD, &error.to_string()),
            Ok(evaluation) => evaluation,
        };
        let inside: Vec<usize> = (0..self.size).filter(|&i| evaluation.log_density[i].is_finite()).collect();
        let (points, scores) = (samples.gather_rows(&inside), evaluation.score.gather_rows(&inside));
        let done = match (inside.len() > 1).then(|| stein_scale(&scores)).flatten() {
            None => self.not_done(&KSD, "the scores give no length"),
            Some(scale) => match stein_test(&points, &scores, scale, self.options.resamples, self.options.seed) {
                Err(error) => self.not_done(&KSD, &error.to_string()),
                Ok(test) => Test {
                    kind: &KSD,
                    statistic: root(test.discrepancy.biased),
                    p_value: test.p_value,
                    size: inside.len(),
                    note: self.stein_note(scale) + &own_term(&scores, scale, test.discrepancy.biased),
                },
            },
        };
        if inside.len() == self.size { done } else { self.outside(self.size - inside.len(), done) }
    }

    /// KSD where `k` samples are outside the support: exact samples never are, so no statistic of theirs is as large.
    fn outside(&self, k: usize, inside: Test) -> Test {
        let n = self.size;
        let others = format!("the others have KSD {:.4}, p = {:.3}: {}", inside.statistic, inside.p_value, inside.note);
        Test {
            statistic: f64::INFINITY,
            p_value: 1.0 / (self.options.resamples + 1) as f64,
            size: n,
            note: format!("{k} of {n} samples are outside the support, where exact samples never are; {others}"),
            ..inside
        }
    }

    fn stein_note(&self, scale: f64) -> String {
        let other = match (self.truth, &self.exact) {
            (Some(_), _) => "the mode masses",
            (None, Some(_)) => "MMD",
            (None, None) => "nothing here: the target has neither named modes nor an exact sampler",
        };
        format!(
            "wild bootstrap, kernel (c² + |x-y|²)^-½, c = {scale:.4}; blind to wrong masses of far modes, for which look at {other}{}",
            self.part(self.size)
        )
    }

    /// Which part of the samples a test of `size` of them has, where it has not all.
    fn part(&self, size: usize) -> String {
        let n = self.samples.rows();
        if size < n { format!("; {size} of {n} samples, drawn at random") } else { String::new() }
    }

    fn not_done(&self, kind: &'static TestKind, why: &str) -> Test {
        let note = format!("not done: {why}");
        Test { kind, statistic: f64::NAN, p_value: f64::NAN, size: self.size, note }
    }
}

/// Share of KSD² from which one sample's own term is said.
const OWN: f64 = 0.5;

/// Words on the largest u(x_i, x_i) where it is most of n² KSD²: signs change no diagonal, so the bootstrap is blind to it.
fn own_term(scores: &Matrix, scale: f64, biased: f64) -> String {
    let (n, d) = scores.shape();
    let own = |s: &[f64]| s.iter().map(|s| s * s).sum::<f64>() / scale + d as f64 / scale.powi(3);
    let share = scores.iter_rows().map(own).fold(0.0, f64::max) / (n as f64).powi(2) / biased;
    if share.is_nan() || share <= OWN {
        return String::new();
    }
    format!(
        "; {:.2} % of KSD² is one sample's own term, its squared score: the p-value is about the others, so look where that sample is",
        100.0 * share.min(1.0)
    )
}

/// √x of a statistic that is not negative but for rounding; what is not finite is infinite.
fn root(x: f64) -> f64 {
    if x.is_finite() { x.max(0.0).sqrt() } else { f64::INFINITY }
}
