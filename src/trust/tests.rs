//! Every family of systems, on whatever system this runs; and what becomes of a store whose commands are played.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::edit::{ChangeError, StoreEditor};
use super::list::nicknames;
use super::*;
use harproxy_tls::authority::Authority;

const DEBIAN: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n";

fn authority(dir: &Path) -> Authority {
    Authority::load_or_create(dir).unwrap()
}

fn machine(release: &str, programs: &[&str]) -> Machine {
    Machine {
        os: Os::Unix { release: release.into() },
        rights: Rights::Sudo,
        programs: programs.iter().map(|name| (*name).to_owned()).collect(),
        folders: BTreeSet::new(),
        nss: Vec::new(),
        java: Vec::new(),
    }
}

/// The commands of some steps as a person would type them.
fn typed(steps: &[StoreCommand], rights: Rights) -> Vec<String> {
    let line = |step: &StoreCommand| {
        step.typed(rights).iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    };
    steps.iter().map(line).collect()
}

struct Fixture {
    dir: tempfile::TempDir,
    authority: Authority,
    ca: Ca,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = authority(&dir.path().join("ca"));
        let ca = Ca::of(&authority);
        Fixture { dir, authority, ca }
    }

    /// The text with the CA's own file and label.
    fn with_ca(&self, text: &str) -> String {
        let name = self.ca.name.as_str();
        text.replace("{ca}", &self.ca.file.to_string_lossy())
            .replace("{label}", &self.ca.label)
            .replace("{serial}", &self.ca.serial)
            .replace("{name}", name)
    }

    fn system(&self, machine: &Machine) -> Store {
        stores(machine, &self.ca).stores.remove(0)
    }
}

#[test]
fn label_contains_the_fingerprint() {
    let fixture = Fixture::new();
    let digits = fixture.authority.fingerprint().replace(':', "").to_ascii_lowercase();
    assert_eq!(fixture.ca.label, format!("harproxy-{}", &digits[..8]));
    assert!(fixture.ca.name.starts_with("harproxy CA "), "{}", fixture.ca.name);
}

#[test]
fn families_have_their_commands() {
    let fixture = Fixture::new();
    let debian = [
        "sudo install -D -m 644 {ca} /usr/local/share/ca-certificates/{label}.crt\nsudo update-ca-certificates",
        "sudo rm -f /usr/local/share/ca-certificates/{label}.crt\nsudo update-ca-certificates --fresh",
    ];
    let fedora = [
        "sudo install -D -m 644 {ca} /etc/pki/ca-trust/source/anchors/{label}.crt\nsudo update-ca-trust extract",
        "sudo rm -f /etc/pki/ca-trust/source/anchors/{label}.crt\nsudo update-ca-trust extract",
    ];
    let arch = ["sudo trust anchor --store {ca}", "sudo trust anchor --remove {ca}"];
    let suse = [
        "sudo install -D -m 644 {ca} /etc/pki/trust/anchors/{label}.crt\nsudo update-ca-certificates",
        "sudo rm -f /etc/pki/trust/anchors/{label}.crt\nsudo update-ca-certificates",
    ];
    for (release, [install, undo]) in [
        (DEBIAN, debian),
        ("ID=ubuntu\nID_LIKE=debian\n", debian),
        ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", debian),
        ("ID=alpine\n", debian),
        ("ID=gentoo\n", debian),
        ("ID=fedora\n", fedora),
        ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", fedora),
        ("ID=arch\n", arch),
        ("ID=manjaro\nID_LIKE=arch\n", arch),
        ("ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n", suse),
        ("ID=\"sles\"\nID_LIKE=\"suse\"\n", suse),
    ] {
        let machine = machine(release, &["update-ca-certificates", "update-ca-trust", "trust"]);
        let store = fixture.system(&machine);
        assert_eq!(store.obstacle, None, "{release}");
        assert_eq!(typed(&store.install(), Rights::Sudo).join("\n"), fixture.with_ca(install), "{release}");
        assert_eq!(typed(&store.undo(), Rights::Sudo).join("\n"), fixture.with_ca(undo), "{release}");
        let as_root = fixture.with_ca(install).replace("sudo ", "");
        assert_eq!(typed(&store.install(), Rights::Administrator).join("\n"), as_root, "root needs no sudo");
    }
}

