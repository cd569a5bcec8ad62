//! Sends a request: on the right connection, with the right headers, and never twice.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::http::header::{EXPECT, UPGRADE};
use ::http::request::Parts;
use ::http::{HeaderMap, Request, StatusCode, Version};
use bytes::Bytes;
use http_body::Body as HttpBody;
use hyper::client::conn::TrySendError;

use super::Upstream;
use super::answer::{Answer, AnswerBody, Lease};
use super::error::{SendError, UpstreamError, causes};
use super::head::{self, BodyLength};
use super::pool::ClientPool;
use super::reserve::{RequestConnection, Requirements};
use super::timeouts::{Step, overdue};
use super::upload::{Upload, UploadHandle};
use crate::body::{Body, BoxError};
use crate::origin::Origin;
use harproxy_support::sync::lock;

/// The result of one attempt to send a request.
enum Attempt {
    Answered(Box<Answer>),
    /// Upstream cannot have seen the request. Its body, if it has one, is complete.
    NotSent(Option<Body>),
}

impl Upstream {
    /// Sends a request and waits for the head of the answer. Dropping the future closes the connection, or resets the
    /// stream.
    ///
    /// The request's URI is absolute and `to` is its origin. Hop-by-hop headers are removed and generated anew, except
    /// `TE: trailers` and, over HTTP/1.1, an Upgrade. A 101 answer then carries the connection: use
    /// `hyper::upgrade::on` on the answer, and on the request before it is sent. Other headers keep their order and,
    /// between two HTTP/1.1 connections, their case. Nothing is added. The request goes upstream in its own HTTP
    /// version if upstream supports it.
    ///
    /// With `Expect: 100-continue` the body is not polled before upstream's 100, a final answer, or one second. On a
    /// final answer the body is dropped and the connection is closed.
    ///
    /// # Errors
    /// [`SendError`]. A request is never sent twice. A request that upstream cannot have seen is sent again on a new
    /// connection.
    pub async fn send<B>(&self, pool: &ClientPool, to: &Origin, request: Request<B>) -> Result<Answer, SendError>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        self.send_outgoing(pool, to, Outgoing::new(request)).await
    }

    async fn send_outgoing(&self, pool: &ClientPool, to: &Origin, mut request: Outgoing) -> Result<Answer, SendError> {
        if let Some(error) = pool.take_failure(to) {
            return Err(error.into());
        }
        loop {
            let (connection, blocked) = self.reserve(pool, to, request.requirements).await?;
            match self.attempt(pool, to, connection, blocked, &mut request).await? {
                Attempt::Answered(answer) => return Ok(*answer),
                Attempt::NotSent(body) => request.body = body,
            }
        }
    }

    async fn attempt(
        &self,
        pool: &ClientPool,
        to: &Origin,
        mut connection: RequestConnection,
        blocked: Duration,
        outgoing: &mut Outgoing,
    ) -> Result<Attempt, SendError> {
        let head = match &connection {
            RequestConnection::Http1(connection, _) => {
                head::http1(&outgoing.parts, to, &connection.form, outgoing.length)
            }
            RequestConnection::Http2 { .. } => head::http2(&outgoing.parts, to, outgoing.length),
        };
        let head = head.map_err(|source| UpstreamError::Request { to: to.clone(), source })?;
        let (expects, upgrades) = (expects_continue(head.headers()), head.headers().contains_key(UPGRADE));
        let had_body = outgoing.body.is_some();
        let (upload, upload_handle) = Upload::new(outgoing.body.take(), expects);
        let mut request = head.map(|()| upload);
        let informational = Informational::collect(&mut request, upload_handle.clone().filter(|_| expects));
        let (connect, received) = (connection.take_fresh(), connection.received());
        let sent_at = Instant::now();
        let limit = self.timeouts.answer;
        let answered = tokio::select! {
            biased;
            answered = connection.send(request) => answered,
            // The connection closes, or the stream is reset: a late answer could not be matched to its request.
            () = overdue(upload_handle.as_ref(), sent_at, limit) => {
                return Err(UpstreamError::Timeout { step: Step::Answer, to: to.clone(), proxy: None, limit }.into());
            }
        };
        let answered_at = Instant::now();
        let response = match answered {
            Ok(response) => response,
            Err(error) => {
                let failure = Failure::of(error, &connection, received);
                if let RequestConnection::Http2 { connection, .. } = &connection
                    && failure.unseen
                {
                    // It accepts no more requests, although hyper still reports it as open.
                    self.shared.slot(pool.session(), to).remove(connection.id);
                }
                return failure.judge(to, connect.is_some(), had_body, upload_handle.as_ref());
            }
        };
        let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if is_upgrade && !upgrades {
            // The client would read what follows as the answer to its next request.
            return Err(UpstreamError::Broken { to: to.clone(), source: Box::new(UnexpectedUpgrade) }.into());
        }
        if let Some(upload) = &upload_handle {
            upload.set_answered();
        }
        let (id, remote) = connection.id_and_remote();
        let lease = Lease {
            upload: upload_handle,
            connection: (!is_upgrade).then_some(connection),
            to: to.clone(),
            pool: pool.downgrade(),
            upload_timeout: self.timeouts.idle,
        };
        Ok(Attempt::Answered(Box::new(Answer {
            response: response.map(|body| AnswerBody::new(body, lease)),
            connection: id,
            remote,
            connect,
            blocked,
            sent_at,
            answered_at,
            informational: informational.take(),
        })))
    }
}

