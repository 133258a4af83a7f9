//! T37: the law of a trained generator moves by K V, K the tangent kernel of its network, and what that loses against V.

use super::t09::{Kind, STEP, Setting, moved};
use super::{Budget, Claim, Comparison, Draw, Hypothesis, Ladder, Outcome, Takes};
use crate::divergence::Divergence;
use crate::linalg::{Matrix, SymmetricEigen};
use crate::model::LatentBatch;
use crate::num::exp;
use crate::rng::uniform;
use rayon::prelude::*;
use std::sync::Arc;

pub(super) const CLAIM: Claim = Claim {
    id: "T37",
    title: "the law of a trained generator moves by KV: descent at |E JᵀV|², and at E|PV|² by a Gauss-Newton step",
    takes: Takes::Mixtures,
    hypotheses: &[
        Hypothesis::variant("(a) the parameters move, and not each sample by itself", "the samples move by V"),
        Hypothesis::variant("(c) the step is that of Gauss and Newton, for E|PV|²", "the rate of the other step"),
        Hypothesis::instance("(b) D_f(p‖q) < ∞, as in T9", super::t01::infinite),
        Hypothesis::not_run("(b) q has a density", "a singular law has no ratio r: neither side is defined"),
    ],
    check,
};

/// Eigenvalues of E JᵀJ, relative to the largest, that count as 0: directions that hardly move the samples. PV is the projection on the
/// span of the others, and a step by them alone is exactly it.
const NULL: f64 = 1e-6;

fn check(budget: &Budget) -> Vec<Outcome> {
    let divergences = budget.divergences();
    let draws = budget.draws(37, [2, 0], [20, 0]);
    draws.par_iter().map(|draw| one(draw, &divergences)).collect()
}

/// A generator on the line with the derivatives of its samples.
struct Tangent<'a> {
    setting: Setting<'a>,
    /// J: ∂G(z_i)/∂θ in row i, by a pull-back of each point alone.
    jacobian: Matrix,
    /// The eigenvectors and eigenvalues of F = E JᵀJ.
    fisher: SymmetricEigen,
}

impl<'a> Tangent<'a> {
    fn new(draw: &'a Draw, cases: &[Arc<dyn Divergence>]) -> Self {
        let setting = Setting::new(draw, Kind::Curved, 0, cases);
        let (g, n) = (&setting.generator, setting.latent.noise.rows());
        let row = |i: usize| {
            let noise = setting.latent.noise.slice_rows(i..i + 1);
            let alone = LatentBatch { noise, jitter: None, codes: None, guidance: 0.0 };
            flat(&g.gradient(&alone, &Matrix::filled(1, 1, 1.0)))
        };
        let rows: Vec<f64> = (0..n).into_par_iter().flat_map_iter(row).collect();
        let jacobian = Matrix::from_vec(n, rows.len() / n, rows);
        let entry =
            |a: usize, b: usize| (0..n).map(|i| setting.probability[i] * (jacobian[(i, a)] * jacobian[(i, b)])).sum();
        let fisher = Matrix::from_fn(jacobian.cols(), jacobian.cols(), entry);
        let fisher = SymmetricEigen::of(&fisher, "E JᵀJ").expect("finite");
        Self { setting, jacobian, fisher }
    }

    /// E JᵀV.
    fn pulled(&self, v: &Matrix) -> Vec<f64> {
        let p = &self.setting.probability;
        let entry = |a: usize| (0..v.rows()).map(|i| p[i] * self.jacobian[(i, a)] * v[(i, 0)]).sum();
        (0..self.jacobian.cols()).map(entry).collect()
    }

    /// J a, a number for each point.
    fn pushed(&self, a: &[f64]) -> Vec<f64> {
        self.jacobian.iter_rows().map(|row| dot(row, a)).collect()
    }

    /// F⁺ g, without the directions that move nothing.
    fn gauss_newton(&self, g: &[f64]) -> Vec<f64> {
        let top = self.fisher.values.iter().fold(0.0f64, |m, v| m.max(*v));
        let inverse = self.fisher.map(|v| if v > NULL * top { 1.0 / v } else { 0.0 });
        inverse.iter_rows().map(|row| dot(row, g)).collect()
    }

