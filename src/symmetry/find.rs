//! The search for symmetries: a null space from half of the points, confirmed at the other half.

use crate::density::{Affine, Density, evaluate};
use crate::linalg::{Cholesky, Matrix, smallest_eigen};
use crate::num::{Summary, ln};
use crate::rng::{Purpose, normal_matrix};
use crate::symmetry::AffineField;
use crate::symmetry::moments::{Candidates, Points};
use crate::{Error, Result};

/// Largest number of candidates: their matrix is then 50 MB, and its factorisation a few seconds.
const MOST: usize = 2500;
/// Points in each half for each candidate, at least: fewer leave the null space undetermined.
const EACH: usize = 2;
/// Eigenvalues that are asked for beyond the symmetries.
const BEYOND: usize = 8;
/// Entries of a basis below this, in units of its largest, are rounding.
const ZERO: f64 = 1e-9;

/// How symmetries are looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Only fields A x, whose flow keeps the origin; else A x + b.
    pub origin: bool,
    /// Eigenvalues are means of ⟨v, g⟩² relative to |s|²|x|² + d at each point, which heavy tails do not spoil; else plain means.
    pub relative: bool,
    /// Largest |⟨s, A x + b⟩ + tr A| that is taken for rounding, in units of √(|s|²|x|² + d) at its point.
    pub tolerance: f64,
    /// Chance that the bound on the mass that breaks the symmetry is wrong.
    pub level: f64,
    /// Coordinates that stand still, from 0: fields that move the others alone keep their law given these (T36). Empty for T34.
    pub given: Vec<usize>,
    /// The exact mean and a factor of the exact covariance of p, where they are known: only d(d-1)/2 candidates are left.
    pub exact: Option<Affine>,
    /// Key of the random start of the eigenvalues.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { origin: false, relative: true, tolerance: 1e-6, level: 1e-3, given: Vec::new(), exact: None, seed: 0 }
    }
}

/// The symmetries of a density.
#[derive(Debug, Clone)]
pub struct Found {
    /// A basis of the fields whose flow keeps p, in the coordinates of p; in echelon form, so that a rotation of two coordinates shows.
    pub basis: Vec<AffineField>,
    /// The smallest eigenvalues of E[ω g gᵀ], ascending: one for each basis field, and a few more. From the first half of the points.
    pub eigenvalues: Vec<f64>,
    /// The eigenvalue of the least broken direction that is no symmetry, and its standard error: a mean over the second half. None
    /// where every candidate is a symmetry.
    pub gap: Option<(f64, f64)>,
    /// That direction.
    pub nearest: Option<AffineField>,
    /// Largest residual of the basis at the points of the second half, in the units of the tolerance.
    pub residual: f64,
    /// Points of the second half.
    pub checked: usize,
    /// With probability 1 - level, less than this share of the mass (of the law of the points) has a residual above the tolerance.
    pub unseen: f64,
    /// Number of candidates.
    pub candidates: usize,
    /// The units in which eigenvalues were computed: mean and covariance of the points.
    pub frame: Affine,
}

