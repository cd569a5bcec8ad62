//! Packs a HAR and its payload files into an archive, and unpacks it. Only the values of `_file` change in the HAR.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::publish;
use crate::Error;
use crate::read::{Fixture, entry};
use crate::store::archive::{Archive, ReadSeek};
use crate::store::staging::{self, Staging};
use crate::store::{digest, payload_path};
use harproxy_json::text::{is_name, quote, unquote};
use harproxy_json::text_value::members;
use harproxy_support::printable::Shown as _;

/// The number of packed or unpacked entries and payloads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackSummary {
    pub entries: usize,
    pub payloads: usize,
    /// Members of the archive that no entry uses. They were not unpacked.
    pub left: Vec<String>,
}

/// Packs a HAR into an archive. Payloads of harproxy are put at its root, and those of other tools at their `_file`.
///
/// # Errors
/// When a payload cannot be read, two payloads have one name, or the archive cannot be written. No file is changed
/// then.
pub fn pack(fixture: &Fixture, target: &Path) -> Result<PackSummary, Error> {
    let failed = Error::at(target, "writing");
    let folder = payload_path::payload_folder(fixture.path())? + "/";
    let mut members = NameClaims::default();
    let mut har = tempfile::tempfile().map_err(failed)?;
    relocate(fixture, BufWriter::new(&mut har), |entry, name| {
        let own_name = name.strip_prefix(&folder).filter(|name| fixture.is_own() && payload_path::is_own_name(name));
        let member = match own_name {
            Some(name) => name.to_owned(),
            None => payload_path::parts(name).map_err(|reason| fixture.bad_entry(entry, reason))?.join("/"),
        };
        let path = fixture.payload_path(entry, name)?;
        members.claim(fixture, entry, &member, path)?;
        Ok(member)
    })?;
    har.rewind().map_err(failed)?;
    make_parent(target)?;
    let open = |(name, claim): (&String, &NameClaim<PathBuf>)| {
        let file = File::open(&claim.source).map_err(Error::at(&claim.source, "reading"))?;
        Ok((name.clone(), Box::new(file) as Box<dyn ReadSeek>))
    };
    let out = staging::file(target).map_err(failed)?;
    let archive = publish::archive(target, out, &mut har, members.0.iter().map(open))?;
    publish::rename_into(archive, target)?;
    Ok(PackSummary { entries: fixture.entries(), payloads: members.0.len(), left: Vec::new() })
}

/// Unpacks an archive into a HAR and payload files. Payloads of harproxy are put into the payload folder, and those
/// of other tools at their `_file`.
///
/// With `replace`, an existing HAR of harproxy is replaced with its payloads. Other files are never overwritten.
///
/// # Errors
/// When a member cannot be read, a payload is outside the folder, or writing fails. An existing fixture is then
/// unchanged.
pub fn unpack(fixture: &Fixture, target: &Path, replace: bool) -> Result<PackSummary, Error> {
    let failed = Error::at(target, "writing");
    let folder = payload_path::payload_folder(target)?;
    let home = target.parent().unwrap_or(Path::new(""));
    let mut files = NameClaims::default();
    let mut text = tempfile::tempfile().map_err(failed)?;
    relocate(fixture, BufWriter::new(&mut text), |entry, name| {
        let has_own_name = fixture.is_own() && payload_path::is_own_name(name);
        let file = if has_own_name { format!("{folder}/{name}") } else { name.to_owned() };
        let bad = |reason| fixture.bad_entry(entry, reason);
        let path = home.join(safe_path(fixture.is_own(), target, &file).map_err(bad)?);
        files.claim(fixture, entry, &file, name.to_owned())?;
        if !(has_own_name && replace) && path.exists() && !is_same(fixture, entry, name, &path)? {
            return Err(bad(format!("{} is there already, with other bytes; move it away", path.shown())));
        }
        Ok(file)
    })?;
    make_parent(target)?;
    let mut har = staging::file(target).map_err(failed)?;
    text.rewind().and_then(|()| io::copy(&mut text, &mut har)).map_err(failed)?;
    let staging = Staging::create(target).map_err(failed)?;
    let waiting: Vec<_> =
        files.0.iter().enumerate().map(|(n, claim)| (staging.path().join(n.to_string()), claim)).collect();
    for (path, (_, claim)) in &waiting {
        let mut file = File::create(path).map_err(Error::at(path, "writing"))?;
        let copied =
            io::copy(&mut fixture.open_stored(claim.entry, &claim.source)?, &mut file).and_then(|_| file.sync_all());
        copied.map_err(Error::at(path, "writing"))?;
    }
    let old = publish::referenced(target, &home.join(&folder));
    for (path, (file, _)) in &waiting {
        let to = home.join(file);
        make_parent(&to)?;
        fs::rename(path, &to).map_err(Error::at(&to, "writing"))?;
    }
    publish::rename_into(har, target)?;
    for name in old.iter().map(|name| format!("{folder}/{name}")).filter(|name| !files.0.contains_key(name)) {
        // Unused files are harmless.
        let _ = fs::remove_file(home.join(name));
    }
    let used = |member: &String| files.0.values().any(|claim| claim.source == *member);
    let members = fixture.archive().map(Archive::payloads).unwrap_or_default();
    let left = members.into_iter().filter(|member| !used(member)).collect();
    Ok(PackSummary { entries: fixture.entries(), payloads: files.0.len(), left })
}

