//! `ls`: the entries of a fixture, a line each.

use serde::Serialize;

use harproxy_har::model::{Body, Storage};
use harproxy_har::{EntryHead, Error, Fixture};

/// An entry in a few words. Its JSON is part of the command line's contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The fixture, as it was named.
    pub fixture: String,
    /// Its place in it, from 0.
    pub entry: usize,
    /// The request's method.
    pub method: String,
    /// The request's URL, as written.
    pub url: String,
    /// The status; 0 without an answer.
    pub status: i32,
    /// The media type of the answer, as written.
    pub mime_type: String,
    /// The length of the decoded payload in bytes; `None` when nobody noted it.
    pub size: Option<u64>,
    /// The payload file: relative to the HAR, or a member of the archive; `None` for what lies inside the HAR.
    pub file: Option<String>,
}

/// The usable entries, in file order. One that turns out to be malformed is an error in its place.
pub fn lines(fixture: &Fixture) -> impl Iterator<Item = Result<Line, Error>> + '_ {
    fixture.heads().iter().map(|head| line(fixture, head))
}

fn line(fixture: &Fixture, head: EntryHead<'_>) -> Result<Line, Error> {
    let entry = fixture.entry(head.entry)?;
    let content = &entry.response.content;
    Ok(Line {
        fixture: fixture.path().display().to_string(),
        entry: head.entry,
        method: head.method.to_owned(),
        url: head.url.to_owned(),
        status: head.status,
        mime_type: content.mime_type.clone(),
        size: size(content),
        file: match &content.stored {
            Storage::File(file) => Some(file.clone()),
            _ => None,
        },
    })
}

fn size(content: &Body) -> Option<u64> {
    let noted = content.size.and_then(|size| u64::try_from(size).ok());
    noted.or(match &content.stored {
        Storage::Text(text) => Some(text.len() as u64),
        _ => None,
    })
}
