//! The matcher: fixtures, their index, and the way of a request through them.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use ::http::HeaderMap;
use bytes::Bytes;

use super::candidate::{Candidate, Content, Group, Rules};
use super::choice::{self, Asked, Choice, NoChoice};
use super::conditional::Condition;
use super::explain::Explainer;
use super::index::{Index, Ordinal};
use super::key::{KeyForm, View};
use super::policy::Policy;
use super::scope::Scope;
use super::turns::{Marks, Sessions, Turns};
use super::{
    Chosen, Echoed, EntryRef, Error, Guess, Miss, MissKind, Options, Outcome, Query, Redirects, Repeat, SameHost,
    echo as repeats, redirects, score,
};
use harproxy_compare::{DigestedPayload, PayloadDigester, RecordedPayload, SentPayload};
use harproxy_glob::Globs;
use harproxy_har::{Entry, EntryHead, Fixture};
use harproxy_http::NormalUrl;
use harproxy_http::problem::in_words;
use harproxy_http::url::{Parts, normal};

/// The fixtures of a run, indexed, and the turns of each session.
///
/// Many requests can ask at once; they wait for each other only while a key that nobody has asked for yet is looked into.
#[derive(Debug)]
pub struct Matcher {
    pub(super) fixtures: Vec<Arc<Fixture>>,
    pub(super) index: Index,
    /// How URLs are compared.
    pub(super) form: KeyForm,
    /// How the rest of the key is.
    policy: Policy,
    pub(super) scope: Scope,
    pub(super) repeat: Repeat,
    /// All that was asked for, to try what else could have been.
    pub(super) options: Options,
    /// By what the index numbers them; most of a long fixture is never asked for.
    pub(super) keys: Box<[OnceLock<Box<Group>>]>,
    pub(super) sessions: Sessions,
    pub(super) used: Marks,
    pub(super) explainer: Explainer,
    /// What is secret in what is told of requests.
    pub(super) telling: Arc<harproxy_redact::Policy>,
}

impl Matcher {
    /// Indexes the fixtures. `scope` (`-g`) replaces the scope of all of them.
    ///
    /// # Errors
    /// When an option, or the scope that a fixture holds, is malformed.
    pub fn new(fixtures: Vec<Arc<Fixture>>, scope: Option<Globs>, options: Options) -> Result<Self, Error> {
        let form = KeyForm::new(&options.ignore_query, &options.same_host, &options.rules)?;
        let policy = Policy::new(&options)?;
        let scope = Scope::new(scope, &fixtures, &form)?;
        let index = Index::new(&fixtures, &form);
        Ok(Matcher {
            keys: (0..index.groups()).map(|_| OnceLock::new()).collect(),
            sessions: Sessions::new(index.entries().len()),
            used: Marks::new(index.entries().len()),
            explainer: Explainer::default(),
            telling: Arc::default(),
            repeat: options.repeat,
            options,
            fixtures,
            index,
            form,
            policy,
            scope,
        })
    }

    /// With another policy than the table alone for what is told of requests.
    #[must_use]
    pub fn telling(self, policy: Arc<harproxy_redact::Policy>) -> Self {
        Matcher { telling: policy, ..self }
    }

