//! A progress bar on stderr: rate, time left, and two or three numbers. Silent when stderr is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether bars are drawn where there is a terminal.
static DRAWN: AtomicBool = AtomicBool::new(true);

/// Says whether bars are drawn; a program that embeds this one shows progress in its own way.
pub fn draw(yes: bool) {
    DRAWN.store(yes, Ordering::Relaxed);
}

/// The bar of one long piece of work; removed when dropped.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar over `length` units, called `unit` in the plural, such as "steps".
    pub fn new(length: u64, unit: &str) -> Self {
        // indicatif draws at most 20 times a second, and nothing at all where stderr is not a terminal.
        let bar = if DRAWN.load(Ordering::Relaxed) { ProgressBar::new(length) } else { ProgressBar::hidden() };
        let template = format!(
            "{{bar:30}} {{percent:>3}}%  {{human_pos}}/{{human_len}} {unit}  {{per_sec}}  {{eta}} left  {{msg}}"
        );
        bar.set_style(ProgressStyle::with_template(&template).expect("the template is valid").progress_chars("━╸─"));
        Self(bar)
    }

    /// Moves the bar to `position`.
    pub fn at(&self, position: u64) {
        self.0.set_position(position);
    }

    /// Shows what is being done.
    pub fn words(&self, text: &str) {
        self.0.set_message(text.to_owned());
    }

    /// Whether anybody sees the bar.
    pub fn is_visible(&self) -> bool {
        !self.0.is_hidden()
    }

    /// Shows figures of a step under their own names, and the modes covered where there are any: as many as fit a line.
    pub fn numbers(&self, figures: &[(&str, f64)], modes: Option<(usize, usize)>) {
        let modes = modes.map(|(covered, of)| format!("modes {covered}/{of}"));
        let shown = figures.iter().take(2 - usize::from(modes.is_some())).map(|(label, v)| format!("{label} {v:.4}"));
        self.0.set_message(modes.into_iter().chain(shown).collect::<Vec<String>>().join("  "));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Clears the line of a bar whose owner does not answer.
pub fn wipe() {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let _ = out.write_all(b"\r\x1b[2K");
    }
}
