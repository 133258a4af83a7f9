//! Divergences typed as formulas: f(u) = … or w(u) = ….

use super::Custom;
use super::expression::{Expression, Function};
use crate::num::{self, Big, Chebyshev};
use crate::{Error, Result};

/// f'' > 0 is asked for at u from e^-40 to e^40.
const REACH: f64 = 40.0;
/// Lengths of the numbers that are tried until two agree, in digits of 32 bits: Le Cam's f loses 115 bits at the ends.
const LENGTHS: [usize; 4] = [6, 9, 14, 21];
/// Panels of the table in each unit of l that are tried, and the error in log w between their nodes that is let pass.
const PANELS: [usize; 4] = [1, 2, 4, 8];
const RESOLVED: f64 = 1e-12;
/// Largest change of log w over a panel: f, made of w, has as many digits then; and largest log w for |l| up to [`Custom`]'s 60, so that neither
/// w nor f overflows there.
const STEEPEST: f64 = 4.0;
const LARGEST: f64 = 690.0;
/// Longest formula and deepest nesting.
const LONGEST: usize = 1_000;
const DEEPEST: usize = 60;

/// A divergence from "f(u) = …" or "w(u) = …" (also in r): numbers, the variable, + - * / ^, parentheses, log, exp, sqrt.
///
/// From f only w = u² f'' is kept, so that an affine part c (u - 1) does not matter. It is computed from Taylor coefficients with as many
/// digits as agree with more, at 16 Chebyshev points in each unit of l = log u from -40 to 40, or in each eighth where w changes fast; log w
/// is interpolated there (relative error of w at most 1e-12 (1 + |log w|), and about 1e-14 for the rows of the table) and goes on with the
/// slopes at the ends, T7's exponents.
///
/// Errors: `Error::Unsupported` with the place in the formula, or where w is not positive and finite, or changes too fast.
pub fn parse(text: &str) -> Result<Custom> {
    let (head, body) = text.split_once('=').ok_or_else(|| bad(text, "has no '='"))?;
    let head: String = head.split_whitespace().collect();
    let (is_weight, variable) = match head.as_str() {
        "f(u)" => (false, 'u'),
        "w(u)" => (true, 'u'),
        "f(r)" => (false, 'r'),
        "w(r)" => (true, 'r'),
        _ => return Err(bad(text, "does not begin with f(u) or w(u)")),
    };
    if text.len() > LONGEST {
        let start: String = text.chars().take(40).collect();
        return Err(bad(&start, &format!("is longer than {LONGEST} characters")));
    }
    let expression = Parser { text, rest: body, variable }.whole()?;
    let text = text.trim();
    let exact = |l: &f64| {
        log_weight(&expression, is_weight, *l).map_err(|what| Error::Unsupported {
            what: format!("the divergence '{text}' has {what} at {variable} = e^{l:.2} = {:.4e}", num::exp(*l)),
            remedy: "give an f with f'' > 0, or a weight w > 0, everywhere from e^-40 to e^40",
        })
    };
    let written: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut worst = 0.0;
    for panels in PANELS {
        let table = Table::new(panels, exact)?;
        // the middle and the ends of panels are no nodes: a zero or a kink of w between nodes shows there
        let probes: Vec<f64> =
            (0..=4 * REACH as usize * panels).map(|k| k as f64 * 0.5 / panels as f64 - REACH).collect();
        let truth = crate::parallel::collect(probes.iter(), exact).into_iter().collect::<Result<Vec<f64>>>()?;
        let gap = |(l, v): (&f64, &f64)| ((table.value(*l) - v).abs() / v.abs().max(1.0), *l);
        let largest = probes.iter().zip(&truth).map(gap).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default();
        let steepest = truth.windows(3).map(|v| (v[2] - v[0]).abs()).fold(0.0, f64::max);
        if largest.0 <= RESOLVED && steepest <= STEEPEST {
            if let Some(l) = [-60.0, 60.0].into_iter().find(|l| table.value(*l) > LARGEST) {
                let what = format!("the divergence '{text}' has w = e^{:.0} at {variable} = e^{l}", table.value(l));
                return Err(Error::Unsupported { what, remedy: "give a weight that stays in double precision there" });
            }
            let (low, high) = table.ends;
            let custom = Custom::from_log_weight(written.clone(), written, move |l| table.value(l))?;
            return Ok(custom.with_ends(low, high).with_panels(panels));
        }
        worst = largest.1;
    }
    let name = if is_weight { "w" } else { "f''" };
    Err(Error::Unsupported {
        what: format!(
            "the divergence '{text}' has {name} that is 0, or has a kink, or changes by its size within some hundredths of log {variable}, near \
             {variable} = e^{worst:.2} = {:.4e}",
            num::exp(worst)
        ),
        remedy: "give an f with f'' > 0, or a weight w > 0, that is smooth in log r",
    })
}

