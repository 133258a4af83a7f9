//! The controls of the page: what can be set, what it means, the theorem behind it.

use pushforward::density::{Dimensions, Domain, all_densities};
use pushforward::divergence::all_divergences;
use pushforward::velocity::all_velocities;
use serde_json::{Value, json};

/// A control of the page.
pub(super) struct Control {
    /// Its key in the address.
    pub key: &'static str,
    /// The setting that it gives.
    pub setting: &'static str,
    label: &'static str,
    meaning: &'static str,
    theorem: &'static str,
    pub widget: Widget,
    /// The models that have it.
    pub models: &'static [&'static str],
    /// Whether it belongs to the drift alone.
    pub drift: bool,
}

pub(super) enum Widget {
    /// A velocity.
    Velocity,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A number: value, least, most, step of its slider.
    Number(f64, f64, f64, f64),
    /// The same without a value: the method's own choice.
    Own(f64, f64, f64),
}

pub(super) const MODELS: &[&str] = &["particles", "generator", "flow"];
const PARTICLES: &[&str] = &["particles"];
const NETWORKS: &[&str] = &["generator", "flow"];
/// What a model cannot follow: velocity and model ([`pushforward::run::refused_pairs`]).
pub const CANNOT: [(&str, &str); 10] = [
    ("diffusive", "flow"),
    ("matching", "flow"),
    ("ula", "generator"),
    ("ula", "flow"),
    ("mala", "generator"),
    ("mala", "flow"),
    ("log-variance", "generator"),
    ("log-variance", "particles"),
    ("perturbed", "generator"),
    ("perturbed", "flow"),
];

/// The theorems of velocities that have their own.
const THEOREMS: [(&str, &str); 11] = [
    ("drift", "T1, T11"),
    ("diffusive", "T11, T32"),
    ("matching", "T11"),
    ("stein", "T27"),
    ("log-variance", "T8"),
    ("multi", "T30"),
    ("functional", "T28"),
    ("newton", "T29"),
    ("perturbed", "T29"),
    ("sinkhorn", "T31"),
    ("fisher", "T33"),
];

/// The controls of the method, in the order of the page.
pub(super) const CONTROLS: &[Control] = &[
    Control {
        key: "model",
        setting: "",
        label: "model",
        meaning: "who follows V: particles, a network that maps noise to samples, or one whose density is known exactly",
        theorem: "T9, T12",
        widget: Widget::Choice(MODELS),
        models: MODELS,
        drift: false,
    },
    Control {
        key: "velocity",
        setting: "",
        label: "velocity",
        meaning: "what is followed; the divergence and the bandwidth belong to the drift",
        theorem: "T1",
        widget: Widget::Velocity,
        models: MODELS,
        drift: false,
    },
    Control {
        key: "h",
        setting: "",
        label: "bandwidth h",
        meaning: "width of the noise by which the particles' law is known; 0 lets the program choose a tenth of the target's scale",
        theorem: "T11",
        widget: Widget::Number(0.0, 0.0, 2.0, 0.01),
        models: PARTICLES,
        drift: true,
    },
    Control {
        key: "smoothing",
        setting: "estimator.smoothing",
        label: "smoothing",
        meaning: "matched: the target is blurred by the same h, and q = p is a fixed point; unmatched: it is not, and the fixed point is too narrow",
        theorem: "T10, T11",
        widget: Widget::Choice(&["matched", "unmatched"]),
        models: PARTICLES,
        drift: true,
    },
    Control {
        key: "reaction",
        setting: "model.birth_death",
        label: "reaction",
        meaning: "rate of birth and death: mass crosses gaps that no drift can cross; 0 for none",
        theorem: "T14, T15",
        widget: Widget::Number(0.0, 0.0, 5.0, 0.1),
        models: PARTICLES,
        drift: true,
    },
    Control {
        key: "weights",
        setting: "model.reaction",
        label: "reaction on weights",
        meaning: "rate at which the weights of a generator's codes, or of a flow's components, follow births and deaths; 0 for none",
        theorem: "T15",
        widget: Widget::Number(0.0, 0.0, 1.0, 0.01),
        models: NETWORKS,
        drift: false,
    },
    Control {
        key: "clip",
        setting: "velocity.clip",
        label: "clip of log r",
        meaning: "beyond this |log r| the weight w stays as it is: one lucky particle turns no step",
        theorem: "T4",
        widget: Widget::Number(4.0, 0.5, 12.0, 0.5),
        models: MODELS,
        drift: true,
    },
    Control {
        key: "start",
        setting: "model.start",
        label: "start",
        meaning: "wide: a Gaussian with the target's mean and scale; gaussian: N(0, I); search: where a search for p ends",
        theorem: "T14",
        widget: Widget::Choice(&["wide", "gaussian", "search"]),
        models: PARTICLES,
        drift: false,
    },
    Control {
        key: "search",
        setting: "model.search_particles",
        label: "particles of the search",
        meaning: "a network starts where a search with so many particles ends; few of them leave more to repair, and modes unseen",
        theorem: "T14",
        widget: Widget::Own(64.0, 8192.0, 64.0),
        models: NETWORKS,
        drift: false,
    },
    Control {
        key: "codes",
        setting: "model.codes",
        label: "codes",
        meaning: "pieces that a generator's samples come from, one code each; few of them leave the shape of p to the network",
        theorem: "T9",
        widget: Widget::Own(1.0, 256.0, 1.0),
        models: &["generator"],
        drift: false,
    },
    Control {
        key: "components",
        setting: "model.components",
        label: "components of the base",
        meaning: "Gaussians from which a flow starts; 1 is a plain Gaussian, which the couplings must bend",
        theorem: "T12",
        widget: Widget::Own(1.0, 64.0, 1.0),
        models: &["flow"],
        drift: false,
    },
    Control {
        key: "rate",
        setting: "model.learning_rate",
        label: "learning rate",
        meaning: "Adam's rate at the start: how far a step moves the network, and the samples along V as far as it can",
        theorem: "T37",
        widget: Widget::Own(1e-4, 2e-2, 1e-4),
        models: NETWORKS,
        drift: false,
    },
    Control {
        key: "n",
        setting: "model.particles",
        label: "particles N",
        meaning: "how many; the bias of the estimate of log q falls like 1/N",
        theorem: "T16",
        widget: Widget::Number(1024.0, 16.0, 4096.0, 16.0),
        models: PARTICLES,
        drift: false,
    },
    Control {
        key: "shown",
        setting: "",
        label: "samples N",
        meaning: "how many are shown, always of the same noise; the curves on the right are means over them, with errors of order 1/\u{221a}N",
        theorem: "T25",
        widget: Widget::Number(1024.0, 16.0, 4096.0, 16.0),
        models: NETWORKS,
        drift: false,
    },
    Control {
        key: "level",
        setting: "",
        label: "level τ",
        meaning: "U is the share of p where q is too low by more than e^τ, softly; 0.7 is a factor of 2",
        theorem: "T5, T17",
        widget: Widget::Number(0.7, -2.0, 4.0, 0.1),
        models: MODELS,
        drift: true,
    },
    Control {
        key: "dt",
        setting: "model.dt",
        label: "step dt",
        meaning: "length of a step in time: the curves on the right part by an error of this order",
        theorem: "T3",
        widget: Widget::Number(0.02, 0.001, 0.5, 0.001),
        models: PARTICLES,
        drift: false,
    },
    Control {
        key: "stepper",
        setting: "model.stepper",
        label: "stepper",
        meaning: "euler has order 1 in dt, heun 2, rk4 4",
        theorem: "T3",
        widget: Widget::Choice(&["euler", "heun", "rk4"]),
        models: PARTICLES,
        drift: false,
    },
    Control {
        key: "steps",
        setting: "run.steps",
        label: "steps",
        meaning: "all steps of the run",
        theorem: "T23",
        widget: Widget::Number(1000.0, 1.0, 10_000.0, 1.0),
        models: MODELS,
        drift: false,
    },
    Control {
        key: "seed",
        setting: "run.seed",
        label: "seed",
        meaning: "key of every random number; runs side by side share it",
        theorem: "T16",
        widget: Widget::Number(0.0, 0.0, 1e6, 1.0),
        models: MODELS,
        drift: false,
    },
];

