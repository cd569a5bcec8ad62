//! Makes the head of an upstream request from the client's: the same headers in the same order, hop-by-hop headers
//! generated anew, target and Host in the form that the connection needs. Nothing is added.

use ::http::header::{
    self, CONNECTION, CONTENT_LENGTH, COOKIE, Entry, HOST, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use ::http::request::Parts;
use ::http::uri::{Authority, PathAndQuery};
use ::http::{Error, HeaderMap, HeaderName, HeaderValue, Request, Uri, Version};

use super::connection::TargetForm;
use crate::origin::Origin;
use harproxy_http::headers::{connection_options, is_hop_by_hop};

/// Request extension: the Host header goes upstream unchanged, although it names another authority than the URI.
///
/// The engine sets it on requests in origin form inside a CONNECT. Without it, such a Host header is replaced (absolute
/// form: RFC 9112 section 3.2.2; `--reverse`).
#[derive(Clone, Copy, Debug)]
pub struct HostStays;

/// The length of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    Empty,
    Known(u64),
    /// Chunked over HTTP/1.1.
    Unknown,
}

/// The head for an HTTP/1.1 connection.
pub(super) fn http1(parts: &Parts, to: &Origin, form: &TargetForm, length: BodyLength) -> Result<Request<()>, Error> {
    let path = parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let (uri, proxy_authorization) = match form {
        TargetForm::Origin => (Uri::from(path), None),
        TargetForm::Absolute(authorization) => (absolute(to, &to.authority(), path)?, authorization.clone()),
    };
    let mut request = Request::new(());
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    let host = host(parts, to)?;
    *request.extensions_mut() = parts.extensions.clone();

    let mut fields = HeaderBuilder::new(&parts.headers);
    if !parts.headers.contains_key(HOST) {
        fields.put(HOST, host.clone());
    }
    let connection = connection(&parts.headers)?;
    for (name, value) in &parts.headers {
        match *name {
            HOST => fields.put_once(name, || host.clone()),
            CONNECTION => {
                if let Some(connection) = &connection {
                    fields.put_once(name, || connection.clone());
                }
            }
            TE if wants_trailers(&parts.headers) => fields.put_once(name, || HeaderValue::from_static("trailers")),
            UPGRADE if upgrades(&parts.headers) && passes_as_upgrade(value) => fields.put(UPGRADE, value.clone()),
            TRANSFER_ENCODING if length == BodyLength::Unknown => {
                fields.put_once(name, || HeaderValue::from_static("chunked"));
            }
            TRAILER if length == BodyLength::Unknown => fields.put(TRAILER, value.clone()),
            CONTENT_LENGTH if !declares(value, length) => {}
            // One Cookie header: HTTP/2 may have split it (RFC 9113 section 8.2.3).
            COOKIE if parts.version == Version::HTTP_2 => fields.put_once(name, || joined_cookies(&parts.headers)),
            _ => fields.copy(name, value),
        }
    }
    if let Some(connection) = connection {
        fields.put_once(&CONNECTION, || connection);
    }
    if length == BodyLength::Unknown {
        fields.put_once(&TRANSFER_ENCODING, || HeaderValue::from_static("chunked"));
    }
    if let Some(authorization) = proxy_authorization {
        fields.put(PROXY_AUTHORIZATION, authorization);
    }
    *request.headers_mut() = fields.out;
    Ok(request)
}

/// The head for an HTTP/2 connection.
pub(super) fn http2(parts: &Parts, to: &Origin, length: BodyLength) -> Result<Request<()>, Error> {
    let path = parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let host = host(parts, to)?;
    let uri = absolute(to, host.to_str().unwrap_or_default(), path)?;
    let mut request = Request::builder().method(parts.method.clone()).uri(uri).version(Version::HTTP_2).body(())?;
    *request.extensions_mut() = parts.extensions.clone();

    let mut fields = HeaderBuilder::new(&parts.headers);
    for (name, value) in &parts.headers {
        match *name {
            HOST => {}
            TE if wants_trailers(&parts.headers) => fields.put_once(name, || HeaderValue::from_static("trailers")),
            TRAILER if length == BodyLength::Unknown => fields.put(TRAILER, value.clone()),
            CONTENT_LENGTH if !declares(value, length) => {}
            _ => fields.copy(name, value),
        }
    }
    *request.headers_mut() = fields.out;
    Ok(request)
}

