//! `pushforward symmetry`: the linear and affine symmetries of a target, from its score alone.

use crate::discontinuities::discontinuities;
use crate::failure::{Failure, Outcome};
use crate::files::atomic::AtomicFile;
use crate::files::json::{self, real};
use crate::memory;
use crate::report::orbits::Orbits;
use crate::report::{Field, count, number};
use crate::target::{self, Target};
use crate::terminal::{note, print};
use pushforward::Error;
use pushforward::density::{Affine, Density, Group};
use pushforward::linalg::{Cholesky, Matrix};
use pushforward::search::{SearchSettings, search};
use pushforward::symmetry::{AffineField, Found, Settings, find};
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `symmetry`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A name from 'list targets', or the path of a TOML file
    target: String,
    /// Only linear maps about the origin, x ↦ exp(tA) x; else affine ones, about any centre
    #[arg(long)]
    origin: bool,
    /// Coordinates that stand still, such as x3 or tau: symmetries of the law of the others given these
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    given: Vec<String>,
    /// Points of the target, exact samples or those of a search [default: 8 for each candidate, at least 4,000]
    #[arg(long, value_name = "N")]
    points: Option<usize>,
    /// Largest residual that is taken for rounding, in units of √(|s|²|x|² + d) at its point
    #[arg(long, default_value_t = 1e-6)]
    tolerance: f64,
    /// Chance that the bound on the mass that breaks the symmetries is wrong
    #[arg(long, default_value_t = 1e-3)]
    level: f64,
    /// Key of the points
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draw orbits and eigenvalues into this SVG file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print JSON for programs instead of words for people
    #[arg(long)]
    json: bool,
}

/// Fewest points by default, and points for each candidate.
const LEAST: usize = 4000;
const EACH: usize = 8;
/// Fields, and coordinates of each, that words show; JSON has all.
const SHOWN: usize = 6;
const EQUATIONS: usize = 12;

/// Finds, prints, draws.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let target = target::load(&arguments.target, &mut note)?;
    let p = target.known("symmetry")?;
    let name = &target.name;
    if target.coordinates.has_support() {
        return Err(Failure::input(format!(
            "{name} has a support; a boundary breaks symmetries that the score does not see, so give a density on all of R^d"
        )));
    }
    let d = p.dim();
    let given = given(&target, &arguments.given)?;
    // on a line no turn is left, and a covariance says nothing
    let exact = exact(p).filter(|_| !arguments.origin && given.is_empty() && d > 1);
    let candidates = if exact.is_some() { d * (d - 1) / 2 } else { (d - given.len()) * (d + 1) };
    let n = arguments.points.unwrap_or_else(|| LEAST.max(EACH * candidates));
    // the matrix of candidates and its factor, points with scores and their copies
    let needed = 24 * (candidates as u128).pow(2) + 64 * n as u128 * d as u128;
    memory::enough(needed, &format!("the search for symmetries in {d} dimensions"), "ask for fewer --points")?;
    let points = points(p, n, arguments.seed)?;
    let settings = Settings {
        origin: arguments.origin,
        tolerance: arguments.tolerance,
        level: arguments.level,
        given,
        exact,
        seed: arguments.seed,
        ..Settings::default()
    };
    let found = find(p, &points, &settings)?;
    refuse_jumps(name, p, &found.frame, arguments.seed)?;
    if let Some(path) = &arguments.output {
        let field = Field::around(p, &points);
        let svg = Orbits { name, found: &found, points: &points, field: field.as_ref() }.svg();
        let mut file = AtomicFile::output(path)?;
        file.write(svg.as_bytes())?;
        file.commit()?;
    }
    print(&if arguments.json {
        json::text(&as_json(&target, arguments, &found))
    } else {
        as_text(&target, arguments, &found)
    })
}

/// The coordinates of these names, from 0.
fn given(target: &Target, names: &[String]) -> Outcome<Vec<usize>> {
    let known = target.coordinates.names();
    let find = |name: &String| {
        known.iter().position(|k| k == name).ok_or_else(|| {
            Failure::input(format!(
                "--given {name}: {} has no such coordinate; it has {}",
                target.name,
                known.join(", ")
            ))
        })
    };
    let mut found = names.iter().map(find).collect::<Outcome<Vec<usize>>>()?;
    found.sort_unstable();
    found.dedup();
    if found.len() == known.len() {
        let message =
            format!("--given {}: all coordinates stand still; leave out those that may move", names.join(","));
        return Err(Failure::input(message));
    }
    Ok(found)
}

/// Mean and factor of the covariance, where they are known exactly.
fn exact(p: &dyn Density) -> Option<Affine> {
    let mixture = p.mixture()?;
    let factor = Cholesky::factor(&mixture.covariance(), "covariance").ok()?;
    Affine::from_parts(mixture.mean(), factor.lower().clone()).ok()
}

/// n points of the target: exact samples, or the particles of a search.
fn points(p: &dyn Density, n: usize, seed: u64) -> Outcome<Matrix> {
    if let Some(x) = p.sample(n, seed) {
        return Ok(x);
    }
    match search(p, &SearchSettings { particles: n.max(2), seed, start: None }) {
        Ok(found) => Ok(found.particles),
        // no frame can be given here
        Err(Error::Unsupported { what, .. }) => Err(Failure::input(format!(
            "{what}; give a density of finite mass whose mass lies near the origin in units near 1: symmetries are the same in any"
        ))),
        Err(e) => Err(e.into()),
    }
}

