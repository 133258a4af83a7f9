//! Recursive descent over the tokens. There is no syntax tree: every construct is compiled as soon as it is read.

use crate::target::formula::Mistake;
use crate::target::formula::build::{Builder, Built};
use crate::target::formula::functions::{self, SPECIAL};
use crate::target::formula::lexer::{Kind, Token, tokens};
use crate::target::formula::program::{Pair, Program, Step};
use crate::target::formula::value::{Axis, COMPONENTS, Data, ROWS, Value};

/// Deepest nesting of parentheses, calls, signs and powers: it bounds the stack.
pub(super) const MAX_DEPTH: usize = 100;

/// Names that the file and the formula cannot give away.
const RESERVED: &[&str] = &["x", "dim", "pi"];

/// A value, or a mistake with its place.
pub(super) type Parsed = Result<Value, Mistake>;

/// The tokens, the place in them, and what was built so far.
pub(super) struct Parser<'a> {
    pub(super) tokens: Vec<Token<'a>>,
    pub(super) at: usize,
    depth: usize,
    /// Constants, definitions and open loops; the latest last.
    pub(super) scope: Vec<(String, Value)>,
    /// Loops that were opened so far, open or closed: the number of the next one.
    pub(super) loops: usize,
    pub(super) dim: usize,
    pub(super) builder: Builder,
}

/// The program of `text`.
pub(super) fn compile(text: &str, dim: usize, constants: &[(String, Value)]) -> Result<Program, Mistake> {
    let mut builder = Builder::default();
    let point = builder.computed(Step::Point, vec![Axis { id: COMPONENTS, len: dim }]);
    let point = point.map_err(|sentence| Mistake { start: 0, end: 1, sentence })?;
    let scope = vec![
        ("x".to_string(), point),
        ("dim".to_string(), Value::number(dim as f64)),
        ("pi".to_string(), Value::number(std::f64::consts::PI)),
    ];
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, scope, loops: 0, dim, builder };
    for (name, value) in constants {
        let free = parser.free_name(name);
        free.map_err(|why| Mistake { start: 0, end: 1, sentence: format!("constants: {why}") })?;
        parser.scope.push((name.clone(), value.clone()));
    }
    parser.formula()
}

