//! JSON, as it is written: nothing but the strings that are taken out changes by a byte.
//!
//! The walk looks at strings and what stands between them, and needs no document that is whole or well-formed: a name is a
//! string that a colon follows. So it is at home in a document that was cut off, in the middle of a stream and in lines of
//! events, never goes deeper than one loop, and sees repeated members each.

use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use regex::bytes::{Captures, Regex};

use super::headers::{after_scheme, is_credentials};
use super::paths::{Located, after_space, located, scalar_end, string_end};
use super::prefilter::{Candidates, last_item};
use super::redactor::DEEPEST;
use super::shapes::{Hit, compiled};
use super::view::{Coding, Splice, View, moved};
use super::{AnyRedactor, Form, Name, form::is_url, inert};

/// A member whose value is a string, wherever the quotes of a broken document would have it.
static MEMBER: LazyLock<Regex> =
    LazyLock::new(|| compiled(r#""([^"\\\s]{1,64})"\s{0,64}:\s{0,64}"((?:[^"\\]|\\[\x00-\xff])+)"#));

/// How far a text is walked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    /// What begins behind this is left for later.
    pub(super) limit: usize,
    /// Nothing comes behind the text: a string that does not end there does not end at all.
    pub(super) is_all: bool,
}

/// A string of a text.
#[derive(Clone, Debug)]
struct Token {
    /// Without its quotes.
    inside: Range<usize>,
    /// Behind its closing quote, if it has one.
    end: usize,
}

impl AnyRedactor<'_, '_> {
    /// What is taken out of a JSON text.
    pub(super) fn json(&mut self, text: &[u8], depth: u8) -> Vec<Splice> {
        let mut candidates = self.candidates(text);
        if candidates.is_empty() {
            return Vec::new();
        }
        let located = located(text, &self.policy.paths);
        let until = Until { limit: usize::MAX, is_all: true };
        let mut walk = Walk::new(candidates, text, depth, until, located);
        self.walk(&mut walk);
        let Walk { splices, broken, .. } = walk;
        if broken { self.broken(text, splices) } else { splices }
    }

    /// What is taken out of a window of a JSON text, and up to where that settles it. `list` names the secret strings of a list that begins
    /// before the window, and then of one that goes on behind it.
    pub(super) fn json_window(&mut self, text: &[u8], until: Until, list: &mut Option<Name>) -> (Vec<Splice>, usize) {
        let mut candidates = self.candidates(text);
        if candidates.is_empty()
            && list.is_none()
            && !until.is_all
            && let Some(settled) = last_item(text, until.limit)
        {
            return (Vec::new(), settled);
        }
        let mut walk = Walk::new(candidates, text, 0, until, None);
        walk.list = list.take();
        self.walk(&mut walk);
        *list = walk.list;
        (walk.splices, walk.settled)
    }

    /// What the value of a member of this name is called in placeholders, if it is secret: by the table, or because a path
    /// ends so that can't be followed.
    pub(super) fn secret_member(&self, name: &[u8], by_path: bool) -> Option<Name> {
        let is_secret = by_path || self.policy.json.contains(name);
        is_secret.then(|| Name::new(&String::from_utf8_lossy(name)))
    }

    fn walk(&mut self, walk: &mut Walk<'_>) {
        self.elements(walk);
        while walk.list.is_none() {
            let Some(quote) = walk.next_quote() else { break };
            let token = walk.string_at(quote);
            if quote > walk.until.limit || walk.is_cut(&token) {
                return self.leave(walk, quote);
            }
            let colon = after_space(walk.text, token.end);
            if walk.text.get(colon) != Some(&b':') {
                self.string(walk, &token, None);
            } else if !self.member(walk, &token, after_space(walk.text, colon + 1)) {
                return self.leave(walk, quote);
            }
        }
        if walk.list.is_some() {
            return self.leave(walk, walk.at);
        }
        let end = walk.text.len();
        let rest = &walk.text[walk.seen.min(end)..];
        if walk.until.is_all || rest.iter().all(|byte| is_json_between(*byte)) {
            return self.leave(walk, end);
        }
        // No JSON, and no string that would say where it can be parted.
        let at = walk.seen;
        let (splices, settled) = self.settled(rest, false, Some(walk.until.limit.saturating_sub(at)), Vec::new());
        walk.splices.extend(moved(splices, at));
        walk.stop(at + settled);
    }

    /// Ends the walk before what begins here.
    fn leave(&mut self, walk: &mut Walk<'_>, at: usize) {
        self.between(walk, at);
        walk.stop(at);
    }

    /// A member whose value begins at `at`; false when the text ends before it does.
    fn member(&mut self, walk: &mut Walk<'_>, token: &Token, at: usize) -> bool {
        let mut by_path = false;
        let name = walk.is_candidate(token).then(|| {
            let view = View::new(&walk.text[token.inside.clone()], Coding::Json);
            by_path = walk.located.is_none() && self.policy.path_names.contains(&view.text);
            self.secret_member(&view.text, by_path)
        });
        let name = name.flatten();
        match walk.text.get(at) {
            Some(b'"') => {
                let value = walk.string_at(at);
                if walk.is_cut(&value) {
                    return false;
                }
                self.string(walk, token, None);
                self.string(walk, &value, name.as_ref());
            }
            Some(b'[') if name.is_some() => {
                self.string(walk, token, None);
                walk.step(at + 1);
                walk.list = name;
                self.elements(walk);
            }
            _ if !walk.until.is_all && scalar_end(walk.text, at) == walk.text.len() => return false,
            _ => {
                self.string(walk, token, None);
                walk.step(at);
                if by_path {
                    self.scalar(walk, at..scalar_end(walk.text, at), name.as_ref());
                }
            }
        }
        true
    }

    /// The strings that stand themselves in a list of secrets, if there is one here, as far as it goes before the limit.
    fn elements(&mut self, walk: &mut Walk<'_>) {
        while let Some(name) = walk.list.take() {
            let at = after_space(walk.text, walk.at);
            match walk.text.get(at) {
                Some(b'"') => {
                    let element = walk.string_at(at);
                    if at > walk.until.limit || walk.is_cut(&element) {
                        walk.list = Some(name);
                        return walk.step(at);
                    }
                    self.string(walk, &element, Some(&name));
                }
                Some(b',') => walk.step(at + 1),
                Some(byte) if byte.is_ascii_alphanumeric() || *byte == b'-' => {
                    walk.step(scalar_end(walk.text, at).max(at + 1));
                }
                None if !walk.until.is_all => {
                    walk.list = Some(name);
                    return walk.step(at);
                }
                _ => return walk.step(at),
            }
            walk.list = Some(name);
        }
    }

    /// One string: a secret by its place, or a text in which there may be some.
    fn string(&mut self, walk: &mut Walk<'_>, token: &Token, name: Option<&Name>) {
        let quote = token.inside.start - 1;
        self.between(walk, quote);
        walk.step(token.end);
        if name.is_none() && !walk.is_candidate(token) {
            return;
        }
        let path = walk.located_at(quote);
        let view = View::new(&walk.text[token.inside.clone()], Coding::Json);
        if let Some(Located { name, .. }) = path {
            // What a path leads to is secret though it be empty.
            let form = form(&view.text);
            let with = (!inert::is_whole(&view.text)).then(|| self.stand_in(&view.text, &Name::new(&name), form));
            walk.splices.extend(with.map(|with| Splice { range: token.inside.clone(), with }));
            return;
        }
        let splices = match name {
            Some(name) => {
                let from = if is_credentials(name.as_str()) { after_scheme(&view.text, true) } else { 0 };
                let with = self.named(&view.text[from..], name, Form::Text);
                with.map(|with| Splice { range: from..view.text.len(), with }).into_iter().collect()
            }
            None => self.nested(&view.text, false, walk.depth + 1),
        };
        walk.splices.extend(view.written(splices, token.inside.start));
    }

    /// A number, a boolean or null that a path names.
    fn scalar(&mut self, walk: &mut Walk<'_>, range: Range<usize>, name: Option<&Name>) {
        let value = &walk.text[range.clone()];
        let Some(name) = name.filter(|_| !value.is_empty() && !inert::is_whole(value)) else { return };
        let with = if value.iter().any(u8::is_ascii_digit) {
            self.stand_in(value, name, Form::Number)
        } else {
            format!("\"{}\"", self.stand_in(value, name, Form::Text))
        };
        walk.splices.push(Splice { range, with });
    }

    /// What stands between strings: scalars that paths lead to, and, in what is no JSON, anything.
    fn between(&mut self, walk: &mut Walk<'_>, end: usize) {
        while let Some(Located { range, name }) = walk.located_before(end) {
            self.scalar(walk, range, Some(&Name::new(&name)));
        }
        let gap = &walk.text[walk.seen.min(end)..end];
        if !gap.iter().all(|byte| is_json_between(*byte)) {
            walk.broken = true;
            let at = walk.seen;
            let splices = self.unnamed(gap, false);
            walk.splices.extend(moved(splices, at));
        }
        walk.seen = end;
    }

    /// In a broken document quotes may pair up wrongly: its members are looked for once more, each by itself.
    fn broken(&mut self, text: &[u8], mut splices: Vec<Splice>) -> Vec<Splice> {
        let mut more = Vec::new();
        for hit in self.members(text) {
            let after = splices.partition_point(|splice| splice.range.end <= hit.range.start);
            if splices.get(after).is_none_or(|splice| hit.range.end <= splice.range.start) {
                let view = View::new(&text[hit.range.clone()], Coding::Json);
                let with = self.named(&view.text, &Name::new(&hit.name), Form::Text);
                more.extend(with.map(|with| Splice { range: hit.range, with }));
            }
        }
        splices.extend(more);
        splices.sort_by_key(|splice| splice.range.start);
        splices
    }

    /// Members of secret names in any text, each by itself.
    pub(super) fn members(&self, text: &[u8]) -> Vec<Hit> {
        let member = |found: Captures<'_>| {
            let (name, value) = (found.get(1)?, found.get(2)?);
            let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
            let is_secret = self.policy.json.contains(name.as_bytes());
            is_secret.then(|| Hit { range: value.range(), name: name.into(), form: Form::Text })
        };
        MEMBER.captures_iter(text).filter_map(member).collect()
    }
}

