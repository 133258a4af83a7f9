//! T12: change of variables through a stack of layers: log-determinants, the recursion of the score, and total mass.

mod shipped;

use crate::autodiff::{Tape, Var, jacobian};
use crate::density::{Density, GaussianMixture};
use crate::linalg::{Lu, Matrix};
use crate::num::{exp, ln, tanh};
use crate::rng::{Stream, fill_normal};
use crate::verify::hypothesis::{integral, normal};
use crate::verify::{Budget, Claim, Comparison, Draw, Grid, Hypothesis, Ladder, Outcome, Takes, resolve};
use rayon::prelude::*;

pub(super) const CLAIM: Claim = Claim {
    id: "T12",
    title: "change of variables for every layer of a normalizing flow",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::instance("the layers are bijections", fold),
        Hypothesis::instance("the layers are C², for the score", corner),
    ],
    check,
};

/// Dimension of the log-determinant's own check, beyond the line and the plane.
const WIDE: usize = 5;
/// Layers of a stack.
const LAYERS: usize = 6;
/// More Newton steps than an inversion needs from a point nearby.
const NEWTON: usize = 40;

fn check(budget: &Budget) -> Vec<Outcome> {
    budget.draws(12, [8, 6], [300, 300]).par_iter().map(one_draw).collect()
}

fn one_draw(draw: &Draw) -> Outcome {
    let mut out = Outcome::default();
    let d = draw.pair.dim();
    for dim in [d, WIDE] {
        let (stack, x) = (Stack::random(&mut draw.stream(0), dim), normals(&mut draw.stream(1), dim));
        out.comparisons.push(stack.determinant(draw, &x, |log_det| log_det));
        out.mutants.push(("log-determinant with the other sign", stack.determinant(draw, &x, |log_det| -log_det)));
        out.mutants.push(("log-determinant at y for x", stack.shifted_determinant(draw, &x)));
    }
    out.comparisons.extend(resolve(&[()], |_, attempt| vec![score(draw, attempt, true)]));
    out.mutants.push(("score without the gradient of the log-determinant", score(draw, 0, false)));
    shipped::compare(draw, &mut out);
    if d == 1 {
        let [mass, forgotten] = mass(draw);
        out.comparisons.push(mass);
        out.mutants.push(("mass with the determinant forgotten", forgotten));
    }
    out
}

/// n standard normal numbers.
fn normals(rng: &mut Stream, n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n];
    fill_normal(rng, &mut out);
    out
}

/// A bijection of R^d, on a row.
enum Layer {
    /// y_i = e^{a_i} x_i + b_i.
    Scale { a: Matrix, b: Matrix },
    /// y = x A, A invertible: a permutation times a unit lower and an upper triangle.
    Linear { a: Matrix, log_det: f64 },
    /// y_i = x_i + c_i tanh x_i, c_i > -1.
    Bend { c: Matrix },
    /// y_i = e^{s_i} x_i + t_i, where s and t are tanh networks of the coordinates before i.
    Triangular { s: Matrix, t: Matrix },
}

impl Layer {
    fn random(rng: &mut Stream, kind: usize, d: usize) -> Self {
        let row = |v: Vec<f64>, size: f64| Matrix::from_vec(1, d, v).map(|x| size * x);
        let strict = |v: Vec<f64>| Matrix::from_fn(d, d, |i, j| if i < j { 0.5 * v[i * d + j] } else { 0.0 });
        match kind {
            0 => Self::Scale { a: row(normals(rng, d), 0.3), b: row(normals(rng, d), 1.0) },
            1 => {
                let (v, diagonal) = (normals(rng, d * d), normals(rng, d));
                let lower = Matrix::from_fn(d, d, |i, j| {
                    if i == j {
                        1.0
                    } else if i > j {
                        0.4 * v[i * d + j]
                    } else {
                        0.0
                    }
                });
                let upper = Matrix::from_fn(d, d, |i, j| match i.cmp(&j) {
                    std::cmp::Ordering::Equal => exp(0.3 * diagonal[i]),
                    std::cmp::Ordering::Less => 0.4 * v[i * d + j],
                    std::cmp::Ordering::Greater => 0.0,
                });
                let reversed: Vec<usize> = (0..d).rev().collect();
                let a = crate::linalg::matmul(&lower, &upper).gather_rows(&reversed);
                Self::Linear { a, log_det: diagonal.iter().map(|v| 0.3 * v).sum() }
            }
            2 => Self::Bend { c: row(normals(rng, d), 1.0).map(|c| 0.8 * tanh(c)) },
            _ => Self::Triangular { s: strict(normals(rng, d * d)), t: strict(normals(rng, d * d)) },
        }
    }

