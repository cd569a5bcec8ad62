//! What is known of each failure of a command: message, hint and exit status.

mod hints;
mod usage;
mod words;

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::event::Event;
use super::ui::{self, Ui};
use super::{cmd, config, logging, plan, prune};
use crate::child::SpawnError;
use crate::child::files::FilesError;
use crate::upkeep::pack;
use crate::verdict::{CheckId, Finding, Severity, exit};
use crate::{learn, record, replay};
use harproxy_proxy::server::BindError;
use harproxy_proxy::upstream::{OwnProxy, PlanError};
use harproxy_tls::authority::AuthorityError;
use harproxy_tls::bundle::BundleError;

pub use usage::tell_usage;
use words::causes;
pub use words::{own_proxy, told, warned, warning};

/// Why a command could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The command line is wrong beyond the form of its values.
    #[error(transparent)]
    Plan(#[from] plan::Error),
    /// `HARPROXY_LOG` is wrong.
    #[error(transparent)]
    Filter(#[from] logging::FilterError),
    /// The certificate authority can't be used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The options of the way upstream can't be carried out.
    #[error(transparent)]
    Upstream(#[from] PlanError),
    /// The upstream proxy would be ourselves.
    #[error(transparent)]
    OwnProxy(#[from] OwnProxy),
    /// The recording can't start or can't be finished.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// The replay can't start.
    #[error(transparent)]
    Replay(#[from] replay::Error),
    /// A fixture can't be read, or not be written.
    #[error(transparent)]
    Fixture(#[from] harproxy_har::Error),
    /// A fixture can't be pruned.
    #[error(transparent)]
    Prune(#[from] prune::Error),
    /// A fixture can't be packed or unpacked.
    #[error(transparent)]
    Pack(pack::Error),
    /// The ports can't be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A file for others to read can't be written.
    #[error("writing {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Standard input can't be read.
    #[error("reading standard input")]
    Input(#[source] io::Error),
    /// Standard output can't be written.
    #[error("writing to standard output")]
    Output(#[source] io::Error),
    /// The operating system does not give what every run needs.
    #[error("{doing}")]
    System {
        /// What was being done: "starting the runtime".
        doing: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// CMD can't be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// What CMD is to trust can't be put together.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The files that CMD's environment points at can't be written.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A second signal: what was left to do is left.
    #[error("ended at once, as a second signal asked for")]
    Cut {
        /// The exit status.
        status: u8,
        /// The fixture into which something was recorded that is not in it yet.
        left: Option<PathBuf>,
    },
    /// The requests to explain can't be read.
    #[error(transparent)]
    Explain(#[from] cmd::explain::requests::Error),
    /// Fixtures can't be merged.
    #[error(transparent)]
    Merge(#[from] cmd::merge::Error),
    /// Reports can't be combined.
    #[error(transparent)]
    Report(#[from] cmd::report::Error),
    /// The repository can't be set up.
    #[error(transparent)]
    GitSetup(#[from] cmd::git_setup::Error),
    /// What was learned can't be put into the configuration.
    #[error("adding what was learned to {}", path.display())]
    Learn {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: learn::WriteError,
    },
    /// The demo went wrong.
    #[error(transparent)]
    Demo(#[from] cmd::demo::Error),
}

impl From<pack::Error> for Failure {
    fn from(error: pack::Error) -> Self {
        match error {
            pack::Error::Fixture(error) => error.into(),
            error => Failure::Pack(error),
        }
    }
}

impl Failure {
    /// A second signal, when nothing is known of a recording.
    #[must_use]
    pub fn cut(status: u8) -> Self {
        Failure::Cut { status, left: None }
    }

    /// The exit status.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Failure::Config(_)
            | Failure::Plan(_)
            | Failure::Filter(_)
            | Failure::Upstream(_)
            | Failure::OwnProxy(_)
            | Failure::Replay(_)
            | Failure::Merge(_)
            | Failure::GitSetup(_)
            | Failure::Report(_)
            | Failure::Explain(_) => exit::USAGE,
            Failure::Bind(BindError::Reverse { .. }) => exit::USAGE,
            Failure::Pack(_) => exit::USAGE,
            Failure::Fixture(error) if !error.is_about_writing() => exit::USAGE,
            Failure::Record(
                record::Error::Plan(_)
                | record::Error::IsFolder { .. }
                | record::Error::Foreign { .. }
                | record::Error::Changed { .. }
                | record::Error::NothingLeft { .. }
                | record::Error::Fixture(
                    harproxy_har::Error::Malformed { .. }
                    | harproxy_har::Error::Entry { .. }
                    | harproxy_har::Error::Conflict { .. },
                ),
            ) => exit::USAGE,
            Failure::Spawn(error) => error.exit_code(),
            Failure::Cut { status, .. } => *status,
            _ => exit::BROKEN,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        hints::of(self)
    }

    /// What it is to a verdict: what was recorded did not become a fixture.
    #[must_use]
    pub fn finding(&self) -> Finding {
        let because: String = causes(self).iter().map(|cause| format!("\nbecause {cause}")).collect();
        let finding = Finding::new(CheckId::LOST, Severity::Error, format!("{self}{because}"));
        Finding { hint: Some(self.hint()), ..finding }
    }

    /// Tells it.
    pub fn tell(&self, ui: &Ui) {
        let because = causes(self);
        let mut text = format!("{}: {self}\n", ui::bad("error"));
        for cause in &because {
            let _ = writeln!(text, "  because {cause}");
        }
        let hint = self.hint();
        let _ = write!(text, "\n{}: {hint}", ui::help("hint"));
        let members = Map::from_iter([
            ("error".to_owned(), Value::from(self.to_string())),
            ("because".to_owned(), because.into()),
            ("hint".to_owned(), hint.into()),
            ("status".to_owned(), self.status().into()),
        ]);
        ui.say(Event::Error, &text, members);
    }
}

#[cfg(test)]
mod tests;
