//! T7: the verdict on an integral from the tails alone, against its growth over growing windows.

use super::hypothesis::{integral, normal};
use super::integrability::{Exponents, Integral, dissipation, dissipation_of_powers, powers, value, value_of_powers};
use super::{Budget, Claim, Comparison, Hypothesis, Outcome, Pair, Takes};
use crate::density::GaussianMixture;
use crate::divergence::{Alpha, Divergence, Pearson};
use crate::linalg::Matrix;
use crate::num::{cos, cosh, exp, exp_m1, ln, ln_1p, log_sum_exp, powf, sin, sinh};
use crate::rng::{Purpose, Stream, stream, uniform};
use rayon::prelude::*;
use std::f64::consts::PI;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T07",
    title: "the tails decide when D_f and E_q|V|² are finite",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::instance("(P): w lies between multiples of its powers", slowly_varying),
        Hypothesis::instance("(S): integrals over compact sets are finite", hole),
    ],
    check,
};

type Case = Arc<dyn Divergence>;

fn check(budget: &Budget) -> Vec<Outcome> {
    let divergences = budget.divergences();
    let draws = budget.draws(7, [24, 6], [400, 60]);
    let mut out: Vec<Outcome> = draws
        .par_iter()
        .map(|draw| {
            let mut rng = draw.stream(0);
            let pair = budget.pair.clone().unwrap_or_else(|| uneven(&mut rng, draw.pair.dim()));
            gaussian(&draw.label, &pair, &divergences)
        })
        .collect();
    if budget.pair.is_none() {
        let known = Pair { p: line(1.0).into(), q: line(0.45).into() };
        out.push(gaussian("N(0, 1) and N(0, 0.45)", &known, &divergences));
        out.extend(
            (0..draws.len() as u64)
                .map(|k| student(&mut stream(budget.seed, Purpose::Check, (7 << 50) + k), &divergences)),
        );
    }
    out
}

/// N(0, variance) on the line.
fn line(variance: f64) -> GaussianMixture {
    GaussianMixture::new(&[1.0], Matrix::zeros(1, 1), vec![Matrix::from_rows(&[[variance]])])
        .expect("a positive variance")
}

/// Two mixtures of two components each whose widths differ by up to a factor of two either way.
fn uneven(rng: &mut Stream, dim: usize) -> Pair {
    let mut mixture = || {
        let means = Matrix::from_fn(2, dim, |_, _| 2.0 * uniform(rng) - 1.0);
        let mut diagonal = || {
            let entries: Vec<f64> = (0..dim).map(|_| powf(4f64, uniform(rng) - 0.5)).collect();
            Matrix::from_fn(dim, dim, |i, j| if i == j { entries[i] } else { 0.0 })
        };
        GaussianMixture::new(&[0.5, 0.5], means, vec![diagonal(), diagonal()]).expect("positive variances")
    };
    Pair { p: mixture().into(), q: mixture().into() }
}

/// Every divergence, value and energy, on one pair of mixtures; the mutants are wrong criteria on the same integrals.
fn gaussian(label: &str, pair: &Pair, divergences: &[Case]) -> Outcome {
    let rays = Rays::new(pair);
    let mut out = Outcome::default();
    for f in divergences {
        for energy in [false, true] {
            let decide = |p: &GaussianMixture, q: &GaussianMixture, energy: bool| match energy {
                true => dissipation(f.as_ref(), f.as_ref(), p, q),
                false => value(f.as_ref(), p, q),
            };
            let verdict = decide(&pair.p, &pair.q, energy);
            // within a fifth of a threshold the windows would have to be far longer
            let same = |s: f64| settled(&decide(&pair.p, &widened(&pair.q, s), energy)) == settled(&verdict);
            let observed = rays.converges(f, energy).filter(|_| same(1.2) && same(1.0 / 1.2));
            let instance = format!("{label}, {}, {}", f.name(), if energy { "E_q|V|²" } else { "D_f" });
            let (Some(observed), Some(finite)) = (observed, settled(&verdict)) else {
                let reason = verdict.refusal().unwrap_or("too near the threshold for windows").to_string();
                out.comparisons.push(Comparison::refused(instance, reason));
                continue;
            };
            out.comparisons.push(Comparison::decision(instance.clone(), finite == observed));
            let mut wrong = |what, claimed: Integral| {
                // a variant is tried where it contradicts the theorem
                if let Some(claimed) = settled(&claimed).filter(|c| *c != finite) {
                    out.mutants.push((what, Comparison::decision(instance.clone(), claimed == observed)));
                }
            };
            if energy {
                wrong("the thresholds of D_f for the energy", decide(&pair.p, &pair.q, false));
            }
            wrong("p and q exchanged in ρ", decide(&pair.q, &pair.p, energy));
            wrong("the narrowest component for the widest", decide(&narrowest(&pair.p), &narrowest(&pair.q), energy));
        }
    }
    out
}

