//! Plans between many points in few dimensions: from coarse to fine, without the blocks of pairs in which a plan has next to no mass.

use crate::num::{Real, log2};
use crate::transport::ascent::{Ascent, DAMPING};
use crate::transport::blocks::{Blocks, Groups, Near, order, runs};
use crate::transport::coupling::Coupling;
use crate::transport::solve::{Problem, Until, rescale, schedule};
use crate::transport::sweep::Sum;
use crate::transport::{Cloud, Cost, Sinkhorn};
use std::f64::consts::LN_2;
use std::ops::Range;

/// Points of a group are powers of this, while there are at least so many groups.
const FACTOR: usize = 8;
const GROUPS: usize = 100;
/// The cost of the mean square within a group is at most this share of ε.
const SHARE: f64 = 0.1;
/// Density over a⊗b up to which pairs are left out on the way.
const ON_THE_WAY: f64 = 1e-3;
/// The mass that is left out at the end, over the limit: potentials move on after pairs were chosen.
const MARGIN: f64 = 0.1;
/// Groups between which Newton's step is taken, at most.
const MOST: usize = 4096;
/// Between one density up to which pairs are left out and the next that is tried.
const STEP: f64 = 8.0;
/// Choices of pairs at the end, at most.
const CHOICES: usize = 4;

/// Both clouds with the middle of each group of points for the group.
struct Level<T> {
    a: Cloud<T>,
    /// None where a is coupled with itself.
    b: Option<Cloud<T>>,
    /// The points behind each group of a.
    rows: Vec<Range<usize>>,
    /// The same of b.
    columns: Vec<Range<usize>>,
}

impl<T: Real> Level<T> {
    /// Groups of at most `size` points, so near that they are one at this ε.
    fn of(a: &Cloud<T>, b: Option<&Cloud<T>>, size: usize, settings: &Sinkhorn) -> Self {
        let cost = SHARE * settings.epsilon;
        let square = if settings.cost == Cost::Distance { cost * cost } else { 2.0 * cost };
        let (rows, columns) = (runs(a, size, square), b.map_or_else(Vec::new, |b| runs(b, size, square)));
        Self { a: a.grouped(&rows), b: b.map(|b| b.grouped(&columns)), rows, columns }
    }

    fn b(&self) -> &Cloud<T> {
        self.b.as_ref().unwrap_or(&self.a)
    }
}

/// f and g in units of ε log 2, on a level, at an ε.
struct Potentials<T> {
    level: usize,
    epsilon: f64,
    phi: Vec<T>,
    gamma: Vec<T>,
    /// Of the next step.
    damping: f64,
}

/// The levels, coarse to fine.
struct Scales<'a, T> {
    levels: Vec<Level<T>>,
    /// Points of a behind the groups between which Newton's step is taken.
    rows: Vec<Range<usize>>,
    /// The same of b.
    columns: Vec<Range<usize>>,
    settings: &'a Sinkhorn,
    masked: bool,
}

/// The plan between a and b, or a and itself, with at most the mass `limit` in pairs that are not read.
pub(super) fn couple<T: Real>(
    a: &Cloud<T>,
    b: Option<&Cloud<T>>,
    settings: &Sinkhorn,
    masked: bool,
    limit: f64,
) -> Coupling<T> {
    let order_a = order(a.points());
    let order_b = b.map_or_else(|| order_a.clone(), |b| order(b.points()));
    let (a, b) = (a.in_order(&order_a), b.map(|b| b.in_order(&order_b)));
    let least = order_a.len().min(order_b.len());
    let sizes =
        std::iter::successors(Some(FACTOR), |size| Some(FACTOR * size)).take_while(|size| GROUPS * size <= least);
    let mut levels: Vec<Level<T>> = sizes.map(|size| Level::of(&a, b.as_ref(), size, settings)).collect();
    // where points are far apart at this ε groups are points
    levels.retain(|level| 2 * level.a.len() <= a.len());
    levels.reverse();
    let single = |n: usize| (0..n).map(|i| i..i + 1).collect();
    let (rows, columns) = (single(a.len()), single(b.as_ref().map_or(0, Cloud::len)));
    levels.push(Level { a, b, rows, columns });
    let whole = &levels[levels.len() - 1];
    let few = |of: &[Range<usize>], all: &Cloud<T>| {
        let size = all.len().div_ceil(MOST).next_power_of_two();
        if of.len() <= MOST { of.to_vec() } else { runs(all, size, f64::INFINITY) }
    };
    let (rows, columns) = (few(&levels[0].rows, &whole.a), few(&levels[0].columns, whole.b()));
    let mut out = Scales { levels, rows, columns, settings, masked }.solve(limit);
    out.phi = scattered(&out.phi, &order_a);
    out.gamma = scattered(&out.gamma, &order_b);
    out
}

/// What stands in the order `rows`, in its old places.
fn scattered<T: Real>(x: &[T], rows: &[usize]) -> Vec<T> {
    let mut out = vec![T::ZERO; x.len()];
    x.iter().zip(rows).for_each(|(&x, &row)| out[row] = x);
    out
}

