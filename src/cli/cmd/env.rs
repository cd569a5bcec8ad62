//! `harproxy env`: what `-- CMD` would set, to paste or to evaluate.

use crate::child::env::{self, Facts, Mode, ProxyAddress};
use crate::child::files::RunFiles;
use crate::cli::advice::Failure;
use crate::cli::args::EnvArgs;
use crate::cli::plan;
use crate::cli::run::bundle;
use crate::cli::ui::Ui;
use crate::tls::authority::Authority;
use crate::verdict::exit;

/// Runs the command. The files that the variables name stay in the authority's folder: nobody knows how long they are needed.
///
/// # Errors
/// [`Failure`].
pub fn run(args: &EnvArgs, ui: &Ui) -> Result<u8, Failure> {
    let authority = Authority::load_or_create(&plan::ca_dir(&args.authority)?)?;
    let folder = authority.dir().join("env");
    std::fs::create_dir_all(&folder).map_err(|source| Failure::Write { path: folder.clone(), source })?;
    let credentials = args.listen.auth.as_ref().map(|auth| (auth.user.clone(), auth.password.clone()));
    let facts = Facts {
        proxy: &ProxyAddress::local(plan::listen(&args.listen, false), credentials),
        ca: &authority.cert_path(),
        files: &RunFiles::write(&folder, &bundle(&authority, ui)?)?,
        bypass: &args.listen.bypass,
        // Nothing is known about a scope here.
        may_match: &|_| true,
        urls: &[],
        mode: Mode::Record,
        recorded_at: None,
    };
    let changes: Vec<_> =
        env::changes(&facts, &env::own()).into_iter().filter(|c| c.variable != "HARPROXY_RUN_MODE").collect();
    ui.data(&args.shell.render(&changes)).map_err(Failure::Output)?;
    Ok(exit::HELD)
}
