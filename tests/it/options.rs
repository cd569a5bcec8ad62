//! Options for upstream connections and for access to the proxy, with the real binary.

use crate::support::client::{Client, Proto, TestRequest};
use crate::support::origin::Origin;
use crate::support::repo;
use crate::support::sandbox::{Sandbox, Server};

const URL: &str = "https://api.test/api/json";

fn record(sandbox: &Sandbox, args: impl IntoIterator<Item = String>) -> Server {
    let begin = ["record", "-o", "hars/api.har"].map(String::from);
    sandbox.start(begin.into_iter().chain(args))
}

#[test]
fn client_certificate_is_sent_to_its_host() {
    let origin = Origin::for_known_clients();
    let sandbox = Sandbox::new();
    let without = record(&sandbox, origin.args());
    let reported = without.client(Proto::H1).get(URL);
    assert_eq!((reported.status, &reported.json()["kind"]), (502, &"tls".into()), "{}", reported.text());
    assert!(reported.text().contains("--client-cert api.test=FILE"), "{}", reported.text());
    without.stop().expect(1).says("--client-cert api.test=FILE");

    let pair = repo("certs/client-pair.pem").display().to_string();
    let sandbox = Sandbox::new();
    let with = record(&sandbox, origin.args().into_iter().chain(["--client-cert".into(), format!("api.test={pair}")]));
    assert_eq!(with.client(Proto::H1).get(URL).status, 200);
    with.stop().expect(0);

    let sandbox = Sandbox::new();
    let other =
        record(&sandbox, origin.args().into_iter().chain(["--client-cert".into(), format!("other.test={pair}")]));
    assert_eq!(other.client(Proto::H1).get(URL).status, 502);
    other.stop();
}

#[test]
fn upstream_proxy_is_used_for_every_request() {
    let origin = Origin::start();
    let (far, near) = (Sandbox::new(), Sandbox::new());
    let upstream = record(&far, origin.args());
    let ca = far.write("upstream-ca.pem", upstream.ca());
    let args =
        ["--upstream-proxy", &format!("http://{}", upstream.proxy()), "--upstream-ca", &ca.display().to_string()]
            .map(String::from);
    let recorder = record(&near, args);
    for url in [URL, "http://api.test/api/text"] {
        assert_eq!(recorder.client(Proto::H1).get(url).status, 200, "{url}");
    }
    recorder.stop().expect(0);
    upstream.stop().expect(0);
    for sandbox in [far, near] {
        assert_eq!(sandbox.har("hars/api.har")["log"]["entries"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn harproxy_does_not_use_itself_as_upstream_proxy() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (listen, own) = (free.to_string(), format!("http://localhost:{}", free.port()));
    let sandbox = Sandbox::new();
    sandbox.write("api.har", r#"{"log":{"version":"1.2","creator":{"name":"a","version":"1"},"entries":[]}}"#);
    let run = |args: &[&str], variable: Option<&str>| {
        let mut command = sandbox.command(args.iter().copied().chain(["--listen", &listen, "--", "true"]));
        command.envs(variable.map(|name| (name, own.as_str())));
        command
            .output()
            .map(|output| (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
            .unwrap()
    };
    for args in [&["record", "-o", "new.har"][..], &["replay", "api.har", "--on-miss", "passthrough"], &["doctor"]] {
        let (status, said) = run(&[args, &["--upstream-proxy", &own]].concat(), None);
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains("harproxy itself listens") && said.contains("--upstream-proxy none"), "{said}");
        for variable in ["HTTP_PROXY", "https_proxy", "ALL_PROXY"] {
            let (status, said) = run(args, Some(variable));
            assert!(said.contains(&format!("{own}, is this harproxy itself")), "{variable} {status:?} {said}");
        }
        let (_, said) = run(args, None);
        assert!(!said.contains("itself"), "{said}");
    }
}

#[test]
fn auth_is_required_and_a_plus_separates_the_session() {
    let origin = Origin::start();
    let sandbox = Sandbox::new();
    let auth = ["--auth", "ada:secret"].map(String::from);
    let recorder = record(&sandbox, origin.args().into_iter().chain(auth.clone()));
    for (user, status) in [(None, 407), (Some("ada:wrong"), 407), (Some("eve:secret"), 407), (Some("ada:secret"), 200)]
    {
        let client = Client { user: user.map(str::to_owned), ..recorder.client(Proto::H1) };
        assert_eq!(client.get("http://api.test/api/json").status, status, "{user:?}");
    }
    let stranger = recorder.client(Proto::H1).try_send(TestRequest::new("GET", URL)).unwrap_err().to_string();
    assert!(stranger.contains("407") && stranger.to_lowercase().contains("proxy-authenticate: basic"), "{stranger}");
    let known = Client { user: Some("ada:secret".into()), ..recorder.client(Proto::H1) };
    for page in ["1", "2"] {
        known.get(&format!("https://api.test/api/poll?{page}"));
    }
    recorder.stop().expect(0);
    assert!(!sandbox.read("hars/api.har").contains("secret"), "the fixture does not contain the password of the proxy");

    let fixture = sandbox.read("hars/api.har").replace("poll?2", "poll?1");
    sandbox.write("hars/api.har", fixture);
    let replay = sandbox.start(["replay".to_owned(), "hars/api.har".to_owned()].into_iter().chain(auth));
    for session in ["one", "two"] {
        let worker = Client { user: Some(format!("ada+{session}:secret")), ..replay.client(Proto::H1) };
        let turns: Vec<_> = (0..2).map(|_| worker.get("https://api.test/api/poll?1").text()).collect();
        assert!(turns[0].contains("poll?1") && turns[1].contains("poll?2"), "{session}: {turns:?}");
    }
    replay.stop().expect(0);
}
