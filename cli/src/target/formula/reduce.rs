//! Sums, products and the like over the last axis, and lists.

use crate::target::formula::build::{Builder, Built, plain};
use crate::target::formula::program::{Pair, Step};
use crate::target::formula::value::{Axis, COMPONENTS, Data, ROWS, Value, union, width};
use pushforward::linalg::Matrix;
use pushforward::num::log_sum_exp;
use std::sync::Arc;

impl Builder {
    /// The axes without the last, its length, and the number of groups.
    fn last_axis(a: &Value) -> (Vec<Axis>, usize, usize) {
        let (last, rest) = a.axes.split_last().expect("a value that is summed has an axis");
        (rest.to_vec(), last.len, width(rest))
    }

    /// Σ over the last axis.
    fn sum_last(&mut self, a: &Value) -> Built {
        let (rest, size, groups) = Self::last_axis(a);
        match &a.data {
            Data::Known(v) => self.known(rest, || v.chunks(size).map(|c| c.iter().sum()).collect()),
            Data::Computed(id) => {
                let index: Arc<[usize]> =
                    if groups == 1 { [].into() } else { (0..groups * size).map(|k| k / size).collect() };
                self.computed(Step::Sum(*id, index, groups), rest)
            }
        }
    }

    /// Π over the last axis, by halves.
    fn product_last(&mut self, a: &Value) -> Built {
        let (rest, _, _) = Self::last_axis(a);
        let id = a.axes[rest.len()].id;
        let mut a = a.clone();
        while a.axes[rest.len()].len > 1 {
            let len = a.axes[rest.len()].len;
            let part = |from: usize, to: usize| Value {
                axes: vec![Axis { id: COMPONENTS, len: to - from }],
                data: Data::Known((from..to).map(|k| k as f64 + 1.0).collect()),
            };
            let (low, high) =
                (self.pick(&a, id, &part(0, len / 2), id)?, self.pick(&a, id, &part(len / 2, len / 2 * 2), id)?);
            let mut product = self.entries(Pair::Mul, &low, &high)?;
            if len % 2 == 1 {
                // the odd one out goes with the first
                let first = self.pick(&product, id, &part(0, 1), id)?;
                let odd = self.pick(&a, id, &part(len - 1, len), id)?;
                let both = self.entries(Pair::Mul, &first, &odd)?;
                if len / 2 == 1 {
                    product = both;
                } else {
                    let others = self.pick(&product, id, &part(1, len / 2), id)?;
                    product = self.concat(&[both, others], id)?;
                }
            }
            a = product;
        }
        let positions = (0..width(&rest)).collect();
        self.gather(&a, positions, rest)
    }

    /// log Σ exp over the last axis.
    fn log_sum_exp_last(&mut self, a: &Value) -> Built {
        let (rest, size, _) = Self::last_axis(a);
        match &a.data {
            Data::Known(v) => self.known(rest, || v.chunks(size).map(log_sum_exp).collect()),
            Data::Computed(id) => self.computed(Step::LogSumExp(*id, size), rest),
        }
    }

    /// "sum", "prod", "logsumexp" or "vector" over the axis, the last loop that was opened or the components.
    pub fn reduce(&mut self, how: &str, a: &Value, axis: Axis) -> Built {
        plain(a)?;
        if axis.id != COMPONENTS && a.has(COMPONENTS) {
            return Err(format!("the body of {how} is {}; make it a number, such as by sum(…)", a.words()));
        }
        let all = union(&a.axes, &[axis]).ok_or("two lengths of one loop")?;
        let a = self.spread(a, &all)?;
        match how {
            "sum" => self.sum_last(&a),
            "prod" => self.product_last(&a),
            "logsumexp" => self.log_sum_exp_last(&a),
            _ => {
                let mut a = a;
                if let Some(last) = a.axes.last_mut() {
                    last.id = COMPONENTS;
                }
                Ok(a)
            }
        }
    }

