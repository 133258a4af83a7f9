//! An autoencoder of graphs whose latent moves its nodes by a Lie group.

use crate::autodiff::Var;
use crate::linalg::Matrix;
use crate::nn::Mlp;
use crate::num::{cos, ln, sin};
use crate::rng::{Purpose, normal_matrix, stream};
use crate::symmetry::latent::autoencoder::Autoencoder;
use crate::symmetry::latent::graphs::{FEATURES, Family, Graph, LEVELS, NODES, grid, pairs};
use crate::{Error, Result};
use std::sync::Arc;

/// Frequencies of the ring: places of nodes are (1, cos kθ, sin kθ, …), and matrices of the group 7×7.
const WAVES: usize = 3;
const SIDE: usize = 2 * WAVES + 1;
/// Width of layers, and coordinates of a node whose products make edges.
const WIDTH: usize = 16;
const INNER: usize = 8;
/// Mean and spread of all features.
const SCALE: (f64, f64) = (11.0, 6.0);

crate::settings! {
    /// The latent of graphs and what is asked of its algebra.
    pub struct LieSettings in "latent" {
        /// Weight of Σ_{i≠j} |A_i A_j|²/(|A_i|² |A_j|²): 0 where factors act additively, exp(Σ t_i A_i) = I + Σ (exp(t_i A_i) - I).
        annihilate: f64 = 0.0, Rule::NotNegative;
        /// Weight of Σ_{i<j} |A_i A_j - A_j A_i|²/(|A_i|² |A_j|²): 0 where the group is a product.
        commute: f64 = 0.0, Rule::NotNegative;
        /// A factor that encoder and decoder are told, from 1; then the code has two coordinates and symmetries are conditional. 0 for none.
        given: usize = 0, Rule::Any;
    }
}

/// Graphs with node features x. Code t ∈ R^k, group element g = exp(Σ t_i A_i) acting on the places u_a of nodes; a small network reads g u_a as
/// coordinates e_a and the law of features, edges are joined with log-odds Σ_l s_l e_al e_bl + b. The encoder passes messages twice.
///
/// After Mercatali, Freitas and Garg (NeurIPS 2022), with the penalties relative to the sizes of the matrices: absolute ones are met by
/// small matrices and a large decoder.
pub struct LieGraphs {
    settings: LieSettings,
    graphs: Vec<Graph>,
    /// The levels of all factors, one row a graph.
    pub levels: Matrix,
    /// For each graph NODES rows of what needs no parameter: own and neighbours' places multiplied, degree, features.
    inputs: Vec<Matrix>,
    /// (SIDE²)×(NODES·SIDE): g row by row to all g u_a.
    places: Arc<Matrix>,
    read: Mlp,
    node: Mlp,
}

impl LieGraphs {
    /// The grid of a family with key `seed`; [`Error::Parameter`] for a given factor that there is not.
    pub fn new(family: Family, settings: LieSettings, seed: u64) -> Result<Self> {
        if settings.given > 3 {
            let (name, value) = ("given factor".into(), settings.given as f64);
            return Err(Error::Parameter { name, value, expected: "1 to 3, or 0 for none" });
        }
        let (graphs, levels) = grid(family, seed);
        let place = places();
        let action = Matrix::from_fn(SIDE * SIDE, NODES * SIDE, |lk, al| {
            if lk / SIDE == al % SIDE { place[(al / SIDE, lk % SIDE)] } else { 0.0 }
        });
        let told = usize::from(settings.given > 0);
        Ok(Self {
            inputs: graphs.iter().map(|g| inputs(g, &place)).collect(),
            read: Mlp::new(vec![WIDTH + told, WIDTH, 2 * (3 - told)]),
            node: Mlp::new(vec![SIDE + told, WIDTH, INNER + 2]),
            places: Arc::new(action),
            settings,
            graphs,
            levels,
        })
    }

    /// The factors that a code can tell: all that are not given.
    pub fn open_factors(&self) -> Matrix {
        let open: Vec<usize> = (0..3).filter(|k| k + 1 != self.settings.given).collect();
        Matrix::from_fn(self.levels.rows(), open.len(), |i, k| self.levels[(i, open[k])])
    }

