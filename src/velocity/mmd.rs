//! Gradient flows of kernel distances between samples: energy distance, Gaussian and Laplace kernels.

use crate::error::Result;
use crate::estimate::Scene;
use crate::linalg::Matrix;
use crate::num::{exp, softmax};
use crate::parallel;
use crate::state::{State, Stateful};
use crate::velocity::target_points::TargetPoints;
use crate::velocity::{Field, Figure, Ingredients, Pull, Velocity, VelocitySettings};

crate::settings! {
    /// Settings of [`MmdFlow`].
    pub struct MmdSettings in "velocity" {
        /// "energy" is -|x-y|, "gaussian" is exp(-|x-y|²/(2h²)), "laplace" is exp(-|x-y|/h).
        kernel: String = "energy".into(), Rule::OneOf(&["energy", "gaussian", "laplace"]);
        /// The width h in units of the model's frame; √(½ E|Y - Y'|²) of the target where absent. The energy distance has none.
        width: Option<f64> = None, Rule::Positive;
        /// Rows of the second batch, where the model draws one.
        second: usize = 1024, Rule::AtLeast(2);
        /// Points of the target that a step looks at, drawn anew by their weights; 0 for all of them.
        points: usize = 1024, Rule::AtLeast(0);
        /// Particles of the search where the target is a density.
        searched: usize = 8192, Rule::AtLeast(2);
    }
}

/// V(x) = ∇ₓ (E_p k(x, Y) - E_q k(x, X')), the gradient flow of ½ MMD²(q, p); for k = -|x - y| that of ½ the energy distance.
/// (Arbel et al., NeurIPS 2019; Hagemann et al., ICLR 2024.)
///
/// X' is the second batch where the model draws one, else the particles themselves; a particle does not push itself, for ∇k(x, x) = 0.
pub struct MmdFlow {
    target: TargetPoints,
    settings: MmdSettings,
}

/// Particles of one task.
const ROWS: usize = 16;

impl VelocitySettings for MmdSettings {
    fn name(&self) -> &'static str {
        "mmd"
    }
    fn summary(&self) -> &'static str {
        "gradient flow of the energy distance or of another kernel's, from samples or particles of a search"
    }
    fn formula(&self) -> &'static str {
        "V(x) = grad (E_p k(x, Y) - E_q k(x, X'))"
    }
    fn source(&self) -> &'static str {
        "Arbel et al. (NeurIPS 2019)"
    }
    fn memory(&self, dim: usize) -> f64 {
        8.0 * (self.searched + self.points + self.second) as f64 * (dim as f64 + 1.0)
    }
    /// V of the energy distance is a direction, of length at most 2.
    fn pace(&self, time_scale: Option<f64>) -> (Option<f64>, u64) {
        (time_scale.map(|tau| 0.05 * tau.sqrt()), 1000)
    }
    fn build(&self, ingredients: Ingredients) -> Result<Box<dyn Velocity>> {
        Ok(Box::new(MmdFlow { target: TargetPoints::of(&ingredients, self.searched)?, settings: self.clone() }))
    }
    fn copy(&self) -> Box<dyn VelocitySettings> {
        Box::new(self.clone())
    }
}

impl MmdFlow {
    /// h.
    fn width(&self) -> f64 {
        let width = (0.5 * self.target.mean_square_distance).sqrt();
        // one point has no width
        self.settings.width.unwrap_or(if width > 0.0 { width } else { 1.0 })
    }

    /// c with ∇ₓ k(x, y) = -c (x - y), at r = |x - y|.
    fn slope(&self, r: f64, h: f64) -> f64 {
        match self.settings.kernel.as_str() {
            _ if r == 0.0 => 0.0,
            "gaussian" => exp(-0.5 * r * r / (h * h)) / mutant!("mmd-gaussian-power", h, h * h),
            "laplace" => exp(-r / h) / mutant!("mmd-laplace-power", h, h * r),
            _ => 1.0 / r,
        }
    }

    /// out_i += sign Σ_j w_j ∇ₓ k(x_i, y_j).
    fn add(&self, out: &mut Matrix, x: &Matrix, y: &Matrix, weights: &[f64], sign: f64) {
        let (d, h) = (x.cols(), self.width());
        let rows = out.as_mut_slice().chunks_mut(ROWS * d).zip(x.as_slice().chunks(ROWS * d));
        parallel::for_each(rows, |(out, x)| {
            for (out, x) in out.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                for (y, w) in y.iter_rows().zip(weights) {
                    let square: f64 = x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum();
                    let c = sign * w * self.slope(square.sqrt(), h);
                    out.iter_mut().zip(x.iter().zip(y)).for_each(|(o, (a, b))| *o -= c * (a - b));
                }
            }
        });
    }
}

impl Stateful for MmdFlow {
    fn save(&self, to: &mut State) {
        to.put_part("target", &self.target);
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        self.target.restore(&from.part("target"))
    }
}

impl Velocity for MmdFlow {
    fn name(&self) -> &str {
        "mmd"
    }

    fn reference(&self) -> usize {
        self.settings.second
    }

    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        let (y, log_weights) = self.target.batch(self.settings.points, scene.clock, scene.seed);
        let equal = |n: usize| vec![1.0 / n as f64; n];
        let weights = log_weights.map_or_else(|| equal(y.rows()), |l| softmax(&l));
        let mut velocity = Matrix::zeros(scene.x.rows(), scene.x.cols());
        self.add(&mut velocity, scene.x, &y, &weights, 1.0);
        let own = scene.sample();
        self.add(&mut velocity, scene.x, own, &equal(own.rows()), mutant!("mmd-own-sign", 1.0, -1.0));
        let figures = vec![Figure::plain("kernel_points", "points of the target in this step", y.rows() as f64)];
        Ok(Pull::Points(Field { figures, ..Field::of(velocity) }))
    }
}
