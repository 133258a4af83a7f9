//! The step on code probabilities that ships, [`Latent::react`], on a finite space where every mean is exact.

use super::Case;
use crate::model::Latent;
use crate::num::{exp, ln};
use crate::rng::{fill_normal, fill_uniform};
use crate::velocity::{LogRatioClip, growth};
use crate::verify::{Comparison, Draw, Ladder, Outcome};

/// Points of the space and images of codes.
const POINTS: usize = 7;
const CODES: usize = 3;
/// Copies of points that make up an image: q_k is uniform over them, so that images overlap and batch means are exact.
const COPIES: usize = 5;

/// p on seven points, codes with overlapping images, and logits.
struct Space {
    p: Vec<f64>,
    images: Vec<Vec<usize>>,
    logits: Vec<f64>,
}

impl Space {
    fn random(draw: &Draw) -> Self {
        let mut rng = draw.stream(3);
        let mut u = vec![0.0f64; POINTS + CODES * COPIES];
        fill_uniform(&mut rng, &mut u);
        let p: Vec<f64> = u[..POINTS].iter().map(|u| u + 0.2).collect();
        let total: f64 = p.iter().sum();
        // image k holds point 2k surely, and four others of any place
        let place =
            |k: usize, c: usize| if c == 0 { 2 * k } else { (u[POINTS + k * COPIES + c] * POINTS as f64) as usize };
        let images = (0..CODES).map(|k| (0..COPIES).map(|c| place(k, c)).collect()).collect();
        let mut logits = vec![0.0; CODES];
        fill_normal(&mut rng, &mut logits);
        let mean = logits.iter().sum::<f64>() / CODES as f64;
        let logits = logits.iter().map(|l| 0.5 * (l - mean)).collect();
        Self { p: p.iter().map(|p| p / total).collect(), images, logits }
    }

    /// One code a point: disjoint images on each of which r is constant.
    fn disjoint(&self) -> Self {
        let total: f64 = self.p[..CODES].iter().sum();
        let p = self.p[..CODES].iter().map(|p| p / total).collect();
        Self { p, images: (0..CODES).map(|k| vec![k]).collect(), logits: self.logits.clone() }
    }

    /// q_π at the points.
    fn model(&self, logits: &[f64]) -> Vec<f64> {
        let total: f64 = logits.iter().map(|l| exp(*l)).sum();
        let mut q = vec![0.0; self.p.len()];
        for (image, l) in self.images.iter().zip(logits) {
            image.iter().for_each(|&x| q[x] += exp(*l) / (total * image.len() as f64));
        }
        q
    }

    /// Σ_x q_π f(p/q_π) over the points that codes reach; the others add a constant.
    fn divergence(&self, f: &Case, logits: &[f64]) -> f64 {
        let q = self.model(logits);
        (0..q.len()).filter(|&x| q[x] > 0.0).map(|x| q[x] * f.f(ln(self.p[x] / q[x]))).sum()
    }

    /// The logits after the shipped step at this rate, on the batch that holds every copy once.
    fn reacted(&self, f: &Case, rate: f64) -> Vec<f64> {
        let q = self.model(&self.logits);
        let rows = || self.images.iter().enumerate().flat_map(|(k, image)| image.iter().map(move |&x| (k, x)));
        let l: Vec<f64> = rows().map(|(_, x)| ln(self.p[x] / q[x])).collect();
        let codes: Vec<usize> = rows().map(|(k, _)| k).collect();
        let mut latent = Latent::Codes { logits: self.logits.clone() };
        latent.react(&codes, &growth(f.as_ref(), LogRatioClip::NONE, &l), rate);
        let Latent::Codes { logits } = latent else { unreachable!("codes stay codes") };
        logits
    }

    /// (Var_π(Φ_k), Var_q(φ)).
    fn variances(&self, f: &Case) -> (f64, f64) {
        let q = self.model(&self.logits);
        let phi = |x: usize| f.first_variation(ln(self.p[x] / q[x]));
        let total: f64 = self.logits.iter().map(|l| exp(*l)).sum();
        let (mut first, mut codes, mut points) = (0.0, 0.0, 0.0);
        for (image, l) in self.images.iter().zip(&self.logits) {
            let (pi, n) = (exp(*l) / total, image.len() as f64);
            let mean = image.iter().map(|&x| phi(x)).sum::<f64>() / n;
            first += pi * mean;
            codes += pi * mean * mean;
            points += pi * image.iter().map(|&x| phi(x) * phi(x)).sum::<f64>() / n;
        }
        (codes - first * first, points - first * first)
    }
}

/// (e): D_f falls along the shipped step at the rate Var_π(Φ_k); for reverse KL on disjoint images a step multiplies log-ratio
/// errors by 1-η exactly.
pub(super) fn one(draw: &Draw, f: &Case) -> Outcome {
    let space = Space::random(draw);
    // the step is in units of the logits: the first moves the fastest of them by a half, however small the growth rates are
    let trial = 1e-3;
    let moved = space.reacted(f, trial);
    let fastest = moved.iter().zip(&space.logits).fold(0.0f64, |m, (a, b)| m.max((a - b).abs() / trial));
    let left = Ladder::central(0.5 / fastest, |rate| {
        let value = space.divergence(f, &space.reacted(f, rate));
        vec![(value, 4.0 * value.abs() + 1.0)]
    });
    let (codes, points) = space.variances(f);
    let against = |right: f64| {
        Comparison::of_ladder(format!("{}, {}, the code step", draw.label, f.name()), &left[0], right, codes, 1e-7)
    };
    let mut out = Outcome {
        comparisons: vec![against(-codes).assuming("Var_π(Φ)/Var_q(φ)", codes / points, 1.0)],
        mutants: vec![
            ("Var_q(φ) as the dissipation of the code step", against(-points)),
            ("the code step raises D_f", against(codes)),
        ],
    };
    if f.name() == "reverse-kl" {
        let (space, eta) = (space.disjoint(), 0.3);
        let after = space.reacted(f, eta);
        let contrast = |logits: &[f64]| (logits[0] - ln(space.p[0])) - (logits[1] - ln(space.p[1]));
        let (before, after) = (contrast(&space.logits), contrast(&after));
        let law = |factor: f64| {
            Comparison::exact(
                format!("{}, log-ratio after a code step", draw.label),
                after,
                factor * before,
                before.abs(),
                1e-12,
            )
        };
        out.comparisons.push(law(1.0 - eta));
        out.mutants.push(("log-ratios shrink by e^-η", law(exp(-eta))));
    }
    out
}
