use std::fs;

use super::*;

const CA: &str = include_str!("../../../certs/ca.pem");
const OUTER_CA: &str = include_str!("../../../certs/self-signed.pem");
const CORPORATE: &str = include_str!("../../../certs/origin.pem");
const OTHER: &str = include_str!("../../../certs/client.pem");

fn env(pairs: &[(&str, &Path)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_os_str().to_owned())).collect()
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn parsed(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect()
}

fn count(roots: &[CertificateDer<'_>], pem: &str) -> usize {
    roots.iter().filter(|root| **root == certificate(pem)).count()
}

#[test]
fn bundle_without_variables_has_the_systems_roots_and_the_ca() {
    let folder = tempfile::tempdir().unwrap();
    let gathered = TrustedRoots::from_env(&Environment::new());
    assert!(gathered.warnings.is_empty());
    let bundle = gathered.with(CA).unwrap();
    let files = bundle.write_to(folder.path()).unwrap();
    let roots = parsed(&files.bundle);
    assert_eq!(roots.len(), Reader::default().system().len() + 1);
    assert_eq!(roots.last(), Some(&certificate(CA)));
    for (_, path) in &files.adding {
        assert_eq!(parsed(path), [certificate(CA)]);
    }
}

#[test]
fn roots_of_each_variable_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("corporate.pem");
    fs::write(&file, CORPORATE).unwrap();
    for variable in REPLACING.iter().chain(OVERRULING).chain(ADDING).chain(&[FOLDERS, "NPM_CONFIG_CAFILE"]) {
        let named = if *variable == FOLDERS { folder.path() } else { &file };
        let bundle = Bundle::build(CA, &env(&[(variable, named)])).unwrap();
        assert_eq!(count(&bundle.roots(), CORPORATE), 1, "{variable}");
        assert_eq!(count(&bundle.roots(), CA), 1, "{variable}");
    }
}

#[test]
fn adding_variables_get_the_ca_and_their_own_roots() {
    let folder = tempfile::tempdir().unwrap();
    let (node, curl) = (folder.path().join("node.pem"), folder.path().join("curl.pem"));
    fs::write(&node, format!("{CORPORATE}{CORPORATE}")).unwrap();
    fs::write(&curl, OTHER).unwrap();
    let bundle = Bundle::build(CA, &env(&[("NODE_EXTRA_CA_CERTS", &node), ("CURL_CA_BUNDLE", &curl)])).unwrap();
    let files = bundle.write_to(folder.path()).unwrap();
    let of = |variable: &str| parsed(&files.adding.iter().find(|(name, _)| *name == variable).unwrap().1);
    assert_eq!(of("NODE_EXTRA_CA_CERTS"), [certificate(CORPORATE), certificate(CA)]);
    assert_eq!(of("DENO_CERT"), [certificate(CA)]);
}

#[test]
fn unreadable_file_is_one_warning() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, text) = (folder.path().join("missing.pem"), folder.path().join("text.pem"));
    let broken = folder.path().join("broken.pem");
    fs::write(&text, "no certificate").unwrap();
    fs::write(&broken, format!("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n{CORPORATE}")).unwrap();
    let mut env = env(&[
        ("SSL_CERT_FILE", &missing),
        ("PIP_CERT", &missing),
        ("AWS_CA_BUNDLE", &text),
        ("CURL_CA_BUNDLE", Path::new("")),
        ("REQUESTS_CA_BUNDLE", &broken),
    ]);
    env.insert("JAVA_TOOL_OPTIONS".into(), format!("-Djavax.net.ssl.trustStore={}", text.display()).into());
    let gathered = TrustedRoots::from_env(&env);
    assert_eq!(count(&gathered.with(CA).unwrap().roots(), CORPORATE), 1);
    let said: Vec<String> = gathered.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 4, "{said:#?}");
    assert!(said[0].contains("text.pem, which AWS_CA_BUNDLE names"), "{said:#?}");
    assert!(said[1].contains("trust store"), "{said:#?}");
    assert!(said[2].contains("missing.pem, which PIP_CERT names"), "{said:#?}");
    assert!(said[3].contains("broken.pem, which REQUESTS_CA_BUNDLE names"), "{said:#?}");
}

