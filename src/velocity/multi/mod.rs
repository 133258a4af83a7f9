//! Several targets at once: the shortest convex combination of their velocities, which lowers every divergence.

mod fields;
mod shared;

use crate::density::{Density, evaluate};
use crate::divergence;
use crate::error::{Error, Result};
use crate::estimate::{LawUse, Scene, SmoothedTarget};
use crate::linalg::Matrix;
use crate::num::{MinNorm, min_norm};
use crate::state::{State, Stateful};
use crate::velocity::{
    Field, Figure, Ingredients, Kernel, LogRatioClip, Pull, Stein, Unit, UniversalDrift, Velocity, VelocitySettings,
};
use fields::Fields;
use shared::Shared;
use std::sync::Arc;

crate::settings! {
    /// Settings of [`Multi`].
    pub struct MultiSettings in "velocity" {
        /// The inner product of ⟨V_i, V_j⟩: "stein", that of the kernel, for reverse KL; or "l2", E_q V_i·V_j, for any divergence.
        metric: String = "stein".into(), Rule::OneOf(&["stein", "l2"]);
        /// "min-norm", one set of weights for all particles; "normalised", the same from scores of unit size and without the terms of
        /// ∇k, as in the code of MT-SGD; or weights for each particle by its own gradients, as the baselines "moo-svgd" (with Stein's
        /// average) and "mgda" (without).
        scheme: String = "min-norm".into(), Rule::OneOf(&["min-norm", "normalised", "moo-svgd", "mgda"]);
        /// "rbf" is exp(-|x-y|²/w), "imq" is (1 + |x-y|²/w)^(-1/2), "linear" is x·y + 1.
        kernel: String = "rbf".into(), Rule::OneOf(&["rbf", "imq", "linear"]);
        /// The width w; by the median rule where absent.
        width: Option<f64> = None, Rule::Positive;
        /// The f-divergence of the metric "l2".
        divergence: String = "reverse-kl".into(), Rule::Any;
        /// Largest |log r| that enters a weight of the metric "l2".
        clip: f64 = 4.0, Rule::Positive;
    }
}

/// In which geometry U_ij = ⟨V_i, V_j⟩ is measured.
pub enum Metric {
    /// That of the kernel: V_i = φ_i is Stein's field of reverse KL, and U has all four terms.
    Stein(Kernel),
    /// E_q V_i·V_j with V_i = w(r_i) ∇ log r_i, one drift a target; all with the same estimate of q.
    L2(Vec<UniversalDrift>),
}

/// How the weights are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// One quadratic programme a step: argmin wᵀUw on the simplex (MT-SGD; Phan et al., 2022).
    MinNorm,
    /// One a step, with U_ij = E[k s_i·s_j] of scores that are divided by their norm over particles, coordinate by coordinate: what the
    /// code of MT-SGD does. The weights do not follow the size of the gradients, so a target that is nearly met does not take them all;
    /// that every divergence falls is lost.
    Normalised,
    /// One a particle, on its scores, then Stein's average of the combined scores (MOO-SVGD; Liu, Tong and Liu, 2021).
    MooSvgd,
    /// One a particle, on its own velocities, and no average (MGDA; Désidéri, 2012).
    Mgda,
}

/// V = Σ_i w_i V_i, w = argmin wᵀUw on the simplex, U_ij = ⟨V_i, V_j⟩: d/dt D(q, p_i) = -(Uw)_i ≤ -wᵀUw for every target i (T30).
///
/// ‖V‖² = wᵀUw = 0 means that no direction lowers all of them: q is Pareto stationary.
pub struct Multi {
    targets: Vec<Arc<dyn Density>>,
    metric: Metric,
    scheme: Scheme,
}

/// Keys and labels of the weights that are shown.
const WEIGHTS: [(&str, &str); 10] = [
    ("weight_1", "weight of target 1"),
    ("weight_2", "weight of target 2"),
    ("weight_3", "weight of target 3"),
    ("weight_4", "weight of target 4"),
    ("weight_5", "weight of target 5"),
    ("weight_6", "weight of target 6"),
    ("weight_7", "weight of target 7"),
    ("weight_8", "weight of target 8"),
    ("weight_9", "weight of target 9"),
    ("weight_10", "weight of target 10"),
];

