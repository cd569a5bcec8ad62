//! The redacted places of an entry's URL and headers, and the values of a request at these places.

use std::collections::HashMap;

use ::http::HeaderMap;
use harproxy_compare::{Encoding, PlaceholderScore, PlaceholderValues, Template};
use harproxy_http::{Headers, cookies};
use harproxy_redact::placeholder;
use url::form_urlencoded;

use super::key::View;

/// The places of an entry's URL and headers that contain placeholders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct RedactedPlaces {
    /// The parts of the URL that a request must fit.
    required: Box<[(RedactedPlace, Template)]>,
    /// The headers, and the parts of the URL that a rule ignores. They only count for the score.
    ignored: Box<[(RedactedPlace, Template)]>,
}

/// A part of a URL, as [`View`] divides it, or a place in the headers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum RedactedPlace {
    /// The user information before the host.
    UserInfo,
    /// A segment of the path, from 0.
    Segment(usize),
    /// A parameter, by its index among those that count.
    Parameter(usize),
    /// An ignored parameter, by its name and its index among those of this name.
    IgnoredParameter(String, usize),
    /// A header, by its name in lower case and its index among those of this name.
    Header(Box<str>, usize),
    /// A cookie, by its name and its index among those of this name.
    Cookie(Box<[u8]>, usize),
}

impl RedactedPlaces {
    /// Finds the placeholders in the URL and the request headers of an entry.
    pub(super) fn of(url: Option<&View<'_, '_>>, headers: &Headers) -> Self {
        let (mut required, mut ignored) = (Vec::new(), Vec::new());
        if let Some(view) = url {
            find_in_url(view, &mut required, &mut ignored);
        }
        find_in_headers(headers, &mut ignored);
        RedactedPlaces { required: required.into(), ignored: ignored.into() }
    }

    /// Scores the parts that must fit. Returns `None` if one does not.
    pub(super) fn score(&self, asked: &View<'_, '_>, values: &PlaceholderValues) -> Option<PlaceholderScore> {
        let scores = self.required.iter().map(|(place, template)| {
            let found = place.of_url(asked)?;
            template.score(found.as_bytes(), values)
        });
        scores.sum()
    }

    /// Scores the places that need not fit. Of several values at one place the best one counts.
    pub(super) fn score_ignored(
        &self,
        asked: Option<&View<'_, '_>>,
        headers: &HeaderMap,
        values: &PlaceholderValues,
    ) -> PlaceholderScore {
        let scores = self.ignored.iter().map(|(place, template)| {
            let in_url = asked.and_then(|asked| place.of_url(asked)).map(str::as_bytes);
            let sent = in_url.into_iter().chain(place.of_headers(headers));
            let best = sent
                .filter_map(|value| template.score(value, values))
                .max_by_key(|score| (score.confirmed, score.unknown));
            best.unwrap_or_else(|| template.unknown_score())
        });
        scores.sum()
    }

    /// Returns true if the URL has placeholders.
    pub(super) fn has_url_places(&self) -> bool {
        let is_header = |place| matches!(place, &RedactedPlace::Header(..) | &RedactedPlace::Cookie(..));
        self.iter().any(|(place, _)| !is_header(place))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(RedactedPlace, Template)> {
        self.required.iter().chain(&self.ignored)
    }
}

impl RedactedPlace {
    fn of_url<'a>(&self, asked: &'a View<'_, '_>) -> Option<&'a str> {
        match self {
            RedactedPlace::UserInfo => user_info(asked),
            RedactedPlace::Segment(n) => asked.parts.segments().nth(*n),
            RedactedPlace::Parameter(n) => parameters(asked).nth(*n),
            RedactedPlace::IgnoredParameter(name, n) => {
                let mut namesakes = ignored_parameters(asked).filter(|(other, ..)| other == name);
                namesakes.find(|(_, place, _)| place == n).map(|(.., parameter)| parameter)
            }
            RedactedPlace::Header(..) | RedactedPlace::Cookie(..) => None,
        }
    }

    /// Returns all values with the name of this place.
    pub(super) fn of_headers<'r>(&self, headers: &'r HeaderMap) -> Vec<&'r [u8]> {
        let values = |name: &str| headers.get_all(name).iter().map(::http::HeaderValue::as_bytes);
        match self {
            RedactedPlace::Header(name, _) => values(name).collect(),
            RedactedPlace::Cookie(name, _) => {
                let pairs = values("cookie").flat_map(cookies::pairs);
                pairs.filter(|(other, _)| *other == &**name).map(|(_, value)| value).collect()
            }
            _ => Vec::new(),
        }
    }
}

type FoundPlaces = Vec<(RedactedPlace, Template)>;

fn find_in_url(view: &View<'_, '_>, required: &mut FoundPlaces, ignored: &mut FoundPlaces) {
    let mut add = |is_required: bool, place: RedactedPlace, text: &str, encoding: Encoding| {
        if let Some(template) = Template::parse(text.as_bytes(), encoding) {
            if is_required { &mut *required } else { &mut *ignored }.push((place, template));
        }
    };
    if let Some(user) = user_info(view) {
        // Equal origins are compared without user information.
        add(*view.origin() == *view.parts.origin, RedactedPlace::UserInfo, user, Encoding::Percent);
    }
    let path = view.path();
    for (n, (segment, by_rules)) in view.parts.segments().zip(segments(&path)).enumerate() {
        add(segment == by_rules, RedactedPlace::Segment(n), segment, Encoding::Percent);
    }
    for (n, parameter) in parameters(view).enumerate() {
        add(true, RedactedPlace::Parameter(n), parameter, Encoding::Form);
    }
    for (name, n, parameter) in ignored_parameters(view) {
        add(false, RedactedPlace::IgnoredParameter(name, n), parameter, Encoding::Form);
    }
}

