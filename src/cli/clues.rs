//! Observations about CMD for the advice on runtimes and proxy bypasses.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use crate::child::env::{Change, Facts};
use crate::child::{LookPlan, Observed, Pace, project};
use crate::verdict::clues::{Bounds, Clues, Past};

/// Returns the plan for observing the processes of CMD.
#[must_use]
pub fn observation_plan(facts: &Facts<'_>, ours: &[SocketAddr], pace: Pace) -> LookPlan {
    LookPlan { proxy: facts.proxy.to_string(), ours: ours.to_vec(), pace }
}

/// Returns the hosts that CMD reaches without the proxy: the entries of its `NO_PROXY`.
#[must_use]
pub fn bypassed_hosts(environment: &[Change]) -> Vec<String> {
    let value =
        environment.iter().find(|change| change.variable == "NO_PROXY").map(|change| change.value.to_string_lossy());
    let entries = value.iter().flat_map(|value| value.split(','));
    entries.map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// Returns the `NAME` of a `HARPROXY_URL_NAME` that CMD's arguments use and that is not set.
#[must_use]
pub fn unset_reverse_url(cmd: &[OsString], is_set: impl Fn(&str) -> bool) -> Option<String> {
    const URL: &str = "HARPROXY_URL_";
    let words: Vec<_> = cmd.iter().map(|word| word.to_string_lossy()).collect();
    let mut names = words.iter().flat_map(|word| word.split(URL).skip(1)).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    });
    names.find(|name| !name.is_empty() && !is_set(&format!("{URL}{name}"))).map(str::to_owned)
}

/// Combines the observations of CMD and its project folder.
#[must_use]
pub fn gather(cmd: &[OsString], command: String, observed: Observed, bounds: &Bounds<'_>) -> Clues {
    Clues {
        words: cmd.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        command,
        project: project::look_at(Path::new(".")),
        past: Past::of(&observed.connections, bounds),
        programs: observed.programs,
        unseen: observed.unseen,
        unserved: None,
        is_doctor: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_reverse_url_is_found_in_the_arguments_of_cmd() {
        let cmd =
            ["sh", "-c", "curl \"$HARPROXY_URL_API/a\"; curl ${HARPROXY_URL_PAY}/b HARPROXY_URL_"].map(OsString::from);
        assert_eq!(unset_reverse_url(&cmd, |_| false).as_deref(), Some("API"));
        assert_eq!(unset_reverse_url(&cmd, |name| name == "HARPROXY_URL_API").as_deref(), Some("PAY"));
        assert_eq!(unset_reverse_url(&cmd, |_| true), None);
        assert_eq!(unset_reverse_url(&cmd[..2], |_| false), None);
    }
}
