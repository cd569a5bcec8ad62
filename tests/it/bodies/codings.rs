//! Content codings: each one and several on top of each other, for clients that accept them and for those that don't.

use std::io::Read;

use harproxy_http::coding::{self, Coding};

use super::{FORMS, get, page, post, record, replay, served};
use crate::support::client::Proto;
use crate::support::origin::{Origin, Page, brotli};
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

/// What `Content-Encoding` says, and the bytes.
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
    Origin::answering(|asked| {
        let (coding, body) = cases().into_iter().nth(asked.path.strip_prefix("/api/coding/")?.parse().ok()?)?;
        let mut page = page("application/json", body);
        page.headers.extend([("content-encoding", coding.into()), ("vary", "accept-encoding".into())]);
        Some(page)
    })
}

#[test]
fn every_coding_and_stack_comes_back_to_those_who_accept_it_and_plain_to_others() {
    let asks: Vec<_> =
        (0..cases().len()).map(|n| get(&format!("/api/coding/{n}")).header("accept-encoding", ALL)).collect();
    for (output, options) in FORMS {
        let sandbox = Sandbox::new();
        let live = record(&sandbox, origin(), output, options, Proto::H2, &asks);
        let (server, client) = replay(&sandbox, &[output], Proto::H2);
        for ((ask, live), (coding, _)) in asks.iter().zip(&live).zip(cases()) {
            let got = client.ask(ask.clone());
            served(&got);
            assert_eq!(got.header("content-encoding"), Some(coding), "{output} {options:?}");
            assert_eq!(got.clone().unmarked(), live.clone().unmarked(), "{output} {options:?} {coding}");

            let mut plain = ask.clone();
            plain.headers = vec![("accept-encoding".into(), "identity".into())];
            let got = client.ask(plain);
            served(&got);
            let stays = (coding == "identity").then_some("identity");
            assert_eq!((got.header("content-encoding"), got.header("vary")), (stays, Some("accept-encoding")));
            assert_eq!(got.body, live.decoded(), "{output} {options:?} {coding}");
        }
        server.stop().expect(0);
    }
}

#[test]
fn a_weight_of_nought_is_a_refusal_and_any_other_is_not() {
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
            let got = client.ask(ask);
            served(&got);
            assert_eq!(got.header("content-encoding").is_some(), coded, "`{accept}`: {got:?}");
            assert_eq!(got.decoded(), TEXT, "`{accept}`");
        }
    }
    server.stop().expect(0);
}

/// A client that compresses another way than the one that was recorded sends the same payload.
#[test]
fn a_compressed_upload_matches_by_what_it_holds() {
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
            let got = client.ask(upload(body, coding));
            served(&got);
            assert!(got.header("x-harproxy").unwrap().ends_with("#0"), "{coding:?}: {got:?}");
        }
        let got = client.ask(upload(lie.clone(), Some("gzip")));
        assert!(got.header("x-harproxy").unwrap().ends_with("#1"), "as it came: {got:?}");
        let other = encoded(&[Coding::Gzip], &TEXT.repeat(49));
        let explained = super::missed(&client.ask(upload(other, Some("gzip"))));
        assert!(explained.contains("packed"), "the decoded payloads are shown: {explained}");
        server.stop().expect(1);
    }
}

#[test]
fn a_coding_that_nobody_knows_goes_through_as_it_came() {
    let sandbox = Sandbox::new();
    let origin = Origin::answering(|asked| {
        let mut page: Page = page("text/plain", *b"5;chunk-signature=1\r\nhello\r\n");
        page.headers.push(("content-encoding", "aws-chunked".into()));
        (asked.path == "/api/strange").then_some(page)
    });
    let ask = [get("/api/strange").header("accept-encoding", "gzip")];
    let live = record(&sandbox, origin, "hars/api.har", &[], Proto::H1, &ask);
    let (server, client) = replay(&sandbox, &["hars/api.har"], Proto::H1);
    assert_eq!(client.ask(ask[0].clone()).unmarked(), live[0].clone().unmarked());
    server.stop().expect(0);
}
