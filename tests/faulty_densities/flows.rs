//! The faulty densities against the training of flows: every objective and reference, both kinds of couplings and of bases.

use crate::faults::{At, FAULTS, Faulty, MISTAKE, only_mistakes_of_others, verdict, words};
use pushforward::density::Affine;
use pushforward::density::Density;
use pushforward::divergence::by_name;
use pushforward::linalg::Matrix;
use pushforward::model::flow::{Architecture, CouplingKind, Flow, FlowSettings, Objective, Reference};
use pushforward::num::Real;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::FlowTrainer;
use pushforward::{Error, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Drifts that weigh what the model misses (neyman), what it has too much of (reverse KL), and log-variance with every reference.
const OBJECTIVES: [&str; 6] = ["reverse-kl", "neyman", "model", "gaussian", "geometric", "replay"];

fn objective(name: &str) -> Objective {
    match Reference::by_name(name) {
        Ok(reference) => Objective::LogVariance(reference),
        Err(_) => Objective::Drift(by_name(name).unwrap()),
    }
}

fn settings() -> FlowSettings {
    FlowSettings { steps: 6, batch: 64, couplings: 2, hidden: vec![6], ..FlowSettings::default() }
}

/// A trainer in a given frame, without the search that [`FlowTrainer::new`] begins with.
fn given<T: Real>(target: &Arc<dyn Density>, name: &str, spline: bool) -> Result<FlowTrainer<T>> {
    let d = target.dim();
    let coupling = if spline { CouplingKind::Spline { bins: 4, reach: 3.0 } } else { CouplingKind::Affine };
    let architecture = Architecture { coupling, couplings: 2, hidden: vec![6], components: if spline { 3 } else { 1 } };
    let flow = Flow::new(Affine::identity(d), architecture, 1);
    FlowTrainer::with_flow(target, flow, normal_matrix(1, Purpose::Check, 0, 256, d), objective(name), settings())
}

/// Trains to the end; the flow is finite after every step.
fn train<T: Real>(trainer: Result<FlowTrainer<T>>) -> Result<()> {
    let mut trainer = trainer?;
    while !trainer.is_finished() {
        let step = trainer.step();
        assert!(trainer.state().matrices.values().all(Matrix::is_finite), "a parameter or moment is not finite");
        assert!(trainer.flow().sample_block(64, 1, 0).is_finite(), "a sample is not finite");
        let report = step?;
        assert!(report.skipped || (report.drift.is_finite() && report.effective_samples.is_finite()), "{report:?}");
        assert!(report.skipped || report.mean_log_density < f64::INFINITY, "{report:?}");
    }
    Ok(())
}

/// A training of one density to its end, by its name and dimension.
fn one(d: usize, at: At, name: &str, searched: bool, wide: bool) -> Result<()> {
    let target: Arc<dyn Density> = Arc::new(Faulty { d, at });
    match (searched, wide) {
        (true, _) => train(FlowTrainer::<f32>::new(&target, objective(name), settings())),
        (_, true) => train(given::<f64>(&target, name, true)),
        (_, false) => train(given::<f32>(&target, name, false)),
    }
}

/// Proves the documented outcome of each faulty density in 1 and 3 dimensions for flows: every objective in a given frame (f32 with
/// affine couplings and one Gaussian as base, f64 with splines and a mixture), and one behind a search; that each ends within seconds;
/// and that parameters, moments and samples are finite after every step, also after the one that failed.
#[test]
fn every_fault_has_its_outcome_for_flows() {
    only_mistakes_of_others();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for &(fault, at, framed, searched) in FAULTS {
        for d in [1, 3] {
            let all = OBJECTIVES.iter().flat_map(|name| [(*name, false, false), (*name, false, true)]);
            // the search is that of the generators, which see it in every dimension
            let behind_search = (d == 3).then_some(("replay", true, false));
            for (name, search, wide) in all.chain(behind_search) {
                count += 1;
                let (start, expected) = (Instant::now(), if search { searched } else { framed });
                let what = format!("{fault}, d = {d}, {name}, search {search}, splines {wide}");
                match std::panic::catch_unwind(|| one(d, at, name, search, wide)) {
                    Err(payload) => wrong.push(format!("{what} panicked: {:?}", words(&*payload))),
                    Ok(found) => wrong.extend(verdict(expected, &found).map(|why| format!("{what} {why}"))),
                }
                if start.elapsed() > Duration::from_secs(20) {
                    wrong.push(format!("{what} took {:?}", start.elapsed()));
                }
            }
        }
    }
    println!("{count} trainings of flows on {} faulty densities", FAULTS.len());
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Proves that after a panic of the density the trainer of a flow is as it was before the step, to the last bit of its state.
#[test]
fn a_panic_changes_nothing_of_a_flow() {
    only_mistakes_of_others();
    let target: Arc<dyn Density> = Arc::new(Faulty { d: 2, at: |_, _| panic!("{MISTAKE}") });
    for name in OBJECTIVES {
        let mut trainer = given::<f64>(&target, name, true).unwrap();
        let before = trainer.state();
        let error = trainer.step().unwrap_err();
        assert!(matches!(&error, Error::Panicked { message, .. } if message == MISTAKE), "{error}");
        assert_eq!(trainer.state(), before, "{name}");
    }
}
