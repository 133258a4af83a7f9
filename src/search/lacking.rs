//! Modes that populations lost: peaks of p with too few particles, by climbs from many places.

use crate::density::{Affine, Density, GaussianMixture};
use crate::error::Result;
use crate::linalg::{Cholesky, Matrix, matmul};
use crate::num::{exp, ln, log_sum_exp, softmax};
use crate::rng::{Purpose, fill_normal, stream, uniform};
use crate::search::peaks::{From, Peak, covariance_factor, merged, peaks};
use crate::search::population::{Population, lower_frame};
use crate::search::probe::{Probe, Tally};

/// Peaks of p, some of which have too few particles: a Gaussian at each, in the units of the target, weighted by Laplace's approximation.
#[derive(Debug, Clone)]
pub struct Lacking {
    /// At those that lack particles.
    pub peaks: GaussianMixture,
    /// Their share of the mass.
    pub share: f64,
    /// At all peaks.
    pub all: GaussianMixture,
}

/// Climbs that look for them, half of them from particles of both populations, half from Gaussians of their covariance and of two of their widths; and the most
/// numbers in a batch of their scores, which bounds the climbs in many dimensions.
const CLIMBS: usize = 2048;
const NUMBERS: usize = 1 << 23;
/// Rounds of climbs that follow, and climbs of a round, at most.
const ROUNDS: usize = 8;
const CLIMBS_OF_ROUND: usize = 128;
/// Points of a round, and multiplications of its comparison, at most.
const POINTS: usize = 1 << 14;
const PRODUCTS: usize = 1 << 31;
/// Widths of the cloud at which the points of a round lie: the least and the greatest.
const WIDTHS: [f64; 2] = [0.5, 8.0];
/// Peaks explain p at a point where the fall of log p~ from its greatest value is at least this share of theirs. Means of peaks are known to a hundredth of a
/// width, which is less at any distance of two widths and more.
const EXPLAINED: f64 = 0.99;

/// The peaks at which the first population has too few particles, as `Found::lacking`: of a mixture its components, else those that climbs
/// from many places find, and then rounds of them.
pub(super) fn lacking(
    probe: &Probe,
    [chosen, other]: [&Population; 2],
    mut tops: Vec<Peak>,
    seed: u64,
    tally: &mut Tally,
) -> Result<Option<Lacking>> {
    let [chosen, other] = [chosen, other].map(|p| p.in_units_of(&probe.frame));
    if probe.target.mixture().is_none() {
        let (mean, covariance) = (chosen.end.x.column_means(), chosen.end.x.column_covariance());
        let Some(cloud) = lower_frame(mean, &covariance) else { return Ok(None) };
        let first = from_everywhere([&chosen, &other], &cloud, &covariance, seed);
        tops = merged(tops, peaks(probe, &first, tally)?);
        let lack = |tops: &[Peak]| tops.iter().filter(|peak| chosen.lacks(peak)).count();
        let mut before = lack(&tops);
        for round in 0..ROUNDS {
            let from = unexplained(probe, &chosen.end.x, &covariance, &tops, seed, round as u64, tally)?;
            tops = merged(tops, peaks(probe, &from, tally)?);
            let now = lack(&tops);
            if now <= before {
                break;
            }
            before = now;
        }
    }
    let Some((all, _)) = touching(tops.iter(), &probe.frame) else { return Ok(None) };
    let Some((peaks, mass)) = touching(tops.iter().filter(|peak| chosen.lacks(peak)), &probe.frame) else {
        return Ok(None);
    };
    Ok(Some(Lacking { peaks, share: exp(mass - log_sum_exp(&[mass, chosen.end.log_z])), all }))
}

/// Gaussians that touch p at some peaks, in units of the target, with Laplace's masses; and the logarithm of their mass in units of the frame. None of none.
fn touching<'a>(tops: impl Iterator<Item = &'a Peak>, frame: &Affine) -> Option<(GaussianMixture, f64)> {
    let (_, l) = frame.parts();
    let factor = |peak: &'a Peak| Some((peak, covariance_factor(&matmul(&l, &peak.factor))?));
    let of: Vec<(&Peak, Cholesky)> = tops.filter_map(factor).collect();
    let masses: Vec<f64> = of.iter().map(|(peak, _)| peak.log_mass).collect();
    let means: Vec<&[f64]> = of.iter().map(|(peak, _)| peak.x.as_slice()).collect();
    let means = (!means.is_empty()).then(|| frame.restore(&Matrix::from_rows(&means)))?;
    let factors = of.iter().map(|(_, factor)| factor.lower().clone()).collect();
    Some((GaussianMixture::of_lower_factors(softmax(&masses), means, factors), log_sum_exp(&masses)))
}

