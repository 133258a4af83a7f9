//! One figure for each theorem: the pictures of the pages in `theory/` and of the cards in `verify --report`.
//!
//! They show the pairs that every page follows: p = N(0, 1) with q = N(m, 1), where everything has a closed form, and two modes. All
//! numbers come from the library. `cargo test -p pushforward-cli --test book -- --ignored` writes them to `theory/figures/`, the test
//! beside it compares.

mod chart;
mod estimates;
mod line;
mod others;
mod paths;
mod repair;
mod velocities;

use crate::report::picture::picture;
use chart::SIZE;

pub use paths::paths;

/// A figure: the theorem and what draws it.
type Entry = (&'static str, fn() -> String);

const FIGURES: [Entry; 37] = [
    ("T01", velocities::t01),
    ("T02", velocities::t02),
    ("T03", velocities::t03),
    ("T04", velocities::t04),
    ("T05", velocities::t05),
    ("T06", velocities::t06),
    ("T07", velocities::t07),
    ("T08", velocities::t08),
    ("T09", estimates::t09),
    ("T10", estimates::t10),
    ("T11", estimates::t11),
    ("T12", estimates::t12),
    ("T13", repair::t13),
    ("T14", repair::t14),
    ("T15", repair::t15),
    ("T16", estimates::t16),
    ("T17", repair::t17),
    ("T18", repair::t18),
    ("T19", estimates::t19),
    ("T20", repair::t20),
    ("T21", estimates::t21),
    ("T22", estimates::t22),
    ("T23", repair::t23),
    ("T24", repair::t24),
    ("T25", others::t25),
    ("T26", others::t26),
    ("T27", others::t27),
    ("T28", others::t28),
    ("T29", others::t29),
    ("T30", others::t30),
    ("T31", others::t31),
    ("T32", others::t32),
    ("T33", others::t33),
    ("T34", others::t34),
    ("T35", others::t35),
    ("T36", others::t36),
    ("T37", others::t37),
];

/// The figure of "T01" and so on, as an `<svg>` element for a page that has the styles; empty for what has none.
pub fn panel(id: &str) -> String {
    FIGURES.iter().find(|(name, _)| *name == id).map_or_else(String::new, |(_, draw)| draw())
}

/// All figures as files that stand alone: "T01" and the SVG.
pub fn files() -> impl Iterator<Item = (&'static str, String)> {
    FIGURES.iter().map(|(id, draw)| (*id, picture(&[draw()], 1, SIZE)))
}
