//! Colours and numbers as people see them.

/// Okabe and Ito's blue: the target and its exact samples. Palette: <https://jfly.uni-koeln.de/color/>, told apart with every colour vision.
pub const TARGET: &str = "#0072B2";
/// Vermilion: the model.
pub const MODEL: &str = "#D55E00";
/// Bluish green: schedules.
pub const GREEN: &str = "#009E73";
/// Reddish purple: sizes of the drift.
pub const PURPLE: &str = "#CC79A7";
/// Ink of axes and text.
pub const INK: &str = "#222";
/// Ink of the grid.
pub const GRID: &str = "#e4e4e4";

/// Okabe and Ito's colours but yellow, which is too light for a line; the second round of colours has a dash of its own.
const COLOURS: [&str; 7] = ["#222222", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
const DASHES: [&str; 4] = ["", "8 3", "2 3", "8 3 2 3"];

/// Colour of the k-th of many lines.
pub fn series_colour(k: usize) -> &'static str {
    COLOURS[k % COLOURS.len()]
}

/// Stroke of the k-th of many lines, as SVG attributes.
pub fn series(k: usize) -> String {
    // the first round has the first three dashes, the second the last
    let dash = if k < COLOURS.len() { DASHES[k % 3] } else { DASHES[3] };
    format!("stroke=\"{}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"", series_colour(k))
}

/// Entries of a legend: a line of each style with its name.
pub fn key<'a>(lines: impl Iterator<Item = (String, &'a str)>) -> String {
    let entries = lines.map(|(style, name)| {
        format!(
            "<span style=\"white-space:nowrap;margin-right:18px\"><svg style=\"display:inline;vertical-align:3px\" width=\"44\" height=\"6\">\
             <path d=\"M0 3h44\" fill=\"none\" {style}/></svg> {}</span> ",
            escape(name)
        )
    });
    format!("<p class=\"caption\">{}</p>\n", entries.collect::<String>())
}

/// Text that is safe inside HTML and SVG.
pub fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
        out
    })
}

/// 1234567 → "1,234,567".
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// 12 → "¹²".
pub fn superscript(n: i32) -> String {
    let digit = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        c => char::from_u32(0x2070 + c.to_digit(10).unwrap_or(0)).unwrap_or(c),
    };
    n.to_string().chars().map(digit).collect()
}

/// x with `digits` significant digits, whole numbers whole; a true minus sign; powers of ten outside [1e-3, 1e5).
pub fn number(x: f64, digits: usize) -> String {
    if x.fract() == 0.0 && x.abs() < 1e5 {
        return format!("{}{}", if x < 0.0 { "−" } else { "" }, x.abs());
    }
    if !x.is_finite() {
        return if x.is_nan() {
            "n/a".into()
        } else if x > 0.0 {
            "∞".into()
        } else {
            "−∞".into()
        };
    }
    let scientific = format!("{:.*e}", digits - 1, x.abs());
    let (mantissa, exponent) = scientific.split_once('e').expect("scientific notation has an e");
    let exponent: i32 = exponent.parse().expect("the exponent is whole");
    let body = if (-3..5).contains(&exponent) {
        format!("{:.*}", (digits as i32 - 1 - exponent).max(0) as usize, x.abs())
    } else {
        format!("{mantissa}×10{}", superscript(exponent))
    };
    if x < 0.0 { format!("−{body}") } else { body }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the four shapes that a number can take.
    #[test]
    fn numbers() {
        assert_eq!(number(0.04312, 3), "0.0431");
        assert_eq!(number(-6.8594, 4), "−6.859");
        assert_eq!(number(12345.6, 3), "12346");
        assert_eq!(number(2.5e-7, 2), "2.5×10⁻⁷");
        assert_eq!(number(0.9999, 2), "1.0");
        assert_eq!(number(-40.0, 4), "−40");
        assert_eq!(count(1234567), "1,234,567");
        assert_eq!(escape("<a&\"b\">"), "&lt;a&amp;&quot;b&quot;&gt;");
    }
}
