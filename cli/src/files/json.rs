//! JSON with numbers that are not finite, as Python's `json` writes and reads it: `NaN`, `Infinity`, `-Infinity`.
//!
//! A [`Value`] holds no such number. In memory it is a string with a mark in front, made by [`real`]; [`text`] writes
//! it as the bare word and [`parse`] gives the marked string back.

use serde_json::Value;

/// In front of the words in memory: a character that no argument and no path can hold.
const MARK: char = '\0';
/// The same as JSON writes it.
const ESCAPED: &str = "\\u0000";

/// Longest first where one ends another.
const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// A number with as many digits as give back the same f64, or its word.
pub fn number(x: f64) -> String {
    match x {
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ => format!("{x:?}"),
    }
}

/// A number as a value that [`text`] writes.
pub fn real(x: f64) -> Value {
    if x.is_finite() { x.into() } else { format!("{MARK}{}", number(x)).into() }
}

/// The number of a value that [`real`] made or that is one; None for anything else.
pub fn as_real(value: &Value) -> Option<f64> {
    match value.as_str().and_then(|word| word.strip_prefix(MARK)) {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        _ => value.as_f64(),
    }
}

/// The value on lines of its own, with a last line's end.
pub fn text(value: &Value) -> String {
    bare(format!("{value:#}\n"))
}

/// The value on one line, with its end.
pub fn line(value: &Value) -> String {
    bare(format!("{value}\n"))
}

/// The text with the marked words as they are.
fn bare(text: String) -> String {
    WORDS.iter().fold(text, |text, word| text.replace(&format!("\"{ESCAPED}{word}\""), word))
}

/// The value of a text.
pub fn parse(text: &str) -> serde_json::Result<Value> {
    let (mut out, mut rest, mut quoted) = (String::with_capacity(text.len()), text, false);
    while let Some(c) = rest.chars().next() {
        let word = WORDS.iter().find(|word| !quoted && rest.starts_with(**word));
        let length = match (c, word) {
            (_, Some(word)) => {
                out += &format!("\"{ESCAPED}{word}\"");
                rest = &rest[word.len()..];
                continue;
            }
            ('\\', _) if quoted => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => c.len_utf8(),
        };
        quoted ^= c == '"';
        out += &rest[..length];
        rest = &rest[length..];
    }
    serde_json::from_str(&out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Checks that numbers of every kind come back, that the text has the words that Python reads, and that the same
    /// words in strings and names are left alone.
    #[test]
    fn round_trip() {
        let value = json!({
            "a": [real(f64::INFINITY), real(f64::NEG_INFINITY), real(f64::NAN), real(0.1), real(-1e300)],
            "-Infinity": "NaN and \"Infinity\" \\",
            "b": null,
        });
        let text = text(&value);
        assert_eq!(parse(&text).unwrap(), value);
        assert_eq!(parse(&line(&value)).unwrap(), value);
        let back: Vec<f64> = value["a"].as_array().unwrap().iter().map(|v| as_real(v).unwrap()).collect();
        assert!(back[..2] == [f64::INFINITY, f64::NEG_INFINITY] && back[2].is_nan() && back[3..] == [0.1, -1e300]);
        assert_eq!((as_real(&value["b"]), as_real(&json!("NaN"))), (None, None));
        let packed: String = text.split_whitespace().collect();
        assert!(
            packed.contains(r#""a":[Infinity,-Infinity,NaN,0.1,-1e+300]"#) && packed.contains(r#""-Infinity":"NaNand"#),
            "{text}"
        );
        assert!(parse("{\"a\": -Infinit}").is_err() && parse("\"").is_err() && parse("\"\\").is_err());
        assert_eq!(parse("\"é\\u00e9\"").unwrap(), "éé");
    }
}
