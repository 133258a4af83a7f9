//! What a page asks for: the words of an address, and the runs that they mean.

use crate::config::{Config, Given, to_toml};
use crate::failure::{Failure, Outcome};
use crate::lab::controls::{CONTROLS, Control, MODELS, Widget};
use crate::lab::words::{at_its_place, decode, mixture, number};
use crate::target::{self, Target, formula};
use crate::training::Job;
use pushforward::settings::Value;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Most runs side by side.
pub const MOST_PANES: usize = 3;
/// Most particles of a run: a frame stays below a tenth of a second.
const MOST_PARTICLES: u64 = 4096;
/// Most steps of a run.
const MOST_STEPS: u64 = 100_000;
/// Most numbers that a formula may hold for all points of a step: some seconds.
const MOST_NUMBERS: usize = 30_000_000;
/// Fewest particles that a step is counted for; evaluations of a network's search beside which its steps count for little.
const LEAST_ROWS: usize = 1024;
const SEARCHED: usize = 1 << 17;
/// Draws behind the noised target of a formula ([`pushforward::velocity::UniversalSettings`]).
const DRAWS: usize = 16;
/// Bandwidth where none is asked for, in scales of the target.
const BANDWIDTH: f64 = 0.1;

/// What an address asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wish {
    words: BTreeMap<String, String>,
}

