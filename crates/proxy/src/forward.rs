//! Forwards a request, an Upgrade included, for handlers that let requests through.

use ::http::header::HeaderValue;
use ::http::{Request, Response, StatusCode};
use bytes::Bytes;
use hyper::upgrade::OnUpgrade;

use crate::body::{Body, BoxError};
use crate::handler::Close;
use crate::origin::Origin;
use crate::respond::MARK;
use crate::tunnel::splice;
use crate::upstream::{ClientPool, SendError, Upstream, UpstreamError};

/// Forwards a request; `client` is the client's side of an Upgrade. The answer gets `mark` as its `x-harproxy` header.
///
/// # Errors
/// [`Close`] if the request may not be sent again. The inner error says why upstream gave no answer.
pub async fn forward<B>(
    upstream: &Upstream,
    pool: &ClientPool,
    to: &Origin,
    request: Request<B>,
    client: OnUpgrade,
    mark: Option<&'static str>,
) -> Result<Result<Response<Body>, UpstreamError>, Close>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let mut response = match upstream.send(pool, to, request).await {
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
    Ok(Ok(response.map(Body::boxed)))
}
