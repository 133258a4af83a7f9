//! Storyboards: what the laboratory shows, as one picture that moves, from a file of scenes.

use crate::failure::{Failure, Outcome};
use crate::files::read_text;
use crate::lab::circle::{self, Circle};
use crate::lab::course::{Course, LEVELS};
use crate::lab::wish::Wish;
use crate::report::axis::Axis;
use crate::report::contour::{mass_level, region};
use crate::report::plot::Plot;
use crate::style::{INK, TARGET, escape, number, series};
use crate::target::Target;
use serde::Deserialize;
use std::fmt::Write;
use std::path::Path;

/// Scenes, shown side by side.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storyboard {
    /// Seconds from the first frame to the last.
    seconds: f64,
    /// Frames of each scene, the first and the last step included.
    frames: u64,
    scene: Vec<Scene>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scene {
    title: String,
    /// The part of a link of the laboratory behind its `#`.
    lab: Option<String>,
    /// Particles on a circle; in place of `lab`.
    circle: Option<Circle>,
}

/// Longest file of scenes.
const MAX_FILE: u64 = 1 << 20;
/// Most scenes, frames of a scene, and particles times frames: some megabytes.
const MOST: (usize, u64, usize) = (6, 120, 40_000);
/// Width of a scene, and the height of one on a circle.
const WIDTH: f64 = 380.0;
const CIRCLE: f64 = 360.0;
/// Seconds for which the last frame stays.
const REST: f64 = 2.0;
/// Most frames of the way of a course, and the seconds that they take.
const WAY: usize = 60;
const SECONDS: f64 = 8.0;

/// The places of all particles of a run, frame by frame.
pub type Frames = Vec<Vec<(f64, f64)>>;

impl Storyboard {
    /// Reads a file of scenes.
    pub fn read(path: &Path) -> Outcome<Self> {
        let text = read_text(path, MAX_FILE)?;
        Self::of_text(&text).map_err(|why| Failure::input(format!("{}: {why}", path.display())))
    }

