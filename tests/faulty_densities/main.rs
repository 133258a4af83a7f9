//! Densities that are wrong in every way we could think of, against every trainer: an error with words or a finite sampler, never a panic
//! of ours, never a number that is not finite, never without end.

mod faults;
mod flows;

use faults::{At, FAULTS, Faulty, MISTAKE, only_mistakes_of_others, verdict, words};
use pushforward::density::{Affine, Target};
use pushforward::run::{Method, Run};
use pushforward::state::{State, Stateful, Tensor};
use pushforward::{Error, Result};
use std::sync::Arc;

/// Whether all numbers of a state are finite; the point of a first fault may be any.
fn is_finite(state: &State) -> bool {
    state.tensors.iter().filter(|(name, _)| *name != "faults.point").all(|(_, t)| match t {
        Tensor::F32(m) => m.is_finite(),
        Tensor::F64(m) => m.is_finite(),
    })
}

/// Takes all steps; the model is finite after every one.
fn finish(run: &mut Run) -> Result<()> {
    while !run.is_finished() {
        let step = run.step();
        assert!(is_finite(&run.state()), "a number of the state is not finite");
        assert!(run.sample(64, 1, 0).is_finite(), "a sample is not finite");
        let report = step?;
        for figure in &report.figures {
            // a mean of log p~ is -inf where some particles lie outside the support, and KL(q‖p) +inf
            let outside = figure.key.starts_with("mean_log") && figure.value < f64::INFINITY
                || ["kl", "mean_log_ratio_m"].contains(&figure.key) && figure.value > f64::NEG_INFINITY;
            assert!(figure.value.is_finite() || outside, "{figure:?}");
        }
    }
    Ok(())
}

/// Trains a generator to the end.
fn train(d: usize, at: At, codes: usize, precision: &str, frame: Option<Affine>) -> Result<()> {
    let target = Target::of(Arc::new(Faulty { d, at }));
    let method = Method::preset("kde-small", &target)?.with("hidden", vec![8])?.with("precision", precision)?;
    let small: [(&str, usize); 5] = [("steps", 12), ("batch", 64), ("sample", 192), ("codes", codes), ("draws", 4)];
    let mut method = small.into_iter().try_fold(method, |m, (key, value)| m.with(key, value))?;
    method.frame = frame;
    finish(&mut method.start(&target, None)?)
}

/// Checks the documented outcome of each faulty density in 1, 2 and 5 dimensions for the trainers of both precisions, with codes and
/// without, with a given frame and with the search for one; and that parameters, moments and samples
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
                for (precision, codes) in [("f32", 0), ("f32", 8), ("f64", 0), ("f64", 8)] {
                    // with codes a search is made, which does not depend on the network: once is enough
                    if given != (codes == 0) || (!given && precision != "f32") {
                        continue;
                    }
                    count += 1;
                    let frame = frame.clone();
                    let what = format!(
                        "{name}, d = {d}, {precision}, {codes} codes, frame {}",
                        if given { "given" } else { "searched" }
                    );
                    match std::panic::catch_unwind(|| train(d, at, codes, precision, frame)) {
                        Err(payload) => {
                            let words = words(&*payload);
                            wrong.push(format!("{what} panicked: {words:?}"));
                        }
                        Ok(found) => wrong.extend(verdict(expected, &found).map(|why| format!("{what} {why}"))),
                    }
                }
            }
        }
    }
    println!("{count} trainings of {} faulty densities", FAULTS.len());
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Checks that after a panic of the density the run is as it was before the step, so that it can be saved and go on.
#[test]
fn a_panic_changes_nothing() {
    only_mistakes_of_others();
    let target = Target::of(Arc::new(Faulty { d: 2, at: |_, _| panic!("{MISTAKE}") }));
    let mut method = Method::preset("kde-small", &target).unwrap().with("codes", 0).unwrap();
    method.frame = Some(Affine::identity(2));
    let mut run = method.start(&target, None).unwrap();
    let before = run.state();
    let error = run.step().unwrap_err();
    assert!(matches!(&error, Error::Panicked { message, .. } if message == MISTAKE), "{error}");
    assert_eq!(run.state(), before);
}
