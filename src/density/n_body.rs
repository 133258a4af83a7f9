//! Particles that act on each other in pairs, on the configurations of mean 0: the double wells DW-4 and the Lennard-Jones clusters.

use crate::density::{Density, MeanFree, rows};
use crate::linalg::Matrix;
use crate::num::{cos, exp, hypot, sin};
use crate::rng::{Stream, uniform};
use std::f64::consts::TAU;

/// log ∫ exp(-E(y)) dy of DW-4: the trapezium rule in relative positions, with Fourier sums for the convolution of two particles about
/// the two others; the same 16 digits at steps 0.1, 0.0625 and 0.05.
const LOG_Z_DW4: f64 = 29.667_232_232_904_28;

/// Added to the square of a distance of the Lennard-Jones clusters.
const SOFTENING: f64 = 1e-6;

/// How two particles act on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    /// v(r) = 0.9 (r - 4)⁴ - 4 (r - 4)²: wells at r = 4 ± 1.4907, of depth 40/9.
    DoubleWell,
    /// v(r) = 2 (s⁻⁶ - 2 s⁻³), s = r² + 1e-6: a well of depth 2 at r = 1.
    LennardJones,
}

impl Pair {
    /// (v, dv/ds) at the square s of a distance.
    fn at(self, s: f64) -> (f64, f64) {
        match self {
            Pair::DoubleWell => {
                let r = s.sqrt();
                let u = r - 4.0;
                // dv/ds = v'(r)/(2r); at r = 0 no direction is left, and the force is 0
                let slope = if r > 0.0 { u * (1.8 * u * u - 4.0) / r } else { 0.0 };
                (u * u * (0.9 * u * u - 4.0), slope)
            }
            Pair::LennardJones => {
                let inverse = 1.0 / (s + SOFTENING);
                let cube = inverse * inverse * inverse;
                (2.0 * cube * (cube - 2.0), 12.0 * inverse * cube * (1.0 - cube))
            }
        }
    }

    /// v alone.
    pub fn energy(self, s: f64) -> f64 {
        self.at(s).0
    }
}

/// log p~(y) = -E(x), E(x) = Σ_{i<j} v(|x_i - x_j|) + ½ c Σ_i |x_i|², x the mean-free configuration with coordinates y ([`MeanFree`]).
///
/// y ∈ R^d, d = (n - 1) k: 6 for DW-4, 36 for LJ-13, 162 for LJ-55. E does not change when particles are exchanged, turned or reflected;
/// E[y · ∇E] = d (the virial) under p. Temperature 1.
///
/// Sources of the constants, as their papers' code and those that compare with them use them: bgflow, `multi_double_well_potential.py`, and
/// iDEM (Akhound-Sadegh et al., ICML 2024), `multi_double_well_energy.py` and `lennardjones_energy.py`, where a sum over ordered pairs counts
/// each pair twice: hence the depth 2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NBody {
    space: MeanFree,
    pair: Pair,
    /// c.
    trap: f64,
}

impl NBody {
    /// Four particles in the plane, double wells in every distance.
    pub fn dw4() -> Self {
        Self { space: MeanFree { particles: 4, dim: 2 }, pair: Pair::DoubleWell, trap: 0.0 }
    }

    /// Thirteen particles in space, Lennard-Jones and a spring to their mean.
    pub fn lj13() -> Self {
        Self::lennard_jones(13)
    }

    /// Fifty-five of them.
    pub fn lj55() -> Self {
        Self::lennard_jones(55)
    }

    fn lennard_jones(particles: usize) -> Self {
        Self { space: MeanFree { particles, dim: 3 }, pair: Pair::LennardJones, trap: 1.0 }
    }

    /// The space of its configurations.
    pub fn space(&self) -> MeanFree {
        self.space
    }

    /// v.
    pub fn pair(&self) -> Pair {
        self.pair
    }

    /// c.
    pub fn trap(&self) -> f64 {
        self.trap
    }

