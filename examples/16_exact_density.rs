//! Lesson 16: a flow, whose density is known exactly. Trained by the drift of forward KL, and by the log-variance divergence, which
//! pulls log q itself and not the samples (T8). q integrates to 1 whatever the training did, so its weights p~/q give log Z, and
//! their effective share says how near q is to p (T25).
//!
//! Run: `cargo run --release --example 16_exact_density`

use pushforward::Result;
use pushforward::density::{Density, Target, by_name};
use pushforward::linalg::Matrix;
use pushforward::metric::Certificate;
use pushforward::model::FlowModel;
use pushforward::run::Method;

fn main() -> Result<()> {
    let banana = by_name("banana")?;
    let target = Target::of(banana.clone());
    let log_z = banana.log_normaliser().expect("the banana's normaliser is known");
    for preset in ["flow", "flow-lv"] {
        let method = Method::preset(preset, &target)?.with("run.steps", 200)?.with("batch", 256)?;
        let method = method.with("hidden", vec![32usize, 32])?.with("search_particles", 2048)?;
        let mut run = method.with("components", 8)?.start(&target, None)?;
        let certificate = |run: &pushforward::run::Run| -> Result<(Certificate, f64)> {
            let flow = run.model_as::<FlowModel<f32>>().expect("the preset makes a flow in single precision").flow();
            let (x, log_q) = flow.cast::<f64>().sample_with_log_density(4000, 1, 0);
            let weights: Vec<f64> = banana.log_density(&x).iter().zip(&log_q).map(|(p, q)| p - q).collect();
            // ∫ q over a box around the samples: 300² cells
            let (n, mean) = (300, x.column_means());
            let far = |r: &[f64]| (r[0] - mean[0]).abs().max((r[1] - mean[1]).abs());
            let side = 1.5 * x.iter_rows().map(far).fold(0.0, f64::max);
            let at = |k: usize, j: usize| mean[j] + side * (2.0 * (k as f64 + 0.5) / n as f64 - 1.0);
            let grid = Matrix::from_fn(n * n, 2, |i, j| at(if j == 0 { i % n } else { i / n }, j));
            let mass: f64 = flow.cast::<f64>().log_density(&grid).iter().map(|l| l.exp()).sum();
            Ok((Certificate::of(&weights, None)?, mass * (2.0 * side / n as f64).powi(2)))
        };
        let (before, _) = certificate(&run)?;
        run.finish()?;
        let (after, mass) = certificate(&run)?;
        let z = after.log_z;
        println!("{preset:<8} ESS {:.3} -> {:.3}; ∫ q = {mass:.4}", before.reverse_ess, after.reverse_ess);
        println!("         log Z {:.4} ± {:.4}; exact {log_z:.4}", z.value, z.standard_error);
        assert!((mass - 1.0).abs() < 0.01, "{preset}: {mass}");
        assert!(after.reverse_ess > 0.7 && after.reverse_ess > before.reverse_ess, "{preset}: {}", after.reverse_ess);
        assert!(z.z(log_z).abs() < 4.0, "{preset}: {z:?}");
    }
    println!("lesson 16 holds");
    Ok(())
}
