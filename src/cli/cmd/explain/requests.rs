//! The requests of `explain`: one from options, or several from a file with a JSON object per line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use ::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use crate::cli::advice::hints::io_hint;
use crate::cli::args::diagnose::ExplainArgs;
use crate::cli::args::values::Data;
use crate::cli::usage_error::UsageError;
use crate::serve::facts::RequestFacts;
use harproxy_http::NormalUrl;
use harproxy_http::headers::from_chars;
use harproxy_json::text::replace_lone_surrogates;
use harproxy_matching::Query;
use harproxy_support::printable::Shown as _;

/// An example of a line.
const EXAMPLE: &str =
    r#"a line is one such as `{"url":"https://api.example.com/users","method":"GET","headers":[],"bodyBase64":null}`"#;

fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.shown().to_string() }
}

fn read_error(path: &Path, source: io::Error) -> UsageError {
    UsageError::new(format!("reading {}", name(path)), io_hint(&source)).because(source)
}

#[derive(Clone, Debug)]
pub struct ExplainRequest {
    pub method: String,
    pub url: NormalUrl,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
}

impl ExplainRequest {
    /// Returns the request as rules see it.
    pub fn facts(&self) -> RequestFacts {
        let method = ::http::Method::from_bytes(self.method.as_bytes()).unwrap_or_default();
        let payload = self.body.clone().unwrap_or_default().into();
        RequestFacts::new(method, self.url.clone(), self.headers.clone(), payload, None)
    }

    pub fn query(&self) -> Query<'_> {
        Query::new(&self.method, &self.url, &self.headers, self.body.as_deref())
    }
}

/// Returns the requests of the arguments in order. They are read lazily, so that each line of standard input is
/// answered at once.
pub fn read(
    args: &mut ExplainArgs,
) -> Result<Box<dyn Iterator<Item = Result<ExplainRequest, UsageError>>>, UsageError> {
    if let Some(path) = args.requests.take() {
        return Ok(Box::new(parse_lines(open(&path)?, path)));
    }
    // clap requires one of the two.
    let Some(url) = args.url.take() else { return Ok(Box::new(std::iter::empty())) };
    let body = args.data.take().map(load).transpose()?;
    let method = args.method.take().unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.to_owned());
    let headers = args.header.drain(..).collect();
    Ok(Box::new(std::iter::once(Ok(ExplainRequest { method, url, headers, body }))))
}

/// Opens a file; `-` is standard input.
fn open(path: &Path) -> Result<Box<dyn BufRead>, UsageError> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).map_err(|source| read_error(path, source))?;
    Ok(Box::new(BufReader::new(file)))
}

fn load(data: Data) -> Result<Vec<u8>, UsageError> {
    let path = match data {
        Data::Text(text) => return Ok(text.into_bytes()),
        Data::File(path) => path,
    };
    let mut bytes = Vec::new();
    open(&path)?.read_to_end(&mut bytes).map_err(|source| read_error(&path, source))?;
    Ok(bytes)
}

/// Parses the requests of a file. Empty lines are skipped.
fn parse_lines(input: Box<dyn BufRead>, path: PathBuf) -> impl Iterator<Item = Result<ExplainRequest, UsageError>> {
    input.split(b'\n').enumerate().filter_map(move |(n, line)| {
        let line = match line {
            Ok(line) if line.trim_ascii().is_empty() => return None,
            Ok(line) => line,
            Err(source) => return Some(Err(read_error(&path, source))),
        };
        let line_error =
            |reason| UsageError::new(format!("reading line {} of {}: {reason}", n + 1, name(&path)), EXAMPLE);
        Some(parse(&line).map_err(line_error))
    })
}

/// A line of `--requests`. Unknown members are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestLine {
    url: String,
    #[serde(default = "get")]
    method: String,
    #[serde(default)]
    headers: Vec<HeaderField>,
    #[serde(default)]
    body_base64: Option<String>,
}

#[derive(Deserialize)]
struct HeaderField {
    name: String,
    value: String,
}

fn get() -> String {
    "GET".to_owned()
}

fn parse(line: &[u8]) -> Result<ExplainRequest, String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
    // Some editors start a file with a byte order mark.
    let text = replace_lone_surrogates(text.trim_start_matches('\u{feff}'));
    let line: RequestLine = serde_json::from_str(&text).map_err(|error| in_a_line(&error))?;
    let url = NormalUrl::parse_any(&line.url).map_err(|error| error.to_string())?;
    let body = line.body_base64.map(|body| BASE64_STANDARD.decode(body)).transpose();
    let body = body.map_err(|error| format!("`bodyBase64` is not base64: {error}"))?;
    let mut headers = HeaderMap::new();
    for HeaderField { name, value } in line.headers {
        // As in a fixture, a character is a byte. A field that no client can send (`:authority`, a line feed) matches
        // nothing.
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(&from_chars(&value))) {
            (Ok(name), Ok(value)) => {
                headers.append(name, value);
            }
            _ => tracing::debug!(name, "the header is invalid and was left out"),
        }
    }
    Ok(ExplainRequest { method: line.method, url, headers, body })
}

/// Formats a JSON error without its line number, which is always 1.
fn in_a_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, _)) => format!("{what} at column {}", error.column()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parsed_as_requests() {
        let line = br#"{"url":"HTTP://A.test:80/x#y","method":"PUT",
            "headers":[{"name":"X","value":"1"},{"name":"x","value":"2"},{"name":":authority","value":"a"}],"bodyBase64":"aGk=","more":1}"#;
        let request = parse(line).unwrap();
        assert_eq!((request.url.as_str(), &*request.method), ("http://a.test/x", "PUT"));
        assert_eq!(request.body.as_deref(), Some(&b"hi"[..]));
        assert_eq!(request.headers.get_all("x").iter().count(), 2);
        assert_eq!(request.headers.len(), 2);
        let least = parse(br#"{"url":"data:text/plain,x"}"#).unwrap();
        assert_eq!((least.method.as_str(), least.body), ("GET", None));
    }

    #[test]
    fn characters_of_headers_are_bytes_as_in_a_fixture() {
        let header = |value: &str| {
            let line = format!(r#"{{"url":"http://a/","headers":[{{"name":"x","value":"{value}"}}]}}"#);
            parse(line.as_bytes()).unwrap().headers["x"].as_bytes().to_vec()
        };
        assert_eq!(header("Gr\u{fc}n"), b"Gr\xfcn");
        assert_eq!(header("\u{20ac}"), "\u{20ac}".as_bytes(), "the tool decoded UTF-8");
    }

    #[test]
    fn invalid_lines_have_a_reason() {
        for (line, why) in [
            (&b"{"[..], "EOF while parsing"),
            (b"[]", "at column"),
            (b"{\"method\":\"GET\"}", "missing field `url`"),
            (b"{\"url\":\"/x\"}", "`/x` is not a URL"),
            (b"{\"url\":\"http://a/\",\"bodyBase64\":\"!\"}", "not base64"),
            (b"\xff", "not UTF-8"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
