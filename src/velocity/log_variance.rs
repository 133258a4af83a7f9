//! The log-variance divergence D_LV^m(q, p) = Var_m(log q - log p) with a reference m of one's choice (T8): a cotangent of log q, not a velocity.

use crate::density::evaluate_log_density;
use crate::error::{Error, Result};
use crate::estimate::{Annealing, LawUse, Noise, NoisedTarget, Query, Scene, SmoothedTarget, centre_log_ratio};
use crate::linalg::Matrix;
use crate::num::{exp, ln, log_sum_exp, mean};
use crate::rng::{Purpose, Stream, normal_matrix, stream, uniform};
use crate::state::{State, Stateful};
use crate::velocity::{Figure, Ingredients, Kind, Pull, Unit, Velocity, VelocitySettings};

crate::settings! {
    /// Settings of [`LogVariance`].
    pub struct LogVarianceSettings in "velocity" {
        /// The reference m: "model", "gaussian", "geometric:0.5" or "replay".
        reference: String = "replay".into(), Rule::Any;
        /// Largest |log r| that is seen: far outliers would be all that the variance sees.
        clip: f64 = 6.0, Rule::Positive;
        /// Inverse temperature of the target at the start; it rises geometrically to 1. 1 for none.
        temper: f64 = 1.0, Rule::Fraction;
        /// Fraction of the steps over which the inverse temperature rises.
        temper_anneal: f64 = 0.3, Rule::Fraction;
    }
}

/// The reference m of the log-variance divergence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reference {
    /// m = q, frozen: in the mean the gradient of reverse KL (T8).
    Model,
    /// m = N(0, 4 I) in units of the frame. For few dimensions: in many it never meets p.
    Gaussian,
    /// m ∝ p^γ q^(1-γ), frozen: samples of q with weights r^γ, 0 ≤ γ ≤ 1. With γ near 1 few samples carry all the weight at first.
    Geometric(f64),
    /// Half of m is q, half a buffer that starts with the particles of the search and moves by Metropolis–Hastings with proposals from q: the
    /// modes that the search found stay in m, whatever q does.
    Replay,
}

impl Reference {
    /// "model", "gaussian", "geometric" (γ = ½), "geometric:0.3" or "replay".
    pub fn by_name(name: &str) -> Result<Self> {
        if let Some(rest) = name.strip_prefix("geometric") {
            let exponent =
                if rest.is_empty() { Some(0.5) } else { rest.strip_prefix(':').and_then(|g| g.parse().ok()) };
            return match exponent.filter(|g| (0.0..=1.0).contains(g)) {
                Some(gamma) => Ok(Reference::Geometric(gamma)),
                None => Err(Error::Unsupported {
                    what: format!("the reference '{name}' needs an exponent γ in [0, 1]"),
                    remedy: "write it after a colon, such as 'geometric:0.5' (0 is q, 1 is p)",
                }),
            };
        }
        match name {
            "model" => Ok(Reference::Model),
            "gaussian" => Ok(Reference::Gaussian),
            "replay" => Ok(Reference::Replay),
            _ => Err(Error::unknown_name("reference", name, &["model", "gaussian", "geometric:0.5", "replay"])),
        }
    }
}

/// ½ ∇ Var_m(log q - log p) over points of a frozen reference m (T8), as a cotangent of log q at these points.
pub struct LogVariance {
    target: SmoothedTarget,
    reference: Reference,
    clip: f64,
    replay: Replay,
    /// What the last [`Velocity::prepare`] found.
    pull: Option<Pull>,
}

/// Standard deviation of [`Reference::Gaussian`]: the frame's scale is 1.
const SPREAD: f64 = 2.0;

impl VelocitySettings for LogVarianceSettings {
    fn name(&self) -> &'static str {
        "log-variance"
    }
    fn summary(&self) -> &'static str {
        "the log-variance divergence with a reference; for flows (T8)"
    }
    fn formula(&self) -> &'static str {
        "grad of Var_m(log q - log p)/2 in the parameters"
    }
    fn source(&self) -> &'static str {
        "Richter et al. (VarGrad, NeurIPS 2020); T8"
    }
    fn validate(&self) -> Result<()> {
        Reference::by_name(&self.reference).map(drop)
    }
    fn build(&self, ingredients: Ingredients) -> Result<Box<dyn Velocity>> {
        let reference = Reference::by_name(&self.reference)?;
        let annealing = Annealing::new("temper", self.temper, self.temper_anneal);
        let target = SmoothedTarget::new(ingredients.density()?, 2).annealed(annealing);
        let points = match (reference, ingredients.particles) {
            (Reference::Replay, Some(points)) => points,
            (Reference::Replay, None) => {
                return Err(Error::Unsupported {
                    what: "the reference 'replay' starts from particles of a search, and there are none".into(),
                    remedy: "use a flow, or the reference 'model'",
                });
            }
            _ => Matrix::zeros(0, ingredients.target.dim()),
        };
        let replay = Replay::new(points, ingredients.seed);
        Ok(Box::new(LogVariance { target, reference, clip: self.clip, replay, pull: None }))
    }
    fn copy(&self) -> Box<dyn VelocitySettings> {
        Box::new(self.clone())
    }
}

