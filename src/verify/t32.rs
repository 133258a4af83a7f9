//! T32: the gate of least variance between Tweedie's estimate and the target score: quadrature of posteriors on the line and in the plane.

use super::hypothesis::{integral, normal};
use super::{Budget, Claim, Comparison, Draw, Grid, Hypothesis, Outcome, Takes, hessian_of_log};
use crate::density::{Density, GaussianMixture, evaluate};
use crate::linalg::{Cholesky, Matrix, matmul};
use crate::num::{exp, hypot, log_sum_exp, tanh};
use crate::rng::{Purpose, fill_normal, normal_matrix, uniform};
use crate::search::posterior::{Gate, Level, Posterior, exact};
use rayon::prelude::*;

pub(super) const CLAIM: Claim = Claim {
    id: "T32",
    title: "D + G(T - D) is unbiased for ∇log p_t; G = a²(a²I + s²E[H])⁻¹ has the least variance, 0 on Gaussians",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::instance("(a) G does not depend on the draw", own_gate),
        Hypothesis::instance("p is positive and C²: no boundary terms", boundary),
        Hypothesis::variant("(c) Q = I, for G = a²I without variance", "a² I has no variance on Gaussians"),
    ],
    check,
};

fn check(budget: &Budget) -> Vec<Outcome> {
    let draws = budget.draws(32, [4, 2], [40, 10]);
    let mut out: Vec<Outcome> = draws.par_iter().map(posterior).collect();
    out.push(gaussians());
    out
}

/// Standard deviations at which the box of quadrature ends.
const REACH: f64 = 9.0;
/// a of the noise levels, s = √(1 - a²).
const LEVELS: [f64; 3] = [0.95, 0.8, 0.4];
/// Steps of the derivative of the variance in G.
const STEP: f64 = 0.1;

/// Row-major 2×2 matrices; on the line only the first entry counts.
type Small = [[f64; 2]; 2];

/// Posterior means of one x_t by quadrature.
struct Moments {
    d: usize,
    mean_d: [f64; 2],
    mean_u: [f64; 2],
    /// Cov(D), Cov(D, U), Cov(U), U = T - D.
    dd: Small,
    du: Small,
    uu: Small,
    /// E[H], H = -∇²log p.
    hessian: Small,
}

impl Moments {
    fn at(p: &GaussianMixture, grid: &Grid, score: &Matrix, log_p: &[f64], level: Level, xt: &[f64]) -> Self {
        let (d, Level { a, s }) = (p.dim(), level);
        let logs: Vec<f64> = grid
            .nodes
            .iter_rows()
            .zip(log_p)
            .map(|(x, l)| l - x.iter().zip(xt).map(|(x, t)| (t - a * x).powi(2)).sum::<f64>() / (2.0 * s * s))
            .collect();
        let total = log_sum_exp(&logs);
        let weights: Vec<f64> = logs.iter().map(|l| exp(l - total)).collect();
        let pair = |i: usize| {
            let (x, g) = (grid.nodes.row(i), score.row(i));
            let mut out = [[0.0; 2]; 2];
            for j in 0..d {
                out[0][j] = (a * x[j] - xt[j]) / (s * s);
                out[1][j] = g[j] / a - out[0][j];
            }
            out
        };
        let (mut mean, mut hessian) = ([[0.0; 2]; 2], [[0.0; 2]; 2]);
        let heavy: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] > 1e-18).collect();
        for &i in &heavy {
            let (v, h) = (pair(i), hessian_of_log(p, grid.nodes.row(i)));
            for b in 0..2 {
                for c in 0..2 {
                    mean[b][c] += weights[i] * v[b][c];
                    hessian[b][c] -= weights[i] * h[b][c];
                }
            }
        }
        let mut out = Self {
            d,
            mean_d: mean[0],
            mean_u: mean[1],
            dd: [[0.0; 2]; 2],
            du: [[0.0; 2]; 2],
            uu: [[0.0; 2]; 2],
            hessian,
        };
        for &i in &heavy {
            let v = pair(i);
            let centred = |k: usize, j: usize| v[k][j] - mean[k][j];
            for b in 0..d {
                for c in 0..d {
                    out.dd[b][c] += weights[i] * centred(0, b) * centred(0, c);
                    out.du[b][c] += weights[i] * centred(0, b) * centred(1, c);
                    out.uu[b][c] += weights[i] * centred(1, b) * centred(1, c);
                }
            }
        }
        out
    }

    /// tr Cov(D + G U).
    fn variance(&self, g: &Small) -> f64 {
        let d = self.d;
        let mut out = 0.0;
        for i in 0..d {
            out += self.dd[i][i];
            for j in 0..d {
                out += 2.0 * g[i][j] * self.du[i][j];
                out += (0..d).map(|k| g[i][j] * self.uu[j][k] * g[i][k]).sum::<f64>();
            }
        }
        out
    }

    fn scalar(&self, g: f64) -> f64 {
        self.variance(&[[g, 0.0], [0.0, g]])
    }
}

