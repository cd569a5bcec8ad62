//! Responses that only some requests may get: 206, 304, responses to WebSocket requests, and recorded failures.

use ::http::header::{CONNECTION, UPGRADE};
use ::http::{HeaderMap, HeaderValue};
use bytes::Bytes;

use harproxy_har::Entry;
use harproxy_har::model::Storage;

/// How well a response suits a request, the best first. A class is used only if there is no response of a better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ResponseClass {
    /// The requested response.
    Full,
    /// A 304 for a request without validators.
    FromCache,
    /// A recorded failure.
    Failure,
    /// A change of protocol for a plain request. It cannot be sent, but the miss can name it.
    OtherProtocol,
}

/// How an entry suits a request that it may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admission {
    pub(super) class: ResponseClass,
    /// Whether request and entry have the same condition (Range or validators). Then the entry is the response that the
    /// origin gave to this condition.
    pub(super) same_condition: bool,
    /// The status to serve, if it is not the recorded one.
    pub(super) status: Option<u16>,
}

/// The condition that a request must fulfil to get an entry's response.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Condition {
    None,
    /// No condition, although the recorded request had one, with these headers. The resource had changed, or the origin
    /// does not support ranges.
    Ignored(RecordedHeaders),
    /// A 206: Range and If-Range must be equal.
    Range(RecordedHeaders),
    /// A 304: the validators must be equal. If the fixture has the cached body, a request without validators suits,
    /// too.
    Validator {
        recorded: RecordedHeaders,
        cached_body: bool,
    },
    /// The response to a request for another protocol, such as a WebSocket. It answers such requests only, unless there
    /// is no other entry.
    Upgrade,
    /// A recorded failure.
    Failure,
}

const RANGE: [&str; 2] = ["range", "if-range"];
const VALIDATORS: [&str; 2] = ["if-none-match", "if-modified-since"];

/// The name of a request header, and its recorded value if there was one.
type RecordedHeader = (&'static str, Option<Bytes>);
type RecordedHeaders = Box<[RecordedHeader]>;

/// Returns true if a request asks for a WebSocket (RFC 6455 section 4.1). Other protocols are offers that a server may
/// ignore: some clients offer `h2c` with every request.
#[must_use]
pub fn asks_for_websocket(request: &HeaderMap) -> bool {
    let values = |name| request.get_all(name).iter().map(HeaderValue::as_bytes);
    lists(values(UPGRADE), "websocket") && lists(values(CONNECTION), "upgrade")
}

/// Returns true if the comma-separated values of a header list an item, in any case.
fn lists<'a>(values: impl Iterator<Item = &'a [u8]>, item: &str) -> bool {
    let mut listed = values.flat_map(|value| value.split(|byte| *byte == b','));
    listed.any(|listed| listed.trim_ascii().eq_ignore_ascii_case(item.as_bytes()))
}

impl Condition {
    pub(super) fn of(entry: &Entry) -> Self {
        match entry.response.status {
            101 => Condition::Upgrade,
            _ if was_websocket(entry) => Condition::Upgrade,
            206 => Condition::Range(recorded(entry, &RANGE)),
            304 => {
                let cached_body = match &entry.response.content.stored {
                    Storage::Nowhere => false,
                    Storage::Text(text) | Storage::Base64(text) => !text.is_empty(),
                    Storage::File(_) => true,
                };
                Condition::Validator { recorded: recorded(entry, &VALIDATORS), cached_body }
            }
            _ if harproxy_http::is_received_status(entry.response.status) => {
                let ignored = recorded(entry, &[RANGE, VALIDATORS].concat());
                if ignored.iter().all(|(_, value)| value.is_none()) {
                    Condition::None
                } else {
                    Condition::Ignored(ignored)
                }
            }
            _ => Condition::Failure,
        }
    }

