//! A Gaussian mixture that follows p: fitted to the particles of a search, then to p itself by importance sampling.

use crate::density::{Affine, Density, GaussianMixture};
use crate::error::Result;
use crate::linalg::{Cholesky, Matrix};
use crate::num::{powf, softmax};
use crate::rng::{Purpose, stream, uniform};
use crate::search::probe::Probe;
use crate::search::smc::effective_size;

/// Rounds of Lloyd's algorithm, and of expectation and maximisation.
const LLOYD: usize = 5;
const ROUNDS: usize = 20;
/// Numbers of components that are tried: 1 and its products with powers of this.
const FEWER: usize = 4;
/// Rounds of [`refine`].
const REFINEMENTS: usize = 12;
/// The gain of round t is (t + 2)^-[`GAIN`], t = 0, 1, …: sums of gains diverge, sums of squares do not (Cappé and Moulines, 2009).
const GAIN: f64 = 0.7;
/// A place is missed where a model's density is below this share of what it should be: a logarithm.
pub(crate) const MISSED: f64 = -std::f64::consts::LN_10;
/// Share of the search's particles, and their number, from which missed ones are a region and no tail.
pub(crate) const REGION: f64 = 0.005;
pub(crate) const FEWEST: usize = 8;

/// Share of the effective fraction of a mixture that another one keeps which is as good: of draws by the thousand it is known to some per cent.
pub(super) const AS_WELL: f64 = 0.9;

/// Masses, means and covariances of the components.
struct Moments {
    mass: Vec<f64>,
    means: Matrix,
    covariances: Vec<Matrix>,
}

/// The mixture of at most `components` Gaussians that follows the rows of `y` (N×d): the number of components is the last of
/// 1, 4, 16, … that raises the log-likelihood of one half under a fit to the other.
pub fn fit_mixture(y: &Matrix, components: usize, seed: u64) -> GaussianMixture {
    let n = y.rows();
    let seen = y.gather_rows(&(0..n).step_by(2).collect::<Vec<_>>());
    let unseen = y.gather_rows(&(1..n).step_by(2).collect::<Vec<_>>());
    let most = components.min(n).max(1);
    let (mut best, mut size) = ((1, f64::NEG_INFINITY), 1);
    while unseen.rows() > 0 {
        let likelihood = expectation_maximisation(&seen, size, seed).log_density(&unseen).iter().sum::<f64>();
        if likelihood <= best.1 {
            break;
        }
        best = (size, likelihood);
        if size == most {
            break;
        }
        size = (FEWER * size).min(most);
    }
    expectation_maximisation(y, best.0, seed)
}

/// Moves `mixture` towards p, and its effective fraction 1/(1 + χ²(p‖mixture)), estimated from `draws` of its own in each of 13 rounds.
///
/// Population Monte Carlo: x_i from the mixture, weights w_i ∝ p~(x_i)/mixture(x_i), and a step of expectation–maximisation on the
/// weighted points, which lowers KL(p‖mixture); gains fall from round to round. Weights are truncated at √M times their mean. A mixture
/// that ends with a smaller effective fraction than it began with is given back as it was. Sources: Cappé, Douc, Guillin, Marin and
/// Robert (2008); Cappé and Moulines (2009); Ionides (2008). Points where p~ is not finite have no weight. `Error::Panicked` where the
/// target panics.
pub fn refine(
    mixture: GaussianMixture,
    target: &dyn Density,
    draws: usize,
    seed: u64,
) -> Result<(GaussianMixture, f64)> {
    refine_to(mixture, target, draws, 1.0, seed)
}

/// [`refine`]; given back as it was is a mixture that ends with less than `share` of the effective fraction of its beginning.
fn refine_to(
    mixture: GaussianMixture,
    target: &dyn Density,
    draws: usize,
    share: f64,
    seed: u64,
) -> Result<(GaussianMixture, f64)> {
    let probe = Probe { target, frame: Affine::identity(target.dim()) };
    let (mut now, mut first) = (mixture.clone(), None);
    for round in 0..=REFINEMENTS {
        let x = now.sample(draws, seed.wrapping_add(round as u64)).expect("a mixture has samples");
        let log_p = probe.log_density(&x)?.0;
        let log_weights: Vec<f64> = log_p.iter().zip(now.log_density(&x)).map(|(p, q)| p - q).collect();
        let fraction = effective_size(&log_weights) / draws as f64;
        let start = *first.get_or_insert(fraction);
        if round == REFINEMENTS {
            return Ok(if fraction >= share * start { (now, fraction) } else { (mixture, start) });
        }
        if log_weights.iter().all(|l| *l == f64::NEG_INFINITY) {
            break;
        }
        let largest = (draws as f64).sqrt().recip();
        let weights: Vec<f64> = softmax(&log_weights).into_iter().map(|w| w.min(largest)).collect();
        let batch = Moments::weighted(&x, &now.responsibilities(&x), &weights);
        now = Moments::of(&now).towards(&batch, powf(round as f64 + 2.0, -GAIN)).mixture();
    }
    Ok((mixture, 0.0))
}

