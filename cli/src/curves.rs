//! The curves of a run: the figures of its steps, under the names that the code gave that computed them.

use pushforward::run::StepReport;

/// A figure of the steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name in files.
    pub key: String,
    /// Its name for people.
    pub label: String,
}

/// One logged step.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// From 1.
    pub step: usize,
    /// Whether the step was left out because the target was not finite.
    pub skipped: bool,
    /// One number for each column; NaN where the step has none.
    pub values: Vec<f64>,
}

/// All logged steps.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curves {
    /// The figures.
    pub columns: Vec<Column>,
    /// In the order of the steps.
    pub rows: Vec<Row>,
}

impl Curves {
    /// Adds a step; a figure that was not there before begins a column.
    pub fn push(&mut self, report: &StepReport) {
        let mut values = vec![f64::NAN; self.columns.len()];
        for figure in &report.figures {
            let place = self.columns.iter().position(|c| c.key == figure.key).unwrap_or_else(|| {
                self.columns.push(Column { key: figure.key.into(), label: figure.label.into() });
                values.push(f64::NAN);
                self.columns.len() - 1
            });
            values[place] = figure.value;
        }
        self.rows.push(Row { step: report.step as usize + 1, skipped: report.skipped, values });
    }

    /// The points (step, value) of a column that are finite.
    pub fn points(&self, column: usize) -> Vec<(f64, f64)> {
        let value = |r: &Row| r.values.get(column).copied().unwrap_or(f64::NAN);
        self.rows.iter().map(|r| (r.step as f64, value(r))).filter(|p| p.1.is_finite()).collect()
    }

    /// The column with this key.
    pub fn column(&self, key: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.key == key)
    }
}
