//! One entry for each operation on whole matrices: on the tape, and by its formula for entry (i, j).

use crate::autodiff::dual::Scalar;
use crate::autodiff::laws::cases::{Case, Formula, OnTape, Shape, Shapes, c};
use crate::autodiff::laws::grid::{Grid, log_sum_exp, total};
use crate::linalg::Matrix;
use crate::num::{Real, ln};
use std::sync::Arc;

/// All of them.
pub(super) fn cases<T: Real>() -> Vec<Case<T>> {
    [by_axis(), products(), moves(), vec![messages()]].concat()
}

/// An operation on whole matrices with entries in [-2, 2].
fn whole<T: Real>(name: &'static str, shapes: Shapes, tape: OnTape<T>, formula: fn(&[Grid]) -> Grid) -> Case<T> {
    let inputs = if let Shapes::List(list) = &shapes { list[0].len() } else { 1 };
    Case { name, tape, formula: Formula::Grid(formula), domains: vec![(-2.0, 2.0); inputs], kink: false, shapes }
}

fn one_input(shapes: &[Shape]) -> Shapes {
    Shapes::List(shapes.iter().map(|&s| vec![s]).collect())
}

fn by_axis<T: Real>() -> Vec<Case<T>> {
    let full = one_input(&[(1, 1), (1, 5), (7, 1), (5, 3)]);
    vec![
        whole("Σ", Shapes::Any, |x| x[0].sum(), |x| Grid::from_fn(1, 1, |_, _| total(x[0].entries.iter().copied()))),
        whole("Σ over rows", Shapes::Any, |x| x[0].row_sums(), |x| x[0].by_row(|r| total(r.iter().copied()))),
        whole(
            "Σ over columns",
            Shapes::Any,
            |x| x[0].column_sums(),
            |x| x[0].t().by_row(|r| total(r.iter().copied())).t(),
        ),
        whole(
            "mean",
            full.clone(),
            |x| x[0].mean(),
            |x| {
                let n = x[0].entries.len() as f64;
                Grid::from_fn(1, 1, |_, _| total(x[0].entries.iter().copied()) / c(n))
            },
        ),
        whole(
            "row means",
            full.clone(),
            |x| x[0].row_means(),
            |x| x[0].by_row(|r| total(r.iter().copied()) / c(r.len() as f64)),
        ),
        whole(
            "column means",
            full,
            |x| x[0].column_means(),
            |x| x[0].t().by_row(|r| total(r.iter().copied()) / c(r.len() as f64)).t(),
        ),
        whole(
            "repeat a row",
            one_input(&[(1, 1), (1, 0), (1, 5)]),
            |x| x[0].broadcast_to((3, x[0].shape().1)),
            |x| Grid::from_fn(3, x[0].cols, |_, j| x[0].at(0, j)),
        ),
        whole(
            "repeat a column",
            one_input(&[(1, 1), (0, 1), (5, 1)]),
            |x| x[0].broadcast_to((x[0].shape().0, 7)),
            |x| Grid::from_fn(x[0].rows, 7, |i, _| x[0].at(i, 0)),
        ),
        whole(
            "repeat a number",
            one_input(&[(1, 1)]),
            |x| x[0].broadcast_to((2, 3)),
            |x| Grid::from_fn(2, 3, |_, _| x[0].at(0, 0)),
        ),
        whole("log-sum-exp", Shapes::Any, |x| x[0].log_sum_exp(), |x| x[0].by_row(log_sum_exp)),
        whole(
            "softmax",
            Shapes::Any,
            |x| x[0].softmax(),
            |x| {
                // e^x / Σ e^x, without a shift: entries are small here
                let sums = x[0].by_row(|r| total(r.iter().map(|x| x.exp())));
                Grid::from_fn(x[0].rows, x[0].cols, |i, j| x[0].at(i, j).exp() / sums.at(i, 0))
            },
        ),
    ]
}

