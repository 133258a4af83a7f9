//! Random computations of up to 64 operations.

use crate::roads::{BOUND, Shape, Worst, law, source};
use pushforward::autodiff::laws::{Case, Grid, Plant, cases, planted};
use pushforward::autodiff::{Tape, Var};
use pushforward::linalg::Matrix;

/// The inputs of every graph: a number, a row and a column, so that every node broadcasts with every other.
const INPUTS: [Shape; 3] = [(1, 1), (1, 3), (2, 1)];

/// Entries of nodes stay below this, so that path sums stay finite.
const LARGEST: f64 = 8.0;

/// No entry is closer to a kink than this.
const MARGIN: f64 = 1e-3;

/// Cases with derivative 0.
const FLAT: [&str; 4] = ["sign", "step", "a ≥ b", "x^0"];

/// A straight-line program: each step applies a case to earlier nodes (inputs first).
struct Graph<'c> {
    steps: Vec<(&'c Case<f64>, Vec<usize>)>,
    x: Vec<Matrix>,
}

impl<'c> Graph<'c> {
    /// A graph of 1 to 64 operations, each tried on values first and taken where its inputs lie in its domain and its output is
    /// not large.
    fn random(all: &'c [Case<f64>], rng: &mut impl FnMut() -> f64) -> Self {
        let x: Vec<Matrix> = INPUTS.iter().map(|&(r, c)| Matrix::from_fn(r, c, |_, _| 4.0 * rng() - 2.0)).collect();
        let tape = Tape::new();
        let mut nodes: Vec<Var<'_>> = x.iter().map(|x| tape.leaf(x)).collect();
        let mut steps = Vec::new();
        let length = 1 + (rng() * 64.0) as usize;
        while steps.len() < length {
            let case = &all[(rng() * all.len() as f64) as usize];
            // constants end paths: rarely
            if FLAT.contains(&case.name) && rng() < 0.9 {
                continue;
            }
            // half of the operands are the latest node: deep graphs
            let mut pick = || if rng() < 0.5 { nodes.len() - 1 } else { (rng() * nodes.len() as f64) as usize };
            let operands: Vec<usize> = case.domains.iter().map(|_| pick()).collect();
            let inputs: Vec<Var<'_>> = operands.iter().map(|&k| nodes[k]).collect();
            if !inside(case, &inputs) {
                continue;
            }
            let y = (case.tape)(&inputs);
            if y.with(|y| y.as_slice().iter().all(|y| y.abs() <= LARGEST)) {
                nodes.push(y);
                steps.push((case, operands));
            }
        }
        Self { steps, x }
    }

    fn on_tape<'t>(&self, x: &[Var<'t>]) -> Var<'t> {
        let mut nodes = x.to_vec();
        for (case, operands) in &self.steps {
            nodes.push((case.tape)(&operands.iter().map(|&k| nodes[k]).collect::<Vec<_>>()));
        }
        nodes[nodes.len() - 1]
    }

    fn on_duals(&self, x: &[Grid]) -> Grid {
        let mut nodes = x.to_vec();
        for (case, operands) in &self.steps {
            nodes.push(case.reference(&operands.iter().map(|&k| nodes[k].clone()).collect::<Vec<_>>()));
        }
        nodes.pop().unwrap()
    }

    fn names(&self) -> Vec<&str> {
        self.steps.iter().map(|(case, _)| case.name).collect()
    }
}

/// Whether every entry is in the case's domain, and away from 0 and from ties where the case has kinks.
fn inside(case: &Case<f64>, inputs: &[Var<'_>]) -> bool {
    let fits = |x: Var<'_>, (low, high): (f64, f64)| {
        let ok = |x: &f64| (low..=high).contains(x) && !(case.kink && x.abs() < MARGIN);
        x.with(|x| x.as_slice().iter().all(ok))
    };
    let apart = || match inputs {
        [a, b] => (*a - *b).with(|d| d.as_slice().iter().all(|d| d.abs() > MARGIN)),
        _ => true,
    };
    inputs.iter().zip(&case.domains).all(|(x, domain)| fits(*x, *domain)) && (!case.kink || apart())
}

/// The law on graphs number `from..to`; the largest distances, and the median sharpness.
fn run(from: u64, to: u64) -> (Worst, f64) {
    let all: Vec<Case<f64>> = cases().into_iter().filter(Case::composes).collect();
    let mut tape = Tape::new();
    let mut worst = Worst::default();
    let mut sharpness = Vec::new();
    for unit in from..to {
        let mut rng = source(11, unit);
        let graph = Graph::random(&all, &mut rng);
        let found = law(&mut tape, |x| graph.on_tape(x), |x| graph.on_duals(x), &graph.x, &mut rng);
        assert!(found.largest() <= BOUND, "graph {unit}: {found:.1?}\n{:?}", graph.names());
        sharpness.push(found.sharpness);
        worst = worst.join(found);
    }
    sharpness.sort_by(f64::total_cmp);
    (worst, sharpness[sharpness.len() / 2])
}

/// Checks values, gradients and gradients of gradients on random graphs to 4 ε of the path sum; and that this is a sharp
/// comparison: for half of the graphs a relative error of 1e-9 in the largest derivative would show.
#[test]
fn random_graphs_agree_with_dual_numbers() {
    let (worst, sharpness) = run(0, 2_000);
    println!("{worst:.2?}, median sharpness {sharpness:.1e}");
    assert!(sharpness > BOUND / 1e-9, "median sharpness {sharpness:e}");
}

/// Checks the same on 100 000 graphs.
#[test]
#[ignore = "ten seconds"]
fn many_random_graphs_agree_with_dual_numbers() {
    let (worst, sharpness) = run(2_000, 102_000);
    println!("{worst:.2?}, median sharpness {sharpness:.1e}");
}

/// Checks the negative control: with every rule off by a factor 1 + 2⁻¹⁰, at least 19 graphs of 20 are caught. (A graph that
/// ends in a constant, such as a - a, has no derivative to be wrong.)
#[test]
fn wrong_rules_show_in_random_graphs() {
    let all: Vec<Case<f64>> = cases().into_iter().filter(Case::composes).collect();
    let mut tape = planted(Plant::Factor);
    let caught = (0..200).filter(|&unit| {
        let mut rng = source(11, unit);
        let graph = Graph::random(&all, &mut rng);
        law(&mut tape, |x| graph.on_tape(x), |x| graph.on_duals(x), &graph.x, &mut rng).largest() > BOUND
    });
    let caught = caught.count();
    assert!(caught >= 190, "{caught} of 200 graphs with wrong rules were caught");
}
