//! `harproxy doctor`: runs CMD once and reports its traffic through the proxy and past it, with remedies.

use std::sync::Arc;
use std::time::Duration;

use crate::cli::event::Event;
use serde_json::json;

use crate::cli::advice::Failure;
use crate::cli::args::common::{ProxyArgs, RunArgs};
use crate::cli::args::diagnose::DoctorArgs;
use crate::cli::file_notice;
use crate::cli::plan::{RunPlan, upstream_plan};
use crate::cli::run::{About, End, Run};
use crate::cli::ui::{self, Ui};
use crate::diagnose::doctor::{Diagnosis, Doctor};
use crate::diagnose::{Program, ScopeHosts};
use crate::isolate::can_isolate;
use crate::verdict::{RunMode, Severity, exit};
use harproxy_proxy::upstream::UpstreamPlan;
use harproxy_tls::authority::Authority;

/// Runs the command. Fails if there is no diagnosis.
pub async fn run(args: DoctorArgs, ui: &Ui) -> Result<u8, Failure> {
    let json = args.json;
    let (status, diagnosis) = diagnose(args, ui).await?;
    if json {
        ui.json(&format!("{}\n", diagnosis.json())).map_err(Failure::Output)?;
    } else if !ui.quiet || !diagnosis.is_well() {
        ui.say(Event::Diagnosis, &report(&diagnosis), json!({ "diagnosis": diagnosis.json() }));
    }
    Ok(match (status, diagnosis.is_well()) {
        (exit::SUCCESS, false) => exit::FAILED,
        (status, _) => status,
    })
}

/// Runs CMD and returns its status and the diagnosis.
pub async fn diagnose(args: DoctorArgs, ui: &Ui) -> Result<(u8, Diagnosis), Failure> {
    let risky = args.config.risky.clone();
    let (upstream, plan) = plan(args)?;
    file_notice::print(&risky, ui);
    let authority = Arc::new(Authority::load_or_create(&plan.ca_dir)?);
    let doctor = Doctor::new(upstream)?;
    let mut run = Run::new(&plan, ui)?;
    run.redact_with(doctor.view.clone());
    let everything = |_: &str| true;
    let about = About {
        mode: RunMode::RECORD,
        task: String::new(),
        may_match: Box::new(everything),
        may_match_origin: Box::new(everything),
        hosts: ScopeHosts::default(),
        recorded_at: None,
        bypass_severity: Severity::Warning,
        admin: None,
    };
    let end = run.serve(doctor.handler(&run.bus), authority, &about).await?;
    let status = match end {
        End::NotStarted(failure) => return Err(failure),
        End::Cut(status) => return Err(Failure::cut(status)),
        End::Cmd(status) => status,
        End::NoCmd => exit::SUCCESS,
    };
    let isolation = can_isolate().err();
    Ok((status, Diagnosis { isolation, ..Diagnosis::of(&doctor, run.evidence()) }))
}

/// Returns the plan of upstream connections and of the run, with the defaults of all options that `doctor` lacks.
fn plan(args: DoctorArgs) -> Result<(UpstreamPlan, RunPlan), Failure> {
    let head_timeout = Duration::from_secs(15);
    let proxy = ProxyArgs { listen: args.listen, allow_remote: false, reverse: Vec::new(), tls: false, head_timeout };
    let options = RunArgs { report: Vec::new(), ready_file: None, grace: Duration::from_secs(1) };
    let policy = &args.config.loaded.policy;
    let run = RunPlan::new(proxy, &args.upstream, options, &args.authority, args.cmd, policy.clone())?;
    let run = RunPlan { quiet_output: args.json, ..run };
    Ok((upstream_plan(&args.upstream, &args.config.risky, None)?, run))
}

/// Formats a diagnosis for the terminal.
pub fn report(diagnosis: &Diagnosis) -> String {
    let cleared: Vec<&str> = diagnosis.cleared().collect();
    let mut text = match diagnosis.is_well() {
        true if cleared.is_empty() => {
            format!("{}: all observed traffic came through the proxy\n", ui::good("✓ doctor"))
        }
        true => format!(
            "{}: all observed traffic came through the proxy, but not every program got the variables\n",
            ui::caution("! doctor")
        ),
        false => format!("{}: some traffic bypasses the proxy\n", ui::bad("✗ doctor")),
    };
    match diagnosis.programs.as_deref() {
        None => text += "  programs and bypasses cannot be observed on this system\n",
        Some([]) => text += "  CMD ended before its programs could be observed\n",
        Some(programs) => {
            let named: Vec<String> = programs.iter().map(named).collect();
            text += &format!("  ran: {}\n", named.join(", "));
        }
    }
    match &diagnosis.isolation {
        None => text += "  `--isolate` works here\n",
        Some(reason) => text += &format!("  `--isolate` does not work here: {}\n", reason.replace('\n', "\n  ")),
    }
    let hint_mark = ui::help("hint:");
    if !cleared.is_empty() {
        text += &format!(
            "  started without harproxy's variables: {}\n  {hint_mark} its parent removes variables, as `sudo`, `env -i` and tox \
             do: pass on those that `harproxy env` prints\n",
            cleared.join(", ")
        );
    }
    if !diagnosis.hosts.is_empty() {
        text += "  through the proxy:\n";
    }
    for host in &diagnosis.hosts {
        let failed = match &host.error {
            Some(error) => format!("; {} got no response: {error}", host.failed),
            None => String::new(),
        };
        text += &format!("    {}  {}{failed}\n", host.origin, ui::counted(host.requests, "request", "requests"));
    }
    if diagnosis.tunnels > 0 {
        text += &format!("    {} that was not HTTP\n", ui::counted(diagnosis.tunnels, "tunnel", "tunnels"));
    }
    for finding in &diagnosis.findings {
        let mark = ui::finding_mark(finding.severity, &finding.check);
        text += &format!("\n{mark}: {}\n", finding.text.replace('\n', "\n  "));
        if let Some(hint) = &finding.hint {
            text += &format!("  {hint_mark} {}\n", hint.replace('\n', "\n  "));
        }
    }
    text
}

fn named(program: &Program) -> String {
    match &program.version {
        Some(version) if !program.name.contains(version.as_str()) => format!("{} {version}", program.name),
        _ => program.name.clone(),
    }
}
