//! Renders the environment changes for `docker run`: as arguments, and as an `--env-file` for values that need quoting.

use std::path::Path;

use super::env::VariableChange;
use harproxy_support::shell_quote::is_plain;

/// Host name of this machine inside a container. Docker Desktop defines it; elsewhere `--add-host` does.
pub const HOST: &str = "host.docker.internal";

/// Loopback hosts that a container reaches without the proxy: its loopback interface is not this machine's.
pub const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Returns the arguments for `docker run $(…) IMAGE`, one per line, without characters that a shell splits or expands.
/// `folder` holds the files of the run and is mounted read-only at the same path. `file` is the file that contains
/// [`variables`].
pub fn arguments(changes: &[VariableChange], folder: &Path, file: &Path) -> String {
    let plain = changes.iter().filter(|change| fits(change));
    let mut lines: Vec<String> =
        plain.map(|change| format!("-e {}={}", change.variable, change.value.to_string_lossy())).collect();
    lines.push(format!("--env-file {}", harproxy_support::shell_quote::path(file)));
    let folder = folder.to_string_lossy();
    lines.push(format!("-v {}", harproxy_support::shell_quote::word(&format!("{folder}:{folder}:ro"))));
    lines.push(format!("--add-host={HOST}:host-gateway"));
    lines.join("\n") + "\n"
}

/// Returns the variables that are not safe as arguments, in `--env-file` syntax: the value extends to the end of the
/// line.
pub fn variables(changes: &[VariableChange]) -> String {
    let others = changes.iter().filter(|change| !fits(change));
    others.map(|change| format!("{}={}\n", change.variable, change.value.to_string_lossy())).collect()
}

/// Returns true if the value is safe in an unquoted argument. An empty value is safe because nothing follows the `=`.
fn fits(change: &VariableChange) -> bool {
    change.value.is_empty() || is_plain(&change.value.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_spaces_are_written_to_the_env_file() {
        let change = |variable: &str, value: &str| VariableChange {
            variable: variable.into(),
            value: value.into(),
            purpose: "a test",
        };
        let changes = [
            change("HTTPS_PROXY", "http://a:b@host.docker.internal:8899"),
            change("JAVA_TOOL_OPTIONS", "-Da=b -Dc=d"),
            change("NO_PROXY", "localhost,127.0.0.1"),
            change("HARPROXY_X", ""),
        ];
        let arguments = arguments(&changes, Path::new("/d/docker"), Path::new("/d/docker/env"));
        assert_eq!(
            arguments,
            "-e HTTPS_PROXY=http://a:b@host.docker.internal:8899\n-e NO_PROXY=localhost,127.0.0.1\n-e HARPROXY_X=\n\
             --env-file /d/docker/env\n-v /d/docker:/d/docker:ro\n--add-host=host.docker.internal:host-gateway\n"
        );
        assert_eq!(variables(&changes), "JAVA_TOOL_OPTIONS=-Da=b -Dc=d\n");
    }
}
