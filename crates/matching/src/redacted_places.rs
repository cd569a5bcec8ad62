//! The redacted places of an entry's URL and headers, and the values of a request at these places.

use std::collections::HashMap;

use ::http::HeaderMap;
use harproxy_compare::{Encoding, PlaceholderScore, PlaceholderValues, Template};
use harproxy_http::{Headers, cookies};
use harproxy_redact::placeholder;
use url::form_urlencoded;

use super::key::View;

/// The parts of a URL that contain placeholders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct UrlPlaces {
    /// The parts that a request must fit.
    required: Box<[(UrlPart, Template)]>,
    /// The parts that a rule ignores. They only count for the score.
    ignored: Box<[(UrlPart, Template)]>,
}

/// A part of a URL, as [`View`] divides it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum UrlPart {
    /// The user information before the host.
    UserInfo,
    /// A segment of the path, from 0.
    Segment(usize),
    /// A parameter, by its index among those that count.
    Parameter(usize),
    /// An ignored parameter, by its name and its index among those of this name.
    IgnoredParameter(String, usize),
}

impl UrlPlaces {
    /// Finds the placeholders in the URL of an entry.
    pub(super) fn of(view: &View<'_, '_>) -> Self {
        let (mut required, mut ignored) = (Vec::new(), Vec::new());
        if let Some(user) = user_info(view)
            && let Some(template) = Template::parse(user.as_bytes(), Encoding::Percent)
        {
            // Equal origins are compared without user information.
            let list = if *view.origin() == *view.parts.origin { &mut required } else { &mut ignored };
            list.push((UrlPart::UserInfo, template));
        }
        let path = view.path();
        for (n, (segment, by_rules)) in view.parts.segments().zip(segments(&path)).enumerate() {
            if let Some(template) = Template::parse(segment.as_bytes(), Encoding::Percent) {
                let list = if segment == by_rules { &mut required } else { &mut ignored };
                list.push((UrlPart::Segment(n), template));
            }
        }
        for (n, parameter) in parameters(view).enumerate() {
            if let Some(template) = Template::parse(parameter.as_bytes(), Encoding::Form) {
                required.push((UrlPart::Parameter(n), template));
            }
        }
        for (name, n, parameter) in ignored_parameters(view) {
            if let Some(template) = Template::parse(parameter.as_bytes(), Encoding::Form) {
                ignored.push((UrlPart::IgnoredParameter(name, n), template));
            }
        }
        UrlPlaces { required: required.into(), ignored: ignored.into() }
    }

    /// Scores the parts that must fit. Returns `None` if one does not.
    pub(super) fn score(&self, asked: &View<'_, '_>, values: &PlaceholderValues) -> Option<PlaceholderScore> {
        let mut score = PlaceholderScore::default();
        for (part, template) in &self.required {
            score.add(template.score(part.of(asked)?.as_bytes(), values)?);
        }
        Some(score)
    }

    /// Scores the parts that need not fit.
    pub(super) fn score_ignored(&self, asked: &View<'_, '_>, values: &PlaceholderValues) -> PlaceholderScore {
        let mut score = PlaceholderScore::default();
        for (part, template) in &self.ignored {
            let found = part.of(asked).and_then(|text| template.score(text.as_bytes(), values));
            score.add(found.unwrap_or_else(|| template.unknown_score()));
        }
        score
    }

    pub(super) fn is_empty(&self) -> bool {
        self.required.is_empty() && self.ignored.is_empty()
    }

    /// Returns the parts with placeholders.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(UrlPart, Template)> {
        self.required.iter().chain(&self.ignored)
    }
}

