//! The reverse sweep of training: its result is constant, so what it computes on the way is given back as soon as it was used, and a long
//! sweep stays in cache. The cotangents are those of [`Tape::pull_back`], bit for bit.

use super::{check_cotangent, first};
use crate::autodiff::op::Op;
use crate::autodiff::tape::{Tape, Var};
use crate::num::Real;

/// Lists of a sweep, kept by the tape from one to the next.
#[derive(Debug, Default)]
pub(in crate::autodiff) struct Scratch {
    /// For each node: whether it depends on one of those that are differentiated by.
    depends: Vec<bool>,
    /// The node of its cotangent, where it has one.
    adjoint: Vec<Option<usize>>,
    /// For each node that the sweep computed: how many adjoints it is.
    holders: Vec<usize>,
}

impl<T: Real> Tape<T> {
    /// For each x of `wrt`: Σ (∂y/∂x)ᵀ g over pairs (y, g), as a constant.
    #[track_caller]
    pub(crate) fn pull_back_once<'t>(
        &'t self,
        pairs: &[(Var<'t, T>, Var<'t, T>)],
        wrt: &[Var<'t, T>],
    ) -> Vec<Var<'t, T>> {
        let first = first(wrt);
        let last = pairs.iter().map(|(y, _)| y.id).max().unwrap_or(0);
        let mut sweep = Sweep { tape: self, start: self.len(), scratch: self.scratch(first, last, wrt) };
        for &(y, g) in pairs {
            check_cotangent(y, g);
            sweep.add(y.id, g);
        }
        for id in (first..=last).rev() {
            let mark = self.len();
            if let Some(g) = sweep.propagate(id) {
                if !wrt.iter().any(|x| x.id == id) {
                    sweep.scratch.adjoint[id] = None;
                    sweep.let_go(g);
                }
                (mark..self.len()).for_each(|node| sweep.release_unheld(node));
            }
        }
        let pick = |x: &Var<'t, T>| match sweep.scratch.adjoint.get(x.id).copied().flatten() {
            Some(id) => Var { tape: self, id },
            None => self.zeros_like(x),
        };
        let result: Vec<_> = wrt.iter().map(pick).collect();
        result.iter().filter(|x| x.id >= sweep.start).for_each(|x| self.make_leaf(x.id));
        self.store.borrow_mut().scratch = sweep.scratch;
        result
    }

    /// The lists for nodes up to `last`.
    fn scratch(&self, first: usize, last: usize, wrt: &[Var<'_, T>]) -> Scratch {
        let mut scratch = std::mem::take(&mut self.store.borrow_mut().scratch);
        self.depends(first, last, wrt, &mut scratch.depends);
        scratch.adjoint.clear();
        scratch.adjoint.resize(last + 1, None);
        scratch.holders.clear();
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
        let g = self.scratch.adjoint[id].filter(|_| self.scratch.depends[id])?;
        let given = self.tape.propagated(id, Var { tape: self.tape, id: g }, &self.scratch.depends);
        given.for_each(|(input, dx)| self.add(input, dx));
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