impl VelocitySettings for MultiSettings {
    fn name(&self) -> &'static str {
        "multi"
    }
    fn summary(&self) -> &'static str {
        "several targets at once: the shortest convex combination of their velocities"
    }
    fn formula(&self) -> &'static str {
        "V = sum_i w_i V_i, w = argmin w'Uw on the simplex, U_ij = <V_i, V_j>"
    }
    fn source(&self) -> &'static str {
        "Phan et al. (NeurIPS 2022), MT-SGD; other divergences: T30"
    }
    fn uses_estimator(&self) -> bool {
        self.metric == "l2"
    }
    fn validate(&self) -> Result<()> {
        if self.metric == "l2" && matches!(self.scheme.as_str(), "moo-svgd" | "normalised") {
            let expected = "min-norm or mgda, where the metric is l2: the others average scores by a kernel".into();
            return Err(Error::Setting { key: "scheme".into(), value: self.scheme.clone(), expected });
        }
        divergence::by_name(&self.divergence).map(drop)
    }
    fn build(&self, ingredients: Ingredients) -> Result<Box<dyn Velocity>> {
        self.validate()?;
        let targets = ingredients.target.densities.clone();
        let metric = if self.uses_estimator() {
            let divergence = divergence::by_name(&self.divergence)?;
            let clip = LogRatioClip { low: -self.clip, high: self.clip };
            let shared = Shared::of(ingredients.estimator("multi")?, targets.len());
            let drift = |(p, estimator): (&Arc<dyn Density>, _)| {
                let noised = Box::new(SmoothedTarget::new(Arc::clone(p), 64));
                UniversalDrift::new(noised, estimator, Arc::clone(&divergence)).clipped(clip)
            };
            Metric::L2(targets.iter().zip(shared).map(drift).collect())
        } else {
            Metric::Stein(Kernel::named(&self.kernel, self.width))
        };
        let scheme = match self.scheme.as_str() {
            "normalised" => Scheme::Normalised,
            "moo-svgd" => Scheme::MooSvgd,
            "mgda" => Scheme::Mgda,
            _ => Scheme::MinNorm,
        };
        Ok(Box::new(Multi::new(targets, metric, scheme)?))
    }
    fn copy(&self) -> Box<dyn VelocitySettings> {
        Box::new(self.clone())
    }
}

/// A velocity, the weights as they were used (the mean over particles where each has its own), and the programme of all particles.
struct Combined {
    velocity: Matrix,
    weights: Vec<f64>,
    common: Option<MinNorm>,
    programmes: usize,
    figures: Vec<Figure>,
}

impl Multi {
    /// Towards `targets`. `Error::Mismatch` where there is none, or not one drift each.
    pub fn new(targets: Vec<Arc<dyn Density>>, metric: Metric, scheme: Scheme) -> Result<Self> {
        let fits = match &metric {
            Metric::Stein(_) => true,
            Metric::L2(drifts) => {
                drifts.len() == targets.len() && !matches!(scheme, Scheme::MooSvgd | Scheme::Normalised)
            }
        };
        if targets.is_empty() || !fits {
            let what = format!("the velocity 'multi' has {} targets, and not one drift for each", targets.len());
            return Err(Error::Mismatch { what, remedy: "give at least one density, and one drift for each".into() });
        }
        Ok(Self { targets, metric, scheme })
    }

    /// ∇ log p_i at x; K of n×d.
    fn scores(&self, x: &Matrix) -> Result<(Vec<Matrix>, Figure)> {
        let (mut scores, mut lowest) = (Vec::with_capacity(self.targets.len()), f64::INFINITY);
        for p in &self.targets {
            let at = evaluate(&**p, x)?;
            if at.log_density.iter().all(|l| *l == f64::NEG_INFINITY) {
                return Err(Error::OutsideSupport { particles: at.log_density.len() });
            }
            lowest = lowest.min(crate::num::mean(&at.log_density));
            scores.push(at.score);
        }
        let (unit, label) = (Unit::LogDensity, "mean log p~ of the target where it is lowest");
        Ok((scores, Figure { key: "mean_log_density", label, unit, value: lowest }))
    }

    fn stein(&self, kernel: Kernel, x: &Matrix) -> Result<Combined> {
        let kernel = kernel.resolved(x)?;
        let (scores, lowest) = self.scores(x)?;
        let mut figures = vec![lowest];
        if let Some(w) = kernel.width() {
            let (label, unit) = ("length of the kernel, √w", Unit::Length);
            figures.push(Figure { key: "kernel_length", label, unit, value: w.sqrt() });
        }
        let combined = match self.scheme {
            Scheme::MinNorm => {
                let fields = Fields::of(&kernel, x, &scores);
                common(&fields.fields, &fields.gram(&scores))
            }
            Scheme::Normalised => {
                let fields = Fields::of(&kernel, x, &scores);
                let found = min_norm(&normalised_gram(&kernel, x, &scores), scores.len());
                let mut velocity = Matrix::zeros(x.rows(), x.cols());
                fields.fields.iter().zip(&found.weights).for_each(|(v, &w)| velocity.add_scaled(w, v));
                Combined { velocity, weights: found.weights, common: None, programmes: 1, figures: Vec::new() }
            }
            Scheme::MooSvgd => {
                let each = each(&scores);
                let mut fields = Fields::of(&kernel, x, &[each.velocity]);
                Combined { velocity: fields.fields.swap_remove(0), ..each }
            }
            Scheme::Mgda => each(&scores),
        };
        Ok(Combined { figures, ..combined })
    }

    fn l2(&self, drifts: &[UniversalDrift], scene: &Scene) -> Result<Combined> {
        let (mut fields, mut figures) = (Vec::with_capacity(drifts.len()), Vec::new());
        for drift in drifts {
            let field = drift.field(scene)?.0;
            if figures.is_empty() {
                figures = field.figures.iter().filter(|f| f.key == "bandwidth").copied().collect();
            }
            fields.push(field.velocity);
        }
        let n = scene.x.rows() as f64;
        let dot = |a: &Matrix, b: &Matrix| a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| a * b).sum::<f64>() / n;
        let gram = fields.iter().flat_map(|a| fields.iter().map(move |b| dot(a, b))).collect::<Vec<_>>();
        let combined = if self.scheme == Scheme::Mgda { each(&fields) } else { common(&fields, &gram) };
        Ok(Combined { figures, ..combined })
    }
}