/// a² (a² I + s² H)⁻¹.
fn gate(d: usize, level: Level, hessian: &Small) -> Small {
    let (a2, s2) = (level.a * level.a, level.s * level.s);
    if d == 1 {
        return [[a2 / (a2 + s2 * hessian[0][0]), 0.0], [0.0, 0.0]];
    }
    let m = [[a2 + s2 * hessian[0][0], s2 * hessian[0][1]], [s2 * hessian[1][0], a2 + s2 * hessian[1][1]]];
    let det = m[0][0] * m[1][1] - m[0][1] * m[1][0];
    [[a2 * m[1][1] / det, -a2 * m[0][1] / det], [-a2 * m[1][0] / det, a2 * m[0][0] / det]]
}

/// One mixture: at three levels, one x_t each drawn from p_t.
fn posterior(draw: &Draw) -> Outcome {
    // its outline: a claim on pairs of mixtures alone
    let (p, mut rng): (&GaussianMixture, _) = (&draw.pair.p, draw.stream(0));
    let d = p.dim();
    let narrow = (0..p.components()).map(|k| p.covariances()[k][(0, 0)].min(p.covariances()[k][(d - 1, d - 1)]).sqrt());
    let spacing = narrow.fold(0.5, f64::min) / if d == 1 { 20.0 } else { 5.0 };
    let grid = Grid::covering(&draw.pair.ends(REACH), spacing);
    let at = evaluate(p, &grid.nodes).expect("a mixture is finite");
    let mut out = Outcome::default();
    for a in LEVELS {
        let level = Level::preserving(a).expect("a in (0, 1)");
        let s = level.s;
        let mut noise = [0.0; 2];
        fill_normal(&mut rng, &mut noise);
        let x0 = p.sample(1, draw.seed ^ (draw.unit + (1000.0 * a) as u64)).expect("a mixture has a sampler");
        let xt: Vec<f64> = (0..d).map(|j| a * x0[(0, j)] + s * noise[j]).collect();
        let m = Moments::at(p, &grid, &at.score, &at.log_density, level, &xt);
        // p_t(x) = a^-d (p * N(0, (s/a)²))(x/a)
        let noised = p.smoothed_mixture(level.bandwidth()).expect("a finite bandwidth");
        let scaled = Matrix::from_fn(1, d, |_, j| xt[j] / a);
        let exact = evaluate(&noised, &scaled).expect("a mixture is finite").score;
        let random: Small = std::array::from_fn(|_| std::array::from_fn(|_| 3.0 * uniform(&mut rng) - 1.0));
        let size = |v: &[f64; 2]| hypot(v[0], v[1]);
        let scale = (m.dd[0][0] + m.dd[1][1] + m.uu[0][0] + m.uu[1][1]).sqrt() + size(&m.mean_d);
        let tolerance = draw.tolerance();
        let name = |what: &str| format!("{}, a = {a}, {what}", draw.label);
        for i in 0..d {
            let estimate = m.mean_d[i] + (0..d).map(|j| random[i][j] * m.mean_u[j]).sum::<f64>();
            let right = exact[(0, i)] / a;
            let compare = |left: f64| Comparison::exact(name("mean of a random gate"), left, right, scale, tolerance);
            out.comparisons.push(compare(estimate));
            let unscaled =
                m.mean_d[i] + m.mean_u[i] * random[i][i] + random[i][i] * (a - 1.0) * (m.mean_d[i] + m.mean_u[i]);
            out.mutants.push((
                "the target score without 1/a",
                compare(unscaled).unless((unscaled - right).abs() <= tolerance * scale),
            ));
            for j in 0..d {
                let delta = if i == j { 1.0 } else { 0.0 };
                let (mixed, own) = (-delta / (s * s), m.hessian[i][j] / (a * a) + delta / (s * s));
                let size = 1.0 / (s * s) + (m.hessian[0][0].abs() + m.hessian[1][1].abs()) / (a * a);
                out.comparisons.push(Comparison::exact(name("Cov(D, T - D)"), m.du[i][j], mixed, size, tolerance));
                out.comparisons.push(Comparison::exact(name("Cov(T - D)"), m.uu[i][j], own, size, tolerance));
            }
        }
        let best = gate(d, level, &m.hessian);
        let least = m.variance(&best);
        let size = m.dd[0][0] + m.dd[1][1];
        // tr Cov(D) - tr Cov(D, U) Cov(U)⁻¹ Cov(U, D), and Cov(D, U) = -I/s²: so the least variance is tr Cov(D) - tr G*/s²
        let trace = (0..d).map(|i| best[i][i]).sum::<f64>();
        let against = |right: f64| Comparison::exact(name("least variance"), least, right, size, tolerance);
        out.comparisons.push(against(size - trace / (s * s)));
        out.mutants.push(("gate with s² for a²", {
            let wrong = size - (0..d).map(|i| 1.0 - best[i][i]).sum::<f64>() / (s * s);
            against(wrong).unless_true(size - trace / (s * s))
        }));
        // a quadratic with the positive Hessian Cov(T - D): stationary means least
        for i in 0..d {
            for j in 0..d {
                let moved = |t: f64, from: &Small| {
                    let mut g = *from;
                    g[i][j] += t;
                    m.variance(&g)
                };
                let slope = |from: &Small| (moved(STEP, from) - moved(-STEP, from)) / (2.0 * STEP);
                let scale = m.uu[0][0] + m.uu[1][1];
                let stationary = |g: &Small| Comparison::exact(name("slope in G"), slope(g), 0.0, scale, tolerance);
                out.comparisons.push(stationary(&best));
                let mixed = [[a * a, 0.0], [0.0, a * a]];
                let at_point = gate(d, level, &{
                    let h = hessian_of_log(p, scaled.row(0));
                    [[-h[0][0], -h[0][1]], [-h[1][0], -h[1][1]]]
                });
                for (what, wrong) in [("G = a² I, whatever p", mixed), ("the Hessian at x_t/a for its mean", at_point)]
                {
                    // the slope of a quadratic is Cov(T - D) times the distance from its minimum
                    let gap = (0..d).map(|k| (wrong[i][k] - best[i][k]) * m.uu[k][j]).sum::<f64>().abs();
                    out.mutants.push((what, stationary(&wrong).unless(2.0 * gap <= 10.0 * tolerance * scale)));
                }
            }
        }
        // the scalar form lies between, up to the error of differences of terms as large as the variance of D
        let g = -(m.du[0][0] + m.du[1][1]) / (m.uu[0][0] + m.uu[1][1]);
        let slack = tolerance * (m.scalar(0.0) + 1.0 / (s * s));
        let ordered =
            least <= m.scalar(g) + slack && [0.0, 1.0, a * a].iter().all(|&h| m.scalar(g) <= m.scalar(h) + slack);
        out.comparisons.push(Comparison::decision(name("matrix, scalar, classic estimates in order"), ordered));
    }
    out
}

