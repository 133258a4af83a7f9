//! Methods: a model, a velocity and an estimator with all their settings, under one name.

use crate::density::{Affine, Counter, Counts, Domain, Phase, Target};
use crate::error::{Error, Result};
use crate::estimate::{EstimatorSettings, all_estimators};
use crate::linalg::Matrix;
use crate::model::{Built, Model, ModelSettings, Start, all_models};
use crate::run::Run;
use crate::run::presets::PRESETS;
use crate::search::{frame_of, time_scale};
use crate::settings::{Section, Value};
use crate::state::{State, Stateful};
use crate::velocity::{Ingredients, VelocitySettings, velocity_by_name};
use std::sync::Arc;

crate::settings! {
    /// Settings of the loop itself.
    pub struct RunSettings in "run" {
        /// Steps.
        steps: u64 = 2500, Rule::AtLeast(1);
        /// Key of every random number.
        seed: u64 = 0, Rule::AtLeast(0);
        /// Precision of networks and kernel estimates; densities are always f64.
        precision: String = "f32".into(), Rule::OneOf(&["f32", "f64"]);
    }
}

/// A way to sample: who moves, along what, and how q is estimated, with every setting.
pub struct Method {
    /// The preset's name, or those of model and velocity.
    pub name: String,
    /// The loop.
    pub run: RunSettings,
    /// The model.
    pub model: Box<dyn ModelSettings>,
    /// The velocity.
    pub velocity: Box<dyn VelocitySettings>,
    /// The estimate of q; not used where the velocity needs none.
    pub estimator: Box<dyn EstimatorSettings>,
    /// The units; found from the target where None.
    pub frame: Option<Affine>,
    /// What its defaults asked of the target.
    spent: Counts,
}

/// Noise levels at once where the noised target comes from draws of its posterior.
const LEVELS: u64 = 12;
/// Particles of a search for the units of a target.
const SEARCHED: f64 = 2048.0;

impl RunSettings {
    /// Whether networks and kernel estimates are f32.
    pub fn single(&self) -> bool {
        self.precision == "f32"
    }
}

impl Method {
    /// The preset `name` with the defaults for `target`. `Error::UnknownName` with the near names.
    pub fn preset(name: &str, target: &Target) -> Result<Self> {
        let known: Vec<&str> = PRESETS.iter().map(|p| p.name).collect();
        let unknown = || Error::unknown_name("method", name, &known);
        let preset = PRESETS.iter().find(|p| p.name == name).ok_or_else(unknown)?;
        let [model, velocity, estimator] = preset.parts;
        let mut method = Self::of(model, velocity, estimator, target)?;
        method.name = name.into();
        method.frame = preset.own_units.then(|| Affine::identity(target.dim()));
        for (key, value) in preset.overrides {
            method.set(key, value.on(target))?;
        }
        Ok(method)
    }

    /// Any model, velocity and estimator by name, with the defaults for `target`.
    pub fn of(model: &str, velocity: &str, estimator: &str, target: &Target) -> Result<Self> {
        target.check()?;
        let models = all_models();
        let known: Vec<&str> = models.iter().map(|m| m.name()).collect();
        let unknown = Error::unknown_name("model", model, &known);
        let model = models.into_iter().find(|m| m.name() == model).ok_or(unknown)?;
        let estimators = all_estimators();
        let known: Vec<&str> = estimators.iter().map(|e| e.name()).collect();
        let unknown = Error::unknown_name("estimator", estimator, &known);
        let estimator = estimators.into_iter().find(|e| e.name() == estimator).ok_or(unknown)?;
        let velocity = velocity_by_name(velocity)?;
        let run = RunSettings::default();
        let name = format!("{}-{}", model.name(), velocity.name());
        let spent = Counts::default();
        let mut method = Self { name, run, model, velocity, estimator, frame: None, spent };
        let counter = Arc::<Counter>::default();
        method.adapt(&target.counted(&counter, Phase::Search))?;
        method.spent = counter.counts();
        Ok(method)
    }

