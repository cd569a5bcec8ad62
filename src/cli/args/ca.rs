//! Options of `harproxy ca`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::common::AuthorityArgs;
use super::values::{Words, choices};
use crate::trust::StoreKind;

/// `harproxy ca`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "\
Examples:
  harproxy ca path
  harproxy ca show
  harproxy ca bundle > all-roots.pem
  harproxy ca trust
")]
pub struct CaArgs {
    #[command(flatten)]
    pub authority: AuthorityArgs,
    #[command(subcommand)]
    pub command: CaCommand,
}

/// The commands of `harproxy ca`.
#[derive(Debug, Subcommand)]
pub enum CaCommand {
    /// Print the path of the CA certificate (PEM), which is created at first use
    Path,
    /// Print subject, validity, fingerprint and SPKI pin
    Show,
    /// Print the system's roots and the CA as one PEM file
    Bundle {
        /// Write it here instead of to standard output
        #[arg(short, long, value_name = "FILE", id = "bundle_output")]
        output: Option<PathBuf>,
    },
    /// Print or run the commands that make this machine and its browsers trust the CA, for programs that `-- CMD` does
    /// not start
    Trust(TrustArgs),
    /// Create a new authority; certificates of the old one are no longer trusted
    New,
}

/// `harproxy ca trust`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  harproxy ca trust
  harproxy ca trust --json
  harproxy ca trust --install --store browsers
  harproxy ca trust --uninstall --store browsers
  harproxy ca trust --install
  harproxy ca trust --uninstall
")]
pub struct TrustArgs {
    /// Run the missing commands that apply here, without asking
    #[arg(long, conflicts_with = "uninstall")]
    pub install: bool,
    /// Run the commands that reverse it
    #[arg(long)]
    pub uninstall: bool,
    /// Only these stores; several with commas or by repeating it [default: all]
    #[arg(long, value_name = "STORE", value_delimiter = ',', value_parser = choices(STORES))]
    pub store: Vec<StoreChoice>,
    /// Print a JSON object per store
    #[arg(long)]
    pub json: bool,
}

/// A word of `--store`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreChoice {
    /// The trust store of the operating system.
    System,
    /// The certificate databases of Chromium and Firefox.
    Browsers,
    /// The trust store of the Java runtime.
    Java,
}

impl StoreChoice {
    /// Returns true if the choice includes stores of this kind.
    #[must_use]
    pub fn includes(self, kind: StoreKind) -> bool {
        match self {
            StoreChoice::System => kind == StoreKind::System,
            StoreChoice::Browsers => matches!(kind, StoreKind::Chromium | StoreKind::Firefox),
            StoreChoice::Java => kind == StoreKind::Java,
        }
    }
}

const STORES: Words<StoreChoice> = &[
    ("system", "the store of the system, which most programs use", StoreChoice::System),
    ("browsers", "the databases of Chromium and Firefox", StoreChoice::Browsers),
    ("java", "the Java runtime's", StoreChoice::Java),
];
