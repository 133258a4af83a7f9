//! One estimate of q behind several drifts.

use crate::error::Result;
use crate::estimate::{Estimator, LawUse, Noised, NoisedTarget, Scene};
use crate::state::{State, Stateful};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An estimator with several users. The first one prepares it and saves it; for the others it is there.
pub(super) struct Shared {
    inner: Arc<Mutex<Box<dyn Estimator>>>,
    first: bool,
}

impl Shared {
    /// `count` users of one estimator.
    pub(super) fn of(estimator: Box<dyn Estimator>, count: usize) -> impl Iterator<Item = Box<dyn Estimator>> {
        let inner = Arc::new(Mutex::new(estimator));
        (0..count).map(move |k| Box::new(Shared { inner: Arc::clone(&inner), first: k == 0 }) as Box<dyn Estimator>)
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn Estimator>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stateful for Shared {
    fn save(&self, to: &mut State) {
        if self.first {
            self.lock().save(to);
        }
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        if self.first { self.lock().restore(from) } else { Ok(()) }
    }
}

impl Estimator for Shared {
    fn name(&self) -> &'static str {
        self.lock().name()
    }

    fn law_use(&self) -> LawUse {
        self.lock().law_use()
    }

    fn reference(&self) -> usize {
        self.lock().reference()
    }

    fn figures(&self) -> Vec<(&'static str, &'static str, f64)> {
        if self.first { self.lock().figures() } else { Vec::new() }
    }

    fn prepare(&mut self, scene: &Scene) -> Result<()> {
        if self.first { self.lock().prepare(scene) } else { Ok(()) }
    }

    fn noised(&self, scene: &Scene, target: &dyn NoisedTarget) -> Result<Noised> {
        self.lock().noised(scene, target)
    }
}
