//! Generators with their defaults on modes of many kinds, each given as a mixture and by its values alone: the table of docs/generators.md.
//!
//! `cargo bench -p pushforward-cli --bench generators [-- NAME … | --seeds N | --method NAME | --values | --mixtures | --set KEY=VALUE]`
//!
//! Judged at 200,000 samples, as exact samples are (the floor): modes of mass 0.01 and more, total variation of the masses, share beyond the
//! 0.9997 quantile of chi-square of d of every mode, the mode whose variance is farthest off; log Z and ESS of the certificate; what the run
//! says of itself: "ok", weights that are not reliable, a region of the search that is missed (exit code 3); seconds. `--values`: each target
//! by its values alone, `--mixtures`: by its file alone. `--set steps=600`: another setting than the default, as often as one likes. By
//! name only: gmm40-10, gmm40-50, with `--method score`.

use pushforward::density::{BlackBox, Density, GaussianMixture, Target, by_name};
use pushforward::linalg::Matrix;
use pushforward::metric::Verdict;
use pushforward::model::{GeneratorCertificate, GeneratorModel};
use pushforward::rng::{Purpose, fill_uniform, stream};
use pushforward::run::Method;
use pushforward_cli::target;
use std::sync::Arc;
use std::time::Instant;

const SAMPLES: usize = 200_000;
const NAMES: &[&str] = &[
    "gmm9",
    "gmm9u",
    "ring8",
    "gmm40",
    "ellipses7",
    "far4",
    "widths3",
    "simplex5",
    "grid25",
    "far100",
    "rare",
    "mix1d",
    "pinwheel",
    "two-scales",
];

/// The mixture of a name.
fn mixture(name: &str) -> GaussianMixture {
    let diagonal = |d: usize, v: f64| Matrix::from_fn(d, d, move |i, j| if i == j { v } else { 0.0 });
    let made = match name {
        "grid25" => {
            let place = |k: usize| 2.0 * k as f64 - 4.0;
            let means = Matrix::from_fn(25, 2, |k, j| place(if j == 0 { k / 5 } else { k % 5 }));
            GaussianMixture::isotropic(&[1.0; 25], means, 0.1)
        }
        // 40 modes, 35 deviations apart in the mean, means uniform in [-1, 1]^d × 40/√(d/2), deviation ln(1 + e)
        "gmm40-10" | "gmm40-50" => {
            let d = if name == "gmm40-10" { 10 } else { 50 };
            let mut u = vec![0.0; 40 * d];
            fill_uniform(&mut stream(0, Purpose::Check, d as u64), &mut u);
            let reach = 40.0 / (0.5 * d as f64).sqrt();
            let means = Matrix::from_vec(40, d, u.into_iter().map(|u| reach * (2.0 * u - 1.0)).collect());
            GaussianMixture::isotropic(&[1.0; 40], means, std::f64::consts::E.ln_1p())
        }
        "far100" => GaussianMixture::isotropic(&[0.9, 0.1], Matrix::from_rows(&[[-50.0, 0.0], [50.0, 0.0]]), 1.0),
        "rare" => {
            let means = Matrix::from_rows(&[[-8.0, 0.0], [0.0, 8.0], [8.0, 0.0], [0.0, -8.0], [0.0, 0.0]]);
            GaussianMixture::isotropic(&[0.001, 0.01, 0.02, 0.469, 0.5], means, 1.0)
        }
        "mix1d" => {
            let means = Matrix::from_rows(&[[-4.0], [0.0], [6.0]]);
            GaussianMixture::new(&[0.2, 0.5, 0.3], means, [0.01, 0.25, 1.0].map(|v| diagonal(1, v)).to_vec())
        }
        // five arms of condition 100
        "pinwheel" => {
            let turn = |k: usize| (std::f64::consts::TAU * k as f64 / 5.0).sin_cos();
            let means = Matrix::from_fn(5, 2, |k, j| 4.0 * if j == 0 { turn(k).1 } else { turn(k).0 });
            let arm = |k: usize| {
                let (s, c) = turn(k);
                let off = (1.0 - 0.01) * c * s;
                Matrix::from_rows(&[[c * c + 0.01 * s * s, off], [off, s * s + 0.01 * c * c]])
            };
            GaussianMixture::new(&[1.0; 5], means, (0..5).map(arm).collect())
        }
        "two-scales" => {
            let means = Matrix::from_rows(&[[0.0, 0.0], [3.0, 3.0]]);
            GaussianMixture::new(&[0.5, 0.5], means, vec![diagonal(2, 25.0), diagonal(2, 0.0025)])
        }
        _ => {
            let density = by_name(name).unwrap_or_else(|_| {
                let path = format!("examples/targets/{name}.toml");
                target::load(&path, &mut |_| ()).unwrap_or_else(|e| panic!("{path}: {e}")).density
            });
            Ok(density.mixture().unwrap_or_else(|| panic!("{name} is no mixture")).clone())
        }
    };
    made.expect("a mixture")
}

