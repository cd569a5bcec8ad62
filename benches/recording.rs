//! Benchmarks of recording: redaction and the journal.
//!
//! Run with `cargo bench --bench recording` on an idle machine.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use harproxy::record::journal::{Flush, Frame, FrameKind, FrameMark, Journal};
use harproxy_http::{Header, Headers};
use harproxy_redact::RunId;
use harproxy_redact::{Policy, Redactor, SecretStore};

const SIZES: [usize; 3] = [1 << 10, 64 << 10, 1 << 20];

fn main() {
    divan::main();
}

/// A JSON list of users of at least `size` bytes. Each user has the additional `member`.
fn json(size: usize, member: &str) -> Vec<u8> {
    let mut text = String::from("[");
    let mut n = 0u64;
    while text.len() < size {
        text.push_str(&format!(
            r#"{{"id":{n},"name":"Ada Lovelace {n}","email":"ada{n}@example.com","active":true,"score":{}.25,{member}"tags":["a","b"]}},"#,
            n * 37 % 1000
        ));
        n += 1;
    }
    text.push_str("null]");
    text.into_bytes()
}

fn redact(bencher: Bencher<'_, '_>, payload: &[u8]) {
    let (policy, secrets) = (Policy::default(), SecretStore::new(RunId::random(), &[]));
    bencher
        .counter(BytesCount::new(payload.len()))
        .bench_local(|| Redactor::new(&policy, &secrets).redact_payload("application/json", black_box(payload)));
}

/// Redaction of a payload without secrets.
#[divan::bench(args = SIZES)]
fn json_without_secrets(bencher: Bencher<'_, '_>, size: usize) {
    redact(bencher, &json(size, ""));
}

/// Redaction of a payload with a link in each record. Redaction parses each link.
#[divan::bench(args = SIZES)]
fn json_with_links(bencher: Bencher<'_, '_>, size: usize) {
    redact(bencher, &json(size, r#""href":"https://api.test/v1/users/7/orders?page=3&limit=20","#));
}

/// Redaction of a payload with a secret in each record.
#[divan::bench(args = SIZES)]
fn json_with_secrets(bencher: Bencher<'_, '_>, size: usize) {
    redact(bencher, &json(size, r#""access_token":"6rbAz1cGq0vXk2mN8sTd","#));
}

/// Redaction of the URL and headers of a request.
#[divan::bench]
fn request_head(bencher: Bencher<'_, '_>) {
    let (policy, secrets) = (Policy::default(), SecretStore::new(RunId::random(), &[]));
    let field = |(name, value): (&str, &'static str)| Header { name: name.to_owned(), value: Bytes::from(value) };
    let headers: Headers = [
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate, br"),
        ("accept-language", "en-GB"),
        ("authorization", "Bearer 6rbAz1cGq0vXk2mN8sTd"),
        ("cookie", "session=4c1d5f2b9e; theme=dark"),
        ("user-agent", "python-requests/2.34.2"),
        ("x-tenant", "blue"),
    ]
    .map(field)
    .into_iter()
    .collect();
    bencher.bench_local(|| {
        let mut redactor = Redactor::new(&policy, &secrets);
        let mut headers = headers.clone();
        redactor.redact_headers(&mut headers);
        (redactor.redact_url(black_box("https://api.test/v1/users/7/orders?page=3&limit=20")), headers)
    });
}

fn frame(kind: FrameKind, payload: &Bytes) -> Frame {
    Frame { kind, exchange: 7, payload: payload.clone() }
}

/// Exchanges of 1 KiB, from the first frame until the journal has written the last: one exchange, and 64 concurrent
/// ones.
#[divan::bench(args = [1, 64])]
fn journal_append(bencher: Bencher<'_, '_>, concurrent: usize) {
    let journal = Journal::start(tempfile::tempfile().unwrap(), FrameMark::random()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (head, payload) = (Bytes::from(vec![b'h'; 400]), Bytes::from(vec![b'p'; 1024]));
    bencher.counter(divan::counter::ItemsCount::new(concurrent)).bench_local(|| {
        let exchange = || {
            journal.push(frame(FrameKind::Request, &head), Flush::Lazy);
            journal.push(frame(FrameKind::Response, &head), Flush::Lazy);
            journal.push(frame(FrameKind::ResponseData, &payload), Flush::Lazy);
            journal.commit(frame(FrameKind::End, &head))
        };
        let acks: Vec<_> = (0..concurrent).map(|_| exchange()).collect();
        runtime.block_on(async {
            for ack in acks {
                ack.await;
            }
        });
    });
}
