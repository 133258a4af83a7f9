//! Numbers: the sealed scalar type, elementary functions and their vectorised forms, sums and line fits.

mod bessel;
mod big;
mod bits;
mod chebyshev;
mod elementary;
mod elementwise;
mod exp;
mod fit;
mod ln;
mod logsumexp;
mod qp;
mod quadrature;
mod real;
mod simd;
mod special;
mod sum;
#[cfg(target_arch = "x86_64")]
mod wide;

pub use bessel::ln_bessel0;
pub use big::Big;
pub use chebyshev::Chebyshev;
pub use elementary::{
    acos, atan, atan2, cos, cosh, exp, exp_m1, exp2, hypot, ln, ln_1p, log2, log10, powf, sin, sin_cos, sinh, tan, tanh,
};
pub use elementwise::{
    Elementwise, Exp, ExpM1, Ln, Sigmoid, Silu, SiluSlope, Softplus, Tanh, exp_m1_slice, exp_slice, ln_slice,
    map_slice, sigmoid_slice, softplus_slice, tanh_slice,
};
pub use fit::{Line, Order, fit_line, observed_order};
pub use logsumexp::{log_mean_exp, log_sum_exp, softmax};
pub use qp::{MinNorm, min_norm};
pub use quadrature::GaussLegendre;
pub use real::Real;
pub use simd::{
    ISA, InstructionSet, Kernel, check_isa, dispatch, dispatch_on, instruction_set, instruction_sets, strict,
};
pub use special::{Special, digamma, log_gamma};
pub(crate) use sum::sum_of_squares;
pub use sum::{Summary, mean, sum, variance};
#[cfg(target_arch = "x86_64")]
pub(crate) use wide::{Avx512, Wide};