    /// E ab.
    fn mean(&self, a: &[f64], b: &[f64]) -> f64 {
        self.setting.probability.iter().zip(a.iter().zip(b)).map(|(p, (a, b))| p * a * b).sum()
    }

    /// A direction of length √P in the shapes of the parameters, and what it was divided by.
    fn direction(&self, a: &[f64]) -> (Vec<Matrix>, f64) {
        let scale = (dot(a, a) / a.len() as f64).sqrt();
        let mut rest = a.iter().map(|v| v / scale);
        let mut shape = |(rows, cols): (usize, usize)| {
            Matrix::from_fn(rows, cols, |_, _| rest.next().expect("one for each parameter"))
        };
        let shapes = self.setting.generator.parameters.iter().map(|p| (p.rows(), p.cols()));
        (shapes.map(&mut shape).collect(), scale)
    }
}

fn flat(parts: &[Matrix]) -> Vec<f64> {
    parts.iter().flat_map(|m| m.as_slice().iter().copied()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn one(draw: &Draw, divergences: &[Arc<dyn Divergence>]) -> Outcome {
    let mut out = Outcome::default();
    if draw.pair.dim() > 1 {
        out.comparisons
            .push(Comparison::refused(&draw.label, "the density of a curved generator is known on the line only"));
        return out;
    }
    // (c) projects V, which has to have a mean square
    let start = Setting::new(draw, Kind::Curved, 0, &[]);
    let refusal = |f: &Arc<dyn Divergence>| start.refusal(f).or_else(|| start.energy_refusal(f));
    let mut finite = Vec::new();
    for f in divergences {
        match refusal(f) {
            Some(reason) => out.comparisons.push(Comparison::refused(format!("{}, {}", draw.label, f.name()), reason)),
            None => finite.push(Arc::clone(f)),
        }
    }
    let Some(first) = finite.first() else { return out };
    let tangent = Tangent::new(draw, &finite);
    observables(&tangent, draw, first, &mut out);
    finite.iter().fold(tangent, |tangent, f| descent(tangent, draw, f, &mut out));
    out
}

/// dD_f/dt along E JᵀV and along F⁺ E JᵀV by differences in θ, against |E JᵀV|² and E|PV|².
fn descent<'a>(mut tangent: Tangent<'a>, draw: &Draw, f: &Arc<dyn Divergence>, out: &mut Outcome) -> Tangent<'a> {
    let label = format!("{}, {}", draw.label, f.name());
    let v = tangent.setting.nodes.drift(f.as_ref());
    let g = tangent.pulled(&v);
    let newton = tangent.gauss_newton(&g);
    let (by_gradient, by_newton) = (tangent.pushed(&g), tangent.pushed(&newton));
    let v = v.into_vec();
    let (energy, projected) = (tangent.mean(&v, &v), tangent.mean(&by_newton, &by_newton));
    let cosine = |u: &[f64]| tangent.mean(u, &v) / (tangent.mean(u, u) * energy).sqrt();
    let cosines = [cosine(&by_gradient), cosine(&by_newton)];
    // what no direction of the parameters can follow: V - PV is orthogonal to every J a
    let rest: Vec<f64> = v.iter().zip(&by_newton).map(|(v, p)| v - p).collect();
    let gap = tangent.mean(&rest, &rest);
    // roundings of E JᵀJ over its least eigenvalue that counts
    let exact =
        |what: &str, left: f64, right: f64| Comparison::exact(format!("{label}, {what}"), left, right, energy, 1e-8);
    out.comparisons.push(exact("E|V|² - E|PV|² = E|V - PV|²", energy - projected, gap));
    out.comparisons.push(exact("cos(PV, V)² = E|PV|²/E|V|²", cosines[1] * cosines[1] * energy, projected));
    let ordered =
        |left: f64, right: f64| Comparison::decision(format!("{label}, cosines"), left <= right + NULL.sqrt());
    out.comparisons.push(ordered(cosines[0], cosines[1]));
    out.mutants.push((
        "KV is nearer to V than PV",
        ordered(cosines[1], cosines[0]).unless(cosines[1] - cosines[0] < NULL.sqrt()),
    ));
    let rates = [("along E JᵀV", &g, dot(&g, &g)), ("by a Gauss-Newton step", &newton, projected)];
    for (what, a, rate) in rates {
        let (direction, scale) = tangent.direction(a);
        tangent.setting = tangent.setting.along(Some(direction));
        if let Some(reason) = tangent.setting.refusal(f) {
            out.comparisons.push(Comparison::refused(format!("{label}, {what}"), reason));
            continue;
        }
        let left = tangent.setting.left(std::slice::from_ref(f)).swap_remove(0);
        let size = (energy * tangent.mean(&tangent.pushed(a), &tangent.pushed(a))).sqrt() / scale;
        let against =
            |rate: f64| Comparison::of_ladder(format!("{label}, {what}"), &left, -rate / scale, size, draw.tolerance());
        out.comparisons.push(against(rate));
        out.mutants
            .push(("descent at E|V|², as if the samples moved by V", against(energy).unless_true(-rate / scale)));
        let other = if what == "along E JᵀV" { projected } else { dot(&g, &g) };
        out.mutants.push(("the rate of the other step", against(other).unless_true(-rate / scale)));
    }
    tangent
}

