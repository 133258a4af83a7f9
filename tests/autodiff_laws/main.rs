//! One law for all operations of the tape: values, first and second derivatives against dual numbers and against differences,
//! on every kind of shape, with a negative control in which every rule is wrong; and the same law for random graphs.

mod graphs;
mod roads;

use pushforward::autodiff::laws::{self, Case, Plant, cases};
use pushforward::autodiff::{Tape, Var, Verdict, check_gradient};
use pushforward::linalg::Matrix;
use pushforward::num::Real;
use roads::{BOUND, Shape, Worst, law, reverse, seeded, source, uniform};
use std::collections::BTreeSet;

/// The law for one case on its whole shape sweep.
fn sweep<T: Real>(tape: &mut Tape<T>, case: &Case<T>, seed: u64) -> Worst {
    case.shape_sweep().iter().enumerate().fold(Worst::default(), |worst, (unit, shapes)| {
        let mut rng = source(seed, unit as u64);
        let x: Vec<Matrix<T>> = shapes.iter().enumerate().map(|(k, &s)| laws::sample(case, k, s, &mut rng)).collect();
        worst.join(law(tape, case.tape, |x| case.reference(x), &x, &mut rng))
    })
}

fn all_operations_obey<T: Real>() {
    let mut tape = Tape::new();
    let mut report = String::new();
    let mut total = Worst::default();
    for case in cases::<T>() {
        let worst = (0..8).fold(Worst::default(), |worst, seed| worst.join(sweep(&mut tape, &case, seed)));
        if worst.largest() > BOUND {
            report += &format!("{}: {worst:.1?}\n", case.name);
        }
        total = total.join(worst);
    }
    println!("{}: {total:.2?}", T::NAME);
    assert!(report.is_empty(), "{}: more than {BOUND} ε of the path sum:\n{report}", T::NAME);
}

/// Checks values, gradients, gradients of gradients and the inner-product identity for every operation on every kind of shape,
/// in both precisions, to 4 ε of the path sum.
#[test]
fn operations_agree_with_dual_numbers() {
    all_operations_obey::<f64>();
    all_operations_obey::<f32>();
}

/// Checks that the same machinery catches a wrong rule: with every rule off by a factor 1 + 2⁻¹⁰ or by its sign, each case's
/// gradient is far beyond the bound while its value is right; and the factor also shows in second derivatives and tangents.
/// (Two wrong signs make a right one: a second derivative passes through an even number of rules.)
#[test]
fn wrong_rules_are_caught() {
    const FAR: f64 = 1e6;
    for plant in [Plant::Factor, Plant::Sign] {
        let mut tape = laws::planted::<f64>(plant);
        // a slice of no columns has no derivative to be wrong
        for case in cases().into_iter().filter(|case| case.name != "no columns") {
            let worst = sweep(&mut tape, &case, 1);
            assert!(worst.value <= BOUND && worst.gradient > FAR, "{}, {plant:?} not caught: {worst:?}", case.name);
            if plant == Plant::Factor {
                let flat = worst.curvature < 1e-3;
                assert!(worst.tangent > FAR && (flat || worst.second > FAR), "{} not caught: {worst:?}", case.name);
            }
        }
    }
}

/// Checks that no operation is left out: each variant of the table is recorded by some case.
#[test]
fn every_operation_has_a_case() {
    let mut seen = BTreeSet::new();
    for case in cases::<f64>() {
        let tape = Tape::new();
        for shapes in case.shape_sweep() {
            let leaves: Vec<_> = shapes.into_iter().map(|(r, c)| tape.filled(r, c, 1.0)).collect();
            (case.tape)(&leaves);
        }
        seen.extend(laws::recorded(&tape));
    }
    let missing: Vec<_> = laws::OPERATIONS.iter().filter(|name| !seen.contains(**name)).collect();
    assert!(missing.is_empty(), "operations without a case in src/autodiff/laws/cases.rs: {missing:?}");
}

/// Checks that the table of operations stays within fifty rows, the leaf among them: what is made of many operations has a file of its own.
#[test]
fn the_table_stays_small() {
    assert!(laws::OPERATIONS.len() < 50, "{} operations beside the leaf", laws::OPERATIONS.len());
}

