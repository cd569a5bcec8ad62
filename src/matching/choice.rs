//! The choice among the entries of a key: those that may answer, the best of them, and whose turn it is.

use std::cmp::Reverse;

use ::http::HeaderMap;

use super::candidate::{Alike, Candidate, Group, Rules};
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

/// How well a candidate fits, the best first: its standing, then the first fixture that has one of it, then the highest
/// likeness. (Redacted places that the client sent back as they stand will rank before it.)
pub(super) type Rank = (Standing, usize, Reverse<Likeness>);

/// How like the request that was recorded is: on the same condition (what is validated, which part is asked for), then the score.
type Likeness = (bool, usize);

/// Candidates that admit the request, alike in everything: the turn decides among them.
#[derive(Clone, Copy, Debug)]
struct Admitted<'a> {
    rank: Rank,
    alike: Alike<'a>,
    rules: &'a Rules,
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
    let alike = group.with_payload(asked.payload, &rules.comparison);
    let mut admitted: Vec<_> = alike.into_iter().filter_map(|alike| admit(alike, asked, rules)).collect();
    admitted.sort_by_key(|a| a.rank);
    let Some((standing, fixture, _)) = admitted.first().map(|best| best.rank) else {
        let unreadable = group.unreadable.first().cloned();
        return Err(unreadable.map_or(NoChoice::NoEntry, |(at, why)| NoChoice::Unreadable(at, why)));
    };
    // What has been passed or used up opens the door neither to a lesser standing nor to another fixture.
    admitted.retain(|a| (a.rank.0, a.rank.1) == (standing, fixture) && a.left(passed).next().is_some());
    let mut equals = admitted.chunk_by(|a, b| a.rank == b.rank);
    let best = equals.next().ok_or(NoChoice::Passed)?;
    match repeat {
        Repeat::First => {
            let first = earliest(best, |candidate| !passed.contains(&candidate.ordinal));
            let chosen = first.ok_or(NoChoice::Passed)?;
            turns.take(chosen.candidate.ordinal);
            Ok(chosen)
        }
        Repeat::Sequence => next(best, turns, passed).or_else(|| last(best, passed)).ok_or(NoChoice::Passed),
        Repeat::Once => {
            next(best, turns, passed).or_else(|| equals.find_map(|e| next(e, turns, passed))).ok_or(NoChoice::UsedUp)
        }
    }
}

impl<'a> Admitted<'a> {
    /// Those that have not been passed, in order.
    fn left(&self, passed: &[Ordinal]) -> impl DoubleEndedIterator<Item = &'a Candidate> {
        self.alike.iter().filter(move |candidate| !passed.contains(&candidate.ordinal))
    }

    fn choice(&self, candidate: &'a Candidate) -> Choice<'a> {
        Choice { candidate, rules: self.rules, score: self.rank.2.0.1, status: self.status }
    }
}

/// The first in file order of which this is true.
fn earliest<'a>(equals: &[Admitted<'a>], is: impl Fn(&Candidate) -> bool) -> Option<Choice<'a>> {
    let firsts = equals.iter().filter_map(|a| Some(a.choice(a.alike.iter().find(|candidate| is(candidate))?)));
    firsts.min_by_key(|choice| choice.candidate.ordinal)
}

/// The first not served yet; its turn is taken.
fn next<'a>(equals: &[Admitted<'a>], turns: &Turns, passed: &[Ordinal]) -> Option<Choice<'a>> {
    loop {
        let next = earliest(equals, |c| !turns.taken(c.ordinal) && !passed.contains(&c.ordinal))?;
        // Another request may have been faster.
        if turns.take(next.candidate.ordinal) {
            return Some(next);
        }
    }
}

/// The last, which answers again when all have been served.
fn last<'a>(equals: &[Admitted<'a>], passed: &[Ordinal]) -> Option<Choice<'a>> {
    let lasts = equals.iter().filter_map(|a| Some(a.choice(a.left(passed).next_back()?)));
    lasts.max_by_key(|choice| choice.candidate.ordinal)
}

/// What admits the first of them admits all.
fn admit<'a>(alike: Alike<'a>, asked: &Asked<'_, '_>, rules: &'a Rules) -> Option<Admitted<'a>> {
    let (rank, status) = rank(alike.first(), asked, rules)?;
    Some(Admitted { rank, alike, rules, status })
}

/// Whether the candidate's payload, required headers and condition are the request's; how it ranks, and what its status
/// becomes if that is not the recorded one.
pub(super) fn rank(candidate: &Candidate, asked: &Asked<'_, '_>, rules: &Rules) -> Option<(Rank, Option<u16>)> {
    let admission = candidate.condition.admits(asked.headers)?;
    let required = rules.match_headers.iter().zip(&candidate.required);
    let equal = required.into_iter().all(|(name, recorded)| same_values(asked.headers, name, recorded));
    let likeness = || Reverse((admission.same_condition, asked.sent.score(&candidate.headers)));
    (equal && asked.payload.equals(&candidate.payload, &rules.comparison))
        .then(|| ((admission.standing, candidate.at.fixture, likeness()), admission.status))
}

/// `--match-header`: values are compared without case; a header that one side lacks is a mismatch.
pub(super) fn same_values(headers: &HeaderMap, name: &str, recorded: &[bytes::Bytes]) -> bool {
    let mut sent = headers.get_all(name).iter();
    recorded.iter().all(|value| sent.next().is_some_and(|sent| sent.as_bytes().eq_ignore_ascii_case(value)))
        && sent.next().is_none()
}
