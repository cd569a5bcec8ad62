//! What the journal says about an exchange beside its bytes: heads, ends and times, as frames of plain values (postcard).
//!
//! Times are microseconds since the request's head had been read ([`RequestStart::started`]).

use std::io;
use std::net::IpAddr;

use ::http::{HeaderMap, HeaderValue, Version, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use harproxy_http::headers::{HOP_BY_HOP, connection_options, from_chars, to_chars};
use harproxy_http::{Header, Headers};
use harproxy_redact::Clue;
use harproxy_redact::clue::KeyMark;
use harproxy_redact::marker::Run;

/// Room for a head as most are, bytes.
const HEAD: usize = 512;

/// The payload of a frame that says this.
///
/// # Errors
/// None for plain data.
pub fn encode(said: &impl Serialize) -> io::Result<Bytes> {
    let bytes = postcard::to_extend(said, Vec::with_capacity(HEAD)).map_err(io::Error::other)?;
    Ok(bytes.into())
}

/// The same of the members before and behind those that [have been said](super::lines) already.
///
/// # Errors
/// As [`encode`].
pub fn encode_around(before: &impl Serialize, said: &[u8], behind: &impl Serialize) -> io::Result<Bytes> {
    let mut bytes = postcard::to_extend(before, Vec::with_capacity(HEAD + said.len())).map_err(io::Error::other)?;
    bytes.extend_from_slice(said);
    let bytes = postcard::to_extend(behind, bytes).map_err(io::Error::other)?;
    Ok(bytes.into())
}

/// What the payload of a frame says; what is behind it is left, so that the first member can be asked for alone.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] when it says something else.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> io::Result<T> {
    let said = postcard::take_from_bytes(payload).map(|(said, _)| said);
    said.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The first frame: how the recording was asked for, for whoever finalises it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The globs, as given.
    pub scope: Vec<String>,
    /// `--max-body`, bytes.
    pub max_body: Option<u64>,
    /// Whose markers stand for secrets; `None` when nothing was secret.
    pub run: Option<Run>,
    /// Who records, for whoever finds the journal locked.
    pub pid: Option<u32>,
}

/// Clues to values that stand in frames behind this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Whose they are.
    pub mark: KeyMark,
    /// The clues.
    pub clues: Vec<Clue>,
}

/// What a request's head says before its headers; its words are lent by who says it and owned by who reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestStart<T = String> {
    /// Microseconds since 1970.
    pub started: i64,
    /// Microseconds since the journal was opened, which order exchanges even where the clock was set back.
    pub since: Option<i64>,
    /// As sent.
    pub method: T,
    /// In normal form.
    pub url: T,
    /// As sent by the client.
    pub version: WireVersion,
}

/// The head of a request. It is said [in parts](encode_around), which postcard tells one behind the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHead {
    /// What is before its headers.
    pub start: RequestStart,
    /// Lower case, hop-by-hop ones left out, `host` first.
    pub headers: Fields,
    /// Bytes of the head as HTTP/1.1 writes it; -1 over HTTP/2.
    pub head_size: i64,
}

/// The end of a request's payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestEnd {
    /// Bytes that were sent, encoded, those beyond `--max-body` too.
    pub seen: u64,
    /// When.
    pub at: i64,
    /// Whether all of it was sent.
    pub complete: bool,
    /// It was journalled decoded.
    pub decoded: Option<Decoded>,
}

/// What became of a payload that was decoded before it was journalled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoded {
    /// There was more than `--max-body` allows.
    pub more: bool,
    /// Its whole length, decoded, in bytes.
    pub total: Option<u64>,
    /// What came behind did not decode.
    pub broken: bool,
}

/// What a response's head says before its headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseStart<T = String> {
    /// 100 to 599.
    pub status: u16,
    /// The reason phrase: upstream's over HTTP/1.1, the status code's own over HTTP/2.
    pub reason: T,
    /// As received.
    pub version: WireVersion,
}

/// What it says behind them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseRest {
    /// Bytes of the head as HTTP/1.1 writes it; -1 over HTTP/2.
    pub head_size: i64,
    /// Counts upstream connections, from 1.
    pub connection: u64,
    /// Who answered.
    pub remote: Option<IpAddr>,
    /// The phases of the connection that this exchange opened.
    pub connect: Option<Phases>,
    /// Microseconds of waiting for a connection.
    pub blocked: i64,
    /// When the head of the request had been sent.
    pub sent: i64,
    /// When the head of the response had been read.
    pub answered: i64,
    /// 1xx answers before it, but for 100.
    pub informational: Vec<Informational>,
}

/// The head of a response, said in parts as a request's is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHead {
    /// What is before its headers.
    pub start: ResponseStart,
    /// Lower case, hop-by-hop ones left out.
    pub headers: Fields,
    /// What is behind them.
    pub rest: ResponseRest,
}

/// How long the phases of making a connection took, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// Name resolution.
    pub dns: Option<i64>,
    /// TCP.
    pub tcp: Option<i64>,
    /// TLS.
    pub tls: Option<i64>,
}

/// A 1xx answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Informational {
    /// 101 to 199.
    pub status: u16,
    /// Its headers.
    pub headers: Fields,
}

/// The end of an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How it ended.
    pub how: How,
    /// Bytes of the response's payload that came, encoded, those beyond `--max-body` too.
    pub seen: u64,
    /// When.
    pub at: i64,
    /// The response's trailers.
    pub trailers: Fields,
    /// The payload was journalled decoded.
    pub decoded: Option<Decoded>,
}

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]

