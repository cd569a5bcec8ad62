//! The merge driver: two branches of a fixture and their common ancestor.

use std::collections::BTreeSet;
use std::path::Path;

use super::look::{Look, Payloads};
use super::plan::{self, Counts, Piece, Plan, Take, Who};
use super::rename::{Known, Renaming};
use super::side::Side;
use super::{archive, log, text};
use harproxy_har::Fixture;
use harproxy_har::pieces::{self, Object};
use harproxy_redact::Placeholder;

/// The three versions of a fixture that git has for its driver. Each is a file of its own, in any name and without its
/// payload folder; an ancestor that is empty is none.
#[derive(Clone, Copy, Debug)]
pub struct Versions<'a> {
    /// `%O`.
    pub base: &'a Path,
    /// `%A`: the result takes its place.
    pub ours: &'a Path,
    /// `%B`.
    pub theirs: &'a Path,
    /// `%L`: how many characters a conflict marker has.
    pub marker_size: usize,
}

/// What came of it. The file is written in any case.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// What came from theirs.
    pub counts: Counts,
    /// What a person has to decide: marked in a HAR, as ours has it in an archive.
    pub conflicts: Vec<Conflict>,
    /// Placeholders of theirs that have another number now, since ours had given theirs to another value.
    pub renamed: Vec<(Placeholder, Placeholder)>,
    /// Placeholders that both sides gave to a value of their own and that stay so: payload files, which a driver has no hold
    /// of, may have them.
    pub shared: Vec<Placeholder>,
    /// Payload files that git takes away, since one side needed them no more, and that an entry of the other needs.
    pub lost: Vec<Lost>,
    /// Whether it is an archive.
    pub archive: bool,
}

/// A payload file that one side removed and the other, which had it before, needs in a new place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// As `_file` says it.
    pub file: String,
    /// Whether ours is the side that has it still.
    pub ours_has_it: bool,
}

/// An entry that both sides changed, each in its own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The method of its request.
    pub method: String,
    /// The URL of its request.
    pub url: String,
    /// Its place in our version, from 0, if we have it.
    pub entry: Option<usize>,
    /// What both did.
    pub change: Change,
}

/// What two branches did to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Both changed its answer.
    Changed,
    /// Both added it, with another answer.
    Added,
    /// Ours removed it, theirs changed it.
    RemovedByUs,
    /// Theirs removed it, ours changed it.
    RemovedByThem,
}

/// All that is needed to write the result.
pub(super) struct Composed<'a> {
    pub(super) ours: &'a Side,
    pub(super) theirs: &'a Side,
    pub(super) plan: &'a Plan,
    pub(super) renaming: &'a Renaming,
    /// The members of `log`, and those beside it.
    pub(super) log: Object,
    pub(super) beside: Object,
    /// The payload folder, as `_file` is to say it.
    pub(super) folder: Option<String>,
    pub(super) marker_size: usize,
}

