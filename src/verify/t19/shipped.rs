//! (b) and (e) on the field that ships: V = -∇φ, φ the first variation that the shipped cotangent of log q makes.

use crate::linalg::Matrix;
use crate::num::{exp, ln, ln_1p, log_sum_exp};
use crate::velocity::log_variance_cotangent;
use crate::verify::t05::SoftStep;
use crate::verify::t19::Third;
use crate::verify::{Comparison, Ladder, Outcome, hessian_of_log};

/// φ = δ Var_m(l)/δq at nodes of equal cells. Where log q changes by ψ_i at fixed points, Var_m(l) changes by 2(1 - Σ w²) Σ g_i ψ_i, with the
/// shipped cotangent g and its weights w, those of m.
fn variation(log_p: &[f64], log_q: &[f64], log_m: &[f64], cell: f64) -> Vec<f64> {
    let f: Vec<f64> = log_q.iter().zip(log_p).map(|(q, p)| q - p).collect();
    let total = log_sum_exp(log_m);
    let rest = 1.0 - log_m.iter().map(|m| exp(2.0 * (m - total))).sum::<f64>();
    let cotangent = log_variance_cotangent(&f, Some(log_m));
    cotangent.iter().zip(log_q).map(|(g, q)| 2.0 * rest * g / (exp(*q) * cell)).collect()
}

/// First and second derivative at the nodes by differences of order 8; 0 at the last four of either end.
fn derivatives(values: &[f64], step: f64) -> Vec<(f64, f64)> {
    const FIRST: [f64; 4] = [4.0 / 5.0, -1.0 / 5.0, 4.0 / 105.0, -1.0 / 280.0];
    const SECOND: [f64; 4] = [8.0 / 5.0, -1.0 / 5.0, 8.0 / 315.0, -1.0 / 560.0];
    let at = |i: usize| {
        if i < 4 || i + 4 >= values.len() {
            return (0.0, 0.0);
        }
        let (mut slope, mut bend) = (0.0, 0.0);
        for k in 0..4 {
            let (up, down) = (values[i + k + 1], values[i - k - 1]);
            slope += FIRST[k] * (up - down);
            bend += SECOND[k] * ((up - values[i]) - (values[i] - down));
        }
        (slope / step, bend / (step * step))
    };
    (0..values.len()).map(at).collect()
}

/// (b) on three intervals of length one: p = Σ m_k p_k, q = Σ a_k p_k, m = Σ b_k p_k (1 + tilt_k (2t - 1)), t the place in an interval.
/// V = 2δ_k ∇(m/q) is 4 δ_k tilt_k b_k/a_k there.
pub(super) fn silence() -> Outcome {
    const NODES: usize = 800;
    let (masses, models) = ([0.3f64, 0.3, 0.4], [0.25f64, 0.15, 0.6]);
    let log_ratio: [f64; 3] = std::array::from_fn(|k| ln(masses[k] / models[k]));
    // δ₁ = 0: the mean of the other two is l₁
    let share = (log_ratio[0] - log_ratio[2]) / (log_ratio[1] - log_ratio[2]);
    let level = [0.3, 0.7 * share, 0.7 * (1.0 - share)];
    let mut out = Outcome::default();
    for (what, b, tilt) in [
        ("m = p", masses, [0.0; 3]),
        ("m = Σ b_k p_k", [0.1, 0.6, 0.3], [0.0; 3]),
        ("m = Σ b_k p_k, most in the third", [0.2, 0.1, 0.7], [0.0; 3]),
        ("δ₁ = 0, m/p₁ tilted", level, [0.4, 0.0, 0.0]),
        ("m/p₁ tilted", [0.1, 0.6, 0.3], [0.4, 0.0, 0.0]),
        ("all m/p_k tilted", [0.2, 0.1, 0.7], [0.4, -0.3, 0.2]),
    ] {
        let width = 1.0 / NODES as f64;
        let place = |i: usize| (i % NODES) as f64 * width + 0.5 * width;
        // p_k = 30 t²(1-t)²
        let log = |mass: f64, t: f64| ln(mass * 30.0 * (t * (1.0 - t)).powi(2));
        let law = |mass: [f64; 3]| (0..3 * NODES).map(|i| log(mass[i / NODES], place(i))).collect::<Vec<f64>>();
        let bent = |i: usize| ln_1p(tilt[i / NODES] * (2.0 * place(i) - 1.0));
        let log_m: Vec<f64> = law(b).iter().enumerate().map(|(i, m)| m + bent(i)).collect();
        let phi = variation(&law(masses), &law(models), &log_m, width);
        let mean: f64 = (0..3).map(|k| b[k] * log_ratio[k]).sum();
        let mut fastest = 0.0f64;
        for k in 0..3 {
            let field = derivatives(&phi[k * NODES..(k + 1) * NODES], width);
            let field = || field[4..NODES - 4].iter().map(|v| -v.0);
            let formula = |delta: f64| 4.0 * delta * tilt[k] * b[k] / models[k];
            let right = formula(log_ratio[k] - mean);
            // the node where it is farthest from the page's
            let far = |v: &f64| (v - right).abs();
            let left = field().max_by(|a, b| far(a).total_cmp(&far(b))).unwrap_or(f64::NAN);
            fastest = field().fold(fastest, |m, v| m.max(v.abs()));
            // the midpoint rule of m errs by 2e-12
            let against = |right: f64| Comparison::exact(format!("{what}, V on A{}", k + 1), left, right, 1.0, 1e-10);
            out.comparisons.push(against(right));
            if tilt[k] != 0.0 {
                out.mutants.push(("every m is silent", against(0.0).unless_true(right)));
                out.mutants.push(("l for δ", against(formula(log_ratio[k])).unless_true(right)));
            }
        }
        let moves = Comparison::decision(format!("{what}, V ≠ 0"), fastest > 1e-9);
        if what.starts_with("m = Σ") {
            out.mutants.push(("m ≠ p is never silent", moves));
        } else if what.starts_with("δ₁") {
            out.mutants.push(("silent only where every m/p_k is constant", moves));
        }
    }
    out
}