/// Checks first and second derivatives by a third computation, which knows no rule at all: central differences at six halving steps
/// have slope 2, or are exact, for the function ⟨g, f(x)⟩ and for its directional derivative.
#[test]
fn differences_converge_with_slope_two() {
    for case in cases::<f64>() {
        let shapes = case.shape_sweep().into_iter().max_by_key(|s| s.iter().map(|(r, c)| r * c).min()).unwrap();
        let mut rng = source(5, 0);
        let x: Vec<Matrix> = shapes.iter().enumerate().map(|(k, &s)| laws::sample(&case, k, s, &mut rng)).collect();
        // all inputs in one row, cut up again on the tape
        let point = Matrix::from_rows(&[x.iter().flat_map(|x| x.as_slice().to_vec()).collect::<Vec<f64>>()]);
        let weights: Matrix = uniform(&mut rng, (1, 4096));
        // steps of at most 1/64 of the domain
        let width = case.domains.iter().map(|(low, high)| high - low).fold(1.0, f64::min);
        let (point, direction) = (point.map(|x| x / width), uniform(&mut rng, point.shape()));
        let check = check_gradient(|row| on_row(&case, &shapes, row * width, &weights), &point, &direction).unwrap();
        assert!(check.passed(), "{}: {check}", case.name);
        let check = check_gradient(
            |row| {
                let y = on_row(&case, &shapes, row * width, &weights);
                (row.tape().gradient(y, &[row])[0] * row.tape().leaf(&direction)).sum()
            },
            &point,
            &direction,
        );
        let check = check.unwrap();
        // near 0 the function is so straight that its second derivative is below the rounding of the first
        let straight = case.name.ends_with("near 0") && check.verdict == Verdict::Unresolved;
        assert!(check.passed() || straight, "{}, second derivative: {check}", case.name);
    }
}

/// ⟨g, f(x)⟩ where x is cut from one row.
fn on_row<'t>(case: &Case<f64>, shapes: &[Shape], row: Var<'t>, weights: &Matrix) -> Var<'t> {
    let mut start = 0;
    let mut inputs = Vec::new();
    for &(r, c) in shapes {
        let rows = (0..r).map(|i| row.columns(start + i * c..start + (i + 1) * c));
        inputs.push(rows.reduce(|above, below| above.concat_rows(below)).unwrap());
        start += r * c;
    }
    let y = (case.tape)(&inputs);
    let (r, c) = y.shape();
    (y * row.tape().leaf_from(r, c, &weights.as_slice()[..r * c])).sum()
}

/// Checks that nothing is read from reused memory: a step on buffers full of NaN has the bits of a step on fresh ones.
#[test]
fn poisoned_memory_does_not_show() {
    let bits = |m: &Matrix| m.as_slice().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    for case in cases::<f64>() {
        for shapes in case.shape_sweep() {
            let run = |tape: &mut Tape<f64>| {
                let mut rng = source(2, 0);
                let x: Vec<Matrix> =
                    shapes.iter().enumerate().map(|(k, &s)| laws::sample(&case, k, s, &mut rng)).collect();
                let v: Vec<Matrix> = x.iter().map(|x| uniform(&mut rng, x.shape())).collect();
                let found = reverse(tape, case.tape, &x, &v, |shape| uniform(&mut rng, shape)).0;
                let all = [vec![found.y, found.jv], found.dx, found.hx].concat();
                all.iter().map(bits).collect::<Vec<_>>()
            };
            let mut tape = Tape::new();
            let fresh = run(&mut tape);
            for _ in 0..2 {
                tape.reset();
                laws::poison(&mut tape);
                assert_eq!(run(&mut tape), fresh, "{} on {shapes:?}", case.name);
            }
        }
    }
}

/// Values at which functions change their nature.
const SPECIAL: [f64; 12] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    f64::MIN_POSITIVE,
    5e-324,
    f64::MAX,
    -f64::MAX,
    800.0,
];

