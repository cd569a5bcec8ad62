//! Adds explanations and hints about CMD to a verdict. `docs/getting-started` and `docs/guides/doctor.md` explain the
//! hints that make each runtime use the proxy.

use super::bypass;
use super::evidence::Evidence;
use super::runtime::{self, Runtime};
use crate::verdict::{CHROMIUM_HINT, CheckId, Finding, Severity, Verdict};

/// Adds a finding for each program that bypassed the proxy. If no request came, it also explains the silence by CMD's
/// runtime and names the change that makes this runtime use the proxy.
pub fn advise(verdict: &mut Verdict, evidence: &Evidence) {
    let is_silent = verdict.counts.requests == 0;
    let is_tls_refused = verdict.findings.iter().any(|finding| finding.check == CheckId::TLS_REFUSED);
    let missing = |finding: &&mut Finding| match finding.check.as_str() {
        "no-traffic" => true,
        "nothing-recorded" => is_silent,
        _ => false,
    };
    add_trust_hints(verdict, evidence);
    match verdict.findings.iter_mut().find(missing) {
        // The finding already names the cause.
        Some(_) if is_silent && verdict.counts.unauthorized > 0 => {}
        Some(finding) if is_silent && is_tls_refused => {
            finding.text += ": clients connected, and rejected harproxy's certificate (tls-refused)";
            let trust_hint = Some("make the client trust the CA, see the hint of tls-refused".to_owned());
            finding.hint = join_lines(trust_hint.into_iter().chain(doctor_hint(evidence)));
        }
        Some(finding) if is_silent => explain_silence(finding, evidence),
        Some(finding) if !evidence.bypasses.likely.is_empty() => {
            let programs = bypass::programs(&evidence.bypasses.likely);
            let mut hints: Vec<String> = programs.iter().map(|program| hint_for_program(program, evidence)).collect();
            hints.dedup();
            finding.hint = join_lines(finding.hint.take().into_iter().chain(hints).chain(doctor_hint(evidence)));
        }
        _ => {}
    }
    verdict.findings.extend(bypass_findings(evidence, is_silent));
}

/// Adds the exceptions for programs that ran to refusals of unnamed clients.
fn add_trust_hints(verdict: &mut Verdict, evidence: &Evidence) {
    const RUST_HINT: &str = "reqwest with `rustls-tls-webpki-roots`, and ureq, trust the CA only if the program adds it \
                             from HARPROXY_RUN_CA";
    let mut programs = evidence.programs.iter().flatten().map(|program| program.name.as_str());
    let chromium = programs.find(|name| runtime::is_chromium(name));
    let chromium = chromium.map(|program| format!("if the client is {program}: {CHROMIUM_HINT}"));
    let is_rust = runtime::guess(evidence).iter().any(|guess| guess.runtime == Runtime::Rust);
    let hints: Vec<String> = chromium.into_iter().chain(is_rust.then(|| RUST_HINT.to_owned())).collect();
    let refusals = verdict.findings.iter_mut().filter(|finding| finding.check == CheckId::TLS_REFUSED);
    for finding in refusals.filter(|finding| finding.is_of_unnamed_client) {
        finding.hint = join_lines(finding.hint.take().into_iter().chain(hints.iter().cloned()));
    }
}

fn explain_silence(finding: &mut Finding, evidence: &Evidence) {
    if let Some(connections) = evidence.bypasses.describe_all() {
        finding.text += &format!(", but {connections}");
    } else if !evidence.short_lived.is_empty() {
        let programs = evidence.short_lived.join(", ");
        finding.text += &format!(", but {programs} opened connections that closed before their address could be read");
    }
    if let Some(name) = &evidence.unset_url {
        finding.hint = Some(format!("CMD reads HARPROXY_URL_{name}: pass `--reverse {name}=URL`, as in the recording"));
        return;
    }
    let mut hints: Vec<String> = runtime::guess(evidence)
        .iter()
        .map(|guess| format!("{}: {}", guess.reason, hint_for_runtime(guess.runtime, evidence)))
        .collect();
    if hints.is_empty() {
        hints.extend(finding.hint.take());
    }
    finding.hint = join_lines(hints.into_iter().chain(doctor_hint(evidence)));
}

