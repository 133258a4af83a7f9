//! Jumps and kinks of a log-density: along segments through the mass, each increment of log p~ is set against the trapezoid of the score.
//!
//! e = |log p~(b) - log p~(a) - ½ (b - a)·(s(a) + s(b))| of a piece [a, b] falls with its length h as h³ where log p~ is smooth, as h
//! where the score jumps (a kink), and not at all where log p~ jumps. The most suspicious piece of each segment is halved again and
//! again, the half with the larger e kept, and the order of e tells which of the three it is.

use pushforward::density::Affine;
use pushforward::density::Density;
use pushforward::linalg::Matrix;
use pushforward::num::{fit_line, log2};
use pushforward::rng::{Purpose, normal_matrix};

/// Segments, and pieces of each.
const SEGMENTS: usize = 256;
const PIECES: usize = 32;
/// Points at which the ends of all pieces are looked at.
pub const SEGMENT_POINTS: usize = SEGMENTS * (PIECES + 1);
/// Halvings of a piece: its length ends at 2^-30 of a segment.
const HALVINGS: usize = 25;
/// e is rounding below this, in units of 1 + |log p~|.
const ROUNDING: f64 = 1e-10;
/// Jumps below this, in the same units, matter to no sampler.
const SMALLEST: f64 = 1e-6;
/// Orders below which e belongs to a jump (0) and to a kink (1); a smooth function has 3.
const JUMP: f64 = 0.5;
const KINK: f64 = 1.6;
/// Halvings over which the order is read, and the fewest that show one.
const READ: usize = 8;
const FEWEST: usize = 4;

/// What a piece of a segment is.
#[derive(Debug, Clone, PartialEq)]
pub struct Discontinuity {
    /// Where, in the coordinates of the density.
    pub x: Vec<f64>,
    /// The observed order of e: near 0 for a jump, near 1 for a kink.
    pub order: f64,
    /// Height of a jump, in nats; of a kink the jump of the slope along the segment, in nats per unit.
    pub size: f64,
}

impl Discontinuity {
    /// Whether log p~ itself jumps.
    pub fn is_jump(&self) -> bool {
        self.order < JUMP
    }
}

/// Values and scores at points.
struct Values {
    x: Matrix,
    l: Vec<f64>,
    s: Matrix,
}

impl Values {
    fn at(p: &dyn Density, x: Matrix) -> Self {
        let (mut l, mut s) = (vec![0.0; x.rows()], Matrix::zeros(x.rows(), x.cols()));
        p.evaluate_into(&x, &mut l, &mut s);
        Self { x, l, s }
    }

    /// e between point i of this and point j of `other`; None where one of the two has no value.
    fn defect(&self, i: usize, other: &Self, j: usize) -> Option<f64> {
        let pair = self.x.row(i).iter().zip(other.x.row(j)).zip(self.s.row(i).iter().zip(other.s.row(j)));
        let trapezoid: f64 = pair.map(|((a, b), (sa, sb))| 0.5 * (b - a) * (sa + sb)).sum();
        let e = (other.l[j] - self.l[i] - trapezoid).abs();
        e.is_finite().then_some(e)
    }
}

/// A piece under halving: its ends, and e of each length so far.
struct Piece {
    ends: [usize; 2],
    errors: Vec<f64>,
}

/// Where log p~ jumps or has a kink, the largest jump first, then the largest kink; empty where it seems smooth.
pub fn discontinuities(p: &dyn Density, frame: &Affine, seed: u64) -> Vec<Discontinuity> {
    let d = p.dim();
    let ends = frame.restore(&normal_matrix::<f64>(seed, Purpose::Check, 4, 2 * SEGMENTS, d));
    let inner = |k: usize, i: usize, j: usize| {
        let t = i as f64 / PIECES as f64;
        (1.0 - t) * ends[(2 * k, j)] + t * ends[(2 * k + 1, j)]
    };
    let along = PIECES + 1;
    let points = Matrix::from_fn(SEGMENTS * along, d, |row, j| inner(row / along, row % along, j));
    let values = Values::at(p, points);
    let pieces: Vec<Piece> = (0..SEGMENTS).filter_map(|k| suspicious(&values, k * along)).collect();
    if pieces.is_empty() {
        return Vec::new();
    }
    let mut found = halved(p, values, pieces);
    found.sort_by(|a, b| b.is_jump().cmp(&a.is_jump()).then(b.size.total_cmp(&a.size)));
    found
}

