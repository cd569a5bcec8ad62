//! What is said of an exchange on its way into the journal.

use std::io::{Read, Seek};

use futures_util::FutureExt;

use super::*;
use crate::proxy::Scheme;
use crate::redact::Vault;
use crate::redact::marker::Run;

/// A client may leave while its upload is still being looked into: the answer was there all the same.
#[tokio::test]
async fn an_exchange_ends_though_nobody_waits_for_its_upload_any_more() {
    let journal = tempfile::tempfile().unwrap();
    let mut read = journal.try_clone().unwrap();
    let (done, upload) = watch::channel(false);
    let tape = Arc::new(Tape {
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
        upload: Mutex::new(Some(upload)),
        ended: AtomicBool::new(false),
    });
    assert!(tape.clone().complete().now_or_never().is_none());
    assert!(!tape.ended.load(Ordering::Relaxed), "behind its upload");
    done.send(true).unwrap();
    endings::done().await;
    tape.journal.close();
    let mut text = Vec::new();
    read.rewind().and_then(|()| read.read_to_end(&mut text)).unwrap();
    assert_eq!(text.get(4), Some(&(Kind::End as u8 + 1)), "{text:?}");
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
