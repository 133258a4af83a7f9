//! Densities that are wrong in every way we could think of, against every trainer: an error with words or a finite sampler, never a panic
//! of ours, never a number that is not finite, never without end.

mod faults;
mod flows;

use faults::{At, FAULTS, Faulty, MISTAKE, only_mistakes_of_others, verdict, words};
use pushforward::density::Affine;
use pushforward::density::Density;
use pushforward::divergence::{Divergence, ReverseKl};
use pushforward::linalg::Matrix;
use pushforward::num::Real;
use pushforward::run::{Settings, Trainer};
use pushforward::{Error, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A training to its end: dimension, density, codes, frame.
type Training = fn(usize, At, usize, Option<Affine>) -> Result<()>;

/// Trains to the end; the sampler is finite after every step.
fn train<T: Real>(d: usize, at: At, codes: usize, frame: Option<Affine>) -> Result<()> {
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
                let frame = given.then(|| Affine::identity(d));
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
    let settings = Settings { frame: Some(Affine::identity(2)), ..Settings::small() };
    let mut trainer: Trainer<f32> = Trainer::new(&target, Arc::new(ReverseKl), settings).unwrap();
    let before = trainer.state();
    let error = trainer.step().unwrap_err();
    assert!(matches!(&error, Error::Panicked { message, .. } if message == MISTAKE), "{error}");
    assert_eq!(trainer.state(), before);
}
