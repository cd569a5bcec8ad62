//! URLs, whole or relative, as they are written: nothing but what is taken out changes by a byte.

use super::form::Pairs;
use super::shapes::is_userinfo;
use super::view::{Coding, Splice, View, apply, moved};
use super::{AnyRedactor, Form, Name};

/// What the placeholder of a user and its password is called.
const USERINFO: &str = "userinfo";

impl AnyRedactor<'_, '_> {
    /// A URL: values of its query and of a fragment that looks like one, userinfo, shapes anywhere. `None` when nothing was
    /// taken out. What was a valid URL still is one.
    pub fn url(&mut self, url: &str) -> Option<String> {
        if self.policy.is_off() {
            return None;
        }
        let splices = self.in_url(url.as_bytes(), 0);
        // A stand-in never ends within a character.
        apply(url.as_bytes(), &splices).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn in_url(&mut self, url: &[u8], depth: u8) -> Vec<Splice> {
        let (rest, fragment) = split(url, b'#');
        let (path, query) = split(rest, b'?');
        let mut splices = self.before_query(path);
        if let Some(query) = query {
            splices.extend(moved(self.pairs(query, Pairs::Query, depth), path.len() + 1));
        }
        if let Some(fragment) = fragment {
            splices.extend(moved(self.fragment(fragment, depth), rest.len() + 1));
        }
        splices
    }

    /// Scheme, userinfo, host and path.
    fn before_query(&mut self, text: &[u8]) -> Vec<Splice> {
        let mut splices = Vec::new();
        let mut from = 0;
        if let Some(userinfo) = userinfo(text).filter(|_| self.policy.shapes.has(USERINFO)) {
            let view = View::new(&text[userinfo.clone()], Coding::Percent);
            let with = self.named(&view.text, &Name::new(USERINFO), Form::Text);
            from = userinfo.end;
            splices.extend(with.map(|with| Splice { range: userinfo, with }));
        }
        let view = View::new(&text[from..], Coding::Percent);
        let found = self.unnamed(&view.text, true);
        splices.extend(view.written(found, from));
        splices
    }

    /// Host and port, before which HTTP/2 lets a client write what belongs to a URL alone (RFC 9113 section 8.3.1).
    pub(super) fn in_authority(&mut self, text: &[u8]) -> Vec<Splice> {
        match memchr::memrchr(b'@', text) {
            Some(at) if self.policy.shapes.has(USERINFO) => {
                let with = self.named(&text[..at], &Name::new(USERINFO), Form::Text);
                with.map(|with| Splice { range: 0..at, with }).into_iter().collect()
            }
            _ => self.unnamed(text, false),
        }
    }

    /// Parameters can stand in a fragment (RFC 6749 section 4.2.2), and routes of an application with a query of their own.
    fn fragment(&mut self, text: &[u8], depth: u8) -> Vec<Splice> {
        let (route, query) = split(text, b'?');
        let Some(query) = query else {
            let pairs = if text.contains(&b'=') { Some(self.pairs(text, Pairs::Query, depth)) } else { None };
            return pairs.unwrap_or_else(|| self.plain_part(text));
        };
        let mut splices = self.plain_part(route);
        splices.extend(moved(self.pairs(query, Pairs::Query, depth), route.len() + 1));
        splices
    }

    fn plain_part(&mut self, text: &[u8]) -> Vec<Splice> {
        let view = View::new(text, Coding::Percent);
        let found = self.unnamed(&view.text, true);
        view.written(found, 0).collect()
    }
}

/// Before and behind the first of these bytes.
fn split(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(at, text) {
        Some(found) => (&text[..found], Some(&text[found + 1..])),
        None => (text, None),
    }
}

/// Where user and password stand, without the `@`.
fn userinfo(text: &[u8]) -> Option<std::ops::Range<usize>> {
    let start = memchr::memmem::find(text, b"//")? + 2;
    let is_authority = start == 2 || text[start - 3] == b':' && !text[..start - 3].contains(&b'/');
    let end = memchr::memchr2(b'/', b'\\', &text[start..]).map_or(text.len(), |at| start + at);
    let at = memchr::memrchr(b'@', &text[start..end])?;
    (is_authority && is_userinfo(&text[start..start + at])).then_some(start..start + at)
}
