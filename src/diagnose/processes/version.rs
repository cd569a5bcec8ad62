//! Reads the version of a program from its path, without running it.

use std::path::Path;

/// Number of path components that are searched, from the end.
const MAX_COMPONENTS: usize = 4;

/// Returns the version: `~/.nvm/versions/node/v20.11.0/bin/node` is 20.11.0,
/// `/usr/lib/jvm/java-17-openjdk-amd64/bin/java` 17, `/usr/bin/python3.11` 3.11.
pub(super) fn of(program: &Path) -> Option<String> {
    let names = program.components().rev().filter_map(|component| component.as_os_str().to_str());
    names.take(MAX_COMPONENTS).find_map(number)
}

/// Returns the first number in a name, if the text before it is empty or the name of a runtime.
fn number(name: &str) -> Option<String> {
    let begin = name.find(|c: char| c.is_ascii_digit())?;
    let length = name[begin..].find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(name.len() - begin);
    let version = name[begin..begin + length].trim_end_matches('.');
    let word = name[..begin].trim_end_matches(['-', '@']);
    let known = ["", "v", "go", "java", "jdk", "temurin", "zulu", "corretto", "node", "python", "ruby", "php", "pypy"];
    (known.contains(&word) && version.len() <= 16).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_from_known_paths() {
        for (path, version) in [
            ("/home/a/.nvm/versions/node/v20.11.0/bin/node", Some("20.11.0")),
            ("/usr/lib/jvm/java-17-openjdk-amd64/bin/java", Some("17")),
            ("/root/.pyenv/versions/3.12.4/bin/python3.12", Some("3.12")),
            ("/usr/bin/python3.11", Some("3.11")),
            ("/usr/local/go1.22/bin/go", Some("1.22")),
            ("/usr/bin/curl", None),
            ("/opt/area51/bin/tool", None),
            ("/usr/bin/node", None),
        ] {
            assert_eq!(of(Path::new(path)).as_deref(), version, "{path}");
        }
    }
}