/// The velocities of the registry that lead to one density of the plane.
pub fn velocities() -> Vec<&'static str> {
    planar().map(|v| v.name()).collect()
}

fn planar() -> impl Iterator<Item = Box<dyn pushforward::velocity::VelocitySettings>> {
    all_velocities().into_iter().filter(|v| {
        let trial = v.trial();
        matches!(trial.domain, Domain::Euclidean) && trial.densities.len() == 1
    })
}

/// The controls, velocities, divergences and targets, for the page; `given` is the target of the command line and its formula.
pub(super) fn catalogue(given: (&str, &str)) -> Value {
    let controls: Vec<_> = CONTROLS
        .iter()
        .map(|c| {
            let (choices, range) = match c.widget {
                Widget::Velocity => (json!(velocities()), json!(null)),
                Widget::Choice(words) => (json!(words), json!(null)),
                Widget::Number(value, least, most, step) => (json!(null), json!([value, least, most, step])),
                Widget::Own(least, most, step) => (json!(null), json!([null, least, most, step])),
            };
            json!({
                "key": c.key, "label": c.label, "meaning": c.meaning, "theorem": c.theorem, "choices": choices, "range": range,
                "models": c.models, "drift": c.drift,
            })
        })
        .collect();
    let follows = |v: &str| MODELS.iter().copied().filter(|m| !CANNOT.contains(&(v, m))).collect::<Vec<_>>();
    let theorem = |name: &str| THEOREMS.iter().find(|(v, _)| *v == name).map_or("", |(_, t)| t);
    let velocities: Vec<_> = planar()
        .map(|v| {
            let (name, models) = (v.name(), follows(v.name()));
            json!({ "name": name, "summary": v.summary(), "formula": v.formula(), "theorem": theorem(name), "models": models })
        })
        .collect();
    let divergences: Vec<_> = all_divergences()
        .iter()
        .map(|d| json!({ "name": d.name(), "formula": d.formula(), "weight": d.weight_formula() }))
        .collect();
    let densities = all_densities().into_iter().filter(|e| e.dimensions == Dimensions::Fixed(2));
    let mut targets: Vec<_> = densities.map(|e| json!({ "name": e.name, "formula": e.formula })).collect();
    if !targets.iter().any(|t| t["name"] == given.0) {
        targets.insert(0, json!({ "name": given.0, "formula": given.1 }));
    }
    json!({
        "target": given.0, "targets": targets, "divergences": divergences, "velocities": velocities, "controls": controls,
        "panes": super::MOST_PANES,
    })
}
