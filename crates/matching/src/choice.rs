//! The choice of an entry: ranks the candidates of a request, and takes the next one of the best in sequence.

use std::cmp::Reverse;
use std::sync::Arc;

use ::http::HeaderMap;
use harproxy_compare::PlaceholderScore;

use super::candidate::{Candidate, CandidateClass, Group};
use super::conditional::ResponseClass;
use super::guess::{self, Guess};
use super::ignored::IgnoredParts;
use super::index::Ordinal;
use super::key::Rules;
use super::live_request::LiveRequest;
use super::required_value::RequiredValue;
use super::session::{SequenceState, SessionRank};
use super::{MissKind, Repeat};
use harproxy_har::Fixture;

#[derive(Clone, Debug)]
pub(super) struct Choice<'a> {
    pub(super) candidate: &'a Candidate,
    /// The rules of its group.
    pub(super) rules: &'a Rules,
    pub(super) score: usize,
    /// The status to serve, if it is not the recorded one.
    pub(super) status: Option<u16>,
    /// Set if the choice is ambiguous.
    pub(super) guess: Option<Box<Guess>>,
    /// The relation of the entry to the session of the request.
    pub(super) session: SessionRank,
    /// Whether the entry is from an earlier part of the recording than the one that the session was served before, and
    /// a later entry with another response fits as well.
    pub(super) is_out_of_sequence: bool,
}

/// The rank of a candidate. The least rank is the best; the order of the fields is the order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) class: ResponseClass,
    /// The number of redacted places with the placeholder, or the configured value for it, in the request.
    pub(super) confirmed: Reverse<usize>,
    /// The number of redacted places with a value in the request that is known to be another one.
    pub(super) contradicted: usize,
    /// Whether request and entry differ in an ignored part.
    pub(super) differs: bool,
    pub(super) session: SessionRank,
    /// The number of ignored parts in which request and entry differ. A payload of which not all was kept counts, too.
    pub(super) ignored: usize,
    /// The number of its fixture. Earlier fixtures are preferred.
    pub(super) fixture: usize,
    /// The number of redacted places in URL and payload with an unknown value in the request. An entry without
    /// placeholders is preferred to one that fits any value.
    pub(super) unknown: usize,
    /// Whether the recorded request has the same condition: range or validators.
    pub(super) same_condition: Reverse<bool>,
    /// The number of headers that select a representation in which request and entry differ.
    pub(super) headers: usize,
    /// The number of headers with credentials that only one of request and entry has.
    pub(super) credentials: usize,
    /// The number of recorded header fields that the request repeats.
    pub(super) score: Reverse<usize>,
}

/// A class of candidates that fits the request. The sequence decides among its members.
#[derive(Clone, Copy, Debug)]
struct RankedClass<'a> {
    rank: Rank,
    class: CandidateClass<'a>,
    rules: &'a Rules,
    status: Option<u16>,
}

/// Chooses a candidate and advances the sequence. `passed` are the entries of the redirect chain, which are not chosen
/// again: if there is no other candidate, the error is [`MissKind::RedirectLoop`].
pub(super) fn choose<'a>(
    groups: &[&'a Group],
    request: &LiveRequest<'_, '_>,
    repeat: Repeat,
    sequence: &SequenceState,
    passed: &[Ordinal],
    fixtures: &[Arc<Fixture>],
) -> Result<Choice<'a>, MissKind> {
    let rank_group = |group: &&'a Group| {
        let (group, rules) = (*group, &*group.rules);
        let ignored = ignored_parts(group, request);
        group.with_payload(request.payload, &rules.body).into_iter().filter_map(move |class| {
            let (rank, status) = rank(class.first(), request, rules, &ignored)?;
            Some(RankedClass { rank, class, rules, status })
        })
    };
    let mut ranked: Vec<_> = groups.iter().flat_map(rank_group).collect();
    ranked.sort_by_key(|one| one.rank);
    let Some(best @ Rank { class, fixture, .. }) = ranked.first().map(|best| best.rank) else {
        let unreadable = groups.iter().find_map(|group| group.unreadable.first().cloned());
        return Err(unreadable.map_or(MissKind::NoEntry, |(at, why)| MissKind::Unreadable(at, why)));
    };
    // If the best candidates are passed or used up, those of another response class, fixture or session do not replace
    // them. The same holds for candidates that differ in an ignored part, if the best ones agree, and for known other
    // secrets.
    let may_replace = |rank: &Rank| {
        (rank.class, rank.fixture, rank.session) == (class, fixture, best.session)
            && rank.contradicted <= best.contradicted
            && (best.ignored > 0 || rank.ignored == 0)
    };
    ranked.retain(|one| may_replace(&one.rank) && one.left(passed).next().is_some());
    let looped = || MissKind::RedirectLoop(Vec::new());
    let last_served = sequence.last();
    let mut equals = ranked.chunk_by(|a, b| a.rank == b.rank);
    let best = equals.next().ok_or_else(looped)?;
    let (chosen, best) = match repeat {
        Repeat::First => {
            let first = earliest(best, |candidate| !passed.contains(&candidate.ordinal));
            let chosen = first.ok_or_else(looped)?;
            sequence.serve(chosen.candidate.ordinal);
            (chosen, best)
        }
        Repeat::Sequence => (next(best, sequence, passed).or_else(|| last(best, passed)).ok_or_else(looped)?, best),
        Repeat::Once => std::iter::once(best)
            .chain(equals)
            .find_map(|equals| Some((next(equals, sequence, passed)?, equals)))
            .ok_or(MissKind::UsedUp)?,
    };
    let guess = best.first().and_then(|first| guess_of(&chosen, first, best, &ranked, request, &fixtures[fixture]));
    let is_out_of_sequence =
        last_served.is_some_and(|last| skips_later(chosen.candidate, best, last, passed, &fixtures[fixture]));
    Ok(Choice { guess, is_out_of_sequence, ..chosen })
}

