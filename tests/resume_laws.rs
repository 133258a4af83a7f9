//! States of a training: going on from one gives the bits of a training that never stopped, and a state that does not fit is refused.

use pushforward::Error;
use pushforward::density::{Density, Handwritten, by_name};
use pushforward::divergence::{Divergence, ReverseKl};
use pushforward::model::flow::{CouplingKind, FlowSettings, Objective, Reference};
use pushforward::num::Real;
use pushforward::run::FlowTrainer;
use pushforward::run::{Settings, State, StepReport, Trainer};
use std::sync::Arc;

const STEPS: u64 = 24;

fn settings(codes: usize) -> Settings {
    Settings { steps: STEPS, batch: 96, reference: 320, codes, hidden: vec![8, 6], seed: 3, ..Settings::small() }
}

fn divergence() -> Arc<dyn Divergence> {
    Arc::new(ReverseKl)
}

/// A Gaussian that is NaN in a corner, which only some batches reach.
fn faulty() -> Arc<dyn Density> {
    let log_p = |x: &[f64]| if x[0] > 2.2 { f64::NAN } else { -0.5 * (x[0] * x[0] + x[1] * x[1]) };
    let score = |x: &[f64], out: &mut [f64]| out.iter_mut().zip(x).for_each(|(s, x)| *s = -x);
    Arc::new(Handwritten::new(2, log_p, score))
}

/// Everything that a training shows, as bits.
fn bits<T: Real>(trainer: &Trainer<T>) -> Vec<u64> {
    trainer.generator().sample(200, 9, 1).as_slice().iter().map(|x| x.to_bits()).collect()
}

fn report_bits(r: &StepReport) -> [u64; 7] {
    let numbers = [r.drift, r.bandwidth, r.mean_log_density, r.mean_log_ratio, r.effective_samples];
    let [a, b, c, d, e] = numbers.map(f64::to_bits);
    [a, b, c, d, e, r.step, u64::from(r.skipped)]
}

/// Runs to the end; the reports.
fn finish<T: Real>(trainer: &mut Trainer<T>) -> Vec<[u64; 7]> {
    let mut out = Vec::new();
    while !trainer.is_finished() {
        out.push(report_bits(&trainer.step().unwrap()));
    }
    out
}

fn in_pool<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

fn stops_do_not_show<T: Real>(target: &Arc<dyn Density>, codes: usize) {
    let start = || Trainer::<T>::new(target, divergence(), settings(codes)).unwrap();
    let mut whole = start();
    let reports = in_pool(2, || finish(&mut whole));
    let mut trainer = start();
    for stop in 0..STEPS {
        let state = trainer.state();
        assert_eq!(state.counters["step"], stop);
        let threads = 1 + stop as usize % 3;
        let mut resumed = Trainer::<T>::resume(target, divergence(), settings(codes), &state).unwrap();
        let rest = in_pool(threads, || finish(&mut resumed));
        assert_eq!(rest, reports[stop as usize..], "stop at {stop}, {threads} threads");
        assert_eq!(bits(&resumed), bits(&whole), "stop at {stop}, {threads} threads");
        assert_eq!(resumed.faults().skipped, whole.faults().skipped);
        trainer.step().unwrap();
    }
}

/// Proves that a training that stops before any of its steps and goes on from its state, on 1, 2 or 3 threads, has the reports and
/// the samples of one that never stopped: with and without codes, in both precisions.
#[test]
fn any_stop_on_any_threads() {
    let target = by_name("gmm9").unwrap();
    stops_do_not_show::<f32>(&target, 16);
    stops_do_not_show::<f64>(&target, 0);
}

