//! Arrows between rooms go one way.

use std::fs;
use std::path::{Path, PathBuf};

/// The crates that each crate may depend on.
const MAY_USE: &[(&str, &[&str])] = &[
    ("support", &[]),
    ("http", &[]),
    ("glob", &["http"]),
    ("har", &["http", "glob", "support"]),
    ("redact", &["http", "glob", "har", "support"]),
    ("matching", &["http", "glob", "har", "redact", "support"]),
    ("tls", &["http", "support"]),
    ("proxy", &["http", "glob", "tls", "support"]),
];

/// Crates without sockets, async runtime or command line.
const CORE: &[&str] = &["http", "glob", "har", "redact", "matching"];
const FORBIDDEN_IN_CORE: &[&str] = &["tokio", "hyper", "rustls", "tracing_subscriber", "clap"];

/// The folder of a crate's or a module's sources.
fn folder(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = root.join("crates").join(name).join("src");
    if library.exists() { library } else { root.join("src").join(name) }
}

fn sources(name: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder(name)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "no sources of `{name}`: update this test");
    files
}

/// The code lines of a file, without comments.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().enumerate().map(|(n, line)| (n + 1, line.split("//").next().unwrap_or_default().to_owned())).collect()
}

#[test]
fn crates_depend_only_on_listed_crates() {
    let mut wrong = Vec::new();
    for (name, may_use) in MAY_USE {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates").join(name).join("Cargo.toml");
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
        for file in sources(name) {
            for (line, text) in code(&file) {
                for forbidden in FORBIDDEN_IN_CORE {
                    if text.contains(&format!("{forbidden}::")) {
                        wrong.push(format!("{}:{line}: {forbidden}", file.display()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn main_stays_thin_and_only_cli_sees_clap() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert!(fs::read_to_string(src.join("main.rs")).unwrap().lines().count() <= 40);
    for (room, _) in MAY_USE {
        for file in sources(room) {
            for (line, text) in code(&file) {
                assert!(!text.contains("clap::"), "{}:{line}", file.display());
            }
        }
    }
}

#[test]
fn only_two_files_of_replay_can_dial_and_the_one_that_is_always_there_no_farther_than_this_machine() {
    const WAYS_OUT: &[&str] = &[
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
    for file in sources("replay") {
        let (local, live) = (file.ends_with("local.rs"), file.ends_with("passthrough.rs"));
        for (line, text) in code(&file) {
            for way in WAYS_OUT {
                let meant =
                    (local && text.contains("Upstream::loopback(")) || (live && text.contains("Upstream::anywhere("));
                if text.contains(way) && !meant {
                    wrong.push(format!("{}:{line}: {way}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
