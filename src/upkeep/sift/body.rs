//! A payload, wherever it is stored.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, Write};

use super::spots::{Side, inside, text_of};
use super::{AnySift, Change, Sifted, applied};
use harproxy_har::model::Storage;
use harproxy_har::payload::{decode_base64, encode_base64};
use harproxy_har::values::HarValue;
use harproxy_har::{Error, Fixture};
use harproxy_json::{self as json, CompactReader, Node};
use harproxy_redact::{PayloadRedaction, Splice, StreamRedactor, TextLocation};

/// Longer payload files are looked at through a window, as they are while recording, bytes.
const HELD: u64 = 16 << 20;

/// `content` or `postData`.
#[derive(Debug)]
pub(in crate::upkeep) struct Body<'t> {
    pub(in crate::upkeep) side: Side,
    /// Its `Content-Type`, empty when nobody knows.
    pub(in crate::upkeep) content_type: String,
    node: &'t Node<'t>,
}

/// Bytes, wherever they are.
#[derive(Debug)]
pub(in crate::upkeep) enum Content {
    Bytes(Vec<u8>),
    /// Too long to be held: a temporary file.
    Long(File),
}

impl Content {
    /// From the first byte.
    ///
    /// # Errors
    /// When the temporary file can't be read.
    pub(in crate::upkeep) fn reader(&self) -> io::Result<Box<dyn Read + '_>> {
        match self {
            Content::Bytes(bytes) => Ok(Box::new(&bytes[..])),
            Content::Long(file) => {
                let mut file = file.try_clone()?;
                file.rewind()?;
                Ok(Box::new(file))
            }
        }
    }
}

impl<'t> Body<'t> {
    pub(super) fn new(side: Side, content_type: String, node: &'t Node<'t>) -> Self {
        Body { side, content_type, node }
    }

    /// Where what says its bytes begins in the text of the part.
    pub(super) fn at(&self) -> usize {
        let said = self.node.member("_file").or_else(|| self.node.member("text"));
        said.map_or(self.node.at, |node| node.at)
    }

    /// `_file`, if its bytes are in one.
    pub(in crate::upkeep) fn file(&self) -> Option<String> {
        let file = self.node.member("_file").and_then(text_of)?;
        Some(file.into_owned()).filter(|file| !file.is_empty())
    }

    /// What changes where it is to be in another file.
    pub(in crate::upkeep) fn moved_to(&self, file: &str) -> Option<Splice> {
        let node = self.node.member("_file")?;
        Some(Splice { range: node.at..node.end(), with: serde_json::Value::from(file).to_string() })
    }

    /// `text`, and whether it is base64.
    pub(in crate::upkeep) fn text(&self) -> Option<(&'t Node<'t>, bool)> {
        let text = self.node.member("text").filter(|text| inside(text).is_some_and(|text| !text.is_empty()))?;
        let encoding = self.node.member("encoding").and_then(text_of);
        Some((text, encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case("base64"))))
    }

    /// The bytes of `text`, if that is base64.
    pub(in crate::upkeep) fn base64_bytes(&self) -> Option<Vec<u8>> {
        let (node, is_base64) = self.text()?;
        if is_base64 { decode_base64(&text_of(node)?) } else { None }
    }

    /// `text` as it is.
    pub(in crate::upkeep) fn plain_text(&self) -> Option<Vec<u8>> {
        Some(text_of(self.text()?.0)?.into_owned().into_bytes())
    }

    /// Its bytes as text, if they are that and no more than so many.
    pub(in crate::upkeep) fn held_text(&self, fixture: &Fixture, part: &HarValue, longest: usize) -> Option<String> {
        let bytes = match self.file() {
            Some(file) => {
                let mut bytes = Vec::new();
                let stored = fixture.open_stored(part.entry.unwrap_or_default(), &file).ok()?;
                stored.take(longest as u64 + 1).read_to_end(&mut bytes).ok()?;
                bytes
            }
            None => self.base64_bytes().or_else(|| self.plain_text())?,
        };
        String::from_utf8(bytes).ok().filter(|text| text.len() <= longest)
    }

    /// Why it was cut, if it was.
    pub(in crate::upkeep) fn truncated(&self) -> Option<String> {
        let truncated = self.node.member("_truncated").filter(|node| node.text != "null")?;
        let reason = truncated.member("reason").and_then(text_of);
        Some(reason.map_or_else(|| "unknown reason".to_owned(), Cow::into_owned))
    }

    /// Whether a member says yes.
    pub(in crate::upkeep) fn says(&self, name: &str) -> bool {
        self.node.member(name).is_some_and(|node| node.text == "true")
    }

    /// `size`, where it stands and what it says.
    pub(in crate::upkeep) fn size(&self) -> Option<(&'t Node<'t>, u64)> {
        let node = self.node.member("size")?;
        Some((node, node.text.parse().ok()?))
    }

    /// The size goes with the payload, if it was right.
    fn resized(&self, old: u64, new: u64) -> Option<Splice> {
        let (node, size) = self.size()?;
        (size == old && new != old).then(|| Splice { range: node.at..node.end(), with: new.to_string() })
    }

    /// The length of a payload that is stored so, as it is served.
    fn len_of(&self, stored: &[u8]) -> u64 {
        let len = if self.says("_compact") { json::compact(stored).len() } else { stored.len() };
        len as u64
    }
}

