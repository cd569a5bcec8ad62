//! What to write so that the nearest entry matches: options, or one line of policy.

use super::super::payload::Comparison;
use super::super::url::Parts;
use super::super::{Difference, MatchBody, What};
use super::body::{self, Nature};

/// The options or the line that let an entry match; `None` when none does.
pub(super) fn remedy(
    differences: &[Difference],
    body: &body::Compared,
    asked: &Parts<'_>,
    recorded: &Parts<'_>,
    comparison: &Comparison,
) -> Option<String> {
    let has = |what| differences.iter().any(|difference| difference.what == what);
    if has(What::Method) || has(What::Header) {
        return None;
    }
    let mut options = Vec::new();
    if has(What::Host) {
        options.push(format!("--same-host {}", quoted(&format!("{}={}", asked.host(), recorded.host()))));
    }
    let parameters: Vec<_> = differences.iter().filter(|difference| difference.what == What::Query).collect();
    if !parameters.is_empty() {
        let names: Vec<&str> = parameters.iter().map(|parameter| &*parameter.name).collect();
        if names.iter().any(|name| name.is_empty() || name.contains(',')) {
            return None;
        }
        options.push(format!("--ignore-query {}", quoted(&names.join(","))));
    }
    options.extend(body_option(&body.nature, comparison));
    match differences.iter().find(|difference| difference.what == What::Path) {
        None => (!options.is_empty()).then(|| options.join(" ")),
        Some(path) if options.is_empty() => template(asked, path).map(|path| rule(asked, &path)),
        Some(_) => None,
    }
}

fn body_option(nature: &Nature, comparison: &Comparison) -> Option<String> {
    match nature {
        Nature::Equal => None,
        Nature::JsonSpelling if comparison.mode != MatchBody::Json => Some("--match-body json".to_owned()),
        Nature::FormSpelling if comparison.mode != MatchBody::Form => Some("--match-body form".to_owned()),
        Nature::JsonPaths(paths) => {
            Some(paths.iter().map(|path| format!("--ignore-body {}", quoted(path))).collect::<Vec<_>>().join(" "))
        }
        _ => Some("--match-body ignore".to_owned()),
    }
}

/// The lines of `harproxy.toml` that let a path vary.
fn rule(asked: &Parts<'_>, path: &str) -> String {
    format!("in harproxy.toml:\n[[match]]\nglob = \"{}/**\"\npath = \"{path}\"", asked.host())
}

/// The path with the segment that differs left open, when it is one.
fn template(asked: &Parts<'_>, path: &Difference) -> Option<String> {
    let open: usize = path.name.parse().ok()?;
    let segments = asked.segments().zip(1..).map(|(segment, n)| if n == open { "{id}" } else { segment });
    Some(format!("/{}", segments.collect::<Vec<_>>().join("/")))
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
