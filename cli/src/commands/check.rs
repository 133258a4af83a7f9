//! `pushforward check`: whether a target is fit to be sampled, before anything is trained on it.

use crate::discontinuities::{SEGMENT_POINTS, discontinuities};
use crate::failure::{Failure, Outcome};
use crate::files::json::{self, real};
use crate::memory;
use crate::progress::Progress;
use crate::report::{count, number};
use crate::target::{self, Target};
use crate::terminal::{note, print};
use pushforward::autodiff::{GradientCheck, check_score};
use pushforward::density::Affine;
use pushforward::density::{Counted, Counter, Density, Phase};
use pushforward::linalg::Matrix;
use pushforward::rng::{Purpose, fill_uniform, normal_matrix, stream};
use pushforward::search::frame_of;
use serde_json::json;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

/// Points of the box, and of the comparison with differences.
const BOX: usize = 4096;
const POINTS: usize = 64;
/// Seconds from which a cost is announced.
const MOMENT: f64 = 2.0;
/// Half the side of the box, in units of the scale.
const REACH: f64 = 10.0;
/// Units of the six steps, in units of the scale: a right score has slope 2 in the first that resolves the density's features.
const UNITS: [f64; 5] = [1.0, 0.1, 0.01, 1e-3, 1e-4];

/// Slopes of the error in the step below this are rounding, whose own slope is -1; a wrong score has 0.
const ROUNDING: f64 = -0.5;

/// Arguments of `check`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A name from 'list targets', or the path of a TOML file
    target: String,
    /// Print JSON for programs instead of words for people
    #[arg(long)]
    json: bool,
    /// Key of the points
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// One thing that was looked at.
struct Item {
    /// Key in JSON.
    key: &'static str,
    passed: bool,
    found: String,
    /// What to do, where something is to be done.
    suggestion: Option<String>,
}

impl Item {
    fn good(key: &'static str, found: String) -> Self {
        Self { key, passed: true, found, suggestion: None }
    }

    fn bad(key: &'static str, found: String, suggestion: &str) -> Self {
        Self { key, passed: false, found, suggestion: Some(suggestion.into()) }
    }
}

/// Looks, prints, and fails with exit code 1 where something is wrong.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let target = target::load(&arguments.target, &mut note)?;
    target.known("check")?;
    let d = target.density.dim();
    memory::enough_for_search(d)?;
    // points with scores, and their copies
    let needed = 8 * 4 * (2 * BOX + SEGMENT_POINTS) as u128 * d as u128;
    memory::enough(needed, &format!("the check in {d} dimensions"), "give a density of fewer dimensions")?;
    let counter = Arc::<Counter>::default();
    let p = &Counted::new(Arc::clone(&target.density), &counter, Phase::Other);
    announce(p);
    let progress = Progress::new(PARTS.len() as u64, "checks");
    let part = |k: usize| {
        progress.at(k as u64);
        progress.words(&format!("{}, {} points so far", PARTS[k], count(counter.counts().all().total() as usize)));
    };
    part(0);
    let (scale, frame) = scale(&target, p, arguments.seed);
    let mut items = vec![scale];
    part(1);
    items.push(finiteness(&target, p, &frame, arguments.seed));
    part(2);
    items.push(repeatable(p, &frame, arguments.seed));
    part(3);
    let (score, ladder) = score(p, &frame, arguments.seed);
    let right = score.passed;
    items.push(score);
    if right {
        part(4);
        items.push(smoothness(p, &frame, arguments.seed));
    }
    drop(progress);
    print(&if arguments.json {
        json::text(&as_json(&target, &frame, &items, ladder.as_ref()))
    } else {
        as_text(&target, &items, ladder.as_ref())
    })?;
    let failed: Vec<&str> = items.iter().filter(|i| !i.passed).map(|i| i.key).collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::Refuted(format!(
        "{} failed {} of {} checks: {}",
        target.name,
        failed.len(),
        items.len(),
        failed.join(", ")
    )))
}

/// What is looked at, in order.
const PARTS: [&str; 5] = ["scale", "finiteness", "repeatable", "score", "smoothness"];

