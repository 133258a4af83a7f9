//! The gradient flow of the Sinkhorn divergence: samples in place of a density.

use crate::divergence::ReverseKl;
use crate::error::Result;
use crate::estimate::{Classed, Clock, Exact, LawUse, Scene, SmoothedTarget};
use crate::linalg::Matrix;
use crate::state::{State, Stateful};
use crate::transport::{Cloud, Cost, Coupling, Sinkhorn, couple, couple_with_itself};
use crate::velocity::target_points::TargetPoints;
use crate::velocity::{Field, Figure, Ingredients, Pull, Reference, Unit, UniversalDrift, Velocity, VelocitySettings};
use std::sync::Arc;

crate::settings! {
    /// Settings of [`SinkhornFlow`].
    pub struct SinkhornSettings in "velocity" {
        /// ε, in units of the cost in the model's frame, all along; by `blur_start` and `blur_end` where absent.
        epsilon: Option<f64> = None, Rule::Positive;
        /// ε at the start, over the mean cost scale of the target: E|Y - Y'|² (its root for the cost "distance").
        blur_start: f64 = 0.05, Rule::Positive;
        /// The same at the end.
        blur_end: f64 = 0.002, Rule::Positive;
        /// Fraction of the steps over which ε falls, geometrically.
        anneal: f64 = 0.5, Rule::Fraction;
        /// "half-square" is |x-y|²/2, "distance" is |x-y|.
        cost: String = "half-square".into(), Rule::OneOf(&["half-square", "distance"]);
        /// The plan of q with itself: "second" couples with a second batch where the model draws one, "masked" leaves own pairs out, "plain" keeps
        /// them. Particles have no second batch: "second" is "plain" there, the exact gradient of their divergence.
        self_term: String = "second".into(), Rule::OneOf(&["second", "masked", "plain"]);
        /// Rows of the second batch.
        second: usize = 1024, Rule::AtLeast(2);
        /// Points of the target that a step looks at, drawn anew by their weights; 0 for all of them.
        points: usize = 1024, Rule::AtLeast(0);
        /// Particles of the search where the target is a density.
        searched: usize = 8192, Rule::AtLeast(2);
        /// Strength ρ of relaxed marginals, in units of the cost in the model's frame; exact marginals where absent. Points much farther than √ρ
        /// (the cost "distance": ρ) from all others hardly pull.
        relax: Option<f64> = None, Rule::Positive;
        /// Where Sinkhorn's iteration stops: the largest sum of |marginal error|.
        tolerance: f64 = 1e-3, Rule::Positive;
        /// Where it stops at the latest.
        iterations: usize = 500, Rule::AtLeast(1);
        /// Fraction of the steps, the last ones, that follow the drift ∇ log(p/q) of reverse KL in place of the plans, for a target and a model with
        /// densities: batches tell masses, the drift tells shapes. None where absent; a generator of a density has 0.5.
        polish: Option<f64> = None, Rule::Fraction;
    }
}

/// V(x) = -δ/δq S_ε(q, p)'s gradient: T_qp(x) - T_qq'(x) for the cost ½ |x - y|², T the barycentric projections of the plans.
///
/// For both costs V_i = Σ_j P^qq'_ij ∇₁c(x_i, x'_j)/a_i - Σ_j P^qp_ij ∇₁c(x_i, y_j)/a_i. With the plain self-term it is minus the gradient
/// of S_ε of the cloud over its weights, exactly; a batch of a generator that is coupled with itself finds its own points there
/// (T_qq(x_i) → x_i as ε → 0), so that its mean is biased at q = p; with an independent second batch it is 0.
///
/// Where samples have labels and the model classes, each class follows its own samples, and with guidance w > 0 goes beyond them, away from all
/// others (`by_class`).
///
/// p is given by samples, or by weighted particles of the search for a density: Sinkhorn takes weights, and masses cross gaps.
/// (Feydy et al., AISTATS 2019.)
pub struct SinkhornFlow {
    target: TargetPoints,
    settings: SinkhornSettings,
    /// From which progress of the run on something else is followed, and what.
    polish: Option<(f64, UniversalDrift)>,
}

