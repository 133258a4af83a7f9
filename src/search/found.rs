//! The search: what is known of a target before anything is trained.

use crate::density::{Affine, Density, GaussianMixture};
use crate::error::{Error, Result};
use crate::linalg::{Matrix, solve_lower};
use crate::num::ln;
use crate::search::disagreement::Disagreement;
use crate::search::lacking::{Lacking, lacking};
use crate::search::peaks::{PEAKS, Peak, affordable, around, covariance_factor, merged, peaks, spheres};
use crate::search::population::{Population, combined, disagreement, lower_frame};
use crate::search::probe::{Probe, Tally};
use crate::search::smc::{Ended, RADII, Start, populate};

/// How a search is made.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchSettings {
    /// Particles, at least 2; the second population has a quarter (at least 512, where there are so many).
    pub particles: usize,
    /// Key of every random number.
    pub seed: u64,
    /// The units to begin in, where they are known: populations begin around its centre, at 0.1 to 1000 of its units. Without one, those of
    /// the moments where the target is a mixture, which are exact, else the identity.
    pub start: Option<Affine>,
}

/// What a [`search`] found.
#[derive(Debug, Clone)]
pub struct Found {
    /// n×d, in the units of the target.
    pub particles: Matrix,
    /// The particles of the second population, equally weighted, m×d; none where it did not reach p.
    pub second: Matrix,
    /// The particle of a start that each one of both populations descends from, n + m; numbers of different populations differ.
    pub families: Vec<usize>,
    /// log-weights of the first population, n; equal after a last resampling.
    pub log_weights: Vec<f64>,
    /// log Z: the logarithm of the mean of the Z of both populations, weighted by their particles; each Z is unbiased.
    pub log_z: f64,
    /// Its standard error: what the genealogies of the populations say of one, and not less than what their difference says.
    pub log_z_error: f64,
    /// Standard errors of the means of the particles' coordinates, of their genealogies: d.
    pub mean_error: Vec<f64>,
    /// Evaluations of log p~, with or without a score.
    pub calls: u64,
    /// Evaluations with a score among them.
    pub score_calls: u64,
    /// Reweightings of the first population.
    pub stages: usize,
    /// Points where log p~ was NaN or +inf: they were rejected, as points without mass are.
    pub rejected: u64,
    /// The first of them ([`Error::NonFinite`], with the point in the coordinates of the target).
    pub first_rejected: Option<Error>,
    /// What the two populations do not agree on by more than their errors, where there is something: a mode may be missing or have a
    /// wrong mass.
    pub disagreement: Option<Disagreement>,
    /// By [`search_for_modes`], where log Z is uncertain or the populations disagree, and some peaks of p have too few of the particles.
    pub lacking: Option<Lacking>,
}

impl Found {
    /// The frame of the particles.
    pub fn frame(&self) -> Result<Affine> {
        Affine::of_particles(&self.particles)
    }

    /// The share v of the volume that the search looked through below which it would miss a mode with probability of 5 % or more:
    /// (1 - v)^calls = 0.05, so v = 3/calls. A needle smaller than that is seen only where something leads to it.
    pub fn unseen_share(&self) -> f64 {
        3.0 / self.calls.max(1) as f64
    }
}

/// What to do about a search without an end.
const REMEDY: &str = "give the target's centre and scale (--set centre=[...] --set scale=...)";
/// Keys of the populations and of the climbs are the seed plus a multiple of this, 2^64 divided by the golden ratio.
const KEY: u64 = 0x9e37_79b9_7f4a_7c15;
/// Climbs from each radius.
const EACH: usize = 2;
/// Particles of the first population, and points of high density that its moves met, from which a climb begins.
const FROM_PARTICLES: usize = 16;
const FROM_BEST: usize = 8;
/// The smallest mass of a peak that matters, in that of the largest: a logarithm.
const LEAST_SHARE: f64 = -15.0;
/// Width of a component of a start, in those of its peak: wide enough that weights are bounded where p is a little wider.
const WIDER: f64 = 1.5;
/// Particles of the second population: a quarter, or this where that is less.
const LEAST_CHECK: usize = 512;
/// Standard error of log Z from which modes with too few particles are looked for, also where the populations agree.
const UNCERTAIN: f64 = 0.15;
/// Log of the share of the mass from which a peak holds most of it.
const MOST: f64 = -0.5;
/// Share of the moves of the last stage at points that are NaN or +inf from which a target is refused.
const FAULTY_SHARE: f64 = 0.01;
/// Distance and width, in units of a given frame, beyond which it was not the target's.
const FARTHEST: f64 = 1000.0;

