//! From markers to placeholders: what a recording's values are called in the fixture.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::Read;

use super::marker::{self, Marker, Run, Value};
use super::windows::{Window, Windows};
use super::{Form, Name, Placeholder, placeholder};

/// While old and new are compared, what stands for the n-th value found has the number n; what `[redact.values]` gives is
/// counted from here on.
const GIVEN: u64 = 900_000_000_000;

/// Gives values their placeholders, in the order in which it meets them: a value is named after the first place that it is
/// met at, and gets the next free number of that name, unless it was settled before.
#[derive(Debug)]
pub struct Naming {
    run: Run,
    /// Nothing is settled yet: see [`Naming::provisional`].
    provisional: bool,
    named: HashMap<Key, Placeholder>,
    /// Placeholders that values of this recording have.
    owned: HashSet<Placeholder>,
    /// Placeholders that stand in the fixture already, for whatever value.
    taken: HashSet<Placeholder>,
    /// Numbers of names up to here are given out.
    last: HashMap<Name, u64>,
}

/// What has one placeholder: a value, in all forms that have room for its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    value: Value,
    /// A given value is known by its name and number.
    given: Option<Name>,
    /// The name that the form shares with others, if it has no room for one of its own.
    shared: Option<Name>,
}

impl Key {
    fn of(marker: &Marker) -> Self {
        let given = matches!(marker.value, Value::Given(_)).then(|| marker.name.clone());
        Key { value: marker.value, given, shared: marker.form.shared_name() }
    }
}

impl Naming {
    /// For the markers of a run.
    #[must_use]
    pub fn new(run: Run) -> Self {
        Naming {
            run,
            provisional: false,
            named: HashMap::new(),
            owned: HashSet::new(),
            taken: HashSet::new(),
            last: HashMap::new(),
        }
    }

    /// For the markers of a run, to compare it with a fixture: placeholders tell values apart, and have numbers that no
    /// fixture has. [`Naming::settle`] knows them again.
    #[must_use]
    pub fn provisional(run: Run) -> Self {
        Naming { provisional: true, ..Naming::new(run) }
    }

    /// Whether what is met first is named first.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !self.provisional
    }

    /// Placeholders that stand in this text keep their numbers.
    pub fn take(&mut self, text: &[u8]) {
        self.taken.extend(placeholder::find(text).map(|found| found.placeholder));
    }

    /// This placeholder is for a value that `[redact.values]` gives, and for no other.
    pub fn reserve(&mut self, placeholder: Placeholder) {
        self.owned.insert(placeholder);
    }

    /// The value that has this provisional placeholder keeps one that it had in the fixture, unless one of the two is spoken
    /// for.
    pub fn settle(&mut self, provisional: &Placeholder, form: Form, placeholder: &Placeholder) {
        let key = Key { value: Value::Found(provisional.number), given: None, shared: form.shared_name() };
        let fits = key.shared.as_ref().is_none_or(|name| *name == placeholder.name) && provisional.number < GIVEN;
        if fits && !self.named.contains_key(&key) && self.owned.insert(placeholder.clone()) {
            self.named.insert(key, placeholder.clone());
        }
    }

    /// The text with placeholders for markers.
    pub fn text<'t>(&mut self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let mut out = Vec::new();
        let settled = self.write(text, text.len(), &mut out);
        if settled == 0 { Cow::Borrowed(text) } else { Cow::Owned([&out, &text[settled..]].concat()) }
    }

    /// [`Naming::text`] of a text that is text.
    #[must_use]
    pub fn string(&mut self, text: String) -> String {
        match self.text(text.as_bytes()) {
            Cow::Borrowed(_) => text,
            Cow::Owned(named) => String::from_utf8(named).unwrap_or(text),
        }
    }

    /// [`Naming::text`] of a stream.
    pub fn reader<R: Read>(&mut self, read: R) -> impl Read {
        Windows::new(read, Markers(self))
    }

    /// Puts out what stands before `until`, and of what begins there the whole; 0 when there is no marker.
    fn write(&mut self, text: &[u8], until: usize, out: &mut Vec<u8>) -> usize {
        let mut kept = 0;
        for found in marker::find(text, self.run).take_while(|found| found.range.start < until) {
            out.extend_from_slice(&text[kept..found.range.start]);
            let placeholder = self.name(&found.marker);
            out.extend_from_slice(found.marker.form.write(&placeholder).as_bytes());
            kept = found.range.end;
        }
        kept
    }

    fn name(&mut self, marker: &Marker) -> Placeholder {
        let key = Key::of(marker);
        if self.provisional {
            let number = match key.value {
                Value::Found(number) => number,
                Value::Given(number) => GIVEN + number,
            };
            return Placeholder { name: key.shared.unwrap_or_else(|| marker.name.clone()), number };
        }
        if let (Value::Given(number), None) = (key.value, &key.shared) {
            return Placeholder { name: marker.name.clone(), number };
        }
        if let Some(placeholder) = self.named.get(&key) {
            return placeholder.clone();
        }
        let name = key.shared.clone().unwrap_or_else(|| marker.name.clone());
        let last = self.last.entry(name.clone()).or_default();
        let mut placeholder = Placeholder { name, number: *last + 1 };
        while self.taken.contains(&placeholder) || self.owned.contains(&placeholder) {
            placeholder.number += 1;
        }
        *last = placeholder.number;
        self.owned.insert(placeholder.clone());
        self.named.insert(key, placeholder.clone());
        placeholder
    }
}

