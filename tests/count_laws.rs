//! The counts of evaluations that a run reports, against those of a density that counts itself.

use pushforward::Result;
use pushforward::density::{Affine, Count, Density, Domain, Phase, Target, by_name};
use pushforward::linalg::Matrix;
use pushforward::model::all_models;
use pushforward::run::{Method, PRESETS};
use pushforward::state::Stateful;
use pushforward::velocity::all_velocities;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Points that a density was asked for, in total: of log p~ alone and with the score. A `forgetful` one leaves out single points.
#[derive(Default)]
struct Own {
    log_density: AtomicU64,
    score: AtomicU64,
    forgetful: bool,
}

impl Own {
    fn add(&self, to: &AtomicU64, x: &Matrix) {
        if !(self.forgetful && to.load(SeqCst) > 100) {
            to.fetch_add(x.rows() as u64, SeqCst);
        }
    }

    fn count(&self) -> Count {
        Count { log_density: self.log_density.load(SeqCst), score: self.score.load(SeqCst) }
    }
}

/// A density known by its values alone, which counts them.
struct Watched(Arc<dyn Density>, Arc<Own>);

impl Density for Watched {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.1.add(&self.1.log_density, x);
        self.0.log_density_into(x, out)
    }
    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.1.add(&self.1.score, x);
        self.0.evaluate_into(x, log_density, score)
    }
    fn is_known(&self) -> bool {
        self.0.is_known()
    }
}

fn watched(target: &Target, own: &Arc<Own>) -> Target {
    let one = |p: &Arc<dyn Density>| Arc::new(Watched(Arc::clone(p), Arc::clone(own))) as Arc<dyn Density>;
    Target { densities: target.densities.iter().map(one).collect(), ..target.clone() }
}

/// A method of a moment.
fn small(mut method: Method) -> Result<Method> {
    for (key, value) in [
        ("steps", 3),
        ("batch", 64),
        ("sample", 128),
        ("codes", 8),
        ("particles", 64),
        ("search_particles", 64),
        ("couplings", 2),
        ("components", 3),
    ] {
        if method.has(key) {
            method.set(key, value)?;
        }
    }
    if method.has("hidden") { method.with("hidden", vec![6]) } else { Ok(method) }
}

/// What the run of `make` reports, and what the density counted itself. A resume on three threads ends with the same counts.
fn both(target: &Target, own: &Arc<Own>, make: impl FnOnce(&Target) -> Result<Method>) -> Result<Option<[Count; 2]>> {
    let target = watched(target, own);
    let method = small(make(&target)?)?;
    let Ok(mut run) = method.start(&target, None) else { return Ok(None) };
    run.step()?;
    let saved = run.state();
    run.finish()?;
    let (counts, counted) = (run.counts(), own.count());
    assert_eq!((counts.of(Phase::Certificate), counts.of(Phase::Other)), (Count::default(), Count::default()));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let resumed = pool.install(|| {
        let mut again = method.resume(&target, &saved)?;
        again.finish()?;
        Ok::<_, pushforward::Error>(again.state())
    })?;
    // the counts are a part of the state
    assert_eq!(resumed, run.state());
    Ok(Some([counts.all(), counted]))
}

/// Checks that the reported numbers are those that the density counted itself, exactly, over every velocity with every model that follows
/// it, where units are given and where a search finds them, and over every preset; and that a resumed run reports the same.
#[test]
fn reported_counts_are_exact() {
    let mut pairs = 0;
    for velocity in all_velocities() {
        let target = velocity.trial();
        for model in all_models() {
            let name = format!("{} with {}", velocity.name(), model.name());
            let estimator = if model.name() == "flow" { "exact" } else { velocity.estimator() };
            let scale = if target.domain == Domain::Euclidean { 4.0 } else { 1.0 };
            let own = Arc::<Own>::default();
            let found = both(&target, &own, |target| {
                let mut method = Method::of(model.name(), velocity.name(), estimator, target)?;
                method.frame = Some(Affine::new(vec![0.0; target.dim()], scale)?);
                Ok(method)
            });
            let Some([reported, counted]) = found.unwrap_or_else(|e| panic!("{name}: {e}")) else { continue };
            assert_eq!(reported, counted, "{name}");
            pairs += usize::from(counted.total() > 0);
        }
    }
    assert!(pairs > 10, "{pairs}");
    let target = Target::of(by_name("ring8").unwrap());
    for preset in PRESETS {
        let own = Arc::<Own>::default();
        let found = both(&target, &own, |target| Method::preset(preset.name, target));
        let [reported, counted] = found.unwrap().unwrap();
        assert!(reported == counted && counted.total() > 0, "{}: {counted:?}", preset.name);
    }
}

/// Checks that a density whose own count is wrong is noticed, and that evaluations are told apart by what they were for: those of ULA are
/// one score a particle and step, and a search for the units.
#[test]
fn a_wrong_count_is_noticed() {
    let target = Target::of(by_name("ring8").unwrap());
    let own = Arc::new(Own { forgetful: true, ..Own::default() });
    let [reported, counted] = both(&target, &own, |target| Method::preset("ula", target)).unwrap().unwrap();
    assert_ne!(reported, counted);
    let method = small(Method::preset("ula", &watched(&target, &Arc::default())).unwrap()).unwrap();
    let mut run = method.start(&watched(&target, &Arc::default()), None).unwrap();
    let search = run.counts();
    assert!(search.of(Phase::Search).log_density > 1000 && search.of(Phase::Training) == Count::default());
    run.finish().unwrap();
    assert_eq!(run.counts().of(Phase::Training), Count { log_density: 0, score: 3 * 64 });
    assert_eq!(run.counts().of(Phase::Search), search.of(Phase::Search));
}
