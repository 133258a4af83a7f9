//! Lengths of time as people write them: `2h`, `90m`, `1h30m`, `45s`, `500ms`; a bare number is seconds.

use std::time::Duration;

/// The length of time that `text` says; else what is wrong with it.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no length of time; write 2h, 1h30m, 45s or 500ms");
    let mut rest = text.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        seconds += number
            * match &rest[..letters] {
                "d" => 86_400.0,
                "h" => 3_600.0,
                "m" | "min" => 60.0,
                "s" | "" => 1.0,
                "ms" => 1e-3,
                _ => return Err(wrong()),
            };
        rest = &rest[letters..];
    }
    // A century: more than anybody means, and far from where adding it to a clock overflows.
    Duration::try_from_secs_f64(seconds).ok().filter(|d| d.as_secs() < 3_200_000_000).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that each unit and their sums are read, and that everything else is refused with the text.
    #[test]
    fn units() {
        for (text, milliseconds) in [
            ("2h", 7_200_000),
            ("1h30m", 5_400_000),
            ("90m", 5_400_000),
            ("45", 45_000),
            ("500ms", 500),
            ("0.25s", 250),
            ("1d", 86_400_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "h", "2 h", "-3s", "1e9", "2x", "9999999999999999d", "nan", "1.2.3s", "٣s"] {
            assert!(parse(text).is_err_and(|why| why.contains(text)), "{text}");
        }
    }
}
