//! States of a run: going on from one gives the bits of a run that never stopped, and a state that does not fit is refused.

use pushforward::Error;
use pushforward::density::{Affine, Handwritten, Target, by_name};
use pushforward::linalg::Matrix;
use pushforward::run::{Method, Run, StepReport};
use pushforward::state::{State, Stateful, Tensor};
use std::sync::Arc;

const STEPS: u64 = 24;

/// A small generator in the precision and with the codes given.
fn generator(target: &Target, codes: usize, precision: &str) -> Method {
    let method = Method::preset("kde-small", target).unwrap().with("precision", precision).unwrap();
    let small = [("batch", 96), ("sample", 320), ("codes", codes), ("search_particles", 300), ("seed", 3)];
    let method = small.into_iter().fold(method, |m, (key, value)| m.with(key, value).unwrap());
    method.with("steps", STEPS).unwrap().with("hidden", vec![8, 6]).unwrap()
}

/// A Gaussian that is NaN in a corner, which only some batches reach.
fn faulty() -> Target {
    let log_p = |x: &[f64]| if x[0] > 2.2 { f64::NAN } else { -0.5 * (x[0] * x[0] + x[1] * x[1]) };
    let score = |x: &[f64], out: &mut [f64]| out.iter_mut().zip(x).for_each(|(s, x)| *s = -x);
    Target::of(Arc::new(Handwritten::new(2, log_p, score)))
}

