//! Perturbed Wasserstein gradient flow: a jump where the gradient is small, and the law before it where the jump gained nothing.

use super::{Functional, named, size};
use crate::error::Result;
use crate::estimate::Scene;
use crate::linalg::Matrix;
use crate::rng::{Purpose, normal_matrix};
use crate::state::{State, Stateful};
use crate::velocity::{Figure, Ingredients, Kind, Pull, Velocity, VelocitySettings};
use std::sync::Arc;

crate::settings! {
    /// Settings of [`Perturbed`].
    pub struct PerturbedSettings in "velocity" {
        /// F: "mmd", half the squared MMD to samples of the target, "energy-distance", half of that, or "ksd", half the squared kernel Stein
        /// discrepancy to a Gaussian mixture.
        functional: String = "mmd".into(), Rule::OneOf(&["mmd", "energy-distance", "ksd"]);
        /// Width σ of the kernel exp(-|x-y|²/(2σ²)) of "mmd" and "ksd".
        sigma: f64 = 1.0, Rule::Positive;
        /// Samples of the target behind "mmd" and "energy-distance".
        samples: usize = 512, Rule::AtLeast(2);
        /// The norm of the gradient from which the flow counts as at rest.
        tolerance: f64 = 1e-2, Rule::NotNegative;
        /// η of the jump x_i + η ξ_i.
        jump: f64 = 0.2, Rule::Positive;
        /// Time after a jump until it is judged.
        wait: f64 = 10.0, Rule::Positive;
        /// Least decrease of F by then; below it the law before the jump is the answer.
        decrease: f64 = 1e-3, Rule::NotNegative;
    }
}

/// dx/dt = -v by Runge–Kutta's steps of dt. Where |v| ≤ ε, x_i ← x_i + η ξ_i with ξ_i = N^{-1/2} Σ_j M_ij g_j, g_j normal: noise of covariance M²,
/// M the part of the Hessian that couples particles. If F has not fallen enough a while later, the law before the jump comes back and stays.
///
/// (arXiv 2509.16974; the controller is that of arXiv 2610.10218, appendix C, and judges at every step.)
pub struct Perturbed {
    functional: Arc<dyn Functional>,
    settings: PerturbedSettings,
    /// The cloud before the jump that has not been judged, and the step of the jump.
    pending: Option<(Matrix, u64)>,
    jumps: u64,
    /// The cloud that came back.
    returned: Option<Matrix>,
}

impl VelocitySettings for PerturbedSettings {
    fn name(&self) -> &'static str {
        "perturbed"
    }
    fn summary(&self) -> &'static str {
        "gradient flow of a functional with jumps where it rests, which come back where they gain nothing"
    }
    fn formula(&self) -> &'static str {
        "dx = -grad F dt; x + eta xi, xi ~ GP(0, M^2), where |grad F| <= eps"
    }
    fn source(&self) -> &'static str {
        "arXiv 2509.16974 (abstract), controller of arXiv 2610.10218"
    }
    fn memory(&self, dim: usize) -> f64 {
        8.0 * self.samples as f64 * dim as f64
    }
    /// Curvatures of the squared distances are of the order of 1/σ².
    fn pace(&self, _: Option<f64>) -> (Option<f64>, u64) {
        (Some(0.1 * self.sigma * self.sigma), 1000)
    }
    fn functional(&self, ingredients: &Ingredients) -> Result<Option<Arc<dyn Functional>>> {
        named(self.name(), &self.functional, self.sigma, self.samples, ingredients).map(Some)
    }
    fn build(&self, ingredients: Ingredients) -> Result<Box<dyn Velocity>> {
        let functional = named(self.name(), &self.functional, self.sigma, self.samples, &ingredients)?;
        Ok(Box::new(Perturbed::new(functional, self.clone())))
    }
    fn copy(&self) -> Box<dyn VelocitySettings> {
        Box::new(self.clone())
    }
}