/// Dimensions of random Gaussians, and draws for each of three points.
const DIMS: [usize; 3] = [1, 2, 5];

/// On N(b, Q) every draw gives -Q_t⁻¹(x_t - a b) with a gate that was fitted to other draws; the scalar form leaves 0.76 on diag(4, ¼).
fn gaussians() -> Outcome {
    let mut out = Outcome::default();
    for d in DIMS {
        let r: Matrix = normal_matrix(32, Purpose::Check, d as u64, d + 1, d);
        let q = Matrix::from_fn(d, d, |i, j| {
            (0..d).map(|k| r[(i, k)] * r[(j, k)]).sum::<f64>() + if i == j { 0.3 } else { 0.0 }
        });
        let p = GaussianMixture::gaussian(r.row(d), q.clone()).expect("a covariance");
        for a in LEVELS {
            let level = Level::preserving(a).expect("a in (0, 1)");
            let xt: Matrix = normal_matrix(33, Purpose::Check, d as u64, 3, d);
            let draws = 2 * d + 2;
            let fitted = |seed: u64| {
                let x0 = exact(&p, level, &xt, draws, seed).expect("a covariance");
                Posterior::of(&p, level, &xt, &x0, draws).expect("a Gaussian is finite")
            };
            let gate = fitted(1).matrix_gate().expect("more draws than dimensions");
            let other = fitted(2);
            let s2 = level.s * level.s;
            let seen = Matrix::from_fn(d, d, |i, j| a * a * q[(i, j)] + if i == j { s2 } else { 0.0 });
            let centred = Matrix::from_fn(3, d, |i, j| a * r[(d, j)] - xt[(i, j)]);
            let inverse = Cholesky::factor(&seen, "Q_t").expect("a covariance").inverse();
            let exact_score = matmul(&centred, &inverse);
            let each = other.estimates(&gate);
            let gap = (0..each.rows())
                .flat_map(|r| (0..d).map(move |j| (r, j)))
                .map(|(r, j)| (each[(r, j)] - exact_score[(r / draws, j)]).abs())
                .fold(0.0, f64::max);
            let name = |what: &str| format!("d = {d}, a = {a}, {what}");
            out.comparisons.push(Comparison::exact(name("every draw"), gap, 0.0, 1.0, 1e-10));
            let variance = other.variance(&gate);
            out.comparisons.push(Comparison::exact(name("variance"), variance, 0.0, 1.0, 1e-20));
            let left = other.variance(&mixed(level));
            out.mutants
                .push(("a² I has no variance on Gaussians", Comparison::exact(name("a² I"), left, 0.0, 1.0, 1e-20)));
        }
    }
    // k (g - g*)² summed over Q, k = (s² + a²Q)/(a²Q s²), g* = a²Q/(s² + a²Q)
    let level = Level::preserving(0.8).expect("a in (0, 1)");
    let (a2, s2) = (level.a * level.a, level.s * level.s);
    let part = |q: f64| ((s2 + a2 * q) / (a2 * q * s2), a2 * q / (s2 + a2 * q));
    let ((k, g), (l, h)) = (part(4.0), part(0.25));
    let scalar = (k * g + l * h) / (k + l);
    let variance = k * (scalar - g).powi(2) + l * (scalar - h).powi(2);
    out.comparisons.push(Comparison::exact("diag(4, ¼), a = 0.8, scalar gate", variance, 0.76, 1.0, 0.005));
    out.mutants.push((
        "the scalar gate leaves no variance on a Gaussian",
        Comparison::exact("diag(4, ¼)", variance, 0.0, 1.0, 0.005),
    ));
    out
}

