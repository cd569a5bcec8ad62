//! Sends a request: on the right connection, with the right headers, and never twice.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::http::header::{EXPECT, UPGRADE};
use ::http::request::Parts;
use ::http::{Request, StatusCode, Version};
use http_body::Body as _;

use super::answer::{Answer, AnswerBody, Lease};
use super::connection::{RequestConnection, Sender};
use super::error::{SendError, UpstreamError, causes};
use super::head::{self, BodyLength};
use super::plan::Step;
use super::pool::ClientPool;
use super::upload::Upload;
use super::{HTTP1, Upstream};
use crate::body::Body;
use crate::origin::Origin;
use harproxy_support::sync::lock;

impl Upstream {
    /// Sends a request and waits for the head of the answer. Dropping the future closes the connection, or resets the
    /// stream.
    ///
    /// The request's URI is absolute. `to` is the origin to connect to: its own, or that of the server that serves it.
    /// Hop-by-hop headers are removed and generated anew, except
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
    pub async fn send(&self, pool: &ClientPool, to: &Origin, request: Request<Body>) -> Result<Answer, SendError> {
        if let Some(error) = pool.take_failure(to) {
            return Err(error.into());
        }
        let (mut parts, body) = request.into_parts();
        parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
        let length = match body.size_hint().exact() {
            _ if body.is_end_stream() => BodyLength::Empty,
            Some(length) => BodyLength::Known(length),
            None => BodyLength::Unknown,
        };
        let http2 = parts.version == Version::HTTP_2;
        // A proxy that forwards requests would send them to the origin of the URI.
        let is_other_host = parts.uri.authority().is_some_and(|authority| *authority != *to.authority());
        let to_origin = head::upgrades(&parts.headers) || is_other_host;
        let body = (length != BodyLength::Empty).then_some(body);
        let mut outgoing = Outgoing { parts, body, length };
        loop {
            let (connection, blocked) = self.reserve(pool, to, http2, to_origin).await?;
            if let Some(answer) = self.attempt(pool, to, connection, blocked, &mut outgoing).await? {
                return Ok(answer);
            }
        }
    }

    /// Sends a request once. Returns `None`, with the body back in `outgoing`, if upstream cannot have seen it.
    async fn attempt(
        &self,
        pool: &ClientPool,
        to: &Origin,
        mut connection: RequestConnection,
        blocked: Duration,
        outgoing: &mut Outgoing,
    ) -> Result<Option<Answer>, SendError> {
        let state = connection.state().clone();
        let form = matches!(connection.sender, Sender::Http1(_)).then_some(&state.form);
        let head = head::make(&outgoing.parts, to, form, outgoing.length);
        let head = head.map_err(|source| UpstreamError::Request { to: to.clone(), source })?;
        let expects_continue =
            head.headers().get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let upgrades = head.headers().contains_key(UPGRADE);
        let (upload, upload_handle) = Upload::new(outgoing.body.take(), expects_continue);
        let mut request = head.map(|()| upload);
        let informational = Arc::new(Mutex::new(Vec::new()));
        let (collected, waiting_upload) = (informational.clone(), upload_handle.clone());
        hyper::ext::on_informational(&mut request, move |answer| {
            if answer.status() == StatusCode::CONTINUE {
                waiting_upload.start();
            }
            lock(&collected).push((answer.status(), answer.headers().clone()));
        });
        let (connect, received) = (lock(&state.fresh).take(), connection.received());
        let sent_at = Instant::now();
        let limit = self.timeouts.answer;
        let answered = tokio::select! {
            biased;
            answered = connection.send(request) => answered,
            // The connection closes, or the stream is reset: a late answer could not be matched to its request.
            () = upload_handle.overdue(sent_at, limit) => {
                return Err(UpstreamError::Timeout { step: Step::Answer, to: to.clone(), proxy: None, limit }.into());
            }
        };
        let answered_at = Instant::now();
        let response = match answered {
            Ok(response) => response,
            Err(mut error) => {
                let is_unwritten = error.take_message().is_some();
                let (error, is_fresh) = (error.into_error(), connect.is_some());
                let h2 = causes(&error).find_map(|cause| cause.downcast_ref::<h2::Error>());
                let needs_http1 = connection.needs_http1();
                if needs_http1 {
                    pool.set_offered(to, vec![HTTP1.to_vec()]);
                }
                let is_unseen = is_unwritten || needs_http1 || h2.is_some_and(is_unprocessed);
                tracing::debug!(%to, %error, is_unseen, is_fresh, "no answer");
                if is_unseen && matches!(connection.sender, Sender::Http2(_)) {
                    // It accepts no more requests, although hyper still reports it as open.
                    self.shared.slot(pool.session(), to).remove(state.id);
                }
                if is_unseen
                    && (needs_http1 || !is_fresh)
                    && let Some(body) = upload_handle.reclaim()
                {
                    outgoing.body = body;
                    return Ok(None);
                }
                // The connection ended without a byte of an answer.
                let is_silent = match received {
                    Some(_) => connection.received() == received,
                    None => h2.is_none_or(|h2| !h2.is_reset()),
                };
                if is_silent && !is_fresh {
                    return Err(SendError::Stale);
                }
                return Err(UpstreamError::Broken { to: to.clone(), source: error.into() }.into());
            }
        };
        let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if is_upgrade && !upgrades {
            // The client would read what follows as the answer to its next request.
            return Err(UpstreamError::Broken { to: to.clone(), source: Box::new(UnexpectedUpgrade) }.into());
        }
        upload_handle.set_answered();
        let lease = Lease {
            upload: upload_handle,
            connection: (!is_upgrade).then_some(connection),
            to: to.clone(),
            pool: pool.downgrade(),
            upload_timeout: self.timeouts.idle,
            is_over: false,
        };
        let informational = std::mem::take(&mut *lock(&informational));
        Ok(Some(Answer {
            response: response.map(|body| AnswerBody::new(body, lease)),
            connection: state.id,
            remote: state.remote,
            connect,
            blocked,
            sent_at,
            answered_at,
            informational,
        }))
    }
}

/// A request on its way upstream.
struct Outgoing {
    parts: Parts,
    /// `None` without a body.
    body: Option<Body>,
    length: BodyLength,
}

/// A 101 to a request that asked for no upgrade (RFC 9110 section 15.2.2).
#[derive(Debug, thiserror::Error)]
#[error("it changed the protocol without having been asked")]
struct UnexpectedUpgrade;

/// Returns true if upstream did not process the stream (RFC 9113 section 8.7): it refused the stream, or its GOAWAY
/// names an earlier stream as the last. (If the connection then ends, h2 reports another error for streams up to the
/// last one.)
fn is_unprocessed(error: &h2::Error) -> bool {
    error.is_remote()
        && (error.is_go_away() || (error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM)))
}
