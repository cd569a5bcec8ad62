//! Every string of a HAR in which a secret may stand, and what is known of its place.

use std::borrow::Cow;
use std::fmt;

use super::Body;
use harproxy_json::text::unquote_lossy;
use harproxy_json::{Member, Node, NodeKind};
use harproxy_redact::TextLocation;

/// Which message something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upkeep) enum Side {
    Request,
    Response,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Side::Request { "request" } else { "response" })
    }
}

/// Where a string stands. It says so in words that people use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::upkeep) enum Where {
    Url,
    RedirectUrl,
    Header(Side, String),
    Trailer(String),
    Cookie(Side, String),
    Parameter(String),
    Field(String),
    /// A member that HAR 1.2 does not know, or that is nobody's in particular.
    Member {
        path: String,
        name: String,
    },
}

impl Where {
    /// What of it is secret.
    pub(super) fn place(&self) -> TextLocation<'_> {
        match self {
            Where::Url | Where::RedirectUrl => TextLocation::Url,
            Where::Header(_, name) | Where::Trailer(name) => TextLocation::Header(name),
            Where::Cookie(Side::Request, name) => TextLocation::Cookie { header: "cookie", name },
            Where::Cookie(Side::Response, name) => TextLocation::Cookie { header: "set-cookie", name },
            Where::Parameter(name) => TextLocation::Parameter(name),
            Where::Field(name) => TextLocation::Field(name),
            Where::Member { name, .. } => TextLocation::Member(name),
        }
    }

    /// Whether it only repeats what stands in a URL or a header field.
    pub(in crate::upkeep) fn is_derived(&self) -> bool {
        matches!(self, Where::Cookie(..) | Where::Parameter(_) | Where::RedirectUrl)
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Where::Url => f.write_str("request URL"),
            Where::RedirectUrl => f.write_str("redirectURL"),
            Where::Header(side, name) => write!(f, "{side} header {}", name.to_ascii_lowercase()),
            Where::Trailer(name) => write!(f, "response trailer {}", name.to_ascii_lowercase()),
            Where::Cookie(side, name) => write!(f, "{side} cookie {name}"),
            Where::Parameter(name) => write!(f, "query parameter {name}"),
            Where::Field(name) => write!(f, "form field {name}"),
            Where::Member { path, .. } => f.write_str(path),
        }
    }
}

/// A string.
#[derive(Debug)]
pub(in crate::upkeep) struct Spot<'t> {
    pub(in crate::upkeep) what: Where,
    /// As it is written, without its quotes.
    pub(in crate::upkeep) written: &'t str,
    /// Where that begins in the text of the part.
    pub(in crate::upkeep) at: usize,
}

/// A string or a payload.
#[derive(Debug)]
pub(in crate::upkeep) enum Item<'t> {
    Spot(Spot<'t>),
    Body(Body<'t>),
}

impl Item<'_> {
    /// Where it begins in the text of the part.
    pub(in crate::upkeep) fn at(&self) -> usize {
        match self {
            Item::Spot(spot) => spot.at,
            Item::Body(body) => body.at(),
        }
    }
}

/// All of an entry: first what messages consist of, in their order, so that a value is named as a recording would name it;
/// then what only repeats that, and what other tools wrote.
pub(super) fn of_entry<'t>(entry: &'t Node<'t>) -> Vec<Item<'t>> {
    let mut walk = Walk::default();
    let messages = [("request", Side::Request), ("response", Side::Response)];
    let parts = |name: &'static str| entry.members().iter().filter(move |member| member.name == name);
    for names in
        [&["url", "headers", "postData", "content", "_trailers"][..], &["cookies", "queryString", "redirectURL"]]
    {
        for (message, side) in messages {
            for part in parts(message) {
                for name in names {
                    let of_name = part.value.members().iter().filter(|member| member.name == *name);
                    of_name.for_each(|member| walk.known(side, &part.value, member));
                }
            }
        }
    }
    /// No place for secrets, and what was gone over above.
    const MESSAGE: [&str; 10] = [
        "method",
        "url",
        "httpVersion",
        "headers",
        "postData",
        "content",
        "_trailers",
        "cookies",
        "queryString",
        "redirectURL",
    ];
    const ENTRY: [&str; 4] = ["startedDateTime", "pageref", "serverIPAddress", "connection"];
    for member in entry.members().iter().filter(|member| !ENTRY.contains(&&*member.name)) {
        let message = messages.iter().any(|(name, _)| *name == member.name);
        if message && matches!(member.value.kind, NodeKind::Object(_)) {
            let others = member.value.members().iter().filter(|member| !MESSAGE.contains(&&*member.name));
            others.for_each(|other| walk.any(&other.name, &format!("{}.{}", member.name, other.name), &other.value));
        } else {
            walk.any(&member.name, &member.name, &member.value);
        }
    }
    walk.items
}

