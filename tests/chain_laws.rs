//! Hamiltonian Monte Carlo and the diagnosis of chains, against laws that are known.

use pushforward::density::{Density, GaussianMixture, LinearRegression, LogisticRegression, by_name};
use pushforward::linalg::Matrix;
use pushforward::metric::diagnose_chains;
use pushforward::num::GaussLegendre;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::search::{HmcSettings, hmc};

const SETTINGS: HmcSettings = HmcSettings { warmup: 200, draws: 400, length: 1.57, acceptance: 0.8, seed: 4 };

fn correlated() -> GaussianMixture {
    let c = Matrix::from_fn(4, 4, |i, j| {
        0.9f64.powi(i.abs_diff(j) as i32) * [1.0, 10.0, 0.1, 3.0][i] * [1.0, 10.0, 0.1, 3.0][j]
    });
    GaussianMixture::gaussian(&[1.0, -20.0, 3.0, 0.0], c).unwrap()
}

/// Checks that means and variances of a badly scaled, correlated Gaussian come out right by z-scores with the claimed standard errors: 8 scores
/// beyond 5 by chance in 1 of 2e5; and that all is well with the run: R-hat, acceptance near its target, no divergence.
#[test]
fn moments_of_a_gaussian() {
    let p = correlated();
    let run = hmc(&p, &normal_matrix(1, Purpose::Check, 0, 16, 4), &SETTINGS).unwrap();
    assert!(run.divergences == 0 && (run.acceptance - 0.8).abs() < 0.15, "{} {}", run.divergences, run.acceptance);
    for j in 0..4 {
        let (mean, variance) = (p.mean()[j], p.covariance()[(j, j)]);
        for (quantity, exact) in [(0, mean), (1, variance)] {
            let d = diagnose_chains(&run.chains, |x| if quantity == 0 { x[j] } else { (x[j] - mean).powi(2) });
            let z = (d.mean - exact) / d.standard_error();
            assert!(z.abs() < 5.0 && d.r_hat < 1.02 && d.effective_samples > 1000.0, "{j}: z = {z}, {d:?}");
        }
    }
}

/// Checks that chains in different modes are found out: R-hat far above 1 where each stays in its own mode.
#[test]
fn chains_that_disagree_are_found() {
    let p = by_name("gmm9").unwrap();
    let start = p.sample(16, 3).unwrap();
    let run = hmc(&*p, &start, &SETTINGS).unwrap();
    let d = diagnose_chains(&run.chains, |x| x[0]);
    assert!(d.r_hat > 1.5 && d.effective_samples < 100.0, "{d:?}");
}

/// Checks the effective size on autoregressive chains of coefficient a, where it is n(1 - a)/(1 + a), also above n for a < 0: 200,000 draws give
/// the sum of correlations to a few per cent; 10 % is allowed.
#[test]
fn effective_size_of_autoregressions() {
    for a in [0.0f64, 0.5, 0.9, -0.4] {
        let noise: Matrix = normal_matrix(9, Purpose::Check, 2, 50_000, 4);
        let chain = |k: usize| {
            let mut x = noise[(0, k)];
            Matrix::from_fn(50_000, 1, |t, _| {
                x = if t == 0 { x } else { a * x + (1.0 - a * a).sqrt() * noise[(t, k)] };
                x
            })
        };
        let chains: Vec<Matrix> = (0..4).map(chain).collect();
        let d = diagnose_chains(&chains, |x| x[0]);
        let exact = 200_000.0 * (1.0 - a) / (1.0 + a);
        assert!((d.effective_samples / exact - 1.0).abs() < 0.1 && d.r_hat < 1.001, "{a}: {d:?}, exactly {exact}");
    }
}

/// Checks the posteriors against quadrature: the mean of a logistic regression's one coefficient by Gauss–Legendre, and of a linear regression by
/// its known noise, which is a Gaussian in closed form whose log-density differs from the sum over data by a constant.
#[test]
fn regressions_against_quadrature() {
    let x: Matrix = normal_matrix(5, Purpose::Check, 0, 20, 1);
    let y: Vec<f64> = x.iter_rows().map(|r| f64::from(r[0] > -0.3)).collect();
    let p = LogisticRegression::new(x.clone(), y.clone(), 1.5).unwrap();
    let by_hand = |b: f64| {
        let data: f64 = x.iter_rows().zip(&y).map(|(r, y)| y * b * r[0] - (1.0 + (b * r[0]).exp()).ln()).sum();
        data - 0.5 * b * b / 2.25
    };
    for b in [-2.0, 0.3, 4.0] {
        let found = p.log_density(&Matrix::from_rows(&[[b]]))[0];
        assert!((found - by_hand(b)).abs() < 1e-12 * (1.0 + found.abs()), "{b}");
    }
    let rule = GaussLegendre::new(20);
    let integral = |g: &dyn Fn(f64) -> f64| rule.integrate(-10.0, 15.0, 20, |b| g(b) * by_hand(b).exp());
    let mean = integral(&|b| b) / integral(&|_| 1.0);
    let run = hmc(&p, &normal_matrix(1, Purpose::Check, 0, 16, 1), &SETTINGS).unwrap();
    let d = diagnose_chains(&run.chains, |b| b[0]);
    assert!(((d.mean - mean) / d.standard_error()).abs() < 5.0, "{d:?} {mean}");

    let response: Vec<f64> = x.iter_rows().map(|r| 2.0 * r[0] + 0.1).collect();
    let exact = LinearRegression::with_known_noise(&x, &response, 1.5, 0.4).unwrap();
    let joint = LinearRegression::new(x, response, 1.5, 3.0).unwrap();
    let slice = |b: f64| {
        let given_noise = joint.log_density(&Matrix::from_rows(&[[b, 0.4]]))[0];
        given_noise - exact.log_density(&Matrix::from_rows(&[[b]]))[0]
    };
    assert!((slice(1.0) - slice(2.5)).abs() < 1e-9, "{} {}", slice(1.0), slice(2.5));
}
