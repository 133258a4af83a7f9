//! T36: conditional symmetries from the score. Laws whose symmetries given a coordinate are planted, and one where they differ from the marginal's.

use crate::density::{Pointwise, evaluate};
use crate::linalg::Matrix;
use crate::num::{cos, exp, sin};
use crate::rng::{Purpose, normal_matrix};
use crate::symmetry::{AffineField, Settings, find};
use crate::verify::t34::drift;
use crate::verify::{Budget, Claim, Comparison, Hypothesis, Outcome, Size, Takes};
use rayon::prelude::*;

pub(super) const CLAIM: Claim = Claim {
    id: "T36",
    title: "the symmetries of every p(·|y) are the null space of E[g gᵀ] over fields that leave y still",
    takes: Takes::NoPair,
    hypotheses: &[
        Hypothesis::variant("(a) the field leaves y still", "so(k + 1), as if y could move"),
        Hypothesis::variant(
            "(c) the likelihood is constant along orbits",
            "every symmetry of the marginal is one given y",
        ),
        Hypothesis::elsewhere("p(·|y) ∈ W^{1,1}, as in T34", "T34", "a density with a jump"),
        Hypothesis::not_run(
            "(b) the derivative in x passes under the integral over y",
            "sufficient: we know no counter-example",
        ),
    ],
    check,
};

/// Points of a search, and of a comparison.
const POINTS: usize = 2000;
const FEW: usize = 20;
/// Width of the likelihood of [`Shape::Posterior`].
const WIDTH: f64 = 0.7;

fn check(budget: &Budget) -> Vec<Outcome> {
    let instances = if budget.size == Size::Quick { 2 } else { 8 };
    let one = |k| [planted(budget.seed.wrapping_add(k)), posterior(budget.seed.wrapping_add(k))];
    (0..instances).into_par_iter().flat_map_iter(one).collect()
}

/// A joint law of x (the last k coordinates) and y (the first).
struct Joint {
    k: usize,
    /// k×k and k: the tilt of x, and how its middle moves with y.
    tilt: Matrix,
    slope: Vec<f64>,
    shape: Shape,
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// u = T(x - y c) is round, of a radius that depends on y; y is quartic.
    Round,
    /// x is round about 0 in T x; y is Gaussian about a function of |Tx|² (true) or of the first entry of Tx (false).
    Posterior { of_radius: bool },
}

impl Joint {
    fn random(seed: u64, k: usize, shape: Shape) -> Self {
        let g: Matrix = normal_matrix(seed, Purpose::Check, 360 + k as u64, k + 1, k);
        let tilt = Matrix::from_fn(k, k, |i, j| {
            if i == j {
                exp(0.3 * g[(i, i)])
            } else if i > j {
                0.4 * g[(i, j)]
            } else {
                0.0
            }
        });
        Self { k, tilt, slope: g.row(k).to_vec(), shape }
    }

    /// y, x = y c + T⁻¹ u for normals u and y: points all over the mass.
    fn points(&self, seed: u64, n: usize) -> Matrix {
        let z: Matrix = normal_matrix(seed, Purpose::Check, 361, n, self.k + 1);
        let mut out = z.map(|v| 1.2 * v);
        for row in out.as_mut_slice().chunks_exact_mut(self.k + 1) {
            let y = row[0];
            for i in 0..self.k {
                let below: f64 = (0..i).map(|j| self.tilt[(i, j)] * row[1 + j]).sum();
                row[1 + i] = (row[1 + i] - below) / self.tilt[(i, i)];
            }
            if self.shape == Shape::Round {
                (0..self.k).for_each(|i| row[1 + i] += y * self.slope[i]);
            }
        }
        out
    }
}

/// log N(u; 0, I)-like ring: -(|u| - r)²/(2·0.6²) and its derivative in |u|.
fn ring(length: f64, r: f64) -> (f64, f64) {
    (-(length - r).powi(2) / 0.72, -(length - r) / 0.36)
}

impl Pointwise for Joint {
    fn dim(&self) -> usize {
        self.k + 1
    }

