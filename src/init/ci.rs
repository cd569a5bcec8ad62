//! The lines for a CI system. `docs/guides/ci.md` explains them.

/// A CI system whose configuration is in the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CiSystem {
    GitHub,
    GitLab,
}

impl CiSystem {
    /// Returns the place of the configuration in the repository.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            CiSystem::GitHub => ".github/workflows",
            CiSystem::GitLab => ".gitlab-ci.yml",
        }
    }

    /// Returns the steps (GitHub) or the keys of a job (GitLab) that replay this shell command and keep the reports.
    #[must_use]
    pub fn snippet(self, command: &str) -> String {
        let replay = format!("harproxy replay --report reports/run.html --report reports/junit.xml -- {command}");
        match self {
            CiSystem::GitHub => format!(
                "      - run: {}\n      - uses: actions/upload-artifact@v6\n        if: always()\n        with:\n          name: \
                 harproxy\n          path: reports/\n",
                scalar(&replay, 10)
            ),
            CiSystem::GitLab => format!(
                "  script:\n    - {}\n  artifacts:\n    when: always\n    paths:\n      - reports/\n    reports:\n      junit: \
                 reports/junit.xml\n      codequality: gl-code-quality-report.json\n",
                scalar(&replay, 6)
            ),
        }
    }
}

/// Formats a YAML scalar that begins with a letter: plain, or as a block with this indentation.
fn scalar(text: &str, indent: usize) -> String {
    if !text.contains(": ") && !text.contains(" #") && !text.contains('\n') && !text.ends_with(':') {
        return text.to_owned();
    }
    let lines = text.lines().map(|line| format!("\n{:indent$}{line}", ""));
    format!("|{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snippets_are_those_of_the_guide() {
        let guide = include_str!("../../docs/guides/ci.md");
        for system in [CiSystem::GitHub, CiSystem::GitLab] {
            for line in system.snippet("npm test").lines() {
                assert!(guide.contains(&format!("\n{line}\n")), "{line}");
            }
        }
    }

    #[test]
    fn command_with_special_characters_of_yaml_becomes_a_block() {
        let snippet = CiSystem::GitHub.snippet("sh -c 'echo a: b #c'");
        assert!(snippet.starts_with("      - run: |\n          harproxy replay "), "{snippet}");
        assert!(CiSystem::GitLab.snippet("sh -c 'a\nb'").contains("    - |\n      harproxy replay "));
    }
}