/// What is measured of a sample.
struct Figures {
    masses: Vec<f64>,
    beyond: f64,
    /// Mean Mahalanobis²/d of the samples of each mode's cell that are not beyond.
    widths: Vec<f64>,
}

impl Figures {
    fn of(p: &GaussianMixture, x: &Matrix) -> Self {
        let (d, k, n) = (p.dim(), p.components(), x.rows() as f64);
        // Wilson and Hilferty (1931)
        let share = 2.0 / (9.0 * d as f64);
        let limit = d as f64 * (1.0 - share + 3.4316 * share.sqrt()).powi(3);
        let gamma = p.responsibilities(x);
        let (mut masses, mut squares, mut near, mut beyond) = (vec![0.0; k], vec![0.0; k], vec![0.0; k], 0.0);
        for (row, shares) in x.iter_rows().zip(gamma.iter_rows()) {
            let square = |c: usize| -> f64 {
                let (w, m) = (&p.whiteners()[c], p.means().row(c));
                (0..d).map(|a| (0..=a).map(|b| w[(a, b)] * (row[b] - m[b])).sum::<f64>().powi(2)).sum()
            };
            let own = (0..k).max_by(|&a, &b| shares[a].total_cmp(&shares[b])).expect("a component");
            masses[own] += 1.0 / n;
            let r = square(own);
            if r <= limit {
                (squares[own], near[own]) = (squares[own] + r / d as f64, near[own] + 1.0);
            } else if (0..k).all(|c| square(c) > limit) {
                beyond += 1.0 / n;
            }
        }
        let widths = squares.iter().zip(&near).map(|(s, n)| s / n).collect();
        Self { masses, beyond, widths }
    }

    fn total_variation(&self, truth: &Self) -> f64 {
        0.5 * self.masses.iter().zip(&truth.masses).map(|(a, b)| (a - b).abs()).sum::<f64>()
    }

    /// (modes found, modes) of mass 0.01 and more.
    fn modes(&self, truth: &Self) -> (usize, usize) {
        let large = || self.masses.iter().zip(&truth.masses).filter(|(_, t)| **t >= 0.0099);
        (large().filter(|(m, t)| **m > 0.2 * **t).count(), large().count())
    }

    /// The variance that is farthest off, of modes of mass 0.01 and more: 0 for the truth.
    fn worst(&self, truth: &Self) -> f64 {
        let each = self.widths.iter().zip(&truth.widths).zip(&truth.masses).filter(|(_, m)| **m >= 0.0099);
        each.map(|((a, b), _)| a / b - 1.0).fold(0.0, |m: f64, v| if v.abs() > m.abs() { v } else { m })
    }
}

