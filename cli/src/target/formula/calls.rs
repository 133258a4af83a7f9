//! Atoms: numbers, names, calls, loops.

use crate::target::formula::Mistake;
use crate::target::formula::build::Built;
use crate::target::formula::families;
use crate::target::formula::functions;
use crate::target::formula::lexer::Kind;
use crate::target::formula::parser::{Parsed, Parser, coordinate, range, words};
use crate::target::formula::program::Pair;
use crate::target::formula::value::{Axis, COMPONENTS, ROWS, Value};

impl Parser<'_> {
    /// A number, a name, a call, brackets.
    pub(super) fn atom(&mut self) -> Parsed {
        let first = self.at;
        match self.peek().kind {
            Kind::Number(x) => {
                self.next();
                Ok(Value::number(x))
            }
            Kind::Name(name) => {
                self.next();
                if self.accept('(') { self.call(first, name) } else { self.name(first, name) }
            }
            Kind::Mark('(') => {
                self.next();
                let value = self.expression()?;
                self.expect(')', "to close '('")?;
                Ok(value)
            }
            Kind::Mark('[') => {
                self.next();
                let mut parts = vec![self.expression()?];
                while self.accept(',') {
                    parts.push(self.expression()?);
                }
                self.expect(']', "to close '['")?;
                let list = self.builder.list(&parts);
                self.built(first, list)
            }
            kind => Err(self.here(format!("expected a number, a name or '(', found {}", words(kind)))),
        }
    }

    /// The value of a name.
    fn name(&mut self, first: usize, name: &str) -> Parsed {
        if let Some((_, value)) = self.scope.iter().rev().find(|(n, _)| n == name) {
            return Ok(value.clone());
        }
        if let Some(k) = coordinate(name).filter(|_| self.unnamed) {
            if k == 0 || k > self.dim {
                let why = format!("{name} is out of range; the coordinates are x1 to x{}", self.dim);
                return self.built(first, Err(why));
            }
            let point = self.scope[0].1.clone();
            let entry = self.builder.index(&point, &Value::number(k as f64));
            return self.built(first, entry);
        }
        let why = if functions::is_known(name) {
            format!("'{name}' is a function; write {name}(…)")
        } else {
            let known: Vec<&str> = self.scope.iter().map(|(n, _)| n.as_str()).collect();
            format!("{} Otherwise add it to [constants]", pushforward::Error::unknown_name("name", name, &known))
        };
        self.built(first, Err(why))
    }

    /// A call, its '(' read.
    fn call(&mut self, first: usize, name: &str) -> Parsed {
        if !functions::is_known(name) {
            let is_value = (self.unnamed && coordinate(name).is_some()) || self.scope.iter().any(|(n, _)| n == name);
            let why = match name {
                "ln" => "unknown function 'ln'; write log(…)".into(),
                "pow" => "unknown function 'pow'; write a^b".into(),
                _ if is_value => {
                    format!("'{name}' is not a function; write {name}*(…) for a product, {name}[…] for an entry")
                }
                _ if families::MISSING.contains(&name) => {
                    format!("'{name}' is not in the language of formulas: {}", families::ELSEWHERE)
                }
                _ if families::by_name(name).is_some() => format!(
                    "'{name}' is a distribution; write y ~ {name}(…), or its logarithm {}",
                    families::names()
                        .into_iter()
                        .filter(|n| n.starts_with(&format!("{name}_lp")))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
                _ => {
                    let all = functions::names();
                    let known: Vec<&str> = all.iter().map(String::as_str).collect();
                    pushforward::Error::unknown_name("function", name, &known).to_string()
                }
            };
            return self.built(first, Err(why));
        }
        if let ("sum" | "prod" | "logsumexp" | "vector", Kind::Name(index), Kind::Mark(',')) =
            (name, self.peek().kind, self.tokens[(self.at + 1).min(self.tokens.len() - 1)].kind)
        {
            return self.looped(first, name, index);
        }
        let arguments = self.arguments(name)?;
        let value = match families::find(name) {
            Some((family, sum)) => self.family(family, sum, name, &arguments),
            None => self.apply(name, &arguments),
        };
        self.built(first, value)
    }

    /// expression { "," expression } ")"
    pub(super) fn arguments(&mut self, name: &str) -> Result<Vec<Value>, Mistake> {
        let mut arguments = vec![self.expression()?];
        while self.accept(',') {
            arguments.push(self.expression()?);
        }
        self.expect(')', &format!("to close {name}("))?;
        Ok(arguments)
    }

    /// A function of expressions.
    fn apply(&mut self, name: &str, arguments: &[Value]) -> Built {
        let b = &mut self.builder;
        match (name, arguments) {
            ("sum" | "prod" | "logsumexp" | "mean" | "length", [a]) => {
                let Some(len) = a.components().filter(|_| !a.has(ROWS)) else {
                    return Err(format!(
                        "{name} of {}; give a vector, or {name}(i, first, last, …); a density is summed by …_lpdf and not by …_lpdf_each",
                        a.words()
                    ));
                };
                let axis = Axis { id: COMPONENTS, len };
                match name {
                    "length" => Ok(Value::number(len as f64)),
                    "mean" => {
                        let sum = b.reduce("sum", a, axis)?;
                        b.pair(Pair::Div, &sum, &Value::number(len as f64))
                    }
                    _ => b.reduce(name, a, axis),
                }
            }
            ("dot", [u, v]) => b.dot(u, v),
            ("max", [u, v]) => b.pair(Pair::Max, u, v),
            ("min", [u, v]) => b.pair(Pair::Min, u, v),
            ("where", [condition, u, v]) => b.select(condition, u, v),
            ("logaddexp", [u, v]) => b.log_add_exp(u, v),
            ("multi_normal_lpdf", [y, mean, covariance]) => self.multi_normal(y, mean, covariance),
            ("vector", _) => Err("vector needs a loop: vector(i, first, last, …); a list is written [a, b, c]".into()),
            ("sum" | "prod" | "logsumexp", _) => Err(format!(
                "{name} takes a vector, or an index, its first and last value, and a body: {name}(i, 1, dim, …)"
            )),
            (_, [a]) if functions::find(name).is_some() => b.call(name, a),
            _ => {
                let expected = match name {
                    "dot" | "max" | "min" | "logaddexp" => "2 arguments",
                    "where" => "3 arguments: a condition, the value where it holds, the value elsewhere",
                    "multi_normal_lpdf" => "3 arguments: y, mean, covariance matrix",
                    _ => "1 argument",
                };
                Err(format!("{name} takes {expected}, not {}", arguments.len()))
            }
        }
    }

    /// name "," first "," last "," body ")" of a loop.
    fn looped(&mut self, first: usize, how: &str, index: &str) -> Parsed {
        self.free_name(index).map_err(|why| self.here(why))?;
        self.next();
        self.next();
        let bounds = self.at;
        let from = self.expression()?;
        self.expect(',', &format!("after the first value of {index}"))?;
        let to = self.expression()?;
        let places = self.built(bounds, range(&from, &to).map(Value::vector))?;
        self.expect(',', &format!("before the body of {how}"))?;
        let axis = Axis { id: self.loops, len: places.width() };
        self.loops += 1;
        self.scope.push((index.into(), Value { axes: vec![axis], data: places.data }));
        let body = self.expression()?;
        self.scope.pop();
        self.expect(')', &format!("to close {how}("))?;
        let value = self.builder.reduce(how, &body, axis);
        self.built(first, value)
    }
}
