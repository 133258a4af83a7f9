//! The certificate of a generator with noise: importance weights against the exact density of its own draws (T25).

use crate::density::student::{draw_standard, log_standard};
use crate::density::{
    Affine, Density, GaussianMixture, Standardised, evaluate, evaluate_beyond, evaluate_log_density, in_units_of_x,
};
use crate::error::{Error, Result};
use crate::linalg::{Cholesky, Matrix};
use crate::metric::{Bridge, Certificate, Estimate, NoiseLevels, shown};
use crate::model::Searched;
use crate::model::{CentreDensity, Generator, LatentBatch};
use crate::num::{Real, exp, hypot, ln, ln_1p, log_mean_exp, log_sum_exp};
use crate::rng::{Purpose, stream};
use crate::search::{Disagreement, FEWEST, MISSED, Polish, REGION};
use std::f64::consts::PI;
use std::sync::Arc;

/// Share of the search's particles with q < p/10 beyond which these are no tail: 0.08 for a flow of funnel-10, 0.42 for one of phi4-32 whose
/// log Z is off by 28 of its errors.
const TAIL: f64 = 0.25;
/// Steps of a chain from each particle of the search, at most, and the least ratio of the search's evaluations to theirs. Walls of the φ⁴ ring
/// of 16 sites come to 0.7 of their share in 200 steps and to 0.9 in 500.
const STEPS: u64 = 500;
const CHEAPER: u64 = 4;
/// Particles behind the step of the chains, and the key of their noise.
const PILOT: usize = 512;
const CHAINS: u64 = 0xb71d;
/// Share of the points of the defensive stratum, Student's t around the frame's centre in its units.
const DEFENCE: f64 = 0.05;
/// Nearest particles that tell a region from a tail.
const NEAREST: usize = 8;
/// Samples and centres behind KL by noise levels: a level costs the scores of all centres at all of these samples.
const NOISED: usize = 1_000;
/// Standard errors between two log Z from which they are said to differ.
const GAP: f64 = 4.0;

/// What N draws of a generator say about it and about p.
///
/// Draws x_i come from centres, one each; ψ is the exact density of the mixture of all centres, so that E (1/N) Σ p~(x_i)/ψ(x_i) = Z for
/// every N and whatever the centres are (T25). Nothing of it sees a mode that no centre is near; the defensive stratum and the search do.
#[derive(Debug, Clone)]
pub struct GeneratorCertificate {
    /// From the draws alone: log p~ - log ψ.
    pub bare: Certificate,
    /// From the draws and the defensive stratum, whose density joins ψ: a finite variance wherever p's tails are lighter than Student's t.
    pub defended: Certificate,
    /// E[log p~ - log ψ] with the own centre in ψ, and without it: they bracket the ELBO log Z - KL(q‖p) of the generator's law q.
    pub elbo: [Estimate; 2],
    /// The points of the defended certificate, in the units of the target, and their log-weights.
    pub points: Matrix,
    /// log p~ - log of their density, n.
    pub log_weights: Vec<f64>,
    /// What the search says beside it.
    pub search: Option<AgainstSearch>,
    /// KL(ψ‖p) in nats from scores at noise levels (T26), without Z and without weights; None where p with noise has no closed form.
    pub kl: Option<Estimate>,
    /// ψ, the density from which exactly the draws came, and the controlled estimate of that of the generator's law by the same centres;
    /// both in the units of the target.
    pub densities: [CentreDensity; 2],
}

