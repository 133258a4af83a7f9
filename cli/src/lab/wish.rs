//! What a page asks for: the words of an address, and the runs that they mean.

use crate::config::{Config, Given, to_toml};
use crate::failure::{Failure, Outcome};
use crate::target::source::{Excerpt, place};
use crate::target::{self, Target, formula};
use crate::training::Job;
use pushforward::density::{Dimensions, all_densities};
use pushforward::divergence::all_divergences;
use pushforward::settings::Value;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Most runs side by side.
pub const MOST_PANES: usize = 3;
/// Most particles of a run: a frame stays below a tenth of a second.
const MOST_PARTICLES: u64 = 4096;
/// Most steps of a run.
const MOST_STEPS: u64 = 100_000;
/// Most modes of a mixture that is drawn.
const MOST_MODES: usize = 64;
/// Most numbers that a formula may hold for all points of a step: some seconds.
const MOST_NUMBERS: usize = 30_000_000;
/// Fewest particles that a step is counted for; evaluations of a network's search beside which its steps count for little.
const LEAST_ROWS: usize = 1024;
const SEARCHED: usize = 1 << 17;
/// Draws behind the noised target of a formula ([`pushforward::velocity::UniversalSettings`]).
const DRAWS: usize = 16;
/// Bandwidth where none is asked for, in scales of the target.
const BANDWIDTH: f64 = 0.1;

/// A control of the page: its key in the address, the setting that it gives, what it is called, what it means, the theorem behind it, and
/// the models that have it.
struct Control {
    key: &'static str,
    setting: &'static str,
    label: &'static str,
    meaning: &'static str,
    theorem: &'static str,
    widget: Widget,
    models: &'static [&'static str],
}

enum Widget {
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A number: value, least, most, step of its slider.
    Number(f64, f64, f64, f64),
    /// The same without a value: the method's own choice.
    Own(f64, f64, f64),
}

const MODELS: &[&str] = &["particles", "generator", "flow"];
const PARTICLES: &[&str] = &["particles"];
const NETWORKS: &[&str] = &["generator", "flow"];
/// Velocities that a network cannot follow.
const NOISY: &[&str] = &["ula", "mala"];

