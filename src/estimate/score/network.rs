//! The residual of a score by a network: what a Gaussian with the same moments does not say of a law.

use crate::autodiff::{Tape, Var};
use crate::linalg::{Matrix, MeanFree};
use crate::nn::{Adam, AdamState, Equivariant, Mlp, Network, Parameters};
use crate::num::Real;
use crate::parallel;
use crate::rng::{Purpose, stream};
use crate::state::{State, Stateful};
use crate::{Error, Result};
use std::sync::Arc;

/// r: R^d → R^d at whitened points, a field or the gradient of a scalar φ, with its optimiser. It begins at 0.
#[derive(Debug, Clone)]
pub(crate) struct Residual<T: Real> {
    network: Network,
    parameters: Parameters<T>,
    adam: AdamState<T>,
    potential: bool,
}

/// What a residual is to learn from n points: Σ_i |r|² - 2⟨a, r⟩, with 2 div r where there are probes.
pub(crate) struct Lesson<T: Real> {
    /// z, n×d.
    pub z: Matrix<T>,
    /// What the network sees beside each z, n×m.
    pub marks: Matrix<T>,
    /// a, n×d: z itself for implicit score matching, a draw with mean r for denoising.
    pub pull: Matrix<T>,
    /// How the divergence is summed; none for denoising.
    pub divergence: Divergence<T>,
}

/// The divergence of a lesson.
pub(crate) enum Divergence<T: Real> {
    /// Not there.
    None,
    /// By all d directions.
    Exact,
    /// By random signs, n×d each: v·(∂r/∂z)v (Hutchinson); `sliced` asks for the squares along these directions alone.
    Probes { signs: Vec<Matrix<T>>, sliced: bool },
}

/// Rows that one tape computes; fixed, so that the bits do not depend on the number of threads.
const PANEL: usize = 128;
/// The unit of the stream of initial parameters, beside those of models.
const UNIT: u64 = 35;

impl<T: Real> Residual<T> {
    /// A network with these hidden layers and m = `marks` inputs beside z, whose output is 0; equivariant where z are `particles`.
    pub(crate) fn new(
        dim: usize,
        marks: usize,
        hidden: &[usize],
        particles: Option<MeanFree>,
        potential: bool,
        seed: u64,
    ) -> Self {
        let network = match particles {
            Some(space) => Network::Equivariant(Equivariant::new(space, hidden[0], hidden.len(), marks, potential)),
            None => Network::Mlp(Mlp::new([&[dim + marks][..], hidden, &[if potential { 1 } else { dim }]].concat())),
        };
        let initial = network.silent::<T>(&mut stream(seed, Purpose::Initialise, UNIT));
        let parameters: Parameters<T> = initial.into_iter().map(|m| Arc::new(m.into())).collect();
        Self { potential, ..Self::of(network, parameters) }
    }

