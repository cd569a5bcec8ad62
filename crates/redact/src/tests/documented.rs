//! docs/reference/redaction.md lists the built-in table completely.

use super::*;
use crate::find::shapes;
use crate::names::table::{CLASSES, FLAGS, PUBLIC, SUFFIXES};

const REFERENCE: &str = include_str!("../../../../docs/reference/redaction.md");

/// Returns the words in backticks in the last column of a table's rows.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, rest) = REFERENCE.split_once(heading).unwrap();
    let rows = rest.split("\n\n").next().unwrap().lines().skip(1);
    rows.map(|row| row.rsplit('|').nth(1).unwrap().split('`').skip(1).step_by(2).collect()).collect()
}

#[test]
fn reference_lists_all_names_of_the_table() {
    let names = |list: &'static str| list.split_ascii_whitespace().map(|name| name.trim_start_matches('='));
    let classes: Vec<Vec<&str>> = CLASSES.iter().map(|row| names(row.names).collect()).collect();
    assert_eq!(rows("| secret | places | names |\n"), classes);
    let public: Vec<Vec<&str>> = PUBLIC.iter().map(|row| names(row.before).collect()).collect();
    assert_eq!(rows("| before | words that make it public |\n"), public);
    for list in [SUFFIXES, FLAGS] {
        let words: Vec<String> = names(list).map(|word| format!("`{word}`")).collect();
        assert!(REFERENCE.contains(&words.join(", ")), "{words:?}");
    }
}

#[test]
fn reference_lists_all_shapes() {
    let (_, rest) = REFERENCE.split_once("| shape | |\n").unwrap();
    let rows = rest.split("\n\n").next().unwrap().lines().skip(1);
    let first = rows.filter_map(|row| row.split('|').nth(1));
    let mut listed: Vec<&str> = first.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    listed.extend(["email", "iban", "card", "phone"]);
    let mut names = shapes::names();
    listed.sort_unstable();
    names.sort_unstable();
    names.dedup();
    assert_eq!(listed, names);
    for name in ["email", "iban", "card", "phone"] {
        assert!(REFERENCE.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn configuration_of_the_reference_is_valid() {
    let policy = rules(|rules| {
        rules.headers = list(&["x-internal-token"]);
        rules.query = list(&["sig2"]);
        rules.json = list(&["$.card.number", "$..ssn"]);
        rules.text = list(&["acme_[0-9A-Za-z]+"]);
        rules.except = list(&["state", "header:x-csrf-token", "cookie:theme", "shape:jwt", "shape:aws", "form:key"]);
        rules.personal = true;
    });
    assert_eq!(header(&policy, "x-csrf-token", "abcd"), "abcd");
    assert!(REFERENCE.contains("`+73 322 8330001`"));
    assert_eq!(payload(&policy, "text/plain", "+49 170 1234567"), "+73 322 8330001");
}
