//! Texts in several charsets, with and without a byte order mark, and binary data: answers and uploads keep their
//! bytes.

use super::{FORMS, get, missed, page, post, record, replay, served};
use crate::support::client::{Proto, TestRequest};
use crate::support::origin::Origin;
use crate::support::sandbox::Sandbox;

fn utf16(text: &str, mark: bool, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    mark.then_some(0xfeff).into_iter().chain(text.encode_utf16()).flat_map(order).collect()
}

fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let german = "Grüße, \u{1f600}\r\nzwei\rdrei\n";
    vec![
        ("text/plain; charset=iso-8859-1", b"Gr\xfc\xdfe \x80\x9f\n".to_vec()),
        ("text/plain; charset=latin1", b"{\"a\":\"\xe9\"}".to_vec()),
        ("application/json; charset=iso-8859-1", b"{\"a\":\"\xe9\",\"b\":[1,2]}".to_vec()),
        ("text/plain; charset=utf-16", utf16(german, true, u16::to_le_bytes)),
        ("text/plain; charset=utf-16", utf16(german, true, u16::to_be_bytes)),
        ("text/html; charset=utf-16le", utf16(german, false, u16::to_le_bytes)),
        ("text/plain; charset=utf-16be", utf16(german, false, u16::to_be_bytes)),
        ("application/json", utf16("{\"a\":1}", true, u16::to_le_bytes)),
        ("text/plain", utf16(german, true, u16::to_le_bytes)),
        ("text/plain; charset=utf-8", [b"\xef\xbb\xbf", german.as_bytes()].concat()),
        ("application/json", b"\xef\xbb\xbf{\"a\":1,\"b\":[true,null]}".to_vec()),
        ("text/html; charset=shift_jis", b"\x93\xfa\x96\x7b\x8c\xea".to_vec()),
        ("text/plain; charset=utf-8", b"half \xc3( of one".to_vec()),
        ("text/plain; charset=klingon", b"nuqneH \xfe".to_vec()),
        ("text/plain", german.into()),
        ("text/plain", b"nul \0 and \x1b escape \x7f".to_vec()),
        ("application/json", b"{\"n\":1.50,\"big\":123456789012345678901234567890,\"e\":1E+400,\"n\":2}".to_vec()),
        ("application/json", b"{ \"spaced\" : [ 1 ,2 ] }\r\n".to_vec()),
        ("application/json", b"{\"lone\":\"\\ud800\",\"nul\":\"\\u0000\"}".to_vec()),
        ("application/json", b"{\"not\": json".to_vec()),
        ("application/octet-stream", (0..=255).collect()),
        ("image/png", b"\x89PNG\r\n\x1a\n\0\0".to_vec()),
        ("", b"no type at all \xff".to_vec()),
        ("text/plain", b"\xef\xbb\xbf".to_vec()),
    ]
}

#[test]
fn answers_keep_their_bytes_in_every_charset() {
    let asks: Vec<TestRequest> = (0..cases().len()).map(|n| get(&format!("/api/text/{n}"))).collect();
    for (output, options) in FORMS {
        let sandbox = Sandbox::new();
        let origin = Origin::answering(|request| {
            let (media_type, body) = cases().into_iter().nth(request.path.strip_prefix("/api/text/")?.parse().ok()?)?;
            let mut page = page(media_type, body);
            page.headers.retain(|(_, value)| !value.is_empty());
            Some(page)
        });
        let live = record(&sandbox, origin, output, options, Proto::H1, &asks);
        let (server, client) = replay(&sandbox, &[output], Proto::H1);
        for ((ask, live), (media_type, body)) in asks.iter().zip(live).zip(cases()) {
            assert_eq!(live.body, body);
            let got = client.send(ask.clone());
            served(&got);
            assert_eq!(got.unmarked(), live.unmarked(), "{output} {options:?} {media_type}");
        }
        server.stop().expect(0);
    }
}

#[test]
fn uploads_are_compared_by_their_bytes() {
    let asks: Vec<TestRequest> =
        cases().into_iter().map(|(media_type, body)| post("/api/echo", media_type, body)).collect();
    for (output, options) in FORMS {
        let sandbox = Sandbox::new();
        record(&sandbox, Origin::start(), output, options, Proto::H1, &asks);
        let (server, client) = replay(&sandbox, &[output], Proto::H1);
        for (n, ask) in asks.iter().enumerate() {
            let got = client.send(ask.clone());
            let mark = got.header("x-harproxy").unwrap_or_default();
            assert!(mark.ends_with(&format!("#{n}")), "{output} {options:?} {:?}: {mark}", ask.headers);
            let mut other = ask.clone();
            other.body.as_mut().unwrap().push(b' ');
            missed(&client.send(other));
        }
        server.stop().expect(1);
    }
}
