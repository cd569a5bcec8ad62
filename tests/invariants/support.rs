//! Shared functions of the checks.

use std::error::Error;
use std::path::Path;

use harproxy_har::Fixture;
use harproxy_redact::{PayloadRedaction, Placeholder, PlaceholderName, Policy, Redactor, Replacer, ValueFormat};

/// Splits text into its first line and the rest.
pub fn first_line(data: &[u8]) -> Option<(&str, &[u8])> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&data[..end]).ok()?, &data[end + 1..]))
}

/// Checks that an error has a message. The message may repeat the input.
#[track_caller]
pub fn is_told(error: &dyn Error) {
    assert!(!error.to_string().is_empty(), "an error without words");
}

/// Reads all of a fixture: the number of usable entries, and their payloads.
pub fn ask_all(fixture: &Fixture) -> Vec<Vec<Option<Vec<u8>>>> {
    assert!(fixture.heads().len() <= fixture.entries());
    for warning in fixture.warnings() {
        assert!(!warning.text.is_empty() && warning.entry.is_none_or(|entry| entry < fixture.entries()));
    }
    let _ = fixture.expect_entries().inspect_err(|error| is_told(error));
    let heads = fixture.heads();
    heads.into_iter().map(|head| ask_one(fixture, head.entry)).collect()
}

fn ask_one(fixture: &Fixture, at: usize) -> Vec<Option<Vec<u8>>> {
    let entry = match fixture.entry(at) {
        Ok(entry) => entry,
        Err(error) => {
            is_told(&error);
            return Vec::new();
        }
    };
    let _ = fixture.examine(at).inspect_err(|error| is_told(error));
    let bodies = [Some(&entry.response.content), entry.request.post_data.as_ref()];
    let bytes = |body| match fixture.payload(at, body).and_then(|payload| payload.bytes()) {
        Ok(bytes) => Some(bytes.to_vec()),
        Err(error) => {
            is_told(&error);
            None
        }
    };
    bodies.into_iter().flatten().map(bytes).collect()
}

/// Opens a fixture. An error must name its path.
pub fn open(path: &Path) -> Option<Fixture> {
    Fixture::open(path).inspect_err(|error| refused(error, path)).ok()
}

/// Checks that an error about a fixture names the file.
#[track_caller]
pub fn refused(error: &harproxy_har::Error, path: &Path) {
    is_told(error);
    assert!(error.path().is_some(), "{error}, of {}", path.display());
}

/// Calls every value the first of its name.
#[derive(Default)]
pub struct Plainly;

impl Replacer for Plainly {
    fn replace(&mut self, _: &[u8], name: &PlaceholderName, format: ValueFormat) -> String {
        format.write(&Placeholder { name: format.shared_name().unwrap_or_else(|| name.clone()), number: 1 })
    }

    fn find_known(&mut self, _: &[u8]) -> Vec<std::ops::Range<usize>> {
        Vec::new()
    }

    fn replace_known(&mut self, _: &[u8]) -> String {
        unreachable!("no secret is known")
    }
}

/// The redacted payload.
pub fn redacted(policy: &Policy, content_type: &str, payload: &[u8]) -> Vec<u8> {
    match Redactor::new(policy, Plainly).redact_payload(content_type, payload) {
        PayloadRedaction::Redacted(left) => left,
        PayloadRedaction::Clean | PayloadRedaction::Opaque => payload.to_vec(),
    }
}
