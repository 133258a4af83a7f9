//! Moments of the samples about cell centres, and their translation into Taylor coefficients about the same centres.
//! The bound is in the documentation of [`KdeGrid`](super::KdeGrid).

use crate::linalg::{Matrix, View, gemm};
use crate::num::exp;
use rayon::prelude::*;

/// Most dimensions: Pᵈ numbers belong to a cell.
pub(super) const MAX_DIM: usize = 3;

/// Largest order P.
const MAX_ORDER: usize = 40;

/// Most coefficients of all cells (240 MB).
const MAX_COEFFICIENTS: f64 = 3e7;

/// Queries that are to pass the test of the bound have a kernel sum above `USUAL_MASS` and W below `USUAL_SPREAD` times that sum (5 in
/// a flat region, 80 three bandwidths away from a lonely sample); the few others go to the exact kernel.
const USUAL_MASS: f64 = 0.01;
/// See [`USUAL_MASS`].
const USUAL_SPREAD: f64 = 1e3;

/// Taylor coefficients of Σ_j exp(-|x - y_j|²/2h²) about the centre of every cell.
#[derive(Debug, Clone)]
pub(super) struct Expansion {
    low: Vec<f64>,
    h: f64,
    /// Cells along each axis; the first axis is the fastest.
    cells: Vec<usize>,
    order: usize,
    /// R.
    reach: usize,
    /// Pᵈ for each cell, first axis slowest.
    local: Vec<f64>,
    /// Bound on |Σ k| and on each |h ∂Σ k| in each cell, absolute.
    errors: Vec<f64>,
}

impl Expansion {
    /// None where it would not pay against `pair` multiply-adds for each pair. `tolerance` is on Σ k and h∇Σ k relative to Σ k.
    pub fn new(samples: &Matrix, h: f64, tolerance: f64, pair: f64) -> Option<Self> {
        let (n, d) = samples.shape();
        if d > MAX_DIM || !samples.is_finite() {
            return None;
        }
        let order = (4..=MAX_ORDER).step_by(4).find(|&p| pair_error(p, d) <= 0.5 * tolerance / USUAL_SPREAD)?;
        let reach = (1..).find(|&r| n as f64 * left_out(r) <= 0.1 * tolerance * USUAL_MASS)?;
        let this = Self::empty(samples, h, order, reach);
        let total = this.cells.iter().map(|&c| c as f64).product::<f64>();
        let (count, size) = (n as f64, (order as f64).powi(d as i32));
        // in multiply-adds
        let translation = total * size * (d * order * (2 * reach + 1)) as f64;
        let pays = total * size <= MAX_COEFFICIENTS && pair * count * count > translation + 8.0 * count * size;
        pays.then(|| this.filled(samples))
    }

    /// The grid over the samples, without coefficients.
    fn empty(samples: &Matrix, h: f64, order: usize, reach: usize) -> Self {
        let d = samples.cols();
        let mut low = samples.row(0).to_vec();
        let mut high = low.clone();
        for row in samples.iter_rows() {
            for c in 0..d {
                (low[c], high[c]) = (low[c].min(row[c]), high[c].max(row[c]));
            }
        }
        // a cast to integers saturates, so that the product in `new` sees a number that is too large
        let cells = low.iter().zip(&high).map(|(l, u)| ((u - l) / h).min(1e15) as usize + 1).collect();
        Self { low, h, cells, order, reach, local: vec![], errors: vec![] }
    }

    /// With the coefficients and the bounds.
    fn filled(mut self, samples: &Matrix) -> Self {
        let (n, d) = samples.shape();
        (self.local, self.errors) = self.moments(samples);
        let crowd = self.errors.iter().copied().fold(0.0, f64::max);
        // a sum over the samples of a cell, and on each axis one over the cells in reach and two over coefficients
        let operations = crowd + (d * (2 * self.reach + 3) * self.order) as f64;
        let rounding = operations * f64::EPSILON * 6f64.powi(d as i32);
        for axis in 0..d {
            self.translate(axis);
            self.spread(axis);
        }
        let (pair, missing) = (pair_error(self.order, d), n as f64 * left_out(self.reach));
        self.errors.iter_mut().for_each(|w| *w = 1.01 * *w * (pair + rounding) + missing);
        self
    }

    /// Counts along `axis` into W(c) = Σ_D v(D) count(c - D); the axes turn as in [`Self::translate`].
    fn spread(&mut self, axis: usize) {
        let (along, reach) = (self.cells[axis], self.reach);
        let lines = self.errors.len() / along;
        let v: Vec<f64> = (0..=reach).map(|k| exp(-0.25 * (k as f64 - 1.0).max(0.0).powi(2))).collect();
        let mut out = vec![0.0; self.errors.len()];
        for (c, out) in out.chunks_exact_mut(lines).enumerate() {
            for (out, line) in out.iter_mut().zip(self.errors.chunks_exact(along)) {
                let near = c.saturating_sub(reach)..(c + reach + 1).min(along);
                *out = near.map(|source| v[source.abs_diff(c)] * line[source]).sum();
            }
        }
        self.errors = out;
    }

