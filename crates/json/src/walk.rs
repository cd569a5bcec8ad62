//! The walker: the brackets, names and scalars of a JSON text in order, each with its span.

use std::ops::Range;

use super::scan::{BYTE_ORDER_MARK, StringSpan, scalar_end, skip_space};

/// The deepest nesting that a [`Walker`] follows. Indentation grows with the square of the depth.
pub const MAX_DEPTH: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// `[…]`
    Array,
    Object,
}

/// One element of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    /// Its bytes in the text; those of a string include the quotes.
    pub span: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The opening bracket of a container.
    Open(Container),
    /// The closing bracket of the innermost container.
    Close,
    /// The name of a member: a string that a colon follows.
    Name,
    /// A string, number, boolean or null.
    Scalar,
}

/// Iterates over the elements of a JSON text.
///
/// The walker does not validate. On valid JSON its events are exact. On any other text it ends without panicking, and
/// its events are a best effort; check with [`is_valid`](super::is_valid) where that matters.
///
/// ```
/// use harproxy_json::{EventKind, Walker};
/// let text = br#"{"id": [7, null]}"#;
/// let scalars = Walker::new(text).filter(|event| event.kind == EventKind::Scalar);
/// let spelled: Vec<&[u8]> = scalars.map(|event| &text[event.span]).collect();
/// assert_eq!(spelled, [&b"7"[..], b"null"]);
/// ```
#[derive(Clone, Debug)]
pub struct Walker<'t> {
    text: &'t [u8],
    at: usize,
    depth: usize,
    too_deep: bool,
}

impl<'t> Walker<'t> {
    /// Starts at the beginning of `text`, behind a byte order mark.
    #[must_use]
    pub fn new(text: &'t [u8]) -> Self {
        let at = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        Walker { text, at, depth: 0, too_deep: false }
    }

    /// Returns how many containers are open.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Returns true if the iteration ended because containers are nested deeper than [`MAX_DEPTH`].
    #[must_use]
    pub fn is_too_deep(&self) -> bool {
        self.too_deep
    }

    fn string(&self) -> (EventKind, usize) {
        let end = StringSpan::at(self.text, self.at).end;
        let is_name = self.text.get(skip_space(self.text, end)) == Some(&b':');
        (if is_name { EventKind::Name } else { EventKind::Scalar }, end)
    }
}

impl Iterator for Walker<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.at = skip_space(self.text, self.at);
        while let Some(b',' | b':') = self.text.get(self.at) {
            self.at = skip_space(self.text, self.at + 1);
        }
        let start = self.at;
        let (kind, end) = match self.text.get(start)? {
            b'{' | b'[' if self.depth == MAX_DEPTH => {
                self.too_deep = true;
                self.at = self.text.len();
                return None;
            }
            b'{' => (EventKind::Open(Container::Object), start + 1),
            b'[' => (EventKind::Open(Container::Array), start + 1),
            b'}' | b']' => (EventKind::Close, start + 1),
            b'"' => self.string(),
            _ => (EventKind::Scalar, scalar_end(self.text, start).max(start + 1)),
        };
        match kind {
            EventKind::Open(_) => self.depth += 1,
            EventKind::Close => self.depth = self.depth.saturating_sub(1),
            EventKind::Name | EventKind::Scalar => {}
        }
        self.at = end;
        Some(Event { kind, span: start..end })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::EventKind::{Close, Name, Open, Scalar};
    use super::*;

    #[test]
    fn events_are_in_order_with_their_spans() {
        let text = "\u{feff} {\"a\" : [1, \"x\\\"]\"], \"b\": {}}".as_bytes();
        let events: Vec<(EventKind, &str)> =
            Walker::new(text).map(|event| (event.kind, std::str::from_utf8(&text[event.span]).unwrap())).collect();
        let (array, object) = (Open(Container::Array), Open(Container::Object));
        assert_eq!(
            events,
            [
                (object, "{"),
                (Name, "\"a\""),
                (array, "["),
                (Scalar, "1"),
                (Scalar, r#""x\"]""#),
                (Close, "]"),
                (Name, "\"b\""),
                (object, "{"),
                (Close, "}"),
                (Close, "}"),
            ]
        );
    }

    #[test]
    fn walk_ends_at_the_depth_limit() {
        for (depth, too_deep) in [(MAX_DEPTH, false), (MAX_DEPTH + 1, true)] {
            let text = "[".repeat(depth) + &"]".repeat(depth);
            let mut walker = Walker::new(text.as_bytes());
            walker.by_ref().for_each(drop);
            assert_eq!(walker.is_too_deep(), too_deep, "{depth}");
        }
    }

    proptest! {
        #[test]
        fn walk_ends_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut end = 0;
            for event in Walker::new(&bytes) {
                prop_assert!(event.span.start >= end && event.span.end > event.span.start);
                end = event.span.end;
            }
            prop_assert!(end <= bytes.len());
        }
    }
}
