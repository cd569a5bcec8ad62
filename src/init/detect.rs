//! Finds the test commands of a project in its file names and manifests.

use crate::diagnose::{Project, script_of};

/// A test command, with the file that it was found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestSetup {
    pub file: String,
    /// The words of the command.
    pub command: Vec<String>,
    /// The page of the documentation for its clients.
    pub page: &'static str,
}

impl TestSetup {
    fn new(file: &str, command: &str, page: &'static str) -> Self {
        TestSetup { file: file.to_owned(), command: command.split(' ').map(str::to_owned).collect(), page }
    }
}

const NODE: &str = "docs/getting-started/node.md";
const BROWSER: &str = "docs/getting-started/browser.md";
const PYTHON: &str = "docs/getting-started/python.md";
const GO: &str = "docs/getting-started/go.md";
const JAVA: &str = "docs/getting-started/java.md";
const RUBY: &str = "docs/getting-started/ruby.md";
const PHP: &str = "docs/getting-started/php.md";
const RUST: &str = "docs/getting-started/rust.md";

/// Returns the test commands of a project, the most likely first, and sentences about manifests that cannot be used.
#[must_use]
pub fn detect(project: &Project) -> (Vec<TestSetup>, Vec<String>) {
    let mut problems: Vec<String> =
        project.unreadable.iter().map(|(file, reason)| format!("{file} cannot be read: {reason}")).collect();
    let mut test_script = |manifest: &str| {
        script_of(manifest, project, "test").unwrap_or_else(|error| {
            problems.push(format!("{manifest} is not valid JSON: {error}"));
            None
        })
    };
    let (npm, composer) = (test_script("package.json"), test_script("composer.json"));
    let mut setups = node(project, npm.as_deref());
    setups.extend([python(project), go(project), java(project), ruby(project)].into_iter().flatten());
    setups.extend(php(project, composer.as_deref()));
    setups.extend(project.file("Cargo.toml").map(|file| TestSetup::new(file, "cargo test", RUST)));
    (setups, problems)
}

/// Returns the first of these files that the project has.
fn first<'p>(project: &'p Project, names: &[&str]) -> Option<&'p str> {
    names.iter().find_map(|name| project.file(name))
}

/// Returns the test script of `package.json` and the runners that have a configuration. A runner of the test script is
/// not repeated.
fn node(project: &Project, script: Option<&str>) -> Vec<TestSetup> {
    let (run, exec) = match () {
        () if project.file("pnpm-lock.yaml").is_some() => ("pnpm test", "pnpm exec"),
        () if project.file("yarn.lock").is_some() => ("yarn test", "yarn"),
        () if first(project, &["bun.lock", "bun.lockb"]).is_some() => ("bun run test", "bunx"),
        () => ("npm test", "npx"),
    };
    // `npm init` writes a script that only fails.
    let script = script.filter(|script| !script.trim().is_empty() && !script.contains("no test specified"));
    let runs = |tool: &str| script.is_some_and(|script| script.split([' ', '/']).any(|word| word == tool));
    let mut setups = Vec::new();
    if let Some(script) = script {
        let page = if runs("playwright") || runs("cypress") { BROWSER } else { NODE };
        let words: Vec<&str> = script.split_whitespace().collect();
        // Without `run`, vitest watches files on a terminal and does not end.
        let command = if words == ["vitest"] { format!("{exec} vitest run") } else { run.to_owned() };
        setups.push(TestSetup::new("package.json", &command, page));
    }
    let runners = [
        ("playwright", "playwright test", &["playwright.config.*"][..], BROWSER),
        ("vitest", "vitest run", &["vitest.config.*", "vitest.workspace.*"], NODE),
        ("jest", "jest", &["jest.config.*"], NODE),
    ];
    for (tool, command, files, page) in runners {
        if let Some(file) = first(project, files).filter(|_| !runs(tool)) {
            setups.push(TestSetup::new(file, &format!("{exec} {command}"), page));
        }
    }
    setups
}