/// Finds p: two independent populations of particles by sequential Monte Carlo, from wide Gaussians around the origin (or in the
/// units of `start`), and from Gaussians at the peaks of p that Newton's method finds from 1e-3 to 1e8 units away.
///
/// The first population decides where it reached p and the second one, which knows the peaks, has no more mass; else a third from the peaks
/// does. For a [`GaussianMixture`] its components stand for the peaks. The same bits for any number of threads, and, where a
/// start is given or the moments are known, in units changed by a power of two.
///
/// `Error::Unsupported` where no population reaches p, or where the mass lies more than 1000 units of the given start away;
/// `Error::NonFinite` where log p~ is NaN or +inf at more than 1 % of the last moves; `Error::Panicked` where the target panics;
/// `Error::Parameter` for fewer than 2 particles. Sources: Del Moral, Doucet and Jasra (2006); Lee and Whiteley (2018) for the error.
pub fn search(target: &dyn Density, settings: &SearchSettings) -> Result<Found> {
    searched(target, settings, false)
}

/// [`search`], which then looks for modes with too few particles where log Z is uncertain or the populations disagree ([`Found::lacking`]).
/// It asks for up to some 3 million evaluations more, and for up to a million in each of at most 8 rounds, and only a start with a piece for each mode uses
/// what it finds.
pub fn search_for_modes(target: &dyn Density, settings: &SearchSettings) -> Result<Found> {
    searched(target, settings, true)
}

fn searched(target: &dyn Density, settings: &SearchSettings, for_modes: bool) -> Result<Found> {
    if settings.particles < 2 {
        let (name, value) = ("particles of the search".into(), settings.particles as f64);
        return Err(Error::Parameter { name, value, expected: "at least 2" });
    }
    let known = settings.start.clone().or_else(|| target.mixture().map(Affine::of_mixture));
    let probe = Probe { target, frame: known.unwrap_or_else(|| Affine::identity(target.dim())) };
    let mut tally = Tally::default();
    let n = settings.particles;
    let mut run = |probe: &Probe, start: &Start, n: usize, k: u64| -> Result<Population> {
        let end = populate(probe, start, n, key(settings.seed, k))?;
        tally.add(&end.tally);
        Ok(Population { frame: probe.frame.clone(), end })
    };
    let first = run(&probe, &Start::Radii, n, 0)?;
    let mut climbed = Tally::default();
    let tops = match target.mixture() {
        Some(p) => components(p, &probe.frame)?,
        None => climbs(&probe, &first.end, key(settings.seed, 1), &mut climbed)?,
    };
    let (second_probe, start) = from_peaks(&probe, &first, &tops)?;
    let check = (n / 4).max(n.min(LEAST_CHECK));
    let second = run(&second_probe, &start, check, 2)?;
    let has_peaks = |p: &Population| !p.in_units_of(&probe.frame).lacks_any(&tops);
    let first_fails = || first.lacks_mass_of(&second) || (first.is_worse_than(&second) && has_peaks(&second));
    let (chosen, other) = match (first.reached(), second.reached()) {
        (true, true) if !first_fails() => (first, second),
        (true, false) => (first, run(&probe, &Start::Radii, check, 3)?),
        (reached, true) => {
            if let Some(wider) = second.cloud().filter(|_| reached && second.is_wider_than_its_frame()) {
                let probe = Probe { target, frame: second_probe.frame.after(&wider)? };
                let third = run(&probe, &Start::Radii, check, 4)?;
                if third.reached() && third.is_wider_than_its_frame() && second.lacks_mass_of(&third) {
                    return Err(endless());
                }
            }
            (run(&second_probe, &start, n, 3)?, second)
        }
        (false, false) => (first, second),
    };
    if !chosen.reached() {
        tally.add(&climbed);
        return Err(without_end(&tally, chosen.end.beta.max(other.end.beta)));
    }
    let last = &chosen.end.last;
    if let (true, Some(error)) = (last.rejected as f64 > FAULTY_SHARE * last.calls as f64, &tally.first) {
        return Err(error.clone());
    }
    if settings.start.is_some() {
        near_start(&probe.frame, &chosen)?;
    }
    let (log_z, log_z_error) = combined(&chosen, &other);
    let disagreement = disagreement(&chosen, &other);
    let lacking = match for_modes && (log_z_error > UNCERTAIN || disagreement.is_some()) {
        true => lacking(&probe, [&chosen, &other], tops, key(settings.seed, 5), &mut climbed)?,
        false => None,
    };
    tally.add(&climbed);
    let particles = chosen.particles();
    let second = if other.reached() { other.particles() } else { Matrix::zeros(0, target.dim()) };
    let of_second = other.end.ancestors.iter().take(second.rows()).map(|a| a + n);
    let families = chosen.end.ancestors.iter().copied().chain(of_second).collect();
    Ok(Found {
        second,
        families,
        disagreement,
        log_weights: vec![0.0; settings.particles],
        log_z,
        log_z_error,
        calls: tally.calls,
        score_calls: tally.scores,
        stages: chosen.end.stages,
        rejected: tally.rejected,
        first_rejected: tally.first,
        mean_error: chosen.mean_error(&particles),
        particles,
        lacking,
    })
}

