use std::fs::File;
use std::io::{Seek, Write};
use std::sync::Arc;

use ::http::{HeaderValue, header};
use futures_util::FutureExt;

use super::payload::{PayloadEnd, PayloadTap};
use super::*;
use crate::record::journal::heads::DecodedPayload;
use crate::record::journal::{Flush, FrameKind, FrameMark, Journal, JournalReader};
use harproxy_proxy::background;

/// An exchange, and its journal.
fn exchange() -> (Arc<ExchangeTap>, File) {
    let mut journal = tempfile::tempfile().unwrap();
    let mark = FrameMark::random();
    journal.write_all(&mark.journal_head()).unwrap();
    (ExchangeTap::unrequested(Journal::start(journal.try_clone().unwrap(), mark).unwrap()), journal)
}

/// The frames of a journal whose exchange is over.
fn frames(tap: Arc<ExchangeTap>, mut journal: File) -> Vec<(FrameKind, Vec<u8>)> {
    drop(Arc::into_inner(tap).unwrap());
    journal.rewind().unwrap();
    let mut reader = JournalReader::open(journal, None).unwrap().unwrap();
    let mut found = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        found.push((frame.kind, frame.span));
    }
    found.into_iter().map(|(kind, span)| (kind, reader.read(span).unwrap())).collect()
}

#[tokio::test]
async fn exchange_ends_after_its_upload_when_its_client_does_not_wait() {
    let (tap, journal) = exchange();
    let upload = tap.delay_request_end();
    assert!(tap.clone().complete().now_or_never().is_none(), "it ends after its upload");
    upload.send(true).unwrap();
    background::wait().await;
    let kinds: Vec<FrameKind> = frames(tap, journal).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [FrameKind::End]);
}

/// The journalled payload of a response, and whether it was journalled on the serving thread.
async fn journalled(
    content_type: &'static str,
    coding: &'static str,
    wire: Vec<u8>,
) -> (bool, Option<DecodedPayload>, Vec<u8>) {
    let (tap, journal) = exchange();
    let headers = [(header::CONTENT_TYPE, content_type), (header::CONTENT_ENCODING, coding)];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value))).into_iter().collect();
    let (headers, length) = (ContentHeaders::of(&headers), Some(wire.len() as u64));
    let mut payload = PayloadTap::new(tap.clone(), FrameKind::ResponseData, Flush::Prompt, headers, length);
    payload.push(&wire.into());
    let (is_inline, decoded) = match payload.end(true) {
        PayloadEnd::Journalled(decoded) => (true, decoded),
        PayloadEnd::Pending(work) => (false, work.await),
    };
    (is_inline, decoded, frames(tap, journal).into_iter().flat_map(|(_, bytes)| bytes).collect())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// JSON of this length with a secret at its end.
fn json(len: usize) -> Vec<u8> {
    let members = "{\"id\":1,\"name\":\"Ada\"},".repeat(len / 23);
    format!("[{members}{{\"secret\":\"s3cr3t\"}}]").into_bytes()
}

fn holds_secret(journal: &[u8]) -> bool {
    journal.windows(6).any(|six| six == b"s3cr3t")
}

#[tokio::test]
async fn coded_payload_is_decoded_on_a_blocking_thread() {
    for len in [1 << 10, 1 << 20, 20 << 20] {
        // Lines that are longer than the window are redacted piece by piece.
        let text = json(len);
        let wire = gzip(&gzip(&text));
        assert!(wire.len() < 8 << 10, "{}", wire.len());
        for content_type in ["application/json", "application/x-ndjson"] {
            let (is_inline, decoded, journal) = journalled(content_type, "gzip, gzip", wire.clone()).await;
            assert!(!is_inline, "{len}");
            let DecodedPayload { broken, total, .. } = decoded.unwrap();
            assert!(!broken && total.is_none_or(|total| total == text.len() as u64), "{total:?}");
            assert!(journal.len() > text.len() && !holds_secret(&journal));
        }
    }
}

#[tokio::test]
async fn short_payload_without_coding_is_redacted_on_the_serving_thread() {
    for (len, expected) in [(1 << 10, true), (60 << 10, true), (1 << 20, false), (20 << 20, false)] {
        let (is_inline, decoded, journal) = journalled("application/json", "identity", json(len)).await;
        assert_eq!(is_inline, expected, "{len}");
        assert!(decoded.is_some() && !holds_secret(&journal));
    }
}

#[tokio::test]
async fn long_payload_that_does_not_decode_is_redacted_and_stored_as_it_came() {
    let text = json(20 << 20);
    let (_, decoded, journal) = journalled("application/json", "br", text.clone()).await;
    assert!(decoded.is_none() && journal.len() > text.len() && !holds_secret(&journal));
}
