//! T8: the velocities of the log-variance divergence Var_m(log q - log p), one for each reference m.

use super::hypothesis::{integral, normal, settles};
use super::integrability::moment;
use super::pair::vector;
use super::t05::SoftStep;
use super::window::{Scene, Window};
use super::{
    Budget, Bumps, Claim, Comparison, Draw, Grid, Hypothesis, Ladder, Nodes, Outcome, Pair, Push, Takes, Vector, dot,
    resolve,
};
use crate::density::{Density, GaussianMixture};
use crate::linalg::Matrix;
use crate::num::{exp, ln, ln_1p, sum};
use crate::rng::Stream;
use rayon::prelude::*;
use std::f64::consts::PI;

pub(super) const CLAIM: Claim = Claim {
    id: "T08",
    title: "the velocity of the log-variance divergence, for each reference",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::variant(
            "m is held fixed while q is differentiated (the frozen rows)",
            "moving reference treated as frozen",
        ),
        Hypothesis::variant(
            "the weight is not negative, where other divergences are to fall",
            "the moving reference lowers KL(q‖p)",
        ),
        Hypothesis::instance("m is positive", half_reference),
        Hypothesis::instance("E_m[l²] < ∞", heavy_reference),
    ],
    check,
};

fn check(budget: &Budget) -> Vec<Outcome> {
    let mut out: Vec<Outcome> = budget.draws(8, [6, 1], [150, 15]).par_iter().map(one_draw).collect();
    out.push(table());
    out
}

fn one_draw(draw: &Draw) -> Outcome {
    // m = p^γ q^(1-γ) with γ < 0 has to be a density, and one that a grid can hold
    let refusal = |row: &Row| match *row {
        Row::Moving(g) if g < 0.0 => {
            let infinite = moment(g, &draw.pair.p, &draw.pair.q).refusal().map(str::to_owned);
            let (_, _, ends, spacing) = bounds(draw, 0, g);
            infinite.or_else(|| Grid::affordable(&ends, spacing).err())
        }
        _ => None,
    };
    let (rows, left_out): (Vec<Row>, Vec<Row>) = Row::ALL.into_iter().partition(|row| refusal(row).is_none());
    let least = if left_out.is_empty() { BEYOND_Q } else { 0.0 };
    let comparisons = resolve(&rows, |rows, attempt| Setting::new(draw, attempt, least).compare(rows));
    let mut out = Outcome { comparisons, mutants: Setting::new(draw, 0, least).mutants() };
    for row in &left_out {
        let reason = refusal(row).unwrap_or_default();
        out.comparisons.push(Comparison::refused(format!("{}, {row:?}", draw.label), reason));
    }
    out.comparisons.extend(resolve(&[()], |_, attempt| vec![surrogate(draw, attempt)]));
    out.mutants.push(("the moving reference lowers KL(q‖p)", repelled(draw)));
    out
}

/// The reference m; γ = 0 is q, γ = 1 is p.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Row {
    /// A density of its own.
    Fixed,
    /// p^γ q^(1-γ)/Z, held fixed while q moves.
    Frozen(f64),
    /// p^γ q^(1-γ)/Z, moving with q.
    Moving(f64),
}

impl Row {
    const ALL: [Self; 9] = [
        Self::Fixed,
        Self::Frozen(0.0),
        Self::Moving(0.0),
        Self::Frozen(1.0),
        Self::Frozen(0.3),
        Self::Moving(0.3),
        Self::Frozen(0.8),
        Self::Moving(0.8),
        Self::Moving(BEYOND_Q),
    ];
}

/// The γ of a row that is beyond q as seen from p: q^1.2 p^-0.2.
const BEYOND_Q: f64 = -0.2;

