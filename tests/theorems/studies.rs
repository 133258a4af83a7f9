//! Studies that are too long for the suite: thirty seeds, and two hundred pairs such as a user may give, of which a dozen is in the suite.

use pushforward::density::{Density, GaussianMixture};
use pushforward::divergence::all_divergences;
use pushforward::linalg::{Matrix, matmul};
use pushforward::num::powf;
use pushforward::rng::{Purpose, Stream, stream, uniform};
use pushforward::verify::{Budget, Claim, Comparison, Evidence, Pair, Takes, Verdict, claim, registry};
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong with a run, if anything is; a claim that refuses every instance says nothing wrong.
fn wrong(evidence: &Evidence) -> Option<String> {
    let refused = evidence.comparisons.iter().all(|c| matches!(c.verdict, Verdict::Refused(_)));
    let missed = evidence.mutants.iter().any(|m| m.missed().next().is_some());
    (missed || !(evidence.holds() || refused)).then(|| evidence.to_string())
}

/// Checks at quick budget that every claim holds under the seeds 1 to 30, with nothing open and no false variant missed.
#[test]
#[ignore = "an hour of one core"]
fn thirty_seeds() {
    let run = |seed: u64| registry().into_iter().filter_map(move |c| wrong(&c.run(&Budget::quick().with_seed(seed))));
    let found: Vec<String> = (1..=30).flat_map(|seed| run(seed).map(move |e| format!("seed {seed}: {e}"))).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The image under x ↦ Ax + b.
fn image(m: &GaussianMixture, a: &Matrix, b: &[f64]) -> GaussianMixture {
    let d = m.dim();
    let means = matmul(m.means(), &a.transpose());
    let means = Matrix::from_fn(means.rows(), d, |k, j| means[(k, j)] + b[j]);
    let covariances = m.covariances().iter().map(|c| matmul(&matmul(a, c), &a.transpose())).collect();
    GaussianMixture::new(m.weights(), means, covariances).unwrap()
}

/// A pair of [`Pair::random`], one in four with a component of p at a share down to 1e-8, one in four with q = p but for a shift down to 1e-6
/// deviations, seen through a map of scale 1e-8 to 1e8, offset up to 1e6 scales and, in the plane, condition up to 1e4.
fn any_pair(rng: &mut Stream, k: usize) -> (GaussianMixture, GaussianMixture) {
    let d = 1 + k / 4 % 2;
    let pair = Pair::random(rng, d);
    let (mut p, mut q) = ((*pair.p).clone(), (*pair.q).clone());
    let mut between = |low: f64, high: f64| low * powf(high / low, uniform(rng));
    if k % 4 == 1 {
        let weights: Vec<f64> = (0..p.components()).map(|i| if i == 1 { between(1e-8, 1e-2) } else { 1.0 }).collect();
        p = GaussianMixture::new(&weights, p.means().clone(), p.covariances().to_vec()).unwrap();
    }
    if k % 4 == 2 {
        let shift = between(1e-6, 1e-1);
        q = p.affine_image(&vec![shift; d], 1.0).unwrap();
    }
    let (scale, condition) = (between(1e-8, 1e8), between(1.0, 1e4));
    let angle = std::f64::consts::TAU * uniform(rng);
    let a = match d {
        1 => Matrix::filled(1, 1, scale),
        _ => Matrix::from_rows(&[
            [scale * angle.cos(), -scale * angle.sin()],
            [scale * condition.sqrt().recip() * angle.sin(), scale * condition.sqrt().recip() * angle.cos()],
        ]),
    };
    let b: Vec<f64> = (0..d).map(|_| 2e6 * scale * (uniform(rng) - 0.5)).collect();
    (image(&p, &a, &b), image(&q, &a, &b))
}

/// Claims of a dozen pairs in the suite.
const CHEAP: [&str; 4] = ["T2", "T4", "T5", "T7"];

/// What pairs of [`any_pair`] gave.
#[derive(Default)]
struct Found {
    /// Pairs refused as a whole because p and q are the same to rounding, or by every claim, with the first reason.
    refused: Vec<String>,
    /// What did not hold.
    wrong: Vec<String>,
    /// Claims that refuse an instance, by reason and claim, with the number of pairs.
    reasons: BTreeMap<(String, &'static str), usize>,
}

impl Found {
    /// Runs the claims on the pair of this number, with one divergence of the table.
    fn examine(&mut self, k: usize, claims: &[Claim]) {
        let (p, q) = any_pair(&mut stream(17, Purpose::Check, k as u64), k);
        let divergences = all_divergences();
        let f = divergences[k / 8 % divergences.len()].clone();
        let name = format!("pair {k}, {}", f.name());
        let budget = match Budget::quick().with_pair(&Pair::new(p, q).unwrap()) {
            Ok(budget) => budget.with_divergence(f),
            Err(reason) => return self.refused.push(format!("{name}: {reason}")),
        };
        let timed = |c: &Claim| {
            let start = std::time::Instant::now();
            let evidence = c.run(&budget);
            println!("{name}, {}: {:.2?}", c.id, start.elapsed());
            evidence
        };
        let all: Vec<Evidence> = claims.iter().map(timed).collect();
        for evidence in &all {
            if let Some(e) = wrong(evidence) {
                println!("{name}: {e}");
                self.wrong.push(format!("{name}: {e}"));
            }
            // digits are those of the instance
            let words = |r: &String| r.chars().filter(|c| !c.is_ascii_digit()).take(60).collect::<String>();
            let seen = reasons_of(evidence).iter().map(words).collect::<BTreeSet<_>>();
            seen.into_iter().for_each(|r| *self.reasons.entry((r, evidence.id)).or_insert(0) += 1);
        }
        if all.iter().all(|e| e.count(&Verdict::Holds) == 0) {
            let first = all.iter().flat_map(reasons_of).next().unwrap_or_default();
            self.refused.push(format!("{name}: {first}"));
        }
    }

    /// Nothing is wrong, and at most this many pairs are refused, each for nearness or for a moment that diverges.
    fn judge(&self, most: usize) {
        println!("{}", self.refused.join("\n"));
        println!("claims that refuse an instance, by reason and claim, with the number of pairs:");
        self.reasons.iter().for_each(|((reason, id), n)| println!("{n:4} {id} {reason}"));
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        let known = |r: &String| r.contains("the same density") || r.contains("diverges");
        assert!(self.refused.len() <= most && self.refused.iter().all(known), "{}", self.refused.join("\n"));
    }
}

/// Checks that every claim holds or is refused in words on two hundred pairs, and that at most a tenth of the pairs are refused.
#[test]
#[ignore = "an hour of one core"]
fn two_hundred_pairs() {
    let claims: Vec<Claim> = registry().into_iter().filter(|c| c.takes != Takes::NoPair).collect();
    let mut found = Found::default();
    for k in 0..200 {
        found.examine(k, &claims);
        println!("{k}: {} refused, {} wrong", found.refused.len(), found.wrong.len());
    }
    found.judge(20);
}

/// Checks the same of a fixed dozen of them, by the claims that take the least time: eight on the line and four in the plane, three of each kind
/// ([`any_pair`]), ten divergences.
#[test]
fn a_dozen_of_them() {
    let claims: Vec<Claim> = CHEAP.iter().map(|id| claim(id).unwrap()).collect();
    let mut found = Found::default();
    for k in (0..108).step_by(9) {
        found.examine(k, &claims);
    }
    found.judge(1);
}

/// The reasons for which instances of a claim were refused.
fn reasons_of(evidence: &Evidence) -> Vec<String> {
    let reason = |c: &Comparison| if let Verdict::Refused(reason) = &c.verdict { Some(reason.clone()) } else { None };
    evidence.comparisons.iter().filter_map(reason).collect()
}
