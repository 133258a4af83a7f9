//! Particles that move themselves: Euler, Heun, Runge–Kutta and adaptive steps, diffusion, birth and death.

use crate::density::{Affine, Domain};
use crate::error::{Error, Result};
use crate::linalg::Matrix;
use crate::model::Searched;
use crate::model::model::{Built, Drawn, Model, ModelSettings, Request, Start, Step};
use crate::num::{exp, log_sum_exp};
use crate::rng::{Purpose, fill_uniform, normal_matrix, stream};
use crate::search::{Found, SearchSettings, frame_of, search};
use crate::state::{State, Stateful};
use crate::velocity::{Figure, Kind, Pull};
use std::any::Any;

crate::settings! {
    /// Settings of [`Particles`].
    pub struct ParticlesSettings in "model" {
        /// Number of particles.
        particles: usize = 1024, Rule::AtLeast(2);
        /// Length of a step in time.
        dt: f64 = 0.01, Rule::Positive;
        /// "euler" (order 1), "heun" (2), "rk4" (4), or "adaptive": Heun's sub-steps with an embedded error.
        stepper: String = "euler".into(), Rule::OneOf(&["euler", "heun", "rk4", "adaptive"]);
        /// Largest error of an adaptive sub-step, as a root mean square over particles, in units of their spread around their mean.
        tolerance: f64 = 1e-3, Rule::Positive;
        /// Largest displacement of an adaptive sub-step, in the same units: a trust radius in W2.
        trust: f64 = 0.5, Rule::Positive;
        /// Rate of birth and death by the reaction (T15), in units of its own; 0 for none.
        birth_death: f64 = 0.0, Rule::NotNegative;
        /// Where they start: "wide", a Gaussian with the target's mean and overall scale, "gaussian", N(0, I), or "search", at the
        /// particles of a search of as many, which estimates log Z too. On a torus they start with equal chances everywhere.
        start: String = "wide".into(), Rule::OneOf(&["wide", "gaussian", "search"]);
    }
}

/// N particles x_i of equal weight, moved by dx/dt = V(x), with noise where the velocity has some.
///
/// Their law is the empirical one: estimates of it see each particle's own term (T16). They live in the target's own units.
pub struct Particles {
    x: Matrix,
    frame: Affine,
    domain: Domain,
    settings: ParticlesSettings,
    /// Next sub-step of the adaptive stepper.
    sub_step: f64,
    /// The search at whose particles they started.
    search: Option<Searched>,
}

/// Most sub-steps of an adaptive step.
const MOST_SUB_STEPS: usize = 10_000;

impl ModelSettings for ParticlesSettings {
    fn name(&self) -> &'static str {
        "particles"
    }
    fn summary(&self) -> &'static str {
        "particles that follow the velocity themselves"
    }
    fn build(&self, start: Start<'_>) -> Result<Built> {
        let mut search = None;
        let points = match start.points {
            Some(points) => points,
            None if matches!(start.target.domain, Domain::Torus(_)) => {
                uniform(self.particles, &start.target.domain, start.seed)
            }
            None if self.start == "search" => {
                let found = self.searched(&start)?;
                search = Some(Searched::of(&found));
                found.particles
            }
            None => {
                let (n, d) = (self.particles, start.target.dim());
                let z: Matrix = normal_matrix(start.seed, Purpose::Particles, 0, n, d);
                let (density, samples) = (start.target.densities.first(), &start.target.samples);
                let frame = match (self.start.as_str(), start.frame, density, samples) {
                    ("gaussian", ..) | (_, None, None, None) => Affine::identity(d),
                    (_, Some(frame), ..) => frame,
                    (_, None, Some(density), _) => frame_of(&**density, start.seed)?,
                    (_, None, None, Some(samples)) => Affine::of_particles(&samples.points)?,
                };
                // the overall scale, not the directions: a start that knows the target's shape would hide what a method does
                Affine::new(frame.centre().to_vec(), frame.scale())?.restore(&z)
            }
        };
        let model = Particles { search, ..Self::new_model(self, points, start.target.domain.clone())? };
        Ok(Built { model: Box::new(model), particles: None })
    }
    fn rebuild(&self, start: Start<'_>, state: &State) -> Result<Box<dyn Model>> {
        let points = state.any_shape::<f64>("particles")?.clone();
        let search = Searched::of_state(state, start.target.dim())?;
        let mut model = Particles { search, ..Self::new_model(self, points, start.target.domain.clone())? };
        model.restore(state)?;
        Ok(Box::new(model))
    }
    fn memory(&self, dim: usize, _: usize, _: bool) -> f64 {
        // place, velocity, score, two stages
        8.0 * 6.0 * self.particles as f64 * dim as f64
    }
    fn copy(&self) -> Box<dyn ModelSettings> {
        Box::new(self.clone())
    }
}

