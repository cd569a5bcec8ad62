//! `harproxy ca`: shows, creates and installs the certificate authority.

mod trust;

use time::format_description::well_known::Rfc3339;

use crate::cli::advice::Failure;
use crate::cli::args::ca::{CaArgs, CaCommand};
use crate::cli::roots::load_bundle;
use crate::cli::ui::Ui;
use crate::cli::{files, plan};
use crate::verdict::exit;
use harproxy_tls::authority::Authority;

pub fn run(args: &CaArgs, ui: &Ui) -> Result<u8, Failure> {
    let dir = plan::ca_dir(&args.authority)?;
    let authority = match args.command {
        CaCommand::New => Authority::create_new(&dir)?,
        _ => Authority::load_or_create(&dir)?,
    };
    let text = match &args.command {
        CaCommand::Path => format!("{}\n", authority.cert_path().display()),
        CaCommand::Show | CaCommand::New => show(&authority),
        CaCommand::Trust(args) => return trust::run(args, &authority, ui),
        CaCommand::Bundle { output: None } => load_bundle(&authority, ui)?.pem(),
        CaCommand::Bundle { output: Some(path) } => {
            files::write(path, load_bundle(&authority, ui)?.pem().as_bytes())?;
            return Ok(exit::SUCCESS);
        }
    };
    ui.data(&text).map_err(Failure::Output)?;
    Ok(exit::SUCCESS)
}

/// Formats the properties of the CA, one per line.
fn show(authority: &Authority) -> String {
    let rows = [
        ("file", authority.cert_path().display().to_string()),
        ("subject", authority.subject().to_owned()),
        ("expires", authority.expires().format(&Rfc3339).unwrap_or_default()),
        ("sha-256", authority.fingerprint().to_owned()),
        ("spki pin", authority.spki_pin().to_owned()),
    ];
    rows.iter().map(|(name, value)| format!("{name:<9} {value}\n")).collect()
}
