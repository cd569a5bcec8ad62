//! What a run knows of CMD beside its traffic.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use crate::child::env::{Change, Facts};
use crate::child::{LookPlan, Observed, Pace, project};
use crate::verdict::clues::{Bounds, Clues, Past};

/// What to look for in CMD's processes.
#[must_use]
pub fn to_look_for(facts: &Facts<'_>, ours: &[SocketAddr], pace: Pace) -> LookPlan {
    LookPlan { proxy: facts.proxy.to_string(), ours: ours.to_vec(), pace }
}

/// What CMD reaches without the proxy: the entries of the variable that it is given.
#[must_use]
pub fn let_past(environment: &[Change]) -> Vec<String> {
    let value =
        environment.iter().find(|change| change.variable == "NO_PROXY").map(|change| change.value.to_string_lossy());
    let entries = value.iter().flat_map(|value| value.split(','));
    entries.map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// The `NAME` of a `HARPROXY_URL_NAME` that CMD's words speak of and that is not set.
#[must_use]
pub fn unserved(cmd: &[OsString], is_set: impl Fn(&str) -> bool) -> Option<String> {
    const URL: &str = "HARPROXY_URL_";
    let words: Vec<_> = cmd.iter().map(|word| word.to_string_lossy()).collect();
    let mut names = words.iter().flat_map(|word| word.split(URL).skip(1)).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    });
    names.find(|name| !name.is_empty() && !is_set(&format!("{URL}{name}"))).map(str::to_owned)
}

/// Puts together what was seen of CMD, and the folder that it ran in.
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
    fn an_address_that_nothing_serves_is_found_in_cmd() {
        let cmd =
            ["sh", "-c", "curl \"$HARPROXY_URL_API/a\"; curl ${HARPROXY_URL_PAY}/b HARPROXY_URL_"].map(OsString::from);
        assert_eq!(unserved(&cmd, |_| false).as_deref(), Some("API"));
        assert_eq!(unserved(&cmd, |name| name == "HARPROXY_URL_API").as_deref(), Some("PAY"));
        assert_eq!(unserved(&cmd, |_| true), None);
        assert_eq!(unserved(&cmd[..2], |_| false), None);
    }
}
