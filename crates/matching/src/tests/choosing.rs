//! The choice among candidates: response class, fixture, score, sequence. Also the scope.

use super::*;

const URL: &str = "https://a.test/x";

fn repeating(repeat: Repeat) -> Options {
    Options { repeat, ..Options::default() }
}

fn entries(test: &TestMatcher, request: &TestRequest, times: usize) -> Vec<Option<usize>> {
    (0..times).map(|_| test.entry(request)).collect()
}

#[test]
fn sequence_advances_and_repeats_the_last_entry() {
    let test = matcher_over(Own, [get(URL), get("https://a.test/y"), get(URL), get(URL)], Options::default());
    assert_eq!(entries(&test, &request("GET", URL), 5), [0, 2, 3, 3, 3].map(Some));
    assert_eq!(test.served(), [1, 0, 1, 3]);
    let unused: Vec<_> = test.matcher.unused().map(|at| at.entry).collect();
    assert_eq!(unused, [1]);
    test.matcher.reset_sequences(|_| true);
    assert_eq!((test.entry(&request("GET", URL)), test.served()), (Some(0), vec![2, 0, 1, 3]));
}

#[test]
fn repeat_first_always_serves_the_first_entry() {
    let test = matcher_over(Own, [get(URL), get(URL)], repeating(Repeat::First));
    assert_eq!(entries(&test, &request("GET", URL), 3), [0, 0, 0].map(Some));
}

#[test]
fn repeat_once_serves_each_entry_once_then_misses() {
    let test = matcher_over(Own, [get(URL).with("accept", "a"), get(URL).with("accept", "b")], repeating(Repeat::Once));
    assert_eq!(entries(&test, &request("GET", URL).with("accept", "b"), 3), [Some(1), Some(0), None]);
    let miss = test.miss(&request("GET", URL));
    assert_eq!(miss.kind, MissKind::UsedUp);
    assert_eq!((miss.near.len(), miss.remedy.as_deref()), (2, Some("--repeat sequence")));
}

#[test]
fn sessions_have_separate_sequences() {
    let test = matcher_over(Own, [get(URL), get(URL)], Options::default());
    let request = request("GET", URL);
    let told = |session| brief(&test.answer_to(&request, session));
    assert_eq!(told(Some("a")), "serve 0.0 200");
    assert_eq!(told(None), "serve 0.0 200");
    assert_eq!(told(Some("b")), "serve 0.0 200");
    assert_eq!(told(Some("a")), "serve 0.1 200");
    assert_eq!(told(None), "serve 0.1 200");
}

/// The sequences of two tests with the same request, and entries of no test.
#[test]
fn entries_of_the_test_are_preferred_and_have_their_own_sequence() {
    let entries = [
        get(URL).recorded_by("a").status(201),
        get(URL).status(202),
        get(URL).recorded_by("b").status(203),
        get(URL).recorded_by("b").status(204),
    ];
    let url = request("GET", URL);
    let told = |test: &TestMatcher, name| {
        brief(&test.answer_to(&url, RequestSession { sequence: Some(name), test: Some(name) }))
    };
    let test = matcher_over(Own, entries.clone(), Options::default());
    for (name, outcome) in [
        ("b", "serve 0.2 203"),
        ("b", "serve 0.3 204"),
        ("b", "serve 0.3 204"),
        ("a", "serve 0.0 201"),
        ("c", "serve 0.1 202"),
        ("c", "serve 0.1 202"),
        ("a", "serve 0.0 201"),
    ] {
        assert_eq!(told(&test, name), outcome, "{name}");
    }
    // Without a test, the sequence has all of them.
    let unnamed: Vec<String> = (0..4).map(|_| brief(&test.answer(&url))).collect();
    assert_eq!(unnamed, ["serve 0.0 201", "serve 0.1 202", "serve 0.2 203", "serve 0.3 204"]);

    let once = matcher_over(Own, entries, repeating(Repeat::Once));
    assert_eq!(told(&once, "a"), "serve 0.0 201");
    assert_eq!(told(&once, "a"), "miss UsedUp");
}

