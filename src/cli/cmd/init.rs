//! `harproxy init`: proposes `harproxy.toml`, lines for git and a step for CI, from the files of the project and one
//! run of its tests.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use super::{doctor, git_setup};
use crate::cli::advice::Failure;
use crate::cli::args::diagnose::{DoctorArgs, InitArgs};
use crate::cli::event::Event;
use crate::cli::files;
use crate::cli::ui::{self, Ui};
use crate::diagnose::Project;
use crate::init::{CiSystem, ProposedGlobs, TestSetup, config_text, detect, missing_globs};
use crate::verdict::exit;
use harproxy_support::printable::Shown as _;
use harproxy_support::shell_quote;

const CONFIG: &str = "harproxy.toml";

/// Runs the command. The status is that of CMD, or 1 if its traffic did not come through the proxy.
pub async fn run(args: InitArgs, ui: &Ui) -> Result<u8, Failure> {
    let (setups, problems) = detect(&Project::read(Path::new(".")));
    problems.iter().for_each(|problem| ui.warn(Event::Warning, &problem.shown().to_string()));
    let given: Vec<String> = args.cmd.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let command = match (given.is_empty(), setups.first()) {
        (false, _) => shell_quote::words(&given),
        (true, Some(setup)) => shell_quote::words(&setup.command),
        (true, None) => "CMD".to_owned(),
    };
    let (write, cmd) = (args.yes, given.is_empty());
    let (status, proposed) = if cmd { (exit::SUCCESS, ProposedGlobs::default()) } else { observe(args, ui).await? };
    let proposal = Proposal::new(&setups, &proposed, &command);
    ui.note(Event::Done, &proposal.text);
    if let Some(config) = &proposal.config {
        if !(write || confirms(&format!("\nWrite {CONFIG}? [Y/n] "))) {
            let hint = format!("{}: `harproxy init --yes` writes {CONFIG}", ui::help("hint"));
            ui.note(Event::Hint, &hint);
            return Ok(status);
        }
        files::write(Path::new(CONFIG), config.as_bytes())?;
    }
    let next = [
        "harproxy git-setup".to_owned(),
        format!("harproxy record -- {command}"),
        format!("git add {CONFIG} .gitattributes .gitignore hars"),
        format!("harproxy replay -- {command}"),
    ];
    let lines: String = next.iter().map(|line| format!("\n  {}", ui::help(line))).collect();
    ui.note(Event::Done, &format!("\n{}{lines}", ui::strong("Next:")));
    Ok(status)
}

/// Runs CMD once through a proxy that records nothing. Returns its status, and the globs of the origins that it called.
async fn observe(args: InitArgs, ui: &Ui) -> Result<(u8, ProposedGlobs), Failure> {
    let InitArgs { cmd, listen, upstream, authority, config, .. } = args;
    let doctor = DoctorArgs { cmd, json: false, listen, upstream, authority, config };
    let (status, diagnosis) = doctor::diagnose(doctor, ui).await?;
    if !diagnosis.is_well() {
        ui.alert(Event::Diagnosis, &doctor::report(&diagnosis));
    }
    if status != exit::SUCCESS {
        ui.warn(
            Event::Warning,
            &format!("CMD ended with status {status}: the proposal has the requests up to its end"),
        );
    }
    let proposed = ProposedGlobs::of(diagnosis.hosts.iter().map(|host| host.origin.as_str()));
    let status = if status == exit::SUCCESS && !diagnosis.is_well() { exit::FAILED } else { status };
    Ok((status, proposed))
}

/// Everything that is proposed, as text, and the configuration to write. `None` if there is one.
struct Proposal {
    text: String,
    config: Option<String>,
}

impl Proposal {
    fn new(setups: &[TestSetup], proposed: &ProposedGlobs, command: &str) -> Self {
        let mut text = String::new();
        match setups {
            [] => text += "no test command was found: pass it, as in `harproxy init -- npm test`\n",
            [TestSetup { file, command, page }, ..] => {
                let _ = writeln!(text, "{file}: tests run with `{}`; see {page}", shell_quote::words(command));
            }
        }
        for (origins, reason) in
            [(&proposed.local, "of this machine"), (&proposed.noise, "called by programs themselves")]
        {
            if !origins.is_empty() {
                let _ = writeln!(text, "left out, {reason}: {}", origins.join(", "));
            }
        }
        let config = match std::fs::read_to_string(CONFIG) {
            Ok(existing) => {
                let missing = missing_globs(&existing, &proposed.globs);
                let _ = match missing.is_empty() {
                    true => writeln!(text, "\n{CONFIG} exists and is not changed"),
                    false => writeln!(
                        text,
                        "\n{CONFIG} exists and is not changed; add to `globs` under [record]: {}",
                        missing.join(", ")
                    ),
                };
                None
            }
            Err(_) => {
                let config = config_text(&proposed.globs);
                section(&mut text, CONFIG, &config);
                Some(config)
            }
        };
        match git_setup::proposed_lines() {
            Ok([attributes, ignored]) => {
                section(&mut text, ".gitattributes (`harproxy git-setup` adds them)", &attributes.join("\n"));
                section(&mut text, ".gitignore", &ignored.join("\n"));
            }
            Err(error) => {
                let _ = writeln!(text, "\n{error}: nothing is proposed for git");
            }
        }
        for system in
            [CiSystem::GitHub, CiSystem::GitLab].into_iter().filter(|system| Path::new(system.path()).exists())
        {
            section(&mut text, system.path(), &system.snippet(command));
        }
        text.truncate(text.trim_end().len());
        Proposal { text, config }
    }
}

fn section(text: &mut String, title: &str, content: &str) {
    let _ = writeln!(text, "\n{}", ui::strong(title));
    content.trim_end().lines().for_each(|line| _ = writeln!(text, "  {line}"));
}

/// Asks a question on the terminal. False without one.
fn confirms(question: &str) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return false;
    }
    let mut answer = String::new();
    let asked = write!(io::stderr(), "{question}").and_then(|()| io::stdin().lock().read_line(&mut answer));
    asked.is_ok_and(|read| read > 0) && matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes")
}
