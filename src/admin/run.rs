//! Operations on the run: health, verification, reset.

use serde::Deserialize;
use serde_json::{Value, json};

use super::api::AdminApi;
use crate::serve::expect::{ExpectationResult, RequestTally};
use crate::serve::memory::ResetParts;
use harproxy_http::problem::Problem;

/// The payload of `POST /reset`. Without a part, all parts are reset.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ResetRequest {
    sequence: bool,
    state: bool,
    counts: bool,
    /// Of this session alone.
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
    pub(super) fn verify(&self, payload: Option<Value>) -> Result<Value, Problem> {
        let results = match payload {
            None => self.rules.verification.results(),
            Some(payload) => self.verify_history(&payload)?,
        };
        Ok(json!({ "met": results.iter().all(|result| result.met), "expectations": results }))
    }

    fn verify_history(&self, payload: &Value) -> Result<Vec<ExpectationResult>, Problem> {
        let invalid = |reason: String| Problem::new(400, "the expectations are not valid", reason);
        let given = payload.get("expect").ok_or_else(|| invalid("the payload has no `expect`".to_owned()))?;
        let expectations = (self.parsers.expectations)(given).map_err(invalid)?;
        let mut tally = RequestTally::default();
        self.history.for_each(|request, row| {
            // A preflight is not a call of the program.
            if request.method == "OPTIONS" && request.headers.contains_key("access-control-request-method") {
                return;
            }
            let (facts, line) = (request.facts(), format!("{} {}", row.method, row.url));
            tally.note(&expectations, request.method.as_str(), request.url.as_str(), || facts.json(), line);
        });
        Ok(tally.results(&expectations))
    }

    pub(super) fn reset(&self, request: ResetRequest) {
        let ResetRequest { sequence, state, counts, session } = request;
        let parts = ResetParts { sequence, state, counts };
        let parts = if parts == ResetParts::default() { ResetParts::ALL } else { parts };
        self.rules.reset(parts, session.as_deref());
        self.replayer.reset(parts.sequence, parts.counts && session.is_none(), session.as_deref());
    }
}
