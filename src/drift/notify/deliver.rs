//! Webhooks, and the delivery of notifications to them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use ::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use ::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;

use crate::drift::login::{MissingValue, ValueSource};
use harproxy_http::NormalUrl;
use harproxy_http::problem::in_words;
use harproxy_proxy::upstream::{ClientPool, SendError, Upstream};
use harproxy_proxy::{Body, Origin};

/// The number of attempts for a notification that a service wants later.
const ATTEMPTS: u32 = 3;
/// The longest wait that a service can ask for.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// The time limit of an attempt.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The longest payload of an answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("harproxy/", env!("CARGO_PKG_VERSION")));

/// The service that a webhook belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyKind {
    Slack,
    Discord,
    /// Another program, which gets the JSON report.
    Webhook,
}

/// Writes the name for sentences: `Slack`, `Discord`, `the webhook`.
impl fmt::Display for NotifyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotifyKind::Slack => "Slack",
            NotifyKind::Discord => "Discord",
            NotifyKind::Webhook => "the webhook",
        })
    }
}

/// A webhook of `[drift.notify]`. Its URL is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct NotifyTarget {
    pub kind: NotifyKind,
    pub url: ValueSource,
}

impl NotifyTarget {
    /// Parses the URL of a webhook as the configuration spells it: `env:NAME`.
    ///
    /// # Errors
    /// A sentence for the user, without the value.
    pub fn parse(kind: NotifyKind, value: &str) -> Result<Self, &'static str> {
        match ValueSource::parse(value)? {
            url @ ValueSource::Variable(_) => Ok(NotifyTarget { kind, url }),
            ValueSource::Text(_) | ValueSource::Literal(_) => {
                Err("the URL of a webhook is a secret: set it in an environment variable, and name \
                                         the variable, such as `env:SLACK_WEBHOOK`")
            }
        }
    }

    /// Returns the URL.
    ///
    /// # Errors
    /// The variable that is not set.
    pub fn url(&self) -> Result<String, MissingValue> {
        self.url.resolve(&BTreeMap::new())
    }
}

/// Writes the kind and the name of the variable, without a URL.
impl fmt::Debug for NotifyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = match &self.url {
            ValueSource::Variable(name) => format!("env:{name}"),
            ValueSource::Text(_) | ValueSource::Literal(_) => "(redacted)".to_owned(),
        };
        f.debug_struct("NotifyTarget").field("kind", &self.kind).field("url", &url).finish()
    }
}

/// A notification that was not delivered. Neither text contains the path of the URL, which is a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the notification to {kind} was not delivered: {problem}")]
pub struct DeliveryError {
    pub kind: NotifyKind,
    pub problem: DeliveryProblem,
}

/// The reason why a notification was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryProblem {
    #[error("{0}")]
    MissingUrl(MissingValue),
    #[error("the URL of the webhook is not a valid http or https URL without a user name")]
    Url,
    /// There is no answer, for the reason in words.
    #[error("{0}")]
    NoAnswer(String),
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// A status outside 2xx. Slack names the error, such as `no_service`.
    #[error("status {status}{}", code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Status { status: u16, code: Option<String> },
    #[error("status 429, and the next attempt would be allowed in {seconds} s")]
    TooLongWait { seconds: u64 },
}

/// An answer of a webhook.
struct WebhookAnswer {
    status: StatusCode,
    headers: HeaderMap,
    payload: Bytes,
}

/// Sends a notification to a webhook. `url` is the value of `target.url`. Redirects are not followed.
///
/// A service that answers 429 gets the notification again after its `Retry-After`, at most three times in total.
///
/// # Errors
/// [`DeliveryError`]
pub async fn deliver(
    target: &NotifyTarget,
    url: &str,
    payload: String,
    upstream: &Upstream,
) -> Result<(), DeliveryError> {
    let kind = target.kind;
    let failed = |problem| DeliveryError { kind, problem };
    let (origin, uri) = address(url).ok_or_else(|| failed(DeliveryProblem::Url))?;
    let payload = Bytes::from(payload);
    let mut attempt = 0;
    loop {
        attempt += 1;
        let sent = tokio::time::timeout(TIMEOUT, send(upstream, &origin, request(&uri, &payload))).await;
        let answer = sent.map_err(|_| failed(DeliveryProblem::Timeout))?;
        let answer = answer.map_err(|reason| failed(DeliveryProblem::NoAnswer(reason)))?;
        if answer.status.is_success() {
            return Ok(());
        }
        if answer.status != StatusCode::TOO_MANY_REQUESTS || attempt >= ATTEMPTS {
            let code = error_code(kind, &answer.payload).filter(|code| !url.contains(code));
            return Err(failed(DeliveryProblem::Status { status: answer.status.as_u16(), code }));
        }
        let wait = wait_time(kind, &answer).unwrap_or(Duration::from_secs(u64::from(attempt)));
        if wait > MAX_WAIT {
            return Err(failed(DeliveryProblem::TooLongWait { seconds: wait.as_secs() }));
        }
        tokio::time::sleep(wait).await;
    }
}

