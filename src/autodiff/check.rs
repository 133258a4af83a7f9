//! A gradient check that needs no tolerance: halve the step, fit the slope.

use crate::autodiff::{Tape, Var};
use crate::linalg::{Matrix, shape_mismatch};
use crate::num::observed_order;
use crate::{Error, Result};
use std::fmt;

/// Number of step sizes, each half of the one before.
pub const STEPS: usize = 6;

/// The largest step along a direction of length 1: small against features of size 1, and six halvings of it keep the
/// differences of a function of size 1 above round-off by a factor of 10⁵.
pub const FIRST_STEP: f64 = 1.0 / 64.0;

/// Central differences lose at most this many ε of the function's values: the user's function may round a few times.
const ROUNDINGS: f64 = 16.0;

/// What differences say about a gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// The error falls with at least this slope, which should be 2: the gradient is right.
    Converges(f64),
    /// The differences agree with the gradient to round-off at (almost) every step, so that there is no slope to fit: a polynomial of
    /// degree ≤ 2 along the direction, or nearly one.
    Exact,
    /// Round-off of the function's values is more than a thousandth of its derivative: the differences say nothing. Take another
    /// point or direction, or remove a large constant from the function.
    Unresolved,
    /// The error falls with this slope only, which should be 2: the gradient is wrong, or the function is not smooth or not
    /// resolved at these steps.
    Fails(f64),
}

/// The report of [`check_gradient`] and [`check_score`].
#[derive(Debug, Clone, PartialEq)]
pub struct GradientCheck {
    /// h, from large to small.
    pub steps: Vec<f64>,
    /// At each step the root mean square over rows of |difference - derivative|.
    pub errors: Vec<f64>,
    /// Root mean square over rows of the larger of |difference| and |derivative|: what `errors` are relative to.
    pub scale: f64,
    /// The error that rounding alone explains, at the smallest step.
    pub floor: f64,
    /// Least-squares factor c in derivative = c·difference, at the smallest step; 1 where the gradient is right.
    pub factor: f64,
    /// The row with the largest error at the smallest step.
    pub worst_row: usize,
    /// What follows.
    pub verdict: Verdict,
}

impl GradientCheck {
    /// Whether the gradient is right as far as differences can tell, which is up to [`GradientCheck::best_relative_error`].
    pub fn passed(&self) -> bool {
        matches!(self.verdict, Verdict::Converges(_) | Verdict::Exact)
    }

    /// The smallest error over the steps, relative to the derivative; 0 where both are 0.
    pub fn best_relative_error(&self) -> f64 {
        let best = self.errors.iter().copied().fold(f64::INFINITY, f64::min);
        if best == 0.0 { 0.0 } else { best / self.scale }
    }

    /// The slope that was fitted, where there was one to fit.
    pub fn slope(&self) -> Option<f64> {
        match self.verdict {
            Verdict::Converges(slope) | Verdict::Fails(slope) => Some(slope),
            Verdict::Exact | Verdict::Unresolved => None,
        }
    }
}

impl fmt::Display for GradientCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verdict {
            Verdict::Converges(slope) => write!(f, "the slope should be 2. It appears to be: {slope:.2}")?,
            Verdict::Exact => write!(f, "the differences are exact to round-off; there is no slope to fit")?,
            Verdict::Unresolved => {
                write!(f, "round-off ({:.1e}) hides the derivative ({:.1e})", self.floor, self.scale)?
            }
            Verdict::Fails(slope) => {
                write!(f, "the slope should be 2. It appears to be: {slope:.2}. The gradient looks wrong")?;
                write!(f, " (about {:.4} times the difference; worst in row {})", self.factor, self.worst_row)?;
            }
        }
        write!(f, "; best relative error {:.1e}", self.best_relative_error())
    }
}

