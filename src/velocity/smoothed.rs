//! The smoothed universal velocity `V_h = φ_h ∗ (w(r_h) ∇ log r_h)`, r_h = (p ∗ φ_h)/(q ∗ φ_h) (T11).

use crate::density::Density;
use crate::divergence::Divergence;
use crate::error::Result;
use crate::estimate::{Kde, SmoothedTarget, centre_log_ratio, near_order, panel_rows};
use crate::linalg::Matrix;
use crate::num::Real;
use crate::parallel;
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
        let (noise, kde) = parallel::both(
            || normal_matrix(scene.seed, Purpose::Jitter, scene.step, n, d),
            || Kde::new(scene.reference, scene.bandwidth),
        );
        let parts = self.settle(&Climb { drift: self, scene, noise, kde: kde? })?;
        let mut log_ratio = parts.column(&parts.log_ratio);
        let log_z = centre_log_ratio(&mut log_ratio);
        let own = centred(&*self.divergence, &log_ratio);
        let divergence = own.as_deref().unwrap_or(&*self.divergence);
        let mut velocity = Matrix::zeros(n, d);
        drift_into(divergence, self.clip, &log_ratio, &parts.scores(d), &mut velocity);
        Ok(Field {
            velocity,
            growth: growth(divergence, self.clip, &log_ratio),
            log_ratio,
            log_z: log_z.value,
            log_density: parts.column(&parts.log_density),
            bandwidth: parts.column(&parts.bandwidth),
            effective_samples: log_z.effective_samples,
        })
    }
}

impl SmoothedDrift {
    /// Settles all particles, rung by rung.
    fn settle<T: Real>(&self, climb: &Climb<'_, T>) -> Result<Settled> {
        let (scene, (n, d)) = (climb.scene, climb.scene.particles.shape());
        let rungs = 1 + ((scene.widest / scene.bandwidth).ln() / LADDER.ln()).max(0.0) as usize;
        let (mut parts, mut level) = (Settled::default(), None);
        let mut waiting = vec![Vec::new(); rungs];
        waiting[0] = (0..n).collect();
        for k in 0..rungs {
            let rows = std::mem::take(&mut waiting[k]);
            if rows.is_empty() {
                continue;
            }
            let rung = climb.rung(k)?;
            let short = climb.attempt(&rung, &rows, k + 1 == rungs, &mut parts)?;
            level = level.or_else(|| median(parts.log_ratio.clone()));
            let stray = |s: &Short| level.is_some_and(|level| s.log_ratio < level - STRAY);
            let (strays, short): (Vec<Short>, Vec<Short>) = short.into_iter().partition(stray);
            climb.attempt(&rung, &strays.iter().map(|s| s.row).collect::<Vec<_>>(), true, &mut parts)?;
            for s in short {
                // neighbours grow like h^d where q is smooth: straight to the rung that should do
                let ahead = (self.neighbours / s.neighbours).ln() / (d as f64 * LADDER.ln());
                waiting[(k + ahead.ceil().max(1.0) as usize).min(rungs - 1)].push(s.row);
            }
        }
        Ok(parts)
    }
}

/// A step's particles on their way up the ladder of bandwidths.
struct Climb<'a, T: Real> {
    drift: &'a SmoothedDrift,
    scene: &'a Scene<'a, T>,
    /// ξ, n×d.
    noise: Matrix<T>,
    /// q̂ at the smallest bandwidth.
    kde: Kde<T>,
}

/// Both smoothed laws at one bandwidth.
struct Rung<T: Real> {
    bandwidth: f64,
    q: Kde<T>,
    p: SmoothedTarget,
}

/// A particle with too few neighbours.
struct Short {
    row: usize,
    neighbours: f64,
    log_ratio: f64,
}

/// What is known of particles, in any order.
#[derive(Default)]
struct Settled {
    rows: Vec<usize>,
    bandwidth: Vec<f64>,
    log_density: Vec<f64>,
    log_ratio: Vec<f64>,
    /// β = ∇ log r_h, d numbers for each.
    beta: Vec<f64>,
}

