//! A density with symmetries, restricted softly to one of its orientations: as many modes fewer as there are symmetries.

use crate::density::{Density, Group};
use crate::linalg::{Matrix, dot};
use crate::num::{acos, atan2, bessel_ratio, cos, exp, hypot, ln, ln_bessel0};
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
    group: Group,
    template: Vec<f64>,
    /// g_kᵀu, g_kᵀv, g_kᵀw: 3K×d; without turns g_kᵀa, K×d.
    images: Matrix,
}

impl Orientation {
    /// Of a template a (d). `Error::Dimension` where it does not fit the group, `Error::Unsupported` where it is not finite.
    pub fn new(group: Group, template: Vec<f64>) -> Result<Self> {
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
        let mut best: Option<(f64, Self)> = None;
        for x in points.iter_rows().take(CANDIDATES) {
            let norm = dot(x, x).sqrt().max(f64::MIN_POSITIVE);
            let there: Vec<f64> = x.iter().map(|v| v * size / norm).collect();
            let one = Self::new(group.clone(), there.iter().map(|v| v * sharpness / (size * size)).collect())?;
            // the larger, the farther its images
            let share = one.log_share(&there, None);
            if best.as_ref().is_none_or(|(most, _)| share > *most) {
                best = Some((share, one));
            }
        }
        best.map_or_else(|| Self::new(group.clone(), vec![0.0; group.dim()]), |(_, o)| Ok(o))
    }

    /// `Error::Unsupported` where log p~ changes by more than 1e-6 of its size when a point is moved by a random element, with the point.
    pub fn try_on(group: &Group, p: &dyn Density, points: &Matrix, seed: u64) -> Result<()> {
        let few = points.slice_rows(0..points.rows().min(CANDIDATES));
        let (before, after) = (p.log_density(&few), p.log_density(&group.scatter(&few, seed, 1 << 41)));
        for (i, (a, b)) in before.iter().zip(&after).enumerate() {
            // not >, so that NaN is refused
            if !((a - b).abs() <= 1e-6 * (1.0 + a.abs()) || a == b) {
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

    /// log E_θ exp⟨a, exp(θJ) g_k x⟩ of each k, and (v·g_k x, w·g_k x).
    fn terms(&self, x: &[f64]) -> (Vec<f64>, Vec<[f64; 2]>) {
        let inner: Vec<f64> = self.images.iter_rows().map(|row| dot(row, x)).collect();
        if self.group.turn().is_none() {
            return (inner, Vec::new());
        }
        let turns: Vec<[f64; 2]> = inner.chunks_exact(3).map(|c| [c[1], c[2]]).collect();
        let logs = inner.chunks_exact(3).map(|c| c[0] + ln_bessel0(hypot(c[1], c[2]))).collect();
        (logs, turns)
    }

    /// log s(x), and its gradient added to `score` where asked for.
    fn log_share(&self, x: &[f64], score: Option<&mut [f64]>) -> f64 {
        let (mut logs, turns) = self.terms(x);
        let top = logs.iter().fold(f64::NEG_INFINITY, |m, l| m.max(*l));
        logs.iter_mut().for_each(|l| *l = exp(*l - top));
        let total: f64 = logs.iter().sum();
        if let Some(score) = score {
            score.iter_mut().zip(&self.template).for_each(|(s, a)| *s += a);
            let each = if turns.is_empty() { 1 } else { 3 };
            for (k, share) in logs.iter().enumerate().map(|(k, e)| (k, e / total)).filter(|(_, s)| *s > 0.0) {
                let mut add = |row: usize, by: f64| {
                    score.iter_mut().zip(self.images.row(row)).for_each(|(s, u)| *s -= share * by * u);
                };
                add(each * k, 1.0);
                if let Some([v, w]) = turns.get(k) {
                    // ∇ log I_0(ρ) = (I_1/I_0)(ρ) ∇ρ, ρ² = (v·y)² + (w·y)²
                    let slope = bessel_ratio(hypot(*v, *w));
                    add(each * k + 1, slope * v);
                    add(each * k + 2, slope * w);
                }
            }
        }
        dot(&self.template, x) - top - ln(total / logs.len() as f64)
    }

    /// x ← g x: an element k by its terms, then an angle of von Mises' law.
    fn turn(&self, rng: &mut Stream, x: &mut [f64]) {
        let (mut logs, turns) = self.terms(x);
        let top = logs.iter().fold(f64::NEG_INFINITY, |m, l| m.max(*l));
        logs.iter_mut().for_each(|l| *l = exp(*l - top));
        let k = pick(rng, &logs);
        // ⟨a, exp(θJ) y⟩ = const + v·y cos θ + w·y sin θ
        let angle = turns.get(k).map_or(0.0, |[v, w]| atan2(*w, *v) + von_mises(rng, hypot(*v, *w)));
        self.group.apply(k, angle, x);
    }
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
        let (expected, found) = (inner.dim(), orientation.group.dim());
        if found != expected {
            return Err(Error::Dimension { what: "group of symmetries".into(), expected, found });
        }
        Ok(Self { inner, orientation })
    }
}

impl Density for Oriented {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.inner.log_density_into(x, out);
        x.iter_rows().zip(out).for_each(|(x, l)| *l += self.orientation.log_share(x, None));
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.inner.evaluate_into(x, log_density, score);
        let d = self.dim();
        let rows = x.iter_rows().zip(log_density).zip(score.as_mut_slice().chunks_exact_mut(d));
        // outside the support the score stays 0
        rows.filter(|((_, l), _)| **l > f64::NEG_INFINITY)
            .for_each(|((x, l), s)| *l += self.orientation.log_share(x, Some(s)));
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
