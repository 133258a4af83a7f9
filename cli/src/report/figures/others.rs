//! T25 to T37: certificates, other geometries, several targets, symmetry, networks.

use super::chart::{Chart, DIAGRAM, Points, beside};
use super::line::{Line, TWO_MODES, blurred, flow, normal, quadrature};
use crate::report::axis::Axis;
use crate::report::plot::Plot;
use crate::style::{GREEN, MODEL, TARGET};
use pushforward::num::{cos, exp, min_norm, powf, sin, tanh};
use std::f64::consts::{PI, TAU};

/// N times the variance of Ẑ for 20 centres at quantiles of p = N(0, 1), by one point a centre and by free draws.
pub fn t25() -> String {
    let n = 20;
    // quantiles by bisection of the distribution function
    let quantile = |share: f64| {
        let (mut a, mut b) = (-8.0, 8.0);
        for _ in 0..50 {
            let middle = 0.5 * (a + b);
            if quadrature(-9.0, middle, normal) < share { a = middle } else { b = middle }
        }
        0.5 * (a + b)
    };
    let centres: Vec<f64> = (0..n).map(|i| quantile((f64::from(i) + 0.5) / f64::from(n))).collect();
    let psi = |x: f64, h: f64| centres.iter().map(|c| normal((x - c) / h) / h).sum::<f64>() / f64::from(n);
    let free = |h: f64| quadrature(-14.0, 14.0, |x| normal(x).powi(2) / psi(x, h)) - 1.0;
    let saved = |h: f64| {
        let share = |c: &f64| quadrature(-14.0, 14.0, |x| normal((x - c) / h) / h * normal(x) / psi(x, h)) - 1.0;
        centres.iter().map(|c| share(c).powi(2)).sum::<f64>() / f64::from(n)
    };
    let points = |g: &dyn Fn(f64) -> f64| -> Points {
        (0..=30).map(|k| 0.75 + 0.025 * f64::from(k)).map(|h| (h, g(h))).collect()
    };
    Chart::new("One point per centre never does worse", ("kernel width h", 0.75, 1.5), "N Var Ẑ / Z²")
        .curve("N draws of the mixture: χ²(p‖ψ)", points(&free))
        .curve("one point per centre", points(&|h| free(h) - saved(h)))
        .draw("t25")
}

/// σ² E|δ_σ|²/2 over log σ²: the area is KL(q‖p).
pub fn t26() -> String {
    let integrand = |log: f64| {
        let s = exp(0.5 * log);
        let reach = 12.0 + 9.0 * s;
        let line = Line::new(&blurred(TWO_MODES[0], s), &blurred(TWO_MODES[1], s), (-reach, reach));
        0.5 * s * s * line.mean(|_| 1.0)
    };
    let points = |g: &dyn Fn(f64) -> f64| -> Points {
        (0..=60).map(|k| -8.0 + 0.25 * f64::from(k)).map(|x| (x, g(x))).collect()
    };
    // the area, and what lies beyond S = e⁷: |E_q X − E_p X|²/2S
    let area =
        |points: &Points, means: f64| 0.25 * points.iter().map(|p| p.1).sum::<f64>() + 0.5 * means * means * exp(-7.0);
    let two = points(&integrand);
    let one = points(&|log| 0.5 * exp(log) / (1.0 + exp(log)).powi(2));
    let words =
        [format!("two modes: area {:.3}", area(&two, 1.6)), format!("N(0,1), N(1,1): area {:.3}", area(&one, 1.0))];
    Chart::new("KL in nats from scores at noise levels", ("log σ²", -8.0, 7.0), "½ σ² E|δ_σ|²")
        .curve(&words[0], two)
        .curve(&words[1], one)
        .draw("t26")
}

/// Rates of the waves of 32 equidistant particles, and of the continuum.
pub fn t27() -> String {
    let n = 32.0;
    let waves: Vec<f64> = (1..32).map(f64::from).collect();
    let points = |g: &dyn Fn(f64) -> f64| -> Points { waves.iter().map(|m| (*m, g(*m))).collect() };
    let smooth = |m: f64| (1.0 / sin(PI * m / n).powi(2) - 1.0 / 3.0) / (4.0 * n * n);
    Chart::new("Decay of waves on the circle, N = 32", ("wave m", 1.0, 31.0), "rate λ_m")
        .log_y()
        .range(1e-5, 3.0)
        .curve("s = 1 (Coulomb), any N", points(&|_| 1.0))
        .curve("s = 2, particles", points(&smooth))
        .curve("s = 2, continuum |2πm|⁻²", points(&|m| 1.0 / (TAU * m).powi(2)))
        .draw("t27")
}

/// |m_t| of N(m, 1) along the gradients of exponent q.
pub fn t28() -> String {
    let mut chart = Chart::new("Each exponent in its own time", ("time t", 0.0, 6.0), "|m_t|").range(0.0, 2.1);
    for q in [1.5, 2.0, 3.0, 4.0] {
        chart = chart.function(&format!("q = {q}"), |t| {
            if q == 2.0 { 2.0 * exp(-t) } else { powf((powf(2.0, 2.0 - q) - (2.0 - q) * t).max(0.0), 1.0 / (2.0 - q)) }
        });
    }
    chart.draw("t28")
}

