//! What a flow learnt of a family at some of its conditions: log Z, and what checks it.

use crate::failure::{Failure, Outcome};
use crate::files::json::real;
use crate::model::Model;
use crate::record::ConditionCard;
use crate::style::number;
use crate::target::Target;
use crate::target::coordinates::Coordinates;
use pushforward::Error;
use pushforward::density::{Preferences, Temperatures};
use pushforward::linalg::Matrix;
use pushforward::metric::Estimate;
use pushforward::model::flow::{AtPreference, AtTemperature, Flow};
use pushforward::num::{exp, ln};
use serde_json::{Value, json};

/// Temperatures of the table, equally spaced in log β, and samples at each condition.
const TEMPERATURES: usize = 10;
const SAMPLES: usize = 10_000;
/// Weights of the first of two targets, and that of each of several in turn, the others equal.
const FIRST_OF_TWO: [f64; 5] = [0.1, 0.3, 0.5, 0.7, 0.9];
const PREFERRED: f64 = 0.8;

/// The table.
pub struct Table {
    /// For a person.
    pub card: ConditionCard,
    /// Key and content in summary.json.
    pub json: (&'static str, Value),
}

/// The flow's coordinates of a condition in the user's: `values` stand for the first columns of a sample, `sample` for the others. Weights of a
/// simplex are a column more than coordinates.
pub fn condition(coordinates: &Coordinates, sample: &Matrix, values: &[f64]) -> Outcome<Vec<f64>> {
    let mut x = coordinates.constrain(sample.slice_rows(0..1))?;
    x.row_mut(0)[..values.len()].copy_from_slice(values);
    let free = match coordinates.chart() {
        Some(chart) => chart.free(&x).map_err(|e| match e {
            Error::Unsupported { what, .. } => {
                Failure::input(format!("{}; give numbers inside", what.trim_start_matches("row 0: ")))
            }
            other => other.into(),
        })?,
        None => coordinates.free(x)?,
    };
    let more = coordinates.parameters() - coordinates.free_dim();
    Ok(free.row(0)[..values.len() - more].to_vec())
}

fn with(e: Estimate) -> String {
    format!("{} ± {}", number(e.value, 5), number(e.standard_error, 2))
}

fn estimate(e: Estimate) -> Value {
    json!({ "value": real(e.value), "standard_error": real(e.standard_error) })
}

impl Table {
    /// Of a run on a family whose model is a flow; None for others.
    pub fn of(target: &Target, model: &Model, seed: u64) -> Outcome<Option<Self>> {
        let Model::Flow(flow) = model else { return Ok(None) };
        let sample = flow.sample_block(1, seed, 0);
        let coordinates = |values: &[f64]| {
            let of = condition(&target.coordinates, &sample, values);
            of.map_err(|e| Error::Unsupported { what: e.to_string(), remedy: "choose another condition" })
        };
        let table = match (target.density.temperatures(), target.density.preferences()) {
            (Some(family), _) => {
                let from = target.definition.get("from").and_then(toml::Value::as_float);
                temperatures(flow, family, from.unwrap_or(family.range().0), &coordinates, seed)?
            }
            (None, Some(family)) => preferences(flow, family, &coordinates, seed)?,
            _ => return Ok(None),
        };
        Ok(Some(table))
    }

