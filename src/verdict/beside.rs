//! Findings about what came through the proxy and is no request: one wording for recordings and replays.

use super::{Counts, Finding, Kind, Severity};

/// Inside a CONNECT to `authority` (`host:port`) came neither TLS nor HTTP, and it went nowhere.
#[must_use]
pub fn unreadable(authority: &str) -> Finding {
    let explanation = format!("what came inside the CONNECT to {authority} was neither TLS nor HTTP: it went nowhere");
    warning(explanation, format!("`--bypass {authority}` lets CMD reach it without the proxy"))
}

/// A recording let a tunnel to `authority` pass that could have been in scope, and could not read it.
#[must_use]
pub fn unread(authority: &str) -> Finding {
    let explanation = format!(
        "the tunnel to {authority} was neither TLS nor HTTP: it passed untouched, and a replay has nothing to answer it with"
    );
    warning(explanation, format!("`--bypass {authority}` lets CMD reach it without the proxy, in a replay too"))
}

/// A request's head was no HTTP.
#[must_use]
pub fn bad_head(reason: &str) -> Finding {
    let explanation = format!("a request was no HTTP and got 400 before anything looked at it: {reason}");
    let remedy = "mend the client: `<`, `>`, a backtick and bytes that are no UTF-8 are percent-encoded in a URL, and a request \
                  has one length";
    warning(explanation, remedy.to_owned())
}

/// All that came was turned away, since its credentials were missing or wrong: what a finding that there was nothing says then.
#[must_use]
pub fn unauthorized(counts: &Counts, kind: Kind, severity: Severity) -> Option<Finding> {
    let came = match counts.unauthorized {
        _ if counts.requests > 0 => return None,
        0 => return None,
        1 => "the one request that came".to_owned(),
        n => format!("each of the {n} requests that came"),
    };
    let explanation = format!("{came} got 407: the user name and password of `--auth` were missing or wrong");
    let remedy = "put them into the client's proxy URL, as CMD has it in HTTP_PROXY and HTTPS_PROXY: `http://USER:PASS@HOST:PORT`; a \
                  program that reads no credentials from there, such as a JVM, is given them in its own way";
    Some(Finding { remedy: Some(remedy.to_owned()), ..Finding::new(kind, severity, explanation) })
}

fn warning(explanation: String, remedy: String) -> Finding {
    Finding { remedy: Some(remedy), ..Finding::new(Kind::Unreadable, Severity::Warning, explanation) }
}
