//! A bare hyper server: it answers every request with the same bytes, and does nothing else.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::options::Options;
use super::{listening, payload, tls};

/// Serves `--payload` bytes on every path, with `--own` of its own, or as many as `/bytes/N` asks for.
pub async fn serve(options: Options) {
    let acceptor = options.has("tls").then(|| TlsAcceptor::from(tls::server(&options)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listening(listener.local_addr().unwrap());
    let bytes = payload::json(options.or("payload", 1024));
    let chunk = payload::json(64 * 1024);
    let own = options.has("own");
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        tcp.set_nodelay(true).unwrap();
        let (bytes, chunk, acceptor) = (bytes.clone(), chunk.clone(), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                None => answer(tcp, bytes, chunk, own).await,
                Some(acceptor) => {
                    if let Ok(tls) = acceptor.accept(tcp).await {
                        answer(tls, bytes, chunk, own).await;
                    }
                }
            }
        });
    }
}

async fn answer(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, bytes: Bytes, chunk: Bytes, own: bool) {
    let service = service_fn(move |request: Request<Incoming>| {
        let long = request.uri().path().strip_prefix("/bytes/").and_then(|n| n.parse::<usize>().ok());
        let body = match long {
            None if own => Either::Left(Full::new(payload::of(&bytes, request.uri()))),
            None => Either::Left(Full::new(bytes.clone())),
            Some(n) => {
                let chunk = chunk.clone();
                let chunks = (0..n.div_ceil(chunk.len())).map(move |_| Ok::<_, Infallible>(Frame::data(chunk.clone())));
                Either::Right(StreamBody::new(futures_util::stream::iter(chunks)))
            }
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert("content-type", http::HeaderValue::from_static("application/json"));
        headers.insert("cache-control", http::HeaderValue::from_static("no-store"));
        headers.insert("etag", http::HeaderValue::from_static("\"5f38532fff643c08\""));
        async move { Ok::<_, Infallible>(response) }
    });
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(io), service).await;
}
