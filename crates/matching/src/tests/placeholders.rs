//! Placeholders in entries: the values that fit, the rank of entries, and ambiguous choices.

use super::*;
use harproxy_redact::{Placeholder, PlaceholderName};

const FORM: &str = "application/x-www-form-urlencoded";
/// {"alg":"RS256"}, {"iss":"https://id.test","exp":1000} and later.
const JWT_THEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkLnRlc3QiLCJleHAiOjEwMDB9.REDACTED-access_token-1";
const JWT_NOW: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkLnRlc3QiLCJleHAiOjk5OTl9.REDACTED-access_token-1";

fn saying(entry: EntryJson, text: &str) -> EntryJson {
    entry.content(json!({"size": text.len(), "mimeType": "application/json", "text": text}))
}

fn bearer(token: &str, answer: &str) -> EntryJson {
    saying(get("https://a.test/me").with("authorization", &format!("Bearer {token}")), answer)
}

fn me(token: &str) -> TestRequest {
    request("GET", "https://a.test/me").with("authorization", &format!("Bearer {token}"))
}

fn login(n: u64, status: i32) -> EntryJson {
    let body = format!(r#"{{"user":"ada","password":"REDACTED-password-{n}"}}"#);
    saying(post("https://a.test/login", &body).status(status), &status.to_string())
}

fn with_password(password: &str) -> TestRequest {
    request("POST", "https://a.test/login").json(&format!(r#"{{"user":"ada","password":"{password}"}}"#))
}

fn guessed(test: &TestMatcher, request: &TestRequest) -> Option<Guess> {
    chosen(&test.answer(request)).unwrap().guess.as_deref().cloned()
}

fn given(name: &str, number: u64, value: &str) -> Options {
    let values = vec![(Placeholder { name: PlaceholderName::new(name), number }, value.into())];
    Options { values, ..Options::default() }
}

#[test]
fn any_value_fits_a_placeholder_in_the_query() {
    let test = matcher_over(
        Own,
        [
            get("https://a.test/s?q=1&sig=REDACTED-sig-1&page=2"),
            get("https://a.test/s?q=1&sig=REDACTED-sig-1&page=3"),
            get("https://a.test/s?auth=key%20REDACTED-auth-1,x"),
            get("https://a.test/mail?to=redacted-1%40example.invalid"),
            get("https://a.test/only?REDACTED-ticket-1"),
        ],
        Options::default(),
    );
    for (url, found) in [
        ("https://a.test/s?q=1&sig=abc%2B%2F&page=2", Some(0)),
        ("https://a.test/s?q=1&sig=&page=3", Some(1)),
        ("https://a.test/s?q=1&sig=REDACTED-sig-1&page=3", Some(1)),
        ("https://a.test/s?q=2&sig=abc&page=2", None),
        ("https://a.test/s?q=1&page=2", None),
        ("https://a.test/s?q=1&page=2&sig=abc", None),
        ("https://a.test/s?q=1&sig=a&sig=b&page=2", None),
        ("https://a.test/s?auth=key%20live,x", Some(2)),
        ("https://a.test/s?auth=key+live,x", None),
        ("https://a.test/s?auth=key%20live", None),
        ("https://a.test/mail?to=ada%40a.test", Some(3)),
        ("https://a.test/only?live", Some(4)),
        ("https://a.test/only", None),
    ] {
        assert_eq!(test.entry(&request("GET", url)), found, "{url}");
    }
}

#[test]
fn any_value_fits_a_placeholder_in_path_and_user_info() {
    let test = matcher_over(
        Own,
        [
            get("https://a.test/invites/REDACTED-token-1/accept"),
            get("https://a.test/bot123:REDACTED-token-2/send"),
            get("https://ada:REDACTED-password-1@a.test/private"),
            get("https://a.test/users/0edac7ed-0000-4000-8000-000000000001"),
            get(&format!("https://a.test/magic/{JWT_THEN}")),
        ],
        Options::default(),
    );
    for (url, found) in [
        ("https://a.test/invites/abc/accept", Some(0)),
        ("https://a.test/invites/abc/def/accept", None),
        ("https://a.test/invites/abc/reject", None),
        ("https://a.test/bot123:AAE-x_y/send", Some(1)),
        ("https://a.test/bot124:AAE-x_y/send", None),
        ("https://ada:secret@a.test/private", Some(2)),
        ("https://bob:secret@a.test/private", None),
        ("https://a.test/private", None),
        ("https://a.test/users/7", Some(3)),
        (&format!("https://a.test/magic/{JWT_NOW}"), Some(4)),
        ("https://a.test/magic/live", Some(4)),
    ] {
        assert_eq!(test.entry(&request("GET", url)), found, "{url}");
    }
}

#[test]
fn entry_with_the_sent_value_ranks_before_one_with_a_placeholder() {
    let test = matcher_over(
        Own,
        [
            get("https://a.test/i?code=REDACTED-code-1").with("accept", "a"),
            get("https://a.test/i?code=7"),
            login(1, 200),
        ],
        Options::default(),
    );
    assert_eq!(test.entry(&request("GET", "https://a.test/i?code=7").with("accept", "a")), Some(1));
    assert_eq!(test.entry(&request("GET", "https://a.test/i?code=8")), Some(0));
    assert_eq!(test.entry(&request("GET", "https://a.test/i?code=REDACTED-code-1")), Some(0));
}

#[test]
fn any_value_fits_a_placeholder_in_a_payload_in_every_mode() {
    let json = r#"{"user":"ada","password":"REDACTED-password-1","pin":73322833001}"#;
    let form = "user=ada&password=REDACTED-password-1&x=%41";
    for (mode, same, fits) in [
        (MatchBody::Exact, r#"{"user":"ada","password":"p\"1","pin":5}"#, true),
        (MatchBody::Exact, r#"{"user":"ada", "password":"p","pin":5}"#, false),
        (MatchBody::Json, r#"{ "pin": 5, "password": "", "user": "ada" }"#, true),
        (MatchBody::Json, r#"{ "pin": "5", "password": "", "user": "ada" }"#, false),
        (MatchBody::Json, r#"{ "pin": 5, "password": "x", "user": "bob" }"#, false),
        (MatchBody::Json, r#"{ "pin": 5, "password": "x", "user": "ada", "more": 1 }"#, false),
        (MatchBody::Ignore, "anything", true),
    ] {
        let test =
            matcher_over(Own, [post("https://a.test/x", json)], Options { match_body: mode, ..Options::default() });
        assert_eq!(test.entry(&request("POST", "https://a.test/x").json(same)), fits.then_some(0), "{mode:?} {same}");
        assert_eq!(test.entry(&request("POST", "https://a.test/x").json(json)), Some(0));
    }
    for (mode, same, fits) in [
        (MatchBody::Exact, "user=ada&password=a%26b&x=%41", true),
        (MatchBody::Exact, "user=ada&password=p&x=A", false),
        (MatchBody::Form, "user=ada&password=p&x=A", true),
        (MatchBody::Form, "password=p&user=ada&x=A", false),
        (MatchBody::Form, "user=ada&password=p&x=A&y=1", false),
    ] {
        let recorded = entry_json("POST", "https://a.test/x").sent(FORM, form);
        let test = matcher_over(Own, [recorded], Options { match_body: mode, ..Options::default() });
        assert_eq!(
            test.entry(&request("POST", "https://a.test/x").body(FORM, same)),
            fits.then_some(0),
            "{mode:?} {same}"
        );
    }
}

#[test]
fn any_value_fits_a_placeholder_in_a_part() {
    let payload = |boundary: &str, length: &str, value: &str, file: &str| {
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"password\"{length}\r\n\r\n{value}\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f.json\"\r\nContent-Type: application/json\r\n\
             \r\n{file}\r\n--{boundary}--\r\n"
        )
    };
    let of = |boundary: &str| format!("multipart/form-data; boundary={boundary}");
    let recorded = payload("A", "\r\nContent-Length: 21", "REDACTED-password-1", r#"{"key":"REDACTED-key-1","n":1}"#);
    let test =
        matcher_over(Own, [entry_json("POST", "https://a.test/up").sent(&of("A"), &recorded)], Options::default());
    let sent =
        |length, value, file| request("POST", "https://a.test/up").body(&of("zz"), payload("zz", length, value, file));
    assert_eq!(test.entry(&sent("\r\nContent-Length: 6", "a\r\n--x", r#"{"key":"k","n":1}"#)), Some(0));
    assert_eq!(test.entry(&sent("", "", r#"{"key":"","n":1}"#)), Some(0));
    assert_eq!(test.entry(&sent("", "x", r#"{"key":"k","n":2}"#)), None);
}

#[test]
fn any_value_fits_a_placeholder_in_a_required_header() {
    let options = Options { match_headers: strings(&["authorization"]), ..Options::default() };
    let entry = get("https://a.test/me").with("authorization", &format!("Bearer {JWT_THEN}"));
    let test = matcher_over(Own, [entry], options);
    assert_eq!(test.entry(&me("live")), Some(0));
    assert_eq!(test.entry(&me(JWT_NOW)), Some(0));
    assert_eq!(test.entry(&request("GET", "https://a.test/me").with("authorization", "Basic x")), None);
    assert_eq!(test.entry(&request("GET", "https://a.test/me")), None);
}

#[test]
fn request_with_a_placeholder_gets_its_entry() {
    let test = matcher_over(
        Own,
        [
            bearer("REDACTED-token-1", "ada"),
            bearer("REDACTED-token-2", "bob").with("accept", "b"),
            bearer(JWT_THEN, "eve"),
        ],
        Options::default(),
    );
    for (token, entry) in [("REDACTED-token-2", 1), ("REDACTED-token-1", 0), ("REDACTED-token-2", 1), (JWT_NOW, 2)] {
        let request = me(token).with("accept", "b");
        assert_eq!(test.entry(&request), Some(entry), "{token}");
        assert_eq!(guessed(&test, &request), None);
    }
    // No placeholder distinguishes the entries, so the score decides.
    assert_eq!(test.entry(&me("live").with("accept", "b")), Some(1));
}

#[test]
fn cookies_are_compared_one_by_one_in_any_order() {
    let page = |cookies: &str| get("https://a.test/").with("cookie", cookies);
    let test = matcher_over(
        Own,
        [
            page("sid=REDACTED-sid-1; csrf=REDACTED-csrf-1; theme=dark"),
            page("sid=REDACTED-sid-2; csrf=REDACTED-csrf-2; theme=dark"),
            page("sid=REDACTED-sid-2; csrf=REDACTED-csrf-3; theme=dark"),
        ],
        Options::default(),
    );
    let sent = |cookies: &str| request("GET", "https://a.test/").with("cookie", cookies);
    assert_eq!(test.entry(&sent("theme=light; csrf=REDACTED-csrf-3; sid=REDACTED-sid-2")), Some(2));
    assert_eq!(test.entry(&sent("sid=REDACTED-sid-2; csrf=REDACTED-csrf-2")), Some(1));
    assert_eq!(test.entry(&sent("csrf=REDACTED-csrf-1").with("cookie", "sid=live")), Some(0));
}

#[test]
fn passwords_are_distinguished_by_placeholder_and_by_value() {
    let entries = || [login(1, 401), login(2, 200)];
    let one = matcher_over(Own, entries(), Options::default());
    assert_eq!(one.entry(&with_password("REDACTED-password-2")), Some(1));
    assert_eq!(guessed(&one, &with_password("REDACTED-password-2")), None);
    for _ in 0..2 {
        let guess = guessed(&one, &with_password("live")).unwrap();
        let names: Vec<String> = guess.placeholders.iter().map(ToString::to_string).collect();
        assert_eq!((guess.among.len(), guess.tokens_alone), (2, false));
        assert!(names.contains(&"REDACTED-password-1".to_owned()) && names.len() == 2, "{names:?}");
    }
    let told = matcher_over(Own, entries(), given("password", 1, "wr\u{f6}ng"));
    for _ in 0..2 {
        for (password, entry) in [("right", 1), ("wr\u{f6}ng", 0), (r"wr\u00f6ng", 0)] {
            assert_eq!(told.entry(&with_password(password)), Some(entry), "{password}");
            assert_eq!(guessed(&told, &with_password(password)), None, "what is not the value given is another's");
        }
    }
}

#[test]
fn choice_among_equal_responses_is_not_ambiguous() {
    let poll = [bearer("REDACTED-token-1", "pending"), bearer("REDACTED-token-1", "done")];
    let shelf_of_poll = matcher_over(Own, poll, Options::default());
    assert_eq!(guessed(&shelf_of_poll, &me("live")), None, "one token: a poll");
    let equal = [bearer("REDACTED-token-1", "same"), bearer("REDACTED-token-2", "same")];
    assert_eq!(guessed(&matcher_over(Own, equal, Options::default()), &me("live")), None, "equal answers");
    let visits = [
        saying(get("https://a.test/"), "first"),
        saying(get("https://a.test/").with("cookie", "sid=REDACTED-sid-1"), "again"),
    ];
    assert_eq!(
        guessed(&matcher_over(Own, visits, Options::default()), &request("GET", "https://a.test/")),
        None,
        "a first visit"
    );
    let scored =
        [bearer("REDACTED-token-1", "a").with("accept", "a"), bearer("REDACTED-token-2", "b").with("accept", "b")];
    let shelf_of_scored = matcher_over(Own, scored, Options::default());
    assert_eq!(guessed(&shelf_of_scored, &me("live").with("accept", "b")), None, "another header tells");
    assert!(guessed(&shelf_of_scored, &me("live")).is_some());
}

#[test]
fn placeholders_of_ambiguous_entries_are_compared_place_by_place() {
    let page = |id: u8, k: u8, body: &str| {
        let entry = get(&format!("https://a.test/REDACTED-id-{id}?k=REDACTED-k-3"));
        saying(entry.with("cookie", &format!("k=REDACTED-k-{k}")), body)
    };
    let live = request("GET", "https://a.test/live?k=live").with("cookie", "k=live");
    for (other, expected) in [((1, 6), "REDACTED-k-4 REDACTED-k-6"), ((2, 4), "REDACTED-id-1 REDACTED-id-2")] {
        let test = matcher_over(Own, [page(1, 4, "one"), page(other.0, other.1, "two")], Options::default());
        let placeholders = guessed(&test, &live).unwrap().placeholders;
        assert_eq!(placeholders.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), expected);
    }
}

#[test]
fn ambiguity_in_tokens_alone_is_marked() {
    let assertion = |n: u64| {
        let body = format!("client_assertion=REDACTED-client_assertion-{n}");
        let token = format!(r#"{{"access_token":"REDACTED-access_token-{n}"}}"#);
        saying(entry_json("POST", "https://a.test/token").sent(FORM, &body), &token)
    };
    let test = matcher_over(Own, [assertion(1), assertion(2)], Options::default());
    let guess = guessed(&test, &request("POST", "https://a.test/token").body(FORM, "client_assertion=live")).unwrap();
    assert!(guess.tokens_alone);
}

#[test]
fn client_that_sends_back_tokens_gets_the_entries_of_its_flow() {
    let refresh = |n: u64| {
        let body = format!("grant_type=refresh_token&refresh_token=REDACTED-refresh_token-{n}");
        let next = format!(r#"{{"refresh_token":"REDACTED-refresh_token-{}"}}"#, n + 1);
        saying(entry_json("POST", "https://a.test/token").sent(FORM, &body), &next)
    };
    let test = matcher_over(Own, [refresh(1), refresh(2), refresh(3)], Options::default());
    for n in [1, 2, 3, 2] {
        let body = format!("grant_type=refresh_token&refresh_token=REDACTED-refresh_token-{n}");
        let request = request("POST", "https://a.test/token").body(FORM, body);
        assert_eq!((test.entry(&request), guessed(&test, &request)), (Some(n - 1), None));
    }
}

#[test]
fn placeholders_in_ignored_places_still_rank_entries() {
    let rule = MatchRule {
        paths: vec![PathPattern::new("/users/{id}").unwrap()],
        ignore_query: strings(&["ts"]),
        ..MatchRule::default()
    };
    let user = |n| get(&format!("https://a.test/users/REDACTED-user-{n}?ts=REDACTED-ts-1"));
    let test = matcher_over(Own, [user(1), user(2)], Options { rules: vec![rule], ..Options::default() });
    assert_eq!(test.entry(&request("GET", "https://a.test/users/REDACTED-user-2")), Some(1));
    assert_eq!(test.entry(&request("GET", "https://a.test/users/7?ts=5")), Some(0));
}

#[test]
fn redirect_to_a_url_with_placeholders_is_followed() {
    let entries = [
        get("https://a.test/start").to(302, "/cb?code=REDACTED-code-1&state=x"),
        get("https://a.test/cb?code=REDACTED-code-1&state=x"),
        get("https://a.test/cb?code=REDACTED-code-2&state=x"),
    ];
    let test = matcher_over(Foreign, entries, Options::default());
    assert_eq!(brief(&test.answer(&request("GET", "https://a.test/start"))), "serve 0.1 200 via 0");
}

#[test]
fn redacted_place_is_not_reported_as_a_difference() {
    let entries = [
        post(
            "https://a.test/t/REDACTED-t-1/x?sig=REDACTED-sig-1&page=2",
            r#"{"password":"REDACTED-password-1","n":1}"#,
        ),
        entry_json("POST", "https://a.test/form").sent(FORM, "password=REDACTED-password-1&n=1"),
    ];
    let test = matcher_over(Own, entries, Options::default());
    let miss =
        test.miss(&request("POST", "https://a.test/t/live/x?sig=abc&page=3").json(r#"{"password":"live","n":2}"#));
    let told: Vec<_> = miss.near[0].differences.iter().map(|found| (found.part, found.name.as_str())).collect();
    assert_eq!(told, [(RequestPart::Query, "page"), (RequestPart::Body, "$.n")]);
    assert_eq!((miss.same_path, miss.remedy.as_deref()), (1, None));
    let miss = test.miss(&request("POST", "https://a.test/form").body(FORM, "password=live&n=2"));
    let told: Vec<_> = miss.near[0].differences.iter().map(|found| (found.part, found.name.as_str())).collect();
    assert_eq!(told, [(RequestPart::Body, "n")]);
}

#[test]
fn placeholders_fit_in_long_and_cut_payloads() {
    let mut cut = post("https://a.test/x", r#"{"password":"REDACTED-password-1","n":[1"#);
    cut.0["request"]["postData"]["_truncated"] = json!({"kept": 40, "total": 100, "reason": "max-body"});
    let test = matcher_over(Own, [cut], Options::default());
    let found = test.entry(&request("POST", "https://a.test/x").json(r#"{"password":"live","n":[1,2,3]}"#));
    assert_eq!(found, Some(0));
    assert_eq!(test.entry(&request("POST", "https://a.test/x").json(r#"{"password":"live","n":[2]}"#)), None);
}
