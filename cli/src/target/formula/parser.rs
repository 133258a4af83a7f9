//! Recursive descent over the tokens. There is no syntax tree: every construct is compiled as soon as it is read.

use crate::target::formula::Mistake;
use crate::target::formula::build::{Builder, Built};
use crate::target::formula::families;
use crate::target::formula::functions;
use crate::target::formula::lexer::{Kind, PAIRS, Token, tokens};
use crate::target::formula::parameters::{Parameters, Part};
use crate::target::formula::program::{Bounded, Pair, Program, Step};
use crate::target::formula::value::{Axis, COMPONENTS, Data, Value};

/// Deepest nesting of parentheses, calls, signs and powers: it bounds the stack.
pub(super) const MAX_DEPTH: usize = 100;

/// Names that have a value of their own; x is the point where parameters have no names.
const RESERVED: &[&str] = &["x", "dim", "pi", "inf"];

/// A value, or a mistake with its place.
pub(super) type Parsed = Result<Value, Mistake>;

/// The tokens, the place in them, and what was built so far.
pub(super) struct Parser<'a> {
    pub(super) tokens: Vec<Token<'a>>,
    pub(super) at: usize,
    pub(super) depth: usize,
    /// Constants, definitions and open loops; the latest last.
    pub(super) scope: Vec<(String, Value)>,
    /// Loops that were opened so far, open or closed: the number of the next one.
    pub(super) loops: usize,
    pub(super) dim: usize,
    /// Whether x is the point, and x1 its first coordinate.
    pub(super) unnamed: bool,
    pub(super) builder: Builder,
}

/// What a formula is made of.
pub(super) struct Source<'a> {
    /// log p~.
    pub text: &'a str,
    pub dim: usize,
    /// Names for parts of the point; x and x1, x2, … without.
    pub parameters: Option<&'a Parameters>,
    pub constants: &'a [(String, Value)],
    /// Names and formulas of quantities that are written with the samples.
    pub generated: &'a [(String, String)],
}

/// A mistake in log p~, or in this one of the generated quantities.
pub(super) type Misplaced = (Option<usize>, Mistake);

/// The program of a source.
pub(super) fn compile(source: &Source) -> Result<Program, Misplaced> {
    let mut parser = begin(source).map_err(|mistake| (None, mistake))?;
    let at_start = |sentence: String| (None, Mistake { start: 0, end: 1, sentence });
    let (bounded, jacobian) = parser.bounded(source).map_err(|why| at_start(format!("parameters: {why}")))?;
    let mut result = parser.formula().map_err(|mistake| (None, mistake))?;
    let jacobian = match jacobian {
        Some(jacobian) => {
            let number = Value { axes: Vec::new(), data: Data::Computed(result) };
            let sum = parser.builder.pair(Pair::Add, &number, &jacobian).map_err(at_start)?;
            result = parser.builder.full_step(&sum);
            Some(parser.builder.full_step(&jacobian))
        }
        None => None,
    };
    let until = parser.builder.steps.len();
    let mut generated = Vec::new();
    for (k, (name, text)) in source.generated.iter().enumerate() {
        generated.push(parser.generated(name, text).map_err(|mistake| (Some(k), mistake))?);
    }
    let Builder { steps, numbers, branches, .. } = parser.builder;
    Ok(Program { steps, result, until, branches, numbers, generated, bounded, jacobian })
}

