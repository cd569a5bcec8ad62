//! The differences of two exchanges.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use harproxy_http::Headers;
use harproxy_http::headers::to_chars;
use harproxy_http::url::Parts;
use harproxy_json::text::unquote_lossy;
use harproxy_json::{Node, Pointer};
use harproxy_redact::placeholder;
use url::form_urlencoded;

use super::exchange::{Body, Exchange};
use super::json_diff::{ArrayRule, JsonDifference, json_differences};
use super::projection::Projection;
use super::volatile::{VolatileRules, date};

/// A place at which two exchanges differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The place.
    pub location: Location,
    /// How they differ.
    pub kind: DifferenceKind,
    /// The left value, as text; `None` if there is none, or it is not text.
    pub left: Option<String>,
    /// The right value.
    pub right: Option<String>,
}

/// How two values differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DifferenceKind {
    /// Both exchanges have the value, and it differs.
    Changed,
    /// Only the left exchange has it.
    OnlyLeft,
    /// Only the right exchange has it.
    OnlyRight,
    /// The values are the same in another order.
    Order,
    /// The values mean the same and are spelled in another way.
    Spelling,
}

/// A place in an exchange.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Location {
    /// The method.
    Method,
    /// The URL, if its parts are equal but for their order or spelling.
    Url,
    /// Scheme, host and port of the URL.
    Origin,
    /// The path of the URL, if the numbers of segments differ.
    Path,
    /// A segment of the path, from 0.
    Segment(usize),
    /// The query parameters with this name, decoded.
    Query(String),
    /// The request header fields with this name, in lower case.
    RequestHeader(String),
    /// A place in the payload of the request.
    RequestBody(BodyLocation),
    /// The status.
    Status,
    /// The reason phrase.
    Reason,
    /// The response header fields with this name, in lower case.
    ResponseHeader(String),
    /// The trailer fields with this name, in lower case.
    Trailer(String),
    /// A place in the payload of the response.
    ResponseBody(BodyLocation),
    /// The kind of failure, if no response was received.
    Failure,
}

/// A place in a payload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BodyLocation {
    /// The payload as a whole.
    Whole,
    /// A JSON value.
    Json(Pointer),
    /// The form fields with this name.
    Field(String),
}

/// Writes a pointer like `/request/body/items/0`.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Method => f.write_str("/request/method"),
            Location::Url => f.write_str("/request/url"),
            Location::Origin => f.write_str("/request/origin"),
            Location::Path => f.write_str("/request/path"),
            Location::Segment(index) => write!(f, "/request/path/{index}"),
            Location::Query(name) => write!(f, "/request/query/{name}"),
            Location::RequestHeader(name) => write!(f, "/request/headers/{name}"),
            Location::RequestBody(place) => write!(f, "/request/body{place}"),
            Location::Status => f.write_str("/response/status"),
            Location::Reason => f.write_str("/response/reason"),
            Location::ResponseHeader(name) => write!(f, "/response/headers/{name}"),
            Location::Trailer(name) => write!(f, "/response/trailers/{name}"),
            Location::ResponseBody(place) => write!(f, "/response/body{place}"),
            Location::Failure => f.write_str("/response/failure"),
        }
    }
}

impl fmt::Display for BodyLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyLocation::Whole => Ok(()),
            BodyLocation::Json(pointer) => pointer.fmt(f),
            BodyLocation::Field(name) => write!(f, "/{name}"),
        }
    }
}

/// Returns the differences of two exchanges, in the order of [`Location`]. There are none if and only if their keys are equal.
#[must_use]
pub fn diff(left: &Exchange<'_>, right: &Exchange<'_>, projection: &Projection) -> Vec<Difference> {
    let mut found = Vec::new();
    request_differences(left, right, projection, &mut found);
    response_differences(left, right, projection, &mut found);
    found
}

fn request_differences(
    left: &Exchange<'_>,
    right: &Exchange<'_>,
    projection: &Projection,
    found: &mut Vec<Difference>,
) {
    let (a, b) = (&left.request, &right.request);
    let keys = [a, b].map(|request| projection.request_key(request));
    compare_texts(Location::Method, Some(&*a.method), Some(&*b.method), found);
    if keys[0].url != keys[1].url {
        url_differences(&a.url, &b.url, found);
    }
    if keys[0].headers != keys[1].headers {
        let [a, b] = [a, b].map(|request| fields(&request.headers, |_, value| Some(placeholder::mask(value))));
        compare_named(&a, &b, Location::RequestHeader, found);
    }
    if keys[0].content != keys[1].content {
        body_differences(&a.body, &b.body, &VolatileRules::none(), Location::RequestBody, found);
    }
}

