//! Builds HAR entries from journalled exchanges.

use serde_json::{Map, Value, json};

use super::har_error;
use super::index::{ExchangeHeads, IndexedExchange};
use super::payload::JournalledPayload;
use crate::record::journal::JournalReader;
use crate::record::journal::heads::{EndReason, ExchangeEnd, HeaderFields, JournalMeta, RequestHead, ResponseHead};
use harproxy_har::Entry;
use harproxy_har::model::{Body, Request, Response, Timings, chunks_text, started_text};
use harproxy_har::write::FixtureWriter;
use harproxy_http::headers::to_chars;

/// Builds the entry of an exchange and writes its payloads.
pub fn build(
    exchange: &IndexedExchange,
    reader: &mut JournalReader,
    writer: &mut FixtureWriter,
    meta: &JournalMeta,
) -> Result<Entry, harproxy_har::Error> {
    let heads = &exchange.heads(reader).map_err(har_error)?;
    let sent = JournalledPayload::of_request(exchange, heads, meta);
    let post_data = match sent.is_none() {
        true => None,
        false => Some(sent.store(reader, |source| writer.post_data(source))?),
    };
    let received = JournalledPayload::of_response(exchange, heads, meta);
    let content = received.store(reader, |source| writer.content(source))?;
    Ok(with_payloads(heads, post_data, content))
}

/// Builds the entry of an exchange whose payloads are stored.
#[must_use]
pub fn with_payloads(heads: &ExchangeHeads, post_data: Option<Body>, content: Body) -> Entry {
    let timings = timings(heads);
    Entry {
        started: started_text(heads.request.started),
        time: total(&timings),
        request: request(heads, post_data),
        response: response(heads, content),
        timings,
        server_ip: heads.response.as_ref().and_then(|head| head.remote).map(|ip| ip.to_string()),
        connection: heads.response.as_ref().map(|head| head.connection.to_string()),
        harproxy: own_member(heads),
        ..Entry::default()
    }
}

fn request(heads: &ExchangeHeads, post_data: Option<Body>) -> Request {
    let RequestHead { method, url, version, headers, head_size, .. } = heads.request.clone();
    // A HAR has the protocol of the upstream connection, which can differ from that of the client.
    let version = heads.response.as_ref().map_or(version, |head| head.version);
    Request {
        method,
        url,
        http_version: version.as_str().to_owned(),
        headers: headers.0,
        post_data,
        headers_size: head_size,
        body_size: heads.request_end.as_ref().map_or(0, |end| to_i64(end.seen)),
        ..Request::default()
    }
}

fn response(heads: &ExchangeHeads, content: Body) -> Response {
    let Some(ResponseHead { status, reason, version, headers, head_size, .. }) = heads.response.clone() else {
        // A HAR stores a failed request with status 0.
        return Response { content, headers_size: -1, body_size: -1, ..Response::default() };
    };
    Response {
        status: status.into(),
        status_text: reason,
        http_version: version.as_str().to_owned(),
        redirect_url: headers.0.get("location").map(|to| to_chars(to).into_owned()).unwrap_or_default(),
        headers: headers.0,
        content,
        headers_size: head_size,
        body_size: heads.end.as_ref().map_or(-1, |end| to_i64(end.seen)),
        trailers: heads.end.as_ref().map(|end| end.trailers.0.clone()).unwrap_or_default(),
        ..Response::default()
    }
}

/// Returns the `_harproxy` member: the name of the test, the CONNECT target if it has another host, the error of a
/// failed request, the informational responses, and the properties of a stream.
fn own_member(heads: &ExchangeHeads) -> Option<Map<String, Value>> {
    let mut own = Map::new();
    own.extend(heads.request.test.as_ref().map(|test| ("session".to_owned(), test.name.clone().into())));
    own.extend(heads.request.authority.as_ref().map(|authority| ("authority".to_owned(), authority.clone().into())));
    if let Some(ExchangeEnd { reason: EndReason::Failed { kind, message }, .. }) = &heads.end {
        own.insert("error".into(), json!({ "kind": kind, "message": message }));
    }
    let informational = heads.response.iter().flat_map(|head| &head.informational);
    let informational: Vec<Value> =
        informational.map(|info| json!({ "status": info.status, "headers": list(&info.headers) })).collect();
    if !informational.is_empty() {
        own.insert("informational".into(), informational.into());
    }
    if let Some(end) = &heads.end {
        own.extend(end.is_duplex.then(|| ("stream".to_owned(), true.into())));
        own.extend((!end.chunks.is_empty()).then(|| ("chunks".to_owned(), chunks_text(&end.chunks).into())));
    }
    (!own.is_empty()).then_some(own)
}

fn list(fields: &HeaderFields) -> Vec<Value> {
    fields.0.iter().map(|header| json!({ "name": header.name, "value": to_chars(&header.value) })).collect()
}

/// Returns the timings (HAR 1.2) in milliseconds. Phases without a measurement are `None`.
fn timings(heads: &ExchangeHeads) -> Timings {
    let ended = heads.end.as_ref().map(|end| end.at);
    let Some(head) = &heads.response else {
        // For a failed request the journal has only the time of its end.
        return Timings { send: Some(0.0), wait: ended.map(millis), receive: Some(0.0), ..Timings::default() };
    };
    let uploaded =
        heads.request_end.as_ref().map_or(head.sent, |end| end.at).clamp(head.sent, head.answered.max(head.sent));
    let phases = head.connect;
    let ssl = phases.and_then(|phases| phases.tls);
    Timings {
        blocked: Some(millis(head.blocked)),
        dns: phases.and_then(|phases| phases.dns).map(millis),
        connect: phases.and_then(|phases| phases.tcp).map(|tcp| millis(tcp + ssl.unwrap_or(0))),
        ssl: ssl.map(millis),
        send: Some(millis(uploaded - head.sent)),
        wait: Some(millis(head.answered - uploaded)),
        receive: Some(millis(ended.map_or(0, |ended| ended - head.answered))),
    }
}

/// Returns the value of `time`: the sum of the phases. `connect` includes `ssl`.
fn total(timings: &Timings) -> f64 {
    let Timings { blocked, dns, connect, ssl: _, send, wait, receive } = *timings;
    let sum: f64 = [blocked, dns, connect, send, wait, receive].into_iter().flatten().sum();
    (sum * 1000.0).round() / 1000.0
}

fn millis(micros: i64) -> f64 {
    // The conversion is exact: durations in microseconds are far below 2^53.
    micros.max(0) as f64 / 1000.0
}

fn to_i64(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
