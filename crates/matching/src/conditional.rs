//! Answers that only some requests may get: 206, 304, what a WebSocket got, and failures that were recorded.

use ::http::HeaderMap;
use ::http::header::{CONNECTION, UPGRADE};
use bytes::Bytes;

use harproxy_har::Entry;
use harproxy_har::model::Storage;

/// How good an answer is, the best first: a worse one is used only when no better one is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// What was asked for.
    Full,
    /// A 304 where nothing was asked to be validated.
    FromCache,
    /// The connection that failed.
    Failure,
    /// A change of protocol that nobody asked for: it can't be sent, but it says what is there.
    OtherProtocol,
}

/// How an entry stands to a request that it may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admission {
    pub(super) standing: Standing,
    /// Whether the request asks on a condition, and the entry was recorded on the very same: among answers of one standing it
    /// is what came live.
    pub(super) same_condition: bool,
    /// The status it is then served with where that is not the recorded one.
    pub(super) status: Option<u16>,
}

/// What an entry's answer asks of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Condition {
    /// Nothing.
    None,
    /// Nothing, though it was asked for on a condition, with these fields: what was asked for had changed, or the origin does
    /// not answer in parts.
    Met(Box<[Option<Bytes>; 4]>),
    /// 206: Range and If-Range must be equal.
    Range([Option<Bytes>; 2]),
    /// 304: the validators must be equal; or, with the cached body at hand, the request has none.
    Validator { recorded: [Option<Bytes>; 2], cached_body: bool },
    /// What a request for another protocol got, a WebSocket above all: only such a request is answered so, but where there is
    /// nothing else.
    Upgrade,
    /// A failure: no request wants it.
    Failure,
}

const RANGE: [&str; 2] = ["range", "if-range"];
const VALIDATORS: [&str; 2] = ["if-none-match", "if-modified-since"];
const ALL: [&str; 4] = [RANGE[0], RANGE[1], VALIDATORS[0], VALIDATORS[1]];

/// Whether a request asks for a WebSocket (RFC 6455 section 4.1). Other protocols (`h2c` above all, which some clients offer
/// on every request) are an offer that a server need not take.
#[must_use]
pub fn asks_for_websocket(request: &HeaderMap) -> bool {
    let lists = |name, item: &str| {
        let values = request.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(item))
    };
    lists(UPGRADE, "websocket") && lists(CONNECTION, "upgrade")
}

impl Condition {
    pub(super) fn of(entry: &Entry) -> Self {
        match entry.response.status {
            101 => Condition::Upgrade,
            _ if was_websocket(entry) => Condition::Upgrade,
            206 => Condition::Range(recorded(entry, RANGE)),
            304 => {
                let cached_body = match &entry.response.content.stored {
                    Storage::Nowhere => false,
                    Storage::Text(text) | Storage::Base64(text) => !text.is_empty(),
                    Storage::File(_) => true,
                };
                Condition::Validator { recorded: recorded(entry, VALIDATORS), cached_body }
            }
            100..=599 => match recorded(entry, ALL) {
                [None, None, None, None] => Condition::None,
                met => Condition::Met(Box::new(met)),
            },
            _ => Condition::Failure,
        }
    }

    /// How the entry stands to a request with these headers; `None`: it is no candidate.
    pub(super) fn admits(&self, request: &HeaderMap) -> Option<Admission> {
        let admission = |standing, same_condition| Admission { standing, same_condition, status: None };
        match self {
            Condition::Upgrade => Some(match request.contains_key(UPGRADE) {
                true => admission(Standing::Full, true),
                false => admission(Standing::OtherProtocol, false),
            }),
            _ if request.contains_key(UPGRADE) && asks_for_websocket(request) => None,
            Condition::None => Some(admission(Standing::Full, false)),
            Condition::Met(recorded) => Some(admission(Standing::Full, equal(recorded, ALL, request))),
            Condition::Failure => Some(admission(Standing::Failure, false)),
            Condition::Range(recorded) => {
                equal(recorded, RANGE, request).then_some(admission(Standing::Full, request.contains_key(RANGE[0])))
            }
            Condition::Validator { recorded, cached_body } => {
                let plain = VALIDATORS.iter().all(|name| !request.contains_key(*name));
                match (plain, cached_body) {
                    (true, true) => Some(Admission { status: Some(200), ..admission(Standing::FromCache, false) }),
                    (true, false) => {
                        equal(recorded, VALIDATORS, request).then_some(admission(Standing::FromCache, false))
                    }
                    (false, _) => equal(recorded, VALIDATORS, request).then_some(admission(Standing::Full, true)),
                }
            }
        }
    }

    /// The headers that keep a request from this entry: name, the request's value, the recorded one.
    pub(super) fn differences(&self, request: &HeaderMap) -> Vec<(&'static str, Option<Bytes>, Option<Bytes>)> {
        match self {
            Condition::Range(recorded) => differing(recorded, RANGE, request),
            Condition::Validator { recorded, .. } => differing(recorded, VALIDATORS, request),
            _ if asks_for_websocket(request) => differing(&[None], ["upgrade"], request),
            Condition::None | Condition::Met(_) | Condition::Upgrade | Condition::Failure => Vec::new(),
        }
    }
}

fn recorded<const N: usize>(entry: &Entry, names: [&str; N]) -> [Option<Bytes>; N] {
    names.map(|name| entry.request.headers.get(name).map(Bytes::copy_from_slice))
}

