//! T30: several targets. Gaussians on the line: rates of descent by differences of quadratures against U ω.

use crate::divergence::{Divergence, ForwardKl, Hellinger, JensenShannon, LeCam, ReverseKl};
use crate::num::{exp, ln, ln_1p, min_norm};
use crate::verify::{Budget, Claim, Comparison, Hypothesis, Outcome, Takes};
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T30",
    title: "several targets: along the shortest combination every divergence falls",
    takes: Takes::NoPair,
    hypotheses: &[
        Hypothesis::variant("ω is the shortest combination", "equal weights"),
        Hypothesis::not_run("V_i ∈ L²(q)", "U is not defined otherwise; T7 decides it"),
    ],
    check,
};

/// Variance of q = N(0, v).
const VARIANCE: f64 = 0.64;
/// Means and variances of targets; variances below that of q keep every integral finite, and no set is Pareto stationary.
const TARGETS: [&[(f64, f64)]; 3] =
    [&[(-0.5, 0.5), (0.6, 0.6)], &[(0.4, 0.5), (0.7, 0.6), (0.35, 0.4)], &[(-0.2, 0.5), (0.9, 0.6)]];
/// Standard deviations on each side, and cells, of the trapezoid rule.
const REACH: f64 = 9.0;
const CELLS: i32 = 3000;
/// Steps of the differences in t and in x.
const TIME: f64 = 2e-3;
const SPACE: f64 = 1e-4;

fn check(_: &Budget) -> Vec<Outcome> {
    let divergences: [Arc<dyn Divergence>; 5] =
        [Arc::new(ReverseKl), Arc::new(ForwardKl), Arc::new(Hellinger), Arc::new(JensenShannon), Arc::new(LeCam)];
    divergences.iter().flat_map(|f| TARGETS.map(|targets| rates(&**f, targets))).collect()
}

/// log p(x)/q(x) and its derivative.
fn ratio((b, v): (f64, f64), x: f64) -> (f64, f64) {
    let l = 0.5 * ln(VARIANCE / v) - (x - b).powi(2) / (2.0 * v) + x * x / (2.0 * VARIANCE);
    (l, x / VARIANCE - (x - b) / v)
}

/// E_q g.
fn mean(g: impl Fn(f64) -> f64) -> f64 {
    let step = 2.0 * REACH / f64::from(CELLS);
    let one = |k: i32| {
        let z = f64::from(k) * step - REACH;
        step * exp(-0.5 * z * z) / std::f64::consts::TAU.sqrt() * g(VARIANCE.sqrt() * z)
    };
    (0..=CELLS).map(one).sum()
}

fn rates(f: &dyn Divergence, targets: &[(f64, f64)]) -> Outcome {
    let count = targets.len();
    let pull = |i: usize, x: f64| {
        let (l, beta) = ratio(targets[i], x);
        f.weight(l) * beta
    };
    let gram = |weighted: bool| -> Vec<f64> {
        let v = |i: usize, x: f64| if weighted { pull(i, x) } else { ratio(targets[i], x).1 };
        (0..count * count).map(|k| mean(|x| v(k / count, x) * v(k % count, x))).collect()
    };
    let u = gram(true);
    let found = min_norm(&u, count);
    let field = |x: f64| (0..count).map(|i| found.weights[i] * pull(i, x)).sum::<f64>();
    let product = |u: &[f64], w: &[f64], i: usize| (0..count).map(|j| u[count * i + j] * w[j]).sum::<f64>();
    let plain = gram(false);
    let mut out = Outcome::default();
    for i in 0..count {
        // D_f(p_i‖(id + hV)#q) = E_q f(p_i(x + hV) (1 + hV')/q(x))
        let divergence = |h: f64| {
            mean(|x| {
                let (v, slope) = (field(x), (field(x + SPACE) - field(x - SPACE)) / (2.0 * SPACE));
                let y = x + h * v;
                let log_q = |x: f64| -x * x / (2.0 * VARIANCE);
                f.f(ratio(targets[i], y).0 + log_q(y) - log_q(x) + ln_1p(h * slope))
            })
        };
        let difference = |h: f64| (divergence(h) - divergence(-h)) / (2.0 * h);
        let left = (4.0 * difference(0.5 * TIME) - difference(TIME)) / 3.0;
        let right = -product(&u, &found.weights, i);
        let name = |what: &str| format!("{}, {count} targets, target {}, {what}", f.name(), i + 1);
        let compare = |what: &str, right: f64| Comparison::exact(name(what), left, right, left.abs(), 1e-6);
        out.comparisons.push(compare("rate", right));
        out.comparisons.push(Comparison::decision(name("none slower"), -right >= found.value * (1.0 - 1e-12)));
        let corner: f64 = (0..=10)
            .map(|k| {
                let t = f64::from(k) / 10.0;
                let w: Vec<f64> =
                    (0..count).map(|j| (1.0 - t) * found.weights[j] + if j == i { t } else { 0.0 }).collect();
                (0..count).map(|a| w[a] * product(&u, &w, a)).sum()
            })
            .fold(f64::INFINITY, f64::min);
        out.comparisons.push(Comparison::decision(name("shortest"), corner >= found.value * (1.0 - 1e-12)));
        out.mutants
            .push(("no cross terms", compare("diagonal", -u[(count + 1) * i] * found.weights[i]).unless_true(right)));
        let equal = vec![1.0 / count as f64; count];
        out.mutants.push(("equal weights", compare("equal", -product(&u, &equal, i)).unless_true(right)));
        if f.name() != "reverse-kl" {
            out.mutants.push((
                "U without the weight w",
                compare("plain", -product(&plain, &found.weights, i)).unless_true(right),
            ));
        }
    }
    out
}