    /// The given factor of these graphs, a column with mean 0.
    fn told<'t>(&self, of: Var<'t>, rows: &[usize]) -> Option<Var<'t>> {
        let k = self.settings.given.checked_sub(1)?;
        let middle = 0.5 * (LEVELS - 1) as f64;
        Some(of.tape().leaf(&Matrix::from_fn(rows.len(), 1, |i, _| (self.levels[(rows[i], k)] - middle) / middle)))
    }

    /// A_i of the parameters.
    pub fn algebra(parameters: &[Matrix]) -> Vec<Matrix> {
        parameters[0].iter_rows().map(|r| Matrix::from_vec(SIDE, SIDE, r.to_vec())).collect()
    }
}

/// u_a, NODES×SIDE.
fn places() -> Matrix {
    Matrix::from_fn(NODES, SIDE, |a, l| {
        let angle = l.div_ceil(2) as f64 * std::f64::consts::TAU * a as f64 / NODES as f64;
        if l % 2 == 0 { cos(angle) } else { sin(angle) }
    })
}

/// One round of messages that needs no parameter: u_a times the mean of its neighbours' u_b, entry by entry; the degree; features.
fn inputs(graph: &Graph, place: &Matrix) -> Matrix {
    Matrix::from_fn(NODES, SIDE + FEATURES, |a, l| {
        let neighbours: Vec<usize> = (0..NODES).filter(|b| graph.joined[a * NODES + b]).collect();
        match l {
            0 => neighbours.len() as f64 / 10.0 - 1.0,
            _ if l < SIDE => {
                let sum: f64 = neighbours.iter().map(|&b| place[(b, l)]).sum();
                2.0 * place[(a, l)] * sum / neighbours.len().max(1) as f64
            }
            _ => (graph.features[(a, l - SIDE)] - SCALE.0) / SCALE.1,
        }
    })
}

/// Rows k·NODES … of a batch: which graph each is of.
fn owners(graphs: usize) -> Arc<[usize]> {
    (0..graphs * NODES).map(|r| r / NODES).collect()
}

impl Autoencoder for LieGraphs {
    fn codes(&self) -> usize {
        3 - usize::from(self.settings.given > 0)
    }

    fn items(&self) -> usize {
        self.graphs.len()
    }

    /// A_i row by row; two rounds of messages; reading of the sum; the network of a node; s and b.
    fn initial(&self, seed: u64) -> Vec<Matrix> {
        let random = |unit: u64, rows: usize, cols: usize, sd: f64| {
            normal_matrix::<f64>(seed, Purpose::Initialise, (39 << 32) | unit, rows, cols).map(|z| sd * z)
        };
        let mut rng = stream(seed, Purpose::Initialise, 40 << 32);
        let fan = |n: usize| (1.0 / n as f64).sqrt();
        let mut all = vec![random(0, self.codes(), SIDE * SIDE, 0.1)];
        all.extend([random(1, SIDE + FEATURES, WIDTH, fan(SIDE + FEATURES)), Matrix::zeros(1, WIDTH)]);
        all.extend([random(2, 2 * WIDTH, WIDTH, fan(2 * WIDTH)), Matrix::zeros(1, WIDTH)]);
        all.extend(self.read.initialise(&mut rng));
        all.extend(self.node.initialise(&mut rng));
        all.extend([random(3, INNER, 1, 1.0), Matrix::zeros(1, 1)]);
        all
    }

