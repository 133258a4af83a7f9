//! The regional laws as curves: response over τ (T5), inflow over levels (T6), efficiency (T13), and halving times (T14, T15).

use crate::report::axis::Axis;
use crate::report::plot::Plot;
use crate::style::{escape, key, number, series};
use crate::verification::Request;
use pushforward::density::GaussianMixture;
use pushforward::divergence::Divergence;
use pushforward::linalg::Matrix;
use pushforward::num::{GaussLegendre, cosh, exp, ln};
use pushforward::verify::{Evidence, Grid, Measurement, Nodes, Pair, integrability};
use std::f64::consts::{LN_2, TAU};
use std::fmt::Write;
use std::sync::Arc;

const SIZE: (f64, f64) = (510.0, 330.0);

/// Width of the levels over which G(λ) is averaged.
const BLUR: f64 = 0.1;

/// One divergence with its curve's look.
struct Line {
    f: Arc<dyn Divergence>,
    style: String,
}

/// A pair on a grid: q|β|² at the nodes by l.
struct Measure {
    /// (l, q|β|² cell) of each node.
    nodes: Vec<(f64, f64)>,
}

impl Measure {
    fn new(pair: &Pair) -> Self {
        let spacing = pair.finest() / if pair.dim() == 1 { 40.0 } else { 7.0 };
        let grid = Grid::covering(&pair.ends(9.0), spacing);
        let at: Nodes = pair.at(&grid.nodes);
        let node = |i: usize| (at.l(i), at.q(i) * at.beta2(i) * grid.cell);
        Self { nodes: (0..grid.nodes.rows()).map(node).filter(|n| n.1 > 0.0 && n.0.is_finite()).collect() }
    }

    /// E_q[k(l)|β|²].
    fn mean(&self, k: impl Fn(f64) -> f64) -> f64 {
        self.nodes.iter().map(|(l, m)| if *m > 0.0 { k(*l) * m } else { 0.0 }).sum()
    }

    /// The levels between which 99% of E_q|β|² lie.
    fn levels(&self) -> (f64, f64) {
        let mut sorted = self.nodes.clone();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = sorted.iter().map(|n| n.1).sum();
        let quantile = |share: f64| {
            let mut sum = 0.0;
            sorted.iter().find(|n| {
                sum += n.1;
                sum >= share * total
            })
        };
        (quantile(0.005).map_or(-1.0, |n| n.0), quantile(0.995).map_or(1.0, |n| n.0))
    }
}

/// s'(l) of the logistic step at τ with κ = 1, and s''.
fn step(l: f64, tau: f64) -> (f64, f64) {
    let s = 1.0 / (1.0 + exp(tau - l));
    (s * (1.0 - s), s * (1.0 - s) * (1.0 - 2.0 * s))
}

/// p = ½N(-2,1) + ½N(2,1); q has most of its mass in one mode and the other too near: every integral is finite.
fn example() -> Pair {
    let mixture = |w: [f64; 2], m: [f64; 2]| {
        GaussianMixture::isotropic(&w, Matrix::from_rows(&[[m[0]], [m[1]]]), 1.0).expect("positive weights")
    };
    Pair { p: mixture([0.5, 0.5], [-2.0, 2.0]).into(), q: mixture([0.85, 0.15], [-2.0, 1.0]).into() }
}

/// Everything below the theorems.
pub fn section(s: &mut String, request: &Request, evidence: &[Evidence]) {
    let pair = request.budget.pair.clone().unwrap_or_else(example);
    let (finite, infinite): (Vec<_>, Vec<_>) = request.budget.divergences().into_iter().partition(|f| {
        integrability::dissipation(f.as_ref(), f.as_ref(), &pair.p, &pair.q) == integrability::Integral::Finite
    });
    let lines: Vec<Line> = finite.into_iter().enumerate().map(|(k, f)| Line { f, style: series(k) }).collect();
    let words = match &request.pair {
        Some((p, q)) => format!("p = {p}, q = {q}"),
        None => "p = ½N(−2, 1) + ½N(2, 1), q = 0.85 N(−2, 1) + 0.15 N(1, 1)".into(),
    };
    let _ = writeln!(
        s,
        "<section><h2>Where each divergence acts</h2><p>For {}. A level is l = log(p/q): to the right the model has too little mass.</p>",
        escape(&words)
    );
    s.push_str(&key(lines.iter().map(|line| (line.style.clone(), line.f.name()))));
    if !infinite.is_empty() {
        let names: Vec<&str> = infinite.iter().map(|f| f.name()).collect();
        let _ = writeln!(s, "<p>Left out, since E_q|V|² is infinite or undecided (T7): {}.</p>", names.join(", "));
    }
    s.push_str("<div class=\"row\">\n");
    diagrams(s, &Measure::new(&pair), &lines);
    s.push_str(
        "</div><p class=\"caption\">T5: the rate at which one step lowers E_p[s(l)], s the logistic step at τ of width κ = 1, for fields of the same \
         E_q|V|² = 1. T6: one geometry G for every divergence, so that two inflows differ by the ratio of their weights alone. T13: 1 is the fastest \
         repair that any field of this energy can make; no divergence is best at every level. Divergences whose weights are multiples of each \
         other (jensen-shannon and gan) share a curve.</p></section>\n",
    );
    halving(s, &request.budget.divergences(), evidence);
}

