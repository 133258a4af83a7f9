//! The report of a run: one self-contained HTML file, drawn from plain data ([`Record`]).

pub(crate) mod axis;
pub mod comparison;
pub(crate) mod contour;
mod curves;
mod field;
pub mod figures;
pub mod forgetting;
pub mod formulas;
pub mod ledger;
pub mod orbits;
mod page;
pub(crate) mod panels;
mod paths;
mod picture;
pub mod plan;
pub(crate) mod plot;
mod record;
pub mod style;
#[cfg(test)]
mod tests;
pub mod theorems;

#[cfg(test)]
mod fake;

pub use page::{comparison, html};
pub use record::{
    CertificateCard, DivergenceCard, Field, Frame, MetricRow, ModeCourse, ModeMass, Record, TargetCard, TestRow, Tile,
};
pub use style::{count, number};
