//! The environment variables that make a client use the proxy and trust its CA, as a table.
//!
//! [`changes`] is a pure function of the facts of a run and the user's variables. `-- CMD` runs with its result;
//! `harproxy env` prints the same result ([`super::shell`]).

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::files::RunFiles;
use crate::verdict::RunMode;
use harproxy_http::url::is_localhost;
use harproxy_tls::bundle::{ADDING, OVERRULING, REPLACING};
use harproxy_tls::jvm;

pub use harproxy_tls::bundle::Environment;

/// The proxy's address as seen by a client. `Display` writes its URL including the password; `Debug` omits the
/// credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyAddress {
    /// A host name or an IP address (IPv6 without brackets).
    pub host: String,
    pub port: u16,
    /// User name and password, unencoded.
    pub credentials: Option<(String, String)>,
}

impl ProxyAddress {
    /// Returns the address of the proxy listening on `addr`, for a client on this machine. An unspecified IP becomes
    /// loopback.
    pub fn local(addr: SocketAddr, credentials: Option<(String, String)>) -> Self {
        let ip = match addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        ProxyAddress { host: ip.to_string(), port: addr.port(), credentials }
    }
}

/// Characters to percent-encode in credentials: all but the unreserved ones (RFC 3986 section 2.3).
const USER_INFO: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Writes `http://user:password@host:port`. The port is always written, because curl defaults to 1080.
impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("http://")?;
        if let Some((user, password)) = &self.credentials {
            let encode = |text| utf8_percent_encode(text, USER_INFO);
            write!(f, "{}:{}@", encode(user), encode(password))?;
        }
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}:{}", self.host, self.port)
    }
}

impl fmt::Debug for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} {}", self.host, self.port, if self.credentials.is_some() { "(redacted)" } else { "" })
    }
}

/// The inputs of [`changes`], apart from the user's environment.
pub struct Facts<'a> {
    pub proxy: &'a ProxyAddress,
    pub ca: &'a Path,
    /// The CA's public key as Chromium takes it: base64 of its SHA-256.
    pub spki_pin: &'a str,
    pub files: &'a RunFiles,
    /// Values of `--bypass`: `HOST` or `HOST:PORT`.
    pub bypass: &'a [String],
    /// Returns true if a URL in scope could have this host, or a subdomain of it.
    pub may_match: &'a dyn Fn(&str) -> bool,
    /// Name and URL of each `--reverse`.
    pub urls: &'a [(String, String)],
    /// The value of `HARPROXY_RUN_MODE`.
    pub mode: RunMode,
    /// Recording time of the fixture (RFC 3339); replay only.
    pub recorded_at: Option<&'a str>,
    /// The control socket.
    pub control: Option<&'a Path>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct VariableChange {
    /// The name: ASCII letters, digits and `_`.
    pub variable: String,
    /// The value. It may contain the proxy's password.
    pub value: OsString,
    /// The clients that read the variable, and its effect; printed as a comment by `harproxy env`.
    pub purpose: &'static str,
}

impl fmt::Debug for VariableChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (redacted): {}", self.variable, self.purpose)
    }
}

/// Returns the variables that make a client use the proxy and trust its CA, in table order.
pub fn changes(facts: &Facts<'_>, user: &Environment) -> Vec<VariableChange> {
    let urls = facts.urls.iter().map(|(name, url)| VariableChange {
        variable: url_variable(name),
        value: url.into(),
        purpose: "reverse port of this origin, for a client that cannot use a proxy",
    });
    TABLE.iter().flat_map(|row| row.changes(facts, user)).chain(urls).collect()
}

/// Returns the name of the variable that gives CMD the URL of a `--reverse`.
///
/// ```
/// assert_eq!(harproxy::child::env::url_variable("api.test"), "HARPROXY_URL_api_test");
/// ```
pub fn url_variable(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("HARPROXY_URL_{name}")
}

/// Returns the variables of this process. Names that are not Unicode are omitted; CMD inherits them unchanged.
pub fn own() -> Environment {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
}

