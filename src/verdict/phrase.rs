//! A difference between a request and an entry in words, the same ones wherever it is told.

use harproxy_compare::{excerpt, excerpt_pair};
use harproxy_http::escape::one_line;
use harproxy_matching::{Difference, What};

/// Values longer than this many characters are cut in sentences; the data keeps more of them.
const LONGEST: usize = 120;

/// Whose value a part of a phrase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The request's.
    Request,
    /// The entry's.
    Recorded,
}

/// "query parameter `page` is `3`, recorded `2`", in parts of which two are values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase(Vec<(Option<Side>, String)>);

impl Phrase {
    /// A difference in words; values are cut to about `longest` characters where they differ.
    #[must_use]
    pub fn of(difference: &Difference, longest: usize) -> Self {
        let subject = subject(difference);
        let words = |words: &str| (None, words.to_owned());
        let (request, recorded) = (|value| (Some(Side::Request), value), |value| (Some(Side::Recorded), value));
        Phrase(match values(difference, longest) {
            [_, Some(kept)] if difference.what == What::Method => vec![words("only recorded as "), recorded(kept)],
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

    /// The parts in their order, and whose value each is.
    pub fn parts(&self) -> impl Iterator<Item = (Option<Side>, &str)> {
        self.0.iter().map(|(side, text)| (*side, text.as_str()))
    }

    /// How many characters it has.
    #[must_use]
    pub fn chars(&self) -> usize {
        self.parts().map(|(_, text)| text.chars().count()).sum()
    }
}

/// One difference as a sentence has it.
#[must_use]
pub fn difference(difference: &Difference) -> String {
    Phrase::of(difference, LONGEST).parts().map(|(_, text)| text).collect()
}

/// What a difference is about: "query parameter `page`".
#[must_use]
pub fn subject(difference: &Difference) -> String {
    let name = one_line(&difference.name);
    match (difference.what, &*name) {
        (What::Query, "") => "the query".to_owned(),
        (What::Query, name) => format!("query parameter `{name}`"),
        (What::Header, name) => format!("header `{name}`"),
        (What::Body, "") => "the body".to_owned(),
        (What::Body, name) => format!("body `{name}`"),
        (What::Path, "") => "the path".to_owned(),
        (What::Path, name) => format!("path segment {name}"),
        (What::Host, _) => "the origin".to_owned(),
        (What::Method, _) => "the method".to_owned(),
    }
}

/// The request's value and the recorded one, each on one line and of about `longest` characters, cut where they differ.
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

    fn differs(what: What, name: &str, request: Option<&str>, recorded: Option<&str>) -> Difference {
        Difference { what, name: name.into(), request: request.map(Into::into), recorded: recorded.map(Into::into) }
    }

    #[test]
    fn each_difference_says_what_the_request_has_and_what_was_recorded() {
        for (given, expected) in [
            (differs(What::Query, "page", Some("3"), Some("2")), "query parameter `page` is `3`, recorded `2`"),
            (differs(What::Body, "$.user.id", Some("7"), Some("5")), "body `$.user.id` is `7`, recorded `5`"),
            (differs(What::Method, "", Some("POST"), Some("GET")), "only recorded as GET"),
            (differs(What::Header, "x-tenant", None, Some("a")), "header `x-tenant` is missing, recorded `a`"),
            (differs(What::Query, "v", Some("1"), None), "query parameter `v` is `1`, recorded without it"),
            (differs(What::Body, "", Some("a"), Some("b")), "the body is `a`, recorded `b`"),
            (differs(What::Path, "", Some("/a"), Some("/b")), "the path is `/a`, recorded `/b`"),
            (
                differs(What::Host, "", Some("https://a"), Some("https://b")),
                "the origin is `https://a`, recorded `https://b`",
            ),
        ] {
            assert_eq!(difference(&given), expected);
        }
        let long = difference(&differs(What::Body, "", Some(&"ä".repeat(500)), Some("b")));
        assert!(long.chars().count() < 200 && long.contains('…'), "{long}");
    }

    #[test]
    fn long_values_are_cut_where_they_differ_and_no_value_breaks_the_line() {
        let long = |mark: &str| format!("{}{mark}{}", "-".repeat(3000), "-".repeat(2000));
        let told = difference(&differs(What::Body, "$.a", Some(&long("one")), Some(&long("two"))));
        assert!(told.chars().count() < 320 && told.contains("--one--") && told.contains("--two--"), "{told}");
        let told = difference(&differs(What::Query, "q", Some("a\n\u{1b}[31mb"), Some("\u{202e}")));
        assert_eq!(told, r"query parameter `q` is `a\n\u{1b}[31mb`, recorded `\u{202e}`");
    }
}
