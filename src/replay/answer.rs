//! The strict part of replay: a request in scope gets the answer of an entry or an explanation, and nothing here can dial.

use std::sync::Arc;
use std::time::Duration;

use ::http::header::UPGRADE;
use ::http::{HeaderMap, Response};
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::runtime::RuntimeFlavor;

use super::asked::Asked;
use super::intake::{self, IntakeError, Received};
use super::ledger::{Count, Ledger};
use super::refusal::{FAVICON, Refusal};
use super::shelf::Shelf;
use super::source::SourceError;
use super::{Latency, MissAnswer, OnMiss, ReplayPlan, cors};
use crate::har::Fixture;
use crate::http::NormalUrl;
use crate::matching::{Chosen, EntryRef, Guess, Matcher, Miss, MissKind, Outcome, Query, noise};
use crate::proxy::handler::Close;
use crate::proxy::respond::MARK;
use crate::proxy::{Body, Notice, Origin, Session};
use crate::redact::Policy;
use crate::verdict::ambiguity;
use crate::verdict::explain::{Explanation, Place};
use crate::verdict::{Finding, Kind, Severity, Verdict};

/// What answers from fixtures, and keeps the ledger of a run.
pub(super) struct Strict {
    matcher: Matcher,
    shelf: Shelf,
    ledger: Ledger,
    /// The globs that are in, in words.
    scope: Vec<String>,
    miss: MissAnswer,
    mark: bool,
    /// Whether there is a list of noise.
    noise: bool,
    latency: Latency,
    on_miss: OnMiss,
    /// What is not told of requests.
    policy: Arc<Policy>,
}

type Answered = Result<Response<Body>, Close>;

/// What becomes of a request in scope.
pub(super) enum Given {
    /// This answer.
    Answer(Response<Body>),
    /// No entry answers, and `--on-miss` lets it go to the network: what it takes to ask there.
    Missing(Bytes),
}

impl Strict {
    pub(super) fn new(matcher: Matcher, plan: &ReplayPlan) -> Self {
        let fixtures = matcher.fixtures();
        let shelf = Shelf::new(fixtures, plan.mark, plan.clock);
        let ledger = Ledger::new(plan.fail_on.clone(), plan.with_cmd);
        let scope = match &plan.scope {
            Some(globs) => globs.sources().to_vec(),
            None => fixtures.iter().flat_map(|fixture| scope_of(fixture)).collect(),
        };
        Strict {
            shelf,
            ledger,
            scope,
            miss: plan.miss,
            mark: plan.mark,
            noise: plan.noise,
            latency: plan.latency,
            on_miss: plan.on_miss,
            policy: plan.policy.clone(),
            matcher: matcher.telling(plan.policy.clone()),
        }
    }

    pub(super) fn fixtures(&self) -> &[Arc<Fixture>] {
        self.matcher.fixtures()
    }

    /// What is not told of requests.
    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Whether answers carry `x-harproxy`.
    pub(super) fn marks(&self) -> bool {
        self.mark
    }

    pub(super) fn verdict(&self, upstream_connections: u64) -> Verdict {
        self.ledger.verdict(&self.matcher, self.shelf.names(), upstream_connections)
    }

    pub(super) fn look_around(&self) {
        self.matcher.look_around();
    }

    pub(super) fn in_scope(&self, url: &NormalUrl) -> bool {
        self.matcher.in_scope(url)
    }

