//! The result of a merge as the text of a HAR: payload files are git's business. A conflict stands between git's markers,
//! around whole entries, with commas such that either side alone is a HAR.

use std::path::Path;

use serde_json::Value;

use super::plan::{Piece, Take, Who};
use super::side::Side;
use super::three_way::Composed;
use harproxy_har::pieces::{self, Object};

/// What stands between the markers of a HAR's last conflict, or an entry.
enum Part {
    Entry(Take),
    Conflict {
        /// The entry before, whose last brace is part of both sides: whether a comma follows it depends on them.
        tail_of: Option<Take>,
        ours: Vec<Take>,
        theirs: Vec<Take>,
    },
}

/// Writes the result in place of the file at `path`.
pub(super) fn write(result: &Composed<'_>, path: &Path) -> Result<(), harproxy_har::Error> {
    let failed = |source| harproxy_har::Error::Io { doing: "writing", path: path.to_owned(), source };
    pieces::replace(path, |out| {
        out.write_all(pieces::head(&result.log).as_bytes()).map_err(failed)?;
        let parts = parts(&result.plan.pieces);
        for (at, part) in parts.iter().enumerate() {
            let text = result.part(part, at + 1 == parts.len())?;
            out.write_all(&text).map_err(failed)?;
        }
        out.write_all(pieces::end(!parts.is_empty(), &result.beside).as_bytes()).map_err(failed)
    })
}

/// The pieces as parts. Only at the end of the list does it matter to a comma whether a side is empty.
fn parts(pieces: &[Piece]) -> Vec<Part> {
    let mut parts: Vec<Part> = pieces
        .iter()
        .map(|piece| match *piece {
            Piece::Take(take) => Part::Entry(take),
            Piece::Conflict { ours, theirs, .. } => {
                Part::Conflict { tail_of: None, ours: Vec::from_iter(ours), theirs: Vec::from_iter(theirs) }
            }
        })
        .collect();
    loop {
        match parts.pop() {
            Some(Part::Conflict { tail_of: None, ours, theirs }) if ours.is_empty() || theirs.is_empty() => {
                let joined = match parts.pop() {
                    Some(Part::Entry(before)) => Part::Conflict { tail_of: Some(before), ours, theirs },
                    Some(Part::Conflict { tail_of, ours: mut first, theirs: mut second }) => {
                        first.extend(ours);
                        second.extend(theirs);
                        Part::Conflict { tail_of, ours: first, theirs: second }
                    }
                    None => {
                        parts.push(Part::Conflict { tail_of: None, ours, theirs });
                        return parts;
                    }
                };
                parts.push(joined);
            }
            last => {
                parts.extend(last);
                return parts;
            }
        }
    }
}

