//! The table `[parameters]` of a formula: names for parts of the point, with shapes and supports.
//!
//! ```toml
//! [parameters]
//! mu = {}                                  # a number
//! tau = { support = "positive" }           # also: lower = 0, upper = 1, support = [0, 1]
//! theta = { size = 8 }                     # a vector; size = "J" for a whole number of the data
//! b = { lower = 0, upper = "1 - mu" }      # ends by formulas of the data and of earlier parameters
//! Z = { size = [3, 2] }                    # a matrix
//! cut = { size = 3, support = "ordered" }  # or "simplex"
//! ```

use crate::target::Reason;
use crate::target::formula::value::{Axis, COMPONENTS, Data, ROWS, Value};
use crate::target::support;
use pushforward::Error;
use pushforward::density::{Chart, Support};
use serde::Deserialize;
use std::ops::Range;

/// What is said of one parameter.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    size: Option<Size>,
    support: Option<toml::Value>,
    lower: Option<End>,
    upper: Option<End>,
}

#[derive(Deserialize, Clone)]
#[serde(untagged, expecting = "lower and upper are numbers, or formulas such as \"1 - a\"")]
enum End {
    Number(f64),
    Formula(String),
}

impl End {
    fn text(&self) -> String {
        match self {
            End::Number(x) => format!("{x:?}"),
            End::Formula(text) => text.clone(),
        }
    }
}

#[derive(Deserialize, Clone)]
#[serde(untagged, expecting = "size must be a whole number, [rows, columns], or the name of a number of the data")]
enum Size {
    One(Length),
    Two([Length; 2]),
}

#[derive(Deserialize, Clone)]
#[serde(untagged, expecting = "a size is a whole number or the name of one")]
enum Length {
    Number(i64),
    Name(String),
}

/// A name for columns of the point.
pub(super) struct Part<'a> {
    pub name: &'a str,
    pub columns: Range<usize>,
    pub axes: Vec<Axis>,
    /// Between which numbers every entry of the chart lies.
    pub ends: Option<(f64, f64)>,
    /// Formulas of the lower and the upper end, where one of them is not a number.
    pub bounds: Option<&'a Bounds>,
}

/// The lower and the upper end of a parameter as formulas.
pub(super) type Bounds = [Option<String>; 2];

/// The parameters in the order of the file.
pub(crate) struct Parameters {
    list: Vec<(String, Vec<usize>, Support, Option<Bounds>)>,
    chart: Chart,
}

impl Parameters {
    /// From the table; sizes by name are looked for among the `constants`, and only there where they are given.
    pub fn of(table: &toml::Table, constants: &[(String, Value)]) -> Result<Self, Reason> {
        if table.is_empty() {
            return Err(Reason::new("parameters: the table is empty; name at least one, such as mu = {}"));
        }
        let (mut list, mut blocks) = (Vec::new(), Vec::new());
        for (name, value) in table {
            let bad = |why: String| Reason::new(format!("parameters: {name} {why}"));
            let keys = Keys::deserialize(value.clone()).map_err(|e| {
                let why = e.message().to_string();
                let keys =
                    "; the keys of a parameter are size, support, lower and upper, such as { size = 8, lower = 0 }";
                bad(format!("= {value}: {}{keys}", why.lines().next().unwrap_or_default()))
            })?;
            let lengths = match &keys.size {
                None => vec![],
                Some(Size::One(n)) => vec![n],
                Some(Size::Two([m, n])) => vec![m, n],
            };
            let shape =
                lengths.into_iter().map(|n| length(n, constants)).collect::<Result<Vec<_>, _>>().map_err(bad)?;
            let width = shape.iter().product::<usize>();
            let support = keys.support(name)?;
            let one_block = matches!(support, Support::Simplex(_) | Support::Ordered(_));
            if one_block && shape.len() != 1 {
                return Err(bad(format!("is a {}; give it a size, such as size = 3", keys.words())));
            }
            if blocks.len() + width > super::MAX_DIM {
                return Err(bad(format!("brings the numbers of a point above {}", super::MAX_DIM)));
            }
            match support {
                Support::Simplex(_) => blocks.push(Support::Simplex(width)),
                Support::Ordered(_) => blocks.push(Support::Ordered(width)),
                each => blocks.extend(vec![each; width]),
            }
            list.push((name.clone(), shape, support, keys.bounds()));
        }
        let chart = Chart::new(blocks).map_err(|e| Reason::new(format!("parameters: {e}")))?;
        Ok(Self { list, chart })
    }

