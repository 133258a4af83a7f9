//! Learners with one law, or one point, for all tasks.

use crate::continual::learner::Learner;
use crate::continual::{Gaussian, Task, TaskModel};
use crate::linalg::{Cholesky, Matrix, dot, gemm, matmul};
use crate::num::ln;
use crate::{Error, Result};

/// One Gaussian law of one mean: the exact posterior under the belief that there is one cluster.
pub(super) struct Single {
    pub model: TaskModel,
    pub law: Gaussian,
    /// Whether the law is kept factorised over coordinates and from each task's w, as in variational online meta-learning.
    pub factorised: bool,
}

impl Learner for Single {
    fn observe(&mut self, task: &Task) -> Result<()> {
        let after = self.model.observe(&self.law, task)?.1;
        if !self.factorised {
            self.law = after;
            return Ok(());
        }
        // the best factorised q(w) q(μ) has the exact mean, and the diagonal of the joint precision: W⁻¹ + P⁻¹ at μ
        let inverse = |a: &Matrix| Ok::<_, Error>(Cholesky::factor(a, "a covariance")?.inverse());
        let mut precision = inverse(&self.law.covariance)?;
        precision.add_scaled(1.0, &inverse(&self.model.within)?);
        let p = after.dim();
        let covariance = Matrix::from_fn(p, p, |i, j| if i == j { 1.0 / precision[(i, i)] } else { 0.0 });
        self.law = Gaussian { mean: after.mean, covariance };
        Ok(())
    }

    fn predict(&self, support: &Task, x: &Matrix) -> Result<Vec<f64>> {
        self.model.predicted(&self.law, support, x)
    }
}

/// Points instead of laws, and hard choices: each block of knowledge is the running mean of the parameters of its tasks.
pub(super) struct Blocks {
    pub model: TaskModel,
    pub alpha: f64,
    pub blocks: Vec<(f64, Vec<f64>)>,
}

impl Blocks {
    /// The block that says the support best, N(mean, W), or none where the prior of a new block does.
    fn choose(&self, support: &Task) -> Result<Option<usize>> {
        let score = |n: f64, law: &Gaussian| Ok::<_, Error>(ln(n) + self.model.observe(law, support)?.0);
        let mut best = (score(self.alpha, &self.model.prior)?, None);
        for (k, (n, mean)) in self.blocks.iter().enumerate() {
            let l = score(*n, &self.point(mean))?;
            if l > best.0 {
                best = (l, Some(k));
            }
        }
        Ok(best.1)
    }

    fn point(&self, mean: &[f64]) -> Gaussian {
        Gaussian { mean: mean.to_vec(), covariance: Matrix::zeros(mean.len(), mean.len()) }
    }
}

impl Learner for Blocks {
    fn observe(&mut self, task: &Task) -> Result<()> {
        let chosen = self.choose(task)?;
        let law = chosen.map_or_else(|| self.model.prior.clone(), |k| self.point(&self.blocks[k].1));
        let w = self.model.adapt(&law, task)?.1.mean;
        let k = chosen.unwrap_or(self.blocks.len());
        if chosen.is_none() {
            self.blocks.push((0.0, vec![0.0; w.len()]));
        }
        let (n, mean) = &mut self.blocks[k];
        *n += 1.0;
        mean.iter_mut().zip(&w).for_each(|(m, w)| *m += (w - *m) / *n);
        Ok(())
    }

    fn predict(&self, support: &Task, x: &Matrix) -> Result<Vec<f64>> {
        let chosen = self.choose(support)?;
        let law = chosen.map_or_else(|| self.model.prior.clone(), |k| self.point(&self.blocks[k].1));
        self.model.predicted(&law, support, x)
    }

    fn clusters(&self) -> Option<usize> {
        Some(self.blocks.len())
    }
}

