//! The exchanges that importers collect, and the list of everything that they could not carry over.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

use crate::record::twice::{LearnedPolicy, LearnedRule, RuleScope};
use harproxy_http::{Headers, MediaType, NormalUrl};

/// An exchange of another tool, with payloads as they were sent.
#[derive(Clone, Debug, Default)]
pub struct ImportedExchange {
    /// The name of an example.
    pub name: Option<String>,
    /// The test that recorded it.
    pub session: Option<String>,
    /// Microseconds since 1970. Without it, the `Date` of the response counts.
    pub started: Option<i64>,
    /// The duration in milliseconds.
    pub time: f64,
    pub method: String,
    pub url: String,
    /// `HTTP/1.1`, or the protocol that the tool gives.
    pub http_version: String,
    pub request_headers: Headers,
    /// `None` if the request has no payload.
    pub sent: Option<Vec<u8>>,
    pub status: u16,
    /// The reason phrase; empty for the canonical one of the status.
    pub reason: String,
    pub response_headers: Headers,
    pub received: Vec<u8>,
    /// Of a stub outside a scenario: its rank among the stubs for equal requests.
    pub stub: Option<StubRank>,
}

/// The rank of a stub. Only the first stub for a request ever answers.
#[derive(Clone, Debug)]
pub struct StubRank {
    /// The lowest number comes first. Of equal ones, the latest stub comes first.
    pub priority: i64,
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
}

impl ImportedExchange {
    /// Returns the media type of the request.
    #[must_use]
    pub fn media_type(&self) -> MediaType {
        MediaType::parse(self.request_headers.get_str("content-type").unwrap_or_default())
    }

    /// Adds a `Content-Type` to the request, unless it has one.
    pub fn set_content_type(&mut self, content_type: &str) {
        if !self.request_headers.contains("content-type") {
            self.request_headers.push("content-type", content_type.to_owned());
        }
    }
}

/// A part of a recording that is not in the fixture, or that is there with another meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportLoss {
    pub file: PathBuf,
    /// From 1. `None` for a binary file.
    pub line: Option<usize>,
    pub text: String,
}

impl fmt::Display for ImportLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.text)
    }
}

/// The result of importing files.
#[derive(Debug, Default)]
pub struct Imported {
    pub exchanges: Vec<ImportedExchange>,
    /// The number of files.
    pub files: usize,
    /// Files in folders that are in no known format.
    pub skipped: Vec<PathBuf>,
    pub losses: Vec<ImportLoss>,
    /// Rules for patterns that are no entry.
    pub policy: LearnedPolicy,
}

/// Values for an import that files do not have.
#[derive(Clone, Debug, Default)]
pub struct ImportSettings {
    /// The origin of recordings with paths alone, such as `https://api.example.com`.
    pub base_url: Option<NormalUrl>,
    /// Values of variables, the most important first.
    pub variables: Vec<(String, String)>,
}

/// The file that is imported, and the result so far.
pub struct ImportedFile<'a> {
    pub path: &'a Path,
    pub settings: &'a ImportSettings,
    /// The test to which the exchanges of the file belong.
    pub session: Option<String>,
    pub result: &'a mut Imported,
}

impl ImportedFile<'_> {
    /// Adds an exchange. One with an invalid URL or method is lost.
    pub fn add(&mut self, line: usize, mut exchange: ImportedExchange) {
        match NormalUrl::parse(&exchange.url) {
            Ok(url) if is_token(&exchange.method) && (100..1000).contains(&exchange.status) => {
                exchange.url = url.into();
                exchange.session = exchange.session.or_else(|| self.session.clone());
                if exchange.http_version.is_empty() {
                    exchange.http_version = "HTTP/1.1".to_owned();
                }
                self.result.exchanges.push(exchange);
            }
            Ok(_) if !is_token(&exchange.method) => {
                self.lose(line, format!("`{}` is not a method: the exchange is left out", exchange.method));
            }
            Ok(_) => self.lose(line, format!("{} is not a status: the exchange is left out", exchange.status)),
            Err(error) => self.lose(line, format!("the exchange is left out: {error}")),
        }
    }

    /// Adds something that is not carried over.
    pub fn lose(&mut self, line: usize, text: impl Into<String>) {
        let file = self.path.to_owned();
        self.result.losses.push(ImportLoss { file, line: (line > 0).then_some(line), text: text.into() });
    }

    /// Returns the rule for URLs.
    pub fn rule(&mut self, glob: String, path: Option<String>) -> &mut LearnedRule {
        self.result.policy.rules.entry(RuleScope { glob, path }).or_default()
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Parses a time as tools write it: RFC 3339, RFC 2822 or an HTTP date, with a space for the `T`. Returns microseconds
/// since 1970.
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    let text = text.trim();
    let rfc3339 = || OffsetDateTime::parse(&with_time_separator(text), &Rfc3339).ok();
    let rfc2822 = || OffsetDateTime::parse(&text.replace("GMT", "+0000").replace("UTC", "+0000"), &Rfc2822).ok();
    let parsed = rfc3339().or_else(rfc2822)?;
    i64::try_from(parsed.unix_timestamp_nanos() / 1000).ok()
}

/// Writes `2021-06-18 08:06:40 GMT` and `2014-04-21T23:13:40` as RFC 3339.
fn with_time_separator(text: &str) -> Cow<'_, str> {
    let is_date = text.len() >= 19 && text.as_bytes()[4] == b'-' && matches!(text.as_bytes()[10], b' ' | b'T');
    if !is_date || !text.is_char_boundary(19) {
        return Cow::Borrowed(text);
    }
    let (time, zone) = text.split_at(19);
    let zone = match zone.trim() {
        "" | "GMT" | "UTC" => "Z",
        zone => zone,
    };
    Cow::Owned(format!("{}T{}{zone}", &time[..10], &time[11..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_tools_are_parsed() {
        for (text, micros) in [
            ("Tue, 01 Nov 2011 04:58:44 GMT", Some(1_320_123_524_000_000)),
            ("2011-11-01T04:58:44Z", Some(1_320_123_524_000_000)),
            ("2011-11-01T05:58:44.5+01:00", Some(1_320_123_524_500_000)),
            ("2011-11-01 04:58:44 GMT", Some(1_320_123_524_000_000)),
            ("2011-11-01T04:58:44", Some(1_320_123_524_000_000)),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse_time(text), micros, "{text}");
        }
    }

    #[test]
    fn invalid_exchanges_are_lost_with_their_lines() {
        let (mut result, settings) = (Imported::default(), ImportSettings::default());
        let mut file =
            ImportedFile { path: Path::new("a.yaml"), settings: &settings, session: None, result: &mut result };
        let exchange = |method: &str, url: &str, status| ImportedExchange {
            method: method.to_owned(),
            url: url.to_owned(),
            status,
            ..ImportedExchange::default()
        };
        file.add(3, exchange("GET", "https://h:443/a b", 200));
        file.add(4, exchange("GET", "/a", 200));
        file.add(5, exchange("G ET", "https://h/", 200));
        file.add(6, exchange("GET", "https://h/", 0));
        assert_eq!(result.exchanges[0].url, "https://h/a%20b");
        let lines: Vec<_> = result.losses.iter().map(|loss| loss.line).collect();
        assert_eq!((result.exchanges.len(), lines), (1, vec![Some(4), Some(5), Some(6)]));
        assert!(result.losses[0].to_string().starts_with("a.yaml:4: the exchange is left out"), "{}", result.losses[0]);
    }
}
