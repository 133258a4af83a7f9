//! T26: KL in nats by de Bruijn's identity: over all noise levels, at one of them, under noise (a, s), and from samples.

use super::{Budget, Claim, Comparison, Draw, Grid, Hypothesis, Ladder, Outcome, Pair, Takes};
use crate::density::{Density, GaussianMixture};
use crate::linalg::Matrix;
use crate::metric::{Estimate, NoiseLevels};
use crate::num::hypot;
use rayon::prelude::*;

pub(super) const CLAIM: Claim = Claim {
    id: "T26",
    title: "KL(q‖p) is half the integral of E|∇log q_σ - ∇log p_σ|² over σ²: nats from scores, without Z",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::variant("(b) all noise levels from 0 to ∞", "levels below σ = 1 alone"),
        Hypothesis::instance("(a) both laws have the same noise", one_sided),
        Hypothesis::not_run(
            "finite second moments and KL(q‖p) < ∞",
            "the last term of (b) has no such form, or both sides are infinite",
        ),
    ],
    check,
};

/// Samples behind the estimate, and z beyond which it has failed: by chance in 6e-7 of all draws.
const SAMPLES: usize = 500;
const LIMIT: f64 = 5.0;
/// The variances of noise at which the derivative is taken, in units of the narrowest component's.
const NOISED: [f64; 2] = [0.5, 4.0];

fn check(budget: &Budget) -> Vec<Outcome> {
    let draws = budget.draws(26, [5, 1], [40, 4]);
    draws.par_iter().map(identity).collect()
}

/// Both with noise N(0, v I).
fn noised(pair: &Pair, variance: f64) -> Pair {
    let one = |m: &GaussianMixture| m.smoothed_mixture(variance.sqrt()).expect("a variance");
    Pair { p: one(&pair.p).into(), q: one(&pair.q).into() }
}

/// (E_q|β|², E_p|β|²) by quadrature.
fn squares(pair: &Pair) -> (f64, f64) {
    let grid = Grid::covering(&pair.ends(8.5), pair.finest() / if pair.dim() == 1 { 12.0 } else { 3.5 });
    let nodes = pair.at(&grid.nodes);
    (grid.integrate(|i| nodes.q(i) * nodes.beta2(i)), grid.integrate(|i| nodes.p(i) * nodes.beta2(i)))
}

fn identity(draw: &Draw) -> Outcome {
    let pair = &draw.pair;
    let mut out = Outcome::default();
    let kl = pair.kl();
    let spread = pair.ends(1.0).into_iter().map(|(a, b)| b - a).fold(pair.finest(), f64::max);
    let levels = NoiseLevels::between(pair.finest(), spread).expect("widths");
    let sigmas = levels.sigmas();
    let (under_q, under_p): (Vec<f64>, Vec<f64>) = sigmas.par_iter().map(|s| squares(&noised(pair, s * s))).unzip();
    // the two ends are continued as powers; what is left out is (1/30)² of them, times what |δ|² changes by in units of the widths: each
    // of its factors by a few, and the geometric sum
    let last = sigmas.len() - 1;
    let ends = [0, last].iter().map(|&k| 0.5 * sigmas[k] * sigmas[k] * under_q[k]).sum::<f64>();
    let tolerance = 1e-7 + 0.01 * ends / kl;
    let whole = |right: f64| Comparison::exact(format!("{}, all levels", draw.label), kl, right, kl, tolerance);
    let right = levels.kl(&under_q);
    out.comparisons.push(whole(right));
    let by_sigma: f64 = under_q.iter().zip(sigmas).map(|(e, s)| 0.25 * s * e).sum();
    let below_one: Vec<f64> = under_q.iter().zip(sigmas).map(|(e, s)| if *s < 1.0 { *e } else { 0.0 }).collect();
    for (name, wrong) in [
        ("without the half", 2.0 * right),
        ("integrated over σ and not over σ²", by_sigma),
        ("the mean under p", levels.kl(&under_p)),
        ("levels below σ = 1 alone", levels.kl(&below_one)),
    ] {
        out.mutants.push((name, whole(wrong).unless_true(right)));
    }
    for factor in NOISED {
        derivative(draw, factor * pair.finest().powi(2), &mut out);
    }
    under_noise(draw, &mut out);
    sampled(draw, &levels, (kl, tolerance), &mut out);
    out
}