fn settled(verdict: &Integral) -> Option<bool> {
    match verdict {
        Integral::Finite => Some(true),
        Integral::Infinite(_) => Some(false),
        Integral::Undecided(_) => None,
    }
}

/// With all variances multiplied by `factor`.
fn widened(m: &GaussianMixture, factor: f64) -> GaussianMixture {
    m.affine_image(&vec![0.0; m.means().cols()], factor.sqrt()).expect("a positive factor")
}

/// The component of smallest variance alone.
fn narrowest(m: &GaussianMixture) -> GaussianMixture {
    let size = |k: usize| m.covariances()[k][(0, 0)];
    let k = (0..m.components()).min_by(|&a, &b| size(a).total_cmp(&size(b))).unwrap_or(0);
    GaussianMixture::new(&[1.0], m.means().slice_rows(k..k + 1), vec![m.covariances()[k].clone()]).expect("a component")
}

/// log of the integrand's ingredients along rays from the origin: 2 on the line, 180 in the plane.
struct Rays {
    /// Radii, the same on every ray.
    radii: Vec<f64>,
    /// log q + (d-1) log t, l and log |β|² at each radius of each ray.
    points: Vec<(f64, f64, f64)>,
}

/// Nodes on a ray.
const NODES: usize = 1500;

impl Rays {
    fn new(pair: &Pair) -> Self {
        let directions: Vec<Vec<f64>> = match pair.dim() {
            1 => vec![vec![1.0], vec![-1.0]],
            _ => (0..180).map(|k| PI * f64::from(k) / 90.0).map(|t| vec![cos(t), sin(t)]).collect(),
        };
        let radii: Vec<f64> = (1..=NODES).map(|k| 30.0 * k as f64 / NODES as f64).collect();
        let x =
            Matrix::from_fn(directions.len() * NODES, pair.dim(), |i, j| directions[i / NODES][j] * radii[i % NODES]);
        let nodes = pair.at(&x);
        let jacobian = |i: usize| (pair.dim() - 1) as f64 * ln(radii[i % NODES]);
        let points = (0..x.rows()).map(|i| (nodes.log_q[i] + jacobian(i), nodes.l(i), ln(nodes.beta2(i)))).collect();
        Self { radii, points }
    }

    /// Whether ∫_{|x|<R} settles: None within a tenth of the growth that separates the cases.
    fn converges(&self, f: &Case, energy: bool) -> Option<bool> {
        let terms: Vec<f64> =
            self.points.iter().map(|(log_q, l, beta2)| log_q + integrand(f, *l, *beta2, energy)).collect();
        let within = |share: f64| {
            let limit = share * self.radii[NODES - 1];
            let kept: Vec<f64> =
                (0..terms.len()).filter(|i| self.radii[i % NODES] <= limit).map(|i| terms[i]).collect();
            log_sum_exp(&kept)
        };
        // a narrow cone may start to grow too late to be seen in the sum
        let rising =
            (0..terms.len() / NODES).any(|ray| terms[ray * NODES + NODES - 1] > terms[ray * NODES + 4 * NODES / 5]);
        growth(within(1.0) - within(0.8)).filter(|converges| !(*converges && rising))
    }
}

/// log of w²|β|² or of f̃ = f - f'(1)(u-1), which has the same integral as f and no negative part; where f itself overflows, by its
/// power law, whose factor does not matter.
fn integrand(f: &Case, l: f64, log_beta2: f64, energy: bool) -> f64 {
    if energy {
        return 2.0 * f.log_weight(l) + log_beta2;
    }
    let direct = |l: f64| ln((f.f(l) - f.u_df(0.0) * exp_m1(l)).max(f64::MIN_POSITIVE));
    let limit = 200.0;
    if l.abs() <= limit {
        return direct(l);
    }
    let edge = limit.copysign(l);
    direct(edge) + (direct(edge) - direct(0.95 * edge)) / (0.05 * edge) * (l - edge)
}

/// A last fifth of the window that adds less than 1e-6 is convergence, more than a tenth divergence; between them the window is too short.
fn growth(increment: f64) -> Option<bool> {
    if increment < 1e-6 { Some(true) } else { (increment > 0.1).then_some(false) }
}

