//! Floating-point numbers of any precision, for what is computed once and must not lose digits to cancellation. Slow and short.

use super::elementary::ln;
use std::cmp::Ordering;
use std::f64::consts::LN_2;

/// ± 0.m × 2^exponent, with a mantissa m of L 32-bit digits, the most significant first and with its top bit set; 0 has no digit set.
/// Results are truncated: each operation has a relative error of at most a few 2^-32L.   Source: Knuth, The Art of Computer Programming 2, 4.3.
#[derive(Debug, Clone, PartialEq)]
pub struct Big {
    negative: bool,
    exponent: i64,
    digits: Vec<u32>,
}

impl Big {
    /// A finite number in double precision, with L = `length` digits.
    pub fn new(x: f64, length: usize) -> Self {
        assert!(x.is_finite() && length >= 3, "Big::new: {x} with {length} digits");
        let (bits, mut digits) = (x.abs().to_bits(), vec![0; length]);
        // m 2^e with a whole number m
        let (m, e) = match (bits >> 52, bits & ((1 << 52) - 1)) {
            (0, m) => (m, -1074),
            (e, m) => (m | (1 << 52), e as i64 - 1075),
        };
        (digits[0], digits[1]) = ((m >> 32) as u32, m as u32);
        Self { negative: x < 0.0, exponent: e + 64, digits }.normal()
    }

    fn length(&self) -> usize {
        self.digits.len()
    }

    /// x in double precision with as many digits as this number.
    pub fn same_length(&self, x: f64) -> Self {
        Self::new(x, self.length())
    }

    /// Whether it is 0.
    pub fn is_zero(&self) -> bool {
        self.digits[0] == 0
    }

    /// Whether it is above 0.
    pub fn is_positive(&self) -> bool {
        !self.negative && !self.is_zero()
    }

    /// Shifts the top bit up.
    fn normal(mut self) -> Self {
        let Some(first) = self.digits.iter().position(|d| *d != 0) else {
            return Self { negative: false, exponent: 0, ..self };
        };
        self.digits.rotate_left(first);
        self.exponent -= 32 * first as i64;
        let shift = self.digits[0].leading_zeros();
        if shift > 0 {
            let next: Vec<u32> = self.digits[1..].iter().copied().chain([0]).collect();
            self.digits.iter_mut().zip(next).for_each(|(d, n)| *d = *d << shift | n >> (32 - shift));
            self.exponent -= i64::from(shift);
        }
        self
    }

    /// x.
    pub fn to_f64(&self) -> f64 {
        let m = self.digits[..3].iter().fold(0.0, |sum, d| sum * 2f64.powi(32) + f64::from(*d)) * 2f64.powi(-96);
        // in two factors, so that neither overflows
        let half = self.exponent.clamp(-4_000, 4_000) / 2;
        let value = m * 2f64.powi(half as i32) * 2f64.powi((self.exponent.clamp(-4_000, 4_000) - half) as i32);
        if self.negative { -value } else { value }
    }

    /// log |x| in double precision, whatever the size of x; -inf for 0.
    pub fn log_size(&self) -> f64 {
        let m = Self { negative: false, exponent: 0, ..self.clone() };
        ln(m.to_f64()) + self.exponent as f64 * LN_2
    }

    /// -x.
    pub fn neg(&self) -> Self {
        Self { negative: !self.negative && !self.is_zero(), ..self.clone() }
    }

    /// x 2^k.
    fn scaled(&self, k: i64) -> Self {
        if self.is_zero() { self.clone() } else { Self { exponent: self.exponent + k, ..self.clone() } }
    }

    /// |x| against |y|.
    fn compare_sizes(&self, y: &Self) -> Ordering {
        match (self.is_zero(), y.is_zero()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            _ => self.exponent.cmp(&y.exponent).then_with(|| self.digits.cmp(&y.digits)),
        }
    }

