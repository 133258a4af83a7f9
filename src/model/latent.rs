//! Latent laws: what goes into a generator.

use crate::linalg::Matrix;
use crate::num::{Real, exp, ln, log_sum_exp, softmax};
use crate::rng::{Purpose, Stream, fill_uniform, normal_matrix, stream_beside};
use std::ops::Range;
use std::sync::Arc;

/// Least probability of a code, in 1/K: none dies out.
const LEAST: f64 = 1e-3;

/// The law of a generator's input.
#[derive(Debug, Clone, PartialEq)]
pub enum Latent {
    /// z ~ N(0, I). A continuous map of it leaves bridges between separated modes.
    Gaussian,
    /// A code k with probability softmax(logits)_k, and z ~ N(0, I): as many pieces as codes, so no bridges.
    Codes {
        /// Logits of the K codes.
        logits: Vec<f64>,
    },
    /// A code of each of B blocks, independent of the others, and z ~ N(0, I): as many pieces as combinations.
    Product {
        /// Logits of the codes, block after block; K in all.
        logits: Vec<f64>,
        /// Number of codes of each block, B numbers.
        counts: Vec<usize>,
    },
    /// z is one of these points (N×d, in units of the frame) with equal chances: samples of one law that are carried to another.
    Points(Arc<Matrix>),
}

/// n latent points: Gaussian noise or given points, and the code of each row where the law has codes.
#[derive(Debug, Clone)]
pub struct LatentBatch<T: Real> {
    /// z, n×d.
    pub noise: Matrix<T>,
    /// ξ, n×d, for generators with noise.
    pub jitter: Option<Matrix<T>>,
    /// k, n; for a latent with B blocks the numbers of its B codes among all, row after row, nB.
    pub codes: Option<Vec<usize>>,
    /// w, of all rows: for generators with classes.
    pub guidance: f64,
}

impl Latent {
    /// The codes that `keeps`, in their proportions.
    pub(crate) fn only(&self, keeps: impl Fn(usize) -> bool) -> Self {
        let Latent::Codes { logits } = self else { return self.clone() };
        let kept = |(k, l): (usize, &f64)| if keeps(k) { *l } else { f64::NEG_INFINITY };
        Latent::Codes { logits: logits.iter().enumerate().map(kept).collect() }
    }

    /// Number of codes; 0 where there are none.
    pub fn codes(&self) -> usize {
        match self {
            Latent::Gaussian | Latent::Points(_) => 0,
            Latent::Codes { logits } | Latent::Product { logits, .. } => logits.len(),
        }
    }

    /// The law of K = [`Latent::codes`] codes with these logits in blocks of `counts` of them; of one code where there is one block.
    #[track_caller]
    pub fn of_blocks(logits: Vec<f64>, counts: Vec<usize>) -> Self {
        assert!(counts.iter().sum::<usize>() == logits.len() && !counts.contains(&0), "Latent::of_blocks: {counts:?}");
        if counts.len() > 1 { Latent::Product { logits, counts } } else { Latent::Codes { logits } }
    }

    /// Logits of all codes, and the number of codes of each block; none without codes.
    pub fn blocks(&self) -> Option<(&[f64], Vec<usize>)> {
        match self {
            Latent::Gaussian | Latent::Points(_) => None,
            Latent::Codes { logits } => Some((logits, vec![logits.len()])),
            Latent::Product { logits, counts } => Some((logits, counts.clone())),
        }
    }

    /// π, summing to 1 in each block; one entry without codes.
    pub fn probabilities(&self) -> Vec<f64> {
        let Some((logits, counts)) = self.blocks() else { return vec![1.0] };
        ranges(&counts).flat_map(|block| softmax(&logits[block])).collect()
    }

    /// n independent latent points of dimension d under the key (seed, purpose, unit).
    pub fn sample<T: Real>(&self, n: usize, d: usize, key: (u64, Purpose, u64)) -> LatentBatch<T> {
        self.draw(n, d, key, uniforms)
    }