impl UrlPart {
    fn of<'a>(&self, asked: &'a View<'_, '_>) -> Option<&'a str> {
        match self {
            UrlPart::UserInfo => user_info(asked),
            UrlPart::Segment(n) => asked.parts.segments().nth(*n),
            UrlPart::Parameter(n) => parameters(asked).nth(*n),
            UrlPart::IgnoredParameter(name, n) => {
                let mut namesakes = ignored_parameters(asked).filter(|(other, ..)| other == name);
                namesakes.find(|(_, place, _)| place == n).map(|(.., parameter)| parameter)
            }
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
    pub(super) fn of(places: &UrlPlaces) -> Option<Self> {
        let (mut user_info, mut segments, mut parameters) = (false, Vec::new(), Vec::new());
        for (part, _) in &places.required {
            match part {
                UrlPart::UserInfo => user_info = true,
                UrlPart::Segment(n) => segments.push(*n),
                UrlPart::Parameter(n) => parameters.push(*n),
                UrlPart::IgnoredParameter(..) => {}
            }
        }
        let shape = UrlShape { user_info, segments: segments.into(), parameters: parameters.into() };
        (!places.required.is_empty()).then_some(shape)
    }

    /// Returns the part of a URL that must be equal: the same for all URLs that differ only in the open parts.
    pub(super) fn of_url(&self, view: &View<'_, '_>) -> String {
        let mut key = self.of_origin(view);
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

    fn of_origin(&self, view: &View<'_, '_>) -> String {
        let origin = view.origin();
        match (self.user_info, origin.split_once("://"), origin.rsplit_once('@')) {
            (true, Some((scheme, _)), Some((_, host))) => format!("{scheme}://{OPEN}@{host}"),
            _ => origin.into_owned(),
        }
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
fn ignored_parameters<'u>(view: &View<'_, 'u>) -> impl Iterator<Item = (String, usize, &'u str)> {
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

/// The placeholders in the request headers of an entry. A request need not fit them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct HeaderPlaces(pub(super) Box<[(HeaderPlace, Template)]>);

/// A place in the headers of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum HeaderPlace {
    /// A header, by its name in lower case and its index among those of this name.
    Field(Box<str>, usize),
    /// A cookie, by its name and its index among those of this name.
    Cookie(Box<[u8]>, usize),
}

impl HeaderPlaces {
    /// Finds the placeholders in the headers of an entry's request.
    pub(super) fn of(headers: &Headers) -> Self {
        let mut found: Vec<(HeaderPlace, Template)> = Vec::new();
        let mut counts: HashMap<HeaderPlace, usize> = HashMap::new();
        let mut add = |place: &dyn Fn(usize) -> HeaderPlace, text: &[u8]| {
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
                    add(&|n| HeaderPlace::Cookie(name.into(), n), value);
                }
            } else {
                add(&|n| HeaderPlace::Field(name.as_str().into(), n), &header.value);
            }
        }
        HeaderPlaces(found.into())
    }

    /// Scores the headers of a request. Of several values at one place the best one counts.
    pub(super) fn score(&self, request: &HeaderMap, values: &PlaceholderValues) -> PlaceholderScore {
        let mut total = PlaceholderScore::default();
        for (place, template) in &self.0 {
            let scores = place.of(request).into_iter().filter_map(|value| template.score(value, values));
            let best = scores.max_by_key(|score| (score.confirmed, score.unknown));
            total.add(best.unwrap_or_else(|| template.unknown_score()));
        }
        total
    }
}

impl HeaderPlace {
    fn of<'r>(&self, request: &'r HeaderMap) -> Vec<&'r [u8]> {
        let values = |name: &str| request.get_all(name).iter().map(::http::HeaderValue::as_bytes);
        match self {
            HeaderPlace::Field(name, _) => values(name).collect(),
            HeaderPlace::Cookie(name, _) => {
                let pairs = values("cookie").flat_map(cookies::pairs);
                pairs.filter(|(other, _)| *other == &**name).map(|(_, value)| value).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_cookies_of_one_name_are_told_apart() {
        let mut headers = Headers::default();
        headers.push("cookie", "sid=REDACTED-sid-1; ".repeat(5_000));
        let HeaderPlaces(places) = HeaderPlaces::of(&headers);
        assert_eq!(places.len(), 5_000);
        assert_eq!(places[4_999].0, HeaderPlace::Cookie(b"sid"[..].into(), 4_999));
    }
}