fn diagrams(s: &mut String, measure: &Measure, lines: &[Line]) {
    let (low, high) = measure.levels();
    let taus: Vec<f64> = (0..=120).map(|k| low + (high - low) * f64::from(k) / 120.0).collect();
    let speed: Vec<f64> = lines.iter().map(|line| measure.mean(|l| exp(2.0 * line.f.log_weight(l))).sqrt()).collect();
    let curve = |value: &dyn Fn(usize, f64) -> f64| -> Vec<Vec<(f64, f64)>> {
        (0..lines.len()).map(|k| taus.iter().map(|t| (*t, value(k, *t))).collect()).collect()
    };
    let weight = |k: usize, l: f64| lines[k].f.weight(l);
    let response = curve(&|k, t| {
        let rate = measure.mean(|l| {
            let (slope, bend) = step(l, t);
            exp(l + lines[k].f.log_weight(l)) * (slope + bend)
        });
        rate / speed[k]
    });
    draw(
        s,
        "response",
        "Fall of under-coverage (T5)",
        ("τ, κ = 1", "−dU/dη per unit of speed"),
        lines,
        &response,
        false,
    );
    let geometry = |t: f64| measure.mean(|l| exp(-0.5 * ((l - t) / BLUR).powi(2)) / (BLUR * TAU.sqrt()));
    let g: Vec<f64> = taus.iter().map(|t| geometry(*t)).collect();
    let inflow: Vec<Vec<(f64, f64)>> = (0..lines.len())
        .map(|k| taus.iter().zip(&g).map(|(t, g)| (*t, weight(k, *t) / weight(k, 0.0) * g)).collect())
        .collect();
    draw(s, "inflow", "Inflow w G through the level λ (T6)", ("λ", "w(e^λ) G(λ) / w(1)"), lines, &inflow, true);
    let efficiency = curve(&|k, t| {
        let gain = measure.mean(|l| step(l, t).0 * weight(k, l));
        (gain / speed[k]).powi(2) / measure.mean(|l| step(l, t).0.powi(2))
    });
    draw(
        s,
        "efficiency",
        "Efficiency against the fastest repair (T13)",
        ("τ, κ = 1", "efficiency"),
        lines,
        &efficiency,
        false,
    );
    let alone =
        Line { f: Arc::new(pushforward::divergence::ReverseKl), style: "stroke=\"#222\" stroke-width=\"2\"".into() };
    let geometry: Vec<(f64, f64)> = taus.iter().copied().zip(g).collect();
    draw(s, "geometry", "Geometry G(λ) of the levels (T6)", ("λ", "G(λ)"), &[alone], &[geometry], false);
}

fn draw(
    s: &mut String,
    id: &str,
    title: &str,
    (x, y): (&str, &str),
    lines: &[Line],
    curves: &[Vec<(f64, f64)>],
    log: bool,
) {
    let values = || curves.iter().flatten().map(|p| p.1).filter(|v| v.is_finite());
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    let low = values().fold(f64::INFINITY, f64::min);
    let (Some(first), Some(last)) = (curves.first().and_then(|c| c.first()), curves.first().and_then(|c| c.last()))
    else {
        return;
    };
    let horizontal = Axis::linear(x, first.0, last.0, 8);
    let vertical = if log {
        Axis::log(y, low.max(1e-6 * high), 1.5 * high)
    } else {
        Axis::linear(y, low.min(0.0), 1.06 * high, 6)
    };
    let mut plot = Plot::new(title, SIZE, horizontal, vertical);
    for (line, curve) in lines.iter().zip(curves) {
        plot.line(curve, &line.style);
    }
    s.push_str(&plot.finish(id));
}

