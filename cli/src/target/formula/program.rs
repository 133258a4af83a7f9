//! A compiled formula: a flat list of steps on n×w matrices, one row a point.

use crate::target::formula::functions::TABLE;
use pushforward::autodiff::{Tape, Var};
use pushforward::linalg::Matrix;
use std::ops::Range;
use std::sync::Arc;

/// Numbers that a thread holds at a time, over all steps: 32 MiB, and as much again two or three times for a gradient.
const TABLE_NUMBERS: usize = 1 << 22;

/// Points that are evaluated together at most.
pub(super) const MOST_ROWS: usize = 128;

/// An operation on two numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pair {
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
    /// 1 where a ≥ b, else 0.
    GreaterEqual,
    /// a where b ≠ 0, else 0 whatever a is.
    Masked,
}

impl Pair {
    /// The operation on numbers that are known now.
    pub(super) fn number(self, a: f64, b: f64) -> f64 {
        match self {
            Pair::Add => a + b,
            Pair::Sub => a - b,
            Pair::Mul => a * b,
            Pair::Div => a / b,
            Pair::Max => a.max(b),
            Pair::Min => a.min(b),
            Pair::GreaterEqual => f64::from(u8::from(a >= b)),
            Pair::Masked if b == 0.0 => 0.0,
            Pair::Masked => a,
        }
    }
}

/// One step; the numbers are those of earlier steps.
#[derive(Debug)]
pub(super) enum Step {
    /// x: n×d.
    Point,
    /// A row of numbers, 1×w.
    Known(Arc<Matrix>),
    /// A function of `functions::TABLE`, entry by entry.
    Elementary(usize, usize),
    /// Entry by entry.
    Pair(Pair, usize, usize),
    /// a · k.
    Scale(usize, f64),
    /// a + k.
    Offset(usize, f64),
    /// a^k.
    Power(usize, f64),
    /// Columns [from, to).
    Slice(usize, usize, usize),
    /// Column k of the result is column index[k].
    Gather(usize, Arc<[usize]>),
    /// One column w times.
    Repeat(usize, usize),
    /// n×g: sums of g equal groups of neighbouring columns; the index is k/size, and is empty for one group.
    Sum(usize, Arc<[usize]>, usize),
    /// n×g: log Σ exp of groups of neighbouring columns of this size.
    LogSumExp(usize, usize),
    /// A row of numbers for every point, n×w.
    Rows(Arc<Matrix>),
    /// X W, W: k×m.
    Product(usize, Arc<Matrix>),
    /// Columns side by side.
    Join(usize, usize),
}

/// A parameter whose ends are formulas: columns of the point, which hold its distance from one end or its place between both, and the
/// steps of its value and its ends.
#[derive(Debug)]
pub(super) struct Bounded {
    pub columns: Range<usize>,
    pub value: usize,
    pub low: Option<usize>,
    pub high: Option<usize>,
}

/// The steps in order of time.
#[derive(Debug)]
pub(crate) struct Program {
    pub(super) steps: Vec<Step>,
    /// The step of log p~.
    pub result: usize,
    /// So many steps are before it, itself included.
    pub until: usize,
    /// Whether one of several branches may not be finite.
    pub branches: bool,
    /// Numbers for a point, over all steps.
    pub numbers: usize,
    /// Generated quantities: names of their entries and steps.
    pub generated: Vec<(Vec<String>, usize)>,
    /// Parameters whose ends are formulas, an end of earlier ones alone.
    pub(super) bounded: Vec<Bounded>,
    /// The step of log |det| of their values by the point, where it is not 0.
    pub jacobian: Option<usize>,
}