fn products<T: Real>() -> Vec<Case<T>> {
    /// m, k, n with empty sides, ones and primes.
    const SIZES: [(usize, usize, usize); 6] = [(1, 1, 1), (2, 3, 5), (7, 1, 3), (0, 2, 3), (2, 0, 3), (3, 2, 0)];
    let shapes = |ta: bool, tb: bool| {
        let flip = |flag: bool, (r, c): Shape| if flag { (c, r) } else { (r, c) };
        Shapes::List(SIZES.map(|(m, k, n)| vec![flip(ta, (m, k)), flip(tb, (k, n))]).to_vec())
    };
    vec![
        whole("A B", shapes(false, false), |x| x[0].matmul(x[1]), |x| x[0].matmul(&x[1])),
        whole("Aᵀ B", shapes(true, false), |x| x[0].product(x[1], true, false), |x| x[0].t().matmul(&x[1])),
        whole("A Bᵀ", shapes(false, true), |x| x[0].product(x[1], false, true), |x| x[0].matmul(&x[1].t())),
        whole("Aᵀ Bᵀ", shapes(true, true), |x| x[0].product(x[1], true, true), |x| x[0].t().matmul(&x[1].t())),
        whole(
            "X W + b",
            Shapes::List(SIZES.map(|(m, k, n)| vec![(m, k), (k, n), (1, n)]).to_vec()),
            |x| x[0].affine(x[1], x[2]),
            |x| x[0].matmul(&x[1]).zip(&x[2], |a, b| a + b),
        ),
        whole(
            "silu(X W + b)",
            Shapes::List(SIZES.map(|(m, k, n)| vec![(m, k), (k, n), (1, n)]).to_vec()),
            |x| x[0].hidden(x[1], x[2]),
            |x| x[0].matmul(&x[1]).zip(&x[2], |a, b| (a + b).silu()),
        ),
        whole(
            "(-A - 6)⁻¹",
            one_input(&[(0, 0), (1, 1), (2, 2), (3, 3)]),
            |x| {
                let n = x[0].shape().0;
                // three rules: an even number would hide a wrong sign
                (-x[0] - x[0].tape().leaf(&Matrix::identity(n).map(|v| v * T::from_f64(6.0)))).inverse()
            },
            inverse_of_shifted,
        ),
        whole(
            "exp of matrices",
            one_input(&[(1, 1), (0, 4), (3, 1), (2, 4), (1, 9)]),
            |x| x[0].expm_rows(),
            exponentials,
        ),
        whole("transpose", one_input(&[(1, 1), (3, 0), (2, 5)]), |x| x[0].t(), |x| x[0].t()),
    ]
}

fn moves<T: Real>() -> Vec<Case<T>> {
    let pairs = |list: [[Shape; 2]; 4]| Shapes::List(list.map(|p| p.to_vec()).to_vec());
    vec![
        whole(
            "[A B]",
            pairs([[(3, 2), (3, 5)], [(1, 1), (1, 1)], [(3, 0), (3, 2)], [(0, 2), (0, 1)]]),
            |x| x[0].concat_columns(x[1]),
            |x| {
                let left = x[0].cols;
                Grid::from_fn(
                    x[0].rows,
                    left + x[1].cols,
                    |i, j| if j < left { x[0].at(i, j) } else { x[1].at(i, j - left) },
                )
            },
        ),
        whole(
            "A above B",
            pairs([[(2, 3), (5, 3)], [(1, 1), (1, 1)], [(0, 3), (2, 3)], [(2, 0), (1, 0)]]),
            |x| x[0].concat_rows(x[1]),
            |x| {
                let top = x[0].rows;
                Grid::from_fn(
                    top + x[1].rows,
                    x[0].cols,
                    |i, j| if i < top { x[0].at(i, j) } else { x[1].at(i - top, j) },
                )
            },
        ),
        whole(
            "reshape",
            one_input(&[(2, 6), (1, 12), (4, 3), (12, 1)]),
            |x| x[0].reshape(3, 4),
            |x| Grid::from_fn(3, 4, |i, j| x[0].entries[4 * i + j]),
        ),
        whole(
            "columns 1..3",
            one_input(&[(2, 3), (0, 3), (5, 7)]),
            |x| x[0].columns(1..3),
            |x| Grid::from_fn(x[0].rows, 2, |i, j| x[0].at(i, j + 1)),
        ),
        whole(
            "no columns",
            one_input(&[(2, 3)]),
            |x| x[0].columns(1..1),
            |x| Grid::from_fn(x[0].rows, 0, |_, _| c(0.0)),
        ),
        whole(
            "column 2",
            one_input(&[(2, 3), (1, 5)]),
            |x| x[0].column(2),
            |x| Grid::from_fn(x[0].rows, 1, |i, _| x[0].at(i, 2)),
        ),
        whole(
            "rows 1..3",
            one_input(&[(3, 2), (3, 0), (7, 5)]),
            |x| x[0].rows(1..3),
            |x| Grid::from_fn(2, x[0].cols, |i, j| x[0].at(i + 1, j)),
        ),
        whole(
            "pad columns",
            one_input(&[(2, 3), (1, 1), (3, 0), (0, 2)]),
            |x| x[0].pad_columns(2, 6),
            |x| {
                let inside = |j| (2..2 + x[0].cols).contains(&j);
                Grid::from_fn(x[0].rows, 6, |i, j| if inside(j) { x[0].at(i, j - 2) } else { c(0.0) })
            },
        ),
        whole(
            "pad rows",
            one_input(&[(3, 2), (1, 1), (0, 3), (2, 0)]),
            |x| x[0].pad_rows(2, 6),
            |x| {
                let inside = |i| (2..2 + x[0].rows).contains(&i);
                Grid::from_fn(6, x[0].cols, |i, j| if inside(i) { x[0].at(i - 2, j) } else { c(0.0) })
            },
        ),
        whole(
            "gather rows",
            one_input(&[(3, 2), (4, 1), (3, 0)]),
            |x| x[0].gather_rows(&Arc::from(GATHER)),
            |x| Grid::from_fn(GATHER.len(), x[0].cols, |i, j| x[0].at(GATHER[i], j)),
        ),
        whole(
            "scatter rows",
            one_input(&[(4, 2), (4, 1), (4, 0)]),
            |x| x[0].scatter_rows(&Arc::from(GATHER), 5),
            |x| Grid::from_fn(5, x[0].cols, |i, j| total((0..4).filter(|&k| GATHER[k] == i).map(|k| x[0].at(k, j)))),
        ),
    ]
}