fn python(project: &Project) -> Option<TestSetup> {
    const MANIFESTS: &[&str] = &["pyproject.toml", "setup.cfg", "tox.ini", "Pipfile", "setup.py"];
    let is_manifest = |file: &str| MANIFESTS.contains(&file) || file.starts_with("requirements");
    let mentioned = |word: &str| {
        let mut manifests = project.manifests.iter().filter(|(file, _)| is_manifest(file));
        manifests.find(|(_, text)| text.contains(word)).map(|(file, _)| file.as_str())
    };
    let prefix = match () {
        () if project.file("uv.lock").is_some() => "uv run ",
        () if project.file("poetry.lock").is_some() => "poetry run ",
        () if project.file("Pipfile").is_some() => "pipenv run ",
        () => "",
    };
    let page = if mentioned("pytest-playwright").is_some() { BROWSER } else { PYTHON };
    if let Some(file) = first(project, &["pytest.ini", "conftest.py"]).or_else(|| mentioned("pytest")) {
        return Some(TestSetup::new(file, &format!("{prefix}pytest"), page));
    }
    let python = if cfg!(windows) || !prefix.is_empty() { "python" } else { "python3" };
    if let Some(file) = project.file("manage.py") {
        return Some(TestSetup::new(file, &format!("{prefix}{python} manage.py test"), page));
    }
    let file = project.files.iter().find(|file| is_manifest(file))?;
    Some(TestSetup::new(file, &format!("{prefix}{python} -m unittest"), page))
}

fn go(project: &Project) -> Option<TestSetup> {
    // Without `-count=1`, go answers from its cache and runs nothing.
    Some(TestSetup::new(project.file("go.mod")?, "go test -count=1 ./...", GO))
}

fn java(project: &Project) -> Option<TestSetup> {
    if let Some(file) = project.file("pom.xml") {
        let maven = if project.file("mvnw").is_some() { "./mvnw" } else { "mvn" };
        return Some(TestSetup::new(file, &format!("{maven} test"), JAVA));
    }
    let file = first(project, &["build.gradle", "build.gradle.kts"])?;
    let gradle = if project.file("gradlew").is_some() { "./gradlew" } else { "gradle" };
    // A daemon keeps the environment that it was started with.
    Some(TestSetup::new(file, &format!("{gradle} --no-daemon test"), JAVA))
}

fn ruby(project: &Project) -> Option<TestSetup> {
    let file = project.file("Gemfile")?;
    let has_rspec = first(project, &[".rspec", "spec"]).is_some()
        || project.manifest(file).is_some_and(|text| text.contains("rspec"));
    let command = if has_rspec { "bundle exec rspec" } else { "bundle exec rake test" };
    Some(TestSetup::new(file, command, RUBY))
}

