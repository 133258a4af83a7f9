//! Numbers: the sealed scalar type, vectorised elementary functions, sums and line fits.

mod bits;
mod elementwise;
mod exp;
mod ln;
mod real;
mod simd;

pub use elementwise::{
    Elementwise, Exp, ExpM1, Ln, Sigmoid, Softplus, Tanh, exp_m1_slice, exp_slice, ln_slice, map_slice, sigmoid_slice,
    softplus_slice, tanh_slice,
};
pub use real::Real;
pub use simd::{Kernel, Shell, dispatch, dispatch_on, shells};
