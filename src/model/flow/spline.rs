//! Rational-quadratic spline coupling.

use crate::autodiff::Var;
use crate::linalg::Matrix;
use crate::model::flow::{Mapped, Split};
use crate::num::{Real, exp_m1, ln};
use std::sync::Arc;

/// y_I = x_I, y_j = g_{θ_j(x_I)}(x_j) for j ∈ J, g an increasing rational-quadratic spline on [-B, B] with K bins and the identity
/// outside (Durkan, Bekasov, Murray and Papamakarios, arXiv 1906.04032; formulas and proofs in T12).
#[derive(Debug, Clone, PartialEq)]
pub struct SplineCoupling {
    /// The groups and the network, with outputs (widths: K, heights: K, slopes: K-1) for each coordinate of J.
    pub split: Split,
    bins: usize,
    reach: f64,
}

const MIN_BIN: f64 = SplineCoupling::MIN_BIN;
const MIN_SLOPE: f64 = SplineCoupling::MIN_SLOPE;

/// c with softplus(c) + MIN_SLOPE = 1.
fn identity_slope() -> f64 {
    ln(exp_m1(1.0 - MIN_SLOPE))
}

/// The bin of each point: left knot (x, y), width, height and the slopes at both ends, N×1 each.
struct Bin<'t, T: Real> {
    x: Var<'t, T>,
    y: Var<'t, T>,
    width: Var<'t, T>,
    height: Var<'t, T>,
    slope: Var<'t, T>,
    next_slope: Var<'t, T>,
}

/// All knots of N splines.
struct Knots<'t, T: Real> {
    /// Left ends and lengths of the bins in x and in y, N×K.
    x: Var<'t, T>,
    width: Var<'t, T>,
    y: Var<'t, T>,
    height: Var<'t, T>,
    /// Slopes at the K+1 knots.
    slopes: Var<'t, T>,
}

impl SplineCoupling {
    /// Smallest width and height of a bin, as a fraction of the interval (Durkan et al., their code).
    pub const MIN_BIN: f64 = 1e-3;
    /// Smallest slope at a knot.
    pub const MIN_SLOPE: f64 = 1e-3;

    /// K and B.
    pub fn knots_on(&self) -> (usize, f64) {
        (self.bins, self.reach)
    }

    /// Coordinates `kept` of R^d feed the splines of the others by a network with `hidden` layers; K = `bins` ≥ 1 on
    /// [-`reach`, `reach`].
    pub fn new(dim: usize, kept: &[usize], hidden: &[usize], bins: usize, reach: f64) -> Self {
        assert!(bins > 0 && reach > 0.0, "SplineCoupling::new: {bins} bins on ±{reach}");
        Self { split: Split::new(dim, kept, hidden, 3 * bins - 1), bins, reach }
    }

    /// The outputs with which one coordinate's spline goes through the K-1 inner `knots` (x, y), both increasing inside (-B, B) and the
    /// bins no narrower than allowed; slopes are the harmonic means of the neighbouring bins'.
    pub(super) fn through(&self, knots: &[(f64, f64)]) -> Vec<f64> {
        assert_eq!(knots.len() + 1, self.bins, "SplineCoupling::through: number of knots");
        let b = self.reach;
        let all: Vec<(f64, f64)> = [&[(-b, -b)], knots, &[(b, b)]].concat();
        let lengths = |f: fn(&(f64, f64)) -> f64| -> Vec<f64> { all.windows(2).map(|w| f(&w[1]) - f(&w[0])).collect() };
        let (widths, heights) = (lengths(|k| k.0), lengths(|k| k.1));
        let free = 1.0 - MIN_BIN * self.bins as f64;
        let logit = |length: &f64| ln((length / (2.0 * b) - MIN_BIN).max(1e-3 * MIN_BIN) / free);
        let slopes: Vec<f64> = heights.iter().zip(&widths).map(|(h, w)| h / w).collect();
        let inner = slopes.windows(2).map(|s| 2.0 * s[0] * s[1] / (s[0] + s[1]));
        let slope = |d: f64| ln(exp_m1((d - MIN_SLOPE).max(1e-3 * MIN_SLOPE))) - identity_slope();
        widths.iter().map(logit).chain(heights.iter().map(logit)).chain(inner.map(slope)).collect()
    }