/// Returns true if the chosen candidate is before the entry `last_served`, and an equally good one with another
/// response is behind it.
fn skips_later(
    chosen: &Candidate,
    best: &[RankedClass<'_>],
    last_served: Ordinal,
    passed: &[Ordinal],
    fixture: &Fixture,
) -> bool {
    let later = || {
        let all = best.iter().flat_map(|one| one.left(passed));
        all.filter(|one| one.ordinal > last_served).min_by_key(|one| one.ordinal)
    };
    chosen.ordinal < last_served && later().is_some_and(|later| later.response(fixture) != chosen.response(fixture))
}

/// Finds out whether the choice is a guess. `first` is one of the `best` classes, which rank equally among all
/// `ranked`.
fn guess_of(
    chosen: &Choice<'_>,
    first: &RankedClass<'_>,
    best: &[RankedClass<'_>],
    ranked: &[RankedClass<'_>],
    request: &LiveRequest<'_, '_>,
    fixture: &Fixture,
) -> Option<Box<Guess>> {
    let (candidate, body) = (chosen.candidate, &chosen.rules.body);
    let others = |is_alike: fn(Rank) -> Rank| {
        let alike = ranked.iter().filter(move |one| is_alike(one.rank) == is_alike(first.rank));
        alike.map(|one| one.class).filter(|class| !class.contains(candidate))
    };
    // A header that happens to be equal does not make a wrong part right.
    let by_ignored = || {
        let sent = IgnoredParts::of_request(request.url, request.payload, body);
        guess::by_ignored(candidate, others(Rank::without_ignored), &sent, body.mode, fixture)
    };
    let by_placeholders = || {
        let others = best.iter().map(|one| one.class).filter(|class| !class.contains(candidate));
        guess::by_placeholders(candidate, others, request, body, fixture)
    };
    let by_headers = || guess::by_headers(candidate, others(Rank::without_headers), &request.headers.ranked, fixture);
    let guess = (first.rank.ignored > 0).then(by_ignored).flatten();
    let guess = guess.or_else(|| if best.len() > 1 { by_placeholders() } else { None });
    guess.or_else(|| if first.rank.headers > 0 { by_headers() } else { None })
}

/// Returns the ignored parts of a request by the rules of a group; empty if the group does not compare them.
pub(super) fn ignored_parts(group: &Group, request: &LiveRequest<'_, '_>) -> IgnoredParts {
    match group.has_ignored {
        true => IgnoredParts::of_request(request.url, request.payload, &group.rules.body),
        false => IgnoredParts::default(),
    }
}

impl Rank {
    /// Returns the rank as if the headers of requests did not count.
    fn without_headers(self) -> Self {
        Rank { headers: 0, credentials: 0, score: Reverse(0), ..self }
    }

    /// Returns the rank as if neither ignored parts nor what ranks after them counted.
    fn without_ignored(self) -> Self {
        Rank { differs: false, ignored: 0, unknown: 0, same_condition: Reverse(false), ..self.without_headers() }
    }
}

impl<'a> RankedClass<'a> {
    /// Returns the candidates that are not in the redirect chain, in order.
    fn left(&self, passed: &[Ordinal]) -> impl DoubleEndedIterator<Item = &'a Candidate> {
        self.class.iter().filter(move |candidate| !passed.contains(&candidate.ordinal))
    }

    fn choice(&self, candidate: &'a Candidate) -> Choice<'a> {
        let (rules, status, Rank { score, session, .. }) = (self.rules, self.status, self.rank);
        Choice { candidate, rules, score: score.0, status, guess: None, session, is_out_of_sequence: false }
    }
}

/// Returns the first candidate in the order of entries that `is` accepts.
fn earliest<'a>(equals: &[RankedClass<'a>], is: impl Fn(&Candidate) -> bool) -> Option<Choice<'a>> {
    let firsts = equals.iter().filter_map(|one| Some(one.choice(one.class.iter().find(|candidate| is(candidate))?)));
    firsts.min_by_key(|choice| choice.candidate.ordinal)
}

