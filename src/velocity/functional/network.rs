//! A field by a network, trained on E[⟨s_p, f⟩ + div f - g(f)].

use super::young::Young;
use crate::autodiff::{Tape, Var};
use crate::linalg::Matrix;
use crate::nn::{Adam, AdamState, Mlp, Parameters};
use crate::rng::{Purpose, fill_signs, stream};
use crate::state::{State, Stateful};
use crate::{Error, Result};
use std::sync::Arc;

/// Half the distance of the differences behind div f in a coordinate, in units of the particles' spread there; their error is of its square.
const REACH: f64 = 1e-3;
/// Dimensions up to which the divergence sums over all coordinates; beyond, one random direction a particle (Hutchinson).
const EXACT: usize = 4;
/// Smooths a power of |f| at 0: f² is moved by this share of its mean square before the training of a step.
const FLOOR: f64 = 1e-12;
/// One of so many particles is held out.
const HELD_OUT: usize = 5;
/// Training steps without a better held-out value before a time step's training ends.
const PATIENCE: usize = 10;

/// The network with its optimiser.
pub(super) struct Network {
    mlp: Mlp,
    parameters: Parameters<f64>,
    adam: AdamState<f64>,
    rate: f64,
    inner: usize,
    /// The last held-out value of the objective, and steps taken.
    pub(super) held_out: f64,
}

/// What lengths and fields are measured by; 1 where all particles are the same, or the field is 0.
struct Units {
    /// The particles' spread in a coordinate, as a root mean square over these.
    length: f64,
    /// √(E f_k²), d.
    field: Vec<f64>,
}

impl Units {
    fn of(x: &Matrix, field: &Matrix) -> Self {
        let or_one = |v: f64| if v > 0.0 && v.is_finite() { v } else { 1.0 };
        let square = |k: usize| (0..field.rows()).map(|i| field[(i, k)] * field[(i, k)]).sum::<f64>();
        let size = |k: usize| or_one((square(k) / field.rows() as f64).sqrt());
        Self { length: or_one(x.spread() / (x.cols() as f64).sqrt()), field: (0..x.cols()).map(size).collect() }
    }
}

impl Network {
    pub(super) fn new(dim: usize, hidden: &[usize], rate: f64, inner: usize, seed: u64) -> Self {
        let widths = std::iter::once(dim).chain(hidden.iter().copied()).chain(std::iter::once(dim)).collect();
        let mlp = Mlp::new(widths);
        let initial = mlp.initialise::<f64>(&mut stream(seed, Purpose::Initialise, 28));
        let parameters: Parameters<f64> = initial.into_iter().map(|m| Arc::new(m.into())).collect();
        Self { adam: AdamState::new(&parameters), mlp, parameters, rate, inner, held_out: 0.0 }
    }

    /// f(x), n×d.
    pub(super) fn at(&self, x: &Matrix) -> Matrix {
        let tape = Tape::new();
        let p: Vec<_> = self.parameters.iter().map(|p| tape.parameter(p)).collect();
        self.mlp.forward(&p, tape.leaf(x)).value()
    }

    /// -(1/n) Σ [⟨s, f⟩ + div f - g(f)] on a tape; `directions` are those of the divergence (n×d each).
    fn loss<'t>(
        &self,
        p: &[Var<'t>],
        tape: &'t Tape,
        (young, units): (&Young, &Units),
        (x, score): (&Matrix, &Matrix),
        directions: &[Matrix],
    ) -> Var<'t> {
        let (n, reach) = (x.rows() as f64, REACH * units.length);
        let f = self.mlp.forward(p, tape.leaf(x));
        let mut value = (f * tape.leaf(score)).sum();
        for v in directions {
            let shifted = |h: f64| {
                let mut y = x.clone();
                y.add_scaled(h, v);
                self.mlp.forward(p, tape.leaf(&y))
            };
            let slope = (shifted(reach) - shifted(-reach)) * tape.leaf(v);
            value = value + slope.sum() * (0.5 / reach);
        }
        let floor = Matrix::from_fn(x.rows(), x.cols(), |_, k| FLOOR * units.field[k] * units.field[k]);
        (young.on_tape(f, &floor) - value) * (1.0 / n)
    }

    /// Trains on the particles of a step: up to `inner` steps of Adam on four fifths of them, until the held-out fifth has not improved for
    /// a while; the best parameters are kept.
    pub(super) fn train(&mut self, young: &Young, x: &Matrix, score: &Matrix, seed: u64, step: u64) -> Result<()> {
        let (n, d) = x.shape();
        let units = Units::of(x, &self.at(x));
        let out: Vec<usize> = (0..n).filter(|i| (*i as u64 + step).is_multiple_of(HELD_OUT as u64)).collect();
        let (held, rest) = if out.len() < 2 || n < 10 {
            ((0..n).collect(), (0..n).collect::<Vec<_>>())
        } else {
            let rest = (0..n).filter(|i| !(*i as u64 + step).is_multiple_of(HELD_OUT as u64)).collect();
            (out, rest)
        };
        let part = |rows: &[usize]| (x.gather_rows(rows), score.gather_rows(rows));
        let (train, test) = (part(&rest), part(&held));
        let mut signs = vec![0.0; n * d];
        let mut rng = stream(seed, Purpose::Jitter, (1 << 62) | step);
        let directions = |rows: usize, signs: &[f64]| -> Vec<Matrix> {
            let axis = |k: usize| Matrix::from_fn(rows, d, |_, j| if j == k { 1.0 } else { 0.0 });
            match d {
                0..=EXACT => (0..d).map(axis).collect(),
                _ => vec![Matrix::from_fn(rows, d, |i, j| signs[i * d + j])],
            }
        };
        fill_signs(&mut rng, &mut signs);
        let held_directions = directions(held.len(), &signs);
        let mut best: Option<(f64, Parameters<f64>, AdamState<f64>)> = None;
        let mut since = 0;
        for _ in 0..self.inner {
            let tape = Tape::new();
            let p: Vec<_> = self.parameters.iter().map(|p| tape.parameter(p)).collect();
            let value = self.loss(&p, &tape, (young, &units), (&test.0, &test.1), &held_directions).item();
            if !value.is_finite() {
                return Err(Error::Diverged { step });
            }
            if best.as_ref().is_none_or(|b| value < b.0) {
                best = Some((value, self.parameters.clone(), self.adam.clone()));
                since = 0;
            } else {
                since += 1;
                if since >= PATIENCE {
                    break;
                }
            }
            fill_signs(&mut rng, &mut signs);
            let loss = self.loss(&p, &tape, (young, &units), (&train.0, &train.1), &directions(rest.len(), &signs));
            let gradients: Vec<Matrix> = tape.gradient(loss, &p).iter().map(|g| g.value()).collect();
            drop(p);
            drop(tape);
            Adam::default().step(&mut self.parameters, &gradients, &mut self.adam, self.rate);
        }
        if let Some((value, parameters, adam)) = best {
            self.held_out = -value;
            // the last step of Adam has not been judged; an inner loop that never got worse keeps it
            if since > 0 {
                (self.parameters, self.adam) = (parameters, adam);
            }
        }
        Ok(())
    }
}

impl Stateful for Network {
    fn save(&self, to: &mut State) {
        to.put_parameters(&self.mlp.parameter_names(), &self.parameters, &self.adam);
        to.put_row("held_out", &[self.held_out]);
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        let held_out = from.matrix::<f64>("held_out", (1, 1))?[(0, 0)];
        (self.parameters, self.adam) = from.parameters(&self.mlp.parameter_names(), &self.parameters)?;
        self.held_out = held_out;
        Ok(())
    }
}
