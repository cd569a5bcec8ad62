//! Origins that are treated as equal: by `--same-host A=B` for all URLs, by `same-host` of a `[[match]]` for those of
//! its glob.

use super::{Error, MatchRule};
use harproxy_glob::Globs;
use harproxy_http::NormalUrl;
use harproxy_http::url::Parts;

/// The classes of equal origins. The first class that a URL belongs to applies.
#[derive(Debug, Default)]
pub(super) struct SameHostClasses(Vec<OriginClass>);

/// Origins that are treated as equal.
#[derive(Debug)]
pub(super) struct OriginClass {
    /// The URLs to which it applies; `None` for all.
    glob: Option<Globs>,
    members: Vec<OriginPattern>,
    /// Whether the origins of all URLs that the glob matches are members, too. They are if the rule names one origin
    /// and the glob none.
    pub(super) open: bool,
}

impl SameHostClasses {
    /// Returns the classes of `--same-host` pairs and of rules.
    pub(super) fn new(pairs: Vec<[OriginPattern; 2]>, rules: &[MatchRule]) -> Self {
        let mut hosts = SameHostClasses::default();
        // Later rules come before earlier ones, and rules before pairs.
        for rule in rules.iter().rev().filter(|rule| !rule.same_host.is_empty()) {
            let mut members = rule.same_host.clone();
            members.extend(rule.glob.sources().iter().filter_map(|glob| origin_of(glob)));
            let alone = members.iter().all(|member| *member == members[0]) && !members[0].any_port;
            hosts.join(OriginClass { glob: Some(rule.glob.clone()), open: alone, members });
        }
        for pair in pairs {
            hosts.join(OriginClass { glob: None, members: pair.to_vec(), open: false });
        }
        hosts
    }

    /// Adds a class, and merges it with the classes for the same URLs that share an origin with it.
    fn join(&mut self, mut class: OriginClass) {
        let sources = |class: &OriginClass| class.glob.as_ref().map(|glob| glob.sources().to_vec());
        let is_same = |other: &OriginClass| {
            sources(other) == sources(&class) && other.members.iter().any(|member| class.members.contains(member))
        };
        let (joined, apart): (Vec<_>, Vec<_>) = std::mem::take(&mut self.0).into_iter().partition(is_same);
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

    /// Returns the class of a URL, and its index.
    pub(super) fn find(&self, url: &str, parts: &Parts<'_>) -> Option<(usize, &OriginClass)> {
        self.0.iter().enumerate().find(|(_, class)| class.contains(url, parts))
    }

    /// Returns true if a class names this origin.
    pub(super) fn names(&self, origin: &str) -> bool {
        self.0.iter().any(|class| class.has(origin))
    }

    /// Returns the origins that may be equal to this one, one for each pattern.
    pub(super) fn possible_equals(&self, origin: &str) -> Vec<String> {
        let classes = self.0.iter().filter(|class| class.has(origin));
        classes.flat_map(|class| &class.members).map(OriginPattern::example).collect()
    }

    /// Returns true if two origins may be equal.
    pub(super) fn may_be_equal(&self, a: &str, b: &str) -> bool {
        self.0.iter().any(|class| class.may_contain(a) && class.may_contain(b))
    }

    /// Returns true if an open class may contain URLs of this origin.
    pub(super) fn may_be_in_open_class(&self, origin: &str) -> bool {
        self.0.iter().any(|class| class.open && class.may_contain(origin))
    }

    /// Returns the named origins. Those with any port have no port.
    pub(super) fn named(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|class| &class.members).map(|member| member.origin.as_str())
    }
}

impl OriginClass {
    fn has(&self, origin: &str) -> bool {
        self.members.iter().any(|member| member.matches(origin))
    }

    fn may_contain(&self, origin: &str) -> bool {
        self.has(origin) || (self.open && self.glob.as_ref().is_some_and(|glob| glob.may_match_origin(origin)))
    }

    fn contains(&self, url: &str, parts: &Parts<'_>) -> bool {
        if !self.open && !self.has(parts.origin) {
            return false;
        }
        let Some(glob) = &self.glob else { return true };
        glob.matches(url) || (self.has(parts.origin) && self.aliases(parts).iter().any(|alias| glob.matches(alias)))
    }

    /// Returns the URL at the other origins of the class. An origin with any port is represented by one port.
    pub(super) fn aliases(&self, parts: &Parts<'_>) -> Vec<String> {
        let query = parts.query.map_or_else(String::new, |query| format!("?{query}"));
        let others = self.members.iter().filter(|member| !member.matches(parts.origin));
        others.map(|member| format!("{}{}{query}", member.example(), parts.path)).collect()
    }
}

/// Returns the origin that a glob names without wildcards, except for a `*` as the port.
fn origin_of(glob: &str) -> Option<OriginPattern> {
    let authority = glob.find("://")? + 3;
    let end = glob[authority..].find('/').map_or(glob.len(), |at| authority + at);
    let origin = &glob[..end];
    let has_wildcard = origin.strip_suffix(":*").unwrap_or(origin).contains(['*', '{', '\\']);
    if has_wildcard { None } else { OriginPattern::new(origin).ok() }
}

/// An origin, or an origin with any port: `https://staging.example`, `http://localhost:*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern {
    /// The origin in normal form, without a port if any port matches.
    origin: String,
    any_port: bool,
}

impl OriginPattern {
    pub fn new(given: &str) -> Result<Self, Error> {
        let bad = |reason: &str| Error::Origin { origin: given.to_owned(), reason: reason.to_owned() };
        let (text, any_port) = match given.strip_suffix(":*") {
            Some(text) => (text, true),
            None => (given, false),
        };
        let url = NormalUrl::parse(text)
            .map_err(|_| bad("expected an origin such as `https://host` or `http://localhost:*`"))?;
        let parts = Parts::of(url.as_str());
        if parts.origin.contains('*') {
            return Err(bad("`*` is allowed only as the port"));
        }
        if parts.path != "/" || parts.query.is_some() || parts.origin.contains('@') {
            return Err(bad("an origin has only scheme, host and port"));
        }
        if any_port && parts.port().is_some() {
            return Err(bad("it has two ports"));
        }
        Ok(OriginPattern { origin: parts.origin.to_owned(), any_port })
    }

    /// Returns the host, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        Parts::of(&self.origin).host().trim_matches(['[', ']'])
    }

    /// Returns an origin that the pattern matches.
    fn example(&self) -> String {
        if self.any_port { format!("{}:65535", self.origin) } else { self.origin.clone() }
    }

    /// Returns true if the pattern matches an origin in normal form.
    #[must_use]
    pub fn matches(&self, origin: &str) -> bool {
        match origin.strip_prefix(self.origin.as_str()) {
            Some("") => true,
            Some(rest) => self.any_port && rest.starts_with(':'),
            None => false,
        }
    }
}
