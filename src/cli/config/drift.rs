//! `[drift]`: options of `harproxy drift`, and tables for credentials, the login, suppressions and notifications.

use std::path::Path;

use ::http::HeaderName;
use toml::de::DeValue;

use super::document::{ConfigFile, Error, Table, TomlItem, Value};
use super::options;
use super::{DRIFT, Values};
use crate::cli::args::values::parse_header_name;
use crate::drift::checks;
use crate::drift::login::{HeaderPlan, LoginPlan, ValueSource};
use crate::drift::notify::{NotifyKind, NotifyTarget};
use crate::drift::suppress::{PlacePattern, Suppression};
use clap::Command;
use harproxy_http::NormalUrl;
use harproxy_json::JsonPath;
use harproxy_matching::RequestPattern;
use time::Date;
use time::macros::format_description;

/// The tables and lists of `[drift]` that are not options of the command.
pub(super) const OTHERS: [&str; 5] = ["headers", "login", "suppress", "notify", "allow-unsafe"];
const SUPPRESS: [&str; 6] = ["path", "issue", "match", "reason", "owner", "expires"];
const LOGIN: [&str; 2] = ["send", "capture"];

/// The parts of `[drift]` that are not options of the command.
#[derive(Clone, Debug, Default)]
pub struct DriftConfig {
    /// `headers`: the credentials.
    pub headers: Vec<HeaderPlan>,
    pub login: Option<LoginPlan>,
    pub suppressions: Vec<Suppression>,
    pub notify: Vec<NotifyTarget>,
    /// `allow-unsafe`: requests that are sent although their method can change data.
    pub allow_unsafe: Vec<RequestPattern>,
}

impl DriftConfig {
    /// Reads the section of a file. Returns the values of the options.
    pub(super) fn read<'t>(
        &mut self,
        document: &ConfigFile<'t>,
        table: Table<'t>,
        grammar: &Command,
    ) -> Result<Values, Error> {
        let (mut own, mut options) = (Vec::new(), Table::new());
        let spans = table;
        for (name, value) in spans {
            match OTHERS.contains(&name.get_ref().as_ref()) {
                true => own.push((name.span(), name.into_inner().into_owned(), value)),
                false => drop(options.insert(name, value)),
            }
        }
        for (_, name, value) in own {
            match name.as_str() {
                "headers" => self.read_headers(document, document.table("drift.headers", value)?, None)?,
                "login" => self.login = Some(login(document, document.table("drift.login", value)?)?),
                "notify" => self.notify = notify(document, document.table("drift.notify", value)?)?,
                "allow-unsafe" => self.allow_unsafe = document.each(&name, &value, RequestPattern::parse)?,
                _ => self.suppressions.extend(suppressions(document, value)?),
            }
        }
        options::section(document, options, DRIFT, grammar)
    }

    /// Reads headers, and tables of headers for an origin.
    fn read_headers<'t>(
        &mut self,
        document: &ConfigFile<'t>,
        table: Table<'t>,
        origin: Option<&str>,
    ) -> Result<(), Error> {
        for TomlItem { name, at, value } in document.items(table) {
            if origin.is_none() && matches!(value.get_ref(), DeValue::Table(_)) {
                let url = NormalUrl::parse(&name).map_err(|error| document.wrong(&name, &at, error.to_string()))?;
                let origin = url.parts().site().into_owned();
                self.read_headers(document, document.table("drift.headers", value)?, Some(&origin))?;
                continue;
            }
            let header = parse_header_name(&name).map_err(|reason| document.wrong(&name, &at, reason))?;
            // The name was checked.
            let Ok(header) = HeaderName::try_from(header) else { continue };
            let plan =
                HeaderPlan { origin: origin.map(str::to_owned), name: header, value: source(document, &name, &value)? };
            self.headers.retain(|before| (&before.origin, &before.name) != (&plan.origin, &plan.name));
            self.headers.push(plan);
        }
        Ok(())
    }
}

fn source(document: &ConfigFile<'_>, name: &str, value: &Value<'_>) -> Result<ValueSource, Error> {
    let text = document.text(name, value)?;
    ValueSource::parse(&text).map_err(|reason| document.wrong(name, &value.span(), reason))
}

