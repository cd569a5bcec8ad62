use std::time::Duration;

use super::values::*;
use std::path::PathBuf;

use super::*;
use crate::replay::MissAnswer;
use harproxy_proxy::upstream::{Timeouts, UpstreamProxy};

fn parse(args: &[&str]) -> Result<Command, String> {
    let args = std::iter::once("harproxy").chain(args.iter().copied()).map(OsString::from);
    Cli::try_parse_from(args).map(|cli| cli.command).map_err(|error| error.to_string())
}

fn record(args: &[&str]) -> RecordArgs {
    match parse(&[&["record"], args].concat()).unwrap() {
        Command::Record(args) => *args,
        other => panic!("{other:?}"),
    }
}

fn replay(args: &[&str]) -> ReplayArgs {
    match parse(&[&["replay"], args].concat()).unwrap() {
        Command::Replay(args) => *args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn grammar_passes_claps_debug_assertions() {
    Cli::command().debug_assert();
}

#[test]
fn defaults_match_the_documentation() {
    let record = record(&[]);
    assert_eq!(record.output, PathBuf::from("hars/recorded.har"));
    assert_eq!((record.content, record.update), (Default::default(), Default::default()));
    assert!(record.glob.is_empty() && record.max_body.is_none() && record.cmd.is_empty());
    assert_eq!(record.upstream.timeouts(), Timeouts::default());
    assert_eq!(
        (record.proxy.head_timeout, record.upstream.idle_timeout),
        (Duration::from_secs(15), Duration::from_secs(60))
    );
    assert_eq!(record.run.grace, Duration::from_secs(5));
    let replay = replay(&[]);
    assert_eq!(replay.miss_status, MissAnswer::Status(501));
    assert!(!replay.no_local && !replay.no_mark && replay.fail_on.is_none() && replay.fixtures.is_empty());
    assert_eq!(replay.clock, crate::replay::Clock::Shift);
}

#[test]
fn all_words_after_double_dash_are_cmd() {
    let args = record(&["-g", "**/a", "--", "curl", "--glob", "-v", "--"]);
    assert_eq!(args.cmd, ["curl", "--glob", "-v", "--"]);
    let args = replay(&["a.har", "b.har", "--", "true"]);
    assert_eq!(args.fixtures, [PathBuf::from("a.har"), PathBuf::from("b.har")]);
    assert_eq!(args.cmd, ["true"]);
}

#[test]
fn errors_name_the_option_and_give_an_example() {
    for (args, option, example) in [
        (["record", "--grace=5"], "--grace", "`5s`"),
        (["record", "--max-body=ten"], "--max-body", "`10MB`"),
        (["record", "--listen=nowhere"], "--listen", "`127.0.0.1:8899`"),
        (["record", "--auth=me"], "--auth", "`me:secret`"),
        (["record", "--map=a"], "--map", "`api.example.com=127.0.0.1:8443`"),
        (["record", "--reverse=a"], "--reverse", "`https://api.example.com`"),
        (["record", "--upstream-proxy=a"], "--upstream-proxy", "`http://proxy.example.com:3128`"),
        (["record", "--client-cert=a"], "--client-cert", "`api.example.com=client.pem`"),
        (["record", "--report=a.pdf"], "--report", "`report.html`"),
        (["replay", "--miss-status=99"], "--miss-status", "`404`"),
        (["replay", "--match-header=a b"], "--match-header", "`x-tenant,accept-language`"),
        (["replay", "--same-host=a"], "--same-host", "`https://staging.example.com="),
        (["replay", "--fail-on=+unusd"], "--fail-on", "unknown finding kind `+unusd`: use miss, "),
        (["replay", "--ignore-body=.a"], "--ignore-body", "`.a` is not a valid JSON path: "),
        (["replay", "--max-age=3y"], "--max-age", "`180d`"),
        (["replay", "--repeat=never"], "--repeat", "sequence"),
    ] {
        let error = parse(&args).unwrap_err();
        assert!(error.contains(option) && error.contains(example), "{args:?}: {error}");
    }
}

#[test]
fn lists_are_split_at_commas_unless_values_contain_them() {
    let args =
        replay(&["--ignore-query", "ts,_", "--match-header", "X-Tenant,Accept", "-g", "**/{a,b}", "-g", "!**/c"]);
    assert_eq!(args.matching.ignore_query, ["ts", "_"]);
    assert_eq!(args.matching.match_header, ["x-tenant", "accept"]);
    assert_eq!(args.glob, ["**/{a,b}", "!**/c"]);
    assert_eq!(replay(&["--fail-on", "-miss,+unused"]).fail_on.as_deref(), Some("-miss,+unused"));
}

#[test]
fn insecure_takes_its_glob_only_after_an_equals_sign() {
    assert_eq!(record(&["--insecure", "--", "x"]).upstream.insecure, ["**"]);
    assert_eq!(record(&["--insecure=https://a/**", "--insecure=https://b/**"]).upstream.insecure.len(), 2);
    assert_eq!(replay(&["--insecure", "a.har"]).fixtures, [PathBuf::from("a.har")]);
}

#[test]
fn listen_addresses_are_parsed() {
    for (text, meant) in [
        ("0", "127.0.0.1:0"),
        ("9000", "127.0.0.1:9000"),
        ("0.0.0.0:1", "0.0.0.0:1"),
        ("[::1]:8899", "[::1]:8899"),
        ("localhost:80", "127.0.0.1:80"),
    ] {
        assert_eq!(parse_listen(text).unwrap().to_string(), meant);
    }
    for bad in ["", "65536", "example.com:80", "127.0.0.1"] {
        assert!(parse_listen(bad).is_err(), "{bad}");
    }
    assert_eq!(record(&["-p", "0"]).proxy.listen.listen, record(&["--listen", "127.0.0.1:0"]).proxy.listen.listen);
}

#[test]
fn durations_and_sizes_are_parsed() {
    for (text, millis) in [("5s", 5000), ("200ms", 200), ("1.5s", 1500), ("2m", 120_000), ("1h", 3_600_000), ("0", 0)] {
        assert_eq!(parse_duration(text).unwrap(), Duration::from_millis(millis), "{text}");
    }
    for bad in ["", "5", "s", "-1s", "1 fortnight", "1e3s", "99999999999999999999999d", "40000d", "1.2.3s"] {
        assert!(parse_duration(bad).is_err(), "{bad}");
    }
    for (text, bytes) in
        [("0", 0), ("4096", 4096), ("10MB", 10_000_000), ("512KiB", 524_288), ("1.5k", 1500), ("2 gib", 1 << 31)]
    {
        assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
    }
    for bad in ["", "MB", "-1", "1XB", "99999999999GB"] {
        assert!(parse_size(bad).is_err(), "{bad}");
    }
}

#[test]
fn reverse_origins_are_parsed_into_name_prefix_and_base_path() {
    for (text, name, prefix, origin, base) in [
        ("https://api.example.com", "API_EXAMPLE_COM", None, "https://api.example.com", ""),
        ("billing=https://api.example.com/v2/", "billing", None, "https://api.example.com", "/v2"),
        ("/pay=http://pay.test:81", "PAY_TEST", Some("/pay"), "http://pay.test:81", ""),
        ("PAY=/pay/=http://[::1]:81/x=y", "PAY", Some("/pay"), "http://[::1]:81", "/x=y"),
    ] {
        let reverse = parse_reverse(text).unwrap();
        let got = (reverse.name.as_str(), reverse.prefix.as_deref(), reverse.origin.to_string());
        assert_eq!(got, (name, prefix, origin.to_owned()), "{text}");
        assert_eq!(reverse.base_path, base, "{text}");
    }
    for (text, name, port) in [
        ("4010=https://api.example.com", "API_EXAMPLE_COM", 4010),
        ("API=4010=https://api.example.com", "API", 4010),
        ("API=https://api.example.com", "API", 0),
    ] {
        let reverse = parse_reverse(text).unwrap();
        assert_eq!((reverse.name.as_str(), reverse.port), (name, port), "{text}");
    }
    for bad in [
        "0=https://x",
        "70000=https://x",
        "4010=/p=https://x",
        "",
        "api",
        "x=",
        "ftp://a",
        "a-b=https://x",
        "https://x/?q=1",
        "=https://x",
        "API=http://u:p@host",
        "API=http://u@host",
    ] {
        assert!(parse_reverse(bad).is_err(), "{bad}");
    }
}

#[test]
fn mappings_and_bypasses_are_parsed() {
    let map = parse_map("API.test:443=[::1]:8443").unwrap();
    assert_eq!(
        (map.host.as_str(), map.port, map.to_host.as_str(), map.to_port),
        ("api.test", Some(443), "::1", Some(8443))
    );
    let map = parse_map("::1=localhost").unwrap();
    assert_eq!((map.host.as_str(), map.port, map.to_host.as_str(), map.to_port), ("::1", None, "localhost", None));
    for bad in ["a", "a=", "=b", "a:b=c", "a=c:99999", "https://a=b", "[::1=b"] {
        assert!(parse_map(bad).is_err(), "{bad}");
    }
    assert!(parse_bypass("db.internal:5432").is_ok() && parse_bypass("http://x").is_err());
}

#[test]
fn upstream_proxies_and_miss_statuses_are_parsed() {
    assert!(matches!(parse_upstream_proxy("none"), Ok(UpstreamProxy::Direct)));
    assert!(matches!(parse_upstream_proxy("socks5://127.0.0.1:1080"), Ok(UpstreamProxy::Url(_))));
    for bad in ["", "proxy:3128", "ftp://x", "http://"] {
        assert!(parse_upstream_proxy(bad).is_err(), "{bad}");
    }
    assert_eq!(parse_miss_status("abort"), Ok(MissAnswer::Abort));
    assert_eq!(parse_miss_status("404"), Ok(MissAnswer::Status(404)));
    assert!(parse_miss_status("100").is_err() && parse_miss_status("600").is_err());
}
