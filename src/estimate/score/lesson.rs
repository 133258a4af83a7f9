//! What the points of a step teach the network of a score.

use crate::error::Result;
use crate::estimate::ScoreNet;
use crate::estimate::score::EXACT;
use crate::estimate::score::network::{Divergence, Lesson};
use crate::estimate::score::whitening::{Whitening, by_level, marks};
use crate::linalg::Matrix;
use crate::num::Real;
use crate::rng::{Stream, fill_normal, fill_signs, uniform};

impl<T: Real> ScoreNet<T> {
    /// What the points x (n×d) teach, under fresh signs or noise; from `pull`, where it is given.
    pub(super) fn lesson(
        &self,
        x: &Matrix,
        pull: Option<Matrix>,
        whitenings: &[Whitening],
        rng: &mut Stream,
    ) -> Result<Lesson<T>> {
        let (n, d) = x.shape();
        if self.settings.objective == "denoising" {
            let many = whitenings.len() as f64;
            let level = |_| if many > 1.0 { (many * uniform(rng)) as usize } else { 0 };
            let of: Vec<usize> = (0..n).map(level).collect();
            let of = [&of[..], &of].concat();
            // the same noise with both signs: what is linear in it cancels
            let mut xi: Matrix = Matrix::zeros(n, d);
            fill_normal(rng, xi.as_mut_slice());
            let both = |k: usize, i: usize| if k < n { xi[(k, i)] } else { -xi[(k - n, i)] };
            let noise = |k: usize| whitenings[of[k]].noise;
            let y = Matrix::from_fn(2 * n, d, |k, j| noise(k).a * x[(k % n, j)] + noise(k).s * both(k, j));
            let z = by_level(whitenings, &of, &y, Whitening::apply);
            let plain = self.plain(&y, &z, whitenings, &of)?.0;
            let pull = Matrix::from_fn(2 * n, d, |k, j| {
                let lower = whitenings[of[k]].factor.lower();
                let drawn: f64 = (j..d).map(|i| lower[(i, j)] * both(k, i)).sum();
                whitenings[of[k]].output * (plain[(k, j)] - drawn / noise(k).s)
            });
            let marks = marks(whitenings, &of);
            return Ok(Lesson { z: z.cast(), marks, pull: pull.cast(), divergence: Divergence::None });
        }
        let z = whitenings[0].apply(x);
        let pull = match pull {
            Some(pull) => pull,
            None => self.plain(x, &z, whitenings, &vec![0; n])?.0,
        };
        let sliced = self.settings.objective == "sliced";
        let probes = self.settings.probes.unwrap_or(if d <= EXACT && !sliced { 0 } else { 1 });
        let signs = |rng: &mut Stream| {
            let mut v = Matrix::zeros(n, d);
            fill_signs(rng, v.as_mut_slice());
            v
        };
        let divergence = match probes {
            0 if !sliced => Divergence::Exact,
            m => Divergence::Probes { signs: (0..m.max(1)).map(|_| signs(rng)).collect(), sliced },
        };
        Ok(Lesson { pull: pull.cast(), z: z.cast(), marks: Matrix::zeros(n, 0), divergence })
    }
}
