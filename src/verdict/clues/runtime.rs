//! Which kind of program CMD is: from its words, from the programs that ran, and from the folder it ran in.

use super::{Clues, remedy};

/// A kind of program, as far as proxies go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Runtime {
    /// A program between harproxy and the client takes the variables away, whichever it is.
    Cleared,
    /// sudo, doas, su.
    Sudo,
    /// tox.
    Tox,
    /// Bazel.
    Bazel,
    /// Containers.
    Docker,
    /// Playwright.
    Playwright,
    /// Cypress.
    Cypress,
    /// Puppeteer, Selenium, WebdriverIO: a program that starts a browser.
    Driver,
    /// A browser by itself.
    Browser,
    /// `go test` that ran nothing.
    GoCached,
    /// Go.
    Go,
    /// aiohttp.
    Aiohttp,
    /// Python.
    Python,
    /// Gradle, Maven, sbt: a JVM that starts others.
    JavaBuild,
    /// A JVM.
    Java,
    /// Ruby.
    Ruby,
    /// PHP.
    Php,
    /// Deno.
    Deno,
    /// Bun.
    Bun,
    /// Node.js.
    Node,
    /// Rust.
    Rust,
    /// .NET.
    DotNet,
    /// gRPC.
    Grpc,
    /// curl.
    Curl,
}

/// What gives a runtime away.
struct Sign {
    runtime: Runtime,
    /// Names of programs.
    programs: &'static [&'static str],
    /// Names of files in the folder.
    files: &'static [&'static str],
    /// Words in its manifests.
    mentions: &'static [&'static str],
    /// The languages whose programs this one says more of; empty for a language.
    refines: &'static [Runtime],
}

use Runtime::{
    Aiohttp, Bazel, Browser, Bun, Curl, Cypress, Deno, Docker, DotNet, Driver, Go, Grpc, Java, JavaBuild, Node, Php,
    Playwright, Python, Ruby, Rust, Sudo, Tox,
};

/// Those that say most first.
const SIGNS: &[Sign] = &[
    Sign { runtime: Sudo, programs: &["sudo", "doas", "su"], files: &[], mentions: &[], refines: &[] },
    Sign { runtime: Tox, programs: &["tox"], files: &[], mentions: &[], refines: &[] },
    Sign { runtime: Bazel, programs: &["bazel", "bazelisk"], files: &[], mentions: &[], refines: &[] },
    Sign {
        runtime: Docker,
        programs: &["docker", "docker-compose", "podman", "nerdctl"],
        files: &[],
        mentions: &["testcontainers", "testcontainers-go"],
        refines: &[Python, JavaBuild, Java, Node, Bun, Go, DotNet],
    },
    Sign {
        runtime: Playwright,
        programs: &["playwright"],
        files: &["playwright.config.*"],
        mentions: &["@playwright/test", "pytest-playwright"],
        refines: &[Node, Bun, Python],
    },
    Sign {
        runtime: Cypress,
        programs: &["cypress"],
        files: &["cypress.config.*"],
        mentions: &["cypress"],
        refines: &[Node, Bun],
    },
    Sign {
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
    Sign {
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
        files: &[],
        mentions: &[],
        refines: &[],
    },
    Sign { runtime: Go, programs: &["go"], files: &["go.mod"], mentions: &[], refines: &[] },
    Sign { runtime: Aiohttp, programs: &[], files: &[], mentions: &["aiohttp"], refines: &[Python] },
    Sign {
        runtime: Python,
        programs: &["python", "pytest", "pip", "poetry", "pipenv", "uv", "pdm", "hatch", "nox"],
        files: &["pyproject.toml", "requirements.txt", "setup.py", "Pipfile"],
        mentions: &[],
        refines: &[],
    },
    Sign {
        runtime: JavaBuild,
        programs: &["gradle", "gradlew", "mvn", "mvnw", "sbt"],
        files: &["pom.xml", "build.gradle", "build.gradle.kts", "build.sbt"],
        mentions: &[],
        refines: &[],
    },
    Sign {
        runtime: Java,
        programs: &["java", "kotlin", "scala", "clojure", "lein"],
        files: &[],
        mentions: &[],
        refines: &[],
    },
    Sign {
        runtime: Ruby,
        programs: &["ruby", "rspec", "bundle", "rake", "rails", "cucumber"],
        files: &["Gemfile"],
        mentions: &[],
        refines: &[],
    },
    Sign {
        runtime: Php,
        programs: &["php", "phpunit", "pest", "composer"],
        files: &["composer.json"],
        mentions: &[],
        refines: &[],
    },
    Sign { runtime: Deno, programs: &["deno"], files: &["deno.json", "deno.jsonc"], mentions: &[], refines: &[] },
    Sign {
        runtime: Bun,
        programs: &["bun", "bunx"],
        files: &["bunfig.toml", "bun.lock", "bun.lockb"],
        mentions: &[],
        refines: &[],
    },
    Sign {
        runtime: Node,
        programs: &[
            "node", "nodejs", "npm", "npx", "yarn", "pnpm", "pnpx", "jest", "vitest", "mocha", "tsx", "ts-node",
        ],
        files: &["package.json"],
        mentions: &[],
        refines: &[],
    },
    Sign { runtime: Rust, programs: &["cargo"], files: &["Cargo.toml"], mentions: &[], refines: &[] },
    Sign { runtime: DotNet, programs: &["dotnet"], files: &["global.json"], mentions: &[], refines: &[] },
    Sign {
        runtime: Grpc,
        programs: &["grpcurl"],
        files: &[],
        mentions: &["grpcio", "@grpc/grpc-js", "google.golang.org/grpc", "io.grpc", "grpc", "tonic"],
        refines: &[Python, Node, Go, Java, JavaBuild, Ruby, Rust, DotNet, Php],
    },
    Sign { runtime: Curl, programs: &["curl", "wget"], files: &[], mentions: &[], refines: &[] },
];

/// How many guesses are told.
const TOLD: usize = 2;

/// A guess and what it goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Guess {
    pub(super) runtime: Runtime,
    /// "`go` ran", "`go.mod` is here".
    pub(super) because: String,
}

