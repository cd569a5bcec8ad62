//! Remedies of misses: with a remedy, the nearest entry answers the request.

use super::*;

/// Entries that the requests of these tests nearly match.
fn entries() -> Vec<EntryJson> {
    vec![
        get("https://a.test/s?page=2&q=x"),
        post("https://a.test/j", r#"{"id":5,"list":[1,2],"a b":{"it's":1}}"#),
        entry_json("POST", "https://a.test/f").sent("application/x-www-form-urlencoded", "a=b+c"),
        entry_json("PUT", "https://a.test/t").sent("text/plain", "one"),
        get("https://a.test/users/5/orders?limit=3").with("x-tenant", "blue"),
        post("https://a.test/l", r#"{"items":[{"id":1,"at":1},{"id":2,"at":2}],"tags":["a","b","c"]}"#),
        post("https://a.test/g", r#"{"query":"query Q { a  b }","variables":{"id":1}}"#),
        get("https://a.test/c?a,b=1&x"),
        get("https://a.test/reset/REDACTED-token-1/done/1"),
        get("https://[::1]:8443/v6"),
        post("https://b.test/users/5/notes?v=1", r#"{"text":"a","at":1}"#),
    ]
}

#[test]
fn remedy_lets_the_nearest_entry_answer() {
    for (missed, remedy) in [
        (request("GET", "https://a.test/s?page=3&q=y"), "--ignore-query page,q"),
        (request("GET", "https://a.test/s?page=2"), "--ignore-query q"),
        (request("GET", "https://a.test/s?page=2&q=x&new=1"), "--ignore-query new"),
        (request("GET", "https://a.test/s?page=2&q=%78"), "--ignore-query q"),
        (request("GET", "http://localhost:1/s?page=2&q=x"), "--same-host http://localhost:1=https://a.test"),
        (request("GET", "http://a.test/s?page=2&q=x"), "--same-host http://a.test=https://a.test"),
        (
            request("GET", "https://a.test:8443/s?page=4&q=x"),
            "--same-host https://a.test:8443=https://a.test --ignore-query page",
        ),
        (
            request("POST", "https://a.test/j").json(r#"{"id":6,"list":[1],"a b":{"it's":2}}"#),
            "--ignore-body '$.id' --ignore-body '$.list[1]' --ignore-body '$[",
        ),
        (request("POST", "https://a.test/j").json(r#"{"list":[1,2],"id":5,"a b":{"it's":1}}"#), "--match-body json"),
        (request("POST", "https://a.test/f").body("application/x-www-form-urlencoded", "a=b%20c"), "--match-body form"),
        (request("PUT", "https://a.test/t").body("text/plain", "two"), "--match-body ignore"),
        (request("PUT", "https://a.test/t"), "--match-body ignore"),
        (request("GET", "https://a.test/users/7/orders?limit=3"), "path = \"/users/{id}/orders\""),
        (request("GET", "https://a.test/users/7/carts?limit=3"), "path = \"/users/{id}/{id2}\""),
        (
            request("GET", "https://a.test/users/7/orders?limit=4"),
            "path = \"/users/{id}/orders\"\nignore-query = [\"limit\"]",
        ),
        // A list with one more element at the front, and a list whose elements all differ.
        (
            request("POST", "https://a.test/l")
                .json(r#"{"items":[{"id":1,"at":1},{"id":2,"at":2}],"tags":["z","a","b","c"]}"#),
            "--ignore-body '$.tags'",
        ),
        (
            request("POST", "https://a.test/l")
                .json(r#"{"items":[{"id":1,"at":8},{"id":2,"at":9}],"tags":["a","b","c"]}"#),
            "--ignore-body '$.items[*].at'",
        ),
        (
            request("POST", "https://a.test/l").json(r#"{"items":[{"id":1,"at":1},{"id":2,"at":2}],"tags":["a"]}"#),
            "--ignore-body '$.tags'",
        ),
        (
            request("POST", "https://a.test/g").json(r#"{"query":"query Q {a b}","variables":{"id":2}}"#),
            "--match-body json --ignore-body '$.variables.id'",
        ),
        (request("GET", "https://a.test/c?a,b=2&x"), "ignore-query = [\"a,b\"]"),
        (request("GET", "https://a.test/reset/live/undone/1"), "path = \"/reset/{id}/{id2}/1\""),
        (request("GET", "https://[::1]:8444/v6"), "--same-host 'https://[::1]:8444=https://[::1]:8443'"),
        (
            request("POST", "http://localhost:3000/users/7/notes?v=2").json(r#"{"text":"a","at":2}"#),
            "glob = \"https://b.test/**\"\npath = \"/users/{id}/notes\"\nsame-host = [\"http://localhost:3000\"]\n\
             ignore-query = [\"v\"]\nignore-body = [\"$.at\"]",
        ),
    ] {
        let miss = matcher_over(Own, entries(), Options::default()).miss(&missed);
        let told = miss.remedy.clone().unwrap_or_else(|| panic!("no remedy for {}", missed.url));
        assert!(told.contains(remedy), "{}: {told}", missed.url);
        let mended = matcher_over(Own, entries(), options_of(&told, Options::default()));
        assert_eq!(mended.entry(&missed), Some(miss.near[0].at.entry), "{told}");
    }
}

/// A remedy repeats the values of existing list options. A further rule overrides the single values of existing ones.
#[test]
fn remedy_works_beside_existing_options_and_rules() {
    let rule = |toml: &str| options_of(&format!("in harproxy.toml:\n{toml}"), Options::default()).rules;
    let ignoring = Options {
        ignore_query: strings(&["page"]),
        ignore_body: strings(&["$.id"]),
        same_host: vec![("https://c.test".into(), "https://a.test".into())],
        ..Options::default()
    };
    let exactly = Options {
        match_body: MatchBody::Json,
        rules: rule("[[match]]\nglob = \"https://a.test/t\"\nbody = \"exact\""),
        ..Options::default()
    };
    let tenant = Options {
        match_headers: strings(&["x-tenant", "x-other"]),
        rules: rule("[[match]]\nglob = \"**\"\nmatch-header = [\"x-tenant\"]"),
        ..Options::default()
    };
    for (options, missed, remedy) in [
        (&ignoring, request("GET", "https://a.test/s?page=7&q=y"), "--ignore-query page,q"),
        (
            &ignoring,
            request("POST", "https://a.test/j").json(r#"{"id":8,"list":[3,2],"a b":{"it's":1}}"#),
            "--ignore-body '$.id' --ignore-body '$.list[0]'",
        ),
        (
            &ignoring,
            request("GET", "https://d.test/s?page=2&q=x"),
            "--same-host https://c.test=https://a.test --same-host https://d.test=https://a.test",
        ),
        (&exactly, request("PUT", "https://a.test/t").body("text/plain", "two"), "body = \"ignore\""),
        (
            &tenant,
            request("GET", "https://a.test/users/5/orders?limit=3").with("x-tenant", "red"),
            "leave `x-tenant` out of `--match-header`",
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
fn miss_has_no_remedy_when_none_works() {
    for missed in [
        request("DELETE", "https://a.test/s?page=2&q=x"),
        request("GET", "https://a.test/s?q=x&page=2"),
        request("GET", "https://a.test/v2/users/5/orders?limit=3"),
        request("GET", "https://a.test/users/5/orders/?limit=3"),
        request("GET", "https://a.test/s?page=2&q=x").with("x", "y").with("range", "bytes=0-1").body("text/plain", ""),
    ] {
        let test = matcher_over(Own, entries(), Options::default());
        if let Outcome::Miss(miss) = test.answer(&missed) {
            assert_eq!(miss.remedy, None, "{}", missed.url);
            assert!(!miss.near.is_empty(), "{}", missed.url);
        }
    }
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
