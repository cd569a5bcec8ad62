//! A glance at a stretch of JSON before one at each of its strings: most hold nothing that is secret, and that can be told of all of
//! it at once.
//!
//! What can be secret in a string that holds no escape begins or ends with one of a few dozen needles: the end of a member's secret name, the
//! beginning of a shape, a URL. A string without any needs no other look, whatever the document is like around it.

use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use memchr::{memchr_iter, memrchr};

use super::json::Until;
use super::names::{Names, folded};
use super::paths::after_space;
use super::policy::Policy;
use super::sieve::{Class, GRAM, Gram, Needles, Sieve};
use super::{Namer, shapes};

/// Bytes that are looked at at once, but where all of a piece was glanced at before: where a known value stands, so many are looked at string
/// by string.
const STRETCH: usize = 32 << 10;

/// A piece that is shorter, bytes, is not glanced at where it is, but goes through the window.
pub(super) const SHORT: usize = 1024;

/// A URL that is longer is looked at as a string, bytes.
const LONG_URL: usize = 512;

/// What a string has to be looked at for.
#[derive(Clone, Copy)]
enum Needle {
    /// Anything may be written with one, and a quote behind one ends nothing. White space that JSON has not, but members of broken documents may.
    Escape,
    /// How a secret name of a member may end, and its quote.
    Name,
    /// What a URL has behind its scheme.
    Url,
    /// Of how a shape begins, up to its byte `last`.
    Shape { begins: &'static [u8], last: usize },
}

struct Suspicions {
    sieve: Sieve,
    needles: Vec<Needle>,
}

/// Of the whole table: a policy that takes some of it away is asked when there is one.
static SUSPICIONS: LazyLock<Suspicions> = LazyLock::new(|| {
    let shapes = shapes::beginnings().map(|begins| shape(begins.as_bytes()));
    let names = name_ends(&Policy::default().json).into_iter().map(|gram| (gram, Needle::Name));
    let escape = [Class::ANY, Class::ANY, Class::ANY, Class::of(|byte| matches!(byte, b'\\' | 0x0b | 0x0c))];
    let url = [Class::ANY, only(b':'), only(b'/'), only(b'/')];
    let all = shapes.chain(names).chain([(escape, Needle::Escape), (url, Needle::Url)]);
    let (grams, needles): (Vec<_>, _) = all.unzip();
    Suspicions { sieve: Sieve::new(&grams), needles }
});

fn only(byte: u8) -> Class {
    Class::of(|other| other == byte)
}

/// Four bytes that few texts have, of how a shape begins: such as have few lower-case letters.
fn shape(begins: &'static [u8]) -> (Gram, Needle) {
    let rare =
        |last: &usize| begins[..=*last].iter().rev().take(GRAM).filter(|byte| !byte.is_ascii_lowercase()).count();
    let first = begins.len().min(GRAM) - 1;
    // Of several the first.
    let last = (first..begins.len()).rev().max_by_key(rare).unwrap_or(first);
    let mut gram = [Class::ANY; GRAM];
    gram.iter_mut().rev().zip(begins[..=last].iter().rev()).for_each(|(class, byte)| *class = only(*byte));
    (gram, Needle::Shape { begins, last })
}

/// How each of these names may end, and the quote behind it, each once. Before a hump nothing is told: there may be a byte more or not.
fn name_ends(names: &Names) -> Vec<Gram> {
    let end = |name: &[u8]| {
        name.rsplit(|byte| *byte == b'-').next().map(|end| end[end.len().saturating_sub(GRAM - 1)..].to_vec())
    };
    let mut ends: Vec<_> = names.folded().filter_map(end).collect();
    ends.sort_unstable();
    ends.dedup();
    let gram = |end: &Vec<u8>| {
        let mut gram = [Class::ANY, Class::ANY, Class::ANY, only(b'"')];
        let places = gram[..GRAM - 1].iter_mut().rev().zip(end.iter().rev());
        places.for_each(|(class, byte)| *class = Class::of(|other| folded(other) == *byte));
        gram
    };
    ends.iter().map(gram).collect()
}

impl Suspicions {
    /// The first place at which one of the needles stands that this policy looks for.
    /// Adds to `quotes` how many there are up to there.
    fn next(&self, text: &[u8], from: usize, end: usize, policy: &Policy, quotes: &mut usize) -> Option<usize> {
        let mut at = from;
        loop {
            let (place, needles) = self.sieve.next(&text[..end], at, quotes)?;
            if self.some(needles).any(|needle| needle.stands_at(text, place, policy)) {
                return Some(place);
            }
            at = place + 1;
        }
    }

