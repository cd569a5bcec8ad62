use super::*;
use crate::cli::args::Cli;

/// Lays texts over each other, as files in the folder `conf`.
fn read(texts: &[&str]) -> Result<Config, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let mut config = Config::default();
    for text in texts {
        std::fs::write(&path, text).unwrap();
        config.read(&path, &Cli::command())?;
    }
    Ok(config)
}

/// What a text is refused with, without the folder.
fn refused(text: &str) -> String {
    let error = read(&[text]).unwrap_err().to_string();
    let (_, told) = error.split_once(&format!("{NAME}:")).unwrap_or_else(|| panic!("no place: {error}"));
    told.to_owned()
}

#[test]
fn every_option_of_record_and_replay_has_its_place() {
    for command in COMMANDS {
        let grammar = Cli::command();
        let sub = grammar.find_subcommand(command).unwrap();
        for arg in sub.get_arguments().chain(grammar.get_arguments()) {
            let id = arg.get_id().as_str();
            let Some(long) = arg.get_long().filter(|_| !["config", "help", "version"].contains(&id)) else { continue };
            let key = if long == "glob" { "globs" } else { long };
            // A value of no kind that any option has: its error says that the name is known.
            let told = refused(&format!("[{command}]\n{key} = 2020-01-01"));
            assert!(told.starts_with("2:") && told.contains(&format!("`{key}`: expected")), "{command} {key}: {told}");
        }
    }
}

#[test]
fn an_unknown_name_is_pointed_at_and_the_nearest_known_one_suggested() {
    for (text, told) in [
        ("[replay]\n\nmiss-stauts = 404", "3:1: unknown option of [replay] `miss-stauts`; did you mean `miss-status`?"),
        ("[record]\n  glob = []", "2:3: unknown option of [record] `glob`; did you mean `globs`?"),
        ("[replay]\nignore_query = []", "2:1: unknown option of [replay] `ignore_query`; did you mean `ignore-query`?"),
        (
            "[replay]\noutput = 'x'",
            "2:1: unknown option of [replay] `output`; did you mean to write it under [record]?",
        ),
        ("[repaly]", "1:2: unknown section `repaly`; did you mean `replay`?"),
        ("[redact]\nheaders = []", "1:2: unknown section `redact`; known are `record`, `replay`, `scope`, `match`"),
        ("[scope]\nnoice = true", "2:1: unknown option of [scope] `noice`; did you mean `noise`?"),
        (
            "[[match]]\nglob = '**'\nignore-qery = ['x']",
            "3:1: unknown option of [[match]] `ignore-qery`; did you mean `ignore-query`?",
        ),
        ("[[match]]\necho = []", "2:1: unknown option of [[match]] `echo`; known are `glob`, "),
        ("replay.strict = 1", "1:8: unknown option of [replay] `strict`"),
    ] {
        let error = refused(text);
        assert!(error.starts_with(told), "{text}: {error}");
    }
}

#[test]
fn a_value_that_will_not_do_says_what_would() {
    for (text, told) in [
        ("[replay]\nno-local = 'yes'", "2:12: `no-local`: expected true or false, not a string"),
        ("[replay]\nmiss-status = 99", "2:15: `miss-status`: expected a status from 200 to 599"),
        ("[replay]\nrepeat = 'twice'", "2:10: `repeat`: expected one of sequence, first, once"),
        ("[replay]\nglobs = ['{a']", "2:9: `globs`: "),
        ("[replay]\nglobs = [1, true]", "2:13: `globs`: expected a string (GLOB), not true or false"),
        ("[record]\nmax-body = 'much'", "2:12: `max-body`: expected a size"),
        ("[record]\noutput = ['a']", "2:10: `output`: expected a string (FILE), not a list"),
        ("replay = 1", "1:10: `replay`: expected a section"),
        ("[match]\nglob = '**'", "1:1: `match`: expected a list of rules, each under `[[match]]`"),
        ("[[match]]\npath = '/users/7'", "2:8: `path`: no segment varies"),
        ("[[match]]\nsame-host = ['https://a.test/x']", "2:14: `same-host`: origin `https://a.test/x`: "),
        ("[[match]]\nignore-body = ['$.a', '.b']", "2:23: `ignore-body`: JSON path `.b`: "),
        ("[[match]]\nbody = 'xml'", "2:8: `body`: expected one of exact, json, form, ignore"),
        ("[[match]]\nmatch-header = ['a b']", "2:17: `match-header`: expected header names"),
        ("[[match]]\nglob = '{{'", "2:8: `glob`: "),
        ("[replay]\nglobs = [", "2:"),
    ] {
        let error = refused(text);
        assert!(error.starts_with(told), "{text}: {error}");
    }
}

#[test]
fn the_later_file_wins_for_each_option_and_rules_add_up() {
    let config = read(&[
        "[replay]\nmiss-status = 404\nglobs = ['a', 'b']\n[scope]\nnoise = false\n[[match]]\nbody = 'json'",
        "[replay]\nglobs = ['c']\nfail-on = ['miss', 'unused']\n[[match]]\nbody = 'form'",
    ])
    .unwrap();
    let values = &config.options["replay"];
    assert_eq!((&*values["glob"], &*values["miss_status"]), (&["c".to_owned()][..], &["404".to_owned()][..]));
    assert_eq!(values["fail_on"], ["miss,unused"]);
    assert!(!config.noise());
    let bodies: Vec<_> = config.rules().iter().filter_map(|rule| rule.body).collect();
    assert_eq!(bodies, [crate::matching::MatchBody::Json, crate::matching::MatchBody::Form]);
}

#[test]
fn files_are_relative_to_the_configuration_and_nothing_else_is() {
    let grammar = Cli::command();
    let path = Path::new("conf").join(NAME);
    let text = "[record]\noutput = 'hars/x.har'\nupstream-ca = ['/abs.pem', 'rel.pem']\nclient-cert = 'h=c.pem'\nglobs = ['x']\n";
    let document = Document::new(&path, text);
    let item = document.root().unwrap().remove(0);
    let values =
        options::section(&document, document.table("record", item.value).unwrap(), "record", &grammar).unwrap();
    let in_conf = |path: &str| Path::new("conf").join(path).display().to_string();
    assert_eq!(values["output"], [in_conf("hars/x.har")]);
    assert_eq!(values["upstream_ca"], ["/abs.pem".to_owned(), in_conf("rel.pem")]);
    assert_eq!(values["client_cert"], [format!("h={}", in_conf("c.pem"))]);
    assert_eq!(values["glob"], ["x"]);
}
