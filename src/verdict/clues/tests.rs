use super::runtime::{Guess, guess};
use super::*;
use crate::verdict::{Counts, Mode};

fn clues(cmd: &str) -> Clues {
    let words = cmd.split(' ').map(str::to_owned).collect();
    Clues { words, command: cmd.to_owned(), ..Clues::default() }
}

fn ran(names: &[&str]) -> Option<Vec<Program>> {
    let program = |name: &&str| Program { name: (*name).to_owned(), version: None, cleared: Some(false) };
    Some(names.iter().map(program).collect())
}

fn project(files: &[&str], manifests: &[(&str, &str)]) -> Project {
    let files = files.iter().chain(manifests.iter().map(|(name, _)| name)).map(ToString::to_string).collect();
    let manifests = manifests.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Project { files, manifests }
}

fn runtimes(clues: &Clues) -> Vec<Runtime> {
    guess(clues).into_iter().map(|Guess { runtime, .. }| runtime).collect()
}

#[test]
fn a_program_is_known_by_what_was_typed() {
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
        assert_eq!(runtimes(&clues(cmd)).first(), Some(&expected), "{cmd}");
    }
    for cmd in ["./run-the-tests.sh", "make test", "true", "my-tool --name docker --to tox"] {
        assert_eq!(runtimes(&clues(cmd)), [], "{cmd}");
    }
}

#[test]
fn a_line_for_a_shell_and_a_script_of_npm_are_looked_into() {
    let mut line = clues("sh -c");
    line.words.push("cd e2e && X=1 npx playwright test".into());
    assert_eq!(runtimes(&line), [Runtime::Playwright]);
    let manifest = r#"{"scripts": {"e2e": "start-server-and-test serve 3000 'cypress run'"}}"#;
    let npm = Clues { project: project(&[], &[("package.json", manifest)]), ..clues("npm run e2e") };
    assert_eq!(runtimes(&npm), [Runtime::Cypress]);
}

#[test]
fn what_ran_says_what_a_wrapper_hides() {
    let make = Clues { programs: ran(&["make", "sh", "java"]), ..clues("make test") };
    let guesses = guess(&make);
    assert_eq!(guesses[0], Guess { runtime: Runtime::Java, because: "`java` ran".into() });
}

