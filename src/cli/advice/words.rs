//! Formats errors with their causes.

use std::error::Error as StdError;

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