    /// (y, log |det DT|) at a row x, on its tape, by the page's formulas.
    fn forward<'t>(&self, x: Var<'t>) -> (Var<'t>, Var<'t>) {
        let leaf = |m: &Matrix| x.tape().leaf(m);
        match self {
            Self::Scale { a, b } => (x * leaf(a).exp() + leaf(b), leaf(a).sum()),
            Self::Linear { a, log_det } => (x.matmul(leaf(a)), x.tape().scalar(*log_det)),
            Self::Bend { c } => {
                let t = x.tanh();
                // d/dx (x + c tanh x) = 1 + c (1 - tanh²)
                let slope = leaf(c) * (t.square() * -1.0 + 1.0) + 1.0;
                (x + leaf(c) * t, slope.ln().sum())
            }
            Self::Triangular { s, t } => {
                let (scale, shift) = (x.matmul(leaf(s)).tanh(), x.tanh().matmul(leaf(t)));
                (x * scale.exp() + shift, scale.sum())
            }
        }
    }

    fn map(&self, x: &[f64]) -> Vec<f64> {
        let tape = Tape::new();
        self.forward(tape.leaf_from(1, x.len(), x)).0.value().into_vec()
    }

    fn jacobian(&self, x: &[f64]) -> Matrix {
        jacobian(x, |x| self.forward(x).0)
    }

    /// log |det DT|(x) and its gradient.
    fn log_det(&self, x: &[f64]) -> (f64, Vec<f64>) {
        let tape = Tape::new();
        let x = tape.leaf_from(1, x.len(), x);
        let log_det = self.forward(x).1;
        (log_det.item(), tape.gradient(log_det, &[x])[0].value().into_vec())
    }
}

/// T = T_K ∘ … ∘ T_1.
struct Stack(Vec<Layer>);

impl Stack {
    fn random(rng: &mut Stream, d: usize) -> Self {
        Self((0..LAYERS).map(|k| Layer::random(rng, k % 4, d)).collect())
    }

    /// x_0, x_1, …, x_K.
    fn path(&self, x: &[f64]) -> Vec<Vec<f64>> {
        let mut path = vec![x.to_vec()];
        for layer in &self.0 {
            path.push(layer.map(&path[path.len() - 1]));
        }
        path
    }

    /// DT(x) of the whole stack by the tape, d×d.
    fn jacobian(&self, x: &[f64]) -> Matrix {
        jacobian(x, |x| self.0.iter().fold(x, |x, layer| layer.forward(x).0))
    }

    /// Σ_k log |det DT_k|(x_{k-1}) by the layers' formulas.
    fn log_det(&self, x: &[f64]) -> f64 {
        self.0.iter().zip(self.path(x)).map(|(layer, x)| layer.log_det(&x).0).sum()
    }

    /// The layers' sum, `changed`, against the LU determinant of the dense Jacobian of the stack.
    fn determinant(&self, draw: &Draw, x: &[f64], changed: impl Fn(f64) -> f64) -> Comparison {
        self.against_lu(draw, x, changed(self.log_det(x)))
    }

    /// The same with each layer's log-determinant taken at its output.
    fn shifted_determinant(&self, draw: &Draw, x: &[f64]) -> Comparison {
        let path = self.path(x);
        let log_det = self.0.iter().zip(&path[1..]).map(|(layer, y)| layer.log_det(y).0).sum();
        self.against_lu(draw, x, log_det)
    }

    fn against_lu(&self, draw: &Draw, x: &[f64], log_det: f64) -> Comparison {
        let right = Lu::factor(&self.jacobian(x)).log_abs_det();
        let instance = format!("{}, log-determinant in dimension {}", draw.label, x.len());
        // K products of d×d matrices with condition below 1e4: 1e4 K d² roundings
        Comparison::exact(instance, log_det, right, 1.0, 1e-10)
    }

    /// T⁻¹(y) by Newton's method from `start`, with the dense Jacobian; halved where a step overshoots.
    fn inverse(&self, y: &[f64], start: &[f64]) -> Vec<f64> {
        let residual = |x: &[f64]| -> Vec<f64> {
            let path = self.path(x);
            path[self.0.len()].iter().zip(y).map(|(a, b)| b - a).collect()
        };
        let size = |r: &[f64]| r.iter().map(|v| v * v).sum::<f64>();
        let mut x = start.to_vec();
        let mut r = residual(&x);
        for _ in 0..NEWTON {
            let step = Lu::factor(&self.jacobian(&x)).solve(&r).expect("layers have regular Jacobians");
            let ahead = |c: f64| x.iter().zip(&step).map(|(x, s)| x + c * s).collect::<Vec<f64>>();
            let mut tried = [1.0, 0.5, 0.25, 0.0625].into_iter().map(|c| (ahead(c), residual(&ahead(c))));
            match tried.find(|(_, new)| size(new) < size(&r)) {
                Some(better) => (x, r) = better,
                None => break,
            }
        }
        x
    }