    fn some(&self, mut needles: Needles) -> impl Iterator<Item = Needle> {
        std::iter::from_fn(move || {
            let next = self.needles.get(needles.trailing_zeros() as usize)?;
            needles &= needles - 1;
            Some(*next)
        })
    }
}

impl Needle {
    fn stands_at(self, text: &[u8], place: usize, policy: &Policy) -> bool {
        match self {
            Needle::Escape => true,
            Needle::Name => {
                let name = memrchr(b'"', &text[..place]).map_or(&text[..0], |quote| &text[quote + 1..place]);
                policy.json.contains(name) && text.get(after_space(text, place + 1)).is_none_or(|byte| *byte == b':')
            }
            Needle::Url => says_more(&text[place + 1..]),
            Needle::Shape { begins, last } => {
                place.checked_sub(last).is_some_and(|begin| text[begin..].starts_with(begins))
            }
        }
    }
}

/// Whether a URL, from its authority on, may say more than where something is: a user, parameters, a fragment, what is encoded, another URL. No
/// byte is looked at for two URLs.
fn says_more(url: &[u8]) -> bool {
    let near = &url[..url.len().min(LONG_URL)];
    let ends = |at: usize| near[at] == b'"' || near[at].is_ascii_whitespace();
    let tells = |at: usize| match near[at] {
        b'?' | b'#' | b'@' | b'%' => true,
        b'/' => at > 0 && near[at - 1] == b'/',
        _ => false,
    };
    let first = (0..near.len()).find(|at| ends(*at) || tells(*at));
    first.map_or(near.len() == LONG_URL, |at| !ends(at))
}

/// A piece of a payload, and what a glance finds out of it by itself. It can be had where the piece is at hand, before it is pushed into a
/// [`Stream`](super::Stream) elsewhere. What was found out of one piece can't be taken for another's.
pub struct Glimpsed<B> {
    piece: B,
    glimpse: Option<Glimpse>,
}

/// Nobody has looked for secrets in it.
impl<B> fmt::Debug for Glimpsed<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Glimpsed").field("piece", &"(redacted)").field("glimpse", &self.glimpse).finish()
    }
}

impl<B: AsRef<[u8]>> Glimpsed<B> {
    /// Glances at a piece: nothing is found out of a short one, nor under a policy by which every string has to be looked at.
    pub fn new(piece: B, policy: &Policy) -> Self {
        let worth = piece.as_ref().len() >= SHORT && tells(policy);
        let glimpse = worth.then(|| Glimpse::of(piece.as_ref(), 0..piece.as_ref().len(), policy));
        Glimpsed { piece, glimpse }
    }

    pub(super) fn parts(&self) -> (&[u8], Option<Glimpse>) {
        (self.piece.as_ref(), self.glimpse)
    }
}

/// Of which nothing is found out.
impl<B> From<B> for Glimpsed<B> {
    fn from(piece: B) -> Self {
        Glimpsed { piece, glimpse: None }
    }
}

impl<B> Glimpsed<B> {
    /// The piece.
    pub fn piece(&self) -> &B {
        &self.piece
    }

    /// The piece.
    pub fn into_piece(self) -> B {
        self.piece
    }
}

/// What a glance at a stretch finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Glimpse {
    /// Where something may be secret, first.
    suspect: Option<usize>,
    /// The end of the stretch.
    end: usize,
    /// How many quotes there are up to the suspect, its own place included, or up to the end.
    quotes: usize,
}

impl Glimpse {
    fn of(text: &[u8], Range { start, end }: Range<usize>, policy: &Policy) -> Self {
        let mut quotes = 0;
        let suspect = SUSPICIONS.next(text, start, end, policy, &mut quotes);
        Glimpse { suspect, end, quotes }
    }

    /// The same of what follows the first `len` bytes of a stretch that begins with the text; `None` when nothing was found out about that.
    pub(super) fn behind(self, text: &[u8], len: usize) -> Option<Self> {
        let less = |place: usize| place.checked_sub(len);
        let suspect = self.suspect.map(|place| less(place).ok_or(())).transpose().ok()?;
        let quotes = memchr_iter(b'"', text.get(..len)?).count();
        Some(Glimpse { suspect, end: less(self.end)?, quotes: self.quotes.checked_sub(quotes)? })
    }
}

/// Whether a glance can tell enough under this policy.
fn tells(policy: &Policy) -> bool {
    policy.paths.is_empty() && policy.text.is_empty() && !policy.shapes.has_personal()
}

/// Glances along a text.
pub(super) struct Glances<'p> {
    /// Without one every string has to be looked at.
    policy: Option<&'p Policy>,
    /// What was found out before.
    had: Option<Glimpse>,
    /// None before this.
    from: usize,
    /// A secret name stood where by all quotes before no string does.
    pub(super) broken: bool,
}