/// Returns the value of a variable, or `None` to leave it unchanged.
type ValueFunction = fn(&Facts<'_>, &Environment, &str) -> Option<OsString>;

/// Variables that get the same value for the same reason.
struct Row {
    names: &'static [&'static str],
    /// Set the variables only if the user has set them.
    only_inherited: bool,
    value: ValueFunction,
    purpose: &'static str,
}

const fn always(names: &'static [&'static str], value: ValueFunction, purpose: &'static str) -> Row {
    Row { names, only_inherited: false, value, purpose }
}

/// Creates the row of variables that override common ones, so that they are needed only if the user has set them.
const fn inherited(names: &'static [&'static str], value: ValueFunction, purpose: &'static str) -> Row {
    Row { names, only_inherited: true, value, purpose }
}

const TABLE: &[Row] = &[
    always(
        &["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"],
        proxy,
        "most clients: the proxy",
    ),
    inherited(
        &[
            "npm_config_proxy",
            "npm_config_http_proxy",
            "npm_config_https_proxy",
            "YARN_HTTP_PROXY",
            "YARN_HTTPS_PROXY",
            "PIP_PROXY",
            "CARGO_HTTP_PROXY",
            "GRPC_PROXY",
            "GLOBAL_AGENT_HTTP_PROXY",
            "GLOBAL_AGENT_HTTPS_PROXY",
        ],
        proxy,
        "one client's own setting, which overrules the common one: the proxy",
    ),
    always(&["NO_PROXY", "no_proxy"], no_proxy, "most clients: hosts reached without the proxy"),
    inherited(
        &["npm_config_noproxy", "NO_GRPC_PROXY", "GLOBAL_AGENT_NO_PROXY"],
        no_proxy,
        "one client's own setting, which overrules the common one: hosts reached without the proxy",
    ),
    always(REPLACING, bundle, "the roots to trust: the system's, the user's and the CA"),
    inherited(OVERRULING, bundle, "one client's own setting, which overrules the common one: the roots to trust"),
    always(ADDING, added_roots, "the roots to trust beside built-in ones: the user's and the CA"),
    always(&["NODE_USE_ENV_PROXY"], one, "Node.js 22.21 and 24 on: use the proxy variables"),
    always(&["NODE_OPTIONS"], node_options, "Node.js 18 and 20: a hook that takes requests through the proxy"),
    always(&["JAVA_TOOL_OPTIONS"], java, "every JVM: the proxy and the roots"),
    inherited(&["JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"], java, "the JVM: overrides JAVA_TOOL_OPTIONS"),
    always(&["PERL_LWP_ENV_PROXY"], one, "Perl's LWP: use the proxy variables"),
    always(&["PHP_INI_SCAN_DIR"], php_folders, "PHP: the roots for curl and streams, and the proxy for streams"),
    always(
        &["WGETRC"],
        |facts, _, _| Some(facts.files.wgetrc.clone().into()),
        "wget: the user's settings and the roots",
    ),
    always(&["HARPROXY_RUN_PROXY"], proxy, "for programs: the proxy"),
    always(&["HARPROXY_RUN_CA"], |facts, _, _| Some(facts.ca.into()), "for programs: the CA's certificate"),
    always(&["HARPROXY_RUN_CHROMIUM_ARGS"], chromium, "a program that starts Chromium: its arguments, one a word"),
    always(
        &["HARPROXY_RUN_MODE"],
        |facts, _, _| Some(facts.mode.as_str().into()),
        "for programs: `record` or `replay`",
    ),
    always(
        &["HARPROXY_RUN_CONTROL"],
        |facts, _, _| facts.control.map(Into::into),
        "a test framework: the unix socket on which it names its tests",
    ),
    always(
        &["HARPROXY_RUN_RECORDED_AT"],
        recorded_at,
        "a program that wants to set its clock: when the fixture was recorded",
    ),
];

