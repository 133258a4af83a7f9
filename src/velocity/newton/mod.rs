//! Functionals of a cloud: saddle-free Newton steps, perturbed gradient flow, what is known to second order.

mod check;
mod functionals;
mod kernels;
mod ksd;
mod pairs;
mod perturbed;

use crate::error::{Error, Result};
use crate::estimate::Scene;
use crate::linalg::{Lanczos, Matrix, SymmetricEigen, conjugate_gradients, dot};
use crate::num::{cos, tan};
use crate::rng::{Purpose, normal_matrix};
use crate::state::Stateful;
use crate::velocity::{Figure, Ingredients, Kind, Pull, Velocity, VelocitySettings, root_mean_square};
pub use check::{SecondOrder, check_functional};
pub use functionals::{Functional, QuarticQuadratic, TanhFactorisation, VarianceCosine};
pub use kernels::{Mmd, Radial};
pub use ksd::Ksd;
pub use perturbed::{Perturbed, PerturbedSettings};
use std::sync::Arc;

crate::settings! {
    /// Settings of [`Newton`].
    pub struct NewtonSettings in "velocity" {
        /// F: "mmd", half the squared MMD to samples of the target, "energy-distance", half of that, or "ksd", half the squared kernel Stein
        /// discrepancy to a Gaussian mixture.
        functional: String = "mmd".into(), Rule::OneOf(&["mmd", "energy-distance", "ksd"]);
        /// Length η of a step, in (0, 1]; 1 is Newton's.
        eta: f64 = 1.0, Rule::Fraction;
        /// The regularisation ε of (H² + εI)^(-1/2).
        epsilon: f64 = 1e-2, Rule::Positive;
        /// "root" is (H² + εI)^(-1/2); "shifted" is ((H²)^(1/2) + εI)^(-1): the abstract of the source can be read as either.
        regularised: String = "root".into(), Rule::OneOf(&["root", "shifted"]);
        /// Products with H of a step (Lanczos); all eigenvectors where particles × dimensions is smaller.
        products: usize = 40, Rule::AtLeast(1);
        /// Largest displacement of a step, as a root mean square over particles: a trust radius in W2.
        trust: f64 = 0.2, Rule::Positive;
        /// Root mean square of the kick of a step that starts at a saddle, where the gradient vanishes to rounding; 0 for none.
        kick: f64 = 1e-3, Rule::NotNegative;
        /// Width σ of the kernel exp(-|x-y|²/(2σ²)) of "mmd" and "ksd".
        sigma: f64 = 1.0, Rule::Positive;
        /// Samples of the target behind "mmd" and "energy-distance".
        samples: usize = 512, Rule::AtLeast(2);
    }
}

/// How (H² + εI)^{-1/2} v is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Solver {
    /// By all eigenvectors of the Nd×Nd matrix H.
    Dense,
    /// By Lanczos' method with so many products.
    Lanczos(usize),
    /// By (H² + ε)^{-1/2} = (2/π) ∫ (H² + ε + t²)^{-1} dt over t > 0 and conjugate gradients for each of so many nodes.
    Shifted(usize),
}

/// x ← x - η (H² + εI)^{-1/2} v with Armijo's halvings and a trust radius in W2: along an eigenvector with eigenvalue λ a deviation from
/// a stationary law is multiplied by 1 - η λ/√(λ² + ε), so that saddles are left at a rate that their depth does not enter (Lascu and
/// Suzuki, arXiv 2605.17963; the particle form is ours).
pub struct Newton {
    /// F.
    pub functional: Arc<dyn Functional>,
    /// η, ε, and the reading of the preconditioner.
    pub settings: NewtonSettings,
    /// How it is applied.
    pub solver: Solver,
    /// Whether the step is held to the trust radius and to a decrease of F.
    pub guarded: bool,
}

/// A decrease of F by this share of what the slope promises is enough.
const ARMIJO: f64 = 1e-4;
const HALVINGS: usize = 40;
/// Gradients below this share of the largest curvature times the particles' spread count as none.
const STATIONARY: f64 = 1e-12;
/// Eigenvalues of the Hessian above minus this share of the largest are not negative.
const FLAT: f64 = 1e-9;
/// Conjugate gradients end here, relative to the right side.
const SOLVED: f64 = 1e-14;