/// A generator beside the particles of the search that it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct AgainstSearch {
    /// log Z of the search.
    pub log_z: Estimate,
    /// Its evaluations of log p~.
    pub calls: u64,
    /// Particles of the search.
    pub particles: usize,
    /// The fraction of them where the generator's density is below a tenth of the target's.
    pub missed: Estimate,
    /// How many of these lie together: most of the particles next to each are missed too. Tails are missed here and there, modes as a whole.
    pub together: usize,
    /// The mean of those, in the units of the target, and their standard deviations; None where they are too few for a region.
    pub region: Option<(Vec<f64>, Vec<f64>)>,
    /// The share of all particles within two of these deviations of the mean in every coordinate.
    pub share: f64,
    /// log Z from the samples of the model and the particles of both populations together, at the ends of the chains.
    pub bridge: Bridge,
    /// Steps of these chains ([`AgainstSearch::of`]).
    pub steps: u64,
    /// What the two populations do not agree on.
    pub disagreement: Option<Disagreement>,
}

impl GeneratorCertificate {
    /// Standard errors between log Z of the defended certificate and of the search; 0 without a search.
    pub fn log_z_gap(&self) -> f64 {
        self.search.as_ref().map_or(0.0, |s| s.gap(self.defended.log_z))
    }

    /// Name, value and meaning of each figure beside those of the bare certificate.
    pub fn rows(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut rows = vec![
            (
                "ELBO, own centre out",
                shown(self.elbo[1]),
                "at least that of the generator's law; ELBO above is at most",
            ),
            ("log Z, defended", shown(self.defended.log_z), "with a stratum of Student's t: its variance is finite"),
            ("ESS, defended", format!("{:.4}", self.defended.reverse_ess), "falls where the generator misses mass"),
        ];
        let kl = |kl| {
            ("KL(ψ‖p), by noise levels", shown(kl), "nats, from scores alone (T26); log Z - ELBO must be the same")
        };
        rows.extend(self.kl.map(kl));
        rows.extend(self.search.iter().flat_map(AgainstSearch::rows));
        rows
    }

    /// log Z from the ELBO and KL by noise levels: it knows of modes without samples, where weights do not.
    pub fn log_z_by_noise(&self) -> Option<Estimate> {
        self.kl.map(|kl| Estimate {
            value: self.elbo[0].value + kl.value,
            standard_error: hypot(self.elbo[0].standard_error, kl.standard_error),
        })
    }

    /// What speaks against the generator, one sentence each.
    pub fn findings(&self) -> Vec<String> {
        let mut found: Vec<String> = self.search.iter().flat_map(|s| s.findings(self.defended.log_z)).collect();
        let by_noise = self.log_z_by_noise().map(|z| (z, z.value - self.bare.log_z.value));
        if let Some((z, gap)) =
            by_noise.filter(|(z, gap)| *gap > GAP * hypot(z.standard_error, self.bare.log_z.standard_error))
        {
            found.push(format!(
                "KL by noise levels puts log Z at {:.3}, {gap:.3} above the weights: the model misses a share of about {:.3} of the target",
                z.value,
                1.0 - exp(-gap)
            ));
        }
        // P(Z^ ≥ Z/δ) ≤ δ by Markov's inequality, Z^ ≥ 0 unbiased
        found.push(format!(
            "with probability 0.99, log Z is at least {:.3} (Markov's inequality); nothing bounds it from above",
            self.defended.log_z.value + ln(0.01f64)
        ));
        found
    }
}

