//! What a flow learnt of a density at ten temperatures: log Z, and whether its slope is the mean of log p~.

use crate::failure::{Failure, Outcome};
use crate::files::json::real;
use crate::model::Model;
use crate::style::number;
use crate::target::Target;
use crate::target::coordinates::Coordinates;
use pushforward::Error;
use pushforward::linalg::Matrix;
use pushforward::metric::Estimate;
use pushforward::model::flow::AtTemperature;
use pushforward::num::{exp, ln};
use serde_json::{Value, json};

/// Temperatures of the table, equally spaced in log β, and samples at each.
const TEMPERATURES: usize = 10;
const SAMPLES: usize = 10_000;

/// The table.
pub struct Table(Vec<AtTemperature>);

/// The flow's coordinates of a condition in the user's: `values` stand for the first coordinates of a sample, `sample` for the others.
pub fn condition(coordinates: &Coordinates, sample: &Matrix, values: &[f64]) -> Outcome<Vec<f64>> {
    let mut x = coordinates.constrain(sample.slice_rows(0..1))?;
    x.row_mut(0)[..values.len()].copy_from_slice(values);
    let free = match coordinates.chart() {
        Some(chart) => chart.free(&x).map_err(|e| match e {
            Error::Unsupported { what, .. } => {
                Failure::input(format!("{}; give a number inside", what.trim_start_matches("row 0: ")))
            }
            other => other.into(),
        })?,
        None => coordinates.free(x)?,
    };
    Ok(free.row(0)[..values.len()].to_vec())
}

impl Table {
    /// Of a run on a target of temperatures whose model is a flow; None for others.
    pub fn of(target: &Target, model: &Model, seed: u64) -> Outcome<Option<Self>> {
        let (Some(family), Model::Flow(flow)) = (target.density.temperatures(), model) else { return Ok(None) };
        let (low, from) = (family.range().0, target.definition.get("from").and_then(toml::Value::as_float));
        let from = from.unwrap_or(low);
        let sample = flow.sample_block(1, seed, 0);
        let coordinate = |beta: f64| {
            let of = condition(&target.coordinates, &sample, &[beta]);
            of.map(|c| c[0]).map_err(|e| Error::Unsupported { what: e.to_string(), remedy: "choose another beta" })
        };
        let at = |k: usize| {
            let beta =
                if k + 1 == TEMPERATURES { 1.0 } else { exp(ln(from) * (1.0 - k as f64 / (TEMPERATURES - 1) as f64)) };
            AtTemperature::of(flow, family, &coordinate, beta, (SAMPLES, seed))
        };
        Ok(Some(Self((0..TEMPERATURES).map(at).collect::<Result<_, _>>().map_err(Failure::from)?)))
    }

    /// What stands above the columns.
    pub const LEAD: &str = "Samples given beta, weighted to p~^beta: log Z(beta) beside the exact one where a formula knows it, and d log Z/d beta by differences, which is E[log p~].";

    /// beta, log Z, what is exact less that, ESS, and E[log p~] with the gap of the slope in its standard errors.
    pub fn rows(&self) -> Vec<[String; 5]> {
        let with = |e: Estimate| format!("{} ± {}", number(e.value, 5), number(e.standard_error, 2));
        let row = |t: &AtTemperature| {
            let exact = t.exact.map_or("–".into(), |z| number(z, 6));
            let gap = t.slope_gap.value / t.slope_gap.standard_error;
            let slope = format!("{}, its slope {} standard errors off", with(t.mean_log_density), number(gap, 2));
            [number(t.beta, 4), with(t.log_z), exact, number(t.ess, 3), slope]
        };
        self.0.iter().map(row).collect()
    }

    /// The names of the columns.
    pub const COLUMNS: [&str; 5] = ["beta", "log Z", "exact", "ESS", "E[log p~]"];

    /// For the terminal.
    pub fn text(&self) -> String {
        let line = |[a, b, c, d, e]: [&str; 5]| format!("{a:>7}  {b:<20} {c:>10} {d:>7}  {e}");
        let rows = self.rows();
        let rows = rows.iter().map(|row| line(row.each_ref().map(String::as_str)));
        let lines: Vec<String> =
            [format!("temperatures: {}", Self::LEAD), line(Self::COLUMNS)].into_iter().chain(rows).collect();
        lines.join("\n") + "\n"
    }

    /// For summary.json.
    pub fn to_json(&self) -> Value {
        let estimate = |e: Estimate| json!({ "value": real(e.value), "standard_error": real(e.standard_error) });
        let one = |t: &AtTemperature| {
            json!({
                "beta": t.beta, "log_z": estimate(t.log_z), "exact_log_z": t.exact, "ess": real(t.ess),
                "mean_log_density": estimate(t.mean_log_density), "slope_gap": estimate(t.slope_gap),
            })
        };
        self.0.iter().map(one).collect()
    }
}
