//! The verdict for a person: a headline, the misses with their nearest entry and remedy, the other findings, what was not
//! used. Understandable without colour.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::verdict::{Finding, Kind, Mode, Severity, Verdict};

/// How many findings are printed; the rest is in `--report`.
const SHOWN: usize = 20;
/// How many unused entries of a fixture are named.
const NAMED_UNUSED: usize = 3;

/// The styles of the parts; all plain without colour.
#[derive(Clone, Copy, Debug, Default)]
pub struct Palette {
    /// What held.
    pub good: Style,
    /// What failed.
    pub bad: Style,
    /// What is only listed.
    pub warning: Style,
    /// What to do.
    pub hint: Style,
    /// What matters less.
    pub dim: Style,
}

impl Palette {
    /// No styling at all.
    #[must_use]
    pub fn plain() -> Self {
        Palette::default()
    }

    /// For a terminal.
    #[must_use]
    pub fn colour() -> Self {
        let fg = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        Palette {
            good: fg(AnsiColor::Green).bold(),
            bad: fg(AnsiColor::Red).bold(),
            warning: fg(AnsiColor::Yellow),
            hint: fg(AnsiColor::Cyan),
            dim: Style::new().dimmed(),
        }
    }
}

/// The report; every line ends with a newline.
#[must_use]
pub fn render(verdict: &Verdict, palette: &Palette) -> String {
    let mut out = String::new();
    headline(&mut out, verdict, palette);
    let dim = palette.dim;
    line(&mut out, format_args!("  {dim}{}{dim:#}", tally(verdict)));
    let mut shown: Vec<&Finding> = verdict.findings.iter().filter(|finding| finding.kind != Kind::Unused).collect();
    // A stable sort: order of appearance within each group.
    shown.sort_by_key(|finding| (finding.kind != Kind::Miss, finding.severity != Severity::Error));
    for finding in shown.iter().take(SHOWN) {
        out.push('\n');
        self::finding(&mut out, finding, palette);
    }
    if shown.len() > SHOWN {
        line(&mut out, format_args!("\n… and {} more; `--report FILE.json` lists them all", shown.len() - SHOWN));
    }
    unused(&mut out, verdict, palette);
    out
}

fn headline(out: &mut String, verdict: &Verdict, palette: &Palette) {
    let counts = &verdict.counts;
    if !verdict.passed() {
        let bad = palette.bad;
        let what = if verdict.mode == Mode::Record { "recording" } else { "replay" };
        return line(out, format_args!("{bad}✗ {what} failed{bad:#}: {}", reasons(verdict)));
    }
    let good = palette.good;
    match verdict.mode {
        Mode::Record => {
            line(out, format_args!("{good}✓ recorded{good:#} {}", many(counts.recorded, "exchange", "exchanges")))
        }
        Mode::Replay => {
            let of: Vec<&str> = verdict.fixtures.iter().map(|fixture| fixture.fixture.as_str()).collect();
            let of = match of[..] {
                [] => String::new(),
                [one] => format!(" from {one}"),
                _ => format!(" from {} fixtures", of.len()),
            };
            let served = many(counts.served, "request", "requests");
            line(out, format_args!("{good}✓ replay passed{good:#}: {served} served{of}"));
        }
    }
}

/// What failed the run, each kind once, with how often.
fn reasons(verdict: &Verdict) -> String {
    let mut kinds: Vec<(Kind, u64)> = Vec::new();
    for finding in verdict.findings.iter().filter(|finding| finding.severity == Severity::Error) {
        match kinds.iter_mut().find(|(kind, _)| *kind == finding.kind) {
            Some((_, times)) => *times += finding.times,
            None => kinds.push((finding.kind, finding.times)),
        }
    }
    kinds.sort();
    kinds.into_iter().map(|(kind, times)| counted(kind, times)).collect::<Vec<_>>().join(", ")
}