    /// Values side by side along the last axis `id`, which all of them have, or none.
    fn concat(&mut self, parts: &[Value], id: usize) -> Built {
        let len_of = |v: &Value| v.axes.iter().find(|a| a.id == id).map_or(1, |a| a.len);
        let mut outer: Vec<Axis> = Vec::new();
        for part in parts {
            let rest: Vec<Axis> = part.axes.iter().filter(|a| a.id != id).copied().collect();
            outer = union(&outer, &rest).ok_or("parts of different lengths")?;
        }
        let total: usize = parts.iter().map(len_of).sum();
        let axes = union(&outer, &[Axis { id, len: total }]).ok_or("parts of different lengths")?;
        let (mut known, mut joined, mut order) = (Vec::new(), None, vec![0; width(&axes)]);
        let (mut start, mut before) = (0, 0);
        for part in parts {
            let len = len_of(part);
            let own = union(&outer, &[Axis { id, len }]).ok_or("parts of different lengths")?;
            let mut part = part.clone();
            part.axes.retain(|a| a.id != id);
            part.axes.push(Axis { id, len });
            let part = self.spread(&part, &own)?;
            for g in 0..width(&outer) {
                (0..len).for_each(|k| order[g * total + before + k] = start + g * len + k);
            }
            (start, before) = (start + part.width(), before + len);
            match (&part.data, joined) {
                (Data::Known(v), None) => known.extend(v),
                _ => {
                    if joined.is_none() && !known.is_empty() {
                        let row = Matrix::from_vec(1, known.len(), std::mem::take(&mut known));
                        joined = Some(self.push(Step::Rows(Arc::new(row))));
                    }
                    let next = self.full_step(&part);
                    self.spend(&[Axis { id, len: start }])?;
                    joined = Some(joined.map_or(next, |before| self.push(Step::Join(before, next))));
                }
            }
        }
        let data = joined.map_or(Data::Known(known), Data::Computed);
        self.gather(&Value { axes: axes.clone(), data }, order, axes)
    }

    /// log(e^a + e^b) = t + log(e^(a - t) + e^(b - t)), entry by entry, with t = max(a, b) kept finite, so that -∞ beside -∞ is -∞.
    pub fn log_add_exp(&mut self, a: &Value, b: &Value) -> Built {
        let mut top = self.pair(Pair::Max, a, b)?;
        for (bound, limit) in [(Pair::Max, f64::MIN), (Pair::Min, f64::MAX)] {
            top = self.pair(bound, &top, &Value::number(limit))?;
        }
        let mut share = |x: &Value| {
            let shifted = self.pair(Pair::Sub, x, &top)?;
            self.call("exp", &shifted)
        };
        let (a, b) = (share(a)?, share(b)?);
        let sum = self.pair(Pair::Add, &a, &b)?;
        let log = self.call("log", &sum)?;
        self.pair(Pair::Add, &log, &top)
    }

    /// [a, b, …] of numbers.
    pub fn list(&mut self, parts: &[Value]) -> Built {
        match parts.iter().find(|p| p.has(COMPONENTS) || p.has(ROWS)) {
            Some(part) => Err(format!("a list holds numbers, but here is {}", part.words())),
            None => self.concat(parts, COMPONENTS),
        }
    }

    /// Σ_k a_k b_k of vectors, or A b of a matrix and a vector.
    pub fn dot(&mut self, a: &Value, b: &Value) -> Built {
        let (Some(m), Some(n)) = (a.components(), b.components()) else {
            return Err(format!("dot of {} and {}; both must be vectors, or the first a matrix", a.words(), b.words()));
        };
        if m != n || b.has(ROWS) {
            return Err(format!("dot of {} and {}; their lengths must agree", a.words(), b.words()));
        }
        let rows = a.axes.iter().find(|x| x.id == ROWS).map(|x| x.len);
        let mut out = match (&a.data, &b.data, rows) {
            (Data::Known(w), Data::Computed(id), Some(rows)) if a.axes.len() == 2 && b.axes.len() == 1 => {
                let w = Matrix::from_fn(m, rows, |k, i| w[i * m + k]);
                self.computed(Step::Product(*id, Arc::new(w)), vec![Axis { id: ROWS, len: rows }])?
            }
            _ => {
                let product = self.entries(Pair::Mul, a, b)?;
                self.sum_last(&product)?
            }
        };
        out.axes.iter_mut().filter(|x| x.id == ROWS).for_each(|x| x.id = COMPONENTS);
        Ok(out)
    }
}
