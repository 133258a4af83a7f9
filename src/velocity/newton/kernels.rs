//! Half the squared distance of a kernel between a cloud and samples: MMD and the energy distance.

use super::functionals::Functional;
use super::pairs::rows;
use crate::linalg::Matrix;
use crate::num::exp;
use crate::parallel;

/// A radial kernel k(x, y) = κ(|x - y|²).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Radial {
    /// exp(-|x - y|²/(2σ²)), by σ.
    Gaussian(f64),
    /// -|x - y|, whose squared distance is the energy distance.
    Energy,
}

impl Radial {
    /// κ, κ', κ'' at t = |x - y|². Of the energy at t = 0, where it has no derivative, 0: a particle does not push itself.
    fn orders(self, t: f64) -> [f64; 3] {
        match self {
            Radial::Gaussian(sigma) => {
                let slope = -0.5 / (sigma * sigma);
                let k = exp(slope * t);
                [k, slope * k, slope * slope * k]
            }
            Radial::Energy if t == 0.0 => [0.0; 3],
            Radial::Energy => {
                let r = t.sqrt();
                [-r, -0.5 / r, 0.25 / (r * t)]
            }
        }
    }
}

/// F = ½ E_{μ-ν} k = ½ E k(x, x') - E k(x, y) + ½ E k(y, y'), ν the law of samples y: half the squared MMD, or half the energy distance. The
/// energy has no Hessian where two points are at one place; on the line its Hessian is 0 elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Mmd {
    /// The samples of ν, M×d.
    pub samples: Matrix,
    /// k.
    pub kernel: Radial,
}

/// |x - y|².
fn square(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

impl Mmd {
    /// With the kernel exp(-|x - y|²/(2σ²)).
    pub fn gaussian(samples: Matrix, sigma: f64) -> Self {
        Self { samples, kernel: Radial::Gaussian(sigma) }
    }

    /// Half the energy distance.
    pub fn energy(samples: Matrix) -> Self {
        Self { samples, kernel: Radial::Energy }
    }

    fn mean(&self, x: &Matrix, y: &Matrix) -> f64 {
        let sums = parallel::collect(x.iter_rows().collect::<Vec<_>>().into_iter(), |a| {
            y.iter_rows().map(|b| self.kernel.orders(square(a, b))[0]).sum::<f64>()
        });
        sums.iter().sum::<f64>() / (x.rows() * y.rows()) as f64
    }

    /// Σ over pairs of ∇²k (own u_i - u_j); own = 0 leaves what couples particles.
    fn action(&self, x: &Matrix, u: &Matrix, own: f64) -> Matrix {
        rows(x, |i, out| {
            let here = x.row(i);
            for (among, cloud, sign) in [(true, x, 1.0), (false, &self.samples, -1.0)] {
                let share = sign / cloud.rows() as f64;
                for (j, y) in cloud.iter_rows().enumerate() {
                    let [_, slope, bend] = self.kernel.orders(square(here, y));
                    let other = |e: usize| if among { mutant!("newton-own-part", 0.0, u[(j, e)]) } else { 0.0 };
                    let gap = |e: usize| own * u[(i, e)] - other(e);
                    // ∇²k = 2κ' I + 4κ'' z zᵀ, z = x - y
                    let along: f64 = (0..here.len()).map(|e| (here[e] - y[e]) * gap(e)).sum();
                    let (a, b) = (2.0 * share * slope, 4.0 * share * bend * along);
                    (0..here.len()).for_each(|e| out[e] += a * gap(e) + b * (here[e] - y[e]));
                }
            }
        })
    }
}

impl Functional for Mmd {
    fn name(&self) -> &'static str {
        match self.kernel {
            Radial::Gaussian(_) => "mmd",
            Radial::Energy => "energy-distance",
        }
    }
    fn value(&self, x: &Matrix) -> f64 {
        let nu = &self.samples;
        0.5 * (self.mean(x, x) - 2.0 * self.mean(x, nu) + self.mean(nu, nu))
    }
    fn gradient(&self, x: &Matrix) -> Matrix {
        rows(x, |i, out| {
            for (cloud, sign) in [(x, 2.0), (&self.samples, -2.0)] {
                let share = sign / cloud.rows() as f64;
                for y in cloud.iter_rows() {
                    let slope = share * self.kernel.orders(square(x.row(i), y))[1];
                    out.iter_mut().zip(x.row(i).iter().zip(y)).for_each(|(o, (a, b))| *o += slope * (a - b));
                }
            }
        })
    }
    fn hessian(&self, x: &Matrix, u: &Matrix) -> Matrix {
        self.action(x, u, 1.0)
    }
    fn coupling(&self, x: &Matrix, u: &Matrix) -> Matrix {
        self.action(x, u, 0.0)
    }
}
