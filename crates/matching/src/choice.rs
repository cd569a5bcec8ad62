//! The choice among the entries of a key: those that may answer, the best of them, and whose turn it is.

use std::cmp::Reverse;
use std::sync::Arc;

use ::http::HeaderMap;
use harproxy_compare::{PlaceholderScore, SentPayload};

use super::candidate::{Alike, Candidate, Group, Required, Rules};
use super::conditional::ResponseClass;
use super::guess::guess;
use super::index::Ordinal;
use super::key::View;
use super::session::SequenceState;
use super::{EntryRef, Guess, Repeat, score};
use harproxy_har::Fixture;

/// A request, or what a redirect makes of it, as the choice sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a, 'p> {
    /// Its URL, where entries have placeholders in theirs.
    pub(super) url: Option<&'a View<'a, 'a>>,
    pub(super) headers: &'a HeaderMap,
    pub(super) sent: &'a score::Sent,
    pub(super) payload: &'a SentPayload<'p>,
    /// What stands in its place once a redirect has dropped it.
    pub(super) no_payload: &'a SentPayload<'p>,
}

/// The entry whose turn it is.
#[derive(Clone, Debug)]
pub(super) struct Choice<'a> {
    pub(super) candidate: &'a Candidate,
    /// What holds where it is.
    pub(super) rules: &'a Rules,
    pub(super) score: usize,
    /// What its status becomes, if that is not the recorded one.
    pub(super) status: Option<u16>,
    /// Set when another might as well have been chosen.
    pub(super) guess: Option<Box<Guess>>,
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

/// How well a candidate fits, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) class: ResponseClass,
    /// Candidates come from the first fixture that has one.
    pub(super) fixture: usize,
    /// Redacted places whose placeholder the client sent back, or the value that is given for it.
    pub(super) back: Reverse<usize>,
    /// Those in which it sent what is known to be something else.
    pub(super) other: usize,
    /// Those of its key in which it sent whatever it be: an entry that says what was sent is nearer than one that says anything.
    pub(super) open: usize,
    /// On the same condition as the recorded request (what is validated, which part is asked for).
    pub(super) condition: Reverse<bool>,
    pub(super) score: Reverse<usize>,
}

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
    groups: &[&'a Group],
    asked: &Asked<'_, '_>,
    repeat: Repeat,
    turns: &SequenceState,
    passed: &[Ordinal],
    fixtures: &[Arc<Fixture>],
) -> Result<Choice<'a>, NoChoice> {
    let alike = |group: &&'a Group| {
        let (group, rules) = (*group, &*group.rules);
        let alike = group.with_payload(asked.payload, &rules.body).into_iter();
        alike.filter_map(move |alike| admit(alike, asked, rules))
    };
    let mut admitted: Vec<_> = groups.iter().flat_map(alike).collect();
    admitted.sort_by_key(|a| a.rank);
    let Some(Rank { class, fixture, .. }) = admitted.first().map(|best| best.rank) else {
        let unreadable = groups.iter().find_map(|group| group.unreadable.first().cloned());
        return Err(unreadable.map_or(NoChoice::NoEntry, |(at, why)| NoChoice::Unreadable(at, why)));
    };
    // What has been passed or used up opens the door neither to a lesser standing nor to another fixture.
    admitted.retain(|a| a.is_of(class, fixture) && a.left(passed).next().is_some());
    let mut equals = admitted.chunk_by(|a, b| a.rank == b.rank);
    let best = equals.next().ok_or(NoChoice::Passed)?;
    let (chosen, best) = match repeat {
        Repeat::First => {
            let first = earliest(best, |candidate| !passed.contains(&candidate.ordinal));
            let chosen = first.ok_or(NoChoice::Passed)?;
            turns.serve(chosen.candidate.ordinal);
            (chosen, best)
        }
        Repeat::Sequence => (next(best, turns, passed).or_else(|| last(best, passed)).ok_or(NoChoice::Passed)?, best),
        Repeat::Once => std::iter::once(best)
            .chain(equals)
            .find_map(|equals| Some((next(equals, turns, passed)?, equals)))
            .ok_or(NoChoice::UsedUp)?,
    };
    let others = best.iter().map(|a| a.alike).filter(|alike| !alike.has(chosen.candidate));
    let guess = if best.len() > 1 { guess(chosen.candidate, others, &fixtures[fixture]) } else { None };
    Ok(Choice { guess, ..chosen })
}

