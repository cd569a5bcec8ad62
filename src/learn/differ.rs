//! Compares two paired exchanges and derives the policy rules that ignore their differences.

use std::collections::BTreeSet;

use serde_json::Value;

use super::exchange::{Exchange, Payload};
use super::lessons::{Lessons, Where};
use harproxy_glob::escaped;
use harproxy_http::Headers;
use harproxy_http::headers::to_chars;
use harproxy_http::volatile::is_volatile;
use harproxy_redact::placeholder;

/// A request value that differs between the recordings, with its location in `echo` syntax.
struct Varying {
    place: String,
    first: String,
    second: String,
}

/// Minimum length in bytes of a value that counts as echoed; shorter values repeat by chance.
const TELLING: usize = 4;

pub(super) fn differences(a: &Exchange, b: &Exchange, lessons: &mut Lessons) {
    let mut asked = Vec::new();
    let at = place(a, b, lessons, &mut asked);
    request(a, b, &at, lessons, &mut asked);
    if a.status != b.status {
        lessons.unexplained.push(format!("{} was answered {} and then {}", a.line(), a.status, b.status));
        return;
    }
    let mut echoed = BTreeSet::new();
    headers(&a.response, &b.response, &asked, lessons, &mut echoed);
    match (&a.received, &b.received) {
        (Payload::Json(one), Payload::Json(other)) => {
            for difference in json(one, other) {
                if difference.path == "$" {
                    lessons.unexplained.push(format!("{} was answered with something else altogether", a.line()));
                    continue;
                }
                echoes(&asked, &difference.first, &difference.second, &mut echoed);
                lessons.volatile_json(&difference.path, &difference.first, &difference.second);
            }
        }
        (one, other) if one != other => {
            if let (Payload::Bytes(one), Payload::Bytes(other)) = (one, other) {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                echoes(&asked, &text(one), &text(other), &mut echoed);
            }
            lessons.unexplained.push(format!("{} was answered with other bytes, which are not JSON", a.line()));
        }
        _ => {}
    }
    if !echoed.is_empty() {
        lessons.rule(&at).echo.extend(echoed);
    }
}

/// Returns the URLs that the rule for this pair applies to. Varying segments and origins become rules.
fn place(a: &Exchange, b: &Exchange, lessons: &mut Lessons, asked: &mut Vec<Varying>) -> Where {
    let mut at = Where { glob: String::new(), path: None };
    let (mut glob, mut pattern) = (String::new(), String::new());
    let mut ids = 0;
    for (one, other) in a.segments.iter().zip(&b.segments) {
        if one == other {
            glob += &format!("/{}", escaped(one));
            pattern += &format!("/{one}");
            continue;
        }
        ids += 1;
        let name = if ids == 1 { "id".to_owned() } else { format!("id{ids}") };
        glob += "/*";
        pattern += &format!("/{{{name}}}");
        asked.push(Varying { place: format!("path:{{{name}}}"), first: one.clone(), second: other.clone() });
    }
    // A port chosen by the operating system differs in each run.
    let origin = if a.loopback { "**" } else { &a.origin };
    at.glob =
        if a.query.is_empty() && b.query.is_empty() { format!("{origin}{glob}") } else { format!("{origin}{glob}*") };
    if ids > 0 {
        at.path = Some(pattern);
        lessons.rule(&at);
    }
    if a.origin != b.origin {
        lessons.same_host(&a.origin);
    }
    at
}

