//! Variables in double braces, as Postman and Insomnia have them: `{{baseUrl}}`.

use std::collections::BTreeSet;

/// Values by name. Earlier ones win.
#[derive(Clone, Debug, Default)]
pub struct Variables(Vec<(String, String)>);

/// The depth to which values may refer to others.
const MAX_DEPTH: usize = 8;

impl Variables {
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Returns the text with values, and the names that have none.
    #[must_use]
    pub fn resolve(&self, text: &str) -> (String, BTreeSet<String>) {
        let (mut text, mut missing) = (text.to_owned(), BTreeSet::new());
        for _ in 0..MAX_DEPTH {
            let mut changed = false;
            let mut out = String::new();
            let mut rest = &*text;
            while let Some((before, behind)) = rest.split_once("{{") {
                out += before;
                let Some((name, after)) = behind.split_once("}}") else {
                    out += "{{";
                    rest = behind;
                    continue;
                };
                match self.0.iter().find(|(known, _)| known == name.trim()) {
                    Some((_, value)) => {
                        out += value;
                        changed = true;
                    }
                    None => {
                        missing.insert(name.trim().to_owned());
                        out += &format!("{{{{{name}}}}}");
                    }
                }
                rest = after;
            }
            out += rest;
            text = out;
            if !changed {
                break;
            }
        }
        (text, missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_replace_their_names() {
        let mut variables = Variables::default();
        variables.add("host", "{{scheme}}://h");
        variables.add("scheme", "https");
        variables.add("scheme", "http");
        variables.add("loop", "{{loop}}{{loop}}");
        assert_eq!(
            variables.resolve("{{ host }}/{{a}}?x={{"),
            ("https://h/{{a}}?x={{".into(), ["a".to_owned()].into())
        );
        assert!(variables.resolve("{{loop}}").0.len() < 10_000);
    }
}