    /// (cell, offsets from its centre in units of h); None outside the grid.
    fn locate(&self, x: &[f64]) -> Option<(usize, [f64; MAX_DIM])> {
        let (mut cell, mut stride, mut offset) = (0, 1, [0.0; MAX_DIM]);
        for c in 0..x.len() {
            let u = (x[c] - self.low[c]) / self.h;
            if !(u >= 0.0 && u < self.cells[c] as f64) {
                return None;
            }
            cell += stride * u as usize;
            stride *= self.cells[c];
            offset[c] = u - u.floor() - 0.5;
        }
        Some((cell, offset))
    }

    /// Σ_j Π_c t_jcⁿ/n! for every cell: the samples are put in order of cells, then every cell is a task. Also the
    /// number of samples of each cell.
    fn moments(&self, samples: &Matrix) -> (Vec<f64>, Vec<f64>) {
        let (d, size) = (self.low.len(), self.order.pow(self.low.len() as u32));
        let total: usize = self.cells.iter().product();
        let place = |x: &[f64]| self.locate(x).expect("the grid covers the samples");
        let mut starts = vec![0; total + 1];
        let places: Vec<usize> = samples.as_slice().par_chunks(d).map(|x| place(x).0).collect();
        places.iter().for_each(|&c| starts[c + 1] += 1);
        let counts = starts[1..].iter().map(|&c| c as f64).collect();
        (0..total).for_each(|c| starts[c + 1] += starts[c]);
        let (mut next, mut sorted) = (starts.clone(), vec![0; places.len()]);
        for (j, &c) in places.iter().enumerate() {
            sorted[next[c]] = j;
            next[c] += 1;
        }
        let mut out = vec![0.0; total * size];
        out.par_chunks_mut(size).enumerate().for_each(|(cell, out)| {
            for &j in &sorted[starts[cell]..starts[cell + 1]] {
                let powers = self.powers(&place(samples.row(j)).1);
                add_products(&powers[..d], self.order, 1.0, out);
            }
        });
        (out, counts)
    }

    /// tⁿ/n! for n < P, axis by axis.
    fn powers(&self, t: &[f64; MAX_DIM]) -> [[f64; MAX_ORDER]; MAX_DIM] {
        let mut out = [[0.0; MAX_ORDER]; MAX_DIM];
        for (out, t) in out.iter_mut().zip(t) {
            out[0] = 1.0;
            for n in 1..self.order {
                out[n] = out[n - 1] * t / n as f64;
            }
        }
        out
    }

    /// Moments along `axis` into Taylor coefficients: L_m(c) = Σ_D Σ_{n < P - m} g⁽ᵐ⁺ⁿ⁾(D) (-1)ⁿ M_n(c - D), one product for all D.
    ///
    /// On entry `axis` is the fastest of the cells and the slowest of the coefficients; on exit it is the other way round, so
    /// that the next axis is in the same place, and after d translations all are where they were.
    fn translate(&mut self, axis: usize) {
        let reach = self.reach;
        let (p, along, d) = (self.order, self.cells[axis], self.cells.len());
        let (size, inner) = (p.pow(d as u32), p.pow(d as u32 - 1));
        let lines = self.local.len() / size / along;
        // columns (R + c' - c, n) for a source c' of target c, D = c - c'
        let table = Matrix::from_fn(p, (2 * reach + 1) * p, |m, column| {
            let (n, distance) = (column % p, reach as f64 - (column / p) as f64);
            if m + n < p { hermite_derivative(m + n, distance) * if n % 2 == 0 { 1.0 } else { -1.0 } } else { 0.0 }
        });
        let source = &self.local;
        let mut out = vec![0.0; source.len()];
        out.par_chunks_mut(lines * size).enumerate().for_each(|(c, out)| {
            let (first, last) = (c.saturating_sub(reach), (c + reach).min(along - 1));
            let (rows, skip) = ((last - first + 1) * p, (first + reach - c) * p);
            let factor =
                View { data: &table.as_slice()[skip..], rows: p, cols: rows, row_stride: table.cols(), col_stride: 1 };
            let mut product = Matrix::zeros(inner, p);
            for (line, out) in out.chunks_exact_mut(size).enumerate() {
                let data = &source[(line * along + first) * size..];
                let moments = View { data, rows, cols: inner, row_stride: inner, col_stride: 1 };
                gemm(1.0, moments.t(), factor.t(), 0.0, &mut product);
                out.copy_from_slice(product.as_slice());
            }
        });
        self.local = out;
    }

    /// ([Σ k, h ∂_1 Σ k, …] at x, the bound on their errors); None outside the grid.
    pub fn at(&self, x: &[f64]) -> Option<([f64; 1 + MAX_DIM], f64)> {
        let (d, size) = (x.len(), self.order.pow(x.len() as u32));
        let (cell, offset) = self.locate(x)?;
        let values = contract(&self.powers(&offset)[..d], self.order, &self.local[cell * size..][..size]);
        Some((values, self.errors[cell]))
    }
}