/// The same for a flow: `state` of every step, in the precision T.
fn flow_stops_do_not_show<T: Real>(target: &Arc<dyn Density>, objective: &Objective, coupling: CouplingKind) {
    let settings = FlowSettings {
        steps: 8,
        batch: 96,
        coupling,
        couplings: 2,
        hidden: vec![6],
        seed: 3,
        ..FlowSettings::default()
    };
    let finish = |mut trainer: FlowTrainer<T>| {
        let mut out = Vec::new();
        while !trainer.is_finished() {
            out.push(report_bits(&trainer.step().unwrap()));
        }
        (out, trainer.state(), trainer.flow().sample_block(200, 9, 1))
    };
    let mut trainer = FlowTrainer::<T>::new(target, objective.clone(), settings.clone()).unwrap();
    let start = trainer.state();
    let resume =
        |state: &State<T>| FlowTrainer::<T>::resume(target, objective.clone(), settings.clone(), state).unwrap();
    let whole = in_pool(2, || finish(resume(&start)));
    for stop in 0..settings.steps {
        let state = trainer.state();
        assert_eq!(state.counters["step"], stop);
        let rest = in_pool(1 + stop as usize % 3, || finish(resume(&state)));
        assert_eq!(rest.0, whole.0[stop as usize..], "stop at {stop}");
        assert!(rest.1 == whole.1 && rest.2 == whole.2, "stop at {stop}");
        trainer.step().unwrap();
    }
    assert!(trainer.state() == whole.1, "the run that never stopped");
}

/// Proves the same for flows: the drift and log-variance with each reference, a mixture base and one Gaussian, splines and affine
/// couplings, both precisions; the run that never stopped has the same bits too.
#[test]
fn any_stop_of_a_flow() {
    let (ring, moons) = (by_name("ring8").unwrap(), by_name("two-moons").unwrap());
    let spline = CouplingKind::Spline { bins: 4, reach: 3.0 };
    flow_stops_do_not_show::<f32>(&ring, &Objective::Drift(divergence()), CouplingKind::Affine);
    flow_stops_do_not_show::<f64>(&moons, &Objective::Drift(divergence()), spline);
    for name in ["replay", "model", "gaussian", "geometric:0.3"] {
        let objective = Objective::LogVariance(Reference::by_name(name).unwrap());
        flow_stops_do_not_show::<f32>(&ring, &objective, spline);
        flow_stops_do_not_show::<f64>(&moons, &objective, CouplingKind::Affine);
    }
}

/// Proves that steps left out before a stop are remembered after it, with their first reason.
#[test]
fn faults_are_remembered() {
    let many = Settings { steps: 2_000, frame: Some(frame()), ..settings(16) };
    let mut trainer = Trainer::<f32>::new(&faulty(), divergence(), many.clone()).unwrap();
    while trainer.faults().first.is_none() {
        trainer.step().unwrap();
    }
    let resumed = Trainer::<f32>::resume(&faulty(), divergence(), many, &trainer.state()).unwrap();
    assert_eq!(resumed.faults().skipped, trainer.faults().skipped);
    // NaN is not equal to itself, so the words are compared
    let words = |t: &Trainer<f32>| t.faults().first.as_ref().map(Error::to_string);
    assert_eq!(words(&resumed), words(&trainer));
}

fn frame() -> pushforward::density::Affine {
    pushforward::density::Affine::identity(2)
}

/// Proves that every state with a part missing, of another shape, not finite or from other settings is refused by name, and leaves the
/// trainer as it was.
#[test]
fn states_that_do_not_fit() {
    let target = by_name("gmm9").unwrap();
    let mut trainer = Trainer::<f32>::new(&target, divergence(), settings(16)).unwrap();
    trainer.step().unwrap();
    let state = trainer.state();
    let refused = |state: &State<f32>, word: &str| {
        let mut other = Trainer::<f32>::new(&target, divergence(), settings(16)).unwrap();
        let before = bits(&other);
        let error = other.restore(state).unwrap_err();
        assert!(matches!(&error, Error::State { .. }) && error.to_string().contains(word), "{word}: {error}");
        assert_eq!((bits(&other), other.steps_taken()), (before, 0));
    };
    for name in state.matrices.keys() {
        let mut s = state.clone();
        s.matrices.remove(name);
        refused(&s, name);
        let m = s.matrices.entry(name.clone()).or_insert(state.matrices[name].clone());
        m.as_mut_slice()[0] = f32::NAN;
        refused(&s, name);
        s.matrices.insert(name.clone(), pushforward::linalg::Matrix::zeros(1, 3));
        refused(&s, name);
    }
    for name in state.doubles.keys() {
        let mut s = state.clone();
        s.doubles.remove(name);
        refused(&s, if name.starts_with("frame") { "frame" } else { name });
    }
    for name in state.counters.keys() {
        let mut s = state.clone();
        s.counters.remove(name);
        refused(&s, name);
    }
    let mut late = state.clone();
    late.counters.insert("step".into(), STEPS + 1);
    refused(&late, "25");
}
