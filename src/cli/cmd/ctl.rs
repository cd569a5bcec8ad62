//! `harproxy ctl`: uses the admin API of a running `harproxy serve`.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

use ::http::Method;
use serde_json::{Map, Value, json};
use url::form_urlencoded::Serializer;

use crate::admin::access::AdminToken;
use crate::admin::client::{AdminClient, CallError};
use crate::admin::server::running;
use crate::cli::advice::Failure;
use crate::cli::args::ctl::{CtlArgs, CtlCommand};
use crate::cli::plan;
use crate::cli::ui::{self, Ui};
use crate::cli::usage_error::UsageError;
use crate::verdict::exit;
use harproxy_support::printable::{Shown as _, one_line};

/// Runs the command.
pub async fn run(args: CtlArgs, ui: &Ui) -> Result<u8, Failure> {
    let folder = plan::ca_dir(&args.authority)?.join("admin");
    let client = find(args.admin, &folder).await?;
    let (method, target, payload) = call(&args.command);
    let answer = client.call(method, &target, payload.as_ref()).await?;
    let text = match args.json {
        true if answer.is_null() => String::new(),
        true => format!("{answer:#}\n"),
        false => shown(&args.command, &answer),
    };
    match args.json {
        true => ui.json(&text),
        false => ui.data(&text),
    }
    .map_err(Failure::Output)?;
    let is_met = !matches!(args.command, CtlCommand::Verify { .. }) || answer["met"] == true;
    Ok(if is_met { exit::SUCCESS } else { exit::FAILED })
}

/// Finds the server by its token file. Files of killed servers are removed.
async fn find(admin: Option<SocketAddr>, folder: &Path) -> Result<AdminClient, Failure> {
    let mut found = Vec::new();
    for (addr, file) in running(folder) {
        if admin.is_some_and(|admin| admin != addr) {
            continue;
        }
        let Ok(token) = std::fs::read_to_string(&file) else { continue };
        let client = AdminClient { addr, token: AdminToken::read(&token) };
        match client.call(Method::GET, "/health", None).await {
            Err(CallError::Connect { source, .. }) if source.kind() == ErrorKind::ConnectionRefused => {
                _ = std::fs::remove_file(&file);
            }
            Err(CallError::Refused { status: 401, .. }) => _ = std::fs::remove_file(&file),
            Ok(health) if health["status"] == "ok" => found.push(client),
            // Another program has the port, or the server does not answer.
            answer => tracing::debug!(?answer, "no server at {addr}"),
        }
    }
    if found.len() > 1 {
        let addresses = found.iter().map(|client| client.addr.to_string()).collect::<Vec<_>>().join(", ");
        let hint = "name one with `--admin ADDR:PORT`";
        return Err(UsageError::new(format!("several servers run: {addresses}"), hint).into());
    }
    found.pop().ok_or_else(|| {
        let message = match admin {
            Some(addr) => format!("no `harproxy serve` of this user has its admin API at {addr}"),
            None => "no `harproxy serve` of this user runs with an admin API".to_owned(),
        };
        UsageError::new(
            message,
            "start one with `harproxy serve`, without `--no-admin`; with `--ca-dir DIR`, pass the same option here",
        )
        .into()
    })
}

/// Returns the request of a command.
fn call(command: &CtlCommand) -> (Method, String, Option<Value>) {
    let segment =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    match command {
        CtlCommand::Requests { clear: true, .. } => (Method::DELETE, "/requests".to_owned(), None),
        CtlCommand::Requests { pattern, outcome, rule, after, .. } => {
            let mut query = Serializer::new(String::new());
            // The last ones, unless the user goes on from a number.
            query.append_pair("limit", "1000").append_pair("newest", if after.is_none() { "true" } else { "false" });
            let after = after.map(|after| after.to_string());
            for (name, value) in [("match", pattern), ("outcome", outcome), ("rule", rule), ("after", &after)] {
                query.extend_pairs(value.iter().map(|value| (name, value)));
            }
            (Method::GET, format!("/requests?{}", query.finish()), None)
        }
        CtlCommand::Explain { request } => (Method::GET, format!("/requests/{request}/explain"), None),
        CtlCommand::Routes => (Method::GET, "/routes".to_owned(), None),
        CtlCommand::Route { rule, source, fallback_on, delay, fault } => {
            let mut change = Map::new();
            let list = |text: &String| text.split(',').map(|item| Value::from(item.trim())).collect::<Value>();
            let unless = |none: &str, text: &String, value: Value| if text == none { Value::Null } else { value };
            change.extend(source.iter().map(|text| ("source".to_owned(), unless("default", text, list(text)))));
            change
                .extend(fallback_on.iter().map(|text| ("fallback-on".to_owned(), unless("default", text, list(text)))));
            change.extend(delay.iter().map(|text| ("delay".to_owned(), unless("none", text, text.as_str().into()))));
            change.extend(fault.iter().map(|text| ("fault".to_owned(), unless("none", text, fault_json(text)))));
            (Method::PUT, format!("/routes/{}", segment(rule)), Some(change.into()))
        }
        CtlCommand::Verify { expectations } => {
            (Method::POST, "/verify".to_owned(), (!expectations.is_empty()).then(|| json!({ "expect": expectations })))
        }
        CtlCommand::Reset { sequence, state, counts, session } => {
            let mut payload = json!({ "sequence": sequence, "state": state, "counts": counts });
            if let Some(session) = session {
                payload["session"] = session.as_str().into();
            }
            (Method::POST, "/reset".to_owned(), Some(payload))
        }
    }
}

