//! Payload files beside a HAR: names that stay inside its folder, and nothing but plain files.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The file that `_file` names in `folder`, the HAR's own.
///
/// A fixture may come from a stranger: absolute names, a `..` that leads out, links and anything that is not a plain file
/// are refused, in words that follow "`_file` …".
pub(super) fn resolve(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let mut path = folder.to_owned();
    for part in parts(name)? {
        path.push(part);
        let kind = fs::symlink_metadata(&path).map_err(|error| missing(name, &error))?.file_type();
        if kind.is_symlink() {
            return Err(format!("`_file` `{name}` passes through a link; replace the link by the file itself"));
        }
    }
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() => Ok(path),
        Ok(_) => Err(format!("`_file` `{name}` is not a plain file")),
        Err(error) => Err(missing(name, &error)),
    }
}

/// The components of a relative name that can't leave its folder, on any operating system.
pub(super) fn parts(name: &str) -> Result<Vec<&str>, String> {
    let drive = name.as_bytes().get(1) == Some(&b':');
    if name.is_empty() || name.contains(['\\', '\0']) || drive {
        return Err(format!("`_file` `{}` is not a relative path with `/` between its parts", name.escape_debug()));
    }
    let mut parts = Vec::new();
    for component in Path::new(name).components() {
        let inside = match component {
            Component::Normal(part) => part.to_str().map(|part| parts.push(part)),
            Component::CurDir => Some(()),
            Component::ParentDir => parts.pop().map(drop),
            Component::Prefix(_) | Component::RootDir => None,
        };
        inside.ok_or_else(|| format!("`_file` `{name}` leaves the folder of the HAR; payloads must lie beside it"))?;
    }
    if parts.is_empty() { Err(format!("`_file` `{name}` names no file")) } else { Ok(parts) }
}

fn missing(name: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("`_file` `{name}` does not exist; was it committed? Record again to get it back")
        }
        _ => format!("`_file` `{name}` can't be read: {error}"),
    }
}

/// Whether a file name is one that harproxy gives: 16 hex digits or more and an ending.
pub(super) fn is_ours(name: &str) -> bool {
    let Some((stem, ending)) = name.split_once('.') else { return false };
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (16..=64).contains(&stem.len())
        && stem.bytes().all(hex)
        && !ending.is_empty()
        && ending.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The ending of a payload file's name, for a file that gets another name.
pub(super) fn ending(name: &str) -> &str {
    let ending = name.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, ending)| ending);
    let plain = (1..=8).contains(&ending.len()) && ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain { ending } else { "bin" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        for name in ["/etc/passwd", "../x", "a/../../x", "", ".", "C:/x", "a\\b", "..\\x", "a\0b"] {
            assert!(parts(name).is_err(), "{name}");
        }
        assert_eq!(parts("api/0a.txt").unwrap(), ["api", "0a.txt"]);
        assert_eq!(parts("./a//b/../c").unwrap(), ["a", "c"]);
    }

    #[test]
    fn our_names() {
        assert!(is_ours("0123456789abcdef.txt"));
        for name in
            ["0123456789abcdef", "0123456789abcdeF.txt", "0123456789abcde.txt", "0123456789abcdef.t/t", "notes.txt"]
        {
            assert!(!is_ours(name), "{name}");
        }
    }
}