impl AgainstSearch {
    /// A `model` with this density beside what the search of `target` found. `own`: the density from which its samples came, which may be
    /// another estimate of the same law, and log p~ less its logarithm at them. Which missed particles lie together is judged in the units of
    /// `frame`.
    ///
    /// Before the bridge each particle makes up to 500 steps of MALA, which leave p invariant: the share of p outside of a set is the
    /// same at every step, and what a search weighed wrongly, and a chain reaches, comes to its right share. They cost at most a quarter of
    /// the search's evaluations, and are left out where log p~ or its score is not finite at a proposal.
    pub fn of(
        found: &Searched,
        target: &Arc<dyn Density>,
        model: &dyn Density,
        (own, log_weights): (&dyn Density, &[f64]),
        frame: &Affine,
    ) -> Result<Self> {
        let log_q = model.log_density(&found.particles);
        let log_p = evaluate_log_density(&**target, &found.particles)?;
        let log_z = found.log_z.max(log_mean_exp(log_weights));
        let (steps, ends) = found.chains(target, frame);
        let at_ends = evaluate_log_density(&**target, &ends)?;
        let at_ends: Vec<f64> = at_ends.iter().zip(own.log_density(&ends)).map(|(p, q)| p - q).collect();
        let bridge = Bridge::of(log_weights, &at_ends, &found.families, log_p.len());
        let bridge = bridge.at_places(ends.iter_rows(), &at_ends);
        let is_missed = |(q, p): (&f64, &f64)| f64::from(u8::from(q - (p - log_z) < MISSED));
        let missed: Vec<f64> = log_q.iter().zip(&log_p).map(is_missed).collect();
        let together = together(&frame.standardise(&found.particles), &missed);
        let region = (together.len() >= FEWEST && together.len() as f64 >= REGION * log_p.len() as f64).then(|| {
            let x = found.particles.gather_rows(&together);
            let centre = x.column_means();
            let square = |j: usize| x.iter_rows().map(|r| (r[j] - centre[j]).powi(2)).sum::<f64>();
            let spread = |j: usize| (square(j) / x.rows() as f64).sqrt();
            (centre.clone(), (0..x.cols()).map(spread).collect())
        });
        Ok(Self {
            log_z: Estimate { value: found.log_z, standard_error: found.log_z_error },
            calls: found.calls,
            particles: log_p.len(),
            missed: Estimate::mean(&missed),
            together: together.len(),
            share: region.as_ref().map_or(0.0, |region| {
                found.particles.iter_rows().filter(|x| is_within(x, region)).count() as f64 / log_p.len() as f64
            }),
            region,
            bridge,
            steps,
            disagreement: found.disagreement.clone(),
        })
    }

    /// Whether the weights of a model's samples (n×d, with n log-weights) have at least half of the mass in the region that the particles
    /// have there, at most a quarter of all particles is missed where the weights lack mass, and log Z is not below that of the search by more
    /// than its error, or there is no region: a tail that is thin in the model but visited, which weights repair.
    pub fn is_seen(&self, samples: &Matrix, log_weights: &[f64]) -> bool {
        let Some(region) = &self.region else { return true };
        if self.missed.value > TAIL && self.bridge.missing > 0.0 {
            return false;
        }
        let total = log_sum_exp(log_weights);
        let log_z = total - ln(log_weights.len() as f64);
        if self.log_z.value - log_z > GAP * self.log_z.standard_error {
            return false;
        }
        let inside = samples.iter_rows().zip(log_weights).filter(|(x, _)| is_within(x, region));
        inside.map(|(_, l)| exp(l - total)).sum::<f64>() >= 0.5 * self.share
    }

    /// Standard errors between log Z of the search and of a model.
    pub fn gap(&self, log_z: Estimate) -> f64 {
        (self.log_z.value - log_z.value).abs() / hypot(self.log_z.standard_error, log_z.standard_error)
    }

    /// Name, value and meaning of each figure.
    pub fn rows(&self) -> Vec<(&'static str, String, &'static str)> {
        vec![
            ("log Z of the search", shown(self.log_z), "from the particles that the training began with"),
            (
                "log Z, with the search",
                shown(self.bridge.log_z),
                "from bounded weights, and the share of its particles above the bound",
            ),
            (
                "log Z, not excluded",
                format!("{:.1e}", self.bridge.not_excluded()),
                "by which the particles of the search let the weights be too low, with two errors",
            ),
            ("missed, of the search", shown(self.missed), "of its particles: there q < p/10"),
            (
                "resolution of the search",
                format!("{:.1e}", Searched::resolution(self.calls)),
                "of the volume: a smaller mode that no slope leads to may be missed",
            ),
        ]
    }

