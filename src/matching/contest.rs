//! How the entries of a request's method and URL stand to it: which one wins, and what the others lack. It is what
//! `choice` decides by, told entry by entry, for people who ask why.

use super::choice::{self, Asked};
use super::matcher::Matcher;
use super::{Difference, EntryRef, Query, payload, score};

/// An entry that has the request's method and URL.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Where it is.
    pub at: EntryRef,
    /// Names of its headers that score because the request repeats them.
    pub repeated: Vec<String>,
    /// Names of its headers that would score if the request repeated them.
    pub lacking: Vec<String>,
    /// How it fares.
    pub fate: Fate,
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
        let Some(group) = self.group(query.method, query.url) else { return Vec::new() };
        let sent = score::Sent::new(query.headers);
        let payload = payload::Sent::new(query.headers, query.body);
        let asked = Asked { headers: query.headers, sent: &sent, payload: &payload, no_payload: &payload };
        let turns = self.turns(session).on_trial();
        let taken: Vec<bool> = group.candidates.iter().map(|candidate| turns.taken(candidate.ordinal)).collect();
        let winner = choice::choose(group, &asked, self.repeat, &turns, &[]);
        let winner = winner.map(|choice| choice.candidate);
        let best =
            winner.as_ref().ok().and_then(|winner| choice::rank(winner, &asked, &group.rules)).map(|(rank, _)| rank);

        let candidates = group.candidates.iter().zip(taken).map(|(candidate, taken)| {
            let admitted = choice::rank(candidate, &asked, &group.rules);
            let fate = match (admitted.map(|(rank, _)| rank), best) {
                _ if winner.as_ref().is_ok_and(|winner| winner.ordinal == candidate.ordinal) => {
                    Fate::Chosen { again: taken }
                }
                (None, _) => match &candidate.payload {
                    payload::Recorded::Unreadable(why) => Fate::Unreadable(why.clone()),
                    _ => Fate::Differs(self.differences(query, &payload, candidate.ordinal)),
                },
                (Some(rank), Some(best)) if rank.0 > best.0 => Fate::LastResort,
                (Some(rank), Some(best)) if rank.1 > best.1 => Fate::LaterFixture,
                (Some(_), _) if taken => Fate::Answered,
                (Some(rank), Some(best)) if !rank.2.0.0 && best.2.0.0 => Fate::OtherCondition,
                (Some(rank), Some(best)) if rank.2 > best.2 => Fate::LowerScore,
                (Some(_), _) => Fate::Waits,
            };
            let entry = self.fixtures[candidate.at.fixture].entry(candidate.at.entry);
            let names = entry.map(|entry| sent.names(&entry.request.headers, group.rules.score_all_headers));
            let (repeated, lacking) = names.unwrap_or_default();
            Contender { at: candidate.at, repeated, lacking, fate }
        });
        let mut contenders: Vec<Contender> = candidates.collect();
        for (at, why) in &group.unreadable {
            // An entry that can be read but for its payload is among the candidates.
            if !group.candidates.iter().any(|candidate| candidate.at == *at) {
                let fate = Fate::Unreadable(why.clone());
                contenders.push(Contender { at: *at, repeated: Vec::new(), lacking: Vec::new(), fate });
            }
        }
        contenders.sort_by_key(|contender| contender.at);
        contenders
    }
}
