//! Operators, from the weakest to an atom with its indices.

use crate::target::formula::lexer::Kind;
use crate::target::formula::parser::{MAX_DEPTH, Parsed, Parser, range};
use crate::target::formula::program::Pair;
use crate::target::formula::value::{ROWS, Value};

impl Parser<'_> {
    /// conjunction { "||" conjunction }
    pub(super) fn expression(&mut self) -> Parsed {
        let first = self.at;
        let mut value = self.conjunction()?;
        while self.accept('∨') {
            let right = self.conjunction()?;
            let either = self.builder.pair(Pair::Max, &value, &right);
            value = self.built(first, either)?;
        }
        Ok(value)
    }

    /// comparison { "&&" comparison }
    fn conjunction(&mut self) -> Parsed {
        let first = self.at;
        let mut value = self.comparison()?;
        while self.accept('∧') {
            let right = self.comparison()?;
            let both = self.builder.pair(Pair::Mul, &value, &right);
            value = self.built(first, both)?;
        }
        Ok(value)
    }

    /// sum [ ("<" | "<=" | ">" | ">=" | "==" | "!=") sum ]
    fn comparison(&mut self) -> Parsed {
        let first = self.at;
        let left = self.sum()?;
        let Kind::Mark(mark @ ('<' | '>' | '≤' | '≥' | '≡' | '≠')) = self.peek().kind else { return Ok(left) };
        self.next();
        let right = self.sum()?;
        let value = self.builder.compare(mark, &left, &right);
        self.built(first, value)
    }

    /// term { ("+" | "-") term }
    fn sum(&mut self) -> Parsed {
        let first = self.at;
        let mut value = self.term()?;
        loop {
            let op = match self.peek().kind {
                Kind::Mark('+') => Pair::Add,
                Kind::Mark('-') => Pair::Sub,
                _ => return Ok(value),
            };
            self.next();
            let right = self.term()?;
            let sum = self.builder.pair(op, &value, &right);
            value = self.built(first, sum)?;
        }
    }

    /// factor { ("*" | "/") factor }
    fn term(&mut self) -> Parsed {
        let first = self.at;
        let mut value = self.factor()?;
        loop {
            let op = match self.peek().kind {
                Kind::Mark('*') => Pair::Mul,
                Kind::Mark('/') => Pair::Div,
                _ => return Ok(value),
            };
            self.next();
            let right = self.factor()?;
            let product = self.builder.pair(op, &value, &right);
            value = self.built(first, product)?;
        }
    }

    /// ("-" | "+" | "!") factor | power; the one place through which all nesting goes.
    fn factor(&mut self) -> Parsed {
        if self.depth == MAX_DEPTH {
            let sentence =
                format!("the formula is nested deeper than {MAX_DEPTH} levels; name parts of it: 'r = …; …'");
            return Err(self.here(sentence));
        }
        self.depth += 1;
        let first = self.at;
        let value = if self.accept('-') {
            let value = self.factor()?;
            let negative = self.builder.call("negate", &value);
            self.built(first, negative)
        } else if self.accept('+') {
            self.factor()
        } else if self.accept('!') {
            let value = self.factor()?;
            let not = self.builder.compare('≡', &value, &Value::number(0.0));
            self.built(first, not)
        } else {
            self.power()
        };
        self.depth -= 1;
        value
    }

    /// atom [ "^" factor ]
    fn power(&mut self) -> Parsed {
        let first = self.at;
        let base = self.indexed()?;
        if !self.accept('^') {
            return Ok(base);
        }
        let exponent = self.factor()?;
        let power = self.builder.power(&base, &exponent);
        self.built(first, power)
    }

    /// An atom and the indices after it.
    fn indexed(&mut self) -> Parsed {
        let first = self.at;
        let mut value = self.atom()?;
        while self.accept('[') {
            let mut index = vec![self.expression()?];
            let part = self.accept(':');
            if part || self.accept(',') {
                index.push(self.expression()?);
            }
            self.expect(']', "after an index")?;
            value = match &index[..] {
                [from, to] if part => {
                    let places = range(from, to).map(Value::vector);
                    let part = places.and_then(|places| self.builder.index(&value, &places));
                    self.built(first, part)?
                }
                _ => index.iter().try_fold(value, |value, index| self.entry(first, &value, index))?,
            };
        }
        Ok(value)
    }

    fn entry(&mut self, first: usize, value: &Value, index: &Value) -> Parsed {
        let entry = match index.has(ROWS) {
            true => Err(format!("an index is a number or a list of numbers, but this is {}", index.words())),
            false => self.builder.index(value, index),
        };
        self.built(first, entry)
    }
}
