//! The instruction sets of this machine against each other, each in a process of its own that `PUSHFORWARD_ISA` tells which to take.

use pushforward::density::{Target, by_name};
use pushforward::estimate::Kde;
use pushforward::linalg::{Matrix, gemm, matmul};
use pushforward::num::{ISA, InstructionSet, Real, exp_slice, instruction_set, instruction_sets, ln_slice, tanh_slice};
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::Method;
use std::process::Command;

/// Set in the processes that compute; to `products` where they leave out the training, as under a memory checker.
const CHILD: &str = "ISA_LAWS_CHILD";

/// A line for some numbers: their name, their sum of bits folded into 64 (FNV-1a).
fn line<T: Real>(name: &str, x: &[T]) -> String {
    let fold = |hash: u64, x: &T| (hash ^ x.to_f64().to_bits()).wrapping_mul(0x0100_0000_01b3);
    format!("bits {name} {} {:016x}\n", T::NAME, x.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// Products of every way through the code, estimates in few and many dimensions, elementary functions.
fn numbers<T: Real>(trains: bool) -> String {
    let draw = |unit, n, d| normal_matrix::<T>(3, Purpose::Check, unit, n, d);
    let mut text = String::new();
    for (m, k, n) in [(1000, 64, 81), (70, 130, 96), (200, 256, 128), (40, 33, 3), (3, 90, 200), (150, 300, 70)] {
        let (a, b) = (draw(1, m, k), draw(2, k, n));
        let (at, bt) = (a.transpose(), b.transpose());
        text += &line(&format!("product {m}×{k}×{n}"), matmul(&a, &b).as_slice());
        let mut c = draw(3, m, n);
        gemm(T::from_f64(0.7), at.t(), bt.t(), T::from_f64(0.3), &mut c);
        text += &line(&format!("transposed {m}×{k}×{n}"), c.as_slice());
    }
    for (n, d) in [(700, 1), (2500, 2), (500, 5), (400, 12), (700, 32)] {
        let kde = Kde::new(&draw(1, n, d), 0.6).unwrap();
        let values = kde.evaluate(&draw(2, 333, d));
        text += &line(&format!("density {n}×{d}"), &values.log_density);
        text += &line(&format!("score {n}×{d}"), values.score.as_slice());
        text += &line(&format!("correction {n}×{d}"), values.score_correction.as_slice());
    }
    for (name, f) in [("exp", exp_slice as fn(&mut [T])), ("tanh", tanh_slice)] {
        let mut x = draw(1, 1, 1003).into_vec();
        f(&mut x);
        text += &line(name, &x);
    }
    let mut x: Vec<T> = draw(1, 1, 1003).into_vec().into_iter().map(|x| x * x).collect();
    ln_slice(&mut x);
    text += &line("ln", &x);
    if trains {
        text += &line(&format!("training in {}", T::NAME), trained::<T>().as_slice());
    }
    text
}

/// Samples of a generator after some steps.
fn trained<T: Real>() -> Matrix {
    let target = Target::of(by_name("ring8").unwrap());
    let method = Method::preset("kde-small", &target).unwrap().with("precision", T::NAME).unwrap();
    let method = method.with("steps", 8).unwrap().with("batch", 96).unwrap().with("hidden", vec![64, 64]).unwrap();
    let mut run = method.start(&target, None).unwrap();
    run.finish().unwrap();
    run.sample(500, 1, 0)
}

/// Checks that every vector set that this machine has gives the same bits, and that the processes did run on the sets they were told: the
/// portable one, which rounds products and sums separately, gives others.
#[test]
fn vector_sets_give_the_same_bits() {
    if let Some(child) = std::env::var_os(CHILD) {
        let trains = child != "products";
        return print!("\nset {}\n{}{}", instruction_set().name(), numbers::<f32>(trains), numbers::<f64>(trains));
    }
    let on = |set: InstructionSet| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "vector_sets_give_the_same_bits", "--nocapture"]);
        let out = command.env(ISA, set.name()).env(CHILD, "1").output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(out.status.success() && text.contains(&format!("set {}\n", set.name())), "{text}");
        let lines: Vec<String> = text.lines().filter(|l| l.starts_with("bits ")).map(String::from).collect();
        assert!(lines.len() > 50, "{text}");
        lines
    };
    let all: Vec<_> = instruction_sets().into_iter().map(|set| (set, on(set))).collect();
    for pair in all[1..].windows(2) {
        for (a, b) in pair[0].1.iter().zip(&pair[1].1) {
            assert_eq!(a, b, "{:?} and {:?}", pair[0].0, pair[1].0);
        }
    }
    if all.len() > 1 {
        assert_ne!(all[0].1, all[1].1, "portable and fused arithmetic");
    }
}
