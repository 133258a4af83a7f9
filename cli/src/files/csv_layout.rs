//! What the lines of a table look like: cells, separators, and whether the first one is a header.

use std::borrow::Cow;

/// A cell of a line, without the blanks around it and its quotation marks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell<'a> {
    pub text: Cow<'a, str>,
    pub quoted: bool,
}

/// What stands between two cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    /// This character.
    Is(char),
    /// Any number of blanks.
    Blanks,
}

/// How a table is read, after its first lines were seen.
#[derive(Debug)]
pub(super) struct Layout {
    pub separator: Separator,
    /// The columns that are read, of those that a line has.
    pub columns: Vec<usize>,
    /// Cells that a line must have.
    pub width: usize,
    /// Names of the columns that are read, where the first line is a header.
    pub names: Option<Vec<String>>,
    /// What was guessed and could be meant otherwise.
    pub note: Option<String>,
}

/// The separator of a line: a tab, a semicolon or a comma outside quotation marks, in this order, because a comma may
/// be that of a decimal; else blanks. A spreadsheet may say it itself, by a first line `sep=;`.
pub(super) fn separator_of(line: &str) -> Separator {
    let mut quoted = false;
    let outside: String = line.chars().filter(|c| (*c == '"').then(|| quoted = !quoted).is_none() && !quoted).collect();
    let found = ['\t', ';', ','].into_iter().find(|c| outside.trim().contains(*c));
    found.map_or(Separator::Blanks, Separator::Is)
}

/// The cells of a line; a quotation mark within quotation marks is written twice. An error where one is not closed.
pub(super) fn cells(line: &str, separator: Separator) -> Result<Vec<Cell<'_>>, String> {
    let mut out = Vec::new();
    let mut rest = line.trim_end_matches(['\r', '\n']);
    loop {
        rest = rest.trim_start_matches(' ');
        if separator == Separator::Blanks && rest.trim_start().is_empty() {
            return Ok(out);
        }
        if let Some(inside) = rest.strip_prefix('"') {
            let marks = inside.match_indices('"').map(|(at, _)| at);
            let mut from = 0;
            let end = marks.into_iter().find(|&at| {
                let single = at >= from && !inside[at + 1..].starts_with('"');
                if at >= from && !single {
                    from = at + 2;
                }
                single
            });
            let Some(end) = end else { return Err("a quotation mark is not closed on its line".into()) };
            let text = if inside[..end].contains('"') {
                Cow::Owned(inside[..end].replace("\"\"", "\""))
            } else {
                Cow::Borrowed(inside[..end].trim())
            };
            out.push(Cell { text, quoted: true });
            rest = inside[end + 1..].trim_start_matches(' ');
            match separator {
                Separator::Is(c) => match rest.strip_prefix(c) {
                    Some(next) => rest = next,
                    None if rest.trim().is_empty() => return Ok(out),
                    None => return Err("text follows a closing quotation mark".into()),
                },
                Separator::Blanks => {}
            }
            continue;
        }
        let end = match separator {
            Separator::Is(c) => rest.find(c),
            Separator::Blanks => rest.find(|c: char| c.is_whitespace()),
        };
        out.push(Cell { text: Cow::Borrowed(rest[..end.unwrap_or(rest.len())].trim()), quoted: false });
        match end {
            Some(end) => rest = &rest[end + rest[end..].chars().next().map_or(1, char::len_utf8)..],
            None => return Ok(out),
        }
    }
}

/// The number that a cell holds. Between semicolons and tabs a comma may stand for the point of a decimal.
pub(super) fn number(text: &str, separator: Separator) -> Option<f64> {
    let decimal_comma = matches!(separator, Separator::Is(';' | '\t')) && text.matches(',').count() == 1;
    if decimal_comma && !text.contains('.') { text.replace(',', ".").parse().ok() } else { text.parse().ok() }
}

/// Words for what is missing or a condition; no column is called so.
const MISSING: &[&str] = &[
    "na",
    "n/a",
    "nan",
    "null",
    "none",
    "nil",
    "inf",
    "-inf",
    "infinity",
    "-infinity",
    "?",
    "-",
    ".",
    "true",
    "false",
];

/// Whether a text begins like a number, after signs of any kind, so that it is a number of another form (0x10, 1D3, −1, (1.5), $2, 1 000) sooner
/// than a name.
fn is_like_number(text: &str) -> bool {
    text.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_').starts_with(char::is_numeric)
}

fn is_integer(text: &str) -> bool {
    !text.is_empty() && text.len() < 10 && text.bytes().all(|b| b.is_ascii_digit())
}

