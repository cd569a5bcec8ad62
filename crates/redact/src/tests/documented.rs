//! docs/reference/redaction.md lists the built-in table completely.

use super::*;
use crate::find::shapes;
use crate::policy::{HEADERS, ONLY_MEMBERS, ONLY_PARAMETERS, PARAMETERS};

const REFERENCE: &str = include_str!("../../../../docs/reference/redaction.md");

/// Returns the words in backticks between two texts of the reference.
fn listed(from: &str, to: &str) -> Vec<&'static str> {
    let (_, rest) = REFERENCE.split_once(from).unwrap();
    let (list, _) = rest.split_once(to).unwrap();
    list.split('`').skip(1).step_by(2).collect()
}

#[test]
fn reference_lists_all_names_of_the_table() {
    assert_eq!(listed("| headers | ", " |\n"), HEADERS);
    assert_eq!(listed("| parameters of queries, forms and multipart fields | ", " |\n"), PARAMETERS);
    assert_eq!(listed("| of these parameters, not secret as JSON members | ", " |\n"), ONLY_PARAMETERS);
    assert_eq!(listed("| JSON members, in addition to the parameters | ", " |\n"), ONLY_MEMBERS);
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
