//! Output for CI systems: GitHub annotations and step summary, GitLab code quality. A failure to write it is only a
//! warning.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::event::Event;
use super::ui::{LogFormat, Ui};
use super::{advice, files};
use crate::verdict::report::{Report, github, gitlab, plain};
use harproxy_support::printable::Shown as _;

/// File for GitLab's `artifacts: reports: codequality`.
pub const CODE_QUALITY: &str = "gl-code-quality-report.json";
/// Maximum size of a step summary in bytes. GitHub shows nothing of a longer one.
const MAX_SUMMARY: u64 = 1024 * 1024;

/// The CI system that harproxy runs in, detected by its variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ci {
    /// GitHub Actions, and compatible systems.
    GitHub {
        /// The root of the repository.
        workspace: Option<PathBuf>,
        /// The file that the summary of the step is appended to.
        summary: Option<PathBuf>,
    },
    GitLab {
        /// The root of the repository.
        project: Option<PathBuf>,
    },
}

impl Ci {
    #[must_use]
    pub fn detect() -> Option<Ci> {
        Ci::of(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
    }

    fn of(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<Ci> {
        let is = |name: &str| variable(name).is_some_and(|value| value.as_os_str() == "true");
        if is("GITHUB_ACTIONS") {
            Some(Ci::GitHub { workspace: variable("GITHUB_WORKSPACE"), summary: variable("GITHUB_STEP_SUMMARY") })
        } else if is("GITLAB_CI") {
            Some(Ci::GitLab { project: variable("CI_PROJECT_DIR") })
        } else {
            None
        }
    }

    /// Writes the output for the CI system. The first of the `summaries` that fits is the summary of the step.
    pub fn publish(&self, report: &Report, summaries: &[String], ui: &Ui) {
        match self {
            Ci::GitHub { workspace, summary } => {
                let place = |fixture: &str| within(workspace.as_deref(), fixture);
                // The runner also reads commands from standard error, and standard output belongs to CMD. They would
                // break the JSON log format.
                if ui.format == LogFormat::Text {
                    ui.annotations(&github::annotations(report, &place));
                }
                if let Some(path) = summary
                    && let Err(source) = append(path, summaries)
                {
                    let (path, reason) = (path.shown(), advice::one_line(&source));
                    ui.warn(Event::Warning, &format!("the summary of this step cannot be added to {path}: {reason}"));
                }
            }
            Ci::GitLab { project } => {
                let place = |fixture: &str| within(project.as_deref(), fixture);
                let written = files::write(CODE_QUALITY.as_ref(), gitlab::render(report, &place).as_bytes());
                if let Err(failure) = written {
                    let reason = advice::one_line(&failure);
                    let text = format!("the code quality for this merge request cannot be written: {reason}");
                    ui.warn(Event::Warning, &text);
                }
            }
        }
    }
}

/// Returns the path of a fixture in the repository of the CI system, or relative to the working directory.
#[must_use]
pub fn place(fixture: &str) -> String {
    let root = match Ci::detect() {
        Some(Ci::GitHub { workspace, .. }) => workspace,
        Some(Ci::GitLab { project }) => project,
        None => None,
    };
    within(root.as_deref(), fixture)
}

/// Returns a path relative to the root of the repository. A path outside is unchanged.
fn within(root: Option<&Path>, path: &str) -> String {
    let inside = root.and_then(|root| {
        let absolute = std::path::absolute(path).ok()?;
        Some(absolute.strip_prefix(root).ok()?.display().to_string())
    });
    let path = inside.unwrap_or_else(|| plain(path));
    // Fixture names on Unix could contain a backslash, but this is rare enough.
    path.replace('\\', "/")
}

/// Appends the first summary that the file has room for.
fn append(path: &Path, summaries: &[String]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let room = MAX_SUMMARY.saturating_sub(file.metadata()?.len());
    match summaries.iter().find(|text| text.len() as u64 <= room) {
        Some(text) => file.write_all(text.as_bytes()),
        None => Err(io::Error::new(io::ErrorKind::StorageFull, "it already has the greatest length that GitHub shows")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_system_is_detected_by_its_variables() {
        let of = |set: &'static [(&str, &str)]| {
            Ci::of(move |name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| PathBuf::from(value)))
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("GITHUB_ACTIONS", "false"), ("GITHUB_STEP_SUMMARY", "/x")]), None);
        assert_eq!(of(&[("CI", "true")]), None);
        let Some(Ci::GitHub { workspace: None, summary: Some(_) }) =
            of(&[("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "/x")])
        else {
            panic!("GitHub")
        };
        assert_eq!(of(&[("GITLAB_CI", "true")]), Some(Ci::GitLab { project: None }));
    }

    #[test]
    fn paths_are_relative_to_the_root_of_the_repository() {
        let here = std::env::current_dir().unwrap();
        let root = here.parent().unwrap();
        let name = here.file_name().unwrap().to_str().unwrap();
        assert_eq!(within(Some(root), "hars/api.har"), format!("{name}/hars/api.har"));
        assert_eq!(within(Some(&here), "./hars/api.har"), "hars/api.har");
        assert_eq!(within(None, "./hars//api.har"), "hars/api.har");
        assert_eq!(within(Some(&here), "/elsewhere/api.har"), "/elsewhere/api.har");
    }
}
