//! Functions of one variable typed as formulas, with their Taylor coefficients in as many digits as asked for.

use crate::num::Big;

/// A function of one variable.
#[derive(Debug, Clone)]
pub(super) enum Expression {
    Number(f64),
    Variable,
    Negative(Box<Expression>),
    Binary(char, Box<Expression>, Box<Expression>),
    Call(Function, Box<Expression>),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Function {
    Log,
    Exp,
    Sqrt,
}

/// Taylor coefficients of order 0, 1 and 2 at a point.
pub(super) type Jet = [Big; 3];

impl Expression {
    /// The Taylor coefficients where the variable has those of `u`.
    pub(super) fn at(&self, u: &Jet) -> std::result::Result<Jet, String> {
        let number = |x: f64| [u[2].add(&big(u, x)), big(u, 0.0), big(u, 0.0)];
        Ok(match self {
            Expression::Number(x) => number(*x),
            Expression::Variable => u.clone(),
            Expression::Negative(a) => a.at(u)?.map(|c| c.neg()),
            Expression::Binary('^', a, b) => match **b {
                Expression::Number(k) if k.fract() == 0.0 && k.abs() <= 64.0 => whole_power(&a.at(u)?, k as i32, u)?,
                _ => exp(&product(&log(&a.at(u)?)?, &b.at(u)?))?,
            },
            Expression::Binary(operator, a, b) => {
                let (a, b) = (a.at(u)?, b.at(u)?);
                match operator {
                    '+' => std::array::from_fn(|k| a[k].add(&b[k])),
                    '-' => std::array::from_fn(|k| a[k].sub(&b[k])),
                    '*' => product(&a, &b),
                    _ => quotient(&a, &b)?,
                }
            }
            Expression::Call(Function::Log, a) => log(&a.at(u)?)?,
            Expression::Call(Function::Exp, a) => exp(&a.at(u)?)?,
            Expression::Call(Function::Sqrt, a) => sqrt(&a.at(u)?)?,
        })
    }
}

fn big(like: &Jet, x: f64) -> Big {
    like[0].same_length(x)
}

fn product(a: &Jet, b: &Jet) -> Jet {
    let first = a[0].mul(&b[1]).add(&a[1].mul(&b[0]));
    [a[0].mul(&b[0]), first, a[0].mul(&b[2]).add(&a[1].mul(&b[1])).add(&a[2].mul(&b[0]))]
}

fn quotient(a: &Jet, b: &Jet) -> std::result::Result<Jet, String> {
    if b[0].is_zero() {
        return Err("a quotient by 0".into());
    }
    let q0 = a[0].div(&b[0]);
    let q1 = a[1].sub(&q0.mul(&b[1])).div(&b[0]);
    let q2 = a[2].sub(&q0.mul(&b[2])).sub(&q1.mul(&b[1])).div(&b[0]);
    Ok([q0, q1, q2])
}

fn log(a: &Jet) -> std::result::Result<Jet, String> {
    if !a[0].is_positive() {
        return Err(format!("a logarithm of {:.3e}", a[0].to_f64()));
    }
    let l1 = a[1].div(&a[0]);
    let half = l1.mul(&l1).mul(&big(a, 0.5));
    Ok([a[0].ln(), l1, a[2].div(&a[0]).sub(&half)])
}

fn exp(a: &Jet) -> std::result::Result<Jet, String> {
    // e^-1e9 and its derivatives are 0 beside any number that can be typed
    if a[0].to_f64() < -1e9 {
        return Ok([big(a, 0.0), big(a, 0.0), big(a, 0.0)]);
    }
    let e0 = a[0].exp().ok_or_else(|| format!("an exponential of {:.3e}", a[0].to_f64()))?;
    let half = a[1].mul(&a[1]).mul(&big(a, 0.5));
    Ok([e0.clone(), e0.mul(&a[1]), e0.mul(&a[2].add(&half))])
}

fn sqrt(a: &Jet) -> std::result::Result<Jet, String> {
    if !a[0].is_positive() {
        return Err(format!("a square root of {:.3e}", a[0].to_f64()));
    }
    let s0 = a[0].sqrt();
    let twice = s0.add(&s0);
    let s1 = a[1].div(&twice);
    let s2 = a[2].sub(&s1.mul(&s1)).div(&twice);
    Ok([s0, s1, s2])
}

/// a^k by squaring.
fn whole_power(a: &Jet, k: i32, u: &Jet) -> std::result::Result<Jet, String> {
    let one = [big(u, 1.0), big(u, 0.0), big(u, 0.0)];
    let (mut power, mut square, mut rest) = (one.clone(), a.clone(), k.unsigned_abs());
    while rest > 0 {
        if rest % 2 == 1 {
            power = product(&power, &square);
        }
        rest /= 2;
        square = product(&square, &square);
    }
    if k < 0 { quotient(&one, &power) } else { Ok(power) }
}
