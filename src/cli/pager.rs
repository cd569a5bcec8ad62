//! Sends long output through a pager, like git: only if standard output is a terminal, with HARPROXY_PAGER, PAGER or
//! less.

use std::io::{self, IsTerminal, Write};
use std::process::{Child, Command, Stdio};

use anstream::{AutoStream, ColorChoice};

use super::guard;
use super::ui::is_open;

/// Output to a pager, or to standard output.
pub struct Pager {
    out: AutoStream<Box<dyn Write>>,
    child: Option<Child>,
    /// Keeps the handler that ignores Ctrl-C while the pager runs.
    _interrupts: Option<tokio::runtime::Runtime>,
}

impl Pager {
    /// Starts the pager if it is wanted and can be started.
    pub fn start(wanted: bool) -> Self {
        let color = AutoStream::choice(&io::stdout());
        let command = if wanted && io::stdout().is_terminal() { command() } else { None };
        let (out, child): (Box<dyn Write>, _) = match command.and_then(|command| spawn(&command)) {
            Some((child, input)) => (Box::new(input), Some(child)),
            None => (Box::new(io::BufWriter::new(io::stdout())), None),
        };
        let _interrupts = child.as_ref().and_then(|_| keep_interrupts());
        // Style codes are kept: the pager writes to a terminal.
        let color = if color == ColorChoice::Never { color } else { ColorChoice::AlwaysAnsi };
        Pager { out: AutoStream::new(out, color), child, _interrupts }
    }

    /// Writes text. Returns false if the reader has closed the output, which is not an error.
    pub fn write(&mut self, text: &str) -> io::Result<bool> {
        is_open(self.out.write_all(guard::text(text).as_bytes()))
    }

    /// Writes JSON. Returns false if the reader has closed the output, which is not an error.
    pub fn write_json(&mut self, text: &str) -> io::Result<bool> {
        is_open(self.out.write_all(guard::json(text).as_bytes()))
    }

    /// Waits until the pager ends.
    pub fn finish(mut self) -> io::Result<()> {
        let flushed = is_open(self.out.flush());
        drop(self.out);
        if let Some(child) = &mut self.child {
            child.wait()?;
        }
        flushed.map(drop)
    }
}

/// Returns the command line of the pager; `None` if paging is off.
fn command() -> Option<String> {
    let set = ["HARPROXY_PAGER", "PAGER"].iter().find_map(|name| std::env::var(name).ok());
    let command = set.unwrap_or_else(|| "less".to_owned());
    Some(command).filter(|command| !command.trim().is_empty() && command.trim() != "cat")
}

fn spawn(command: &str) -> Option<(Child, std::process::ChildStdin)> {
    let words = command.split_whitespace().next()?;
    if !is_there(words) {
        return None;
    }
    let mut shell = if cfg!(windows) { Command::new("cmd") } else { Command::new("sh") };
    shell.args([if cfg!(windows) { "/C" } else { "-c" }, command]).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        // Keep colors, do not clear the screen, and exit if the output fits on one screen.
        shell.env("LESS", "FRX");
    }
    let mut child = shell.spawn().ok()?;
    let input = child.stdin.take()?;
    Some((child, input))
}

/// Returns true if the program exists, or if the word is shell syntax.
fn is_there(word: &str) -> bool {
    let plain = word.chars().all(|c| c.is_alphanumeric() || "._-".contains(c));
    let path = std::env::var_os("PATH").unwrap_or_default();
    !plain || cfg!(windows) || std::env::split_paths(&path).any(|folder| folder.join(word).is_file())
}

/// Makes this process ignore Ctrl-C, so that it only interrupts the pager.
#[cfg(unix)]
fn keep_interrupts() -> Option<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().ok()?;
    let inside = runtime.enter();
    // The handler stays installed until the process ends.
    let is_installed = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).is_ok();
    drop(inside);
    is_installed.then_some(runtime)
}

#[cfg(not(unix))]
fn keep_interrupts() -> Option<tokio::runtime::Runtime> {
    None
}
