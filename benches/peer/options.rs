//! `--name value` and bare words.

use std::collections::HashMap;
use std::str::FromStr;

/// What was typed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    named: HashMap<String, String>,
    pub words: Vec<String>,
}

/// Options that stand alone.
const FLAGS: &[&str] = &["tls", "through", "miss"];

impl Options {
    pub fn read(words: impl Iterator<Item = String>) -> Self {
        let mut options = Options::default();
        let mut words = words;
        while let Some(word) = words.next() {
            match word.strip_prefix("--") {
                Some(name) if FLAGS.contains(&name) => drop(options.named.insert(name.to_owned(), String::new())),
                Some(name) => drop(options.named.insert(name.to_owned(), words.next().unwrap_or_default())),
                None => options.words.push(word),
            }
        }
        options
    }

    pub fn has(&self, name: &str) -> bool {
        self.named.contains_key(name)
    }

    /// The value of an option that must be there.
    pub fn get<T: FromStr>(&self, name: &str) -> T {
        self.find(name).unwrap_or_else(|| panic!("--{name} VALUE is missing, or no such value"))
    }

    pub fn or<T: FromStr>(&self, name: &str, default: T) -> T {
        self.find(name).unwrap_or(default)
    }

    fn find<T: FromStr>(&self, name: &str) -> Option<T> {
        self.named.get(name)?.parse().ok()
    }
}
