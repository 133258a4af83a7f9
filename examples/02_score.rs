//! Lesson 2: the score. A density is known as log p~ = log p + log Z with Z unknown; its score ∇ log p~ = ∇ log p does not
//! know Z either, and that is why one can sample from p with it. Two roads to one score, and Stein's identities for it.
//!
//! Run: `cargo run --release --example 02_score`

use pushforward::Result;
use pushforward::density::{TapeDensity, by_name, evaluate};
use pushforward::linalg::Matrix;
use pushforward::num::Summary;

fn main() -> Result<()> {
    // road 1: the library's closed form for log 1/8 sum_k N(x; m_k, 0.3 I), |m_k| = 4
    let ring = by_name("ring8")?;
    // road 2: the same density on the tape, with another constant; log-sum-exp over the eight means
    let means = ring.mixture().expect("ring8 is a Gaussian mixture").means().clone();
    let taped = TapeDensity::new(2, move |x| {
        let m = x.tape().leaf(&means);
        let squares = -2.0 * x.matmul(m.t()) + m.square().row_sums().t() + x.square().row_sums();
        (squares * (-0.5 / 0.3)).log_sum_exp() + 7.0
    });

    let x = Matrix::from_rows(&[[3.0, 0.5], [0.0, 0.1], [-2.0, 9.0]]);
    let (one, two) = (evaluate(&*ring, &x)?, evaluate(&taped, &x)?);
    println!("     x          log p     log p~      score by formula        score by tape");
    for i in 0..x.rows() {
        let (l1, l2, s1, s2) = (one.log_density[i], two.log_density[i], one.score.row(i), two.score.row(i));
        println!("{:?}  {l1:9.4}  {l2:9.4}   {s1:9.4?}   {s2:9.4?}", x.row(i));
    }
    let log_z: Vec<f64> = two.log_density.iter().zip(&one.log_density).map(|(b, a)| b - a).collect();
    println!("log p~ - log p = log Z, the same everywhere: {log_z:.4?}");

    // Stein: E_p[s] = 0 and E_p[x·s] = -d, by parts; averages over exact samples with their standard errors
    let n = 200_000;
    let samples = ring.sample(n, 1).expect("a mixture has an exact sampler");
    let scores = evaluate(&*ring, &samples)?.score;
    let mean_of = |g: &dyn Fn(&[f64], &[f64]) -> f64| {
        let values: Vec<f64> = samples.iter_rows().zip(scores.iter_rows()).map(|(x, s)| g(x, s)).collect();
        let summary = Summary::of(&values);
        (summary.mean, (summary.variance / n as f64).sqrt())
    };
    let stein = [("E[s_1]", 0.0, mean_of(&|_, s| s[0])), ("E[x.s]", -2.0, mean_of(&|x, s| x[0] * s[0] + x[1] * s[1]))];
    for (name, exact, (mean, error)) in stein {
        println!("{name} = {mean:8.4} ± {error:.4}   exact {exact}");
    }

    // |x - m|²/0.6 is up to 300, which cancels to a few units: 300 roundings of it are 1e-11
    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-11);
    assert!(close(one.score.as_slice(), two.score.as_slice()));
    assert!(close(&log_z, &[log_z[0]; 3]));
    // 5 standard errors: chance 1e-6
    assert!(stein.iter().all(|(_, exact, (mean, error))| (mean - exact).abs() < 5.0 * error));
    println!("lesson 2 holds");
    Ok(())
}