    /// Whether a request over a connection to this host and port could be in scope, whatever it speaks.
    pub(super) fn may_match(&self, to: &Origin) -> bool {
        use crate::proxy::Scheme::{Http, Https};
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
    pub(super) async fn answer(&self, asked: &Asked<'_>, session: &Session, body: Incoming) -> Result<Given, Close> {
        let known = self.matcher.knows(asked.method.as_str(), asked.url);
        let payload = match self.payload(asked, body, known).await {
            Ok(payload) => payload,
            Err(IntakeError::TooLong) => return self.missed(asked, Refusal::too_long(asked)).map(Given::Answer),
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, request = asked.line(), "broken request");
                self.ledger.count(Count::Refused);
                return Ok(Given::Answer(self.refuse(asked.headers, Refusal::broken(asked.line(), error.to_string()))));
            }
        };
        let (method, session) = (asked.method.as_str(), session.0.as_deref());
        let query = Query { method, url: asked.url, headers: asked.headers, body: None };
        let found = beside_others(known, || match &payload {
            Received::Held(bytes) => self.matcher.answer(&Query { body: Some(bytes), ..query }, session),
            Received::Digested(digested) => self.matcher.answer_digested(&query, digested, session),
        });
        if let Outcome::Serve(chosen) | Outcome::Redirect(chosen) | Outcome::Abort(chosen) = &found
            && let Some(guess) = &chosen.guess
        {
            self.find_guess(asked, guess);
        }
        match (found, payload) {
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
            (Outcome::Miss(miss), _) => self.without_entry(asked, &miss).map(Given::Answer),
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

    /// Tells that another entry might as well have answered. Where nothing but what was given out differs, the run goes on
    /// alike most likely: that is listed, and fails nothing.
    fn find_guess(&self, asked: &Asked<'_>, guess: &Guess) {
        let told = ambiguity::told(guess, |at| self.place(at));
        let severity = if guess.tokens_alone { Severity::Warning } else { self.ledger.severity(Kind::Ambiguous) };
        let Some(Place { fixture, entry, line }) = guess.among.first().map(|at| self.place(*at)) else { return };
        self.tell(Finding {
            request: Some(asked.line()),
            fixture: Some(fixture),
            entry: Some(entry),
            line,
            remedy: Some(told.remedy),
            ..Finding::new(Kind::Ambiguous, severity, told.explanation)
        });
    }

    /// Counts and tells a request that goes to the network.
    pub(super) fn pass(&self, asked: &Asked<'_>, what: Count, why: &str) {
        self.ledger.count(what);
        let kind = Kind::Passthrough;
        self.tell(Finding {
            request: Some(asked.line()),
            remedy: Some("record it to have the same answer every time".to_owned()),
            ..Finding::new(kind, self.ledger.severity(kind), why)
        });
    }

    /// Tells the entries that are older than this.
    pub(super) fn find_stale(&self, max_age: Duration, now: OffsetDateTime) {
        for (n, fixture) in self.fixtures().iter().enumerate() {
            for head in fixture.heads().iter() {
                let at = EntryRef { fixture: n, entry: head.entry };
                let started = fixture.entry(head.entry).ok().map(|entry| entry.started.clone());
                let Some(age) = started.and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok()).map(|at| now - at)
                else {
                    continue;
                };
                if age > max_age {
                    let Place { fixture, entry, line } = self.place(at);
                    self.tell(Finding {
                        request: Some(format!("{} {}", head.method, head.url)),
                        fixture: Some(fixture),
                        entry: Some(entry),
                        line,
                        remedy: Some("record it again".to_owned()),
                        ..Finding::new(
                            Kind::Stale,
                            self.ledger.severity(Kind::Stale),
                            format!("it was recorded {} days ago, before `--max-age`", age.whole_days()),
                        )
                    });
                }
            }
        }
    }

    /// A request that is not in scope and not let through; a `local` one is here because of `--no-local`.
    pub(super) fn outside(&self, asked: &Asked<'_>, local: bool) -> Response<Body> {
        if self.is_noise(asked.url) {
            return self.noise(asked);
        }
        self.ledger.count(Count::OutOfScope);
        let refusal = Refusal::out_of_scope(asked, &self.scope, local);
        // What a page pulls in by itself is the page's business; what its code asks for is the test's.
        let listed = asked.is_subresource();
        let severity = |kind| if listed { Severity::Warning } else { self.ledger.severity(kind) };
        self.find(&refusal, severity);
        self.refuse(asked.headers, refusal)
    }

    /// A request whose URL is none.
    pub(super) fn malformed(&self, request: String, why: String) -> Response<Body> {
        self.ledger.count(Count::Refused);
        self.refuse(&HeaderMap::new(), Refusal::broken(request, why))
    }

