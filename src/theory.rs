//! The theorems behind the code, one page each: statement, assumptions, proof, what the machine checks and what it does not.
//!
//! The pages are the files of the folder `theory/`; `theory/README.md` is the ledger with the status of each. Links from a page to
//! an item are resolved by rustdoc, so that a renamed function breaks the page that speaks of it.

#[doc = include_str!("../theory/notation.md")]
pub mod notation {}

#[doc = include_str!("../theory/T01-universal-velocity.md")]
pub mod t01 {}

#[doc = include_str!("../theory/T02-shared-target.md")]
pub mod t02 {}

#[doc = include_str!("../theory/T03-dissipation.md")]
pub mod t03 {}

#[doc = include_str!("../theory/T04-compression-elasticity.md")]
pub mod t04 {}

#[doc = include_str!("../theory/T05-regional-response.md")]
pub mod t05 {}

#[doc = include_str!("../theory/T06-level-sets.md")]
pub mod t06 {}

#[doc = include_str!("../theory/T07-integrability.md")]
pub mod t07 {}

#[doc = include_str!("../theory/T08-log-variance.md")]
pub mod t08 {}

#[doc = include_str!("../theory/T09-generator-gradient.md")]
pub mod t09 {}

#[doc = include_str!("../theory/T10-kde-bias.md")]
pub mod t10 {}

#[doc = include_str!("../theory/T11-smoothed-velocity.md")]
pub mod t11 {}

#[doc = include_str!("../theory/T12-change-of-variables.md")]
pub mod t12 {}

#[doc = include_str!("../theory/T13-fastest-repair.md")]
pub mod t13 {}

#[doc = include_str!("../theory/T14-silent-gaps.md")]
pub mod t14 {}

#[doc = include_str!("../theory/T15-reaction.md")]
pub mod t15 {}
