//! Imports between the files of one crate, and their cycles. Facades (`mod.rs`, `lib.rs`) are left out: an item that a
//! facade re-exports counts as an import of the file that defines it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;

use super::sources::sources;

type Module = Vec<String>;

struct File {
    /// The code, without comments and tests.
    code: String,
    is_facade: bool,
    /// Names that the file re-exports, and the paths that they stand for.
    exports: BTreeMap<String, Module>,
}

/// Groups of modules that import each other, directly or by others.
pub(super) fn cycles(root: &Path) -> Vec<Vec<String>> {
    let files = read(root);
    let mut graph: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
    for (module, file) in files.iter().filter(|(_, file)| !file.is_facade) {
        let targets = paths(&file.code, module).into_iter().filter_map(|path| resolve(&files, &path, 0));
        graph.insert(module, targets.filter(|target| *target != module && !files[*target].is_facade).collect());
    }
    let reachable: BTreeMap<&Module, BTreeSet<&Module>> =
        graph.keys().map(|module| (*module, reachable(&graph, module))).collect();
    let mut cycles: BTreeSet<Vec<String>> = BTreeSet::new();
    for (module, targets) in &reachable {
        if targets.contains(module) {
            let group = targets.iter().filter(|target| reachable[**target].contains(module));
            cycles.insert(group.map(|target| target.join("/")).collect());
        }
    }
    cycles.into_iter().collect()
}

fn reachable<'g>(graph: &BTreeMap<&'g Module, BTreeSet<&'g Module>>, from: &'g Module) -> BTreeSet<&'g Module> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        open.extend(graph[module].iter().filter(|target| reached.insert(**target)));
    }
    reached
}

fn read(root: &Path) -> BTreeMap<Module, File> {
    let comment = Regex::new("//[^\n]*").unwrap();
    let export = Regex::new(r"\bpub(?:\([^)]*\))? use\s+([^;]+);").unwrap();
    let mut files = BTreeMap::new();
    for source in sources(root).iter().filter(|source| !source.is_test()) {
        let path = source.path.strip_prefix(root).unwrap().with_extension("");
        let mut module: Module = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let is_facade = module.pop_if(|name| ["mod", "lib", "main"].contains(&name.as_str())).is_some();
        let code = comment.replace_all(source.without_tests(), "").into_owned();
        let exports = export.captures_iter(&code).flat_map(|found| use_paths(&found[1])).filter_map(|path| {
            let path = absolute(&module, &path);
            Some((path.last()?.clone(), path))
        });
        let exports = exports.collect();
        files.insert(module, File { code, is_facade, exports });
    }
    files
}

/// All paths that begin with `crate`, `super` or `self` or stand in a `use`, as absolute paths of the crate.
fn paths(code: &str, module: &Module) -> BTreeSet<Module> {
    let uses = Regex::new(r"\buse\s+([^;]+);").unwrap();
    let inline = Regex::new(r"\b(?:crate|super)(?:::\w+)+").unwrap();
    let uses = uses.captures_iter(code).flat_map(|found| use_paths(&found[1]));
    let inline = inline.find_iter(code).flat_map(|found| use_paths(found.as_str()));
    uses.chain(inline).map(|path| absolute(module, &path)).collect()
}

/// The single paths of a `use` tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn use_paths(tree: &str) -> Vec<Module> {
    fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
        let tree = tree.trim();
        let Some((head, group)) = tree.split_once('{') else {
            paths.push(format!("{prefix}{tree}"));
            return;
        };
        let group = group.rsplit_once('}').map_or(group, |(group, _)| group);
        let (mut depth, mut begin) = (0, 0);
        for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if c == ',' && depth == 0 {
                let item = group[begin..at].trim();
                if !item.is_empty() {
                    expand(&format!("{prefix}{head}"), item, paths);
                }
                begin = at + 1;
            }
        }
    }
    let mut paths = Vec::new();
    expand("", tree, &mut paths);
    let names = |path: &String| {
        let path = path.split(" as ").next().unwrap_or_default();
        path.split("::").map(|name| name.trim().to_owned()).collect()
    };
    paths.iter().map(names).collect()
}

fn absolute(module: &Module, path: &Module) -> Module {
    let mut base = module.clone();
    let mut rest = path.iter().peekable();
    match rest.peek().map(|name| name.as_str()) {
        Some("crate") => return path[1..].to_vec(),
        Some("super" | "self") => {
            while rest.next_if(|name| *name == "super").is_some() {
                base.pop();
            }
        }
        _ => {}
    }
    base.extend(rest.filter(|name| *name != "self").cloned());
    base
}

/// The module of the longest prefix of a path, through re-exports of facades.
fn resolve<'f>(files: &'f BTreeMap<Module, File>, path: &Module, depth: usize) -> Option<&'f Module> {
    const LONGEST_CHAIN: usize = 4;
    let (length, (module, file)) =
        (1..=path.len()).rev().find_map(|length| Some((length, files.get_key_value(&path[..length])?)))?;
    match path.get(length).and_then(|name| file.exports.get(name)) {
        Some(inner) if inner != path && depth < LONGEST_CHAIN => resolve(files, inner, depth + 1),
        _ => Some(module),
    }
}

#[test]
fn use_paths_expands_nested_groups() {
    let paths: Vec<String> =
        use_paths("crate::{a, b::{self, C}, d::E as F}").iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["crate::a", "crate::b::self", "crate::b::C", "crate::d::E"]);
}
