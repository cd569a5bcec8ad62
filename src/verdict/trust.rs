//! Who trusted our certificates and who did not.
//!
//! Browsers open a connection ahead of need, find a certificate they don't know, and come again with the exception that a
//! test runner made for them. A refusal is worth telling only of a host of which nobody ever took our certificate.

use std::collections::HashSet;

use indexmap::IndexMap;

use super::Finding;

/// The handshakes of a run, by `host:port`.
#[derive(Debug, Default)]
pub struct Trust {
    refused: IndexMap<String, Finding>,
    trusted: HashSet<String>,
}

impl Trust {
    /// A client refused the certificate for `host`; the same again is counted.
    pub fn refused(&mut self, host: String, finding: Finding) {
        let times = finding.times;
        match self.refused.entry(host) {
            indexmap::map::Entry::Occupied(mut known) => known.get_mut().times += times,
            indexmap::map::Entry::Vacant(vacant) => drop(vacant.insert(finding)),
        }
    }

    /// A client asked for something over a connection with the certificate for `host`.
    pub fn trusted(&mut self, host: String) {
        self.trusted.insert(host);
    }

    /// The refusals of hosts that no client trusted, in order of first appearance.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.refused.iter().filter(|(host, _)| !self.trusted.contains(*host)).map(|(_, finding)| finding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Kind, Severity};

    #[test]
    fn a_refusal_counts_only_where_nobody_trusted() {
        let mut trust = Trust::default();
        for host in ["pinned.test:443", "api.test:443", "pinned.test:443"] {
            trust.refused(host.to_owned(), Finding::new(Kind::TlsRefused, Severity::Warning, host));
        }
        trust.trusted("api.test:443".to_owned());
        let told: Vec<_> = trust.findings().map(|finding| (&*finding.explanation, finding.times)).collect();
        assert_eq!(told, [("pinned.test:443", 2)]);
    }
}
