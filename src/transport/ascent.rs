//! Steps up the dual: Sinkhorn's, with Newton's between groups of points and Anderson's acceleration.

use crate::num::Real;
use crate::transport::anderson::Anderson;
use crate::transport::blocks::Groups;
use crate::transport::newton::Newton;
use crate::transport::solve::{Half, Problem};

/// An error falls at least by this in a step on the coarsest level, or the derivatives there are taken again.
const SLOW: f64 = 0.25;
/// Damping where a search for potentials begins, its least value, and the factor by which it falls after a good step and grows after a bad one.
pub(super) const DAMPING: f64 = 1e-2;
const LEAST: f64 = 1e-10;
const FACTOR: f64 = 10.0;
/// A dual falls by more than this, relative to its terms, where a step was bad.
const ROUNDING: f64 = 1e-13;

/// Where a step began.
struct Start {
    /// The dual.
    value: f64,
    /// The potentials of the columns after Sinkhorn's step.
    image: Vec<f64>,
    /// What the groups lacked.
    lacking: Vec<f64>,
}

/// Steps on one level, which never go down for long: after one that lowered the dual the next is nearer to Sinkhorn's own.
pub(super) struct Ascent<'a, T> {
    problem: Problem<'a, T>,
    groups: Groups,
    /// Whether the level is the coarsest, where steps begin far from the solution.
    coarsest: bool,
    damping: &'a mut f64,
    newton: Option<Newton>,
    anderson: Anderson<'a>,
    start: Option<Start>,
    before: f64,
}

impl<'a, T: Real> Ascent<'a, T> {
    pub fn new(problem: Problem<'a, T>, groups: Groups, coarsest: bool, damping: &'a mut f64) -> Self {
        let anderson = Anderson::new(problem.b.weights());
        Self { problem, groups, coarsest, damping, newton: None, anderson, start: None, before: f64::INFINITY }
    }

    /// The next potentials of the columns.
    pub fn step(&mut self, half: &Half<T>) -> Vec<T> {
        let potentials = |p: &[T]| -> Vec<f64> { p.iter().map(|p| p.to_f64()).collect() };
        let fell = |start: &Start| half.value < start.value - ROUNDING * half.scale;
        let (start, bad) = match self.start.take() {
            Some(start) if fell(&start) => (start, true),
            _ => {
                let mut lacking = vec![0.0; self.groups.count];
                self.groups.columns.iter().zip(half.lacking).for_each(|(&group, l)| lacking[group] += l);
                (Start { value: half.value, image: potentials(half.image), lacking }, false)
            }
        };
        let mut anderson = !self.coarsest;
        if bad {
            *self.damping *= FACTOR;
            self.anderson.clear();
            anderson = false;
        } else {
            *self.damping = (*self.damping / FACTOR).max(LEAST);
            let error: f64 = half.lacking.iter().map(|l| l.abs()).sum();
            if self.coarsest && error > SLOW * self.before {
                self.newton = None;
            }
            self.before = error;
        }
        let of = || Newton::of(&self.problem, half.phi, half.image, &self.groups);
        let by = self.newton.get_or_insert_with(of).beyond(&start.lacking, *self.damping);
        let mut next = start.image.clone();
        next.iter_mut().zip(&self.groups.columns).for_each(|(g, &group)| *g += by[group]);
        if anderson {
            next = self.anderson.next(potentials(half.gamma), next);
        }
        self.start = Some(start);
        next.into_iter().map(T::from_f64).collect()
    }
}