impl Composed<'_> {
    /// A part with the line break before it.
    fn part(&self, part: &Part, last: bool) -> Result<Vec<u8>, harproxy_har::Error> {
        let mut out = Vec::new();
        let (tail_of, ours, theirs) = match part {
            Part::Entry(take) => {
                self.entries(&[*take], last, &mut out)?;
                return Ok(out);
            }
            Part::Conflict { tail_of, ours, theirs } => (tail_of, ours, theirs),
        };
        if let Some(take) = tail_of {
            let text = self.entry(*take)?;
            out.extend_from_slice(b"\n      ");
            out.extend_from_slice(text.strip_suffix(b"}").unwrap_or(&text).trim_ascii_end());
        }
        for (marker, label, side) in [('<', " ours", Some(ours)), ('=', "", Some(theirs)), ('>', " theirs", None)] {
            let marker: String = std::iter::repeat_n(marker, self.marker_size).collect();
            out.extend_from_slice(format!("\n{marker}{label}").as_bytes());
            let Some(side) = side else { continue };
            if tail_of.is_some() {
                out.extend_from_slice(if side.is_empty() { b"\n      }" } else { b"\n      }," });
            }
            self.entries(side, last, &mut out)?;
        }
        Ok(out)
    }

    fn entries(&self, takes: &[Take], last: bool, out: &mut Vec<u8>) -> Result<(), harproxy_har::Error> {
        for (at, take) in takes.iter().enumerate() {
            out.extend_from_slice(b"\n      ");
            out.extend_from_slice(&self.entry(*take)?);
            if !last || at + 1 < takes.len() {
                out.push(b',');
            }
        }
        Ok(())
    }

    /// The text of an entry: byte for byte what it was, unless something has to change in it.
    fn entry(&self, take: Take) -> Result<Vec<u8>, harproxy_har::Error> {
        let (side, other) = match take.who {
            Who::Ours => (self.ours, self.theirs),
            Who::Theirs => (self.theirs, self.ours),
        };
        let Some(fixture) = &side.fixture else { return Ok(Vec::new()) };
        let mut json = fixture.entry_json(take.entry)?;
        // Outside strings, where it is escaped, a CR is only git's line end on Windows.
        json.retain(|&byte| byte != b'\r');
        let members = |json: &[u8]| match serde_json::from_slice(json) {
            Ok(Value::Object(members)) => Some(members),
            _ => None,
        };
        // What is no entry is carried along as it is.
        let Some(before) = members(&json) else { return Ok(json) };
        let mut entry = None;
        if take.who == Who::Theirs
            && let Some(renamed) = self.renaming.apply(&json)
        {
            entry = members(&renamed).map(|renamed| with_size(&before, renamed));
        }
        if let Some((asked_by, fixture)) = take.asked_by.zip(other.fixture.as_ref())
            && let Some(asked) = members(&fixture.entry_json(asked_by)?)
        {
            entry = Some(with_headers(entry.unwrap_or_else(|| before.clone()), &asked));
        }
        if let Some(to) = self.moved(side, take.entry) {
            entry = Some(with_folder(entry.unwrap_or_else(|| before.clone()), to));
        }
        Ok(match entry {
            Some(entry) => pieces::entry_text(entry).into_bytes(),
            None if fixture.is_own() => json,
            None => pieces::format_entry(&json).map_or(json, String::into_bytes),
        })
    }

    /// The folder that an entry's payload files are in now, if the other side renamed it.
    fn moved<'a>(&'a self, side: &Side, entry: usize) -> Option<&'a str> {
        let folder = side.looks[entry].folder().filter(|folder| side.folder.as_deref() == Some(folder))?;
        self.folder.as_deref().filter(|to| *to != folder)
    }
}

/// The size of a payload whose text was renamed.
fn with_size(before: &Object, mut entry: Object) -> Object {
    let content = |entry: &Object| -> Option<usize> {
        let content = entry.get("response")?.get("content")?;
        let text = content.get("text").filter(|_| content.get("encoding").is_none())?;
        Some(text.as_str()?.len())
    };
    let (old, new) = (content(before), content(&entry));
    if let (Some(old), Some(new)) = (old, new)
        && old != new
        && let Some(content) = entry.get_mut("response").and_then(|response| response.get_mut("content"))
        && content.get("size").and_then(Value::as_u64) == u64::try_from(old).ok()
    {
        content["size"] = new.into();
    }
    entry
}

fn with_headers(mut entry: Object, asked: &Object) -> Object {
    for name in ["cookies", "headers", "headersSize"] {
        let edited = asked.get("request").and_then(|request| request.get(name));
        if let Some((Value::Object(request), edited)) = entry.get_mut("request").zip(edited) {
            request.insert(name.to_owned(), edited.clone());
        }
    }
    entry
}

fn with_folder(mut entry: Object, folder: &str) -> Object {
    for (part, body) in [("request", "postData"), ("response", "content")] {
        let file = entry.get_mut(part).and_then(|part| part.get_mut(body)).and_then(|body| body.get_mut("_file"));
        let Some(file) = file else { continue };
        if let Some((_, name)) = file.as_str().and_then(|file| file.rsplit_once('/')) {
            *file = format!("{folder}/{name}").into();
        }
    }
    entry
}