fn request(a: &Exchange, b: &Exchange, at: &Where, lessons: &mut Lessons, asked: &mut Vec<Varying>) {
    let names: BTreeSet<&String> = a.query.iter().chain(&b.query).map(|(name, _)| name).collect();
    for name in names {
        let values = |one: &Exchange| -> Vec<String> {
            one.query.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect()
        };
        let (first, second) = (values(a), values(b));
        if first != second {
            lessons.rule(at).ignore_query.insert(name.clone());
            let place = format!("query:{name}");
            asked.push(Varying { place, first: first.join(" "), second: second.join(" ") });
        }
    }
    match (&a.sent, &b.sent) {
        (Payload::Json(one), Payload::Json(other)) => {
            for difference in json(one, other) {
                if difference.path == "$" {
                    lessons.rule(at).ignore_payload = true;
                } else {
                    lessons.rule(at).ignore_body.insert(difference.path.clone());
                    let place = format!("json:{}", difference.path);
                    asked.push(Varying { place, first: difference.first, second: difference.second });
                }
            }
        }
        (one, other) if one != other => lessons.rule(at).ignore_payload = true,
        _ => {}
    }
    for header in &a.request {
        let values = |headers: &Headers| headers.get(&header.name).map(|value| to_chars(value).into_owned());
        if let (Some(first), Some(second)) = (values(&a.request), values(&b.request))
            && first != second
            && !placeholder::occurs_in(first.as_bytes())
        {
            asked.push(Varying { place: format!("header:{}", header.name.to_ascii_lowercase()), first, second });
        }
    }
}

fn headers(a: &Headers, b: &Headers, asked: &[Varying], lessons: &mut Lessons, echoed: &mut BTreeSet<String>) {
    let names: BTreeSet<String> = a.iter().chain(b).map(|header| header.name.to_ascii_lowercase()).collect();
    for name in names {
        let all = |headers: &Headers| -> Vec<String> {
            headers.get_all(&name).map(|value| super::exchange::aside(&to_chars(value))).collect()
        };
        let (first, second) = (all(a).join(", "), all(b).join(", "));
        if first == second || name == "set-cookie" {
            continue;
        }
        echoes(asked, &first, &second, echoed);
        if !is_volatile(&name) && name != "content-length" {
            lessons.volatile_header(&name, &first, &second);
        }
    }
}

/// Records the varying request values that the response repeats in both recordings.
fn echoes(asked: &[Varying], first: &str, second: &str, echoed: &mut BTreeSet<String>) {
    for one in asked {
        let telling = one.first.len() >= TELLING && one.second.len() >= TELLING;
        if telling && first.contains(&one.first) && second.contains(&one.second) {
            echoed.insert(one.place.clone());
        }
    }
}

/// A location in a JSON value where two values differ.
struct Difference {
    /// A JSON path; `$` if the values differ at the root.
    path: String,
    first: String,
    second: String,
}

/// Returns the innermost locations at which two JSON values differ. Array elements share one path.
fn json(a: &Value, b: &Value) -> Vec<Difference> {
    let mut found: Vec<Difference> = Vec::new();
    let mut open = vec![(String::from("$"), a, b)];
    while let Some((path, a, b)) = open.pop() {
        match (a, b) {
            (Value::Object(one), Value::Object(other)) => {
                let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
                for name in names {
                    let path = format!("{path}{}", member(name));
                    match (one.get(name), other.get(name)) {
                        (Some(a), Some(b)) => open.push((path, a, b)),
                        (a, b) => found.push(Difference { path, first: shown(a), second: shown(b) }),
                    }
                }
            }
            (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
                open.extend(one.iter().zip(other).map(|(a, b)| (format!("{path}[*]"), a, b)));
            }
            (a, b) if a != b => found.push(Difference { path, first: shown(Some(a)), second: shown(Some(b)) }),
            _ => {}
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup_by(|a, b| a.path == b.path);
    found
}

/// Returns the path segment of a member: `.name` or `['na me']` (RFC 9535 section 2.5.1.1).
fn member(name: &str) -> String {
    let first = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if first && name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return format!(".{name}");
    }
    let written = |c: char| match c {
        '\\' | '\'' => format!("\\{c}"),
        '\0'..='\x1f' => format!("\\u{:04x}", u32::from(c)),
        _ => c.to_string(),
    };
    format!("['{}']", name.chars().map(written).collect::<String>())
}

fn shown(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "nothing".to_owned(),
    }
}
