//! The log: what the libraries say through `tracing`, on standard error.

use std::io;

use tracing_subscriber::EnvFilter;

use super::ui::LogFormat;

/// The variable with a filter in tracing's words, such as `harproxy::proxy=debug`.
pub const VARIABLE: &str = "HARPROXY_LOG";

/// The filter is not one.
#[derive(Debug, thiserror::Error)]
#[error("reading the filter in {VARIABLE}")]
pub struct FilterError {
    #[from]
    source: tracing_subscriber::filter::ParseError,
}

/// Starts the log. `alone` is a harproxy without CMD, whose user watches it: what happens is worth a line at once, while
/// with CMD the verdict tells it in the end. A second start in one process changes nothing.
///
/// # Errors
/// When `HARPROXY_LOG` is not a filter.
pub fn start(quiet: bool, verbose: u8, format: LogFormat, alone: bool) -> Result<(), FilterError> {
    let filter = match std::env::var(VARIABLE) {
        Ok(filter) if !filter.is_empty() => EnvFilter::try_new(filter)?,
        _ => EnvFilter::try_new(level(quiet, verbose, alone))?,
    };
    let colour = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colour);
    let _ = match format {
        LogFormat::Text => builder.compact().with_target(verbose > 1).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

fn level(quiet: bool, verbose: u8, alone: bool) -> &'static str {
    match (quiet, verbose) {
        (true, _) => "off",
        (false, 0) if alone => "warn",
        (false, 0) => "error",
        (false, 1) => "warn,harproxy=info",
        (false, 2) => "info,harproxy=debug",
        (false, _) => "trace",
    }
}
