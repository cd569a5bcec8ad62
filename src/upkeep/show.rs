//! `show`: an entry as people read it, decoded and laid out.

use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use harproxy_har::model::{Body, Storage};
use harproxy_har::{Entry, Error, Fixture, Payload};
use harproxy_http::headers::to_chars;
use harproxy_http::{Headers, MediaType, multipart};
use harproxy_json as json;

/// Longer payloads are not shown but summed up, bytes.
const LONGEST: u64 = 16 << 20;
/// Bytes of a binary payload that are shown.
const FIRST_BYTES: usize = 32;

/// An entry, ready to be printed.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The entry itself.
    pub entry: Arc<Entry>,
    /// `POST https://api.example.com/users HTTP/1.1`.
    pub request: Message,
    /// `HTTP/1.1 201 Created`; without an answer, why there is none.
    pub response: Message,
}

/// A request or a response.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its first line.
    pub start: String,
    /// Its header fields, name and value.
    pub headers: Vec<(String, String)>,
    /// What its payload is, where it lies, and what is to be known of it: a line, or none without a payload.
    pub about: Option<String>,
    /// The payload.
    pub payload: Shape,
    /// Its trailer fields.
    pub trailers: Vec<(String, String)>,
}

/// A payload, laid out by what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// There is nothing to show.
    Nothing,
    /// A JSON object or list, a member a line.
    Json(String),
    /// The fields of a form: name and value.
    Form(Vec<(String, String)>),
    /// The parts of a multipart payload: their header lines, and what is in them.
    Parts(Vec<(String, Shape)>),
    /// Text as it is.
    Text(String),
    /// Anything else: the first bytes, how many there are, and their SHA-256.
    Bytes {
        /// The first ones.
        first: Vec<u8>,
        /// How many there are.
        len: usize,
        /// In hex.
        sha256: String,
    },
}

/// Whether the contents of payload files are shown, or their names alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// Shown; one that is not there is an error.
    Needed,
    /// Shown where they can be read.
    Wanted,
    /// Named alone: what is shown depends on nothing but the HAR (or the archive).
    Named,
}

/// Shows an entry.
///
/// # Errors
/// When there is no such entry, it is malformed, or a payload of it that is needed can't be read.
pub fn show(fixture: &Fixture, entry: usize, files: Files) -> Result<Shown, Error> {
    let parsed = fixture.entry(entry)?;
    let (request, response) = (&parsed.request, &parsed.response);
    let none = Body::default();
    let sent = request.post_data.as_ref().unwrap_or(&none);
    let (sent_about, sent) = payload(fixture, entry, sent, &request.headers, files)?;
    let (about, content) = payload(fixture, entry, &response.content, &response.headers, files)?;
    let start = match failure(&parsed) {
        Some(why) => format!("no response: {why}"),
        None => format!("{} {} {}", response.http_version, response.status, response.status_text).trim().to_owned(),
    };
    Ok(Shown {
        request: Message {
            start: format!("{} {} {}", request.method, request.url, request.http_version).trim_end().to_owned(),
            headers: fields(&request.headers),
            about: sent_about,
            payload: sent,
            trailers: Vec::new(),
        },
        response: Message {
            start,
            headers: fields(&response.headers),
            about,
            payload: content,
            trailers: fields(&response.trailers),
        },
        entry: parsed,
    })
}

fn fields(headers: &Headers) -> Vec<(String, String)> {
    headers.iter().map(|field| (field.name.clone(), to_chars(&field.value).into_owned())).collect()
}

/// Why an exchange has no answer.
fn failure(entry: &Entry) -> Option<String> {
    let error = entry.harproxy.as_ref().and_then(|own| own.get("error"));
    let text = |name| error.and_then(|error| error.get(name)).and_then(Value::as_str);
    // Chrome's word for it, and Playwright's.
    let theirs = |name| entry.response.extras.get(name).and_then(Value::as_str).filter(|_| entry.response.status <= 0);
    let why = text("message").or(text("kind")).or(theirs("_error")).or(theirs("_failureText"));
    match (why, entry.response.status) {
        (Some(why), _) => Some(why.to_owned()),
        (None, ..=0) => Some("none was recorded".to_owned()),
        _ => None,
    }
}

