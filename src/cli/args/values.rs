//! Parsers of option values. Each error has an example of a valid value.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::isolate::Service;
use crate::replay::{Latency, MissAnswer};
use crate::verdict::FailOn;
use crate::verdict::report::Format;
use harproxy_glob::Globs;
use harproxy_http::NormalUrl;
use harproxy_matching::OriginPattern;
use harproxy_proxy::upstream::{Mapping, UpstreamProxy};
use harproxy_proxy::{Credentials, Origin, ReversePlan};

/// The values of an option: `(word, help, value)`.
pub type Words<T> = &'static [(&'static str, &'static str, T)];

/// Returns a parser that accepts one of a few words.
pub fn choices<T: Copy + Send + Sync + 'static>(words: Words<T>) -> impl TypedValueParser<Value = T> {
    let possible = words.iter().map(|(word, help, _)| match help.is_empty() {
        true => PossibleValue::new(*word),
        false => PossibleValue::new(*word).help(*help),
    });
    PossibleValuesParser::new(possible).try_map(move |given| {
        words.iter().find(|(word, ..)| *word == given).map(|(.., value)| *value).ok_or("not one of the words")
    })
}

/// Parses `8899`, `127.0.0.1:8899`, `[::1]:8899` or `localhost:0`.
pub fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.strip_prefix("localhost:").unwrap_or(text).parse() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    let expected = "expected an address and a port, such as `127.0.0.1:8899`, or a port alone, such as `8899`";
    text.parse().map_err(|_| expected.to_owned())
}

/// Parses an address of this machine, for an interface without encryption.
pub fn parse_loopback(text: &str) -> Result<SocketAddr, String> {
    let expected =
        "expected an address of this machine, such as `127.0.0.1:4100`; the admin API is for this machine alone";
    parse_listen(text).ok().filter(|addr| addr.ip().is_loopback()).ok_or_else(|| expected.to_owned())
}

/// Parses `USER:PASS`.
pub fn parse_auth(text: &str) -> Result<Credentials, String> {
    match text.split_once(':') {
        Some((user, password)) if !user.is_empty() && !user.contains('+') => {
            Ok(Credentials { user: user.to_owned(), password: password.to_owned() })
        }
        Some((user, _)) if user.contains('+') => {
            Err("the user name must not contain `+`, which separates the session, as in `me+worker-1`".into())
        }
        _ => Err("expected a user name and a password, such as `me:secret`".into()),
    }
}

/// Parses `5s`, `200ms`, `1.5s`, `2m`, `1h`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS: &[(&str, f64)] =
        &[("ms", 0.001), ("s", 1.0), ("m", 60.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0)];
    let bad = || "expected a number with its unit, such as `5s`, `200ms` or `2m`".to_owned();
    // A century. Longer durations could overflow `Instant`.
    const LONGEST: f64 = 100.0 * 365.25 * 86400.0;
    let seconds = quantity(text, UNITS).filter(|seconds| *seconds <= LONGEST).ok_or_else(bad)?;
    Duration::try_from_secs_f64(seconds).map_err(|_| bad())
}

/// Parses a maximum age such as `180d`.
pub fn parse_age(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|_| "expected a number of days, such as `180d`, or of hours, such as `36h`".to_owned())
}

/// Parses `none`, `recorded`, `200` (milliseconds), `1.5s` or `0.5x`.
pub fn parse_latency(text: &str) -> Result<Latency, String> {
    let bad = || "expected none, recorded, milliseconds, such as `200`, or a factor, such as `0.5x`".to_owned();
    match (text, text.strip_suffix('x')) {
        ("none", _) => Ok(Latency::None),
        ("recorded", _) => Ok(Latency::Recorded(1.0)),
        (_, Some(factor)) => match factor.parse::<f64>() {
            Ok(factor) if factor.is_finite() && factor >= 0.0 => Ok(Latency::Recorded(factor)),
            _ => Err(bad()),
        },
        _ => match text.parse() {
            Ok(millis) => Ok(Latency::Fixed(Duration::from_millis(u64::from(u32::min(millis, 3_600_000))))),
            Err(_) => parse_duration(text).map(Latency::Fixed).map_err(|_| bad()),
        },
    }
}

/// Parses a number of bytes: `4096`, `10MB` (10 000 000) or `512KiB` (524 288).
pub fn parse_size(text: &str) -> Result<u64, String> {
    const KI: f64 = 1024.0;
    const UNITS: &[(&str, f64)] = &[
        ("", 1.0),
        ("b", 1.0),
        ("k", 1e3),
        ("kb", 1e3),
        ("kib", KI),
        ("m", 1e6),
        ("mb", 1e6),
        ("mib", KI * KI),
        ("g", 1e9),
        ("gb", 1e9),
        ("gib", KI * KI * KI),
    ];
    let bytes = quantity(text, UNITS).filter(|bytes| *bytes < 2f64.powi(63));
    bytes.map(|bytes| bytes as u64).ok_or_else(|| "expected a size, such as `10MB`, `512KiB` or `4096`".into())
}

