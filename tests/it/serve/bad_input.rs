//! Configurations that can't be used: one error each, before anything listens.

use super::{entry, har, sandbox};

#[test]
fn rules_have_clear_errors_with_a_position() {
    for (rule, said) in [
        ("source = 'fixture'", "a rule needs `match`"),
        ("match = 'GET {a'", "`match`"),
        ("match = '**'\nsouce = 'fixture'", "unknown option of [[route]] `souce`; did you mean `source`?"),
        ("match = '**'\nsource = 'cache'", "expected fixture, live, local or none"),
        ("match = '**'\nsource = []", "expected at least one source"),
        ("match = '**'\nfallback-on = 'miss'", "a rule with `fallback-on` needs `source`"),
        ("match = '**'\nwhen = { rate = 2 }", "expected a share from 0 to 1"),
        ("match = '**'\nwhen = { nth = 0 }", "expected numbers from 1 on"),
        ("match = '**'\nwhen = { body.amount = 1 }", "`amount` is not a valid JSON path"),
        ("match = '**'\nwhen = { query.a = { gtt = 1 } }", "unknown test of a value `gtt`"),
        ("match = '**'\nrespond = { status = 99 }", "expected a status from 200 to 599"),
        ("match = '**'\nrespond = { file = 'none.json' }", "none.json"),
        ("match = '**'\nrespond = { file = '/etc/hostname' }", "is outside the folder of this file"),
        ("match = '**'\nrespond = { file = '../x' }", "is outside the folder of this file"),
        ("match = '**'\npatch = [{ op = 'replace', path = 'a', value = 1 }]", "`a` is not a valid JSON path"),
        ("match = '**'\npatch = [{ op = 'move' }]", "expected `op`"),
        ("match = '**'\nfault = { kind = 'status', status = 200 }", "`status` must be from 400 to 599"),
        ("match = '**'\nfault = 'earthquake'", "expected a `kind` of status, timeout"),
        ("match = '**'\ndelay = { min = '2s', max = '1s' }", "`min` is greater than `max`"),
        ("match = '**'\nstate = { path = '/orders/{id}' }", "`state` needs an `id`"),
        ("match = '**'\nstate = { id = '$.id', path = '/{a}/{b}' }", "the last segment of `path` alone"),
        ("match = '**'\nsplit = { live = 200 }", "expected a percentage"),
        ("match = '**'\nsource = 'live'\nrespond = { status = 200 }", "`respond` and `source` exclude each other"),
        ("match = '**'\nrespond = { json = 1, text = 'x' }", "`json` and `text` exclude each other"),
        ("match = '**'\nwhen = { nth = 1, rate = 0.1 }", "`nth` and `rate` exclude each other"),
        ("match = '**'\nsource = ['live', 'live']", "names one of the sources twice"),
        ("match = '**'\nsource = ['none', 'live']", "put `none` at the end"),
        ("match = '**'\nrate = '1KiB/s'\nfault = 'slow'", "`rate` and the fault `slow` exclude each other"),
        ("match = '**'\nfault = { kind = 'timeout', status = 503 }", "unknown option `status`; known are kind"),
        (
            "match = '**'\ndelay = { min = '1ms', max = '2ms', sed = 7 }",
            "unknown option `sed`; known are min, max, seed",
        ),
        ("match = '**'\nname = ' '", "the name of a rule is empty"),
        ("match = '**'\nsource = 'fixture'\nsplit = { live = 9 }", "`split` needs `live` and another source"),
        ("match = '**'\nheaders = { x-key = 'k' }", "a rule with `headers` names the server in `match`"),
        ("match = 'http*://*/echo'\nheaders = { x-key = 'k' }", "a rule with `headers` names the server in `match`"),
        ("match = 'https://api.*/**'\nheaders = { x-key = 'k' }", "a rule with `headers` names the server in `match`"),
        ("match = 'https://*:8443/**'\nheaders = { x-key = 'k' }", "a rule with `headers` names the server in `match`"),
        ("match = '**'\npatch = [{ op = 'status', path = '$', value = 200 }]", "unknown option `path`"),
        ("match = '**'\nwhen = { header.a = {} }", "expected a value, or a test"),
        ("match = '**'\nwhen = { header.'a b' = 'x' }", "`a b` is not the name of a header"),
        (
            "match = '**'\ntemplate = true\nrespond = { json = { a = '{{ body(\"$.a\") }}' } }",
            "within `json` write 'x' for \"x\"",
        ),
        ("match = '**'\npath = '/{a}'\nwhen = { path.b = 'x' }", "`when.path` names a segment"),
        ("match = '**'\npatch = [{ op = 'remove', path = '$.a', valeu = 1 }]", "unknown option `valeu`"),
        ("match = '**'\nfault = { kind = 'status', status = 429, retry-after = '400d' }", "at most a year"),
        ("match = '**'\n[[expect]]\nmatch = '**'\ntimes = {}", "expected a number, `\"never\"`"),
        ("match = '**'\n[[expect]]\nmatch = '**'\nbody = { '$.a' = {} }", "expected a value, or a test"),
        ("name = 'a'\nmatch = '**'\n[[route]]\nname = 'a'\nmatch = '**'", "two rules have the name `a`"),
    ] {
        let sandbox = sandbox(&format!("[[route]]\n{rule}\n"));
        let output = sandbox.run(["serve"]).expect(2).says(said);
        assert!(output.stderr.contains("harproxy.toml:"), "{output:?}");
    }
}