/// The stream of a draw's fields, a third density, and a box with the spacing of a grid in it that holds p^γ q^(1-γ) for γ from `least` to 1.
fn bounds(draw: &Draw, attempt: usize, least: f64) -> (Stream, GaussianMixture, Vec<(f64, f64)>, f64) {
    let (mut rng, pair) = (draw.stream(attempt), &draw.pair);
    let reference = third(&mut rng, pair);
    let third = Pair { p: reference.clone().into(), q: reference.clone().into() };
    let finest = pair.finest().min(third.finest());
    // the variance is not linear in its integrals, so that what does not move counts too; m = q^1.2 p^-0.2 has 1.1 times the standard
    // deviation of q
    let ends = pair.ends_of_powers((least, 1.0), 9.0).into_iter().zip(third.ends(9.0));
    let ends = ends.map(|(a, b)| (a.0.min(b.0), a.1.max(b.1))).collect();
    (rng, reference, ends, finest / if pair.dim() == 1 { 16.0 } else { 6.0 })
}

/// A pair, a third density and a field on a grid that covers all of them.
struct Setting<'a> {
    draw: &'a Draw,
    reference: GaussianMixture,
    grid: Grid,
    push: Push,
    nodes: Nodes,
    log_m: Vec<f64>,
    score_m: Matrix,
}

impl<'a> Setting<'a> {
    fn new(draw: &'a Draw, attempt: usize, least: f64) -> Self {
        let pair = &draw.pair;
        let (mut rng, reference, ends, spacing) = bounds(draw, attempt, least);
        let bumps = Bumps::random(&mut rng, pair);
        let grid = Grid::covering(&ends, spacing);
        let push = Push::new(&grid.nodes, |_, x| bumps.at(x));
        let nodes = pair.at(&grid.nodes);
        let m = Pair { p: reference.clone().into(), q: reference.clone().into() }.at(&grid.nodes);
        Self { draw, reference, grid, push, nodes, log_m: m.log_p, score_m: m.score_p }
    }

    /// Var_m(l_ε) after a step for each row: means over y = T_ε x, dy = det dx, normalised anew.
    fn variances(&self, rows: &[Row], step: f64) -> Vec<(f64, f64)> {
        let moved = self.push.moved(step);
        let (p, q) = (self.draw.pair.p.log_density(&moved), self.draw.pair.q.log_density(&moved));
        let m = if rows.contains(&Row::Fixed) { self.reference.log_density(&moved) } else { Vec::new() };
        let det: Vec<f64> = (0..p.len()).map(|i| self.push.log_det(step, i)).collect();
        // log q_ε(Tx) = log q(x) - log det
        let l: Vec<f64> = (0..p.len()).map(|i| p[i] - self.nodes.log_q[i] + det[i]).collect();
        let one = |row: &Row| {
            variance(&l, |i| match *row {
                Row::Fixed => m[i] + det[i],
                Row::Frozen(g) => g * p[i] + (1.0 - g) * q[i] + det[i],
                Row::Moving(g) => g * p[i] + (1.0 - g) * (self.nodes.log_q[i] - det[i]) + det[i],
            })
        };
        rows.iter().map(one).collect()
    }

    /// log of the reference at the nodes, up to a constant.
    fn log_reference(&self, row: Row, i: usize) -> f64 {
        match row {
            Row::Fixed => self.log_m[i],
            Row::Frozen(g) | Row::Moving(g) => g * self.nodes.log_p[i] + (1.0 - g) * self.nodes.log_q[i],
        }
    }

    /// log ∫ m, E_m l and Var_m l.
    fn moments(&self, row: Row) -> (f64, f64, f64) {
        let n = self.nodes.log_p.len();
        let m: Vec<f64> = (0..n).map(|i| exp(self.log_reference(row, i))).collect();
        let mass = sum(&m);
        let mean = sum(&(0..n).map(|i| m[i] * self.nodes.l(i)).collect::<Vec<_>>()) / mass;
        let square = sum(&(0..n).map(|i| m[i] * (self.nodes.l(i) - mean).powi(2)).collect::<Vec<_>>()) / mass;
        (ln(mass * self.grid.cell), mean, square)
    }