impl Guess {
    /// The guess and its remedy.
    pub(super) fn told(&self, clues: &Clues) -> String {
        format!("{}: {}", self.because, remedy::of(self.runtime, clues))
    }
}

/// What CMD most likely is, the most telling first. What it is called and what ran count; the folder says more of that, or
/// speaks alone where the words say nothing (`make test`).
pub(super) fn guess(clues: &Clues) -> Vec<Guess> {
    let seen = seen(clues);
    let by_name: Vec<Guess> = SIGNS.iter().filter_map(|sign| sign.by_name(&seen)).collect();
    let known: Vec<Runtime> = by_name.iter().map(|guess| guess.runtime).collect();
    let mut guesses = by_name;
    for sign in SIGNS.iter().filter(|sign| !known.contains(&sign.runtime)) {
        // A browser's runner does not go by the language that it is written in: nothing says more of it.
        let fits = sign.refines.iter().any(|runtime| known.contains(runtime));
        if (known.is_empty() || fits)
            && let Some(guess) = sign.by_folder(clues)
        {
            guesses.push(guess);
        }
    }
    guesses.extend(cleared(clues));
    if is_cached(clues, &known) {
        guesses.retain(|guess| guess.runtime != Go);
        guesses.push(Guess {
            runtime: Runtime::GoCached,
            because: "no test binary was seen to run, so `go test` most likely answered from its cache".to_owned(),
        });
    }
    guesses.sort_by_key(|guess| guess.runtime);
    let refined: Vec<Runtime> = guesses.iter().flat_map(|guess| Sign::of(guess.runtime).refines).copied().collect();
    // Libraries say more of a language and leave it standing; a browser's runner is another client altogether.
    let runner = guesses.iter().any(|guess| matches!(guess.runtime, Playwright | Cypress | Driver | Runtime::GoCached));
    guesses.retain(|guess| !(runner && refined.contains(&guess.runtime)));
    guesses.truncate(TOLD);
    guesses
}

/// The runtime that a program of this name is of.
pub(super) fn of_program(name: &str) -> Option<Runtime> {
    let name = plain(name);
    if name.ends_with(".test") {
        return Some(Go);
    }
    SIGNS.iter().find(|sign| sign.programs.contains(&name.as_str())).map(|sign| sign.runtime)
}

