//! The linear assignment problem, solved exactly by shortest augmenting paths.

use crate::linalg::Matrix;
use crate::linalg::shape_mismatch;
use crate::num::{Kernel, dispatch};

/// A permutation π that minimises Σ_i c_{iπ(i)}, with the prices that prove it.
///
/// The prices are feasible, u_i + v_j ≤ c_ij, and tight on the permutation, u_i + v_π(i) = c_iπ(i), both to rounding; so for any
/// other permutation σ: Σ c_iσ(i) ≥ Σ u + Σ v = Σ c_iπ(i).
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// π(i): n.
    pub columns: Vec<usize>,
    /// Σ_i c_{iπ(i)}.
    pub cost: f64,
    /// u_i: n.
    pub row_prices: Vec<f64>,
    /// v_j: n.
    pub column_prices: Vec<f64>,
}

/// No row or no column yet.
const FREE: usize = usize::MAX;

/// Passes of the row reduction before the searches; Jonker and Volgenant use two.
const REDUCTION_PASSES: usize = 2;

/// The optimal assignment of a finite n×n cost matrix.
///
/// Jonker and Volgenant (1987): column reduction, two passes of augmenting row reduction, then Dijkstra from each row still
/// free. O(n³) at worst; on distances between clouds of 2,000 points about a second. Panics on a matrix that is not square or
/// not finite.
pub fn assign(costs: &Matrix) -> Assignment {
    let n = costs.rows();
    if costs.cols() != n {
        shape_mismatch("assign: a square cost matrix", costs.shape(), (n, n));
    }
    assert!(costs.is_finite(), "assign: a cost is not finite");
    let mut state = Solver { costs, row_of: vec![FREE; n], column_of: vec![FREE; n], v: vec![0.0; n] };
    let mut free = state.reduce_columns();
    for _ in 0..REDUCTION_PASSES {
        free = state.reduce_rows(free);
    }
    let mut search = Search { distance: vec![0.0; n], before: vec![0.0; n], price: vec![0.0; n] };
    free.into_iter().for_each(|row| state.augment(row, &mut search));
    let row_prices: Vec<f64> = (0..n).map(|i| costs[(i, state.column_of[i])] - state.v[state.column_of[i]]).collect();
    let cost = (0..n).map(|i| costs[(i, state.column_of[i])]).sum();
    Assignment { columns: state.column_of, cost, row_prices, column_prices: state.v }
}

/// A partial assignment with column prices v; row prices are implied by tightness.
struct Solver<'a> {
    costs: &'a Matrix,
    row_of: Vec<usize>,
    column_of: Vec<usize>,
    v: Vec<f64>,
}

/// Scratch memory of one search. A settled column has distance +∞ and price -∞, so that no path to it looks shorter.
struct Search {
    /// Reduced length of the shortest path found so far to each open column.
    distance: Vec<f64>,
    /// The row before each column on that path, as an exact f64: the inner loop then has one type and vectorises.
    before: Vec<f64>,
    /// v_j of the open columns.
    price: Vec<f64>,
}

/// distance_j ← min(distance_j, c_j - price_j - shift), noting `row` where that is shorter; returns the least distance.
struct Relax<'a> {
    costs: &'a [f64],
    shift: f64,
    row: f64,
    search: &'a mut Search,
}

/// Minima that run side by side.
const LANES: usize = 16;

impl Kernel for Relax<'_> {
    type Output = f64;
    #[inline(always)]
    fn run<const FMA: bool>(self) -> f64 {
        let n = self.costs.len();
        let Search { distance, before, price } = self.search;
        let (distance, before, price) = (&mut distance[..n], &mut before[..n], &price[..n]);
        for j in 0..n {
            let through = self.costs[j] - price[j] - self.shift;
            let shorter = through < distance[j];
            distance[j] = if shorter { through } else { distance[j] };
            before[j] = if shorter { self.row } else { before[j] };
        }
        let mut least = [f64::INFINITY; LANES];
        let whole = distance.chunks_exact(LANES);
        let rest = whole.remainder();
        for block in whole {
            for lane in 0..LANES {
                least[lane] = if block[lane] < least[lane] { block[lane] } else { least[lane] };
            }
        }
        least.iter().chain(rest).fold(f64::INFINITY, |m, &d| m.min(d))
    }
}

