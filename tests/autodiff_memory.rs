//! Memory of repeated steps on one tape, counted by an allocator.

use pushforward::autodiff::Tape;
use pushforward::linalg::Matrix;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    /// (number of allocations, number of them of the size of a matrix of the step, bytes that live) of this thread.
    static COUNT: Cell<(usize, usize, isize)> = const { Cell::new((0, 0, 0)) };
}

/// Particles; with [`D`], the width, primes, so that no other buffer has the size of a matrix by chance.
const N: usize = 61;
const D: usize = 53;

/// The entries of every matrix of the step but the 1×1 ones.
const ENTRIES: [usize; 4] = [N * D, D * D, N, D];

/// The system's allocator, counting.
struct Counting;

fn count(size: usize, sign: isize) {
    let new = usize::from(sign > 0);
    let matrix = new * usize::from(ENTRIES.iter().any(|entries| size == entries * size_of::<f64>()));
    let add = |(all, matrices, live)| (all + new, matrices + matrix, live + sign * size as isize);
    // while a thread ends there is nothing to count
    let _ = COUNT.try_with(|c| c.set(add(c.get())));
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A step as in training: a hidden layer, and another one piece by piece, on N particles, a loss, a divergence by a second sweep, gradients of the weights.
fn step(tape: &mut Tape<f64>, x: &Matrix, weights: &mut Arc<Matrix>) -> f64 {
    tape.reset();
    let loss = {
        let (x, w) = (tape.leaf(x), tape.shared(weights));
        let bias = tape.filled(1, D, 0.1);
        let y = x.hidden(w, bias).affine(w, bias).silu();
        let slope = tape.gradient(y, &[x])[0];
        let loss = (y.square() + slope.square()).mean() + y.log_sum_exp().mean();
        let dw = tape.gradient(loss, &[w])[0];
        dw.with(|dw| assert!(dw.is_finite()));
        loss.item()
    };
    tape.reset(); // gives the weights back to their only owner
    Arc::get_mut(weights).unwrap().as_mut_slice()[0] += 1e-3;
    loss
}

/// Checks that after the first step no matrix is allocated any more, that every step makes the same number of allocations
/// (small lists, and the packing buffers of the matrix products), and that nothing accumulates over 50 steps.
#[test]
fn steps_reuse_their_memory() {
    let x = Matrix::from_fn(N, D, |i, j| ((i * D + j) as f64 * 0.37).sin());
    let mut weights = Arc::new(Matrix::from_fn(D, D, |i, j| ((i * 31 + j) as f64 * 0.91).cos() / 7.0));
    let mut tape = Tape::new();
    let mut counts = Vec::with_capacity(64);
    let mut live = Vec::with_capacity(64);
    let mut losses = Vec::with_capacity(64);
    for _ in 0..50 {
        let before = COUNT.get();
        losses.push(step(&mut tape, &x, &mut weights));
        let after = COUNT.get();
        counts.push((after.0 - before.0, after.1 - before.1));
        live.push(after.2);
    }
    println!("first {:?}, then {:?}", counts[0], counts[2]);
    assert!(losses.windows(2).all(|w| w[0] != w[1]), "the steps differ");
    assert!(counts[2..].iter().all(|c| *c == counts[2]), "{counts:?}");
    assert!(live[2..].iter().all(|b| *b == live[2]), "{live:?}");
    assert!(counts[0].1 > 20, "the count works: the first step allocates its matrices, {counts:?}");
    assert!(counts[1..].iter().all(|c| c.1 == 0), "{counts:?}");
}
