//! The log: what the libraries say through `tracing`, on standard error; with `--log-format json` each line is an
//! event like
//! every other.

use std::fmt;
use std::io;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, layer};
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, registry};

use super::args::OutputArgs;
use super::event;
use super::ui::{self, LiveFormat, LogFormat, Ui};
use crate::verdict::findings;

/// The variable with a filter: levels, and levels of targets (`warn,harproxy_proxy=debug`).
pub const VARIABLE: &str = "HARPROXY_LOG";

/// The filter is not one.
#[derive(Debug, thiserror::Error)]
#[error("reading the filter in {VARIABLE}")]
pub struct FilterError {
    #[source]
    source: NoFilter,
}

#[derive(Debug, thiserror::Error)]
enum NoFilter {
    #[error(transparent)]
    Level(#[from] ParseError),
    #[error("`{0}` is neither a level nor `target=level`")]
    Item(String),
}

/// Starts the log. `alone` is a harproxy without CMD, whose user watches it: what happens is worth a line at once,
/// while
/// with CMD the verdict tells it in the end. A second start in one process changes nothing.
///
/// # Errors
/// When `HARPROXY_LOG` is not a filter.
pub fn start(talk: &OutputArgs, ui: &Ui, alone: bool) -> Result<(), FilterError> {
    let filter = match std::env::var(VARIABLE) {
        Ok(filter) if !filter.is_empty() => read(&filter),
        _ => read(level(talk.quiet, talk.verbose, alone)),
    };
    let filter = filter.map_err(|source| FilterError { source })?;
    let filter = match ui.live_format(!alone) {
        LiveFormat::Nothing => filter,
        // They are told beside the requests.
        LiveFormat::List | LiveFormat::Events => filter.with_target(findings::LOG, LevelFilter::OFF),
    };
    let colour = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    // Whoever closed our standard error does not want to hear from us; a complaint about that would end the connection
    // it is about.
    let lines = layer().log_internal_errors(false).with_writer(io::stderr).with_ansi(colour);
    let _ = match talk.log_format {
        LogFormat::Text => heard(filter).with(lines.compact().with_target(talk.verbose > 1)).try_init(),
        LogFormat::Json => heard(filter).with(lines.event_format(Lines)).try_init(),
    };
    Ok(())
}

/// What passes the filter. Whatever else is said is stopped by its level, before anybody looks at it: some of it is
/// said for each request.
fn heard(filter: Targets) -> Layered<Targets, Registry> {
    registry().with(filter)
}

/// Reads a filter. `Targets` by itself takes whatever it does not understand for the name of a target.
fn read(filter: &str) -> Result<Targets, NoFilter> {
    let items = || filter.split(',').map(str::trim).filter(|item| !item.is_empty());
    let is_target = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '-');
    let is_item = |item: &&str| match item.split_once('=') {
        Some((target, level)) => !target.is_empty() && target.chars().all(is_target) && !level.is_empty(),
        None => item.chars().all(is_target),
    };
    match items().find(|item| !is_item(item)) {
        Some(item) => Err(NoFilter::Item(item.to_owned())),
        None => Ok(items().collect::<Vec<_>>().join(",").parse()?),
    }
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

/// A line of the log as an event: `log`.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let mut members = Map::from_iter([
            ("level".to_owned(), metadata.level().as_str().into()),
            ("target".to_owned(), metadata.target().into()),
            ("message".to_owned(), fields.message.into()),
        ]);
        if !fields.others.is_empty() {
            members.insert("fields".to_owned(), fields.others.into());
        }
        writeln!(writer, "{}", ui::json_line(event::Event::Log, members))
    }
}

/// The message of a line, and what else it says.
#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(message)) => self.message = message,
            (name, value) => {
                self.others.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, harproxy_http::problem::in_words(value).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_levels_and_levels_of_targets() {
        for (text, means) in [
            ("warn, harproxy=debug", "warn,harproxy=debug"),
            (",info,", "info"),
            ("harproxy_proxy=DEBUG", "harproxy_proxy=debug"),
            ("harproxy", "harproxy=trace"),
            ("off", "off"),
            ("3", "info"),
        ] {
            assert_eq!(read(text).unwrap(), means.parse().unwrap(), "{text}");
        }
        for text in ["harproxy=loud", "=debug", "harproxy=", "[span]=debug", "harproxy[span]=debug", "a b"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_nobody_wants_to_hear_is_stopped_before_it_is_looked_at() {
        for (filter, hint) in [("warn,harproxy=info", LevelFilter::INFO), ("off", LevelFilter::OFF)] {
            assert_eq!(heard(read(filter).unwrap()).with(layer()).max_level_hint(), Some(hint));
        }
    }
}