    /// Distances |x_i - x_j|, i < j, of each row.   y: N×d → N×n(n-1)/2.
    pub fn distances(&self, y: &Matrix) -> Matrix {
        let n = self.space.particles;
        let x = self.space.positions(y);
        let pairs = n * (n - 1) / 2;
        let mut out = Matrix::zeros(y.rows(), pairs);
        for (x, out) in x.iter_rows().zip(out.as_mut_slice().chunks_exact_mut(pairs)) {
            let mut k = 0;
            self.for_pairs(x, |_, _, s| {
                out[k] = s.sqrt();
                k += 1;
            });
        }
        out
    }

    /// f(i, j, |x_i - x_j|²) for i < j.
    fn for_pairs(&self, x: &[f64], mut f: impl FnMut(usize, usize, f64)) {
        let k = self.space.dim;
        for i in 0..self.space.particles {
            for j in i + 1..self.space.particles {
                let square = |c: usize| (x[i * k + c] - x[j * k + c]).powi(2);
                f(i, j, (0..k).map(square).sum());
            }
        }
    }

    /// log p~ and its gradient in y, where one is asked for.   x, g: n k, scratch.
    fn at(&self, y: &[f64], x: &mut [f64], g: &mut [f64], score: Option<&mut [f64]>) -> f64 {
        let k = self.space.dim;
        self.space.positions_of(y, x);
        g.iter_mut().zip(x.iter()).for_each(|(g, x)| *g = -self.trap * x);
        let mut energy = if self.trap > 0.0 { 0.5 * self.trap * y.iter().map(|y| y * y).sum::<f64>() } else { 0.0 };
        self.for_pairs(x, |i, j, s| {
            let (v, slope) = self.pair.at(s);
            energy += v;
            for c in 0..k {
                let force = mutant!("pair-force", 1.0, 2.0) * slope * (x[i * k + c] - x[j * k + c]);
                g[i * k + c] -= force;
                g[j * k + c] += force;
            }
        });
        if let Some(score) = score {
            self.space.coordinates_of(g, score);
            if energy == f64::INFINITY {
                score.fill(0.0);
            }
        }
        -energy
    }

    /// What a chunk of rows needs.
    fn scratch(&self) -> [Vec<f64>; 2] {
        [vec![0.0; self.space.positions_dim()], vec![0.0; self.space.positions_dim()]]
    }
}

impl Density for NBody {
    fn dim(&self) -> usize {
        self.space.free_dim()
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        let d = self.dim();
        rows::for_chunks(x, d, out, 1, |y, out| {
            let [mut x, mut g] = self.scratch();
            y.chunks_exact(d).zip(out).for_each(|(y, l)| *l = self.at(y, &mut x, &mut g, None));
        });
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        let d = self.dim();
        rows::evaluate(x, d, log_density, score, |y, out, score| {
            let [mut x, mut g] = self.scratch();
            for ((y, l), score) in y.chunks_exact(d).zip(out).zip(score.chunks_exact_mut(d)) {
                *l = self.at(y, &mut x, &mut g, Some(score));
            }
        });
    }

    fn log_normaliser(&self) -> Option<f64> {
        (self.pair == Pair::DoubleWell).then_some(LOG_Z_DW4)
    }

    /// DW-4 by rejection; a Lennard-Jones cluster has no exact sampler, and [`metropolis`](crate::search::metropolis) stands in for it.
    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        (self.pair == Pair::DoubleWell).then(|| {
            let radii = Radii::new();
            rows::sample(n, self.dim(), seed, |rng, y| {
                let x = loop {
                    if let Some(x) = propose(&radii, rng) {
                        break x;
                    }
                };
                self.space.coordinates_of(&x, y);
            })
        })
    }

    fn n_body(&self) -> Option<&NBody> {
        Some(self)
    }
}

/// Smallest value of the double well.
const WELL: f64 = -40.0 / 9.0;
/// Where it is reached: 4 ± WIDTH, √(20)/3.
const WIDTH: f64 = 1.490_711_984_999_859_6;
/// Distances beyond this have a share of exp(-v + v_min) < 1e-38.
const FARTHEST: f64 = 7.5;
const CELLS: usize = 750;

/// exp(v_min - v(r)): at most 1.
fn share(r: f64) -> f64 {
    exp(WELL - Pair::DoubleWell.energy(r * r))
}

