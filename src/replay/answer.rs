//! The strict part of replay: answers requests in scope from an entry, or with an explanation. It cannot dial.

use std::future::pending;
use std::panic::resume_unwind;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use ::http::header::UPGRADE;
use ::http::{HeaderMap, Response};
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};

use super::asked::Asked;
use super::blocking::run_blocking;
use super::cache::ResponseCache;
use super::fixtures;
use super::intake::{self, IntakeError, Received};
use super::ledger::{Count, Ledger};
use super::refusal::{FAVICON, Refusal};
use super::response_payload::PayloadError;
use super::stale::{self, MaxAge};
use super::{Clock, Latency, MissAnswer, OnMiss, ReplayPlan, cors};
use crate::verdict::explain::{EntryPlace, Explanation, RerunOptions};
use crate::verdict::findings::LOG;
use crate::verdict::{CheckId, Finding, Location, Severity, Verdict, ambiguity, connections};
use harproxy_har::Fixture;
use harproxy_http::NormalUrl;
use harproxy_matching::{Chosen, EntryRef, Found, Guess, Matcher, Miss, MissKind, Outcome, noise};
use harproxy_proxy::respond::MARK;
use harproxy_proxy::{Body, Close, ConnectionEvent, Origin, Provenance, Session, Way};
use harproxy_redact::{Policy, Telling};

/// Answers requests from fixtures and updates the ledger of a run.
pub(super) struct Strict {
    matcher: Matcher,
    cache: ResponseCache,
    ledger: Arc<Ledger>,
    /// The globs of `-g`, in words.
    given: Option<Vec<String>>,
    /// The globs that are in, in words.
    scope: Vec<String>,
    clock: Clock,
    miss: MissAnswer,
    mark: bool,
    /// Whether there is a list of noise.
    noise: bool,
    latency: Latency,
    on_miss: OnMiss,
    /// How far apart the pieces of a payload may be.
    patience: Duration,
    /// The redaction policy for reports about requests.
    policy: Arc<Policy>,
    max_age: Option<MaxAge>,
    /// Findings for stale entries, computed on first use because every entry is read.
    stale: OnceLock<Vec<Finding>>,
}

type Answered = Result<Response<Body>, Close>;

/// The result of looking up a request in scope.
pub(super) enum Given {
    /// This answer.
    Answer(Response<Body>),
    /// No entry answers, and `--on-miss` lets it go to the network: what it takes to ask there.
    Missing(Bytes),
}

impl Strict {
    pub(super) fn new(matcher: Matcher, plan: &ReplayPlan) -> Self {
        let given = plan.scope.as_ref().map(|globs| globs.sources().to_vec());
        Strict {
            cache: ResponseCache::new(matcher.fixtures(), plan.mark, plan.clock, plan.latency),
            ledger: Arc::new(Ledger::new(plan.fail_on.clone(), plan.with_cmd)),
            scope: given.clone().unwrap_or_else(|| fixtures::scopes(matcher.fixtures())),
            given,
            clock: plan.clock,
            miss: plan.miss,
            mark: plan.mark,
            noise: plan.noise,
            latency: plan.latency,
            on_miss: plan.on_miss,
            patience: plan.timeouts.idle,
            policy: plan.policy.clone(),
            max_age: plan.max_age.map(|age| MaxAge { age, now: plan.now.unwrap_or_else(SystemTime::now).into() }),
            stale: OnceLock::new(),
            matcher: matcher.telling(plan.policy.clone()),
        }
    }

    /// The same with other fixtures, and everything else as it stands.
    pub(super) fn with(&self, matcher: Matcher) -> Self {
        Strict {
            cache: ResponseCache::new(matcher.fixtures(), self.mark, self.clock, self.latency),
            ledger: self.ledger.clone(),
            scope: self.given.clone().unwrap_or_else(|| fixtures::scopes(matcher.fixtures())),
            given: self.given.clone(),
            policy: self.policy.clone(),
            matcher: matcher.telling(self.policy.clone()),
            stale: OnceLock::new(),
            ..*self
        }
    }