/// Returns true if the client asks for an upgrade, except to `h2c`: RFC 9113 removed it, and a recorder could not read
/// the bytes that follow.
pub(super) fn upgrades(headers: &HeaderMap) -> bool {
    tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"))
        && headers.get_all(UPGRADE).iter().any(passes_as_upgrade)
}

/// Builds a header map in the order of the client's. `HeaderMap::remove` would change the order.
struct HeaderBuilder {
    /// Names in the client's Connection header.
    options: Vec<String>,
    out: HeaderMap,
}

impl HeaderBuilder {
    fn new(from: &HeaderMap) -> Self {
        let options = connection_options(from.get_all(CONNECTION).iter().map(HeaderValue::as_bytes));
        HeaderBuilder { options, out: HeaderMap::with_capacity(from.len() + 2) }
    }

    fn put(&mut self, name: HeaderName, value: HeaderValue) {
        self.out.append(name, value);
    }

    fn put_once(&mut self, name: &HeaderName, value: impl FnOnce() -> HeaderValue) {
        if let Entry::Vacant(entry) = self.out.entry(name) {
            entry.insert(value());
        }
    }

    /// Copies an end-to-end header, and no other.
    fn copy(&mut self, name: &HeaderName, value: &HeaderValue) {
        // Content-Length frames the message, so a Connection header cannot remove it.
        if *name == CONTENT_LENGTH || !is_hop_by_hop(name.as_str(), &self.options) {
            self.out.append(name.clone(), value.clone());
        }
    }
}

fn absolute(to: &Origin, authority: &str, path: PathAndQuery) -> Result<Uri, Error> {
    Uri::builder().scheme(to.scheme.as_str()).authority(authority).path_and_query(path).build()
}

/// The Host header for upstream: the client's if it names the origin, or with [`HostStays`].
fn host(parts: &Parts, to: &Origin) -> Result<HeaderValue, Error> {
    let stays = parts.extensions.get::<HostStays>().is_some();
    match parts.headers.get(HOST) {
        Some(host) if stays || (parts.version != Version::HTTP_2 && names_origin(host, to)) => Ok(host.clone()),
        _ => Ok(HeaderValue::try_from(to.authority())?),
    }
}

fn names_origin(host: &HeaderValue, to: &Origin) -> bool {
    let Some(authority) = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) else {
        return false;
    };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    !authority.as_str().contains('@')
        && name.eq_ignore_ascii_case(&to.host)
        && authority.port_u16().unwrap_or(to.scheme.default_port()) == to.port
}

/// The Connection header for upstream: it lists TE and Upgrade (RFC 9110 sections 7.8, 10.1.4).
fn connection(headers: &HeaderMap) -> Result<Option<HeaderValue>, Error> {
    Ok(match (upgrades(headers), wants_trailers(headers)) {
        (true, true) => Some(HeaderValue::from_static("Upgrade, TE")),
        (true, false) => Some(HeaderValue::from_static("Upgrade")),
        (false, true) => Some(HeaderValue::from_static("TE")),
        (false, false) => None,
    })
}

fn wants_trailers(headers: &HeaderMap) -> bool {
    tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"))
}

fn passes_as_upgrade(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|value| {
        value.split(',').map(str::trim).all(|token| !token.is_empty() && !token.eq_ignore_ascii_case("h2c"))
    })
}

fn declares(value: &HeaderValue, length: BodyLength) -> bool {
    let declared = value.to_str().ok().and_then(|value| value.trim().parse::<u64>().ok());
    match length {
        BodyLength::Empty => declared == Some(0),
        BodyLength::Known(length) => declared == Some(length),
        BodyLength::Unknown => false,
    }
}

fn joined_cookies(headers: &HeaderMap) -> HeaderValue {
    let cookies: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    // Always valid: valid values joined by printable characters.
    HeaderValue::from_bytes(&cookies.join(&b"; "[..])).unwrap_or(HeaderValue::from_static(""))
}

/// The members of a list header, over all its lines.
fn tokens<'a>(headers: &'a HeaderMap, name: &'a header::HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}
