//! Secrets with a recognisable shape, such as tokens with a fixed prefix. They are found in any text.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Input};
use memchr::memmem;
use regex::bytes::Regex;

use super::automaton::{MAX_NEEDLES, automaton};
use super::personal;
pub(crate) use super::shape_table::is_userinfo;
use super::shape_table::{Shape, TABLE};
use super::{SecretMatch, can_begin_token, compile_regex, is_token_byte};

static PATTERNS: LazyLock<Vec<Regex>> =
    LazyLock::new(|| TABLE.iter().map(|shape| compile_regex(shape.pattern)).collect());

/// The prefix of user information, which most texts with a URL contain. An `@` in the text must confirm it.
pub(crate) const URL_PREFIX: &str = "://";

/// The prefix of tokens of Airtable, which is a part of many words. A full stop in the right place must confirm it.
const AIRTABLE_PREFIX: &str = "pat";

/// Finds the prefixes of what may be tokens of Airtable.
pub(crate) fn find_airtable(text: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let prefixes = memmem::find_iter(text, AIRTABLE_PREFIX).map(|start| start..start + AIRTABLE_PREFIX.len());
    prefixes.filter(|prefix| text.get(prefix.end + 14) == Some(&b'.'))
}

/// Returns the prefixes of all shapes but those that need a confirmation.
pub(crate) fn prefixes() -> impl Iterator<Item = &'static str> {
    let all = TABLE.iter().flat_map(|shape| shape.prefixes).copied();
    all.filter(|prefix| ![URL_PREFIX, AIRTABLE_PREFIX].contains(prefix))
}

/// Some prefixes, longest first, for one search.
struct PrefixGroup {
    automaton: AhoCorasick,
    /// For each prefix, the shapes that it and its own beginnings belong to.
    shapes: Vec<Vec<usize>>,
}

static PREFIXES: LazyLock<Vec<PrefixGroup>> = LazyLock::new(|| {
    let mut all: Vec<&str> = prefixes().collect();
    all.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
    let shapes_of = |found: &&str| {
        let belongs = |shape: &Shape| shape.prefixes.iter().any(|prefix| found.starts_with(prefix));
        (0..TABLE.len()).filter(|n| belongs(&TABLE[*n])).collect()
    };
    let group =
        |chunk: &[&str]| PrefixGroup { automaton: automaton(chunk), shapes: chunk.iter().map(shapes_of).collect() };
    all.chunks(MAX_NEEDLES).map(group).collect()
});

/// Returns for each shape of the table whether a prefix of it is in the text. `None` if none is.
fn shapes_with_prefix(text: &[u8]) -> Option<[bool; TABLE.len()]> {
    let (mut found, mut any) = ([false; TABLE.len()], false);
    for PrefixGroup { automaton, shapes } in PREFIXES.iter() {
        let mut at = 0;
        while let Some(prefix) = automaton.find(Input::new(text).range(at..)) {
            shapes[prefix.pattern().as_usize()].iter().for_each(|shape| found[*shape] = true);
            any = true;
            at = prefix.start() + 1;
        }
    }
    let has_userinfo = memchr::memchr(b'@', text).is_some() && memmem::find(text, URL_PREFIX.as_bytes()).is_some();
    let has_airtable = find_airtable(text).next().is_some();
    for (prefix, is_found) in [(URL_PREFIX, has_userinfo), (AIRTABLE_PREFIX, has_airtable)] {
        if is_found {
            any = true;
            let shapes = TABLE.iter().zip(&mut found);
            shapes.filter(|(shape, _)| shape.prefixes.contains(&prefix)).for_each(|(_, found)| *found = true);
        }
    }
    any.then_some(found)
}

/// The names of the shapes that a policy searches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EnabledShapes {
    names: BTreeSet<&'static str>,
    has_personal: bool,
}

impl Default for EnabledShapes {
    fn default() -> Self {
        EnabledShapes { names: TABLE.iter().map(|shape| shape.name).collect(), has_personal: false }
    }
}