impl VelocitySettings for NewtonSettings {
    fn name(&self) -> &'static str {
        "newton"
    }
    fn summary(&self) -> &'static str {
        "saddle-free Newton steps on a squared distance to the target"
    }
    fn formula(&self) -> &'static str {
        "x <- x - eta (H^2 + eps I)^(-1/2) grad F"
    }
    fn source(&self) -> &'static str {
        "Lascu and Suzuki (arXiv 2605.17963, abstract)"
    }
    fn memory(&self, dim: usize) -> f64 {
        8.0 * self.samples as f64 * dim as f64
    }
    /// A step is a displacement, whatever the time.
    fn pace(&self, _: Option<f64>) -> (Option<f64>, u64) {
        (None, 1000)
    }
    fn functional(&self, ingredients: &Ingredients) -> Result<Option<Arc<dyn Functional>>> {
        named(self.name(), &self.functional, self.sigma, self.samples, ingredients).map(Some)
    }
    fn build(&self, ingredients: Ingredients) -> Result<Box<dyn Velocity>> {
        let functional = named(self.name(), &self.functional, self.sigma, self.samples, &ingredients)?;
        let solver = Solver::Lanczos(self.products);
        Ok(Box::new(Newton { functional, settings: self.clone(), solver, guarded: true }))
    }
    fn copy(&self) -> Box<dyn VelocitySettings> {
        Box::new(self.clone())
    }
}

/// P v with what was seen of H on the way.
struct Preconditioned {
    step: Matrix,
    /// The smallest eigenvalue; NaN where the solver sees none.
    lowest: f64,
    /// The largest |eigenvalue|, or |Hv|/|v| where the solver sees none.
    largest: f64,
}

/// √(Σ_i |v_i|²/N): the norm of a field in L²(q).
fn size(v: &Matrix) -> f64 {
    root_mean_square(v) * (v.cols() as f64).sqrt()
}

/// The functional that a setting names, for the velocity `velocity`: towards `count` samples of the target, or by its score.
fn named(
    velocity: &str,
    functional: &str,
    sigma: f64,
    count: usize,
    ingredients: &Ingredients,
) -> Result<Arc<dyn Functional>> {
    let density = ingredients.density()?;
    if functional == "ksd" {
        let mixture = density.mixture().ok_or_else(|| Error::Mismatch {
            what: format!("the velocity '{velocity}' takes the functional 'ksd' to Gaussian mixtures alone"),
            remedy: "choose the functional mmd or energy-distance".into(),
        })?;
        return Ok(Arc::new(Ksd::new(mixture.clone(), sigma)));
    }
    let samples = density.sample(count, ingredients.seed).ok_or_else(|| Error::Mismatch {
        what: format!("the velocity '{velocity}' needs samples of the target, which has no exact sampler"),
        remedy: "give a target that can be sampled, such as a mixture".into(),
    })?;
    Ok(if functional == "mmd" { Arc::new(Mmd::gaussian(samples, sigma)) } else { Arc::new(Mmd::energy(samples)) })
}

