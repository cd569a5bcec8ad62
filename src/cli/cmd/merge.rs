//! `harproxy merge`: several fixtures as one, and the merge driver of git.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::advice::Failure;
use crate::cli::args::git::MergeArgs;
use crate::cli::event::Event;
use crate::cli::fixtures;
use crate::cli::ui::{self, Ui};
use crate::upkeep::merge::{Change, Conflict, Joined, Lost, Merged, Share, Union, Versions, three_way, union};
use crate::verdict::exit;

/// Why fixtures can't be merged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing to merge it with.
    #[error("only {} is given: there is nothing to merge it with", only.display())]
    Alone {
        /// The only file.
        only: PathBuf,
    },
    /// A folder can't be where the result goes.
    #[error("{} is a folder", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
    },
    /// See [`crate::upkeep::merge::Error`].
    #[error(transparent)]
    Union(#[from] crate::upkeep::merge::Error),
}

impl Error {
    /// What to do about it.
    pub(in crate::cli) fn hint(&self) -> String {
        use crate::upkeep::merge::Error as Of;
        match self {
            Error::Alone { only } => {
                format!(
                    "name another, or a place for a copy: `harproxy merge -o FILE {}`",
                    harproxy_support::shell_quote::path(only)
                )
            }
            Error::Folder { .. } => "name the file that the result goes to with `-o FILE`".into(),
            Error::Union(Of::Mixed { .. } | Of::Tools { .. }) => {
                "`--adopt` makes harproxy's own entries of them all".into()
            }
            Error::Union(Of::Output { .. }) => "name a .har or a .zip with `-o FILE`".into(),
            Error::Union(Of::Fixture(_)) => String::new(),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// [`Failure`].
pub fn run(args: &MergeArgs, ui: &Ui) -> Result<u8, Failure> {
    if let [base, ours, theirs, path] = &args.driver[..] {
        let versions = Versions { base, ours, theirs, marker_size: args.marker_size };
        return drive(&versions, path, ui);
    }
    let files = harproxy_har::find(&args.files).into_iter().collect::<Result<Vec<_>, _>>()?;
    let output = match (&args.output, &args.files[..]) {
        (Some(output), _) => output,
        (None, [first, ..]) if files.len() > 1 => first,
        _ => return Err(Error::Alone { only: args.files.first().cloned().unwrap_or_default() }.into()),
    };
    if output.is_dir() {
        return Err(Error::Folder { folder: output.clone() }.into());
    }
    let joined = fixtures::alone(output, || {
        union(&Union { files: &files, output, adopt: args.adopt }).map_err(|error| match error {
            crate::upkeep::merge::Error::Fixture(error) => Failure::from(error),
            error => Error::from(error).into(),
        })
    })?;
    ui.note(Event::Merged, &told(&joined, &files, output));
    Ok(exit::HELD)
}

fn told(joined: &Joined, files: &[PathBuf], output: &Path) -> String {
    let mut text = String::new();
    for (file, share) in files.iter().zip(&joined.shares) {
        let Share { added, had, unusable, renamed } = *share;
        let _ = write!(text, "  {}: {added} added", file.display());
        for (n, what) in [
            (had, "already there"),
            (unusable, "left out, since they can't be read"),
            (renamed, "placeholders renumbered"),
        ] {
            if n > 0 {
                let _ = write!(text, ", {n} {what}");
            }
        }
        text.push('\n');
    }
    format!("{}: {}\n{text}", output.display(), of(joined.written.entries, "entry", "entries"))
}

fn of(n: usize, one: &str, several: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { several })
}

/// Merges for git: the result in place of ours, 1 for a conflict.
fn drive(versions: &Versions<'_>, path: &Path, ui: &Ui) -> Result<u8, Failure> {
    let merged = match three_way(versions) {
        Ok(merged) => merged,
        Err(error) if is_text(versions.ours) => return merge_as_text(versions, path, &error, ui),
        Err(error) => return Err(error.into()),
    };
    tell(&merged, path, ui);
    // A payload that git removes can be brought back before the merge is committed: it stops for that.
    Ok(if merged.conflicts.is_empty() && merged.lost.is_empty() { exit::HELD } else { exit::FAILED })
}

fn tell(merged: &Merged, path: &Path, ui: &Ui) {
    let shown = path.display();
    let counts = merged.counts;
    let parts = [(counts.added, "added"), (counts.changed, "changed"), (counts.removed, "removed")];
    let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if !parts.is_empty() {
        ui.note(Event::Merged, &format!("{shown}: merged by entries: {} by the other side", parts.join(", ")));
    }
    for (old, new) in &merged.renamed {
        ui.note(
            Event::Renamed,
            &format!("{shown}: their {old} is {new} now: ours had given that number to another value"),
        );
    }
    for name in &merged.shared {
        let text = format!(
            "{}: {shown}: {name} may stand for two values, one of each side; record the entries that have it again to tell \
             them apart",
            ui::caution("warning")
        );
        ui.alert(Event::Shared, &text);
    }
    for Lost { file, ours_has_it } in &merged.lost {
        let file = path.with_file_name(file);
        let (who, from) = if *ours_has_it { ("theirs", "HEAD") } else { ("ours", "MERGE_HEAD") };
        let text = format!(
            "{}: {shown}: {who} removed {}, and an entry of the other side needs it: `git checkout {from} -- {}`{}, then `git \
             add {}`",
            ui::bad("conflict"),
            file.display(),
            harproxy_support::shell_quote::path(&file),
            if *ours_has_it { "" } else { " (REBASE_HEAD or CHERRY_PICK_HEAD where that is under way)" },
            harproxy_support::shell_quote::path(path)
        );
        ui.alert(Event::Conflict, &text);
    }
    for conflict in &merged.conflicts {
        ui.alert(Event::Conflict, &format!("{}: {shown}: {}", ui::bad("conflict"), described(conflict)));
    }
    if !merged.conflicts.is_empty() {
        ui.alert(Event::Hint, &format!("{}: {}", ui::help("hint"), way_out(merged.archive, path)));
    }
}

fn described(conflict: &Conflict) -> String {
    let Conflict { method, url, entry, change } = conflict;
    let entry = entry.map_or_else(String::new, |entry| format!(" (#{entry})"));
    let change = match change {
        Change::Changed => "both sides changed its answer",
        Change::Added => "both sides added it, with different answers",
        Change::RemovedByUs => "removed here, changed by the other side",
        Change::RemovedByThem => "changed here, removed by the other side",
    };
    format!("{method} {url}{entry}: {change}")
}

fn way_out(archive: bool, path: &Path) -> String {
    let path = harproxy_support::shell_quote::path(path);
    if archive {
        return format!(
            "an archive holds no markers, so ours was kept. Take theirs: `git checkout --theirs -- {path}`. Or keep both, as \
             turns: `git show :3:{path} > theirs.zip && harproxy merge {path} theirs.zip`. Then `git add {path}`"
        );
    }
    format!(
        "both versions stand in {path}, between markers, each a whole entry: keep one and delete the other with the markers \
         (or record the request again), then `harproxy check {path}` and `git add {path}`"
    )
}

/// Whether a text merge of it makes sense.
fn is_text(path: &Path) -> bool {
    let mut first = [0; 2];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && first != *b"PK" && first != [0x1f, 0x8b]
}

/// What can't be read as a HAR (it has conflict markers in it, say) is merged as git merges text.
fn merge_as_text(versions: &Versions<'_>, path: &Path, why: &harproxy_har::Error, ui: &Ui) -> Result<u8, Failure> {
    let text = format!("{}: {}: merged as text, since {why}", ui::caution("warning"), path.display());
    ui.alert(Event::Text, &text);
    let mut git = Command::new("git");
    git.args(["merge-file", "-L", "ours", "-L", "base", "-L", "theirs"]);
    git.arg(format!("--marker-size={}", versions.marker_size)).args([versions.ours, versions.base, versions.theirs]);
    let status = git.status().map_err(|source| Failure::System { doing: "running `git merge-file`", source })?;
    Ok(match status.code() {
        Some(0) => exit::HELD,
        Some(1..=127) => exit::FAILED,
        // git takes this for a failure, and not for a conflict that is marked.
        _ => exit::BROKEN,
    })
}
