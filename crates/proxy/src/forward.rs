//! Passing a request on, an Upgrade included: what handlers that let requests through have in common. It is given its way and
//! makes none.

use ::http::header::HeaderValue;
use ::http::{Request, Response, StatusCode};
use bytes::Bytes;
use hyper::upgrade::OnUpgrade;

use super::body::{Body, BoxError};
use super::handler::{Close, Origin, Session};
use super::respond::MARK;
use super::splice;
use super::upstream::{OwnConnections, SendError, Upstream, UpstreamError};

/// Sends a request on; `client` is its side of an Upgrade. The answer carries `mark`, if there is one.
///
/// # Errors
/// [`Close`], when the request may not be sent again; inside it, why upstream gave no answer.
pub async fn forward<B>(
    upstream: &Upstream,
    own: &OwnConnections,
    session: &Session,
    to: &Origin,
    request: Request<B>,
    client: OnUpgrade,
    mark: Option<&'static str>,
) -> Result<Result<Response<Body>, UpstreamError>, Close>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let mut response = match upstream.send(own, session.clone(), to.clone(), request).await {
        Ok(answer) => answer.response,
        Err(SendError::Stale) => return Err(Close),
        Err(SendError::Upstream(error)) => return Ok(Err(error)),
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        tokio::spawn(splice(client, hyper::upgrade::on(&mut response)));
    }
    if let Some(mark) = mark {
        response.headers_mut().insert(MARK, HeaderValue::from_static(mark));
    }
    Ok(Ok(response.map(Body::Incoming)))
}
