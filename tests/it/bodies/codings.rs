//! Content codings, single and stacked, for clients that accept them and for others.

use std::io::Read;

use harproxy_http::coding::{self, Coding};

use super::{FORMS, get, page, post, record, replay, served};
use crate::support::client::Proto;
use crate::support::origin::{Origin, OriginResponse, brotli};
use crate::support::sandbox::Sandbox;

const TEXT: &[u8] = br#"{"packed":true,"list":[1,2,3,4,5,6,7,8,9],"again":"packed, packed, packed, packed, packed"}"#;
const ALL: &str = "gzip, deflate, br, zstd";

fn encoded(codings: &[Coding], mut plain: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    coding::encode(codings, &mut plain, &mut coded).unwrap();
    coded
}

fn raw_deflate(plain: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    flate2::read::DeflateEncoder::new(plain, flate2::Compression::best()).read_to_end(&mut coded).unwrap();
    coded
}

/// A response body: its `Content-Encoding` and bytes.
fn cases() -> Vec<(&'static str, Vec<u8>)> {
    use Coding::{Deflate, Gzip, Zstd};
    vec![
        ("gzip", encoded(&[Gzip], TEXT)),
        ("x-gzip", encoded(&[Gzip], TEXT)),
        ("deflate", encoded(&[Deflate], TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("br", brotli(TEXT)),
        ("zstd", encoded(&[Zstd], TEXT)),
        ("gzip, br", brotli(&encoded(&[Gzip], TEXT))),
        ("br, zstd, GZIP", encoded(&[Zstd, Gzip], &brotli(TEXT))),
        ("gzip, gzip", encoded(&[Gzip, Gzip], TEXT)),
        ("identity", TEXT.to_vec()),
        ("identity, gzip", encoded(&[Gzip], TEXT)),
        ("gzip", encoded(&[Gzip], b"")),
    ]
}

fn origin() -> Origin {
    Origin::answering(|request| {
        let (coding, body) = cases().into_iter().nth(request.path.strip_prefix("/api/coding/")?.parse().ok()?)?;
        let mut page = page("application/json", body);
        page.headers.extend([("content-encoding", coding.into()), ("vary", "accept-encoding".into())]);
        Some(page)
    })
}

#[test]
fn codings_are_served_to_clients_that_accept_them_and_removed_for_others() {
    let asks: Vec<_> =
        (0..cases().len()).map(|n| get(&format!("/api/coding/{n}")).header("accept-encoding", ALL)).collect();
    for (output, options) in FORMS {
        let sandbox = Sandbox::new();
        let live = record(&sandbox, origin(), output, options, Proto::H2, &asks);
        let (server, client) = replay(&sandbox, &[output], Proto::H2);
        for ((ask, live), (coding, _)) in asks.iter().zip(&live).zip(cases()) {
            let got = client.send(ask.clone());
            served(&got);
            assert_eq!(got.header("content-encoding"), Some(coding), "{output} {options:?}");
            assert_eq!(got.clone().unmarked(), live.clone().unmarked(), "{output} {options:?} {coding}");

            let mut plain = ask.clone();
            plain.headers = vec![("accept-encoding".into(), "identity".into())];
            let got = client.send(plain);
            served(&got);
            let stays = (coding == "identity").then_some("identity");
            assert_eq!((got.header("content-encoding"), got.header("vary")), (stays, Some("accept-encoding")));
            assert_eq!(got.body, live.decoded(), "{output} {options:?} {coding}");
        }
        server.stop().expect(0);
    }
}

#[test]
fn weight_of_zero_refuses_a_coding() {
    let sandbox = Sandbox::new();
    // gzip, and gzip under br.
    let asks = [0, 6].map(|n| get(&format!("/api/coding/{n}")).header("accept-encoding", ALL));
    record(&sandbox, origin(), "hars/api.har", &[], Proto::H1, &asks);
    let (server, client) = replay(&sandbox, &["hars/api.har"], Proto::H1);
    for (accept, one, both) in [
        ("gzip;q=0.001, br;q=1.0", true, true),
        ("gzip, br;q=0", true, false),
        ("gzip;q=0, *", false, false),
        ("*;q=0.5", true, true),
        ("*, gzip ; q=0.0", false, false),
        ("identity;q=1, *;q=0", false, false),
        ("br", false, false),
        ("", false, false),
        ("identity;q=0, gzip", true, false),
    ] {
        for (ask, coded) in asks.iter().zip([one, both]) {
            let mut ask = ask.clone();
            ask.headers = vec![("accept-encoding".into(), accept.into())];
            let got = client.send(ask);
            served(&got);
            assert_eq!(got.header("content-encoding").is_some(), coded, "`{accept}`: {got:?}");
            assert_eq!(got.decoded(), TEXT, "`{accept}`");
        }
    }
    server.stop().expect(0);
}

/// The recorded client used another compression.
#[test]
fn compressed_upload_matches_by_its_decoded_payload() {
    use std::io::Write;
    let long = TEXT.repeat(50);
    let at_level = |level| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
        gzip.write_all(&long).unwrap();
        gzip.finish().unwrap()
    };
    let upload = |body: Vec<u8>, coding: Option<&str>| {
        let ask = post("/api/echo", "application/json", body);
        coding.iter().fold(ask, |ask, coding| ask.header("content-encoding", coding))
    };
    assert_ne!(at_level(1), at_level(9));
    let lie = b"this is no gzip".to_vec();
    for (output, options) in FORMS {
        let sandbox = Sandbox::new();
        let asks = [upload(at_level(1), Some("gzip")), upload(lie.clone(), Some("gzip"))];
        record(&sandbox, Origin::start(), output, options, Proto::H1, &asks);
        let (server, client) = replay(&sandbox, &[output], Proto::H1);
        let mut same = vec![(at_level(9), Some("gzip")), (at_level(1), Some("x-gzip")), (long.clone(), None)];
        same.push((brotli(&encoded(&[Coding::Zstd], &long)), Some("zstd, br")));
        for (body, coding) in same {
            let got = client.send(upload(body, coding));
            served(&got);
            assert!(got.header("x-harproxy").unwrap().ends_with("#0"), "{coding:?}: {got:?}");
        }
        let got = client.send(upload(lie.clone(), Some("gzip")));
        assert!(got.header("x-harproxy").unwrap().ends_with("#1"), "unchanged: {got:?}");
        let other = encoded(&[Coding::Gzip], &TEXT.repeat(49));
        let explained = super::missed(&client.send(upload(other, Some("gzip"))));
        assert!(explained.contains("packed"), "the decoded payloads are shown: {explained}");
        server.stop().expect(1);
    }
}

#[test]
fn unknown_coding_is_served_unchanged() {
    let sandbox = Sandbox::new();
    let origin = Origin::answering(|request| {
        let mut page: OriginResponse = page("text/plain", *b"5;chunk-signature=1\r\nhello\r\n");
        page.headers.push(("content-encoding", "aws-chunked".into()));
        (request.path == "/api/strange").then_some(page)
    });
    let ask = [get("/api/strange").header("accept-encoding", "gzip")];
    let live = record(&sandbox, origin, "hars/api.har", &[], Proto::H1, &ask);
    let (server, client) = replay(&sandbox, &["hars/api.har"], Proto::H1);
    assert_eq!(client.send(ask[0].clone()).unmarked(), live[0].clone().unmarked());
    server.stop().expect(0);
}