/// The affine fields v(x) = A x + b with ⟨∇log p, v⟩ + tr A = 0 everywhere, which are those whose flows keep p (T34).   points: n×d.
///
/// `points` are any sample of any law on the whole support of p, such as samples of p: the null space of E[ω g gᵀ], g = vec(s xᵀ + I)
/// (and s, for b), does not depend on it. The first half determines the fields, in units of its mean and covariance, the second confirms
/// them at points that had no say. p must have no jump and no boundary: there the condition holds and the symmetry fails.
///
/// `Error::Parameter` where there are fewer than 4 points for each candidate, or a setting is out of range; `Error::Unsupported` for more
/// than 2,500 candidates, for a bounded support (log p~ = -inf at a point) and for points in a plane; errors of [`evaluate`].
pub fn find(density: &dyn Density, points: &Matrix, settings: &Settings) -> Result<Found> {
    let d = density.dim();
    let parameter = |name: &str, value: f64, expected| Err(Error::Parameter { name: name.into(), value, expected });
    if !(settings.tolerance > 0.0 && settings.tolerance < 1.0) {
        return parameter("tolerance", settings.tolerance, "between 0 and 1");
    }
    if !(settings.level > 0.0 && settings.level < 1.0) {
        return parameter("level", settings.level, "between 0 and 1");
    }
    // those that stand still come first, so that a triangular frame leaves them among themselves
    let mut order = settings.given.clone();
    order.sort_unstable();
    order.dedup();
    let still = order.len();
    if let Some(&k) = order.last().filter(|k| **k >= d || still == d) {
        return parameter("coordinate that is given", k as f64, "one of the density, and one at least left to move");
    }
    order.extend((0..d).filter(|j| !settings.given.contains(j)));
    let sorted = |m: &Matrix| Matrix::from_fn(m.rows(), d, |i, j| m[(i, order[j])]);
    let plain = if settings.origin { Candidates::Linear { still } } else { Candidates::Affine { still } };
    let centred = |f: &&Affine| still == 0 && (!settings.origin || f.centre().iter().all(|c| *c == 0.0));
    let exact = settings.exact.as_ref().filter(centred);
    let candidates = if exact.is_some() { Candidates::Skew } else { plain };
    let m = candidates.count(d);
    if m > MOST {
        let what = format!("symmetries of {d} dimensions have {m} candidates, more than {MOST}");
        return Err(Error::Unsupported { what, remedy: "give the exact mean and covariance, or fewer coordinates" });
    }
    let half = points.rows() / 2;
    if half < EACH * m || half < 2 {
        return parameter("number of points", points.rows() as f64, "at least 4 for each candidate field");
    }
    let (first, second) = (points.slice_rows(0..half), points.slice_rows(half..2 * half));
    let frame = match exact {
        Some(frame) => frame.clone(),
        None => estimated(&sorted(&first), settings.origin)?,
    };
    let units = if still == 0 { frame.clone() } else { estimated(&first, settings.origin)? };
    let at = |x: &Matrix| -> Result<Points> {
        let e = evaluate(density, x)?;
        if let Some(i) = e.log_density.iter().position(|l| *l == f64::NEG_INFINITY) {
            let what = format!("symmetries of a density with a bounded support: log p~ = -inf at {:?}", x.row(i));
            return Err(Error::Unsupported { what, remedy: "give a density that is positive everywhere" });
        }
        let mut score = sorted(&e.score);
        frame.standardise_score(&mut score);
        Ok(Points::new(frame.standardise(&sorted(x)), score, candidates))
    };
    let (first, second) = (at(&first)?, at(&second)?);
    let moments = first.moments(candidates, settings.relative);
    // symmetries of the sample itself, all within the tolerance at each point
    let mut asked = BEYOND;
    let (values, vectors, mut count) = loop {
        let start = |rows, cols| normal_matrix(settings.seed, Purpose::Probe, 34, rows, cols);
        let eigen = smallest_eigen(&moments, (asked + BEYOND).min(m), start, "E[g gᵀ]")?;
        let kept = eigen.values.len().min(asked + BEYOND);
        let vectors = eigen.vectors.slice_rows(0..kept);
        let count = within(&first, candidates, &vectors, settings.tolerance).0;
        if count <= asked || kept == m {
            break (eigen.values[..kept].to_vec(), vectors, count);
        }
        asked = 2 * count;
    };
    let found = count;
    let (confirmed, residuals) = within(&second, candidates, &vectors.slice_rows(0..count), settings.tolerance);
    count = confirmed;
    let residual = residuals.get(count.wrapping_sub(1)).copied().unwrap_or(0.0);
    let fields: Vec<AffineField> = (0..count).map(|k| candidates.field(vectors.row(k), d).out_of(&frame)).collect();
    let beyond = (count < vectors.rows()).then(|| vectors.slice_rows(count..count + 1));
    let gap = beyond.as_ref().map(|v| {
        let product = second.products(candidates, v);
        let square = |(i, p): (usize, &f64)| second.weight(i, settings.relative) * p * p;
        let squares = Summary::of(&product.as_slice().iter().enumerate().map(square).collect::<Vec<_>>());
        (squares.mean, squares.standard_error())
    });
    let in_order = |v: AffineField| v.with_coordinates(&order);
    Ok(Found {
        basis: echelon(&fields, &frame).into_iter().map(in_order).collect(),
        eigenvalues: values,
        gap,
        nearest: beyond.map(|v| in_order(candidates.field(v.row(0), d).out_of(&frame))),
        residual,
        checked: half,
        // any of the prefixes of the found fields could have been confirmed
        unseen: (ln((1 + found) as f64 / settings.level) / half as f64).min(1.0),
        candidates: m,
        frame: units,
    })
}

