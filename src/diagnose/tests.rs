use super::processes::ClosedWhile;
use super::runtime::{Guess, guess};
use super::*;
use crate::verdict::{CheckId, Counts, Finding, RunMode, Severity, Verdict};

fn evidence(cmd: &str) -> Evidence {
    let words = cmd.split(' ').map(str::to_owned).collect();
    Evidence { words, command: cmd.to_owned(), ..Evidence::default() }
}

fn ran(names: &[&str]) -> Option<Vec<Program>> {
    let program = |name: &&str| Program { name: (*name).to_owned(), version: None, cleared: Some(false) };
    Some(names.iter().map(program).collect())
}

fn project(files: &[&str], manifests: &[(&str, &str)]) -> Project {
    let files = files.iter().chain(manifests.iter().map(|(name, _)| name)).map(ToString::to_string).collect();
    let manifests = manifests.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Project { files, manifests, unreadable: Vec::new() }
}

fn runtimes(evidence: &Evidence) -> Vec<Runtime> {
    guess(evidence).into_iter().map(|Guess { runtime, .. }| runtime).collect()
}

#[test]
fn runtime_is_guessed_from_the_words_of_cmd() {
    use Runtime::*;
    for (cmd, expected) in [
        ("npx playwright test", Playwright),
        ("/usr/bin/python3.11 -m pytest", Python),
        ("go run .", Go),
        ("./gradlew test", JavaBuild),
        ("java -jar app.jar", Java),
        ("bundle exec rspec", Ruby),
        ("cargo test", Rust),
        ("docker run image", Docker),
        ("sudo -u app ./run", Sudo),
        ("tox -e py312", Tox),
        ("deno run main.ts", Deno),
        ("bun test", Bun),
        ("dotnet test", DotNet),
        ("node server.js", Node),
        ("php artisan test", Php),
        ("curl http://localhost/", Curl),
        ("npx cypress run", Cypress),
    ] {
        assert_eq!(runtimes(&evidence(cmd)).first(), Some(&expected), "{cmd}");
    }
    for cmd in ["./run-the-tests.sh", "make test", "true", "my-tool --name docker --to tox"] {
        assert_eq!(runtimes(&evidence(cmd)), [], "{cmd}");
    }
}

#[test]
fn shell_lines_and_npm_scripts_are_searched() {
    let mut line = evidence("sh -c");
    line.words.push("cd e2e && X=1 npx playwright test".into());
    assert_eq!(runtimes(&line), [Runtime::Playwright]);
    let manifest = r#"{"scripts": {"e2e": "start-server-and-test serve 3000 'cypress run'"}}"#;
    let npm = Evidence { project: project(&[], &[("package.json", manifest)]), ..evidence("npm run e2e") };
    assert_eq!(runtimes(&npm), [Runtime::Cypress]);
}

#[test]
fn running_programs_reveal_the_runtime_behind_a_wrapper() {
    let make = Evidence { programs: ran(&["make", "sh", "java"]), ..evidence("make test") };
    let guesses = guess(&make);
    assert_eq!(guesses[0], Guess { runtime: Runtime::Java, reason: "`java` ran".into() });
}