impl Sign {
    fn of(runtime: Runtime) -> &'static Sign {
        const NONE: &Sign = &Sign { runtime: Runtime::Cleared, programs: &[], files: &[], mentions: &[], refines: &[] };
        SIGNS.iter().find(|sign| sign.runtime == runtime).unwrap_or(NONE)
    }

    fn by_name(&self, seen: &[(String, &'static str)]) -> Option<Guess> {
        let (name, how) = seen.iter().find(|(name, _)| self.programs.contains(&name.as_str()))?;
        Some(Guess { runtime: self.runtime, because: format!("`{name}` {how}") })
    }

    fn by_folder(&self, clues: &Clues) -> Option<Guess> {
        let project = &clues.project;
        let file = || self.files.iter().find_map(|name| project.file(name)).map(|file| format!("`{file}` is here"));
        let mention = || {
            let mentioned =
                |name: &&'static str| project.mentions(name).map(|file| format!("`{file}` mentions {name}"));
            self.mentions.iter().find_map(mentioned)
        };
        Some(Guess { runtime: self.runtime, because: file().or_else(mention)? })
    }
}

/// The names of programs, from CMD's words and of what ran, each with where it is from.
fn seen(clues: &Clues) -> Vec<(String, &'static str)> {
    let words = words(clues).into_iter().map(|name| (name, "is what was run"));
    let ran = clues.programs.iter().flatten().map(|program| (plain(&program.name), "ran"));
    let past = clues.past.all_programs().into_iter().map(|program| (plain(program), "ran"));
    words.chain(ran).chain(past).collect()
}

/// The words of CMD that may be programs: of a line for a shell all, else the first few (`npx playwright test`, `env -i
/// curl`), and those of the script that `npm run NAME` runs. No options, no values.
fn words(clues: &Clues) -> Vec<String> {
    const FIRST: usize = 4;
    let is_line = clues.words.iter().skip(1).any(|word| word == "-c");
    let count = if is_line { usize::MAX } else { FIRST };
    // Behind an option of a program that is not known stands its value.
    let known = clues.words.first().is_some_and(|first| of_program(first).is_some());
    let beginning = clues.words.iter().take_while(|word| is_line || known || !word.starts_with("--"));
    let mut words: Vec<String> = beginning.flat_map(|word| split(word)).take(count).collect();
    if let Some(script) = script(&words, clues) {
        words.extend(split(&script));
    }
    words
}

/// `npm test`, `npm run e2e`, `yarn e2e`.
fn script(words: &[String], clues: &Clues) -> Option<String> {
    let at = words.iter().position(|word| ["npm", "yarn", "pnpm", "bun"].contains(&word.as_str()))?;
    let name = words[at + 1..].iter().find(|word| !["run", "run-script", "exec"].contains(&word.as_str()))?;
    clues.project.script(name)
}

fn split(words: &str) -> Vec<String> {
    let parts = words.split(|c: char| c.is_whitespace() || "&|;()'\"`".contains(c));
    let program = |word: &&str| !word.is_empty() && !word.starts_with('-') && !word.contains('=');
    parts.filter(program).map(plain).collect()
}

/// The name of a program, without folder, ending and version: `/usr/bin/python3.11` is python.
fn plain(name: &str) -> String {
    const VERSIONED: &[&str] = &["python", "ruby", "php", "pip", "node"];
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
    let name = [".exe", ".cmd", ".bat"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if VERSIONED.contains(&bare) { bare.to_owned() } else { name.to_owned() }
}

/// Whether `go test` ran without running a test binary. Where one runs it was linked before; where programs can't be seen
/// nothing is known.
fn is_cached(clues: &Clues, known: &[Runtime]) -> bool {
    let Some(programs) = &clues.programs else { return false };
    let tests = words(clues).windows(2).any(|pair| pair[0] == "go" && pair[1] == "test");
    let counted = clues.words.iter().any(|word| word.contains("-count"));
    let ran = programs.iter().any(|program| program.name == "link" || program.name.ends_with(".test"));
    tests && known.contains(&Go) && !counted && !ran
}

/// A program that was started without the variables.
fn cleared(clues: &Clues) -> Option<Guess> {
    let program = clues.programs.iter().flatten().find(|program| program.cleared == Some(true))?;
    let because = format!("`{}` was started without HTTP_PROXY and HTTPS_PROXY", program.name);
    Some(Guess { runtime: Runtime::Cleared, because })
}
