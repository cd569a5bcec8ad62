//! The lookup of a request by its method and URL, which finds the groups of entries that may answer it.

use ::http::HeaderMap;
use harproxy_compare::{PayloadDigester, RecordedPayload, SentPayload};
use harproxy_http::NormalUrl;

use super::candidate::Group;
use super::key::View;
use super::matcher::Matcher;

/// The result of a lookup: the groups with the same URL, and those whose URL has placeholders that fit it.
#[derive(Debug)]
pub struct Lookup<'u> {
    pub(super) method: &'u str,
    pub(super) url: &'u NormalUrl,
    /// The numbers of the groups in the index.
    groups: Vec<usize>,
}

impl Matcher {
    /// Looks a method and a URL up.
    #[must_use]
    pub fn find<'u>(&self, method: &'u str, url: &'u NormalUrl) -> Lookup<'u> {
        let mut groups = Vec::from_iter(self.index.group(method, &self.form.key(url.as_str())));
        if !self.index.shapes.is_empty() {
            groups.extend(self.index.open_groups(method, &self.form.view(url.as_str())));
        }
        Lookup { method, url, groups }
    }

    /// Returns true if the candidates of a lookup are loaded. Loading them reads their entries and request payloads
    /// from the fixtures, which blocks.
    #[must_use]
    pub fn is_loaded(&self, lookup: &Lookup<'_>) -> bool {
        lookup.groups.iter().all(|&group| self.groups[group].get().is_some())
    }

    /// Returns true if the payload of the request matters: for the choice of an entry, or for the explanation of a
    /// miss. Otherwise replay answers without waiting for the payload.
    #[must_use]
    pub fn needs_body(&self, lookup: &Lookup<'_>) -> bool {
        let groups = self.load(lookup);
        groups.is_empty() || groups.iter().any(|group| group.needs_body)
    }

    /// Returns a digester for a payload that is too long for memory. `None` if the comparison needs the whole payload
    /// (`--match-body json` and `form`, `--ignore-body`).
    #[must_use]
    pub fn payload_digester(&self, lookup: &Lookup<'_>, headers: &HeaderMap) -> Option<PayloadDigester> {
        let (groups, content_type) = (self.load(lookup), SentPayload::new(headers, None).content_type());
        if !groups.iter().all(|group| group.rules.body.can_stream(&content_type)) {
            return None;
        }
        let candidates = groups.iter().flat_map(|group| &group.candidates);
        let cuts = candidates.filter_map(|candidate| match candidate.payload {
            RecordedPayload::Cut { kept, .. } => Some(kept as u64),
            _ => None,
        });
        Some(PayloadDigester::new(headers, cuts.collect()))
    }

    /// Returns the groups of a lookup, and loads them on first use.
    pub(super) fn load(&self, lookup: &Lookup<'_>) -> Vec<&Group> {
        lookup.groups.iter().map(|&group| self.load_group(group, lookup.url)).collect()
    }

    fn load_group(&self, group: usize, url: &NormalUrl) -> &Group {
        self.groups[group].get_or_init(|| {
            let members = self.index.by_key.members(group).iter().map(|&ordinal| (ordinal, self.index.at(ordinal)));
            // If a path pattern puts entries with different rules into one group, the rules of the first one apply.
            let first = self.index.by_key.members(group).first().and_then(|&ordinal| self.url_of(ordinal));
            let rules = self.rules_for(first.as_deref().unwrap_or(url.as_str()));
            Box::new(Group::new(members, &self.fixtures, rules, &self.form))
        })
    }

    /// Returns the parts of a URL if a group compares them with URLs that contain placeholders.
    pub(super) fn open_url_view<'s>(&'s self, url: &'s NormalUrl, groups: &[&Group]) -> Option<View<'s, 's>> {
        groups.iter().any(|group| group.open_urls).then(|| self.form.view(url.as_str()))
    }
}
