//! Answers requests: chooses an entry, and follows its redirects inside the recording.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use harproxy_compare::SentPayload;
use harproxy_har::Entry;
use harproxy_http::NormalUrl;
use harproxy_http::problem::in_words;
use harproxy_http::url::{Parts, normal};

use super::candidate::Candidate;
use super::choice::{self, Choice};
use super::conditional::Condition;
use super::echo::EchoSource;
use super::index::Ordinal;
use super::live_request::{LiveHeaders, LiveRequest};
use super::matcher::{Lookup, Matcher};
use super::session::{SequenceState, SessionRank};
use super::{
    Chosen, EchoedValue, EntryRef, Guess, Miss, MissKind, Outcome, Query, Redirects, RequestSession, SameHost,
    redirects,
};

impl Matcher {
    /// Answers a request, and advances the sequence of `session`.
    pub fn answer<'s>(&self, query: &Query<'_>, session: impl Into<RequestSession<'s>>) -> Outcome {
        let lookup = self.find(query.method, query.url);
        let outcome = self.choose_found(&lookup, &query.payload, session.into());
        outcome.unwrap_or_else(|kind| Outcome::Miss(Box::new(self.explain(query, kind))))
    }

    /// Answers a request as [`Matcher::answer`] does, and advances no sequence.
    pub fn answer_dry_run(&self, query: &Query<'_>, session: RequestSession<'_>) -> Outcome {
        let sequence = self.sequence(session.sequence).dry_run();
        let outcome = self.choose_by(&self.find(query.method, query.url), &query.payload, session, &sequence);
        outcome.unwrap_or_else(|kind| Outcome::Miss(Box::new(self.explain(query, kind))))
    }

    /// Chooses among the candidates of a lookup, and advances the sequence of `session`.
    ///
    /// # Errors
    /// The kind of the miss. [`Matcher::explain_found`] explains it.
    pub fn choose_found(
        &self,
        lookup: &Lookup<'_>,
        payload: &SentPayload<'_>,
        session: RequestSession<'_>,
    ) -> Result<Outcome, MissKind> {
        self.choose_by(lookup, payload, session, &self.sequence(session.sequence))
    }

    fn choose_by(
        &self,
        lookup: &Lookup<'_>,
        payload: &SentPayload<'_>,
        session: RequestSession<'_>,
        sequence: &SequenceState,
    ) -> Result<Outcome, MissKind> {
        let headers = LiveHeaders::new(payload.headers(), self.redaction.policy());
        let request = LiveRequest { url: None, headers: &headers, payload, test: session.test };
        let choice = self.choose(lookup, &request, sequence, &[])?;
        let recorded = Some(&choice.candidate.credentials).filter(|_| headers.credentials.is_empty());
        let missing_credentials = recorded.map(|recorded| recorded.names().map(str::to_owned).collect());
        let target = Target { method: lookup.method.into(), url: Cow::Borrowed(lookup.url) };
        let navigation = payload.headers().get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
        let outcome = self.follow(target, choice, &request, sequence, navigation)?;
        Ok(outcome.with_missing_credentials(missing_credentials.unwrap_or_default()))
    }

    /// Explains a miss of [`Matcher::choose_found`]. It compares the request with many entries, which takes a while.
    #[must_use]
    pub fn explain_found<'a>(&self, lookup: &Lookup<'a>, payload: SentPayload<'a>, kind: MissKind) -> Miss {
        self.explain(&Query { method: lookup.method, url: lookup.url, payload }, kind)
    }

    fn choose(
        &self,
        lookup: &Lookup<'_>,
        request: &LiveRequest<'_, '_>,
        sequence: &SequenceState,
        passed: &[Ordinal],
    ) -> Result<Choice<'_>, MissKind> {
        let groups = self.load(lookup);
        let url = self.open_url_view(lookup.url, &groups);
        let request = LiveRequest { url: url.as_ref(), ..*request };
        choice::choose(&groups, &request, self.options.repeat, sequence, passed, &self.fixtures)
    }

    /// Follows redirects from the first choice to the outcome for the client.
    fn follow<'s>(
        &'s self,
        mut target: Target<'s>,
        mut choice: Choice<'s>,
        request: &LiveRequest<'_, '_>,
        sequence: &SequenceState,
        navigation: bool,
    ) -> Result<Outcome, MissKind> {
        let no_payload = request.payload.without_body();
        let mut request = *request;
        let client_url = target.url.clone();
        let mut chain = RedirectChain::default();
        loop {
            let Candidate { at, status, .. } = *choice.candidate;
            chain.guess = chain.guess.or_else(|| choice.guess.take());
            chain.is_out_of_sequence |= choice.is_out_of_sequence;
            if choice.session == SessionRank::Other {
                chain.other_session =
                    chain.other_session.or_else(|| choice.candidate.session.as_deref().map(str::to_owned));
            }
            if !sequence.is_dry_run() {
                self.served.add(choice.candidate.ordinal);
            }
            chain.echoed = self.echoed(&target, &choice, &request)?;
            let Some(location) = choice.candidate.location.as_deref() else {
                return self.serve(&target, &choice, chain);
            };
            let next = redirects::redirected(status, &target.method, &target.url, location);
            let leads_to = next.as_ref().map_or(location, |next| next.url.as_str()).to_owned();
            let redirect = |chain| Outcome::Redirect(self.chosen(&target, &choice, chain, Some(leads_to)));
            let Some(next) = next.filter(|_| self.follows(&choice)) else { return Ok(redirect(chain)) };
            if navigation {
                // A browser follows the redirect itself. A dry run finds out whether it would end in a loop.
                let dry_run = self.follow(target.clone(), choice.clone(), &request, &sequence.dry_run(), false);
                return match dry_run {
                    Err(looped @ MissKind::RedirectLoop(_)) => Err(looped),
                    _ => Ok(redirect(chain)),
                };
            }
            if chain.passed.len() == redirects::MAX_HOPS {
                return Err(MissKind::TooManyHops);
            }
            chain.passed.push(choice.candidate.ordinal);
            if !next.payload {
                request.payload = &no_payload;
            }
            let next = Target { method: Cow::Owned(next.method), url: Cow::Owned(next.url) };
            match self.choose(&self.find(&next.method, &next.url), &request, sequence, &chain.passed) {
                Ok(found) => {
                    // A client stores the cookies of the final response for the host that it requested.
                    if target.url.parts().host() == client_url.parts().host() {
                        let set = self.entry(at)?;
                        chain.cookies.extend(set.response.headers.get_all("set-cookie").map(Bytes::copy_from_slice));
                    }
                    chain.hops.push(at);
                    (target, choice) = (next, found);
                }
                Err(MissKind::NoEntry) => return Ok(redirect(chain)),
                Err(MissKind::RedirectLoop(_)) => {
                    chain.hops.push(at);
                    return Err(MissKind::RedirectLoop(chain.hops));
                }
                Err(kind) => return Err(kind),
            }
        }
    }

    fn entry(&self, at: EntryRef) -> Result<Arc<Entry>, MissKind> {
        let entry = self.fixtures[at.fixture].entry(at.entry);
        entry.map_err(|error| MissKind::Unreadable(at, in_words(&error)))
    }

    /// Returns the values of the request that replace recorded ones in the response (`echo`).
    fn echoed(
        &self,
        target: &Target<'_>,
        choice: &Choice<'_>,
        request: &LiveRequest<'_, '_>,
    ) -> Result<Vec<EchoedValue>, MissKind> {
        let (echo, at) = (&choice.rules.echo, choice.candidate.at);
        if echo.is_empty() {
            return Ok(Vec::new());
        }
        let entry = self.entry(at)?;
        let Some(url) = normal(&entry.request.url) else { return Ok(Vec::new()) };
        let payload = || {
            let stored = self.fixtures[at.fixture].payload(at.entry, entry.request.post_data.as_ref()?);
            serde_json::from_slice(&stored.ok()?.bytes().ok()?).ok()
        };
        let recorded = EchoSource {
            url: &self.form.view(&url),
            headers: &|name| entry.request.headers.get_all(name).map(<[u8]>::to_vec).collect(),
            payload: &payload,
        };
        let live = EchoSource {
            url: &self.form.view(target.url.as_str()),
            headers: &|name| {
                request.payload.headers().get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect()
            },
            payload: &|| serde_json::from_slice(request.payload.decoded()).ok(),
        };
        Ok(EchoedValue::find(echo, &recorded, &live))
    }

    /// Returns true if the redirect is followed inside the recording.
    fn follows(&self, choice: &Choice<'_>) -> bool {
        match choice.rules.redirects {
            Redirects::Follow => true,
            Redirects::Serve => false,
            Redirects::Auto => !self.fixtures[choice.candidate.at.fixture].is_own(),
        }
    }

    /// Returns the outcome for an entry that is not a redirect.
    fn serve(&self, target: &Target<'_>, choice: &Choice<'_>, chain: RedirectChain) -> Result<Outcome, MissKind> {
        let at = choice.candidate.at;
        if choice.candidate.condition == Condition::Failure {
            return Ok(Outcome::Abort(self.chosen(target, choice, chain, None)));
        }
        choice.candidate.check_content(&self.fixtures[at.fixture], choice.rules)?;
        Ok(Outcome::Serve(self.chosen(target, choice, chain, None)))
    }

    fn chosen(
        &self,
        target: &Target<'_>,
        choice: &Choice<'_>,
        chain: RedirectChain,
        location: Option<String>,
    ) -> Chosen {
        let Candidate { at, ordinal, status, .. } = *choice.candidate;
        let recorded_status = u16::try_from(status).ok().filter(|_| harproxy_http::is_received_status(status));
        let same_host = (!self.form.hosts.is_empty()).then(|| self.url_of(ordinal)).flatten().and_then(|recorded| {
            let (recorded, asked) = (Parts::of(&recorded).site(), Parts::of(target.url.as_str()).site());
            (recorded != asked).then(|| SameHost { recorded: recorded.into_owned(), asked: asked.into_owned() })
        });
        Chosen {
            at,
            score: choice.score,
            followed: chain.hops,
            cookies: chain.cookies,
            status: choice.status.or(recorded_status).unwrap_or_default(),
            location,
            same_host,
            guess: chain.guess,
            echoed: chain.echoed,
            missing_credentials: Vec::new(),
            other_session: chain.other_session,
            is_out_of_sequence: chain.is_out_of_sequence,
        }
    }
}

/// The method and URL of the client's request, or of one that follows a redirect.
#[derive(Clone, Debug)]
struct Target<'a> {
    method: Cow<'a, str>,
    url: Cow<'a, NormalUrl>,
}

/// The redirects that were followed for one request.
#[derive(Debug, Default)]
struct RedirectChain {
    /// The entries of the chain. None of them answers again.
    passed: Vec<Ordinal>,
    hops: Vec<EntryRef>,
    /// The `Set-Cookie` values of the hops with the host of the client's request.
    cookies: Vec<Bytes>,
    /// The first ambiguous choice.
    guess: Option<Box<Guess>>,
    /// The echoed values of the last entry.
    echoed: Vec<EchoedValue>,
    /// The first entry's session that is not that of the request.
    other_session: Option<String>,
    is_out_of_sequence: bool,
}
