//! T1 to T8: the velocity, its dissipation, levels, tails.

use super::chart::{Chart, Points};
use super::line::{Line, Part, TWO_MODES, normal, step};
use pushforward::divergence::{Divergence, ForwardKl, Hellinger, JensenShannon, LvSurrogate, Neyman, ReverseKl};
use pushforward::num::exp;

/// Divergences that the figures compare, in the order of their colours.
fn some() -> [(&'static str, Box<dyn Divergence>); 5] {
    [
        ("reverse KL", Box::new(ReverseKl)),
        ("forward KL", Box::new(ForwardKl)),
        ("Hellinger", Box::new(Hellinger)),
        ("Jensen–Shannon", Box::new(JensenShannon)),
        ("Neyman", Box::new(Neyman)),
    ]
}

/// Velocities in units w(1) = 1 over x, with both densities.
pub fn t01() -> String {
    let (line, ends) = (Line::two_modes(), (-4.5, 4.5));
    let mut chart =
        Chart::new("One direction, five speeds", ("x", ends.0, ends.1), "V = w(r) β / w(1)").range(-2.0, 4.2);
    for (words, f) in some() {
        let v = line.at.drift(f.as_ref());
        chart = chart.curve(words, line.curve(ends, |i| v[(i, 0)] / f.weight(0.0)));
    }
    let thin = |colour: &str| format!("stroke=\"{colour}\" stroke-width=\"1\" stroke-opacity=\"0.8\"");
    chart
        .level(0.0)
        .styled("2p − 2", &thin("#0072B2"), line.curve(ends, |i| 2.0 * line.at.p(i) - 2.0))
        .styled("2q − 2", &thin("#D55E00"), line.curve(ends, |i| 2.0 * line.at.q(i) - 2.0))
        .draw("t01")
}

/// E_q|V|² on the way from q to p.
pub fn t02() -> String {
    let mixed = |s: f64| -> Vec<Part> {
        let scaled = |share: f64| move |(w, m, d): &Part| (share * w, *m, *d);
        TWO_MODES[0].iter().map(scaled(s)).chain(TWO_MODES[1].iter().map(scaled(1.0 - s))).collect()
    };
    let lines: Vec<(f64, Line)> = (0..100)
        .map(|k| 0.01 * f64::from(k))
        .map(|s| (s, Line::new(TWO_MODES[0], &mixed(s.max(1e-9)), (-12.0, 12.0))))
        .collect();
    let mut chart = Chart::new("At rest at p alone", ("s,  q_s = (1 − s) q + s p", 0.0, 1.0), "E|V|² / w(1)²").log_y();
    for (words, f) in some() {
        let energy = |line: &Line| line.mean(|l| f.weight(l).powi(2)) / f.weight(0.0).powi(2);
        chart = chart.curve(words, lines.iter().map(|(s, line)| (*s, energy(line))).collect());
    }
    chart.draw("t02")
}

/// Every divergence along the flow of reverse KL from N(1.2, 0.9²) to N(0, 1).
pub fn t03() -> String {
    let times: Vec<f64> = (0..=60).map(|k| 0.05 * f64::from(k)).collect();
    let lines: Vec<Line> = times
        .iter()
        .map(|t| {
            let variance = 1.0 + (0.81 - 1.0) * exp(-2.0 * t);
            Line::new(&[(1.0, 0.0, 1.0)], &[(1.0, 1.2 * exp(-t), variance.sqrt())], (-10.0, 10.0))
        })
        .collect();
    let mut chart =
        Chart::new("Every divergence falls along the drift of reverse KL", ("time t", 0.0, 3.0), "D_f(p‖q_t) / w(1)")
            .log_y();
    for (words, f) in some() {
        let values = lines.iter().map(|line| line.value(f.as_ref()) / f.weight(0.0));
        chart = chart.curve(words, times.iter().copied().zip(values).collect());
    }
    chart.draw("t03")
}

/// The rate of l at a fixed point of the level l, p = N(0, 1), q = N(m, 1), |m| = 1: w [(e − ½)|m|² − l].
pub fn t04() -> String {
    let mut chart =
        Chart::new("Rate of l at a fixed point, |m| = 1", ("l", -2.0, 3.0), "∂l/∂t / w(1)").range(-5.0, 5.0);
    for (words, f) in some() {
        chart = chart.function(words, |l| f.weight(l) / f.weight(0.0) * (f.elasticity(l) - 0.5 - l));
    }
    chart.level(0.0).draw("t04")
}

/// How fast each divergence lowers the soft under-coverage, for fields of equal speed.
pub fn t05() -> String {
    let line = Line::two_modes();
    let mut chart = Chart::new(
        "Fall of the soft under-coverage U",
        ("level τ, width κ = 1", -2.0, 3.5),
        "−dU/dη per unit of speed",
    );
    for (words, f) in some() {
        let speed = line.mean(|l| f.weight(l).powi(2)).sqrt();
        chart = chart
            .function(words, |tau| line.mean(|l| exp(l) * f.weight(l) * (step(l, tau).0 + step(l, tau).1)) / speed);
    }
    chart.level(0.0).draw("t05")
}

/// Inflow w G over the levels: reverse KL is G itself.
pub fn t06() -> String {
    let line = Line::two_modes();
    let mut chart =
        Chart::new("Inflow through the level λ, in units w(1) = 1", ("level λ", -1.5, 2.2), "w(e^λ) G(λ) / w(1)");
    for (words, f) in some() {
        let words = if f.weight(1.0) == 1.0 { "reverse KL: G" } else { words };
        chart = chart.function(words, |l| f.weight(l) / f.weight(0.0) * line.geometry(l));
    }
    chart
        .styled(
            "G of N(0,1), N(1,1)",
            "stroke=\"#222\" stroke-width=\"1\" stroke-dasharray=\"2 3\"",
            (0..=120).map(|k| -1.5 + 3.7 * f64::from(k) / 120.0).map(|l| (l, normal(l + 0.5))).collect(),
        )
        .draw("t06")
}

/// Gaussian tails: which alpha divergences are finite, and which have a finite energy.
pub fn t07() -> String {
    let curve = |from: f64, to: f64, f: &dyn Fn(f64) -> f64| -> Points {
        (0..=200).map(|k| from + (to - from) * f64::from(k) / 200.0).map(|a| (a, f(a))).collect()
    };
    let (value, energy) =
        ("stroke=\"#0072B2\" stroke-width=\"2\"", "stroke=\"#D55E00\" stroke-width=\"2\" stroke-dasharray=\"8 3\"");
    Chart::new("Where alpha divergences of Gaussians are finite", ("α", -2.0, 3.0), "ρ, variance of q over that of p")
        .range(0.0, 3.0)
        .styled("edge of D < ∞: 1 + 1/|α|, 1 − 1/α", value, curve(-2.0, -0.05, &|a| 1.0 - 1.0 / a))
        .styled("", value, curve(1.0, 3.0, &|a| 1.0 - 1.0 / a))
        .styled("edge of E|V|² < ∞: 1 + 1/2|α|, 1 − 1/2α", energy, curve(-2.0, -0.05, &|a| 1.0 - 0.5 / a))
        .styled("", energy, curve(0.5, 3.0, &|a| 1.0 - 0.5 / a))
        .styled("ρ = 1", "stroke=\"#222\" stroke-opacity=\"0.6\"", vec![(-2.0, 1.0), (3.0, 1.0)])
        .dots("#222", vec![(-1.0, 1.5), (-1.0, 2.0), (1.0, 0.5), (2.0, 0.5), (2.0, 0.75)])
        .draw("t07")
}

/// The weights of the rows that are multiples of β, over δ = l − E_m l.
pub fn t08() -> String {
    let surrogate = LvSurrogate::new(0.0);
    Chart::new("Weights of the log-variance rows", ("δ = l − E_m l", -3.0, 2.5), "weight of β")
        .range(-4.0, 8.0)
        .function("m = q frozen: 2", |_| 2.0)
        .function("m = q moving: 2(1 − δ)", |d| 2.0 * (1.0 - d))
        .function("m = p: 2r(1 + δ), at E_m l = 0", |d| 2.0 * exp(d) * (1.0 + d))
        .function("surrogate 1 + log(1 + e^δ)", |d| surrogate.weight(d))
        .level(0.0)
        .draw("t08")
}
