//! What makes each kind of program use the proxy. `docs/getting-started` and `docs/guides/doctor.md` say the same at more length.

use super::Clues;
use super::runtime::{self, Runtime};

/// What a Playwright configuration needs, under `use:`.
pub const PLAYWRIGHT: &str = "  use: {
    proxy: process.env.HARPROXY_RUN_PROXY && { server: process.env.HARPROXY_RUN_PROXY, bypass: '<-loopback>' },
    ignoreHTTPSErrors: !!process.env.HARPROXY_RUN_PROXY,
  },";

/// The remedy for a program by its name.
pub(super) fn of_program(name: &str, clues: &Clues) -> String {
    if clues.past.suspects().iter().any(|connection| connection.udp && connection.program == name) {
        return "HTTP/3 knows no proxy: start the browser with `--disable-quic`, or turn HTTP/3 off in the client"
            .to_owned();
    }
    let runtime = runtime::of_program(name).or_else(|| runtime::guess(clues).first().map(|guess| guess.runtime));
    match runtime {
        Some(runtime) => of(runtime, clues),
        None => format!("let {name} use the proxy (HTTP_PROXY, HTTPS_PROXY), or {}", stand_in(clues)),
    }
}

/// The remedy for a kind of program.
pub(super) fn of(runtime: Runtime, clues: &Clues) -> String {
    match runtime {
        Runtime::Cleared => "what starts it takes the variables away (`env -i`, sudo, tox, a test runner with an environment of its \
             own): let it pass them on, all that `harproxy env` prints"
            .into(),
        Runtime::Sudo => "sudo and su take the variables away: run harproxy inside (`sudo harproxy replay -- CMD`), or keep them with \
             `sudo --preserve-env`"
            .into(),
        Runtime::Tox => "tox passes on only what `pass_env` names: write `pass_env = *` under [testenv]".into(),
        Runtime::Bazel => "Bazel runs tests without the variables: pass each on with `--test_env=HTTPS_PROXY --test_env=SSL_CERT_FILE`, \
             and let the sandbox reach the network"
            .into(),
        Runtime::Docker => docker(),
        Runtime::Playwright => format!(
            "a browser takes its proxy from Playwright's configuration and from no variable; add to {}\n{PLAYWRIGHT}",
            clues.project.file("playwright.config.*").unwrap_or("playwright.config.js"),
        ),
        Runtime::Cypress => "Cypress goes to localhost without a proxy unless told otherwise: \
             `-- env NO_PROXY='<-loopback>' no_proxy='<-loopback>' npx cypress run`"
            .into(),
        Runtime::Driver => "a browser takes its proxy from its arguments: start it with \
             `'--proxy-server=' + process.env.HARPROXY_RUN_PROXY`, `'--proxy-bypass-list=<-loopback>'` and \
             `'--ignore-certificate-errors'`"
            .into(),
        Runtime::Browser => "a browser takes its proxy from its flags, which `harproxy env` prints".into(),
        Runtime::GoCached => "add `-count=1`, and it runs them".into(),
        Runtime::Go => go(clues),
        Runtime::Aiohttp => "aiohttp heeds the proxy variables only with `aiohttp.ClientSession(trust_env=True)`".into(),
        Runtime::Python => "requests and httpx heed the variables unless `trust_env=False`\nurllib3 and http.client do not: \
             `urllib3.ProxyManager(os.environ['HTTPS_PROXY'])`\naiohttp needs `trust_env=True`"
            .into(),
        Runtime::JavaBuild => format!(
            "a daemon keeps the environment that it was started with: use `--no-daemon` with Gradle, and stop mvnd; {}",
            java()
        ),
        Runtime::Java => java(),
        Runtime::Ruby => {
            format!("Ruby uses no proxy for localhost and 127.0.0.1, whatever the variables say: {}", stand_in(clues))
        }
        Runtime::Php => "a stream context of the script's own, and `php -n`, set aside what harproxy set up: add `'proxy' => \
             str_replace('http://', 'tcp://', getenv('HARPROXY_RUN_PROXY')), 'request_fulluri' => true` to its `http` options; \
             PHP-FPM needs `clear_env = no`"
            .into(),
        Runtime::Deno => format!(
            "Deno's fetch heeds the variables unless a `Deno.createHttpClient` of its own has no `proxy`; or {}",
            stand_in(clues)
        ),
        Runtime::Bun => {
            format!("Bun's fetch heeds the variables; for a socket of the program's own, {}", stand_in(clues))
        }
        Runtime::Node => "Node.js heeds the variables from 22.21 and 24 on, and 18 and 20 by the hook in NODE_OPTIONS, unless a runner \
             replaces NODE_OPTIONS\nan undici Dispatcher of the program's own has to be `new EnvHttpProxyAgent()`, and \
             `http2.connect` knows no proxy"
            .into(),
        Runtime::Rust => "reqwest heeds the variables unless `.no_proxy()`\nureq 2 needs its feature `proxy-from-env`, and hyper by \
             itself knows no proxy"
            .into(),
        Runtime::DotNet => "HttpClient heeds the variables unless a handler of its own has `UseProxy = false` or a `Proxy`".into(),
        Runtime::Grpc => format!(
            "gRPC heeds `https_proxy`, but not for localhost in Go, and trusts the CA only without roots of its own in its \
             credentials; or {}",
            stand_in(clues)
        ),
        Runtime::Curl => "curl and wget heed the variables unless `--noproxy`, `--proxy`, `--no-proxy` or a .curlrc or .wgetrc says \
             otherwise"
            .into(),
    }
}

fn docker() -> String {
    "a container has neither harproxy's variables nor this machine's 127.0.0.1: start `harproxy replay --listen 0.0.0.0:8899 \
     --allow-remote`, and the container with `docker run $(harproxy env --docker) IMAGE`"
        .to_owned()
}

fn go(clues: &Clues) -> String {
    let mut text =
        format!("Go uses no proxy for localhost and 127.0.0.1, whatever the variables say: {}", stand_in(clues));
    text += "\na Transport of the program's own needs `Proxy: http.ProxyFromEnvironment`";
    // Where programs can be seen, it is known.
    let may_be_cached = clues.programs.is_none() && clues.words.iter().any(|word| word.contains("test"));
    if may_be_cached && !clues.words.iter().any(|word| word.contains("-count")) {
        text += "\nwhere `go test` prints `(cached)` it ran nothing: `-count=1`";
    }
    text += "\non macOS and Windows Go does not read SSL_CERT_FILE, so `--reverse` is the way for https";
    text
}

fn java() -> String {
    "a JVM is told by JAVA_TOOL_OPTIONS (it says `Picked up …`): where that is cleared, give `-Dhttps.proxyHost`, \
     `-Dhttps.proxyPort`, `-Dhttp.proxyHost`, `-Dhttp.proxyPort`, `-Dhttp.nonProxyHosts=` and `-Djavax.net.ssl.trustStore` to it \
     yourself\nApache HttpClient needs `useSystemProperties()`, Reactor Netty `proxyWithSystemProperties()`"
        .to_owned()
}

/// The way for a client that can't use a proxy, with the address that it was seen to use.
fn stand_in(clues: &Clues) -> String {
    let origin = clues.past.local().map_or_else(|| "http://127.0.0.1:3000".to_owned(), |to| format!("http://{to}"));
    format!("let harproxy stand in for the API: `--reverse API={origin}`, and take the address from HARPROXY_URL_API")
}
