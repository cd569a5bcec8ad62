//! The choice among the entries of a key: those that may answer, the best of them, and whose turn it is.

use std::cmp::Reverse;

use ::http::HeaderMap;

use super::candidate::{Candidate, Group, Rules};
use super::conditional::Standing;
use super::index::Ordinal;
use super::turns::Turns;
use super::{EntryRef, Repeat, payload, score};

/// A request, or what a redirect makes of it, as the choice sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a, 'p> {
    pub(super) headers: &'a HeaderMap,
    pub(super) sent: &'a score::Sent,
    pub(super) payload: &'a payload::Sent<'p>,
    /// What stands in its place once a redirect has dropped it.
    pub(super) no_payload: &'a payload::Sent<'p>,
}

/// The entry whose turn it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice<'a> {
    pub(super) candidate: &'a Candidate,
    /// What holds where it is.
    pub(super) rules: &'a Rules,
    pub(super) score: usize,
    /// What its status becomes, if that is not the recorded one.
    pub(super) status: Option<u16>,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoChoice {
    /// No entry has the key.
    NoEntry,
    /// `--repeat once`: all have answered.
    UsedUp,
    /// Those that are there have been passed on the way.
    Passed,
    /// One that might have been it can't be read.
    Unreadable(EntryRef, String),
}

/// A candidate that admits the request. The order is that of preference: the best standing, the first fixture that has
/// one of it, the highest score; the turn decides among equals. (Redacted places that the client sent back as they stand
/// will rank before the score.)
#[derive(Debug)]
pub(super) struct Admitted<'a> {
    pub(super) rank: (Standing, usize, Reverse<usize>),
    candidate: &'a Candidate,
    status: Option<u16>,
}

/// Chooses, and takes the turn. `passed` are entries that a chain of redirects came through.
pub(super) fn choose<'a>(
    group: &'a Group,
    asked: &Asked<'_, '_>,
    repeat: Repeat,
    turns: &Turns,
    passed: &[Ordinal],
) -> Result<Choice<'a>, NoChoice> {
    let rules = &*group.rules;
    let candidates = group.with_payload(asked.payload, &rules.comparison);
    let mut admitted: Vec<_> = candidates.filter_map(|candidate| admit(candidate, asked, rules)).collect();
    admitted.sort_by_key(|a| (a.rank, a.candidate.ordinal));
    let Some((standing, fixture, _)) = admitted.first().map(|best| best.rank) else {
        let unreadable = group.unreadable.first().cloned();
        return Err(unreadable.map_or(NoChoice::NoEntry, |(at, why)| NoChoice::Unreadable(at, why)));
    };
    // What has been passed or used up opens the door neither to a lesser standing nor to another fixture.
    admitted.retain(|a| (a.rank.0, a.rank.1) == (standing, fixture));
    admitted.retain(|a| !passed.contains(&a.candidate.ordinal));
    if admitted.is_empty() {
        return Err(NoChoice::Passed);
    }
    let chosen = match repeat {
        Repeat::First => 0,
        Repeat::Sequence => in_sequence(&admitted, turns),
        Repeat::Once => once(&admitted, turns)?,
    };
    turns.take(admitted[chosen].candidate.ordinal);
    let Admitted { rank: (_, _, Reverse(score)), candidate, status } = admitted.swap_remove(chosen);
    Ok(Choice { candidate, rules, score, status })
}

/// Whether the candidate's payload, required headers and condition are the request's, and how it ranks.
pub(super) fn admit<'a>(candidate: &'a Candidate, asked: &Asked<'_, '_>, rules: &Rules) -> Option<Admitted<'a>> {
    let (standing, status) = candidate.condition.admits(asked.headers)?;
    let required = rules.match_headers.iter().zip(&candidate.required);
    let equal = required.into_iter().all(|(name, recorded)| same_values(asked.headers, name, recorded));
    (equal && asked.payload.equals(&candidate.payload, &rules.comparison)).then(|| Admitted {
        rank: (standing, candidate.at.fixture, Reverse(asked.sent.score(&candidate.headers))),
        candidate,
        status,
    })
}

/// `--match-header`: values are compared without case; a header that one side lacks is a mismatch.
pub(super) fn same_values(headers: &HeaderMap, name: &str, recorded: &[bytes::Bytes]) -> bool {
    let mut sent = headers.get_all(name).iter();
    recorded.iter().all(|value| sent.next().is_some_and(|sent| sent.as_bytes().eq_ignore_ascii_case(value)))
        && sent.next().is_none()
}

/// Among the best: the first not served yet; when all have been, the last again.
fn in_sequence(admitted: &[Admitted<'_>], turns: &Turns) -> usize {
    let equals = admitted.iter().take_while(|a| a.rank == admitted[0].rank).count();
    (0..equals).find(|&n| turns.take(admitted[n].candidate.ordinal)).unwrap_or(equals - 1)
}

/// The best that has not been served.
fn once(admitted: &[Admitted<'_>], turns: &Turns) -> Result<usize, NoChoice> {
    (0..admitted.len()).find(|&n| turns.take(admitted[n].candidate.ordinal)).ok_or(NoChoice::UsedUp)
}
