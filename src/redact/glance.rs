//! A glance at a stretch of JSON before one at each of its strings: most hold nothing that is secret, and that can be told of all of
//! it at once.

use super::graphql;
use super::json::Until;
use super::paths::after_space;
use super::policy::Policy;
use super::{Namer, shapes};

/// Bytes that are looked at at once: what has to be looked at string by string spoils so much.
const STRETCH: usize = 16 << 10;

/// Glances along a text.
pub(super) struct Glances<'p> {
    /// Without one every string has to be looked at.
    policy: Option<&'p Policy>,
    /// None before this.
    from: usize,
}

impl<'p> Glances<'p> {
    /// By a policy under which a glance can tell enough.
    pub(super) fn new(policy: &'p Policy) -> Self {
        let tells = policy.paths.is_empty() && policy.text.is_empty() && !policy.shapes.has_personal();
        Glances { policy: tells.then_some(policy), from: 0 }
    }

    /// The end of a stretch from `at` on, where an item or a member begins, or the text ends, in which nothing is to be taken out: it
    /// is JSON, no member has a secret name, no string is a document of its own, and nothing in it looks like a secret or is known
    /// to be one. `None` when that can't be told.
    pub(super) fn next(&mut self, text: &[u8], at: usize, until: Until, namer: &mut impl Namer) -> Option<usize> {
        let policy = self.policy.filter(|_| at >= self.from)?;
        // Not again before this stretch is behind.
        self.from = at.saturating_add(STRETCH);
        let end = plain_members(text, at, until, policy)?;
        let stretch = &text[at..end];
        let is_clean = memchr::memchr(b'\\', stretch).is_none()
            && !has_speaking_url(stretch)
            && !shapes::may_be_in(stretch)
            && namer.known(stretch).is_empty();
        if is_clean {
            self.from = end;
        }
        is_clean.then_some(end)
    }
}

/// Where the last item or member begins of a stretch, or the text ends with it, without backslashes in which all between strings is JSON's own, no name
/// is secret, and no string a document.
fn plain_members(text: &[u8], from: usize, Until { limit, is_all }: Until, policy: &Policy) -> Option<usize> {
    let mut at = if from == 0 && text.starts_with(b"\xef\xbb\xbf") { 3 } else { from };
    let enough = from.saturating_add(STRETCH).min(limit.saturating_add(1));
    let (mut end, mut is_value) = (from, false);
    while let Some(gap) = text.get(at..)?.iter().position(|byte| !is_json_between(*byte)) {
        let quote = at + gap;
        if text[quote] != b'"' {
            return None;
        }
        if !is_value {
            end = quote;
            if quote >= enough {
                return (end > from).then_some(end);
            }
        }
        let Some(close) = quote_from(text, quote + 1) else { return (end > from).then_some(end) };
        at = close + 1;
        let colon = if text.get(at) == Some(&b':') { at } else { after_space(text, at) };
        is_value = text.get(colon) == Some(&b':');
        let is_plain = match is_value {
            true => !policy.json.contains(&text[quote + 1..close]),
            false => !graphql::looks_like(&text[quote + 1..close]),
        };
        if !is_plain {
            return (end > from).then_some(end);
        }
    }
    // What may go on behind the text is left to who looks at it string by string.
    let end = if is_all { text.len() } else { end };
    (end > from).then_some(end)
}

/// The next quote, eight bytes at a time: strings are short.
fn quote_from(text: &[u8], from: usize) -> Option<usize> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const QUOTES: u64 = EACH * b'"' as u64;
    let mut at = from;
    while let Some((eight, _)) = text.get(at..)?.split_first_chunk() {
        // A byte that is zero now was a quote; the lowest that this marks is one.
        let word = u64::from_le_bytes(*eight) ^ QUOTES;
        let marks = word.wrapping_sub(EACH) & !word & (EACH << 7);
        if marks != 0 {
            return Some(at + (marks.trailing_zeros() >> 3) as usize);
        }
        at += 8;
    }
    Some(at + text[at..].iter().position(|byte| *byte == b'"')?)
}

/// Whether a URL may stand in a text that says more than where something is: a user, parameters, a fragment, what is encoded.
fn has_speaking_url(text: &[u8]) -> bool {
    let says = || memchr::memchr3(b'?', b'#', b'@', text).is_some() || memchr::memchr(b'%', text).is_some();
    shapes::has_url(text) && says()
}

/// Whether a byte stands between the strings of JSON: white space, structure, numbers, the letters of the three words.
pub(super) fn is_json_between(byte: u8) -> bool {
    BETWEEN[usize::from(byte)]
}

const BETWEEN: [bool; 256] = {
    let mut between = [false; 256];
    // No quote, by which what stands between strings ends.
    let all = b" \t\n\r{}[],:+-.E0123456789truefalsn";
    let mut at = 0;
    while at < all.len() {
        between[all[at] as usize] = true;
        at += 1;
    }
    between
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_found_wherever_it_stands() {
        for len in 0..40 {
            let mut text = vec![b'#'; len];
            assert_eq!(quote_from(&text, 0), None);
            // What differs from a quote by its lowest bit stands behind one.
            for at in 0..len {
                text.fill(b'#');
                text[at] = b'"';
                for from in 0..=at {
                    assert_eq!(quote_from(&text, from), Some(at));
                }
                assert_eq!(quote_from(&text, at + 1), None);
            }
        }
    }
}