    /// V at node i by the row's formula, given its moments; `gradient` false drops ∇log(m/q) from the fixed row.
    fn velocity(&self, row: Row, (log_z, mean, variance): (f64, f64, f64), gradient: bool, i: usize) -> Vector {
        let (beta, delta) = (self.nodes.beta(i), self.nodes.l(i) - mean);
        let ratio = exp(self.log_reference(row, i) - log_z - self.nodes.log_q[i]);
        let times = |k: f64| [ratio * k * beta[0], ratio * k * beta[1]];
        match row {
            Row::Frozen(g) => times(2.0 * (1.0 + g * delta)),
            Row::Moving(g) => times(2.0 + 2.0 * (2.0 * g - 1.0) * delta - g * (1.0 - g) * (delta * delta - variance)),
            Row::Fixed => {
                let (a, b) = (vector(self.score_m.row(i)), vector(self.nodes.score_q.row(i)));
                let k = if gradient { delta } else { 0.0 };
                std::array::from_fn(|j| 2.0 * ratio * (beta[j] + k * (a[j] - b[j])))
            }
        }
    }

    /// -E_q[ξ·V] and the size of its terms.
    fn right(&self, row: Row, moments: (f64, f64, f64), gradient: bool) -> (f64, f64) {
        self.grid.integrate_with_size(|i| {
            let v = self.velocity(row, moments, gradient, i);
            -self.nodes.q(i) * dot(v, self.push.displacement[i])
        })
    }

    fn left(&self, rows: &[Row]) -> Vec<Ladder> {
        Ladder::central(self.push.first_step(), |step| self.variances(rows, step))
    }

    fn against(&self, row: Row, left: &Ladder, right: f64, scale: f64) -> Comparison {
        Comparison::of_ladder(format!("{}, {row:?}", self.draw.label), left, right, scale, self.draw.tolerance())
    }

    fn compare(&self, rows: &[Row]) -> Vec<Comparison> {
        let one = |(row, left): (&Row, &Ladder)| {
            let (right, scale) = self.right(*row, self.moments(*row), true);
            self.against(*row, left, right, scale)
        };
        rows.iter().zip(&self.left(rows)).map(one).collect()
    }

    fn mutants(&self) -> Vec<(&'static str, Comparison)> {
        let rows = [Row::Fixed, Row::Frozen(0.0), Row::Moving(0.0), Row::Frozen(0.8), Row::Moving(0.3)];
        let ladders = self.left(&rows);
        let moments = rows.map(|row| self.moments(row));
        let mut out = Vec::new();
        let mut wrong = |what, k: usize, (right, _): (f64, f64)| {
            let scale = self.right(rows[k], moments[k], true).1;
            let truth = self.right(rows[k], moments[k], true).0;
            out.push((what, self.against(rows[k], &ladders[k], right, scale).unless_true(truth)));
        };
        wrong("no ∇log(m/q) in the fixed row", 0, self.right(rows[0], moments[0], false));
        let centre = |k: usize| (moments[k].0, moments[1].1, moments[k].2);
        wrong("E_q l for E_m l", 0, self.right(rows[0], centre(0), true));
        wrong("E_q l for E_m l", 3, self.right(rows[3], centre(3), true));
        wrong("moving reference treated as frozen", 2, self.right(rows[1], moments[1], true));
        wrong("moving reference treated as frozen", 4, self.right(Row::Frozen(0.3), moments[4], true));
        wrong("frozen reference treated as moving", 1, self.right(rows[2], moments[2], true));
        let (half, _) = self.right(rows[1], moments[1], true);
        wrong("no factor 2", 1, (0.5 * half, 0.0));
        out
    }
}

/// The reference of the fixed row: a random mixture of the size and place of q, whatever p's.
fn third(rng: &mut Stream, pair: &Pair) -> GaussianMixture {
    let m = (*Pair::random(rng, pair.dim()).p).clone();
    let scale = pair.q.covariance();
    let scale = (0..pair.dim()).map(|j| scale[(j, j)]).fold(f64::INFINITY, f64::min).sqrt();
    // the pairs of a claim are of size one as they are drawn
    if (0.3..3.0).contains(&scale) { m } else { m.affine_image(&pair.q.mean(), scale).expect("a positive scale") }
}