/// The controls of the method, in the order of the page.
const CONTROLS: &[Control] = &[
    Control {
        key: "model",
        setting: "",
        label: "model",
        meaning: "who follows V: particles, a network that maps noise to samples, or one whose density is known exactly",
        theorem: "T9, T12",
        widget: Widget::Choice(MODELS),
        models: MODELS,
    },
    Control {
        key: "velocity",
        setting: "",
        label: "velocity",
        meaning: "what is followed; the divergence and the bandwidth belong to the drift",
        theorem: "T1",
        widget: Widget::Choice(&["drift", "stein", "ula", "mala"]),
        models: MODELS,
    },
    Control {
        key: "h",
        setting: "",
        label: "bandwidth h",
        meaning: "width of the noise by which the particles' law is known; 0 lets the program choose a tenth of the target's scale",
        theorem: "T11",
        widget: Widget::Number(0.0, 0.0, 2.0, 0.01),
        models: PARTICLES,
    },
    Control {
        key: "smoothing",
        setting: "estimator.smoothing",
        label: "smoothing",
        meaning: "matched: the target is blurred by the same h, and q = p is a fixed point; unmatched: it is not, and the fixed point is too narrow",
        theorem: "T10, T11",
        widget: Widget::Choice(&["matched", "unmatched"]),
        models: PARTICLES,
    },
    Control {
        key: "reaction",
        setting: "model.birth_death",
        label: "reaction",
        meaning: "rate of birth and death: mass crosses gaps that no drift can cross; 0 for none",
        theorem: "T14, T15",
        widget: Widget::Number(0.0, 0.0, 5.0, 0.1),
        models: PARTICLES,
    },
    Control {
        key: "weights",
        setting: "model.reaction",
        label: "reaction on weights",
        meaning: "rate at which the weights of a generator's codes, or of a flow's components, follow births and deaths; 0 for none",
        theorem: "T15",
        widget: Widget::Number(0.0, 0.0, 1.0, 0.01),
        models: NETWORKS,
    },
    Control {
        key: "clip",
        setting: "velocity.clip",
        label: "clip of log r",
        meaning: "beyond this |log r| the weight w stays as it is: one lucky particle turns no step",
        theorem: "T4",
        widget: Widget::Number(4.0, 0.5, 12.0, 0.5),
        models: MODELS,
    },
    Control {
        key: "start",
        setting: "model.start",
        label: "start",
        meaning: "wide: a Gaussian with the target's mean and scale; gaussian: N(0, I)",
        theorem: "T14",
        widget: Widget::Choice(&["wide", "gaussian"]),
        models: PARTICLES,
    },
    Control {
        key: "search",
        setting: "model.search_particles",
        label: "particles of the search",
        meaning: "a network starts where a search with so many particles ends; few of them leave more to repair, and modes unseen",
        theorem: "T14",
        widget: Widget::Own(64.0, 8192.0, 64.0),
        models: NETWORKS,
    },
    Control {
        key: "codes",
        setting: "model.codes",
        label: "codes",
        meaning: "pieces that a generator's samples come from, one code each; few of them leave the shape of p to the network",
        theorem: "T9",
        widget: Widget::Own(1.0, 256.0, 1.0),
        models: &["generator"],
    },
    Control {
        key: "components",
        setting: "model.components",
        label: "components of the base",
        meaning: "Gaussians from which a flow starts; 1 is a plain Gaussian, which the couplings must bend",
        theorem: "T12",
        widget: Widget::Own(1.0, 64.0, 1.0),
        models: &["flow"],
    },
    Control {
        key: "rate",
        setting: "model.learning_rate",
        label: "learning rate",
        meaning: "Adam's rate at the start: how far a step moves the network, and the samples along V as far as it can",
        theorem: "T37",
        widget: Widget::Own(1e-4, 2e-2, 1e-4),
        models: NETWORKS,
    },
    Control {
        key: "n",
        setting: "model.particles",
        label: "particles N",
        meaning: "how many; the bias of the estimate of log q falls like 1/N",
        theorem: "T16",
        widget: Widget::Number(1024.0, 16.0, 4096.0, 16.0),
        models: PARTICLES,
    },
    Control {
        key: "shown",
        setting: "",
        label: "samples N",
        meaning: "how many are shown, always of the same noise; the curves on the right are means over them, with errors of order 1/\u{221a}N",
        theorem: "T25",
        widget: Widget::Number(1024.0, 16.0, 4096.0, 16.0),
        models: NETWORKS,
    },
    Control {
        key: "level",
        setting: "",
        label: "level τ",
        meaning: "U is the share of p where q is too low by more than e^τ, softly; 0.7 is a factor of 2",
        theorem: "T5, T17",
        widget: Widget::Number(0.7, -2.0, 4.0, 0.1),
        models: NETWORKS,
    },
    Control {
        key: "dt",
        setting: "model.dt",
        label: "step dt",
        meaning: "length of a step in time: the curves on the right part by an error of this order",
        theorem: "T3",
        widget: Widget::Number(0.02, 0.001, 0.5, 0.001),
        models: PARTICLES,
    },
    Control {
        key: "stepper",
        setting: "model.stepper",
        label: "stepper",
        meaning: "euler has order 1 in dt, heun 2, rk4 4",
        theorem: "T3",
        widget: Widget::Choice(&["euler", "heun", "rk4"]),
        models: PARTICLES,
    },
    Control {
        key: "steps",
        setting: "run.steps",
        label: "steps",
        meaning: "all steps of the run",
        theorem: "T23",
        widget: Widget::Number(1000.0, 1.0, 10_000.0, 1.0),
        models: MODELS,
    },
    Control {
        key: "seed",
        setting: "run.seed",
        label: "seed",
        meaning: "key of every random number; runs side by side share it",
        theorem: "T16",
        widget: Widget::Number(0.0, 0.0, 1e6, 1.0),
        models: MODELS,
    },
];

/// What an address asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wish {
    words: BTreeMap<String, String>,
}