    /// A URL as it may be told: without its secrets.
    #[must_use]
    pub fn told<'u>(&self, url: &'u NormalUrl) -> Cow<'u, str> {
        harproxy_redact::display::redactor(&self.telling)
            .redact_url(url.as_str())
            .map_or(Cow::Borrowed(url.as_str()), Cow::Owned)
    }

    /// The fixtures, in order.
    #[must_use]
    pub fn fixtures(&self) -> &[Arc<Fixture>] {
        &self.fixtures
    }

    /// Whether the scope of any fixture accepts this URL.
    #[must_use]
    pub fn in_scope(&self, url: &NormalUrl) -> bool {
        self.scope.accepts(url.as_str(), &self.form)
    }

    /// Whether a URL of this origin (`https://host:port`) could be in scope.
    #[must_use]
    pub fn may_match_origin(&self, origin: &str) -> bool {
        self.scope.may_accept_origin(origin, &self.form)
    }

    /// Whether a URL of this host, or of one below it as a domain, could be in scope; `false` is certain.
    #[must_use]
    pub fn may_match_domain(&self, domain: &str) -> bool {
        self.scope.may_accept_domain(domain, &self.form)
    }

    /// Whether entries of this origin came over HTTP/2.
    #[must_use]
    pub fn speaks_h2(&self, origin: &str) -> bool {
        let hosts = self.form.hosts();
        self.index.origin(origin).is_some_and(|known| known.http2)
            || (!hosts.is_empty()
                && self.index.origins().any(|(name, known)| known.http2 && hosts.may_be_one(name, origin)))
    }

    /// Looks a method and a URL up.
    #[must_use]
    pub fn find<'u>(&self, method: &'u str, url: &'u NormalUrl) -> Found<'u> {
        let mut found = Found { method, url, one: None, more: Vec::new() };
        if let Some(group) = self.index.group(method, &self.form.of(url.as_str())) {
            found.add(group);
        }
        if self.index.has_open_urls() {
            self.index.open_groups(method, &self.form.view(url.as_str())).for_each(|group| found.add(group));
        }
        found
    }

    /// Returns true if the candidates of this method and URL are loaded. Loading them reads their entries and request
    /// payloads from the fixtures, which blocks.
    #[must_use]
    pub fn is_loaded(&self, found: &Found<'_>) -> bool {
        found.groups().iter().all(|&group| self.keys[group].get().is_some())
    }

    /// Whether the request's payload has a say: in which entry of this method and URL answers, or in what is told when none
    /// is there. When not, replay need not wait for the payload.
    #[must_use]
    pub fn needs_body(&self, found: &Found<'_>) -> bool {
        let groups = self.groups(found);
        groups.all().is_empty() || groups.all().iter().any(|group| group.needs_body)
    }

    /// How to digest a payload of this request that is too long to be held; `None` when all of it is needed to say what it is
    /// equal to (`--match-body json` and `form`, `--ignore-body`).
    #[must_use]
    pub fn digesting(&self, found: &Found<'_>, headers: &HeaderMap) -> Option<PayloadDigester> {
        let content_type = headers.get("content-type").map(|value| String::from_utf8_lossy(value.as_bytes()));
        let (groups, content_type) = (self.groups(found), content_type.unwrap_or_default());
        if !groups.all().iter().all(|group| group.rules.body.can_stream(&content_type)) {
            return None;
        }
        let cuts =
            groups.all().iter().flat_map(|group| &group.candidates).filter_map(|candidate| match candidate.payload {
                RecordedPayload::Cut { kept, .. } => Some(kept as u64),
                _ => None,
            });
        Some(PayloadDigester::new(headers, cuts.collect()))
    }

    /// Finds the answer and takes its turn for `session`.
    pub fn answer(&self, query: &Query<'_>, session: Option<&str>) -> Outcome {
        self.resolve(query, &self.turns(session))
    }

    /// Chooses among the candidates that [`Matcher::find`] found, and takes the entry's turn for `session`.
    ///
    /// # Errors
    /// What kind of miss it is; [`Matcher::explain_found`] explains it.
    pub fn choose_found(
        &self,
        found: &Found<'_>,
        headers: &HeaderMap,
        payload: Payload<'_>,
        session: Option<&str>,
    ) -> Result<Outcome, MissKind> {
        self.choose_with(&payload.query(found, headers), found, &payload.sent(headers), &self.turns(session))
    }

    /// Explains that miss. It compares the request with many an entry, which may take a while.
    #[must_use]
    pub fn explain_found(&self, found: &Found<'_>, headers: &HeaderMap, payload: Payload<'_>, kind: MissKind) -> Miss {
        self.explain(&payload.query(found, headers), &payload.sent(headers), kind)
    }

    /// What [`Matcher::answer`] would say now. No turn is taken and nothing counts as used.
    #[must_use]
    pub fn would_answer(&self, query: &Query<'_>, session: Option<&str>) -> Outcome {
        self.resolve(query, &self.turns(session).on_trial())
    }

    /// How many entries of each fixture have answered, hops included, by fixture.
    #[must_use]
    pub fn used(&self) -> Vec<usize> {
        let mut counts = vec![0; self.fixtures.len()];
        for (ordinal, at) in (0..).zip(self.index.entries()) {
            counts[at.fixture] += usize::from(self.used.is_set(ordinal));
        }
        counts
    }

    /// The entries that have not answered, fixture by fixture in file order.
    pub fn unused(&self) -> impl Iterator<Item = EntryRef> + '_ {
        let entries = (0..).zip(self.index.entries());
        entries.filter(|(ordinal, _)| !self.used.is_set(*ordinal)).map(|(_, at)| *at)
    }

    /// The groups of entries that a request of this method and URL may be answered from.
    pub(super) fn groups(&self, found: &Found<'_>) -> Groups<'_> {
        let mut groups = Groups::default();
        found.groups().iter().for_each(|&group| groups.add(self.group(group, found.url)));
        groups
    }

    /// A group, looked into when it is first asked for.
    pub(super) fn group(&self, group: usize, url: &NormalUrl) -> &Group {
        self.keys[group].get_or_init(|| {
            let members = self.index.members(group).iter().map(|&ordinal| (ordinal, self.index.at(ordinal)));
            // Where a path makes entries one to which different rules apply, the first of them decides.
            let first = self.index.members(group).first().and_then(|&ordinal| self.url_of(ordinal));
            let rules = self.rules_for(first.as_deref().unwrap_or(url.as_str()));
            Box::new(Group::new(members, &self.fixtures, rules, &self.form))
        })
    }

    /// The URL as those of the entries see it that have placeholders in theirs.
    pub(super) fn seen<'s>(&'s self, url: &'s NormalUrl, groups: &Groups<'_>) -> Option<View<'s, 's>> {
        groups.all().iter().any(|group| group.open_urls).then(|| self.form.view(url.as_str()))
    }

    /// The turns of a session.
    pub(super) fn turns(&self, session: Option<&str>) -> Turns {
        Turns::new(self.sessions.of(session))
    }

    /// What the index knows of an entry.
    pub(super) fn head(&self, ordinal: Ordinal) -> Option<EntryHead<'_>> {
        let at = self.index.at(ordinal);
        self.fixtures[at.fixture].heads().get(at.entry)
    }

    /// The URL of an entry in normal form.
    pub(super) fn url_of(&self, ordinal: Ordinal) -> Option<Cow<'_, str>> {
        normal(self.head(ordinal)?.url)
    }

    /// How an entry of this URL (in normal form) is compared.
    pub(super) fn rules_for(&self, url: &str) -> Arc<Rules> {
        match self.form.rules() {
            [] => self.policy.under(&[], &[]),
            rules => self.policy.under(rules, &self.form.view(url).active),
        }
    }

    fn resolve<'q>(&'q self, query: &Query<'q>, turns: &Turns) -> Outcome {
        let found = self.find(query.method, query.url);
        let payload = SentPayload::new(query.headers, query.body);
        let outcome = self.choose_with(query, &found, &payload, turns);
        outcome.unwrap_or_else(|kind| Outcome::Miss(Box::new(self.explain(query, &payload, kind))))
    }

    fn choose_with<'q>(
        &'q self,
        query: &Query<'q>,
        found: &Found<'_>,
        payload: &SentPayload<'q>,
        turns: &Turns,
    ) -> Result<Outcome, MissKind> {
        let sent = score::Sent::new(query.headers);
        let no_payload = SentPayload::new(query.headers, None);
        let asked = Asked { url: None, headers: query.headers, sent: &sent, payload, no_payload: &no_payload };
        let step = Step { method: query.method.into(), url: Cow::Borrowed(query.url) };
        let choice = self.choose(found, &asked, turns, &[])?;
        let navigation = query.headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
        self.walk(step, choice, &asked, turns, navigation)
    }

    fn choose(
        &self,
        found: &Found<'_>,
        asked: &Asked<'_, '_>,
        turns: &Turns,
        passed: &[Ordinal],
    ) -> Result<Choice<'_>, NoChoice> {
        let groups = self.groups(found);
        let seen = self.seen(found.url, &groups);
        let asked = Asked { url: seen.as_ref(), ..*asked };
        choice::choose(groups.all(), &asked, self.repeat, turns, passed, &self.fixtures)
    }

    /// Goes from the first choice along the redirects that are followed, to what the client gets.
    fn walk<'s>(
        &'s self,
        mut step: Step<'s>,
        mut choice: Choice<'s>,
        asked: &Asked<'_, '_>,
        turns: &Turns,
        navigation: bool,
    ) -> Result<Outcome, MissKind> {
        let mut asked = *asked;
        let mut way = Way {
            client: step.url.clone(),
            passed: Vec::new(),
            hops: Vec::new(),
            cookies: Vec::new(),
            guess: None,
            echoed: Vec::new(),
        };
        loop {
            let Candidate { at, status, .. } = *choice.candidate;
            way.guess = way.guess.or_else(|| choice.guess.take());
            if !turns.is_on_trial() {
                self.used.set(choice.candidate.ordinal);
            }
            way.echoed = self.echoed(&step, &choice, &asked)?;
            let Some(location) = choice.candidate.location.as_deref() else {
                return self.serve(&step, &choice, way);
            };
            let next = redirects::next(status, &step.method, &step.url, location);
            let leads_to = next.as_ref().map_or(location, |next| next.url.as_str()).to_owned();
            let chosen = |way| Outcome::Redirect(self.chosen(&step, &choice, way, Some(leads_to)));
            let Some(next) = next.filter(|_| self.follows(&choice)) else { return Ok(chosen(way)) };
            if navigation {
                // The browser goes the way itself, but not round in circles.
                let trial = self.walk(step.clone(), choice.clone(), &asked, &turns.on_trial(), false);
                return match trial {
                    Err(looped @ MissKind::RedirectLoop(_)) => Err(looped),
                    _ => Ok(chosen(way)),
                };
            }
            if way.passed.len() == redirects::MAX_HOPS {
                return Err(MissKind::TooManyHops);
            }
            way.passed.push(choice.candidate.ordinal);
            if !next.payload {
                asked.payload = asked.no_payload;
            }
            let target = Step { method: Cow::Owned(next.method), url: Cow::Owned(next.url) };
            match self.choose(&self.find(&target.method, &target.url), &asked, turns, &way.passed) {
                Ok(found) => {
                    way.leave(at, &*self.entry(at)?, &step.url);
                    (step, choice) = (target, found);
                }
                Err(NoChoice::NoEntry) => return Ok(chosen(way)),
                Err(NoChoice::Passed) => {
                    way.hops.push(at);
                    return Err(MissKind::RedirectLoop(way.hops));
                }
                Err(no) => return Err(no.into()),
            }
        }
    }

    /// What an entry says.
    fn entry(&self, at: EntryRef) -> Result<Arc<Entry>, MissKind> {
        let entry = self.fixtures[at.fixture].entry(at.entry);
        entry.map_err(|error| MissKind::Unreadable(at, in_words(&error)))
    }

    /// What the answer repeats of the request.
    fn echoed(&self, step: &Step<'_>, choice: &Choice<'_>, asked: &Asked<'_, '_>) -> Result<Vec<Echoed>, MissKind> {
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
        let recorded = repeats::Asked {
            url: &self.form.view(&url),
            headers: &|name| entry.request.headers.get_all(name).map(<[u8]>::to_vec).collect(),
            payload: &payload,
        };
        let live = repeats::Asked {
            url: &self.form.view(step.url.as_str()),
            headers: &|name| asked.headers.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect(),
            payload: &|| serde_json::from_slice(asked.payload.decoded()).ok(),
        };
        Ok(Echoed::of(echo, &recorded, &live))
    }

    /// Whether the redirect is followed inside the recording.
    fn follows(&self, choice: &Choice<'_>) -> bool {
        match choice.rules.redirects {
            Redirects::Follow => true,
            Redirects::Serve => false,
            Redirects::Auto => !self.fixtures[choice.candidate.at.fixture].is_own(),
        }
    }

    /// The end of the way: an answer that leads nowhere else.
    fn serve(&self, step: &Step<'_>, choice: &Choice<'_>, way: Way<'_>) -> Result<Outcome, MissKind> {
        let at = choice.candidate.at;
        if choice.candidate.condition == Condition::Failure {
            return Ok(Outcome::Abort(self.chosen(step, choice, way, None)));
        }
        match choice.candidate.content(&self.fixtures[at.fixture], choice.rules) {
            Content::There => Ok(Outcome::Serve(self.chosen(step, choice, way, None))),
            Content::NotRecorded => Err(MissKind::BodyNotRecorded(at)),
            Content::Unreadable(why) => Err(MissKind::Unreadable(at, why.clone())),
        }
    }

    fn chosen(&self, step: &Step<'_>, choice: &Choice<'_>, way: Way<'_>, location: Option<String>) -> Chosen {
        let Candidate { at, ordinal, status, .. } = *choice.candidate;
        let recorded_status = u16::try_from(status).ok().filter(|status| (100..=599).contains(status));
        let same_host = (!self.form.hosts().is_empty()).then(|| self.url_of(ordinal)).flatten().and_then(|recorded| {
            let (recorded, asked) = (Parts::of(&recorded).site(), Parts::of(step.url.as_str()).site());
            (recorded != asked).then(|| SameHost { recorded: recorded.into_owned(), asked: asked.into_owned() })
        });
        Chosen {
            at,
            score: choice.score,
            followed: way.hops,
            cookies: way.cookies,
            status: choice.status.or(recorded_status).unwrap_or_default(),
            location,
            same_host,
            guess: way.guess,
            echoed: way.echoed,
        }
    }
}