    /// What the engine saw beside requests.
    pub(super) fn notice(&self, notice: Notice) {
        match notice {
            Notice::Tunnelled { .. } => {}
            Notice::Unreadable { to } => {
                let (explanation, remedy) = (
                    format!("what came inside the CONNECT to {}:{} was neither TLS nor HTTP", to.host, to.port),
                    format!("`--bypass {}:{}` lets CMD reach it without the proxy", to.host, to.port),
                );
                self.ledger.find(self.beside(Kind::Unreadable, explanation, remedy));
            }
            Notice::BadHead { reason } => {
                let (explanation, remedy) = (
                    format!("a request was no HTTP and got 400 before anything looked at it: {reason}"),
                    "mend the client: `<`, `>`, a backtick and bytes that are no UTF-8 are percent-encoded in a URL, and a \
                     request has one length"
                        .to_owned(),
                );
                self.ledger.find(self.beside(Kind::Unreadable, explanation, remedy));
            }
            Notice::TlsRefused { to, .. } if self.is_noise_alone(&to) => self.ledger.count(Count::Noise),
            Notice::TlsRefused { to, reason } => {
                let (explanation, remedy) = (
                    format!("the client does not trust our certificate for {} ({reason})", to.host),
                    format!(
                        "point the client at the CA (`harproxy env` prints the variables that most read, `harproxy ca path` \
                         its file), or leave the host alone with `-g '!https://{}/**'`",
                        to.host
                    ),
                );
                self.ledger.refused(to.authority(), self.beside(Kind::TlsRefused, explanation, remedy));
            }
            Notice::TlsTrusted { to } => self.ledger.trusted(to.authority()),
        }
    }

    /// A finding that is about no request.
    fn beside(&self, kind: Kind, explanation: String, remedy: String) -> Finding {
        tracing::warn!(kind = kind.word(), remedy, "{explanation}");
        Finding { remedy: Some(remedy), ..Finding::new(kind, self.ledger.severity(kind), explanation) }
    }

    /// The payload as far as matching needs it.
    async fn payload(&self, asked: &Asked<'_>, body: Incoming, known: bool) -> Result<Received, IntakeError> {
        if body.is_end_stream() {
            return Ok(Received::Held(Bytes::new()));
        }
        let method = asked.method.as_str();
        if self.on_miss != OnMiss::Fail || beside_others(known, || self.matcher.needs_body(method, asked.url)) {
            return intake::read(body, || self.matcher.digesting(method, asked.url, asked.headers)).await;
        }
        intake::discard(body);
        Ok(Received::Held(Bytes::new()))
    }

    async fn serve(&self, asked: &Asked<'_>, chosen: &Chosen) -> Answered {
        if chosen.status < 200 {
            return match asked.headers.contains_key(UPGRADE) {
                true => self.websocket(asked, Some(chosen.at)),
                false => self.not_served(asked, &Miss::other_protocol(chosen.at)),
            };
        }
        let sent = match self.shelf.take(chosen).await {
            Ok(prepared) => prepared.send(chosen, asked, self.shelf.budget()).await,
            Err(error) => Err(error),
        };
        let mut sent = match sent {
            Ok(sent) => sent,
            Err(error) => return self.unreadable(asked, chosen.at, &error),
        };
        let wait = self.latency.of(&chosen.entry);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        self.ledger.count(Count::Served);
        self.ledger.add(Count::Bytes, sent.bytes);
        if !chosen.followed.is_empty() {
            self.ledger.add(Count::Followed, chosen.followed.len() as u64);
            let path: Vec<EntryRef> = chosen.followed.iter().copied().chain([chosen.at]).collect();
            if let Some(mark) = self.shelf.mark(&path) {
                sent.response.headers_mut().insert(MARK, mark);
            }
        }
        if let Some(truncated) = sent.truncated {
            self.ledger.count(Count::Truncated);
            let total = truncated.total.map_or_else(String::new, |total| format!(" of {total}"));
            let why = format!("its payload is truncated: {}{total} bytes kept ({})", truncated.kept, truncated.reason);
            self.find_entry(Kind::Truncated, asked, chosen.at, why, "record it again, all of it");
        }
        Ok(sent.response)
    }

    fn abort(&self, asked: &Asked<'_>, chosen: &Chosen) -> Answered {
        self.ledger.count(Count::Served);
        self.ledger.count(Count::Failures);
        let why = "it was recorded as a failure: the connection is closed".to_owned();
        self.find_entry(Kind::FailedServed, asked, chosen.at, why, "record it again when the origin answers");
        Err(Close)
    }

    /// In scope, and no entry answers.
    fn without_entry(&self, asked: &Asked<'_>, miss: &Miss) -> Answered {
        if asked.is_websocket() {
            return self.websocket(asked, None);
        }
        if self.is_answered_here(asked, miss) {
            if cors::is_preflight(asked.method, asked.headers) {
                self.ledger.count(Count::Preflights);
                return Ok(cors::preflight(asked.headers, self.mark));
            }
            return Ok(self.noise(asked));
        }
        self.not_served(asked, miss)
    }

