//! Secrets that are known by their shape, wherever they stand.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem;
use regex::bytes::Regex;

use super::inert::is_token;
use super::{Form, personal};
use harproxy_http::escape;

/// One shape.
struct Shape {
    /// What its placeholders are called, and what `except` calls it.
    name: &'static str,
    /// A text without any of these has none.
    begins: &'static [&'static str],
    /// What it looks like. The group is the secret, if there is one, else all of it is.
    looks: &'static str,
    /// What the look does not say.
    check: fn(&[u8]) -> bool,
}

const fn shape(name: &'static str, begins: &'static [&'static str], looks: &'static str) -> Shape {
    Shape { name, begins, looks, check: |_| true }
}

/// The table. Of two shapes with one place the first names it.
const TABLE: [Shape; 23] = [
    Shape { name: "jwt", begins: &["eyJ"], looks: r"eyJ[\w-]+(?:\.[\w-]*){2,4}(?:~[\w.-]*)*", check: is_jose },
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
        begins: &["sk-"],
        looks: r"sk-(?:(?:proj|svcacct|admin|None|or-v1)-[0-9A-Za-z_-]{16,}|[0-9A-Za-z]{20,})",
        check: |key| key.iter().any(u8::is_ascii_digit) || key.starts_with(b"sk-proj-"),
    },
    shape(
        "private-key",
        &["PRIVATE KEY"],
        r#"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:[0-9A-Za-z+/=\s:,.()\\]|-[^-])+(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----)?"#,
    ),
    Shape {
        name: "userinfo",
        begins: &["://"],
        looks: r#"[A-Za-z][A-Za-z0-9+.-]*://([^\s/?#"'<>\\`{}|^\[\]]+)@[^\s/?#@]"#,
        check: is_userinfo,
    },
];

static LOOKS: LazyLock<Vec<Regex>> = LazyLock::new(|| TABLE.iter().map(|shape| compiled(shape.looks)).collect());

/// The beginnings of all shapes but `userinfo`: many texts contain [`URL`], so that an `@` decides.
pub(super) fn beginnings() -> impl Iterator<Item = &'static str> {
    TABLE.iter().flat_map(|shape| shape.begins).copied().filter(|begins| *begins != URL)
}

/// The beginning of a URL's authority.
pub(super) const URL: &str = "://";

static BEGINNINGS: LazyLock<AhoCorasick> = LazyLock::new(|| automaton(&beginnings().collect::<Vec<_>>()));

/// Searches for all of these needles at once.
#[expect(clippy::expect_used, reason = "only more needles than fit into memory make it fail")]
pub(super) fn automaton<N: AsRef<[u8]>>(needles: &[N]) -> AhoCorasick {
    AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(needles).expect("few needles")
}

/// Returns false if no shape of the table is in the text.
pub(super) fn may_be_in(text: &[u8]) -> bool {
    let has_userinfo = || memchr::memchr(b'@', text).is_some() && memmem::find(text, URL.as_bytes()).is_some();
    BEGINNINGS.is_match(text) || has_userinfo()
}

/// A regular expression of this file or of `personal`, in which `\w` is ASCII.
pub(super) fn compiled(pattern: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "the patterns are in the program, and a test compiles them all")]
    regex::bytes::RegexBuilder::new(pattern).unicode(false).build().expect("a pattern of the table")
}

/// A secret in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) range: Range<usize>,
    /// What its placeholder is called.
    pub(super) name: Cow<'static, str>,
    pub(super) form: Form,
}

/// Which shapes are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shapes {
    on: [bool; TABLE.len()],
    personal: personal::Kinds,
}

impl Default for Shapes {
    fn default() -> Self {
        Shapes { on: [true; TABLE.len()], personal: personal::Kinds::default() }
    }
}

impl Shapes {
    /// What is personal too.
    pub(super) fn add_personal(&mut self) {
        self.personal = personal::Kinds::all();
    }

    /// Takes away those of this name or family (`aws` is all whose name begins with `aws-`); whether there was any.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let mut taken = self.personal.remove(name);
        for (shape, on) in TABLE.iter().zip(&mut self.on) {
            let is_meant = shape.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
            if is_meant && !name.is_empty() {
                taken |= std::mem::take(on);
            }
        }
        taken
    }

    /// Whether this one is looked for.
    pub(super) fn has(&self, name: &str) -> bool {
        TABLE.iter().zip(self.on).any(|(shape, on)| on && shape.name == name)
    }

    /// Whether texts that are too short for any shape may have something all the same.
    pub(super) fn has_personal(&self) -> bool {
        self.personal != personal::Kinds::default()
    }

    /// Adds what a text has to `hits`, in no order. In what is percent-encoded, what is personal keeps only what needs no
    /// encoding of its own.
    pub(super) fn find(&self, text: &[u8], encoded: bool, hits: &mut Vec<Hit>) {
        self.personal.find(text, encoded, hits);
        if !may_be_in(text) {
            return;
        }
        for ((shape, looks), _) in TABLE.iter().zip(LOOKS.iter()).zip(self.on).filter(|(_, on)| *on) {
            if !shape.begins.iter().any(|begins| memmem::find(text, begins.as_bytes()).is_some()) {
                continue;
            }
            let found = looks.captures_iter(text).filter_map(|found| found.get(1).or_else(|| found.get(0)));
            hits.extend(found.filter_map(|found| {
                let range = whole(text, found.range())?;
                (shape.check)(&text[range.clone()]).then_some(Hit { range, name: shape.name.into(), form: Form::Text })
            }));
        }
    }
}

