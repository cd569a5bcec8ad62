//! Payloads of answers: read whole to be changed, or sent at a rate, or broken off.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use ::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use ::http::{HeaderValue, Response};
use bytes::Bytes;
use futures_util::stream;
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, Limited, StreamBody};

use crate::source::fixture::with_length;
use harproxy_http::DecodeLimit;
use harproxy_http::coding::{codings, decode};
use harproxy_proxy::Body;

/// The longest payload that rules change, in bytes.
const LONGEST: usize = 64 << 20;
/// The time between two pieces of a payload that is sent at a rate.
const TICK: Duration = Duration::from_millis(50);

/// Reads the payload of an answer, without its content coding.
///
/// # Errors
/// A sentence for the client.
pub async fn read(response: Response<Body>) -> Result<Response<Bytes>, String> {
    let (mut head, body) = response.into_parts();
    let collected = Limited::new(body, LONGEST).collect().await;
    let payload =
        collected.map_err(|_| format!("the answer broke off, or is longer than {} MiB", LONGEST >> 20))?.to_bytes();
    let values = head.headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    let codings = codings(values).ok_or("the content coding of the answer is unknown")?;
    let payload = match codings.is_empty() {
        true => payload,
        false => {
            let limit = DecodeLimit::new(LONGEST as u64).bytes();
            decode(&codings, &payload, limit).ok_or("the payload of the answer can't be decoded")?.into()
        }
    };
    head.headers.remove(CONTENT_ENCODING);
    head.headers.remove(TRANSFER_ENCODING);
    Ok(Response::from_parts(head, payload))
}

/// Returns an answer with a payload and its length.
#[must_use]
pub fn with_payload(response: Response<Bytes>) -> Response<Body> {
    let length = response.body().len();
    let mut response = response.map(Body::full);
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

/// Returns an answer whose payload ends after `kept` bytes with an error: the connection breaks off.
#[must_use]
pub fn broken_off(response: Response<Bytes>, kept: usize) -> Response<Body> {
    let length = response.body().len().max(kept + 1);
    let mut response = response.map(|payload| {
        let piece = payload.slice(..kept.min(payload.len()));
        let broken = io::Error::new(io::ErrorKind::ConnectionReset, "broken off on purpose");
        let frames = [Ok(Frame::data(piece)), Err(broken)];
        Body::boxed(StreamBody::new(stream::iter(frames)))
    });
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

/// Returns an answer whose connection breaks off after the head. Its payload is not read.
#[must_use]
pub fn broken_off_at_once(response: Response<Body>) -> Response<Body> {
    let length = response.body().size_hint().exact();
    let (head, _) = response.into_parts();
    let mut broken = broken_off(Response::from_parts(head, Bytes::new()), 0);
    match length {
        Some(length) => drop(broken.headers_mut().insert(CONTENT_LENGTH, length.max(1).into())),
        None => drop(broken.headers_mut().remove(CONTENT_LENGTH)),
    }
    broken
}

/// Returns an answer whose payload is sent at a rate, in bytes per second.
#[must_use]
pub fn at_rate(response: Response<Bytes>, rate: u64) -> Response<Body> {
    let length = response.body().len();
    let piece = usize::try_from(rate.max(1).div_ceil(20)).unwrap_or(usize::MAX);
    // Less than a byte in a tick: one byte, and a longer time.
    let wait = TICK.max(Duration::from_secs_f64(piece as f64 / rate.max(1) as f64));
    let mut response = response.map(|payload| {
        let frames = stream::unfold(payload, move |mut rest| async move {
            if rest.is_empty() {
                return None;
            }
            tokio::time::sleep(wait).await;
            let sent = rest.split_to(piece.min(rest.len()));
            Some((Ok::<_, Infallible>(Frame::data(sent)), rest))
        });
        with_length(Body::boxed(StreamBody::new(frames)), length as u64)
    });
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}
