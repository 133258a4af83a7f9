//! Generalised Wasserstein gradients: the steepest descent of a divergence where a step costs what a Young function says.

mod fit;
mod network;
mod young;

use crate::density::{Density, evaluate};
use crate::divergence;
use crate::error::{Error, Result};
use crate::estimate::{LawUse, Scene, SmoothedTarget};
use crate::linalg::Matrix;
use crate::num::{ln, mean};
use crate::state::{State, Stateful};
use crate::velocity::{
    Field, Figure, Ingredients, LogRatioClip, Pull, Unit, UniversalDrift, Velocity, VelocitySettings,
};
use network::Network;
use std::sync::Arc;
pub use young::Young;

crate::settings! {
    /// Settings of [`FunctionalGradient`].
    pub struct FunctionalSettings in "velocity" {
        /// The Young function g: "power" is (1/p) Σ |f_k|^p; "cosh" has the conjugate Σ (cosh s_k - 1), so that velocities are sinh s_k; "asinh" is
        /// Σ (cosh f_k - 1), so that they are arsinh s_k.
        young: String = "power".into(), Rule::OneOf(&["power", "cosh", "asinh"]);
        /// The exponent p > 1 of "power"; 2 is the Wasserstein gradient.
        p: f64 = 2.0, Rule::Positive;
        /// Where ∇ log(p/q) comes from: "network", "affine" or "constants" fitted by the variational form, which needs no density of q; or
        /// "estimate", the estimator's.
        field: String = "network".into(), Rule::OneOf(&["network", "affine", "constants", "estimate"]);
        /// m_k of each coordinate: its velocity is m_k times that of g. Empty for 1.
        precondition: Vec<f64> = Vec::new(), Rule::Positive;
        /// Rate at which q = p/(p - 1) of "power" ascends (1/q) E|s|_q^q, s fixed; 0 keeps p.
        adapt: f64 = 0.0, Rule::NotNegative;
        /// The f-divergence; other than reverse KL for the field "estimate".
        divergence: String = "reverse-kl".into(), Rule::Any;
        /// Largest |log r| that enters a weight of another divergence.
        clip: f64 = 4.0, Rule::Positive;
        /// Widths of the network's hidden layers.
        layers: Vec<usize> = vec![32, 32], Rule::AtLeast(1);
        /// Learning rate of the network.
        learning_rate: f64 = 1e-3, Rule::Positive;
        /// Training steps in each time step, at most.
        inner: usize = 10, Rule::AtLeast(1);
    }
}

/// V = ∇g*(w(r) ∇ log r): d/dt D_f = -E⟨s, ∇g*(s)⟩ with s = w(r) ∇ log r, for every Young function g; for (1/p)|·|_p^p it is -E|s|_q^q.
///
/// For reverse KL the field is fitted without a density of q: V = argmax_f E_q[⟨∇ log p, f⟩ + div f - g(f)] over a class of fields.
pub struct FunctionalGradient {
    target: Arc<dyn Density>,
    young: Young,
    class: Class,
    adapt: f64,
}

enum Class {
    Constants,
    Affine,
    Network(Box<Network>),
    Estimate(Box<UniversalDrift>),
}

/// Where an adapted p stays, and the largest change of q in a step.
const RANGE: (f64, f64) = (1.1, 6.0);
const LARGEST_CHANGE: f64 = 0.1;

impl VelocitySettings for FunctionalSettings {
    fn name(&self) -> &'static str {
        "functional"
    }
    fn summary(&self) -> &'static str {
        "generalised Wasserstein gradients with a Young function, fixed or adapted"
    }
    fn formula(&self) -> &'static str {
        "V = grad g*(w(r) grad log r), g(f) = (1/p) sum |f_k|^p or another"
    }
    fn source(&self) -> &'static str {
        "Cheng et al. (NeurIPS 2023), GWG"
    }
    fn uses_estimator(&self) -> bool {
        self.field == "estimate"
    }
    fn validate(&self) -> Result<()> {
        Young::named(&self.young, self.p, self.precondition.clone())?;
        if self.young != "power" && self.adapt > 0.0 {
            let expected = "0: only the Young function \"power\" has an exponent that adapts".into();
            return Err(Error::Setting { key: "adapt".into(), value: self.adapt.to_string(), expected });
        }
        if self.divergence != "reverse-kl" && !self.uses_estimator() {
            let expected = "reverse-kl, or the field 'estimate': a fitted field knows no ratio".into();
            return Err(Error::Setting { key: "divergence".into(), value: self.divergence.clone(), expected });
        }
        divergence::by_name(&self.divergence).map(drop)
    }
    fn build(&self, ingredients: Ingredients) -> Result<Box<dyn Velocity>> {
        self.validate()?;
        let young = Young::named(&self.young, self.p, self.precondition.clone())?;
        let (target, seed) = (ingredients.density()?, ingredients.seed);
        let d = target.dim();
        if !(young.coordinates() == 0 || young.coordinates() == d) {
            let what = "the list precondition".into();
            return Err(Error::Dimension { what, expected: d, found: young.coordinates() });
        }
        let class = match self.field.as_str() {
            "constants" => Class::Constants,
            "affine" => Class::Affine,
            "estimate" => {
                let noised = Box::new(SmoothedTarget::new(Arc::clone(&target), 64));
                let estimator = ingredients.estimator("functional")?;
                let drift = UniversalDrift::new(noised, estimator, divergence::by_name(&self.divergence)?);
                Class::Estimate(Box::new(drift.clipped(LogRatioClip { low: -self.clip, high: self.clip })))
            }
            _ => Class::Network(Box::new(Network::new(d, &self.layers, self.learning_rate, self.inner, seed))),
        };
        Ok(Box::new(FunctionalGradient { target, young, class, adapt: self.adapt }))
    }
    fn copy(&self) -> Box<dyn VelocitySettings> {
        Box::new(self.clone())
    }
}

