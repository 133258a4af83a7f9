//! `pushforward distance`: how far two files of samples are from each other, beside what two samples of one law give.

use crate::failure::{Failure, Outcome};
use crate::files::atomic::AtomicFile;
use crate::files::json;
use crate::files::samples::{read_names, read_samples};
use crate::files::weights::read_weights;
use crate::forecast::{say, timed};
use crate::memory;
use crate::progress::Progress;
use crate::report::{count, number, plan};
use crate::terminal::{note, print};
use pushforward::Error;
use pushforward::linalg::Matrix;
use pushforward::metric::{energy_distance, median_distance, mmd2, wasserstein2, wasserstein2_sorted};
use pushforward::num::{Summary, exp, log_sum_exp, powf};
use pushforward::rng::{Purpose, stream, uniform};
use pushforward::transport::{Cloud, Cost, Divergence, Sinkhorn, divergence};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Arguments of `distance`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The first samples a, one a row: .npy, .npz or .csv
    first: PathBuf,
    /// The second samples b
    second: PathBuf,
    /// sinkhorn (the debiased divergence S_ε), w2 (exact, for equal numbers), energy (2E|X-Y| - E|X-X'| - E|Y-Y'|) or mmd (MMD², Gaussian kernel)
    #[arg(long, value_name = "NAME", default_value = "sinkhorn", value_parser = ["sinkhorn", "w2", "energy", "mmd"])]
    metric: String,
    /// ε of sinkhorn, in units of the cost [default: a twentieth of the mean cost between points of both files]
    #[arg(long)]
    epsilon: Option<f64>,
    /// The cost of sinkhorn: half-square is |x-y|²/2, distance is |x-y|
    #[arg(long, value_name = "NAME", default_value = "half-square", value_parser = ["half-square", "distance"])]
    cost: String,
    /// Relax the marginals of sinkhorn's plans at the strength RHO, in units of the cost: masses may differ (weights then keep their sums), and
    /// points much farther than √RHO from all others hardly count
    #[arg(long, value_name = "RHO")]
    relax: Option<f64>,
    /// A file of weights for the first samples, and one for the second ('equal' for none); for sinkhorn
    #[arg(long, value_name = "FILE", num_args = 1..=2)]
    weights: Vec<String>,
    /// Random splits of all points behind the floor; 0 for no floor
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    floor: u64,
    /// Key of the random splits
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draw the plan of sinkhorn or w2 between samples in the plane into this SVG file: points, and lines as wide as their mass
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print JSON for programs instead of words for people
    #[arg(long)]
    json: bool,
}

/// Default ε over the mean cost.
const SHARE: f64 = 0.05;

/// Points of a file from which on plans leave out blocks of pairs.
const MANY: usize = 2000;

/// The mass that they may leave out, and where iterations stop then.
const LEFT_OUT: f64 = 1e-6;
const ROUGH: f64 = 1e-9;

/// Rows whose time says that of all, and the power of their number with which an assignment's grows.
const PART: usize = 500;
const ASSIGNMENT: f64 = 3.2;

/// Splits from which small samples take long too.
const MANY_SPLITS: u64 = 100;

/// One file of samples.
struct Side {
    x: Matrix,
    /// log-weights.
    weights: Option<Vec<f64>>,
    /// Sum of the weights where marginals are relaxed, else 1.
    mass: f64,
}

