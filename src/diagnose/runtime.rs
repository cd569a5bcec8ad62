//! Guesses the runtime of CMD from its words, from the programs that ran, and from the project folder.

use super::evidence::Evidence;

/// A runtime or tool with its own way to configure a proxy. The order is that of the hints: the most specific first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Runtime {
    /// A program between harproxy and the client removes the proxy variables.
    Cleared,
    Sudo,
    Tox,
    Bazel,
    Docker,
    Playwright,
    Cypress,
    /// Puppeteer, Selenium, WebdriverIO: a program that starts a browser.
    Driver,
    /// A browser by itself.
    Browser,
    /// `go test` that answered from its cache.
    GoCached,
    Go,
    Aiohttp,
    Python,
    /// Gradle, Maven, sbt: a JVM that starts other JVMs.
    JavaBuild,
    Java,
    Ruby,
    Php,
    Deno,
    Bun,
    Node,
    Rust,
    DotNet,
    Grpc,
    Curl,
}

/// The names that identify a runtime.
struct Signature {
    runtime: Runtime,
    programs: &'static [&'static str],
    files: &'static [&'static str],
    mentions: &'static [&'static str],
    /// Runtimes for which this one is a more specific guess; empty for a language.
    refines: &'static [Runtime],
}

use Runtime::{
    Aiohttp, Bazel, Browser, Bun, Curl, Cypress, Deno, Docker, DotNet, Driver, Go, Grpc, Java, JavaBuild, Node, Php,
    Playwright, Python, Ruby, Rust, Sudo, Tox,
};

/// The signature of no program.
const NONE: Signature = Signature { runtime: Runtime::Cleared, programs: &[], files: &[], mentions: &[], refines: &[] };

/// All signatures, the most specific first.
const SIGNATURES: &[Signature] = &[
    Signature { runtime: Sudo, programs: &["sudo", "doas", "su"], ..NONE },
    Signature { runtime: Tox, programs: &["tox"], ..NONE },
    Signature { runtime: Bazel, programs: &["bazel", "bazelisk"], ..NONE },
    Signature {
        runtime: Docker,
        programs: &["docker", "docker-compose", "podman", "nerdctl"],
        mentions: &["testcontainers", "testcontainers-go"],
        refines: &[Python, JavaBuild, Java, Node, Bun, Go, DotNet],
        ..NONE
    },
    Signature {
        runtime: Playwright,
        programs: &["playwright"],
        files: &["playwright.config.*"],
        mentions: &["@playwright/test", "pytest-playwright"],
        refines: &[Node, Bun, Python],
    },
    Signature {
        runtime: Cypress,
        programs: &["cypress"],
        files: &["cypress.config.*"],
        mentions: &["cypress"],
        refines: &[Node, Bun],
    },
    Signature {
        runtime: Driver,
        programs: &["wdio", "chromedriver", "geckodriver"],
        files: &["wdio.conf.*"],
        mentions: &[
            "puppeteer",
            "puppeteer-core",
            "playwright",
            "playwright-core",
            "selenium",
            "selenium-webdriver",
            "webdriverio",
        ],
        refines: &[Node, Bun, Python, Java, JavaBuild, Ruby, DotNet, Php],
    },
    Signature {
        runtime: Browser,
        programs: &[
            "chromium",
            "chromium-browser",
            "chrome",
            "google-chrome",
            "chrome-headless-shell",
            "headless_shell",
            "firefox",
        ],
        ..NONE
    },
    Signature { runtime: Go, programs: &["go"], files: &["go.mod"], ..NONE },
    Signature { runtime: Aiohttp, mentions: &["aiohttp"], refines: &[Python], ..NONE },
    Signature {
        runtime: Python,
        programs: &["python", "pytest", "pip", "poetry", "pipenv", "uv", "pdm", "hatch", "nox"],
        files: &["pyproject.toml", "requirements.txt", "setup.py", "Pipfile"],
        ..NONE
    },
    Signature {
        runtime: JavaBuild,
        programs: &["gradle", "gradlew", "mvn", "mvnw", "sbt"],
        files: &["pom.xml", "build.gradle", "build.gradle.kts", "build.sbt"],
        ..NONE
    },
    Signature { runtime: Java, programs: &["java", "kotlin", "scala", "clojure", "lein"], ..NONE },
    Signature {
        runtime: Ruby,
        programs: &["ruby", "rspec", "bundle", "rake", "rails", "cucumber"],
        files: &["Gemfile"],
        ..NONE
    },
    Signature { runtime: Php, programs: &["php", "phpunit", "pest", "composer"], files: &["composer.json"], ..NONE },
    Signature { runtime: Deno, programs: &["deno"], files: &["deno.json", "deno.jsonc"], ..NONE },
    Signature { runtime: Bun, programs: &["bun", "bunx"], files: &["bunfig.toml", "bun.lock", "bun.lockb"], ..NONE },
    Signature {
        runtime: Node,
        programs: &[
            "node", "nodejs", "npm", "npx", "yarn", "pnpm", "pnpx", "jest", "vitest", "mocha", "tsx", "ts-node",
        ],
        files: &["package.json"],
        ..NONE
    },
    Signature { runtime: Rust, programs: &["cargo"], files: &["Cargo.toml"], ..NONE },
    Signature { runtime: DotNet, programs: &["dotnet"], files: &["global.json"], ..NONE },
    Signature {
        runtime: Grpc,
        programs: &["grpcurl"],
        mentions: &["grpcio", "@grpc/grpc-js", "google.golang.org/grpc", "io.grpc", "grpc", "tonic"],
        refines: &[Python, Node, Go, Java, JavaBuild, Ruby, Rust, DotNet, Php],
        ..NONE
    },
    Signature { runtime: Curl, programs: &["curl", "wget"], ..NONE },
];

