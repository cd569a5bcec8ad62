//! A HAR and its payload files as one archive, and back. The text of the HAR stays byte for byte, but for where `_file` says that
//! its payloads are.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::fixture::ReadSeek;
use super::staging::{self, Staging};
use super::{Error, Fixture, observe, parse, place, sidecar, write};
use harproxy_json::text::{is_name, quote, unquote};
use harproxy_json::text_value::members;

/// What was packed or unpacked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Entries in the HAR.
    pub entries: usize,
    /// Payload files.
    pub payloads: usize,
    /// Members of the archive that no entry refers to; they were not unpacked.
    pub left: Vec<String>,
}

/// Writes the archive of a HAR: payloads of harproxy's own lie at its root, those of other tools where their `_file` says.
///
/// # Errors
/// When a payload can't be read, two would go by one name, or the archive can't be written; nothing is written then.
pub fn pack(fixture: &Fixture, target: &Path) -> Result<Moved, Error> {
    let failed = |source| writing(target, source);
    let folder = write::payload_folder(fixture.path())? + "/";
    let mut members = Claims::default();
    let mut har = tempfile::tempfile().map_err(failed)?;
    relocate(fixture, BufWriter::new(&mut har), |entry, name| {
        let ours = name.strip_prefix(&folder).filter(|name| fixture.is_own() && sidecar::is_ours(name));
        let member = match ours {
            Some(name) => name.to_owned(),
            None => sidecar::parts(name).map_err(|reason| fixture.bad_entry(entry, reason))?.join("/"),
        };
        let path = fixture.payload_path(entry, name)?;
        members.claim(fixture, entry, &member, path)?;
        Ok(member)
    })?;
    har.rewind().map_err(failed)?;
    make_parent(target)?;
    let open = |(name, claim): (&String, &Claim<PathBuf>)| {
        let file = File::open(&claim.source).map_err(|source| reading(&claim.source, source))?;
        Ok((name.clone(), Box::new(file) as Box<dyn ReadSeek>))
    };
    let out = staging::file(target).map_err(failed)?;
    let archive = place::archive(target, out, &mut har, members.0.iter().map(open))?;
    place::rename_into(archive, target)?;
    Ok(Moved { entries: fixture.entries(), payloads: members.0.len(), left: Vec::new() })
}

/// Writes the HAR of an archive and its payload files: those of harproxy's own into the payload folder of the HAR, those of
/// other tools where their `_file` says. With `replace`, an own HAR that stands there goes with its payloads; files that are
/// none of its own are never written over.
///
/// # Errors
/// When a member can't be read, a payload would lie outside, or something can't be written; what stood there is then whole.
pub fn unpack(fixture: &Fixture, target: &Path, replace: bool) -> Result<Moved, Error> {
    let failed = |source| writing(target, source);
    let folder = write::payload_folder(target)?;
    let home = target.parent().unwrap_or(Path::new(""));
    let mut files = Claims::default();
    let mut text = tempfile::tempfile().map_err(failed)?;
    relocate(fixture, BufWriter::new(&mut text), |entry, name| {
        let ours = fixture.is_own() && sidecar::is_ours(name);
        let file = if ours { format!("{folder}/{name}") } else { name.to_owned() };
        let bad = |reason| fixture.bad_entry(entry, reason);
        let path = home.join(may_lie_at(home, target, &file).map_err(bad)?);
        files.claim(fixture, entry, &file, name.to_owned())?;
        if !(ours && replace) && path.exists() && !is_same(fixture, entry, name, &path)? {
            return Err(bad(format!("{} is there already, with other bytes; move it away", path.display())));
        }
        Ok(file)
    })?;
    make_parent(target)?;
    let mut har = staging::file(target).map_err(failed)?;
    text.rewind().and_then(|()| io::copy(&mut text, &mut har)).map_err(failed)?;
    let staging = Staging::create(
        if home == Path::new("") { Path::new(".") } else { home },
        target.file_name().unwrap_or_default(),
    );
    let staging = staging.map_err(failed)?;
    let waiting: Vec<_> =
        files.0.iter().enumerate().map(|(n, claim)| (staging.path().join(n.to_string()), claim)).collect();
    for (path, (_, claim)) in &waiting {
        let mut file = File::create(path).map_err(|source| writing(path, source))?;
        let copied =
            io::copy(&mut fixture.stored(claim.entry, &claim.source)?, &mut file).and_then(|_| file.sync_all());
        copied.map_err(|source| writing(path, source))?;
    }
    let old = place::referenced(target, &home.join(&folder));
    for (path, (file, _)) in &waiting {
        let to = home.join(file);
        make_parent(&to)?;
        fs::rename(path, &to).map_err(|source| writing(&to, source))?;
    }
    place::rename_into(har, target)?;
    for name in old.iter().map(|name| format!("{folder}/{name}")).filter(|name| !files.0.contains_key(name)) {
        // One that can't be removed is no harm.
        let _ = fs::remove_file(home.join(name));
    }
    let used = |member: &String| files.0.values().any(|claim| claim.source == *member);
    let members = fixture.archive().map(super::archive::Archive::payloads).unwrap_or_default();
    let left = members.into_iter().filter(|member| !used(member)).collect();
    Ok(Moved { entries: fixture.entries(), payloads: files.0.len(), left })
}

