//! What is known to second order of particles that went down a functional (T29).

use crate::failure::Outcome;
use crate::files::json::real;
use crate::model::Model;
use crate::style::number;
use crate::training::Job;
use pushforward::velocity::{Ingredients, SecondOrder};
use serde_json::{Value, json};

/// Products with the Hessian.
const PRODUCTS: usize = 40;

/// The gradient and the ends of the spectrum at the particles, and of which functional.
pub struct Certified {
    functional: &'static str,
    found: SecondOrder,
}

impl Certified {
    /// Of particles whose velocity goes down a functional with a Hessian; None for others.
    pub fn of(job: &Job, model: &Model) -> Outcome<Option<Self>> {
        let Model::Particles(x, _) = model else { return Ok(None) };
        let (target, seed) = (job.target.law(), job.seed());
        let given = Ingredients { target, estimator: None, particles: None, seed };
        let Some(f) = job.method.velocity.functional(&given)? else { return Ok(None) };
        let found = SecondOrder::of(&*f, x, PRODUCTS, job.seed())?;
        Ok(Some(Self { functional: f.name(), found }))
    }

    /// For the terminal.
    pub fn text(&self) -> String {
        let SecondOrder { gradient_norm, lowest, largest } = self.found;
        format!(
            "second order: F ({}) has a gradient of norm {} here, and Lanczos' method finds eigenvalues of its Hessian from {} to {} in size\n",
            self.functional,
            number(gradient_norm, 3),
            number(lowest, 3),
            number(largest, 3)
        )
    }

    /// For summary.json.
    pub fn to_json(&self) -> Value {
        json!({
            "functional": self.functional, "gradient_norm": real(self.found.gradient_norm),
            "lowest": real(self.found.lowest), "largest": real(self.found.largest), "products": PRODUCTS,
        })
    }
}
