//! Times of the kernel density estimate on the cases of the peers' `kde_score.py`: one JSON line for each.
//!
//! `cargo bench --bench kde -- [threads] [f32|f64] [name]`

use pushforward::density::{Density, gmm40};
use pushforward::estimate::{Kde, KdeGrid, Tolerance};
use pushforward::linalg::Matrix;
use pushforward::num::Real;
use pushforward::rng::{Purpose, normal_matrix};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Median and smallest time of a call, over about a second and at least five calls.
fn measure(mut call: impl FnMut()) -> (f64, f64, usize) {
    call();
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < 5 || (start.elapsed() < Duration::from_secs(1) && times.len() < 300) {
        let t = Instant::now();
        call();
        times.push(t.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[0], times.len())
}

fn case<T: Real>(threads: usize, filter: &str) {
    for d in [2, 32] {
        for n in [1024, 4096, 16384] {
            let samples: Matrix<T> = normal_matrix(0, Purpose::Check, 1, n, d);
            let queries: Matrix<T> = normal_matrix(0, Purpose::Check, 2, n, d);
            let h = (n as f64).powf(-1.0 / (d as f64 + 4.0));
            let score = || drop(black_box(Kde::new(&samples, h).unwrap().log_density_and_score(&queries)));
            let moments = || drop(black_box(Kde::new(&samples, h).unwrap().evaluate(&queries)));
            let print = |name: &str, (median, min, reps): (f64, f64, usize)| {
                let (ty, pairs) = (if T::NAME == "f32" { "float32" } else { "float64" }, (n * n) as f64);
                println!(
                    "{{\"name\": \"{name}\", \"N\": {n}, \"d\": {d}, \"dtype\": \"{ty}\", \"threads\": {threads}, \"median_s\": {median:.4e}, \
                     \"min_s\": {min:.4e}, \"reps\": {reps}, \"ns_per_pair\": {:.4}}}",
                    min * 1e9 / pairs
                );
            };
            if "kde/ours".contains(filter) {
                print("kde/ours", measure(score));
            }
            if "kde_moments/ours".contains(filter) {
                print("kde_moments/ours", measure(moments));
            }
        }
    }
}

/// The near-linear estimate: unit normal data with h = N^(-1/6), and the mixture `gmm40` with that h times its spread; error 1e-4.
fn grid(threads: usize) {
    for n in [10_000, 100_000, 1_000_000] {
        for (name, spread) in [("kde_grid/normal", 1.0), ("kde_grid/gmm40", 23.0)] {
            let draw = |unit: u64| match spread {
                1.0 => normal_matrix(0, Purpose::Check, unit, n, 2),
                _ => gmm40().sample(n, unit).expect("a mixture has a sampler"),
            };
            let (samples, queries): (Matrix, Matrix) = (draw(1), draw(2));
            let h = spread * (n as f64).powf(-1.0 / 6.0);
            let tolerance = Tolerance { density: 1e-4, score: 1e-4 };
            let call = || KdeGrid::new(&samples, h, tolerance).unwrap();
            let (median, min, reps) = measure(|| drop(black_box(call().log_density_and_score(&queries))));
            println!(
                "{{\"name\": \"{name}\", \"N\": {n}, \"d\": 2, \"dtype\": \"float64\", \"threads\": {threads}, \"median_s\": {median:.4e}, \
                 \"min_s\": {min:.4e}, \"reps\": {reps}, \"grid\": {}}}",
                call().uses_grid()
            );
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let all = std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = arguments.first().and_then(|a| a.parse().ok()).unwrap_or(all);
    let (ty, filter) = (arguments.get(1).map_or("", |s| s), arguments.get(2).map_or("", |s| s));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        if "f32".contains(ty) {
            case::<f32>(threads, filter);
        }
        if "f64".contains(ty) {
            case::<f64>(threads, filter);
        }
        if "kde_grid".contains(filter) && "f64".contains(ty) {
            grid(threads);
        }
    });
}
