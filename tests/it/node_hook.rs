//! The hook that makes Node.js 18 and 20 use a proxy, tested with the installed Node.js. The origin is reachable only
//! through a proxy that is not harproxy.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use harproxy::child::env::ProxyAddress;
use harproxy::child::{Facts, RunFolder, changes};
use harproxy::verdict::RunMode;
use harproxy_tls::bundle::{Bundle, Environment};

use super::support::origin::Origin;
use super::support::raw::read_head;
use super::support::repo;
use super::support::sandbox::Sandbox;

/// A proxy that forwards `api.test` to an origin and refuses other names. It accepts absolute-form requests, too, which
/// later versions of Node.js send.
struct Tunnels {
    addr: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Tunnels {
    fn to(origin: &Origin) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (http, https, log) = (origin.http, origin.https, heads.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (mut client, log) = (client.unwrap(), log.clone());
                std::thread::spawn(move || {
                    let head = String::from_utf8(read_head(&mut client)).unwrap();
                    let line = head.lines().next().unwrap_or_default().to_owned();
                    log.lock().unwrap().push(head.clone());
                    let mut origin = match line.split_once(' ').unwrap_or_default() {
                        ("CONNECT", "api.test:443 HTTP/1.1") => TcpStream::connect(https).unwrap(),
                        ("CONNECT", "api.test:80 HTTP/1.1") => TcpStream::connect(http).unwrap(),
                        ("GET", rest) if rest.starts_with("http://api.test/") => {
                            let mut origin = TcpStream::connect(http).unwrap();
                            origin.write_all(head.as_bytes()).unwrap();
                            origin
                        }
                        _ => {
                            let _ = client.write_all(b"HTTP/1.1 502 Nobody Home\r\ncontent-length: 0\r\n\r\n");
                            return;
                        }
                    };
                    if line.starts_with("CONNECT") {
                        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                    }
                    let (mut from, mut to) = (client.try_clone().unwrap(), origin.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Write);
                    });
                    let _ = std::io::copy(&mut origin, &mut client);
                    let _ = client.shutdown(std::net::Shutdown::Write);
                });
            }
        });
        Tunnels { addr, heads }
    }

    /// The number of CONNECT requests for an authority.
    fn connects(&self, authority: &str) -> usize {
        let line = format!("CONNECT {authority} HTTP/1.1\r\n");
        self.heads.lock().unwrap().iter().filter(|head| head.starts_with(&line)).count()
    }
}

/// The origin, the proxy and the environment of a script under `-- CMD`.
struct NodeSetup {
    origin: Origin,
    tunnels: Tunnels,
    sandbox: Sandbox,
}

impl NodeSetup {
    /// Returns `None` and prints a note if Node.js is not installed.
    fn start() -> Option<Self> {
        if Command::new("node").arg("--version").output().is_err() {
            let _ = writeln!(std::io::stderr(), "not tried: node is not here");
            return None;
        }
        let origin = Origin::start();
        Some(NodeSetup { tunnels: Tunnels::to(&origin), origin, sandbox: Sandbox::new() })
    }

    /// Runs `node ARGS` in that environment, in a folder whose name has a space. Returns its output.
    fn node(&self, args: &[&str], more: &[(&str, &str)]) -> String {
        let output = self.command(args, more);
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && stderr.is_empty(), "{:?}\n{stdout}\n{stderr}", output.status);
        stdout.trim_end().to_owned()
    }

    fn command(&self, args: &[&str], more: &[(&str, &str)]) -> std::process::Output {
        let ca = repo("certs/ca.pem");
        let bundle = Bundle::build(&std::fs::read_to_string(&ca).unwrap(), &Environment::new()).unwrap();
        let folder = self.sandbox.join("a b");
        std::fs::create_dir_all(&folder).unwrap();
        let files =
            harproxy::child::RunFiles::write(&folder, &bundle, harproxy_support::atomic_file::Readers::Owner).unwrap();
        let proxy = ProxyAddress::local(self.tunnels.addr, Some(("me".into(), "p:w".into())));
        let facts = Facts {
            proxy: &proxy,
            ca: &ca,
            spki_pin: "",
            files: &files,
            bypass: &[".origin.localhost".into(), format!("127.0.0.1:{}", self.origin.http.port())],
            may_match: &|_| true,
            urls: &[],
            mode: RunMode::REPLAY,
            recorded_at: None,
            control: None,
        };
        let set = changes(&facts, &Environment::new());
        Command::new("node")
            .args(args)
            .current_dir(self.sandbox.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DIRECT", format!("http://{}/api/json", self.origin.http))
            .envs(set.iter().map(|change| (&change.variable, &change.value)))
            .envs(more.iter().copied())
            .output()
            .unwrap()
    }
}

