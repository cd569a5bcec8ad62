//! The structured frames of the journal: heads, ends and times of an exchange, encoded with postcard.
//!
//! Times are microseconds since the head of the request had been read ([`RequestHead::started`]).

use std::io;
use std::net::IpAddr;

use ::http::{HeaderMap, HeaderValue, Version, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use harproxy_har::model::Chunk;
use harproxy_http::headers::{HOP_BY_HOP, connection_options, from_chars, to_chars};
use harproxy_http::{Header, Headers};
use harproxy_redact::RunId;

/// Encodes the payload of a structured frame.
///
/// # Errors
/// None for the types of this file.
pub fn encode(value: &impl Serialize) -> io::Result<Bytes> {
    postcard::to_extend(value, Vec::new()).map(Bytes::from).map_err(io::Error::other)
}

/// Decodes the payload of a structured frame. Bytes behind the value are ignored, so a type with only the first members
/// of another one reads those.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] when the payload is not of this type.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> io::Result<T> {
    let decoded = postcard::take_from_bytes(payload).map(|(value, _)| value);
    decoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The settings of a recording that finalising it needs: the first frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalMeta {
    /// The globs, as given.
    pub scope: Vec<String>,
    /// `--max-body`, bytes.
    pub max_body: Option<u64>,
    /// The run whose markers stand for secrets; `None` if redaction was off.
    pub run: Option<RunId>,
    /// The process that records.
    pub pid: Option<u32>,
    /// `--max-decoded`, bytes.
    pub max_decoded: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHead {
    /// Microseconds since 1970.
    pub started: i64,
    /// Microseconds since the journal was opened. They order exchanges even if the clock was set back.
    pub since: Option<i64>,
    /// The test, if the request has one.
    pub test: Option<JournalledTest>,
    /// The method as sent.
    pub method: String,
    /// The URL in normal form.
    pub url: String,
    /// The protocol of the client.
    pub version: WireVersion,
    /// Names in lower case, without hop-by-hop headers, `host` first.
    pub headers: HeaderFields,
    /// Bytes of the head as HTTP/1.1 writes it; -1 over HTTP/2.
    pub head_size: i64,
    /// The target of the CONNECT, if the URL has another host or port.
    pub authority: Option<String>,
}

/// The test that sent a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalledTest {
    pub name: String,
    /// Greater for each test that begins, also if a test runs again.
    pub attempt: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestEnd {
    /// Encoded bytes that were sent, including those beyond `--max-body`.
    pub seen: u64,
    /// The time of the end.
    pub at: i64,
    /// Whether all of it was sent.
    pub complete: bool,
    /// Set if the payload was journalled decoded.
    pub decoded: Option<DecodedPayload>,
}

/// The length and state of a payload that was journalled decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecodedPayload {
    /// The payload is longer than `--max-body`.
    pub more: bool,
    /// The decoded length of the whole payload, bytes, if it is known.
    pub total: Option<u64>,
    /// The payload does not decode beyond what was journalled.
    pub broken: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHead {
    /// 100 to 999.
    pub status: u16,
    /// The reason phrase: upstream's over HTTP/1.1, the canonical one of the status code over HTTP/2.
    pub reason: String,
    /// The protocol of upstream.
    pub version: WireVersion,
    /// Names in lower case, without hop-by-hop headers.
    pub headers: HeaderFields,
    /// Bytes of the head as HTTP/1.1 writes it; -1 over HTTP/2.
    pub head_size: i64,
    /// The number of the upstream connection, from 1.
    pub connection: u64,
    /// The address of upstream.
    pub remote: Option<IpAddr>,
    /// The connection phases, if this exchange opened the connection.
    pub connect: Option<ConnectPhases>,
    /// Microseconds of waiting for a connection.
    pub blocked: i64,
    /// When the head of the request had been sent.
    pub sent: i64,
    /// When the head of the response had been read.
    pub answered: i64,
    /// The 1xx responses before it, without 100.
    pub informational: Vec<InformationalResponse>,
}

/// Durations of the phases of opening a connection, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectPhases {
    /// Name resolution.
    pub dns: Option<i64>,
    pub tcp: Option<i64>,
    pub tls: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InformationalResponse {
    /// 101 to 199.
    pub status: u16,
    pub headers: HeaderFields,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeEnd {
    pub reason: EndReason,
    /// Encoded bytes of the response payload, including those beyond `--max-body`.
    pub seen: u64,
    /// The time of the end.
    pub at: i64,
    pub trailers: HeaderFields,
    /// Set if the payload was journalled decoded.
    pub decoded: Option<DecodedPayload>,
    /// The chunks in which a stream of events arrived.
    pub chunks: Vec<Chunk>,
    /// Client and server answered each other while the request was still being sent.
    pub is_duplex: bool,
    /// The frames of the exchange that were journalled before this one. If a damaged journal has fewer, it has a hole.
    pub frames: u64,
}

/// The kind of a timeout before there was a connection, in [`EndReason::Failed`].
pub const UNCONNECTED_TIMEOUT: &str = "connect-timeout";

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    #[default]
    Complete,
    /// The client left before the end of the response.
    ClientLeft,
    /// Upstream broke off before the end of the response.
    UpstreamDied,
    /// There was no response.
    Failed {
        /// One word ([`harproxy_proxy::upstream::UpstreamError::kind`]), or [`UNCONNECTED_TIMEOUT`].
        kind: String,
        /// The whole chain of reasons.
        message: String,
    },
    /// The client left before the response. The exchange is not stored.
    Dropped,
}

/// The protocol of a message, as a HAR spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WireVersion {
    Http10,
    Http11,
    Http2,
}

impl WireVersion {
    /// The value of `httpVersion`.
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

/// Header fields. In the journal they are pairs of strings in which each byte of a value is one character, as in a HAR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderFields(pub Headers);

/// The hop-by-hop fields that are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopFields {
    /// None, so that the same API gives the same fixture over HTTP/1.1 and HTTP/2.
    Drop,
    /// `Connection` and `Upgrade`, which an upgrade is about (RFC 9110 section 7.8).
    KeepUpgrade,
    /// `Proxy-Authenticate`, which a 407 must have (RFC 9110 section 15.5.8).
    KeepChallenge,
}

impl HeaderFields {
    /// Copies the fields that are recorded.
    #[must_use]
    pub fn of(map: &HeaderMap, hop: HopFields) -> Self {
        let named = connection_options(map.get_all(header::CONNECTION).iter().map(HeaderValue::as_bytes));
        let is_recorded = |name: &str| {
            // `Trailer` announces a part of the message, not of the hop.
            let is_hop_by_hop =
                name != "trailer" && (HOP_BY_HOP.contains(&name) || named.iter().any(|option| option == name));
            let is_kept = match hop {
                HopFields::Drop => false,
                HopFields::KeepUpgrade => matches!(name, "connection" | "upgrade"),
                HopFields::KeepChallenge => name == "proxy-authenticate",
            };
            !is_hop_by_hop || is_kept
        };
        let fields = map.iter().filter(|(name, _)| is_recorded(name.as_str()));
        let fields = fields.map(|(name, value)| Header {
            name: name.as_str().to_owned(),
            value: Bytes::copy_from_slice(value.as_bytes()),
        });
        HeaderFields(fields.collect())
    }

    /// Bytes of the field lines as HTTP/1.1 writes them.
    #[must_use]
    pub fn wire_size(&self) -> usize {
        self.0.iter().map(|field| field.name.len() + field.value.len() + ": \r\n".len()).sum()
    }
}

impl Serialize for HeaderFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|field| (&field.name, to_chars(&field.value))))
    }
}