    /// For the terminal.
    pub fn text(&self) -> String {
        let ConditionCard { title, lead, columns, rows } = &self.card;
        let line = |[a, b, c, d, e]: [&str; 5]| format!("{a:>7}  {b:<20} {c:>10} {d:>7}  {e}");
        let rows = rows.iter().map(|row| line(row.each_ref().map(String::as_str)));
        let lines: Vec<String> =
            [format!("{}: {lead}", title.to_lowercase()), line(*columns)].into_iter().chain(rows).collect();
        lines.join("\n") + "\n"
    }
}

type ToCoordinates<'a> = &'a dyn Fn(&[f64]) -> pushforward::Result<Vec<f64>>;

/// At ten β from `from` on.
fn temperatures(
    flow: &Flow<f64>,
    family: &Temperatures,
    from: f64,
    coordinates: ToCoordinates,
    seed: u64,
) -> pushforward::Result<Table> {
    let at = |k: usize| {
        let last = k + 1 == TEMPERATURES;
        let beta = if last { 1.0 } else { exp(ln(from) * (1.0 - k as f64 / (TEMPERATURES - 1) as f64)) };
        AtTemperature::of(flow, family, &|beta| Ok(coordinates(&[beta])?[0]), beta, (SAMPLES, seed))
    };
    let all = (0..TEMPERATURES).map(at).collect::<pushforward::Result<Vec<_>>>()?;
    let row = |t: &AtTemperature| {
        let exact = t.exact.map_or("–".into(), |z| number(z, 6));
        let gap = t.slope_gap.value / t.slope_gap.standard_error;
        let slope = format!("{}, its slope {} standard errors off", with(t.mean_log_density), number(gap, 2));
        [number(t.beta, 4), with(t.log_z), exact, number(t.ess, 3), slope]
    };
    let one = |t: &AtTemperature| {
        json!({
            "beta": t.beta, "log_z": estimate(t.log_z), "exact_log_z": t.exact, "ess": real(t.ess),
            "mean_log_density": estimate(t.mean_log_density), "slope_gap": estimate(t.slope_gap),
        })
    };
    let lead = "Samples given beta, weighted to p~^beta: log Z(beta) beside the exact one where a formula knows it, and d log Z/d beta by differences, which is E[log p~].";
    let card = ConditionCard {
        title: "Temperatures",
        lead,
        columns: ["beta", "log Z", "exact", "ESS", "E[log p~]"],
        rows: all.iter().map(row).collect(),
    };
    Ok(Table { card, json: ("temperatures", all.iter().map(one).collect()) })
}

/// At some weights of the simplex.
fn preferences(
    flow: &Flow<f64>,
    family: &Preferences,
    coordinates: ToCoordinates,
    seed: u64,
) -> pushforward::Result<Table> {
    let k = family.parts().len();
    let turn = |j: usize| (0..k).map(move |i| if i == j { PREFERRED } else { (1.0 - PREFERRED) / (k - 1) as f64 });
    let weights: Vec<Vec<f64>> = match k {
        2 => FIRST_OF_TWO.map(|w| vec![w, 1.0 - w]).to_vec(),
        _ => std::iter::once(vec![1.0 / k as f64; k]).chain((0..k).map(|j| turn(j).collect())).collect(),
    };
    let at = |w: &Vec<f64>| AtPreference::of(flow, family, &coordinates(w)?, w, (SAMPLES, seed));
    let all = weights.iter().map(at).collect::<pushforward::Result<Vec<_>>>()?;
    let words = |list: Vec<String>| list.join(", ");
    let row = |t: &AtPreference| {
        let weights = words(t.weights.iter().map(|w| number(*w, 2)).collect());
        [weights, with(t.log_z), "–".into(), number(t.ess, 3), words(t.means.iter().map(|m| with(*m)).collect())]
    };
    let one = |t: &AtPreference| {
        let means: Vec<Value> = t.means.iter().map(|m| estimate(*m)).collect();
        json!({ "weights": t.weights, "log_z": estimate(t.log_z), "ess": real(t.ess), "mean_log_densities": means })
    };
    let lead = "Samples given the weights w, weighted to p1~^w1 p2~^w2 ...: log of the integral Z(w), and the mean of each log p_k~, which is what one target pays for another.";
    let card = ConditionCard {
        title: "Preferences",
        lead,
        columns: ["weights", "log Z", "exact", "ESS", "E[log p_k~]"],
        rows: all.iter().map(row).collect(),
    };
    Ok(Table { card, json: ("preferences", all.iter().map(one).collect()) })
}
