//! Collects the evidence about CMD, with the addresses of the hosts that matter for it.

use std::ffi::OsString;
use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::diagnose::processes::ProcessReport;
use crate::diagnose::{BypassRules, Evidence, resolve_no_proxy};

/// The time limit for looking up the hosts of `NO_PROXY`, and for those of the scope.
const MAX_LOOKUP: Duration = Duration::from_secs(3);

/// Returns the evidence about CMD. Names are looked up only if that can make a connection a bypass, or no bypass.
pub async fn collect(cmd: &[OsString], command: String, processes: &ProcessReport, rules: BypassRules<'_>) -> Evidence {
    let collect = |rules: &BypassRules<'_>| Evidence::collect(cmd, command.clone(), processes, rules);
    let mut evidence = collect(&rules);
    let mut hosts = rules.hosts.clone();
    let names = evidence.bypasses.unresolved_names(&rules);
    if !names.is_empty() {
        hosts = look_up(hosts, move |hosts| hosts.with_addresses_of(&names)).await;
        evidence = collect(&BypassRules { hosts: &hosts, ..rules });
    }
    if evidence.bypasses.has_likely() {
        let no_proxy = look_up(rules.no_proxy.to_vec(), |no_proxy| resolve_no_proxy(&no_proxy)).await;
        evidence = collect(&BypassRules { hosts: &hosts, no_proxy: &no_proxy, ..rules });
    }
    evidence
}

/// Adds addresses to hosts. Returns the hosts as they are if that takes too long.
async fn look_up<T: Clone + Send + 'static>(hosts: T, resolve: impl FnOnce(T) -> T + Send + 'static) -> T {
    let unresolved = hosts.clone();
    let lookup = spawn_blocking(|| resolve(unresolved));
    tokio::time::timeout(MAX_LOOKUP, lookup).await.ok().and_then(Result::ok).unwrap_or(hosts)
}