fn mixed(level: Level) -> Gate {
    Gate::Scalar(level.a * level.a)
}

/// Means over x_0 ~ N(0, 1) on x > `edge`, given x_t, at a = 0.8 and s = 0.6.
fn given(xt: f64, edge: f64, g: impl Fn(f64) -> f64) -> f64 {
    let weight = |x: f64| normal(x) * normal((xt - 0.8 * x) / 0.6);
    integral(edge, 10.0, |x| weight(x) * g(x)) / integral(edge, 10.0, weight)
}

/// N(0, 1) and the gate tanh(x_0) of the draw itself, at x_t = 1.
fn own_gate() -> Comparison {
    let left = given(1.0, -10.0, |x| {
        let (d, t) = ((0.8 * x - 1.0) / 0.36, -x / 0.8);
        d + tanh(x) * (t - d)
    });
    Comparison::exact("N(0, 1), G = tanh(x₀): E[D + G(T - D)] and the score at 1", left, -1.0, 1.0, 1e-9)
}

/// p = 2φ on x > 0, at x_t = 0.3: the target score misses the jump, Tweedie's estimate does not.
fn boundary() -> Comparison {
    let tweedie = given(0.3, 0.0, |x| (0.8 * x - 0.3) / 0.36);
    Comparison::exact("half of N(0, 1): E[T] and E[D] at 0.3", given(0.3, 0.0, |x| -x / 0.8), tweedie, 1.0, 1e-9)
}