/// 1/𝒞 of T14 (b) for two unit Gaussians at distance L: √(2π) e^(L²/8) ∫ e^(x²/2)/cosh(Lx/2) dx over the gap.
pub fn inverse_capacity(distance: f64) -> f64 {
    let integrand = |x: f64| exp(0.5 * x * x) / cosh(0.5 * distance * x);
    let half = 0.5 * distance;
    TAU.sqrt() * exp(distance * distance / 8.0) * GaussLegendre::new(16).integrate(-half, half, 40, integrand)
}

/// Time in which reaction alone takes the masses 0.2, 0.8 to 0.35, 0.65 where 0.5, 0.5 is right: ∫ da / (a(1-a)(φ₂-φ₁)) (T15).
fn reaction_time(f: &dyn Divergence) -> f64 {
    let phi = |mass: f64| f.first_variation(ln(0.5 / mass));
    GaussLegendre::new(16).integrate(0.2, 0.35, 4, |a| 1.0 / (a * (1.0 - a) * (phi(1.0 - a) - phi(a))))
}

/// The halving time that T14's run measured at this distance, if it ran.
fn measured(evidence: &[Evidence], distance: f64) -> String {
    let wanted = Some(Measurement::HalvingTime { distance });
    let found = evidence.iter().flat_map(|e| &e.comparisons).find(|c| c.measures == wanted);
    found.map_or("–".into(), |c| number(c.left, 3))
}

/// Halving times of an imbalance of masses, by transport and by reaction.
fn halving(s: &mut String, divergences: &[Arc<dyn Divergence>], evidence: &[Evidence]) {
    s.push_str(
        "<section><h2>Time to halve an imbalance (T14, T15)</h2><p>Two unit Gaussians at distance L with masses 0.2 and 0.8 where one half each is \
         right; times are in units of the flow. Without reaction, transport has to carry mass across the gap: measured on the exact reverse KL flow, \
         and (log 2)/(4𝒞), the law for large L with the capacity 𝒞 of the gap. Reaction alone does not see the gap (exact for parts that do not \
         overlap).</p><div class=\"row\"><div class=\"words\">\n\
         <table><thead><tr><th class=\"n\">L</th><th class=\"n\">transport alone</th><th class=\"n\">its law (log 2)/(4𝒞)</th></tr></thead><tbody>\n",
    );
    for distance in [2.0, 4.0, 6.0, 8.0, 10.0, 12.0] {
        let _ = writeln!(
            s,
            "<tr><td class=\"n\">{distance}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            measured(evidence, distance),
            number(0.25 * LN_2 * inverse_capacity(distance), 3)
        );
    }
    s.push_str("</tbody></table></div><div class=\"words\"><table><thead><tr><th>divergence</th><th class=\"n\">reaction alone, any L</th></tr></thead><tbody>\n");
    for f in divergences {
        let _ = writeln!(
            s,
            "<tr><td>{}</td><td class=\"n\">{}</td></tr>",
            escape(f.name()),
            number(reaction_time(f.as_ref()), 3)
        );
    }
    s.push_str("</tbody></table></div></div></section>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use pushforward::divergence::{ForwardKl, ReverseKl};

    /// Checks both columns against T14's table, (log 2)/4𝒞 at L = 4 and 8, and T15's closed forms log 2 and log(log 4/log(0.65/0.35)).
    #[test]
    fn halving_times() {
        let transport = |l: f64| 0.25 * LN_2 * inverse_capacity(l);
        assert!((transport(4.0) / 6.78 - 1.0).abs() < 1e-3 && (transport(8.0) / 1120.0 - 1.0).abs() < 1e-3);
        assert!((reaction_time(&ForwardKl) - LN_2).abs() < 1e-12);
        let exact = (4f64.ln() / (0.65f64 / 0.35).ln()).ln();
        assert!((reaction_time(&ReverseKl) - exact).abs() < 1e-12);
    }

    /// Checks by Cauchy and Schwarz that no divergence beats the fastest repair.
    #[test]
    fn efficiency_is_at_most_one() {
        let measure = Measure::new(&example());
        for f in pushforward::divergence::all_divergences() {
            let energy = measure.mean(|l| f.weight(l).powi(2));
            let gain = measure.mean(|l| step(l, 0.5).0 * f.weight(l));
            let efficiency = gain * gain / (energy * measure.mean(|l| step(l, 0.5).0.powi(2)));
            assert!(efficiency > 0.0 && efficiency <= 1.0 + 1e-12, "{}: {efficiency}", f.name());
        }
    }
}
