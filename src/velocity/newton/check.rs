//! What can be known of a functional at a cloud: whether its derivatives are right, and whether the cloud is a minimum to second order.

use super::functionals::Functional;
use crate::error::{Error, Result};
use crate::linalg::{Lanczos, Matrix, dot};
use crate::num::{fit_line, ln};
use crate::rng::{Purpose, normal_matrix};
use crate::velocity::root_mean_square;

/// Steps of the differences: 2^-k of the cloud's width.
const LADDER: std::ops::RangeInclusive<i32> = 3..=12;
/// The finest steps with an error above rounding, whose order counts.
const FINEST: usize = 3;
/// An order below this is no error of central differences, whose order is 2.
const ORDER: f64 = 1.5;
/// Errors below so many roundings are none.
const ROUNDINGS: f64 = 1e3;

/// √(⟨a, a⟩).
fn norm(a: &Matrix) -> f64 {
    root_mean_square(a) * (a.cols() as f64).sqrt()
}

/// A normal field of norm 1.
fn direction(x: &Matrix, seed: u64, unit: u64) -> Matrix {
    let u: Matrix = normal_matrix(seed, Purpose::Check, (1 << 59) | unit, x.rows(), x.cols());
    let size = norm(&u);
    u.map(|u| u / size)
}

/// The width of a cloud about its mean; 1 where it has none.
fn width(x: &Matrix) -> f64 {
    let mean = x.column_means();
    match norm(&Matrix::from_fn(x.rows(), x.cols(), |i, j| x[(i, j)] - mean[j])) {
        w if w > 0.0 => w,
        _ => 1.0,
    }
}

/// Compares v with central differences of F, and Hu with those of v, at the cloud x (N×d, where F has both) along a random field, on a ladder of
/// steps h: the error of right derivatives falls like h². Then ⟨w, Hu⟩ = ⟨u, Hw⟩, and that Hu less the coupling is each particle's own.
///
/// `Error::Mismatch` names the functional, what is wrong, the error and its slope in h.
pub fn check_functional(f: &dyn Functional, x: &Matrix, seed: u64) -> Result<()> {
    let (u, w) = (direction(x, seed, 0), direction(x, seed, 1));
    let (n, width) = (x.rows() as f64, width(x));
    let inner = |a: &Matrix, b: &Matrix| dot(a.as_slice(), b.as_slice()) / n;
    let at = |h: f64| {
        let mut y = x.clone();
        y.add_scaled(h, &u);
        y
    };
    let (v, hu) = (f.gradient(x), f.hessian(x, &u));
    let wrong = |what: String| {
        let what = format!("the functional '{}' has a wrong {what}", f.name());
        Err(Error::Mismatch { what, remedy: "derive it again, with the factor N of Wasserstein space".into() })
    };
    let slope = inner(&v, &u);
    let value = |h: f64| ((f.value(&at(h)) - f.value(&at(-h))) / (2.0 * h) - slope).abs();
    // a cloud far from 0 rounds its places, and F with them
    let far = norm(x);
    if let Some(fault) = fault(width, f.value(x).abs() + norm(&v) * far, value) {
        return wrong(format!("gradient: against differences of F it is off by {fault}"));
    }
    let field = |h: f64| {
        let (mut up, down) = (f.gradient(&at(h)), f.gradient(&at(-h)));
        up.add_scaled(-1.0, &down);
        norm(&Matrix::from_fn(x.rows(), x.cols(), |i, j| up[(i, j)] / (2.0 * h) - hu[(i, j)]))
    };
    if let Some(fault) = fault(width, norm(&v) + norm(&hu) * far, field) {
        return wrong(format!("Hessian: against differences of the gradient it is off by {fault}"));
    }
    let (left, right) = (inner(&w, &hu), inner(&u, &f.hessian(x, &w)));
    let rounding = ROUNDINGS * f64::EPSILON * norm(&hu);
    if (left - right).abs() > rounding || (left - right).is_nan() {
        return wrong(format!("Hessian: ⟨w, Hu⟩ is {left:e} and ⟨u, Hw⟩ is {right:e}"));
    }
    // u at the first particle alone
    let alone = Matrix::from_fn(x.rows(), x.cols(), |i, j| if i == 0 { u[(i, j)] } else { 0.0 });
    let (whole, coupled) = (f.hessian(x, &alone), f.coupling(x, &alone));
    let gap = |i: usize| whole.row(i).iter().zip(coupled.row(i)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let largest = (1..x.rows()).map(gap).fold(0.0, f64::max);
    if largest > ROUNDINGS * f64::EPSILON * norm(&whole) * n.sqrt() {
        return wrong(format!("coupling: it leaves {largest:e} of the Hessian between particles"));
    }
    Ok(())
}

/// The error at the finest step and its slope, in words, where it does not fall as it should. Values of `size` carry rounding.
fn fault(width: f64, size: f64, error: impl Fn(f64) -> f64) -> Option<String> {
    let above = |k: i32| {
        let h = width * 0.5f64.powi(k);
        let e = error(h);
        (e > ROUNDINGS * f64::EPSILON * size / h || e.is_nan()).then_some((h, e))
    };
    let errors: Vec<(f64, f64)> = LADDER.filter_map(above).collect();
    // all rounding but for the coarsest steps
    let finest = errors.get(errors.len().checked_sub(FINEST)?..)?;
    let (h, e): (Vec<f64>, Vec<f64>) = finest.iter().map(|(h, e)| (ln(*h), ln(*e))).unzip();
    let order = fit_line(&h, &e).map_or(f64::NAN, |line| line.slope);
    let (step, last) = finest[FINEST - 1];
    let words = format!("{last:.1e} at a step of {step:.1e}, with a slope of {order:.2} in the step in place of 2");
    (order < ORDER || order.is_nan()).then_some(words)
}

/// What says whether a cloud is a minimum of F to second order: |v| ≤ ε and λ_min(H) ≥ -δ (T29).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SecondOrder {
    /// |v| = √(E|v|²), of the Wasserstein gradient.
    pub gradient_norm: f64,
    /// The smallest eigenvalue of H that Lanczos' method finds from a random field: at least λ_min, and near it with products enough.
    pub lowest: f64,
    /// The largest eigenvalue in size that it finds, the unit in which to see the smallest one.
    pub largest: f64,
}

impl SecondOrder {
    /// Of F at the cloud x (N×d), by at most `products` products with H, whatever run led there.
    pub fn of(f: &dyn Functional, x: &Matrix, products: usize, seed: u64) -> Result<Self> {
        let (n, d) = x.shape();
        let product = |u: &[f64]| f.hessian(x, &Matrix::from_vec(n, d, u.to_vec())).into_vec();
        let space = Lanczos::new(direction(x, seed, 2).as_slice(), products.max(1), product)?;
        let (values, gradient_norm) = (space.values(), norm(&f.gradient(x)));
        let largest = values.iter().fold(0.0f64, |m, l| m.max(l.abs()));
        Ok(Self { gradient_norm, lowest: values[0], largest })
    }
}
