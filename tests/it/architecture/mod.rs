//! Rules of the code's structure that cargo does not check: the order of the crates, import cycles between files of a
//! crate, type names that occur twice in a crate, and the size of files.

mod imports;
mod sources;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sources::{crate_roots, sources};

/// The crates that each crate may depend on.
const MAY_USE: &[(&str, &[&str])] = &[
    ("support", &[]),
    ("http", &["json", "support"]),
    ("json", &[]),
    ("glob", &[]),
    ("har", &["http", "json", "support"]),
    ("redact", &["http", "json", "support"]),
    ("compare", &["http", "json", "redact"]),
    ("matching", &["http", "json", "glob", "har", "redact", "compare", "support"]),
    ("tls", &["http", "support"]),
    ("proxy", &["http", "glob", "tls", "support"]),
];

/// Crates without sockets, async runtime or command line.
const CORE: &[&str] = &["http", "json", "glob", "har", "redact", "compare", "matching"];
const FORBIDDEN_IN_CORE: &[&str] = &["tokio", "hyper", "rustls", "tracing_subscriber", "clap"];

#[test]
fn crates_depend_only_on_listed_crates() {
    let mut wrong = Vec::new();
    for (name, may_use) in MAY_USE {
        let manifest = root().join("crates").join(name).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).unwrap();
        let own = manifest.lines().filter_map(|line| line.strip_prefix("harproxy-")?.split('.').next());
        wrong.extend(own.filter(|used| !may_use.contains(used)).map(|used| format!("{name} depends on {used}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn core_crates_use_no_sockets_and_no_command_line() {
    let mut wrong = Vec::new();
    for name in CORE {
        for source in sources(&Path::new("crates").join(name).join("src")) {
            for (line, text) in source.code_lines() {
                for forbidden in FORBIDDEN_IN_CORE {
                    if text.contains(&format!("{forbidden}::")) {
                        wrong.push(format!("{}:{line}: {forbidden}", source.path.display()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_of_a_crate_have_no_import_cycle() {
    let cycles: Vec<_> = crate_roots().iter().flat_map(|root| imports::cycles(root)).collect();
    assert!(cycles.is_empty(), "{cycles:#?}");
}

#[test]
fn type_names_are_unique_inside_a_crate() {
    let mut duplicates = Vec::new();
    for root in crate_roots() {
        let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for source in sources(&root).iter().filter(|source| !source.is_test()) {
            for name in source.type_names() {
                files.entry(name).or_default().push(source.path.display().to_string());
            }
        }
        // Conventional names of types that are private to their module.
        for name in ["Error", "Args", "Inner"] {
            files.remove(name);
        }
        duplicates.extend(files.into_iter().filter(|(_, files)| files.len() > 1));
    }
    assert!(duplicates.is_empty(), "{duplicates:#?}");
}

#[test]
fn files_have_at_most_400_lines_of_code() {
    let code = crate_roots().into_iter().flat_map(|root| sources(&root)).filter(|source| !source.is_test());
    let lines = code.map(|source| (source.path.clone(), source.without_tests().lines().count()));
    let long: Vec<_> = lines.filter(|(_, lines)| *lines > 400).collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn main_stays_thin_and_only_cli_uses_clap() {
    assert!(fs::read_to_string(root().join("src/main.rs")).unwrap().lines().count() <= 40);
    let outside = crate_roots().into_iter().flat_map(|root| sources(&root));
    for source in outside.filter(|source| !source.path.starts_with("src/cli")) {
        for (line, text) in source.code_lines() {
            assert!(!text.contains("clap::"), "{}:{line}", source.path.display());
        }
    }
}

/// A replay without `--passthrough` must not reach the network: one file connects to loopback addresses alone, and one
/// to the network if an option asks for it.
#[test]
fn only_two_files_of_replay_open_connections() {
    const DIALS: &[&str] = &[
        "Upstream::",
        "TcpStream",
        "TcpSocket",
        "UnixStream",
        "UdpSocket",
        "ToSocketAddrs",
        "lookup_host",
        "http1::handshake",
    ];
    let mut wrong = Vec::new();
    for source in ["src/replay", "src/source", "src/pipeline"].into_iter().flat_map(|folder| sources(Path::new(folder)))
    {
        let local = source.path.ends_with("source/upstream.rs");
        let live = source.path.ends_with("replay/mod.rs");
        for (line, text) in source.code_lines() {
            for dial in DIALS {
                let is_allowed =
                    (local && text.contains("Upstream::loopback(")) || (live && text.contains("Upstream::anywhere("));
                if text.contains(dial) && !is_allowed {
                    wrong.push(format!("{}:{line}: {dial}", source.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
