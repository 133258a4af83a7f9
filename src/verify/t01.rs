//! T1: d/dε D_f(p‖(id+εξ)#q) = -E_q[ξ·V], V = w(r)β.

use super::hypothesis::{integral, normal, settles, within};
use super::pair::vector;
use super::{
    Budget, Bumps, Claim, Comparison, Draw, Grid, Hypothesis, Ladder, Nodes, Outcome, Pair, Push, Takes, dot,
    integrability, resolve,
};
use crate::divergence::{Divergence, Pearson, ReverseKl};
use crate::linalg::Matrix;
use crate::num::{exp, exp_m1, ln_1p};
use rayon::prelude::*;
use std::f64::consts::LN_2;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T01",
    title: "the Wasserstein gradient flow of D_f(p‖q) has velocity V = w(r)β",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::instance("p and q are positive and C¹ on the whole space", half_line),
        Hypothesis::instance("f ∈ C²", total_variation),
        Hypothesis::instance("D_f(p‖q) < ∞", infinite),
        Hypothesis::not_run(
            "ξ is C¹ with compact support, or is bounded as the page says",
            "sufficient: the bounds let the derivative pass under the integral, and we know no pair without them whose sides are finite and differ",
        ),
    ],
    check,
};

type Case = Arc<dyn Divergence>;

fn check(budget: &Budget) -> Vec<Outcome> {
    let divergences = budget.divergences();
    budget.draws(1, [6, 2], [200, 20]).par_iter().map(|draw| one_draw(draw, &divergences)).collect()
}

fn one_draw(draw: &Draw, divergences: &[Case]) -> Outcome {
    // T1 asks for D_f(p‖q) < ∞, which T7 decides
    let (finite, infinite) =
        integrability::finite(divergences, |f| integrability::value(f.as_ref(), &draw.pair.p, &draw.pair.q));
    let divergences = &finite;
    let first = Setting::new(draw, 0);
    let left = first.left(divergences, true);
    let mut comparisons = resolve(divergences, |cases, attempt| match attempt {
        0 => first.compare(cases, &left),
        _ => {
            let other = Setting::new(draw, attempt);
            other.compare(cases, &other.left(cases, true))
        }
    });
    let refuse = |(f, reason): (Case, String)| Comparison::refused(format!("{}, {}", draw.label, f.name()), reason);
    comparisons.extend(infinite.into_iter().map(refuse));
    Outcome { comparisons, mutants: first.mutants(divergences, &left) }
}

/// A pair and a field on a grid.
struct Setting<'a> {
    draw: &'a Draw,
    grid: Grid,
    push: Push,
    nodes: Nodes,
}

impl<'a> Setting<'a> {
    fn new(draw: &'a Draw, attempt: usize) -> Self {
        let bumps = Bumps::random(&mut draw.stream(attempt), &draw.pair);
        let grid = bumps.grid(&draw.pair);
        let push = Push::new(&grid.nodes, |_, x| bumps.at(x));
        let nodes = draw.pair.at(&grid.nodes);
        Self { draw, grid, push, nodes }
    }

    /// Central differences of D_f(p‖q_ε) = ∫ q(x) f(exp l_ε(Tx)) dx. Outside the box nothing moves.
    fn left(&self, cases: &[Case], determinant: bool) -> Vec<Ladder> {
        let q: Vec<f64> = (0..self.push.nodes.rows()).map(|i| self.nodes.q(i)).collect();
        let noise = |f: &Case| self.grid.noise(|i| q[i] * f.u_df(self.nodes.l(i)) * self.nodes.log_size(i));
        let noise: Vec<f64> = cases.iter().map(noise).collect();
        Ladder::central(self.push.first_step(), |step| {
            let mut l = self.push.log_ratio(&self.draw.pair, &self.nodes.log_q, step);
            if !determinant {
                l.iter_mut().enumerate().for_each(|(i, l)| *l -= self.push.log_det(step, i));
            }
            let value = |(f, noise): (&Case, &f64)| {
                let (value, size) = self.grid.integrate_with_size(|i| q[i] * f.f(l[i]));
                (value, size + noise)
            };
            cases.iter().zip(&noise).map(value).collect()
        })
    }

    /// -E_q[ξ·V k(l)] with the size of its terms; V by the shipped drift, k = 1 in the theorem.
    fn right(&self, velocity: &Matrix, k: impl Fn(f64) -> f64) -> (f64, f64) {
        self.grid.integrate_with_size(|i| k(self.nodes.l(i)) * self.right_integrand(velocity, i))
    }

    fn right_integrand(&self, velocity: &Matrix, i: usize) -> f64 {
        -self.nodes.q(i) * dot(vector(velocity.row(i)), self.push.displacement[i])
    }

    fn compare(&self, cases: &[Case], left: &[Ladder]) -> Vec<Comparison> {
        cases
            .iter()
            .zip(left)
            .map(|(f, left)| {
                let velocity = self.nodes.drift(f.as_ref());
                let (right, scale) = self.right(&velocity, |_| 1.0);
                let resolution = self.grid.resolution(|i| self.right_integrand(&velocity, i)) / scale;
                self.against(f, left, right, scale).resolving("trapezoid on half of the nodes", resolution, 1e-4)
            })
            .collect()
    }

