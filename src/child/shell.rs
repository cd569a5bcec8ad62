//! Renders the environment changes for a shell, a `.env` file or JSON, each with its own quoting, and for `docker run`.

use std::iter;
use std::path::Path;

use super::env::VariableChange;
use harproxy_support::shell_quote::is_plain;
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// POSIX shells: sh, bash, zsh, dash.
    Sh,
    Fish,
    PowerShell,
    /// A `.env` file for dotenv libraries and Docker Compose.
    Dotenv,
    /// A JSON object that maps names to values.
    Json,
}

impl Shell {
    pub const ALL: &[(&str, Shell)] = &[
        ("sh", Shell::Sh),
        ("fish", Shell::Fish),
        ("powershell", Shell::PowerShell),
        ("dotenv", Shell::Dotenv),
        ("json", Shell::Json),
    ];

    /// Returns the comment prefix; `None` for JSON.
    pub fn comment(self) -> Option<&'static str> {
        (self != Shell::Json).then_some("#")
    }

    /// Renders the changes one per line, preceded by their purpose as a comment. JSON has no comments.
    pub fn render(self, changes: &[VariableChange]) -> String {
        let line = |change: &VariableChange| self.line(&change.variable, &change.value.to_string_lossy());
        if self == Shell::Json {
            return format!("{{\n  {}\n}}\n", changes.iter().map(line).collect::<Vec<_>>().join(",\n  "));
        }
        let mut text = String::new();
        let mut purpose = "";
        for change in changes {
            if change.purpose != purpose {
                purpose = change.purpose;
                text += &format!("# {purpose}\n");
            }
            text += &line(change);
            text.push('\n');
        }
        text
    }

    fn line(self, name: &str, value: &str) -> String {
        match self {
            Shell::Sh => format!("export {name}={}", harproxy_support::shell_quote::literal(value)),
            Shell::Fish => format!("set -gx {name} {}", fish(value)),
            Shell::PowerShell => format!("$env:{name} = {}", powershell(value)),
            Shell::Dotenv => format!("{name}={}", dotenv(value)),
            Shell::Json => format!("{}: {}", Value::from(name), Value::from(value)),
        }
    }
}

