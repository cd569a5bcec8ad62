//! The hosts that globs name.

use std::collections::BTreeSet;

use super::Globs;
use super::glob::UrlGlob;
use super::token::Token;

impl Globs {
    /// Returns the hosts that the globs name without wildcards, after braces are expanded, IPv6 addresses without
    /// brackets. Exclusions (`!`) name none.
    ///
    /// ```
    /// use harproxy_glob::Globs;
    /// let globs = Globs::new(["http://{vm,[::1]}:*/**", "https://*.example.com/**"]).unwrap();
    /// assert!(globs.named_hosts().iter().eq(["::1", "vm"]));
    /// ```
    #[must_use]
    pub fn named_hosts(&self) -> BTreeSet<String> {
        let starts = self.include.iter().flat_map(literal_starts);
        starts.filter_map(|start| named_host(&start).map(str::to_owned)).collect()
    }
}

/// Maximum number of alternatives of one glob that are followed.
const MAX_STARTS: usize = 1000;

/// Returns the literal texts with which the URLs of a glob begin, up to the first wildcard or the end of the origin.
fn literal_starts(glob: &UrlGlob) -> Vec<String> {
    let (mut open, mut done) = (vec![String::new()], Vec::new());
    for token in glob.tokens() {
        let branches = match token {
            Token::Alternatives(branches) => branches.iter().map(Vec::as_slice).collect(),
            token => vec![std::slice::from_ref(token)],
        };
        let mut next = Vec::new();
        for start in &open {
            for branch in &branches {
                let literal = branch.iter().map_while(|token| match token {
                    Token::Literal(text) => Some(text.as_str()),
                    _ => None,
                });
                let start = literal.clone().fold(start.clone(), |start, text| start + text);
                let is_literal = literal.count() == branch.len();
                let list = if is_literal && named_host(&start).is_none() { &mut next } else { &mut done };
                list.push(start);
            }
        }
        open = next;
        if open.is_empty() || open.len() > MAX_STARTS {
            break;
        }
    }
    done.extend(open);
    done
}

/// Returns the host in the beginning of a URL. `None` if the beginning ends inside the host.
fn named_host(start: &str) -> Option<&str> {
    let (_, rest) = start.split_once("://")?;
    let authority = rest.split('/').next()?;
    let is_whole = authority.len() < rest.len();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if let Some(address) = host.strip_prefix('[') {
        return address.split_once(']').map(|(address, _)| address);
    }
    match host.split_once(':') {
        Some((host, _)) => Some(host),
        None => is_whole.then_some(host),
    }
    .filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_named_if_no_wildcard_is_in_it() {
        for (glob, expected) in [
            ("http://vm:3456/**", &["vm"][..]),
            ("HTTP://VM/api", &["vm"]),
            ("http://localhost:*/**", &["localhost"]),
            ("http://{localhost,127.0.0.1}:*/**", &["127.0.0.1", "localhost"]),
            ("{http,https}://vm/**", &["vm"]),
            ("http://{a,*.b}.test/**", &["a.test"]),
            ("https://user@api.test:8443/**", &["api.test"]),
            ("http://[::1]:3000/**", &["::1"]),
            ("https://*.example.com/**", &[]),
            ("https://api*/**", &[]),
            ("https://api.test", &["api.test"]),
            ("*://vm/**", &[]),
            ("**/api/**", &[]),
            ("**", &[]),
            ("!http://vm/**", &[]),
        ] {
            let hosts = Globs::new([glob]).unwrap().named_hosts();
            assert!(hosts.iter().eq(expected), "{glob}: {hosts:?}");
        }
    }
}