    fn against(&self, f: &Case, left: &Ladder, right: f64, scale: f64) -> Comparison {
        let instance = format!("{}, {}", self.draw.label, f.name());
        Comparison::of_ladder(instance, left, right, scale, self.draw.tolerance())
    }

    fn mutants(&self, cases: &[Case], ladders: &[Ladder]) -> Vec<(&'static str, Comparison)> {
        let undetermined = self.left(cases, false);
        let mut out = Vec::new();
        for ((f, left), bare) in cases.iter().zip(ladders).zip(&undetermined) {
            let velocity = self.nodes.drift(f.as_ref());
            let (right, scale) = self.right(&velocity, |_| 1.0);
            let mut wrong = |what, k: &dyn Fn(f64) -> f64| {
                out.push((what, self.against(f, left, self.right(&velocity, k).0, scale).unless_true(right)));
            };
            wrong("weight r f'' for r² f''", &|l| exp(-l));
            wrong("weight f'' for r² f''", &|l| exp(-2.0 * l));
            wrong("β with the other sign", &|_| -1.0);
            // true for reverse KL, whose weight is constant
            if f.weight(1.0) != f.weight(-1.0) {
                wrong("p and q exchanged in the weight", &|l| exp(f.log_weight(-l) - f.log_weight(l)));
            }
            // l_ε without log det: d/dε of E_q[f(l_ε)] loses E_q[u f'(u) div ξ]
            let lost = self.grid.integrate(|i| {
                let trace = self.push.jacobian[i][0][0] + self.push.jacobian[i][1][1];
                self.nodes.q(i) * f.u_df(self.nodes.l(i)) * trace
            });
            let bare = self.against(f, bare, right, scale);
            let same = lost.abs() <= bare.tolerance * scale;
            out.push(("pushed density without its determinant", bare.unless(same)));
        }
        out
    }
}

/// q = 2φ on x > 0 and p = φ: V = 0 where q has mass, but a field that moves the edge changes KL(q‖p) at the rate 2φ(0)ξ(0).
fn half_line() -> Comparison {
    let bump = |x: f64| exp(-0.5 * x * x);
    // log q_ε(Tx) = log 2φ(x) - log(1 + εξ'), ξ' = -xξ
    let kl = |step: f64| {
        integral(0.0, 12.0, |x| {
            let moved = x + step * bump(x);
            2.0 * normal(x) * (LN_2 + 0.5 * (moved * moved - x * x) - ln_1p(-step * x * bump(x)))
        })
    };
    let left = (kl(1e-4) - kl(-1e-4)) / 2e-4;
    // s_q = s_p on x > 0
    let twin = Pair::on_the_line(&[[1.0, 0.0, 1.0]], &[[1.0, 0.0, 1.0]]);
    let velocity = |x: f64| twin.at(&Matrix::filled(1, 1, x)).drift(&ReverseKl)[(0, 0)];
    let right = -integral(0.0, 12.0, |x| 2.0 * normal(x) * bump(x) * velocity(x));
    Comparison::exact("q = half of N(0, 1), reverse KL: dD_f/dε against -E_q[ξ·V]", left, right, 1.0, 1e-6)
}

/// f(u) = |u - 1|/2 has u²f'' = 0 but at its corner, and yet changes: between N(0, 1) and N(1, 1) at q(½)ξ(½).
fn total_variation() -> Comparison {
    let pair = Pair::on_the_line(&[[1.0, 0.0, 1.0]], &[[1.0, 1.0, 1.0]]);
    let grid = Grid::covering(&[(-8.0, 9.0)], 2e-3);
    let nodes = pair.at(&grid.nodes);
    let push = Push::new(&grid.nodes, |_, x| {
        let bump = exp(-0.5 * x[0] * x[0]);
        ([bump, 0.0], [[-x[0] * bump, 0.0], [0.0; 2]])
    });
    let value = |step: f64| {
        let l = push.log_ratio(&pair, &nodes.log_q, step);
        grid.integrate(|i| 0.5 * nodes.q(i) * exp_m1(l[i]).abs())
    };
    let left = (value(1e-2) - value(-1e-2)) / 2e-2;
    Comparison::exact("total variation, N(0, 1) and N(1, 1): dD_f/dε against -E_q[ξ·V]", left, 0.0, 1.0, 1e-3)
}

/// Pearson's divergence of N(0, 1) from N(0, 0.45): p²/q grows.
pub(super) fn infinite() -> Comparison {
    let pair = Pair::on_the_line(&[[1.0, 0.0, 1.0]], &[[1.0, 0.0, 0.45f64.sqrt()]]);
    settles("Pearson, N(0, 1) and N(0, 0.45): D_f", 8.0, |radius| within(&pair, radius, |n, i| Pearson.f(n.l(i))))
}
