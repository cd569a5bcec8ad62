//! Payloads by their media type.

use std::sync::LazyLock;

use memchr::memmem;
use regex::bytes::{Captures, Regex};

use super::form::Pairs;
use super::shapes::{Hit, compiled};
use super::view::{Splice, apply, moved};
use super::{AnyRedactor, Form, json};
use harproxy_http::{MediaType, multipart};

/// What became of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was nothing to take out.
    Clean,
    /// This is left of it.
    Redacted(Vec<u8>),
    /// It could not be looked into: an image, an unknown coding.
    Opaque,
}

/// How a payload is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Form,
    Multipart,
    /// Other text. It may be JSON all the same: many a server calls it `text/plain`.
    Text,
    /// Nothing says what it is.
    Unknown,
    Opaque,
}

impl Kind {
    pub(super) fn of(media: &MediaType) -> Self {
        let essence = media.essence();
        // `application/x-amz-json-1.1` and its kin; what gRPC frames is none.
        let is_json = media.is_json() || essence.contains("json") && !media.is_text();
        match () {
            () if essence.is_empty() => Kind::Unknown,
            () if essence.starts_with("application/grpc") => Kind::Opaque,
            () if is_json => Kind::Json,
            () if media.is_form() => Kind::Form,
            () if media.is_multipart() => Kind::Multipart,
            () if media.is_text() => Kind::Text,
            () => Kind::Opaque,
        }
    }
}

/// The head of a field of a form that is seen without its boundary.
static FIELD: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"(?i:content-disposition):([^\r\n]{1,512})\r?\n(?:[^\r\n]{1,512}\r?\n){0,4}\r?\n"));

/// Parts within parts are looked into so deep.
const DEEPEST_PART: u8 = 4;

/// What is taken out; `None` when it can't be looked into.
type Taken = Option<Vec<Splice>>;

impl AnyRedactor<'_, '_> {
    /// A decoded payload with its `Content-Type` (empty when there was none). UTF-16 is read as such and written back; of
    /// other charsets than UTF-8 the bytes stay as they are.
    pub fn payload(&mut self, content_type: &str, payload: &[u8]) -> Outcome {
        if self.policy.is_off() || payload.is_empty() {
            return Outcome::Clean;
        }
        let media = MediaType::parse(content_type);
        if Kind::of(&media) != Kind::Opaque
            && let Some(wide) = Wide::of(&media, payload)
        {
            return self.wide(&media, payload, wide);
        }
        match self.in_payload(&media, payload, 0) {
            Some(splices) => apply(payload, &splices).map_or(Outcome::Clean, Outcome::Redacted),
            None => Outcome::Opaque,
        }
    }

    /// What is taken out of a payload that is text.
    pub(super) fn text_payload(&mut self, content_type: &str, text: &[u8]) -> Taken {
        let media = MediaType::parse(content_type);
        if Wide::of(&media, text).is_none() {
            return self.in_payload(&media, text, 0);
        }
        match self.payload(content_type, text) {
            Outcome::Clean => Some(Vec::new()),
            Outcome::Redacted(left) => Some(vec![Splice { range: 0..text.len(), with: String::from_utf8(left).ok()? }]),
            Outcome::Opaque => None,
        }
    }

    fn in_payload(&mut self, media: &MediaType, payload: &[u8], depth: u8) -> Taken {
        match Kind::of(media) {
            _ if is_line_type(media) => Some(self.lines(payload)),
            Kind::Json => Some(self.json(payload, 0)),
            Kind::Form if media.is_form_of(payload) => Some(self.pairs(payload, Pairs::Form, 0)),
            Kind::Form => Some(self.json(payload, 0)),
            Kind::Multipart => self.multipart(media, payload, depth),
            Kind::Text => Some(self.free_text(payload)),
            Kind::Unknown if !is_text(payload) => None,
            Kind::Unknown if is_form(payload) => Some(self.pairs(payload, Pairs::Form, 0)),
            Kind::Unknown => Some(self.free_text(payload)),
            Kind::Opaque => None,
        }
    }

