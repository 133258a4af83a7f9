//! T4: div V = w [Δl + e |β|²], and ∂_t l = w [Δl + e |β|² + β·s_q] at a fixed point.

use super::hypothesis::integral;
use super::pair::vector;
use super::{
    Budget, Claim, Comparison, Draw, Hypothesis, Jacobian, Ladder, Nodes, Outcome, Pair, Takes, Vector, dot,
    integrability, resolve,
};
use crate::divergence::{Divergence, ForwardKl, ReverseKl};
use crate::linalg::Matrix;
use crate::num::{cosh, ln, sinh};
use crate::rng::{Stream, fill_normal, uniform};
use crate::velocity::{LogRatioClip, drift_into};
use rayon::prelude::*;
use std::f64::consts::PI;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T04",
    title: "div V = w(r) [Δl + e(r) |β|²]",
    takes: Takes::AnyDensity,
    hypotheses: &[
        Hypothesis::instance("p, q ∈ C²", corner),
        Hypothesis::instance("f ∈ C³", clipped),
        Hypothesis::instance("q|V|/(1+|x|) ∈ L¹ (the average)", flux),
    ],
    check,
};

type Case = Arc<dyn Divergence>;

/// Points of one instance.
const POINTS: usize = 12;

fn check(budget: &Budget) -> Vec<Outcome> {
    let divergences = budget.divergences();
    budget.draws(4, [8, 8], [100, 60]).par_iter().map(|draw| one_draw(draw, &divergences)).collect()
}

fn one_draw(draw: &Draw, divergences: &[Case]) -> Outcome {
    let setting = |attempt| Setting::new(draw, attempt);
    let mut out = Outcome::default();
    for statement in [Statement::Divergence, Statement::FixedPoint] {
        out.comparisons.extend(resolve(divergences, |cases, attempt| {
            cases.iter().map(|f| setting(attempt).compare(statement, f)).collect()
        }));
        divergences.iter().for_each(|f| setting(0).mutants(statement, f, &mut out.mutants));
    }
    if draw.pair.dim() == 1 && draw.pair.is_of_mixtures() {
        out.comparisons.extend(divergences.iter().map(|f| average(draw, f)));
    }
    out
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Statement {
    /// div V.
    Divergence,
    /// ∂_t l at a fixed point.
    FixedPoint,
}

/// Random points with random coefficients: a combination Σ c_j (…)(x_j) in which no single zero of div V decides.
struct Setting<'a> {
    draw: &'a Draw,
    points: Matrix,
    coefficients: Vec<f64>,
    nodes: Nodes,
    hessian: Vec<Jacobian>,
}

impl<'a> Setting<'a> {
    fn new(draw: &'a Draw, attempt: usize) -> Self {
        let mut rng = draw.stream(attempt);
        let points = scattered(&mut rng, &draw.pair, POINTS);
        let mut coefficients = vec![0.0; POINTS];
        fill_normal(&mut rng, &mut coefficients);
        let nodes = draw.pair.at(&points);
        let hessian = points.iter_rows().map(|x| draw.pair.hessian(x)).collect();
        Self { draw, points, coefficients, nodes, hessian }
    }

    /// w [a Δl + e |β|²] with the laplacian's factor a(l) and the elasticity e(l), plus w β·s where a score is given.
    fn right(&self, f: &Case, laplacian: impl Fn(f64) -> f64, e: impl Fn(f64) -> f64, s: Option<&Matrix>) -> Vec<f64> {
        (0..POINTS)
            .map(|i| {
                let (l, beta, h) = (self.nodes.l(i), self.nodes.beta(i), self.hessian[i]);
                let transport = s.map_or(0.0, |s| dot(beta, vector(s.row(i))));
                f.weight(l) * (laplacian(l) * (h[0][0] + h[1][1]) + e(l) * dot(beta, beta) + transport)
            })
            .collect()
    }

    fn truth(&self, statement: Statement, f: &Case) -> Vec<f64> {
        let score = (statement == Statement::FixedPoint).then_some(&self.nodes.score_q);
        self.right(f, |_| 1.0, |l| f.elasticity(l), score)
    }