/// log w at u = e^l, w = u² f'' or given, in as many digits as it takes.
fn log_weight(expression: &Expression, is_weight: bool, l: f64) -> std::result::Result<f64, String> {
    let name = if is_weight { "w" } else { "f''" };
    let mut last: Option<f64> = None;
    for length in LENGTHS {
        let u = Big::new(l, length).exp().ok_or("no value")?;
        // in units of u, so that the coefficient of order 2 is u² f''/2
        let jet = expression.at(&[u.clone(), u, Big::new(0.0, length)])?;
        let w = if is_weight { jet[0].clone() } else { jet[2].add(&jet[2]) };
        if w.is_positive() {
            let value = w.log_size();
            if last.is_some_and(|last| (last - value).abs() <= 4.0 * f64::EPSILON * value.abs().max(1.0)) {
                return Ok(value);
            }
            last = Some(value);
        } else if last.is_none() && length == LENGTHS[LENGTHS.len() - 1] {
            let value = if is_weight { w.to_f64() } else { w.to_f64() * num::exp(-2.0 * l) };
            return Err(format!("{name} = {value:.3e}, which is not positive,"));
        } else {
            last = None;
        }
    }
    Err(format!("no digit of {name} that can be relied on"))
}

/// log w from -40 to 40, and its slopes at the ends.
struct Table {
    /// As a function of `panels` l.
    inside: Chebyshev,
    panels: f64,
    ends: (f64, f64),
}

impl Table {
    /// Of the exact log w, with so many panels in each unit.
    fn new(panels: usize, exact: impl Fn(&f64) -> Result<f64> + Sync) -> Result<Self> {
        let (scale, reach) = (panels as f64, REACH * panels as f64);
        let nodes = Chebyshev::nodes(-reach, 2 * reach as usize);
        let values = crate::parallel::collect(nodes.iter(), |s| exact(&(s / scale)));
        let values = values.into_iter().collect::<Result<Vec<f64>>>()?;
        let mut table = Self { inside: Chebyshev::new(-reach, &values), panels: scale, ends: (0.0, 0.0) };
        // over the last eight units of l, where log w is linear up to terms of e^-32
        let slope = |a: f64, b: f64| (table.value(b) - table.value(a)) / (b - a);
        table.ends = (slope(-REACH, 8.0 - REACH), slope(REACH - 8.0, REACH));
        Ok(table)
    }

    /// log w(e^l); linear beyond the reach.
    fn value(&self, l: f64) -> f64 {
        let beyond = l - l.clamp(-REACH, REACH);
        let slope = if l < 0.0 { self.ends.0 } else { self.ends.1 };
        self.inside.at(self.panels * l) + if beyond == 0.0 { 0.0 } else { beyond * slope }
    }
}

/// What is left of a formula, from where it is read.
struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    variable: char,
}