    /// The scenes in `text`, or a sentence on what is wrong.
    pub fn of_text(text: &str) -> Result<Self, String> {
        let board: Self = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(1, |s| text[..s.start].matches('\n').count() + 1);
            format!("line {line}: {}", e.message())
        })?;
        let (scenes, frames, _) = MOST;
        if !(1..=scenes).contains(&board.scene.len()) {
            return Err(format!("{} scenes; give from 1 to {scenes}", board.scene.len()));
        }
        if !(2..=frames).contains(&board.frames) {
            return Err(format!("frames = {}; give from 2 to {frames}", board.frames));
        }
        if !(board.seconds > 0.0 && board.seconds <= 600.0) {
            return Err(format!("seconds = {}; give a positive number, at most 600", board.seconds));
        }
        match board.scene.iter().find(|s| s.lab.is_some() == s.circle.is_some()) {
            Some(scene) => Err(format!("the scene \"{}\": give either lab or circle", scene.title)),
            None => Ok(board),
        }
    }

    /// The picture: an SVG whose particles move from frame to frame, without scripts. `given` is the target of scenes that name none.
    /// Where nothing moves, it shows the last step.
    pub fn draw(&self, given: &Target) -> Outcome<String> {
        let (mut drawn, mut circles) = (Vec::new(), Vec::new());
        for scene in &self.scene {
            let said = |e: Failure| Failure::input(format!("the scene \"{}\": {e}", scene.title));
            if let Some(circle) = &scene.circle {
                let course = circle.run(self.frames).map_err(said)?;
                drawn.push(self.circle(scene, circle, &course, drawn.len()));
                circles.push(course);
                continue;
            }
            let lab = scene.lab.as_deref().unwrap_or_default();
            let mut course = Wish::read(lab).and_then(|wish| Course::begin(&wish, given)).map_err(said)?;
            let end = course.panes()[0].job.steps();
            drawn.extend(self.runs(&scene.title, &mut course, end, drawn.len()).map_err(said)?);
        }
        if !circles.is_empty() {
            drawn.push(distances(&circles, drawn.len()));
        }
        Ok(side_by_side(&drawn))
    }

    /// The way of a `course` from its start to the shown step, as a picture that moves; the course is back there at the end.
    pub fn of_course(course: &mut Course) -> Outcome<String> {
        let (step, n) = (course.step(), course.panes()[0].points().rows() * course.panes().len());
        let frames = (MOST.2 / n).clamp(2, WAY).min(step as usize + 1).max(2) as u64;
        let board = Self { seconds: SECONDS, frames, scene: Vec::new() };
        let title = course.panes()[0].job.target.name.clone();
        let drawn = board.runs(&title, course, step, 0);
        course.seek(step)?;
        Ok(side_by_side(&drawn?))
    }

    /// The runs of a course up to the step `end`, drawn; `id` is the first free number of a picture.
    fn runs(&self, title: &str, course: &mut Course, end: u64, id: usize) -> Outcome<Vec<(String, f64)>> {
        let moved = self.moves(course, end)?;
        Ok(moved.iter().enumerate().map(|(k, frames)| self.scene(title, (course, end), k, frames, id + k)).collect())
    }

    /// The places of each run at every frame, the last one at the step `end`.
    fn moves(&self, course: &mut Course, end: u64) -> Outcome<Vec<Frames>> {
        let n = course.panes()[0].points().rows();
        if n * self.frames as usize > MOST.2 {
            let (frames, most) = (self.frames, MOST.2);
            return Err(Failure::input(format!("{n} particles in {frames} frames; give at most {most} together")));
        }
        let mut out = vec![Vec::new(); course.panes().len()];
        for frame in 0..self.frames {
            course.seek(end * frame / (self.frames - 1))?;
            for (pane, frames) in course.panes().iter().zip(&mut out) {
                frames.push(pane.points().iter_rows().map(|r| (r[0], r[1])).collect());
            }
        }
        Ok(out)
    }

    /// One run: contours, and circles that go through their places.
    fn scene(&self, title: &str, (course, end): (&Course, u64), k: usize, frames: &Frames, id: usize) -> (String, f64) {
        let field = course.field();
        let (x, y) = (Axis::linear("x₁", field.x.0, field.x.1, 4), Axis::linear("x₂", field.y.0, field.y.1, 4));
        let height = Plot::equal_height(WIDTH, &x, &y);
        let opening = course.panes()[k].opening();
        let name =
            opening["name"].as_str().filter(|_| course.panes().len() > 1).map_or(String::new(), |n| format!(", {n}"));
        let mut plot = Plot::new(&format!("{title}{name}"), (WIDTH, height), x, y).without_grid();
        for mass in LEVELS {
            let (fill, border) = region(field, mass_level(field, mass), &|x, y| plot.place(x, y));
            plot.raw(&format!("<path d=\"{fill}\" fill=\"{TARGET}\" fill-opacity=\"0.09\"/>"));
            plot.raw(&format!("<path d=\"{border}\" fill=\"none\" stroke=\"{TARGET}\" stroke-opacity=\"0.5\"/>"));
        }
        let n = frames.first().map_or(0, Vec::len);
        self.moving(&mut plot, frames);
        let job = &course.panes()[k].job;
        let words = match job.method.model.get("dt").and_then(|v| v.to_string().parse::<f64>().ok()) {
            Some(dt) if job.method.model.name() == "particles" => {
                format!("{n} particles, time 0 to {}", number(dt * end as f64, 3))
            }
            _ => format!("{n} samples, step 0 to {end}"),
        };
        plot.raw(&format!(
            "<text class=\"tick\" x=\"{}\" y=\"44\" text-anchor=\"end\">{}</text>",
            WIDTH - 26.0,
            escape(&words)
        ));
        (plot.finish(&format!("scene{id}")), height)
    }

    /// Particles on a circle, each at the height of its rank, and the distribution function of p, on which they belong.
    fn circle(&self, scene: &Scene, circle: &Circle, course: &circle::Course, id: usize) -> (String, f64) {
        let axis = |label: &str| Axis::linear(label, 0.0, 1.0, 4);
        let mut plot = Plot::new(
            &scene.title,
            (WIDTH, CIRCLE),
            axis("x on the circle of length 1"),
            axis("share of mass to the left"),
        );
        plot.line(&course.curve, &format!("stroke=\"{TARGET}\" stroke-width=\"2\""));
        self.moving(&mut plot, &course.frames);
        plot.raw(&format!(
            "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            WIDTH - 26.0,
            CIRCLE - 54.0,
            escape(&circle.words())
        ));
        (plot.finish(&format!("scene{id}")), CIRCLE)
    }

    /// Circles that go through their places; what stands still is the last frame.
    fn moving(&self, plot: &mut Plot, frames: &Frames) {
        // the last frame stays: it is repeated
        let spans = (frames.len() - 1) as f64;
        let rest = (REST / self.seconds * spans).ceil();
        let total = self.seconds * (spans + rest) / spans;
        let mut marks = String::new();
        let Some(last) = frames.last() else { return };
        for i in 0..last.len() {
            let held = std::iter::repeat_n(last, rest as usize);
            let way: Vec<(f64, f64)> =
                frames.iter().chain(held).map(|frame| plot.place(frame[i].0, frame[i].1)).collect();
            let values =
                |f: fn(&(f64, f64)) -> f64| way.iter().map(|p| format!("{:.1}", f(p))).collect::<Vec<_>>().join(";");
            let end = way[way.len() - 1];
            let _ = writeln!(
                marks,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\"><animate attributeName=\"cx\" dur=\"{total:.2}s\" repeatCount=\"indefinite\" values=\"{}\"/>\
                 <animate attributeName=\"cy\" dur=\"{total:.2}s\" repeatCount=\"indefinite\" values=\"{}\"/></circle>",
                end.0,
                end.1,
                values(|p| p.0),
                values(|p| p.1)
            );
        }
        plot.raw(&format!("<g fill=\"{INK}\" fill-opacity=\"0.75\">{marks}</g>"));
    }
}

