//! Redaction of JSON. Only the bytes of secret strings and scalars change.
//!
//! The walk looks at strings and at the text between them. A string with a colon behind it is a member name. The walk
//! needs no valid document, so it also serves documents that are cut off, windows of a stream, and lines of events. It
//! has no recursion, and it handles members with equal names one by one.

use std::borrow::Cow;
use std::iter::Peekable;
use std::ops::Range;
use std::sync::LazyLock;
use std::vec::IntoIter;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use regex::bytes::Regex;

use super::decoded::{DecodedText, TextEncoding};
use super::headers::{after_scheme, has_scheme};
use super::text::find_members;
use super::url::is_url;
use super::{MAX_DEPTH, Redactor, SecretName};
use crate::find::prefilter::{Candidates, last_item};
use crate::find::{SecretMatch, compile_regex, is_redacted};
use crate::names::{NameClass, NameLocation, RecentNames};
use crate::replace::placeholder::{PlaceholderName, ValueFormat};
use crate::splice::Splice;
use harproxy_json::scan::{BYTE_ORDER_MARK, StringSpan, is_between_strings, is_space, scalar_end, skip_space};
use harproxy_json::{LocatedScalar, locate};

/// A member with a string value, found without regard to the quotes before it.
static MEMBER: LazyLock<Regex> =
    LazyLock::new(|| compile_regex(r#""([^"\\\s]{1,64})"\s{0,64}:\s{0,64}"((?:[^"\\]|\\[\x00-\xff])+)"#));

impl<'p> Redactor<'p> {
    fn candidates<'t>(&mut self, text: &'t [u8]) -> Candidates<'p, 't> {
        let known = self.replacer.find_known(text);
        Candidates::find(self.policy, text, known)
    }
}

impl Redactor<'_> {
    pub(super) fn json_splices(&mut self, text: &[u8], depth: u8) -> Vec<Splice> {
        let mut candidates = self.candidates(text);
        if candidates.is_empty() {
            return Vec::new();
        }
        let mut walk = JsonWalk::new(text, candidates, None);
        walk.depth = depth.min(MAX_DEPTH);
        walk.located = locate(text, &self.policy.paths).map(|located| located.into_iter().peekable());
        self.walk(&mut walk);
        if walk.is_malformed { self.add_members(text, walk.splices) } else { walk.splices }
    }

    /// Finds the secrets in a window of a JSON text. Returns the length of the part that is complete, too.
    ///
    /// `limit`: strings that begin behind it are left for the next window. `None` if nothing follows the text.
    ///
    /// `array`: the name of an array of secrets in which the window begins, then of one in which the part ends.
    pub(super) fn json_window_splices(
        &mut self,
        text: &[u8],
        limit: Option<usize>,
        array: &mut Option<SecretName>,
    ) -> (Vec<Splice>, usize) {
        let mut candidates = self.candidates(text);
        if candidates.is_empty()
            && array.is_none()
            && let Some(complete) = limit.and_then(|limit| last_item(text, limit))
        {
            return (Vec::new(), complete);
        }
        let mut walk = JsonWalk::new(text, candidates, limit);
        walk.array = array.take();
        let complete = self.walk(&mut walk);
        *array = walk.array;
        (walk.splices, complete)
    }

    /// Returns the name of a member whose values can be secret. `by_path`: a path that can't be followed ends with this
    /// name.
    pub(super) fn secret_member_name(&self, name: &[u8], by_path: bool) -> Option<SecretName> {
        if by_path {
            return Some(SecretName { class: NameClass::Secret, placeholder: PlaceholderName::from_bytes(name) });
        }
        self.secret_name(NameLocation::Member, name)
    }

    /// Returns a splice for the value of a secret member. A scheme before credentials is kept.
    pub(super) fn member_splice(&mut self, value: &[u8], name: &PlaceholderName) -> Vec<Splice> {
        let from = if has_scheme(name.as_str()) { after_scheme(value, true) } else { 0 };
        self.credentials_splice(value, from, name)
    }

    /// Finds members with a secret name in any text.
    pub(super) fn find_members(&self, text: &[u8]) -> Vec<SecretMatch> {
        find_members(self.policy, &MEMBER, text)
    }

    /// Finds the secrets of a text. Returns the length of the part that is complete.
    fn walk(&mut self, walk: &mut JsonWalk<'_, '_>) -> usize {
        while let Some(string) = walk.next_string() {
            let quote = string.inside.start - 1;
            walk.leave_array(quote);
            if walk.limit.is_some_and(|limit| quote > limit) || walk.may_go_on(&string) {
                return self.stop(walk, quote);
            }
            let colon = skip_space(walk.text, string.end);
            if let Some((name, value)) = self.header_in_list(walk, &string) {
                self.walk_string(walk, &string, None);
                self.walk_string(walk, &value, Some(&name));
            } else if walk.array.is_some() || walk.text.get(colon) != Some(&b':') {
                let array =
                    walk.array.clone().filter(|name| !name.stands_for_message(&walk.text[string.inside.clone()]));
                self.walk_string(walk, &string, array.as_ref());
            } else if !self.walk_member(walk, &string, skip_space(walk.text, colon + 1)) {
                return self.stop(walk, quote);
            }
        }
        let end = walk.text.len();
        walk.leave_array(end);
        let rest = &walk.text[walk.checked.min(end)..];
        let Some(limit) = walk.limit.filter(|_| !rest.iter().all(|byte| is_between_strings(*byte))) else {
            return self.stop(walk, end);
        };
        // The text is not JSON, and no string shows where it can be divided.
        let at = walk.checked;
        let limit = limit.saturating_sub(at);
        let (splices, complete) = self.partial_text_splices(rest, false, Some(limit), Vec::new());
        walk.splices.extend(splices.into_iter().map(|splice| splice.shifted(at)));
        walk.splices.sort_by_key(|splice| splice.range.start);
        at + complete
    }

    /// Ends the walk before `at`, and returns this position.
    fn stop(&mut self, walk: &mut JsonWalk<'_, '_>, at: usize) -> usize {
        self.walk_between(walk, at);
        walk.splices.sort_by_key(|splice| splice.range.start);
        at
    }

    /// Handles a member whose value begins at `at`. Returns false if the value may go on behind the text.
    fn walk_member(&mut self, walk: &mut JsonWalk<'_, '_>, name: &StringSpan, at: usize) -> bool {
        let mut by_path = false;
        let secret_name = walk.is_candidate(name).then(|| {
            let raw = &walk.text[name.inside.clone()];
            let decoded = DecodedText::new(raw, TextEncoding::Json);
            by_path = walk.located.is_none() && self.policy.path_names.contains(&decoded.text);
            match decoded.text {
                Cow::Borrowed(_) if !by_path => SecretName::new(walk.names.classify(self.policy, raw), raw),
                text => self.secret_member_name(&text, by_path),
            }
        });
        let mut secret_name = secret_name.flatten();
        match walk.text.get(at) {
            Some(b'"') => {
                let value = StringSpan::at(walk.text, at);
                if walk.may_go_on(&value) {
                    return false;
                }
                let earlier = self.walk_named_value(walk, name, &value, &mut secret_name);
                self.walk_string(walk, name, None);
                self.walk_string(walk, &value, secret_name.as_ref());
                walk.splices.extend(earlier);
            }
            Some(b'[') if secret_name.is_some() => {
                self.walk_string(walk, name, None);
                walk.advance(at + 1);
                walk.array = secret_name;
            }
            _ if walk.limit.is_some() && scalar_end(walk.text, at) == walk.text.len() => return false,
            _ => {
                self.walk_string(walk, name, None);
                walk.advance(at);
                if by_path {
                    let name = secret_name.map(|name| name.placeholder);
                    self.replace_scalar(walk, at..scalar_end(walk.text, at), name.as_ref());
                }
            }
        }
        true
    }

    /// Handles a string. `name`: it can be secret as a value of this member.
    fn walk_string(&mut self, walk: &mut JsonWalk<'_, '_>, string: &StringSpan, name: Option<&SecretName>) {
        let quote = string.inside.start - 1;
        self.walk_between(walk, quote);
        walk.advance(string.end);
        if name.is_none() && !walk.is_candidate(string) {
            return;
        }
        let located = walk.next_located(|start| start == quote);
        let decoded = DecodedText::new(&walk.text[string.inside.clone()], TextEncoding::Json);
        if let Some(LocatedScalar { name, .. }) = located {
            // A path selects empty values, too.
            if !is_redacted(&decoded.text) {
                let name = PlaceholderName::new(&name);
                let with = self.replace_secret(&decoded.text, &name, format_of(&decoded.text));
                walk.splices.push(Splice { range: string.inside.clone(), with });
            }
            return;
        }
        let splices = match name.filter(|name| name.applies_to(&decoded.text)) {
            Some(name) => self.member_splice(&decoded.text, &name.placeholder),
            None => self.nested_splices(&decoded.text, false, walk.depth + 1),
        };
        walk.splices.extend(decoded.encode_splices(splices, string.inside.start));
    }

    /// Replaces a number, a boolean or null that a path selects.
    fn replace_scalar(&mut self, walk: &mut JsonWalk<'_, '_>, range: Range<usize>, name: Option<&PlaceholderName>) {
        let value = &walk.text[range.clone()];
        let Some(name) = name.filter(|_| !value.is_empty() && !is_redacted(value)) else { return };
        let with = if value.iter().any(u8::is_ascii_digit) {
            self.replace_secret(value, name, ValueFormat::Number)
        } else {
            format!("\"{}\"", self.replace_secret(value, name, ValueFormat::Text))
        };
        walk.splices.push(Splice { range, with });
    }

    /// Handles the text between strings up to `end`: scalars that paths select, and any text if it is not JSON.
    fn walk_between(&mut self, walk: &mut JsonWalk<'_, '_>, end: usize) {
        while let Some(LocatedScalar { range, name }) = walk.next_located(|start| start < end) {
            self.replace_scalar(walk, range, Some(&PlaceholderName::new(&name)));
        }
        let at = walk.checked;
        let between = &walk.text[at.min(end)..end];
        if !between.iter().all(|byte| is_between_strings(*byte)) {
            walk.is_malformed = true;
            let splices = self.text_splices(between, false);
            walk.splices.extend(splices.into_iter().map(|splice| splice.shifted(at)));
        }
        walk.checked = end;
    }

    /// Adds the secret members of a malformed document, in which the walk may have paired quotes wrongly.
    fn add_members(&mut self, text: &[u8], mut splices: Vec<Splice>) -> Vec<Splice> {
        let mut more = Vec::new();
        for found in self.find_members(text) {
            let after = splices.partition_point(|splice| splice.range.end <= found.range.start);
            if splices.get(after).is_none_or(|splice| found.range.end <= splice.range.start) {
                let decoded = DecodedText::new(&text[found.range.clone()], TextEncoding::Json);
                let with = self.replace_value(&decoded.text, &PlaceholderName::new(&found.name));
                more.extend(with.map(|with| Splice { range: found.range, with }));
            }
        }
        splices.extend(more);
        splices.sort_by_key(|splice| splice.range.start);
        splices
    }
}

