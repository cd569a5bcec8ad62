//! Families of Unix systems that build a bundle from a folder of roots with a command.

use super::store::{Installation, Words};

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
