//! Secrets with a recognisable shape, such as tokens with a fixed prefix. They are found in any text.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use memchr::memmem;
use regex::bytes::Regex;

use super::personal;
use super::{SecretMatch, can_begin_token, compile_regex, is_token_byte};
use crate::replace::jwt;

struct Shape {
    /// The name for placeholders and for exceptions.
    name: &'static str,
    /// Every match contains one of these texts.
    prefixes: &'static [&'static str],
    /// The secret is the first group; the whole match if there is no group.
    pattern: &'static str,
    check: fn(&[u8]) -> bool,
}

const fn shape(name: &'static str, prefixes: &'static [&'static str], pattern: &'static str) -> Shape {
    Shape { name, prefixes, pattern, check: |_| true }
}

/// All shapes. If several match in the same place, the first one names the secret.
const TABLE: [Shape; 23] = [
    Shape { name: "jwt", prefixes: &["eyJ"], pattern: r"eyJ[\w-]+(?:\.[\w-]*){2,4}(?:~[\w.-]*)*", check: is_jose },
    shape("aws-access-key-id", &["AKIA", "ASIA", "ABIA", "ACCA"], r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}"),
    shape(
        "aws-secret-access-key",
        &["SECRET_ACCESS_KEY", "secret_access_key", "SecretAccessKey", "secretAccessKey"],
        r#"(?i:secret_?access_?key)(?:["'\\\s:=>]|%3D|&quot;){1,8}([0-9A-Za-z/+]{40})"#,
    ),
    shape(
        "aws-session-token",
        &["SESSION_TOKEN", "session_token", "SessionToken", "sessionToken"],
        r#"(?i:session_?token)(?:["'\\\s:=>]|%3D|&quot;){1,8}([0-9A-Za-z/+=]{100,})"#,
    ),
    shape("google-api-key", &["AIza"], r"AIza[0-9A-Za-z_-]{35}"),
    shape("google-access-token", &["ya29."], r"ya29\.[0-9A-Za-z_.-]*[0-9A-Za-z_-]{20,}"),
    shape("google-refresh-token", &["1//0"], r"1//0[0-9A-Za-z_-]{20,}"),
    shape("google-client-secret", &["GOCSPX-"], r"GOCSPX-[0-9A-Za-z_-]{20,}"),
    shape("azure-account-key", &["AccountKey=", "AccessKey="], r"Acc(?:ount|ess)Key=([0-9A-Za-z+/]{30,}={0,2})"),
    shape("azure-client-secret", &["8Q~"], r"[0-9A-Za-z_~.-]{3}[0-9]Q~[0-9A-Za-z_~.-]{31,34}"),
    shape("github-token", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], r"gh[pousr]_[0-9A-Za-z]{20,}"),
    shape("github-token", &["github_pat_"], r"github_pat_[0-9A-Za-z_]{20,}"),
    shape(
        "gitlab-token",
        &["glpat-", "gldt-", "glrt", "glft-", "gloas-", "glptt-", "glsoat-", "glimt-", "glcbt-", "glagent-"],
        r"gl(?:pat|dt|rt|rtr|ft|oas|ptt|soat|imt|cbt|agent)-[0-9A-Za-z_-]{16,}(?:\.[0-9a-z]+)*",
    ),
    shape("slack-token", &["xox", "xapp-"], r"(?:xox[abeoprs]|xapp)-[0-9A-Za-z.-]*[0-9A-Za-z-]{10,}"),
    shape(
        "slack-webhook",
        &["hooks.slack.com"],
        r"hooks\.slack\.com/(?:services|workflows|triggers)/([0-9A-Za-z_/+-]+)",
    ),
    shape("stripe-key", &["k_live_", "k_test_"], r"[sr]k_(?:live|test)_[0-9A-Za-z]{10,}"),
    shape("stripe-webhook-secret", &["whsec_"], r"whsec_[0-9A-Za-z+/]{20,}={0,2}"),
    shape("npm-token", &["npm_"], r"npm_[0-9A-Za-z]{30,}"),
    shape("pypi-token", &["pypi-AgE"], r"pypi-AgE[0-9A-Za-z_-]{20,}"),
    shape("anthropic-key", &["sk-ant-"], r"sk-ant-[0-9A-Za-z_-]{20,}"),
    Shape {
        name: "openai-key",
        prefixes: &["sk-"],
        pattern: r"sk-(?:(?:proj|svcacct|admin|None|or-v1)-[0-9A-Za-z_-]{16,}|[0-9A-Za-z]{20,})",
        check: |key| key.iter().any(u8::is_ascii_digit) || key.starts_with(b"sk-proj-"),
    },
    shape(
        "private-key",
        &["PRIVATE KEY"],
        r#"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:[0-9A-Za-z+/=\s:,.()\\]|-[^-])+(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----)?"#,
    ),
    Shape {
        name: "userinfo",
        prefixes: &["://"],
        pattern: r#"[A-Za-z][A-Za-z0-9+.-]*://([^\s/?#"'<>\\`{}|^\[\]]+)@[^\s/?#@]"#,
        check: is_userinfo,
    },
];

