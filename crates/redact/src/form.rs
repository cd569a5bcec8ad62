//! `name=value` pairs between `&`: queries and forms.

use super::names::Names;
use super::redactor::DEEPEST;
use super::view::{Coding, Splice, View, moved};
use super::{AnyRedactor, Form, Name, graphql};

/// Names of pairs that are secret.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pairs {
    Query,
    Form,
}

/// One pair, as it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'t> {
    pub(super) name: &'t [u8],
    /// Without `=` there is none.
    pub(super) value: Option<&'t [u8]>,
}

impl<'t> Pair<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        match memchr::memchr(b'=', text) {
            Some(at) => Pair { name: &text[..at], value: Some(&text[at + 1..]) },
            None => Pair { name: text, value: None },
        }
    }
}

impl AnyRedactor<'_, '_> {
    /// What is taken out of the pairs of a text.
    pub(super) fn pairs(&mut self, text: &[u8], pairs: Pairs, depth: u8) -> Vec<Splice> {
        let mut splices = Vec::new();
        let mut at = 0;
        for pair in text.split(|&byte| byte == b'&') {
            splices.extend(moved(self.pair(Pair::new(pair), pairs, depth), at));
            at += pair.len() + 1;
        }
        splices
    }

    fn pair(&mut self, pair: Pair<'_>, pairs: Pairs, depth: u8) -> Vec<Splice> {
        let name = View::new(pair.name, Coding::Form);
        let Some(raw) = pair.value else {
            let splices = self.unnamed(&name.text, true);
            return name.written(splices, 0).collect();
        };
        let at = pair.name.len() + 1;
        let value = View::new(raw, Coding::Form);
        if let Some(called) = self.secret_pair(&name.text, pairs) {
            let with = self.named(&value.text, &called, Form::Text);
            return with.map(|with| Splice { range: at..at + raw.len(), with }).into_iter().collect();
        }
        let in_name = self.unnamed(&name.text, true);
        let in_value = self.nested(&value.text, true, depth + 1);
        name.written(in_name, 0).chain(value.written(in_value, at)).collect()
    }

    /// What the value of a pair of this name is called in placeholders, if it is secret.
    pub(super) fn secret_pair(&self, name: &[u8], pairs: Pairs) -> Option<Name> {
        let secret = match pairs {
            Pairs::Query => &self.policy.query,
            Pairs::Form => &self.policy.form,
        };
        let is = secret.contains(name) || is_member(name, &self.policy.json);
        is.then(|| Name::new(&String::from_utf8_lossy(name)))
    }

    /// What is taken out of a value that is no secret itself: it may be a URL or JSON.
    pub(super) fn nested(&mut self, text: &[u8], encoded: bool, depth: u8) -> Vec<Splice> {
        if depth < DEEPEST {
            if is_url(text) {
                return self.in_url(text, depth);
            }
            if is_object(text) && !graphql::looks_like(text) {
                return self.json(text, depth);
            }
        }
        self.unnamed(text, encoded)
    }
}

/// Whether a pair's name says the way to a member, as in `user[password]`, that would be secret in JSON.
fn is_member(name: &[u8], members: &Names) -> bool {
    let last = name.strip_suffix(b"]").and_then(|inside| inside.rsplit(|&byte| byte == b'[').next());
    last.is_some_and(|last| last.len() + 2 < name.len() && members.contains(last))
}

/// Whether all of a text is a URL that a browser would open.
pub(super) fn is_url(text: &[u8]) -> bool {
    let scheme = text
        .get(..8)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"https://") || start[..7].eq_ignore_ascii_case(b"http://"));
    scheme && !text.iter().any(u8::is_ascii_whitespace)
}

/// Whether a text looks like an object or array of JSON.
fn is_object(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    matches!((text.first(), text.last()), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))) && text.contains(&b'"')
}
