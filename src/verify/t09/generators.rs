//! Random generators whose laws are known: affine images of codes, and an increasing network on the line.

use crate::autodiff::Tape;
use crate::density::Affine;
use crate::density::GaussianMixture;
use crate::linalg::{Matrix, matmul};
use crate::model::{Generator, Latent, LatentBatch};
use crate::num::{cos, sin};
use crate::rng::{Stream, fill_normal};
use std::sync::Arc;

/// Codes of the folding generator.
const CODES: usize = 3;
/// Hidden units of the curved one.
const HIDDEN: usize = 5;

/// Which generator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Codes with affine images of one covariance: not injective, and q is a Gaussian mixture in closed form.
    Codes,
    /// A small network on the line, increasing: q by change of variables.
    Curved,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Codes, Self::Curved];
}

pub(super) fn normals(rng: &mut Stream, rows: usize, cols: usize) -> Matrix {
    let mut out = Matrix::zeros(rows, cols);
    fill_normal(rng, out.as_mut_slice());
    out
}

/// A generator whose images have standard deviation 1: turned by a random angle for codes, nearly so for the network.
pub(super) fn random_generator(rng: &mut Stream, kind: Kind, d: usize) -> Generator<f64> {
    let frame = Affine::identity(d);
    match kind {
        Kind::Codes => {
            let logits = normals(rng, 1, CODES).map(|l| 0.5 * l).into_vec();
            let mut g = Generator::new(frame, Latent::Codes { logits }, &[], 0);
            let angle = normals(rng, 1, 1)[(0, 0)];
            let turn = [[cos(angle), -sin(angle)], [sin(angle), cos(angle)]];
            let wanted = Matrix::from_fn(d, d, |i, j| if d == 1 { 1.0 } else { turn[i][j] });
            let (unit, reach) = affine_parts(&g);
            let mut weight = normals(rng, 2 * d, d).map(|w| 0.5 * w);
            for i in 0..d {
                (0..d).for_each(|j| weight[(d + i, j)] = (wanted[(i, j)] - if i == j { unit } else { 0.0 }) / reach);
            }
            g.parameters = vec![normals(rng, CODES, d), normals(rng, CODES, d), weight, normals(rng, 1, d)]
                .into_iter()
                .map(|m| Arc::new(m.into()))
                .collect();
            g
        }
        Kind::Curved => {
            let mut g = Generator::new(frame, Latent::Gaussian, &[HIDDEN], 0);
            g.parameters = g
                .parameters
                .iter()
                .map(|p| Arc::new(normals(rng, p.rows(), p.cols()).map(|v| 0.2 * v).into()))
                .collect();
            g
        }
    }
}

/// (a, b) of y = m_k + a (z + s_k) + b MLP, read off the map itself: with zero parameters but a bias of one.
fn affine_parts(g: &Generator<f64>) -> (f64, f64) {
    let d = g.dim();
    let mut probe = g.clone();
    let shapes = || g.parameters.iter().map(|p| Matrix::zeros(p.rows(), p.cols()));
    let value = |g: &Generator<f64>, z: f64| {
        let at = |z: f64| {
            g.map(&LatentBatch { noise: Matrix::filled(1, d, z), jitter: None, codes: Some(vec![0]), guidance: 0.0 })
                [(0, 0)]
        };
        at(z) - g.pieces.as_ref().map_or(0.0, |pieces| pieces.means()[(0, 0)])
    };
    probe.parameters = shapes().map(|m| Arc::new(m.into())).collect();
    let unit = value(&probe, 1.0);
    probe.parameters[3] = Arc::new(Matrix::filled(1, d, 1.0).into());
    (unit, value(&probe, 0.0))
}

/// q of the affine generator with codes: Σ π_k N(m_k, AᵀA).
pub(super) fn image(g: &Generator<f64>) -> GaussianMixture {
    let (means, a) = affine(g);
    let covariance = matmul(&a.transpose(), &a);
    GaussianMixture::new(&g.latent.probabilities(), means, vec![covariance; CODES]).expect("a regular matrix")
}

/// (m_k, A) of y = m_k + z A: m_k and the rows of A read off the map at z = 0 and z = e_i.
fn affine(g: &Generator<f64>) -> (Matrix, Matrix) {
    let d = g.dim();
    let at = |noise: Matrix, code: usize| {
        let codes = Some(vec![code; noise.rows()]);
        g.map(&LatentBatch { noise, jitter: None, codes, guidance: 0.0 })
    };
    let means = Matrix::from_fn(CODES, d, |k, j| at(Matrix::zeros(1, d), k)[(0, j)]);
    let shifted = at(Matrix::identity(d), 0);
    let a = Matrix::from_fn(d, d, |i, j| shifted[(i, j)] - means[(0, j)]);
    (means, a)
}

/// Mixtures with the tails of q: q itself for codes; for the network, N(c, s²) with the asymptote y = c + s z at each end.
pub(super) fn tails(g: &Generator<f64>) -> Vec<GaussianMixture> {
    if g.latent.codes() > 0 {
        return vec![image(g)];
    }
    asymptotes(g).map(|(c, s)| GaussianMixture::gaussian(&[c], Matrix::filled(1, 1, s * s)).expect("a slope")).to_vec()
}

/// (c, s) of y = c + s z at -∞ and +∞, read where the units have been flat or straight for long.
fn asymptotes(g: &Generator<f64>) -> [(f64, f64); 2] {
    [-1e6, 1e6].map(|far| {
        let tape = Tape::new();
        let parameters: Vec<_> = g.parameters.iter().map(|p| tape.parameter(p)).collect();
        let z = tape.leaf(&Matrix::filled(1, 1, far));
        let y = g.forward(&parameters, z, None, 0.0);
        let slope = tape.gradient(y, &[z])[0].value()[(0, 0)];
        (y.value()[(0, 0)] - slope * far, slope)
    })
}

/// The box of z that the generator maps over this box of x.
pub(super) fn preimage(g: &Generator<f64>, ends: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let wider = |out: (f64, f64), z: f64| (out.0.min(z), out.1.max(z));
    let none = (f64::INFINITY, f64::NEG_INFINITY);
    let d = ends.len();
    if g.latent.codes() == 0 {
        let at = |x: f64| asymptotes(g).map(|(c, s)| (x - c) / s);
        return vec![[at(ends[0].0), at(ends[0].1)].concat().into_iter().fold(none, wider)];
    }
    let (means, a) = affine(g);
    let inverse = inverse(&a);
    // z = (x - m_k) A⁻¹, linear, so that corners are extreme
    let corner = |bits: usize, j: usize| if (bits >> j) & 1 == 0 { ends[j].0 } else { ends[j].1 };
    let z = |k: usize, bits: usize, j: usize| -> f64 {
        (0..d).map(|i| (corner(bits, i) - means[(k, i)]) * inverse[(i, j)]).sum()
    };
    let corners = (0..means.rows()).flat_map(|k| (0..1usize << d).map(move |bits| (k, bits)));
    (0..d).map(|j| corners.clone().fold(none, |out, (k, bits)| wider(out, z(k, bits, j)))).collect()
}

/// A⁻¹ of a 1×1 or 2×2 matrix.
fn inverse(a: &Matrix) -> Matrix {
    if a.rows() == 1 {
        return Matrix::filled(1, 1, 1.0 / a[(0, 0)]);
    }
    let det = a[(0, 0)] * a[(1, 1)] - a[(0, 1)] * a[(1, 0)];
    Matrix::from_rows(&[[a[(1, 1)] / det, -a[(0, 1)] / det], [-a[(1, 0)] / det, a[(0, 0)] / det]])
}
