//! Where an entry's URL and headers have placeholders, and what a request has there.

use std::collections::HashMap;

use ::http::HeaderMap;
use url::form_urlencoded;

use super::key::View;
use super::template::{Spelling, Template, Told, Values};
use harproxy_http::Headers;
use harproxy_redact::placeholder;

/// The parts of a URL that have placeholders in them. What a rule lets vary, or leaves out, is not among those that have to
/// fit, but tells as much.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct UrlPlaces {
    fit: Box<[(Part, Template)]>,
    /// What is not compared.
    aside: Box<[(Part, Template)]>,
}

/// A part of a URL, as [`View`] sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// What stands before the host.
    User,
    /// A segment of the path, from 0.
    Segment(usize),
    /// A parameter by its place among those that count.
    Parameter(usize),
    /// The parameter that is left out, by its name and its place among those of the name.
    Ignored(String, usize),
}

impl UrlPlaces {
    /// In the URL of an entry.
    pub(super) fn of(seen: &View<'_, '_>) -> Self {
        let (mut fit, mut aside) = (Vec::new(), Vec::new());
        if let Some(user) = user(seen)
            && let Some(template) = Template::of(user.as_bytes(), Spelling::Percent)
        {
            // Among origins that count as one nobody looks at it.
            let list = if *seen.origin() == *seen.parts.origin { &mut fit } else { &mut aside };
            list.push((Part::User, template));
        }
        let path = seen.path();
        for (n, (segment, open)) in seen.parts.segments().zip(segments(&path)).enumerate() {
            if let Some(template) = Template::of(segment.as_bytes(), Spelling::Percent) {
                // A rule says that it varies.
                let list = if segment == open { &mut fit } else { &mut aside };
                list.push((Part::Segment(n), template));
            }
        }
        for (n, parameter) in parameters(seen).enumerate() {
            if let Some(template) = Template::of(parameter.as_bytes(), Spelling::Form) {
                fit.push((Part::Parameter(n), template));
            }
        }
        for (name, n, parameter) in ignored(seen) {
            if let Some(template) = Template::of(parameter.as_bytes(), Spelling::Form) {
                aside.push((Part::Ignored(name, n), template));
            }
        }
        UrlPlaces { fit: fit.into(), aside: aside.into() }
    }

    /// Whether a request's URL fits where it has to; and what all of its parts tell.
    pub(super) fn fits(&self, asked: &View<'_, '_>, values: &Values) -> Option<Told> {
        let mut told = Told::default();
        for (part, template) in &self.fit {
            told.add(template.fits(part.of(asked)?.as_bytes(), values)?);
        }
        Some(told)
    }

    /// What the parts tell that need not fit.
    pub(super) fn aside(&self, asked: &View<'_, '_>, values: &Values) -> Told {
        let mut told = Told::default();
        for (part, template) in &self.aside {
            let fits = part.of(asked).and_then(|text| template.fits(text.as_bytes(), values));
            told.add(fits.unwrap_or_else(|| unknown(template)));
        }
        told
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fit.is_empty() && self.aside.is_empty()
    }

    /// What has to fit.
    pub(super) fn to_fit(&self) -> impl Iterator<Item = &Part> {
        self.fit.iter().map(|(part, _)| part)
    }

    /// The placeholders that the request has to tell apart, place by place.
    pub(super) fn places(&self) -> impl Iterator<Item = (&Part, &Template)> {
        self.fit.iter().map(|(part, template)| (part, template))
    }
}

impl Part {
    fn of<'a>(&self, asked: &'a View<'_, '_>) -> Option<&'a str> {
        match self {
            Part::User => user(asked),
            Part::Segment(n) => asked.parts.segments().nth(*n),
            Part::Parameter(n) => parameters(asked).nth(*n),
            Part::Ignored(name, n) => {
                ignored(asked).find(|(other, place, _)| other == name && place == n).map(|(.., parameter)| parameter)
            }
        }
    }
}

/// The shape that a URL must have for some entries to fit: which of its parts may be anything, or have something in them that
/// may.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    user: bool,
    segments: Box<[usize]>,
    parameters: Box<[usize]>,
}

impl Shape {
    /// `None`: no part is open.
    pub(super) fn of(places: &UrlPlaces) -> Option<Self> {
        let (mut user, mut segments, mut parameters) = (false, Vec::new(), Vec::new());
        for part in places.to_fit() {
            match part {
                Part::User => user = true,
                Part::Segment(n) => segments.push(*n),
                Part::Parameter(n) => parameters.push(*n),
                Part::Ignored(..) => {}
            }
        }
        let shape = Shape { user, segments: segments.into(), parameters: parameters.into() };
        (!places.fit.is_empty()).then_some(shape)
    }

    /// What this shape leaves of a URL: equal for all that differ only in its open parts.
    pub(super) fn of_url(&self, seen: &View<'_, '_>) -> String {
        let mut key = self.of_origin(seen);
        key.push_str(&self.of_path(&seen.path()));
        for (n, parameter) in parameters(seen).enumerate() {
            key.push(if n == 0 { '?' } else { '&' });
            match parameter.split_once('=') {
                Some((name, _)) if self.parameters.contains(&n) => key.extend([name, "=", OPEN]),
                None if self.parameters.contains(&n) => key.push_str(OPEN),
                _ => key.push_str(parameter),
            }
        }
        key
    }

    fn of_origin(&self, seen: &View<'_, '_>) -> String {
        let origin = seen.origin();
        match (self.user, origin.split_once("://"), origin.rsplit_once('@')) {
            (true, Some((scheme, _)), Some((_, host))) => format!("{scheme}://{OPEN}@{host}"),
            _ => origin.into_owned(),
        }
    }