#[test]
fn unset_variable_of_a_live_header_matters_only_if_requests_go_live() {
    let rule =
        "[[route]]\nname = 'orders'\nmatch = 'https://api.test/**'\nheaders = { x-key = 'env:HARPROXY_NOT_SET' }\n";
    let sandbox = sandbox(rule);
    sandbox.run(["check", "hars"]).expect(0);
    sandbox.run(["explain", "hars", "--url", "https://api.test/orders"]).expect(0);
    sandbox.write("harproxy.toml", format!("{rule}source = 'live'\n"));
    sandbox.run(["check", "hars"]).expect(0);
    let said = "`headers` of rule `orders`: the variable `HARPROXY_NOT_SET` is not set";
    sandbox.run(["serve"]).expect(2).says(said);
    sandbox.run(["replay", "--allow-live", "--", "true"]).expect(2).says(said);
}

#[test]
fn options_have_clear_errors() {
    let sandbox = sandbox("");
    sandbox.run(["serve", "--", "true"]).expect(2).says("`serve` runs no program");
    sandbox.run(["serve", "--api-key", "env:HARPROXY_NOT_SET"]).expect(2).says("`HARPROXY_NOT_SET` is not set");
    sandbox.run(["serve", "--on-miss", "record", "hars/api.har"]).expect(2).says("`serve` changes no fixture");
    sandbox.run(["serve", "--prune"]).expect(2).says("`serve` changes no fixture");
    sandbox.run(["serve", "--offline", "--passthrough", "**"]).expect(2).says("`serve` is offline");
    sandbox.run(["serve", "hars/none.har"]).expect(2).says("hars/none.har");
}

#[test]
fn unknown_name_of_an_entry_is_an_error_before_anything_listens() {
    let config = "[[route]]\nname = 'r'\nmatch = '**'\nrespond = { example = 'E9' }\n";
    let sandbox = sandbox(config);
    let said = "`respond` of rule `r`: no entry has the name `E9`";
    sandbox.run(["serve"]).expect(2).says(said).says("give an entry this `comment`");
    sandbox.write("hars/api.har", har(&[entry("E1", "GET", "/a", 200, ""), entry("E2", "GET", "/b", 404, "")]));
    sandbox.run(["serve"]).expect(2).says(said).says("the names are `E1`, `E2`");
    sandbox.run(["replay", "--", "true"]).expect(2).says(said);
}

#[test]
fn config_shows_no_credentials_of_rules() {
    let sandbox = sandbox(
        "[vars]\ntoken = 'v4r-s3cret'\n[[route]]\nmatch = 'https://api.test/**'\nsource = 'live'\n\
         headers = { authorization = 'Bearer l1ve-s3cret', x-key = 'env:API_KEY' }\n\
         when = { header.authorization = 'Bearer wh3n-s3cret' }\n",
    );
    for args in [&["config"][..], &["config", "--json"]] {
        // The variable is only named.
        let output = sandbox.command(args).env("API_KEY", "k3y-s3cret").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("env:API_KEY"), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}
