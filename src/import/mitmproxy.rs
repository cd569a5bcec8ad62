//! Flow dumps of mitmproxy 0.18 and later (`mitmdump -w`).

use super::exchange::{ImportedExchange, ImportedFile};
use super::tnetstring::TypedNetstring;
use harproxy_http::Headers;

/// Returns true if bytes begin with a flow.
#[must_use]
pub fn is_dump(bytes: &[u8]) -> bool {
    TypedNetstring::read(bytes).is_some_and(|(value, _)| value.get("version").is_some() && value.get("type").is_some())
        || is_cut(bytes)
}

/// Returns true for a dump whose first flow is cut off.
fn is_cut(bytes: &[u8]) -> bool {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..12).contains(&digits)
        && bytes.get(digits) == Some(&b':')
        && memchr::memmem::find(&bytes[..bytes.len().min(4096)], b"version").is_some()
}

/// Imports the HTTP flows of a dump.
pub fn import(bytes: &[u8], file: &mut ImportedFile<'_>) {
    let (mut rest, mut number) = (bytes, 0);
    while !rest.is_empty() {
        number += 1;
        let Some((flow, behind)) = TypedNetstring::read(rest) else {
            file.lose(0, format!("flow {number} is cut off or damaged: it and the rest of the file are left out"));
            return;
        };
        rest = behind;
        import_flow(&flow, number, file);
    }
}

fn import_flow(flow: &TypedNetstring<'_>, number: usize, file: &mut ImportedFile<'_>) {
    let mut lose = |text: &str| file.lose(0, format!("flow {number} {text}"));
    // Before version 1.0, a list of numbers.
    let version: Vec<f64> = flow
        .get("version")
        .map(|version| version.items().filter_map(TypedNetstring::number).collect())
        .unwrap_or_default();
    if let [0.0, minor, ..] = version[..]
        && minor < 18.0
    {
        return lose(&format!("was written by mitmproxy 0.{minor}: load and save it with a newer one; it is left out"));
    }
    let kind = flow.get("type").and_then(TypedNetstring::text).unwrap_or_else(|| "http".to_owned());
    if kind != "http" {
        return lose(&format!("is {kind}, not HTTP: it is left out"));
    }
    let Some(request) = flow.get("request") else { return lose("has no request: it is left out") };
    let Some(response) = flow.get("response") else {
        return lose("has no response: it is left out");
    };
    let status = response.get("status_code").and_then(TypedNetstring::number).map_or(0, |status| status as u16);
    if status == 101 || flow.get("websocket").is_some() {
        return lose("is a WebSocket: its messages are left out");
    }
    let Some(received) = response.get("content").and_then(TypedNetstring::bytes) else {
        return lose("has no payload of the response, which mitmproxy streamed: it is left out");
    };
    let text =
        |value: &TypedNetstring<'_>, name: &str| value.get(name).and_then(TypedNetstring::text).unwrap_or_default();
    let time = |value: &TypedNetstring<'_>, name: &str| value.get(name).and_then(TypedNetstring::number);
    let started = time(request, "timestamp_start");
    let duration = started.zip(time(response, "timestamp_end")).map_or(0.0, |(start, end)| (end - start) * 1000.0);
    let request_headers = headers(request);
    let exchange = ImportedExchange {
        started: started.map(|seconds| (seconds * 1_000_000.0) as i64),
        time: (duration.max(0.0) * 1000.0).round() / 1000.0,
        method: text(request, "method"),
        url: url(request, &request_headers),
        http_version: text(request, "http_version").replace("HTTP/2.0", "HTTP/2").replace("HTTP/3.0", "HTTP/3"),
        sent: request
            .get("content")
            .and_then(TypedNetstring::bytes)
            .filter(|sent| !sent.is_empty())
            .map(<[u8]>::to_vec),
        request_headers,
        status,
        reason: text(response, "reason"),
        response_headers: headers(response),
        received: received.to_vec(),
        ..ImportedExchange::default()
    };
    if response.get("trailers").is_some_and(|trailers| trailers.items().next().is_some()) {
        lose("has trailers, which are left out");
    }
    file.add(0, exchange);
}

/// Returns the URL that the client asked for. Reverse and transparent proxies have the address of upstream in `host`.
fn url(request: &TypedNetstring<'_>, headers: &Headers) -> String {
    let text = |name: &str| request.get(name).and_then(TypedNetstring::text).unwrap_or_default();
    let (scheme, host, path) = (text("scheme"), text("host"), text("path"));
    let port = request.get("port").and_then(TypedNetstring::number).map_or(0, |port| port as u16);
    let named = headers.get_str("host").map(str::to_owned).unwrap_or_else(|| text("authority"));
    let authority = match named.is_empty() {
        true => format!("{host}:{port}"),
        false if named.contains(':') => named,
        false => format!("{named}:{port}"),
    };
    format!("{scheme}://{authority}{path}")
}

fn headers(message: &TypedNetstring<'_>) -> Headers {
    let mut headers = Headers::default();
    for pair in message.get("headers").into_iter().flat_map(TypedNetstring::items) {
        let mut parts = pair.items();
        if let (Some(name), Some(value)) =
            (parts.next().and_then(TypedNetstring::text), parts.next().and_then(TypedNetstring::bytes))
        {
            headers.push(name, value.to_vec());
        }
    }
    headers
}
