use crate::num::{Order, observed_order, powf};

/// Halvings on a ladder.
const RUNGS: i32 = 16;

/// Rungs that show an order: five halvings.
const STRAIGHT: usize = 6;

/// Differences of a functional at steps that halve.
#[derive(Debug, Clone)]
pub struct Ladder {
    /// ε_k = ε₀ 2⁻ᵏ.
    pub steps: Vec<f64>,
    /// The difference quotient at ε_k.
    pub values: Vec<f64>,
    /// The error of each quotient that rounding explains.
    pub rounding: Vec<f64>,
    /// The order that theory gives to the error in ε.
    pub order: f64,
}

impl Ladder {
    /// [F(ε) - F(-ε)]/(2ε) for several functionals at once, order 2.
    ///
    /// `evaluate(ε)` returns (F(ε), size of its terms) for each functional. A sum of terms of total size M, each computed to a few
    /// tens of roundings, makes an error of at most 32 u M/ε in the quotient, u = 1.1e-16.
    pub fn central(first_step: f64, evaluate: impl Fn(f64) -> Vec<(f64, f64)>) -> Vec<Ladder> {
        Self::quotients(first_step, 2.0, |step| {
            let (up, down) = (evaluate(step), evaluate(-step));
            up.iter().zip(&down).map(|(u, d)| ((u.0 - d.0) / (2.0 * step), 0.5 * (u.1 + d.1) / step)).collect()
        })
    }

    /// Any difference quotient of known `order`: `quotient(ε)` returns (value, size of its terms before they cancel) for each.
    pub fn quotients(first_step: f64, order: f64, quotient: impl Fn(f64) -> Vec<(f64, f64)>) -> Vec<Ladder> {
        let steps: Vec<f64> = (0..RUNGS).map(|k| first_step * 0.5f64.powi(k)).collect();
        let rungs: Vec<Vec<(f64, f64)>> = steps.iter().map(|&step| quotient(step)).collect();
        (0..rungs[0].len())
            .map(|k| Ladder {
                steps: steps.clone(),
                values: rungs.iter().map(|r| r[k].0).collect(),
                rounding: rungs.iter().map(|r| 16.0 * f64::EPSILON * r[k].1).collect(),
                order,
            })
            .collect()
    }

    /// Whether |value - right| is rounding at every step: the quotient has no truncation error, as for linear fields.
    pub fn is_exact(&self, right: f64) -> bool {
        self.values.iter().zip(&self.rounding).all(|(v, rounding)| (v - right).abs() <= *rounding)
    }

    /// The limit of the last two quotients if their error is c εᵖ: v₁ + (v₁ - v₀)/(2ᵖ - 1).
    pub fn extrapolated(&self) -> f64 {
        let (before, last) = (self.values[self.values.len() - 2], self.values[self.values.len() - 1]);
        last + (last - before) / (powf(2f64, self.order) - 1.0)
    }

    /// The limit that two neighbouring rungs foretell by Richardson's extrapolation, R_k = v_k + (v_k - v_{k-1})/(2ᵖ - 1), and its error: the
    /// larger of its last two changes plus rounding. Of all rungs that of the smallest error. Large steps are not yet asymptotic, small ones are
    /// rounding; no right side takes part, so that none is met by chance.
    pub fn limit(&self) -> Option<(f64, f64)> {
        let share = 1.0 / (powf(2f64, self.order) - 1.0);
        let limits: Vec<f64> = self.values.windows(2).map(|v| v[1] + share * (v[1] - v[0])).collect();
        let rounding = |k: usize| (1.0 + share) * self.rounding[k + 1] + share * self.rounding[k];
        let change = |k: usize| (limits[k] - limits[k - 1]).abs();
        let found = (2..limits.len()).map(|k| (limits[k], change(k).max(change(k - 1)) + rounding(k)));
        found.filter(|(_, error)| error.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Whether the last four quotients still close in as an error c εᵖ does, to a tenth: the ladder ends before rounding takes over.
    pub fn ends_falling(&self) -> bool {
        let last = &self.values[self.values.len().saturating_sub(4)..];
        let shrinks = |v: &[f64]| ((v[1] - v[2]) / (v[0] - v[1]) * powf(2f64, self.order) - 1.0).abs() < 0.1;
        last.windows(3).all(shrinks)
    }

    /// The rung of the smallest step at which rounding is at most this; the middle one where there is none.
    pub fn finest_rung(&self, rounding: f64) -> usize {
        (0..self.steps.len()).rev().find(|&i| self.rounding[i] <= rounding).unwrap_or(self.steps.len() / 2)
    }

    /// Whether no error is above twice what one of the first three foretells at the promised order, c εᵖ, plus three times
    /// rounding, and the errors fall at all: 16 halvings take an error of order 2 down to 2e-10 of the first. A constant error stays.
    pub fn falls_as_promised(&self, right: f64) -> bool {
        let errors: Vec<f64> = self.values.iter().map(|v| (v - right).abs()).collect();
        let constant =
            (0..errors.len().min(3)).map(|i| errors[i] / powf(self.steps[i], self.order)).fold(0.0, f64::max);
        let allowed = |i: usize| 2.0 * constant * powf(self.steps[i], self.order) + 3.0 * self.rounding[i];
        (0..errors.len()).all(|i| errors[i] <= allowed(i))
    }

    /// The order of |value - right| in the step over six neighbouring rungs (five halvings) above rounding: of all such windows
    /// that of the smallest scatter. Large steps are not yet asymptotic, small ones are rounding; the straight part is between.
    pub fn straight_part(&self, right: f64) -> Option<Order> {
        let errors: Vec<f64> = self.values.iter().map(|v| (v - right).abs()).collect();
        // the bound on rounding is rarely reached: three of it leaves a tenth of the error at most
        let above = |i: usize| errors[i] > 3.0 * self.rounding[i];
        let windows = (0..=errors.len().saturating_sub(STRAIGHT)).filter(|&i| (i..i + STRAIGHT).all(above));
        let fits = windows.filter_map(|i| {
            let range = i..i + STRAIGHT;
            observed_order(&self.steps[range.clone()], &errors[range], 0.0).ok()
        });
        fits.min_by(|a, b| a.order_error.total_cmp(&b.order_error))
    }
}
