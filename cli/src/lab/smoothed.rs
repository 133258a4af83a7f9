//! The smoothed divergence of particles in the plane and its velocity, by quadrature on a grid (T11).

use crate::failure::{Failure, Outcome};
use crate::lab::levels::{Inflow, Levels, View, soft};
use pushforward::density::{Density, evaluate};
use pushforward::divergence::Divergence;
use pushforward::linalg::{Matrix, matmul};
use pushforward::num::{exp, hypot, ln};

/// Cells per bandwidth: the trapezoidal rule errs by 2 exp(-2π² · 0.6^-2) < 1e-23 on a Gaussian of that width.
pub const CELLS: f64 = 1.0 / 0.6;
/// Most cells along a side.
const MOST: usize = 240;
/// How far kernels reach, in bandwidths.
const REACH: f64 = 6.0;
/// Mass of q_h that may lie outside the grid.
const LOST: f64 = 1e-3;
/// Largest h |∇ log r_h| that the drift follows, as in the library (`velocity/universal.rs`; a test of the lab holds it to that).
const LIMIT: f64 = 2.0;
/// Densities below this are none.
const TINY: f64 = 1e-280;

/// p_h = p ∗ N(0, h²I) on a grid, ready to be compared with clouds of particles.
pub struct Smoothed {
    h: f64,
    x: Vec<f64>,
    y: Vec<f64>,
    /// log p_h and its gradient, one row for each y; p_h has mass 1 on the grid.
    log_p: Matrix,
    score: [Matrix; 2],
}

/// F_h and U_h of a cloud, and fields at its particles, N×2 each.
pub struct Lowered {
    /// F_h = D_f(p_h‖q_h), the weight held constant beyond the clip.
    pub value: f64,
    /// V_h(x_i) = E w(r_h) ∇ log r_h (x_i + hξ).
    pub velocity: Matrix,
    /// The same where h |∇ log r_h| is at most `LIMIT`, as the drift follows it.
    pub followed: Matrix,
    /// U_h = E_{p_h} s(log r_h), s = 1/(1 + e^{-(l - τ)}).
    pub under: f64,
    /// V_h^U(x_i) = E r (s' + s'')(log r_h) ∇ log r_h (x_i + hξ): minus N times the gradient of U_h (T17(d)).
    pub response: Matrix,
    on_grid: OnGrid,
}

/// A cloud on the grid.
struct OnGrid {
    /// Kernels of the particles along both axes, N×cells.
    kernels: [Matrix; 2],
    /// q_h, log r_h and its gradient.
    q: Matrix,
    log_ratio: Vec<f64>,
    beta: [Matrix; 2],
    /// w(r_h).
    weights: Vec<f64>,
}

impl Smoothed {
    /// p_h over the box [x.0, x.1] × [y.0, y.1]; fails where the grid would need too many cells, or p is nowhere finite on it.
    pub fn new(density: &dyn Density, x: (f64, f64), y: (f64, f64), h: f64) -> Outcome<Self> {
        Self::with_cells(density, x, y, h, CELLS)
    }

    /// The same with `each` cells in a bandwidth.
    pub fn with_cells(density: &dyn Density, x: (f64, f64), y: (f64, f64), h: f64, each: f64) -> Outcome<Self> {
        let axis = |(low, high): (f64, f64)| -> Outcome<Vec<f64>> {
            let cells = ((high - low) / h * each).ceil();
            if !(2.0..=MOST as f64).contains(&cells) {
                let words = "F_h is not shown: h is too small for a grid over the picture";
                return Err(Failure::input(format!("{words} ({cells} cells of at most {MOST} along a side)")));
            }
            let n = cells as usize + 1;
            Ok((0..n).map(|k| low + (high - low) * k as f64 / (n - 1) as f64).collect())
        };
        let (x, y) = (axis(x)?, axis(y)?);
        let at =
            |x: &[f64], y: &[f64]| Matrix::from_fn(x.len() * y.len(), 2, |i, j| [x[i % x.len()], y[i / x.len()]][j]);
        let (mut log_p, score) = match density.smoothed(h) {
            Some(closed) => {
                let e = evaluate(&*closed, &at(&x, &y))?;
                let column = |j: usize| Matrix::from_fn(y.len(), x.len(), |b, a| e.score[(b * x.len() + a, j)]);
                let (columns, log_p) = ([column(0), column(1)], e.log_density);
                (Matrix::from_vec(y.len(), x.len(), log_p), columns)
            }
            None => blurred(density, &x, &y, h, &at),
        };
        let cell = (x[1] - x[0]) * (y[1] - y[0]);
        let top = log_p.as_slice().iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mass: f64 = log_p.as_slice().iter().map(|l| exp(l - top) * cell).sum();
        if !(mass > 0.0 && mass.is_finite()) {
            return Err(Failure::input("F_h is not shown: the target has no finite density in the picture"));
        }
        log_p.as_mut_slice().iter_mut().for_each(|l| *l -= top + ln(mass));
        Ok(Self { h, x, y, log_p, score })
    }

