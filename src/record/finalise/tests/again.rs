//! Recording into an existing fixture, and recovering.

use super::*;
use crate::record::recover::recover_killed;

#[test]
fn unchanged_recording_changes_no_byte() {
    for (file, content) in [
        ("a.har", ContentMode::Attach),
        ("b.har", ContentMode::Embed),
        ("c.zip", ContentMode::Attach),
        ("d.har", ContentMode::Omit),
    ] {
        let mut desk = Desk::new(file);
        desk.plan.content = content;
        let talks =
            [Talk::get("/a", "1"), Talk::post("/b", "one", "2"), Talk::post("/b", "two", "3"), Talk::get("/a", "4")];
        desk.record(&talks);
        let before = desk.bytes();
        let again = talks.clone().map(|talk| Talk {
            connection: 9,
            started: 86_400_000_000,
            version: WireVersion::Http2,
            ..talk.with("date", "Sat, 21 Nov 2026 10:00:00 GMT").with("x-request-id", "other")
        });
        let result = desk.record(&again);
        assert_eq!((result.unchanged, result.changed, result.added, result.not_seen), (4, 0, 0, 0), "{file}");
        assert_eq!(desk.bytes(), before, "{file}");
    }
}

#[test]
fn changed_entry_is_replaced_in_place_and_others_keep_their_bytes() {
    for (file, content) in
        [("a.har", ContentMode::Attach), ("b.har", ContentMode::Embed), ("c.zip", ContentMode::Attach)]
    {
        let mut desk = Desk::new(file);
        desk.plan.content = content;
        desk.record(&[Talk::get("/a", "1"), Talk::get("/b", "2"), Talk::get("/c", "3")]);
        let before = Fixture::open(&desk.plan.output).unwrap().entry(0).unwrap().started.clone();
        let result = desk.record(&[Talk::get("/b", "changed"), Talk::get("/new", "4")]);
        assert_eq!((result.unchanged, result.changed, result.added, result.not_seen), (0, 1, 1, 2), "{file}");
        let fixture = Fixture::open(&desk.plan.output).unwrap();
        let answers: Vec<String> = (0..4)
            .map(|at| {
                let entry = fixture.entry(at).unwrap();
                let payload = fixture.payload(at, &entry.response.content).unwrap().bytes().unwrap();
                let path = entry.request.url.replace("https://api.test", "");
                format!("{path} {}", String::from_utf8_lossy(&payload))
            })
            .collect();
        assert_eq!(answers, ["/a 1", "/b changed", "/new 4", "/c 3"], "{file}");
        assert_eq!(fixture.entry(0).unwrap().started, before);
    }
}

#[test]
fn requests_with_different_payloads_have_different_keys() {
    let desk = Desk::new("api.har");
    desk.record(&[Talk::post("/q", "one", "1"), Talk::post("/q", "two", "2")]);
    let result = desk.record(&[Talk::post("/q", "two", "2b"), Talk::post("/q", "three", "3")]);
    assert_eq!((result.changed, result.added, result.not_seen), (1, 1, 1));
    assert_eq!(desk.story(), ["/q 1", "/q 2b", "/q 3"]);
}

#[test]
fn unusable_entry_is_kept_and_missing_payload_is_restored() {
    let mut desk = Desk::new("api.har");
    desk.plan.content = ContentMode::Attach;
    desk.record(&[Talk::get("/a", "1"), Talk::get("/b", "2")]);
    let text = fs::read_to_string(&desk.plan.output).unwrap();
    fs::write(&desk.plan.output, text.replacen("\"entries\": [\n", "\"entries\": [\n      {\"odd\": 1},\n", 1))
        .unwrap();
    fs::remove_dir_all(desk.dir.path().join("api")).unwrap();
    let result = desk.record(&[Talk::get("/a", "1")]);
    assert_eq!((result.changed, result.not_seen), (1, 2));
    assert_eq!(desk.entries()[0], serde_json::json!({ "odd": 1 }));
    let fixture = Fixture::open(&desk.plan.output).unwrap();
    let body = fixture.entry(1).unwrap().response.content.clone();
    assert_eq!(fixture.payload(1, &body).unwrap().bytes().unwrap(), "1");
}

#[test]
fn volatile_headers_and_values_are_not_a_change() {
    let quiet: [(&str, &str); 6] = [
        ("age", "7"),
        ("etag", "\"other\""),
        ("expires", "never"),
        ("traceparent", "00-x"),
        ("x-request-id", "b"),
        ("content-length", "1"),
    ];
    let desk = Desk::new("api.har");
    desk.record(&[Talk::get("/a", "1")]);
    for (name, value) in quiet {
        let result = desk.record(&[Talk::get("/a", "1").with(name, value)]);
        assert_eq!(result.unchanged, 1, "{name}");
    }
    for changed in [
        Talk::get("/a", "1").with("x-version", "2"),
        Talk { status: Some(201), ..Talk::get("/a", "1") },
        Talk { trailers: vec![("x-sum", "1".into())], ..Talk::get("/a", "1") },
        Talk { reason: Some(EndReason::UpstreamDied), ..Talk::get("/a", "1") },
    ] {
        assert_eq!(desk.record(&[changed]).changed, 1);
        desk.record(&[Talk::get("/a", "1")]);
    }
}