#[test]
fn unnamed_system_is_detected_by_program_and_folder() {
    let fixture = Fixture::new();
    let mut unnamed = machine("ID=homegrown\n", &["update-ca-certificates"]);
    assert!(matches!(fixture.system(&unnamed).obstacle, Some(Obstacle::ByHand(_))));
    unnamed.folders = [PathBuf::from("/etc/pki/trust/anchors")].into();
    let install = typed(&fixture.system(&unnamed).install(), Rights::Sudo).join("\n");
    assert!(install.contains("/etc/pki/trust/anchors/"), "{install}");
    unnamed.folders = [PathBuf::from("/usr/local/share/ca-certificates")].into();
    let install = typed(&fixture.system(&unnamed).install(), Rights::Sudo).join("\n");
    assert!(install.contains("/usr/local/share/ca-certificates/"), "{install}");
}

#[test]
fn missing_program_is_an_obstacle_with_an_instruction() {
    let fixture = Fixture::new();
    for (release, expected) in [
        (DEBIAN, ["apt-get install ca-certificates", "apt-get install libnss3-tools"]),
        ("ID=alpine\n", ["apk add ca-certificates", "apk add nss-tools"]),
        ("ID=fedora\n", ["dnf install ca-certificates", "dnf install nss-tools"]),
    ] {
        let mut machine = machine(release, &[]);
        machine.nss = vec![NssDatabase { kind: StoreKind::Firefox, folder: "/p".into(), exists: true }];
        let plan = stores(&machine, &fixture.ca);
        let got: Vec<_> = plan.stores.iter().map(|store| store.obstacle.clone()).collect();
        let missing = |tool, get| Some(Obstacle::Missing { tool, get: Installation::Command(get) });
        let tool = if release.contains("fedora") { "update-ca-trust" } else { "update-ca-certificates" };
        assert_eq!(got, [missing(tool, expected[0]), missing("certutil", expected[1])], "{release}");
    }
    let nixos = fixture.system(&machine("ID=nixos\n", &[]));
    let Some(Obstacle::ByHand(what)) = nixos.obstacle else { panic!("no word of NixOS") };
    assert!(what.contains("security.pki.certificateFiles") && what.contains("ca.pem"), "{what}");
}

#[test]
fn macos_and_windows_have_system_stores() {
    let fixture = Fixture::new();
    let mac = fixture.system(&Machine { os: Os::Mac, ..machine("", &[]) });
    assert_eq!(
        typed(&mac.install(), Rights::Sudo),
        [fixture.with_ca("sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {ca}")]
    );
    assert_eq!(
        typed(&mac.undo(), Rights::Sudo),
        [
            "sudo security remove-trusted-cert -d {ca}",
            "sudo security delete-certificate -c {name} -t /Library/Keychains/System.keychain"
        ]
        .map(|line| fixture.with_ca(line))
    );
    let windows = Machine { os: Os::Windows, rights: Rights::User, ..machine("", &[]) };
    let store = fixture.system(&windows);
    assert_eq!(typed(&store.install(), Rights::User), [fixture.with_ca("certutil -addstore -user Root {ca}")]);
    assert_eq!(typed(&store.undo(), Rights::User), [fixture.with_ca("certutil -delstore -user Root {serial}")]);
    for os in [Os::Mac, Os::Windows] {
        let plan = stores(&Machine { os, ..machine("", &[]) }, &fixture.ca);
        assert!(plan.notes.iter().any(|aside| aside.contains("security.enterprise_roots.enabled")), "{plan:?}");
    }
}

#[test]
fn browsers_and_java_have_stores() {
    let fixture = Fixture::new();
    let mut linux = machine(DEBIAN, &["update-ca-certificates", "certutil"]);
    linux.nss = vec![
        NssDatabase { kind: StoreKind::Chromium, folder: "/home/ada/.pki/nssdb".into(), exists: false },
        NssDatabase { kind: StoreKind::Firefox, folder: "/home/ada/my fox".into(), exists: true },
    ];
    linux.java =
        vec![JavaStore { keytool: "/jdk/bin/keytool".into(), cacerts: "/jdk/cacerts".into(), writable: false }];
    let plan = stores(&linux, &fixture.ca);
    assert_eq!(plan.notes, [""; 0]);
    let install: Vec<_> =
        plan.stores.iter().skip(1).map(|store| typed(&store.install(), Rights::Sudo).join("\n")).collect();
    let expected = [
        "mkdir -p /home/ada/.pki/nssdb\ncertutil -d sql:/home/ada/.pki/nssdb -N --empty-password\n\
         certutil -d sql:/home/ada/.pki/nssdb -A -t C,, -n {label} -i {ca}",
        "certutil -d sql:/home/ada/my fox -A -t C,, -n {label} -i {ca}",
        "sudo /jdk/bin/keytool -importcert -noprompt -trustcacerts -alias {label} -file {ca} -keystore /jdk/cacerts -storepass changeit",
    ];
    assert_eq!(install, expected.map(|text| fixture.with_ca(text)));
    linux.java[0].writable = true;
    let java = stores(&linux, &fixture.ca).stores.pop().unwrap();
    assert_eq!(
        typed(&java.undo(), Rights::Sudo),
        [fixture.with_ca("/jdk/bin/keytool -delete -alias {label} -keystore /jdk/cacerts -storepass changeit")]
    );
}