/// The pair of neighbouring pieces of a segment whose e falls least when it is halved, among those above rounding; smooth pairs lose three
/// quarters, summed over both halves.
fn suspicious(values: &Values, first: usize) -> Option<Piece> {
    let mut best: Option<(f64, Piece)> = None;
    for k in (first..first + PIECES).step_by(2) {
        let (Some(whole), Some(left), Some(right)) =
            (values.defect(k, values, k + 2), values.defect(k, values, k + 1), values.defect(k + 1, values, k + 2))
        else {
            continue;
        };
        let rounding = ROUNDING * (1.0 + values.l[k].abs());
        let kept = (left + right).max(rounding) / whole.max(rounding);
        if left.max(right) > rounding && best.as_ref().is_none_or(|b| kept > b.0) {
            best = Some((kept, Piece { ends: [k, k + 2], errors: Vec::new() }));
        }
    }
    best.map(|b| b.1)
}

/// Halves all pieces together, a batch of middles a time, and reads their orders.
fn halved(p: &dyn Density, start: Values, mut pieces: Vec<Piece>) -> Vec<Discontinuity> {
    let ends: Vec<usize> = pieces.iter().flat_map(|piece| piece.ends).collect();
    // ends of piece k in rows 2k and 2k + 1
    let mut values = Values {
        x: start.x.gather_rows(&ends),
        l: ends.iter().map(|&i| start.l[i]).collect(),
        s: start.s.gather_rows(&ends),
    };
    let d = values.x.cols();
    for _ in 0..HALVINGS {
        let x = Matrix::from_fn(pieces.len(), d, |k, j| 0.5 * (values.x[(2 * k, j)] + values.x[(2 * k + 1, j)]));
        let middle = Values::at(p, x);
        for (k, piece) in pieces.iter_mut().enumerate() {
            let (left, right) = (values.defect(2 * k, &middle, k), middle.defect(k, &values, 2 * k + 1));
            let (Some(left), Some(right)) = (left, right) else { continue };
            piece.errors.push(left.max(right));
            let moved = if left > right { 2 * k + 1 } else { 2 * k };
            values.l[moved] = middle.l[k];
            values.x.row_mut(moved).copy_from_slice(middle.x.row(k));
            values.s.row_mut(moved).copy_from_slice(middle.s.row(k));
        }
    }
    pieces.iter().enumerate().filter_map(|(k, piece)| read(&values, k, piece)).collect()
}

/// The order of e over the last halvings above rounding; None where it is that of a smooth function, or cannot be read.
fn read(values: &Values, k: usize, piece: &Piece) -> Option<Discontinuity> {
    let rounding = ROUNDING * (1.0 + values.l[2 * k].abs());
    let above = piece.errors.iter().take_while(|e| **e > rounding).count();
    if above < FEWEST {
        return None;
    }
    let last = above.saturating_sub(READ)..above;
    let x: Vec<f64> = last.clone().map(|i| -(i as f64)).collect();
    let y: Vec<f64> = piece.errors[last].iter().map(|e| log2(*e)).collect();
    let order = fit_line(&x, &y).ok()?.slope;
    let gap = |m: &Matrix| -> f64 {
        m.row(2 * k).iter().zip(m.row(2 * k + 1)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    };
    let jump = order < JUMP;
    let size = if jump { *piece.errors.last()? } else { gap(&values.s) };
    let seen = if jump { size > SMALLEST.max(rounding) } else { order < KINK };
    seen.then(|| Discontinuity { x: values.x.row(2 * k).to_vec(), order, size })
}