fn payload(
    fixture: &Fixture,
    entry: usize,
    body: &Body,
    headers: &Headers,
    files: Files,
) -> Result<(Option<String>, Shape), Error> {
    let mut about = Vec::new();
    let file = match &body.stored {
        Storage::File(file) => Some(file),
        _ => None,
    };
    about.extend(file.cloned());
    let named_alone = file.is_some() && files == Files::Named && !fixture.is_archive();
    let mut shape = Shape::Nothing;
    let mut is_there = file.is_some();
    if named_alone {
        about.push(body.mime_type.clone());
    } else {
        match fixture.payload(entry, body) {
            Err(error) if file.is_none() || files == Files::Needed => return Err(error),
            Err(_) => about.push("which is not here".to_owned()),
            Ok(Payload::Empty) => {}
            Ok(Payload::NotRecorded) => {
                is_there = true;
                about.push(format!("{} bytes that were not recorded", body.size.unwrap_or_default()));
            }
            Ok(payload) => {
                is_there = true;
                about.extend([body.mime_type.clone(), format!("{} bytes", payload.len())]);
                shape = match payload.len() <= LONGEST {
                    true => shape_of(&payload.bytes()?, &media(body, headers), body.encoded, 0),
                    false => {
                        about.push("too long to be shown".to_owned());
                        Shape::Nothing
                    }
                };
            }
        }
    }
    if body.encoded {
        about.push("stored as received: it does not match its Content-Encoding".to_owned());
    }
    if let Some(cut) = &body.truncated {
        let of = cut.total.map_or_else(String::new, |total| format!(" of {total}"));
        about.push(format!("cut ({}) after {}{of} bytes", cut.reason, cut.kept));
        is_there = true;
    }
    about.retain(|part| !part.is_empty());
    Ok((is_there.then(|| about.join(", ")).filter(|about| !about.is_empty()), shape))
}

fn media(body: &Body, headers: &Headers) -> MediaType {
    MediaType::parse(headers.get_str("content-type").filter(|_| body.mime_type.is_empty()).unwrap_or(&body.mime_type))
}

fn shape_of(bytes: &[u8], media: &MediaType, encoded: bool, depth: usize) -> Shape {
    if encoded {
        return summed_up(bytes);
    }
    if media.is_multipart()
        && depth == 0
        && let Some(parts) = media.parameter("boundary").and_then(|boundary| multipart::parts(bytes, boundary))
    {
        let part = |part: &multipart::BodyPart<'_>| {
            let media = MediaType::parse(part.header("content-type").unwrap_or("text/plain"));
            let head = String::from_utf8_lossy(part.headers).trim().to_owned();
            (head, shape_of(part.body, &media, false, depth + 1))
        };
        return Shape::Parts(parts.iter().map(part).collect());
    }
    let declared = media.charset().filter(|_| media.is_text());
    let text = match declared {
        Some(charset) => charset.decode(bytes).0.into_owned(),
        None => match std::str::from_utf8(bytes) {
            Ok(text) if media.is_text() || !text.contains('\0') => text.to_owned(),
            Err(_) if media.is_text() => String::from_utf8_lossy(bytes).into_owned(),
            _ => return summed_up(bytes),
        },
    };
    if media.is_form() {
        return Shape::Form(form_urlencoded::parse(text.as_bytes()).into_owned().collect());
    }
    let compact = json::compact(text.as_bytes());
    if (media.is_json() || media.essence().is_empty()) && json::is_compact(&compact) {
        return Shape::Json(String::from_utf8_lossy(&json::indent(&compact)).into_owned());
    }
    Shape::Text(text)
}

fn summed_up(bytes: &[u8]) -> Shape {
    let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Shape::Bytes { first: bytes[..bytes.len().min(FIRST_BYTES)].to_vec(), len: bytes.len(), sha256 }
}

/// The decoded payload of an entry's response, or of its request.
///
/// # Errors
/// When there is none that was recorded, or it can't be read.
pub fn body(fixture: &Fixture, entry: usize, of_request: bool) -> Result<Payload, Error> {
    let parsed = fixture.entry(entry)?;
    let none = Body::default();
    let body = if of_request { parsed.request.post_data.as_ref().unwrap_or(&none) } else { &parsed.response.content };
    match fixture.payload(entry, body)? {
        Payload::NotRecorded => Err(Error::Entry {
            path: fixture.path().to_owned(),
            entry,
            line: fixture.heads().get(entry).map(|head| head.line),
            reason: "its body was not recorded".to_owned(),
        }),
        payload => Ok(payload),
    }
}