    /// Takes over what has answered before, and whose turn it is.
    pub(super) fn carry_on(&self, before: &Strict) {
        self.matcher.carry_on(&before.matcher);
    }

    pub(super) fn fixtures(&self) -> &[Arc<Fixture>] {
        self.matcher.fixtures()
    }

    pub(super) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Whether answers carry `x-harproxy`.
    pub(super) fn marks(&self) -> bool {
        self.mark
    }

    pub(super) fn verdict(&self, upstream_connections: u64) -> Verdict {
        let mut verdict = self.ledger.verdict(&self.matcher, self.cache.names(), &self.policy, upstream_connections);
        let unused = verdict.findings.iter().position(|finding| finding.check == CheckId::UNUSED);
        let at = unused.unwrap_or(verdict.findings.len());
        verdict.findings.splice(at..at, self.stale().iter().cloned());
        verdict
    }

    /// Does what takes a look at every entry while requests are already answered.
    pub(super) fn warm_up_explanations(&self) {
        self.matcher.warm_up_explanations();
        self.stale();
    }

    fn stale(&self) -> &[Finding] {
        let Some(max_age) = self.max_age else { return &[] };
        self.stale.get_or_init(|| {
            let severity = self.ledger.severity(&CheckId::STALE);
            let named = self.fixtures().iter().zip(self.cache.names());
            named.filter_map(|(fixture, name)| stale::find(max_age, fixture, name, &self.policy, severity)).collect()
        })
    }

    pub(super) fn in_scope(&self, url: &NormalUrl) -> bool {
        self.matcher.in_scope(url)
    }

    /// Whether some URL of this origin could be in scope.
    pub(super) fn may_match_origin(&self, origin: &str) -> bool {
        self.matcher.may_match_origin(origin)
    }

    /// Whether a request over a connection to this host and port could be in scope, whatever it speaks.
    pub(super) fn may_match(&self, to: &Origin) -> bool {
        use harproxy_proxy::Scheme::{Http, Https};
        [Https, Http].into_iter().any(|scheme| {
            let origin = Origin { scheme, ..to.clone() };
            self.matcher.may_match_origin(&origin.to_string())
        })
    }

    /// Whether a request to this host, or one below it, could be in scope.
    pub(super) fn may_match_domain(&self, domain: &str) -> bool {
        self.matcher.may_match_domain(domain)
    }

    /// Whether the entries of this origin came over HTTP/2.
    pub(super) fn speaks_h2(&self, to: &Origin) -> bool {
        self.matcher.speaks_h2(&to.to_string())
    }