fn response_differences(
    left: &Exchange<'_>,
    right: &Exchange<'_>,
    projection: &Projection,
    found: &mut Vec<Difference>,
) {
    let (a, b) = (&left.response, &right.response);
    let method = &left.request.method;
    let keys = [a, b].map(|response| projection.response_key(method, response));
    compare_texts(Location::Status, Some(&a.status.to_string()), Some(&b.status.to_string()), found);
    if let (Some(left), Some(right)) = (&a.reason, &b.reason)
        && left != right
    {
        found.push(difference(Location::Reason, Some(left.to_string()), Some(right.to_string())));
    }
    if keys[0].head != keys[1].head {
        let [left_fields, right_fields] = [a, b].map(|response| {
            let date = date(&response.headers);
            [&response.headers, &response.trailers].map(|list| {
                fields(list, |name, value| {
                    let counts = projection.counts_response_header(method, name);
                    counts.then(|| projection.volatile.header_value(name, value, date))
                })
            })
        });
        compare_named(&left_fields[0], &right_fields[0], Location::ResponseHeader, found);
        compare_named(&left_fields[1], &right_fields[1], Location::Trailer, found);
        compare_texts(Location::Failure, a.failure.as_deref(), b.failure.as_deref(), found);
    }
    if !keys[0].has_same_payload(&keys[1]) {
        body_differences(&a.body, &b.body, &projection.volatile, Location::ResponseBody, found);
    }
}

fn difference(location: Location, left: Option<String>, right: Option<String>) -> Difference {
    let kind = match (&left, &right) {
        (Some(_), None) => DifferenceKind::OnlyLeft,
        (None, Some(_)) => DifferenceKind::OnlyRight,
        _ => DifferenceKind::Changed,
    };
    Difference { location, kind, left, right }
}

/// Adds a difference if two texts differ in more than placeholders.
fn compare_texts(location: Location, left: Option<&str>, right: Option<&str>, found: &mut Vec<Difference>) {
    let [a, b] = [left, right].map(|text| text.map(|text| placeholder::mask(text.as_bytes())));
    if a != b {
        found.push(difference(location, left.map(str::to_owned), right.map(str::to_owned)));
    }
}

/// Adds the differences of two URLs that differ in more than placeholders.
fn url_differences(left: &str, right: &str, found: &mut Vec<Difference>) {
    let before = found.len();
    let (a, b) = (Parts::of(left), Parts::of(right));
    compare_texts(Location::Origin, Some(a.origin), Some(b.origin), found);
    if a.segments().count() == b.segments().count() {
        for (index, (left, right)) in a.segments().zip(b.segments()).enumerate() {
            compare_texts(Location::Segment(index), Some(left), Some(right), found);
        }
    } else {
        found.push(difference(Location::Path, Some(a.path.to_owned()), Some(b.path.to_owned())));
    }
    let [a, b] = [a, b].map(|parts| parameters(parts.query.unwrap_or_default().as_bytes()));
    compare_named(&a, &b, Location::Query, found);
    if found.len() == before {
        let kind = if a.is_permutation_of(&b) { DifferenceKind::Order } else { DifferenceKind::Spelling };
        found.push(Difference { kind, ..difference(Location::Url, Some(left.to_owned()), Some(right.to_owned())) });
    }
}

/// Adds the differences of two payloads that differ in what counts of them.
fn body_differences(
    left: &Body<'_>,
    right: &Body<'_>,
    volatile: &VolatileRules,
    location: fn(BodyLocation) -> Location,
    found: &mut Vec<Difference>,
) {
    let before = found.len();
    let [left_text, right_text] = [left, right].map(Body::text);
    let trees = left_text.and_then(|text| volatile.parse(text)).zip(right_text.and_then(|text| volatile.parse(text)));
    let is_form = |body: &Body<'_>| body.media().is_form();
    if let Some((left, right)) = &trees {
        for JsonDifference { pointer, left, right } in json_differences(left, right, ArrayRule::Whole) {
            let place = if pointer.is_root() { BodyLocation::Whole } else { BodyLocation::Json(pointer) };
            let [left, right] = [left, right].map(|node| node.map(node_text));
            found.push(difference(location(place), left, right));
        }
    } else if let (Some(a), Some(b)) = (left_text.filter(|_| is_form(left)), right_text.filter(|_| is_form(right))) {
        let [a, b] = [a, b].map(|text| parameters(text.as_bytes()));
        compare_named(&a, &b, |name| location(BodyLocation::Field(name)), found);
    } else {
        let text = |body: &Body<'_>| body.content.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let whole = difference(location(BodyLocation::Whole), text(left), text(right));
        return found.push(Difference { kind: DifferenceKind::Changed, ..whole });
    }
    if found.len() == before {
        let [left, right] = [left_text, right_text].map(|text| text.map(str::to_owned));
        let whole = difference(location(BodyLocation::Whole), left, right);
        found.push(Difference { kind: DifferenceKind::Spelling, ..whole });
    }
}

