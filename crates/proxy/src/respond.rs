//! Responses that harproxy makes itself.

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use ::http::{HeaderValue, Response, StatusCode};

use crate::body::Body;
use harproxy_http::problem::Problem;

/// The header with the source of an answer.
pub const MARK: &str = "x-harproxy";

/// A problem document as a response that is never cached, with `mark` as its [`MARK`] header unless it is empty.
#[must_use]
pub fn problem(problem: &Problem, mark: &str) -> Response<Body> {
    let mut response = Response::new(Body::full(problem.to_json()));
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::NOT_IMPLEMENTED);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(Problem::MEDIA_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(mark) = HeaderValue::from_str(mark)
        && !mark.is_empty()
    {
        headers.insert(MARK, mark);
    }
    response
}
