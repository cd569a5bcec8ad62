//! Computes the trust stores of a machine from its description.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::machine::{FAMILIES, Family, JavaStore, Machine, NssDatabase, Os};
use super::store::{Ca, Installation, Listing, Obstacle, Store, StoreKind, Words};

#[derive(Clone, Debug)]
pub struct StoreList {
    pub stores: Vec<Store>,
    /// A sentence about each kind of store that does not apply.
    pub notes: Vec<&'static str>,
}

/// Returns the trust stores of a machine, the system's first because others may import its roots.
pub fn stores(machine: &Machine, ca: &Ca) -> StoreList {
    let mut stores = vec![system(machine, ca)];
    let mut notes = Vec::new();
    if let Os::Unix { .. } = machine.os {
        stores.extend(machine.nss.iter().map(|database| nss(machine, ca, database)));
        if machine.nss.is_empty() {
            notes.push("browsers: no database of roots yet; Chromium and Firefox create theirs at the first start");
        }
    } else {
        notes.push(
            "browsers: Chromium and related browsers use the system's roots, and so does Firefox from version 120; for an older one, set \
             security.enterprise_roots.enabled in about:config",
        );
    }
    stores.extend(machine.java.iter().map(|store| java(machine, ca, store)));
    if machine.java.is_empty() {
        notes.push("Java: `-- CMD` gives a JVM its own trust store; the runtime's is listed here if JAVA_HOME is set");
    }
    StoreList { stores, notes }
}

const SYSTEM_READERS: &str =
    "curl, wget, git, OpenSSL, Go, Ruby, PHP, .NET and Python's ssl, but neither Node.js nor Java";

/// Returns a store without commands. `entry` is the identifier that the CA gets in it.
fn store(ca: &Ca, kind: StoreKind, place: impl Into<PathBuf>, listing: Listing, entry: impl Into<OsString>) -> Store {
    Store {
        kind,
        name: String::new(),
        place: place.into(),
        readers: SYSTEM_READERS,
        obstacle: None,
        listing,
        needs_root: false,
        install: &[],
        remove: &[],
        remove_other: None,
        update: None,
        undo: None,
        unattended: &[],
        ca: ca.clone(),
        tool: PathBuf::new(),
        entry: entry.into(),
    }
}

fn system(machine: &Machine, ca: &Ca) -> Store {
    match &machine.os {
        Os::Mac => keychain(ca),
        Os::Windows => windows(ca),
        Os::Unix { .. } => match family(machine) {
            Some(family) => anchors(machine, ca, family),
            None => by_hand(machine, ca),
        },
    }
}

/// Returns the family by the system's name, then by the names in `ID_LIKE`, then by installed programs and folders. Of
/// several families with the same program the last one, the most general, wins.
fn family(machine: &Machine) -> Option<&'static Family> {
    let ids = ["ID", "ID_LIKE"].into_iter().filter_map(|field| machine.release(field));
    // `opensuse-leap`, `opensuse-tumbleweed`.
    let fits = |id: &str, family: &Family| family.ids.contains(&id.split('-').next().unwrap_or(id));
    let named = ids.flat_map(str::split_whitespace).find_map(|id| FAMILIES.iter().find(|family| fits(id, family)));
    let is_there = |family: &&Family| {
        machine.programs.contains(family.tool) && machine.folders.contains(Path::new(family.folders[0]))
    };
    named.or_else(|| FAMILIES.iter().rev().find(is_there))
}

fn system_name(machine: &Machine) -> String {
    let name = machine.release("PRETTY_NAME").or_else(|| machine.release("NAME"));
    name.filter(|name| !name.is_empty()).unwrap_or("this system").to_owned()
}

fn anchors(machine: &Machine, ca: &Ca, family: &'static Family) -> Store {
    // Debian's program requires this file extension, the others accept any.
    let file = Path::new(family.folders[0]).join(format!("{}.crt", ca.label));
    let missing = !machine.programs.contains(family.tool);
    let listing = Listing::Files { folders: paths(family.folders), bundles: paths(family.bundles) };
    Store {
        name: system_name(machine),
        obstacle: missing.then_some(Obstacle::Missing { tool: family.tool, get: family.get_tool }),
        needs_root: true,
        install: family.install,
        remove: &[&["rm", "-f", "{entry}"]],
        update: Some(family.update),
        undo: family.undo,
        ..store(ca, StoreKind::System, family.bundles[0], listing, file)
    }
}

fn paths(all: &[&str]) -> Vec<PathBuf> {
    all.iter().map(PathBuf::from).collect()
}