#[test]
fn entries_of_other_tests_answer_if_there_is_no_better_one() {
    let other = || get(URL).recorded_by("a");
    let test = matcher_over(Own, [other().with("accept", "x"), other().status(201)], Options::default());
    let answered = test.answer_to(&request("GET", URL), RequestSession { sequence: Some("b"), test: Some("b") });
    assert_eq!(chosen(&answered).unwrap().other_session.as_deref(), Some("a"));
    let own = test.answer_to(&request("GET", URL), RequestSession { sequence: Some("a"), test: Some("a") });
    assert_eq!(chosen(&own).unwrap().other_session, None);
    assert_eq!(chosen(&test.answer(&request("GET", URL))).unwrap().other_session, None);
}

/// A client that begins in the middle of the recording gets the first answers.
#[test]
fn answers_from_an_earlier_part_of_the_recording_are_out_of_sequence() {
    let other = "https://a.test/other";
    let entries = || [get(URL).status(201), get(other), get(URL).status(202)];
    let flags = |test: &TestMatcher, urls: &[&str]| -> Vec<bool> {
        urls.iter().map(|url| chosen(&test.answer(&request("GET", url))).unwrap().is_out_of_sequence).collect()
    };
    let test = || matcher_over(Own, entries(), Options::default());
    assert_eq!(flags(&test(), &[URL, other, URL, URL]), [false; 4]);
    assert_eq!(flags(&test(), &[other, URL, URL]), [false, true, false]);
    let equal = matcher_over(Own, [get(URL), get(other), get(URL)], Options::default());
    assert_eq!(flags(&equal, &[other, URL]), [false, false], "their responses are equal");
}