    /// What is known of the cloud `points` (N×2); None where more than a thousandth of q_h lies outside the grid.
    pub fn at(&self, points: &Matrix, view: View) -> Option<Lowered> {
        let View { divergence, clip, level } = view;
        let n = points.rows() as f64;
        let (ax, bx) = self.kernels(&self.x, points, 0);
        let (ay, by) = self.kernels(&self.y, points, 1);
        let product = |y: &Matrix, x: &Matrix| matmul(&y.transpose(), x).map(|v| v / n);
        let (q, qx, qy) = (product(&ay, &ax), product(&ay, &bx), product(&by, &ax));
        let cell = self.cell();
        let inside = q.as_slice().iter().sum::<f64>() * cell;
        if (inside - 1.0).abs() > LOST {
            return None;
        }
        let log_ratio: Vec<f64> =
            self.log_p.as_slice().iter().zip(q.as_slice()).map(|(l, q)| l - ln(q.max(TINY))).collect();
        let mean = log_ratio.iter().zip(q.as_slice()).map(|(l, q)| l * q * cell).sum::<f64>();
        let own = divergence.centred(mean);
        let f = own.as_deref().unwrap_or(divergence);
        let (mut value, mut under) = (0.0, 0.0);
        let zeros = || [0, 1].map(|_| Matrix::zeros(q.rows(), q.cols()));
        let (mut raw, mut short, mut slope, mut beta) = (zeros(), zeros(), zeros(), zeros());
        let weights: Vec<f64> = log_ratio.iter().map(|l| f.weight(l.clamp(-clip, clip))).collect();
        for (k, &l) in log_ratio.iter().enumerate() {
            let (p, q) = (exp(self.log_p.as_slice()[k]), q.as_slice()[k]);
            let (s, response) = soft(level, l);
            value += lowered(f, clip, l, p, q) * cell;
            under += p * s * cell;
            if q > TINY {
                let b = [0, 1].map(|j| self.score[j].as_slice()[k] - [&qx, &qy][j].as_slice()[k] / q);
                let part = (LIMIT / (self.h * hypot(b[0], b[1]))).min(1.0);
                let w = weights[k] * cell;
                for j in 0..2 {
                    beta[j].as_mut_slice()[k] = b[j];
                    raw[j].as_mut_slice()[k] = w * b[j];
                    short[j].as_mut_slice()[k] = w * b[j] * part;
                    slope[j].as_mut_slice()[k] = response * b[j] * cell;
                }
            }
        }
        // φ_h ∗ u at the particles
        let smooth = |u: &[Matrix; 2]| {
            let rows = [0, 1].map(|j| matmul(&ay, &u[j]));
            let dot = |i: usize, j: usize| rows[j].row(i).iter().zip(ax.row(i)).map(|(a, b)| a * b).sum::<f64>();
            Matrix::from_fn(points.rows(), 2, dot)
        };
        let (velocity, followed, response) = (smooth(&raw), smooth(&short), smooth(&slope));
        let on_grid = OnGrid { kernels: [ax, ay], q, log_ratio, beta, weights };
        Some(Lowered { value, velocity, followed, under, response, on_grid })
    }

    fn cell(&self) -> f64 {
        (self.x[1] - self.x[0]) * (self.y[1] - self.y[0])
    }

    /// What flows through `levels` in a unit of time, where the cloud `before` became that `after` in a step that moved particle i by `dt`
    /// times row i of `speed`.
    pub fn inflow(&self, levels: Levels, (before, after): (&Lowered, &Lowered), speed: &Matrix, dt: f64) -> Inflow {
        let (OnGrid { kernels: [ax, ay], q, log_ratio, beta, weights }, cell) = (&before.on_grid, self.cell());
        let weighted = |m: &dyn Fn(usize) -> f64| -> Vec<(f64, f64)> {
            log_ratio.iter().enumerate().map(|(k, &l)| (l, m(k) * cell)).collect()
        };
        let square = |k: usize| beta.iter().map(|b| b.as_slice()[k].powi(2)).sum::<f64>() * q.as_slice()[k];
        let density = |m: &dyn Fn(usize) -> f64| levels.density(weighted(m).into_iter());
        let n = ax.rows() as f64;
        // ∫ J·β s_k'(l) for the flux J = (1/N) Σ φ_h(· - x_i) v_i of velocities v
        let flux = |v: &Matrix| {
            let along = [0, 1].map(|j| {
                let mut rows = ax.clone();
                rows.as_mut_slice().chunks_exact_mut(ax.cols()).zip(v.iter_rows()).for_each(|(row, v)| {
                    row.iter_mut().for_each(|a| *a *= v[j] / n);
                });
                matmul(&ay.transpose(), &rows)
            });
            density(&|k| (0..2).map(|j| along[j].as_slice()[k] * beta[j].as_slice()[k]).sum())
        };
        let change = weighted(&|k| (after.on_grid.q.as_slice()[k] - q.as_slice()[k]) / dt);
        let near = |_: usize| levels.width() / cell;
        Inflow {
            measured: levels.above(change.into_iter()),
            taken: flux(speed),
            beside: flux(&before.followed),
            stated: density(&|k| weights[k] * square(k)),
            threshold: levels.threshold(&density(&square), &density(&near)),
        }
    }

