//! Entries of fixtures as comparisons see them.

use std::borrow::Cow;

use harproxy_compare::{Body, Content, Request, Response};
use harproxy_har::{Entry, Error, Fixture, Payload, model};
use harproxy_http::NormalUrl;

pub fn request<'e>(entry: &'e Entry, body: Body<'e>) -> Request<'e> {
    let model::Request { method, url, headers, .. } = &entry.request;
    Request { method: method.into(), url: normal_url(url).into(), headers: Cow::Borrowed(headers), body }
}

pub fn response<'e>(entry: &'e Entry, body: Body<'e>) -> Response<'e> {
    let model::Response { status, status_text, http_version, headers, trailers, .. } = &entry.response;
    let failure = entry.harproxy.as_ref().and_then(|own| own.get("error")?.get("kind")?.as_str());
    Response {
        status: *status,
        reason: http_version.starts_with("HTTP/1").then(|| status_text.into()),
        headers: Cow::Borrowed(headers),
        trailers: Cow::Borrowed(trailers),
        body,
        failure: failure.map(Cow::Borrowed),
    }
}

pub fn request_body(fixture: &Fixture, at: usize, entry: &Entry) -> Result<Body<'static>, Error> {
    entry.request.post_data.as_ref().map_or_else(|| Ok(Body::empty()), |data| body(fixture, at, data))
}

pub fn response_body(fixture: &Fixture, at: usize, entry: &Entry) -> Result<Body<'static>, Error> {
    body(fixture, at, &entry.response.content)
}

pub fn body(fixture: &Fixture, at: usize, body: &model::Body) -> Result<Body<'static>, Error> {
    let failed = |source| Error::Io { doing: "reading a payload of", path: fixture.path().to_owned(), source };
    Ok(Body {
        media_type: body.mime_type.clone().into(),
        content: match fixture.payload(at, body)? {
            Payload::NotRecorded => Content::NotKept,
            payload => Content::read(&mut payload.reader()?).map_err(failed)?,
        },
        is_encoded: body.encoded,
        cut: body.truncated.as_ref().map(|cut| cut.reason.clone().into()),
    })
}

/// Returns the normal form of a URL, or the URL itself if it has none.
pub fn normal_url(url: &str) -> String {
    NormalUrl::parse(url).map_or_else(|_| url.to_owned(), String::from)
}
