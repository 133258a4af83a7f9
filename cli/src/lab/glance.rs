//! What is seen of a run before it begins: the points at which its search asks for log p~.

use pushforward::density::Density;
use pushforward::linalg::Matrix;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Most points that are kept.
const MOST: usize = 1024;

/// A place for the last points that were asked for, as long as somebody looks.
#[derive(Default)]
pub struct Glance {
    over: AtomicBool,
    points: Mutex<Option<Matrix>>,
    /// What they are drawn over; nothing is seen without.
    pub over_what: OnceLock<Value>,
}

impl Glance {
    /// The points that were asked for last, and what they are drawn over; None where there are none since the last look.
    pub fn look(&self) -> Option<Value> {
        let points = self.points.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let single: Vec<f32> = points.as_slice().iter().map(|&x| x as f32).collect();
        Some(json!({ "points": single, "over": self.over_what.get()? }))
    }

    /// Nobody looks any more.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    fn see(&self, x: &Matrix) {
        // one row says where, but not how a search goes
        if !self.over.load(Ordering::Relaxed) && x.rows() > 1 {
            let points = x.slice_rows(0..x.rows().min(MOST));
            *self.points.lock().unwrap_or_else(PoisonError::into_inner) = Some(points);
        }
    }
}

/// A density whose points are seen; otherwise the inner one to the last bit.
pub struct Seen {
    /// p~.
    pub inner: Arc<dyn Density>,
    /// Where its points go.
    pub glance: Arc<Glance>,
}

impl Density for Seen {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn wrapped(&self) -> Option<&dyn Density> {
        Some(&*self.inner)
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.glance.see(x);
        self.inner.log_density_into(x, out);
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.glance.see(x);
        self.inner.evaluate_into(x, log_density, score);
    }
}