/// Says beforehand what the points that are known to be asked for will cost, where that is more than a moment.
fn announce(p: &dyn Density) {
    let x = Matrix::zeros(POINTS, p.dim());
    let (mut l, mut s) = (vec![0.0; POINTS], Matrix::zeros(POINTS, p.dim()));
    let start = Instant::now();
    // a density that panics here is a finding of what follows
    let _ = std::panic::catch_unwind(AssertUnwindSafe(|| p.evaluate_into(&x, &mut l, &mut s)));
    let (each, known) = (start.elapsed().as_secs_f64() / POINTS as f64, 2 * BOX + SEGMENT_POINTS);
    if each * known as f64 > MOMENT {
        note(format!(
            "{POINTS} points take {} s, so the {} of box and segments about {} s, and the search for the scale comes on top",
            number(each * POINTS as f64, 2),
            count(known),
            number(each * known as f64, 2)
        ));
    }
}

/// Whether centre and scale can be found; else the frame of the unit ball.
fn scale(target: &Target, p: &dyn Density, seed: u64) -> (Item, Affine) {
    match frame_of(p, seed) {
        Ok(frame) => {
            let length = frame.centre().iter().map(|c| c * c).sum::<f64>().sqrt();
            let found = format!("scale {}, centre {} from the origin", number(frame.scale(), 4), number(length, 4));
            (Item::good("scale", found), frame)
        }
        Err(e) => {
            let advice = "make log p~ finite, or -inf where there is no mass, also far out (differences of logarithms instead of quotients, \
                          exp(-x1) instead of 1/exp(x1)); or give centre and scale to train by --set";
            (Item::bad("scale", target.coordinates.in_own(e).to_string(), advice), Affine::identity(p.dim()))
        }
    }
}

/// Where log p~ or its score is not finite among some points.
struct Faults {
    /// Points where log p~ is NaN or +inf, and the first with its value.
    wild: (usize, Option<(usize, f64)>),
    /// Points where log p~ is finite and the score is not, and the first of them.
    lost: (usize, Option<usize>),
    /// Points where log p~ is -inf.
    outside: usize,
    x: Matrix,
}

impl Faults {
    fn at(p: &dyn Density, x: Matrix) -> Self {
        let n = x.rows();
        let (mut l, mut s) = (vec![0.0; n], Matrix::zeros(n, p.dim()));
        p.evaluate_into(&x, &mut l, &mut s);
        let wild = |i: &usize| l[*i].is_nan() || l[*i] == f64::INFINITY;
        let lost = |i: &usize| l[*i].is_finite() && s.row(*i).iter().any(|v| !v.is_finite());
        Self {
            wild: ((0..n).filter(wild).count(), (0..n).find(wild).map(|i| (i, l[i]))),
            lost: ((0..n).filter(lost).count(), (0..n).find(lost)),
            outside: l.iter().filter(|v| **v == f64::NEG_INFINITY).count(),
            x,
        }
    }

    fn count(&self) -> usize {
        self.wild.0 + self.lost.0
    }

    /// What is wrong and where, in the user's coordinates; None where nothing is.
    fn words(&self, target: &Target, region: &str) -> Option<String> {
        let of = |n: usize| format!("at {} of {} points of {region}", count(n), count(self.x.rows()));
        match (self.wild, self.lost) {
            ((n, Some((i, value))), _) => {
                Some(format!("log p~ is {value} {}, first at {}", of(n), place(target, self.x.row(i))))
            }
            (_, (n, Some(i))) => Some(format!(
                "the score is not finite {} where log p~ is, first at {}",
                of(n),
                place(target, self.x.row(i))
            )),
            _ => None,
        }
    }
}

/// A point in the user's coordinates, by the names of the first of them.
fn place(target: &Target, u: &[f64]) -> String {
    const SHOWN: usize = 6;
    let point = Matrix::from_vec(1, u.len(), u.to_vec());
    let Ok(x) = target.coordinates.constrain(point) else { return format!("u = {u:?}") };
    let names = target.coordinates.names();
    let all = names.iter().zip(x.row(0)).take(SHOWN);
    let shown: Vec<String> = all.map(|(name, v)| format!("{name} = {}", number(*v, 4))).collect();
    format!("{}{}", shown.join(", "), if names.len() > SHOWN { ", …" } else { "" })
}

/// Share of the points near the mass from which what is not finite is a fault of the target.
const MANY: f64 = 0.01;