#[test]
fn files_and_bundle_are_compared_by_certificate() {
    let fixture = Fixture::new();
    let other = authority(&fixture.dir.path().join("other"));
    let (own, other) = (fixture.authority.cert_pem(), other);
    let file = |name: &str, text: &str| (PathBuf::from(name), text.as_bytes().to_vec());
    let strange = include_str!("../../certs/ca.pem");
    let files = vec![
        file("/a/mine.crt", own),
        file("/a/old.crt", other.cert_pem()),
        file("/a/strange.crt", strange),
        file("/a/all.pem", &format!("{strange}{own}")),
        file("/a/README", "no certificate"),
    ];
    let both = format!("# roots\n{strange}{own}");
    let found = StoreContents::in_files(&fixture.ca, files.clone(), Some(both.as_bytes()));
    assert_eq!(found.state(), TrustState::Trusted);
    assert_eq!(found.own, [StoreEntry { name: fixture.ca.name.clone(), handle: "/a/mine.crt".into() }]);
    let name = other.subject().trim_start_matches("CN=").to_owned();
    assert_eq!(found.others, [StoreEntry { name, handle: "/a/old.crt".into() }]);
    assert_eq!(StoreContents::in_files(&fixture.ca, files, Some(strange.as_bytes())).state(), TrustState::Half);
    assert_eq!(StoreContents::in_files(&fixture.ca, Vec::new(), None).state(), TrustState::Absent);
}

#[test]
fn nss_listing_gives_nicknames_and_trust() {
    let fixture = Fixture::new();
    let listed = "\nCertificate Nickname                                         Trust Attributes\n\
                  \u{20}                                                            SSL,S/MIME,JAR/XPI\n\n\
                  harproxy CA 0011aabb - mine                                  C,,  \n\
                  harproxy-cafe                                                ,,   \n\
                  Some Corp                                                    CT,C,C\n";
    let names = nicknames(&fixture.ca, listed);
    let expected = [("harproxy CA 0011aabb - mine", "C,,"), ("harproxy-cafe", ",,")];
    assert_eq!(names, expected.map(|(name, trust)| (name.to_owned(), trust.to_owned())));
    let own = fixture.authority.cert_pem().to_owned();
    let entry = |trust: &str| vec![("mine".to_owned(), trust.to_owned(), own.clone())];
    assert_eq!(StoreContents::in_nss(&fixture.ca, &entry("C,,"), false).state(), TrustState::Trusted);
    assert_eq!(
        StoreContents::in_nss(&fixture.ca, &entry(",C,"), false).state(),
        TrustState::Half,
        "for mail is not for servers"
    );
    assert!(StoreContents::in_nss(&fixture.ca, &[], true).guarded);
}

#[test]
fn keytool_keychain_and_windows_output_is_parsed() {
    let fixture = Fixture::new();
    let own = fixture.authority.cert_pem();
    let other = authority(&fixture.dir.path().join("other"));
    let other_name = other.subject().trim_start_matches("CN=");
    let listed = format!(
        "Your keystore contains 2 entries\n\nAlias name: debian:x.pem\nEntry type: trustedCertEntry\n\n{own}\n\nAlias name: old one\n\n{}",
        other.cert_pem()
    );
    let found = StoreContents::in_keytool(&fixture.ca, &listed);
    assert_eq!((found.state(), &found.own[0].handle), (TrustState::Trusted, &OsString::from("debian:x.pem")));
    assert_eq!(found.others, [StoreEntry { name: other_name.into(), handle: "old one".into() }]);

    let pems = format!("{own}{}", other.cert_pem());
    let settled = fixture.with_ca("Number of trusted certs = 1\nCert 0: {name}\n");
    let found = StoreContents::in_keychain(&fixture.ca, &pems, &settled);
    assert_eq!((found.state(), found.others.len()), (TrustState::Trusted, 1));
    assert_eq!(StoreContents::in_keychain(&fixture.ca, &pems, "").state(), TrustState::Half);

    let listed =
        fixture.with_ca("Seriennummer: 00{serial}\nAussteller: CN={name}\n Antragsteller: CN=harproxy CA 00ff00ff\n");
    let found = StoreContents::in_windows(&fixture.ca, &listed);
    assert_eq!((found.state(), found.others.len()), (TrustState::Trusted, 1));
    assert_eq!(found.others[0].handle, "harproxy CA 00ff00ff");
    assert_eq!(StoreContents::in_windows(&fixture.ca, "").state(), TrustState::Absent);
}

