//! Places in a user's file, and the line of it with a caret below.

use std::ops::Range;

/// Characters of a line that are shown at most.
const WINDOW: usize = 110;

/// A place in a file; line and column count from 1, the column in characters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    pub line: usize,
    pub column: usize,
    /// The whole line.
    pub text: String,
}

/// The place of byte `at` of `text`.
pub(crate) fn place(text: &str, at: usize) -> Place {
    let at = (0..=at.min(text.len())).rev().find(|&k| text.is_char_boundary(k)).unwrap_or(0);
    let start = text[..at].rfind('\n').map_or(0, |k| k + 1);
    let end = text[at..].find('\n').map_or(text.len(), |k| at + k);
    let line = text[..start].matches('\n').count() + 1;
    Place { line, column: text[start..at].chars().count() + 1, text: text[start..end].trim_end().into() }
}

/// The place of byte `at` of a TOML string with this `span` in `text` and this `value`. Where the string has escapes, it is a place in
/// the value, counted from the line on which the string begins.
pub(crate) fn place_of(text: &str, span: Range<usize>, value: &str, at: usize) -> Place {
    let raw = text.get(span.clone()).unwrap_or_default();
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
    let inner = raw.get(quotes..raw.len().saturating_sub(quotes)).unwrap_or_default();
    let trimmed = inner.strip_prefix('\n').or(inner.strip_prefix("\r\n")).filter(|_| quotes == 3).unwrap_or(inner);
    if trimmed == value {
        return place(text, span.start + quotes + (inner.len() - trimmed.len()) + at);
    }
    let inside = place(value, at);
    Place { line: place(text, span.start).line + inside.line - 1, ..inside }
}

/// A line of a file and marks below it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Excerpt {
    place: Place,
    length: usize,
}

impl Excerpt {
    /// The line of `place` with `length` marks from its column, at least one.
    pub(crate) fn new(place: Place, length: usize) -> Self {
        Self { place, length }
    }

    /// Two lines of text, cut to the neighbourhood of the caret.
    pub(crate) fn show(&self) -> String {
        let line: Vec<char> = self.place.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let column = (self.place.column - 1).min(line.len());
        let from = if line.len() > WINDOW { column.saturating_sub(WINDOW / 2) } else { 0 };
        let to = line.len().min(from + WINDOW);
        let shown: String = line[from..to].iter().collect();
        let marks = "^".repeat(self.length.clamp(1, (to - column).max(1)));
        let number = self.place.line.to_string();
        format!("  {number} | {shown}\n  {} | {}{marks}", " ".repeat(number.len()), " ".repeat(column - from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that carets stand below what they mean in every kind of TOML string, and that long lines are cut around them.
    #[test]
    fn carets() {
        for (text, line, column) in [
            ("a = 1\nf = \"x + y\"\n", 2, 10),
            ("f = 'x + y'", 1, 10),
            ("f = \"\"\"\nx + y\"\"\"", 2, 5),
            ("f = '''x\n  + y'''", 2, 5),
            ("f = \"x\\n+ y\"", 2, 3), // an escape: line and column within the value
        ] {
            #[derive(serde::Deserialize)]
            struct File {
                f: toml::Spanned<String>,
            }
            let file: File = toml::from_str(text).unwrap();
            let value = file.f.get_ref();
            let found = place_of(text, file.f.span(), value, value.find('y').unwrap());
            assert_eq!((found.line, found.column), (line, column), "{text}");
        }
        let long = format!("{}!{}", "é".repeat(500), "a".repeat(500));
        let shown = Excerpt::new(place(&long, 1000), 1).show();
        let lines: Vec<Vec<char>> = shown.lines().map(|l| l.chars().collect()).collect();
        assert!(lines[0].len() < 130 && lines[0][lines[1].iter().position(|c| *c == '^').unwrap()] == '!', "{shown}");
    }
}