/// What comes of a payload.
pub(super) fn sift(sift: &mut AnySift<'_, '_>, entry: usize, body: &Body<'_>) -> Result<Sifted, Error> {
    let sifted = as_stored(sift, entry, body)?;
    // What does not decode is looked at as it came, which says little of what may be in it.
    let is_coded = body.says("_encoded") && (body.file().is_some() || body.text().is_some());
    Ok(if is_coded && matches!(sifted, Sifted::Clean) { Sifted::Opaque } else { sifted })
}

fn as_stored(sift: &mut AnySift<'_, '_>, entry: usize, body: &Body<'_>) -> Result<Sifted, Error> {
    if let Some(name) = body.file() {
        return in_file(sift, entry, body, &name);
    }
    let Some((node, is_base64)) = body.text() else { return Ok(Sifted::Clean) };
    let raw = body.base64_bytes();
    let text = text_of(node).unwrap_or_default();
    if let Some(meant) = meant(sift.fixture, entry, body, raw.as_deref().unwrap_or(text.as_bytes())) {
        return Ok(coded(sift, body, node, is_base64, &meant));
    }
    match raw {
        Some(bytes) => Ok(coded(sift, body, node, true, &bytes)),
        // What is marked as base64 but is not valid base64, is text.
        None => Ok(plain(sift, body, node)),
    }
}

/// Text as it is.
fn plain(sift: &mut AnySift<'_, '_>, body: &Body<'_>, node: &Node<'_>) -> Sifted {
    let written = inside(node).unwrap_or_default();
    let Some(splices) =
        sift.redactor.splices_in_json_string(TextLocation::Payload(&body.content_type), written.as_bytes())
    else {
        return Sifted::Opaque;
    };
    if splices.is_empty() {
        return Sifted::Clean;
    }
    let decoded = |written: &str| serde_json::from_str::<String>(&format!("\"{written}\"")).unwrap_or_default();
    let (old, left) = (decoded(written), decoded(&applied(written, &splices)));
    let mut edits: Vec<_> = splices.into_iter().map(|splice| splice.shifted(node.at + 1)).collect();
    edits.extend(body.resized(body.len_of(old.as_bytes()), body.len_of(left.as_bytes())));
    Sifted::Changed(Change { edits, left: Content::Bytes(left.into_bytes()) })
}

/// Bytes that are not written as they are.
fn coded(sift: &mut AnySift<'_, '_>, body: &Body<'_>, node: &Node<'_>, is_base64: bool, bytes: &[u8]) -> Sifted {
    let left = match sift.redactor.redact_payload(&body.content_type, bytes) {
        PayloadRedaction::Clean => return Sifted::Clean,
        PayloadRedaction::Opaque => return Sifted::Opaque,
        PayloadRedaction::Redacted(left) => left,
    };
    let text = if is_base64 { encode_base64(&left) } else { String::from_utf8_lossy(&left).into_owned() };
    let mut edits = vec![Splice { range: node.at..node.end(), with: serde_json::Value::from(text).to_string() }];
    edits.extend(body.resized(body.len_of(bytes), body.len_of(&left)));
    Sifted::Changed(Change { edits, left: Content::Bytes(left) })
}

