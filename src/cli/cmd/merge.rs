//! `harproxy merge`: merges fixtures, also as a git merge driver.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::advice::Failure;
use crate::cli::args::fixtures::MergeArgs;
use crate::cli::event::Event;
use crate::cli::ui::{self, Ui, counted};
use crate::cli::usage_error::UsageError;
use crate::cli::{fixtures, summary};
use crate::fixtures::merge::{
    BranchMerge, Conflict, ConflictKind, Contribution, FileMerge, FileMergeError, LostPayload, Versions,
    merge_branches, merge_files,
};
use crate::verdict::exit;
use harproxy_support::printable::Shown as _;
use harproxy_support::shell_quote;

pub fn run(args: &MergeArgs, ui: &Ui) -> Result<u8, Failure> {
    if let [base, ours, theirs, path] = &args.driver[..] {
        let versions = Versions { base, ours, theirs, marker_size: args.marker_size };
        return run_driver(&versions, path, ui);
    }
    let files = harproxy_har::find(&args.files).into_iter().collect::<Result<Vec<_>, _>>()?;
    let output = match (&args.output, &args.files[..]) {
        (Some(output), _) => output,
        (None, [first, ..]) if files.len() > 1 => first,
        _ => return Err(only_one(args.files.first().map_or(Path::new(""), PathBuf::as_path)).into()),
    };
    if output.is_dir() {
        let message = format!("{} is a folder", output.shown());
        return Err(UsageError::new(message, "pass the output file with `-o FILE`").into());
    }
    let merged = fixtures::with_lock(output, || merge_files(&files, output, args.adopt).map_err(failure))?;
    ui.note(Event::Merged, &describe(&merged, &files, output));
    Ok(exit::SUCCESS)
}

fn only_one(file: &Path) -> UsageError {
    let copy = shell_quote::path(file);
    UsageError::new(
        format!("only {} is given: merging needs at least two fixtures", file.shown()),
        format!("pass another fixture, or the path of a copy: `harproxy merge -o FILE {copy}`"),
    )
}

fn failure(error: FileMergeError) -> Failure {
    let hint = match error {
        FileMergeError::Fixture(error) => return error.into(),
        FileMergeError::Mixed { .. } | FileMergeError::Tools { .. } => {
            "pass `--adopt` to convert entries of other tools"
        }
        FileMergeError::Output { .. } => "pass a .har or .zip file with `-o FILE`",
    };
    UsageError::new(error.to_string(), hint).into()
}

fn describe(merged: &FileMerge, files: &[PathBuf], output: &Path) -> String {
    let mut text = String::new();
    for (file, contribution) in files.iter().zip(&merged.contributions) {
        let Contribution { added, had, unusable, renamed } = *contribution;
        let _ = write!(text, "  {}: {added} added", file.shown());
        for (n, result) in [
            (had, "already there"),
            (unusable, "left out because they cannot be read"),
            (renamed, "placeholders renumbered"),
        ] {
            if n > 0 {
                let _ = write!(text, ", {n} {result}");
            }
        }
        text.push('\n');
    }
    let migrated = if merged.migrated { format!("; {}", summary::MIGRATED) } else { String::new() };
    format!("{}: {}{migrated}\n{text}", output.shown(), counted(merged.written.entries, "entry", "entries"))
}

/// Runs as the git merge driver: writes the result to `ours` and returns 1 for a conflict.
fn run_driver(versions: &Versions<'_>, path: &Path, ui: &Ui) -> Result<u8, Failure> {
    let merged = match merge_branches(versions) {
        Ok(merged) => merged,
        Err(error) if is_text(versions.ours) => return merge_as_text(versions, path, &error, ui),
        Err(error) => return Err(error.into()),
    };
    print(&merged, path, ui);
    // A payload that git removes can be restored before the merge is committed, so the merge must stop.
    Ok(if merged.conflicts.is_empty() && merged.lost.is_empty() { exit::SUCCESS } else { exit::FAILED })
}

