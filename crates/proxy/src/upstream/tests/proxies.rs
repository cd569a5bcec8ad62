use super::reuse::closed_port;
use super::*;

fn through(proxy: &str) -> Upstream {
    Upstream::anywhere(UpstreamPlan { proxy: UpstreamProxy::Url(proxy.to_owned()), ..plan() }).unwrap()
}

/// A proxy for CONNECT that connects every tunnel to `origin`.
async fn connect_proxy(origin: SocketAddr, answer: &'static str) -> (SocketAddr, Log) {
    let log = Log::default();
    let shared = log.clone();
    let addr = scripted(move |mut stream, _| {
        let log = shared.clone();
        async move {
            log.push(read_head(&mut stream).await.unwrap());
            stream.write_all(answer.as_bytes()).await.unwrap();
            if answer.starts_with("HTTP/1.1 2") {
                let mut origin = TcpStream::connect(origin).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut origin).await;
            }
        }
    })
    .await;
    (addr, log)
}

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\nVia: it\r\n\r\n";

#[tokio::test]
async fn https_uses_connect() {
    let origin = tls_origin("origin", &["h2", "http/1.1"]).await;
    let (proxy, log) = connect_proxy(origin, ESTABLISHED).await;
    let client = TestClient::new(through(&format!("http://us%40er:p:w@{proxy}")), at(Scheme::Https, "api.test", 443));
    let answer = client.send(client.request("GET", "/").body(empty()).unwrap()).await.unwrap();
    assert_eq!(answer.remote, None, "the address is the proxy's");
    let connect = answer.connect.unwrap();
    assert!(connect.dns.is_none() && connect.tcp.is_some() && connect.tls.is_some());
    assert_eq!(text(&ReadAnswer::read(answer).await), "0 api.test HTTP/1.1 GET /\nhost: api.test\n");
    assert_eq!(
        log.only(),
        "CONNECT api.test:443 HTTP/1.1\r\nhost: api.test:443\r\nproxy-authorization: Basic dXNAZXI6cDp3\r\n\r\n"
    );
    assert!(text(&client.another().get2("/").await.unwrap()).contains("HTTP/2.0"));
}

#[tokio::test]
async fn http_uses_absolute_form() {
    let (proxy, log) = canned(OK).await;
    let client = TestClient::new(through(&format!("http://user:pass@{proxy}")), at(Scheme::Http, "api.test", 8080));
    client
        .through(
            "GET http://api.test:8080/a?b HTTP/1.1\r\nHost: api.test:8080\r\nX-Y: z\r\n\
         Proxy-Authorization: Basic bWluZQ==\r\n\r\n",
        )
        .await;
    assert_eq!(
        log.only(),
        "GET http://api.test:8080/a?b HTTP/1.1\r\nHost: api.test:8080\r\nX-Y: z\r\n\
         Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n"
    );
    assert!(client.get("/").await.unwrap().reused);
}

#[tokio::test]
async fn upgrade_uses_connect() {
    let (origin, seen) = canned("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n").await;
    let (proxy, log) = connect_proxy(origin, ESTABLISHED).await;
    let client = TestClient::new(through(&format!("http://{proxy}")), at(Scheme::Http, "api.test", 80));
    client.through("GET / HTTP/1.1\r\nHost: api.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").await;
    assert_eq!(log.only(), "CONNECT api.test:80 HTTP/1.1\r\nhost: api.test:80\r\n\r\n");
    assert!(seen.only().starts_with("GET / HTTP/1.1\r\n"));
}

#[tokio::test]
async fn bytes_after_the_proxys_answer_are_not_lost() {
    let proxy = scripted(|mut stream, _| async move {
        read_head(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n220 mail.test\r\n").await.unwrap();
    })
    .await;
    let to = at(Scheme::Https, "mail.test", 25);
    let mut dialled = through(&format!("http://{proxy}")).dial(&to).await.unwrap();
    assert!(dialled.first_bytes().await.unwrap());
    let mut all = String::new();
    dialled.stream.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "220 mail.test\r\n");
}

#[tokio::test]
async fn failing_proxy_is_named_without_credentials() {
    let (refusing, _) =
        connect_proxy(([127, 0, 0, 1], 1).into(), "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    let closed = format!("127.0.0.1:{}", closed_port());
    for (proxy, reason) in [
        (refusing.to_string(), "it answered 407 Proxy Authentication Required"),
        (closed, "Connection refused"),
        ("no-such-proxy.invalid:1".to_owned(), "resolving no-such-proxy.invalid"),
    ] {
        let client =
            TestClient::new(through(&format!("http://user:secret@{proxy}")), at(Scheme::Https, "api.test", 443));
        let Err(SendError::Upstream(error)) = client.get("/").await else { panic!() };
        assert_eq!((error.kind(), error.status()), ("proxy", 502));
        assert_eq!(
            error.to_string(),
            format!("connecting to https://api.test through the upstream proxy http://{proxy}")
        );
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(reason), "{source}");
    }
}