/// Parses a decimal number with a unit and multiplies the two. Zero needs no unit.
fn quantity(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text.get(..end)?.parse().ok()?;
    let unit = text.get(end..)?.trim_start().to_ascii_lowercase();
    match units.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => Some(number * factor),
        None if number == 0.0 && unit.is_empty() => Some(0.0),
        None => None,
    }
}

/// Parses `501` or `abort`.
pub fn parse_miss_status(text: &str) -> Result<MissAnswer, String> {
    if text == "abort" {
        return Ok(MissAnswer::Abort);
    }
    match text.parse() {
        Ok(status @ 200..=599) => Ok(MissAnswer::Status(status)),
        _ => Err("expected a status from 200 to 599, such as `404`, or `abort`".into()),
    }
}

/// Checks that a glob compiles and returns its text, even if no URL that harproxy sees can match.
pub fn parse_any_glob(text: &str) -> Result<String, String> {
    Globs::new([text]).map(|_| text.to_owned()).map_err(|error| error.reason)
}

/// Checks that a glob compiles and can match, and returns its text. The list of globs is compiled as a whole later.
pub fn parse_glob(text: &str) -> Result<String, String> {
    match harproxy_glob::completed(text) {
        Some(completed) => Err(format!("it matches no URL: did you mean `{completed}`?")),
        None => parse_any_glob(text),
    }
}

/// Parses a URL of any scheme, because HARs of other tools contain more than http and https.
pub fn parse_any_url(text: &str) -> Result<NormalUrl, String> {
    NormalUrl::parse_any(text)
        .map_err(|_| "expected a whole URL, such as `https://api.example.com/users?page=1`".into())
}

/// Parses a method (RFC 9110 section 9.1), which is case-sensitive.
pub fn parse_method(text: &str) -> Result<String, String> {
    ::http::Method::from_str(text).map(|_| text.to_owned()).map_err(|_| "expected a method, such as `POST`".into())
}

/// Parses `NAME: VALUE`.
pub fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = text.split_once(':').and_then(|(name, value)| {
        let value = HeaderValue::from_bytes(value.trim().as_bytes()).ok()?;
        Some((HeaderName::from_str(name.trim()).ok()?, value))
    });
    parsed.ok_or_else(|| "expected a name and a value, such as `accept: application/json`".into())
}

/// `--data`: a payload, or the file with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// The payload.
    Text(String),
    /// The file with the payload.
    File(PathBuf),
}

/// Parses `DATA` or `@FILE`.
pub fn parse_data(text: &str) -> Result<Data, String> {
    match text.strip_prefix('@') {
        Some("") => Err("expected the name of a file after the `@`, such as `@order.json`".into()),
        Some(file) => Ok(Data::File(file.into())),
        None => Ok(Data::Text(text.to_owned())),
    }
}

/// Parses a header name and returns it in lower case.
pub fn parse_header_name(text: &str) -> Result<String, String> {
    let name = HeaderName::from_str(text.trim()).map(|name| name.as_str().to_owned());
    name.map_err(|_| "expected header names, such as `x-tenant,accept-language`".into())
}

/// Checks a JSON path (RFC 9535) and returns it unchanged.
pub fn parse_json_path(text: &str) -> Result<String, String> {
    let parse = harproxy_json::JsonPath::parse;
    parse(text).map(|_| text.to_owned()).map_err(|error| {
        let rooted = format!("$.{}", text.trim_start_matches('.'));
        match !text.starts_with('$') && parse(&rooted).is_ok() {
            true => format!("{error}; did you mean `{rooted}`?"),
            false => error.to_string(),
        }
    })
}

/// Checks `miss,unused` or `+unused,-ambiguous` and returns it unchanged. Its meaning depends on CMD.
pub fn parse_fail_on(text: &str) -> Result<String, String> {
    FailOn::parse(text, true).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Parses `A=B`.
pub fn parse_same_host(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((a, b)) if !a.is_empty() && !b.is_empty() => {
            for origin in [a, b] {
                OriginPattern::new(origin).map_err(|error| error.to_string())?;
            }
            Ok((a.to_owned(), b.to_owned()))
        }
        _ => Err("expected two origins, such as `https://staging.example.com=https://api.example.com`".into()),
    }
}