    /// For particles: the step in time that their velocity takes on this target, and as many steps as it usually needs
    /// ([`VelocitySettings::pace`]). Where the target has no exact samples this makes a search. Other models stay as they are.
    pub fn paced(mut self, target: &Target) -> Result<Self> {
        if self.model.name() != "particles" || matches!(target.domain, Domain::Torus(_)) {
            return Ok(self);
        }
        let counter = Arc::new(Counter::from(self.spent));
        let counted = target.counted(&counter, Phase::Search);
        let scales = counted.densities.iter().map(|p| time_scale(&**p, self.run.seed)).collect::<Result<Vec<f64>>>()?;
        let (dt, steps) = self.velocity.pace(scales.into_iter().reduce(f64::min));
        self.run.steps = steps;
        if let Some(dt) = dt {
            self.model.set("dt", &Value::Number(dt))?;
        }
        self.spent = counter.counts();
        Ok(self)
    }

    /// The defaults that depend on the target.
    fn adapt(&mut self, target: &Target) -> Result<()> {
        let modes = target.densities.first().and_then(|p| p.mixture().map(|m| m.components()));
        match (self.model.name(), modes) {
            // it starts near p, and its own density has no bandwidth that has to fall
            ("generator", _) if self.estimator.name() == "exact" => {
                self.run.steps = 400;
                self.model.set("learning_rate", &Value::Number(1e-3))?;
                if self.velocity.name() == "sinkhorn" && target.densities.len() == 1 {
                    self.velocity.set("polish", &Value::Number(0.5))?;
                }
            }
            // the score is learnt from samples: no noise is needed for a density, and pieces may bend as far as the network bends them
            ("generator", _) if self.estimator.name() == "score" => {
                self.run.steps = 600;
                self.estimator.set("score_steps", &Value::Whole(3))?;
                self.model.set("noise", &Value::Number(0.0))?;
                self.model.set("learning_rate", &Value::Number(1e-3))?;
            }
            // what 40 modes need (2,500 steps, 100 reference particles a mode), scaled by the number of modes
            ("generator", Some(modes)) => {
                self.run.steps = (500 + 50 * modes as u64).clamp(1000, 2500);
                if self.estimator.name() == "kde" {
                    let sample = (128 * modes).clamp(2048, 4096) as u64;
                    self.estimator.set("sample", &Value::Whole(sample))?;
                }
            }
            // in two dimensions a mixture base does most of the work
            ("flow", _) if target.dim() <= 2 => {
                self.run.steps = 1000;
                self.model.set("couplings", &Value::Whole(4))?;
            }
            ("flow", _) => self.run.steps = 2000,
            ("particles", _) => {
                self.run.steps = 1000;
                self.run.precision = "f64".into();
                // particles live in the target's own units; a generator's wide start would hardly move them: V_h falls like 1/h²
                let lengths: &[(&str, f64)] = match (self.estimator.name(), self.velocity.name()) {
                    ("kde", "diffusive") => &[("bandwidth_start", 1.2), ("bandwidth_end", 0.03)],
                    ("score", "diffusive" | "matching") => &[("noise_start", 1.2), ("noise_end", 0.03)],
                    ("kde", _) => &[("bandwidth_start", 0.25), ("bandwidth_end", 0.03)],
                    ("score", _) => &[("noise_start", 0.25), ("noise_end", 0.03)],
                    _ => &[],
                };
                if let (true, false, Some(p)) =
                    (self.velocity.uses_estimator(), lengths.is_empty(), target.densities.first())
                {
                    let scale = frame_of(&**p, self.run.seed)?.scale();
                    for (key, share) in lengths {
                        self.estimator.set(key, &Value::Number(share * scale))?;
                    }
                    if self.estimator.name() == "kde" {
                        self.estimator.set("neighbours", &Value::Number(20.0))?;
                    }
                }
            }
            _ => {}
        }
        if !matches!(self.velocity.name(), "diffusive" | "matching") {
            return Ok(());
        }
        // all levels at once
        if self.estimator.name() == "score" {
            self.estimator.set("objective", &Value::from("denoising"))?;
            if self.velocity.name() == "matching" && self.model.name() != "particles" {
                self.estimator.set("noise_start", &Value::Number(1.5))?;
                self.estimator.set("noise_end", &Value::Number(0.04))?;
            }
        }
        if self.estimator.keys().iter().any(|k| k.name == "levels") {
            self.estimator.set("levels", &Value::Whole(LEVELS))?;
        }
        if self.model.name() == "particles" && self.velocity.name() == "diffusive" {
            // their units have no centre
            self.velocity.set("proposal", &Value::Number(0.0))?;
        }
        Ok(())
    }

