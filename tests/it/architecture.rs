//! Arrows between rooms go one way.

use std::fs;
use std::path::{Path, PathBuf};

/// What each room may use, beside itself.
const MAY_USE: &[(&str, &[&str])] = &[
    ("whole", &[]),
    ("quote", &[]),
    ("scratch", &[]),
    ("runtime", &[]),
    ("http", &[]),
    ("urlglob", &["http"]),
    ("har", &["http", "urlglob", "scratch"]),
    ("redact", &["http", "urlglob", "har", "quote"]),
    ("matching", &["http", "urlglob", "har", "redact", "quote"]),
    ("upkeep", &["http", "urlglob", "har", "redact", "matching"]),
    ("learn", &["http", "urlglob", "har", "redact", "matching"]),
    ("verdict", &["http", "urlglob", "har", "redact", "matching", "quote"]),
    ("tls", &["http", "whole"]),
    ("trust", &["tls"]),
    ("proxy", &["http", "urlglob", "tls", "runtime"]),
    ("record", &["http", "urlglob", "har", "redact", "matching", "verdict", "tls", "proxy", "quote"]),
    ("replay", &["http", "urlglob", "har", "redact", "matching", "verdict", "tls", "proxy", "quote"]),
    ("watch", &["http", "verdict", "proxy"]),
    ("doctor", &["http", "redact", "verdict", "tls", "proxy"]),
    ("child", &["http", "verdict", "tls", "whole", "scratch", "quote"]),
];

/// Rooms of the core: no I/O crates.
const CORE: &[&str] = &["http", "urlglob", "har", "redact", "matching", "upkeep", "learn", "verdict"];
const FORBIDDEN_IN_CORE: &[&str] = &["tokio", "hyper", "rustls", "tracing_subscriber", "clap"];

fn sources(room: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![src.join(room)];
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
    let single = src.join(format!("{room}.rs"));
    if single.exists() {
        files.push(single);
    }
    assert!(!files.is_empty(), "room {room} is gone: mend this test");
    files
}

/// The code lines of a file, comments left out.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().enumerate().map(|(n, line)| (n + 1, line.split("//").next().unwrap_or_default().to_owned())).collect()
}

/// The rooms that are named behind `crate::`: one, or several in braces.
fn names(path: &str) -> Vec<String> {
    let name = |path: &str| path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(several) = path.strip_prefix('{') else { return vec![name(path)] };
    let mut depth = 0;
    let outermost = several.split_inclusive([',', '{', '}']).filter(|part| {
        let here = depth;
        depth += i32::from(part.ends_with('{')) - i32::from(part.ends_with('}'));
        here == 0
    });
    outermost.map(|part| name(part.trim_start())).filter(|name| !name.is_empty()).collect()
}

#[test]
fn names_in_braces_are_found() {
    assert_eq!(names("har::Fixture;"), ["har"]);
    assert_eq!(names("{har, record::{self, Error}, tls};"), ["har", "record", "tls"]);
}

#[test]
fn rooms_use_only_what_stands_before_them() {
    let mut wrong = Vec::new();
    for (room, may_use) in MAY_USE {
        for file in sources(room) {
            for (line, text) in code(&file) {
                for used in text.split("crate::").skip(1).flat_map(names) {
                    if used != *room && !may_use.contains(&used.as_str()) {
                        wrong.push(format!("{}:{line}: {room} uses {used}", file.display()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_core_knows_no_sockets_and_no_command_line() {
    let mut wrong = Vec::new();
    for room in CORE {
        for file in sources(room) {
            for (line, text) in code(&file) {
                for name in FORBIDDEN_IN_CORE {
                    if text.contains(&format!("{name}::")) {
                        wrong.push(format!("{}:{line}: {name}", file.display()));
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
