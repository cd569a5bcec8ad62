//! Compressed payloads that expand to far more than their length.

use std::io::Write;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::client::{Proto, TestRequest};
use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::{Sandbox, Server};

const MIB: usize = 1 << 20;

/// The length and a secret at the beginning of the payload that every test sends.
fn plain(len: usize) -> Vec<u8> {
    let mut plain = format!("token={}\n", ["ghp", &"Ab1".repeat(12)].join("_")).into_bytes();
    plain.resize(len, b'0');
    plain
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(plain).unwrap();
    gzip.finish().unwrap()
}

/// Records one upload of a compressed payload, which is also the answer. Returns the recorder.
fn record(sandbox: &Sandbox, options: &[&str], media: &'static str, packed: &[u8]) -> Server {
    let body = packed.to_vec();
    let origin = Origin::answering(move |_| {
        let headers = vec![("content-type", media.to_owned()), ("content-encoding", "gzip".to_owned())];
        Some(OriginResponse { status: 200, headers, body: body.clone(), ..OriginResponse::default() })
    });
    let args = ["record", "-o", "hars/api.har", "--content", "embed"].map(String::from).into_iter();
    let options = options.iter().map(|option| (*option).to_owned());
    let recorder = sandbox.start(args.chain(options).chain(origin.args()));
    assert_eq!(recorder.client(Proto::H1).send(request(media, packed)).body, packed);
    recorder
}

fn request(media: &str, packed: &[u8]) -> TestRequest {
    let request = TestRequest::new("POST", "http://api.test/api/packed").body(packed.to_vec());
    request.header("content-encoding", "gzip").header("content-type", media).header("accept-encoding", "gzip")
}

fn payloads(sandbox: &Sandbox) -> [Value; 2] {
    let entry = &sandbox.har("hars/api.har")["log"]["entries"][0];
    [entry["request"]["postData"].clone(), entry["response"]["content"].clone()]
}

#[test]
fn payload_that_expands_beyond_the_limit_is_stored_and_served_as_received() {
    // Redaction looks into the first two as a whole, decodes the third piece by piece, and does not see the last one.
    for (media, len, limit) in [
        ("text/plain", 2 * MIB, "1MiB"),
        ("application/json", 2 * MIB, "1MiB"),
        ("text/plain", 18 * MIB, "17MiB"),
        ("image/png", 2 * MIB, "1MiB"),
    ] {
        let packed = gzip(&plain(len));
        assert!(packed.len() * 100 < len);
        let sandbox = Sandbox::new();
        let recorder = record(&sandbox, &["--max-decoded", limit], media, &packed);
        // The client has the end of the response, so the journal has all of the exchange.
        let journal = std::fs::metadata(sandbox.join("hars/.api.har.journal")).unwrap().len();
        assert!(journal < 2 * packed.len() as u64 + 16_384, "{media}: {journal}");
        let output = recorder.stop().expect(0).says("undecoded").says("--max-decoded");
        assert!(output.stderr.contains("POST http://api.test/api/packed"), "{}", output.stderr);
        for payload in payloads(&sandbox) {
            assert_eq!((&payload["_encoded"], &payload["_truncated"]), (&json!(true), &Value::Null), "{media} {len}");
            assert_eq!(payload["encoding"], "base64", "{media} {len}");
        }
        let replay = sandbox.start(["replay", "hars/api.har"]);
        let got = replay.client(Proto::H1).send(request(media, &packed));
        assert_eq!((got.status, got.header("content-encoding")), (200, Some("gzip")), "{media} {len}");
        assert!(got.body == packed, "{media} {len}");
        replay.stop().expect(0);
    }
}

#[test]
fn recovered_payload_that_expands_beyond_the_limit_is_told() {
    let sandbox = Sandbox::new();
    let packed = gzip(&plain(2 * MIB));
    let recorder = record(&sandbox, &["--max-decoded", "1MiB"], "text/plain", &packed);
    recorder.signal(Signal::SIGKILL);
    recorder.wait();
    sandbox
        .run(["recover", "hars/api.har"])
        .expect(0)
        .says("recovered 1 exchange")
        .says("! undecoded")
        .says("--max-decoded");
    assert_eq!(payloads(&sandbox)[1]["_encoded"], json!(true));
}

#[test]
fn payload_within_the_limit_is_decoded_and_redacted() {
    let packed = gzip(&plain(2 * MIB));
    for options in [&[][..], &["--max-decoded", "2MiB"]] {
        let sandbox = Sandbox::new();
        let output = record(&sandbox, options, "text/plain", &packed).stop().expect(0);
        assert!(!output.stderr.contains("undecoded"), "{}", output.stderr);
        for payload in payloads(&sandbox) {
            let text = payload["text"].as_str().unwrap();
            assert!(text.starts_with("token=REDACTED-") && text.len() > 2 * MIB - 100, "{}", &text[..100]);
            assert_eq!(payload["_encoded"], Value::Null);
        }
    }
}

#[test]
fn payload_cut_by_max_body_below_the_limit_is_stored_decoded() {
    let packed = gzip(&plain(2 * MIB));
    let sandbox = Sandbox::new();
    let options = ["--max-decoded", "1MiB", "--max-body", "100KiB"];
    record(&sandbox, &options, "text/plain", &packed).stop().expect(0);
    for payload in payloads(&sandbox) {
        assert_eq!(payload["_encoded"], Value::Null);
        assert_eq!(payload["_truncated"]["reason"], "max-body");
        assert!(payload["text"].as_str().unwrap().starts_with("token=REDACTED-"));
    }
}

#[test]
fn killed_recording_keeps_the_limit() {
    let packed = gzip(&plain(2 * MIB));
    let sandbox = Sandbox::new();
    let recorder = record(&sandbox, &["--max-decoded", "1MiB"], "image/png", &packed);
    recorder.signal(nix::sys::signal::Signal::SIGKILL);
    recorder.wait().expect(128 + 9);
    sandbox.run(["recover", "hars/api.har", "--content", "embed"]);
    for payload in payloads(&sandbox) {
        assert_eq!(payload["_encoded"], true);
    }
}
