//! The reverse sweep.

use crate::autodiff::op::Op;
use crate::autodiff::tape::{Tape, Var};
use crate::num::Real;

/// Lists of a sweep, kept by the tape from one to the next.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// For each node: whether it depends on one of those that are differentiated by.
    depends: Vec<bool>,
    /// The node of its cotangent, where it has one.
    adjoint: Vec<Option<usize>>,
    /// For each node that the sweep computed: how many adjoints it is.
    holders: Vec<usize>,
}

impl<T: Real> Tape<T> {
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
        self.sweep(&[(y, g)], wrt, false)
    }

    /// For each x of `wrt`: Σ (∂y/∂x)ᵀ g over pairs (y, g), as a constant. What the sweep computes on the way is given back as soon as it
    /// was used, so that a long sweep stays in cache.
    #[track_caller]
    pub(crate) fn pull_back_once<'t>(
        &'t self,
        pairs: &[(Var<'t, T>, Var<'t, T>)],
        wrt: &[Var<'t, T>],
    ) -> Vec<Var<'t, T>> {
        self.sweep(pairs, wrt, true)
    }

    #[track_caller]
    fn sweep<'t>(&'t self, pairs: &[(Var<'t, T>, Var<'t, T>)], wrt: &[Var<'t, T>], once: bool) -> Vec<Var<'t, T>> {
        // nothing before the first x depends on any
        let first = wrt.iter().map(|x| x.id).min().unwrap_or(0);
        let last = pairs.iter().map(|(y, _)| y.id).max().unwrap_or(0);
        let mut sweep = Sweep { tape: self, start: self.len(), scratch: self.scratch(first, last, wrt) };
        for &(y, g) in pairs {
            assert_eq!(y.shape(), g.shape(), "Tape::pull_back: the cotangent needs the shape of y");
            sweep.add(y.id, g);
        }
        for id in (first..=last).rev() {
            let mark = self.len();
            if let Some(g) = sweep.propagate(id)
                && once
            {
                if !wrt.iter().any(|x| x.id == id) {
                    sweep.scratch.adjoint[id] = None;
                    sweep.let_go(g);
                }
                (mark..self.len()).for_each(|node| sweep.release_unheld(node));
            }
        }
        let pick = |x: &Var<'t, T>| match sweep.scratch.adjoint.get(x.id).copied().flatten() {
            Some(id) => Var { tape: self, id },
            None => self.filled(x.shape().0, x.shape().1, T::ZERO),
        };
        let result: Vec<_> = wrt.iter().map(pick).collect();
        if once {
            result.iter().filter(|x| x.id >= sweep.start).for_each(|x| self.make_leaf(x.id));
        }
        self.store.borrow_mut().scratch = sweep.scratch;
        result
    }

    /// For each node up to `last`: whether it depends on one of `wrt`, of which `first` is the first; and as many empty adjoints.
    fn scratch(&self, first: usize, last: usize, wrt: &[Var<'_, T>]) -> Scratch {
        let mut store = self.store.borrow_mut();
        let mut scratch = std::mem::take(&mut store.scratch);
        let Scratch { depends, adjoint, holders } = &mut scratch;
        depends.clear();
        depends.resize(last + 1, false);
        adjoint.clear();
        adjoint.resize(last + 1, None);
        holders.clear();
        for x in wrt {
            assert!(std::ptr::eq(x.tape, self), "Tape::gradient: a variable lives on another tape");
            if x.id <= last {
                depends[x.id] = true;
            }
        }
        for (id, node) in store.nodes.iter().enumerate().take(last + 1).skip(first) {
            depends[id] |= node.inputs[..node.op.arity()].iter().any(|&input| depends[input]);
        }
        scratch
    }

    /// Makes a node a constant.
    fn make_leaf(&self, id: usize) {
        self.store.borrow_mut().nodes[id].op = Op::Leaf;
    }
}

struct Sweep<'t, T: Real> {
    tape: &'t Tape<T>,
    /// Nodes from here on are the sweep's own.
    start: usize,
    scratch: Scratch,
}

impl<'t, T: Real> Sweep<'t, T> {
    /// Gives the cotangents of node `id`'s inputs what its own brings; its own, where it has one.
    fn propagate(&mut self, id: usize) -> Option<usize> {
        let tape = self.tape;
        let var = |id: usize| Var { tape, id };
        let g = self.scratch.adjoint[id].filter(|_| self.scratch.depends[id])?;
        let (op, inputs) = {
            let node = &tape.store.borrow().nodes[id];
            (node.op.clone(), node.inputs)
        };
        let wanted = std::array::from_fn(|k| k < op.arity() && self.scratch.depends[inputs[k]]);
        let grads = (tape.rules)(&op, var(id), inputs.map(var), var(g), wanted);
        for (k, dx) in grads.into_iter().enumerate().filter(|(k, _)| wanted[*k]) {
            if let Some(dx) = dx {
                self.add(inputs[k], dx);
            }
        }
        Some(g)
    }

    /// Adds g to the cotangent of node `id`.
    fn add(&mut self, id: usize, g: Var<'t, T>) {
        let old = self.scratch.adjoint[id];
        let new = old.map_or(g, |id| Var { tape: self.tape, id } + g).id;
        self.scratch.adjoint[id] = Some(new);
        if let Some(held) = self.holders(new) {
            *held += 1;
        }
        if let Some(held) = old.and_then(|old| self.holders(old)) {
            *held -= 1;
        }
    }

    /// How many adjoints node `id` is, if it is the sweep's own.
    fn holders(&mut self, id: usize) -> Option<&mut usize> {
        let place = id.checked_sub(self.start)?;
        let holders = &mut self.scratch.holders;
        holders.resize(holders.len().max(place + 1), 0);
        holders.get_mut(place)
    }

    /// One adjoint less is node `id`.
    fn let_go(&mut self, id: usize) {
        if let Some(held) = self.holders(id) {
            *held -= 1;
            self.release_unheld(id);
        }
    }

    /// Gives back the memory of the sweep's own node `id` where it is no adjoint.
    fn release_unheld(&mut self, id: usize) {
        if self.holders(id).is_some_and(|held| *held == 0) {
            self.tape.make_leaf(id);
            self.tape.store.borrow_mut().release(id);
        }
    }
}
