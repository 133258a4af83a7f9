//! Jacobian, Hessian, divergence and Hessian-vector product against closed forms on small integers, where they are exact, and
//! against dual numbers elsewhere.

use pushforward::autodiff::{Dual, Path, Scalar, Tape, Var, divergence, hessian, hessian_vector, jacobian};
use pushforward::linalg::{Matrix, SymmetricEigen, expm, matmul};
use pushforward::rng::{Purpose, normal_matrix};

/// Distances are allowed 4 ε of the path sum, as in the law tests.
fn near(found: f64, exact: Path) -> bool {
    (found - exact.value).abs() <= 4.0 * f64::EPSILON * exact.sum
}

/// x₁² x₂ + 3 x₁ x₃ as a column.
fn cubic<'t>(x: Var<'t>) -> Var<'t> {
    x.column(0).square() * x.column(1) + x.column(0) * x.column(2) * 3.0
}

/// Checks Jacobian and Hessian of polynomials on integers to the last bit, a Jacobian with more outputs than inputs among them.
#[test]
fn polynomials_are_exact() {
    let x = [2.0, 3.0, 5.0];
    // ∂ (x₁² x₂ + 3 x₁ x₃, x₁ x₂ x₃, x₂²)
    let j = jacobian(&x, |x| {
        let product = x.column(0) * x.column(1) * x.column(2);
        cubic(x).concat_columns(product).concat_columns(x.column(1).square())
    });
    assert_eq!(j, Matrix::from_rows(&[[27.0, 4.0, 6.0], [15.0, 10.0, 6.0], [0.0, 6.0, 0.0]]));
    let wide = jacobian(&[7.0], |x| x.concat_columns(x.square()).concat_columns(x * 0.0));
    assert_eq!(wide, Matrix::from_rows(&[[1.0], [14.0], [0.0]]));
    assert_eq!(hessian(&x, cubic), Matrix::from_rows(&[[6.0, 4.0, 3.0], [4.0, 0.0, 0.0], [3.0, 0.0, 0.0]]));
    assert_eq!(hessian(&x, |x| x.row_sums()), Matrix::zeros(3, 3));
    assert_eq!(jacobian(&[], |x: Var<'_>| x).shape(), (0, 0));
}

/// Checks H v for a batch of integer points, row by row, to the last bit; and that it can be differentiated once more.
#[test]
fn hessian_vector_product_of_a_batch() {
    let tape = Tape::new();
    let x = tape.leaf(&Matrix::from_rows(&[[2.0, 3.0, 5.0], [1.0, -1.0, 4.0]]));
    let v = tape.leaf(&Matrix::from_rows(&[[1.0, 2.0, 3.0], [-1.0, 0.0, 2.0]]));
    let hv = hessian_vector(cubic(x), x, v);
    assert_eq!(hv.value(), Matrix::from_rows(&[[6.0 + 8.0 + 9.0, 4.0, 3.0], [2.0 + 6.0, -2.0, -3.0]]));
    // vᵀ H v = 2 x₂ v₁² + 4 x₁ v₁ v₂ + 6 v₁ v₃, so its gradient is (4 v₁ v₂, 2 v₁², 0)
    let third = tape.gradient((hv * v).row_sums(), &[x])[0];
    assert_eq!(third.value(), Matrix::from_rows(&[[8.0, 2.0, 0.0], [0.0, 2.0, 0.0]]));
}

/// Checks the divergence of fields: (x₁², x₁ x₂, 3 x₃) has 3 x₁ + 3, a rotation 0, the identity d, without points nothing.
#[test]
fn divergence_of_fields() {
    let tape = Tape::new();
    let x = tape.leaf(&Matrix::from_rows(&[[2.0, 3.0, 5.0], [-1.0, 0.0, 4.0]]));
    let (a, b, c) = (x.column(0), x.column(1), x.column(2));
    let field = a.square().concat_columns(a * b).concat_columns(c * 3.0);
    assert_eq!(divergence(field, x).value(), Matrix::from_rows(&[[9.0], [0.0]]));
    let rotation = (-b).concat_columns(a).concat_columns(c * 0.0);
    assert_eq!(divergence(rotation, x).value(), Matrix::zeros(2, 1));
    assert_eq!(divergence(x, x).value(), Matrix::filled(2, 1, 3.0));
    let none = tape.leaf(&Matrix::zeros(0, 2));
    assert_eq!(divergence(none.square(), none).value().shape(), (0, 1));
    let flat = tape.leaf(&Matrix::zeros(3, 0));
    assert_eq!(divergence(flat, flat).value(), Matrix::zeros(3, 1));
}

/// The log-density of a mixture of N(0, 1) and N(1, 1/4), up to a constant: log Σ exp over both, and a quartic well.
fn on_tape<'t>(x: Var<'t>) -> Var<'t> {
    let (first, second) = (x.square().row_sums() * -0.5, (x - 1.0).square().row_sums() * -2.0);
    first.concat_columns(second).log_sum_exp() - x.powf(4.0).row_sums() * 0.125 + (x.column(0) * x.column(1)).tanh()
}

