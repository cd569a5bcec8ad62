//! Sending one request: on the right connection, in the right form, and never twice.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use ::http::header::{EXPECT, UPGRADE};
use ::http::request::Parts;
use ::http::{HeaderMap, Request, Response, StatusCode, Version};
use bytes::Bytes;
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use super::answer::{Answer, AnswerBody, ConnectTimings, Hold, Lease};
use super::bare::UnderWay;
use super::connection::InUse;
use super::error::{SendError, UpstreamError};
use super::head::{self, Length};
use super::lane::{Lane, Sending, Want};
use super::pool::OwnConnections;
use super::timeouts::{Overdue, Step};
use super::upload::{Upload, UploadHandle};
use super::{Origin, Session, Upstream};
use crate::body::{Body, BoxError};

/// What came of one attempt.
enum Attempt {
    Answered(Box<Answer>),
    /// Upstream can't have seen it, and the body is whole. Over HTTP/1.1 its head is given back.
    NeverStarted(Option<Body>, Option<Box<Request<()>>>),
}

impl Upstream {
    /// Sends a request; the future waits for the head of the answer. Where a connection is at hand the request has been handed over when this
    /// returns. It is called within a runtime, and a future that is dropped closes the connection, or resets the stream.
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
    pub fn send<B>(
        &self,
        own: &OwnConnections,
        session: Session,
        to: Origin,
        request: Request<B>,
    ) -> impl Future<Output = Result<Box<Answer>, SendError>> + Send
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        // What needs not be waited for is done before: a future has room for all that it is ever given as long as it is there, and is moved with it.
        let mut ask = Ask::new(request);
        let sent =
            self.lane_at_hand(own, &to, ask.want).map(|lane| self.hand_over(lane, Duration::ZERO, &to, &mut ask));
        async move {
            if let Some(sent) = sent {
                match self.outcome(own, &session, &to, sent?).await? {
                    Attempt::Answered(answer) => return Ok(answer),
                    Attempt::NeverStarted(body, head) => ask.begin_again(body, head),
                }
            }
            Box::pin(self.insist(own, &session, &to, ask)).await
        }
    }

    /// Sends a request for which a connection has to be waited for, or that was given back unsent.
    async fn insist(
        &self,
        own: &OwnConnections,
        session: &Session,
        to: &Origin,
        mut ask: Box<Ask>,
    ) -> Result<Box<Answer>, SendError> {
        if let Some(error) = own.take_failure(to) {
            return Err(error.into());
        }
        loop {
            let (lane, blocked) = self.lane(own, session, to, ask.want).await?;
            let sent = self.hand_over(lane, blocked, to, &mut ask)?;
            match self.outcome(own, session, to, sent).await? {
                Attempt::Answered(answer) => return Ok(answer),
                Attempt::NeverStarted(body, head) => ask.begin_again(body, head),
            }
        }
    }

    /// Hands a request over to a connection.
    fn hand_over(&self, mut lane: Lane, blocked: Duration, to: &Origin, ask: &mut Ask) -> Result<Sent, UpstreamError> {
        let head = match &lane {
            Lane::Http1(connection) => head::http1(&mut ask.parts, to, &connection.form, ask.length),
            Lane::Http2(..) => head::http2(&ask.parts, to, ask.length),
        };
        let head = head.map_err(|source| UpstreamError::Request { to: to.clone(), source })?;
        let (expects, upgrades) = (expects_continue(head.headers()), head.headers().contains_key(UPGRADE));
        let had_body = ask.body.is_some();
        let (upload, upload_handle) = Upload::new(ask.body.take(), expects);
        let mut request = head.map(|()| upload);
        if let Some(upload) = upload_handle.as_ref().filter(|_| expects) {
            open_on_continue(&mut request, upload.clone());
        }
        let (fresh, heard, in_use) = (lane.take_fresh(), lane.heard(), lane.begin());
        let under_way = lane.take_under_way();
        let answer = lane.send(request);
        let upload = upload_handle;
        let sent_at = under_way.map_or_else(Instant::now, |sent| sent.sent_at);
        Ok(Sent { lane, blocked, fresh, heard, in_use, had_body, upgrades, upload, sent_at, under_way, answer })
    }

    /// Waits for the answer to a request that was handed over.
    async fn outcome(
        &self,
        own: &OwnConnections,
        session: &Session,
        to: &Origin,
        mut sent: Sent,
    ) -> Result<Attempt, SendError> {
        let limit = self.timeouts.answer;
        let mut alarm = sent.lane.take_alarm();
        let answered = {
            let mut overdue = Overdue::new(sent.upload.as_ref(), sent.sent_at, limit, &mut alarm);
            let answer = &mut sent.answer;
            let answered = poll_fn(|cx| match answer.as_mut().poll(cx) {
                Poll::Ready(answered) => Poll::Ready(Some(answered)),
                Poll::Pending => Pin::new(&mut overdue).poll(cx).map(|()| None),
            });
            // The connection goes, or the stream is reset: nobody would know what an answer that still came was to.
            answered.await.ok_or_else(|| UpstreamError::Timeout {
                step: Step::Answer,
                to: to.clone(),
                proxy: None,
                limit,
            })?
        };
        sent.lane.keep_alarm(alarm);
        match answered {
            Ok(response) => sent.answered(own, to, response, self.timeouts.idle),
            Err(error) => {
                let mut failure = Failure::of(error, &sent.lane, sent.heard);
                // hyper would not know.
                failure.unseen &= sent.under_way.is_none();
                if let Lane::Http2(connection, _) = &sent.lane
                    && failure.unseen
                {
                    // It takes no more requests, whatever hyper thinks of it.
                    self.shared.slot(session, to).forget(connection.id);
                }
                failure.judge(to, sent.fresh.is_some(), sent.had_body, sent.upload.as_ref())
            }
        }
    }
}

