//! Blocks of coordinates that are independent under p, and mixtures on each of them.

use crate::density::{Affine, Density, GaussianMixture};
use crate::error::Result;
use crate::linalg::Matrix;
use crate::rng::{Purpose, stream, uniform};
use crate::search::fit::{AS_WELL, follow_to};
use crate::search::fit_mixture;
use crate::search::probe::Probe;
use std::collections::BTreeMap;

/// Pairs of points at which coordinates are exchanged.
const PAIRS: usize = 8;
/// Differences below this share of the summed sizes of their terms are rounding.
const ROUNDING: f64 = 1e-9;
/// Most dimensions in which blocks are looked for: a pair of points asks for d²/2 values.
const MOST: usize = 256;

/// The finest partition of the coordinates under which p~ is a product of functions of the blocks, at points `x` (N×d) of the target.
///
/// For points x and y of the target let Δ_ij = log p~(x) - log p~(x, x_i ← y_i) - log p~(x, x_j ← y_j) + log p~(x, both). It is 0 for all x and
/// y iff ∂_i ∂_j log p = 0. Blocks are the connected components of the graph of all pairs with |Δ_ij| > 1e-9 Σ|log p~| at one of eight
/// pairs of points, or with a point outside the support; a block lists its coordinates in ascending order. Between far modes one or two coordinates
/// lead out of none, and Δ is 0 everywhere: so half of the blocks are exchanged too, and where that is no sum of two changes there is one block
/// alone. At most 8 (5 + d + d(d - 1)/2) values of log p~. `Error::Panicked` where the target panics.
pub fn blocks(target: &dyn Density, x: &Matrix) -> Result<Vec<Vec<usize>>> {
    let (n, d) = x.shape();
    let mut block: Vec<usize> = (0..d).collect();
    if d > MOST || n < 2 * PAIRS {
        return Ok(vec![block]);
    }
    let probe = Probe { target, frame: Affine::identity(d) };
    for k in 0..PAIRS {
        let (here, there) = (x.row(k * n / (2 * PAIRS)), x.row((k + PAIRS) * n / (2 * PAIRS)));
        let open: Vec<(usize, usize)> =
            (0..d).flat_map(|i| (0..i).map(move |j| (i, j))).filter(|&(i, j)| block[i] != block[j]).collect();
        if open.is_empty() {
            break;
        }
        let alone = (0..d).map(|i| (i, i));
        let changed: Vec<(usize, usize)> = alone.chain(open.iter().copied()).collect();
        let mut points = Matrix::zeros(1 + changed.len(), d);
        points.row_mut(0).copy_from_slice(here);
        for (r, &(i, j)) in changed.iter().enumerate() {
            let row = points.row_mut(1 + r);
            row.copy_from_slice(here);
            (row[i], row[j]) = (there[i], there[j]);
        }
        let l = probe.log_density(&points)?.0;
        for (r, &(i, j)) in open.iter().enumerate() {
            if !cancels([l[0], l[1 + d + r], -l[1 + i], -l[1 + j]]) && block[i] != block[j] {
                let (old, new) = (block[i].max(block[j]), block[i].min(block[j]));
                block.iter_mut().filter(|b| **b == old).for_each(|b| *b = new);
            }
        }
    }
    let mut members = BTreeMap::<usize, Vec<usize>>::new();
    block.into_iter().enumerate().for_each(|(i, b)| members.entry(b).or_default().push(i));
    let found: Vec<Vec<usize>> = members.into_values().collect();
    Ok(if found.len() < 2 || halves_add(&probe, x, &found)? { found } else { vec![(0..d).collect()] })
}

/// Whether terms add to 0, up to rounding; what is not finite is no rounding.
fn cancels(terms: [f64; 4]) -> bool {
    let size: f64 = terms.iter().map(|l| l.abs()).sum();
    terms.iter().sum::<f64>().abs() <= ROUNDING * size && size.is_finite()
}