const MAX_GUESSES: usize = 2;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Guess {
    pub(super) runtime: Runtime,
    /// "`go` ran", "`go.mod` is here".
    pub(super) reason: String,
}

/// Returns the most likely runtimes of CMD, the most specific first. Names of programs decide. The project folder
/// refines them, or decides alone if no program is known (`make test`).
pub(super) fn guess(evidence: &Evidence) -> Vec<Guess> {
    let programs = program_names(evidence);
    let by_name: Vec<Guess> = SIGNATURES.iter().filter_map(|signature| signature.by_name(&programs)).collect();
    let known: Vec<Runtime> = by_name.iter().map(|guess| guess.runtime).collect();
    let mut guesses = by_name;
    for signature in SIGNATURES.iter().filter(|signature| !known.contains(&signature.runtime)) {
        let fits = signature.refines.iter().any(|runtime| known.contains(runtime));
        if (known.is_empty() || fits)
            && let Some(guess) = signature.by_folder(evidence)
        {
            guesses.push(guess);
        }
    }
    guesses.extend(cleared(evidence));
    if is_cached(evidence, &known) {
        guesses.retain(|guess| guess.runtime != Go);
        guesses.push(Guess {
            runtime: Runtime::GoCached,
            reason: "no test binary ran, so `go test` most likely answered from its cache".to_owned(),
        });
    }
    guesses.sort_by_key(|guess| guess.runtime);
    let guessed: Vec<Runtime> = guesses.iter().map(|guess| guess.runtime).collect();
    let signatures = SIGNATURES.iter().filter(|signature| guessed.contains(&signature.runtime));
    let refined: Vec<Runtime> = signatures.flat_map(|signature| signature.refines).copied().collect();
    // A library refines the guess for its language. A browser runner replaces it, because the browser is the client.
    let runner = guesses.iter().any(|guess| matches!(guess.runtime, Playwright | Cypress | Driver | Runtime::GoCached));
    guesses.retain(|guess| !(runner && refined.contains(&guess.runtime)));
    guesses.truncate(MAX_GUESSES);
    guesses
}

pub(super) fn of_program(name: &str) -> Option<Runtime> {
    let name = base_name(name);
    if name.ends_with(".test") {
        return Some(Go);
    }
    SIGNATURES.iter().find(|signature| signature.programs.contains(&name.as_str())).map(|signature| signature.runtime)
}

pub(super) fn is_chromium(program: &str) -> bool {
    program == "chromedriver" || (of_program(program) == Some(Browser) && program != "firefox")
}