/// n uniform points of a torus, n×d.
fn uniform(n: usize, domain: &Domain, seed: u64) -> Matrix {
    let Domain::Torus(period) = domain else { return Matrix::zeros(n, 0) };
    let d = period.len();
    let mut u = vec![0.0; n * d];
    fill_uniform(&mut stream(seed, Purpose::Particles, 0), &mut u);
    Matrix::from_fn(n, d, |i, j| period[j] * u[i * d + j])
}

impl ParticlesSettings {
    fn new_model(&self, points: Matrix, domain: Domain) -> Result<Particles> {
        Particles::new(points, domain, self.clone())
    }

    /// The search at whose particles they start; its log-weights are equal.
    fn searched(&self, start: &Start<'_>) -> Result<Found> {
        let density = start.target.densities.first().ok_or(Error::Unsupported {
            what: "a search asks for a density, and this target is known by samples alone".into(),
            remedy: "choose another start of the particles",
        })?;
        let (particles, seed) = (self.particles, start.seed);
        search(&**density, &SearchSettings { particles, seed, start: start.frame.clone() })
    }
}

impl Particles {
    /// Particles that start at `points` (N×d, N ≥ 1, finite; moved to their representatives in `domain`).
    pub fn new(points: Matrix, domain: Domain, settings: ParticlesSettings) -> Result<Self> {
        crate::settings::Section::check(&settings)?;
        let (n, d) = points.shape();
        if n == 0 || d == 0 {
            return Err(Error::Dimension { what: "the start of the particles".into(), expected: 1, found: n.min(d) });
        }
        if let Some(k) = points.as_slice().iter().position(|x| !x.is_finite()) {
            return Err(Error::BadSample { row: k / d, column: k % d, value: points.as_slice()[k] });
        }
        domain.check(d)?;
        let mut x = points;
        domain.represent(&mut x);
        let sub_step = settings.dt;
        Ok(Self { x, frame: Affine::identity(d), domain, settings, sub_step, search: None })
    }

    /// Where they are, N×d.
    pub fn points(&self) -> &Matrix {
        &self.x
    }

    /// The search at whose particles they started, with its log Z; None for another start.
    pub fn search(&self) -> Option<&Searched> {
        self.search.as_ref()
    }

    /// x + Σ_k factor_k V_k.
    fn moved(&self, terms: &[(f64, &Matrix)]) -> Matrix {
        let mut x = self.x.clone();
        terms.iter().for_each(|(factor, v)| x.add_scaled(*factor, v));
        x
    }

    /// The places after a step dx/dt = V(x), the first stage of which is known.
    fn integrate(&mut self, first: &Matrix, again: &mut dyn FnMut(&Matrix) -> Result<Pull>) -> Result<Matrix> {
        let h = self.settings.dt;
        let mut at = |x: &Matrix| velocity_of(again(x)?);
        Ok(match self.settings.stepper.as_str() {
            "heun" => {
                let second = at(&self.moved(&[(h, first)]))?;
                self.moved(&[(0.5 * h, first), (0.5 * h, &second)])
            }
            "rk4" => {
                let second = at(&self.moved(&[(0.5 * h, first)]))?;
                let third = at(&self.moved(&[(0.5 * h, &second)]))?;
                let fourth = at(&self.moved(&[(h, &third)]))?;
                self.moved(&[
                    (h / 6.0, first),
                    (mutant!("heun-weights", h / 6.0, h / 3.0), &second),
                    (h / 3.0, &third),
                    (h / 6.0, &fourth),
                ])
            }
            "adaptive" => return self.adapt(first.clone(), at),
            _ => self.moved(&[(h, first)]),
        })
    }

