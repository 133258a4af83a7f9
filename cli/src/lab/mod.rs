//! The laboratory: runs in the plane, shown in a browser while they go on.
//!
//! The page draws and computes nothing: every number in it is made here, by the library. A tab is a stream of events, a stream is a
//! [`Course`], and a course is up to three runs of the command `particles` on one seed.

mod circle;
mod course;
mod export;
mod http;
mod law;
mod pane;
mod server;
mod smoothed;
mod storyboard;
mod wish;

pub use course::Course;
pub use http::{MOST_HEAD, Request};
pub use law::Beside;
pub use server::{Server, Settings};
pub use smoothed::{CELLS, Smoothed, lowered};
pub use storyboard::Storyboard;
pub use wish::{MOST_PANES, Wish};