    /// From R^m to the parameters; where the ends of one are formulas, to its distance from one end, or its place between both from 0 to 1.
    pub fn chart(&self) -> &Chart {
        &self.chart
    }

    /// The first parameter whose ends are formulas.
    pub fn bounded(&self) -> Option<&str> {
        self.list.iter().find(|(.., bounds)| bounds.is_some()).map(|(name, ..)| name.as_str())
    }

    /// Names of all entries.
    pub fn names(&self) -> Vec<String> {
        self.list.iter().flat_map(|(name, shape, ..)| entries(name, shape)).collect()
    }

    /// Each parameter with its columns of the point.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.list.iter().scan(0, |at, (name, shape, support, bounds)| {
            let columns = *at..*at + shape.iter().product::<usize>();
            *at = columns.end;
            let ids: &[usize] = if shape.len() == 2 { &[ROWS, COMPONENTS] } else { &[COMPONENTS] };
            let axes = shape.iter().zip(ids).map(|(len, id)| Axis { id: *id, len: *len }).collect();
            let ends = match *support {
                Support::Interval { low, high } => Some((low, high)),
                Support::Simplex(_) => Some((0.0, 1.0)),
                _ => None,
            };
            Some(Part { name, columns, axes, ends, bounds: bounds.as_ref() })
        })
    }
}

impl Keys {
    /// The formulas of both ends, where one is a formula.
    fn bounds(&self) -> Option<Bounds> {
        let ends = [&self.lower, &self.upper];
        let is_formula = |end: &&Option<End>| matches!(end, Some(End::Formula(_)));
        ends.iter().any(is_formula).then(|| ends.map(|end| end.as_ref().map(End::text)))
    }

    fn support(&self, name: &str) -> Result<Support, Reason> {
        match (&self.support, &self.lower, &self.upper) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
                Err(Reason::new(format!("parameters: {name} has a support beside lower or upper; give one of them")))
            }
            (Some(support), ..) => support::kind("parameters", name, support),
            (None, None, None) => Ok(Support::Real),
            (None, Some(End::Formula(_)), Some(_)) | (None, Some(_), Some(End::Formula(_))) => {
                Ok(Support::Interval { low: 0.0, high: 1.0 })
            }
            (None, Some(End::Formula(_)), None) | (None, None, Some(End::Formula(_))) => {
                Ok(Support::Interval { low: 0.0, high: f64::INFINITY })
            }
            (None, low, high) => {
                let number = |end: &Option<End>, none: f64| if let Some(End::Number(x)) = end { *x } else { none };
                let (low, high) = (number(low, f64::NEG_INFINITY), number(high, f64::INFINITY));
                Ok(Support::Interval { low, high })
            }
        }
    }

    fn words(&self) -> String {
        self.support.as_ref().and_then(toml::Value::as_str).unwrap_or("block").to_string()
    }
}

/// A length, or why it is none.
fn length(size: &Length, constants: &[(String, Value)]) -> Result<usize, String> {
    let number = match size {
        Length::Number(n) => *n as f64,
        Length::Name(name) => {
            let found = constants.iter().find(|(n, _)| n == name);
            let known: Vec<&str> =
                constants.iter().filter(|c| c.1.as_number().is_some()).map(|c| c.0.as_str()).collect();
            let found = found
                .ok_or_else(|| format!("has size = {}", Error::unknown_name("number of the data", name, &known)))?;
            match found {
                (_, Value { axes, data: Data::Known(v) }) if axes.is_empty() => v[0],
                _ => return Err(format!("has size = \"{name}\", which is {}; give a number", found.1.words())),
            }
        }
    };
    match number >= 1.0 && number.fract() == 0.0 && number <= super::MAX_DIM as f64 {
        true => Ok(number as usize),
        false => Err(format!("has size {number}; give a whole number from 1 to {}", super::MAX_DIM)),
    }
}

/// "theta[1]", "theta[2]", …; "Z[1,1]", "Z[1,2]", … row after row; the name itself for a number.
pub(super) fn entries(name: &str, shape: &[usize]) -> Vec<String> {
    match shape {
        [] => vec![name.to_string()],
        [n] => (1..=*n).map(|i| format!("{name}[{i}]")).collect(),
        _ => {
            let columns = shape[shape.len() - 1];
            let total: usize = shape.iter().product();
            (0..total).map(|k| format!("{name}[{},{}]", k / columns + 1, k % columns + 1)).collect()
        }
    }
}
