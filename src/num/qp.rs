//! The smallest quadratic form on the simplex.

/// Weights of [`min_norm`] with the residual of their optimality conditions.
#[derive(Debug, Clone, PartialEq)]
pub struct MinNorm {
    /// w, K; not negative, Σ w = 1.
    pub weights: Vec<f64>,
    /// Uw, K.
    pub product: Vec<f64>,
    /// wᵀUw.
    pub value: f64,
    /// Largest violation of: (Uw)_i ≥ wᵀUw for all i, with equality where w_i > 0; in units of max U_ii.
    pub residual: f64,
}

/// Support changes in a solution; every one lowers the value, so few are needed.
const MOST_CHANGES: usize = 1000;
/// Violations below this, in units of max U_ii, are rounding.
const ROUNDING: f64 = 1e-14;

/// argmin wᵀUw over w ≥ 0, Σ w = 1, for U positive semidefinite, by active sets (Wolfe, 1976).   u: K×K by rows, symmetric, K ≥ 1.
///
/// With U_ij = ⟨φ_i, φ_j⟩ the minimiser gives the shortest vector Σ w_i φ_i of a convex hull, and (Uw)_i ≥ wᵀUw for all i says that it
/// is a common direction of descent (Désidéri, 2012). Each change of the active set solves (U_SS + 11ᵀ) v = 1; w = v/Σv is the
/// minimiser on the affine hull of S. Panics where u has another size.
pub fn min_norm(u: &[f64], count: usize) -> MinNorm {
    assert_eq!(u.len(), count * count, "a matrix of {count}×{count} numbers");
    let at = |i: usize, j: usize| 0.5 * (u[i * count + j] + u[j * count + i]);
    let scale = (0..count).map(|i| at(i, i)).fold(0.0, f64::max);
    let first = (0..count).min_by(|&i, &j| at(i, i).total_cmp(&at(j, j))).expect("at least one weight");
    let mut weights = vec![0.0; count];
    weights[first] = 1.0;
    let product = |w: &[f64]| -> Vec<f64> { (0..count).map(|i| (0..count).map(|j| at(i, j) * w[j]).sum()).collect() };
    let value = |w: &[f64], g: &[f64]| -> f64 { w.iter().zip(g).map(|(w, g)| w * g).sum() };
    let mut active = vec![first];
    if scale > 0.0 && scale.is_finite() {
        for _ in 0..MOST_CHANGES {
            let g = product(&weights);
            let now = value(&weights, &g);
            let enters = (0..count).filter(|i| !active.contains(i)).min_by(|&i, &j| g[i].total_cmp(&g[j]));
            let Some(enters) = enters.filter(|&i| g[i] < now - ROUNDING * scale) else { break };
            let (mut set, mut trial) = (active.clone(), weights.clone());
            set.push(enters);
            descend(&at, scale, &mut set, &mut trial);
            let after = value(&trial, &product(&trial));
            // rounding alone moves it
            if after >= now {
                break;
            }
            (active, weights) = (set, trial);
        }
    }
    polish(&at, scale, &mut weights);
    let product = product(&weights);
    let value = value(&weights, &product);
    let violation = |(w, g): (&f64, &f64)| if *w > 0.0 { (g - value).abs() } else { (value - g).max(0.0) };
    let residual =
        weights.iter().zip(&product).map(violation).fold(0.0, f64::max) / if scale > 0.0 { scale } else { 1.0 };
    MinNorm { weights, product, value, residual }
}

/// Moves weight between the worst pair, as far as that lowers the value, until the conditions hold to rounding: where vectors are equal to
/// nine digits, the systems of the active sets are singular, and pairs are not.
fn polish(u: &impl Fn(usize, usize) -> f64, scale: f64, w: &mut [f64]) {
    for _ in 0..MOST_CHANGES {
        let g: Vec<f64> = (0..w.len()).map(|i| (0..w.len()).map(|j| u(i, j) * w[j]).sum()).collect();
        let low = (0..w.len()).min_by(|&i, &j| g[i].total_cmp(&g[j]));
        let high = (0..w.len()).filter(|&i| w[i] > 0.0).max_by(|&i, &j| g[i].total_cmp(&g[j]));
        let (Some(low), Some(high)) = (low, high) else { return };
        let gap = g[high] - g[low];
        if low == high || gap <= 10.0 * ROUNDING * scale || gap.is_nan() {
            return;
        }
        let curvature = u(low, low) + u(high, high) - 2.0 * u(low, high);
        let step = (gap / curvature.max(f64::EPSILON * scale)).min(w[high]);
        w[low] += step;
        w[high] = if step < w[high] { w[high] - step } else { 0.0 };
    }
}

/// w ← the minimiser on the affine hull of the active set; where that leaves the simplex, the way there ends at its boundary, the weights
/// that vanish leave the set, and it begins again.
fn descend(u: &impl Fn(usize, usize) -> f64, scale: f64, set: &mut Vec<usize>, w: &mut [f64]) {
    while set.len() > 1 {
        let Some(v) = affine_minimiser(u, scale, set) else {
            // dependent: the last one brings nothing that rounding leaves
            set.pop();
            continue;
        };
        if v.iter().all(|&v| v > 0.0) {
            set.iter().zip(&v).for_each(|(&i, &v)| w[i] = v);
            return;
        }
        let ratio = |(&i, &v): (&usize, &f64)| if v <= 0.0 { w[i] / (w[i] - v) } else { f64::INFINITY };
        let ratios: Vec<f64> = set.iter().zip(&v).map(ratio).collect();
        let reach = ratios.iter().copied().fold(1.0, f64::min);
        let mut kept = Vec::with_capacity(set.len());
        for ((&i, &v), &ratio) in set.iter().zip(&v).zip(&ratios) {
            let leaves = v <= 0.0 && ratio <= reach;
            w[i] = if leaves { 0.0 } else { w[i] + reach * (v - w[i]) };
            if !leaves {
                kept.push(i);
            }
        }
        *set = kept;
        let sum: f64 = set.iter().map(|&i| w[i]).sum();
        set.iter().for_each(|&i| w[i] /= sum);
    }
    w.fill(0.0);
    w[set[0]] = 1.0;
}

