//! What one tab shows: up to three runs on one seed, step by step.

use crate::failure::Outcome;
use crate::lab::export;
use crate::lab::glance::{Glance, Seen};
use crate::lab::pane::Pane;
use crate::lab::storyboard::Storyboard;
use crate::lab::wish::Wish;
use crate::report::Field;
use crate::report::contour::{mass_level, region};
use crate::report::panels::column_range_at;
use crate::target::Target;
use crate::training::Job;
use pushforward::linalg::Matrix;
use pushforward::metric::ModeTruth;
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Exact samples behind the picture's frame and the true masses of modes.
const TRUTH: usize = 20_000;
/// Shares of the target's mass that the contours hold.
pub const LEVELS: [f64; 3] = [0.5, 0.9, 0.99];
/// Side of the square in which contours are drawn.
const SIDE: f64 = 1000.0;

/// Runs side by side, and the picture that they share.
pub struct Course {
    panes: Vec<Pane>,
    field: Field,
    /// What the controls stand at.
    values: Json,
}

impl Course {
    /// The runs that `wish` asks for; `given` is the target of the command line.
    pub fn begin(wish: &Wish, given: &Target) -> Outcome<Self> {
        Self::begin_seen(wish, given, &Arc::default())
    }

    /// The same; meanwhile `glance` shows where the searches look, of a target that has exact samples.
    pub fn begin_seen(wish: &Wish, given: &Target, glance: &Arc<Glance>) -> Outcome<Self> {
        let mut jobs = wish.jobs(given)?;
        let (density, seed) = (Arc::clone(&jobs[0].target.density), jobs[0].seed());
        let truth = density.mixture().map(|m| Arc::new(ModeTruth::new(m, TRUTH, seed)));
        let (many, exact) = (wish.shown()?, density.sample(TRUTH, seed));
        if let Some(exact) = &exact {
            let (x, y) = frame(exact, None);
            let _ = glance.over_what.set(over(&Field { x, y, log_p: Matrix::zeros(0, 0) }.of(&*density)));
        }
        let mut begin = |job: &mut Job| {
            job.target.density = Arc::new(Seen { inner: Arc::clone(&density), glance: Arc::clone(glance) });
            let run = job.begin(None);
            job.target.density = Arc::clone(&density);
            run
        };
        let runs = jobs.iter_mut().map(&mut begin).collect::<Outcome<Vec<_>>>()?;
        glance.end();
        let start = runs[0].sample(many, seed, 0);
        // both the start and the target are to be seen
        let (x, y) = frame(&start, exact.as_ref());
        let field = Field { x, y, log_p: Matrix::zeros(0, 0) }.of(&*density);
        let mut panes = Vec::new();
        let values = wish.values(&jobs[0]);
        for (job, run) in jobs.into_iter().zip(runs) {
            panes.push(Pane::begin(job, run, (many, wish.level()?), truth.clone(), (x, y))?);
        }
        let mut course = Self { panes, field, values };
        course.seek(wish.step().unwrap_or(0))?;
        Ok(course)
    }

    /// The step that is shown.
    pub fn step(&self) -> u64 {
        // one that has settled stays behind
        self.panes.iter().map(Pane::step).max().unwrap_or(0)
    }

    /// Whether the last step is shown.
    pub fn is_finished(&self) -> bool {
        self.panes.iter().all(Pane::is_finished)
    }

    /// Shows the step `by` steps on, by ≥ 1.
    pub fn advance(&mut self, by: u64) -> Outcome<()> {
        for pane in &mut self.panes {
            // the shown step was followed already
            for _ in 1..by {
                pane.pass()?;
            }
            pane.look()?;
        }
        Ok(())
    }

    /// Shows `step`, or the last one.
    pub fn seek(&mut self, step: u64) -> Outcome<()> {
        self.panes.iter_mut().try_for_each(|pane| pane.seek(step))
    }

    /// The runs.
    pub fn panes(&self) -> &[Pane] {
        &self.panes
    }

    /// The target on a grid over the picture.
    pub fn field(&self) -> &Field {
        &self.field
    }

    /// What does not change while the runs go on, for the page.
    pub fn opening(&self) -> Json {
        let job = &self.panes[0].job;
        let modes: Option<Vec<Vec<f64>>> = job.target.density.mixture().map(|m| {
            let std = |k: usize| m.covariances()[k][(0, 0)].sqrt();
            (0..m.components()).map(|k| vec![m.means()[(k, 0)], m.means()[(k, 1)], std(k), m.weights()[k]]).collect()
        });
        json!({
            "target": job.target.name, "formula": job.target.formula, "over": over(&self.field), "steps": job.steps(), "modes": modes,
            "values": self.values, "network": job.method.model.name() != "particles", "log_z": job.target.density.log_normaliser(),
            "dt": job.method.model.get("dt").map(|v| v.to_string().parse::<f64>().unwrap_or(0.0)),
            "panes": self.panes.iter().map(Pane::opening).collect::<Vec<Json>>(),
            "commands": export::commands(self),
        })
    }

    /// The shown step, for the page.
    pub fn frame(&self) -> Json {
        let panes: Vec<Json> = self.panes.iter().map(Pane::frame).collect();
        json!({ "step": self.step(), "finished": self.is_finished(), "panes": panes })
    }

    /// The way from the start to the shown step, as an SVG that moves.
    pub fn frames(&mut self) -> Outcome<String> {
        Storyboard::of_course(self)
    }

    /// An export by name: `command`, `csv`, `svg`, or `toml0` and `certificate0` for the configuration and the certificate of the first run; None for other names.
    pub fn export(&self, what: &str) -> Option<String> {
        export::of(self, what)
    }
}

/// What particles are drawn over: the box, and contours in the units of a square of side [`SIDE`].
fn over(f: &Field) -> Json {
    let place = |x: f64, y: f64| (SIDE * (x - f.x.0) / (f.x.1 - f.x.0), SIDE * (1.0 - (y - f.y.0) / (f.y.1 - f.y.0)));
    let contours: Vec<Json> = LEVELS
        .iter()
        .map(|&mass| {
            let (fill, border) = region(f, mass_level(f, mass), &place);
            json!({ "mass": mass, "fill": fill, "border": border })
        })
        .collect();
    json!({ "x": [f.x.0, f.x.1], "y": [f.y.0, f.y.1], "side": SIDE, "contours": contours })
}

/// The box of the bulk of the start and of the exact samples, in equal units on both axes.
fn frame(start: &Matrix, exact: Option<&Matrix>) -> ((f64, f64), (f64, f64)) {
    let range = |j: usize| {
        let (low, high) = column_range_at(start, j, 0.02, 0.05);
        let other = exact.as_ref().map_or((low, high), |e| column_range_at(e, j, 0.002, 0.08));
        (low.min(other.0), high.max(other.1))
    };
    let (x, y) = (range(0), range(1));
    let side = (x.1 - x.0).max(y.1 - y.0);
    let square = |(low, high): (f64, f64)| (0.5 * (low + high - side), 0.5 * (low + high + side));
    (square(x), square(y))
}
