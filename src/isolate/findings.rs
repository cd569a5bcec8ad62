//! The findings about refused connections.

use super::{RefusedAttempt, RefusedTarget};
use crate::verdict::{CheckId, Finding, Severity};

/// Returns a finding for each refusal. They fail the run: without `--isolate`, CMD would have reached the address.
#[must_use]
pub fn findings(refusals: &[RefusedAttempt]) -> Vec<Finding> {
    refusals.iter().map(finding).collect()
}

fn finding(RefusedAttempt { program, target }: &RefusedAttempt) -> Finding {
    let program = program.as_deref().unwrap_or("a program of CMD");
    let (text, service) = match target {
        RefusedTarget::Connection { address, is_udp: false } => {
            (format!("{program} connected to {address} without the proxy, which was refused"), address.clone())
        }
        RefusedTarget::Connection { address, is_udp: true } => {
            (format!("{program} sent datagrams to {address}, which were refused"), address.clone())
        }
        RefusedTarget::Name(name) => {
            (format!("{program} looked up {name}, which got no address"), format!("{name}:PORT"))
        }
    };
    let hint = format!(
        "make the client use the proxy: `harproxy doctor -- CMD` says how; for a service that is not HTTP, \
         `--isolate-allow {service}` offers it inside"
    );
    Finding::new(CheckId::BYPASS, Severity::Error, text).with_hint(hint)
}
