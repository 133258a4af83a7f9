//! The one loop: every velocity with every model, wrong velocities by name, and who may move a model.

use pushforward::density::{Target, by_name};
use pushforward::estimate::all_estimators;
use pushforward::linalg::Matrix;
use pushforward::model::{Particles, ParticlesSettings, all_models};
use pushforward::run::{Method, PRESETS, Run, refused_pairs};
use pushforward::settings::Section;
use pushforward::state::Stateful;
use pushforward::velocity::{Field, Kind, Pull, Scene, Velocity, all_velocities};
use pushforward::{Error, Result};
use std::path::Path;

mod trial;
use trial::small;

/// The pairs (velocity, model) that make no sense.
const REFUSED: [(&str, &str); 12] = [
    ("diffusive", "flow"),
    ("matching", "flow"),
    ("ula", "generator"),
    ("ula", "flow"),
    ("mala", "generator"),
    ("mala", "flow"),
    ("log-variance", "generator"),
    ("log-variance", "particles"),
    ("riesz", "generator"),
    ("riesz", "flow"),
    ("perturbed", "generator"),
    ("perturbed", "flow"),
];

fn in_pool<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// Checks that every velocity moves every model that can follow it, with finite samples that have moved; that it resumes from every step
/// to the same bits on 1, 2 and 3 threads; that its figures have names; and that the pairs that are refused, by name, are those of the list.
#[test]
fn every_velocity_with_every_model() {
    let mut refused = Vec::new();
    for velocity in all_velocities() {
        let target = velocity.trial();
        for model in all_models() {
            let (v, m) = (velocity.name(), model.name());
            let method = small(m, v, &target).unwrap();
            let mut run = match method.start(&target, None) {
                Ok(run) => run,
                Err(error @ (Error::Mismatch { .. } | Error::Unsupported { .. })) => {
                    let words = error.to_string();
                    assert!(words.contains(v) || words.contains("replay"), "{words}");
                    refused.push((v, m));
                    continue;
                }
                Err(error) => panic!("{v} with {m}: {error}"),
            };
            let start = run.sample(64, 0, 0);
            let mut states = Vec::new();
            while !run.is_finished() {
                states.push(run.state());
                let report = run.step().unwrap();
                assert!(!report.skipped && !report.figures.is_empty(), "{v} with {m}");
                assert!(report.figures.iter().all(|f| !f.key.is_empty() && !f.label.is_empty() && f.value.is_finite()));
            }
            let end = run.sample(64, 0, 0);
            assert!(end.is_finite() && end != start, "{v} with {m}");
            for (k, saved) in states.iter().enumerate() {
                let again = in_pool(1 + k % 3, || {
                    let mut again = method.resume(&target, saved).unwrap();
                    again.finish().unwrap();
                    again.state()
                });
                assert!(again == run.state(), "{v} with {m}, resumed at step {k}");
            }
        }
    }
    assert_eq!(refused, REFUSED);
    assert_eq!(refused_pairs(), REFUSED);
}

/// A velocity that is wrong in a way of one's choice.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    NotANumber,
    Shape,
    Growth,
    Kind,
    Nothing,
}

impl Stateful for Wrong {}

impl Velocity for Wrong {
    fn name(&self) -> &str {
        "wrong"
    }
    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        let (n, d) = scene.x.shape();
        let mut field = Field::of(Matrix::filled(n, d, 1.0));
        match self {
            Wrong::NotANumber => field.velocity[(n / 2, 0)] = f64::NAN,
            Wrong::Shape => field.velocity = Matrix::filled(n, d + 1, 1.0),
            Wrong::Growth => field.growth = Some(vec![0.0; n - 1]),
            Wrong::Kind => {
                return Ok(Pull::Displacement { by: field.velocity, accepted: 1.0, figures: Vec::new() });
            }
            Wrong::Nothing => {}
        }
        Ok(Pull::Points(field))
    }
}

