//! The invariants of each parser of untrusted bytes, over real files, earlier fuzzing results, and mutations of both.
//! `scripts/fuzz` runs the same code without an end.

#[path = "../invariants/mod.rs"]
mod invariants;
mod seeds;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{TestError, TestRunner};

use seeds::seeds;

/// Words of the file formats, which mutations insert.
const WORDS: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\\u0000",
    "\\ud800",
    "null",
    "-1",
    "1e999",
    "\u{feff}",
    "\r\n",
    "\n",
    "\r",
    "--",
    "*",
    "**",
    "/**/",
    "{a,b}",
    "..",
    "%2e",
    "%",
    "//",
    "@",
    "#",
    "?",
    "=",
    "&",
    "\0",
    "\u{7f}",
    "é",
    "xn--",
    "ffffffff",
    "0\r\n\r\n",
    "$..a",
    "[?@.a]",
    "'",
    "_file",
];

/// One change of an input: position, kind and value.
type Edit = (Index, u8, Index);

fn mutated(mut bytes: Vec<u8>, other: &[u8], edits: &[Edit]) -> Vec<u8> {
    for (place, how, what) in edits {
        let at = place.index(bytes.len() + 1);
        match how {
            0 => drop(bytes.splice(at..at, what.get(&WORDS).bytes())),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..(at + what.index(17)).min(bytes.len()))),
            3 if at < bytes.len() => bytes[at] = what.index(256) as u8,
            4 if at < bytes.len() => bytes[at] ^= 1 << what.index(8),
            5 => {
                let piece = bytes[at..(at + what.index(40)).min(bytes.len())].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            _ => drop(bytes.splice(at.., other[what.index(other.len() + 1)..].iter().copied())),
        }
    }
    bytes
}

fn earlier_findings(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/fuzz").join(target);
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

fn check_invariants(target: &str, check: fn(&[u8]), cases: u32) {
    let seeds: Vec<_> = seeds(target).into_iter().chain(earlier_findings(target)).collect();
    assert!(seeds.iter().collect::<HashSet<_>>().len() > 2, "{target} has no seeds");
    for seed in &seeds {
        check(seed);
    }
    let edit = (any::<Index>(), 0..7_u8, any::<Index>());
    let input = (any::<Index>(), any::<Index>(), prop::collection::vec(edit, 1..8));
    // Without a nightly toolchain, a large number here replaces `scripts/fuzz`.
    let times = std::env::var("HARPROXY_FUZZ_TIMES").map_or(1, |times| times.parse().unwrap());
    let config = ProptestConfig { cases: cases * times, failure_persistence: None, ..ProptestConfig::default() };
    let made = |(one, other, edits): &(Index, Index, Vec<Edit>)| {
        let other: &Vec<u8> = other.get(&seeds);
        mutated(one.get(&seeds).clone(), other, edits)
    };
    let run = TestRunner::new(config).run(&input, |given| {
        check(&made(&given));
        Ok(())
    });
    match run {
        Ok(()) => {}
        Err(TestError::Fail(reason, given)) => panic!("{reason}\nof b\"{}\"", made(&given).escape_ascii()),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

/// Declares the test of a target of `fuzz/`, with its number of mutations.
macro_rules! targets {
    ($($target:ident $cases:literal)*) => {
        const TARGETS: &[&str] = &[$(stringify!($target)),*];
        $(#[test]
        fn $target() {
            check_invariants(stringify!($target), invariants::$target::check, $cases);
        })*
    };
}

targets! {
    chunked 500
    coding 2000
    glob 4000
    har 600
    journal_damage 400
    journal_tail 300
    json_path 2000
    lookup 400
    multipart 4000
    pieces 1500
    policy 400
    url 8000
    zip 400
}

/// The invariants build with the dependencies of `fuzz/Cargo.toml`, too.
#[test]
fn fuzz_manifest_has_all_crates_that_the_invariants_use() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = fs::read_to_string(root.join("fuzz/Cargo.toml")).unwrap().parse().unwrap();
    let dependencies = manifest["dependencies"].as_table().unwrap();
    let mut used = 0;
    for file in fs::read_dir(root.join("tests/invariants")).unwrap() {
        let source = fs::read_to_string(file.unwrap().path()).unwrap();
        for line in source.lines().filter_map(|line| line.trim_start().strip_prefix("use ")) {
            let name = line.trim_start_matches("::").split([':', ' ', ';']).next().unwrap();
            if !["std", "super", "crate"].contains(&name) {
                let has = [name.to_owned(), name.replace('_', "-")].iter().any(|name| dependencies.contains_key(name));
                assert!(has, "{name}");
                used += 1;
            }
        }
    }
    assert!(used > 20, "{used}");
}

/// `fuzz/Cargo.toml` and `scripts/fuzz` have the same targets.
#[test]
fn fuzz_targets_are_those_of_the_tests() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let bins = manifest["bin"].as_array().unwrap().iter().map(|bin| bin["name"].as_str().unwrap());
    assert_eq!(bins.collect::<Vec<_>>(), TARGETS);
    let Some(corpus) = std::env::var_os("HARPROXY_FUZZ_CORPUS") else { return };
    for target in TARGETS {
        let folder = Path::new(&corpus).join(target);
        fs::create_dir_all(&folder).unwrap();
        for (n, seed) in seeds(target).into_iter().chain(earlier_findings(target)).enumerate() {
            fs::write(folder.join(format!("seed-{n}")), seed).unwrap();
        }
    }
}
