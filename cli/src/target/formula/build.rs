//! From operations on values to steps: what is known is computed now, the rest is appended to the program.

use crate::target::formula::functions::{TABLE, find};
use crate::target::formula::program::{Pair, Step};
use crate::target::formula::value::{Axis, COMPONENTS, Data, ROWS, Value, positions, union, width};
use pushforward::linalg::Matrix;
use pushforward::num::powf;
use std::collections::HashMap;
use std::sync::Arc;

/// Most numbers that the evaluation of a formula holds for one point, over all its steps.
pub(super) const MAX_NUMBERS: usize = 1_000_000;

/// A value, or a sentence on why there is none.
pub(super) type Built = Result<Value, String>;

/// The program so far.
#[derive(Default)]
pub(super) struct Builder {
    pub steps: Vec<Step>,
    pub numbers: usize,
    /// Whether some value is one of two, of which the other may not be finite.
    pub branches: bool,
    /// Between which numbers a step is known to lie, from the supports of parameters.
    pub bounds: HashMap<usize, (f64, f64)>,
}

impl Builder {
    /// Counts a value of these axes against the limit.
    pub(super) fn spend(&mut self, axes: &[Axis]) -> Result<(), String> {
        self.numbers = self.numbers.saturating_add(width(axes));
        if self.numbers <= MAX_NUMBERS {
            return Ok(());
        }
        Err(format!(
            "here the formula needs more than {MAX_NUMBERS} numbers for one point; use shorter or fewer loops, or dot(…) with a matrix of [constants]"
        ))
    }

    pub(super) fn known(&mut self, axes: Vec<Axis>, entries: impl FnOnce() -> Vec<f64>) -> Built {
        self.spend(&axes)?;
        Ok(Value { axes, data: Data::Known(entries()) })
    }

    /// Appends a step whose result has these axes.
    pub fn computed(&mut self, step: Step, axes: Vec<Axis>) -> Built {
        self.spend(&axes)?;
        Ok(Value { axes, data: Data::Computed(self.push(step)) })
    }

    pub(super) fn push(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }

    /// The step that holds the value: 1×w where it is known, else n×w.
    fn step(&mut self, a: &Value) -> usize {
        match &a.data {
            Data::Computed(id) => *id,
            Data::Known(v) => self.push(Step::Known(Arc::new(Matrix::from_vec(1, v.len(), v.clone())))),
        }
    }

    /// The step that holds the value for every point: n×w.
    pub(super) fn full_step(&mut self, a: &Value) -> usize {
        match &a.data {
            Data::Computed(id) => *id,
            Data::Known(v) => self.push(Step::Rows(Arc::new(Matrix::from_vec(1, v.len(), v.clone())))),
        }
    }

    /// The value whose position k is position index[k] of `a`.
    pub(super) fn gather(&mut self, a: &Value, index: Vec<usize>, axes: Vec<Axis>) -> Built {
        match &a.data {
            Data::Known(v) => self.known(axes, || index.iter().map(|&k| v[k]).collect()),
            Data::Computed(id) => {
                let id = *id;
                let ascending = index.windows(2).all(|w| w[1] == w[0] + 1);
                let step = match index[..] {
                    [first, ..] if ascending && index.len() == a.width() && first == 0 => {
                        return Ok(Value { axes, data: Data::Computed(id) });
                    }
                    [first, ..] if ascending => Step::Slice(id, first, first + index.len()),
                    _ if a.width() == 1 => Step::Repeat(id, index.len()),
                    _ => Step::Gather(id, index.into()),
                };
                let part = self.computed(step, axes)?;
                if let (Some(ends), Data::Computed(new)) = (self.bounds.get(&id).copied(), &part.data) {
                    self.bounds.insert(*new, ends);
                }
                Ok(part)
            }
        }
    }

    /// `a` along all of `axes`, equal along the new ones.
    pub(super) fn spread(&mut self, a: &Value, axes: &[Axis]) -> Built {
        if a.axes == axes {
            return Ok(a.clone());
        }
        self.spend(axes)?; // before the list of positions is made
        self.gather(a, positions(&a.axes, axes), axes.to_vec())
    }

    /// Entry by entry, of numbers and vectors.
    pub fn pair(&mut self, op: Pair, a: &Value, b: &Value) -> Built {
        for value in [a, b] {
            plain(value)?;
        }
        self.entries(op, a, b)
    }