impl Wish {
    /// The words of a query such as `target=gmm9&h=0.3`. Fails at a word that nothing knows.
    pub fn read(query: &str) -> Outcome<Self> {
        let mut words = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decode(key)?, decode(value)?);
            if !KNOWN.contains(&key.as_str()) && !CONTROLS.iter().any(|c| c.key == key) {
                let known: Vec<&str> = KNOWN.iter().copied().chain(CONTROLS.iter().map(|c| c.key)).collect();
                return Err(pushforward::Error::unknown_name("control", &key, &known).into());
            }
            if !value.is_empty() {
                words.insert(key, value);
            }
        }
        Ok(Self { words })
    }

    /// The word of a key.
    pub fn word(&self, key: &str) -> Option<&str> {
        self.words.get(key).map(String::as_str)
    }

    /// The step at which the page wants to begin, paused.
    pub fn step(&self) -> Option<u64> {
        self.word("step").and_then(|w| w.parse().ok())
    }

    /// The target; `given` is the one of the command line.
    fn target(&self, given: &Target) -> Outcome<Target> {
        let silent = &mut |_| ();
        let target = match (self.word("formula"), self.word("modes"), self.word("target")) {
            (Some(formula), ..) => {
                let text = format!("kind = \"formula\"\ndim = 2\nlog_density = {}\n", toml::Value::from(formula));
                if let Err(mistake) = formula::compile(formula, 2, &[]) {
                    return Err(at_its_place(formula, &mistake));
                }
                self.affordable(formula)?;
                target::of_text("formula", "the formula", std::path::Path::new(""), &text, silent)?
            }
            (_, Some(modes), _) => {
                target::of_text("mixture", "the modes", std::path::Path::new(""), &mixture(modes)?, silent)?
            }
            (_, _, None) => given.clone(),
            (_, _, Some(name)) if name == given.name => given.clone(),
            (_, _, Some(name)) if target::is_path(name) => {
                return Err(Failure::input(format!(
                    "{name} is a path, and the page reads no files; name it on the command line: pushforward lab {name}"
                )));
            }
            (_, _, Some(name)) => target::load(name, silent)?,
        };
        let d = target.law().dim();
        if d != 2 || target.samples.is_some() || !target.others.is_empty() {
            let name = &target.name;
            return Err(Failure::input(format!(
                "{name} has {d} dimensions; the laboratory shows one density in the plane; 'pushforward particles {name}' moves any"
            )));
        }
        Ok(target)
    }

    /// Refuses a formula whose steps would take longer than anybody waits.
    fn affordable(&self, text: &str) -> Outcome<()> {
        let (numbers, n) = (formula::numbers(text, 2), self.shown()?);
        // the picture has many points too, and so has the search of a network or of another velocity
        let drift = self.word("velocity").is_none_or(|v| v == "drift") && self.word("start") != Some("search");
        let rows = if self.model() == "particles" && drift { n.max(LEAST_ROWS) * DRAWS } else { SEARCHED };
        let most = MOST_NUMBERS / rows;
        if numbers.is_none_or(|numbers| numbers <= most) {
            return Ok(());
        }
        Err(Failure::input(format!(
            "the formula needs {} numbers for one point, more than the {most} that a page with {n} particles allows; use shorter loops or \
             fewer particles, or the command 'particles'",
            numbers.unwrap_or(0)
        )))
    }

    /// How many particles or samples are shown.
    pub fn shown(&self) -> Outcome<usize> {
        let key = if self.model() == "particles" { "n" } else { "shown" };
        let n = self.word(key).map_or(Ok(1024.0), |w| number(key, w))?;
        if n.fract() == 0.0 && (2.0..=MOST_PARTICLES as f64).contains(&n) {
            return Ok(n as usize);
        }
        Err(Failure::input(format!("{key} = {n}; give a whole number from 2 to {MOST_PARTICLES}")))
    }

    /// τ of U (T5).
    pub fn level(&self) -> Outcome<f64> {
        let level = self.word("level").map_or(Ok(0.7), |w| number("level", w))?;
        if level.abs() <= 20.0 {
            return Ok(level);
        }
        Err(Failure::input(format!("level = {level}; give a number from -20 to 20")))
    }

    /// Who follows.
    fn model(&self) -> &str {
        self.word("model").unwrap_or(MODELS[0])
    }

    /// The runs, one for each divergence: the same as the command `particles` makes of the same settings.
    pub fn jobs(&self, given: &Target) -> Outcome<Vec<Job>> {
        if !MODELS.contains(&self.model()) {
            return Err(pushforward::Error::unknown_name("model", self.model(), MODELS).into());
        }
        let target = self.target(given)?;
        let divergences: Vec<&str> = self.word("divergence").unwrap_or("reverse-kl").split(',').collect();
        if divergences.len() > MOST_PANES {
            let found = divergences.len();
            return Err(Failure::input(format!("{found} divergences are named; give at most {MOST_PANES}")));
        }
        let mut base = Job::new(target.clone(), self.config(&target, None, Vec::new()))?;
        if base.method.velocity.name() == "drift" {
            return divergences.iter().map(|name| self.job(&target, &base, name)).collect();
        }
        // its own step in time and number of steps, where the page names none
        base.method = base.method.paced(&target.law())?;
        Ok(vec![self.job(&target, &base, "")?])
    }

    fn job(&self, target: &Target, base: &Job, divergence: &str) -> Outcome<Job> {
        let drift = base.method.velocity.name() == "drift";
        let mut given = Vec::new();
        let mut put = |key: &str, value: toml::Value| {
            given.push(Given { key: key.into(), value, place: "the page".into() });
        };
        if drift {
            put("velocity.divergence", divergence.into());
        }
        if drift && self.model() == "particles" {
            put("velocity.draws", (DRAWS as i64).into());
            // one bandwidth for all particles and all times: that of F_h
            let chosen = self.word("h").map_or(Ok(0.0), |w| number("h", w))?;
            let h = if chosen == 0.0 { own_bandwidth(base) } else { chosen };
            for key in ["estimator.bandwidth_start", "estimator.bandwidth_end"] {
                put(key, h.into());
            }
            put("estimator.neighbours", 0.0.into());
        }
        self.shown()?;
        self.level()?;
        for control in self.controls().filter(|c| !c.setting.is_empty()) {
            let own = if drift { None } else { paced(control, base) };
            if let Some(value) = self.value(control, own).transpose()?.filter(|_| drift || !control.drift) {
                put(control.setting, value);
            }
        }
        let job = Job::new(target.clone(), self.config(target, Some(base.method.velocity.name()), given))?;
        if job.steps() > MOST_STEPS {
            return Err(Failure::input(format!("steps = {}; give at most {MOST_STEPS}", job.steps())));
        }
        Ok(job)
    }

    /// The controls of the model.
    fn controls(&self) -> impl Iterator<Item = &'static Control> {
        CONTROLS.iter().filter(|c| c.models.contains(&self.model()))
    }

    /// What the controls stand at in `job`, for the page: what the address leaves open is chosen by now.
    pub fn values(&self, job: &Job) -> Json {
        let sections = job.method.sections();
        let value = |setting: &str| {
            let (part, name) = setting.split_once('.')?;
            sections.iter().find(|s| s.part() == part)?.get(name)
        };
        let word = |setting: &str| Some(to_toml(&value(setting)?)?.to_string().trim_matches('"').to_owned());
        let all = self.controls().filter_map(|c| Some((c.key.to_owned(), Json::String(word(c.setting)?))));
        Json::Object(all.collect())
    }

    /// The value of a control, in its type, or `own`, or its default; None where the method chooses.
    fn value(&self, control: &Control, own: Option<f64>) -> Option<Outcome<toml::Value>> {
        let word = self.word(control.key);
        let (default, step) = match control.widget {
            Widget::Velocity => return None,
            Widget::Choice(words) => return Some(Ok(word.unwrap_or(words[0]).into())),
            Widget::Number(default, _, _, step) => (Some(own.unwrap_or(default)), step),
            Widget::Own(_, _, step) => (None, step),
        };
        let x = match word.map_or(Ok(default), |w| number(control.key, w).map(Some)) {
            Ok(x) => x?,
            Err(e) => return Some(Err(e)),
        };
        let whole = step >= 1.0 && x.fract() == 0.0 && x.abs() < 1e15;
        Some(Ok(if whole { toml::Value::Integer(x as i64) } else { x.into() }))
    }

    fn config(&self, target: &Target, velocity: Option<&str>, given: Vec<Given>) -> Config {
        let velocity = velocity.or(self.word("velocity")).unwrap_or("drift");
        Config {
            name: (!target.definition.is_str()).then(|| target.name.clone()),
            target: target.definition.clone(),
            method: self.model().into(),
            kinds: [None, (velocity != "drift").then(|| velocity.into()), None],
            threads: None,
            frame: None,
            start: None,
            start_checksum: None,
            given,
        }
    }
}

/// Keys of an address that are no entry of [`CONTROLS`].
const KNOWN: [&str; 6] = ["target", "formula", "modes", "divergence", "step", "speed"];

/// What a velocity without a divergence chooses itself, in the method of `base`.
fn paced(control: &Control, base: &Job) -> Option<f64> {
    match control.setting {
        "model.dt" => base.method.model.get("dt").and_then(|v| if let Value::Number(dt) = v { Some(dt) } else { None }),
        "run.steps" => Some(base.steps() as f64),
        _ => None,
    }
}

/// A tenth of the target's scale, to two digits. The library's own start of the bandwidth is a quarter of the scale.
fn own_bandwidth(job: &Job) -> f64 {
    let quarter = match job.method.estimator.get("bandwidth_start") {
        Some(Value::Number(h)) => h,
        _ => 0.25,
    };
    format!("{:.1e}", 4.0 * BANDWIDTH * quarter).parse().unwrap_or(BANDWIDTH)
}