/// Prints the distance.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let (a, b) = (Side::read(arguments, 0)?, Side::read(arguments, 1)?);
    let ((n, d), m) = (a.x.shape(), b.x.rows());
    if b.x.cols() != d {
        let (shown, cols) = (arguments.second.display(), b.x.cols());
        let first = arguments.first.display();
        return Err(Failure::input(format!("{shown} has {cols} columns, but {first} has {d}; give one sample a row")));
    }
    let ruler = Ruler::new(arguments, &a, &b)?;
    if arguments.output.is_some() {
        drawable(arguments, d)?;
    }
    ruler.forecast(&a, &b, arguments.floor);
    let progress = Progress::new(1 + arguments.floor, "distances");
    let (value, plan) = ruler.measure(&a, &b)?;
    if let Some(path) = &arguments.output {
        draw(arguments, path, (&a, &b), plan.as_ref())?;
    }
    let plan = plan.and_then(Plan::divergence);
    if let Some(s) = plan.as_ref().filter(|s| !s.converged()) {
        let (error, iterations) = (s.marginal_error(), s.cross.iterations);
        note(format!(
            "a marginal error of {error:.1e} is left after {iterations} iterations; a larger --epsilon converges sooner"
        ));
    }
    let floor: Vec<f64> = (0..arguments.floor)
        .map(|k| {
            progress.at(1 + k);
            let (a, b) = split(&a, &b, arguments.seed, k);
            ruler.measure(&a, &b).map(|(value, _)| value)
        })
        .collect::<Outcome<_>>()?;
    drop(progress);
    let floor = (!floor.is_empty()).then(|| Summary::of(&floor));
    if arguments.json {
        let mut out = json!({
            "version": 1, "metric": arguments.metric, "value": value, "rows": [n, m], "dim": d, "seed": arguments.seed,
            "files": [arguments.first.to_string_lossy(), arguments.second.to_string_lossy()],
            "floor": floor.map(|f| json!({"mean": f.mean, "spread": finite(f.standard_deviation()), "repeats": f.count})),
        });
        if let Some(s) = &plan {
            out["epsilon"] = json!(ruler.sinkhorn.epsilon);
            out["cost"] = json!(arguments.cost);
            out["marginal_error"] = json!(s.marginal_error());
            out["iterations"] = json!(s.cross.iterations);
            out["converged"] = json!(s.converged());
            out["error_bound"] = json!(s.error_bound());
            out["relax"] = json!(arguments.relax);
            out["masses"] = json!([a.mass, b.mass]);
        }
        return print(&json::text(&out));
    }
    let floor = floor.map_or("no floor was asked for".into(), |f| {
        let spread = if f.count > 1 { format!(" ± {:.2e} from split to split", f.standard_deviation()) } else { String::new() };
        format!("floor {:.6e}{spread}: the same for {} random splits of all points into {n} and {m}, hence for two samples of one law", f.mean, f.count)
    });
    let within =
        plan.map_or(String::new(), |s| format!("; the value is S_ε of these points within {:.1e}", s.error_bound()));
    print(&format!("{value:?}\n{floor}\n{}{within}\n", ruler.meaning(&a, &b)))
}

/// What has no picture.
fn drawable(arguments: &Arguments, d: usize) -> Outcome<()> {
    if !matches!(arguments.metric.as_str(), "sinkhorn" | "w2") {
        let metric = &arguments.metric;
        return Err(Failure::input(format!(
            "--output with --metric {metric}; only sinkhorn and w2 have a plan to draw"
        )));
    }
    if d != 2 {
        let shown = arguments.first.display();
        return Err(Failure::input(format!(
            "--output: {shown} has {d} columns; a plan is drawn in the plane, so give samples of two columns"
        )));
    }
    Ok(())
}

/// Draws the plan.
fn draw(arguments: &Arguments, path: &Path, (a, b): (&Side, &Side), plan: Option<&Plan>) -> Outcome<()> {
    let names = read_names(&arguments.first, 2)?;
    let stem = |path: &Path| path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let (first, second) = (stem(&arguments.first), stem(&arguments.second));
    let weights =
        |s: &Side| s.weights.as_ref().map_or_else(|| vec![1.0; s.x.rows()], |l| l.iter().map(|l| exp(*l)).collect());
    let (of_a, of_b) = (weights(a), weights(b));
    let title = match plan {
        Some(Plan::Entropic(of)) => format!("Plan at ε = {}", number(of.0.cross.epsilon(), 3)),
        _ => "Exact plan".into(),
    };
    let picture = plan::Plan {
        title: &title,
        first: plan::Side { name: &first, points: &a.x, weights: &of_a },
        second: plan::Side { name: &second, points: &b.x, weights: &of_b },
        names: [&names[0], &names[1]],
    };
    let svg = picture.svg(|i| match plan {
        Some(Plan::Entropic(of)) => {
            let (s, from, to) = &**of;
            s.cross.row(from, to, i).into_iter().enumerate().filter(|(_, p)| *p > 0.0).collect()
        }
        Some(Plan::Exact(columns)) => vec![(columns[i], 1.0 / columns.len() as f64)],
        None => Vec::new(),
    });
    let mut file = AtomicFile::output(path)?;
    file.write(svg.as_bytes())?;
    file.commit()
}

fn finite(x: f64) -> Value {
    if x.is_finite() { json!(x) } else { Value::Null }
}

impl Side {
    fn read(arguments: &Arguments, k: usize) -> Outcome<Self> {
        let path = if k == 0 { &arguments.first } else { &arguments.second };
        let x = read_samples(path)?;
        let (n, d) = x.shape();
        // beyond this squares and their sums overflow
        if let Some(at) = x.as_slice().iter().position(|v| v.is_nan() || v.abs() > 1e150) {
            let error = Error::BadSample { row: at / d, column: at % d, value: x.as_slice()[at] };
            return Err(Failure::input(format!("{}: {error}", path.display())));
        }
        if n < 2 {
            return Err(Failure::input(format!("{} has {n} sample; give at least 2", path.display())));
        }
        let weights = arguments.weights.get(k).filter(|w| *w != "equal");
        if weights.is_some() && arguments.metric != "sinkhorn" {
            return Err(Failure::input(format!(
                "--weights with --metric {}; only sinkhorn takes weights",
                arguments.metric
            )));
        }
        let weights = weights.map(|w| read_weights(Path::new(w), n)).transpose()?;
        let sum = weights.as_ref().filter(|_| arguments.relax.is_some()).map(|l| exp(log_sum_exp(l)));
        Ok(Self { x, weights, mass: sum.unwrap_or(1.0) })
    }
}

