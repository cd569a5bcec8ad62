//! Sends the requests of a drift run, with limits for each host, and again after 429 and `Retry-After`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use ::http::header::RETRY_AFTER;
use ::http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::evidence::{AnswerPayload, ObservedAnswer};
use super::request::LiveRequest;
use crate::source::advice;
use harproxy_http::coding::{codings, decode};
use harproxy_http::headers::to_chars;
use harproxy_http::problem::in_words;
use harproxy_http::{DecodeLimit, Headers};
use harproxy_proxy::upstream::{ClientPool, SendError, Upstream};
use harproxy_proxy::{Body, Origin};
use harproxy_support::sync::lock;

/// The longest payload that a drift run reads, in bytes.
pub const MAX_PAYLOAD: usize = 64 << 20;
/// The number of attempts for a request that a host wants later.
const ATTEMPTS: u32 = 3;
/// The longest wait that a host can ask for.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The pace of the requests.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The number of requests to one host at a time.
    pub concurrency: usize,
    /// The shortest time between two requests to one host.
    pub interval: Duration,
    /// The time limit of an exchange.
    pub timeout: Duration,
    /// The longest payload that is read, in bytes.
    pub max_payload: usize,
}

/// The client of a drift run.
#[derive(Debug)]
pub struct DriftClient {
    upstream: Upstream,
    pool: ClientPool,
    pace: Pace,
    hosts: Mutex<HashMap<Origin, Arc<HostPace>>>,
}

/// The requests to one host.
#[derive(Debug)]
struct HostPace {
    slots: Semaphore,
    /// The time of the next request.
    next: Mutex<Instant>,
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    pub reason: String,
    /// The next step.
    pub advice: Option<String>,
}

impl From<String> for NoAnswer {
    fn from(reason: String) -> Self {
        NoAnswer { reason, advice: None }
    }
}

impl DriftClient {
    #[must_use]
    pub fn new(upstream: Upstream, pace: Pace) -> Self {
        DriftClient { upstream, pool: ClientPool::default(), pace, hosts: Mutex::default() }
    }

    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Sends a request and reads its answer. Redirects are not followed.
    ///
    /// # Errors
    /// [`NoAnswer`]
    pub async fn send(&self, request: &LiveRequest) -> Result<ObservedAnswer, NoAnswer> {
        let host = self.host(&request.origin);
        // The semaphore is never closed.
        let _slot = host.slots.acquire().await.map_err(|error| error.to_string())?;
        for attempt in 1.. {
            self.wait_for_turn(&host).await;
            let answer = self.exchange(request).await?;
            let Some(wait) = wait_time(&answer, attempt) else { return Ok(answer) };
            if attempt >= ATTEMPTS {
                return Ok(answer);
            }
            if wait > MAX_WAIT {
                return Err(format!("the host asks to wait {} s (status {})", wait.as_secs(), answer.status).into());
            }
            let mut next = lock(&host.next);
            *next = (*next).max(Instant::now() + wait);
        }
        Err("no attempt was made".to_owned().into())
    }

    fn host(&self, origin: &Origin) -> Arc<HostPace> {
        let new = || HostPace { slots: Semaphore::new(self.pace.concurrency), next: Mutex::new(Instant::now()) };
        lock(&self.hosts).entry(origin.clone()).or_insert_with(|| Arc::new(new())).clone()
    }

    async fn wait_for_turn(&self, host: &HostPace) {
        let now = Instant::now();
        let turn = {
            let mut next = lock(&host.next);
            let turn = (*next).max(now);
            *next = turn + self.pace.interval;
            turn
        };
        // A timer takes a millisecond at least.
        if turn > now {
            tokio::time::sleep_until(turn).await;
        }
    }

    async fn exchange(&self, request: &LiveRequest) -> Result<ObservedAnswer, NoAnswer> {
        let limit = self.pace.timeout;
        let answer = tokio::time::timeout(limit, self.attempt(request)).await;
        answer.unwrap_or_else(|_| Err(format!("no complete answer within {limit:?} (`--timeout`)").into()))
    }

