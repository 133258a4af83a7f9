//! The report of a run: one self-contained HTML file, drawn from plain data ([`Record`]).

pub(crate) mod axis;
pub mod cards;
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
#[cfg(test)]
mod tests;
pub mod theorems;

#[cfg(test)]
mod fake;

pub use crate::record::{
    CertificateCard, DivergenceCard, Field, Frame, MetricRow, ModeCourse, ModeMass, Record, TargetCard, TestRow, Tile,
};
pub use crate::style::{count, number};
pub use page::{comparison, html};
