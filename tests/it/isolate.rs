//! `--isolate`: clients that ignore the proxy reach nothing, and the run fails. Without it, CMD behaves the same.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cli::{CURL, CliSandbox};
use crate::support::raw::RawOrigin;
use crate::support::sandbox::{Output, Sandbox, finish};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";

/// Returns a sandbox with a fixture; `None`, with a message, if this machine denies namespaces.
fn sandbox() -> Option<CliSandbox> {
    let stage = CliSandbox::new();
    stage.record(&["-o", "hars/a.har"], CURL).expect(0);
    let output = stage.replay(&["--isolate", "hars/a.har"], CURL);
    if output.status == 3 {
        let _ = writeln!(std::io::stderr(), "skipped: {}", output.stderr);
        return None;
    }
    output.expect(0).says("; isolated: nothing else could be reached");
    Some(stage)
}

/// An origin that counts its connections.
fn counting_origin() -> (SocketAddr, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let origin = RawOrigin::start(move |_, stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        let _ = stream.write_all(ANSWER.as_bytes());
    });
    (origin.addr, count)
}

fn isolated(stage: &CliSandbox, options: &[&str], script: &str) -> Output {
    stage.replay(&[&["--isolate", "hars/a.har"], options].concat(), &["sh", "-c", script])
}

