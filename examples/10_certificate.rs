//! Lesson 10: a certificate for samples without a density (T25). Put a kernel of width h on each centre c_i, draw one point from
//! each, and weigh it against the mixture of all: E (1/N) Σ p~(x_i)/ψ(x_i) = Z for every N and h, and whatever the centres are.
//! The same numbers are blind to a mode that no centre is near: there only exact samples, or a second estimate of Z, help.
//!
//! Run: `cargo run --release --example 10_certificate`

use pushforward::Result;
use pushforward::density::{Density, gmm9};
use pushforward::estimate::Kde;
use pushforward::linalg::Matrix;
use pushforward::metric::Certificate;
use pushforward::rng::{Purpose, normal_matrix};

/// log Z of the target that we pretend to know up to a constant.
const LOG_Z: f64 = 3.0;
const H: f64 = 0.3;

/// log p~ - log ψ at the points x.
fn log_weights(centres: &Matrix, x: &Matrix) -> Result<Vec<f64>> {
    let psi = Kde::new(centres, H)?.evaluate(x).log_density;
    Ok(gmm9().log_density(x).iter().zip(psi).map(|(p, q)| LOG_Z + p - q).collect())
}

fn certify(centres: &Matrix, exact: Option<&Matrix>) -> Result<Certificate> {
    let noise: Matrix = normal_matrix(2, Purpose::Check, 0, centres.rows(), 2);
    let mut x = centres.clone();
    x.add_scaled(H, &noise);
    let at_exact = exact.map(|exact| log_weights(centres, exact)).transpose()?;
    Certificate::of(&log_weights(centres, &x)?, at_exact.as_deref())
}

fn main() -> Result<()> {
    let centres = gmm9().sample(2000, 1).expect("a mixture has exact samples");
    let whole = certify(&centres, None)?;
    println!("nine modes:  log Z {:.4} ± {:.4}", whole.log_z.value, whole.log_z.standard_error);
    assert!(whole.log_z.z(LOG_Z).abs() < 4.0 && whole.reverse_ess > 0.8, "{whole}");

    // the mode at (5, 5) is lost: Z falls by a ninth, and the ESS is as good as before
    let kept: Vec<usize> = (0..2000).filter(|&i| centres[(i, 0)] < 2.5 || centres[(i, 1)] < 2.5).collect();
    let centres = centres.gather_rows(&kept);
    let exact = gmm9().sample(4000, 3).expect("a mixture has exact samples");
    let lost = certify(&centres, Some(&exact))?;
    let expected = LOG_Z + (8f64 / 9.0).ln();
    println!(
        "eight modes: log Z {:.4} ± {:.4}, log 8/9 lower: {expected:.4}",
        lost.log_z.value, lost.log_z.standard_error
    );
    assert!(lost.log_z.z(expected).abs() < 4.0 && lost.reverse_ess > 0.8, "{lost}");
    assert!(lost.log_z.z(LOG_Z) < -8.0, "the error bar does not know of the mode");
    let seen = lost.exact.expect("exact samples were given").missed;
    println!("exact samples see it: {:.3} ± {:.3} of p is missed, 1/9 = 0.111", seen.value, seen.standard_error);
    assert!(seen.z(1.0 / 9.0).abs() < 4.0);
    println!("lesson 10 holds");
    Ok(())
}
