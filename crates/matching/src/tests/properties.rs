//! Properties of matching for any recording.

use proptest::prelude::*;

use super::*;

/// A request that is recorded, or sent.
#[derive(Clone, Debug)]
struct Sketch {
    method: &'static str,
    path: String,
    query: String,
    header: String,
    body: String,
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let methods = prop::sample::select(vec!["GET", "POST", "PUT"]);
    let bodies = prop::sample::select(vec!["", "{\"a\":1}", "{\"a\": 1}", "a=1&b=2", "x"]);
    (methods, "/[ab]{0,2}", "(\\?(a|ts|_)=[12](&(a|ts)=[12])?)?", "[xy]?", bodies)
        .prop_map(|(method, path, query, header, body)| Sketch { method, path, query, header, body: body.to_owned() })
}

impl Sketch {
    fn url(&self) -> String {
        format!("https://a.test{}{}", self.path, self.query)
    }

    fn recorded(&self) -> EntryJson {
        let entry = entry_json(self.method, &self.url()).with("x-h", &self.header);
        if self.body.is_empty() { entry } else { entry.sent("application/json", &self.body) }
    }

    fn request(&self) -> TestRequest {
        let request = request(self.method, &self.url()).with("x-h", &self.header);
        if self.body.is_empty() { request } else { request.json(&self.body) }
    }
}

fn modes() -> impl Strategy<Value = MatchBody> {
    prop::sample::select(vec![MatchBody::Exact, MatchBody::Json, MatchBody::Form, MatchBody::Ignore])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn recorded_request_finds_an_entry_of_its_key(
        sketches in prop::collection::vec(sketch(), 1..12),
        which in any::<prop::sample::Index>(),
        mode in modes(),
        own in any::<bool>(),
        ignore in any::<bool>(),
    ) {
        let ignore_query = strings(if ignore { &["ts"] } else { &[] });
        let options = Options { match_body: mode, ignore_query, ..Options::default() };
        let test = matcher_over(if own { Own } else { Foreign }, sketches.iter().map(Sketch::recorded), options);
        let sent = which.get(&sketches);
        let found = test.entry(&sent.request());
        prop_assert!(found.is_some());
        let found = &sketches[found.unwrap()];
        prop_assert_eq!((found.method, &found.path), (sent.method, &sent.path));
        if mode == MatchBody::Exact && (own || !found.body.is_empty()) {
            prop_assert_eq!(&found.body, &sent.body);
        }
        if !ignore {
            prop_assert_eq!(&found.query, &sent.query);
        }
    }

    #[test]
    fn matchers_over_the_same_fixtures_agree(
        sketches in prop::collection::vec(sketch(), 1..12),
        sent in prop::collection::vec(sketch(), 1..12),
    ) {
        let told = |_| {
            let test = matcher_over(Own, sketches.iter().map(Sketch::recorded), Options::default());
            sent.iter().map(|sent| match test.answer(&sent.request()) {
                Outcome::Miss(miss) => format!("{:?}", miss.near),
                outcome => brief(&outcome),
            }).collect::<Vec<_>>()
        };
        prop_assert_eq!(told(0), told(1));
    }

    /// If an option lets request A match entry B, it lets request B match entry A.
    #[test]
    fn ignoring_options_are_symmetrical(a in sketch(), b in sketch(), mode in modes(), path in any::<bool>()) {
        let matches = |recorded: &Sketch, sent: &Sketch| {
            let options = Options {
                match_body: mode,
                ignore_query: strings(&["ts", "_"]),
                ignore_body: strings(if path { &["$.a"] } else { &[] }),
                same_host: vec![("https://a.test".to_owned(), "http://b.test:*".to_owned())],
                ..Options::default()
            };
            matcher_over(Own, [recorded.recorded()], options).entry(&sent.request()).is_some()
        };
        prop_assert_eq!(matches(&a, &b), matches(&b, &a));
    }
}