/// A request on its way upstream.
struct Outgoing {
    parts: Parts,
    body: Option<Body>,
    length: BodyLength,
    requirements: Requirements,
}

impl Outgoing {
    fn new<B>(request: Request<B>) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
        let length = match body.size_hint().exact() {
            _ if body.is_end_stream() => BodyLength::Empty,
            Some(length) => BodyLength::Known(length),
            None => BodyLength::Unknown,
        };
        let body = (length != BodyLength::Empty).then(|| Body::boxed(body));
        let http2 = parts.version == Version::HTTP_2;
        let requirements = Requirements { http2, to_origin: head::upgrades(&parts.headers) };
        Outgoing { parts, body, length, requirements }
    }
}

/// Collects the 1xx answers to a request. hyper reports none over HTTP/2.
#[derive(Clone, Default)]
struct Informational(Arc<Mutex<Vec<(StatusCode, HeaderMap)>>>);

impl Informational {
    /// Registers with hyper. A 100 starts `upload`.
    fn collect(request: &mut Request<Upload>, upload: Option<UploadHandle>) -> Self {
        let informational = Informational::default();
        let collected = informational.clone();
        hyper::ext::on_informational(request, move |answer| {
            if let Some(upload) = upload.as_ref().filter(|_| answer.status() == StatusCode::CONTINUE) {
                upload.start();
            }
            lock(&collected.0).push((answer.status(), answer.headers().clone()));
        });
        informational
    }

    fn take(&self) -> Vec<(StatusCode, HeaderMap)> {
        std::mem::take(&mut lock(&self.0))
    }
}

/// A 101 to a request that asked for no upgrade (RFC 9110 section 15.2.2).
#[derive(Debug, thiserror::Error)]
#[error("it changed the protocol without having been asked")]
struct UnexpectedUpgrade;

/// A request without an answer, and whether upstream can have seen it.
struct Failure {
    error: hyper::Error,
    /// Upstream cannot have seen the request: it was not written, or upstream says so.
    unseen: bool,
    /// The connection ended without a byte of an answer.
    silent: bool,
}

impl Failure {
    fn of(
        mut error: TrySendError<Request<Upload>>,
        connection: &RequestConnection,
        received_before: Option<u64>,
    ) -> Self {
        let is_unwritten = error.take_message().is_some();
        let error = error.into_error();
        let h2 = find_h2(&error);
        Failure {
            unseen: is_unwritten || h2.is_some_and(never_processed),
            silent: match connection {
                RequestConnection::Http1(..) => connection.received() == received_before,
                RequestConnection::Http2 { .. } => h2.is_none_or(|h2| !h2.is_reset()),
            },
            error,
        }
    }

    fn judge(
        self,
        to: &Origin,
        fresh: bool,
        had_body: bool,
        upload: Option<&UploadHandle>,
    ) -> Result<Attempt, SendError> {
        tracing::debug!(%to, error = %self.error, unseen = self.unseen, fresh, "no answer");
        if self.unseen && !fresh {
            let whole = upload.and_then(UploadHandle::reclaim);
            if whole.is_some() == had_body {
                return Ok(Attempt::NotSent(whole));
            }
        }
        if self.silent && !fresh {
            return Err(SendError::Stale);
        }
        Err(UpstreamError::Broken { to: to.clone(), source: self.error.into() }.into())
    }
}

/// Returns true if upstream did not process the stream (RFC 9113 section 8.7): it refused the stream, or its GOAWAY
/// names an earlier stream as the last. (If the connection then ends, h2 reports another error for streams up to the
/// last one.)
fn never_processed(error: &h2::Error) -> bool {
    error.is_remote()
        && (error.is_go_away() || (error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM)))
}

fn find_h2(error: &hyper::Error) -> Option<&h2::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