/// `get(url, options)` returns the status and the path that the origin received.
const GET: &str = r"
const get = (url, options = {}) => new Promise((done, failed) => {
  const { request } = require(url.split(':')[0]);
  request(url, options, (response) => {
    let text = '';
    response.on('data', (chunk) => { text += chunk; }).on('end', () => done(`${response.statusCode} ${JSON.parse(text).path}`));
  }).on('error', (error) => done(error.message)).end(options.body);
});
";

fn script(body: &str) -> String {
    format!("{GET}\n(async () => {{ {body} }})().catch((error) => {{ console.error(error); process.exit(1); }});")
}

#[test]
fn http_and_https_requests_use_the_proxy() {
    let Some(stage) = NodeSetup::start() else { return };
    let body =
        "for (const scheme of ['http', 'https']) console.log(await get(`${scheme}://api.test/api/poll?${scheme}`));";
    let output = stage.node(&["-e", &script(body)], &[]);
    assert_eq!(output, "200 /api/poll?http\n200 /api/poll?https");
    let heads = stage.tunnels.heads.lock().unwrap();
    assert_eq!(heads.len(), 2, "{heads:#?}");
    let head = heads[0].to_ascii_lowercase();
    assert!(head.contains("\r\nproxy-authorization: basic bwu6cdp3\r\n"), "{head}");
}

#[test]
fn custom_agent_uses_the_proxy_and_keeps_its_connection() {
    let Some(stage) = NodeSetup::start() else { return };
    let body = "for (const scheme of ['http', 'https']) {
        const agent = new (require(scheme).Agent)({ keepAlive: true });
        for (const n of [1, 2, 3]) console.log(await get(`${scheme}://api.test/api/poll?${n}`, { agent }));
        console.log(await get(`${scheme}://api.test/api/poll?none`, { agent: false }));
        agent.destroy();
    }";
    let output = stage.node(&["-e", &script(body)], &[]);
    let each = "200 /api/poll?1\n200 /api/poll?2\n200 /api/poll?3\n200 /api/poll?none";
    assert_eq!(output, format!("{each}\n{each}"));
    assert_eq!((stage.tunnels.connects("api.test:80"), stage.tunnels.connects("api.test:443")), (2, 2));
}

#[test]
fn fetch_uses_the_proxy() {
    let Some(stage) = NodeSetup::start() else { return };
    let body = "for (const scheme of ['http', 'https']) {
        const answer = await fetch(`${scheme}://api.test/api/items`, { method: 'POST', body: 'sent' });
        console.log(answer.status, (await answer.text()).includes('sent'));
    }
    console.log(await (await fetch('data:,x')).text());";
    let output = stage.node(&["-e", &script(body)], &[]);
    assert_eq!(output, "201 true\n201 true\nx");
    assert_eq!((stage.tunnels.connects("api.test:80"), stage.tunnels.connects("api.test:443")), (1, 1));
}

#[test]
fn bypassed_hosts_do_not_use_the_proxy() {
    let Some(stage) = NodeSetup::start() else { return };
    let body = "console.log((await fetch(process.env.DIRECT)).status);
        const below = process.env.DIRECT.replace('127.0.0.1', 'sub.origin.localhost');
        const lookup = (name, options, done) => options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4);
        console.log(await get(process.env.DIRECT), await get(below, { lookup }));";
    assert_eq!(stage.node(&["-e", &script(body)], &[]), "200\n200 undefined 200 undefined");
    assert!(stage.tunnels.heads.lock().unwrap().is_empty());
}

