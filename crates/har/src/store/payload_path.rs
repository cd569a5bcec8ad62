//! Names and paths of payload files. Fixtures are untrusted: a payload must be a plain file inside the folder of the
//! HAR, and it must not be a file that was not meant as a payload, such as `.env`.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::lfs;
use crate::Error;

/// The name of the configuration file, which can hold secrets.
const CONFIGURATION: &str = "harproxy.toml";

/// The components of the payload file `name` of the HAR at `har`. All readers of payload files go through it.
///
/// A fixture of harproxy has them in a folder, under the names that harproxy gives. The folder may have another name
/// than the HAR, which may have been renamed, linked or compressed. Another tool's HAR may name any file that is not
/// hidden. The error is a reason for the user.
pub(crate) fn file_parts<'n>(har: &Path, is_own: bool, name: &'n str) -> Result<Vec<&'n str>, String> {
    let parts = parts(name)?;
    let folder = payload_folder(har).unwrap_or_default();
    if is_own {
        let is_payload = matches!(parts[..], [inside, file]
            if is_own_name(file) && (inside == folder || !inside.starts_with('.')));
        return if is_payload { Ok(parts) } else { Err(not_a_payload(&folder, name)) };
    }
    let refused = |what: &str| {
        Err(format!("`_file` `{name}` is refused, because {what}; rename the payload, or remove the entry"))
    };
    // Windows ignores dots and spaces at the end of a name.
    let is_configuration = |part: &&str| part.trim_end_matches(['.', ' ']).eq_ignore_ascii_case(CONFIGURATION);
    match parts.iter().find(|part| part.starts_with('.')) {
        Some(hidden) => refused(&format!("`{hidden}` is hidden and may hold secrets")),
        None if parts.iter().any(is_configuration) => refused("it is harproxy's configuration"),
        None => Ok(parts),
    }
}

fn not_a_payload(folder: &str, name: &str) -> String {
    let expected = format!("{folder}/0123456789abcdef.{}", extension(name));
    format!(
        "`_file` `{name}` is refused, because it is not named as a payload of harproxy; name it as `{expected}` and run \
         `harproxy fmt`, or remove the entry"
    )
}

/// The path of the payload file `name`, with these components, in `folder`, the folder of the HAR.
///
/// Refuses links, and anything but plain files. The error is a reason for the user.
pub(crate) fn resolve(folder: &Path, name: &str, parts: &[&str]) -> Result<PathBuf, String> {
    let mut path = folder.to_owned();
    for part in parts {
        path.push(part);
        let kind = fs::symlink_metadata(&path).map_err(|error| missing(name, &error))?.file_type();
        if kind.is_symlink() {
            return Err(format!("`_file` `{name}` passes through a link; replace the link by the file itself"));
        }
    }
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() && lfs::is_pointer_file(&path, metadata.len()) => {
            Err(format!("`_file` `{name}` is a Git LFS pointer, not the payload: run `git lfs pull`"))
        }
        Ok(metadata) if metadata.is_file() => Ok(path),
        Ok(_) => Err(format!("`_file` `{name}` is not a plain file")),
        Err(error) => Err(missing(name, &error)),
    }
}

/// The components of a relative name. Refuses names that leave the folder on any operating system.
pub(crate) fn parts(name: &str) -> Result<Vec<&str>, String> {
    let drive = name.as_bytes().get(1) == Some(&b':');
    if name.is_empty() || name.contains(['\\', '\0']) || drive {
        return Err(format!("`_file` `{}` is not a relative path with `/` as separator", name.escape_debug()));
    }
    let mut parts = Vec::new();
    for component in Path::new(name).components() {
        let inside = match component {
            Component::Normal(part) => part.to_str().map(|part| parts.push(part)),
            Component::CurDir => Some(()),
            Component::ParentDir => parts.pop().map(drop),
            Component::Prefix(_) | Component::RootDir => None,
        };
        inside.ok_or_else(|| format!("`_file` `{name}` leaves the folder of the HAR; payloads must be inside it"))?;
    }
    if parts.is_empty() { Err(format!("`_file` `{name}` is not a file name")) } else { Ok(parts) }
}

fn missing(name: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("`_file` `{name}` does not exist; was it committed? Record again to get it back")
        }
        _ => format!("`_file` `{name}` can't be read: {error}"),
    }
}

