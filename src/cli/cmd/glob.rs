//! `harproxy glob`: tests globs against URLs on standard input.

use std::io::BufRead;

use serde_json::json;

use crate::cli::advice::Failure;
use crate::cli::args::GlobArgs;
use crate::cli::ui::Ui;
use crate::cli::usage_error::UsageError;
use crate::verdict::exit;
use harproxy_glob::Globs;

/// Runs the command: prints a line per input line.
pub fn run(args: &GlobArgs, ui: &Ui) -> Result<u8, Failure> {
    let globs = Globs::new(&args.globs).map_err(UsageError::from)?;
    let mut input = std::io::stdin().lock();
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line).map_err(Failure::Input)? > 0 {
        let url = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line));
        let url = url.strip_suffix('\r').unwrap_or(&url);
        let matches = globs.matches(url);
        let written = match (args.json, matches) {
            (true, _) => ui.json(&format!("{}\n", json!({"url": url, "match": matches}))),
            (false, true) => ui.data(&format!("match\t{url}\n")),
            (false, false) => ui.data(&format!("-\t{url}\n")),
        };
        written.map_err(Failure::Output)?;
        line.clear();
    }
    Ok(exit::SUCCESS)
}
