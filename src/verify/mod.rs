//! Theorems as values: each [`Claim`] computes both sides of one theorem of `theory/` by independent computations and returns [`Evidence`].
//!
//! ```
//! use pushforward::verify::{Budget, claim};
//!
//! let evidence = claim("T1").unwrap().run(&Budget::quick().with_dim(1));
//! assert!(evidence.holds() && evidence.all_mutants_caught(), "{evidence}");
//! ```
//!
//! How a claim is written (`t01.rs` is the pattern):
//! 1. `budget.draws(…)` gives random pairs (p, q) in one and two dimensions, or the user's own pair; draws run in parallel, in order.
//! 2. On each draw the *left* side is a [`Ladder`]: central differences of a functional, at steps that halve.
//!    The *right* side is the theorem's formula through the shipped code.
//! 3. [`Comparison::of_ladder`] puts the two together and decides; where the leading error coefficient happens to vanish the order
//!    cannot be seen, and [`resolve`] draws another field.
//! 4. The same left side (or the same right side) against a false variant is a [`Mutant`], which has to fail.
//! 5. The [`Hypothesis`]es of the theorem, each with the false variant or the instance that is its counter-example, which has to fail too.

mod atoms;
mod budget;
mod chain;
mod claim;
mod cloud;
mod comparison;
mod draw;
mod field;
mod grid;
mod hypothesis;
pub mod integrability;
mod ladder;
mod law;
mod level_sets;
mod pair;
mod unit;
mod window;

pub use budget::{Budget, Size};
pub use claim::{Claim, Evidence, Mutant, Outcome, Takes, claim};
pub use comparison::{Assumption, Comparison, Measurement, Verdict, resolve};
pub use draw::Draw;
pub use field::{Bumps, Push};
pub use grid::Grid;
pub use hypothesis::{Dropped, Hypothesis, Without};
pub use ladder::Ladder;
pub use law::Law;
pub use pair::{Nodes, Pair, hessian_of_log};
pub use window::{Scene, Window};

/// A registry: one name for each file of a theorem, which has a `CLAIM`. (`cargo fmt` does not see these files; `.ci/run` does.)
macro_rules! theorems {
    ($($file:ident)*) => {
        $(mod $file;)*

        /// All claims in the order of the theorems.
        pub fn registry() -> Vec<Claim> {
            vec![$($file::CLAIM),*]
        }
    };
}

theorems! {
    t01
    t02
    t03
    t04
    t05
    t06
    t07
    t08
    t09
    t10
    t11
    t12
    t13
    t14
    t15
    t16
    t17
    t18
    t19
    t20
    t21
    t22
    t23
    t24
    t25
    t26
    t27
    t28
    t29
    t30
    t31
    t32
    t33
    t34
    t35
    t36
    t37
}

/// A vector of the plane; on the line its second entry is 0.
pub type Vector = [f64; 2];

/// A 2×2 matrix by rows; on the line only its first entry is not 0, so that det(I + εA), traces and products agree.
pub type Jacobian = [[f64; 2]; 2];

/// a·b.
pub fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}
