//! The tap: observes the exchanges that are forwarded and writes them, redacted, into the journal.
//!
//! [`ExchangeTap`] journals the heads and the end of one exchange. [`RequestTap`] and [`ResponseTap`] watch its two
//! bodies and hand them to a [`PayloadTap`](payload::PayloadTap), which chooses how a payload is redacted.

mod body;
mod chunks;
mod duplex;
mod exchange;
mod payload;
mod redact;
mod response_end;

pub use body::{RequestTap, ResponseTap};
pub use exchange::{ExchangeTap, TapContext, Unanswered};
pub use redact::ContentHeaders;

#[cfg(test)]
mod tests;
