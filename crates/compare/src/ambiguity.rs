//! Ambiguous entries: entries whose requests differ only in redacted places, and whose responses differ. A live request
//! does not tell which of them is meant, unless it sends a placeholder or a value that the policy gives for one.

use harproxy_http::url::Parts;
use harproxy_http::{cookies, jwt};
use harproxy_json::Digest;
use harproxy_redact::{Placeholder, placeholder};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use super::content::{Content, update_sized};
use super::exchange::{Request, Response};

/// The placeholders of a request, in order, each with its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedactedPlaces(Vec<(RedactedPlace, Placeholder)>);

/// A redacted place of a request. Several placeholders may share one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum RedactedPlace {
    UserInfo,
    /// A segment of the path, from 0.
    Segment(usize),
    /// A query parameter, by its name and its place among those of the name.
    Parameter(String, usize),
    /// A header field, by its name and its place among those of the name.
    Header(String, usize),
    /// A cookie, by its name and its place among those of the name.
    Cookie(Vec<u8>, usize),
    /// The payload, by the place among its placeholders.
    Payload(usize),
}

/// Digests of the parts of a response by which clients distinguish responses: status, `Location`, cookies and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseDigests {
    /// The digest of everything except the times of tokens.
    whole: Digest,
    /// The digest of everything except placeholders.
    without_placeholders: Digest,
}

/// Why two entries are ambiguous.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguity<'e> {
    /// The different placeholders of both entries at the same places. Never empty.
    pub placeholders: Vec<(&'e Placeholder, &'e Placeholder)>,
    /// The responses differ only in placeholders: in the tokens that they give.
    pub tokens_only: bool,
}

/// Compares two entries whose requests differ in nothing but redacted places. Returns `None` if they are not ambiguous:
/// the placeholders are the same ones, or the responses are. `responses` is called only if the placeholders differ.
#[must_use]
pub fn ambiguity<'e>(
    places: [&'e RedactedPlaces; 2],
    responses: impl FnOnce() -> [ResponseDigests; 2],
) -> Option<Ambiguity<'e>> {
    let [one, other] = places;
    let mut placeholders = Vec::new();
    for (place, group) in one.by_place() {
        let Some((_, namesakes)) = other.by_place().find(|(other, _)| *other == place) else { continue };
        let pairs = group.iter().zip(namesakes).map(|((_, one), (_, other))| (one, other));
        placeholders.extend(pairs.filter(|(one, other)| one != other));
    }
    if placeholders.is_empty() {
        return None;
    }
    let [one, other] = responses();
    let tokens_only = one.without_placeholders == other.without_placeholders;
    (one.whole != other.whole).then_some(Ambiguity { placeholders, tokens_only })
}

impl RedactedPlaces {
    /// Finds the redacted places of a request.
    #[must_use]
    pub fn new(request: &Request<'_>) -> Self {
        let mut found = Vec::new();
        let mut add = |place: RedactedPlace, text: &[u8]| {
            found.extend(placeholder::find(text).map(|one| (place.clone(), one.placeholder)));
        };
        let url = Parts::of(&request.url);
        if let Some((user, _)) = url.origin.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')) {
            add(RedactedPlace::UserInfo, user.as_bytes());
        }
        for (index, segment) in url.segments().enumerate() {
            add(RedactedPlace::Segment(index), segment.as_bytes());
        }
        let mut names = Vec::new();
        for raw in url.query.unwrap_or_default().split('&') {
            let name = form_urlencoded::parse(raw.as_bytes()).next().unwrap_or_default().0.into_owned();
            let index = count(&mut names, name.as_bytes());
            add(RedactedPlace::Parameter(name, index), raw.as_bytes());
        }
        let (mut names, mut cookie_names) = (Vec::new(), Vec::new());
        for header in request.headers.iter().filter(|header| placeholder::may_occur_in(&header.value)) {
            let name = header.name.to_ascii_lowercase();
            if name == "cookie" {
                for (name, value) in cookies::pairs(&header.value) {
                    let index = count(&mut cookie_names, name);
                    add(RedactedPlace::Cookie(name.to_vec(), index), value);
                }
            } else {
                let index = count(&mut names, name.as_bytes());
                add(RedactedPlace::Header(name, index), &header.value);
            }
        }
        let payload = request.body.content.bytes().unwrap_or_default();
        let in_payload = (0..).zip(placeholder::find(payload));
        found.extend(in_payload.map(|(index, one)| (RedactedPlace::Payload(index), one.placeholder)));
        RedactedPlaces(found)
    }

    /// Returns true if the request has no placeholder.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the placeholders of each place.
    fn by_place(&self) -> impl Iterator<Item = (&RedactedPlace, &[(RedactedPlace, Placeholder)])> {
        self.0.chunk_by(|a, b| a.0 == b.0).map(|group| (&group[0].0, group))
    }
}

