//! `harproxy import` with real recordings of other tools.

mod bad_input;
mod corpus;
mod rules;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::sandbox::{Output, Sandbox};

const HAR: &str = "hars/imported.har";

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/import").join(name)
}

/// Imports with `--json`. Returns the object and the output.
fn import(sandbox: &Sandbox, args: &[&str], status: i32) -> (Value, Output) {
    let output = sandbox.run(["import", "--json"].iter().copied().chain(args.iter().copied())).expect(status);
    let object = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (object, output)
}

/// The lines and texts of what was lost.
fn lost(object: &Value) -> Vec<(u64, &str)> {
    let parts = object["lost"].as_array().unwrap().iter();
    parts.map(|part| (part["line"].as_u64().unwrap_or_default(), part["text"].as_str().unwrap())).collect()
}

fn entries(sandbox: &Sandbox) -> Vec<Value> {
    sandbox.har(HAR)["log"]["entries"].as_array().unwrap().clone()
}
