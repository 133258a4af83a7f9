//! The kernel estimator: q ∗ φ_h from a sample, with a bandwidth for each particle.

use crate::error::{Error, Result};
use crate::estimate::{
    Clock, Estimator, EstimatorSettings, Kde, KdeValues, Law, Levels, Noise, Noised, NoisedTarget, Query, Reference,
    Scene, near_order, panel_rows, resolved_bandwidth,
};
use crate::linalg::Matrix;
use crate::num::{Real, ln};
use crate::parallel;
use crate::rng::{Purpose, normal_matrix};
use crate::state::{State, Stateful};

crate::settings! {
    /// Settings of [`KernelEstimator`]. Lengths are in units of the frame, where the target has overall scale 1.
    pub struct KernelSettings in "estimator" {
        /// Size of the independent sample behind the density estimate of a step, where the model can draw one.
        sample: usize = 4096, Rule::AtLeast(1);
        /// Bandwidth at the start, in units of the scale; it falls geometrically.
        bandwidth_start: f64 = 1.2, Rule::Positive;
        /// Bandwidth at the end of its fall, in units of the scale; at each step no less than what the estimate resolves.
        bandwidth_end: f64 = 0.03, Rule::Positive;
        /// Fraction of the steps over which the bandwidth falls.
        anneal: f64 = 0.4, Rule::Fraction;
        /// Effective neighbours that the density estimate must have at 3 of 4 particles; 0 for one bandwidth for all.
        neighbours: f64 = 60.0, Rule::NotNegative;
        /// Bandwidths that all count in each step, a geometric series between the two, of which each particle has one; 0 for one that falls.
        levels: usize = 0, Rule::AtLeast(0);
        /// "matched" smooths the target by the same kernel (T11); "unmatched" does not, and has a wrong fixed point (T10).
        smoothing: String = "matched".into(), Rule::OneOf(&["matched", "unmatched"]);
    }
}

impl EstimatorSettings for KernelSettings {
    fn name(&self) -> &'static str {
        "kde"
    }
    fn summary(&self) -> &'static str {
        "a Gaussian kernel estimate with a bandwidth for each particle; up to about 8 dimensions"
    }
    fn validate(&self) -> Result<()> {
        if self.levels > 0 && self.smoothing == "unmatched" {
            let expected = "0 where smoothing = unmatched, which adds no noise".into();
            return Err(Error::Setting { key: "levels".into(), value: self.levels.to_string(), expected });
        }
        if self.bandwidth_end <= self.bandwidth_start {
            return Ok(());
        }
        let expected = format!("no more than bandwidth_start = {}", self.bandwidth_start);
        Err(Error::Setting { key: "bandwidth_end".into(), value: self.bandwidth_end.to_string(), expected })
    }
    fn build(&self, single: bool) -> Result<Box<dyn Estimator>> {
        Ok(match single {
            true => Box::new(KernelEstimator::<f32>::new(self.clone())),
            false => Box::new(KernelEstimator::<f64>::new(self.clone())),
        })
    }
    fn copy(&self) -> Box<dyn EstimatorSettings> {
        Box::new(self.clone())
    }
}

/// log (q ∗ φ_h)(y) and its score at y = x + hξ, by a KDE of bandwidth h with numbers of precision T (T10, T11).
///
/// Each particle has its own h: one of h, 1.5 h, 1.5² h, … that gives the estimate at y its `neighbours` effective neighbours. Wide
/// modes and tails use a large one, narrow modes a small one. A stray particle, where p is far rarer than q, does not climb: a wide
/// bandwidth would hide it behind the nearest mode. Who has too few neighbours m in the end has trust m/`neighbours` < 1: a handful of
/// neighbours would push it further out.
///
/// The bias of the estimate is corrected to first order in 1/m. From an independent sample log q̂ is low by ½τ and its gradient with it,
/// τ = 1/m - 1/N (T10). At the particle's own point, with its own term, log q̂ is high by ½τ and the score has no bias (T16).
pub struct KernelEstimator<T: Real> {
    settings: KernelSettings,
    /// Smallest bandwidth that the estimate resolved when it was last asked; 0 before.
    resolved: f64,
    precision: std::marker::PhantomData<T>,
}

/// Steps between two looks at what the estimate resolves.
const RESOLVE_EVERY: u64 = 50;
/// Fraction of particles that the smallest bandwidth must serve; the others use wider ones.
const RESOLVED: f64 = 0.25;
/// The same where no particle can take a wider one.
const RESOLVED_AT_LEVELS: f64 = 0.9;
/// Share of the wanted neighbours with which a particle's estimate is relied on there: with fewer, trust would fall at the edge of each mode, and
/// the target's pull on it would win.
const ENOUGH: f64 = 0.25;
/// Particles that are asked for their neighbours.
const RESOLVE_QUERIES: usize = 256;
/// A particle at which p is e³ times rarer than q has no business there, whatever its neighbours.
const STRAY: f64 = 3.0;
/// Ratio of one bandwidth to the next smaller one.
const LADDER: f64 = 1.5;