    async fn attempt(&self, request: &LiveRequest) -> Result<ObservedAnswer, NoAnswer> {
        let sent = match self.upstream.send(&self.pool, &request.origin, http_request(request)?).await {
            // The host closed an idle connection at the same time. The request was not processed.
            Err(SendError::Stale) if request.method.is_safe() => {
                self.upstream.send(&self.pool, &request.origin, http_request(request)?).await
            }
            sent => sent,
        };
        let (head, body) = match sent {
            Ok(answer) => answer.response.into_parts(),
            Err(SendError::Upstream(error)) => {
                return Err(NoAnswer { reason: in_words(&error), advice: Some(advice(&request.origin, &error)) });
            }
            Err(error) => return Err(error.to_string().into()),
        };
        let payload = Limited::new(body, self.pace.max_payload).collect().await.map_err(|error| {
            match error.downcast_ref::<http_body_util::LengthLimitError>() {
                Some(_) => format!("the answer is longer than {} MiB", self.pace.max_payload >> 20),
                None => format!("the answer broke off: {error}"),
            }
        })?;
        Ok(ObservedAnswer {
            status: head.status.as_u16(),
            payload: decoded(&head.headers, &payload.to_bytes(), self.pace.max_payload),
            content_type: head
                .headers
                .get(::http::header::CONTENT_TYPE)
                .map(|value| to_chars(value.as_bytes()).into_owned())
                .unwrap_or_default(),
            headers: Headers::from(&head.headers),
        })
    }
}

fn http_request(request: &LiveRequest) -> Result<Request<Body>, String> {
    let payload = request.payload.clone();
    let body = if payload.is_empty() { Body::default() } else { Body::full(payload) };
    let mut sent = Request::builder()
        .method(request.method.clone())
        .uri(request.uri.clone())
        .body(body)
        .map_err(|error| error.to_string())?;
    *sent.headers_mut() = request.headers.clone();
    if !request.payload.is_empty() {
        sent.headers_mut().insert(::http::header::CONTENT_LENGTH, request.payload.len().into());
    }
    Ok(sent)
}

fn decoded(headers: &HeaderMap, payload: &bytes::Bytes, limit: usize) -> AnswerPayload {
    if payload.is_empty() {
        return AnswerPayload::Empty;
    }
    let values = headers.get_all(::http::header::CONTENT_ENCODING);
    match codings(values.iter().map(|value| value.as_bytes())) {
        Some(codings) if codings.is_empty() => AnswerPayload::Bytes(payload.clone()),
        Some(codings) => match decode(&codings, payload, DecodeLimit::new(limit as u64).bytes()) {
            Some(decoded) if decoded.is_empty() => AnswerPayload::Empty,
            Some(decoded) => AnswerPayload::Bytes(decoded.into()),
            None => AnswerPayload::Unknown,
        },
        None => AnswerPayload::Unknown,
    }
}

/// Returns how long to wait before the next attempt: what `Retry-After` says (RFC 9110 section 10.2.3), else one second
/// more with each 429. `None` for an answer that counts.
fn wait_time(answer: &ObservedAnswer, attempt: u32) -> Option<Duration> {
    let status = answer.status;
    if status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    let asked = answer.headers.get_str(RETRY_AFTER.as_str()).map(str::trim).and_then(|value| {
        let seconds = value.parse().ok().map(Duration::from_secs);
        let date = || httpdate::parse_http_date(value).ok();
        seconds.or_else(|| Some(date()?.duration_since(SystemTime::now()).unwrap_or_default()))
    });
    match asked {
        None if status == StatusCode::SERVICE_UNAVAILABLE => None,
        None => Some(Duration::from_secs(u64::from(attempt))),
        asked => asked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_decide_when_they_are_asked_again() {
        let answer = |status, after: Option<&str>| {
            let mut headers = Headers::default();
            after.into_iter().for_each(|after| headers.push("retry-after", after.to_owned()));
            ObservedAnswer { status, headers, ..ObservedAnswer::default() }
        };
        let seconds = |status, after| wait_time(&answer(status, after), 2).map(|wait| wait.as_secs());
        assert_eq!(seconds(200, Some("7")), None);
        assert_eq!(seconds(429, Some("7")), Some(7));
        assert_eq!(seconds(429, Some("Wed, 01 Jan 2020 00:00:00 GMT")), Some(0));
        assert_eq!(seconds(429, None), Some(2));
        assert_eq!(seconds(503, Some(" 3 ")), Some(3));
        assert_eq!(seconds(503, None), None);
    }
}
