//! The dependencies in Cargo.lock. `scripts/deny` checks licences and advisories, too.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

fn table(file: &str) -> Table {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap().parse().unwrap()
}

/// The name and the other fields of every package.
fn packages() -> Vec<(String, Value)> {
    let lock = table("Cargo.lock");
    let packages = lock["package"].as_array().unwrap().clone();
    assert!(packages.len() > 200);
    packages.into_iter().map(|package| (package["name"].as_str().unwrap().to_owned(), package)).collect()
}

#[test]
fn dependency_graph_has_no_banned_crate() {
    let deny = table("deny.toml");
    let banned: Vec<_> =
        deny["bans"]["deny"].as_array().unwrap().iter().map(|ban| ban["crate"].as_str().unwrap()).collect();
    assert!(banned.contains(&"openssl-sys") && banned.contains(&"aws-lc-rs") && banned.contains(&"native-tls"));
    let found: Vec<_> = packages().into_iter().filter(|(name, _)| banned.contains(&name.as_str())).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn dependency_graph_has_one_tls_library_and_one_crypto_provider() {
    let packages = packages();
    let count = |name: &str| packages.iter().filter(|(package, _)| package == name).count();
    assert_eq!((count("rustls"), count("ring")), (1, 1));
    let (_, rustls) = packages.iter().find(|(name, _)| name == "rustls").unwrap();
    let needs = rustls["dependencies"].as_array().unwrap();
    assert!(needs.iter().any(|name| name.as_str() == Some("ring")), "{needs:?}");
}

/// No package comes from a repository or from another registry, and each has a checksum.
#[test]
fn packages_come_from_one_registry_with_checksums() {
    let deny = table("deny.toml");
    let allowed = deny["sources"]["allow-registry"].as_array().unwrap();
    let [allowed] = &allowed[..] else { panic!("{allowed:?}") };
    let source = format!("registry+{}", allowed.as_str().unwrap());
    let is_ours = |name: &str| name == "harproxy" || name.starts_with("harproxy-");
    for (name, package) in packages().into_iter().filter(|(name, _)| !is_ours(name)) {
        assert_eq!(package.get("source").and_then(Value::as_str), Some(&*source), "{name}");
        assert_eq!(package.get("checksum").and_then(Value::as_str).map(str::len), Some(64), "{name}");
    }
}

#[test]
fn packages_forbid_unsafe_code() {
    assert_eq!(table("Cargo.toml")["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = fs::read_dir(root.join("crates")).unwrap().map(|item| item.unwrap().path());
    for package in crates.chain([root.to_owned()]) {
        let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{}", package.display());
        let library = fs::read_to_string(package.join("src/lib.rs")).unwrap();
        assert!(library.contains("#![forbid(unsafe_code)]"), "{}", package.display());
    }
}

/// The tests that SECURITY.md names exist.
#[test]
fn tests_named_by_the_threat_model_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let code = ["src", "crates", "tests/it"].map(|folder| code(&root.join(folder))).concat();
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let cells = rows.filter_map(|row| row.trim_end_matches('|').rsplit_once('|')).map(|(_, cell)| cell);
    let names: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let last = name.trim_end_matches(':').rsplit("::").next().unwrap();
        let there = [format!("fn {last}("), format!("mod {last};"), format!("\n    {last} ")];
        assert!(there.iter().any(|there| code.contains(there)), "no test is called {name}");
    }
}

fn code(folder: &Path) -> String {
    let items = fs::read_dir(folder).unwrap().map(|item| item.unwrap().path());
    items
        .map(|path| match path.is_dir() {
            true => code(&path),
            false => fs::read_to_string(&path).unwrap_or_default(),
        })
        .collect()
}

/// Each crate of the workspace can be published: it names its version and licence, and so do the crates that need it.
#[test]
fn crates_can_be_published() {
    let manifest = table("Cargo.toml");
    let version = manifest["workspace"]["package"]["version"].as_str().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for item in fs::read_dir(root.join("crates")).unwrap() {
        let own: Table = fs::read_to_string(item.unwrap().path().join("Cargo.toml")).unwrap().parse().unwrap();
        let package = own["package"].as_table().unwrap();
        let name = package["name"].as_str().unwrap();
        assert!(package.contains_key("description") && !package.contains_key("publish"), "{name}");
        let dependency = &manifest["workspace"]["dependencies"][name];
        assert_eq!(dependency["version"].as_str(), Some(version), "{name}");
        count += 1;
    }
    assert!(count >= 10);
}

/// `cargo binstall`, the action and the packages name the binaries as scripts/release does.
#[test]
fn names_of_released_binaries_agree() {
    let read = |file: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let manifest = table("Cargo.toml");
    let binstall = &manifest["package"]["metadata"]["binstall"];
    assert_eq!(binstall["pkg-fmt"].as_str(), Some("bin"));
    let url = binstall["pkg-url"].as_str().unwrap();
    assert!(url.ends_with("/v{ version }/harproxy-{ version }-{ target }{ binary-ext }"), "{url}");
    assert!(read("scripts/release").contains("name=harproxy-$version-$target"));
    let install = read("packaging/action/install");
    assert!(install.contains("name=harproxy-$version-$target$suffix"));
    let packages = read("scripts/release.d/packages.py");
    let workflow = read(".github/workflows/release.yml");
    let targets: Vec<&str> = packages
        .lines()
        .filter_map(|line| line.strip_prefix("    \"")?.split_once("\": ("))
        .map(|(target, _)| target)
        .collect();
    assert_eq!(targets.len(), 5);
    for target in targets {
        assert!(install.contains(&format!("target={target} ")), "{target}");
        assert!(workflow.contains(&format!("target: {target},")), "{target}");
    }
}
