//! Hypothesis tests of a sample: a kernel Stein discrepancy, MMD, and the mode masses that neither score nor Stein sees.

mod battery;
mod forms;
mod masses;
mod stein;
mod two_sample;

pub(super) use battery::Battery;
pub use masses::mode_mass_test;
pub use stein::{SteinTest, stein_scale, stein_test};
pub use two_sample::{MmdTest, mmd_test};

/// What a test is.
#[derive(Debug, PartialEq, Eq)]
pub struct TestKind {
    /// Its key in files; never changes.
    pub key: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// What is asked.
    pub question: &'static str,
}

/// One test of [`evaluate`](crate::metric::evaluate): whether the sample could have come from the target.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// What it is.
    pub kind: &'static TestKind,
    /// The statistic: KSD = √(V-statistic), MMD², or the total variation of mode masses. NaN where the test could not be done.
    pub statistic: f64,
    /// The chance of a statistic at least as large for exact samples; uniform under the null. NaN where the test could not be done.
    pub p_value: f64,
    /// Points of the sample in the test.
    pub size: usize,
    /// Constants, what the test is blind to, or why it was not done.
    pub note: String,
}