/// Returns the first candidate that was not served yet, and marks it as served.
fn next<'a>(equals: &[RankedClass<'a>], sequence: &SequenceState, passed: &[Ordinal]) -> Option<Choice<'a>> {
    loop {
        let next = earliest(equals, |c| !sequence.was_served(c.ordinal) && !passed.contains(&c.ordinal))?;
        // A concurrent request may have taken it.
        if sequence.serve(next.candidate.ordinal) {
            return Some(next);
        }
    }
}

/// Returns the last candidate, which is repeated after all were served.
fn last<'a>(equals: &[RankedClass<'a>], passed: &[Ordinal]) -> Option<Choice<'a>> {
    let lasts = equals.iter().filter_map(|one| Some(one.choice(one.left(passed).next_back()?)));
    lasts.max_by_key(|choice| choice.candidate.ordinal)
}

/// Ranks a candidate. The second value is the status to serve, if it is not the recorded one. Returns `None` if
/// payload, required headers, condition, or a URL with placeholders do not fit.
/// `ignored` are the ignored parts of the request.
pub(super) fn rank(
    candidate: &Candidate,
    request: &LiveRequest<'_, '_>,
    rules: &Rules,
    ignored: &IgnoredParts,
) -> Option<(Rank, Option<u16>)> {
    let admission = candidate.condition.admits(request.payload.headers())?;
    let recorded = candidate.required.iter().map(Vec::as_slice).chain(std::iter::repeat(&[][..]));
    let mut required = rules.match_headers.iter().zip(recorded);
    if !required.all(|(name, recorded)| same_values(request.payload.headers(), name, recorded)) {
        return None;
    }
    let (score, unknown) = placeholder_score(candidate, request, rules)?;
    let differences = candidate.ignored.differences(ignored).count()
        + usize::from(candidate.payload.is_partial(request.payload, &rules.body));
    let rank = Rank {
        class: admission.class,
        fixture: candidate.at.fixture,
        confirmed: Reverse(score.confirmed),
        contradicted: score.contradicted,
        differs: differences > 0,
        session: SessionRank::new(candidate.session.as_deref(), request.test),
        ignored: differences,
        unknown,
        same_condition: Reverse(admission.same_condition),
        headers: request.headers.ranked.differences(&candidate.ranked_headers).count(),
        credentials: request.headers.credentials.differences(&candidate.credentials),
        score: Reverse(request.headers.fields.score(&candidate.headers)),
    };
    Some((rank, admission.status))
}

/// Scores the redacted places of a candidate. The second value counts those in URL and payload with an unknown value.
/// Returns `None` if URL or payload do not fit.
pub(super) fn placeholder_score(
    candidate: &Candidate,
    request: &LiveRequest<'_, '_>,
    rules: &Rules,
) -> Option<(PlaceholderScore, usize)> {
    let mut score = candidate.payload.score(request.payload, &rules.body, &rules.values)?;
    if let Some(url) = request.url {
        score.add(candidate.places.score(url, &rules.values)?);
    }
    let unknown = score.unknown;
    score.add(candidate.places.score_ignored(request.url, request.payload.headers(), &rules.values));
    Some((score, unknown))
}

/// Compares the values of a header of the match key, ignoring case. A header that only one side
/// has is a difference.
pub(super) fn same_values(headers: &HeaderMap, name: &str, recorded: &[RequiredValue]) -> bool {
    let mut sent = headers.get_all(name).iter();
    recorded.iter().all(|value| sent.next().is_some_and(|sent| value.fits(sent.as_bytes()))) && sent.next().is_none()
}