#[test]
fn nested_bundle_has_no_duplicates() {
    let folder = tempfile::tempdir().unwrap();
    let outer = Bundle::build(OUTER_CA, &Environment::new()).unwrap();
    let files = outer.write_to(folder.path()).unwrap();
    let mut env = env(&[("SSL_CERT_FILE", &files.bundle), ("NODE_EXTRA_CA_CERTS", &files.adding[0].1)]);
    env.insert(
        "JAVA_TOOL_OPTIONS".into(),
        format!("-Djavax.net.ssl.trustStore={}", files.trust_store.display()).into(),
    );
    let gathered = TrustedRoots::from_env(&env);
    assert!(gathered.warnings.is_empty(), "{:?}", gathered.warnings);
    let inner = gathered.with(CA).unwrap();
    assert_eq!(inner.roots().len(), outer.roots().len() + 1);
    assert_eq!((count(&inner.roots(), OUTER_CA), count(&inner.roots(), CA)), (1, 1));
}

#[test]
fn marker_skips_the_systems_roots() {
    let folder = tempfile::tempdir().unwrap();
    let outer = folder.path().join("bundle.pem");
    fs::write(&outer, format!("{MARKER}\n{CORPORATE}")).unwrap();
    let inner = Bundle::build(CA, &env(&[("SSL_CERT_FILE", &outer)])).unwrap();
    assert_eq!(inner.roots(), [certificate(CORPORATE), certificate(CA)]);
}

#[test]
fn roots_of_a_named_jvm_store_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corporate store.p12");
    fs::write(&path, jvm::trust_store(&[certificate(CORPORATE)])).unwrap();
    for variable in jvm::OPTION_VARIABLES {
        let options = format!("-Xmx1g '-Djavax.net.ssl.trustStore={}'", path.display());
        let gathered = TrustedRoots::from_env(&Environment::from([((*variable).to_owned(), options.into())]));
        if let [BundleWarning::TrustStore { source: jvm::TrustStoreError::Start { source, .. }, .. }] =
            &gathered.warnings[..]
        {
            eprintln!("skipped: no keytool: {source}");
            return;
        }
        assert_eq!(count(&gathered.with(CA).unwrap().roots(), CORPORATE), 1, "{variable}");
    }
}

#[test]
fn invalid_ca_is_an_error() {
    assert!(matches!(Bundle::build("nothing", &Environment::new()), Err(BundleError::Ca(_))));
}

#[test]
fn keytool_lists_every_root() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = Bundle::build(CA, &Environment::new()).unwrap();
    let files = bundle.write_to(folder.path()).unwrap();
    let mut keytool = std::process::Command::new("keytool");
    keytool.args(["-list", "-storetype", "PKCS12", "-storepass", jvm::PASSWORD, "-keystore"]).arg(&files.trust_store);
    match keytool.output() {
        Err(error) => eprintln!("not tried: keytool: {error}"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(said.matches("trustedCertEntry").count(), bundle.roots().len(), "{said}");
        }
    }
}

#[cfg(unix)]
#[test]
fn folder_is_read_with_hash_names_and_links() {
    use std::os::unix::fs::symlink;
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // As OpenSSL has it: a file, and its hash that is a link to it; or the hash alone, a file or a link to another
    // folder.
    fs::write(folder.path().join("corporate.pem"), CORPORATE).unwrap();
    symlink("corporate.pem", folder.path().join("5ad8a5d6.0")).unwrap();
    fs::write(folder.path().join("0a775a30.0"), OTHER).unwrap();
    fs::write(elsewhere.path().join("outer.pem"), OUTER_CA).unwrap();
    symlink(elsewhere.path().join("outer.pem"), folder.path().join("1001acf7.12")).unwrap();
    symlink("gone.pem", folder.path().join("2c543cd1.0")).unwrap();
    let bundle = Bundle::build(CA, &env(&[(FOLDERS, folder.path())])).unwrap();
    for pem in [CORPORATE, OTHER, OUTER_CA, CA] {
        assert_eq!(count(&bundle.roots(), pem), 1);
    }
}
