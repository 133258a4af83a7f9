//! The same seed gives the same bits on any number of threads, for every trainer.

use pushforward::density::{Target, by_name};
use pushforward::linalg::Matrix;
use pushforward::model::FlowModel;
use pushforward::num::Real;
use pushforward::run::{Method, Run};
use pushforward::state::{Stateful, Tensor};

/// Everything that a training leaves, as bits: parameters, moments, latent, samples.
fn bits(target: &Target, divergence: &str, codes: usize, precision: &str) -> Vec<u64> {
    let method = Method::preset("kde-small", target).unwrap();
    let small: [(&str, usize); 5] = [("steps", 6), ("batch", 700), ("sample", 1_300), ("codes", codes), ("draws", 8)];
    let method = small.into_iter().fold(method, |m, (key, value)| m.with(key, value).unwrap());
    let method = method.with("hidden", vec![24, 16]).unwrap().with("seed", 11).unwrap();
    let method = method.with("divergence", divergence).unwrap().with("precision", precision).unwrap();
    let mut run = method.start(target, None).unwrap();
    run.finish().unwrap();
    run_bits(&run, &run.sample(3_000, 5, 2))
}

/// The state of a run and samples, as bits.
fn run_bits(run: &Run, samples: &Matrix) -> Vec<u64> {
    let state = run.state();
    let numbers = |t: &Tensor| match t {
        Tensor::F32(m) => m.as_slice().iter().map(|x| x.to_f64()).collect::<Vec<f64>>(),
        Tensor::F64(m) => m.as_slice().to_vec(),
    };
    let all = state.tensors.values().flat_map(numbers).chain(samples.as_slice().iter().copied());
    all.map(f64::to_bits).collect()
}

fn in_pool<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// Checks that 1, 2, 3 and 64 threads give the same parameters, moments and samples to the last bit: both precisions, with codes and
/// without, targets with a closed blur and with drawn ones, with and without the search for a frame, low and high dimension.
#[test]
fn any_number_of_threads() {
    for (target, name, codes) in [
        ("gmm9", "reverse-kl", 32),
        ("two-moons", "jensen-shannon", 0),
        ("many-well-8", "forward-kl", 16),
        ("funnel-10", "le-cam", 32),
    ] {
        let target = Target::of(by_name(target).unwrap());
        let run = |threads: usize| {
            in_pool(threads, || (bits(&target, name, codes, "f32"), bits(&target, name, codes, "f64")))
        };
        let one = run(1);
        assert!(one.0.len() > 6_000);
        for threads in [2, 3, 64] {
            assert!(run(threads) == one, "{name} with {codes} codes on {threads} threads");
        }
    }
}

/// Everything that the training of a flow leaves, as bits; the log-density of its samples too.
fn flow_bits(target: &Target, preset: &str, setting: (&str, &str), coupling: &str) -> Vec<u64> {
    let method = Method::preset(preset, target).unwrap();
    let small = [("steps", 4), ("batch", 700), ("couplings", 3), ("search_particles", 1_500), ("seed", 11)];
    let method = small.into_iter().fold(method, |m, (key, value)| m.with(key, value).unwrap());
    let method = method.with("hidden", vec![24]).unwrap().with("coupling", coupling).unwrap();
    let method = method.with("bins", 6).unwrap().with("reach", 3.0).unwrap().with(setting.0, setting.1).unwrap();
    // both precisions among the cases
    let precision = if coupling == "affine" { "f32" } else { "f64" };
    let mut run = method.with("precision", precision).unwrap().start(target, None).unwrap();
    run.finish().unwrap();
    let single = run.model_as::<FlowModel<f32>>().map(|m| m.flow().sample_with_log_density(3_000, 5, 2));
    let double = run.model_as::<FlowModel<f64>>().map(|m| m.flow().sample_with_log_density(3_000, 5, 2));
    let (samples, log_q) = single.or(double).unwrap();
    let mut bits = run_bits(&run, &samples);
    bits.extend(log_q.iter().map(|l| l.to_bits()));
    bits
}

/// Checks the same for flows, behind their search: both precisions, the drift and log-variance, affine couplings and splines, targets with
/// modes and without, low and high dimension.
#[test]
fn flows_on_any_number_of_threads() {
    for (target, preset, setting, coupling) in [
        ("ring8", "flow", ("divergence", "reverse-kl"), "affine"),
        ("two-moons", "flow", ("divergence", "jensen-shannon"), "spline"),
        ("gmm9", "flow-lv", ("reference", "replay"), "spline"),
        ("many-well-8", "flow-lv", ("reference", "geometric:0.5"), "affine"),
    ] {
        let p = Target::of(by_name(target).unwrap());
        let run = |threads: usize| in_pool(threads, || flow_bits(&p, preset, setting, coupling));
        let one = run(1);
        assert!(one.len() > 6_000);
        for threads in [2, 3, 64] {
            assert!(run(threads) == one, "a flow for {target} on {threads} threads");
        }
    }
}
