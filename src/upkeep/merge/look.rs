//! What of an entry counts when fixtures are merged: its key, what it says, and what may differ without a change.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, Read};

use memchr::memmem;
use sha2::{Digest, Sha256};

use harproxy_har::model::{Body, Entry, Storage};
use harproxy_har::{Fixture, Payload};
use harproxy_http::volatile::is_volatile;
use harproxy_http::{Headers, MediaType, NormalUrl};
use harproxy_redact::{Placeholder, placeholder};

/// SHA-256 of something.
pub(super) type Sum = [u8; 32];

/// Payloads up to this size are looked into for placeholders, bytes; redaction looks no further either.
pub(super) const LOOKED_INTO: u64 = 16 << 20;

/// How payload files are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payloads {
    /// By their names, which come from their bytes: the files themselves are not there.
    ByName,
    /// By what they hold, however and wherever it is stored.
    ByBytes,
}

/// One entry, as far as merging cares.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    /// Method, URL and payload of the request, placeholders set aside: what makes entries turns of one another.
    pub(super) key: Sum,
    /// The key and the answer, without what differs from one recording to the next.
    pub(super) meaning: Sum,
    /// The request's headers: never a change of the answer, and still someone's edit when only one side has it.
    pub(super) asked: Sum,
    /// All of it, byte for byte.
    pub(super) text: Sum,
    /// The placeholders in each place that two equal entries have in common.
    pub(super) places: Vec<(Sum, Vec<Placeholder>)>,
    /// Its payload files, as `_file` says it.
    pub(super) files: Vec<String>,
}

impl Look {
    /// Looks at an entry; every placeholder that can be seen goes into `names`.
    ///
    /// # Errors
    /// When the fixture changed under us, or a payload that is to be compared can't be read.
    pub(super) fn at(
        fixture: &Fixture,
        entry: usize,
        payloads: Payloads,
        names: &mut BTreeSet<Placeholder>,
    ) -> Result<Self, harproxy_har::Error> {
        let mut json = fixture.entry_json(entry)?;
        json.retain(|&byte| byte != b'\r');
        names.extend(placeholder::find(&json).map(|found| found.placeholder));
        let text: Sum = Sha256::digest(&json).into();
        // What can't be used is carried along as it is.
        let unusable = Look { key: text, meaning: text, asked: text, text, ..Look::default() };
        if fixture.heads().get(entry).is_none() {
            return Ok(unusable);
        }
        let Ok(parsed) = fixture.entry(entry) else { return Ok(unusable) };
        let mut eye = Eye { fixture, entry, payloads, names, places: Vec::new(), bytes: Sha256::new() };
        eye.bytes.update(text);
        let key = eye.key(&parsed)?;
        let meaning = eye.meaning(key, &parsed)?;
        let asked = eye.asked(&parsed.request.headers);
        let text = match payloads {
            Payloads::ByName => text,
            Payloads::ByBytes => eye.bytes.finalize().into(),
        };
        let bodies = [Some(&parsed.response.content), parsed.request.post_data.as_ref()];
        let files = bodies.into_iter().flatten().filter_map(|body| match &body.stored {
            Storage::File(name) => Some(name.clone()),
            _ => None,
        });
        let files = files.collect();
        Ok(Look { key, meaning, asked, text, places: eye.places, files })
    }

    /// The folder of its payload files.
    pub(super) fn folder(&self) -> Option<&str> {
        self.files.iter().find_map(|file| file.rsplit_once('/')).map(|(folder, _)| folder)
    }

    /// The names of its payload files in that folder.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.rsplit('/').next().unwrap_or_default())
    }
}

/// Looks at one entry.
struct Eye<'a> {
    fixture: &'a Fixture,
    entry: usize,
    payloads: Payloads,
    names: &'a mut BTreeSet<Placeholder>,
    places: Vec<(Sum, Vec<Placeholder>)>,
    /// Of payloads that are compared by their bytes.
    bytes: Sha256,
}