    /// The same by sub-steps of Heun's method: the next one has h √(tolerance/error) of the length, the error being half the distance
    /// between the stages' velocities times h; none moves further than the trust radius. Both are in units of the particles' spread at the
    /// start of the step; particles at one point have no other unit than the target's.
    fn adapt(&mut self, first: Matrix, mut at: impl FnMut(&Matrix) -> Result<Matrix>) -> Result<Matrix> {
        let (all, s) = (self.settings.dt, self.settings.clone());
        let norm = |v: &Matrix| (v.as_slice().iter().map(|x| x * x).sum::<f64>() / v.rows() as f64).sqrt();
        let spread = self.x.spread();
        let unit = if spread > 0.0 { spread } else { 1.0 };
        let (tolerance, trust) = (s.tolerance * unit, s.trust * unit);
        let (mut x, mut here, mut t, mut h) = (self.x.clone(), first, 0.0, self.sub_step);
        for _ in 0..MOST_SUB_STEPS {
            let speed = norm(&here);
            h = h.min(if speed > 0.0 { trust / speed } else { all });
            // the rest in one, rather than a sliver at the end
            let (step, last) = if t + 1.01 * h >= all { (all - t, true) } else { (h, false) };
            let mut trial = x.clone();
            trial.add_scaled(step, &here);
            let there = at(&trial)?;
            let mut gap = there.clone();
            gap.add_scaled(-1.0, &here);
            let error = 0.5 * step * norm(&gap);
            let growth = if error > 0.0 { (0.9 * (tolerance / error).sqrt()).clamp(0.2, 5.0) } else { 5.0 };
            if error <= tolerance {
                x.add_scaled(0.5 * step, &here);
                x.add_scaled(0.5 * step, &there);
                t += step;
                h = step.max(h * f64::from(u8::from(last))) * growth;
                if last {
                    self.sub_step = h;
                    return Ok(x);
                }
                here = at(&x)?;
            } else {
                h = step * growth;
            }
        }
        Err(Error::Unsupported {
            what: format!(
                "a step of {all} took more than {MOST_SUB_STEPS} adaptive sub-steps, the last of length {h:e}"
            ),
            remedy: "raise tolerance, or lower dt",
        })
    }

    /// Birth and death: particle i has e^{rate dt g_i} offspring in the mean, by systematic resampling with one uniform number.
    fn renewed(&self, x: &Matrix, growth: &[f64], step: u64, seed: u64) -> Matrix {
        let log_weights: Vec<f64> = growth
            .iter()
            .map(|g| self.settings.birth_death * mutant!("births-sign", -self.settings.dt, self.settings.dt) * g)
            .collect();
        let (n, total) = (growth.len(), log_sum_exp(&log_weights));
        let mut u = [0.0];
        fill_uniform(&mut stream(seed, Purpose::Particles, OFFSPRING | step), &mut u);
        let (mut cumulative, mut index) = (0.0, Vec::with_capacity(n));
        for (i, l) in log_weights.iter().enumerate() {
            cumulative += exp(l - total) * n as f64;
            while index.len() < n && index.len() as f64 + u[0] < cumulative {
                index.push(i);
            }
        }
        // rounding can leave the last place empty
        let last = index.last().copied().unwrap_or(0);
        index.resize(n, last);
        x.gather_rows(&index)
    }
}

/// Beside the noise of a step stand the uniform numbers of its births.
const OFFSPRING: u64 = 1 << 63;