fn main() {
    pushforward::run::spin(true);
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).expect("the repository's folder");
    let (mut names, mut seeds, mut name_of_method, mut kinds) =
        (Vec::new(), 5, "generator".to_string(), vec![false, true]);
    let mut settings: Vec<String> = Vec::new();
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(word) = arguments.next() {
        match word.as_str() {
            "--seeds" => seeds = arguments.next().and_then(|n| n.parse().ok()).expect("a number after --seeds"),
            "--method" => name_of_method = arguments.next().expect("a name after --method"),
            "--values" => kinds = vec![true],
            "--mixtures" => kinds = vec![false],
            "--set" => settings.extend(arguments.next()),
            option if option.starts_with('-') => {
                eprintln!("error: there is no option '{option}'; the top of benches/generators.rs lists all");
                std::process::exit(2)
            }
            _ => names.push(word),
        }
    }
    if names.is_empty() {
        names = NAMES.iter().map(|n| n.to_string()).collect();
    }
    println!("{name_of_method} {settings:?}, {SAMPLES} samples, seeds 0 to {}; the floor in brackets\n", seeds - 1);
    println!(
        "| target | given as | modes | mode-mass TV | beyond, % | worst variance | log Z error | ESS | says | s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for name in &names {
        let p = mixture(name);
        let truth = Figures::of(&p, &p.sample(1_000_000, 99).expect("exact samples"));
        let floor = Figures::of(&p, &p.sample(SAMPLES, 98).expect("exact samples"));
        for &values in &kinds {
            let density: Arc<dyn Density> = Arc::new(p.clone());
            let density = if values { Arc::new(BlackBox(density)) } else { density };
            let target = Target::of(density);
            let mut cells: [Vec<String>; 8] = Default::default();
            for seed in 0..seeds {
                let method = Method::preset(&name_of_method, &target).and_then(|m| m.with("seed", seed as u64));
                let method = settings.iter().fold(method, |method, set| {
                    let (key, value) = set.split_once('=').expect("KEY=VALUE after --set");
                    method.and_then(|m| match (value.parse::<u64>(), value.parse::<f64>()) {
                        (Ok(whole), _) => m.with(key, whole),
                        (_, Ok(number)) => m.with(key, number),
                        _ => m.with(key, value),
                    })
                });
                let clock = Instant::now();
                let run = method.and_then(|m| m.start(&target, None)).and_then(|mut run| run.finish().map(|()| run));
                let run = run.unwrap_or_else(|e| panic!("{name}, seed {seed}: {e}"));
                let seconds = clock.elapsed().as_secs_f64();
                let found = Figures::of(&p, &run.sample(SAMPLES, 7, 0));
                let (has, all) = found.modes(&truth);
                let certificate: Option<GeneratorCertificate> = run
                    .model_as::<GeneratorModel<f32>>()
                    .and_then(|m| m.generator().certify(&target.densities[0], 10_000, seed as u64).ok());
                let log_z = certificate.as_ref().map_or("–".into(), |c| format!("{:.4}", c.bare.log_z.value));
                let ess = certificate.as_ref().map_or("–".into(), |c| format!("{:.3}", c.bare.reverse_ess));
                let says = certificate.as_ref().map_or("–", |c| {
                    match (c.search.as_ref().and_then(|s| s.missed_region()), c.bare.verdict()) {
                        (None, Verdict::Reliable) => "ok",
                        (None, _) => "weights",
                        (Some(_), _) => "region",
                    }
                });
                let row = [
                    format!("{has}/{all}"),
                    format!("{:.4}", found.total_variation(&truth)),
                    format!("{:.3}", 100.0 * found.beyond),
                    format!("{:+.3}", found.worst(&truth)),
                    log_z,
                    ess,
                    says.to_string(),
                    format!("{seconds:.1}"),
                ];
                cells.iter_mut().zip(row).for_each(|(cell, value)| cell.push(value));
            }
            let floors = [
                String::new(),
                format!(" [{:.4}]", floor.total_variation(&truth)),
                format!(" [{:.3}]", 100.0 * floor.beyond),
                format!(" [{:+.3}]", floor.worst(&truth)),
            ];
            print!("| {name} | {} |", if values { "values" } else { "mixture" });
            for (k, cell) in cells.iter().enumerate() {
                print!(" {}{} |", cell.join(", "), floors.get(k).map_or("", String::as_str));
            }
            println!();
        }
    }
}