impl Eye<'_> {
    fn key(&mut self, entry: &Entry) -> Result<Sum, harproxy_har::Error> {
        let request = &entry.request;
        let mut part = Part::default();
        part.add("method", request.method.as_bytes());
        let url = NormalUrl::parse(&request.url);
        let url = url.as_ref().map_or(&*request.url, |url| url.as_str().split('#').next().unwrap_or_default());
        part.add("url", url.as_bytes());
        if let Some(body) = &request.post_data {
            self.body(body, &mut part)?;
        }
        Ok(self.seen(part))
    }

    fn meaning(&mut self, key: Sum, entry: &Entry) -> Result<Sum, harproxy_har::Error> {
        let response = &entry.response;
        let mut part = Part::default();
        part.add("key", &key);
        part.add("status", response.status.to_string().as_bytes());
        // Other versions have no reason phrase.
        if response.http_version.starts_with("HTTP/1") {
            part.add("reason", response.status_text.as_bytes());
        }
        // An answer to HEAD has no payload whose length would be compared.
        let head = entry.request.method == "HEAD";
        let counts = |name: &str| !is_volatile(name) || (head && name == "content-length");
        fields(&mut part, "header", &response.headers, counts);
        fields(&mut part, "trailer", &response.trailers, counts);
        self.body(&response.content, &mut part)?;
        for (name, said) in entry.harproxy.iter().flatten() {
            // The words of a failure hold ports and addresses; its kind does not.
            let said = said.get("kind").unwrap_or(said);
            part.add(name, said.to_string().as_bytes());
        }
        let comments = [&entry.extras, &entry.request.extras, &response.extras, &response.content.extras];
        for comment in comments.into_iter().filter_map(|extras| extras.get("comment")) {
            part.add("comment", comment.to_string().as_bytes());
        }
        Ok(self.seen(part))
    }

    fn asked(&mut self, headers: &Headers) -> Sum {
        let mut all = Sha256::new();
        for header in headers {
            let mut part = Part::default();
            part.add(&header.name.to_ascii_lowercase(), &header.value);
            self.seen(part);
            all.update(header.name.to_ascii_lowercase());
            all.update([0]);
            all.update(&header.value);
            all.update([0]);
        }
        all.finalize().into()
    }

    fn body(&mut self, body: &Body, part: &mut Part) -> Result<(), harproxy_har::Error> {
        if body.encoded {
            part.add("encoded", b"");
        }
        if let Some(cut) = &body.truncated {
            part.add("cut", cut.reason.as_bytes());
        }
        match &body.stored {
            Storage::Nowhere if body.size.unwrap_or_default() > 0 => part.add("not kept", b""),
            Storage::Nowhere => {}
            Storage::File(name) if self.payloads == Payloads::ByName => {
                part.add("file", name.rsplit('/').next().unwrap_or_default().as_bytes());
            }
            Storage::Text(text) | Storage::Base64(text) if self.payloads == Payloads::ByName => {
                part.add("text", &without_boundary(body, text.as_bytes()));
            }
            Storage::Text(_) | Storage::Base64(_) | Storage::File(_) => self.payload(body, part)?,
        }
        Ok(())
    }

    fn payload(&mut self, body: &Body, part: &mut Part) -> Result<(), harproxy_har::Error> {
        let payload = self.fixture.payload(self.entry, body)?;
        match payload.len() {
            0 if matches!(payload, Payload::NotRecorded) => part.add("not kept", b""),
            0 => {}
            len if len <= LOOKED_INTO => {
                let bytes = payload.bytes()?;
                self.bytes.update(Sha256::digest(&bytes));
                self.names.extend(placeholder::find(&bytes).map(|found| found.placeholder));
                part.add("bytes", &without_boundary(body, &bytes));
            }
            _ => {
                let path = self.fixture.path();
                let failed =
                    |source| harproxy_har::Error::Io { doing: "reading a payload of", path: path.to_owned(), source };
                let sum = payload.reader().and_then(|mut read| sum_of(&mut read).map_err(failed))?;
                self.bytes.update(sum);
                part.add("long", &sum);
            }
        }
        Ok(())
    }

    /// Takes note of the placeholders of a part.
    fn seen(&mut self, part: Part) -> Sum {
        let sum = part.sum.finalize().into();
        if !part.placeholders.is_empty() {
            self.places.push((sum, part.placeholders));
        }
        sum
    }
}

fn sum_of(read: &mut dyn Read) -> io::Result<Sum> {
    let mut sum = Sha256::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        match read.read(&mut chunk) {
            Ok(0) => return Ok(sum.finalize().into()),
            Ok(n) => sum.update(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Names in order of their spelling (servers that keep headers in a hash table send them in any), values in theirs.
fn fields(part: &mut Part, what: &str, headers: &Headers, counts: impl Fn(&str) -> bool) {
    let mut list: Vec<(String, Cow<'_, [u8]>)> = headers
        .iter()
        .map(|header| {
            let name = header.name.to_ascii_lowercase();
            let value =
                if name == "set-cookie" { without_expiry(&header.value) } else { Cow::Borrowed(&header.value[..]) };
            (name, value)
        })
        .collect();
    list.retain(|(name, _)| counts(name));
    list.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, value) in list {
        part.add(what, name.as_bytes());
        part.add("value", &value);
    }
}

fn without_expiry(cookie: &[u8]) -> Cow<'_, [u8]> {
    let expiry = |attribute: &&[u8]| {
        let name = attribute.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
        [&b"expires"[..], b"max-age"].iter().any(|expiry| name.eq_ignore_ascii_case(expiry))
    };
    let parts: Vec<&[u8]> = cookie.split(|&byte| byte == b';').filter(|part| !expiry(part)).collect();
    Cow::Owned(parts.join(&b';'))
}

/// A multipart payload without its boundary, which is another each time.
fn without_boundary<'a>(body: &Body, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    let media = MediaType::parse(&body.mime_type);
    let Some(boundary) = media.parameter("boundary").filter(|b| media.is_multipart() && !b.is_empty()) else {
        return Cow::Borrowed(bytes);
    };
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memmem::find(rest, boundary.as_bytes()) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + boundary.len()..];
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// A sum over named values, placeholders set aside, and these placeholders in order.
#[derive(Default)]
struct Part {
    sum: Sha256,
    placeholders: Vec<Placeholder>,
}

impl Part {
    fn add(&mut self, name: &str, value: &[u8]) {
        self.placeholders.extend(placeholder::find(value).map(|found| found.placeholder));
        let value = placeholder::mask(value);
        for piece in [name.as_bytes(), &value] {
            self.sum.update((piece.len() as u64).to_le_bytes());
            self.sum.update(piece);
        }
    }
}