impl<T: Real> KernelEstimator<T> {
    /// With these settings.
    pub fn new(settings: KernelSettings) -> Self {
        Self { settings, resolved: 0.0, precision: std::marker::PhantomData }
    }

    /// The smallest bandwidth of a step: it falls from `bandwidth_start` to `bandwidth_end`, but not below what the estimate resolves.
    pub fn bandwidth(&self, clock: Clock) -> f64 {
        let s = &self.settings;
        clock.geometric(s.bandwidth_start, s.bandwidth_end, s.anneal).max(self.resolved)
    }

    /// The bandwidths that count at once, in noise that leaves a variance of 1; none where one falls.
    fn levels(&self) -> Option<Levels> {
        let (s, low) = (&self.settings, self.settings.bandwidth_end.max(self.resolved));
        (s.levels > 0).then(|| Levels::geometric(s.levels, low, s.bandwidth_start.max(low)))
    }

    /// Each particle at one of many levels: q̂ of bandwidth s/a at y/a, y = a x + s ξ, stretched by a.
    fn at_levels(&self, scene: &Scene, levels: &Levels) -> Result<Noised> {
        let (n, d) = scene.x.shape();
        let own = matches!(scene.reference, Reference::Own);
        let (of, sample) = (levels.choose(n, scene), scene.sample().cast::<T>());
        let xi: Matrix<T> = normal_matrix(scene.seed, Purpose::Jitter, scene.clock.step, n, d);
        let bandwidth = |k: usize| levels.all()[k].s / levels.all()[k].a;
        let finest = Kde::new(&sample, bandwidth(0))?;
        let mut parts = Settled::default();
        for k in 0..levels.len() {
            let rows: Vec<usize> = (0..n).filter(|i| of[*i] == k).collect();
            if rows.is_empty() {
                continue;
            }
            let (Noise { a, .. }, kde) = (levels.all()[k], finest.with_bandwidth(bandwidth(k)));
            let h = T::from_f64(kde.bandwidth());
            let y = Matrix::from_fn(rows.len(), d, |i, j| T::from_f64(scene.x[(rows[i], j)]) + h * xi[(rows[i], j)]);
            let order = near_order(&y);
            let panels: Vec<&[usize]> = order.chunks(panel_rows(d)).collect();
            let values =
                parallel::collect(panels.iter(), |panel| law_at(&kde, &y.gather_rows(panel), own, sample.rows()));
            for (panel, (log_q, score, neighbours)) in panels.iter().zip(values) {
                for (r, &i) in panel.iter().enumerate() {
                    parts.rows.push(rows[i]);
                    parts.bandwidth.push(kde.bandwidth());
                    parts.y.extend(y.row(i).iter().map(|y| a * y.to_f64()));
                    parts.log_q.push(log_q[r].to_f64() - d as f64 * ln(a));
                    parts.score_q.extend(score.row(r).iter().map(|s| s.to_f64() / a));
                    parts.trust.push((neighbours[r] / (ENOUGH * self.settings.neighbours)).min(1.0));
                }
            }
        }
        let mut out = parts.in_order(n, d);
        (out.noise, out.p) = (of.iter().map(|&k| levels.all()[k]).collect(), None);
        Ok(out)
    }

    /// The plain estimate at the particles themselves, against a target without noise (T10).
    fn unmatched(&self, scene: &Scene) -> Result<Noised> {
        let (n, h) = (scene.x.rows(), self.bandwidth(scene.clock));
        let values = Kde::<T>::new(&scene.sample().cast(), h)?.evaluate(&scene.x.cast());
        let q = Law { log_density: cast(&values.log_density), score: values.score.cast() };
        Ok(Noised { y: scene.x.clone(), noise: vec![Noise { a: 1.0, s: 0.0 }; n], q, p: None, trust: vec![1.0; n] })
    }
}

impl<T: Real> Stateful for KernelEstimator<T> {
    fn save(&self, to: &mut State) {
        to.put_row("resolved", &[self.resolved]);
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        self.resolved = from.matrix::<f64>("resolved", (1, 1))?[(0, 0)];
        Ok(())
    }
}

