//! Numbers: the sealed scalar type, vectorised elementary functions, sums and line fits.

mod real;
pub use real::Real;