fn php(project: &Project, script: Option<&str>) -> Option<TestSetup> {
    let file = project.file("composer.json")?;
    let has_pest = project.manifest(file).is_some_and(|text| text.contains("pestphp/pest"));
    let command = match script {
        Some(_) => "composer test",
        None if has_pest => "vendor/bin/pest",
        None => "vendor/bin/phpunit",
    };
    Some(TestSetup::new(file, command, PHP))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A project of files, those with a text as manifests.
    fn project(files: &[(&str, &str)]) -> Project {
        let manifests = files.iter().filter(|(_, text)| !text.is_empty());
        Project {
            files: files.iter().map(|(file, _)| (*file).to_owned()).collect(),
            manifests: manifests.map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect(),
            unreadable: Vec::new(),
        }
    }

    #[test]
    fn test_command_follows_from_manifests_and_lock_files() {
        let npm = |script: &str| format!(r#"{{"scripts": {{"test": "{script}"}}}}"#);
        let (jest, vitest) = (npm("jest --ci"), npm("vitest"));
        let playwright = npm("npx playwright test");
        let unset = npm(r#"echo \"Error: no test specified\" && exit 1"#);
        type Files<'f> = &'f [(&'f str, &'f str)];
        let cases: &[(Files<'_>, &str, &str)] = &[
            (&[("package.json", &jest)], "npm test", NODE),
            (&[("package.json", &jest), ("pnpm-lock.yaml", "")], "pnpm test", NODE),
            (&[("package.json", &jest), ("yarn.lock", "")], "yarn test", NODE),
            (&[("package.json", &jest), ("bun.lock", "")], "bun run test", NODE),
            (&[("package.json", &vitest)], "npx vitest run", NODE),
            (&[("package.json", &playwright), ("playwright.config.ts", "")], "npm test", BROWSER),
            (&[("package.json", &unset), ("playwright.config.ts", "")], "npx playwright test", BROWSER),
            (&[("package.json", "{}"), ("vitest.config.mts", "")], "npx vitest run", NODE),
            (&[("package.json", "{}"), ("jest.config.js", "")], "npx jest", NODE),
            (&[("pytest.ini", "")], "pytest", PYTHON),
            (&[("setup.cfg", "[tool:pytest]\n")], "pytest", PYTHON),
            (&[("pyproject.toml", "[tool.pytest.ini_options]\n"), ("uv.lock", "")], "uv run pytest", PYTHON),
            (&[("pyproject.toml", "pytest = '^8'"), ("poetry.lock", "")], "poetry run pytest", PYTHON),
            (&[("requirements-dev.txt", "pytest-playwright\n")], "pytest", BROWSER),
            (&[("go.mod", "module a\n")], "go test -count=1 ./...", GO),
            (&[("pom.xml", "<project/>"), ("mvnw", "")], "./mvnw test", JAVA),
            (&[("build.gradle.kts", "plugins {}")], "gradle --no-daemon test", JAVA),
            (&[("build.gradle", "x"), ("gradlew", "")], "./gradlew --no-daemon test", JAVA),
            (&[("Gemfile", "gem 'rspec'\n")], "bundle exec rspec", RUBY),
            (&[("Gemfile", "gem 'minitest'\n")], "bundle exec rake test", RUBY),
            (&[("composer.json", r#"{"scripts": {"test": ["@php a", "b"]}}"#)], "composer test", PHP),
            (&[("composer.json", r#"{"require-dev": {"pestphp/pest": "^3"}}"#)], "vendor/bin/pest", PHP),
            (&[("composer.json", "{}")], "vendor/bin/phpunit", PHP),
            (&[("Cargo.toml", "[package]\n")], "cargo test", RUST),
        ];
        for (files, command, page) in cases {
            let (setups, problems) = detect(&project(files));
            assert_eq!(problems, [""; 0], "{files:?}");
            let [setup] = &setups[..] else { panic!("{files:?}: {setups:?}") };
            assert_eq!((setup.command.join(" ").as_str(), setup.page), (*command, *page), "{files:?}");
            assert!(std::path::Path::new(setup.page).is_file(), "{page}");
        }
    }

    #[test]
    fn python_without_pytest_uses_unittest_or_django() {
        let command = |files: &[(&str, &str)]| detect(&project(files)).0[0].command.join(" ");
        assert!(command(&[("requirements.txt", "requests\n")]).ends_with(" -m unittest"));
        assert!(command(&[("requirements.txt", "django\n"), ("manage.py", "")]).ends_with(" manage.py test"));
        assert_eq!(command(&[("Pipfile", "[packages]\n")]), "pipenv run python -m unittest");
    }

    #[test]
    fn several_languages_and_broken_manifests_are_reported() {
        let mut project = project(&[("package.json", "{"), ("go.mod", "module a\n"), ("Cargo.toml", "")]);
        project.unreadable.push(("Gemfile".into(), "permission denied".into()));
        let (setups, problems) = detect(&project);
        assert_eq!(setups.iter().map(|setup| setup.file.as_str()).collect::<Vec<_>>(), ["go.mod", "Cargo.toml"]);
        assert_eq!(problems[0], "Gemfile cannot be read: permission denied");
        assert!(problems[1].starts_with("package.json is not valid JSON: "), "{problems:?}");
        assert_eq!(detect(&Project::default()), (Vec::new(), Vec::new()));
    }
}