#[test]
fn client_with_its_own_proxy_support_is_unchanged() {
    let Some(stage) = NodeSetup::start() else { return };
    let body = "const { hostname, port } = new URL(process.env.http_proxy);
        console.log(await get('http://x/', { hostname, port, path: 'http://api.test/api/poll' }));";
    assert_eq!(stage.node(&["-e", &script(body)], &[]), "200 /api/poll");
    let heads = stage.tunnels.heads.lock().unwrap();
    assert!(heads.len() == 1 && heads[0].starts_with("GET http://api.test/api/poll "), "{heads:#?}");
}

#[test]
fn refused_connect_is_an_error_with_the_status() {
    let Some(stage) = NodeSetup::start() else { return };
    let body = "console.log(await get('https://other.test/'));
        await fetch('https://other.test/').catch((error) => console.log(error.message, '-', error.cause.message));";
    let message = "the proxy answered 502 Nobody Home to CONNECT other.test:443";
    let output = stage.node(&["-e", &script(body)], &[]);
    if built_in() {
        assert!(output.contains("502"), "{output}");
    } else {
        assert_eq!(output, format!("{message}\nfetch failed - {message}"));
    }
}

#[test]
fn hook_applies_to_modules_workers_and_child_processes() {
    let Some(stage) = NodeSetup::start() else { return };
    stage.sandbox.write(
        "main.mjs",
        "import https, { get } from 'node:https';
        import { Worker } from 'node:worker_threads';
        import { execFileSync } from 'node:child_process';
        const answered = (url) => new Promise((done, failed) =>
          get(url, (answer) => { answer.resume().on('end', () => done(answer.statusCode)); }).on('error', failed));
        console.log('module', await answered('https://api.test/api/json'), (await fetch('https://api.test/api/json')).status);
        const code = `const tell = (text) => console.log(process.argv[2] || 'worker', text);
          require('https').get('https://api.test/api/json', async (answer) => {
            answer.resume();
            tell([answer.statusCode, (await fetch('http://api.test/api/json')).status].join(' '));
          });`;
        await new Promise((done) => new Worker(code, { eval: true }).on('exit', done));
        console.log(execFileSync(process.execPath, ['-e', code, '', 'child']).toString().trim());",
    );
    // Node.js 22 warns in each worker that its own proxy support is experimental.
    let output = stage.node(&["main.mjs"], &[("NODE_NO_WARNINGS", "1")]);
    assert_eq!(output, "module 200 200\nworker 200 200\nchild 200 200");
}

#[test]
fn node_works_without_requests() {
    let Some(stage) = NodeSetup::start() else { return };
    let version = stage.node(&["--version"], &[("NODE_OPTIONS", "")]);
    assert_eq!(stage.node(&["--version"], &[]), version);
    assert_eq!(stage.node(&["-p", "1 + 1"], &[]), "2");
    // The hook is loaded twice in nested runs of harproxy. It does nothing without the variables.
    let twice = format!("--require \"{0}\" --require \"{0}\"", stage.sandbox.join("a b/node-hook.cjs").display());
    let body = script("console.log(await get('https://api.test/api/poll'));");
    assert_eq!(stage.node(&["-e", &body], &[("NODE_OPTIONS", &twice)]), "200 /api/poll");
    let none = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"].map(|name| (name, ""));
    let body = script("console.log((await fetch(process.env.DIRECT)).status, await get(process.env.DIRECT));");
    assert_eq!(stage.node(&["-e", &body], &none), "200 200 undefined");
}

/// Returns true if this Node.js supports the proxy variables itself.
fn built_in() -> bool {
    let flag = "process.exit(process.allowedNodeEnvironmentFlags.has('--use-env-proxy') ? 0 : 1)";
    Command::new("node").args(["-e", flag]).status().unwrap().success()
}

#[test]
fn run_folder_contains_the_hook() {
    let bundle = Bundle::build(&std::fs::read_to_string(repo("certs/ca.pem")).unwrap(), &Environment::new()).unwrap();
    let run = RunFolder::create(bundle).unwrap();
    assert!(std::fs::read_to_string(run.for_cmd().unwrap().node_hook).unwrap().contains("globalDispatcher"));
}
