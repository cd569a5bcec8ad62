//! An ordered list of header fields with byte values, as a HAR keeps them.
//!
//! Names compare without case and keep the spelling they came with; repeated names keep every value in order.

use std::borrow::Cow;

use bytes::Bytes;

/// One header field line (RFC 9110 section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The field name as it was spelt.
    pub name: String,
    /// The field value, byte for byte, without the optional white space around it.
    pub value: Bytes,
}

/// Header fields in order, duplicates included.
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

    /// The first value of `name`, compared without case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| &h.value[..])
    }

    /// The first value of `name` when it is UTF-8.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value of `name`, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.0.iter().filter(move |h| h.name.eq_ignore_ascii_case(name)).map(|h| &h.value[..])
    }

    /// Whether a field of this name is there.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Keeps the fields for which `keep` says so.
    pub fn retain(&mut self, keep: impl FnMut(&Header) -> bool) {
        self.0.retain(keep);
    }

    /// The fields in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.iter()
    }

    /// How many field lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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

/// Names in lower case in order of first appearance, the values of a repeated name together: what hyper hands over.
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

/// Header bytes as text of one character a byte (U+0000 to U+00FF), as browsers and Node write them into a HAR.
#[must_use]
pub fn to_chars(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) if text.is_ascii() => text.into(),
        _ => value.iter().map(|&byte| char::from(byte)).collect::<String>().into(),
    }
}

/// The bytes of a header value in a HAR: one for each character up to U+00FF; a value with any character above was read as
/// UTF-8 by the tool that wrote it, and is sent as UTF-8.
#[must_use]
pub fn from_chars(text: &str) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    bytes.unwrap_or_else(|| text.as_bytes().to_vec())
}

/// Fields that describe one hop and not the message (RFC 9110 section 7.6.1, RFC 9112, RFC 7540 section 8.1.2.2).
/// `connection` may name more; see [`Headers::connection_options`].
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

impl Headers {
    /// The field names that `Connection` lists, in lower case (RFC 9110 section 7.6.1).
    #[must_use]
    pub fn connection_options(&self) -> Vec<String> {
        connection_options(self.get_all("connection"))
    }
}

/// The same of the values of `Connection`.
pub fn connection_options<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    values
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .map(|option| option.trim().to_ascii_lowercase())
        .filter(|option| !option.is_empty())
        .collect()
}
