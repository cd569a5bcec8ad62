//! Finds the recorded URL that a request with a misspelt path may mean.

use harproxy_compare::distance::{folded, similarity};
use harproxy_http::url::{Parts, normal};

use super::super::{Difference, Query, RequestPart};
use super::compare::ComparedEntry;
use crate::matcher::Matcher;

/// The least similarity of two segments of which one may be a misspelling of the other, in hundredths.
const LEAST_SIMILARITY: u32 = 60;

impl Matcher {
    /// Returns method and URL of the nearest entry if the request differs from it only in the spelling of its path.
    pub(super) fn did_you_mean(&self, query: &Query<'_>, nearest: &ComparedEntry) -> Option<String> {
        let is_path = |difference: &Difference| difference.part == RequestPart::Path;
        if nearest.near.differences.is_empty() || !nearest.near.differences.iter().all(is_path) {
            return None;
        }
        let head = self.head(nearest.rank.ordinal)?;
        let recorded = normal(head.url)?;
        let [sent, kept] = [Parts::of(query.url.as_str()), Parts::of(&recorded)].map(|parts| {
            let segments = parts.segments().filter(|segment| !segment.is_empty());
            segments.map(folded).collect::<Vec<_>>()
        });
        let is_similar = sent.len() == kept.len() && sent.iter().zip(&kept).all(|(sent, kept)| is_typo(sent, kept));
        is_similar.then(|| format!("{} {recorded}", head.method))
    }
}

/// Returns true if two segments are equal, or may be spellings of one word. Numbers and numbered names are ids.
fn is_typo(sent: &str, kept: &str) -> bool {
    let letters = |segment: &str| segment.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    sent == kept || (letters(sent) != letters(kept) && similarity(sent.as_bytes(), kept.as_bytes()) >= LEAST_SIMILARITY)
}