#[test]
fn connections_past_the_proxy_are_refused_and_fail_the_run() {
    let Some(stage) = sandbox() else { return };
    let (origin, connections) = counting_origin();
    let python = format!(
        "import socket\n\
         for to in [('{}', {}), ('203.0.113.7', 443), ('2001:db8::7', 443)]:\n\
         \x20try: socket.create_connection(to, 5)\n\
         \x20except OSError as error: print(type(error).__name__)\n\
         socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'metric', ('203.0.113.8', 8125))",
        origin.ip(),
        origin.port()
    );
    stage.sandbox.write("client.py", python);
    let script =
        format!("curl -s --noproxy '*' http://{origin}/; curl -s --noproxy '*' http://203.0.113.9/; python3 client.py");
    let output = isolated(&stage, &["--fail-on", "-no-traffic"], &script).expect(1);
    assert_eq!(connections.load(Ordering::Relaxed), 0);
    assert_eq!(output.stdout.matches("ConnectionRefusedError").count(), 3, "{}", output.stdout);
    for text in [
        &format!("connected to {origin} without the proxy, which was refused"),
        "curl connected to 203.0.113.9:80 without the proxy",
        "connected to 203.0.113.7:443 without",
        "connected to [2001:db8::7]:443 without",
        "sent datagrams to 203.0.113.8:8125, which were refused",
        "--isolate-allow 203.0.113.7:443",
    ] {
        assert!(output.stderr.contains(text), "{text}:\n{}", output.stderr);
    }
    // The same connections to the origin, without the option.
    stage.replay(
        &["hars/a.har", "--fail-on", "-no-traffic"],
        &["curl", "-s", "--noproxy", "*", &format!("http://{origin}/")],
    );
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[test]
fn repeated_refusals_are_one_finding_and_a_recording_fails_too() {
    let Some(stage) = sandbox() else { return };
    let script =
        "for n in 1 2 3; do curl -s --noproxy '*' http://203.0.113.9/; done; curl -sS https://api.test/api/json";
    let output = isolated(&stage, &[], script).expect(1);
    assert_eq!(output.stderr.matches("203.0.113.9:80 without").count(), 1, "{}", output.stderr);
    let options = ["--isolate", "-o", "hars/b.har", "-g", "https://api.test/**"];
    let output = stage.record(&options, &["sh", "-c", script]).expect(1);
    output.says("curl connected to 203.0.113.9:80").says("hars/b.har: 1 added");
}

/// The socket that refuses packets sees those of the loopback interface too.
#[test]
fn heavy_local_transfer_hides_no_refusal() {
    let Some(stage) = sandbox() else { return };
    let (service, _) = counting_origin();
    let python = "import socket, sys, threading\n\
        listener = socket.create_server(('127.0.0.1', 0), backlog=64)\n\
        def drain(accepted):\n\
        \x20while accepted.recv(1 << 16): pass\n\
        def serve():\n\
        \x20while True: threading.Thread(target=drain, args=listener.accept()[:1], daemon=True).start()\n\
        def send():\n\
        \x20client = socket.create_connection(listener.getsockname())\n\
        \x20while not stop: client.sendall(bytes(40000))\n\
        stop = []\n\
        for work in [serve] + [send] * 6: threading.Thread(target=work, daemon=True).start()\n\
        for n in range(16):\n\
        \x20for to in [('203.0.113.7', 1000 + n), ('127.0.0.1', int(sys.argv[1]))]:\n\
        \x20 try: socket.create_connection(to, 5)\n\
        \x20 except OSError as error: print(type(error).__name__)\n\
        stop.append(True)";
    stage.sandbox.write("client.py", python);
    let script = format!("python3 client.py {}", service.port());
    let output = isolated(&stage, &["--fail-on", "-no-traffic"], &script).expect(1);
    assert_eq!(output.stdout.matches("ConnectionRefusedError").count(), 32, "{}", output.stdout);
    let told = output.stderr.matches(" connected to 203.0.113.7:1").count();
    assert_eq!(told, 16, "{}", output.stderr);
    output.says(&format!("connected to {service} without the proxy"));
}

#[test]
fn servers_of_cmd_work_inside() {
    let Some(stage) = sandbox() else { return };
    stage.sandbox.write("page.txt", "served inside");
    let script = "python3 -u -m http.server 0 --bind 127.0.0.1 >log 2>&1 & server=$!\n\
        until port=$(sed -n 's/.*port \\([0-9]*\\).*/\\1/p' log) && [ -n \"$port\" ]; do :; done\n\
        curl -sS --noproxy '*' http://127.0.0.1:$port/page.txt; echo\n\
        curl -sS --noproxy '' -x $HTTP_PROXY http://127.0.0.1:$port/page.txt; echo\n\
        curl -sS https://api.test/api/json; kill $server";
    let output = isolated(&stage, &[], script).expect(0);
    assert_eq!(output.stdout.matches("served inside").count(), 2, "{}", output.stdout);
}

#[test]
fn allowed_service_of_the_machine_is_at_its_own_address() {
    let Some(stage) = sandbox() else { return };
    let (origin, connections) = counting_origin();
    let script = format!("curl -sS --noproxy '*' http://{origin}/; curl -sS https://api.test/api/json");
    let output = isolated(&stage, &["--isolate-allow", &origin.to_string()], &script).expect(0);
    assert!(output.stdout.starts_with("hi"), "{}", output.stdout);
    output.says("isolated: nothing else could be reached");
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    // `localhost` leads to both of its addresses.
    let script =
        format!("curl -sS --noproxy '*' http://localhost:{}/; curl -sS https://api.test/api/json", origin.port());
    isolated(&stage, &["--isolate-allow", &format!("localhost:{}", origin.port())], &script).expect(0);
    assert_eq!(connections.load(Ordering::Relaxed), 2);
    // From the configuration.
    stage.sandbox.write("harproxy.toml", format!("[replay]\nisolate = true\nisolate-allow = [\"{origin}\"]\n"));
    stage.replay(&["hars/a.har"], &["sh", "-c", &script.replace("localhost", "127.0.0.1")]).expect(0);
    assert_eq!(connections.load(Ordering::Relaxed), 3);
}

#[test]
fn names_that_harproxy_may_reach_have_an_address_and_others_do_not() {
    let Some(stage) = sandbox() else { return };
    let script = "getent ahostsv4 api.test | head -1; getent ahostsv4 elsewhere.test; \
        curl -s --noproxy '*' https://api.test/; curl -sS https://api.test/api/json";
    let output = isolated(&stage, &["-g", "https://api.test/**"], script).expect(1);
    assert!(output.stdout.starts_with("198.18.0.1 "), "{}", output.stdout);
    output
        .says("curl connected to api.test:443 without the proxy, which was refused")
        .says("--isolate-allow api.test:443")
        .says("looked up elsewhere.test, which got no address");
}

#[test]
fn cmd_keeps_its_status_user_folder_descriptors_and_reverse_port() {
    let Some(stage) = sandbox() else { return };
    let script = "id -u; id -g; pwd; cat <&7; curl -sS $HARPROXY_URL_API/api/json >&2; exit 7";
    let run = |option: &str| {
        let begin = "exec 7<<END\nfrom a descriptor\nEND\nexec \"$@\"";
        let args = ["-c", begin, "sh", env!("CARGO_BIN_EXE_harproxy"), "replay", "hars/a.har", option];
        let mut command = std::process::Command::new("sh");
        command.args(args).args(["--reverse", "API=https://api.test", "--", "sh", "-c", script]);
        command.current_dir(stage.sandbox.path()).env("HOME", stage.sandbox.path()).env("NO_COLOR", "1");
        finish(command.stdin(Stdio::null()).output().unwrap()).expect(7)
    };
    assert_eq!(run("--isolate").stdout, run("--grace=5s").stdout);
}

#[test]
fn nothing_is_left_behind_when_harproxy_is_killed() {
    let Some(stage) = sandbox() else { return };
    let mut command =
        stage.sandbox.command(["replay", "--isolate", "hars/a.har", "--", "sh", "-c", "echo started; read -r line"]);
    let mut running = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut started = [0; 8];
    running.stdout.as_mut().unwrap().read_exact(&mut started).unwrap();
    let children = format!("/proc/{0}/task/{0}/children", running.id());
    let children = std::fs::read_to_string(children).unwrap();
    assert_eq!(children.split_whitespace().count(), 2, "the relay and CMD: {children}");
    running.kill().unwrap();
    drop(running.stdin.take());
    // The relay has standard error too, so this ends when it has ended.
    let mut rest = String::new();
    running.stderr.take().unwrap().read_to_string(&mut rest).unwrap();
    running.wait().unwrap();
}

#[test]
fn signals_reach_cmd_and_end_the_run() {
    use nix::sys::signal::{Signal, kill};
    let Some(stage) = sandbox() else { return };
    let script = "trap 'echo terminated; exit 9' TERM; echo started; while :; do read -r line; done";
    let mut command = stage.sandbox.command(["replay", "--isolate", "hars/a.har", "--", "sh", "-c", script]);
    let mut running = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut started = [0; 8];
    running.stdout.as_mut().unwrap().read_exact(&mut started).unwrap();
    kill(nix::unistd::Pid::from_raw(running.id() as i32), Signal::SIGTERM).unwrap();
    drop(running.stdin.take());
    let output = finish(running.wait_with_output().unwrap());
    assert_eq!((output.status, &*output.stdout), (9, "terminated\n"), "{}", output.stderr);

    isolated(&stage, &["--fail-on", "-no-traffic"], "kill -9 $$").expect(137);
}

#[test]
fn bad_input_ends_the_run_before_cmd() {
    let Some(stage) = sandbox() else { return };
    let refused = |options: &[&str], status, text: &str| {
        let output = isolated(&stage, options, "echo started").expect(status).says(text);
        assert_eq!(output.stdout, "");
    };
    refused(&["--isolate-allow", "no-such-name.invalid:1"], 3, "the service `no-such-name.invalid:1`");
    refused(&["--isolate-allow", "127.0.0.1"], 2, "expected a host and a port");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    refused(
        &["--listen", &taken, "--isolate-allow", &taken],
        3,
        &format!("`{taken}` of `--isolate-allow` cannot be offered"),
    );
    stage.replay(&["--isolate", "hars/a.har"], &[]).expect(2).says("needs a program");
}

/// Namespaces are denied inside a namespace whose limits are 0.
#[test]
fn denied_namespaces_are_an_error_that_names_the_setting() {
    if sandbox().is_none() {
        return;
    }
    let sandbox = Sandbox::new();
    let script = "echo 0 > /proc/sys/user/max_user_namespaces; echo 0 > /proc/sys/user/max_net_namespaces; exec \"$@\"";
    let binary = env!("CARGO_BIN_EXE_harproxy");
    let mut command = std::process::Command::new("unshare");
    command.args(["-Ur", "sh", "-c", script, "sh", binary, "replay", "--isolate", "hars", "--", "echo", "started"]);
    command.current_dir(sandbox.path()).env("HOME", sandbox.path()).stdin(Stdio::null());
    let output = finish(command.output().unwrap()).expect(3);
    assert_eq!(output.stdout, "");
    output.says("the system denies a network namespace: `user.max_user_namespaces` is 0").says("sysctl -w");
}

#[test]
fn servers_on_ipv6_alone_work_inside() {
    let Some(stage) = sandbox() else { return };
    stage.sandbox.write("page.txt", "served inside");
    let script = "python3 -u -m http.server 0 --bind ::1 >log 2>&1 & server=$!\n\
        until port=$(sed -n 's/.*port \\([0-9]*\\).*/\\1/p' log) && [ -n \"$port\" ]; do :; done\n\
        curl -sS --noproxy '*' http://[::1]:$port/page.txt; echo\n\
        curl -sS --noproxy '' -x $HTTP_PROXY http://[::1]:$port/page.txt; echo\n\
        curl -sS https://api.test/api/json; kill $server";
    let output = isolated(&stage, &[], script).expect(0);
    assert_eq!(output.stdout.matches("served inside").count(), 2, "{}", output.stdout);
}

/// A raw socket sends into the isolated network, from which nothing leaves.
#[test]
fn raw_socket_of_cmd_is_its_own_or_denied() {
    let Some(stage) = sandbox() else { return };
    let python = "import socket\n\
        try:\n\
        \x20raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)\n\
        \x20raw.sendto(bytes([8, 0, 0xf7, 0xff, 0, 0, 0, 0]), ('203.0.113.7', 0))\n\
        \x20raw.settimeout(0.2)\n\
        \x20print(raw.recv(99))\n\
        except (TimeoutError, PermissionError) as error: print(type(error).__name__)";
    stage.sandbox.write("raw.py", python);
    let output = isolated(&stage, &[], "python3 raw.py; curl -sS https://api.test/api/json").expect(0);
    let answer = output.stdout.lines().next().unwrap_or_default();
    assert!(["TimeoutError", "PermissionError"].contains(&answer), "{}", output.stdout);
}

#[test]
fn daemon_that_outlives_cmd_stays_isolated() {
    let Some(stage) = sandbox() else { return };
    let (origin, connections) = counting_origin();
    let daemon =
        format!("read -r go < go; curl -s -m 1 --noproxy '*' http://{origin}/; echo \\$? > status; echo > done");
    let script = format!(
        "mkfifo go done; setsid sh -c \"{daemon}\" >/dev/null 2>&1 </dev/null & curl -sS https://api.test/api/json"
    );
    isolated(&stage, &[], &script).expect(0).says("isolated: nothing else could be reached");
    std::fs::write(stage.sandbox.join("go"), "go\n").unwrap();
    assert_eq!(std::fs::read_to_string(stage.sandbox.join("done")).unwrap(), "\n");
    assert_ne!(stage.sandbox.read("status"), "0\n");
    assert_eq!(connections.load(Ordering::Relaxed), 0);
}

#[test]
fn nested_run_is_isolated_too() {
    let Some(stage) = sandbox() else { return };
    let binary = env!("CARGO_BIN_EXE_harproxy");
    let script = format!("{binary} replay --isolate hars/a.har -- curl -sS https://api.test/api/json");
    let output = isolated(&stage, &["--fail-on", "-no-traffic,-unused"], &script).expect(0);
    assert_eq!(output.stderr.matches("isolated: nothing else could be reached").count(), 2, "{}", output.stderr);
}
