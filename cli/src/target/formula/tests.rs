//! What formulas mean, what is said about wrong ones, and that no text can hurt.

use crate::target::formula::value::Value;
use crate::target::formula::{Mistake, compile};
use pushforward::linalg::Matrix;
use std::time::Instant;

fn constants() -> Vec<(String, Value)> {
    let named = |name: &str, value| (name.to_string(), value);
    vec![
        named("a", Value::number(3.0)),
        named("v", Value::vector(vec![1.0, -2.0, 5.0])),
        named("A", Value::matrix(2, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
    ]
}

/// The value at x = (0.5, -1, 2).
fn at(formula: &str) -> Result<f64, Mistake> {
    let density = compile(formula, 3, &constants())?;
    Ok(density.log_density(&Matrix::from_rows(&[[9.0, 9.0, 9.0], [0.5, -1.0, 2.0]]))[1])
}

/// Checks precedence, association, indices, loops and every function on hand-computed values: x = (0.5, -1, 2), a = 3, v = (1, -2, 5),
/// A = (1 2 3; 4 5 6). A few roundings of numbers below 1e3: 1e-12.
#[test]
fn formulas_mean_what_they_say() {
    let e = |x: f64| x.exp();
    for (formula, value) in [
        ("x1 - x2 - x3", -0.5),
        ("x3 / x1 / x3", 2.0),
        ("-x3^2", -4.0),
        ("x3^-2", 0.25),
        ("x3^2^x3", 16.0),
        ("2^x3^2", 16.0),
        ("-x1 * -x2", -0.5),
        ("+x1 + 1e-1 + .5 + 2.", 3.1),
        ("x[2] + x[dim] + x[1]", 1.5),
        ("sum(x[2:3])", 1.0),
        ("sum(x)", 1.5),
        ("sum(x * v) - dot(x, v)", 0.0),
        ("sum(2*x + 1)", 6.0),
        ("sum(1/x)", 1.5),
        ("sum(v[2:3] - x[1:2])", 3.5),
        ("mean(x)*length(v)", 1.5),
        ("sum(i, 1, dim - 1, 10^i*(x[i+1] - x[i]))", 10.0 * -1.5 + 100.0 * 3.0),
        ("sum(i, 1, 3, x[4 - i]*i)", 2.0 - 2.0 + 1.5),
        ("sum(i, 1, 3, a)*x1", 4.5),
        ("sum(i, 1, 3, x1)", 1.5),
        ("sum(i, 2, 2, x[i])", -1.0),
        ("sum(i, 1, 2, sum(j, 1, 3, A[i, j]*x[j]))", 1.0 * 0.5 - 2.0 + 6.0 + 2.0 - 5.0 + 12.0),
        ("sum(i, 1, 2, sum(j, 1, 2, x[i]*x[j+1]*i^j))", -0.5 + 1.0 + 2.0 * 1.0 + 4.0 * -2.0),
        ("sum(i, 1, 3, x[i]^i)", 0.5 + 1.0 + 8.0),
        ("sum(dot(A, x))", 4.5 + 9.0),
        ("dot(A, x)[2] + A[2][1]", 13.0),
        ("dot(A[1], x)", 4.5),
        ("sum(i, 1, 2, dot(A[i], x)*i)", 4.5 + 18.0),
        ("sum(dot(A, v*x))", (0.5 + 4.0 + 30.0) + (2.0 + 10.0 + 60.0)),
        ("prod(x)", -1.0),
        ("prod(i, 1, 5, x3 + i)", 3.0 * 4.0 * 5.0 * 6.0 * 7.0),
        ("prod(i, 1, 3, x[i] + a)", 3.5 * 2.0 * 5.0),
        ("sum(j, 1, 2, prod(i, 1, 3, x[i] + j))", 1.5 * 0.0 * 3.0 + 2.5 * 4.0),
        ("logsumexp(x)", (e(0.5) + e(-1.0) + e(2.0)).ln()),
        ("logsumexp(i, 1, 3, x[i]*i)", (e(0.5) + e(-2.0) + e(6.0)).ln()),
        ("sum(j, 1, 2, logsumexp(i, 1, 3, x[i]*j))", {
            (e(0.5) + e(-1.0) + e(2.0)).ln() + (e(1.0) + e(-2.0) + e(4.0)).ln()
        }),
        ("dot([x1, 1, x3*a], v)", 0.5 - 2.0 + 30.0),
        ("sum(i, 1, 2, dot([i, x1, x[i]], v))", (1.0 - 1.0 + 2.5) + (2.0 - 1.0 - 5.0)),
        ("sum(vector(i, 1, 2, x[i+1])*[1, 10])", 19.0),
        ("r = x1 + 1; s = r*r; s - r", 0.75),
        ("exp(x1) + log(x1) + log1p(x1) + expm1(x1)", 2.0 * e(0.5) - 1.0 + 0.5f64.ln() + 1.5f64.ln()),
        ("sqrt(x3) + square(a*x1) + abs(x2)", 2f64.sqrt() + 2.25 + 1.0),
        ("sign(x2) + step(x1) + step(x2)", 0.0),
        ("sin(x1)^2 + cos(x1)^2 + tan(x1) - sin(x1)/cos(x1)", 1.0),
        ("cosh(x1)^2 - sinh(x1)^2 - tanh(x1)*cosh(x1)/sinh(x1)", 0.0),
        ("sigmoid(x1) + sigmoid(-x1) + log(sigmoid(x3)) - log_sigmoid(x3)", 1.0),
        ("softplus(x3) - log(1 + exp(x3)) + max(x1, x2) + min(x1, x2)", -0.5),
        ("exp(log(2)*0)*x1 + sin(pi)", 0.5),
        ("normal_lpdf(x, 0, 2)", -0.5 * 5.25 / 4.0 - 3.0 * 2f64.ln() - 1.5 * std::f64::consts::TAU.ln()),
        ("normal_lpdf(v[1], x1, exp(x1))", -0.125 / e(1.0) - 0.5 - 0.5 * std::f64::consts::TAU.ln()),
        ("x3^x1 + a^x3", 2f64.sqrt() + 9.0),
        ("(x1)", 0.5),
    ] {
        let found = at(formula).unwrap_or_else(|m| panic!("{formula}: {}", m.sentence));
        assert!((found - value).abs() < 1e-12 * (1.0 + value.abs()), "{formula}: {found}, not {value}");
    }
}

/// (formula, the part that the marks stand below, a word of the sentence).
const MISTAKES: &[(&str, &str, &str)] = &[
    ("x1 + y", "y", "unknown name 'y'"),
    ("x1 + bb", "bb", "[constants]"),
    ("x4^2", "x4", "x1 to x3"),
    ("x0", "x0", "x1 to x3"),
    ("x1 + x[4]", "x[4]", "entries 1 to 3"),
    ("x[0]", "x[0]", "index 0"),
    ("x[1.5]", "x[1.5]", "1.5"),
    ("x[x1]", "x[x1]", "must not depend on x"),
    ("x1[1]", "x1[1]", "only vectors"),
    ("x[v]", "x[v]", "from:to"),
    ("x", "x", "sum(…)"),
    ("2*a", "2*a", "for every x"),
    ("2 x1", "x1", "write * between"),
    ("(x1) (x2)", "(", "check the brackets"),
    ("x1 ** 2", "**", "write ^"),
    ("x1 +", "", "found the end"),
    ("(x1", "", "expected ')'"),
    ("x1)", ")", "check the brackets"),
    ("x1 = 3", "x1", "coordinate"),
    ("a = 3; x1", "a", "defined already"),
    ("pi = 3; x1", "pi", "meaning of its own"),
    ("r = x1, r", ",", "expected ';'"),
    ("r = x1; r;", ";", "needs no ';'"),
    ("x1 == 2", "x1", "coordinate"),
    ("x1 + x2 = 2", "=", "definition"),
    ("ln(x1)", "ln(", "write log"),
    ("pow(x1, 2)", "pow(", "a^b"),
    ("sqr(x1)", "sqr(", "sqrt"),
    ("exp x1", "exp", "write exp(…)"),
    ("exp(x1, x2)", "exp(x1, x2)", "1 argument, not 2"),
    ("x(1)", "x(", "x[…]"),
    ("sum(x + v[1:2])", "x + v[1:2]", "do not go together"),
    ("sum(x1)", "sum(x1)", "give a vector"),
    ("sum(i, 1, x1, i)", "1, x1", "depend neither"),
    ("sum(i, 3, 2, x1)", "3, 2", "is empty"),
    ("sum(i, 1, 2.5, x1)", "1, 2.5", "whole numbers"),
    ("sum(i, 1, 1e8, x1)", "1, 1e8", "more than the 200000"),
    ("sum(i, 1, 1e5, sum(j, 1, 1e5, x1*i*j))", "x1*i*j", "more than 200000 numbers"),
    ("sum(i, 1, 3, x)", "sum(i, 1, 3, x)", "make it a number"),
    ("sum(a, 1, 3, x1)", "a", "defined already"),
    ("sum(i, 1, 3, sum(j, 1, i, x1))", "1, i", "nor on a loop"),
    ("A*x1", "A*x1", "2×3 matrix"),
    ("dot(x, A)", "dot(x, A)", "lengths must agree"),
    ("dot(A, x[1:2])", "dot(A, x[1:2])", "lengths must agree"),
    ("dot(x, x1)", "dot(x, x1)", "must be vectors"),
    ("[x1, x]", "[x1, x]", "a list holds numbers"),
    ("x1 + 1e999", "1e999", "not a number"),
    ("x1 + 1.2.3", "1.2.3", "not a number"),
    ("x1 & x2", "&", "no meaning"),
    ("x1 + é", "é", "no meaning"),
    ("", "", "found the end"),
    ("vector(x1)", "vector(x1)", "needs a loop"),
];

/// Checks that each mistake is found at its place and that the sentence says what to do.
#[test]
fn mistakes_have_places_and_remedies() {
    for (formula, part, word) in MISTAKES {
        let m = at(formula).expect_err(formula);
        assert!(m.sentence.contains(word), "{formula}: {}", m.sentence);
        assert_eq!(&formula[m.start..m.end], *part, "{formula}: {}", m.sentence);
    }
}

/// Checks that depth, length, loops and powers have limits with names, reached without harm and in less than a second each; and that a sum
/// of 10,000 terms and a loop of 10,000 are no trouble.
#[test]
fn limits() {
    let deep = |open: &str, close: &str| format!("{}x1{}", open.repeat(20_000), close.repeat(20_000));
    let loops: String = (0..60).map(|k| format!("sum(i{k}, 1, 2, ")).collect::<String>() + "x1" + &")".repeat(60);
    let doubling: String = (0..60).map(|k| format!("r{} = r{k}*r{k};", k + 1)).collect();
    for (formula, word) in [
        (deep("(", ")"), "nested deeper than 100"),
        (deep("exp(", ")"), "bytes"),
        (deep("-", ""), "nested deeper than 100"),
        (deep("x1^", ""), "nested deeper than 100"),
        (deep("2^", ""), "nested deeper than 100"),
        (deep("[", "]"), "nested deeper than 100"),
        (loops.replace("x1", "x1*(i0+i1+i2+i3+i4+i5+i6+i7+i8+i9+i10+i11+i12+i13+i14+i15+i16+i17)"), "200000 numbers"),
        ("sum(i, 1, 9999, logsumexp(j, 1, 20, x1*i*j))".into(), "200000 numbers"),
        ("sum(i, 1, 9999, x1^i)".into(), "200000 numbers"),
        (format!("{}x1", "x1+".repeat(30_000)), "bytes"),
        ("[".to_string() + &"x1,".repeat(9_999) + "x1][1]", "200000 numbers"),
    ] {
        let start = Instant::now();
        let m = at(&formula).expect_err(&formula[..formula.len().min(40)]);
        assert!(m.sentence.contains(word), "{}…: {}", &formula[..formula.len().min(40)], m.sentence);
        assert!(start.elapsed().as_secs_f64() < 1.0, "{}…", &formula[..formula.len().min(40)]);
    }
    assert_eq!(at(&format!("{}x1", "x1+".repeat(9_999))).unwrap(), 5_000.0);
    assert_eq!(at("sum(i, 1, 10000, x1*i)").unwrap(), 25_002_500.0);
    assert_eq!(at(&format!("r0 = x2; {doubling} r60")).unwrap(), 1.0);
}

/// Checks that 200,000 texts of random words, most of them nonsense, neither panic nor take long: each is answered within a second.
#[test]
fn random_texts_do_no_harm() {
    let words = [
        "x",
        "x1",
        "x2",
        "x9",
        "a",
        "v",
        "A",
        "i",
        "j",
        "dim",
        "pi",
        "sum(",
        "sum(i,1,3,",
        "logsumexp(",
        "prod(j,1,2,",
        "vector(i,1,2,",
        "dot(",
        "exp(",
        "log(",
        "max(",
        "mean(",
        "normal_lpdf(",
        "(",
        ")",
        "[",
        "]",
        ",",
        ":",
        ";",
        "=",
        "+",
        "-",
        "*",
        "/",
        "^",
        "1",
        "2",
        "0",
        "1e9",
        "0.5",
        "é",
        "r",
        "r=",
    ];
    let mut state = 1u64;
    let mut random = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let mut valid = 0;
    for _ in 0..200_000 {
        let text: String = (0..1 + random(12)).map(|_| words[random(words.len())]).collect();
        let start = Instant::now();
        valid += usize::from(at(&text).is_ok());
        assert!(start.elapsed().as_secs_f64() < 1.0, "{text}");
    }
    assert!(valid > 100, "{valid}: the words do not make formulas");
}
