//! The cases of the corpus, their files, and Playwright's responses.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    pub id: String,
    pub har: Option<Box<RawValue>>,
    pub requests: Vec<Request>,
    pub tags: Vec<String>,
    pub bug: Option<String>,
    /// `ok`, or `error` when Playwright does not open it.
    pub load: String,
    #[serde(default)]
    files: BTreeMap<String, String>,
    container: Option<String>,
    har_text: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub url: String,
    pub method: String,
    pub headers: Vec<Header>,
    body_base64: Option<String>,
    pub is_navigation: bool,
    pub expect: Expect,
    #[serde(default)]
    pub quirks: Vec<String>,
}

#[derive(Deserialize)]
pub struct Header {
    pub name: String,
    pub value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expect {
    action: String,
    entry: Option<usize>,
    status: Option<i32>,
    body_sha256: Option<String>,
    #[serde(rename = "redirectURL")]
    redirect_url: Option<String>,
    pub error_kind: Option<String>,
}

/// The compared part of a response.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Serve { entry: usize, status: i32, body: String },
    Redirect { entry: usize, location: String },
    Abort { entry: usize },
    Nothing,
}

impl Answer {
    /// Returns the entry that answers, if there is one.
    pub fn entry(&self) -> Option<usize> {
        match self {
            Answer::Serve { entry, .. } | Answer::Redirect { entry, .. } | Answer::Abort { entry } => Some(*entry),
            Answer::Nothing => None,
        }
    }
}

impl Expect {
    pub fn answer(&self) -> Answer {
        match (&*self.action, self.entry) {
            ("fulfill", Some(entry)) => Answer::Serve {
                entry,
                status: self.status.unwrap_or_default(),
                body: self.body_sha256.clone().unwrap_or_default(),
            },
            ("redirect", Some(entry)) => Answer::Redirect { entry, location: self.redirect_url.clone().unwrap() },
            _ => Answer::Nothing,
        }
    }
}

impl Request {
    pub fn body(&self) -> Option<Vec<u8>> {
        self.body_base64.as_ref().map(|body| BASE64_STANDARD.decode(body).unwrap())
    }

    pub fn has_payload(&self) -> bool {
        self.body().is_some_and(|body| !body.is_empty())
    }
}

pub fn cases() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/playwright/lookup.jsonl.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Case {
    /// Returns the text of the HAR file.
    pub fn har_text(&self) -> String {
        let members = self.har.as_ref().map_or("}", |har| har.get().trim_start().strip_prefix('{').unwrap());
        let comma = if members.trim_start().starts_with('}') { "" } else { "," };
        let wrapped = format!(r#"{{"log":{{"version":"1.2","creator":{{"name":"c","version":"1"}}{comma}{members}}}"#);
        self.har_text.clone().unwrap_or(wrapped)
    }

    /// Writes the files of a case and returns the path to open.
    pub fn write_files(&self, folder: &Path) -> PathBuf {
        let har = self.har_text();
        let decoded = |content: &String| BASE64_STANDARD.decode(content).unwrap();
        if self.container.as_deref() == Some("zip") {
            let path = folder.join("f.zip");
            let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file("har.har", options).unwrap();
            zip.write_all(har.as_bytes()).unwrap();
            for (name, content) in &self.files {
                zip.start_file(name.as_str(), options).unwrap();
                zip.write_all(&decoded(content)).unwrap();
            }
            zip.finish().unwrap();
            return path;
        }
        let path = folder.join("f.har");
        std::fs::write(&path, har).unwrap();
        for (name, content) in &self.files {
            let file = folder.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, decoded(content)).unwrap();
        }
        path
    }
}
