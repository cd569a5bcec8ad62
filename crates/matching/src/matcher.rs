//! The matcher: the fixtures of a run with their index, and the state of their sessions.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use ::http::HeaderMap;
use harproxy_compare::{PayloadDigester, RecordedPayload, SentPayload};

use super::candidate::Group;
use super::explain::LazyNeighbours;
use super::index::{Index, Ordinal};
use super::key::{KeyForm, Rules, View};
use super::scope::Scope;
use super::session::{EntryCounts, SequenceState, Sessions};
use super::{EntryRef, Error, Options};
use harproxy_glob::Globs;
use harproxy_har::{EntryHead, Fixture};
use harproxy_http::NormalUrl;
use harproxy_http::url::{Parts, normal};
use harproxy_redact::RedactionView;

/// The fixtures of a run, indexed, and the position of each session in its sequences.
///
/// Threads answer requests concurrently. They wait for each other only while the candidates of a key are loaded.
#[derive(Debug)]
pub struct Matcher {
    pub(super) fixtures: Vec<Arc<Fixture>>,
    pub(super) index: Index,
    /// The rules by which requests are compared.
    pub(super) form: KeyForm,
    pub(super) scope: Scope,
    /// The options of the run, which explanations vary to find a remedy.
    pub(super) options: Options,
    /// The groups by their number in the index. A group is loaded on first use: most entries of a long fixture are
    /// never requested.
    pub(super) groups: Box<[OnceLock<Box<Group>>]>,
    pub(super) sessions: Sessions,
    /// How often each entry was served, including followed redirects.
    pub(super) served: EntryCounts,
    pub(super) neighbours: LazyNeighbours,
    /// The redaction of the requests in explanations.
    pub(super) redaction: Arc<RedactionView>,
}

impl Matcher {
    /// Indexes the fixtures. `scope` (`-g`) replaces the scope of all of them.
    ///
    /// # Errors
    /// An invalid option, or an invalid scope of a fixture.
    pub fn new(fixtures: Vec<Arc<Fixture>>, scope: Option<Globs>, options: Options) -> Result<Self, Error> {
        let form = KeyForm::new(&options)?;
        let index = Index::new(&fixtures, &form);
        let scope = Scope::new(scope, &fixtures, &form, &index, options.reverse.clone())?;
        Ok(Matcher {
            groups: (0..index.by_key.hashes.len()).map(|_| OnceLock::new()).collect(),
            sessions: Sessions::new(index.entries.len()),
            served: EntryCounts::new(index.entries.len()),
            neighbours: LazyNeighbours::new(),
            redaction: Arc::default(),
            options,
            fixtures,
            index,
            form,
            scope,
        })
    }

    /// Sets the redaction of the requests in explanations. Its policy names the headers that hold credentials.
    #[must_use]
    pub fn redact_with(mut self, view: Arc<RedactionView>) -> Self {
        self.form.redaction = view.policy().clone();
        self.redaction = view;
        self
    }

