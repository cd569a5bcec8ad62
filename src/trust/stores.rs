//! From a description of a machine to its trust stores: what each needs, as data.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::ca::Ca;
use super::families::{ENDING, FAMILIES, Family};
use super::look::Look;
use super::machine::{Java, Machine, Nss, Os};
use super::recipe::{Recipe, Values};
use super::store::{Get, Kind, Obstacle, Right, Store};

/// What can be said of a machine's trust stores.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The stores that apply.
    pub stores: Vec<Store>,
    /// What is good to know of those that don't: a sentence each.
    pub asides: Vec<&'static str>,
}

/// The trust stores of a machine, the system's first: what it holds others may take over.
#[must_use]
pub fn stores(machine: &Machine, ca: &Ca) -> Plan {
    let mut stores = vec![system(machine, ca)];
    let mut asides = Vec::new();
    if let Os::Unix { .. } = machine.os {
        stores.extend(machine.nss.iter().map(|database| nss(machine, ca, database)));
        if machine.nss.is_empty() {
            asides.push("browsers: none has a database of roots here yet; Chromium and Firefox make theirs when they first start");
        }
    } else {
        asides.push(
            "browsers: Chromium and related browsers use the system's roots, and so does Firefox from version 120; an older one does with \
             security.enterprise_roots.enabled in about:config",
        );
    }
    stores.extend(machine.java.iter().map(|store| java(machine, ca, store)));
    if machine.java.is_empty() {
        asides.push("Java: `-- CMD` gives a JVM a trust store of its own; the runtime's is listed here where JAVA_HOME names one");
    }
    Plan { stores, asides }
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

/// The family by name, a system's own before those that it says it is like; then by what is there, the most general
/// one of those with the
/// same program, which stands last.
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
        kind: Kind::System,
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
        false => format!(
            "which commands this system takes is not known here; its manual says where {} goes",
            ca.file.display()
        ),
    };
    let place = PathBuf::from(bundles[0]);
    Store {
        kind: Kind::System,
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
        kind: Kind::System,
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

/// Windows' certutil, on the store of the user: Windows itself asks the user once.
fn windows(ca: &Ca) -> Store {
    let remove = Recipe { each: &[&["certutil", "-delstore", "-user", "Root", "{entry}"]], then: &[] };
    let place = PathBuf::from("Root");
    Store {
        kind: Kind::System,
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

/// NSS's certutil(1). Without a file of passwords it asks for that of a protected database at the terminal, whatever
/// standard input is.
fn nss(machine: &Machine, ca: &Ca, database: &Nss) -> Store {
    const CERTUTIL: &str = "certutil";
    let remove = Recipe { each: &[&[CERTUTIL, "-d", "sql:{place}", "-D", "-n", "{entry}"]], then: &[] };
    let get = family(machine).map_or(Get::Package("the package with NSS's certutil"), |family| family.get_certutil);
    let missing = !machine.programs.contains(CERTUTIL);
    Store {
        kind: database.kind,
        name: match database.kind {
            Kind::Firefox => "Firefox's profile".into(),
            _ => "Chromium and related browsers".into(),
        },
        place: database.folder.clone(),
        readers: match database.kind {
            Kind::Firefox => "Firefox with this profile, once it is started again",
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

/// keytool(1), with the password that every runtime's own store has.
fn java(machine: &Machine, ca: &Ca, store: &Java) -> Store {
    let remove = Recipe {
        each: &[&["{tool}", "-delete", "-alias", "{entry}", "-keystore", "{place}", "-storepass", "changeit"]],
        then: &[],
    };
    let users_own = store.writable || machine.os == Os::Windows;
    Store {
        kind: Kind::Java,
        name: "Java's cacerts".into(),
        place: store.cacerts.clone(),
        readers: "programs on this Java runtime; `-- CMD` gives a JVM a trust store of its own",
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
