//! `drift accept`: adds suppressions of current findings to the text of `harproxy.toml`.

use time::Date;
use toml_edit::{Array, ArrayOfTables, Datetime, DocumentMut, Item, Table, value};

use super::checks::short_name;
use super::endpoint::EndpointKey;
use super::finding::{DriftFinding, DriftPlace};
use super::report::DriftReport;
use harproxy_glob::escaped;

/// The properties that all new suppressions have.
#[derive(Clone, Debug)]
pub struct Acceptance {
    pub reason: String,
    pub owner: Option<String>,
    pub expires: Option<Date>,
}

#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    #[error("it is not valid TOML")]
    Syntax(#[from] toml_edit::TomlError),
    #[error("`{0}` in it is not a section or a list of sections")]
    Other(&'static str),
}

/// Returns the file's text with a suppression for each finding that fails the run, and their number.
///
/// # Errors
/// [`AcceptError`]
pub fn add_to(text: &str, report: &DriftReport, acceptance: &Acceptance) -> Result<(String, usize), AcceptError> {
    let mut document: DocumentMut = text.parse()?;
    let accepted: Vec<(&EndpointKey, &DriftFinding)> = report
        .endpoints
        .iter()
        .flat_map(|endpoint| endpoint.open().map(move |finding| (&endpoint.key, finding)))
        .filter(|(_, finding)| report.fails(finding) && !finding.is_about_the_run())
        .collect();
    if accepted.is_empty() {
        return Ok((text.to_owned(), 0));
    }
    let drift = document.entry("drift").or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    let drift = drift.as_table_mut().ok_or(AcceptError::Other("drift"))?;
    let list = drift.entry("suppress").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let list = list.as_array_of_tables_mut().ok_or(AcceptError::Other("drift.suppress"))?;
    for (key, finding) in &accepted {
        list.push(suppression(key, finding, acceptance));
    }
    Ok((document.to_string(), accepted.len()))
}

fn suppression(key: &EndpointKey, finding: &DriftFinding, acceptance: &Acceptance) -> Table {
    let mut table = Table::new();
    let place = match &finding.place {
        DriftPlace::Payload(path) => Some(path.to_wildcard_path()),
        DriftPlace::Answer => None,
        place => Some(place.to_string()),
    };
    if let Some(place) = place {
        table["path"] = value(place);
    }
    table["issue"] = value(Array::from_iter([short_name(&finding.check)]));
    table["match"] = value(pattern(key));
    table["reason"] = value(&acceptance.reason);
    if let Some(owner) = &acceptance.owner {
        table["owner"] = value(owner);
    }
    if let Some(expires) = acceptance.expires.and_then(|date| date.to_string().parse::<Datetime>().ok()) {
        table["expires"] = value(expires);
    }
    table
}

/// Returns the method and a glob for the template of an endpoint.
fn pattern(key: &EndpointKey) -> String {
    let segments = key.path.split('/').map(|segment| match segment.starts_with('{') && segment.ends_with('}') {
        true => "*".to_owned(),
        false => escaped(segment),
    });
    let path = segments.collect::<Vec<_>>().join("/");
    let parameters: Vec<String> = key.parameters.iter().map(|name| escaped(name)).collect();
    let separator = if parameters.is_empty() { "" } else { "?" };
    format!("{} {}{path}{separator}{}", key.method, key.origin, parameters.join("&"))
}