/// log of Student's density with ν degrees of freedom at x = sinh(y), up to a constant.
fn log_t(nu: f64, y: f64) -> f64 {
    let square = if y < 20.0 { ln_1p(sinh(y).powi(2) / nu) } else { 2.0 * (y - ln(2f64)) - ln(nu) };
    -0.5 * (nu + 1.0) * square
}

/// Its score.
fn slope(nu: f64, y: f64) -> f64 {
    -(nu + 1.0) * sinh(y.min(300.0)) / (nu + sinh(y.min(300.0)).powi(2))
}

/// log dx/dy.
fn log_dx(y: f64) -> f64 {
    if y < 20.0 { ln(cosh(y)) } else { y - ln(2f64) }
}

/// Student-t tails in one dimension, on y with x = sinh(y).
fn student(rng: &mut Stream, divergences: &[Case]) -> Outcome {
    let nu = [1.0 + 5.0 * uniform(rng), 1.0 + 5.0 * uniform(rng)];
    let y: Vec<f64> = (0..6000).map(|k| 0.02 * f64::from(k)).collect();
    let mut out = Outcome::default();
    for f in divergences {
        for energy in [false, true] {
            let decide = |nu_q: f64| match energy {
                true => dissipation_of_powers(f.as_ref(), f.as_ref(), nu[0], nu_q),
                false => value_of_powers(f.as_ref(), nu[0], nu_q),
            };
            let term = |y: f64| {
                let beta = slope(nu[0], y) - slope(nu[1], y);
                let log_q = log_t(nu[1], y);
                log_q + log_dx(y) + integrand(f, log_t(nu[0], y) - log_q, ln((beta * beta).max(1e-300)), energy)
            };
            let terms: Vec<f64> = y.iter().map(|y| term(*y)).collect();
            let verdict = decide(nu[1]);
            let same = |s: f64| settled(&decide(s * nu[1])) == settled(&verdict);
            let observed = growth(log_sum_exp(&terms) - log_sum_exp(&terms[..terms.len() * 4 / 5]))
                .filter(|_| same(1.1) && same(1.0 / 1.1));
            let instance = format!("Student {:.2} and {:.2}, {}, energy {energy}", nu[0], nu[1], f.name());
            let (Some(observed), Some(finite)) = (observed, settled(&verdict)) else {
                out.comparisons.push(Comparison::refused(instance, "too near the threshold for windows"));
                continue;
            };
            out.comparisons.push(Comparison::decision(instance.clone(), finite == observed));
            let bare = Exponents::of(f.as_ref()).map(|a| powers(a.plus(a), nu[0], nu[1], 0.0));
            if let Some(claimed) = bare.ok().as_ref().and_then(settled).filter(|c| energy && *c != finite) {
                out.mutants.push(("no +2k for the decay of β", Comparison::decision(instance, claimed == observed)));
            }
        }
    }
    out
}

/// w = r^1.5 and w/(1 + |l|) for Student's tails of 2 and 4 degrees: by their common powers both energies grow for ever, at equality; the
/// second does not. Growth over a doubled range of log x, over the growth before.
fn slowly_varying() -> Comparison {
    let (f, nu) = (Alpha::new(1.5), [2.0, 4.0]);
    let energy = |from: f64, to: f64, slow: bool| {
        integral(from, to, |y| {
            let (l, beta) = (log_t(nu[0], y) - log_t(nu[1], y), slope(nu[0], y) - slope(nu[1], y));
            let log_w = f.log_weight(l) - if slow { ln_1p(l.abs()) } else { 0.0 };
            exp(log_t(nu[1], y) + log_dx(y) + 2.0 * log_w + 2.0 * ln(beta.abs()))
        })
    };
    let growth = |slow: bool| energy(20.0, 40.0, slow) / energy(10.0, 20.0, slow);
    let (left, right) = (growth(true), growth(false));
    Comparison::exact(
        "Student 2 and 4, w = r^1.5/(1 + |l|) as if it were r^1.5: growth of E_q|V|²",
        left,
        right,
        right,
        0.1,
    )
}

/// q = x²φ vanishes inside, p = φ: the tails allow Pearson's divergence, which is infinite at 0.
fn hole() -> Comparison {
    let beyond = |radius: f64| {
        let density = |y: f64| exp(3.0 * y) * normal(exp(y)) * Pearson.f(-2.0 * y);
        2.0 * integral(ln(radius), ln(12f64), density)
    };
    let (left, right) = (beyond(1e-2), beyond(1e-3));
    Comparison::exact("Pearson, q = x²p: D_f over |x| > 0.01 against |x| > 0.001", left, right, right, 1e-6)
}
