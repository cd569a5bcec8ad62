//! What there is to know of a machine to say which trust stores it has.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::families::FAMILIES;
use super::store::Kind;

/// The kind of system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Os {
    /// Linux, and what else has an os-release(5): its text, empty when there is none.
    Unix {
        /// The text of the file.
        release: String,
    },
    /// macOS.
    Mac,
    /// Windows.
    Windows,
}

/// What may be done to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Anything: root.
    Administrator,
    /// Anything, by `sudo`, if it lets this user.
    Sudo,
    /// What is the user's own.
    User,
}

/// A database of NSS that a browser keeps, or would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nss {
    /// Whose it is: [`Kind::Chromium`] or [`Kind::Firefox`].
    pub kind: Kind,
    /// Its folder.
    pub folder: PathBuf,
    /// Whether it is there yet.
    pub exists: bool,
}

/// A Java runtime's own trust store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Java {
    /// Its keytool.
    pub keytool: PathBuf,
    /// The store.
    pub cacerts: PathBuf,
    /// Whether the user may write it.
    pub writable: bool,
}

/// The machine, as far as trust stores go.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its system.
    pub os: Os,
    /// What may be done to it.
    pub rights: Rights,
    /// Programs that can be run, of those that matter here.
    pub programs: BTreeSet<String>,
    /// Folders that are there, of those that matter here.
    pub folders: BTreeSet<PathBuf>,
    /// Databases of browsers.
    pub nss: Vec<Nss>,
    /// Java's stores.
    pub java: Vec<Java>,
}

/// Browsers that read [`CHROMIUM`]'s first database.
const CHROMIUMS: &[&str] = &[
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "google-chrome-beta",
    "microsoft-edge",
    "brave-browser",
    "vivaldi",
    "opera",
];
/// Databases of Chromium and its kin below the home folder: everybody's own (made by whoever comes first), what newer versions take when
/// that is not there, the snap's, and those of flatpaks.
const CHROMIUM: &[&str] = &[
    ".pki/nssdb",
    ".local/share/pki/nssdb",
    "snap/chromium/current/.pki/nssdb",
    ".var/app/org.chromium.Chromium/.pki/nssdb",
    ".var/app/com.google.Chrome/.pki/nssdb",
];
/// Folders of Firefox's profiles below the home folder: a distribution's package (and, since Firefox 147, by the XDG specification), the
/// snap's, the flatpak's.
const FIREFOX: &[&str] = &[
    ".mozilla/firefox",
    ".config/mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/config/mozilla/firefox",
];
/// The file by which a folder is a database that certutil's `sql:` reads.
const DATABASE: &str = "cert9.db";
/// Where Debian's ca-certificates-java keeps a store for every Java there.
const SYSTEM_CACERTS: &str = "/etc/ssl/certs/java/cacerts";
/// Folders for administrators' programs, which a user's PATH may lack.
pub(super) const ADMINISTRATORS: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];

impl Machine {
    /// The machine this runs on, for a process with these variables.
    #[must_use]
    pub fn here(env: &BTreeMap<String, OsString>) -> Self {
        let home = env.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let path = search_path(env.get("PATH"));
        let program = |name: &str| path.iter().map(|folder| folder.join(name)).find(|program| program.is_file());
        let of_families = FAMILIES.iter().map(|family| family.tool);
        let programs: BTreeSet<String> = of_families
            .chain(["certutil", "sudo"])
            .chain(CHROMIUMS.iter().copied())
            .filter(|name| program(name).is_some())
            .map(str::to_owned)
            .collect();
        let folders = FAMILIES.iter().map(|family| PathBuf::from(family.anchors)).filter(|path| path.is_dir());
        Machine {
            rights: match is_root() {
                true => Rights::Administrator,
                false if programs.contains("sudo") => Rights::Sudo,
                false => Rights::User,
            },
            folders: folders.collect(),
            nss: home.map(|home| databases(&home, &programs)).unwrap_or_default(),
            java: java(env.get("JAVA_HOME").map(Path::new), program("keytool")),
            os: os(),
            programs,
        }
    }

    /// A field of os-release(5), without its quotes.
    pub(super) fn release(&self, field: &str) -> Option<&str> {
        let Os::Unix { release } = &self.os else { return None };
        let value = release.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix('='))?;
        Some(value.trim().trim_matches(['"', '\'']))
    }
}

fn os() -> Os {
    if cfg!(target_os = "macos") {
        return Os::Mac;
    }
    if cfg!(windows) {
        return Os::Windows;
    }
    let release = fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release"));
    Os::Unix { release: release.unwrap_or_default() }
}

/// The folders of programs, those for administrators last. What is relative could be anything.
pub(super) fn search_path(path: Option<&OsString>) -> Vec<PathBuf> {
    let own = path.into_iter().flat_map(std::env::split_paths).filter(|folder| folder.is_absolute());
    own.chain(ADMINISTRATORS.iter().map(PathBuf::from)).collect()
}

fn databases(home: &Path, programs: &BTreeSet<String>) -> Vec<Nss> {
    let is_database = |folder: &Path| folder.join(DATABASE).is_file();
    let chromium = CHROMIUM.iter().map(|path| home.join(path)).filter(|folder| is_database(folder));
    let chromium = chromium.map(|folder| Nss { kind: Kind::Chromium, folder, exists: true });
    let mut all: Vec<Nss> = chromium.collect();
    if all.is_empty() && CHROMIUMS.iter().any(|name| programs.contains(*name)) {
        all.push(Nss { kind: Kind::Chromium, folder: home.join(CHROMIUM[0]), exists: false });
    }
    for folder in FIREFOX.iter().map(|path| home.join(path)) {
        let profiles = fs::read_dir(folder).into_iter().flatten().flatten().map(|profile| profile.path());
        let mut profiles: Vec<PathBuf> = profiles.filter(|profile| is_database(profile)).collect();
        profiles.sort();
        all.extend(profiles.into_iter().map(|folder| Nss { kind: Kind::Firefox, folder, exists: true }));
    }
    all
}

fn java(java_home: Option<&Path>, keytool: Option<PathBuf>) -> Vec<Java> {
    let own = java_home.filter(|home| home.is_absolute()).and_then(|home| {
        let keytool = home.join(format!("bin/keytool{}", std::env::consts::EXE_SUFFIX));
        // Java 8 has it below `jre`.
        let stores = ["lib/security/cacerts", "jre/lib/security/cacerts"].map(|path| home.join(path));
        let cacerts = stores.into_iter().find(|store| store.is_file())?;
        keytool.is_file().then_some((keytool, cacerts))
    });
    let systems = keytool.map(|keytool| (keytool, PathBuf::from(SYSTEM_CACERTS)));
    let systems = systems.filter(|(_, cacerts)| cacerts.is_file());
    let mut all: Vec<Java> = Vec::new();
    for (keytool, cacerts) in own.into_iter().chain(systems) {
        // A distribution's runtime has a link to the system's.
        let cacerts = fs::canonicalize(&cacerts).unwrap_or(cacerts);
        if !all.iter().any(|java| java.cacerts == cacerts) {
            let writable = fs::File::options().append(true).open(&cacerts).is_ok();
            all.push(Java { keytool, cacerts, writable });
        }
    }
    all
}

#[cfg(unix)]
fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Elsewhere every store that is used is the user's own.
#[cfg(not(unix))]
fn is_root() -> bool {
    false
}
