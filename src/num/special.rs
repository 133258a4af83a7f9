//! Special functions of statistics: log Γ and its derivatives, the error function, the normal distribution function.

use super::elementary::{atan, exp, ln, ln_1p};
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// A special function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// log Γ(x), x > 0; +inf at 0, NaN below. Within 8 ε (1 + |log Γ(x)|).
    LogGamma,
    /// ψ_k(x) = d^(k+1)/dx^(k+1) log Γ(x), x > 0; NaN below. k = 0 is the digamma function, k = 1 the trigamma function. Within 8 ε (1 + |ψ|)
    /// for k = 0, 32 ε |ψ_k| above (k ≤ 6).
    Polygamma(u8),
    /// erf(x) = 2/√π ∫_0^x exp(-t²) dt. Within 4 ε |erf(x)|.
    Erf,
    /// Φ(x) = ∫_(-inf)^x φ(t) dt, φ(t) = exp(-t²/2)/√(2π). Within 16 ε Φ(x) where it is a normal number.
    NormalCdf,
    /// log Φ(x), also where Φ(x) underflows. Within 8 ε |log Φ(x)|.
    LogNormalCdf,
    /// φ(x)/Φ(x), the derivative of log Φ; -x for x → -inf. Within 16 ε of itself.
    InverseMills,
    /// atan(x).
    Atan,
}

impl Special {
    /// f(x).
    pub fn value(self, x: f64) -> f64 {
        match self {
            Special::LogGamma => log_gamma(x),
            Special::Polygamma(0) => digamma(x),
            Special::Polygamma(k) => polygamma(k, x),
            Special::Erf => erf(x),
            Special::NormalCdf => normal_cdf(x),
            Special::LogNormalCdf => log_normal_cdf(x),
            Special::InverseMills => inverse_mills(x),
            Special::Atan => atan(x),
        }
    }
}

/// 1 - γ, with Euler's γ.
const ONE_LESS_GAMMA: f64 = 0.42278433509846713;

/// (-1)^k (ζ(k) - 1)/k from k = 2: the series of log Γ(2 + t) beside (1 - γ) t (Abramowitz and Stegun 6.1.33).
const LOG_GAMMA: [f64; 28] = [
    0.3224670334241132,
    -0.0673523010531981,
    0.020580808427784546,
    -0.007385551028673986,
    0.0028905103307415234,
    -0.001192753911703261,
    0.0005096695247430425,
    -0.00022315475845357939,
    9.945751278180853e-05,
    -4.492623673813314e-05,
    2.050721277567069e-05,
    -9.439488275268397e-06,
    4.374866789907488e-06,
    -2.039215753801366e-06,
    9.55141213040742e-07,
    -4.492469198764566e-07,
    2.1207184805554665e-07,
    -1.0043224823968099e-07,
    4.7698101693639804e-08,
    -2.2711094608943164e-08,
    1.0838659214896955e-08,
    -5.183475041970047e-09,
    2.4836745438024785e-09,
    -1.1921401405860912e-09,
    5.731367241678862e-10,
    -2.7595228851242334e-10,
    1.330476437424449e-10,
    -6.4229645638381e-11,
];

/// Bernoulli numbers B_2, B_4, …, B_20.
const BERNOULLI: [f64; 10] = [
    0.16666666666666666,
    -0.03333333333333333,
    0.023809523809523808,
    -0.03333333333333333,
    0.07575757575757576,
    -0.2531135531135531,
    1.1666666666666667,
    -7.092156862745098,
    54.971177944862156,
    -529.1242424242424,
];

/// From here on Stirling's series is exact to rounding (its tenth term is below 1e-18).
const FAR: f64 = 10.0;

/// log Γ(x).
pub fn log_gamma(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x < 1.5 {
        // Γ(x) = Γ(x + 2)/(x (x + 1)) and Γ(x) = Γ(x + 1)/x; the logarithm of a number near 1 from its distance to it
        return if x < 0.5 { near_two(x) - ln_1p(x) - ln(x) } else { near_two(x - 1.0) - ln_1p(x - 1.0) };
    }
    if x < FAR {
        let (mut t, mut product) = (x, 1.0);
        while t > 2.5 {
            t -= 1.0;
            product *= t;
        }
        return near_two(t - 2.0) + ln(product);
    }
    // log Γ(x) = (x - 1/2) log x - x + log(2π)/2 + Σ B_2j / (2j (2j-1) x^(2j-1)) (Abramowitz and Stegun 6.1.40)
    if x > 1e300 {
        return x * (ln(x) - 1.0);
    }
    let inverse = 1.0 / (x * x);
    let term = |j: usize| BERNOULLI[j - 1] / ((2 * j) as f64 * (2 * j - 1) as f64);
    let series = (1..=9).rev().fold(0.0, |sum, j| sum * inverse + term(j)) / x;
    (x - 0.5) * (ln(x) - 1.0) + (0.5 * ln(2.0 * PI) - 0.5 + series)
}

/// log Γ(2 + t), |t| ≤ 1/2.
fn near_two(t: f64) -> f64 {
    t * (ONE_LESS_GAMMA + t * LOG_GAMMA.iter().rev().fold(0.0, |sum, c| sum * t + c))
}

