//! TLS towards the client: what it asks for, and the certificate it gets.

use std::io;
use std::sync::Arc;

use rustls::server::Acceptor;
use rustls::{AlertDescription, ServerConfig};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::idle::CLOSED_AFTER_HANDSHAKE;
use super::wire::Wire;

/// A ClientHello, not answered yet.
pub(super) struct Hello {
    start: StartHandshake<Wire>,
    /// The name that the client wants a certificate for (SNI), in lower case.
    pub(super) name: Option<String>,
    /// The protocols it offers.
    pub(super) alpn: Vec<Vec<u8>>,
}

impl Hello {
    /// Reads it. `None` when none comes: nobody has seen our certificate, so that there is nothing to tell.
    pub(super) async fn read(wire: Wire, deadline: Instant) -> Option<Hello> {
        let start = match timeout_at(deadline, LazyConfigAcceptor::new(Acceptor::default(), wire)).await {
            Ok(Ok(start)) => start,
            Ok(Err(error)) => {
                tracing::debug!("no usable ClientHello: {error}");
                return None;
            }
            Err(_) => return None,
        };
        let hello = start.client_hello();
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let alpn = hello.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect();
        Some(Hello { start, name, alpn })
    }

    /// Answers it. The error says in rustls' words why there is no connection.
    pub(super) async fn answer(self, config: Arc<ServerConfig>, deadline: Instant) -> Result<TlsStream<Wire>, String> {
        match timeout_at(deadline, self.start.into_stream(config)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(reason(&error)),
            Err(_) => Err("the client did not finish the handshake in time".to_owned()),
        }
    }
}

/// Whether ALPN settled on HTTP/2.
pub(super) fn is_http2(stream: &TlsStream<Wire>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

fn reason(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) if is_distrust(*alert) => {
            format!("received fatal alert: {alert:?} (the client does not trust the CA)")
        }
        Some(error) => error.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => CLOSED_AFTER_HANDSHAKE.to_owned(),
        None => error.to_string(),
    }
}

fn is_distrust(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::UnknownCA | AlertDescription::BadCertificate | AlertDescription::CertificateUnknown
    )
}
