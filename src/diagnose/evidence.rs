//! Facts about CMD that a diagnosis is made of, and the functions that collect them.

use std::ffi::OsString;
use std::path::Path;

use super::bypass::{BypassRules, Bypasses};
use super::processes::ProcessReport;
use super::program::Program;
use super::project::Project;

#[derive(Clone, Debug, Default)]
pub struct Evidence {
    pub words: Vec<String>,
    /// The same as a redacted shell command.
    pub command: String,
    /// The folder that it ran in.
    pub project: Project,
    /// The programs that ran; `None` on platforms where harproxy can't list them.
    pub programs: Option<Vec<Program>>,
    pub bypasses: Bypasses,
    /// Programs with connections that closed before their address was read. If the proxy got no connection, these
    /// bypassed it.
    pub short_lived: Vec<String>,
    /// The `NAME` of a `HARPROXY_URL_NAME` in CMD's words that is not set.
    pub unset_url: Option<String>,
    /// Whether the run is `harproxy doctor`, which must not advise to run itself.
    pub is_doctor: bool,
}

impl Evidence {
    /// Combines CMD's words, the report on its processes, and the working directory.
    #[must_use]
    pub fn collect(cmd: &[OsString], command: String, report: ProcessReport, rules: &BypassRules<'_>) -> Self {
        Evidence {
            words: cmd.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            command,
            project: Project::read(Path::new(".")),
            bypasses: Bypasses::find(&report.connections, rules),
            programs: report.programs,
            short_lived: report.short_lived,
            unset_url: None,
            is_doctor: false,
        }
    }
}

/// Splits a value of `NO_PROXY` into its entries.
#[must_use]
pub fn no_proxy_entries(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// Returns the `NAME` of the first `HARPROXY_URL_NAME` in CMD's words that is not set.
#[must_use]
pub fn unset_url(cmd: &[OsString], is_set: impl Fn(&str) -> bool) -> Option<String> {
    const URL: &str = "HARPROXY_URL_";
    let words: Vec<_> = cmd.iter().map(|word| word.to_string_lossy()).collect();
    let mut names = words.iter().flat_map(|word| word.split(URL).skip(1)).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    });
    names.find(|name| !name.is_empty() && !is_set(&format!("{URL}{name}"))).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_url_finds_the_first_name_that_is_not_set() {
        let cmd =
            ["sh", "-c", "curl \"$HARPROXY_URL_API/a\"; curl ${HARPROXY_URL_PAY}/b HARPROXY_URL_"].map(OsString::from);
        assert_eq!(unset_url(&cmd, |_| false).as_deref(), Some("API"));
        assert_eq!(unset_url(&cmd, |name| name == "HARPROXY_URL_API").as_deref(), Some("PAY"));
        assert_eq!(unset_url(&cmd, |_| true), None);
        assert_eq!(unset_url(&cmd[..2], |_| false), None);
    }
}
