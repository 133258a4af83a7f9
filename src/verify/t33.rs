//! T33: Fisher training on the line: its velocity, its Gaussian laws, why half of it is no gradient, and what it does not see.

use super::hypothesis::integral;
use super::{Budget, Claim, Comparison, Draw, Grid, Hypothesis, Ladder, Outcome, Pair, Takes};
use crate::density::GaussianMixture;
use crate::num::{GaussLegendre, exp, ln};
use crate::rng::{Stream, fill_normal, uniform};
use rayon::prelude::*;

pub(super) const CLAIM: Claim = Claim {
    id: "T33",
    title: "the Fisher divergence falls fastest along ∇(H[∇log q] - H[∇log p]), H[s] = |s|²/2 + div s, which sees no masses",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::instance("p, q ∈ C³", corner),
        Hypothesis::variant("(a) δ moves with q", "the first term alone, V = -∇½|δ|²"),
        Hypothesis::not_run("Gaussian tails", "sufficient: no boundary terms at infinity"),
    ],
    check,
};

fn check(budget: &Budget) -> Vec<Outcome> {
    let draws = budget.draws(33, [4, 1], [40, 1]);
    let mut out: Vec<Outcome> = draws.par_iter().map(gradient).collect();
    out.push(gaussians());
    out.push(masses());
    out
}

/// (log m)', (log m)'', (log m)''' on the line.
fn derivatives(m: &GaussianMixture, x: f64) -> [f64; 3] {
    let (mut mass, mut moments) = (0.0, [0.0; 3]);
    let parts: Vec<(f64, f64, f64)> = (0..m.components())
        .map(|k| {
            let v = m.covariances()[k][(0, 0)];
            let a = (m.means()[(k, 0)] - x) / v;
            (ln(m.weights()[k]) - 0.5 * (v * a * a + ln(v)), a, v)
        })
        .collect();
    let top = parts.iter().map(|p| p.0).fold(f64::NEG_INFINITY, f64::max);
    for (log, a, v) in parts {
        let w = exp(log - top);
        mass += w;
        [a, a * a - 1.0 / v, a * a * a - 3.0 * a / v].iter().zip(&mut moments).for_each(|(f, m)| *m += w * f);
    }
    let [f, g, h] = moments.map(|m| m / mass);
    [f, g - f * f, h - 3.0 * g * f + 2.0 * f * f * f]
}

/// ξ = Σ a exp(-(x - c)²/2b²) with two derivatives.
struct Bumps(Vec<[f64; 3]>);

impl Bumps {
    fn random(rng: &mut Stream, pair: &Pair) -> Self {
        let home = if uniform(rng) < 0.5 { &pair.p } else { &pair.q };
        let (scale, mean) = (home.covariances()[0][(0, 0)].sqrt(), home.means()[(0, 0)]);
        let mut normal = || {
            let mut v = [0.0; 2];
            fill_normal(rng, &mut v);
            v
        };
        let places: Vec<[f64; 2]> = (0..3).map(|_| normal()).collect();
        Self(places.into_iter().map(|[a, c]| [a, mean + scale * c, scale * (0.8 + 0.5 * uniform(rng))]).collect())
    }

    fn at(&self, x: f64) -> [f64; 3] {
        let mut out = [0.0; 3];
        for [a, c, b] in &self.0 {
            let z = (x - c) / b;
            let bump = a * exp(-0.5 * z * z);
            [1.0, -z / b, (z * z - 1.0) / (b * b)].iter().zip(&mut out).for_each(|(f, o)| *o += bump * f);
        }
        out
    }
}

