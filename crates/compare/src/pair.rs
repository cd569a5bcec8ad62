//! Pairs of corresponding exchanges of two recordings.

use std::collections::HashSet;

use harproxy_http::url::{Parts, is_loopback_host};
use harproxy_redact::placeholder;
use url::form_urlencoded;

use crate::projection::{KEY_HEADERS, key_header_values};
use crate::{Body, Content, ContentKey, Exchange, Pairing, Projection, Request, RequestKey};

/// Pairs the exchanges of two recordings.
///
/// Exchanges with the same request and the same response are paired first, then those with the same request. The rest
/// asks for something that varies: it is paired in order if all but identifiers in the path, values of the query and
/// values of the payload is equal. An exchange that repeats a paired one of its recording is excluded: polls differ in
/// length.
#[must_use]
pub fn pair_exchanges(left: &[Exchange<'_>], right: &[Exchange<'_>], projection: &Projection) -> Pairing {
    let [left_keys, right_keys] =
        [left, right].map(|list| list.iter().map(|one| ExchangeKeys::of(one, projection)).collect::<Vec<_>>());
    let mut pairing = Pairing::new(left.len(), right.len());
    pairing.pair_by_key(|at| left_keys[at].whole(), |at| right_keys[at].whole());
    pairing.pair_by_key(|at| &left_keys[at].request, |at| &right_keys[at].request);
    exclude_repeats(&mut pairing, &left_keys, &right_keys);
    let shapes = [left, right].map(|list| list.iter().map(|one| request_shape(&one.request)).collect::<Vec<_>>());
    pairing.pair_by_key(|at| &shapes[0][at], |at| &shapes[1][at]);
    let operation = |shape: &RequestShape| (shape.path.clone(), shape.headers.clone());
    pairing.pair_by_key(|at| operation(&shapes[0][at]), |at| operation(&shapes[1][at]));
    pairing
}

/// The parts of an exchange that count.
struct ExchangeKeys {
    request: RequestKey,
    status: i32,
    content: ContentKey,
}

impl ExchangeKeys {
    fn of(exchange: &Exchange<'_>, projection: &Projection) -> Self {
        ExchangeKeys {
            request: projection.request_key(&exchange.request),
            status: exchange.response.status,
            content: projection.response_content(&exchange.response.body),
        }
    }

    fn whole(&self) -> (&RequestKey, i32, ContentKey) {
        (&self.request, self.status, self.content)
    }
}

fn exclude_repeats(pairing: &mut Pairing, left: &[ExchangeKeys], right: &[ExchangeKeys]) {
    let pairs = pairing.pairs();
    let paired: HashSet<_> = pairs.iter().map(|(at, _)| left[*at].whole()).collect();
    let repeats = |free: Vec<usize>, keys: &[ExchangeKeys], paired: &HashSet<_>| -> Vec<usize> {
        free.into_iter().filter(|at| paired.contains(&keys[*at].whole())).collect()
    };
    for at in repeats(pairing.free_left(), left, &paired) {
        pairing.exclude_left(at);
    }
    let paired: HashSet<_> = pairs.iter().map(|(_, at)| right[*at].whole()).collect();
    for at in repeats(pairing.free_right(), right, &paired) {
        pairing.exclude_right(at);
    }
}

/// The constant part of requests whose identifiers and values vary.
#[derive(PartialEq, Eq, Hash)]
struct RequestShape {
    /// Method, origin and path, with `{}` for identifiers.
    path: String,
    /// The headers that select an operation.
    headers: Vec<(String, Vec<u8>)>,
    /// The names of the query parameters.
    query: Vec<String>,
    /// The names of the fields or members of the payload, or its kind.
    payload: String,
}

fn request_shape(request: &Request<'_>) -> RequestShape {
    let parts = Parts::of(&request.url);
    // The system chooses other ports for each run.
    let origin = if is_loopback_host(parts.host()) { "loopback" } else { parts.origin };
    let segments: Vec<&str> = parts.segments().map(|text| if is_identifier(text) { "{}" } else { text }).collect();
    let query = parts.query.unwrap_or_default();
    RequestShape {
        path: format!("{} {origin}/{}", request.method, segments.join("/")),
        headers: key_header_values(&request.headers, &KEY_HEADERS),
        query: form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name.into_owned()).collect(),
        payload: payload_shape(&request.body),
    }
}

/// Returns true if a path segment may name one of many things: a number, a UUID, a hash, a slug with a number, a
/// placeholder.
fn is_identifier(segment: &str) -> bool {
    let has_digit = segment.bytes().any(|byte| byte.is_ascii_digit());
    let is_version = segment.len() <= 3 && segment.starts_with('v');
    (has_digit && !is_version) || segment.len() >= 20 || placeholder::occurs_in(segment.as_bytes())
}

fn payload_shape(body: &Body<'_>) -> String {
    if matches!(body.content, Content::Empty | Content::NotKept) {
        return "none".to_owned();
    }
    let Some(text) = body.text() else { return "bytes".to_owned() };
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::Object(members)) => members.keys().cloned().collect::<Vec<_>>().join(","),
        Ok(_) => "json".to_owned(),
        Err(_) if body.media().is_form() => {
            let names = form_urlencoded::parse(text.as_bytes()).map(|(name, _)| name.into_owned());
            names.collect::<Vec<_>>().join("&")
        }
        Err(_) => "bytes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::exchange::Response;
    use super::*;

    /// `GET /path body`: an exchange with this response payload.
    fn exchanges(lines: &[&str]) -> Vec<Exchange<'static>> {
        let exchange = |line: &&str| {
            let mut words = line.split(' ').map(str::to_owned);
            let mut next = || words.next().unwrap_or_default();
            let (method, url) = (next(), next());
            let body = |text: String| Body::new("application/json", Content::of_bytes(text.into_bytes()));
            Exchange {
                request: Request {
                    method: method.into(),
                    url: url.into(),
                    headers: Cow::default(),
                    body: Body::empty(),
                },
                response: Response {
                    status: 200,
                    reason: None,
                    headers: Cow::default(),
                    trailers: Cow::default(),
                    body: body(next()),
                    failure: None,
                },
            }
        };
        lines.iter().map(exchange).collect()
    }

    fn pairs(left: &[&str], right: &[&str]) -> Pairing {
        pair_exchanges(&exchanges(left), &exchanges(right), &Projection::all())
    }

    #[test]
    fn equal_exchanges_are_paired_before_requests_that_vary() {
        let pairing = pairs(
            &["GET https://a.test/x 1", "GET https://a.test/x 2", "GET https://a.test/users/7?t=1 3"],
            &["GET https://a.test/users/8?t=2 4", "GET https://a.test/x 2", "GET https://a.test/x 5"],
        );
        assert_eq!(pairing.pairs(), [(0, 2), (1, 1), (2, 0)]);
    }

    #[test]
    fn repeated_exchange_of_a_poll_needs_no_partner() {
        let pairing = pairs(&["GET https://a.test/x 1", "GET https://a.test/x 1"], &["GET https://a.test/x 1"]);
        assert_eq!((pairing.pairs(), pairing.free_left()), (vec![(0, 0)], vec![]));
    }

    #[test]
    fn port_of_this_machine_may_vary() {
        let pairing = pairs(&["GET http://127.0.0.1:4001/a 1"], &["GET http://127.0.0.1:4002/a 1"]);
        assert_eq!(pairing.pairs(), [(0, 0)]);
        assert_eq!(pairs(&["GET http://a.test/a 1"], &["GET http://b.test/a 1"]).pairs(), []);
    }
}
