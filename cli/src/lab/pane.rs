//! One run of a course: its particles, the field that moves them, and what must agree.

use crate::certified::Certified;
use crate::failure::Outcome;
use crate::lab::law::{Beside, Known};
use crate::lab::levels::{Inflow, Levels, View};
use crate::lab::smoothed::{Lowered, Smoothed};
use crate::model::Model;
use crate::results::SAMPLES;
use crate::training::Job;
use pushforward::divergence::{self, Divergence};
use pushforward::linalg::Matrix;
use pushforward::metric::{Certificate, Estimate, ModeTruth};
use pushforward::run::Run;
use pushforward::settings::Value;
use pushforward::state::{State, Stateful};
use pushforward::velocity::{Figure, Kind, Pull};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Most states that are kept for going back, and most numbers in them; where there would be more, every second one goes.
const MOST_STATES: usize = 40;
const MOST_HELD: usize = 1 << 21;
/// What lies around the particles on the grid of F_h, in bandwidths.
const REACH: f64 = 8.0;
/// Bars of the histogram of l.
const BARS: usize = 48;

/// A run and what is shown of it.
pub struct Pane {
    /// What it is.
    pub job: Job,
    run: Run,
    divergence: Option<Arc<dyn Divergence>>,
    clip: f64,
    dt: f64,
    reaction: f64,
    /// How many are shown of a model that can draw any number; all of them where they are particles.
    many: usize,
    /// τ of U.
    level: f64,
    measure: Measure,
    truth: Option<Arc<ModeTruth>>,
    states: Vec<(u64, State)>,
    every: u64,
    shown: Shown,
}

/// What is computed beside the run, and its value at the step that follows the shown one.
enum Measure {
    /// F_h of particles, on a grid.
    Smoothed(Box<Smoothed>, Option<(u64, Lowered)>),
    /// D_f of the law of a generator or a flow, on a grid.
    Exact(Box<Beside>, Option<(u64, Known)>),
    /// Why there is none.
    Nothing(String),
}

/// A step as it is shown: where the particles are, and what moves them on from there.
#[derive(Default)]
struct Shown {
    step: u64,
    points: Matrix,
    /// The particles of the step of a network, and the move L V that they ask for.
    at: Option<Matrix>,
    velocity: Option<Matrix>,
    log_ratio: Option<Vec<f64>>,
    figures: Vec<Figure>,
    skipped: bool,
    /// As [`Pane::agreement`].
    curves: Option<[f64; 5]>,
    /// As [`Pane::response`].
    under: Option<[f64; 5]>,
    inflow: Option<Inflow>,
    certificate: Option<Certificate>,
}

