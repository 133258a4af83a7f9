//! The smoothed universal velocity `V_h = φ_h ∗ (w(r_h) ∇ log r_h)`, r_h = (p ∗ φ_h)/(q ∗ φ_h) (T11).

use crate::density::Density;
use crate::divergence::Divergence;
use crate::error::Result;
use crate::estimate::{Kde, SmoothedTarget, centre_log_ratio};
use crate::linalg::Matrix;
use crate::num::Real;
use crate::rng::{Purpose, normal_matrix};
use crate::velocity::{Field, LogRatioClip, Scene, Velocity, centred, drift_into, growth, shorten};
use std::sync::Arc;

/// V_h(x) = E_ξ[w(r_h) ∇ log r_h](x + hξ), by one draw of ξ for each particle.
///
/// `q ∗ φ_h` is a KDE of bandwidth h, `p ∗ φ_h` the target smoothed by the same h: q = p is a fixed point at every h (T11). So each
/// particle may have its own: one of h, 1.5 h, 1.5² h, … that gives the estimate at x + hξ its `neighbours` effective neighbours.
/// Wide modes and tails use a large one, narrow modes a small one. A stray particle, where p is far rarer than q, does not climb: a
/// wide bandwidth would hide it behind the nearest mode. Who has too few neighbours m in the end takes only m/`neighbours` of the
/// estimated score of q: a handful of neighbours would push it further out.
pub struct SmoothedDrift {
    /// p.
    pub target: Arc<dyn Density>,
    /// Whose weight w is used.
    pub divergence: Arc<dyn Divergence>,
    /// Bounds on log r inside w.
    pub clip: LogRatioClip,
    /// Draws behind the smoothed target where it has no closed form; even.
    pub draws: usize,
    /// Effective neighbours that the estimate must have; 0 for one bandwidth for all.
    pub neighbours: f64,
}

/// Largest h |∇ log r_h| that is followed. At h the two smoothed laws differ by about 1 in these units; an outlier can show any
/// value, and one of them would turn the whole step.
const LARGEST_BETA: f64 = 2.0;

/// A particle at which p is e³ times rarer than q has no business there, whatever its neighbours.
const STRAY: f64 = 3.0;

/// Draws that tell a stray, where the smoothed target has no closed form: its log-density to a few tenths will do.
const SCOUTS: usize = 16;

/// Ratio of one bandwidth to the next smaller one.
const LADDER: f64 = 1.5;

impl<T: Real> Velocity<T> for SmoothedDrift {
    fn evaluate(&self, scene: &Scene<'_, T>) -> Result<Field<T>> {
        let (n, d) = scene.particles.shape();
        let noise: Matrix<T> = normal_matrix(scene.seed, Purpose::Jitter, scene.step, n, d);
        let mut parts = Parts::new(n, d);
        let kde = Kde::new(scene.reference, scene.bandwidth)?;
        let rungs = 1 + ((scene.widest / scene.bandwidth).ln() / LADDER.ln()).max(0.0) as usize;
        let mut waiting = vec![Vec::new(); rungs];
        waiting[0] = (0..n).collect();
        for k in 0..rungs {
            let h = scene.bandwidth * LADDER.powi(k as i32);
            let rows = std::mem::take(&mut waiting[k]);
            if rows.is_empty() {
                continue;
            }
            for (row, neighbours) in self.rung(scene, &kde, &noise, &rows, h, k + 1 == rungs, &mut parts)? {
                // neighbours grow like h^d where q is smooth: straight to the rung that should do
                let ahead = (self.neighbours / neighbours).ln() / (d as f64 * LADDER.ln());
                waiting[(k + ahead.ceil().max(1.0) as usize).min(rungs - 1)].push(row);
            }
        }
        let log_z = centre_log_ratio(&mut parts.log_ratio);
        let mut velocity = Matrix::zeros(n, d);
        let own = centred(&*self.divergence, &parts.log_ratio);
        let divergence = own.as_deref().unwrap_or(&*self.divergence);
        drift_into(divergence, self.clip, &parts.log_ratio, &parts.beta, &mut velocity);
        Ok(Field {
            velocity,
            growth: growth(divergence, self.clip, &parts.log_ratio),
            log_ratio: parts.log_ratio,
            log_z: log_z.value,
            log_density: parts.log_density,
            bandwidth: parts.bandwidth,
            effective_samples: log_z.effective_samples,
        })
    }
}

