//! `shadow`: sends copies of safe requests to the live API in the background, and compares its answers with the
//! fixtures as `harproxy drift` does. The client waits for none of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::http::Method;
use ::http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderMap, RANGE,
    TRANSFER_ENCODING, UPGRADE,
};
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio_util::task::TaskTracker;

use super::control::entries_of;
use super::facts::RequestFacts;
use crate::drift::check::{check, not_compared};
use crate::drift::client::{DriftClient, NoAnswer, Pace};
use crate::drift::evidence::EndpointEvidence;
use crate::drift::finding::DriftFinding;
use crate::drift::redaction::{learn_secrets, redact};
use crate::drift::request::{ACCEPTED_CODINGS, LiveRequest};
use crate::drift::select::recorded_answer;
use crate::verdict::explain::many;
use harproxy_har::Fixture;
use harproxy_http::NormalUrl;
use harproxy_http::headers::is_hop_by_hop;
use harproxy_matching::EntryRef;
use harproxy_proxy::Origin;
use harproxy_proxy::upstream::Upstream;
use harproxy_redact::RedactionView;

/// The number of copies that wait for an answer. Further ones are not sent.
const MAX_PENDING: usize = 64;
/// The number of copies that one host gets at a time.
const CONCURRENCY: usize = 8;
/// The time limit of a copy.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The longest live payload that is compared, in bytes.
const MAX_PAYLOAD: usize = 4 << 20;
/// The number of differences in a finding.
const MAX_DIFFERENCES: usize = 5;

/// The copies of a run.
#[derive(Debug)]
pub struct Shadow {
    client: DriftClient,
    slots: Arc<Semaphore>,
    /// The number of copies that were not sent.
    skipped: AtomicU64,
    tasks: TaskTracker,
    /// The runtime of the run, which outlives the threads that serve.
    runtime: Handle,
    /// The redaction of findings.
    view: Arc<RedactionView>,
}

/// A copy of a request, and the fixtures with which its answer is compared.
pub struct ShadowCopy {
    pub request: LiveRequest,
    pub fixtures: Vec<Arc<Fixture>>,
    /// The entry that answered. Without one, that of the most similar URL counts.
    pub answering: Option<EntryRef>,
}

impl ShadowCopy {
    /// Returns the evidence of the entry. Blocking.
    fn recorded(&self) -> Result<EndpointEvidence, harproxy_har::Error> {
        let LiveRequest { method, url, .. } = &self.request;
        let most_similar = || entries_of(&self.fixtures, method, url).first().map(|entry| entry.at);
        let mut recorded = EndpointEvidence::default();
        if let Some(at) = self.answering.or_else(most_similar) {
            let answer = recorded_answer(&self.fixtures[at.fixture], at.entry);
            recorded.observe(&answer?);
        }
        Ok(recorded)
    }
}

impl Shadow {
    #[must_use]
    pub fn new(upstream: Upstream, runtime: Handle, view: Arc<RedactionView>) -> Self {
        let (interval, timeout) = (Duration::ZERO, TIME_LIMIT);
        let pace = Pace { concurrency: CONCURRENCY, interval, timeout, max_payload: MAX_PAYLOAD };
        Shadow {
            client: DriftClient::new(upstream, pace),
            slots: Arc::new(Semaphore::new(MAX_PENDING)),
            skipped: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            runtime,
            view,
        }
    }

    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        self.client.upstream()
    }

    /// Sends a copy. `note` is called with true if the server failed. `report` is called with the differences as one
    /// text and the next step, if there are any.
    pub fn send(
        self: &Arc<Self>,
        copy: ShadowCopy,
        note: impl FnOnce(bool) + Send + 'static,
        report: impl FnOnce(String, &'static str) + Send + 'static,
    ) {
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let shadow = self.clone();
        let compare = async move {
            let findings = shadow.compare(copy, note).await;
            if let Some(text) = describe(&findings) {
                let hint = match findings.iter().any(DriftFinding::is_about_the_run) {
                    true => "check that the live API is reachable, and the `headers` of the rule",
                    false => "record it again, or adapt the live API; `harproxy drift` compares all entries",
                };
                report(text, hint);
            }
            drop(slot);
        };
        self.tasks.spawn_on(compare, &self.runtime);
    }

    async fn compare(&self, copy: ShadowCopy, note: impl FnOnce(bool)) -> Vec<DriftFinding> {
        let answer = self.client.send(&copy.request).await;
        note(answer.as_ref().map_or(true, |answer| answer.status >= 500));
        let answer = match answer {
            Ok(answer) => answer,
            Err(NoAnswer { reason, .. }) => return vec![not_compared(reason)],
        };
        let view = self.view.clone();
        let compare = move || {
            let mut live = EndpointEvidence::default();
            live.observe(&answer);
            let recorded = match copy.recorded() {
                Ok(recorded) if recorded.answers > 0 => recorded,
                Ok(_) => return Vec::new(),
                Err(error) => return vec![not_compared(error.to_string())],
            };
            let redirect = |target: &str| match copy.request.url.join(target) {
                Ok(url) => url.to_string(),
                Err(_) => target.to_owned(),
            };
            let mut findings = check(&recorded, &live, &redirect);
            learn_secrets(&view, &findings, &answer);
            redact(&view, &mut findings);
            findings
        };
        spawn_blocking(compare).await.unwrap_or_else(|panic| vec![not_compared(panic.to_string())])
    }

    /// Waits for the copies that were sent, up to a time limit. Returns the number of copies without a result.
    pub async fn finish(&self, limit: Duration) -> u64 {
        self.tasks.close();
        let _ = tokio::time::timeout(limit, self.tasks.wait()).await;
        self.skipped.load(Ordering::Relaxed) + self.tasks.len() as u64
    }
}