/// Draws r with density proportional to r exp(-v(r)) on [0, FARTHEST]: rejection under a step function.
struct Radii {
    /// Bound of r·share(r) in each cell, and their running sum.
    bounds: Vec<f64>,
    sums: Vec<f64>,
}

impl Radii {
    fn new() -> Self {
        let bound = |k: usize| {
            let (low, high) = (edge(k), edge(k + 1));
            // v falls to its two minima and is largest between them, so within a cell it is least at a minimum or an end
            let inside = |r: f64| low <= r && r <= high;
            let top = if inside(4.0 - WIDTH) || inside(4.0 + WIDTH) { 1.0 } else { share(low).max(share(high)) };
            high * top * (1.0 + 1e-12)
        };
        let bounds: Vec<f64> = (0..CELLS).map(bound).collect();
        let sums = bounds
            .iter()
            .scan(0.0, |sum, b| {
                *sum += b;
                Some(*sum)
            })
            .collect();
        Self { bounds, sums }
    }

    fn draw(&self, rng: &mut Stream) -> f64 {
        loop {
            let at = uniform(rng) * self.sums[CELLS - 1];
            let k = self.sums.partition_point(|s| *s <= at).min(CELLS - 1);
            let r = edge(k) + uniform(rng) * (edge(k + 1) - edge(k));
            if uniform(rng) * self.bounds[k] < r * share(r) {
                return r;
            }
        }
    }
}

fn edge(k: usize) -> f64 {
    FARTHEST * k as f64 / CELLS as f64
}

/// Four positions whose three distances from the first are drawn from their wells at uniform angles, kept with the probability
/// Π exp(v_min - v) over the other three distances: then they have the density exp(-E).
fn propose(radii: &Radii, rng: &mut Stream) -> Option<[f64; 8]> {
    let mut x = [0.0; 8];
    for i in 1..4 {
        let (r, angle) = (radii.draw(rng), TAU * uniform(rng));
        (x[2 * i], x[2 * i + 1]) = (r * cos(angle), r * sin(angle));
        for j in 1..i {
            let r = hypot(x[2 * i] - x[2 * j], x[2 * i + 1] - x[2 * j + 1]);
            if uniform(rng) >= share(r) {
                return None;
            }
        }
    }
    Some(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    /// Checks log Z of DW-4 by the share of proposals that are kept: Z = ¼ (2π ∫ r exp(-v) dr)³ exp(-3 v_min) P(kept), where ¼ = n^(-k/2)
    /// takes positions relative to the first particle to orthonormal ones. |z| < 5 fails by chance in 1 of 1.7e6.
    #[test]
    fn normaliser() {
        let radii = Radii::new();
        let step = 1e-3;
        let plane: f64 = (1..7_500).map(|k| TAU * step * (k as f64 * step) * share(k as f64 * step)).sum();
        let mut rng = stream(5, Purpose::Check, 0);
        let n = 1_000_000;
        let kept = (0..n).filter(|_| propose(&radii, &mut rng).is_some()).count() as f64;
        let share = kept / f64::from(n);
        let log_z = 3.0 * plane.ln() - 6.0 * WELL - 4f64.ln() + share.ln();
        let z = (log_z - LOG_Z_DW4) / ((1.0 - share) / kept).sqrt();
        assert!(z.abs() < 5.0, "{log_z}, kept {share}, z = {z}");
    }

    /// Checks the constants where they are known: the well of a double well, the Lennard-Jones pair at its minimum (-2 for both orders of
    /// the pair together) and at twice the distance, and the spring.
    #[test]
    fn constants() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-4, "{a} {b}");
        near(Pair::DoubleWell.energy((4.0 + WIDTH).powi(2)), WELL);
        near(Pair::DoubleWell.energy(25.0), -3.1);
        near(Pair::LennardJones.energy(1.0), -2.0);
        near(Pair::LennardJones.energy(4.0), 2.0 * (2f64.powi(-12) - 2.0 * 2f64.powi(-6)));
        let apart = Matrix::from_fn(1, 36, |_, j| 1e3 * (j as f64 + 1.0));
        let square: f64 = apart.row(0).iter().map(|y| y * y).sum();
        near(NBody::lj13().log_density(&apart)[0] / square, -0.5);
    }
}