/// What is known of each particle.
struct Parts {
    log_density: Vec<f64>,
    log_ratio: Vec<f64>,
    /// ∇ log r_h, n×d.
    beta: Matrix,
    bandwidth: Vec<f64>,
    /// A robust level of l, from the first rung: log Z up to noise.
    level: Option<f64>,
}

impl Parts {
    fn new(n: usize, d: usize) -> Self {
        let zeros = || vec![0.0; n];
        Self { log_density: zeros(), log_ratio: zeros(), beta: Matrix::zeros(n, d), bandwidth: zeros(), level: None }
    }

    /// Records a particle's estimate at bandwidth h, its β cut to [`LARGEST_BETA`]/h.
    fn settle(&mut self, row: usize, h: f64, log_density: f64, log_ratio: f64, beta: impl Iterator<Item = f64>) {
        (self.bandwidth[row], self.log_density[row], self.log_ratio[row]) = (h, log_density, log_ratio);
        let out = self.beta.row_mut(row);
        out.iter_mut().zip(beta).for_each(|(b, v)| *b = v);
        shorten(out, LARGEST_BETA / h);
    }
}

impl SmoothedDrift {
    /// Settles those of `rows` that have enough neighbours at bandwidth h, or no business where they are (all where this is the
    /// `last` rung); returns the others with the neighbours that they have.
    fn rung<T: Real>(
        &self,
        scene: &Scene<'_, T>,
        kde: &Kde<T>,
        noise: &Matrix<T>,
        rows: &[usize],
        h: f64,
        last: bool,
        parts: &mut Parts,
    ) -> Result<Vec<(usize, f64)>> {
        // T11: the gradient of F_h is the field at a jittered point
        let size = T::from_f64(h);
        let y = Matrix::from_fn(rows.len(), scene.particles.cols(), |i, j| {
            scene.particles[(rows[i], j)] + size * noise[(rows[i], j)]
        });
        let q = kde.with_bandwidth(h).evaluate(&y);
        let neighbours: Vec<f64> = q.neighbours.iter().map(|m| m.to_f64()).collect();
        let (log_q, score_q) = q.debiased(scene.reference.rows());
        let y: Matrix = y.cast();
        let target = SmoothedTarget::new(&self.target, h, (scene.seed, scene.step));
        let settle = |part: &[usize], parts: &mut Parts| -> Result<()> {
            let p = target.evaluate(&y.gather_rows(part), self.draws)?;
            for (k, &i) in part.iter().enumerate() {
                let trust = (neighbours[i] / self.neighbours).min(1.0);
                let beta = p.score.row(k).iter().zip(score_q.row(i)).map(|(p, q)| p - trust * q.to_f64());
                parts.settle(rows[i], h, p.log_density[k], p.log_density[k] - log_q[i].to_f64(), beta);
            }
            Ok(())
        };
        let enough = |i: &usize| neighbours[*i] >= self.neighbours;
        let (ready, short): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(|i| last || enough(i));
        settle(&ready, parts)?;
        if parts.level.is_none() {
            let l = ready.iter().filter(|i| enough(i)).map(|&i| parts.log_ratio[rows[i]]).collect();
            parts.level = median(l);
        }
        let strays = match parts.level {
            Some(level) if !short.is_empty() => {
                let p = target.log_density(&y.gather_rows(&short), SCOUTS)?;
                short.iter().zip(p).map(|(&i, p)| p - log_q[i].to_f64() < level - STRAY).collect()
            }
            _ => vec![false; short.len()],
        };
        let pick = |stray: bool| short.iter().zip(&strays).filter(move |(_, s)| **s == stray).map(|(&i, _)| i);
        settle(&pick(true).collect::<Vec<_>>(), parts)?;
        Ok(pick(false).map(|i| (rows[i], neighbours[i])).collect())
    }
}

/// The middle value; none of nothing.
fn median(mut v: Vec<f64>) -> Option<f64> {
    v.sort_by(f64::total_cmp);
    v.get(v.len() / 2).copied()
}