    /// The knots at each point of J, N = n |J|; outputs of 0 give equal bins and slopes 1, the identity.
    fn knots<'t, T: Real>(&self, outputs: Var<'t, T>, n: usize) -> Knots<'t, T> {
        let (k, tape) = (self.bins, outputs.tape());
        let m = outputs.broadcast_to((n, outputs.shape().1)).reshape(n * self.split.moved().len(), 3 * k - 1);
        let before = tape.leaf(&Matrix::from_fn(k, k, |i, j| if i < j { T::ONE } else { T::ZERO }));
        let number = T::from_f64;
        let lengths = |u: Var<'t, T>| {
            let share = u.softmax() * number(1.0 - MIN_BIN * k as f64) + number(MIN_BIN);
            share * number(2.0 * self.reach)
        };
        let (width, height) = (lengths(m.columns(0..k)), lengths(m.columns(k..2 * k)));
        let ends = |l: Var<'t, T>| l.matmul(before) - number(self.reach);
        let inner = (m.columns(2 * k..3 * k - 1) + number(identity_slope())).softplus() + number(MIN_SLOPE);
        let one = tape.filled(n * self.split.moved().len(), 1, T::ONE);
        let slopes = one.concat_columns(inner).concat_columns(one);
        Knots { x: ends(width), width, y: ends(height), height, slopes }
    }

    /// x_J as a column N×1: clamped to [-B, B], and 1 where it is inside.
    fn clamped<'t, T: Real>(&self, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let b = x.tape().scalar(T::from_f64(self.reach));
        let inside = b.greater_equal(x.abs());
        (x.min(b).max(-b), inside)
    }

    pub(super) fn forward<'t, T: Real>(&self, p: &[Var<'t, T>], x: Var<'t, T>) -> Mapped<'t, T> {
        let (kept, moved) = self.split.take(x);
        let (y, log_slope) = self.image(self.split.conditioner(p, kept), moved);
        Mapped { points: self.split.join(kept, y), log_det: log_slope.row_sums() }
    }

    /// The image and the score there, from the score s at x: s'_J = (s_J - ∂ log g'/∂x_J)/g'.
    pub(super) fn forward_with_score<'t, T: Real>(
        &self,
        p: &[Var<'t, T>],
        x: Var<'t, T>,
        score: Var<'t, T>,
    ) -> (Mapped<'t, T>, Var<'t, T>) {
        let ((kept, moved), (kept_score, moved_score)) = (self.split.take(x), self.split.take(score));
        let (y, log_slope) = self.image(self.split.conditioner(p, kept), moved);
        let tape = x.tape();
        let s = (moved_score - tape.gradient(log_slope, &[moved])[0]) * (-log_slope).exp();
        let ones = tape.filled(moved.shape().0, moved.shape().1, T::ONE);
        let score = self.split.score(kept, kept_score, s, &[(y, s), (log_slope, ones)]);
        (Mapped { points: self.split.join(kept, y), log_det: log_slope.row_sums() }, score)
    }

    /// y_J and log g'(x_J) of splines with these outputs of the network, n×|J|.
    fn image<'t, T: Real>(&self, outputs: Var<'t, T>, moved: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let (n, m) = moved.shape();
        let knots = self.knots(outputs, n);
        let x = moved.reshape(n * m, 1);
        let (within, inside) = self.clamped(x);
        let bin = knots.at(|k| (k.x, within));
        let (y, log_slope) = bin.evaluate((within - bin.x) / bin.width);
        (follow(x, y, inside).reshape(n, m), (inside * log_slope).reshape(n, m))
    }

    pub(super) fn inverse<'t, T: Real>(&self, p: &[Var<'t, T>], y: Var<'t, T>) -> Mapped<'t, T> {
        let (kept, moved) = self.split.take(y);
        let (n, m) = moved.shape();
        let knots = self.knots(self.split.conditioner(p, kept), n);
        let y = moved.reshape(n * m, 1);
        let (within, inside) = self.clamped(y);
        let bin = knots.at(|k| (k.y, within));
        let t = bin.solve(within - bin.y);
        let log_det = -(inside * bin.evaluate(t).1).reshape(n, m).row_sums();
        let x = follow(y, bin.x + t * bin.width, inside).reshape(n, m);
        Mapped { points: self.split.join(kept, x), log_det }
    }
}