/// Plays commands: what a program (with its first argument) says, and what that does to the files of a store.
struct Played<F> {
    ran: Vec<String>,
    play: F,
}

impl<F: Fn(&str) -> io::Result<CommandOutput>> Played<F> {
    fn new(play: F) -> Self {
        Played { ran: Vec::new(), play }
    }
}

impl<F: Fn(&str) -> io::Result<CommandOutput>> CommandRunner for Played<F> {
    fn run(&mut self, words: &[OsString]) -> io::Result<CommandOutput> {
        let line = words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        self.ran.push(line.clone());
        (self.play)(&line)
    }
}

fn well() -> CommandOutput {
    CommandOutput { ok: true, ..CommandOutput::default() }
}

/// A Debian whose folders are below `root`.
fn debian_at(root: &Path, fixture: &Fixture) -> Store {
    let mut store = fixture.system(&machine(DEBIAN, &["update-ca-certificates"]));
    let bundle = root.join("bundle.crt");
    store.listing = store::Listing::Files { folders: vec![root.join("anchors")], bundles: vec![bundle.clone()] };
    store.entry = root.join("anchors/mine.crt").into();
    store.place = bundle;
    store
}

/// `install`, `rm` and `update-ca-certificates` on such folders.
fn debians_commands(root: &Path, fixture: &Fixture, line: &str) -> io::Result<CommandOutput> {
    let (anchors, line) = (root.join("anchors"), line.trim_start_matches("sudo -n "));
    if line.starts_with("install ") {
        std::fs::create_dir_all(&anchors)?;
        std::fs::copy(&fixture.ca.file, anchors.join("mine.crt"))?;
    } else if line.starts_with("rm ") {
        std::fs::remove_file(anchors.join("mine.crt"))?;
    } else if line.starts_with("update-ca-certificates") {
        std::fs::write(root.join("bundle.crt"), std::fs::read(anchors.join("mine.crt")).unwrap_or_default())?;
    }
    Ok(well())
}

fn silent(_: &[OsString]) {}

fn editor<'a>(
    rights: Rights,
    runner: &'a mut dyn CommandRunner,
    tell: &'a mut dyn FnMut(&[OsString]),
) -> StoreEditor<'a> {
    StoreEditor { rights, runner, tell }
}

#[test]
fn install_and_remove_change_a_store_once() {
    let fixture = Fixture::new();
    let root = fixture.dir.path().join("root");
    let store = debian_at(&root, &fixture);
    let mut runner = Played::new(|line| debians_commands(&root, &fixture, line));
    let mut told = Vec::new();
    let mut tell = |words: &[OsString]| told.push(words.to_vec());
    let mut actor = editor(Rights::Administrator, &mut runner, &mut tell);
    assert_eq!(actor.change(&store, TrustState::Absent).unwrap(), []);
    assert_eq!(actor.change(&store, TrustState::Trusted).unwrap(), store.install());
    assert_eq!(actor.change(&store, TrustState::Trusted).unwrap(), []);
    assert!(actor.change(&store, TrustState::Absent).unwrap().len() == 2);
    assert_eq!(actor.change(&store, TrustState::Absent).unwrap(), []);
    assert_eq!(runner.ran.len(), 4, "{:?}", runner.ran);
    assert_eq!(told.len(), 4, "each is told before it is run");
}

#[test]
fn incomplete_change_is_completed() {
    let fixture = Fixture::new();
    let root = fixture.dir.path().join("root");
    let store = debian_at(&root, &fixture);
    debians_commands(&root, &fixture, "install ").unwrap();
    assert_eq!(store.list(&mut Played::new(|_| Ok(well()))).unwrap().state(), TrustState::Half);
    let mut runner = Played::new(|line| debians_commands(&root, &fixture, line));
    editor(Rights::Administrator, &mut runner, &mut silent).change(&store, TrustState::Trusted).unwrap();
    // The file is gone, the bundle was not made anew.
    debians_commands(&root, &fixture, "rm ").unwrap();
    let mut runner = Played::new(|line| debians_commands(&root, &fixture, line));
    editor(Rights::Administrator, &mut runner, &mut silent).change(&store, TrustState::Absent).unwrap();
    assert_eq!(runner.ran, ["update-ca-certificates --fresh"]);
}

