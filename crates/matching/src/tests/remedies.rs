//! Remedies of misses: with a remedy, the nearest entry answers the request. Differences that may matter have none.

use super::*;

const ONE: &str = "1f0c9c2e-7b1f-4a36-9d0e-0b6f8f6f2a11";
const OTHER: &str = "9d0e7b1f-0c9c-4a36-8f6f-2a11d41d8cd9";

/// Entries that the requests of these tests nearly match. The entries are of 2024-01-01.
fn entries() -> Vec<EntryJson> {
    vec![
        get("https://a.test/s?ts=1704100000&q=x"),
        post("https://a.test/j", &format!(r#"{{"id":"{ONE}","at":1704100000,"a b":{{"it's":"{ONE}"}},"n":1}}"#)),
        entry_json("POST", "https://a.test/f").sent("application/x-www-form-urlencoded", "a=b+c"),
        get(&format!("https://a.test/users/{ONE}/orders?limit=3")).with("x-tenant", "blue"),
        post("https://a.test/l", r#"{"items":[{"id":1,"at":"2024-01-02"},{"id":2,"at":"2024-01-03"}]}"#),
        post("https://a.test/g", &format!(r#"{{"query":"query Q {{ a  b }}","variables":{{"id":"{ONE}"}}}}"#)),
        get("https://a.test/c?a,b=1704100000&x"),
        get("https://[::1]:8443/v6"),
        get("http://localhost:44095/agg"),
        get(&format!("https://a.test/traced?r={ONE}")).with("x-request-id", ONE),
    ]
}

#[test]
fn remedy_lets_the_nearest_entry_answer() {
    let rule = "in harproxy.toml:\n[[match]]\nglob = ";
    for (missed, remedy) in [
        (
            request("GET", "https://a.test/s?ts=1704199999&q=x"),
            format!("{rule}\"https://a.test/s?**\"\nignore-query = [\"ts\"]"),
        ),
        (
            request("GET", "https://a.test/c?a,b=1704100009&x"),
            format!("{rule}\"https://a.test/c?**\"\nignore-query = [\"a,b\"]"),
        ),
        (
            request("POST", "https://a.test/j")
                .json(&format!(r#"{{"id":"{OTHER}","at":1704100009,"a b":{{"it's":"{OTHER}"}},"n":1}}"#)),
            format!("{rule}\"https://a.test/j\"\nignore-body = [\"$.id\", \"$.at\", "),
        ),
        (
            request("POST", "https://a.test/j")
                .json(&format!(r#"{{"at":1704100000,"id":"{ONE}","a b":{{"it's":"{ONE}"}},"n":1}}"#)),
            format!("{rule}\"https://a.test/j\"\nbody = \"json\""),
        ),
        (
            request("POST", "https://a.test/f").body("application/x-www-form-urlencoded", "a=b%20c"),
            format!("{rule}\"https://a.test/f\"\nbody = \"form\""),
        ),
        (
            request("GET", &format!("https://a.test/users/{OTHER}/orders?limit=3")),
            format!("{rule}\"https://a.test/users/*/orders?**\"\npath = \"/users/{{id}}/orders\""),
        ),
        (
            request("POST", "https://a.test/l")
                .json(r#"{"items":[{"id":1,"at":"2024-02-02"},{"id":2,"at":"2024-02-03"}]}"#),
            format!("{rule}\"https://a.test/l\"\nignore-body = [\"$.items[*].at\"]"),
        ),
        (
            request("POST", "https://a.test/g")
                .json(&format!(r#"{{"query":"query Q {{ a  b }}","variables":{{"id":"{OTHER}"}}}}"#)),
            format!("{rule}\"https://a.test/g\"\nignore-body = [\"$.variables.id\"]"),
        ),
        (request("GET", "http://a.test/s?ts=1704100000&q=x"), "--same-host http://a.test=https://a.test".to_owned()),
        (
            request("GET", "http://staging.test/s?ts=1704100000&q=x"),
            "--same-host http://staging.test=https://a.test".to_owned(),
        ),
        (request("GET", "https://[::1]:8444/v6"), "--same-host 'https://[::1]:*=https://[::1]:8443'".to_owned()),
        (
            request("GET", "http://localhost:44581/agg"),
            "--same-host 'http://localhost:*=http://localhost:44095'".to_owned(),
        ),
    ] {
        let miss = matcher_over(Own, entries(), Options::default()).miss(&missed);
        let told = miss.remedy.clone().unwrap_or_else(|| panic!("no remedy for {}", missed.url));
        assert!(told.starts_with(&remedy), "{}: {told}", missed.url);
        let mended = matcher_over(Own, entries(), options_of(&told, Options::default()));
        assert_eq!(mended.entry(&missed), Some(miss.near[0].at.entry), "{told}");
    }
}

/// A remedy repeats the values of existing list options. A further rule overrides the single values of existing ones.
#[test]
fn remedy_works_beside_existing_options_and_rules() {
    let rule = |toml: &str| options_of(&format!("in harproxy.toml:\n{toml}"), Options::default()).rules;
    let ignoring = Options {
        ignore_query: strings(&["q"]),
        ignore_body: strings(&["$.n"]),
        same_host: vec![("https://c.test".into(), "https://a.test".into())],
        ..Options::default()
    };
    let exactly = Options {
        match_body: MatchBody::Json,
        rules: rule("[[match]]\nglob = \"https://a.test/j\"\nbody = \"exact\""),
        ..Options::default()
    };
    let traced = Options {
        match_headers: strings(&["x-request-id", "x-other"]),
        rules: rule("[[match]]\nglob = \"**\"\nmatch-header = [\"x-request-id\"]"),
        ..Options::default()
    };
    for (options, missed, remedy) in [
        (&ignoring, request("GET", "https://a.test/s?ts=1704100009&q=y"), "ignore-query = [\"ts\"]"),
        (
            &ignoring,
            request("GET", "https://d.test/s?ts=1704100000&q=x"),
            "--same-host https://c.test=https://a.test --same-host https://d.test=https://a.test",
        ),
        (
            &exactly,
            request("POST", "https://a.test/j")
                .json(&format!(r#"{{"at":1704100000,"id":"{ONE}","a b":{{"it's":"{ONE}"}},"n":1}}"#)),
            "body = \"json\"",
        ),
        (
            &traced,
            request("GET", &format!("https://a.test/traced?r={ONE}")).with("x-request-id", OTHER),
            "leave `x-request-id` out of `--match-header`",
        ),
    ] {
        let miss = matcher_over(Own, entries(), options.clone()).miss(&missed);
        let told = miss.remedy.clone().unwrap_or_else(|| panic!("no remedy for {}", missed.url));
        assert!(told.contains(remedy), "{}: {told}", missed.url);
        let mended = matcher_over(Own, entries(), options_of(&told, options.clone()));
        assert_eq!(mended.entry(&missed), Some(miss.near[0].at.entry), "{told}");
    }
}

#[test]
fn miss_has_no_remedy_when_the_difference_may_matter() {
    let tenant = || Options { match_headers: strings(&["x-tenant"]), ..Options::default() };
    let form = "multipart/form-data; boundary=B";
    let upload = |text: &str| format!("--B\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n{text}\r\n--B--\r\n");
    let persisted = |hash: char| {
        let hash = hash.to_string().repeat(64);
        format!(r#"{{"extensions":{{"persistedQuery":{{"sha256Hash":"{hash}","version":1}}}},"variables":{{}}}}"#)
    };
    let operation = |name: &str| format!(r#"{{"operationName":"{name}","query":"query {name} {{ a }}"}}"#);
    for (recorded, missed) in [
        (get("https://a.test/s?page=1"), request("GET", "https://a.test/s?page=99")),
        (get("https://a.test/s?q=x"), request("GET", "https://a.test/s")),
        (get("https://a.test/s?ts=1704100000"), request("GET", "https://a.test/s")),
        // The time is more than a year away from the recording.
        (get("https://a.test/s?ts=1704100000"), request("GET", "https://a.test/s?ts=1804100000")),
        (get("https://a.test/s?a=1&b=2"), request("GET", "https://a.test/s?b=2&a=1")),
        (get("https://a.test/v1/orders"), request("GET", "https://a.test/v1/order")),
        (get("https://a.test/users/5"), request("GET", "https://a.test/users/7")),
        (get("https://a.test/api/events"), request("GET", "https://a.test/api/invoices")),
        (get("https://a.test/s?page=2"), request("DELETE", "https://a.test/s?page=2")),
        (post("https://a.test/j", r#"{"count":2}"#), request("POST", "https://a.test/j").json(r#"{"count":3}"#)),
        (post("https://a.test/j", &operation("Q1")), request("POST", "https://a.test/j").json(&operation("Q9"))),
        (post("https://a.test/j", &persisted('a')), request("POST", "https://a.test/j").json(&persisted('b'))),
        (
            post("https://a.test/j", &format!("[{}]", persisted('a'))),
            request("POST", "https://a.test/j").json(&format!("[{}]", persisted('b'))),
        ),
        (
            entry_json("PUT", "https://a.test/t").sent("text/plain", "one"),
            request("PUT", "https://a.test/t").body("text/plain", "two"),
        ),
        (
            entry_json("POST", "https://a.test/u").sent(form, &upload("cat.png")),
            request("POST", "https://a.test/u").body(form, upload("dog.png")),
        ),
        (get("https://a.test/x").with("x-tenant", "a"), request("GET", "https://a.test/x").with("x-tenant", "b")),
        // A recorded failure answers nothing.
        (get("https://a.test/s?ts=1704100000").status(0), request("GET", "https://a.test/s?ts=1704100009")),
        (get("https://gone.test/s").status(0), request("GET", "https://a.test/s")),
        // The origin differs, and something else.
        (get("https://b.test/s?ts=1704100000"), request("GET", "https://a.test/s?ts=1704100009")),
    ] {
        let miss = matcher_over(Own, [recorded], tenant()).miss(&missed);
        assert_eq!(miss.remedy, None, "{}", missed.url);
        assert!(!miss.near.is_empty(), "{}", missed.url);
    }
}

#[test]
fn part_that_tells_entries_apart_has_no_remedy() {
    let users = || [ONE, "22222222-7b1f-4a36-9d0e-0b6f8f6f2a11"].map(|id| get(&format!("https://a.test/users/{id}")));
    let missed = request("GET", &format!("https://a.test/users/{OTHER}"));
    assert_eq!(matcher_over(Own, users(), Options::default()).miss(&missed).remedy, None);
    let [one, _] = users();
    let [again, _] = users();
    assert!(matcher_over(Own, [one, again], Options::default()).miss(&missed).remedy.is_some(), "a sequence of one id");
    // The page tells the entries apart, not the time.
    let pages = [1, 2].map(|page| get(&format!("https://a.test/s?page={page}&_={}", 1_704_100_000 + page)));
    let miss =
        matcher_over(Own, pages, Options::default()).miss(&request("GET", "https://a.test/s?page=2&_=1704100009"));
    assert!(miss.remedy.unwrap().ends_with("ignore-query = [\"_\"]"));
}

#[test]
fn misspelt_path_has_the_recorded_url() {
    for (recorded, missed, meant) in [
        ("/v1/orders", "/v1/order", true),
        ("/users", "/usersx", true),
        ("/api/products/5", "/api/productz/5", true),
        ("/api/teams", "/api/Teams/", true),
        ("/api/events", "/api/invoices", false),
        ("/users/12", "/users/123", false),
        ("/orders/order-1001", "/orders/order-1002", false),
        ("/users?page=1", "/user?page=2", false),
    ] {
        let test = matcher_over(Own, [get(&format!("https://a.test{recorded}"))], Options::default());
        let miss = test.miss(&request("GET", &format!("https://a.test{missed}")));
        let expected = meant.then(|| format!("GET https://a.test{recorded}"));
        assert_eq!((miss.did_you_mean, miss.remedy), (expected, None), "{missed}");
    }
}

#[test]
fn request_at_another_origin_has_the_option_of_the_recorded_one() {
    let test = matcher_over(Own, [get("https://prod.test/x?y=1"), get("http://localhost:1234/z")], Options::default());
    for (method, url, option) in [
        ("GET", "https://staging.test/x?y=1", Some("--same-host https://staging.test=https://prod.test")),
        ("GET", "http://localhost:4321/z", Some("--same-host 'http://localhost:*=http://localhost:1234'")),
        ("GET", "https://staging.test/x?y=2", None),
        ("POST", "https://staging.test/x?y=1", None),
        ("GET", "https://prod.test/x?y=1", None),
    ] {
        let url = NormalUrl::parse(url).unwrap();
        assert_eq!(test.matcher.same_host_option(method, &url).as_deref(), option, "{method} {}", url.as_str());
    }
}

#[test]
fn entries_with_little_in_common_are_not_shown_beside_the_nearest() {
    let orders = [1, 2, 3].map(|n| post("https://a.test/orders", &format!(r#"{{"n":{n}}}"#)));
    let test = matcher_over(Own, orders, Options::default());
    assert_eq!(test.miss(&request("DELETE", "https://a.test/orders")).near.len(), 1);
    assert_eq!(test.miss(&request("POST", "https://a.test/orders").json(r#"{"n":4}"#)).near.len(), 3);
    let paths = ["events", "users", "teams"].map(|path| get(&format!("https://a.test/api/{path}")));
    let test = matcher_over(Own, paths, Options::default());
    assert_eq!(test.miss(&request("GET", "https://a.test/api/invoices")).near.len(), 1);
}

/// Adds a remedy to options, like the command line and the reader of `harproxy.toml`.
pub(super) fn options_of(remedy: &str, mut options: Options) -> Options {
    if let Some(document) = remedy.strip_prefix("in harproxy.toml:\n") {
        let document: toml::Table = document.parse().unwrap();
        for rule in document["match"].as_array().unwrap() {
            let list = |name: &str| -> Vec<String> {
                let values = rule.get(name).and_then(toml::Value::as_array).into_iter().flatten();
                values.map(|value| value.as_str().unwrap().to_owned()).collect()
            };
            options.rules.push(MatchRule {
                glob: harproxy_glob::Globs::new([rule["glob"].as_str().unwrap()]).unwrap(),
                paths: rule
                    .get("path")
                    .map(|path| PathPattern::new(path.as_str().unwrap()).unwrap())
                    .into_iter()
                    .collect(),
                same_host: list("same-host").iter().map(|origin| OriginPattern::new(origin).unwrap()).collect(),
                ignore_query: list("ignore-query"),
                ignore_body: list("ignore-body")
                    .iter()
                    .map(|path| harproxy_json::JsonPath::parse(path).unwrap())
                    .collect(),
                match_headers: list("match-header"),
                body: rule.get("body").map(|mode| mode_of(mode.as_str().unwrap())),
                ..MatchRule::default()
            });
        }
        return options;
    }
    if let Some(left_out) = remedy.strip_prefix("leave `") {
        let name = left_out.split('`').next().unwrap();
        options.match_headers.retain(|known| known != name);
        options.rules.iter_mut().for_each(|rule| rule.match_headers.retain(|known| known != name));
        return options;
    }
    let mut given = Options::default();
    for pair in words(remedy).chunks(2) {
        match (&*pair[0], &*pair[1]) {
            ("--ignore-query", names) => given.ignore_query = names.split(',').map(str::to_owned).collect(),
            ("--ignore-body", path) => given.ignore_body.push(path.to_owned()),
            ("--match-body", mode) => options.match_body = mode_of(mode),
            ("--same-host", pair) => {
                let (a, b) = pair.split_once('=').unwrap();
                given.same_host.push((a.to_owned(), b.to_owned()));
            }
            other => panic!("{other:?} in {remedy}"),
        }
    }
    // A list of the command line replaces another one.
    fn replace<T>(list: &mut Vec<T>, given: Vec<T>) {
        if !given.is_empty() {
            *list = given;
        }
    }
    replace(&mut options.ignore_query, given.ignore_query);
    replace(&mut options.ignore_body, given.ignore_body);
    replace(&mut options.same_host, given.same_host);
    options
}

fn mode_of(word: &str) -> MatchBody {
    match word {
        "exact" => MatchBody::Exact,
        "json" => MatchBody::Json,
        "form" => MatchBody::Form,
        "ignore" => MatchBody::Ignore,
        other => panic!("{other}"),
    }
}

/// Splits a command line into words.
fn words(mut rest: &str) -> Vec<String> {
    let mut words = Vec::new();
    while !rest.is_empty() {
        let mut word = String::new();
        while let Some(c) = rest.chars().next().filter(|c| *c != ' ') {
            if c == '\'' {
                let (quoted, after) = rest[1..].split_once('\'').unwrap();
                word.push_str(quoted);
                rest = after;
            } else if c == '\\' {
                word.push_str(&rest[1..2]);
                rest = &rest[2..];
            } else {
                word.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
        words.push(word);
        rest = rest.trim_start();
    }
    words
}
