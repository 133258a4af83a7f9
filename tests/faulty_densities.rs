//! Densities that are wrong in every way we could think of, against every trainer: an error with words or a finite sampler, never a panic
//! of ours, never a number that is not finite, never without end.

use pushforward::density::Density;
use pushforward::divergence::{Divergence, ReverseKl};
use pushforward::linalg::Matrix;
use pushforward::num::Real;
use pushforward::sampler::{Frame, Settings, Trainer};
use pushforward::{Error, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// log p~ and one coordinate of its score, at x.
type At = fn(&[f64], usize) -> (f64, f64);

/// A training to its end: dimension, density, codes, frame.
type Training = fn(usize, At, usize, Option<Frame>) -> Result<()>;

/// What may become of a training.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    /// The sampler is finite at every step, or an error says why not.
    Any,
    /// An error, always.
    Refused,
    /// A finite sampler, always.
    Trained,
}

use Outcome::{Any, Refused, Trained};

const MISTAKE: &str = "a mistake of the user";

fn square(x: &[f64]) -> f64 {
    x.iter().map(|v| v * v).sum()
}

fn gaussian(x: &[f64], j: usize) -> (f64, f64) {
    (-0.5 * square(x), -x[j])
}

/// (name, density, outcome with a given frame, outcome of the search for one).
const FAULTS: &[(&str, At, Outcome, Outcome)] = &[
    ("a Gaussian, for comparison", gaussian, Trained, Trained),
    ("NaN everywhere", |_, _| (f64::NAN, 0.0), Refused, Refused),
    ("+inf everywhere", |_, _| (f64::INFINITY, 0.0), Refused, Refused),
    ("-inf everywhere", |_, _| (f64::NEG_INFINITY, 0.0), Refused, Refused),
    ("NaN on one side", |x, j| if x[0] > 0.5 { (f64::NAN, f64::NAN) } else { gaussian(x, j) }, Refused, Refused),
    ("+inf far out", |x, j| if x[0] > 30.0 { (f64::INFINITY, 0.0) } else { gaussian(x, j) }, Trained, Refused),
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

struct Faulty {
    d: usize,
    at: At,
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
fn words(payload: &dyn std::any::Any) -> Option<String> {
    payload.downcast_ref::<String>().cloned().or_else(|| payload.downcast_ref::<&str>().map(|s| s.to_string()))
}

/// Panics of the densities of this file are expected and not printed.
fn only_mistakes_of_others() {
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

/// Trains to the end; the sampler is finite after every step.
fn train<T: Real>(d: usize, at: At, codes: usize, frame: Option<Frame>) -> Result<()> {
    let target: Arc<dyn Density> = Arc::new(Faulty { d, at });
    let divergence: Arc<dyn Divergence> = Arc::new(ReverseKl);
    let settings =
        Settings { steps: 12, batch: 64, reference: 192, codes, hidden: vec![8], draws: 4, frame, ..Settings::small() };
    let mut trainer: Trainer<T> = Trainer::new(&target, divergence, settings)?;
    while !trainer.is_finished() {
        let step = trainer.step();
        let state = trainer.state();
        assert!(state.matrices.values().all(Matrix::is_finite), "a parameter or moment is not finite");
        assert!(trainer.generator().sample(64, 1, 0).is_finite(), "a sample is not finite");
        let report = step?;
        // a mean of log p~ is -inf where some particles lie outside the support
        let numbers = [report.drift, report.bandwidth, report.effective_samples];
        assert!(report.skipped || numbers.iter().all(|v| v.is_finite()), "{report:?}");
        assert!(report.skipped || report.mean_log_density < f64::INFINITY, "{report:?}");
    }
    Ok(())
}

/// What is wrong with the outcome, if anything.
fn verdict(expected: Outcome, found: &Result<()>) -> Option<String> {
    match (expected, found) {
        (Trained, Err(e)) => Some(format!("was refused: {e}")),
        (Refused, Ok(())) => Some("was trained".into()),
        (_, Err(e)) if e.to_string().len() < 20 => Some(format!("says only '{e}'")),
        _ => None,
    }
}

/// Proves the documented outcome of each faulty density in 1, 2 and 5 dimensions for the trainers of both precisions, with codes and
/// without, with a given frame and with the search for one; that each ends within seconds; and that parameters, moments and samples
/// are finite after every step, also after the one that failed.
#[test]
fn every_fault_has_its_outcome() {
    only_mistakes_of_others();
    let mut wrong = Vec::new();
    let mut count = 0;
    for &(name, at, framed, searched) in FAULTS {
        for d in [1, 2, 5] {
            for given in [true, false] {
                let frame = given.then(|| Frame { centre: vec![0.0; d], scale: 1.0 });
                let expected = if given { framed } else { searched };
                let trainers: [(&str, Training, usize); 4] = [
                    ("f32", train::<f32>, 0),
                    ("f32", train::<f32>, 8),
                    ("f64", train::<f64>, 0),
                    ("f64", train::<f64>, 8),
                ];
                for (precision, train, codes) in trainers {
                    // the search does not depend on the network: once is enough
                    if !given && (precision, codes) != ("f32", 8) {
                        continue;
                    }
                    count += 1;
                    let start = Instant::now();
                    let frame = frame.clone();
                    let what = format!(
                        "{name}, d = {d}, {precision}, {codes} codes, frame {}",
                        if given { "given" } else { "searched" }
                    );
                    match std::panic::catch_unwind(|| train(d, at, codes, frame)) {
                        Err(payload) => {
                            let words = words(&*payload);
                            wrong.push(format!("{what} panicked: {words:?}"));
                        }
                        Ok(found) => wrong.extend(verdict(expected, &found).map(|why| format!("{what} {why}"))),
                    }
                    if start.elapsed() > Duration::from_secs(20) {
                        wrong.push(format!("{what} took {:?}", start.elapsed()));
                    }
                }
            }
        }
    }
    println!("{count} trainings of {} faulty densities", FAULTS.len());
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Proves that after a panic of the density the trainer is as it was before the step, so that it can be saved and go on.
#[test]
fn a_panic_changes_nothing() {
    only_mistakes_of_others();
    let target: Arc<dyn Density> = Arc::new(Faulty { d: 2, at: |_, _| panic!("{MISTAKE}") });
    let settings = Settings { frame: Some(Frame { centre: vec![0.0; 2], scale: 1.0 }), ..Settings::small() };
    let mut trainer: Trainer<f32> = Trainer::new(&target, Arc::new(ReverseKl), settings).unwrap();
    let before = trainer.state();
    let error = trainer.step().unwrap_err();
    assert!(matches!(&error, Error::Panicked { message, .. } if message == MISTAKE), "{error}");
    assert_eq!(trainer.state().matrices, before.matrices);
}