impl Solver<'_> {
    /// v_j ← min_i c_ij, and j goes to that row where the row is still free. Returns the free rows.
    fn reduce_columns(&mut self) -> Vec<usize> {
        let n = self.v.len();
        let mut cheapest = vec![0; n];
        self.v.fill(f64::INFINITY);
        for (i, row) in self.costs.iter_rows().enumerate() {
            for (j, &c) in row.iter().enumerate() {
                if c < self.v[j] {
                    (self.v[j], cheapest[j]) = (c, i);
                }
            }
        }
        for (j, &i) in cheapest.iter().enumerate() {
            if self.column_of[i] == FREE {
                self.link(i, j);
            }
        }
        (0..n).filter(|&i| self.column_of[i] == FREE).collect()
    }

    /// Each free row takes its cheapest column at a price raised to its second choice, driving out the row that had it.
    /// Returns the rows that are free afterwards.
    fn reduce_rows(&mut self, free: Vec<usize>) -> Vec<usize> {
        // without a budget, rows that outbid each other by little make this slower than the searches it saves
        let (mut still_free, mut budget) = (Vec::new(), 2 * self.v.len());
        for start in free {
            let mut row = start;
            loop {
                let [(first, least), (second, next)] = self.two_cheapest(row);
                let lowered = self.v[first] - (next - least);
                let tie = lowered >= self.v[first];
                let strict = !tie && budget > 0;
                // on a tie the second choice is as good, and may be free
                let column = if tie && self.row_of[first] != FREE { second } else { first };
                if strict {
                    self.v[first] = lowered;
                }
                let driven_out = self.row_of[column];
                self.link(row, column);
                match (driven_out, strict) {
                    (FREE, _) => break,
                    (other, true) => (row, budget) = (other, budget - 1),
                    (other, false) => break still_free.push(other),
                }
            }
        }
        still_free
    }

    /// The two columns of least c_ij - v_j for row i, with those values; the second is FREE and +∞ for n = 1.
    fn two_cheapest(&self, i: usize) -> [(usize, f64); 2] {
        let mut best = [(FREE, f64::INFINITY); 2];
        for (j, (c, v)) in self.costs.row(i).iter().zip(&self.v).enumerate() {
            let reduced = c - v;
            if reduced < best[0].1 {
                best = [(j, reduced), best[0]];
            } else if reduced < best[1].1 {
                best[1] = (j, reduced);
            }
        }
        best
    }

    /// i ↔ j; a former partner of j becomes free.
    fn link(&mut self, i: usize, j: usize) {
        if self.row_of[j] != FREE {
            self.column_of[self.row_of[j]] = FREE;
        }
        (self.row_of[j], self.column_of[i]) = (i, j);
    }

    /// Assigns a free row along the shortest augmenting path (Dijkstra on reduced costs), and moves the prices along.
    fn augment(&mut self, start: usize, search: &mut Search) {
        search.distance.fill(f64::INFINITY);
        search.price.copy_from_slice(&self.v);
        let (mut row, mut shift, mut settled) = (start, 0.0, Vec::new());
        let (mut column, reach) = loop {
            let costs = self.costs.row(row);
            let reach = dispatch(Relax { costs, shift, row: row as f64, search });
            let column = self.choose(&search.distance, reach);
            if self.row_of[column] == FREE {
                break (column, reach);
            }
            settled.push((column, reach));
            (search.distance[column], search.price[column]) = (f64::INFINITY, f64::NEG_INFINITY);
            row = self.row_of[column];
            shift = self.costs[(row, column)] - self.v[column] - reach;
        };
        for (j, distance) in settled {
            self.v[j] += distance - reach;
        }
        loop {
            let row = search.before[column] as usize;
            self.row_of[column] = row;
            let next = std::mem::replace(&mut self.column_of[row], column);
            if row == start {
                return;
            }
            column = next;
        }
    }

    /// A column at distance `reach`: a free one where there is one, because that ends the search.
    fn choose(&self, distance: &[f64], reach: f64) -> usize {
        let mut nearest = distance.iter().enumerate().filter(|&(_, &d)| d == reach).map(|(j, _)| j);
        let first = nearest.next().expect("finite costs leave an open column within reach");
        if self.row_of[first] == FREE { first } else { nearest.find(|&j| self.row_of[j] == FREE).unwrap_or(first) }
    }
}