    fn combine(&self, values: &[f64]) -> f64 {
        values.iter().zip(&self.coefficients).map(|(v, c)| v * c).sum()
    }

    fn size(&self, values: &[f64]) -> f64 {
        values.iter().zip(&self.coefficients).map(|(v, c)| (v * c).abs()).sum()
    }

    fn left(&self, statement: Statement, f: &Case) -> Ladder {
        match statement {
            Statement::Divergence => self.divergence(f),
            Statement::FixedPoint => self.fixed_point(f),
        }
    }

    /// Central differences of the shipped velocity, coordinate by coordinate. V rounds by its own size, by the roundings of the two
    /// scores in β, and by those of l in w.
    fn divergence(&self, f: &Case) -> Ladder {
        let n = &self.nodes;
        let length = |m: &Matrix, i: usize| dot(vector(m.row(i)), vector(m.row(i))).sqrt();
        let rounding = |i: usize| {
            let (w, e) = (f.weight(n.l(i)), f.elasticity(n.l(i)));
            let beta = n.beta2(i).sqrt();
            w * (length(&n.score_p, i) + length(&n.score_q, i) + beta * (1.0 + e.abs() * n.log_size(i)))
        };
        let roundings: Vec<f64> = (0..POINTS).map(rounding).collect();
        let shifted = |j: usize, h: f64| {
            let x =
                Matrix::from_fn(POINTS, self.points.cols(), |i, k| self.points[(i, k)] + if j == k { h } else { 0.0 });
            self.draw.pair.at(&x).drift(f.as_ref())
        };
        let quotient = |h: f64| {
            let mut pair = (0.0, 0.0);
            for j in 0..self.points.cols() {
                let (up, down) = (shifted(j, h), shifted(j, -h));
                for (i, c) in self.coefficients.iter().enumerate() {
                    pair.0 += c * (up[(i, j)] - down[(i, j)]) / (2.0 * h);
                    pair.1 += c.abs() * roundings[i] / h;
                }
            }
            vec![pair]
        };
        Ladder::quotients(0.03125 * self.draw.pair.finest().min(1.0), 2.0, quotient).swap_remove(0)
    }

    /// l = log p - log q_η at the points, q_η = (id + ηV)#q by the preimage and the determinant, at ±η.
    fn fixed_point(&self, f: &Case) -> Ladder {
        let steepest = self.points.iter_rows().map(|x| norm(&derivative(&self.draw.pair, f, x))).fold(0.0, f64::max);
        // V may be constant: then no particle may move by more than a fraction of the finest component
        let fastest = self.points.iter_rows().map(|x| velocity(&self.draw.pair, f, x)).map(|v| dot(v, v).sqrt());
        let fastest = fastest.fold(0.0, f64::max) / self.draw.pair.finest();
        let first = if steepest.max(fastest) > 0.0 { 0.03125 / steepest.max(0.25 * fastest) } else { 1.0 };
        Ladder::central(first, |step| {
            let l: Vec<f64> = self.points.iter_rows().map(|x| pushed_log_ratio(&self.draw.pair, f, x, step)).collect();
            let size = (0..POINTS).map(|i| self.coefficients[i].abs() * self.nodes.log_size(i)).sum();
            vec![(self.combine(&l), size)]
        })
        .swap_remove(0)
    }

    fn against(&self, statement: Statement, f: &Case, left: &Ladder, right: &[f64]) -> Comparison {
        let instance = format!("{}, {}, {statement:?}", self.draw.label, f.name());
        let scale = self.size(&self.truth(statement, f));
        Comparison::of_ladder(instance, left, self.combine(right), scale, self.draw.tolerance())
    }

    fn compare(&self, statement: Statement, f: &Case) -> Comparison {
        self.against(statement, f, &self.left(statement, f), &self.truth(statement, f))
    }