/// τ = 1.09/√P!.
fn remainder(order: usize) -> f64 {
    1.09 / (1..=order).map(|k| k as f64).product::<f64>().sqrt()
}

/// (1 + Pτ)ᵈ - 1, the bound on the error of a pair and of its gradient.
fn pair_error(order: usize, d: usize) -> f64 {
    (1.0 + order as f64 * remainder(order)).powi(d as i32) - 1.0
}

/// R exp(-R²/2).
fn left_out(reach: usize) -> f64 {
    reach as f64 * exp(-0.5 * (reach * reach) as f64)
}

/// g⁽ᵏ⁾(u) = (-1)ᵏ He_k(u) exp(-u²/2), by the recurrence of the Hermite polynomials.
fn hermite_derivative(k: usize, u: f64) -> f64 {
    let (mut before, mut now) = (0.0, exp(-0.5 * u * u));
    for n in 0..k {
        (before, now) = (now, -u * now - n as f64 * before);
    }
    now
}

/// out ← out + scale Π_c powers_c[n_c] over all (n_1, …, n_d), the last fastest.
fn add_products(powers: &[[f64; MAX_ORDER]], order: usize, scale: f64, out: &mut [f64]) {
    let (first, rest) = powers.split_first().expect("at least one axis");
    if rest.is_empty() {
        out.iter_mut().zip(first).for_each(|(o, p)| *o += scale * p);
        return;
    }
    for (out, p) in out.chunks_exact_mut(out.len() / order).zip(first) {
        add_products(rest, order, scale * p, out);
    }
}

/// [Σ_m L_m Π_c s_c^m/m!, its derivative along each axis]; the derivative of s^m/m! is the power before.
fn contract(powers: &[[f64; MAX_ORDER]], order: usize, local: &[f64]) -> [f64; 1 + MAX_DIM] {
    let (first, rest) = powers.split_first().expect("at least one axis");
    let mut out = [0.0; 1 + MAX_DIM];
    if rest.is_empty() {
        // four partial sums each, for the vectors
        let (mut value, mut slope) = ([0.0; 4], [0.0; 4]);
        let mut previous = [0.0; MAX_ORDER];
        previous[1..].copy_from_slice(&first[..MAX_ORDER - 1]);
        let (local, powers) = (local.as_chunks::<4>().0, first.as_chunks::<4>().0);
        for ((l, p), b) in local.iter().zip(powers).zip(previous.as_chunks::<4>().0) {
            for i in 0..4 {
                value[i] += l[i] * p[i];
                slope[i] += l[i] * b[i];
            }
        }
        (out[0], out[1]) = (value.iter().sum(), slope.iter().sum());
        return out;
    }
    let mut before = 0.0;
    for (local, p) in local.chunks_exact(local.len() / order).zip(first) {
        let inner = contract(rest, order, local);
        out[0] += p * inner[0];
        out[1] += before * inner[0];
        for c in 1..MAX_DIM {
            out[c + 1] += p * inner[c];
        }
        before = *p;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, normal_matrix};

    /// Checks the bound, order by order and reach by reach, in 1, 2 and 3 dimensions against plain loops, and that it has something to
    /// bound: at order 4 the error is above 1e-6 and falls by 100 to order 12, and so from reach 1 to 5.
    #[test]
    fn error_is_below_its_bound_at_every_order() {
        for d in 1..=MAX_DIM {
            let draw = |unit, n| normal_matrix::<f64>(2, Purpose::Check, unit, n, d);
            let (samples, x, h) = (draw(1, 400), draw(2, 60), [0.2, 0.5, 1.0][d - 1]);
            let worst = |order: usize, reach: usize| {
                let expansion = Expansion::empty(&samples, h, order, reach).filled(&samples);
                let mut worst = 0.0f64;
                for x in x.iter_rows() {
                    let Some((found, bound)) = expansion.at(x) else { continue };
                    let mut exact = [0.0; 1 + MAX_DIM];
                    for y in samples.iter_rows() {
                        let u: Vec<f64> = x.iter().zip(y).map(|(x, y)| (x - y) / h).collect();
                        let k = (-0.5 * u.iter().map(|u| u * u).sum::<f64>()).exp();
                        exact[0] += k;
                        u.iter().zip(&mut exact[1..]).for_each(|(u, e)| *e -= u * k);
                    }
                    let error = found.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                    assert!(error <= bound, "d={d} P={order}: {error:e} above {bound:e}");
                    worst = worst.max(error);
                }
                worst
            };
            let errors: Vec<f64> = (4..=16).step_by(4).map(|p| worst(p, 9)).collect();
            assert!(errors[0] > 1e-6 && errors[2] < errors[0] / 100.0, "d={d}: {errors:?}");
            let cut: Vec<f64> = (1..=5).map(|r| worst(16, r)).collect();
            assert!(cut[0] > 1e-2 && cut[4] < cut[0] / 100.0, "d={d}: {cut:?}");
        }
    }
}
