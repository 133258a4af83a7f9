//! What formulas mean, what is said about wrong ones, and that no text can hurt.

use crate::target::formula::parser::{self, Source};
use crate::target::formula::value::Value;
use crate::target::formula::{Mistake, Parameters, compile};
use pushforward::linalg::Matrix;
use pushforward::num::{GaussLegendre, log_gamma};
use std::time::Instant;

fn constants() -> Vec<(String, Value)> {
    let named = |name: &str, value| (name.to_string(), value);
    vec![
        named("a", Value::number(3.0)),
        named("v", Value::vector(vec![1.0, -2.0, 5.0])),
        named("A", Value::matrix(2, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
        // its inverse is (2 -1; -1 1), its determinant 1
        named("S", Value::matrix(2, vec![1.0, 1.0, 1.0, 2.0])),
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
        ("(x1 > 0) + 2*(x2 >= 0) + 4*(x3 < 2) + 8*(x3 <= 2) + 16*(x1 == 0.5) + 32*(x1 != 0.5)", 25.0),
        ("(x1 > 0 && x2 > 0) + 2*(x1 > 0 || x2 > 0) + 4*!(x1 > 0) + 8*!0", 10.0),
        ("where(x1 > 0, x3, log(x2)) + where(x2 > 0, log(x2), 10*x3)", 22.0),
        ("sum(where(x > 0, x, 0))", 2.5),
        ("isfinite(x1) + 2*isfinite(log(x2)) + 4*isfinite(inf*x3)", 1.0),
        ("exp(lgamma(x3 + 2)) + 0*digamma(x3) + erf(0*x1) + 2*Phi(0*x1) + log_Phi(0*x1) + log(2)", 7.0),
        ("4*atan(2*x1) - pi + inv_logit(x3) - sigmoid(x3) + logit(inv_logit(x3)) + log1m(x1) + log(2)", 2.0),
        ("logaddexp(x1, x2) - logsumexp([x1, x2]) + sum(logaddexp(x, v)) - sum(i, 1, 3, logsumexp([x[i], v[i]]))", 0.0),
        ("log_mix(0.25, x1, x2) - log(0.25*exp(x1) + 0.75*exp(x2)) + logdiffexp(x3, x1) - log(exp(x3) - exp(x1))", 0.0),
        ("exp(lchoose(5, 2)) + x1*exp(lbeta(2, 3))", 10.0 + 0.5 / 12.0),
        ("x1 # a comment; with 'anything' in it\n + 1", 1.5),
        (
            "x1 ~ normal(0, 2); x2 ~ normal(1, 2); x3*0",
            -0.125 * (0.25 + 4.0) - 2.0 * 2f64.ln() - std::f64::consts::TAU.ln(),
        ),
        ("x ~ normal(0, 2); r = x1; r", 0.5 - 0.5 * 5.25 / 4.0 - 3.0 * 2f64.ln() - 1.5 * std::f64::consts::TAU.ln()),
        ("x ~ normal(0, 1)", -0.5 * 5.25 - 1.5 * std::f64::consts::TAU.ln()),
        ("sum(normal_lpdf_each(x, 0, 1) - normal_lpdf_each(0, x, 1)) + x1", 0.5),
        ("multi_normal_lpdf(x[1:2], [0, 1], S)", -0.5 * (2.0 * 0.25 + 2.0 + 4.0) - std::f64::consts::TAU.ln()),
        ("x[[3, 1]][1] + sum(x[[1, 1, 2]]*[1, 10, 100])", 2.0 + 0.5 + 5.0 - 100.0),
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
    ("x[v]", "x[v]", "index -2"),
    ("x[A]", "x[A]", "2×3 matrix"),
    ("x", "x", "sum(…)"),
    ("2*a", "2*a", "for every point"),
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
    ("0 < x1 < 1", "<", "a < b && b < c"),
    ("x1 & x2", "&", "write &&"),
    ("where(x1 > 0, x1)", "where(x1 > 0, x1)", "3 arguments"),
    ("x1 ~ norml(0, 1)", "norml(0, 1)", "did you mean normal"),
    ("x1 ~ 3", "3", "a distribution"),
    ("normal(x1, 0, 1)", "normal(", "y ~ normal(…)"),
    ("x1 ~ normal(0, -1)", "x1 ~ normal(0, -1)", "scale of normal is -1 and must be positive"),
    ("poisson_lpdf(2, x1)", "poisson_lpdf(", "poisson_lpmf"),
    ("poisson_lpmf(2.5, x1)", "poisson_lpmf(2.5, x1)", "y of poisson_lpmf is 2.5"),
    ("poisson_lpmf(x2, x1)", "poisson_lpmf(x2, x1)", "must be data"),
    ("normal_lpdf(x1, 0)", "normal_lpdf(x1, 0)", "3 arguments (y, location, scale)"),
    ("logsumexp(normal_lpdf(x, 0, 1))", "logsumexp(normal_lpdf(x, 0, 1))", "_lpdf_each"),
    ("cholesky(A)", "cholesky(", "Stan"),
    ("for (i)", "for (", "Stan"),
    ("h = 0.1 + 0.5*h; x1", "h", "defined by itself"),
    ("multi_normal_lpdf(x, 0, A)", "multi_normal_lpdf(x, 0, A)", "give a 3×3 matrix"),
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
    ("sum(i, 1, 1e8, x1)", "1, 1e8", "more than the 1000000"),
    ("sum(i, 1, 1e5, sum(j, 1, 1e5, x1*i*j))", "x1*i*j", "more than 1000000 numbers"),
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
        (loops.replace("x1", "x1*(i0+i1+i2+i3+i4+i5+i6+i7+i8+i9+i10+i11+i12+i13+i14+i15+i16+i17)"), "1000000 numbers"),
        ("sum(i, 1, 9999, logsumexp(j, 1, 400, x1*i*j))".into(), "1000000 numbers"),
        ("sum(i, 1, 9999, x1^i)".into(), "1000000 numbers"),
        (format!("{}x1", "x1+".repeat(30_000)), "bytes"),
        ("[".to_string() + &"x1,".repeat(9_999) + "x1][1]", "1000000 numbers"),
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
        "where(",
        "gamma_lpdf(",
        "logaddexp(",
        "~normal(",
        "<",
        "&&",
        "!",
        "#",
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

/// Checks that a branch that is not taken brings neither its value nor its derivative, where both are NaN or infinite, also where it was
/// named before: x = -1 and x = 0 in log x, sqrt x and 1/x. The control: without `where` they are there.
#[test]
fn branches_that_are_not_taken() {
    let score = |formula: &str, x: f64| {
        let (mut l, mut s) = ([0.0], Matrix::zeros(1, 1));
        compile(formula, 1, &[]).unwrap().evaluate_into(&Matrix::from_rows(&[[x]]), &mut l, &mut s);
        (l[0], s[(0, 0)])
    };
    for x in [-1.0, 0.0] {
        for f in ["log(x1)", "sqrt(x1)", "1/x1 + log(x1)", "x1^0.5", "lgamma(x1 - 0.5)", "logsumexp([log(x1), x1/x1])"]
        {
            assert_eq!(score(&format!("where(x1 > 0, {f}, 3*x1)"), x), (3.0 * x, 3.0), "{f}");
            assert_eq!(score(&format!("r = {f}; where(isfinite(r) && x1 > 0, r*r, 3*x1)"), x), (3.0 * x, 3.0), "{f}");
            let (value, slope) = score(f, x);
            assert!(!value.is_finite() || !slope.is_finite(), "{f} is finite at {x} by itself");
        }
    }
    assert_eq!(score("where(x1 > 0, log(x1), 3*x1)", 2.0), (2f64.ln(), 0.5));
}

/// (density of y = x1, support, other arguments).
const NORMALISED: &[(&str, f64, f64)] = &[
    ("normal_lpdf(x1, 0.5, 2)", -60.0, 60.0),
    ("student_t_lpdf(x1, 40, 0.5, 2)", -60.0, 60.0),
    ("laplace_lpdf(x1, 0, 1.5)", -60.0, 60.0),
    ("logistic_lpdf(x1, 0.5, 1.5)", -60.0, 60.0),
    ("half_normal_lpdf(x1, 2)", -1.0, 59.0),
    ("half_student_t_lpdf(x1, 40, 2)", -1.0, 59.0),
    ("exponential_lpdf(x1, 0.7)", -1.0, 59.0),
    ("gamma_lpdf(x1, 3, 0.7)", -1.0, 59.0),
    ("chi_square_lpdf(x1, 6)", -1.0, 119.0),
    ("weibull_lpdf(x1, 3, 2)", -1.0, 59.0),
    ("lognormal_lpdf(x1, 0.5, 0.5)", -1.0, 59.0),
    ("beta_lpdf(x1, 3, 4)", -1.0, 2.0),
    ("uniform_lpdf(x1, -1, 3)", -2.0, 4.0),
];

/// Checks that densities have mass 1, by Gauss-Legendre on 600 panels of 8 nodes whose edges are at their kinks: smooth between, so that
/// the error is that of rounding and of a tail below 1e-10; and those of heavy tails by their ratio to another at two points.
#[test]
fn densities_are_normalised() {
    let rule = GaussLegendre::new(8);
    for (formula, low, high) in NORMALISED {
        let p = compile(formula, 1, &[]).unwrap();
        let mass = rule.integrate(*low, *high, 600, |x| p.log_density(&Matrix::from_vec(1, 1, vec![x]))[0].exp());
        assert!((mass - 1.0).abs() < 1e-9, "{formula}: {mass}");
    }
    let x = 1.3f64;
    for (formula, value) in [
        ("cauchy_lpdf(1.3*x1/x1, 0, 2)", -(1.0 + x * x / 4.0).ln() - (2.0 * std::f64::consts::PI).ln()),
        ("half_cauchy_lpdf(1.3*x1/x1, 2)", -(1.0 + x * x / 4.0).ln() - std::f64::consts::PI.ln()),
        ("inv_gamma_lpdf(1.3*x1/x1, 3, 2)", 3.0 * 2f64.ln() - log_gamma(3.0) - 4.0 * x.ln() - 2.0 / x),
        ("dirichlet_lpdf([x1, 1 - x1], [2, 3])", 12f64.ln() + 0.5f64.ln() + 2.0 * 0.5f64.ln()),
        ("half_normal_lpdf(x2, 1)", f64::NEG_INFINITY),
    ] {
        let found = at(formula).unwrap();
        assert!(found == value || (found - value).abs() < 1e-12, "{formula}: {found}, not {value}");
    }
}

/// Checks that probabilities of counts add to 1 (Poisson and negative binomial to 200, beyond which less than 1e-15 is left).
#[test]
fn probabilities_add_up() {
    for (formula, last) in [
        ("poisson_lpmf(k, 3*x1*2)", 200),
        ("poisson_log_lpmf(k, x1*2)", 200),
        ("neg_binomial_2_lpmf(k, 6*x1, 4*x1)", 200),
        ("neg_binomial_2_log_lpmf(k, 2*x1, 4*x1)", 200),
        ("binomial_lpmf(k, 7, 0.6*x1)", 7),
        ("binomial_logit_lpmf(k, 7, 0.6*x1)", 7),
        ("bernoulli_lpmf(k, 0.6*x1)", 1),
        ("bernoulli_logit_lpmf(k, 0.6*x1)", 1),
        ("bernoulli_probit_lpmf(k, 0.6*x1)", 1),
    ] {
        let each = formula.replace("_lpmf(", "_lpmf_each(");
        let found = at(&format!("logsumexp(k, 0, {last}, {each})")).unwrap();
        assert!(found.abs() < 1e-12, "{formula}: log of the sum is {found}");
    }
}

/// Checks that parameters have their shapes and places, and generated quantities their values and names, in order.
#[test]
fn parameters_and_generated_quantities() {
    let table: toml::Table = toml::from_str(
        "mu = {}\ns = { lower = 0 }\nt = { size = \"J\" }\nZ = { size = [2, 3] }\nc = { size = 2, support = \"ordered\" }",
    )
    .unwrap();
    let constants = vec![("J".to_string(), Value::number(2.0))];
    let parameters = Parameters::of(&table, &constants).unwrap();
    let names = parameters.names();
    assert_eq!(names.join(" "), "mu s t[1] t[2] Z[1,1] Z[1,2] Z[1,3] Z[2,1] Z[2,2] Z[2,3] c[1] c[2]");
    let generated = [("twice", "2*mu"), ("rows", "dot(Z, [1, 10, 100])"), ("both", "twice + r")];
    let generated = generated.map(|(name, text)| (name.to_string(), text.to_string()));
    let text = "r = s*t[2]; Z ~ normal(mu, s); -mu^2 + c[1] + dim";
    let source = Source { text, dim: 12, parameters: Some(&parameters), constants: &constants, generated: &generated };
    let program = parser::compile(&source).unwrap();
    let x = Matrix::from_fn(3, 12, |i, j| (i + j) as f64);
    let out = program.generate(&x);
    assert_eq!(out.row(1)[..12], *x.row(1));
    assert_eq!(out.row(1)[12..], [2.0, 5.0 + 60.0 + 700.0, 8.0 + 90.0 + 1000.0, 2.0 + 2.0 * 4.0]);
    let names: Vec<String> = program.generated.iter().flat_map(|(names, _)| names.clone()).collect();
    assert_eq!(names, ["twice", "rows[1]", "rows[2]", "both"]);
    let wrong = [("bad".to_string(), "mu +".to_string())];
    let (part, mistake) = parser::compile(&Source { generated: &wrong, ..source }).unwrap_err();
    assert_eq!(part, Some(0), "{}", mistake.sentence);
    for (table, word) in [
        ("", "empty"),
        ("a = { sise = 3 }", "size, support, lower and upper"),
        ("a = { size = 0 }", "from 1"),
        ("a = { size = \"K\" }", "unknown number of the data 'K'"),
        ("a = { support = \"simplex\" }", "give it a size"),
        ("a = { support = \"positive\", lower = 0 }", "give one of them"),
        ("a = { size = 3, support = \"orderd\" }", "did you mean ordered"),
        ("a = { lower = 2, upper = 1 }", "interval from 2"),
    ] {
        let Err(why) = Parameters::of(&toml::from_str(table).unwrap(), &constants) else { panic!("{table}") };
        assert!(why.sentence.contains(word), "{table}: {}", why.sentence);
    }
}

/// Checks ends by formulas against the same density written by hand in the points behind them: log p with its Jacobian, the values in
/// samples, the way back (a rounding each), and the refusals.
#[test]
fn ends_by_formulas() {
    let table = |text: &str| -> toml::Table { toml::from_str(text).unwrap() };
    let parameters = Parameters::of(
        &table(
            "a = { lower = 0, upper = 1 }\nb = { lower = 0, upper = \"1 - a\" }\nc = { size = 2, lower = \"[a, y[2]*b]\" }\n\
             d = { upper = \"-a\" }\ne = { size = 2, lower = \"-b\", upper = 3 }",
        ),
        &[],
    )
    .unwrap();
    assert_eq!((parameters.bounded(), parameters.names().join(" ").as_str()), (Some("b"), "a b c[1] c[2] d e[1] e[2]"));
    let constants = vec![("y".to_string(), Value::vector(vec![1.0, 4.0]))];
    let source = |text, parameters| Source { text, dim: 7, parameters, constants: &constants, generated: &[] };
    let density = "log(a) + 2*log(b) + sum(c) - c[1]^2 + d + e[1]*e[2]";
    let program = parser::compile(&source(density, Some(&parameters))).unwrap();
    let by_hand = format!(
        "a = x1; b = (1 - x1)*x2; c = [a + x3, 4*b + x4]; d = -a - x5; e = -b + (3 + b)*x[6:7]; {density} + log(1 - a) + 2*log(3 + b)"
    );
    let by_hand = parser::compile(&source(&by_hand, None)).unwrap();
    let x = Matrix::from_fn(5, 7, |i, j| (0.1 + 0.13 * i as f64 + 0.07 * j as f64) % 1.0);
    let run = |program: &super::Program| {
        let tape = pushforward::autodiff::Tape::new();
        let x = tape.leaf(&x);
        let l = program.run(x);
        (l.value(), tape.gradient(l, &[x])[0].value())
    };
    let ((l, g), (m, h)) = (run(&program), run(&by_hand));
    for (a, b) in l.as_slice().iter().chain(g.as_slice()).zip(m.as_slice().iter().chain(h.as_slice())) {
        assert!((a - b).abs() < 1e-12 * (1.0 + b.abs()), "{a} {b}");
    }
    let values = program.generate(&x);
    let back = program.points(values.clone());
    for i in 0..5 {
        let (x, v) = (x.row(i), values.row(i));
        let b = (1.0 - x[0]) * x[1];
        let exact = [x[0], b, x[0] + x[2], 4.0 * b + x[3], -x[0] - x[4], -b + (3.0 + b) * x[5], -b + (3.0 + b) * x[6]];
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-14);
        assert!(near(v, &exact) && near(back.row(i), x), "{v:?} {exact:?} {:?} {x:?}", back.row(i));
        let jacobian = (1.0 - x[0]).ln() + 2.0 * (3.0 + b).ln();
        assert!((program.log_jacobian(&values_of(x))[0] - jacobian).abs() < 1e-14);
    }
    for (text, word) in [
        ("a = { upper = \"b\" }\nb = { upper = \"1\" }", "unknown name 'b'"),
        ("a = { upper = \"a\" }", "unknown name 'a'"),
        ("a = {}\nb = { upper = \"1 - \" }", "b has upper = \"1 - \""),
        ("a = {}\nb = { size = 2, upper = \"[a, a, a]\" }", "the shape of its parameter"),
    ] {
        let parameters = Parameters::of(&table(text), &[]).unwrap();
        let dim = parameters.chart().dim();
        let source = Source { text: "-a^2", dim, parameters: Some(&parameters), constants: &[], generated: &[] };
        let Err((_, mistake)) = parser::compile(&source) else { panic!("{text}") };
        assert!(mistake.sentence.contains(word), "{text}: {}", mistake.sentence);
    }
}

/// One row.
fn values_of(x: &[f64]) -> Matrix {
    Matrix::from_vec(1, x.len(), x.to_vec())
}