impl<T: Real> Estimator for KernelEstimator<T> {
    fn name(&self) -> &'static str {
        "kde"
    }

    fn reference(&self) -> usize {
        self.settings.sample
    }

    fn diffuses(&self) -> bool {
        self.settings.levels > 0
    }

    /// Asks anew every 50 steps what the estimate resolves.
    fn prepare(&mut self, scene: &Scene) -> Result<()> {
        let s = &self.settings;
        if scene.clock.step.is_multiple_of(RESOLVE_EVERY) {
            // every k-th row: the codes of a stratified batch are sorted
            let stride = (scene.x.rows() / RESOLVE_QUERIES).max(1);
            let rows: Vec<usize> = (0..scene.x.rows()).step_by(stride).collect();
            let (sample, queries): (Matrix<T>, Matrix<T>) = (scene.sample().cast(), scene.x.gather_rows(&rows).cast());
            let (low, high) = (s.bandwidth_end, s.bandwidth_start);
            let share = if s.levels > 0 { RESOLVED_AT_LEVELS } else { RESOLVED };
            self.resolved = resolved_bandwidth(&sample, &queries, s.neighbours, share, low, high)?;
        }
        Ok(())
    }

    fn noised(&self, scene: &Scene, target: &dyn NoisedTarget) -> Result<Noised> {
        if self.settings.smoothing == "unmatched" {
            return self.unmatched(scene);
        }
        if let Some(levels) = self.levels() {
            return self.at_levels(scene, &levels);
        }
        let (n, d) = scene.x.shape();
        let bandwidth = self.bandwidth(scene.clock);
        let sample: Matrix<T> = scene.sample().cast();
        let (noise, kde) = parallel::both(
            || normal_matrix(scene.seed, Purpose::Jitter, scene.clock.step, n, d),
            || Kde::new(&sample, bandwidth),
        );
        let climb = Climb {
            x: scene.x.cast(),
            own: matches!(scene.reference, Reference::Own),
            samples: sample.rows(),
            widest: self.settings.bandwidth_start,
            wanted: self.settings.neighbours,
            target,
            noise,
            kde: kde?,
        };
        Ok(climb.settle()?.in_order(n, d))
    }
}

/// A step's particles on their way up the ladder of bandwidths.
struct Climb<'a, T: Real> {
    x: Matrix<T>,
    /// Whether the particles are the sample.
    own: bool,
    samples: usize,
    widest: f64,
    wanted: f64,
    target: &'a dyn NoisedTarget,
    /// ξ, n×d.
    noise: Matrix<T>,
    /// q̂ at the smallest bandwidth.
    kde: Kde<T>,
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
    y: Vec<f64>,
    bandwidth: Vec<f64>,
    log_q: Vec<f64>,
    score_q: Vec<f64>,
    log_p: Vec<f64>,
    score_p: Vec<f64>,
    trust: Vec<f64>,
}

impl Settled {
    fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.y.extend(other.y);
        self.bandwidth.extend(other.bandwidth);
        self.log_q.extend(other.log_q);
        self.score_q.extend(other.score_q);
        self.log_p.extend(other.log_p);
        self.score_p.extend(other.score_p);
        self.trust.extend(other.trust);
    }

    /// In the order of the particles.
    fn in_order(self, n: usize, d: usize) -> Noised {
        let column = |values: &[f64]| {
            let mut out = vec![0.0; n];
            self.rows.iter().zip(values).for_each(|(&i, &v)| out[i] = v);
            out
        };
        let matrix = |values: &[f64]| {
            let mut out = Matrix::zeros(n, d);
            self.rows.iter().zip(values.chunks_exact(d)).for_each(|(&i, v)| out.row_mut(i).copy_from_slice(v));
            out
        };
        Noised {
            y: matrix(&self.y),
            noise: column(&self.bandwidth).into_iter().map(Noise::of_bandwidth).collect(),
            q: Law { log_density: column(&self.log_q), score: matrix(&self.score_q) },
            p: Some(Law { log_density: column(&self.log_p), score: matrix(&self.score_p) }),
            trust: column(&self.trust),
        }
    }
}