    /// What speaks against a model with this log Z, one sentence each.
    pub fn findings(&self, log_z: Estimate) -> Vec<String> {
        let mut found: Vec<String> = self.missed_region().into_iter().collect();
        found.extend(self.missing_mass());
        found.extend(self.disagreement.as_ref().map(|d| d.to_string()));
        if self.gap(log_z) > GAP {
            let side = if self.log_z.value > log_z.value { "above" } else { "below" };
            found.push(format!(
                "log Z of the search is {:.1} standard errors {side} that of the model: a mode may be missing in one of them",
                self.gap(log_z)
            ));
        }
        found
    }

    /// The sentence that log Z of the weights is too low, where the particles say so by more than chance.
    pub fn missing_mass(&self) -> Option<String> {
        let Bridge { cut, of_particles, of_weights, log_z, above, missing, .. } = self.bridge;
        (missing > 0.0).then(|| {
            format!(
                "log Z of the weights may be too low by {}: {:.2} % of the search's particles lie where the model's density is below 1/{cut:.0} of \
                 the target's, and {:.2} % of the weights do; with the particles log Z is {}",
                shown(above),
                100.0 * of_particles.value,
                100.0 * of_weights.value,
                shown(log_z)
            )
        })
    }

    /// The sentence that a mode is missing, where there is a region: one in 200 of the search's particles, and eight at least.
    pub fn missed_region(&self) -> Option<String> {
        let (centre, spread) = self.region.as_ref()?;
        let count = self.together;
        let list = |v: &[f64]| {
            let some: Vec<String> = v.iter().take(6).map(|x| format!("{x:.4}")).collect();
            format!("[{}{}]", some.join(", "), if v.len() > 6 { ", ..." } else { "" })
        };
        Some(format!(
            "{count} of {} particles of the search lie together where the model's density is below a tenth of the target's: around {}, \
             with standard deviations {}; a mode may be missing",
            self.particles,
            list(centre),
            list(spread)
        ))
    }
}

impl Searched {
    /// Steps of MALA from every particle of both populations, and where they end. No steps where they cannot be afforded, or made.
    ///
    /// In the units in which the scores have covariance I, the best ones for such chains (Titsias, 2023): they follow the widths of modes, where those
    /// of the covariance of the particles follow distances between modes and take steps too short for all else.
    fn chains(&self, target: &Arc<dyn Density>, frame: &Affine) -> (u64, Matrix) {
        let (n, d) = (self.particles.rows() + self.second.rows(), self.particles.cols());
        let x = Matrix::from_vec(n, d, [self.particles.as_slice(), self.second.as_slice()].concat());
        let steps = (self.calls / (CHEAPER * n.max(1) as u64)).min(STEPS);
        let moved = || -> Result<Matrix> {
            let p = |frame: &Affine| Standardised::new(Arc::clone(target), frame.clone());
            let scores = evaluate(&p(frame)?, &frame.standardise(&x))?.score.column_covariance();
            let inverse = Cholesky::factor(&scores, "covariance of the scores")?.inverse();
            let inner = Cholesky::factor(&inverse, "inverse covariance of the scores")?.lower().clone();
            let frame = frame.after(&Affine::from_parts(vec![0.0; d], inner)?)?;
            let (p, mut y) = (p(&frame)?, frame.standardise(&x));
            let pilot: Vec<usize> = (0..n).step_by(n.div_ceil(PILOT).max(1)).collect();
            Polish::tune(&p, &y.gather_rows(&pilot), CHAINS)?.run(&p, &mut y, steps, (CHAINS, 0))?;
            Ok(frame.restore(&y))
        };
        match (steps > 0).then(moved) {
            Some(Ok(ends)) => (steps, ends),
            _ => (0, x),
        }
    }
}