/// A request that is to be sent.
struct Ask {
    parts: Parts,
    body: Option<Body>,
    length: Length,
    want: Want,
}

impl Ask {
    fn new<B>(request: Request<B>) -> Box<Self>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
        let length = match body.size_hint().exact() {
            _ if body.is_end_stream() => Length::Empty,
            Some(length) => Length::Known(length),
            None => Length::Unknown,
        };
        let body = (length != Length::Empty).then(|| Body::boxed(body));
        let want = Want { http2: parts.version == Version::HTTP_2, bytes: head::upgrades(&parts.headers) };
        Box::new(Ask { parts, body, length, want })
    }

    /// Nothing of it was sent: this is what is given back.
    fn begin_again(&mut self, body: Option<Body>, head: Option<Box<Request<()>>>) {
        self.body = body;
        head.into_iter().for_each(|head| head::give_back(&mut self.parts, *head));
    }
}

/// A request that was handed over to a connection.
struct Sent {
    lane: Lane,
    /// How long it waited for that.
    blocked: Duration,
    /// What making it took, if it was made for this.
    fresh: Option<ConnectTimings>,
    /// Bytes that had been heard on it.
    heard: u64,
    in_use: InUse,
    had_body: bool,
    /// It asked for another protocol.
    upgrades: bool,
    upload: Option<UploadHandle>,
    sent_at: Instant,
    /// What is known of one that had been sent before it was handed over.
    under_way: Option<UnderWay>,
    answer: Sending,
}

impl Sent {
    fn answered(
        self,
        own: &OwnConnections,
        to: &Origin,
        mut response: Response<Incoming>,
        upload_timeout: Duration,
    ) -> Result<Attempt, SendError> {
        let answered_at = self.under_way.and_then(|sent| sent.answered_at).unwrap_or_else(Instant::now);
        let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if is_upgrade && !self.upgrades {
            // The client would take what follows for whatever it waits for next.
            return Err(UpstreamError::Broken { to: to.clone(), source: Box::new(Unasked) }.into());
        }
        if let Some(upload) = &self.upload {
            upload.commit();
        }
        let Sent { lane, blocked, fresh: connect, in_use, upload, sent_at, .. } = self;
        let (connection, remote) = lane.whose();
        lane.tell_names(&mut response);
        let informational = lane.informational();
        let hold = match lane {
            _ if is_upgrade => Hold::Upgraded,
            Lane::Http1(connection) => Hold::Http1 { connection, in_use, to: to.clone(), own: own.weak() },
            Lane::Http2(..) => Hold::Http2 { _in_use: in_use },
        };
        let lease = Lease { upload, hold, upload_timeout };
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

/// A 100 lets the upload begin.
fn open_on_continue(request: &mut Request<Upload>, upload: UploadHandle) {
    hyper::ext::on_informational(request, move |answer| {
        if answer.status() == StatusCode::CONTINUE {
            upload.open();
        }
    });
}
