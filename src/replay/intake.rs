//! Request payloads: read when matching needs them, with a limit, else left to flow by.

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};

/// The longest payload that is compared with recorded ones, bytes.
pub const LONGEST_REQUEST: usize = 64 * 1024 * 1024;

/// Why there is no payload to match with.
#[derive(Debug, thiserror::Error)]
pub(super) enum IntakeError {
    /// Longer than [`LONGEST_REQUEST`].
    #[error("the request's payload is longer than {LONGEST_REQUEST} bytes")]
    TooLong,
    /// The client broke off, or sent what is no body.
    #[error("the request's payload broke off")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// All of a payload.
pub(super) async fn read(body: Incoming) -> Result<Bytes, IntakeError> {
    if body.size_hint().lower() > LONGEST_REQUEST as u64 {
        discard(body);
        return Err(IntakeError::TooLong);
    }
    match Limited::new(body, LONGEST_REQUEST).collect().await {
        Ok(all) => Ok(all.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(IntakeError::TooLong),
        Err(error) => Err(IntakeError::Broken(error)),
    }
}

/// Lets a payload that nobody needs arrive beside the answer. Unread, it would make the server close the connection under
/// a client that is still sending, which then sees a broken pipe instead of the answer.
pub(super) fn discard(mut body: Incoming) {
    if !body.is_end_stream() {
        tokio::spawn(async move { while let Some(Ok(_)) = body.frame().await {} });
    }
}
