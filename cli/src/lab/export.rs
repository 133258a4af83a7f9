//! What a course can be taken away as: a configuration, a command line, tables, a picture.

use crate::lab::course::{Course, LEVELS};
use crate::report::axis::Axis;
use crate::report::contour::{mass_level, region};
use crate::report::plot::Plot;
use crate::style::{INK, TARGET};
use crate::target::is_path;
use crate::training::Job;
use std::fmt::Write;

/// Settings that the command line has flags for; the rest is given by `--set`.
const FLAGS: [(&str, &str, &str); 6] = [
    ("velocity", "divergence", "--divergence"),
    ("model", "particles", "-n"),
    ("model", "dt", "--dt"),
    ("model", "start", "--start"),
    ("model", "stepper", "--stepper"),
    ("run", "seed", "--seed"),
];

/// The export `what` of the shown step; None where there is none of that name.
pub fn of(course: &Course, what: &str) -> Option<String> {
    if let Some(k) = what.strip_prefix("toml") {
        let job = &course.panes().get(k.parse::<usize>().ok()?)?.job;
        return Some(job.config.text(&job.method, job.method.frame.as_ref()));
    }
    if let Some(k) = what.strip_prefix("certificate") {
        let certificate = course.panes().get(k.parse::<usize>().ok()?)?.certificate();
        return certificate.unwrap_or_else(|why| Some(format!("{why}\n")));
    }
    match what {
        "command" => Some(commands(course).join("\n") + "\n"),
        "csv" => Some(table(course)),
        "svg" => Some(picture(course)),
        _ => None,
    }
}

/// The command that repeats each run; a target that was made in the page is in the exported configuration.
pub fn commands(course: &Course) -> Vec<String> {
    course.panes().iter().enumerate().map(|(k, p)| command(&p.job, k)).collect()
}

fn command(job: &Job, k: usize) -> String {
    let Some(target) = job.target.definition.as_str().filter(|name| !is_path(name)) else {
        return format!("pushforward train --config lab{k}.toml");
    };
    let method = &job.method;
    let mut out = match (method.model.name(), method.velocity.name()) {
        ("particles", velocity) => format!("pushforward particles {target} --velocity {velocity}"),
        (model, "drift") => format!("pushforward train {target} --method {model}"),
        (model, velocity) => format!("pushforward train {target} --method {model} --velocity {velocity}"),
    };
    let mut rest = String::new();
    for given in &job.config.given {
        let (section, key) = given.key.split_once('.').unwrap_or(("", &given.key));
        let value = given.value.as_str().map_or_else(|| given.value.to_string(), str::to_owned);
        match FLAGS.iter().find(|(s, k, _)| (*s, *k) == (section, key)) {
            Some((_, _, flag)) => {
                let _ = write!(out, " {flag} {value}");
            }
            None => {
                let _ = write!(rest, " --set {}={value}", given.key);
            }
        }
    }
    out + &rest
}

/// Places and field of the shown step with all their digits, one row a particle.
fn table(course: &Course) -> String {
    let mut out = String::from("run,step,particle,x1,x2,v1,v2,w\n");
    for (k, pane) in course.panes().iter().enumerate() {
        let weights = pane.weights();
        for (i, x) in pane.points().iter_rows().enumerate() {
            let _ = write!(out, "{k},{},{i},{:?},{:?}", pane.step(), x[0], x[1]);
            match pane.velocity() {
                Some(v) => {
                    let _ = write!(out, ",{:?},{:?}", v[(i, 0)], v[(i, 1)]);
                }
                None => out.push_str(",,"),
            }
            match &weights {
                Some(w) => {
                    let _ = writeln!(out, ",{:?}", w[i]);
                }
                None => out.push_str(",\n"),
            }
        }
    }
    out
}

const STYLE: &str = "<style>.title{font-size:14px;font-weight:600}.label{font-size:13px}.tick{font-size:12px}</style>";

/// Width of one picture.
const WIDTH: f64 = 460.0;

/// Particles over contours, the runs side by side.
fn picture(course: &Course) -> String {
    let field = course.field();
    let axis = |label: &str, (low, high): (f64, f64)| Axis::linear(label, low, high, 5);
    let (mut body, mut height) = (String::new(), 0.0);
    for (k, pane) in course.panes().iter().enumerate() {
        let (x, y) = (axis("x₁", field.x), axis("x₂", field.y));
        height = Plot::equal_height(WIDTH, &x, &y);
        let name = pane.opening()["name"].as_str().unwrap_or_default().to_owned();
        let mut plot = Plot::new(&format!("{name}, step {}", pane.step()), (WIDTH, height), x, y).without_grid();
        for mass in LEVELS {
            let (fill, border) = region(field, mass_level(field, mass), &|x, y| plot.place(x, y));
            plot.raw(&format!("<path d=\"{fill}\" fill=\"{TARGET}\" fill-opacity=\"0.09\"/>"));
            plot.raw(&format!("<path d=\"{border}\" fill=\"none\" stroke=\"{TARGET}\" stroke-opacity=\"0.5\"/>"));
        }
        let points: Vec<(f64, f64)> = pane.points().iter_rows().map(|r| (r[0], r[1])).collect();
        plot.dots(&points, 2.6, INK, 0.7);
        let svg = plot.finish(&format!("pane{k}"));
        let _ = write!(body, "<g transform=\"translate({} 0)\">{svg}</g>", WIDTH * k as f64);
    }
    let width = WIDTH * course.panes().len() as f64;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height:.0}\" font-family=\"sans-serif\">{STYLE}{body}</svg>\n"
    )
}