    /// φ_h(grid - x_i) along one axis, N×cells, and its derivative in the grid point.
    fn kernels(&self, grid: &[f64], points: &Matrix, column: usize) -> (Matrix, Matrix) {
        let (n, h) = (points.rows(), self.h);
        let (mut a, mut b) = (Matrix::zeros(n, grid.len()), Matrix::zeros(n, grid.len()));
        let (step, scale) = (grid[1] - grid[0], 1.0 / (h * std::f64::consts::TAU.sqrt()));
        for i in 0..n {
            let x = points[(i, column)];
            let near = |at: f64| ((at - grid[0]) / step).clamp(0.0, grid.len() as f64) as usize;
            for k in near(x - REACH * h)..near(x + REACH * h + step) {
                let z = (grid[k] - x) / h;
                a[(i, k)] = scale * exp(-0.5 * z * z);
                b[(i, k)] = -z / h * a[(i, k)];
            }
        }
        (a, b)
    }
}

/// log p_h and its gradient by a sum over a grid of half the spacing.
fn blurred(
    density: &dyn Density,
    x: &[f64],
    y: &[f64],
    h: f64,
    at: &dyn Fn(&[f64], &[f64]) -> Matrix,
) -> (Matrix, [Matrix; 2]) {
    let fine = |v: &[f64]| -> Vec<f64> {
        let half = 0.5 * (v[1] - v[0]);
        (0..2 * v.len() - 1).map(|k| v[0] + half * k as f64).collect()
    };
    let (fx, fy) = (fine(x), fine(y));
    let log_p = density.log_density(&at(&fx, &fy));
    let finite = |l: &f64| l.is_finite();
    let top = log_p.iter().copied().filter(finite).fold(f64::NEG_INFINITY, f64::max);
    let p: Vec<f64> = log_p.iter().map(|l| if l.is_finite() { exp(l - top) } else { 0.0 }).collect();
    let p = Matrix::from_vec(fy.len(), fx.len(), p);
    let kernel = |to: &[f64], from: &[f64]| {
        Matrix::from_fn(to.len(), from.len(), |a, b| exp(-0.5 * ((to[a] - from[b]) / h).powi(2)))
    };
    let slope = |to: &[f64], from: &[f64], k: &Matrix| {
        Matrix::from_fn(to.len(), from.len(), |a, b| -(to[a] - from[b]) / (h * h) * k[(a, b)])
    };
    let (kx, ky) = (kernel(x, &fx), kernel(y, &fy));
    let both = |ky: &Matrix, kx: &Matrix| matmul(&matmul(ky, &p), &kx.transpose());
    let sum = both(&ky, &kx);
    let over = |part: Matrix| Matrix::from_fn(y.len(), x.len(), |b, a| part[(b, a)] / sum[(b, a)].max(TINY));
    let score = [over(both(&ky, &slope(x, &fx, &kx))), over(both(&slope(y, &fy, &ky), &kx))];
    (sum.map(|s| ln(s.max(TINY))), score)
}

/// q f(p/q) for densities p and q with log p/q = l, where w is held constant beyond |l| = `clip`.
///
/// Beyond L = ±clip, f'' = w(L)/u²: f(u) = f(U) + f'(U)(u - U) + w(L) ((u - U)/U - log(u/U)), U = e^L.
pub fn lowered(f: &dyn Divergence, clip: f64, l: f64, p: f64, q: f64) -> f64 {
    let end = l.clamp(-clip, clip);
    if end == l {
        return q * f.f(l);
    }
    let (w, df) = (f.weight(end), f.u_df(end));
    q * (f.f(end) - df - w * (1.0 + l - end)) + p * exp(-end) * (df + w)
}
