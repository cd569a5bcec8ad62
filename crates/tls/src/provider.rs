//! The one TLS provider (ring). Every rustls config names it, so that a second provider in the graph can never be picked.

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, SupportedCipherSuite};

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = rustls::crypto::ring::default_provider();
    if prefers_aes_128() {
        // Stable: the rest stays in its order.
        provider.cipher_suites.sort_by_key(|suite| !is_aes_128(suite));
    }
    Arc::new(provider)
});

/// The provider to give to `builder_with_provider`.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    PROVIDER.clone()
}

/// Whether AES-128 goes before what else there is, whatever a client would rather have: where the processor knows AES it costs least, a
/// tenth less than AES-256. It is the suite that every implementation of TLS 1.3 has (RFC 8446 section 9.1), and what
/// browsers offer first.
#[must_use]
pub fn prefers_aes_128() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let knows_aes = std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    let knows_aes = std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    let knows_aes = false;
    knows_aes
}

fn is_aes_128(suite: &SupportedCipherSuite) -> bool {
    matches!(
        suite.suite(),
        CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}
