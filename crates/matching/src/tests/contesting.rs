//! How the entries of a key fare, beside what is chosen.

use super::*;

const URL: &str = "https://a.test/x";

fn fates(shelf: &Shelf, ask: &Ask) -> Vec<Fate> {
    let url = NormalUrl::parse(&ask.url).unwrap();
    let query = Query { method: &ask.method, url: &url, headers: &ask.headers, body: Some(&ask.body) };
    let before = shelf.matcher.contenders(&query, None);
    let chosen = before.iter().find(|contender| matches!(contender.fate, Fate::Chosen { .. }));
    let outcome = shelf.matcher.answer(&query, None);
    assert_eq!(chosen.map(|chosen| chosen.at), super::chosen(&outcome).map(|chosen| chosen.at), "the two agree");
    before.into_iter().map(|contender| contender.fate).collect()
}

const CHOSEN: Fate = Fate::Chosen { again: false };

#[test]
fn candidates_show_their_position_in_the_sequence() {
    let shelf = shelf(Own, [get(URL), get(URL), get("https://a.test/y")], Options::default());
    let ask = ask("GET", URL);
    assert_eq!(fates(&shelf, &ask), [CHOSEN, Fate::Waits]);
    assert_eq!(fates(&shelf, &ask), [Fate::Answered, CHOSEN]);
    assert_eq!(fates(&shelf, &ask), [Fate::Answered, Fate::Chosen { again: true }]);
}

#[test]
fn no_candidate_is_chosen_after_repeat_once_served_all() {
    let options = Options { repeat: Repeat::Once, ..Options::default() };
    let shelf = shelf(Own, [get(URL).with("accept", "a"), get(URL).with("accept", "b")], options);
    let ask = ask("GET", URL).with("accept", "b");
    assert_eq!(fates(&shelf, &ask), [Fate::LowerScore, CHOSEN]);
    assert_eq!(fates(&shelf, &ask), [CHOSEN, Fate::Answered]);
    assert_eq!(fates(&shelf, &ask), [Fate::Answered, Fate::Answered]);
}

#[test]
fn lower_ranked_candidates_have_a_reason() {
    let first = vec![get(URL).with("accept", "a").with("host", "a.test"), get(URL), get(URL).status(0)];
    let shelf = shelf_of(vec![(Foreign, first), (Foreign, vec![get(URL).with("accept", "a")])], Options::default());
    let (shelf, ask) = (shelf.unwrap(), ask("GET", URL).with("accept", "a").with("host", "a.test"));
    assert_eq!(fates(&shelf, &ask), [CHOSEN, Fate::LowerScore, Fate::LastResort, Fate::LaterFixture]);
    let url = NormalUrl::parse(URL).unwrap();
    let query = Query { method: "GET", url: &url, headers: &HeaderMap::new(), body: None };
    let contenders = shelf.matcher.contenders(&query, None);
    assert_eq!((contenders[0].repeated.len(), &contenders[0].lacking[..]), (0, &["accept".to_owned()][..]));
}

#[test]
fn conditional_request_lists_the_plain_entry_too() {
    let unchanged = get(URL).with("If-None-Match", "\"a\"").status(304);
    let shelf = shelf(Own, [get(URL).with("accept", "a"), unchanged], Options::default());
    let ask = ask("GET", URL).with("accept", "a").with("if-none-match", "\"a\"");
    assert_eq!(fates(&shelf, &ask), [Fate::OtherCondition, CHOSEN]);
}

#[test]
fn inadmissible_candidates_list_every_difference() {
    let bob = post(URL, r#"{"n":"Bob"}"#);
    let part = post(URL, r#"{"n":"Ada"}"#).with("range", "bytes=0-1").status(206);
    let shelf = shelf(Own, [bob, part], Options::default());
    let fates = fates(&shelf, &ask("POST", URL).json(r#"{"n":"Ada"}"#));
    let [Fate::Differs(body), Fate::Differs(range)] = &fates[..] else { panic!("{fates:?}") };
    assert_eq!((body[0].what, &*body[0].name, body[0].recorded.as_deref()), (What::Body, "$.n", Some("Bob")));
    assert_eq!((range.len(), range[0].what, &*range[0].name), (1, What::Header, "range"));
    assert!(self::fates(&shelf, &ask("GET", URL)).is_empty(), "another method has other entries");
}
