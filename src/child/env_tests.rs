use std::path::PathBuf;

use super::*;
use harproxy_tls::bundle::BundleFiles;

const FOLDER: &str = "/tmp/harproxy x \"y\"";

fn files() -> RunFiles {
    let folder = Path::new(FOLDER);
    let adding = ADDING.iter().map(|name| (*name, folder.join(format!("{name}.pem"))));
    RunFiles {
        trust: BundleFiles {
            bundle: folder.join("bundle.pem"),
            adding: adding.collect(),
            trust_store: folder.join("bundle.p12"),
        },
        node_hook: folder.join("hook.cjs"),
        php: folder.join("php"),
        wgetrc: folder.join("wgetrc"),
    }
}

fn user(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect()
}

/// Inputs of a run whose scope covers only `api.example.com`.
struct Run {
    proxy: ProxyAddress,
    files: RunFiles,
    ca: PathBuf,
    bypass: Vec<String>,
    urls: Vec<(String, String)>,
    recorded_at: Option<&'static str>,
    control: Option<&'static Path>,
}

impl Run {
    fn new() -> Self {
        let proxy = ProxyAddress::local("127.0.0.1:8899".parse().unwrap(), None);
        Run {
            proxy,
            files: files(),
            ca: "/data/ca.pem".into(),
            bypass: vec![],
            urls: vec![],
            recorded_at: None,
            control: None,
        }
    }

    fn changes(&self, user: &Environment) -> Vec<VariableChange> {
        let facts = Facts {
            proxy: &self.proxy,
            ca: &self.ca,
            files: &self.files,
            spki_pin: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            bypass: &self.bypass,
            may_match: &|domain| "api.example.com" == domain || "api.example.com".ends_with(&format!(".{domain}")),
            urls: &self.urls,
            mode: RunMode::REPLAY,
            recorded_at: self.recorded_at,
            control: self.control,
        };
        changes(&facts, user)
    }

    fn value(&self, user: &Environment, variable: &str) -> Option<String> {
        let all = self.changes(user);
        let mut of = all.iter().filter(|change| change.variable == variable);
        let value = of.next().map(|change| change.value.to_str().unwrap().to_owned());
        assert!(of.next().is_none(), "{variable} is set twice");
        value
    }

    fn no_proxy(&self, own: &str) -> String {
        let value = self.value(&user(&[("NO_PROXY", own)]), "NO_PROXY").unwrap();
        assert_eq!(self.value(&user(&[("NO_PROXY", own)]), "no_proxy").unwrap(), value);
        value
    }
}

#[test]
fn every_variable_of_the_contract_is_set() {
    let run = Run::new();
    let none = Environment::new();
    let proxy =
        ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "HARPROXY_RUN_PROXY"];
    for variable in proxy {
        assert_eq!(run.value(&none, variable).unwrap(), "http://127.0.0.1:8899", "{variable}");
    }
    for variable in REPLACING {
        assert_eq!(run.value(&none, variable).unwrap(), format!("{FOLDER}/bundle.pem"), "{variable}");
    }
    for variable in ADDING {
        assert_eq!(run.value(&none, variable).unwrap(), format!("{FOLDER}/{variable}.pem"));
    }
    assert_eq!(run.value(&none, "NODE_USE_ENV_PROXY").unwrap(), "1");
    assert_eq!(run.value(&none, "PERL_LWP_ENV_PROXY").unwrap(), "1");
    assert_eq!(run.value(&none, "WGETRC").unwrap(), format!("{FOLDER}/wgetrc"));
    assert_eq!(run.value(&none, "HARPROXY_RUN_CA").unwrap(), "/data/ca.pem");
    assert_eq!(run.value(&none, "HARPROXY_RUN_MODE").unwrap(), "replay");
    assert_eq!(run.value(&none, "NO_PROXY").unwrap(), "");
}

