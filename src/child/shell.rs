//! The same changes as text to paste or to evaluate: one function a shell, each with that shell's quoting.

use super::env::Change;
use harproxy_support::shell_quote::is_plain;

/// A form in which variables are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// POSIX: sh, bash, zsh, dash.
    Sh,
    /// fish.
    Fish,
    /// PowerShell.
    PowerShell,
    /// A `.env` file, as the dotenv libraries and Docker Compose read it.
    Dotenv,
    /// One JSON object: name → value.
    Json,
}

impl Shell {
    /// Every form, by the name that `--shell` takes.
    pub const ALL: &[(&str, Shell)] = &[
        ("sh", Shell::Sh),
        ("fish", Shell::Fish),
        ("powershell", Shell::PowerShell),
        ("dotenv", Shell::Dotenv),
        ("json", Shell::Json),
    ];

    /// What begins a comment; JSON has none.
    #[must_use]
    pub fn comment(self) -> Option<&'static str> {
        (self != Shell::Json).then_some("#")
    }

    /// The changes in this form, a line each, comments where the form has them.
    #[must_use]
    pub fn render(self, changes: &[Change]) -> String {
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
            Shell::Json => format!("{}: {}", quoted_json(name), quoted_json(value)),
        }
    }
}

/// fish: in single quotes only `\` and `'` are escaped.
#[must_use]
pub fn fish(value: &str) -> String {
    if is_plain(value) { value.to_owned() } else { format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'")) }
}

/// PowerShell: in single quotes a quote is doubled, and the typographic ones count as quotes too.
#[must_use]
pub fn powershell(value: &str) -> String {
    let mut quoted = String::from("'");
    for c in value.chars() {
        if matches!(c, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}') {
            quoted.push(c);
        }
        quoted.push(c);
    }
    quoted.push('\'');
    quoted
}

/// dotenv: bare if it can be (`docker run --env-file` takes quotes for text), literal in single quotes, else escaped in
/// double ones.
#[must_use]
pub fn dotenv(value: &str) -> String {
    if is_plain(value) {
        value.to_owned()
    } else if !value.contains(['\'', '\n', '\r']) {
        format!("'{value}'")
    } else {
        let mut quoted = String::from("\"");
        for c in value.chars() {
            match c {
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                '"' | '\\' | '$' | '`' => quoted.extend(['\\', c]),
                _ => quoted.push(c),
            }
        }
        quoted.push('"');
        quoted
    }
}

fn json(changes: &[Change]) -> String {
    let lines = changes.iter().map(|change| Shell::Json.line(&change.variable, &change.value.to_string_lossy()));
    format!("{{\n  {}\n}}\n", lines.collect::<Vec<_>>().join(",\n  "))
}

fn quoted_json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
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

    fn change(value: &str) -> Change {
        Change { variable: "HARPROXY_T".into(), value: value.into(), purpose: "a test" }
    }

    /// What a real shell makes of it, if the shell is here.
    fn evaluated(shell: &str, args: &[&str], script: &str) -> Option<String> {
        let output = Command::new(shell).args(args).arg(script).env_remove("HARPROXY_T").output().ok()?;
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn a_real_shell_reads_back_every_value() {
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
    fn each_quoting_has_its_own_escape() {
        assert_eq!(fish(r"it's \ x"), r"'it\'s \\ x'");
        assert_eq!(powershell("it's ‘x’"), "'it''s ‘‘x’’'");
        assert_eq!(dotenv("http://127.0.0.1:1"), "http://127.0.0.1:1");
        assert_eq!(dotenv("a $b"), "'a $b'");
        assert_eq!(dotenv("it's $b\n"), r#""it's \$b\n""#);
        assert_eq!(dotenv(""), "''");
    }

    #[test]
    fn json_is_one_object() {
        let text = Shell::Json.render(&[change("it's \"q\""), Change { variable: "B".into(), ..change("") }]);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value, serde_json::json!({"HARPROXY_T": "it's \"q\"", "B": ""}));
    }

    #[test]
    fn a_purpose_is_said_once() {
        let text = Shell::Sh.render(&[change("1"), change("2")]);
        assert_eq!(text, "# a test\nexport HARPROXY_T=1\nexport HARPROXY_T=2\n");
    }
}
