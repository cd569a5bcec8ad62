//! `harproxy explain`: explains which entry answers a request, with the matcher of `replay`.

mod account;
pub mod requests;

use std::io::Read;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::cli::advice::Failure;
use crate::cli::args::diagnose::ExplainArgs;
use crate::cli::plan;
use crate::cli::ui::Ui;
use crate::replay;
use crate::serve::rule::{RouteTable, RuleExplanation};
use crate::verdict::exit;
use account::Account;
use harproxy_har::{Entry, Payload};
use harproxy_http::problem::in_words;
use harproxy_matching::{Chosen, Difference, EntryRef, Matcher, Miss, MissKind, Outcome, Query, RequestSession};
use harproxy_redact::RedactionView;

/// Runs the command: answers the requests in order, so that sequences advance.
/// A miss is not an error.
pub fn run(mut args: ExplainArgs, ui: &Ui) -> Result<u8, Failure> {
    let requests = requests::read(&mut args)?;
    let json = args.json;
    let config = &args.config.loaded;
    let (scope, matching) = (plan::scope(&args.glob)?, plan::matching_options(args.matching, config));
    let matcher = replay::open(&plan::fixtures_or_default(args.fixtures), scope, matching)?;
    let table = RouteTable { rules: config.routes.clone(), ..RouteTable::default() };
    let view = Arc::new(RedactionView::new(config.policy.clone(), &config.redact_values()));
    let matcher = matcher.redact_with(view);
    for (n, request) in requests.enumerate() {
        let request = request?;
        let query = request.query();
        let rules = if table.rules.is_empty() { Vec::new() } else { table.explain(&request.facts()) };
        let written = if json {
            let (outcome, body) = answer(&matcher, &query);
            ui.json(&format!(
                "{}\n",
                serde_json::json!(JsonAnswer { rules, ..JsonAnswer::of(&matcher, &args.glob, &outcome, body) })
            ))
        } else {
            // The candidates before the answer advances the sequence.
            let contenders = matcher.contenders(&query, RequestSession::default());
            let (outcome, body) = answer(&matcher, &query);
            let account = Account {
                matcher: &matcher,
                globs: &args.glob,
                query: &query,
                outcome: &outcome,
                contenders: &contenders,
                rules: &rules,
            };
            ui.data(&format!("{}{}\n", if n == 0 { "" } else { "\n" }, account.text(body.as_ref())))
        };
        written.map_err(Failure::Output)?;
    }
    Ok(exit::SUCCESS)
}

/// The output of `--json` for a request. Names and meanings are stable.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonAnswer {
    /// `serve`, `redirect`, `abort` or `miss`.
    action: &'static str,
    fixture: Option<String>,
    entry: Option<usize>,
    status: Option<u16>,
    location: Option<String>,
    body_sha256: Option<String>,
    followed: Vec<usize>,
    score: Option<usize>,
    near: Vec<Near>,
    remedy: Option<String>,
    /// The rules of `[[route]]` whose `match` fits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<RuleExplanation>,
}

#[derive(Debug, Serialize)]
struct Near {
    fixture: String,
    entry: usize,
    differences: Vec<Difference>,
}

#[derive(Clone, Debug)]
struct AnswerBody {
    entry: Arc<Entry>,
    len: u64,
    sha256: String,
}

/// Finds the answer, advances its sequence, and reads its payload. An unreadable payload is a miss, as in a replay.
fn answer(matcher: &Matcher, query: &Query<'_>) -> (Outcome, Option<AnswerBody>) {
    let outcome = matcher.answer(query, None);
    let (Outcome::Serve(chosen) | Outcome::Redirect(chosen)) = &outcome else { return (outcome, None) };
    match body(matcher, chosen) {
        Ok(body) => (outcome, Some(body)),
        Err(error) => (Outcome::Miss(Box::new(Miss::of(MissKind::Unreadable(chosen.at, in_words(&error))))), None),
    }
}

fn body(matcher: &Matcher, chosen: &Chosen) -> Result<AnswerBody, harproxy_har::Error> {
    let fixture = &matcher.fixtures()[chosen.at.fixture];
    let entry = fixture.entry(chosen.at.entry)?;
    let payload: Payload = fixture.payload(chosen.at.entry, &entry.response.content)?;
    let reading = |source| harproxy_har::Error::Io { doing: "reading", path: fixture.path().to_owned(), source };
    let (mut reader, mut digest, mut len) = (payload.reader()?, Sha256::new(), 0);
    let mut buffer = vec![0; 64 * 1024];
    while let n @ 1.. = reader.read(&mut buffer).map_err(reading)? {
        digest.update(&buffer[..n]);
        len += n as u64;
    }
    Ok(AnswerBody { entry, len, sha256: harproxy_har::digest::hex(&digest.finalize()) })
}

impl JsonAnswer {
    fn of(matcher: &Matcher, globs: &[String], outcome: &Outcome, body: Option<AnswerBody>) -> Self {
        let (action, chosen) = match outcome {
            Outcome::Serve(chosen) => ("serve", chosen),
            Outcome::Redirect(chosen) => ("redirect", chosen),
            Outcome::Abort(chosen) => ("abort", chosen),
            Outcome::Miss(miss) => {
                let near = miss.near.iter().map(|near| Near {
                    fixture: fixture(matcher, near.at),
                    entry: near.at.entry,
                    differences: near.differences.clone(),
                });
                let (near, remedy) = (near.collect(), account::explain(matcher, globs, miss).hint);
                return JsonAnswer { action: "miss", near, remedy, ..JsonAnswer::default() };
            }
        };
        JsonAnswer {
            action,
            fixture: Some(fixture(matcher, chosen.at)),
            entry: Some(chosen.at.entry),
            // A recorded failure has no status.
            status: Some(chosen.status).filter(|status| *status > 0),
            location: location(chosen),
            body_sha256: body.map(|body| body.sha256),
            followed: chosen.followed.iter().map(|hop| hop.entry).collect(),
            score: Some(chosen.score),
            ..JsonAnswer::default()
        }
    }
}

/// Returns the redirect location as the client receives it.
fn location(chosen: &Chosen) -> Option<String> {
    let location = chosen.location.as_ref()?;
    let moved = chosen.same_host.as_ref().and_then(|same| same.moved(location));
    Some(moved.unwrap_or_else(|| location.clone()))
}

/// Returns the path of a fixture as given.
fn fixture(matcher: &Matcher, at: EntryRef) -> String {
    matcher.fixtures()[at.fixture].path().display().to_string()
}