/// dD/dε along ξ is -E_q[V ξ], from D of the law pushed by id + εξ with its exact score.
fn gradient(draw: &Draw) -> Outcome {
    let pair = &draw.pair;
    if pair.dim() > 1 {
        let reason = "the score of a pushed law is computed on the line alone";
        return Outcome { comparisons: vec![Comparison::refused(draw.label.clone(), reason)], mutants: Vec::new() };
    }
    let bumps = Bumps::random(&mut draw.stream(0), pair);
    let width = bumps.0.iter().map(|b| b[2]).fold(pair.finest(), f64::min);
    let grid = Grid::covering(&pair.ends(9.0), width / 24.0);
    let x: Vec<f64> = grid.nodes.as_slice().to_vec();
    let q: Vec<f64> = pair.at(&grid.nodes).log_q.iter().map(|l| exp(*l)).collect();
    let (of_q, of_p): (Vec<_>, Vec<_>) = x.iter().map(|&x| (derivatives(&pair.q, x), derivatives(&pair.p, x))).unzip();
    let xi: Vec<[f64; 3]> = x.iter().map(|&x| bumps.at(x)).collect();
    let steepest = xi.iter().map(|xi| xi[1].abs()).fold(0.0, f64::max);
    let ladder = Ladder::central(0.25 / steepest, |step| {
        let gap = |i: usize| {
            let stretch = 1.0 + step * xi[i][1];
            (of_q[i][0] - step * xi[i][2] / stretch) / stretch - derivatives(&pair.p, x[i] + step * xi[i][0])[0]
        };
        vec![grid.integrate_with_size(|i| 0.5 * q[i] * gap(i).powi(2))]
    });
    let left = ladder.into_iter().next().expect("one functional");
    let hyvarinen = |s: &[f64; 3]| s[0] * s[1] + s[2];
    let velocity = |i: usize| hyvarinen(&of_q[i]) - hyvarinen(&of_p[i]);
    let delta = |i: usize, k: usize| of_q[i][k] - of_p[i][k];
    let along = |v: &dyn Fn(usize) -> f64| grid.integrate_with_size(|i| -q[i] * v(i) * xi[i][0]);
    let (right, scale) = along(&velocity);
    let against = |right: f64| {
        let resolution = grid.resolution(|i| q[i] * velocity(i) * xi[i][0]) / scale;
        Comparison::of_ladder(draw.label.clone(), &left, right, scale, 1e-7).resolving(
            "trapezoid on half of the nodes",
            resolution,
            1e-4,
        )
    };
    let wrong = |v: &dyn Fn(usize) -> f64| {
        let value = along(v).0;
        against(value).unless_true(right)
    };
    Outcome {
        comparisons: vec![against(right)],
        mutants: vec![
            ("the first term alone, V = -∇½|δ|²", wrong(&|i| -delta(i, 0) * delta(i, 1))),
            ("H without its divergence", wrong(&|i| of_q[i][0] * of_q[i][1] - of_p[i][0] * of_p[i][1])),
            ("the velocity of KL", wrong(&|i| -delta(i, 0))),
        ],
    }
}

/// (target's variance, variance and distance of the mean at the start).
const STARTS: [[f64; 3]; 4] = [[1.0, 0.25, 1.0], [2.0, 0.3, -1.0], [0.5, 1.5, 0.7], [1.0, 1.0, 2.0]];

/// u² = Q² + (u₀² - Q²) e^(-4t/Q²), m - b = (m₀ - b) e^(-t/Q²), against Runge–Kutta steps of the velocity's own formula on Gaussians.
fn gaussians() -> Outcome {
    let mut out = Outcome::default();
    for [q, start, mean] in STARTS {
        let p = GaussianMixture::gaussian(&[0.0], crate::linalg::Matrix::filled(1, 1, q)).expect("a variance");
        // the velocity is affine: its value and slope at the mean move the moments
        let rate = |[m, u]: [f64; 2]| {
            let law = GaussianMixture::gaussian(&[m], crate::linalg::Matrix::filled(1, 1, u)).expect("a variance");
            let v = |x: f64| {
                let (a, b) = (derivatives(&law, x), derivatives(&p, x));
                a[0] * a[1] + a[2] - b[0] * b[1] - b[2]
            };
            [v(m), 2.0 * u * (v(m + 0.5) - v(m - 0.5))]
        };
        let (time, steps) = (0.7, 2000);
        let h = time / steps as f64;
        let ahead = |s: [f64; 2], k: [f64; 2], h: f64| [s[0] + h * k[0], s[1] + h * k[1]];
        let mut state = [mean, start];
        for _ in 0..steps {
            let k1 = rate(state);
            let k2 = rate(ahead(state, k1, 0.5 * h));
            let k3 = rate(ahead(state, k2, 0.5 * h));
            let k4 = rate(ahead(state, k3, h));
            let sum = |j: usize| (k1[j] + 2.0 * k2[j] + 2.0 * k3[j] + k4[j]) / 6.0;
            state = ahead(state, [sum(0), sum(1)], h);
        }
        let decay = exp(-time / (q * q));
        let square = q * q + (start * start - q * q) * decay.powi(4);
        let name = |what: &str| format!("Q = {q}, from N({mean}, {start}), {what}");
        let variance = |right: f64| Comparison::exact(name("variance"), state[1], right, q, 1e-9);
        out.comparisons.push(variance(square.sqrt()));
        out.comparisons.push(Comparison::exact(name("mean"), state[0], mean * decay, mean.abs(), 1e-9));
        let law_of_kl = q + (start - q) * exp(-2.0 * time / q);
        out.mutants.push(("the variance of KL training", variance(law_of_kl).unless(start == q)));
        // N(0, v²) from N(0, 1): the first term alone has v' = -v (1 - 1/v²)² ≤ 0
        let below = start < q;
        let shrinks = |v: f64| -v * (1.0 / (v * v) - 1.0 / q).powi(2) >= 0.0;
        out.mutants.push((
            "the first term alone widens what is too narrow",
            Comparison::decision(name("first term"), shrinks(start.sqrt())).unless(!below),
        ));
    }
    out
}

