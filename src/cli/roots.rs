//! Loads the roots that clients trust beside the CA, and prints warnings about unreadable ones.

use super::advice::{self, Failure};
use super::event::Event;
use super::ui::Ui;
use crate::child::env;
use harproxy_tls::authority::Authority;
use harproxy_tls::bundle::{Bundle, TrustedRoots};

/// Loads the roots that the environment names, and those of the system.
#[must_use]
pub fn load(ui: &Ui) -> TrustedRoots {
    let roots = TrustedRoots::from_env(&env::own());
    for warning in &roots.warnings {
        ui.warn(Event::Warning, &advice::one_line(warning));
    }
    roots
}

pub fn load_bundle(authority: &Authority, ui: &Ui) -> Result<Bundle, Failure> {
    Ok(load(ui).with(authority.cert_pem())?)
}
