use super::pair::vector;
use super::window::Scene;
use super::{Pair, Vector};
use crate::linalg::Matrix;
use crate::num::{GaussLegendre, acos, cos, hypot, sin};

/// G_χ as a measure: levels λ_j with masses g_j, ∫ k(λ) G_χ(λ) dλ ≈ Σ_j k(λ_j) g_j. Found from level sets, not from volumes.
pub(super) struct LevelSets {
    /// (λ_j, g_j).
    pub masses: Vec<(f64, f64)>,
}

impl LevelSets {
    /// ∫ k G_χ.
    pub fn integrate(&self, k: impl Fn(f64) -> f64) -> f64 {
        self.masses.iter().map(|(level, mass)| k(*level) * mass).sum()
    }

    /// On the line: between neighbouring critical points of l each level has one root. λ = middle - half·cos θ takes away the square roots
    /// of G at both ends; 16 Gauss–Legendre points in θ for each piece of a branch that is no longer than half the finest component, so
    /// that pieces are short where the root moves quickly.
    pub fn on_the_line(scene: &Scene) -> Self {
        let rule = GaussLegendre::new(16);
        let mut masses = Vec::new();
        for (a, b) in branches(scene) {
            let (low, high) = (log_ratio(&scene.pair, a), log_ratio(&scene.pair, b));
            let (middle, half) = (0.5 * (low + high), 0.5 * (high - low));
            let pieces = (2.0 * (b - a) / scene.pair.finest()).ceil().max(1.0);
            let theta = |x: f64| acos(((middle - log_ratio(&scene.pair, x)) / half).clamp(-1.0, 1.0));
            let cuts: Vec<f64> = (0..=pieces as usize).map(|k| theta(a + (b - a) * k as f64 / pieces)).collect();
            for (theta, weight) in cuts.windows(2).flat_map(|cut| rule.points(cut[0], cut[1])) {
                let level = middle - half * cos(theta);
                let root = root(&scene.pair, level, a, b);
                masses.push((level, half.abs() * sin(theta) * weight * density(scene, &[root])));
            }
        }
        Self { masses }
    }

    /// In the plane: marching triangles on n×n cells, l and χ q|β| linear on each triangle. Error O(1/n²).
    pub fn in_the_plane(scene: &Scene, n: usize, levels: &[f64]) -> Self {
        let reach = 2.45 * scene.window.radius;
        let step = 2.0 * reach / n as f64;
        let corner = [scene.window.centre[0] - reach, scene.window.centre[1] - reach];
        let nodes = Matrix::from_fn((n + 1) * (n + 1), 2, |i, j| {
            corner[j] + step * (if j == 0 { i / (n + 1) } else { i % (n + 1) }) as f64
        });
        let at = scene.pair.at(&nodes);
        let value = |i: usize| (at.l(i), scene.window.at(nodes.row(i)).0 * at.q(i) * at.beta2(i).sqrt());
        let vertices: Vec<(Vector, f64, f64)> = (0..nodes.rows())
            .map(|i| {
                let (l, g) = value(i);
                (vector(nodes.row(i)), l, g)
            })
            .collect();
        let gap = levels[1] - levels[0];
        let mut masses: Vec<(f64, f64)> = levels.iter().map(|l| (*l, 0.0)).collect();
        for cell in (0..n * n).map(|k| k / n * (n + 1) + k % n) {
            let [a, b, c, d] = [cell, cell + 1, cell + n + 1, cell + n + 2].map(|i| vertices[i]);
            for triangle in [[a, b, c], [b, c, d]] {
                let bounds =
                    triangle.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |m, v| (m.0.min(v.1), m.1.max(v.1)));
                let first = ((bounds.0 - levels[0]) / gap).ceil().max(0.0) as usize;
                for mass in masses.iter_mut().skip(first).take_while(|m| m.0 < bounds.1) {
                    mass.1 += gap * cut(&triangle, mass.0);
                }
            }
        }
        Self { masses }
    }
}

/// ∫ g dS over the part of {l = λ} in a triangle with linear l and g.
fn cut(triangle: &[(Vector, f64, f64); 3], level: f64) -> f64 {
    let mut ends = [([0.0; 2], 0.0); 2];
    let mut found = 0;
    for k in 0..3 {
        let (a, b) = (&triangle[k], &triangle[(k + 1) % 3]);
        if (a.1 < level) != (b.1 < level) && found < 2 {
            let t = (level - a.1) / (b.1 - a.1);
            ends[found] = ([a.0[0] + t * (b.0[0] - a.0[0]), a.0[1] + t * (b.0[1] - a.0[1])], a.2 + t * (b.2 - a.2));
            found += 1;
        }
    }
    let length = hypot(ends[0].0[0] - ends[1].0[0], ends[0].0[1] - ends[1].0[1]);
    if found == 2 { 0.5 * length * (ends[0].1 + ends[1].1) } else { 0.0 }
}

/// l at a point of the line.
pub(super) fn log_ratio(pair: &Pair, x: f64) -> f64 {
    pair.at(&Matrix::filled(1, 1, x)).l(0)
}

/// χ q |β| at a point.
pub(super) fn density(scene: &Scene, x: &[f64]) -> f64 {
    let at = scene.pair.at(&Matrix::from_vec(1, x.len(), x.to_vec()));
    scene.window.at(x).0 * at.q(0) * at.beta2(0).sqrt()
}

/// The intervals of the window's box on which l is monotone.
pub(super) fn branches(scene: &Scene) -> Vec<(f64, f64)> {
    let (x, nodes) = (&scene.grid.nodes, &scene.nodes);
    let slope = |y: f64| scene.pair.at(&Matrix::filled(1, 1, y)).beta(0)[0];
    let last = x.rows() - 1;
    let mut ends = vec![x[(0, 0)]];
    for i in 0..last {
        if nodes.beta(i)[0] * nodes.beta(i + 1)[0] < 0.0 {
            ends.push(bisect(slope, x[(i, 0)], x[(i + 1, 0)]));
        }
    }
    ends.push(x[(last, 0)]);
    ends.windows(2).map(|w| (w[0], w[1])).collect()
}

/// The root of l = λ between a and b.
pub(super) fn root(pair: &Pair, level: f64, a: f64, b: f64) -> f64 {
    bisect(|x| log_ratio(pair, x) - level, a, b)
}

/// Bisection to the last bit.
fn bisect(g: impl Fn(f64) -> f64, mut a: f64, mut b: f64) -> f64 {
    let negative = g(a) < 0.0;
    for _ in 0..60 {
        let middle = 0.5 * (a + b);
        if (g(middle) < 0.0) == negative {
            a = middle;
        } else {
            b = middle;
        }
    }
    0.5 * (a + b)
}