/// Returns the origin and the URI of a URL. A user name is not supported, because it would need a header of its own.
fn address(url: &str) -> Option<(Origin, Uri)> {
    let url = NormalUrl::parse(url.trim()).ok()?;
    let origin = Origin::of_url(&url)?;
    let has_user_name = url.parts().origin.contains('@');
    let uri = url.as_str().parse().ok().filter(|_| !has_user_name)?;
    Some((origin, uri))
}

fn request(uri: &Uri, payload: &Bytes) -> Request<Body> {
    let mut request = Request::new(Body::full(payload.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, AGENT);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, payload.len().into());
    request
}

/// Sends a request on a connection of its own, or on a shared HTTP/2 connection.
async fn send(upstream: &Upstream, to: &Origin, request: Request<Body>) -> Result<WebhookAnswer, String> {
    let answer = upstream.send(&ClientPool::default(), to, request).await.map_err(|error| match error {
        // The error names the origin only.
        SendError::Upstream(error) => in_words(&error),
        error => error.to_string(),
    })?;
    let (head, body) = answer.response.into_parts();
    // The status decides. The payload of a refusal is optional.
    let payload = match head.status.is_success() {
        true => Bytes::new(),
        false => Limited::new(body, MAX_ANSWER).collect().await.map(|body| body.to_bytes()).unwrap_or_default(),
    };
    Ok(WebhookAnswer { status: head.status, headers: head.headers, payload })
}

/// Returns the wait that a service asks for: `retry_after` in the JSON of Discord, else `Retry-After` (RFC 9110 section
/// 10.2.3).
fn wait_time(kind: NotifyKind, answer: &WebhookAnswer) -> Option<Duration> {
    let in_payload = || {
        let payload: Value = serde_json::from_slice(&answer.payload).ok()?;
        duration(payload.get("retry_after")?.as_f64()?)
    };
    let in_header = || {
        let value = answer.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let date = || httpdate::parse_http_date(value).ok();
        match value.parse().ok() {
            Some(seconds) => duration(seconds),
            None => Some(date()?.duration_since(SystemTime::now()).unwrap_or_default()),
        }
    };
    match kind {
        NotifyKind::Discord => in_payload().or_else(in_header),
        NotifyKind::Slack | NotifyKind::Webhook => in_header(),
    }
}

