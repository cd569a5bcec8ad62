//! Renders the environment changes for a shell, a `.env` file or JSON, each with its own quoting.

use std::iter;

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
        if self == Shell::Json {
            return json(changes);
        }
        let mut text = String::new();
        let mut purpose = "";
        for change in changes {
            if change.purpose != purpose {
                purpose = change.purpose;
                text += &format!("# {purpose}\n");
            }
            text += &self.line(&change.variable, &change.value.to_string_lossy());
            text.push('\n');
        }
        text
    }

    fn line(self, name: &str, value: &str) -> String {
        match self {
            Shell::Sh => format!("export {name}={}", harproxy_support::shell_quote::word(value)),
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

fn json(changes: &[VariableChange]) -> String {
    let lines = changes.iter().map(|change| Shell::Json.line(&change.variable, &change.value.to_string_lossy()));
    format!("{{\n  {}\n}}\n", lines.collect::<Vec<_>>().join(",\n  "))
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
}