/// |(f(x+hv) - f(x-hv))/2h - ⟨∇f(x), v⟩| = O(h²), checked at six halving steps h for a function written with tape variables.
///
/// f: n×d → n×1 for rows that do not interact (n points at once), or n×d → 1×1 (one function of the whole matrix).
/// `direction` (n×d) is scaled to unit length, row by row in the first case; take it at random, such as
/// [`normal_matrix`](crate::rng::normal_matrix).
/// [`Error::NonFinite`] where f is not finite at a point that was needed. Panics where shapes do not fit.
///
/// ```
/// use pushforward::autodiff::check_gradient;
/// use pushforward::linalg::Matrix;
///
/// let (x, v) = (Matrix::from_rows(&[[0.3, -1.2]]), Matrix::from_rows(&[[1.0, 2.0]]));
/// let check = check_gradient(|x| x.sin().row_sums(), &x, &v).unwrap();
/// assert!(check.passed());
/// assert!(check.to_string().starts_with("the slope should be 2. It appears to be: 2.00"));
/// ```
#[track_caller]
pub fn check_gradient(f: impl for<'t> Fn(Var<'t>) -> Var<'t>, x: &Matrix, direction: &Matrix) -> Result<GradientCheck> {
    let tape = Tape::new();
    let leaf = tape.leaf(x);
    let y = f(leaf);
    let gradient = tape.gradient(y, &[leaf])[0].value();
    let value = |x: &Matrix| {
        let tape = Tape::new();
        f(tape.leaf(x)).value().into_vec()
    };
    let whole = y.shape() == (1, 1);
    if !whole && y.shape() != (x.rows(), 1) {
        shape_mismatch("check_gradient: f(x), which should be n×1 or 1×1", y.shape(), x.shape());
    }
    check(value, &gradient, x, direction, whole)
}

/// The same check for a log-density and a score given by hand.   log_density: n×d → n, score: n×d → n×d, x and direction: n×d.
///
/// ```
/// use pushforward::autodiff::check_score;
/// use pushforward::linalg::Matrix;
///
/// let log_density = |x: &Matrix| x.iter_rows().map(|r| -r.iter().map(|x| x.powi(4)).sum::<f64>()).collect();
/// let wrong = |x: &Matrix| x.map(|x| -2.0 * x.powi(3)); // should be -4x³
/// let (x, v) = (Matrix::from_rows(&[[0.3, -1.2]]), Matrix::from_rows(&[[1.0, 2.0]]));
/// let check = check_score(log_density, wrong, &x, &v).unwrap();
/// assert!(!check.passed() && (check.factor - 0.5).abs() < 1e-4);
/// ```
#[track_caller]
pub fn check_score(
    log_density: impl Fn(&Matrix) -> Vec<f64>,
    score: impl Fn(&Matrix) -> Matrix,
    x: &Matrix,
    direction: &Matrix,
) -> Result<GradientCheck> {
    check(log_density, &score(x), x, direction, false)
}

/// The check itself; rows are points, or the `whole` matrix is one point.
#[track_caller]
fn check(
    value: impl Fn(&Matrix) -> Vec<f64>,
    gradient: &Matrix,
    x: &Matrix,
    direction: &Matrix,
    whole: bool,
) -> Result<GradientCheck> {
    for (what, m) in
        [("gradient check: direction and points", direction), ("gradient check: gradient and points", gradient)]
    {
        if m.shape() != x.shape() {
            shape_mismatch(what, m.shape(), x.shape());
        }
    }
    // one row a point
    let points = if whole { 1 } else { x.rows() };
    let rows = |m: &Matrix| Matrix::from_vec(points, m.as_slice().len() / points.max(1), m.as_slice().to_vec());
    let direction = unit_rows(rows(direction));
    let derivative = row_dots(&rows(gradient), &direction);
    require_finite("derivative along the direction", &derivative, &rows(x))?;

    let steps: Vec<f64> = (0..STEPS as i32).map(|k| FIRST_STEP * 0.5f64.powi(k)).collect();
    let (mut errors, mut difference, mut floor) = (Vec::new(), Vec::new(), 0.0);
    for &h in &steps {
        let at = |h: f64| {
            let moved = x.as_slice().iter().zip(direction.as_slice()).map(|(x, v)| x + h * v).collect();
            let moved = Matrix::from_vec(x.rows(), x.cols(), moved);
            let y = value(&moved);
            assert_eq!(y.len(), points, "gradient check: one value for each point");
            require_finite("function value", &y, &rows(&moved)).map(|()| y)
        };
        let (after, before) = (at(h)?, at(-h)?);
        difference = after.iter().zip(&before).map(|(a, b)| (a - b) / (2.0 * h)).collect();
        errors.push(rms(difference.iter().zip(&derivative).map(|(a, b)| a - b)));
        // rounding of the values, and of the moved points
        let size = |i: usize| after[i].abs() + before[i].abs() + derivative[i].abs() * norm(rows(x).row(i));
        floor = ROUNDINGS * f64::EPSILON * rms((0..points).map(size)) / (2.0 * h);
    }
    let scale = rms(difference.iter().zip(&derivative).map(|(a, b)| a.abs().max(b.abs())));
    let squares: f64 = difference.iter().map(|d| d * d).sum();
    let product: f64 = difference.iter().zip(&derivative).map(|(a, b)| a * b).sum();
    let error = |i: usize| (difference[i] - derivative[i]).abs();
    let worst_row = (0..points).max_by(|&i, &j| error(i).total_cmp(&error(j))).unwrap_or(0);
    let verdict = judge(&steps, &errors, floor, scale);
    let factor = if product == squares { 1.0 } else { product / squares };
    Ok(GradientCheck { steps, errors, scale, floor, factor, worst_row, verdict })
}