/// The key of one of several independent parts of a search.
fn key(seed: u64, part: u64) -> u64 {
    seed.wrapping_add(part.wrapping_mul(KEY))
}

/// The error of a p~ without a finite integral.
fn endless() -> Error {
    let what =
        "log p~ seems not to fall off, so that it is no density: the wider the search begins, the more mass it finds"
            .into();
    Error::Unsupported { what, remedy: "add a prior or a support, or give the target's centre and scale" }
}

/// The error of a search that did not reach p.
fn without_end(tally: &Tally, beta: f64) -> Error {
    match &tally.first {
        Some(error) if 2 * tally.rejected > tally.calls => error.clone(),
        _ if beta == 0.0 => {
            let what = "no particle of the search lies in the target's support".to_string();
            Error::Unsupported { what, remedy: REMEDY }
        }
        _ => {
            let what =
                format!("the search for the target's mass ended on the way, at p^b with b = {beta:.3e} in place of 1");
            Error::Unsupported { what, remedy: REMEDY }
        }
    }
}

/// `Error::Unsupported` where the particles lie more than [`FARTHEST`] units of the start from its centre, or are that much wider or
/// narrower than it.
fn near_start(start: &Affine, found: &Population) -> Result<()> {
    let x = found.particles();
    let y = start.standardise(&x);
    let (centre, n) = (y.column_means(), y.as_slice().len() as f64);
    let distance = centre.iter().map(|c| c * c).sum::<f64>().sqrt();
    let square = |row: &[f64]| row.iter().zip(&centre).map(|(y, c)| (y - c) * (y - c)).sum::<f64>();
    let width = (y.iter_rows().map(square).sum::<f64>() / n).sqrt();
    if distance <= FARTHEST && (FARTHEST.recip()..=FARTHEST).contains(&width) {
        return Ok(());
    }
    let frame = Affine::of_particles(&x)?;
    let (centre, scale) = (frame.centre(), frame.scale());
    let what = format!(
        "the given centre and scale are not the target's: the search found centre {centre:?} and scale {scale}"
    );
    Err(Error::Unsupported { what, remedy: "give these, or none" })
}

/// The components of a mixture as peaks, in units of a frame, the heaviest first.
fn components(p: &GaussianMixture, frame: &Affine) -> Result<Vec<Peak>> {
    let image = p.standardised(frame)?;
    let one = |k: usize| Peak {
        x: image.means().row(k).to_vec(),
        factor: image.factors()[k].lower().clone(),
        log_mass: ln(image.weights()[k]) - frame.log_jacobian(),
    };
    let mut all: Vec<Peak> = (0..image.components()).map(one).collect();
    all.sort_by(|a, b| b.log_mass.total_cmp(&a.log_mass));
    Ok(all)
}