impl VelocitySettings for SinkhornSettings {
    fn name(&self) -> &'static str {
        "sinkhorn"
    }
    fn summary(&self) -> &'static str {
        "gradient flow of the Sinkhorn divergence, from samples or particles of a search"
    }
    fn formula(&self) -> &'static str {
        "V(x) = T_qp(x) - T_qq'(x)"
    }
    fn source(&self) -> &'static str {
        "Feydy et al. (AISTATS 2019)"
    }
    fn memory(&self, dim: usize) -> f64 {
        // points and their columns, of the target, the batch and the second batch
        8.0 * (self.searched + 2 * self.points + 2 * self.second) as f64 * (dim as f64 + 4.0)
    }
    /// V is a displacement to the target: 1 is the whole way.
    fn pace(&self, _: Option<f64>) -> (Option<f64>, u64) {
        (Some(0.2), 50)
    }
    fn build(&self, ingredients: Ingredients) -> Result<Box<dyn Velocity>> {
        let drift = |p| UniversalDrift::new(Box::new(SmoothedTarget::new(p, 64)), Box::new(Exact), Arc::new(ReverseKl));
        let polish = self.polish.map(|share| Ok((1.0 - share, drift(ingredients.density()?)))).transpose()?;
        let target = TargetPoints::of(&ingredients, self.searched)?;
        Ok(Box::new(SinkhornFlow { target, settings: self.clone(), polish }))
    }
    fn copy(&self) -> Box<dyn VelocitySettings> {
        Box::new(self.clone())
    }
}

impl SinkhornFlow {
    /// E|Y - Y'|² of the target, or its root.
    fn scale(&self) -> f64 {
        let square = self.target.mean_square_distance;
        let scale = if self.cost() == Cost::Distance { square.sqrt() } else { square };
        // one point has no scale
        if scale > 0.0 { scale } else { 1.0 }
    }

    fn cost(&self) -> Cost {
        if self.settings.cost == "distance" { Cost::Distance } else { Cost::HalfSquare }
    }

    /// How plans are computed at a step.
    fn sinkhorn(&self, clock: Clock) -> Sinkhorn {
        let s = &self.settings;
        let falling = || self.scale() * clock.geometric(s.blur_start, s.blur_end, s.anneal);
        let epsilon = s.epsilon.unwrap_or_else(falling);
        let (tolerance, max_iterations) = (s.tolerance, s.iterations);
        Sinkhorn { cost: self.cost(), tolerance, max_iterations, relax: s.relax, ..Sinkhorn::new(epsilon) }
    }

    /// E[∇₁c] under the plan of q with itself, n×d, and the plan.
    fn own(&self, q: &Cloud, reference: Reference, with: &Sinkhorn) -> Result<(Matrix, Coupling)> {
        let (plan, other) = match (self.settings.self_term.as_str(), reference) {
            ("second", Reference::Independent(second)) => {
                let other = Cloud::new(second, None)?;
                (couple(q, &other, with)?, Some(other))
            }
            ("masked", _) => (couple_with_itself(q, with, true)?, None),
            _ => (couple_with_itself(q, with, false)?, None),
        };
        Ok((plan.gradient(q, other.as_ref().unwrap_or(q)), plan))
    }
}

/// Points with their log-weights.
type Weighted = (Matrix, Option<Vec<f64>>);

impl SinkhornFlow {
    /// V at x towards these points, n×d, and its plans.
    fn towards(
        &self,
        x: &Matrix,
        reference: Reference,
        to: Weighted,
        with: &Sinkhorn,
    ) -> Result<(Matrix, Vec<Coupling>)> {
        let (q, p) = (Cloud::<f64>::new(x, None)?, Cloud::new(&to.0, to.1.as_deref())?);
        let cross = couple(&q, &p, with)?;
        let (mut velocity, own) = self.own(&q, reference, with)?;
        velocity.add_scaled(mutant!("sinkhorn-not-debiased", -0.9, -1.0), &cross.gradient(&q, &p));
        Ok((velocity, vec![cross, own]))
    }

