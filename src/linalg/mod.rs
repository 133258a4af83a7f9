//! Dense linear algebra: row-major matrices, products, factorisations.

mod cholesky;
mod conjugate;
mod eigen;
mod expm;
mod gemm;
mod lanczos;
mod lu;
pub(crate) mod matrix;
mod mean_free;
mod smallest;
mod symmetric;
mod triangular;

pub use cholesky::Cholesky;
pub(crate) use conjugate::conjugate_gradients;
pub use eigen::SymmetricEigen;
pub use expm::expm;
pub use gemm::{Factor, OWN_KERNELS, gemm, matmul, strategies};
pub(crate) use gemm::{Packed, Start, affine};
pub use lanczos::Lanczos;
pub use lu::{Lu, log_abs_det};
pub(crate) use matrix::shape_mismatch;
pub use matrix::{Matrix, View};
pub use mean_free::MeanFree;
pub use smallest::smallest_eigen;
pub(crate) use triangular::{dot, multiply_lower};
pub use triangular::{solve_lower, solve_lower_rows, solve_lower_transposed, solve_lower_transposed_rows, solve_upper};