/// Checks that a velocity that returns NaN, another shape, another number of growth rates or another kind is refused by its name, by every
/// model, and leaves the run as it was; and that the same velocity without a mistake moves it.
#[test]
fn wrong_velocities_are_refused_by_name() {
    let target = Target::of(by_name("gmm9").unwrap());
    assert_eq!(Wrong::Nothing.kind(), Kind::Points);
    for model in ["generator", "flow", "particles"] {
        for wrong in [Wrong::NotANumber, Wrong::Shape, Wrong::Growth, Wrong::Kind, Wrong::Nothing] {
            let method = small(model, "drift", &target).unwrap();
            let start = pushforward::model::Start {
                target: &target,
                training: &target,
                frame: method.frame.clone(),
                points: None,
                single: true,
                seed: 0,
            };
            let built = method.model.build(start).unwrap().model;
            let mut run = Run::new(built, Box::new(wrong), 3, 0).unwrap();
            let before = run.state();
            match (wrong, run.step()) {
                (Wrong::Nothing, Ok(_)) => assert!(run.state() != before),
                (Wrong::Nothing, Err(error)) => panic!("{model}: {error}"),
                (_, Err(error @ Error::BadVelocity { .. })) => {
                    assert!(error.to_string().contains("'wrong'"), "{error}");
                    assert!(run.state() == before, "{model}, {wrong:?}");
                }
                (_, other) => panic!("{model}, {wrong:?}: {other:?}"),
            }
        }
    }
}

/// Checks that only the loop moves a model: no other file of the library or the command calls `follow`, but for the one that declares it.
#[test]
fn only_the_loop_moves_a_model() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut open, mut found) = (vec![root.join("src"), root.join("cli/src")], Vec::new());
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                if text.lines().any(|l| l.split("//").next().unwrap_or("").contains(".follow(")) {
                    found.push(path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/"));
                }
            }
        }
    }
    assert_eq!(found, ["src/run/run.rs"]);
}

/// Checks that the defaults of every part are allowed, that every setting says what it means in a sentence, and that a key that a method
/// does not have is refused with its name and the keys that it has.
#[test]
fn settings_describe_themselves() {
    let target = Target::of(by_name("gmm9").unwrap());
    let check = |section: &dyn Section| {
        section.check().unwrap();
        for key in section.keys() {
            assert!(key.meaning.ends_with('.') && key.meaning.len() > 5, "{}: {}", key.name, key.meaning);
            assert!(section.get(key.name).is_some());
        }
    };
    for velocity in all_velocities() {
        for model in all_models() {
            let method = Method::of(model.name(), velocity.name(), "kde", &target).unwrap();
            method.sections().into_iter().for_each(check);
        }
    }
    for estimator in all_estimators() {
        let mut method = Method::of("particles", "drift", estimator.name(), &target).unwrap();
        method.sections().into_iter().for_each(check);
        let words = method.set("colour", 1.0).unwrap_err().to_string();
        let keys =
            method.sections().into_iter().flat_map(|s| s.keys().iter().map(|k| format!("{}.{}", s.part(), k.name)));
        let missing: Vec<String> = keys.filter(|key| !words.contains(key.as_str())).collect();
        assert!(
            words.contains("'particles-drift'") && words.contains("'colour'") && missing.is_empty(),
            "{missing:?}: {words}"
        );
    }
    for preset in PRESETS {
        Method::preset(preset.name, &target).unwrap().check().unwrap();
    }
    let mut method = Method::preset("flow", &target).unwrap();
    let words = method.set("bandwidth_start", 1.0).unwrap_err().to_string();
    assert!(
        words.contains("'flow'") && words.contains("model.couplings") && words.contains("velocity.clip"),
        "{words}"
    );
    let words = method.set("clip", -1.0).unwrap_err().to_string();
    assert!(words.contains("clip = -1"), "{words}");
}

/// Checks that a start that no particles can have is refused with the place.
#[test]
fn starts_that_cannot_be() {
    let new = |x: Matrix| Particles::new(x, Default::default(), ParticlesSettings::default()).err().unwrap();
    let nan = new(Matrix::from_rows(&[[0.0, 1.0], [2.0, f64::NAN]]));
    assert!(matches!(nan, Error::BadSample { row: 1, column: 1, .. }), "{nan}");
    assert!(matches!(new(Matrix::zeros(0, 2)), Error::Dimension { .. }));
}