/// s with κ = 0.8, τ = 0.3.
const SOFT: SoftStep = SoftStep { level: 0.3, width: 0.8 };

/// A reference on the nodes of [`Third`], and its field.
struct Reference {
    name: &'static str,
    /// What the page prints.
    printed: Option<f64>,
    /// V.
    field: Vec<f64>,
    /// V' by the page's formula, and without its cross term.
    divergence: Vec<f64>,
    uncrossed: Vec<f64>,
    /// V with l in place of δ.
    uncentred: Vec<f64>,
    /// V', of the field itself.
    slope: Vec<f64>,
}

impl Reference {
    /// The frozen reference of this log m, by the shipped cotangent; `ratio` gives ∇log(m/q) and its derivative.
    fn shipped(
        third: &Third,
        name: &'static str,
        printed: Option<f64>,
        log_m: &[f64],
        ratio: impl Fn(usize) -> (f64, f64),
    ) -> Self {
        let (nodes, grid) = (&third.nodes, &third.grid);
        let phi = variation(&nodes.log_p, &nodes.log_q, log_m, grid.cell);
        let (field, slope) = derivatives(&phi, grid.cell).iter().map(|(slope, bend)| (-slope, -bend)).unzip();
        let mass = grid.integrate(|i| exp(log_m[i]));
        let mean = grid.integrate(|i| exp(log_m[i]) * nodes.l(i)) / mass;
        let divergence = |cross: f64| -> Vec<f64> {
            let at = |i: usize| {
                let (rho, (g, g2)) = (exp(log_m[i] - nodes.log_q[i]) / mass, ratio(i));
                let (delta, beta) = (nodes.l(i) - mean, nodes.beta(i)[0]);
                2.0 * rho * (third.bend(i) + cross * 2.0 * beta * g + delta * (g * g + g2))
            };
            (0..log_m.len()).map(at).collect()
        };
        let field: Vec<f64> = field;
        let moved = |i: usize| field[i] + 2.0 * mean * exp(log_m[i] - nodes.log_q[i]) / mass * ratio(i).0;
        let uncentred = (0..field.len()).map(moved).collect();
        Self { name, printed, divergence: divergence(1.0), uncrossed: divergence(0.0), uncentred, field, slope }
    }