impl FunctionalGradient {
    /// That of reverse KL with a field of constants: exact where p and q differ by a translation of a Gaussian.
    pub fn constants(target: Arc<dyn Density>, young: Young) -> Self {
        Self { target, young, class: Class::Constants, adapt: 0.0 }
    }

    /// That of reverse KL with affine fields: exact where both laws are Gaussian and p = 2.
    pub fn affine(target: Arc<dyn Density>, young: Young) -> Self {
        Self { target, young, class: Class::Affine, adapt: 0.0 }
    }

    /// p, as it was adapted, of a power.
    pub fn exponent(&self) -> Option<f64> {
        self.young.p()
    }

    /// V at the particles of a scene with scores `score` (n×d).
    fn field(&self, scene: &Scene, score: &Matrix) -> Result<Matrix> {
        Ok(match &self.class {
            Class::Constants => fit::constants(&self.young, score),
            Class::Affine => fit::affine(&self.young, scene.x, score)?,
            Class::Network(network) => network.at(scene.x),
            Class::Estimate(drift) => {
                let mut v = drift.field(scene)?.0.velocity;
                let d = v.cols();
                v.as_mut_slice().iter_mut().enumerate().for_each(|(at, v)| *v = self.young.velocity(*v, at % d));
                v
            }
        })
    }

    fn inside(&self, x: &Matrix) -> Result<(Matrix, f64)> {
        let at = evaluate(&*self.target, x)?;
        if at.log_density.iter().all(|l| *l == f64::NEG_INFINITY) {
            return Err(Error::OutsideSupport { particles: at.log_density.len() });
        }
        Ok((at.score, mean(&at.log_density)))
    }

    /// E⟨s, v⟩ and E⟨s, v log|s|⟩ at the field's own s = ∇g(v); for a power E|s|_q^q, and q² d/dq (1/q) E|s|_q^q is q times the second less the
    /// first.
    fn dissipation(&self, v: &Matrix) -> (f64, f64) {
        let (mut sum, mut logarithm) = (0.0, 0.0);
        for (at, v) in v.as_slice().iter().enumerate() {
            let s = self.young.gradient(*v, at % self.target.dim());
            sum += s * v;
            logarithm += if s == 0.0 { 0.0 } else { s * v * ln(s.abs()) };
        }
        let n = v.rows() as f64;
        (sum / n, logarithm / n)
    }
}

impl Stateful for FunctionalGradient {
    fn save(&self, to: &mut State) {
        self.young.p().into_iter().for_each(|p| to.put_row("p", &[p]));
        match &self.class {
            Class::Network(network) => to.put_part("network", &**network),
            Class::Estimate(drift) => to.put_part("drift", &**drift),
            Class::Constants | Class::Affine => {}
        }
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        let young = match self.young.p() {
            Some(_) => self.young.with_exponent(from.matrix::<f64>("p", (1, 1))?[(0, 0)])?,
            None => self.young.clone(),
        };
        match &mut self.class {
            Class::Network(network) => network.restore(&from.part("network"))?,
            Class::Estimate(drift) => drift.restore(&from.part("drift"))?,
            Class::Constants | Class::Affine => {}
        }
        self.young = young;
        Ok(())
    }
}

impl Velocity for FunctionalGradient {
    fn name(&self) -> &str {
        "functional"
    }

    fn law_use(&self) -> LawUse {
        if let Class::Estimate(drift) = &self.class { drift.law_use() } else { LawUse::None }
    }

    fn reference(&self) -> usize {
        if let Class::Estimate(drift) = &self.class { drift.reference() } else { 0 }
    }

    fn prepare(&mut self, scene: &Scene) -> Result<()> {
        match &mut self.class {
            Class::Estimate(drift) => drift.prepare(scene)?,
            Class::Network(_) => {
                let score = self.inside(scene.x)?.0;
                if let Class::Network(network) = &mut self.class {
                    network.train(&self.young, scene.x, &score, scene.seed, scene.clock.step)?;
                }
            }
            Class::Constants | Class::Affine => {}
        }
        if let Some(q) = self.young.q().filter(|_| self.adapt > 0.0) {
            let score = self.inside(scene.x)?.0;
            let (power, logarithm) = self.dissipation(&self.field(scene, &score)?);
            let change = self.adapt * (logarithm / q - power / (q * q));
            let q = q + change.clamp(-LARGEST_CHANGE, LARGEST_CHANGE);
            let p = (q / (q - 1.0)).clamp(RANGE.0, RANGE.1);
            // q near 1 has no conjugate: the range of p keeps it away
            self.young = self.young.with_exponent(if q > 1.0 { p } else { RANGE.1 })?;
        }
        Ok(())
    }

    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        let (score, value) = self.inside(scene.x)?;
        let velocity = self.field(scene, &score)?;
        let dissipation = self.dissipation(&velocity).0;
        let (unit, label) = (Unit::LogDensity, "mean log p~");
        let mut figures = vec![
            Figure { key: "mean_log_density", label, unit, value },
            Figure::plain("dissipation", "E⟨s, V⟩ of the field's s, the rate of descent", dissipation),
        ];
        figures.extend(self.young.p().map(|p| Figure::plain("exponent", "exponent p", p)));
        if let Class::Network(network) = &self.class {
            figures.push(Figure::plain("held_out", "held-out value of the variational form", network.held_out));
        }
        Ok(Pull::Points(Field { figures, ..Field::of(velocity) }))
    }
}