fn on_duals<S: Scalar>(x: &[S]) -> S {
    let k = S::constant;
    let sum = |f: &dyn Fn(S) -> S| x.iter().fold(k(0.0), |sum, &x| sum + f(x));
    let first = sum(&|x| x * x) * k(-0.5);
    let second = sum(&|x| (x - k(1.0)) * (x - k(1.0))) * k(-2.0);
    (first.exp() + second.exp()).ln() - sum(&|x| x * x * x * x) * k(0.125) + (x[0] * x[1]).tanh()
}

/// ∂ᵢ∂ⱼ f with its path sum.
fn second_derivative(x: &[f64], i: usize, j: usize) -> Dual<Dual<Path>> {
    let seed = |on: bool| Path::rounded(f64::from(u8::from(on)));
    let numbers: Vec<_> = x
        .iter()
        .enumerate()
        .map(|(k, &x)| Dual {
            value: Dual { value: Path::constant(x), slope: seed(k == i) },
            slope: Dual { value: seed(k == j), slope: seed(false) },
        })
        .collect();
    on_duals(&numbers)
}

/// Checks gradient, Hessian, Hessian-vector product and Laplacian (the divergence of the score) of a mixture-like log-density
/// at 20 random points against nested dual numbers, to 4 ε of the path sum.
#[test]
fn log_density_against_duals() {
    let points: Matrix = normal_matrix(1, Purpose::Check, 0, 20, 3);
    let directions: Matrix = normal_matrix(1, Purpose::Check, 1, 20, 3);
    let tape = Tape::new();
    let (x, v) = (tape.leaf(&points), tape.leaf(&directions));
    let score = tape.gradient(on_tape(x), &[x])[0];
    let (hv, laplacian) = (hessian_vector(on_tape(x), x, v).value(), divergence(score, x).value());
    for (row, point) in points.iter_rows().enumerate() {
        let h = hessian(point, on_tape);
        let zero = Path::constant(0.0);
        let mut trace = zero;
        for i in 0..3 {
            let mut product = zero;
            for j in 0..3 {
                let exact = second_derivative(point, i, j);
                assert!(near(h[(i, j)], exact.slope.slope), "H[{i}, {j}] at {point:?}");
                assert!(near(score.value()[(row, i)], exact.value.slope), "score {i} at {point:?}");
                product = product + exact.slope.slope * Path::constant(directions[(row, j)]);
            }
            assert!(near(hv[(row, i)], product), "(H v)[{i}] at {point:?}");
            trace = trace + second_derivative(point, i, i).slope.slope;
        }
        assert!(near(laplacian[(row, 0)], trace), "Laplacian at {point:?}");
    }
}

/// Checks that the gradient of a value with respect to itself is 1, for a leaf and for what was computed last.
#[test]
fn gradient_of_itself() {
    let tape: Tape<f64> = Tape::new();
    let x = tape.leaf(&Matrix::from_rows(&[[3.0]]));
    let y = x * x;
    for own in [tape.gradient(x, &[x])[0], tape.gradient(y, &[y])[0]] {
        assert_eq!(own.value()[(0, 0)], 1.0);
    }
}

