//! Lesson 5: what a kernel estimate gets wrong (T10). q̂_h has mean q∗φ_h, so its score is off by (h²/2) ∇(Δq/q) + O(h⁴), and
//! particles that follow s_p - ∇log q̂_h stop at the wrong law: for p = N(0, s²) at variance s² - h².
//!
//! Run: `cargo run --release --example 05_kde_bias`

use pushforward::Result;
use pushforward::autodiff::Tape;
use pushforward::density::{Density, GaussianMixture, evaluate};
use pushforward::estimate::Kde;
use pushforward::linalg::Matrix;
use pushforward::num::{observed_order, variance};
use pushforward::rng::{Purpose, normal_matrix};

fn main() -> Result<()> {
    // q = ½ N(-1, 1) + ½ N(1, 1) at a point; on the tape log q = log cosh x - x²/2 + const, where derivatives are free
    let q = GaussianMixture::isotropic(&[0.5, 0.5], Matrix::from_rows(&[[-1.0], [1.0]]), 1.0)?;
    let point = Matrix::from_rows(&[[0.7]]);
    let tape = Tape::new();
    let x = tape.leaf(&point);
    let log_q = (x.exp() + (-x).exp()).ln() - x.square() * 0.5;
    let s = tape.gradient(log_q, &[x])[0];
    let slope = tape.gradient(tape.gradient(s, &[x])[0] + s.square(), &[x])[0].item(); // of Δq/q = div s + |s|²
    let bandwidths: Vec<f64> = (2..8).map(|k| 0.5f64.powi(k)).collect();
    let (mut first, mut second) = (vec![], vec![]);
    println!("  h      score of q∗φ_h - s_q    (h²/2) ∇(Δq/q)");
    for &h in &bandwidths {
        let bias = evaluate(&q.smoothed_mixture(h)?, &point)?.score[(0, 0)] - s.item();
        println!("{h:.5}  {bias:18.8}  {:18.8}", 0.5 * h * h * slope);
        first.push(bias.abs());
        second.push((bias - 0.5 * h * h * slope).abs());
    }
    let (two, four) = (observed_order(&bandwidths, &first, 0.0)?, observed_order(&bandwidths, &second, 1e-13)?);
    println!("orders: {:.3} (should be 2); {:.3} once the leading term is taken off (4)", two.order, four.order);
    assert!(two.is(2.0, 0.1) && four.is(4.0, 0.1), "{two:?} {four:?}");

    // the estimate itself, from N draws of q: its standard error by T10(b), √(1/(4√π N h³ q(x)))
    let (n, h) = (100_000, 0.5);
    let estimate = Kde::new(&q.sample(n, 1).expect("exact sampler"), h)?.evaluate(&point).score[(0, 0)];
    let expected = evaluate(&q.smoothed_mixture(h)?, &point)?.score[(0, 0)];
    let density = q.log_density(&point)[0].exp();
    let error = (0.25 / (std::f64::consts::PI.sqrt() * n as f64 * h.powi(3) * density)).sqrt();
    println!("Kde at h = {h}: score {estimate:.4} ± {error:.4}; of q∗φ_h {expected:.4}; of q {:.4}", s.item());
    assert!((estimate - expected).abs() < 5.0 * error && (estimate - s.item()).abs() > 5.0 * error);
    println!("  h    variance of particles   s² - h²   (target s² = 1)");
    for h in [0.3, 0.5, 0.7] {
        let mut x: Matrix = normal_matrix(1, Purpose::Particles, 0, 400, 1);
        for _ in 0..300 {
            // x ← x + 0.05 (s_p - ∇log q̂_h), s_p = -x, each particle counted in its own estimate
            let mut v = x.map(|x| -x);
            v.add_scaled(-1.0, &Kde::new(&x, h)?.evaluate(&x).score);
            x.add_scaled(0.05, &v);
        }
        let found = variance(x.as_slice());
        println!("{h:5.2} {found:18.4} {:15.4}", 1.0 - h * h);
        assert!((found - (1.0 - h * h)).abs() < 0.25 * h * h); // three times nearer to it than to s²
    }
    println!("lesson 5 holds");
    Ok(())
}