/// The peaks above the first population's particles, the best points that it met and spheres of many radii; then those around the best.
fn climbs(probe: &Probe, first: &Ended, seed: u64, tally: &mut Tally) -> Result<Vec<Peak>> {
    let d = probe.frame.dim();
    let limit = affordable(d);
    let mut from = Vec::new();
    if first.beta >= 1.0 {
        let n = first.x.rows();
        let covariance = first.x.column_covariance();
        let spread = ((0..d).map(|i| covariance[(i, i)]).sum::<f64>() / d as f64).sqrt().max(f64::MIN_POSITIVE);
        let mut best: Vec<&(f64, Vec<f64>)> = first.best.iter().collect();
        best.sort_by(|a, b| b.0.total_cmp(&a.0));
        from.extend(best.iter().take(FROM_BEST).map(|(_, x)| (x.clone(), 1e-3 * spread)));
        from.extend((0..FROM_PARTICLES).map(|k| (first.x.row(k * n / FROM_PARTICLES).to_vec(), 0.1 * spread)));
    }
    from.extend(spheres(d, EACH, seed));
    let kept: Vec<_> =
        (0..from.len().min(limit)).map(|k| from[k * from.len() / from.len().min(limit)].clone()).collect();
    let mut found = peaks(probe, &kept, tally)?;
    if let Some(best) = found.first() {
        let near = around(best, EACH.min(limit / 4), seed);
        found = merged(found, peaks(probe, &near, tally)?);
    }
    Ok(found)
}

/// The probe and the start of populations that know the peaks.
///
/// All peaks matter that have a share of the mass which does, where the first population did not reach p or one peak holds most of the
/// mass; else those that lack particles (products have more peaks than any list holds). The frame is that of the first peak among them,
/// if that holds most of the mass; else of the first population, of a mixture's moments, or of the highest mass among the peaks.
fn from_peaks<'a>(probe: &Probe<'a>, first: &Population, tops: &[Peak]) -> Result<(Probe<'a>, Start)> {
    let mass = if first.reached() { first.end.log_z } else { f64::INFINITY };
    let holds_most = |p: &&Peak| p.log_mass > mass + MOST;
    let least = tops.first().map_or(0.0, |p| p.log_mass) + LEAST_SHARE;
    let all = !first.reached() || tops.first().is_some_and(|p| holds_most(&p));
    let wanted = |p: &&Peak| (all && p.log_mass > least) || (first.reached() && first.lacks(p));
    let at = |peak: &Peak| Affine::from_parts(peak.x.clone(), covariance_factor(&peak.factor)?.lower().clone()).ok();
    let cloud = || first.cloud().filter(|_| first.reached());
    let moments = || {
        let p = probe.target.mixture()?.standardised(&probe.frame).ok()?;
        lower_frame(p.mean(), &p.covariance())
    };
    let dominant = || tops.first().filter(holds_most).and_then(at);
    let inner = dominant().or_else(cloud).or_else(moments).or_else(|| at(tops.first()?));
    let inner = inner.unwrap_or_else(|| Affine::identity(probe.frame.dim()));
    let start = start_at(tops.iter().filter(wanted).take(PEAKS), &inner);
    Ok((Probe { target: probe.target, frame: probe.frame.after(&inner)? }, start))
}

/// Half [`Start::Radii`], half the peaks made wider, in units of `frame`.
fn start_at<'a>(tops: impl Iterator<Item = &'a Peak>, frame: &Affine) -> Start {
    let d = frame.dim();
    let (mut means, mut factors) = (Vec::new(), Vec::new());
    for peak in tops {
        // rows of Aᵀ are columns of A: L⁻¹ A
        let mut columns = peak.factor.transpose();
        let (_, l) = frame.parts();
        columns.as_mut_slice().chunks_exact_mut(d).for_each(|column| solve_lower(&l, column));
        let Some(cholesky) = covariance_factor(&columns.transpose()) else { continue };
        let mut mean = peak.x.clone();
        frame.standardise_rows(&mut mean);
        means.extend(mean);
        factors.push(cholesky.lower().map(|v| WIDER * v));
    }
    let count = factors.len();
    if count == 0 {
        return Start::Radii;
    }
    means.extend(vec![0.0; RADII.len() * d]);
    factors.extend(RADII.map(|r| Matrix::from_fn(d, d, |i, j| if i == j { r } else { 0.0 })));
    let weight = |k: usize| if k < count { 0.5 / count as f64 } else { 0.5 / RADII.len() as f64 };
    let weights = (0..factors.len()).map(weight).collect();
    let means = Matrix::from_vec(factors.len(), d, means);
    Start::Mixture(Box::new(GaussianMixture::of_lower_factors(weights, means, factors)))
}
