//! The tape: a flat list of nodes whose memory is reused from one step to the next.

use crate::autodiff::eval;
use crate::autodiff::kernels::silu_with_slope;
use crate::autodiff::op::{Op, Rules, vjp, vjp_with_branches};
use crate::autodiff::sweep::Scratch;
use crate::linalg::{Factor, Matrix};
use crate::num::Real;
use std::cell::{Ref, RefCell};
use std::ops::Deref;
use std::sync::Arc;

/// A handle on one node of a tape: a matrix that remembers how it was computed.
#[derive(Debug, Clone, Copy)]
pub struct Var<'t, T: Real = f64> {
    pub(crate) tape: &'t Tape<T>,
    pub(crate) id: usize,
}

/// The record of a computation on matrices, in order of time.
///
/// [`Tape::reset`] forgets the nodes and keeps their memory: a step that computes the same shapes as the one before
/// allocates no matrix.
#[derive(Debug)]
pub struct Tape<T: Real = f64> {
    pub(super) store: RefCell<Store<T>>,
    /// [`vjp`], except in the negative control of the law tests.
    pub(super) rules: Rules<T>,
}

/// Most inputs that an operation has.
pub(crate) const ARITY: usize = 3;

#[derive(Debug)]
pub(super) struct Node<T: Real> {
    pub(super) op: Op<T>,
    pub(super) inputs: [usize; ARITY],
    value: Value<T>,
}

/// A node's value: its own, or shared with the owner of a constant or of a parameter.
#[derive(Debug)]
pub(super) enum Value<T> {
    Owned(Matrix<T>),
    Shared(Arc<Matrix<T>>),
    Parameter(Arc<Factor<T>>),
}

impl<T> Value<T> {
    /// The parameter that this is.
    pub(super) fn parameter(&self) -> Option<&Factor<T>> {
        if let Value::Parameter(p) = self { Some(p) } else { None }
    }
}

impl<T> Deref for Value<T> {
    type Target = Matrix<T>;
    fn deref(&self) -> &Matrix<T> {
        match self {
            Value::Owned(m) => m,
            Value::Shared(m) => m,
            Value::Parameter(p) => p,
        }
    }
}

#[derive(Debug)]
pub(super) struct Store<T: Real> {
    pub(super) nodes: Vec<Node<T>>,
    /// Buffers of earlier steps, by length; a list, because a computation has few lengths.
    spare: Vec<(usize, Vec<Vec<T>>)>,
    pub(super) scratch: Scratch,
    /// Where composite operations compute.
    inner: Option<Box<Tape<T>>>,
}

impl<T: Real> Store<T> {
    /// A rows×cols matrix with unspecified entries, from the spare buffers where one fits.
    fn matrix(&mut self, rows: usize, cols: usize) -> Matrix<T> {
        let len = rows * cols;
        let fitting = self.spare.iter_mut().find(|(length, _)| *length == len);
        let data = fitting.and_then(|(_, buffers)| buffers.pop()).unwrap_or_else(|| vec![T::ZERO; len]);
        Matrix::from_vec(rows, cols, data)
    }

    fn push(&mut self, op: Op<T>, inputs: [usize; ARITY], value: Value<T>) -> usize {
        self.nodes.push(Node { op, inputs, value });
        self.nodes.len() - 1
    }

    /// Gives back the memory of a node that nobody reads any more.
    pub(super) fn release(&mut self, id: usize) {
        if let Value::Owned(m) = std::mem::replace(&mut self.nodes[id].value, Value::Owned(Matrix::default())) {
            self.keep(m);
        }
    }

    fn keep(&mut self, m: Matrix<T>) {
        let data = m.into_vec();
        if data.is_empty() {
            // what a node holds whose value was released or taken: no memory
            return;
        }
        match self.spare.iter_mut().find(|(length, _)| *length == data.len()) {
            Some((_, buffers)) => buffers.push(data),
            None => self.spare.push((data.len(), vec![data])),
        }
    }
}

impl<T: Real> Default for Tape<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Real> Tape<T> {
    /// An empty tape.
    pub fn new() -> Self {
        Self::with_rules(vjp)
    }

