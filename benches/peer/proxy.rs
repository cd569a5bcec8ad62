//! A bare intercepting proxy: CONNECT, TLS to the client and to the origin. It forwards requests and records nothing.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::mix::HOST;
use super::options::Options;
use super::{print_address, tls};

type Body = BoxBody<Bytes, hyper::Error>;

struct Interceptor {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    origin: SocketAddr,
}

/// Serves CONNECT requests. Every target is `--origin`.
pub async fn serve(options: Options) {
    let interceptor = Arc::new(Interceptor {
        acceptor: tls::server(&options).into(),
        connector: Arc::new(tls::client(&options, false)).into(),
        origin: options.get("origin"),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    print_address(listener.local_addr().unwrap());
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        tcp.set_nodelay(true).unwrap();
        let interceptor = interceptor.clone();
        tokio::spawn(async move {
            let service = service_fn(move |mut request: Request<Incoming>| {
                let (upgrade, interceptor) = (hyper::upgrade::on(&mut request), interceptor.clone());
                tokio::spawn(async move {
                    if let Ok(io) = upgrade.await {
                        intercept(TokioIo::new(io), &interceptor).await;
                    }
                });
                async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(tcp), service)
                .with_upgrades()
                .await;
        });
    }
}

async fn intercept(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, interceptor: &Interceptor) {
    let Ok(client) = interceptor.acceptor.accept(io).await else { return };
    let Ok(tcp) = TcpStream::connect(interceptor.origin).await else { return };
    tcp.set_nodelay(true).unwrap();
    let Ok(upstream) = interceptor.connector.connect(ServerName::try_from(HOST).unwrap(), tcp).await else { return };
    let Ok((sender, connection)) = hyper::client::conn::http1::handshake(TokioIo::new(upstream)).await else { return };
    tokio::spawn(connection);
    let sender = Arc::new(Mutex::new(sender));
    let service = service_fn(move |request| forward(sender.clone(), request));
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(client), service).await;
}

async fn forward(
    sender: Arc<Mutex<SendRequest<Incoming>>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, hyper::Error> {
    let mut sender = sender.lock().await;
    sender.ready().await?;
    Ok(sender.send_request(request).await?.map(BodyExt::boxed))
}
