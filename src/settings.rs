//! Settings that describe themselves: one declaration gives the struct, its defaults, its ranges and what a person reads about it.
//!
//! ```
//! pushforward::settings! {
//!     /// How a walk is made.
//!     pub struct Walk in "model" {
//!         /// Length of a stride.
//!         stride: f64 = 0.5, Rule::Positive;
//!         /// Names of the dogs.
//!         dogs: usize = 2, Rule::AtLeast(1);
//!     }
//! }
//! use pushforward::settings::{Section, Value};
//! let mut walk = Walk { stride: 2.0, ..Walk::default() };
//! walk.set("dogs", &Value::Whole(3)).unwrap();
//! assert_eq!((walk.dogs, walk.keys()[0].meaning), (3, "Length of a stride."));
//! assert!(walk.set("stride", &Value::Number(-1.0)).is_err());
//! ```

use crate::{Error, Result};
use std::fmt;

/// A value of a setting, as a person writes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Chosen by the program.
    Auto,
    /// true or false.
    Flag(bool),
    /// A whole number, not negative.
    Whole(u64),
    /// A number.
    Number(f64),
    /// A word.
    Text(String),
    /// Whole numbers.
    Wholes(Vec<u64>),
    /// Numbers.
    Numbers(Vec<f64>),
}

/// What a value must satisfy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Nothing beyond its type; numbers must be finite all the same.
    Any,
    /// Every whole number is at least this.
    AtLeast(u64),
    /// An even whole number, at least 2.
    Even,
    /// Every number is positive and finite.
    Positive,
    /// Not negative, and finite.
    NotNegative,
    /// In (0, 1].
    Fraction,
    /// In [0, 1].
    Unit,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// A setting: what it is called, what it may be and what it means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its type, in words.
    pub kind: &'static str,
    /// Its range.
    pub rule: Rule,
    /// What it means, in a sentence.
    pub meaning: &'static str,
}

/// The settings of one part of a method, which a caller who does not know the part can list, read and change.
pub trait Section: Send + Sync {
    /// The part: "run", "model", "velocity" or "estimator".
    fn part(&self) -> &'static str;

    /// All settings in the order in which they are shown.
    fn keys(&self) -> &'static [Key];

    /// The value of a setting; None where there is no such key.
    fn get(&self, key: &str) -> Option<Value>;

    /// Changes a setting. `Error::Setting` where there is no such key, or the value is of another type or out of range; unchanged then.
    fn set(&mut self, key: &str, value: &Value) -> Result<()>;

    /// `Error::Setting` at the first value that is out of range: for settings that were written in code.
    fn check(&self) -> Result<()> {
        self.keys().iter().try_for_each(|key| key.allows(&self.get(key.name).unwrap_or(Value::Auto)))
    }
}

/// A type that a setting can have.
pub trait Setting: Sized {
    /// The type in words.
    const KIND: &'static str;
    /// As a value.
    fn to_value(&self) -> Value;
    /// From a value of this type.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! setting {
    ($type:ty, $kind:literal, $variant:ident($x:ident) => $to:expr, $($from:pat $(if $guard:expr)? => $back:expr),+) => {
        impl Setting for $type {
            const KIND: &'static str = $kind;
            fn to_value(&self) -> Value {
                let $x = self;
                Value::$variant($to)
            }
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    $($from $(if $guard)? => $back,)+
                    _ => None,
                }
            }
        }
    };
}

setting!(bool, "true or false", Flag(x) => *x, Value::Flag(x) => Some(*x));
setting!(u64, "a whole number", Whole(x) => *x, Value::Whole(x) => Some(*x));
setting!(usize, "a whole number", Whole(x) => *x as u64, Value::Whole(x) => usize::try_from(*x).ok());
setting!(f64, "a number", Number(x) => *x, Value::Number(x) => Some(*x), Value::Whole(x) => Some(*x as f64));
setting!(String, "a word", Text(x) => x.clone(), Value::Text(x) => Some(x.clone()));
setting!(Vec<usize>, "a list of whole numbers", Wholes(x) => x.iter().map(|&v| v as u64).collect(),
    Value::Wholes(x) => x.iter().map(|&v| usize::try_from(v).ok()).collect(),
    Value::Numbers(x) if x.is_empty() => Some(Vec::new()));
