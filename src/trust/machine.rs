//! Description of a machine for the computation of its trust stores.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::store::{Installation, Rights, StoreKind, Words, search_path};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Os {
    /// Linux and other systems with an os-release(5).
    Unix {
        /// The text of os-release, empty if there is none.
        release: String,
    },
    Mac,
    Windows,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NssDatabase {
    /// [`StoreKind::Chromium`] or [`StoreKind::Firefox`].
    pub kind: StoreKind,
    pub folder: PathBuf,
    pub exists: bool,
}

/// A Java runtime's own trust store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JavaStore {
    pub keytool: PathBuf,
    pub cacerts: PathBuf,
    pub writable: bool,
}

#[derive(Clone, Debug)]
pub struct Machine {
    pub os: Os,
    pub rights: Rights,
    /// Available programs, among those that stores need.
    pub programs: BTreeSet<String>,
    /// Existing folders, among those that stores need.
    pub folders: BTreeSet<PathBuf>,
    pub nss: Vec<NssDatabase>,
    pub java: Vec<JavaStore>,
}

/// Browsers that read the first database of [`CHROMIUM`].
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
/// Databases of Chromium-based browsers below the home folder: the shared one, the fallback of newer versions, the
/// snap's, and those of flatpaks.
const CHROMIUM: &[&str] = &[
    ".pki/nssdb",
    ".local/share/pki/nssdb",
    "snap/chromium/current/.pki/nssdb",
    ".var/app/org.chromium.Chromium/.pki/nssdb",
    ".var/app/com.google.Chrome/.pki/nssdb",
];
/// Folders of Firefox's profiles below the home folder: of a distribution's package (since Firefox 147 in the XDG
/// folder), the snap and the flatpak.
const FIREFOX: &[&str] = &[
    ".mozilla/firefox",
    ".config/mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/config/mozilla/firefox",
];
/// The file that marks a folder as an NSS database for certutil's `sql:`.
const DATABASE: &str = "cert9.db";
/// The store of Debian's ca-certificates-java, shared by all Java runtimes.
const SYSTEM_CACERTS: &str = "/etc/ssl/certs/java/cacerts";

impl Machine {
    /// Describes this machine for a process with these variables.
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
        let folders = FAMILIES.iter().map(|family| PathBuf::from(family.folders[0])).filter(|path| path.is_dir());
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

    /// Returns a field of os-release(5) without quotes.
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

fn databases(home: &Path, programs: &BTreeSet<String>) -> Vec<NssDatabase> {
    let existing = |kind, mut folders: Vec<PathBuf>| {
        folders.retain(|folder| folder.join(DATABASE).is_file());
        folders.into_iter().map(move |folder| NssDatabase { kind, folder, exists: true })
    };
    let chromium = CHROMIUM.iter().map(|path| home.join(path)).collect();
    let mut all: Vec<NssDatabase> = existing(StoreKind::Chromium, chromium).collect();
    if all.is_empty() && CHROMIUMS.iter().any(|name| programs.contains(*name)) {
        all.push(NssDatabase { kind: StoreKind::Chromium, folder: home.join(CHROMIUM[0]), exists: false });
    }
    for folder in FIREFOX.iter().map(|path| home.join(path)) {
        let profiles = fs::read_dir(folder).into_iter().flatten().flatten().map(|profile| profile.path());
        let mut profiles: Vec<PathBuf> = profiles.collect();
        profiles.sort();
        all.extend(existing(StoreKind::Firefox, profiles));
    }
    all
}

fn java(java_home: Option<&Path>, keytool: Option<PathBuf>) -> Vec<JavaStore> {
    let own = java_home.filter(|home| home.is_absolute()).and_then(|home| {
        let keytool = home.join(format!("bin/keytool{}", std::env::consts::EXE_SUFFIX));
        // Java 8 has the store below `jre`.
        let stores = ["lib/security/cacerts", "jre/lib/security/cacerts"].map(|path| home.join(path));
        let cacerts = stores.into_iter().find(|store| store.is_file())?;
        keytool.is_file().then_some((keytool, cacerts))
    });
    let systems = keytool.map(|keytool| (keytool, PathBuf::from(SYSTEM_CACERTS)));
    let systems = systems.filter(|(_, cacerts)| cacerts.is_file());
    let mut all: Vec<JavaStore> = Vec::new();
    for (keytool, cacerts) in own.into_iter().chain(systems) {
        // A distribution's runtime links to the system's store.
        let cacerts = fs::canonicalize(&cacerts).unwrap_or(cacerts);
        if !all.iter().any(|java| java.cacerts == cacerts) {
            let writable = fs::File::options().append(true).open(&cacerts).is_ok();
            all.push(JavaStore { keytool, cacerts, writable });
        }
    }
    all
}

#[cfg(unix)]
fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// On other platforms all stores belong to the user.
#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// A family of Unix systems that build a bundle from a folder of roots with a command.
pub(super) struct Family {
    /// Words of `ID` and `ID_LIKE` in os-release(5).
    pub(super) ids: &'static [&'static str],
    /// All folders that may contain local roots; harproxy adds its file to the first one.
    pub(super) folders: &'static [&'static str],
    /// Bundles; programs read the first one that exists.
    pub(super) bundles: &'static [&'static str],
    /// The program that builds the bundle. A system with this program and the folder belongs to the family, whatever
    /// its name.
    pub(super) tool: &'static str,
    pub(super) get_tool: Installation,
    /// How to install NSS's certutil, for browsers' databases.
    pub(super) get_certutil: Installation,
    pub(super) install: &'static [Words],
    /// Applies the removal of a file to the bundle.
    pub(super) update: Words,
    /// Undoes `install`, if `install` chooses the file name.
    pub(super) undo: Option<Words>,
}

