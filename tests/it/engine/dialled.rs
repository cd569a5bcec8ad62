//! CONNECT with a dialled upstream connection: the side that speaks first decides about the tunnel.

use std::io::{Read, Write};
use std::net::TcpListener;

use harproxy_proxy::ConnectionEvent;
use harproxy_proxy::upstream::{Timeouts, Upstream};

use super::stage::{EngineSettings, TestEngine};

fn with_upstream() -> EngineSettings {
    let upstream = Upstream::loopback(Timeouts::default());
    EngineSettings { upstream: Some(upstream), ..EngineSettings::default() }
}

#[test]
fn upstream_that_speaks_first_gets_a_tunnel() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 mail.test\r\n").unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        // The client has closed its half of the connection.
        stream.write_all(b"221 bye\r\n").unwrap();
        received
    });
    let stage = TestEngine::with(with_upstream());
    let mut raw = stage.tunnel(&format!("127.0.0.1:{port}"));
    assert_eq!(raw.exactly(15), b"220 mail.test\r\n");
    raw.send("EHLO me\r\n");
    raw.0.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(raw.rest(), b"221 bye\r\n");
    assert_eq!(server.join().unwrap(), b"EHLO me\r\n");
    match stage.next_event() {
        ConnectionEvent::TunnelClosed { to, sent, received, .. } => {
            assert_eq!((to.port, sent, received), (port, 9, 24))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn unknown_protocol_is_tunnelled_to_the_dialled_upstream() {
    for host in ["127.0.0.1", "tunnel.localhost"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut received = [0; 6];
            stream.read_exact(&mut received).unwrap();
            stream.write_all(b"+PONG\r\n").unwrap();
            received
        });
        let stage = TestEngine::with(with_upstream());
        let mut raw = stage.tunnel(&format!("{host}:{port}"));
        raw.send("PING\r\n");
        assert_eq!(raw.rest(), b"+PONG\r\n");
        assert_eq!(&server.join().unwrap(), b"PING\r\n");
        drop(raw);
        assert!(matches!(stage.next_event(), ConnectionEvent::TunnelClosed { sent: 6, received: 7, .. }));
    }
}

#[test]
fn connect_to_a_closed_port_is_intercepted() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stage = TestEngine::with(with_upstream());
    let mut raw = stage.tunnel(&unused.to_string());
    raw.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(raw.echo()["origin"], format!("http://{unused}"));
}