#[test]
fn truncated_response_does_not_replace_a_complete_one() {
    let desk = Desk::new("api.har");
    desk.record(&[Talk::get("/events", "one two three")]);
    let result = desk.record(&[Talk { reason: Some(EndReason::ClientLeft), ..Talk::get("/events", "one") }]);
    assert_eq!((result.unchanged, result.changed), (1, 0));
    assert_eq!(desk.story(), ["/events one two three"]);
}

#[test]
fn scopes_are_united_unless_the_fixture_is_replaced() {
    let mut desk = Desk::new("api.har");
    desk.record(&[Talk::get("/a", "1")]);
    desk.plan.scope = Globs::new(["https://other.test/**"]).unwrap();
    desk.record(&[Talk::get("/a", "1")]);
    let scope = |desk: &Desk| desk.har()["log"]["_harproxy"]["scope"].clone();
    assert_eq!(scope(&desk), serde_json::json!(["https://api.test/**", "https://other.test/**"]));
    desk.plan.update = UpdateMode::Replace;
    desk.record(&[Talk::get("/a", "1")]);
    assert_eq!(scope(&desk), serde_json::json!(["https://other.test/**"]));
}

#[test]
fn foreign_har_is_replaced_but_never_merged_into() {
    let mut desk = Desk::new("api.har");
    let foreign = r#"{"log":{"version":"1.2","creator":{"name":"x","version":"1"},"entries":[]}}"#;
    fs::write(&desk.plan.output, foreign).unwrap();
    for update in [UpdateMode::Merge, UpdateMode::Missing] {
        desk.plan.update = update;
        assert!(matches!(check(&desk.plan), Err(Error::Foreign { .. })));
    }
    desk.plan.update = UpdateMode::Replace;
    check(&desk.plan).unwrap();
    desk.record(&[Talk::get("/a", "1")]);
    assert_eq!(desk.story(), ["/a 1"]);
}

#[test]
fn killed_recording_is_recovered_without_removing_entries() {
    let mut desk = Desk::new("api.har");
    desk.record(&[Talk::get("/a", "1"), Talk::get("/b", "2")]);
    desk.plan.update = UpdateMode::Replace;
    let frames =
        [Talk::get("/b", "2b").frames(1, 0), Talk { reason: None, ..Talk::get("/c", "3") }.frames(2, 1)].concat();
    let locked = desk.journal(&frames);
    // Torn in the middle of a frame.
    (&locked.file).write_all(&MARK.0[..3]).unwrap();
    let recovered = recover_killed(&desk.plan, &locked).unwrap().unwrap();
    assert_eq!((recovered.summary.exchanges, recovered.summary.cut), (2, 1));
    assert_eq!(desk.story(), ["/a 1", "/b 2b", "/c 3"]);
    assert_eq!(locked.file.metadata().unwrap().len(), 0);
    assert!(recover_killed(&desk.plan, &locked).unwrap().is_none());
}

#[test]
fn journal_torn_before_its_first_exchange_is_empty() {
    let desk = Desk::new("api.har");
    let locked = JournalPaths::beside(&desk.plan.output).unwrap().lock().unwrap();
    let (head, torn) = (MARK.journal_head(), [MARK.journal_head(), MARK.0.into()].concat());
    for rest in [&b""[..], b"harprox", b"harproxy journal 7\n", &head, &torn] {
        locked.truncate().unwrap();
        (&locked.file).write_all(rest).unwrap();
        assert!(recover_killed(&desk.plan, &locked).unwrap().is_none());
    }
    assert!(!desk.plan.output.exists());
    assert!(Path::new(&locked.paths.journal).exists());
}

#[test]
fn times_of_chunks_are_stored_and_are_no_change() {
    let stream = |events: &str, chunks: &[(u64, u64)]| Talk {
        chunks: chunks.iter().map(|&(at_ms, units)| Chunk { at_ms, units }).collect(),
        ..Talk::get("/events", events).with("content-type", "text/event-stream")
    };
    let desk = Desk::new("api.har");
    desk.record(&[stream("data: 1\n\ndata: 2\n\n", &[(0, 2), (105, 2)])]);
    assert_eq!(desk.entries()[0]["_harproxy"]["chunks"], "0:2 105:2");
    let before = fs::read(&desk.plan.output).unwrap();
    desk.record(&[stream("data: 1\n\ndata: 2\n\n", &[(3, 2), (130, 2)])]);
    assert_eq!(fs::read(&desk.plan.output).unwrap(), before);
    desk.record(&[stream("data: 1\n\ndata: 3\n\n", &[(3, 2), (130, 2)])]);
    assert_eq!(desk.entries()[0]["_harproxy"]["chunks"], "3:2 130:2");
}

#[test]
fn upload_that_was_answered_early_is_the_same_request_when_another_part_was_sent() {
    let upload =
        |sent: &'static [u8]| Talk { sent: vec![sent], upload_whole: false, ..Talk::post("/upload", "", "too large") };
    let desk = Desk::new("api.har");
    desk.record(&[upload(b"first part")]);
    let post_data = desk.entries()[0]["request"]["postData"].clone();
    assert_eq!(post_data["_truncated"]["reason"], "answered-early");
    let before = fs::read(&desk.plan.output).unwrap();
    desk.record(&[upload(b"first part and more")]);
    assert_eq!(fs::read(&desk.plan.output).unwrap(), before);
}
