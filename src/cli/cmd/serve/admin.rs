//! The admin API of `harproxy serve`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::admin::api::{AdminApi, ConfigParsers};
use crate::admin::events::AdminEvents;
use crate::admin::server::{AdminServer, TokenFile};
use crate::cli::advice::Failure;
use crate::cli::config::json;
use crate::cli::plan;
use crate::cli::ready::AdminReady;
use crate::cli::run::Run;
use crate::replay::Replayer;
use crate::serve::history::RequestHistory;
use crate::serve::memory::RouteState;
use harproxy_redact::{Placeholder, Secret};

/// The admin API before the run begins.
pub struct Admin {
    server: AdminServer,
    file: TokenFile,
    history: Arc<RequestHistory>,
}

/// The parts of a run that the admin API works on.
pub struct AdminTargets {
    pub replayer: Arc<Replayer>,
    pub rules: Arc<RouteState>,
    /// `[redact.values]`.
    pub values: Vec<(Placeholder, Secret)>,
    pub is_offline: bool,
    /// The user name of `--auth`.
    pub user: Option<String>,
}

impl Admin {
    /// Opens the port, and writes the token file below the folder of the certificate authority.
    pub async fn bind(addr: SocketAddr, ca_dir: &Path, history: Arc<RequestHistory>) -> Result<Self, Failure> {
        let (server, file) = AdminServer::bind(addr, &ca_dir.join("admin")).await?;
        Ok(Admin { server, file, history })
    }

    #[must_use]
    pub fn ready(&self) -> AdminReady {
        AdminReady {
            url: self.server.url(),
            token_file: self.file.path().to_string_lossy().into_owned(),
            token: self.server.token().clone(),
        }
    }

    /// Serves requests from now on, until the runtime ends. The token file exists as long as the result.
    #[must_use]
    pub fn start(self, run: &mut Run<'_>, targets: AdminTargets) -> TokenFile {
        let AdminTargets { replayer, rules, values, is_offline, user } = targets;
        let events = AdminEvents::default();
        run.bus = run.bus.with(self.history.clone()).with(Arc::new(events.clone()));
        let api = AdminApi {
            addr: self.server.addr(),
            token: self.server.token().clone(),
            replayer,
            rules,
            history: self.history,
            events,
            sessions: run.bus.sessions.clone(),
            user,
            parsers: ConfigParsers { change: json::rule_change, expectations: json::expectations },
            values,
            is_offline,
            is_read_only: plan::in_ci(),
            started: Instant::now(),
        };
        api.replayer.view().add_configured(&api.secrets());
        let server = self.server;
        tokio::spawn(async move { server.serve(Arc::new(api)).await });
        self.file
    }
}