/// All families. The first one with a matching name is used, else the last one whose program and folder exist.
pub(super) const FAMILIES: &[Family] = &[
    // ca-certificates, update-ca-certificates(8).
    Family {
        ids: &["debian", "ubuntu"],
        get_tool: Installation::Command("apt-get install ca-certificates"),
        get_certutil: Installation::Command("apt-get install libnss3-tools"),
        ..DEBIAN
    },
    Family {
        ids: &["alpine"],
        get_tool: Installation::Command("apk add ca-certificates"),
        get_certutil: Installation::Command("apk add nss-tools"),
        ..DEBIAN
    },
    // update-ca-trust(8).
    Family {
        ids: &["fedora", "rhel", "centos"],
        folders: &["/etc/pki/ca-trust/source/anchors", "/etc/pki/ca-trust/source"],
        bundles: &["/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/pki/tls/certs/ca-bundle.crt"],
        tool: "update-ca-trust",
        get_tool: Installation::Command("dnf install ca-certificates"),
        get_certutil: Installation::Command("dnf install nss-tools"),
        install: &[INSTALL, &["update-ca-trust", "extract"]],
        update: &["update-ca-trust", "extract"],
        undo: None,
    },
    // p11-kit, trust(1): it names the file itself.
    Family {
        ids: &["arch", "archlinux"],
        folders: &["/etc/ca-certificates/trust-source/anchors", "/etc/ca-certificates/trust-source"],
        bundles: &["/etc/ca-certificates/extracted/tls-ca-bundle.pem", "/etc/ssl/certs/ca-certificates.crt"],
        tool: "trust",
        get_tool: Installation::Command("pacman -S --needed ca-certificates-utils p11-kit"),
        get_certutil: Installation::Command("pacman -S --needed nss"),
        install: &[&["trust", "anchor", "--store", "{ca}"]],
        update: &["update-ca-trust"],
        undo: Some(&["trust", "anchor", "--remove", "{ca}"]),
    },
    Family {
        ids: &["suse", "opensuse", "sles"],
        folders: &["/etc/pki/trust/anchors"],
        bundles: &["/var/lib/ca-certificates/ca-bundle.pem", "/etc/ssl/ca-bundle.pem"],
        get_tool: Installation::Command("zypper install ca-certificates"),
        get_certutil: Installation::Command("zypper install mozilla-nss-tools"),
        update: &["update-ca-certificates"],
        ..DEBIAN
    },
    // Gentoo, Void and other systems with Debian's program.
    Family { ids: &["gentoo", "void"], ..DEBIAN },
];

const DEBIAN: Family = Family {
    ids: &[],
    folders: &["/usr/local/share/ca-certificates"],
    bundles: &["/etc/ssl/certs/ca-certificates.crt"],
    tool: "update-ca-certificates",
    get_tool: Installation::Package("the package ca-certificates"),
    get_certutil: Installation::Package("the package with NSS's certutil (nss-tools, nss)"),
    install: &[INSTALL, &["update-ca-certificates"]],
    // Without `--fresh`, links to a removed file stay in /etc/ssl/certs.
    update: &["update-ca-certificates", "--fresh"],
    undo: None,
};

/// `{entry}` is harproxy's file in the first folder.
const INSTALL: Words = &["install", "-D", "-m", "644", "{ca}", "{entry}"];