    /// φ for a potential, else r, on a tape.
    fn output<'t>(&self, p: &[Var<'t, T>], z: Var<'t, T>, marks: &Matrix<T>) -> Var<'t, T> {
        let marks = (marks.cols() > 0).then(|| z.tape().leaf(marks));
        self.network.forward(p, z, marks)
    }

    /// φ (for a potential) and r on a tape.
    fn on<'t>(&self, p: &[Var<'t, T>], z: Var<'t, T>, marks: &Matrix<T>) -> (Var<'t, T>, Var<'t, T>) {
        let out = self.output(p, z, marks);
        (out, if self.potential { z.tape().gradient(out, &[z])[0] } else { out })
    }

    fn variables<'t>(&self, tape: &'t Tape<T>) -> Vec<Var<'t, T>> {
        self.parameters.iter().map(|p| tape.parameter(p)).collect()
    }

    /// φ(z_i), n, empty for a field, and r(z_i), n×d.
    pub(crate) fn at(&self, z: &Matrix<T>, marks: &Matrix<T>) -> (Vec<f64>, Matrix) {
        let panels: Vec<(Vec<f64>, Vec<f64>)> = self.panels(z.rows(), |tape, rows| {
            let marks = marks.slice_rows(rows.clone());
            let (out, r) = self.on(&self.variables(tape), tape.leaf(&z.slice_rows(rows)), &marks);
            let values = |v: Var<'_, T>| v.with(|m| m.as_slice().iter().map(|x| x.to_f64()).collect::<Vec<f64>>());
            (if self.potential { values(out) } else { Vec::new() }, values(r))
        });
        let (potential, field): (Vec<_>, Vec<_>) = panels.into_iter().unzip();
        (potential.concat(), Matrix::from_vec(z.rows(), z.cols(), field.concat()))
    }

    /// φ(z_i) of a potential alone, n.
    pub(super) fn potential(&self, z: &Matrix<T>, marks: &Matrix<T>) -> Vec<f64> {
        let panels = self.panels(z.rows(), |tape, rows| {
            let (z, marks) = (tape.leaf(&z.slice_rows(rows.clone())), marks.slice_rows(rows));
            let out = self.output(&self.variables(tape), z, &marks);
            out.with(|m| m.as_slice().iter().map(|x| x.to_f64()).collect::<Vec<f64>>())
        });
        panels.concat()
    }

    fn panels<R: Send>(&self, n: usize, f: impl Fn(&Tape<T>, std::ops::Range<usize>) -> R + Sync) -> Vec<R> {
        let panel = |k: usize| f(&Tape::new(), k * PANEL..((k + 1) * PANEL).min(n));
        parallel::collect(0..n.div_ceil(PANEL), panel)
    }

    /// The lesson's sum over some rows, on a tape.
    fn sum<'t>(
        &self,
        p: &[Var<'t, T>],
        tape: &'t Tape<T>,
        lesson: &Lesson<T>,
        rows: std::ops::Range<usize>,
    ) -> Var<'t, T> {
        let part = |m: &Matrix<T>| tape.leaf(&m.slice_rows(rows.clone()));
        let two = T::from_f64(2.0);
        let (z, a) = (part(&lesson.z), part(&lesson.pull));
        let r = self.on(p, z, &lesson.marks.slice_rows(rows.clone())).1;
        let whole = || (r.square() - r * a * two).sum();
        let slope = |v: Var<'t, T>| (tape.pull_back(r, v, &[z])[0] * v).sum() * two;
        match &lesson.divergence {
            Divergence::None => whole(),
            Divergence::Exact => {
                let (n, d) = (rows.len(), lesson.z.cols());
                let axis = |k: usize| Matrix::from_fn(n, d, |_, j| if j == k { T::ONE } else { T::ZERO });
                (0..d).map(|k| slope(tape.leaf(&axis(k)))).fold(whole(), |a, b| a + b)
            }
            Divergence::Probes { signs, sliced } => {
                let share = T::from_f64(1.0 / signs.len() as f64);
                let each = |v: &Matrix<T>| {
                    let v = part(v);
                    let along = (r * v).row_sums();
                    let square = || (along.square() - along * (a * v).row_sums() * two).sum();
                    if *sliced { square() + slope(v) } else { slope(v) }
                };
                let probes = signs.iter().map(each).reduce(|a, b| a + b).map(|sum| sum * share);
                match (probes, sliced) {
                    (Some(probes), true) => probes,
                    (Some(probes), false) => whole() + probes,
                    (None, _) => whole(),
                }
            }
        }
    }

    /// The lesson's mean over its points.
    pub(super) fn loss(&self, lesson: &Lesson<T>) -> f64 {
        let n = lesson.z.rows();
        let sums = self.panels(n, |tape, rows| self.sum(&self.variables(tape), tape, lesson, rows).item().to_f64());
        sums.iter().sum::<f64>() / n as f64
    }

    /// One step of Adam down the lesson's mean. `Error::Diverged` where the gradient is not finite; nothing has changed then.
    pub(crate) fn learn(&mut self, lesson: &Lesson<T>, rate: f64, step: u64) -> Result<()> {
        let n = lesson.z.rows();
        let parts = self.panels(n, |tape, rows| {
            let p = self.variables(tape);
            let sum = self.sum(&p, tape, lesson, rows);
            let one = tape.scalar(T::from_f64(1.0 / n as f64));
            tape.pull_back_once(&[(sum, one)], &p).iter().map(|g| g.value()).collect::<Vec<_>>()
        });
        let mut parts = parts.into_iter();
        let Some(mut gradient) = parts.next() else { return Ok(()) };
        for part in parts {
            gradient.iter_mut().zip(&part).for_each(|(g, p)| g.add_scaled(T::ONE, p));
        }
        if !gradient.iter().all(|g| g.is_finite()) {
            return Err(Error::Diverged { step });
        }
        Adam::default().step(&mut self.parameters, &gradient, &mut self.adam, rate);
        Ok(())
    }

    /// Its matrices.
    pub(crate) fn parameters(&self) -> &Parameters<T> {
        &self.parameters
    }

    /// A field by a network that has these matrices, with an optimiser that begins anew.
    pub(crate) fn of(network: Network, parameters: Parameters<T>) -> Self {
        Self { adam: AdamState::new(&parameters), network, parameters, potential: false }
    }

    /// Steps of Adam so far.
    pub(super) fn steps(&self) -> u64 {
        self.adam.step
    }
}

impl<T: Real> Stateful for Residual<T> {
    fn save(&self, to: &mut State) {
        to.put_parameters(&self.network.parameter_names(), &self.parameters, &self.adam);
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        (self.parameters, self.adam) = from.parameters(&self.network.parameter_names(), &self.parameters)?;
        Ok(())
    }
}