/// d/dt E φ(G(z)) along E JᵀV is E φ'(G(z)) (KV)(z), for bumps φ.
fn observables(tangent: &Tangent, draw: &Draw, f: &Arc<dyn Divergence>, out: &mut Outcome) {
    let setting = &tangent.setting;
    let v = setting.nodes.drift(f.as_ref());
    let (p, n) = (&setting.probability, v.rows());
    // the shipped gradient with cotangent -V: the step that training takes is its negative
    let step: Vec<f64> =
        flat(&setting.generator.gradient(&setting.latent, &Matrix::from_fn(n, 1, |i, _| -p[i] * v[(i, 0)])));
    let step: Vec<f64> = step.iter().map(|g| -g).collect();
    let (direction, scale) = tangent.direction(&step);
    let kernel = |i: usize, j: usize| dot(tangent.jacobian.row(i), tangent.jacobian.row(j));
    let by_kernel: Vec<f64> =
        (0..n).into_par_iter().map(|i| (0..n).map(|j| p[j] * kernel(i, j) * v[(j, 0)]).sum::<f64>() / scale).collect();
    let own: Vec<f64> = (0..n).map(|i| kernel(i, i) * v[(i, 0)] / scale).collect();
    let alone: Vec<f64> = v.as_slice().iter().map(|v| v / scale).collect();
    let y = setting.generator.map(&setting.latent);
    let mut rng = draw.stream(1);
    for k in 0..3 {
        let (centre, width) = (3.0 * uniform(&mut rng) - 1.5, 0.5 + uniform(&mut rng));
        let bump = |y: f64| exp(-0.5 * ((y - centre) / width).powi(2));
        let slope = |y: f64| (centre - y) / (width * width) * bump(y);
        let ladder = Ladder::central(STEP, |e| {
            let y = moved(&setting.generator, &direction, e).map(&setting.latent);
            let value: f64 = y.as_slice().iter().zip(p).map(|(y, p)| p * bump(*y)).sum();
            vec![(value, value)]
        });
        let left = ladder.into_iter().next().expect("one functional");
        let along = |u: &[f64]| -> f64 { (0..n).map(|i| p[i] * slope(y[(i, 0)]) * u[i]).sum() };
        let size: f64 = (0..n).map(|i| p[i] * (slope(y[(i, 0)]) * by_kernel[i]).abs()).sum();
        let right = along(&by_kernel);
        let against = |right: f64| {
            Comparison::of_ladder(format!("{}, mean of bump {k}", draw.label), &left, right, size, draw.tolerance())
        };
        out.comparisons.push(against(right));
        for (what, wrong) in [("the samples move by V", &alone), ("each sample by its own K(z, z)V", &own)] {
            out.mutants.push((what, against(along(wrong)).unless_true(right)));
        }
    }
}
