//! The announcement that the proxy listens: a line on standard output, and `--ready-file`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::event::Event;
use super::ui::LogFormat;

/// The addresses and files that a client needs.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The proxy's URL, without credentials.
    pub proxy: String,
    /// The CA certificate, PEM; absolute.
    pub ca: PathBuf,
    /// The system's roots and the CA, PEM; absolute.
    pub bundle: PathBuf,
    pub pid: u32,
    /// `--reverse`: name → URL.
    pub urls: Map<String, Value>,
}

impl Ready {
    /// Returns the line for standard output, with its line end.
    #[must_use]
    pub fn line(&self, format: LogFormat) -> String {
        match format {
            LogFormat::Text => self.sentence(),
            LogFormat::Json => {
                let mut line = Map::from_iter([("event".to_owned(), Value::from(Event::Ready.word()))]);
                if let Value::Object(facts) = self.json() {
                    line.extend(facts);
                }
                format!("{}\n", Value::Object(line))
            }
        }
    }

    fn sentence(&self) -> String {
        let (ca, bundle) = (self.ca.display(), self.bundle.display());
        let mut text = format!("harproxy is ready at {} (CA {ca}, bundle {bundle}, pid {})", self.proxy, self.pid);
        for (name, url) in &self.urls {
            text.push_str(&format!(", {name} at {}", url.as_str().unwrap_or_default()));
        }
        text.push('\n');
        text
    }

    #[must_use]
    pub fn json(&self) -> Value {
        // Paths that are not UTF-8 are converted lossily.
        let path = |path: &Path| Value::from(path.to_string_lossy());
        Value::Object(Map::from_iter([
            ("proxy".to_owned(), self.proxy.clone().into()),
            ("ca".to_owned(), path(&self.ca)),
            ("bundle".to_owned(), path(&self.bundle)),
            ("pid".to_owned(), self.pid.into()),
            ("urls".to_owned(), self.urls.clone().into()),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready() -> Ready {
        Ready {
            proxy: "http://127.0.0.1:8899".into(),
            ca: "/d/ca.pem".into(),
            bundle: "/d/bundle.pem".into(),
            pid: 7,
            urls: Map::from_iter([("API".to_owned(), Value::from("http://127.0.0.1:1"))]),
        }
    }

    #[test]
    fn text_and_json_have_the_same_content_in_one_line() {
        let json = ready().line(LogFormat::Json);
        assert_eq!(
            json,
            "{\"event\":\"ready\",\"proxy\":\"http://127.0.0.1:8899\",\"ca\":\"/d/ca.pem\",\"bundle\":\"/d/bundle.pem\",\
             \"pid\":7,\"urls\":{\"API\":\"http://127.0.0.1:1\"}}\n"
        );
        let text = ready().line(LogFormat::Text);
        for fact in ["http://127.0.0.1:8899", "/d/ca.pem", "/d/bundle.pem", "pid 7", "API at http://127.0.0.1:1"] {
            assert!(text.contains(fact), "{text}");
        }
        assert_eq!((text.lines().count(), json.lines().count()), (1, 1));
    }
}