    /// m = q, moving with q: V = 2(1 - δ)β (T8). No trainer has it.
    fn moving(third: &Third) -> Self {
        let nodes = &third.nodes;
        let mean = third.grid.integrate(|i| nodes.q(i) * nodes.l(i));
        let (delta, beta) = (|i: usize| nodes.l(i) - mean, |i: usize| nodes.beta(i)[0]);
        let each = |g: &dyn Fn(usize) -> f64| (0..nodes.log_q.len()).map(g).collect::<Vec<f64>>();
        let divergence = |cross: f64| each(&|i| 2.0 * ((1.0 - delta(i)) * third.bend(i) - cross * beta(i) * beta(i)));
        Self {
            name: "moving q",
            printed: Some(-0.4091508),
            field: each(&|i| 2.0 * (1.0 - delta(i)) * beta(i)),
            divergence: divergence(1.0),
            uncrossed: divergence(0.0),
            uncentred: each(&|i| 2.0 * (1.0 - nodes.l(i)) * beta(i)),
            slope: divergence(1.0),
        }
    }
}

/// (e): dU/dη = -E_p[(s'+s'') β·χV] = E_p[s' (div(χV) + χV·s_q)], against the pushed density, order 2, and the page's figures; χ = e^(-x²/8).
pub(super) fn response() -> Outcome {
    let third = Third::new();
    let (grid, nodes) = (&third.grid, &third.nodes);
    let score = |i: usize| third.score_m[i] - nodes.score_q[(i, 0)];
    // of log m, -1/1.1²; of log q by its Hessian
    let bend_m = -1.0 / third.m.covariances()[0][(0, 0)];
    let bend = |i: usize| bend_m - hessian_of_log(&third.pair.q, grid.nodes.row(i))[0][0];
    let path: Vec<f64> = nodes.log_p.iter().zip(&nodes.log_q).map(|(p, q)| 0.5 * (p + q)).collect();
    let geometric = |i: usize| (0.5 * nodes.beta(i)[0], 0.5 * third.bend(i));
    let mut out = Outcome::default();
    for reference in [
        Reference::shipped(&third, "fixed m", Some(-0.8208217), &third.log_m, |i| (score(i), bend(i))),
        Reference::shipped(&third, "geometric path", None, &path, geometric),
        Reference::moving(&third),
    ] {
        let window = |i: usize| third.window(i);
        let field: Vec<f64> = (0..path.len()).map(|i| window(i).0 * reference.field[i]).collect();
        let slope: Vec<f64> =
            (0..path.len()).map(|i| window(i).0 * reference.slope[i] + window(i).1 * reference.field[i]).collect();
        let steepest = slope.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let ladder = Ladder::central(0.2 / steepest, |step| {
            let moved = Matrix::from_fn(field.len(), 1, |i, _| grid.nodes[(i, 0)] + step * field[i]);
            let log_p = third.pair.p.log_density(&moved);
            let live = |i: usize| {
                let log_det = ln_1p(step * slope[i]);
                (exp(log_p[i] + log_det), log_p[i] - nodes.log_q[i] + log_det)
            };
            vec![grid.integrate_with_size(|i| live(i).0 * SOFT.value(live(i).1))]
        })
        .swap_remove(0);
        let direct = |v: &[f64]| {
            grid.integrate_with_size(|i| {
                let weight = SOFT.slope(nodes.l(i)) + SOFT.bend(nodes.l(i));
                -nodes.p(i) * weight * nodes.beta(i)[0] * window(i).0 * v[i]
            })
        };
        let parts = |divergence: &[f64]| {
            grid.integrate(|i| {
                let whole = window(i).0 * divergence[i]
                    + (window(i).1 + window(i).0 * nodes.score_q[(i, 0)]) * reference.field[i];
                nodes.p(i) * SOFT.slope(nodes.l(i)) * whole
            })
        };
        let (right, scale) = direct(&reference.field);
        let name = |what: &str| format!("{}, {what}", reference.name);
        let step = |right: f64| Comparison::of_ladder(name("one step"), &ladder, right, scale, 1e-8);
        out.comparisons.push(step(right));
        out.comparisons.push(Comparison::exact(name("by parts"), parts(&reference.divergence), right, scale, 1e-9));
        if let Some(printed) = reference.printed {
            out.comparisons.push(Comparison::exact(name("the page's figure"), right, printed, 1.0, 6e-8));
        }
        out.mutants.push(("div V without its cross term", step(parts(&reference.uncrossed)).unless_true(right)));
        out.mutants.push(("l for δ", step(direct(&reference.uncentred).0).unless_true(right)));
    }
    out
}