/// (-A - 6 I)⁻¹ for entries of A in [-2, 2], by Gauss–Jordan elimination; A + 6 I has dominant diagonals up to 3×3.
fn inverse_of_shifted(x: &[Grid]) -> Grid {
    let n = x[0].rows;
    let mut left = Grid::from_fn(n, n, |i, j| if i == j { -x[0].at(i, j) - c(6.0) } else { -x[0].at(i, j) });
    let mut right = Grid::from_fn(n, n, |i, j| c(if i == j { 1.0 } else { 0.0 }));
    for k in 0..n {
        let (l, r) = (left.clone(), right.clone());
        let eliminated = |old: &Grid| {
            Grid::from_fn(n, n, |i, j| {
                let pivot_row = old.at(k, j) / l.at(k, k);
                if i == k { pivot_row } else { old.at(i, j) - l.at(i, k) * pivot_row }
            })
        };
        (left, right) = (eliminated(&l), eliminated(&r));
    }
    right
}

/// Σ A^k/k! of the matrix in each row by Horner's rule: sides up to 3 and entries in [-2, 2] leave 6^60/60! < 1e-35.
fn exponentials(x: &[Grid]) -> Grid {
    let n = x[0].cols.isqrt();
    let one = |row: usize| {
        let a = Grid::from_fn(n, n, |i, j| x[0].at(row, i * n + j));
        let identity = Grid::from_fn(n, n, |i, j| c(if i == j { 1.0 } else { 0.0 }));
        let step = |sum: Grid, k: usize| a.matmul(&sum).zip(&identity, |s, i| s / c(k as f64) + i);
        (1..60).rev().fold(identity.clone(), step)
    };
    let all: Vec<Grid> = (0..x[0].rows).map(one).collect();
    Grid::from_fn(x[0].rows, n * n, |i, k| all[i].entries[k])
}

/// Messages of the pairs of three particles in the plane with two features: none, one and two configurations.
fn messages<T: Real>() -> Case<T> {
    const SHAPES: [[Shape; 2]; 3] = [[(0, 4), (37, 2)], [(3, 4), (37, 2)], [(6, 4), (37, 2)]];
    let shapes = Shapes::List(SHAPES.map(|s| s.to_vec()).to_vec());
    whole(
        "messages of pairs",
        shapes,
        |x| x[0].pair_messages(x[1], 3, 2),
        |x| {
            let (rows, weights) = (&x[0], &x[1]);
            let square = |i: usize, j: usize| total((0..2).map(|c| rows.at(i, c) - rows.at(j, c)).map(|d| d * d));
            let steeper = |i: usize, j: usize| (((square(i, j) * c(100.0)).ln_1p() * c(-0.5)).exp()) * c(10.0) + c(1.0);
            let message = |i: usize, j: usize| {
                let apart = ln(257.0) / 31.0;
                let bump = |k: usize| {
                    let away = ((square(i, j) * c(4.0)).ln_1p() - c(apart * k as f64)) / c(apart);
                    (away * away * c(-0.5)).exp()
                };
                let first = |f: usize| {
                    let seen = total((0..32).map(|k| bump(k) * weights.at(k, f)));
                    (rows.at(i, 2 + f) + rows.at(j, 2 + f) + seen + weights.at(32, f)).silu()
                };
                let second =
                    |f: usize| (total((0..2).map(|g| first(g) * weights.at(33 + g, f))) + weights.at(35, f)).silu();
                [second(0), second(1)]
            };
            Grid::from_fn(rows.rows, 4, |i, column| {
                let others = (i / 3 * 3..i / 3 * 3 + 3).filter(|&j| j != i);
                total(others.map(|j| {
                    let m = message(i, j);
                    match column {
                        0 | 1 => {
                            let way = m[0] * weights.at(36, 0) + m[1] * weights.at(36, 1);
                            (rows.at(i, column) - rows.at(j, column)) * (way * steeper(i, j))
                        }
                        _ => m[column - 2],
                    }
                }))
            })
        },
    )
}

/// Row numbers with a repetition and out of order.
const GATHER: [usize; 4] = [2, 0, 2, 1];
