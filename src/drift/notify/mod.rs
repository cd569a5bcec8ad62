//! Notifications: messages about a drift report for Slack, Discord and other webhooks.
//!
//! | module | content |
//! | --- | --- |
//! | `message` | the text of a message, within the limits of a chat service |
//! | `slack`, `discord` | payloads with the markup of the service |
//! | `deliver` | webhooks, and the delivery to them |

mod deliver;
mod discord;
mod message;
mod slack;

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

pub use deliver::{DeliveryError, DeliveryProblem, NotifyKind, NotifyTarget, deliver};

use super::report::{DriftReport, json};
use harproxy_proxy::upstream::Upstream;

impl NotifyTarget {
    /// Sends a message about the report.
    ///
    /// # Errors
    /// [`DeliveryError`], also if the variable with the URL is not set.
    pub async fn notify(&self, report: &DriftReport, upstream: &Upstream) -> Result<(), DeliveryError> {
        let problem = |error| DeliveryError { kind: self.kind, problem: DeliveryProblem::MissingUrl(error) };
        let url = self.url().map_err(problem)?;
        deliver(self, &url, payload(self.kind, report), upstream).await
    }
}

/// Returns the JSON payload of a notification. A plain webhook gets the JSON report.
#[must_use]
pub fn payload(kind: NotifyKind, report: &DriftReport) -> String {
    match kind {
        NotifyKind::Slack => slack::payload(report).to_string(),
        NotifyKind::Discord => discord::payload(report).to_string(),
        NotifyKind::Webhook => json::render(report),
    }
}

/// Returns a key of the open findings: the SHA-256 of the set of their endpoints, places and checks, in hexadecimal
/// digits.
///
/// Texts, scores and the order of findings do not change it. Repeated runs send a notification only when it changes.
#[must_use]
pub fn findings_key(report: &DriftReport) -> String {
    let findings: BTreeSet<[String; 3]> = report
        .endpoints
        .iter()
        .flat_map(|endpoint| endpoint.open().map(move |finding| (&endpoint.key, finding)))
        .map(|(key, finding)| [key.to_string(), finding.place.to_string(), finding.check.as_str().to_owned()])
        .collect();
    let mut digest = Sha256::new();
    for part in findings.iter().flatten() {
        // The length separates the parts: names can contain every character.
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