impl Parser<'_> {
    fn whole(mut self) -> Result<Expression> {
        let expression = self.sum(0)?;
        match self.peek() {
            None => Ok(expression),
            Some(_) => Err(self.mistake("is not expected here")),
        }
    }

    /// The next character that is not a space.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn take(&mut self, one_of: &[char]) -> Option<char> {
        let next = self.peek().filter(|c| one_of.contains(c))?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn mistake(&self, what: &str) -> Error {
        let column = self.text.len() - self.rest.len() + 1;
        let found = self.rest.chars().next().map_or("its end".into(), |c| format!("'{c}' in column {column}"));
        bad(self.text, &format!("cannot be read: {found} {what}"))
    }

    fn sum(&mut self, depth: usize) -> Result<Expression> {
        if depth > DEEPEST {
            return Err(bad(self.text, &format!("is nested deeper than {DEEPEST}")));
        }
        let mut left = self.term(depth)?;
        while let Some(operator) = self.take(&['+', '-']) {
            left = Expression::Binary(operator, Box::new(left), Box::new(self.term(depth)?));
        }
        Ok(left)
    }

    fn term(&mut self, depth: usize) -> Result<Expression> {
        let mut left = self.factor(depth)?;
        while let Some(operator) = self.take(&['*', '/']) {
            left = Expression::Binary(operator, Box::new(left), Box::new(self.factor(depth)?));
        }
        Ok(left)
    }

    /// A sign binds less than a power: -u^2 is -(u²).
    fn factor(&mut self, depth: usize) -> Result<Expression> {
        match self.take(&['+', '-']) {
            Some(_) if depth > DEEPEST => Err(bad(self.text, &format!("is nested deeper than {DEEPEST}"))),
            Some('-') => Ok(match self.factor(depth + 1)? {
                Expression::Number(x) => Expression::Number(-x),
                other => Expression::Negative(Box::new(other)),
            }),
            Some(_) => self.factor(depth + 1),
            None => {
                let base = self.atom(depth)?;
                if self.take(&['^']).is_none() {
                    return Ok(base);
                }
                Ok(Expression::Binary('^', Box::new(base), Box::new(self.factor(depth + 1)?)))
            }
        }
    }

    fn atom(&mut self, depth: usize) -> Result<Expression> {
        if self.take(&['(']).is_some() {
            return self.closed(depth);
        }
        let first = self.peek().ok_or_else(|| self.mistake("where a number, the variable or a function should be"))?;
        if first.is_ascii_digit() || first == '.' {
            return self.number();
        }
        let word: String = self.rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let function = match word.as_str() {
            "log" | "ln" => Function::Log,
            "exp" => Function::Exp,
            "sqrt" => Function::Sqrt,
            name if name == self.variable.to_string() => {
                self.rest = &self.rest[1..];
                return Ok(Expression::Variable);
            }
            _ => return Err(self.mistake(&format!("is neither a number, {}, log, exp nor sqrt", self.variable))),
        };
        self.rest = &self.rest[word.len()..];
        if self.take(&['(']).is_none() {
            return Err(self.mistake("where a '(' should be"));
        }
        Ok(Expression::Call(function, Box::new(self.closed(depth)?)))
    }

    /// An expression and its closing parenthesis.
    fn closed(&mut self, depth: usize) -> Result<Expression> {
        let inner = self.sum(depth + 1)?;
        if self.take(&[')']).is_none() {
            return Err(self.mistake("where a ')' should be"));
        }
        Ok(inner)
    }

    fn number(&mut self) -> Result<Expression> {
        let bytes = self.rest.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
        let mut end = digits(0);
        if bytes.get(end).is_some_and(|b| matches!(b, b'e' | b'E')) {
            let sign = usize::from(bytes.get(end + 1).is_some_and(|b| matches!(b, b'+' | b'-')));
            let more = digits(end + 1 + sign);
            end += if more > 0 { 1 + sign + more } else { 0 };
        }
        let value = self.rest[..end].parse::<f64>().ok().filter(|v| v.is_finite());
        let value = value.ok_or_else(|| self.mistake("does not begin a finite number"))?;
        self.rest = &self.rest[end..];
        Ok(Expression::Number(value))
    }
}

