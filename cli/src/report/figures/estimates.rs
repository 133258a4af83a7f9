//! T9 to T12, T16, T19, T21 and T22: training, kernels, finite samples, smoothing, errors of the score.

use super::chart::{Chart, Points};
use super::line::{Line, TWO_MODES, blurred, flow, normal, quadrature};
use crate::style::{MODEL, TARGET, series};
use pushforward::divergence::{Divergence, LeCam, ReverseKl};
use pushforward::num::{cosh, exp, ln, tanh};

/// KL(q‖p) of x = m + 0.9 z over m, and tangents with the slope −E V of the training gradient.
pub fn t09() -> String {
    let line = |m: f64| Line::new(TWO_MODES[0], &[(1.0, m, 0.9)], (-12.0, 12.0));
    let means: Vec<f64> = (0..=80).map(|k| -4.0 + 0.1 * f64::from(k)).collect();
    let lines: Vec<Line> = means.iter().map(|m| line(*m)).collect();
    let curve = |g: &dyn Fn(&Line) -> f64| -> Points { means.iter().zip(&lines).map(|(m, l)| (*m, g(l))).collect() };
    let loss = curve(&|l| 0.5 * l.mean(|_| 1.0));
    let mut chart =
        Chart::new("The slope of the divergence from the pull-back of V", ("m,  x = m + 0.9 z", -4.0, 4.0), "nats")
            .range(0.0, 3.4)
            .styled("KL(q‖p)", &series(1), curve(&|l| l.value(&ReverseKl)))
            .styled("value of the loss, ½ E|V|²", &series(4), loss);
    for (k, m) in [-3.3, -1.2, -0.4, 0.8, 2.8].into_iter().enumerate() {
        let at = line(m);
        let (value, slope) = (at.value(&ReverseKl), -at.integral(|i| at.at.q(i) * at.beta(i)));
        let tangent = vec![(m - 0.5, value - 0.5 * slope), (m + 0.5, value + 0.5 * slope)];
        let words = if k == 0 { "tangent of slope −E_z V" } else { "" };
        chart = chart.styled(words, "stroke=\"#D55E00\" stroke-width=\"3\"", tangent);
        chart = chart.dots(MODEL, vec![(m, value)]);
    }
    chart.draw("t09")
}

/// Variance along the unmatched drift from N(0, 1) towards N(0, 1), for five bandwidths.
pub fn t10() -> String {
    let mut chart =
        Chart::new("The unmatched drift stops at 1 − h²", ("time t", 0.0, 20.0), "variance of q").range(0.0, 1.1);
    for h in [0.3, 0.5, 0.8, 1.0, 1.3] {
        let rate = |v: f64| 2.0 * v * (1.0 / (v + h * h) - 1.0);
        chart = chart.curve(&format!("h = {h}"), flow(1.0, 20.0, 0.05, rate, |v| v));
    }
    chart.level(1.0).draw("t10")
}

/// Three fields of reverse KL at h = 1: exact, raw after blurring, and the gradient of F_h.
pub fn t11() -> String {
    let (h, ends) = (1.0, (-4.5, 4.5));
    let line = Line::two_modes();
    let (p, q) = (blurred(TWO_MODES[0], h), blurred(TWO_MODES[1], h));
    let raw = Line::new(&p, &q, (-14.0, 14.0));
    let at = |k: i32| ends.0 + (ends.1 - ends.0) * f64::from(k) / 120.0;
    let smoothed: Points = (0..=120).map(at).map(|x| (x, raw.smoothed(h, x, |i| raw.beta(i)))).collect();
    Chart::new("Two smoothings, one for each side, h = 1", ("x", ends.0, ends.1), "field of reverse KL")
        .curve("exact, β", line.curve(ends, |i| line.beta(i)))
        .curve("raw, β_h: not a gradient", raw.curve(ends, |i| raw.beta(i)))
        .curve("V_h = φ_h ∗ β_h", smoothed)
        .level(0.0)
        .draw("t11")
}

/// The law of y = z + 1.2 tanh 2z, by the change of variables and without its determinant.
pub fn t12() -> String {
    let map = |z: f64| z + 1.2 * tanh(2.0 * z);
    let slope = |z: f64| 1.0 + 2.4 / (cosh(2.0 * z) * cosh(2.0 * z));
    let points = |density: &dyn Fn(f64) -> f64| -> Points {
        (0..=400).map(|k| -3.6 + 0.018 * f64::from(k)).map(|z| (map(z), density(z))).collect()
    };
    // equal masses of z as bars of y, for the eye
    let bars = (0..44).map(|k| -3.3 + 0.15 * f64::from(k)).flat_map(|z| {
        let mass = quadrature(z, z + 0.15, normal);
        let (a, b) = (map(z), map(z + 0.15));
        [(a, mass / (b - a)), (b, mass / (b - a))]
    });
    let bars: Points = bars.collect();
    Chart::new("y = z + 1.2 tanh 2z, z ~ N(0, 1)", ("y", -4.5, 4.5), "density")
        .range(0.0, 0.46)
        .styled("masses of intervals of z", "stroke=\"#999\" stroke-width=\"1\"", bars)
        .styled("φ(z)/T′(z): integral 1", &series(1), points(&|z| normal(z) / slope(z)))
        .styled("φ(z), no determinant: integral 1.9", &series(2), points(&normal))
        .draw("t12")
}