    fn free_text(&mut self, text: &[u8]) -> Vec<Splice> {
        if json::looks_like(text) { self.json(text, 0) } else { self.unnamed(text, false) }
    }

    /// RFC 7578: a part's name is that of a field of a form; what it holds is of its own type.
    fn multipart(&mut self, media: &MediaType, payload: &[u8], depth: u8) -> Taken {
        let Some(boundary) = media.parameter("boundary").filter(|_| depth < DEEPEST_PART) else {
            return is_text(payload).then(|| self.unnamed(payload, false));
        };
        // What was cut off still has the parts that came.
        let closed = || [payload, b"\r\n--", boundary.as_bytes(), b"--"].concat();
        let owned;
        let (text, parts) = match multipart::parts(payload, boundary) {
            Some(parts) => (payload, parts),
            None => {
                owned = closed();
                match multipart::parts(&owned, boundary) {
                    Some(parts) => (&owned[..], parts),
                    None => return is_text(payload).then(|| self.unnamed(payload, false)),
                }
            }
        };
        let mut splices = Vec::new();
        for part in parts {
            let headers = self.unnamed(part.headers, false);
            splices.extend(moved(headers, offset(text, part.headers)));
            splices.extend(moved(self.part(&part, depth), offset(text, part.body)));
        }
        splices.retain(|splice| splice.range.end <= payload.len());
        Some(splices)
    }

    fn part(&mut self, part: &multipart::Part<'_>, depth: u8) -> Vec<Splice> {
        // A value is text when nothing else is said (RFC 7578 section 4.4); of a file that would be too bold.
        let is_file = is_file(part);
        let media = MediaType::parse(part.header("content-type").unwrap_or(if is_file { "" } else { "text/plain" }));
        if !is_file
            && media.essence() == "text/plain"
            && let Some(name) = part.name().and_then(|name| self.secret_pair(name.as_bytes(), Pairs::Form))
        {
            let with = self.named(part.body, &name, Form::Text);
            return with.map(|with| Splice { range: 0..part.body.len(), with }).into_iter().collect();
        }
        self.in_payload(&media, part.body, depth + 1).unwrap_or_default()
    }

    /// The fields of secret names in a part of a multipart payload, and members in what else it holds.
    pub(super) fn fields(&self, text: &[u8]) -> Vec<Hit> {
        let field = |found: Captures<'_>| {
            let (head, disposition) = (found.get(0)?, found.get(1)?);
            let disposition = MediaType::parse(std::str::from_utf8(disposition.as_bytes()).ok()?);
            let name = disposition.parameter("name").filter(|_| !names_file(&disposition))?;
            let name = self.secret_pair(name.as_bytes(), Pairs::Form)?;
            let len = memmem::find(&text[head.end()..], b"\n--").unwrap_or(text.len() - head.end());
            let value = text[head.end()..head.end() + len].trim_ascii_end();
            let range = head.end()..head.end() + value.len();
            (!range.is_empty()).then(|| Hit { range, name: name.as_str().to_owned().into(), form: Form::Text })
        };
        FIELD.captures_iter(text).filter_map(field).chain(self.members(text)).collect()
    }

    /// Text of two bytes a character.
    fn wide(&mut self, media: &MediaType, payload: &[u8], wide: Wide) -> Outcome {
        let Some(text) = wide.decode(payload) else { return Outcome::Opaque };
        match self.in_payload(media, text.as_bytes(), 0) {
            Some(splices) => apply(text.as_bytes(), &splices)
                .map_or(Outcome::Clean, |left| Outcome::Redacted(wide.encode(&String::from_utf8_lossy(&left)))),
            None => Outcome::Opaque,
        }
    }
}