    /// x + y.
    pub fn add(&self, y: &Self) -> Self {
        let (a, b) = if self.compare_sizes(y) == Ordering::Less { (y, self) } else { (self, y) };
        if b.is_zero() {
            return a.clone();
        }
        let (n, gap) = (a.length(), (a.exponent - b.exponent) as u64);
        if gap >= 32 * (n as u64 + 1) {
            return a.clone();
        }
        // both with a guard digit below and a carry digit above
        let (words, bits) = ((gap / 32) as usize, (gap % 32) as u32);
        let digit = |k: usize| if k < n { u64::from(b.digits[k]) } else { 0 };
        let aligned = |k: usize| {
            let at = |k: usize| if k >= words { digit(k - words) } else { 0 };
            let above = if k > 0 { at(k - 1) } else { 0 };
            ((above << 32 | at(k)) >> bits) as u32
        };
        let mut sum = vec![0u32; n + 2];
        let mut carry = 0i64;
        for k in (0..=n).rev() {
            let (x, y) = (if k < n { i64::from(a.digits[k]) } else { 0 }, i64::from(aligned(k)));
            let total = if a.negative == b.negative { x + y + carry } else { x - y + carry };
            sum[k + 1] = total as u32;
            carry = total >> 32;
        }
        sum[0] = carry as u32;
        let wide = Self { negative: a.negative, exponent: a.exponent + 32, digits: sum }.normal();
        Self { digits: wide.digits[..n].to_vec(), ..wide }
    }

    /// x - y.
    pub fn sub(&self, y: &Self) -> Self {
        self.add(&y.neg())
    }

    /// x y.
    pub fn mul(&self, y: &Self) -> Self {
        let n = self.length();
        let mut product = vec![0u32; 2 * n];
        for i in (0..n).rev() {
            let mut carry = 0u64;
            for j in (0..n).rev() {
                let total = u64::from(self.digits[i]) * u64::from(y.digits[j]) + u64::from(product[i + j + 1]) + carry;
                product[i + j + 1] = total as u32;
                carry = total >> 32;
            }
            product[i] = carry as u32;
        }
        let exponent = self.exponent + y.exponent;
        let wide = Self { negative: self.negative != y.negative, exponent, digits: product }.normal();
        Self { digits: wide.digits[..n].to_vec(), ..wide }
    }

    /// x / y, y ≠ 0: Newton's z ← z + z (1 - y z) from double precision.
    pub fn div(&self, y: &Self) -> Self {
        let m = Self { exponent: 0, ..y.clone() };
        let mut z = self.same_length(1.0 / m.to_f64());
        let one = self.same_length(1.0);
        for _ in 0..self.rounds() {
            z = z.add(&z.mul(&one.sub(&m.mul(&z))));
        }
        self.mul(&z).scaled(-y.exponent)
    }

    /// x / k, k ≥ 1, digit by digit.
    fn div_small(&self, k: u32) -> Self {
        let mut rest = 0u64;
        // one digit more, for the shift that follows
        let digit = |d: u32| {
            let total = rest << 32 | u64::from(d);
            rest = total % u64::from(k);
            (total / u64::from(k)) as u32
        };
        let digits: Vec<u32> = self.digits.iter().copied().chain([0]).map(digit).collect();
        let wide = Self { digits, ..self.clone() }.normal();
        Self { digits: wide.digits[..self.length()].to_vec(), ..wide }
    }

    /// Rounds of a Newton iteration that doubles 48 right bits up to all of them.
    fn rounds(&self) -> usize {
        (1..).find(|k| 48 << k >= 32 * self.length()).unwrap_or(1)
    }

    /// √x, x ≥ 0: Newton's z ← z + z (1 - x z²)/2 for 1/√x.
    pub fn sqrt(&self) -> Self {
        if self.is_zero() {
            return self.clone();
        }
        let odd = self.exponent.rem_euclid(2);
        let m = Self { exponent: odd, ..self.clone() };
        let mut z = self.same_length(1.0 / m.to_f64().sqrt());
        let one = self.same_length(1.0);
        for _ in 0..self.rounds() {
            z = z.add(&z.mul(&one.sub(&m.mul(&z.mul(&z)))).scaled(-1));
        }
        m.mul(&z).scaled((self.exponent - odd) / 2)
    }

    /// log 2 = Σ_{k odd} 2/(k 3^k).
    fn ln_2(&self) -> Self {
        let (mut power, mut sum) = (self.same_length(2.0).div_small(3), self.same_length(0.0));
        for k in (1..).step_by(2) {
            sum = sum.add(&power.div_small(k));
            power = power.div_small(9);
            if power.exponent < -32 * self.length() as i64 {
                break;
            }
        }
        sum
    }