impl Perturbed {
    /// Down F; of the settings those of the controller count.
    pub fn new(functional: Arc<dyn Functional>, settings: PerturbedSettings) -> Self {
        Self { functional, settings, pending: None, jumps: 0, returned: None }
    }

    /// x after a step of Runge–Kutta's method; `a` is the gradient at x.
    fn flowed(&self, x: &Matrix, a: &Matrix, h: f64) -> Matrix {
        let moved = |h: f64, v: &Matrix| {
            let mut y = x.clone();
            y.add_scaled(-h, v);
            y
        };
        let b = self.functional.gradient(&moved(0.5 * h, a));
        let c = self.functional.gradient(&moved(0.5 * h, &b));
        let d = self.functional.gradient(&moved(h, &c));
        let mut out = x.clone();
        let stages = [(h / 6.0, a), (h / 3.0, &b), (h / 3.0, &c), (h / 6.0, &d)];
        stages.into_iter().for_each(|(h, v)| out.add_scaled(-h, v));
        out
    }
}

impl Stateful for Perturbed {
    fn save(&self, to: &mut State) {
        to.counters.insert("jumps".into(), self.jumps);
        if let Some((before, step)) = &self.pending {
            to.put("before", before);
            to.counters.insert("jumped_at".into(), *step);
        }
        if let Some(returned) = &self.returned {
            to.put("returned", returned);
        }
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        let cloud = |name: &str| from.tensors.get(name).map(|_| from.any_shape::<f64>(name).cloned()).transpose();
        let (before, returned) = (cloud("before")?, cloud("returned")?);
        let pending = before.map(|before| Ok((before, from.counter("jumped_at")?))).transpose()?;
        self.jumps = from.counter("jumps")?;
        (self.pending, self.returned) = (pending, returned);
        Ok(())
    }
}

impl Velocity for Perturbed {
    fn name(&self) -> &str {
        "perturbed"
    }

    fn kind(&self) -> Kind {
        Kind::Transition
    }

    fn prepare(&mut self, scene: &Scene) -> Result<()> {
        let (f, s, step) = (&self.functional, &self.settings, scene.clock.step);
        match &self.pending {
            _ if self.returned.is_some() => {}
            // steps of dt are counted, not times: their sums round
            Some((before, at)) if (step - at) as f64 >= (s.wait / scene.dt).round() => {
                if f.value(before) - f.value(scene.x) < s.decrease {
                    self.returned = Some(before.clone());
                }
                self.pending = None;
            }
            None if size(&f.gradient(scene.x)) <= s.tolerance => {
                self.pending = Some((scene.x.clone(), step));
                self.jumps += 1;
            }
            _ => {}
        }
        Ok(())
    }

    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        let (x, f) = (scene.x, &self.functional);
        let ((n, d), gradient) = (x.shape(), f.gradient(x));
        let figures = vec![
            Figure::plain("functional", "F of the particles", f.value(x)),
            Figure::plain("gradient_norm", "norm of the Wasserstein gradient of F", size(&gradient)),
            Figure::plain("jumps", "jumps until now", self.jumps as f64),
            Figure::plain("returned", "1 once the law before a jump came back", f64::from(self.returned.is_some())),
        ];
        let to = match (&self.returned, &self.pending) {
            (Some(returned), _) => returned.clone(),
            (None, Some((_, at))) if *at == scene.clock.step => {
                let g: Matrix = normal_matrix(scene.seed, Purpose::Jitter, (1 << 60) | at, n, d);
                let mut y = x.clone();
                // the coupling is the mean of M_ij g_j
                y.add_scaled(self.settings.jump * (n as f64).sqrt(), &f.coupling(x, &g));
                self.flowed(&y, &f.gradient(&y), scene.dt)
            }
            _ => self.flowed(x, &gradient, scene.dt),
        };
        Ok(Pull::Transition { to, accepted: vec![true; n], figures })
    }
}