    /// Its sections: run, model, velocity, and estimator where the velocity uses one.
    pub fn sections(&self) -> Vec<&dyn Section> {
        let mut out: Vec<&dyn Section> = vec![&self.run, &*self.model, &*self.velocity];
        if self.velocity.uses_estimator() {
            out.push(&*self.estimator);
        }
        out
    }

    /// Whether it has the setting `key`, alone or as `section.key`.
    pub fn has(&self, key: &str) -> bool {
        let (part, name) = key.split_once('.').map_or((None, key), |(part, name)| (Some(part), name));
        let holds = |s: &&dyn Section| part.is_none_or(|p| p == s.part()) && s.keys().iter().any(|k| k.name == name);
        self.sections().iter().any(holds)
    }

    /// Changes a setting: `key` alone, or `section.key` where several sections have it.
    ///
    /// `Error::Setting` with the range; a key that this method does not have is refused with the method's name and the keys that it has.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) -> Result<()> {
        let value = &value.into();
        let (part, name) = key.split_once('.').map_or((None, key), |(part, name)| (Some(part), name));
        let uses_estimator = self.velocity.uses_estimator();
        let holds = |s: &dyn Section| part.is_none_or(|p| p == s.part()) && s.keys().iter().any(|k| k.name == name);
        let found: Vec<&str> = self.sections().iter().filter(|s| holds(**s)).map(|s| s.part()).collect();
        match found.as_slice() {
            ["run"] => self.run.set(name, value),
            ["model"] => self.model.set(name, value),
            ["velocity"] => self.velocity.set(name, value),
            ["estimator"] if uses_estimator => self.estimator.set(name, value),
            [] => Err(self.refuse(key)),
            several => {
                let words: Vec<String> = several.iter().map(|part| format!("{part}.{name}")).collect();
                let what = format!("'{name}' is a setting of several parts");
                Err(Error::Mismatch { what, remedy: format!("say {}", words.join(" or ")) })
            }
        }
    }

    /// The same method with a setting changed; errors as [`Method::set`].
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Result<Self> {
        self.set(key, value)?;
        Ok(self)
    }

    /// The error for a key that it does not have.
    fn refuse(&self, key: &str) -> Error {
        let all: Vec<String> =
            self.sections().iter().flat_map(|s| s.keys().iter().map(|k| format!("{}.{}", s.part(), k.name))).collect();
        Error::Mismatch {
            what: format!("the method '{}' has no setting '{key}'", self.name),
            remedy: format!("it has {}", all.join(", ")),
        }
    }

    /// `Error` at the first setting that is out of range, or at parts that do not go together.
    pub fn check(&self) -> Result<()> {
        self.sections().iter().try_for_each(|s| s.check())?;
        self.model.validate()?;
        self.velocity.validate()?;
        if !self.velocity.uses_estimator() {
            return self.check_precision();
        }
        self.estimator.validate()?;
        self.check_ratio()
    }

    /// `Error::Mismatch` for f32 where nothing is: particles are always f64, and only their estimates of q can be less.
    fn check_precision(&self) -> Result<()> {
        if self.model.name() != "particles" || !self.run.single() {
            return Ok(());
        }
        let what = format!("precision = f32, and particles along '{}' are moved in f64", self.velocity.name());
        Err(Error::Mismatch { what, remedy: "leave the precision out".into() })
    }

    /// `Error::Mismatch` where weights or births ask for log q and the estimator gives its gradient alone.
    fn check_ratio(&self) -> Result<()> {
        if self.estimator.gives_density() {
            return Ok(());
        }
        let asks = match (self.velocity.get("divergence"), self.model.get("birth_death")) {
            (Some(Value::Text(name)), _) if name != "reverse-kl" => format!("the divergence '{name}'"),
            (_, Some(Value::Number(rate))) if rate > 0.0 => format!("birth_death = {rate}"),
            _ => return Ok(()),
        };
        let what =
            format!("{asks} asks for log q, and the estimator '{}' gives its gradient alone", self.estimator.name());
        Err(Error::Mismatch { what, remedy: "set form=potential".into() })
    }

    /// Bytes that a run takes at least in `dim` dimensions; in f64, so that sizes beyond any machine do not overflow.
    pub fn memory(&self, dim: usize) -> f64 {
        let whole = |key| match self.estimator.get(key) {
            Some(Value::Whole(n)) => n as usize,
            _ => 0,
        };
        let reference = if self.velocity.uses_estimator() { whole("sample") } else { 0 };
        let d = dim as f64;
        let search = if self.frame.is_none() { 8.0 * (3.0 * SEARCHED * d + 2.0 * d * d) } else { 0.0 };
        self.model.memory(dim, reference, self.run.single()) + self.velocity.memory(dim) + search
    }

    /// The run at its start. `points` (N×d) are where particles start, or what a generator carries; a flow takes none.
    pub fn start(&self, target: &Target, points: Option<Matrix>) -> Result<Run> {
        self.check()?;
        target.check()?;
        if let (Some(_), "flow") = (&points, self.model.name()) {
            let what = "the model 'flow' has a law of its own to start from, and takes no points".into();
            return Err(Error::Mismatch { what, remedy: "choose the model 'generator' or 'particles'".into() });
        }
        if let (Domain::Torus(_), model @ ("generator" | "flow")) = (&target.domain, self.model.name()) {
            let velocity = self.velocity.name();
            return Err(Error::Mismatch {
                what: format!("the model '{model}' cannot start on a torus, where the velocity '{velocity}' leads"),
                remedy: "choose the model 'particles'".into(),
            });
        }
        let counter = Arc::new(Counter::from(self.spent));
        let (searched, training) = (target.counted(&counter, Phase::Search), target.counted(&counter, Phase::Training));
        let Built { model, particles } = self.model.build(self.beginning(&searched, &training, points))?;
        self.run_of(target, model, particles, counter)
    }

    /// The run that `state` belongs to, where it stopped: the same bits as without the stop. No search is made.
    pub fn resume(&self, target: &Target, state: &State) -> Result<Run> {
        self.check()?;
        target.check()?;
        let (inner, counter) = (state.part("model"), Arc::<Counter>::default());
        let training = target.counted(&counter, Phase::Training);
        let model = self.model.rebuild(self.beginning(target, &training, None), &inner)?;
        // what a search found is in the velocity's own state, and what was counted in the run's
        let particles = Some(Matrix::zeros(1, target.dim()));
        let mut run = self.run_of(target, model, particles, counter)?;
        run.restore(state)?;
        Ok(run)
    }

    fn beginning<'a>(&self, target: &'a Target, training: &'a Target, points: Option<Matrix>) -> Start<'a> {
        let (frame, single, seed) = (self.frame.clone(), self.run.single(), self.run.seed);
        Start { target, training, frame, points, single, seed }
    }

    /// The run of a model along the velocity, which sees the target in the model's units.
    fn run_of(
        &self,
        target: &Target,
        model: Box<dyn Model>,
        particles: Option<Matrix>,
        counter: Arc<Counter>,
    ) -> Result<Run> {
        // outside the change of units, which may know closed forms of its own
        let target = model.aim(target)?.standardised(model.frame())?.counted(&counter, Phase::Training);
        let uses = self.velocity.uses_estimator();
        let estimator = uses.then(|| self.estimator.build(self.run.single())).transpose()?;
        let velocity = self.velocity.build(Ingredients { target, estimator, particles, seed: self.run.seed })?;
        Ok(Run::new(model, velocity, self.run.steps, self.run.seed)?.counted_by(counter))
    }
}

impl Clone for Method {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            run: self.run.clone(),
            model: self.model.copy(),
            velocity: self.velocity.copy(),
            estimator: self.estimator.copy(),
            frame: self.frame.clone(),
            spent: self.spent,
        }
    }
}
