//! Command line options: `--name value`, flags, and words.

use std::collections::HashMap;
use std::str::FromStr;

/// A parsed command line.
#[derive(Clone, Debug, Default)]
pub struct Options {
    named: HashMap<String, String>,
    pub words: Vec<String>,
}

/// Options without a value.
const FLAGS: &[&str] = &["tls", "through", "miss"];

impl Options {
    pub fn parse(mut words: impl Iterator<Item = String>) -> Self {
        let mut options = Options::default();
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

    /// The value of a required option. Panics if it is missing or invalid.
    pub fn get<T: FromStr>(&self, name: &str) -> T {
        self.find(name).unwrap_or_else(|| panic!("--{name} VALUE is missing or invalid"))
    }

    pub fn or<T: FromStr>(&self, name: &str, default: T) -> T {
        self.find(name).unwrap_or(default)
    }

    fn find<T: FromStr>(&self, name: &str) -> Option<T> {
        self.named.get(name)?.parse().ok()
    }
}