impl Signature {
    fn by_name(&self, programs: &[(String, &'static str)]) -> Option<Guess> {
        let (name, how) = programs.iter().find(|(name, _)| self.programs.contains(&name.as_str()))?;
        Some(Guess { runtime: self.runtime, reason: format!("`{name}` {how}") })
    }

    fn by_folder(&self, evidence: &Evidence) -> Option<Guess> {
        let project = &evidence.project;
        let file = || self.files.iter().find_map(|name| project.file(name)).map(|file| format!("`{file}` is here"));
        let mention = || {
            let mentioned =
                |name: &&'static str| project.mentions(name).map(|file| format!("`{file}` mentions {name}"));
            self.mentions.iter().find_map(mentioned)
        };
        Some(Guess { runtime: self.runtime, reason: file().or_else(mention)? })
    }
}

/// Returns the program names in CMD's words and of all processes, each with a phrase for the reason.
fn program_names(evidence: &Evidence) -> Vec<(String, &'static str)> {
    let words = words(evidence).into_iter().map(|name| (name, "is in CMD"));
    let ran = evidence.programs.iter().flatten().map(|program| (base_name(&program.name), "ran"));
    let past = evidence.bypasses.all().map(|connection| (base_name(&connection.program), "ran"));
    words.chain(ran).chain(past).collect()
}

/// Returns the words of CMD that may be program names: all words of a shell line (`sh -c`), else the first few (`npx
/// playwright test`), and the words of the script of `npm run NAME`. Options and their values are left out.
fn words(evidence: &Evidence) -> Vec<String> {
    const FIRST: usize = 4;
    let is_line = evidence.words.iter().skip(1).any(|word| word == "-c");
    let count = if is_line { usize::MAX } else { FIRST };
    // The word after an option of an unknown program may be its value.
    let known = evidence.words.first().is_some_and(|first| of_program(first).is_some());
    let beginning = evidence.words.iter().take_while(|word| is_line || known || !word.starts_with("--"));
    let mut words: Vec<String> = beginning.flat_map(|word| split(word)).take(count).collect();
    if let Some(script) = script(&words, evidence) {
        words.extend(split(&script));
    }
    words
}

/// Returns the script of `npm test`, `npm run e2e` or `yarn e2e`.
fn script(words: &[String], evidence: &Evidence) -> Option<String> {
    let at = words.iter().position(|word| ["npm", "yarn", "pnpm", "bun"].contains(&word.as_str()))?;
    let name = words[at + 1..].iter().find(|word| !["run", "run-script", "exec"].contains(&word.as_str()))?;
    evidence.project.script(name)
}

fn split(words: &str) -> Vec<String> {
    let parts = words.split(|c: char| c.is_whitespace() || "&|;()'\"`".contains(c));
    let program = |word: &&str| !word.is_empty() && !word.starts_with('-') && !word.contains('=');
    parts.filter(program).map(base_name).collect()
}

/// Returns a program name without folder, extension and version: `/usr/bin/python3.11` is `python`.
fn base_name(name: &str) -> String {
    const VERSIONED: &[&str] = &["python", "ruby", "php", "pip", "node"];
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
    let name = [".exe", ".cmd", ".bat"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if VERSIONED.contains(&bare) { bare.to_owned() } else { name.to_owned() }
}

/// Returns true if `go test` ran without starting a test binary. False if the programs of CMD are unknown.
fn is_cached(evidence: &Evidence, known: &[Runtime]) -> bool {
    let Some(programs) = &evidence.programs else { return false };
    let tests = words(evidence).windows(2).any(|pair| pair[0] == "go" && pair[1] == "test");
    let counted = evidence.words.iter().any(|word| word.contains("-count"));
    let ran = programs.iter().any(|program| program.name == "link" || program.name.ends_with(".test"));
    tests && known.contains(&Go) && !counted && !ran
}

/// Returns a guess if a program was started without the proxy variables.
fn cleared(evidence: &Evidence) -> Option<Guess> {
    let program = evidence.programs.iter().flatten().find(|program| program.cleared == Some(true))?;
    let reason = format!("`{}` was started without HTTP_PROXY and HTTPS_PROXY", program.name);
    Some(Guess { runtime: Runtime::Cleared, reason })
}
