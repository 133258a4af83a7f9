//! The report of a run: one self-contained HTML file, drawn from plain data ([`Record`]).

mod axis;
pub mod comparison;
mod contour;
mod curves;
mod field;
mod page;
mod panels;
mod paths;
mod plot;
mod record;
pub mod style;
#[cfg(test)]
mod tests;
pub mod theorems;

#[cfg(test)]
mod fake;

pub use page::{comparison, html};
pub use record::{
    CertificateCard, DivergenceCard, Field, Frame, Judge, MetricRow, ModeCourse, ModeMass, Record, TargetCard, TestRow,
    Tile,
};
pub use style::{count, number};
