//! Ignored parts: an entry that agrees ranks first, and a choice among entries that tell something else is a guess.

use super::*;

const PAGE: &str = "https://a.test/list";

/// An entry of `GET PAGE?query` with this JSON response.
fn page(query: &str, response: Value) -> EntryJson {
    answered(get(&format!("{PAGE}?{query}")), response)
}

fn answered(entry: EntryJson, response: Value) -> EntryJson {
    let text = response.to_string();
    entry.content(json!({"size": text.len(), "mimeType": "application/json", "text": text}))
}

fn ignoring_query(name: &str) -> Options {
    Options { ignore_query: strings(&[name]), ..Options::default() }
}

fn with_path(path: &str) -> Options {
    let rule = MatchRule { paths: vec![PathPattern::new(path).unwrap()], ..MatchRule::default() };
    Options { rules: vec![rule], ..Options::default() }
}

/// Returns the entries that answer these URLs, each with the ignored parts that make it a guess.
fn answers(test: &TestMatcher, urls: &[&str]) -> Vec<(usize, Vec<String>)> {
    let answer = |url: &&str| {
        let outcome = test.answer(&request("GET", url));
        let chosen = chosen(&outcome).unwrap_or_else(|| panic!("{url}: {}", brief(&outcome)));
        (chosen.at.entry, chosen.guess.as_ref().map(|guess| guess.ignored.clone()).unwrap_or_default())
    };
    urls.iter().map(answer).collect()
}

fn certain(entries: &[usize]) -> Vec<(usize, Vec<String>)> {
    entries.iter().map(|entry| (*entry, Vec::new())).collect()
}

#[test]
fn ignored_parameter_that_agrees_decides_and_another_value_is_a_guess() {
    let pages = [1, 2, 3].map(|n| page(&format!("page={n}&sort=name"), json!({"items": [format!("item {n}")]})));
    let test = matcher_over(Own, pages, ignoring_query("page"));
    let url = |n| format!("{PAGE}?page={n}&sort=name");
    let (two, one, other) = (url(2), url(1), url(99));
    assert_eq!(answers(&test, &[&two, &one, &two, &one]), certain(&[1, 0, 1, 0]));
    assert_eq!(answers(&test, &[&other]), [(2, vec!["query parameter `page`".to_owned()])]);
}

#[test]
fn variable_segment_that_agrees_decides() {
    let products = [(26, 200), (1, 200), (3, 404), (5, 200)];
    let entry =
        |(id, status)| answered(get(&format!("https://a.test/products/{id}")), json!({"id": id})).status(status);
    let test = matcher_over(Own, products.map(entry), with_path("/products/{id}"));
    let urls = [5, 3, 1, 5].map(|id| format!("https://a.test/products/{id}"));
    assert_eq!(answers(&test, &urls.each_ref().map(String::as_str)), certain(&[3, 2, 1, 3]));
}

#[test]
fn ignored_json_value_that_agrees_decides() {
    let orders = ["A", "B", "C"].map(|sku| {
        answered(
            post("https://a.test/orders", &json!({"sku": sku, "qty": 1}).to_string()),
            json!({"order": format!("number {sku}")}),
        )
    });
    let options = Options { ignore_body: strings(&["$.sku"]), ..Options::default() };
    let test = matcher_over(Own, orders, options);
    let send = |sku: &str| {
        let body = json!({"sku": sku, "qty": 1}).to_string();
        let outcome = test.answer(&request("POST", "https://a.test/orders").json(&body));
        let chosen = chosen(&outcome).unwrap();
        (chosen.at.entry, chosen.guess.is_some())
    };
    assert_eq!(["C", "A", "B", "C"].map(send), [(2, false), (0, false), (1, false), (2, false)]);
    assert_eq!(send("D"), (2, true));
}

