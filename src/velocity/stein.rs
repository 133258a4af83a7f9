//! Stein's velocity: the drift averaged by a kernel.

use crate::density::{Density, evaluate};
use crate::divergence;
use crate::error::{Error, Result};
use crate::estimate::{FEW, LawUse, Scene, SmoothedTarget, kernel_sums};
use crate::linalg::Matrix;
use crate::num::{Real, exp, powf};
use crate::parallel;
use crate::state::{State, Stateful};
use crate::velocity::{
    Field, Figure, Ingredients, LogRatioClip, Pull, Unit, UniversalDrift, Velocity, VelocitySettings, median_width,
};
use std::sync::Arc;

crate::settings! {
    /// Settings of [`Stein`].
    pub struct SteinSettings in "velocity" {
        /// "rbf" is exp(-|x-y|²/w), "imq" is (1 + |x-y|²/w)^(-1/2), "linear" is x·y + 1.
        kernel: String = "rbf".into(), Rule::OneOf(&["rbf", "imq", "linear"]);
        /// The width w; by the median rule where absent: the median of |x_i - x_j|² over all pairs (i = j too) over log n.
        width: Option<f64> = None, Rule::Positive;
        /// The f-divergence; reverse KL needs no estimate of q.
        divergence: String = "reverse-kl".into(), Rule::Any;
        /// Largest |log r| that enters a weight of another divergence.
        clip: f64 = 4.0, Rule::Positive;
        /// Numbers of the sums over pairs: "f64"; or "f32", for "rbf" and reverse KL in up to 11 dimensions, whose sums of 64 particles are
        /// added in f64.
        pairs: String = "f64".into(), Rule::OneOf(&["f64", "f32"]);
    }
}

/// A kernel k(x, y).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kernel {
    /// exp(-|x-y|²/w); w by the median rule where None.
    Rbf(Option<f64>),
    /// (1 + |x-y|²/w)^(-1/2); w by the median rule where None.
    Imq(Option<f64>),
    /// x·y + 1.
    Linear,
}

/// V(x) = ∫ k(x, y) w(r(y)) ∇ log r(y) q(dy): the gradient flow of D_f in the geometry of the kernel, d/dt D_f = -‖V‖²_k.
///
/// For reverse KL, w = 1, integration by parts leaves no density of q (Liu and Wang, 2016):
/// V(x_i) = (1/n) Σ_j [k(x_i, x_j) s_p(x_j) + ∇_{x_j} k(x_i, x_j)], the sum over all particles, j = i too. For the other divergences
/// w ∇ log r comes from an estimator, at the noised particles y_j.
pub struct Stein {
    target: Arc<dyn Density>,
    kernel: Kernel,
    /// The drift under the integral, where it is not that of reverse KL.
    drift: Option<UniversalDrift>,
    /// Whether sums over pairs are f32 where they can be.
    single: bool,
}

/// Particles of one task.
const CHUNK: usize = 32;

impl VelocitySettings for SteinSettings {
    fn name(&self) -> &'static str {
        "stein"
    }
    fn summary(&self) -> &'static str {
        "Stein variational gradient, for every divergence"
    }
    fn formula(&self) -> &'static str {
        "V(x) = E_q[k(x, y) w(r(y)) grad log r(y)]"
    }
    fn source(&self) -> &'static str {
        "Liu and Wang (NeurIPS 2016); other divergences: T3"
    }
    fn uses_estimator(&self) -> bool {
        self.divergence != "reverse-kl"
    }
    fn validate(&self) -> Result<()> {
        if self.pairs == "f32" && (self.kernel != "rbf" || self.uses_estimator()) {
            let expected = "f64, but for the kernel rbf and reverse KL".into();
            return Err(Error::Setting { key: "pairs".into(), value: self.pairs.clone(), expected });
        }
        divergence::by_name(&self.divergence).map(drop)
    }
    fn build(&self, ingredients: Ingredients) -> Result<Box<dyn Velocity>> {
        let kernel = Kernel::named(&self.kernel, self.width);
        let target = ingredients.density()?;
        if !self.uses_estimator() {
            return Ok(Box::new(Stein { single: self.pairs == "f32", ..Stein::new(target, kernel) }));
        }
        let divergence = divergence::by_name(&self.divergence)?;
        let noised = Box::new(SmoothedTarget::new(Arc::clone(&target), 64));
        let drift = UniversalDrift::new(noised, ingredients.estimator("stein")?, divergence);
        let drift = Some(drift.clipped(LogRatioClip { low: -self.clip, high: self.clip }));
        Ok(Box::new(Stein { target, kernel, drift, single: false }))
    }
    fn copy(&self) -> Box<dyn VelocitySettings> {
        Box::new(self.clone())
    }
}