/// Starts of the first climbs.
fn from_everywhere([chosen, other]: [&Population; 2], cloud: &Affine, covariance: &Matrix, seed: u64) -> Vec<From> {
    let (d, mean) = (cloud.dim(), cloud.centre());
    let quarter = CLIMBS.min(NUMBERS / ((2 * d + 1) * d)) / 4;
    let mut z: Matrix = Matrix::zeros(2 * quarter, d);
    fill_normal(&mut stream(seed, Purpose::Probe, 4), z.as_mut_slice());
    // the wider ones coordinate by coordinate: particles in fewer modes than dimensions span no direction to the others; and of two modes at
    // one angle the nearer one hides the other
    let near = cloud.restore(&z.slice_rows(0..quarter));
    let far = |i: usize, j: usize| mean[j] + 2.0 * covariance[(j, j)].sqrt() * z[(quarter + i, j)];
    let far = Matrix::from_fn(quarter, d, far);
    let some = |x: &Matrix| x.gather_rows(&(0..quarter).map(|k| k * x.rows() / quarter).collect::<Vec<_>>());
    let places = [some(&chosen.end.x), some(&other.end.x), near, far];
    let length = 0.1 * width_of(covariance);
    places.iter().flat_map(|x| x.iter_rows()).map(|x| (x.to_vec(), length)).collect()
}

/// The root of the mean variance.
fn width_of(covariance: &Matrix) -> f64 {
    let d = covariance.rows();
    ((0..d).map(|i| covariance[(i, i)]).sum::<f64>() / d as f64).sqrt().max(f64::MIN_POSITIVE)
}

/// Starts of a round of climbs: the first of many points around particles and peaks whose p the peaks do not explain.
///
/// Where p is a mixture of far Gaussians, a climb from x ends at the component that holds p there: one value tells whether that is a known peak, where
/// a climb takes thousands. The share of the points that are not explained estimates the chance that the next one leads to a new peak; without any among n it is below
/// 3/n with 95 %. Where p is no such mixture nothing is explained, and climbs begin at all points.
fn unexplained(
    probe: &Probe,
    particles: &Matrix,
    covariance: &Matrix,
    tops: &[Peak],
    seed: u64,
    round: u64,
    tally: &mut Tally,
) -> Result<Vec<From>> {
    let d = probe.frame.dim();
    let Some((known, mass)) = touching(tops.iter(), &Affine::identity(d)) else { return Ok(Vec::new()) };
    let centre = particles.column_means();
    let beyond = |j: usize| -> f64 {
        let square = |k: usize| (known.means()[(k, j)] - centre[j]) * (known.means()[(k, j)] - centre[j]);
        (0..known.components()).map(|k| known.weights()[k] * square(k)).sum()
    };
    let widths: Vec<f64> = (0..d).map(|j| (covariance[(j, j)] + beyond(j)).sqrt()).collect();
    let n = POINTS.min(NUMBERS / d).min(PRODUCTS / (known.components() * d * d)).max(1);
    let mut rng = stream(seed, Purpose::Probe, 5 + round);
    let mut x: Matrix = Matrix::zeros(n, d);
    fill_normal(&mut rng, x.as_mut_slice());
    for row in x.as_mut_slice().chunks_exact_mut(d) {
        let radius = exp(ln(WIDTHS[0]) + uniform(&mut rng) * ln(WIDTHS[1] / WIDTHS[0]));
        row.iter_mut().zip(&centre).zip(&widths).for_each(|((z, c), w)| *z = c + radius * w * *z);
    }
    let (log_p, asked) = probe.log_density(&x)?;
    tally.add(&asked);
    let top = known.log_density(known.means()).into_iter().fold(f64::NEG_INFINITY, f64::max);
    let theirs = known.log_density(&x);
    let fall = |i: usize| (top + mass - log_p[i], top - theirs[i]);
    let open = (0..n).filter(|&i| log_p[i].is_finite() && fall(i).0 < EXPLAINED * fall(i).1);
    let climbs = CLIMBS_OF_ROUND.min(NUMBERS / ((2 * d + 1) * d));
    let length = 0.1 * width_of(covariance);
    Ok(open.take(climbs).map(|i| (x.row(i).to_vec(), length)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks, on 40 modes in 50 dimensions of which particles know ten, that every point which 39 peaks do not explain lies next to the other mode, and
    /// that 40 peaks explain all of 16,384 points.
    #[test]
    fn points_that_peaks_do_not_explain_lie_at_the_missing_one() {
        let (d, count) = (50, 40);
        let mut rng = stream(7, Purpose::Check, 0);
        let means = Matrix::from_fn(count, d, |_, _| 8.0 * (2.0 * uniform(&mut rng) - 1.0));
        let p = GaussianMixture::isotropic(&[1.0 / count as f64; 40], means.clone(), 1.3).unwrap();
        let known = GaussianMixture::isotropic(&[0.1; 10], means.slice_rows(0..10), 1.3).unwrap();
        let x = known.sample(2048, 3).unwrap();
        let probe = Probe { target: &p, frame: Affine::identity(d) };
        let peak = |k: usize| Peak {
            x: means.row(k).to_vec(),
            factor: p.factors()[k].lower().clone(),
            log_mass: ln(p.weights()[k]),
        };
        let open = |peaks: usize| {
            let tops: Vec<Peak> = (0..peaks).map(peak).collect();
            unexplained(&probe, &x, &x.column_covariance(), &tops, 1, 0, &mut Tally::default()).unwrap()
        };
        let at = |x: &[f64]| {
            let square = |k: usize| x.iter().zip(means.row(k)).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
            (0..count).min_by(|&a, &b| square(a).total_cmp(&square(b))).unwrap()
        };
        let left = open(count - 1);
        assert!(left.len() > 20 && left.iter().all(|(x, _)| at(x) == count - 1), "{}", left.len());
        assert!(open(count).is_empty());
    }
}