impl Row {
    /// Returns the changes of this row. A variable that the user has in another case (`NPM_CONFIG_CAFILE`) is set too,
    /// because its clients ignore case.
    fn changes(&self, facts: &Facts<'_>, user: &Environment) -> Vec<VariableChange> {
        let always = if self.only_inherited { &[] } else { self.names };
        let inherited = user.keys().map(String::as_str).filter(|own| !always.contains(own)).filter_map(|own| {
            let known = self.names.iter().find(|name| name.eq_ignore_ascii_case(own))?;
            Some((own, *known))
        });
        let always = always.iter().map(|name| (*name, *name));
        let changed = always.chain(inherited).filter_map(|(variable, known)| {
            let value = (self.value)(facts, user, known)?;
            Some(VariableChange { variable: variable.to_owned(), value, purpose: self.purpose })
        });
        changed.collect()
    }
}

/// Appends `options` to the user's value, because later options take precedence. Does nothing if the value already ends
/// with them (`harproxy env` evaluated twice).
fn append(user: &Environment, name: &str, separator: &str, options: &str) -> OsString {
    let mut value = user.get(name).cloned().unwrap_or_default();
    if value.as_encoded_bytes().ends_with(options.as_bytes()) {
        return value;
    }
    if !value.is_empty() {
        value.push(separator);
    }
    value.push(options);
    value
}

fn proxy(facts: &Facts<'_>, _: &Environment, _: &str) -> Option<OsString> {
    Some(facts.proxy.to_string().into())
}

fn no_proxy(facts: &Facts<'_>, user: &Environment, _: &str) -> Option<OsString> {
    Some(no_proxy_entries(facts, user).join(",").into())
}

fn bundle(facts: &Facts<'_>, _: &Environment, _: &str) -> Option<OsString> {
    Some(facts.files.trust.bundle.clone().into())
}

fn added_roots(facts: &Facts<'_>, _: &Environment, name: &str) -> Option<OsString> {
    let (_, path) = facts.files.trust.adding.iter().find(|(variable, _)| *variable == name)?;
    Some(path.clone().into())
}

fn one(_: &Facts<'_>, _: &Environment, _: &str) -> Option<OsString> {
    Some("1".into())
}

/// Returns the time of the recording. An empty value clears the time of an outer replay, which does not apply here.
fn recorded_at(facts: &Facts<'_>, user: &Environment, name: &str) -> Option<OsString> {
    let cleared = user.contains_key(name).then(OsString::new);
    facts.recorded_at.map(OsString::from).or(cleared)
}

/// Returns the value of `NODE_OPTIONS`. Node.js splits it at spaces; `\` escapes within double quotes.
fn node_options(facts: &Facts<'_>, user: &Environment, name: &str) -> Option<OsString> {
    let hook = facts.files.node_hook.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    Some(append(user, name, " ", &format!("--require \"{hook}\"")))
}

/// Returns the value of `PHP_INI_SCAN_DIR`. An empty element stands for PHP's compiled-in folder.
fn php_folders(facts: &Facts<'_>, user: &Environment, name: &str) -> Option<OsString> {
    let separator = if cfg!(windows) { ";" } else { ":" };
    let own = facts.files.php.to_string_lossy();
    Some(match user.get(name) {
        Some(users) if !users.is_empty() => append(user, name, separator, &own),
        _ => format!("{separator}{own}").into(),
    })
}

fn java(facts: &Facts<'_>, user: &Environment, name: &str) -> Option<OsString> {
    let (host, port) = (&facts.proxy.host, facts.proxy.port);
    let mut options = vec![
        format!("-Djavax.net.ssl.trustStore={}", facts.files.trust.trust_store.display()),
        "-Djavax.net.ssl.trustStoreType=PKCS12".to_owned(),
        format!("-Djavax.net.ssl.trustStorePassword={}", jvm::PASSWORD),
        format!("-Dhttp.proxyHost={host}"),
        format!("-Dhttp.proxyPort={port}"),
        format!("-Dhttps.proxyHost={host}"),
        format!("-Dhttps.proxyPort={port}"),
        format!("-Dhttp.nonProxyHosts={}", non_proxy_hosts(&no_proxy_entries(facts, user))),
    ];
    if facts.proxy.credentials.is_some() {
        // Every JVM prints these options, so they omit the password. The program must set its own `Authenticator`. This
        // option permits Basic authentication for CONNECT tunnels.
        options.push("-Djdk.http.auth.tunneling.disabledSchemes=".to_owned());
    }
    let quoted: Vec<String> = options.iter().map(|option| jvm::quote_option(option)).collect();
    Some(append(user, name, " ", &quoted.join(" ")))
}

