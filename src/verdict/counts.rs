//! The counts of a run.

use serde::{Deserialize, Serialize};

use super::request::ResultKind;

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

impl Counts {
    /// Counts a request by its result. A tunnel counts as passed.
    pub fn count_request(&mut self, result: ResultKind) {
        self.requests += 1;
        let count = match result {
            ResultKind::Served => &mut self.served,
            ResultKind::Miss => &mut self.misses,
            ResultKind::OutOfScope => &mut self.out_of_scope,
            ResultKind::Noise => &mut self.noise,
            ResultKind::Refused => &mut self.refused,
            ResultKind::Preflight => &mut self.preflights,
            ResultKind::Local => &mut self.local,
            ResultKind::Recorded => &mut self.recorded,
            ResultKind::Live | ResultKind::Passed | ResultKind::Tunnel => &mut self.passed,
        };
        *count += 1;
    }
}

impl<'a> std::iter::Sum<&'a Counts> for Counts {
    fn sum<I: Iterator<Item = &'a Counts>>(counts: I) -> Self {
        let mut sum = Counts::default();
        counts.for_each(|counts| sum += counts);
        sum
    }
}
