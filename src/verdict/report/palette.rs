//! Styles and width of the text report.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

/// The styles of a text report; all plain without colour.
#[derive(Clone, Copy, Debug, Default)]
pub struct Palette {
    pub good: Style,
    pub bad: Style,
    pub warning: Style,
    pub hint: Style,
    pub dim: Style,
    pub request: Style,
    pub recorded: Style,
    /// Width of the terminal in columns, if known.
    pub columns: Option<usize>,
}

impl Palette {
    #[must_use]
    pub fn plain() -> Self {
        Palette::default()
    }

    #[must_use]
    pub fn colour() -> Self {
        let fg = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        Palette {
            good: fg(AnsiColor::Green).bold(),
            bad: fg(AnsiColor::Red).bold(),
            warning: fg(AnsiColor::Yellow),
            hint: fg(AnsiColor::Cyan),
            dim: Style::new().dimmed(),
            request: fg(AnsiColor::Red),
            recorded: fg(AnsiColor::Green),
            columns: None,
        }
    }

    /// Sets the width of the terminal, if known.
    #[must_use]
    pub fn within(self, columns: Option<usize>) -> Self {
        Palette { columns, ..self }
    }
}

pub(super) fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String never fails.
    let _ = writeln!(out, "{text}");
}
