//! Dense linear algebra: row-major matrices, products, factorisations.

mod gemm;
mod matrix;

pub use gemm::{gemm, matmul};
pub(crate) use matrix::shape_mismatch;
pub use matrix::{Matrix, View};