/// The minimiser of wᵀUw under Σ w = 1 on the set, by elimination with pivots; None where the system is singular.
fn affine_minimiser(u: &impl Fn(usize, usize) -> f64, scale: f64, set: &[usize]) -> Option<Vec<f64>> {
    let n = set.len();
    let mut rows: Vec<Vec<f64>> =
        set.iter().map(|&i| set.iter().map(|&j| u(i, j) / scale + 1.0).chain(std::iter::once(1.0)).collect()).collect();
    for k in 0..n {
        let pivot = (k..n).max_by(|&a, &b| rows[a][k].abs().total_cmp(&rows[b][k].abs()))?;
        rows.swap(k, pivot);
        if rows[k][k].abs() < 4.0 * f64::EPSILON {
            return None;
        }
        let (above, below) = rows.split_at_mut(k + 1);
        for row in below {
            let factor = row[k] / above[k][k];
            row[k..].iter_mut().zip(&above[k][k..]).for_each(|(x, p)| *x -= factor * p);
        }
    }
    let mut v = vec![0.0; n];
    for k in (0..n).rev() {
        let rest: f64 = (k + 1..n).map(|j| rows[k][j] * v[j]).sum();
        v[k] = (rows[k][n] - rest) / rows[k][k];
    }
    let sum: f64 = v.iter().sum();
    (sum.is_finite() && sum > 0.0).then(|| v.iter().map(|v| v / sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, normal_matrix};

    fn gram(vectors: &crate::linalg::Matrix) -> Vec<f64> {
        let k = vectors.rows();
        let dot = |i: usize, j: usize| vectors.row(i).iter().zip(vectors.row(j)).map(|(a, b)| a * b).sum();
        (0..k * k).map(|at| dot(at / k, at % k)).collect()
    }

    /// Checks that the residual of the optimality conditions is at most 1e-12 for 2,000 random Gram matrices with K = 1 … 10, of full and of
    /// low rank, with vectors that are nearly or exactly equal, and of very different lengths; and that U + c 11ᵀ has the same weights.
    #[test]
    fn optimality() {
        let mut worst = 0.0f64;
        for case in 0..2000u64 {
            let (k, d) = (1 + (case % 10) as usize, 1 + (case / 10 % 12) as usize);
            let mut v: crate::linalg::Matrix = normal_matrix(3, Purpose::Check, case, k, d);
            match case % 4 {
                1 if k > 1 => {
                    let first = v.row(0).to_vec();
                    let near = if case % 8 == 1 { 0.0 } else { 1e-9 };
                    v.row_mut(k - 1).iter_mut().zip(first).for_each(|(a, b)| *a = b + near * *a);
                }
                2 => (0..k).for_each(|i| v.row_mut(i).iter_mut().for_each(|a| *a *= 10f64.powi(i as i32 - 3))),
                3 => v.as_mut_slice().iter_mut().for_each(|a| *a += 1.0),
                _ => {}
            }
            let u = gram(&v);
            let found = min_norm(&u, k);
            let sum: f64 = found.weights.iter().sum();
            assert!(found.weights.iter().all(|w| *w >= 0.0) && (sum - 1.0).abs() < 1e-14, "{found:?}");
            worst = worst.max(found.residual);
            if case % 4 == 0 && d >= k {
                let shifted: Vec<f64> = u.iter().map(|u| u + 2.5).collect();
                let again = min_norm(&shifted, k);
                let gap = found.weights.iter().zip(&again.weights).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(gap < 1e-8, "{found:?} {again:?}");
            }
        }
        assert!(worst <= 1e-12, "{worst:e}");
    }

    /// Checks the closed form for two vectors, w_1 = (U_22 - U_12)/(U_11 + U_22 - 2 U_12) between 0 and 1, and that zero vectors and
    /// opposite ones are Pareto stationary.
    #[test]
    fn two_vectors() {
        for (u11, u12, u22) in [(1.0, 0.2, 3.0), (4.0, -1.0, 1.0), (1.0, 1.5, 3.0), (5.0, 2.0, 1.0)] {
            let expected = f64::clamp((u22 - u12) / (u11 + u22 - 2.0 * u12), 0.0, 1.0);
            let found = min_norm(&[u11, u12, u12, u22], 2);
            assert!((found.weights[0] - expected).abs() < 1e-14, "{found:?} {expected}");
        }
        let opposite = min_norm(&[1.0, -2.0, -2.0, 4.0], 2);
        assert!(opposite.value.abs() < 1e-15 && (opposite.weights[0] - 2.0 / 3.0).abs() < 1e-15, "{opposite:?}");
        assert_eq!(min_norm(&[0.0; 9], 3).value, 0.0);
    }
}
