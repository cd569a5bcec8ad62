//! Suppressions in a JSON file: `{"suppressions":[{"path":…,"reason":…}]}`.

use std::path::Path;

use serde::Deserialize;

use crate::cli::advice::hints::io_hint;
use crate::cli::config::{parse_date, parse_issue};
use crate::cli::usage_error::UsageError;
use crate::drift::suppress::{PlacePattern, Suppression};
use harproxy_matching::RequestPattern;
use harproxy_support::printable::Shown as _;

const EXAMPLE: &str = r#"a file is one such as `{"suppressions":[{"path":"$.data[*].id","reason":"ids are random"}]}`"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SuppressionFile {
    suppressions: Vec<JsonSuppression>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonSuppression {
    path: Option<String>,
    #[serde(default)]
    issue: Issues,
    #[serde(rename = "match")]
    endpoint: Option<String>,
    #[serde(default)]
    reason: String,
    owner: Option<String>,
    expires: Option<String>,
}

/// One check, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Issues {
    One(String),
    Several(Vec<String>),
}

impl Default for Issues {
    fn default() -> Self {
        Issues::Several(Vec::new())
    }
}

/// Reads the suppressions of a file.
pub fn read(path: &Path) -> Result<Vec<Suppression>, UsageError> {
    let doing = || format!("reading the suppressions {}", path.shown());
    let text = std::fs::read(path).map_err(|source| UsageError::new(doing(), io_hint(&source)).because(source))?;
    let file: SuppressionFile =
        serde_json::from_slice(&text).map_err(|source| UsageError::new(doing(), EXAMPLE).because(source))?;
    let each = file.suppressions.into_iter().enumerate().map(|(number, json)| {
        let origin = format!("{}#{number}", path.display());
        suppression(json, &origin).map_err(|reason| UsageError::new(format!("{}: {reason}", origin.shown()), EXAMPLE))
    });
    each.collect()
}

fn suppression(json: JsonSuppression, origin: &str) -> Result<Suppression, String> {
    if json.reason.trim().is_empty() {
        return Err("a suppression needs a `reason`".to_owned());
    }
    let issues = match json.issue {
        Issues::One(issue) => vec![issue],
        Issues::Several(issues) => issues,
    };
    Ok(Suppression {
        place: json.path.as_deref().map(PlacePattern::parse).transpose()?,
        checks: issues.iter().map(|issue| parse_issue(issue)).collect::<Result<_, _>>()?,
        endpoints: json.endpoint.as_deref().map(RequestPattern::parse).transpose()?,
        reason: json.reason,
        owner: json.owner,
        expires: json.expires.as_deref().map(parse_date).transpose()?,
        origin: origin.to_owned(),
    })
}
