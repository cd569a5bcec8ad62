//! The contract of the command line: exit statuses, streams, output and files.

mod commands;
mod config;
mod demo;
mod explain;
mod file_options;
pub mod help;
mod manual;
mod mistakes;
mod recover;
pub mod status;
mod streams;
mod trust_stores;

use crate::support::origin::Origin;
use crate::support::sandbox::Sandbox;

/// A sandbox with an origin for `api.test`.
pub struct CliSandbox {
    pub sandbox: Sandbox,
    pub origin: Origin,
}

impl CliSandbox {
    pub fn new() -> Self {
        CliSandbox { sandbox: Sandbox::new(), origin: Origin::start() }
    }

    /// The options that lead to the origin, then CMD.
    pub fn args(&self, command: &str, options: &[&str], cmd: &[&str]) -> Vec<String> {
        let mut args = vec![command.to_owned()];
        args.extend(options.iter().map(ToString::to_string));
        if command == "record" {
            args.extend(self.origin.args());
        }
        if !cmd.is_empty() {
            args.push("--".into());
            args.extend(cmd.iter().map(ToString::to_string));
        }
        args
    }

    pub fn record(&self, options: &[&str], cmd: &[&str]) -> crate::support::sandbox::Output {
        self.sandbox.run(self.args("record", options, cmd))
    }

    pub fn replay(&self, options: &[&str], cmd: &[&str]) -> crate::support::sandbox::Output {
        self.sandbox.run(self.args("replay", options, cmd))
    }
}

/// A client as CMD, configured by its environment only.
pub const CURL: &[&str] = &["curl", "-sS", "https://api.test/api/json"];
