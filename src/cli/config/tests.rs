use super::*;
use crate::cli::args::Cli;

/// Reads texts as configuration files in order of precedence.
fn read(texts: &[&str]) -> Result<Config, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let mut config = Config::default();
    for text in texts {
        std::fs::write(&path, text).unwrap();
        config.read(&path, true, &Cli::command())?;
    }
    config.finish()
}

/// Returns the error of a text, without the folder.
fn refused(text: &str) -> String {
    let error = read(&[text]).unwrap_err().to_string();
    let (_, message) = error.split_once(&format!("{NAME}:")).unwrap_or_else(|| panic!("no place: {error}"));
    message.to_owned()
}

#[test]
fn every_option_of_record_and_replay_is_a_setting() {
    for command in COMMANDS {
        let grammar = Cli::command();
        let sub = grammar.find_subcommand(command).unwrap();
        for arg in sub.get_arguments().chain(grammar.get_arguments()) {
            let id = arg.get_id().as_str();
            let Some(long) = arg.get_long().filter(|_| !["config", "help", "version", "allow_live"].contains(&id))
            else {
                continue;
            };
            let key = if long == "glob" { "globs" } else { long };
            // A date is not the value of any option. The error shows that the name is known.
            let expected = refused(&format!("[{command}]\n{key} = 2020-01-01"));
            assert!(
                expected.starts_with("2:") && expected.contains(&format!("`{key}`: expected")),
                "{command} {key}: {expected}"
            );
        }
    }
}