    /// The path, with its open segments left out.
    pub(super) fn of_path(&self, path: &str) -> String {
        let mut open = String::with_capacity(path.len());
        for (n, segment) in segments(path).enumerate() {
            open.push('/');
            open.push_str(if self.segments.contains(&n) { OPEN } else { segment });
        }
        open
    }

    /// Whether some segment of the path is open.
    pub(super) fn opens_path(&self) -> bool {
        !self.segments.is_empty()
    }
}

/// How long a path and a query are, in segments and parameters: shapes fit those of their own.
pub(super) fn size(seen: &View<'_, '_>) -> (usize, usize) {
    (seen.parts.segments().count(), parameters(seen).count())
}

/// No URL in normal form has braces in its path, and a query only where nobody wrote them so.
const OPEN: &str = "{*}";

fn user<'u>(seen: &View<'_, 'u>) -> Option<&'u str> {
    let origin: &'u str = seen.parts.origin;
    Some(origin.split_once("://")?.1.rsplit_once('@')?.0)
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

/// The parameters that count, as they are written.
fn parameters<'u>(seen: &View<'_, 'u>) -> impl Iterator<Item = &'u str> {
    let query: Option<&'u str> = seen.parts.query;
    query.into_iter().flat_map(|query| query.split('&')).filter(|parameter| !seen.ignores(parameter))
}

/// Those that don't: name, place among those of the name, and all of it.
fn ignored<'u>(seen: &View<'_, 'u>) -> impl Iterator<Item = (String, usize, &'u str)> {
    let query: Option<&'u str> = seen.parts.query;
    let ignored = query.into_iter().flat_map(|query| query.split('&')).filter(|parameter| seen.ignores(parameter));
    let mut names: Vec<String> = Vec::new();
    ignored.filter_map(move |parameter| {
        let name = form_urlencoded::parse(parameter.as_bytes()).next()?.0.into_owned();
        let place = names.iter().filter(|other| **other == name).count();
        names.push(name.clone());
        Some((name, place, parameter))
    })
}

/// The placeholders in an entry's request headers. Nothing there has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct HeaderPlaces(Box<[(HeaderPlace, Template)]>);

/// A place in a request's headers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum HeaderPlace {
    /// A header, by its name in lower case and its place among those of the name.
    Field(Box<str>, usize),
    /// A cookie, by the same.
    Cookie(Box<[u8]>, usize),
}

impl HeaderPlaces {
    pub(super) fn of(headers: &Headers) -> Self {
        let mut found: Vec<(HeaderPlace, Template)> = Vec::new();
        let mut namesakes: HashMap<HeaderPlace, usize> = HashMap::new();
        let mut add = |place: &dyn Fn(usize) -> HeaderPlace, text: &[u8]| {
            if let Some(template) = Template::of(text, Spelling::Plain) {
                let n = namesakes.entry(place(0)).or_default();
                found.push((place(*n), template));
                *n += 1;
            }
        };
        for header in headers.iter().filter(|header| placeholder::may_occur_in(&header.value)) {
            let name = header.name.to_ascii_lowercase();
            if name == "cookie" {
                for (name, value) in cookies(&header.value) {
                    add(&|n| HeaderPlace::Cookie(name.into(), n), value);
                }
            } else {
                add(&|n| HeaderPlace::Field(name.as_str().into(), n), &header.value);
            }
        }
        HeaderPlaces(found.into())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a request's headers tell: of each place, the value that tells most for the entry.
    pub(super) fn told(&self, request: &HeaderMap, values: &Values) -> Told {
        let mut told = Told::default();
        for (place, template) in &self.0 {
            let sent = place.of(request).into_iter().filter_map(|value| template.fits(value, values));
            told.add(sent.max_by_key(|told| (told.back, told.open)).unwrap_or_else(|| unknown(template)));
        }
        told
    }

    pub(super) fn places(&self) -> impl Iterator<Item = (&HeaderPlace, &Template)> {
        self.0.iter().map(|(place, template)| (place, template))
    }
}

impl HeaderPlace {
    fn of<'r>(&self, request: &'r HeaderMap) -> Vec<&'r [u8]> {
        let values = |name: &str| request.get_all(name).iter().map(::http::HeaderValue::as_bytes);
        match self {
            HeaderPlace::Field(name, _) => values(name).collect(),
            HeaderPlace::Cookie(name, _) => {
                let pairs = values("cookie").flat_map(cookies);
                pairs.filter(|(other, _)| *other == &**name).map(|(_, value)| value).collect()
            }
        }
    }
}

/// The pairs of a `Cookie` header; one without `=` is a value without a name.
fn cookies(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pairs = header.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty());
    pairs.map(|pair| match pair.iter().position(|byte| *byte == b'=') {
        Some(equals) => (&pair[..equals], &pair[equals + 1..]),
        None => (&b""[..], pair),
    })
}

/// Whether a text has placeholders, and another fits it.
pub(super) fn fits(recorded: &str, sent: &str, spelling: Spelling) -> bool {
    placeholder::may_occur_in(recorded.as_bytes())
        && Template::of(recorded.as_bytes(), spelling)
            .is_some_and(|template| template.fits(sent.as_bytes(), &Values::default()).is_some())
}

/// What a place tells in which the request has nothing that fits.
fn unknown(template: &Template) -> Told {
    Told { open: template.placeholders().count(), ..Told::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_one_name_are_told_apart_however_many_there_are() {
        let mut headers = Headers::default();
        headers.push("cookie", "sid=REDACTED-sid-1; ".repeat(5_000));
        let HeaderPlaces(places) = HeaderPlaces::of(&headers);
        assert_eq!(places.len(), 5_000);
        assert_eq!(places[4_999].0, HeaderPlace::Cookie(b"sid"[..].into(), 4_999));
    }
}