/// Steps that leave a saddle of depth δ from 10⁻³.
pub fn t29() -> String {
    let mut chart = Chart::new("Leaving a saddle of depth δ", ("steps", 0.0, 120.0), "distance from the saddle")
        .log_y()
        .range(1e-3, 1.0);
    for depth in [1.0, 0.1, 0.01] {
        chart = chart.function(&format!("gradient descent, δ = {depth}"), |k| 1e-3 * powf(1.0 + 0.5 * depth, k));
    }
    let factor = |depth: f64| 1.0 + 0.5 * depth / (depth * depth * 1.01).sqrt();
    let style = "stroke=\"#CC79A7\" stroke-width=\"4\" stroke-opacity=\"0.8\"";
    let points = chart.sampled(|k| 1e-3 * powf(factor(0.01), k));
    chart.styled("saddle-free, every δ (ε = δ²/100)", style, points).draw("t29")
}

/// Rates of two divergences over the share ω of the first velocity, V₁ = (2, 0), V₂ = (−0.4, 1).
pub fn t30() -> String {
    let (a, b, c) = (4.0, -0.8, 1.16);
    let share = min_norm(&[a, b, b, c], 2).weights[0];
    let square = |w: f64| w * w * a + 2.0 * w * (1.0 - w) * b + (1.0 - w) * (1.0 - w) * c;
    Chart::new("The shortest combination lowers both", ("ω₁", 0.0, 1.0), "rate of fall")
        .function("of D(p₁‖q): (Uω)₁", |w| w * a + (1.0 - w) * b)
        .function("of D(p₂‖q): (Uω)₂", |w| w * b + (1.0 - w) * c)
        .function("E|V|²", square)
        .level(0.0)
        .dots(MODEL, vec![(share, square(share))])
        .draw("t30")
}

/// Deviation of a Gaussian along the Sinkhorn flow to N(0, 1).
pub fn t31() -> String {
    let mut chart =
        Chart::new("The Sinkhorn flow of Gaussians", ("time t", 0.0, 12.0), "standard deviation s").range(0.0, 2.1);
    for eps in [0.1, 1.0, 10.0] {
        let rate = |s: f64| 0.5 * ((eps * eps + 4.0 * s * s).sqrt() - (eps * eps + 4.0 * s.powi(4)).sqrt()) / s;
        chart = chart.curve(&format!("ε = {eps}, from 2"), flow(2.0, 12.0, 0.01, rate, |s| s));
        chart = chart.curve(&format!("ε = {eps}, from 0.1"), flow(0.1, 12.0, 0.002, rate, |s| s));
    }
    chart.level(1.0).draw("t31")
}

/// Variance of the estimates of a score on N(0, diag(4, ¼)), a² + s² = 1.
pub fn t32() -> String {
    let variance = |a: f64, gate: &dyn Fn(f64) -> f64| -> f64 {
        let s2 = 1.0 - a * a;
        [4.0, 0.25]
            .iter()
            .map(|q| {
                let k = (s2 + a * a * q) / (a * a * q * s2);
                let best = a * a * q / (s2 + a * a * q);
                k * (gate(a) - best).powi(2)
            })
            .sum()
    };
    let scalar = |a: f64| {
        let s2 = 1.0 - a * a;
        let k = [4.0, 0.25].map(|q| ((s2 + a * a * q) / (a * a * q * s2), a * a * q / (s2 + a * a * q)));
        (k[0].0 * k[0].1 + k[1].0 * k[1].1) / (k[0].0 + k[1].0)
    };
    Chart::new("Variance of scores from draws, p = N(0, diag(4, ¼))", ("a,  a² + s² = 1", 0.05, 0.98), "tr Cov")
        .log_y()
        .range(1e-2, 1e3)
        .function("Tweedie D: G = 0", |a| variance(a, &|_| 0.0))
        .function("target score T: G = I", |a| variance(a, &|_| 1.0))
        .function("mixed: G = a² I", |a| variance(a, &|a| a * a))
        .function("best multiple of I; G* has 0", |a| variance(a, &scalar))
        .draw("t32")
}

/// Variances along Fisher training and along KL, Q = 1.
pub fn t33() -> String {
    let mut chart =
        Chart::new("Fisher training and KL on Gaussians", ("time t", 0.0, 2.5), "deviation √u_t").range(0.0, 3.1);
    for (start, words) in [(9.0, "from 3"), (0.01, "from 0.1")] {
        chart = chart
            .function(&format!("Fisher, {words}"), |t| (1.0f64 + (start * start - 1.0) * exp(-4.0 * t)).sqrt().sqrt())
            .function(&format!("KL, {words}"), |t| (1.0f64 + (start - 1.0) * exp(-2.0 * t)).sqrt());
    }
    chart.level(1.0).draw("t33")
}