/// Checks that no operation panics on special values, that NaN comes through (but for the indicator functions, which are 0
/// there), and that elsewhere infinities and zeros are those of the formula.
#[test]
fn special_values_come_through() {
    let mut tape = Tape::new();
    for case in cases::<f64>().iter().filter(|case| case.is_elementwise()) {
        let n = SPECIAL.len();
        // one input: a column; two: every pair
        let x: Vec<Matrix> = match case.domains.len() {
            1 => vec![Matrix::from_vec(n, 1, SPECIAL.to_vec())],
            _ => {
                vec![Matrix::from_fn(n * n, 1, |i, _| SPECIAL[i / n]), Matrix::from_fn(n * n, 1, |i, _| SPECIAL[i % n])]
            }
        };
        let v: Vec<Matrix> = x.iter().map(|x| Matrix::filled(x.rows(), 1, 1.0)).collect();
        let (found, _) = reverse(&mut tape, case.tape, &x, &v, |(r, c)| Matrix::filled(r, c, 1.0));
        let exact = case.reference(&seeded(&x, &v, usize::MAX, 0));
        for (i, (y, exact)) in found.y.as_slice().iter().zip(&exact.entries).enumerate() {
            let inputs: Vec<f64> = x.iter().map(|x| x[(i, 0)]).collect();
            let (exact, slope) = (exact.value.value.value, exact.slope.value.value);
            let nan = inputs.iter().any(|x| x.is_nan());
            assert!(!nan || y.is_nan() || INDICATORS.contains(&case.name), "{}{inputs:?} = {y}", case.name);
            let agree = if exact.is_finite() && exact != 0.0 {
                (y - exact).abs() <= BOUND * f64::EPSILON * exact.abs() + f64::MIN_POSITIVE
            } else {
                y.is_nan() == exact.is_nan() && (y.is_nan() || *y == exact)
            };
            assert!(agree, "{}{inputs:?} = {y:e}, by its formula {exact:e}", case.name);
            let derivative = found.jv[(i, 0)];
            let agree = (derivative - slope).abs() <= BOUND * f64::EPSILON * slope.abs() + f64::MIN_POSITIVE;
            let known = slope.is_finite() && inputs.iter().all(|x| x.is_finite());
            assert!(agree || !known, "{}{inputs:?}: derivative {derivative:e}, by the formula {slope:e}", case.name);
        }
    }
}

/// 0 or 1 by definition, or constant; or 0 where the mask says so.
const INDICATORS: [&str; 4] = ["step", "a ≥ b", "x^0", "masked"];

/// Checks that log Σ exp of a row longer than any register, whose entries lie 50 apart in scattered places up to 1,950, is its largest entry
/// (the next one adds e^-50, below rounding): the shift is the largest entry, else the sum overflows.
#[test]
fn log_sum_exp_does_not_overflow() {
    let tape: Tape<f64> = Tape::new();
    for start in 0..40 {
        let x = tape.leaf(&Matrix::from_fn(1, 40, |_, k| 50.0 * ((7 * k + start) % 40) as f64));
        assert_eq!(x.log_sum_exp().value()[(0, 0)], 1950.0, "{start}");
    }
}

/// Checks that shapes that do not fit are a panic with both shapes, for each of the two conditions of every operation on shapes.
#[test]
fn shapes_that_do_not_fit() {
    type Wrong = for<'t> fn(Var<'t, f64>) -> Var<'t, f64>;
    let wrong: [(&str, Wrong); 14] = [
        ("sum_to rows", |x| x.sum_to((2, 4))),
        ("sum_to columns", |x| x.sum_to((3, 2))),
        ("broadcast_to rows", |x| x.broadcast_to((6, 4))),
        ("broadcast_to columns", |x| x.broadcast_to((3, 8))),
        ("columns beyond", |x| x.columns(2..5)),
        ("rows beyond", |x| x.rows(2..4)),
        ("reshape", |x| x.reshape(5, 2)),
        ("concat_columns", |x| x.concat_columns(x.rows(0..2))),
        ("concat_rows", |x| x.concat_rows(x.columns(0..2))),
        ("pad_columns", |x| x.pad_columns(2, 5)),
        ("pad_rows", |x| x.pad_rows(2, 4)),
        ("matmul", |x| x.matmul(x)),
        ("affine weight", |x| x.affine(x, x.row_sums())),
        ("affine bias", |x| x.affine(x.rows(0..1).reshape(4, 1), x.rows(0..1))),
    ];
    for (name, call) in wrong {
        let tape = Tape::new();
        let x = tape.leaf(&Matrix::from_fn(3, 4, |i, j| (i + j) as f64));
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call(x).shape())).expect_err(name);
        let words = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(words.contains('×') || words.contains('('), "{name}: '{words}'");
    }
}