    fn mutants(&self, statement: Statement, f: &Case, out: &mut Vec<(&'static str, Comparison)>) {
        let left = self.left(statement, f);
        let score = (statement == Statement::FixedPoint).then_some(&self.nodes.score_q);
        let truth = self.combine(&self.truth(statement, f));
        let mut wrong =
            |what, right: Vec<f64>| out.push((what, self.against(statement, f, &left, &right).unless_true(truth)));
        let e = |l: f64| f.elasticity(l);
        // both true for reverse KL, whose elasticity is 0
        if e(1.0) != 0.0 || e(-1.0) != 0.0 {
            wrong("no elasticity term", self.right(f, |_| 1.0, |_| 0.0, score));
            wrong("Δl multiplied by 1+e", self.right(f, |l| 1.0 + e(l), e, score));
        }
        wrong("elasticity e+1", self.right(f, |_| 1.0, |l| e(l) + 1.0, score));
        if statement == Statement::FixedPoint {
            wrong("β·s_p at a fixed point", self.right(f, |_| 1.0, e, Some(&self.nodes.score_p)));
        }
    }
}

/// Points of the means of p and q plus 1.2 standard deviations of noise.
fn scattered(rng: &mut Stream, pair: &Pair, n: usize) -> Matrix {
    let mut rows = Vec::new();
    for i in 0..n {
        let home = if i % 2 == 0 { &pair.p } else { &pair.q };
        let k = ((home.components() as f64) * uniform(rng)) as usize;
        let mut z = [0.0; 2];
        fill_normal(rng, &mut z);
        let coordinate = |j: usize| home.means()[(k, j)] + 1.2 * z[j] * home.covariances()[k][(j, j)].sqrt();
        rows.extend((0..pair.dim()).map(coordinate));
    }
    Matrix::from_vec(n, pair.dim(), rows)
}

fn norm(j: &Jacobian) -> f64 {
    j.iter().flatten().map(|v| v * v).sum::<f64>().sqrt()
}

/// DV at x: w (e ββᵀ + ∇²l).
fn derivative(pair: &Pair, f: &Case, x: &[f64]) -> Jacobian {
    let nodes = pair.at(&Matrix::from_vec(1, x.len(), x.to_vec()));
    let (l, b, h) = (nodes.l(0), nodes.beta(0), pair.hessian(x));
    let entry = |i: usize, j: usize| f.weight(l) * (f.elasticity(l) * b[i] * b[j] + h[i][j]);
    [[entry(0, 0), entry(0, 1)], [entry(1, 0), entry(1, 1)]]
}

/// log p(x) - log q_η(x) with q_η = (id + ηV)#q: y + ηV(y) = x by Newton's method, then Lemma B at y.
fn pushed_log_ratio(pair: &Pair, f: &Case, x: &[f64], step: f64) -> f64 {
    let mut y = x.to_vec();
    for _ in 0..5 {
        let [[a, b], [c, d]] = euler_derivative(pair, f, &y, step);
        let v = velocity(pair, f, &y);
        let gap: Vector = std::array::from_fn(|j| if j < x.len() { y[j] + step * v[j] - x[j] } else { 0.0 });
        let det = a * d - b * c;
        let move_back = [(d * gap[0] - b * gap[1]) / det, (a * gap[1] - c * gap[0]) / det];
        y.iter_mut().zip(move_back).for_each(|(y, m)| *y -= m);
    }
    let [[a, b], [c, d]] = euler_derivative(pair, f, &y, step);
    let at = |z: &[f64]| Matrix::from_vec(1, z.len(), z.to_vec());
    pair.p.log_density(&at(x))[0] - pair.q.log_density(&at(&y))[0] + ln(a * d - b * c)
}

/// I + ηDV at y.
fn euler_derivative(pair: &Pair, f: &Case, y: &[f64], step: f64) -> Jacobian {
    let dv = derivative(pair, f, y);
    [[1.0 + step * dv[0][0], step * dv[0][1]], [step * dv[1][0], 1.0 + step * dv[1][1]]]
}

fn velocity(pair: &Pair, f: &Case, y: &[f64]) -> Vector {
    vector(pair.at(&Matrix::from_vec(1, y.len(), y.to_vec())).drift(f.as_ref()).row(0))
}

/// E_q[w (Δl + e|β|² + β·s_q)] = 0 on the whole line, which is the average of div V plus that of V·s_q.
fn average(draw: &Draw, f: &Case) -> Comparison {
    let (pair, instance) = (&draw.pair, format!("{}, {}, average over the line", draw.label, f.name()));
    if let Some(reason) = integrability::value(f.as_ref(), &pair.p, &pair.q).refusal() {
        return Comparison::refused(instance, reason);
    }
    let powers = integrability::Exponents::span(f.as_ref());
    let grid = match super::Grid::affordable(&pair.ends_of_powers(powers, 9.0), pair.finest() / 16.0) {
        Ok(grid) => grid,
        Err(reason) => return Comparison::refused(instance, reason),
    };
    let nodes = pair.at(&grid.nodes);
    let integrand = |i: usize| {
        let (l, beta, h) = (nodes.l(i), nodes.beta(i), pair.hessian(grid.nodes.row(i)));
        let bracket = h[0][0] + f.elasticity(l) * beta[0] * beta[0] + beta[0] * nodes.score_q[(i, 0)];
        f.weight(l) * nodes.q(i) * bracket
    };
    let (sum, size) = grid.integrate_with_size(integrand);
    let cut = grid.cut(integrand);
    Comparison::exact(instance, sum, 0.0, size, 1e-10).resolving("beyond the ends of the grid", cut, 1e-10)
}

/// Laplace's p and q = N(0, 1) at the corner of log p, reverse KL: V = x - sign(x) jumps there, and its formula, Δl = 1, does not see it.
fn corner() -> Comparison {
    let velocity = |x: f64| ReverseKl.weight(0.0) * (x - x.signum());
    let left = (velocity(1e-3) - velocity(-1e-3)) / 2e-3;
    Comparison::exact("Laplace and N(0, 1) at 0, reverse KL: div V, step 0.001", left, 1.0, 1.0, 1e-6)
}

/// Forward KL's weight, constant above l = 1 as a clip makes it, has a corner there: N(0, 1) and N(1, 1) at x = -½, where β = -1.
fn clipped() -> Comparison {
    let pair = Pair::on_the_line(&[[1.0, 0.0, 1.0]], &[[1.0, 1.0, 1.0]]);
    let (step, clip) = (1e-4, LogRatioClip { high: 1.0, ..LogRatioClip::NONE });
    let nodes = pair.at(&Matrix::from_rows(&[[-0.5 + step], [-0.5 - step]]));
    let beta = Matrix::from_fn(2, 1, |i, _| nodes.beta(i)[0]);
    let mut v: Matrix = Matrix::zeros(2, 1);
    drift_into(&ForwardKl, clip, &[nodes.l(0), nodes.l(1)], &beta, &mut v);
    let left = (v[(0, 0)] - v[(1, 0)]) / (2.0 * step);
    let right = ForwardKl.weight(1.0) * ForwardKl.elasticity(1.0);
    Comparison::exact("forward KL clipped at l = 1, there: div V, step 0.0001", left, right, right, 1e-3)
}

/// Cauchy's q and log p = -|x|³/3, reverse KL: qV tends to ∓1/π, so that the average of div V + V·s_q is -2/π.
fn flux() -> Comparison {
    let integrand = |x: f64| {
        let (bulk, score) = (1.0 + x * x, -2.0 * x / (1.0 + x * x));
        let (v, slope) = (-x * x.abs() - score, -2.0 * x.abs() + 2.0 * (1.0 - x * x) / (bulk * bulk));
        ReverseKl.weight(0.0) * (slope + v * score) / (PI * bulk)
    };
    let left = integral(-12.0, 12.0, |y| cosh(y) * integrand(sinh(y)));
    Comparison::exact("Cauchy's q, p ~ e^(-|x|³/3), reverse KL: E_q[div V + V·s_q]", left, 0.0, 1.0, 1e-6)
}
