//! One run of a course: its particles, the field that moves them, and what must agree.

use crate::failure::Outcome;
use crate::lab::smoothed::{Lowered, Smoothed};
use crate::training::Job;
use pushforward::divergence::{self, Divergence};
use pushforward::linalg::Matrix;
use pushforward::metric::ModeTruth;
use pushforward::run::Run;
use pushforward::settings::Value;
use pushforward::state::{State, Stateful};
use pushforward::velocity::{Figure, Kind, Pull};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Most states that are kept for going back; where there would be more, every second one goes.
const MOST_STATES: usize = 40;
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
    /// F_h on a grid, or why it is not shown.
    smoothed: Result<Smoothed, String>,
    truth: Option<Arc<ModeTruth>>,
    states: Vec<(u64, State)>,
    every: u64,
    /// F_h and V_h at the step that follows the shown one.
    next: Option<(u64, Lowered)>,
    shown: Shown,
}

/// A step as it is shown: where the particles are, and what moves them on from there.
#[derive(Default)]
struct Shown {
    step: u64,
    points: Matrix,
    velocity: Option<Matrix>,
    log_ratio: Option<Vec<f64>>,
    figures: Vec<Figure>,
    skipped: bool,
    /// F_h, its rate of fall over the step, E_q|V_h|², E_q V_h·x', E_q V_h·V'_h.
    curves: Option<[f64; 5]>,
}

impl Pane {
    /// The run at its start.
    pub fn begin(job: Job, truth: Option<Arc<ModeTruth>>, x: (f64, f64), y: (f64, f64)) -> Outcome<Self> {
        let run = job.begin(None)?;
        let number = |section: Option<Value>| if let Some(Value::Number(x)) = section { Some(x) } else { None };
        let divergence = match job.method.velocity.get("divergence") {
            Some(Value::Text(name)) => Some(divergence::by_name(&name)?),
            _ => None,
        };
        let clip = number(job.method.velocity.get("clip")).unwrap_or(f64::INFINITY);
        let dt = number(job.method.model.get("dt")).unwrap_or(0.0);
        let reaction = number(job.method.model.get("birth_death")).unwrap_or(0.0);
        let h = number(job.method.estimator.get("bandwidth_end")).unwrap_or(1.0);
        let smoothed = if job.method.velocity.name() == "drift" {
            // no particle of the start outside, with its kernel
            let start = run.sample(usize::MAX >> 1, job.seed(), 0);
            let wide = |(low, high): (f64, f64), j: usize| {
                let column = || start.iter_rows().map(|r| r[j]);
                (column().fold(low, f64::min) - REACH * h, column().fold(high, f64::max) + REACH * h)
            };
            Smoothed::new(&*job.target.density, wide(x, 0), wide(y, 1), h).map_err(|e| e.to_string())
        } else {
            Err("F_h belongs to the drift of a divergence".into())
        };
        let mut pane = Self {
            job,
            run,
            divergence,
            clip,
            dt,
            reaction,
            smoothed,
            truth,
            states: Vec::new(),
            every: 25,
            next: None,
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
        self.shown.step >= self.job.steps()
    }

    /// Where the particles of the shown step are, N×2.
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
        let (velocity, log_ratio) = (&mut shown.velocity, &mut shown.log_ratio);
        let mut kind = self.run.velocity().kind();
        let report = self.run.step_shown(&mut |_, pull| {
            kind = pull.kind();
            if let Pull::Points(field) | Pull::Diffusion { field, .. } = pull {
                *velocity = Some(field.velocity.clone());
                *log_ratio = field.log_ratio.clone();
            }
        })?;
        self.keep();
        (shown.figures, shown.skipped) = (report.figures, report.skipped);
        shown.curves = if kind == Kind::Points && !shown.skipped { self.curves(&shown) } else { None };
        self.shown = shown;
        Ok(())
    }