#[test]
fn unknown_names_have_a_position_and_a_suggestion() {
    for (text, expected) in [
        ("[replay]\n\nmiss-stauts = 404", "3:1: unknown option of [replay] `miss-stauts`; did you mean `miss-status`?"),
        ("[record]\n  glbs = []", "2:3: unknown option of [record] `glbs`; did you mean `globs`?"),
        ("[replay]\nignore_query = []", "2:1: unknown option of [replay] `ignore_query`; did you mean `ignore-query`?"),
        (
            "[replay]\noutput = 'x'",
            "2:1: unknown option of [replay] `output`; did you mean to write it under [record]?",
        ),
        ("[repaly]", "1:2: unknown section `repaly`; did you mean `replay`?"),
        ("[redakt]\nheaders = []", "1:2: unknown section `redakt`; did you mean `redact`?"),
        ("headers = []", "1:1: unknown section `headers`; known are `record`, `replay`, `drift`, `scope`, `match`, "),
        ("[redact]\nheader = []", "2:1: unknown option of [redact] `header`; did you mean `headers`?"),
        ("[volatile]\njsno = []", "2:1: unknown option of [volatile] `jsno`; did you mean `json`?"),
        ("[check]\nalow = []", "2:1: unknown option of [check] `alow`; did you mean `allow`?"),
        ("[scope]\nnoice = true", "2:1: unknown option of [scope] `noice`; did you mean `noise`?"),
        (
            "[[match]]\nglob = '**'\nignore-qery = ['x']",
            "3:1: unknown option of [[match]] `ignore-qery`; did you mean `ignore-query`?",
        ),
        ("[[match]]\nwhere = []", "2:1: unknown option of [[match]] `where`; known are `glob`, "),
        ("replay.severe = 1", "1:8: unknown option of [replay] `severe`"),
    ] {
        let error = refused(text);
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn invalid_values_have_a_position_and_a_reason() {
    for (text, expected) in [
        ("[replay]\nno-local = 'yes'", "2:12: `no-local`: expected true or false, not a string"),
        ("[replay]\nmiss-status = 99", "2:15: `miss-status`: expected a status from 200 to 599"),
        ("[replay]\nrepeat = 'twice'", "2:10: `repeat`: expected one of sequence, first, once"),
        ("[replay]\nglobs = ['{a']", "2:10: `globs`: "),
        ("[replay]\nglobs = [\n  '**/a',\n  '{b',\n]", "4:3: `globs`: "),
        ("[replay]\nglobs = ['**/a', true]", "2:18: `globs`: expected a string (GLOB), not true or false"),
        ("[record]\nmax-body = 'much'", "2:12: `max-body`: expected a size"),
        ("[record]\noutput = ['a']", "2:10: `output`: expected a string (FILE), not a list"),
        ("replay = 1", "1:10: `replay`: expected a section"),
        ("[match]\nglob = '**'", "1:1: `match`: expected a list of rules, each under `[[match]]`"),
        ("[[match]]\npath = '/users/7'", "2:8: `path`: no segment is variable"),
        ("[[match]]\nsame-host = ['https://a.test/x']", "2:14: `same-host`: origin `https://a.test/x`: "),
        ("[[match]]\nignore-body = ['$.a', '.b']", "2:23: `ignore-body`: `.b` is not a valid JSON path: "),
        ("[replay]\nignore-body = ['$.a', '$.b[']", "2:23: `ignore-body`: `$.b[` is not a valid JSON path: "),
        ("[replay]\nfail-on = ['unusde']", "2:12: `fail-on`: unknown finding kind `unusde`"),
        ("[[match]]\nbody = 'xml'", "2:8: `body`: expected one of exact, json, form, ignore"),
        ("[[match]]\nmatch-header = ['a b']", "2:17: `match-header`: expected header names"),
        ("[[match]]\nglob = '{{'", "2:8: `glob`: "),
        ("[replay]\nglobs = [", "2:"),
        ("[record]\nglobs = []\nglob = ['**/a']", "3:1: `glob`: it is already set in line 2"),
        ("[redact]\nheaders = ['x-a', 'x b']", "2:19: `headers`: expected header names"),
        ("[redact]\nquery = ['']", "2:10: `query`: expected names of parameters"),
        (
            "[redact]\njson = ['$.card', '.ssn']",
            "2:19: `json`: `.ssn` is not a valid JSON path: parser error; did you mean `$.ssn`?",
        ),
        ("[redact]\ntext = ['sk_(']", "2:9: `text`: `sk_(` is not a valid regular expression: unclosed group"),
        (
            "[redact]\nexcept = ['state', 'header:x-csrf-tokn']",
            "2:20: `except`: `header:x-csrf-tokn` has no effect: nothing with this name is redacted; did you mean `header:x-csrf-token`?",
        ),
        (
            "[redact]\nexcept = ['shape:jwtt']",
            "2:11: `except`: `shape:jwtt` has no effect: nothing with this name is redacted; did you mean `shape:jwt`?",
        ),
        ("[redact]\nexcept = ['x-mine']", "2:11: `except`: `x-mine` has no effect: nothing with this name is redacted"),
        ("[redact]\npersonal = 1", "2:12: `personal`: expected true or false, not a number"),
        ("[redact]\nvalues = 1", "2:10: `redact.values`: expected a section, `[redact.values]`"),
        ("[redact.values]\npassword = 'x'", "2:1: `password`: expected a placeholder without `REDACTED-`"),
        ("[redact.values]\npassword-0 = 'x'", "2:1: `password-0`: expected a placeholder"),
        (
            "[redact.values]\nPassWord-02 = 'x'",
            "2:1: `PassWord-02`: expected a placeholder without `REDACTED-`, such as `password-2`; did you mean `password-2`?",
        ),
        ("[redact.values]\na-1 = 'env:'", "2:7: `a-1`: expected the name of a variable"),
        ("[redact.values]\na-1 = ''", "2:7: `a-1`: expected a value, or the variable"),
        ("[redact.values]\na-1 = 7", "2:7: `a-1`: expected a string, not a number"),
        ("[redact.values]\na-1 = 'x'\nREDACTED-a-1 = 'y'", "3:1: `REDACTED-a-1`: `a-1` is the same placeholder"),
        ("[volatile]\nheaders = ['x b']", "2:12: `headers`: expected header names"),
        (
            "[volatile]\njson = ['generatedAt']",
            "2:9: `json`: `generatedAt` is not a valid JSON path: parser error; did you mean `$.generatedAt`?",
        ),
        ("[check]\nallow = ['sha256:12']", "2:10: `allow`: expected a hash"),
    ] {
        let error = refused(text);
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn later_file_overrides_options_and_appends_rules() {
    let config = read(&[
        "[replay]\nmiss-status = 404\nglobs = ['**/a', '**/b']\n[scope]\nnoise = false\n[[match]]\nbody = 'json'",
        "[replay]\nglobs = ['**/c']\nfail-on = ['miss', 'unused']\n[[match]]\nbody = 'form'",
    ])
    .unwrap();
    let words = |id: &str| config.options["replay"][id].words.clone();
    assert_eq!((words("glob"), words("miss_status")), (vec!["**/c".to_owned()], vec!["404".to_owned()]));
    assert_eq!(words("fail_on"), ["miss,unused"]);
    assert!(!config.noise());
    let bodies: Vec<_> = config.rules.iter().filter_map(|rule| rule.body).collect();
    assert_eq!(bodies, [harproxy_matching::MatchBody::Json, harproxy_matching::MatchBody::Form]);
}

#[test]
fn only_paths_are_relative_to_the_configuration_file() {
    let grammar = Cli::command();
    let path = Path::new("conf").join(NAME);
    let text = "[record]\noutput = 'hars/x.har'\nupstream-ca = ['/abs.pem', 'rel.pem']\nclient-cert = 'h=c.pem'\nglobs = ['**/x']\n";
    let document = ConfigFile::new(&path, text, true);
    let item = document.root().unwrap().remove(0);
    let values =
        options::section(&document, document.table("record", item.value).unwrap(), "record", &grammar).unwrap();
    let in_conf = |path: &str| Path::new("conf").join(path).display().to_string();
    assert_eq!(values["output"].words, [in_conf("hars/x.har")]);
    assert_eq!(values["upstream_ca"].words, ["/abs.pem".to_owned(), in_conf("rel.pem")]);
    assert_eq!(values["client_cert"].words, [format!("h={}", in_conf("c.pem"))]);
    assert_eq!(values["glob"].words, ["**/x"]);
}

/// A configuration with all sections.
const EXAMPLE: &str = r#"
[record]
output = "hars/api.har"
globs  = ["https://api.example.com/**", "!**/health"]
[replay]
passthrough = ["https://telemetry.example.com/**"]
max-age = "180d"

[redact]                       # added to the built-in table; `except` removes
headers = ["x-internal-token"]
query   = ["sig2"]
json    = ["$.card.number", "$..ssn"]
text    = ["sk_live_[0-9A-Za-z]+"]
personal = false               # true: e-mail, phone, IBAN, card numbers too, format kept
[redact.values]                # distinguishes equal-looking secrets at replay
password-2 = "env:HARPROXY_TEST_UNSET"
REDACTED-token-1 = "t0k3n"

[volatile]
headers = ["x-build"]
json    = ["$.generatedAt"]

[[match]]
glob         = "**/search*"
ignore-query = ["ts", "_"]
[[match]]
glob         = "**/graphql"
body         = "json"
match-header = ["x-tenant"]
[[match]]
glob  = "https://api.example.com/**"
path  = "/users/{id}/orders"
same-host = ["https://staging.example.com"]
redirects = "serve"

[check]
allow = ["sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"]
"#;

#[test]
fn other_settings_are_parsed_into_types() {
    let config = read(&[EXAMPLE]).unwrap();
    let rules = &config.secrets.rules;
    assert_eq!((&*rules.headers, &*rules.query), (&["x-internal-token".to_owned()][..], &["sig2".to_owned()][..]));
    assert_eq!(
        (&*rules.json, &*rules.text),
        (&["$.card.number", "$..ssn"].map(String::from)[..], &["sk_live_[0-9A-Za-z]+".to_owned()][..])
    );
    assert_eq!(config.volatile.headers, ["x-build"]);
    assert_eq!(config.volatile.json, ["$.generatedAt"]);
    assert_eq!(config.allow, ["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]);
    assert_eq!(config.rules.len(), 3);
    let token = Placeholder { name: harproxy_redact::PlaceholderName::new("token"), number: 1 };
    assert_eq!(config.redact_values(), [(token, "t0k3n".into())], "an unset variable gives no value");
    assert!(!format!("{config:?}").contains("t0k3n"), "values are not shown");
    assert!(!config.policy.is_off());
}

#[test]
fn redact_values_are_read_from_variables() {
    let config = read(&["[redact.values]\npassword-2 = 'env:PATH'"]).unwrap();
    assert_eq!(config.redact_values()[0].1.reveal(), std::env::var("PATH").unwrap());
}

#[test]
fn later_file_overrides_lists_of_secrets() {
    read(&["[redact]\nheaders = ['x-a']", "[redact]\nexcept = ['x-a']"]).unwrap();
    let config = read(&[
        "[redact]\nheaders = ['x-a']\nquery = ['a']\n[redact.values]\na-1 = 'one'\nb-1 = 'two'\n[volatile]\njson = ['$.a']",
        "[redact]\nheaders = ['x-b']\npersonal = true\n[redact.values]\na-1 = 'three'\n[volatile]\nheaders = ['x-c']",
    ])
    .unwrap();
    let rules = &config.secrets.rules;
    assert_eq!(
        (&*rules.headers, &*rules.query, rules.personal),
        (&["x-b".to_owned()][..], &["a".to_owned()][..], true)
    );
    let values: Vec<_> = config.redact_values().into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["three", "two"].map(Secret::from));
    assert_eq!((&*config.volatile.headers, &*config.volatile.json), (&["x-c".to_owned()][..], &["$.a".to_owned()][..]));
}

fn line_of(setting: &Setting) -> usize {
    match &setting.source {
        Origin::File(at) => at.line,
        other => panic!("{other:?}"),
    }
}

#[test]
fn other_settings_have_positions_and_no_secrets() {
    let config = read(&[EXAMPLE, "[redact]\nheaders = ['x-b']\n[[match]]\nbody = 'form'"]).unwrap();
    let settings: Vec<_> = config
        .other_settings
        .iter()
        .map(|setting| (&*setting.name, setting.value.to_string(), line_of(setting)))
        .collect();
    let of = |name: &str| settings.iter().filter(|(known, ..)| *known == name).collect::<Vec<_>>();
    assert_eq!(of("redact.headers"), [&("redact.headers", r#"["x-b"]"#.to_owned(), 2)]);
    assert_eq!(of("redact.query"), [&("redact.query", r#"["sig2"]"#.to_owned(), 11)]);
    assert_eq!(of("match").len(), 4, "rules are appended");
    assert_eq!(of("redact.values.REDACTED-token-1")[0].1, r#""(redacted)""#);
    assert!(of("redact.values.password-2")[0].1.contains("is not set"));
    assert!(settings.iter().all(|(_, value, _)| !value.contains("t0k3n")));
}

/// The reference documentation of the file.
const REFERENCE: &str = include_str!("../../../docs/reference/configuration.md");

#[test]
fn reference_documents_every_name() {
    let grammar = Cli::command();
    let options = COMMANDS.iter().flat_map(|command| options::known(&grammar, command)).map(options::key);
    let others = Config::default().others().into_iter().map(|setting| setting.key().to_owned());
    let rules = rules::KEYS.into_iter().chain(route::KEYS).map(str::to_owned);
    let is_list = |section: &str| ["match", "route"].contains(&section);
    let sections =
        SECTIONS.map(|section| if is_list(section) { format!("[[{section}]]") } else { format!("[{section}]") });
    for name in options.chain(others).chain(rules) {
        assert!(REFERENCE.contains(&format!("`{name}`")) || REFERENCE.contains(&format!("`{name} = ")), "`{name}`");
    }
    for section in sections {
        assert!(REFERENCE.contains(&section), "{section}");
    }
}

#[test]
fn example_of_the_reference_is_valid() {
    let (_, example) = REFERENCE.split_once("```toml\n").unwrap();
    let config = read(&[example.split_once("```").unwrap().0]).unwrap();
    assert_eq!((config.rules.len(), config.volatile.headers.len()), (2, 1));
}