#[tokio::test]
async fn https_proxy_is_verified() {
    let origin = tls_origin("origin", &["http/1.1"]).await;
    for (certificate, trusted) in [("origin", true), ("expired", false)] {
        let acceptor = acceptor(certificate, &[], false);
        let proxy = scripted(move |stream, _| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                read_head(&mut stream).await.unwrap();
                stream.write_all(ESTABLISHED.as_bytes()).await.unwrap();
                let mut origin = TcpStream::connect(origin).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut origin).await;
            }
        })
        .await;
        let client = TestClient::new(through(&format!("https://{proxy}")), at(Scheme::Https, "api.test", 443));
        let got = client.get("/").await;
        if trusted {
            got.unwrap();
        } else {
            assert_eq!(kind(got), "proxy");
        }
    }
}

#[tokio::test]
async fn socks5_sends_the_name_and_loses_no_bytes() {
    for (credentials, method) in [("", 0), ("user:pass@", 2)] {
        let log = Log::default();
        let shared = log.clone();
        let proxy = scripted(move |mut stream, _| {
            let log = shared.clone();
            async move { serve_socks(&mut stream, method, &log).await }
        })
        .await;
        let to = at(Scheme::Https, "mail.test", 25);
        let mut dialled = through(&format!("socks5://{credentials}{proxy}")).dial(&to).await.unwrap();
        assert!(dialled.first_bytes().await.unwrap());
        let mut all = String::new();
        dialled.stream.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "220 mail.test\r\n");
        assert_eq!(log.only(), if method == 2 { "user:pass mail.test:25" } else { "mail.test:25" });
    }
}

/// Serves one SOCKS5 handshake (RFC 1928, RFC 1929). The server's greeting follows in the same packet.
async fn serve_socks(stream: &mut TcpStream, method: u8, log: &Log) {
    let mut methods = vec![0; 2];
    stream.read_exact(&mut methods).await.unwrap();
    let mut offered = vec![0; methods[1].into()];
    stream.read_exact(&mut offered).await.unwrap();
    assert!(offered.contains(&method));
    stream.write_all(&[5, method]).await.unwrap();
    let mut entry = String::new();
    if method == 2 {
        assert_eq!(stream.read_u8().await.unwrap(), 1);
        let user = short_string(stream).await;
        entry = format!("{user}:{} ", short_string(stream).await);
        stream.write_all(&[1, 0]).await.unwrap();
    }
    let mut request = [0; 4];
    stream.read_exact(&mut request).await.unwrap();
    assert_eq!(request, [5, 1, 0, 3], "CONNECT to a name");
    let host = short_string(stream).await;
    log.push(format!("{entry}{host}:{}", stream.read_u16().await.unwrap()));
    stream.write_all(b"\x05\0\0\x01\x7f\0\0\x01\0\x50220 mail.test\r\n").await.unwrap();
}

async fn short_string(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; stream.read_u8().await.unwrap().into()];
    stream.read_exact(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn http_uses_socks5() {
    let (origin, seen) = canned(OK).await;
    let proxy = scripted(move |mut stream, _| async move {
        let mut hello = [0; 3];
        stream.read_exact(&mut hello).await.unwrap();
        stream.write_all(&[5, 0]).await.unwrap();
        let mut request = [0; 4];
        stream.read_exact(&mut request).await.unwrap();
        short_string(&mut stream).await;
        stream.read_u16().await.unwrap();
        stream.write_all(b"\x05\0\0\x01\0\0\0\0\0\0").await.unwrap();
        let mut origin = TcpStream::connect(origin).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut origin).await;
    })
    .await;
    let client = TestClient::new(through(&format!("socks5://{proxy}")), at(Scheme::Http, "api.test", 80));
    client.get("/").await.unwrap();
    assert_eq!(seen.only(), "GET / HTTP/1.1\r\nhost: api.test\r\n\r\n");
}

#[tokio::test]
async fn mapped_host_is_reached_without_the_proxy() {
    let (origin, _) = canned(OK).await;
    let proxy = UpstreamProxy::Url(format!("http://127.0.0.1:{}", closed_port()));
    let mapping = |host: &str, port, to_port| Mapping { host: host.into(), port, to_host: "localhost".into(), to_port };
    let map = vec![mapping("api.test", Some(81), Some(origin.port())), mapping("any.test", None, None)];
    let upstream = Arc::new(Upstream::anywhere(UpstreamPlan { proxy, map, ..plan() }).unwrap());
    let to = |host, port| TestClient::new(upstream.clone(), at(Scheme::Http, host, port));
    to("api.test", 81).get("/").await.unwrap();
    to("any.test", origin.port()).get("/").await.unwrap();
    assert_eq!(kind(to("api.test", 80).get("/").await), "proxy", "another port is not mapped");
}

#[test]
fn invalid_proxy_url_is_an_error() {
    for url in ["ftp://h:1", "socks4://h:1", "http://", "", "http://h:port", "h:3128"] {
        let plan = UpstreamPlan { proxy: UpstreamProxy::Url(url.into()), ..plan() };
        assert_eq!(Upstream::anywhere(plan).unwrap_err().what, "--upstream-proxy", "{url}");
    }
    for url in ["http://h", "https://u:p@h:1", "socks5://h", "socks5h://[::1]:1080"] {
        let plan = UpstreamPlan { proxy: UpstreamProxy::Url(url.into()), ..plan() };
        Upstream::anywhere(plan).unwrap();
    }
}