/// ψ(x) = ψ(x + n) - Σ_(k<n) 1/(x + k), then log x - 1/(2x) - Σ B_2j/(2j x^2j) (Abramowitz and Stegun 6.3.5, 6.3.18).
pub fn digamma(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    let (mut at, mut sum) = (x, 0.0);
    while at < FAR {
        sum += 1.0 / at;
        at += 1.0;
    }
    let inverse = 1.0 / (at * at);
    let series = (1..=9).rev().fold(0.0, |sum, j| sum * inverse + BERNOULLI[j - 1] / (2 * j) as f64) * inverse;
    ln(at) - 0.5 / at - series - sum
}

/// ψ_k(x) for k ≥ 1: (-1)^(k+1) of the positive sum k! Σ_n (x + n)^-(k+1), whose tail is
/// (k-1)!/x^k + k!/(2 x^(k+1)) + Σ_j B_2j (2j+k-1)!/((2j)! x^(2j+k)) (Abramowitz and Stegun 6.4.6, 6.4.11).
fn polygamma(k: u8, x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    let k = i32::from(k);
    let factorial = |n: i32| (1..=n).map(f64::from).product::<f64>();
    let (mut at, mut sum) = (x, 0.0);
    while at < FAR + f64::from(k) {
        sum += factorial(k) * at.powi(-k - 1);
        at += 1.0;
    }
    let mut tail = factorial(k - 1) * at.powi(-k) + 0.5 * factorial(k) * at.powi(-k - 1);
    for (j, b) in (1..).zip(BERNOULLI) {
        tail += b * factorial(2 * j + k - 1) / factorial(2 * j) * at.powi(-2 * j - k);
    }
    if k % 2 == 1 { sum + tail } else { -(sum + tail) }
}

/// Coefficients of (1 + 2x) erfcx(x) in Chebyshev polynomials of (x - K)/(x + K), for x ≥ 0, as Schonfelder (1978) chose the variable;
/// computed with 60 digits. The next one is 3e-20.
const ERFCX: [f64; 27] = [
    1.1775789345674017,
    -0.004590054580646478,
    -0.08424913336651792,
    0.05920993999819189,
    -0.026658668435305753,
    0.009074997670705265,
    -0.002413163540417608,
    0.0004907758365258086,
    -6.916973302501207e-05,
    4.13902798607301e-06,
    7.74038306619849e-07,
    -2.1886401049234397e-07,
    1.076499946567091e-08,
    4.521959811218287e-09,
    -7.754400208831351e-10,
    -6.318088340886684e-11,
    2.86879501093067e-11,
    1.9455868545777347e-13,
    -9.65469674843344e-13,
    3.25254814814874e-14,
    3.3478119482868056e-14,
    -1.864562880419313e-15,
    -1.2507950530688648e-15,
    7.418235256624044e-17,
    5.068148904796111e-17,
    -2.2370566594359995e-18,
    -2.187342944303018e-18,
];

/// K of the table.
const ERFCX_K: f64 = 3.75;

/// erfcx(x) = exp(x²) erfc(x) for x ≥ 0, by Clenshaw's recurrence.
fn erfcx(x: f64) -> f64 {
    if x == f64::INFINITY {
        return 0.0;
    }
    let t = 2.0 * ((x - ERFCX_K) / (x + ERFCX_K));
    let (a, b) = ERFCX[1..].iter().rev().fold((0.0, 0.0), |(a, b), c| (t * a - b + c, a));
    (0.5 * t * a - b + ERFCX[0]) / (1.0 + 2.0 * x)
}

/// exp(-x²/2): the square is split, because its rounding would be multiplied by x².
fn exp_half_square(x: f64) -> f64 {
    let near = (x * 16.0).trunc() / 16.0;
    exp(-0.5 * near * near) * exp(-0.5 * (x - near) * (x + near))
}

fn erf(x: f64) -> f64 {
    let size = x.abs();
    if size.is_nan() || size > 6.0 {
        return if x.is_nan() { x } else { x.signum() };
    }
    if size < 1.0 {
        // 2/√π exp(-x²) Σ_n 2^n x^(2n+1)/(1·3⋯(2n+1)): no term is negative
        let (mut sum, mut term) = (x, x);
        for n in 1..30 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        return 2.0 / PI.sqrt() * exp(-x * x) * sum;
    }
    (1.0 - exp(-x * x) * erfcx(size)).copysign(x)
}

/// Φ(-z) for z ≥ 0.
fn upper_tail(z: f64) -> f64 {
    if z > 40.0 { 0.0 } else { 0.5 * exp_half_square(z) * erfcx(z * FRAC_1_SQRT_2) }
}

fn normal_cdf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x > 0.0 { 1.0 - upper_tail(x) } else { upper_tail(-x) }
}

fn log_normal_cdf(x: f64) -> f64 {
    if x.is_nan() || x == f64::NEG_INFINITY {
        return x;
    }
    if x > 0.0 { ln_1p(-upper_tail(x)) } else { ln(0.5 * erfcx(-x * FRAC_1_SQRT_2)) - 0.5 * x * x }
}

fn inverse_mills(x: f64) -> f64 {
    match x {
        _ if x.is_nan() => x,
        f64::NEG_INFINITY => f64::INFINITY,
        _ if x > 40.0 => 0.0,
        _ if x > 0.0 => exp_half_square(x) / (2.0 * PI).sqrt() / normal_cdf(x),
        _ => (2.0 / PI).sqrt() / erfcx(-x * FRAC_1_SQRT_2),
    }
}
