//! A corpus of names with values from APIs and frameworks: secrets, and data that resembles them.

mod harmless;
mod secrets;

use NameLocation::{Form, Header, Member, Query};
use harmless::HARMLESS;
use secrets::SECRETS;

use super::*;

/// The locations of a name, the name, and a value: see [`value`].
type CorpusRow = (&'static [NameLocation], &'static str, &'static str);

fn value(text: &str) -> String {
    let uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    text.replace('@', "q7Lx0PzR4vTn8KcWbY2mJd6HsF1gAe5U").replace('#', uuid)
}

fn encoded(text: &str) -> String {
    ::url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Returns the messages that hold a value under a name in a location, and the same with the value redacted.
fn redactions(policy: &Policy, location: NameLocation, name: &str, value: &str) -> Vec<(String, String)> {
    match location {
        Header => vec![(value.to_owned(), header(policy, name, value))],
        Query => {
            let before = format!("https://h/?{}={}&b=1", encoded(name), encoded(value));
            let fragment = format!("https://h/#{}={}&b=1", encoded(name), encoded(value));
            [before, fragment].map(|before| (before.clone(), url(policy, &before))).into()
        }
        Form => {
            let pairs = format!("a=1&{}={}", encoded(name), encoded(value));
            let part = format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--x--\r\n");
            let forms = [("application/x-www-form-urlencoded", pairs), ("multipart/form-data; boundary=x", part)];
            forms.map(|(media, before)| (before.clone(), payload(policy, media, &before))).into()
        }
        Member => {
            let member = serde_json::json!({ "a": [{ name: value }] }).to_string();
            let list = serde_json::json!({ name: [value] }).to_string();
            let torn = member[..member.len() - 3].to_owned();
            let mut texts = vec![member, list, torn];
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if name.bytes().all(is_name) && !name.starts_with('2') && !value.contains('"') {
                let document = format!("mutation {{ a(x: 1, {name}: \"{value}\") {{ b }} }}");
                texts.push(serde_json::json!({ "query": document }).to_string());
            }
            texts.into_iter().map(|before| (before.clone(), json(policy, &before))).collect()
        }
    }
}

fn check(corpus: &[CorpusRow], is_secret: bool) {
    let policy = Policy::default();
    let mut wrong = Vec::new();
    for (locations, name, text) in corpus {
        for &location in *locations {
            let value = value(text);
            for (before, after) in redactions(&policy, location, name, &value) {
                let is_kept = value.len() > 5 && [&value, &encoded(&value)].iter().any(|kept| after.contains(&***kept));
                if (before != after) != is_secret || is_secret && is_kept {
                    wrong.push(format!("{location:?} {name}: {after}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn secrets_of_the_corpus_are_redacted_in_each_location() {
    assert!(SECRETS.len() >= 150, "{}", SECRETS.len());
    check(SECRETS, true);
}

#[test]
fn harmless_values_of_the_corpus_are_not_redacted_in_any_location() {
    assert!(HARMLESS.len() >= 100, "{}", HARMLESS.len());
    check(HARMLESS, false);
}

#[test]
fn times_and_policies_beside_a_signature_are_redacted() {
    let policy = Policy::default();
    let signature = value("@");
    for name in ["Expires", "expires", "Timestamp", "oauth_timestamp", "Policy", "se", "st"] {
        let signed = format!("https://h/?{name}=1767225600&Signature={signature}&Key-Pair-Id=K2JCJMDEHXQW5F");
        let left = url(&policy, &signed);
        assert!(!left.contains("1767225600") && left.contains("Id=K2JCJMDEHXQW5F"), "{left}");
        let plain = format!("https://h/?{name}=1767225600&page=2");
        assert_eq!(url(&policy, &plain), plain);
    }
}

#[test]
fn replaced_values_are_known_elsewhere_only_if_they_look_random() {
    let (policy, run) = (Policy::default(), RunId::random());
    for (value, is_known) in [("order-17", false), ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", true)] {
        let store = SecretStore::new(run, &[]);
        let mut redactor = Redactor::new(&policy, &store);
        assert!(redactor.redact_header("Idempotency-Key", value.as_bytes()).is_some());
        assert_eq!(redactor.redact_url(&format!("https://h/orders/{value}")).is_some(), is_known, "{value}");
    }
    assert!(!policy.is_secret_header("Idempotency-Key") && !policy.is_secret_header("X-Amz-Date"));
    assert!(policy.is_secret_header("X-Auth-Key"));
}

#[test]
fn spellings_of_a_name_have_one_class() {
    for words in ["access token", "api key", "session id", "new password", "client secret", "id token", "csrf token"] {
        let title = |word: &str| word[..1].to_uppercase() + &word[1..];
        let pascal: String = words.split(' ').map(title).collect();
        let spellings = [
            words.replace(' ', "_"),
            words.replace(' ', "-"),
            words.replace(' ', "."),
            words.replace(' ', ""),
            words.replace(' ', "_").to_uppercase(),
            format!("user[{}]", words.replace(' ', "_")),
            format!("{}[]", words.replace(' ', "_")),
            format!("X-{}", words.replace(' ', "-")),
            pascal[..1].to_lowercase() + &pascal[1..],
            pascal,
        ];
        let policy = Policy::default();
        for location in [Header, Query, Form, Member] {
            let class = policy.classify(location, spellings[0].as_bytes());
            assert_ne!(class, NameClass::Public, "{words}");
            for spelling in &spellings {
                assert_eq!(policy.classify(location, spelling.as_bytes()), class, "{location:?} {spelling}");
            }
        }
    }
}
