//! An ordered list of header fields with byte values, as stored in a HAR, and the filter of hop-by-hop fields.
//!
//! Names are compared case-insensitively and keep their spelling. Repeated names keep all values in order.

use std::borrow::Cow;

use bytes::Bytes;

/// One header field line (RFC 9110 section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The field name in its original spelling.
    pub name: String,
    /// The field value without surrounding white space.
    pub value: Bytes,
}

/// Header fields in order, including duplicates.
///
/// ```
/// use harproxy_http::Headers;
/// let mut headers = Headers::default();
/// headers.push("Set-Cookie", "a=1");
/// headers.push("set-cookie", "b=2");
/// assert_eq!(headers.get("SET-COOKIE"), Some(&b"a=1"[..]));
/// assert_eq!(headers.get_all("set-cookie").count(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// Adds a field at the end.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<Bytes>) {
        self.0.push(Header { name: name.into(), value: value.into() });
    }

    /// Adds a field before all others.
    pub fn push_front(&mut self, name: impl Into<String>, value: impl Into<Bytes>) {
        self.0.insert(0, Header { name: name.into(), value: value.into() });
    }

    /// The first value of `name`, compared case-insensitively.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| &h.value[..])
    }

    /// The first value of `name`, if it is UTF-8.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All values of `name` in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.0.iter().filter(move |h| h.name.eq_ignore_ascii_case(name)).map(|h| &h.value[..])
    }

    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Keeps the fields for which `keep` returns true.
    pub fn retain(&mut self, keep: impl FnMut(&Header) -> bool) {
        self.0.retain(keep);
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.iter()
    }

    /// The number of field lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The field names in `Connection`, in lower case (RFC 9110 section 7.6.1).
    #[must_use]
    pub fn connection_options(&self) -> Vec<String> {
        connection_options(self.get_all("connection"))
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl FromIterator<Header> for Headers {
    fn from_iter<I: IntoIterator<Item = Header>>(iter: I) -> Self {
        Headers(iter.into_iter().collect())
    }
}

/// Copies a `HeaderMap`: lower-case names in order of first appearance, with the values of a repeated name together.
impl From<&::http::HeaderMap> for Headers {
    fn from(map: &::http::HeaderMap) -> Self {
        map.iter()
            .map(|(name, value)| Header {
                name: name.as_str().to_owned(),
                value: Bytes::copy_from_slice(value.as_bytes()),
            })
            .collect()
    }
}

/// Decodes a header value as latin-1 (U+0000 to U+00FF), as browsers and Node write it into a HAR.
#[must_use]
pub fn to_chars(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) if text.is_ascii() => text.into(),
        _ => value.iter().map(|&byte| char::from(byte)).collect::<String>().into(),
    }
}

/// Encodes a header value of a HAR as latin-1. A value with a character above U+00FF is encoded as UTF-8, because the
/// tool that wrote it decoded UTF-8.
#[must_use]
pub fn from_chars(text: &str) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    bytes.unwrap_or_else(|| text.as_bytes().to_vec())
}

/// Hop-by-hop fields (RFC 9110 section 7.6.1, RFC 9112, RFC 9113 section 8.2.2). `Connection` may name more.
pub const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "trailer",
];

/// True for a hop-by-hop field: one of [`HOP_BY_HOP`], or one that `Connection` names. `options` are the
/// [`connection_options`].
///
/// ```
/// use harproxy_http::headers::is_hop_by_hop;
/// assert!(is_hop_by_hop("Keep-Alive", &[]) && is_hop_by_hop("X-Session", &["x-session".to_owned()]));
/// assert!(!is_hop_by_hop("accept", &[]));
/// ```
#[must_use]
pub fn is_hop_by_hop(name: &str, options: &[String]) -> bool {
    let is_name = |other: &str| name.eq_ignore_ascii_case(other);
    HOP_BY_HOP.into_iter().any(is_name) || options.iter().any(|option| is_name(option))
}

/// True for a hop-by-hop field other than `Trailer`, which a proxy may forward with the trailers that it announces.
fn is_connection_field(name: &str, options: &[String]) -> bool {
    let is_trailer = name.eq_ignore_ascii_case("trailer");
    is_hop_by_hop(name, options) && (!is_trailer || options.iter().any(|option| option == "trailer"))
}

/// Removes all hop-by-hop fields except `Trailer`, and keeps the order of the other fields.
///
/// ```
/// use harproxy_http::headers::remove_connection_fields;
/// let fields = [("connection", "x-a"), ("x-a", "1"), ("trailer", "b"), ("x-c", "2")];
/// let fields = fields.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
/// let mut map = http::HeaderMap::from_iter(fields);
/// remove_connection_fields(&mut map);
/// assert_eq!(map.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["trailer", "x-c"]);
/// ```
pub fn remove_connection_fields(map: &mut ::http::HeaderMap) {
    // Most messages have no such field.
    if !map.keys().any(|name| is_connection_field(name.as_str(), &[])) {
        return;
    }
    let options = connection_options(map.get_all(::http::header::CONNECTION).iter().map(|value| value.as_bytes()));
    // `HeaderMap::remove` does not keep the order.
    let kept = map.iter().filter(|(name, _)| !is_connection_field(name.as_str(), &options));
    *map = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
}

/// The field names in values of `Connection`, in lower case (RFC 9110 section 7.6.1).
pub fn connection_options<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    values
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .map(|option| option.trim().to_ascii_lowercase())
        .filter(|option| !option.is_empty())
        .collect()
}
