//! The tape: a flat list of nodes whose memory is reused from one step to the next.

use crate::autodiff::eval;
use crate::autodiff::op::{Op, Rules, vjp};
use crate::linalg::Matrix;
use crate::num::Real;
use std::cell::{Ref, RefCell};
use std::collections::HashMap;
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
    store: RefCell<Store<T>>,
    /// [`vjp`], except in the negative control of the law tests.
    rules: Rules<T>,
}

/// Most inputs that an operation has.
pub(crate) const ARITY: usize = 3;

#[derive(Debug)]
struct Node<T: Real> {
    op: Op<T>,
    inputs: [usize; ARITY],
    value: Value<T>,
}

/// A node's value: its own, or shared with the owner of a parameter.
#[derive(Debug)]
enum Value<T> {
    Owned(Matrix<T>),
    Shared(Arc<Matrix<T>>),
}

impl<T> Deref for Value<T> {
    type Target = Matrix<T>;
    fn deref(&self) -> &Matrix<T> {
        match self {
            Value::Owned(m) => m,
            Value::Shared(m) => m,
        }
    }
}

#[derive(Debug)]
struct Store<T: Real> {
    nodes: Vec<Node<T>>,
    /// Buffers of earlier steps, by length.
    spare: HashMap<usize, Vec<Vec<T>>>,
    /// Scratch of [`Tape::pull_back`].
    adjoint: Vec<Option<usize>>,
    depends: Vec<bool>,
}

impl<T: Real> Store<T> {
    /// A rows×cols matrix with unspecified entries, from the spare buffers where one fits.
    fn matrix(&mut self, rows: usize, cols: usize) -> Matrix<T> {
        let len = rows * cols;
        let data = self.spare.get_mut(&len).and_then(Vec::pop).unwrap_or_else(|| vec![T::ZERO; len]);
        Matrix::from_vec(rows, cols, data)
    }

    fn push(&mut self, op: Op<T>, inputs: [usize; ARITY], value: Value<T>) -> usize {
        self.nodes.push(Node { op, inputs, value });
        self.nodes.len() - 1
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

    /// An empty tape with another table of derivative rules.
    pub(crate) fn with_rules(rules: Rules<T>) -> Self {
        let store = Store { nodes: Vec::new(), spare: HashMap::new(), adjoint: Vec::new(), depends: Vec::new() };
        Self { store: RefCell::new(store), rules }
    }

    /// Forgets every node, keeping the memory. No [`Var`] outlives this: they borrow the tape.
    pub fn reset(&mut self) {
        let store = self.store.get_mut();
        for node in store.nodes.drain(..) {
            if let Value::Owned(m) = node.value {
                let data = m.into_vec();
                store.spare.entry(data.len()).or_default().push(data);
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
        fill(m.as_mut_slice());
        let id = store.push(Op::Leaf, [0; ARITY], Value::Owned(m));
        Var { tape: self, id }
    }

    /// An input node that shares `value` with its owner: parameters of a network, without a copy.
    pub fn shared(&self, value: &Arc<Matrix<T>>) -> Var<'_, T> {
        let id = self.store.borrow_mut().push(Op::Leaf, [0; ARITY], Value::Shared(Arc::clone(value)));
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
        let mut out = store.matrix(rows, cols);
        eval::evaluate(&op, ids.map(|id| &*store.nodes[id].value), &mut out);
        let id = store.push(op, ids, Value::Owned(out));
        Var { tape: self, id }
    }

    /// For each x of `wrt`: the node ∂(Σ y)/∂x, of the shape of x.
    ///
    /// The sum runs over all entries of y: for rows that do not interact, such as log-densities of particles (n×1), the
    /// rows of the result are the gradients of the rows. The result is on the tape and can be differentiated again.
    /// An x on which y does not depend gets zeros.
    pub fn gradient<'t>(&'t self, y: Var<'t, T>, wrt: &[Var<'t, T>]) -> Vec<Var<'t, T>> {
        let (rows, cols) = y.shape();
        self.pull_back(y, self.filled(rows, cols, T::ONE), wrt)
    }

    /// For each x of `wrt`: the node (∂y/∂x)ᵀ g, the vector–Jacobian product with the cotangent g (the shape of y).
    #[track_caller]
    pub fn pull_back<'t>(&'t self, y: Var<'t, T>, g: Var<'t, T>, wrt: &[Var<'t, T>]) -> Vec<Var<'t, T>> {
        assert_eq!(y.shape(), g.shape(), "Tape::pull_back: the cotangent needs the shape of y");
        let (depends, mut adjoint) = self.sweep_scratch(y.id, wrt);
        adjoint[y.id] = Some(g.id);
        for id in (0..=y.id).rev().filter(|&id| depends[id]) {
            let Some(g) = adjoint[id].map(|id| Var { tape: self, id }) else { continue };
            let (op, inputs) = {
                let node = &self.store.borrow().nodes[id];
                (node.op.clone(), node.inputs)
            };
            let wanted = std::array::from_fn(|k| k < op.arity() && depends[inputs[k]]);
            let grads = (self.rules)(&op, Var { tape: self, id }, inputs.map(|id| Var { tape: self, id }), g, wanted);
            for (k, dx) in grads.into_iter().enumerate().filter(|(k, _)| wanted[*k]) {
                let Some(dx) = dx else { continue };
                let slot = &mut adjoint[inputs[k]];
                *slot = Some(slot.map_or(dx, |id| Var { tape: self, id } + dx).id);
            }
        }
        let pick = |x: &Var<'t, T>| match adjoint.get(x.id).copied().flatten() {
            Some(id) => Var { tape: self, id },
            None => self.filled(x.shape().0, x.shape().1, T::ZERO),
        };
        let result = wrt.iter().map(pick).collect();
        let mut store = self.store.borrow_mut();
        (store.depends, store.adjoint) = (depends, adjoint);
        result
    }

    /// For each node up to `last`: whether it depends on one of `wrt`; and as many empty adjoints.
    fn sweep_scratch(&self, last: usize, wrt: &[Var<'_, T>]) -> (Vec<bool>, Vec<Option<usize>>) {
        let mut store = self.store.borrow_mut();
        let mut depends = std::mem::take(&mut store.depends);
        let mut adjoint = std::mem::take(&mut store.adjoint);
        depends.clear();
        depends.resize(last + 1, false);
        adjoint.clear();
        adjoint.resize(last + 1, None);
        for x in wrt {
            assert!(std::ptr::eq(x.tape, self), "Tape::gradient: a variable lives on another tape");
            if x.id <= last {
                depends[x.id] = true;
            }
        }
        for (id, node) in store.nodes[..=last].iter().enumerate() {
            depends[id] |= node.inputs[..node.op.arity()].iter().any(|&input| depends[input]);
        }
        (depends, adjoint)
    }

    /// f of each operation, in order of time.
    pub(crate) fn operations<R>(&self, f: impl Fn(&Op<T>) -> R) -> Vec<R> {
        self.store.borrow().nodes.iter().map(|node| f(&node.op)).collect()
    }

    /// Writes `value` to all memory that is kept for later.
    pub(crate) fn fill_spare(&mut self, value: T) {
        self.store.get_mut().spare.values_mut().flatten().for_each(|buffer| buffer.fill(value));
    }

    /// The handle on node `id`, for those who keep a tape between two sweeps and cannot keep a [`Var`] that borrows it.
    #[track_caller]
    pub(crate) fn var(&self, id: usize) -> Var<'_, T> {
        assert!(id < self.len(), "Tape::var: there is no node {id}");
        Var { tape: self, id }
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
