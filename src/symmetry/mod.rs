//! Linear and affine symmetries of a density, found from its score alone (T34).
//!
//! ```
//! use pushforward::density::by_name;
//! use pushforward::symmetry::{Settings, find};
//!
//! # fn main() -> pushforward::Result<()> {
//! let p = by_name("funnel-3")?; // its coordinates 2 and 3 turn into each other
//! let found = find(&*p, &p.sample(2000, 0).expect("exact samples"), &Settings::default())?;
//! assert_eq!(found.basis.len(), 1);
//! # Ok(())
//! # }
//! ```

mod affine_field;
mod find;
pub mod latent;
mod moments;

pub use affine_field::AffineField;
pub use find::{Found, Settings, find};