pub enum How {
    /// The response came whole.
    Complete,
    /// The client went away before the end of the response.
    ClientLeft,
    /// Upstream broke off before the end of the response.
    UpstreamDied,
    /// There was no response.
    Failed {
        /// One word ([`harproxy_proxy::upstream::UpstreamError::kind`]).
        kind: String,
        /// The whole chain of reasons.
        message: String,
    },
    /// The client went away before the response, or the exchange was not one: nothing to store.
    Dropped,
}

/// The protocol of a message, as a HAR spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WireVersion {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

impl WireVersion {
    /// `httpVersion`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            WireVersion::Http10 => "HTTP/1.0",
            WireVersion::Http11 => "HTTP/1.1",
            WireVersion::Http2 => "HTTP/2",
        }
    }
}

impl From<Version> for WireVersion {
    fn from(version: Version) -> Self {
        match version {
            Version::HTTP_2 => WireVersion::Http2,
            Version::HTTP_09 | Version::HTTP_10 => WireVersion::Http10,
            _ => WireVersion::Http11,
        }
    }
}

/// Header fields as pairs of strings, each byte of a value one character, as a HAR has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub Headers);

/// Which fields of a head are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// All but those of the connection, so that the same API gives the same fixture over HTTP/1.1 and HTTP/2.
    Dropped,
    /// `Connection` and `Upgrade` too: they are what the exchange is about (RFC 9110 section 7.8).
    UpgradeKept,
}

impl Fields {
    /// What is recorded of a head.
    #[must_use]
    pub fn of(map: &HeaderMap, hop: Hop) -> Self {
        let header =
            |(name, value): (&str, &[u8])| Header { name: name.to_owned(), value: Bytes::copy_from_slice(value) };
        Fields(recorded(map, hop).map(header).collect())
    }
}

/// The lines of a head that are recorded.
pub fn recorded(map: &HeaderMap, hop: Hop) -> impl Iterator<Item = (&str, &[u8])> {
    let named = connection_options(map.get_all(header::CONNECTION).iter().map(HeaderValue::as_bytes));
    let lines = map.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    lines.filter(move |(name, _)| {
        // `Trailer` announces a part of the message, not of the hop.
        let of_hop = *name != "trailer" && (HOP_BY_HOP.contains(name) || named.iter().any(|option| option == name));
        !of_hop || (hop == Hop::UpgradeKept && matches!(*name, "connection" | "upgrade"))
    })
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for header in &self.0 {
            list.serialize_element(&(&header.name, to_chars(&header.value)))?;
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("pairs of a name and a value")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Fields, A::Error> {
                let mut headers = Headers::default();
                while let Some((name, value)) = list.next_element::<(String, String)>()? {
                    headers.push(name, from_chars(&value));
                }
                Ok(Fields(headers))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn names(fields: &Fields) -> Vec<&str> {
        fields.0.iter().map(|header| header.name.as_str()).collect()
    }

    #[test]
    fn fields_survive_the_journal_byte_for_byte() {
        let mut map = map(&[("x-a", "plain"), ("x-a", "twice \"quoted\"")]);
        map.append("x-b", HeaderValue::from_bytes(b"caf\xe9 \xc3\xa9 \xff").unwrap());
        let fields = Fields::of(&map, Hop::Dropped);
        assert_eq!(decode::<Fields>(&encode(&fields).unwrap()).unwrap(), fields);
    }

    #[test]
    fn a_head_that_is_said_in_parts_is_said_as_one() {
        let headers = Fields::of(&map(&[("x-a", "plain"), ("x-b", "ä")]), Hop::Dropped);
        let said = encode(&headers).unwrap();
        let start = RequestStart {
            started: 1_700_000_000_000_000,
            since: Some(-3),
            method: "GET",
            url: "https://api.test/",
            version: WireVersion::Http11,
        };
        let in_parts = encode_around(&start, &said, &300_i64).unwrap();
        let RequestStart { started, since, method, url, version } = start;
        let start = RequestStart { started, since, method: method.to_owned(), url: url.to_owned(), version };
        let head = RequestHead { start, headers: headers.clone(), head_size: 300 };
        assert_eq!(decode::<RequestHead>(&in_parts).unwrap(), head);
        assert_eq!(encode(&head).unwrap(), in_parts);

        let (status, version) = (418, WireVersion::Http2);
        let rest = ResponseRest {
            head_size: 1,
            connection: 2,
            remote: Some([127, 0, 0, 3].into()),
            connect: Some(Phases { dns: Some(4), tcp: None, tls: Some(5) }),
            blocked: 6,
            sent: 7,
            answered: 8,
            informational: vec![Informational { status: 103, headers: Fields::default() }],
        };
        let in_parts = encode_around(&ResponseStart { status, reason: "Teapot", version }, &said, &rest).unwrap();
        let start = ResponseStart { status, reason: "Teapot".to_owned(), version };
        let head = ResponseHead { start, headers, rest };
        assert_eq!(decode::<ResponseHead>(&in_parts).unwrap(), head);
        assert_eq!(encode(&head).unwrap(), in_parts);
    }

    #[test]
    fn what_belongs_to_the_connection_is_not_recorded() {
        let map = map(&[
            ("connection", "keep-alive, x-hop"),
            ("keep-alive", "timeout=5"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("trailer", "x-sum"),
            ("content-length", "3"),
        ]);
        assert_eq!(names(&Fields::of(&map, Hop::Dropped)), ["trailer", "content-length"]);
        assert_eq!(names(&Fields::of(&map, Hop::UpgradeKept)), ["connection", "upgrade", "trailer", "content-length"]);
    }
}