/// A step, whether it was left out, and its figures as bits.
type Bits = (u64, bool, Vec<(&'static str, u64)>);

/// Everything that a step says, as bits.
fn report_bits(r: &StepReport) -> Bits {
    (r.step, r.skipped, r.figures.iter().map(|f| (f.key, f.value.to_bits())).collect())
}

/// Runs to the end; the reports.
fn finish(run: &mut Run) -> Vec<Bits> {
    let mut out = Vec::new();
    while !run.is_finished() {
        out.push(report_bits(&run.step().unwrap()));
    }
    out
}

fn in_pool<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// Stops before every step of a run and goes on from the state, on 1, 2 or 3 threads.
fn stops_do_not_show(target: &Target, method: &Method) {
    let (reports, whole, samples) = in_pool(2, || {
        let mut run = method.start(target, None).unwrap();
        let reports = finish(&mut run);
        (reports, run.state(), run.sample(200, 9, 1))
    });
    let mut run = method.start(target, None).unwrap();
    for stop in 0..method.run.steps {
        let here = run.state();
        assert_eq!(here.counters["step"], stop);
        let (rest, end, again) = in_pool(1 + stop as usize % 3, || {
            let mut resumed = method.resume(target, &here).unwrap();
            let rest = finish(&mut resumed);
            (rest, resumed.state(), resumed.sample(200, 9, 1))
        });
        let name = &method.name;
        assert_eq!(rest, reports[stop as usize..], "{name}: stop at {stop}");
        assert!(end == whole && again == samples, "{name}: stop at {stop}");
        run.step().unwrap();
    }
}

/// Checks that a run that stops before any of its steps and goes on from its state, on 1, 2 or 3 threads, has the reports and
/// the samples of one that never stopped: with and without codes, in both precisions.
#[test]
fn any_stop_on_any_threads() {
    let target = Target::of(by_name("gmm9").unwrap());
    stops_do_not_show(&target, &generator(&target, 16, "f32"));
    stops_do_not_show(&target, &generator(&target, 0, "f64"));
}

/// Checks the same for flows: the drift and log-variance with each reference, a mixture base and one Gaussian, splines and affine
/// couplings, both precisions.
#[test]
fn any_stop_of_a_flow() {
    let flow = |name: &str, preset: &str, setting: Option<(&str, &str)>, coupling: &str, precision: &str| {
        let target = Target::of(by_name(name).unwrap());
        let method = Method::preset(preset, &target).unwrap();
        let small =
            [("steps", 8), ("batch", 96), ("couplings", 2), ("bins", 4), ("search_particles", 300), ("seed", 3)];
        let method = small.into_iter().fold(method, |m, (key, value)| m.with(key, value).unwrap());
        let method = method.with("hidden", vec![6]).unwrap().with("reach", 3.0).unwrap();
        let method = method.with("coupling", coupling).unwrap().with("precision", precision).unwrap();
        let method = setting.into_iter().fold(method, |m, (key, value)| m.with(key, value).unwrap());
        stops_do_not_show(&target, &method);
    };
    flow("ring8", "flow", None, "affine", "f32");
    flow("two-moons", "flow", None, "spline", "f64");
    for name in ["replay", "model", "gaussian", "geometric:0.3"] {
        flow("ring8", "flow-lv", Some(("reference", name)), "spline", "f32");
        flow("two-moons", "flow-lv", Some(("reference", name)), "affine", "f64");
    }
}

/// Checks the same for particles: every preset, and every stepper, with birth and death.
#[test]
fn any_stop_of_particles() {
    let target = Target::of(by_name("gmm9").unwrap());
    let small = |preset: &str| {
        let method = Method::preset(preset, &target).unwrap();
        method.with("steps", 8).unwrap().with("particles", 60).unwrap()
    };
    for preset in ["particles", "svgd", "ula", "mala"] {
        stops_do_not_show(&target, &small(preset));
    }
    for stepper in ["heun", "rk4", "adaptive"] {
        let method = small("particles").with("stepper", stepper).unwrap().with("dt", 0.3).unwrap();
        stops_do_not_show(&target, &method.with("birth_death", 1.0).unwrap());
    }
}

/// Checks that steps left out before a stop are remembered after it, with their first reason.
#[test]
fn faults_are_remembered() {
    let target = faulty();
    let mut method = generator(&target, 0, "f32").with("steps", 2_000).unwrap();
    method.frame = Some(Affine::identity(2));
    let mut run = method.start(&target, None).unwrap();
    while run.faults().first.is_none() {
        run.step().unwrap();
    }
    let resumed = method.resume(&target, &run.state()).unwrap();
    assert_eq!(resumed.faults().skipped, run.faults().skipped);
    // NaN is not equal to itself, so the words are compared
    let words = |run: &Run| run.faults().first.as_ref().map(Error::to_string);
    assert_eq!(words(&resumed), words(&run));
}

/// Checks that every state with a part missing, of another shape, not finite or from other settings is refused by name, and leaves the
/// run as it was.
#[test]
fn states_that_do_not_fit() {
    let target = Target::of(by_name("gmm9").unwrap());
    let method = generator(&target, 16, "f32");
    let mut run = method.start(&target, None).unwrap();
    run.step().unwrap();
    let good = run.state();
    let refused = |changed: &State, word: &str| {
        let mut other = method.start(&target, None).unwrap();
        let before = other.state();
        let error = other.restore(changed).unwrap_err();
        assert!(matches!(&error, Error::State { .. }) && error.to_string().contains(word), "{word}: {error}");
        assert!(other.state() == before, "{word}");
    };
    for (name, tensor) in &good.tensors {
        let word = name.rsplit_once("estimator.").map_or(name.strip_prefix("model.").unwrap_or(name), |(_, w)| w);
        let mut s = good.clone();
        s.tensors.remove(name);
        refused(&s, word);
        let mut broken = tensor.clone();
        match &mut broken {
            Tensor::F32(m) => m.as_mut_slice()[0] = f32::NAN,
            Tensor::F64(m) => m.as_mut_slice()[0] = f64::NAN,
        }
        s.tensors.insert(name.clone(), broken);
        refused(&s, word);
        let odd = match tensor {
            Tensor::F32(_) => Tensor::F32(Matrix::zeros(1, 3)),
            Tensor::F64(_) => Tensor::F64(Matrix::zeros(1, 3)),
        };
        s.tensors.insert(name.clone(), odd);
        // a frame of another dimension is a frame, but not this run's
        refused(&s, if word == "frame.centre" { "Affine" } else { word });
    }
    for name in ["step", "model.adam.step", "faults.skipped"] {
        let mut s = good.clone();
        s.counters.remove(name);
        refused(&s, name.rsplit_once('.').map_or(name, |(_, word)| word));
    }
    for (name, word) in [("model", "flow"), ("velocity", "stein")] {
        let mut s = good.clone();
        s.words.insert(name.into(), word.into());
        refused(&s, word);
    }
    let mut late = good.clone();
    late.counters.insert("step".into(), STEPS + 1);
    refused(&late, "25");
}
