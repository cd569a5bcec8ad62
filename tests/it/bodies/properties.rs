//! Properties of payloads: decoding reverts encoding, and the choice of a boundary has no effect.

use std::io::Read;

use harproxy_http::coding::{self, Coding};
use harproxy_http::multipart::{self, BodyPart, Piece, Splitter};
use proptest::prelude::*;

fn codings() -> impl Strategy<Value = Vec<Coding>> {
    let any = prop::sample::select(vec![Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd]);
    prop::collection::vec(any, 0..4)
}

/// Arbitrary bytes, and bytes that compress well.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..3000);
    let repeated =
        (prop::collection::vec(any::<u8>(), 1..40), 1_usize..2000).prop_map(|(some, times)| some.repeat(times));
    prop_oneof![bytes, repeated]
}

fn decoded(codings: &[Coding], bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    coding::decoder(codings, Box::new(bytes)).take(1 << 20).read_to_end(&mut plain).map(|_| plain)
}

/// The multipart payload of parts with a header line and a content.
fn multipart_of(parts: &[(String, Vec<u8>)], boundary: &str) -> Vec<u8> {
    let mut payload = Vec::new();
    for (header, content) in parts {
        payload.extend(format!("--{boundary}\r\n{header}\r\n\r\n").into_bytes());
        payload.extend(content);
        payload.extend(b"\r\n");
    }
    payload.extend(format!("--{boundary}--\r\n").into_bytes());
    payload
}

/// The parts of a payload that is read in pieces; `None` without a closing delimiter.
fn split(payload: &[u8], boundary: &str, cuts: &[usize]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let (mut splitter, mut parts, mut open) = (Splitter::new(boundary), Vec::new(), (Vec::new(), Vec::new()));
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (payload.len() + 1)).chain([0, payload.len()]).collect();
    cuts.sort_unstable();
    for pair in cuts.windows(2) {
        splitter.push(&payload[pair[0]..pair[1]], |piece| match piece {
            Piece::Headers(bytes) => open.0.extend(bytes),
            Piece::Body(bytes) => open.1.extend(bytes),
            Piece::End => parts.push(std::mem::take(&mut open)),
        });
    }
    splitter.is_closed().then_some(parts)
}

/// Text that resembles multipart with the boundary `b`.
fn nearly_multipart() -> impl Strategy<Value = Vec<u8>> {
    let bits = [
        "--b",
        "--b--",
        "--",
        "b",
        "-",
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        "\n\n",
        "A: x",
        " ",
        "\t",
        "--bb",
        "\r\n--b\r\n",
    ];
    prop::collection::vec(prop::sample::select(bits.to_vec()), 0..40).prop_map(|bits| bits.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decoding_reverts_encoding_for_every_stack(codings in codings(), plain in payload()) {
        let mut coded = Vec::new();
        coding::encode(&codings, &mut &plain[..], &mut coded).unwrap();
        prop_assert!(decoded(&codings, &coded).unwrap() == plain, "{codings:?}");
    }

    #[test]
    fn parts_do_not_depend_on_how_the_payload_is_split(
        payload in nearly_multipart(), closed in any::<bool>(), cuts in prop::collection::vec(any::<usize>(), 0..9)
    ) {
        let payload = if closed { [b"--b\r\n", &*payload, b"\r\n--b--\r\n"].concat() } else { payload };
        let whole = multipart::parts(&payload, "b");
        let whole = whole.map(|parts| parts.iter().map(|part| (part.headers.to_vec(), part.body.to_vec())).collect());
        prop_assert_eq!(split(&payload, "b", &cuts), whole, "{}", String::from_utf8_lossy(&payload));
    }

    #[test]
    fn decoding_arbitrary_bytes_does_not_panic(codings in codings(), bytes in payload(), cut in 0_usize..3000) {
        let _ = decoded(&codings, &bytes);
        let mut coded = Vec::new();
        coding::encode(&codings, &mut &bytes[..], &mut coded).unwrap();
        coded.truncate(cut);
        let _ = decoded(&codings, &coded);
    }

    #[test]
    fn parts_do_not_depend_on_the_boundary(
        parts in prop::collection::vec(("[a-z]{1,8}: [a-z;=\" ]{0,20}", prop::collection::vec(any::<u8>(), 0..200)), 0..5),
        boundaries in prop::array::uniform2("[A-Za-z0-9'()+_,./:=?-]{10,70}"),
    ) {
        let payloads = boundaries.each_ref().map(|boundary| multipart_of(&parts, boundary));
        for (payload, boundary) in payloads.iter().zip(&boundaries) {
            let found = multipart::parts(payload, boundary).unwrap();
            let wanted: Vec<BodyPart<'_>> =
                parts.iter().map(|(header, content)| BodyPart { headers: header.as_bytes(), body: content }).collect();
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn splitting_arbitrary_bytes_does_not_panic(bytes in payload(), boundary in "[\\PC]{0,4}", at in 0_usize..3000) {
        let _ = multipart::parts(&bytes, &boundary);
        let mut cut = multipart_of(&[("a: b".to_owned(), bytes)], &boundary);
        cut.truncate(at);
        if let Some(parts) = multipart::parts(&cut, &boundary) {
            parts.iter().for_each(|part| drop(part.name()));
        }
    }
}
