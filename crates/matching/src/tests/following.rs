//! Redirects: followed inside the recording, or served.

use super::*;

fn with(redirects: Redirects) -> Options {
    Options { redirects, ..Options::default() }
}

fn chain() -> [EntryJson; 3] {
    [
        get("https://a.test/1").to(302, "/2").sets("one=1"),
        get("https://a.test/2").to(301, "https://b.test/3").sets("two=2"),
        get("https://b.test/3").sets("three=3"),
    ]
}

#[test]
fn redirects_are_served_in_own_fixtures_and_followed_in_foreign_ones() {
    let told = |kind, options| brief(&matcher_over(kind, chain(), options).answer(&request("GET", "https://a.test/1")));
    assert_eq!(told(Own, Options::default()), "redirect 0.0 302");
    assert_eq!(told(Foreign, Options::default()), "serve 0.2 200 via 0 via 1");
    assert_eq!(told(Own, with(Redirects::Follow)), "serve 0.2 200 via 0 via 1");
    assert_eq!(told(Foreign, with(Redirects::Serve)), "redirect 0.0 302");
}

#[test]
fn cookies_of_redirects_on_the_host_of_the_client_are_kept() {
    let test = matcher_over(Foreign, chain(), Options::default());
    let outcome = test.answer(&request("GET", "https://a.test/1"));
    let cookies: Vec<_> = chosen(&outcome).unwrap().cookies.iter().map(|c| String::from_utf8_lossy(c)).collect();
    assert_eq!(cookies, ["one=1", "two=2"]);
    let mut elsewhere = chain();
    elsewhere[1] = get("https://b.test/2").to(302, "/3").sets("two=2");
    elsewhere[0] = get("https://a.test/1").to(302, "https://b.test/2").sets("one=1");
    let test = super::matcher_over(Foreign, elsewhere, Options::default());
    let outcome = test.answer(&request("GET", "https://a.test/1"));
    assert_eq!(chosen(&outcome).unwrap().cookies, ["one=1"]);
}

#[test]
fn followed_redirects_count_as_used() {
    let test = matcher_over(Foreign, chain(), Options::default());
    test.answer(&request("GET", "https://a.test/1"));
    assert_eq!(test.served(), [1, 1, 1]);
}

#[test]
fn navigation_gets_the_redirect() {
    let test = matcher_over(Foreign, chain(), Options::default());
    let outcome = test.answer(&request("GET", "https://a.test/1").with("sec-fetch-mode", "navigate"));
    assert_eq!(brief(&outcome), "redirect 0.0 302");
    assert_eq!(chosen(&outcome).unwrap().location.as_deref(), Some("https://a.test/2"));
    assert_eq!(test.served(), [1, 0, 0]);
}

#[test]
fn redirect_without_a_recorded_target_is_served() {
    let [one, two, _] = chain();
    let test = matcher_over(Foreign, [one, two], Options::default());
    let outcome = test.answer(&request("GET", "https://a.test/1"));
    assert_eq!(brief(&outcome), "redirect 0.1 301 via 0");
    assert_eq!(chosen(&outcome).unwrap().location.as_deref(), Some("https://b.test/3"));
}

#[test]
fn method_and_payload_change_as_in_browsers() {
    let test = matcher_over(
        Foreign,
        [
            post("https://a.test/1", "1").to(302, "/2"),
            get("https://a.test/2"),
            post("https://a.test/3", "1").to(307, "/4"),
            post("https://a.test/4", "2"),
            post("https://a.test/4", "1"),
        ],
        Options::default(),
    );
    assert_eq!(brief(&test.answer(&request("POST", "https://a.test/1").json("1"))), "serve 0.1 200 via 0");
    assert_eq!(brief(&test.answer(&request("POST", "https://a.test/3").json("1"))), "serve 0.4 200 via 2");
}

#[test]
fn redirect_loop_is_a_miss_with_its_entries() {
    let entries = || [get("https://a.test/1").to(302, "/2#x"), get("https://a.test/2").to(302, "/1")];
    let test = matcher_over(Foreign, entries(), Options::default());
    let hops = [0, 1].map(|entry| EntryRef { fixture: 0, entry }).to_vec();
    for request in
        [request("GET", "https://a.test/1"), request("GET", "https://a.test/1").with("sec-fetch-mode", "navigate")]
    {
        let miss = test.miss(&request);
        assert_eq!(
            (miss.kind, miss.remedy.as_deref()),
            (MissKind::RedirectLoop(hops.clone()), Some("--redirects serve"))
        );
    }
}

#[test]
fn redirect_to_the_same_url_is_followed_to_another_entry() {
    let wall = || [get("https://a.test/1").to(302, "/1").sets("s=1"), get("https://a.test/1")];
    for options in [Options::default(), Options { repeat: Repeat::First, ..Options::default() }] {
        let test = matcher_over(Foreign, wall(), options);
        assert_eq!(brief(&test.answer(&request("GET", "https://a.test/1"))), "serve 0.1 200 via 0");
    }
}

#[test]
fn twenty_redirects_are_followed_at_most() {
    let entries = |hops: usize| {
        let hop = |n| get(&format!("https://a.test/{n}")).to(302, &format!("/{}", n + 1));
        (0..hops).map(hop).chain([get(&format!("https://a.test/{hops}"))]).collect::<Vec<_>>()
    };
    let twenty = matcher_over(Foreign, entries(20), Options::default());
    assert_eq!(twenty.entry(&request("GET", "https://a.test/0")), Some(20));
    let more = matcher_over(Foreign, entries(21), Options::default());
    assert_eq!(more.miss(&request("GET", "https://a.test/0")).kind, MissKind::TooManyHops);
}

#[test]
fn redirect_status_without_location_is_served() {
    let test = matcher_over(
        Own,
        [get("https://a.test/1").status(302), get("https://a.test/2").to(304, "/1")],
        Options::default(),
    );
    assert_eq!(brief(&test.answer(&request("GET", "https://a.test/1"))), "serve 0.0 302");
    assert_eq!(brief(&test.answer(&request("GET", "https://a.test/2"))), "serve 0.1 200");
}