fn login<'t>(document: &ConfigFile<'t>, table: Table<'t>) -> Result<LoginPlan, Error> {
    let mut plan = LoginPlan::default();
    for TomlItem { name, at, value } in document.items(table) {
        match name.as_str() {
            "send" => plan.send = document.each(&name, &value, RequestPattern::parse)?,
            "capture" => {
                for TomlItem { name, value, .. } in document.items(document.table("drift.login.capture", value)?) {
                    let path = JsonPath::parse(&document.text(&name, &value)?);
                    let path = path.map_err(|error| document.wrong(&name, &value.span(), error.to_string()))?;
                    plan.capture.push((name, path));
                }
            }
            _ => return Err(document.unknown("option of [drift.login]", &name, at, LOGIN, None)),
        }
    }
    Ok(plan)
}

fn notify<'t>(document: &ConfigFile<'t>, table: Table<'t>) -> Result<Vec<NotifyTarget>, Error> {
    let kinds = [("slack", NotifyKind::Slack), ("discord", NotifyKind::Discord), ("webhook", NotifyKind::Webhook)];
    let mut targets = Vec::new();
    for TomlItem { name, at, value } in document.items(table) {
        let Some((_, kind)) = kinds.iter().find(|(known, _)| *known == name) else {
            return Err(document.unknown("option of [drift.notify]", &name, at, kinds.map(|(name, _)| name), None));
        };
        let target = NotifyTarget::parse(*kind, &document.text(&name, &value)?);
        targets.push(target.map_err(|reason| document.wrong(&name, &value.span(), reason))?);
    }
    Ok(targets)
}

fn suppressions<'t>(document: &ConfigFile<'t>, value: Value<'t>) -> Result<Vec<Suppression>, Error> {
    let span = value.span();
    let DeValue::Array(tables) = value.into_inner() else {
        return Err(document.wrong("suppress", &span, "expected a list, each under `[[drift.suppress]]`"));
    };
    let one = |value: Value<'t>| {
        let at = value.span();
        suppression(document, document.table("[drift.suppress]", value)?, at)
    };
    tables.into_iter().map(one).collect()
}

fn suppression<'t>(
    document: &ConfigFile<'t>,
    table: Table<'t>,
    span: std::ops::Range<usize>,
) -> Result<Suppression, Error> {
    let position = document.at(&span);
    let file = Path::new(&*position.file).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (mut place, mut issues, mut endpoints) = (None, Vec::new(), None);
    let (mut reason, mut owner, mut expires) = (None, None, None);
    for TomlItem { name, at, value } in document.items(table) {
        let wrong = |reason: String| document.wrong(&name, &value.span(), reason);
        match name.as_str() {
            "path" => place = Some(PlacePattern::parse(&document.text(&name, &value)?).map_err(wrong)?),
            "issue" => issues = document.each(&name, &value, parse_issue)?,
            "match" => endpoints = Some(RequestPattern::parse(&document.text(&name, &value)?).map_err(wrong)?),
            "reason" => reason = Some(document.text(&name, &value)?).filter(|reason| !reason.trim().is_empty()),
            "owner" => owner = Some(document.text(&name, &value)?),
            "expires" => expires = Some(date(&value).ok_or_else(|| wrong(DATE_EXPECTED.to_owned()))?),
            _ => return Err(document.unknown("option of [[drift.suppress]]", &name, at, SUPPRESS, None)),
        }
    }
    let Some(reason) = reason else {
        return Err(document.wrong("suppress", &span, "a suppression needs a `reason`"));
    };
    Ok(Suppression {
        place,
        checks: issues,
        endpoints,
        reason,
        owner,
        expires,
        origin: format!("{file}:{}", position.line),
    })
}

/// Parses the name of a check with `-` or `_`, with `drift/` or without it.
pub fn parse_issue(name: &str) -> Result<crate::verdict::CheckId, String> {
    checks::parse(name).ok_or_else(|| {
        let known: Vec<_> = checks::CHECKS.iter().map(|check| checks::short_name(&check.id)).collect();
        format!("unknown check `{name}`; known are {}", known.join(", "))
    })
}

const DATE_EXPECTED: &str = "expected a date, such as `2027-03-31`";

fn date(value: &Value<'_>) -> Option<Date> {
    match value.get_ref() {
        DeValue::Datetime(date) => parse_date(&date.date?.to_string()).ok(),
        DeValue::String(text) => parse_date(text).ok(),
        _ => None,
    }
}

/// Parses `2027-03-31`.
pub fn parse_date(text: &str) -> Result<Date, &'static str> {
    Date::parse(text.trim(), format_description!("[year]-[month]-[day]")).map_err(|_| DATE_EXPECTED)
}