impl<T: Real> Scales<'_, T> {
    fn solve(&self, limit: f64) -> Coupling<T> {
        let (fine, settings) = (self.levels.len() - 1, self.settings);
        let epsilons = schedule(&self.levels[fine].a, self.levels[fine].b(), settings);
        // at the last ε all levels, each of which starts the next
        let stages: Vec<(usize, f64)> =
            epsilons.into_iter().map(|e| (0, e)).chain((1..=fine).map(|level| (level, settings.epsilon))).collect();
        let (level, epsilon) = stages[0];
        let (n, m) = (self.levels[level].a.len(), self.levels[level].b().len());
        let mut p = Potentials { level, epsilon, phi: vec![T::ZERO; n], gamma: vec![T::ZERO; m], damping: DAMPING };
        for &(level, epsilon) in &stages[..stages.len() - 1] {
            p = self.moved(p, level, epsilon);
            let near = self.near(&p, ON_THE_WAY);
            let until = if epsilon == settings.epsilon { Until::COARSE } else { Until::ROUGH };
            self.iterate(&mut p, &near, until);
        }
        let mut p = self.moved(p, fine, settings.epsilon);
        let (mut iterations, mut choices) = (0, 0);
        loop {
            let near = self.near_mass(&p, MARGIN * limit);
            let (taken, error, sums) = self.iterate(&mut p, &near, Until::converged::<T>(settings));
            (iterations, choices) = (iterations + taken, choices + 1);
            let problem = Problem { kept: Some((&near.rows, &near.columns)), ..self.problem(&p) };
            let mut out = match self.levels[fine].b {
                None => problem.own_coupling(p.phi, (iterations, error, sums)),
                Some(_) => problem.coupling_of(p.phi, p.gamma, iterations, &sums),
            };
            (p.phi, p.gamma) = (out.phi.clone(), out.gamma.clone());
            out.skipped = self.skipped(&p, &near);
            if out.skipped <= limit || choices == CHOICES {
                return out;
            }
        }
    }

    /// All pairs at the level and ε of p; own groups are not left out, only own points.
    fn problem(&self, p: &Potentials<T>) -> Problem<'_, T> {
        let level = &self.levels[p.level];
        let masked = self.masked && p.level + 1 == self.levels.len();
        Problem { a: &level.a, b: level.b(), settings: self.settings, epsilon: p.epsilon, masked, kept: None }
    }

    /// At another ε, and on a finer level: what is best there for the coarse potentials of the other side.
    fn moved(&self, p: Potentials<T>, level: usize, epsilon: f64) -> Potentials<T> {
        let (mut phi, mut gamma, damping) = (p.phi, p.gamma, p.damping);
        if level != p.level {
            let (coarse, fine) = (&self.levels[p.level], &self.levels[level]);
            let onto = |a, b, potentials: &[T]| {
                let (settings, epsilon) = (self.settings, p.epsilon);
                Problem { a, b, settings, epsilon, masked: false, kept: None }.best(potentials)
            };
            let rows = onto(&fine.a, coarse.b(), &gamma);
            gamma = fine.b.as_ref().map_or_else(|| rows.clone(), |b| onto(b, &coarse.a, &phi));
            phi = rows;
        }
        rescale(&mut phi, Some(p.epsilon), epsilon);
        rescale(&mut gamma, Some(p.epsilon), epsilon);
        Potentials { level, epsilon, phi, gamma, damping }
    }

    /// Iterations, for an own problem the error that is left, and at the last ε the columns of the plan.
    fn iterate(&self, p: &mut Potentials<T>, near: &Near, until: Until) -> (usize, f64, Vec<Sum<T>>) {
        let problem = Problem { kept: Some((&near.rows, &near.columns)), ..self.problem(p) };
        if self.levels[p.level].b.is_none() {
            let end = problem.average(until, &mut p.phi);
            p.gamma.clone_from(&p.phi);
            return end;
        }
        if !until.last {
            return (problem.alternate(until, &mut p.phi, &mut p.gamma), 0.0, Vec::new());
        }
        let mut ascent = Ascent::new(problem, self.groups(p.level), p.level == 0, &mut p.damping);
        let (iterations, sums) = problem.alternate_with(until, &mut p.phi, &mut p.gamma, |half| ascent.step(half));
        (iterations, 0.0, sums)
    }

    /// The groups of Newton's step by what is on a level; all are cells of one tree.
    fn groups(&self, level: usize) -> Groups {
        let fine = &self.levels[level];
        let at = |place: usize| fine.rows.partition_point(|run| run.start < place);
        let of = |run: &Range<usize>| self.columns.partition_point(|group| group.end <= run.start);
        Groups {
            rows: self.rows.iter().map(|run| at(run.start)..at(run.end)).collect(),
            columns: fine.columns.iter().map(of).collect(),
            count: self.columns.len(),
        }
    }

    fn blocks(&self, p: &Potentials<T>) -> (Blocks, Blocks, f64) {
        let level = &self.levels[p.level];
        (Blocks::of(&level.a, &p.phi), Blocks::of(level.b(), &p.gamma), 1.0 / (p.epsilon * LN_2))
    }

    /// The pairs of blocks with a density above `least` under the potentials.
    fn near(&self, p: &Potentials<T>, least: f64) -> Near {
        let (a, b, kappa) = self.blocks(p);
        Near::choose(&a, &b, kappa, self.settings.cost, log2(least))
    }

    /// The least pairs of blocks, by powers of their density, outside of which there is at most the mass `most`.
    fn near_mass(&self, p: &Potentials<T>, most: f64) -> Near {
        let mut least = 1.0;
        loop {
            let near = self.near(p, least);
            // where no density is larger no mass is
            if least <= most || self.skipped(p, &near) <= most {
                return near;
            }
            least /= STEP;
        }
    }

    /// An upper bound of the mass of the plan outside `near`.
    fn skipped(&self, p: &Potentials<T>, near: &Near) -> f64 {
        let (a, b, kappa) = self.blocks(p);
        near.skipped(&a, &b, kappa, self.settings.cost)
    }
}