static PATTERNS: LazyLock<Vec<Regex>> =
    LazyLock::new(|| TABLE.iter().map(|shape| compile_regex(shape.pattern)).collect());

/// The prefix of user information, which most texts with a URL contain. An `@` in the text must confirm it.
pub(crate) const URL_PREFIX: &str = "://";

/// Returns the prefixes of all shapes but `userinfo`.
pub(crate) fn prefixes() -> impl Iterator<Item = &'static str> {
    TABLE.iter().flat_map(|shape| shape.prefixes).copied().filter(|prefix| *prefix != URL_PREFIX)
}

static PREFIXES: LazyLock<AhoCorasick> = LazyLock::new(|| automaton(&prefixes().collect::<Vec<_>>()));

/// The number of needles up to which an automaton searches with SIMD instructions.
pub(crate) const MAX_NEEDLES: usize = 64;

/// Builds an automaton that searches for all needles at once.
#[expect(clippy::expect_used, reason = "only more needles than fit into memory make it fail")]
pub(crate) fn automaton<N: AsRef<[u8]>>(needles: &[N]) -> AhoCorasick {
    let mut builder = AhoCorasick::builder();
    builder.match_kind(MatchKind::LeftmostFirst).kind(Some(AhoCorasickKind::ContiguousNFA));
    builder.build(needles).expect("few needles")
}

/// Returns false if the text certainly contains no shape of the table.
fn may_contain_shape(text: &[u8]) -> bool {
    let has_userinfo = || memchr::memchr(b'@', text).is_some() && memmem::find(text, URL_PREFIX.as_bytes()).is_some();
    PREFIXES.is_match(text) || has_userinfo()
}

/// The names of the shapes that a policy searches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EnabledShapes(BTreeSet<&'static str>);

impl Default for EnabledShapes {
    fn default() -> Self {
        EnabledShapes(TABLE.iter().map(|shape| shape.name).collect())
    }
}

impl EnabledShapes {
    pub(crate) fn enable_personal(&mut self) {
        self.0.extend(personal::NAMES);
    }