/// The form of a string that a JSON path leads to.
fn form(value: &[u8]) -> Form {
    let is_dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let is_uuid = value.len() == 36
        && value
            .iter()
            .enumerate()
            .all(|(at, byte)| if is_dash(at) { *byte == b'-' } else { byte.is_ascii_hexdigit() });
    // A word can be base64 by its letters: it takes all kinds of them to be taken for it.
    let has = |is: fn(&u8) -> bool| value.iter().any(is);
    let is_mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    let is_base64 = value.len() >= 16 && (is_mixed || value.ends_with(b"=")) && BASE64_STANDARD.decode(value).is_ok();
    match () {
        () if is_uuid => Form::Uuid,
        () if is_base64 => Form::Base64,
        () => Form::Text,
    }
}

/// Where a walk is.
struct Walk<'t> {
    text: &'t [u8],
    /// Other strings hold no secret, but as values of secret members.
    candidates: Candidates<'t>,
    at: usize,
    /// Up to where the text between strings was looked at.
    seen: usize,
    depth: u8,
    until: Until,
    /// What paths lead to, in order; `None` when only the names at their ends can tell.
    located: Option<std::iter::Peekable<std::vec::IntoIter<Located>>>,
    splices: Vec<Splice>,
    /// What the strings of the list are called that this is in, if they are secret.
    list: Option<Name>,
    settled: usize,
    broken: bool,
}