#[test]
fn overriding_variables_are_set_only_if_the_user_set_them() {
    let run = Run::new();
    assert_eq!(run.value(&Environment::new(), "npm_config_proxy"), None);
    assert_eq!(run.value(&Environment::new(), "NIX_SSL_CERT_FILE"), None);
    let user = user(&[
        ("NPM_CONFIG_PROXY", "http://corp:3128"),
        ("grpc_proxy", "http://corp:3128"),
        ("NIX_SSL_CERT_FILE", "/nix/x.pem"),
        ("NPM_CONFIG_CAFILE", "/corp.pem"),
        ("npm_config_noproxy", "*"),
    ]);
    assert_eq!(run.value(&user, "NPM_CONFIG_PROXY").unwrap(), "http://127.0.0.1:8899");
    assert_eq!(run.value(&user, "grpc_proxy").unwrap(), "http://127.0.0.1:8899");
    assert_eq!(run.value(&user, "npm_config_noproxy").unwrap(), "");
    for variable in ["NIX_SSL_CERT_FILE", "NPM_CONFIG_CAFILE", "npm_config_cafile"] {
        assert_eq!(run.value(&user, variable).unwrap(), format!("{FOLDER}/bundle.pem"), "{variable}");
    }
}

#[test]
fn the_users_hosts_stay_bypassed_if_no_glob_reaches_them() {
    let run = Run::new();
    for (own, kept) in [
        ("db.corp.internal", "db.corp.internal"),
        ("api.example.com,db.corp.internal", "db.corp.internal"),
        (".example.com, .corp.internal *.corp.internal", ".corp.internal,*.corp.internal"),
        ("example.com,com,API.example.com:443", ""),
        ("10.1.2.3:80,10.0.0.0/8", "10.1.2.3:80"),
        ("*", ""),
        ("*.", ""),
        ("localhost,LocalHost:3000,127.0.0.1,127.9.9.9,::1,[::1]:80,0.0.0.0,a.localhost,::ffff:127.0.0.1", ""),
        ("a.test,,a.test", "a.test"),
    ] {
        assert_eq!(run.no_proxy(own), kept, "{own}");
    }
    let both = user(&[("NO_PROXY", "a.test"), ("no_proxy", "b.test,a.test")]);
    assert_eq!(run.value(&both, "NO_PROXY").unwrap(), "b.test,a.test");
}

#[test]
fn bypass_is_used_unchanged() {
    let mut run = Run::new();
    run.bypass = vec!["localhost:5432".into(), "api.example.com".into(), "[::1]".into()];
    assert_eq!(run.no_proxy("x.test,api.example.com"), "localhost:5432,api.example.com,[::1],x.test");
}

#[test]
fn node_options_follow_those_of_the_user_and_quote_spaces() {
    let run = Run::new();
    let hook = r#"--require "/tmp/harproxy x \"y\"/hook.cjs""#;
    assert_eq!(run.value(&Environment::new(), "NODE_OPTIONS").unwrap(), hook);
    let own = user(&[("NODE_OPTIONS", "--max-old-space-size=4096 --require \"/a b.js\"")]);
    assert_eq!(
        run.value(&own, "NODE_OPTIONS").unwrap(),
        format!("--max-old-space-size=4096 --require \"/a b.js\" {hook}")
    );
}

#[test]
fn jvm_options_follow_those_of_the_user_and_quote_spaces() {
    let mut run = Run::new();
    run.bypass =
        vec!["db.test".into(), ".corp.test".into(), "10.0.0.0/8".into(), "pg.test:5432".into(), "fe80::1".into()];
    let own = user(&[("JAVA_TOOL_OPTIONS", "-Xmx1g"), ("_JAVA_OPTIONS", "-Dhttp.proxyHost=corp")]);
    let options = jvm::split_options(&run.value(&own, "JAVA_TOOL_OPTIONS").unwrap());
    assert_eq!(
        options,
        [
            "-Xmx1g",
            &format!("-Djavax.net.ssl.trustStore={FOLDER}/bundle.p12"),
            "-Djavax.net.ssl.trustStoreType=PKCS12",
            "-Djavax.net.ssl.trustStorePassword=changeit",
            "-Dhttp.proxyHost=127.0.0.1",
            "-Dhttp.proxyPort=8899",
            "-Dhttps.proxyHost=127.0.0.1",
            "-Dhttps.proxyPort=8899",
            "-Dhttp.nonProxyHosts=db.test|*.corp.test|[fe80::1]",
        ]
    );
    let overruling = jvm::split_options(&run.value(&own, "_JAVA_OPTIONS").unwrap());
    assert_eq!(overruling[0], "-Dhttp.proxyHost=corp");
    assert_eq!(overruling[1..], options[1..]);
    assert_eq!(run.value(&own, "JDK_JAVA_OPTIONS"), None);
    run.bypass.clear();
    assert!(run.value(&own, "JAVA_TOOL_OPTIONS").unwrap().ends_with(" -Dhttp.nonProxyHosts="));
}