/// What there is of a request's payload.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'p> {
    /// All of it, as received.
    Held(&'p [u8]),
    /// Digests.
    Digested(&'p DigestedPayload),
}

impl<'p> Payload<'p> {
    fn query(self, found: &Found<'p>, headers: &'p HeaderMap) -> Query<'p> {
        let body = if let Payload::Held(bytes) = self { Some(bytes) } else { None };
        Query { method: found.method, url: found.url, headers, body }
    }

    fn sent(self, headers: &'p HeaderMap) -> SentPayload<'p> {
        match self {
            Payload::Held(bytes) => SentPayload::new(headers, Some(bytes)),
            Payload::Digested(digested) => SentPayload::from_digests(headers, digested),
        }
    }
}

/// A method and a URL, and the groups of entries that have them: those with the same URL, and those whose placeholders leave
/// room for it. Most often it is one.
#[derive(Debug)]
pub struct Found<'u> {
    method: &'u str,
    url: &'u NormalUrl,
    one: Option<usize>,
    /// All of them, when they are more.
    more: Vec<usize>,
}

impl<'u> Found<'u> {
    fn add(&mut self, group: usize) {
        match self.one {
            None => self.one = Some(group),
            Some(one) if self.more.is_empty() => self.more = vec![one, group],
            Some(_) => self.more.push(group),
        }
    }