/// Returns how often a name was counted before, and counts it.
fn count(names: &mut Vec<(Vec<u8>, usize)>, name: &[u8]) -> usize {
    match names.iter_mut().find(|(known, _)| known == name) {
        Some((_, count)) => {
            *count += 1;
            *count
        }
        None => {
            names.push((name.to_vec(), 0));
            0
        }
    }
}

impl ResponseDigests {
    /// Makes the digests of a response.
    #[must_use]
    pub fn new(response: &Response<'_>) -> Self {
        let mut digests = [Sha256::new(), Sha256::new()];
        let mut add = |text: &[u8]| {
            for (digest, text) in digests.iter_mut().zip([jwt::without_claims(text), placeholder::mask(text)]) {
                update_sized(digest, &text);
            }
        };
        add(&response.status.to_le_bytes());
        response.headers.get_all("location").for_each(&mut add);
        for cookie in response.headers.get_all("set-cookie") {
            add(cookie.split(|byte| *byte == b';').next().unwrap_or_default());
        }
        match &response.body.content {
            Content::Empty | Content::NotKept => add(b""),
            Content::Bytes(bytes) => add(bytes),
            Content::Long { digest, .. } => add(digest),
        }
        let [whole, without_placeholders] = digests.map(|digest| digest.finalize().into());
        ResponseDigests { whole, without_placeholders }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use harproxy_http::Headers;

    use super::super::exchange::Body;
    use super::*;

    struct Entry(RedactedPlaces, ResponseDigests);

    fn entry(url: &str, cookie: &str, sent: &str, received: &str) -> Entry {
        let mut headers = Headers::default();
        headers.push("Cookie", cookie.to_owned());
        let body = |text: &str| Body::new("text/plain", Content::of_bytes(text.as_bytes().to_vec()));
        let request = Request {
            method: "POST".into(),
            url: url.to_owned().into(),
            headers: Cow::Owned(headers),
            body: body(sent),
        };
        let response = Response {
            status: 200,
            reason: None,
            headers: Cow::default(),
            trailers: Cow::default(),
            body: body(received),
            failure: None,
        };
        Entry(RedactedPlaces::new(&request), ResponseDigests::new(&response))
    }

    fn numbers(one: &Entry, other: &Entry) -> Option<(Vec<(u64, u64)>, bool)> {
        let found = ambiguity([&one.0, &other.0], || [one.1, other.1])?;
        Some((found.placeholders.iter().map(|(a, b)| (a.number, b.number)).collect(), found.tokens_only))
    }

    #[test]
    fn entries_with_other_placeholders_and_other_responses_are_ambiguous() {
        let login = |n: u8, received: &str| entry("https://a.test/login", "", &format!("pw=REDACTED-pw-{n}"), received);
        assert_eq!(numbers(&login(1, "yes"), &login(2, "no")), Some((vec![(1, 2)], false)));
        assert_eq!(numbers(&login(1, "yes"), &login(1, "no")), None, "the same placeholder");
        assert_eq!(numbers(&login(1, "yes"), &login(2, "yes")), None, "the same response");
        let token = |n: u8| format!("t=REDACTED-token-{n}");
        assert_eq!(numbers(&login(1, &token(3)), &login(2, &token(4))), Some((vec![(1, 2)], true)));
    }

    #[test]
    fn placeholders_are_compared_place_by_place() {
        let one =
            entry("https://u:REDACTED-p-1@a.test/REDACTED-id-2/x?k=REDACTED-k-3", "sid=REDACTED-sid-4; a=1", "", "1");
        let other =
            entry("https://u:REDACTED-p-5@a.test/REDACTED-id-6/x?k=REDACTED-k-3", "sid=REDACTED-sid-7", "", "2");
        assert_eq!(numbers(&one, &other), Some((vec![(1, 5), (2, 6), (4, 7)], false)));
        let without_cookie = entry("https://u:REDACTED-p-1@a.test/REDACTED-id-2/x?k=REDACTED-k-3", "", "", "2");
        assert_eq!(numbers(&one, &without_cookie), None);
    }

    #[test]
    fn many_cookies_of_one_name_are_told_apart() {
        let Entry(RedactedPlaces(places), _) = entry("https://a.test/", &"sid=REDACTED-sid-1; ".repeat(2_000), "", "");
        assert_eq!(places.len(), 2_000);
        assert_eq!(places[1_999].0, RedactedPlace::Cookie(b"sid".to_vec(), 1_999));
    }
}