impl Settled {
    fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.bandwidth.extend(other.bandwidth);
        self.log_density.extend(other.log_density);
        self.log_ratio.extend(other.log_ratio);
        self.beta.extend(other.beta);
    }

    /// A column in the order of the particles.
    fn column(&self, values: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; values.len()];
        self.rows.iter().zip(values).for_each(|(&i, &v)| out[i] = v);
        out
    }

    /// β in the order of the particles, n×d.
    fn scores(&self, d: usize) -> Matrix {
        let mut out = Matrix::zeros(self.rows.len(), d);
        self.rows.iter().zip(self.beta.chunks_exact(d)).for_each(|(&i, beta)| out.row_mut(i).copy_from_slice(beta));
        out
    }
}

impl<T: Real> Climb<'_, T> {
    /// Rung k of the ladder.
    fn rung(&self, k: usize) -> Result<Rung<T>> {
        let bandwidth = self.scene.bandwidth * LADDER.powi(k as i32);
        let key = (self.scene.seed, self.scene.step);
        let p = SmoothedTarget::new(&self.drift.target, bandwidth, [self.drift.draws, SCOUTS], key)?;
        Ok(Rung { bandwidth, q: self.kde.with_bandwidth(bandwidth), p })
    }

    /// Settles those of `rows` that have enough neighbours at this rung, or `all`; returns the others. Panels of near particles are
    /// independent tasks.
    fn attempt(&self, rung: &Rung<T>, rows: &[usize], all: bool, parts: &mut Settled) -> Result<Vec<Short>> {
        let d = self.scene.particles.cols();
        // T11: the gradient of F_h is the field at a jittered point
        let size = T::from_f64(rung.bandwidth);
        let y =
            Matrix::from_fn(rows.len(), d, |i, j| self.scene.particles[(rows[i], j)] + size * self.noise[(rows[i], j)]);
        let order = near_order(&y);
        let panel = |panel: &[usize]| {
            let rows: Vec<usize> = panel.iter().map(|&i| rows[i]).collect();
            self.attempt_panel(rung, &rows, &y.gather_rows(panel), all)
        };
        let found: Vec<_> = parallel::collect(order.chunks(panel_rows(d)), panel).into_iter().collect::<Result<_>>()?;
        let mut short = Vec::new();
        for (settled, rest) in found {
            parts.extend(settled);
            short.extend(rest);
        }
        Ok(short)
    }

    /// One panel of [`Climb::attempt`]: particles `rows`, jittered to `y`.
    fn attempt_panel(&self, rung: &Rung<T>, rows: &[usize], y: &Matrix<T>, all: bool) -> Result<(Settled, Vec<Short>)> {
        let (mut out, h) = (Settled::default(), rung.bandwidth);
        let q = rung.q.evaluate(y);
        let neighbours: Vec<f64> = q.neighbours.iter().map(|m| m.to_f64()).collect();
        let (log_q, score_q) = q.debiased(self.scene.reference.rows());
        let y: Matrix = y.cast();
        let wanted = self.drift.neighbours;
        let (ready, short): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(|&i| all || neighbours[i] >= wanted);
        let p = rung.p.evaluate(&y.gather_rows(&ready))?;
        for (k, &i) in ready.iter().enumerate() {
            let trust = (neighbours[i] / wanted).min(1.0);
            let first = out.beta.len();
            out.beta.extend(p.score.row(k).iter().zip(score_q.row(i)).map(|(p, q)| p - trust * q.to_f64()));
            shorten(&mut out.beta[first..], LARGEST_BETA / h);
            out.log_ratio.push(p.log_density[k] - log_q[i].to_f64());
        }
        out.rows.extend(ready.iter().map(|&i| rows[i]));
        out.bandwidth.extend(ready.iter().map(|_| h));
        out.log_density.extend(p.log_density);
        if short.is_empty() {
            return Ok((out, vec![]));
        }
        let scouted = rung.p.scout(&y.gather_rows(&short))?;
        let found = |(&i, p): (&usize, f64)| Short {
            row: rows[i],
            neighbours: neighbours[i],
            log_ratio: p - log_q[i].to_f64(),
        };
        let short = short.iter().zip(scouted).map(found).collect();
        Ok((out, short))
    }
}

/// The middle value; none of nothing.
fn median(mut v: Vec<f64>) -> Option<f64> {
    v.sort_by(f64::total_cmp);
    v.get(v.len() / 2).copied()
}