/// Returns a fault as the configuration has it: `status=503` is its kind with its setting.
fn fault_json(text: &str) -> Value {
    match text.split_once('=') {
        Some(("status", status)) => {
            let status = status.parse::<u16>().map_or_else(|_| Value::from(status), Value::from);
            json!({ "kind": "status", "status": status })
        }
        Some((kind, rate)) => json!({ "kind": kind, "rate": rate }),
        None => text.into(),
    }
}

/// Formats the answer of a command.
fn shown(command: &CtlCommand, answer: &Value) -> String {
    let list = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| match value {
        Value::String(text) => one_line(text).into_owned(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    match command {
        CtlCommand::Requests { clear: true, .. } => "the history is empty\n".to_owned(),
        CtlCommand::Requests { .. } => {
            let mut lines = String::new();
            for row in list("requests") {
                let [id, status, outcome, source] = ["id", "status", "outcome", "source"].map(|name| text(&row[name]));
                let request = format!("{} {}", text(&row["method"]), text(&row["url"]));
                let rules = row["rules"].as_array().map(|rules| rules.iter().map(text).collect::<Vec<_>>().join(", "));
                let rules = rules.map(|rules| format!("  rules: {rules}")).unwrap_or_default();
                let failed: Vec<String> = row["fallback"].as_array().into_iter().flatten().map(text).collect();
                let failed =
                    if failed.is_empty() { failed.join("") } else { format!("  after: {}", failed.join(", ")) };
                // Writing to a string never fails.
                let _ = writeln!(lines, "#{id:<5} {status:>3} {outcome:<12} {source:<15} {request}{failed}{rules}");
            }
            if let Some(next) = answer["next"].as_u64() {
                let _ = writeln!(lines, "more: `harproxy ctl requests --after {next}`");
            }
            lines
        }
        CtlCommand::Explain { .. } => explanation(answer, text),
        CtlCommand::Routes => list("routes").iter().map(|rule| rule_line(rule, text)).collect(),
        CtlCommand::Route { .. } => rule_line(answer, text),
        CtlCommand::Verify { .. } => {
            let results = list("expectations");
            let line = |result: &Value| match result["difference"].as_str() {
                Some(difference) => {
                    format!("{} {}\n", ui::bad("✗"), difference.shown().to_string().replace('\n', "\n  "))
                }
                None => format!("{} `{}` {}\n", ui::good("✓"), text(&result["match"]), text(&result["times"])),
            };
            let note = match answer["complete"] == false {
                true => "the history lacks earlier requests or payloads, so that the result is not certain\n",
                false => "",
            };
            results.iter().map(line).chain([note.to_owned()]).collect()
        }
        CtlCommand::Reset { .. } => "reset\n".to_owned(),
    }
}

/// Formats a request and its rules, and the answer that the fixtures have for it now.
fn explanation(explained: &Value, text: impl Fn(&Value) -> String) -> String {
    let (request, answer) = (&explained["request"], &explained["answer"]);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let place = |value: &Value| format!("{}#{}", text(&value["fixture"]), text(&value["entry"]));
    let [status, outcome, source, method, url] =
        ["status", "outcome", "source", "method", "url"].map(|name| text(&request[name]));
    // Writing to a string never fails.
    let mut lines = format!("{method} {url}\n  {outcome}, {status}, from {source}\n");
    for failed in list(&request["fallback"]) {
        let _ = writeln!(lines, "  no answer: {}", text(&failed));
    }
    for rule in list(&answer["rules"]) {
        let reason = match &rule["failing"] {
            Value::Null if rule["sometimes"] == true => "applies to some of these requests".to_owned(),
            Value::Null => "applies".to_owned(),
            failing => format!("does not apply: `{}`", text(failing)),
        };
        let _ = writeln!(lines, "  rule {}: {reason}", text(&rule["rule"]));
    }
    let _ = match answer["entry"].is_null() {
        true => writeln!(lines, "  in the fixtures: {}", text(&answer["action"])),
        false => writeln!(lines, "  in the fixtures: {}, {}", place(answer), text(&answer["status"])),
    };
    for near in list(&answer["near"]) {
        let difference = |it: &Value| {
            let [kind, name, sent, recorded] = ["what", "name", "request", "recorded"].map(|name| text(&it[name]));
            let name = if name.is_empty() { name } else { format!(" {name}") };
            format!("{kind}{name} is {sent}, recorded {recorded}")
        };
        let differences = list(&near["differences"]).iter().map(difference).collect::<Vec<_>>().join("; ");
        let _ = writeln!(lines, "  near {}: {differences}", place(&near));
    }
    if let Some(remedy) = answer["remedy"].as_str().filter(|_| outcome == "miss") {
        let _ = writeln!(lines, "  {}: {}", ui::help("remedy"), remedy.shown());
    }
    lines
}

/// Formats a rule on one line.
fn rule_line(rule: &Value, text: impl Fn(&Value) -> String) -> String {
    let mut line = format!("{}  {}", ui::strong(text(&rule["id"])), text(&rule["match"]));
    for name in ["source", "fallback-on", "split", "delay", "rate", "fault", "shadow"] {
        let value = &rule[name];
        if !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()) {
            let value = match value {
                Value::Array(list) => list.iter().map(&text).collect::<Vec<_>>().join(","),
                value => text(value),
            };
            // Writing to a string never fails.
            let _ = write!(line, "  {name}={value}");
        }
    }
    let others = ["respond", "state", "patch", "template"];
    let options = rule["options"].as_array().cloned().unwrap_or_default();
    for option in options.iter().filter(|option| others.iter().any(|other| **option == *other)) {
        let _ = write!(line, "  {}", text(option));
    }
    format!("{line}  requests={}\n", text(&rule["requests"]))
}