/// A number in a word.
fn number(key: &str, word: &str) -> Outcome<f64> {
    let found = word.parse::<f64>().ok().filter(|x| x.is_finite());
    found.ok_or_else(|| Failure::input(format!("{key} = {word}; give a number")))
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
        // the picture has many points too, and the search of a network
        let rows = if self.model() == "particles" { n.max(LEAST_ROWS) * DRAWS } else { SEARCHED };
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
        let base = Job::new(target.clone(), self.config(&target, None, Vec::new()))?;
        divergences.iter().map(|name| self.job(&target, &base, name)).collect()
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
            let belongs =
                drift || !(control.setting.starts_with("velocity") || control.setting.starts_with("estimator"));
            if let Some(value) = self.value(control).transpose()?.filter(|_| belongs) {
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

    /// The value of a control, in its type, or its default; None where the method chooses.
    fn value(&self, control: &Control) -> Option<Outcome<toml::Value>> {
        let word = self.word(control.key);
        let (default, step) = match control.widget {
            Widget::Choice(words) => return Some(Ok(word.unwrap_or(words[0]).into())),
            Widget::Number(default, _, _, step) => (Some(default), step),
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

    /// The controls, targets and divergences, for the page.
    pub fn catalogue(given: &Target) -> serde_json::Value {
        let controls: Vec<_> = CONTROLS
            .iter()
            .map(|c| {
                let (choices, range) = match c.widget {
                    Widget::Choice(words) => (json!(words), json!(null)),
                    Widget::Number(value, least, most, step) => (json!(null), json!([value, least, most, step])),
                    Widget::Own(least, most, step) => (json!(null), json!([null, least, most, step])),
                };
                json!({
                    "key": c.key, "label": c.label, "meaning": c.meaning, "theorem": c.theorem, "choices": choices, "range": range,
                    "models": c.models,
                })
            })
            .collect();
        let divergences: Vec<_> = all_divergences()
            .iter()
            .map(|d| json!({ "name": d.name(), "formula": d.formula(), "weight": d.weight_formula() }))
            .collect();
        let planar = all_densities().into_iter().filter(|e| e.dimensions == Dimensions::Fixed(2));
        let mut targets: Vec<_> = planar.map(|e| json!({ "name": e.name, "formula": e.formula })).collect();
        if !targets.iter().any(|t| t["name"] == given.name.as_str()) {
            targets.insert(0, json!({ "name": given.name, "formula": given.formula }));
        }
        json!({ "target": given.name, "targets": targets, "divergences": divergences, "controls": controls, "panes": MOST_PANES, "noisy": NOISY })
    }
}

/// Keys of an address that are no entry of [`CONTROLS`].
const KNOWN: [&str; 6] = ["target", "formula", "modes", "divergence", "step", "speed"];

/// A tenth of the target's scale, to two digits. The library's own start of the bandwidth is a quarter of the scale.
fn own_bandwidth(job: &Job) -> f64 {
    let quarter = match job.method.estimator.get("bandwidth_start") {
        Some(Value::Number(h)) => h,
        _ => 0.25,
    };
    format!("{:.1e}", 4.0 * BANDWIDTH * quarter).parse().unwrap_or(BANDWIDTH)
}

/// The mistake with the line of the formula and marks below it.
fn at_its_place(formula: &str, mistake: &formula::Mistake) -> Failure {
    let place = place(formula, mistake.start);
    let sentence = format!("line {}, column {}: {}", place.line, place.column, mistake.sentence);
    Failure::Source { sentence, excerpt: Excerpt::new(place, mistake.end - mistake.start).show() }
}

/// `x,y,std,weight;…` as a target file.
fn mixture(modes: &str) -> Outcome<String> {
    let (mut means, mut stds, mut weights) = (String::new(), String::new(), String::new());
    let modes: Vec<&str> = modes.split(';').filter(|m| !m.is_empty()).collect();
    if modes.len() > MOST_MODES {
        return Err(Failure::input(format!("{} modes are given; give at most {MOST_MODES}", modes.len())));
    }
    for mode in modes {
        let numbers: Vec<f64> = mode.split(',').map(|w| number("modes", w)).collect::<Outcome<_>>()?;
        let [x, y, std, weight] = numbers[..] else {
            return Err(Failure::input(format!("modes: {mode}; give x, y, standard deviation and weight of each")));
        };
        let _ = write!(means, "[{x:?}, {y:?}], ");
        let _ = write!(stds, "{std:?}, ");
        let _ = write!(weights, "{weight:?}, ");
    }
    Ok(format!("kind = \"gaussian-mixture\"\nmeans = [{means}]\nstd = [{stds}]\nweights = [{weights}]\n"))
}

/// A word of a query: `+` is a space, `%41` is A.
fn decode(word: &str) -> Outcome<String> {
    let bad = || Failure::input("the address is not of the form key=value&key=value".to_string());
    let (mut out, mut bytes) = (Vec::new(), word.bytes());
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|b| (b as char).to_digit(16));
                let (high, low) = (digit().ok_or_else(bad)?, digit().ok_or_else(bad)?);
                (16 * high + low) as u8
            }
            b => b,
        });
    }
    String::from_utf8(out).map_err(|_| bad())
}