/// True for a file name that harproxy gives: 16 to 64 hex digits and an extension.
pub(crate) fn is_own_name(name: &str) -> bool {
    let Some((stem, ending)) = name.split_once('.') else { return false };
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (16..=64).contains(&stem.len())
        && stem.bytes().all(hex)
        && !ending.is_empty()
        && ending.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The extension of a payload file, or `bin` if it is unusual.
pub(crate) fn extension(name: &str) -> &str {
    let ending = name.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, ending)| ending);
    let plain = (1..=8).contains(&ending.len()) && ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain { ending } else { "bin" }
}

/// The normal form of a payload file name, without `.`, `..` and empty components.
pub fn normal_name(name: &str) -> String {
    parts(name).map_or_else(|_| name.to_owned(), |parts| parts.join("/"))
}

/// True if the last component is a name that harproxy gives.
pub fn has_own_name(name: &str) -> bool {
    is_own_name(name.rsplit('/').next().unwrap_or(name))
}

/// True if a name that harproxy gave belongs to bytes with this SHA-256, in hex.
pub fn is_named_after(name: &str, hex: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    hex.starts_with(name.split('.').next().unwrap_or(name))
}

/// True if the path has the extension of an archive.
#[must_use]
pub fn is_zip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"))
}

/// The name of the payload folder beside a HAR: `api` for `api.har`.
pub(crate) fn payload_folder(path: &Path) -> Result<String, Error> {
    let unusable = |reason: &str| Error::Malformed { path: path.to_owned(), line: None, reason: reason.to_owned() };
    let stem = path.file_stem().ok_or_else(|| unusable("the path has no file name"))?;
    let stem = stem.to_str().ok_or_else(|| unusable("its name is not UTF-8, which `_file` requires"))?;
    Ok(if path.extension().is_some() { stem.to_owned() } else { format!("{stem}-payloads") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_refuses_names_outside_the_folder() {
        for name in ["/etc/passwd", "../x", "a/../../x", "", ".", "C:/x", "a\\b", "..\\x", "a\0b"] {
            assert!(parts(name).is_err(), "{name}");
        }
        assert_eq!(parts("api/0a.txt").unwrap(), ["api", "0a.txt"]);
        assert_eq!(parts("./a//b/../c").unwrap(), ["a", "c"]);
    }

    #[test]
    fn payloads_of_an_own_fixture_have_the_names_that_harproxy_gives() {
        let is_allowed = |har: &str, name| file_parts(Path::new(har), true, name).is_ok();
        for name in ["api/0123456789abcdef.txt", "./api/0123456789abcdef.txt", "renamed/0123456789abcdef.png"] {
            assert!(is_allowed("hars/api.har", name), "{name}");
        }
        assert!(is_allowed(".api.har", ".api/0123456789abcdef.txt"));
        for name in [
            ".env",
            ".git/config",
            ".ssh/id_rsa",
            ".git/0123456789abcdef.txt",
            "harproxy.toml",
            "0123456789abcdef.txt",
            "api/by-hand.txt",
            "api/.env",
            "api/0123456789abcdef",
            "api/sub/0123456789abcdef.txt",
            "../api/0123456789abcdef.txt",
        ] {
            assert!(!is_allowed("api.har", name), "{name}");
        }
        assert!(!is_allowed(".git.har", ".git/config"));
        let reason = file_parts(Path::new("hars/api.har"), true, "notes/secret.json").unwrap_err();
        assert!(reason.contains("`api/0123456789abcdef.json`"), "{reason}");
    }

    #[test]
    fn payloads_of_another_tool_are_not_hidden_files() {
        let check = |name| file_parts(Path::new("a.har"), false, name);
        for name in ["4d5d4da6.html", "pages/b.html", "a/../b.html", "har.proxy.toml", "..a/../x.txt"] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in [
            ".env",
            ".git/config",
            "sub/.ssh/id_rsa",
            "a/../.env",
            "./.npmrc",
            "..env",
            "harproxy.toml",
            "x/HarProxy.TOML",
            "harproxy.toml. ",
            "harproxy.toml/x",
        ] {
            assert!(check(name).unwrap_err().contains("refused"), "{name}");
        }
    }

    #[test]
    fn own_names_are_hex_digits_with_an_extension() {
        assert!(is_own_name("0123456789abcdef.txt"));
        for name in
            ["0123456789abcdef", "0123456789abcdeF.txt", "0123456789abcde.txt", "0123456789abcdef.t/t", "notes.txt"]
        {
            assert!(!is_own_name(name), "{name}");
        }
    }
}
