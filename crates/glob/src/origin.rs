//! Whether a glob can match any URL that begins with a given text: decided on its tokens, without a URL at hand.

use super::token::Token;

/// How a glob stands to all URLs that begin with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// It matches none of them.
    None,
    /// It matches some of them, for all we can say.
    Some,
    /// It matches every one of them.
    All,
}

impl Reach {
    /// Follows the tokens over `prefix`. `None` is certain, and so is `All`; a glob that matches all but says so in a
    /// roundabout way is `Some`.
    pub(super) fn of(tokens: &[Token], prefix: &str) -> Reach {
        let mut walk = Walk { prefix, alive: false, open: false };
        let mut start = vec![false; prefix.len() + 1];
        start[0] = true;
        walk.sequence(tokens, start, true);
        match (walk.open, walk.alive) {
            (true, _) => Reach::All,
            (false, true) => Reach::Some,
            (false, false) => Reach::None,
        }
    }
}

/// The places of `prefix` that may have been reached after some tokens, one flag for each byte offset.
type Places = Vec<bool>;

struct Walk<'a> {
    prefix: &'a str,
    /// Some way through the tokens uses up the whole prefix. What is left of a glob can always be satisfied.
    alive: bool,
    /// Some way ends in a `**` that takes whatever follows.
    open: bool,
}

impl Walk<'_> {
    /// `last`: whether nothing that must match something follows these tokens.
    fn sequence(&mut self, tokens: &[Token], mut places: Places, last: bool) -> Places {
        for (n, token) in tokens.iter().enumerate() {
            let last = last && tokens[n + 1..].iter().all(may_be_empty);
            places = self.token(token, places, last);
            self.alive |= places[self.prefix.len()];
        }
        places
    }

    fn token(&mut self, token: &Token, places: Places, last: bool) -> Places {
        let length = self.prefix.len();
        let bytes = self.prefix.as_bytes();
        let mut next = vec![false; length + 1];
        match token {
            Token::Literal(text) => {
                for at in reached(&places) {
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
                    running |= places[at];
                    next[at] = running;
                    running &= bytes.get(at) != Some(&b'/');
                }
            }
            Token::Anything => {
                if let Some(first) = reached(&places).next() {
                    next[first..].fill(true);
                    self.open |= last;
                }
            }
            Token::Folders | Token::MaybeFolders => {
                let least = usize::from(*token == Token::MaybeFolders);
                if let Some(first) = reached(&places).next() {
                    // A `/` beyond the prefix can always follow.
                    self.alive = true;
                    for at in first + least..length {
                        next[at + 1] |= bytes[at] == b'/';
                    }
                }
                if *token == Token::MaybeFolders {
                    next.iter_mut().zip(&places).for_each(|(next, here)| *next |= here);
                }
            }
            Token::Alternatives(branches) => {
                for branch in branches {
                    let ends = self.sequence(branch, places.clone(), last);
                    next.iter_mut().zip(&ends).for_each(|(next, end)| *next |= end);
                }
            }
        }
        next
    }
}

fn reached(places: &Places) -> impl Iterator<Item = usize> + '_ {
    places.iter().enumerate().filter(|(_, reached)| **reached).map(|(at, _)| at)
}

fn may_be_empty(token: &Token) -> bool {
    match token {
        Token::Literal(_) | Token::Folders => false,
        Token::Segment | Token::Anything | Token::MaybeFolders => true,
        Token::Alternatives(branches) => branches.iter().any(|branch| branch.iter().all(may_be_empty)),
    }
}
