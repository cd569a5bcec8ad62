//! What is said of an exchange on its way into the journal.

use std::fs::File;
use std::io::{Read, Seek, Write};

use ::http::HeaderName;
use futures_util::FutureExt;

use super::*;
use harproxy_proxy::Scheme;
use harproxy_redact::Vault;
use harproxy_redact::marker::Run;

/// A client may leave while its upload is still being looked into: the answer was there all the same.
#[tokio::test]
async fn an_exchange_ends_though_nobody_waits_for_its_upload_any_more() {
    let (done, upload) = watch::channel(false);
    let (tape, read) = tape(Some(upload));
    assert!(tape.clone().complete().now_or_never().is_none());
    assert!(!tape.ended.load(Ordering::Relaxed), "behind its upload");
    done.send(true).unwrap();
    endings::done().await;
    let text = journalled(&tape, read);
    assert_eq!(text.get(4), Some(&(FrameKind::End as u8 + 1)), "{text:?}");
}

/// A tape of a journal, and where to read that.
fn tape(upload: Option<watch::Receiver<bool>>) -> (Arc<Tape>, File) {
    let journal = tempfile::tempfile().unwrap();
    let read = journal.try_clone().unwrap();
    let tape = Tape {
        journal: Arc::new(Journal::start(journal).unwrap()),
        tally: Arc::default(),
        screen: Arc::new(Screen::new(Arc::default(), Vault::new(Run::random(), &[]))),
        exchange: 1,
        at: Instant::now(),
        origin: Origin { scheme: Scheme::Https, host: "api.test".into(), port: 443 },
        method: Method::GET,
        url: String::new(),
        id: None,
        max_body: None,
        upload: Mutex::new(upload),
        ended: AtomicBool::new(false),
    };
    (Arc::new(tape), read)
}

fn journalled(tape: &Tape, mut read: File) -> Vec<u8> {
    tape.journal.close();
    let mut text = Vec::new();
    read.rewind().and_then(|()| read.read_to_end(&mut text)).unwrap();
    text
}

/// What comes of a payload of this type and these codings.
async fn taken(media: [(HeaderName, &'static str); 2], wire: Vec<u8>) -> (bool, Option<Decoded>, Vec<u8>) {
    let (tape, read) = tape(None);
    let headers = media.map(|(name, value)| (name, HeaderValue::from_static(value))).into_iter().collect();
    let mut intake =
        Intake::new(tape.clone(), Side::Response, Flush::Prompt, Media::of(&headers), Some(wire.len() as u64));
    intake.data(&wire.into());
    let (is_now, decoded) = match intake.end(true) {
        Journalled::Now(decoded) => (true, decoded),
        Journalled::Later(later) => (false, later.await),
    };
    (is_now, decoded, journalled(&tape, read))
}

#[tokio::test]
async fn few_bytes_of_which_many_come_are_looked_into_beside_who_serves() {
    for (len, now) in [(1 << 10, true), (1 << 20, false), (20 << 20, false)] {
        // Lines that are longer than the window are passed piece by piece.
        let mut text = format!("[{}", "{\"id\":1,\"name\":\"Ada\"},".repeat(len / 23)).into_bytes();
        text.extend_from_slice(b"{\"token\":\"s3cr3t\"}]");
        let mut wire = text.clone();
        for _ in 0..2 {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            gzip.write_all(&wire).unwrap();
            wire = gzip.finish().unwrap();
        }
        assert!(wire.len() < 8 << 10, "{}", wire.len());
        for media in ["application/json", "application/x-ndjson"] {
            let media = [(header::CONTENT_TYPE, media), (header::CONTENT_ENCODING, "gzip, gzip")];
            let (is_now, decoded, journal) = taken(media, wire.clone()).await;
            assert_eq!(is_now, now, "{len}");
            let Decoded { broken, total, .. } = decoded.unwrap();
            assert!(!broken && total.is_none_or(|total| total == text.len() as u64), "{total:?}");
            assert!(journal.len() > text.len() && !journal.windows(6).any(|six| six == b"s3cr3t"));
        }
    }
}

#[test]
fn cookie_crumbs_are_one_header() {
    let mut map = HeaderMap::new();
    for crumb in ["a=1", "b=2"] {
        map.append(header::COOKIE, HeaderValue::from_static(crumb));
    }
    let joined = joined_cookies(&map, Version::HTTP_2).unwrap();
    assert_eq!(joined.get_all(header::COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    assert_eq!(joined_cookies(&joined, Version::HTTP_2), None);
    assert_eq!(joined_cookies(&map, Version::HTTP_11), None);
}

#[test]
fn an_upgrade_is_asked_for_over_http1_and_not_for_h2c() {
    let ask = |to: &'static str, version| {
        asks_upgrade(&HeaderMap::from_iter([(header::UPGRADE, HeaderValue::from_static(to))]), version)
    };
    assert!(ask("websocket", Version::HTTP_11));
    assert!(!ask("websocket", Version::HTTP_10));
    assert!(!ask("h2c", Version::HTTP_11));
    assert!(!asks_upgrade(&HeaderMap::new(), Version::HTTP_11));
}

#[test]
fn a_reason_phrase_is_upstreams_or_the_codes_own() {
    assert_eq!(reason(StatusCode::OK, None), "OK");
    assert_eq!(reason(StatusCode::OK, Some(&ReasonPhrase::from_static(b"Fine Indeed"))), "Fine Indeed");
    assert_eq!(reason(StatusCode::from_u16(299).unwrap(), None), "");
}
