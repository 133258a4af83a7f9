//! The reverse sweep, readable here; [`freeing`] has the one of training, which gives memory back while it runs.

mod freeing;

use crate::autodiff::tape::{Tape, Var};
use crate::num::Real;

pub(super) use freeing::Scratch;

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
    ///
    /// From y backwards, every node gives its cotangent to its inputs by its rule; what an input gets from several nodes is added.
    #[track_caller]
    pub fn pull_back<'t>(&'t self, y: Var<'t, T>, g: Var<'t, T>, wrt: &[Var<'t, T>]) -> Vec<Var<'t, T>> {
        check_cotangent(y, g);
        let (first, mut depends) = (first(wrt), vec![]);
        self.depends(first, y.id, wrt, &mut depends);
        let mut cotangents = vec![None; y.id + 1];
        cotangents[y.id] = Some(g);
        for id in (first..=y.id).rev().filter(|&id| depends[id]) {
            let Some(g) = cotangents[id] else { continue };
            for (input, dx) in self.propagated(id, g, &depends) {
                let sum = cotangents[input].map_or(dx, |sum| sum + dx);
                cotangents[input] = Some(sum);
            }
        }
        wrt.iter().map(|x| cotangents.get(x.id).copied().flatten().unwrap_or_else(|| self.zeros_like(x))).collect()
    }

    /// The cotangents that node `id` gives to those of its inputs that depend on what is differentiated by.
    fn propagated<'t>(
        &'t self,
        id: usize,
        g: Var<'t, T>,
        depends: &[bool],
    ) -> impl Iterator<Item = (usize, Var<'t, T>)> + use<'t, T> {
        let var = |id: usize| Var { tape: self, id };
        let (op, inputs) = {
            let node = &self.store.borrow().nodes[id];
            (node.op.clone(), node.inputs)
        };
        let wanted: [bool; _] = std::array::from_fn(|k| k < op.arity() && depends[inputs[k]]);
        let grads = (self.rules)(&op, var(id), inputs.map(var), g, wanted);
        let given = inputs.into_iter().zip(grads).zip(wanted);
        given.filter_map(|((input, dx), wanted)| Some((input, dx.filter(|_| wanted)?)))
    }

    /// out ← for each node up to `last`: whether it depends on one of `wrt`, of which `first` is the first.
    fn depends(&self, first: usize, last: usize, wrt: &[Var<'_, T>], out: &mut Vec<bool>) {
        out.clear();
        out.resize(last + 1, false);
        for x in wrt {
            assert!(std::ptr::eq(x.tape, self), "Tape::gradient: a variable lives on another tape");
            if x.id <= last {
                out[x.id] = true;
            }
        }
        for (id, node) in self.store.borrow().nodes.iter().enumerate().take(last + 1).skip(first) {
            out[id] |= node.inputs[..node.op.arity()].iter().any(|&input| out[input]);
        }
    }

    fn zeros_like<'t>(&'t self, x: &Var<'t, T>) -> Var<'t, T> {
        self.filled(x.shape().0, x.shape().1, T::ZERO)
    }
}

/// The first node of `wrt`: nothing before it depends on any.
fn first<T: Real>(wrt: &[Var<'_, T>]) -> usize {
    wrt.iter().map(|x| x.id).min().unwrap_or(0)
}

#[track_caller]
fn check_cotangent<T: Real>(y: Var<'_, T>, g: Var<'_, T>) {
    assert_eq!(y.shape(), g.shape(), "Tape::pull_back: the cotangent needs the shape of y");
}