/// Returns a finding for each program that bypassed the proxy. In a silent run the finding for the silence has the
/// hint.
fn bypass_findings(evidence: &Evidence, is_silent: bool) -> Vec<Finding> {
    let finding = |(program, explanation): (&str, String)| {
        let hint = (!is_silent).then(|| hint_for_program(program, evidence));
        if evidence.bypasses.is_foreign(program) {
            let text =
                format!("{explanation}; CMD's programs waited when it closed, so it is most likely of another program");
            return Finding::new(CheckId::BYPASS, Severity::Warning, text);
        }
        let severity = evidence.severity.unwrap_or(Severity::Warning);
        Finding { hint, ..Finding::new(CheckId::BYPASS, severity, explanation) }
    };
    evidence.bypasses.describe_by_program().into_iter().map(finding).collect()
}

fn join_lines(lines: impl Iterator<Item = String>) -> Option<String> {
    Some(lines.collect::<Vec<_>>().join("\n")).filter(|text| !text.is_empty())
}

fn doctor_hint(evidence: &Evidence) -> Option<String> {
    /// A longer command is not repeated in the hint.
    const MAX_LENGTH: usize = 60;
    let is_short = |command: &&str| (1..=MAX_LENGTH).contains(&command.len()) && !command.contains('\n');
    let command = Some(evidence.command.as_str()).filter(is_short).unwrap_or("CMD");
    let text = format!("run `harproxy doctor -- {command}`: it names the programs that bypass the proxy");
    (!evidence.is_doctor).then_some(text)
}

/// The settings for a Playwright configuration, under `use:`.
pub const PLAYWRIGHT: &str = "  use: {
    proxy: process.env.HARPROXY_RUN_PROXY && { server: process.env.HARPROXY_RUN_PROXY, bypass: '<-loopback>' },
    ignoreHTTPSErrors: !!process.env.HARPROXY_RUN_PROXY,
  },";

/// Returns the hint for a program by its name.
fn hint_for_program(name: &str, evidence: &Evidence) -> String {
    if evidence.bypasses.likely.iter().any(|connection| connection.udp && connection.program == name) {
        return "HTTP/3 does not use a proxy: start the browser with `--disable-quic`, or turn HTTP/3 off in the client"
            .to_owned();
    }
    let runtime = runtime::of_program(name).or_else(|| runtime::guess(evidence).first().map(|guess| guess.runtime));
    match runtime {
        Some(runtime) => hint_for_runtime(runtime, evidence),
        None => format!("configure {name} to use the proxy (HTTP_PROXY, HTTPS_PROXY), or {}", reverse_port(evidence)),
    }
}