/// Who wants a name, and what for.
#[derive(Debug)]
struct Claim<S> {
    entry: usize,
    source: S,
}

/// The names that payloads get, each for one payload.
#[derive(Debug)]
struct Claims<S>(BTreeMap<String, Claim<S>>);

impl<S> Default for Claims<S> {
    fn default() -> Self {
        Claims(BTreeMap::new())
    }
}

impl<S: PartialEq> Claims<S> {
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
                self.0.insert(name.to_owned(), Claim { entry, source });
                Ok(())
            }
        }
    }
}

/// Copies the text of a HAR with each `_file` as `to` has it.
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
        let json = parse::utf8(&json).map_err(bad)?;
        let offset = fixture.offset(entry).unwrap_or(at);
        let gap = offset.saturating_sub(at);
        io::copy(&mut (&mut text).take(gap), &mut out).map_err(failed)?;
        io::copy(&mut (&mut text).take(json.len() as u64), &mut io::sink()).map_err(failed)?;
        at = offset + json.len() as u64;
        let mut rest = json;
        for file in files(json).map_err(bad)? {
            let name = unquote(file).ok_or_else(|| bad(format!("its `_file` {file} is no text")))?;
            if name.is_empty() {
                continue;
            }
            let new = to(entry, &name)?;
            // Both are parts of one text.
            let before = &rest[..file.as_ptr() as usize - rest.as_ptr() as usize];
            rest = &rest[before.len() + file.len()..];
            let new = if new == name { file.to_owned() } else { quote(&new) };
            write!(out, "{before}{new}").map_err(failed)?;
        }
        out.write_all(rest.as_bytes()).map_err(failed)?;
    }
    io::copy(&mut text, &mut out).and_then(|_| out.flush()).map_err(failed)
}

/// The `_file` strings of an entry's payloads as they are spelled, in order: parts of `json`.
fn files(json: &str) -> Result<Vec<&str>, String> {
    let members_of = |json| members(json).map_err(|error| error.to_string());
    let mut found = Vec::new();
    for (part, value) in members_of(json)? {
        let body = [("request", "postData"), ("response", "content")].into_iter().find(|(name, _)| is_name(part, name));
        let Some((_, body)) = body else { continue };
        for (_, value) in members_of(value)?.into_iter().filter(|(name, _)| is_name(name, body)) {
            found.extend(
                members_of(value)?.into_iter().filter(|(name, _)| is_name(name, "_file")).map(|(_, file)| file),
            );
        }
    }
    found.retain(|file| file.starts_with('"'));
    Ok(found)
}

/// Where a payload of somebody's archive may be put: below the folder of the HAR, over no link, and in nothing that is hidden,
/// where programs look for what to run.
fn may_lie_at(home: &Path, target: &Path, file: &str) -> Result<PathBuf, String> {
    let parts = sidecar::parts(file)?;
    if let Some(hidden) = parts.iter().find(|part| part.starts_with('.')) {
        return Err(format!("its `_file` `{file}` is hidden (`{hidden}`), and is not unpacked"));
    }
    let mut path = PathBuf::new();
    for part in parts {
        path.push(part);
        if home.join(&path).is_symlink() {
            return Err(format!("`{}` is a link, through which nothing is unpacked", home.join(&path).display()));
        }
    }
    let har = target.file_name().unwrap_or_default();
    if path.as_os_str().eq_ignore_ascii_case(har) {
        return Err(format!("its payload would be `{file}`, which is the HAR's own name"));
    }
    Ok(path)
}

fn is_same(fixture: &Fixture, entry: usize, name: &str, path: &Path) -> Result<bool, Error> {
    let there = File::open(path).map_err(|source| reading(path, source))?;
    let (there, new) = (io::BufReader::new(there), io::BufReader::new(fixture.stored(entry, name)?));
    observe::same(there, new).map_err(|source| reading(path, source))
}

fn make_parent(path: &Path) -> Result<(), Error> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), fs::create_dir_all).map_err(|source| writing(path, source))
}

fn writing(path: &Path, source: io::Error) -> Error {
    Error::Io { doing: "writing", path: path.to_owned(), source }
}

fn reading(path: &Path, source: io::Error) -> Error {
    Error::Io { doing: "reading", path: path.to_owned(), source }
}
