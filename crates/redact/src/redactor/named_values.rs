//! Values that another value of JSON names: `{"name": "password", "value": "…"}`, `["Authorization", "…"]`.

use super::decoded::{DecodedText, TextEncoding};
use super::json::{JsonWalk, NamedValue};
use super::{Redactor, SecretName};
use crate::find::prefilter::NAME_MEMBERS;
use crate::names::{NameClass, NameLocation};
use crate::splice::Splice;
use harproxy_json::scan::{StringSpan, skip_space};

/// The members with the value of an object that has a name and a value, such as a header or a form field.
const VALUE_MEMBERS: [&[u8]; 1] = [b"value"];

impl Redactor<'_> {
    /// Handles `{"name": "password", "value": "…"}`, in either order. Sets the name of a secret value. Returns the
    /// splices of a value that stands before its name.
    pub(super) fn walk_named_value(
        &mut self,
        walk: &mut JsonWalk<'_, '_>,
        member: &StringSpan,
        value: &StringSpan,
        secret_name: &mut Option<SecretName>,
    ) -> Vec<Splice> {
        let member_name = &walk.text[member.inside.clone()];
        if VALUE_MEMBERS.contains(&member_name) {
            let name = walk.named.take().filter(|named| is_same_object(walk.text, named.end, member));
            match name.and_then(|named| named.name) {
                Some(name) if secret_name.is_none() => *secret_name = Some(name),
                _ => walk.named = Some(NamedValue { name: None, value: value.clone(), end: value.end }),
            }
        } else if NAME_MEMBERS.contains(&member_name) && walk.is_candidate(value) {
            let text = DecodedText::new(&walk.text[value.inside.clone()], TextEncoding::Json);
            let Some(name) = self.secret_named_value(&text.text) else { return Vec::new() };
            let earlier =
                walk.named.take().filter(|named| named.name.is_none() && is_same_object(walk.text, named.end, member));
            let Some(NamedValue { value: earlier, .. }) = earlier else {
                walk.named = Some(NamedValue { name: Some(name), value: value.clone(), end: value.end });
                return Vec::new();
            };
            let decoded = DecodedText::new(&walk.text[earlier.inside.clone()], TextEncoding::Json);
            if !name.applies_to(&decoded.text) {
                return Vec::new();
            }
            while walk.splices.pop_if(|last| last.range.end > earlier.inside.start).is_some() {}
            let splices = self.member_splice(&decoded.text, &name.placeholder);
            return decoded.encode_splices(splices, earlier.inside.start).collect();
        }
        Vec::new()
    }

    /// Returns the name if a value beside it can be secret, as that of a member or a header.
    fn secret_named_value(&self, name: &[u8]) -> Option<SecretName> {
        let header = self.secret_name(NameLocation::Header, name);
        let is_strict = header.as_ref().is_some_and(|header| header.class == NameClass::Secret);
        if is_strict { header } else { self.secret_name(NameLocation::Member, name).or(header) }
    }

    /// Returns name and value of `["Authorization", "…"]` in a list of such pairs.
    pub(super) fn header_in_list(
        &self,
        walk: &mut JsonWalk<'_, '_>,
        first: &StringSpan,
    ) -> Option<(SecretName, StringSpan)> {
        let text = walk.text;
        let before = text[..first.inside.start - 1].trim_ascii_end().strip_suffix(b"[")?;
        matches!(before.trim_ascii_end().last(), None | Some(b'[' | b',')).then_some(())?;
        let comma = skip_space(text, first.end);
        let quote = skip_space(text, comma + 1);
        (text.get(comma) == Some(&b',') && text.get(quote) == Some(&b'"') && walk.is_candidate(first)).then_some(())?;
        let value = StringSpan::at(text, quote);
        (text.get(skip_space(text, value.end)) == Some(&b']')).then_some(())?;
        let name = DecodedText::new(&text[first.inside.clone()], TextEncoding::Json);
        Some((self.secret_name(NameLocation::Header, &name.text)?, value))
    }
}

/// Returns true if no brace stands between `end` and a member.
fn is_same_object(text: &[u8], end: usize, member: &StringSpan) -> bool {
    memchr::memchr2(b'{', b'}', &text[end..member.inside.start]).is_none()
}