/// [`refine`] of a mixture fitted to the particles `y` (N×d), and what it lost on the way: draws of the mixture alone do not visit a region
/// that a wide component covered before it became narrow. Where the particles know of one, a mixture fitted to those in it joins with their
/// share, `components` at most in all, and both follow p together. Sizes and errors of [`refine`].
pub fn follow(
    mixture: GaussianMixture,
    y: &Matrix,
    target: &dyn Density,
    components: usize,
    draws: usize,
    seed: u64,
) -> Result<(GaussianMixture, f64)> {
    follow_to(mixture, y, target, components, (draws, 1.0), seed)
}

/// [`follow`], with the share of [`refine_to`].
pub(super) fn follow_to(
    mixture: GaussianMixture,
    y: &Matrix,
    target: &dyn Density,
    components: usize,
    (draws, least): (usize, f64),
    seed: u64,
) -> Result<(GaussianMixture, f64)> {
    let before = mixture.log_density(y);
    let (refined, fraction) = refine_to(mixture, target, draws, least, seed)?;
    let after = refined.log_density(y);
    let lost: Vec<usize> = (0..y.rows()).filter(|&i| after[i] - before[i] < MISSED).collect();
    let free = components.saturating_sub(refined.components());
    let share = lost.len() as f64 / y.rows() as f64;
    if lost.len() < FEWEST || share < REGION || free == 0 {
        return Ok((refined, fraction));
    }
    let found = Moments::of(&fit_mixture(&y.gather_rows(&lost), free, seed));
    refine_to(Moments::of(&refined).beside(found, share).mixture(), target, draws, least, seed)
}

/// A mixture with the effective fraction `fraction` that has taken in `others` with their `share` of the mass, where `components` are
/// enough for both and the two follow p as well as the first alone; else as it was. The fraction is blind to what a mixture does not visit.
pub(crate) fn joined(
    (mixture, fraction): (GaussianMixture, f64),
    (others, share): (&GaussianMixture, f64),
    target: &dyn Density,
    components: usize,
    draws: usize,
    seed: u64,
) -> Result<(GaussianMixture, f64)> {
    if mixture.components() + others.components() > components {
        return Ok((mixture, fraction));
    }
    let both = Moments::of(&mixture).beside(Moments::of(others), share).mixture();
    let (both, after) = refine(both, target, draws, seed)?;
    Ok(if after > AS_WELL * fraction { (both, after) } else { (mixture, fraction) })
}

/// Gaussians at `peaks`, moved towards p, in the place of a mixture with the effective fraction `fraction` that was fitted to the particles `y`
/// (N×d): where all but a few particles lie at a peak, so that nothing that they know of is lost, and the Gaussians follow p as well. In many
/// dimensions a few particles do not tell a covariance, and the curvature at a peak does.
pub(crate) fn at_peaks(
    (mixture, fraction): (GaussianMixture, f64),
    peaks: &GaussianMixture,
    y: &Matrix,
    target: &dyn Density,
    components: usize,
    draws: usize,
    seed: u64,
) -> Result<GaussianMixture> {
    let reach = within(y.cols());
    let at_one = |row: &[f64], k: usize| {
        let gap: Vec<f64> = row.iter().zip(peaks.means().row(k)).map(|(y, m)| y - m).collect();
        peaks.factors()[k].inverse_quadratic_form(&gap) < reach
    };
    let strays = y.iter_rows().filter(|row| !(0..peaks.components()).any(|k| at_one(row, k))).count();
    if peaks.components() > components || strays as f64 > REGION * y.rows() as f64 {
        return Ok(mixture);
    }
    let (refined, after) = refine(peaks.clone(), target, draws, seed)?;
    Ok(if after > AS_WELL * fraction { refined } else { mixture })
}