fn by_hand(machine: &Machine, ca: &Ca) -> Store {
    let bundles = ["/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    let file = ca.file.display();
    let instruction = match machine.release("ID") == Some("nixos") {
        true => format!(
            "add \"{file}\" to security.pki.certificateFiles in the system's configuration, then nixos-rebuild switch"
        ),
        false => format!("harproxy has no commands for this system: see its manual for where to put {file}"),
    };
    let listing = Listing::Files { folders: Vec::new(), bundles: paths(&bundles) };
    Store {
        name: system_name(machine),
        obstacle: Some(Obstacle::ByHand(instruction)),
        needs_root: true,
        ..store(ca, StoreKind::System, bundles[0], listing, "")
    }
}

/// security(1).
fn keychain(ca: &Ca) -> Store {
    const DELETE: Words = &["security", "delete-certificate", "-c", "{entry}", "-t", "{place}"];
    Store {
        name: "the system keychain".into(),
        readers: "Safari, Chromium, Firefox, curl, Go, Swift and .NET, but neither Node.js nor Java",
        needs_root: true,
        install: &[&["security", "add-trusted-cert", "-d", "-r", "trustRoot", "-k", "{place}", "{ca}"]],
        remove: &[&["security", "remove-trusted-cert", "-d", "{ca}"], DELETE],
        remove_other: Some(DELETE),
        ..store(ca, StoreKind::System, "/Library/Keychains/System.keychain", Listing::Keychain, &ca.name)
    }
}

/// Windows' certutil on the user's store. Windows asks the user for confirmation.
fn windows(ca: &Ca) -> Store {
    Store {
        name: "the user's root certificates (Windows asks for confirmation itself)".into(),
        readers: "Edge, Chrome, Firefox, PowerShell, .NET, Go and curl, but neither Node.js nor Java",
        install: &[&["certutil", "-addstore", "-user", "Root", "{ca}"]],
        remove: &[&["certutil", "-delstore", "-user", "Root", "{entry}"]],
        ..store(ca, StoreKind::System, "Root", Listing::Windows, &ca.serial)
    }
}

/// NSS's certutil(1). Without a password file it prompts on the terminal for the password of a protected database.
fn nss(machine: &Machine, ca: &Ca, database: &NssDatabase) -> Store {
    const CERTUTIL: &str = "certutil";
    const ADD: Words = &[CERTUTIL, "-d", "sql:{place}", "-A", "-t", "C,,", "-n", "{label}", "-i", "{ca}"];
    let get =
        family(machine).map_or(Installation::Package("the package with NSS's certutil"), |family| family.get_certutil);
    let missing = !machine.programs.contains(CERTUTIL);
    let (name, readers) = match database.kind {
        StoreKind::Firefox => ("Firefox's profile", "Firefox with this profile, once it is started again"),
        _ => (
            "Chromium and related browsers",
            "Chromium, Chrome, Edge, Brave, Vivaldi and Opera of this user, once they are started again",
        ),
    };
    Store {
        name: name.into(),
        readers,
        obstacle: missing.then_some(Obstacle::Missing { tool: CERTUTIL, get }),
        install: match database.exists {
            true => &[ADD],
            false => &[&["mkdir", "-p", "{place}"], &[CERTUTIL, "-d", "sql:{place}", "-N", "--empty-password"], ADD],
        },
        remove: &[&[CERTUTIL, "-d", "sql:{place}", "-D", "-n", "{entry}"]],
        unattended: &["-f", "/dev/null"],
        tool: CERTUTIL.into(),
        ..store(ca, database.kind, &database.folder, Listing::Nss, &ca.label)
    }
}

/// keytool(1), with the default password of every runtime's store.
fn java(machine: &Machine, ca: &Ca, java: &JavaStore) -> Store {
    #[rustfmt::skip]
    const IMPORT: Words = &[
        "{tool}", "-importcert", "-noprompt", "-trustcacerts", "-alias", "{label}", "-file", "{ca}",
        "-keystore", "{place}", "-storepass", "changeit",
    ];
    Store {
        name: "Java's cacerts".into(),
        readers: "programs on this Java runtime; `-- CMD` gives a JVM its own trust store",
        needs_root: !java.writable && machine.os != Os::Windows,
        install: &[IMPORT],
        remove: &[&["{tool}", "-delete", "-alias", "{entry}", "-keystore", "{place}", "-storepass", "changeit"]],
        tool: java.keytool.clone(),
        ..store(ca, StoreKind::Java, &java.cacerts, Listing::Keytool, &ca.label)
    }
}