/// Whether payloads of this `Content-Type` are read line by line as they come: events, lines of JSON.
#[must_use]
pub fn is_lines(content_type: &str) -> bool {
    is_line_type(&MediaType::parse(content_type))
}

fn is_line_type(media: &MediaType) -> bool {
    const LINES: [&str; 6] = [
        "text/event-stream",
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/jsonlines",
        "application/json-seq",
    ];
    LINES.contains(&media.essence())
}

/// How payloads of a `Content-Type` are looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Not at all: images, protobuf, archives.
    Never,
    /// Line by line, as they come: see [`is_lines`].
    Lines,
    /// When they are whole, or in pieces where they are long.
    Whole,
}

/// How payloads of this `Content-Type` are looked into.
#[must_use]
pub fn pace(content_type: &str) -> Pace {
    let media = MediaType::parse(content_type);
    match Kind::of(&media) {
        Kind::Opaque => Pace::Never,
        _ if is_line_type(&media) => Pace::Lines,
        _ => Pace::Whole,
    }
}

/// Whether payloads of this `Content-Type` can't be looked into.
#[must_use]
pub fn is_opaque(content_type: &str) -> bool {
    pace(content_type) == Pace::Never
}

/// Whether bytes of no declared type are text: without control characters, but for a character that was cut off in UTF-8.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let is_utf8 = |error: std::str::Utf8Error| error.error_len().is_none();
    let control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b | 0x1e);
    std::str::from_utf8(bytes).err().is_none_or(is_utf8) && !bytes.iter().any(control)
}

/// Whether text of no declared type is a form: pairs without white space, the names of the usual letters.
pub(super) fn is_form(text: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~%+*[]$:@".contains(byte);
    let is_pair = |pair: &[u8]| match memchr::memchr(b'=', pair) {
        Some(at) => at > 0 && pair[..at].iter().all(is_name),
        None => pair.iter().all(is_name),
    };
    let spaced = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'<' | b'"' | b'{');
    text.contains(&b'=') && !text.iter().any(spaced) && text.split(|&byte| byte == b'&').all(is_pair)
}

fn is_file(part: &multipart::Part<'_>) -> bool {
    part.header("content-disposition").is_some_and(|disposition| names_file(&MediaType::parse(disposition)))
}

fn names_file(disposition: &MediaType) -> bool {
    ["filename", "filename*"].iter().any(|name| disposition.parameter(name).is_some())
}

/// Where a part of a text stands in it.
fn offset(text: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len())
}

/// UTF-16, and which bytes of it come first.
#[derive(Clone, Copy, Debug)]
struct Wide {
    big: bool,
    marked: bool,
}

impl Wide {
    /// By the byte order mark, else by what is declared.
    fn of(media: &MediaType, payload: &[u8]) -> Option<Self> {
        match payload {
            [0xff, 0xfe, ..] => Some(Wide { big: false, marked: true }),
            [0xfe, 0xff, ..] => Some(Wide { big: true, marked: true }),
            _ => {
                let charset = media.charset()?;
                let big = charset == encoding_rs::UTF_16BE;
                // What has no upper bytes was converted already, or has nothing that is looked for.
                let is_wide = (big || charset == encoding_rs::UTF_16LE) && payload.contains(&0);
                is_wide.then_some(Wide { big, marked: false })
            }
        }
    }

    fn decode(self, payload: &[u8]) -> Option<String> {
        let (pairs, []) = payload.get(2 * usize::from(self.marked)..)?.as_chunks::<2>() else { return None };
        let unit = |pair: &[u8; 2]| if self.big { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) };
        char::decode_utf16(pairs.iter().map(unit)).collect::<Result<String, _>>().ok()
    }

    fn encode(self, text: &str) -> Vec<u8> {
        let mark = self.marked.then_some(0xfeff);
        let units = mark.into_iter().chain(text.encode_utf16());
        units.flat_map(|unit| if self.big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }
}
