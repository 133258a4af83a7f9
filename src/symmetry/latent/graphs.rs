//! Random graphs whose factors are known: grids of Watts–Strogatz and Erdős–Rényi graphs with node features.

use crate::linalg::Matrix;
use crate::rng::{Purpose, Stream, fill_normal, stream, uniform};

/// Nodes of every graph; their places on a ring are known.
pub const NODES: usize = 24;
/// Features of a node.
pub const FEATURES: usize = 4;
/// Levels of each factor.
pub const LEVELS: usize = 10;

/// A law of graphs with three factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Each node is joined to its h = 1 … 10 next on the ring, each such edge moved to a random end with probability p = 0.05 … 0.95; features
    /// N(mean = 2 … 20, 2²). Factors p, h, mean. Source: Watts and Strogatz (Nature, 1998).
    WattsStrogatz,
    /// Each pair is joined with probability p = 0.05 … 0.95; features N(mean = 2 … 20, sd² = (2 … 11)²). Factors p, sd, mean.
    ErdosRenyi,
}

impl Family {
    /// Names of the factors.
    pub fn factors(self) -> [&'static str; 3] {
        match self {
            Self::WattsStrogatz => ["rewiring", "neighbours", "mean"],
            Self::ErdosRenyi => ["edges", "spread", "mean"],
        }
    }
}

/// An undirected graph without loops, and its node features.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// NODES×NODES entries, row after row.
    pub joined: Vec<bool>,
    /// NODES×FEATURES.
    pub features: Matrix,
}

/// One graph for each of the 10×10×10 combinations of levels, and the levels, 1000×3, each from 0 to 9.
pub fn grid(family: Family, seed: u64) -> (Vec<Graph>, Matrix) {
    let levels = Matrix::from_fn(LEVELS.pow(3), 3, |i, k| ((i / LEVELS.pow(2 - k as u32)) % LEVELS) as f64);
    let graphs =
        levels.iter_rows().enumerate().map(|(i, l)| one(family, l, &mut stream(seed, Purpose::Exact, i as u64)));
    (graphs.collect(), levels)
}

fn one(family: Family, levels: &[f64], rng: &mut Stream) -> Graph {
    let probability = 0.05 + 0.1 * levels[0];
    let mut joined = vec![false; NODES * NODES];
    let (mean, sd) = match family {
        Family::WattsStrogatz => {
            rewired(&mut joined, 1 + levels[1] as usize, probability, rng);
            (2.0 + 2.0 * levels[2], 2.0)
        }
        Family::ErdosRenyi => {
            for (a, b) in pairs() {
                set(&mut joined, a, b, uniform(rng) < probability);
            }
            (2.0 + 2.0 * levels[2], 2.0 + levels[1])
        }
    };
    let mut features = Matrix::zeros(NODES, FEATURES);
    fill_normal(rng, features.as_mut_slice());
    Graph { joined, features: features.map(|z: f64| mean + sd * z) }
}

/// All a < b.
pub(super) fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..NODES).flat_map(|a| (a + 1..NODES).map(move |b| (a, b)))
}

fn set(joined: &mut [bool], a: usize, b: usize, value: bool) {
    joined[a * NODES + b] = value;
    joined[b * NODES + a] = value;
}

/// A ring with `reach` neighbours on each side, whose edges keep their first end and with probability p get a free second one.
fn rewired(joined: &mut [bool], reach: usize, p: f64, rng: &mut Stream) {
    let ring: Vec<(usize, usize)> = (1..=reach).flat_map(|d| (0..NODES).map(move |a| (a, (a + d) % NODES))).collect();
    ring.iter().for_each(|&(a, b)| set(joined, a, b, true));
    for (a, b) in ring {
        let free: Vec<usize> = (0..NODES).filter(|&c| c != a && !joined[a * NODES + c]).collect();
        if uniform(rng) < p && !free.is_empty() {
            let c = free[((uniform(rng) * free.len() as f64) as usize).min(free.len() - 1)];
            set(joined, a, b, false);
            set(joined, a, c, true);
        }
    }
}