/// Follow the meta-leader: all tasks are kept, and one start μ is best in hindsight for w = μ - a Xᵀ(Xμ - y)/n, a step of gradient descent.
/// A network is taken to first order about the prior's mean.
pub(super) struct Leader {
    pub model: TaskModel,
    pub tasks: Vec<Task>,
    pub start: Vec<f64>,
    pub rate: f64,
}

/// Rates of the inner step that are tried: 1/2, 1/4, … of the largest stable one of each task, and none.
const RATES: [f64; 6] = [0.0, 0.125, 0.25, 0.5, 1.0, 1.5];

impl Leader {
    /// w = B μ + c after the inner step on a task, in units of the inverse of the largest eigenvalue of XᵀX/n (its trace bounds that).
    fn step(task: &Task, rate: f64) -> (Matrix, Vec<f64>) {
        let p = task.x.cols();
        let size: f64 = task.x.as_slice().iter().map(|v| v * v).sum::<f64>().max(f64::MIN_POSITIVE);
        let mut map = Matrix::identity(p);
        gemm(-rate / size, task.x.t(), task.x.view(), 1.0, &mut map);
        let y = Matrix::from_vec(task.y.len(), 1, task.y.clone());
        let c = matmul(&task.x.transpose(), &y).map(|v| v * rate / size).into_vec();
        (map, c)
    }

    /// The best start for half of each task's observations as support and the other half as queries, and its loss.
    fn best(&self, rate: f64) -> Result<(f64, Vec<f64>)> {
        let p = self.tasks[0].x.cols();
        let (mut normal, mut right, mut constant) = (Matrix::zeros(p, p), vec![0.0; p], 0.0);
        for task in &self.tasks {
            let half = task.y.len() / 2;
            let part = |r: std::ops::Range<usize>| Task { x: task.x.slice_rows(r.clone()), y: task.y[r].to_vec() };
            let (support, query) = (part(0..half), part(half..task.y.len()));
            let (map, c) = Self::step(&support, rate);
            let design = matmul(&query.x, &map);
            let offset = matmul(&query.x, &Matrix::from_vec(p, 1, c)).into_vec();
            let left: Vec<f64> = query.y.iter().zip(offset).map(|(y, o)| y - o).collect();
            gemm(1.0, design.t(), design.view(), 1.0, &mut normal);
            let more = matmul(&design.transpose(), &Matrix::from_vec(left.len(), 1, left.clone()));
            right.iter_mut().zip(more.as_slice()).for_each(|(r, m)| *r += m);
            constant += dot(&left, &left);
        }
        let trace: f64 = (0..p).map(|j| normal[(j, j)]).sum();
        let ridge = (1e-9 * trace / p as f64).max(f64::MIN_POSITIVE);
        (0..p).for_each(|j| normal[(j, j)] += ridge);
        let start = Cholesky::factor(&normal, "normal equations")?.solve(&right);
        Ok((constant - dot(&right, &start), start))
    }
}

impl Learner for Leader {
    fn observe(&mut self, task: &Task) -> Result<()> {
        self.tasks.push(self.model.about(&self.model.prior.mean, task).into_owned());
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        let mut best = f64::INFINITY;
        for rate in RATES {
            let (loss, start) = self.best(rate)?;
            if loss < best {
                (best, self.start, self.rate) = (loss, start, rate);
            }
        }
        Ok(())
    }

    fn predict(&self, support: &Task, x: &Matrix) -> Result<Vec<f64>> {
        let start = &self.model.prior.mean;
        let (map, c) = Self::step(&self.model.about(start, support), self.rate);
        let w: Vec<f64> = map.iter_rows().zip(&c).map(|(row, c)| dot(row, &self.start) + c).collect();
        // y of zeros is what the linear part leaves out
        let query = Task { x: x.clone(), y: vec![0.0; x.rows()] };
        let query = self.model.about(start, &query);
        Ok(query.x.iter_rows().zip(&query.y).map(|(x, y)| dot(x, &w) - y).collect())
    }
}