setting!(Vec<f64>, "a list of numbers", Numbers(x) => x.clone(),
    Value::Numbers(x) => Some(x.clone()), Value::Wholes(x) => Some(x.iter().map(|&v| v as f64).collect()));

macro_rules! into_value {
    ($($type:ty: $x:ident => $value:expr;)+) => {
        $(impl From<$type> for Value {
            fn from($x: $type) -> Value {
                $value
            }
        })+
    };
}

into_value! {
    &Value: x => x.clone();
    bool: x => Value::Flag(x);
    u64: x => Value::Whole(x);
    usize: x => Value::Whole(x as u64);
    i32: x => u64::try_from(x).map_or(Value::Number(x.into()), Value::Whole);
    f64: x => Value::Number(x);
    &str: x => Value::Text(x.into());
    &[u64]: x => Value::Wholes(x.to_vec());
    Vec<usize>: x => Value::Wholes(x.into_iter().map(|v| v as u64).collect());
    Vec<f64>: x => Value::Numbers(x);
}

impl<T: Setting> Setting for Option<T> {
    const KIND: &'static str = T::KIND;
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Auto, T::to_value)
    }
    fn from_value(value: &Value) -> Option<Self> {
        if *value == Value::Auto { Some(None) } else { T::from_value(value).map(Some) }
    }
}

impl Key {
    /// Whether the value is in range; `Error::Setting` with the range where it is not.
    pub fn allows(&self, value: &Value) -> Result<()> {
        let numbers: Vec<f64> = match value {
            Value::Whole(x) => vec![*x as f64],
            Value::Number(x) => vec![*x],
            Value::Wholes(x) => x.iter().map(|&v| v as f64).collect(),
            Value::Numbers(x) => x.clone(),
            Value::Text(_) | Value::Flag(_) | Value::Auto => Vec::new(),
        };
        let each = |holds: &dyn Fn(f64) -> bool| numbers.iter().all(|&x| x.is_finite() && holds(x));
        let holds = match (self.rule, value) {
            (Rule::OneOf(words), Value::Text(word)) => words.contains(&word.as_str()),
            (Rule::Any | Rule::OneOf(_), _) => each(&|_| true),
            (Rule::AtLeast(least), _) => each(&|x| x >= least as f64),
            (Rule::Even, _) => each(&|x| x >= 2.0 && x % 2.0 == 0.0),
            (Rule::Positive, _) => each(&|x| x > 0.0),
            (Rule::NotNegative, _) => each(&|x| x >= 0.0),
            (Rule::Fraction, _) => each(&|x| x > 0.0 && x <= 1.0),
            (Rule::Unit, _) => each(&|x| (0.0..=1.0).contains(&x)),
        };
        if holds { Ok(()) } else { Err(self.refuse(value)) }
    }

    /// The error for a value of another type or out of range.
    pub fn refuse(&self, value: &Value) -> Error {
        let expected = match self.rule {
            Rule::Any => self.kind.to_string(),
            rule => format!("{}, {rule}", self.kind),
        };
        Error::Setting { key: self.name.into(), value: value.to_string(), expected }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Any => write!(f, "any"),
            Rule::AtLeast(n) => write!(f, "at least {n}"),
            Rule::Even => write!(f, "even and at least 2"),
            Rule::Positive => write!(f, "positive and finite"),
            Rule::NotNegative => write!(f, "not negative"),
            Rule::Fraction => write!(f, "in (0, 1]"),
            Rule::Unit => write!(f, "in [0, 1]"),
            Rule::OneOf(words) => write!(f, "one of {}", words.join(", ")),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Auto => write!(f, "auto"),
            Value::Flag(x) => write!(f, "{x}"),
            Value::Whole(x) => write!(f, "{x}"),
            Value::Number(x) => write!(f, "{x}"),
            Value::Text(x) => write!(f, "{x}"),
            Value::Wholes(x) => write!(f, "{x:?}"),
            Value::Numbers(x) => write!(f, "{x:?}"),
        }
    }
}