/// Mean (or the origin) and Cholesky factor of the covariance (or second moment) of points.
fn estimated(x: &Matrix, origin: bool) -> Result<Affine> {
    let (n, d) = x.shape();
    let centre = if origin { vec![0.0; d] } else { x.column_means() };
    let mut covariance = x.column_covariance();
    if origin {
        let mean = x.column_means();
        (0..d * d).for_each(|k| covariance[(k / d, k % d)] += mean[k / d] * mean[k % d]);
    }
    let factor = Cholesky::factor(&covariance, "covariance of the points").map_err(|_| Error::Unsupported {
        what: format!("the {n} points of the search for symmetries lie in a plane of fewer than {d} dimensions"),
        remedy: "give points on the whole support",
    })?;
    Affine::from_parts(centre, factor.lower().clone())
}

/// How many of the first rows v have |projection of g on them| within the tolerance at every point, in units of the point's size; and
/// for each number of rows the largest such projection.
fn within(points: &Points, candidates: Candidates, v: &Matrix, tolerance: f64) -> (usize, Vec<f64>) {
    let products = points.products(candidates, v);
    let mut largest = vec![0.0f64; v.rows()];
    for (row, size) in products.iter_rows().zip(&points.size) {
        let mut square = 0.0;
        for (largest, p) in largest.iter_mut().zip(row) {
            square += p * p;
            *largest = largest.max((square / size).sqrt());
        }
    }
    (largest.iter().take_while(|r| **r <= tolerance).count(), largest)
}

/// The same space by a basis in reduced echelon form, pivots 1 where entries are largest in units of the coordinates' spreads.
fn echelon(fields: &[AffineField], frame: &Affine) -> Vec<AffineField> {
    let Some(d) = fields.first().map(AffineField::dim) else { return Vec::new() };
    let (_, factor) = frame.parts();
    let spread: Vec<f64> = factor.iter_rows().map(|r| r.iter().map(|l| l * l).sum::<f64>().sqrt()).collect();
    let unit = |k: usize| if k < d * d { spread[k / d] / spread[k % d] } else { spread[k - d * d] };
    let mut rows: Vec<Vec<f64>> = fields
        .iter()
        .map(|f| f.matrix.as_slice().iter().chain(&f.shift).enumerate().map(|(k, v)| v / unit(k)).collect())
        .collect();
    let mut pivots = Vec::new();
    for r in 0..rows.len() {
        // shifts follow from A, so that only entries of A are pivots; the first of those that are equal up to rounding
        let candidates = (r..rows.len()).flat_map(|i| (0..d * d).map(move |k| (i, k)));
        let (i, k) = candidates.fold((r, 0), |best, at| {
            if rows[at.0][at.1].abs() > (1.0 + ZERO) * rows[best.0][best.1].abs() { at } else { best }
        });
        rows.swap(r, i);
        let pivot = rows[r][k];
        rows[r].iter_mut().for_each(|v| *v /= pivot);
        for i in (0..rows.len()).filter(|i| *i != r) {
            let c = rows[i][k];
            let pivot = rows[r].clone();
            rows[i].iter_mut().zip(&pivot).for_each(|(v, p)| *v -= c * p);
        }
        pivots.push(k);
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|&r| pivots[r]);
    let back = |r: usize| {
        let largest = rows[r].iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let clean = |(k, v): (usize, &f64)| if v.abs() <= ZERO * largest { 0.0 } else { v * unit(k) / unit(pivots[r]) };
        let entries: Vec<f64> = rows[r].iter().enumerate().map(clean).collect();
        AffineField { matrix: Matrix::from_vec(d, d, entries[..d * d].to_vec()), shift: entries[d * d..].to_vec() }
    };
    order.into_iter().map(back).collect()
}
