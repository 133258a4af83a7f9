//! The same seed gives the same bits on any number of threads, for every trainer.

use pushforward::density::{Density, by_name};
use pushforward::divergence::by_name as divergence;
use pushforward::linalg::Matrix;
use pushforward::num::Real;
use pushforward::sampler::{Settings, Trainer};
use std::sync::Arc;

/// Everything that a training leaves, as bits: parameters, moments, latent, samples.
fn bits<T: Real>(target: &Arc<dyn Density>, name: &str, codes: usize) -> Vec<u64> {
    let settings = Settings {
        steps: 6,
        batch: 700,
        reference: 1_300,
        codes,
        hidden: vec![24, 16],
        seed: 11,
        draws: 8,
        ..Settings::small()
    };
    let mut trainer: Trainer<T> = Trainer::new(target, divergence(name).unwrap(), settings).unwrap();
    while !trainer.is_finished() {
        trainer.step().unwrap();
    }
    let state = trainer.state();
    let numbers = state.matrices.values().flat_map(|m| m.as_slice().iter().map(|x| x.to_f64()));
    let doubles = state
        .doubles
        .values()
        .chain([&trainer.generator().sample(3_000, 5, 2)])
        .flat_map(Matrix::as_slice)
        .copied()
        .collect::<Vec<_>>();
    numbers.chain(doubles).map(f64::to_bits).collect()
}

fn in_pool<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// Proves that 1, 2, 3, 4 and 64 threads give the same parameters, moments and samples to the last bit: both precisions, with codes and
/// without, targets with a closed blur and with drawn ones, with and without the search for a frame, low and high dimension.
#[test]
fn any_number_of_threads() {
    for (target, name, codes) in [
        ("gmm9", "reverse-kl", 32),
        ("two-moons", "jensen-shannon", 0),
        ("many-well-8", "forward-kl", 16),
        ("funnel-10", "le-cam", 32),
    ] {
        let target = by_name(target).unwrap();
        let run = |threads: usize| {
            in_pool(threads, || (bits::<f32>(&target, name, codes), bits::<f64>(&target, name, codes)))
        };
        let one = run(1);
        assert!(one.0.len() > 6_000);
        for threads in [2, 3, 4, 64] {
            assert!(run(threads) == one, "{name} with {codes} codes on {threads} threads");
        }
    }
}