    fn encode<'t>(&self, p: &[Var<'t>], rows: &[usize]) -> (Var<'t>, Var<'t>) {
        let (tape, n) = (p[0].tape(), rows.len());
        let x: Vec<f64> = rows.iter().flat_map(|&i| self.inputs[i].as_slice().iter().copied()).collect();
        let h = tape.leaf_from(n * NODES, SIDE + FEATURES, &x).hidden(p[1], p[2]);
        let (mut from, mut to, mut degree) = (Vec::new(), Vec::new(), vec![0.0f64; n * NODES]);
        for (k, &i) in rows.iter().enumerate() {
            for (e, _) in self.graphs[i].joined.iter().enumerate().filter(|(_, joined)| **joined) {
                from.push(k * NODES + e % NODES);
                to.push(k * NODES + e / NODES);
                degree[k * NODES + e / NODES] += 1.0;
            }
        }
        let degree = Matrix::from_vec(n * NODES, 1, degree.iter().map(|d| d.max(1.0)).collect());
        let messages = h.gather_rows(&from.into()).scatter_rows(&to.into(), n * NODES) / tape.leaf(&degree);
        let h = h.concat_columns(messages).hidden(p[3], p[4]);
        let mut whole = h.scatter_rows(&owners(n), n) * (1.0 / NODES as f64);
        if let Some(told) = self.told(whole, rows) {
            whole = whole.concat_columns(told);
        }
        let (k, end) = (self.codes(), 5 + self.read.parameter_count());
        let y = self.read.forward(&p[5..end], whole);
        (y.columns(0..k), y.columns(k..2 * k) - 1.0)
    }

    fn log_likelihood<'t>(&self, p: &[Var<'t>], rows: &[usize], t: Var<'t>) -> Var<'t> {
        let (tape, n) = (t.tape(), rows.len());
        let group = t.matmul(p[0]).expm_rows();
        let mut moved = group.matmul(tape.shared(&self.places)).reshape(n * NODES, SIDE);
        if let Some(told) = self.told(t, rows) {
            moved = moved.concat_columns(told.gather_rows(&owners(n)));
        }
        let start = 5 + self.read.parameter_count();
        let end = start + self.node.parameter_count();
        let node = self.node.forward(&p[start..end], moved);
        let inner = node.columns(0..INNER);
        let (a, b): (Vec<usize>, Vec<usize>) =
            (0..n).flat_map(|k| pairs().map(move |(a, b)| (k * NODES + a, k * NODES + b))).unzip();
        let joined: Vec<f64> = rows
            .iter()
            .flat_map(|&i| pairs().map(move |(a, b)| f64::from(u8::from(self.graphs[i].joined[a * NODES + b]))))
            .collect();
        let product = inner.gather_rows(&a.into()) * inner.gather_rows(&b.into());
        let odds = product.affine(p[end], p[end + 1]);
        let edges = odds * tape.leaf_from(joined.len(), 1, &joined) - odds.softplus();
        let edges = edges.reshape(n, joined.len() / n).row_sums();
        let x: Vec<f64> = rows.iter().flat_map(|&i| self.graphs[i].features.as_slice().iter().copied()).collect();
        let x = (tape.leaf_from(n * NODES, FEATURES, &x) - SCALE.0) * (1.0 / SCALE.1);
        let (mean, log_sd) = (node.column(INNER), node.column(INNER + 1) - 1.0);
        let square = (x - mean).square().row_sums() * (log_sd * -2.0).exp() * 0.5;
        let constant = FEATURES as f64 * (0.5 * ln(std::f64::consts::TAU) + ln(SCALE.1));
        let features = -(square + log_sd * FEATURES as f64) - constant;
        edges + features.reshape(n, NODES).row_sums()
    }

    fn penalty<'t>(&self, p: &[Var<'t>]) -> Option<Var<'t>> {
        let s = &self.settings;
        if s.annihilate == 0.0 && s.commute == 0.0 {
            return None;
        }
        let a: Vec<_> = (0..self.codes()).map(|i| p[0].rows(i..i + 1).reshape(SIDE, SIDE)).collect();
        let size = |x: Var<'t>| x.square().sum();
        let mut sum = p[0].tape().scalar(0.0);
        for i in 0..a.len() {
            for j in 0..i {
                let (one, other) = (a[i].matmul(a[j]), a[j].matmul(a[i]));
                let weighed = (size(one) + size(other)) * s.annihilate
                    + size(mutant!("commutator-sign", one + other, one - other)) * s.commute;
                sum = sum + weighed / (size(a[i]) * size(a[j]));
            }
        }
        Some(sum)
    }
}
