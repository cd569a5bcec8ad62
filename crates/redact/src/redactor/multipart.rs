//! Redaction of multipart payloads (RFC 7578).

use std::sync::LazyLock;

use memchr::memmem;
use regex::bytes::{Captures, Regex};

use super::Redactor;
use super::pairs::PairSource;
use crate::find::secret_match::{SecretMatch, compile_regex};
use crate::splice::{Splice, of_part};
use harproxy_http::{MediaType, multipart};

/// The head of a form field, found without the boundary.
static FIELD: LazyLock<Regex> =
    LazyLock::new(|| compile_regex(r"(?i:content-disposition):([^\r\n]{1,512})\r?\n(?:[^\r\n]{1,512}\r?\n){0,4}\r?\n"));

impl Redactor<'_> {
    /// Finds the secrets in the parts of a payload. `None` if it has no parts with this boundary.
    pub(super) fn multipart_splices(&mut self, payload: &[u8], boundary: &str, depth: u8) -> Option<Vec<Splice>> {
        // A payload that was cut off has no closing boundary.
        let closed;
        let (text, parts) = match multipart::parts(payload, boundary) {
            Some(parts) => (payload, parts),
            None => {
                closed = [payload, b"\r\n--", boundary.as_bytes(), b"--"].concat();
                (&closed[..], multipart::parts(&closed, boundary)?)
            }
        };
        let mut splices = Vec::new();
        for part in parts {
            splices.extend(of_part(text, part.headers, self.text_splices(part.headers, false)));
            splices.extend(of_part(text, part.body, self.part_splices(&part, depth)));
        }
        splices.retain(|splice| splice.range.end <= payload.len());
        Some(splices)
    }

    fn part_splices(&mut self, part: &multipart::BodyPart<'_>, depth: u8) -> Vec<Splice> {
        // A field without a type is text (RFC 7578 section 4.4). A file is not necessarily.
        let is_file = part.header("content-disposition").is_some_and(|value| has_file_name(&MediaType::parse(value)));
        let media = MediaType::parse(part.header("content-type").unwrap_or(if is_file { "" } else { "text/plain" }));
        if !is_file
            && media.essence() == "text/plain"
            && let Some(name) = part.name().and_then(|name| self.secret_pair_name(name.as_bytes(), PairSource::Form))
        {
            return self.value_splice(part.body, 0, &name);
        }
        self.media_splices(&media, part.body, depth + 1).unwrap_or_default()
    }

    /// Finds form fields and JSON members with a secret name in a window of a multipart payload.
    pub(super) fn find_fields(&self, text: &[u8]) -> Vec<SecretMatch> {
        let field = |found: Captures<'_>| {
            let (head, disposition) = (found.get(0)?, found.get(1)?);
            let disposition = MediaType::parse(std::str::from_utf8(disposition.as_bytes()).ok()?);
            let name = disposition.parameter("name").filter(|_| !has_file_name(&disposition))?;
            let name = self.secret_pair_name(name.as_bytes(), PairSource::Form)?;
            let len = memmem::find(&text[head.end()..], b"\n--").unwrap_or(text.len() - head.end());
            let value = text[head.end()..head.end() + len].trim_ascii_end();
            let range = head.end()..head.end() + value.len();
            (!range.is_empty()).then(|| SecretMatch::text(range, name.as_str().to_owned()))
        };
        FIELD.captures_iter(text).filter_map(field).chain(self.find_members(text)).collect()
    }
}

fn has_file_name(disposition: &MediaType) -> bool {
    ["filename", "filename*"].iter().any(|name| disposition.parameter(name).is_some())
}
