//! Forms and multipart payloads beside each other, by the names of their fields and parts.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use super::super::super::pattern::Pattern;
use super::super::super::template::Values;
use super::super::super::{Difference, What, digested};
use super::super::compare::difference;
use super::super::cost;
use super::super::excerpt::common;
use super::super::fields::{self, Fields, Raw};
use super::{Found, Nature, SHOWN, apart, unequal};
use harproxy_http::MediaType;
use harproxy_http::multipart::{self, Part};

/// Which form fields differ; `None` when none does but by its spelling.
pub(super) fn of_forms(a: &[u8], b: &[u8]) -> Option<Found> {
    let [a, b] = [a, b].map(String::from_utf8_lossy);
    let sent: Vec<Raw<'_>> = fields::raw(&a).collect();
    let recorded = fields::filled(&sent, &fields::raw(&b).collect::<Vec<_>>());
    let total = sent.len().max(recorded.len()) as u64;
    let same = |a: &&str, b: &&str| fields::decoded(a).1 == fields::decoded(b).1;
    match fields::compare(&sent, &recorded, same) {
        Fields::Same => None,
        Fields::Order => {
            let differences = vec![difference(What::Body, "", Some(&a), Some(&b))];
            Some(Found { differences, nature: Nature::Other, cost: cost::SPELLING })
        }
        Fields::Unlike(unlike) => {
            let told = unlike.iter().take(SHOWN).map(|unlike| {
                let [sent, recorded] = fields::shown(unlike);
                difference(What::Body, &unlike.name, sent.as_deref(), recorded.as_deref())
            });
            let apart = apart(unlike.iter().map(|unlike| u64::from(fields::distance(unlike))).sum(), total * 11);
            Some(Found { differences: told.collect(), nature: Nature::Other, cost: apart })
        }
    }
}

/// Which parts differ; `None` when the payloads are not both multipart, or differ in none.
pub(super) fn of_parts(a: &[u8], b: &[u8], types: &[MediaType; 2]) -> Option<Found> {
    let parts = |bytes, media_type: &MediaType| {
        multipart::parts(bytes, media_type.parameter("boundary").filter(|_| media_type.is_multipart())?)
    };
    let (a, b) = (named(parts(a, &types[0])?), named(parts(b, &types[1])?));
    let total = a.len().max(b.len()) as u64;
    let differences = match fields::compare(&a, &b, are_same) {
        Fields::Unlike(unlike) => {
            unlike.iter().flat_map(|unlike| of_part(&unlike.name, &unlike.sent, &unlike.recorded)).collect()
        }
        Fields::Order => {
            let names = |parts: &[(Cow<'_, str>, Part<'_>)]| {
                parts.iter().map(|(name, _)| name.as_ref()).collect::<Vec<_>>().join(", ")
            };
            vec![difference(What::Body, "", Some(&names(&a)), Some(&names(&b)))]
        }
        Fields::Same => return None,
    };
    let cost = apart(differences.len() as u64, total);
    Some(Found { differences: differences.into_iter().take(SHOWN).collect(), nature: Nature::Other, cost })
}

/// The parts with their names; those of what is no form have none and are counted.
fn named(parts: Vec<Part<'_>>) -> Vec<(Cow<'_, str>, Part<'_>)> {
    let names: Vec<_> = (1..).zip(&parts).map(|(n, part)| part.name().unwrap_or_else(|| format!("part {n}"))).collect();
    names.into_iter().map(Cow::Owned).zip(parts).collect()
}

fn are_same(a: &Part<'_>, b: &Part<'_>) -> bool {
    a.headers == b.headers && is_same_content(a, b)
}

/// Whether the contents are equal, placeholders aside.
fn is_same_content(a: &Part<'_>, b: &Part<'_>) -> bool {
    let pattern = || Pattern::of(b.header("content-type").unwrap_or_default(), b.body);
    a.body == b.body || pattern().is_some_and(|pattern| pattern.fits(a.body, &Values::default()).is_some())
}

/// The differences of the parts of one name, place by place.
fn of_part(name: &str, sent: &[Part<'_>], recorded: &[Part<'_>]) -> Vec<Difference> {
    let pairs = (0..sent.len().max(recorded.len())).map(|n| (sent.get(n), recorded.get(n)));
    let told = pairs.filter_map(|pair| match pair {
        (Some(a), Some(b)) if are_same(a, b) => None,
        (Some(a), Some(b)) if is_same_content(a, b) => Some(unequal(name, Some(a.headers), Some(b.headers))),
        (a, b) if a.into_iter().chain(b).any(is_file) => {
            let at = a.zip(b).map(|(a, b)| common(a.body, b.body));
            let [a, b] = [a, b].map(|part| part.map(|part| file(part, at)));
            Some(difference(What::Body, name, a.as_deref(), b.as_deref()))
        }
        (a, b) => Some(unequal(name, a.map(|part| part.body), b.map(|part| part.body))),
    });
    told.collect()
}

/// Whether a part is a file: its content says less than its size and digest.
fn is_file(part: &Part<'_>) -> bool {
    let disposition = part.header("content-disposition").map(MediaType::parse);
    let is_named = disposition.is_some_and(|disposition| disposition.parameter("filename").is_some());
    let is_short_text = part.body.len() <= SHORT && std::str::from_utf8(part.body).is_ok();
    is_named && !is_short_text
}

/// A file that is text is shown if it has no more bytes than this.
const SHORT: usize = 4096;

/// `1234 bytes (SHA-256 9f86d081…), from byte 12 on another`.
fn file(part: &Part<'_>, at: Option<usize>) -> String {
    let digest = Sha256::digest(part.body).into();
    let from = at.map_or_else(String::new, |at| format!(", from byte {at} on another"));
    format!("{}{from}", digested::in_words(part.body.len() as u64, &digest))
}