/// log p~ and score near the mass, at points of the normal law of the frame, and far from it, on uniform points of the box of [`REACH`]
/// scales around the centre. What is not finite far out is a rejected point for searches and chains, and a warning here.
fn finiteness(target: &Target, p: &dyn Density, frame: &Affine, seed: u64) -> Item {
    let near = Faults::at(p, frame.restore(&normal_matrix::<f64>(seed, Purpose::Check, 4, BOX, p.dim())));
    if near.count() as f64 > MANY * BOX as f64 {
        let found = near.words(target, "the mass").unwrap_or_default();
        let advice = match near.wild.0 > 0 {
            true => {
                "a log-density is finite, or -inf outside its support; look for 0/0, inf - inf, log of a negative number"
            }
            false => "look for sqrt or abs at 0 and for overflowing powers; their derivatives are infinite",
        };
        return Item::bad("finiteness", found, advice);
    }
    let mut y: Matrix = Matrix::zeros(BOX, p.dim());
    fill_uniform(&mut stream(seed, Purpose::Check, 0), y.as_mut_slice());
    let far = Faults::at(p, frame.restore(&y.map(|u| REACH * (2.0 * u - 1.0))));
    if let Some(found) = near.words(target, "the mass").or(far.words(target, &format!("a box of ±{REACH} scales"))) {
        let mut item = Item::good("finiteness", found);
        let advice = "far from the mass this does no harm: such points are rejected and counted; where(isfinite(r), r, -inf) makes them -inf";
        item.suggestion = Some(advice.into());
        return item;
    }
    let mut item = Item::good(
        "finiteness",
        format!("finite at {} of {} points, -inf at the others", count(BOX - far.outside), count(BOX)),
    );
    if far.outside > 0 {
        item.suggestion = Some("-inf has no score to follow back; a [support] keeps samples inside".into());
    }
    item
}

/// Whether a point has the same value in a batch, alone, and again.
fn repeatable(p: &dyn Density, frame: &Affine, seed: u64) -> Item {
    let x = frame.restore(&normal_matrix::<f64>(seed, Purpose::Check, 1, POINTS, p.dim()));
    let (first, again) = (p.log_density(&x), p.log_density(&x));
    let alone: Vec<f64> = (0..POINTS).map(|i| p.log_density(&x.slice_rows(i..i + 1))[0]).collect();
    let same =
        |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()));
    if same(&first, &again) && same(&first, &alone) {
        return Item::good("repeatable", "the same bits again, in a batch and alone".into());
    }
    let advice =
        "the value of a point must depend on that point alone; look for random numbers and for state between calls";
    Item::bad("repeatable", "the value of a point changes from call to call or with its neighbours".into(), advice)
}

/// The score against differences, where the mass is: the first of [`UNITS`] whose ladder passes, else the last that was resolved.
fn score(p: &dyn Density, frame: &Affine, seed: u64) -> (Item, Option<(f64, GradientCheck)>) {
    let y: Matrix = normal_matrix(seed, Purpose::Check, 2, 16 * POINTS, p.dim());
    let l = p.log_density(&frame.restore(&y));
    let inside: Vec<usize> = (0..l.len()).filter(|&i| l[i].is_finite()).take(POINTS).collect();
    if inside.is_empty() {
        return (
            Item::bad(
                "score",
                "no point near the centre has a finite log p~".into(),
                "give centre and scale to train by --set",
            ),
            None,
        );
    }
    let direction = normal_matrix(seed, Purpose::Check, 3, inside.len(), p.dim());
    let (mut last, mut reason) = (None, String::new());
    for step in UNITS {
        let unit = step * frame.scale();
        let up = |y: &Matrix| frame.restore(&y.map(|v| v * step));
        let gradient = |y: &Matrix| {
            let (mut l, mut s) = (vec![0.0; y.rows()], Matrix::zeros(y.rows(), y.cols()));
            p.evaluate_into(&up(y), &mut l, &mut s);
            frame.standardise_score(&mut s);
            s.map(|v| v * step)
        };
        let points = y.gather_rows(&inside).map(|v| v / step);
        match check_score(|y| p.log_density(&up(y)), gradient, &points, &direction) {
            Ok(check) if check.passed() => {
                let item = Item::good("score", format!("{check}; steps in units of {}", number(unit, 3)));
                return (item, Some((unit, check)));
            }
            Ok(check) if check.slope().is_some() => last = Some((unit, check)),
            Ok(_) => {}
            Err(e) => reason = e.to_string(),
        }
    }
    if let Some((_, c)) = last.as_ref().filter(|(_, c)| c.slope().is_some_and(|s| s < ROUNDING)) {
        let found = format!(
            "rounding of log p~ hides its differences at every step; best relative error {}",
            number(c.best_relative_error(), 2)
        );
        let advice = "log p~ cancels large numbers, or its support lies far from 0 beside its width; subtract the large part, or shift the coordinate";
        return (Item::bad("score", found, advice), last);
    }
    let advice = match &last {
        Some((_, c)) if (c.factor - 1.0).abs() > 1e-3 && c.factor.is_finite() => {
            "the score is not the gradient of the log-density; look for a missing factor or sign, a term in one of the two only, or a kink"
        }
        _ => {
            "the log-density is not smooth or too rough for differences; look for abs, max, step, tables and large constants"
        }
    };
    let found = last.as_ref().map_or(format!("no ladder of steps could be read; {reason}"), |(_, c)| c.to_string());
    (Item::bad("score", found, advice), last)
}