    /// n latent points whose codes are stratified: code k appears n π_k times, rounded up or down. The same law for each point,
    /// less variance for the batch. Codes of several blocks are drawn independently instead: strata of each would lie in one order.
    pub fn stratified<T: Real>(&self, n: usize, d: usize, key: (u64, Purpose, u64)) -> LatentBatch<T> {
        if let Latent::Product { .. } = self {
            return self.sample(n, d, key);
        }
        self.draw(n, d, key, |rng, n| {
            let u0 = uniforms(rng, 1)[0];
            (0..n).map(|i| (i as f64 + u0) / n as f64).collect()
        })
    }

    /// log π_k += η E[g | k] over a batch with codes `codes` and growth rates `growth`: a multiplicative-weights step of the
    /// reaction (T15), for several blocks of its projection on laws of independent codes. No probability falls below [`LEAST`]/K, K the codes
    /// of the block.
    pub(crate) fn react(&mut self, codes: &[usize], growth: &[f64], rate: f64) {
        let Some(counts) = self.blocks().map(|(_, counts)| counts) else { return };
        let (Latent::Codes { logits } | Latent::Product { logits, .. }) = self else { return };
        let mut sums = vec![(0.0, 0usize); logits.len()];
        for (codes, g) in codes.chunks_exact(counts.len()).zip(growth) {
            for &k in codes {
                sums[k].0 += g;
                sums[k].1 += 1;
            }
        }
        for (logit, (sum, count)) in logits.iter_mut().zip(sums) {
            *logit += mutant!("reaction-of-codes", -rate * sum, rate * sum) / count.max(1) as f64;
        }
        for block in ranges(&counts) {
            let logits = &mut logits[block];
            let (total, least) = (log_sum_exp(logits), ln(LEAST / logits.len() as f64));
            logits.iter_mut().for_each(|l| *l = (*l - total).max(least));
        }
    }

    fn draw<T: Real>(
        &self,
        n: usize,
        d: usize,
        (seed, purpose, unit): (u64, Purpose, u64),
        quantiles: impl Fn(&mut Stream, usize) -> Vec<f64>,
    ) -> LatentBatch<T> {
        let codes = self.blocks().map(|(logits, counts)| {
            let (mut rng, mut codes) = (stream_beside(seed, purpose, unit), vec![0; n * counts.len()]);
            for (b, block) in ranges(&counts).enumerate() {
                let own = invert(&logits[block.clone()], &quantiles(&mut rng, n));
                let to = codes.iter_mut().skip(b).step_by(counts.len());
                to.zip(own).for_each(|(to, k)| *to = block.start + k);
            }
            codes
        });
        let noise = match self {
            Latent::Points(x) => {
                let u = uniforms(&mut stream_beside(seed, purpose, unit), n);
                let row = |u: &f64| ((u * x.rows() as f64) as usize).min(x.rows() - 1);
                x.gather_rows(&u.iter().map(row).collect::<Vec<_>>()).cast()
            }
            _ => normal_matrix(seed, purpose, unit, n, d),
        };
        LatentBatch { noise, jitter: None, codes, guidance: 0.0 }
    }
}

fn uniforms(rng: &mut Stream, n: usize) -> Vec<f64> {
    let mut u = vec![0.0; n];
    fill_uniform(rng, &mut u);
    u
}

/// The codes of each block.
fn ranges(counts: &[usize]) -> impl Iterator<Item = Range<usize>> {
    counts.iter().scan(0, |end, count| {
        *end += count;
        Some(*end - count..*end)
    })
}

/// For each u in [0, 1): the smallest k with π_0 + … + π_k > u.
fn invert(logits: &[f64], u: &[f64]) -> Vec<usize> {
    let total = log_sum_exp(logits);
    let mut sum = 0.0;
    let cumulative: Vec<f64> = logits
        .iter()
        .map(|l| {
            sum += exp(l - total);
            sum
        })
        .collect();
    u.iter().map(|u| cumulative.partition_point(|c| c <= u).min(logits.len() - 1)).collect()
}