#[test]
fn project_folder_refines_a_guess_and_decides_alone_otherwise() {
    let e2e = || project(&["playwright.config.ts", "go.mod"], &[("package.json", r#"{"devDependencies":{}}"#)]);
    let npm = Evidence { project: e2e(), ..evidence("npm test") };
    assert_eq!(runtimes(&npm), [Runtime::Playwright], "not Go: no Go program ran");
    let go = Evidence { project: e2e(), ..evidence("go vet ./...") };
    assert_eq!(runtimes(&go), [Runtime::Go]);
    let make = Evidence { project: project(&["go.mod"], &[]), ..evidence("make test") };
    assert_eq!(guess(&make)[0].reason, "`go.mod` is here");
    let aiohttp = Evidence { project: project(&[], &[("requirements.txt", "aiohttp==3.9\n")]), ..evidence("pytest") };
    let best = &guess(&aiohttp)[0];
    assert_eq!(best.reason, "`requirements.txt` mentions aiohttp");
    assert!(advice::hint_for_runtime(best.runtime, &aiohttp).contains("trust_env=True"));
}

#[test]
fn go_test_without_a_test_binary_is_cached() {
    let test = |programs| Evidence { programs, ..evidence("go test ./...") };
    assert_eq!(runtimes(&test(ran(&["go"]))), [Runtime::GoCached]);
    assert_eq!(runtimes(&test(ran(&["go", "compile", "link", "api.test"]))), [Runtime::Go]);
    assert_eq!(runtimes(&test(ran(&["go", "link"]))), [Runtime::Go], "it was built, so it ran, if only briefly");
    assert_eq!(runtimes(&test(None)), [Runtime::Go], "the programs are unknown");
    assert!(advice::hint_for_runtime(Runtime::Go, &test(None)).contains("-count=1"));
    let counted = Evidence { programs: ran(&["go"]), ..evidence("go test -count=1 ./...") };
    assert_eq!(runtimes(&counted), [Runtime::Go]);
}

#[test]
fn program_without_the_variables_comes_first() {
    let mut programs = ran(&["env", "curl"]);
    programs.as_mut().unwrap()[1].cleared = Some(true);
    let guesses = guess(&Evidence { programs, ..evidence("env -i curl http://a/") });
    assert_eq!(guesses[0].runtime, Runtime::Cleared);
    assert!(guesses[0].reason.contains("`curl` was started without"), "{guesses:?}");
}

/// The verdict of a run with this number of requests and these findings.
fn verdict(requests: u64, checks: &[CheckId]) -> Verdict {
    let findings = checks.iter().map(|check| Finding {
        hint: Some("the usual".into()),
        ..Finding::new(check.clone(), Severity::Error, "nothing came through the proxy")
    });
    let counts = Counts { requests, ..Counts::default() };
    Verdict {
        mode: RunMode::REPLAY,
        counts,
        findings: findings.collect(),
        fixtures: vec![],
        duration_ms: 0,
        rules: Vec::new(),
        observation: None,
    }
}

fn bypasses(to: &str) -> Bypasses {
    let connection =
        DirectConnection { program: "api.test".into(), to: to.parse().unwrap(), ..DirectConnection::default() };
    Bypasses::find(
        &[connection],
        &BypassRules { may_match_origin: &|_| true, hosts: &ScopeHosts::default(), no_proxy: &[], map: &[] },
    )
}

#[test]
fn silence_is_explained_by_the_runtime_and_the_bypasses() {
    let evidence = Evidence { bypasses: bypasses("127.0.0.1:3999"), ..evidence("go run .") };
    for kind in [CheckId::NO_TRAFFIC, CheckId::NOTHING_RECORDED] {
        let mut verdict = verdict(0, &[kind]);
        advise(&mut verdict, &evidence);
        let [finding] = &verdict.findings[..] else { panic!("{:?}", verdict.findings) };
        assert_eq!(
            finding.text,
            "nothing came through the proxy, but api.test connected to 127.0.0.1:3999 without the proxy"
        );
        let remedy = finding.hint.as_deref().unwrap();
        assert!(remedy.contains("`--reverse API=http://127.0.0.1:3999`"), "{remedy}");
        assert!(
            remedy.ends_with("run `harproxy doctor -- go run .`: it names the programs that bypass the proxy"),
            "{remedy}"
        );
    }
}

#[test]
fn unknown_program_keeps_the_hint_and_a_long_command_is_not_repeated() {
    let long = "x".repeat(100);
    let mut verdict = verdict(0, &[CheckId::NO_TRAFFIC]);
    advise(&mut verdict, &evidence(&long));
    let remedy = verdict.findings[0].hint.as_deref().unwrap();
    assert!(remedy.starts_with("the usual\nrun `harproxy doctor -- CMD`"), "{remedy}");
}

#[test]
fn rejected_certificate_explains_the_silence() {
    let mut verdict = verdict(0, &[CheckId::TLS_REFUSED, CheckId::NO_TRAFFIC]);
    advise(&mut verdict, &evidence("node a.js"));
    let finding = &verdict.findings[1];
    assert!(finding.text.contains("rejected harproxy's certificate"), "{finding:?}");
    assert!(finding.hint.as_deref().unwrap().contains("trust the CA"), "{finding:?}");
}

#[test]
fn bypasses_are_findings_with_hints() {
    let mut verdict = verdict(7, &[]);
    advise(&mut verdict, &Evidence { bypasses: bypasses("93.184.216.34:443"), ..evidence("go run .") });
    let [finding] = &verdict.findings[..] else { panic!("{:?}", verdict.findings) };
    assert_eq!((&finding.check, finding.severity), (&CheckId::BYPASS, Severity::Warning));
    assert_eq!(finding.text, "api.test connected to 93.184.216.34:443 without the proxy");
    assert!(finding.hint.as_deref().unwrap().contains("http.ProxyFromEnvironment"), "{finding:?}");
    let failing =
        Evidence { bypasses: bypasses("93.184.216.34:443"), severity: Some(Severity::Error), ..evidence("go run .") };
    let mut verdict = self::verdict(7, &[]);
    advise(&mut verdict, &failing);
    assert_eq!(verdict.findings[0].severity, Severity::Error);
    let mut quiet = self::verdict(7, &[]);
    advise(&mut quiet, &Evidence { bypasses: bypasses("127.0.0.1:3999"), ..evidence("go test") });
    assert_eq!(quiet.findings.len(), 0, "on this machine it may be the test's own server");
}

#[test]
fn chromium_that_ran_gets_its_arguments_if_a_client_refused_the_certificate() {
    let refused = |is_of_unnamed_client| {
        let finding = Finding::new(CheckId::TLS_REFUSED, Severity::Warning, "refused").with_hint("the usual");
        let finding = Finding { is_of_unnamed_client, ..finding };
        Verdict { findings: vec![finding], ..verdict(7, &[]) }
    };
    for (programs, is_unnamed, expected) in [
        (&["node", "chromium"][..], true, true),
        (&["java", "chromedriver"], true, true),
        (&["node", "firefox"], true, false),
        (&["node", "chromium"], false, false),
    ] {
        let mut verdict = refused(is_unnamed);
        advise(&mut verdict, &Evidence { programs: ran(programs), ..evidence("npm test") });
        let hint = verdict.findings[0].hint.as_deref().unwrap();
        assert!(hint.starts_with("the usual"), "{hint}");
        assert_eq!(hint.contains("HARPROXY_RUN_CHROMIUM_ARGS"), expected, "{programs:?} {is_unnamed}");
    }
}

#[test]
fn driver_gets_the_arguments_of_chromium() {
    let manifest = r#"{"devDependencies": {"puppeteer": "24"}}"#;
    let npm = Evidence { project: project(&[], &[("package.json", manifest)]), ..evidence("npm test") };
    assert_eq!(runtimes(&npm), [Runtime::Driver]);
    assert!(advice::hint_for_runtime(Runtime::Driver, &npm).contains("HARPROXY_RUN_CHROMIUM_ARGS"));
}

#[test]
fn closed_connection_is_a_warning_if_it_is_of_another_program() {
    for (closed, expected) in [
        (&[ClosedWhile::CmdRan][..], Severity::Error),
        (&[ClosedWhile::CmdWaited], Severity::Warning),
        (&[ClosedWhile::CmdWaited, ClosedWhile::CmdRan], Severity::Error),
    ] {
        let connection = |(port, closed): (u16, &ClosedWhile)| DirectConnection {
            program: "an unknown program".into(),
            to: ([127, 0, 0, 1], port).into(),
            closed: Some(*closed),
            ..DirectConnection::default()
        };
        let connections: Vec<_> = (3000..).zip(closed).map(connection).collect();
        let in_scope = |origin: &str| origin.starts_with("http://127.0.0.1:300");
        let hosts = ScopeHosts::default();
        let rules = BypassRules { may_match_origin: &in_scope, hosts: &hosts, no_proxy: &[], map: &[] };
        let bypasses = Bypasses::find(&connections, &rules);
        let mut verdict = verdict(7, &[]);
        advise(&mut verdict, &Evidence { bypasses, severity: Some(Severity::Error), ..evidence("go run .") });
        let [finding] = &verdict.findings[..] else { panic!("{:?}", verdict.findings) };
        assert_eq!(finding.severity, expected, "{closed:?}");
        assert_eq!(
            finding.text.contains("most likely of another program"),
            expected == Severity::Warning,
            "{finding:?}"
        );
    }
}

#[test]
fn connections_are_sampled_if_a_program_was_seen() {
    let observed = |programs| {
        let observation = Evidence { programs, ..evidence("true") }.observation();
        (observation.sampled, observation.ended_too_soon)
    };
    assert_eq!(observed(ran(&["true"])), (true, false));
    assert_eq!(observed(ran(&[])), (false, true));
    assert_eq!(observed(None), (false, false), "a system that does not show programs");
}