/// Whether what was recorded is a WebSocket, or what came in its stead.
fn was_websocket(entry: &Entry) -> bool {
    let asked = || {
        let protocols = entry.request.headers.get_all("upgrade").filter_map(|value| std::str::from_utf8(value).ok());
        protocols.flat_map(|value| value.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case("websocket"))
    };
    entry.extras.get("_webSocketMessages").is_some_and(|messages| !messages.is_null())
        || entry.extras.get("_resourceType").and_then(serde_json::Value::as_str) == Some("websocket")
        || asked()
}

fn equal<const N: usize>(recorded: &[Option<Bytes>; N], names: [&str; N], request: &HeaderMap) -> bool {
    names
        .iter()
        .zip(recorded)
        .all(|(name, value)| request.get(*name).map(::http::HeaderValue::as_bytes) == value.as_deref())
}

fn differing<const N: usize>(
    recorded: &[Option<Bytes>; N],
    names: [&'static str; N],
    request: &HeaderMap,
) -> Vec<(&'static str, Option<Bytes>, Option<Bytes>)> {
    let sent = names.map(|name| request.get(name).map(|value| Bytes::copy_from_slice(value.as_bytes())));
    let both = sent.into_iter().zip(recorded.iter().cloned());
    names.into_iter().zip(both).filter(|(_, (a, b))| a != b).map(|(name, (a, b))| (name, a, b)).collect()
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
        Some(Admission { standing: Standing::Full, same_condition, status: None })
    }

    fn request(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_part_goes_to_who_asked_for_that_part() {
        let part = condition(206, &[("Range", "bytes=0-1"), ("if-range", "\"a\"")], "ab");
        let same = request(&[("range", "bytes=0-1"), ("if-range", "\"a\"")]);
        assert_eq!(part.admits(&same), full(true));
        assert_eq!(part.admits(&request(&[("range", "bytes=0-1")])), None);
        assert_eq!(part.admits(&request(&[("range", "bytes=2-3"), ("if-range", "\"a\"")])), None);
        assert_eq!(part.admits(&request(&[])), None);
        assert_eq!(part.differences(&request(&[("range", "bytes=2-3")])).len(), 2);
        // What was answered whole though a part was asked for comes before what was asked for plainly.
        let whole = condition(200, &[("Range", "bytes=0-1")], "abcd");
        assert_eq!(whole.admits(&request(&[])), full(false));
        assert_eq!(whole.admits(&request(&[("range", "bytes=0-1")])), full(true));
        assert_eq!(condition(200, &[], "abcd").admits(&request(&[("range", "bytes=0-1")])), full(false));
    }

    #[test]
    fn not_modified_goes_to_who_has_what_was_not_modified() {
        let bare = condition(304, &[("If-None-Match", "\"a\"")], "");
        assert_eq!(bare.admits(&request(&[("if-none-match", "\"a\"")])), full(true));
        assert_eq!(bare.admits(&request(&[("if-none-match", "\"b\"")])), None);
        assert_eq!(bare.admits(&request(&[])), None);
        let both = [("if-none-match", "\"a\""), ("if-modified-since", "x")];
        assert_eq!(bare.admits(&request(&both)), None);
    }

    #[test]
    fn not_modified_with_the_cached_body_answers_a_plain_request_when_nothing_better_does() {
        let cached = condition(304, &[("If-None-Match", "\"a\"")], "body");
        assert_eq!(
            cached.admits(&request(&[])).map(|found| (found.standing, found.status)),
            Some((Standing::FromCache, Some(200)))
        );
        assert_eq!(cached.admits(&request(&[("if-none-match", "\"a\"")])), full(true));
        assert_eq!(cached.admits(&request(&[("if-none-match", "\"b\"")])), None);
        // Tools that hide the validator record a 304 to a plain request; that is what there is to serve.
        let bare = condition(304, &[], "").admits(&request(&[]));
        assert_eq!(bare.map(|found| (found.standing, found.status)), Some((Standing::FromCache, None)));
        assert!(Standing::Full < Standing::FromCache && Standing::FromCache < Standing::Failure);
    }

    #[test]
    fn failures_are_any_status_that_is_none() {
        for status in [0, -1, 99, 600, 1000] {
            let found = condition(status, &[], "").admits(&request(&[]));
            assert_eq!(found.map(|found| found.standing), Some(Standing::Failure), "{status}");
        }
        for status in [100, 200, 599] {
            assert_eq!(condition(status, &[], "").admits(&request(&[])), full(false), "{status}");
        }
    }

    #[test]
    fn an_answer_that_came_although_it_was_validated_is_the_one_for_who_validates_so() {
        let changed = condition(200, &[("If-None-Match", "\"a\"")], "new");
        assert_eq!(changed.admits(&request(&[("if-none-match", "\"a\"")])), full(true));
        assert_eq!(changed.admits(&request(&[("if-none-match", "\"b\"")])), full(false));
        assert_eq!(changed.admits(&request(&[])), full(false));
    }

    #[test]
    fn what_a_websocket_got_goes_to_who_asks_for_one_and_to_others_last() {
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
            assert_eq!(plain.map(|found| found.standing), Some(Standing::OtherProtocol), "{websocket:?}");
        }
        for plain in [of_type(426, &[], None), of_type(200, &[("Upgrade", "h2c")], None)] {
            assert_eq!(plain.admits(&ask), None, "{plain:?}");
            assert_eq!(plain.differences(&ask)[0].0, "upgrade");
            // An offer of another protocol is no more than that.
            let offer = request(&[("upgrade", "h2c"), ("connection", "Upgrade, HTTP2-Settings")]);
            assert_eq!(plain.admits(&offer), full(false), "{plain:?}");
        }
    }
}
