//! The reasons why the entries of a key are chosen or not.

use super::*;

const URL: &str = "https://a.test/x";

fn states(test: &TestMatcher, request: &TestRequest) -> Vec<ContenderState> {
    let url = NormalUrl::parse(&request.url).unwrap();
    let query = Query::new(&request.method, &url, &request.headers, Some(&request.body));
    let before = test.matcher.contenders(&query, RequestSession::default());
    let chosen = before.iter().find(|contender| matches!(contender.state, ContenderState::Chosen { .. }));
    let outcome = test.matcher.answer(&query, None);
    assert_eq!(chosen.map(|chosen| chosen.at), super::chosen(&outcome).map(|chosen| chosen.at), "the two agree");
    before.into_iter().map(|contender| contender.state).collect()
}

const CHOSEN: ContenderState = ContenderState::Chosen { again: false };

#[test]
fn contenders_follow_the_position_in_the_sequence() {
    let test = matcher_over(Own, [get(URL), get(URL), get("https://a.test/y")], Options::default());
    let request = request("GET", URL);
    assert_eq!(states(&test, &request), [CHOSEN, ContenderState::Waits]);
    assert_eq!(states(&test, &request), [ContenderState::Answered, CHOSEN]);
    assert_eq!(states(&test, &request), [ContenderState::Answered, ContenderState::Chosen { again: true }]);
}

#[test]
fn no_contender_is_chosen_when_all_are_used_up() {
    let options = Options { repeat: Repeat::Once, ..Options::default() };
    let test = matcher_over(Own, [get(URL).with("accept", "a"), get(URL).with("accept", "b")], options);
    let request = request("GET", URL).with("accept", "b");
    assert_eq!(states(&test, &request), [ContenderState::OtherHeaders, CHOSEN]);
    assert_eq!(states(&test, &request), [CHOSEN, ContenderState::Answered]);
    assert_eq!(states(&test, &request), [ContenderState::Answered, ContenderState::Answered]);
}

#[test]
fn contender_with_a_lower_rank_has_the_reason() {
    let first = vec![
        get(URL).with("accept", "a").with("x-a", "1"),
        get(URL).with("x-a", "1"),
        get(URL).with("accept", "a").with("x-a", "1").with("cookie", "c"),
        get(URL).with("accept", "a"),
        get(URL).status(0),
    ];
    let test =
        try_matcher_over(vec![(Foreign, first), (Foreign, vec![get(URL).with("accept", "a")])], Options::default());
    let (test, request) = (test.unwrap(), request("GET", URL).with("accept", "a").with("x-a", "1"));
    assert_eq!(
        states(&test, &request),
        [
            CHOSEN,
            ContenderState::OtherHeaders,
            ContenderState::OtherCredentials,
            ContenderState::LowerScore,
            ContenderState::LastResort,
            ContenderState::LaterFixture
        ]
    );
    let url = NormalUrl::parse(URL).unwrap();
    let headers = HeaderMap::new();
    let query = Query::new("GET", &url, &headers, None);
    let contenders = test.matcher.contenders(&query, RequestSession::default());
    assert_eq!(
        (contenders[0].repeated.len(), &contenders[0].lacking[..]),
        (0, &["accept".to_owned(), "x-a".to_owned()][..])
    );
}

#[test]
fn contenders_of_a_conditional_request_include_the_full_response() {
    let unchanged = get(URL).with("If-None-Match", "\"a\"").status(304);
    let test = matcher_over(Own, [get(URL).with("accept", "a"), unchanged], Options::default());
    let request = request("GET", URL).with("accept", "a").with("if-none-match", "\"a\"");
    assert_eq!(states(&test, &request), [ContenderState::OtherCondition, CHOSEN]);
}

#[test]
fn contender_that_does_not_match_has_all_differences() {
    let bob = post(URL, r#"{"n":"Bob"}"#);
    let part = post(URL, r#"{"n":"Ada"}"#).with("range", "bytes=0-1").status(206);
    let test = matcher_over(Own, [bob, part], Options::default());
    let states = states(&test, &request("POST", URL).json(r#"{"n":"Ada"}"#));
    let [ContenderState::Differs(body), ContenderState::Differs(range)] = &states[..] else { panic!("{states:?}") };
    assert_eq!((body[0].part, &*body[0].name, body[0].recorded.as_deref()), (RequestPart::Body, "$.n", Some("Bob")));
    assert_eq!((range.len(), range[0].part, &*range[0].name), (1, RequestPart::Header, "range"));
    assert!(self::states(&test, &request("GET", URL)).is_empty(), "another method has other entries");
}