    /// Disables a shape, or a family of shapes: `aws` means all names that begin with `aws-`. Returns true if any was
    /// enabled.
    pub(crate) fn disable(&mut self, name: &str) -> bool {
        let enabled = self.0.len();
        let is_meant = |rest: &str| !name.is_empty() && (rest.is_empty() || rest.starts_with('-'));
        self.0.retain(|shape| !shape.strip_prefix(name).is_some_and(is_meant));
        self.0.len() < enabled
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Returns true if personal data is searched for, which may be shorter than any other shape.
    pub(crate) fn has_personal(&self) -> bool {
        personal::NAMES.iter().any(|name| self.has(name))
    }

    /// Adds all shapes in a text to `matches`, in no order. `encoded`: the text was percent-encoded, so that numbers
    /// are replaced by digits without separators, which need no encoding.
    pub(crate) fn find(&self, text: &[u8], encoded: bool, matches: &mut Vec<SecretMatch>) {
        for name in personal::NAMES.into_iter().filter(|name| self.has(name)) {
            personal::find(name, text, encoded, matches);
        }
        if !may_contain_shape(text) {
            return;
        }
        for (shape, pattern) in TABLE.iter().zip(PATTERNS.iter()).filter(|(shape, _)| self.has(shape.name)) {
            if !shape.prefixes.iter().any(|prefix| memmem::find(text, prefix.as_bytes()).is_some()) {
                continue;
            }
            let found = pattern.captures_iter(text).filter_map(|found| found.get(1).or_else(|| found.get(0)));
            matches.extend(found.filter_map(|found| {
                let range = whole_token(text, found.range())?;
                (shape.check)(&text[range.clone()]).then(|| SecretMatch::text(range, shape.name))
            }));
        }
    }
}

/// Returns the names of all shapes in the order of the table, without duplicates.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = TABLE.iter().map(|shape| shape.name).chain(personal::NAMES).collect();
    names.dedup();
    names
}

/// Returns a match without full stops at its end, if it is a whole token.
fn whole_token(text: &[u8], mut found: Range<usize>) -> Option<Range<usize>> {
    while text[found.clone()].ends_with(b".") {
        found.end -= 1;
    }
    let goes_on = text.get(found.end).is_some_and(|&byte| is_token_byte(byte));
    (can_begin_token(text, found.start) && !goes_on && !found.is_empty()).then_some(found)
}

/// Returns true if the text before the `@` of a URL is a credential. `git@` in URLs of repositories is none.
pub(crate) fn is_userinfo(userinfo: &[u8]) -> bool {
    userinfo != b"git"
}