    pub(super) fn entries(&mut self, op: Pair, a: &Value, b: &Value) -> Built {
        let axes = union(&a.axes, &b.axes).ok_or_else(|| {
            format!("{} and {} do not go together; take parts of equal length, such as x[1:3]", a.words(), b.words())
        })?;
        match (op, &a.data, &b.data) {
            (_, Data::Known(u), Data::Known(v)) => {
                self.spend(&axes)?;
                let (i, j) = (positions(&a.axes, &axes), positions(&b.axes, &axes));
                let entries = i.iter().zip(&j).map(|(&i, &j)| op.number(u[i], v[j])).collect();
                Ok(Value { axes, data: Data::Known(entries) })
            }
            (Pair::Add, Data::Computed(id), _) if b.as_number().is_some() => self.shift(*id, b, 1.0, axes),
            (Pair::Sub, Data::Computed(id), _) if b.as_number().is_some() => self.shift(*id, b, -1.0, axes),
            (Pair::Add, _, Data::Computed(id)) if a.as_number().is_some() => self.shift(*id, a, 1.0, axes),
            (Pair::Mul, Data::Computed(id), _) if b.as_number().is_some() => {
                self.computed(Step::Scale(*id, b.as_number().unwrap_or(1.0)), axes)
            }
            (Pair::Mul, _, Data::Computed(id)) if a.as_number().is_some() => {
                self.computed(Step::Scale(*id, a.as_number().unwrap_or(1.0)), axes)
            }
            _ => {
                let mut side = |v: &Value| -> Result<usize, String> {
                    // one column, or one row of all entries, is repeated by the operation itself
                    let v = if v.width() == 1 { v.clone() } else { self.spread(v, &axes)? };
                    Ok(self.step(&v))
                };
                let (a, b) = (side(a)?, side(b)?);
                self.computed(Step::Pair(op, a, b), axes)
            }
        }
    }

    /// 1 where a comparison of the parser holds, else 0; NaN is unequal to everything.
    pub fn compare(&mut self, mark: char, a: &Value, b: &Value) -> Built {
        match mark {
            '≥' => self.pair(Pair::GreaterEqual, a, b),
            '≤' => self.pair(Pair::GreaterEqual, b, a),
            '>' | '<' => {
                let (a, b) = if mark == '>' { (a, b) } else { (b, a) };
                let difference = self.pair(Pair::Sub, a, b)?;
                self.call("step", &difference)
            }
            _ => {
                let (up, down) = (self.compare('≥', a, b)?, self.compare('≤', a, b)?);
                let equal = self.pair(Pair::Mul, &up, &down)?;
                if mark == '≡' { Ok(equal) } else { self.pair(Pair::Sub, &Value::number(1.0), &equal) }
            }
        }
    }

    /// a where `condition` ≠ 0, else b; the one that is not chosen may be NaN, in value and derivative.
    pub fn select(&mut self, condition: &Value, a: &Value, b: &Value) -> Built {
        self.branches = true;
        let otherwise = self.compare('≡', condition, &Value::number(0.0))?;
        let (a, b) = (self.pair(Pair::Masked, a, condition)?, self.pair(Pair::Masked, b, &otherwise)?);
        self.pair(Pair::Add, &a, &b)
    }

    fn shift(&mut self, id: usize, by: &Value, sign: f64, axes: Vec<Axis>) -> Built {
        self.computed(Step::Offset(id, sign * by.as_number().unwrap_or(0.0)), axes)
    }

    /// f(a), entry by entry; f by its place in the table.
    pub fn elementary(&mut self, f: usize, a: &Value) -> Built {
        plain(a)?;
        match &a.data {
            Data::Known(v) => self.known(a.axes.clone(), || v.iter().map(|&x| (TABLE[f].number)(x)).collect()),
            Data::Computed(id) => self.computed(Step::Elementary(f, *id), a.axes.clone()),
        }
    }

    /// f(a) by name.
    pub fn call(&mut self, name: &str, a: &Value) -> Built {
        self.elementary(find(name).expect("a name of the table"), a)
    }