impl LogVariance {
    /// The points of this step.
    fn points(&self, scene: &Scene) -> Matrix {
        let (n, d) = scene.x.shape();
        match self.reference {
            Reference::Gaussian => {
                normal_matrix::<f64>(scene.seed, Purpose::Reference, scene.clock.step, n, d).map(|e| SPREAD * e)
            }
            Reference::Replay => {
                let mut y = scene.x.clone();
                self.replay.mix_into(&mut y, scene.clock.step);
                y
            }
            Reference::Model | Reference::Geometric(_) => scene.x.clone(),
        }
    }
}

impl Stateful for LogVariance {
    fn save(&self, to: &mut State) {
        if self.reference == Reference::Replay {
            to.put("replay", self.replay.points());
        }
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        if self.reference == Reference::Replay {
            let points = from.any_shape::<f64>("replay")?;
            if points.cols() != self.replay.points.cols() || points.rows() == 0 {
                let (n, d) = points.shape();
                return Err(Error::State { what: format!("the replay buffer is {n}×{d}") });
            }
            self.replay.points = points.clone();
        }
        Ok(())
    }
}

impl Velocity for LogVariance {
    fn name(&self) -> &str {
        "log-variance"
    }

    fn kind(&self) -> Kind {
        Kind::LogDensity
    }

    fn law_use(&self) -> LawUse {
        LawUse::Anywhere
    }

    fn prepare(&mut self, scene: &Scene) -> Result<()> {
        let Some(law) = scene.law else {
            let what = "the log-variance divergence asks for the density of the model, which has none".into();
            return Err(Error::Unsupported { what, remedy: "use a flow" });
        };
        let y = self.points(scene);
        let log_q = evaluate_log_density(law, &y)?;
        self.target.refresh(scene.clock, scene.seed)?;
        let none = vec![Noise { a: 1.0, s: 0.0 }; y.rows()];
        let log_p = self.target.scout(&Query { x: &y, noise: &none })?;
        if log_p.iter().all(|l| *l == f64::NEG_INFINITY) {
            return Err(Error::OutsideSupport { particles: log_p.len() });
        }
        let mut log_ratio: Vec<f64> = log_q.iter().zip(&log_p).map(|(q, p)| p - q).collect();
        let log_z = centre_log_ratio(&mut log_ratio);
        let f: Vec<f64> = log_ratio.iter().map(|l| -l.clamp(-self.clip, self.clip)).collect();
        let weights = match self.reference {
            Reference::Geometric(gamma) => Some(log_ratio.iter().map(|l| gamma * l).collect::<Vec<f64>>()),
            _ => None,
        };
        let cotangent = log_variance_cotangent(&f, weights.as_deref());
        let variance: f64 = cotangent.iter().zip(&f).map(|(g, f)| g * f).sum();
        if self.reference == Reference::Replay {
            self.replay.renew(&y, &log_ratio, scene.clock.step);
        }
        let mean_ratio = Figure::plain("mean_log_ratio_m", "E_m[log q - log p~]", -(mean(&log_ratio) + log_z.value));
        let mean_log_p =
            Figure { key: "mean_log_density_m", label: "E_m[log p~]", unit: Unit::LogDensity, value: mean(&log_p) };
        let figures = vec![
            Figure::plain("log_sd", "sd of log q - log p over m, √Var_m", variance.max(0.0).sqrt()),
            mean_ratio,
            mean_log_p,
            Figure::plain("effective_samples_m", "effective samples of p/q over m", log_z.effective_samples),
        ];
        self.pull = Some(Pull::LogDensity { at: y, cotangent, figures });
        Ok(())
    }

    fn evaluate(&self, _: &Scene) -> Result<Pull> {
        let unprepared =
            || Error::BadVelocity { name: "log-variance".into(), what: "nothing: prepare comes first".into() };
        self.pull.clone().ok_or_else(unprepared)
    }
}

