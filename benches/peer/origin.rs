//! A bare hyper server: it answers the requests of the mix from a table, and does nothing else.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Uri};
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::options::Options;
use super::{mix, print_address, tls};

/// The responses of the server.
struct Responses {
    template: Bytes,
    /// Payloads by path and query. A path that is not in the table gets a payload of its own that is made for the
    /// request.
    table: HashMap<String, Bytes>,
    /// A piece of the payload of `/bytes/N`.
    chunk: Bytes,
}

impl Responses {
    fn new(options: &Options) -> Self {
        let template = mix::template(options.or("payload", 1024));
        let pair = |n| (mix::path(n), mix::response_payload(&template, &mix::path(n)));
        let table = (0..options.or("entries", 0)).map(pair).collect();
        Responses { table, chunk: mix::template(64 * 1024), template }
    }

    fn payload(&self, uri: &Uri) -> Either<Full<Bytes>, impl Body<Data = Bytes, Error = Infallible> + Send + use<>> {
        if let Some(length) = uri.path().strip_prefix("/bytes/").and_then(|n| n.parse::<usize>().ok()) {
            let chunk = self.chunk.clone();
            let frames = (0..length.div_ceil(chunk.len())).map(move |_| Ok(Frame::data(chunk.clone())));
            return Either::Right(StreamBody::new(futures_util::stream::iter(frames)));
        }
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        let payload = self.table.get(path).cloned();
        Either::Left(Full::new(payload.unwrap_or_else(|| mix::response_payload(&self.template, path))))
    }
}

/// Serves payloads of `--payload` bytes, those of the first `--entries` paths from a table. `/bytes/N` has about N
/// bytes in chunks. With `--tls`, the protocol is HTTP/1.1, HTTP/2 (`--mode h2`) or the client's choice (`--mode any`).
pub async fn serve(options: Options) {
    let acceptor = options.has("tls").then(|| TlsAcceptor::from(tls::server(&options)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let responses = Arc::new(Responses::new(&options));
    print_address(listener.local_addr().unwrap());
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        tcp.set_nodelay(true).unwrap();
        let (responses, acceptor) = (responses.clone(), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                None => serve_connection(tcp, responses).await,
                Some(acceptor) => {
                    if let Ok(tls) = acceptor.accept(tcp).await {
                        serve_connection(tls, responses).await;
                    }
                }
            }
        });
    }
}

async fn serve_connection(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, responses: Arc<Responses>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let responses = responses.clone();
        async move {
            let (head, body) = request.into_parts();
            body.collect().await?;
            let mut response = Response::new(responses.payload(&head.uri));
            for (name, value) in mix::HEADERS {
                response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            Ok::<_, hyper::Error>(response)
        }
    });
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(io), service).await;
}
