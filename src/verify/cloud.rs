//! A velocity asked at a cloud of particles that are their own reference.

use crate::linalg::Matrix;
use crate::velocity::{Clock, Pull, Reference, Scene, Velocity};

/// What the velocity answers at particles x (N×d), and nothing but x known.
pub(super) fn pull(v: &dyn Velocity, x: &Matrix) -> Pull {
    let clock = Clock { step: 0, steps: 1 };
    let scene = Scene { x, reference: Reference::Own, classes: None, at_x: None, law: None, dt: 0.0, clock, seed: 1 };
    v.evaluate(&scene).expect("a density that is positive at all particles")
}

/// The velocity at the particles, N×d.
pub(super) fn velocity(v: &dyn Velocity, x: &Matrix) -> Matrix {
    match pull(v, x) {
        Pull::Points(field) => field.velocity,
        other => unreachable!("{:?} where a velocity was asked for", other.kind()),
    }
}

/// x + length·by.
pub(super) fn moved(x: &Matrix, length: f64, by: &Matrix) -> Matrix {
    let mut y = x.clone();
    y.add_scaled(length, by);
    y
}

/// The particles after `steps` steps of length h of Runge–Kutta's method.
pub(super) fn runge_kutta(v: &dyn Velocity, start: &Matrix, h: f64, steps: usize) -> Matrix {
    (0..steps).fold(start.clone(), |x, _| {
        let a = velocity(v, &x);
        let b = velocity(v, &moved(&x, 0.5 * h, &a));
        let c = velocity(v, &moved(&x, 0.5 * h, &b));
        let d = velocity(v, &moved(&x, h, &c));
        [(1.0, a), (2.0, b), (2.0, c), (1.0, d)].iter().fold(x, |x, (weight, k)| moved(&x, weight * h / 6.0, k))
    })
}