/// g with ½ ∇ Var(f) = Σ_i g_i ∇f_i: g_i = w_i (f_i - f̄)/(1 - Σ w²), f̄ = Σ w f, for weights w ∝ exp(`log_weights`), equal where
/// none are given. The unbiased sample variance for equal weights: g_i = (f_i - f̄)/(n - 1).
///
/// (n-1)⁻¹ (f_i - f̄) = n⁻¹ (f_i - mean of the others): for f = log q - log p this is leave-one-out REINFORCE (VarGrad, Richter et al., 2020).
pub fn log_variance_cotangent(f: &[f64], log_weights: Option<&[f64]>) -> Vec<f64> {
    let n = f.len();
    let weights: Vec<f64> = match log_weights {
        None => vec![1.0 / n as f64; n],
        Some(l) => {
            let total = log_sum_exp(l);
            l.iter().map(|l| exp(l - total)).collect()
        }
    };
    let mean: f64 = weights.iter().zip(f).map(|(w, f)| w * f).sum();
    let rest = (1.0 - weights.iter().map(|w| w * w).sum::<f64>()).max(f64::EPSILON);
    weights.iter().zip(f).map(|(w, f)| w * (f - mutant!("cotangent-mean", 0.0, mean)) / rest).collect()
}

/// Points that follow p as far as the search found it: its particles, moved by Markov chains that leave p invariant.
struct Replay {
    points: Matrix,
    seed: u64,
}

impl Replay {
    /// A buffer with these points (N×d).
    fn new(points: Matrix, seed: u64) -> Self {
        Self { points, seed }
    }

    /// What it holds, N×d.
    fn points(&self) -> &Matrix {
        &self.points
    }

    fn rng(&self, step: u64) -> Stream {
        stream(self.seed, Purpose::Reference, step)
    }

    /// Places of the n points that a step looks at.
    fn places(&self, n: usize, step: u64) -> Vec<usize> {
        let (mut rng, size) = (self.rng(2 * step), self.points.rows());
        (0..n).map(|_| ((uniform(&mut rng) * size as f64) as usize).min(size - 1)).collect()
    }

    /// The batch y (n×d) with its second half replaced by points of the buffer.
    fn mix_into(&self, y: &mut Matrix, step: u64) {
        let (n, half) = (y.rows(), y.rows() / 2);
        let places = self.places(n - half, step);
        places.iter().enumerate().for_each(|(i, &p)| y.row_mut(half + i).copy_from_slice(self.points.row(p)));
    }

    /// An independence Metropolis–Hastings move of the points that [`Replay::mix_into`] put into y: the proposals are the samples of q in the
    /// first half, accepted with probability min(1, r(new)/r(old)) (Gabrié, Rotskoff and Vanden-Eijnden, 2022). p stays
    /// invariant; where q misses a mode r(old) is large and the point stays.   log_ratio: log r at y, n.
    fn renew(&mut self, y: &Matrix, log_ratio: &[f64], step: u64) {
        let (n, half) = (y.rows(), y.rows() / 2);
        let mut rng = self.rng(2 * step + 1);
        for (i, place) in self.places(n - half, step).into_iter().take(half).enumerate() {
            if ln(uniform(&mut rng))
                < mutant!("replay-upside-down", log_ratio[half + i] - log_ratio[i], log_ratio[i] - log_ratio[half + i])
            {
                self.points.row_mut(place).copy_from_slice(y.row(i));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::normal_matrix;

    /// Checks that the buffer's moves leave p invariant and take up what q offers: from exact points of p = N(0, 1), 200 moves with proposals
    /// from q = N(0.5, 1.2²) keep mean and variance within 5 standard errors (of 4,000 points: 0.079 and 0.112, false alarm 1e-6), though
    /// nearly every point was replaced; and that points where q has no density stay.
    #[test]
    fn replay_follows_the_target() {
        let start = normal_matrix::<f64>(1, Purpose::Check, 0, 4000, 1);
        let mut replay = Replay::new(start.clone(), 7);
        let log_r = |x: f64| -0.5 * x * x + 0.5 * ((x - 0.5) / 1.2).powi(2);
        for step in 0..200 {
            let mut y = normal_matrix::<f64>(2, Purpose::Check, step, 1000, 1).map(|e| 0.5 + 1.2 * e);
            replay.mix_into(&mut y, step);
            let log_ratio: Vec<f64> = y.as_slice().iter().map(|x| log_r(*x)).collect();
            replay.renew(&y, &log_ratio, step);
        }
        let x = replay.points().as_slice();
        let mean = x.iter().sum::<f64>() / 4000.0;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 3999.0;
        assert!(mean.abs() < 0.079 && (variance - 1.0).abs() < 0.112, "{mean} {variance}");
        let kept = x.iter().zip(start.as_slice()).filter(|(a, b)| a == b).count();
        assert!(kept < 40, "{kept} of 4000 points never moved");
        let mut apart = Replay::new(Matrix::filled(4, 1, 9.0), 7);
        let mut y = Matrix::zeros(8, 1);
        apart.mix_into(&mut y, 0);
        apart.renew(&y, &[0.0, 0.0, 0.0, 0.0, 700.0, 700.0, 700.0, 700.0], 0);
        assert_eq!(apart.points(), &Matrix::filled(4, 1, 9.0));
    }
}