fn bad(text: &str, what: &str) -> Error {
    Error::Unsupported {
        what: format!("the divergence '{}' {what}", text.trim()),
        remedy: "write 'f(u) = u*log(u)' or 'w(u) = u^0.7', with numbers, + - * / ^ ( ), log, exp and sqrt",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::divergence::{Divergence, all_divergences, check};

    /// f of each row of the table, typed.
    const TYPED: [(&str, &str); 10] = [
        ("reverse-kl", "f(u) = -log(u)"),
        ("forward-kl", "f(u) = u*log(u)"),
        ("jeffreys", "f(u) = (u - 1)*log(u)"),
        ("pearson", "f(u) = (u - 1)^2"),
        ("neyman", "f(u) = (1 - u)^2/u"),
        ("hellinger", "f(u) = (sqrt(u) - 1)^2"),
        ("jensen-shannon", "f(u) = (u*log(u) - (1+u)*log((1+u)/2))/2"),
        ("gan", "f(u) = u*log(u) - (1+u)*log(1+u) + 2*log(2)"),
        ("le-cam", "f(u) = (u - 1)^2/(u + 1)"),
        ("alpha:0.3", "f(u) = (u^0.3 - 1)/(0.3*(0.3 - 1))"),
    ];

    /// Checks that every row of the table, typed as a formula, has its weight to 1e-12 (up to the constant that the table's f may have
    /// beside it) at l from -60 to 60, beyond the reach of the table too; its slopes at the ends; and that all laws of a divergence hold.
    /// Control: a row differs from the next.
    #[test]
    fn rows_of_the_table() {
        let all = all_divergences();
        assert_eq!(all.len(), TYPED.len());
        for (k, (name, text)) in TYPED.iter().enumerate() {
            let typed = parse(text).unwrap();
            let table = all.iter().find(|d| d.name() == *name).unwrap();
            let shift = typed.log_weight(0.0) - table.log_weight(0.0);
            for l in (-240..=240).map(|i| 0.25 * f64::from(i)) {
                let gap = typed.log_weight(l) - table.log_weight(l) - shift;
                // a linear end misses corrections of e^-40
                assert!(gap.abs() < 1e-12, "{name} at {l}: {gap:e}");
            }
            assert!((typed.ends().unwrap().0 - table.elasticity(-300.0)).abs() < 1e-10, "{name}");
            assert!((typed.ends().unwrap().1 - table.elasticity(300.0)).abs() < 1e-10, "{name}");
            assert!(check(&typed).passed(), "{}", check(&typed));
            let other = parse(TYPED[(k + 1) % TYPED.len()].1).unwrap();
            assert!((-40..=40).any(|l| (other.weight(f64::from(l)) / typed.weight(f64::from(l)) - 1.0).abs() > 0.1));
        }
        let weight = parse("w(r) = 2 * r^0.7").unwrap();
        assert!((-50..=50).map(f64::from).all(|l| (weight.log_weight(l) - 2f64.ln() - 0.7 * l).abs() < 1e-12));
    }

    /// Checks weights whose logarithms have singularities near the real line, at a distance of π/4 and 0.3, which one panel a unit shows to
    /// 1e-8 only: w to 1e-12 and the elasticity to 1e-9 at random points, and f by its second difference.
    #[test]
    fn fast_weights() {
        let quartic = |l: f64| (2.0 * l - (4.0 * l).exp().ln_1p(), 2.0 - 4.0 / (1.0 + (-4.0 * l).exp()));
        // 1 + l²/0.09
        let narrow = |l: f64| ((l * l / 0.09).ln_1p(), 2.0 * l / (0.09 + l * l));
        type Exact<'a> = &'a dyn Fn(f64) -> (f64, f64);
        let cases: [(&str, Exact); 2] = [("w(u) = u^2/(1 + u^4)", &quartic), ("w(u) = 1 + log(u)^2/0.09", &narrow)];
        for (text, exact) in cases {
            let typed = parse(text).unwrap();
            for l in (-1500..=1500).map(|i| 0.01 * f64::from(i) + 0.0037) {
                let (log_w, e) = exact(l);
                let (gap, slope) = (typed.log_weight(l) - log_w, typed.elasticity(l) - e);
                assert!(
                    gap.abs() < 2e-12 * (1.0 + log_w.abs()) && slope.abs() < 1e-9,
                    "{text} at {l}: {gap:e} {slope:e}"
                );
            }
            let second = |l: f64, d: f64| {
                let f = |u: f64| typed.f(u.ln());
                let u = l.exp();
                ((f(u * (1.0 + d)) + f(u * (1.0 - d)) - 2.0 * f(u)) / (d * d) / typed.weight(l) - 1.0).abs()
            };
            assert!([-1.0, 0.1, 0.7].iter().all(|l| second(*l, 1e-3) < 1e-4), "{text}");
        }
    }

    /// Checks f and u f' of the weight u^10 in closed form, where a unit of l changes w by e^10, and a weight with an exponential that
    /// is 0 to any number of digits.
    #[test]
    fn steep_weights() {
        let typed = parse("w(u) = u^10").unwrap();
        for l in (-80..=80).map(|i| 0.5 * f64::from(i) + 0.03) {
            // f'' = u^8 with f(1) = f'(1) = 0
            let slope = |l: f64| (9.0 * l).exp_m1() / 9.0;
            let f = (10.0 * l).exp_m1() / 90.0 - l.exp_m1() / 9.0;
            let rounding = 1e-13 / l.abs().min(1.0).powi(2);
            assert!((typed.f(l) / f - 1.0).abs() < 1e-11 + rounding, "{l}: {:e} {f:e}", typed.f(l));
            let u_df = l.exp() * slope(l);
            assert!((typed.u_df(l) / u_df - 1.0).abs() < 1e-11 + rounding, "{l}: {:e} {u_df:e}", typed.u_df(l));
        }
        let settled = parse("w(u) = 1 + exp(-u)").unwrap();
        assert!(
            [-30.0, 0.0, 1.0, 30.0]
                .iter()
                .all(|l: &f64| (settled.weight(*l) / (1.0 + (-l.exp()).exp()) - 1.0).abs() < 1e-12)
        );
    }

    /// Checks the exponents that are said: those of power tails, and none where log w is still bent at e^±40.
    #[test]
    fn exponents_are_said_where_there_are_some() {
        let said = |text: &str| parse(text).unwrap().elasticity_formula();
        assert!(said("w(u) = u^0.3 + u^2").ends_with("0.3000 where r → 0 and 2.0000 where r → ∞ (T7)"));
        assert!(said("w(u) = 1 + u^0.05").ends_with("no power of r where r → 0 and no power of r where r → ∞ (T7)"));
    }

    /// Checks the refusals, each with its place or the point where f is not convex.
    #[test]
    fn refusals() {
        for (text, expected) in [
            ("f(u) = log(u)", "f'' = -"),
            ("f(u) = (u-1)^2*(u-3)^2", "which is not positive"),
            ("w(u) = u - 1", "w = -1"),
            ("f(u) = u", "f'' = 0"),
            ("w(u) = u^12", "w = e^720 at u = e^60"),
            ("w(u) = 1e300*u", "w = e^751 at u = e^60"),
            ("f(u) = (u - 2)^4", "f'' that is 0, or has a kink"),
            ("w(u) = sqrt((u - 3)^2)", "near u = e^1."),
            ("w(u) = exp(exp(u))", "an exponential of"),
            ("f(u) = log(u - 5)", "a logarithm of -5"),
            ("f(u) = u*lag(u)", "'l' in column 10 is neither"),
            ("f(u) = (u - 1", "its end where a ')' should be"),
            ("f(u) = u u", "'u' in column 10 is not expected"),
            ("w(u) = ", "its end where a number"),
            ("w(u) = 1e999", "finite number"),
            ("g(u) = u", "does not begin with"),
            ("reverse", "has no '='"),
        ] {
            let error = parse(text).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(parse(&format!("w(u) = {}u", "-".repeat(500))).is_err());
        assert!(parse(&format!("w(u) = {}", "(".repeat(500))).is_err());
        assert!(parse(&format!("w(u) = {}1", "1+".repeat(600))).is_err());
    }
}
