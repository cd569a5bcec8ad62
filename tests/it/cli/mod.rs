//! The command line as a contract: exit statuses, streams, what is printed, and what others read.

mod commands;
mod config;
mod demo;
mod explain;
pub mod help;
mod manual;
mod recover;
mod slips;
mod status;
mod streams;
mod trust_stores;

use crate::support::origin::Origin;
use crate::support::sandbox::Sandbox;

/// A sandbox whose harproxy reaches `api.test` at an origin, whatever the command line says.
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

/// A client as CMD: it trusts what its environment says and nothing else.
pub const CURL: &[&str] = &["curl", "-sS", "https://api.test/api/json"];