/// Parses `[NAME=][PORT=|/PREFIX=]URL`.
pub fn parse_reverse(text: &str) -> Result<ReversePlan, String> {
    let (name, rest) = match text.split_once('=') {
        Some((name, rest)) if is_name(name) && port_of(name).is_none() => (Some(name.to_owned()), rest),
        _ => (None, text),
    };
    let (port, rest) = match rest.split_once('=').and_then(|(port, url)| Some((port_of(port)?, url))) {
        Some((port, url)) => (port?, url),
        None => (0, rest),
    };
    let (prefix, url) = match rest.split_once('=') {
        Some((prefix, url)) if prefix.starts_with('/') && port == 0 => (Some(prefix.trim_end_matches('/')), url),
        _ => (None, rest),
    };
    let url = NormalUrl::parse(url).map_err(|_| {
        "expected a URL, such as `https://api.example.com`, `billing=https://api.example.com/v2` or \
         `/pay=https://pay.test`"
            .to_owned()
    })?;
    if url.parts().query.is_some() {
        return Err("the URL of an origin must not have a query".into());
    }
    if url.parts().origin.contains('@') {
        return Err("the URL of an origin must not have a user name".into());
    }
    let origin = Origin::of_url(&url).ok_or("the URL has no host")?;
    Ok(ReversePlan {
        name: name.unwrap_or_else(|| name_of_host(&origin.host)),
        port,
        prefix: prefix.filter(|prefix| !prefix.is_empty()).map(str::to_owned),
        base_path: url.parts().path.trim_end_matches('/').to_owned(),
        origin,
    })
}

/// Returns the port that a number names; `None` if the text is not a number.
fn port_of(text: &str) -> Option<Result<u16, String>> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let port = || text.parse().ok().filter(|port| *port > 0).ok_or_else(|| format!("`{text}` is not a port"));
    is_number.then(port)
}

/// Returns true if the text is valid in the name of a variable.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn name_of_host(host: &str) -> String {
    host.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Parses `http://…`, `https://…`, `socks5://…` or `none`.
pub fn parse_upstream_proxy(text: &str) -> Result<UpstreamProxy, String> {
    if text == "none" {
        return Ok(UpstreamProxy::Direct);
    }
    let known = ["http://", "https://", "socks5://", "socks5h://"].iter().any(|scheme| text.starts_with(scheme));
    match ::url::Url::parse(text) {
        Ok(url) if known && url.host_str().is_some_and(|host| !host.is_empty()) => {
            Ok(UpstreamProxy::Url(text.to_owned()))
        }
        _ => Err("expected the URL of a proxy, such as `http://proxy.example.com:3128` or \
                  `socks5://127.0.0.1:1080`, or `none`"
            .into()),
    }
}

/// Parses `HOST=FILE`.
pub fn parse_client_cert(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((host, file)) if !host.is_empty() && !file.is_empty() => {
            Ok((host.to_ascii_lowercase(), PathBuf::from(file)))
        }
        _ => Err("expected a host and a PEM file, such as `api.example.com=client.pem`".into()),
    }
}

/// Parses `HOST[:PORT]=ADDR[:PORT]`.
pub fn parse_map(text: &str) -> Result<Mapping, String> {
    let mapping = text.split_once('=').and_then(|(from, to)| {
        let (host, port) = host_and_port(from)?;
        let (to_host, to_port) = host_and_port(to)?;
        Some(Mapping { host: host.to_ascii_lowercase(), port, to_host: to_host.to_owned(), to_port })
    });
    mapping.ok_or_else(|| "expected HOST=ADDRESS, such as `api.example.com=127.0.0.1:8443`".into())
}

/// Parses `HOST:PORT` of a service.
pub fn parse_service(text: &str) -> Result<Service, String> {
    match host_and_port(text) {
        Some((host, Some(port))) if port > 0 && !host.contains('*') => {
            Ok(Service { host: host.to_ascii_lowercase(), port })
        }
        _ => Err("expected a host and a port, such as `127.0.0.1:5432` or `[::1]:5432`".into()),
    }
}

/// Checks `HOST[:PORT]` and returns it unchanged.
pub fn parse_bypass(text: &str) -> Result<String, String> {
    let host = host_and_port(text).map(|_| text.to_owned());
    host.ok_or_else(|| "expected a host, such as `db.internal` or `localhost:5432`".into())
}

/// Splits a name or address and a port. An IPv6 address is in brackets, or bare without a port.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port.parse().ok()?),
            None if rest.is_empty() => None,
            None => return None,
        };
        return Some((host, port));
    }
    let (host, port) = match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => (text.parse::<std::net::Ipv6Addr>().ok().map(|_| text)?, None),
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (text, None),
    };
    let well_formed = !host.is_empty() && !host.contains(['/', '=', '@', ' ', '?', '#']);
    well_formed.then_some((host, port))
}

/// Checks the path of a report: its extension selects the format.
pub fn parse_report(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if Format::of(&path).is_some() {
        return Ok(path);
    }
    let endings: Vec<String> = Format::ENDINGS.iter().map(|(ending, _)| format!("`.{ending}`")).collect();
    Err(format!("expected a file that ends in {}, such as `report.html`", endings.join(", ")))
}
