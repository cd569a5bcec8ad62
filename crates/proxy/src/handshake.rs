//! TLS handshakes that clients end.

use std::io;

use rustls::AlertDescription;

/// The end of a TLS handshake by the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeRefusal {
    /// The alert or error, as rustls reports it.
    pub reason: String,
    /// True if the client sent an alert that it does not trust the certificate.
    pub is_distrust: bool,
}

impl HandshakeRefusal {
    /// Describes an error of the client's TLS connection.
    pub(crate) fn from_error(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::AlertReceived(alert)) if is_distrust(*alert) => {
                let reason = format!("received fatal alert: {alert:?} (the client does not trust the CA)");
                HandshakeRefusal { reason, is_distrust: true }
            }
            Some(error) => HandshakeRefusal { reason: error.to_string(), is_distrust: false },
            None if error.kind() == io::ErrorKind::UnexpectedEof => HandshakeRefusal::closed(),
            None => HandshakeRefusal { reason: error.to_string(), is_distrust: false },
        }
    }

    /// The client closed the connection without an alert.
    pub(crate) fn closed() -> Self {
        let reason = "the client closed the connection when it had seen the certificate".to_owned();
        HandshakeRefusal { reason, is_distrust: false }
    }
}

fn is_distrust(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::UnknownCA | AlertDescription::BadCertificate | AlertDescription::CertificateUnknown
    )
}
