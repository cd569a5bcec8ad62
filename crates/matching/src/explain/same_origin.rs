//! Finds the recorded origin that a request at another origin may mean, and prints the option that makes the two equal.

use harproxy_http::NormalUrl;
use harproxy_http::url::{Parts, normal};
use harproxy_support::shell_quote;

use super::super::Options;
use super::super::matcher::Matcher;

impl Matcher {
    /// Returns the option with which a request out of scope would be answered: `--same-host` with the origin of an
    /// entry that has the same method, path and query.
    #[must_use]
    pub fn same_host_option(&self, method: &str, url: &NormalUrl) -> Option<String> {
        let asked = self.form.view(url.as_str());
        let sent = Parts::of(url.as_str());
        let recorded = self.nearest(method, &asked, false).into_iter().find_map(|(_, ordinal)| {
            let head = self.head(ordinal)?;
            let recorded = normal(head.url)?;
            let parts = Parts::of(&recorded);
            let is_same = self.method_for(ordinal, head.method, method) == method
                && parts.path == sent.path
                && parts.query == sent.query;
            (is_same && parts.site() != sent.site()).then(|| parts.site().into_owned())
        })?;
        Some(option(&self.options, &pair(&sent.site(), &recorded)))
    }
}

/// Returns the arguments of `--same-host` for the origin of a request and a recorded one. A server of this machine at
/// another port gets `:*`, because its port is new in each run.
pub(super) fn pair(sent: &str, recorded: &str) -> (String, String) {
    let is_port = |origin: &str| Parts::of(origin).port().is_some() && Parts::of(origin).is_loopback();
    let any_port = || {
        let colon = sent.rfind(':')?;
        (is_port(sent) && is_port(recorded)).then(|| format!("{}:*", &sent[..colon]))
    };
    (any_port().unwrap_or_else(|| sent.to_owned()), recorded.to_owned())
}

/// Returns the option as it is typed. It replaces the list of `harproxy.toml`, so the whole list is written.
pub(super) fn option(options: &Options, (sent, recorded): &(String, String)) -> String {
    let known = options.same_host.iter().map(|(a, b)| format!("{a}={b}"));
    let pairs = known.chain([format!("{sent}={recorded}")]);
    pairs.map(|pair| format!("--same-host {}", shell_quote::word(&pair))).collect::<Vec<_>>().join(" ")
}