struct Markers<'n>(&'n mut Naming);

impl Window for Markers<'_> {
    fn settle(&mut self, text: &[u8], last: bool, out: &mut Vec<u8>) -> usize {
        // A marker that begins before is here as a whole.
        let until = if last { text.len() } else { text.len().saturating_sub(marker::LONGEST - 1) };
        let written = self.0.write(text, until, out);
        out.extend_from_slice(&text[written.min(until)..until]);
        written.max(until)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marker(value: u64, form: Form, name: &str) -> Marker {
        Marker { value: Value::Found(value), form, name: Name::new(name) }
    }

    fn token(value: u64, run: Run) -> String {
        marker(value, Form::Text, "token").write(run)
    }

    fn placeholder(name: &str, number: u64) -> Placeholder {
        Placeholder { name: Name::new(name), number }
    }

    #[test]
    fn values_are_numbered_as_they_are_met_and_equal_ones_are_equal() {
        let run = Run::random();
        let mut naming = Naming::new(run);
        let text = format!("{} {} {}", token(9, run), token(4, run), token(9, run));
        assert_eq!(naming.string(text), "REDACTED-token-1 REDACTED-token-2 REDACTED-token-1");
        let elsewhere = marker(4, Form::Text, "authorization").write(run);
        assert_eq!(naming.string(elsewhere), "REDACTED-token-2", "named after its first place");
    }

    #[test]
    fn what_is_taken_settled_or_given_is_respected() {
        let run = Run::random();
        let mut naming = Naming::new(run);
        naming.take(b"REDACTED-token-1 REDACTED-token-3");
        naming.reserve(placeholder("token", 2));
        for (value, old) in [(7, 3), (8, 3), (9, 2)] {
            naming.settle(&placeholder("any", value), Form::Text, &placeholder("token", old));
        }
        let given = Marker { value: Value::Given(2), ..marker(0, Form::Text, "token") }.write(run);
        let text = format!("{} {} {} {given}", token(7, run), token(8, run), token(9, run));
        assert_eq!(naming.string(text), "REDACTED-token-3 REDACTED-token-4 REDACTED-token-5 REDACTED-token-2");
    }

    #[test]
    fn forms_are_kept_and_those_without_room_share_a_name() {
        let run = Run::random();
        let mut naming = Naming::new(run);
        let of = |value, form| marker(value, form, "id").write(run);
        let text = format!("{{\"a\":{},\"b\":\"{}\"}}", of(1, Form::Number), of(2, Form::Email));
        assert_eq!(naming.string(text), r#"{"a":73322833001,"b":"redacted-1@example.invalid"}"#);
        let found = |text: &str| placeholder::find(text.as_bytes()).map(|found| found.placeholder).collect::<Vec<_>>();
        assert_eq!(found(&naming.string(of(3, Form::Uuid))), [placeholder("uuid", 1)]);
        assert_eq!(found(&naming.string(of(3, Form::Base64))), [placeholder("id", 1)]);
    }

    #[test]
    fn provisional_placeholders_are_known_again() {
        let run = Run::random();
        let of = |value, form| Marker { value, ..marker(0, form, "id") }.write(run);
        let text = format!(
            "{} {} {}",
            of(Value::Found(5), Form::Text),
            of(Value::Found(6), Form::Number),
            of(Value::Given(2), Form::Text)
        );
        let provisional = Naming::provisional(run).string(text.clone());
        let mut naming = Naming::new(run);
        for found in placeholder::find(provisional.as_bytes()) {
            let old = Placeholder { name: found.form.shared_name().unwrap_or(Name::new("old")), number: 70 };
            naming.settle(&found.placeholder, found.form, &old);
        }
        assert_eq!(naming.string(text), "REDACTED-old-70 73322833070 REDACTED-id-2");
    }

    #[test]
    fn a_text_without_markers_is_not_copied() {
        let mut naming = Naming::new(Run::random());
        let foreign = token(1, Run::random());
        assert!(matches!(naming.text(foreign.as_bytes()), Cow::Borrowed(_)));
    }

    /// Hands out pieces of these lengths, over and over.
    struct Drip<'a> {
        text: &'a [u8],
        steps: std::iter::Cycle<std::vec::IntoIter<usize>>,
    }

    impl Read for Drip<'_> {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            let step = self.steps.next().unwrap_or(1).min(buf.len());
            self.text.read(&mut buf[..step])
        }
    }

    proptest! {
        #[test]
        fn a_stream_is_named_as_its_text_is(
            parts in prop::collection::vec((0_u64..4, "[ -~]{0,40}"), 0..20),
            steps in prop::collection::vec(1_usize..200, 1..6),
        ) {
            let run = Run::random();
            let forms = [Form::Text, Form::Uuid, Form::Number, Form::Base64];
            let text: String = parts
                .iter()
                .map(|(n, between)| format!("{between}{}", marker(*n, forms[between.len() % 4], "access_token").write(run)))
                .collect();
            let mut streamed = Vec::new();
            let mut naming = Naming::new(run);
            naming.reader(Drip { text: text.as_bytes(), steps: steps.into_iter().cycle() }).read_to_end(&mut streamed).unwrap();
            prop_assert_eq!(String::from_utf8(streamed).unwrap(), Naming::new(run).string(text));
        }
    }
}