/// E[k s_i·s_j] of scores that are divided by their norm over particles, coordinate by coordinate; K×K by rows.
fn normalised_gram(kernel: &Kernel, x: &Matrix, scores: &[Matrix]) -> Vec<f64> {
    let unit = |s: &Matrix| {
        let (n, d) = s.shape();
        let norms: Vec<f64> = (0..d).map(|e| (0..n).map(|a| s[(a, e)] * s[(a, e)]).sum::<f64>().sqrt()).collect();
        Matrix::from_fn(n, d, |a, e| if norms[e] > 0.0 { s[(a, e)] / norms[e] } else { 0.0 })
    };
    let units: Vec<Matrix> = scores.iter().map(unit).collect();
    let averaged: Vec<Matrix> = units.iter().map(|s| Stein::average(kernel, x, x, s, false)).collect();
    let dot = |a: &Matrix, b: &Matrix| a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| a * b).sum::<f64>();
    units.iter().flat_map(|a| averaged.iter().map(move |b| dot(a, b))).collect()
}

/// Σ_i w_i V_i with the weights of all particles.
fn common(fields: &[Matrix], gram: &[f64]) -> Combined {
    let found = min_norm(gram, fields.len());
    let mut velocity = Matrix::zeros(fields[0].rows(), fields[0].cols());
    fields.iter().zip(&found.weights).for_each(|(v, &w)| velocity.add_scaled(w, v));
    let weights = found.weights.clone();
    Combined { velocity, weights, common: Some(found), programmes: 1, figures: Vec::new() }
}

/// Σ_i w_i(a) V_i(a) with the weights of each particle a.
fn each(fields: &[Matrix]) -> Combined {
    let ((n, d), count) = (fields[0].shape(), fields.len());
    let (mut velocity, mut weights) = (Matrix::zeros(n, d), vec![0.0; count]);
    for a in 0..n {
        let dot = |i: usize, j: usize| fields[i].row(a).iter().zip(fields[j].row(a)).map(|(x, y)| x * y).sum();
        let gram: Vec<f64> = (0..count * count).map(|k| dot(k / count, k % count)).collect();
        let found = min_norm(&gram, count);
        for (i, w) in found.weights.iter().enumerate() {
            weights[i] += w / n as f64;
            velocity.row_mut(a).iter_mut().zip(fields[i].row(a)).for_each(|(o, v)| *o += w * v);
        }
    }
    Combined { velocity, weights, common: None, programmes: n, figures: Vec::new() }
}

impl Stateful for Multi {
    fn save(&self, to: &mut State) {
        if let Metric::L2(drifts) = &self.metric {
            drifts.iter().enumerate().for_each(|(k, drift)| to.put_part(&format!("drift_{k}"), drift));
        }
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        match &mut self.metric {
            Metric::Stein(_) => Ok(()),
            Metric::L2(drifts) => drifts
                .iter_mut()
                .enumerate()
                .try_for_each(|(k, drift)| drift.restore(&from.part(&format!("drift_{k}")))),
        }
    }
}

impl Velocity for Multi {
    fn name(&self) -> &str {
        "multi"
    }

    fn law_use(&self) -> LawUse {
        match &self.metric {
            Metric::Stein(_) => LawUse::None,
            Metric::L2(drifts) => drifts[0].law_use(),
        }
    }

    fn reference(&self) -> usize {
        match &self.metric {
            Metric::Stein(_) => 0,
            Metric::L2(drifts) => drifts[0].reference(),
        }
    }

    fn prepare(&mut self, scene: &Scene) -> Result<()> {
        match &mut self.metric {
            Metric::Stein(_) => Ok(()),
            Metric::L2(drifts) => drifts.iter_mut().try_for_each(|drift| drift.prepare(scene)),
        }
    }

    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        let combined = match &self.metric {
            Metric::Stein(kernel) => self.stein(*kernel, scene.x)?,
            Metric::L2(drifts) => self.l2(drifts, scene)?,
        };
        let mut figures = combined.figures;
        figures.push(Figure::plain("programmes", "quadratic programmes of the step", combined.programmes as f64));
        let shown = WEIGHTS.iter().zip(&combined.weights).map(|((key, label), &w)| Figure::plain(key, label, w));
        figures.extend(shown);
        if let Some(found) = &combined.common {
            let norm = found.value.max(0.0).sqrt();
            figures.push(Figure::plain("pareto_norm", "‖V‖ in its metric, 0 where Pareto stationary", norm));
            let least = found.product.iter().copied().fold(f64::INFINITY, f64::min);
            figures.push(Figure::plain("least_descent", "smallest rate of descent (Uw)_i", least));
        }
        Ok(Pull::Points(Field { figures, ..Field::of(combined.velocity) }))
    }
}
