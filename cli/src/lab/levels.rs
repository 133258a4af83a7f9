//! The axis of l = log p/q: what flows through its levels (T6), and which of them a drift repairs (T17).

use pushforward::divergence::Divergence;
use pushforward::num::ln;

/// What is looked at: a divergence whose weight is held constant beyond |log r| = `clip`, and the level τ of U.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// D_f.
    pub divergence: &'a dyn Divergence,
    /// Bound of |log r| in a weight.
    pub clip: f64,
    /// τ.
    pub level: f64,
}

/// Levels in a unit of l. More would fall between the points of a grid: |∇l| times a cell is up to 1.
const EACH: f64 = 2.0;
/// Points of a grid near a level, by their shares, and share of the largest G, below which the slope of G there says nothing.
const LEAST: f64 = 10.0;
const LEAST_SHARE: f64 = 1e-3;

/// Levels λ_k at equal distances δ from -end to end. The regions above them are soft: s_k(l) rises from 0 at λ_k - δ to 1 at λ_k + δ, and its
/// slope is a hat, (1 - |l - λ_k|/δ)/δ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    end: f64,
    /// One fewer than there are.
    steps: usize,
}

/// What a step brings through each level, the region above it as it was before the step.
#[derive(Debug, Clone, PartialEq)]
pub struct Inflow {
    /// Δ E_q s_k(l₀), a difference of two sums over a grid.
    pub measured: Vec<f64>,
    /// The same of the step as taken: of particles E_q x'·(φ_h ∗ s_k' β_h), of a network the mean over its samples.
    pub taken: Vec<f64>,
    /// Of particles the same for the field as the drift follows it, in place of x'; of a network the standard error of `taken`.
    pub beside: Vec<f64>,
    /// w(e^λ) G(λ) with G(λ_k) = E_q s_k'(l) |β|² (T6); of a network times the time that the step is worth.
    pub stated: Vec<f64>,
    /// e_c = -(log G)' (T17); NaN where there is too little of q, or at an end.
    pub threshold: Vec<f64>,
}

impl Levels {
    /// From -`end` to `end`.
    pub fn new(end: f64) -> Self {
        Self { end, steps: (2.0 * end * EACH).round().max(2.0) as usize }
    }

    /// δ.
    pub fn width(self) -> f64 {
        2.0 * self.end / self.steps as f64
    }

    /// λ_k.
    pub fn all(self) -> Vec<f64> {
        (0..=self.steps).map(|k| self.end * (2.0 * k as f64 / self.steps as f64 - 1.0)).collect()
    }

    /// The last level not above l, from -1 for none, and the share of δ by which l is above it.
    fn place(self, l: f64) -> (i64, f64) {
        let at = ((l + self.end) / self.width()).clamp(-1.0, self.steps as f64 + 1.0);
        (at.floor() as i64, at - at.floor())
    }

    /// Σ m s_k'(l) for all k.   `of`: (l, m).
    pub fn density(self, of: impl Iterator<Item = (f64, f64)>) -> Vec<f64> {
        let mut out = vec![0.0; self.steps + 1];
        for (l, m) in of {
            let (k, part) = self.place(l);
            for (k, share) in [(k, 1.0 - part), (k + 1, part)] {
                if (0..=self.steps as i64).contains(&k) {
                    out[k as usize] += m * share / self.width();
                }
            }
        }
        out
    }

    /// Calls `by` with k and s_k(to) - s_k(from) wherever they differ.
    pub fn risen(self, from: f64, to: f64, mut by: impl FnMut(usize, f64)) {
        let ((low, a), (high, b)) = (self.place(from.min(to)), self.place(from.max(to)));
        for k in low.max(0)..=(high + 1).min(self.steps as i64) {
            let rise = rising(k, high, b) - rising(k, low, a);
            by(k as usize, if to > from { rise } else { -rise });
        }
    }

    /// Σ m s_k(l) for all k.   `of`: (l, m).
    pub fn above(self, of: impl Iterator<Item = (f64, f64)>) -> Vec<f64> {
        // what l gives to a level alone, and to all that lie lower
        let (mut alone, mut whole) = (vec![0.0; self.steps + 1], vec![0.0; self.steps + 2]);
        for (l, m) in of {
            let (k, part) = self.place(l);
            for level in [k, k + 1].into_iter().filter(|k| (0..=self.steps as i64).contains(k)) {
                alone[level as usize] += m * rising(level, k, part);
            }
            whole[k.max(0) as usize] += m;
        }
        let mut sum = 0.0;
        for k in (0..=self.steps).rev() {
            sum += whole[k + 1];
            alone[k] += sum;
        }
        alone
    }

    /// e_c of G at all levels; `points` are the points of a grid near each.
    pub fn threshold(self, g: &[f64], points: &[f64]) -> Vec<f64> {
        let top = g.iter().copied().fold(0.0, f64::max);
        let seen = |k: usize| g[k] > LEAST_SHARE * top && points[k] >= LEAST;
        let one = |k: usize| {
            let inside = k > 0 && k < self.steps && seen(k - 1) && seen(k) && seen(k + 1);
            if inside { (ln(g[k - 1]) - ln(g[k + 1])) / (2.0 * self.width()) } else { f64::NAN }
        };
        (0..=self.steps).map(one).collect()
    }
}

/// s_k(l) of an l that is the share `part` of δ above the level `at`.
fn rising(k: i64, at: i64, part: f64) -> f64 {
    match k - at {
        1 => 0.5 * part * part,
        0 => 1.0 - 0.5 * (1.0 - part) * (1.0 - part),
        below => f64::from(u8::from(below < 0)),
    }
}

/// s(l) = 1/(1 + e^(τ-l)) and r (s' + s'')(l) = 2 e^τ s² (1 - s), the slope of U = E_p s (T5).
pub fn soft(level: f64, l: f64) -> (f64, f64) {
    let s = 1.0 / (1.0 + pushforward::num::exp(level - l));
    (s, 2.0 * pushforward::num::exp(level) * s * s * (1.0 - s))
}
