//! Properties of matching for any request whose secrets were replaced by placeholders.

use proptest::prelude::*;
use serde_json::Number;

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";

/// A text as it was sent, and as it is stored if it contains a secret.
#[derive(Clone, Debug)]
struct MaybeSecret {
    live: String,
    stored: Option<String>,
}

impl MaybeSecret {
    fn stored(&self) -> &str {
        self.stored.as_deref().unwrap_or(&self.live)
    }
}

/// Returns texts of these letters. They may be secrets, and may have other text around them.
fn spot(letters: &'static str, around: &'static [(&'static str, &'static str)]) -> impl Strategy<Value = MaybeSecret> {
    (letters, prop::sample::select(around), 0_u32..4).prop_map(|(live, (before, after), n)| MaybeSecret {
        live: format!("{before}{live}{after}"),
        stored: (n > 0).then(|| format!("{before}REDACTED-secret-{n}{after}")),
    })
}

fn parameters() -> impl Strategy<Value = Vec<(String, MaybeSecret)>> {
    let value = spot("(%[2-7][0-9A-F]|[a-z0-9.+~!-]){0,6}", &[("", ""), ("a:", ""), ("", ",x"), ("k%20", "%20v")]);
    prop::collection::vec(("[a-c]{1,2}", value), 0..4)
}

fn written(parameters: &[(String, MaybeSecret)], form: impl Fn(&MaybeSecret) -> &str) -> String {
    parameters.iter().map(|(name, spot)| format!("{name}={}", form(spot))).collect::<Vec<_>>().join("&")
}

/// Returns JSON values as they were sent and as they are stored.
fn json_value() -> impl Strategy<Value = (Value, Value)> {
    let text = spot("\\PC{0,8}", &[("", ""), ("Bearer ", ""), ("", ": x"), ("\"", "\\")]);
    let leaf = prop_oneof![
        text.prop_map(|spot| (Value::from(spot.live.as_str()), Value::from(spot.stored()))),
        any::<i32>().prop_map(|n| (Value::from(n), Value::from(n))),
        any::<i64>().prop_map(|n| (Value::from(n), Value::from(73_322_833_001_u64))),
        Just((Value::Null, Value::Null)),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let pairs = prop::collection::vec(("[a-d]", inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| {
                let (live, stored): (Vec<_>, Vec<_>) = items.into_iter().unzip();
                (Value::from(live), Value::from(stored))
            }),
            pairs.prop_map(|members| {
                let of = |live: bool| {
                    let member = |(name, (sent, stored)): &(String, (Value, Value))| {
                        (name.clone(), if live { sent.clone() } else { stored.clone() })
                    };
                    Value::Object(members.iter().map(member).collect())
                };
                (of(true), of(false))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn request_matches_its_redacted_entry(
        segments in prop::collection::vec(spot("[a-z0-9~!-]{1,6}", &[("", ""), ("bot:", ""), ("", ":x")]), 0..4),
        query in parameters(),
        form in parameters(),
        by_fields in any::<bool>(),
    ) {
        let url = |spelt: &dyn Fn(&MaybeSecret) -> String, plain: fn(&MaybeSecret) -> &str| {
            let path: String = segments.iter().map(|segment| format!("/{}", spelt(segment))).collect();
            let query = written(&query, plain);
            format!("https://a.test{path}/{}{query}", if query.is_empty() { "" } else { "?" })
        };
        let live = url(&|spot| spot.live.clone(), |spot| &spot.live);
        let stored = url(&|spot| spot.stored().to_owned(), MaybeSecret::stored);
        let [live_form, stored_form] = [written(&form, |spot| &spot.live), written(&form, MaybeSecret::stored)];
        let entry = if form.is_empty() { entry_json("POST", &stored) } else { entry_json("POST", &stored).sent(FORM, &stored_form) };
        let match_body = if by_fields { MatchBody::Form } else { MatchBody::Exact };
        let test = matcher_over(Own, [entry], Options { match_body, ..Options::default() });
        let request = |url: &str, form_text: &str| {
            if form.is_empty() { request("POST", url) } else { request("POST", url).body(FORM, form_text) }
        };
        prop_assert_eq!(test.entry(&request(&live, &live_form)), Some(0), "{} {}", live, stored);
        prop_assert_eq!(test.entry(&request(&stored, &stored_form)), Some(0), "the placeholders themselves");
        let elsewhere = live.replacen("a.test", "a.test/z", 1);
        prop_assert_eq!(test.entry(&request(&elsewhere, &live_form)), None);
    }

    #[test]
    fn json_request_matches_its_redacted_entry((live, stored) in json_value(), by_value in any::<bool>()) {
        let match_body = if by_value { MatchBody::Json } else { MatchBody::Exact };
        let options = Options { match_body, ..Options::default() };
        let test = matcher_over(Own, [post("https://a.test/x", &stored.to_string())], options);
        let request = |text: &str| test.entry(&request("POST", "https://a.test/x").json(text));
        prop_assert_eq!(request(&live.to_string()), Some(0), "{} {}", live, stored);
        let more = Value::from(vec![live.clone(), Value::Number(Number::from(1))]);
        prop_assert_eq!(request(&more.to_string()), None);
        if by_value {
            prop_assert_eq!(request(&format!("{live:#}")), Some(0), "white space is set aside");
        }
    }

    #[test]
    fn choice_does_not_depend_on_hashes(
        recorded in prop::collection::vec((0_u32..4, 0_u32..3, 0_u32..3, "[ab]"), 1..10),
        sent in prop::collection::vec((0_u32..5, 0_u32..4, 0_u32..4), 1..10),
    ) {
        let told = |_| {
            let entry = |(token, sig, segment, accept): &(u32, u32, u32, String)| {
                let url = format!("https://a.test/REDACTED-s-{segment}/x?sig=REDACTED-sig-{sig}&v=1");
                let entry = if *segment == 0 { get("https://a.test/live/x?sig=live&v=1") } else { get(&url) };
                entry.with("authorization", &format!("Bearer REDACTED-token-{token}")).with("accept", accept)
            };
            let test = matcher_over(Own, recorded.iter().map(entry), Options::default());
            sent.iter().map(|(token, sig, segment)| {
                let place = |name: &str, n: u32| if n == 0 { "live".to_owned() } else { format!("REDACTED-{name}-{n}") };
                let url = format!("https://a.test/{}/x?sig={}&v=1", place("s", *segment), place("sig", *sig));
                let outcome = test.answer(&request("GET", &url).with("authorization", &format!("Bearer {}", place("token", *token))));
                let guess = chosen(&outcome).and_then(|chosen| chosen.guess.clone());
                format!("{} {guess:?}", brief(&outcome))
            }).collect::<Vec<_>>()
        };
        prop_assert_eq!(told(0), told(1));
    }
}
