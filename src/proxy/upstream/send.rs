//! Sending one request: on the right connection, in the right form, and never twice.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::http::header::{EXPECT, UPGRADE};
use ::http::{HeaderMap, Request, StatusCode, Version};
use bytes::Bytes;
use http_body::Body as HttpBody;
use hyper::client::conn::TrySendError;

use super::answer::{Answer, AnswerBody, Hold, Lease};
use super::error::{SendError, UpstreamError};
use super::head::{self, Length};
use super::lane::{Lane, Want};
use super::pool::OwnConnections;
use super::timeouts::{Overdue, Step};
use super::upload::{Upload, UploadHandle};
use super::{Origin, Session, Upstream};
use crate::proxy::body::{Body, BoxError};

/// What came of one attempt.
enum Attempt {
    Answered(Box<Answer>),
    /// Upstream can't have seen it, and the body is whole. Over HTTP/1.1 its head is given back.
    NeverStarted(Option<Body>, Option<Box<Request<()>>>),
}

type Informational = Arc<Mutex<Vec<(StatusCode, HeaderMap)>>>;

impl Upstream {
    /// Sends a request and waits for the head of the answer.
    ///
    /// The request's URI is absolute and `to` is its origin. Hop-by-hop headers are ours: they are removed and made anew;
    /// `TE: trailers` passes, and over HTTP/1.1 an Upgrade, whose 101 then carries the connection (`hyper::upgrade::on` of
    /// the response; take the client's side with `hyper::upgrade::on` of the request before it is sent here). All other
    /// fields go on in order and, between two HTTP/1.1 connections, in the case they came in; nothing is added. The
    /// protocol upstream is that of the request wherever upstream speaks it, so that an HTTP/1.1 client has HTTP/1.1
    /// connections of its own.
    ///
    /// With `Expect: 100-continue` the body is not polled before upstream's 100, a final answer, or one second; on a final
    /// answer it is dropped unsent, and the connection is not used again.
    ///
    /// # Errors
    /// [`SendError`]. A request is never sent twice; one of which upstream can't have seen anything is sent again by
    /// itself, on a fresh connection.
    pub async fn send<B>(
        &self,
        own: &OwnConnections,
        session: &Session,
        to: &Origin,
        request: Request<B>,
    ) -> Result<Answer, SendError>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        if let Some(error) = own.take_failure(to) {
            return Err(error.into());
        }
        let (mut parts, body) = request.into_parts();
        parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
        let length = match body.size_hint().exact() {
            _ if body.is_end_stream() => Length::Empty,
            Some(length) => Length::Known(length),
            None => Length::Unknown,
        };
        let mut body = (length != Length::Empty).then(|| Body::boxed(body));
        let want = Want { http2: parts.version == Version::HTTP_2, bytes: head::upgrades(&parts.headers) };
        loop {
            let (lane, blocked) = self.lane(own, session, to, want).await?;
            let head = match &lane {
                Lane::Http1(connection) => head::http1(&mut parts, to, &connection.form, length),
                Lane::Http2(..) => head::http2(&parts, to, length),
            };
            let head = head.map_err(|source| UpstreamError::Request { to: to.clone(), source })?;
            match self.attempt(own, session, to, lane, blocked, head, body).await? {
                Attempt::Answered(answer) => return Ok(*answer),
                Attempt::NeverStarted(whole, head) => {
                    body = whole;
                    head.into_iter().for_each(|head| head::give_back(&mut parts, *head));
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one exchange's all")]
    async fn attempt(
        &self,
        own: &OwnConnections,
        session: &Session,
        to: &Origin,
        mut lane: Lane,
        blocked: Duration,
        head: Request<()>,
        body: Option<Body>,
    ) -> Result<Attempt, SendError> {
        let had_body = body.is_some();
        let (expects, upgrades) = (expects_continue(head.headers()), head.headers().contains_key(UPGRADE));
        let (upload, handle) = Upload::new(body, expects);
        let mut request = head.map(|()| upload);
        let informational = collect_informational(&mut request, handle.clone());
        let connect = lane.take_fresh();
        let heard = lane.heard();
        let in_use = lane.begin();

        let mut alarm = lane.take_alarm();
        let (sent_at, answered) = tokio::select! {
            biased;
            sent = lane.send(request) => sent,
            // The connection goes, or the stream is reset: nobody would know what an answer that still came was to.
            () = Overdue::new(handle.as_ref(), self.timeouts.answer, &mut alarm) => {
                let limit = self.timeouts.answer;
                return Err(UpstreamError::Timeout { step: Step::Answer, to: to.clone(), proxy: None, limit }.into());
            }
        };
        lane.keep_alarm(alarm);
        let answered_at = Instant::now();
        let response = match answered {
            Ok(response) => response,
            Err(error) => {
                let failure = Failure::of(error, &lane, heard);
                if let Lane::Http2(connection, _) = &lane
                    && failure.unseen
                {
                    // It takes no more requests, whatever hyper thinks of it.
                    self.shared.slot(session, to).forget(connection.id);
                }
                return failure.judge(to, connect.is_some(), had_body, handle.as_ref());
            }
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS && !upgrades {
            // The client would take what follows for whatever it waits for next.
            return Err(UpstreamError::Broken { to: to.clone(), source: Box::new(Unasked) }.into());
        }
        if let Some(upload) = &handle {
            upload.commit();
        }
        let (connection, remote) = lane.whose();
        let hold = match lane {
            _ if response.status() == StatusCode::SWITCHING_PROTOCOLS => Hold::Upgraded,
            Lane::Http1(connection) => Hold::Http1 { connection, in_use, to: to.clone(), own: own.weak() },
            Lane::Http2(..) => Hold::Http2 { _in_use: in_use },
        };
        let lease = Lease { upload: handle, hold, upload_timeout: self.timeouts.idle };
        let informational = std::mem::take(&mut *informational.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Attempt::Answered(Box::new(Answer {
            response: response.map(|body| AnswerBody::new(body, lease)),
            connection,
            remote,
            connect,
            blocked,
            sent_at,
            answered_at,
            informational,
        })))
    }
}

/// A 101 to a request that asked for no other protocol (RFC 9110 section 15.2.2).
#[derive(Debug, thiserror::Error)]
#[error("it changed the protocol without having been asked")]
struct Unasked;

/// Why a request got no answer, and what upstream can know of it.
struct Failure {
    error: hyper::Error,
    /// The head, if it was not begun to be written.
    head: Option<Request<()>>,
    /// Upstream can't have seen it: it was not written, or upstream says so.
    unseen: bool,
    /// The whole connection ended, and nothing was heard on it.
    silent: bool,
}

impl Failure {
    fn of(mut error: TrySendError<Request<Upload>>, lane: &Lane, heard: u64) -> Self {
        let head = error.take_message().map(|request| request.map(drop));
        let error = error.into_error();
        let h2 = find_h2(&error);
        Failure {
            unseen: head.is_some() || h2.is_some_and(never_processed),
            silent: match lane {
                Lane::Http1(connection) => connection.heard.load(Ordering::Relaxed) == heard,
                Lane::Http2(..) => h2.is_none_or(|h2| !h2.is_reset()),
            },
            head,
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
                return Ok(Attempt::NeverStarted(whole, self.head.map(Box::new)));
            }
        }
        if self.silent && !fresh {
            return Err(SendError::Stale);
        }
        Err(UpstreamError::Broken { to: to.clone(), source: self.error.into() }.into())
    }
}

/// Whether upstream says that it did nothing about the stream (RFC 9113 section 8.7): it refused it, or its GOAWAY names an
/// earlier one as the last. (h2 gives streams up to the last one another error when the connection then ends.)
fn never_processed(error: &h2::Error) -> bool {
    error.is_remote()
        && (error.is_go_away() || (error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM)))
}

fn find_h2(error: &hyper::Error) -> Option<&h2::Error> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(h2) = error.downcast_ref::<h2::Error>() {
            return Some(h2);
        }
        source = error.source();
    }
    None
}

fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Keeps the 1xx answers to `request`; a 100 lets its upload begin.
fn collect_informational(request: &mut Request<Upload>, upload: Option<UploadHandle>) -> Informational {
    let kept = Informational::default();
    let keep = kept.clone();
    hyper::ext::on_informational(request, move |answer| {
        if answer.status() == StatusCode::CONTINUE
            && let Some(upload) = &upload
        {
            upload.open();
        }
        keep.lock().unwrap_or_else(PoisonError::into_inner).push((answer.status(), answer.headers().clone()));
    });
    kept
}
