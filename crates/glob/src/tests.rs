//! The dialect against what Playwright itself answers, and the rules that the corpus lacks.

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::Value;

use super::*;

/// The cases that the corpus marks as evident defects of Playwright. harproxy may differ in these only.
const PLAYWRIGHT_BUGS: [&str; 2] = [
    // Ours are chosen so that the glob does not contain them.
    "glob text collides with an internal placeholder",
    // A glob with a wildcard scheme and an explicit `:80` loses the port; we do as Playwright.
    "scheme wildcard resolved as http, so port 80 is dropped and explicit-port URLs do not match",
];

fn corpus() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/corpus/playwright/glob.jsonl.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn agrees_with_playwright() {
    let mut agreed = 0;
    let mut allowed: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut wrong = Vec::new();
    let rows = corpus();
    let mut globs: BTreeMap<&str, Option<UrlGlob>> = BTreeMap::new();
    for row in &rows {
        let (glob, url) = (row["glob"].as_str().unwrap(), row["url"].as_str().unwrap());
        let theirs = if row["throws"] == true { None } else { row["match"].as_bool() };
        let compiled = globs.entry(glob).or_insert_with(|| UrlGlob::new(glob).ok());
        let ours = compiled.as_ref().map(|glob| glob.matches(url, 0));
        match row["bug"].as_str() {
            Some(bug) => {
                let reason = PLAYWRIGHT_BUGS.iter().find(|known| **known == bug).expect("an unknown bug group");
                let (seen, differ) = allowed.entry(reason).or_default();
                *seen += 1;
                *differ += usize::from(ours != theirs);
            }
            None if ours == theirs => agreed += 1,
            None => {
                let resolved = resolve::resolve(glob);
                wrong.push(format!("{glob} (resolved {resolved}) on {url}: {ours:?}, Playwright {theirs:?}"));
            }
        }
    }
    println!("{agreed} of {} rows agree", rows.len());
    for (reason, (seen, differ)) in &allowed {
        println!("{seen} rows may differ and {differ} do: {reason}");
    }
    assert!(wrong.is_empty(), "{} rows differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(agreed > 10_000, "the corpus is gone");
}

#[test]
fn text_that_equals_a_token_stays_text() {
    let globs = Globs::new(["https://example.com/q0q/*/$_3_$"]).unwrap();
    assert!(globs.matches("https://example.com/q0q/a/$_3_$"));
    assert!(!globs.matches("https://example.com/q0q/a/b"));
}

#[test]
fn error_names_the_position() {
    let error = Globs::new(["**", "!https://h/{a,{b}}"]).unwrap_err();
    assert_eq!(error.to_string(), "glob `!https://h/{a,{b}}`: `{` inside braces at character 14");
    let error = Globs::new(["https://h/{a/../b}"]).unwrap_err();
    assert!(error.reason.contains("resolves to"), "{error}");
}

#[test]
fn exclusions_win() {
    let none: [&str; 0] = [];
    assert!(Globs::new(none).unwrap().matches("https://a.test/"));
    let only_not = Globs::new(["!**/health", "!https://b.test/**"]).unwrap();
    assert!(only_not.matches("https://a.test/x"));
    assert!(!only_not.matches("https://a.test/health"));
    assert!(!only_not.matches("https://b.test/x"));
    let both = Globs::new(["https://a.test/**", "!**/health"]).unwrap();
    assert!(both.matches("https://a.test/x"));
    assert!(!both.matches("https://a.test/health"));
    assert!(!both.matches("https://c.test/x"));
    assert_eq!(both.sources(), ["https://a.test/**", "!**/health"]);
}

#[test]
fn may_match_origin_is_false_for_excluded_and_other_origins() {
    let may = |globs: &[&str], origin: &str| Globs::new(globs).unwrap().may_match_origin(origin);
    assert!(may(&["**/api/**"], "https://any.test"));
    assert!(may(&["https://a.test/x/y"], "https://a.test"));
    assert!(!may(&["https://a.test/x/y"], "https://a.test:8443"));
    assert!(!may(&["https://a.test/**"], "https://b.test"));
    assert!(!may(&["https://a.test/**"], "http://a.test"));
    assert!(may(&["http{,s}://*.test:*/**"], "http://b.test:81"));
    assert!(!may(&["http{,s}://*.test:*/**"], "http://b.example:81"));
    assert!(may(&["*://a.test/**"], "https://a.test"));
    assert!(!may(&["**", "!https://a.test/**"], "https://a.test"));
    assert!(!may(&["!https://*.a.test/**"], "https://b.a.test"));
    assert!(!may(&["!https://a.test/{**,x}"], "https://a.test"));
    assert!(!may(&["!*://a.test/**"], "https://a.test"));
    assert!(may(&["!https://a.test/x/**"], "https://a.test"));
    assert!(may(&["!https://a.test/*"], "https://a.test"));
    assert!(may(&["!https://a.test/**/health"], "https://a.test"));
    assert!(!may(&["!"], "https://a.test"));
    assert!(may(&[""], "https://a.test"));
}

#[test]
fn exclusion_of_https_excludes_a_connect_to_its_port() {
    let may = |globs: &[&str], origin: &str| Globs::new(globs).unwrap().may_match_origin(origin);
    for others in [&["**"][..], &["**/api/**"], &["*://a.test/**"], &[]] {
        let globs = |exclusion| [others, &[exclusion]].concat();
        for (exclusion, at) in [
            ("!https://a.test/**", "a.test:443"),
            ("!https://*.test/**", "a.test:443"),
            ("!https://**/**", "a.test:443"),
            ("!https://a.test:8443/**", "a.test:8443"),
            ("!https://[::1]/**", "[::1]:443"),
        ] {
            assert!(!may(&globs(exclusion), &format!("http://{at}")), "{others:?} {exclusion}");
        }
        for (exclusion, origin) in [
            ("!https://a.test/**", "http://a.test"),
            ("!https://a.test/**", "http://a.test:8443"),
            ("!https://a.test/health", "http://a.test:443"),
            ("!https://a.test:*/**", "http://a.test:3000"),
            ("!https://**/**", "http://a.test:3000"),
            ("!https://**/**", "http://a.test"),
            ("!https://[::1]/**", "http://[::1]"),
            ("!http://a.test/**", "https://a.test"),
        ] {
            assert_eq!(may(&globs(exclusion), origin), may(others, origin), "{others:?} {exclusion} {origin}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn origin_is_possible_if_a_url_of_it_matches(
        glob in r"(\*\*/|\*|https://)?([ab./*]|\*\*|\{a,b\*\}|/\*\*/){0,8}",
        path in "[ab./]{0,8}",
        host in "[ab]{1,2}",
    ) {
        let Ok(glob) = UrlGlob::new(&glob) else { return Ok(()) };
        let prefix = format!("https://{host}/");
        let matched = glob.matches(&format!("{prefix}{path}"), 0);
        match glob.reach(&prefix, 0) {
            Reach::None => proptest::prop_assert!(!matched),
            Reach::All => proptest::prop_assert!(matched),
            Reach::Some => {}
        }
    }
}
