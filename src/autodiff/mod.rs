//! Reverse-mode automatic differentiation on matrices.
//!
//! A [`Tape`] is a flat list of matrix-valued nodes in the order in which they were computed. Every operation is one entry
//! of a table (`op.rs`): its value, and its vector–Jacobian product *written with tape operations*, so that a gradient is again
//! a computation on the tape and can be differentiated again. One that is made of many, such as the exponential of matrices
//! (`expm.rs`) or the messages of a graph network (`messages.rs`), has a file of its own and a line in the table.
//!
//! ```
//! use pushforward::autodiff::Tape;
//! use pushforward::linalg::Matrix;
//!
//! let tape = Tape::new();
//! let x = tape.leaf(&Matrix::from_rows(&[[1.0, 2.0]]));
//! let y = (x.square() * 3.0).sum(); // 3 (x₁² + x₂²)
//! let dy = tape.gradient(y, &[x])[0];
//! assert_eq!(dy.value().as_slice(), &[6.0, 12.0]);
//! ```

mod check;
mod derivative;
mod dual;
mod eval;
mod expm;
mod kernels;
#[doc(hidden)]
pub mod laws;
mod messages;
mod op;
mod path;
mod sweep;
mod tape;
mod var;

pub use check::{FIRST_STEP, GradientCheck, STEPS, Verdict, check_gradient, check_score};
pub use derivative::{divergence, hessian, hessian_vector, jacobian};
pub use dual::{Dual, Scalar};
pub(crate) use messages::BUMPS;
pub use path::Path;
pub use tape::{Tape, Var};