/// (Var_m(l), size of its terms) with the unnormalised log m.
fn variance(l: &[f64], log_m: impl Fn(usize) -> f64) -> (f64, f64) {
    let m: Vec<f64> = (0..l.len()).map(|i| exp(log_m(i))).collect();
    let mass = sum(&m);
    let mean = sum(&(0..l.len()).map(|i| m[i] * l[i]).collect::<Vec<_>>()) / mass;
    let square = sum(&(0..l.len()).map(|i| m[i] * (l[i] - mean).powi(2)).collect::<Vec<_>>()) / mass;
    (square, square + mean * mean)
}

/// A window and E_q l over it, for weights that are centred.
fn windowed(draw: &Draw, attempt: usize) -> (Scene, f64) {
    let scene = Scene::new(&draw.pair, Window::attempt(&mut draw.stream(attempt), &draw.pair, attempt));
    let mass = scene.grid.integrate(|i| scene.nodes.q(i));
    let mean = scene.grid.integrate(|i| scene.nodes.q(i) * scene.nodes.l(i)) / mass;
    (scene, mean)
}

/// Central differences of KL(q‖p) over the window's box along a push.
fn kl_along(scene: &Scene, push: &Push) -> Ladder {
    Ladder::central(push.first_step(), |step| {
        let l = push.log_ratio(&scene.pair, &scene.nodes.log_q, step);
        let noise = |i: usize| scene.nodes.q(i) * scene.nodes.log_size(i);
        vec![scene.grid.integrate_with_noise(|i| -scene.nodes.q(i) * l[i], noise)]
    })
    .swap_remove(0)
}

/// The surrogate V_s = (1 + log(1 + e^δ)) β lowers KL(q‖p) at the rate E_q[χ w_s |β|²], at least that of reverse KL itself.
fn surrogate(draw: &Draw, attempt: usize) -> Comparison {
    let (scene, mean) = windowed(draw, attempt);
    let sigmoid = |l: f64| 1.0 / (1.0 + exp(mean - l));
    let weight = |l: f64| 1.0 + (l - mean).max(0.0) + ln_1p(exp(-(l - mean).abs()));
    let right = -scene.mean(weight);
    let floor = scene.mean(|_| 1.0) / scene.mean(weight);
    let left = kl_along(&scene, &scene.weighted(weight, sigmoid));
    Comparison::of_ladder(format!("{}, surrogate", draw.label), &left, right, right.abs(), draw.tolerance()).assuming(
        "reverse KL's rate over the surrogate's",
        floor,
        1.0,
    )
}

/// "KL(q‖p) falls along V = 2(1-δ)β": a window where l > E_q l + 1 shows a rise. The centre is put there by shifting E_q l.
fn repelled(draw: &Draw) -> Comparison {
    let (wide, mean) = windowed(draw, 0);
    let highest = (0..wide.chi.len()).max_by(|&i, &j| {
        let mass = |i: usize| wide.nodes.l(i) + wide.nodes.log_q[i].max(-8.0) + ln(wide.chi[i].max(1e-9));
        mass(i).total_cmp(&mass(j))
    });
    let centre = vector(wide.grid.nodes.row(highest.unwrap_or(0)));
    let scene = Scene::new(&draw.pair, Window { centre, radius: 0.1 * wide.window.radius });
    let lowest = (0..scene.chi.len()).map(|i| scene.nodes.l(i)).fold(f64::INFINITY, f64::min);
    let shift = mean.min(lowest - 1.1);
    let push = scene.weighted(|l| 2.0 * (1.0 - (l - shift)), |_| -2.0);
    let ladder = kl_along(&scene, &push);
    let rise = -scene.mean(|l| 2.0 * (1.0 - (l - shift)));
    let rung = ladder.finest_rung(rise / 16.0);
    let seen = rise > 16.0 * ladder.rounding[rung];
    Comparison::at_most(format!("{}, window at δ > 1", draw.label), ladder.values[rung], 0.0, rise.abs(), 0.0)
        .unless(!seen)
}

