//! The result of a merge as an archive: payloads are inside, so all of it can be written. There is no place for markers; of a
//! conflict ours stays.

use std::path::Path;

use super::plan::{Piece, Take, Who};
use super::rename::Renaming;
use super::three_way::Composed;
use harproxy_har::model::Body;
use harproxy_har::{ContentMode, Entry, Fixture, FixtureWriter, Payload, PayloadSource};
use harproxy_http::Header;

/// Writes the result in place of the file at `path`, which need not have the ending of an archive.
pub(super) fn write(result: &Composed<'_>, path: &Path) -> Result<(), harproxy_har::Error> {
    let failed = |doing| move |source| harproxy_har::Error::Io { doing, path: path.to_owned(), source };
    let parent = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = tempfile::Builder::new().prefix(".harproxy-").tempdir_in(parent).map_err(failed("writing"))?;
    let made = folder.path().join("merged.zip");
    let mut writer = FixtureWriter::create(&made, ContentMode::Attach, &[])?.with_members(&result.log, &result.beside);
    for piece in &result.plan.pieces {
        match *piece {
            Piece::Take(take) => put(result, take, &mut writer)?,
            Piece::Conflict { ours, .. } => {
                if let Some(take) = ours {
                    put(result, take, &mut writer)?;
                }
            }
        }
    }
    writer.finish()?;
    std::fs::rename(&made, path).map_err(failed("renaming into"))
}

fn put(result: &Composed<'_>, take: Take, writer: &mut FixtureWriter) -> Result<(), harproxy_har::Error> {
    let (side, other) = match take.who {
        Who::Ours => (result.ours, result.theirs),
        Who::Theirs => (result.theirs, result.ours),
    };
    let Some(fixture) = &side.fixture else { return Ok(()) };
    let renaming = if take.who == Who::Theirs { result.renaming } else { &Renaming::default() };
    let headers = match take.asked_by.zip(other.fixture.as_ref()) {
        Some((entry, fixture)) => Some(fixture.entry(entry)?.request.headers.clone()),
        None => None,
    };
    let rewritten = headers.is_some() || is_touched(fixture, take.entry, renaming)?;
    if !rewritten || fixture.heads().get(take.entry).is_none() {
        return writer.format(fixture, take.entry);
    }
    rewrite(
        fixture,
        take.entry,
        writer,
        |entry| {
            if let Some(headers) = headers {
                entry.request.headers = headers;
            }
        },
        renaming,
    )
}

/// Whether an entry, or one of its payloads, has a placeholder that is renamed.
pub(super) fn is_touched(fixture: &Fixture, number: usize, renaming: &Renaming) -> Result<bool, harproxy_har::Error> {
    if renaming.is_empty() || renaming.apply(&fixture.entry_json(number)?).is_some() {
        return Ok(!renaming.is_empty());
    }
    let entry = fixture.entry(number)?;
    for body in [Some(&entry.response.content), entry.request.post_data.as_ref()].into_iter().flatten() {
        let payload = fixture.payload(number, body)?;
        if payload.len() <= super::look::LOOKED_INTO && renaming.apply(&payload.bytes()?).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes an entry with its placeholders renamed, in its payloads too.
pub(super) fn rewrite(
    fixture: &Fixture,
    number: usize,
    writer: &mut FixtureWriter,
    edit: impl FnOnce(&mut Entry),
    renaming: &Renaming,
) -> Result<(), harproxy_har::Error> {
    let mut entry = Entry::clone(&*fixture.entry(number)?);
    edit(&mut entry);
    let text = |text: &mut String| {
        if let Some(renamed) = renaming.apply(text.as_bytes()).and_then(|text| String::from_utf8(text).ok()) {
            *text = renamed;
        }
    };
    text(&mut entry.request.url);
    text(&mut entry.response.redirect_url);
    for headers in [&mut entry.request.headers, &mut entry.response.headers, &mut entry.response.trailers] {
        let renamed = headers.iter().map(|header| Header {
            name: header.name.clone(),
            value: renaming.apply(&header.value).map_or_else(|| header.value.clone(), Into::into),
        });
        *headers = renamed.collect();
    }
    if let Some(body) = &mut entry.request.post_data {
        payload(fixture, number, body, renaming, |source| writer.post_data(source))?;
    }
    payload(fixture, number, &mut entry.response.content, renaming, |source| writer.content(source))?;
    writer.entry(&entry)
}

/// Stores a payload anew, and puts where it is now into `body`.
fn payload(
    fixture: &Fixture,
    number: usize,
    body: &mut Body,
    renaming: &Renaming,
    store: impl FnOnce(PayloadSource<'_>) -> Result<Body, harproxy_har::Error>,
) -> Result<(), harproxy_har::Error> {
    let payload = fixture.payload(number, body)?;
    if matches!(payload, Payload::NotRecorded | Payload::Empty) {
        return Ok(());
    }
    let renamed = if payload.len() <= super::look::LOOKED_INTO { renaming.apply(&payload.bytes()?) } else { None };
    let mut read: Box<dyn std::io::Read + Send> = match renamed {
        Some(renamed) => Box::new(std::io::Cursor::new(renamed)),
        None => payload.reader()?,
    };
    let source = PayloadSource {
        read: &mut read,
        mime_type: &body.mime_type,
        encoded: body.encoded,
        truncated: body.truncated.clone(),
    };
    let stored = store(source)?;
    *body =
        Body { size: stored.size, stored: stored.stored, compact: stored.compact, kept_as_utf8: None, ..body.clone() };
    Ok(())
}