impl<'a> Parser<'a> {
    pub(super) fn peek(&self) -> Token<'a> {
        self.tokens[self.at]
    }

    pub(super) fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    pub(super) fn accept(&mut self, mark: char) -> bool {
        let found = self.peek().kind == Kind::Mark(mark);
        if found {
            self.next();
        }
        found
    }

    /// A mistake at the next token.
    pub(super) fn here(&self, sentence: impl Into<String>) -> Mistake {
        let Token { start, end, .. } = self.peek();
        Mistake { start, end, sentence: sentence.into() }
    }

    /// Attaches the text from token `first` to the last one that was read.
    pub(super) fn built(&self, first: usize, value: Built) -> Parsed {
        let (start, end) = (self.tokens[first].start, self.tokens[self.at.max(first + 1) - 1].end);
        value.map_err(|sentence| Mistake { start, end, sentence })
    }

    pub(super) fn expect(&mut self, mark: char, after: &str) -> Result<(), Mistake> {
        if self.accept(mark) {
            return Ok(());
        }
        let found = words(self.peek().kind);
        let product = match self.peek().kind {
            Kind::Number(_) | Kind::Name(_) | Kind::Mark('(' | '[') => "; write * between factors",
            _ => "",
        };
        Err(self.here(format!("expected '{mark}' {after}, found {found}{product}")))
    }

    /// { name "=" expression ";" } expression
    fn formula(mut self) -> Result<Program, Mistake> {
        while let [Token { kind: Kind::Name(name), .. }, Token { kind: Kind::Mark('='), .. }] =
            self.tokens[self.at..(self.at + 2).min(self.tokens.len())]
        {
            self.free_name(name).map_err(|why| self.here(why))?;
            self.next();
            self.next();
            let value = self.expression()?;
            self.expect(';', "after a definition")?;
            self.scope.push((name.into(), value));
        }
        let first = self.at;
        let value = self.expression()?;
        if self.peek().kind != Kind::End {
            let remedy = match self.peek().kind {
                Kind::Mark('=') => "; a definition is written 'name = …;' before the formula",
                Kind::Mark(';') => "; the last expression is the log-density and needs no ';'",
                Kind::Mark(_) => "; check the brackets",
                _ => "; write * between factors",
            };
            return Err(self.here(format!("the formula ended before {}{remedy}", words(self.peek().kind))));
        }
        let whole = if value.axes.is_empty() {
            Ok(())
        } else {
            Err(format!("the log-density must be one number, but this is {}; take sum(…) of it", value.words()))
        };
        let result = match (whole, &value.data) {
            (Ok(()), Data::Computed(id)) => Ok(*id),
            (Ok(()), Data::Known(v)) => Err(format!("the log-density is {} for every x; let it depend on x", v[0])),
            (Err(why), _) => Err(why),
        };
        match result {
            Ok(result) => Ok(Program { numbers: self.builder.numbers, steps: self.builder.steps, result }),
            Err(why) => Err(self.built(first, Err(why)).unwrap_err()),
        }
    }

    /// Whether a constant, a definition or a loop index may have this name.
    pub(super) fn free_name(&self, name: &str) -> Result<(), String> {
        let word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && name.starts_with(|c: char| !c.is_ascii_digit());
        let taken = if !word {
            "has other characters than letters, digits and _"
        } else if coordinate(name).is_some() {
            "is a coordinate of the point"
        } else if RESERVED.contains(&name) || functions::find(name).is_some() || SPECIAL.contains(&name) {
            "has a meaning of its own"
        } else if self.scope.iter().any(|(n, _)| n == name) {
            "is defined already"
        } else {
            return Ok(());
        };
        Err(format!("'{name}' {taken}; choose another name"))
    }

    /// term { ("+" | "-") term }
    pub(super) fn expression(&mut self) -> Parsed {
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

    /// ("-" | "+") factor | power; the one place through which all nesting goes.
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
        let entry = match index.has(COMPONENTS) || index.has(ROWS) {
            true => Err(format!("an index is a number, but this is {}; for a part write from:to", index.words())),
            false => self.builder.index(value, index),
        };
        self.built(first, entry)
    }
}

/// first, first + 1, …, last.
pub(super) fn range(first: &Value, last: &Value) -> Result<Vec<f64>, String> {
    let (Some(a), Some(b)) = (first.as_number(), last.as_number()) else {
        return Err("the ends of a range must be numbers that depend neither on x nor on a loop".into());
    };
    if a.fract() != 0.0 || b.fract() != 0.0 || a.abs().max(b.abs()) > 1e9 {
        return Err(format!("the range from {a} to {b}; its ends must be whole numbers"));
    }
    if a > b {
        return Err(format!("the range from {a} to {b} is empty; the first number must not be above the last"));
    }
    let count = (b - a) as usize + 1;
    let limit = crate::target::formula::build::MAX_NUMBERS;
    if count > limit {
        return Err(format!("the range from {a} to {b} has {count} numbers, more than the {limit} that are allowed"));
    }
    Ok((0..count).map(|k| a + k as f64).collect())
}

/// k of a name xk.
pub(super) fn coordinate(name: &str) -> Option<usize> {
    let digits = name.strip_prefix('x')?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(usize::MAX))
}

/// A token in a message.
pub(super) fn words(kind: Kind) -> String {
    match kind {
        Kind::Number(x) => format!("{x}"),
        Kind::Name(name) => format!("'{name}'"),
        Kind::Mark(c) => format!("'{c}'"),
        Kind::End => "the end".into(),
    }
}
