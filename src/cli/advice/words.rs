//! Errors in words: what was being done, and because of what.

use std::error::Error as StdError;

use crate::cli::ui;
use harproxy_tls::bundle::BundleWarning;

/// Something of the user's that can't be trusted, on one line.
#[must_use]
pub fn warning(warning: &BundleWarning) -> String {
    let because: String = causes(warning).iter().map(|cause| format!(": {cause}")).collect();
    format!("{}: {warning}{because}", ui::caution("warning"))
}

/// That the environment names ourselves as the proxy to go through, on one line.
#[must_use]
pub fn own_proxy(url: &str) -> String {
    format!(
        "{}: the proxy that the environment names (HTTP_PROXY, HTTPS_PROXY or ALL_PROXY), {url}, is this harproxy itself: it goes \
         upstream without one",
        ui::caution("warning")
    )
}

/// Something that went wrong and does not matter to the run, on one line.
#[must_use]
pub fn warned(what: &str, error: &(dyn StdError + 'static)) -> String {
    let because: String = causes(error).iter().map(|cause| format!(": {cause}")).collect();
    format!("{}: {what}: {}{because}", ui::caution("warning"), plain(error))
}

/// An error with its causes on one line.
#[must_use]
pub fn told(error: &(dyn StdError + 'static)) -> String {
    let because: String = causes(error).iter().map(|cause| format!(": {cause}")).collect();
    format!("{}{because}", plain(error))
}

/// The sources of an error, outermost first; one that only repeats the level above it is left out.
#[must_use]
pub fn causes(error: &dyn StdError) -> Vec<String> {
    let mut told = error.to_string();
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = plain(cause);
        if !told.ends_with(&text) {
            causes.push(text.clone());
        }
        told = text;
        next = cause.source();
    }
    causes
}

/// Errors of the operating system in its own words, without the number.
fn plain(error: &(dyn StdError + 'static)) -> String {
    let text = error.to_string();
    let text = match text.split_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    };
    let mut letters = text.chars();
    match letters.next() {
        // `No such file …` begins a sentence; `TLS …` and `GET …` don't.
        Some(first) if first.is_uppercase() && letters.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text,
    }
}
