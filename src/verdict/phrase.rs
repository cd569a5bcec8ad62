//! The texts for a difference between a request and an entry. Explanations, reports and `harproxy explain` share them.

use harproxy_compare::{excerpt, excerpt_pair};
use harproxy_http::escape::one_line;
use harproxy_matching::{Difference, RequestPart};

/// The length of values in sentences, in characters. The data keeps longer ones.
const MAX_VALUE: usize = 120;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueSide {
    Request,
    Recorded,
}

/// A phrase such as "query parameter `page` is `3`, recorded `2`", as words and values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase(Vec<(Option<ValueSide>, String)>);

impl Phrase {
    /// Describes a difference. Values are cut to about `longest` characters around the place where they differ.
    #[must_use]
    pub fn of(difference: &Difference, longest: usize) -> Self {
        let subject = subject(difference);
        let words = |words: &str| (None, words.to_owned());
        let (request, recorded) =
            (|value| (Some(ValueSide::Request), value), |value| (Some(ValueSide::Recorded), value));
        Phrase(match values(difference, longest) {
            [_, Some(kept)] if difference.what == RequestPart::Method => {
                vec![words("only recorded as "), recorded(kept)]
            }
            [Some(sent), Some(kept)] => {
                let is = words(&format!("{subject} is `"));
                vec![is, request(sent), words("`, recorded `"), recorded(kept), words("`")]
            }
            [Some(sent), None] => {
                vec![words(&format!("{subject} is `")), request(sent), words("`, recorded without it")]
            }
            [None, Some(kept)] => {
                vec![words(&format!("{subject} is missing, recorded `")), recorded(kept), words("`")]
            }
            [None, None] => vec![words(&format!("{subject} differs"))],
        })
    }

    /// The parts in order; a value has its side.
    pub fn parts(&self) -> impl Iterator<Item = (Option<ValueSide>, &str)> {
        self.0.iter().map(|(side, text)| (*side, text.as_str()))
    }

    #[must_use]
    pub fn chars(&self) -> usize {
        self.parts().map(|(_, text)| text.chars().count()).sum()
    }
}

/// Describes one difference for a sentence.
#[must_use]
pub fn difference(difference: &Difference) -> String {
    Phrase::of(difference, MAX_VALUE).parts().map(|(_, text)| text).collect()
}

/// The subject of a difference: "query parameter `page`".
#[must_use]
pub fn subject(difference: &Difference) -> String {
    let name = one_line(&difference.name);
    match (difference.what, &*name) {
        (RequestPart::Query, "") => "the query".to_owned(),
        (RequestPart::Query, name) => format!("query parameter `{name}`"),
        (RequestPart::Header, name) => format!("header `{name}`"),
        (RequestPart::Body, "") => "the body".to_owned(),
        (RequestPart::Body, name) => format!("body `{name}`"),
        (RequestPart::Path, "") => "the path".to_owned(),
        (RequestPart::Path, name) => format!("path segment {name}"),
        (RequestPart::Host, _) => "the origin".to_owned(),
        (RequestPart::Method, _) => "the method".to_owned(),
    }
}

/// The values of the request and of the entry, each on one line. They are cut to about `longest` characters around the
/// place where they differ.
#[must_use]
pub fn values(difference: &Difference, longest: usize) -> [Option<String>; 2] {
    let [request, recorded] = [&difference.request, &difference.recorded].map(|value| value.as_deref().map(one_line));
    match (request, recorded) {
        (Some(request), Some(recorded)) => excerpt_pair(&request, &recorded, longest).map(Some),
        (request, recorded) => [request, recorded].map(|value| value.map(|value| excerpt(&value, longest))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differs(what: RequestPart, name: &str, request: Option<&str>, recorded: Option<&str>) -> Difference {
        Difference { what, name: name.into(), request: request.map(Into::into), recorded: recorded.map(Into::into) }
    }

    #[test]
    fn phrase_has_the_value_of_the_request_and_the_recorded_one() {
        for (given, expected) in [
            (differs(RequestPart::Query, "page", Some("3"), Some("2")), "query parameter `page` is `3`, recorded `2`"),
            (differs(RequestPart::Body, "$.user.id", Some("7"), Some("5")), "body `$.user.id` is `7`, recorded `5`"),
            (differs(RequestPart::Method, "", Some("POST"), Some("GET")), "only recorded as GET"),
            (differs(RequestPart::Header, "x-tenant", None, Some("a")), "header `x-tenant` is missing, recorded `a`"),
            (differs(RequestPart::Query, "v", Some("1"), None), "query parameter `v` is `1`, recorded without it"),
            (differs(RequestPart::Body, "", Some("a"), Some("b")), "the body is `a`, recorded `b`"),
            (differs(RequestPart::Path, "", Some("/a"), Some("/b")), "the path is `/a`, recorded `/b`"),
            (
                differs(RequestPart::Host, "", Some("https://a"), Some("https://b")),
                "the origin is `https://a`, recorded `https://b`",
            ),
        ] {
            assert_eq!(difference(&given), expected);
        }
        let long = difference(&differs(RequestPart::Body, "", Some(&"ä".repeat(500)), Some("b")));
        assert!(long.chars().count() < 200 && long.contains('…'), "{long}");
    }

    #[test]
    fn long_values_are_cut_where_they_differ_and_values_stay_on_one_line() {
        let long = |mark: &str| format!("{}{mark}{}", "-".repeat(3000), "-".repeat(2000));
        let phrase = difference(&differs(RequestPart::Body, "$.a", Some(&long("one")), Some(&long("two"))));
        assert!(phrase.chars().count() < 320 && phrase.contains("--one--") && phrase.contains("--two--"), "{phrase}");
        let phrase = difference(&differs(RequestPart::Query, "q", Some("a\n\u{1b}[31mb"), Some("\u{202e}")));
        assert_eq!(phrase, r"query parameter `q` is `a\n\u{1b}[31mb`, recorded `\u{202e}`");
    }
}