    /// a^b.
    pub fn power(&mut self, a: &Value, b: &Value) -> Built {
        for value in [a, b] {
            plain(value)?;
        }
        match (&a.data, &b.data) {
            (Data::Computed(id), _) if b.as_number().is_some() => match b.as_number().unwrap_or(1.0) {
                1.0 => Ok(a.clone()),
                2.0 => self.call("square", a),
                k => self.computed(Step::Power(*id, k), a.axes.clone()),
            },
            (Data::Computed(_), Data::Known(_)) => self.powers(a, b),
            (Data::Known(u), Data::Known(v)) => {
                let axes = union(&a.axes, &b.axes).ok_or("the two sides of ^ have different lengths")?;
                self.spend(&axes)?;
                let (i, j) = (positions(&a.axes, &axes), positions(&b.axes, &axes));
                let entries = i.iter().zip(&j).map(|(&i, &j)| powf(u[i], v[j])).collect();
                Ok(Value { axes, data: Data::Known(entries) })
            }
            // a positive base, a power that depends on the point: exp(b log a)
            _ => {
                let log = self.call("log", a)?;
                let product = self.pair(Pair::Mul, b, &log)?;
                self.call("exp", &product)
            }
        }
    }

    /// a^b for known powers that differ along a loop: column by column, because a negative base has no logarithm.
    fn powers(&mut self, a: &Value, b: &Value) -> Built {
        let axes = union(&a.axes, &b.axes).ok_or("the two sides of ^ have different lengths")?;
        let (a, b) = (self.spread(a, &axes)?, self.spread(b, &axes)?);
        let (Data::Computed(id), Data::Known(powers)) = (&a.data, &b.data) else { unreachable!("checked by power") };
        let mut joined = None;
        for (k, power) in powers.iter().enumerate() {
            let column = self.push(Step::Slice(*id, k, k + 1));
            let column = self.push(Step::Power(column, *power));
            self.spend(&[Axis { id: 0, len: k + 2 }])?;
            joined = Some(joined.map_or(column, |before| self.push(Step::Join(before, column))));
        }
        let last = joined.ok_or("an empty list has no powers")?;
        Ok(Value { axes, data: Data::Computed(last) })
    }

    /// `a` at the known positions `index` (from 1) of its axis `id`. Where the index is a list, its places become the axis `new`.
    pub(super) fn pick(&mut self, a: &Value, id: usize, index: &Value, new: usize) -> Built {
        let at = a.axes.iter().position(|x| x.id == id).ok_or_else(|| {
            format!("{} has no entries to choose from; only vectors and matrices can be indexed", a.words())
        })?;
        let (len, stride) = (a.axes[at].len, width(&a.axes[at + 1..]));
        let Data::Known(places) = &index.data else {
            return Err("an index must not depend on x; use whole numbers, dim and loop indices".into());
        };
        if let Some(bad) = places.iter().find(|p| p.fract() != 0.0 || **p < 1.0 || **p > len as f64) {
            return Err(format!("index {bad} is out of range; {} has entries 1 to {len}", a.words()));
        }
        let mut others = a.axes.clone();
        others.remove(at);
        let mut along = index.axes.clone();
        along.iter_mut().filter(|x| x.id == COMPONENTS).for_each(|x| x.id = new);
        let axes = union(&others, &along).ok_or("an index runs over two lengths")?;
        self.spend(&axes)?;
        let (base, place) = (positions(&others_strided(&a.axes, at), &axes), positions(&along, &axes));
        let index = base.iter().zip(&place).map(|(b, p)| b + (places[*p] as usize - 1) * stride).collect();
        self.gather(a, index, axes)
    }

    /// a[i], a[i, j] step by step, or a[from:to] with a list of places.
    pub fn index(&mut self, a: &Value, index: &Value) -> Built {
        let id = if a.has(ROWS) { ROWS } else { COMPONENTS };
        self.pick(a, id, index, COMPONENTS)
    }
}

/// The axes with their strides kept, the one at `at` under a name that nothing else has.
fn others_strided(axes: &[Axis], at: usize) -> Vec<Axis> {
    let mut out = axes.to_vec();
    out[at].id = ROWS - 1;
    out
}

/// Refuses matrices.
pub(super) fn plain(a: &Value) -> Result<(), String> {
    if a.has(ROWS) {
        return Err(format!("this is {}; index it, A[i, j] or A[i], or multiply it with dot(A, v)", a.words()));
    }
    Ok(())
}