impl<'p> Glances<'p> {
    /// By a policy under which a glance can tell enough.
    pub(super) fn new(policy: &'p Policy) -> Self {
        Glances { policy: tells(policy).then_some(policy), had: None, from: 0, broken: false }
    }

    /// Of a text that was glanced at before, from its beginning on.
    pub(super) fn after(policy: &'p Policy, had: Option<Glimpse>) -> Self {
        Glances { had, ..Glances::new(policy) }
    }

    /// The end of a stretch from `at` on, where an item or a member begins, or the text ends, in which nothing is to be taken out:
    /// no member has a secret name, and nothing in it looks like a secret or is known to be one. `None` when there is none.
    pub(super) fn next(&mut self, text: &[u8], at: usize, until: Until, namer: &mut dyn Namer) -> Option<usize> {
        let policy = self.policy.filter(|_| at >= self.from)?;
        let enough = at.saturating_add(STRETCH).min(until.limit.saturating_add(1)).min(text.len());
        if at >= enough {
            return None;
        }
        let had = self.had.take().filter(|_| at == 0);
        let Glimpse { suspect, end, quotes } = had.unwrap_or_else(|| Glimpse::of(text, at..enough, policy));
        let clean = suspect.map_or(end, |place| place + 1);
        // Not again before what is looked at string by string is behind.
        self.from = clean;
        let is_open = quotes % 2 == 1;
        self.broken |= is_open && suspect.is_some_and(|place| text[place] == b'"');
        let is_end = clean == text.len() && suspect.is_none() && until.is_all && !is_open;
        let end = if is_end { clean } else { last_begin(text, at, clean, is_open)? };
        if !namer.known(&text[at..end]).is_empty() {
            return None;
        }
        self.from = if suspect.is_some() { clean } else { end };
        Some(end)
    }
}

