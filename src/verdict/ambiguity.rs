//! An answer that was served by guess, in words.

use super::explain::Place;
use harproxy_matching::{EntryRef, Guess};

/// What happened, and what helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguity {
    /// One sentence.
    pub explanation: String,
    /// What tells the entries apart.
    pub remedy: String,
}

/// Tells a guess; `place` says where an entry stands.
pub fn told(guess: &Guess, place: impl Fn(EntryRef) -> Place) -> Ambiguity {
    let mut among = guess.among.clone();
    // The same words whichever of them had its turn: it is the same finding.
    among.sort_unstable();
    let among: Vec<String> = among.into_iter().map(|at| place(at).to_string()).collect();
    let mut placeholders = guess.placeholders.clone();
    placeholders.sort_unstable();
    let differ = if guess.tokens_alone { "in the tokens that they give" } else { "in their answers" };
    let sent = placeholders.last().map(ToString::to_string).unwrap_or_default();
    let names: Vec<String> = placeholders
        .iter()
        .map(|placeholder| format!("{}-{} = \"env:…\"", placeholder.name, placeholder.number))
        .collect();
    Ambiguity {
        explanation: format!(
            "served by guess: {} differ in redacted places and {differ}, and nothing in the request tells which is meant",
            list(&among)
        ),
        remedy: format!(
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
    use harproxy_redact::{Name, Placeholder};

    #[test]
    fn a_guess_names_entries_placeholders_and_both_ways_out() {
        let password = |number| Placeholder { name: Name::new("password"), number };
        let at = |entry| EntryRef { fixture: 0, entry };
        let place = |at: EntryRef| Place { fixture: "hars/api.har".into(), entry: at.entry, line: Some(at.entry * 10) };
        let guess =
            Guess { among: vec![at(2), at(1)], placeholders: vec![password(2), password(1)], tokens_alone: false };
        let told = told(&guess, place);
        assert!(told.explanation.contains("hars/api.har#1 (line 10) and hars/api.har#2 (line 20) differ"), "{told:?}");
        assert!(told.remedy.contains("`REDACTED-password-2`"), "{told:?}");
        assert!(told.remedy.contains("password-1 = \"env:…\" or password-2 = \"env:…\""), "{told:?}");
        let other = Guess { among: vec![at(1), at(2)], ..guess };
        assert_eq!(super::told(&other, place), told);
    }
}
