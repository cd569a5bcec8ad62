//! The canonical form of HARs of other tools and of own fixtures: no data is lost, and formatting is idempotent.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use harproxy::fixtures::fmt::{self, FormatResult};
use harproxy_har::Fixture;
use harproxy_json::compact;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::repo;

/// The decompressed text of a HAR.
fn text_of(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    if !bytes.starts_with(b"\x1f\x8b") {
        return bytes;
    }
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
    text
}

fn corpus() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in ["tests/corpus/hars-foreign", "tests/corpus/recorded", "tests/corpus/playwright", "hars"] {
        for item in fs::read_dir(repo(folder)).unwrap() {
            let path = item.unwrap().path();
            let inner = [path.join("rec.har.gz"), path.join("rec.har")];
            files.extend(inner.into_iter().chain([path]).filter(|path| path.is_file()));
        }
    }
    files.retain(|path| path.to_string_lossy().contains(".har"));
    files.sort();
    files
}

/// The numbers and strings of a JSON text, sorted, with escapes decoded.
fn leaves(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8(compact(text)).unwrap();
    let (mut leaves, mut rest) = (Vec::new(), text.trim_start_matches('\u{feff}'));
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => {
                let mut escaped = false;
                let closing = rest[1..].find(|c| {
                    let closes = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    closes
                });
                closing.unwrap() + 2
            }
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            _ => rest.find([',', '}', ']']).unwrap_or(rest.len()),
        };
        let leaf = &rest[..end];
        // Only the case of header names may change.
        leaves.push(serde_json::from_str::<String>(leaf).unwrap_or_else(|_| leaf.to_owned()).to_ascii_lowercase());
        rest = &rest[end..];
    }
    leaves.sort();
    leaves
}

fn entries(text: &[u8]) -> Vec<Value> {
    let mut har: Value = serde_json::from_slice(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)).unwrap();
    let mut entries: Vec<Value> = har["log"]["entries"].as_array_mut().unwrap().drain(..).collect();
    for entry in &mut entries {
        for side in ["request", "response"] {
            let Some(Value::Array(headers)) = entry.get_mut(side).and_then(|side| side.get_mut("headers")) else {
                continue;
            };
            for field in &mut *headers {
                if let Some(Value::String(name)) = field.get_mut("name") {
                    name.make_ascii_lowercase();
                }
            }
            headers.sort_by_key(|field| field["name"].to_string());
        }
    }
    entries
}

#[test]
fn fmt_of_real_hars_loses_no_data_and_is_idempotent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.har");
    let (mut formatted, mut refused) = (0, Vec::new());
    // Copies the payload files that some HARs refer to.
    for item in fs::read_dir(repo("tests/corpus/hars-foreign")).unwrap() {
        let item = item.unwrap();
        if !item.file_name().to_string_lossy().contains(".har") {
            fs::copy(item.path(), dir.path().join(item.file_name())).unwrap();
        }
    }
    for file in corpus() {
        let before = text_of(&file);
        // Large files have no other content, and are slow in a debug build.
        if before.len() > 600_000 {
            continue;
        }
        fs::write(&path, &before).unwrap();
        if let Err(error) = fmt::format(&path) {
            assert!(fs::read(&path).unwrap() == before, "{file:?}: refused, and changed");
            refused.push(format!("{}: {error}", file.file_name().unwrap().to_string_lossy()));
            continue;
        }
        let after = fs::read(&path).unwrap();
        assert_eq!(fmt::check(&path).unwrap(), FormatResult::Canonical, "{file:?}");
        assert!(!after.contains(&b'\r') && after.ends_with(b"\n}\n"), "{file:?}");
        let as_read = String::from_utf8_lossy(&before);
        assert!(leaves(as_read.as_bytes()) == leaves(&after), "{file:?}");
        assert!(entries(&before) == entries(&after), "{file:?}");
        assert_eq!(String::from_utf8_lossy(&after).contains("_harproxy"), as_read.contains("_harproxy"), "{file:?}");
        formatted += 1;
    }
    assert!(formatted > 50, "{formatted}: {refused:#?}");
    for error in &refused {
        let says_where = error.contains("#") || error.contains("a.har");
        assert!(says_where && error.lines().count() == 1, "{error}");
    }
    assert!(refused.len() < 25, "{refused:#?}");
}

#[test]
fn fixtures_of_the_repository_are_in_canonical_form() {
    assert_eq!(fmt::check(&repo("hars/demo.har")).unwrap(), FormatResult::Canonical);
}

/// JSON texts with unusual numbers, lone surrogates and duplicate names.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(
            &["1.0", "1E400", "-0", "12345678901234567890123", "0.10", "true", "null", "[]", "{}"][..]
        )
        .prop_map(str::to_owned),
        prop::sample::select(&[r#""\ud83d""#, r#""\u00e9\/\n""#, r#""x\"}],{""#, r#""""#][..]).prop_map(str::to_owned),
        any::<String>().prop_map(|text| Value::from(text).to_string()),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[ {} ]", items.join(",\r\n"))),
            members(inner).prop_map(|members| format!("{{\t{}}}", members.join(" , "))),
        ]
    })
}

fn members(value: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<String>> {
    let name = prop::sample::select(&["a", "comment", "_x", "name", "headers", "status", "time", "\\u0061"][..]);
    prop::collection::vec((name, value).prop_map(|(name, value)| format!("\"{name}\":{value}")), 0..4)
}

fn entry() -> impl Strategy<Value = String> {
    let header = prop::sample::select(&["A", "a", "Set-Cookie", ":status", "É", ""][..]);
    let header = (header, any::<u8>()).prop_map(|(name, n)| format!(r#"{{"value":"{n}","name":"{name}","x":{n}.50}}"#));
    let headers = prop::collection::vec(header, 0..6).prop_map(|list| format!("\"headers\":[{}]", list.join(",")));
    (members(json()), members(json()), headers, members(json())).prop_map(|(outer, request, headers, response)| {
        let join = |first: String, rest: Vec<String>| std::iter::once(first).chain(rest).collect::<Vec<_>>().join(",");
        let request = join(r#""url":"http://a.test/""#.to_owned(), request);
        let response = join(headers, response);
        join(format!(r#""response":{{{response}}},"request":{{{request}}}"#), outer)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fmt_of_arbitrary_hars_loses_no_data_and_is_idempotent(
        entries in prop::collection::vec(entry(), 0..4),
        log in members(json()),
        beside in members(json()),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.har");
        let entries: Vec<_> = entries.iter().map(|entry| format!("{{{entry}}}")).collect();
        let log: String = log.iter().map(|member| format!("{member},")).collect();
        let beside: String = beside.iter().map(|member| format!(",{member}")).collect();
        let before = format!("{{\"log\":{{{log}\"entries\":[{}]}}{beside}}}", entries.join(","));
        fs::write(&path, &before).unwrap();
        fmt::format(&path).unwrap();
        let after = fs::read(&path).unwrap();
        prop_assert_eq!(fmt::check(&path).unwrap(), FormatResult::Canonical);
        prop_assert_eq!(leaves(&after), leaves(before.as_bytes()));
        prop_assert_eq!(Fixture::open(&path).unwrap().entries(), entries.len());
    }
}
