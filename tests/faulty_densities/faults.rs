//! The faulty densities, and what may become of a training on each.

use pushforward::Result;
use pushforward::density::Density;
use pushforward::linalg::Matrix;

/// log p~ and one coordinate of its score, at x.
pub type At = fn(&[f64], usize) -> (f64, f64);

/// What may become of a training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// The sampler is finite at every step, or an error says why not.
    Any,
    /// An error, always.
    Refused,
    /// A finite sampler, always.
    Trained,
}

use Outcome::{Any, Refused, Trained};

/// What a panic of these densities says.
pub const MISTAKE: &str = "a mistake of the user";

fn square(x: &[f64]) -> f64 {
    x.iter().map(|v| v * v).sum()
}

fn gaussian(x: &[f64], j: usize) -> (f64, f64) {
    (-0.5 * square(x), -x[j])
}

/// (name, density, outcome in a given frame, outcome where a search comes first).
pub const FAULTS: &[(&str, At, Outcome, Outcome)] = &[
    ("a Gaussian, for comparison", gaussian, Trained, Trained),
    ("NaN everywhere", |_, _| (f64::NAN, 0.0), Refused, Refused),
    ("+inf everywhere", |_, _| (f64::INFINITY, 0.0), Refused, Refused),
    ("-inf everywhere", |_, _| (f64::NEG_INFINITY, 0.0), Refused, Refused),
    ("NaN on one side", |x, j| if x[0] > 0.5 { (f64::NAN, f64::NAN) } else { gaussian(x, j) }, Refused, Refused),
    ("+inf far out", |x, j| if x[0] > 30.0 { (f64::INFINITY, 0.0) } else { gaussian(x, j) }, Trained, Trained),
    (
        "-inf on one side",
        |x, j| if x[0] > 0.5 { (f64::NEG_INFINITY, f64::NAN) } else { gaussian(x, j) },
        Trained,
        Trained,
    ),
    ("a gradient of NaN", |x, _| (gaussian(x, 0).0, f64::NAN), Refused, Refused),
    ("a gradient of inf", |x, _| (gaussian(x, 0).0, f64::INFINITY), Refused, Refused),
    ("a gradient of 1e300", |x, _| (gaussian(x, 0).0, 1e300), Any, Any),
    ("a zero gradient", |x, _| (gaussian(x, 0).0, 0.0), Any, Any),
    ("a gradient of the wrong sign", |x, j| (gaussian(x, 0).0, x[j]), Any, Any),
    ("flat", |_, _| (0.0, 0.0), Trained, Any),
    (
        "flat in one direction",
        |x, j| if j == 0 { (-0.5 * square(&x[1..]), 0.0) } else { (-0.5 * square(&x[1..]), -x[j]) },
        Trained,
        Any,
    ),
    ("growing without bound", |x, j| (0.5 * square(x), x[j]), Any, Any),
    ("a pole", |x, j| (-square(x).ln(), -2.0 * x[j] / square(x)), Any, Any),
    ("discontinuous", |x, _| ((-square(x)).floor(), 0.0), Any, Any),
    (
        "a box without gradient",
        |x, _| (if x.iter().all(|v| v.abs() < 1.0) { 0.0 } else { f64::NEG_INFINITY }, 0.0),
        Any,
        Any,
    ),
    ("huge values", |x, j| (-1e305 * (1.0 + square(x).min(100.0)), -2e305 * x[j]), Any, Any),
    ("a needle of 1e-200", |x, j| (-0.5 * square(x) * 1e200, -x[j] * 1e200), Any, Any),
    ("a scale of 1e150", |x, j| (-0.5 * square(x) * 1e-300, -x[j] * 1e-300), Trained, Any),
    (
        "a rough surface",
        |x, j| (gaussian(x, j).0 + (1e9 * x[0]).sin(), -x[j] + if j == 0 { 1e9 * (1e9 * x[0]).cos() } else { 0.0 }),
        Any,
        Any,
    ),
    ("a panic everywhere", |_, _| panic!("{MISTAKE}"), Refused, Refused),
    ("a panic on one side", |x, j| if x[0] > 0.5 { panic!("{MISTAKE}") } else { gaussian(x, j) }, Refused, Refused),
];

/// A density of the list in d dimensions.
pub struct Faulty {
    pub d: usize,
    pub at: At,
}

impl Density for Faulty {
    fn dim(&self) -> usize {
        self.d
    }
    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        out.iter_mut().zip(x.iter_rows()).for_each(|(out, x)| *out = (self.at)(x, 0).0);
    }
    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.log_density_into(x, log_density);
        for (i, x) in x.iter_rows().enumerate() {
            (0..self.d).for_each(|j| score[(i, j)] = (self.at)(x, j).1);
        }
    }
}

/// What a panic said.
pub fn words(payload: &dyn std::any::Any) -> Option<String> {
    payload.downcast_ref::<String>().cloned().or_else(|| payload.downcast_ref::<&str>().map(|s| s.to_string()))
}

/// Panics of the densities of this file are expected and not printed.
pub fn only_mistakes_of_others() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if words(info.payload()).as_deref() != Some(MISTAKE) {
                usual(info);
            }
        }));
    });
}

/// What is wrong with the outcome, if anything.
pub fn verdict(expected: Outcome, found: &Result<()>) -> Option<String> {
    match (expected, found) {
        (Trained, Err(e)) => Some(format!("was refused: {e}")),
        (Refused, Ok(())) => Some("was trained".into()),
        (_, Err(e)) if e.to_string().len() < 20 => Some(format!("says only '{e}'")),
        _ => None,
    }
}