/// Pictures of width [`WIDTH`], given with their heights, in one.
fn side_by_side(drawn: &[(String, f64)]) -> String {
    let (mut body, mut height, width) = (String::new(), 0.0f64, WIDTH * drawn.len() as f64);
    for (k, (svg, high)) in drawn.iter().enumerate() {
        let _ = write!(body, "<g transform=\"translate({} 0)\">{svg}</g>", WIDTH * k as f64);
        height = height.max(*high);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {:.0}\" width=\"{width}\" font-family=\"sans-serif\"><style>.title{{font-size:14px;\
         font-weight:600}}.label{{font-size:13px}}.tick{{font-size:12px}}</style><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n",
        height + 8.0
    )
}

/// How far the particles of each circle are from p, over time.
fn distances(all: &[circle::Course], id: usize) -> (String, f64) {
    let points = || all.iter().flat_map(|c| &c.distance);
    let (end, low) = points().fold((0.0f64, f64::INFINITY), |(t, d), p| (t.max(p.0), d.min(p.1)));
    let high = points().fold(0.0f64, |d, p| d.max(p.1));
    let (x, y) = (
        Axis::linear("time, in units of (2π)^(2s − 2)", 0.0, end, 4),
        Axis::log("root mean square distance in F", 0.8 * low, 1.3 * high),
    );
    let mut plot = Plot::new("Distance from p", (WIDTH, CIRCLE), x, y);
    for (k, course) in all.iter().enumerate() {
        let style = series(k + 1);
        plot.line(&course.distance, &style);
        plot.legend(&format!("<path d=\"M-11 0h22\" fill=\"none\" {style}/>"), &course.name);
    }
    (plot.finish(&format!("scene{id}")), CIRCLE)
}
