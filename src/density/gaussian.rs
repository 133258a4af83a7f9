//! The Gaussian: a mixture of one component, not a second implementation.

use crate::Result;
use crate::density::GaussianMixture;
use crate::linalg::Matrix;

impl GaussianMixture {
    /// log p(x) = -½ (x-m)ᵀ C⁻¹ (x-m) - ½ log det(2πC).   mean: d, covariance: d×d.
    ///
    /// Errors as [`GaussianMixture::new`].
    pub fn gaussian(mean: &[f64], covariance: Matrix) -> Result<Self> {
        Self::new(&[1.0], Matrix::from_rows(&[mean]), vec![covariance])
    }

    /// N(0, I) in `dim` dimensions. `Error::Dimension` where `dim` is 0.
    pub fn standard(dim: usize) -> Result<Self> {
        Self::gaussian(&vec![0.0; dim], Matrix::identity(dim))
    }
}
