//! The differences of two exchanges.

use std::borrow::Cow;
use std::ops::ControlFlow;

use harproxy_http::headers::to_chars;
use harproxy_http::url::Parts;
use harproxy_http::{Header, Headers};
use harproxy_json::Pointer;
use harproxy_redact::placeholder;
use url::form_urlencoded;

use super::fields::{ListDifferences, compare_lists};
use super::volatile::date;
use crate::json_diff::{ArrayRule, Comparison, walk};
use crate::{Body, Exchange, PlaceholderValues, Projection, VolatileRules};

/// A place at which two exchanges differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference<'a> {
    pub location: Location,
    pub kind: DifferenceKind,
    /// The left value as text; `None` if there is none.
    pub left: Option<Cow<'a, str>>,
    /// The right value as text; `None` if there is none.
    pub right: Option<Cow<'a, str>>,
}

/// How two values differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DifferenceKind {
    /// Both exchanges have the value, and it differs.
    Changed,
    OnlyLeft,
    OnlyRight,
    /// The values are the same in another order.
    Order,
    /// The values mean the same and are spelled in another way.
    Spelling,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Location {
    Method,
    /// The URL, if its parts are equal but for their order or spelling.
    Url,
    /// Scheme, host and port of the URL.
    Origin,
    Path,
    /// A segment of the path, from 0.
    Segment(usize),
    Query,
    /// The query parameters with this name, decoded.
    Parameter(String),
    /// The request header fields with this name, in lower case.
    RequestHeader(String),
    RequestBody(BodyLocation),
    Status,
    Reason,
    /// The response header fields with this name, in lower case.
    ResponseHeader(String),
    /// The trailer fields with this name, in lower case.
    Trailer(String),
    ResponseBody(BodyLocation),
    /// The kind of failure, if no response was received.
    Failure,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BodyLocation {
    /// The payload as a whole.
    Whole,
    Json(Pointer<'static>),
    /// The form fields, or parts of a multipart payload, with this name.
    Field(String),
}

impl<'a> Difference<'a> {
    /// Returns the difference of two values, of which at most one is `None`.
    #[must_use]
    pub fn new(location: Location, left: Option<Cow<'a, str>>, right: Option<Cow<'a, str>>) -> Self {
        let kind = match (&left, &right) {
            (Some(_), None) => DifferenceKind::OnlyLeft,
            (None, Some(_)) => DifferenceKind::OnlyRight,
            _ => DifferenceKind::Changed,
        };
        Difference { location, kind, left, right }
    }

    pub(super) fn with_kind(self, kind: DifferenceKind) -> Self {
        Difference { kind, ..self }
    }
}

/// Returns the differences of two exchanges, in the order of [`Location`], and of first appearance. There are none if
/// and only if their keys are equal.
#[must_use]
pub fn diff<'a>(left: &'a Exchange<'_>, right: &'a Exchange<'_>, projection: &Projection) -> Vec<Difference<'a>> {
    let mut all = Vec::new();
    let found = &mut all;
    let (a, b) = (&left.request, &right.request);
    let keys = [a, b].map(|request| projection.request_key(request));
    found.extend(compare_texts(Location::Method, Some(&*a.method), Some(&*b.method)));
    if keys[0].url != keys[1].url {
        diff_urls(&a.url, &b.url, found);
    }
    if keys[0].headers != keys[1].headers {
        let [a, b] =
            [a, b].map(|request| fields(&request.headers, |name, value| projection.request_header(name, value)));
        compare_named(&a, &b, Location::RequestHeader, found);
    }
    if keys[0].content != keys[1].content {
        diff_bodies(&a.body, &b.body, &VolatileRules::none(), Location::RequestBody, found);
    }

    let (a, b) = (&left.response, &right.response);
    let method = &left.request.method;
    let keys = [a, b].map(|response| projection.response_key(method, response));
    if a.status != b.status {
        let [left, right] = [a, b].map(|response| Some(Cow::Owned(response.status.to_string())));
        found.push(Difference::new(Location::Status, left, right));
    }
    if let (Some(left), Some(right)) = (a.reason.as_deref(), b.reason.as_deref())
        && left != right
    {
        found.push(Difference::new(Location::Reason, Some(left.into()), Some(right.into())));
    }
    if keys[0].head != keys[1].head {
        let [left_fields, right_fields] = [a, b].map(|response| {
            let date = date(&response.headers);
            [&response.headers, &response.trailers].map(|list| {
                fields(list, |name, value| {
                    let counts = !projection.volatile.ignores_header(method, name);
                    counts.then(|| projection.volatile.header_value(name, value, date))
                })
            })
        });
        compare_named(&left_fields[0], &right_fields[0], Location::ResponseHeader, found);
        compare_named(&left_fields[1], &right_fields[1], Location::Trailer, found);
        found.extend(compare_texts(Location::Failure, a.failure.as_deref(), b.failure.as_deref()));
    }
    if !keys[0].has_same_payload(&keys[1]) {
        diff_bodies(&a.body, &b.body, &projection.volatile, Location::ResponseBody, found);
    }
    all
}

/// Returns a difference if two texts differ in more than placeholders.
fn compare_texts<'a>(location: Location, left: Option<&'a str>, right: Option<&'a str>) -> Option<Difference<'a>> {
    let [a, b] = [left, right].map(|text| text.map(|text| placeholder::mask(text.as_bytes())));
    (a != b).then(|| Difference::new(location, left.map(Cow::Borrowed), right.map(Cow::Borrowed)))
}

/// Adds the differences of two URLs that differ in more than placeholders.
fn diff_urls<'a>(left: &'a str, right: &'a str, found: &mut Vec<Difference<'a>>) {
    let before = found.len();
    let (a, b) = (Parts::of(left), Parts::of(right));
    found.extend(compare_texts(Location::Origin, Some(a.origin), Some(b.origin)));
    if a.segments().count() == b.segments().count() {
        for (index, (left, right)) in a.segments().zip(b.segments()).enumerate() {
            found.extend(compare_texts(Location::Segment(index), Some(left), Some(right)));
        }
    } else {
        found.push(Difference::new(Location::Path, Some(a.path.into()), Some(b.path.into())));
    }
    let [a, b] = [a, b].map(|parts| parameters(parts.query.unwrap_or_default().as_bytes()));
    let is_order = compare_named(&a, &b, Location::Parameter, found);
    if found.len() == before {
        let kind = if is_order { DifferenceKind::Order } else { DifferenceKind::Spelling };
        found.push(Difference::new(Location::Url, Some(left.into()), Some(right.into())).with_kind(kind));
    }
}

/// Adds the differences of two payloads that differ in what counts of them.
fn diff_bodies<'a>(
    left: &'a Body<'_>,
    right: &'a Body<'_>,
    volatile: &VolatileRules,
    location: fn(BodyLocation) -> Location,
    found: &mut Vec<Difference<'a>>,
) {
    let before = found.len();
    let [left_text, right_text] = [left, right].map(Body::text);
    let is_form = |body: &Body<'_>| body.media().is_form();
    let values = left_text.and_then(|text| volatile.value(text)).zip(right_text.and_then(|text| volatile.value(text)));
    if let Some((left, right)) = &values {
        let _ = walk(left, right, ArrayRule::Whole, &PlaceholderValues::default(), usize::MAX, |comparison| {
            if let Comparison::Different(pointer, left, right) = comparison {
                let place =
                    if pointer.is_root() { BodyLocation::Whole } else { BodyLocation::Json(pointer.to_owned()) };
                let [left, right] = [left, right].map(|value| {
                    value.map(|value| Cow::Owned(value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
                });
                found.push(Difference::new(location(place), left, right));
            }
            ControlFlow::Continue(())
        });
    } else if let (Some(a), Some(b)) = (left_text.filter(|_| is_form(left)), right_text.filter(|_| is_form(right))) {
        let [a, b] = [a, b].map(|text| parameters(text.as_bytes()));
        compare_named(&a, &b, |name| location(BodyLocation::Field(name)), found);
    } else {
        let [left, right] = [left, right].map(|body| body.content.bytes().map(String::from_utf8_lossy));
        let whole = Difference::new(location(BodyLocation::Whole), left, right);
        return found.push(whole.with_kind(DifferenceKind::Changed));
    }
    if found.len() == before {
        let [left, right] = [left_text, right_text].map(|text| text.map(Cow::Borrowed));
        let whole = Difference::new(location(BodyLocation::Whole), left, right);
        found.push(whole.with_kind(DifferenceKind::Spelling));
    }
}

#[derive(Clone)]
struct NamedValue<'a> {
    /// The part of the value that counts.
    projected: Cow<'a, [u8]>,
    text: Cow<'a, str>,
}

type NamedValues<'a> = Vec<(Cow<'a, str>, NamedValue<'a>)>;

/// Adds the names whose values differ. Returns true if the values are equal and the names come in another order.
fn compare_named<'a>(
    left: &NamedValues<'_>,
    right: &NamedValues<'_>,
    location: impl Fn(String) -> Location,
    found: &mut Vec<Difference<'a>>,
) -> bool {
    let text = |values: &[NamedValue<'_>]| {
        let texts: Vec<&str> = values.iter().map(|value| &*value.text).collect();
        (!values.is_empty()).then(|| Cow::Owned(texts.join(", ")))
    };
    match compare_lists(left, right, |a, b| a.projected == b.projected) {
        ListDifferences::None => false,
        ListDifferences::Order => true,
        ListDifferences::Names(names) => {
            found.extend(names.iter().map(|name| {
                Difference::new(location(name.name.clone().into_owned()), text(&name.left), text(&name.right))
            }));
            false
        }
    }
}

