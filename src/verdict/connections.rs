//! Findings about connections and requests that the engine could not read. Record, replay and `doctor` use the same
//! texts.

use super::check_id::CheckId;
use super::counts::Counts;
use super::finding::{Finding, Severity};

/// A CONNECT to `authority` (`host:port`) carried neither TLS nor HTTP, and was closed.
#[must_use]
pub fn unreadable_tunnel(authority: &str) -> Finding {
    let text = format!("the CONNECT to {authority} carried neither TLS nor HTTP, and was closed");
    warning(text, format!("`--bypass {authority}` lets CMD reach it without the proxy"))
}

/// A recording forwarded a tunnel to `authority` that may be in scope, and could not read it.
#[must_use]
pub fn unrecorded_tunnel(authority: &str) -> Finding {
    let text = format!(
        "the tunnel to {authority} carried neither TLS nor HTTP: it was forwarded and not recorded, so a replay can't answer it"
    );
    warning(text, format!("`--bypass {authority}` lets CMD reach it without the proxy, in a replay too"))
}

/// The head of a request was not valid HTTP.
#[must_use]
pub fn malformed_head(reason: &str) -> Finding {
    let text = format!("a request was not valid HTTP and got 400: {reason}");
    let hint = "fix the client: in a URL, percent-encode `<`, `>`, backticks and bytes that are not UTF-8; send one length per \
                request";
    warning(text, hint)
}

/// Every request got 407. This finding replaces `check`, the one that there was no traffic.
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
                `http://USER:PASS@HOST:PORT`; a program that does not read credentials from there, such as a JVM, has settings of its own";
    Some(Finding::new(check, severity, text).with_hint(hint))
}

fn warning(text: String, hint: impl Into<String>) -> Finding {
    Finding::new(CheckId::UNREADABLE, Severity::Warning, text).with_hint(hint)
}
