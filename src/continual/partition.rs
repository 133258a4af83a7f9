//! The exact evidence of a mixture of unknown size, by a sum over all partitions.

use crate::continual::{Task, TaskModel};
use crate::num::{exp, ln, log_sum_exp};
use crate::{Error, Result};

/// The law of the clusters of n tasks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clusters {
    /// Chinese restaurant process: p(partition) = α^K Γ(α)/Γ(α + n) Π_k Γ(n_k).
    Crp {
        /// α > 0.
        alpha: f64,
    },
    /// Sticks β_k ~ Beta(1, α), k < T, β_T = 1: p(labels) = Π_{k<T} B(1 + n_k, α + Σ_{j>k} n_j)/B(1, α).
    Sticks {
        /// α > 0.
        alpha: f64,
        /// T ≥ 1.
        truncation: usize,
    },
}

/// What the sum over partitions says.
#[derive(Debug, Clone, PartialEq)]
pub struct Exact {
    /// log p(all observations).
    pub log_evidence: f64,
    /// P(K clusters | observations), K = 1 … n.
    pub clusters: Vec<f64>,
    /// The most probable partition: the cluster of each task, numbered in the order in which they appear.
    pub best: Vec<usize>,
    /// Its posterior probability.
    pub best_probability: f64,
    /// Number of partitions: Bell's.
    pub partitions: usize,
}

/// Most tasks: Bell's number of 10 is 115,975.
const MOST: usize = 10;

/// The exact posterior over partitions of the tasks. Cost: 2^n posteriors, and the partitions of n tasks.
///
/// `Error::Parameter` for more than 10 tasks, none, or an α or T out of range; errors of [`TaskModel::check`].
pub fn exact(tasks: &[Task], model: &TaskModel, clusters: Clusters) -> Result<Exact> {
    model.check(tasks)?;
    let n = tasks.len();
    let parameter = |name: &str, value: f64, expected| Err(Error::Parameter { name: name.into(), value, expected });
    if n == 0 || n > MOST {
        return parameter("number of tasks", n as f64, "between 1 and 10, for a sum over all partitions");
    }
    let (Clusters::Crp { alpha } | Clusters::Sticks { alpha, .. }) = clusters;
    if !(alpha > 0.0 && alpha.is_finite()) {
        return parameter("alpha", alpha, "a positive number");
    }
    if matches!(clusters, Clusters::Sticks { truncation: 0, .. }) {
        return parameter("truncation", 0.0, "at least 1");
    }
    // evidence of the tasks in each set, as bits; the last task is observed last
    let mut sets = vec![(0.0, model.prior.clone())];
    for set in 1..1usize << n {
        let last = set.ilog2() as usize;
        let (log_evidence, law) = &sets[set ^ (1 << last)];
        let (more, law) = model.observe(law, &tasks[last])?;
        sets.push((log_evidence + more, law));
    }
    let mut all: Vec<(f64, Vec<usize>)> = Vec::new();
    let mut labels = vec![0; n];
    loop {
        let count = labels.iter().max().map_or(0, |k| k + 1);
        let mut blocks = vec![0usize; count];
        labels.iter().enumerate().for_each(|(i, &k)| blocks[k] |= 1 << i);
        let evidence: f64 = blocks.iter().map(|&set| sets[set].0).sum();
        let sizes: Vec<usize> = blocks.iter().map(|set| set.count_ones() as usize).collect();
        all.push((clusters.log_probability(&sizes) + evidence, labels.clone()));
        if !next(&mut labels) {
            break;
        }
    }
    let logs: Vec<f64> = all.iter().map(|p| p.0).collect();
    let log_evidence = log_sum_exp(&logs);
    let mut probabilities = vec![0.0; n];
    for (l, labels) in &all {
        probabilities[*labels.iter().max().expect("a task")] += exp(l - log_evidence);
    }
    let (best, labels) = all.iter().max_by(|a, b| a.0.total_cmp(&b.0)).expect("a partition");
    Ok(Exact {
        log_evidence,
        clusters: probabilities,
        best: labels.clone(),
        best_probability: exp(best - log_evidence),
        partitions: all.len(),
    })
}

/// The next partition as labels in order of appearance (a restricted growth string); false after the last.
fn next(labels: &mut [usize]) -> bool {
    for i in (1..labels.len()).rev() {
        let most = labels[..i].iter().max().map_or(0, |k| k + 1);
        if labels[i] < most {
            labels[i] += 1;
            labels[i + 1..].fill(0);
            return true;
        }
    }
    false
}

impl Clusters {
    /// log p of a partition with blocks of these sizes.
    pub fn log_probability(&self, sizes: &[usize]) -> f64 {
        let n: usize = sizes.iter().sum();
        match *self {
            Self::Crp { alpha } => {
                let block = |&k: &usize| (1..k).map(|j| ln(j as f64)).sum::<f64>();
                let all: f64 = (0..n).map(|i| ln(alpha + i as f64)).sum();
                sizes.len() as f64 * ln(alpha) + sizes.iter().map(block).sum::<f64>() - all
            }
            Self::Sticks { alpha, truncation } => sticks(sizes, truncation, n, alpha),
        }
    }
}

/// log Σ over the ways to put blocks of these sizes on T sticks of Π_{k<T} B(1 + n_k, α + m_k)/B(1, α), m_k tasks on later sticks.
fn sticks(sizes: &[usize], truncation: usize, n: usize, alpha: f64) -> f64 {
    let rising = |m: usize| (0..m).map(|i| ln(alpha + i as f64)).sum::<f64>();
    // B(1 + k, α + m)/B(1, α) = α k! (α)_m/(α)_(k+m+1)
    let factor = |k: usize, m: usize| {
        ln(alpha) + (1..=k).map(|j| ln(j as f64)).sum::<f64>() + rising(m)
            - rising(mutant!("sticks-length", k + m, k + m + 1))
    };
    let all = (1usize << sizes.len()) - 1;
    let total = |set: usize| (0..sizes.len()).filter(|i| set >> i & 1 == 1).map(|i| sizes[i]).sum::<usize>();
    // log of the sum over ways that placed this set of blocks on the sticks so far
    let mut placed = vec![f64::NEG_INFINITY; all + 1];
    placed[0] = 0.0;
    for _ in 1..truncation {
        let mut next = vec![Vec::new(); all + 1];
        for (set, so_far) in placed.iter().enumerate().filter(|(_, l)| l.is_finite()) {
            let left = n - total(set);
            next[set].push(so_far + factor(0, left));
            for i in (0..sizes.len()).filter(|i| set >> i & 1 == 0) {
                next[set | 1 << i].push(so_far + factor(sizes[i], left - sizes[i]));
            }
        }
        placed = next.iter().map(|l| if l.is_empty() { f64::NEG_INFINITY } else { log_sum_exp(l) }).collect();
    }
    // the last stick takes one block more, or none
    let ways: Vec<f64> = (0..sizes.len()).map(|i| placed[all & !(1 << i)]).chain([placed[all]]).collect();
    log_sum_exp(&ways)
}
