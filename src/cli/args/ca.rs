//! The options of `harproxy ca`.

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
    /// Where the authority lives.
    #[command(flatten)]
    pub authority: AuthorityArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: CaCommand,
}

/// The commands of `harproxy ca`.
#[derive(Debug, Subcommand)]
pub enum CaCommand {
    /// Print the path of the CA certificate (PEM), which is made at first use
    Path,
    /// Print subject, validity, fingerprint and SPKI pin
    Show,
    /// Print the system's roots and the CA as one PEM file
    Bundle {
        /// Write it here instead of to standard output
        #[arg(short, long, value_name = "FILE", id = "bundle_output")]
        output: Option<PathBuf>,
    },
    /// Print what makes this machine and its browsers trust the CA, or do it: for programs that `-- CMD` does not start
    Trust(TrustArgs),
    /// Make a new authority; certificates of the old one are no longer trusted
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
    /// Run the commands, those that apply here and are not done yet; asks nothing
    #[arg(long, conflicts_with = "uninstall")]
    pub install: bool,
    /// Run the commands that undo it
    #[arg(long)]
    pub uninstall: bool,
    /// Only these stores; several with commas or by repeating it [default: all]
    #[arg(long, value_name = "STORE", value_delimiter = ',', value_parser = choices(STORES))]
    pub store: Vec<StoreChoice>,
    /// A line of JSON for each store
    #[arg(long)]
    pub json: bool,
}

/// A word of `--store`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreChoice {
    /// The system's.
    System,
    /// Those of Chromium and Firefox.
    Browsers,
    /// Java's.
    Java,
}

impl StoreChoice {
    /// Whether such a store is meant.
    #[must_use]
    pub fn takes(self, kind: StoreKind) -> bool {
        match self {
            StoreChoice::System => kind == StoreKind::System,
            StoreChoice::Browsers => matches!(kind, StoreKind::Chromium | StoreKind::Firefox),
            StoreChoice::Java => kind == StoreKind::Java,
        }
    }
}

const STORES: Words<StoreChoice> = &[
    ("system", "the system's own, which most programs take", StoreChoice::System),
    ("browsers", "the databases of Chromium and Firefox", StoreChoice::Browsers),
    ("java", "the Java runtime's", StoreChoice::Java),
];