#[test]
fn missing_rights_run_no_command_and_list_all() {
    let fixture = Fixture::new();
    let root = fixture.dir.path().join("root");
    let store = debian_at(&root, &fixture);
    let refusing =
        || Played::new(|line| if line == "sudo -n true" { Ok(CommandOutput::default()) } else { panic!("ran {line}") });
    for rights in [Rights::User, Rights::Sudo] {
        let mut runner = refusing();
        let error = editor(rights, &mut runner, &mut silent).change(&store, TrustState::Trusted).unwrap_err();
        assert!(matches!(&error, ChangeError::NotAllowed(steps) if *steps == store.install()), "{error}");
    }
    let mut runner = Played::new(|line| debians_commands(&root, &fixture, line));
    editor(Rights::Sudo, &mut runner, &mut silent).change(&store, TrustState::Trusted).unwrap();
    assert_eq!(runner.ran[0], "sudo -n true");
    assert!(runner.ran[1..].iter().all(|line| line.starts_with("sudo -n ")), "{:?}", runner.ran);
}

#[test]
fn failed_command_is_an_error_with_the_remaining_ones() {
    let fixture = Fixture::new();
    let root = fixture.dir.path().join("root");
    let store = debian_at(&root, &fixture);
    let mut runner = Played::new(|line| match line.starts_with("update") {
        true => Ok(CommandOutput { err: "warning: x\nno space left\n\n".into(), ..CommandOutput::default() }),
        false => debians_commands(&root, &fixture, line),
    });
    let error =
        editor(Rights::Administrator, &mut runner, &mut silent).change(&store, TrustState::Trusted).unwrap_err();
    let ChangeError::Command { source: CommandError::Failed { program, said }, left } = &error else {
        panic!("{error}")
    };
    assert_eq!((program.as_str(), said.as_str(), left.len()), ("update-ca-certificates", "no space left", 1));
    let mut runner = Played::new(|_| Ok(well()));
    let error =
        editor(Rights::Administrator, &mut runner, &mut silent).change(&store, TrustState::Trusted).unwrap_err();
    assert!(matches!(error, ChangeError::NoEffect { trusted: false }), "{error}");
}

#[test]
fn protected_database_stays_unchanged() {
    let fixture = Fixture::new();
    let folder = fixture.dir.path().join("profile");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("cert9.db"), "").unwrap();
    let mut linux = machine(DEBIAN, &["certutil"]);
    linux.nss = vec![NssDatabase { kind: StoreKind::Firefox, folder, exists: true }];
    let store = stores(&linux, &fixture.ca).stores.pop().unwrap();
    let mut runner = Played::new(|line| {
        assert!(line.ends_with(" -f /dev/null"), "it would ask at the terminal: {line}");
        assert!(!line.contains(" -A "), "{line}");
        match line.contains(" -K ") {
            true => Ok(CommandOutput {
                err: "certutil: could not authenticate to token".into(),
                ..CommandOutput::default()
            }),
            false => Ok(well()),
        }
    });
    let error = editor(Rights::User, &mut runner, &mut silent).change(&store, TrustState::Trusted).unwrap_err();
    assert!(matches!(&error, ChangeError::Guarded(steps) if steps.len() == 1), "{error}");
}

#[test]
fn machine_is_described_by_files_and_programs() {
    let dir = tempfile::tempdir().unwrap();
    let file = |path: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
    };
    file(".pki/nssdb/cert9.db");
    file(".mozilla/firefox/a.default/cert9.db");
    file(".mozilla/firefox/Crash Reports/x");
    file("snap/firefox/common/.mozilla/firefox/b.default/cert9.db");
    file("jdk/bin/keytool");
    file("jdk/lib/security/cacerts");
    let home = dir.path().as_os_str().to_owned();
    let env = BTreeMap::from([
        ("HOME".to_owned(), home),
        ("PATH".to_owned(), "relative".into()),
        ("JAVA_HOME".to_owned(), dir.path().join("jdk").into()),
    ]);
    let machine = Machine::here(&env);
    let found: Vec<_> =
        machine.nss.iter().map(|nss| (nss.kind, nss.folder.strip_prefix(dir.path()).unwrap())).collect();
    let expected = [
        (StoreKind::Chromium, Path::new(".pki/nssdb")),
        (StoreKind::Firefox, Path::new(".mozilla/firefox/a.default")),
        (StoreKind::Firefox, Path::new("snap/firefox/common/.mozilla/firefox/b.default")),
    ];
    assert_eq!(found, expected);
    assert!(machine.java[0].writable && machine.java[0].keytool.starts_with(dir.path()), "{:?}", machine.java);
}