    /// An empty tape for functions with [masked](Var::masked) branches: in the chain rule 0 · ∞ = 0 · NaN = 0, so that a branch which is not
    /// taken brings no NaN into the gradient.
    pub fn with_branches() -> Self {
        Self::with_rules(vjp_with_branches)
    }

    /// An empty tape with another table of derivative rules.
    pub(crate) fn with_rules(rules: Rules<T>) -> Self {
        let store = Store { nodes: Vec::new(), spare: Vec::new(), scratch: Scratch::default(), inner: None };
        Self { store: RefCell::new(store), rules }
    }

    /// Forgets every node, keeping the memory. No [`Var`] outlives this: they borrow the tape.
    pub fn reset(&mut self) {
        let store = self.store.get_mut();
        while let Some(node) = store.nodes.pop() {
            if let Value::Owned(m) = node.value {
                store.keep(m);
            }
        }
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.store.borrow().nodes.len()
    }

    /// Whether nothing was computed yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An input node with a copy of `value`. Whether it is a variable or a constant is decided by
    /// [`Tape::gradient`], which is told what to differentiate by.
    pub fn leaf(&self, value: &Matrix<T>) -> Var<'_, T> {
        self.leaf_from(value.rows(), value.cols(), value.as_slice())
    }

    /// An input node of shape rows×cols with a copy of the row-major `data`.
    #[track_caller]
    pub fn leaf_from(&self, rows: usize, cols: usize, data: &[T]) -> Var<'_, T> {
        assert_eq!(data.len(), rows * cols, "Tape::leaf_from: data does not fill {rows}×{cols}");
        self.leaf_with(rows, cols, |out| out.copy_from_slice(data))
    }

    /// A 1×1 input node.
    pub fn scalar(&self, value: T) -> Var<'_, T> {
        self.filled(1, 1, value)
    }

    /// A rows×cols input node with equal entries.
    pub fn filled(&self, rows: usize, cols: usize, value: T) -> Var<'_, T> {
        self.leaf_with(rows, cols, |out| out.fill(value))
    }

    /// An input node whose entries `fill` writes.
    fn leaf_with(&self, rows: usize, cols: usize, fill: impl FnOnce(&mut [T])) -> Var<'_, T> {
        let mut store = self.store.borrow_mut();
        let mut m = store.matrix(rows, cols);
        drop(store);
        fill(m.as_mut_slice());
        self.leaf_of(Value::Owned(m))
    }

    /// An input node that shares `value` with its owner, without a copy.
    pub fn shared(&self, value: &Arc<Matrix<T>>) -> Var<'_, T> {
        self.leaf_of(Value::Shared(Arc::clone(value)))
    }

    /// An input node that shares a parameter with its owner, and what is prepared for products with it.
    pub fn parameter(&self, value: &Arc<Factor<T>>) -> Var<'_, T> {
        self.leaf_of(Value::Parameter(Arc::clone(value)))
    }

    fn leaf_of(&self, value: Value<T>) -> Var<'_, T> {
        let id = self.store.borrow_mut().push(Op::Leaf, [0; ARITY], value);
        Var { tape: self, id }
    }

    /// Computes one operation and appends it.
    #[track_caller]
    pub(crate) fn apply(&self, op: Op<T>, inputs: &[Var<'_, T>]) -> Var<'_, T> {
        let mut ids = [inputs[0].id; ARITY];
        for (id, x) in ids.iter_mut().zip(inputs) {
            assert!(std::ptr::eq(x.tape, self), "{op:?}: inputs live on different tapes");
            *id = x.id;
        }
        let mut store = self.store.borrow_mut();
        let shapes = ids.map(|id| store.nodes[id].value.shape());
        let (rows, cols) = eval::output_shape(&op, shapes);
        let (mut out, mut inner) = (store.matrix(rows, cols), store.inner.take());
        eval::evaluate(&op, ids.map(|id| &store.nodes[id].value), &mut out, &mut inner);
        store.inner = inner;
        let id = store.push(op, ids, Value::Owned(out));
        Var { tape: self, id }
    }

    /// silu(X W + b). Its derivative is computed with it, and is a node of its own: reverse sweeps, of which there may be several, only
    /// multiply by it.
    #[track_caller]
    pub(crate) fn hidden<'t>(&'t self, [x, w, b]: [Var<'t, T>; ARITY]) -> Var<'t, T> {
        // X W + b becomes the value in place
        let affine = x.affine(w, b);
        let mut store = self.store.borrow_mut();
        let (rows, cols) = store.nodes[affine.id].value.shape();
        let mut slope = store.matrix(rows, cols);
        let node = store.nodes.pop().expect("it was just computed");
        let Value::Owned(mut out) = node.value else { unreachable!("a computed node owns its value") };
        silu_with_slope(&mut out, &mut slope);
        store.push(Op::HiddenSlope, node.inputs, Value::Owned(slope));
        let id = store.push(Op::Hidden, node.inputs, Value::Owned(out));
        Var { tape: self, id }
    }

    /// The derivative that [`Tape::hidden`] left before its node.
    pub(crate) fn hidden_slope<'t>(&'t self, hidden: Var<'t, T>) -> Var<'t, T> {
        let id = hidden.id - 1;
        debug_assert_eq!(self.store.borrow().nodes[id].op, Op::HiddenSlope);
        Var { tape: self, id }
    }

    /// f of each operation, in order of time.
    pub(crate) fn operations<R>(&self, f: impl Fn(&Op<T>) -> R) -> Vec<R> {
        self.store.borrow().nodes.iter().map(|node| f(&node.op)).collect()
    }

    /// Buffers that are kept for later.
    #[cfg(test)]
    pub(crate) fn spare_buffers(&self) -> usize {
        self.store.borrow().spare.iter().map(|(_, buffers)| buffers.len()).sum()
    }

    /// Writes `value` to all memory that is kept for later.
    pub(crate) fn fill_spare(&mut self, value: T) {
        let store = self.store.get_mut();
        store.spare.iter_mut().flat_map(|(_, buffers)| buffers).for_each(|buffer| buffer.fill(value));
        if let Some(inner) = &mut store.inner {
            inner.reset();
            inner.fill_spare(value);
        }
    }

    /// The handle on node `id`, for those who keep a tape between two sweeps and cannot keep a [`Var`] that borrows it.
    #[track_caller]
    pub(crate) fn var(&self, id: usize) -> Var<'_, T> {
        assert!(id < self.len(), "Tape::var: there is no node {id}");
        Var { tape: self, id }
    }

    /// The value of node `id`, taken off the tape, where it is not needed again; a shared one is copied.
    pub(crate) fn take(&self, id: usize) -> Matrix<T> {
        if let Value::Owned(m) = &mut self.store.borrow_mut().nodes[id].value {
            return std::mem::take(m);
        }
        self.copy(id)
    }

    /// A copy of the value of node `id` in memory of the tape, which [`Tape::give`] gives back.
    pub(crate) fn copy(&self, id: usize) -> Matrix<T> {
        let mut store = self.store.borrow_mut();
        let (rows, cols) = store.nodes[id].value.shape();
        let mut out = store.matrix(rows, cols);
        out.as_mut_slice().copy_from_slice(store.nodes[id].value.as_slice());
        out
    }

    /// Gives memory to the tape, such as what was taken.
    pub(crate) fn give(&mut self, m: Matrix<T>) {
        self.store.get_mut().keep(m);
    }

    /// The value of a node, borrowed; nothing can be computed on the tape while the borrow lives.
    fn value(&self, id: usize) -> Ref<'_, Matrix<T>> {
        Ref::map(self.store.borrow(), |store| &*store.nodes[id].value)
    }
}

impl<'t, T: Real> Var<'t, T> {
    /// The tape on which this was computed.
    pub fn tape(self) -> &'t Tape<T> {
        self.tape
    }

    /// (rows, cols).
    pub fn shape(self) -> (usize, usize) {
        self.tape.value(self.id).shape()
    }

    /// A copy of the value.
    pub fn value(self) -> Matrix<T> {
        self.tape.value(self.id).clone()
    }

    /// Calls `f` with the value, without a copy. `f` must not compute on the tape.
    pub fn with<R>(self, f: impl FnOnce(&Matrix<T>) -> R) -> R {
        f(&self.tape.value(self.id))
    }

    /// The value of a 1×1 node.
    #[track_caller]
    pub fn item(self) -> T {
        self.with(|m| {
            assert_eq!(m.shape(), (1, 1), "Var::item: not a 1×1 node");
            m[(0, 0)]
        })
    }
}
