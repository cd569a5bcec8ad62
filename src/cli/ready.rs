//! The announcement that the proxy listens: a line on standard output, and `--ready-file`.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::advice::Failure;
use super::event::Event;
use super::files;
use super::plan::{DEFAULT_ADDRESS, RunPlan};
use super::ui::{self, LogFormat, Ui, line_at};
use crate::admin::access::AdminToken;
use harproxy_support::atomic_file::Readers;
use harproxy_support::shell_quote;

/// The addresses and files that a client needs, as in `--ready-file`. Paths that are not UTF-8 are converted lossily.
#[derive(Clone, Debug, Serialize)]
pub struct Ready {
    /// The proxy's URL, without credentials.
    pub proxy: String,
    /// The CA certificate, PEM; absolute.
    pub ca: String,
    /// The system's roots and the CA, PEM; absolute.
    pub bundle: String,
    pub pid: u32,
    /// `--reverse`: name → URL.
    pub urls: Map<String, Value>,
    /// The admin API of `serve`.
    #[serde(flatten)]
    pub admin: Option<AdminReady>,
}

/// The admin API for clients. Only `--ready-file` contains the token.
#[derive(Clone, Debug, Serialize)]
pub struct AdminReady {
    /// Its URL.
    #[serde(rename = "admin")]
    pub url: String,
    /// The file with the token; absolute.
    #[serde(rename = "adminTokenFile")]
    pub token_file: String,
    #[serde(skip)]
    pub token: AdminToken,
}

impl Ready {
    /// Prints the line, and as text the instructions for another terminal.
    pub fn announce(&self, plan: &RunPlan, addr: SocketAddr, task: &str, ui: &Ui) -> io::Result<()> {
        let line = self.line(ui.format);
        if ui.format == LogFormat::Json {
            return ui.json(&line);
        }
        ui.data(&line)?;
        ui.note(Event::Ready, &instructions(plan, addr, task));
        Ok(())
    }

    /// Writes `--ready-file`. One with a token is for the user of this process alone.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let mut json = json!(self);
        let readers = match &self.admin {
            None => Readers::All,
            Some(admin) => {
                json["adminToken"] = admin.token.reveal().into();
                Readers::Owner
            }
        };
        files::write_for(path, format!("{json:#}\n").as_bytes(), readers)
    }

    /// Returns the line for standard output, with its line end.
    pub fn line(&self, format: LogFormat) -> String {
        if format == LogFormat::Json {
            return line_at(Event::Ready, None, self) + "\n";
        }
        let Ready { proxy, ca, bundle, pid, urls, admin } = self;
        let urls = urls.iter().map(|(name, url)| format!(", {name} at {}", url.as_str().unwrap_or_default()));
        let admin =
            admin.as_ref().map(|admin| format!(", admin API at {} (token file {})", admin.url, admin.token_file));
        format!(
            "harproxy is ready at {proxy} (CA {ca}, bundle {bundle}, pid {pid}){}{}\n",
            urls.collect::<String>(),
            admin.unwrap_or_default()
        )
    }
}

/// Returns the task of a run without CMD, the command that leads another terminal to it, and how it ends.
fn instructions(plan: &RunPlan, addr: SocketAddr, task: &str) -> String {
    let mut command = "harproxy env".to_owned();
    // Writing into a string cannot fail.
    if addr != DEFAULT_ADDRESS {
        let _ = write!(command, " -p {addr}");
    }
    if let Some(auth) = &plan.proxy.listen.auth {
        let _ = write!(command, " --auth {}", shell_quote::word(&format!("{}:PASS", auth.user)));
    }
    if let Some(folder) = &plan.given_ca_dir {
        let _ = write!(command, " --ca-dir {}", shell_quote::path(folder));
    }
    let command = ui::help(format!("eval \"$({command})\""));
    format!("{task}\n  in another terminal: {command}\n  Ctrl-C ends it\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready() -> Ready {
        Ready {
            proxy: "http://127.0.0.1:8899".into(),
            ca: "/d/ca.pem".into(),
            bundle: "/d/bundle.pem".into(),
            pid: 7,
            urls: Map::from_iter([("API".to_owned(), Value::from("http://127.0.0.1:1"))]),
            admin: None,
        }
    }

    #[test]
    fn text_and_json_have_the_same_content_in_one_line() {
        let json = ready().line(LogFormat::Json);
        assert_eq!(
            json,
            "{\"event\":\"ready\",\"proxy\":\"http://127.0.0.1:8899\",\"ca\":\"/d/ca.pem\",\
             \"bundle\":\"/d/bundle.pem\",\"pid\":7,\"urls\":{\"API\":\"http://127.0.0.1:1\"}}\n"
        );
        let text = ready().line(LogFormat::Text);
        for fact in ["http://127.0.0.1:8899", "/d/ca.pem", "/d/bundle.pem", "pid 7", "API at http://127.0.0.1:1"] {
            assert!(text.contains(fact), "{text}");
        }
        assert_eq!((text.lines().count(), json.lines().count()), (1, 1));
    }
}