    fn at(&self, row: &[f64], score: &mut [f64]) -> f64 {
        let (y, k) = (row[0], self.k);
        let middle = |i: usize| if self.shape == Shape::Round { y * self.slope[i] } else { 0.0 };
        let u: Vec<f64> = (0..k).map(|i| (0..=i).map(|j| self.tilt[(i, j)] * (row[1 + j] - middle(j))).sum()).collect();
        let length = u.iter().map(|u| u * u).sum::<f64>().sqrt();
        let radius = if self.shape == Shape::Round { 1.5 + 0.4 * sin(y) } else { 1.5 };
        let (mut value, along) = ring(length, radius);
        let mut by_u: Vec<f64> = u.iter().map(|u| along * u / length).collect();
        let mut by_y;
        match self.shape {
            Shape::Round => {
                value -= 0.25 * y.powi(4);
                // the ring's radius moves with y
                by_y = -y.powi(3) - along * 0.4 * cos(y);
            }
            Shape::Posterior { of_radius } => {
                let (mean, slopes): (f64, Vec<f64>) = if of_radius {
                    (0.5 * length * length, u.clone())
                } else {
                    (u[0] + 0.5 * u[0] * u[0], (0..k).map(|i| if i == 0 { 1.0 + u[0] } else { 0.0 }).collect())
                };
                let gap = (y - mean) / (WIDTH * WIDTH);
                value -= 0.5 * (y - mean) * gap;
                by_u.iter_mut().zip(&slopes).for_each(|(b, s)| *b += gap * s);
                by_y = -gap;
            }
        }
        // u = T(x - y c)
        for j in 0..k {
            let of_x: f64 = (j..k).map(|i| self.tilt[(i, j)] * by_u[i]).sum();
            score[1 + j] = of_x;
            if self.shape == Shape::Round {
                by_y -= of_x * self.slope[j];
            }
        }
        score[0] = by_y;
        value
    }
}

fn given() -> Settings {
    Settings { given: vec![0], ..Settings::default() }
}

/// The dimension is that of the rotations of u, the fields leave y still and keep p(·|y), also where their centre moves with y.
fn planted(seed: u64) -> Outcome {
    let mut out = Outcome::default();
    for k in [2, 3] {
        let p = Joint::random(seed, k, Shape::Round);
        let x = p.points(seed, POINTS);
        let found = find(&p, &x, &given()).expect("enough points");
        let say = |what: &str| format!("round given y, k = {k}, {what}");
        let count = found.basis.len() as f64;
        let dimension = |right: f64| Comparison::exact(say("dimension"), count, right, 1.0, 0.0);
        out.comparisons.push(dimension((k * (k - 1) / 2) as f64));
        out.mutants.push(("so(k + 1), as if y could move", dimension((k * (k + 1) / 2) as f64)));
        out.mutants.push(("none, as no field about one fixed centre does", dimension(0.0)));
        let few = x.slice_rows(0..FEW);
        let zero = |what: &str, left: f64| Comparison::exact(say(what), left, 0.0, 1.0, 1e-8);
        let mut moving = 0;
        for v in &found.basis {
            out.comparisons.push(zero("log p(x|y) along the flow", drift(&p, v, &few)));
            let moved = v.at(&few).iter_rows().fold(0.0f64, |m, row| m.max(row[0].abs()));
            out.comparisons.push(zero("y along the flow", moved));
            // the centre of the rotation is y c: without its share of the field the flow keeps nothing, unless the axis is along c,
            // where every centre lies on the axis and the share is 0
            let largest = |columns: std::ops::Range<usize>| {
                let entries = columns.flat_map(|j| (0..=k).map(move |i| (i, j)));
                entries.fold(0.0f64, |m, at| m.max(v.matrix[at].abs()))
            };
            let still = largest(0..1) <= 1e-8 * largest(1..k + 1);
            moving += usize::from(!still);
            let mut fixed = v.clone();
            (0..=k).for_each(|i| fixed.matrix[(i, 0)] = 0.0);
            out.mutants.push((
                "a centre that does not move with y",
                zero("log p(x|y) along the flow", drift(&p, &fixed, &few)).unless(still),
            ));
        }
        // the shares A c of all axes are the vectors orthogonal to c in the metric of u: k - 1 of them are independent
        out.comparisons.push(Comparison::decision(say("axes that are not along c"), moving >= k - 1));
        // A = E[ρ | x] and the rest: over fields of x alone the residual given y is no smaller in the mean square
        let plain = find(&p, &x, &Settings::default()).expect("enough points").basis.len() as f64;
        out.comparisons.push(Comparison::decision(say("at most the symmetries of the joint law"), count <= plain));
    }
    out
}