/// The spline's value inside, the point itself outside.
fn follow<'t, T: Real>(from: Var<'t, T>, to: Var<'t, T>, inside: Var<'t, T>) -> Var<'t, T> {
    from + inside * (to - from)
}

impl<'t, T: Real> Knots<'t, T> {
    /// The bin of each point, found among the left ends that `choose` names.
    fn at(&self, choose: impl Fn(&Self) -> (Var<'t, T>, Var<'t, T>)) -> Bin<'t, T> {
        let (left, point) = choose(self);
        let bins = left.shape().1;
        let found: Vec<usize> = left.with(|left| {
            point.with(|x| {
                let place = |(row, &x): (&[T], &T)| row.iter().skip(1).filter(|l| **l <= x).count();
                left.iter_rows().zip(x.as_slice()).map(place).collect()
            })
        });
        let index = |width: usize, next: usize| -> Arc<[usize]> {
            found.iter().enumerate().map(|(i, k)| i * width + k + next).collect()
        };
        let entry = |m: Var<'t, T>, index: &Arc<[usize]>| m.reshape(m.shape().0 * m.shape().1, 1).gather_rows(index);
        let own = index(bins, 0);
        Bin {
            x: entry(self.x, &own),
            y: entry(self.y, &own),
            width: entry(self.width, &own),
            height: entry(self.height, &own),
            slope: entry(self.slopes, &index(bins + 1, 0)),
            next_slope: entry(self.slopes, &index(bins + 1, 1)),
        }
    }
}

impl<'t, T: Real> Bin<'t, T> {
    /// (σ, κ) of T12: the mean slope, and δ + δ' - 2σ.
    fn shape(&self) -> (Var<'t, T>, Var<'t, T>) {
        let sigma = self.height / self.width;
        (sigma, self.slope + self.next_slope - sigma * T::from_f64(2.0))
    }

    /// g and log g' at t ∈ [0, 1] (T12).
    fn evaluate(&self, t: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let two = T::from_f64(2.0);
        let (sigma, kappa) = self.shape();
        let rest = -t + T::ONE;
        let both = t * rest;
        let denominator = sigma + kappa * both;
        let y = self.y + self.height * (sigma * t.square() + self.slope * both) / denominator;
        let inner = self.next_slope * t.square() + sigma * both * two + self.slope * rest.square();
        (y, (sigma.ln() - denominator.ln()) * mutant!("spline-determinant", T::ONE, two) + inner.ln())
    }

    /// t with g(t) = y_k + v: the root of T12 that needs no division by A.
    fn solve(&self, v: Var<'t, T>) -> Var<'t, T> {
        let (sigma, kappa) = self.shape();
        let a = self.height * (sigma - self.slope) + v * kappa;
        let b = self.height * self.slope - v * kappa;
        let c = -(sigma * v);
        let tiny = v.tape().scalar(T::from_f64(1e-30));
        let root = (b.square() - a * c * T::from_f64(4.0)).max(tiny).sqrt();
        c * T::from_f64(-2.0) / (b + root)
    }
}
