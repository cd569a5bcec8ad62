//! Headers whose values differ from answer to answer though nothing changed.

/// Dates and validators, and what numbers requests. The length of a payload is compared by its bytes, and the validator of an
/// equal payload says nothing more.
const VOLATILE: [&str; 19] = [
    "age",
    "b3",
    "cf-ray",
    "content-length",
    "date",
    "etag",
    "expires",
    "server-timing",
    "traceparent",
    "tracestate",
    "x-amz-cf-id",
    "x-amz-id-2",
    "x-amz-request-id",
    "x-amzn-requestid",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "x-correlation-id",
    "x-request-id",
    "x-runtime",
];

/// Whether a header of this name, in lower case, is one of them.
///
/// ```
/// use harproxy::http::volatile::is_volatile;
/// assert!(is_volatile("date") && !is_volatile("content-type"));
/// ```
#[must_use]
pub fn is_volatile(name: &str) -> bool {
    VOLATILE.contains(&name)
}
