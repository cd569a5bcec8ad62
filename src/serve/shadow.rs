//! `shadow`: sends copies of safe requests to the live API in the background, and compares its answers with the
//! fixtures as `harproxy drift` does. The client waits for none of it.

use std::sync::Arc;
use std::time::Duration;

use ::http::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, HOST, HeaderMap, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};
use ::http::{HeaderValue, Method};
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::drift::check::{check, not_compared};
use crate::drift::client::{DriftClient, NoAnswer, Pace};
use crate::drift::evidence::EndpointEvidence;
use crate::drift::finding::DriftFinding;
use crate::drift::request::LiveRequest;
use crate::drift::select::recorded_answer;
use crate::verdict::explain::many;
use harproxy_har::Fixture;
use harproxy_http::NormalUrl;
use harproxy_http::headers::is_hop_by_hop;
use harproxy_matching::EntryRef;
use harproxy_proxy::Origin;
use harproxy_proxy::upstream::Upstream;

/// The number of copies that wait for an answer. Further ones are not sent.
const MAX_PENDING: usize = 64;
/// The number of copies that one host gets at a time.
const CONCURRENCY: usize = 8;
/// The time limit of a copy.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The number of differences in a finding.
const MAX_DIFFERENCES: usize = 5;

/// The copies of a run.
#[derive(Debug)]
pub struct Shadow {
    client: DriftClient,
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
    /// The runtime of the run, which outlives the threads that serve.
    runtime: Handle,
}

/// A copy of a request, and the entries that its answer is compared with.
pub struct ShadowCopy {
    pub request: LiveRequest,
    pub fixtures: Vec<Arc<Fixture>>,
    pub entries: Vec<EntryRef>,
}

impl Shadow {
    #[must_use]
    pub fn new(upstream: Upstream, runtime: Handle) -> Self {
        let pace = Pace { concurrency: CONCURRENCY, interval: Duration::ZERO, timeout: TIME_LIMIT };
        Shadow {
            client: DriftClient::new(upstream, pace),
            slots: Arc::new(Semaphore::new(MAX_PENDING)),
            tasks: TaskTracker::new(),
            runtime,
        }
    }

    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        self.client.upstream()
    }

    /// Sends a copy. `report` gets the differences as one text, if there are any.
    pub fn send(self: &Arc<Self>, copy: ShadowCopy, report: impl FnOnce(String) + Send + 'static) {
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            tracing::debug!("{MAX_PENDING} copies wait for the live API; another one was not sent");
            return;
        };
        let shadow = self.clone();
        let compare = async move {
            let findings = shadow.compare(&copy).await;
            if let Some(text) = text(&findings) {
                report(text);
            }
            drop(slot);
        };
        self.tasks.spawn_on(compare, &self.runtime);
    }

    async fn compare(&self, copy: &ShadowCopy) -> Vec<DriftFinding> {
        let answer = match self.client.send(&copy.request).await {
            Ok(answer) => answer,
            Err(NoAnswer { reason, .. }) => return vec![not_compared(reason)],
        };
        let (mut recorded, mut live) = (EndpointEvidence::default(), EndpointEvidence::default());
        live.observe(&answer);
        for at in &copy.entries {
            let fixture = &copy.fixtures[at.fixture];
            match recorded_answer(fixture, at.entry) {
                Ok(answer) => recorded.observe(&answer),
                Err(error) => return vec![not_compared(error.to_string())],
            }
        }
        check(&recorded, &live, &|target| {
            copy.request.url.join(target).map_or_else(|_| target.to_owned(), |url| url.to_string())
        })
    }

    /// Waits for the copies that were sent, up to a time limit.
    pub async fn finish(&self, limit: Duration) {
        self.tasks.close();
        if tokio::time::timeout(limit, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                "{} got no answer before the end of the run",
                many(self.tasks.len() as u64, "copy", "copies")
            );
        }
    }
}

/// Describes differences, the first ones in full.
fn text(findings: &[DriftFinding]) -> Option<String> {
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

/// Makes the copy of a request without a payload. `None` if it can't be sent.
#[must_use]
pub fn copy_of(method: Method, url: NormalUrl, origin: Origin, headers: &HeaderMap) -> Option<LiveRequest> {
    let connection = headers.get_all("connection").iter().filter_map(|value| value.to_str().ok());
    let options: Vec<String> =
        connection.flat_map(|value| value.split(',')).map(|option| option.trim().to_ascii_lowercase()).collect();
    // The whole answer is compared.
    let left_out = [
        HOST,
        CONTENT_LENGTH,
        ACCEPT_ENCODING,
        RANGE,
        IF_MATCH,
        IF_NONE_MATCH,
        IF_MODIFIED_SINCE,
        IF_UNMODIFIED_SINCE,
        IF_RANGE,
    ];
    let is_sent = |name: &str| !is_hop_by_hop(name, &options) && !left_out.iter().any(|left| left.as_str() == name);
    let mut sent: HeaderMap = headers
        .iter()
        .filter(|(name, _)| is_sent(name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    sent.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, br, zstd"));
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
        let copy = copy_of(Method::GET, url.clone(), Origin::of_url(&url).unwrap(), &headers).unwrap();
        let mut names: Vec<&str> = copy.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "accept-encoding", "authorization"]);
    }

    #[test]
    fn differences_are_listed_up_to_a_limit() {
        assert_eq!(text(&[]), None);
        let finding =
            DriftFinding::new(checks::STATUS_CHANGED, DriftSeverity::Warning, DriftPlace::Status, "it is 201");
        let text_of_one = text(std::slice::from_ref(&finding)).unwrap();
        assert_eq!(text_of_one.lines().count(), 2);
        assert!(text_of_one.starts_with("the live API differs in 1 place\n"), "{text_of_one}");
        let many = text(&vec![finding; 9]).unwrap();
        assert_eq!(many.lines().count(), 1 + MAX_DIFFERENCES);
        assert!(text(&[not_compared("no route")]).unwrap().ends_with("was not compared: no route"));
    }
}
