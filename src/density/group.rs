//! Compact groups of orthogonal maps: finitely many, times one circle of turns.

use crate::density::{Density, MeanFree};
use crate::linalg::{Matrix, dot, matmul};
use crate::num::{cos, sin};
use crate::rng::{Purpose, stream, uniform};
use crate::{Error, Result};
use std::f64::consts::TAU;

/// Largest difference that is taken for rounding.
const ROUNDING: f64 = 1e-9;
/// Most elements besides the turns; those of five particles of the plane.
const MOST: usize = 240;

/// x ↦ exp(θJ) g_k x with k < K and 0 ≤ θ < 2π: the g_k are orthogonal d×d, J is skew with J³ = -J, so that
/// exp(θJ) = I + sin θ J + (1 - cos θ) J² turns a subspace and leaves the rest. Without J, the g_k alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    elements: Vec<Matrix>,
    turn: Option<Matrix>,
}

impl Group {
    /// Of its elements g_k and its generator J of turns.
    ///
    /// `Error::Unsupported` where a g_k is not orthogonal, J is no such generator, or a product of two elements is none, each to 1e-9.
    /// `Error::Dimension` where sizes differ. K ≤ 240; the cost is K² d³ + K³ d².
    pub fn new(elements: Vec<Matrix>, turn: Option<Matrix>) -> Result<Self> {
        let refuse = |what: String, remedy| Err(Error::Unsupported { what, remedy });
        let d = elements.first().map_or(0, Matrix::rows);
        if let Some(m) = elements.iter().chain(&turn).find(|m| m.shape() != (d, d) || d == 0) {
            return Err(Error::Dimension {
                what: "size of an element of a group".into(),
                expected: d,
                found: m.cols(),
            });
        }
        if elements.len() > MOST {
            let what = format!("a group of {} elements besides its turns, more than {MOST}", elements.len());
            return refuse(what, "give a subgroup");
        }
        let group = Self { elements, turn };
        let square = group.turn.as_ref().map(|j| matmul(j, j));
        if let Some(k) = group.elements.iter().position(|g| apart(&matmul(g, &g.transpose()), &Matrix::identity(d))) {
            return refuse(format!("element {} of a group of orthogonal maps is not orthogonal", k + 1), "scale it");
        }
        if let Some(j) = &group.turn {
            let minus = j.map(|v| -v);
            if apart(&minus, &j.transpose()) || square.as_ref().is_some_and(|square| apart(&matmul(square, j), &minus))
            {
                return refuse(
                    "a generator of turns that is not skew with J³ = -J".into(),
                    "scale it to turn by 2π in time 2π",
                );
            }
        }
        for (i, a) in group.elements.iter().enumerate() {
            for (j, b) in group.elements.iter().enumerate() {
                let product = matmul(a, b);
                if !group.elements.iter().any(|g| group.is_a_turn(&matmul(&product, &g.transpose()), square.as_ref())) {
                    return refuse(
                        format!(
                            "maps that are no group: the product of elements {} and {} is none of them",
                            i + 1,
                            j + 1
                        ),
                        "add the products that are missing",
                    );
                }
            }
            // J must go over into ±J, or the turns are no part of the group
            if let Some(j) = &group.turn {
                let moved = matmul(&matmul(a, j), &a.transpose());
                if apart(&moved, j) && apart(&moved, &j.map(|v| -v)) {
                    return refuse(
                        format!("element {} does not keep the turns", i + 1),
                        "take one circle that all elements keep",
                    );
                }
            }
        }
        Ok(group)
    }

    /// The turns exp(tA), a circle: A skew with A³ = -ω² A, so that J = A/ω. `Error::Unsupported` otherwise, to 1e-9 of A.
    pub fn of_turns(a: &Matrix) -> Result<Self> {
        let square = |m: &Matrix| dot(m.as_slice(), m.as_slice());
        let omega = (square(&matmul(a, a)) / square(a)).sqrt();
        Self::new(vec![Matrix::identity(a.rows())], Some(a.map(|v| v / omega)))
    }

    /// Exchanges of n ≤ 5 equal particles of the plane, reflections and turns, on the coordinates of mean-free configurations: 2·n! elements and J.
    ///
    /// `Error::Parameter` for more particles; `Error::Unsupported` outside the plane.
    pub fn of_particles(space: MeanFree) -> Result<Self> {
        if space.particles > 5 {
            let (name, value) = ("number of particles whose permutations are listed".into(), space.particles as f64);
            return Err(Error::Parameter { name, value, expected: "at most 5" });
        }
        if space.dim != 2 {
            let what = format!("turns of particles in {} dimensions: they have more than one axis", space.dim);
            return Err(Error::Unsupported { what, remedy: "use particles of the plane" });
        }
        // the images of the basis of coordinates, as rows
        let basis = space.positions(&Matrix::identity(space.free_dim()));
        let of = |f: &dyn Fn(&[f64], usize) -> [f64; 2]| {
            let image = |x: &[f64]| (0..space.particles).flat_map(|i| f(x, i)).collect::<Vec<f64>>();
            let rows: Vec<f64> = basis.iter_rows().flat_map(image).collect();
            space.coordinates(&Matrix::from_vec(basis.rows(), basis.cols(), rows)).transpose()
        };
        let mut elements = Vec::new();
        for order in permutations(space.particles) {
            for sign in [1.0, -1.0] {
                elements.push(of(&|x, i| [x[2 * order[i]], sign * x[2 * order[i] + 1]]));
            }
        }
        // a group by construction
        Ok(Self { elements, turn: Some(of(&|x, i| [-x[2 * i + 1], x[2 * i]])) })
    }