impl Newton {
    /// λ ↦ the preconditioner.
    fn filter(&self) -> impl Fn(f64) -> f64 + '_ {
        let (epsilon, root) = (self.settings.epsilon, self.settings.regularised == "root");
        move |l: f64| if root { 1.0 / (l * l + epsilon).sqrt() } else { 1.0 / (l.abs() + epsilon) }
    }

    /// P v at x.
    fn preconditioned(&self, x: &Matrix, v: &Matrix) -> Result<Preconditioned> {
        let (n, d) = x.shape();
        let product = |u: &[f64]| self.functional.hessian(x, &Matrix::from_vec(n, d, u.to_vec())).into_vec();
        let ends = |values: &[f64]| (values[0], values.iter().fold(0.0f64, |m, l| m.max(l.abs())));
        let (values, (lowest, largest)) = match self.solver {
            Solver::Dense => {
                let unit = |k: usize| (0..n * d).map(|i| f64::from(u8::from(i == k))).collect::<Vec<f64>>();
                let columns: Vec<Vec<f64>> = (0..n * d).map(|k| product(&unit(k))).collect();
                let h = Matrix::from_fn(n * d, n * d, |i, j| 0.5 * (columns[j][i] + columns[i][j]));
                let eigen = SymmetricEigen::of(&h, "Hessian")?;
                let filter = self.filter();
                let mut out = vec![0.0; n * d];
                for (value, z) in eigen.values.iter().zip(eigen.vectors.iter_rows()) {
                    let weight = filter(*value) * dot(z, v.as_slice());
                    out.iter_mut().zip(z).for_each(|(o, z)| *o += weight * z);
                }
                (out, ends(&eigen.values))
            }
            Solver::Lanczos(steps) => {
                let space = Lanczos::new(v.as_slice(), steps, product)?;
                (space.apply(self.filter()), ends(space.values()))
            }
            Solver::Shifted(nodes) => {
                let once = product(v.as_slice());
                let along = (dot(&once, &once) / dot(v.as_slice(), v.as_slice())).sqrt();
                (self.by_shifts(nodes, v.as_slice(), product), (f64::NAN, along))
            }
        };
        Ok(Preconditioned { step: Matrix::from_vec(n, d, values), lowest, largest })
    }

    /// (2/π) Σ over the midpoint rule in θ, t = √ε tan θ … scaled to the middle of the spectrum: the integrand is periodic, so the rule
    /// converges geometrically.
    fn by_shifts(&self, nodes: usize, v: &[f64], product: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
        let epsilon = self.settings.epsilon;
        let once = product(v);
        let scale =
            (epsilon + dot(&once, &once) / dot(v, v).max(f64::MIN_POSITIVE)).sqrt().sqrt() * epsilon.sqrt().sqrt();
        let mut out = vec![0.0; v.len()];
        for k in 0..nodes {
            let theta = (k as f64 + 0.5) / nodes as f64 * std::f64::consts::FRAC_PI_2;
            let (t, weight) = (scale * tan(theta), scale / cos(theta).powi(2) / nodes as f64);
            // (H² + ε + t²) y = v
            let shift = epsilon + t * t;
            let shifted = |x: &[f64]| {
                let mut image = product(&product(x));
                image.iter_mut().zip(x).for_each(|(a, p)| *a += shift * p);
                image
            };
            let y = conjugate_gradients(v, shifted, <[f64]>::to_vec, SOLVED, 10 * v.len());
            out.iter_mut().zip(&y).for_each(|(o, y)| *o += weight * y);
        }
        out
    }
}

impl Stateful for Newton {}

impl Velocity for Newton {
    fn name(&self) -> &str {
        "newton"
    }

    fn kind(&self) -> Kind {
        Kind::Displacement
    }

    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        let (x, s) = (scene.x, &self.settings);
        let (n, d) = x.shape();
        let (value, v) = (self.functional.value(x), self.functional.gradient(x));
        let size = size(&v);
        let mut figures = vec![
            Figure::plain("functional", "F of the particles", value),
            Figure::plain("gradient_norm", "norm of the Wasserstein gradient of F", size),
        ];
        let found = if size == 0.0 { None } else { Some(self.preconditioned(x, &v)?) };
        // a gradient that is no number goes on, to be found by whoever takes the step
        let vanishes = |f: &Preconditioned| size <= STATIONARY * f.largest * x.spread();
        let Some(Preconditioned { step, lowest, .. }) = found.filter(|f| !vanishes(f)) else {
            let kick: Matrix = normal_matrix(scene.seed, Purpose::Jitter, (1 << 61) | scene.clock.step, n, d);
            let around = self.preconditioned(x, &kick)?;
            // at a minimum there is nowhere to go
            let by = if around.lowest >= -FLAT * around.largest { 0.0 } else { s.kick };
            return Ok(Pull::Displacement { by: kick.map(|z| by * z), accepted: 0.0, figures });
        };
        if lowest.is_finite() {
            figures.push(Figure::plain("lowest_curvature", "smallest eigenvalue of the Hessian that was seen", lowest));
        }
        let mut length = s.eta;
        if self.guarded {
            let rms = self::size(&step);
            length = length.min(s.trust / rms);
            let slope = dot(v.as_slice(), step.as_slice()) / n as f64;
            let after = |length: f64| {
                let mut y = x.clone();
                y.add_scaled(-length, &step);
                self.functional.value(&y)
            };
            for _ in 0..HALVINGS {
                // rounding of F where nothing is left to gain
                if after(length) <= value - ARMIJO * length * slope + 1e-15 * value.abs() {
                    break;
                }
                length *= 0.5;
            }
        }
        Ok(Pull::Displacement { by: step.map(|p| -length * p), accepted: length, figures })
    }
}