/// Returns the format of a string that a path selects.
fn format_of(value: &[u8]) -> ValueFormat {
    let is_dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let is_uuid = value.len() == 36
        && value
            .iter()
            .enumerate()
            .all(|(at, byte)| if is_dash(at) { *byte == b'-' } else { byte.is_ascii_hexdigit() });
    // A word consists of base64 characters, too. Base64 has all kinds of them, or padding.
    let has = |is: fn(&u8) -> bool| value.iter().any(is);
    let is_mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    let is_base64 = value.len() >= 16 && (is_mixed || value.ends_with(b"=")) && BASE64_STANDARD.decode(value).is_ok();
    match () {
        () if is_uuid => ValueFormat::Uuid,
        () if is_base64 => ValueFormat::Base64,
        () => ValueFormat::Text,
    }
}

/// The first of the two members that name a value.
pub(super) struct NamedValue {
    /// The name, if it can be secret and comes first.
    pub(super) name: Option<SecretName>,
    /// The value, if it comes first.
    pub(super) value: StringSpan,
    pub(super) end: usize,
}

pub(super) struct JsonWalk<'p, 't> {
    pub(super) text: &'t [u8],
    /// The strings that can hold a secret although they are not values of secret members.
    candidates: Candidates<'p, 't>,
    at: usize,
    /// The position up to which the text between strings was checked.
    checked: usize,
    depth: u8,
    /// The position behind which strings are left for the next window. `None` if nothing follows the text.
    limit: Option<usize>,
    /// The scalars that paths select, in order. `None` if the paths can't be followed.
    located: Option<Peekable<IntoIter<LocatedScalar>>>,
    pub(super) splices: Vec<Splice>,
    /// The name of the array of secrets at the current position.
    array: Option<SecretName>,
    /// The last member with a secret name as its value, or with a value without a name.
    pub(super) named: Option<NamedValue>,
    /// The text is not JSON.
    is_malformed: bool,
    names: RecentNames<'t>,
}