/// A round prior with a likelihood of |u| or of one coordinate: marginal symmetry is there in both, symmetry given y in one; and the
/// residual given y is that of the marginal and noise that is orthogonal to it.
fn posterior(seed: u64) -> Outcome {
    let mut out = Outcome::default();
    for of_radius in [true, false] {
        let p = Joint::random(seed, 2, Shape::Posterior { of_radius });
        let what = if of_radius { "likelihood of the radius" } else { "likelihood of one coordinate" };
        let x = p.points(seed, POINTS);
        let count = find(&p, &x, &given()).expect("enough points").basis.len() as f64;
        let dimension = |right: f64| Comparison::exact(format!("{what}, dimension"), count, right, 1.0, 0.5);
        let right = if of_radius { 1.0 } else { 0.0 };
        out.comparisons.push(dimension(right));
        out.mutants.push(("every symmetry of the marginal is one given y", dimension(1.0).unless(of_radius)));
        // any field of x alone, at one x and over y given x: N(mean, width²), by a rule that is exact for squares
        let g: Matrix = normal_matrix(seed, Purpose::Check, 362, 3, 2);
        let field = AffineField {
            matrix: Matrix::from_fn(3, 3, |i, j| if i > 0 && j > 0 { g[(i - 1, j - 1)] } else { 0.0 }),
            shift: vec![0.0, g[(2, 0)], g[(2, 1)]],
        };
        for row in x.slice_rows(0..FEW).iter_rows() {
            let u0 = p.tilt[(0, 0)] * row[1];
            let u1 = p.tilt[(1, 0)] * row[1] + p.tilt[(1, 1)] * row[2];
            let mean = if of_radius { 0.5 * (u0 * u0 + u1 * u1) } else { u0 + 0.5 * u0 * u0 };
            // Gauss-Hermite with three nodes
            let nodes = [(-(3f64.sqrt()), 1.0 / 6.0), (0.0, 2.0 / 3.0), (3f64.sqrt(), 1.0 / 6.0)];
            let at = |y: f64| {
                let point = Matrix::from_vec(1, 3, vec![y, row[1], row[2]]);
                let score = evaluate(&p, &point).expect("a density of the check").score;
                field.residual(&point, &score)[0]
            };
            let given: Vec<(f64, f64)> = nodes.iter().map(|(z, w)| (*w, at(mean + WIDTH * z))).collect();
            let average: f64 = given.iter().map(|(w, r)| w * r).sum();
            let square: f64 = given.iter().map(|(w, r)| w * r * r).sum();
            // the marginal score by differences of log p(x) = ring(|u|): the likelihood integrates to a constant
            let log_p = |a: f64, b: f64| {
                let u = [p.tilt[(0, 0)] * a, p.tilt[(1, 0)] * a + p.tilt[(1, 1)] * b];
                ring((u[0] * u[0] + u[1] * u[1]).sqrt(), 1.5).0
            };
            let slope = |f: &dyn Fn(f64) -> f64| {
                let d = |h: f64| (f(h) - f(-h)) / (2.0 * h);
                (4.0 * d(5e-4) - d(1e-3)) / 3.0
            };
            let v = field.at(&Matrix::from_vec(1, 3, vec![0.0, row[1], row[2]]));
            let marginal = v[(0, 1)] * slope(&|h| log_p(row[1] + h, row[2]))
                + v[(0, 2)] * slope(&|h| log_p(row[1], row[2] + h))
                + field.trace();
            let scale = square.sqrt().max(1.0);
            let same =
                |right: f64| Comparison::exact(format!("{what}, mean residual given x"), average, right, scale, 1e-6);
            out.comparisons.push(same(marginal));
            out.mutants
                .push(("the mean residual without the trace", same(marginal - field.trace()).unless_true(marginal)));
            let variance: f64 = given.iter().map(|(w, r)| w * (r - average).powi(2)).sum();
            let parts = Comparison::exact(
                format!("{what}, mean square"),
                square,
                marginal * marginal + variance,
                scale * scale,
                1e-6,
            );
            out.comparisons.push(parts);
        }
    }
    out
}