    /// Returns how the entry suits a request with these headers; `None` if it is not a candidate.
    pub(super) fn admits(&self, request: &HeaderMap) -> Option<Admission> {
        let admission = |class, same_condition| Admission { class, same_condition, status: None };
        match self {
            Condition::Upgrade => Some(match request.contains_key(UPGRADE) {
                true => admission(ResponseClass::Full, true),
                false => admission(ResponseClass::OtherProtocol, false),
            }),
            _ if request.contains_key(UPGRADE) && asks_for_websocket(request) => None,
            Condition::None => Some(admission(ResponseClass::Full, false)),
            Condition::Ignored(recorded) => Some(admission(ResponseClass::Full, are_equal(recorded, request))),
            Condition::Failure => Some(admission(ResponseClass::Failure, false)),
            Condition::Range(recorded) => {
                are_equal(recorded, request).then_some(admission(ResponseClass::Full, request.contains_key(RANGE[0])))
            }
            Condition::Validator { recorded, cached_body } => {
                let plain = VALIDATORS.iter().all(|name| !request.contains_key(*name));
                match (plain, cached_body) {
                    (true, true) => Some(Admission { status: Some(200), ..admission(ResponseClass::FromCache, false) }),
                    (true, false) => are_equal(recorded, request).then_some(admission(ResponseClass::FromCache, false)),
                    (false, _) => are_equal(recorded, request).then_some(admission(ResponseClass::Full, true)),
                }
            }
        }
    }

    /// Returns the headers that exclude a request from this entry: name, value of the request, recorded value.
    pub(super) fn differences(&self, request: &HeaderMap) -> Vec<(&'static str, Option<Bytes>, Option<Bytes>)> {
        let recorded = match self {
            Condition::Range(recorded) | Condition::Validator { recorded, .. } => recorded,
            _ if asks_for_websocket(request) => &[("upgrade", None)][..],
            Condition::None | Condition::Ignored(_) | Condition::Upgrade | Condition::Failure => &[],
        };
        let sent = |name: &str| request.get(name).map(|value| Bytes::copy_from_slice(value.as_bytes()));
        let both = recorded.iter().map(|(name, value)| (*name, sent(name), value.clone()));
        both.filter(|(_, sent, recorded)| sent != recorded).collect()
    }
}

