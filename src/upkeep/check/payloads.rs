//! Whether payloads are there, whole, and what they say they are.

use std::collections::{HashMap, HashSet};
use std::io;

use super::{Finding, Kind, Severity, about};
use crate::upkeep::sift::Body;
use harproxy_har::values::HarValue;
use harproxy_har::{Error, Fixture};
use harproxy_har::{digest, payload_path};
use harproxy_json::{self as json, CompactReader};

/// The payloads of a fixture.
pub(super) struct Payloads<'a> {
    fixture: &'a Fixture,
    /// Payload files that entries refer to.
    used: HashSet<String>,
    /// Those that were read: digest in hex, and length as served (by whether it is compact).
    read: HashMap<(String, bool), (String, u64)>,
}

impl<'a> Payloads<'a> {
    pub(super) fn new(fixture: &'a Fixture) -> Self {
        Payloads { fixture, used: HashSet::new(), read: HashMap::new() }
    }

    /// Looks at a payload; whether it can be had.
    pub(super) fn see_to(&mut self, part: &HarValue, body: &Body<'_>, findings: &mut Vec<Finding>) -> bool {
        let place = format!("{} body", body.side);
        let mut tell = |severity, kind, message: String| {
            findings.push(Finding { place: Some(place.clone()), ..Finding::new(severity, kind, message) });
        };
        if let Some(reason) = body.truncated() {
            tell(Severity::Warning, Kind::Truncated, format!("{place} was cut while it was recorded ({reason})"));
        }
        if let Some(name) = body.file() {
            self.used.insert(payload_path::normal_name(&name));
            let (digest, len) = match self.digest(part, &name, body.says("_compact")) {
                Ok(read) => read,
                Err(error) => {
                    findings.push(about(part, error));
                    return false;
                }
            };
            if self.fixture.is_own()
                && payload_path::has_own_name(&name)
                && !payload_path::is_named_after(&name, &digest)
            {
                let message = format!("the payload {name} was edited: `harproxy fmt` gives it its name");
                tell(Severity::Warning, Kind::Edited, message);
                return true;
            }
            self.size(body, len, Severity::Problem, &mut tell);
            return true;
        }
        let Some((_, is_base64)) = body.text() else { return true };
        match (is_base64, body.base64_bytes()) {
            (true, None) => {
                tell(Severity::Problem, Kind::Payload, format!("{place} says that it is base64 and is not"));
            }
            (_, bytes) => {
                let bytes = bytes.or_else(|| body.plain_text()).unwrap_or_default();
                let len = if body.says("_compact") { json::compact(&bytes).len() } else { bytes.len() };
                // Who edits a text by hand does not count.
                self.size(body, len as u64, Severity::Warning, &mut tell);
            }
        }
        true
    }

    /// Other tools count as they please.
    fn size(&self, body: &Body<'_>, len: u64, severity: Severity, tell: &mut dyn FnMut(Severity, Kind, String)) {
        if let Some((_, size)) = body.size().filter(|(_, size)| self.fixture.is_own() && *size != len) {
            let message = format!("`size` says {size} bytes and the {} body has {len}", body.side);
            tell(severity, Kind::Size, message);
        }
    }

    fn digest(&mut self, part: &HarValue, name: &str, compact: bool) -> Result<(String, u64), Error> {
        let key = (name.to_owned(), compact);
        if let Some(read) = self.read.get(&key) {
            return Ok(read.clone());
        }
        let entry = part.entry.unwrap_or_default();
        let unreadable =
            |error: io::Error| self.fixture.bad_entry(entry, format!("`_file` `{name}` can't be read: {error}"));
        let (hex, mut len) = digest::sha256_hex(&mut *self.fixture.open_stored(entry, name)?).map_err(unreadable)?;
        if compact {
            let mut read = CompactReader::new(self.fixture.open_stored(entry, name)?);
            len = io::copy(&mut read, &mut io::sink()).map_err(unreadable)?;
        }
        Ok(self.read.entry(key).or_insert((hex, len)).clone())
    }

    /// What lies there for nothing.
    pub(super) fn unreferenced(&self, findings: &mut Vec<Finding>) {
        for name in self.fixture.payload_files() {
            if !self.used.contains(&name) {
                let message = format!("no entry refers to the payload {name}: remove it");
                findings.push(Finding::new(Severity::Problem, Kind::Unreferenced, message));
            }
        }
    }
}
