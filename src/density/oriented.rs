//! A density with symmetries, restricted softly to one of its orientations: as many modes fewer as there are symmetries.

use crate::density::{Density, Group, rows};
use crate::linalg::{Matrix, dot};
use crate::num::{acos, atan2, cos, exp, hypot, ln, ln_bessel0};
use crate::rng::{Purpose, Stream, pick, stream, uniform};
use crate::{Error, Result};
use std::f64::consts::{PI, TAU};
use std::sync::Arc;

/// Points among which a template is looked for.
const CANDIDATES: usize = 256;

/// A partition of unity over a group of symmetries: s(x) = exp⟨a, x⟩ / E_g exp⟨a, g x⟩ with g uniform over the group, so that E_g s(g x) = 1
/// for every template a ∈ R^d.
///
/// If p is invariant, p s has the normaliser of p, and x of that law, moved by a uniform element ([`Group::scatter`]), has law p exactly. At
/// a = 0, s is 1; the longer a is, the more of the mass lies where x is turned towards a, and of the images of a mode one is left.
///
/// With g = exp(θJ) g_k the mean over θ is a Bessel function: E_θ exp⟨a, exp(θJ) y⟩ = exp(u·y) I_0(√((v·y)² + (w·y)²)),
/// u = a + J²a, v = -J²a, w = Jᵀa.
#[derive(Debug, Clone, PartialEq)]
pub struct Orientation {
    group: Arc<Group>,
    template: Vec<f64>,
    /// g_kᵀu, g_kᵀv, g_kᵀw: 3K×d; without turns g_kᵀa, K×d.
    images: Matrix,
}

impl Orientation {
    /// Of a template a (d). `Error::Dimension` where it does not fit the group, `Error::Unsupported` where it is not finite.
    pub fn new(group: impl Into<Arc<Group>>, template: Vec<f64>) -> Result<Self> {
        let group = group.into();
        let d = group.dim();
        if template.len() != d {
            return Err(Error::Dimension {
                what: "template of an orientation".into(),
                expected: d,
                found: template.len(),
            });
        }
        if !template.iter().all(|a| a.is_finite()) {
            let what = format!("a template of an orientation that is not finite: {template:?}");
            return Err(Error::Unsupported { what, remedy: "give finite numbers" });
        }
        let apply = |m: &Matrix, x: &[f64]| -> Vec<f64> { m.iter_rows().map(|row| dot(row, x)).collect() };
        let parts = match group.turn() {
            None => vec![template.clone()],
            Some(j) => {
                let once = apply(j, &template);
                let twice = apply(j, &once);
                let still = template.iter().zip(&twice).map(|(a, t)| a + t).collect();
                vec![still, twice.iter().map(|t| -t).collect(), once.iter().map(|o| -o).collect()]
            }
        };
        let rows = group.elements().iter().flat_map(|g| {
            let back = g.transpose();
            parts.iter().flat_map(|p| apply(&back, p)).collect::<Vec<_>>()
        });
        let images: Vec<f64> = rows.collect();
        Ok(Self { images: Matrix::from_vec(images.len() / d, d, images), group, template })
    }

    /// Towards the least symmetric of the first 256 points (n×d), the one that its images under the group reach least, with the length at which
    /// ⟨a, x⟩ is `sharpness` at a point of that direction whose |x| is the root mean square of all: of turns, most of the mass is then within
    /// some 1/√`sharpness` of it. Errors as [`Orientation::new`].
    pub fn towards(group: &Group, points: &Matrix, sharpness: f64) -> Result<Self> {
        let size = (points.as_slice().iter().map(|v| v * v).sum::<f64>() / points.rows().max(1) as f64).sqrt();
        let group = Arc::new(group.clone());
        let mut best: Option<(f64, Self)> = None;
        for x in points.iter_rows().take(CANDIDATES) {
            let norm = dot(x, x).sqrt().max(f64::MIN_POSITIVE);
            let there: Vec<f64> = x.iter().map(|v| v * size / norm).collect();
            let one = Self::new(Arc::clone(&group), there.iter().map(|v| v * sharpness / (size * size)).collect())?;
            // the larger, the farther its images
            let share = one.log_share(&there, None);
            if best.as_ref().is_none_or(|(most, _)| share > *most) {
                best = Some((share, one));
            }
        }
        best.map_or_else(|| Self::new(Arc::clone(&group), vec![0.0; group.dim()]), |(_, o)| Ok(o))
    }

