//! The line about configuration files that turn a protection off or send requests elsewhere. A pull request can change
//! such a file, so a run never applies it without a word.

use indexmap::IndexMap;
use serde_json::json;

use super::config::{Origin, Setting};
use super::event::Event;
use super::ui::Ui;
use harproxy_support::printable::one_line;

/// Prints a line for each file that sets such options. `--quiet` does not suppress it: the file could set it, too.
pub fn print(risky: &[Setting], ui: &Ui) {
    for (file, settings) in by_file(risky) {
        let shown: Vec<String> = settings.iter().map(|setting| shown(setting)).collect();
        let text = one_line(&format!("from {file}: {}", shown.join(", "))).into_owned();
        ui.say(Event::Warning, &text, json!({ "file": file, "settings": settings }));
    }
}

fn by_file(settings: &[Setting]) -> IndexMap<&str, Vec<&Setting>> {
    let mut files: IndexMap<&str, Vec<&Setting>> = IndexMap::new();
    for setting in settings {
        if let Origin::File(at) = &setting.source {
            files.entry(&at.file).or_default().push(setting);
        }
    }
    files
}

/// Returns the option with its values, which contain no credentials. `**` stands for all URLs.
fn shown(setting: &Setting) -> String {
    let words = setting.words().filter(|word| *word != "**");
    std::iter::once(setting.key()).chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config::FilePosition;

    #[test]
    fn option_is_shown_with_its_values() {
        let setting = |name: &str, value| Setting {
            name: format!("record.{name}"),
            value,
            meaning: None,
            source: Origin::File(FilePosition { file: "harproxy.toml".into(), line: 2, column: 1 }),
        };
        let settings = [
            setting("no-redact", json!(true)),
            setting("insecure", json!(["**"])),
            setting("map", json!(["a.test=127.0.0.1", "b.test=127.0.0.2"])),
            setting("upstream-proxy", json!("http://(redacted)@proxy:3128")),
            Setting { source: Origin::Default, ..setting("allow-remote", json!(true)) },
        ];
        let files = by_file(&settings);
        let line: Vec<String> = files["harproxy.toml"].iter().map(|setting| shown(setting)).collect();
        assert_eq!(
            line.join(", "),
            "no-redact, insecure, map a.test=127.0.0.1 b.test=127.0.0.2, upstream-proxy http://(redacted)@proxy:3128"
        );
    }
}