impl<T: Real> Climb<'_, T> {
    /// Settles all particles, rung by rung.
    fn settle(&self) -> Result<Settled> {
        let (n, d) = self.x.shape();
        let rungs = 1 + (ln(self.widest / self.kde.bandwidth()) / ln(LADDER)).max(0.0) as usize;
        let (mut parts, mut level) = (Settled::default(), None);
        let mut waiting = vec![Vec::new(); rungs];
        waiting[0] = (0..n).collect();
        for k in 0..rungs {
            let rows = std::mem::take(&mut waiting[k]);
            if rows.is_empty() {
                continue;
            }
            let kde = self.kde.with_bandwidth(self.kde.bandwidth() * LADDER.powi(k as i32));
            let short = self.attempt(&kde, &rows, k + 1 == rungs, &mut parts)?;
            // what strays are measured against
            level = level.or_else(|| median(parts.log_p.iter().zip(&parts.log_q).map(|(p, q)| p - q).collect()));
            let stray = |s: &Short| level.is_some_and(|level| s.log_ratio < level - STRAY);
            let (strays, short): (Vec<Short>, Vec<Short>) = short.into_iter().partition(stray);
            self.attempt(&kde, &strays.iter().map(|s| s.row).collect::<Vec<_>>(), true, &mut parts)?;
            for s in short {
                // neighbours grow like h^d where q is smooth: straight to the rung that should do
                let ahead = ln(self.wanted / s.neighbours) / (d as f64 * ln(LADDER));
                waiting[(k + ahead.ceil().max(1.0) as usize).min(rungs - 1)].push(s.row);
            }
        }
        Ok(parts)
    }

    /// Settles those of `rows` that have enough neighbours at this bandwidth, or `all`; returns the others. Panels of near particles are
    /// independent tasks.
    fn attempt(&self, kde: &Kde<T>, rows: &[usize], all: bool, parts: &mut Settled) -> Result<Vec<Short>> {
        let d = self.x.cols();
        // T11: the gradient of F_h is the field at a jittered point
        let size = T::from_f64(mutant!("jitter-long", 1.1 * kde.bandwidth(), kde.bandwidth()));
        let y = Matrix::from_fn(rows.len(), d, |i, j| self.x[(rows[i], j)] + size * self.noise[(rows[i], j)]);
        let order = near_order(&y);
        let panel = |panel: &[usize]| {
            let rows: Vec<usize> = panel.iter().map(|&i| rows[i]).collect();
            self.attempt_panel(kde, &rows, &y.gather_rows(panel), all)
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
    fn attempt_panel(&self, kde: &Kde<T>, rows: &[usize], y: &Matrix<T>, all: bool) -> Result<(Settled, Vec<Short>)> {
        let h = kde.bandwidth();
        let (log_q, score_q, neighbours) = law_at(kde, y, self.own, self.samples);
        let y: Matrix = y.cast();
        let (ready, short): (Vec<usize>, Vec<usize>) =
            (0..rows.len()).partition(|&i| all || neighbours[i] >= self.wanted);
        let noise = vec![Noise::of_bandwidth(mutant!("blur-of-the-target", 0.93 * h, h)); rows.len()];
        let p = self.target.at(&Query { x: &y.gather_rows(&ready), noise: &noise[..ready.len()] })?;
        let mut out = Settled { log_p: p.log_density, score_p: p.score.into_vec(), ..Settled::default() };
        for i in ready {
            out.rows.push(rows[i]);
            out.y.extend(y.row(i));
            out.bandwidth.push(h);
            out.log_q.push(log_q[i].to_f64());
            out.score_q.extend(score_q.row(i).iter().map(|s| s.to_f64()));
            out.trust.push(mutant!("trust-dropped", 1.0, neighbours[i] / self.wanted).min(1.0));
        }
        if short.is_empty() {
            return Ok((out, vec![]));
        }
        let scouted = self.target.scout(&Query { x: &y.gather_rows(&short), noise: &noise[..short.len()] })?;
        let found = |(&i, p): (&usize, f64)| Short {
            row: rows[i],
            neighbours: neighbours[i],
            log_ratio: p - log_q[i].to_f64(),
        };
        Ok((out, short.iter().zip(scouted).map(found).collect()))
    }
}

/// log q̂, its score and the effective neighbours m at jittered points, corrected to first order in 1/m.
fn law_at<T: Real>(kde: &Kde<T>, y: &Matrix<T>, own: bool, samples: usize) -> (Vec<T>, Matrix<T>, Vec<f64>) {
    let q = kde.evaluate(y);
    let neighbours = cast(&q.neighbours);
    let (log_q, score_q) =
        if mutant!("own-point-corrected", !own, own) { own_point(q, samples) } else { q.debiased(samples) };
    (log_q, score_q, neighbours)
}

/// (log q̂ - ½(1/m - 1/N), score) at points jittered from the sample itself: there log q̂ is high by ½τ, and the score has no bias (T16).
fn own_point<T: Real>(values: KdeValues<T>, samples: usize) -> (Vec<T>, Matrix<T>) {
    let (half, rest) = (T::from_f64(0.5), T::from_f64(1.0 / samples as f64));
    let corrected = values
        .log_density
        .iter()
        .zip(&values.neighbours)
        .map(|(&l, &m)| l - mutant!("own-term-sign", -half, half) * (T::ONE / m - rest));
    (corrected.collect(), values.score)
}

fn cast<T: Real>(values: &[T]) -> Vec<f64> {
    values.iter().map(|v| v.to_f64()).collect()
}

/// The middle value; none of nothing.
fn median(mut v: Vec<f64>) -> Option<f64> {
    v.sort_by(f64::total_cmp);
    v.get(v.len() / 2).copied()
}
