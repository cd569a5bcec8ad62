//! Makes the head of an upstream request from the client's: the same headers in the same order, hop-by-hop headers
//! generated anew, target and Host in the form that the connection needs. Nothing is added.

use ::http::header::{
    self, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use ::http::request::Parts;
use ::http::uri::{Authority, PathAndQuery};
use ::http::{Error, Extensions, HeaderMap, HeaderName, HeaderValue, Request, Uri, Version};

use super::connection::TargetForm;
use crate::origin::Origin;
use harproxy_http::headers::{connection_options, is_hop_by_hop};

/// Request extension: the Host header goes upstream as the client spelled it.
///
/// The engine sets it on requests inside a CONNECT, whose Host gave the URI its authority. Without it, a Host header
/// that names another authority is replaced (absolute form: RFC 9112 section 3.2.2; `--reverse`).
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

/// The head for an HTTP/1.1 connection with this form of targets, or without one for an HTTP/2 connection.
pub(super) fn make(
    parts: &Parts,
    to: &Origin,
    form: Option<&TargetForm>,
    length: BodyLength,
) -> Result<Request<()>, Error> {
    let is_http1 = form.is_some();
    let path = parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let host = host_header(parts.version, &parts.uri, &parts.headers, &parts.extensions)?;
    let uri = match form {
        Some(TargetForm::Origin) => Uri::from(path),
        Some(TargetForm::Absolute(_)) => absolute(to, &to.authority(), path)?,
        None => absolute(to, host.to_str().unwrap_or_default(), path)?,
    };
    let version = if is_http1 { Version::HTTP_11 } else { Version::HTTP_2 };
    let mut request = Request::builder().method(parts.method.clone()).uri(uri).version(version).body(())?;
    *request.extensions_mut() = parts.extensions.clone();

    let headers = &parts.headers;
    let options = connection_options(headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes));
    let (upgrades, wants_trailers) = (is_http1 && upgrades(headers), wants_trailers(headers));
    // The Connection header lists TE and Upgrade (RFC 9110 sections 7.8, 10.1.4).
    let connection = match (upgrades, wants_trailers) {
        _ if !is_http1 => None,
        (true, true) => Some("Upgrade, TE"),
        (true, false) => Some("Upgrade"),
        (false, true) => Some("TE"),
        (false, false) => None,
    };
    let coding = (is_http1 && length == BodyLength::Unknown).then_some("chunked");
    // Built in the order of the client's headers: `HeaderMap::remove` would change it.
    let fields = request.headers_mut();
    fields.reserve(headers.len() + 2);
    let put_once = |fields: &mut HeaderMap, name: &HeaderName, value: Option<&'static str>| {
        if let Some(value) = value {
            fields.entry(name).or_insert(HeaderValue::from_static(value));
        }
    };
    if is_http1 && !headers.contains_key(HOST) {
        fields.insert(HOST, host.clone());
    }
    for (name, value) in headers {
        match *name {
            HOST if is_http1 => drop(fields.entry(name).or_insert_with(|| host.clone())),
            HOST => {}
            CONNECTION => put_once(fields, name, connection),
            TRANSFER_ENCODING => put_once(fields, name, coding),
            TE if wants_trailers => put_once(fields, name, Some("trailers")),
            UPGRADE if upgrades && passes_as_upgrade(value) => drop(fields.append(name, value.clone())),
            TRAILER if length == BodyLength::Unknown => drop(fields.append(name, value.clone())),
            CONTENT_LENGTH if !declares(value, length) => {}
            // One Cookie header: HTTP/2 may have split it (RFC 9113 section 8.2.3).
            COOKIE if is_http1 && parts.version == Version::HTTP_2 => {
                fields.entry(name).or_insert_with(|| joined_cookies(headers));
            }
            // Content-Length frames the message, so a Connection header cannot remove it.
            _ if *name == CONTENT_LENGTH || !is_hop_by_hop(name.as_str(), &options) => {
                fields.append(name, value.clone());
            }
            _ => {}
        }
    }
    put_once(fields, &CONNECTION, connection);
    put_once(fields, &TRANSFER_ENCODING, coding);
    if let Some(TargetForm::Absolute(Some(authorization))) = form {
        fields.append(PROXY_AUTHORIZATION, authorization.clone());
    }
    Ok(request)
}

/// Returns true if the client asks for an upgrade, except to `h2c`: RFC 9113 removed it, and a recorder could not read
/// the bytes that follow.
pub(super) fn upgrades(headers: &HeaderMap) -> bool {
    tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"))
        && headers.get_all(UPGRADE).iter().any(passes_as_upgrade)
}

fn absolute(to: &Origin, authority: &str, path: PathAndQuery) -> Result<Uri, Error> {
    Uri::builder().scheme(to.scheme.as_str()).authority(authority).path_and_query(path).build()
}

/// The Host header of a request that goes upstream: the client's if it names the authority of the URI, or with
/// [`HostStays`]; else that authority.
///
/// # Errors
/// If the URI is not absolute.
pub fn host_header(
    version: Version,
    uri: &Uri,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Result<HeaderValue, Error> {
    let stays = extensions.get::<HostStays>().is_some();
    match headers.get(HOST) {
        Some(host) if stays || (version != Version::HTTP_2 && names_authority(host, uri)) => Ok(host.clone()),
        _ => Ok(HeaderValue::try_from(uri.authority().map_or("", Authority::as_str))?),
    }
}

fn names_authority(host: &HeaderValue, uri: &Uri) -> bool {
    let Some(named) = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) else {
        return false;
    };
    let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    !named.as_str().contains('@')
        && uri.host().is_some_and(|host| named.host().eq_ignore_ascii_case(host))
        && named.port_u16().unwrap_or(default_port) == uri.port_u16().unwrap_or(default_port)
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
