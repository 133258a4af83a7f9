//! Row-major matrices and strided views.

use crate::num::Real;
use std::ops::{Index, IndexMut};

/// A dense row-major matrix: n×d, a row is a particle.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrix<T = f64> {
    rows: usize,
    cols: usize,
    data: Vec<T>,
}

/// A borrowed matrix with strides; its transpose costs nothing.
#[derive(Debug, Clone, Copy)]
pub struct View<'a, T = f64> {
    pub(crate) data: &'a [T],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

/// Panics with both shapes; the one way in which a programmer's shape mistake ends.
#[cold]
#[track_caller]
pub(crate) fn shape_mismatch(what: &str, left: (usize, usize), right: (usize, usize)) -> ! {
    panic!("{what}: shapes {}×{} and {}×{} do not fit", left.0, left.1, right.0, right.1)
}

impl<T: Real> Matrix<T> {
    /// rows×cols zeros.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self::filled(rows, cols, T::ZERO)
    }

    /// rows×cols copies of `value`.
    pub fn filled(rows: usize, cols: usize, value: T) -> Self {
        Self { rows, cols, data: vec![value; rows * cols] }
    }

    /// The n×n identity.
    pub fn identity(n: usize) -> Self {
        Self::from_fn(n, n, |i, j| if i == j { T::ONE } else { T::ZERO })
    }

    /// Takes row-major `data`; panics where its length is not rows·cols.
    #[track_caller]
    pub fn from_vec(rows: usize, cols: usize, data: Vec<T>) -> Self {
        if data.len() != rows * cols {
            shape_mismatch("Matrix::from_vec", (rows, cols), (data.len(), 1));
        }
        Self { rows, cols, data }
    }

    /// Entry (i, j) is `f(i, j)`.
    pub fn from_fn(rows: usize, cols: usize, mut f: impl FnMut(usize, usize) -> T) -> Self {
        let data = (0..rows * cols).map(|k| f(k / cols.max(1), k % cols.max(1))).collect();
        Self { rows, cols, data }
    }

    /// Rows of equal length; panics where they differ.
    #[track_caller]
    pub fn from_rows<R: AsRef<[T]>>(rows: &[R]) -> Self {
        let cols = rows.first().map_or(0, |r| r.as_ref().len());
        let mut data = Vec::with_capacity(rows.len() * cols);
        for row in rows {
            if row.as_ref().len() != cols {
                shape_mismatch("Matrix::from_rows", (rows.len(), cols), (1, row.as_ref().len()));
            }
            data.extend_from_slice(row.as_ref());
        }
        Self { rows: rows.len(), cols, data }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// (rows, cols).
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// All entries, row after row.
    pub fn as_slice(&self) -> &[T] {
        &self.data
    }

    /// All entries, row after row, to write to.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The entries, row after row.
    pub fn into_vec(self) -> Vec<T> {
        self.data
    }

    /// Row i.
    pub fn row(&self, i: usize) -> &[T] {
        &self.data[i * self.cols..(i + 1) * self.cols]
    }

    /// Row i, to write to.
    pub fn row_mut(&mut self, i: usize) -> &mut [T] {
        &mut self.data[i * self.cols..(i + 1) * self.cols]
    }

    /// The rows in order (none where there are no columns).
    pub fn iter_rows(&self) -> impl ExactSizeIterator<Item = &[T]> {
        self.data.chunks_exact(self.cols.max(1))
    }

    /// A copy of rows `range`.
    pub fn slice_rows(&self, range: std::ops::Range<usize>) -> Self {
        Self {
            rows: range.len(),
            cols: self.cols,
            data: self.data[range.start * self.cols..range.end * self.cols].to_vec(),
        }
    }

    /// A copy of the rows named by `index`, in that order.
    pub fn gather_rows(&self, index: &[usize]) -> Self {
        let data = index.iter().flat_map(|&i| self.row(i).iter().copied()).collect();
        Self { rows: index.len(), cols: self.cols, data }
    }

    /// Gives the matrix another shape, keeping its memory where that is large enough; the entries are then unspecified.
    pub fn reshape_reuse(&mut self, rows: usize, cols: usize) {
        self.data.resize(rows * cols, T::ZERO);
        (self.rows, self.cols) = (rows, cols);
    }

    /// A transposed copy.
    pub fn transpose(&self) -> Self {
        Self::from_fn(self.cols, self.rows, |i, j| self[(j, i)])
    }

    /// Entry by entry f(x).
    pub fn map(&self, f: impl FnMut(T) -> T) -> Self {
        Self { rows: self.rows, cols: self.cols, data: self.data.iter().copied().map(f).collect() }
    }

    /// self ← self + factor·other.   other: the shape of self.
    ///
    /// ```
    /// use pushforward::linalg::Matrix;
    ///
    /// let mut x = Matrix::from_rows(&[[1.0, 2.0]]);
    /// x.add_scaled(0.5, &Matrix::from_rows(&[[4.0, -4.0]]));
    /// assert_eq!(x.as_slice(), [3.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn add_scaled(&mut self, factor: T, other: &Self) {
        if self.shape() != other.shape() {
            shape_mismatch("Matrix::add_scaled", self.shape(), other.shape());
        }
        self.data.iter_mut().zip(&other.data).for_each(|(x, &y)| *x += factor * y);
    }

    /// Nearest entries in another precision.
    pub fn cast<U: Real>(&self) -> Matrix<U> {
        Matrix { rows: self.rows, cols: self.cols, data: self.data.iter().map(|x| U::from_f64(x.to_f64())).collect() }
    }

    /// The whole matrix as a view.
    pub fn view(&self) -> View<'_, T> {
        View { data: &self.data, rows: self.rows, cols: self.cols, row_stride: self.cols, col_stride: 1 }
    }

    /// The transpose as a view.
    pub fn t(&self) -> View<'_, T> {
        self.view().t()
    }

    /// Mean of each column.
    pub fn column_means(&self) -> Vec<T> {
        let mut mean = vec![T::ZERO; self.cols];
        for row in self.iter_rows() {
            mean.iter_mut().zip(row).for_each(|(m, &x)| *m += x);
        }
        let n = T::from_usize(self.rows.max(1));
        mean.iter_mut().for_each(|m| *m /= n);
        mean
    }

    /// √(Σ_i |x_i - x̄|²/n), the root mean square distance of the rows from their mean x̄.
    pub fn spread(&self) -> T {
        let mean = self.column_means();
        let square = |row: &[T]| row.iter().zip(&mean).map(|(&x, &m)| (x - m) * (x - m)).sum::<T>();
        (self.iter_rows().map(square).sum::<T>() / T::from_usize(self.rows.max(1))).sqrt()
    }

    /// Σ_i (x_i - x̄)(x_i - x̄)ᵀ / n, d×d; x̄ the mean of the rows.
    pub fn column_covariance(&self) -> Matrix<T> {
        let (mean, d) = (self.column_means(), self.cols);
        let mut sum = Matrix::<T>::zeros(d, d);
        for row in self.iter_rows() {
            for i in 0..d {
                for j in 0..=i {
                    sum[(i, j)] += (row[i] - mean[i]) * (row[j] - mean[j]);
                }
            }
        }
        let n = T::from_usize(self.rows.max(1));
        Matrix::from_fn(d, d, |i, j| sum[(i.max(j), i.min(j))] / n)
    }

    /// Whether every entry is finite.
    pub fn is_finite(&self) -> bool {
        // by blocks without a way out, which the compiler can make vectors of
        self.data.chunks(64).all(|block| block.iter().fold(true, |all, x| all & x.is_finite()))
    }
}

impl<'a, T> View<'a, T> {
    /// The transpose: the two strides change places.
    pub fn t(self) -> Self {
        View {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// (rows, cols).
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }
}

impl<T> Index<(usize, usize)> for Matrix<T> {
    type Output = T;
    fn index(&self, (i, j): (usize, usize)) -> &T {
        assert!(i < self.rows && j < self.cols, "entry ({i}, {j}) of a matrix of {}×{}", self.rows, self.cols);
        &self.data[i * self.cols + j]
    }
}

impl<T> IndexMut<(usize, usize)> for Matrix<T> {
    fn index_mut(&mut self, (i, j): (usize, usize)) -> &mut T {
        assert!(i < self.rows && j < self.cols, "entry ({i}, {j}) of a matrix of {}×{}", self.rows, self.cols);
        &mut self.data[i * self.cols + j]
    }
}