    /// Of elements in the rows of a matrix (K×d², each row after row), as [`Group::rows`] has them. `Error::Dimension` where d is not that of a
    /// square; otherwise [`Group::new`].
    pub fn of_rows(elements: &Matrix, turn: Option<Matrix>) -> Result<Self> {
        let found = elements.cols();
        let d = found.isqrt();
        if d * d != found {
            return Err(Error::Dimension { what: "numbers of an element of a group".into(), expected: d * d, found });
        }
        Self::new(elements.iter_rows().map(|g| Matrix::from_vec(d, d, g.to_vec())).collect(), turn)
    }

    /// The elements as rows, K×d².
    pub fn rows(&self) -> Matrix {
        let all: Vec<f64> = self.elements.iter().flat_map(|g| g.as_slice().to_vec()).collect();
        Matrix::from_vec(self.elements.len(), self.dim() * self.dim(), all)
    }

    /// `Error::Dimension` where p lives in another dimension.
    pub(crate) fn acts_on(&self, p: &dyn Density) -> Result<()> {
        let (expected, found) = (p.dim(), self.dim());
        if found != expected {
            return Err(Error::Dimension { what: "group of symmetries".into(), expected, found });
        }
        Ok(())
    }

    /// d.
    pub fn dim(&self) -> usize {
        self.elements[0].rows()
    }

    /// g_k.
    pub fn elements(&self) -> &[Matrix] {
        &self.elements
    }

    /// J.
    pub fn turn(&self) -> Option<&Matrix> {
        self.turn.as_ref()
    }

    /// Each row of x by an element of its own, uniform over the group, under the key (`seed`, `block`).   x: n×d.
    pub fn scatter(&self, x: &Matrix, seed: u64, block: u64) -> Matrix {
        let mut out = x.clone();
        let mut rng = stream(seed, Purpose::Group, block);
        for row in out.as_mut_slice().chunks_exact_mut(self.dim()) {
            let k = ((uniform(&mut rng) * self.elements.len() as f64) as usize).min(self.elements.len() - 1);
            let angle = TAU * uniform(&mut rng);
            self.apply(k, angle, row);
        }
        out
    }

    /// x ← exp(θJ) g_k x.
    pub(crate) fn apply(&self, k: usize, angle: f64, x: &mut [f64]) {
        let mapped: Vec<f64> = self.elements[k].iter_rows().map(|g| dot(g, x)).collect();
        x.copy_from_slice(&mapped);
        if let Some(j) = &self.turn {
            let once: Vec<f64> = j.iter_rows().map(|j| dot(j, x)).collect();
            let (s, c) = (sin(angle), 1.0 - cos(angle));
            x.iter_mut().zip(&once).zip(j.iter_rows()).for_each(|((x, o), j)| *x += s * o + c * dot(j, &once));
        }
    }

    /// Whether m = exp(θJ) for some θ.   `square`: J².
    fn is_a_turn(&self, m: &Matrix, square: Option<&Matrix>) -> bool {
        let d = self.dim();
        let (Some(j), Some(square)) = (&self.turn, square) else { return !apart(m, &Matrix::identity(d)) };
        let inner = |a: &Matrix, b: &Matrix| dot(a.as_slice(), b.as_slice());
        let s = inner(m, j) / inner(j, j);
        let c = (inner(m, square) - inner(&Matrix::identity(d), square)) / inner(square, square);
        let mut turn = Matrix::identity(d);
        turn.add_scaled(s, j);
        turn.add_scaled(c, square);
        !apart(m, &turn) && (s * s + (1.0 - c) * (1.0 - c) - 1.0).abs() < ROUNDING
    }
}

fn apart(a: &Matrix, b: &Matrix) -> bool {
    // not <=, so that NaN is apart
    !a.as_slice().iter().zip(b.as_slice()).all(|(a, b)| (a - b).abs() <= ROUNDING)
}

/// All orders of 0..n.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    (0..n).fold(vec![Vec::new()], |all, k| {
        let with = |p: Vec<usize>| {
            (0..=p.len()).map(move |at| {
                let mut longer = p.clone();
                longer.insert(at, k);
                longer
            })
        };
        all.into_iter().flat_map(with).collect()
    })
}