fn find_in_headers(headers: &Headers, found: &mut FoundPlaces) {
    let mut counts: HashMap<RedactedPlace, usize> = HashMap::new();
    let mut add = |place: &dyn Fn(usize) -> RedactedPlace, text: &[u8]| {
        if let Some(template) = Template::parse(text, Encoding::Plain) {
            let n = counts.entry(place(0)).or_default();
            found.push((place(*n), template));
            *n += 1;
        }
    };
    for header in headers.iter().filter(|header| placeholder::may_occur_in(&header.value)) {
        let name = header.name.to_ascii_lowercase();
        if name == "cookie" {
            for (name, value) in cookies::pairs(&header.value) {
                add(&|n| RedactedPlace::Cookie(name.into(), n), value);
            }
        } else {
            add(&|n| RedactedPlace::Header(name.as_str().into(), n), &header.value);
        }
    }
}

/// The parts of a URL that may have any value for some entries to fit. Entries are found by the rest of their URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct UrlShape {
    user_info: bool,
    segments: Box<[usize]>,
    parameters: Box<[usize]>,
}

impl UrlShape {
    /// Returns the shape of a URL; `None` if all parts of it must be equal.
    pub(super) fn of(places: &RedactedPlaces) -> Option<Self> {
        let (mut user_info, mut segments, mut parameters) = (false, Vec::new(), Vec::new());
        for (part, _) in &places.required {
            match part {
                RedactedPlace::UserInfo => user_info = true,
                RedactedPlace::Segment(n) => segments.push(*n),
                RedactedPlace::Parameter(n) => parameters.push(*n),
                _ => {}
            }
        }
        let shape = UrlShape { user_info, segments: segments.into(), parameters: parameters.into() };
        (!places.required.is_empty()).then_some(shape)
    }

    /// Returns the part of a URL that must be equal: the same for all URLs that differ only in the open parts.
    pub(super) fn of_url(&self, view: &View<'_, '_>) -> String {
        let origin = view.origin();
        let mut key = match (self.user_info, origin.split_once("://"), origin.rsplit_once('@')) {
            (true, Some((scheme, _)), Some((_, host))) => format!("{scheme}://{OPEN}@{host}"),
            _ => origin.into_owned(),
        };
        key.push_str(&self.of_path(&view.path()));
        for (n, parameter) in parameters(view).enumerate() {
            key.push(if n == 0 { '?' } else { '&' });
            match parameter.split_once('=') {
                Some((name, _)) if self.parameters.contains(&n) => key.extend([name, "=", OPEN]),
                None if self.parameters.contains(&n) => key.push_str(OPEN),
                _ => key.push_str(parameter),
            }
        }
        key
    }

    /// Returns the path without its open segments.
    pub(super) fn of_path(&self, path: &str) -> String {
        let mut open = String::with_capacity(path.len());
        for (n, segment) in segments(path).enumerate() {
            open.push('/');
            open.push_str(if self.segments.contains(&n) { OPEN } else { segment });
        }
        open
    }

    /// Returns true if a segment of the path is open.
    pub(super) fn opens_path(&self) -> bool {
        !self.segments.is_empty()
    }
}

/// Returns the numbers of segments and parameters of a URL. Shapes fit URLs with the same numbers.
pub(super) fn size(view: &View<'_, '_>) -> (usize, usize) {
    (view.parts.segments().count(), parameters(view).count())
}

/// Stands for an open part. The path of a URL in normal form has no braces, and clients encode those of a query.
const OPEN: &str = "{*}";

fn user_info<'u>(view: &View<'_, 'u>) -> Option<&'u str> {
    let origin: &'u str = view.parts.origin;
    Some(origin.split_once("://")?.1.rsplit_once('@')?.0)
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

/// Returns the parameters that count, as they are written.
fn parameters<'u>(view: &View<'_, 'u>) -> impl Iterator<Item = &'u str> {
    let query: Option<&'u str> = view.parts.query;
    query.into_iter().flat_map(|query| query.split('&')).filter(|parameter| !view.ignores(parameter))
}

/// Returns the ignored parameters: name, index among those of this name, and the whole parameter.
pub(super) fn ignored_parameters<'u>(view: &View<'_, 'u>) -> impl Iterator<Item = (String, usize, &'u str)> {
    let query: Option<&'u str> = view.parts.query;
    let ignored = query.into_iter().flat_map(|query| query.split('&')).filter(|parameter| view.ignores(parameter));
    let mut names: Vec<String> = Vec::new();
    ignored.filter_map(move |parameter| {
        let name = form_urlencoded::parse(parameter.as_bytes()).next()?.0.into_owned();
        let place = names.iter().filter(|other| **other == name).count();
        names.push(name.clone());
        Some((name, place, parameter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_cookies_of_one_name_are_told_apart() {
        let mut headers = Headers::default();
        headers.push("cookie", "sid=REDACTED-sid-1; ".repeat(5_000));
        let places = RedactedPlaces::of(None, &headers).ignored;
        assert_eq!(places.len(), 5_000);
        assert_eq!(places[4_999].0, RedactedPlace::Cookie(b"sid"[..].into(), 4_999));
    }
}