/// Every name of a shape, once, in the table's order.
pub(super) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = TABLE.iter().map(|shape| shape.name).chain(personal::NAMES).collect();
    names.dedup();
    names
}

/// What was found, if it is a token of its own; a full stop behind it belongs to the sentence.
fn whole(text: &[u8], mut found: Range<usize>) -> Option<Range<usize>> {
    while text[found.clone()].ends_with(b".") {
        found.end -= 1;
    }
    let goes_on = text.get(found.end).is_some_and(|&byte| is_token(byte));
    (begins_token(text, found.start) && !goes_on && !found.is_empty()).then_some(found)
}

/// Whether a token can begin here: not within a word; an escape is none.
pub(super) fn begins_token(text: &[u8], at: usize) -> bool {
    let within = at > 0 && text[at - 1].is_ascii_alphanumeric();
    !within || escape::ends(&text[..at])
}

/// Whether what stands before the `@` of a URL says more than that it is git's (which names no one).
pub(super) fn is_userinfo(userinfo: &[u8]) -> bool {
    userinfo != b"git"
}

/// Whether a token's first part is a header of JOSE (RFC 7515, RFC 7516).
fn is_jose(token: &[u8]) -> bool {
    use base64::Engine;
    let header = token.split(|&byte| byte == b'.').next().unwrap_or_default();
    let header = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(header);
    let header = header.ok().and_then(|json| serde_json::from_slice::<serde_json::Map<_, _>>(&json).ok());
    header.is_some_and(|header| header.contains_key("alg"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&'static str, &str)> {
        let mut hits = Vec::new();
        Shapes::default().find(text.as_bytes(), false, &mut hits);
        let name = |hit: &Hit| names().into_iter().find(|name| **name == *hit.name).unwrap();
        hits.into_iter().map(|hit| (name(&hit), &text[hit.range])).collect()
    }

    #[test]
    fn every_beginning_is_found_in_short_texts_and_in_long_ones() {
        for begins in TABLE.iter().flat_map(|shape| shape.begins) {
            assert!(begins.len() >= 3, "{begins}");
            assert!(may_be_in(format!("x {begins}@").as_bytes()), "{begins}");
            assert!(may_be_in(format!("{}{begins}@", " ".repeat(256)).as_bytes()), "{begins}");
        }
        assert!(!may_be_in(b"Ada Lovelace") && !may_be_in(b""));
    }

    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmVk";
    const PEM: &str = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/AB\nCD==\n-----END RSA PRIVATE KEY-----";

    /// Put together here, so that no scanner takes this file for a leak.
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
    fn each_shape_is_found_as_a_whole() {
        for (name, token) in samples() {
            for (before, after) in [("", ""), ("Bearer ", ""), ("a=\"", "\"."), ("(", "), b"), ("x: ", ". Next")] {
                let text = format!("{before}{token}{after}");
                assert_eq!(found(&text), [(name, &*token)], "{text}");
            }
        }
    }

    #[test]
    fn within_other_words_there_is_none() {
        for (name, token) in samples() {
            if name == "private-key" {
                continue;
            }
            assert_eq!(found(&format!("x{token}")), [], "{token}");
        }
    }

    #[test]
    fn secrets_that_only_their_surroundings_tell() {
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
    fn what_only_looks_like_one() {
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
    fn names_stand_in_placeholders_as_they_are() {
        for name in names() {
            assert_eq!(crate::Name::new(name).as_str(), name);
        }
    }

    #[test]
    fn shapes_can_be_taken_away() {
        let mut shapes = Shapes::default();
        assert!(shapes.remove("aws") && shapes.remove("jwt") && !shapes.remove("jwt"));
        assert!(!shapes.remove("aw") && !shapes.remove("") && !shapes.remove("email"));
        let mut hits = Vec::new();
        shapes.find(format!("{JWT} AKIAIOSFODNN7EXAMPLE").as_bytes(), false, &mut hits);
        assert_eq!(hits, []);
        shapes.add_personal();
        assert!(shapes.remove("email"));
    }

    /// A text that nearly is one at each of its bytes costs no more than its length.
    #[test]
    fn long_near_misses_end() {
        for unit in ["eyJ", "eyJ.", "-----BEGIN PRIVATE KEY-----", "https://", "a://b", "sk-", "ya29.", "xoxb-."] {
            let _ = found(&unit.repeat(20_000));
        }
    }
}
