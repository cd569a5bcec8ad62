//! The log of `tracing` on standard error. With `--log-format json` each line is an event `log`.

use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value, json};
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
use super::guard;
use super::ui::{self, LiveFormat, LogFormat, Ui};
use super::usage_error::UsageError;
use crate::verdict::findings;
use harproxy_redact::RedactionView;

/// The variable with a filter: levels, and levels of targets (`warn,harproxy_proxy=debug`).
pub const VARIABLE: &str = "HARPROXY_LOG";

/// Starts the log. `alone` is a proxy without CMD, which logs warnings at once. With CMD the verdict reports them at
/// the end. A second start in one process has no effect.
pub fn start(output: &OutputArgs, ui: &Ui, alone: bool) -> Result<(), UsageError> {
    let filter = match std::env::var(VARIABLE) {
        Ok(filter) if !filter.is_empty() => read(&filter),
        _ => read(level(output.quiet, output.verbose, alone)),
    }?;
    let filter = match ui.live_format(!alone) {
        LiveFormat::Nothing => filter,
        // The live list shows findings.
        LiveFormat::List | LiveFormat::Events => filter.with_target(findings::LOG, LevelFilter::OFF),
    };
    let colour = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    // Write errors are ignored: reporting them on a closed standard error would panic and end a connection.
    let lines = layer().log_internal_errors(false).with_ansi(colour);
    let _ = match output.log_format {
        LogFormat::Text => {
            let lines = lines.with_writer(|| GuardedLine(|line| guard::line(&redact(line))));
            filtered_registry(filter).with(lines.compact().with_target(output.verbose > 1)).try_init()
        }
        LogFormat::Json => {
            let lines = lines.with_writer(|| GuardedLine(guard::json));
            filtered_registry(filter).with(lines.event_format(LogLine)).try_init()
        }
    };
    Ok(())
}

/// The redaction of the log, once there is a run.
static VIEW: RwLock<Option<Arc<RedactionView>>> = RwLock::new(None);

/// Redacts lines from now on with the values that are known as secrets.
pub fn redact_with(view: Arc<RedactionView>) {
    *VIEW.write().unwrap_or_else(PoisonError::into_inner) = Some(view);
}

fn redact(text: &str) -> String {
    let view = VIEW.read().unwrap_or_else(PoisonError::into_inner);
    view.as_ref().map_or_else(|| text.to_owned(), |view| view.redact_known(text).into_owned())
}

/// Writes a line of the log to standard error through its guard. The layer writes each line in one piece.
struct GuardedLine(fn(&str) -> String);

impl io::Write for GuardedLine {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let GuardedLine(guard) = self;
        let text = String::from_utf8_lossy(line);
        let guarded = guard(text.strip_suffix('\n').unwrap_or(&text));
        io::stderr().lock().write_all(format!("{guarded}\n").as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns a registry with the filter as a layer, so that `tracing` skips filtered levels early. Some are used per
/// request.
fn filtered_registry(filter: Targets) -> Layered<Targets, Registry> {
    registry().with(filter)
}

/// Parses a filter. The syntax is checked first, because `Targets` accepts any unknown word as the name of a target.
fn read(filter: &str) -> Result<Targets, UsageError> {
    let items = || filter.split(',').map(str::trim).filter(|item| !item.is_empty());
    let is_target = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '-');
    let is_item = |item: &&str| match item.split_once('=') {
        Some((target, level)) => !target.is_empty() && target.chars().all(is_target) && !level.is_empty(),
        None => item.chars().all(is_target),
    };
    if let Some(item) = items().find(|item| !is_item(item)) {
        return Err(filter_error(format!("`{item}` is neither a level nor `target=level`")));
    }
    let filter = items().collect::<Vec<_>>().join(",").parse();
    filter.map_err(|error: ParseError| filter_error(error))
}

fn filter_error(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> UsageError {
    let hint = "a filter is a level, such as `debug`, or a list, such as `harproxy_proxy=trace,warn`";
    UsageError::new(format!("reading the filter in {VARIABLE}"), hint).because(cause)
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

/// Formats a line of the log as an event `log`.
struct LogLine;

impl<S, N> FormatEvent<S, N> for LogLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = LogFields::default();
        event.record(&mut fields);
        let (level, target) = (event.metadata().level().as_str(), event.metadata().target());
        let mut members = json!({ "level": level, "target": target, "message": fields.message });
        if !fields.others.is_empty() {
            members["fields"] = fields.others.into();
        }
        writeln!(writer, "{}", ui::json_line(event::Event::Log, members))
    }
}

/// The message and the other fields of a line.
#[derive(Default)]
struct LogFields {
    message: String,
    others: Map<String, Value>,
}

impl LogFields {
    fn add(&mut self, field: &Field, mut value: Value) {
        if let Value::String(text) = &mut value {
            *text = redact(text);
        }
        match (field.name(), value) {
            ("message", Value::String(message)) => self.message = message,
            (name, value) => {
                self.others.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for LogFields {
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
    fn filter_has_levels_and_levels_of_targets() {
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
    fn filter_sets_the_maximum_level() {
        for (filter, hint) in [("warn,harproxy=info", LevelFilter::INFO), ("off", LevelFilter::OFF)] {
            assert_eq!(filtered_registry(read(filter).unwrap()).with(layer()).max_level_hint(), Some(hint));
        }
    }
}