/// The codes of some rows, block by block.
pub(crate) type BlockCodes = Vec<Arc<[usize]>>;

impl<T: Real> LatentBatch<T> {
    /// Some rows: the noise, and the codes of each block as tape operations take them.
    pub(crate) fn slice(&self, rows: Range<usize>) -> (Matrix<T>, Option<BlockCodes>) {
        let codes = self.codes_of(rows.clone()).map(|(codes, blocks)| {
            (0..blocks).map(|b| codes.iter().copied().skip(b).step_by(blocks).collect()).collect()
        });
        (self.noise.slice_rows(rows), codes)
    }

    /// The codes of some rows, and how many of them a row has.
    pub(crate) fn codes_of(&self, rows: Range<usize>) -> Option<(&[usize], usize)> {
        let codes = self.codes.as_ref()?;
        let blocks = codes.len() / self.noise.rows().max(1);
        Some((&codes[rows.start * blocks..rows.end * blocks], blocks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a step of the reaction by hand: π ∝ π₀ exp(η E[g | code]) for the means 2, -1 and, of a code without samples, 0, to rounding.
    #[test]
    fn codes_grow_where_g_is_positive() {
        let mut latent = Latent::Codes { logits: [0.5f64, 0.3, 0.2].iter().map(|p| p.ln()).collect() };
        latent.react(&[0, 1, 0, 1], &[1.0, -3.0, 3.0, 1.0], 0.1);
        let raw = [0.5 * 0.2f64.exp(), 0.3 * (-0.1f64).exp(), 0.2];
        let total: f64 = raw.iter().sum();
        for (found, raw) in latent.probabilities().iter().zip(raw) {
            assert!((found - raw / total).abs() < 1e-15, "{found} {}", raw / total);
        }
    }

    /// Checks a law of two independent codes: shares of 40,000 draws, in each block and of the joint law, within 5 standard errors; and a step of the reaction
    /// by hand, in which each block is that of one code.
    #[test]
    fn codes_of_blocks_are_independent() {
        let logits = |p: &[f64]| p.iter().map(|p| p.ln()).collect::<Vec<f64>>();
        let mut latent = Latent::of_blocks(logits(&[0.2, 0.8, 0.5, 0.3, 0.2]), vec![2, 3]);
        let (n, probabilities) = (40_000, latent.probabilities());
        let key = (1, Purpose::Check, 0);
        let drawn: [LatentBatch<f64>; 2] = [latent.sample(n, 1, key), latent.stratified(n, 1, key)];
        for codes in drawn.map(|batch| batch.codes.unwrap()) {
            for (a, b) in (0..2).flat_map(|a| (2..5).map(move |b| (a, b))) {
                let found = codes.chunks_exact(2).filter(|pair| **pair == [a, b]).count() as f64 / n as f64;
                let p = probabilities[a] * probabilities[b];
                assert!((found - p).abs() < 5.0 * (p * (1.0 - p) / n as f64).sqrt(), "{a} {b}: {found} {p}");
            }
        }
        latent.react(&[0, 2, 1, 3, 1, 2], &[2.0, -1.0, 0.5], 0.1);
        let one = |p: &[f64], codes: &[usize]| {
            let mut latent = Latent::Codes { logits: logits(p) };
            latent.react(codes, &[2.0, -1.0, 0.5], 0.1);
            latent.probabilities()
        };
        let expected = [one(&[0.2, 0.8], &[0, 1, 1]), one(&[0.5, 0.3, 0.2], &[0, 1, 0])].concat();
        for (found, expected) in latent.probabilities().iter().zip(expected) {
            assert!((found - expected).abs() < 1e-15, "{found} {expected}");
        }
    }
}