#[test]
fn the_folder_says_more_of_a_language_and_speaks_alone_where_nothing_else_does() {
    let e2e = || project(&["playwright.config.ts", "go.mod"], &[("package.json", r#"{"devDependencies":{}}"#)]);
    let npm = Clues { project: e2e(), ..clues("npm test") };
    assert_eq!(runtimes(&npm), [Runtime::Playwright], "not Go, which nobody ran");
    let go = Clues { project: e2e(), ..clues("go vet ./...") };
    assert_eq!(runtimes(&go), [Runtime::Go]);
    let make = Clues { project: project(&["go.mod"], &[]), ..clues("make test") };
    assert_eq!(guess(&make)[0].because, "`go.mod` is here");
    let aiohttp = Clues { project: project(&[], &[("requirements.txt", "aiohttp==3.9\n")]), ..clues("pytest") };
    let told: Vec<String> = guess(&aiohttp).iter().map(|guess| guess.told(&aiohttp)).collect();
    assert!(told[0].starts_with("`requirements.txt` mentions aiohttp: "), "{told:?}");
    assert!(told[0].contains("trust_env=True"), "{told:?}");
}

#[test]
fn go_test_without_a_test_binary_answered_from_its_cache() {
    let test = |programs| Clues { programs, ..clues("go test ./...") };
    assert_eq!(runtimes(&test(ran(&["go"]))), [Runtime::GoCached]);
    assert_eq!(runtimes(&test(ran(&["go", "compile", "link", "api.test"]))), [Runtime::Go]);
    assert_eq!(runtimes(&test(ran(&["go", "link"]))), [Runtime::Go], "it was built, so it ran, however briefly");
    assert_eq!(runtimes(&test(None)), [Runtime::Go], "nothing is known");
    assert!(remedy::of(Runtime::Go, &test(None)).contains("-count=1"));
    let counted = Clues { programs: ran(&["go"]), ..clues("go test -count=1 ./...") };
    assert_eq!(runtimes(&counted), [Runtime::Go]);
}

#[test]
fn a_program_without_the_variables_comes_first() {
    let mut programs = ran(&["env", "curl"]);
    programs.as_mut().unwrap()[1].cleared = Some(true);
    let guesses = guess(&Clues { programs, ..clues("env -i curl http://a/") });
    assert_eq!(guesses[0].runtime, Runtime::Cleared);
    assert!(guesses[0].because.contains("`curl` was started without"), "{guesses:?}");
}

/// A run to whose proxy so many requests came, and in which this was found.
fn verdict(requests: u64, kinds: &[CheckId]) -> Verdict {
    let findings = kinds.iter().map(|kind| Finding {
        hint: Some("the usual".into()),
        ..Finding::new(kind.clone(), Severity::Error, "nothing came through the proxy")
    });
    let counts = Counts { requests, ..Counts::default() };
    Verdict { mode: Mode::REPLAY, counts, findings: findings.collect(), fixtures: vec![], duration_ms: 0 }
}

fn past(to: &str) -> Past {
    let connection = Connection { program: "api.test".into(), to: to.parse().unwrap(), udp: false, own: false };
    Past::of(&[connection], &Bounds { may_match_origin: &|_| true, let_past: &[] })
}

#[test]
fn silence_is_explained_by_the_runtime_and_by_what_went_past() {
    let clues = Clues { past: past("127.0.0.1:3999"), ..clues("go run .") };
    for kind in [CheckId::NO_TRAFFIC, CheckId::NOTHING_RECORDED] {
        let mut verdict = verdict(0, &[kind]);
        advise(&mut verdict, &clues);
        let [finding] = &verdict.findings[..] else { panic!("{:?}", verdict.findings) };
        assert_eq!(
            finding.text,
            "nothing came through the proxy, but api.test connected to 127.0.0.1:3999 without the proxy"
        );
        let remedy = finding.hint.as_deref().unwrap();
        assert!(remedy.contains("`--reverse API=http://127.0.0.1:3999`"), "{remedy}");
        assert!(
            remedy.ends_with("`harproxy doctor -- go run .` runs it once and names what goes past the proxy"),
            "{remedy}"
        );
    }
}

#[test]
fn an_unknown_program_keeps_the_usual_remedy_and_a_long_one_is_not_repeated() {
    let long = "x".repeat(100);
    let mut verdict = verdict(0, &[CheckId::NO_TRAFFIC]);
    advise(&mut verdict, &clues(&long));
    let remedy = verdict.findings[0].hint.as_deref().unwrap();
    assert!(remedy.starts_with("the usual\n`harproxy doctor -- CMD`"), "{remedy}");
}

#[test]
fn where_clients_refused_the_certificate_that_is_the_reason() {
    let mut verdict = verdict(0, &[CheckId::TLS_REFUSED, CheckId::NO_TRAFFIC]);
    advise(&mut verdict, &clues("node a.js"));
    let finding = &verdict.findings[1];
    assert!(finding.text.contains("refused harproxy's certificate"), "{finding:?}");
    assert!(finding.hint.as_deref().unwrap().contains("trust the CA"), "{finding:?}");
}

#[test]
fn beside_traffic_what_went_past_is_listed_with_its_remedy() {
    let mut verdict = verdict(7, &[]);
    advise(&mut verdict, &Clues { past: past("93.184.216.34:443"), ..clues("go run .") });
    let [finding] = &verdict.findings[..] else { panic!("{:?}", verdict.findings) };
    assert_eq!((&finding.check, finding.severity), (&CheckId::BYPASS, Severity::Warning));
    assert_eq!(finding.text, "api.test connected to 93.184.216.34:443 without the proxy");
    assert!(finding.hint.as_deref().unwrap().contains("http.ProxyFromEnvironment"), "{finding:?}");
    let mut quiet = self::verdict(7, &[]);
    advise(&mut quiet, &Clues { past: past("127.0.0.1:3999"), ..clues("go test") });
    assert_eq!(quiet.findings.len(), 0, "on this machine it may be the test's own server");
}