/// E[g(k)] for k draws of N at the first of two equal atoms.
fn binomial(n: u32, g: impl Fn(f64) -> f64) -> f64 {
    let mut chance = pushforward::num::powf(0.5, f64::from(n));
    let mut sum = 0.0;
    for k in 0..=n {
        sum += chance * g(f64::from(k));
        chance *= f64::from(n - k) / f64::from(k + 1);
    }
    sum
}

/// Bias of log q̂ at x = 0.7, q = ½δ₋₁ + ½δ₁, h = 1: independent of the sample and at a particle's own noised point.
pub fn t16() -> String {
    let (near, far) = (normal(0.3), normal(1.7));
    let exact = 0.5 * (near + far);
    let sizes: Vec<u32> = vec![2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];
    let estimate = |n: u32, k: f64| (k * near + (f64::from(n) - k) * far) / f64::from(n);
    let relative = |n: u32, k: f64| estimate(n, k) / exact;
    let points = |g: &dyn Fn(u32) -> f64| -> Points { sizes.iter().map(|n| (f64::from(*n), g(*n))).collect() };
    let tau = |n: u32| (0.5 * (near * near + far * far) / (exact * exact) - 1.0) / f64::from(n);
    Chart::new("The logarithm of an estimate, at two kinds of points", ("particles N", 2.0, 256.0), "E log q̂ − log q_h")
        .log_x()
        .curve("own point, own term kept (T16)", points(&|n| binomial(n, |k| relative(n, k) * ln(relative(n, k)))))
        .curve("+½ τ_N", points(&|n| 0.5 * tau(n)))
        .curve("independent point (T10)", points(&|n| binomial(n, |k| ln(relative(n, k)))))
        .curve("−½ τ_N", points(&|n| -0.5 * tau(n)))
        .level(0.0)
        .draw("t16")
}

/// Var_p(l) and total variation for q = ½p + ½N(0, ς²), p = N(0, 1).
pub fn t19() -> String {
    let widths: Vec<f64> = (0..=60).map(|k| pushforward::num::powf(10.0, -4.0 + 4.0 * f64::from(k) / 60.0)).collect();
    // x = e^y from far inside the spike to 12 deviations; both halves alike
    let mean = |g: &dyn Fn(f64) -> f64| 2.0 * quadrature(-30.0, ln(12.0), |y| exp(y) * normal(exp(y)) * g(exp(y)));
    let ratio = |x: f64, s: f64| 0.5 + 0.5 * exp(0.5 * x * x * (1.0 - 1.0 / (s * s))) / s;
    let points = |g: &dyn Fn(f64) -> f64| -> Points { widths.iter().map(|s| (*s, g(*s))).collect() };
    let variance = points(&|s| {
        let first = mean(&|x| ln(ratio(x, s)));
        mean(&|x| ln(ratio(x, s)).powi(2)) - first * first
    });
    Chart::new("No Pinsker inequality for log-variance", ("ς,  q = ½p + ½N(0, ς²)", 1e-4, 1.0), "")
        .log_x()
        .curve("Var_p(l)", variance)
        .curve("total variation", points(&|s| 0.5 * mean(&|x| (ratio(x, s) - 1.0).abs())))
        .draw("t19")
}

/// Smoothed fields of one particle, p = 0.6 δ₁ + 0.4 δ₋₃, h = 0.5.
pub fn t21() -> String {
    let h = 0.5;
    let target = [(0.6, 1.0, h), (0.4, -3.0, h)];
    let field = |x: f64, f: &dyn Divergence| {
        let line = Line::new(&target, &[(1.0, x, h)], (x - 9.0 * h, x + 9.0 * h));
        let (low, high) = (-700.0, 700.0);
        line.integral(|i| line.at.q(i) * f.weight(line.at.l(i).clamp(low, high)) * line.beta(i))
    };
    // E_q[r β] without the far box: the closed form of the page
    let forward = |x: f64| (0.6 - 1.2 - x) / (h * h);
    let lecam = LeCam;
    Chart::new("One particle at x: fields that disagree", ("x", -4.0, 2.0), "V_h(x)")
        .range(-14.0, 14.0)
        .function("reverse KL: to the nearer atom", |x| field(x, &ReverseKl))
        .function("forward KL: (E_p X − x)/h²", forward)
        .function("Le Cam", |x| field(x, &lecam))
        .level(0.0)
        .dots(TARGET, vec![(-3.0, 0.0), (1.0, 0.0)])
        .draw("t21")
}

/// KL along the flow to N(0, 1) with a constant error ε of the score, from N(3, 1).
pub fn t22() -> String {
    let (error, start) = (0.5, 3.0);
    let kl = |m: f64| 0.5 * m * m;
    let a = error / 2f64.sqrt();
    Chart::new("A score that is wrong by ε = 0.5", ("time t", 0.0, 8.0), "KL(q_t‖p), nats")
        .log_y()
        .function("exact = first bound of (b)", |t| kl(error + exp(-t) * (start - error)))
        .function("second bound of (b)", |t| exp(-t) * kl(start) + 0.5 * error * error * (1.0 - exp(-t)))
        .function("limit ε²/2ρ", |_| a * a)
        .function("no error", |t| kl(start * exp(-t)))
        .range(1e-3, 6.0)
        .draw("t22")
}
