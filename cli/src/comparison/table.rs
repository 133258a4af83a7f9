//! A comparison as text and as JSON.

use super::{Cell, Column, Comparison, Part, Plan, Ruler, Settled, Spread};
use crate::evaluations;
use crate::files::json::real;
use crate::style::number;
use serde_json::{Map, Value, json};

/// mean ± spread, with the digits that the spread leaves.
pub fn shown(s: &Spread) -> String {
    if s.deviation > 0.0 { format!("{} ± {}", number(s.mean, 3), number(s.deviation, 2)) } else { number(s.mean, 3) }
}

/// The floor of a column, in its unit.
pub fn floor(comparison: &Comparison, column: &Column) -> String {
    let spread = |f: &(f64, f64)| Spread { mean: f.0, deviation: f.1, count: 0 }.times(column.factor);
    comparison.floors.get(column.key).map_or("–".into(), |f| shown(&spread(f)))
}

/// The tables as aligned text, floors last where there are any.
pub fn text(comparison: &Comparison, ruler: &Ruler) -> String {
    let settled = ruler.settled();
    let parts = comparison.parts(settled.as_ref());
    parts.iter().map(|part| aligned(&rows(comparison, part, settled.as_ref()))).collect::<Vec<_>>().join("\n")
}

/// Heading, a row a cell, floors.
fn rows(comparison: &Comparison, part: &Part, settled: Option<&Settled>) -> Vec<Vec<String>> {
    let head = ["method", "divergence"].into_iter().chain(part.columns.iter().map(|c| c.title)).map(String::from);
    let figure =
        |cell: &Cell, c: &Column| cell.spread(c.key, settled).map_or("–".into(), |s| shown(&s.times(c.factor)));
    let row = |cell: &&Cell| -> Vec<String> {
        let names = [cell.method.to_string(), cell.divergence.clone()];
        names.into_iter().chain(part.columns.iter().map(|c| figure(cell, c))).collect()
    };
    let has_floor = part.columns.iter().any(|c| comparison.floors.contains_key(c.key));
    let floors = ["floor", "exact samples"].map(String::from).into_iter();
    let floors = has_floor.then(|| floors.chain(part.columns.iter().map(|c| floor(comparison, c))).collect());
    std::iter::once(head.collect()).chain(part.cells.iter().map(row)).chain(floors).collect()
}

fn aligned(rows: &[Vec<String>]) -> String {
    let width = |j: usize| rows.iter().map(|r| r[j].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(j, (text, w))| {
            // names to the left, figures to the right
            if j < 2 { format!("{text:<w$}") } else { format!("{text:>w$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

/// Why trials did not sample the target, one sentence each.
pub fn failures(comparison: &Comparison) -> Vec<String> {
    let each = |c: &Cell| -> Vec<String> {
        let lost = c.trials.iter().filter_map(|t| Some((t.seed, t.lost()?)));
        lost.map(|(seed, why)| format!("{}, {}, seed {seed} {why}", c.method, c.divergence)).collect()
    };
    comparison.cells.iter().flat_map(each).collect()
}

/// Everything, for programs.
pub fn json(plan: &Plan, comparison: &Comparison, ruler: &Ruler) -> Value {
    let settled = ruler.settled();
    let names = ruler.transient_names();
    let pair = |mean: f64, spread: f64| json!({ "mean": real(mean), "spread": real(spread) });
    let cells: Vec<Value> = comparison
        .cells
        .iter()
        .map(|cell| {
            let trials: Vec<Value> = cell.trials.iter().map(|t| {
            let figures: Map<String, Value> = t.metrics.iter().map(|(k, v)| (k.to_string(), real(*v))).collect();
            let transient: Vec<Value> = t.transient.iter().map(|p| {
                let mut point = Map::from_iter([("step".to_string(), json!(p.step)), ("evaluations".to_string(), json!(p.calls))]);
                point.extend(names.iter().zip(&p.figures).map(|(n, v)| (n.0.to_string(), real(*v))));
                Value::Object(point)
            }).collect();
            json!({
                "seed": t.seed, "steps": t.steps, "seconds": t.seconds, "failure": t.failure, "metrics": figures,
                "virial": t.virial.map(real),
                "evaluations": evaluations::to_json(&t.counts),
                "settled": settled.and_then(|s| s.step(&t.transient)), "transient": transient,
            })
        }).collect();
            let columns = comparison.columns(settled.as_ref()).into_iter();
            let summary: Map<String, Value> = columns
                .filter_map(|c| {
                    cell.spread(c.key, settled.as_ref()).map(|s| {
                        // one seed has no spread
                        let spread = (s.count > 1).then(|| real(s.deviation));
                        (c.key.to_string(), json!({ "mean": real(s.mean), "spread": spread, "seeds": s.count }))
                    })
                })
                .collect();
            json!({ "method": cell.method, "divergence": cell.divergence, "summary": summary, "trials": trials })
        })
        .collect();
    let floors: Map<String, Value> = comparison.floors.iter().map(|(k, f)| (k.to_string(), pair(f.0, f.1))).collect();
    let transient_floors: Map<String, Value> = names
        .iter()
        .zip(ruler.transient_floors())
        .map(|(n, f)| (n.0.to_string(), f.map_or(Value::Null, |f| pair(f.0, f.1))))
        .collect();
    json!({
        "version": 1,
        "pushforward": env!("CARGO_PKG_VERSION"),
        "target": plan.target.name,
        "dim": plan.target.density.dim(),
        "seeds": plan.seeds,
        "budget": plan.budget,
        "ending": if comparison.interrupted { "interrupted" } else { "complete" },
        "threads": rayon::current_num_threads(),
        "samples": { "final": ruler.final_size(), "transient": ruler.transient_size() },
        "floors": floors,
        "transient_floors": transient_floors,
        "settled_limit": settled.map(|s| real(s.limit)),
        "cells": cells,
    })
}
