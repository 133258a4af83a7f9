//! A compiled formula: a flat list of steps on n×w matrices, one row a point.

use crate::target::formula::functions::TABLE;
use pushforward::autodiff::Var;
use pushforward::linalg::Matrix;
use std::sync::Arc;

/// An operation on two numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pair {
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
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

/// The steps in order of time; the last one is log p~.
#[derive(Debug)]
pub(super) struct Program {
    pub steps: Vec<Step>,
    pub result: usize,
    /// Numbers that an evaluation holds for one point.
    pub numbers: usize,
}

impl Program {
    /// log p~ (n×1) at x (n×d).
    pub fn run<'t>(&self, x: Var<'t>) -> Var<'t> {
        let mut done: Vec<Var<'t>> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let value = apply(step, x, &done);
            done.push(value);
        }
        done[self.result]
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
            let a = done[*a];
            let groups = a.shape().1 / size;
            let one = |g: usize| a.columns(g * size..(g + 1) * size).log_sum_exp();
            (1..groups).fold(one(0), |row, g| row.concat_columns(one(g)))
        }
        Step::Rows(row) => x.tape().shared(row).broadcast_to((n, row.cols())),
        Step::Product(a, w) => done[*a].matmul(x.tape().shared(w)),
        Step::Join(a, b) => done[*a].concat_columns(done[*b]),
    }
}