fn print(merged: &BranchMerge, path: &Path, ui: &Ui) {
    let shown = path.shown();
    let counts = merged.counts;
    let parts = [(counts.added, "added"), (counts.changed, "changed"), (counts.removed, "removed")];
    let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, result)| format!("{n} {result}")).collect();
    if !parts.is_empty() {
        ui.note(Event::Merged, &format!("{shown}: merged by entries: {} by the other side", parts.join(", ")));
    }
    if merged.migrated {
        ui.note(Event::Layout, &format!("{shown}: {}", summary::MIGRATED));
    }
    for (old, new) in &merged.renamed {
        ui.note(
            Event::Renamed,
            &format!("{shown}: their {old} was renumbered to {new}, because ours has another value with that number"),
        );
    }
    for name in &merged.shared {
        let text = format!(
            "{shown}: {name} may be two different values, one of each side; record its entries again to separate them"
        );
        ui.warn(Event::Shared, &text);
    }
    for LostPayload { file, ours_has_it } in &merged.lost {
        let file = path.with_file_name(file);
        let (side, from) = if *ours_has_it { ("theirs", "HEAD") } else { ("ours", "MERGE_HEAD") };
        let text = format!(
            "{}: {shown}: {side} removed {}, but an entry of the other side needs it: `git checkout {from} -- {}`{}, then `git \
             add {}`",
            ui::bad("conflict"),
            file.shown(),
            shell_quote::path(&file),
            if *ours_has_it { "" } else { " (during a rebase or cherry-pick: REBASE_HEAD or CHERRY_PICK_HEAD)" },
            shell_quote::path(path)
        );
        ui.alert(Event::Conflict, &text);
    }
    for conflict in &merged.conflicts {
        ui.alert(Event::Conflict, &format!("{}: {shown}: {}", ui::bad("conflict"), described(conflict)));
    }
    if !merged.conflicts.is_empty() {
        ui.alert(Event::Hint, &format!("{}: {}", ui::help("hint"), resolution(merged.archive, path)));
    }
}

fn described(conflict: &Conflict) -> String {
    let Conflict { method, url, entry, kind } = conflict;
    let entry = entry.map_or_else(String::new, |entry| format!(" (#{entry})"));
    let change = match kind {
        ConflictKind::Changed => "both sides changed its response",
        ConflictKind::Added => "both sides added it, with different responses",
        ConflictKind::RemovedByUs => "removed here, changed by the other side",
        ConflictKind::RemovedByThem => "changed here, removed by the other side",
    };
    format!("{} {}{entry}: {change}", method.shown(), url.shown())
}

fn resolution(archive: bool, path: &Path) -> String {
    let path = shell_quote::path(path);
    if archive {
        return format!(
            "an archive cannot hold markers, so ours was kept. Take theirs: `git checkout --theirs -- {path}`. Or keep both as a sequence: `git show :3:{path} > theirs.zip && harproxy merge {path} theirs.zip`. Then `git add {path}`"
        );
    }
    format!(
        "{path} has both versions between markers, each a complete entry: keep one and delete the other with the markers \
         (or record the request again), then `harproxy check {path}` and `git add {path}`"
    )
}

/// Returns true if a text merge of the file makes sense.
fn is_text(path: &Path) -> bool {
    let mut first = [0; 2];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && first != *b"PK" && first != [0x1f, 0x8b]
}

/// Merges a file that is not a readable HAR (for example, with conflict markers) as text, like git.
fn merge_as_text(versions: &Versions<'_>, path: &Path, reason: &harproxy_har::Error, ui: &Ui) -> Result<u8, Failure> {
    ui.warn(Event::Text, &format!("{}: merged as text, because {}", path.shown(), reason.to_string().shown()));
    let mut git = Command::new("git");
    git.args(["merge-file", "-L", "ours", "-L", "base", "-L", "theirs"]);
    git.arg(format!("--marker-size={}", versions.marker_size)).args([versions.ours, versions.base, versions.theirs]);
    let status = git.status().map_err(|source| Failure::System { doing: "running `git merge-file`", source })?;
    Ok(match status.code() {
        Some(0) => exit::SUCCESS,
        Some(1..=127) => exit::FAILED,
        // git treats this status as a failure, not as a marked conflict.
        _ => exit::INTERNAL_ERROR,
    })
}