impl Pane {
    /// `job` whose `run` is at its start, with `many` samples to show, in the picture [x.0, x.1] × [y.0, y.1].
    pub fn begin(
        job: Job,
        run: Run,
        (many, level): (usize, f64),
        truth: Option<Arc<ModeTruth>>,
        (x, y): ((f64, f64), (f64, f64)),
    ) -> Outcome<Self> {
        let number = |section: Option<Value>| if let Some(Value::Number(x)) = section { Some(x) } else { None };
        // others have settings of these names too
        let setting = |key: &str| job.method.velocity.get(key).filter(|_| job.method.velocity.name() == "drift");
        let divergence = match setting("divergence") {
            Some(Value::Text(name)) => Some(divergence::by_name(&name)?),
            _ => None,
        };
        let model = &job.method.model;
        let clip = number(setting("clip")).unwrap_or(f64::INFINITY);
        let dt = number(model.get("dt")).unwrap_or(0.0);
        let reaction = number(model.get("birth_death").or(model.get("reaction"))).unwrap_or(0.0);
        let h = number(job.method.estimator.get("bandwidth_end")).unwrap_or(1.0);
        let density = &job.target.density;
        let measure = match (job.method.velocity.name(), model.name()) {
            ("drift", "particles") => {
                // no particle of the start outside, with its kernel
                let start = run.sample(many, job.seed(), 0);
                let wide = |(low, high): (f64, f64), j: usize| {
                    let column = || start.iter_rows().map(|r| r[j]);
                    (column().fold(low, f64::min) - REACH * h, column().fold(high, f64::max) + REACH * h)
                };
                match Smoothed::new(&**density, wide(x, 0), wide(y, 1), h) {
                    Ok(smoothed) => Measure::Smoothed(Box::new(smoothed), None),
                    Err(why) => Measure::Nothing(why.to_string()),
                }
            }
            ("drift", _) if Model::of(&run).densities_of_samples(2, job.seed()).is_some() => {
                match Beside::new(density, (x, y), &run.sample(many, job.seed(), 0), job.seed() ^ 1) {
                    Ok(beside) => Measure::Exact(Box::new(beside), None),
                    Err(why) => Measure::Nothing(why.to_string()),
                }
            }
            ("drift", _) => Measure::Nothing("this model has no density that could be compared with p".into()),
            (velocity, _) => Measure::Nothing(format!(
                "no two curves must agree for {velocity}: D, F_h, U and the inflow are those of the drift of a divergence"
            )),
        };
        let mut pane = Self {
            job,
            run,
            divergence,
            clip,
            dt,
            reaction,
            many,
            level,
            measure,
            truth,
            states: Vec::new(),
            every: 25,
            shown: Shown::default(),
        };
        pane.keep();
        pane.rest();
        Ok(pane)
    }

    /// The step that is shown.
    pub fn step(&self) -> u64 {
        self.shown.step
    }

    /// Whether the last step is shown.
    pub fn is_finished(&self) -> bool {
        self.run.is_finished() && self.shown.step >= self.run.clock().step
    }

    /// Where the particles of the shown step are, or samples of the model, N×2.
    pub fn points(&self) -> &Matrix {
        &self.shown.points
    }

    /// Takes a step without showing it.
    pub fn pass(&mut self) -> pushforward::Result<()> {
        if !self.run.is_finished() {
            self.run.step()?;
            self.keep();
        }
        Ok(())
    }

    /// Shows where the run stands, and the field there, which is followed on the way; at the end the places alone.
    pub fn look(&mut self) -> pushforward::Result<()> {
        if self.run.is_finished() {
            self.rest();
            return Ok(());
        }
        let mut shown = Shown { step: self.run.clock().step, points: self.places(), ..Shown::default() };
        let before = self.known(shown.step);
        let (at, velocity, log_ratio) = (&mut shown.at, &mut shown.velocity, &mut shown.log_ratio);
        let (mut kind, network) = (self.run.velocity().kind(), self.is_network());
        let report = self.run.step_shown(&mut |x, pull| {
            kind = pull.kind();
            *at = network.then(|| x.clone());
            match pull {
                Pull::Points(field) | Pull::Diffusion { field, .. } => {
                    *velocity = Some(field.velocity.clone());
                    *log_ratio = field.log_ratio.clone();
                }
                Pull::Displacement { by, .. } => *velocity = Some(by.clone()),
                Pull::Transition { .. } | Pull::LogDensity { .. } => (),
            }
        })?;
        self.keep();
        if let Some(at) = &mut shown.at {
            let frame = self.run.model().frame();
            *at = frame.restore(at);
            if let Some(velocity) = &mut shown.velocity {
                *velocity = frame.restore(velocity);
                let centre = frame.centre();
                velocity.as_mut_slice().chunks_exact_mut(2).for_each(|v| (0..2).for_each(|j| v[j] -= centre[j]));
            }
        }
        (shown.figures, shown.skipped) = (report.figures, report.skipped);
        if kind == Kind::Points && !shown.skipped {
            match before {
                Some(before) => self.beside(&mut shown, &before),
                None => self.smoothed(&mut shown),
            }
        }
        self.shown = shown;
        Ok(())
    }

    fn is_network(&self) -> bool {
        self.job.method.model.name() != "particles"
    }