/// Who is sent where.
enum Plan {
    /// With the clouds between which it is.
    Entropic(Box<(Divergence, Cloud, Cloud)>),
    /// Columns of the rows.
    Exact(Vec<usize>),
}

impl Plan {
    fn divergence(self) -> Option<Divergence> {
        match self {
            Plan::Entropic(of) => Some(of.0),
            Plan::Exact(_) => None,
        }
    }
}

/// A metric with what is chosen once, for the value and its floor alike.
struct Ruler<'a> {
    metric: &'a str,
    sinkhorn: Sinkhorn,
    bandwidth: f64,
}

impl<'a> Ruler<'a> {
    fn new(arguments: &'a Arguments, a: &Side, b: &Side) -> Outcome<Self> {
        let all = joined(&a.x, &b.x);
        let d = all.cols();
        let cost = if arguments.cost == "distance" { Cost::Distance } else { Cost::HalfSquare };
        let covariance = all.column_covariance();
        // E ½|Z - Z'|² over all points
        let spread: f64 = (0..d).map(|j| covariance[(j, j)]).sum();
        let mean_cost = if cost == Cost::Distance { (2.0 * spread).sqrt() } else { spread };
        let chosen = if mean_cost > 0.0 { SHARE * mean_cost } else { 1.0 };
        let epsilon = arguments.epsilon.unwrap_or(chosen);
        if arguments.epsilon.is_some() && arguments.metric != "sinkhorn" {
            return Err(Failure::input(format!("--epsilon with --metric {}; only sinkhorn has one", arguments.metric)));
        }
        if arguments.relax.is_some() && arguments.metric != "sinkhorn" {
            return Err(Failure::input(format!("--relax with --metric {}; only sinkhorn has plans", arguments.metric)));
        }
        let mut sinkhorn = Sinkhorn { cost, relax: arguments.relax, ..Sinkhorn::new(epsilon) };
        if a.x.rows().max(b.x.rows()) > MANY {
            (sinkhorn.truncate, sinkhorn.tolerance) = (Some(LEFT_OUT), ROUGH);
        }
        sinkhorn.check().map_err(|e| Failure::input(format!("--{e}")))?;
        if arguments.metric == "w2" {
            let (n, m) = (a.x.rows(), b.x.rows());
            if n != m && d > 1 {
                return Err(Failure::input(format!(
                    "w2 of {n} and {m} samples; give equal numbers, or --metric sinkhorn with a small --epsilon"
                )));
            }
            if d > 1 {
                memory::enough(
                    8 * (n as u128).pow(2),
                    "the matrix of costs",
                    "give fewer samples, or --metric sinkhorn",
                )?;
            }
        }
        let bandwidth = if arguments.metric == "mmd" { median_distance(&all, arguments.seed) } else { 1.0 };
        Ok(Self { metric: &arguments.metric, sinkhorn, bandwidth })
    }

    /// The distance, and its plan where it has one.
    fn measure(&self, a: &Side, b: &Side) -> Outcome<(f64, Option<Plan>)> {
        Ok(match self.metric {
            "sinkhorn" => {
                let cloud = |s: &Side| Cloud::<f64>::new(&s.x, s.weights.as_deref()).and_then(|c| c.of_mass(s.mass));
                let clouds = (cloud(a)?, cloud(b)?);
                let s = divergence(&clouds.0, &clouds.1, &self.sinkhorn)?;
                (s.value, Some(Plan::Entropic(Box::new((s, clouds.0, clouds.1)))))
            }
            "w2" if a.x.cols() == 1 => {
                let sorted = |x: &Matrix| {
                    let mut x = x.as_slice().to_vec();
                    x.sort_by(f64::total_cmp);
                    x
                };
                (wasserstein2_sorted(&sorted(&a.x), &sorted(&b.x)), None)
            }
            "w2" => {
                let found = wasserstein2(&a.x, &b.x);
                (found.distance, Some(Plan::Exact(found.assignment.columns)))
            }
            "energy" => (energy_distance(&a.x, &b.x).biased, None),
            _ => (mmd2(&a.x, &b.x, self.bandwidth)?.biased, None),
        })
    }