#[test]
fn concurrent_requests_of_a_session_get_different_entries() {
    let test = matcher_over(Own, (0..32).map(|_| get(URL)), repeating(Repeat::Once));
    let url = NormalUrl::parse(URL).unwrap();
    let headers = HeaderMap::new();
    let mut taken: Vec<usize> = std::thread::scope(|scope| {
        let request = |_| {
            scope.spawn(|| {
                let query = Query::new("GET", &url, &headers, None);
                (0..8).map(|_| chosen(&test.matcher.answer(&query, None)).unwrap().at.entry).collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..4).map(request).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    taken.sort_unstable();
    assert_eq!(taken, (0..32).collect::<Vec<_>>());
}

#[test]
fn score_ranks_before_the_sequence() {
    let test = matcher_over(
        Own,
        [get(URL).with("accept", "a"), get(URL).with("Accept", "b").with("x", "1"), get(URL).with("accept", "b")],
        Options::default(),
    );
    let both = request("GET", URL).with("accept", "b").with("x", "1");
    assert_eq!(entries(&test, &both, 2), [1, 1].map(Some));
    assert_eq!(chosen(&test.answer(&both)).unwrap().score, 2);
    assert_eq!(entries(&test, &request("GET", URL).with("accept", "a"), 2), [0, 0].map(Some));
}

#[test]
fn headers_that_never_score_do_not_change_the_rank() {
    let recorded = || {
        [
            get(URL).with("user-agent", "one").with("accept", "a"),
            get(URL).with("user-agent", "two").with("sec-fetch-mode", "cors").with("accept", "a"),
        ]
    };
    let sent = request("GET", URL).with("user-agent", "two").with("sec-fetch-mode", "cors").with("accept", "a");
    let masked = matcher_over(Own, recorded(), repeating(Repeat::First));
    assert_eq!(masked.entry(&sent), Some(0));
    let all = matcher_over(Own, recorded(), Options { score_all_headers: true, ..repeating(Repeat::First) });
    assert_eq!(all.entry(&sent), Some(1));
}

#[test]
fn first_fixture_with_the_key_answers() {
    let fixtures = vec![
        (Own, vec![get(URL)]),
        (Own, vec![get(URL).with("accept", "a"), get("https://a.test/y"), post("https://a.test/z", "2")]),
        (Own, vec![post("https://a.test/z", "1")]),
    ];
    let test = try_matcher_over(fixtures, Options::default()).unwrap();
    let told = |request: &TestRequest| brief(&test.answer(request));
    let scored = request("GET", URL).with("accept", "a");
    assert_eq!([told(&scored), told(&scored)], ["serve 0.0 200"; 2]);
    assert_eq!(told(&request("GET", "https://a.test/y")), "serve 1.1 200");
    assert_eq!(told(&request("POST", "https://a.test/z").json("1")), "serve 2.0 200");
    assert_eq!(test.served().iter().filter(|times| **times > 0).count(), 3);
}

#[test]
fn failure_answers_only_without_another_entry() {
    let test =
        matcher_over(Own, [get(URL).status(0), get(URL), get("https://a.test/y").status(-1)], Options::default());
    assert_eq!(entries(&test, &request("GET", URL), 2), [1, 1].map(Some));
    assert_eq!(brief(&test.answer(&request("GET", "https://a.test/y"))), "abort 0.2 0");
}

#[test]
fn cached_body_of_a_304_answers_only_without_a_full_response() {
    let validated = || get(URL).status(304).with("If-None-Match", "\"a\"");
    let both = matcher_over(Foreign, [validated(), get(URL)], Options::default());
    assert_eq!(brief(&both.answer(&request("GET", URL))), "serve 0.1 200");
    let conditional = request("GET", URL).with("if-none-match", "\"a\"");
    assert_eq!(brief(&both.answer(&conditional)), "serve 0.0 304");
    let alone = matcher_over(Foreign, [validated()], Options::default());
    assert_eq!(brief(&alone.answer(&request("GET", URL))), "serve 0.0 200");
    let bare = matcher_over(Own, [validated().content(json!({"size": 0, "mimeType": ""}))], Options::default());
    let miss = bare.miss(&request("GET", URL));
    assert_eq!(miss.near[0].differences[0].to_tuple(), (RequestPart::Header, "if-none-match", None, Some("\"a\"")));
}

#[test]
fn conditional_request_gets_the_304_in_any_order_of_entries() {
    let plain = || get(URL).content(json!({"size": 5, "mimeType": "text/plain", "text": "first"}));
    let validated = || get(URL).with("If-None-Match", "\"a\"");
    let unchanged = || validated().status(304).content(json!({"size": 0, "mimeType": ""}));
    let (ask_plain, ask_validated) = (request("GET", URL), request("GET", URL).with("if-none-match", "\"a\""));
    let orders: [Vec<EntryJson>; 2] = [vec![plain(), unchanged()], vec![unchanged(), plain()]];
    for (place, order) in [1, 0].into_iter().zip(orders) {
        let test = matcher_over(Own, order, Options::default());
        assert_eq!(entries(&test, &ask_validated, 2), [Some(place); 2], "the 304, again and again");
        assert_eq!(entries(&test, &ask_plain, 2), [Some(1 - place); 2], "the 200");
        assert_eq!(
            test.entry(&request("GET", URL).with("if-none-match", "\"b\"")),
            Some(1 - place),
            "another validator"
        );
    }
    // A poll: unchanged, unchanged, changed.
    let poll = matcher_over(Own, [plain(), unchanged(), unchanged(), validated()], Options::default());
    assert_eq!(poll.entry(&ask_plain), Some(0));
    assert_eq!(entries(&poll, &ask_validated, 4), [1, 2, 3, 3].map(Some));
    // With `--repeat once`, a conditional request falls back to the full response.
    let once = matcher_over(Own, [plain(), unchanged()], Options { repeat: Repeat::Once, ..Options::default() });
    assert_eq!(entries(&once, &ask_validated, 3), [Some(1), Some(0), None]);
}

#[test]
fn range_request_gets_the_206_in_any_order_of_entries() {
    let part = || get(URL).status(206).with("Range", "bytes=0-1");
    let ask_part = request("GET", URL).with("range", "bytes=0-1");
    let orders: [Vec<EntryJson>; 2] = [vec![get(URL), part()], vec![part(), get(URL)]];
    for (place, order) in [1, 0].into_iter().zip(orders) {
        let test = matcher_over(Own, order, Options::default());
        assert_eq!(entries(&test, &ask_part, 2), [Some(place); 2]);
        assert_eq!(entries(&test, &request("GET", URL), 2), [Some(1 - place); 2]);
        assert_eq!(
            test.entry(&request("GET", URL).with("range", "bytes=5-9")),
            Some(1 - place),
            "an origin may ignore it"
        );
    }
}

#[test]
fn websocket_and_plain_response_of_one_url_are_distinguished() {
    let websocket = || get(URL).status(101).with("Upgrade", "websocket");
    let upgrade = request("GET", URL).with("connection", "Upgrade").with("upgrade", "websocket");
    let orders: [Vec<EntryJson>; 2] =
        [vec![get(URL).status(426), websocket()], vec![websocket(), get(URL).status(426)]];
    for (place, order) in [0, 1].into_iter().zip(orders) {
        let test = matcher_over(Foreign, order, Options::default());
        assert_eq!(entries(&test, &request("GET", URL), 3), [Some(place); 3]);
        assert_eq!(test.entry(&upgrade), Some(1 - place));
    }
    let alone = matcher_over(Foreign, [websocket()], Options::default());
    assert_eq!(brief(&alone.answer(&request("GET", URL))), "serve 0.0 101", "which replay does not send");
    let plain = matcher_over(Foreign, [get(URL)], Options::default());
    let miss = plain.miss(&upgrade);
    assert_eq!(miss.kind, MissKind::NoEntry);
    assert_eq!(miss.near[0].differences[0].to_tuple(), (RequestPart::Header, "upgrade", Some("websocket"), None));
}

#[test]
fn body_that_was_not_recorded_is_a_miss_of_its_own_kind() {
    let lost = || get(URL).content(json!({"size": 5120, "mimeType": "text/html"}));
    let kept = matcher_over(Foreign, [lost()], Options::default());
    assert_eq!(kept.miss(&request("GET", URL)).kind, MissKind::BodyNotRecorded(EntryRef { fixture: 0, entry: 0 }));
    let empty = matcher_over(Foreign, [lost()], Options { missing_body: MissingBody::Empty, ..Options::default() });
    assert_eq!(brief(&empty.answer(&request("GET", URL))), "serve 0.0 200");
    let head = matcher_over(Foreign, [EntryJson(lost().0).status(204)], Options::default());
    assert_eq!(brief(&head.answer(&request("GET", URL))), "serve 0.0 204");
}

#[test]
fn scope_is_the_recorded_globs_or_the_origins_of_a_foreign_har() {
    let test = try_matcher_over(
        vec![
            (Own, vec![get(URL)]),
            (Foreign, vec![get("http://b.example:81/x").http2(), get("wss://c.example/s").status(101)]),
        ],
        Options::default(),
    )
    .unwrap();
    for (url, inside) in [
        ("https://c.test/any", true),
        ("https://c.test/health", false),
        ("http://c.test/any", false),
        ("http://b.example:81/never/recorded", true),
        ("http://b.example/x", false),
        ("https://c.example/s", true),
    ] {
        assert_eq!(test.matcher.in_scope(&NormalUrl::parse(url).unwrap()), inside, "{url}");
    }
    for (origin, possible) in [("https://c.test", true), ("http://b.example:81", true), ("http://b.example", false)] {
        assert_eq!(test.matcher.may_match_origin(origin), possible, "{origin}");
    }
    assert!(test.matcher.speaks_h2("http://b.example:81"));
    assert!(!test.matcher.speaks_h2("https://a.test"));
    let given = harproxy_glob::Globs::new(["https://only.test/**"]).unwrap();
    let fixtures = test.matcher.fixtures().to_vec();
    let narrowed = Matcher::new(fixtures, Some(given), Options::default()).unwrap();
    assert!(!narrowed.in_scope(&NormalUrl::parse(URL).unwrap()));
    assert!(test.folder.path().exists());
}

impl Difference {
    pub(super) fn to_tuple(&self) -> (RequestPart, &str, Option<&str>, Option<&str>) {
        (self.part, &self.name, self.request.as_deref(), self.recorded.as_deref())
    }
}
