//! Stein's fields of several targets at the same particles, with their divergences.

use crate::linalg::Matrix;
use crate::parallel;
use crate::velocity::Kernel;

/// Particles of one task.
const CHUNK: usize = 32;

/// φ_i(x) = (1/n) Σ_b [k(x, x_b) s_i(x_b) + ∇_b k(x, x_b)] of K targets at n particles, and div φ_i there.
pub(super) struct Fields {
    /// φ_i, K of n×d.
    pub(super) fields: Vec<Matrix>,
    /// div φ_i, K of n.
    pub(super) divergences: Vec<Vec<f64>>,
}

/// What a pair of particles at a and b contributes beside k: the factors of ∇_b k and of ∇_a k, and tr ∇_a ∇_b k.
struct Pair {
    k: f64,
    /// ∇_b k = c (a - b), ∇_a k = -c (a - b); for the linear kernel a and b themselves.
    c: f64,
    trace: f64,
}

fn pair(kernel: &Kernel, a: &[f64], b: &[f64]) -> Pair {
    let (k, c) = kernel.at(a, b);
    let d = a.len() as f64;
    let square = || a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
    let trace = match kernel {
        Kernel::Rbf(w) => {
            let w = w.unwrap_or(1.0);
            c * (d - 2.0 * square() / w)
        }
        Kernel::Imq(w) => {
            let (w, r) = (w.unwrap_or(1.0), square());
            c * (d - 3.0 * r / (w + r))
        }
        Kernel::Linear => d,
    };
    Pair { k, c, trace }
}

impl Fields {
    /// Of the scores `scores` (K of n×d) at x (n×d); K n² d operations. Rows are summed in their order: the same bits on any number of
    /// threads.
    pub(super) fn of(kernel: &Kernel, x: &Matrix, scores: &[Matrix]) -> Self {
        let ((n, d), count) = (x.shape(), scores.len());
        // a row holds all φ_i, then all divergences
        let width = count * (d + 1);
        let mut out = vec![0.0; n * width];
        let rows = out.chunks_mut(CHUNK * width).zip(x.as_slice().chunks(CHUNK * d));
        parallel::for_each(rows, |(out, x_rows)| {
            for (out, a) in out.chunks_exact_mut(width).zip(x_rows.chunks_exact(d)) {
                row(kernel, a, x, scores, out);
                out.iter_mut().for_each(|o| *o /= n as f64);
            }
        });
        let field = |i: usize| Matrix::from_fn(n, d, |a, j| out[a * width + i * d + j]);
        let divergence = |i: usize| (0..n).map(|a| out[a * width + count * d + i]).collect();
        Self { fields: (0..count).map(field).collect(), divergences: (0..count).map(divergence).collect() }
    }

    /// U_ij = ⟨φ_i, φ_j⟩_H = (1/n) Σ_b [s_i(x_b)·φ_j(x_b) + div φ_j(x_b)], K×K by rows: all four terms of
    /// E[k s_i·s_j + s_i·∇_b k + s_j·∇_a k + tr ∇_a ∇_b k], by the reproducing property.
    pub(super) fn gram(&self, scores: &[Matrix]) -> Vec<f64> {
        let count = scores.len();
        let mean = |i: usize, j: usize| {
            let dot: f64 = scores[i].as_slice().iter().zip(self.fields[j].as_slice()).map(|(s, v)| s * v).sum();
            (dot + mutant!("multi-divergence", 0.0, self.divergences[j].iter().sum::<f64>())) / scores[i].rows() as f64
        };
        (0..count * count).map(|k| 0.5 * (mean(k / count, k % count) + mean(k % count, k / count))).collect()
    }
}

/// The sums over b of one row.
fn row(kernel: &Kernel, a: &[f64], x: &Matrix, scores: &[Matrix], out: &mut [f64]) {
    let (d, count) = (a.len(), scores.len());
    let (fields, divergences) = out.split_at_mut(count * d);
    // what all targets share
    let (mut repulsion, mut trace) = (vec![0.0; d], 0.0);
    for (at, b) in x.iter_rows().enumerate() {
        let p = pair(kernel, a, b);
        trace += p.trace;
        match kernel {
            Kernel::Linear => repulsion.iter_mut().zip(a).for_each(|(o, a)| *o += a),
            _ => repulsion.iter_mut().zip(a.iter().zip(b)).for_each(|(o, (a, b))| *o += p.c * (a - b)),
        }
        for (i, s) in scores.iter().enumerate() {
            let s = s.row(at);
            fields[i * d..(i + 1) * d].iter_mut().zip(s).for_each(|(o, s)| *o += p.k * s);
            divergences[i] += match kernel {
                Kernel::Linear => s.iter().zip(b).map(|(s, b)| s * b).sum::<f64>(),
                _ => -p.c * s.iter().zip(a.iter().zip(b)).map(|(s, (a, b))| s * (a - b)).sum::<f64>(),
            };
        }
    }
    for i in 0..count {
        fields[i * d..(i + 1) * d].iter_mut().zip(&repulsion).for_each(|(o, r)| *o += r);
        divergences[i] += trace;
    }
}