impl<T: Real> Generator<T> {
    /// The certificate for `target` (in its own units) from the n samples that [`Generator::sample`] gives under `seed` as its block 0, beside
    /// what the search found. `Error::Unsupported` for a generator without noise.
    ///
    /// Cost: n(1 + 1/19) evaluations of log p~, and those of ψ at as many points and at the particles of the search.
    pub fn certify(&self, target: &Arc<dyn Density>, n: usize, seed: u64) -> Result<GeneratorCertificate> {
        let target = &self.aim(target)?;
        let p = Standardised::new(Arc::clone(target), self.frame.clone())?;
        let d = self.dim();
        let latent = self.draw(n, false, (seed, Purpose::Sample, 0));
        let (Some(density), Some(law)) = (self.density(&latent, false), self.density(&latent, true)) else {
            let (what, remedy) = ("a generator without noise has no density".into(), "train it with codes");
            return Err(Error::Unsupported { what, remedy });
        };
        let y = self.map(&latent);
        let in_own = |e| in_units_of_x(e, &self.frame);
        let (log_p, log_psi) = (evaluate_log_density(&p, &y).map_err(in_own)?, density.log_density(&y));
        let bare: Vec<f64> = log_p.iter().zip(&log_psi).map(|(p, q)| p - q).collect();
        let own = self.own_terms(&latent);
        // ψ without centre i is (nψ - N_i)/(n - 1)
        let rest = ln((n as f64 - 1.0) / n as f64);
        let without = |i: usize| {
            log_p[i] - less(log_psi[i], mutant!("own-centre-left-in", f64::NEG_INFINITY, own[i]) - ln(n as f64)) + rest
        };
        let without: Vec<f64> = (0..n).map(without).collect();

        let more = (DEFENCE / (1.0 - DEFENCE) * n as f64).round() as usize;
        let stray = student(more, d, seed);
        let log_p_stray = evaluate_beyond(&p, &stray).map_err(in_own)?;
        let all = Matrix::from_vec(n + more, d, [y.as_slice(), stray.as_slice()].concat());
        let log_psi_all = log_psi.into_iter().chain(density.log_density(&stray));
        let share = more as f64 / (n + more) as f64;
        let log_mix = |psi: f64, y: &[f64]| {
            let (a, b) = (ln(1.0 - share) + psi, mutant!("stratum-share", 0.0, ln(share)) + log_standard(y));
            let top = a.max(b);
            top + ln(exp(a - top) + exp(b - top))
        };
        let log_q = log_psi_all.zip(all.iter_rows()).map(|(psi, y)| log_mix(psi, y));
        let log_weights: Vec<f64> = log_p.iter().chain(&log_p_stray).zip(log_q).map(|(p, q)| p - q).collect();
        let defended = Certificate::of(&log_weights, None)?;
        let kl = self.kl_by_noise(&p, &density, &y, seed)?;
        let densities = [density, law].map(|q| q.restored(self.frame.clone()));
        let own: (&dyn Density, &[f64]) = (&densities[0], &bare);
        let against = |s| AgainstSearch::of(s, target, &densities[1], own, &self.frame);
        let search = self.search.as_ref().map(against).transpose()?;
        let certificate = Certificate::of(&bare, None)?;
        Ok(GeneratorCertificate {
            elbo: [Estimate::mean(&bare), Estimate::mean(&without)],
            bare: search.iter().fold(certificate, |c, s| c.beside(&s.bridge)),
            defended,
            points: self.scattered(self.frame.restore(&all), seed, 0),
            log_weights,
            search,
            kl,
            densities,
        })
    }