/// Jumps and kinks, which points alone do not meet.
fn smoothness(p: &dyn Density, frame: &Affine, seed: u64) -> Item {
    let found = discontinuities(p, frame, seed);
    let Some(first) = found.first() else {
        return Item::good("smoothness", "no jump and no kink along 256 segments through the mass".into());
    };
    let x: Vec<String> = first.x.iter().map(|v| number(*v, 4)).collect();
    let place = format!("x = ({})", x.join(", "));
    let jumps = found.iter().filter(|s| s.is_jump()).count();
    let size = number(first.size, 3);
    if jumps > 0 {
        let found = format!("log p~ jumps on {jumps} of 256 segments through the mass, by {size} nats at {place}");
        let advice = "no score shows a jump, so training does not see the masses on its two sides; make log p~ continuous, or split the target there";
        return Item::bad("smoothness", found, advice);
    }
    let kinks = found.len();
    let mut item = Item::good(
        "smoothness",
        format!("no jump; kinks on {kinks} of 256 segments through the mass, the slope jumps by {size} at {place}"),
    );
    item.suggestion = Some("a kink is no mistake; flows and densities of smooth networks round it off".into());
    item
}

fn as_text(target: &Target, items: &[Item], ladder: Option<&(f64, GradientCheck)>) -> String {
    let mut text = format!("{} in {} dimensions\n\n", target.name, target.density.dim());
    if let Some(what) = target.coordinates.of_density() {
        text += &format!("Samples have coordinates of their own; all of this is about {what}.\n\n");
    }
    for item in items {
        let verdict = if item.passed { "passed" } else { "FAILED" };
        text += &format!("{:<12}{verdict}  {}\n", item.key, item.found);
        text += &item.suggestion.iter().map(|s| format!("{:<20}→ {s}\n", "")).collect::<String>();
    }
    if let Some((unit, check)) = ladder {
        text += "\n  step        |difference - score|, root mean square over points\n";
        for (h, error) in check.steps.iter().zip(&check.errors) {
            text += &format!("  {:<12}{error:.3e}\n", format!("{:.2e}", h * unit));
        }
    }
    text
}

fn as_json(
    target: &Target,
    frame: &Affine,
    items: &[Item],
    ladder: Option<&(f64, GradientCheck)>,
) -> serde_json::Value {
    let one = |i: &Item| json!({ "check": i.key, "passed": i.passed, "found": i.found, "suggestion": i.suggestion });
    let ladder = ladder.map(|(unit, c)| {
        json!({
            "unit": real(*unit), "steps": c.steps.iter().map(|h| real(h * unit)).collect::<Vec<_>>(), 
            "errors": c.errors.iter().map(|e| real(*e)).collect::<Vec<_>>(), "scale": real(c.scale), "slope": c.slope().map(real),
            "factor": real(c.factor), "best_relative_error": real(c.best_relative_error()),
        })
    });
    json!({
        "version": 1, "target": target.name, "dim": target.density.dim(), "passed": items.iter().all(|i| i.passed),
        "centre": frame.centre(), "scale": frame.scale(), "checks": items.iter().map(one).collect::<Vec<_>>(), "ladder": ladder,
    })
}
