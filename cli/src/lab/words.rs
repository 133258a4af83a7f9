//! Words of an address: escapes, numbers, drawn mixtures.

use crate::failure::{Failure, Outcome};
use crate::target::formula;
use crate::target::source::{Excerpt, place};
use std::fmt::Write;

/// Most modes of a mixture that is drawn.
const MOST_MODES: usize = 64;

/// A number in a word.
pub fn number(key: &str, word: &str) -> Outcome<f64> {
    let found = word.parse::<f64>().ok().filter(|x| x.is_finite());
    found.ok_or_else(|| Failure::input(format!("{key} = {word}; give a number")))
}

/// The mistake with the line of the formula and marks below it.
pub fn at_its_place(formula: &str, mistake: &formula::Mistake) -> Failure {
    let place = place(formula, mistake.start);
    let sentence = format!("line {}, column {}: {}", place.line, place.column, mistake.sentence);
    Failure::Source { sentence, excerpt: Excerpt::new(place, mistake.end - mistake.start).show() }
}

/// `x,y,std,weight;…` as a target file.
pub fn mixture(modes: &str) -> Outcome<String> {
    let (mut means, mut stds, mut weights) = (String::new(), String::new(), String::new());
    let modes: Vec<&str> = modes.split(';').filter(|m| !m.is_empty()).collect();
    if modes.len() > MOST_MODES {
        return Err(Failure::input(format!("{} modes are given; give at most {MOST_MODES}", modes.len())));
    }
    for mode in modes {
        let numbers: Vec<f64> = mode.split(',').map(|w| number("modes", w)).collect::<Outcome<_>>()?;
        let [x, y, std, weight] = numbers[..] else {
            return Err(Failure::input(format!("modes: {mode}; give x, y, standard deviation and weight of each")));
        };
        let _ = write!(means, "[{x:?}, {y:?}], ");
        let _ = write!(stds, "{std:?}, ");
        let _ = write!(weights, "{weight:?}, ");
    }
    Ok(format!("kind = \"gaussian-mixture\"\nmeans = [{means}]\nstd = [{stds}]\nweights = [{weights}]\n"))
}

/// A word of a query: `+` is a space, `%41` is A.
pub fn decode(word: &str) -> Outcome<String> {
    let bad = || Failure::input("the address is not of the form key=value&key=value".to_string());
    let (mut out, mut bytes) = (Vec::new(), word.bytes());
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|b| (b as char).to_digit(16));
                let (high, low) = (digit().ok_or_else(bad)?, digit().ok_or_else(bad)?);
                (16 * high + low) as u8
            }
            b => b,
        });
    }
    String::from_utf8(out).map_err(|_| bad())
}
