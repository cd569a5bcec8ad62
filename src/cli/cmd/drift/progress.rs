//! The progress of a drift run on a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use crate::cli::ui::{LogFormat, Ui};

/// A line that is overwritten. It shows nothing without a terminal.
pub struct ProgressLine {
    is_shown: bool,
}

impl ProgressLine {
    pub fn new(ui: &Ui) -> Self {
        ProgressLine { is_shown: !ui.quiet && ui.format == LogFormat::Text && io::stderr().is_terminal() }
    }

    pub fn show(&self, done: usize, all: usize) {
        if self.is_shown {
            // An error is ignored: standard error is closed.
            let _ = write!(io::stderr(), "\r\x1b[Kcompared {done} of {all} endpoints");
        }
    }

    pub fn clear(&self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