/// Quotes a value for fish, where single quotes escape only `\` and `'`.
pub fn fish(value: &str) -> String {
    if is_plain(value) { value.to_owned() } else { format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'")) }
}

/// Quotes a value for PowerShell by doubling single quotes, including typographic ones.
pub fn powershell(value: &str) -> String {
    let is_quote = |c| matches!(c, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}');
    let doubled: String = value.chars().flat_map(|c| iter::repeat_n(c, if is_quote(c) { 2 } else { 1 })).collect();
    format!("'{doubled}'")
}

/// Quotes a value for dotenv. Plain values stay bare, because `docker run --env-file` does not strip quotes. Other
/// values are single-quoted, or double-quoted with escapes if they contain `'` or line breaks.
pub fn dotenv(value: &str) -> String {
    if is_plain(value) {
        value.to_owned()
    } else if !value.contains(['\'', '\n', '\r']) {
        format!("'{value}'")
    } else {
        let mut quoted = String::new();
        for c in value.chars() {
            match c {
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                '"' | '\\' | '$' | '`' => quoted.extend(['\\', c]),
                _ => quoted.push(c),
            }
        }
        format!("\"{quoted}\"")
    }
}

/// Host name of this machine inside a container. Docker Desktop defines it; elsewhere `--add-host` does.
pub const DOCKER_HOST: &str = "host.docker.internal";

/// Loopback hosts that a container reaches without the proxy: its loopback interface is not this machine's.
pub const CONTAINER_LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Returns the arguments for `docker run $(…) IMAGE`, one per line, without characters that a shell splits or expands.
/// `folder` holds the files of the run and is mounted read-only at the same path. `file` is the file that contains
/// [`docker_variables`].
pub fn docker_arguments(changes: &[VariableChange], folder: &Path, file: &Path) -> String {
    let plain = changes.iter().filter(|change| is_safe_argument(change));
    let mut lines: Vec<String> =
        plain.map(|change| format!("-e {}={}", change.variable, change.value.to_string_lossy())).collect();
    lines.push(format!("--env-file {}", harproxy_support::shell_quote::path(file)));
    let folder = folder.to_string_lossy();
    lines.push(format!("-v {}", harproxy_support::shell_quote::word(&format!("{folder}:{folder}:ro"))));
    lines.push(format!("--add-host={DOCKER_HOST}:host-gateway"));
    lines.join("\n") + "\n"
}

/// Returns the variables that are not safe as arguments, in `--env-file` syntax: the value extends to the end of the
/// line.
pub fn docker_variables(changes: &[VariableChange]) -> String {
    let others = changes.iter().filter(|change| !is_safe_argument(change));
    others.map(|change| format!("{}={}\n", change.variable, change.value.to_string_lossy())).collect()
}

/// Returns true if the value is safe in an unquoted argument. An empty value is safe because nothing follows the `=`.
fn is_safe_argument(change: &VariableChange) -> bool {
    change.value.is_empty() || is_plain(&change.value.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const VALUES: &[&str] = &[
        "",
        "plain/path:1",
        "a b",
        "it's",
        "\"quoted\" \\back\\ $HOME `id` $(id) !1 ~ *",
        "line\nbreak",
        "'; rm -rf /; '",
        "ü ‘’",
        "--require \"/tmp/a b/hook.cjs\"",
    ];

    fn change(value: &str) -> VariableChange {
        VariableChange { variable: "HARPROXY_T".into(), value: value.into(), purpose: "a test" }
    }

    /// Returns the output of a real shell for the script, or `None` if the shell is not installed.
    fn evaluated(shell: &str, args: &[&str], script: &str) -> Option<String> {
        let output = Command::new(shell).args(args).arg(script).env_remove("HARPROXY_T").output().ok()?;
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn real_shells_read_every_value_back() {
        let print = "printenv HARPROXY_T";
        let shells: [(Shell, &str, &[&str], &str); 4] = [
            (Shell::Sh, "sh", &["-c"], print),
            (Shell::Sh, "bash", &["-c"], print),
            (Shell::Fish, "fish", &["-c"], print),
            (Shell::PowerShell, "pwsh", &["-NoProfile", "-Command"], "[Console]::Out.Write($env:HARPROXY_T + \"`n\")"),
        ];
        for (form, shell, args, print) in shells {
            for value in VALUES {
                let script = format!("{}\n{print}", form.render(&[change(value)]));
                match evaluated(shell, args, &script) {
                    Some(read) => assert_eq!(read, format!("{value}\n"), "{shell}"),
                    None => {
                        eprintln!("not tried: {shell} is not here");
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn values_are_escaped_for_each_shell() {
        assert_eq!(fish(r"it's \ x"), r"'it\'s \\ x'");
        assert_eq!(powershell("it's ‘x’"), "'it''s ‘‘x’’'");
        assert_eq!(dotenv("http://127.0.0.1:1"), "http://127.0.0.1:1");
        assert_eq!(dotenv("a $b"), "'a $b'");
        assert_eq!(dotenv("it's $b\n"), r#""it's \$b\n""#);
        assert_eq!(dotenv(""), "''");
    }

    #[test]
    fn json_output_is_one_object() {
        let text = Shell::Json.render(&[change("it's \"q\""), VariableChange { variable: "B".into(), ..change("") }]);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value, serde_json::json!({"HARPROXY_T": "it's \"q\"", "B": ""}));
    }

    #[test]
    fn repeated_purpose_is_printed_once() {
        let text = Shell::Sh.render(&[change("1"), change("2")]);
        assert_eq!(text, "# a test\nexport HARPROXY_T=1\nexport HARPROXY_T=2\n");
    }

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
        let arguments = docker_arguments(&changes, Path::new("/d/docker"), Path::new("/d/docker/env"));
        assert_eq!(
            arguments,
            "-e HTTPS_PROXY=http://a:b@host.docker.internal:8899\n-e NO_PROXY=localhost,127.0.0.1\n-e HARPROXY_X=\n\
             --env-file /d/docker/env\n-v /d/docker:/d/docker:ro\n--add-host=host.docker.internal:host-gateway\n"
        );
        assert_eq!(docker_variables(&changes), "JAVA_TOOL_OPTIONS=-Da=b -Dc=d\n");
    }
}