fn counted(kind: Kind, times: u64) -> String {
    let (one, more) = match kind {
        Kind::Miss => ("miss", "misses"),
        Kind::OutOfScope => ("request out of scope", "requests out of scope"),
        Kind::Truncated => ("truncated answer", "truncated answers"),
        Kind::Ambiguous => ("ambiguous answer", "ambiguous answers"),
        Kind::NoTraffic => return "no request in scope was seen".to_owned(),
        Kind::Unused => ("unused entry", "unused entries"),
        Kind::Stale => ("stale entry", "stale entries"),
        Kind::Passthrough => ("request passed through", "requests passed through"),
        Kind::Websocket => ("WebSocket refused", "WebSockets refused"),
        Kind::NothingRecorded => return "nothing was recorded".to_owned(),
        Kind::FailedServed => ("recorded failure served", "recorded failures served"),
        Kind::TlsRefused => ("TLS handshake refused by the client", "TLS handshakes refused by the client"),
        Kind::Unreadable => ("unreadable connection", "unreadable connections"),
        Kind::Lost => return "what was recorded could not be written".to_owned(),
        Kind::UpstreamFailed => ("failure of upstream", "failures of upstream"),
    };
    many(times, one, more)
}

/// Where every request went, in one line; what is zero is left out, but for upstream connections of a replay.
fn tally(verdict: &Verdict) -> String {
    let counts = &verdict.counts;
    let parts = [
        (counts.recorded, "recorded"),
        (counts.served, "served"),
        (counts.misses, "missed"),
        (counts.out_of_scope, "out of scope"),
        (counts.refused, "refused"),
        (counts.local, "local"),
        (counts.passed, "passed through"),
        (counts.preflights, "made-up preflights"),
        (counts.noise, "noise"),
    ];
    let mut tally = many(counts.requests, "request", "requests");
    for (n, (count, what)) in parts.into_iter().filter(|(count, _)| *count > 0).enumerate() {
        let _ = write!(tally, "{}{count} {what}", if n == 0 { ": " } else { ", " });
    }
    if counts.tunnels > 0 {
        let _ = write!(tally, "; {}", many(counts.tunnels, "tunnel", "tunnels"));
    }
    if verdict.mode == Mode::Replay {
        let (used, entries) = verdict.fixtures.iter().fold((0, 0), |(u, e), f| (u + f.used, e + f.entries));
        let upstream = many(counts.upstream_connections, "upstream connection", "upstream connections");
        let _ = write!(tally, "; {used} of {} used; {upstream}", many(entries as u64, "entry", "entries"));
    }
    tally
}

fn finding(out: &mut String, finding: &Finding, palette: &Palette) {
    let (mark, style) = match finding.severity {
        Severity::Error => ('✗', palette.bad),
        Severity::Warning => ('!', palette.warning),
    };
    let times = if finding.times > 1 { format!(" ({} times)", finding.times) } else { String::new() };
    let kind = finding.kind.word();
    let mut rest = finding.explanation.lines();
    // Without a request the explanation itself is the first line.
    let about = finding.request.as_deref().or_else(|| rest.next()).unwrap_or_default();
    line(out, format_args!("{style}{mark} {kind}{style:#}: {about}{times}"));
    for text in rest {
        line(out, format_args!("  {text}"));
    }
    if let Some(remedy) = &finding.remedy {
        let hint = palette.hint;
        line(out, format_args!("  {hint}hint:{hint:#} {remedy}"));
    }
}

/// One line a fixture: how many entries nothing asked for, and the first few of them.
fn unused(out: &mut String, verdict: &Verdict, palette: &Palette) {
    let mut first = true;
    for fixture in verdict.fixtures.iter().filter(|fixture| fixture.used < fixture.entries) {
        let findings: Vec<&Finding> = verdict
            .findings
            .iter()
            .filter(|f| f.kind == Kind::Unused && f.fixture.as_deref() == Some(&fixture.fixture) && f.entry.is_some())
            .collect();
        let fails = findings.iter().any(|finding| finding.severity == Severity::Error);
        let (mark, style) = if fails { ('✗', palette.bad) } else { ('!', palette.warning) };
        if std::mem::take(&mut first) {
            out.push('\n');
        }
        let number = fixture.entries - fixture.used;
        let mut named: Vec<String> = findings
            .iter()
            .take(NAMED_UNUSED)
            .map(|f| format!("#{} {}", f.entry.unwrap_or_default(), f.request.as_deref().unwrap_or_default()))
            .collect();
        if !named.is_empty() && number > named.len() {
            named.push(format!("and {} more", number - named.len()));
        }
        let sep = if named.is_empty() { "" } else { ": " };
        let named = named.join(", ");
        let (entries, name) = (many(fixture.entries as u64, "entry", "entries"), &fixture.fixture);
        line(out, format_args!("{style}{mark} unused{style:#}: {number} of {entries} of {name}{sep}{named}"));
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String never fails.
    let _ = writeln!(out, "{text}");
}

fn many(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}
