//! Energy distance.

use crate::linalg::Matrix;
use crate::metric::pairs::{PairStatistic, pair_statistic};

/// D²(x, y) = 2 E|X - Y| - E|X - X'| - E|Y - Y'|.   x: n×d, y: m×d, n, m ≥ 2.
///
/// The MMD² of the kernel -|x - y|; zero between laws only where they are equal, with no bandwidth to choose. In units of length.
/// Cost O((n² + nm + m²) d). (Székely and Rizzo, 2013.)
pub fn energy_distance(x: &Matrix, y: &Matrix) -> PairStatistic {
    pair_statistic(x, y, |squares| squares.iter_mut().for_each(|s| *s = mutant!("energy-square", -*s, -s.sqrt())))
}
