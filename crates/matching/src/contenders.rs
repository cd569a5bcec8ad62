//! Explains a choice (`harproxy explain`): for each entry of the request's method and URL, why it is chosen or not.

use harproxy_compare::{PlaceholderScore, RecordedPayload};

use super::candidate::Group;
use super::choice;
use super::live_request::{LiveHeaders, LiveRequest};
use super::matcher::Matcher;
use super::{Difference, EntryRef, Query, RequestSession};

/// An entry with the method and URL of a request.
#[derive(Clone, Debug)]
pub struct Contender {
    pub at: EntryRef,
    /// The names of its header fields that score because the request repeats them.
    pub repeated: Vec<String>,
    /// The names of its header fields that would score if the request repeated them.
    pub lacking: Vec<String>,
    /// How the request agrees with its placeholders.
    pub placeholders: PlaceholderScore,
    /// The reason why it is chosen or not.
    pub state: ContenderState,
}

/// The reason why an entry is chosen or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContenderState {
    /// It is chosen. `again` tells whether it was served before.
    Chosen {
        again: bool,
    },
    /// It ranks equally, and comes later in the sequence.
    Waits,
    /// It ranks equally or better, and was served already.
    Answered,
    /// The chosen entry was recorded under the same condition (range or validators).
    OtherCondition,
    /// The chosen entry agrees with more secrets of the request.
    OtherSecrets,
    /// It fits any value in a redacted place where the chosen entry has the value of the request.
    LessExact,
    /// The chosen entry agrees in more of the headers that select a representation, such as `Accept`.
    OtherHeaders,
    /// The chosen entry was recorded with the credentials that the request has, or without those that it lacks.
    OtherCredentials,
    /// The chosen entry has more header fields that the request repeats.
    LowerScore,
    /// The chosen entry agrees with more of the ignored parts.
    OtherIgnored,
    /// The chosen entry was recorded by the test of the request, or by none.
    OtherSession,
    /// The chosen entry is in an earlier fixture.
    LaterFixture,
    /// It is served only if there is no better response: a failure, or a 304 for a request without validators.
    LastResort,
    Differs(Vec<Difference>),
    Unreadable(String),
}

impl Matcher {
    /// Returns the entries with the method and URL of a request, in order. The sequence of the session does not
    /// advance.
    #[must_use]
    pub fn contenders(&self, query: &Query<'_>, session: RequestSession<'_>) -> Vec<Contender> {
        let groups = self.load(&self.find(query.method, query.url));
        let url = self.open_url_view(query.url, &groups);
        let headers = LiveHeaders::new(query.payload.headers(), self.redaction.policy());
        let request = LiveRequest { url: url.as_ref(), headers: &headers, payload: &query.payload, test: session.test };
        let sequence = self.sequence(session.sequence).dry_run();
        let candidates = || groups.iter().flat_map(|group| group.candidates.iter().map(move |one| (one, *group)));
        let served: Vec<bool> = candidates().map(|(candidate, _)| sequence.was_served(candidate.ordinal)).collect();
        let winner = choice::choose(&groups, &request, self.options.repeat, &sequence, &[], &self.fixtures).ok();
        let rank = |candidate, group: &Group| {
            let ignored = choice::ignored_parts(group, &request);
            choice::rank(candidate, &request, &group.rules, &ignored).map(|(rank, _)| rank)
        };
        let best = winner.as_ref().and_then(|winner| {
            let ordinal = winner.candidate.ordinal;
            let (candidate, group) = candidates().find(|(candidate, _)| candidate.ordinal == ordinal)?;
            rank(candidate, group)
        });

        let contenders = candidates().zip(served).map(|((candidate, group), served)| {
            let rank = rank(candidate, group);
            let is_winner = winner.as_ref().is_some_and(|winner| winner.candidate.ordinal == candidate.ordinal);
            let state = match (rank, best) {
                _ if is_winner => ContenderState::Chosen { again: served },
                (None, _) => match &candidate.payload {
                    RecordedPayload::Unreadable(why) => ContenderState::Unreadable(why.clone()),
                    _ => ContenderState::Differs(self.differences(query, candidate.ordinal)),
                },
                (Some(rank), Some(best)) => state_of(rank, best, served),
                (Some(_), None) if served => ContenderState::Answered,
                (Some(_), None) => ContenderState::Waits,
            };
            let entry = self.fixtures[candidate.at.fixture].entry(candidate.at.entry);
            let names = entry.map(|entry| headers.fields.names(&entry.request.headers, group.rules.score_all_headers));
            let (repeated, lacking) = names.unwrap_or_default();
            let placeholders = choice::placeholder_score(candidate, &request, &group.rules).unwrap_or_default().0;
            Contender { at: candidate.at, repeated, lacking, placeholders, state }
        });
        let mut contenders: Vec<Contender> = contenders.collect();
        for (at, why) in groups.iter().flat_map(|group| &group.unreadable) {
            // An entry whose payload cannot be read is a candidate.
            if !contenders.iter().any(|contender| contender.at == *at) {
                let (repeated, lacking, placeholders) = Default::default();
                let state = ContenderState::Unreadable(why.clone());
                contenders.push(Contender { at: *at, repeated, lacking, placeholders, state });
            }
        }
        contenders.sort_by_key(|contender| contender.at);
        contenders
    }
}

/// Returns the reason why a candidate is not chosen, by its rank and that of the chosen one.
fn state_of(rank: choice::Rank, best: choice::Rank, served: bool) -> ContenderState {
    match rank {
        _ if rank.class > best.class => ContenderState::LastResort,
        _ if rank.differs && !best.differs => ContenderState::OtherIgnored,
        _ if rank.session > best.session => ContenderState::OtherSession,
        _ if rank.ignored > best.ignored => ContenderState::OtherIgnored,
        _ if rank.fixture > best.fixture => ContenderState::LaterFixture,
        _ if served => ContenderState::Answered,
        _ if (rank.confirmed, rank.contradicted) > (best.confirmed, best.contradicted) => ContenderState::OtherSecrets,
        _ if rank.unknown > best.unknown => ContenderState::LessExact,
        _ if rank.same_condition > best.same_condition => ContenderState::OtherCondition,
        _ if rank.headers > best.headers => ContenderState::OtherHeaders,
        _ if rank.credentials > best.credentials => ContenderState::OtherCredentials,
        _ if rank.score > best.score => ContenderState::LowerScore,
        _ => ContenderState::Waits,
    }
}