/// Returns a duration of seconds. `None` for a number that is negative or not a number.
fn duration(seconds: f64) -> Option<Duration> {
    (seconds >= 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// Returns the error that Slack names in its answer. Other text could contain the URL, and is left out.
fn error_code(kind: NotifyKind, payload: &[u8]) -> Option<String> {
    let code = std::str::from_utf8(payload).ok()?.trim();
    let is_code = (1..=60).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    (kind == NotifyKind::Slack && is_code).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;
    use harproxy_proxy::upstream::Timeouts;

    const PATH: &str = "/services/T0SECRET/B0SECRET?key=SECRET";

    fn target(kind: NotifyKind) -> NotifyTarget {
        NotifyTarget::parse(kind, "env:HOOK").unwrap()
    }

    /// Serves one answer on each connection. The task returns the requests.
    async fn serve(answers: &'static [&'static str]) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{PATH}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let mut requests = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"{\"end\":1}") {
                    assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
                }
                requests.push(String::from_utf8(request).unwrap());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            requests
        });
        (url, task)
    }

    async fn send_to(kind: NotifyKind, url: &str) -> Result<(), DeliveryError> {
        deliver(&target(kind), url, "{\"end\":1}".to_owned(), &Upstream::loopback(Timeouts::default())).await
    }

    fn assert_without_secret(error: &DeliveryError) {
        for text in [error.to_string(), format!("{error:?}"), format!("{error:#?}")] {
            assert!(!text.contains("SECRET") && !text.contains("services"), "{text}");
        }
    }

    const TOO_MANY: &str = "HTTP/1.1 429 Too Many\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

    #[tokio::test]
    async fn notification_is_sent_again_after_429() {
        let (url, task) = serve(&[TOO_MANY, OK]).await;
        send_to(NotifyKind::Slack, &url).await.unwrap();
        let requests = task.await.unwrap();
        assert_eq!(requests.len(), 2);
        for request in requests {
            let request = request.to_ascii_lowercase();
            assert!(request.starts_with(&format!("post {} http/1.1\r\n", PATH.to_ascii_lowercase())), "{request}");
            assert!(request.contains("\r\ncontent-type: application/json\r\n"), "{request}");
            assert!(request.contains("\r\ncontent-length: 9\r\n"), "{request}");
            assert!(request.contains("\r\nhost: 127.0.0.1:"), "{request}");
        }
    }

    #[tokio::test]
    async fn wait_in_the_payload_of_discord_comes_before_the_header() {
        const LIMITED: &str = "HTTP/1.1 429 Too Many\r\nRetry-After: 3600\r\nContent-Length: 19\r\n\
                               Connection: close\r\n\r\n{\"retry_after\":0.0}";
        const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        let (url, task) = serve(&[LIMITED, NO_CONTENT]).await;
        send_to(NotifyKind::Discord, &url).await.unwrap();
        assert_eq!(task.await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn third_429_is_an_error() {
        let (url, task) = serve(&[TOO_MANY, TOO_MANY, TOO_MANY]).await;
        let error = send_to(NotifyKind::Webhook, &url).await.unwrap_err();
        assert_eq!(error.to_string(), "the notification to the webhook was not delivered: status 429");
        assert_without_secret(&error);
        assert_eq!(task.await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn long_wait_is_an_error() {
        const LATER: &str = "HTTP/1.1 429 Too Many\r\nRetry-After: 61\r\nContent-Length: 0\r\n\r\n";
        let (url, _task) = serve(&[LATER]).await;
        let error = send_to(NotifyKind::Slack, &url).await.unwrap_err();
        assert_eq!(error.problem, DeliveryProblem::TooLongWait { seconds: 61 });
        assert_without_secret(&error);
    }

    #[tokio::test]
    async fn statuses_outside_2xx_are_errors_without_the_url() {
        const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\nno_service";
        const ECHO: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nservices";
        const MOVED: &str = "HTTP/1.1 302 Found\r\nLocation: /services/SECRET\r\nContent-Length: 0\r\n\r\n";
        let cases = [
            (NotifyKind::Slack, NOT_FOUND, "Slack was not delivered: status 404 (no_service)"),
            (NotifyKind::Slack, ECHO, "Slack was not delivered: status 404"),
            (NotifyKind::Discord, NOT_FOUND, "Discord was not delivered: status 404"),
            (NotifyKind::Webhook, MOVED, "the webhook was not delivered: status 302"),
        ];
        for (kind, answer, expected) in cases {
            let (url, task) = serve(Box::leak(Box::new([answer]))).await;
            let error = send_to(kind, &url).await.unwrap_err();
            assert_eq!(error.to_string(), format!("the notification to {expected}"));
            assert_without_secret(&error);
            assert_eq!(task.await.unwrap().len(), 1);
        }
    }

    #[tokio::test]
    async fn refused_connection_is_an_error_with_the_host() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = send_to(NotifyKind::Discord, &format!("http://{address}{PATH}")).await.unwrap_err();
        let start = format!("the notification to Discord was not delivered: connecting to http://{address}");
        assert!(error.to_string().starts_with(&start), "{error}");
        assert_without_secret(&error);
    }

    #[tokio::test]
    async fn invalid_urls_are_errors_without_the_url() {
        for url in ["SECRET", "ftp://a.test/SECRET", "https:///SECRET:x", "https://me:SECRET@a.test/services", ""] {
            let error = send_to(NotifyKind::Slack, url).await.unwrap_err();
            assert_eq!(error.problem, DeliveryProblem::Url, "{error}");
            assert_without_secret(&error);
        }
    }

    #[test]
    fn wait_time_is_read_from_header_and_payload() {
        let wait = |kind, header: &'static str, payload: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(header));
            let status = StatusCode::TOO_MANY_REQUESTS;
            wait_time(kind, &WebhookAnswer { status, headers, payload: Bytes::from_static(payload.as_bytes()) })
        };
        let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
        use NotifyKind::{Discord, Slack};
        assert_eq!(wait(Slack, " 7 ", ""), seconds(7.0));
        assert_eq!(wait(Slack, "7", "{\"retry_after\":1.5}"), seconds(7.0));
        assert_eq!(wait(Slack, "Wed, 01 Jan 2020 00:00:00 GMT", ""), seconds(0.0));
        assert_eq!(wait(Slack, "soon", ""), None);
        assert_eq!(wait(Slack, "-1", ""), None);
        assert_eq!(wait(Slack, "NaN", ""), None);
        assert_eq!(wait(Slack, "1e300", ""), Some(Duration::MAX));
        assert_eq!(wait(Discord, "7", "{\"retry_after\":1.5}"), seconds(1.5));
        assert_eq!(wait(Discord, "7", "{\"retry_after\":-1}"), seconds(7.0));
        assert_eq!(wait(Discord, "7", "["), seconds(7.0));
    }

    #[test]
    fn targets_name_a_variable_and_debug_hides_urls() {
        assert_eq!(format!("{:?}", target(NotifyKind::Slack)), "NotifyTarget { kind: Slack, url: \"env:HOOK\" }");
        let error = NotifyTarget::parse(NotifyKind::Slack, "https://hooks.test/SECRET").unwrap_err();
        assert!(!error.contains("hooks.test"), "{error}");
        let url = ValueSource::Text("https://hooks.test/SECRET".to_owned());
        let literal = NotifyTarget { kind: NotifyKind::Slack, url };
        assert!(!format!("{literal:?}").contains("hooks.test"));
    }
}
