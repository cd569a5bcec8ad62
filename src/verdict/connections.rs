//! Findings about connections, and about requests that the engine could not read.
//! Record, replay and `doctor` use the same texts.

use super::fail_on::{CheckId, Severity};
use super::findings::Finding;
use super::request::Counts;

/// Returns the finding for a CONNECT to `authority` (`host:port`) that carried neither TLS nor HTTP, and was closed.
#[must_use]
pub fn unreadable_tunnel(authority: &str) -> Finding {
    let text = format!("the CONNECT to {authority} carried neither TLS nor HTTP, and was closed");
    warning(text, format!("`--bypass {authority}` lets CMD reach it without the proxy"))
}

/// Returns the finding for a tunnel to `authority` in scope that a recording forwarded and could not read.
#[must_use]
pub fn unrecorded_tunnel(authority: &str) -> Finding {
    let text = format!(
        "the tunnel to {authority} carried neither TLS nor HTTP: it was forwarded and not recorded, so a replay can't answer it"
    );
    warning(text, format!("`--bypass {authority}` lets CMD reach it without the proxy, in a replay too"))
}

/// Returns the finding for a request whose head was not valid HTTP.
#[must_use]
pub fn malformed_head(reason: &str) -> Finding {
    let text = format!("a request was not valid HTTP and got 400: {reason}");
    let hint = "fix the client: in a URL, percent-encode `<`, `>`, backticks and bytes that are not UTF-8; send one length per \
                request";
    warning(text, hint)
}

/// Returns the finding for a run in which every request got 407. It replaces `check`, the finding for no traffic.
#[must_use]
pub fn unauthorized(counts: &Counts, check: CheckId, severity: Severity) -> Option<Finding> {
    let requests = match counts.unauthorized {
        _ if counts.requests > 0 => return None,
        0 => return None,
        1 => "the one request that came".to_owned(),
        n => format!("each of the {n} requests that came"),
    };
    let text = format!("{requests} got 407: the user name and password of `--auth` were missing or wrong");
    let hint = "put them into the client's proxy URL, as CMD has it in HTTP_PROXY and HTTPS_PROXY: \
                `http://USER:PASS@HOST:PORT`; a program that does not read credentials from there, such as a JVM, \
                has settings of its own";
    Some(Finding::new(check, severity, text).with_hint(hint))
}

fn warning(text: String, hint: impl Into<String>) -> Finding {
    Finding::new(CheckId::UNREADABLE, Severity::Warning, text).with_hint(hint)
}

/// Lists at most `max` items: `a, b and 3 more`.
#[must_use]
pub fn listed<T: AsRef<str>>(items: &[T], max: usize) -> String {
    let (named, more) = items.split_at(items.len().min(max));
    let named: Vec<&str> = named.iter().map(AsRef::as_ref).collect();
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    format!("{}{more}", named.join(", "))
}