    /// F_h at the shown step, its rate over the step, E|V_h|², E V_h·x', and E V_h·V'_h with the field as it is followed.
    fn curves(&mut self, shown: &Shown) -> Option<[f64; 5]> {
        let (smoothed, divergence) = (self.smoothed.as_ref().ok()?, self.divergence.as_ref()?);
        let at = |points: &Matrix| smoothed.at(points, &**divergence, self.clip);
        let here = match self.next.take() {
            Some((step, known)) if step == shown.step => known,
            _ => at(&shown.points)?,
        };
        let after = self.places();
        let next = at(&after)?;
        let n = after.rows() as f64;
        let dot = |a: &Matrix, b: &Matrix| a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| a * b).sum::<f64>() / n;
        let mut moved = after;
        moved.add_scaled(-1.0, &shown.points);
        let rate = (here.value - next.value) / self.dt;
        self.next = Some((shown.step + 1, next));
        let with = |other: &Matrix| dot(&here.velocity, other);
        // births put a particle elsewhere: that is no velocity
        let chain = if self.reaction > 0.0 { f64::NAN } else { with(&moved) / self.dt };
        Some([here.value, rate, with(&here.velocity), chain, with(&here.followed)])
    }

    /// Goes to `step`, by the last state before it.
    pub fn seek(&mut self, step: u64) -> Outcome<()> {
        let step = step.min(self.job.steps());
        if step < self.run.clock().step {
            let before = self.states.iter().rev().find(|(at, _)| *at <= step).expect("the start is kept");
            self.run.restore(&before.1)?;
        }
        while self.run.clock().step < step {
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
        if self.states.len() > MOST_STATES {
            self.every *= 2;
            let every = self.every;
            self.states.retain(|(at, _)| at.is_multiple_of(every));
        }
    }

    /// Shows the places alone.
    fn rest(&mut self) {
        self.shown = Shown { step: self.run.clock().step, points: self.places(), ..Shown::default() };
    }

    fn places(&self) -> Matrix {
        self.run.sample(usize::MAX >> 1, self.job.seed(), 0)
    }

    /// w where l is held within the clip.
    fn weight(&self, l: f64) -> f64 {
        self.divergence.as_ref().map_or(f64::NAN, |d| d.weight(l.clamp(-self.clip, self.clip)))
    }

    /// What does not change while the run goes on.
    pub fn opening(&self) -> Json {
        let method = &self.job.method;
        let name = self.divergence.as_ref().map_or(method.velocity.name(), |d| d.name());
        let end = if self.clip.is_finite() { self.clip + 1.0 } else { 5.0 };
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
            "why_no_curves": self.smoothed.as_ref().err(),
            "bandwidth": self.divergence.as_ref().and(method.estimator.get("bandwidth_end")).map(|v| v.to_string()),
            "axis": axis, "weights": weights, "elasticity": elasticity, "clip": self.clip, "end": end,
        })
    }

    /// The shown step: places and field in single precision, everything else as it is.
    pub fn frame(&self) -> Json {
        let s = &self.shown;
        let single = |v: &[f64]| v.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let end = if self.clip.is_finite() { self.clip + 1.0 } else { 5.0 };
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
        json!({
            "points": single(s.points.as_slice()),
            "velocity": s.velocity.as_ref().map(|v| single(v.as_slice())),
            "weights": s.log_ratio.as_ref().map(|l| l.iter().map(|&l| self.weight(l) as f32).collect::<Vec<f32>>()),
            "bars": bars, "modes": modes, "figures": figures, "skipped": s.skipped, "curves": s.curves,
        })
    }

    /// w at the particles of the shown step, where the field has it.
    pub fn weights(&self) -> Option<Vec<f64>> {
        Some(self.shown.log_ratio.as_ref()?.iter().map(|&l| self.weight(l)).collect())
    }

    /// V at the particles of the shown step, N×2.
    pub fn velocity(&self) -> Option<&Matrix> {
        self.shown.velocity.as_ref()
    }

    /// The curves of the shown step: F_h, its rate of fall over the step, E_q|V_h|², E_q V_h·x', E_q V_h·V'_h with the field V'_h that
    /// the drift follows.
    pub fn agreement(&self) -> Option<[f64; 5]> {
        self.shown.curves
    }
}
