//! The texts for a response that was served by guess.

use super::explain::EntryPlace;
use harproxy_matching::{EntryRef, Guess};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguity {
    /// The description of the guess, one sentence.
    pub text: String,
    /// The way in which the client or the configuration can distinguish the entries.
    pub hint: String,
}

/// Describes a guess; `place` returns the place of an entry.
pub fn describe(guess: &Guess, place: impl Fn(EntryRef) -> EntryPlace) -> Ambiguity {
    let mut among = guess.among.clone();
    // The text does not depend on the entry that was served: it is the same finding.
    among.sort_unstable();
    let among: Vec<String> = among.into_iter().map(|at| place(at).to_string()).collect();
    let mut placeholders = guess.placeholders.clone();
    placeholders.sort_unstable();
    let differ = if guess.tokens_alone { "in the tokens that they return" } else { "in their responses" };
    let sent = placeholders.last().map(ToString::to_string).unwrap_or_default();
    let names: Vec<String> = placeholders
        .iter()
        .map(|placeholder| format!("{}-{} = \"env:…\"", placeholder.name, placeholder.number))
        .collect();
    Ambiguity {
        text: format!(
            "served by guess: {} differ in redacted places and {differ}, and nothing in the request tells which is meant",
            list(&among)
        ),
        hint: format!(
            "send the placeholder itself, such as `{sent}`, or give one of the values in harproxy.toml under \
             [redact.values]: {}",
            names.join(" or ")
        ),
    }
}

fn list(items: &[String]) -> String {
    match items.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_redact::{Placeholder, PlaceholderName};

    #[test]
    fn guess_names_entries_placeholders_and_both_remedies() {
        let password = |number| Placeholder { name: PlaceholderName::new("password"), number };
        let at = |entry| EntryRef { fixture: 0, entry };
        let place =
            |at: EntryRef| EntryPlace { fixture: "hars/api.har".into(), entry: at.entry, line: Some(at.entry * 10) };
        let guess =
            Guess { among: vec![at(2), at(1)], placeholders: vec![password(2), password(1)], tokens_alone: false };
        let described = describe(&guess, place);
        assert!(
            described.text.contains("hars/api.har#1 (line 10) and hars/api.har#2 (line 20) differ"),
            "{described:?}"
        );
        assert!(described.hint.contains("`REDACTED-password-2`"), "{described:?}");
        assert!(described.hint.contains("password-1 = \"env:…\" or password-2 = \"env:…\""), "{described:?}");
        let other = Guess { among: vec![at(1), at(2)], ..guess };
        assert_eq!(describe(&other, place), described);
    }
}
