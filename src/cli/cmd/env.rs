//! `harproxy env`: prints the variables that `-- CMD` sets, the flags of browsers, the arguments of a container, or
//! the lines of a Playwright configuration.

use std::path::{Path, PathBuf};

use crate::child::env::{self, Environment, Facts, ProxyAddress, VariableChange};
use crate::child::files::RunFiles;
use crate::child::shell;
use crate::cli::advice::Failure;
use crate::cli::args::EnvArgs;
use crate::cli::event::Event;
use crate::cli::plan;
use crate::cli::roots::load_bundle;
use crate::cli::ui::{self, Ui};
use crate::cli::usage_error::UsageError;
use crate::diagnose::PLAYWRIGHT;
use crate::verdict::{RunMode, exit};
use harproxy_support::atomic_file::Readers;
use harproxy_support::printable::Shown as _;
use harproxy_tls::authority::Authority;

/// Runs the command. The files that the variables name stay in the authority's folder, because their users have no
/// known end.
pub fn run(args: &EnvArgs, ui: &Ui) -> Result<u8, Failure> {
    if args.listen.listen.is_some_and(|listen| listen.port() == 0) {
        let message = "port 0 is chosen when harproxy listens, so it is not known yet";
        return Err(UsageError::new(message, "pass the same fixed port here and to harproxy: `-p 8899`").into());
    }
    let text = match args {
        EnvArgs { playwright: true, .. } => playwright(args),
        EnvArgs { docker: true, .. } => in_containers(args, ui)?,
        _ => here(args, ui)?,
    };
    ui.data(&text).map_err(Failure::Output)?;
    Ok(exit::SUCCESS)
}

/// Returns the variables for a shell of this machine.
fn here(args: &EnvArgs, ui: &Ui) -> Result<String, Failure> {
    let authority = Authority::load_or_create(&plan::ca_dir(&args.authority)?)?;
    let proxy = ProxyAddress::local(plan::listen_address(&args.listen, false), credentials(args));
    let files = RunFiles::write(&folder(authority.dir().join("env"))?, &load_bundle(&authority, ui)?, Readers::Owner)?;
    let changes = changes(&proxy, &authority, &files, &args.listen.bypass, &env::own());
    let comment =
        args.shell.comment().map_or_else(String::new, |sign| browsers(sign, &proxy, &args.listen.bypass, &authority));
    Ok(args.shell.render(&changes) + &comment)
}

fn in_containers(args: &EnvArgs, ui: &Ui) -> Result<String, Failure> {
    let listen = plan::listen_address(&args.listen, false);
    if listen.ip().is_loopback() {
        let port = listen.port();
        let text = format!(
            "{}: a container cannot reach {listen}: start harproxy with `--listen 0.0.0.0:{port} --auth USER:PASS` (or `--allow-remote`), and pass the same here",
            ui::help("hint")
        );
        ui.note(Event::Hint, &text);
    }
    let authority = Authority::load_or_create(&plan::ca_dir(&args.authority)?)?;
    let proxy =
        ProxyAddress { host: shell::DOCKER_HOST.to_owned(), port: listen.port(), credentials: credentials(args) };
    let folder = folder(authority.dir().join("docker"))?;
    let files = RunFiles::write(&folder, &load_bundle(&authority, ui)?, Readers::All)?;
    let ca = folder.join("ca.pem");
    write(&ca, authority.cert_pem().as_bytes(), Readers::All)?;
    let loopback = shell::CONTAINER_LOOPBACK.iter().map(ToString::to_string);
    let bypass: Vec<String> = args.listen.bypass.iter().cloned().chain(loopback).collect();
    // The variables of this environment do not apply inside a container.
    let mut changes = changes(&proxy, &authority, &files, &bypass, &Environment::new());
    for change in changes.iter_mut().filter(|change| change.variable == "HARPROXY_RUN_CA") {
        change.value = ca.clone().into();
    }
    // Readable by the owner only: the Docker client reads it, and it may contain the proxy's password.
    let file = folder.join("variables");
    write(&file, shell::docker_variables(&changes).as_bytes(), Readers::Owner)?;
    Ok(shell::docker_arguments(&changes, &folder, &file))
}

/// Returns the lines of a Playwright configuration. Playwright ignores credentials in the proxy's URL.
fn playwright(args: &EnvArgs) -> String {
    let Some((user, password)) = credentials(args) else { return format!("{PLAYWRIGHT}\n") };
    let proxy = ProxyAddress::local(plan::listen_address(&args.listen, false), None);
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let (server, user, password) = (quoted(&proxy.to_string()), quoted(&user), quoted(&password));
    format!(
        "  use: {{\n    proxy: {{ server: {server}, username: {user}, password: {password}, bypass: '<-loopback>' }},\n    \
         ignoreHTTPSErrors: true,\n  }},\n"
    )
}

fn changes(
    proxy: &ProxyAddress,
    authority: &Authority,
    files: &RunFiles,
    bypass: &[String],
    user: &Environment,
) -> Vec<VariableChange> {
    let facts = Facts {
        proxy,
        ca: &authority.cert_path(),
        spki_pin: authority.spki_pin(),
        files,
        bypass,
        // The scope is unknown here.
        may_match: &|_| true,
        urls: &[],
        mode: RunMode::RECORD,
        recorded_at: None,
        control: None,
    };
    env::changes(&facts, user).into_iter().filter(|change| change.variable != "HARPROXY_RUN_MODE").collect()
}

/// Returns the flags of browsers as comments, because browsers ignore the variables.
fn browsers(comment: &str, proxy: &ProxyAddress, bypass: &[String], authority: &Authority) -> String {
    let ProxyAddress { host, port, .. } = proxy;
    let arguments = env::chromium_arguments(proxy, bypass, authority.spki_pin());
    let arguments: Vec<_> = arguments.iter().map(|argument| harproxy_support::shell_quote::word(argument)).collect();
    let ca = authority.cert_path();
    format!(
        "{comment} Chromium, by its arguments: {}\n\
         {comment} Firefox, in its about:config: network.proxy.type=1 network.proxy.http={host} network.proxy.http_port={port} \
         network.proxy.ssl={host} network.proxy.ssl_port={port} network.proxy.allow_hijacking_localhost=true; it imports {}\n",
        arguments.join(" "),
        ca.shown()
    )
}

fn credentials(args: &EnvArgs) -> Option<(String, String)> {
    args.listen.auth.as_ref().map(|auth| (auth.user.clone(), auth.password.clone()))
}

fn folder(path: PathBuf) -> Result<PathBuf, Failure> {
    match std::fs::create_dir_all(&path) {
        Ok(()) => Ok(path),
        Err(source) => Err(Failure::Write { path, source }),
    }
}

fn write(path: &Path, content: &[u8], readers: Readers) -> Result<(), Failure> {
    harproxy_support::atomic_file::write(path, content, readers)
        .map_err(|source| Failure::Write { path: path.to_owned(), source })
}
