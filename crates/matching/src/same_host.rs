//! Origins that count as one: `--same-host A=B` everywhere, `same-host` of a `[[match]]` for the URLs of its glob.

use super::{Error, MatchRule};
use harproxy_glob::Globs;
use harproxy_http::NormalUrl;
use harproxy_http::url::Parts;

/// The classes of origins; in the first that a URL belongs to, its origin is any other.
#[derive(Debug, Default)]
pub(super) struct Hosts(Vec<Class>);

/// Origins that count as one.
#[derive(Debug)]
struct Class {
    /// Where: `None` is everywhere.
    glob: Option<Globs>,
    members: Vec<OriginPattern>,
    /// Whether the origins of all URLs that the glob matches are members too: it names none, and one member alone would be
    /// one with nothing.
    open: bool,
}

impl Hosts {
    /// `pairs` hold everywhere, what the rules say for the URLs of their globs.
    pub(super) fn new(pairs: Vec<[OriginPattern; 2]>, rules: &[MatchRule]) -> Self {
        let mut hosts = Hosts::default();
        // What is said last is looked at first, and what is said of some URLs before what is said of all.
        for rule in rules.iter().rev().filter(|rule| !rule.same_host.is_empty()) {
            let mut members = rule.same_host.clone();
            members.extend(rule.glob.sources().iter().filter_map(|glob| origin_of(glob)));
            let alone = members.iter().all(|member| *member == members[0]) && !members[0].any_port;
            hosts.join(Class { glob: Some(rule.glob.clone()), open: alone, members });
        }
        for pair in pairs {
            hosts.join(Class { glob: None, members: pair.to_vec(), open: false });
        }
        hosts
    }

    /// Adds a class. Whatever shares an origin with it, and is about the same URLs, is one with it.
    fn join(&mut self, mut class: Class) {
        let sources = |class: &Class| class.glob.as_ref().map(|glob| glob.sources().to_vec());
        let akin = |other: &Class| {
            sources(other) == sources(&class) && other.members.iter().any(|member| class.members.contains(member))
        };
        let (joined, apart): (Vec<_>, Vec<_>) = std::mem::take(&mut self.0).into_iter().partition(akin);
        for other in joined {
            class.open |= other.open;
            class.members.extend(other.members);
        }
        self.0 = apart;
        self.0.push(class);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The class that a URL belongs to.
    pub(super) fn of(&self, url: &str, parts: &Parts<'_>) -> Option<usize> {
        self.0.iter().position(|class| class.holds(url, parts))
    }

    /// The same URL at the other origins of a class; for an origin of any port, at one port of it.
    pub(super) fn aliases(&self, class: usize, parts: &Parts<'_>) -> Vec<String> {
        self.0[class].aliases(parts)
    }

    /// Whether a class holds all that its glob matches, on whatever origin.
    pub(super) fn is_open(&self, class: usize) -> bool {
        self.0[class].open
    }

    /// The origins, one for each pattern, that may stand for this one.
    pub(super) fn may_stand_for(&self, origin: &str) -> Vec<String> {
        let classes = self.0.iter().filter(|class| class.has(origin));
        classes.flat_map(|class| &class.members).map(OriginPattern::example).collect()
    }

    /// Whether two origins may count as one.
    pub(super) fn may_be_one(&self, a: &str, b: &str) -> bool {
        self.0.iter().any(|class| class.may_hold(a) && class.may_hold(b))
    }

    /// Whether some URL of this origin is taken in by a class that is open.
    pub(super) fn may_open(&self, origin: &str) -> bool {
        self.0.iter().any(|class| class.open && class.may_hold(origin))
    }

    /// The origins that are named, without their ports where any will do.
    pub(super) fn named(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|class| &class.members).map(|member| member.origin.as_str())
    }
}

impl Class {
    fn has(&self, origin: &str) -> bool {
        self.members.iter().any(|member| member.matches(origin))
    }

    fn may_hold(&self, origin: &str) -> bool {
        self.has(origin) || (self.open && self.glob.as_ref().is_some_and(|glob| glob.may_match_origin(origin)))
    }

    fn holds(&self, url: &str, parts: &Parts<'_>) -> bool {
        if !self.open && !self.has(parts.origin) {
            return false;
        }
        let Some(glob) = &self.glob else { return true };
        glob.matches(url) || (self.has(parts.origin) && self.aliases(parts).iter().any(|alias| glob.matches(alias)))
    }

    fn aliases(&self, parts: &Parts<'_>) -> Vec<String> {
        let query = parts.query.map_or_else(String::new, |query| format!("?{query}"));
        let others = self.members.iter().filter(|member| !member.matches(parts.origin));
        others.map(|member| format!("{}{}{query}", member.example(), parts.path)).collect()
    }
}

/// The origin that a glob names, if it names one: all of it up to the path, or all but the port.
fn origin_of(glob: &str) -> Option<OriginPattern> {
    let authority = glob.find("://")? + 3;
    let end = glob[authority..].find('/').map_or(glob.len(), |at| authority + at);
    let origin = &glob[..end];
    let open = origin.strip_suffix(":*").unwrap_or(origin).contains(['*', '{', '\\']);
    if open { None } else { OriginPattern::new(origin).ok() }
}

/// `https://staging.example`, or `http://localhost:*` for every port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern {
    /// The origin in normal form; without a port when any will do.
    origin: String,
    any_port: bool,
}

impl OriginPattern {
    /// Reads one.
    ///
    /// # Errors
    /// [`Error::Origin`].
    pub fn new(given: &str) -> Result<Self, Error> {
        let bad = |reason: &str| Error::Origin { origin: given.to_owned(), reason: reason.to_owned() };
        let (text, any_port) = match given.strip_suffix(":*") {
            Some(text) => (text, true),
            None => (given, false),
        };
        let url = NormalUrl::parse(text).map_err(|_| bad("it is not like `https://host` or `http://localhost:*`"))?;
        let parts = Parts::of(url.as_str());
        if parts.origin.contains('*') {
            return Err(bad("`*` stands for a port, and for nothing else"));
        }
        if parts.path != "/" || parts.query.is_some() || parts.origin.contains('@') {
            return Err(bad("an origin is scheme, host and port, and no more"));
        }
        if any_port && parts.port().is_some() {
            return Err(bad("it has two ports"));
        }
        Ok(OriginPattern { origin: parts.origin.to_owned(), any_port })
    }

    /// An origin that matches.
    fn example(&self) -> String {
        if self.any_port { format!("{}:65535", self.origin) } else { self.origin.clone() }
    }

    pub(super) fn matches(&self, origin: &str) -> bool {
        match origin.strip_prefix(self.origin.as_str()) {
            Some("") => true,
            Some(rest) => self.any_port && rest.starts_with(':'),
            None => false,
        }
    }
}