/// A parser before the first token, with all names in scope.
fn begin<'a>(source: &Source<'a>) -> Result<Parser<'a>, Mistake> {
    let at_start = |sentence: String| Mistake { start: 0, end: 1, sentence };
    let mut builder = Builder::default();
    let point = builder.computed(Step::Point, vec![Axis { id: COMPONENTS, len: source.dim }]).map_err(at_start)?;
    let number = |name: &str, value: f64| (name.to_string(), Value::number(value));
    let scope = vec![
        ("x".to_string(), point.clone()),
        number("dim", source.dim as f64),
        number("pi", std::f64::consts::PI),
        number("inf", f64::INFINITY),
    ];
    let unnamed = source.parameters.is_none();
    let mut parser =
        Parser { tokens: tokens(source.text)?, at: 0, depth: 0, scope, loops: 0, dim: source.dim, unnamed, builder };
    if let Some(parameters) = source.parameters {
        parser.scope.remove(0);
        for part in parameters.parts() {
            parser.free_name(part.name).map_err(|why| at_start(format!("parameters: {why}")))?;
            if part.bounds.is_some() {
                continue;
            }
            let value = parser.builder.gather(&point, part.columns.collect(), part.axes).map_err(at_start)?;
            if let (Data::Computed(id), Some(ends)) = (&value.data, part.ends) {
                parser.builder.bounds.insert(*id, ends);
            }
            parser.scope.push((part.name.to_string(), value));
        }
    }
    for (name, value) in source.constants {
        parser.free_name(name).map_err(|why| at_start(format!("constants: {why}")))?;
        parser.scope.push((name.clone(), value.clone()));
    }
    Ok(parser)
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

    /// { name "=" expression ";" | expression "~" name "(" … ")" ";" } [ expression ]; returns the step of log p~.
    fn formula(&mut self) -> Result<usize, Mistake> {
        let mut terms: Option<Value> = None;
        loop {
            if let [Token { kind: Kind::Name(name), .. }, Token { kind: Kind::Mark('='), .. }] =
                self.tokens[self.at..(self.at + 2).min(self.tokens.len())]
            {
                self.free_name(name).map_err(|why| self.here(why))?;
                self.next();
                self.next();
                let value = self.expression().map_err(|mistake| recursive(mistake, name))?;
                self.expect(';', "after a definition")?;
                self.scope.push((name.into(), value));
                continue;
            }
            if terms.is_some() && self.peek().kind == Kind::End {
                break;
            }
            let first = self.at;
            let mut value = self.expression()?;
            let last = !self.accept('~');
            if !last {
                value = self.distributed(first, &value)?;
            } else if !value.axes.is_empty() {
                let why =
                    format!("the log-density must be one number, but this is {}; take sum(…) of it", value.words());
                return Err(self.built(first, Err(why)).unwrap_err());
            }
            let sum = match &terms {
                Some(before) => self.builder.pair(Pair::Add, before, &value),
                None => Ok(value),
            };
            terms = Some(self.built(first, sum)?);
            if last {
                break;
            }
            if !self.accept(';') && self.peek().kind != Kind::End {
                self.expect(';', "after a statement with '~'")?;
            }
        }
        if self.peek().kind != Kind::End {
            let remedy = match self.peek().kind {
                Kind::Mark('=') => "; a definition is written 'name = …;' before the formula",
                Kind::Mark(';') => "; the last expression is the log-density and needs no ';'",
                Kind::Mark('<' | '>' | '≤' | '≥' | '≡' | '≠') => "; write a < b && b < c",
                Kind::Mark(_) => "; check the brackets",
                _ => "; write * between factors",
            };
            return Err(self.here(format!("the formula ended before {}{remedy}", words(self.peek().kind))));
        }
        match terms.map(|value| value.data) {
            Some(Data::Computed(id)) => Ok(id),
            Some(Data::Known(v)) => {
                let parameters = if self.unnamed { "x" } else { "the parameters" };
                let why = format!("the log-density is {} for every point; let it depend on {parameters}", v[0]);
                Err(self.built(0, Err(why)).unwrap_err())
            }
            None => Err(self.here("the formula is empty; write a log-density")),
        }
    }

    /// name "(" … ")" after "y ~".
    fn distributed(&mut self, first: usize, y: &Value) -> Parsed {
        let Kind::Name(name) = self.peek().kind else {
            return Err(self.here(format!("expected a distribution after '~', found {}", words(self.peek().kind))));
        };
        let place = self.at;
        self.next();
        let mut arguments = vec![y.clone()];
        self.expect('(', &format!("after the distribution {name}"))?;
        arguments.extend(self.arguments(name)?);
        let value = match families::by_name(name) {
            Some(family) => self.family(family, true, name, &arguments),
            None if name == "multi_normal" && arguments.len() == 3 => {
                self.multi_normal(&arguments[0], &arguments[1], &arguments[2])
            }
            None => {
                let all = families::FAMILIES.iter().filter(|f| f.kind != families::Kind::Function).map(|f| f.name);
                let known: Vec<&str> = all.chain(["multi_normal"]).collect();
                let why = pushforward::Error::unknown_name("distribution", name, &known).to_string();
                return self.built(place, Err(why));
            }
        };
        let value = self.built(first, value)?;
        if value.axes.is_empty() {
            Ok(value)
        } else {
            self.built(first, Err("y ~ … stands in no loop; write sum(i, …)".into()))
        }
    }

    /// The parameters whose ends are formulas, in the order of the file, and log |det| of their values by the point.
    fn bounded(&mut self, source: &Source) -> Result<(Vec<Bounded>, Option<Value>), String> {
        let (mut all, mut jacobian) = (Vec::new(), None);
        let parts = source.parameters.iter().flat_map(|p| p.parts());
        for part in parts.filter(|part| part.bounds.is_some()) {
            let Part { name, columns, axes, bounds: Some(bounds), .. } = part else { continue };
            self.free_name(name)?;
            let mut ends = [None, None];
            for ((end, text), word) in ends.iter_mut().zip(bounds).zip(["lower", "upper"]) {
                let Some(text) = text else { continue };
                let said = |why: &str| format!("{name} has {word} = \"{text}\": {why}");
                let value =
                    self.inner(&format!("{word} of {name}"), text).map_err(|mistake| said(&mistake.sentence))?;
                let fits = value.axes.is_empty() || value.axes == axes;
                *end = Some(value).filter(|_| fits);
                if end.is_none() {
                    return Err(said("an end is a number, or has the shape of its parameter"));
                }
            }
            let builder = &mut self.builder;
            let point = Value { axes: vec![Axis { id: COMPONENTS, len: self.dim }], data: Data::Computed(0) };
            let place = builder.gather(&point, columns.clone().collect(), axes.clone())?;
            let value = match &ends {
                [Some(low), Some(high)] => {
                    let width = builder.pair(Pair::Sub, high, low)?;
                    let each = builder.spread(&width, &axes)?;
                    let mut logs = builder.call("log", &each)?;
                    for axis in axes.iter().rev() {
                        logs = builder.reduce("sum", &logs, *axis)?;
                    }
                    jacobian = Some(match &jacobian {
                        Some(before) => builder.pair(Pair::Add, before, &logs)?,
                        None => logs,
                    });
                    let moved = builder.pair(Pair::Mul, &place, &each)?;
                    builder.pair(Pair::Add, &moved, low)?
                }
                [Some(low), None] => builder.pair(Pair::Add, &place, low)?,
                [None, Some(high)] => builder.pair(Pair::Sub, high, &place)?,
                [None, None] => place,
            };
            let [low, high] = ends.map(|end| end.map(|end| builder.full_step(&end)));
            all.push(Bounded { columns, value: builder.full_step(&value), low, high });
            self.scope.push((name.to_string(), value));
        }
        Ok((all, jacobian))
    }

    /// The formula of a generated quantity: names of its entries, and its step.
    fn generated(&mut self, name: &str, text: &str) -> Result<(Vec<String>, usize), Mistake> {
        let at_start = |sentence: String| Mistake { start: 0, end: 1, sentence };
        self.free_name(name).map_err(at_start)?;
        let value = self.inner(&format!("'{name}'"), text)?;
        let step = self.builder.full_step(&value);
        let shape: Vec<usize> = value.axes.iter().map(|a| a.len).collect();
        let names = super::parameters::entries(name, &shape);
        self.scope.push((name.into(), value));
        Ok((names, step))
    }

    /// The value of another text in the present scope.
    fn inner(&mut self, what: &str, text: &str) -> Parsed {
        // owned by nobody else: the tokens borrow the text only until the end of this function
        let outer = std::mem::take(&mut self.tokens);
        let mut inner = Parser {
            tokens: tokens(text)?,
            at: 0,
            depth: 0,
            scope: std::mem::take(&mut self.scope),
            loops: self.loops,
            dim: self.dim,
            unnamed: self.unnamed,
            builder: std::mem::take(&mut self.builder),
        };
        let value = inner.expression().and_then(|value| match inner.peek().kind {
            Kind::End => Ok(value),
            kind => Err(inner.here(format!("the formula of {what} ended before {}", words(kind)))),
        })?;
        (self.tokens, self.loops) = (outer, inner.loops);
        (self.scope, self.builder) = (inner.scope, inner.builder);
        Ok(value)
    }

    /// Whether a constant, a definition or a loop index may have this name.
    pub(super) fn free_name(&self, name: &str) -> Result<(), String> {
        let word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && name.starts_with(|c: char| !c.is_ascii_digit());
        let taken = if !word {
            "has other characters than letters, digits and _"
        } else if self.unnamed && coordinate(name).is_some() {
            "is a coordinate of the point"
        } else if is_reserved(name, self.unnamed) {
            "has a meaning of its own"
        } else if self.scope.iter().any(|(n, _)| n == name) {
            "is defined already"
        } else {
            return Ok(());
        };
        Err(format!("'{name}' {taken}; choose another name"))
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

/// Whether a formula gives this name a meaning; of x and its coordinates only where the point has no other name.
pub(super) fn is_reserved(name: &str, unnamed: bool) -> bool {
    (RESERVED.contains(&name) && (unnamed || name != "x")) || functions::is_known(name)
}

/// A mistake in the definition of `name`; where it uses itself, what to do about that.
fn recursive(mistake: Mistake, name: &str) -> Mistake {
    let sentence = match mistake.sentence.starts_with(&format!("unknown name '{name}'")) {
        true => format!("'{name}' is defined by itself; {}", families::ELSEWHERE),
        false => mistake.sentence,
    };
    Mistake { sentence, ..mistake }
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
        Kind::Mark(c) => format!("'{}'", PAIRS.iter().find(|p| p.1 == c).map_or(c.to_string(), |p| p.0.to_string())),
        Kind::End => "the end".into(),
    }
}