    fn unreadable(&self, asked: &Asked<'_>, at: EntryRef, error: &SourceError) -> Answered {
        self.not_served(asked, &Miss::unreadable(at, error))
    }

    fn not_served(&self, asked: &Asked<'_>, miss: &Miss) -> Answered {
        self.missed(asked, Refusal::miss(asked, Explanation::of(miss, |at| self.place(at))))
    }

    fn missed(&self, asked: &Asked<'_>, refusal: Refusal) -> Answered {
        self.ledger.count(Count::Misses);
        self.give_up(asked, refusal)
    }

    fn websocket(&self, asked: &Asked<'_>, recorded: Option<EntryRef>) -> Answered {
        self.ledger.count(Count::Refused);
        self.give_up(asked, Refusal::websocket(asked, recorded.map(|at| self.place(at))))
    }

    /// What `--miss-status` says.
    fn give_up(&self, asked: &Asked<'_>, mut refusal: Refusal) -> Answered {
        self.find(&refusal, |kind| self.ledger.severity(kind));
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
        self.refuse(asked.headers, Refusal::noise(asked))
    }

    fn refuse(&self, request: &HeaderMap, refusal: Refusal) -> Response<Body> {
        refusal.response(request, self.mark)
    }

    fn find(&self, refusal: &Refusal, severity: impl FnOnce(Kind) -> Severity) {
        if let Some(finding) = refusal.finding(severity) {
            self.tell(finding);
        }
    }

    fn find_entry(&self, kind: Kind, asked: &Asked<'_>, at: EntryRef, why: String, remedy: &str) {
        let Place { fixture, entry, line } = self.place(at);
        self.tell(Finding {
            request: Some(asked.line()),
            fixture: Some(fixture),
            entry: Some(entry),
            line,
            remedy: Some(remedy.to_owned()),
            ..Finding::new(kind, self.ledger.severity(kind), why)
        });
    }

    fn tell(&self, finding: Finding) {
        let (kind, request) = (finding.kind.word(), finding.request.as_deref().unwrap_or_default());
        let (why, remedy) = (&finding.explanation, finding.remedy.as_deref().unwrap_or_default());
        match finding.severity {
            Severity::Error => tracing::warn!(kind, request, remedy, "{why}"),
            Severity::Warning => tracing::info!(kind, request, remedy, "{why}"),
        }
        self.ledger.find(finding);
    }

    fn place(&self, at: EntryRef) -> Place {
        let line = self.fixtures().get(at.fixture).and_then(|fixture| fixture.heads().get(at.entry)).map(|h| h.line);
        Place { fixture: self.shelf.names().get(at.fixture).cloned().unwrap_or_default(), entry: at.entry, line }
    }

    /// Whether what no entry answers is a preflight or noise: no miss.
    fn is_answered_here(&self, asked: &Asked<'_>, miss: &Miss) -> bool {
        miss.kind == MissKind::NoEntry
            && !asked.is_websocket()
            && (cors::is_preflight(asked.method, asked.headers) || self.is_noise(asked.url))
    }

    fn is_noise(&self, url: &NormalUrl) -> bool {
        self.noise && (noise::is_noise(url) || url.url().path() == FAVICON)
    }

    fn is_noise_alone(&self, to: &Origin) -> bool {
        let in_scope = || NormalUrl::parse(&format!("{to}/")).is_ok_and(|url| self.matcher.in_scope(&url));
        self.noise && noise::knows(&to.host) && !in_scope()
    }
}

/// Does work that may read from a fixture, and lets other connections go on meanwhile. What is `known` has been read, and
/// stepping aside would cost more than the work.
fn beside_others<T>(known: bool, work: impl FnOnce() -> T) -> T {
    let many_threads = || tokio::runtime::Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    if !known && many_threads() { tokio::task::block_in_place(work) } else { work() }
}

/// The scope of a fixture in words: its own globs, or the origins that a foreign one has.
fn scope_of(fixture: &Fixture) -> Vec<String> {
    match fixture.scope() {
        Some([]) => vec!["**".to_owned()],
        Some(globs) => globs.to_vec(),
        None => vec![format!("the origins in {}", fixture.path().display())],
    }
}