/// The slope of the points above the floor. A right gradient of a smooth function has 2 up to O(h²); below 1.8 the error has
/// a part that does not fall with h.
fn judge(steps: &[f64], errors: &[f64], floor: f64, scale: f64) -> Verdict {
    match observed_order(steps, errors, floor) {
        Ok(fit) if fit.order >= 1.8 => Verdict::Converges(fit.order),
        Ok(fit) => Verdict::Fails(fit.order),
        Err(_) if floor > 1e-3 * scale && scale > 0.0 => Verdict::Unresolved,
        // fewer than three points above round-off: the small steps agree as well as they can
        Err(_) => Verdict::Exact,
    }
}

fn require_finite(what: &str, y: &[f64], x: &Matrix) -> Result<()> {
    match y.iter().position(|y| !y.is_finite()) {
        Some(i) => Err(Error::NonFinite { what: what.into(), value: y[i], point: x.row(i).to_vec() }),
        None => Ok(()),
    }
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn rms(x: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = x.len().max(1) as f64;
    (x.map(|x| x * x).sum::<f64>() / n).sqrt()
}

fn unit_rows(mut v: Matrix) -> Matrix {
    for i in 0..v.rows() {
        let length = norm(v.row(i));
        v.row_mut(i).iter_mut().for_each(|v| *v /= if length > 0.0 { length } else { 1.0 });
    }
    v
}

fn row_dots(a: &Matrix, b: &Matrix) -> Vec<f64> {
    (0..a.rows()).map(|i| a.row(i).iter().zip(b.row(i)).map(|(a, b)| a * b).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, normal_matrix};

    fn points(n: usize, d: usize) -> (Matrix, Matrix) {
        (normal_matrix(3, Purpose::Check, 0, n, d), normal_matrix(3, Purpose::Check, 1, n, d))
    }

    fn quartic(x: &Matrix) -> Vec<f64> {
        x.iter_rows().map(|r| r.iter().map(|x| x.powi(4) + x).sum()).collect()
    }

    /// Checks that right gradients pass with slope 2 (the next term is O(h²) = 1e-3 of the first, so 0.05 is ample), for
    /// batches, single points and functions of the whole matrix.
    #[test]
    fn right_gradients_have_slope_two() {
        for (n, d) in [(1, 1), (1, 3), (17, 2)] {
            let (x, v) = points(n, d);
            let checks = [
                check_gradient(|x| (x.tanh() * x.exp()).row_sums(), &x, &v).unwrap(),
                check_gradient(|x| x.sin().sum().exp(), &x, &v).unwrap(),
                check_score(quartic, |x| x.map(|x| 4.0 * x.powi(3) + 1.0), &x, &v).unwrap(),
            ];
            for check in checks {
                assert!(check.passed() && (check.slope().unwrap() - 2.0).abs() < 0.05, "{n}×{d}: {check}");
                assert!(check.best_relative_error() < 1e-4 && (check.factor - 1.0).abs() < 1e-4, "{check}");
            }
        }
    }

    /// Checks that wrong ones fail and say by what factor: factors, signs, a missing term, and one wrong row in 100.
    #[test]
    fn wrong_gradients_fail() {
        let (x, v) = points(100, 2);
        for factor in [0.0, -1.0, 2.0, 0.5, 1.001] {
            let wrong = |x: &Matrix| x.map(|x| factor * (4.0 * x.powi(3) + 1.0));
            let check = check_score(quartic, wrong, &x, &v).unwrap();
            assert!(!check.passed() && (check.factor - factor).abs() < 1e-4, "{factor}: {check}");
            let apart = (factor - 1.0).abs() / factor.abs().max(1.0);
            assert!((check.best_relative_error() / apart - 1.0).abs() < 0.05, "{factor}: {check}");
        }
        assert!(!check_score(quartic, |x| x.map(|x| 4.0 * x.powi(3)), &x, &v).unwrap().passed());
        let one_row = |x: &Matrix| {
            let mut g = x.map(|x| 4.0 * x.powi(3) + 1.0);
            g[(37, 1)] *= 1.5;
            g
        };
        let check = check_score(quartic, one_row, &x, &v).unwrap();
        assert!(!check.passed() && check.worst_row == 37, "{check}");
        // a kink inside the steps is not smooth, and is not let through
        let (zero, one) = (Matrix::from_rows(&[[0.001]]), Matrix::from_rows(&[[1.0]]));
        assert!(!check_gradient(|x| x.abs(), &zero, &one).unwrap().passed());
    }

    /// Checks that polynomials of degree ≤ 2, whose differences are exact, pass without a slope, and that their wrong gradients
    /// fail by more than round-off; a function that rounds coarsely (to 2^-20) is not declared exact.
    #[test]
    fn exact_differences_and_floors() {
        let (x, v) = points(5, 3);
        for check in [
            check_gradient(|x| (x.square() * 1e3).row_sums() + 1e6, &x, &v).unwrap(),
            check_gradient(|x| (x * 0.0).row_sums(), &x, &v).unwrap(),
            check_gradient(|x| x.row_sums() + x.square().row_sums() * 1e-30, &x, &v).unwrap(),
        ] {
            assert!(check.verdict == Verdict::Exact && check.passed(), "{check}");
            assert!(check.best_relative_error() < 1e-6, "{check}");
        }
        let half = |x: &Matrix| x.iter_rows().map(|r| 0.5 * r[0] * r[0]).collect::<Vec<f64>>();
        let first =
            |k: f64| move |x: &Matrix| Matrix::from_fn(x.rows(), 3, |i, j| if j == 0 { k * x[(i, 0)] } else { 0.0 });
        assert!(check_score(half, first(1.0), &x, &v).unwrap().passed());
        assert!(!check_score(half, first(1.0 + 1e-6), &x, &v).unwrap().passed());
        let coarse = |x: &Matrix| half(x).into_iter().map(|y| (y * 2f64.powi(20)).round() * 2f64.powi(-20)).collect();
        assert!(!check_score(coarse, first(1.0), &x, &v).unwrap().passed());
        let drowned = check_gradient(|x| x.row_sums() + 1e12, &x, &v).unwrap();
        assert!(drowned.verdict == Verdict::Unresolved && !drowned.passed(), "{drowned}");
    }

    /// Checks that a function that is not finite is an error that names the point.
    #[test]
    fn not_finite_is_an_error() {
        let (x, v) = (Matrix::from_rows(&[[1.0], [0.001]]), Matrix::filled(2, 1, 1.0));
        let error = check_gradient(|x| x.ln(), &x, &v).unwrap_err();
        assert!(matches!(error, Error::NonFinite { point, .. } if point == vec![0.001 - FIRST_STEP]));
    }
}
