//! Payloads that are too large for memory.

use super::{missed, record, replay, served};
use crate::support::client::{Proto, TestRequest};
use crate::support::origin::Origin;
use crate::support::sandbox::{Sandbox, Server};

const MIB: usize = 1 << 20;
/// The largest upload that replay keeps in memory.
const HELD: usize = harproxy::replay::LONGEST_REQUEST;

/// The peak memory of a process, in MiB.
#[cfg(target_os = "linux")]
fn peak(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / 1024
}

fn upload(body: Vec<u8>) -> TestRequest {
    TestRequest::new("POST", "http://api.test/api/items").header("content-type", "application/octet-stream").body(body)
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}

fn origin() -> Origin {
    Origin::answering(|request| (request.path == "/api/items").then(|| super::page("text/plain", "taken")))
}

/// Neither process keeps the payload in memory. (`scripts/big` does the same with 2 GiB.)
#[cfg(target_os = "linux")]
#[test]
fn large_download_is_streamed_while_recording_and_replaying() {
    const LEN: usize = 80;
    let sandbox = Sandbox::new();
    let origin = Origin::start();
    let recorder = sandbox.record(&origin);
    let ask = TestRequest::new("GET", &format!("http://api.test/api/big?mib={LEN}"));
    let live = recorder.client(Proto::H1).send(ask.clone());
    let recording = peak(&recorder);
    recorder.stop().expect(0);
    origin.stop();
    let (server, client) = replay(&sandbox, &["hars/api.har"], Proto::H1);
    let got = client.send(ask);
    let replaying = peak(&server);
    server.stop().expect(0);
    served(&got);
    assert!(got.body.len() == LEN * MIB && got.body == live.body);
    assert!(recording < 60 && replaying < 60, "recording {recording} MiB, replaying {replaying} MiB");
}

#[test]
fn large_upload_is_compared_by_its_digest() {
    let sandbox = Sandbox::new();
    let long = bytes(HELD + 5);
    let asks = [upload(long.clone()), upload(b"short".to_vec())];
    record(&sandbox, origin(), "hars/api.har", &[], Proto::H1, &asks);

    let (server, client) = replay(&sandbox, &["hars/api.har"], Proto::H1);
    let got = client.send(upload(long.clone()));
    assert_eq!(got.header("x-harproxy"), Some("replay; entry=hars/api.har#0"));
    let mut other = long.clone();
    other[HELD] ^= 1;
    let explained = missed(&client.send(upload(other)));
    assert!(explained.contains(&format!("{} bytes (SHA-256 ", long.len())), "{explained}");
    assert_eq!(client.send(upload(b"short".to_vec())).header("x-harproxy"), Some("replay; entry=hars/api.har#1"));
    let explained = missed(&client.send(upload(b"shorter".to_vec())));
    assert!(explained.contains("shorter"), "{explained}");
    server.stop().expect(1);

    // A digest does not allow a comparison as JSON.
    let (server, client) = replay(&sandbox, &["hars/api.har", "--match-body", "json"], Proto::H1);
    let got = client.send(upload(long));
    assert_eq!((got.status, got.header("x-harproxy")), (413, Some("miss")), "{}", got.text());
    assert_eq!(got.json()["kind"], "payload-too-long", "{}", got.text());
    server.stop().expect(1).says("--match-body ignore");
}

/// The boundaries differ.
#[cfg(target_os = "linux")]
#[test]
fn large_multipart_upload_is_compared_by_its_parts() {
    let form = |boundary: &str, file: &[u8]| {
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n1\r\n--{boundary}\r\n\
             Content-Disposition: form-data; name=\"f\"; filename=\"f.bin\"\r\n\r\n"
        );
        let body = [head.as_bytes(), file, format!("\r\n--{boundary}--\r\n").as_bytes()].concat();
        TestRequest::new("POST", "http://api.test/api/items")
            .header("content-type", &format!("multipart/form-data; boundary={boundary}"))
            .body(body)
    };
    let sandbox = Sandbox::new();
    let long = vec![b'x'; HELD + 5];
    record(&sandbox, origin(), "hars/api.har", &[], Proto::H1, &[form("recorded", &long), form("recorded", b"short")]);

    let (server, client) = replay(&sandbox, &["hars/api.har"], Proto::H1);
    let idle = peak(&server);
    assert_eq!(client.send(form("replayed", &long)).header("x-harproxy"), Some("replay; entry=hars/api.har#0"));
    assert_eq!(client.send(form("replayed", b"short")).header("x-harproxy"), Some("replay; entry=hars/api.har#1"));
    let mut other = long;
    other[HELD] ^= 1;
    let explained = missed(&client.send(form("replayed", &other)));
    assert!(explained.contains(" bytes (SHA-256 "), "{explained}");
    let more = peak(&server) - idle;
    server.stop().expect(1);
    assert!(more < HELD / MIB / 2, "{more} MiB more while replaying");
}

#[test]
fn upload_truncated_by_max_body_matches_by_its_beginning_and_length() {
    let sandbox = Sandbox::new();
    let long = bytes(HELD + 5);
    record(&sandbox, origin(), "hars/api.har", &["--max-body", "1MiB"], Proto::H1, &[upload(long.clone())]);
    let (server, client) = replay(&sandbox, &["hars/api.har"], Proto::H1);
    let mut other = long;
    other[HELD] ^= 1;
    served(&client.send(upload(other.clone())));
    other[MIB - 1] ^= 1;
    missed(&client.send(upload(other)));
    server.stop().expect(1);
}
