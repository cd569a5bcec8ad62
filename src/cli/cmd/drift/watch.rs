//! `harproxy drift --every`: repeats the comparison, and sends notifications when the set of findings changes.

use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Finished, compare, publish};
use crate::cli::advice::Failure;
use crate::cli::args::drift::DriftRunArgs;
use crate::cli::event::Event;
use crate::cli::plan::upstream_plan;
use crate::cli::ui::{self, Ui};
use crate::drift::notify::{self, NotifyTarget};
use crate::drift::report::DriftReport;
use crate::verdict::exit;
use harproxy_proxy::upstream::{Upstream, UpstreamPlan};
use harproxy_support::printable::one_line;

/// Runs until it is interrupted, or until the schedule has no more times. A run that fails is printed, and the next
/// one follows.
pub async fn run(args: &DriftRunArgs, ui: &Ui) -> Result<u8, Failure> {
    let Some(schedule) = &args.every else { return Ok(exit::SUCCESS) };
    let mut notifier = Notifier::new(args)?;
    loop {
        let status = match compare(args, ui).await {
            Ok(Finished { report, .. }) => {
                let status = publish(&report, args, ui)?;
                notifier.report(&report, ui).await;
                status
            }
            Err(failure) => failure.print(ui),
        };
        let now = OffsetDateTime::now_utc();
        let Some(next) = schedule.next(now) else { return Ok(status) };
        let wait = std::time::Duration::try_from(next - now).unwrap_or_default();
        let at = next.replace_nanosecond(0).unwrap_or(next).format(&Rfc3339).unwrap_or_default();
        ui.note(Event::Next, &ui::faint(format!("next run at {at}")));
        tokio::time::sleep(wait).await;
    }
}

/// The targets of notifications, and the findings that they know.
pub struct Notifier {
    targets: Vec<NotifyTarget>,
    upstream: Arc<Upstream>,
    known: Option<String>,
}

impl Notifier {
    pub fn new(args: &DriftRunArgs) -> Result<Self, Failure> {
        let plan = upstream_plan(&args.upstream, &args.config.risky, None)?;
        // The other options are about the API.
        let plan = UpstreamPlan { insecure: None, map: Vec::new(), client_certs: Vec::new(), ..plan };
        let upstream = Upstream::anywhere(plan)?;
        let targets = args.config.loaded.drift.notify.clone();
        Ok(Notifier { targets, upstream: Arc::new(upstream), known: None })
    }

    /// Sends notifications if the set of findings differs from that of the run before. The first run notifies only of
    /// findings. A delivery that fails is a warning.
    pub async fn report(&mut self, report: &DriftReport, ui: &Ui) {
        let key = notify::findings_key(report);
        let is_news = match &self.known {
            Some(known) => *known != key,
            None => report.status() != exit::SUCCESS,
        };
        let mut is_delivered = true;
        for target in self.targets.iter().filter(|_| is_news) {
            if let Err(error) = target.notify(report, &self.upstream).await {
                ui.warn(Event::Warning, &one_line(&error.to_string()));
                is_delivered = false;
            }
        }
        // The next run tries again.
        if is_delivered {
            self.known = Some(key);
        }
    }
}