/// Returns header fields by their names in lower case. `project` returns the part of a value that counts, if any.
fn fields<'v>(headers: &'v Headers, project: impl Fn(&str, &'v [u8]) -> Option<Cow<'v, [u8]>>) -> NamedValues<'v> {
    let field = |field: &'v Header| {
        let name = field.name.to_ascii_lowercase();
        let projected = project(&name, &field.value)?;
        Some((name.into(), NamedValue { projected, text: to_chars(&field.value) }))
    };
    headers.iter().filter_map(field).collect()
}

/// Returns the parameters of a query or form by their decoded names.
fn parameters(text: &[u8]) -> NamedValues<'_> {
    let parameter = |(name, value): (Cow<'_, str>, Cow<'_, str>)| {
        let projected = placeholder::mask(value.as_bytes()).into_owned().into();
        (name.into_owned().into(), NamedValue { projected, text: value.into_owned().into() })
    };
    form_urlencoded::parse(text).map(parameter).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::exchange::Content;
    use super::super::exchange::{Request, Response};
    use super::*;

    /// Returns an exchange: URL, request payload, response headers, response payload.
    fn exchange(url: &str, sent: &str, headers: &[(&str, &str)], received: &str) -> Exchange<'static> {
        let mut list = Headers::default();
        headers.iter().for_each(|(name, value)| list.push(*name, (*value).to_owned()));
        let body = |text: &str| Body::new("application/json", Content::of_bytes(text.as_bytes().to_vec()));
        Exchange {
            request: Request {
                method: "POST".into(),
                url: url.to_owned().into(),
                headers: Cow::default(),
                body: body(sent),
            },
            response: Response {
                status: 200,
                reason: None,
                headers: Cow::Owned(list),
                trailers: Cow::default(),
                body: body(received),
                failure: None,
            },
        }
    }

    fn locations(left: &Exchange<'_>, right: &Exchange<'_>) -> Vec<String> {
        diff(left, right, &Projection::default())
            .iter()
            .map(|found| match &found.location {
                Location::RequestBody(BodyLocation::Json(pointer)) => format!("RequestBody{pointer} {:?}", found.kind),
                Location::ResponseBody(BodyLocation::Json(pointer)) => {
                    format!("ResponseBody{pointer} {:?}", found.kind)
                }
                location => format!("{location:?} {:?}", found.kind),
            })
            .collect()
    }

    #[test]
    fn differences_of_each_part_are_located() {
        let left =
            exchange("https://a.test/users/7?q=x&t=1", r#"{"n":1}"#, &[("ETag", "1"), ("x-a", "1")], r#"{"a":[1]}"#);
        let right =
            exchange("https://b.test/users/8?q=x&u=1", r#"{"n":2}"#, &[("etag", "2"), ("x-b", "1")], r#"{"a":[2]}"#);
        assert_eq!(
            locations(&left, &right),
            [
                "Origin Changed",
                "Segment(1) Changed",
                "Parameter(\"t\") OnlyLeft",
                "Parameter(\"u\") OnlyRight",
                "RequestBody/n Changed",
                "ResponseHeader(\"x-a\") OnlyLeft",
                "ResponseHeader(\"x-b\") OnlyRight",
                "ResponseBody/a/0 Changed",
            ]
        );
    }

    #[test]
    fn order_and_spelling_are_differences_of_their_own_kind() {
        let with_url = |url| exchange(url, "", &[], "");
        let base = with_url("https://a.test/?a=1&b=2");
        assert_eq!(locations(&base, &with_url("https://a.test/?b=2&a=1")), ["Url Order"]);
        assert_eq!(locations(&base, &with_url("https://a.test/?a=1&b=%32")), ["Url Spelling"]);
        let with_body = |received| exchange("https://a.test/", "", &[], received);
        assert_eq!(locations(&with_body("[1]"), &with_body("[ 1 ]")), ["ResponseBody(Whole) Spelling"]);
    }

    #[test]
    fn placeholders_are_no_difference() {
        let of = |n: u8| {
            let token = format!("REDACTED-token-{n}");
            let json = format!(r#"{{"token":"{token}"}}"#);
            exchange(&format!("https://a.test/{token}?k={token}"), &json, &[("x-key", &token)], &json)
        };
        assert_eq!(locations(&of(1), &of(2)), [] as [&str; 0]);
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![Just(r#"{"a":1}"#), Just(r#"{ "a": 1 }"#), Just(r#"{"a":[1,2]}"#), Just("x=1"), Just(""), Just("[")]
            .prop_map(str::to_owned)
    }

    const URL: &str = r"https://a\.test/[ab]?(\?[ab]=%?61?(&[ab]=1)?)?";

    proptest! {
        #[test]
        fn no_difference_is_found_if_and_only_if_the_keys_are_equal(
            urls in [URL, URL],
            sent in [text(), text()],
            values in ["[12]", "[12]"],
            operations in ["[aAb]", "[aAb]"],
            received in [text(), text()],
        ) {
            let [left, right] = [0, 1].map(|at| {
                let fields = [("x-a", &*values[at]), ("date", &values[at])];
                let mut exchange = exchange(&urls[at], &sent[at], &fields, &received[at]);
                exchange.request.headers.to_mut().push("SOAPAction", operations[at].clone());
                exchange
            });
            let projection = Projection::default();
            let responses = [&left, &right].map(|one| projection.response_key("POST", &one.response));
            let equal = projection.request_key(&left.request) == projection.request_key(&right.request)
                && responses[0].equals(&responses[1]);
            prop_assert_eq!(diff(&left, &right, &projection).is_empty(), equal);
        }
    }
}