/// Square of the radius of a ball that holds 99 % and more of N(0, I) in d dimensions.
pub(super) fn within(d: usize) -> f64 {
    let d = d as f64;
    d + 4.0 * (2.0 * d).sqrt() + 4.0
}

/// Expectation–maximisation (Dempster, Laird and Rubin, 1977) from spread-out seeds and Lloyd's clusters.
fn expectation_maximisation(y: &Matrix, components: usize, seed: u64) -> GaussianMixture {
    let equal = vec![1.0 / y.rows() as f64; y.rows()];
    let mut now = clusters(y, components, seed).mixture();
    for _ in 0..if now.components() > 1 { ROUNDS } else { 0 } {
        now = Moments::weighted(y, &now.responsibilities(y), &equal).mixture();
    }
    now
}

/// Moments of Lloyd's clusters, those with enough points for a covariance.
fn clusters(y: &Matrix, components: usize, seed: u64) -> Moments {
    let (n, d) = y.shape();
    let mut centres = y.gather_rows(&spread_seeds(y, components.min(n), seed));
    let mut own = nearest(y, &centres);
    for round in 0..LLOYD {
        let k = centres.rows();
        let mut counts = vec![0usize; k];
        let mut sums: Matrix = Matrix::zeros(k, d);
        for (&c, row) in own.iter().zip(y.iter_rows()) {
            counts[c] += 1;
            sums.row_mut(c).iter_mut().zip(row).for_each(|(s, v)| *s += v);
        }
        let enough = if round + 1 == LLOYD { d + 2 } else { 1 };
        let kept: Vec<usize> = (0..k).filter(|&c| counts[c] >= enough).collect();
        if kept.is_empty() {
            break;
        }
        centres = Matrix::from_fn(kept.len(), d, |c, j| sums[(kept[c], j)] / counts[kept[c]] as f64);
        own = nearest(y, &centres);
    }
    let mut shares: Matrix = Matrix::zeros(n, centres.rows());
    own.iter().enumerate().for_each(|(i, &c)| shares[(i, c)] = 1.0);
    Moments::weighted(y, &shares, &vec![1.0 / n as f64; n])
}

/// The row of `centres` next to each row of `y`, n.
fn nearest(y: &Matrix, centres: &Matrix) -> Vec<usize> {
    let one = |row: &[f64]| {
        let square = |c: &[f64]| row.iter().zip(c).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        let each = centres.iter_rows().map(square).enumerate();
        each.fold((0, f64::INFINITY), |a, b| if b.1 < a.1 { b } else { a }).0
    };
    let rows: Vec<&[f64]> = y.iter_rows().collect();
    crate::parallel::collect(rows.chunks(256), |rows| rows.iter().map(|r| one(r)).collect::<Vec<_>>()).concat()
}

/// k rows, each drawn with probability proportional to its squared distance to those before it (Arthur and Vassilvitskii, 2007).
pub(crate) fn spread_seeds(y: &Matrix, k: usize, seed: u64) -> Vec<usize> {
    let mut rng = stream(seed, Purpose::Probe, 1);
    let mut chosen = vec![((uniform(&mut rng) * y.rows() as f64) as usize).min(y.rows() - 1)];
    let mut distance = vec![f64::INFINITY; y.rows()];
    while chosen.len() < k {
        let last = y.row(chosen[chosen.len() - 1]);
        for (d, row) in distance.iter_mut().zip(y.iter_rows()) {
            *d = d.min(row.iter().zip(last).map(|(a, b)| (a - b) * (a - b)).sum());
        }
        let mut left = uniform(&mut rng) * distance.iter().sum::<f64>();
        let next = distance.iter().position(|d| {
            left -= d;
            left < 0.0
        });
        chosen.push(next.unwrap_or(y.rows() - 1));
    }
    chosen
}

impl Moments {
    fn of(mixture: &GaussianMixture) -> Self {
        let (mass, means) = (mixture.weights().to_vec(), mixture.means().clone());
        Self { mass, means, covariances: mixture.covariances().to_vec() }
    }