/// The page's table on the two modes: efficiencies at six levels, signed cosines of the two rows that change sign, and their smallest weights.
fn table() -> Outcome {
    let pair = Pair::two_modes();
    let grid = Grid::covering(&pair.ends(9.0), pair.finest() / 16.0);
    let nodes = pair.at(&grid.nodes);
    let under_q = grid.integrate(|i| nodes.q(i) * nodes.l(i));
    let under_p = grid.integrate(|i| nodes.p(i) * nodes.l(i));
    let product = |g: &dyn Fn(f64) -> f64| grid.integrate(|i| nodes.q(i) * nodes.beta2(i) * g(nodes.l(i)));
    let mut out = Outcome::default();
    type Row = (&'static str, Box<dyn Fn(f64) -> f64>, i32, [f64; 6], f64);
    let rows: [Row; 6] = [
        ("reverse KL", Box::new(|_| 1.0), 2, [0.84, 0.93, 0.98, 0.93, 0.79, 0.68], 5.1e-3),
        ("forward KL", Box::new(exp), 2, [0.23, 0.32, 0.51, 0.76, 0.93, 0.99], 5.1e-3),
        ("Jeffreys", Box::new(|l| 1.0 + exp(l)), 2, [0.47, 0.58, 0.76, 0.93, 0.98, 0.97], 5.1e-3),
        (
            "surrogate",
            Box::new(move |l| 1.0 + ln_1p(exp(l - under_q))),
            2,
            [0.65, 0.77, 0.92, 0.99, 0.94, 0.86],
            5.1e-3,
        ),
        (
            "moving q",
            Box::new(move |l| 2.0 * (1.0 - l + under_q)),
            1,
            [0.926, 0.862, 0.716, 0.496, 0.300, 0.190],
            5.1e-4,
        ),
        (
            "m = p",
            Box::new(move |l| 2.0 * exp(l) * (1.0 + l - under_p)),
            1,
            [0.163, 0.246, 0.404, 0.617, 0.787, 0.872],
            5.1e-4,
        ),
    ];
    for (name, w, power, printed, digit) in &rows {
        for (level, printed) in [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0].into_iter().zip(printed) {
            let s = SoftStep { level, width: 1.0 };
            let (own, other) = (product(&|l| w(l).powi(2)), product(&|l| s.slope(l).powi(2)));
            let cosine = product(&|l| w(l) * s.slope(l)) / (own * other).sqrt();
            let instance = format!("the page's table, {name} at τ = {level}");
            out.comparisons.push(Comparison::exact(instance, cosine.powi(*power), *printed, 1.0, *digit));
        }
    }
    for ((name, w, ..), least) in rows[4..].iter().zip([-2.19, -0.45]) {
        let found = nodes.log_ratio().into_iter().map(w).fold(f64::INFINITY, f64::min);
        out.comparisons.push(Comparison::exact(format!("smallest weight, {name}"), found, least, 1.0, 5.1e-3));
    }
    out
}

/// m = 2φ on x > 0 and p = φ, q = ⅔φ there: l is constant on the support of m, so that V = 0; left of 0 q = ⅔φ(1 + x²) is another law.
fn half_reference() -> Comparison {
    let kl = |from: f64, to: f64, bent: f64| {
        let density = |x: f64| 2.0 / 3.0 * (1.0 + bent * x * x);
        integral(from, to, |x| normal(x) * density(x) * ln(density(x)))
    };
    let left = kl(0.0, 12.0, 0.0) + kl(-12.0, 0.0, 1.0);
    Comparison::exact("m = 2φ on x > 0, q ~ φ(1 + x²) left of 0, V = 0: KL(q‖p)", left, 0.0, 1.0, 1e-9)
}

/// Cauchy's m for N(0, 1) and N(0, 1.44): l grows like x².
fn heavy_reference() -> Comparison {
    let pair = Pair::on_the_line(&[[1.0, 0.0, 1.0]], &[[1.0, 0.0, 1.2]]);
    let l = |x: f64| pair.at(&Matrix::filled(1, 1, x)).l(0);
    settles("Cauchy's m, N(0, 1) and N(0, 1.44): E_m l²", 10.0, |radius| {
        integral(-radius, radius, |x| l(x).powi(2) / (PI * (1.0 + x * x)))
    })
}
