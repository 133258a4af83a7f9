//! Where an equivariant generator starts: at one pass that was fitted to samples.

use crate::error::Result;
use crate::estimate::{Lesson, Residual, ScoreDivergence};
use crate::linalg::{Matrix, MeanFree};
use crate::metric::aligned;
use crate::nn::{Equivariant, Network, Parameters, cosine_rate};
use crate::num::{Real, sin};
use crate::parallel;
use crate::rng::{Purpose, normal_matrix, stream, uniform};
use std::sync::Arc;

/// What a flow sees of its time.
const MARKS: usize = 4;
/// Configurations of one training step.
const BATCH: usize = 256;
/// Adam's rate at the start of both fits; it falls to 0 along a half cosine.
const RATE: f64 = 4e-3;
/// Midpoint steps of the flow.
const STEPS: usize = 6;
/// Pairs of a point of noise and where the flow takes it.
const PAIRS: usize = 8192;
/// Streams of the fits, beside those of initial parameters.
const PAIRING: u64 = 1 << 40;
const ENDS: u64 = 1 << 41;
const TURNS: u64 = 1 << 42;

/// Parameters of a generator z + network(z) without marks, fitted in `steps` training steps twice:
///
/// - a flow x' = v(x, t), by regression on straight paths x_t = (1 - t) z + t y between points z of N(0, I) and samples y that are renumbered and
///   turned or reflected towards their z: for a law with the symmetries of particles that changes nothing, and paths hardly cross (Klein,
///   Krämer, Noé, NeurIPS 2023);
/// - one pass of the same network, from the parameters of v at t = 0, by regression on where the flow takes z.
///
/// `samples`: N×d in units in which a coordinate has variance 1.
pub(super) fn fitted<T: Real>(
    samples: &Matrix,
    space: MeanFree,
    hidden: &[usize],
    steps: u64,
    seed: u64,
) -> Result<Parameters<T>> {
    let d = samples.cols();
    let (positions, mut flow) =
        (space.positions(samples), Residual::<T>::new(d, MARKS, hidden, Some(space), false, seed));
    for k in 0..steps {
        let z: Matrix = normal_matrix(seed, Purpose::Initialise, PAIRING | k, BATCH, d);
        let mut rng = stream(seed, Purpose::Initialise, TURNS | k);
        let rows: Vec<usize> = (0..BATCH).map(|_| below(positions.rows(), uniform(&mut rng))).collect();
        let y = towards(space, &z, &positions, &rows);
        // one time in each of so many equal parts
        let t: Vec<f64> = (0..BATCH).map(|i| (i as f64 + uniform(&mut rng)) / BATCH as f64).collect();
        let x = Matrix::from_fn(BATCH, d, |i, j| (1.0 - t[i]) * z[(i, j)] + t[i] * y[(i, j)]);
        let pull = Matrix::from_fn(BATCH, d, |i, j| y[(i, j)] - z[(i, j)]);
        flow.learn(&lesson(&x, marks(&t), &pull), cosine_rate(RATE, k, steps), k)?;
    }
    let z: Matrix = normal_matrix(seed, Purpose::Initialise, ENDS, PAIRS, d);
    let mut pull = ends(&flow, &z);
    pull.add_scaled(-1.0, &z);
    let network = |marks| Equivariant::new(space, hidden[0], hidden.len(), marks, false);
    let names = network(MARKS).parameter_names();
    // the marks of t = 0 are 0
    let kept = names.iter().zip(flow.parameters()).filter(|(name, _)| name.as_str() != "marks");
    let mut pass = Residual::<T>::of(Network::Equivariant(network(0)), kept.map(|(_, p)| Arc::clone(p)).collect());
    for k in 0..steps {
        let mut rng = stream(seed, Purpose::Initialise, ENDS | (k + 1));
        let rows: Vec<usize> = (0..BATCH).map(|_| below(PAIRS, uniform(&mut rng))).collect();
        let (z, pull) = (z.gather_rows(&rows), pull.gather_rows(&rows));
        pass.learn(&lesson(&z, Matrix::zeros(BATCH, 0), &pull), cosine_rate(RATE, k, steps), k)?;
    }
    Ok(pass.parameters().clone())
}

/// ⌊u n⌋ < n for u in [0, 1].
fn below(n: usize, u: f64) -> usize {
    ((u * n as f64) as usize).min(n - 1)
}

fn lesson<T: Real>(z: &Matrix, marks: Matrix<T>, pull: &Matrix) -> Lesson<T> {
    Lesson { z: z.cast(), marks, pull: pull.cast(), divergence: ScoreDivergence::None }
}

/// t in the form that a flow sees; 0 at t = 0.
fn marks<T: Real>(t: &[f64]) -> Matrix<T> {
    Matrix::from_fn(t.len(), MARKS, |i, j| T::from_f64([t[i], t[i] * t[i], t[i].powi(4), sin(3.0 * t[i])][j]))
}

/// The named rows of `positions` (n k each), each moved by the symmetries of particles towards its row of z; N×d.
fn towards(space: MeanFree, z: &Matrix, positions: &Matrix, rows: &[usize]) -> Matrix {
    let x = space.positions(z);
    let moved = parallel::collect(0..z.rows(), |i| aligned(space, x.row(i), positions.row(rows[i])));
    space.coordinates(&Matrix::from_vec(z.rows(), space.positions_dim(), moved.concat()))
}

/// The flow from z at t = 1, by the midpoint rule.
fn ends<T: Real>(flow: &Residual<T>, z: &Matrix) -> Matrix {
    let (n, h) = (z.rows(), 1.0 / STEPS as f64);
    let at = |x: &Matrix, t: f64| flow.at(&x.cast(), &marks(&vec![t; n])).1;
    (0..STEPS).fold(z.clone(), |mut x, k| {
        let t = k as f64 * h;
        let mut middle = x.clone();
        middle.add_scaled(0.5 * h, &at(&x, t));
        x.add_scaled(h, &at(&middle, t + 0.5 * h));
        x
    })
}