/// A jump keeps the condition and breaks the symmetry.
fn refuse_jumps(name: &str, p: &dyn Density, frame: &Affine, seed: u64) -> Outcome<()> {
    let Some(jump) = discontinuities(p, frame, seed).into_iter().find(|s| s.is_jump()) else { return Ok(()) };
    let x: Vec<String> = jump.x.iter().map(|v| number(*v, 4)).collect();
    Err(Failure::input(format!(
        "log p~ of {name} jumps by {} nats at ({}); no score shows a jump, so make log p~ continuous to look for symmetries",
        number(jump.size, 3),
        x.join(", ")
    )))
}

fn as_text(target: &Target, arguments: &Arguments, found: &Found) -> String {
    let (name, k) = (&target.name, found.basis.len());
    let kind = if arguments.origin { "linear fields A x" } else { "affine fields A x + b" };
    let beside = match arguments.given.len() {
        0 => String::new(),
        _ => format!(" given {}", arguments.given.join(", ")),
    };
    let mut text = format!("dimension {k}\n");
    text += &match k {
        0 => format!(
            "no one-parameter group of the {kind} keeps {name}{beside}; reflections and turns by one angle are not looked for\n"
        ),
        _ => format!("the flows of these {kind} keep {name}{beside}, in {} dimensions\n", target.density.dim()),
    };
    for (i, field) in found.basis.iter().take(SHOWN).enumerate() {
        text += &format!("  {}: {}\n", i + 1, equations(field));
    }
    if k > SHOWN {
        text += &format!("  and {} more; --json has all\n", k - SHOWN);
    }
    text += &match found.gap {
        Some((gap, error)) => format!(
            "gap         {} ± {}: the least mean square of another residual, relative to |s|²|x|² + d at each point\n",
            number(gap, 4),
            number(error, 2)
        ),
        None => "gap         none: every candidate is a symmetry\n".into(),
    };
    let checked = count(found.checked);
    if k > 0 {
        text += &format!(
            "residual    {} at most, at {checked} points that had no say: less than {} % of the mass breaks these symmetries by more than {}, with probability {}\n",
            number(found.residual, 2),
            number(100.0 * found.unseen, 2),
            number(arguments.tolerance, 2),
            1.0 - arguments.level
        );
    }
    let d = target.density.dim();
    let frame = if arguments.given.is_empty() && found.candidates == d * (d - 1) / 2 {
        "; the exact covariance leaves these alone"
    } else {
        ""
    };
    if let [one] = &found.basis[..]
        && let Ok(group) = Group::of_turns(&one.matrix)
        && let (Some(turn), true) = (group.turn(), one.shift.iter().all(|b| *b == 0.0))
    {
        // the eigenvector's rounding is not the user's
        let entry = |v: &f64| if (v - v.round()).abs() < 1e-9 { v.round() + 0.0 } else { *v };
        let rows: Vec<Vec<f64>> = turn.iter_rows().map(|r| r.iter().map(entry).collect()).collect();
        text += &format!("in a file   [symmetry] turn = {rows:?}: then a generator learns one orientation\n");
    }
    let fields = if found.candidates == 1 { "field" } else { "fields" };
    text + &format!("candidates  {} {fields}, from {checked} other points{frame}\n", count(found.candidates))
}

/// "x1' = x2, x2' = -x1": the rows that are not zero.
fn equations(field: &AffineField) -> String {
    let term = |(j, &a): (usize, &f64)| {
        // 1 up to the rounding of an elimination
        let size = if (a.abs() - 1.0).abs() < 1e-9 { String::new() } else { number(a.abs(), 4) + " " };
        (a != 0.0).then(|| format!("{} {size}x{}", if a < 0.0 { "-" } else { "+" }, j + 1))
    };
    let one = |i: usize| {
        let mut terms: Vec<String> = field.matrix.row(i).iter().enumerate().filter_map(term).collect();
        let b = field.shift[i];
        if b != 0.0 {
            terms.push(format!("{} {}", if b < 0.0 { "-" } else { "+" }, number(b.abs(), 4)));
        }
        let all = terms.join(" ");
        let all = all.strip_prefix("+ ").map_or_else(|| all.replacen("- ", "-", 1), str::to_owned);
        (!all.is_empty()).then(|| format!("x{}' = {all}", i + 1))
    };
    let rows: Vec<String> = (0..field.dim()).filter_map(one).collect();
    let rest = rows.len().saturating_sub(EQUATIONS);
    let shown = rows.into_iter().take(EQUATIONS).collect::<Vec<_>>().join(", ");
    if rest > 0 { format!("{shown}, and {rest} more") } else { shown }
}

fn as_json(target: &Target, arguments: &Arguments, found: &Found) -> serde_json::Value {
    let field = |f: &AffineField| {
        let rows: Vec<&[f64]> = f.matrix.iter_rows().collect();
        json!({ "matrix": rows, "shift": f.shift })
    };
    json!({
        "version": 1, "target": target.name, "dim": target.density.dim(), "dimension": found.basis.len(), "origin": arguments.origin,
        "given": arguments.given,
        "basis": found.basis.iter().map(field).collect::<Vec<_>>(), "nearest": found.nearest.as_ref().map(field),
        "eigenvalues": found.eigenvalues.iter().map(|v| real(*v)).collect::<Vec<_>>(),
        "gap": found.gap.map(|(value, error)| json!({ "value": real(value), "error": real(error) })),
        "residual": real(found.residual), "tolerance": arguments.tolerance, "checked": found.checked,
        "unseen_mass": real(found.unseen), "level": arguments.level, "candidates": found.candidates, "seed": arguments.seed,
    })
}