/// ∇_y exp(-|x-y|²/w) = (2/w) exp(-|x-y|²/w) (x - y): 2/w.
fn slope(w: f64) -> f64 {
    mutant!("stein-gaussian-slope", 1.0, 2.0) / w
}

/// The part of ∇_y k = c (x - y) in a velocity, gap = x - y.
fn repulsion(c: f64, gap: f64) -> f64 {
    mutant!("stein-attraction", -c * gap, c * gap)
}

fn square_distance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum()
}

impl Kernel {
    /// The kernel of that name in the settings.
    pub(super) fn named(name: &str, width: Option<f64>) -> Self {
        match name {
            "imq" => Kernel::Imq(width),
            "linear" => Kernel::Linear,
            _ => Kernel::Rbf(width),
        }
    }

    /// The kernel with its width chosen.
    pub(super) fn resolved(self, x: &Matrix) -> Result<Self> {
        Ok(match self {
            Kernel::Rbf(None) => Kernel::Rbf(Some(median_width(x)?)),
            Kernel::Imq(None) => Kernel::Imq(Some(median_width(x)?)),
            chosen => chosen,
        })
    }

    /// k(x, y) and c with ∇_y k(x, y) = c (x - y); for the linear kernel the gradient is x itself.
    pub(super) fn at(&self, x: &[f64], y: &[f64]) -> (f64, f64) {
        match self {
            Kernel::Rbf(w) => {
                let w = w.unwrap_or(1.0);
                let k = exp(-square_distance(x, y) / w);
                (k, slope(w) * k)
            }
            Kernel::Imq(w) => {
                let w = w.unwrap_or(1.0);
                let base = 1.0 + square_distance(x, y) / w;
                let k = powf(base, -0.5);
                (k, k / (mutant!("stein-multiquadric-slope", 1.0, base) * w))
            }
            Kernel::Linear => (1.0 + x.iter().zip(y).map(|(a, b)| a * b).sum::<f64>(), 0.0),
        }
    }

    pub(super) fn width(&self) -> Option<f64> {
        match self {
            Kernel::Rbf(w) | Kernel::Imq(w) => *w,
            Kernel::Linear => None,
        }
    }
}

impl Stein {
    /// That of reverse KL towards `target`.
    pub fn new(target: Arc<dyn Density>, kernel: Kernel) -> Self {
        Self { target, kernel, drift: None, single: false }
    }

    /// With sums over pairs in f32 (rounding 1e-6 of the largest term), for the Gaussian kernel in up to 11 dimensions.
    pub fn single(self) -> Self {
        Self { single: true, ..self }
    }

    /// [`Stein::average`] of the scores with the repulsion, for particles among themselves.
    fn descent(&self, kernel: &Kernel, x: &Matrix, score: &Matrix) -> Matrix {
        match kernel {
            Kernel::Rbf(Some(w)) if x.cols() <= FEW && self.single => {
                let x = x.cast::<f32>();
                gaussian_average(&x, &x, &score.cast(), *w, true).cast()
            }
            _ => Self::average(kernel, x, x, score, true),
        }
    }