/// Whether log p~(x) + log p~(y) stays as it is where a random half of the blocks is exchanged, at each pair of points.
fn halves_add(probe: &Probe, x: &Matrix, blocks: &[Vec<usize>]) -> Result<bool> {
    let (n, d) = x.shape();
    let mut rng = stream(0, Purpose::Probe, 6);
    let mut points = Matrix::zeros(4 * PAIRS, d);
    for k in 0..PAIRS {
        let (here, there) = (x.row(k * n / (2 * PAIRS)), x.row((k + PAIRS) * n / (2 * PAIRS)));
        for (r, row) in [here, there, here, there].into_iter().enumerate() {
            points.row_mut(4 * k + r).copy_from_slice(row);
        }
        for (b, block) in blocks.iter().enumerate() {
            // never all of them, nor none
            let exchanged = b == 0 || (uniform(&mut rng) < 0.5 && b != 1 + k % (blocks.len() - 1));
            for &i in block.iter().filter(|_| exchanged) {
                (points[(4 * k + 2, i)], points[(4 * k + 3, i)]) = (there[i], here[i]);
            }
        }
    }
    let l = probe.log_density(&points)?.0;
    Ok(l.chunks_exact(4).all(|l| cancels([l[0], l[1], -l[2], -l[3]])))
}

/// A mixture of at most `components` Gaussians for each block of a target that is a product over them: fitted to the coordinates of points of the
/// target, y (N×d), and moved towards the block's own law, which is that of p~ with all other coordinates held at one of the points
/// ([`fit_mixture`], [`follow`](crate::search::follow)). What was moved is kept where it follows the block as well as before: masses of the start
/// are those of the points, which a search of many blocks knows less well.
pub fn fit_blocks(
    y: &Matrix,
    blocks: Vec<Vec<usize>>,
    target: &dyn Density,
    components: usize,
    draws: usize,
    seed: u64,
) -> Result<Vec<(Vec<usize>, GaussianMixture)>> {
    let few = y.slice_rows(0..y.rows().min(1024));
    let log_p = Probe { target, frame: Affine::identity(y.cols()) }.log_density(&few)?.0;
    // where p is largest, the other coordinates cannot be at the edge of a support
    let best = (0..few.rows()).fold(0, |best, i| if log_p[i] > log_p[best] { i } else { best });
    let one = |(k, block): (usize, Vec<usize>)| {
        let own = Matrix::from_fn(y.rows(), block.len(), |i, j| y[(i, block[j])]);
        let key = seed.wrapping_add(k as u64 * 0x9e37_79b9);
        let slice = Slice { target, at: y.row(best), block: &block };
        let start = fit_mixture(&own, components, key);
        let (mixture, _) = follow_to(start, &own, &slice, components, (draws, AS_WELL), key)?;
        Ok((block, mixture))
    };
    blocks.into_iter().enumerate().map(one).collect()
}

/// p~ as a function of some coordinates, the others held where they are.
struct Slice<'a> {
    target: &'a dyn Density,
    at: &'a [f64],
    block: &'a [usize],
}

impl Slice<'_> {
    fn whole(&self, x: &Matrix) -> Matrix {
        let mut out = Matrix::from_vec(x.rows(), self.at.len(), self.at.repeat(x.rows()));
        for (i, row) in x.iter_rows().enumerate() {
            self.block.iter().zip(row).for_each(|(&j, v)| out[(i, j)] = *v);
        }
        out
    }
}

impl Density for Slice<'_> {
    fn dim(&self) -> usize {
        self.block.len()
    }

    fn wants_whole_batches(&self) -> bool {
        self.target.wants_whole_batches()
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.target.log_density_into(&self.whole(x), out);
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        let mut all = Matrix::zeros(x.rows(), self.at.len());
        self.target.evaluate_into(&self.whole(x), log_density, &mut all);
        for i in 0..x.rows() {
            self.block.iter().enumerate().for_each(|(a, &j)| score[(i, a)] = all[(i, j)]);
        }
    }
}
