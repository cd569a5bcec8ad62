//! Formats an entry as text for the terminal and for diffs.

use std::fmt::Write as _;

use crate::cli::ui::{self, harmless};
use crate::fixtures::show::{ShownEntry, ShownMessage, ShownPayload};
use harproxy_har::{Entry, Fixture};

/// Formats an entry, followed by an empty line. With `place`, the output includes its position, time and addresses.
pub fn of(shown: &ShownEntry, place: Option<(&Fixture, usize)>) -> String {
    let mut out = String::new();
    if let Some((fixture, entry)) = place {
        let line = fixture.heads().get(entry).map_or_else(String::new, |head| format!(" (line {})", head.line));
        let _ = writeln!(out, "{}", ui::faint(format!("{}#{entry}{line}", fixture.path().display())));
    }
    message(&shown.request, ui::strong, &mut out);
    let paint = match shown.entry.response.status {
        100..400 => ui::good,
        400.. => ui::bad,
        _ => ui::caution,
    };
    message(&shown.response, paint, &mut out);
    if place.is_some() {
        let _ = writeln!(out, "{}\n", ui::faint(harmless(&recorded(&shown.entry))));
    }
    out
}

fn message(message: &ShownMessage, paint: fn(String) -> String, out: &mut String) {
    let _ = writeln!(out, "{}", paint(one_line(&message.start)));
    fields(&message.headers, out);
    out.push('\n');
    if let Some(about) = &message.about {
        let _ = writeln!(out, "{}", ui::faint(format!("[{}]", one_line(about))));
    }
    shape(&message.payload, out);
    if message.about.is_some() || message.payload != ShownPayload::Nothing {
        out.push('\n');
    }
    if !message.trailers.is_empty() {
        fields(&message.trailers, out);
        out.push('\n');
    }
}

fn fields(fields: &[(String, String)], out: &mut String) {
    for (name, value) in fields {
        let _ = writeln!(out, "{}: {}", ui::help(one_line(name)), one_line(value));
    }
}

fn shape(payload: &ShownPayload, out: &mut String) {
    match payload {
        ShownPayload::Nothing => {}
        ShownPayload::Json(json) => json.lines().for_each(|line| {
            let _ = writeln!(out, "{}", member(&harmless(line)));
        }),
        ShownPayload::Form(pairs) => {
            let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
            for (name, value) in pairs {
                let _ = writeln!(out, "{} = {}", ui::help(format!("{:width$}", one_line(name))), one_line(value));
            }
        }
        ShownPayload::Parts(parts) => {
            for (head, content) in parts {
                let _ = writeln!(out, "{}", ui::help(harmless(head)));
                shape(content, out);
            }
        }
        ShownPayload::Text(text) => {
            let _ = writeln!(out, "{}", harmless(text).trim_end_matches('\n'));
        }
        ShownPayload::Bytes { first, len, sha256 } => {
            let hex: Vec<String> = first.iter().map(|byte| format!("{byte:02x}")).collect();
            let more = if *len > first.len() { " …" } else { "" };
            let _ = writeln!(out, "{}{more}\nsha256 {sha256}", hex.join(" "));
        }
    }
}

/// Formats a line of JSON with the member name in color.
fn member(line: &str) -> String {
    let bare = line.trim_start();
    let end = bare.strip_prefix('"').and_then(|rest| {
        let mut escaped = false;
        let quote = rest.find(|c| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        quote.map(|quote| quote + 2).filter(|end| bare[*end..].starts_with(": "))
    });
    match end {
        Some(end) => format!("{}{}{}", &line[..line.len() - bare.len()], ui::help(&bare[..end]), &bare[end..]),
        None => line.to_owned(),
    }
}

fn one_line(text: &str) -> String {
    harmless(text).replace('\n', "\\n").replace('\t', " ")
}

/// Formats the time, the timings and the server of an entry.
fn recorded(entry: &Entry) -> String {
    let timings = entry.timings;
    let phases = [
        ("blocked", timings.blocked),
        ("dns", timings.dns),
        ("connect", timings.connect),
        ("tls", timings.ssl),
        ("send", timings.send),
        ("wait", timings.wait),
        ("receive", timings.receive),
    ];
    let phases = phases.iter().filter_map(|(name, ms)| Some(format!("{name} {}", (*ms)?)));
    let phases: Vec<String> = phases.filter(|phase| !phase.ends_with(" 0")).collect();
    let phases = if phases.is_empty() { String::new() } else { format!(" ({})", phases.join(", ")) };
    let parts = [
        (!entry.started.is_empty()).then(|| format!("recorded {}", entry.started)),
        Some(format!("{} ms{phases}", entry.time)),
        entry.server_ip.as_ref().map(|ip| format!("server {ip}")),
        entry.connection.as_ref().map(|connection| format!("connection {connection}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}
