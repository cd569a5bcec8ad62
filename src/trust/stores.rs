//! Computes the trust stores of a machine from its description.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::ca::Ca;
use super::families::{ENDING, FAMILIES, Family};
use super::look::Look;
use super::machine::{Java, Machine, Nss, Os};
use super::recipe::{Recipe, Values};
use super::store::{Get, Obstacle, Right, Store, StoreKind};

/// The trust stores of a machine.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The stores that apply.
    pub stores: Vec<Store>,
    /// A sentence about each kind of store that does not apply.
    pub notes: Vec<&'static str>,
}

/// Returns the trust stores of a machine, the system's first because others may import its roots.
#[must_use]
pub fn stores(machine: &Machine, ca: &Ca) -> Plan {
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
    Plan { stores, notes }
}

const SYSTEM_READERS: &str =
    "curl, wget, git, OpenSSL, Go, Ruby, PHP, .NET and Python's ssl, but neither Node.js nor Java";

fn values(ca: &Ca, place: &Path, entry: impl Into<OsString>) -> Values {
    Values {
        ca: ca.file.clone(),
        name: ca.name.clone(),
        label: ca.label.clone(),
        serial: ca.serial.clone(),
        place: place.to_owned(),
        entry: entry.into(),
        tool: PathBuf::new(),
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

/// Returns the family by the system's name, then by the names in `ID_LIKE`, then by installed programs and folders. Of several
/// families with the same program the last one, the most general, wins.
fn family(machine: &Machine) -> Option<&'static Family> {
    let ids = ["ID", "ID_LIKE"].into_iter().filter_map(|field| machine.release(field));
    // `opensuse-leap`, `opensuse-tumbleweed`.
    let fits = |id: &str, family: &Family| family.ids.contains(&id.split('-').next().unwrap_or(id));
    let named = ids.flat_map(str::split_whitespace).find_map(|id| FAMILIES.iter().find(|family| fits(id, family)));
    let is_there = |family: &&Family| {
        machine.programs.contains(family.tool) && machine.folders.contains(Path::new(family.anchors))
    };
    named.or_else(|| FAMILIES.iter().rev().find(is_there))
}

const NIXOS: &str = "nixos";

fn system_name(machine: &Machine) -> String {
    let name = machine.release("PRETTY_NAME").or_else(|| machine.release("NAME"));
    name.filter(|name| !name.is_empty()).unwrap_or("this system").to_owned()
}

fn anchors(machine: &Machine, ca: &Ca, family: &'static Family) -> Store {
    let place = PathBuf::from(family.bundles[0]);
    let anchor = Path::new(family.anchors).join(format!("{}{ENDING}", ca.label));
    let missing = !machine.programs.contains(family.tool);
    Store {
        kind: StoreKind::System,
        name: system_name(machine),
        readers: SYSTEM_READERS,
        obstacle: missing.then_some(Obstacle::Missing { tool: family.tool, get: family.get_tool }),
        look: Look::Files { folders: paths(family.folders), bundles: paths(family.bundles) },
        right: Right::Administrator,
        make: &[],
        install: family.install,
        own: family.remove,
        others: family.remove,
        undo: family.undo.unwrap_or(family.remove),
        unattended: &[],
        values: values(ca, &place, anchor),
        place,
    }
}

fn paths(all: &[&str]) -> Vec<PathBuf> {
    all.iter().map(PathBuf::from).collect()
}

fn by_hand(machine: &Machine, ca: &Ca) -> Store {
    let nixos = machine.release("ID") == Some(NIXOS);
    let bundles = ["/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    let what = match nixos {
        true => format!(
            "add \"{}\" to security.pki.certificateFiles in the system's configuration, then nixos-rebuild switch",
            ca.file.display()
        ),
        false => {
            format!("harproxy has no commands for this system: see its manual for where to put {}", ca.file.display())
        }
    };
    let place = PathBuf::from(bundles[0]);
    Store {
        kind: StoreKind::System,
        name: system_name(machine),
        readers: SYSTEM_READERS,
        obstacle: Some(Obstacle::ByHand(what)),
        look: Look::Files { folders: Vec::new(), bundles: paths(&bundles) },
        right: Right::Administrator,
        make: &[],
        install: Recipe::default(),
        own: Recipe::default(),
        others: Recipe::default(),
        undo: Recipe::default(),
        unattended: &[],
        values: values(ca, &place, ""),
        place,
    }
}

/// security(1).
fn keychain(ca: &Ca) -> Store {
    const DELETE: &[&str] = &["security", "delete-certificate", "-c", "{entry}", "-t", "{place}"];
    const DISTRUST: &[&str] = &["security", "remove-trusted-cert", "-d", "{ca}"];
    let own = Recipe { each: &[DISTRUST, DELETE], then: &[] };
    let place = PathBuf::from("/Library/Keychains/System.keychain");
    Store {
        kind: StoreKind::System,
        name: "the system keychain".into(),
        readers: "Safari, Chromium, Firefox, curl, Go, Swift and .NET, but neither Node.js nor Java",
        obstacle: None,
        look: Look::Keychain,
        right: Right::Administrator,
        make: &[],
        install: Recipe {
            each: &[&["security", "add-trusted-cert", "-d", "-r", "trustRoot", "-k", "{place}", "{ca}"]],
            then: &[],
        },
        own,
        others: Recipe { each: &[DELETE], then: &[] },
        undo: own,
        unattended: &[],
        values: values(ca, &place, &ca.name),
        place,
    }
}

/// Windows' certutil on the user's store. Windows asks the user for confirmation.
fn windows(ca: &Ca) -> Store {
    let remove = Recipe { each: &[&["certutil", "-delstore", "-user", "Root", "{entry}"]], then: &[] };
    let place = PathBuf::from("Root");
    Store {
        kind: StoreKind::System,
        name: "the user's root certificates (Windows asks for confirmation itself)".into(),
        readers: "Edge, Chrome, Firefox, PowerShell, .NET, Go and curl, but neither Node.js nor Java",
        obstacle: None,
        look: Look::Windows,
        right: Right::User,
        make: &[],
        install: Recipe { each: &[&["certutil", "-addstore", "-user", "Root", "{ca}"]], then: &[] },
        own: remove,
        others: remove,
        undo: remove,
        unattended: &[],
        values: values(ca, &place, &ca.serial),
        place,
    }
}

/// NSS's certutil(1). Without a password file it prompts on the terminal for the password of a protected database.
fn nss(machine: &Machine, ca: &Ca, database: &Nss) -> Store {
    const CERTUTIL: &str = "certutil";
    let remove = Recipe { each: &[&[CERTUTIL, "-d", "sql:{place}", "-D", "-n", "{entry}"]], then: &[] };
    let get = family(machine).map_or(Get::Package("the package with NSS's certutil"), |family| family.get_certutil);
    let missing = !machine.programs.contains(CERTUTIL);
    Store {
        kind: database.kind,
        name: match database.kind {
            StoreKind::Firefox => "Firefox's profile".into(),
            _ => "Chromium and related browsers".into(),
        },
        place: database.folder.clone(),
        readers: match database.kind {
            StoreKind::Firefox => "Firefox with this profile, once it is started again",
            _ => "Chromium, Chrome, Edge, Brave, Vivaldi and Opera of this user, once they are started again",
        },
        obstacle: missing.then_some(Obstacle::Missing { tool: CERTUTIL, get }),
        look: Look::Nss,
        right: Right::User,
        make: match database.exists {
            true => &[],
            false => &[&["mkdir", "-p", "{place}"], &[CERTUTIL, "-d", "sql:{place}", "-N", "--empty-password"]],
        },
        install: Recipe {
            each: &[&[CERTUTIL, "-d", "sql:{place}", "-A", "-t", "C,,", "-n", "{label}", "-i", "{ca}"]],
            then: &[],
        },
        own: remove,
        others: remove,
        undo: remove,
        unattended: &["-f", "/dev/null"],
        values: Values { tool: CERTUTIL.into(), ..values(ca, &database.folder, &ca.label) },
    }
}

/// keytool(1), with the default password of every runtime's store.
fn java(machine: &Machine, ca: &Ca, store: &Java) -> Store {
    let remove = Recipe {
        each: &[&["{tool}", "-delete", "-alias", "{entry}", "-keystore", "{place}", "-storepass", "changeit"]],
        then: &[],
    };
    let users_own = store.writable || machine.os == Os::Windows;
    Store {
        kind: StoreKind::Java,
        name: "Java's cacerts".into(),
        place: store.cacerts.clone(),
        readers: "programs on this Java runtime; `-- CMD` gives a JVM its own trust store",
        obstacle: None,
        look: Look::Keytool,
        right: if users_own { Right::User } else { Right::Administrator },
        make: &[],
        install: Recipe {
            each: &[&[
                "{tool}",
                "-importcert",
                "-noprompt",
                "-trustcacerts",
                "-alias",
                "{label}",
                "-file",
                "{ca}",
                "-keystore",
                "{place}",
                "-storepass",
                "changeit",
            ]],
            then: &[],
        },
        own: remove,
        others: remove,
        undo: remove,
        unattended: &[],
        values: Values { tool: store.keytool.clone(), ..values(ca, &store.cacerts, &ca.label) },
    }
}