    /// `Error::Unsupported` where log p~ changes by more than 1e-6 of its spread over the points, or of 1, when a point is moved by a random element, with the point.
    pub fn try_on(group: &Group, p: &dyn Density, points: &Matrix, seed: u64) -> Result<()> {
        let few = points.slice_rows(0..points.rows().min(CANDIDATES));
        let (before, after) = (p.log_density(&few), p.log_density(&group.scatter(&few, seed, 1 << 41)));
        // its constant is arbitrary and counts by its rounding alone
        let finite = before.iter().filter(|l| l.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &l| (a.min(l), b.max(l)));
        let spread = 1e-6 * (1.0 + (high - low).max(0.0));
        for (i, (a, b)) in before.iter().zip(&after).enumerate() {
            // not >, so that NaN is refused
            if !((a - b).abs() <= spread + 1e4 * f64::EPSILON * a.abs() || a == b) {
                let x = few.row(i);
                let what =
                    format!("log p~ changes from {a} to {b} where a symmetry that it is said to have moves x = {x:?}");
                return Err(Error::Unsupported { what, remedy: "correct the symmetries, or leave them out" });
            }
        }
        Ok(())
    }

    /// The group.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// a.
    pub fn template(&self) -> &[f64] {
        &self.template
    }

    /// Each row x by an element g with probability s(g x) among all: of the law p it makes p s.   x: n×d.
    pub fn orient(&self, x: &Matrix, seed: u64) -> Matrix {
        let mut out = x.clone();
        let mut rng = stream(seed, Purpose::Group, 1 << 40);
        out.as_mut_slice().chunks_exact_mut(self.group.dim()).for_each(|row| self.turn(&mut rng, row));
        out
    }

    /// Samples of p s as samples of p, under the key (`seed`, `block`) ([`Group::scatter`]); the same points where there is no orientation.
    pub(crate) fn undone(orientation: Option<&Self>, x: Matrix, seed: u64, block: u64) -> Matrix {
        match orientation {
            Some(o) => o.group.scatter(&x, seed, block),
            None => x,
        }
    }

    /// What each element says of x.
    fn terms(&self, x: &[f64]) -> Vec<Term> {
        let inner: Vec<f64> = self.images.iter_rows().map(|row| dot(row, x)).collect();
        if self.group.turn().is_none() {
            return inner.into_iter().map(|log| Term { log, ..Term::default() }).collect();
        }
        let term = |c: &[f64]| {
            let (log, slope) = ln_bessel0(hypot(c[1], c[2]));
            Term { log: c[0] + log, slope, v: c[1], w: c[2] }
        };
        inner.chunks_exact(3).map(term).collect()
    }

    /// log s(x), and its gradient added to `score` where asked for.
    fn log_share(&self, x: &[f64], score: Option<&mut [f64]>) -> f64 {
        let terms = self.terms(x);
        let (top, weights) = weights(&terms);
        let total: f64 = weights.iter().sum();
        if let Some(score) = score {
            score.iter_mut().zip(&self.template).for_each(|(s, a)| *s += a);
            let each = self.images.rows() / terms.len();
            let shares = terms.iter().zip(weights.iter().map(|e| e / total)).enumerate();
            for (k, (term, share)) in shares.filter(|(_, (_, share))| *share > 0.0) {
                let mut add = |row: usize, by: f64| {
                    score.iter_mut().zip(self.images.row(row)).for_each(|(s, u)| *s -= share * by * u);
                };
                add(each * k, 1.0);
                if each == 3 {
                    add(each * k + 1, term.slope * term.v);
                    add(each * k + 2, term.slope * term.w);
                }
            }
        }
        dot(&self.template, x) - top - ln(total / terms.len() as f64)
    }

