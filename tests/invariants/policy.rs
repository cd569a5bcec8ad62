//! `harproxy.toml`.

use std::fs;
use std::sync::OnceLock;

use clap::Command;
use harproxy::cli::args::Cli;
use harproxy::cli::config::Config;

use super::support::{check_message, redacted};

/// The bytes are a configuration.
pub fn check(data: &[u8]) {
    static GRAMMAR: OnceLock<Command> = OnceLock::new();
    let grammar = GRAMMAR.get_or_init(Cli::grammar);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("harproxy.toml");
    fs::write(&path, data).unwrap();
    let config = match Config::load(Some(&path), || grammar.clone()) {
        Ok(config) => config,
        Err(error) => {
            check_message(&error);
            assert!(error.to_string().contains("harproxy.toml"), "where? {error}");
            return;
        }
    };
    for command in ["record", "replay"] {
        let grammar = config.defaults(command, grammar.clone());
        let typed = grammar.try_get_matches_from(["harproxy", command, "--", "true"]);
        let _ = typed.inspect_err(|error| assert!(!error.to_string().is_empty()));
    }
    let policy = config.policy.clone();
    for (content_type, payload) in [
        ("application/json", &br#"{"a":[{"token":"abcdefgh"},"4111 1111 1111 1111"],"b":1.0}"#[..]),
        ("application/x-www-form-urlencoded", b"a=b&token=abcdefgh&c=%7B%22d%22%3A1%7D"),
        ("text/plain", b"anna@example.com sk_live_abcdefghijklmnop https://u:p@h/?key=v"),
    ] {
        let left = redacted(&policy, content_type, payload);
        assert_eq!(redacted(&policy, content_type, &left), left, "the result changes when it is repeated");
    }
    for prefix in &config.allow {
        assert!(prefix.len() >= 12 && prefix.bytes().all(|byte| byte.is_ascii_hexdigit()), "{prefix}");
    }
}