impl<'de> Deserialize<'de> for HeaderFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Vec::<(String, String)>::deserialize(deserializer)?;
        let field = |(name, value): (String, String)| Header { name, value: from_chars(&value).into() };
        Ok(HeaderFields(fields.into_iter().map(field).collect()))
    }
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn names(fields: &HeaderFields) -> Vec<&str> {
        fields.0.iter().map(|header| header.name.as_str()).collect()
    }

    #[test]
    fn fields_round_trip_through_the_journal_byte_for_byte() {
        let mut map = map(&[("x-a", "plain"), ("x-a", "twice \"quoted\"")]);
        map.append("x-b", HeaderValue::from_bytes(b"caf\xe9 \xc3\xa9 \xff").unwrap());
        let fields = HeaderFields::of(&map, HopFields::Drop);
        assert_eq!(decode::<HeaderFields>(&encode(&fields).unwrap()).unwrap(), fields);
    }

    #[test]
    fn hop_by_hop_fields_are_not_recorded() {
        let map = map(&[
            ("connection", "keep-alive, x-hop"),
            ("keep-alive", "timeout=5"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("trailer", "x-sum"),
            ("content-length", "3"),
        ]);
        assert_eq!(names(&HeaderFields::of(&map, HopFields::Drop)), ["trailer", "content-length"]);
        assert_eq!(
            names(&HeaderFields::of(&map, HopFields::KeepUpgrade)),
            ["connection", "upgrade", "trailer", "content-length"]
        );
    }
}