/// Declares a struct of settings with its defaults, ranges and meanings; see the module [`settings`](mod@crate::settings).
#[macro_export]
macro_rules! settings {
    (
        $(#[$outer:meta])*
        pub struct $name:ident in $part:literal {
            $( $(#[doc = $meaning:literal])+ $field:ident : $type:ty = $default:expr, $rule:expr; )*
        }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[doc = $meaning])+ pub $field: $type, )*
        }

        impl ::core::default::Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $crate::settings::Section for $name {
            fn part(&self) -> &'static str {
                $part
            }
            fn keys(&self) -> &'static [$crate::settings::Key] {
                #[allow(unused_imports)]
                use $crate::settings::{Key, Rule, Setting};
                const KEYS: &[Key] = &[
                    $( Key {
                        name: stringify!($field),
                        kind: <$type as Setting>::KIND,
                        rule: $rule,
                        meaning: concat!($($meaning),+).trim_ascii(),
                    }, )*
                ];
                KEYS
            }
            #[allow(unused_variables)]
            fn get(&self, key: &str) -> Option<$crate::settings::Value> {
                match key {
                    $( stringify!($field) => Some($crate::settings::Setting::to_value(&self.$field)), )*
                    _ => None,
                }
            }
            #[allow(unused_variables)]
            fn set(&mut self, key: &str, value: &$crate::settings::Value) -> $crate::Result<()> {
                let keys = $crate::settings::Section::keys(self);
                let Some(known) = keys.iter().find(|k| k.name == key) else {
                    let names: Vec<&str> = keys.iter().map(|k| k.name).collect();
                    return Err($crate::Error::unknown_name("setting", key, &names));
                };
                known.allows(value)?;
                match key {
                    $( stringify!($field) => {
                        self.$field = $crate::settings::Setting::from_value(value).ok_or_else(|| known.refuse(value))?;
                    } )*
                    _ => {}
                }
                Ok(())
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    settings! {
        /// Of the test.
        pub struct Sample in "model" {
            /// A count, at least 1.
            count: usize = 3, Rule::AtLeast(1);
            /// Widths.
            /// More of them.
            widths: Vec<usize> = vec![8, 8], Rule::AtLeast(1);
            /// Maybe.
            maybe: Option<u64> = None, Rule::Even;
            /// A share.
            share: f64 = 0.5, Rule::Fraction;
            /// A word.
            word: String = "a".into(), Rule::OneOf(&["a", "b"]);
        }
    }

    /// Checks that every default is allowed, that reading and writing are inverse, and that each kind of mistake is refused with the
    /// key, the value and the range, and changes nothing.
    #[test]
    fn sections_hold_their_rules() {
        let mut s = Sample::default();
        s.check().unwrap();
        for key in s.keys() {
            let value = s.get(key.name).unwrap();
            s.set(key.name, &value).unwrap();
            assert_eq!(s.get(key.name), Some(value));
        }
        assert_eq!(s.keys()[1].meaning, "Widths. More of them.");
        s.set("maybe", &Value::Whole(4)).unwrap();
        s.set("share", &Value::Whole(1)).unwrap();
        s.set("word", &Value::Text("b".into())).unwrap();
        let before = s.clone();
        for (key, value, words) in [
            ("count", Value::Whole(0), "count = 0 is out of range: expected a whole number, at least 1"),
            ("count", Value::Number(2.5), "count = 2.5"),
            ("widths", Value::Wholes(vec![3, 0]), "widths = [3, 0]"),
            ("maybe", Value::Whole(3), "even"),
            ("share", Value::Number(f64::NAN), "share = NaN"),
            ("share", Value::Number(1.5), "in (0, 1]"),
            ("word", Value::Text("c".into()), "one of a, b"),
            ("word", Value::Whole(1), "a word"),
            ("colour", Value::Whole(1), "unknown setting 'colour'"),
        ] {
            let error = s.set(key, &value).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(s, before);
        assert!(Sample { share: 2.0, ..before }.check().is_err());
    }
}