/// dKL(q_σ‖p_σ)/dσ² = -E|δ|²/2 at one level.
fn derivative(draw: &Draw, variance: f64, out: &mut Outcome) {
    let pair = &draw.pair;
    let grid = Grid::covering(
        &noised(pair, 1.5 * variance).ends(9.0),
        pair.finest() / if pair.dim() == 1 { 12.0 } else { 4.0 },
    );
    let ladder = Ladder::central(0.5 * variance, |step| {
        let nodes = noised(pair, variance + step).at(&grid.nodes);
        vec![grid.integrate_with_noise(|i| -nodes.q(i) * nodes.l(i), |i| nodes.q(i) * nodes.log_size(i))]
    });
    let left = ladder.into_iter().next().expect("one functional");
    let (under_q, under_p) = squares(&noised(pair, variance));
    let right = -0.5 * under_q;
    let label = format!("{}, derivative at variance {variance:.2e}", draw.label);
    let against = |right: f64| Comparison::of_ladder(label.clone(), &left, right, 0.5 * under_q, draw.tolerance());
    out.comparisons.push(against(right));
    out.mutants.push(("the derivative in σ² without the half", against(2.0 * right).unless_true(right)));
    out.mutants.push(("the derivative under p", against(-0.5 * under_p).unless_true(right)));
}

/// KL of the laws of aX + sξ is that at σ = s/a.
fn under_noise(draw: &Draw, out: &mut Outcome) {
    let (a, s) = (0.8, 0.6);
    let image = |m: &GaussianMixture, a: f64, s: f64| {
        let image = m.affine_image(&vec![0.0; m.dim()], a).and_then(|m| m.smoothed_mixture(s));
        image.expect("a positive scale")
    };
    let kl = |a: f64, s: f64| Pair { p: image(&draw.pair.p, a, s).into(), q: image(&draw.pair.q, a, s).into() }.kl();
    let left = kl(a, s);
    let against = |right: f64| Comparison::exact(format!("{}, noise (0.8, 0.6)", draw.label), left, right, left, 1e-7);
    let right = kl(1.0, s / a);
    out.comparisons.push(against(right));
    out.mutants.push(("the level s in place of s/a", against(kl(1.0, s)).unless_true(right)));
}

/// The estimate that ships, at samples of q.
fn sampled(draw: &Draw, levels: &NoiseLevels, (kl, tolerance): (f64, f64), out: &mut Outcome) {
    let pair = &draw.pair;
    let x = pair.q.sample(SAMPLES, draw.seed ^ draw.unit).expect("a mixture");
    let of = |swap: bool| {
        let gap = |sigma: f64, y: &Matrix| {
            let nodes = noised(pair, sigma * sigma).at(y);
            let mut gap = nodes.score_q;
            gap.add_scaled(if swap { 1.0 } else { -1.0 }, &nodes.score_p);
            Ok(gap)
        };
        levels.estimate(&x, draw.seed, gap).expect("finite scores").kl
    };
    let against = |e: Estimate| {
        // where δ is constant the estimate has no variance, only the error of the levels
        let error = hypot(e.standard_error, tolerance * kl);
        Comparison::monte_carlo(format!("{}, {SAMPLES} samples", draw.label), e.value, error, kl, LIMIT)
    };
    out.comparisons.push(against(of(false)));
    out.mutants.push(("the sum of both scores", against(of(true))));
}

/// N(0, 1) and N(½, 0.64) with noise on q alone.
fn one_sided() -> Comparison {
    let pair = Pair::on_the_line(&[[1.0, 0.0, 1.0]], &[[1.0, 0.5, 0.8]]);
    let at = |variance: f64| Pair { p: pair.p.clone(), q: noised(&pair, variance).q };
    let left = (at(0.501).kl() - at(0.499).kl()) / 2e-3;
    let right = -0.5 * squares(&at(0.5)).0;
    Comparison::exact("N(0, 1) and N(0.5, 0.64), noise on q alone: dKL/dσ² at 0.5", left, right, right.abs(), 1e-4)
}
