//! The announcement that the proxy listens: a line on standard output, and `--ready-file`.

use serde::Serialize;
use serde_json::{Map, Value};

use super::event::Event;
use super::ui::{LogFormat, line_at};

/// The addresses and files that a client needs, as in `--ready-file`. Paths that are not UTF-8 are converted lossily.
#[derive(Clone, Debug, Serialize)]
pub struct Ready {
    /// The proxy's URL, without credentials.
    pub proxy: String,
    /// The CA certificate, PEM; absolute.
    pub ca: String,
    /// The system's roots and the CA, PEM; absolute.
    pub bundle: String,
    pub pid: u32,
    /// `--reverse`: name → URL.
    pub urls: Map<String, Value>,
}

impl Ready {
    /// Returns the line for standard output, with its line end.
    pub fn line(&self, format: LogFormat) -> String {
        if format == LogFormat::Json {
            return line_at(Event::Ready, None, self) + "\n";
        }
        let Ready { proxy, ca, bundle, pid, urls } = self;
        let urls = urls.iter().map(|(name, url)| format!(", {name} at {}", url.as_str().unwrap_or_default()));
        format!("harproxy is ready at {proxy} (CA {ca}, bundle {bundle}, pid {pid}){}\n", urls.collect::<String>())
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
            "{\"event\":\"ready\",\"proxy\":\"http://127.0.0.1:8899\",\"ca\":\"/d/ca.pem\",\
             \"bundle\":\"/d/bundle.pem\",\"pid\":7,\"urls\":{\"API\":\"http://127.0.0.1:1\"}}\n"
        );
        let text = ready().line(LogFormat::Text);
        for fact in ["http://127.0.0.1:8899", "/d/ca.pem", "/d/bundle.pem", "pid 7", "API at http://127.0.0.1:1"] {
            assert!(text.contains(fact), "{text}");
        }
        assert_eq!((text.lines().count(), json.lines().count()), (1, 1));
    }
}