    /// The law of a network as the run stands, at `step`, beside p.
    fn known(&mut self, step: u64) -> Option<Known> {
        let Measure::Exact(beside, next) = &mut self.measure else { return None };
        if let Some((_, known)) = next.take().filter(|(at, _)| *at == step) {
            return Some(known);
        }
        let (model, seed) = (Model::of(&self.run), self.job.seed());
        let points = model.sample(self.many, seed, 0);
        let densities = model.densities_of_samples(self.many, seed)?;
        let view = View { divergence: &**self.divergence.as_ref()?, clip: self.clip, level: self.level };
        beside.at(densities, points, view).ok()
    }

    /// D at the shown step and its fall, E|V|², E V·x' and its error; the certificate.
    fn beside(&mut self, shown: &mut Shown, before: &Known) {
        let step = shown.step + 1;
        let (Some(known), levels) = (self.known(step), self.levels()) else { return };
        let Measure::Exact(beside, next) = &mut self.measure else { return };
        shown.certificate = beside.certificate(before);
        let taken = before.taken(&known);
        // other weights put a sample elsewhere: that is no velocity
        let own = |e: Estimate| [if self.reaction > 0.0 { f64::NAN } else { e.value }, e.standard_error];
        let ([chain, error], [response, its_error]) = (own(taken.chain), own(taken.response));
        shown.curves = Some([before.value, before.value - known.value, taken.square, chain, error]);
        shown.under = Some([before.under, before.under - known.under, taken.along, response, its_error]);
        // not where mass has left the grid
        let inside = before.value.is_finite() && known.value.is_finite();
        shown.inflow = inside.then(|| beside.inflow(levels, (before, &known)));
        *next = Some((step, known));
    }

