//! The crypto provider of rustls (ring). Every configuration names it, so that a second provider in the dependency
//! graph is never picked.

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));

/// The provider for `builder_with_provider`.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    PROVIDER.clone()
}

/// Returns random bytes for secrets. `None` if the system has none.
#[must_use]
pub fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    PROVIDER.secure_random.fill(&mut bytes).ok().map(|()| bytes)
}