    fn groups(&self) -> &[usize] {
        if self.more.is_empty() { self.one.as_slice() } else { &self.more }
    }
}

/// The groups themselves.
#[derive(Debug, Default)]
pub(super) struct Groups<'a> {
    one: Option<&'a Group>,
    /// All of them, when they are more.
    more: Vec<&'a Group>,
}

impl<'a> Groups<'a> {
    fn add(&mut self, group: &'a Group) {
        match self.one {
            None => self.one = Some(group),
            Some(one) if self.more.is_empty() => self.more = vec![one, group],
            Some(_) => self.more.push(group),
        }
    }

    pub(super) fn all(&self) -> &[&'a Group] {
        if self.more.is_empty() { self.one.as_slice() } else { &self.more }
    }
}

/// What is asked for: by the client, or by a redirect on its behalf.
#[derive(Clone, Debug)]
struct Step<'a> {
    method: Cow<'a, str>,
    url: Cow<'a, NormalUrl>,
}

/// The way from what the client asked to where the redirects lead.
#[derive(Debug)]
struct Way<'a> {
    /// What the client asked.
    client: Cow<'a, NormalUrl>,
    /// Entries that were passed: none answers twice.
    passed: Vec<Ordinal>,
    /// The hops that were followed.
    hops: Vec<EntryRef>,
    /// What they set.
    cookies: Vec<Bytes>,
    /// The first choice that might have been another.
    guess: Option<Box<Guess>>,
    /// What the entry that was reached repeats of its request.
    echoed: Vec<Echoed>,
}

impl Way<'_> {
    /// Leaves a hop behind. Its cookies go along if they are the client's host's: the final answer would set the others
    /// for a host that never sent them.
    fn leave(&mut self, at: EntryRef, entry: &Entry, url: &NormalUrl) {
        self.hops.push(at);
        if url.parts().host() == self.client.parts().host() {
            self.cookies.extend(entry.response.headers.get_all("set-cookie").map(Bytes::copy_from_slice));
        }
    }
}

impl From<NoChoice> for MissKind {
    fn from(no: NoChoice) -> Self {
        match no {
            NoChoice::NoEntry => MissKind::NoEntry,
            NoChoice::UsedUp => MissKind::UsedUp,
            NoChoice::Passed => MissKind::RedirectLoop(Vec::new()),
            NoChoice::Unreadable(at, why) => MissKind::Unreadable(at, why),
        }
    }
}