/// The payload that has a name, and the first entry that uses it.
#[derive(Debug)]
struct NameClaim<S> {
    entry: usize,
    source: S,
}

/// The names of payloads. Each belongs to one payload.
#[derive(Debug)]
struct NameClaims<S>(BTreeMap<String, NameClaim<S>>);

impl<S> Default for NameClaims<S> {
    fn default() -> Self {
        NameClaims(BTreeMap::new())
    }
}

impl<S: PartialEq> NameClaims<S> {
    fn claim(&mut self, fixture: &Fixture, entry: usize, name: &str, source: S) -> Result<(), Error> {
        if name.eq_ignore_ascii_case("har.har") {
            return Err(fixture.bad_entry(entry, format!("its payload would be `{name}`, which is the HAR's own name")));
        }
        match self.0.get(name) {
            Some(claim) if claim.source != source => {
                let reason = format!("its payload and that of entry #{} would both be `{name}`", claim.entry);
                Err(fixture.bad_entry(entry, reason))
            }
            Some(_) => Ok(()),
            None => {
                self.0.insert(name.to_owned(), NameClaim { entry, source });
                Ok(())
            }
        }
    }
}

/// Copies the text of a HAR and replaces each `_file` with the result of `to`.
fn relocate(
    fixture: &Fixture,
    mut out: impl Write,
    mut to: impl FnMut(usize, &str) -> Result<String, Error>,
) -> Result<(), Error> {
    let failed = |source| Error::Io { doing: "copying", path: fixture.path().to_owned(), source };
    let mut text = fixture.text();
    let mut at = 0;
    for entry in 0..fixture.entries() {
        let json = fixture.entry_json(entry)?;
        let bad = |reason| fixture.bad_entry(entry, reason);
        let json = entry::utf8(&json).map_err(bad)?;
        let offset = fixture.span(entry).map_or(at, |span| span.offset);
        let gap = offset.saturating_sub(at);
        io::copy(&mut (&mut text).take(gap), &mut out).map_err(failed)?;
        io::copy(&mut (&mut text).take(json.len() as u64), &mut io::sink()).map_err(failed)?;
        at = offset + json.len() as u64;
        let mut rest = json;
        for file in files(json).map_err(bad)? {
            let name = unquote(file).ok_or_else(|| bad(format!("its `_file` is not a string: {file}")))?;
            if name.is_empty() {
                continue;
            }
            let new = to(entry, &name)?;
            // Both are slices of one text.
            let before = &rest[..file.as_ptr() as usize - rest.as_ptr() as usize];
            rest = &rest[before.len() + file.len()..];
            let new = if new == name { file.to_owned() } else { quote(&new) };
            write!(out, "{before}{new}").map_err(failed)?;
        }
        out.write_all(rest.as_bytes()).map_err(failed)?;
    }
    io::copy(&mut text, &mut out).and_then(|_| out.flush()).map_err(failed)
}

/// The `_file` strings of an entry in order, as slices of `json` with their quotes.
fn files(json: &str) -> Result<Vec<&str>, String> {
    let members_of = |json| members(json).map_err(|error| error.to_string());
    let mut files = Vec::new();
    for (part, value) in members_of(json)? {
        let body = [("request", "postData"), ("response", "content")].into_iter().find(|(name, _)| is_name(part, name));
        let Some((_, body)) = body else { continue };
        for (_, value) in members_of(value)?.into_iter().filter(|(name, _)| is_name(name, body)) {
            files.extend(
                members_of(value)?.into_iter().filter(|(name, _)| is_name(name, "_file")).map(|(_, file)| file),
            );
        }
    }
    files.retain(|file| file.starts_with('"'));
    Ok(files)
}

/// The relative path at which a payload of an untrusted archive is unpacked. Refuses files that the HAR at `target`
/// could not have, such as hidden ones, which may contain configuration that programs run. Refuses links, too.
fn safe_path(is_own: bool, target: &Path, file: &str) -> Result<PathBuf, String> {
    let home = target.parent().unwrap_or(Path::new(""));
    let mut path = PathBuf::new();
    for part in payload_path::file_parts(target, is_own, file)? {
        path.push(part);
        if home.join(&path).is_symlink() {
            return Err(format!("`{}` is a link; nothing is unpacked through links", home.join(&path).shown()));
        }
    }
    let har = target.file_name().unwrap_or_default();
    if path.as_os_str().eq_ignore_ascii_case(har) {
        return Err(format!("its payload would be `{file}`, which is the HAR's own name"));
    }
    Ok(path)
}

fn is_same(fixture: &Fixture, entry: usize, name: &str, path: &Path) -> Result<bool, Error> {
    let existing = File::open(path).map_err(Error::at(path, "reading"))?;
    let (existing, new) = (io::BufReader::new(existing), io::BufReader::new(fixture.open_stored(entry, name)?));
    digest::is_same(existing, new).map_err(Error::at(path, "reading"))
}

fn make_parent(path: &Path) -> Result<(), Error> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), fs::create_dir_all).map_err(Error::at(path, "writing"))
}