impl<'a> Admitted<'a> {
    /// Those that have not been passed, in order.
    fn left(&self, passed: &[Ordinal]) -> impl DoubleEndedIterator<Item = &'a Candidate> {
        self.alike.iter().filter(move |candidate| !passed.contains(&candidate.ordinal))
    }

    fn is_of(&self, class: ResponseClass, fixture: usize) -> bool {
        (self.rank.class, self.rank.fixture) == (class, fixture)
    }

    fn choice(&self, candidate: &'a Candidate) -> Choice<'a> {
        Choice { candidate, rules: self.rules, score: self.rank.score.0, status: self.status, guess: None }
    }
}

/// The first in file order of which this is true.
fn earliest<'a>(equals: &[Admitted<'a>], is: impl Fn(&Candidate) -> bool) -> Option<Choice<'a>> {
    let firsts = equals.iter().filter_map(|a| Some(a.choice(a.alike.iter().find(|candidate| is(candidate))?)));
    firsts.min_by_key(|choice| choice.candidate.ordinal)
}

/// The first not served yet; its turn is taken.
fn next<'a>(equals: &[Admitted<'a>], turns: &SequenceState, passed: &[Ordinal]) -> Option<Choice<'a>> {
    loop {
        let next = earliest(equals, |c| !turns.was_served(c.ordinal) && !passed.contains(&c.ordinal))?;
        // Another request may have been faster.
        if turns.serve(next.candidate.ordinal) {
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

/// Whether the candidate's payload, required headers and condition are the request's, and its URL where it has placeholders;
/// how it ranks, and what its status becomes if that is not the recorded one.
pub(super) fn rank(candidate: &Candidate, asked: &Asked<'_, '_>, rules: &Rules) -> Option<(Rank, Option<u16>)> {
    let admission = candidate.condition.admits(asked.headers)?;
    let required = rules.match_headers.iter().zip(&candidate.required);
    if !required.into_iter().all(|(name, recorded)| same_values(asked.headers, name, recorded)) {
        return None;
    }
    let (score, open) = placeholder_score(candidate, asked, rules)?;
    let rank = Rank {
        class: admission.class,
        fixture: candidate.at.fixture,
        back: Reverse(score.confirmed),
        other: score.contradicted,
        open,
        condition: Reverse(admission.same_condition),
        score: Reverse(asked.sent.score(&candidate.headers)),
    };
    Some((rank, admission.status))
}

/// Scores the redacted places of a candidate, and counts those of its key without a known value. Returns `None` if URL or
/// payload don't fit.
pub(super) fn placeholder_score(
    candidate: &Candidate,
    asked: &Asked<'_, '_>,
    rules: &Rules,
) -> Option<(PlaceholderScore, usize)> {
    let mut score = candidate.payload.score(asked.payload, &rules.body, &rules.values)?;
    let Some(places) = &candidate.places else { return Some((score, score.unknown)) };
    if let Some(url) = asked.url {
        score.add(places.0.score(url, &rules.values)?);
    }
    let open = score.unknown;
    if let Some(url) = asked.url {
        score.add(places.0.score_ignored(url, &rules.values));
    }
    score.add(places.1.score(asked.headers, &rules.values));
    Some((score, open))
}

/// `--match-header`: values are compared without case; a header that one side lacks is a mismatch.
pub(super) fn same_values(headers: &HeaderMap, name: &str, recorded: &[Required]) -> bool {
    let mut sent = headers.get_all(name).iter();
    recorded.iter().all(|value| sent.next().is_some_and(|sent| value.fits(sent.as_bytes()))) && sent.next().is_none()
}
