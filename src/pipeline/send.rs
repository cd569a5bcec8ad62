//! The send stage: marks the response with its outcome, and publishes both.

use ::http::{HeaderName, Response};

use super::exchange::Exchange;
use super::outcome::Outcome;
use crate::source::Answer;
use harproxy_proxy::respond::MARK;
use harproxy_proxy::{Body, Close};

/// The responses that get an `x-harproxy` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    All,
    /// Those that harproxy made because upstream sent none. A recording client should get what upstream sent.
    OwnErrors,
    /// None (`--no-mark`).
    None,
}

impl Marks {
    fn include(self, outcome: &Outcome) -> bool {
        match self {
            Marks::All => true,
            Marks::OwnErrors => outcome.upstream_error.is_some(),
            Marks::None => false,
        }
    }
}

/// The response to send, observed to its end.
pub(super) fn send(answer: Answer, mut exchange: Exchange<'_>, marks: Marks) -> Result<Response<Body>, Close> {
    let answer = match answer {
        Answer::Response(mut response) => {
            mark(&mut response, exchange.outcome(), marks);
            Ok(response)
        }
        Answer::Close | Answer::Pass => Err(Close),
    };
    exchange.into_observation().answer(answer)
}

/// Sets the `x-harproxy` header of a response.
pub(super) fn mark(response: &mut Response<Body>, outcome: &Outcome, marks: Marks) {
    if marks.include(outcome)
        && let Some(mark) = outcome.mark()
    {
        response.headers_mut().insert(HeaderName::from_static(MARK), mark);
    }
}
