//! The laboratory: runs in the plane, shown in a browser while they go on.
//!
//! The page draws and computes nothing: every number in it is made here, by the library. A tab is a stream of events, a stream is a
//! [`Course`], and a course is up to three runs of the command `particles` on one seed.

mod circle;
mod controls;
mod course;
mod export;
mod glance;
mod http;
mod law;
mod levels;
mod pane;
mod server;
mod smoothed;
mod storyboard;
mod wish;
mod words;

pub use controls::{CANNOT, velocities};
pub use course::Course;
pub use http::{MOST_HEAD, Request};
pub use law::Beside;
pub use levels::{Inflow, Levels, View};
pub use server::{Server, Settings};
pub use smoothed::{CELLS, Smoothed, lowered};
pub use storyboard::Storyboard;
pub use wish::{MOST_PANES, Wish};