    /// KL(ψ‖p) by noise levels, in units of the frame, of which KL knows nothing. None where ψ is no mixture or p has no closed form.
    ///
    /// The finest level follows the narrowest kernel and the narrowest component of p, the coarsest the farthest sample.
    fn kl_by_noise(
        &self,
        p: &Standardised,
        density: &CentreDensity,
        y: &Matrix,
        seed: u64,
    ) -> Result<Option<Estimate>> {
        let (Some(q), Some(_)) = (density.mixture_of_centres(), p.smoothed(1.0)) else { return Ok(None) };
        // the smallest standard deviation of a component is at least one over the norm of its whitening matrix
        let norm = |w: &Matrix| w.as_slice().iter().map(|v| v * v).sum::<f64>().sqrt();
        let narrowest = |m: &GaussianMixture| 1.0 / m.whiteners().iter().map(norm).fold(1.0, f64::max);
        let fine = p.mixture().map_or(1.0, narrowest).min(narrowest(&q));
        let spread = y.as_slice().iter().fold(1.0f64, |m, v| m.max(v.abs()));
        let few = y.slice_rows(0..NOISED.min(y.rows()));
        let score = |m: &dyn Density, y: &Matrix| evaluate(m, y).map(|e| e.score);
        let out = NoiseLevels::between(fine, spread)?.estimate(&few, seed, |sigma, y| {
            let (Some(q), Some(p)) = (q.smoothed(sigma), p.smoothed(sigma)) else {
                unreachable!("both have closed forms")
            };
            let mut gap = score(&*q, y)?;
            gap.add_scaled(-1.0, &score(&*p, y)?);
            Ok(gap)
        })?;
        Ok(Some(out.kl))
    }

    /// log N(y_i; m_k + A_k c_i, h² A_k A_kᵀ) at the draw of each centre, n.
    fn own_terms(&self, latent: &LatentBatch<T>) -> Vec<f64> {
        let (Some(pieces), Some(codes), Some(jitter)) = (&self.pieces, &latent.codes, &latent.jitter) else {
            return Vec::new();
        };
        let d = self.dim();
        let log_det = |k: usize| (0..d).map(|i| ln(pieces.factors()[(k, i * (d + 1))])).sum::<f64>();
        let constant = 0.5 * d as f64 * ln(2.0 * PI) + d as f64 * ln(self.noise);
        let square = |row: &[T]| row.iter().map(|v| v.to_f64() * v.to_f64()).sum::<f64>();
        codes.iter().zip(jitter.iter_rows()).map(|(&k, xi)| -0.5 * square(xi) - log_det(k) - constant).collect()
    }
}

/// Whether x is within two standard deviations of the centre in every coordinate.
fn is_within(x: &[f64], (centre, spread): &(Vec<f64>, Vec<f64>)) -> bool {
    x.iter().zip(centre.iter().zip(spread)).all(|(x, (c, s))| (x - c).abs() <= 2.0 * s)
}

/// Those of the missed rows of y (1 in `missed`, else 0) of whose nearest rows most are missed too.
fn together(y: &Matrix, missed: &[f64]) -> Vec<usize> {
    let near = |i: usize| {
        let gap = |j: usize| y.row(i).iter().zip(y.row(j)).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        let mut gaps: Vec<(f64, f64)> = (0..y.rows()).filter(|&j| j != i).map(|j| (gap(j), missed[j])).collect();
        let count = NEAREST.min(gaps.len().saturating_sub(1));
        gaps.select_nth_unstable_by(count, |a, b| a.0.total_cmp(&b.0));
        gaps[..count].iter().map(|g| g.1).sum::<f64>() > 0.5 * count as f64
    };
    let rows: Vec<usize> = (0..y.rows()).filter(|&i| missed[i] > 0.0).collect();
    let near = crate::parallel::collect(rows.iter(), |&i| near(i));
    rows.into_iter().zip(near).filter(|(_, near)| *near).map(|(i, _)| i).collect()
}

/// log(e^a - e^b), a ≥ b up to rounding.
fn less(a: f64, b: f64) -> f64 {
    a + ln_1p(-exp((b - a).min(0.0)))
}

/// n draws of Student's t with 3 degrees of freedom in R^d.
fn student(n: usize, d: usize, seed: u64) -> Matrix {
    let mut rng = stream(seed, Purpose::Certificate, 2);
    let mut out = Matrix::zeros(n, d);
    out.as_mut_slice().chunks_exact_mut(d).for_each(|row| draw_standard(&mut rng, row));
    out
}
