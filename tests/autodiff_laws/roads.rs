//! The two roads, the tape and dual numbers, and the distance between what they say.

use pushforward::autodiff::laws::{self, Grid, Number};
use pushforward::autodiff::{Dual, Path, Scalar, Tape, Var};
use pushforward::linalg::Matrix;
use pushforward::num::Real;
use pushforward::rng::{Purpose, fill_uniform, stream};

/// (rows, cols).
pub type Shape = (usize, usize);

/// Allowed distance in ε of the path sum. Each operation of the tape is right to 4 ε (elementary functions to 3 ulp, and a
/// product), and the path sum has at least one unit for each; the largest distance found is 2.
pub const BOUND: f64 = 4.0;

/// The largest distances found, in ε of the path sum.
#[derive(Debug, Clone, Copy, Default)]
pub struct Worst {
    /// Of the value.
    pub value: f64,
    /// Of (∂y/∂x)ᵀ g.
    pub gradient: f64,
    /// Of ∂⟨(∂y/∂x)ᵀ g, v⟩/∂x: the gradient of a gradient.
    pub second: f64,
    /// Of (∂y/∂x) v, which is ∂⟨(∂y/∂x)ᵀ g, v⟩/∂g: the inner-product identity ⟨Jᵀg, v⟩ = ⟨g, Jv⟩, for every g at once.
    pub tangent: f64,
    /// Not a distance: the largest second derivative, to know where there is one.
    pub curvature: f64,
    /// Not a distance: the largest first derivative in units of its own ε of path sum, so the sharpness of the comparison.
    pub sharpness: f64,
}

impl Worst {
    pub fn join(self, b: Self) -> Self {
        Self {
            value: self.value.max(b.value),
            gradient: self.gradient.max(b.gradient),
            second: self.second.max(b.second),
            tangent: self.tangent.max(b.tangent),
            curvature: self.curvature.max(b.curvature),
            sharpness: self.sharpness.max(b.sharpness),
        }
    }

    pub fn largest(self) -> f64 {
        self.value.max(self.gradient).max(self.second).max(self.tangent)
    }
}

/// What is below the least normal number may be 0, an exponential in f32 for instance, before two slopes of up to 1e3 multiply it: those of the farthest
/// bump of messages of pairs are 31/δ · 4 = 700.
const OF_LEAST: f64 = 1e6;

/// |found - exact| in ε of the path sum, and of [`OF_LEAST`] least numbers.
pub fn distance<T: Real>(found: T, exact: Path) -> f64 {
    if found.to_f64() == exact.value {
        return 0.0; // infinities too
    }
    let least = if T::NAME == "f32" { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
    let ratio = (found.to_f64() - exact.value).abs() / (T::EPSILON.to_f64() * exact.sum + OF_LEAST * least);
    if ratio.is_nan() { f64::INFINITY } else { ratio }
}

/// A matrix of U[-1, 1) variates.
pub fn uniform<T: Real>(rng: &mut impl FnMut() -> f64, (rows, cols): Shape) -> Matrix<T> {
    Matrix::from_fn(rows, cols, |_, _| T::from_f64(2.0 * rng() - 1.0))
}

pub fn source(seed: u64, unit: u64) -> impl FnMut() -> f64 {
    let mut rng = stream(seed, Purpose::Check, unit);
    move || {
        let mut x = [0.0];
        fill_uniform(&mut rng, &mut x);
        x[0]
    }
}

/// Points as dual numbers: the outer derivative along v, the inner one by entry `entry` of input `which`.
pub fn seeded<T: Real>(x: &[Matrix<T>], v: &[Matrix<T>], which: usize, entry: usize) -> Vec<Grid> {
    let number = |k: usize, e: usize| {
        let inner = if (k, e) == (which, entry) { 1.0 } else { 0.0 };
        Dual {
            value: Dual { value: Path::constant(x[k].as_slice()[e].to_f64()), slope: Path::rounded(inner) },
            slope: Dual { value: Path::rounded(v[k].as_slice()[e].to_f64()), slope: Path::constant(0.0) },
        }
    };
    (0..x.len()).map(|k| Grid::from_fn(x[k].rows(), x[k].cols(), |i, j| number(k, i * x[k].cols() + j))).collect()
}

/// What the tape says: y, (∂y/∂x)ᵀ g, the gradient of its product with v, and the derivative of that by g.
pub struct Reverse<T: Real> {
    pub y: Matrix<T>,
    pub dx: Vec<Matrix<T>>,
    pub hx: Vec<Matrix<T>>,
    pub jv: Matrix<T>,
}

pub fn reverse<T: Real>(
    tape: &mut Tape<T>,
    f: impl for<'t> Fn(&[Var<'t, T>]) -> Var<'t, T>,
    x: &[Matrix<T>],
    v: &[Matrix<T>],
    cotangent: impl FnOnce(Shape) -> Matrix<T>,
) -> (Reverse<T>, Matrix<T>) {
    tape.reset();
    let tape = &*tape;
    let leaves: Vec<_> = x.iter().map(|x| tape.leaf(x)).collect();
    let y = f(&leaves);
    let cotangent = cotangent(y.shape());
    let g = tape.leaf(&cotangent);
    let dx = tape.pull_back(y, g, &leaves);
    let products = dx.iter().zip(v).map(|(dx, v)| (*dx * tape.leaf(v)).sum());
    let along = products.reduce(|a, b| a + b).unwrap();
    let hx = tape.gradient(along, &leaves);
    let jv = tape.gradient(along, &[g])[0];
    let copy = |vars: Vec<Var<'_, T>>| vars.into_iter().map(Var::value).collect();
    (Reverse { y: y.value(), dx: copy(dx), hx: copy(hx), jv: jv.value() }, cotangent)
}

/// The law: everything the tape says about `f` at x against the dual numbers of `reference`.
pub fn law<T: Real>(
    tape: &mut Tape<T>,
    f: impl for<'t> Fn(&[Var<'t, T>]) -> Var<'t, T>,
    reference: impl Fn(&[Grid]) -> Grid,
    x: &[Matrix<T>],
    rng: &mut impl FnMut() -> f64,
) -> Worst {
    let v: Vec<Matrix<T>> = x.iter().map(|x| uniform(rng, x.shape())).collect();
    let (found, g) = reverse(tape, f, x, &v, |shape| uniform(rng, shape));
    let mut worst = Worst::default();
    let exact = reference(&seeded(x, &v, usize::MAX, 0));
    assert_eq!(exact.shape(), found.y.shape(), "shapes of the two roads");
    for (e, y) in exact.entries.iter().enumerate() {
        worst.value = worst.value.max(distance(found.y.as_slice()[e], y.value.value));
        worst.tangent = worst.tangent.max(distance(found.jv.as_slice()[e], y.slope.value));
    }
    for k in 0..x.len() {
        for e in 0..x[k].as_slice().len() {
            let y = reference(&seeded(x, &v, k, e));
            let weigh = |(y, g): (&Number, &T)| Number::constant(g.to_f64()) * *y;
            let phi = laws::total(y.entries.iter().zip(g.as_slice()).map(weigh));
            let slope = phi.value.slope;
            worst.gradient = worst.gradient.max(distance(found.dx[k].as_slice()[e], slope));
            worst.second = worst.second.max(distance(found.hx[k].as_slice()[e], phi.slope.slope));
            worst.sharpness = worst.sharpness.max(slope.value.abs() / (T::EPSILON.to_f64() * slope.sum));
            worst.curvature = worst.curvature.max(phi.slope.slope.value.abs());
        }
    }
    worst
}
