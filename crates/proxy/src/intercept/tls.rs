//! TLS towards the client.

use std::io;

use rustls::AlertDescription;
use rustls::server::Acceptor;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use crate::serve::idle::CLOSED_AFTER_HANDSHAKE;
use crate::stream::ByteStream;
use crate::upstream::H2;
use harproxy_tls::authority::{Alpn, Authority};

/// A ClientHello that is not answered yet.
pub(super) struct ClientHello {
    start: StartHandshake<ByteStream>,
    /// The name that the client wants a certificate for (SNI), in lower case.
    pub(super) server_name: Option<String>,
    /// The protocols that the client offers.
    pub(super) alpn: Vec<Vec<u8>>,
}

impl ClientHello {
    /// Reads the ClientHello. Returns `None` if there is none: the client has not seen a certificate, so no event is
    /// due.
    pub(super) async fn read(stream: ByteStream, deadline: Instant) -> Option<ClientHello> {
        let start = match timeout_at(deadline, LazyConfigAcceptor::new(Acceptor::default(), stream)).await {
            Ok(Ok(start)) => start,
            Ok(Err(error)) => {
                tracing::debug!("invalid ClientHello: {error}");
                return None;
            }
            Err(_) => return None,
        };
        let hello = start.client_hello();
        let server_name = hello.server_name().map(str::to_ascii_lowercase);
        let alpn = hello.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect();
        Some(ClientHello { start, server_name, alpn })
    }

    /// Completes the handshake with a certificate for `host`. Returns the stream, and true if ALPN selected HTTP/2. The
    /// error is the reason as rustls reports it.
    pub(super) async fn answer(
        self,
        authority: &Authority,
        host: &str,
        alpn: Alpn,
        deadline: Instant,
    ) -> Result<(ByteStream, bool), String> {
        let config = authority.server_config(host, alpn).map_err(|error| error.to_string())?;
        match timeout_at(deadline, self.start.into_stream(config)).await {
            Ok(Ok(stream)) => {
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
                Ok((ByteStream::new(stream), is_http2))
            }
            Ok(Err(error)) => Err(reason(&error)),
            Err(_) => Err("the client did not finish the handshake in time".to_owned()),
        }
    }
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