/// Returns true if the first part of a token is a JOSE header (RFC 7515, RFC 7516).
fn is_jose(token: &[u8]) -> bool {
    let header = token.split(|&byte| byte == b'.').next().and_then(|header| std::str::from_utf8(header).ok());
    header.and_then(jwt::parse_part).is_some_and(|header| header.contains_key("alg"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&'static str, &str)> {
        let mut matches = Vec::new();
        EnabledShapes::default().find(text.as_bytes(), false, &mut matches);
        let name = |found: &SecretMatch| names().into_iter().find(|name| **name == *found.name).unwrap();
        matches.into_iter().map(|found| (name(&found), &text[found.range])).collect()
    }

    #[test]
    fn prefixes_are_found_in_short_and_in_long_texts() {
        for prefix in TABLE.iter().flat_map(|shape| shape.prefixes) {
            assert!(prefix.len() >= 3, "{prefix}");
            assert!(may_contain_shape(format!("x {prefix}@").as_bytes()), "{prefix}");
            assert!(may_contain_shape(format!("{}{prefix}@", " ".repeat(256)).as_bytes()), "{prefix}");
        }
        assert!(!may_contain_shape(b"Ada Lovelace") && !may_contain_shape(b""));
    }

    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmVk";
    const PEM: &str = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/AB\nCD==\n-----END RSA PRIVATE KEY-----";

    /// Built from parts, so that no secret scanner reports this file.
    fn samples() -> Vec<(&'static str, String)> {
        let random = "0aZ9bY8cX7dW6eV5fU4gT3hS2iR1jQ0kP9lO";
        vec![
            ("jwt", JWT.to_owned()),
            ("aws-access-key-id", format!("AKIA{}", "IOSFODNN7EXAMPLE")),
            ("aws-access-key-id", format!("ASIA{}", "IOSFODNN7EXAMPLE")),
            ("google-api-key", format!("AIza{}", &random[..35])),
            ("google-access-token", format!("ya29.a0Af_{random}-x")),
            ("google-refresh-token", format!("1//0{random}")),
            ("google-client-secret", format!("GOCSPX-{random}")),
            ("azure-client-secret", format!("abc8Q~{}", &random[..34])),
            ("github-token", format!("ghp_{random}")),
            ("github-token", format!("ghs_{random}")),
            ("github-token", format!("github_pat_{random}_{random}")),
            ("gitlab-token", format!("glpat-{}", &random[..20])),
            ("slack-token", format!("xoxb-123456789012-{random}")),
            ("stripe-key", format!("sk_live_{random}")),
            ("stripe-key", format!("rk_test_{random}")),
            ("stripe-webhook-secret", format!("whsec_{random}")),
            ("npm-token", format!("npm_{random}")),
            ("pypi-token", format!("pypi-AgEIcHlwaS5vcmc{random}")),
            ("openai-key", format!("sk-{random}")),
            ("openai-key", format!("sk-proj-{random}_{random}-x")),
            ("anthropic-key", format!("sk-ant-api03-{random}-{random}")),
            ("private-key", PEM.to_owned()),
            ("private-key", PEM.replace('\n', "\\n").replace("RSA ", "")),
        ]
    }

    #[test]
    fn shapes_are_found_as_whole_tokens() {
        for (name, token) in samples() {
            for (before, after) in [("", ""), ("Bearer ", ""), ("a=\"", "\"."), ("(", "), b"), ("x: ", ". Next")] {
                let text = format!("{before}{token}{after}");
                assert_eq!(found(&text), [(name, &*token)], "{text}");
            }
        }
    }

    #[test]
    fn shapes_are_not_found_within_words() {
        for (name, token) in samples() {
            if name == "private-key" {
                continue;
            }
            assert_eq!(found(&format!("x{token}")), [], "{token}");
        }
    }

    #[test]
    fn secrets_without_a_prefix_are_found_by_the_name_before_them() {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let session = "A".repeat(120);
        for (text, name, found_there) in [
            (format!("AWS_SECRET_ACCESS_KEY={secret}\n"), "aws-secret-access-key", secret),
            (format!("<SecretAccessKey>{secret}</SecretAccessKey>"), "aws-secret-access-key", secret),
            (format!("<SessionToken>{session}</SessionToken>"), "aws-session-token", &*session),
            (format!("AccountName=a;AccountKey={secret};Suffix=x"), "azure-account-key", secret),
            ("see https://hooks.slack.com/services/T0/B0/xyz!".to_owned(), "slack-webhook", "T0/B0/xyz"),
            ("postgres://me:pa@ss@db/x".to_owned(), "userinfo", "me:pa@ss"),
        ] {
            assert_eq!(found(&text), [(name, found_there)], "{text}");
        }
        assert_eq!(found(secret), []);
    }

    #[test]
    fn similar_texts_are_not_shapes() {
        for text in [
            "eyJhbGciOiJIUzI1NiJ9",
            "eyJ.eyJ.x",
            "task-management-and-much-more-of-the-same",
            "sk-loading-spinner-container-for-everyone",
            "npm_config_registry",
            "npm_lifecycle_event_and_so_on_for_a_while",
            "ghp_short",
            "https://example.com/a@b",
            "https://example.com/?q=a:b@c",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "AKIAIOSFODNN7EXAMPL",
            "AKIAIOSFODNN7EXAMPLEX",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn names_need_no_change_for_placeholders() {
        for name in names() {
            assert_eq!(crate::PlaceholderName::new(name).as_str(), name);
        }
    }

    #[test]
    fn shapes_can_be_disabled_by_name_and_family() {
        let mut shapes = EnabledShapes::default();
        assert!(shapes.disable("aws") && shapes.disable("jwt") && !shapes.disable("jwt"));
        assert!(!shapes.disable("aw") && !shapes.disable("") && !shapes.disable("email"));
        let mut matches = Vec::new();
        shapes.find(format!("{JWT} AKIAIOSFODNN7EXAMPLE").as_bytes(), false, &mut matches);
        assert_eq!(matches, []);
        shapes.enable_personal();
        assert!(shapes.disable("email"));
    }

    /// The search takes linear time even if every byte begins an incomplete shape.
    #[test]
    fn search_is_linear_in_near_misses() {
        for unit in ["eyJ", "eyJ.", "-----BEGIN PRIVATE KEY-----", "https://", "a://b", "sk-", "ya29.", "xoxb-."] {
            let _ = found(&unit.repeat(20_000));
        }
    }
}
