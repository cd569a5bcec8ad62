//! `harproxy doctor`: requests through the proxy, connections past it, and hints.

use serde_json::{Value, json};

use crate::cli::CliSandbox;
use crate::support::sandbox::{Output, finish};

fn doctor(stage: &CliSandbox, options: &[&str], script: &str) -> Output {
    let mut command = stage.sandbox.command(["doctor"]);
    command.args(stage.origin.args()).args(options).args(["--", "sh", "-c", script]);
    finish(command.output().unwrap())
}

fn diagnosis(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn requests_are_counted_by_origin_and_no_file_is_written() {
    let stage = CliSandbox::new();
    let script = "curl -sS https://api.test/api/json https://api.test/api/text http://api.test/api/text";
    let output = doctor(&stage, &[], script).expect(0).says("✓ doctor").says("https://api.test  2 requests");
    assert!(output.stdout.contains("Ada"), "standard output is CMD's: {output:?}");
    assert!(output.stderr.contains("http://api.test  1 request\n"), "{}", output.stderr);
    assert!(!stage.sandbox.join("hars").exists());

    let output = doctor(&stage, &["--json"], script).expect(0);
    assert!(output.stderr.contains("Ada"), "with --json CMD's output goes beside: {output:?}");
    let told = diagnosis(&output);
    assert_eq!((&told["schema"], &told["well"]), (&json!("harproxy.doctor/1"), &json!(true)));
    assert_eq!(told["hosts"][0], json!({"origin": "https://api.test", "requests": 2, "failed": 0, "error": null}));
    assert_eq!(told["past"], json!([]));
}

#[test]
fn unreachable_origin_does_not_fail_the_diagnosis() {
    let stage = CliSandbox::new();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let map = format!("down.test:80={nobody}");
    let output = doctor(&stage, &["--map", &map], "curl -s http://down.test/").expect(0);
    output.says("http://down.test  1 request; 1 got no response: connecting to http://down.test");
}

#[test]
fn no_traffic_is_a_finding_and_the_status_of_cmd_has_priority() {
    let stage = CliSandbox::new();
    doctor(&stage, &[], "true").expect(1).says("✗ doctor").says("nothing came through the proxy");
    doctor(&stage, &[], "exit 7").expect(7).says("✗ doctor");
    stage.sandbox.run(["doctor", "--", "no-such-program"]).expect(127);
    stage.sandbox.write("script", "#!/bin/sh\n");
    stage.sandbox.run(["doctor", "--", "./script"]).expect(126);
    stage.sandbox.run(["doctor"]).expect(2);
}

#[test]
fn missing_credentials_are_named() {
    let stage = CliSandbox::new();
    let script = "curl -s -x \"${HARPROXY_RUN_PROXY##*@}\" http://api.test/; true";
    let output = doctor(&stage, &["--auth", "me:s3cret-pass"], script).expect(1);
    let output = output.says("the one request that came got 407").says("http://USER:PASS@HOST:PORT");
    assert!(!output.stderr.contains("nothing came") && !output.stderr.contains("s3cret"), "{}", output.stderr);
}

#[test]
fn client_that_does_not_trust_the_ca_is_named() {
    let stage = CliSandbox::new();
    let foreign = crate::support::repo("certs/ca.pem").display().to_string();
    let output = doctor(&stage, &[], &format!("curl -s --cacert {foreign} https://api.test/; true")).expect(1);
    let output = output.says("! tls-refused").says("api.test").says("refused the certificate that harproxy made");
    output.says("in `record` and `replay`, exclude the host with `-g '!https://api.test/**'`");
}

#[cfg(target_os = "linux")]
mod past {
    use super::*;
    use crate::support::raw::RawOrigin;

    #[test]
    fn connection_past_the_proxy_is_named_with_program_and_hint() {
        let (stage, origin) = (CliSandbox::new(), RawOrigin::silent());
        let script = format!(
            "curl -sS https://api.test/api/text; curl -s -m 1 --noproxy '*' 'http://user:secret@{}/?token=secret'; true",
            origin.addr
        );
        let output = doctor(&stage, &[], &script).expect(1).says("https://api.test  1 request").says("! bypass");
        let output = output.says(&format!("curl connected to {} without the proxy", origin.addr)).says("--noproxy");
        assert!(!output.stderr.contains("secret"), "{}", output.stderr);
        assert!(
            output.stderr.lines().any(|line| line.starts_with("  ran: ") && line.contains("curl")),
            "{}",
            output.stderr
        );
        let told = diagnosis(&doctor(&stage, &["--json"], &script).expect(1));
        let connection = json!({"program": "curl", "address": origin.addr.to_string(), "protocol": "tcp"});
        assert_eq!((&told["well"], &told["past"]), (&json!(false), &json!([connection])));
    }

    #[test]
    fn raw_python_socket_is_reported_as_a_bypass() {
        let (stage, origin) = (CliSandbox::new(), RawOrigin::silent());
        let script = format!(
            "python3 -c \"\
             import socket\n\
             s = socket.create_connection(('127.0.0.1', {}))\n\
             s.settimeout(1)\n\
             s.sendall(b'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n')\n\
             try: s.recv(1)\n\
             except TimeoutError: pass\n\
             else: exit('the origin went first')\"",
            origin.addr.port()
        );
        let output = doctor(&stage, &[], &script).expect(1).says("nothing came through the proxy");
        let line = format!("connected to {} without the proxy", origin.addr);
        assert!(output.stderr.contains("python") && output.stderr.contains(&line), "{}", output.stderr);
        output.says("trust_env=True");
    }

    #[test]
    fn cleared_environment_is_named() {
        let (stage, origin) = (CliSandbox::new(), RawOrigin::silent());
        let script = format!("env -i PATH=\"$PATH\" curl -s -m 1 http://{}/; true", origin.addr);
        let output = doctor(&stage, &[], &script).expect(1).says("started without harproxy's variables: curl");
        output.says("`curl` was started without HTTP_PROXY and HTTPS_PROXY");
    }

    /// The addresses to which CMD is reported to connect past the proxy.
    fn past(stage: &CliSandbox, options: &[&str], script: &str) -> Value {
        let told = diagnosis(&doctor(stage, &[&["--json"], options].concat(), script).expect(1));
        told["past"].as_array().unwrap().iter().map(|past| past["address"].clone()).collect()
    }

    /// A second connection of the same duration is reported each time. It proves that processes were observed.
    #[test]
    fn allowed_bypasses_and_ports_of_cmd_are_not_findings() {
        let (stage, [origin, other]) = (CliSandbox::new(), [(); 2].map(|()| RawOrigin::silent()));
        let both =
            format!("curl -s -m 1 --noproxy '*' --parallel http://{}/ http://{}/; true", origin.addr, other.addr);
        let accused = json!([other.addr.to_string()]);
        assert_eq!(past(&stage, &["--bypass", &origin.addr.to_string()], &both), accused);
        let server = format!(
            "import socket\n\
             s = socket.create_server(('127.0.0.1', 0))\n\
             c = socket.create_connection(s.getsockname())\n\
             o = socket.create_connection(('127.0.0.1', {}))\n\
             o.settimeout(1)\n\
             o.recv(1)",
            other.addr.port()
        );
        assert_eq!(past(&stage, &[], &format!("python3 -c \"{server}\" 2>/dev/null; true")), accused);
        let ask =
            format!("curl -sS https://api.test/api/text; curl -s -m 1 --noproxy '*' http://{}/; true", origin.addr);
        doctor(&stage, &["--bypass", &origin.addr.to_string()], &ask).expect(0).says("✓ doctor");
    }
}