/// Where the last item or member begins behind `from` and before `end`, at which a string `is_open` or not; no byte before the last is one of an
/// escape.
fn last_begin(text: &[u8], from: usize, end: usize, is_open: bool) -> Option<usize> {
    let quote_before = |at: usize| memrchr(b'"', &text[from..at]).map(|quote| from + quote);
    let last = quote_before(end)?;
    let mut begin = if is_open { last } else { quote_before(last)? };
    if text[from..begin].trim_ascii_end().ends_with(b":") {
        begin = quote_before(quote_before(begin)?)?;
    }
    (begin > from).then_some(begin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Form, Name, Rules, table};

    fn suspect(text: &str) -> Option<usize> {
        let mut quotes = 0;
        SUSPICIONS.next(text.as_bytes(), 0, text.len(), &Policy::default(), &mut quotes)
    }

    /// As languages write a name of several words.
    fn spellings(name: &str) -> [String; 5] {
        let words: Vec<_> = name.split(['_', '-']).collect();
        let title = |word: &&str| word[..1].to_uppercase() + &word[1..];
        let pascal: String = words.iter().map(title).collect();
        [name.to_owned(), name.to_uppercase(), words.join("-"), pascal[..1].to_lowercase() + &pascal[1..], pascal]
    }

    #[test]
    fn every_secret_name_is_suspect_however_it_is_written() {
        let not = |name: &&str| !table::NOT_IN_JSON.contains(name);
        for name in table::PARAMETERS.into_iter().filter(not).chain(table::ONLY_IN_JSON) {
            for name in spellings(name).into_iter().filter(|name| Policy::default().json.contains(name.as_bytes())) {
                for (before, behind) in [("{\"", "\":"), ("[{\"a\":1,\"", "\" \n:")] {
                    let before = format!("{}{before}", " ".repeat(70));
                    let end = before.len() + name.len();
                    // A few are shapes, too.
                    let in_name = |place| (before.len()..=end).contains(&place);
                    assert!(suspect(&format!("{before}{name}{behind}\"x\"}}")).is_some_and(in_name), "{name}");
                    assert!(suspect(&format!("{before}{name}\"")).is_some_and(in_name), "{name} at the end");
                }
            }
        }
        for text in [
            "{\"next_token\":\"x\"}",
            "{\"a\":\"token\"}",
            "[\"password\",\"pin\"]",
            "{\"key\":1}",
            "{\"x password\":1}",
        ] {
            assert_eq!(suspect(text), None, "{text}");
        }
    }

    #[test]
    fn every_beginning_of_a_shape_is_suspect() {
        for begins in shapes::beginnings() {
            for before in ["\"", "\"a (", &" ".repeat(100)] {
                let text = format!("{before}{begins}x\"");
                let place = suspect(&text).unwrap();
                assert!((before.len()..before.len() + begins.len()).contains(&place), "{text}");
            }
        }
        assert_eq!(suspect("\"eJy ASKIA gh_p sec_ret k_love xo PRIVATE\""), None);
    }

    #[test]
    fn a_url_is_suspect_that_says_more_than_where_something_is() {
        let long = format!("\"https://h/{}\"", "a".repeat(LONG_URL));
        let many = "://".repeat(9);
        for text in [
            "\"https://h/?a\"",
            "\"see http://a@h/ there\"",
            "\"x://h/%41\"",
            "\"x://h#a",
            &long,
            "\"x://y://\"",
            &many,
        ] {
            assert!(suspect(text).is_some(), "{text}");
        }
        for text in
            ["\"https://h/a\"", "\"file:///a/b\"", "\"https://h/a b?\"", "\"http://h\",\"?\"", "\"a:/?\"", "\"://"]
        {
            assert_eq!(suspect(text), None, "{text}");
        }
        assert_eq!(suspect("\"a\\u0041\""), Some(2));
    }

    fn glimpse(text: &str) -> Glimpse {
        Glimpse::of(text.as_bytes(), 0..text.len(), &Policy::default())
    }

    #[test]
    fn of_a_piece_that_was_glanced_at_nothing_is_sieved_again() {
        struct Nothing;
        impl Namer for Nothing {
            fn stand_in(&mut self, _: &[u8], _: &Name, _: Form) -> String {
                panic!("nothing is secret")
            }
            fn known(&mut self, _: &[u8]) -> Vec<(Range<usize>, String)> {
                Vec::new()
            }
        }
        let until = Until { limit: usize::MAX, is_all: false };
        let next = |text: &str, had| {
            Glances::after(&Policy::default(), had).next(text.as_bytes(), 0, until, &mut Nothing).unwrap()
        };
        let record = "{\"a\":\"b\"},";
        let text = record.repeat(10_000);
        assert!(next(&text, None) < STRETCH);
        assert!(next(&text, Some(glimpse(&text))) > text.len() - record.len());
        let secret = format!("{text}{{\"token\":\"c\"}},{text}");
        let end = next(&secret, Some(glimpse(&secret)));
        assert!((text.len() - record.len()..=text.len() + 2).contains(&end), "up to the member: {end}");
    }

    #[test]
    fn what_was_found_out_of_a_piece_holds_for_what_follows_its_beginning() {
        let text = r#"{"a":"b"},{"c":["d",1]},{"token":"e"},"f""#;
        let place = text.find("en\":").unwrap() + 2;
        assert_eq!(glimpse(text), Glimpse { suspect: Some(place), end: text.len(), quotes: 10 });
        for len in 0..=text.len() {
            let behind = glimpse(text).behind(text.as_bytes(), len);
            // Of a name that is cut in two nothing is told.
            if !(place - 5..=place).contains(&len) {
                assert_eq!(behind, (len <= place).then(|| glimpse(&text[len..])), "{len}");
            }
            let clean = &text[..place - 2];
            let behind = glimpse(clean).behind(clean.as_bytes(), len);
            assert_eq!(behind, clean.get(len..).map(glimpse), "{len}");
        }
    }

    #[test]
    fn under_a_policy_by_which_every_string_is_looked_at_nothing_is_found_out() {
        let all = Policy::new(&Rules { personal: true, ..Rules::default() }).unwrap();
        let piece = "[]".repeat(SHORT);
        assert_eq!(Glimpsed::new(&piece, &all).parts(), (piece.as_bytes(), None));
        assert!(Glimpsed::new(&piece, &Policy::default()).parts().1.is_some());
        assert!(Glimpsed::new("[]", &Policy::default()).parts().1.is_none());
        assert!(!format!("{:?}", Glimpsed::from("hunter2")).contains("hunter2"));
    }

    #[test]
    fn a_stretch_ends_where_an_item_begins() {
        let begin = |text: &str| last_begin(text.as_bytes(), 1, text.len(), text[1..].matches('"').count() % 2 == 1);
        assert_eq!(begin("[\"a\",\"b\",\"c"), Some(9));
        assert_eq!(begin("[\"a\",\"b\""), Some(5));
        assert_eq!(begin("[\"a\",\"b\":\"c"), Some(5), "a member with its name");
        assert_eq!(begin("[\"a\",\"b\" : \"c\""), Some(5));
        assert_eq!(begin("{\"a\":\"c"), None, "none but the first");
        assert_eq!([begin("[1,2"), begin("[\"a"), begin("[")], [None, None, None]);
    }
}