/// Merges two branches of a fixture into the file of ours.
///
/// # Errors
/// When one of the three can't be read, or the result can't be written; our file is then as it was.
pub fn three_way(versions: &Versions<'_>) -> Result<Merged, harproxy_har::Error> {
    let open = |path: &Path| Side::open(path);
    let (base, ours, theirs) = (open(versions.base)?, open(versions.ours)?, open(versions.theirs)?);
    let is_archive = |fixture: &Option<Fixture>| fixture.as_ref().is_some_and(Fixture::is_archive);
    let archive = is_archive(&ours);
    if archive != is_archive(&theirs) && ours.is_some() && theirs.is_some() {
        let reason = "it is an archive on one side and a HAR on the other; take one of them".to_owned();
        return Err(harproxy_har::Error::Malformed { path: versions.ours.to_owned(), line: None, reason });
    }
    // What is compared is kept alike in all three, or it is not compared at all.
    let base = base.filter(|base| base.is_archive() == archive);
    let payloads = if archive { Payloads::ByBytes } else { Payloads::ByName };
    let (base, ours, theirs) = (Side::of(base, payloads)?, Side::of(ours, payloads)?, Side::of(theirs, payloads)?);

    let plan = plan::plan(&base, &ours, &theirs);
    let (renaming, shared) = numbers(&base, &ours, &theirs, &plan, archive);
    let members = |side: &Side| match &side.fixture {
        Some(fixture) => pieces::members_outside_entries(fixture),
        None => Ok(Default::default()),
    };
    let (of_base, of_ours, of_theirs) = (members(&base)?, members(&ours)?, members(&theirs)?);
    let result = Composed {
        plan: &plan,
        renaming: &renaming,
        log: log::merge(&of_base.0, &of_ours.0, &of_theirs.0),
        beside: log::merge(&of_base.1, &of_ours.1, &of_theirs.1),
        folder: if theirs.folder.is_none() || theirs.folder == base.folder || ours.folder != base.folder {
            ours.folder.clone().or_else(|| theirs.folder.clone())
        } else {
            theirs.folder.clone()
        },
        ours: &ours,
        theirs: &theirs,
        marker_size: versions.marker_size,
    };
    match archive {
        true => archive::write(&result, versions.ours)?,
        false => text::write(&result, versions.ours)?,
    }
    Ok(Merged {
        counts: plan.counts,
        conflicts: plan.pieces.iter().filter_map(|piece| conflict(piece, &ours, &theirs)).collect(),
        renamed: renaming.pairs().map(|(old, new)| (old.clone(), new.clone())).collect(),
        shared,
        lost: if archive { Vec::new() } else { lost(&base, &result) },
        archive,
    })
}

/// Which payload files the result refers to that git, which knows files and not who refers to them, is going to remove: the
/// ancestor had them, and one side has not.
fn lost(base: &Side, result: &Composed<'_>) -> Vec<Lost> {
    let (before, ours, theirs) = (base.files(), result.ours.files(), result.theirs.files());
    let takes = result.plan.pieces.iter().flat_map(|piece| match *piece {
        Piece::Take(take) => [Some(take), None],
        Piece::Conflict { ours, theirs, .. } => [ours, theirs],
    });
    let needed: BTreeSet<&str> = takes.flatten().flat_map(|take| result.look(take).names()).collect();
    let gone =
        needed.into_iter().filter(|name| before.contains(name) && !(ours.contains(name) && theirs.contains(name)));
    gone.map(|name| Lost {
        file: result.folder.as_ref().map_or_else(|| name.to_owned(), |folder| format!("{folder}/{name}")),
        ours_has_it: ours.contains(name),
    })
    .collect()
}

impl<'a> Composed<'a> {
    /// What is known of an entry of the result.
    fn look(&self, take: Take) -> &'a Look {
        match take.who {
            Who::Ours => &self.ours.looks[take.entry],
            Who::Theirs => &self.theirs.looks[take.entry],
        }
    }
}

/// The numbers of placeholders. In a HAR with payload files theirs keep them, for these files are named after their bytes and
/// come into the work tree by git's own hand.
fn numbers(base: &Side, ours: &Side, theirs: &Side, plan: &Plan, archive: bool) -> (Renaming, Vec<Placeholder>) {
    let known = Known { common: Some(&base.names), ours: &ours.names, theirs: &theirs.names };
    let same: Vec<(&Look, &Look)> = plan.same.iter().map(|(o, t)| (&ours.looks[*o], &theirs.looks[*t])).collect();
    if archive || theirs.folder.is_none() {
        (Renaming::new(&known, same), Vec::new())
    } else {
        Renaming::settled_only(&known, same)
    }
}

fn conflict(piece: &Piece, ours: &Side, theirs: &Side) -> Option<Conflict> {
    let Piece::Conflict { ours: o, theirs: t, new } = piece else { return None };
    let (side, entry) = match (o, t) {
        (Some(take), _) => (ours, take.entry),
        (None, Some(take)) => (theirs, take.entry),
        (None, None) => return None,
    };
    let head = side.fixture.as_ref().and_then(|fixture| fixture.heads().get(entry));
    let change = match (o, t) {
        (None, _) => Change::RemovedByUs,
        (_, None) => Change::RemovedByThem,
        _ if *new => Change::Added,
        _ => Change::Changed,
    };
    Some(Conflict {
        method: head.map_or_else(String::new, |head| head.method.to_owned()),
        url: head.map_or_else(String::new, |head| head.url.to_owned()),
        entry: o.map(|take| take.entry),
        change,
    })
}
