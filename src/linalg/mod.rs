//! Dense linear algebra: row-major matrices, products, factorisations.

mod gemm;
pub(crate) mod matrix;

pub use gemm::{gemm, matmul};
pub(crate) use matrix::shape_mismatch;
pub use matrix::{Matrix, View};
