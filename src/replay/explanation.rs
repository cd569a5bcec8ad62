//! Explains which entry answers a request, with the matcher of a replay. `harproxy explain` and the admin API of a mock
//! server share it.

use std::io::Read;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::serve::table::RuleExplanation;
use crate::verdict::explain::{EntryPlace, Explanation, RerunOptions};
use harproxy_har::{Entry, Payload};
use harproxy_http::problem::in_words;
use harproxy_matching::{Chosen, Difference, EntryRef, Matcher, Miss, MissKind, Outcome};

/// The answer of a request as JSON. Names and meanings are stable.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnswerExplanation {
    /// `serve`, `redirect`, `abort` or `miss`; `rule` if a rule answers in place of an entry.
    action: &'static str,
    fixture: Option<String>,
    entry: Option<usize>,
    status: Option<u16>,
    location: Option<String>,
    body_sha256: Option<String>,
    followed: Vec<usize>,
    score: Option<usize>,
    near: Vec<NearPlace>,
    remedy: Option<String>,
    /// The rules of `[[route]]` whose `match` fits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<RuleExplanation>,
}

#[derive(Debug, Serialize)]
struct NearPlace {
    fixture: String,
    entry: usize,
    differences: Vec<Difference>,
}

/// The entry of an answer, and the size and digest of its payload.
#[derive(Clone, Debug)]
pub struct AnswerBody {
    pub entry: Arc<Entry>,
    pub len: u64,
    pub sha256: String,
}

/// Reads the payload of an answer. An unreadable one is a miss, as in a replay.
#[must_use]
pub fn with_payload(matcher: &Matcher, outcome: Outcome) -> (Outcome, Option<AnswerBody>) {
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

impl AnswerExplanation {
    /// Adds the rules whose `match` fits.
    #[must_use]
    pub fn with_rules(self, rules: Vec<RuleExplanation>) -> Self {
        match rules.iter().any(RuleExplanation::answers) {
            true => AnswerExplanation { action: "rule", rules, ..AnswerExplanation::default() },
            false => AnswerExplanation { rules, ..self },
        }
    }

    /// Describes an answer. `globs` are those of `-g`.
    #[must_use]
    pub fn of(matcher: &Matcher, globs: &[String], outcome: &Outcome, body: Option<AnswerBody>) -> Self {
        let (action, chosen) = match outcome {
            Outcome::Serve(chosen) => ("serve", chosen),
            Outcome::Redirect(chosen) => ("redirect", chosen),
            Outcome::Abort(chosen) => ("abort", chosen),
            Outcome::Miss(miss) => {
                let near = miss.near.iter().map(|near| NearPlace {
                    fixture: fixture(matcher, near.at),
                    entry: near.at.entry,
                    differences: near.differences.clone(),
                });
                let (near, remedy) = (near.collect(), explain_miss(matcher, globs, miss).hint);
                return AnswerExplanation { action: "miss", near, remedy, ..AnswerExplanation::default() };
            }
        };
        AnswerExplanation {
            action,
            fixture: Some(fixture(matcher, chosen.at)),
            entry: Some(chosen.at.entry),
            // A recorded failure has no status.
            status: Some(chosen.status).filter(|status| *status > 0),
            location: location(chosen),
            body_sha256: body.map(|body| body.sha256),
            followed: chosen.followed.iter().map(|hop| hop.entry).collect(),
            score: Some(chosen.score),
            ..AnswerExplanation::default()
        }
    }
}

/// Returns the redirect location as the client receives it.
#[must_use]
pub fn location(chosen: &Chosen) -> Option<String> {
    let location = chosen.location.as_ref()?;
    let moved = chosen.same_host.as_ref().and_then(|same| same.moved(location));
    Some(moved.unwrap_or_else(|| location.clone()))
}

/// Explains a miss. `globs` are those of `-g`.
#[must_use]
pub fn explain_miss(matcher: &Matcher, globs: &[String], miss: &Miss) -> Explanation {
    Explanation::of(miss, |at| place(matcher, at), RerunOptions { globs, command: None })
}

/// Returns the place of an entry.
#[must_use]
pub fn place(matcher: &Matcher, at: EntryRef) -> EntryPlace {
    let line = matcher.fixtures()[at.fixture].heads().get(at.entry).map(|head| head.line);
    EntryPlace { fixture: fixture(matcher, at), entry: at.entry, line }
}

/// Returns the path of a fixture as given.
fn fixture(matcher: &Matcher, at: EntryRef) -> String {
    matcher.fixtures()[at.fixture].path().display().to_string()
}
