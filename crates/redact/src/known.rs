//! Looking for known values wherever they may stand: as whole words, at any place of a text or of a stream.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;
use std::ops::Range;

use super::marker::{self, Marker, Run};
use super::windows::{Window, Windows};
use harproxy_http::escape;

/// Values have at least so many bytes: shorter ones are too likely to stand elsewhere by chance.
pub const SHORTEST: usize = 8;
/// Longer ones are not looked for, bytes: nobody repeats them outside the place they belong to.
pub const LONGEST: usize = 64 << 10;
/// Values that are words: looking for them would take paths and names of members apart.
const WORDS: [&str; 14] = [
    "password",
    "username",
    "undefined",
    "anonymous",
    "changeme",
    "localhost",
    "redacted",
    "required",
    "disabled",
    "authorization",
    "access_token",
    "refresh_token",
    "client_secret",
    "example.com",
];

/// How placeholders begin; places where one does are looked at too.
pub const PLACEHOLDER: Beginning = *b"REDACTED";

/// What a value begins with.
pub type Beginning = [u8; SHORTEST];

/// What stood before a text, as far as it says whether a word begins there.
pub type Before = [u8; escape::LONGEST];

/// Nothing did.
pub const NOTHING: Before = [b' '; escape::LONGEST];

/// What a value begins with, when it is one to look for.
#[must_use]
pub fn beginning(value: &[u8]) -> Option<&Beginning> {
    let is_word = || WORDS.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()));
    value.first_chunk().filter(|_| value.len() <= LONGEST && !is_word())
}

/// Values that are known, and what stands for each.
pub trait Known: fmt::Debug + Send + Sync {
    /// Whose markers stand for them.
    fn run(&self) -> Run;

    /// Length of the longest, bytes.
    fn longest(&self) -> usize;

    /// The values in a text that begin before `until`, in order; `before` is what stands before the text.
    fn known_in(&self, text: &[u8], before: Before, until: usize) -> Vec<(Range<usize>, Marker)>;

    /// The text with markers for known values: for what was written down before they were known.
    fn swept<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let mut out = Vec::new();
        let swept = self.sweep(text, NOTHING, text.len(), &mut out);
        if swept == 0 { Cow::Borrowed(text) } else { Cow::Owned([&out, &text[swept..]].concat()) }
    }

    /// Puts out the text as far as the last value that begins before `until`, and says how far that is.
    fn sweep(&self, text: &[u8], before: Before, until: usize, out: &mut Vec<u8>) -> usize {
        let mut kept = 0;
        for (range, marker) in self.known_in(text, before, until) {
            out.extend_from_slice(&text[kept..range.start]);
            out.extend_from_slice(marker.write(self.run()).as_bytes());
            kept = range.end;
        }
        kept
    }
}

/// [`Known::swept`] of a stream.
pub fn sweeper<'k, R: Read + 'k>(known: &'k dyn Known, read: R) -> impl Read + 'k {
    Windows::new(read, Sweep { known, longest: known.longest(), before: NOTHING })
}

/// How values are told by what stands at a place.
pub trait Lexicon {
    /// Whether there is nothing to look for.
    fn is_empty(&self) -> bool;

    /// Whether a value may begin like that: most places are passed by this look. [`PLACEHOLDER`] may.
    fn may_begin(&self, begin: Beginning) -> bool;

    /// The longest value that a text begins with and that [ends] there: its length, and what stands for it.
    fn at(&self, text: &[u8]) -> Option<(usize, Marker)>;

    /// Finds the first place in a text, from an ascending position on, where a value may begin.
    fn begins(&self, text: &[u8]) -> impl FnMut(usize) -> Option<usize> {
        let may_begin = |begin: &[u8]| begin.first_chunk().is_some_and(|begin| self.may_begin(*begin));
        move |at| (at..text.len()).find(|&at| may_begin(&text[at..]))
    }

    /// [`Known::known_in`].
    fn all_in(&self, text: &[u8], before: Before, until: usize) -> Vec<(Range<usize>, Marker)> {
        let mut found = Vec::new();
        if self.is_empty() {
            return found;
        }
        let (mut begins, mut at) = (self.begins(text), 0);
        while let Some(start) = begins(at).filter(|start| *start < until) {
            at = start + 1;
            if is_inside(before, text, start) {
                continue;
            }
            if text[start..].starts_with(&PLACEHOLDER) {
                // A name within what stands for a value already is no value.
                let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                at = start + text[start..].iter().take_while(is_part).count();
            } else if let Some((len, marker)) = self.at(&text[start..]) {
                at = start + len;
                found.push((start..at, marker));
            }
        }
        found
    }
}

/// Whether a word that is so long ends there.
#[must_use]
pub fn ends(text: &[u8], len: usize) -> bool {
    text.get(len).is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

/// Whether a place is within a word; the last letter of an escape (`%2F`, `\n`) is none of its own.
fn is_inside(stood: Before, text: &[u8], at: usize) -> bool {
    let stood = before(stood, text, at);
    stood.last().is_some_and(u8::is_ascii_alphanumeric) && !escape::ends(&stood)
}

/// What stands before a place of a text that `stood` stands before.
fn before(stood: Before, text: &[u8], at: usize) -> Before {
    let mut before = stood;
    if let Some((_, last)) = text[..at].split_last_chunk() {
        return *last;
    }
    before.rotate_left(at);
    before[escape::LONGEST - at..].copy_from_slice(&text[..at]);
    before
}

struct Sweep<'k> {
    known: &'k dyn Known,
    longest: usize,
    before: Before,
}

impl Window for Sweep<'_> {
    fn settle(&mut self, text: &[u8], last: bool, out: &mut Vec<u8>) -> usize {
        // A value that begins before is here as a whole, and what stands behind it.
        let held = self.longest.max(marker::LONGEST);
        let until = if last { text.len() } else { text.len().saturating_sub(held) };
        let swept = self.known.sweep(text, self.before, until, out);
        out.extend_from_slice(&text[swept.min(until)..until]);
        let settled = swept.max(until);
        self.before = before(self.before, text, settled);
        settled
    }
}
