//! Findings about connections, and about requests that the engine could not read.
//! Record, replay and `doctor` use the same texts.

use serde::{Deserialize, Serialize};

use super::fail_on::{CheckId, Severity};
use super::findings::Finding;
use super::request::Counts;

/// Returns the finding for a CONNECT to `authority` (`host:port`) that carried neither TLS nor HTTP, and was closed.
#[must_use]
pub fn unreadable_tunnel(authority: &str, severity: Severity) -> Finding {
    let text = format!("the CONNECT to {authority} carried neither TLS nor HTTP, and was closed");
    unreadable(severity, text, format!("`--bypass {authority}` lets CMD reach it without the proxy"))
}

/// Returns the finding for a tunnel to `authority` in scope that a recording forwarded and could not read.
#[must_use]
pub fn unrecorded_tunnel(authority: &str) -> Finding {
    let text = format!(
        "the tunnel to {authority} carried neither TLS nor HTTP: it was forwarded and not recorded, so a replay can't answer it"
    );
    unreadable(
        Severity::Warning,
        text,
        format!("`--bypass {authority}` lets CMD reach it without the proxy, in a replay too"),
    )
}

/// Returns the finding for a request whose head was not valid HTTP, or longer than a limit.
#[must_use]
pub fn malformed_head(reason: &str, is_too_long: bool, severity: Severity) -> Finding {
    if is_too_long {
        let text = format!("a request was refused, because its head is too long: {reason}");
        let hint = "send a shorter URL, or fewer or shorter headers: a long body in the place of a long query, \
                    and no cookies of earlier tests";
        return unreadable(severity, text, hint);
    }
    let text = format!("a request was not valid HTTP and was refused: {reason}");
    let hint = "fix the client: percent-encode the characters of URLs, and send one length per request";
    unreadable(severity, text, hint)
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

fn unreadable(severity: Severity, text: String, hint: impl Into<String>) -> Finding {
    Finding::new(CheckId::UNREADABLE, severity, text).with_hint(hint)
}

/// Lists at most `max` items: `a, b and 3 more`.
#[must_use]
pub fn listed<T: AsRef<str>>(items: &[T], max: usize) -> String {
    let (named, more) = items.split_at(items.len().min(max));
    let named: Vec<&str> = named.iter().map(AsRef::as_ref).collect();
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    format!("{}{more}", named.join(", "))
}

/// The observation of CMD's connections in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionObservation {
    /// True if connections were sampled. False if CMD ended too soon, and on systems on which they cannot be observed.
    pub sampled: bool,
    /// True if CMD ended before a program could be observed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended_too_soon: bool,
    /// True if CMD ran in a network of its own (`--isolate`), in which only harproxy and named services exist.
    #[serde(default, rename = "isolated", skip_serializing_if = "std::ops::Not::not")]
    pub is_isolated: bool,
    /// Connections past the proxy that are no bypass, such as those to a database.
    pub other_connections: Vec<ObservedConnection>,
}

/// A connection of a program of CMD that did not lead to the proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObservedConnection {
    pub program: String,
    /// `ip:port`.
    pub address: String,
    /// `tcp` or `udp`.
    pub protocol: String,
}

impl ConnectionObservation {
    /// Adds the observation of another run.
    pub fn extend(&mut self, other: &ConnectionObservation) {
        self.sampled &= other.sampled;
        self.ended_too_soon |= other.ended_too_soon;
        self.is_isolated &= other.is_isolated;
        for connection in &other.other_connections {
            if !self.other_connections.contains(connection) {
                self.other_connections.push(connection.clone());
            }
        }
    }

    /// Lists the other connections in one line: `10.0.0.7:5432 (psql), …`. `None` without any.
    #[must_use]
    pub fn other_connections_line(&self) -> Option<String> {
        let named = |connection: &ObservedConnection| format!("{} ({})", connection.address, connection.program);
        let named: Vec<String> = self.other_connections.iter().map(named).collect();
        (!named.is_empty()).then(|| format!("other connections: {}", listed(&named, MAX_LISTED)))
    }
}

/// Maximum number of other connections in a line.
const MAX_LISTED: usize = 8;