    /// (1/n) Σ_j [k(x_i, y_j) b_j + ∇_{y_j} k(x_i, y_j), the latter where `repulsive`], row by row.
    pub(super) fn average(kernel: &Kernel, x: &Matrix, y: &Matrix, b: &Matrix, repulsive: bool) -> Matrix {
        let (n, d) = x.shape();
        if let (Kernel::Rbf(Some(w)), true) = (kernel, d <= FEW) {
            return gaussian_average(x, y, b, *w, repulsive);
        }
        let (share, mut out) = (1.0 / y.rows() as f64, Matrix::zeros(n, d));
        let rows = out.as_mut_slice().chunks_mut(CHUNK * d).zip(x.as_slice().chunks(CHUNK * d));
        parallel::for_each(rows, |(out, x)| {
            for (out, x) in out.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                for (y, b) in y.iter_rows().zip(b.iter_rows()) {
                    let (k, c) = kernel.at(x, y);
                    out.iter_mut().zip(b).for_each(|(o, b)| *o += k * b);
                    match kernel {
                        _ if !repulsive => {}
                        Kernel::Linear => {
                            out.iter_mut().zip(x).for_each(|(o, x)| mutant!("stein-linear-repulsion", *o -= x, *o += x))
                        }
                        _ => out.iter_mut().zip(x.iter().zip(y)).for_each(|(o, (x, y))| *o += repulsion(c, *x - *y)),
                    }
                }
                out.iter_mut().for_each(|o| *o *= share);
            }
        });
        out
    }
}

/// (1/n) Σ_j [k(x_i, y_j) b_j + ∇_{y_j} k(x_i, y_j), the latter where `repulsive`] with k(x, y) = exp(-|x-y|²/w) at the rows of x (n×d), in
/// either precision, for d at most 11: Stein's velocity where y is x and b the scores of the target there. O(n N d), and no n×N matrix.
#[track_caller]
pub fn gaussian_average<T: Real>(x: &Matrix<T>, y: &Matrix<T>, b: &Matrix<T>, w: f64, repulsive: bool) -> Matrix<T> {
    let (share, c) = (1.0 / y.rows() as f64, if repulsive { repulsion(slope(w), 1.0) } else { 0.0 });
    kernel_sums(x, y, b, w, c).map(|sum| T::from_f64(sum.to_f64() * share))
}

impl Stateful for Stein {
    fn save(&self, to: &mut State) {
        if let Some(drift) = &self.drift {
            to.put_part("drift", drift);
        }
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        self.drift.as_mut().map_or(Ok(()), |drift| drift.restore(&from.part("drift")))
    }
}

impl Velocity for Stein {
    fn name(&self) -> &str {
        "stein"
    }

    fn law_use(&self) -> LawUse {
        self.drift.as_ref().map_or(LawUse::None, |d| d.law_use())
    }

    fn reference(&self) -> usize {
        self.drift.as_ref().map_or(0, |d| d.reference())
    }

    fn prepare(&mut self, scene: &Scene) -> Result<()> {
        self.drift.as_mut().map_or(Ok(()), |drift| drift.prepare(scene))
    }

    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        let kernel = self.kernel.resolved(scene.x)?;
        let (velocity, figures) = match &self.drift {
            None => {
                let at = evaluate(&*self.target, scene.x)?;
                if at.log_density.iter().all(|l| *l == f64::NEG_INFINITY) {
                    return Err(Error::OutsideSupport { particles: at.log_density.len() });
                }
                let (unit, value) = (Unit::LogDensity, crate::num::mean(&at.log_density));
                let figure = Figure { key: "mean_log_density", label: "mean log p~", unit, value };
                (self.descent(&kernel, scene.x, &at.score), vec![figure])
            }
            Some(drift) => {
                let (field, y) = drift.field(scene)?;
                (Self::average(&kernel, scene.x, &y, &field.velocity, false), field.figures)
            }
        };
        let mut field = Field { figures, ..Field::of(velocity) };
        if let Some(w) = kernel.width() {
            let (label, unit) = ("length of the kernel, √w", Unit::Length);
            field.figures.push(Figure { key: "kernel_length", label, unit, value: w.sqrt() });
        }
        Ok(Pull::Points(field))
    }
}
