//! `harproxy show`: prints an entry or a whole fixture, decoded and indented.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;

use crate::cli::advice::Failure;
use crate::cli::args::fixtures::ShowArgs;
use crate::cli::pager::Pager;
use crate::cli::ui::{self, Ui};
use crate::cli::usage_error::UsageError;
use crate::fixtures::show::{self, FileAccess, ShownEntry, ShownMessage, ShownPayload};
use crate::verdict::exit;
use harproxy_har::{Entry, Fixture, format};
use harproxy_support::printable::{self, Shown as _, one_line};
use harproxy_support::shell_quote;

pub fn run(args: &ShowArgs, ui: &Ui) -> Result<u8, Failure> {
    let named = args.entries.iter().map(|entry| parse(entry, args.all)).collect::<Result<Vec<_>, _>>()?;
    if args.body {
        for (fixture, entry) in named {
            let payload = show::body(&Fixture::open(fixture)?, entry.unwrap_or_default(), args.request)?;
            ui.bytes(&mut payload.reader()?).map_err(Failure::Output)?;
        }
        return Ok(exit::SUCCESS);
    }
    let mut pager = Pager::start(!args.no_pager);
    let shown = named.iter().try_for_each(|(fixture, entry)| show(fixture, *entry, args, &mut pager));
    // Output before the error is shown first.
    pager.finish().map_err(Failure::Output)?;
    shown.map(|()| exit::SUCCESS)
}

fn show(fixture: &Path, entry: Option<usize>, args: &ShowArgs, pager: &mut Pager) -> Result<(), Failure> {
    let fixture = Fixture::open(fixture)?;
    let entries = match entry {
        Some(entry) => entry..entry.saturating_add(1),
        None => 0..fixture.entries(),
    };
    let files = match (args.all, args.no_files) {
        (false, _) => FileAccess::Required,
        (true, false) => FileAccess::IfReadable,
        (true, true) => FileAccess::NamesOnly,
    };
    for entry in entries {
        let is_open = if args.json {
            pager.write_json(&(format::inlined(&fixture, entry)? + "\n"))
        } else {
            pager.write(&match show::show(&fixture, entry, files) {
                Ok(shown) => text_of(&shown, (!args.all).then_some((&fixture, entry))),
                // In a diff, an invalid entry must not hide the others.
                Err(error) if args.all => format!("{}\n\n", plain(&error)),
                Err(error) => return Err(error.into()),
            })
        };
        if !is_open.map_err(Failure::Output)? {
            break;
        }
    }
    Ok(())
}

/// Formats the error of an entry without the file name, which differs in each diff.
fn plain(error: &harproxy_har::Error) -> String {
    match error {
        harproxy_har::Error::Entry { reason, .. } => format!("an entry that cannot be shown: {}", reason.shown()),
        error => error.to_string(),
    }
}

/// Parses `FILE#N` as a fixture and an entry, or `FILE` with `--all`.
fn parse(argument: &OsStr, all: bool) -> Result<(&Path, Option<usize>), UsageError> {
    if all {
        return Ok((Path::new(argument), None));
    }
    let parts = argument.to_str().and_then(|text| text.rsplit_once('#')).filter(|(file, _)| !file.is_empty());
    match parts.and_then(|(file, entry)| Some((Path::new(file), Some(entry.parse().ok()?)))) {
        Some(parsed) => Ok(parsed),
        None => Err(not_an_entry(&argument.to_string_lossy())),
    }
}

/// Parses `FILE#N`.
pub(super) fn entry_name(argument: &OsStr) -> Result<(&Path, usize), UsageError> {
    let (file, entry) = parse(argument, false)?;
    entry.map(|entry| (file, entry)).ok_or_else(|| not_an_entry(&argument.to_string_lossy()))
}

fn not_an_entry(argument: &str) -> UsageError {
    let file = argument.rsplit_once('#').map_or(argument, |(file, _)| file);
    let file = if file.is_empty() { "FILE".to_owned() } else { shell_quote::path(Path::new(file)) };
    UsageError::new(
        format!("`{}` is not an entry name", argument.shown()),
        format!("use FILE#N, as `harproxy ls {file}` prints it; `harproxy show --all {file}` shows all entries"),
    )
}

/// Formats an entry, followed by an empty line. With `place`, the output includes its position, time and addresses.
fn text_of(shown: &ShownEntry, place: Option<(&Fixture, usize)>) -> String {
    let mut out = String::new();
    if let Some((fixture, entry)) = place {
        let line = fixture.heads().get(entry).map_or_else(String::new, |head| format!(" (line {})", head.line));
        let _ = writeln!(out, "{}", ui::faint(format!("{}#{entry}{line}", fixture.path().shown())));
    }
    message(&shown.request, ui::strong, &mut out);
    let paint = match shown.entry.response.status {
        100..400 => ui::good,
        400.. => ui::bad,
        _ => ui::caution,
    };
    message(&shown.response, paint, &mut out);
    if place.is_some() {
        let _ = writeln!(out, "{}\n", ui::faint(one_line(&recorded(&shown.entry))));
    }
    out
}

fn message(message: &ShownMessage, paint: fn(String) -> String, out: &mut String) {
    let _ = writeln!(out, "{}", paint(one_line(&message.start).into_owned()));
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
            let _ = writeln!(out, "{}", member(&printable::lines(line)));
        }),
        ShownPayload::Form(pairs) => {
            let width = ui::column_width(pairs.iter().map(|(name, _)| name.chars().count()));
            for (name, value) in pairs {
                let _ = writeln!(out, "{} = {}", ui::help(format!("{:width$}", one_line(name))), one_line(value));
            }
        }
        ShownPayload::Parts(parts) => {
            for (head, content) in parts {
                let _ = writeln!(out, "{}", ui::help(printable::lines(head)));
                shape(content, out);
            }
        }
        ShownPayload::Text(text) => {
            let _ = writeln!(out, "{}", printable::lines(text).trim_end_matches('\n'));
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
