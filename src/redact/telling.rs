//! What people read of a live request: logs, explanations, reports. Nothing there says which of several secrets it was.

use std::ops::Range;

use memchr::memmem;

use super::inert::is_token;
use super::{Form, Name, Namer, Placeholder, Policy, Redactor, placeholder};

/// Shorter values are not looked for elsewhere.
const SHORTEST: usize = 8;

/// Writes `REDACTED-<name>` in the place of values, and knows those of one request wherever they stand again in it.
#[derive(Default)]
pub struct Telling {
    known: Vec<(Vec<u8>, String)>,
}

impl Telling {
    /// A redactor of what is told of one request.
    #[must_use]
    pub fn of(policy: &Policy) -> Redactor<'_, Telling> {
        Redactor::new(policy, Telling::default())
    }
}

/// It holds secrets.
impl std::fmt::Debug for Telling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Telling(redacted)")
    }
}

impl Namer for Telling {
    fn stand_in(&mut self, secret: &[u8], name: &Name, form: Form) -> String {
        // What a replay gave out is no secret, and says more.
        if let Some(found) = placeholder::find(secret).next().filter(|found| found.range == (0..secret.len())) {
            return found.form.write(&found.placeholder);
        }
        let stand_in = match form.shared_name() {
            None => format!("{}{name}", placeholder::BEGINS),
            Some(name) => form.write(&Placeholder { name, number: 0 }),
        };
        if secret.len() >= SHORTEST && !self.known.iter().any(|(known, _)| known == secret) {
            self.known.push((secret.to_vec(), stand_in.clone()));
        }
        stand_in
    }

    fn known(&mut self, text: &[u8]) -> Vec<(Range<usize>, String)> {
        let mut found: Vec<(Range<usize>, String)> = Vec::new();
        for (known, stand_in) in &self.known {
            let whole = |range: &Range<usize>| {
                let before = range.start.checked_sub(1).and_then(|at| text.get(at));
                ![before, text.get(range.end)].into_iter().flatten().any(|byte| is_token(*byte))
            };
            let places = memmem::find_iter(text, known).map(|start| start..start + known.len()).filter(whole);
            found.extend(places.map(|range| (range, stand_in.clone())));
        }
        found.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let mut end = 0;
        found.retain(|(range, _)| {
            let free = range.start >= end;
            end = if free { range.end } else { end };
            free
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_named_and_not_numbered_and_known_again() {
        let policy = Policy::default();
        let mut telling = Telling::of(&policy);
        let url = telling.url("https://a.test/x?token=abcdefgh1234&page=2");
        assert_eq!(url.as_deref(), Some("https://a.test/x?token=REDACTED-token&page=2"));
        assert_eq!(&*telling.text(b"is abcdefgh1234, not abcdefgh12345"), b"is REDACTED-token, not abcdefgh12345");
        assert_eq!(telling.url("https://a.test/x?page=2"), None);
    }

    #[test]
    fn a_placeholder_stays_itself() {
        let policy = Policy::default();
        let url = "https://a.test/x?token=REDACTED-token-1";
        assert_eq!(Telling::of(&policy).url(url).unwrap_or_else(|| url.to_owned()), url);
    }
}
