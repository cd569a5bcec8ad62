//! A bare hyper server: it answers every request with the same bytes, or with those that it has for its URL, and does nothing else.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::Uri;
use http_body_util::{Either, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::options::Options;
use super::{listening, payload, tls};

/// What it answers with.
struct Answers {
    any: Bytes,
    /// Each URL has its own, made when it is asked for.
    own: bool,
    /// By path and query, those that were made beforehand; where there are some, nothing else is asked for.
    table: HashMap<String, Bytes>,
    chunk: Bytes,
}

impl Answers {
    fn new(options: &Options) -> Self {
        let any = payload::json(options.or("payload", 1024));
        let own = |n| (payload::path(n), payload::of(&any, &payload::path(n)));
        let table = (0..options.or("answers", 0)).map(own).collect();
        Answers { table, own: options.has("own"), chunk: payload::json(64 * 1024), any }
    }

    fn to(&self, asked: &Uri) -> Either<Full<Bytes>, impl Body<Data = Bytes, Error = Infallible> + Send + use<>> {
        let long = asked.path().strip_prefix("/bytes/").and_then(|n| n.parse::<usize>().ok());
        let url = || asked.path_and_query().map_or("", |asked| asked.as_str());
        match long {
            None if self.own => Either::Left(Full::new(payload::of(&self.any, url()))),
            None if self.table.is_empty() => Either::Left(Full::new(self.any.clone())),
            None => Either::Left(Full::new(self.table[url()].clone())),
            Some(n) => {
                let chunk = self.chunk.clone();
                let chunks = (0..n.div_ceil(chunk.len())).map(move |_| Ok::<_, Infallible>(Frame::data(chunk.clone())));
                Either::Right(StreamBody::new(futures_util::stream::iter(chunks)))
            }
        }
    }
}

/// Serves `--payload` bytes on every path, with `--own` of its own, with `--answers` of that many paths alone their own, or as many as
/// `/bytes/N` asks for.
pub async fn serve(options: Options) {
    let acceptor = options.has("tls").then(|| TlsAcceptor::from(tls::server(&options)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let answers = Arc::new(Answers::new(&options));
    listening(listener.local_addr().unwrap());
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        tcp.set_nodelay(true).unwrap();
        let (answers, acceptor) = (answers.clone(), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                None => answer(tcp, answers).await,
                Some(acceptor) => {
                    if let Ok(tls) = acceptor.accept(tcp).await {
                        answer(tls, answers).await;
                    }
                }
            }
        });
    }
}

async fn answer(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, answers: Arc<Answers>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut response = Response::new(answers.to(request.uri()));
        let headers = response.headers_mut();
        headers.insert("content-type", http::HeaderValue::from_static("application/json"));
        headers.insert("cache-control", http::HeaderValue::from_static("no-store"));
        headers.insert("etag", http::HeaderValue::from_static("\"5f38532fff643c08\""));
        async move { Ok::<_, Infallible>(response) }
    });
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(io), service).await;
}
