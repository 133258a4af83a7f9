//! Text to tokens.

use crate::target::formula::Mistake;

/// Longest formula in bytes.
pub(super) const MAX_TEXT: usize = 1 << 16;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind<'a> {
    Number(f64),
    Name(&'a str),
    Mark(char),
    End,
}

/// A token and the bytes [start, end) that it covers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub kind: Kind<'a>,
    pub start: usize,
    pub end: usize,
}

/// The tokens of `text`, with one `End` last.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Mistake> {
    if text.len() > MAX_TEXT {
        let sentence = format!(
            "the formula has {} bytes, more than the {MAX_TEXT} that are read; use sum(i, first, last, …) and [constants]",
            text.len()
        );
        return Err(Mistake { start: 0, end: 1, sentence });
    }
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let length = match c {
            _ if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '#' => {
                at = text[at..].find('\n').map_or(text.len(), |k| at + k);
                continue;
            }
            _ if pair(&text[at..]).is_some() => 2,
            '0'..='9' | '.' => number(&text[at..]),
            _ if c.is_ascii_alphabetic() || c == '_' => {
                text[at..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len() - at)
            }
            _ => c.len_utf8(),
        };
        let (word, end) = (&text[at..at + length], at + length);
        let mistake = |sentence: String| Err(Mistake { start: at, end, sentence });
        let kind = match c {
            '0'..='9' | '.' => match word.parse() {
                Ok(x) if f64::is_finite(x) => Kind::Number(x),
                _ => return mistake(format!("'{word}' is not a number; write it like 2, 0.5 or 1e-3")),
            },
            _ if c.is_ascii_alphabetic() || c == '_' => Kind::Name(word),
            '*' if text[end..].starts_with('*') => {
                return Err(Mistake {
                    start: at,
                    end: end + 1,
                    sentence: "'**' is no operator; write ^ for a power".into(),
                });
            }
            _ if length == 2 && pair(word).is_some() => Kind::Mark(pair(word).unwrap_or(c)),
            '+' | '-' | '*' | '/' | '^' | '(' | ')' | '[' | ']' | ',' | ':' | ';' | '=' | '<' | '>' | '!' | '~' => {
                Kind::Mark(c)
            }
            '&' | '|' => return mistake(format!("'{c}' has no meaning in a formula; write {c}{c}")),
            _ => {
                return mistake(format!(
                    "'{c}' has no meaning in a formula; use letters, digits and + - * / ^ ( ) [ ] , : ; = ~ < > !"
                ));
            }
        };
        out.push(Token { kind, start: at, end });
        at = end;
    }
    out.push(Token { kind: Kind::End, start: text.len(), end: text.len() });
    Ok(out)
}

/// Marks of two characters, and the one that stands for them in a token.
pub(super) const PAIRS: [(&str, char); 6] =
    [("<=", '≤'), (">=", '≥'), ("==", '≡'), ("!=", '≠'), ("&&", '∧'), ("||", '∨')];

/// The mark of two characters at the start.
fn pair(text: &str) -> Option<char> {
    PAIRS.iter().find(|(mark, _)| text.starts_with(mark)).map(|(_, c)| *c)
}

/// Bytes of the number at the start: digits with at most one point, then an exponent where digits follow it.
fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| from + bytes[from..].iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    let mantissa = digits(0);
    if !matches!(bytes.get(mantissa), Some(b'e' | b'E')) {
        return mantissa;
    }
    let sign = usize::from(matches!(bytes.get(mantissa + 1), Some(b'+' | b'-')));
    let end = digits(mantissa + 1 + sign);
    if end > mantissa + 1 + sign { end } else { mantissa }
}
