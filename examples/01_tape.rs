//! Lesson 1: the tape. A function is written once; its gradient, its Hessian and a check of both follow from the record of
//! what was computed. A gradient is again a computation on the tape: that is how scores, divergences of fields and training
//! (T9) are differentiated here.
//!
//! Run: `cargo run --release --example 01_tape`

use pushforward::Result;
use pushforward::autodiff::{Tape, Var, check_gradient, hessian};
use pushforward::linalg::Matrix;

/// y = x₁² sin x₂, for every row (x₁, x₂) of a batch: n×2 → n×1.
fn f(x: Var<'_>) -> Var<'_> {
    x.column(0).square() * x.column(1).sin()
}

fn main() -> Result<()> {
    let (a, b) = (1.5_f64, 0.7_f64);
    let tape = Tape::new();
    let x = tape.leaf(&Matrix::from_rows(&[[a, b]]));
    let y = f(x);
    println!("y = x1^2 sin x2 at ({a}, {b}): {:.6}, by {} nodes on the tape", y.item(), tape.len());

    // one sweep backwards over the list
    let gradient = tape.gradient(y, &[x])[0];
    let by_hand = [2.0 * a * b.sin(), a * a * b.cos()];
    println!("gradient            {:.6?}", gradient.value().as_slice());
    println!("(2 x1 sin x2, x1^2 cos x2)  {by_hand:.6?}");
    println!("the tape now has {} nodes: the gradient is on it too", tape.len());

    // so it can be differentiated again: d/dx1 of (gradient)_2
    let mixed = tape.gradient(gradient.column(1), &[x])[0].value()[(0, 0)];
    println!("d2y/dx1 dx2         {mixed:.6}\n2 x1 cos x2         {:.6}", 2.0 * a * b.cos());
    let h = hessian(&[a, b], f);
    println!("whole Hessian       {:.6?}", h.as_slice());

    // a check needs no tolerance: |difference - derivative| = O(step^2), so the slope on log paper is 2
    let points = Matrix::from_rows(&[[a, b], [-0.3, 2.0], [4.0, 1.0]]);
    let direction = Matrix::from_rows(&[[1.0, 1.0], [0.5, -1.0], [1.0, 0.0]]);
    let check = check_gradient(f, &points, &direction)?;
    println!("check_gradient on 3 points at once: {check}");

    // each number is a few products: a few roundings of relative size 2^-53
    let near = |x: f64, y: f64| (x - y).abs() <= 8.0 * f64::EPSILON * y.abs();
    assert!(near(y.item(), a * a * b.sin()));
    assert!(gradient.value().as_slice().iter().zip(by_hand).all(|(&g, e)| near(g, e)));
    assert!(near(mixed, 2.0 * a * b.cos()) && near(h[(0, 1)], mixed) && near(h[(1, 0)], mixed));
    assert!(near(h[(0, 0)], 2.0 * b.sin()) && near(h[(1, 1)], -a * a * b.sin()));
    assert!(check.passed());
    println!("lesson 1 holds");
    Ok(())
}