    /// Returns a URL without its secrets, for messages.
    #[must_use]
    pub fn redact_url<'u>(&self, url: &'u NormalUrl) -> Cow<'u, str> {
        let redacted = self.redaction.redactor().redact_url(url.as_str());
        redacted.map_or(Cow::Borrowed(url.as_str()), Cow::Owned)
    }

    /// Returns the fixtures in order.
    #[must_use]
    pub fn fixtures(&self) -> &[Arc<Fixture>] {
        &self.fixtures
    }

    /// Returns true if a URL is in the scope of a fixture.
    #[must_use]
    pub fn in_scope(&self, url: &NormalUrl) -> bool {
        self.scope.accepts(url.as_str(), &self.form)
    }

    /// Returns true if a URL of this origin (`https://host:port`) may be in scope.
    #[must_use]
    pub fn may_match_origin(&self, origin: &str) -> bool {
        self.scope.may_accept_origin(origin, &self.form)
    }

    /// Returns the hosts that the scope and the entries name, IPv6 addresses without brackets.
    #[must_use]
    pub fn named_hosts(&self) -> BTreeSet<String> {
        let origins = self.index.origins.keys();
        let entries = origins.map(|origin| Parts::of(origin).host().trim_matches(['[', ']']).to_owned());
        self.scope.named_hosts().chain(entries).collect()
    }

    /// Returns false if no URL of this host, or of a host below it as a domain, is in scope.
    #[must_use]
    pub fn may_match_domain(&self, domain: &str) -> bool {
        self.scope.may_accept_domain(domain, &self.form)
    }

    /// Returns true if entries of this origin were recorded over HTTP/2.
    #[must_use]
    pub fn speaks_h2(&self, origin: &str) -> bool {
        let hosts = &self.form.hosts;
        self.index.origins.get(origin).is_some_and(|known| known.http2)
            || (!hosts.is_empty()
                && self.index.origins.iter().any(|(name, known)| known.http2 && hosts.may_be_equal(name, origin)))
    }

    /// Returns the entries that can be served, fixture by fixture in file order, and how often each was. A followed
    /// redirect counts as served.
    pub fn served(&self) -> impl Iterator<Item = (EntryRef, u32)> + '_ {
        let entries = (0..).zip(&self.index.entries);
        entries.map(|(ordinal, at)| (*at, self.served.of(ordinal)))
    }

    /// Counts an entry that answers by its name, although it does not match.
    pub fn count_served(&self, at: EntryRef) {
        // Entries are in the order of fixtures and files.
        let found =
            self.index.entries.binary_search_by_key(&(at.fixture, at.entry), |entry| (entry.fixture, entry.entry));
        if let Some(ordinal) = found.ok().and_then(|at| Ordinal::try_from(at).ok()) {
            self.served.add(ordinal);
        }
    }

    /// Starts the sequences of some sessions again. The session without a name is `None`.
    pub fn reset_sequences(&self, is_reset: impl Fn(Option<&str>) -> bool) {
        self.sessions.reset(is_reset);
    }

    /// Returns the entries that were not used, fixture by fixture in file order.
    pub fn unused(&self) -> impl Iterator<Item = EntryRef> + '_ {
        self.served().filter(|(_, times)| *times == 0).map(|(at, _)| at)
    }

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

    /// Returns the first candidate if all of them are duplex exchanges, and counts it as served. No payload of the
    /// request could lead to a response. With others among them, the payload decides.
    #[must_use]
    pub fn take_duplex(&self, lookup: &Lookup<'_>) -> Option<EntryRef> {
        let candidates = || self.load(lookup).into_iter().flat_map(|group| &group.candidates);
        let first = candidates().next().filter(|_| candidates().all(|candidate| candidate.is_duplex))?;
        self.served.add(first.ordinal);
        Some(first.at)
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

    /// Returns the parts of a URL if a group compares them one by one: its URLs have placeholders or ignored parts.
    pub(super) fn open_url_view<'s>(&'s self, url: &'s NormalUrl, groups: &[&Group]) -> Option<View<'s, 's>> {
        let is_needed = groups.iter().any(|group| group.open_urls || group.has_ignored);
        is_needed.then(|| self.form.view(url.as_str()))
    }

    pub(super) fn sequence(&self, session: Option<&str>) -> SequenceState {
        SequenceState::new(self.sessions.of(session))
    }

    pub(super) fn head(&self, ordinal: Ordinal) -> Option<EntryHead<'_>> {
        let at = self.index.at(ordinal);
        self.fixtures[at.fixture].heads().get(at.entry)
    }

    /// Returns the URL of an entry in normal form.
    pub(super) fn url_of(&self, ordinal: Ordinal) -> Option<Cow<'_, str>> {
        normal(self.head(ordinal)?.url)
    }

    /// Returns the rules by which an entry with this URL (in normal form) is compared.
    pub(super) fn rules_for(&self, url: &str) -> Arc<Rules> {
        self.form.rules_for(&self.form.view(url))
    }

    /// Copies the state of the previous matcher. Entries keep their counts, identified by fixture, method, URL and
    /// their index among equal ones. Sequences continue in unchanged fixtures, and start again in changed ones. A
    /// fixture that is `extended` has new entries at its end, and its sequences continue. Idempotent.
    pub fn inherit_state(&self, before: &Matcher, extended: Option<&Path>) {
        let known = before.identities();
        for (entry, ordinal) in self.identities() {
            if let Some(old) = known.get(&entry) {
                self.served.inherit(ordinal, before.served.of(*old));
            }
        }
        let continues = |old: &Arc<Fixture>, now: &Arc<Fixture>| {
            Arc::ptr_eq(old, now) || (old.path() == now.path() && Some(now.path()) == extended)
        };
        let position_before = |now: &Arc<Fixture>| before.fixtures.iter().position(|old| continues(old, now));
        let fixtures: Vec<Option<usize>> = self.fixtures.iter().map(position_before).collect();
        let olds: HashMap<EntryRef, Ordinal> = before.index.entries.iter().copied().zip(0..).collect();
        let unchanged = (0..).zip(&self.index.entries).filter_map(|(ordinal, at)| {
            let old = EntryRef { fixture: fixtures[at.fixture]?, ..*at };
            Some((*olds.get(&old)?, ordinal))
        });
        let unchanged: Vec<(Ordinal, Ordinal)> = unchanged.collect();
        self.sessions.inherit(&before.sessions, &unchanged);
    }

    fn identities(&self) -> HashMap<EntryIdentity<'_>, Ordinal> {
        let mut times: HashMap<(&Path, &str, &str), usize> = HashMap::new();
        let mut known = HashMap::new();
        for (ordinal, at) in (0..).zip(&self.index.entries) {
            let fixture = &self.fixtures[at.fixture];
            let Some(head) = fixture.heads().get(at.entry) else { continue };
            let nth = times.entry((fixture.path(), head.method, head.url)).or_default();
            known.insert((fixture.path(), head.method, head.url, *nth), ordinal);
            *nth += 1;
        }
        known
    }
}

/// The result of a lookup: the groups with the same URL, and those whose URL has placeholders that fit it.
#[derive(Debug)]
pub struct Lookup<'u> {
    pub(super) method: &'u str,
    pub(super) url: &'u NormalUrl,
    /// The numbers of the groups in the index.
    groups: Vec<usize>,
}

/// The identity of an entry across edits: fixture, method, URL, and its index among the entries with the same.
type EntryIdentity<'a> = (&'a Path, &'a str, &'a str, usize);
