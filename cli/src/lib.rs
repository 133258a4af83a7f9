//! The modules behind the `pushforward` command: files, targets, runs, progress, the report.
//!
//! A library beside the binary, so that each module can be tested and fuzzed alone.

#![deny(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod certified;
pub mod checkpoint;
pub mod commands;
pub mod comparison;
pub mod conditions;
pub mod config;
pub mod curves;
pub mod discontinuities;
pub mod duration;
pub mod evaluations;
pub mod failure;
pub mod files;
pub mod fingerprint;
pub mod forecast;
pub mod interrupt;
pub mod job;
pub mod lab;
pub mod memory;
pub mod model;
pub mod opened;
pub mod progress;
pub mod record;
pub mod report;
pub mod results;
pub mod run_folder;
pub mod saved;
pub mod signal;
pub mod style;
pub mod summary;
pub mod supervise;
pub mod target;
pub mod terminal;
pub mod training;
pub mod verdict;
pub mod verification;
pub mod words;
