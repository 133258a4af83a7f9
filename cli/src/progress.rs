//! A progress bar on stderr: rate, time left, and two or three numbers. Silent when stderr is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};

/// The bar of one long piece of work; removed when dropped.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar over `length` units, called `unit` in the plural, such as "steps".
    pub fn new(length: u64, unit: &str) -> Self {
        // indicatif draws at most 20 times a second, and nothing at all where stderr is not a terminal.
        let bar = ProgressBar::new(length);
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

    /// Shows the numbers of a training step: the smoothed KL up to its constant, and modes covered or mean log p.
    pub fn numbers(&self, objective: f64, modes: Option<(usize, usize)>, mean_log_p: f64) {
        let rest = match modes {
            Some((covered, of)) => format!("modes {covered}/{of}"),
            None => format!("mean log p {mean_log_p:.3}"),
        };
        self.0.set_message(format!("KL+const {objective:.4}  {rest}"));
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
