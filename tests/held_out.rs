//! Flows stop where held-out points no longer see them get better.

use pushforward::Error;
use pushforward::density::{Density, Phase, Target, by_name};
use pushforward::linalg::Matrix;
use pushforward::run::{Method, Run, StepReport};
use pushforward::state::Stateful;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

fn method(patience: u64) -> (Method, Target) {
    let target = Target::of(by_name("banana").unwrap());
    let method = Method::preset("flow", &target).unwrap().with("batch", 128u64).unwrap();
    let method = method.with("couplings", 2u64).unwrap().with("hidden", vec![8usize]).unwrap();
    let method = method.with("components", 4u64).unwrap().with("run.steps", 1000u64).unwrap();
    (method.with("patience", patience).unwrap(), target)
}

fn all_steps(run: &mut Run) -> Vec<StepReport> {
    let mut reports = Vec::new();
    while !run.is_finished() {
        reports.push(run.step().unwrap());
    }
    reports
}

/// Checks a run that settles: before its last step, with the figure at every twentieth step; the model that it leaves is, bit for bit, that of the
/// step with the least figure, which its sentence names; a run resumed in the middle ends with the same bits; without patience
/// all steps are taken and there is no figure.
#[test]
fn the_best_iterate_comes_back() {
    let (method, target) = method(40);
    let mut run = method.start(&target, None).unwrap();
    let reports = all_steps(&mut run);
    let taken = run.clock().step;
    assert!(taken < 1000, "it did not settle");
    let looks: Vec<(u64, f64)> = reports.iter().filter_map(|r| Some((r.step + 1, r.figure("held_out")?))).collect();
    assert!(looks.iter().map(|l| l.0).eq((1..=taken / 20).map(|k| 20 * k)), "{looks:?}");
    let best = looks.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    let why = run.model().settled().unwrap();
    assert!(why.ends_with(&format!("that of step {}", best.0)), "{why}; {best:?}");
    let mut again = method.start(&target, None).unwrap();
    let mut middle = None;
    while again.clock().step < best.0 {
        again.step().unwrap();
        if again.clock().step == best.0 / 2 {
            middle = Some(again.state());
        }
    }
    let samples = run.sample(200, 3, 0);
    // a look at this very step may have brought the best iterate back, which is this one
    assert_eq!(again.sample(200, 3, 0).as_slice(), samples.as_slice());
    let mut resumed = method.resume(&target, &middle.unwrap()).unwrap();
    all_steps(&mut resumed);
    assert_eq!(resumed.clock().step, taken);
    assert_eq!(resumed.sample(200, 3, 0).as_slice(), samples.as_slice());
    // a look asks at 1,024 draws; the first one at every fourth of 8,192 particles too
    assert_eq!(run.counts().of(Phase::Training).log_density, 2048 + 1024 * (1 + looks.len() as u64));
    assert_eq!(resumed.counts(), run.counts());

    let (method, target) = self::method(0);
    let mut run = method.with("run.steps", 60u64).unwrap().start(&target, None).unwrap();
    let reports = all_steps(&mut run);
    assert!(reports.len() == 60 && reports.iter().all(|r| r.figure("held_out").is_none()));
    assert_eq!(run.model().settled(), None);
}

/// A density that panics where log p~ alone is asked for, as long as it is told to: a step of this flow asks for the score.
struct Moody {
    inner: Arc<dyn Density>,
    panics: AtomicBool,
}

impl Density for Moody {
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        assert!(!self.panics.load(Relaxed), "not now");
        self.inner.log_density_into(x, out);
    }
    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.inner.evaluate_into(x, log_density, score);
    }
}

/// Checks that a look at which the density panics ends its step with the density's words and leaves the run as it was before that step, so that it
/// goes on to the bits of one without a panic.
#[test]
fn a_look_that_fails_leaves_no_trace() {
    let (method, target) = method(40);
    let method = method.with("run.steps", 40u64).unwrap();
    let moody = Arc::new(Moody { inner: Arc::clone(&target.densities[0]), panics: AtomicBool::new(false) });
    let mut run = method.start(&Target::of(Arc::clone(&moody) as Arc<dyn Density>), None).unwrap();
    (0..19).for_each(|_| drop(run.step().unwrap()));
    let before = run.state();
    moody.panics.store(true, Relaxed);
    match run.step() {
        Err(Error::Panicked { message, .. }) => assert!(message.contains("not now"), "{message}"),
        other => panic!("{other:?}"),
    }
    assert!(run.state() == before);
    moody.panics.store(false, Relaxed);
    all_steps(&mut run);
    let mut calm = method.start(&target, None).unwrap();
    all_steps(&mut calm);
    assert_eq!(run.sample(200, 3, 0).as_slice(), calm.sample(200, 3, 0).as_slice());
}
