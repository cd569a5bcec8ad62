//! Operations on the run: health, verification, reset.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::{JoinError, spawn_blocking};

use super::api::AdminApi;
use crate::serve::expect::{Expectation, ExpectationResult, RequestTally};
use crate::serve::history::HistoryItem;
use crate::serve::memory::{ResetParts, SessionChoice};
use crate::source::is_preflight;
use crate::verdict::request::{RequestRow, ResultKind};
use harproxy_http::problem::Problem;
use harproxy_redact::RedactionView;

/// The payload of `POST /verify`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyRequest {
    /// Expectations of the configuration, or texts of `--expect`.
    expect: Vec<Value>,
}

/// The payload of `POST /reset`. Without a part, all parts are reset.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ResetRequest {
    sequence: bool,
    state: bool,
    counts: bool,
    /// Only this session or test; empty for clients without a name.
    session: Option<String>,
}

impl AdminApi {
    pub(super) fn health(&self) -> Value {
        let fixtures = self.replayer.fixtures();
        json!({
            "status": "ok",
            "version": env!("CARGO_PKG_VERSION"),
            "uptimeMs": u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "fixtures": fixtures.len(),
            "entries": fixtures.iter().map(|fixture| fixture.heads().len()).sum::<usize>(),
            "rules": self.rules.table.load().rules.len(),
        })
    }

    /// Compares the requests so far with the expectations of the run, or with those of the payload. The latter see the
    /// requests of the history.
    pub(super) async fn verify(&self, payload: Option<VerifyRequest>) -> Result<Value, Problem> {
        let (results, is_complete) = match payload {
            None => (self.rules.verification.results(), true),
            Some(payload) => self.verify_history(&payload).await?,
        };
        if results.is_empty() {
            let detail = "name them in `expect`, or start the server with --expect or [[expect]]";
            return Err(Problem::new(409, "there are no expectations", detail));
        }
        let is_met = is_complete && results.iter().all(|result| result.met);
        Ok(json!({ "met": is_met, "complete": is_complete, "expectations": results }))
    }

    /// Compares the history with expectations. The second result is false if the history lacks requests or payloads.
    async fn verify_history(&self, payload: &VerifyRequest) -> Result<(Vec<ExpectationResult>, bool), Problem> {
        let invalid = |reason: String| Problem::new(400, "the expectations are not valid", reason);
        let expectations = (self.parsers.expectations)(&payload.expect).map_err(invalid)?;
        let (items, is_complete) = (self.history.items(), self.history.is_complete());
        let view = self.replayer.view().clone();
        let compare = move || tally(&items, &expectations, &view, is_complete);
        let failed = |panic: JoinError| Problem::new(500, "the requests can't be compared", panic.to_string());
        spawn_blocking(compare).await.map_err(failed)
    }

    pub(super) fn reset(&self, request: ResetRequest) {
        let ResetRequest { sequence, state, counts, session } = request;
        let parts = ResetParts { sequence, state, counts };
        let parts = if parts == ResetParts::default() { ResetParts::ALL } else { parts };
        self.replayer.reset(parts, &session.map_or(SessionChoice::All, SessionChoice::Named));
    }
}

/// Compares requests with expectations. The second result is false if a payload that counts was not kept.
fn tally(
    items: &[Arc<HistoryItem>],
    expectations: &[Expectation],
    view: &RedactionView,
    mut is_complete: bool,
) -> (Vec<ExpectationResult>, bool) {
    let mut tally = RequestTally::default();
    for item in items {
        let Some(request) = &item.request else { continue };
        // A preflight is not a call of the program, and a request without its key did not reach the API.
        let is_refused = |row: &RequestRow| row.outcome == ResultKind::Refused && row.status == Some(401);
        if is_preflight(&request.method, &request.headers) || item.row.as_ref().is_some_and(is_refused) {
            continue;
        }
        let (method, url) = (request.method.as_str(), request.url.as_str());
        let counts =
            |expectation: &&Expectation| !expectation.body.is_empty() && expectation.pattern.matches(method, url);
        is_complete &= request.payload.is_some() || !expectations.iter().any(|expectation| counts(&expectation));
        let line = match &item.row {
            Some(row) => format!("{} {}", row.method, row.url),
            None => format!("{method} {}", view.redact_known(url)),
        };
        let facts = request.facts();
        tally.note(expectations, item.id, method, url, || facts.json(), line);
    }
    (tally.results(expectations), is_complete)
}