/// Distances of two unit Gaussians.
const DISTANCES: [f64; 3] = [8.0, 10.0, 12.0];

/// Masses 0.2 and 0.8 against halves, L apart: D e^{L²/8}/L has the limit that the boundary layer gives, KL the one of the masses.
fn masses() -> Outcome {
    let (a, b) = (0.2f64, 0.5f64);
    let rule = GaussLegendre::new(16);
    let share = |a: f64, y: f64| 1.0 / (1.0 + (1.0 - a) / a * exp(y));
    let layer = rule.integrate(-60.0, 60.0, 240, |y| {
        (a * exp(-0.5 * y) + (1.0 - a) * exp(0.5 * y)) * (share(b, y) - share(a, y)).powi(2)
    });
    let kl_of_masses = a * ln(a / b) + (1.0 - a) * ln((1.0 - a) / (1.0 - b));
    let mut out = Outcome::default();
    for l in DISTANCES {
        let at = |share: f64| [[share, -0.5 * l, 1.0], [1.0 - share, 0.5 * l, 1.0]];
        let pair = Pair::on_the_line(&at(b), &at(a));
        let grid = Grid::covering(&pair.ends(9.0), 0.01);
        let nodes = pair.at(&grid.nodes);
        let fisher = 0.5 * grid.integrate(|i| nodes.q(i) * nodes.beta2(i));
        let name = |what: &str| format!("L = {l}, {what}");
        let leading = 0.5 * l * exp(-l * l / 8.0) / std::f64::consts::TAU.sqrt() * layer;
        // corrections are of relative order y²/L², y of order 3
        out.comparisons.push(Comparison::exact(
            name("D over its leading form"),
            fisher / leading,
            1.0,
            1.0,
            10.0 / (l * l),
        ));
        let kl = pair.kl();
        out.comparisons.push(Comparison::exact(name("KL"), kl, kl_of_masses, kl_of_masses, 1e-3));
        let faster = leading * exp(-l * l / 8.0);
        out.mutants.push(("D falls like e^(-L²/4)", Comparison::exact(name("fast"), fisher / faster, 1.0, 1.0, 0.5)));
        out.mutants.push(("KL vanishes with D", Comparison::decision(name("KL"), kl < 1e-3)));
    }
    out
}

/// Laplace's q and p = N(0, 1), ξ = x e^(-x²/2): the score of q jumps at 0, which derivatives off 0 do not see.
fn corner() -> Comparison {
    let xi = |x: f64| {
        let bump = exp(-0.5 * x * x);
        [x * bump, (1.0 - x * x) * bump, (x * x - 3.0) * x * bump]
    };
    // both sides of 0 are alike
    let mean = |g: &dyn Fn(f64) -> f64| integral(0.0, 40.0, |x| exp(-x) * g(x));
    let fisher = |step: f64| {
        mean(&|x| {
            let [v, slope, bend] = xi(x).map(|v| step * v);
            let score = (-1.0 - bend / (1.0 + slope)) / (1.0 + slope);
            0.5 * (score + x + v).powi(2)
        })
    };
    let left = (fisher(1e-4) - fisher(-1e-4)) / 2e-4;
    // H[s_q] = ½, H[s_p] = ½x² - 1, so that V = -x
    let right = mean(&|x| x * xi(x)[0]);
    Comparison::exact("Laplace and N(0, 1), along x e^(-x²/2): dD/dε and -E_q[V·ξ]", left, right, 1.0, 1e-6)
}
