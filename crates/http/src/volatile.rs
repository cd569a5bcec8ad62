//! Response headers with values that change although the resource does not.

/// Volatile header names, sorted.
///
/// - Lengths and validators are redundant, because payloads are compared.
/// - Cache states, durations, request ids and quotas depend on earlier requests.
/// - Hop-by-hop fields (RFC 9110 section 7.6.1) depend on the HTTP version.
const VOLATILE: &[&str] = &[
    "age",
    "b3",
    "cf-cache-status",
    "cf-ray",
    "connection",
    "content-length",
    "date",
    "etag",
    "expires",
    "fly-request-id",
    "keep-alive",
    "last-modified",
    "proxy-connection",
    "ratelimit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "report-to",
    "request-id",
    "server-timing",
    "traceparent",
    "traceresponse",
    "tracestate",
    "transfer-encoding",
    "upgrade",
    "x-amz-cf-id",
    "x-amz-cf-pop",
    "x-amz-id-2",
    "x-amz-request-id",
    "x-amzn-requestid",
    "x-amzn-trace-id",
    "x-b3-parentspanid",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-cache",
    "x-cache-hits",
    "x-cloud-trace-context",
    "x-correlation-id",
    "x-datadog-parent-id",
    "x-datadog-trace-id",
    "x-envoy-upstream-service-time",
    "x-github-request-id",
    "x-goog-request-id",
    "x-guploader-uploadid",
    "x-kong-proxy-latency",
    "x-kong-request-id",
    "x-kong-upstream-latency",
    "x-ms-client-request-id",
    "x-ms-correlation-request-id",
    "x-ms-request-id",
    "x-process-time",
    "x-rate-limit-remaining",
    "x-rate-limit-reset",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-used",
    "x-request-id",
    "x-response-time",
    "x-runtime",
    "x-served-by",
    "x-slack-req-id",
    "x-span-id",
    "x-timer",
    "x-trace-id",
    "x-transaction-id",
    "x-vercel-cache",
    "x-vercel-id",
];

/// True for the lower-case name of a volatile header.
///
/// ```
/// use harproxy_http::volatile::is_volatile;
/// assert!(is_volatile("date") && !is_volatile("content-type"));
/// ```
#[must_use]
pub fn is_volatile(name: &str) -> bool {
    VOLATILE.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_by_binary_search() {
        assert!(VOLATILE.is_sorted());
        for name in VOLATILE {
            assert!(is_volatile(name), "{name}");
        }
    }
}
