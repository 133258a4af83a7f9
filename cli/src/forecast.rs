//! How long work takes, said before it begins: from the time of a small part of it.

use crate::style::count;
use crate::terminal::note;
use pushforward::density::Density;
use pushforward::metric::{ModeTruth, Options};
use std::time::Instant;

/// Seconds from which a forecast is said.
const LONG: f64 = 10.0;

/// Rows of a task of the mode figures.
const ROWS: usize = 1_024;

/// Multiplications for a point, K d², from which the mode figures of a mixture may take long.
const MANY: usize = 2_000;

/// What `work` returns, and the seconds that it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let out = work();
    (out, start.elapsed().as_secs_f64())
}

/// Says that `what` takes about so many seconds, where that is long; `remedy` ends the sentence.
pub fn say(what: &str, seconds: f64, remedy: &str) {
    sentence(what, seconds, remedy).into_iter().for_each(note);
}

/// Says how long the figures of `n` samples of a mixture take, where its components are many.
pub fn of_figures(density: &dyn Density, n: usize, options: &Options) {
    let Some(mixture) = density.mixture().filter(|m| m.components() * m.dim() * m.dim() > MANY) else { return };
    let part = ROWS * rayon::current_num_threads();
    let (_, seconds) = timed(|| ModeTruth::new(mixture, part, options.seed));
    // true masses, the samples and as many exact ones in each repeat, and a level
    let points = options.truth_size + (2 + 5 * options.repeats.max(2)) * n + options.log_density_size;
    let (k, d) = mixture.means().shape();
    let what = format!("judging {} samples by {} components in {d} dimensions", count(n), count(k));
    say(&what, seconds * points as f64 / part as f64, "Ctrl-C ends it");
}

fn sentence(what: &str, seconds: f64, remedy: &str) -> Option<String> {
    (seconds > LONG).then(|| format!("{what} takes about {}; {remedy}", words(seconds)))
}

/// A length of time in its own unit, to two digits.
fn words(seconds: f64) -> String {
    let units = [(86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"), (1.0, "seconds")];
    let (unit, name) = units.into_iter().find(|(unit, _)| seconds >= 2.0 * unit).unwrap_or(units[3]);
    let number = seconds / unit;
    let digits = usize::from(number < 10.0);
    format!("{number:.digits$} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that a length of time is said in a unit of which it holds two or more, and that a short one is not said.
    #[test]
    fn lengths_of_time() {
        for (seconds, said) in [
            (11.0, "11 seconds"),
            (119.0, "119 seconds"),
            (125.0, "2.1 minutes"),
            (7_000.0, "117 minutes"),
            (7_300.0, "2.0 hours"),
            (864_000.0, "10 days"),
        ] {
            let sentence = sentence("it", seconds, "wait").unwrap();
            assert_eq!(sentence, format!("it takes about {said}; wait"));
        }
        assert_eq!(sentence("it", 9.0, "wait"), None);
    }
}