impl<'p, 't> JsonWalk<'p, 't> {
    fn new(text: &'t [u8], candidates: Candidates<'p, 't>, limit: Option<usize>) -> Self {
        JsonWalk {
            text,
            candidates,
            at: 0,
            checked: if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 },
            depth: 0,
            limit,
            located: None,
            splices: Vec::new(),
            array: None,
            named: None,
            is_malformed: false,
            names: RecentNames::default(),
        }
    }

    fn next_string(&self) -> Option<StringSpan> {
        let quote = self.at + memchr::memchr(b'"', self.text.get(self.at..)?)?;
        Some(StringSpan::at(self.text, quote))
    }

    /// Leaves the array of secrets if anything but commas and scalars stands between the current position and `end`.
    fn leave_array(&mut self, end: usize) {
        let is_within = |byte: &u8| is_space(*byte) || byte.is_ascii_alphanumeric() || b",+-._".contains(byte);
        self.array.take_if(|_| !self.text[self.at.min(end)..end].iter().all(is_within));
    }

    /// Returns true if a string may go on behind the text, or if a colon may follow there.
    fn may_go_on(&self, string: &StringSpan) -> bool {
        self.limit.is_some() && skip_space(self.text, string.end) == self.text.len()
    }

    /// Returns true if a string can hold a secret. Each secret that was found before can occur again.
    pub(super) fn is_candidate(&mut self, string: &StringSpan) -> bool {
        !self.splices.is_empty() || self.candidates.contain(&(string.inside.start - 1..string.end))
    }

    fn advance(&mut self, at: usize) {
        self.at = at;
        self.checked = self.checked.max(at);
    }

    /// Returns the next scalar that a path selects, if `is_wanted` is true for its start.
    fn next_located(&mut self, is_wanted: impl Fn(usize) -> bool) -> Option<LocatedScalar> {
        self.located.as_mut()?.next_if(|located| is_wanted(located.range.start))
    }
}

/// Returns true if a text is a JSON object or array, whatever its `Content-Type`.
pub(super) fn is_document(text: &[u8]) -> bool {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii();
    let is_bracketed =
        matches!(text.first(), Some(b'{' | b'[')) && matches!(text.last(), Some(b'}' | b']')) && !is_url(text);
    is_bracketed && harproxy_json::is_valid(text)
}
