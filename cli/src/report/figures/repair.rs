//! T13 to T15, T17, T18, T20, T23 and T24: which weight repairs what, and how fast.

use super::chart::Chart;
use super::line::{Line, flow, mobility, quadrature, step};
use crate::report::curves::inverse_capacity;
use crate::style::{MODEL, series, series_colour};
use pushforward::divergence::{
    Divergence, ForwardKl, Hellinger, Jeffreys, JensenShannon, LeCam, LvSurrogate, Neyman, Pearson, ReverseKl,
};
use pushforward::num::{exp, ln, min_norm};
use std::f64::consts::LN_2;

/// Divergences that the figures compare, in the order of their colours.
fn some() -> [(&'static str, Box<dyn Divergence>); 6] {
    [
        ("reverse KL", Box::new(ReverseKl)),
        ("forward KL", Box::new(ForwardKl)),
        ("Hellinger", Box::new(Hellinger)),
        ("Le Cam", Box::new(LeCam)),
        ("Neyman", Box::new(Neyman)),
        ("Pearson", Box::new(Pearson)),
    ]
}

/// ⟨w, s'_τ⟩² / (‖w‖² ‖s'_τ‖²) in L²(q β²).
fn efficiency(line: &Line, w: &dyn Fn(f64) -> f64, tau: f64) -> f64 {
    let gain = line.mean(|l| w(l) * step(l, tau).0);
    gain * gain / (line.mean(|l| w(l).powi(2)) * line.mean(|l| step(l, tau).0.powi(2)))
}

/// Efficiency of the table's drifts against the fastest repair at each level.
pub fn t13() -> String {
    let line = Line::two_modes();
    let mut chart = Chart::new("No divergence is best at every level", ("level τ, κ = 1", -3.0, 4.0), "efficiency")
        .range(0.0, 1.04);
    for (words, f) in some().into_iter().filter(|(words, _)| *words != "Pearson") {
        chart = chart.function(words, |tau| efficiency(&line, &|l| f.weight(l), tau));
    }
    chart
        .function("the fastest repair of τ = 1", |tau| efficiency(&line, &|l| step(l, 1.0).0, tau))
        .level(1.0)
        .draw("t13")
}

/// Halving times by transport (the flow, as T14's table has it, and Kramers' law), and by reaction.
pub fn t14() -> String {
    let measured = vec![(2.0, 0.520), (4.0, 5.17), (6.0, 48.1), (8.0, 1118.0), (10.0, 77400.0)];
    Chart::new(
        "The time to halve wrong masses",
        ("distance L of two unit Gaussians", 1.0, 12.0),
        "time, units of reverse KL",
    )
    .log_y()
    .range(0.1, 3e6)
    .function("transport, law (log 2)/4C", |l| 0.25 * LN_2 * inverse_capacity(l))
    .function("reaction", |_| ln(ln(4.0) / ln(0.65 / 0.35)))
    .styled(
        "transport, the flow itself",
        "stroke=\"#D55E00\" stroke-width=\"7\" stroke-linecap=\"round\" stroke-dasharray=\"0 11 0 60\"",
        vec![],
    )
    .dots(MODEL, measured)
    .draw("t14")
}

/// Mass of a starved mode under reaction alone, in units w(1) = 1.
pub fn t15() -> String {
    let mut chart =
        Chart::new("Reaction does not see the gap", ("w(1) t", 0.0, 3.0), "mass a of the starved mode, right: 0.5")
            .range(0.0, 0.55);
    for (words, f) in some() {
        let phi = |mass: f64| f.first_variation(ln(0.5 / mass));
        let rate = |a: f64| a * (1.0 - a) * (phi(1.0 - a) - phi(a)) / f.weight(0.0);
        chart = chart.curve(words, flow(0.1, 3.0, 0.005, rate, |a| a));
    }
    chart.level(0.5).draw("t15")
}

/// The elasticities over the levels, and the threshold of p = N(0, 1), q = N(m, 1), |m| = 1.
pub fn t17() -> String {
    let mut chart = Chart::new(
        "A drift repairs where its elasticity lies below e_c",
        ("level τ, |m| = 1", -2.5, 2.5),
        "elasticity e(e^τ)",
    )
    .range(-1.6, 2.6)
    .styled(
        "threshold e_c = ½ + τ/|m|²",
        "stroke=\"#222\" stroke-width=\"4\" stroke-opacity=\"0.35\"",
        vec![(-2.1, -1.6), (2.1, 2.6)],
    );
    let named: [(&str, &dyn Divergence); 6] = [
        ("reverse KL", &ReverseKl),
        ("forward KL", &ForwardKl),
        ("Hellinger", &Hellinger),
        ("Le Cam", &LeCam),
        ("Neyman", &Neyman),
        ("Jensen–Shannon", &JensenShannon),
    ];
    for (k, (words, f)) in named.into_iter().enumerate() {
        let points = chart.sampled(|l| f.elasticity(l));
        chart = chart.styled(words, &series(k), points);
        // where the two cross: e(l) = ½ + l
        let (mut a, mut b) = (-2.5f64, 2.5f64);
        for _ in 0..60 {
            let middle = 0.5 * (a + b);
            if f.elasticity(middle) > 0.5 + middle { a = middle } else { b = middle }
        }
        chart = chart.dots(series_colour(k), vec![(a, 0.5 + a)]);
    }
    chart.draw("t17")
}

/// Two states ½, ½ joined by a conductance ¼: the imbalance d in units w(1) = 1.
pub fn t18() -> String {
    let mut chart =
        Chart::new("Far from p flows differ, near p they are one", ("w(1) t", 0.0, 6.0), "imbalance d,  u = 1 ± d")
            .log_y();
    for (words, f) in some() {
        let rate = |d: f64| -0.5 * (mobility(f.as_ref(), 1.0 + d) - mobility(f.as_ref(), 1.0 - d)) / f.weight(0.0);
        chart = chart.curve(words, flow(0.95, 6.0, 0.01, rate, |d| d));
    }
    chart.draw("t18")
}

/// sup p/q of two states ½, ½ from 0.1, 0.9 under reaction, and the bound y(t).
pub fn t20() -> String {
    let mut chart = Chart::new("log sup p/q, and the bound for every gap", ("time t", 0.0, 1.2), "log R(t)");
    let named: [(&str, &dyn Divergence); 3] =
        [("reverse KL", &ReverseKl), ("forward KL", &ForwardKl), ("Pearson", &Pearson)];
    for (k, (words, f)) in named.into_iter().enumerate() {
        let phi = |mass: f64| f.first_variation(ln(0.5 / mass));
        let mass = |a: f64| a * (1.0 - a) * (phi(1.0 - a) - phi(a));
        let (colour, start) = (series_colour(k), ln(5.0));
        let bound = |y: f64| f.first_variation(y) - f.first_variation(0.0);
        let exact = format!("stroke=\"{colour}\" stroke-width=\"2\"");
        let dashed = format!("stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"3 4\"");
        let last = if words == "Pearson" { "; bound fails" } else { "" };
        chart = chart.styled(&format!("{words}{last}"), &exact, flow(0.1, 1.2, 0.001, mass, |a| ln(0.5 / a))).styled(
            &format!("{words}, y(t)"),
            &dashed,
            flow(start, 1.2, 0.001, bound, |y| y),
        );
    }
    chart.draw("t20")
}

/// Halving time over that of reverse KL for two far wells, in units w(1) = 1.
pub fn t23() -> String {
    let mut chart = Chart::new(
        "What a weight can change, whatever the gap",
        ("u₀, ratio q/p on the starved well", 0.001, 0.95),
        "halving time over reverse KL's",
    )
    .log_x()
    .range(0.35, 1.45);
    let others: [(&str, &dyn Divergence); 6] = [
        ("reverse KL", &ReverseKl),
        ("forward KL", &ForwardKl),
        ("Hellinger", &Hellinger),
        ("Le Cam", &LeCam),
        ("Jeffreys", &Jeffreys),
        ("Pearson", &Pearson),
    ];
    for (words, f) in others {
        chart = chart.function(words, |start| {
            let time = quadrature(start, 0.5 * (1.0 + start), |u| 1.0 / (mobility(f, 2.0 - u) - mobility(f, u)));
            f.weight(0.0) * time / (0.5 * LN_2)
        });
    }
    chart.draw("t23")
}

/// The weight that is best for the worst of the levels −2 to 3, beside weights of the table.
pub fn t24() -> String {
    let line = Line::two_modes();
    let levels: Vec<f64> = (0..=20).map(|k| -2.0 + 0.25 * f64::from(k)).collect();
    let norm: Vec<f64> = levels.iter().map(|t| line.mean(|l| step(l, *t).0.powi(2)).sqrt()).collect();
    let product = |a: usize, b: usize| line.mean(|l| step(l, levels[a]).0 * step(l, levels[b]).0) / (norm[a] * norm[b]);
    let n = levels.len();
    let gram: Vec<f64> = (0..n * n).map(|k| product(k / n, k % n)).collect();
    let shortest = min_norm(&gram, n);
    let minimax = |l: f64| -> f64 { (0..n).map(|k| shortest.weights[k] / norm[k] * step(l, levels[k]).0).sum() };
    let centre = line.integral(|i| line.at.q(i) * line.at.l(i));
    let surrogate = LvSurrogate::new(centre);
    let worst = shortest.value;
    Chart::new("Best for the worst level of [−2, 3]", ("level τ, κ = 1", -3.0, 4.0), "efficiency")
        .range(0.0, 1.04)
        .function("minimax weight", |tau| efficiency(&line, &minimax, tau))
        .function("reverse KL", |tau| efficiency(&line, &|_| 1.0, tau))
        .function("surrogate", |tau| efficiency(&line, &|l| surrogate.weight(l), tau))
        .function("forward KL", |tau| efficiency(&line, &exp, tau))
        .styled(&format!("{worst:.3}"), "stroke=\"#222\" stroke-opacity=\"0.6\"", vec![(-2.0, worst), (3.0, worst)])
        .draw("t24")
}
