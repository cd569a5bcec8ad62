//! The differences of two multipart payloads, by the names of their parts.

use std::borrow::Cow;

use harproxy_http::MediaType;
use harproxy_http::multipart::{self, BodyPart};
use sha2::{Digest as _, Sha256};

use super::{MAX_DIFFERENCES, PayloadDiff, PayloadDiffKind, diff_bytes};
use crate::distance;
use crate::excerpt::common_prefix;
use crate::fields::{ListDifferences, compare_lists};
use crate::stream_digest::summarise;
use crate::text_pattern::TextPattern;
use crate::{BodyLocation, Difference, DifferenceKind, Location, PlaceholderValues};

/// Longer files are shown by length and digest, even if they are text.
const SHOWN_FILE_BYTES: usize = 4096;

/// Compares two multipart payloads. Returns `None` if one is not multipart, or all parts are equal.
pub(super) fn diff<'a>(left: &'a [u8], right: &'a [u8], types: &[MediaType; 2]) -> Option<PayloadDiff<'a>> {
    let parts = |bytes, media_type: &MediaType| {
        multipart::parts(bytes, media_type.parameter("boundary").filter(|_| media_type.is_multipart())?)
    };
    let (left, right) = (with_names(parts(left, &types[0])?), with_names(parts(right, &types[1])?));
    let total = left.len().max(right.len()) as u64;
    let mut differences = match compare_lists(&left, &right, are_same) {
        ListDifferences::Names(names) => {
            names.iter().flat_map(|one| diff_namesakes(&one.name, &one.left, &one.right)).collect()
        }
        ListDifferences::Order => {
            let names = |parts: &[(Cow<'_, str>, BodyPart<'_>)]| {
                let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_ref()).collect();
                Some(Cow::Owned(names.join(", ")))
            };
            let location = Location::RequestBody(BodyLocation::Whole);
            vec![Difference::new(location, names(&left), names(&right)).with_kind(DifferenceKind::Order)]
        }
        ListDifferences::None => return None,
    };
    let distance = distance::of_payloads(differences.len() as u64, total);
    differences.truncate(MAX_DIFFERENCES);
    Some(PayloadDiff { differences, kind: PayloadDiffKind::Other, distance, operation: None })
}

/// Adds the names of the parts. Parts without a name are numbered.
fn with_names(parts: Vec<BodyPart<'_>>) -> Vec<(Cow<'_, str>, BodyPart<'_>)> {
    let names: Vec<_> = (1..).zip(&parts).map(|(n, part)| part.name().unwrap_or_else(|| format!("part {n}"))).collect();
    names.into_iter().map(Cow::Owned).zip(parts).collect()
}

fn are_same(left: &BodyPart<'_>, right: &BodyPart<'_>) -> bool {
    left.headers == right.headers && have_same_content(left, right)
}

/// Returns true if the contents differ in nothing but placeholders of the right one.
fn have_same_content(left: &BodyPart<'_>, right: &BodyPart<'_>) -> bool {
    let pattern = || TextPattern::parse(right.header("content-type").unwrap_or_default(), right.body);
    left.body == right.body
        || pattern().is_some_and(|pattern| pattern.score(left.body, &PlaceholderValues::default()).is_some())
}

/// Returns the differences of the parts with one name, in order.
fn diff_namesakes<'a>(name: &str, left: &[BodyPart<'a>], right: &[BodyPart<'a>]) -> Vec<Difference<'a>> {
    let place = || BodyLocation::Field(name.to_owned());
    let pairs = (0..left.len().max(right.len())).map(|n| (left.get(n), right.get(n)));
    let differences = pairs.filter_map(|pair| match pair {
        (Some(a), Some(b)) if are_same(a, b) => None,
        (Some(a), Some(b)) if have_same_content(a, b) => Some(diff_bytes(place(), Some(a.headers), Some(b.headers))),
        (a, b) if a.into_iter().chain(b).any(is_file) => {
            let at = a.zip(b).map(|(a, b)| common_prefix(a.body, b.body));
            let [a, b] = [a, b].map(|part| part.map(|part| Cow::Owned(describe_file(part, at))));
            Some(Difference::new(Location::RequestBody(place()), a, b))
        }
        (a, b) => Some(diff_bytes(place(), a.map(|part| part.body), b.map(|part| part.body))),
    });
    differences.collect()
}

/// Returns true if a part is a file that is not a short text.
fn is_file(part: &BodyPart<'_>) -> bool {
    let disposition = part.header("content-disposition").map(MediaType::parse);
    let has_file_name = disposition.is_some_and(|disposition| disposition.parameter("filename").is_some());
    let is_short_text = part.body.len() <= SHOWN_FILE_BYTES && std::str::from_utf8(part.body).is_ok();
    has_file_name && !is_short_text
}

/// Describes a file: `1234 bytes (SHA-256 9f86d081…), from byte 12 on another`.
fn describe_file(part: &BodyPart<'_>, differs_from: Option<usize>) -> String {
    let digest = Sha256::digest(part.body).into();
    let from = differs_from.map_or_else(String::new, |at| format!(", from byte {at} on another"));
    format!("{}{from}", summarise(part.body.len() as u64, &digest))
}
