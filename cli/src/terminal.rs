//! What the command says: results on stdout, notes and errors on stderr.

use crate::failure::{Failure, Outcome};
use std::fmt;
use std::io::Write;

/// The text with what would steer a terminal written out: control characters but the line's end, and marks of writing
/// direction.
pub fn visible(text: &str) -> String {
    let steers = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Says a line on stderr. Where that cannot be written (a full disk, a closed pipe) nobody can be told, and nothing
/// else changes.
pub fn say(line: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{}", visible(&line.to_string()));
}

/// Says something on stderr that is worth knowing but stops nothing.
pub(crate) fn note(sentence: String) {
    say(format_args!("note: {sentence}"));
}

/// Writes to stdout. A reader that has gone away (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(visible(text).as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::io("write", "standard output".as_ref(), &e))
        }
        _ => Ok(()),
    }
}