/// Describes differences, the first ones in full.
fn describe(findings: &[DriftFinding]) -> Option<String> {
    let first = findings.first()?;
    if first.is_about_the_run() {
        return Some(format!("the live API was not compared: {}", first.text));
    }
    let mut text = format!("the live API differs in {}", many(findings.len() as u64, "place", "places"));
    for finding in findings.iter().take(MAX_DIFFERENCES) {
        text.push_str(&format!("\n{} at {}: {}", finding.check, finding.place, finding.text));
    }
    Some(text)
}

/// Returns true if the answer of a request can be compared: it is safe, has no payload, and asks neither for another
/// protocol nor for a stream of events.
#[must_use]
pub fn is_comparable(request: &RequestFacts) -> bool {
    let asks_for_events = request.header(ACCEPT.as_str()).iter().any(|value| value.contains("text/event-stream"));
    request.method.is_safe()
        && request.payload.is_empty()
        && !request.headers.contains_key(UPGRADE)
        && !request.headers.contains_key(TRANSFER_ENCODING)
        && request.headers.get(CONTENT_LENGTH).is_none_or(|length| length == "0")
        && !asks_for_events
}

/// Makes the copy of a request without a payload. `None` if it can't be sent.
#[must_use]
pub fn make_copy(method: Method, url: NormalUrl, origin: Origin, headers: &HeaderMap) -> Option<LiveRequest> {
    let connection = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let options: Vec<String> =
        connection.flat_map(|value| value.split(',')).map(|option| option.trim().to_ascii_lowercase()).collect();
    // The whole answer is compared, so that no condition and no range is sent.
    let own = [HOST, CONTENT_LENGTH, CONTENT_TYPE, ACCEPT_ENCODING, EXPECT, RANGE];
    let is_sent = |name: &str| {
        !is_hop_by_hop(name, &options) && !own.iter().any(|own| own.as_str() == name) && !name.starts_with("if-")
    };
    let mut sent: HeaderMap = headers
        .iter()
        .filter(|(name, _)| is_sent(name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    sent.insert(ACCEPT_ENCODING, ACCEPTED_CODINGS);
    let uri = url.as_str().parse().ok()?;
    Some(LiveRequest { method, url, uri, origin, headers: sent, payload: Bytes::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::checks::{self, DriftSeverity};
    use crate::drift::finding::DriftPlace;

    #[test]
    fn copy_asks_for_the_whole_answer() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "a.test"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("range", "bytes=0-1"),
            ("if-none-match", "\"1\""),
            ("accept", "application/json"),
            ("authorization", "Bearer t"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        let url = NormalUrl::parse("https://a.test/x").unwrap();
        let copy = make_copy(Method::GET, url.clone(), Origin::of_url(&url).unwrap(), &headers).unwrap();
        let mut names: Vec<&str> = copy.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "accept-encoding", "authorization"]);
    }

    #[test]
    fn differences_are_listed_up_to_a_limit() {
        assert_eq!(describe(&[]), None);
        let finding =
            DriftFinding::new(checks::STATUS_CHANGED, DriftSeverity::Warning, DriftPlace::Status, "it is 201");
        let text_of_one = describe(std::slice::from_ref(&finding)).unwrap();
        assert_eq!(text_of_one.lines().count(), 2);
        assert!(text_of_one.starts_with("the live API differs in 1 place\n"), "{text_of_one}");
        let many = describe(&vec![finding; 9]).unwrap();
        assert_eq!(many.lines().count(), 1 + MAX_DIFFERENCES);
        assert!(describe(&[not_compared("no route")]).unwrap().ends_with("was not compared: no route"));
    }
}