#[test]
fn layout_of_json_that_agrees_decides_and_another_layout_is_a_sequence() {
    let bodies = [r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#];
    let entries = bodies.map(|body| answered(post("https://a.test/x", body), json!({"sent": body})));
    let test = matcher_over(Own, entries, Options { match_body: MatchBody::Json, ..Options::default() });
    let send = |body: &str| {
        let outcome = test.answer(&request("POST", "https://a.test/x").json(body));
        let chosen = chosen(&outcome).unwrap();
        (chosen.at.entry, chosen.guess.is_some())
    };
    assert_eq!(send(bodies[1]), (1, false));
    assert_eq!([r#"{ "a": 1, "b": 2 }"#; 2].map(send), [(0, false), (1, false)]);
}

#[test]
fn volatile_values_form_a_sequence() {
    let ids = ["1f0c9c2e-7b1f-4a36-9d0e-0b6f8f6f2a11", "2b0c9c2e-7b1f-4a36-9d0e-0b6f8f6f2a12"];
    let entries = ids.map(|id| page(&format!("nonce={id}"), json!({"state": id.len() + usize::from(id == ids[1])})));
    let test = matcher_over(Own, entries, ignoring_query("nonce"));
    let url = format!("{PAGE}?nonce=3c0c9c2e-7b1f-4a36-9d0e-0b6f8f6f2a13");
    assert_eq!(answers(&test, &[&url, &url, &url]), certain(&[0, 1, 1]));
}

#[test]
fn responses_that_differ_only_in_echoed_and_volatile_values_are_not_a_guess() {
    let response = |n: u32| json!({"page": n, "request": format!("{n:032x}"), "items": []});
    let test = matcher_over(Own, [1, 2].map(|n| page(&format!("page={n}"), response(n))), ignoring_query("page"));
    assert_eq!(answers(&test, &[&format!("{PAGE}?page=9")]), certain(&[0]));
}

#[test]
fn entry_of_a_later_fixture_that_agrees_comes_before_one_that_does_not() {
    let fixtures = [1, 2].map(|n| (Own, vec![page(&format!("page={n}"), json!({"n": n}))]));
    let test = try_matcher_over(fixtures.into(), ignoring_query("page")).unwrap();
    let outcome = test.answer(&request("GET", &format!("{PAGE}?page=2")));
    assert_eq!(chosen(&outcome).unwrap().at, EntryRef { fixture: 1, entry: 0 });
}

#[test]
fn used_up_entry_that_agrees_is_not_replaced_by_another() {
    let pages = [1, 2].map(|n| page(&format!("page={n}"), json!({"n": n})));
    let test = matcher_over(Own, pages, Options { repeat: Repeat::Once, ..ignoring_query("page") });
    let request = request("GET", &format!("{PAGE}?page=2"));
    assert_eq!(test.entry(&request), Some(1));
    assert_eq!(test.miss(&request).kind, MissKind::UsedUp);
}

#[test]
fn header_that_is_equal_makes_no_wrong_page_right() {
    let step = |n: usize, name: &str| page(&format!("page={n}"), json!([format!("item {n}")])).with("x-step", name);
    let test = matcher_over(Own, [step(1, "a"), step(2, "b")], ignoring_query("page"));
    let url = format!("{PAGE}?page=99");
    let outcome = test.answer(&request("GET", &url).with("x-step", "b"));
    let chosen = chosen(&outcome).unwrap();
    assert_eq!(chosen.at.entry, 1);
    assert_eq!(chosen.guess.as_ref().unwrap().ignored, ["query parameter `page`"]);
}

#[test]
fn part_that_agrees_makes_no_other_part_right() {
    let entries =
        [(1, 10), (2, 20)].map(|(n, size)| page(&format!("page={n}&size={size}"), json!([format!("item {n}")])));
    let options = Options { ignore_query: strings(&["page", "size"]), ..Options::default() };
    let test = matcher_over(Own, entries, options);
    let guess = answers(&test, &[&format!("{PAGE}?page=99&size=20")]);
    assert_eq!(guess, [(1, vec!["query parameter `page`".to_owned()])]);
}

#[test]
fn ignored_payload_that_agrees_with_none_is_a_guess() {
    let queries = ["cats", "dogs"].map(|q| {
        answered(post("https://a.test/search", &json!({ "q": q }).to_string()), json!([format!("{q} found")]))
    });
    let options = Options { match_body: MatchBody::Ignore, ..Options::default() };
    let test = matcher_over(Own, queries, options);
    let guess = |q: &str| {
        let body = json!({ "q": q }).to_string();
        let outcome = test.answer(&request("POST", "https://a.test/search").json(&body));
        chosen(&outcome).unwrap().guess.as_ref().map(|guess| guess.ignored.clone())
    };
    assert_eq!(guess("dogs"), None);
    assert_eq!(guess("birds"), Some(vec!["the body".to_owned()]));
}

#[test]
fn host_that_agrees_with_none_is_a_guess_when_the_recorded_hosts_differ() {
    let of = |host: &str| answered(get(&format!("https://{host}/me")), json!([format!("{host} says")]));
    let hosts = [("https://eu.test", "https://us.test"), ("https://us.test", "https://new.test")];
    let same_host = hosts.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec();
    let options = Options { same_host, ..Options::default() };
    let test = matcher_over(Own, [of("eu.test"), of("us.test")], options.clone());
    assert_eq!(answers(&test, &["https://us.test/me"]), certain(&[1]));
    assert_eq!(answers(&test, &["https://new.test/me"])[0].1, ["the host"]);
    let test = matcher_over(Own, [of("us.test"), of("us.test")], options);
    assert_eq!(answers(&test, &["https://new.test/me"]), certain(&[0]), "the recorded hosts are equal");
}
