//! A compiled glob, and the walk of its tokens over a URL or the beginning of one.

use super::resolve::resolve;
use super::token::{Token, tokens};

/// A compiled glob.
#[derive(Clone, Debug)]
pub(super) struct UrlGlob(Vec<Token>);

/// The share of the URLs with a given prefix that a glob matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// It matches no URL with the prefix.
    None,
    /// It may match some of them.
    Some,
    /// It matches every one of them.
    All,
}

impl UrlGlob {
    /// Compiles a glob without its `!`. The error is the reason as text.
    pub(super) fn new(glob: &str) -> Result<Self, String> {
        if glob.is_empty() {
            return Ok(UrlGlob(vec![Token::Anything]));
        }
        let resolved = resolve(glob);
        let tokens = tokens(&resolved).map_err(|error| match self::tokens(glob) {
            Err(as_written) => as_written.to_string(),
            Ok(_) => format!("{error} of `{resolved}`, which it resolves to"),
        })?;
        Ok(UrlGlob(tokens))
    }

    pub(super) fn tokens(&self) -> &[Token] {
        &self.0
    }

    /// Returns true if the glob matches the whole URL, and its first `literal` bytes without a wildcard.
    pub(super) fn matches(&self, url: &str, literal: usize) -> bool {
        Walk::over(url, &self.0, literal).1[url.len()]
    }

    /// Returns the share that the glob matches of the URLs that begin with `prefix`, its first `literal` bytes
    /// without a wildcard. `None` and `All` are certain; an unusual glob that matches all URLs may give `Some`.
    pub(super) fn reach(&self, prefix: &str, literal: usize) -> Reach {
        match Walk::over(prefix, &self.0, literal).0 {
            Walk { open: true, .. } => Reach::All,
            Walk { alive: true, .. } => Reach::Some,
            _ => Reach::None,
        }
    }
}

/// The byte offsets of `prefix` that can be reached after some tokens, one flag for each.
type Offsets = Vec<bool>;

struct Walk<'a> {
    prefix: &'a str,
    /// The number of bytes that no wildcard may match.
    literal: usize,
    /// A path through the tokens consumes the whole prefix. The rest of a glob can always be satisfied.
    alive: bool,
    /// A path ends in a `**` that matches every continuation.
    open: bool,
}

impl<'a> Walk<'a> {
    /// Walks all tokens from the beginning of `prefix`. Returns the offsets that they reach, too.
    fn over(prefix: &'a str, tokens: &[Token], literal: usize) -> (Self, Offsets) {
        let mut walk = Walk { prefix, literal, alive: false, open: false };
        let mut start = vec![false; prefix.len() + 1];
        start[0] = true;
        let ends = walk.sequence(tokens, start, true);
        (walk, ends)
    }

    /// `last`: all tokens after these may match the empty text.
    fn sequence(&mut self, tokens: &[Token], mut offsets: Offsets, last: bool) -> Offsets {
        for (n, token) in tokens.iter().enumerate() {
            let last = last && tokens[n + 1..].iter().all(may_be_empty);
            offsets = self.token(token, offsets, last);
            self.alive |= offsets[self.prefix.len()];
        }
        offsets
    }

    fn token(&mut self, token: &Token, mut offsets: Offsets, last: bool) -> Offsets {
        let length = self.prefix.len();
        if !matches!(token, Token::Literal(_) | Token::Alternatives(_)) {
            offsets[..self.literal].fill(false);
        }
        let bytes = self.prefix.as_bytes();
        let mut next = vec![false; length + 1];
        match token {
            Token::Literal(text) => {
                for at in reached(&offsets) {
                    let rest = &bytes[at..];
                    if rest.starts_with(text.as_bytes()) {
                        next[at + text.len()] = true;
                    } else if text.as_bytes().starts_with(rest) {
                        self.alive = true;
                    }
                }
            }
            Token::Segment => {
                let mut running = false;
                for at in 0..=length {
                    running |= offsets[at];
                    next[at] = running;
                    running &= bytes.get(at) != Some(&b'/');
                }
            }
            Token::Anything => {
                if let Some(first) = reached(&offsets).next() {
                    next[first..].fill(true);
                    self.open |= last;
                }
            }
            Token::Folders | Token::MaybeFolders => {
                let least = usize::from(*token == Token::MaybeFolders);
                if let Some(first) = reached(&offsets).next() {
                    // A `/` beyond the prefix can always follow.
                    self.alive = true;
                    for at in first + least..length {
                        next[at + 1] |= bytes[at] == b'/';
                    }
                }
                if *token == Token::MaybeFolders {
                    next.iter_mut().zip(&offsets).for_each(|(next, here)| *next |= here);
                }
            }
            Token::Alternatives(branches) => {
                for branch in branches {
                    let ends = self.sequence(branch, offsets.clone(), last);
                    next.iter_mut().zip(&ends).for_each(|(next, end)| *next |= end);
                }
            }
        }
        next
    }
}

fn reached(offsets: &Offsets) -> impl Iterator<Item = usize> + '_ {
    offsets.iter().enumerate().filter(|(_, reached)| **reached).map(|(at, _)| at)
}

fn may_be_empty(token: &Token) -> bool {
    match token {
        Token::Literal(_) | Token::Folders => false,
        Token::Segment | Token::Anything | Token::MaybeFolders => true,
        Token::Alternatives(branches) => branches.iter().any(|branch| branch.iter().all(may_be_empty)),
    }
}
