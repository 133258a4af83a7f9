//! Straight lines through points, and the order of convergence as the slope of one.

use super::elementary::{exp, ln};
use crate::{Error, Result};

/// y = intercept + slope·x, fitted by least squares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Rise per unit of x.
    pub slope: f64,
    /// Value at x = 0.
    pub intercept: f64,
    /// Standard error of the slope, √(Σ residual² / (n - 2) / Σ (x - x̄)²); 0 for two points, which any line fits.
    pub slope_error: f64,
}

/// min over (a, b) of Σ_i (y_i - a - b x_i)².   x, y: n ≥ 2 with two different x. Panics where the lengths differ.
///
/// [`Error::Parameter`] where no line is determined: fewer than two points, equal x, or a number that is not finite.
#[track_caller]
pub fn fit_line(x: &[f64], y: &[f64]) -> Result<Line> {
    assert_eq!(x.len(), y.len(), "fit_line: x and y differ in length");
    let (mean_x, mean_y) = (super::mean(x), super::mean(y));
    let moment = |f: &dyn Fn(f64, f64) -> f64| x.iter().zip(y).map(|(x, y)| f(x - mean_x, y - mean_y)).sum::<f64>();
    let (xx, xy) = (moment(&|x, _| x * x), moment(&|x, y| x * y));
    if !(xx > 0.0 && xx.is_finite() && xy.is_finite()) {
        let expected = "positive and finite: give at least two finite points with different x";
        return Err(Error::Parameter { name: "spread Σ (x - x̄)² of fit_line".into(), value: xx, expected });
    }
    let slope = xy / xx;
    let residual = moment(&|x, y| (y - slope * x).powi(2));
    let freedom = x.len().saturating_sub(2);
    let slope_error = if freedom == 0 { 0.0 } else { (residual / freedom as f64 / xx).sqrt() };
    Ok(Line { slope, intercept: mean_y - slope * mean_x, slope_error })
}

/// An observed order of convergence: error ≈ constant·stepᵖ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Order {
    /// p.
    pub order: f64,
    /// Standard error of p, from the scatter of the points about the line.
    pub order_error: f64,
    /// The factor in front of stepᵖ.
    pub constant: f64,
    /// How many points were above the floor and made the line.
    pub points: usize,
}

impl Order {
    /// Whether the order is `expected` within `slack`, and its standard error too: points that scatter are no evidence.
    pub fn is(&self, expected: f64, slack: f64) -> bool {
        (self.order - expected).abs() <= slack && self.order_error <= slack
    }
}

/// p of error ≈ C·stepᵖ, as the slope of log error against log step.   steps, errors: n, positive.
///
/// Points whose error is at or below `floor` (the round-off of the computation; 0 drops only exact zeros) are left out: there
/// the curve is flat whatever the method. [`Error::Parameter`] where fewer than three points remain, because two always agree.
#[track_caller]
pub fn observed_order(steps: &[f64], errors: &[f64], floor: f64) -> Result<Order> {
    assert_eq!(steps.len(), errors.len(), "observed_order: steps and errors differ in length");
    // a NaN error is kept, and refused by the fit
    let kept = || steps.iter().zip(errors).filter(|(_, error)| **error > floor || error.is_nan());
    let points = kept().count();
    if points < 3 {
        let expected = "at least 3: take larger steps, more of them, or a lower floor";
        return Err(Error::Parameter { name: "points above the floor".into(), value: points as f64, expected });
    }
    let (x, y): (Vec<f64>, Vec<f64>) = kept().map(|(step, error)| (ln(*step), ln(*error))).unzip();
    let line = fit_line(&x, &y)?;
    Ok(Order { order: line.slope, order_error: line.slope_error, constant: exp(line.intercept), points })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that points on a line give that line, with no error, to 8 ε of the numbers involved.
    #[test]
    fn exact_line() {
        let x: Vec<f64> = (0..9).map(|i| f64::from(i * i) - 7.0).collect();
        let y: Vec<f64> = x.iter().map(|x| 3.0 - 0.5 * x).collect();
        let line = fit_line(&x, &y).unwrap();
        let tolerance = 8.0 * f64::EPSILON * 57.0;
        assert!(
            (line.slope + 0.5).abs() < tolerance
                && (line.intercept - 3.0).abs() < tolerance
                && line.slope_error < tolerance
        );
        assert_eq!(fit_line(&[0.0, 2.0], &[1.0, 5.0]).unwrap(), Line { slope: 2.0, intercept: 1.0, slope_error: 0.0 });
    }

    /// Checks the standard error on the smallest case by hand: (0,0), (1,1), (2,0) has slope 0, residual 2/3, spread 2.
    #[test]
    fn slope_error_by_hand() {
        let line = fit_line(&[0.0, 1.0, 2.0], &[0.0, 1.0, 0.0]).unwrap();
        assert!((line.slope).abs() < 1e-15 && (line.slope_error - (1.0f64 / 3.0).sqrt()).abs() < 1e-15);
    }

    /// Checks that the order and constant of 3 h² + round-off come out once the floor removes the flat part, and not before;
    /// that second-order differences of exp have order 2; and that too few points are refused.
    #[test]
    fn orders() {
        let steps: Vec<f64> = (0..30).map(|k| 0.5f64.powi(k)).collect();
        let errors: Vec<f64> = steps.iter().map(|h| 3.0 * h * h + 1e-12).collect();
        // at an error of 100 times the round-off the logarithm is off by at most 1 %
        let order = observed_order(&steps, &errors, 1e-10).unwrap();
        assert!(order.is(2.0, 0.01) && (order.constant - 3.0).abs() < 0.03, "{order:?}");
        assert!(order.points == 18, "3 · 4^-k > 1e-10 for k ≤ 17");
        assert!(!observed_order(&steps, &errors, 0.0).unwrap().is(2.0, 0.1));
        assert!(matches!(observed_order(&steps, &errors, 0.5), Err(Error::Parameter { value: 2.0, .. })));

        let h: Vec<f64> = (1..8).map(|k| 0.5f64.powi(k)).collect();
        let e: Vec<f64> = h.iter().map(|h| ((h.exp() - (-h).exp()) / (2.0 * h) - 1.0).abs()).collect();
        // the next term is h²/20 of the leading one: ≤ 1.3 % at h = 1/2, a slope change below 0.02
        assert!(observed_order(&h, &e, 1e-11).unwrap().is(2.0, 0.02));
    }

    /// Checks that points without a line are refused: none, one, equal x, NaN; and that a NaN error is not dropped silently.
    #[test]
    fn refusals() {
        for (x, y) in [
            (vec![], vec![]),
            (vec![1.0], vec![1.0]),
            (vec![2.0; 4], vec![1.0; 4]),
            (vec![0.0, 1.0], vec![f64::NAN; 2]),
        ] {
            assert!(fit_line(&x, &y).is_err());
        }
        assert!(observed_order(&[1.0, 0.5, 0.25], &[1.0, f64::NAN, 0.1], 0.0).is_err());
    }
}
