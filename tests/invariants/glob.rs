//! URL globs.

use harproxy_glob::{Globs, escaped};
use harproxy_http::NormalUrl;
use regex::Regex;

use super::support::is_told;

/// The first line is a glob, the following lines are URLs.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let glob = lines.next().unwrap_or_default().trim_start_matches('!');
    let compiled = match (Globs::new([glob]), Globs::new([format!("!{glob}")])) {
        (Ok(globs), Ok(others)) => Some((globs, others)),
        (Err(error), Err(_)) => {
            is_told(&error);
            assert!(error.to_string().contains(glob));
            None
        }
        _ => panic!("`{glob}` is one with `!` or without it"),
    };
    let oracle = oracle(glob);
    for url in lines.take(8).filter_map(|line| NormalUrl::parse(line).ok()) {
        names_itself(&url);
        let Some((globs, others)) = &compiled else { continue };
        let matches = globs.matches(url.as_str());
        assert_ne!(matches, others.matches(url.as_str()), "`!{glob}` is not the opposite, of {url}");
        if let Some(oracle) = &oracle {
            assert_eq!(matches, oracle.is_match(url.as_str()), "`{glob}` and {url}, by Playwright's rules: {oracle}");
        }
        let site = url.parts().site();
        for list in [globs, others] {
            // Requests to a host that is tunnelled cannot be recorded. A user name in a URL is not sent to a proxy.
            let told = list.may_match_origin(&site) || site != url.parts().origin || !list.matches(url.as_str());
            assert!(told, "{:?} matches {url} and nothing at {site}", list.sources());
        }
    }
}

/// A URL that equals a glob matches it.
fn names_itself(url: &NormalUrl) {
    let glob = escaped(url.as_str());
    let globs = Globs::new([&glob]).unwrap_or_else(|error| panic!("{error}"));
    assert!(globs.matches(url.as_str()), "`{glob}` does not match {url}");
}

/// Playwright's translation of a glob that is not resolved as a URL first, for globs that both accept.
fn oracle(glob: &str) -> Option<Regex> {
    if !glob.starts_with('*') {
        return None;
    }
    let mut pattern = String::from("(?s)^");
    let (mut inside, mut before) = (false, None);
    let mut characters = glob.chars().peekable();
    while let Some(c) = characters.next() {
        let mut last = c;
        match c {
            '\\' => pattern.push_str(&regex::escape(&characters.next().unwrap_or('\\').to_string())),
            '*' => {
                let mut stars = 1;
                while characters.next_if_eq(&'*').is_some() {
                    stars += 1;
                }
                let folder = stars > 1 && characters.next_if_eq(&'/').is_some();
                last = if folder { '/' } else { c };
                pattern.push_str(match (stars, folder, before) {
                    (1, ..) => "[^/]*",
                    (_, true, Some('/')) => "(?:.+/)?",
                    (_, true, _) => ".*/",
                    _ => ".*",
                });
            }
            '{' if inside => return None,
            '{' => {
                inside = true;
                pattern.push_str("(?:");
            }
            '}' if !inside => return None,
            '}' => {
                inside = false;
                pattern.push(')');
            }
            ',' if inside => pattern.push('|'),
            _ => pattern.push_str(&regex::escape(&c.to_string())),
        }
        before = Some(last);
    }
    // Stars next to the delimiters of a group have other rules.
    let edges = ["{*", "*}", ",*", "*,", "*{", "}*"];
    if inside || edges.iter().any(|edge| glob.contains(edge)) || glob.contains('\\') {
        return None;
    }
    Regex::new(&(pattern + "$")).ok()
}
