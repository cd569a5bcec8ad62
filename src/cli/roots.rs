//! The roots that clients are to trust beside the CA, gathered on a thread of its own while a run gets ready: there can be hundreds
//! of files.

use tokio::task::{JoinHandle, spawn_blocking};

use super::advice::{self, Failure};
use super::event::Event;
use super::ui::Ui;
use crate::child::env;
use harproxy_tls::authority::Authority;
use harproxy_tls::bundle::{Bundle, TrustedRoots};

/// Roots that are being gathered, or are there.
#[derive(Debug)]
pub enum Roots {
    /// On the thread.
    Gathering(JoinHandle<TrustedRoots>),
    /// For every bundle of the run.
    There(TrustedRoots),
}

impl Roots {
    /// Begins to gather those that the environment names, and the system's.
    #[must_use]
    pub fn gather() -> Self {
        Roots::Gathering(spawn_blocking(gathered))
    }

    /// A bundle of them and the CA. What the user named and can't be read is told the first time.
    ///
    /// # Errors
    /// When the CA is not usable.
    pub async fn bundle(&mut self, authority: &Authority, ui: &Ui) -> Result<Bundle, Failure> {
        match self {
            Roots::There(gathered) => Ok(gathered.with(authority.cert_pem())?),
            Roots::Gathering(thread) => {
                let doing = "gathering the roots that CMD is to trust";
                let gathered = thread.await.map_err(|panic| Failure::System { doing, source: panic.into() })?;
                warn(&gathered, ui);
                let bundle = gathered.with(authority.cert_pem())?;
                *self = Roots::There(gathered);
                Ok(bundle)
            }
        }
    }
}

/// The same at once, for who has nothing else to do.
///
/// # Errors
/// When the CA is not usable.
pub fn bundle(authority: &Authority, ui: &Ui) -> Result<Bundle, Failure> {
    let gathered = gathered();
    warn(&gathered, ui);
    Ok(gathered.with(authority.cert_pem())?)
}

fn gathered() -> TrustedRoots {
    TrustedRoots::from_env(&env::own())
}

fn warn(gathered: &TrustedRoots, ui: &Ui) {
    for warning in &gathered.warnings {
        ui.alert(Event::Warning, &advice::warning(warning));
    }
}