/// How a table whose first lines with cells are `first` and `second` is read.
///
/// The first line is a header where one of its cells is a name that does not begin like a number and no other one a
/// decimal number, where its first cell
/// is empty (an unnamed column of row names, as pandas and R write it), and where all its cells are quoted and those of
/// the next line are not. Two or more columns `0,1,…` above numbers of another form are the header that pandas gives to
/// an array without names.
pub(super) fn layout(first: &str, second: Option<&str>) -> Result<Layout, String> {
    let separator = separator_of(first);
    let head = cells(first, separator)?;
    let body = second.map(|line| cells(line, separator)).transpose()?;
    let is_number = |c: &Cell| number(&c.text, separator).is_some_and(f64::is_finite);
    let is_missing = |c: &Cell| c.text.is_empty() || MISSING.contains(&c.text.to_lowercase().as_str());
    let is_name = |c: &Cell| !is_number(c) && !is_missing(c);
    let plain = |c: &Cell| c.quoted || is_integer(&c.text) || is_name(c) || (is_missing(c) && !c.text.is_empty());
    let is_sure = |c: &Cell| is_name(c) && !is_like_number(&c.text);
    let named = head.iter().any(is_sure) && head.iter().all(plain);
    let row_names = head.len() > 1 && head[0].text.is_empty();
    let unnamed = row_names && (named || head[1..].iter().all(|c| plain(c) && !c.text.is_empty()));
    let quoted = head.iter().all(|c| c.quoted || c.text.is_empty())
        && body.as_ref().is_some_and(|body| body.iter().any(|c| !c.quoted));
    let counted = head.iter().enumerate().all(|(j, c)| !c.quoted && c.text == j.to_string())
        && body.as_ref().is_some_and(|body| body.iter().any(|c| !is_integer(&c.text)));
    let named = named || (row_names && head[1..].iter().any(is_sure) && head[1..].iter().all(plain));
    if counted && head.len() == 1 {
        return Err("'0' may be the name that pandas gives to a column or a number; write a name, or 0.0".into());
    }
    let all = |width: usize| Layout { separator, columns: (0..width).collect(), width, names: None, note: None };
    if !(named || unnamed || quoted || counted) {
        let whole = head.iter().all(|c| is_integer(&c.text));
        let others = body.is_some_and(|body| body.iter().all(|c| is_number(c) && !is_integer(&c.text)));
        // 0, 1, 2 (names of pandas) or 2019, 2020 (years)
        let integers: Vec<i64> = head.iter().filter_map(|c| c.text.parse().ok()).collect();
        let begins = integers.first().is_some_and(|&first| first == 0 || first >= 1000 && head.len() > 1);
        let counts = whole && begins && integers.windows(2).all(|w| w[1] == w[0].wrapping_add(1));
        let why = match () {
            () if whole && others => "it alone has whole ones",
            () if counts => "they count up like names",
            () => "",
        };
        let note = (!why.is_empty()).then(|| {
            format!("the first line was read as numbers, though {why}; put them in quotation marks if they are names")
        });
        return Ok(Layout { note, ..all(head.len()) });
    }
    let width = body.as_ref().map_or(head.len(), Vec::len);
    // R names rows without a name for that column, by their numbers where nothing else is known
    let one_more = body.as_ref().filter(|_| width == head.len() + 1);
    let r_names = one_more
        .is_some_and(|b| b[0].quoted || !is_number(&b[0]) || (separator == Separator::Blanks && b[0].text == "1"));
    let numbered = r_names && one_more.is_some_and(|b| !b[0].quoted && is_number(&b[0]));
    if width != head.len() && !r_names {
        return Err(format!("the header names {} columns but its rows have {width}", head.len()));
    }
    let skipped = usize::from(r_names);
    // the columns of Stan's own that end in two underscores tell how the sampler went
    let is_own = |name: &str| name.len() > 2 && name.ends_with("__");
    let kept: Vec<(usize, String)> = (head.iter().enumerate())
        .filter(|(j, c)| (*j > 0 || !row_names) && !is_own(&c.text))
        .map(|(j, c)| (j + skipped, c.text.to_string()))
        .collect();
    let note = if counted {
        Some(
            "the first line was taken as the names of its columns, as pandas writes them; write 0.0 for 0 if it is a row",
        )
    } else {
        numbered.then_some("the first column, which the header does not name, was taken as R's row names and left out")
    };
    let note = note.map(String::from);
    let (columns, names) = kept.into_iter().unzip();
    Ok(Layout { columns, names: Some(names), note, ..all(width) })
}