/// Largest |a - b| relative to the largest |b|.
fn apart(a: &Matrix, b: &Matrix) -> f64 {
    let largest = |m: &Matrix| m.as_slice().iter().fold(0.0f64, |most, x| most.max(x.abs()));
    let mut gap = a.clone();
    gap.add_scaled(-1.0, b);
    largest(&gap) / largest(b)
}

/// Checks the exponential of matrices on the tape, each to 1e-12 of the largest entry: exp(A) exp(-A) = I; first and second derivatives of
/// exp(tA) are A exp(tA) and A² exp(tA); the derivative at A along E is the upper right block of exp [A E; 0 A], whatever the size of a
/// cotangent; and for a symmetric A = V diag(λ) Vᵀ it is V (Γ ∘ VᵀEV) Vᵀ with Γ the divided differences of exp (Daleckii and Krein).
#[test]
fn exponential_of_matrices() {
    for n in [1usize, 2, 4, 7] {
        let random = |k: u64| normal_matrix::<f64>(k, Purpose::Check, n as u64, n, n).map(|z| 0.7 * z);
        let (a, e, g) = (random(1), random(2), random(3));
        let tape = Tape::new();
        let x = tape.leaf(&a);
        let product = x.expm().matmul((-x).expm());
        assert!(apart(&product.value(), &Matrix::identity(n)) < 1e-12, "n = {n}");

        let t = tape.scalar(1.3);
        let y = (x * t).expm();
        let at = expm(&a.map(|v| 1.3 * v));
        let weights = tape.leaf(&g);
        let first = tape.pull_back(y, weights, &[t])[0];
        let second = tape.gradient(first, &[t])[0];
        for (found, power) in [(first, matmul(&a, &at)), (second, matmul(&a, &matmul(&a, &at)))] {
            let terms: Vec<f64> = power.as_slice().iter().zip(g.as_slice()).map(|(p, g)| p * g).collect();
            let size: f64 = terms.iter().map(|v| v.abs()).sum();
            assert!((found.item() - terms.iter().sum::<f64>()).abs() < 1e-12 * size, "n = {n}: {}", found.item());
        }

        // ⟨G, L(A, E)⟩ for every entry of G
        let derivative = |a: &Matrix| {
            let tape = Tape::new();
            let x = tape.leaf(a);
            let entry = |k: usize| {
                let unit = tape.leaf(&Matrix::from_fn(n, n, |i, j| if i * n + j == k { 1e9 } else { 0.0 }));
                tape.pull_back(x.expm(), unit, &[x])[0].value()
            };
            let along = |m: Matrix| m.as_slice().iter().zip(e.as_slice()).map(|(m, e)| 1e-9 * m * e).sum::<f64>();
            Matrix::from_vec(n, n, (0..n * n).map(|k| along(entry(k))).collect())
        };
        let block = expm(&Matrix::from_fn(2 * n, 2 * n, |i, j| match (i < n, j < n) {
            (true, true) => a[(i, j)],
            (true, false) => e[(i, j - n)],
            (false, true) => 0.0,
            (false, false) => a[(i - n, j - n)],
        }));
        let upper_right = Matrix::from_fn(n, n, |i, j| block[(i, j + n)]);
        assert!(apart(&derivative(&a), &upper_right) < 1e-12, "n = {n}");

        let symmetric = Matrix::from_fn(n, n, |i, j| 0.5 * (a[(i, j)] + a[(j, i)]));
        let eigen = SymmetricEigen::of(&symmetric, "a").unwrap();
        let (values, rows) = (&eigen.values, &eigen.vectors);
        let turned = matmul(&matmul(rows, &e), &rows.transpose());
        let scaled = Matrix::from_fn(n, n, |i, j| {
            let (x, y) = (values[i], values[j]);
            turned[(i, j)] * if i == j { x.exp() } else { y.exp() * (x - y).exp_m1() / (x - y) }
        });
        let exact = matmul(&matmul(&rows.transpose(), &scaled), rows);
        assert!(apart(&derivative(&symmetric), &exact) < 1e-12, "n = {n}");
    }
}