    /// F_h and U_h at the shown step, their rates over the step, and what these must agree with; the inflow.
    fn smoothed(&mut self, shown: &mut Shown) {
        let (after, levels) = (self.places(), self.levels());
        let Some(divergence) = self.divergence.as_deref() else { return };
        let Measure::Smoothed(smoothed, following) = &mut self.measure else { return };
        let view = View { divergence, clip: self.clip, level: self.level };
        let here = match following.take() {
            Some((step, known)) if step == shown.step => Some(known),
            _ => smoothed.at(&shown.points, view),
        };
        let (Some(here), Some(next)) = (here, smoothed.at(&after, view)) else { return };
        let n = after.rows() as f64;
        let dot = |a: &Matrix, b: &Matrix| a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| a * b).sum::<f64>() / n;
        let mut speed = after;
        speed.add_scaled(-1.0, &shown.points);
        speed.as_mut_slice().iter_mut().for_each(|x| *x /= self.dt);
        // births put a particle elsewhere: that is no velocity
        let chain = |field: &Matrix| if self.reaction > 0.0 { f64::NAN } else { dot(field, &speed) };
        let five = |value: f64, then: f64, field: &Matrix| {
            [value, (value - then) / self.dt, dot(&here.velocity, field), chain(field), dot(&here.followed, field)]
        };
        shown.curves = Some(five(here.value, next.value, &here.velocity));
        shown.under = Some(five(here.under, next.under, &here.response));
        let mut inflow = smoothed.inflow(levels, (&here, &next), &speed, self.dt);
        if self.reaction > 0.0 {
            inflow.taken.fill(f64::NAN);
        }
        shown.inflow = Some(inflow);
        *following = Some((shown.step + 1, next));
    }

    /// The levels of l that are looked at: a little beyond the clip.
    fn levels(&self) -> Levels {
        Levels::new(self.end())
    }

    fn end(&self) -> f64 {
        if self.clip.is_finite() { self.clip + 1.0 } else { 5.0 }
    }

    /// Goes to `step`, by the last state before it.
    pub fn seek(&mut self, step: u64) -> Outcome<()> {
        let step = step.min(self.job.steps());
        if step < self.run.clock().step {
            let before = self.states.iter().rev().find(|(at, _)| *at <= step).expect("the start is kept");
            self.run.restore(&before.1)?;
        }
        while self.run.clock().step < step && !self.run.is_finished() {
            self.pass()?;
        }
        Ok(self.look()?)
    }

    /// Keeps the state now and then.
    fn keep(&mut self) {
        let step = self.run.clock().step;
        if !step.is_multiple_of(self.every) || self.states.last().is_some_and(|(at, _)| *at >= step) {
            return;
        }
        self.states.push((step, self.run.state()));
        let numbers = |state: &State| state.tensors.values().map(|t| t.shape().0 * t.shape().1).sum::<usize>();
        let held = self.states.len() * self.states.last().map_or(0, |(_, state)| numbers(state));
        if self.states.len() > MOST_STATES || (self.states.len() > 2 && held > MOST_HELD) {
            self.every *= 2;
            let every = self.every;
            self.states.retain(|(at, _)| at.is_multiple_of(every));
        }
    }

    /// Shows the places, and of a network what is known of its law.
    fn rest(&mut self) {
        let mut shown = Shown { step: self.run.clock().step, points: self.places(), ..Shown::default() };
        if let Some(known) = self.known(shown.step)
            && let Measure::Exact(beside, next) = &mut self.measure
        {
            shown.certificate = beside.certificate(&known);
            shown.curves = Some([known.value, f64::NAN, f64::NAN, f64::NAN, f64::NAN]);
            shown.under = Some([known.under, f64::NAN, f64::NAN, f64::NAN, f64::NAN]);
            *next = Some((shown.step, known));
        }
        self.shown = shown;
    }

    fn places(&self) -> Matrix {
        if self.is_network() {
            // as the command draws them: a flow in double precision
            return Model::of(&self.run).sample(self.many, self.job.seed(), 0);
        }
        self.run.sample(self.many, self.job.seed(), 0)
    }

    /// The certificate that the command prints for the model as it is now, from as many samples, with its name on top; None for a model
    /// without a density.
    pub fn certificate(&self) -> Outcome<Option<String>> {
        let (model, seed) = (Model::of(&self.run), self.job.seed());
        if !self.is_network() {
            return Ok(None);
        }
        let certified = Certified::of(&self.job.target.density, &model, &model.sample(SAMPLES, seed, 0), seed)?;
        let (name, step) = (&self.job.method.name, self.run.clock().step);
        Ok(certified.map(|c| format!("{name} of {} after {step} steps\n{}\n", self.job.target.name, c.text())))
    }

    /// w where l is held within the clip.
    fn weight(&self, l: f64) -> f64 {
        self.divergence.as_ref().map_or(f64::NAN, |d| d.weight(l.clamp(-self.clip, self.clip)))
    }

    /// What does not change while the run goes on.
    pub fn opening(&self) -> Json {
        let method = &self.job.method;
        let name = self.divergence.as_ref().map_or(method.velocity.name(), |d| d.name());
        let end = self.end();
        let axis: Vec<f64> = (0..=80).map(|k| end * (k as f64 / 40.0 - 1.0)).collect();
        let weights: Vec<f64> = axis.iter().map(|&l| self.weight(l)).collect();
        let elasticity: Vec<f64> = axis
            .iter()
            .map(|&l| {
                self.divergence.as_ref().map_or(f64::NAN, |d| if l.abs() > self.clip { 0.0 } else { d.elasticity(l) })
            })
            .collect();
        json!({
            "name": name,
            "formula": self.divergence.as_ref().map_or(method.velocity.formula().into(), |d| d.formula()),
            "weight": self.divergence.as_ref().map(|d| d.weight_formula()),
            "why_no_curves": match &self.measure { Measure::Nothing(why) => Some(why), _ => None },
            "exact": matches!(self.measure, Measure::Exact(..)),
            "bandwidth": self.divergence.as_ref().filter(|_| !self.is_network()).and(method.estimator.get("bandwidth_end")).map(|v| v.to_string()),
            "axis": axis, "weights": weights, "elasticity": elasticity, "clip": self.clip, "end": end,
            "levels": self.levels().all(), "moves": if self.run.velocity().kind() == Kind::Displacement { "the step" } else { "V" },
        })
    }

    /// The shown step: places and field in single precision, everything else as it is.
    pub fn frame(&self) -> Json {
        let s = &self.shown;
        let single = |v: &[f64]| v.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let end = self.end();
        let bars = s.log_ratio.as_ref().map(|l| {
            let mut bars = [0u32; BARS];
            for l in l.iter().filter(|l| !l.is_nan()) {
                let part = (l.clamp(-end, end) + end) / (2.0 * end) * BARS as f64;
                bars[(part as usize).min(BARS - 1)] += 1;
            }
            bars.to_vec()
        });
        let n = s.points.rows() as f64;
        let modes = self.truth.as_ref().map(|truth| {
            let report = truth.report(&s.points);
            let floor: Vec<f64> = report.truths.iter().map(|m| (m * (1.0 - m) / n).sqrt()).collect();
            json!({ "masses": report.masses, "truths": report.truths, "floors": floor, "total_variation": report.total_variation })
        });
        let figures: Vec<Json> =
            s.figures.iter().map(|f| json!({ "key": f.key, "label": f.label, "value": f.value })).collect();
        let estimate = |e: &Estimate| [e.value, e.standard_error];
        let certificate = s.certificate.as_ref().map(|c| {
            json!({
                "log_z": estimate(&c.log_z), "elbo": estimate(&c.elbo), "eubo": c.exact.as_ref().map(|e| estimate(&e.eubo)),
                "ess": c.reverse_ess, "k": c.pareto_k, "words": c.words(),
            })
        });
        let inflow = s.inflow.as_ref().map(|i| {
            json!({ "measured": i.measured, "taken": i.taken, "beside": i.beside, "stated": i.stated, "threshold": i.threshold })
        });
        json!({
            "points": single(s.points.as_slice()), "at": s.at.as_ref().map(|x| single(x.as_slice())), "certificate": certificate,
            "velocity": s.velocity.as_ref().map(|v| single(v.as_slice())),
            "weights": s.log_ratio.as_ref().map(|l| l.iter().map(|&l| self.weight(l) as f32).collect::<Vec<f32>>()),
            "bars": bars, "modes": modes, "figures": figures, "skipped": s.skipped, "curves": s.curves, "under": s.under, "inflow": inflow,
        })
    }

    /// w at the particles of the shown step, where they are those that are moved and the field has it.
    pub fn weights(&self) -> Option<Vec<f64>> {
        if self.is_network() {
            return None;
        }
        Some(self.shown.log_ratio.as_ref()?.iter().map(|&l| self.weight(l)).collect())
    }

    /// V at the particles of the shown step, N×2, where they are those that are moved.
    pub fn velocity(&self) -> Option<&Matrix> {
        self.shown.velocity.as_ref().filter(|_| !self.is_network())
    }

    /// U, the share of p that q under-covers by more than e^τ (of particles U_h), at the shown step, and the same of it as
    /// [`Pane::agreement`] gives of D_f: its fall, what V promises of it (T5, T17(d)), the chain rule for the step, and the last as there.
    pub fn response(&self) -> Option<[f64; 5]> {
        self.shown.under
    }

    /// What the shown step brings through the levels of l.
    pub fn inflow(&self) -> Option<&Inflow> {
        self.shown.inflow.as_ref()
    }

    /// The certificate of the samples that are shown.
    pub fn certified(&self) -> Option<&Certificate> {
        self.shown.certificate.as_ref()
    }

    /// The curves of the shown step. Of particles: F_h, its rate of fall over the step, E_q|V_h|², E_q V_h·x', E_q V_h·V'_h with the field V'_h
    /// that the drift follows. Of a network: D_f(p‖q), its fall over the step, E_q|V|², E_q V·x' with x' the samples' step, and the standard
    /// error of that mean.
    pub fn agreement(&self) -> Option<[f64; 5]> {
        self.shown.curves
    }
}