/// All of what stands around the entries.
pub(super) fn of_member<'t>(name: &str, value: &'t Node<'t>) -> Vec<Item<'t>> {
    let mut walk = Walk::default();
    walk.any(name, name, value);
    walk.items
}

#[derive(Default)]
struct Walk<'t> {
    items: Vec<Item<'t>>,
}

impl<'t> Walk<'t> {
    /// A member of a message that HAR 1.2 knows.
    fn known(&mut self, side: Side, message: &'t Node<'t>, member: &'t Member<'t>) {
        let value = &member.value;
        match &*member.name {
            "url" => self.string(value, || Where::Url),
            "redirectURL" => self.string(value, || Where::RedirectUrl),
            "headers" => self.fields("headers", value, |name| Where::Header(side, name)),
            "_trailers" => self.fields("_trailers", value, Where::Trailer),
            "cookies" => self.fields("cookies", value, |name| Where::Cookie(side, name)),
            "queryString" => self.fields("queryString", value, Where::Parameter),
            name => self.body(name, side, message, value),
        }
    }

    fn body(&mut self, name: &str, side: Side, message: &'t Node<'t>, value: &'t Node<'t>) {
        if !matches!(value.kind, NodeKind::Object(_)) {
            return self.any(name, name, value);
        }
        self.items.push(Item::Body(Body::new(side, content_type(message, value), value)));
        for member in value.members() {
            match &*member.name {
                "text" | "_file" | "mimeType" | "encoding" => {}
                "params" => self.fields("params", &member.value, Where::Field),
                other => self.any(other, &format!("{side}.{name}.{other}"), &member.value),
            }
        }
    }

    /// A list of names and values.
    fn fields(&mut self, name: &str, list: &'t Node<'t>, what: impl Fn(String) -> Where) {
        let NodeKind::Array(fields) = &list.kind else { return self.any(name, name, list) };
        for field in fields {
            let called = field.member("name").and_then(text_of).unwrap_or_default();
            for member in field.members() {
                match &*member.name {
                    "name" => {}
                    "value" => self.string(&member.value, || what(called.to_string())),
                    other => self.any(other, &format!("{name}.{other}"), &member.value),
                }
            }
        }
    }

    /// What some tool wrote. Lists of header fields and their like are known by what they are called.
    fn any(&mut self, name: &str, path: &str, value: &'t Node<'t>) {
        let header = name.to_ascii_lowercase().ends_with("headers") || name == "trailers";
        match &value.kind {
            NodeKind::Scalar => self.string(value, || Where::Member { path: path.to_owned(), name: name.to_owned() }),
            NodeKind::Array(items) => {
                let pairs = items.iter().any(|item| item.member("name").is_some() && item.member("value").is_some());
                match name {
                    _ if !pairs => {}
                    _ if header => return self.fields(name, value, |name| Where::Header(Side::Request, name)),
                    "cookies" => return self.fields(name, value, |name| Where::Cookie(Side::Request, name)),
                    "queryString" => return self.fields(name, value, Where::Parameter),
                    "params" => return self.fields(name, value, Where::Field),
                    _ => {}
                }
                items.iter().enumerate().for_each(|(n, item)| self.any(name, &format!("{path}[{n}]"), item));
            }
            NodeKind::Object(members) => {
                for member in members {
                    if header && matches!(member.value.kind, NodeKind::Scalar) {
                        self.string(&member.value, || Where::Header(Side::Request, member.name.clone()));
                    } else {
                        self.any(&member.name, &format!("{path}.{}", member.name), &member.value);
                    }
                }
            }
        }
    }

    fn string(&mut self, value: &'t Node<'t>, what: impl FnOnce() -> Where) {
        if let Some(written) = inside(value).filter(|written| !written.is_empty()) {
            self.items.push(Item::Spot(Spot { what: what(), written, at: value.at + 1 }));
        }
    }
}

/// A string as it is written, without its quotes.
pub(super) fn inside<'t>(node: &Node<'t>) -> Option<&'t str> {
    node.text.strip_prefix('"')?.strip_suffix('"')
}

/// Decodes a string.
pub(super) fn text_of<'t>(node: &Node<'t>) -> Option<Cow<'t, str>> {
    unquote_lossy(node.text)
}

/// The `Content-Type` of a message, else what its payload is said to be.
fn content_type(message: &Node<'_>, body: &Node<'_>) -> String {
    let fields = message.member("headers").map(Node::elements).unwrap_or_default();
    let of_name = |field: &&Node<'_>| {
        let name = field.member("name").and_then(text_of);
        name.is_some_and(|name| name.eq_ignore_ascii_case("content-type"))
    };
    let header = fields.iter().find(of_name).and_then(|field| field.member("value"));
    let said = header.or_else(|| body.member("mimeType")).and_then(text_of).unwrap_or_default();
    // What browsers write when they don't know.
    if said == "x-unknown" { String::new() } else { said.into_owned() }
}