#[cfg(unix)]
#[test]
fn php_folder_follows_the_default_folders() {
    let run = Run::new();
    for (own, value) in [("", ":"), ("/etc/mine", "/etc/mine:"), (":/a:/b", ":/a:/b:")] {
        let set = run.value(&user(&[("PHP_INI_SCAN_DIR", own)]), "PHP_INI_SCAN_DIR").unwrap();
        assert_eq!(set, format!("{value}{FOLDER}/php"));
    }
}

#[test]
fn nested_environment_is_unchanged() {
    let run = Run::new();
    let own = user(&[
        ("NODE_OPTIONS", "--a"),
        ("JAVA_TOOL_OPTIONS", "-Xmx1g"),
        ("_JAVA_OPTIONS", "-b"),
        ("NO_PROXY", "x.test"),
    ]);
    let once = run.changes(&own);
    let mut again = own.clone();
    again.extend(once.iter().map(|change| (change.variable.clone(), change.value.clone())));
    let twice = run.changes(&again);
    assert!(once == twice);
}

#[test]
fn credentials_are_only_in_the_proxy_url() {
    let mut run = Run::new();
    run.proxy = ProxyAddress::local("[::]:80".parse().unwrap(), Some(("me+a".into(), "p:@/%".into())));
    let none = Environment::new();
    assert_eq!(run.value(&none, "HTTPS_PROXY").unwrap(), "http://me%2Ba:p%3A%40%2F%25@[::1]:80");
    let java = run.value(&none, "JAVA_TOOL_OPTIONS").unwrap();
    assert!(
        !java.contains("p:@") && java.contains("-Dhttp.proxyHost=::1") && java.ends_with("disabledSchemes="),
        "{java}"
    );
    let debug = format!("{:?} {:?}", run.proxy, run.changes(&none));
    assert!(!debug.contains("me+a") && !debug.contains("p:@") && !debug.contains("p%3A"), "{debug}");
}

#[test]
fn environment_describes_the_run() {
    let mut run = Run::new();
    run.urls = vec![("PAYMENTS".into(), "http://127.0.0.1:9000/pay".into()), ("a-b.test".into(), "x".into())];
    run.recorded_at = Some("2026-01-02T03:04:05Z");
    let none = Environment::new();
    assert_eq!(run.value(&none, "HARPROXY_URL_PAYMENTS").unwrap(), "http://127.0.0.1:9000/pay");
    assert_eq!(run.value(&none, "HARPROXY_URL_a_b_test").unwrap(), "x");
    assert_eq!(run.value(&none, "HARPROXY_RUN_RECORDED_AT").unwrap(), "2026-01-02T03:04:05Z");
    run.recorded_at = None;
    assert_eq!(run.value(&none, "HARPROXY_RUN_RECORDED_AT"), None);
    let outer = user(&[("HARPROXY_RUN_RECORDED_AT", "2020-01-01T00:00:00Z")]);
    assert_eq!(run.value(&outer, "HARPROXY_RUN_RECORDED_AT").unwrap(), "");
}

#[test]
fn chromium_gets_the_proxy_without_credentials_and_the_key_of_the_ca() {
    let mut run = Run::new();
    run.bypass = vec!["db.internal".into()];
    run.proxy.credentials = Some(("me".into(), "s3cret".into()));
    let arguments = run.value(&Environment::new(), "HARPROXY_RUN_CHROMIUM_ARGS").unwrap();
    let address = format!("{}:{}", run.proxy.host, run.proxy.port);
    assert_eq!(
        arguments.split(' ').collect::<Vec<_>>(),
        [
            &format!("--proxy-server=http://{address}"),
            "--proxy-bypass-list=<-loopback>;db.internal",
            "--ignore-certificate-errors-spki-list=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "--disable-quic",
        ]
    );
}