fn recorded(entry: &Entry, names: &[&'static str]) -> RecordedHeaders {
    names.iter().map(|name| (*name, entry.request.headers.get(name).map(Bytes::copy_from_slice))).collect()
}

/// Returns true if the entry is a WebSocket, or the response to a request for one.
fn was_websocket(entry: &Entry) -> bool {
    entry.extras.get("_webSocketMessages").is_some_and(|messages| !messages.is_null())
        || entry.extras.get("_resourceType").and_then(serde_json::Value::as_str) == Some("websocket")
        || lists(entry.request.headers.get_all("upgrade"), "websocket")
}

fn are_equal(recorded: &[RecordedHeader], request: &HeaderMap) -> bool {
    recorded.iter().all(|(name, value)| request.get(*name).map(HeaderValue::as_bytes) == value.as_deref())
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    fn condition(status: i32, headers: &[(&str, &str)], body: &str) -> Condition {
        let mut entry = Entry::default();
        entry.response.status = status;
        entry.response.content.stored = Storage::Text(body.to_owned());
        headers.iter().for_each(|(name, value)| entry.request.headers.push(*name, value.to_string()));
        Condition::of(&entry)
    }

    fn full(same_condition: bool) -> Option<Admission> {
        Some(Admission { class: ResponseClass::Full, same_condition, status: None })
    }

    fn request(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn partial_response_answers_requests_for_the_same_range() {
        let part = condition(206, &[("Range", "bytes=0-1"), ("if-range", "\"a\"")], "ab");
        let same = request(&[("range", "bytes=0-1"), ("if-range", "\"a\"")]);
        assert_eq!(part.admits(&same), full(true));
        assert_eq!(part.admits(&request(&[("range", "bytes=0-1")])), None);
        assert_eq!(part.admits(&request(&[("range", "bytes=2-3"), ("if-range", "\"a\"")])), None);
        assert_eq!(part.admits(&request(&[])), None);
        assert_eq!(part.differences(&request(&[("range", "bytes=2-3")])).len(), 2);
        // For a range request, a full response to the same range ranks above one to a plain request.
        let whole = condition(200, &[("Range", "bytes=0-1")], "abcd");
        assert_eq!(whole.admits(&request(&[])), full(false));
        assert_eq!(whole.admits(&request(&[("range", "bytes=0-1")])), full(true));
        assert_eq!(condition(200, &[], "abcd").admits(&request(&[("range", "bytes=0-1")])), full(false));
    }

    #[test]
    fn not_modified_answers_requests_with_the_same_validators() {
        let bare = condition(304, &[("If-None-Match", "\"a\"")], "");
        assert_eq!(bare.admits(&request(&[("if-none-match", "\"a\"")])), full(true));
        assert_eq!(bare.admits(&request(&[("if-none-match", "\"b\"")])), None);
        assert_eq!(bare.admits(&request(&[])), None);
        let both = [("if-none-match", "\"a\""), ("if-modified-since", "x")];
        assert_eq!(bare.admits(&request(&both)), None);
    }

    #[test]
    fn not_modified_with_the_cached_body_answers_plain_requests_in_the_second_class() {
        let cached = condition(304, &[("If-None-Match", "\"a\"")], "body");
        assert_eq!(
            cached.admits(&request(&[])).map(|found| (found.class, found.status)),
            Some((ResponseClass::FromCache, Some(200)))
        );
        assert_eq!(cached.admits(&request(&[("if-none-match", "\"a\"")])), full(true));
        assert_eq!(cached.admits(&request(&[("if-none-match", "\"b\"")])), None);
        // Tools that hide the validators record a 304 for a plain request.
        let bare = condition(304, &[], "").admits(&request(&[]));
        assert_eq!(bare.map(|found| (found.class, found.status)), Some((ResponseClass::FromCache, None)));
        assert!(ResponseClass::Full < ResponseClass::FromCache && ResponseClass::FromCache < ResponseClass::Failure);
    }

    #[test]
    fn entry_without_a_valid_status_is_a_failure() {
        for status in [0, -1, 99, 1000] {
            let found = condition(status, &[], "").admits(&request(&[]));
            assert_eq!(found.map(|found| found.class), Some(ResponseClass::Failure), "{status}");
        }
        for status in [100, 200, 599, 600, 999] {
            assert_eq!(condition(status, &[], "").admits(&request(&[])), full(false), "{status}");
        }
    }

    #[test]
    fn full_response_to_a_validating_request_suits_the_same_validators_best() {
        let changed = condition(200, &[("If-None-Match", "\"a\"")], "new");
        assert_eq!(changed.admits(&request(&[("if-none-match", "\"a\"")])), full(true));
        assert_eq!(changed.admits(&request(&[("if-none-match", "\"b\"")])), full(false));
        assert_eq!(changed.admits(&request(&[])), full(false));
    }

    #[test]
    fn response_to_a_websocket_request_answers_websocket_requests() {
        let ask = request(&[("upgrade", "websocket"), ("connection", "keep-alive, Upgrade")]);
        let of_type = |status, headers: &[(&str, &str)], extra: Option<(&str, serde_json::Value)>| {
            let mut entry = Entry::default();
            entry.response.status = status;
            headers.iter().for_each(|(name, value)| entry.request.headers.push(*name, value.to_string()));
            entry.extras.extend(extra.map(|(name, value)| (name.to_owned(), value)));
            Condition::of(&entry)
        };
        for websocket in [
            of_type(101, &[], None),
            of_type(101, &[("Upgrade", "websocket")], None),
            of_type(403, &[("Upgrade", "WebSocket")], None),
            of_type(200, &[], Some(("_webSocketMessages", serde_json::json!([])))),
            of_type(0, &[], Some(("_resourceType", "websocket".into()))),
        ] {
            assert_eq!(websocket.admits(&ask), full(true), "{websocket:?}");
            let plain = websocket.admits(&request(&[]));
            assert_eq!(plain.map(|found| found.class), Some(ResponseClass::OtherProtocol), "{websocket:?}");
        }
        for plain in [of_type(426, &[], None), of_type(200, &[("Upgrade", "h2c")], None)] {
            assert_eq!(plain.admits(&ask), None, "{plain:?}");
            assert_eq!(plain.differences(&ask)[0].0, "upgrade");
            // An offer of another protocol does not exclude plain entries.
            let offer = request(&[("upgrade", "h2c"), ("connection", "Upgrade, HTTP2-Settings")]);
            assert_eq!(plain.admits(&offer), full(false), "{plain:?}");
        }
    }
}