impl<'t> Walk<'t> {
    fn new(candidates: Candidates<'t>, text: &'t [u8], depth: u8, until: Until, located: Option<Vec<Located>>) -> Self {
        let located = located.map(|located| located.into_iter().peekable());
        let seen = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let depth = depth.min(DEEPEST);
        Walk {
            text,
            candidates,
            at: 0,
            seen,
            depth,
            until,
            located,
            splices: Vec::new(),
            list: None,
            settled: 0,
            broken: false,
        }
    }

    fn next_quote(&self) -> Option<usize> {
        Some(self.at + memchr::memchr(b'"', self.text.get(self.at..)?)?)
    }

    /// The string whose opening quote stands here.
    fn string_at(&self, quote: usize) -> Token {
        match string_end(self.text, quote + 1) {
            Some(end) => Token { inside: quote + 1..end, end: end + 1 },
            None => Token { inside: quote + 1..self.text.len(), end: self.text.len() },
        }
    }

    /// Whether a string, or whether it is a name, will only be told by what comes behind the text.
    fn is_cut(&self, token: &Token) -> bool {
        !self.until.is_all && after_space(self.text, token.end) == self.text.len()
    }

    /// Returns true if a string can hold a secret: once one was found, it may occur again.
    fn is_candidate(&mut self, token: &Token) -> bool {
        !self.splices.is_empty() || self.candidates.has(&(token.inside.start - 1..token.end))
    }

    /// Goes on behind something that was looked at.
    fn step(&mut self, at: usize) {
        self.at = at;
        self.seen = self.seen.max(at);
    }

    /// Leaves the rest for later.
    fn stop(&mut self, at: usize) {
        self.settled = at;
        self.splices.sort_by_key(|splice| splice.range.start);
    }

    fn located_at(&mut self, at: usize) -> Option<Located> {
        self.located.as_mut()?.next_if(|located| located.range.start == at)
    }

    fn located_before(&mut self, end: usize) -> Option<Located> {
        self.located.as_mut()?.next_if(|located| located.range.start < end)
    }
}

/// Whether a byte stands between the strings of JSON: white space, structure, numbers, the letters of the three words.
fn is_json_between(byte: u8) -> bool {
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

/// Whether a text is meant as JSON, whatever it is called.
pub(super) fn looks_like(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii();
    let opens = |c: &[u8]| matches!(c.first(), Some(b'{' | b'['));
    let is_inside = |text: &[u8]| opens(text) && matches!(text.last(), Some(b'}' | b']')) && !is_url(text);
    is_inside(text) && harproxy_json::is_valid(text)
}
