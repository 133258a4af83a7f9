//! Affine maps: the units in which a model works.

use crate::density::GaussianMixture;
use crate::linalg::{Cholesky, Matrix, SymmetricEigen, multiply_lower, solve_lower, solve_lower_transposed};
use crate::num::{Real, exp, ln};
use crate::{Error, Result};

/// The map x = c + L y from the units in which a model works to those of the target: its *frame*. c is the centre; the factor L is a
/// number s > 0 times the identity, or lower triangular with a positive diagonal.
///
/// A law p of x has the density p(x) e^{[`Affine::log_jacobian`]} of y, and the score s_y = Lᵀ s_x.
#[derive(Debug, Clone, PartialEq)]
pub struct Affine {
    centre: Vec<f64>,
    factor: Factor,
}

/// L.
#[derive(Debug, Clone, PartialEq)]
enum Factor {
    /// s I.
    Scalar(f64),
    /// Lower triangular, and no multiple of the identity.
    Lower(Matrix),
}

/// Largest condition number (quotient of the extreme eigenvalues) of a covariance that one scale serves: standard deviations from 1 to
/// 1/10 of the widest. A network bridges that; and bent or heavy-tailed laws below it have no axes that a linear map could straighten.
const ONE_SCALE: f64 = 100.0;

impl Affine {
    /// The map with this centre (d finite numbers, d ≥ 1) and L = `scale` · I, scale > 0. `Error::Parameter` otherwise.
    pub fn new(centre: Vec<f64>, scale: f64) -> Result<Self> {
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(Error::Parameter { name: "scale".into(), value: scale, expected: "a positive finite number" });
        }
        finite_centre(&centre)?;
        Ok(Self { centre, factor: Factor::Scalar(scale) })
    }

    /// The map with this centre (d finite numbers) and factor L (d×d), lower triangular with a positive diagonal.
    ///
    /// `Error::Dimension` where the sizes differ; `Error::Parameter` at the first entry that is not finite, above the diagonal and not 0,
    /// or on it and not positive.
    pub fn from_parts(centre: Vec<f64>, factor: Matrix) -> Result<Self> {
        let d = centre.len();
        finite_centre(&centre)?;
        for found in [factor.rows(), factor.cols()] {
            if found != d || d == 0 {
                return Err(Error::Dimension { what: "factor of the frame".into(), expected: d.max(1), found });
            }
        }
        for (i, j) in (0..d).flat_map(|i| (0..d).map(move |j| (i, j))) {
            let value = factor[(i, j)];
            let bad = |expected| {
                Err(Error::Parameter { name: format!("entry ({i}, {j}) of the frame's factor"), value, expected })
            };
            match i.cmp(&j) {
                _ if !value.is_finite() => return bad("finite numbers"),
                std::cmp::Ordering::Less if value != 0.0 => return bad("0 above the diagonal"),
                std::cmp::Ordering::Equal if value <= 0.0 => return bad("positive numbers on the diagonal"),
                _ => {}
            }
        }
        let scale = factor[(0, 0)];
        let one_scale = (0..d).all(|i| (0..=i).all(|j| factor[(i, j)] == if i == j { scale } else { 0.0 }));
        Ok(Self { centre, factor: if one_scale { Factor::Scalar(scale) } else { Factor::Lower(factor) } })
    }

    /// c (d numbers) and L (d×d), from which [`Affine::from_parts`] makes the same map.
    pub fn parts(&self) -> (&[f64], Matrix) {
        let d = self.dim();
        let factor = match &self.factor {
            Factor::Scalar(s) => Matrix::from_fn(d, d, |i, j| if i == j { *s } else { 0.0 }),
            Factor::Lower(l) => l.clone(),
        };
        (&self.centre, factor)
    }

    /// x = y in R^d.
    pub fn identity(d: usize) -> Self {
        Self { centre: vec![0.0; d], factor: Factor::Scalar(1.0) }
    }

    /// d.
    pub fn dim(&self) -> usize {
        self.centre.len()
    }

    /// c, the image of 0: d numbers.
    pub fn centre(&self) -> &[f64] {
        &self.centre
    }

    /// |det L|^(1/d): the length in x of a length 1 in y, in the geometric mean over directions.
    pub fn scale(&self) -> f64 {
        match &self.factor {
            Factor::Scalar(s) => *s,
            Factor::Lower(_) => exp(self.log_jacobian() / self.dim() as f64),
        }
    }

    /// s where L = s I, else nothing.
    pub fn one_scale(&self) -> Option<f64> {
        match &self.factor {
            Factor::Scalar(s) => Some(*s),
            Factor::Lower(_) => None,
        }
    }

    /// log |det L|, to be taken off a log-density of y for that of x.
    pub fn log_jacobian(&self) -> f64 {
        match &self.factor {
            Factor::Scalar(s) => self.dim() as f64 * ln(*s),
            Factor::Lower(l) => (0..self.dim()).map(|i| ln(l[(i, i)])).sum(),
        }
    }

    /// x_i = c + L y_i.   y: n×d → n×d.
    pub fn restore<T: Real>(&self, y: &Matrix<T>) -> Matrix {
        let mut x: Matrix = y.cast();
        for row in x.as_mut_slice().chunks_exact_mut(self.dim().max(1)) {
            self.multiply(row);
            row.iter_mut().zip(&self.centre).for_each(|(x, c)| *x += c);
        }
        x
    }

    /// y_i = L⁻¹(x_i - c), the inverse of [`Affine::restore`].   x: n×d → n×d.
    pub fn standardise(&self, x: &Matrix) -> Matrix {
        let mut y = x.clone();
        self.standardise_rows(y.as_mut_slice());
        y
    }

    /// y_i ← L⁻¹(x_i - c) in place, for the entries of some rows.
    pub fn standardise_rows(&self, x: &mut [f64]) {
        for row in x.chunks_exact_mut(self.dim().max(1)) {
            row.iter_mut().zip(&self.centre).for_each(|(x, c)| *x -= c);
            self.divide(row);
        }
    }

    /// The score of y from that of x, in place: s_y = Lᵀ s_x.   n×d.
    pub fn standardise_score(&self, score: &mut Matrix) {
        match &self.factor {
            Factor::Scalar(scale) => score.as_mut_slice().iter_mut().for_each(|s| *s *= scale),
            Factor::Lower(l) => score.as_mut_slice().chunks_exact_mut(l.rows()).for_each(|s| {
                // upwards, so that entry j overwrites what no later one reads
                for j in 0..s.len() {
                    s[j] = (j..s.len()).map(|i| l[(i, j)] * s[i]).sum();
                }
            }),
        }
    }

    /// The score of x from that of y, in place: s_x = L⁻ᵀ s_y, for the entries of some rows.
    pub fn restore_score(&self, score: &mut [f64]) {
        match &self.factor {
            Factor::Scalar(scale) => score.iter_mut().for_each(|s| *s /= scale),
            Factor::Lower(l) => score.chunks_exact_mut(l.rows()).for_each(|s| solve_lower_transposed(l, s)),
        }
    }

    /// y ↦ self(inner(y)): centre c + L c', factor L L'.
    pub fn after(&self, inner: &Affine) -> Result<Self> {
        let centre = self.restore(&Matrix::from_vec(1, inner.dim(), inner.centre.clone())).into_vec();
        let (_, mut factor) = inner.parts();
        let d = factor.rows();
        match &self.factor {
            Factor::Scalar(s) => factor.as_mut_slice().iter_mut().for_each(|v| *v *= s),
            Factor::Lower(l) => {
                let product = |i: usize, j: usize| (j..=i).map(|k| l[(i, k)] * factor[(k, j)]).sum();
                factor = Matrix::from_fn(d, d, |i, j| if i < j { 0.0 } else { product(i, j) });
            }
        }
        Self::from_parts(centre, factor)
    }

    /// row ← L row.
    fn multiply(&self, row: &mut [f64]) {
        match &self.factor {
            Factor::Scalar(s) => row.iter_mut().for_each(|v| *v *= s),
            Factor::Lower(l) => multiply_lower(l.as_slice(), row),
        }
    }

    /// row ← L⁻¹ row.
    fn divide(&self, row: &mut [f64]) {
        match &self.factor {
            Factor::Scalar(s) => row.iter_mut().for_each(|v| *v /= s),
            Factor::Lower(l) => solve_lower(l, row),
        }
    }

    /// The mean of a mixture and one scale, the root of the mean variance of its coordinates, where the covariance's condition number is
    /// below 100; else the covariance's Cholesky factor.
    pub fn of_mixture(p: &GaussianMixture) -> Self {
        let covariance = p.covariance();
        let d = covariance.rows();
        let trace: f64 = (0..d).map(|i| covariance[(i, i)]).sum();
        let one_scale = Self { centre: p.mean(), factor: Factor::Scalar((trace / d as f64).sqrt()) };
        one_scale.or_of_covariance(&covariance)
    }

    /// Centre 0 and one scale, √(E|x|²/d), of points (n×d) of a law that is known to have mean 0 and a covariance c I;
    /// `Error::Parameter` where they are all 0 or not finite.
    pub fn symmetric(x: &Matrix) -> Result<Self> {
        let square = x.as_slice().iter().map(|x| x * x).sum::<f64>() / x.as_slice().len() as f64;
        Self::new(vec![0.0; x.cols()], square.sqrt())
    }

    /// Mean and scale of particles (n×d), by the rule of [`Affine::of_mixture`]; `Error::Unsupported` where they are one point or not
    /// finite.
    pub fn of_particles(x: &Matrix) -> Result<Self> {
        Self::of_blocks(x, &[(0..x.cols()).collect()])
    }

    /// The same for blocks of coordinates that are independent, a partition of all: the covariance of two blocks is 0, so that the map keeps them.
    pub fn of_blocks(x: &Matrix, blocks: &[Vec<usize>]) -> Result<Self> {
        let centre = x.column_means();
        let square = |row: &[f64]| row.iter().zip(&centre).map(|(x, c)| (x - c) * (x - c)).sum::<f64>();
        let scale = (x.iter_rows().map(square).sum::<f64>() / x.as_slice().len() as f64).sqrt();
        if scale > 0.0 && scale.is_finite() {
            let (all, mut covariance) = (x.column_covariance(), Matrix::zeros(x.cols(), x.cols()));
            for (&i, &j) in
                blocks.iter().flat_map(|block| block.iter().flat_map(move |i| block.iter().map(move |j| (i, j))))
            {
                covariance[(i, j)] = all[(i, j)];
            }
            return Ok(Self { centre, factor: Factor::Scalar(scale) }.or_of_covariance(&covariance));
        }
        Err(Error::Unsupported {
            what: format!("the search for the target's scale ended at {scale}"),
            remedy: "give its centre and scale",
        })
    }

    /// The map with the Cholesky factor of a covariance where its condition number is [`ONE_SCALE`] or more, else (or where there is no
    /// factor) this one.
    fn or_of_covariance(self, covariance: &Matrix) -> Self {
        let moderate = SymmetricEigen::of(covariance, "covariance of the frame")
            .map(|e| e.values[0] * ONE_SCALE > e.values[e.values.len() - 1]);
        match Cholesky::factor(covariance, "covariance of the frame") {
            Ok(c) if moderate == Ok(false) => Self::from_parts(self.centre.clone(), c.lower().clone()).unwrap_or(self),
            _ => self,
        }
    }
}

/// `Error::Parameter` at the first coordinate of a centre that is not finite.
fn finite_centre(centre: &[f64]) -> Result<()> {
    match centre.iter().find(|c| !c.is_finite()) {
        Some(&value) => Err(Error::Parameter { name: "centre".into(), value, expected: "finite numbers" }),
        None => Ok(()),
    }
}
