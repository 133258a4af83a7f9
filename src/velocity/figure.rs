//! Figures: numbers of a step with their names, made by the code that computes them.

use crate::density::Affine;
use crate::estimate::Estimator;

/// In what a figure is measured: decides how it changes with the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A pure number, or a difference of log-densities: the same in every frame.
    Plain,
    /// A length in the space of the model; times the frame's scale.
    Length,
    /// A log-density of the model's space; less the logarithm of the frame's Jacobian.
    LogDensity,
}

/// A number of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Its name in files; never changes.
    pub key: &'static str,
    /// Its name for people, with the argument order of a divergence.
    pub label: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Its value.
    pub value: f64,
}

impl Figure {
    /// A pure number.
    pub fn plain(key: &'static str, label: &'static str, value: f64) -> Self {
        Self { key, label, unit: Unit::Plain, value }
    }

    /// What an estimator says of itself: pure numbers.
    pub(super) fn of_estimator(estimator: &dyn Estimator) -> impl Iterator<Item = Self> {
        Self::all_plain(estimator.figures())
    }

    /// Pure numbers.
    pub(super) fn all_plain(of: Vec<(&'static str, &'static str, f64)>) -> impl Iterator<Item = Self> {
        of.into_iter().map(|(key, label, value)| Self::plain(key, label, value))
    }

    /// The figure in the units of x, from those of the frame.
    pub fn restored(self, frame: &Affine) -> Self {
        let value = match self.unit {
            Unit::Plain => self.value,
            Unit::Length => self.value * frame.scale(),
            Unit::LogDensity => self.value - frame.log_jacobian(),
        };
        Self { value, ..self }
    }
}