    /// V of each class c, with guidance w away from all points p: T_(q_c p_c) - T_(q_c q_c) + w (T_(q_c p_c) - T_(q_c p)). A class without
    /// particles in this step is left out.
    fn by_class(&self, scene: &Scene, classes: &Classed, with: &Sinkhorn) -> Result<(Matrix, Vec<Coupling>)> {
        let mut velocity = Matrix::zeros(scene.x.rows(), scene.x.cols());
        let (mut plans, count) = (Vec::new(), self.settings.points);
        for class in 0..self.target.classes() {
            let of = |all: &[usize]| (0..all.len()).filter(|&i| all[i] == class).collect::<Vec<_>>();
            let (rows, second) = (of(&classes.x), of(&classes.reference));
            let second = match scene.reference {
                Reference::Independent(_) if second.is_empty() => continue,
                Reference::Independent(all) => Some(all.gather_rows(&second)),
                Reference::Own => None,
            };
            if rows.is_empty() {
                continue;
            }
            let x = scene.x.gather_rows(&rows);
            let reference = second.as_ref().map_or(Reference::Own, Reference::Independent);
            let to = self.target.class(class, count, scene.clock, scene.seed);
            let size = if count == 0 { 0 } else { to.0.rows() };
            let (mut own, mut of_class) = self.towards(&x, reference, to.clone(), with)?;
            if classes.guidance > 0.0 {
                let (q, p) = (Cloud::<f64>::new(&x, None)?, Cloud::new(&to.0, to.1.as_deref())?);
                let (points, weights) = self.target.batch(size, scene.clock, scene.seed);
                let all = Cloud::new(&points, weights.as_deref())?;
                let away = couple(&q, &all, with)?;
                own.add_scaled(-classes.guidance, &of_class[0].gradient(&q, &p));
                own.add_scaled(mutant!("guidance-sign", -classes.guidance, classes.guidance), &away.gradient(&q, &all));
                of_class.push(away);
            }
            rows.iter().zip(own.iter_rows()).for_each(|(&i, v)| velocity.row_mut(i).copy_from_slice(v));
            plans.append(&mut of_class);
        }
        Ok((velocity, plans))
    }
}

impl Stateful for SinkhornFlow {
    fn save(&self, to: &mut State) {
        to.put_part("target", &self.target);
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        self.target.restore(&from.part("target"))
    }
}

impl Velocity for SinkhornFlow {
    fn name(&self) -> &str {
        "sinkhorn"
    }

    fn reference(&self) -> usize {
        if self.settings.self_term == "second" { self.settings.second } else { 0 }
    }

    fn law_use(&self) -> LawUse {
        self.polish.as_ref().map_or(LawUse::None, |(_, drift)| drift.law_use())
    }

    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        if let Some((_, drift)) = self.polish.as_ref().filter(|(from, _)| scene.clock.progress() >= *from) {
            return drift.evaluate(scene);
        }
        let with = self.sinkhorn(scene.clock);
        let (velocity, plans) = match scene.classes.filter(|_| self.target.classes() > 0) {
            None => self.towards(
                scene.x,
                scene.reference,
                self.target.batch(self.settings.points, scene.clock, scene.seed),
                &with,
            )?,
            Some(classes) => self.by_class(scene, classes, &with)?,
        };
        let blur = match with.cost {
            Cost::HalfSquare => with.epsilon.sqrt(),
            Cost::Distance => with.epsilon,
        };
        let marginal = plans.iter().map(|p| p.marginal_error).fold(0.0, f64::max);
        let iterations = plans.iter().map(|p| p.iterations).max().unwrap_or(0) as f64;
        let figures = vec![
            Figure { key: "blur", label: "blur, √ε or ε of the cost |x-y|", unit: Unit::Length, value: blur },
            Figure::plain("marginal_error", "largest marginal error of the plans", marginal),
            Figure::plain("sinkhorn_iterations", "Sinkhorn iterations at the last ε", iterations),
        ];
        Ok(Pull::Points(Field { figures, ..Field::of(velocity) }))
    }
}
