//! A compiled glob.

use globset::{GlobBuilder, GlobMatcher};

use super::origin::Reach;
use super::resolve::resolve;
use super::token::{Token, tokens};

/// A compiled glob: its tokens, and the cheapest equivalent matcher.
#[derive(Clone, Debug)]
pub(super) struct UrlGlob {
    tokens: Vec<Token>,
    matcher: Matcher,
}

/// The matcher of a glob. Common globs are plain string comparisons, the others compile to an automaton.
#[derive(Clone, Debug)]
enum Matcher {
    Everything,
    Exactly(String),
    StartsWith(String),
    EndsWith(String),
    Contains(String),
    Globset(Box<GlobMatcher>),
}

impl UrlGlob {
    /// Compiles a glob without its `!`. The error is the reason as text.
    pub(super) fn new(glob: &str) -> Result<Self, String> {
        let resolved = resolve(glob);
        let tokens = tokens(&resolved).map_err(|error| match self::tokens(glob) {
            Err(as_written) => as_written.to_string(),
            Ok(_) => format!("{error} of `{resolved}`, which it resolves to"),
        })?;
        let matcher = Matcher::of(glob, &tokens)?;
        Ok(UrlGlob { tokens, matcher })
    }

    /// Returns true if the glob matches the whole URL.
    pub(super) fn matches(&self, url: &str) -> bool {
        match &self.matcher {
            Matcher::Everything => true,
            Matcher::Exactly(text) => url == text,
            Matcher::StartsWith(text) => url.starts_with(text.as_str()),
            Matcher::EndsWith(text) => url.ends_with(text.as_str()),
            Matcher::Contains(text) => url.contains(text.as_str()),
            Matcher::Globset(matcher) => matcher.is_match(url),
        }
    }

    /// Returns the share that the glob matches of the URLs that begin with `prefix`.
    pub(super) fn reach(&self, prefix: &str) -> Reach {
        match self.matcher {
            Matcher::Everything => Reach::All,
            _ => Reach::of(&self.tokens, prefix),
        }
    }
}

impl Matcher {
    fn of(glob: &str, tokens: &[Token]) -> Result<Self, String> {
        use Token::{Anything, Folders, Literal};
        Ok(match tokens {
            [] if glob.is_empty() => Matcher::Everything,
            [Anything] => Matcher::Everything,
            [Literal(text)] => Matcher::Exactly(text.clone()),
            [Literal(text), Anything] => Matcher::StartsWith(text.clone()),
            [Folders, Literal(text)] => Matcher::EndsWith(format!("/{text}")),
            [Anything, Literal(text)] => Matcher::EndsWith(text.clone()),
            [Folders, Literal(text), Anything] => Matcher::Contains(format!("/{text}")),
            [Anything, Literal(text), Anything] => Matcher::Contains(text.clone()),
            _ => Matcher::Globset(Box::new(compile(tokens).map_err(|error| error.kind().to_string())?)),
        })
    }
}

/// Translates the tokens for globset. Its `**` has other rules for slashes than Playwright's, so "anything" is written
/// as "no slash, then optionally a slash and anything".
fn compile(tokens: &[Token]) -> Result<GlobMatcher, globset::Error> {
    let mut pattern = String::new();
    write_pattern(tokens, &mut pattern);
    let glob =
        GlobBuilder::new(&pattern).literal_separator(true).backslash_escape(true).empty_alternates(true).build()?;
    Ok(glob.compile_matcher())
}

const ANYTHING: &str = "*{,/**}";
const ONE_CHARACTER: &str = "{?,/}";

fn write_pattern(tokens: &[Token], pattern: &mut String) {
    for token in tokens {
        match token {
            Token::Literal(text) => {
                for c in text.chars() {
                    if "*?[]{},\\".contains(c) {
                        pattern.push('\\');
                    }
                    pattern.push(c);
                }
            }
            Token::Segment => pattern.push('*'),
            Token::Anything => pattern.push_str(ANYTHING),
            Token::Folders => {
                pattern.push_str(ANYTHING);
                pattern.push('/');
            }
            Token::MaybeFolders => {
                pattern.push_str("{,");
                pattern.push_str(ONE_CHARACTER);
                pattern.push_str(ANYTHING);
                pattern.push_str("/}");
            }
            Token::Alternatives(branches) => {
                for (n, branch) in branches.iter().enumerate() {
                    pattern.push(if n == 0 { '{' } else { ',' });
                    write_pattern(branch, pattern);
                }
                pattern.push('}');
            }
        }
    }
}