impl EnabledShapes {
    pub(crate) fn enable_personal(&mut self) {
        self.names.extend(personal::NAMES);
        self.has_personal = true;
    }

    /// Disables a shape, or a family of shapes: `aws` means all names that begin with `aws-`. Returns true if any was
    /// enabled.
    pub(crate) fn disable(&mut self, name: &str) -> bool {
        let enabled = self.names.len();
        let is_meant = |rest: &str| !name.is_empty() && (rest.is_empty() || rest.starts_with('-'));
        self.names.retain(|shape| !shape.strip_prefix(name).is_some_and(is_meant));
        self.has_personal = personal::NAMES.iter().any(|name| self.names.contains(name));
        self.names.len() < enabled
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Returns true if personal data is searched for, which may be shorter than any other shape.
    pub(crate) fn has_personal(&self) -> bool {
        self.has_personal
    }

    /// Adds all shapes in a text to `matches`, in no order. `encoded`: the text was percent-encoded, so that numbers
    /// are replaced by digits without separators, which need no encoding.
    pub(crate) fn find(&self, text: &[u8], encoded: bool, matches: &mut Vec<SecretMatch>) {
        for name in personal::NAMES.into_iter().filter(|name| self.has_personal && self.has(name)) {
            personal::find(name, text, encoded, matches);
        }
        let Some(has_prefix) = shapes_with_prefix(text) else { return };
        let shapes = TABLE.iter().zip(PATTERNS.iter()).zip(has_prefix).filter(|(_, has_prefix)| *has_prefix);
        for (shape, pattern) in shapes.map(|(shape, _)| shape).filter(|(shape, _)| self.has(shape.name)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn may_contain_shape(text: &[u8]) -> bool {
        shapes_with_prefix(text).is_some()
    }

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
            let confirmed = format!("{prefix}@             .");
            assert!(may_contain_shape(format!("x {confirmed}").as_bytes()), "{prefix}");
            assert!(may_contain_shape(format!("{}{confirmed}", " ".repeat(256)).as_bytes()), "{prefix}");
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
    fn tokens_of_vendors_are_found_where_they_are_used() {
        for (text, name, token) in vendor_samples() {
            let all = found(&text);
            assert!(all.contains(&(name, &*token)), "{text}: {all:?}");
            let other: String = text.replace(&token, "short");
            assert!(found(&other).iter().all(|(found, _)| *found != name), "{other}");
        }
        let tested: BTreeSet<_> = vendor_samples().into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(tested.len(), 38, "{tested:?}");
    }

    /// Texts with tokens of further vendors, with the name of the shape and the token.
    fn vendor_samples() -> Vec<(String, &'static str, String)> {
        let random = "0aZ9bY8cX7dW6eV5fU4gT3hS2iR1jQ0kP9lO8mN7nM6oL5pK4qJ3rI2sH1tG0uF9vE8wD7xC6yB5zA4bC8dE";
        let hex = "0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d";
        let upper = random.to_uppercase();
        let (alone, bearer) = ("{}", "Authorization: Bearer {}");
        [
            ("huggingface-token", bearer, format!("hf_{}", &random[..34])),
            ("huggingface-token", alone, format!("api_org_{}", &random[..34])),
            ("groq-key", alone, format!("gsk_{}", &random[..52])),
            ("perplexity-key", alone, format!("pplx-{}", &random[..48])),
            ("replicate-token", "Token {}", format!("r8_{}", &random[..37])),
            ("xai-key", alone, format!("xai-{}", &random[..80])),
            ("sendgrid-key", bearer, format!("SG.{}.{}", &random[..22], &random[22..65])),
            ("twilio-key", "sid={}", format!("SK{}", &hex[..32])),
            ("mailgun-key", "api:{} ", format!("key-{}", &hex[..32])),
            ("discord-token", "Authorization: Bot {}", format!("MTAx{}.Gx1y2z.{}", &random[..20], &random[..38])),
            ("discord-token", alone, format!("mfa.{}{}", &random[..60], &random[..24])),
            ("discord-webhook", "https://discord.com/api/webhooks/123456789012345678/{}", random[..68].to_owned()),
            ("telegram-token", "https://api.telegram.org/bot123456789:{}/getMe", format!("AA{}", &random[..33])),
            ("digitalocean-token", alone, format!("dop_v1_{}", &hex[..64])),
            ("heroku-key", alone, format!("HRKU-AA{}", &random[..58])),
            ("netlify-token", alone, format!("nfp_{}", &random[..36])),
            ("shopify-token", "X-Shopify-Access-Token: {}", format!("shpat_{}", &hex[..32])),
            ("square-token", alone, format!("sq0csp-{}", &random[..43])),
            ("square-token", alone, format!("EAAA{}", &random[..60])),
            ("linear-key", alone, format!("lin_api_{}", &random[..40])),
            ("notion-token", alone, format!("ntn_{}", &random[..46])),
            ("notion-token", alone, format!("secret_{}", &random[..43])),
            ("airtable-token", alone, format!("pat{}.{}", &random[..14], &hex[..64])),
            ("figma-token", alone, format!("figd_{}", &random[..40])),
            ("postman-key", alone, format!("PMAK-{}-{}", &hex[..24], &hex[24..58])),
            ("databricks-token", alone, format!("dapi{}-2", &hex[..32])),
            ("doppler-token", alone, format!("dp.st.dev_ci.{}", &random[..43])),
            ("planetscale-token", alone, format!("pscale_tkn_{}", &random[..43])),
            ("supabase-key", alone, format!("sbp_{}", &hex[..40])),
            ("supabase-key", alone, format!("sb_secret_{}", &random[..31])),
            ("pulumi-token", "token {}", format!("pul-{}", &hex[..40])),
            ("vault-token", alone, format!("hvs.CAES{}{}", &random[..60], &random[..31])),
            ("terraform-token", alone, format!("{}.atlasv1.{}", &random[..14], &random[..67])),
            ("new-relic-key", alone, format!("NRAK-{}", &upper[..27])),
            ("new-relic-key", alone, format!("{}NRAL", &hex[..36])),
            ("grafana-token", alone, format!("glsa_{}_{}", &random[..32], &hex[..8])),
            ("grafana-token", alone, format!("glc_eyJv{}==", &random[..60])),
            ("dynatrace-token", "Api-Token {}", format!("dt0c01.{}.{}", &upper[..24], &upper[..64])),
            ("sentry-token", alone, format!("sntrys_eyJp{}=_{}", &random[..60], &random[..43])),
            ("sentry-token", alone, format!("sntryu_{}", &hex[..64])),
            ("atlassian-token", alone, format!("ATATT3xFfGF0{}={}", &random[..70], &upper[..8])),
            ("docker-token", alone, format!("dckr_pat_{}", &random[..27])),
            ("rubygems-key", alone, format!("rubygems_{}", &hex[..48])),
            ("age-key", alone, format!("AGE-SECRET-KEY-1{}", &upper[..58])),
            ("credentials", bearer, random[..20].to_owned()),
            ("session-id", "/a;jsessionid={}?b", upper[..32].to_owned()),
        ]
        .into_iter()
        .map(|(name, text, token)| (text.replace("{}", &token), name, token))
        .collect()
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
            "Authorization: Bearer YOUR_ACCESS_TOKEN",
            "authorization: Basic authentication",
            "SKU-1234",
            "hf_hub_download",
            "secret_access_key",
            "key-value-pairs",
            "pattern.0123",
            "12:AAPL",
            "data:image/gif;base64,EAAAOw==",
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
        for unit in [
            "eyJ",
            "eyJ.",
            "-----BEGIN PRIVATE KEY-----",
            "https://",
            "a://b",
            "sk-",
            "ya29.",
            "xoxb-.",
            "pat",
            "1234567:AA",
            "SG.a.",
            "secret_",
            "authorization: ",
        ] {
            let _ = found(&unit.repeat(20_000));
        }
    }
}