/// The velocity of a pull that has one.
fn velocity_of(pull: Pull) -> Result<Matrix> {
    match pull {
        Pull::Points(field) | Pull::Diffusion { field, .. } => Ok(field.velocity),
        other => Err(Error::Mismatch {
            what: format!("a stage of a step came back as {:?}", other.kind()),
            remedy: "return one kind of pull".into(),
        }),
    }
}

impl Stateful for Particles {
    fn save(&self, to: &mut State) {
        to.put("particles", &self.x);
        to.put_row("sub_step", &[self.sub_step]);
        self.search.iter().for_each(|search| search.put(to));
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        let x = from.matrix::<f64>("particles", self.x.shape())?.clone();
        self.sub_step = from.matrix::<f64>("sub_step", (1, 1))?[(0, 0)];
        self.x = x;
        Ok(())
    }
}

impl Model for Particles {
    fn name(&self) -> &'static str {
        "particles"
    }

    fn frame(&self) -> &Affine {
        &self.frame
    }

    fn follows(&self) -> &'static [Kind] {
        match self.settings.stepper.as_str() {
            "euler" | "heun" => &[Kind::Points, Kind::Diffusion, Kind::Displacement, Kind::Transition],
            _ => &[Kind::Points, Kind::Displacement, Kind::Transition],
        }
    }

    fn dt(&self) -> f64 {
        self.settings.dt
    }

    fn draw(&mut self, _: &Request) -> Result<Drawn> {
        Ok(Drawn { x: self.x.clone(), reference: None, at_x: None, classes: None })
    }

    fn follow(&mut self, step: Step<'_>) -> Result<Vec<Figure>> {
        let (n, d) = self.x.shape();
        let (clock, h) = (step.clock, self.settings.dt);
        let sub_step = self.sub_step;
        let (mut x, growth) = match step.pull {
            Pull::Points(field) => (self.integrate(&field.velocity, step.again)?, field.growth),
            Pull::Diffusion { field, sigma } => {
                let noise: Matrix = normal_matrix(step.seed, Purpose::Particles, clock.step + 1, n, d);
                let mut x = self.integrate_noisy(&field.velocity, &noise, sigma, step.again)?;
                x.add_scaled(sigma * mutant!("noise-scale", h, h.sqrt()), &noise);
                (x, field.growth)
            }
            Pull::Displacement { by, .. } => (self.moved(&[(1.0, &by)]), None),
            Pull::Transition { to, .. } => (to, None),
            Pull::LogDensity { .. } => return Err(Error::Diverged { step: clock.step }),
        };
        if let Some(growth) = growth.filter(|_| self.settings.birth_death > 0.0) {
            x = self.renewed(&x, &growth, clock.step, step.seed);
        }
        if !x.is_finite() {
            self.sub_step = sub_step;
            return Err(Error::Diverged { step: clock.step });
        }
        self.domain.represent(&mut x);
        self.x = x;
        Ok(vec![Figure::plain("time", "time t", (clock.step + 1) as f64 * h)])
    }

    fn sample(&self, n: usize, _: u64, block: u64) -> Matrix {
        let rows = self.x.rows();
        let from = (block as usize).saturating_mul(n).min(rows);
        self.x.slice_rows(from..(from + n).min(rows))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Particles {
    /// x after the drift of dx = V dt + σ dW, without the noise: Heun's second stage sees it.
    fn integrate_noisy(
        &self,
        first: &Matrix,
        noise: &Matrix,
        sigma: f64,
        again: &mut dyn FnMut(&Matrix) -> Result<Pull>,
    ) -> Result<Matrix> {
        let h = self.settings.dt;
        if self.settings.stepper != "heun" {
            return Ok(self.moved(&[(h, first)]));
        }
        let second = velocity_of(again(&self.moved(&[(h, first), (sigma * h.sqrt(), noise)]))?)?;
        Ok(self.moved(&[(0.5 * h, first), (0.5 * h, &second)]))
    }
}
