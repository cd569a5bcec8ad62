//! The counts of a run.

use serde::{Deserialize, Serialize};

/// Defines [`Counts`] and their sum, so that a count is added in one line.
macro_rules! counts {
    ($($(#[$attribute:meta])* $name:ident,)+) => {
        /// The counts of a run. Every request of a replay is in exactly one of `served` (fixture), `local`, `passed`
        /// (live), `preflights` (made up), `misses`, `noise`, `outOfScope` and `refused`.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct Counts {
            $($(#[$attribute])* pub $name: u64,)+
        }

        impl std::ops::AddAssign<&Counts> for Counts {
            fn add_assign(&mut self, other: &Counts) {
                $(self.$name = self.$name.saturating_add(other.$name);)+
            }
        }
    };
}

counts! {
    requests,
    /// Answered from an entry.
    served,
    /// In scope without an entry.
    misses,
    /// Sent to a server of this machine, out of scope.
    local,
    /// Sent to the network (`--passthrough`, `--on-miss`), or forwarded without being recorded.
    passed,
    /// Noise that was refused (replay) or not stored (record).
    noise,
    /// Refused as out of scope.
    out_of_scope,
    /// CORS preflights that harproxy answered.
    preflights,
    /// Refused because they can't be replayed: WebSockets, incomplete payloads, invalid URLs.
    refused,
    followed,
    /// Truncated payloads among those served.
    truncated,
    /// Recorded failures among those served.
    failures,
    tunnels,
    /// Requests that got 407. They are not among the requests, since clients may send credentials only when asked. Only
    /// findings use the number.
    #[serde(skip)]
    unauthorized,
    upstream_connections,
    recorded,
    /// Different secrets that were redacted in what was recorded.
    redacted,
    /// Payloads that could not be searched for secrets.
    opaque,
    /// Payload bytes sent to clients.
    bytes,
}

impl<'a> std::iter::Sum<&'a Counts> for Counts {
    fn sum<I: Iterator<Item = &'a Counts>>(counts: I) -> Self {
        counts.fold(Counts::default(), |mut sum, counts| {
            sum += counts;
            sum
        })
    }
}
