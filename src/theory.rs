//! The theorems behind the code, one page each: statement, assumptions, proof, what the machine checks and what it does not.
//!
//! The pages are the files of the folder `theory/`; `theory/README.md` is the ledger with the status of each. Links from a page to
//! an item are resolved by rustdoc, so that a renamed function breaks the page that speaks of it.

#[doc = include_str!("../theory/notation.md")]
pub mod notation {}