/// Returns a JSON value as text: a string decoded, any other value as it is spelled.
fn node_text(node: &Node<'_>) -> String {
    unquote_lossy(node.text).map_or_else(|| node.text.to_owned(), Cow::into_owned)
}

/// Values by name, and the names in order.
struct NamedValues {
    names: Vec<String>,
    values: BTreeMap<String, Vec<NamedValue>>,
}

struct NamedValue {
    /// The part of the value that counts.
    projected: Vec<u8>,
    text: String,
}

impl NamedValues {
    fn new(list: impl Iterator<Item = (String, NamedValue)>) -> Self {
        let mut named = NamedValues { names: Vec::new(), values: BTreeMap::new() };
        for (name, value) in list {
            named.names.push(name.clone());
            named.values.entry(name).or_default().push(value);
        }
        named
    }

    fn text(&self, name: &str) -> Option<String> {
        let values = self.values.get(name)?;
        Some(values.iter().map(|value| value.text.as_str()).collect::<Vec<_>>().join(", "))
    }

    fn projected<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.values.get(name).into_iter().flatten().map(|value| &value.projected[..])
    }

    /// Returns true if the names come in another order. The values of each name are known to be equal.
    fn is_permutation_of(&self, other: &NamedValues) -> bool {
        self.names != other.names
    }
}

/// Adds the names whose values differ.
fn compare_named(
    left: &NamedValues,
    right: &NamedValues,
    location: impl Fn(String) -> Location,
    found: &mut Vec<Difference>,
) {
    let names: BTreeSet<&String> = left.values.keys().chain(right.values.keys()).collect();
    for name in names {
        if !left.projected(name).eq(right.projected(name)) {
            found.push(difference(location(name.clone()), left.text(name), right.text(name)));
        }
    }
}

/// Returns header fields by their names in lower case. `project` returns what counts of a value, if anything.
fn fields<'v>(headers: &'v Headers, project: impl Fn(&str, &'v [u8]) -> Option<Cow<'v, [u8]>>) -> NamedValues {
    NamedValues::new(headers.iter().filter_map(|field| {
        let name = field.name.to_ascii_lowercase();
        let projected = project(&name, &field.value)?.into_owned();
        Some((name, NamedValue { projected, text: to_chars(&field.value).into_owned() }))
    }))
}

/// Returns the parameters of a query or form by their decoded names.
fn parameters(text: &[u8]) -> NamedValues {
    NamedValues::new(form_urlencoded::parse(text).map(|(name, value)| {
        let projected = placeholder::mask(value.as_bytes()).into_owned();
        (name.into_owned(), NamedValue { projected, text: value.into_owned() })
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::content::Content;
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
            .map(|found| format!("{} {:?}", found.location, found.kind))
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
                "/request/origin Changed",
                "/request/path/1 Changed",
                "/request/query/t OnlyLeft",
                "/request/query/u OnlyRight",
                "/request/body/n Changed",
                "/response/headers/x-a OnlyLeft",
                "/response/headers/x-b OnlyRight",
                "/response/body/a/0 Changed",
            ]
        );
    }

    #[test]
    fn order_and_spelling_are_differences_of_their_own_kind() {
        let with_url = |url| exchange(url, "", &[], "");
        let base = with_url("https://a.test/?a=1&b=2");
        assert_eq!(locations(&base, &with_url("https://a.test/?b=2&a=1")), ["/request/url Order"]);
        assert_eq!(locations(&base, &with_url("https://a.test/?a=1&b=%32")), ["/request/url Spelling"]);
        let with_body = |received| exchange("https://a.test/", "", &[], received);
        assert_eq!(locations(&with_body("[1]"), &with_body("[ 1 ]")), ["/response/body Spelling"]);
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

    proptest! {
        #[test]
        fn no_difference_is_found_if_and_only_if_the_keys_are_equal(
            urls in [r"https://a\.test/[ab]?(\?[ab]=%?61?(&[ab]=1)?)?", r"https://a\.test/[ab]?(\?[ab]=%?61?(&[ab]=1)?)?"],
            sent in [text(), text()],
            values in ["[12]", "[12]"],
            received in [text(), text()],
        ) {
            let [left, right] = [0, 1].map(|at| {
                exchange(&urls[at], &sent[at], &[("x-a", &values[at]), ("date", &values[at])], &received[at])
            });
            let projection = Projection::default();
            let responses = [&left, &right].map(|one| projection.response_key("POST", &one.response));
            let equal = projection.request_key(&left.request) == projection.request_key(&right.request)
                && responses[0].equals(&responses[1]);
            prop_assert_eq!(diff(&left, &right, &projection).is_empty(), equal);
        }
    }
}
