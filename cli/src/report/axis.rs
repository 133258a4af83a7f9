//! Axes: a range, a scale, round ticks.

use crate::style::number;
use pushforward::num::{ln, log10, powf};

/// How numbers become lengths.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// In proportion.
    Linear,
    /// By factors; both ends are positive.
    Log,
}

/// One axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Label with the unit.
    pub label: String,
    /// Lowest value.
    pub low: f64,
    /// Highest value.
    pub high: f64,
    /// Linear or logarithmic.
    pub scale: Scale,
    /// (value, text) of each tick.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// A linear axis over [low, high] with about `n` round ticks. A range of no width, or one that is not finite, is widened.
    pub fn linear(label: &str, low: f64, high: f64, n: usize) -> Self {
        let (low, high) = widen(low, high);
        Self { label: label.into(), low, high, scale: Scale::Linear, ticks: linear_ticks(low, high, n) }
    }

    /// A logarithmic axis over [low, high], 0 < low, with ticks at 1, 2, 5 times powers of ten.
    pub fn log(label: &str, low: f64, high: f64) -> Self {
        let low = if low.is_finite() && low > 0.0 { low } else { 1e-3 };
        let high = if high.is_finite() && high > low * 1.2 { high } else { low * 10.0 };
        let decades = log10(high / low);
        let steps: &[f64] = if decades > 3.0 {
            &[1.0]
        } else if decades > 1.5 {
            &[1.0, 3.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        let every = (decades / 6.0).ceil().max(1.0) as i32;
        let powers = log10(low).floor() as i32..=log10(high).ceil() as i32;
        let ticks =
            powers.filter(|p| p.rem_euclid(every) == 0).flat_map(|p| steps.iter().map(move |s| s * 10f64.powi(p)));
        let inside = ticks.filter(|t| (low * 0.999..=high * 1.001).contains(t)).map(|t| (t, number(t, 1))).collect();
        Self { label: label.into(), low, high, scale: Scale::Log, ticks: inside }
    }

    /// Where `x` lies between the ends, 0 to 1 inside.
    pub fn part(&self, x: f64) -> f64 {
        match self.scale {
            Scale::Linear => (x - self.low) / (self.high - self.low),
            Scale::Log => ln(x.max(1e-300) / self.low) / ln(self.high / self.low),
        }
    }
}

fn widen(low: f64, high: f64) -> (f64, f64) {
    if !(low.is_finite() && high.is_finite()) {
        return (0.0, 1.0);
    }
    let size = low.abs().max(high.abs());
    if high - low > 1e-9 * size {
        return (low, high);
    }
    let half = if size > 0.0 { 0.05 * size } else { 0.05 };
    (low - half, high + half)
}

/// About n multiples of 1, 2 or 5 times a power of ten in [low, high].
fn linear_ticks(low: f64, high: f64, n: usize) -> Vec<(f64, String)> {
    let raw = (high - low) / n.max(1) as f64;
    let power = powf(10f64, log10(raw).floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= raw * 0.999).unwrap_or(power);
    let decimals = (-log10(step).floor()).max(0.0) as usize;
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    let text = |x: f64| {
        if x != 0.0 && (step >= 1e5 || decimals > 4) {
            number(x, 2)
        } else {
            format!("{x:.decimals$}").replace('-', "−")
        }
    };
    (first..=last).map(|k| (k as f64 * step, text(k as f64 * step))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that ticks are round, lie inside the range and are neither too few nor too many, over 40 orders of magnitude.
    #[test]
    fn ticks_are_few_and_inside() {
        for power in -20..20 {
            let unit = 10f64.powi(power);
            for (low, high) in [(-1.3, 2.7), (0.0, 1.0), (41.0, 43.7), (-9.9, -9.1)] {
                let axis = Axis::linear("x", low * unit, high * unit, 5);
                assert!((2..=12).contains(&axis.ticks.len()), "{low} to {high} times {unit}: {:?}", axis.ticks);
                let slack = 1e-6 * (axis.high - axis.low);
                assert!(axis.ticks.iter().all(|(t, _)| (axis.low - slack..=axis.high + slack).contains(t)));
            }
            let axis = Axis::log("h", unit, 37.0 * unit);
            assert!((2..=8).contains(&axis.ticks.len()), "{unit}: {:?}", axis.ticks);
        }
    }
}
