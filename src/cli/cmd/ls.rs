//! `harproxy ls`: lists the entries of fixtures, one per line.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, presets};

use crate::cli::advice::Failure;
use crate::cli::args::fixtures::LsArgs;
use crate::cli::event::Event;
use crate::cli::fixtures;
use crate::cli::ui::{self, Ui};
use crate::fixtures::ls::{self, EntryLine};
use crate::verdict::exit;
use harproxy_har::Fixture;
use harproxy_support::printable::{Shown as _, one_line};

/// Runs the command: prints a table or JSON lines per fixture.
/// Fails if the output cannot be written. An unreadable fixture is reported, and the others are listed.
pub fn run(args: LsArgs, ui: &Ui) -> Result<u8, Failure> {
    Ok(fixtures::for_each(args.files.fixtures, ui, |path| {
        let fixture = Fixture::open(path)?;
        let mut status = exit::SUCCESS;
        let mut lines = ls::lines(&fixture).peekable();
        while lines.peek().is_some() {
            let mut batch = Vec::new();
            for line in lines.by_ref().take(BATCH) {
                match line {
                    Ok(line) => batch.push(line),
                    Err(error) => status = Failure::from(error).print(ui),
                }
            }
            let written = if args.json { ui.json(&json(&batch)) } else { ui.data(&table(&batch)) };
            written.map_err(Failure::Output)?;
        }
        for warning in fixture.warnings().iter().filter(|warning| warning.entry.is_some()) {
            let entry = warning.entry.unwrap_or_default();
            ui.note(Event::Warning, &format!("{}#{entry}: {}", path.shown(), warning.text.shown()));
        }
        Ok(status)
    }))
}

/// Lines that are held in memory. Their columns have a common width.
const BATCH: usize = 1000;

fn json(lines: &[EntryLine]) -> String {
    lines.iter().map(|line| format!("{}\n", serde_json::json!(line))).collect()
}

/// Minimum width of the URL column before other columns are truncated.
const MIN_URL_WIDTH: usize = 12;

/// Formats the table, fitted to the terminal. Without a terminal nothing is truncated.
fn table(lines: &[EntryLine]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    match ui::data_width() {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    for line in lines {
        let mut row = Row::from([
            format!("{}#{}", line.fixture.shown(), line.entry),
            one_line(&line.method).into_owned(),
            line.status.to_string(),
            one_line(line.mime_type.split(';').next().unwrap_or_default().trim()).into_owned(),
            line.size.map_or_else(|| "-".to_owned(), |size| size.to_string()),
            one_line(&line.url).into_owned(),
        ]);
        row.max_height(1);
        table.add_row(row);
    }
    let left: usize = table.column_max_content_widths().iter().take(5).map(|width| usize::from(*width) + 1).sum();
    let fits = ui::data_width().is_none_or(|width| left + MIN_URL_WIDTH <= width.into());
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if matches!(at, 2 | 4) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if at < 5 && fits {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
