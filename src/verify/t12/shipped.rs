//! T12 for the flows of the sampler: their own inverses, log-determinants and scores.

use super::{WIDE, normals};
use crate::autodiff::{Tape, Var, jacobian};
use crate::density::Affine;
use crate::density::Density;
use crate::linalg::{Lu, Matrix};
use crate::model::flow::{Architecture, CouplingKind, Flow};
use crate::verify::{Comparison, Draw, Outcome};
use std::sync::Arc;

/// Size of the random parameters; beyond it splines become too steep for a dense Jacobian to be a fair judge.
const SIZE: f64 = 0.2;

/// Condition of DT from which the tolerances grow in proportion: a rounding of y comes back through T⁻¹ multiplied by it.
const REGULAR: f64 = 1e3;

/// Both kinds of couplings, in the draw's dimension and in a larger one.
pub(super) fn compare(draw: &Draw, out: &mut Outcome) {
    let spline = CouplingKind::Spline { bins: 6, reach: 3.0 };
    for (name, coupling) in [("affine", CouplingKind::Affine), ("spline", spline)] {
        for dim in [draw.pair.dim(), WIDE] {
            let flow = random(draw, coupling, dim);
            let z = normals(&mut draw.stream(2), dim);
            let at = At::new(&flow, &z);
            let label = format!("{}, {name} flow in dimension {dim}", draw.label);
            let exact = Lu::factor(&at.jacobian).log_abs_det();
            // as for the stacks: 1e4 d² roundings of the dense product, and as much again for slopes down to 1e-2
            let determinant = |l: f64| Comparison::exact(format!("{label}, log-determinant"), l, exact, 1.0, 1e-9);
            out.comparisons.push(determinant(at.log_det));
            out.mutants.push(("shipped log-determinant with the other sign", determinant(-at.log_det)));
            let far = at.back.iter().zip(&z).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            let ill = (condition(&at.jacobian) / REGULAR).max(1.0);
            out.comparisons.push(Comparison::exact(format!("{label}, inverse"), far, 0.0, ill, 1e-9));
            out.comparisons.push(score(&flow, &at, &z, &label, ill));
        }
    }
}

/// A flow from one Gaussian with all parameters moved.
fn random(draw: &Draw, coupling: CouplingKind, dim: usize) -> Flow<f64> {
    let architecture = Architecture { coupling, couplings: 4, hidden: vec![8], components: 1, given: 0 };
    let mut flow = Flow::new(Affine::identity(dim), architecture, draw.seed + draw.unit);
    let mut rng = draw.stream(3);
    for p in &mut flow.parameters {
        let noise = Matrix::from_vec(p.rows(), p.cols(), normals(&mut rng, p.rows() * p.cols()));
        Arc::make_mut(p).update(|p| p.add_scaled(SIZE, &noise));
    }
    flow
}

/// A flow at one point z.
struct At {
    y: Vec<f64>,
    log_det: f64,
    /// ∇ log |det DT| at z.
    gradient: Vec<f64>,
    back: Vec<f64>,
    jacobian: Matrix,
}

impl At {
    fn new(flow: &Flow<f64>, z: &[f64]) -> Self {
        let tape = Tape::new();
        let parameters: Vec<Var> = flow.parameters.iter().map(|p| tape.parameter(p)).collect();
        let start = tape.leaf_from(1, z.len(), z);
        let there = flow.forward(&parameters, start);
        Self {
            y: there.points.value().into_vec(),
            log_det: there.log_det.item(),
            gradient: tape.gradient(there.log_det, &[start])[0].value().into_vec(),
            back: flow.inverse(&parameters, there.points).points.value().into_vec(),
            jacobian: jacobian(z, |z| {
                let parameters: Vec<Var> = flow.parameters.iter().map(|p| z.tape().parameter(p)).collect();
                flow.forward(&parameters, z).points
            }),
        }
    }
}

/// |A| |A⁻¹| in the Frobenius norm.
fn condition(a: &Matrix) -> f64 {
    let inverse = Lu::factor(a).inverse().expect("layers have regular Jacobians");
    let size = |m: &Matrix| m.as_slice().iter().map(|v| v * v).sum::<f64>().sqrt();
    size(a) * size(&inverse)
}

/// ∇ log q at y by reverse mode through the inverses, against the page's recursion DT^-T (s₀ - ∇ log|det DT|) with the dense Jacobian
/// and s₀ = -z.
fn score(flow: &Flow<f64>, at: &At, z: &[f64], label: &str, ill: f64) -> Comparison {
    let y = Matrix::from_vec(1, z.len(), at.y.clone());
    let (mut value, mut score) = ([0.0], Matrix::zeros(1, z.len()));
    flow.evaluate_into(&y, &mut value, &mut score);
    let right: Vec<f64> = z.iter().zip(&at.gradient).map(|(z, g)| -z - g).collect();
    let exact = Lu::factor(&at.jacobian.transpose()).solve(&right).expect("layers have regular Jacobians");
    let size = exact.iter().map(|v| v * v).sum::<f64>().sqrt();
    let far = exact.iter().zip(score.as_slice()).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
    Comparison::exact(format!("{label}, score"), far, 0.0, ill * size.max(1.0), 1e-8)
}
