//! The same seed gives the same bits on any number of threads, for every trainer.

use pushforward::density::{Density, by_name};
use pushforward::divergence::by_name as divergence;
use pushforward::linalg::Matrix;
use pushforward::model::flow::{CouplingKind, FlowSettings, Objective, Reference};
use pushforward::num::Real;
use pushforward::run::FlowTrainer;
use pushforward::run::{Settings, State, Trainer};
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
    state_bits(&trainer.state(), &trainer.generator().sample(3_000, 5, 2))
}

/// A state and samples, as bits.
fn state_bits<T: Real>(state: &State<T>, samples: &Matrix) -> Vec<u64> {
    let numbers = state.matrices.values().flat_map(|m| m.as_slice().iter().map(|x| x.to_f64()));
    let doubles = state.doubles.values().chain([samples]).flat_map(Matrix::as_slice).copied().collect::<Vec<_>>();
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

/// Everything that the training of a flow leaves, as bits; the log-density of its samples too.
fn flow_bits<T: Real>(target: &Arc<dyn Density>, objective: Objective, coupling: CouplingKind) -> Vec<u64> {
    let settings = FlowSettings {
        steps: 4,
        batch: 700,
        coupling,
        couplings: 3,
        hidden: vec![24],
        seed: 11,
        ..FlowSettings::for_target(&**target)
    };
    let mut trainer: FlowTrainer<T> = FlowTrainer::new(target, objective, settings).unwrap();
    while !trainer.is_finished() {
        trainer.step().unwrap();
    }
    let (samples, log_q) = trainer.flow().sample_with_log_density(3_000, 5, 2);
    let mut bits = state_bits(&trainer.state(), &samples);
    bits.extend(log_q.iter().map(|l| l.to_bits()));
    bits
}

/// Proves the same for flows, behind their search: both precisions, the drift and log-variance, affine couplings and splines, targets with
/// modes and without, low and high dimension.
#[test]
fn flows_on_any_number_of_threads() {
    let drift = |name: &str| Objective::Drift(divergence(name).unwrap());
    let spline = CouplingKind::Spline { bins: 6, reach: 3.0 };
    for (target, objective, coupling) in [
        ("ring8", drift("reverse-kl"), CouplingKind::Affine),
        ("two-moons", drift("jensen-shannon"), spline),
        ("gmm9", Objective::LogVariance(Reference::Replay), spline),
        ("many-well-8", Objective::LogVariance(Reference::Geometric(0.5)), CouplingKind::Affine),
    ] {
        let p = by_name(target).unwrap();
        let run = |threads: usize| {
            in_pool(threads, || match coupling {
                CouplingKind::Affine => flow_bits::<f32>(&p, objective.clone(), coupling),
                CouplingKind::Spline { .. } => flow_bits::<f64>(&p, objective.clone(), coupling),
            })
        };
        let one = run(1);
        assert!(one.len() > 6_000);
        for threads in [2, 3, 4, 64] {
            assert!(run(threads) == one, "a flow for {target} on {threads} threads");
        }
    }
}