impl Program {
    /// log p~ (n×1) at x (n×d).
    pub fn run<'t>(&self, x: Var<'t>) -> Var<'t> {
        self.steps(x, self.until)[self.result]
    }

    /// The first `until` steps at x (n×d).
    fn steps<'t>(&self, x: Var<'t>, until: usize) -> Vec<Var<'t>> {
        let mut done: Vec<Var<'t>> = Vec::with_capacity(until);
        for step in &self.steps[..until] {
            let value = apply(step, x, &done);
            done.push(value);
        }
        done
    }

    /// Whether samples are other numbers than the chart's, or more.
    pub fn generates(&self) -> bool {
        !(self.generated.is_empty() && self.bounded.is_empty())
    }

    /// The values of the parameters, and the generated quantities beside them.   x: n×d → n×(d + their entries).
    pub fn generate(&self, x: &Matrix) -> Matrix {
        let (d, width) = (x.cols(), self.generated.iter().map(|(names, _)| names.len()).sum::<usize>());
        let mut out = Matrix::zeros(x.rows(), d + width);
        for from in (0..x.rows()).step_by(self.rows_at_a_time()) {
            let rows = from..x.rows().min(from + self.rows_at_a_time());
            let tape = Tape::new();
            let done = self.steps(tape.leaf(&x.slice_rows(rows.clone())), self.steps.len());
            for i in rows.clone() {
                out.row_mut(i)[..d].copy_from_slice(x.row(i));
                for Bounded { columns, value, .. } in &self.bounded {
                    done[*value].with(|v| out.row_mut(i)[columns.clone()].copy_from_slice(v.row(i - from)));
                }
                let mut at = d;
                for (names, step) in &self.generated {
                    done[*step].with(|v| out.row_mut(i)[at..at + names.len()].copy_from_slice(v.row(i - from)));
                    at += names.len();
                }
            }
        }
        out
    }

    /// The points of which [`Program::generate`] makes these parameters.   n×d → n×d.
    pub fn points(&self, mut values: Matrix) -> Matrix {
        for bounded in &self.bounded {
            let until = bounded.low.max(bounded.high).map_or(0, |step| step + 1);
            for from in (0..values.rows()).step_by(self.rows_at_a_time()) {
                let rows = from..values.rows().min(from + self.rows_at_a_time());
                let tape = Tape::new();
                // the parameters before this one are points already
                let done = self.steps(tape.leaf(&values.slice_rows(rows.clone())), until);
                let end = |step: Option<usize>, i: usize, k: usize| {
                    step.map(|step| done[step].with(|v| v[(i, if v.cols() == 1 { 0 } else { k })]))
                };
                for i in rows.clone() {
                    for (k, j) in bounded.columns.clone().enumerate() {
                        let ends = (end(bounded.low, i - from, k), end(bounded.high, i - from, k));
                        let v = values[(i, j)];
                        values[(i, j)] = match ends {
                            (Some(low), Some(high)) => (v - low) / (high - low),
                            (Some(low), None) => v - low,
                            (None, Some(high)) => high - v,
                            (None, None) => v,
                        };
                    }
                }
            }
        }
        values
    }

    /// log |det| of the values of the parameters by the points (n×d), n.
    pub fn log_jacobian(&self, x: &Matrix) -> Vec<f64> {
        let Some(step) = self.jacobian else { return vec![0.0; x.rows()] };
        let one = |from: usize| {
            let rows = from..x.rows().min(from + self.rows_at_a_time());
            let tape = Tape::new();
            self.steps(tape.leaf(&x.slice_rows(rows)), step + 1)[step].value().into_vec()
        };
        (0..x.rows()).step_by(self.rows_at_a_time()).flat_map(one).collect()
    }

    /// Points that are evaluated together: as many as a table of [`TABLE_NUMBERS`] holds.
    pub fn rows_at_a_time(&self) -> usize {
        (TABLE_NUMBERS / self.numbers.max(1)).clamp(1, MOST_ROWS)
    }
}

fn apply<'t>(step: &Step, x: Var<'t>, done: &[Var<'t>]) -> Var<'t> {
    let (n, _) = x.shape();
    match step {
        Step::Point => x,
        Step::Known(row) => x.tape().shared(row),
        Step::Elementary(f, a) => (TABLE[*f].tape)(done[*a]),
        Step::Pair(pair, a, b) => {
            let (a, b) = (done[*a], done[*b]);
            match pair {
                Pair::Add => a + b,
                Pair::Sub => a - b,
                Pair::Mul => a * b,
                Pair::Div => a / b,
                Pair::Max => a.max(b),
                Pair::Min => a.min(b),
                Pair::GreaterEqual => a.greater_equal(b),
                Pair::Masked => a.masked(b),
            }
        }
        Step::Scale(a, k) => done[*a] * *k,
        Step::Offset(a, k) => done[*a] + *k,
        Step::Power(a, k) => done[*a].powf(*k),
        Step::Slice(a, from, to) => done[*a].columns(*from..*to),
        Step::Gather(a, index) => done[*a].t().gather_rows(index).t(),
        Step::Repeat(a, w) => done[*a].broadcast_to((n, *w)),
        Step::Sum(a, index, _) if index.is_empty() => done[*a].row_sums(),
        Step::Sum(a, index, groups) => done[*a].t().scatter_rows(index, *groups).t(),
        Step::LogSumExp(a, size) => {
            let groups = done[*a].shape().1 / size;
            done[*a].reshape(n * groups, *size).log_sum_exp().reshape(n, groups)
        }
        Step::Rows(row) => x.tape().shared(row).broadcast_to((n, row.cols())),
        Step::Product(a, w) => done[*a].matmul(x.tape().shared(w)),
        Step::Join(a, b) => done[*a].concat_columns(done[*b]),
    }
}
