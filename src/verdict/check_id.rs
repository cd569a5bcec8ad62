//! The ids of checks. The set is open: reports, `--fail-on` and the exit status handle ids that they do not know.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of a check: a word such as `miss`, or a path such as `drift/field-missing`. `--fail-on`, reports and the log
/// use it as it is.
///
/// Ids are sorted as in [`CheckId::KNOWN`], unknown ones after them by name.
///
/// ```
/// use harproxy::verdict::CheckId;
/// assert_eq!(CheckId::MISS.as_str(), "miss");
/// assert!(CheckId::MISS < CheckId::UNUSED && CheckId::UNUSED < CheckId::new("drift/field-missing"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckId(Cow<'static, str>);

impl CheckId {
    /// A request in scope that no entry answers.
    pub const MISS: CheckId = CheckId::new("miss");
    /// A request outside the scope that was refused.
    pub const OUT_OF_SCOPE: CheckId = CheckId::new("out-of-scope");
    /// A truncated payload was recorded or served.
    pub const TRUNCATED: CheckId = CheckId::new("truncated");
    /// Entries that differ only in redacted places and in their responses: recorded, or served by guess.
    pub const AMBIGUOUS: CheckId = CheckId::new("ambiguous");
    /// No request in scope was seen.
    pub const NO_TRAFFIC: CheckId = CheckId::new("no-traffic");
    pub const UNUSED: CheckId = CheckId::new("unused");
    /// An entry older than `--max-age`.
    pub const STALE: CheckId = CheckId::new("stale");
    /// A request that was sent to the network by `--passthrough` or `--on-miss passthrough`.
    pub const PASSTHROUGH: CheckId = CheckId::new("passthrough");
    /// A WebSocket, which can't be replayed yet.
    pub const WEBSOCKET: CheckId = CheckId::new("websocket");
    /// CMD opened connections that bypass the proxy.
    pub const BYPASS: CheckId = CheckId::new("bypass");
    /// A recording in which nothing was recorded.
    pub const NOTHING_RECORDED: CheckId = CheckId::new("nothing-recorded");
    /// An entry that was recorded as a failure was served.
    pub const FAILED_SERVED: CheckId = CheckId::new("failed-served");
    /// The client refused harproxy's certificate.
    pub const TLS_REFUSED: CheckId = CheckId::new("tls-refused");
    /// A connection or a request that is neither TLS nor HTTP.
    pub const UNREADABLE: CheckId = CheckId::new("unreadable");
    /// An exchange that could not be written to the journal or the fixture.
    pub const LOST: CheckId = CheckId::new("lost");
    /// Upstream sent no response while recording; the exchange is stored as a failure.
    pub const UPSTREAM_FAILED: CheckId = CheckId::new("upstream-failed");

    /// The checks of harproxy in the order in which reports list them, with the words for one finding and for several.
    /// A check of the run as a whole has one sentence.
    pub const KNOWN: &[(CheckId, &str, &str)] = &[
        (CheckId::MISS, "miss", "misses"),
        (CheckId::OUT_OF_SCOPE, "request out of scope", "requests out of scope"),
        (CheckId::TRUNCATED, "truncated answer", "truncated answers"),
        (CheckId::AMBIGUOUS, "ambiguous answer", "ambiguous answers"),
        (CheckId::NO_TRAFFIC, "no request in scope was seen", ""),
        (CheckId::UNUSED, "unused entry", "unused entries"),
        (CheckId::STALE, "stale entry", "stale entries"),
        (CheckId::PASSTHROUGH, "request passed through", "requests passed through"),
        (CheckId::WEBSOCKET, "WebSocket refused", "WebSockets refused"),
        (CheckId::BYPASS, "CMD went past the proxy", ""),
        (CheckId::NOTHING_RECORDED, "nothing was recorded", ""),
        (CheckId::FAILED_SERVED, "recorded failure served", "recorded failures served"),
        (CheckId::TLS_REFUSED, "TLS handshake refused by the client", "TLS handshakes refused by the client"),
        (CheckId::UNREADABLE, "unreadable connection", "unreadable connections"),
        (CheckId::LOST, "what was recorded could not be written", ""),
        (CheckId::UPSTREAM_FAILED, "failure of upstream", "failures of upstream"),
    ];

    /// An id that is known when the program is compiled.
    #[must_use]
    pub const fn new(id: &'static str) -> Self {
        CheckId(Cow::Borrowed(id))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The words for one finding and for several; `None` for an unknown check.
    #[must_use]
    pub fn words(&self) -> Option<(&'static str, &'static str)> {
        CheckId::KNOWN.iter().find(|(known, ..)| known == self).map(|(_, one, several)| (*one, *several))
    }

    /// The position in [`CheckId::KNOWN`]; unknown ids come last.
    fn position(&self) -> usize {
        CheckId::KNOWN.iter().position(|(known, ..)| known == self).unwrap_or(CheckId::KNOWN.len())
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Ord for CheckId {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.position(), &self.0).cmp(&(other.position(), &other.0))
    }
}

impl PartialOrd for CheckId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
