//! How the entries of a request's method and URL stand to it: which one wins, and what the others lack. It is what
//! `choice` decides by, told entry by entry, for people who ask why.

use harproxy_compare::{RecordedPayload, SentPayload};

use super::choice::{self, Asked};
use super::matcher::Matcher;
use super::{Difference, EntryRef, Query, score};

/// An entry that has the request's method and URL.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Where it is.
    pub at: EntryRef,
    /// Names of its headers that score because the request repeats them.
    pub repeated: Vec<String>,
    /// Names of its headers that would score if the request repeated them.
    pub lacking: Vec<String>,
    /// What the request has in the places of its placeholders.
    pub placeholders: Placeholders,
    /// How it fares.
    pub fate: Fate,
}

/// The placeholders of an entry's request that told it from others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placeholders {
    /// Those that were sent back, or whose given value was sent.
    pub back: usize,
    /// How many there are, where URL and payload fit.
    pub of: usize,
}

/// How an entry fares against the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is chosen; `again` when it answered before.
    Chosen { again: bool },
    /// As good as the chosen one; its turn comes later.
    Waits,
    /// As good or better, and it has had its turn.
    Answered,
    /// It may answer; one that was recorded on the request's own condition (the same validator, the same range) is preferred.
    OtherCondition,
    /// It may answer; the client's secrets are more another's.
    OtherSecrets,
    /// It may answer anything in a redacted place; another says what was sent.
    LessExact,
    /// It may answer; one that repeats more headers is preferred.
    LowerScore,
    /// It may answer; an earlier fixture is preferred.
    LaterFixture,
    /// It may answer when nothing better is there: a failure, or a 304 that nobody asked to be validated.
    LastResort,
    /// It may not answer this request.
    Differs(Vec<Difference>),
    /// It can't be read; in words.
    Unreadable(String),
}

impl Matcher {
    /// How the entries of the request's method and URL stand to it now, in order; none when no entry has both. No turn is
    /// taken.
    #[must_use]
    pub fn contenders(&self, query: &Query<'_>, session: Option<&str>) -> Vec<Contender> {
        let groups = self.groups(&self.find(query.method, query.url));
        let seen = self.seen(query.url, &groups);
        let sent = score::Sent::new(query.headers);
        let payload = SentPayload::new(query.headers, query.body);
        let (url, headers) = (seen.as_ref(), query.headers);
        let asked = Asked { url, headers, sent: &sent, payload: &payload, no_payload: &payload };
        let turns = self.turns(session).dry_run();
        let candidates = || groups.all().iter().flat_map(|group| group.candidates.iter().map(move |one| (one, *group)));
        let taken: Vec<bool> = candidates().map(|(candidate, _)| turns.was_served(candidate.ordinal)).collect();
        let winner = choice::choose(groups.all(), &asked, self.repeat, &turns, &[], &self.fixtures);
        let best = winner.as_ref().ok().and_then(|winner| choice::rank(winner.candidate, &asked, winner.rules));
        let best = best.map(|(rank, _)| rank);
        let winner = winner.map(|choice| choice.candidate);

        let told = candidates().zip(taken).map(|((candidate, group), taken)| {
            let admitted = choice::rank(candidate, &asked, &group.rules);
            let fate = match (admitted.map(|(rank, _)| rank), best) {
                _ if winner.as_ref().is_ok_and(|winner| winner.ordinal == candidate.ordinal) => {
                    Fate::Chosen { again: taken }
                }
                (None, _) => match &candidate.payload {
                    RecordedPayload::Unreadable(why) => Fate::Unreadable(why.clone()),
                    _ => Fate::Differs(self.differences(query, &payload, candidate.ordinal)),
                },
                (Some(rank), Some(best)) if rank.class > best.class => Fate::LastResort,
                (Some(rank), Some(best)) if rank.fixture > best.fixture => Fate::LaterFixture,
                (Some(_), _) if taken => Fate::Answered,
                (Some(rank), Some(best)) if (rank.back, rank.other) > (best.back, best.other) => Fate::OtherSecrets,
                (Some(rank), Some(best)) if rank.open > best.open => Fate::LessExact,
                (Some(rank), Some(best)) if rank.condition > best.condition => Fate::OtherCondition,
                (Some(rank), Some(best)) if rank.score > best.score => Fate::LowerScore,
                (Some(_), _) => Fate::Waits,
            };
            let entry = self.fixtures[candidate.at.fixture].entry(candidate.at.entry);
            let names = entry.map(|entry| sent.names(&entry.request.headers, group.rules.score_all_headers));
            let (repeated, lacking) = names.unwrap_or_default();
            let score =
                choice::placeholder_score(candidate, &asked, &group.rules).map(|(score, _)| score).unwrap_or_default();
            let placeholders = Placeholders { back: score.confirmed, of: score.places() };
            Contender { at: candidate.at, repeated, lacking, placeholders, fate }
        });
        let mut contenders: Vec<Contender> = told.collect();
        for (at, why) in groups.all().iter().flat_map(|group| &group.unreadable) {
            // An entry that can be read but for its payload is among the candidates.
            if !contenders.iter().any(|contender| contender.at == *at) {
                let (repeated, lacking, placeholders) = Default::default();
                contenders.push(Contender {
                    at: *at,
                    repeated,
                    lacking,
                    placeholders,
                    fate: Fate::Unreadable(why.clone()),
                });
            }
        }
        contenders.sort_by_key(|contender| contender.at);
        contenders
    }
}