    /// x ← g x: an element k by its terms, then an angle of von Mises' law.
    fn turn(&self, rng: &mut Stream, x: &mut [f64]) {
        let terms = self.terms(x);
        let k = pick(rng, &weights(&terms).1);
        let Term { v, w, .. } = terms[k];
        // ⟨a, exp(θJ) y⟩ = const + v·y cos θ + w·y sin θ
        let angle = self.group.turn().map_or(0.0, |_| atan2(w, v) + von_mises(rng, hypot(v, w)));
        self.group.apply(k, angle, x);
    }
}

/// An element g_k at x.
#[derive(Default)]
struct Term {
    /// log E_θ exp⟨a, exp(θJ) g_k x⟩.
    log: f64,
    /// v·g_k x and w·g_k x, and (I_1/I_0)(ρ)/ρ, ρ² the sum of their squares: ∇ log I_0(ρ) = (I_1/I_0)(ρ) ∇ρ. 0 without turns.
    v: f64,
    w: f64,
    slope: f64,
}

/// The largest logarithm, and all terms over it.
fn weights(terms: &[Term]) -> (f64, Vec<f64>) {
    let top = terms.iter().fold(f64::NEG_INFINITY, |m, t| m.max(t.log));
    (top, terms.iter().map(|t| exp(t.log - top)).collect())
}

/// An angle with density ∝ exp(κ cos θ).   Source: Best and Fisher (Applied Statistics, 1979).
fn von_mises(rng: &mut Stream, kappa: f64) -> f64 {
    if kappa < 1e-8 {
        return TAU * uniform(rng);
    }
    let tau = 1.0 + (1.0 + 4.0 * kappa * kappa).sqrt();
    let rho = (tau - (2.0 * tau).sqrt()) / (2.0 * kappa);
    let r = (1.0 + rho * rho) / (2.0 * rho);
    loop {
        let z = cos(PI * uniform(rng));
        let f = (1.0 + r * z) / (r + z);
        let c = kappa * (r - f);
        let u = uniform(rng);
        if c * (2.0 - c) > u || ln(c / u) + 1.0 >= c {
            let angle = acos(f.clamp(-1.0, 1.0));
            return if uniform(rng) < 0.5 { angle } else { -angle };
        }
    }
}

/// log p~(x) + log s(x) of an [`Orientation`]: a density with symmetries, of whose modes one of each orbit is left.
#[derive(Clone)]
pub struct Oriented {
    inner: Arc<dyn Density>,
    orientation: Arc<Orientation>,
}

impl Oriented {
    /// `inner`, which must be invariant under the group. `Error::Dimension` where sizes differ.
    pub fn new(inner: Arc<dyn Density>, orientation: Arc<Orientation>) -> Result<Self> {
        orientation.group.acts_on(&*inner)?;
        Ok(Self { inner, orientation })
    }
}

impl Density for Oriented {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.inner.log_density_into(x, out);
        let d = self.dim();
        rows::for_chunks(x, d, out, 1, |x, out| {
            x.chunks_exact(d).zip(out).for_each(|(x, l)| *l += self.orientation.log_share(x, None));
        });
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.inner.evaluate_into(x, log_density, score);
        let d = self.dim();
        rows::evaluate(x, d, log_density, score, |x, out, score| {
            let rows = x.chunks_exact(d).zip(out).zip(score.chunks_exact_mut(d));
            // outside the support the score stays 0
            rows.filter(|((_, l), _)| **l > f64::NEG_INFINITY)
                .for_each(|((x, l), s)| *l += self.orientation.log_share(x, Some(s)));
        });
    }

    fn wants_whole_batches(&self) -> bool {
        self.inner.wants_whole_batches()
    }

    fn log_normaliser(&self) -> Option<f64> {
        self.inner.log_normaliser()
    }

    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        self.inner.sample(n, seed).map(|x| self.orientation.orient(&x, seed))
    }
}
