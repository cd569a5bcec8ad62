//! One table from what went wrong to the answer the client gets: status, problem document, mark.

use ::http::Response;

use super::body::Body;
use crate::http::problem::Problem;

/// The header that says where an answer came from.
pub const MARK: &str = "x-harproxy";

/// A problem document as a response: never cached, marked as `mark` unless it is empty.
#[must_use]
pub fn problem(problem: &Problem, mark: &str) -> Response<Body> {
    let mut response = Response::new(Body::full(problem.to_json()));
    *response.status_mut() =
        ::http::StatusCode::from_u16(problem.status).unwrap_or(::http::StatusCode::NOT_IMPLEMENTED);
    let headers = response.headers_mut();
    headers.insert("content-type", ::http::HeaderValue::from_static(Problem::MEDIA_TYPE));
    headers.insert("cache-control", ::http::HeaderValue::from_static("no-store"));
    if let Ok(mark) = ::http::HeaderValue::from_str(mark)
        && !mark.is_empty()
    {
        headers.insert(MARK, mark);
    }
    response
}