/// What a payload means whose tool left its content coding on: the decoded bytes.
fn meant(fixture: &Fixture, entry: usize, body: &Body<'_>, raw: &[u8]) -> Option<Vec<u8>> {
    if fixture.is_own() || body.side == Side::Request {
        return None;
    }
    let parsed = fixture.entry(entry).ok()?;
    let response = &parsed.response;
    response.headers.contains("content-encoding").then_some(())?;
    let meant = match &response.content.stored {
        Storage::Text(text) => text.clone().into_bytes(),
        Storage::Base64(text) => decode_base64(text)?,
        Storage::Nowhere | Storage::File(_) => return None,
    };
    (meant != raw).then_some(meant)
}

fn in_file(sift: &mut AnySift<'_, '_>, entry: usize, body: &Body<'_>, name: &str) -> Result<Sifted, Error> {
    let failed = |source| Error::Payload { doing: "looking into a payload", source };
    let mut stored = sift.fixture.open_stored(entry, name)?;
    let mut head = Vec::new();
    (&mut stored).take(HELD + 1).read_to_end(&mut head).map_err(failed)?;
    if head.len() as u64 <= HELD {
        return Ok(match sift.redactor.redact_payload(&body.content_type, &head) {
            PayloadRedaction::Clean => Sifted::Clean,
            PayloadRedaction::Opaque => Sifted::Opaque,
            PayloadRedaction::Redacted(left) => {
                let edits = body.resized(body.len_of(&head), body.len_of(&left)).into_iter().collect();
                Sifted::Changed(Change { edits, left: Content::Bytes(left) })
            }
        });
    }
    if harproxy_redact::is_opaque(&body.content_type) {
        return Ok(Sifted::Opaque);
    }
    long(sift, entry, body, name, &mut io::Cursor::new(head).chain(stored))
}

/// Through a window.
fn long(
    sift: &mut AnySift<'_, '_>,
    entry: usize,
    body: &Body<'_>,
    name: &str,
    stored: &mut dyn Read,
) -> Result<Sifted, Error> {
    let failed = |source| Error::Payload { doing: "looking into a payload", source };
    let mut left = tempfile::tempfile().map_err(failed)?;
    let mut stream = StreamRedactor::new(&body.content_type);
    let (mut piece, mut out) = (vec![0; 64 * 1024], Vec::new());
    loop {
        match stored.read(&mut piece).map_err(failed)? {
            0 => break,
            n => stream.push(&mut sift.redactor, &piece[..n], &mut out),
        }
        left.write_all(&out).map_err(failed)?;
        out.clear();
    }
    stream.finish(&mut sift.redactor, &mut out);
    left.write_all(&out).map_err(failed)?;
    let content = Content::Long(left);
    let len = |read: Box<dyn Read + '_>| -> io::Result<u64> {
        let mut read: Box<dyn Read + '_> =
            if body.says("_compact") { Box::new(CompactReader::new(read)) } else { read };
        io::copy(&mut read, &mut io::sink())
    };
    if is_same(sift.fixture.open_stored(entry, name)?, content.reader().map_err(failed)?).map_err(failed)? {
        return Ok(Sifted::Clean);
    }
    let old = len(sift.fixture.open_stored(entry, name)?).map_err(failed)?;
    let new = len(content.reader().map_err(failed)?).map_err(failed)?;
    let edits = body.resized(old, new).into_iter().collect();
    Ok(Sifted::Changed(Change { edits, left: content }))
}

fn is_same(a: impl Read, b: impl Read) -> io::Result<bool> {
    let (mut a, mut b) = (io::BufReader::new(a).bytes(), io::BufReader::new(b).bytes());
    loop {
        match (a.next().transpose()?, b.next().transpose()?) {
            (None, None) => return Ok(true),
            (a, b) if a != b => return Ok(false),
            _ => {}
        }
    }
}
