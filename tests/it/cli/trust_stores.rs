//! `ca trust` in a home folder of the test, never on the store of the system. `scripts/trust` tests that in a
//! container.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::sandbox::{Output, Sandbox, finish};

/// A replacement for NSS's certutil. Entries are files beside the database, with the trust in their first line.
const CERTUTIL: &str = r#"#!/bin/sh
[ "$1" = -d ] || exit 9
folder=${2#sql:}
shift 2
case "$*" in *" -f /dev/null") ;; *) echo "it would ask" >&2; exit 9 ;; esac
act=$1
shift
while [ $# -gt 0 ]; do
  case $1 in
    -n) name=$2; shift ;;
    -t) trust=$2; shift ;;
    -i) file=$2; shift ;;
    -a) pem=1 ;;
  esac
  shift
done
[ "$act" = -N ] || [ -f "$folder/cert9.db" ] || { echo "certutil: function failed: bad database." >&2; exit 255; }
case $act in
  -N) : > "$folder/cert9.db" ;;
  -K) echo "certutil: no keys found" >&2; exit 255 ;;
  -A) { [ ! -e "$folder/full" ] || { echo "certutil: no room" >&2; exit 255; }; echo "$trust"; cat "$file"; } > "$folder/$name.entry" ;;
  -D) rm "$folder/$name.entry" ;;
  -L) if [ "$pem" ]; then sed 1d "$folder/$name.entry"; else
        for entry in "$folder"/*.entry; do
          [ -e "$entry" ] && printf '%-60s %s\n' "$(basename "$entry" .entry)" "$(head -n 1 "$entry")"
        done
        true
      fi ;;
  *) exit 9 ;;
esac
"#;

/// Writes the certutil replacement into `bin`.
pub fn certutil(sandbox: &Sandbox) {
    let file = sandbox.write("bin/certutil", CERTUTIL);
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A sandbox with a Firefox profile and no other browser.
struct FirefoxSandbox {
    sandbox: Sandbox,
    profile: PathBuf,
}

impl FirefoxSandbox {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let database = sandbox.write(".mozilla/firefox/abc.my profile/cert9.db", "");
        FirefoxSandbox { profile: database.parent().unwrap().to_owned(), sandbox }
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = self.sandbox.command(["ca", "trust"].iter().chain(args));
        // PATH has the programs that the certutil replacement needs, and no browser.
        let programs = ["sh", "sed", "cat", "rm", "head", "basename", "mkdir"];
        let path = std::env::var_os("PATH").unwrap();
        for name in programs {
            let link = self.sandbox.join("bin").join(name);
            let found =
                std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()).unwrap();
            std::fs::create_dir_all(link.parent().unwrap()).unwrap();
            let _ = std::os::unix::fs::symlink(found, link);
        }
        finish(command.env("PATH", self.sandbox.join("bin")).output().unwrap())
    }

    /// Runs the command with `--json`, and returns its lines.
    fn json(&self, args: &[&str], status: i32) -> Vec<Value> {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let said = self.run(&args).expect(status).stdout;
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn output_begins_with_the_alternative_and_the_risk() {
    let stage = FirefoxSandbox::new();
    let output = stage.run(&[]).expect(0);
    assert_eq!(output.stderr, "");
    assert!(output.stdout.starts_with("-- CMD needs no installation"), "{}", output.stdout);
    let folder = stage.sandbox.join("data/harproxy");
    let risk = format!("risk: anyone with the key in {} can pose as any site", folder.display());
    assert!(output.stdout.contains(&risk), "{}", output.stdout);
    assert!(output.stdout.contains("no name constraints"), "{}", output.stdout);
    assert!(output.stdout.contains("Java: `-- CMD` gives a JVM"), "{}", output.stdout);
}

#[test]
fn name_constraints_of_the_ca_are_printed() {
    let stage = FirefoxSandbox::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let range = rcgen::CidrSubnet::V4([10, 0, 0, 0], [255, 0, 0, 0]);
    params.name_constraints = Some(rcgen::NameConstraints {
        permitted_subtrees: vec![
            rcgen::GeneralSubtree::DnsName("test".into()),
            rcgen::GeneralSubtree::IpAddress(range),
        ],
        excluded_subtrees: vec![],
    });
    stage.sandbox.write("mine/ca.pem", params.self_signed(&key).unwrap().pem());
    let key = stage.sandbox.write("mine/ca-key.pem", key.serialize_pem());
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let output = stage.run(&["--ca-dir", "mine"]).expect(0);
    assert!(output.stdout.contains("name constraints of the CA limit this to test, 10.0.0.0/8."), "{}", output.stdout);
}

#[test]
fn firefox_profile_is_printed_installed_and_uninstalled() {
    let stage = FirefoxSandbox::new();
    certutil(&stage.sandbox);
    let place = stage.profile.to_str().unwrap();
    let told = stage.run(&["--store", "browsers"]).expect(0).stdout;
    assert!(told.contains(&format!("    certutil -d 'sql:{place}' -A -t C,, -n harproxy-")), "{told}");
    assert!(told.contains("does not trust the CA"), "{told}");

    let output = stage.run(&["--install", "--store", "browsers"]).expect(0);
    assert_eq!(output.stdout, "");
    assert!(output.stderr.contains(&format!("  certutil -d 'sql:{place}' -A")), "{}", output.stderr);
    assert!(output.stderr.contains("trusts the CA now") && output.stderr.contains("risk: "), "{}", output.stderr);
    let [store] = &stage.json(&["--install", "--store", "browsers"], 0)[..] else { panic!("one store") };
    assert_eq!(
        (&store["state"], &store["ran"], &store["done"]),
        (&"trusted".into(), &Value::Array(vec![]), &true.into())
    );
    assert_eq!((&store["store"], &store["place"]), (&"firefox".into(), &place.into()));

    stage.run(&["--uninstall", "--store", "browsers"]).expect(0).says("no longer trusts the CA");
    stage.run(&["--uninstall", "--store", "browsers"]).expect(0).says("does not contain the CA");
    assert_eq!(stage.json(&["--store", "browsers"], 0)[0]["state"], "absent");
}

#[test]
fn older_ca_is_named_with_the_command_that_removes_it() {
    let stage = FirefoxSandbox::new();
    certutil(&stage.sandbox);
    stage.run(&["--install", "--store", "browsers"]).expect(0);
    let old = stage.sandbox.run(["ca", "show"]).expect(0).stdout;
    let old = old.lines().find_map(|line| line.strip_prefix("subject")?.trim().strip_prefix("CN=")).unwrap().to_owned();
    stage.sandbox.run(["ca", "new"]).expect(0);
    stage.run(&["--install", "--store", "browsers"]).expect(0).says(&old).says(" -D -n harproxy-");
    let store = &stage.json(&["--store", "browsers"], 0)[0];
    assert_eq!((&store["state"], &store["others"][0]["name"]), (&"trusted".into(), &old.as_str().into()));
    let removes = store["others"][0]["remove"][0].as_array().unwrap();
    assert!(
        removes.contains(&"-D".into()) && !store["uninstall"][0].as_array().unwrap().contains(removes.last().unwrap())
    );
}

#[test]
fn failed_installation_is_status_3_with_advice() {
    let stage = FirefoxSandbox::new();
    let output = stage.run(&["--install", "--store", "browsers"]).expect(3);
    assert!(
        output.stderr.contains("`certutil` is not installed") && output.stderr.contains("hint: "),
        "{}",
        output.stderr
    );
    certutil(&stage.sandbox);
    std::fs::write(stage.profile.join("full"), "").unwrap();
    let output = stage.run(&["--install", "--store", "browsers"]).expect(3);
    assert!(output.stderr.contains("`certutil` failed: certutil: no room"), "{}", output.stderr);
    std::fs::remove_dir_all(stage.profile.join("..")).unwrap();
    stage.run(&["--install", "--store", "browsers"]).expect(0).says("nothing to do");
}

#[test]
fn install_conflicts_with_uninstall_and_unknown_stores_are_refused() {
    let stage = FirefoxSandbox::new();
    stage.run(&["--install", "--uninstall"]).expect(2);
    stage.run(&["--store", "mozilla"]).expect(2).says("possible values: system, browsers, java");
}