    /// Of the rows of y (n×d) with weights w (n, summing to 1) and shares γ (n×K). Covariances are drawn a little towards their own
    /// diagonal, as by d points, so that few points suffice.
    fn weighted(y: &Matrix, shares: &Matrix, w: &[f64]) -> Self {
        let (d, count) = (y.cols(), shares.cols());
        let one = |k: usize| {
            let column = || (0..y.rows()).map(|i| (i, w[i] * shares[(i, k)])).filter(|(_, g)| *g > 1e-300);
            let (mass, square) = column().fold((0.0, 0.0), |(a, b), (_, g)| (a + g, b + g * g));
            let (mut mean, mut covariance) = (vec![0.0; d], Matrix::zeros(d, d));
            if mass <= 0.0 {
                return (0.0, mean, covariance);
            }
            for (i, g) in column() {
                mean.iter_mut().zip(y.row(i)).for_each(|(m, v)| *m += g / mass * v);
            }
            let mut gap = vec![0.0; d];
            for (i, g) in column() {
                gap.iter_mut().zip(y.row(i)).zip(&mean).for_each(|((g, v), m)| *g = v - m);
                for a in 0..d {
                    (0..=a).for_each(|b| covariance[(a, b)] += g / mass * gap[a] * gap[b]);
                }
            }
            let effective = mass * mass / square;
            let keep = effective / (effective + d as f64);
            for a in 0..d {
                for b in 0..a {
                    covariance[(a, b)] *= keep;
                    covariance[(b, a)] = covariance[(a, b)];
                }
            }
            (mass, mean, covariance)
        };
        let parts = crate::parallel::collect(0..count, one);
        let (mut mass, mut means, mut covariances) = (Vec::new(), Vec::new(), Vec::new());
        for (m, mean, covariance) in parts {
            mass.push(m);
            means.extend(mean);
            covariances.push(covariance);
        }
        Self { mass, means: Matrix::from_vec(count, d, means), covariances }
    }

    /// These components with 1 - `share` of the mass and those of `other` with the rest.
    fn beside(mut self, other: Self, share: f64) -> Self {
        self.mass.iter_mut().for_each(|m| *m *= 1.0 - share);
        self.mass.extend(other.mass.iter().map(|m| m * share));
        let (count, d) = (self.mass.len(), other.means.cols());
        self.means = Matrix::from_vec(count, d, [self.means.as_slice(), other.means.as_slice()].concat());
        self.covariances.extend(other.covariances);
        self
    }

    /// (1 - `gain`) of these and `gain` of `other`, component by component, as moments of the joined points.
    fn towards(&self, other: &Self, gain: f64) -> Self {
        let d = self.means.cols();
        let (mut mass, mut means, mut covariances) = (Vec::new(), Vec::new(), Vec::new());
        for k in 0..self.mass.len() {
            let (a, b) = ((1.0 - gain) * self.mass[k], gain * other.mass[k]);
            let share = if b > 0.0 { b / (a + b) } else { 0.0 };
            let gap: Vec<f64> = (0..d).map(|j| other.means[(k, j)] - self.means[(k, j)]).collect();
            let (old, new) = (&self.covariances[k], &other.covariances[k]);
            mass.push(a + b);
            means.extend((0..d).map(|j| self.means[(k, j)] + share * gap[j]));
            covariances.push(Matrix::from_fn(d, d, |i, j| {
                let within = (1.0 - share) * old[(i, j)] + share * new[(i, j)];
                within + share * (1.0 - share) * gap[i] * gap[j]
            }));
        }
        Self { mass, means: Matrix::from_vec(self.mass.len(), d, means), covariances }
    }

    /// The mixture of the components whose covariance is regular; at least one Gaussian.
    fn mixture(&self) -> GaussianMixture {
        let d = self.means.cols();
        let regular = |k: usize| {
            let c = Cholesky::factor(&self.covariances[k], "covariance of a component").ok()?;
            (self.mass[k] > 0.0).then(|| c.lower().clone())
        };
        let factors: Vec<Option<Matrix>> = (0..self.mass.len()).map(regular).collect();
        let kept: Vec<usize> = (0..self.mass.len()).filter(|&k| factors[k].is_some()).collect();
        if kept.is_empty() {
            return GaussianMixture::standard(d).expect("a dimension");
        }
        let total: f64 = kept.iter().map(|&k| self.mass[k]).sum();
        let weights = kept.iter().map(|&k| self.mass[k] / total).collect();
        let factors = factors.into_iter().flatten().collect();
        GaussianMixture::of_lower_factors(weights, self.means.gather_rows(&kept), factors)
    }
}