/// A frame over |x₁| ≤ 4.8 with equal units on both axes.
fn square(title: &str) -> Plot {
    let x = Axis::linear("x₁", -4.8, 4.8, 8);
    let y = |half: f64| Axis::linear("x₂", -half, half, 6);
    // the height is linear in the range of y
    let tall = |half: f64| Plot::equal_height(DIAGRAM.0, &x, &y(half));
    let half = 2.0 + (DIAGRAM.1 - tall(2.0)) / (tall(3.0) - tall(2.0));
    Plot::new(title, DIAGRAM, x.clone(), y(half))
}

fn circle(n: i32) -> impl Iterator<Item = (f64, f64)> {
    (0..=n).map(move |k| TAU * f64::from(k) / f64::from(n)).map(|t| (cos(t), sin(t)))
}

/// Orbits for N(0, diag(4, ½)): A = BC⁻¹ stays on the levels of p, a skew A does not.
pub fn t34() -> String {
    let mut plot = square("What keeps N(0, diag(4, ½)), and what does not");
    let axes = [2.0, 0.5f64.sqrt()];
    for radius in [0.5, 1.0, 1.5, 2.0] {
        let level: Points = circle(120).map(|(c, s)| (radius * axes[0] * c, radius * axes[1] * s)).collect();
        plot.line(&level, "stroke=\"#999\" stroke-width=\"1\"");
    }
    let found: Points = circle(120).map(|(c, s)| (1.5 * axes[0] * c, 1.5 * axes[1] * s)).collect();
    let turned: Points = circle(120).map(|(c, s)| (1.5 * c, 1.5 * s)).collect();
    let style =
        |colour: &str, dash: &str| format!("stroke=\"{colour}\" stroke-width=\"3\" stroke-dasharray=\"{dash}\"");
    let (first, second) = (style(TARGET, ""), style(MODEL, "8 4"));
    plot.line(&found, &first);
    plot.line(&turned, &second);
    beside(&plot.finish("figure-t34"), &[("exp(tBC⁻¹) x".into(), first), ("exp(tB) x, B skew".into(), second)])
}

/// Variance of particles by Euler's steps with the affine score, and by Langevin's steps, h = 0.3, Q = 1.
pub fn t35() -> String {
    let h = 0.3;
    let steps = |start: f64, next: &dyn Fn(f64) -> f64| -> Points {
        (0..=25)
            .scan(start, |c, k| {
                let out = (f64::from(k), *c);
                *c = next(*c);
                Some(out)
            })
            .collect()
    };
    let transport = |c: f64| c * (1.0 + h * (1.0 / c - 1.0)).powi(2);
    let langevin = |c: f64| (1.0 - h) * (1.0 - h) * c + 2.0 * h;
    Chart::new("Steps of h = 0.3 towards N(0, 1)", ("step", 0.0, 25.0), "variance C")
        .range(0.0, 2.6)
        .curve("score-based transport, from 2.5", steps(2.5, &transport))
        .curve("Langevin, from 2.5", steps(2.5, &langevin))
        .curve("score-based transport, from 0.1", steps(0.1, &transport))
        .curve("Langevin, from 0.1", steps(0.1, &langevin))
        .level(1.0)
        .draw("t35")
}

/// A ring in x whose middle and radius move with y: rotations about the middle of each y.
pub fn t36() -> String {
    let mut plot = square("x given y: a ring about (y, y/2) of radius 1 + y/4");
    let mut entries = Vec::new();
    for (y, colour) in [(-2.0, TARGET), (0.0, MODEL), (2.0, GREEN)] {
        let ring: Points =
            circle(120).map(|(c, s)| (y + (1.0 + 0.25 * y) * c, 0.5 * y + (1.0 + 0.25 * y) * s)).collect();
        let style = format!("stroke=\"{colour}\" stroke-width=\"2\"");
        plot.line(&ring, &style);
        let orbit: Points = (0..5)
            .map(|k| 0.35 * f64::from(k))
            .map(|t| (y + (1.0 + 0.25 * y) * cos(t), 0.5 * y + (1.0 + 0.25 * y) * sin(t)))
            .collect();
        plot.dots(&orbit, 7.0, colour, 1.0);
        plot.dots(&[(y, 0.5 * y)], 4.0, colour, 1.0);
        entries.push((format!("y = {y}").replace('-', "−"), style));
    }
    beside(&plot.finish("figure-t36"), &entries)
}

/// V, its projection PV and the kernel's KV for x = θ₁ + 3 θ₂ z at θ = (0, ⅓): J = (1, 3z).
pub fn t37() -> String {
    let field = |z: f64| tanh(2.0 * (z - 0.5));
    let mean = |g: &dyn Fn(f64) -> f64| quadrature(-9.0, 9.0, |z| normal(z) * g(z));
    let (level, slope) = (mean(&field), mean(&|z| z * field(z)));
    Chart::new("What a network makes of V,  J = (1, 3z)", ("z", -3.0, 3.0), "velocity of the sample at z")
        .range(-4.0, 4.0)
        .function("V", field)
        .function("PV: Gauss–Newton", |z| level + slope * z)
        .function("KV: gradient", |z| level + 9.0 * slope * z)
        .level(0.0)
        .draw("t37")
}
