//! Going over all of a fixture in which secrets may stand: every string of the HAR at its place, every payload
//! wherever it is
//! stored. `redact` writes what is left, `check` tells what was found.

mod body;
mod spots;

pub(super) use body::{Body, Content};
pub(super) use spots::{Item, Spot, Where};

use harproxy_har::values::HarValue;
use harproxy_har::{Error, Fixture};
use harproxy_json::{CountAll, Node};
use harproxy_redact::{Policy, Redactor, Replacer, Splice};

/// A policy going over a fixture.
pub(super) struct Sift<'a, N: ?Sized> {
    fixture: &'a Fixture,
    redactor: Redactor<'a, N>,
}

/// The same, whoever says what stands for a value.
type AnySift<'f, 'n> = Sift<'f, dyn Replacer + 'n>;

/// What came of a string or a payload.
#[derive(Debug)]
pub(super) enum Sifted {
    /// Nothing secret is in it.
    Clean,
    /// It could not be scanned.
    Opaque,
    /// Something was taken out.
    Changed(Change),
}

/// What was taken out of a string or a payload.
#[derive(Debug)]
pub(super) struct Change {
    /// What changes in the text of the part.
    pub(super) edits: Vec<Splice>,
    /// What is left of it, decoded; of a payload in a file of its own, its new content.
    pub(super) left: Content,
}

impl<'a, N: Replacer> Sift<'a, N> {
    pub(super) fn new(fixture: &'a Fixture, policy: &'a Policy, replacer: N) -> Self {
        Sift { fixture, redactor: Redactor::new(policy, replacer) }
    }

    /// Returns the replacer of the redactor.
    pub(super) fn replacer(&mut self) -> &mut N {
        self.redactor.replacer_mut()
    }

    /// What comes of an item of this part.
    ///
    /// # Errors
    /// When a payload can't be read.
    pub(super) fn item(&mut self, part: &HarValue, item: &Item<'_>) -> Result<Sifted, Error> {
        match item {
            Item::Spot(spot) => Ok(AnySift::spot(self, spot)),
            Item::Body(body) => body::sift(self, part.entry.unwrap_or_default(), body),
        }
    }
}

impl AnySift<'_, '_> {
    fn spot(&mut self, spot: &Spot<'_>) -> Sifted {
        let splices =
            self.redactor.splices_in_json_string(spot.what.place(), spot.written.as_bytes()).unwrap_or_default();
        if splices.is_empty() {
            return Sifted::Clean;
        }
        let left = applied(spot.written, &splices);
        let edits = splices.into_iter().map(|splice| splice.shifted(spot.at)).collect();
        Sifted::Changed(Change { edits, left: Content::Bytes(left.into_bytes()) })
    }
}

/// Takes the text of a part apart and hands on its items in the order in which a recording would have met them.
///
/// # Errors
/// When it is nested deeper than anything that people or tools write.
pub(super) fn each_item(
    fixture: &Fixture,
    part: &HarValue,
    text: &str,
    mut each: impl FnMut(&Item<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(node) = Node::parse(text, &CountAll) else {
        let reason = "it is nested too deeply to be scanned".to_owned();
        return Err(match part.entry {
            Some(entry) => fixture.bad_entry(entry, reason),
            None => Error::Malformed { path: fixture.path().to_owned(), line: Some(part.line()), reason },
        });
    };
    let items = if part.entry.is_some() { spots::of_entry(&node) } else { spots::of_member(&part.name, &node) };
    items.iter().try_for_each(&mut each)
}

/// The text with the splices, which are in order.
pub(super) fn applied(text: &str, splices: &[Splice]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut kept = 0;
    for Splice { range, with } in splices {
        out.push_str(text.get(kept..range.start).unwrap_or_default());
        out.push_str(with);
        kept = range.end;
    }
    out.push_str(text.get(kept..).unwrap_or_default());
    out
}
