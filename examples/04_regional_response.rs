//! Lesson 4: which regions a divergence repairs (T5). U(q) = E_p[s(l)], s = 1/(1+e^{-(l-τ)}), l = log p/q, is the mass of p that
//! q under-covers by more than e^τ. One Euler step q_η = (id + ηχV)#q changes it at the rate -E_p[χ w(r) (s'+s'')(l) |∇l|²]:
//! a curve over τ that differs between divergences. The other road is the density after the step.
//!
//! Run: `cargo run --release --example 04_regional_response`

use pushforward::Result;
use pushforward::autodiff::{Tape, Var};
use pushforward::divergence::by_name;
use pushforward::linalg::Matrix;
use pushforward::num::observed_order;

/// log N(x; m, v): n×1 → n×1.
fn log_normal(x: Var<'_>, m: f64, v: f64) -> Var<'_> {
    (x - m).square() * (-0.5 / v) - 0.5 * (std::f64::consts::TAU * v).ln()
}

/// log p, p = ½ N(-1.5, 0.6) + ½ N(1.5, 0.6).
fn log_p(x: Var<'_>) -> Var<'_> {
    log_normal(x, -1.5, 0.6).concat_columns(log_normal(x, 1.5, 0.6)).log_sum_exp() - 2f64.ln()
}

fn main() -> Result<()> {
    let (tape, dx) = (Tape::new(), 0.01);
    let x = tape.leaf(&Matrix::from_fn(1601, 1, |i, _| -8.0 + dx * i as f64));
    let lq = log_normal(x, -0.8, 1.7); // the right mode is under-covered
    let l = log_p(x) - lq;
    let beta = tape.gradient(l, &[x])[0]; // ∇l = s_p - s_q
    let slope = tape.gradient(beta, &[x])[0];
    let window = (x.square() * (-1.0 / 6.0)).exp(); // χ; χ' = -x χ/3
    println!("dU/dη by formula and by difference\n  τ   {:^26}{:^26}{:^26}", "reverse-kl", "forward-kl", "le-cam");
    for tau in [-1.0, 0.0, 1.0, 2.0, 3.0] {
        print!("{tau:4.1}");
        for name in ["reverse-kl", "forward-kl", "le-cam"] {
            let divergence = by_name(name)?;
            let w = tape.leaf(&l.value().map(|l| divergence.weight(l)));
            let e = tape.leaf(&l.value().map(|l| divergence.elasticity(l)));
            let field = window * w * beta; // ξ = χV; next its derivative, by dw/dx = w e β (T4)
            let derivative = window * w * (e * beta.square() + slope) - x * field / 3.0;
            // U(q_η) = ∫ p(Tx) J s( log p(Tx) - log q(x) + log J ) dx, T = x + ηξ, J = 1 + ηξ'
            let after = |eta: f64| {
                let log_pj = log_p(x + field * eta) + (derivative * eta).ln_1p();
                dx * (log_pj.exp() * (log_pj - lq - tau).sigmoid()).sum().item()
            };
            let s = (l - tau).sigmoid(); // s' + s'' = 2 s (1-s)²
            let rate = -dx * (log_p(x).exp() * field * beta * 2.0 * s * (1.0 - s).square()).sum().item();
            let etas: Vec<f64> = (7..13).map(|k| 0.5f64.powi(k)).collect();
            let differences: Vec<f64> = etas.iter().map(|h| (after(*h) - after(-h)) / (2.0 * h)).collect();
            print!("   {rate:10.6} {:10.6}  ", differences[5]);
            let errors: Vec<f64> = differences.iter().map(|d| (d - rate).abs()).collect();
            let order = observed_order(&etas, &errors, 1e-11)?;
            // negative: a step of width 1 is soft enough (T5, part 4)
            assert!(rate < 0.0 && order.is(2.0, 0.1) && errors[5] < 1e-4, "{name}, τ = {tau}: {order:?} {errors:?}");
        }
        println!();
    }
    println!("lesson 4 holds");
    Ok(())
}