    /// Says how long the distance and `splits` more of them take, where that is long: from a part of the rows, by the power of their number
    /// with which the work grows (measured, for assignments of 500 to 4,000 points in the plane).
    fn forecast(&self, a: &Side, b: &Side, splits: u64) {
        let ((n, d), m) = (a.x.shape(), b.x.rows());
        let most = n.max(m);
        // by blocks the time depends on the plan more than on numbers
        if self.sinkhorn.truncate.is_some() && self.metric == "sinkhorn" {
            return;
        }
        let power = match self.metric {
            "w2" if d == 1 => return,
            "w2" => ASSIGNMENT,
            _ => 2.0,
        };
        if most < 8 * PART && splits < MANY_SPLITS {
            return;
        }
        let part = |s: &Side| {
            let size = PART.min(s.x.rows());
            let rows: Vec<usize> = (0..size).map(|k| k * s.x.rows() / size).collect();
            let weights = s.weights.as_ref().map(|w| rows.iter().map(|&i| w[i]).collect());
            Side { x: s.x.gather_rows(&rows), weights, mass: s.mass }
        };
        let (measured, seconds) = timed(|| self.measure(&part(a), &part(b)));
        if measured.is_err() {
            return;
        }
        let rounds = 1 + splits;
        let what = format!(
            "{} of {} and {} samples, {} times in all,",
            self.metric,
            count(n),
            count(m),
            count(rounds as usize)
        );
        let all = rounds as f64 * seconds * powf(most as f64 / most.min(PART) as f64, power);
        say(&what, all, "--floor 0 leaves out the splits behind the floor, and fewer samples take less");
    }

    fn meaning(&self, a: &Side, b: &Side) -> String {
        let ((n, d), m) = (a.x.shape(), b.x.rows());
        let what = match (self.metric, self.sinkhorn.cost) {
            ("sinkhorn", cost) => {
                let c = if cost == Cost::Distance { "|x-y|" } else { "|x-y|²/2" };
                let limit = if cost == Cost::Distance { "W1" } else { "W2²/2" };
                let (epsilon, own) = (self.sinkhorn.epsilon, "OT_ε(a, b) - OT_ε(a, a)/2 - OT_ε(b, b)/2");
                match self.sinkhorn.relax {
                    None => format!("S_ε(a, b) = {own}, cost {c}, ε = {epsilon:?}; tends to {limit} for small ε"),
                    Some(rho) => format!(
                        "S_ε(a, b) = {own} + ε(m_a - m_b)²/2, cost {c}, ε = {epsilon:?}, marginals relaxed by ρ = {rho:?}, masses \
                         m_a = {:?} and m_b = {:?}",
                        a.mass, b.mass
                    ),
                }
            }
            ("w2", _) => "W2(a, b), exact for these points, in units of length".into(),
            ("energy", _) => "2E|X-Y| - E|X-X'| - E|Y-Y'|, V-statistic, in units of length".into(),
            _ => format!("MMD², kernel exp(-|x-y|²/(2h²)), h = {:?} (median distance), V-statistic", self.bandwidth),
        };
        format!("{what}; {n} and {m} samples in {d} dimensions")
    }
}

fn joined(x: &Matrix, y: &Matrix) -> Matrix {
    let mut all = x.as_slice().to_vec();
    all.extend_from_slice(y.as_slice());
    Matrix::from_vec(x.rows() + y.rows(), x.cols(), all)
}

/// All points with their weights in random order, cut into parts of the sizes of a and b.
fn split(a: &Side, b: &Side, seed: u64, k: u64) -> (Side, Side) {
    let (n, m) = (a.x.rows(), b.x.rows());
    let all = joined(&a.x, &b.x);
    // each side's weights relative to their mean, so that both count alike
    let relative = |s: &Side, n: usize| {
        let l = s.weights.clone().unwrap_or_else(|| vec![0.0; n]);
        let mean = pushforward::num::log_mean_exp(&l);
        l.into_iter().map(move |l| l - mean)
    };
    let weights: Option<Vec<f64>> =
        (a.weights.is_some() || b.weights.is_some()).then(|| relative(a, n).chain(relative(b, m)).collect());
    let mut rng = stream(seed, Purpose::Metric, (1 << 61) | k);
    let mut order: Vec<usize> = (0..n + m).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, ((uniform(&mut rng) * (i + 1) as f64) as usize).min(i));
    }
    let part = |rows: &[usize]| Side {
        x: all.gather_rows(rows),
        weights: weights.as_ref().map(|w| rows.iter().map(|&i| w[i]).collect()),
        mass: 0.5 * (a.mass + b.mass),
    };
    (part(&order[..n]), part(&order[n..]))
}
