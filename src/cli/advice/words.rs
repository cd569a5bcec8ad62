//! Formats errors with their causes.

use std::error::Error as StdError;

use crate::cli::ui;
use harproxy_tls::bundle::BundleWarning;

/// Formats a warning about a root that cannot be loaded, on one line.
#[must_use]
pub fn warning(warning: &BundleWarning) -> String {
    let because: String = causes(warning).iter().map(|cause| format!(": {cause}")).collect();
    format!("{}: {warning}{because}", ui::caution("warning"))
}

/// Formats the warning that the upstream proxy in the environment is this harproxy, on one line.
#[must_use]
pub fn own_proxy(url: &str) -> String {
    format!(
        "{}: the proxy in the environment (HTTP_PROXY, HTTPS_PROXY or ALL_PROXY), {url}, is this harproxy itself: it connects directly",
        ui::caution("warning")
    )
}

/// Formats an error that does not affect the run as a warning, on one line.
#[must_use]
pub fn error_warning(what: &str, error: &(dyn StdError + 'static)) -> String {
    let because: String = causes(error).iter().map(|cause| format!(": {cause}")).collect();
    format!("{}: {what}: {}{because}", ui::caution("warning"), plain(error))
}

/// Formats an error with its causes, on one line.
#[must_use]
pub fn one_line(error: &(dyn StdError + 'static)) -> String {
    let because: String = causes(error).iter().map(|cause| format!(": {cause}")).collect();
    format!("{}{because}", plain(error))
}

/// Returns the sources of an error, outermost first. A source that only repeats the error above it is left out.
#[must_use]
pub fn causes(error: &dyn StdError) -> Vec<String> {
    let mut shown = error.to_string();
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = plain(cause);
        if !shown.ends_with(&text) {
            causes.push(text.clone());
        }
        shown = text;
        next = cause.source();
    }
    causes
}

/// Formats an error without the number of the operating system and without a leading capital.
fn plain(error: &(dyn StdError + 'static)) -> String {
    let text = error.to_string();
    let text = match text.split_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    };
    let mut letters = text.chars();
    match letters.next() {
        // `No such file …` is lowered, `TLS …` and `GET …` are not.
        Some(first) if first.is_uppercase() && letters.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text,
    }
}