    /// log q(y) at y = T(x).
    fn log_density(&self, base: &GaussianMixture, x: &[f64], determinant: f64) -> f64 {
        base.log_density(&Matrix::from_vec(1, x.len(), x.to_vec()))[0] - determinant * self.log_det(x)
    }

    /// ∇ log q(T x) by the page's recursion with dense Jacobians; without ∇ log|det| where `gradient` is false.
    fn score(&self, base: &GaussianMixture, x: &[f64], gradient: bool) -> Vec<f64> {
        let (mut value, mut s) = ([0.0], Matrix::zeros(1, x.len()));
        base.evaluate_into(&Matrix::from_vec(1, x.len(), x.to_vec()), &mut value, &mut s);
        let mut s = s.into_vec();
        for (layer, x) in self.0.iter().zip(self.path(x)) {
            let own = layer.log_det(&x).1;
            let right: Vec<f64> = s.iter().zip(own).map(|(s, g)| if gradient { s - g } else { *s }).collect();
            s = Lu::factor(&layer.jacobian(&x).transpose()).solve(&right).expect("layers have regular Jacobians");
        }
        s
    }
}

/// Central differences of log q(y) along a direction, T⁻¹ by Newton's method, against the recursion.
fn score(draw: &Draw, attempt: usize, gradient: bool) -> Comparison {
    let (mut rng, d, base) = (draw.stream(attempt), draw.pair.dim(), &draw.pair.q);
    let (stack, x, direction) = (Stack::random(&mut rng, d), normals(&mut rng, d), normals(&mut rng, d));
    let y = stack.path(&x).pop().expect("a path has an end");
    let left = Ladder::central(0.05, |step| {
        let moved: Vec<f64> = y.iter().zip(&direction).map(|(y, v)| y + step * v).collect();
        let value = stack.log_density(base, &stack.inverse(&moved, &x), 1.0);
        // Newton stops at a residual of some roundings of y, which the score turns into log q
        vec![(value, 4.0 + value.abs())]
    });
    let score = stack.score(base, &x, gradient);
    let along = |s: &[f64]| s.iter().zip(&direction).map(|(s, v)| s * v).sum::<f64>();
    let size = |s: &[f64]| s.iter().map(|v| v * v).sum::<f64>().sqrt();
    let scale = size(&stack.score(base, &x, true)) * size(&direction);
    Comparison::of_ladder(format!("{}, score", draw.label), &left[0], along(&score), scale, 1e-7)
}

/// ∫ q dy = 1 on a grid of y, d = 1; and the same with the determinant left out.
fn mass(draw: &Draw) -> [Comparison; 2] {
    let (stack, base) = (Stack::random(&mut draw.stream(0), 1), &draw.pair.q);
    let ends = draw.pair.ends(9.0)[0];
    let image = |x: f64| stack.path(&[x]).pop().expect("a path has an end")[0];
    let (a, b) = (image(ends.0), image(ends.1));
    let grid = Grid::covering(&[(a.min(b), a.max(b))], (b - a).abs() / 1600.0);
    let mut x = vec![if a < b { ends.0 } else { ends.1 }];
    let inverses: Vec<Vec<f64>> = grid
        .nodes
        .iter_rows()
        .map(|y| {
            x = stack.inverse(y, &x);
            x.clone()
        })
        .collect();
    [1.0, 0.0].map(|determinant| {
        let q: Vec<f64> = inverses.iter().map(|x| exp(stack.log_density(base, x, determinant))).collect();
        Comparison::exact(format!("{}, mass", draw.label), grid.integrate(|i| q[i]), 1.0, 1.0, 1e-7)
    })
}

/// y = x² folds N(0, 1): the density at y = 1 by differences of its distribution function against the formula with one of two preimages.
fn fold() -> Comparison {
    let below = |y: f64| 2.0 * integral(0.0, y.sqrt(), normal);
    let left = ln((below(1.0 + 1e-4) - below(1.0 - 1e-4)) / 2e-4);
    let right = ln(normal(1.0)) - ln(2f64);
    Comparison::exact("y = x² of N(0, 1): log q at 1", left, right, 1.0, 1e-6)
}

/// y = x left of 0 and 2x right of it: log q jumps by log 2, which the recursion of the score does not see.
fn corner() -> Comparison {
    let log_q = |y: f64| if y < 0.0 { ln(normal(y)) } else { ln(normal(0.5 * y)) - ln(2f64) };
    let left = (log_q(1e-3) - log_q(-1e-3)) / 2e-3;
    Comparison::exact("y = x and 2x on the sides of 0, N(0, 1): score at 0, step 0.001", left, 0.0, 1.0, 1e-6)
}