pub(super) fn hint_for_runtime(runtime: Runtime, evidence: &Evidence) -> String {
    match runtime {
        Runtime::Cleared => "its parent removes the variables (`env -i`, sudo, tox, a test runner with its own environment): pass on all \
             variables that `harproxy env` prints"
            .into(),
        Runtime::Sudo => "sudo and su remove the variables: run harproxy inside (`sudo harproxy replay -- CMD`), or keep them with \
             `sudo --preserve-env`"
            .into(),
        Runtime::Tox => "tox passes on only what `pass_env` names: write `pass_env = *` under [testenv]".into(),
        Runtime::Bazel => "Bazel runs tests without the variables: pass each one with `--test_env=HTTPS_PROXY --test_env=SSL_CERT_FILE`, \
             and allow network access in the sandbox"
            .into(),
        Runtime::Docker => "a container does not inherit harproxy's variables, and has its own 127.0.0.1: start `harproxy replay \
             --listen 0.0.0.0:8899 --allow-remote`, and the container with `docker run $(harproxy env --docker) IMAGE`"
            .into(),
        Runtime::Playwright => format!(
            "a browser reads its proxy from Playwright's configuration, not from variables: add to {}\n{PLAYWRIGHT}",
            evidence.project.file("playwright.config.*").unwrap_or("playwright.config.js"),
        ),
        Runtime::Cypress => "Cypress bypasses the proxy for localhost by default: run \
             `-- env NO_PROXY='<-loopback>' no_proxy='<-loopback>' npx cypress run`"
            .into(),
        Runtime::Driver => "a browser reads its proxy from its arguments: start Chromium with those in \
             HARPROXY_RUN_CHROMIUM_ARGS, as in `args: process.env.HARPROXY_RUN_CHROMIUM_ARGS?.split(' ')`"
            .into(),
        Runtime::Browser => "a browser reads its proxy from its arguments: pass those that `harproxy env` prints; for \
             Chromium HARPROXY_RUN_CHROMIUM_ARGS has them"
            .into(),
        Runtime::GoCached => "add `-count=1`".into(),
        Runtime::Go => go(evidence),
        Runtime::Aiohttp => "aiohttp reads the proxy variables only with `aiohttp.ClientSession(trust_env=True)`".into(),
        Runtime::Python => "requests and httpx read the variables unless `trust_env=False`\nurllib3 and http.client do not: use \
             `urllib3.ProxyManager(os.environ['HTTPS_PROXY'])`\naiohttp needs `trust_env=True`"
            .into(),
        Runtime::JavaBuild => format!(
            "a daemon keeps the environment of its start: pass `--no-daemon` to Gradle, and stop mvnd; {}",
            java()
        ),
        Runtime::Java => java(),
        Runtime::Ruby => {
            format!("Ruby bypasses the proxy for localhost and 127.0.0.1 regardless of the variables: {}", reverse_port(evidence))
        }
        Runtime::Php => "a stream context of the script, and `php -n`, override harproxy's settings: add `'proxy' => \
             str_replace('http://', 'tcp://', getenv('HARPROXY_RUN_PROXY')), 'request_fulluri' => true` to its `http` \
             options; set `clear_env = no` for PHP-FPM"
            .into(),
        Runtime::Deno => format!(
            "Deno's fetch reads the variables unless the program makes a `Deno.createHttpClient` without `proxy`; or {}",
            reverse_port(evidence)
        ),
        Runtime::Bun => {
            format!("Bun's fetch reads the variables; for the program's own sockets, {}", reverse_port(evidence))
        }
        Runtime::Node => "Node.js reads the variables from 22.21 and 24 on, and 18 and 20 by the hook in NODE_OPTIONS, unless a runner \
             replaces NODE_OPTIONS\nuse `new EnvHttpProxyAgent()` as the program's own undici Dispatcher; `http2.connect` does \
             not support a proxy"
            .into(),
        Runtime::Rust => "reqwest reads the variables unless `.no_proxy()`\nureq 2 needs its feature `proxy-from-env`; hyper by \
             itself does not support a proxy"
            .into(),
        Runtime::DotNet => "HttpClient reads the variables unless the program's handler has `UseProxy = false` or a `Proxy`".into(),
        Runtime::Grpc => format!(
            "gRPC reads `https_proxy`, but not for localhost in Go, and trusts the CA only if its credentials have no roots \
             of their own; or {}",
            reverse_port(evidence)
        ),
        Runtime::Curl => "curl and wget read the variables unless `--noproxy`, `--proxy`, `--no-proxy`, .curlrc or .wgetrc overrides \
             them"
            .into(),
    }
}

fn go(evidence: &Evidence) -> String {
    let mut text = format!(
        "Go bypasses the proxy for localhost and 127.0.0.1 regardless of the variables: {}",
        reverse_port(evidence)
    );
    text += "\nset `Proxy: http.ProxyFromEnvironment` in the program's own Transport";
    // If the programs are known, `Runtime::GoCached` covers this case.
    let may_be_cached = evidence.programs.is_none() && evidence.words.iter().any(|word| word.contains("test"));
    if may_be_cached && !evidence.words.iter().any(|word| word.contains("-count")) {
        text += "\nif `go test` prints `(cached)`, it did not run the tests: add `-count=1`";
    }
    text += "\non macOS and Windows, Go does not read SSL_CERT_FILE: use `--reverse` for https";
    text
}

fn java() -> String {
    "a JVM reads JAVA_TOOL_OPTIONS (and prints `Picked up …`): if the variable is removed, pass `-Dhttps.proxyHost`, \
     `-Dhttps.proxyPort`, `-Dhttp.proxyHost`, `-Dhttp.proxyPort`, `-Dhttp.nonProxyHosts=` and `-Djavax.net.ssl.trustStore` \
     yourself\ncall `useSystemProperties()` for Apache HttpClient, `proxyWithSystemProperties()` for Reactor Netty"
        .to_owned()
}

/// Returns the hint to use a reverse port, with the address that the client connected to.
fn reverse_port(evidence: &Evidence) -> String {
    let local = evidence.bypasses.all().map(|connection| connection.to).find(|to| to.ip().to_canonical().is_loopback());
    let origin = local.map_or_else(|| "http://127.0.0.1:3000".to_owned(), |to| format!("http://{to}"));
    format!("use a reverse port: pass `--reverse API={origin}`, and read the address from HARPROXY_URL_API")
}