fn chromium(facts: &Facts<'_>, user: &Environment, _: &str) -> Option<OsString> {
    Some(chromium_arguments(facts.proxy, &no_proxy_entries(facts, user), facts.spki_pin).join(" ").into())
}

/// Returns the arguments that make Chromium use the proxy and trust its CA. None contains a space. Chromium does not
/// read credentials from a proxy's URL.
pub fn chromium_arguments(proxy: &ProxyAddress, bypass: &[String], spki_pin: &str) -> [String; 4] {
    let bypass: String = bypass.iter().map(|entry| format!(";{entry}")).collect();
    [
        format!("--proxy-server={}", ProxyAddress { credentials: None, ..proxy.clone() }),
        format!("--proxy-bypass-list=<-loopback>{bypass}"),
        format!("--ignore-certificate-errors-spki-list={spki_pin}"),
        "--disable-quic".to_owned(),
    ]
}

/// Returns the entries of `NO_PROXY` for CMD without duplicates: those of `--bypass`, and the user's that are out of
/// scope.
///
/// The user's loopback entries are dropped: local APIs can be recorded, and out-of-scope local requests are passed
/// through.
fn no_proxy_entries(facts: &Facts<'_>, user: &Environment) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let own = ["no_proxy", "NO_PROXY"].iter().filter_map(|name| user.get(*name)?.to_str());
    let own =
        own.flat_map(|value| value.split([',', ' '])).map(str::trim).filter(|entry| keeps(entry, facts.may_match));
    for entry in facts.bypass.iter().map(String::as_str).chain(own) {
        if !all.iter().any(|known| known == entry) {
            all.push(entry.to_owned());
        }
    }
    all
}

/// Returns the entries in the syntax of `http.nonProxyHosts`: separated by `|`, with `*` as a prefix wildcard. Entries
/// with a port or a network are omitted, because the JVM does not support them.
fn non_proxy_hosts(entries: &[String]) -> String {
    let hosts = entries.iter().filter_map(|entry| {
        let (host, port) = host_and_port(entry);
        let plain = port.is_none() && !host.contains('/');
        plain.then(|| match (host.parse::<IpAddr>(), host.strip_prefix('.')) {
            (Ok(IpAddr::V6(address)), _) => format!("[{address}]"),
            (_, Some(domain)) => format!("*.{domain}"),
            _ => host.to_owned(),
        })
    });
    hosts.collect::<Vec<_>>().join("|")
}

/// Returns true if an entry of the user's `NO_PROXY` stays. Clients treat `corp.example`, `.corp.example` and
/// `*.corp.example` alike: the domain and its subdomains. `*` and networks (`10.0.0.0/8`) are dropped, because they
/// could cover hosts in scope.
fn keeps(entry: &str, may_match: &dyn Fn(&str) -> bool) -> bool {
    let (host, _) = host_and_port(entry);
    let domain = host.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
    let any = domain.is_empty() || domain.contains(['*', '/']);
    !any && !is_loopback(&domain) && !may_match(&domain)
}

fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback() || address.is_unspecified(),
        Err(_) => is_localhost(host) || LOOPBACK.contains(&host),
    }
}

/// Names of loopback in a typical `/etc/hosts`.
const LOOPBACK: &[&str] = &["localhost.localdomain", "localdomain", "ip6-localhost", "ip6-loopback"];

/// Splits `host`, `host:port`, `[v6]`, `[v6]:port` or a bare `v6` into host and port.
fn host_and_port(entry: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (entry, None),
    }
}

#[cfg(test)]
#[path = "env_tests.rs"]
mod tests;
