//! The requests that `explain` is asked about: one by options, or many by a file with a JSON object a line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use ::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use crate::cli::args::explain::ExplainArgs;
use crate::cli::args::values::Data;
use harproxy_http::NormalUrl;
use harproxy_json::text::replace_lone_surrogates;
use harproxy_matching::Query;

/// Why a request can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("reading {}", name(path))]
    Read {
        /// The file; `-` is standard input.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A line is no request.
    #[error("reading line {line} of {}: {reason}", name(path))]
    Line {
        /// The file; `-` is standard input.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// A request to be explained.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its URL.
    pub url: NormalUrl,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
}

impl Request {
    /// As matching sees it.
    #[must_use]
    pub fn query(&self) -> Query<'_> {
        Query { method: &self.method, url: &self.url, headers: &self.headers, body: self.body.as_deref() }
    }
}

/// The requests that the arguments name, in order, read as they are asked for: whoever feeds standard input line by line
/// gets answer by answer.
///
/// # Errors
/// When a file can't be opened.
pub fn read(args: &mut ExplainArgs) -> Result<Box<dyn Iterator<Item = Result<Request, Error>>>, Error> {
    if let Some(path) = args.requests.take() {
        let input: Box<dyn BufRead> = match path == Path::new("-") {
            true => Box::new(io::stdin().lock()),
            false => match File::open(&path) {
                Ok(file) => Box::new(BufReader::new(file)),
                Err(source) => return Err(Error::Read { path, source }),
            },
        };
        return Ok(Box::new(Lines { path, input, line: 0 }));
    }
    // One of the two is there: the grammar sees to it.
    let Some(url) = args.url.take() else { return Ok(Box::new(std::iter::empty())) };
    let body = args.data.take().map(load).transpose()?;
    let method = args.method.take().unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.to_owned());
    let mut headers = HeaderMap::new();
    for (name, value) in args.header.drain(..) {
        headers.append(name, value);
    }
    Ok(Box::new(std::iter::once(Ok(Request { method, url, headers, body }))))
}

fn load(data: Data) -> Result<Vec<u8>, Error> {
    let path = match data {
        Data::Text(text) => return Ok(text.into_bytes()),
        Data::File(path) => path,
    };
    let mut bytes = Vec::new();
    let read = match path == Path::new("-") {
        true => io::stdin().lock().read_to_end(&mut bytes),
        false => File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)),
    };
    read.map_err(|source| Error::Read { path, source })?;
    Ok(bytes)
}

/// The requests of a file; empty lines are none.
struct Lines {
    path: PathBuf,
    input: Box<dyn BufRead>,
    line: usize,
}

impl Iterator for Lines {
    type Item = Result<Request, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        loop {
            line.clear();
            self.line += 1;
            match self.input.read_until(b'\n', &mut line) {
                Ok(0) => return None,
                Ok(_) if line.trim_ascii().is_empty() => {}
                Ok(_) => break,
                Err(source) => return Some(Err(Error::Read { path: self.path.clone(), source })),
            }
        }
        let parsed = parse(&line);
        Some(parsed.map_err(|reason| Error::Line { path: self.path.clone(), line: self.line, reason }))
    }
}

/// A line of `--requests`. Members that it does not know are somebody else's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    url: String,
    #[serde(default = "get")]
    method: String,
    #[serde(default)]
    headers: Vec<Field>,
    #[serde(default)]
    body_base64: Option<String>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    value: String,
}

fn get() -> String {
    "GET".to_owned()
}

fn parse(line: &[u8]) -> Result<Request, String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
    // Some editors open a file with a byte order mark.
    let text = replace_lone_surrogates(text.trim_start_matches('\u{feff}'));
    let line: Line = serde_json::from_str(&text).map_err(|error| in_a_line(&error))?;
    let url = NormalUrl::parse_any(&line.url).map_err(|error| error.to_string())?;
    let body = line.body_base64.map(|body| BASE64_STANDARD.decode(body)).transpose();
    let body = body.map_err(|error| format!("`bodyBase64` is not base64: {error}"))?;
    let mut headers = HeaderMap::new();
    for Field { name, value } in line.headers {
        // What no client can send (`:authority`, a line feed) matches nothing.
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes())) {
            (Ok(name), Ok(value)) => {
                headers.append(name, value);
            }
            _ => tracing::debug!(name, "not a header that can be sent: it is left out"),
        }
    }
    Ok(Request { method: line.method, url, headers, body })
}

/// The parser counts lines too, and there is only one.
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
    fn a_line_is_a_request() {
        let line = br#"{"url":"HTTP://A.test:80/x#y","method":"PUT","headers":[{"name":"X","value":"1"},{"name":"x","value":"2"},
            {"name":":authority","value":"a"}],"bodyBase64":"aGk=","more":1}"#;
        let request = parse(line).unwrap();
        assert_eq!((request.url.as_str(), &*request.method), ("http://a.test/x", "PUT"));
        assert_eq!(request.body.as_deref(), Some(&b"hi"[..]));
        assert_eq!(request.headers.get_all("x").iter().count(), 2);
        assert_eq!(request.headers.len(), 2);
        let least = parse(br#"{"url":"data:text/plain,x"}"#).unwrap();
        assert_eq!((least.method.as_str(), least.body), ("GET", None));
    }

    #[test]
    fn what_is_no_request_says_why() {
        for (line, why) in [
            (&b"{"[..], "EOF while parsing"),
            (b"[]", "at column"),
            (b"{\"method\":\"GET\"}", "missing field `url`"),
            (b"{\"url\":\"/x\"}", "`/x` is not a URL"),
            (b"{\"url\":\"http://a/\",\"bodyBase64\":\"!\"}", "not base64"),
            (b"\xff", "not UTF-8"),
        ] {
            let said = parse(line).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}