    /// A request in scope.
    pub(super) async fn answer(
        self: &Arc<Self>,
        asked: &Asked<'_>,
        session: &Session,
        body: Incoming,
    ) -> Result<Given, Close> {
        let found = self.matcher.find(asked.method.as_str(), asked.url);
        let payload = match self.payload(asked, &found, body).await {
            Ok(payload) => payload,
            Err(IntakeError::TooLong) => return self.missed(asked, Refusal::too_long(asked)).map(Given::Answer),
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, request = asked.line(), "broken request");
                self.ledger.count(Count::Refused);
                let refusal = Refusal::unread(asked.line(), &error);
                asked.note.say(|| refusal.provenance(Way::Refused));
                return Ok(Given::Answer(self.refuse(asked.headers, refusal)));
            }
        };
        let session = session.clone();
        let is_loaded = payload.is_little(asked.headers) && self.matcher.is_loaded(&found);
        let choose = move |matcher: &Matcher, found: &Found<'_>, headers: &HeaderMap| {
            (matcher.choose_found(found, headers, payload.as_payload(), session.0.as_deref()), payload)
        };
        let (chosen, payload) = if is_loaded {
            choose(&self.matcher, &found, asked.headers)
        } else {
            self.beside_others(asked, choose).await
        };
        let (outcome, payload) = match chosen {
            Ok(outcome) => (outcome, payload),
            Err(kind) => {
                let explain = move |matcher: &Matcher, found: &Found<'_>, headers: &HeaderMap| {
                    (matcher.explain_found(found, headers, payload.as_payload(), kind), payload)
                };
                let (miss, payload) = self.beside_others(asked, explain).await;
                (Outcome::Miss(Box::new(miss)), payload)
            }
        };
        if let Outcome::Serve(chosen) | Outcome::Redirect(chosen) | Outcome::Abort(chosen) = &outcome
            && let Some(guess) = &chosen.guess
        {
            self.find_guess(asked, guess);
        }
        match (outcome, payload) {
            (Outcome::Serve(chosen) | Outcome::Redirect(chosen), _) => {
                self.serve(asked, &chosen).await.map(Given::Answer)
            }
            (Outcome::Abort(chosen), _) => self.abort(asked, &chosen).map(Given::Answer),
            // Of a payload that was only digested there is nothing to pass on: that stays a miss.
            (Outcome::Miss(miss), Received::Held(payload))
                if self.on_miss != OnMiss::Fail && !self.is_answered_here(asked, &miss) =>
            {
                self.ask(asked, &miss);
                Ok(Given::Missing(payload))
            }
            (Outcome::Miss(miss), payload) => self.without_entry(asked, &miss, &payload).map(Given::Answer),
        }
    }

    /// Counts and tells a miss that goes to the network.
    fn ask(&self, asked: &Asked<'_>, miss: &Miss) {
        if self.on_miss == OnMiss::Record {
            // What the fixture gets is told at the end; it is what was asked for.
            tracing::info!(request = asked.line(), "not in the fixture: asked for and recorded");
            return self.ledger.count(Count::Forwarded);
        }
        let explained = Explanation::of(miss, |at| self.place(at)).text();
        self.pass(asked, Count::Forwarded, &format!("{explained}\nit went to the network (`--on-miss passthrough`)"));
    }

    /// Adds a finding that another entry could have answered as well.
    /// If the entries differ only in tokens, the finding is a warning and does not fail the run.
    fn find_guess(&self, asked: &Asked<'_>, guess: &Guess) {
        let described = ambiguity::describe(guess, |at| self.place(at));
        let severity = if guess.tokens_alone { Severity::Warning } else { self.ledger.severity(&CheckId::AMBIGUOUS) };
        let Some(EntryPlace { fixture, entry, line }) = guess.among.first().map(|at| self.place(*at)) else { return };
        self.tell(Finding {
            at: Location { request: Some(asked.line()), fixture: Some(fixture), entry: Some(entry), line },
            requests: asked.ids(),
            hint: Some(described.hint),
            ..Finding::new(CheckId::AMBIGUOUS, severity, described.text)
        });
    }

    /// Counts a request that goes to the network and adds its finding.
    pub(super) fn pass(&self, asked: &Asked<'_>, what: Count, why: &str) {
        self.ledger.count(what);
        let severity = self.ledger.severity(&CheckId::PASSTHROUGH);
        self.tell(Finding {
            at: Location::request(asked.line()),
            requests: asked.ids(),
            hint: Some("record it to have the same answer every time".to_owned()),
            ..Finding::new(CheckId::PASSTHROUGH, severity, why)
        });
    }

    /// A request that is not in scope and not let through; a `local` one is here because of `--no-local`.
    pub(super) fn outside(&self, asked: &Asked<'_>, local: bool) -> Response<Body> {
        if self.is_noise(asked.url) {
            return self.noise(asked);
        }
        self.ledger.count(Count::OutOfScope);
        let refusal = Refusal::out_of_scope(asked, &self.scope, local);
        asked.note.say(|| refusal.provenance(Way::OutOfScope));
        // What a page pulls in by itself is the page's business; what its code asks for is the test's.
        let listed = asked.is_subresource();
        let severity = |check: &_| if listed { Severity::Warning } else { self.ledger.severity(check) };
        self.find(asked, &refusal, severity);
        self.refuse(asked.headers, refusal)
    }

    /// A request whose URL is none.
    pub(super) fn malformed(&self, request: String, why: String) -> Response<Body> {
        self.ledger.count(Count::Refused);
        self.refuse(&HeaderMap::new(), Refusal::malformed(request, why))
    }

    /// Handles a connection event of the engine: counts it or adds its finding.
    pub(super) fn notice(&self, notice: ConnectionEvent) {
        match notice {
            ConnectionEvent::TunnelClosed { .. } => {}
            ConnectionEvent::UnknownProtocol { to } => self.tell(connections::unreadable_tunnel(&to.host_and_port())),
            ConnectionEvent::MalformedHead { reason } => self.tell(connections::malformed_head(&reason)),
            ConnectionEvent::Unauthorized => self.ledger.count(Count::Unauthorized),
            ConnectionEvent::TlsRefused { to, .. } if self.is_noise_alone(&to) => self.ledger.count(Count::Noise),
            ConnectionEvent::TlsRefused { to, .. } if self.is_left_alone(&to) => self.ledger.count(Count::OutOfScope),
            ConnectionEvent::TlsRefused { to, reason } => {
                tracing::warn!(
                    target: LOG,
                    kind = CheckId::TLS_REFUSED.as_str(),
                    host = to.authority(),
                    "a client refused our certificate: {reason}"
                );
                self.ledger.refused(to.authority(), reason);
            }
            ConnectionEvent::TlsAccepted { to } => self.ledger.trusted(to.authority()),
        }
    }

    /// The payload as far as matching needs it.
    async fn payload(
        self: &Arc<Self>,
        asked: &Asked<'_>,
        found: &Found<'_>,
        body: Incoming,
    ) -> Result<Received, IntakeError> {
        if !body.is_end_stream() && (self.needs_body(asked, found).await || self.on_miss != OnMiss::Fail) {
            let digesting = || self.matcher.digesting(found, asked.headers);
            return Box::pin(intake::read(body, self.patience, digesting)).await;
        }
        intake::discard(body);
        Ok(Received::Held(Bytes::new()))
    }

    async fn needs_body(self: &Arc<Self>, asked: &Asked<'_>, found: &Found<'_>) -> bool {
        if self.matcher.is_loaded(found) {
            return self.matcher.needs_body(found);
        }
        self.beside_others(asked, |matcher, found, _| matcher.needs_body(found)).await
    }

    /// Runs work that may block, such as reading a fixture, without stalling the other connections of this thread.
    /// Loaded entries do not need it: the handover takes longer than the lookup.
    async fn beside_others<T: Send + 'static>(
        self: &Arc<Self>,
        asked: &Asked<'_>,
        work: impl FnOnce(&Matcher, &Found<'_>, &HeaderMap) -> T + Send + 'static,
    ) -> T {
        let (strict, method) = (self.clone(), asked.method.clone());
        let (url, headers) = (asked.url.clone(), asked.headers.clone());
        let beside = run_blocking(move || work(&strict.matcher, &strict.matcher.find(method.as_str(), &url), &headers));
        match beside.await {
            Ok(done) => done,
            // A defect is this request's, as it would be here.
            Err(failed) if failed.is_panic() => resume_unwind(failed.into_panic()),
            // The process ends.
            Err(_) => pending().await,
        }
    }

    async fn serve(&self, asked: &Asked<'_>, chosen: &Chosen) -> Answered {
        if chosen.status < 200 {
            return match asked.headers.contains_key(UPGRADE) {
                true => self.websocket(asked, Some(chosen.at)),
                false => self.not_served(asked, &Miss::other_protocol(chosen.at)),
            };
        }
        let sent = async {
            let prepared = self.cache.get(chosen.at).await?;
            Ok((prepared.send(chosen, asked).await?, prepared.wait()))
        };
        let (mut sent, wait) = match sent.await {
            Ok(sent) => sent,
            Err(error) => return self.unreadable(asked, chosen.at, &error),
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        self.ledger.count(Count::Served);
        self.note_served(asked, chosen);
        self.ledger.add(Count::Bytes, sent.bytes);
        if !chosen.followed.is_empty() {
            self.ledger.add(Count::Followed, chosen.followed.len() as u64);
            let path: Vec<EntryRef> = chosen.followed.iter().copied().chain([chosen.at]).collect();
            if let Some(mark) = self.cache.mark(&path) {
                sent.response.headers_mut().insert(MARK, mark);
            }
        }
        if let Some(truncated) = sent.truncated {
            self.ledger.count(Count::Truncated);
            let total = truncated.total.map_or_else(String::new, |total| format!(" of {total}"));
            let why = format!("its payload is truncated: {}{total} bytes kept ({})", truncated.kept, truncated.reason);
            self.find_entry(CheckId::TRUNCATED, asked, chosen.at, why, "record it again, all of it");
        }
        Ok(sent.response)
    }

    fn abort(&self, asked: &Asked<'_>, chosen: &Chosen) -> Answered {
        self.ledger.count(Count::Served);
        self.note_served(asked, chosen);
        self.ledger.count(Count::Failures);
        let why = "it was recorded as a failure: the connection is closed".to_owned();
        self.find_entry(CheckId::FAILED_SERVED, asked, chosen.at, why, "record it again when the origin answers");
        Err(Close)
    }

    /// Says which entry answered.
    fn note_served(&self, asked: &Asked<'_>, chosen: &Chosen) {
        asked.note.say(|| {
            // The first one matched, as `x-harproxy` has it; the others were followed.
            let mut path = chosen.followed.iter().copied().chain([chosen.at]);
            let entry = path.next().map(|at| self.place(at)).map(|place| (place.fixture, place.entry));
            Provenance { entry, followed: path.map(|at| at.entry).collect(), ..Provenance::of(Way::Served) }
        });
    }

    /// In scope, and no entry answers.
    fn without_entry(&self, asked: &Asked<'_>, miss: &Miss, payload: &Received) -> Answered {
        if asked.is_websocket() {
            return self.websocket(asked, None);
        }
        if self.is_answered_here(asked, miss) {
            if cors::is_preflight(asked.method, asked.headers) {
                self.ledger.count(Count::Preflights);
                asked.note.say(|| Provenance::of(Way::Preflight));
                return Ok(cors::preflight(asked.headers, self.mark));
            }
            return Ok(self.noise(asked));
        }
        let refusal = self.explained(asked, miss);
        asked.note.say(|| {
            let payload = match payload {
                Received::Held(payload) => Telling::payload(asked.policy, asked.headers, payload),
                Received::Digested(_) => None,
            };
            Provenance { payload, ..refusal.provenance(Way::Miss) }
        });
        self.missed(asked, refusal)
    }

    fn explained(&self, asked: &Asked<'_>, miss: &Miss) -> Refusal {
        let options =
            RerunOptions { globs: self.given.as_deref().unwrap_or_default(), with_cmd: self.ledger.with_cmd() };
        Refusal::miss(asked, Explanation::in_run(miss, |at| self.place(at), options))
    }

    fn unreadable(&self, asked: &Asked<'_>, at: EntryRef, error: &PayloadError) -> Answered {
        self.not_served(asked, &Miss::unreadable(at, error))
    }

    fn not_served(&self, asked: &Asked<'_>, miss: &Miss) -> Answered {
        self.missed(asked, self.explained(asked, miss))
    }

    fn missed(&self, asked: &Asked<'_>, refusal: Refusal) -> Answered {
        self.ledger.count(Count::Misses);
        asked.note.say(|| refusal.provenance(Way::Miss));
        self.give_up(asked, refusal)
    }

    fn websocket(&self, asked: &Asked<'_>, recorded: Option<EntryRef>) -> Answered {
        self.ledger.count(Count::Refused);
        let allowing = self.ledger.allowing(&CheckId::WEBSOCKET);
        let refusal = Refusal::websocket(asked, recorded.map(|at| self.place(at)), allowing.as_deref());
        asked.note.say(|| refusal.provenance(Way::Refused));
        self.give_up(asked, refusal)
    }

    /// Adds the finding of a refused request and answers it as `--miss-status` says.
    fn give_up(&self, asked: &Asked<'_>, mut refusal: Refusal) -> Answered {
        self.find(asked, &refusal, |check| self.ledger.severity(check));
        match self.miss {
            MissAnswer::Abort => Err(Close),
            MissAnswer::Status(status) => {
                if refusal.status == 501 {
                    refusal.status = status;
                }
                Ok(self.refuse(asked.headers, refusal))
            }
        }
    }

    fn noise(&self, asked: &Asked<'_>) -> Response<Body> {
        self.ledger.count(Count::Noise);
        asked.note.say(|| Provenance::of(Way::Noise));
        self.refuse(asked.headers, Refusal::noise(asked))
    }

    fn refuse(&self, request: &HeaderMap, refusal: Refusal) -> Response<Body> {
        refusal.response(request, self.mark)
    }

    fn find(&self, asked: &Asked<'_>, refusal: &Refusal, severity: impl FnOnce(&CheckId) -> Severity) {
        if let Some(finding) = refusal.finding(severity) {
            self.tell(Finding { requests: asked.ids(), ..finding });
        }
    }

    fn find_entry(&self, check: CheckId, asked: &Asked<'_>, at: EntryRef, why: String, remedy: &str) {
        let EntryPlace { fixture, entry, line } = self.place(at);
        self.tell(Finding {
            at: Location { request: Some(asked.line()), fixture: Some(fixture), entry: Some(entry), line },
            requests: asked.ids(),
            hint: Some(remedy.to_owned()),
            ..Finding::new(check.clone(), self.ledger.severity(&check), why)
        });
    }

    fn tell(&self, finding: Finding) {
        let (kind, request) = (finding.check.as_str(), finding.at.request.as_deref().unwrap_or_default());
        let (why, remedy) = (&finding.text, finding.hint.as_deref().unwrap_or_default());
        match finding.severity {
            Severity::Error => tracing::warn!(target: LOG, kind, request, remedy, "{why}"),
            Severity::Warning => tracing::info!(target: LOG, kind, request, remedy, "{why}"),
        }
        self.ledger.find(finding);
    }

    fn place(&self, at: EntryRef) -> EntryPlace {
        let line = self.fixtures().get(at.fixture).and_then(|fixture| fixture.heads().get(at.entry)).map(|h| h.line);
        EntryPlace { fixture: self.cache.names().get(at.fixture).cloned().unwrap_or_default(), entry: at.entry, line }
    }

    /// Whether what no entry answers is a preflight or noise: no miss.
    fn is_answered_here(&self, asked: &Asked<'_>, miss: &Miss) -> bool {
        miss.kind == MissKind::NoEntry
            && !asked.is_websocket()
            && (cors::is_preflight(asked.method, asked.headers) || self.is_noise(asked.url))
    }

    fn is_noise(&self, url: &NormalUrl) -> bool {
        self.noise && (noise::is_noise(url) || url.parts().path == FAVICON)
    }

    /// Whether the user's own globs leave a host out, and exclude some.
    fn is_left_alone(&self, to: &Origin) -> bool {
        let excludes = self.given.iter().flatten().any(|glob| glob.starts_with('!'));
        excludes && !self.may_match(to)
    }

    fn is_noise_alone(&self, to: &Origin) -> bool {
        let in_scope = || NormalUrl::parse(&format!("{to}/")).is_ok_and(|url| self.matcher.in_scope(&url));
        self.noise && noise::knows(&to.host) && !in_scope()
    }
}