    /// e^x; None where |x| is so large that the exponent says nothing, above 2^40.
    pub fn exp(&self) -> Option<Self> {
        if self.exponent > 40 {
            return None;
        }
        let ln_2 = self.ln_2();
        let k = (self.to_f64() / LN_2).round();
        // e^x = 2^k (e^(y/2^s))^(2^s), with two digits more for the squarings
        let s = 16;
        let y = self.sub(&ln_2.mul(&self.same_length(k))).scaled(-s);
        let (mut term, mut sum) = (self.same_length(1.0), self.same_length(1.0));
        for j in 1.. {
            term = term.mul(&y).div_small(j);
            sum = sum.add(&term);
            if term.is_zero() || term.exponent < -32 * self.length() as i64 {
                break;
            }
        }
        (0..s).for_each(|_| sum = sum.mul(&sum));
        Some(sum.scaled(k as i64))
    }

    /// log x, x > 0: Newton's y ← y + 2 (m - e^y)/(m + e^y), which triples the right digits, on the mantissa.
    pub fn ln(&self) -> Self {
        // a mantissa about 1, so that log 1 is 0 and nothing cancels near it
        let near = self.digits[0] > 0xb504_f333;
        let (m, k) = if near { (0, self.exponent) } else { (1, self.exponent - 1) };
        let m = Self { exponent: m, ..self.clone() };
        let mut y = self.same_length(ln(m.to_f64()));
        let mut right = 45;
        while right < 32 * self.length() + 32 {
            let Some(e) = y.exp() else { break };
            y = y.add(&m.sub(&e).div(&m.add(&e)).scaled(1));
            right *= 3;
        }
        y.add(&self.ln_2().mul(&self.same_length(k as f64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks each operation by an identity that it does not use, at 4 and at 12 digits: the error is below 2^24 units in the last place
    /// (the squarings of the exponential cost 2^16), and so falls with the length. Sizes from 1e-200 to 1e200.
    #[test]
    fn identities() {
        for length in [4, 12] {
            let allowed = 2f64.powi(24 - 32 * length as i32).ln();
            let near = |a: &Big, b: &Big, what: &str| {
                let gap = a.sub(b);
                assert!(
                    gap.is_zero() || gap.log_size() - b.log_size() < allowed,
                    "{what}: {} {}",
                    a.to_f64(),
                    b.to_f64()
                );
            };
            for (x, y) in [(3.7, -0.21), (1e200, 3.0), (7e-200, 1e150), (-12.25, -12.0), (1.0, 1.0 + 1e-9)] {
                let (a, b) = (Big::new(x, length), Big::new(y, length));
                assert_eq!((a.to_f64(), b.neg().to_f64()), (x, -y));
                near(&a.add(&b).sub(&b).add(&b), &a.add(&b), "sum");
                near(&a.div(&b).mul(&b), &a, "quotient");
                near(&a.add(&b).mul(&a.sub(&b)), &a.mul(&a).sub(&b.mul(&b)), "product");
                near(&a.mul(&a).sqrt(), &if x < 0.0 { a.neg() } else { a.clone() }, "root");
                let size = a.mul(&a);
                near(&size.ln().exp().unwrap(), &size, "logarithm");
            }
            let (a, b) = (Big::new(1.3, length), Big::new(-40.6, length));
            near(&a.add(&b).exp().unwrap(), &a.exp().unwrap().mul(&b.exp().unwrap()), "exponential");
        }
        // log 2 is 2.319046813846299558e-17 above its double (from the expansion 0.693147180559945309417232…)
        let ln_2 = Big::new(2.0, 4).ln();
        assert_eq!(ln_2.to_f64(), LN_2);
        let rest = ln_2.sub(&Big::new(LN_2, 4)).to_f64();
        assert!((rest / 2.319_046_813_846_3e-17 - 1.0).abs() < 1e-9);
        assert!(Big::new(1e30, 4).exp().is_none() && Big::new(1.0, 4).ln().is_zero());
    }
}
